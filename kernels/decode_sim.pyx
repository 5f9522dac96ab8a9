# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=True
# distutils: extra_compile_args = -ffp-contract=off
"""Continuous batching on one replica of a generative model, simulated step by step.

A request waits in one queue, first come, first served. It is admitted when fewer than max_running_requests run and the cache has room for
its prompt and one token more. Steps that read its prompt (prefill) give it a token when all is read; from then on each decode step gives
one more token to every request that is read, until it has all of its own.

The cache holds the shared prefix, once and always. Of each running request it holds the prompt, from the admission on and less the
prefix hit, and one token more for each decode step. While a decode step does not fit, the request that was admitted last is preempted: its
tokens are dropped, it goes to the front of the queue, and its next prompt is its input with all that it has generated.

    PREFILL_FIRST  a prompt is read in one step as soon as its request can be admitted; a decode step is taken when none can
    CHUNKED        one prompt at a time is read, chunk_tokens a step, and after each such step those that are read by then are decoded
    MIXED          a step decodes all that are read and reads prompts in order of admission: chunk_tokens, less one for each decoded
                   request; what is decoded has its room in the cache before anybody is admitted

Seconds of a step that decodes B requests with S tokens in the cache before it, or reads n tokens of a prompt after `past` that are cached:

    prefill  a + b n + c n (past + n / 2)
    decode   a + b B + c S
    mixed    a + b B + c S + d n + e (n (past + n / 2)), n and what stands behind e summed over the prompts

and decode_extra_s[B] more, where steps of some numbers of requests lie off these laws; a mixed step that reads takes token_extra_s[B + n]
instead, where that is given, for a wide step costs what its tokens cost together, not what the requests do. All of it
times step_factors[i % factors] in the i-th step. From stall_at_s[i] on the replica stands still for stall_s[i]: that lengthens the
step that is under way, or holds up one that begins before it is over; stalls that overlap take the time that they cover together.
"""
# No fused multiply-add (line 2): its unrounded product would part from the reference in the last bit on some processors.

from collections import namedtuple

import numpy as np
from libc.math cimport INFINITY
from libc.string cimport memset


# Named so that they lie beside the next one, which includes them.
cdef extern from "token_gaps.h" nogil:
    enum:
        TOKEN_GAPS_BLOCK
    ctypedef struct token_gaps:
        double *ends_s
        double *longest_s
        Py_ssize_t mask


cdef extern from "arrivals.h" nogil:
    ctypedef struct arrivals:
        double *arrived_s
        const double *think_s
        Py_ssize_t *pending
        Py_ssize_t requests
        double next_s

    void arrivals_plan(arrivals *coming, double now_s) noexcept


cdef extern from "batching.h" nogil:
    enum:
        BATCHING_PREFILL_FIRST, BATCHING_CHUNKED, BATCHING_MIXED, BATCHING_NOBODY
    ctypedef struct request_state:
        pass
    ctypedef struct progress:
        double now_s, decode_s
        long long used_tokens
        Py_ssize_t steps
    ctypedef struct replica:
        const long long *input_tokens
        const long long *output_tokens
        const long long *hit_tokens
        const double *prefill_cost
        const double *decode_cost
        const double *mixed_cost
        const double *decode_extra_s
        const double *token_extra_s
        const double *factors
        const double *stall_at_s
        const double *stall_s
        double *first_token_s
        double *last_token_s
        double *longest_gap_s
        long long *preemptions
        request_state *requests
        Py_ssize_t *queue
        Py_ssize_t *finish
        Py_ssize_t count, factor_count, stall_count, last, reading, max_running
        int policy
        long long chunk_tokens, kv_tokens, kv_peak_tokens
        double next_stall_s, prefill_s, idle_s, running_integral, waiting_integral
        arrivals coming
        token_gaps gaps
        progress at

    void replica_run(replica *sim) noexcept


PREFILL_FIRST, CHUNKED, MIXED = BATCHING_PREFILL_FIRST, BATCHING_CHUNKED, BATCHING_MIXED

# Beyond any that are meant: what is made of them stays finite, and counts fit their integers.
LARGEST = 1e100
LARGEST_PROMPT = 1 << 30
# A decode step of the future has a place in memory for each token that the longest answer has.
LARGEST_OUTPUT = 1 << 24

