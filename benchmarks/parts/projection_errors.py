"""What projections say of models held back, beside what was measured."""

import math
import statistics
from collections import defaultdict
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.service import public_models, roofline
from advisor.schema.catalog import DeviceClass, Ground, Hardware, ProjectionError, PublicMeasurements, PublicSeries
from advisor.schema.record import Source
from parts.validation_rows import CATALOGUE, class_of

LEVEL = 0.9
# Rooflines of so few pairs of devices say little of other devices, whatever the number of models: their errors count for twice as much.
# An earlier comparison of more CPUs than may be passed on here saw median errors of 28 to 43 %, which is what that comes to.
FEW_PAIRS, WIDENED = 3, 2.0


class Seen(NamedTuple):
    """One projection beside the truth, as logarithms; `margin` is the half width of its interval."""

    device_class: DeviceClass
    ground: Ground
    series: int
    model: str
    source: str
    target: str
    said: float
    true: float
    margin: float

    @property
    def error(self) -> float:
        return abs(math.expm1(self.said - self.true))


def only(entry: PublicSeries, hardware: str) -> PublicSeries:
    """Return the series as somebody knows it who measured on one device."""
    return msgspec.structs.replace(entry, items_per_s={hardware: entry.items_per_s[hardware]})


def anchored(held_back: list[PublicSeries], public: PublicMeasurements) -> list[Seen]:
    """Return each device projected from each other one of its class."""
    found = []
    for number, entry in enumerate(held_back):
        for source in entry.items_per_s:
            for target in entry.items_per_s:
                kind = class_of(source)
                if source == target or kind is None or kind != class_of(target):
                    continue
                said = public_models.ratio(only(entry, source), source, target, public)
                if said is not None:
                    true = math.log(entry.items_per_s[target] / entry.items_per_s[source])
                    found.append(
                        Seen(kind, "anchored", number, entry.model, source, target, said.log_value, true, said.log_margin)
                    )
    return found


def by_roofline(held_back: list[PublicSeries], public: PublicMeasurements, machines: dict[str, Hardware]) -> list[Seen]:
    """Return GPUs projected from the work of the model alone, and CPUs from a measurement on another by the ratio of rooflines."""
    found = []
    for number, entry in enumerate(held_back):
        for target, speed in entry.items_per_s.items():
            kind, device = class_of(target), machines.get(target)
            least = roofline.series_roofline_s(entry, device) if device is not None else None
            if device is None or least is None:
                continue
            if kind == "gpu":
                said = public_models.share_of_roofline(only_nothing(entry), device, public)
                if said is not None:
                    true = math.log(speed * least)
                    found.append(Seen("gpu", said.ground, number, entry.model, "", target, said.log_value, true, said.log_margin))
            else:
                found.extend(_from_cpu(number, entry, target, least, public, machines))
    return found


def _from_cpu(
    number: int, entry: PublicSeries, target: str, least: float, public: PublicMeasurements, machines: dict[str, Hardware]
) -> list[Seen]:
    error = public_models.error_of(public, "cpu", "roofline")
    found = []
    for source, speed in entry.items_per_s.items():
        there = roofline.series_roofline_s(entry, machines[source]) if source in machines and source != target else None
        if there is not None and error is not None and class_of(source) == "cpu":
            true = math.log(entry.items_per_s[target] / speed)
            found.append(
                Seen("cpu", "roofline", number, entry.model, source, target, math.log(there / least), true, error.quantile)
            )
    return found


def only_nothing(entry: PublicSeries) -> PublicSeries:
    """Return the series as somebody knows it who has measured nothing."""
    return msgspec.structs.replace(entry, items_per_s={})


def fit(series: list[PublicSeries], machines: tuple[Hardware, ...], sources: dict[str, tuple[Source, ...]]) -> PublicMeasurements:
    """Return the series with the errors of projecting each of their models from the others: cross-conformal, by model."""
    unit = tuple(
        ProjectionError(device_class=kind, ground=ground, quantile=1.0, rows=1, models=1)
        for kind in ("gpu", "cpu")
        for ground in ("anchored", "similar", "roofline")
    )
    known = CATALOGUE | {entry.id: entry for entry in machines}
    bare = PublicMeasurements(
        series=tuple(series), errors=unit, efficiency=_efficiency(series, known), machines=machines, sources=sources
    )
    found = [*anchored(series, bare), *by_roofline(series, bare, known), *_roofline_alone(series, known)]
    by_kind: dict[tuple[DeviceClass, Ground], list[Seen]] = defaultdict(list)
    for entry in found:
        by_kind[entry.device_class, entry.ground].append(entry)
    errors = tuple(
        ProjectionError(
            device_class=kind,
            ground=ground,
            quantile=_quantile(entries) * (WIDENED if ground == "roofline" and _pairs(entries) < FEW_PAIRS else 1.0),
            rows=len(entries),
            models=len({entry.model for entry in entries}),
        )
        for (kind, ground), entries in sorted(by_kind.items())
    )
    return PublicMeasurements(series=bare.series, errors=errors, efficiency=bare.efficiency, machines=machines, sources=sources)


def _roofline_alone(series: list[PublicSeries], machines: dict[str, Hardware]) -> list[Seen]:
    """Return GPUs projected by what the class reaches at the median of the other models."""
    found = []
    for model in {entry.model for entry in series}:
        others = _efficiency([entry for entry in series if entry.model != model], machines)
        for number, entry in enumerate(series):
            for target, speed in entry.items_per_s.items():
                key, device = f"gpu/{entry.precision}", machines.get(target)
                least = roofline.series_roofline_s(entry, device) if device is not None else None
                if entry.model == model and class_of(target) == "gpu" and least is not None and key in others:
                    said, true = math.log(others[key]), math.log(speed * least)
                    found.append(Seen("gpu", "roofline", number, model, "", target, said, true, 1.0))
    return found


def _efficiency(series: list[PublicSeries], machines: dict[str, Hardware]) -> dict[str, float]:
    """Return what share of the roofline a class reaches in a precision: the median over models of their medians."""
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in series:
        for hardware, speed in entry.items_per_s.items():
            least = roofline.series_roofline_s(entry, machines[hardware]) if hardware in machines else None
            if least is not None:
                shares[f"{class_of(hardware)}/{entry.precision}"][entry.model].append(speed * least)
    return {key: statistics.median(map(statistics.median, of.values())) for key, of in sorted(shares.items())}


def _pairs(found: list[Seen]) -> int:
    return len({frozenset((entry.source, entry.target)) for entry in found})


def _quantile(found: list[Seen]) -> float:
    """Return the LEVEL quantile of |error| / margin, each model of the same weight, with the correction for so few models."""
    scores = np.array([abs(entry.said - entry.true) / entry.margin for entry in found])
    rows: dict[str, int] = defaultdict(int)
    for entry in found:
        rows[entry.model] += 1
    weights = np.array([1 / rows[entry.model] for entry in found])
    order = np.argsort(scores)
    reached = np.cumsum(weights[order]) / len(rows)
    level = min(LEVEL * (1 + 1 / len(rows)), 1.0)
    return float(scores[order][min(int(np.searchsorted(reached, level)), len(scores) - 1)])
