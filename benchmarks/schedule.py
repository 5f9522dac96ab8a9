"""How long do many models take on many machines, when some of them are lost? A discrete-event simulation with measured task times.

    python benchmarks/schedule.py [--json FILE] [--quick] [--models N] [--nodes N ...] [--lost-per-hour FRACTION]

Machines of one kind ask for the next model, one at a time: so does a cluster in which each brings the resource that a task takes whole.
Seconds of a task are those of recorded profiles, for the usual budget, drawn with a seed; to hand one out takes the head node the seconds
of an empty task, one after the other, and the store some for what it writes. A machine is lost at random, so many of them an hour
(exponential), and its place is filled after a while. What it had measured is in the store up to the last time it was sent there: the next
machine goes on with the rest. Without --models there are a hundred for each machine. `docs/scale.md` has the table that this prints.

Keys: `hours_<nodes>`, `ideal_hours_<nodes>`, `utilization_<nodes>`, `lost_nodes_<nodes>`, `lost_measuring_share_<nodes>`,
`head_busy_share_<nodes>`, `store_operations_per_s_<nodes>`, `shipped_bytes_per_s_<nodes>`; how many machines fill what they share:
`nodes_until_network_full`, `nodes_until_store_full`, `nodes_until_dispatch_full`; `events_per_s`.
Tables: `rows`.
"""

import heapq
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness import Figures, Size, parsed, parser_of, save, show

RECORDED = Path(__file__).parent / "data" / "task_times.json"
NODES: dict[Size, tuple[int, ...]] = {"full": (10, 100, 1000), "quick": (10, 100), "tiny": (2, 4)}
MODELS_PER_NODE = 100
LOST_PER_HOUR = 0.01
SEED = 20
READY, LOST, BACK = 0, 1, 2  # a machine has done its task, is lost, is there again
COLUMNS = (
    "Machines",
    "Models",
    "Hours",
    "Ideal",
    "Utilization",
    "Machines lost",
    "Measured again",
    "Head node busy",
    "Head node sends",
    "Store operations",
)


class Recorded(NamedTuple):
    """What was measured of tasks: the times of profiles at a budget, and what surrounds them."""

    budget_s: float  # of the task times
    task_s: tuple[float, ...]
    dispatch_s: float  # of the head node, for each task that it hands out
    store_s: float  # of a task, for what it reads from the store and writes there
    store_operations: float  # of a task
    sent_every_s: float  # how often a machine sends its journal
    back_after_s: float  # until a lost machine's place is filled
    network_bytes_per_s: float  # of the head node
    store_operations_per_s: float  # that the store takes
    shipped_bytes: float  # of a task, by the head node


class Outcome(NamedTuple):
    """A schedule as it went."""

    nodes: int
    models: int
    makespan_s: float
    ideal_s: float  # all machines busy with measuring, none lost, nothing handed out
    measuring_s: float  # of all machines
    again_s: float  # measured, lost and measured again
    lost: int
    dispatched: int
    head_busy_s: float
    events: int


def recorded(path: Path = RECORDED) -> Recorded:
    """Return what the data file has, profiles as they would have been with the usual budget."""
    known = json.loads(path.read_text(encoding="utf-8"))
    usual_s = known["usual_budget_s"]
    # What is beside the budget, loading and exporting, does not grow with it.
    times = tuple(usual_s + entry["seconds"] - entry["budget_s"] for entry in known["profiles"])
    shipped = statistics.fmean(entry["shipped_bytes"] for entry in known["profiles"])
    others = {name: known[name] for name in Recorded._fields if name in known}
    return Recorded(budget_s=usual_s, task_s=times, shipped_bytes=shipped, **others)


