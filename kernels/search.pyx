# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -ffp-contract=off -fno-trapping-math -fopenmp
# distutils: extra_link_args = -fopenmp
"""The whole space of points, delays and replicas, less what lower bounds prove hopeless: counted, scanned, cheapest first.

A candidate is (point, delay, replicas). A point is everything else that is chosen: variant, hardware, threads, instances, batch size. It
may be feasible only if all of this holds, every number a proven lower bound of what happens:

    replicas > load[point]                                                   servers rest at times
    min(delay_s, fill_s[point] * replicas) <= room[point]                    room = latency_target_s - floor_s[point]
    queue_s[point] <= (room[point] + slack_s[point] * replicas) * (replicas - busy[point])

`fill_s` is the time that a batch takes to fill, for each replica that shares the requests. queue_s / (replicas - busy) - slack_s * replicas
is the time that requests wait for a server; `busy`, at most `load`, are the replicas that the least work keeps busy. The second grows
with the replicas and the third falls, so what is left of a point and a delay is one range of replicas: searching beats scanning.
"""
# No fused multiply-add (line 2): its unrounded product would part from the reference, and one processor from another, in the last bit. Nor
# does anyone here read floating-point exceptions, which would forbid to compute what is then not chosen.

import numpy as np
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, ceil

# One build for all processors: the compiler makes the scan for several instruction sets, and the loader takes the best that is there.
cdef extern from *:
    """
    #include <math.h>

    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__has_attribute)
    #if __has_attribute(target_clones)
    #define SEARCH_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
    #endif
    #endif
    #ifndef SEARCH_CLONES
    #define SEARCH_CLONES
    #endif

    typedef struct {
        double price_usd_per_hour, load, busy, room, queue_s, slack_s, fill_s;
    } search_point;

    /* Count the candidates of one point and one delay that the bounds leave; return the least cost of these. */
    SEARCH_CLONES
    double search_scan_row(const search_point *point, double delay_s, int max_replicas, long long *count) {
        const search_point p = *point;
        double least = INFINITY, left = 0;
        /* Written without branches, or it would not be done several replicas at a time. */
        #pragma omp simd reduction(min : least) reduction(+ : left)
        for (int n = 1; n <= max_replicas; n++) {
            const double replicas = n, spare = replicas - p.load, fill_s = p.fill_s * replicas;
            const double wait_s = fill_s < delay_s ? fill_s : delay_s, usd = p.price_usd_per_hour * replicas;
            const double served = (p.room + p.slack_s * replicas) * (replicas - p.busy);
            double cost = spare > 0 ? usd : INFINITY;
            cost = wait_s <= p.room ? cost : INFINITY;
            cost = p.queue_s <= served ? cost : INFINITY;
            least = cost < least ? cost : least;
            left += cost < INFINITY ? 1.0 : 0.0;
        }
        *count += (long long)left;
        return least;
    }
    """
    ctypedef struct search_point:
        double price_usd_per_hour
        double load
        double busy
        double room
        double queue_s
        double slack_s
        double fill_s
    double search_scan_row(const search_point *point, double delay_s, int max_replicas, long long *count) noexcept nogil

# Beyond any that are meant; their product is finite, and a float counts them without rounding.
LARGEST = 1e100
LARGEST_COUNT = 1 << 30
# Between two looks for Ctrl-C: some tens of milliseconds of scanning, or of going through points.
cdef enum:
    SCANNED_AT_ONCE = 1 << 25
    POINTS_AT_ONCE = 1 << 21
    SHARES = 64  # of the points between two looks, that threads take one after the other


