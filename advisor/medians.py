"""Seconds per call of each point with its 90 % interval, from the visits that count and the noise that all points show together.

One visit tells no spread, and three tell little: the spread of medians from visit to visit is pooled over the repeated visits of all
points, which are one thing measured again, and the spread from process to process is that of the baseline and the same file elsewhere.
Both are standard deviations of logarithms, robust against single odd visits.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from advisor import units
from advisor.schema.profile import Measurement, NoiseFloor, Site, Visit
from advisor.schema.record import Estimate
from advisor.visits import counting_of_all, disturbed_fraction, is_clean, shared_core, unexplained

# 95th percentile of Student's t by degrees of freedom: a 90% interval of a mean of so few visits.
STUDENT_T_95 = {
    1: 6.31,
    2: 2.92,
    3: 2.35,
    4: 2.13,
    5: 2.02,
    6: 1.94,
    7: 1.89,
    8: 1.86,
    9: 1.83,
    10: 1.81,
    15: 1.75,
    20: 1.72,
    30: 1.70,
}
NORMAL_95 = 1.645
AGAIN = "~again"  # behind the name of the baseline: the same file in another process
# Where nothing at all was measured twice, medians of single visits are assumed to lie within so much, in 90 of 100 cases.
UNREPEATED_FRACTION = 0.15
# The same file in another process, on a quiet machine, one thread: 2 to 4 % (2026-11). Few profiles have enough pairs to know better,
# so this counts beside them, as if it had been seen at so many points.
PROCESS_SIGMA = 0.02
PROCESS_PRIOR_FREEDOM = 2.0
# What calls take less their waiting, over what they take on a quiet machine, as a logarithm: other work on a core leaves caches and branch
# predictors cold, and that is processor time of the calls themselves, no waiting. 0 on a Zen 4 with AVX-512 (ratios of 0.99 to 1.06); 0.10
# (median) and 0.14 (mean) over 259 points on one thread of 20 busy profiles on a Zen 2 with AVX2, a loop on every core: 0.02 of an int8
# encoder, 0.07 of a CNN of 0.05 to 0.4 ms, 0.24 of an fp32 encoder of 7 to 67 ms (`benchmarks/busy_machine.py`, 2026-11-29). Nothing in a
# profile tells one from the other, so all are taken for what lies between, with a standard deviation by which intervals cover 86 % of those
# points, and 69 % of the encoder's in fp32 (54 % and 19 % where 0 and 0.04 were assumed, by the Zen 4).
SHARED_CORE_LOG = 0.07
CORRECTED_SIGMA = 0.09
# Of fewer visits, a median is what the machine did just then: two processes differed by 0.1 to 0.46, of twenty by 0.02 (2026-11).
ENOUGH_OF_PAIR, ENOUGH_PAIRS = 3, 3  # visits in both, and pairs of so many, for the others not to count
ENOUGH_REPEATS = 8  # of a setting, as degrees of freedom, to speak for itself
# Huber's bound, in standard deviations, beyond which a residual counts no more than at it; what the squares so bounded are of a normal
# law, on average; and the part of its degrees of freedom that the bounded scale keeps there.
BOUND = 1.5
BOUNDED_SQUARE = 0.7778
SCALE_EFFICIENCY = 0.7
# The median of three visits or more is less sure than their mean would be, by 1.1 (4 visits) to 1.25 (many).
MEDIAN_OVER_MEAN = 1.2
# Visits of one point that differ from each other by so many times as much as those of others do speak for themselves.
OUT_OF_LINE = 3.0
MAD_OF_NORMAL = 0.6745  # the median absolute deviation, in standard deviations
SCALE_STEPS, SCALE_PRECISION = 200, 1e-9

FoundT = TypeVar("FoundT")
Setting = tuple[int, int]  # intra_op_num_threads, instances
_Shape = tuple[str, int, int | None]  # variant, batch size, sequence length
_Point = tuple[str, int, int | None, int, int]  # and intra_op_num_threads, instances


class Noise(NamedTuple):
    """How much medians of the same calls differ: standard deviations of logarithms, each with its degrees of freedom."""

    between_visits: float
    visit_freedom: float
    between_processes: float
    process_freedom: float

    def half_width(self, visits: int, *, of_visit: float | None = None, more: float = 0.0) -> float:
        """Return half of the 90 % interval of the logarithm of a median of so many visits.

        `of_visit` stands for `between_visits`, where a point shows a spread of its own; `more` is a further standard deviation.
        """
        efficiency = MEDIAN_OVER_MEAN if visits > 2 else 1.0
        sampling = (efficiency * (self.between_visits if of_visit is None else of_visit)) ** 2 / visits
        process = self.between_processes**2
        whole = sampling + process + more**2
        if whole == 0:
            return 0.0
        # Satterthwaite's degrees of freedom of a sum of variances.
        freedom = whole**2 / max(sampling**2 / self.visit_freedom + process**2 / self.process_freedom, 1e-300)
        return student_t_95(max(1.0, freedom)) * math.sqrt(whole)

    def difference(self, visits: int) -> float:
        """Return what 90 % of the differences between the medians of two equal things stay below, as a logarithm."""
        return math.sqrt(2.0) * self.half_width(visits)


class Medians(NamedTuple):
    """What the points of one site are known by together: the noise, by setting where it has enough, and one thread's medians."""

    noise: Noise  # over all settings
    by_setting: Mapping[Setting, Noise]
    one_thread_s: Mapping[_Shape, float]

    def noise_of(self, intra_op_num_threads: int, instances: int) -> Noise:
        """Return the noise of the setting, over all settings where it has too little."""
        return self.by_setting.get((intra_op_num_threads, instances), self.noise)

    def estimate(self, entry: Measurement) -> Estimate:
        """Return the median seconds per call of a point with its 90 % interval; its visits are those that count."""
        single = self.one_thread_s.get((entry.variant, entry.batch_size, entry.sequence_length))
        noise = self.noise_of(entry.intra_op_num_threads, entry.instances)
        return median_estimate(entry.visits, noise, threads=entry.intra_op_num_threads, one_thread_s=single)


