# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -ffp-contract=off
"""A dynamic-batching queue in front of identical servers, simulated batch by batch."""
# No fused multiply-add (line 2): its unrounded product would part from the reference in the last bit on some processors.

import numpy as np
from libc.math cimport isfinite


def simulate_queue(
    const double[::1] arrival_s not None,  # (requests,) ascending
    const Py_ssize_t[::1] size_class not None,  # (requests,) column of service_s
    const double[:, ::1] service_s not None,  # (max_batch_size, classes)
    const double[::1] service_factor not None,  # (factors,)
    *,
    Py_ssize_t instances,
    double max_queue_delay_s,
    double wake_s=0.0,
):
    """Return the latency in seconds of each request, how many batches had each size, and the seconds that servers worked.

    One first-in-first-out queue feeds `instances` identical servers. The oldest waiting request leaves when a server is free and
    either a full batch waits or it has waited `max_queue_delay_s`; all that wait then leave with it, up to max_batch_size. A
    batch is padded to its largest size class: b requests with largest class c take service_s[b - 1, c], times
    service_factor[k % factors] for the k-th batch to leave, and wake_s more if their server was idle before they were due. Spread is
    drawn beforehand, so that candidates can be compared under the same luck.

    Shapes: latency (requests,) float64; batches (max_batch_size,) int64, entry b - 1 counts batches of b; a float.
    Raises ValueError for shapes that do not fit, values that are not finite, arrivals out of order, classes out of range.
    """
    _check(arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s)
    latency = np.empty(arrival_s.shape[0])
    batches = np.zeros(service_s.shape[0], dtype=np.int64)
    cdef double[::1] free_at_s = np.full(instances, -np.inf)
    cdef double[::1] latency_s = latency
    cdef long long[::1] batch_size_histogram = batches
    cdef double busy_s
    with nogil:
        busy_s = _simulate(
            arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, free_at_s, latency_s,
            batch_size_histogram, NULL,
        )
    return latency, batches, busy_s


def keeps_target(
    const double[::1] arrival_s not None,  # (requests,) ascending
    const Py_ssize_t[::1] size_class not None,  # (requests,) column of service_s
    const double[:, ::1] service_s not None,  # (max_batch_size, classes)
    const double[::1] service_factor not None,  # (factors,)
    const double[::1] transit_s not None,  # (requests,) that each takes to its place in the queue, added to its latency
    *,
    Py_ssize_t instances,
    double max_queue_delay_s,
    double target_s,
    Py_ssize_t warm_up,
    Py_ssize_t allowed,
    double wake_s=0.0,
):
    """Return whether at most `allowed` requests of the queue of `simulate_queue` are late, those of the warm-up not counted.

    Late is a latency above target_s. The simulation ends with the first request that is one too many: an overload soon shows.
    Raises ValueError as simulate_queue does.
    """
    _check(arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s)
    if transit_s.shape[0] != arrival_s.shape[0]:
        raise ValueError(f"transit_s has {transit_s.shape[0]} entries for {arrival_s.shape[0]} arrivals")
    cdef double[::1] free_at_s = np.full(instances, -np.inf)
    cdef double[::1] latency_s = np.empty(arrival_s.shape[0])
    cdef long long[::1] batch_size_histogram = np.zeros(service_s.shape[0], dtype=np.int64)
    cdef _Watch watch
    watch.transit_s = &transit_s[0] if arrival_s.shape[0] else NULL
    watch.target_s = target_s
    watch.warm_up = warm_up
    watch.allowed = allowed
    with nogil:
        _simulate(
            arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, free_at_s, latency_s,
            batch_size_histogram, &watch,
        )
    return watch.allowed >= 0


cdef struct _Watch:
    const double *transit_s
    double target_s
    Py_ssize_t warm_up, allowed  # how many more may be late


