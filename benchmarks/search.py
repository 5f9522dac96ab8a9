"""How fast is the search, and how fast the frontier? Beside numpy, numba, optuna, pymoo, paretoset and moocore.

    python benchmarks/search.py [--json FILE] [--quick]

Four parts, all of one run. Enumerating: every candidate of a space against closed-form bounds, beside the same arithmetic in numpy and
numba, and beside what the machine's arithmetic allows. Searching: the exact optimum of spaces of 4e8 and 1e9 candidates, by the bounds
alone and with a simulation of what they leave. Peers: the same million candidates given to optuna and pymoo until they are within 1 % of
the optimum. Frontier: points that are not dominated, beside pymoo, paretoset and moocore, the same set required. What cannot be imported
is left out and said. All that is compared takes turns; figures are medians of the turns.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.decide.queue.search import walk
from advisor.kernels import search as kernel
from parts.search_frontier import frontier_figures
from parts.search_peers import peer_figures
from parts.search_spaces import REPLICAS, market

TURNS = 5
SLAB = 50_000  # points that numpy takes at a time: its arrays then stay in the cache as far as they can
# Vector operations of one candidate: 4 multiplications, 3 subtractions or additions, 2 minima, 4 comparisons, 4 selections, 1 addition.
OPERATIONS = 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="smaller spaces and fewer turns: a smoke test")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # an interrupted run has told what it had
    figures: dict[str, Any] = {}
    figures |= enumerate_figures(arguments.quick)
    figures |= exact_figures(arguments.quick)
    figures |= peer_figures(arguments.quick)
    figures |= frontier_figures(arguments.quick)
    print()
    for name, value in figures.items():
        print(f"{name:<44}{'not measured' if value is None else f'{value:,.4g}' if isinstance(value, float) else value}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = call()
    return time.perf_counter() - started, answer


def enumerate_figures(quick: bool) -> dict[str, Any]:
    """Time the plain enumeration of one space by each, in turns."""
    space = market(hardware=2 if quick else 8)
    ways: dict[str, Callable[[], Any] | None] = {
        "kernel": lambda: kernel.scan_candidates(space.columns, delay_s=space.delay_s, latency_target_s=space.target_s),
        "kernel, 2 threads": lambda: kernel.scan_candidates(
            space.columns, delay_s=space.delay_s, latency_target_s=space.target_s, threads=2
        ),
        "numpy": lambda: scanned_by_numpy(space),
        "numba": _numba_scan(space),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers = {}
    for _ in range(2 if quick else TURNS):
        for name, way in ways.items():
            if way is not None:
                taken, answers[name] = timed(way)
                seconds[name].append(taken)
    expected = answers["kernel"][:3]
    assert all(answer[:3] == expected for answer in answers.values()), answers
    speed = {name: space.candidates / statistics.median(values) if values else None for name, values in seconds.items()}
    print(f"\nenumerating {space.candidates:,} candidates, {expected[0]:,} left, cheapest {expected[1]:.4f} $/h")
    for name, value in speed.items():
        print(f"  {name:<22}{'not installed' if value is None else f'{value / 1e6:10,.0f} million a second'}")
    peak = _vector_operations_per_s()
    share = None if peak is None else speed["kernel"] * OPERATIONS / peak
    if peak is not None:
        print(
            f"  arithmetic allows     {peak / OPERATIONS / 1e6:10,.0f} million a second ({peak / 1e9:.1f}e9 operations on doubles)"
        )
    return {
        "enumerate_candidates_per_s": speed["kernel"],
        "enumerate_candidates_per_s_2_threads": speed["kernel, 2 threads"],
        "enumerate_over_numpy": speed["kernel"] / speed["numpy"],
        "enumerate_over_numba": speed["kernel"] / speed["numba"] if speed["numba"] else None,
        "enumerate_share_of_arithmetic": share,
    }


def scanned_by_numpy(space: Any) -> tuple[int, float, int]:
    """Return how many candidates are left, the least cost, and the point of it: each term only for what it depends on."""
    price, load, busy, floor_s, queue_s, slack_s, fill_s = space.columns[:7]
    replicas = np.arange(1.0, REPLICAS + 1)
    left, best, point = 0, np.inf, -1
    for start in range(0, len(price), SLAB // 64):
        part = slice(start, start + SLAB // 64)
        room = (space.target_s - floor_s[part])[:, None]
        is_served = (replicas > load[part, None]) & (
            queue_s[part, None] <= (room + slack_s[part, None] * replicas) * (replicas - busy[part, None])
        )
        fill = (fill_s[part, None] * replicas)[:, None, :]
        is_left = is_served[:, None, :] & (np.minimum(fill, space.delay_s[None, :, None]) <= room[:, :, None])
        left += int(np.count_nonzero(is_left))
        cost = np.where(is_left, (price[part, None] * replicas)[:, None, :], np.inf)
        place = int(cost.argmin())
        if cost.flat[place] < best:
            best, point = float(cost.flat[place]), start + place // (len(space.delay_s) * REPLICAS)
    return left, best, point


def _numba_scan(space: Any) -> Callable[[], Any] | None:
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

    columns = space.columns[:7]
    scan(*(column[:2] for column in columns), space.delay_s, space.target_s, REPLICAS)  # compiled before it is timed
    return lambda: scan(*columns, space.delay_s, space.target_s, REPLICAS)


def _vector_operations_per_s() -> float | None:
    """Return how many operations on doubles one core does a second: independent minima and sums in registers, by numba; None without."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit(fastmath=True)
    def spin(values, turns):  # type: ignore[no-untyped-def]
        for _ in range(turns):
            for i in range(len(values)):
                x = values[i]
                values[i] = max(min(x * 1.0000001 + 0.5, 3.0) * 0.99 + 0.1, 1.0) * 0.5 + min(x * 0.3 + 0.2, x + 0.7)

    operations, turns = 12, 20_000
    values = np.ones(512)
    spin(values, 10)
    best = min(timed(lambda: spin(values, turns))[0] for _ in range(5))
    return operations * turns * len(values) / best