def scan_candidates(columns not None, *, const double[::1] delay_s not None, double latency_target_s, int threads=1):
    """Evaluate the bounds of every single candidate; return how many they leave, and the first of the cheapest of these.

    `columns` are those of `enumerate_candidates`. The answer is (left, cost_usd_per_hour, point, delay, replicas), the same at any number
    of threads: of equally cheap candidates the first by point, delay and replicas. Without any it is (0, inf, -1, -1, -1).
    """
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    cdef Py_ssize_t start = 0, end, share, point, best_point = -1
    cdef Py_ssize_t points = space.load.shape[0]
    cdef double best_usd = INFINITY
    cdef long long left = 0
    cdef double[::1] usd = np.empty(SHARES)
    cdef long long[::1] count = np.empty(SHARES, dtype=np.int64)
    cdef Py_ssize_t[::1] where = np.empty(SHARES, dtype=np.intp)
    cdef long long[::1] until = np.cumsum(np.multiply(space.max_replicas, space.delays), dtype=np.int64)
    cdef int workers = threads
    while start < points:
        end = max(start + 1, np.searchsorted(until, (until[start - 1] if start else 0) + SCANNED_AT_ONCE, side="right"))
        with nogil:
            for share in prange(SHARES, num_threads=workers, schedule="dynamic"):
                _scan_points(
                    space, start + share * (end - start) // SHARES, start + (share + 1) * (end - start) // SHARES,
                    &usd[share], &where[share], &count[share],
                )
        for share in range(SHARES):  # in order, so that ties fall the same way always
            left += count[share]
            if usd[share] < best_usd:
                best_usd, best_point = usd[share], where[share]
        PyErr_CheckSignals()
        start = end
    if best_point < 0:
        return 0, INFINITY, -1, -1, -1
    delay, replicas = space.first_of(best_point)
    return left, best_usd, best_point, delay, replicas


def cheapest_candidate(columns not None, *, const double[::1] delay_s not None, double latency_target_s):
    """Return the first of the cheapest candidates that the bounds leave, as `scan_candidates` does, without looking at most of them.

    Of a point only the fewest replicas can be cheapest, and their number is known in closed form up to rounding; a point whose servers
    alone cost more than the best so far is passed by. The answer is (cost_usd_per_hour, point, delay, replicas).
    """
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    cdef Py_ssize_t start = 0, end, best_point = -1
    cdef Py_ssize_t points = space.load.shape[0]
    cdef double best_usd = INFINITY
    while start < points:
        end = min(start + POINTS_AT_ONCE, points)
        with nogil:
            _cheapest(space, start, end, &best_usd, &best_point)
        PyErr_CheckSignals()
        start = end
    if best_point < 0:
        return INFINITY, -1, -1, -1
    delay, replicas = space.first_of(best_point)
    return best_usd, best_point, delay, replicas


