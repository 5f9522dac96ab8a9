"""The inputs that a user can set in the workload file, each with its key, its words and how far it can be moved."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.record import Estimate


class Setting(NamedTuple):
    """An input, told as "41,000 requests a day"; within reach is what lies within `times` of today's value, `least` and `most`."""

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
SETTINGS = {
    "active_parameters": Setting("lifecycle.model.active_parameters", "parameters that a token uses", TENFOLD),
    "agent_multiplier": Setting(
        "lifecycle.request.agent_multiplier", "times the tokens of one call", HUNDREDFOLD, 1.0, MOST_MULTIPLIER
    ),
    "device_usd_per_hour": Setting("lifecycle.serving.device_usd_per_hour", "an hour of a device", FOURFOLD),
    "engineer_usd_per_day": Setting("lifecycle.team.engineer_usd_per_day", "a day of an engineer", FOURFOLD),
    "experiments_per_release": Setting("lifecycle.fine_tuning.experiments_per_release", "runs for a release", TENFOLD, 1.0),
    "fleet_utilization_fraction": Setting(
        "lifecycle.serving.fleet_utilization_fraction", "mean load of the fleet", FOURFOLD, 0.0, 1.0
    ),
    "fine_tuning_tokens": Setting("lifecycle.fine_tuning.fine_tuning_tokens", "tokens of fine-tuning", HUNDREDFOLD),
    "fine_tuning_usd": Setting("lifecycle.fine_tuning_usd", "a fine-tuning run", HUNDREDFOLD),
    "fine_tunings_per_year": Setting("lifecycle.fine_tunings_per_year", "fine-tunings a year", HUNDREDFOLD, 0.0, 365.0),
    "horizon_months": Setting("lifecycle.horizon_months", "of life", HUNDREDFOLD, 0.0, MOST_MONTHS),
    "input_tokens": Setting("lifecycle.request.input_tokens", "tokens in a request", HUNDREDFOLD),
    "labels_to_buy": Setting("lifecycle.data.labels_to_buy", "labels to buy", HUNDREDFOLD),
    "labels_usd": Setting("lifecycle.labels_usd", "for labels", HUNDREDFOLD),
    "output_tokens": Setting("lifecycle.request.output_tokens", "tokens in an answer", HUNDREDFOLD),
    "pre_training_tokens": Setting("lifecycle.pre_training.pre_training_tokens", "tokens of pre-training", HUNDREDFOLD),
    "pre_training_usd": Setting("lifecycle.pre_training_usd", "of pre-training", HUNDREDFOLD),
    "reasoning_multiplier": Setting(
        "lifecycle.request.reasoning_multiplier", "times the tokens that are shown", HUNDREDFOLD, 1.0, MOST_MULTIPLIER
    ),
    "requests_per_s": Setting("traffic.requests_per_s", "requests a day", TO_THE_END),
    "serving_engineer_days_per_month": Setting(
        "lifecycle.team.serving_engineer_days_per_month", "engineer days a month to keep it running", TENFOLD
    ),
    "serving_usd_per_hour": Setting("lifecycle.serving.serving_usd_per_hour", "an hour of serving", HUNDREDFOLD),
    "usd_per_label": Setting("lifecycle.data.usd_per_label", "a label", HUNDREDFOLD),
    "validation_usd": Setting("lifecycle.data.validation_usd", "for validation", HUNDREDFOLD),
}
# What bounds one input is another: what is shared of a request is part of it, and no token uses more parameters than there are.
AT_LEAST, AT_MOST = {"input_tokens": "shared_prefix_tokens"}, {"active_parameters": "parameters"}


def settable(figures: Mapping[str, Estimate]) -> dict[str, Setting]:
    """Return the inputs that a user can set here, by name: what is 0 has no other size, and what was measured is not to be set."""
    return {
        name: setting
        for name, setting in SETTINGS.items()
        if name in figures and figures[name].value > 0 and figures[name].basis in ("assumed", "list-price")
    }


def within_reach(name: str, setting: Setting, x: Values) -> tuple[float, float]:
    """Return the least and the largest value that the input can be set to; today's lies within."""
    now = x[name]
    least = max(setting.least, now / setting.times, x.get(AT_LEAST.get(name, ""), 0.0))
    most = min(setting.most, now * setting.times, x.get(AT_MOST.get(name, ""), math.inf))
    return min(now, least), max(now, most)


def told(name: str, value: float) -> str:
    """Return an input's value as people say it: "41,000 requests a day"."""
    words = SETTINGS[name].words if name in SETTINGS else name.replace("_", " ")
    if name == "requests_per_s":
        return f"{units.per_day(value)} {words}"
    if name == "horizon_months":
        return f"{units.months(value)} {words}"
    if "usd" in name:
        return f"{units.usd(value)} {words}"
    if name.endswith("_fraction"):
        return f"{units.percent(value)} {words}"
    return f"{units.count(value) if value >= 1e6 else units.number(value)} {words}"
