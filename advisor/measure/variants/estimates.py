"""What a scheme may bring and what trying it costs, before any time is spent on it; and how much is looked at in the time there is."""

import math

import msgspec

from advisor.measure.model.operator_cost import CONVOLUTIONS
from advisor.measure.variants.settings import ScreeningSettings
from advisor.schema.catalog import CPU, Scheme
from advisor.schema.model import ModelFacts

# Times as fast as floats, in convolutions and in everything else that a scheme changes: medians of our own measurements on x86
# processors (encoders, decoders and ResNet-18, batch 1 and 8, one thread). They order the schemes; the measurement decides.
SPEED_UP: dict[str, tuple[float, float]] = {
    "dynamic-quantization": (0.27, 2.5),
    "static-quantization": (3.3, 2.0),
    "weight-only": (1.0, 1.4),
    "half-precision": (0.8, 1.0),
    "full-precision": (1.2, 1.3),  # over the same file in 16 bits, whose values are cast at every call
    "graph-optimization": (1.0, 1.0),
    "transformer-fusion": (1.0, 1.02),
    "provider": (1.9, 1.1),
}
BF16_SPEED_UP = (2.0, 1.9)
DEVICE_SPEED_UP = 10.0  # of an accelerator over the processor beside it: what is there is tried first
# Seconds for each byte of the model's file, and beside them: what the tools took on models of 2 to 226 MB, the slowest of each.
MAKING_S_PER_BYTE = {
    "dynamic-quantization": 6.5e-8,
    "static-quantization": 9e-8,
    "weight-only": 2e-8,
    "half-precision": 4e-8,
    "full-precision": 1e-8,
    "graph-optimization": 4e-9,
    "transformer-fusion": 6e-8,
    "provider": 0.0,
}
MAKING_S = 0.15
# Calls of the model as given that a calibrated item costs: every activation is an output, for ranges and once more for the means.
CALLS_PER_CALIBRATION_ITEM = {"minmax": 2.5, "entropy": 5.0, "percentile": 4.0}
CALLS_PER_MEAN = 1.5  # of a scheme that only corrects its biases by them
FEWEST_CALIBRATION_ITEMS = 8
# Quality of fewer items says nothing, and their bootstrap would not show that.
FEWEST_JUDGED_ITEMS = 10
# What is left beside making goes so much of it into each; the rest is for what takes longer than was thought.
CALIBRATING_SHARE, AGREEING_SHARE, LOOKING_SHARE = 0.25, 0.1, 0.2
JUDGED_PART = 0.2  # of the time beside making is for the answers of one variant, where the baseline and one other are judged
PAIR = 2  # the baseline takes turns with the variant


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of the model as given take, as far as is known."""

    call_s: float  # a single item on one thread
    item_s: float  # an item of many, on all cores
    are_items_given: bool = False  # the user's, on whose means biases are corrected


def hope(scheme: Scheme, facts: ModelFacts) -> float:
    """Return how many times faster than the model as given the scheme may be, by what was measured of such operators."""
    if scheme.method == "provider" and scheme.provider not in (CPU, "openvino"):
        return DEVICE_SPEED_UP
    of_convolutions, of_others = BF16_SPEED_UP if scheme.needs in ("bf16", "bf16-arm") else SPEED_UP[scheme.method]
    flop = {entry.type: entry.flop_per_item or 0.0 for entry in facts.operators}
    total = sum(flop.values())
    if total == 0:
        return 1.0
    changed = {name: share for name, share in flop.items() if not scheme.operators or name in scheme.operators}
    convolutions = sum(share for name, share in changed.items() if name in CONVOLUTIONS) / total
    others = sum(share for name, share in changed.items() if name not in CONVOLUTIONS) / total
    return 1 / (1 - convolutions - others + convolutions / of_convolutions + others / of_others)


def making_s(scheme: Scheme, facts: ModelFacts, costs: Costs, calibration_items: int) -> float:
    """Return about how many seconds the file takes to make."""
    if scheme.method == "provider":
        return 0.0
    fixed_s = MAKING_S + MAKING_S_PER_BYTE[scheme.method] * facts.file_bytes
    return fixed_s + calibration_items * _calls_per_item(scheme, costs) * costs.call_s


def _calls_per_item(scheme: Scheme, costs: Costs) -> float:
    if scheme.calibration is not None:
        return CALLS_PER_CALIBRATION_ITEM[scheme.calibration]
    return CALLS_PER_MEAN if scheme.bias_correction and costs.are_items_given else 0.0


def comparing_s(costs: Costs, screening: ScreeningSettings) -> float:
    """Return about how many seconds agreement and first looks take, of a variant as fast as the model as given."""
    looks = sum(_look_s(costs, screening, size) for size in screening.look_batch_sizes)
    return screening.compared_items * costs.item_s + looks


def _look_s(costs: Costs, screening: ScreeningSettings, size: int) -> float:
    is_long = costs.call_s * size > screening.long_call_s
    looks, calls = (screening.long_looks, screening.long_look_calls) if is_long else (screening.looks, screening.look_calls)
    # A call beforehand warms up; long ones are warm from the first look on.
    calls_s = looks * calls * costs.call_s * size + costs.call_s * size * (1 if is_long else looks)
    return PAIR * max(calls_s, looks * screening.look_s)


def least_s(scheme: Scheme, facts: ModelFacts, costs: Costs, screening: ScreeningSettings) -> float:
    """Return about how many seconds trying the scheme takes where as little as possible is looked at."""
    return making_s(scheme, facts, costs, FEWEST_CALIBRATION_ITEMS) + comparing_s(costs, _least(screening))


def _least(screening: ScreeningSettings) -> ScreeningSettings:
    return msgspec.structs.replace(
        screening, looks=1, long_looks=1, look_calls=1, long_look_calls=1, look_s=0.0, compared_items=1, look_batch_sizes=(1,)
    )


def affordable(
    schemes: list[Scheme], facts: ModelFacts, costs: Costs, screening: ScreeningSettings, seconds: float
) -> list[Scheme]:
    """Return the schemes that can be tried within so many seconds, taken in their order."""
    found, left_s = [], seconds
    for scheme in schemes:
        cost_s = least_s(scheme, facts, costs, screening)
        if cost_s <= left_s:
            found.append(scheme)
            left_s -= cost_s
    return found


def paced(
    screening: ScreeningSettings, schemes: list[Scheme], others: int, facts: ModelFacts, costs: Costs, seconds: float
) -> ScreeningSettings:
    """Return the settings cut down to what trying these schemes and so many other files in so many seconds leaves time for.

    Where there is time enough they stay as they are. Never are there more looks or items than were asked for.
    """
    least = _least(screening)
    needed_s = sum(least_s(scheme, facts, costs, screening) for scheme in schemes) + others * comparing_s(costs, least)
    tried = len(schemes) + others
    each_s = max(0.0, seconds - needed_s) / max(1, tried)
    lossy = others + sum(not scheme.lossless for scheme in schemes)
    return msgspec.structs.replace(
        _with_looks(screening, costs, LOOKING_SHARE * each_s),
        compared_items=_between(1, AGREEING_SHARE * each_s / PAIR / max(costs.item_s, 1e-9), screening.compared_items),
        calibration_items=_calibration_items(screening, costs, CALIBRATING_SHARE * each_s),
        # The model as given answers the questions once, each variant that is judged once more.
        judging_s=screening.judging_s
        if math.isinf(screening.judging_share)
        else min(screening.judging_s, screening.judging_share * each_s * tried / (lossy + 1)),
    )


def _with_looks(screening: ScreeningSettings, costs: Costs, seconds: float) -> ScreeningSettings:
    """Return the settings with as many looks as fit in: fewer sizes first, then shorter looks, then fewer."""
    smallest = screening.look_batch_sizes[:1]
    several = {"looks": min(2, screening.looks), "look_s": screening.look_s / 3}
    for changes in ({}, {"look_batch_sizes": smallest}, several | {"look_batch_sizes": smallest}):
        tried = msgspec.structs.replace(screening, **changes)
        if sum(_look_s(costs, tried, size) for size in tried.look_batch_sizes) <= seconds:
            return tried
    least = _least(screening)
    return msgspec.structs.replace(
        screening,
        **{name: getattr(least, name) for name in ("looks", "long_looks", "look_calls", "long_look_calls")},
        look_s=screening.look_s / 3,
        look_batch_sizes=smallest,
    )


def _calibration_items(screening: ScreeningSettings, costs: Costs, seconds: float) -> int:
    """Return a power of two: files made from as many items are the same from run to run."""
    items = FEWEST_CALIBRATION_ITEMS + seconds / max(costs.call_s * max(CALLS_PER_CALIBRATION_ITEM.values()), 1e-9)
    return min(screening.calibration_items, 1 << int(math.log2(min(items, 1e9))))


def _between(least: int, wanted: float, most: int) -> int:
    return int(max(least, min(wanted, most)))
