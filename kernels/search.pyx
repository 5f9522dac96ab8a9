# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
"""The whole space of configurations and replicas, less what a lower bound proves hopeless, cheapest first."""

import numpy as np


def enumerate_candidates(
    const double[::1] item_seconds not None,  # (configs,)
    const double[::1] latency_floor_s not None,  # (configs,)
    const double[::1] price_usd_per_hour not None,  # (configs,) of one replica
    const Py_ssize_t[::1] max_replicas not None,  # (configs,)
    *,
    double requests_per_s,
    double latency_target_s,
):
    """Return configuration, replicas and cost per hour of each candidate that may be feasible, and two counts of those cut.

    The space is every configuration with 1..max_replicas replicas. `item_seconds` is the least time that one replica needs for a
    request, `latency_floor_s` the least latency at the promised quantile: both proven lower bounds, so nothing feasible is cut.
    A configuration is cut by latency where its floor is above the target; a candidate of the others is cut by throughput where
    requests_per_s * item_seconds / replicas >= 1, for then its queue grows without end.

    Candidates are in ascending cost; at equal cost the earlier configuration comes first, then fewer replicas.
    Shapes: three times (survivors,), then cut_by_latency and cut_by_throughput; survivors and cuts add up to the space.
    Raises ValueError for shapes that do not fit and values that are not finite or out of range.
    """
    _check(item_seconds, latency_floor_s, price_usd_per_hour, max_replicas, requests_per_s, latency_target_s)
    cdef Py_ssize_t[::1] least = np.empty(item_seconds.shape[0], dtype=np.intp)
    cdef Py_ssize_t cut_by_latency, cut_by_throughput
    with nogil:
        cut_by_latency = _cut_by_latency(latency_floor_s, max_replicas, latency_target_s)
        cut_by_throughput = _cut_by_throughput(
            item_seconds, latency_floor_s, max_replicas, requests_per_s, latency_target_s, least
        )
    survivors = np.sum(max_replicas, dtype=np.intp) - cut_by_latency - cut_by_throughput
    configuration, replicas, cost = np.empty(survivors, np.intp), np.empty(survivors, np.intp), np.empty(survivors)
    cdef Py_ssize_t[::1] configuration_of = configuration
    cdef Py_ssize_t[::1] replicas_of = replicas
    cdef double[::1] cost_of = cost
    with nogil:
        _fill(price_usd_per_hour, max_replicas, least, configuration_of, replicas_of, cost_of)
    # Candidates were written by configuration, then replicas: a stable sort keeps that order among equal costs.
    order = np.argsort(cost, kind="stable")
    return configuration[order], replicas[order], cost[order], cut_by_latency, cut_by_throughput


def _check(item_seconds, latency_floor_s, price_usd_per_hour, max_replicas, requests_per_s, latency_target_s):
    columns = {
        "item_seconds": item_seconds,
        "latency_floor_s": latency_floor_s,
        "price_usd_per_hour": price_usd_per_hour,
        "max_replicas": max_replicas,
    }
    lengths = {name: values.shape[0] for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"one entry for each configuration is needed, got {lengths}")
    for name, values in columns.items():
        least = 1 if name == "max_replicas" else 0
        if not (np.isfinite(values) & np.greater_equal(values, least)).all():
            raise ValueError(f"{name} must be finite and at least {least}")
    for name, value in (("requests_per_s", requests_per_s), ("latency_target_s", latency_target_s)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be finite and positive, not {value}")


cdef Py_ssize_t _cut_by_latency(
    const double[::1] latency_floor_s, const Py_ssize_t[::1] max_replicas, double latency_target_s
) noexcept nogil:
    cdef Py_ssize_t i, cut = 0
    for i in range(latency_floor_s.shape[0]):
        if latency_floor_s[i] > latency_target_s:
            cut += max_replicas[i]
    return cut


cdef Py_ssize_t _cut_by_throughput(
    const double[::1] item_seconds,
    const double[::1] latency_floor_s,
    const Py_ssize_t[::1] max_replicas,
    double requests_per_s,
    double latency_target_s,
    Py_ssize_t[::1] least,  # out: the fewest replicas that survive, max_replicas + 1 where none does
) noexcept nogil:
    cdef Py_ssize_t i, cut = 0
    cdef double load  # servers kept busy: replicas must exceed it
    for i in range(item_seconds.shape[0]):
        least[i] = max_replicas[i] + 1
        if latency_floor_s[i] > latency_target_s:
            continue
        load = requests_per_s * item_seconds[i]
        # Compared as floats first: a load beyond the range of integers must not be converted.
        if load < max_replicas[i]:
            least[i] = <Py_ssize_t>load + 1
        cut += least[i] - 1
    return cut


cdef void _fill(
    const double[::1] price_usd_per_hour,
    const Py_ssize_t[::1] max_replicas,
    const Py_ssize_t[::1] least,
    Py_ssize_t[::1] configuration,
    Py_ssize_t[::1] replicas,
    double[::1] cost_usd_per_hour,
) noexcept nogil:
    cdef Py_ssize_t i, n, row = 0
    for i in range(price_usd_per_hour.shape[0]):
        for n in range(least[i], max_replicas[i] + 1):
            configuration[row] = i
            replicas[row] = n
            cost_usd_per_hour[row] = price_usd_per_hour[i] * n
            row += 1
