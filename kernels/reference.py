"""A readable twin of every kernel: same name, same signature, same answer by a different method. For the tests; slow.

The twins take valid input and check nothing.
"""

import heapq
from collections import deque

import numpy as np
from numpy.typing import NDArray


def simulate_queue(
    arrival_s: NDArray[np.float64],  # (requests,) ascending
    size_class: NDArray[np.intp],  # (requests,)
    service_s: NDArray[np.float64],  # (max_batch_size, classes)
    service_factor: NDArray[np.float64],  # (factors,)
    *,
    instances: int,
    max_queue_delay_s: float,
    wake_s: float = 0.0,
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
    idle_since_s = [-np.inf] * instances  # of the idle servers, a heap
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
                heapq.heappush(idle_since_s, now_s)
        while idle_since_s and waiting and (len(waiting) >= max_batch_size or waiting[0] in has_waited_enough):
            batch = [waiting.popleft() for _ in range(min(len(waiting), max_batch_size))]
            duration_s = float(service_s[len(batch) - 1, size_class[batch].max()] * service_factor[batches % len(service_factor)])
            if heapq.heappop(idle_since_s) < now_s:
                duration_s += wake_s
            latency_s[batch] = now_s + duration_s - arrival_s[batch]
            batch_size_histogram[len(batch) - 1] += 1
            busy_s += duration_s
            batches += 1
            heapq.heappush(events, (now_s + duration_s, "completes", batches))
    return latency_s, batch_size_histogram, busy_s


def enumerate_candidates(
    item_seconds: NDArray[np.float64],  # (configs,)
    latency_floor_s: NDArray[np.float64],  # (configs,)
    price_usd_per_hour: NDArray[np.float64],  # (configs,)
    max_replicas: NDArray[np.intp],  # (configs,)
    *,
    requests_per_s: float,
    latency_target_s: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], int, int]:
    """Try every candidate by itself, where the kernel computes the fewest replicas; see search for the meaning."""
    space = [(i, n + 1) for i, most in enumerate(max_replicas.tolist()) for n in range(most)]
    in_time = [(i, n) for i, n in space if latency_floor_s[i] <= latency_target_s]
    stable = [(i, n) for i, n in in_time if requests_per_s * item_seconds[i] / n < 1]
    ranked = sorted((float(price_usd_per_hour[i]) * n, i, n) for i, n in stable)
    return (
        np.array([i for _, i, _ in ranked], dtype=np.intp),
        np.array([n for _, _, n in ranked], dtype=np.intp),
        np.array([cost for cost, _, _ in ranked], dtype=np.float64),
        len(space) - len(in_time),
        len(in_time) - len(stable),
    )


def non_dominated(
    points: NDArray[np.float64],  # (n, objectives)
) -> NDArray[np.bool_]:
    """Compare every point with every other, where the kernel sorts first; see pareto for the meaning."""
    no_larger = (points[:, None, :] <= points[None, :, :]).all(axis=2)
    smaller = (points[:, None, :] < points[None, :, :]).any(axis=2)
    dominates = no_larger & smaller  # (n, n), row over column
    return np.asarray(~dominates.any(axis=0))
