# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -ffp-contract=off
"""A dynamic-batching queue in front of identical servers, simulated batch by batch."""
# No fused multiply-add (line 2): its unrounded product would part from the reference in the last bit on some processors.

import numpy as np
from libc.math cimport floor, isfinite

# Stalls that begin more often than that are none; and sums of such gaps always grow, whatever is rounded.
SHORTEST_GAP_S = 1e-6
MOST_STALLED = 0.5  # of the time of a server


def simulate_queue(
    const double[::1] arrival_s not None,  # (requests,) ascending
    const Py_ssize_t[::1] size_class not None,  # (requests,) column of service_s
    const double[:, ::1] service_s not None,  # (max_batch_size, classes)
    const double[::1] service_factor not None,  # (factors,)
    *,
    Py_ssize_t instances,
    double max_queue_delay_s,
    double wake_s=0.0,
    const double[::1] hold_up_s=None,  # (hold_ups,)
    const double[::1] stall_gap_s=None,  # (stalls,)
    const double[::1] stall_length_s=None,  # (stalls,)
):
    """Return the latency in seconds of each request, how many batches had each size, and the seconds that servers worked.

    One first-in-first-out queue feeds `instances` identical servers. The oldest waiting request leaves when a server is free and
    either a full batch waits or it has waited `max_queue_delay_s`; all that wait then leave with it, up to max_batch_size. A
    batch is padded to its largest size class: b requests with largest class c take service_s[b - 1, c], times
    service_factor[k % factors] for the k-th batch to leave, and wake_s more if their server was idle before they were due, and
    hold_up_s[k % hold_ups] more, where given, for the k-th of those. Spread is drawn beforehand, so that candidates can be compared under
    the same luck.

    Servers stand still now and then: the next stall of a server begins stall_gap_s after the one before began (the first so long after
    the first arrival) and lasts stall_length_s; all servers draw from one sequence, which begins anew at its end. A stall lengthens the
    batch in whose midst it begins, and holds up one that comes to an idle server before the stall is over. None: there are no stalls.
    Of several idle servers the one that has been so longest takes the batch. Seconds that a batch was stalled count as work.

    Shapes: latency (requests,) float64; batches (max_batch_size,) int64, entry b - 1 counts batches of b; a float.
    Raises ValueError for shapes that do not fit, values that are not finite, arrivals out of order, classes out of range, and servers
    that are stalled half of the time.
    """
    _check(arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s, hold_up_s)
    _check_stalls(stall_gap_s, stall_length_s)
    latency = np.empty(arrival_s.shape[0])
    batches = np.zeros(service_s.shape[0], dtype=np.int64)
    cdef double[::1] free_at_s = np.full(instances, -np.inf)
    cdef double[::1] latency_s = latency
    cdef long long[::1] batch_size_histogram = batches
    cdef double busy_s
    cdef double[::1] until_s = np.empty(instances)
    cdef Py_ssize_t[::1] upcoming = np.empty(instances, dtype=np.intp)
    cdef _Stalls stalls
    cdef bint is_stalled = _begin(&stalls, stall_gap_s, stall_length_s, until_s, upcoming)
    with nogil:
        busy_s = _run(
            arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, hold_up_s, free_at_s, latency_s,
            batch_size_histogram, NULL, &stalls if is_stalled else NULL,
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
    const double[::1] hold_up_s=None,  # (hold_ups,)
    const double[::1] stall_gap_s=None,  # (stalls,)
    const double[::1] stall_length_s=None,  # (stalls,)
):
    """Return whether at most `allowed` requests of the queue of `simulate_queue` are late, those of the warm-up not counted.

    Late is a latency above target_s. The simulation ends with the first request that is one too many: an overload soon shows.
    Raises ValueError as simulate_queue does.
    """
    _check(arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s, hold_up_s)
    _check_stalls(stall_gap_s, stall_length_s)
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
    cdef double[::1] until_s = np.empty(instances)
    cdef Py_ssize_t[::1] upcoming = np.empty(instances, dtype=np.intp)
    cdef _Stalls stalls
    cdef bint is_stalled = _begin(&stalls, stall_gap_s, stall_length_s, until_s, upcoming)
    with nogil:
        _run(
            arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, hold_up_s, free_at_s, latency_s,
            batch_size_histogram, &watch, &stalls if is_stalled else NULL,
        )
    return watch.allowed >= 0


