"""What a pull request shows: twenty lines with a mark, the same words in every format, and names that do nothing."""

import re
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from advisor.decide.comparison.compare import compare
from advisor.files.policy import usual_policy
from advisor.inert.text import inert
from advisor.tell.comparison.rendering import render
from advisor.tell.comparison.words import marker
from advisor.tell.formats import formats
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import BUILDERS, change, inconclusive, infeasible, keep

NOW = "2026-11-23T08:00:00+00:00"
USUAL = usual_policy()
KINDS = {
    "one pass": [builder() for builder in BUILDERS],
    "a batch job": [documents.job(), documents.missed_job()],
    "generation": [builder() for builder in generation_examples.BUILDERS],
    "elsewhere": [builder() for builder in language_examples.BUILDERS],
}
PAIRS = [(old, new) for advices in KINDS.values() for old, new in zip([None, *advices], [*advices, advices[0]], strict=True)]
HOSTILE = '<script>alert("1")</script> {{7*7}} \x1b[31m\u202e\n| x --> ![](http://x.y/z) @team =1+1'


def compared(old, new):
    return compare(old, new, USUAL, now=NOW, is_usual=True)


@pytest.fixture(params=range(len(PAIRS)))
def document(request):
    return compared(*PAIRS[request.param])


def test_a_comment_has_at_most_twenty_lines_and_begins_with_its_mark(document):
    lines = render(document, "md").splitlines()

    assert len(lines) <= 20
    assert f"<!-- {marker(inert(document.workload))} -->" == lines[0]


def test_every_row_of_a_comment_has_as_many_cells_as_its_heading(document):
    rows = [line for line in render(document, "md").splitlines() if line.startswith("|")]

    assert 1 == len({len(re.findall(r"(?<!\\)\|", row)) for row in rows})


def test_a_test_report_counts_what_it_holds(document):
    root = ElementTree.fromstring(render(document, "junit").encode())
    (suite,) = root
    cases = list(suite)

    assert len(document.limits) == len(cases) == int(suite.get("tests"))
    for what in ("failure", "error", "skipped"):
        counted = int(suite.get({"failure": "failures", "error": "errors", "skipped": "skipped"}[what]))
        assert counted == sum(case.find(what) is not None for case in cases)
    has_failed = suite.get("failures") != "0"
    assert has_failed == any(it.held == "broken" and it.level == "error" for it in document.limits)


def test_every_format_says_the_same_of_the_money(document):
    money = document.figures[0]
    shown = {format_: render(document, format_) for format_ in formats("comparison")}

    assert money.name.startswith("cost_usd") or document.new.answer is None
    headline = shown["text"].splitlines()[0]
    assert headline in re.sub(r"\\(.)", r"\1", shown["md"]).replace("&lt;", "<")
    assert all("None" not in text and "nan" not in text for format_, text in shown.items() if format_ != "json")


def test_the_mark_is_the_workload_s_and_holds_none_of_its_name():
    assert marker("a") != marker("b")
    assert re.fullmatch(r"serving-advisor comparison [0-9a-f]{12}", marker(HOSTILE))


def hostile(advice):
    return replace(
        advice,
        model=replace(advice.model, name=HOSTILE),
        workload=replace(advice.workload, name=HOSTILE),
        headline=HOSTILE,
        recommended=replace(
            advice.recommended, candidate=replace(advice.recommended.candidate, variant=HOSTILE, hardware=HOSTILE)
        ),
        sites=tuple(replace(it, versions={HOSTILE: HOSTILE}) for it in advice.sites),
    )


@pytest.mark.parametrize("format_", formats("comparison"))
def test_names_do_nothing_in_any_format(format_):
    text = render(compared(change(), hostile(change())), format_)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    if format_ == "md":
        assert "<script" not in text and len(text.splitlines()) <= 20
        assert 1 == text.splitlines()[0].count("-->") and not re.search(r"(?<!\\)!\[|(?<!\\)@team|(?<!\\)://", text)
    if format_ == "junit":
        assert "<script" not in text
        assert "<script>" in "".join(case.get("classname") for case in ElementTree.fromstring(text.encode()).iter("testcase"))
    assert "7*7" in text.replace("\\", "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (change(), change(), "Passes: $248/month as before; SLO kept"),
        (change(), infeasible(), "Fails: "),
        (keep(), inconclusive(), "Cannot be told: "),
        (None, change(), "Passes: $248/month; SLO kept"),
    ],
)
def test_the_headline_has_the_verdict_and_then_the_money(old, new, said):
    assert render(compared(old, new), "text").startswith(said)