Served = namedtuple(
    "Served",
    "first_token_s last_token_s arrived_s longest_gap_s preemptions steps prefill_s decode_s idle_s running_integral waiting_integral "
    "kv_peak_tokens end_s",
)


def simulate(
    const double[::1] arrival_s not None,  # (requests,) ascending
    const long long[::1] input_tokens not None,  # (requests,)
    const long long[::1] output_tokens not None,  # (requests,)
    const long long[::1] prefix_hit_tokens not None,  # (requests,)
    *,
    const double[::1] prefill_cost not None,  # (3,)
    const double[::1] decode_cost not None,  # (3,)
    const double[::1] mixed_cost=None,  # (5,), of the policy MIXED
    const double[::1] decode_extra_s=None,  # (max_running_requests + 1,) at least; None: all 0
    const double[::1] token_extra_s=None,  # (chunk_tokens + 1,) at least, of the policy MIXED; None: decode_extra_s counts
    Py_ssize_t policy,
    Py_ssize_t max_running_requests,
    Py_ssize_t chunk_tokens=0,  # not of the policy PREFILL_FIRST
    Py_ssize_t kv_tokens,
    Py_ssize_t shared_prefix_tokens=0,
    const double[::1] step_factors not None,  # (factors,)
    const double[::1] stall_at_s=None,  # (stalls,) ascending
    const double[::1] stall_s=None,  # (stalls,)
    Py_ssize_t clients=0,
    const double[::1] think_s=None,  # (requests,), of clients
):
    """Return when requests got their tokens and what the replica did meanwhile: a `Served`, which decode_sim.pyi explains.

    Times count from 0. With clients the loop is closed and arrival_s means nothing: as many requests as there are clients arrive after
    their think_s, and with each that is finished the next one is to arrive, think_s of it later. A prefix hit is what a prompt has of the
    shared prefix: it need not be read, and counts as cached. Seconds that a step was stalled count as work.

    Raises ValueError for shapes that do not fit, values that are not finite or out of range, arrivals and stalls that do not ascend, and
    requests that the cache does not hold if they run alone.
    """
    cdef _Replica work = _Replica(input_tokens, output_tokens, prefix_hit_tokens)
    work.limit(policy, max_running_requests, chunk_tokens, kv_tokens, shared_prefix_tokens)
    work.price(prefill_cost, decode_cost, mixed_cost, decode_extra_s, step_factors)
    work.price_tokens(token_extra_s)
    work.stall(stall_at_s, stall_s)
    work.expect(arrival_s, clients, think_s)
    cdef replica *sim = &work.sim
    with nogil:
        replica_run(sim)
    first_token_s, last_token_s, arrived_s, longest_gap_s = np.asarray(work.times_s)
    return Served(
        first_token_s, last_token_s, arrived_s, longest_gap_s, np.asarray(work.preemptions), sim.at.steps, sim.prefill_s, sim.at.decode_s,
        sim.idle_s, sim.running_integral, sim.waiting_integral, sim.kv_peak_tokens, sim.at.now_s,
    )