cdef struct _Stalls:
    const double *gap_s
    const double *length_s
    Py_ssize_t count, draw
    double cycle_s  # the sum of the gaps
    double *until_s  # (instances,) from the moment a server became free until its next stall begins
    Py_ssize_t *upcoming  # (instances,) which of the draws that stall is


cdef struct _Watch:
    const double *transit_s
    double target_s
    Py_ssize_t warm_up, allowed  # how many more may be late


def _check(const double[::1] arrival_s, size_class, service_s, service_factor, instances, max_queue_delay_s, wake_s, hold_up_s):
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
    if hold_up_s is not None and not (len(hold_up_s) and (np.isfinite(hold_up_s) & np.greater_equal(hold_up_s, 0)).all()):
        raise ValueError("hold_up_s must have one entry at least, all finite and not negative, or be None")


def _check_stalls(stall_gap_s, stall_length_s):
    if stall_gap_s is None and stall_length_s is None:
        return
    if stall_gap_s is None or stall_length_s is None or len(stall_gap_s) != len(stall_length_s) or not len(stall_gap_s):
        raise ValueError("stall_gap_s and stall_length_s must have as many entries, one at least, or both be None")
    gaps, lengths = np.asarray(stall_gap_s), np.asarray(stall_length_s)
    if not (np.isfinite(gaps) & np.greater_equal(gaps, SHORTEST_GAP_S)).all():
        raise ValueError(f"stall_gap_s must be finite and at least {SHORTEST_GAP_S:g} s")
    if not (np.isfinite(lengths) & np.greater_equal(lengths, 0)).all():
        raise ValueError("stall_length_s must be finite and not negative")
    # A server that is stalled all the time would never end a batch.
    if not lengths.sum() <= MOST_STALLED * gaps.sum():
        raise ValueError(f"stalls take {lengths.sum() / gaps.sum():.0%} of the time: more than {MOST_STALLED:.0%} is no service")


cdef bint _begin(
    _Stalls *stalls, const double[::1] gap_s, const double[::1] length_s, double[::1] until_s, Py_ssize_t[::1] upcoming
) noexcept:
    """Draw the first stall of every server; return whether there are stalls."""
    cdef Py_ssize_t i
    if gap_s is None:
        return False
    stalls.gap_s = &gap_s[0]
    stalls.length_s = &length_s[0]
    stalls.count = gap_s.shape[0]
    stalls.draw = 0
    stalls.until_s = &until_s[0]
    stalls.upcoming = &upcoming[0]
    stalls.cycle_s = 0.0
    for i in range(stalls.count):
        stalls.cycle_s += gap_s[i]
    for i in range(until_s.shape[0]):
        upcoming[i] = _drawn(stalls)
        until_s[i] = gap_s[upcoming[i]]
    return True


cdef bint _is_ascending(const double[::1] values) noexcept nogil:
    cdef Py_ssize_t i, last = values.shape[0] - 1
    for i in range(last):
        # Written so that NaN, of which no comparison is true, does not pass.
        if not values[i] <= values[i + 1]:
            return False
    # In ascending order only the ends can be infinite.
    return last < 0 or (isfinite(values[0]) and isfinite(values[last]))


cdef double _run(
    const double[::1] arrival_s,
    const Py_ssize_t[::1] size_class,
    const double[:, ::1] service_s,
    const double[::1] service_factor,
    double max_queue_delay_s,
    double wake_s,
    const double[::1] hold_up_s,  # None: nothing is held up
    double[::1] free_at_s,
    double[::1] latency_s,
    long long[::1] batch_size_histogram,
    _Watch *watch,
    _Stalls *stalls,
) noexcept nogil:
    # Two calls, so that the compiler makes two loops: one without stalls pays nothing for them.
    if stalls == NULL:
        return _simulate(
            arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, hold_up_s, free_at_s, latency_s,
            batch_size_histogram, watch, NULL,
        )
    return _simulate(
        arrival_s, size_class, service_s, service_factor, max_queue_delay_s, wake_s, hold_up_s, free_at_s, latency_s,
        batch_size_histogram, watch, stalls,
    )


