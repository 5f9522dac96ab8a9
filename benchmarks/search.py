"""How fast is the search, and how fast the frontier? Beside numpy, numba, optuna, pymoo, paretoset and moocore.

    python benchmarks/search.py [--json FILE] [--quick]

Four parts, all of one run. Enumerating: a space judged by closed-form bounds, as every search begins: the kernel seeks the ends of each
range of replicas that they leave, where numpy and numba try every number; candidates a second are those of the whole space, and another
figure says how fast what is left is listed. Searching: the exact optimum of spaces of 4e8 and 1e9 candidates, by the bounds
alone and with a simulation of what they leave. Peers: the same million candidates given to optuna and pymoo until they are within 1 % of
the optimum. Frontier: points that are not dominated, beside pymoo, paretoset and moocore, the same set required. What cannot be imported
is left out and said. All that is compared takes turns; figures are medians of the turns.

Keys: `enumerate_candidates_per_s`, `enumerate_over_numpy`, `enumerate_over_numba`, `list_candidates_per_s`; `bound_4e8_s`,
`bound_1e9_s`, `exact_4e8_s`, `exact_1e9_s`, `candidates_4e8`, `candidates_1e9` (what they really are: a run that is not full has
fewer), `simulated_share`, `simulated_1e9`, `regret_1e9_usd_per_hour`; `peer_candidates`, `search_1e6_s`, `<peer>_s`,
`<peer>_reached` (the share of seeds that came within 1 %), `<peer>_time_ratio`; `frontier_<points>_s`,
`frontier_<points>_<kind>_<objectives>_s`, `frontier_<points>_<kind>_<objectives>_over_best_peer`,
`frontier_over_moocore_<points>`, `frontier_over_best_peer` (the worst of all).
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from advisor.decide.queue.search import walk
from advisor.kernels import search as kernel
from harness import Figures, Size, Unknown, parsed, parser_of, save, show
from parts.search_frontier import frontier_figures
from parts.search_peers import PeerEffort, peer_figures
from parts.search_spaces import REPLICAS, Market, market


class Effort(NamedTuple):
    """How much of a run is made."""

    turns: int
    searches: int  # turns of the whole search
    market: dict[str, int]  # how large the space is that is enumerated
    markets: tuple[dict[str, int], dict[str, int]]  # those that are searched, which are called 4e8 and 1e9
    peers: PeerEffort
    frontier: tuple[int, ...]  # points
    frontier_turns: int


TINY = {"hardware": 1, "batches": 2, "delays": 2}
EFFORTS: dict[Size, Effort] = {
    "full": Effort(5, 3, {"hardware": 8}, ({"hardware": 16}, {"hardware": 40}), PeerEffort(5, 3, 12.0), (10**5, 10**6, 10**7), 3),
    "quick": Effort(2, 1, {"hardware": 2}, ({"hardware": 2}, {"hardware": 5}), PeerEffort(2, 2, 4.0), (10**5, 10**6), 1),
    "tiny": Effort(2, 1, TINY, (TINY, TINY), PeerEffort(1, 1, 0.5), (10**4,), 1),
}
SLAB = 50_000  # points that numpy takes at a time: its arrays then stay in the cache as far as they can
LISTED_POINTS = 20_000  # whose cheapest candidates are within the range of costs that is listed: some millions of candidates
NO_NUMBA = "numba is not installed"
Scanned = tuple[int, float, int]  # candidates left, the least cost, the point of it
Answer = TypeVar("Answer")


def main() -> None:
    arguments = parsed(parser_of(__doc__))
    effort = EFFORTS[arguments.size]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # an interrupted run has told what it had
    figures: Figures = {}
    figures |= enumerate_figures(effort)
    figures |= exact_figures(effort)
    figures |= peer_figures(effort.peers)
    figures |= frontier_figures(effort.frontier, turns=effort.frontier_turns)
    show(figures)
    save(arguments.json, arguments.size, figures)


def timed(call: Callable[[], Answer]) -> tuple[float, Answer]:
    started = time.perf_counter()
    answer = call()
    return time.perf_counter() - started, answer


def enumerate_figures(effort: Effort) -> Figures:
    """Time the enumeration of one space by each, in turns: how many candidates are left, the least cost, and the point of it."""
    space = market(**effort.market)
    ways: dict[str, Callable[[], Scanned] | None] = {
        "kernel": lambda: judged_by_kernel(space),
        "numpy": lambda: scanned_by_numpy(space),
        "numba": _numba_scan(space),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, Scanned] = {}
    for _ in range(effort.turns):
        for name, way in ways.items():
            if way is not None:
                taken, answers[name] = timed(way)
                seconds[name].append(taken)
    expected = answers["kernel"]
    assert all(answer == expected for answer in answers.values()), answers
    speed = {name: space.candidates / statistics.median(values) for name, values in seconds.items() if values}
    print(f"\nenumerating {space.candidates:,} candidates, {expected[0]:,} left, cheapest {expected[1]:.4f} $/h")
    for name in ways:
        print(f"  {name:<22}{f'{speed[name] / 1e6:10,.0f} million a second' if name in speed else 'not installed'}")
    listed_per_s = _listed_per_s(space, effort.turns)
    print(f"  {'listed, cheapest first':<22}{listed_per_s / 1e6:10,.0f} million a second")
    return {
        "enumerate_candidates_per_s": speed["kernel"],
        "enumerate_over_numpy": speed["kernel"] / speed["numpy"],
        "enumerate_over_numba": speed["kernel"] / speed["numba"] if "numba" in speed else Unknown(NO_NUMBA),
        "list_candidates_per_s": listed_per_s,
    }


def judged_by_kernel(space: Market) -> Scanned:
    """Return what `scanned_by_numpy` does, by what every search begins with."""
    fewest, left = kernel.fewest_replicas(space.columns, delay_s=space.delay_s, latency_target_s=space.target_s)
    usd = np.where(fewest > 0, space.columns.price_usd_per_hour * fewest, np.inf)
    point = int(usd.argmin())
    return left, float(usd[point]), point


def _listed_per_s(space: Market, turns: int) -> float:
    """Return how many candidates of a range of costs are listed in a second, sorted."""
    columns = space.columns
    fewest, _ = kernel.fewest_replicas(columns, delay_s=space.delay_s, latency_target_s=space.target_s)
    least_usd = np.sort((columns.price_usd_per_hour * fewest)[fewest > 0])
    up_to_usd = float(least_usd[min(LISTED_POINTS, len(least_usd) - 1)])

    def listed() -> int:
        point, _, _, _ = kernel.enumerate_candidates(
            columns,
            fewest,
            delay_s=space.delay_s,
            latency_target_s=space.target_s,
            above_usd_per_hour=-1.0,
            up_to_usd_per_hour=up_to_usd,
        )
        return len(point)

    rates = [count / taken for taken, count in (timed(listed) for _ in range(turns))]
    return statistics.median(rates)


def scanned_by_numpy(space: Market) -> Scanned:
    """Return how many candidates are left, the least cost, and the point of it: each term only for what it depends on."""
    columns = space.columns
    replicas = np.arange(1.0, REPLICAS + 1)
    left, best, point = 0, np.inf, -1
    for start in range(0, len(columns.load), SLAB // 64):
        part = slice(start, start + SLAB // 64)
        room = (space.target_s - columns.floor_s[part])[:, None]
        is_served = (replicas > columns.load[part, None]) & (
            columns.queue_s[part, None] <= (room + columns.slack_s[part, None] * replicas) * (replicas - columns.busy[part, None])
        )
        fill = (columns.fill_s[part, None] * replicas)[:, None, :]
        is_left = is_served[:, None, :] & (np.minimum(fill, space.delay_s[None, :, None]) <= room[:, :, None])
        left += int(np.count_nonzero(is_left))
        cost = np.where(is_left, (columns.price_usd_per_hour[part, None] * replicas)[:, None, :], np.inf)
        place = int(cost.argmin())
        if cost.flat[place] < best:
            best, point = float(cost.flat[place]), start + place // (len(space.delay_s) * REPLICAS)
    return left, best, point


def _numba_scan(space: Market) -> Callable[[], Scanned] | None:
    """Return the scan compiled by numba for this very processor; None without numba."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit
    def scan(price, load, busy, floor_s, queue_s, slack_s, fill_s, delay_s, target_s, most):  # type: ignore[no-untyped-def]
        left, best, point = 0, np.inf, -1
        for i in range(len(price)):
            room = target_s - floor_s[i]
            for j in range(len(delay_s)):
                least, found = np.inf, 0
                for n in range(1, most + 1):
                    replicas = float(n)
                    wait = min(fill_s[i] * replicas, delay_s[j])
                    served = (room + slack_s[i] * replicas) * (replicas - busy[i])
                    is_left = (replicas > load[i]) & (wait <= room) & (queue_s[i] <= served)
                    cost = price[i] * replicas if is_left else np.inf
                    least = min(least, cost)
                    found += is_left
                left += found
                if least < best:
                    best, point = least, i
        return left, best, point

    columns = space.columns
    floats = (
        columns.price_usd_per_hour,
        columns.load,
        columns.busy,
        columns.floor_s,
        columns.queue_s,
        columns.slack_s,
        columns.fill_s,
    )
    scan(*(column[:2] for column in floats), space.delay_s, space.target_s, REPLICAS)  # compiled before it is timed
    return lambda: scan(*floats, space.delay_s, space.target_s, REPLICAS)


