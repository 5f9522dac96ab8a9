"""The cheapest candidate that keeps the target: bounds cut the space, simulation settles what the bounds leave, cheapest first."""

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from advisor.decide.queue.bounds import Bounds, Streams
from advisor.decide.queue.simulator import ROUNDING, Simulator
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import Setting, setting_of
from advisor.kernels import search as kernel
from advisor.kernels.columns import Columns
from advisor.schema.record import Record

MAX_REPLICAS = 512
ENOUGH_CHEAPEST = 7
# Replicas beyond those that bring utilization down to this hardly help batching: what misses the target here is left to those
# without, of whose requests no more than half of 1 - quantile then find the server busy.
LOWEST_UTILIZATION = 0.1
AT_ONCE = 4096  # candidates to list: about so many points have their cheapest in a range of costs
RANGES = 8  # of costs at least, where there are fewer points

# Whether a candidate, by point, delay and replicas, is feasible; asked at most once of each.
IsFeasible = Callable[[int, int, int], bool]


class Searchable(NamedTuple):
    """One kind of hardware: what runs there how fast, what could run there (simplest first), and what an hour of it costs.

    `streams` are those of its demand, where several searches share them; no more than `most_replicas` are tried.
    """

    simulator: Simulator
    space: list[Configuration]
    price_usd_per_hour: float
    streams: Streams | None = None
    most_replicas: int = MAX_REPLICAS

    def below(self, usd_per_hour: float) -> "Searchable":
        """Return what can carry the load for less than this cost, as far as the work alone tells."""
        if math.isinf(usd_per_hour):
            return self
        most = min(math.ceil(usd_per_hour / self.price_usd_per_hour * (1 - ROUNDING)) - 1, self.most_replicas)
        rate = self.simulator.demand.busiest_requests_per_s
        carried = (entry for entry in self.space if rate * self.simulator.work_s(entry, "high") / entry.instances < most)
        return self._replace(space=list(carried), most_replicas=most)


class Walk(Record, frozen=True, kw_only=True):
    """The result of a walk through a space: the cheapest feasible candidates (point, delay, replicas), in order, and the account.

    `regret_usd_per_hour` is 0 after a whole walk. After a stopped walk it bounds how much cheaper the best could be; it is None if the
    walk found nothing, and then nothing below `least_unseen_usd_per_hour` is feasible.
    """

    cheapest: tuple[tuple[int, int, int], ...]
    cost_usd_per_hour: float | None
    candidates: int
    cut_by_bound: int
    simulated: int
    regret_usd_per_hour: float | None
    least_unseen_usd_per_hour: float | None  # None: everything was tried that could be cheaper


class Found(Record, frozen=True, kw_only=True):
    """The cheapest feasible candidates, all of one cost, simplest first, and the account of the whole space.

    At most ENOUGH_CHEAPEST of them are sought; `cut_by_cost` counts candidates that could be no cheaper and were not simulated. `places`
    holds, for each, the index of the searched place that it is at. The regret shows whether the search was stopped, as in Walk.
    """

    cheapest: tuple[tuple[Configuration, int], ...]
    cost_usd_per_hour: float | None
    candidates: int
    cut_by_bound: int
    cut_by_cost: int
    simulated: int
    regret_usd_per_hour: float | None = 0.0
    least_unseen_usd_per_hour: float | None = None
    places: tuple[int, ...] = ()


def search(
    simulator: Simulator, space: list[Configuration], *, quantile: float, target_s: float, price_usd_per_hour: float
) -> Found:
    """Return the cheapest feasible candidates of the space, exactly: no cheaper candidate is left that could be feasible.

    `space` is simplest first; equally cheap candidates keep that order.
    """
    return search_places([Searchable(simulator, space, price_usd_per_hour)], quantile=quantile, target_s=target_s)


