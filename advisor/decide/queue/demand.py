"""The requests that arrive: draws of arrivals and lengths under the workload's traffic, the same for every candidate."""

import copy
import math
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from advisor.decide import long_trace
from advisor.decide.queue import day, items
from advisor.decide.queue.items import Z_95, Requests
from advisor.schema.workload import OnlineWorkload, SequenceLength

SEEDS = 4
# So many requests beyond the quantile in each run, or of a day's busiest part in all runs together, that its sampling error stays
# at a few percent.
REQUESTS_BEYOND_QUANTILE = 120
MIN_REQUESTS = 10_000
MAX_REQUESTS = 400_000
MAX_ITEMS = 2_000_000  # of all requests of a run together
WARM_UP_FRACTION = 0.05  # the queue starts empty, which no server in service does
# Requests are rounded to the nearest class: with so many, no quantile of latency is off by more than a few percent.
LENGTH_CLASSES = 64
MAX_STREAMS = 32  # kept for the next candidate: of all seeds, at a few numbers of replicas
MAX_TRACE_STREAMS = 8  # as long as a part of a trace may be


SHELF_BYTES = 100_000_000  # in which the queue of 5 million requests stands with those of many stretches


class Shelf:
    """Arrays that many candidates need: the latest, as many as fit."""

    def __init__(self, most_bytes: int) -> None:
        """One array is kept even where it is larger."""
        self._most_bytes = most_bytes
        self._arrays: dict[Hashable, np.ndarray] = {}

    def array(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array of this key, made where nobody asked for it lately."""
        if key not in self._arrays:
            made = make()
            while self._arrays and made.nbytes + sum(kept.nbytes for kept in self._arrays.values()) > self._most_bytes:
                del self._arrays[next(iter(self._arrays))]
            self._arrays[key] = made
        return self._arrays[key]


class Stretched(NamedTuple):
    """A stream of stretches of a trace, which of its requests count, and the share of all requests that these stand for."""

    requests: Requests
    is_counted: np.ndarray  # (requests,)
    share: float
    name: Hashable  # None: not as dense as it was recorded


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
        self.most_whole = long_trace.MOST_WHOLE
        self.cv = workload.traffic.burstiness_cv
        self.slo = workload.slo
        self.rates = day.relative_rates(workload.traffic.diurnal) if workload.traffic.diurnal is not None else None
        beyond = REQUESTS_BEYOND_QUANTILE / (1 - workload.slo.quantile)
        if self.rates is not None:
            beyond = max(beyond, beyond / SEEDS / day.busiest_share(self.rates))
        self.items_per_request = workload.traffic.items_per_request
        most = min(MAX_REQUESTS, MAX_ITEMS / items.about(self.items_per_request))
        self.requests = int(max(min(max(beyond, MIN_REQUESTS), most), 1))
        if trace_s is not None:
            self.requests = len(trace_s)
            self.requests_per_s = (len(trace_s) - 1) / float(trace_s[-1] - trace_s[0])
        else:
            self.requests_per_s = float(workload.traffic.requests_per_s or 0.0)
        self.busiest_requests_per_s = self.requests_per_s * (1.0 if self.rates is None else float(self.rates.max()))
        asked = workload.inputs.sequence_length if workload.inputs else None
        longest = int(trace_length.max()) if trace_length is not None else _longest(asked) if asked else 0
        self.lengths = _class_lengths(lengths, longest)
        # A class is a small number, and traces have millions of them.
        self._fixed_class = _nearest_class(self.lengths, trace_length).astype(np.int16) if trace_length is not None else None
        self._asked = asked
        self._sure_classes: dict[float, int] = {}
        self._of_trace: dict[tuple[int, int], Requests | list[Stretched]] = {}
        self.shelf = Shelf(SHELF_BYTES)  # of the queues of a long trace
        self._arrivals: dict[tuple[int, int, int], np.ndarray] = {}  # those in use: a search goes through hundreds of replicas
        self._classes: dict[int, np.ndarray] = {}
        self._counts: dict[int, np.ndarray | None] = {}
        self._only: tuple[int, int] | None = None

    def only(self, first: int, end: int) -> "Demand":
        """Return the same demand with requests of the size classes first..end alone, as many a second as there are of all here."""
        part = self._undrawn()
        part._only = (first, end)
        return part

    def _undrawn(self) -> "Demand":
        """Return the same demand, of which nothing is drawn yet."""
        same = copy.copy(self)
        same._arrivals, same._classes, same._counts = {}, {}, {}
        same._sure_classes, same._of_trace, same.shelf = {}, {}, Shelf(SHELF_BYTES)
        return same

    @property
    def is_stretched(self) -> bool:
        """Whether the gaps of a stream are the same draws at any number of replicas, times their number."""
        return self.trace_s is None and self.cv == 1.0 and self.items_per_request == 1

    def stream(self, seed: int, replicas: int, *, scale: float = 1.0, requests: int | None = None) -> Requests:
        """Return the requests at one of `replicas`, the whole stream `scale` times as dense.

        `requests` takes only so many from the beginning, or a whole day of only so many.

        Requests go to a replica drawn at random, so of a renewal process each replica sees every k-th gap sum, k geometric.
        """
        if self.trace_s is not None:
            return self._trace(seed, replicas, requests).scaled(scale)
        drawn = self.requests if requests is None or self.rates is None else min(requests, self.requests)
        key = (seed, replicas, drawn)
        if key not in self._arrivals:
            gaps = self._gaps(seed, replicas, drawn)
            if self.rates is not None:
                gaps = day.gaps_of_day(gaps, self.rates, warm_up=warm_up(drawn), mean_gap=replicas)
            if len(self._arrivals) == MAX_STREAMS:
                del self._arrivals[next(iter(self._arrivals))]
            self._arrivals[key] = np.cumsum(gaps) / self.requests_per_s
        return self._bringing(self._arrivals[key][:requests], seed).scaled(scale)

    def busiest(self, seed: int, replicas: int, *, least_s: float = 0.0) -> Requests:
        """Return the requests at one of `replicas` as if the busiest part of the day did not end.

        As many as a run has, and more where these come in less than `least_s`, up to MAX_ITEMS of items. A trace has those that it has.
        """
        longer, most = self, int(MAX_ITEMS / items.about(self.items_per_request))
        found = longer._in_busiest_part(seed, replicas)
        while self.trace_s is None and found.sent_s[-1] - found.sent_s[0] < least_s and longer.requests < most:
            requests, longer = min(2 * longer.requests, most), self._undrawn()
            longer.requests = requests
            found = longer._in_busiest_part(seed, replicas)
        return found

    def _in_busiest_part(self, seed: int, replicas: int) -> Requests:
        if self.rates is None:
            return self.stream(seed, replicas)
        arrival_s = np.cumsum(self._gaps(seed, replicas, self.requests)) / self.busiest_requests_per_s
        return self._bringing(arrival_s, seed)

    def _bringing(self, sent_s: np.ndarray, seed: int) -> Requests:
        """Return the first requests of the run, sent at `sent_s` (requests,), with the items that they bring."""
        counts = self._item_counts(seed)
        classes = self._size_classes(seed)
        if counts is None:
            return Requests(sent_s, classes[: len(sent_s)])
        begun = counts[: len(sent_s)]
        return items.together(sent_s, classes[: int(begun.sum())], begun)

    def _item_counts(self, seed: int) -> np.ndarray | None:
        if seed not in self._counts:
            random = np.random.default_rng((seed, 5))
            self._counts[seed] = items.drawn_counts(self.items_per_request, self.requests, random)
        return self._counts[seed]

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
            if self._fixed_class is not None:
                return self._recorded_classes(seed, self._fixed_class)
            counts = self._item_counts(seed)
            total = self.requests if counts is None else int(counts.sum())
            drawn = _drawn_classes(self._asked, self.lengths, total, np.random.default_rng((seed, 2)))
            if self.trace_s is not None:
                drawn = drawn.astype(np.int16)
            if self._only is not None:
                kept = drawn[(drawn >= self._only[0]) & (drawn < self._only[1])]
                drawn = np.resize(kept if len(kept) else np.array([self._only[1] - 1]), len(drawn))
            self._classes[seed] = drawn
        return self._classes[seed]

    def _recorded_classes(self, seed: int, recorded: np.ndarray) -> np.ndarray:
        """Return the classes of a trace's lengths: where requests bring several items, all of one are as long as it was recorded."""
        counts = self._item_counts(seed)
        return recorded if counts is None else np.repeat(recorded, counts)

    # --- recorded requests -------------------------------------------------------------------------------------------------

    def is_long(self, replicas: int) -> bool:
        """Return whether a trace has more requests for one of `replicas` than can be simulated for every candidate."""
        return self.trace_s is not None and self.requests > self.most_whole * replicas

    def stretches(self, seed: int, replicas: int, *, scale: float = 1.0) -> list[Stretched]:
        """Return the stretches that stand for a long trace at one of `replicas`, the busiest first; `scale` is that of `stream`."""
        if (seed, replicas) not in self._of_trace:
            random = np.random.default_rng((seed, 9, replicas))
            whole = self._recorded(seed)
            found: list[Stretched] = []
            for part in long_trace.stretches(self._sent_s, replicas=replicas, seed=seed):
                mine = np.flatnonzero(random.integers(replicas, size=len(part.place)) == 0)
                chosen = _for_the_kernel(whole.chosen(part.place[mine]))
                arrival_s = chosen.arrival_s - chosen.spread_out(part.begins_s[mine])
                name = (replicas, len(found))
                found.append(Stretched(chosen._replace(arrival_s=arrival_s), part.is_counted[mine], part.share, name))
            self._keep((seed, replicas), found)
        kept = self._of_trace[seed, replicas]
        assert isinstance(kept, list)
        if scale == 1.0:
            return kept
        return [part._replace(requests=part.requests.scaled(scale), name=None) for part in kept]

    def spread(self, seed: int) -> Requests:
        """Return the requests at one replica, of a long trace so many, evenly taken, as are simulated for every candidate."""
        if not self.is_long(1):
            return self.stream(seed, 1)
        return _for_the_kernel(self._recorded(seed).chosen(np.arange(0, self.requests, -(-self.requests // self.most_whole))))

    def is_sampled(self, work_s: float, replicas: int, *, scale: float = 1.0) -> bool:
        """Return whether stretches stand for a long trace whose requests take one of `replicas` so long.

        They do where it never falls behind for longer than the requests before a stretch show.
        """
        return bool(self._backlog_s(work_s, replicas, scale).max() <= long_trace.FORGETTABLE * work_s)

    def is_overrun(self, work_s: float, replicas: int, *, late: float, target_s: float, scale: float = 1.0) -> bool:
        """Return whether the work of those before alone keeps more than a part `late` of a long trace waiting beyond the target."""
        return self.is_long(replicas) and bool((self._backlog_s(work_s, replicas, scale) > target_s).mean() > late)

    def _backlog_s(self, work_s: float, replicas: int, scale: float) -> np.ndarray:
        return long_trace.backlog_s(self._block_s / scale, work_s / replicas)

    @cached_property
    def _block_s(self) -> np.ndarray:
        return np.diff(self._sent_s[:: long_trace.STRETCH])

    @cached_property
    def _sent_s(self) -> np.ndarray:
        assert self.trace_s is not None
        return self.trace_s if self.trace_s[0] == 0.0 else self.trace_s - self.trace_s[0]

    def _recorded(self, seed: int) -> Requests:
        return items.together(self._sent_s, self._size_classes(seed), self._item_counts(seed))

    def _trace(self, seed: int, replicas: int, requests: int | None = None) -> Requests:
        """Return the recorded requests at one of `replicas`, or only so many from the beginning."""
        if replicas == 1:
            return _for_the_kernel(self._recorded(seed).begun(requests))
        if self.is_long(replicas):
            return _for_the_kernel(self._recorded(seed).chosen(self._mine(seed, replicas, requests)))
        if (seed, replicas) not in self._of_trace:
            self._keep((seed, replicas), _for_the_kernel(self._recorded(seed).chosen(self._mine(seed, replicas))))
        kept = self._of_trace[seed, replicas]
        assert isinstance(kept, Requests)
        return kept.begun(requests)

    def _mine(self, seed: int, replicas: int, most: int | None = None) -> np.ndarray:
        """Return the places of the requests that one of `replicas` gets, the first `most` of them.

        The first of the trace is always one of them, for a stream is never empty.
        """
        random, many = np.random.default_rng((seed, 1, replicas)), self.requests if most is None else most
        places = np.zeros(1, dtype=np.intp)
        while places[-1] < self.requests and len(places) < many:
            # Between two that go to the same of k replicas lie as many as a draw from the geometric law says.
            gaps = random.geometric(1.0 / replicas, min(many, self.requests // replicas) + MIN_REQUESTS)
            places = np.concatenate((places, places[-1] + np.cumsum(gaps)))
        return places[: int(np.searchsorted(places, self.requests))][:most]

    def _keep(self, key: tuple[int, int], made: Requests | list[Stretched]) -> None:
        if len(self._of_trace) == MAX_TRACE_STREAMS:
            del self._of_trace[next(iter(self._of_trace))]
        self._of_trace[key] = made

    # --- what requests bring -----------------------------------------------------------------------------------------------

    def sure_class(self, quantile: float) -> int:
        """Return the class that more than 1 - quantile of the requests reach in every run: the quantile is at least their latency.

        Requests of the warm-up do not count, as they do not count in the quantile.
        """
        if quantile not in self._sure_classes:
            reached = (quantiles(warm(run.each(run.size_class)), (quantile,))[0] for run in self.runs())
            self._sure_classes[quantile] = int(min(reached))
        return self._sure_classes[quantile]

    def runs(self) -> list[Requests]:
        """Return what the requests of each run bring, as if all came at one replica and at once."""
        return [self._bringing(np.zeros(self.requests), seed) for seed in range(SEEDS if self._is_drawn else 1)]

    @property
    def _is_drawn(self) -> bool:
        """Whether runs differ in what requests bring, and not only in when they come."""
        return self._fixed_class is None or self.items_per_request != 1

    @cached_property
    def class_shares(self) -> np.ndarray:
        """The share of items in each class (classes,)."""
        classes = np.concatenate([run.size_class for run in self.runs()])
        return np.bincount(classes, minlength=len(self.lengths)) / len(classes)

    @cached_property
    def mean_items(self) -> float:
        """The mean number of items of a request."""
        runs = self.runs()
        return sum(len(run.size_class) for run in runs) / sum(run.total for run in runs)

    @property
    def mean_length(self) -> float | None:
        """The mean length of requests, that of all their items together; None where they have none."""
        known = [length for length in self.lengths if length is not None]
        return float(self.class_shares @ np.array(known)) * self.mean_items if known else None


def _for_the_kernel(requests: Requests) -> Requests:
    return requests._replace(size_class=requests.size_class.astype(np.intp))


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
