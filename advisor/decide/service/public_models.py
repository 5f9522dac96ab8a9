"""Service on a device that was not measured, from public measurements: never a figure without an interval from held-back errors.

Three grounds, named in every result. `anchored`: the model was measured on one device, and public models like it were measured on
that device and on the target: their ratio is taken. `similar`: public models like it were measured on the target: their share of the
roofline is taken. `roofline`: the share that devices of the class reach at the median. An interval is split conformal: the quantile of
|log error| over a scale, on models that took no part in the fit.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from advisor.decide.service.roofline import device_class, series_roofline_s
from advisor.schema.catalog import DeviceClass, Ground, Hardware, ProjectionError, PublicMeasurements, PublicSeries
from advisor.schema.record import Record

# How unlike two settings are, as an exponent: a weight falls to a third for each. Set by hand once for all models; twice as wide and
# half as wide did no better over splits by model.
UNLIKE_FAMILY, UNLIKE_FRAMEWORK, UNLIKE_PRECISION, UNLIKE_SCENARIO, UNLIKE_DEVICES, UNTOLD = 2.0, 1.0, 1.5, 0.5, 0.7, 0.5
# Of what two settings may differ in by degree: the difference of logarithms that makes a weight fall to a third.
DEGREES = {
    "batch_size": 1.5,
    "batch_s": 1.5,
    "flop": 1.5,
    "intensity": 0.5,
    "parameters": 2.0,
    "sequence_length": 1.5,
    "output_length": 1.5,
}
FARTHEST = 4.0  # no single difference counts for more
# Public models have to be worth half a model that is alike in everything; fewer are no ground to stand on.
ENOUGH_WEIGHT = 0.5
LEAST_SCALE = 0.05  # neighbors that agree perfectly are not known better than measurements repeat


class Projection(Record, frozen=True, kw_only=True):
    """The logarithm of what was asked, how far it may be off at either side (90 %), and on what it stands."""

    log_value: float
    log_margin: float
    ground: Ground
    rows: int  # public measurements behind it


def ratio(query: PublicSeries, source: str, target: str, public: PublicMeasurements) -> Projection | None:
    """Return how many times as fast the target is as the source for a model that was measured on the source.

    `query.items_per_s` holds the measurement of the source. None where too few public models like it were measured on both.
    """
    known = [entry for entry in public.series if source in entry.items_per_s and target in entry.items_per_s]
    known = [entry for entry in known if entry.model != query.model]
    values = [math.log(entry.items_per_s[target] / entry.items_per_s[source]) for entry in known]
    return _from_neighbors(query, known, values, source, public, _class_of(target), "anchored")


def share_of_roofline(query: PublicSeries, target: Hardware, public: PublicMeasurements) -> Projection | None:
    """Return the logarithm of the share of its roofline that a model reaches, by public models like it on the target or its class.

    Frameworks and precisions are weighed; what a class reaches at the median is taken where nothing like it was measured there.
    """
    kind = device_class(target)
    if kind is None or query.precision is None:
        return None
    known, values = [], []
    for entry in public.series:
        least = series_roofline_s(entry, target) if target.id in entry.items_per_s and entry.model != query.model else None
        if least is not None:
            known.append(entry)
            values.append(math.log(least * entry.items_per_s[target.id]))
    near = _from_neighbors(query, known, values, target.id, public, kind, "similar")
    if near is not None:
        return near
    error, reached = error_of(public, kind, "roofline"), public.efficiency.get(f"{kind}/{query.precision}")
    if error is None or reached is None:
        return None
    return Projection(log_value=math.log(reached), log_margin=error.quantile, ground="roofline", rows=error.rows)


def error_of(public: PublicMeasurements, kind: DeviceClass, ground: Ground) -> ProjectionError | None:
    """Return how far projections of a kind were off on models held back; None where nothing was."""
    return next((entry for entry in public.errors if (entry.device_class, entry.ground) == (kind, ground)), None)


def _from_neighbors(
    query: PublicSeries,
    known: list[PublicSeries],
    values: list[float],
    measured_on: str,
    public: PublicMeasurements,
    kind: DeviceClass,
    ground: Ground,
) -> Projection | None:
    found = weighted(query, known, values, measured_on)
    error = error_of(public, kind, ground)
    if found is None or error is None:
        return None
    mean, scale, rows = found
    return Projection(log_value=mean, log_margin=error.quantile * scale, ground=ground, rows=rows)


def weighted(
    query: PublicSeries, known: list[PublicSeries], values: list[float], measured_on: str
) -> tuple[float, float, int] | None:
    """Return mean, scale of its error and number of the values of neighbors, by how like the query they are; None of too few."""
    if not known:
        return None
    weights = np.exp(-_distances(query, known, measured_on))
    if weights.sum() < ENOUGH_WEIGHT:
        return None
    mean = float(np.average(values, weights=weights))
    variance = float(np.average((np.array(values) - mean) ** 2, weights=weights))
    return mean, math.sqrt(variance + LEAST_SCALE**2), int((weights > weights.max() / 100).sum())


def _distances(query: PublicSeries, known: list[PublicSeries], measured_on: str) -> np.ndarray:
    """Return how unlike each series (known,) is to the query."""
    named: tuple[tuple[Callable[[PublicSeries], object], float], ...] = (
        (lambda entry: entry.family, UNLIKE_FAMILY),
        (lambda entry: entry.framework, UNLIKE_FRAMEWORK),
        (lambda entry: entry.precision, UNLIKE_PRECISION),
        (lambda entry: entry.scenario, UNLIKE_SCENARIO),
        (lambda entry: entry.devices, UNLIKE_DEVICES),
    )
    # What the query does not say of itself, as a user's model has no publisher, sets nothing apart.
    apart = np.array(
        [sum(cost for of, cost in named if of(query) != "" and of(entry) != of(query)) for entry in known], dtype=float
    )
    asked = np.array(_degrees(query, measured_on))
    there = np.array([_degrees(entry, measured_on) for entry in known])
    far = np.minimum(((there - asked) / np.array(list(DEGREES.values()))) ** 2, FARTHEST)
    half_told = np.isnan(there) != np.isnan(asked)
    apart += np.where(np.isnan(far), np.where(half_told, UNTOLD, 0.0), far).sum(axis=1)
    return apart


def _degrees(entry: PublicSeries, measured_on: str) -> tuple[float, ...]:
    """Return logarithms in the order of DEGREES, NaN for what is not known."""
    speed = entry.items_per_s.get(measured_on)
    return _logs(
        entry.batch_size,
        (entry.batch_size or 1.0) * entry.devices / speed if speed else None,
        entry.flop_per_item,
        entry.flop_per_item / entry.activations_per_item if entry.flop_per_item and entry.activations_per_item else None,
        entry.parameters,
        entry.sequence_length,
        entry.output_length,
    )


@lru_cache(maxsize=16384)  # pairs of devices ask for the same series again and again
def _logs(*values: float | None) -> tuple[float, ...]:
    return tuple(math.nan if value is None else math.log(value) for value in values)


def _class_of(hardware: str) -> DeviceClass:
    return "cpu" if hardware.startswith("cpu") else "gpu"
