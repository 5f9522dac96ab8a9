"""The inputs that a user can set in the workload file, each with its key, its words and how far it can be moved."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime.given import is_of_its_own
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.record import Estimate


class Setting(NamedTuple):
    """An input, written as "41,000 requests a day"; within reach is what lies within `times` of today's value, `least` and `most`."""

    key: str
    words: str
    times: float
    least: float = 0.0
    most: float = math.inf


# How far people move a thing, or are wrong about it. Prices of one chip differ three- to fourfold between providers; wages, and how busy
# a fleet can be kept, about as much. Sizes of requests, labels and releases are decisions, within an order of magnitude or two.
# Traffic is followed to the end, for everyone asks about it. Nobody plans beyond ten years.
FOURFOLD, TENFOLD, HUNDREDFOLD, TO_THE_END = 4.0, 10.0, 100.0, 2.0**14
MOST_MONTHS = 120.0
# Agents take 4 to 15 times the tokens of a chat, heavy reasoning up to 100 times (Anthropic, 2025-06-13; Deloitte, 2025).
MOST_MULTIPLIER = 100.0
MOST_DECLINE = 0.95  # of a token's price in a year: what has been seen at one quality is a tenth of it after a year
SETTINGS = {
    "active_parameters": Setting("lifecycle.model.active_parameters", "parameters that a token uses", TENFOLD),
    "agent_multiplier": Setting(
        "lifecycle.request.agent_multiplier", "times the tokens of one call", HUNDREDFOLD, 1.0, MOST_MULTIPLIER
    ),
    "batch_fraction": Setting("lifecycle.request.batch_fraction", "of requests that wait for a batch", TENFOLD, 0.0, 1.0),
    "batch_hours_per_day": Setting("lifecycle.serving.batch_hours_per_day", "hours a day to do the work in", TENFOLD, 0.0, 24.0),
    "cached_tokens": Setting("lifecycle.request.cached_tokens", "tokens that a cache serves", TENFOLD),
    "concurrent_requests": Setting("lifecycle.serving.concurrent_requests", "requests at once on a replica", TENFOLD),
    "device_price_usd": Setting("lifecycle.owned.device_price_usd", "for a device", FOURFOLD),
    "device_requests_per_s": Setting("lifecycle.serving.device_requests_per_s", "requests a second of a device", FOURFOLD),
    "device_tokens_per_s": Setting("lifecycle.serving.device_tokens_per_s", "tokens a second of a device", FOURFOLD),
    "device_usd_per_hour": Setting("lifecycle.serving.device_usd_per_hour", "an hour of a device", FOURFOLD),
    "device_watts": Setting("lifecycle.owned.device_watts", "watts of a device", FOURFOLD),
    "discount_per_year": Setting("lifecycle.discount_per_year", "a year that later money is worth less", FOURFOLD, 0.0, 1.0),
    "engineer_days_per_release": Setting("lifecycle.fine_tuning.engineer_days_per_release", "engineer days a release", TENFOLD),
    "engineer_usd_per_day": Setting("lifecycle.team.engineer_usd_per_day", "a day of an engineer", FOURFOLD),
    "experiments_per_release": Setting("lifecycle.fine_tuning.experiments_per_release", "runs for a release", TENFOLD, 1.0),
    "fleet_utilization_fraction": Setting(
        "lifecycle.serving.fleet_utilization_fraction", "mean load of the fleet", FOURFOLD, 0.0, 1.0
    ),
    "fine_tuning_tokens": Setting("lifecycle.fine_tuning.fine_tuning_tokens", "tokens of fine-tuning", HUNDREDFOLD),
    "fine_tuning_usd": Setting("lifecycle.fine_tuning_usd", "a fine-tuning run", HUNDREDFOLD),
    "fine_tunings_per_year": Setting("lifecycle.fine_tunings_per_year", "fine-tunings a year", HUNDREDFOLD, 0.0, 365.0),
    "flop_per_request": Setting("lifecycle.request.flop_per_request", "operations of a request", TENFOLD),
    "growth_per_month": Setting("lifecycle.growth_per_month", "more traffic every month", FOURFOLD, 0.0, 1.0),
    "hardware_price_decline_per_year": Setting(
        "lifecycle.hardware_price_decline_per_year", "a year off an hour of a device", FOURFOLD, 0.0, MOST_DECLINE
    ),
    "horizon_months": Setting("lifecycle.horizon_months", "of life", HUNDREDFOLD, 0.0, MOST_MONTHS),
    "input_tokens": Setting("lifecycle.request.input_tokens", "tokens in a request", HUNDREDFOLD),
    "kv_bytes_per_token": Setting("lifecycle.model.kv_bytes_per_token", "bytes of the cache for a token", TENFOLD),
    "labels_per_release": Setting("lifecycle.data.labels_per_release", "labels a release", HUNDREDFOLD),
    "labels_to_buy": Setting("lifecycle.data.labels_to_buy", "labels to buy", HUNDREDFOLD),
    "labels_usd": Setting("lifecycle.labels_usd", "for labels", HUNDREDFOLD),
    "migration_engineer_days": Setting("lifecycle.team.migration_engineer_days", "engineer days to migrate", TENFOLD),
    "operator_hours_per_month": Setting("lifecycle.owned.operator_hours_per_month", "operator hours a month", TENFOLD),
    "operator_usd_per_hour": Setting("lifecycle.owned.operator_usd_per_hour", "an hour of an operator", FOURFOLD),
    "output_tokens": Setting("lifecycle.request.output_tokens", "tokens in an answer", HUNDREDFOLD),
    "owned_years": Setting("lifecycle.owned.owned_years", "years that a device is written off over", FOURFOLD),
    "pre_training_engineer_days": Setting(
        "lifecycle.pre_training.pre_training_engineer_days", "engineer days of pre-training", TENFOLD
    ),
    "pre_training_experiments": Setting(
        "lifecycle.pre_training.pre_training_experiments", "times the final run of pre-training", TENFOLD, 1.0
    ),
    "pre_training_tokens": Setting("lifecycle.pre_training.pre_training_tokens", "tokens of pre-training", HUNDREDFOLD),
    "pre_training_usd": Setting("lifecycle.pre_training_usd", "of pre-training", HUNDREDFOLD),
    "price_decline_per_year": Setting("lifecycle.price_decline_per_year", "a year off a token", FOURFOLD, 0.0, MOST_DECLINE),
    "reasoning_multiplier": Setting(
        "lifecycle.request.reasoning_multiplier", "times the tokens that are shown", HUNDREDFOLD, 1.0, MOST_MULTIPLIER
    ),
    "requests_per_s": Setting("traffic.requests_per_s", "requests a day", TO_THE_END),
    "review_fraction": Setting("lifecycle.data.review_fraction", "of the labels made twice", TENFOLD, 0.0, 1.0),
    "scale_to_zero_after_s": Setting("lifecycle.serving.scale_to_zero_after_s", "seconds until a replica is shut down", TENFOLD),
    "serving_engineer_days_per_month": Setting(
        "lifecycle.team.serving_engineer_days_per_month", "engineer days a month to keep it running", TENFOLD
    ),
    "serving_mfu_fraction": Setting(
        "lifecycle.serving.serving_mfu_fraction", "of the peak rate while serving", FOURFOLD, 0.0, 1.0
    ),
    "serving_usd_per_hour": Setting("lifecycle.serving.serving_usd_per_hour", "an hour of serving", HUNDREDFOLD),
    "token_price_decline_per_year": Setting(
        "lifecycle.token_price_decline_per_year", "a year off a token", FOURFOLD, 0.0, MOST_DECLINE
    ),
    "training_device_usd_per_hour": Setting(
        "lifecycle.training_device_usd_per_hour", "an hour of the device that trains", FOURFOLD
    ),
    "unit_growth_per_month": Setting(
        "lifecycle.edge.unit_growth_per_month", "more units in the field every month", FOURFOLD, 0.0, 1.0
    ),
    "unit_price_usd": Setting("lifecycle.edge.unit_price_usd", "for a unit in the field", FOURFOLD),
    "unit_usd_per_kwh": Setting("lifecycle.edge.unit_usd_per_kwh", "a kWh in the field", FOURFOLD),
    "unit_watts": Setting("lifecycle.edge.unit_watts", "watts of a unit in the field", FOURFOLD),
    "unit_years": Setting("lifecycle.edge.unit_years", "years that a unit in the field lasts", FOURFOLD),
    "usd_per_kwh": Setting("lifecycle.owned.usd_per_kwh", "a kWh", FOURFOLD),
    "usd_per_label": Setting("lifecycle.data.usd_per_label", "a label", HUNDREDFOLD),
    "validation_usd": Setting("lifecycle.data.validation_usd", "for validation", HUNDREDFOLD),
    "validation_usd_per_release": Setting("lifecycle.data.validation_usd_per_release", "to validate a release", HUNDREDFOLD),
}
# What has no other size: a model is what it is, and what is counted in pieces of hardware or of a format moves in steps.
IN_PIECES = (
    *("parameters", "bytes_per_parameter", "minimum_replicas", "devices_per_replica", "owned_devices", "edge_units"),
    *("labels_available", "shared_prefix_tokens", "quality_gap", "usd_per_quality_point_per_year"),
)
# What bounds one input is another: what is shared or cached of a request is part of it, and no token uses more parameters than there are.
# What only devices of one's own have is not to be set for those that are rented.
OF_OWNED_DEVICES = ("device_watts",)
# Names of inputs that are parts of something, beside those that end in "_fraction".
PARTS = ("growth", "decline", "discount")
AT_LEAST = {"input_tokens": ("shared_prefix_tokens", "cached_tokens")}
AT_MOST = {"active_parameters": ("parameters",), "cached_tokens": ("input_tokens",)}


