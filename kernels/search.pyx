# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -ffp-contract=off -fno-trapping-math
"""The whole space of points, delays and replicas, less what lower bounds prove hopeless: counted, and listed cheapest first.

A candidate is (point, delay, replicas). It may be feasible only if all of this holds, every number a proven lower bound of what happens;
columns.py explains the columns:

    replicas > load[point]                                                   servers rest at times
    min(delay_s, fill_s[point] * replicas) <= room[point]                    room = latency_target_s - floor_s[point]
    queue_s[point] <= (room[point] + slack_s[point] * replicas) * (replicas - busy[point])

`fill_s` is the time that a batch takes to fill, for each replica that shares the requests. queue_s / (replicas - busy) - slack_s * replicas
is the time that requests wait for a server. What the second leaves has at most so many replicas, what the first and the third leave at
least so many: of a point and a delay one range of replicas is left, and its ends are sought instead of trying every number.
"""
# No fused multiply-add (line 2): its unrounded product would part from the reference, and one processor from another, in the last bit. Nor
# does anyone here read floating-point exceptions, which would forbid to compute what is then not chosen.

import numpy as np
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport DBL_MAX
from libc.math cimport ceil

# Beyond any that are meant; their product is finite, and a float counts them without rounding.
LARGEST = 1e100
LARGEST_COUNT = 1 << 30
# Delays of points between two looks for Ctrl-C: some tens of milliseconds.
cdef enum:
    DELAYS_AT_ONCE = 1 << 20