def fewest_replicas(columns not None, *, const double[::1] delay_s not None, double latency_target_s):
    """Return the fewest replicas of each point that the bounds leave (points,), 0 where none, and how many candidates they leave."""
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    fewest = np.zeros(space.load.shape[0], dtype=np.intp)
    cdef Py_ssize_t[::1] out = fewest
    cdef Py_ssize_t start = 0, end, point
    cdef long long left = 0, of_point
    while start < out.shape[0]:
        end = min(start + POINTS_AT_ONCE, out.shape[0])
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

    Columns, each with one entry for each point: price_usd_per_hour of one replica, load, busy, floor_s, queue_s, slack_s, fill_s (float64), and
    max_replicas, first_delay, delays (intp): the candidates of a point have 1..max_replicas replicas and the `delays` entries of delay_s
    (ascending) from first_delay on. The range leaves out its lower end and holds its upper one. Equally cheap candidates come by point,
    delay and replicas. Shapes: four times (candidates,).
    Raises ValueError for shapes that do not fit, values that are not finite or out of range, and delays that do not ascend.
    """
    cdef _Space space = _Space(columns, delay_s, latency_target_s)
    if fewest.shape[0] != space.load.shape[0]:
        raise ValueError(f"fewest has {fewest.shape[0]} entries for {space.load.shape[0]} points")
    cdef Py_ssize_t count
    with nogil:
        count = _write_range(space, fewest, above_usd_per_hour, up_to_usd_per_hour, NULL, NULL, NULL, NULL)
    point, delay, replicas, usd = np.empty(count, np.intp), np.empty(count, np.intp), np.empty(count, np.intp), np.empty(count)
    cdef Py_ssize_t[::1] point_of = point, delay_of = delay, replicas_of = replicas
    cdef double[::1] usd_of = usd
    if count:
        with nogil:
            _write_range(
                space, fewest, above_usd_per_hour, up_to_usd_per_hour, &point_of[0], &delay_of[0], &replicas_of[0], &usd_of[0]
            )
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
        (
            self.price_usd_per_hour, self.load, self.busy, self.floor_s, self.queue_s, self.slack_s, self.fill_s,
            self.max_replicas, self.first_delay, self.delays,
        ) = columns
        names = (
            "price_usd_per_hour", "load", "busy", "floor_s", "queue_s", "slack_s", "fill_s", "max_replicas", "first_delay", "delays"
        )
        lengths = {name: len(column) for name, column in zip(names, columns)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"one entry for each point is needed, got {lengths}")
        for name, floats in (
            ("load", self.load), ("busy", self.busy), ("floor_s", self.floor_s), ("queue_s", self.queue_s),
            ("slack_s", self.slack_s), ("fill_s", self.fill_s), ("price_usd_per_hour", self.price_usd_per_hour),
        ):
            if _is_outside(floats, DBL_MAX):
                raise ValueError(f"{name} must be finite and at least 0")
        for name, counts, least in (
            ("max_replicas", self.max_replicas, 1), ("delays", self.delays, 1), ("first_delay", self.first_delay, 0),
        ):
            if _is_below(counts, least):
                raise ValueError(f"{name} must be finite and at least {least}")
        if _is_outside(self.price_usd_per_hour, LARGEST) or (len(self.load) and np.max(self.max_replicas) > LARGEST_COUNT):
            raise ValueError(f"price_usd_per_hour must be at most {LARGEST:g}, max_replicas at most {LARGEST_COUNT:,}")
        if not _is_at_most(self.busy, self.load):
            raise ValueError("busy must be at most load")
        if len(self.delays) and np.max(np.add(self.first_delay, self.delays)) > delay_s.shape[0]:
            raise ValueError(f"first_delay and delays reach beyond the {delay_s.shape[0]} entries of delay_s")
        delays_s = np.asarray(delay_s)
        if not (np.isfinite(delays_s).all() and (delays_s >= 0).all() and (np.diff(delays_s) >= 0).all()):
            raise ValueError("delay_s must be finite, not negative and ascending")
        if not 0 < latency_target_s < np.inf:
            raise ValueError(f"latency_target_s must be finite and positive, not {latency_target_s}")
        self.delay_s = delay_s
        self.latency_target_s = latency_target_s

    def first_of(self, Py_ssize_t point):
        """Return delay and replicas of the first of the cheapest candidates of a point that has any."""
        cdef search_point row = _row(self, point)
        cdef Py_ssize_t fewest, delay = 0
        _left_of(self, point, &fewest)
        for delay in range(self.first_delay[point], self.first_delay[point] + self.delays[point]):
            if _waits_in_time(row, self.delay_s[delay], fewest):
                break
        return delay, fewest


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


cdef inline search_point _row(_Space space, Py_ssize_t point) noexcept nogil:
    cdef search_point row
    row.price_usd_per_hour = space.price_usd_per_hour[point]
    row.load = space.load[point]
    row.busy = space.busy[point]
    row.room = space.latency_target_s - space.floor_s[point]
    row.queue_s = space.queue_s[point]
    row.slack_s = space.slack_s[point]
    row.fill_s = space.fill_s[point]
    return row


cdef void _scan_points(
    _Space space, Py_ssize_t start, Py_ssize_t end, double *usd, Py_ssize_t *where, long long *count
) noexcept nogil:
    cdef Py_ssize_t point, delay
    cdef search_point row
    cdef double least
    usd[0] = INFINITY
    where[0] = -1
    count[0] = 0
    for point in range(start, end):
        row = _row(space, point)
        for delay in range(space.first_delay[point], space.first_delay[point] + space.delays[point]):
            least = search_scan_row(&row, space.delay_s[delay], <int>space.max_replicas[point], count)
            if least < usd[0]:
                usd[0] = least
                where[0] = point


cdef inline bint _keeps_up(search_point row, double replicas) noexcept nogil:
    """Whether servers rest and queues are short enough: once so, so with more replicas."""
    return replicas - row.load > 0 and row.queue_s <= (row.room + row.slack_s * replicas) * (replicas - row.busy)


cdef inline bint _waits_in_time(search_point row, double delay_s, double replicas) noexcept nogil:
    """Whether batches need not wait too long: once not so, not with more replicas."""
    return min(delay_s, row.fill_s * replicas) <= row.room


cdef inline Py_ssize_t _fewest(search_point row, Py_ssize_t max_replicas) noexcept nogil:
    """Return the fewest replicas that keep up; max_replicas + 1 if more are needed."""
    cdef Py_ssize_t low, high, middle
    cdef double enough
    # Compared as floats first: a load beyond the range of integers must not be converted.
    if row.room < 0 or row.load >= max_replicas:
        return max_replicas + 1
    low = <Py_ssize_t>row.load + 1
    if _keeps_up(row, low):
        return low
    if not _keeps_up(row, max_replicas):
        return max_replicas + 1
    high = max_replicas
    # With the room at `low`, which more replicas only widen, the inequality is solved for the replicas.
    enough = ceil(row.busy + row.queue_s / (row.room + row.slack_s * low)) if row.room + row.slack_s * low > 0 else max_replicas
    if enough < high and _keeps_up(row, enough):
        high = <Py_ssize_t>enough
    while high - low > 1:
        middle = (low + high) // 2
        if _keeps_up(row, middle):
            high = middle
        else:
            low = middle
    return high


cdef inline Py_ssize_t _most(search_point row, double delay_s, Py_ssize_t fewest, Py_ssize_t max_replicas) noexcept nogil:
    """Return the most replicas at which batches need not wait too long, fewest - 1 if not even `fewest`."""
    cdef Py_ssize_t low = fewest - 1, high = max_replicas + 1, middle
    if _waits_in_time(row, delay_s, max_replicas):
        return max_replicas
    while high - low > 1:
        middle = (low + high) // 2
        if _waits_in_time(row, delay_s, middle):
            low = middle
        else:
            high = middle
    return low


cdef void _cheapest(_Space space, Py_ssize_t start, Py_ssize_t end, double *best_usd, Py_ssize_t *best_point) noexcept nogil:
    cdef Py_ssize_t point, fewest
    cdef search_point row
    cdef double usd
    for point in range(start, end):
        # The cost of any candidate of this point is above this; an equal one would come later in order.
        if space.price_usd_per_hour[point] * space.load[point] >= best_usd[0]:
            continue
        row = _row(space, point)
        fewest = _fewest(row, space.max_replicas[point])
        usd = row.price_usd_per_hour * fewest
        # Delays ascend, so the first is allowed if any is.
        if (
            fewest <= space.max_replicas[point]
            and usd < best_usd[0]
            and _waits_in_time(row, space.delay_s[space.first_delay[point]], fewest)
        ):
            best_usd[0] = usd
            best_point[0] = point


cdef long long _left_of(_Space space, Py_ssize_t point, Py_ssize_t *fewest) noexcept nogil:
    """Return how many candidates of a point the bounds leave, and its fewest replicas, 0 if none."""
    cdef search_point row = _row(space, point)
    cdef Py_ssize_t delay, low = _fewest(row, space.max_replicas[point])
    cdef long long left = 0, of_delay
    fewest[0] = 0
    if low > space.max_replicas[point]:
        return 0
    for delay in range(space.first_delay[point], space.first_delay[point] + space.delays[point]):
        of_delay = _most(row, space.delay_s[delay], low, space.max_replicas[point]) - low + 1
        if of_delay == 0:
            break
        left += of_delay
    if left:
        fewest[0] = low
    return left


cdef Py_ssize_t _write_range(
    _Space space,
    const Py_ssize_t[::1] fewest,
    double above_usd,
    double up_to_usd,
    Py_ssize_t *point_of,  # NULL: only count
    Py_ssize_t *delay_of,
    Py_ssize_t *replicas_of,
    double *usd_of,
) noexcept nogil:
    cdef Py_ssize_t point, delay, n, first, most, row_number = 0
    cdef search_point row
    cdef double price
    for point in range(fewest.shape[0]):
        price = space.price_usd_per_hour[point]
        if fewest[point] == 0 or price * fewest[point] > up_to_usd or price * space.max_replicas[point] <= above_usd:
            continue
        row = _row(space, point)
        first = fewest[point]
        if price * first <= above_usd:
            first = max(first, <Py_ssize_t>(above_usd / price) - 1)
            while price * first <= above_usd:
                first += 1
        for delay in range(space.first_delay[point], space.first_delay[point] + space.delays[point]):
            most = _most(row, space.delay_s[delay], fewest[point], space.max_replicas[point])
            if most < fewest[point]:
                break
            for n in range(first, most + 1):
                if price * n > up_to_usd:
                    break
                if point_of != NULL:
                    point_of[row_number] = point
                    delay_of[row_number] = delay
                    replicas_of[row_number] = n
                    usd_of[row_number] = price * n
                row_number += 1
    return row_number