class Exact(NamedTuple):
    candidates: int
    bound_s: float
    exact_s: float  # with what it takes to make the space and its bounds
    prepared_s: float
    share: float
    simulated: int
    regret: float | None


def exact_figures(quick: bool) -> dict[str, Any]:
    """Time the exact optimum, by the bounds alone and with simulation."""
    found = {}
    for name, hardware in (("4e8", 2 if quick else 16), ("1e9", 5 if quick else 40)):
        space = market(hardware=hardware)
        prepared = [timed(lambda hardware=hardware: market(hardware=hardware))[0] for _ in range(1 if quick else 3)]
        bound = [
            timed(
                lambda space=space: kernel.cheapest_candidate(
                    space.columns, delay_s=space.delay_s, latency_target_s=space.target_s
                )
            )
            for _ in range(2 if quick else TURNS)
        ]
        whole = [
            timed(lambda space=space: walk(space.columns, space.delay_s, space.target_s, space.judge))
            for _ in range(1 if quick else 3)
        ]
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
            f"\n{space.candidates:,} candidates: by bounds alone {1e3 * found[name].bound_s:.1f} ms ({bound[0][1][0]:.4f} $/h)\n"
            f"  with simulation {found[name].exact_s:.2f} s ({seen.cost_usd_per_hour:.4f} $/h), of which {found[name].prepared_s:.2f} s "
            f"to make space and bounds;\n  {seen.simulated:,} simulated, {seen.cut_by_bound:,} cut by bounds, "
            f"regret {seen.regret_usd_per_hour}"
        )
    return {
        "bound_4e8_s": found["4e8"].bound_s,
        "bound_1e9_s": found["1e9"].bound_s,
        "exact_4e8_s": found["4e8"].exact_s,
        "exact_1e9_s": found["1e9"].exact_s,
        "simulated_share": found["1e9"].share,
        "simulated_1e9": found["1e9"].simulated,
        "regret_1e9_usd_per_hour": found["1e9"].regret,
        "candidates_4e8": found["4e8"].candidates,
        "candidates_1e9": found["1e9"].candidates,
    }


if __name__ == "__main__":
    main()
