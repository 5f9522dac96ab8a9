"""A readable twin of every kernel: same name, same signature, same answer by a different method. For the tests; slow.

The twins take valid input and check nothing.
"""

import heapq
import math
from collections import deque
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from advisor.kernels.columns import Columns


def simulate_queue(
    arrival_s: NDArray[np.float64],  # (requests,) ascending
    size_class: NDArray[np.intp],  # (requests,)
    service_s: NDArray[np.float64],  # (max_batch_size, classes)
    service_factor: NDArray[np.float64],  # (factors,)
    *,
    instances: int,
    max_queue_delay_s: float,
    wake_s: float = 0.0,
    hold_up_s: NDArray[np.float64] | None = None,
    stall_gap_s: NDArray[np.float64] | None = None,
    stall_length_s: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Simulate event by event, where the kernel computes the start of each batch; see queue_sim for the meaning."""
    max_batch_size = len(service_s)
    latency_s = np.empty(len(arrival_s))
    batch_size_histogram = np.zeros(max_batch_size, dtype=np.int64)
    busy_s = 0.0
    arrivals = arrival_s.tolist()
    events = [(time_s, "arrives", request) for request, time_s in enumerate(arrivals)]
    events += [(time_s + max_queue_delay_s, "waited enough", request) for request, time_s in enumerate(arrivals)]
    heapq.heapify(events)
    waiting: deque[int] = deque()
    has_waited_enough: set[int] = set()
    idle = [(-np.inf, server) for server in range(instances)]  # since when, a heap
    stalls = None if stall_gap_s is None or stall_length_s is None else _Stalls(instances, stall_gap_s, stall_length_s)
    hold_ups = None if hold_up_s is None else cycle(hold_up_s.tolist())
    busy: dict[int, int] = {}  # batch -> server
    batches = 0
    while events:
        now_s = events[0][0]
        # All that happens at one instant happens before anybody leaves.
        while events and events[0][0] == now_s:
            _, event, request = heapq.heappop(events)
            if event == "arrives":
                waiting.append(request)
            elif event == "waited enough":
                has_waited_enough.add(request)
            else:
                heapq.heappush(idle, (now_s, busy.pop(request)))
        while idle and waiting and (len(waiting) >= max_batch_size or waiting[0] in has_waited_enough):
            batch = [waiting.popleft() for _ in range(min(len(waiting), max_batch_size))]
            duration_s = float(service_s[len(batch) - 1, size_class[batch].max()] * service_factor[batches % len(service_factor)])
            since_s, server = heapq.heappop(idle)
            if since_s < now_s:
                duration_s += wake_s
                duration_s += 0.0 if hold_ups is None else next(hold_ups)
            if stalls is not None:
                duration_s = stalls.lengthened_s(server, now_s - max(since_s, arrivals[0]), duration_s)
            latency_s[batch] = now_s + duration_s - arrival_s[batch]
            batch_size_histogram[len(batch) - 1] += 1
            busy_s += duration_s
            batches += 1
            busy[batches] = server
            heapq.heappush(events, (now_s + duration_s, "completes", batches))
    return latency_s, batch_size_histogram, busy_s


class _Stalls:
    """The stalls of all servers, drawn in turn from one sequence."""

    def __init__(self, servers: int, gap_s: NDArray[np.float64], length_s: NDArray[np.float64]) -> None:
        self.draws = cycle(zip(gap_s.tolist(), length_s.tolist(), strict=True))
        self.cycle_s = sum(gap_s.tolist())
        self.next = [next(self.draws) for _ in range(servers)]  # of each server, its gap before it and its length
        self.until_s = [gap_s for gap_s, _ in self.next]  # from the end of each server's last batch

    def lengthened_s(self, server: int, idle_s: float, duration_s: float) -> float:
        """Go from stall to stall; what they cover together of the time since the batch's start is added to its own."""
        begins_s, end_s, over_s = self.until_s[server] - idle_s, duration_s, 0.0
        if begins_s < -2 * self.cycle_s:
            begins_s += math.floor(-begins_s / self.cycle_s - 1) * self.cycle_s
        while begins_s < end_s:
            _, length_s = self.next[server]
            added_s = begins_s + length_s - max(begins_s, over_s)
            if added_s > 0:
                end_s += added_s
                over_s = begins_s + length_s
            self.next[server] = next(self.draws)
            begins_s += self.next[server][0]
        self.until_s[server] = begins_s - end_s
        return end_s


def keeps_target(
    arrival_s: NDArray[np.float64],  # (requests,) ascending
    size_class: NDArray[np.intp],  # (requests,)
    service_s: NDArray[np.float64],  # (max_batch_size, classes)
    service_factor: NDArray[np.float64],  # (factors,)
    transit_s: NDArray[np.float64],  # (requests,)
    *,
    instances: int,
    max_queue_delay_s: float,
    target_s: float,
    warm_up: int,
    allowed: int,
    wake_s: float = 0.0,
    hold_up_s: NDArray[np.float64] | None = None,
    stall_gap_s: NDArray[np.float64] | None = None,
    stall_length_s: NDArray[np.float64] | None = None,
) -> bool:
    """Count the late of a whole simulation, where the kernel stops early; see queue_sim for the meaning."""
    latency_s, _, _ = simulate_queue(
        arrival_s,
        size_class,
        service_s,
        service_factor,
        instances=instances,
        max_queue_delay_s=max_queue_delay_s,
        wake_s=wake_s,
        hold_up_s=hold_up_s,
        stall_gap_s=stall_gap_s,
        stall_length_s=stall_length_s,
    )
    return int((latency_s + transit_s > target_s)[warm_up:].sum()) <= allowed


def _left(columns: Columns, delay_s: NDArray[np.float64], latency_target_s: float) -> list[tuple[float, int, int, int]]:
    """Try every candidate by itself: cost, point, delay and replicas of each that the bounds leave, in order."""
    left = []
    delays_s = delay_s.tolist()
    for point, most in enumerate(columns.max_replicas.tolist()):
        price_usd_per_hour, room_s = float(columns.price_usd_per_hour[point]), latency_target_s - float(columns.floor_s[point])
        load, busy, queue_s = float(columns.load[point]), float(columns.busy[point]), float(columns.queue_s[point])
        slack_s, fill_s = float(columns.slack_s[point]), float(columns.fill_s[point])
        first = int(columns.first_delay[point])
        for delay in range(first, first + int(columns.delays[point])):
            for replicas in range(1, most + 1):
                rests = replicas > load
                fills = min(delays_s[delay], fill_s * replicas) <= room_s
                serves = queue_s <= (room_s + slack_s * replicas) * (replicas - busy)
                if rests and fills and serves:
                    left.append((price_usd_per_hour * replicas, point, delay, replicas))
    return sorted(left)


def fewest_replicas(columns: Columns, *, delay_s: NDArray[np.float64], latency_target_s: float) -> tuple[NDArray[np.intp], int]:
    """Count what is left, where the kernel solves for the replicas; see search for the meaning."""
    left = _left(columns, delay_s, latency_target_s)
    fewest = [min((n for _, point, _, n in left if point == wanted), default=0) for wanted in range(len(columns.load))]
    return np.array(fewest, dtype=np.intp), len(left)


def enumerate_candidates(
    columns: Columns,
    fewest: NDArray[np.intp],  # (points,)
    *,
    delay_s: NDArray[np.float64],
    latency_target_s: float,
    above_usd_per_hour: float,
    up_to_usd_per_hour: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pick from all that is left, without need of `fewest`; see search for the meaning."""
    left = _left(columns, delay_s, latency_target_s)
    chosen = [entry for entry in left if above_usd_per_hour < entry[0] <= up_to_usd_per_hour]
    usd, point, delay, replicas = zip(*chosen, strict=True) if chosen else ((), (), (), ())
    return (
        np.array(point, dtype=np.intp),
        np.array(delay, dtype=np.intp),
        np.array(replicas, dtype=np.intp),
        np.array(usd, dtype=np.float64),
    )


def non_dominated(
    points: NDArray[np.float64],  # (n, objectives)
    *,
    threads: int = 1,
) -> NDArray[np.bool_]:
    """Compare every point with every other, where the kernel sorts first; `threads` change nothing. See pareto for the meaning."""
    no_larger = (points[:, None, :] <= points[None, :, :]).all(axis=2)
    smaller = (points[:, None, :] < points[None, :, :]).any(axis=2)
    dominates = no_larger & smaller  # (n, n), row over column
    return np.asarray(~dominates.any(axis=0))