def search_places(
    places: list[Searchable],
    *,
    quantile: float,
    target_s: float,
    enough: int = ENOUGH_CHEAPEST,
    is_over: Callable[[], bool] | None = None,
) -> Found:
    """Return the cheapest feasible candidates of all places together; of equally cheap ones those of the earlier place come first.

    `enough` of one cost are sought. `is_over` is asked between simulations whether to stop; the result is then the best so far, with a
    bound on its regret.
    """
    entries = [(index, entry) for index, place in enumerate(places) for entry in place.space]
    if not entries:
        return Found(cheapest=(), cost_usd_per_hour=None, candidates=0, cut_by_bound=0, cut_by_cost=0, simulated=0)
    columns, delay_s = _columns(places, entries, quantile, target_s)

    def is_feasible(point: int, _: int, replicas: int) -> bool:
        index, entry = entries[point]
        return places[index].simulator.meets(entry, replicas, quantile=quantile, target_s=target_s)

    result = walk(columns, delay_s, target_s, is_feasible, enough=enough, is_over=is_over)
    return Found(
        cheapest=tuple((entries[point][1], replicas) for point, _, replicas in result.cheapest),
        cost_usd_per_hour=result.cost_usd_per_hour,
        candidates=result.candidates,
        cut_by_bound=result.cut_by_bound,
        cut_by_cost=result.candidates - result.cut_by_bound - result.simulated,
        simulated=result.simulated,
        regret_usd_per_hour=result.regret_usd_per_hour,
        least_unseen_usd_per_hour=result.least_unseen_usd_per_hour,
        places=tuple(entries[point][0] for point, _, _ in result.cheapest),
    )


def count_candidates(simulator: Simulator, space: list[Configuration], quantile: float) -> int:
    """Return how many candidates a space has, each configuration on 1 replica up to the most: as many as `search` accounts for.

    Nothing is searched or simulated: this counts spaces that are not searched.
    """
    return sum(most_replicas(simulator, entry, quantile) for entry in space)


def _columns(
    places: list[Searchable], entries: list[tuple[int, Configuration]], quantile: float, target_s: float
) -> tuple[Columns, np.ndarray]:
    """Return the kernel's columns, one point for each configuration with its one delay, and the delays."""
    bounds = [Bounds(place.simulator, quantile=quantile, target_s=target_s, streams=place.streams) for place in places]
    found = [bounds[index].of(entry) for index, entry in entries]
    delay_s = sorted({entry.max_queue_delay_s for _, entry in entries})
    place_of_delay = {delay: place for place, delay in enumerate(delay_s)}
    columns = Columns(
        price_usd_per_hour=np.array([places[index].price_usd_per_hour for index, _ in entries]),
        load=np.array([bound.load for bound in found]),
        busy=np.array([bound.busy for bound in found]),
        floor_s=np.array([bound.floor_s for bound in found]),
        queue_s=np.array([bound.queue_s for bound in found]),
        slack_s=np.array([bound.slack_s for bound in found]),
        fill_s=np.array([bound.fill_s for bound in found]),
        max_replicas=np.array(
            [
                min(most_replicas(places[index].simulator, entry, quantile), places[index].most_replicas)
                for index, entry in entries
            ],
            dtype=np.intp,
        ),
        first_delay=np.array([place_of_delay[entry.max_queue_delay_s] for _, entry in entries], dtype=np.intp),
        delays=np.ones(len(entries), dtype=np.intp),
    )
    return columns, np.array(delay_s)


def most_replicas(simulator: Simulator, entry: Configuration, quantile: float) -> int:
    """Return how many replicas of a configuration the space goes up to."""
    work_s, _ = simulator.bounds(entry, quantile)
    lowest = min(LOWEST_UTILIZATION, (1 - quantile) / 2) if entry.max_batch_size == 1 else LOWEST_UTILIZATION
    return int(min(math.ceil(simulator.demand.busiest_requests_per_s * work_s / lowest) + 1, MAX_REPLICAS))


def walk(
    columns: Columns,
    delay_s: np.ndarray,
    target_s: float,
    is_feasible: IsFeasible,
    *,
    enough: int = 1,
    is_over: Callable[[], bool] | None = None,
) -> Walk:
    """Return the cheapest feasible candidates, up to `enough` of one cost, by asking of as few as the bounds allow.

    Candidates are asked in ascending cost, of equal ones by point, delay and replicas, and what a bound excludes is not asked. So when one
    is found to be feasible, all that are cheaper have been excluded, by a bound or by simulation: there is no regret. If `is_over` says
    stop before that, any feasible candidate is sought among dearer ones, at ever larger strides; the cheapest candidate that was not
    asked bounds from below what any better one costs.
    """
    fewest, left = kernel.fewest_replicas(columns, delay_s=delay_s, latency_target_s=target_s)
    candidates = int(columns.max_replicas @ columns.delays)
    best: list[tuple[int, int, int]] = []
    simulated = 0
    best_usd: float | None = None
    unseen: float | None = None
    for usd, level in _levels(columns, delay_s, target_s, fewest):
        for candidate in level:
            if is_over is not None and is_over():
                unseen = usd
                break
            simulated += 1
            if is_feasible(*candidate):
                best_usd = usd
                best.append(candidate)
                if len(best) == enough:
                    break
        if best_usd is not None or unseen is not None:
            break
    regret: float | None = 0.0
    if unseen is not None and best_usd is None:
        chosen, tried = _any_feasible(columns, fewest, is_feasible)
        simulated += tried
        if chosen is not None:
            best, best_usd = [chosen], float(columns.price_usd_per_hour[chosen[0]] * chosen[2])
        regret = None if best_usd is None else best_usd - unseen
    return Walk(
        cheapest=tuple(best),
        cost_usd_per_hour=best_usd,
        candidates=candidates,
        cut_by_bound=candidates - left,
        simulated=simulated,
        regret_usd_per_hour=regret,
        least_unseen_usd_per_hour=None if regret == 0.0 else unseen,
    )


