"""What a load test teaches of service inside a server: how much slower a call is there, and what a batch and a request cost beside it."""

import heapq
import math
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.queue.simulator import CORES_OF_WAY
from advisor.decide.service.in_server import RUN_TO_RUN_FACTOR
from advisor.decide.service.stalls import FAR_OUT, StallProcess, is_stalled, robust_deviation
from advisor.medians import SHARED_CORE_LOG, student_t_95
from advisor.schema.advice import Candidate
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate, Record
from advisor.visits import CONTAMINATED_FRACTION

BLOCKS = 8  # stretches of the test that count as independent draws
ENOUGH_BATCHES = 20  # for a median
ENOUGH_REQUESTS = 100  # to know how late they come to the queue, now and then too
ENOUGH_AWAKE = 100  # batches on instances that were at work, to know that they are held up less than those that wake one up
MOST_LENGTHS = 8  # of calls, each with a slowdown of its own
# The same model in the same server, a minute later on the same machine: runs of a sentence encoder (5 ms) differed by 0.96 to 1.07. Of
# calls of 0.1 to 0.6 ms, 32 runs of four models, by 0.75 to 1.3: a machine that wakes up more slowly for a minute slows them all (2026-11).
RUN_TO_RUN_FRACTION = 0.05
SHORT_CALL_S = 0.001
SHORT_RUN_TO_RUN_FRACTION = 0.15  # more, of calls no longer than SHORT_CALL_S, and less as they are longer
SINGLE_BLOCK_FRACTION = 0.15
MOST_DRAWS = 4096
LEAST_FACTOR = 0.1


class Batches(Record, frozen=True, kw_only=True):
    """The batches of a load test in the order in which they ended, each array (batches,), and the transit of its requests (requests,)."""

    wait_s: np.ndarray  # from the moment it was due and an instance free until that took it
    assembly_s: np.ndarray
    call_s: np.ndarray
    waited_s: np.ndarray  # of call_s, that its threads waited for a core which other work had
    was_idle: np.ndarray  # bool: the instance had to be woken up
    by_timer: np.ndarray  # bool: due because its oldest request had waited long enough, not because it was full
    size: np.ndarray
    expected_s: np.ndarray  # the call time by the profile
    transit_s: np.ndarray  # from the moment a request was meant to be sent to its place in the queue
    had_own_way: np.ndarray  # bool (requests,): when it was meant to be sent, no other was on its way and no batch was running

    @property
    def busy_s(self) -> np.ndarray:
        """Seconds (batches,) that each batch kept its instance from the next."""
        return np.asarray(self.wait_s + self.assembly_s + self.call_s)


