"""What rules may ask about a model's life, from the inputs of its cost and what comes of them."""

from collections.abc import Mapping

from advisor.decide.lifetime import fleet, serving_cost, training_cost
from advisor.decide.lifetime.cost import totals
from advisor.decide.lifetime.serving_cost import Values
from advisor.units import HOURS_PER_YEAR, SECONDS_PER_DAY

AS_GIVEN = (
    "agent_multiplier",
    "budget_usd",
    "domain_shift",
    "fine_tunings_per_year",
    "growth_per_month",
    "horizon_months",
    "knowledge_updates_per_year",
    "labels_available",
    "labels_to_buy",
    "parameters",
    "quality_gap",
    "reasoning_multiplier",
    "requests_per_s",
)


def life_facts(x: Values, known: Mapping[str, float | None], flags: Mapping[str, bool]) -> dict[str, float | bool | None]:
    """Return the facts by the names of verdict.FACTS; `known` are the lines that lifecycle.costs returned."""
    by_kind = totals(known)
    training_usd = None if by_kind is None else by_kind["fine-tuning"] + by_kind["data"] + by_kind["pre-training"]
    total_usd = None if by_kind is None or training_usd is None else by_kind["inference"] + training_usd
    paid = fleet.usd_per_hour(x)
    hourly_usd = None if paid is None else max(paid)
    target_s, fastest_s = x.get("latency_target_s"), serving_cost.fastest_answer_s(x)
    return {
        **{name: x.get(name) for name in AS_GIVEN},
        **{name: flags.get(name) for name in ("prompting_exhausted", "retrieval_exhausted", "data_must_stay", "is_regulated")},
        "inference_share": None
        if by_kind is None or total_usd is None
        else by_kind["inference"] / total_usd
        if total_usd
        else 1.0,
        "training_share": None if training_usd is None or total_usd is None else training_usd / total_usd if total_usd else 0.0,
        "training_usd": training_usd,
        "lifetime_usd": total_usd,
        "pre_training_usd": None if by_kind is None else by_kind["pre-training"],
        "labels_usd": known["labels"],
        "fine_tuning_usd": training_cost.release_usd(x),
        "fine_tuning_runs_usd": known["fine-tuning runs"],
        "validation_usd": known["validation"],
        "data_usd": None if by_kind is None else by_kind["data"],
        "requests_per_day": x["requests_per_s"] * SECONDS_PER_DAY,
        "tokens_per_day": _tokens_per_day(x),
        "serving_usd_per_year": None if hourly_usd is None else hourly_usd * HOURS_PER_YEAR,
        "floor_load": None if "serving_usd_per_hour" in x else serving_cost.floor_load(x),
        "latency_over_fastest": None if target_s is None or not fastest_s else target_s / fastest_s,
        "uses_api": True if serving_cost.uses_api(x) else False if "parameters" in x else None,
        "parameters_per_daily_request": _ratio(x.get("parameters"), x["requests_per_s"] * SECONDS_PER_DAY),
        "budget_fraction": _ratio(total_usd, x.get("budget_usd")),
    }


def _tokens_per_day(x: Values) -> float | None:
    if any(name not in x for name in serving_cost.REQUEST):
        return None
    tokens = x["input_tokens"] + x["output_tokens"] * x["reasoning_multiplier"]
    return tokens * x["agent_multiplier"] * x["requests_per_s"] * SECONDS_PER_DAY


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below