def fewest_replicas(columns not None, *, const double[::1] delay_s not None, double latency_target_s):
    """Return the fewest replicas of each point that the bounds leave (points,), 0 where none, and how many candidates they leave.

    `columns` are a `Columns`. Raises ValueError for shapes that do not fit, values that are not finite or out of range, and delays that
    do not ascend.
    """
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    fewest = np.zeros(space.load.shape[0], dtype=np.intp)
    cdef Py_ssize_t[::1] out = fewest
    cdef Py_ssize_t at_once = max(1, DELAYS_AT_ONCE // np.max(space.delays, initial=1))
    cdef Py_ssize_t start = 0, end, point
    cdef long long left = 0, of_point
    while start < out.shape[0]:
        end = min(start + at_once, out.shape[0])
        with nogil:
            for point in range(start, end):
                of_point = _left_of(space, point, &out[point])
                left += of_point
        PyErr_CheckSignals()
        start = end
    return fewest, left


def enumerate_candidates(
    columns not None,
    const Py_ssize_t[::1] fewest not None,  # (points,) as `fewest_replicas` says
    *,
    const double[::1] delay_s not None,
    double latency_target_s,
    double above_usd_per_hour,
    double up_to_usd_per_hour,
):
    """Return point, delay, replicas and cost of each candidate within a range of costs that the bounds leave, cheapest first.

    The range leaves out its lower end and holds its upper one. Equally cheap candidates come by point, delay and replicas.
    Shapes: four times (candidates,). Raises ValueError as `fewest_replicas` does.
    """
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    if fewest.shape[0] != space.load.shape[0]:
        raise ValueError(f"fewest has {fewest.shape[0]} entries for {space.load.shape[0]} points")
    cdef _Listed out
    out.point = out.delay = out.replicas = NULL
    out.usd = NULL
    cdef Py_ssize_t count
    with nogil:
        count = _list(space, fewest, above_usd_per_hour, up_to_usd_per_hour, out)
    point, delay, replicas, usd = np.empty(count, np.intp), np.empty(count, np.intp), np.empty(count, np.intp), np.empty(count)
    cdef Py_ssize_t[::1] point_of = point, delay_of = delay, replicas_of = replicas
    cdef double[::1] usd_of = usd
    if count:
        out.point, out.delay, out.replicas, out.usd = &point_of[0], &delay_of[0], &replicas_of[0], &usd_of[0]
        with nogil:
            _list(space, fewest, above_usd_per_hour, up_to_usd_per_hour, out)
    # Written by point, delay and replicas: a stable sort keeps that order among equal costs.
    order = np.argsort(usd, kind="stable")
    return point[order], delay[order], replicas[order], usd[order]


cdef class _Space:
    """The columns as typed arrays, checked."""

    cdef const double[::1] price_usd_per_hour, load, busy, floor_s, queue_s, slack_s, fill_s, delay_s
    cdef const Py_ssize_t[::1] max_replicas, first_delay, delays
    cdef double latency_target_s

    def __init__(self, columns, const double[::1] delay_s, double latency_target_s):
        """Raise ValueError for what makes no sense."""
        self.price_usd_per_hour = columns.price_usd_per_hour
        self.load, self.busy, self.floor_s = columns.load, columns.busy, columns.floor_s
        self.queue_s, self.slack_s, self.fill_s = columns.queue_s, columns.slack_s, columns.fill_s
        self.max_replicas, self.first_delay, self.delays = columns.max_replicas, columns.first_delay, columns.delays
        self.delay_s = delay_s
        self.latency_target_s = latency_target_s
        _check_columns(self, columns)
        _check_times(self)


cdef _check_columns(_Space space, columns):
    lengths = {name: len(column) for name, column in columns._asdict().items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"one entry for each point is needed, got {lengths}")
    for name in ("price_usd_per_hour", "load", "busy", "floor_s", "queue_s", "slack_s", "fill_s"):
        if _is_outside(getattr(columns, name), DBL_MAX):
            raise ValueError(f"{name} must be finite and at least 0")
    for name, least in (("max_replicas", 1), ("first_delay", 0), ("delays", 1)):
        if _is_below(getattr(columns, name), least):
            raise ValueError(f"{name} must be finite and at least {least}")
    if _is_outside(space.price_usd_per_hour, LARGEST) or np.max(space.max_replicas, initial=0) > LARGEST_COUNT:
        raise ValueError(f"price_usd_per_hour must be at most {LARGEST:g}, max_replicas at most {LARGEST_COUNT:,}")
    if not _is_at_most(space.busy, space.load):
        raise ValueError("busy must be at most load")


cdef _check_times(_Space space):
    if np.max(np.add(space.first_delay, space.delays), initial=0) > space.delay_s.shape[0]:
        raise ValueError(f"first_delay and delays reach beyond the {space.delay_s.shape[0]} entries of delay_s")
    delay_s = np.asarray(space.delay_s)
    if not (np.isfinite(delay_s).all() and (delay_s >= 0).all() and (np.diff(delay_s) >= 0).all()):
        raise ValueError("delay_s must be finite, not negative and ascending")
    if not 0 < space.latency_target_s < np.inf:
        raise ValueError(f"latency_target_s must be finite and positive, not {space.latency_target_s}")


cdef bint _is_outside(const double[::1] values, double most) noexcept nogil:
    """Whether any value is not within 0 and `most`; NaN is not."""
    cdef Py_ssize_t i, outside = 0
    for i in range(values.shape[0]):
        outside += not (values[i] >= 0 and values[i] <= most)
    return outside > 0


cdef bint _is_below(const Py_ssize_t[::1] values, Py_ssize_t least) noexcept nogil:
    cdef Py_ssize_t i, below = 0
    for i in range(values.shape[0]):
        below += values[i] < least
    return below > 0


cdef bint _is_at_most(const double[::1] values, const double[::1] limits) noexcept nogil:
    cdef Py_ssize_t i, beyond = 0
    for i in range(values.shape[0]):
        beyond += values[i] > limits[i]
    return beyond == 0


cdef struct _Point:
    double load, busy, room_s, queue_s, slack_s, fill_s
    Py_ssize_t max_replicas


cdef inline _Point _point(_Space space, Py_ssize_t point) noexcept nogil:
    cdef _Point row
    row.load = space.load[point]
    row.busy = space.busy[point]
    row.room_s = space.latency_target_s - space.floor_s[point]
    row.queue_s = space.queue_s[point]
    row.slack_s = space.slack_s[point]
    row.fill_s = space.fill_s[point]
    row.max_replicas = space.max_replicas[point]
    return row


cdef inline bint _keeps_up(_Point row, double replicas) noexcept nogil:
    """Whether queues are short enough on more replicas than the load, and room for no wait: once so, so with more of them."""
    return row.queue_s <= (row.room_s + row.slack_s * replicas) * (replicas - row.busy)


cdef inline bint _waits_in_time(_Point row, double delay_s, double replicas) noexcept nogil:
    """Whether batches need not wait too long: once not so, not with more replicas."""
    return min(delay_s, row.fill_s * replicas) <= row.room_s


cdef inline Py_ssize_t _fewest(_Point row) noexcept nogil:
    """Return the fewest replicas that keep up; max_replicas + 1 if more are needed."""
    cdef Py_ssize_t low, high, middle
    cdef double enough
    # Compared as floats first: a load beyond the range of integers must not be converted.
    if row.room_s < 0 or row.load >= row.max_replicas:
        return row.max_replicas + 1
    low = <Py_ssize_t>row.load + 1  # on these servers rest
    if _keeps_up(row, low):
        return low
    if not _keeps_up(row, row.max_replicas):
        return row.max_replicas + 1
    high = row.max_replicas
    # With the room at `low`, which more replicas only widen, the inequality is solved for the replicas.
    enough = high
    if row.room_s + row.slack_s * low > 0:
        enough = ceil(row.busy + row.queue_s / (row.room_s + row.slack_s * low))
    if enough < high and _keeps_up(row, enough):
        high = <Py_ssize_t>enough
    while high - low > 1:
        middle = (low + high) // 2
        if _keeps_up(row, middle):
            high = middle
        else:
            low = middle
    return high


cdef inline Py_ssize_t _most(_Point row, double delay_s, Py_ssize_t fewest) noexcept nogil:
    """Return the most replicas at which batches need not wait too long, fewest - 1 if not even `fewest`."""
    cdef Py_ssize_t low = fewest - 1, high = row.max_replicas + 1, middle
    if _waits_in_time(row, delay_s, row.max_replicas):
        return row.max_replicas
    while high - low > 1:
        middle = (low + high) // 2
        if _waits_in_time(row, delay_s, middle):
            low = middle
        else:
            high = middle
    return low


cdef long long _left_of(_Space space, Py_ssize_t point, Py_ssize_t *fewest) noexcept nogil:
    """Return how many candidates of a point the bounds leave, and its fewest replicas, 0 if none."""
    cdef _Point row = _point(space, point)
    cdef Py_ssize_t delay, low = _fewest(row)
    cdef long long left = 0, of_delay
    fewest[0] = 0
    if low > row.max_replicas:
        return 0
    for delay in range(space.first_delay[point], space.first_delay[point] + space.delays[point]):
        of_delay = _most(row, space.delay_s[delay], low) - low + 1
        # Delays ascend: what the first leaves nothing of, the next does not either.
        if of_delay == 0:
            break
        left += of_delay
    if left:
        fewest[0] = low
    return left


cdef struct _Listed:
    Py_ssize_t *point  # NULL, as all of them: candidates are only counted
    Py_ssize_t *delay
    Py_ssize_t *replicas
    double *usd


cdef Py_ssize_t _list(
    _Space space, const Py_ssize_t[::1] fewest, double above_usd, double up_to_usd, _Listed out
) noexcept nogil:
    """Write down the candidates within a range of costs by point, delay and replicas; return how many they are."""
    cdef Py_ssize_t point, count = 0
    cdef double price
    for point in range(fewest.shape[0]):
        price = space.price_usd_per_hour[point]
        if fewest[point] > 0 and price * fewest[point] <= up_to_usd and price * space.max_replicas[point] > above_usd:
            count = _list_point(space, point, fewest[point], above_usd, up_to_usd, out, count)
    return count


cdef inline Py_ssize_t _list_point(
    _Space space, Py_ssize_t point, Py_ssize_t fewest, double above_usd, double up_to_usd, _Listed out, Py_ssize_t count
) noexcept nogil:
    """Write down those of one point, the first at place `count`; return the place after the last."""
    cdef _Point row = _point(space, point)
    cdef double price = space.price_usd_per_hour[point]
    cdef Py_ssize_t first = _first_above(price, fewest, above_usd), last = _last_up_to(price, row.max_replicas, up_to_usd)
    cdef Py_ssize_t delay, replicas, most
    for delay in range(space.first_delay[point], space.first_delay[point] + space.delays[point]):
        most = _most(row, space.delay_s[delay], fewest)
        if most < fewest:
            break
        most = min(most, last)
        if out.point != NULL:
            for replicas in range(first, most + 1):
                out.point[count] = point
                out.delay[count] = delay
                out.replicas[count] = replicas
                out.usd[count] = price * replicas
                count += 1
        else:
            count += max(most - first + 1, 0)
    return count


cdef inline Py_ssize_t _first_above(double price, Py_ssize_t fewest, double above_usd) noexcept nogil:
    """Return the least number of replicas, `fewest` or more, that costs more than `above_usd`; some number must."""
    cdef Py_ssize_t first = fewest
    if price * first <= above_usd:
        first = max(first, <Py_ssize_t>(above_usd / price) - 1)
        while price * first <= above_usd:
            first += 1
    return first


cdef inline Py_ssize_t _last_up_to(double price, Py_ssize_t most, double up_to_usd) noexcept nogil:
    """Return the greatest number of replicas, `most` or fewer, that costs no more than `up_to_usd`; some number must."""
    cdef Py_ssize_t last = most
    if price * last > up_to_usd:
        last = min(last, <Py_ssize_t>(up_to_usd / price) + 1)
        while price * last > up_to_usd:
            last -= 1
    return last
