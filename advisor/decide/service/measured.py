"""Site -> seconds per call at any batch size and length, with interval, and the spread of single calls around it.

Medians are interpolated linearly between logarithms, first over batch sizes at each measured length, then over lengths: a power law
between neighbors, which both a fixed cost and a cost per item look like locally. Beyond the measured range the last slope goes on.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np

from advisor.decide.service.stalls import StallProcess, is_stalled, process_of, robust_deviation
from advisor.medians import Medians, Noise, medians_of
from advisor.schema.catalog import Ground
from advisor.schema.profile import Calibration, Measurement, NoiseFloor, Power, Site, Stalls, Variant
from advisor.schema.record import Estimate, Exclusion, Record
from advisor.visits import counting_of_all, slowdown_at_other_distance, usual_hop_s

# What a slope carried beyond the measured range may be off by, per factor of two.
PROJECTION_FRACTION = 0.15
SPREAD_POINTS = 1024
# A machine stays as fast as it is for some seconds, whatever it is that slows it: visits of a point are further apart, batches are not.
STATE_S = 5.0
Setting = tuple[str, int, int]  # variant, intra_op_num_threads, instances
GroundOfService = Literal["measured"] | Ground
SIDE = {"low": -1.0, "value": 0.0, "high": 1.0}  # of an interval, where its margin is taken


class HasSetting(Protocol):
    """Whatever is of one variant under one setting: a grid, a configuration, a candidate, a calibration, a measurement."""

    @property
    def variant(self) -> str:
        """The id of the variant."""

    @property
    def intra_op_num_threads(self) -> int:
        """Threads of each instance."""

    @property
    def instances(self) -> int:
        """Instances side by side."""


def setting_of(entry: HasSetting) -> Setting:
    """Return by what service times are kept."""
    return entry.variant, entry.intra_op_num_threads, entry.instances


class ServiceGrid(Record, frozen=True, kw_only=True):
    """What was measured of one variant under one setting; rungs are ascending in batch size, lengths in length."""

    variant: str
    intra_op_num_threads: int
    instances: int
    lengths: tuple[int | None, ...]
    batch_sizes: tuple[tuple[int, ...], ...]  # per length
    medians: tuple[tuple[Estimate, ...], ...]  # per length
    spread: tuple[float, ...]  # single calls over the median of their point, ascending, thinned evenly

    @property
    def max_batch_size(self) -> int:
        """The largest batch that was measured at any length."""
        return max(sizes[-1] for sizes in self.batch_sizes)


class Service(Record, frozen=True, kw_only=True):
    """How fast variants run on a machine, by (variant, intra_op_num_threads, instances), and what is known of it beside."""

    grids: dict[Setting, ServiceGrid]
    variants: tuple[Variant, ...]
    exclusions: tuple[Exclusion, ...] = ()  # variants that have no service times here, with the reason
    ground: GroundOfService = "measured"
    calibrations: tuple[Calibration, ...] = ()
    trial: Calibration | None = None
    noise_fraction: float | None = None
    noise_floors: tuple[NoiseFloor, ...] = ()
    power: Power | None = None
    stalls: StallProcess | None = None  # of each of the machine's cores; None: nobody watched
    watches: tuple[Stalls, ...] = ()  # that `stalls` are from
    quota_cores: float | None = None  # of processor time that a replica has; None: all of its cores
    versions: dict[str, str]


def service_of(site: Site, cleaned: Site) -> Service:
    """Return the service times of the machine that was measured, from the visits that count: those of `cleaned`."""
    return Service(
        grids=service_grids(cleaned, slowdowns(site)),
        variants=site.variants,
        calibrations=site.calibrations,
        trial=site.trial,
        noise_fraction=site.noise_fraction,
        noise_floors=site.noise_floors,
        power=site.power,
        stalls=process_of(site.stalls),
        watches=site.stalls,
        quota_cores=site.machine.quota_cores,
        versions=site.versions,
    )


def undisturbed(site: Site) -> Site:
    """Return the site with the visits that count, as they would have been had the machine done nothing else."""
    return msgspec.structs.replace(site, measurements=counting_of_all(site.measurements))


def slowdowns(site: Site) -> dict[tuple[int, int], float]:
    """Return by setting, (intra_op_num_threads, instances), how much longer calls take in a state of the machine that will come back."""
    usual_s = usual_hop_s(visit for entry in site.measurements for visit in entry.visits)
    by_setting = defaultdict(list)
    for entry in site.measurements:
        by_setting[entry.intra_op_num_threads, entry.instances].append(entry)
    return {setting: slowdown_at_other_distance(entries, usual_s) for setting, entries in by_setting.items()}


def service_grids(site: Site, slowdowns: Mapping[tuple[int, int], float] | None = None) -> dict[Setting, ServiceGrid]:
    """Return the grid of each (variant, intra_op_num_threads, instances) of the site, the repeated baseline left out.

    Its visits are those that count, `undisturbed`.
    `slowdowns` holds by setting, (intra_op_num_threads, instances), how many times as long calls took in another state of
    the machine: intervals reach so far.
    """
    known, medians = {variant.id for variant in site.variants}, medians_of(site)
    settings: dict[Setting, list[Measurement]] = defaultdict(list)
    for measurement in site.measurements:
        if measurement.variant in known:
            settings[setting_of(measurement)].append(measurement)
    stalls = process_of(site.stalls)
    return {key: _grid(measured, medians, (slowdowns or {}).get(key[1:], 1.0), stalls) for key, measured in settings.items()}


def noise_of_test(measured: Site | Service, intra_op_num_threads: int, instances: int, duration_s: float) -> float:
    """Return how far a load test under a setting may be off what lasts, as a fraction: it tells as much as a visit every STATE_S would."""
    fraction = measured.noise_fraction or 0.0  # over all settings, where this one was not measured twice
    for entry in measured.noise_floors:
        if (entry.intra_op_num_threads, entry.instances) == (intra_op_num_threads, instances):
            if (noise := _parts_of(entry)) is not None:
                return math.expm1(noise.half_width(1 + int(duration_s / STATE_S)))
            fraction = entry.fraction
    # What two equal things differ by, as that of one of them.
    return math.expm1(math.log1p(fraction) / math.sqrt(2.0))


def _parts_of(floor: NoiseFloor) -> Noise | None:
    if floor.between_visits is None or floor.visit_freedom is None:
        return None
    if floor.between_processes is None or floor.process_freedom is None:
        return None
    return Noise(floor.between_visits, floor.visit_freedom, floor.between_processes, floor.process_freedom)


def _grid(measured: list[Measurement], known: Medians, slowdown: float, stalls: StallProcess | None = None) -> ServiceGrid:
    lengths = sorted({entry.sequence_length for entry in measured}, key=lambda length: length or 0)
    ladders = [
        sorted((entry for entry in measured if entry.sequence_length == length), key=lambda entry: entry.batch_size)
        for length in lengths
    ]
    return ServiceGrid(
        variant=measured[0].variant,
        intra_op_num_threads=measured[0].intra_op_num_threads,
        instances=measured[0].instances,
        lengths=tuple(lengths),
        batch_sizes=tuple(tuple(entry.batch_size for entry in ladder) for ladder in ladders),
        medians=tuple(tuple(_reaching(known.estimate(entry), slowdown) for entry in ladder) for ladder in ladders),
        spread=_spread(measured, stalls),
    )


def _reaching(median: Estimate, slowdown: float) -> Estimate:
    high = median.value * slowdown
    if high <= median.high:
        return median
    source = f"{median.source}; {slowdown:.2f} times as long while the cores were not as far apart as usual"
    return msgspec.structs.replace(median, high=high, source=source)


def _spread(measured: list[Measurement], stalls: StallProcess | None) -> tuple[float, ...]:
    """Return single calls over the median of their point, without those that stalls account for, which are simulated by themselves."""
    every = [np.concatenate([visit.latency_s for visit in entry.visits]) for entry in measured]
    medians_s = np.concatenate([np.full(len(calls), np.median(calls)) for calls in every])
    deviations_s = np.concatenate([np.full(len(calls), robust_deviation(calls)) for calls in every])
    calls_s = np.concatenate(every)
    expected = 0.0
    if stalls is not None:
        expected = stalls.rate_per_s["value"] * measured[0].intra_op_num_threads * float(calls_s.sum())
    kept = ~is_stalled(calls_s - medians_s, deviations_s, stalls, expected)
    return _thinned((calls_s / medians_s)[kept])


def _thinned(values: np.ndarray) -> tuple[float, ...]:
    """Return the values ascending; of more than SPREAD_POINTS, so many evenly spaced quantiles, which have the same mean and tails."""
    if len(values) > SPREAD_POINTS:
        values = np.quantile(values, (np.arange(SPREAD_POINTS) + 0.5) / SPREAD_POINTS)
    return tuple(np.sort(values).tolist())


def service_table(grid: ServiceGrid, max_batch_size: int, lengths: Sequence[int | None], *, end: str) -> np.ndarray:
    """Return seconds per call (max_batch_size, lengths) at one `end` of the interval: "value", "low" or "high".

    Larger batches and longer items never take less, which the bounds of the search rely on: where noise says otherwise, the running
    maximum is taken.
    """
    batches = np.log(np.arange(1, max_batch_size + 1))
    ladders = zip(grid.batch_sizes, grid.medians, strict=True)
    lines = [_line(batches, np.log(sizes), *_value_and_margin(medians, end)) for sizes, medians in ladders]
    value, margin = (np.array(part).T for part in zip(*lines, strict=True))  # each (max_batch_size, measured lengths)
    known = [length for length in grid.lengths if length is not None]
    if known and lengths[0] is not None:
        wanted = np.log(np.array(lengths, dtype=float))
        lines = [_line(wanted, np.log(known), *row) for row in zip(value, margin, strict=True)]
        value, margin = (np.array(part) for part in zip(*lines, strict=True))
    else:
        value, margin = (np.repeat(part[:, :1], len(lengths), axis=1) for part in (value, margin))
    table = np.exp(value + SIDE[end] * margin)
    return np.ascontiguousarray(np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1))


def is_projected(grid: ServiceGrid, max_batch_size: int, lengths: Sequence[int | None]) -> bool:
    """Return whether batches up to this size, or any of the lengths, lie outside of what was measured."""
    known = [length for length in grid.lengths if length is not None]
    asked = [length for length in lengths if length is not None]
    if any(max_batch_size > sizes[-1] for sizes in grid.batch_sizes):
        return True
    return bool(known and asked) and (min(asked) < min(known) or max(asked) > max(known))


def _value_and_margin(medians: Sequence[Estimate], end: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of the values, and how far this end of each interval lies from them."""
    values = np.log([median.value for median in medians])
    return values, np.abs(np.log([getattr(median, end) for median in medians]) - values)


def _line(wanted: np.ndarray, known: np.ndarray, values: np.ndarray, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and margins, interpolated linearly; beyond the last point the last slope goes on, at least in proportion.

    There the margin widens. The slope is that of the values alone: each end with a slope of its own would cross the others.
    """
    beyond = np.maximum(wanted - known[-1], 0.0)
    # A slope of 1 in logarithms is proportion: a call twice as large takes twice as long.
    slope = max(1.0, (values[-1] - values[-2]) / (known[-1] - known[-2])) if len(known) > 1 else 1.0
    widening = math.log1p(PROJECTION_FRACTION) / math.log(2)
    return np.interp(wanted, known, values) + beyond * slope, np.interp(wanted, known, margins) + beyond * widening