class _Fit(NamedTuple):
    """The parts of the seconds that a batch keeps its instance busy."""

    call_ratio: float
    per_batch_s: float
    per_request_s: float
    wake_s: float
    timer_late_s: float | None  # None: too few batches

    def awake_s(self, expected_s: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Seconds (batches,) on an instance that need not be woken up."""
        return np.asarray(self.call_ratio * expected_s + self.per_batch_s + self.per_request_s * size)


def calibrate(
    candidate: Candidate, batches: Batches, *, noise_fraction: float, stalls: StallProcess | None = None
) -> Calibration:
    """Return the calibration from the batches of a load test of the candidate, each figure with an interval from stretches of the test.

    No interval is narrower than `noise_fraction`, by which such a test may be off under the candidate's setting. What `stalls` account
    for, which are simulated by themselves, is neither in the spread nor in what requests take to the queue. On a busy machine calls
    count without their waiting, as in the profile: what else ran there is no part of serving.
    """
    batches = msgspec.structs.replace(batches, call_s=_without_others_s(batches))
    lengths_s, factors = _call_factors(batches)
    corrected_s = batches.expected_s * np.interp(np.log(batches.expected_s), np.log(lengths_s), factors)
    batches = msgspec.structs.replace(batches, expected_s=corrected_s)
    whole = _fit(batches, slice(None))
    count = len(batches.size)
    blocks = [_fit(batches, part) for part in _stretches(count)]
    # Waking up varies by itself: were its time a factor's, the slow moments of awake instances would be counted twice. No batch is
    # quicker than a tenth of what is expected of it.
    awake_s = whole.awake_s(batches.expected_s, batches.size)
    late_s = (whole.timer_late_s or 0.0) * (batches.was_idle & batches.by_timer)
    residual = np.maximum((batches.busy_s - whole.wake_s * batches.was_idle - late_s) / awake_s, LEAST_FACTOR)
    counted = ~_stalled(residual, awake_s, candidate, stalls)
    held_up_s = _held_up_s(residual, awake_s, batches.was_idle.astype(bool), counted)
    source = f"{count} batches of the load test"
    shortness = min(1.0, SHORT_CALL_S / float(np.median(batches.expected_s)))

    def estimate(name: str, floor: float, factor: float = 1.0) -> Estimate:
        value = getattr(whole, name)
        draws = np.array([found for block in blocks if (found := getattr(block, name)) is not None])
        if len(draws) > 1:
            half = student_t_95(len(draws) - 1) * float(draws.std(ddof=1)) / math.sqrt(len(draws))
        else:
            half = SINGLE_BLOCK_FRACTION * value
        half = max(half, floor * value)
        low, high = min(max(value - half, 0.1 * value), value / factor), max(value + half, value * factor)
        return Estimate(value=value, low=low, high=high, basis="measured", source=source)

    def beside(name: str) -> Estimate:
        return estimate(name, noise_fraction, RUN_TO_RUN_FACTOR)

    return Calibration(
        variant=candidate.variant,
        intra_op_num_threads=candidate.intra_op_num_threads,
        instances=candidate.instances,
        call_ratio=estimate("call_ratio", max(RUN_TO_RUN_FRACTION + shortness * SHORT_RUN_TO_RUN_FRACTION, noise_fraction)),
        call_lengths_s=tuple(lengths_s.tolist()),
        call_factors=tuple(factors.tolist()),
        per_batch_s=beside("per_batch_s"),
        per_request_s=beside("per_request_s"),
        wake_s=beside("wake_s"),
        timer_late_s=None if whole.timer_late_s is None else beside("timer_late_s"),
        transit_s=_stretch(_unstalled_transit_s(_own_transit_s(batches), stalls)),
        spread=_stretch(residual[counted & (held_up_s == 0.0)]),
        hold_up_s=_stretch(held_up_s[counted & batches.was_idle.astype(bool)]) if held_up_s.any() else (),
        batches=count,
    )


def held_against(found: Calibration, call_s: Estimate) -> Calibration:
    """Return a calibration whose ratio has the doubt of the call outside a server as well, for settings that do not share that call."""
    ratio = found.call_ratio
    slower, quicker = math.log(call_s.value / call_s.low), math.log(call_s.high / call_s.value)
    low = ratio.value * math.exp(-math.hypot(math.log(ratio.value / ratio.low), quicker))
    high = ratio.value * math.exp(math.hypot(math.log(ratio.high / ratio.value), slower))
    return msgspec.structs.replace(found, call_ratio=msgspec.structs.replace(ratio, low=low, high=high))


def _without_others_s(batches: Batches) -> np.ndarray:
    """Return the seconds of calls (batches,) as on cores that nothing else has, for other work as visits of a profile have it."""
    shares_cores = batches.waited_s.sum() > CONTAMINATED_FRACTION * batches.call_s.sum()
    return np.asarray((batches.call_s - batches.waited_s) * math.exp(-SHARED_CORE_LOG if shares_cores else 0.0))


def _stalled(residual: np.ndarray, awake_s: np.ndarray, candidate: Candidate, stalls: StallProcess | None) -> np.ndarray:
    """Return of each batch (batches,) whether it is taken for one that was stalled on one of its cores."""
    excess_s = (residual - np.median(residual)) * awake_s
    time_s = candidate.intra_op_num_threads * float((residual * awake_s).sum())
    expected = 0.0 if stalls is None else stalls.rate_per_s["value"] * time_s
    return is_stalled(excess_s, robust_deviation(excess_s), stalls, expected)


def _held_up_s(residual: np.ndarray, awake_s: np.ndarray, was_idle: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return by how many seconds each batch (batches,) was held up as it woke an instance up; of most nothing.

    What sends requests, what gathers them and the threads of a call want the same cores when an instance wakes up, and one of them may
    wait for the next tick of the scheduler, milliseconds for a call of a fifth of one; at work, an instance keeps its cores. As a part
    of the spread, such waits would come in the midst of a queue, where nothing was seen to wait.
    """
    if int((counted & ~was_idle).sum()) < ENOUGH_AWAKE:
        return np.zeros(len(residual))
    excess_s = (residual - np.median(residual[counted])) * awake_s
    is_held_up = counted & was_idle & (excess_s > FAR_OUT * robust_deviation(excess_s[counted]))
    return np.where(is_held_up, excess_s, 0.0)


def _unstalled_transit_s(transit_s: np.ndarray, stalls: StallProcess | None) -> np.ndarray:
    # Who comes to a core that stands still is late; of those on their way, few are stalled in their midst.
    expected = 0.0 if stalls is None else len(transit_s) * CORES_OF_WAY * stalls.fraction
    excess_s = transit_s - np.median(transit_s)
    return np.asarray(transit_s[~is_stalled(excess_s, robust_deviation(excess_s), stalls, expected)])


def own_way(arrival_s: np.ndarray, transit_s: np.ndarray, started_s: np.ndarray, ended_s: np.ndarray) -> np.ndarray:
    """Return of each request (requests,) whether no other was on its way, and no batch running, when it was meant to be sent.

    `arrival_s` and `transit_s` are (requests,), ascending the former; `started_s` and `ended_s` (batches,), in any order.
    """
    is_behind = arrival_s[1:] < np.maximum.accumulate(arrival_s + transit_s)[:-1]
    running = np.searchsorted(np.sort(started_s), arrival_s, "right") - np.searchsorted(np.sort(ended_s), arrival_s, "right")
    return np.asarray(np.concatenate([[True], ~is_behind]) & (running == 0))


def as_queued(
    arrival_s: np.ndarray,
    way_s: float,
    *,
    size: np.ndarray,
    ended_s: np.ndarray,
    busy_s: np.ndarray,
    wait_s: np.ndarray,
    was_idle: np.ndarray,
    instances: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the waits (batches,) and whether instances were idle, as a queue sees it whose requests are there way_s after `arrival_s`.

    A request that is due while batches keep all cores busy is sent when one ends: it comes to an instance that has been idle for a
    moment. A simulated one waits in the queue meanwhile, so what its batch is late belongs to an instance at work. Without a delay of
    the queue, which takes its batches in order; `busy_s` are the seconds from a batch's taking to its end.
    """
    wait_s, was_idle = wait_s.copy(), was_idle.astype(bool)
    taken_s = ended_s - busy_s
    in_order = np.argsort(taken_s, kind="stable")
    due_s = arrival_s[np.cumsum(size[in_order]) - size[in_order]] + way_s
    free_s = [-math.inf] * instances
    for batch, due in zip(in_order.tolist(), due_s.tolist(), strict=True):
        since_s = heapq.heapreplace(free_s, float(ended_s[batch]))
        if due < since_s:
            was_idle[batch], wait_s[batch] = False, max(0.0, taken_s[batch] - since_s)
    return wait_s, was_idle


def _own_transit_s(batches: Batches) -> np.ndarray:
    """Return the seconds that a request is on the way by itself; of all requests where too few had the way to themselves.

    What holds one up holds up those behind it, and they come out together: a simulation keeps them in order, so were the delays of
    those behind drawn again, each hold-up would be counted as often as it had requests. And a request that comes while a batch keeps
    the cores busy is late in the queue, but would have had to wait for that batch anyway.
    """
    way_s = np.maximum(batches.transit_s, 0.0)
    own_s = way_s[batches.had_own_way.astype(bool)]
    return np.asarray(own_s if len(own_s) >= ENOUGH_REQUESTS else way_s)


def _stretch(values: np.ndarray) -> tuple[float, ...]:
    """Return the values in their order; of more than MOST_DRAWS, those in the middle of the run.

    In their order, because a disturbance lasts: what comes in its midst is slow together, and queues as independent draws never would.
    """
    start = max(0, (len(values) - MOST_DRAWS) // 2)
    return tuple(float(f"{value:.4g}") for value in values[start : start + MOST_DRAWS])


def _stretches(count: int) -> list[slice]:
    """Return consecutive parts of equal length, as many as there are batches enough for, at least the one whole."""
    parts = max(1, min(BLOCKS, count // ENOUGH_BATCHES))
    edges = np.linspace(0, count, parts + 1).astype(int)
    return [slice(int(start), int(end)) for start, end in pairwise(edges)]


def _call_factors(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """Return profiled lengths of calls, ascending, and how calls of about that length were slowed down, over the median of all.

    Short calls find caches colder than in the profile, where the same call had just been made, and an error of interpolation is at
    some batch sizes only: one ratio for all calls would be wrong at both ends.
    """
    awake = ~batches.was_idle.astype(bool)
    chosen = awake if int(awake.sum()) >= len(awake) / 2 else np.ones(len(awake), dtype=bool)
    in_order = np.argsort(batches.expected_s[chosen], kind="stable")
    expected_s = batches.expected_s[chosen][in_order]
    logs = np.log(batches.call_s[chosen][in_order] / expected_s)
    parts = max(1, min(MOST_LENGTHS, len(logs) // ENOUGH_BATCHES))
    lengths_s = np.array([np.median(part) for part in np.array_split(expected_s, parts)])
    medians = np.array([np.median(part) for part in np.array_split(logs, parts)])
    # Where all calls are about equally long, several parts speak of one length.
    distinct, where = np.unique(lengths_s, return_inverse=True)
    shift = np.bincount(where, weights=medians) / np.bincount(where)
    return distinct, np.exp(shift - np.median(logs))


def _fit(batches: Batches, part: slice) -> _Fit:
    """Return the parts from medians: of instances that were awake where there are enough such batches."""
    wait_s, assembly_s, call_s = batches.wait_s[part], batches.assembly_s[part], batches.call_s[part]
    size, expected_s, was_idle = batches.size[part], batches.expected_s[part], batches.was_idle[part].astype(bool)
    is_told = int((~was_idle).sum()) >= ENOUGH_BATCHES
    chosen = ~was_idle if is_told else np.ones(len(size), dtype=bool)
    ratio = float(np.median(call_s[chosen] / expected_s[chosen]))
    # An instance that is awake takes a batch at once; where none was, the quickest of those that had to wake up stand for it.
    awake_s = float(np.median(wait_s[chosen])) if is_told else float(np.quantile(wait_s, 0.1))
    constant_s, per_request_s = _line(size[chosen], assembly_s[chosen])
    awake = _Fit(ratio, awake_s + constant_s, per_request_s, 0.0, None)
    if not was_idle.any():
        return awake
    beyond_s = wait_s + assembly_s + call_s - awake.awake_s(expected_s, size)
    by_timer = batches.by_timer[part].astype(bool)
    called, timed = beyond_s[was_idle & ~by_timer], beyond_s[was_idle & by_timer]
    if min(len(called), len(timed)) < ENOUGH_BATCHES:
        return awake._replace(wake_s=max(0.0, float(np.median(beyond_s[was_idle]))))
    wake_s = max(0.0, float(np.median(called)))
    return awake._replace(wake_s=wake_s, timer_late_s=max(0.0, float(np.median(timed)) - wake_s))


def _line(size: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Return constant and slope, neither negative, of the line through the median at each batch size, weighted by how often it came."""
    sizes, counts = np.unique(size, return_counts=True)
    medians = np.array([np.median(seconds[size == value]) for value in sizes])
    mean_size, mean_s = np.average(sizes, weights=counts), np.average(medians, weights=counts)
    variance = float(np.average((sizes - mean_size) ** 2, weights=counts))
    if variance == 0.0:
        return float(mean_s), 0.0
    slope = float(np.average((sizes - mean_size) * (medians - mean_s), weights=counts)) / variance
    slope = min(max(slope, 0.0), float(mean_s / mean_size))
    return float(mean_s - slope * mean_size), slope