def settable(figures: Mapping[str, Estimate]) -> dict[str, Setting]:
    """Return the inputs that a user can set here, by name.

    What is 0 has no other size, what was measured or recorded is not to be set, and the part of a sum is set with the sum.
    """
    return {
        name: setting
        for name, setting in SETTINGS.items()
        if name in figures
        and figures[name].value > 0
        and figures[name].basis in ("assumed", "list-price")
        and is_of_its_own(figures[name])
        and (name not in OF_OWNED_DEVICES or "device_price_usd" in figures)
    }


def within_reach(name: str, setting: Setting, x: Values) -> tuple[float, float]:
    """Return the least and the largest value that the input can be set to; today's lies within."""
    now = x[name]
    least = max(setting.least, now / setting.times, *(x.get(other, 0.0) for other in AT_LEAST.get(name, ())))
    most = min(setting.most, now * setting.times, *(x.get(other, math.inf) for other in AT_MOST.get(name, ())))
    return min(now, least), max(now, most)


def in_words(name: str, value: float) -> str:
    """Return an input's value as people say it: "41,000 requests a day"."""
    words = SETTINGS[name].words if name in SETTINGS else name.replace("_", " ")
    if name == "requests_per_s":
        return f"{units.per_day(value)} {words}"
    if name == "horizon_months":
        return f"{units.months(value)} {words}"
    if "usd" in name:
        return f"{units.usd(value)} {words}"
    if name.endswith("_fraction") or any(word in name for word in PARTS):
        return f"{units.percent(value)} {words}"
    return f"{units.count(value) if value >= 1e6 else units.number(value)} {words}"
