import pytest
from msgspec.structs import replace

from advisor.schema.advice import Advice, PlaceAnswer
from advisor.tell.summary import full_summary, load_tests, summary
from tests.tell.advice_examples import BUILDERS, change, infeasible, keep, minimal, served

EXAMPLES = [builder() for builder in BUILDERS]


@pytest.mark.parametrize("advice", EXAMPLES, ids=[builder.__name__ for builder in BUILDERS])
def test_the_summary_has_five_lines_and_one_for_each_kind_of_hardware(advice: Advice) -> None:
    assert 5 + len(advice.places) == len(summary(advice).split("\n"))


def test_a_line_break_from_a_user_does_not_add_a_line() -> None:
    advice = replace(change(), headline="one\ntwo\rthree", risks=("a\n\nb",))

    lines = summary(advice).splitlines()

    assert [r"one\ntwo\rthree", r"risk     a\n\nb"] == [lines[0], lines[4]]


def test_change_says_what_to_do_what_it_saves_and_what_it_promises() -> None:
    assert summary(change()) == (
        "Serve int8-dynamic with 2 instances: $0.34/h instead of $1.02/h\n"
        "cost     $0.34/h (fixed, list-price), saves $5,957/year (fixed, list-price) at today's traffic\n"
        "latency  p99 41.2 ms (37.5–45.6, simulated), target 50 ms: kept\n"
        "quality  drop 0.25 pp (-0.15 to 0.65, measured), allowed: at most 1 pp of accuracy\n"
        "risk     int8-dynamic agrees with fp32 less on unusual inputs: lowest cosine 0.971 over 64 items"
        " (and 1 more in the report)"
    )


def test_keep_says_that_quality_and_cost_are_as_today() -> None:
    lines = summary(keep()).splitlines()

    assert "as today, no floor set" == lines[3].removeprefix("quality  ")
    assert lines[1].endswith("as today")


def test_infeasible_says_what_binds_and_how_near_the_nearest_is() -> None:
    lines = summary(infeasible()).splitlines()

    assert lines[2].endswith("target 5 ms: missed")
    assert lines[4].startswith("risk     nothing meets the target: one call")


def test_without_a_nearest_miss_nothing_is_made_up() -> None:
    lines = summary(replace(infeasible(), nearest_miss=None)).splitlines()

    assert "latency  p95 not predicted, target 5 ms" == lines[2]


def test_no_risk_is_said_to_be_none_found() -> None:
    assert summary(minimal()).endswith("risk     none found")


def test_each_kind_of_hardware_has_a_line_that_says_how_it_is_known() -> None:
    advice = change()
    answer = PlaceAnswer(
        hardware="l4",
        name="NVIDIA L4",
        machine="g6.xlarge",
        ground="anchored",
        price_date="2026-07-20",
        price_is_stale=True,
        prediction=advice.recommended,
    )

    lines = summary(replace(advice, places=(replace(answer, hardware="local", ground="measured", price_date=None), answer)))

    first, second = lines.splitlines()[5:]
    assert first.split()[:3] == ["1", "local", "measured"]
    assert second.split()[:3] == ["2", "l4", "projected"] and "price of 2026-07-20 (old)" in second


def test_load_tests_follow_the_summary_where_there_were_any() -> None:
    assert summary(change()) == full_summary(change())
    assert f"{summary(served())}\n{load_tests(served())}" == full_summary(served())
