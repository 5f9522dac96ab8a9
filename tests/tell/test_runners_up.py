"""Why what is not recommended was not: each reason follows from the figures of both configurations."""

import pytest
from msgspec.structs import replace

from advisor.schema.advice import Advice
from advisor.tell.runners_up import runners_up, runners_up_words
from tests.tell.advice_examples import about, change, infeasible, keep, students
from tests.tell.generation_examples import chat
from tests.tell.language_examples import chat_elsewhere


def reasons(advice: Advice) -> dict[str, str]:
    return {row.label.split()[1]: str(row.cells[0]) for row in runners_up(advice)}


def beside(usd_per_hour: float, latency_s: float, **changed: object) -> str:
    """The reason against one other configuration, of such a cost and latency beside $0.34/h and what is recommended."""
    advice = change()
    assert advice.recommended is not None
    candidate = replace(advice.recommended.candidate, variant="other", replicas=2)
    latency = about(latency_s, "simulated", "a test")
    made = replace(
        replace(
            advice.recommended, cost_usd_per_hour=about(0.34, "list-price", "a test"), latency_slo_s=about(0.04, "simulated", "x")
        ),
        candidate=candidate,
        cost_usd_per_hour=about(usd_per_hour, "list-price", "a test"),
        latency_slo_s=latency,
        quality_drop=None,
    )
    ours = replace(
        advice.recommended, cost_usd_per_hour=about(0.34, "list-price", "a test"), latency_slo_s=about(0.04, "simulated", "x")
    )
    alone = replace(advice, recommended=ours, frontier=(ours, replace(made, **changed)), ties=(), unproven=None, students=())
    return reasons(alone)["other"]


@pytest.mark.parametrize(
    ("usd_per_hour", "latency_s", "changed", "expected"),
    [
        (0.68, 0.05, {}, "costs $0.34/h more."),
        (0.68, 0.02, {}, "costs $0.34/h more, for p99 20 ms instead of 40 ms."),
        (0.34, 0.05, {}, "costs the same, and is not quicker."),
        (0.34, 0.02, {}, "costs the same, so that p99 20 ms instead of 40 ms is all it would change."),
        (0.17, 0.02, {}, "costs $0.17/h less, which does not pay for the work of changing to it."),
        (0.17, 0.02, {"meets_slo": False}, "is not shown to keep the target at the upper end of the interval."),
        (0.17, 0.02, {"meets_slo": False, "misses_slo": True}, "misses the target."),
        (0.17, 0.02, {"quality_drop": about(0.5, "measured", "a test")}, "loses more quality than allowed."),
    ],
)
def test_a_reason_follows_from_cost_target_and_quality(
    usd_per_hour: float, latency_s: float, changed: dict[str, object], expected: str
) -> None:
    assert expected == beside(usd_per_hour, latency_s, **changed)


def test_what_nobody_measured_or_trained_is_said_to_be_that() -> None:
    assert "its quality was not measured." in reasons(keep()).values()
    assert "nobody has trained it yet." in {str(row.cells[0]) for row in runners_up(students())}


def test_the_recommended_one_is_not_among_the_losers_and_without_it_nobody_lost() -> None:
    for advice in (change(), keep(), chat(), chat_elsewhere()):
        assert advice.recommended is not None and runners_up(advice)
    assert () == runners_up(infeasible())
    assert "No other configuration was compared" == runners_up_words(())