cdef inline double _simulate(
    const double[::1] arrival_s,
    const Py_ssize_t[::1] size_class,
    const double[:, ::1] service_s,
    const double[::1] service_factor,
    double max_queue_delay_s,
    double wake_s,
    const double[::1] hold_up_s,  # None: nothing is held up
    double[::1] free_at_s,  # (instances,) a heap: no entry is earlier than its parent at (i - 1) // 2
    double[::1] latency_s,
    long long[::1] batch_size_histogram,
    _Watch *watch,  # NULL: nobody asks who is late
    _Stalls *stalls,  # NULL: there are none; else free_at_s is no heap, for a server has its own stalls and keeps its place
) noexcept nogil:
    cdef Py_ssize_t requests = arrival_s.shape[0], max_batch_size = service_s.shape[0]
    cdef Py_ssize_t i, end, full, largest, oldest = 0, draw = 0, woken = 0, first = 0
    cdef Py_ssize_t hold_ups = 0 if hold_up_s is None else hold_up_s.shape[0]
    cdef double due_s, start_s, duration_s, end_s, busy_s = 0.0
    while oldest < requests:
        full = oldest + max_batch_size
        due_s = arrival_s[oldest] + max_queue_delay_s
        if full <= requests:
            due_s = min(due_s, arrival_s[full - 1])
        if stalls != NULL:
            first = _earliest(free_at_s)
        start_s = max(due_s, free_at_s[first])
        # The oldest request always leaves, so progress is certain.
        end = oldest + 1
        largest = size_class[oldest]
        while end < full and end < requests and arrival_s[end] <= start_s:
            largest = max(largest, size_class[end])
            end += 1
        duration_s = service_s[end - oldest - 1, largest] * service_factor[draw]
        if free_at_s[first] < due_s:
            duration_s += wake_s
            if hold_ups:
                duration_s += hold_up_s[woken]
                woken = woken + 1 if woken + 1 < hold_ups else 0
        if stalls != NULL:
            # A server that has had no batch yet has been idle since the first request came.
            duration_s = _stalled_s(stalls, first, start_s - max(free_at_s[first], arrival_s[0]), duration_s)
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
        if stalls == NULL:
            _replace_earliest(free_at_s, end_s)
        else:
            free_at_s[first] = end_s
        oldest = end
    return busy_s


cdef inline Py_ssize_t _earliest(const double[::1] free_at_s) noexcept nogil:
    cdef Py_ssize_t i, best = 0
    for i in range(1, free_at_s.shape[0]):
        if free_at_s[i] < free_at_s[best]:
            best = i
    return best


cdef inline Py_ssize_t _drawn(_Stalls *stalls) noexcept nogil:
    cdef Py_ssize_t draw = stalls.draw
    stalls.draw = draw + 1 if draw + 1 < stalls.count else 0
    return draw


cdef double _stalled_s(_Stalls *stalls, Py_ssize_t server, double idle_s, double duration_s) noexcept nogil:
    """Return the seconds that a batch takes with its stalls, on a server that was idle for idle_s before it."""
    # Times count from the batch's start: a stall that began before it still holds it up until it is over.
    cdef double begins_s = stalls.until_s[server] - idle_s, end_s = duration_s, over_s = 0.0, stall_end_s
    if begins_s < -2 * stalls.cycle_s:
        # So long idle that all draws come round again. No stall is as long as all gaps: the last round holds whatever is not over yet.
        begins_s += floor(-begins_s / stalls.cycle_s - 1) * stalls.cycle_s
    while begins_s < end_s:
        stall_end_s = begins_s + stalls.length_s[stalls.upcoming[server]]
        # Stalls may overlap: only what none before it covers takes time.
        if stall_end_s > over_s:
            end_s += stall_end_s - max(begins_s, over_s)
            over_s = stall_end_s
        stalls.upcoming[server] = _drawn(stalls)
        begins_s += stalls.gap_s[stalls.upcoming[server]]
    stalls.until_s[server] = begins_s - end_s
    return end_s


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
