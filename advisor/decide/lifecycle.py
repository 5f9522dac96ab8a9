"""What a model costs over its planned life, by kind: serving, fine-tuning, pre-training."""

import math

from advisor.schema import Estimate, Lifecycle
from advisor.units import HOURS_PER_MONTH

KINDS = ("inference", "fine-tuning", "pre-training")  # labels count as fine-tuning: they are what its runs learn from


def lifetime_shares(
    serving_usd_per_hour: Estimate, lifecycle: Lifecycle | None
) -> tuple[dict[str, Estimate], dict[str, float | None]]:
    """Return each kind's share of the lifetime cost (fractions that add up to 1) and its total in usd, both by KINDS.

    A total is None where an input is unknown; then there are no shares. Their intervals come from that of the serving cost alone:
    the costs of training are the user's own figures.
    """
    if lifecycle is None:
        return {}, dict.fromkeys(KINDS)
    hours = _serving_hours(lifecycle)
    fine_tuning_usd = _fine_tuning_usd(lifecycle)
    # Most models are somebody else's: nothing written means that none of the user's money went into pre-training.
    pre_training_usd = 0.0 if lifecycle.pre_training_usd is None else lifecycle.pre_training_usd
    totals: dict[str, float | None] = {
        "inference": hours * serving_usd_per_hour.value,
        "fine-tuning": fine_tuning_usd,
        "pre-training": pre_training_usd,
    }
    if fine_tuning_usd is None:
        return {}, totals
    training_usd = fine_tuning_usd + pre_training_usd
    low, value, high = (
        _inference_share(hours * usd_per_hour, training_usd)
        for usd_per_hour in (serving_usd_per_hour.low, serving_usd_per_hour.value, serving_usd_per_hour.high)
    )
    shares = {"inference": _estimate(value, low, high)}
    for kind, usd in (("fine-tuning", fine_tuning_usd), ("pre-training", pre_training_usd)):
        part = usd / training_usd if training_usd else 0.0
        # The dearer serving is, the smaller the share of training: the ends change places.
        shares[kind] = _estimate(part * (1 - value), part * (1 - high), part * (1 - low))
    return shares, totals


def lifetime_facts(
    shares: dict[str, Estimate], totals_usd: dict[str, float | None], lifecycle: Lifecycle | None
) -> dict[str, float | None]:
    """Return what rules may ask about the model's life, under the names of verdict.FACTS, from what lifetime_shares returned."""
    fine_tuning_usd, pre_training_usd = totals_usd["fine-tuning"], totals_usd["pre-training"]
    training_usd = None if fine_tuning_usd is None or pre_training_usd is None else fine_tuning_usd + pre_training_usd
    return {
        "inference_share": shares["inference"].value if shares else None,
        "training_share": shares["fine-tuning"].value + shares["pre-training"].value if shares else None,
        "training_usd": training_usd,
        "pre_training_usd": pre_training_usd,
        "horizon_months": lifecycle.horizon_months if lifecycle else None,
        "fine_tuning_usd": lifecycle.fine_tuning_usd if lifecycle else None,
        "fine_tunings_per_year": lifecycle.fine_tunings_per_year if lifecycle else None,
        "labels_usd": lifecycle.labels_usd if lifecycle else None,
        "quality_gap": lifecycle.quality_gap if lifecycle else None,
    }


def _serving_hours(lifecycle: Lifecycle) -> float:
    """Return the hours of the horizon, each month's multiplied by how much dearer serving has become by then."""
    months = lifecycle.horizon_months
    # Traffic that falls saves nothing by itself: the replicas recommended for today stay on until somebody asks again.
    growth = (max(1.0, (1 + lifecycle.growth_per_month) ** month) for month in range(math.ceil(months)))
    return HOURS_PER_MONTH * math.fsum(factor * min(1.0, months - month) for month, factor in enumerate(growth))


def _fine_tuning_usd(lifecycle: Lifecycle) -> float | None:
    """Return the cost of runs and labels over the horizon, None where it is unknown."""
    run_usd, runs_per_year = lifecycle.fine_tuning_usd, lifecycle.fine_tunings_per_year
    if lifecycle.labels_usd is None:
        return None
    # Runs that never happen cost nothing, whatever the price of one; so do runs that are free, however many.
    if run_usd == 0 or runs_per_year == 0:
        return lifecycle.labels_usd
    if run_usd is None or runs_per_year is None:
        return None
    return run_usd * runs_per_year * lifecycle.horizon_months / 12 + lifecycle.labels_usd


def _inference_share(serving_usd: float, training_usd: float) -> float:
    # Without any training serving is all there is, even at the end of an interval that reaches zero.
    return serving_usd / (serving_usd + training_usd) if training_usd else 1.0


def _estimate(value: float, low: float, high: float) -> Estimate:
    source = (
        "inference = usd per hour * 730 h * sum over months of max(1, (1 + growth)^month); "
        "fine-tuning = usd per run * runs over the horizon + labels; pre-training as given, none where not given; "
        "share = kind / all"
    )
    return Estimate(value=value, low=low, high=high, basis="projected", source=source)
