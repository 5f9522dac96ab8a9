"""The figures that a workload file gives, by the key that each has there, with interval and source."""

import re

import msgspec

from advisor.decide.lifetime.training_cost import BYTES_PER_PARAMETER, FLOP_PER_PARAMETER_TOKEN
from advisor.errors import InputError
from advisor.schema.record import Estimate
from advisor.schema.workload import Lifecycle

GIVEN = "the workload file"
# Sections of the lifecycle whose figures are inputs under their own names; no name stands in two of them.
SECTIONS = ("model", "request", "serving", "owned", "edge", "fine_tuning", "pre_training", "data", "team")
# "a review of each of four releases": what a source says of a sum that stands for so many.
OF_EACH_RELEASE = re.compile(r"\beach of (\w+)(?: \w+)? releases?\b")
PART_OF_A_SUM = re.compile(r"; the sum divided by [0-9]+\Z")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PER_RELEASE = {"validation_usd": "validation_usd_per_release", "labels_to_buy": "labels_per_release"}


def given_figures(requests_per_s: float | None, lifecycle: Lifecycle) -> dict[str, Estimate]:
    """Return the figures that the workload file gives, each with its interval; a rate that is in a trace may be left out.

    Raises InputError for a range or a source of what is no such figure, and for an interval that its figure lies outside of.
    """
    given = {"requests_per_s": requests_per_s, **_given(lifecycle)}
    for key, names in (("ranges", lifecycle.ranges), ("sources", lifecycle.sources)):
        for name in names:
            if name not in given:
                known = ", ".join(sorted(given))
                raise InputError(f"lifecycle.{key}.{name}: no such figure is given", hint=f"give one of: {known}")
    figures = {name: _figure(name, value, lifecycle) for name, value in given.items() if value is not None}
    for whole, each in PER_RELEASE.items():
        count = _releases_of(lifecycle.sources.get(whole, ""))
        if whole in figures and each not in figures and count is not None:
            # The source says that the sum is of so many releases: each of them, planned or not, takes its part.
            total = figures.pop(whole)
            figures[each] = msgspec.structs.replace(
                total,
                value=total.value / count,
                low=total.low / count,
                high=total.high / count,
                source=f"{total.source}; the sum divided by {count}",
            )
            if whole == "labels_to_buy":
                figures[whole] = Estimate(value=0.0, low=0.0, high=0.0, basis="assumed", source=total.source)
    return figures


def is_of_its_own(figure: Estimate) -> bool:
    """Return whether a figure is a key of the file, and not the part of a sum that stands for several releases."""
    return PART_OF_A_SUM.search(figure.source) is None


def _releases_of(source: str) -> int | None:
    found = OF_EACH_RELEASE.search(source)
    if found is None:
        return None
    word = found[1].lower()
    count = NUMBERS.index(word) + 1 if word in NUMBERS else int(word) if word.isdecimal() else 0
    return count or None


def _given(lifecycle: Lifecycle) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in (lifecycle, *(getattr(lifecycle, name) for name in (*SECTIONS, "situation", "options"))):
        if part is None:
            continue
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = float(value)
    if lifecycle.fine_tuning is not None:
        found["fine_tuning_flop_per_parameter_token"] = FLOP_PER_PARAMETER_TOKEN[lifecycle.fine_tuning.method]
        found["fine_tuning_bytes_per_parameter"] = BYTES_PER_PARAMETER[lifecycle.fine_tuning.method]
    return found


def _figure(name: str, value: float, lifecycle: Lifecycle) -> Estimate:
    low, high = lifecycle.ranges.get(name, (value, value))
    if not low <= value <= high:
        raise InputError(
            f"lifecycle.ranges.{name}: {value:g} does not lie within {low:g} and {high:g}", hint="write [low, high] around it"
        )
    return Estimate(value=value, low=low, high=high, basis="assumed", source=lifecycle.sources.get(name, GIVEN))
