# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
"""What a clock tells of the cores: how long a cache line takes from one to another, and when one of them stands still."""

# Atomic, or the compiler might read the cell once and wait for ever. On x86 these are plain moves, on ARM instructions of their own.
cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>

    static inline int64_t ping_load(const int64_t *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
    static inline void ping_store(int64_t *cell, int64_t value) { __atomic_store_n(cell, value, __ATOMIC_RELEASE); }
    static inline double ping_now_s(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + 1e-9 * now.tv_nsec;
    }
    static inline void ping_sleep(double seconds) {
        struct timespec left = {(time_t)seconds, (long)(1e9 * (seconds - (time_t)seconds))};
        nanosleep(&left, NULL);  /* a signal ends it early, and the next look finds nothing late */
    }
    """
    ctypedef long long int64_t
    int64_t ping_load(const int64_t *cell) noexcept nogil
    void ping_store(int64_t *cell, int64_t value) noexcept nogil
    double ping_now_s() noexcept nogil
    void ping_sleep(double seconds) noexcept nogil

# Between two looks at the clock: some microseconds.
cdef enum:
    SPINS = 1024


def bounce(
    int64_t[::1] cell not None,  # (cells,) its middle one is the one that bounces; 33 or more leave it a cache line of its own
    double[::1] hop_s not None,  # (blocks,) out: mean seconds of a hop, one block of hops after another
    *,
    int side,
    int hops,
    double limit_s,
):
    """Answer every hop of the other side, of two sides 0 and 1 in threads of their own; return how many blocks were finished.

    A block is `hops` hops there and as many back. It ends early, with the blocks so far, where the other side is not heard from before
    `limit_s` are over. The cell must be zero to begin with. Raises ValueError for arguments that mean nothing.
    """
    if side not in (0, 1) or hops < 1 or not cell.shape[0] or not limit_s >= 0:
        raise ValueError("side must be 0 or 1, hops at least 1, limit_s at least 0, and there must be a cell")
    cdef Py_ssize_t finished
    with nogil:
        finished = _bounce(&cell[cell.shape[0] // 2], hop_s, side, hops, limit_s)
    return finished


def stand_still(*, double shortest_s, double limit_s, double sleep_s=0.0):
    """Look at the clock again and again until it went on by more than shortest_s too much; return by how much, and the seconds watched.

    Between two looks the thread does nothing, or sleeps for sleep_s. 0.0 if limit_s went by without that. Raises ValueError for
    arguments that mean nothing.
    """
    if not (shortest_s > 0 and sleep_s >= 0 and 0 <= limit_s < 1e9):
        raise ValueError("shortest_s must be above 0, sleep_s and limit_s at least 0, and limit_s finite")
    cdef double began_s, last_s, now_s, late_s = 0.0
    with nogil:
        began_s = last_s = now_s = ping_now_s()
        while now_s - began_s < limit_s:
            if sleep_s > 0:
                ping_sleep(sleep_s)
            now_s = ping_now_s()
            late_s = now_s - last_s - sleep_s
            if late_s > shortest_s:
                break
            late_s = 0.0
            last_s = now_s
    return late_s, now_s - began_s


cdef Py_ssize_t _bounce(int64_t *cell, double[::1] hop_s, int side, int hops, double limit_s) noexcept nogil:
    cdef double ends_s = ping_now_s() + limit_s, block_began_s, now_s
    cdef int64_t turn = side  # the value of the cell at which it is this side's turn
    cdef Py_ssize_t block
    cdef int hop
    # The first turn waits for the other thread to be started, so the clock starts after it.
    if not _heard(cell, turn, ends_s):
        return 0
    block_began_s = ping_now_s()
    for block in range(hop_s.shape[0]):
        for hop in range(hops):
            ping_store(cell, turn + 1)
            turn += 2
            if not _heard(cell, turn, ends_s):
                return block
        now_s = ping_now_s()
        hop_s[block] = (now_s - block_began_s) / (2.0 * hops)
        block_began_s = now_s
    ping_store(cell, turn + 1)  # the other side waits for this one to finish its last block
    return hop_s.shape[0]


cdef inline bint _heard(const int64_t *cell, int64_t turn, double ends_s) noexcept nogil:
    """Wait for this side's turn; return whether it came before `ends_s`."""
    cdef int spins = 0
    while ping_load(cell) != turn:
        spins += 1
        if spins == SPINS:
            spins = 0
            if ping_now_s() > ends_s:
                return False
    return True