def _check(const double[::1] arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s):
    classes = np.asarray(size_class)
    if classes.size != arrival_s.shape[0]:
        raise ValueError(f"size_class has {classes.size} entries for {arrival_s.shape[0]} arrivals")
    if 0 in service_s.shape:
        raise ValueError(f"service_s has shape {service_s.shape}: it needs a row for each batch size and a column for each class")
    if not service_factor.shape[0]:
        raise ValueError("service_factor is empty: write 1.0 for no spread")
    if not _is_ascending(arrival_s):
        raise ValueError("arrival_s must be finite and ascending")
    if classes.size and not 0 <= classes.min() <= classes.max() < service_s.shape[1]:
        raise ValueError(f"size_class must lie in 0..{service_s.shape[1] - 1}, the columns of service_s")
    for name, values in (("service_s", service_s), ("service_factor", service_factor)):
        if not (np.isfinite(values) & np.greater(values, 0)).all():
            raise ValueError(f"{name} must be finite and positive")
    if instances < 1:
        raise ValueError(f"instances must be at least 1, not {instances}")
    for name, value in (("max_queue_delay_s", max_queue_delay_s), ("wake_s", wake_s)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be finite and not negative, not {value}")


cdef bint _is_ascending(const double[::1] values) noexcept nogil:
    cdef Py_ssize_t i, last = values.shape[0] - 1
    for i in range(last):
        # Written so that NaN, of which no comparison is true, does not pass.
        if not values[i] <= values[i + 1]:
            return False
    # In ascending order only the ends can be infinite.
    return last < 0 or (isfinite(values[0]) and isfinite(values[last]))


cdef double _simulate(
    const double[::1] arrival_s,
    const Py_ssize_t[::1] size_class,
    const double[:, ::1] service_s,
    const double[::1] service_factor,
    double max_queue_delay_s,
    double wake_s,
    double[::1] free_at_s,  # (instances,) a heap: no entry is earlier than its parent at (i - 1) // 2
    double[::1] latency_s,
    long long[::1] batch_size_histogram,
    _Watch *watch,  # NULL: nobody asks who is late
) noexcept nogil:
    cdef Py_ssize_t requests = arrival_s.shape[0], max_batch_size = service_s.shape[0]
    cdef Py_ssize_t i, end, full, largest, oldest = 0, draw = 0
    cdef double due_s, start_s, duration_s, end_s, busy_s = 0.0
    while oldest < requests:
        full = oldest + max_batch_size
        due_s = arrival_s[oldest] + max_queue_delay_s
        if full <= requests:
            due_s = min(due_s, arrival_s[full - 1])
        start_s = max(due_s, free_at_s[0])
        # The oldest request always leaves, so progress is certain.
        end = oldest + 1
        largest = size_class[oldest]
        while end < full and end < requests and arrival_s[end] <= start_s:
            largest = max(largest, size_class[end])
            end += 1
        duration_s = service_s[end - oldest - 1, largest] * service_factor[draw]
        if free_at_s[0] < due_s:
            duration_s += wake_s
        # A wrapping counter, for a division would cost more than the rest of the step.
        draw = draw + 1 if draw + 1 < service_factor.shape[0] else 0
        end_s = start_s + duration_s
        for i in range(oldest, end):
            latency_s[i] = end_s - arrival_s[i]
        if watch != NULL:
            for i in range(max(oldest, watch.warm_up), end):
                watch.allowed -= latency_s[i] + watch.transit_s[i] > watch.target_s
            if watch.allowed < 0:
                return busy_s
        busy_s += duration_s
        batch_size_histogram[end - oldest - 1] += 1
        _replace_earliest(free_at_s, end_s)
        oldest = end
    return busy_s


cdef inline void _replace_earliest(double[::1] free_at_s, double end_s) noexcept nogil:
    # Servers are identical and batches start in order, so which of several idle servers takes a batch changes no time.
    cdef Py_ssize_t hole = 0, child = 1
    while child < free_at_s.shape[0]:
        if child + 1 < free_at_s.shape[0] and free_at_s[child + 1] < free_at_s[child]:
            child += 1
        if end_s <= free_at_s[child]:
            break
        free_at_s[hole] = free_at_s[child]
        hole = child
        child = 2 * hole + 1
    free_at_s[hole] = end_s
