# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -fno-trapping-math -fopenmp
# distutils: extra_link_args = -fopenmp
"""The points that no other point betters in every respect.

First the many are thinned out: points of a sample's front, those first that beat the most of the sample, drop what they dominate, until a
sample shows little left to drop. Then the rest is settled exactly: in lexicographic order only an earlier point can dominate a later one,
so two halves are solved each by itself, and what is left of the later half is held against the earlier in one objective less; with three
objectives less one, a sweep along one of them keeps the staircase of the other two.
"""

import numpy as np
cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange

cdef extern from "dominance.h" nogil:
    enum:
        DOMINANCE_BLOCK
    void dominance_mark(
        const double *points, Py_ssize_t count, int objectives, const double *guards, Py_ssize_t blocks, unsigned char *dominated
    ) noexcept

cdef extern from "staircase.h" nogil:
    ctypedef struct staircase:
        double *first
        double *second
    void staircase_clear(staircase *steps, Py_ssize_t size) noexcept
    bint staircase_beats(const staircase *steps, double first, double second) noexcept
    void staircase_insert(staircase *steps, double first, double second) noexcept

cdef enum:
    AT_ONCE = 1 << 20  # points between two looks for Ctrl-C
    LEAF = 48  # so few points are compared each with each
    SHARES = 64  # of the points that threads take one after the other

# A sample of so many points chooses the guards, as many as these; thinning ends where it leaves this share of a sample.
SAMPLE = 1024
MOST_GUARDS = 64
THIN_ENOUGH = 0.7
FEW = 4096  # points that are not worth thinning out


