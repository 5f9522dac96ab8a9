"""How firm a verdict is: asked again at both ends of every interval, and where the nearest change of one input turns it."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from advisor import units
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.catalog import Class
from advisor.schema.lifetime import Flip
from advisor.schema.record import Estimate

Ask = Callable[[Values], Class | None]

# What people can change or be wrong about, in their words. What is counted in whole pieces, and what a chip is, does not move.
WORDS = {
    "active_parameters": "parameters that a token uses",
    "agent_multiplier": "times the tokens of one call",
    "device_usd_per_hour": "an hour of a device",
    "engineer_usd_per_day": "a day of an engineer",
    "experiments_per_release": "runs for a release",
    "fleet_utilization_fraction": "mean load of the fleet",
    "fine_tuning_tokens": "tokens of fine-tuning",
    "fine_tuning_usd": "a fine-tuning run",
    "fine_tunings_per_year": "fine-tunings a year",
    "horizon_months": "of life",
    "input_tokens": "tokens in a request",
    "labels_to_buy": "labels to buy",
    "labels_usd": "for labels",
    "output_tokens": "tokens in an answer",
    "pre_training_tokens": "tokens of pre-training",
    "pre_training_usd": "of pre-training",
    "reasoning_multiplier": "times the tokens that are shown",
    "requests_per_s": "requests a day",
    "serving_engineer_days_per_month": "engineer days a month to keep it running",
    "serving_mfu_fraction": "of the peak rate while serving",
    "serving_usd_per_hour": "an hour of serving",
    "usd_per_label": "a label",
    "validation_usd": "for validation",
}
MOST = {"horizon_months": 240.0}  # nobody plans beyond twenty years
AT_LEAST_ONE = ("agent_multiplier", "reasoning_multiplier", "experiments_per_release")
LARGEST_STEP = 14  # 2^14: what takes an input sixteen thousand times as large will not happen
CLOSE = 1e-9  # relative: so near to where it turns is exact enough


def turned_by(figures: Mapping[str, Estimate], ask: Ask, now: Class) -> tuple[str, ...]:
    """Return the ends of single intervals at which the class is another, in words."""
    x = {name: figure.value for name, figure in figures.items()}
    found = []
    for name, figure in sorted(figures.items()):
        for end in dict.fromkeys((figure.low, figure.high)):
            other = ask({**x, name: end}) if end != figure.value else now
            if other is not None and other != now:
                found.append(f"{told(name, end)}: {other}")
    return tuple(found)


def flips(x: Values, ask: Ask, now: Class) -> tuple[Flip, ...]:
    """Return the values of single inputs at which the class turns, the nearest by ratio first.

    Inputs are halved and doubled in step until some turn it; within the step where it turns, by bisection. What turns it twice
    within one step stays unseen. Traffic is followed to the end, for everyone asks about it.
    """
    found: list[Flip] = []
    movable = [(name, factor) for name in WORDS if x.get(name, 0.0) > 0 for factor in (2.0, 0.5)]
    for step in range(LARGEST_STEP):
        for name, factor in list(movable):
            flip = _within(x, name, factor**step, factor ** (step + 1), ask, now)
            if flip is not None:
                found.append(flip)
                movable.remove((name, factor))
        if found:
            movable = [entry for entry in movable if entry[0] == "requests_per_s" and not _has(found, "requests_per_s")]
    return tuple(sorted(found, key=_distance))


def _has(found: list[Flip], name: str) -> bool:
    return any(flip.input == name for flip in found)


def _distance(flip: Flip) -> float:
    return abs(math.log(flip.at / flip.now))


def _within(x: Values, name: str, inner: float, outer: float, ask: Ask, now: Class) -> Flip | None:
    """Return where the class turns between two factors of an input; at `inner`, nearer to today, it has not turned yet."""
    value = x[name]
    least = 1.0 if name in AT_LEAST_ONE else 0.0
    most = max(value, MOST.get(name, math.inf))
    stands, turned = (min(most, max(least, value * factor)) for factor in (inner, outer))
    if stands == turned:
        return None
    becomes = ask({**x, name: turned})
    if becomes is None or becomes == now:
        return None
    while abs(turned - stands) > CLOSE * stands:
        middle = (stands + turned) / 2
        other = ask({**x, name: middle})
        if other == now:
            stands = middle
        else:
            turned, becomes = middle, other or becomes
    direction: Literal["below", "above"] = "below" if outer < 1 else "above"
    return Flip(input=name, now=value, at=stands, direction=direction, becomes=becomes, told=f"{direction} {told(name, stands)}")


def told(name: str, value: float) -> str:
    """Return an input's value as people say it: "41,000 requests a day"."""
    words = WORDS.get(name, name.replace("_", " "))
    if name == "requests_per_s":
        return f"{units.per_day(value)} {words}"
    if name == "horizon_months":
        return f"{units.months(value)} {words}"
    if "usd" in name:
        return f"{units.usd(value)} {words}"
    if name.endswith("_fraction"):
        return f"{units.percent(value)} {words}"
    return f"{units.count(value) if value >= 1e6 else units.number(value)} {words}"
