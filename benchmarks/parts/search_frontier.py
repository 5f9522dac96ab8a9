"""The frontier of 1e5, 1e6 and 1e7 points in 3 and 4 objectives, beside pymoo, paretoset and moocore; all have to give the same set.

`realistic` points are configurations: cost in steps of price and replicas, latency, quality in a few levels, energy. `anti-correlated`
points lie near a plane on which what is better in one objective is worse in another: next to all of them are on the frontier.
A peer that would take longer than anybody's patience is not asked: judged by a tenth of the points.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from advisor.kernels import pareto
from harness import Figures, Unknown

PATIENCE_S = 40.0
QUADRATIC = ("paretoset", "pymoo")  # tried on a tenth of the points before: all take a hundred times as long
MEGA = 1_000_000


def realistic(count: int, objectives: int, random: np.random.Generator) -> np.ndarray:
    """Return cost, p99 and, with quality lost, energy of configurations drawn at random."""
    price = random.choice(np.round(random.lognormal(0.0, 1.0, 60), 3), count)
    batch = 2.0 ** random.integers(0, 6, count)
    cost = price * random.integers(1, 65, count)
    latency = 0.002 * np.exp(random.normal(0, 0.5, count)) * (1 + 0.2 * batch) + random.exponential(0.01, count) / np.sqrt(cost)
    quality = random.choice(np.linspace(0, 0.05, 12), count)
    energy = 30.0 * price / batch**0.7 * random.lognormal(0, 0.3, count)
    return np.ascontiguousarray(np.column_stack([cost, latency, energy, quality][:objectives]))


def uniform(count: int, objectives: int, random: np.random.Generator) -> np.ndarray:
    """Return points anywhere in the unit cube."""
    return random.random((count, objectives))


def anti_correlated(count: int, objectives: int, random: np.random.Generator) -> np.ndarray:
    """Return points whose coordinates add up to nearly one."""
    points = random.random((count, objectives))
    scaled: np.ndarray = points / points.sum(axis=1, keepdims=True) * (1 + 0.001 * random.random((count, 1)))
    return scaled


def frontier_figures(counts: tuple[int, ...], *, turns: int) -> Figures:
    """Time each on each kind of points."""
    figures: Figures = {}
    worst: float | None = None
    peers = _peers()
    nobody = Unknown("what it is compared with is not installed, or would take too long")
    print(f"\n{'frontier of':<36}{'on it':>10}{'ours':>9}{'2 threads':>10}" + "".join(f"{name:>11}" for name in peers))
    for count in counts:
        for kind in (realistic, uniform, anti_correlated):
            for objectives in (3, 4):
                points = kind(count, objectives, np.random.default_rng(11))
                seconds: dict[str, list[float]] = {name: [] for name in ("ours", "2 threads", *peers)}
                answers: dict[str, np.ndarray] = {}
                asked = {name: peer for name, peer in peers.items() if _is_patient(name, peer, points)}
                for _ in range(turns if count <= MEGA else 1):
                    _time("ours", partial(pareto.non_dominated, points), seconds, answers)
                    _time("2 threads", partial(pareto.non_dominated, points, threads=2), seconds, answers)
                    for name, peer in asked.items():
                        _time(name, partial(peer, points), seconds, answers)
                for name, mask in answers.items():
                    np.testing.assert_array_equal(answers["ours"], mask, err_msg=name)
                medians = {name: statistics.median(values) for name, values in seconds.items() if values}
                told = "".join(f"{medians[name]:>11.3f}" if name in medians else f"{'-':>11}" for name in peers)
                label = f"{count:,} {kind.__name__}, {objectives} objectives"
                print(f"{label:<36}{int(answers['ours'].sum()):>10,}{medians['ours']:>9.3f}{medians['2 threads']:>10.3f}{told}")
                others = [medians[name] for name in peers if name in medians]
                key = f"{count:.0e}_{kind.__name__}_{objectives}".replace("+0", "")
                figures[f"frontier_{key}_s"] = medians["ours"]
                ratio = min(others) / medians["ours"] if others else None
                figures[f"frontier_{key}_over_best_peer"] = nobody if ratio is None else ratio
                worst = min((known for known in (worst, ratio) if known is not None), default=None)
                if kind is realistic and objectives == 4:
                    figures["frontier_1e7_s" if count == 10**7 else f"frontier_{count:.0e}_s".replace("+0", "")] = medians["ours"]
                    moocore = medians["moocore"] / medians["ours"] if "moocore" in medians else nobody
                    figures[f"frontier_over_moocore_{count:.0e}".replace("+0", "")] = moocore
    figures["frontier_over_best_peer"] = nobody if worst is None else worst
    return figures


def _time(name: str, call: Callable[[], np.ndarray], seconds: dict[str, list[float]], answers: dict[str, np.ndarray]) -> None:
    started = time.perf_counter()
    answers[name] = call()
    seconds[name].append(time.perf_counter() - started)


def _is_patient(name: str, peer: Callable[[np.ndarray], np.ndarray], points: np.ndarray) -> bool:
    """Return whether a peer can be expected to finish."""
    for part in (100, 10):
        started = time.perf_counter()
        peer(points[: len(points) // part])
        taken_s = time.perf_counter() - started
        if taken_s > PATIENCE_S / (part**2 if name in QUADRATIC else 1.5 * part):
            return False
    return True


def _peers() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return those that are installed."""
    peers: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    try:
        import moocore

        peers["moocore"] = lambda points: np.asarray(moocore.is_nondominated(points, keep_weakly=True))
    except ImportError:
        print("moocore is not installed")
    try:
        from paretoset import paretoset

        peers["paretoset"] = lambda points: np.asarray(paretoset(points, distinct=False))
    except ImportError:
        print("paretoset is not installed")
    try:
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

        def by_pymoo(points: np.ndarray) -> np.ndarray:
            mask = np.zeros(len(points), dtype=bool)
            mask[NonDominatedSorting().do(points, only_non_dominated_front=True)] = True
            return mask

        peers["pymoo"] = by_pymoo
    except ImportError:
        print("pymoo is not installed")
    return peers