def _levels(
    columns: Columns, delay_s: np.ndarray, target_s: float, fewest: np.ndarray
) -> Iterator[tuple[float, Iterator[tuple[int, int, int]]]]:
    """Yield each cost with its candidates, ascending, listed a range of costs at a time."""
    has_any = fewest > 0
    least_usd = np.sort((columns.price_usd_per_hour * fewest)[has_any])
    if not len(least_usd):
        return
    most_usd = float((columns.price_usd_per_hour * columns.max_replicas)[has_any].max())
    above = -1.0
    stride = max(1, min(AT_ONCE, len(least_usd) // RANGES))
    while above < most_usd:
        # So many points have their cheapest candidate in the range, and others their second; where none has, half as much again.
        place = int(np.searchsorted(least_usd, above, side="right")) + stride
        up_to = float(least_usd[place]) if place < len(least_usd) else max(1.5 * above, float(least_usd[-1]))
        point, delay, replicas, usd = kernel.enumerate_candidates(
            columns,
            fewest,
            delay_s=delay_s,
            latency_target_s=target_s,
            above_usd_per_hour=above,
            up_to_usd_per_hour=up_to,
        )
        listed = zip(usd.tolist(), point.tolist(), delay.tolist(), replicas.tolist(), strict=True)
        for cost, level in groupby(listed, key=lambda entry: entry[0]):
            yield cost, ((point, delay, replicas) for _, point, delay, replicas in level)
        above = up_to


def cheapest_of_each(
    place: Searchable, *, quantile: float, target_s: float, most_asked: int
) -> dict[Setting, tuple[Configuration, float]]:
    """Return the cheapest candidate of each setting (variant, threads, instances), and its cost, cheapest first.

    At most so many candidates are simulated. A setting of which no answer is known by then stands with what its bound leaves.
    """
    if not place.space:
        return {}
    columns, delay_s = _columns([place], [(0, entry) for entry in place.space], quantile, target_s)
    fewest, _ = kernel.fewest_replicas(columns, delay_s=delay_s, latency_target_s=target_s)
    found: dict[Setting, tuple[Configuration, float]] = {}
    settings = len({setting_of(entry) for entry in place.space})
    asked = 0
    for usd, level in _levels(columns, delay_s, target_s, fewest):
        for point, _, replicas in level:
            entry = place.space[point]
            if setting_of(entry) in found:
                continue
            asked += 1
            if asked > most_asked or place.simulator.meets(entry, replicas, quantile=quantile, target_s=target_s):
                found[setting_of(entry)] = (entry, usd)
        if len(found) == settings:
            break
    return found


def _any_feasible(columns: Columns, fewest: np.ndarray, is_feasible: IsFeasible) -> tuple[tuple[int, int, int] | None, int]:
    """Return a feasible candidate, if the most promising have one, and how many were asked: with twice the fewest replicas, or all."""
    asked = 0
    points = np.flatnonzero(fewest)
    cheapest_first = points[np.argsort((columns.price_usd_per_hour * fewest)[points], kind="stable")]
    stride = 1
    place = 0
    while place < len(cheapest_first):
        point = int(cheapest_first[place])
        most = int(columns.max_replicas[point])
        for replicas in sorted({min(2 * int(fewest[point]), most), most}):
            asked += 1
            candidate = (point, int(columns.first_delay[point]), replicas)
            if is_feasible(*candidate):
                return candidate, asked
        place += stride
        stride *= 2
    return None, asked