def medians_of(site: Site) -> Medians:
    """Return what the points of the site are known by; its visits are those that count.

    Where the baseline was not measured in another process, that part is as the site records it, and as it usually is otherwise.
    """
    fallback = None if site.noise_fraction is None else of_one(site.noise_fraction)
    recorded = {(floor.intra_op_num_threads, floor.instances): of_one(floor.fraction) for floor in site.noise_floors}
    known = medians_among(site.measurements)
    if any(entry.variant.endswith(AGAIN) for entry in site.measurements):
        return known
    settings = {(entry.intra_op_num_threads, entry.instances) for entry in site.measurements}
    by_setting = {setting: _with_process(known.noise_of(*setting), recorded.get(setting, fallback)) for setting in settings}
    return known._replace(noise=_with_process(known.noise, fallback), by_setting=by_setting)


def _with_process(noise: Noise, between_processes: float | None) -> Noise:
    if between_processes is None:
        return noise
    return noise._replace(between_processes=between_processes, process_freedom=math.inf)


def of_one(difference_fraction: float) -> float:
    """Return the standard deviation of each of two equal things whose differences stay below this in 90 of 100 cases."""
    return math.log1p(difference_fraction) / (math.sqrt(2.0) * NORMAL_95)


def medians_among(measurements: Sequence[Measurement]) -> Medians:
    """Return what these points are known by; their visits are those that count."""
    residuals: dict[Setting, list[float]] = {}
    logs_of = {point_of(entry): _log_medians(entry.visits) for entry in measurements if entry.visits}
    for (*_, threads, instances), logs in logs_of.items():
        residuals.setdefault((threads, instances), []).extend(residuals_of(logs))
    every = [residual for listed in residuals.values() for residual in listed]
    # Where no point was visited again, the baseline was at least elsewhere: single visits in two processes.
    between = between_visits_of(every or [difference for *_, difference in _elsewhere(logs_of)])
    alone = {
        setting: between_visits_of(listed)
        for setting, listed in residuals.items()
        if SCALE_EFFICIENCY * len(listed) >= ENOUGH_REPEATS
    }
    process = _between_processes(logs_of, {setting: scale for setting, (scale, _) in alone.items()}, between[0])
    return Medians(
        noise=Noise(*between, *process),
        by_setting={setting: Noise(*found, *process) for setting, found in alone.items()},
        one_thread_s={
            (variant, size, length): math.exp(statistics.median(logs))
            for (variant, size, length, *setting), logs in logs_of.items()
            if setting == [1, 1]
        },
    )


