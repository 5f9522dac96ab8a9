import jinja2
import pytest

from advisor.tell import pages
from advisor.tell.formats import template
from advisor.tell.words.figures import Figure
from tests.tell.advice_examples import change

FIGURE = Figure(shown="5 ms", interval="4–6", basis="measured", source="a test")


@pytest.mark.parametrize("text", ["{{ advice.headlin }}", "{{ advice.model.naem }}", "{{ advice.baseline['latency_p98_s'] }}"])
@pytest.mark.parametrize("format_", ["html", "md"])
def test_a_misspelt_field_fails(text: str, format_: str) -> None:
    made = pages._environment(template(format_, "advice")).from_string(text)

    with pytest.raises(jinja2.UndefinedError):
        made.render(advice=change())


@pytest.mark.parametrize("text", ["{{ unknown }}", "{{ overflown }}"])
@pytest.mark.parametrize("format_", ["html", "md"])
def test_a_template_cannot_print_an_unknown(text: str, format_: str) -> None:
    made = pages._environment(template(format_, "advice")).from_string(text)

    with pytest.raises(TypeError, match="described in words"):
        made.render(unknown=None, overflown=float("inf"))


@pytest.mark.parametrize(
    ("format_", "expected"), [("html", "yes, 5\u00a0ms (4–6, measured)"), ("md", "yes, 5 ms (4–6, measured)")]
)
def test_what_a_template_does_not_mark_up_it_prints_as_a_terminal_does(format_: str, expected: str) -> None:
    made = pages._environment(template(format_, "advice")).from_string("{{ it }}")

    assert expected == made.render(it=(True, ", ", FIGURE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99 within 150 ms", "p99 within 150~ms"),
        ("29.5 % to spare, 1,200 /s", "29.5~% to spare, 1,200~/s"),
        ("1 of 4 variants, 2 instances of 1 thread", "1 of 4~variants, 2~instances of 1~thread"),
        ("2.31×, on 2026-11-22 07:43 UTC", "2.31×, on 2026-11-22 07:43~UTC"),
        ("int8 weights, layers.0 MatMul, v1.2 of it", "int8 weights, layers.0 MatMul, v1.2 of it"),
    ],
)
def test_no_line_of_a_page_ends_inside_of_a_quantity(text: str, expected: str) -> None:
    made = pages._environment(template("html", "advice")).from_string("{{ it }}")

    assert expected.replace("~", "\N{NO-BREAK SPACE}") == made.render(it=text)


def test_code_to_paste_is_left_as_it_is() -> None:
    made = pages._environment(template("html", "advice")).from_string("{{ it | e }}")

    assert "instance = 0  # of 2 cores" == made.render(it="instance = 0  # of 2 cores")


def test_each_suffix_has_its_own_escapes() -> None:
    printed = {
        format_: pages._environment(template(format_, "advice")).from_string("{{ it }}").render(it="<a|b>")
        for format_ in ("html", "md")
    }

    assert {"html": "&lt;a|b&gt;", "md": "&lt;a\\|b>"} == printed