def non_dominated(
    const double[:, ::1] points not None,  # (n, objectives) 2..5 objectives, all minimised
    *,
    int threads=1,
):
    """Return which points are not dominated: (n,) bool, the same at any number of threads.

    A point is dominated where another is at most as large in every objective and smaller in one; equal points do not dominate
    each other, so duplicates of a kept point are all kept. Infinite values are compared like others.
    Raises ValueError for NaN, which is neither smaller nor larger than anything, and for fewer than 2 or more than 5 objectives.
    """
    if not 2 <= points.shape[1] <= 5:
        raise ValueError(f"points must have 2 to 5 objectives, not {points.shape[1]}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    cdef Py_ssize_t start
    for start in range(0, points.shape[0], AT_ONCE):
        if _has_nan(points, start, min(start + AT_ONCE, points.shape[0])):
            raise ValueError("points must not contain NaN")
    everything = np.asarray(points)
    left = everything
    where = None  # of the points left, None: all are
    while len(left) > FEW:
        sample = np.ascontiguousarray(left[:: len(left) // SAMPLE])
        is_front = _exact(sample)
        if is_front.mean() > THIN_ENOUGH:
            break
        kept = np.flatnonzero(~_dominated_by(left, _guards(sample, sample[is_front]), threads))
        thinned = len(kept) / len(left)
        left = left[kept]
        where = kept if where is None else where[kept]
        if thinned > THIN_ENOUGH:
            break
    if where is None:
        return _exact(everything)
    mask = np.zeros(len(everything), dtype=np.bool_)
    mask[where[_exact(left)]] = True
    return mask


def _guards(sample, front):
    """Return the points of the sample's front that beat the most of it, those first that beat the most of what others leave."""
    guards = []
    left = sample
    # Each guard is the best of the front for what is left of the sample, by the share of the box that it spans to the worst corner.
    ranks = np.sort(sample, axis=0)
    places = np.stack([np.searchsorted(ranks[:, k], front[:, k], side="right") for k in range(front.shape[1])], axis=1)
    volume = np.log1p(len(sample) - places).sum(axis=1)
    order = np.argsort(-volume, kind="stable")[:MOST_GUARDS]
    counts = []
    for index in order:
        beaten = (front[index] <= left).all(axis=1) & (front[index] < left).any(axis=1)
        counts.append(int(beaten.sum()))
        guards.append(front[index])
        left = left[~beaten]
    best = np.argsort(-np.array(counts), kind="stable")
    return np.array(guards)[best]


def _dominated_by(points, guards, int threads):
    """Return which points (n,) one of the guards dominates."""
    cdef const double[:, ::1] all_points = points
    cdef Py_ssize_t n = all_points.shape[0], start, end, share, begin, finish
    cdef Py_ssize_t blocks = (len(guards) + DOMINANCE_BLOCK - 1) // DOMINANCE_BLOCK
    cdef int objectives = all_points.shape[1], workers = threads
    # The last block is filled up with what dominates nothing.
    padded = np.full((blocks * DOMINANCE_BLOCK, objectives), np.inf)
    padded[: len(guards)] = guards
    cdef const double[:, :, ::1] packed = np.ascontiguousarray(
        padded.reshape(blocks, DOMINANCE_BLOCK, objectives).transpose(0, 2, 1)
    )
    dominated = np.empty(n, dtype=np.bool_)
    cdef unsigned char[::1] out = dominated.view(np.uint8)
    for start in range(0, n, AT_ONCE):
        end = min(start + AT_ONCE, n)
        with nogil:
            for share in prange(SHARES, num_threads=workers, schedule="dynamic"):
                begin = start + share * (end - start) // SHARES
                finish = start + (share + 1) * (end - start) // SHARES
                if begin < finish:
                    dominance_mark(&all_points[begin, 0], finish - begin, objectives, &packed[0, 0, 0], blocks, &out[begin])
        PyErr_CheckSignals()
    return dominated


cdef bint _has_nan(const double[:, ::1] points, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef bint found = False
    for i in range(start, end):
        for j in range(points.shape[1]):
            found |= points[i, j] != points[i, j]
    return found


@cython.wraparound(True)
def _exact(points):
    """Return which points are not dominated (n,) bool, without thinning them out first."""
    n, objectives = points.shape
    order = _lexicographic(points)
    ranked = np.ascontiguousarray(points[order])
    if n == 0:
        return np.zeros(0, dtype=np.bool_)
    # Of equal points, which do not dominate each other, one stands for all.
    is_new = np.concatenate([[True], (ranked[1:] != ranked[:-1]).any(axis=1)])
    distinct = ranked if is_new.all() else np.ascontiguousarray(ranked[is_new])
    alive = _settle(distinct)
    mask = np.empty(n, dtype=np.bool_)
    mask[order] = alive[np.cumsum(is_new) - 1]
    return mask


@cython.wraparound(True)
def _lexicographic(points):
    """Return the order of the points by the first objective, then the second and so on; sorting by all is needed only among ties."""
    first = points[:, 0]
    order = np.argsort(first)
    ascending = first[order]
    is_tied = np.zeros(len(order), dtype=np.bool_)
    ties = ascending[1:] == ascending[:-1]
    is_tied[1:] = ties
    is_tied[:-1] |= ties
    tied = np.sort(order[is_tied])
    order[is_tied] = tied[np.lexsort(points[tied].T[::-1])]
    return order


cdef class _Scratch:
    """What settling needs of memory, and the points."""

    cdef const double[:, ::1] points
    cdef unsigned char[::1] alive
    cdef Py_ssize_t[::1] order, merged, lists, turned
    cdef double[::1] first, second  # of the steps
    cdef staircase steps
    cdef int objectives

    def __init__(self, points):
        """Nothing is known of the points."""
        n = len(points)
        self.points = points
        self.objectives = points.shape[1]
        self.alive = np.ones(n, dtype=np.uint8)
        self.first, self.second = np.empty(n + 1), np.empty(n + 1)
        self.steps.first, self.steps.second = &self.first[0], &self.second[0]
        # Two objectives need nothing else, three neither.
        spare = n if self.objectives > 3 else 0
        self.order, self.merged = np.empty(spare, dtype=np.intp), np.empty(spare, dtype=np.intp)
        spare = n if self.objectives > 4 else 0
        self.lists, self.turned = np.empty(spare, dtype=np.intp), np.empty(spare, dtype=np.intp)


@cython.wraparound(True)
def _settle(points):
    """Return which of the distinct points in lexicographic order are not dominated (n,) bool."""
    cdef _Scratch work = _Scratch(points)
    cdef Py_ssize_t n = len(points)
    if work.objectives == 2:
        least = np.minimum.accumulate(points[:, 1])
        return np.concatenate([[True], points[1:, 1] < least[:-1]])
    with nogil:
        if work.objectives == 3:
            _sweep_all(work, n)
        else:
            _solve(work, 0, n)
    return np.asarray(work.alive).view(np.bool_)


cdef int _signals() except -1 with gil:
    PyErr_CheckSignals()
    return 0


cdef int _sweep_all(_Scratch work, Py_ssize_t n) except -1 nogil:
    cdef Py_ssize_t i
    staircase_clear(&work.steps, n + 1)
    for i in range(n):
        if i % AT_ONCE == AT_ONCE - 1:
            _signals()
        if staircase_beats(&work.steps, work.points[i, 1], work.points[i, 2]):
            work.alive[i] = 0
        else:
            staircase_insert(&work.steps, work.points[i, 1], work.points[i, 2])
    return 0


cdef Py_ssize_t _solve(_Scratch work, Py_ssize_t low, Py_ssize_t high) except -1 nogil:
    """Settle the points low..high among themselves; leave those alive in order[low:low + count], ascending in objective 1."""
    cdef Py_ssize_t middle, earlier, later, i, j, k, count = 0, point
    if high - low <= LEAF:
        for j in range(low, high):
            for i in range(low, j):
                if work.alive[i] and _no_larger(work, i, j, 1):
                    work.alive[j] = 0
                    break
            if work.alive[j]:
                k = low + count
                while k > low and work.points[work.order[k - 1], 1] > work.points[j, 1]:
                    work.order[k] = work.order[k - 1]
                    k -= 1
                work.order[k] = j
                count += 1
        return count
    if high - low > AT_ONCE // 16:
        _signals()
    middle = (low + high) // 2
    earlier = _solve(work, low, middle)
    later = _solve(work, middle, high)
    _filter(work, &work.order[low], earlier, &work.order[middle], later, 1)
    i, j = low, middle
    while i < low + earlier or j < middle + later:
        if j == middle + later or (i < low + earlier and work.points[work.order[i], 1] <= work.points[work.order[j], 1]):
            point = work.order[i]
            i += 1
        else:
            point = work.order[j]
            j += 1
        if work.alive[point]:
            work.merged[low + count] = point
            count += 1
    for i in range(low, low + count):
        work.order[i] = work.merged[i]
    return count


cdef inline bint _no_larger(_Scratch work, Py_ssize_t a, Py_ssize_t b, int start) noexcept nogil:
    cdef int k
    for k in range(start, work.objectives):
        if work.points[a, k] > work.points[b, k]:
            return False
    return True


cdef void _filter(
    _Scratch work, const Py_ssize_t *earlier, Py_ssize_t n, const Py_ssize_t *later, Py_ssize_t m, int objective
) noexcept nogil:
    """Mark what is dominated of the later by the earlier, in `objective` and those after it; both ascend in it."""
    cdef Py_ssize_t split_n = 0, split_m = 0
    if n == 0 or m == 0:
        return
    if n <= 4 or m <= 4:
        _filter_few(work, earlier, n, later, m, objective)
        return
    if objective == work.objectives - 3:
        _filter_by_sweep(work, earlier, n, later, m, objective)
        return
    # Half of all go to the front in this objective, of equal ones the earlier before the later: none of the back dominates any there.
    while split_n + split_m < (n + m) // 2:
        if split_m == m or (
            split_n < n and work.points[earlier[split_n], objective] <= work.points[later[split_m], objective]
        ):
            split_n += 1
        else:
            split_m += 1
    _filter(work, earlier, split_n, later, split_m, objective)
    _filter(work, earlier + split_n, n - split_n, later + split_m, m - split_m, objective)
    # What is small here is small there: this objective is settled, the next one sorts.
    _filter_next(work, earlier, split_n, later + split_m, m - split_m, objective + 1)


cdef void _filter_few(
    _Scratch work, const Py_ssize_t *earlier, Py_ssize_t n, const Py_ssize_t *later, Py_ssize_t m, int objective
) noexcept nogil:
    """As `_filter`, by comparing each with each."""
    cdef Py_ssize_t i, j
    for j in range(m):
        for i in range(n):
            if work.points[earlier[i], objective] > work.points[later[j], objective]:
                break
            if _no_larger(work, earlier[i], later[j], objective + 1):
                work.alive[later[j]] = 0
                break


cdef void _filter_by_sweep(
    _Scratch work, const Py_ssize_t *earlier, Py_ssize_t n, const Py_ssize_t *later, Py_ssize_t m, int objective
) noexcept nogil:
    """As `_filter`, in the last three objectives: along the first of them, with the staircase of the earlier in the other two."""
    cdef Py_ssize_t i = 0, j
    cdef const double *values
    staircase_clear(&work.steps, n + 1)
    for j in range(m):
        while i < n and work.points[earlier[i], objective] <= work.points[later[j], objective]:
            values = &work.points[earlier[i], objective + 1]
            if not staircase_beats(&work.steps, values[0], values[1]):
                staircase_insert(&work.steps, values[0], values[1])
            i += 1
        values = &work.points[later[j], objective + 1]
        if work.alive[later[j]] and staircase_beats(&work.steps, values[0], values[1]):
            work.alive[later[j]] = 0


cdef void _filter_next(
    _Scratch work, const Py_ssize_t *earlier, Py_ssize_t n, const Py_ssize_t *later, Py_ssize_t m, int objective
) noexcept nogil:
    """As `_filter`, of lists that do not ascend in the objective. They lie side by side in `lists` while they are worked on."""
    cdef Py_ssize_t i, alive = 0
    if n == 0 or m == 0:
        return
    for i in range(n):
        work.lists[i] = earlier[i]
    for i in range(m):
        if work.alive[later[i]]:
            work.lists[n + alive] = later[i]
            alive += 1
    _sort(work, &work.lists[0], &work.turned[0], n, objective)
    _sort(work, &work.lists[n], &work.turned[n], alive, objective)
    _filter(work, &work.lists[0], n, &work.lists[n], alive, objective)


cdef void _sort(_Scratch work, Py_ssize_t *values, Py_ssize_t *spare, Py_ssize_t n, int objective) noexcept nogil:
    """Sort points by an objective: by insertion in runs, then merging."""
    cdef Py_ssize_t run = 16, start, i, j, k, middle, end, value
    for i in range(1, n):
        value = values[i]
        j = i
        while j % run and work.points[values[j - 1], objective] > work.points[value, objective]:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    while run < n:
        start = 0
        while start < n:
            middle, end = min(start + run, n), min(start + 2 * run, n)
            i, j = start, middle
            for k in range(start, end):
                if j == end or (i < middle and work.points[values[i], objective] <= work.points[values[j], objective]):
                    spare[k] = values[i]
                    i += 1
                else:
                    spare[k] = values[j]
                    j += 1
            start = end
        for k in range(n):
            values[k] = spare[k]
        run *= 2
