"""The requests that arrive: draws of arrivals and lengths under the workload's traffic, the same for every candidate."""

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from statistics import NormalDist

import numpy as np

from advisor.decide.queue import day
from advisor.schema.workload import OnlineWorkload, SequenceLength

SEEDS = 4
# So many requests beyond the quantile in each run, or of a day's busiest part in all runs together, that its sampling error stays
# at a few percent.
REQUESTS_BEYOND_QUANTILE = 120
MIN_REQUESTS = 10_000
MAX_REQUESTS = 400_000
WARM_UP_FRACTION = 0.05  # the queue starts empty, which no server in service does
# Requests are rounded to the nearest class: with so many, no quantile of latency is off by more than a few percent.
LENGTH_CLASSES = 64
MAX_STREAMS = 32  # kept for the next candidate: of all seeds, at a few numbers of replicas
Z_95 = NormalDist().inv_cdf(0.95)


class Demand:
    """The requests that arrive: the same draws for every candidate, so that candidates differ by their configuration alone."""

    def __init__(
        self,
        workload: OnlineWorkload,
        *,
        lengths: tuple[int | None, ...],
        trace_s: np.ndarray | None,
        trace_length: np.ndarray | None,
    ) -> None:
        """`lengths` are the measured ones, ascending; `trace_s` (requests,) ascending arrival times, `trace_length` (requests,)."""
        self.trace_s = trace_s
        self.cv = workload.traffic.burstiness_cv
        self.slo = workload.slo
        self.rates = day.relative_rates(workload.traffic.diurnal) if workload.traffic.diurnal is not None else None
        beyond = REQUESTS_BEYOND_QUANTILE / (1 - workload.slo.quantile)
        if self.rates is not None:
            beyond = max(beyond, beyond / SEEDS / day.busiest_share(self.rates))
        self.requests = int(min(max(beyond, MIN_REQUESTS), MAX_REQUESTS))
        if trace_s is not None:
            self.requests = len(trace_s)
            self.requests_per_s = (len(trace_s) - 1) / float(trace_s[-1] - trace_s[0])
        else:
            self.requests_per_s = float(workload.traffic.requests_per_s or 0.0)
        self.busiest_requests_per_s = self.requests_per_s * (1.0 if self.rates is None else float(self.rates.max()))
        asked = workload.inputs.sequence_length if workload.inputs else None
        longest = int(trace_length.max()) if trace_length is not None else _longest(asked) if asked else 0
        self.lengths = _class_lengths(lengths, longest)
        self._fixed_class = _nearest_class(self.lengths, trace_length) if trace_length is not None else None
        self._asked = asked
        self._arrivals: dict[tuple[int, int, int], np.ndarray] = {}  # those in use: a search goes through hundreds of replicas
        self._classes: dict[int, np.ndarray] = {}
        self._only: tuple[int, int] | None = None

    def only(self, first: int, end: int) -> "Demand":
        """Return the same demand with requests of the size classes first..end alone, as many a second as there are of all here."""
        part = copy.copy(self)
        part._arrivals, part._classes, part._only = {}, {}, (first, end)
        return part

    @property
    def is_stretched(self) -> bool:
        """Whether the gaps of a stream are the same draws at any number of replicas, times their number."""
        return self.trace_s is None and self.cv == 1.0

    def stream(
        self, seed: int, replicas: int, *, scale: float = 1.0, requests: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return arrival_s and size_class (requests,) at one of `replicas`, the whole stream `scale` times as dense.

        `requests` takes only so many from the beginning, or a whole day of only so many.

        Requests go to a replica drawn at random, so of a renewal process each replica sees every k-th gap sum, k geometric.
        """
        if self.trace_s is not None:
            arrival_s, classes = self._trace(seed, replicas)
            return arrival_s[:requests] / scale, classes[:requests]
        drawn = self.requests if requests is None or self.rates is None else min(requests, self.requests)
        key = (seed, replicas, drawn)
        if key not in self._arrivals:
            gaps = self._gaps(seed, replicas, drawn)
            if self.rates is not None:
                gaps = day.gaps_of_day(gaps, self.rates, warm_up=warm_up(drawn), mean_gap=replicas)
            if len(self._arrivals) == MAX_STREAMS:
                del self._arrivals[next(iter(self._arrivals))]
            self._arrivals[key] = np.cumsum(gaps) / self.requests_per_s
        arrival_s = self._arrivals[key][:requests]
        return arrival_s if scale == 1.0 else arrival_s / scale, self._size_classes(seed)[: len(arrival_s)]

    def busiest(self, seed: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
        """Return arrival_s and size_class (requests,) at one of `replicas` as if the busiest part of the day did not end."""
        if self.rates is None:
            return self.stream(seed, replicas)
        arrival_s = np.cumsum(self._gaps(seed, replicas, self.requests)) / self.busiest_requests_per_s
        return arrival_s, self._size_classes(seed)

    def in_busiest(self, requests: int) -> np.ndarray | None:
        """Return which of the requests after the warm-up (requests,) come in the busiest part of the day, None without parts."""
        return None if self.rates is None else self.rates[day.parts(self.rates, requests)] == self.rates.max()

    def _gaps(self, seed: int, replicas: int, requests: int) -> np.ndarray:
        """Return gaps between requests (requests,) at one of `replicas`, over the mean gap between all requests."""
        random = np.random.default_rng((seed, 1))
        if self.cv == 1.0:
            # A geometric sum of exponentials is exponential: one draw serves every number of replicas.
            return random.standard_exponential(requests) * replicas
        shape = 1.0 / self.cv**2
        kept = random.geometric(1.0 / replicas, requests) if replicas > 1 else 1
        return random.standard_gamma(shape * kept, requests) / shape

    def _size_classes(self, seed: int) -> np.ndarray:
        if seed not in self._classes:
            drawn = _drawn_classes(self._asked, self.lengths, self.requests, np.random.default_rng((seed, 2)))
            if self._only is not None:
                kept = drawn[(drawn >= self._only[0]) & (drawn < self._only[1])]
                drawn = np.resize(kept if len(kept) else np.array([self._only[1] - 1]), len(drawn))
            self._classes[seed] = drawn
        return self._classes[seed]

    def _trace(self, seed: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.trace_s is not None
        mine = np.random.default_rng((seed, 1, replicas)).integers(replicas, size=len(self.trace_s)) == 0
        mine[0] = True  # a stream is never empty
        classes = self._size_classes(seed) if self._fixed_class is None else self._fixed_class
        return self.trace_s[mine] - self.trace_s[0], classes[mine]

    def sure_class(self, quantile: float) -> int:
        """Return the class that more than 1 - quantile of the requests reach in every run: the quantile is at least their latency.

        Requests of the warm-up do not count, as they do not count in the quantile.
        """
        return int(min(quantiles(warm(run), (quantile,))[0] for run in self._class_runs()))

    @cached_property
    def class_shares(self) -> np.ndarray:
        """The share of requests in each class (classes,)."""
        runs = self._class_runs()
        return np.bincount(np.concatenate(runs), minlength=len(self.lengths)) / sum(map(len, runs))

    @property
    def mean_length(self) -> float | None:
        """The mean length of requests, None where they have none."""
        known = [length for length in self.lengths if length is not None]
        return float(self.class_shares @ np.array(known)) if known else None

    def _class_runs(self) -> list[np.ndarray]:
        return [self._fixed_class] if self._fixed_class is not None else [self._size_classes(seed) for seed in range(SEEDS)]


def _longest(asked: SequenceLength) -> int:
    return asked.max or asked.p95 or asked.p50


def _class_lengths(measured: tuple[int | None, ...], longest: int) -> tuple[int | None, ...]:
    """Return the lengths that stand for all: from the shortest that was measured to the longest that was measured or is asked for."""
    known = [length for length in measured if length is not None]
    if not known:
        return (None,)
    grid = np.geomspace(known[0], max(known[-1], longest), LENGTH_CLASSES)
    return tuple(sorted({round(length) for length in grid}))


def _nearest_class(lengths: tuple[int | None, ...], asked: np.ndarray) -> np.ndarray:
    known = np.array([length or 1 for length in lengths], dtype=float)
    edges = np.sqrt(known[1:] * known[:-1])
    return np.searchsorted(edges, asked).astype(np.intp)


def _drawn_classes(
    asked: SequenceLength | None, lengths: tuple[int | None, ...], requests: int, random: np.random.Generator
) -> np.ndarray:
    """Draw lengths from the lognormal law through p50 and p95, cut at the longest."""
    if asked is None or len(lengths) == 1:
        return np.zeros(requests, dtype=np.intp)
    sigma = math.log((asked.p95 or asked.p50) / asked.p50) / Z_95
    drawn = asked.p50 * np.exp(sigma * random.standard_normal(requests))
    return _nearest_class(lengths, np.minimum(drawn, _longest(asked)))


def warm(values: np.ndarray) -> np.ndarray:
    """Return what is left of a run's requests after its warm-up."""
    return values[warm_up(len(values)) :]


def warm_up(requests: int) -> int:
    """Return how many of a run's requests, from its beginning, are its warm-up."""
    return int(WARM_UP_FRACTION * requests)


def quantiles(latency_s: np.ndarray, wanted: Sequence[float]) -> np.ndarray:
    """Return the order statistics at the wanted quantiles: the smallest latency that at least so many of the requests keep."""
    ranks = [rank(quantile, len(latency_s)) for quantile in wanted]
    return np.asarray(np.partition(latency_s, sorted(set(ranks)))[ranks])


def rank(quantile: float, count: int) -> int:
    """Return the place of the quantile among so many values in ascending order, from 0."""
    return min(max(math.ceil(quantile * count) - 1, 0), count - 1)