def noise_floors(measurements: Sequence[Measurement]) -> tuple[float | None, tuple[NoiseFloor, ...]]:
    """Return the noise floor over all settings and that of each, as a site records them; None and none where nothing was repeated.

    `measurements` are as they were made: what counts of their visits is sorted out here.
    """
    counted = counting_of_all(measurements)
    if not any(len(entry.visits) > 1 or entry.variant.endswith(AGAIN) for entry in counted):
        return None, ()
    known = medians_among(counted)
    floors = []
    for setting in sorted({(entry.intra_op_num_threads, entry.instances) for entry in counted}):
        noise = known.noise_of(*setting)
        visits = [len(entry.visits) for entry in counted if (entry.intra_op_num_threads, entry.instances) == setting]
        floors.append(
            NoiseFloor(
                intra_op_num_threads=setting[0],
                instances=setting[1],
                fraction=math.expm1(noise.difference(statistics.median_low(visits))),
                between_visits=noise.between_visits,
                visit_freedom=noise.visit_freedom,
                between_processes=noise.between_processes,
                process_freedom=noise.process_freedom,
            )
        )
    usual = statistics.median_low([len(entry.visits) for entry in counted])
    return math.expm1(known.noise.difference(usual)), tuple(floors)


def median_estimate(visits: Sequence[Visit], noise: Noise, *, threads: int = 1, one_thread_s: float | None = None) -> Estimate:
    """Return the median seconds per call with its 90% interval, of visits that count.

    Calls of one visit share whatever the machine was doing, so visits count as the independent draws. Disturbed ones are less sure by
    what taking their waiting out may be off by. On several threads that gives an upper end alone: `one_thread_s`, what the same call
    takes on one thread of a quiet machine, divided by the threads is the lower one, and the value is their geometric mean.
    """
    logs, disturbed = _log_medians(visits), disturbed_fraction(visits)
    center = statistics.median(logs)
    half = noise.half_width(len(visits), of_visit=_own_spread(logs, noise), more=CORRECTED_SIGMA * math.sqrt(disturbed))
    low, high = center - half - statistics.median([unexplained(visit, threads) for visit in visits]), center + half
    source = f"median of {sum(len(visit.latency_s) for visit in visits)} calls in {len(visits)} visits"
    corrected = [visit for visit in visits if not is_clean(visit) and visit.waited_s is not None]
    if corrected:
        source += f", {len(corrected)} of them less the time that threads waited for a core"
        if any(map(shared_core, corrected)):
            source += f", and less {units.percent(round(-math.expm1(-SHARED_CORE_LOG), 2))} for what sharing it costs beside"
        if threads > 1:
            least = math.log(one_thread_s) - math.log(threads) if one_thread_s is not None else center - math.log(threads)
            shared = disturbed * (min(least, center) - center)
            center, low = center + shared / 2, low + shared
    return Estimate(value=math.exp(center), low=math.exp(low), high=math.exp(high), basis="measured", source=source)


def student_t_95(freedom: float) -> float:
    """Return the 95th percentile of Student's t; between the tabled degrees of freedom the next lower, which is the wider.

    Less than one degree, as unequal groups of visits may have, is taken for one.
    """
    return (
        STUDENT_T_95[max(tabled for tabled in STUDENT_T_95 if tabled <= max(freedom, 1.0))]
        if freedom <= max(STUDENT_T_95)
        else NORMAL_95
    )


def log_median(visit: Visit) -> float:
    """Return the logarithm of the median seconds per call of a visit that counts, as on a quiet machine.

    It is by visit that the shared core is taken out, so that those that shared one and those that did not are the same thing measured.
    """
    return math.log(statistics.median(visit.latency_s)) - (SHARED_CORE_LOG if shared_core(visit) else 0.0)


def _log_medians(visits: Sequence[Visit]) -> list[float]:
    return [log_median(visit) for visit in visits]


def visited_often(found: Sequence[FoundT], visits: Sequence[int]) -> Sequence[FoundT]:
    """Return what was found at points of enough visits where those are enough points, else all; `visits` has the number of each."""
    often = [entry for entry, count in zip(found, visits, strict=True) if count >= ENOUGH_OF_PAIR]
    return often if len(often) >= ENOUGH_PAIRS else found


