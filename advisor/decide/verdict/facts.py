"""What rules may ask about a model's life, from the inputs of its cost and what comes of them."""

from collections.abc import Mapping

from advisor.decide import energy
from advisor.decide.lifetime import fleet, serving_cost, training_cost
from advisor.decide.lifetime.cost import totals
from advisor.decide.lifetime.horizon import MONTHS_PER_YEAR, Course
from advisor.decide.lifetime.inputs import Market
from advisor.decide.lifetime.serving_cost import Values
from advisor.units import DAYS_PER_MONTH, HOURS_PER_YEAR, SECONDS_PER_DAY, days_between

AS_GIVEN = (
    "agent_multiplier",
    "budget_usd",
    "domain_shift",
    "fine_tunings_per_year",
    "growth_per_month",
    "horizon_months",
    "input_tokens",
    "knowledge_updates_per_year",
    "labels_available",
    "labels_to_buy",
    "latency_target_s",
    "models_of_one_base",
    "output_tokens",
    "parameters",
    "peak_over_mean",
    "pre_training_experiments",
    "quality_gap",
    "reasoning_multiplier",
    "requests_per_s",
)
# Drafting as it is usual: so many tokens ahead, each taken with this probability, a draft at this part of the large model's time.
# With four drafted the median of 14 published acceptance lengths is 3.27 tokens a step (InferenceX, Apache-2.0), which is this
# probability; what a draft takes is our assumption.
DRAFTED, ACCEPTED, DRAFT_TIME = 4, 0.785, 0.05


def share_facts(x: Values, known: Mapping[str, float | None], flags: Mapping[str, bool]) -> dict[str, float | bool | None]:
    """Return the facts that were given, and what comes of the lines of the cost; `known` are the lines."""
    by_kind = totals(known)
    training_usd = None if by_kind is None else by_kind["fine-tuning"] + by_kind["data"] + by_kind["pre-training"]
    total_usd = None if by_kind is None or training_usd is None else by_kind["inference"] + training_usd
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
        "fine_tuning_runs_usd": known["fine-tuning runs"],
        "validation_usd": known["validation"],
        "data_usd": None if by_kind is None else by_kind["data"],
        "serving_usd": known["serving"],
        "operations_usd": known["engineers who keep it running"],
        "requests_per_day": x["requests_per_s"] * SECONDS_PER_DAY,
        "budget_fraction": _ratio(total_usd, x.get("budget_usd")),
    }


def life_facts(x: Values, known: Mapping[str, float | None], flags: Mapping[str, bool]) -> dict[str, float | bool | None]:
    """Return the facts by the names of verdict.FACTS, with those on devices and their load; `known` are the lines of the cost."""
    paid = fleet.usd_per_hour(x)
    hourly_usd = None if paid is None else max(paid)
    runs_devices = "serving_usd_per_hour" not in x and not serving_cost.is_in_the_field(x) and not serving_cost.uses_api(x)
    target_s, fastest_s = x.get("latency_target_s"), serving_cost.fastest_answer_s(x)
    return {
        **share_facts(x, known, flags),
        "fine_tuning_usd": training_cost.release_usd(x),
        "tokens_per_day": _tokens_per_day(x),
        "serving_usd_per_year": None if hourly_usd is None else hourly_usd * HOURS_PER_YEAR,
        "floor_load": serving_cost.floor_load(x) if runs_devices else None,
        "demand_over_floor": _ratio(serving_cost.demand_devices(x), serving_cost.floor_devices(x)) if runs_devices else None,
        "speculation_gain": speculation_gain(x) if runs_devices else None,
        "weights_over_memory": _weights_over_memory(x) if runs_devices else None,
        "commitment_months": float(MONTHS_PER_YEAR) if "reserved_discount" in x else None,
        "latency_over_fastest": None if target_s is None or not fastest_s else target_s / fastest_s,
        "uses_api": True if serving_cost.uses_api(x) else False if "parameters" in x else None,
        "parameters_per_daily_request": _ratio(x.get("parameters"), x["requests_per_s"] * SECONDS_PER_DAY),
    }


def beside_the_cost(x: Values, course: Course, market: Market, created: str) -> dict[str, float | bool | None]:
    """Return the facts that no cost depends on: bursts, energy, and how long its vendor serves the model."""
    retired_on = market.api.retired_on if market.api is not None else None
    return {
        "burstiness_cv": course.burstiness_cv,
        "energy_kwh_per_year": energy.kwh_per_year(x, market),
        "api_months_left": None if retired_on is None else max(0.0, days_between(created, retired_on) / DAYS_PER_MONTH),
    }


def speculation_gain(x: Values) -> float | None:
    """Return how many times as fast answers come with drafted tokens (Leviathan 2211.17192), where the devices have time to spare.

    A step that checks the drafts takes as long as one without them until the devices are busy, and then as many times as long as
    there are tokens to check: at full load drafting makes answers slower (2605.15051).
    """
    load = serving_cost.floor_load(x)
    if load is None or not x.get("output_tokens"):
        return None
    tokens_per_step = (1 - ACCEPTED ** (DRAFTED + 1)) / (1 - ACCEPTED)
    return tokens_per_step / (max(1.0, load * (DRAFTED + 1)) + DRAFTED * DRAFT_TIME)


def _weights_over_memory(x: Values) -> float | None:
    if "parameters" not in x or "bytes_per_parameter" not in x:
        return None
    return _ratio(x["parameters"] * x["bytes_per_parameter"], x.get("device_memory_bytes"))


def _tokens_per_day(x: Values) -> float | None:
    if any(name not in x for name in serving_cost.REQUEST):
        return None
    tokens = x["input_tokens"] + x["output_tokens"] * x["reasoning_multiplier"]
    return tokens * x["agent_multiplier"] * x["requests_per_s"] * SECONDS_PER_DAY


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below
