# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
"""The points that no other point betters in every respect."""

import numpy as np


def non_dominated(
    const double[:, ::1] points not None,  # (n, objectives) 2..5 objectives, all minimised
):
    """Return which points are not dominated: (n,) bool.

    A point is dominated where another is at most as large in every objective and smaller in one; equal points do not dominate
    each other, so duplicates of a kept point are all kept. Infinite values are compared like others.
    Raises ValueError for NaN, which is neither smaller nor larger than anything, and for fewer than 2 or more than 5 objectives.
    """
    if not 2 <= points.shape[1] <= 5:
        raise ValueError(f"points must have 2 to 5 objectives, not {points.shape[1]}")
    if np.isnan(points).any():
        raise ValueError("points must not contain NaN")
    kept = np.zeros(points.shape[0], dtype=np.bool_)
    # A point that dominates another comes before it in lexicographic order, so looking back is enough.
    cdef const Py_ssize_t[::1] order = np.lexsort(np.asarray(points).T[::-1])
    cdef Py_ssize_t[::1] front = np.empty(points.shape[0], dtype=np.intp)
    cdef unsigned char[::1] is_kept = kept.view(np.uint8)
    with nogil:
        _keep_front(points, order, front, is_kept)
    return kept


cdef void _keep_front(
    const double[:, ::1] points,
    const Py_ssize_t[::1] order,
    Py_ssize_t[::1] front,  # (n,) scratch: the first `size` entries are the points kept so far
    unsigned char[::1] is_kept,
) noexcept nogil:
    cdef Py_ssize_t i, candidate, size = 0
    for i in range(order.shape[0]):
        candidate = order[i]
        if not _front_dominates(points, front, size, candidate):
            front[size] = candidate
            size += 1
            is_kept[candidate] = 1


cdef inline bint _front_dominates(
    const double[:, ::1] points, const Py_ssize_t[::1] front, Py_ssize_t size, Py_ssize_t candidate
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        if _dominates(points, front[i], candidate):
            return True
    return False


cdef inline bint _dominates(const double[:, ::1] points, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    cdef Py_ssize_t j
    cdef bint smaller = False
    for j in range(points.shape[1]):
        if points[a, j] > points[b, j]:
            return False
        smaller = smaller or points[a, j] < points[b, j]
    return smaller