class Exact(NamedTuple):
    candidates: int
    bound_s: float
    exact_s: float  # with what it takes to make the space and its bounds
    prepared_s: float
    share: float
    simulated: int
    regret: float | None


def exact_figures(effort: Effort) -> Figures:
    """Time the exact optimum, by the bounds alone and with simulation."""
    found = {}
    for name, sizes in zip(("4e8", "1e9"), effort.markets, strict=True):
        space = market(**sizes)
        prepared = [timed(partial(market, **sizes))[0] for _ in range(effort.searches)]
        bound = [timed(partial(judged_by_kernel, space)) for _ in range(effort.turns)]
        whole = [timed(partial(walk, space.columns, space.delay_s, space.target_s, space.judge)) for _ in range(effort.searches)]
        seen = whole[0][1]
        assert all(answer.cheapest == seen.cheapest for _, answer in whole)
        found[name] = Exact(
            space.candidates,
            statistics.median(taken for taken, _ in bound),
            statistics.median(prepared) + statistics.median(taken for taken, _ in whole),
            statistics.median(prepared),
            seen.simulated / space.candidates,
            seen.simulated,
            seen.regret_usd_per_hour,
        )
        print(
            f"\n{space.candidates:,} candidates: by bounds alone {1e3 * found[name].bound_s:.1f} ms ({bound[0][1][1]:.4f} $/h)\n"
            f"  with simulation {found[name].exact_s:.2f} s ({seen.cost_usd_per_hour:.4f} $/h), of which {found[name].prepared_s:.2f} s "
            f"to make space and bounds;\n  {seen.simulated:,} simulated, {seen.cut_by_bound:,} cut by bounds, "
            f"regret {seen.regret_usd_per_hour}"
        )
    regret = found["1e9"].regret
    return {
        "bound_4e8_s": found["4e8"].bound_s,
        "bound_1e9_s": found["1e9"].bound_s,
        "exact_4e8_s": found["4e8"].exact_s,
        "exact_1e9_s": found["1e9"].exact_s,
        "simulated_share": found["1e9"].share,
        "simulated_1e9": found["1e9"].simulated,
        "regret_1e9_usd_per_hour": Unknown("the search was not finished") if regret is None else regret,
        "candidates_4e8": found["4e8"].candidates,
        "candidates_1e9": found["1e9"].candidates,
    }


if __name__ == "__main__":
    main()
