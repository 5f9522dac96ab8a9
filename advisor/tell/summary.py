"""The answer in five lines, for a terminal and the log of a pipeline."""

from collections.abc import Callable

from advisor import units
from advisor.schema import Advice, Estimate, Prediction


def summary(advice: Advice) -> str:
    """Return five lines: what to do, its cost, its latency against the target, its quality, its risk; no newline at the end."""
    told = advice.recommended or advice.nearest_miss
    lines = (
        advice.headline,
        f"cost     {_cost(advice, told)}",
        f"latency  {_latency(advice, told)}",
        f"quality  {_quality(advice, told)}",
        f"risk     {_risk(advice)}",
    )
    # A name from the user may hold a line break.
    return "\n".join(" ".join(line.splitlines()) for line in lines)


def _told(estimate: Estimate, format_: Callable[[float], str]) -> str:
    interval = units.interval(estimate.value, estimate.low, estimate.high, format_)
    return f"{format_(estimate.value)} ({interval}, {estimate.basis})"


def _cost(advice: Advice, told: Prediction | None) -> str:
    if told is None:
        return f"today {_told(advice.baseline.cost_usd_per_hour, units.usd_per_hour)}; nothing to compare it with"
    cost = _told(told.cost_usd_per_hour, units.usd_per_hour)
    if advice.saving is None:
        return cost
    return f"{cost}, saves {_told(advice.saving.usd_per_year, units.usd_per_year)}"


def _latency(advice: Advice, told: Prediction | None) -> str:
    slo = advice.workload.slo
    target = f"target {units.seconds(slo.latency_s)}"
    if told is None:
        return f"{units.quantile(slo.quantile)} not predicted, {target}"
    kept = "kept" if told.meets_slo else "missed"
    return f"{units.quantile(slo.quantile)} {_told(told.latency_slo_s, units.seconds)}, {target}: {kept}"


def _quality(advice: Advice, told: Prediction | None) -> str:
    floor = advice.workload.quality
    limit = f"at most {units.points(floor.max_drop)} of {floor.metric} allowed" if floor else "no floor set"
    if told is None or told.quality_drop is None:
        return f"drop not measured, {limit}"
    return f"drop {_told(told.quality_drop, units.points)}, {limit}"


def _risk(advice: Advice) -> str:
    if advice.binding_constraint is not None:
        return f"nothing meets the target: {advice.binding_constraint}"
    if not advice.risks:
        return "none found"
    more = len(advice.risks) - 1
    return advice.risks[0] + (f" (and {more} more in the report)" if more else "")