cdef class _Replica:
    """The simulation before its first step, made of checked input, and the arrays that it points to."""

    cdef replica sim
    cdef const long long[::1] input_tokens, output_tokens, hit_tokens
    cdef const double[::1] prefill_cost, decode_cost, mixed_cost, decode_extra_s, token_extra_s, factors
    cdef const double[::1] stall_at_s, stall_s, think_s
    cdef double[:, ::1] times_s  # (4, requests) first token, last token, arrival, longest gap
    cdef long long[::1] preemptions
    cdef unsigned char[::1] requests
    cdef Py_ssize_t[::1] queue, finish, pending
    cdef double[::1] ends_s, longest_s

    def __init__(self, const long long[::1] input_tokens, const long long[::1] output_tokens, const long long[::1] hit_tokens):
        """Take the requests."""
        count = input_tokens.shape[0]
        _check_tokens(input_tokens, output_tokens, hit_tokens)
        self.input_tokens, self.output_tokens, self.hit_tokens = input_tokens, output_tokens, hit_tokens
        self.times_s, self.preemptions = np.zeros((4, count)), np.zeros(count, dtype=np.int64)
        self.requests, self.queue = np.zeros(count * sizeof(request_state), dtype=np.uint8), np.zeros(count, dtype=np.intp)
        # A power of two, as many as the longest answer has tokens or more.
        size = max(TOKEN_GAPS_BLOCK, 1 << int(np.max(output_tokens, initial=1) - 1).bit_length())
        self.finish = np.full(size, BATCHING_NOBODY, dtype=np.intp)
        self.ends_s, self.longest_s = np.zeros(size), np.zeros(size // TOKEN_GAPS_BLOCK)
        memset(&self.sim, 0, sizeof(replica))
        self.sim.count = self.sim.coming.requests = count
        self.sim.last = self.sim.reading = BATCHING_NOBODY
        self.sim.gaps.mask = size - 1
        self.sim.gaps.ends_s, self.sim.gaps.longest_s, self.sim.finish = &self.ends_s[0], &self.longest_s[0], &self.finish[0]
        if count:
            self.sim.input_tokens, self.sim.output_tokens = &input_tokens[0], &output_tokens[0]
            self.sim.hit_tokens, self.sim.preemptions = &hit_tokens[0], &self.preemptions[0]
            self.sim.first_token_s, self.sim.last_token_s = &self.times_s[0, 0], &self.times_s[1, 0]
            self.sim.coming.arrived_s, self.sim.longest_gap_s = &self.times_s[2, 0], &self.times_s[3, 0]
            self.sim.requests, self.sim.queue = <request_state *>&self.requests[0], &self.queue[0]

    def limit(self, policy, max_running_requests, chunk_tokens, kv_tokens, shared_prefix_tokens):
        """Take how requests are batched, and what the cache holds."""
        if policy not in (PREFILL_FIRST, CHUNKED, MIXED):
            raise ValueError(f"policy must be PREFILL_FIRST, CHUNKED or MIXED, not {policy}")
        for name, value, least in (
            ("max_running_requests", max_running_requests, 1),
            ("chunk_tokens", chunk_tokens, 0 if policy == PREFILL_FIRST else 1),
            ("kv_tokens", kv_tokens, 1),
            ("shared_prefix_tokens", shared_prefix_tokens, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if np.max(self.hit_tokens, initial=0) > shared_prefix_tokens:
            raise ValueError(f"prefix_hit_tokens must be at most shared_prefix_tokens, {shared_prefix_tokens}")
        alone = np.add(self.input_tokens, self.output_tokens) - self.hit_tokens
        needed = shared_prefix_tokens + int(np.max(alone, initial=0))
        if needed > kv_tokens:
            raise ValueError(f"kv_tokens must be at least {needed}, not {kv_tokens}: so many does a request need that runs alone")
        self.sim.policy, self.sim.max_running, self.sim.chunk_tokens = policy, max_running_requests, chunk_tokens
        self.sim.kv_tokens = kv_tokens
        self.sim.at.used_tokens = self.sim.kv_peak_tokens = shared_prefix_tokens

    def price(self, prefill_cost, decode_cost, mixed_cost, decode_extra_s, step_factors):
        """Take what steps cost."""
        self.prefill_cost, self.decode_cost = _seconds("prefill_cost", prefill_cost, 3), _seconds("decode_cost", decode_cost, 3)
        if self.sim.policy == BATCHING_MIXED:
            if mixed_cost is None:
                raise ValueError("mixed_cost is None, but the policy is MIXED")
            # A mixed step that reads nothing costs its first three terms.
            self.mixed_cost = self.decode_cost = _seconds("mixed_cost", mixed_cost, 5)
            self.sim.mixed_cost = &self.mixed_cost[0]
        self.sim.prefill_cost, self.sim.decode_cost = &self.prefill_cost[0], &self.decode_cost[0]
        self.decode_extra_s = _extra(decode_extra_s, self.decode_cost, min(self.sim.max_running, self.sim.count) + 1)
        self.sim.decode_extra_s = &self.decode_extra_s[0]
        if not len(step_factors):
            raise ValueError("step_factors is empty: write 1.0 for steps that take what they cost")
        self.factors = _seconds("step_factors", step_factors, len(step_factors))
        if not np.greater(step_factors, 0).all():
            raise ValueError("step_factors must be positive")
        self.sim.factors, self.sim.factor_count = &self.factors[0], self.factors.shape[0]

    def price_tokens(self, token_extra_s):
        """Take what steps that read cost beside their law, by their tokens."""
        if token_extra_s is None or self.sim.policy != BATCHING_MIXED:
            return
        if len(token_extra_s) <= self.sim.chunk_tokens:
            raise ValueError(f"token_extra_s has {len(token_extra_s)} entries, and steps take up to {self.sim.chunk_tokens} tokens")
        self.token_extra_s = _seconds("token_extra_s", token_extra_s, len(token_extra_s))
        self.sim.token_extra_s = &self.token_extra_s[0]

    def stall(self, at_s, length_s):
        """Take when the replica stands still."""
        if (at_s is None) != (length_s is None):
            raise ValueError("stall_at_s and stall_s must both be given, or both be None")
        self.sim.next_stall_s = INFINITY
        if at_s is None:
            return
        self.stall_at_s = _ascending("stall_at_s", _seconds("stall_at_s", at_s, len(at_s)))
        self.stall_s = _seconds("stall_s", length_s, len(at_s))
        if len(at_s):
            self.sim.stall_at_s, self.sim.stall_s, self.sim.stall_count = &self.stall_at_s[0], &self.stall_s[0], len(at_s)
            self.sim.next_stall_s = at_s[0]

    def expect(self, arrival_s, clients, think_s):
        """Take who arrives when."""
        cdef arrivals *coming = &self.sim.coming
        if clients < 0:
            raise ValueError(f"clients must be at least 0, not {clients}")
        if clients and think_s is None:
            raise ValueError("think_s is None, but there are clients")
        if len(arrival_s) != self.sim.count:
            raise ValueError(f"arrival_s has {len(arrival_s)} entries for {self.sim.count} requests")
        if not clients:
            np.asarray(self.times_s)[2] = _ascending("arrival_s", _seconds("arrival_s", arrival_s, len(arrival_s)))
            coming.next_s = arrival_s[0] if len(arrival_s) else INFINITY
            return
        self.think_s = _seconds("think_s", think_s, self.sim.count)
        if self.sim.count:
            self.pending = np.zeros(min(clients, self.sim.count), dtype=np.intp)
            coming.think_s, coming.pending = &self.think_s[0], &self.pending[0]
            for _ in range(self.pending.shape[0]):
                arrivals_plan(coming, 0.0)


def _check_tokens(input_tokens, output_tokens, hit_tokens):
    for name, values in (("output_tokens", output_tokens), ("prefix_hit_tokens", hit_tokens)):
        if len(values) != len(input_tokens):
            raise ValueError(f"{name} has {len(values)} entries for {len(input_tokens)} of input_tokens")
    for name, values, most in (("input_tokens", input_tokens, LARGEST_PROMPT), ("output_tokens", output_tokens, LARGEST_OUTPUT)):
        if not 1 <= np.min(values, initial=1) <= np.max(values, initial=1) <= most:
            raise ValueError(f"{name} must lie in 1..{most:,}")
    if np.min(hit_tokens, initial=0) < 0 or not np.less(hit_tokens, input_tokens).all():
        raise ValueError("prefix_hit_tokens must not be negative, and must be less than input_tokens: one token at least is read")


def _seconds(name, values, count):
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries instead of {count}")
    # Written so that NaN, of which no comparison is true, does not pass.
    if not (np.greater_equal(values, 0) & np.less_equal(values, LARGEST)).all():
        raise ValueError(f"{name} must be finite, not negative and at most {LARGEST:g}")
    return values


def _extra(values, decode_cost, count):
    """Return what decoded requests cost beside the law, by their number: at least as many entries as there may be."""
    if values is None:
        return np.zeros(count)
    if len(values) < count:
        raise ValueError(f"decode_extra_s has {len(values)} entries, and up to {count - 1} requests are decoded")
    if values[0] != 0:
        raise ValueError("decode_extra_s[0] must be 0: a step that decodes nobody costs nothing more")
    least_s = decode_cost[0] + decode_cost[1] * np.arange(len(values)) + values
    if not (np.greater_equal(least_s, 0) & np.less_equal(least_s, LARGEST)).all():
        raise ValueError("decode_extra_s must be finite, and no step take less than nothing with it")
    return values


def _ascending(name, values):
    if np.less(np.diff(values), 0).any():
        raise ValueError(f"{name} must be ascending")
    return values