def residuals_of(logs: Sequence[float]) -> list[float]:
    """Return how far the visits of one point are from its median, as many as it has degrees of freedom, on the scale of a single visit.

    The smallest is left out, which says nothing: of an odd number of visits it is zero. From the median, so that an odd visit spoils its
    own residual alone. Of two visits both are nearer to their middle than to the truth, by the square root of 2; of more that is small.
    """
    center = statistics.median(logs)
    widened = math.sqrt(2.0) if len(logs) == 2 else 1.0
    return sorted(widened * abs(log - center) for log in logs)[1:]


def _own_spread(logs: Sequence[float], noise: Noise) -> float | None:
    """Return the spread that a point shows from visit to visit where that is out of line with the other points, else None."""
    residuals = residuals_of(logs)
    if not residuals:
        return None
    # Of three visits or more that of the middle one, the smallest counted too: a single odd one is out of line, not the point.
    own = residuals[0] if len(residuals) == 1 else statistics.median([0.0, *residuals]) / MAD_OF_NORMAL
    return own if own > OUT_OF_LINE * noise.between_visits else None


def between_processes_of(differences: Sequence[float], explained: Sequence[float]) -> tuple[float, float]:
    """Return the standard deviation from process to process and its degrees of freedom, from differences on the scale of one of the two.

    `explained` holds the variances that visits alone give them.
    """
    freedom = SCALE_EFFICIENCY * len(differences)
    seen = max(0.0, bounded_scale(differences) ** 2 - statistics.fmean(explained)) if differences else 0.0
    variance = (PROCESS_PRIOR_FREEDOM * PROCESS_SIGMA**2 + freedom * seen) / (PROCESS_PRIOR_FREEDOM + freedom)
    return math.sqrt(variance), PROCESS_PRIOR_FREEDOM + freedom


def between_visits_of(residuals: Sequence[float]) -> tuple[float, float]:
    """Return the standard deviation from visit to visit and its degrees of freedom; an assumed one where nothing was repeated."""
    if not residuals:
        return math.log1p(UNREPEATED_FRACTION) / NORMAL_95, math.inf
    return bounded_scale(residuals), SCALE_EFFICIENCY * len(residuals)


def _elsewhere(logs_of: Mapping[_Point, Sequence[float]]) -> list[tuple[_Point, int, int, float]]:
    """Return of each point that the baseline was measured at in another process too: how often here, how often there, and the difference.

    That is of logarithms, on the scale of one of the two.
    """
    found = []
    for point, again in logs_of.items():
        first = logs_of.get((point[0].removesuffix(AGAIN), *point[1:]))
        if point[0].endswith(AGAIN) and first is not None:
            difference = abs(statistics.median(first) - statistics.median(again)) / math.sqrt(2.0)
            found.append((point, len(first), len(again), difference))
    return found


def _between_processes(
    logs_of: Mapping[_Point, Sequence[float]], by_setting: Mapping[Setting, float], between_visits: float
) -> tuple[float, float]:
    """Return the standard deviation of a file's logarithms from process to process, and its degrees of freedom.

    Of the difference between the baseline and itself elsewhere, what their visits' own spread does not explain; of points that were
    visited often enough in both, where there are some.
    """
    every = _elsewhere(logs_of)
    found = visited_often(every, [min(here, there) for _, here, there, _ in every])
    explained = [
        statistics.fmean(sampling_variance(by_setting.get(point[3:], between_visits), visits) for visits in (here, there))
        for point, here, there, _ in found
    ]
    return between_processes_of([difference for *_, difference in found], explained)


def sampling_variance(between_visits: float, visits: int) -> float:
    """Return the variance of the median of so many visits."""
    return ((MEDIAN_OVER_MEAN if visits > 2 else 1.0) * between_visits) ** 2 / visits


def point_of(entry: Measurement) -> _Point:
    """Return what a measurement is of: variant, batch size, sequence length, threads, instances."""
    return (entry.variant, entry.batch_size, entry.sequence_length, entry.intra_op_num_threads, entry.instances)


def bounded_scale(residuals: Sequence[float]) -> float:
    """Return the standard deviation of a normal law that fits the residuals, those beyond BOUND of it counted as at it (Huber)."""
    squares = np.square(residuals)
    variance = float(np.mean(squares)) / BOUNDED_SQUARE
    for _ in range(SCALE_STEPS):
        if variance == 0:
            return 0.0
        before = variance
        variance *= float(np.mean(np.minimum(squares / variance, BOUND**2))) / BOUNDED_SQUARE
        if abs(variance - before) <= SCALE_PRECISION * before:
            break
    return math.sqrt(variance)
