"""The same million candidates for general optimisers: how long until they are within 1 % of the optimum, and how long the search takes.

Optimisers ask a function of their choice of axes and get the cost and, beside it, how far the simulated quantile is above the target.
Each starts from several seeds and stops at 1 %, or at a limit; the median of the seeds counts, and a limit is told as such.
"""

import statistics
import time
from typing import Any, NamedTuple

import numpy as np

from advisor.decide.queue.search import walk
from harness import Figures, Unknown
from parts.search_spaces import (
    DELAYS_S,
    INSTANCES,
    QUANTILE,
    REQUESTS_PER_S,
    TARGET_S,
    THREADS,
    VARIANTS,
    Market,
    market,
    simulated_quantile_s,
)

HARDWARE, BATCHES, DELAYS, REPLICAS = 4, 4, 2, 40
WITHIN = 1.01


class PeerEffort(NamedTuple):
    """How much of a run is made."""

    turns: int  # of the search
    seeds: int  # of each optimiser
    limit_s: float  # of one seed


class Reached(Exception):
    """The optimiser has come within 1 %."""


class Task:
    """The function to minimise, with a clock: it raises Reached at the goal, TimeoutError at the limit."""

    sizes = (VARIANTS, HARDWARE, len(THREADS), len(INSTANCES), BATCHES, DELAYS, REPLICAS)

    def __init__(self, space: Market, optimum_usd: float, limit_s: float) -> None:
        self.space = space
        self.goal_usd = optimum_usd * WITHIN
        self.limit_s = limit_s
        self.began = time.perf_counter()
        self.asked = 0

    def __call__(self, chosen: tuple[int, ...]) -> tuple[float, float]:
        """Return cost and violation (seconds over the target, relative) of a choice along each axis."""
        if time.perf_counter() - self.began > self.limit_s:
            raise TimeoutError
        self.asked += 1
        *axes, delay, replicas = (int(value) for value in chosen)
        point = int(np.ravel_multi_index(axes, self.sizes[:5]))
        usd = float(self.space.columns.price_usd_per_hour[point] * (replicas + 1))
        over = simulated_quantile_s(self.space, point, delay, replicas + 1) / TARGET_S - 1
        if over <= 0 and usd <= self.goal_usd:
            raise Reached
        return usd, max(over, 0.0)


def peer_figures(effort: PeerEffort) -> Figures:
    """Time each optimiser and the search."""
    began = time.perf_counter()
    space = market(hardware=HARDWARE, batches=BATCHES, delays=DELAYS, replicas=REPLICAS)
    seen = walk(space.columns, space.delay_s, space.target_s, space.judge)
    ours_s = [time.perf_counter() - began]
    for _ in range(effort.turns - 1):
        began = time.perf_counter()
        again = market(hardware=HARDWARE, batches=BATCHES, delays=DELAYS, replicas=REPLICAS)
        assert walk(again.columns, again.delay_s, again.target_s, again.judge).cheapest == seen.cheapest
        ours_s.append(time.perf_counter() - began)
    optimum_usd = seen.cost_usd_per_hour
    assert optimum_usd is not None
    ours = statistics.median(ours_s)
    print(
        f"\n{space.candidates:,} candidates at {REQUESTS_PER_S:g} /s, p{100 * QUANTILE:g} within {TARGET_S:g} s, "
        f"{DELAYS} of {len(DELAYS_S)} delays: the optimum, {optimum_usd:.4f} $/h, in {1e3 * ours:.1f} ms"
    )
    figures: Figures = {"peer_candidates": space.candidates, "search_1e6_s": ours}
    for name, optimise in (("optuna", _optuna), ("pymoo", _pymoo)):
        taken, reached, asked = [], 0, []
        for seed in range(effort.seeds):
            task = Task(space, optimum_usd, effort.limit_s)
            try:
                optimise(task, seed)
            except ImportError:
                break
            except Reached:
                reached += 1
            except TimeoutError:
                pass
            taken.append(time.perf_counter() - task.began)
            asked.append(task.asked)
        if not taken:
            print(f"  {name:<8} not installed")
        else:
            print(
                f"  {name:<8} {statistics.median(taken):6.2f} s, {statistics.median(asked):.0f} asked; within 1 % from {reached} of "
                f"{len(taken)} seeds"
            )
        absent = Unknown(f"{name} is not installed")
        figures[f"{name}_s"] = statistics.median(taken) if taken else absent
        figures[f"{name}_reached"] = reached / len(taken) if taken else absent
        figures[f"{name}_time_ratio"] = statistics.median(taken) / ours if taken else absent
    return figures


def _optuna(task: Task, seed: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = ("variant", "hardware", "threads", "instances", "batch", "delay", "replicas")

    def objective(trial: Any) -> float:
        chosen = tuple(
            trial.suggest_categorical(name, list(range(size)))
            if name in ("variant", "hardware")
            else trial.suggest_int(name, 0, size - 1)
            for name, size in zip(names, task.sizes, strict=True)
        )
        usd, over = task(chosen)
        # What misses is worse than anything that keeps the target, the more the farther.
        return usd if over == 0 else 1e4 * (1 + min(over, 100.0))

    optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed)).optimize(objective, n_trials=10**9)


def _pymoo(task: Task, seed: int) -> None:
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Problem(ElementwiseProblem):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            upper = np.array(task.sizes) - 1
            super().__init__(n_var=len(upper), n_obj=1, n_ieq_constr=1, xl=0, xu=upper, vtype=int)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"], out["G"] = task(tuple(x))

    algorithm = GA(
        pop_size=100,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    while True:  # where it takes itself to have converged, it starts again from another seed
        minimize(Problem(), algorithm, seed=seed, verbose=False)
        seed += 1000