def simulated(known: Recorded, nodes: int, models: int, *, lost_per_hour: float, seed: int = SEED) -> Outcome:
    """Return how the schedule goes: every model measured once, what was lost measured again from where the store has it."""
    random = np.random.default_rng(seed)
    waiting = (random.choice(known.task_s, models) + known.store_s).tolist()  # seconds that are left of each, the last first
    total_s = sum(waiting)
    life_s = 3600.0 / lost_per_hour if lost_per_hour > 0 else float("inf")
    events: list[tuple[float, int, int, int]] = [(0.0, node, READY, 0) for node in range(nodes)]
    ages = random.exponential(life_s, nodes) if lost_per_hour > 0 else np.full(nodes, np.inf)
    events += [(float(age), node, LOST, 0) for node, age in enumerate(ages) if age < float("inf")]
    heapq.heapify(events)
    begun: list[tuple[float, float] | None] = [None] * nodes  # when the task of a machine began, and how long it is
    times = [0] * nodes  # how often a machine was lost: what was planned before that does not happen
    head_free_s = head_busy_s = makespan_s = again_s = measuring_s = 0.0
    lost = dispatched = count = 0
    open_tasks = models
    idle: list[int] = []
    while open_tasks:
        at_s, node, what, life = heapq.heappop(events)
        count += 1
        if what == LOST:
            lost += 1
            times[node] += 1
            task = begun[node]
            begun[node] = None
            if task is not None:
                spent_s = max(0.0, at_s - task[0])
                kept_s = spent_s - spent_s % known.sent_every_s
                measuring_s += spent_s
                again_s += spent_s - kept_s
                waiting.append(task[1] - kept_s)
                if idle:
                    heapq.heappush(events, (at_s, idle.pop(), READY, -1))
            elif node in idle:
                idle.remove(node)
            heapq.heappush(events, (at_s + known.back_after_s, node, BACK, times[node]))
            continue
        if what == BACK:
            heapq.heappush(events, (at_s + float(random.exponential(life_s)), node, LOST, 0))
        elif life not in (times[node], -1):
            continue  # it was lost meanwhile
        done = begun[node]
        if done is not None:
            measuring_s += done[1]
            begun[node] = None
            open_tasks -= 1
            makespan_s = at_s
        if not waiting:
            idle.append(node)
            continue
        task_s = waiting.pop()
        head_free_s = max(head_free_s, at_s) + known.dispatch_s
        head_busy_s += known.dispatch_s
        dispatched += 1
        begun[node] = head_free_s, task_s
        heapq.heappush(events, (head_free_s + task_s, node, READY, times[node]))
    return Outcome(nodes, models, makespan_s, total_s / nodes, measuring_s, again_s, lost, dispatched, head_busy_s, count)


def row(known: Recorded, it: Outcome) -> tuple[str, ...]:
    """Return the cells of a line of the table."""
    return (
        f"{it.nodes:,}",
        f"{it.models:,}",
        f"{it.makespan_s / 3600:,.2f}",
        f"{it.ideal_s / 3600:,.2f}",
        f"{it.ideal_s / it.makespan_s:.1%}",
        f"{it.lost:,}",
        f"{it.again_s / it.measuring_s:.2%}",
        f"{it.head_busy_s / it.makespan_s:.2%}",
        f"{it.dispatched * known.shipped_bytes / it.makespan_s / 1e6:,.1f} MB/s",
        f"{it.dispatched * known.store_operations / it.makespan_s:,.1f}/s",
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table in Markdown."""
    lines = [COLUMNS, ("---:",) * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--models", type=int, help="how many models there are in all")
    parser.add_argument("--nodes", type=int, nargs="+", help="how many machines, one schedule for each")
    parser.add_argument("--lost-per-hour", type=float, default=LOST_PER_HOUR, help="share of the machines (%(default)s)")
    arguments = parsed(parser)
    known = recorded()
    outcomes, started = [], time.perf_counter()
    for nodes in arguments.nodes or NODES[arguments.size]:
        models = arguments.models or MODELS_PER_NODE * nodes
        outcomes.append(simulated(known, nodes, models, lost_per_hour=arguments.lost_per_hour))
    seconds = time.perf_counter() - started
    print(table([row(known, it) for it in outcomes]))
    figures: Figures = {}
    for it in outcomes:
        figures |= {
            f"hours_{it.nodes}": it.makespan_s / 3600,
            f"ideal_hours_{it.nodes}": it.ideal_s / 3600,
            f"utilization_{it.nodes}": it.ideal_s / it.makespan_s,
            f"lost_nodes_{it.nodes}": float(it.lost),
            f"lost_measuring_share_{it.nodes}": it.again_s / it.measuring_s,
            f"head_busy_share_{it.nodes}": it.head_busy_s / it.makespan_s,
            f"store_operations_per_s_{it.nodes}": it.dispatched * known.store_operations / it.makespan_s,
            f"shipped_bytes_per_s_{it.nodes}": it.dispatched * known.shipped_bytes / it.makespan_s,
        }
    figures |= walls(known)
    figures["events_per_s"] = sum(it.events for it in outcomes) / seconds
    show(figures)
    save(arguments.json, arguments.size, figures, rows=[row(known, it) for it in outcomes])


def walls(known: Recorded) -> Figures:
    """Return how many machines it takes to fill what they share."""
    task_s = statistics.fmean(known.task_s) + known.store_s
    return {
        "nodes_until_network_full": float(task_s * known.network_bytes_per_s // known.shipped_bytes),
        "nodes_until_store_full": float(task_s * known.store_operations_per_s // known.store_operations),
        "nodes_until_dispatch_full": float(task_s // known.dispatch_s),
    }


if __name__ == "__main__":
    main()
