"""Requests that were really served, beside the simulation of these very requests."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor import units
from advisor.decide.generation.service.step_time import DRAWS, Shown, StepTimes, step_times
from advisor.decide.generation.simulation import KEPT, SHOWN, Machine, simulate, token_times
from advisor.decide.generation.space import Way, of_candidate
from advisor.decide.generation.traffic import Load, made
from advisor.decide.queue.demand import rank
from advisor.decide.service.stalls import process_of
from advisor.errors import InputError
from advisor.medians import NORMAL_95, student_t_95
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import (
    Clock,
    Engine,
    GenerationCandidate,
    GenerationProfile,
    GenerationSite,
    Quantiles,
    Replay,
    TokenTimes,
)
from advisor.schema.profile import Stalls
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo

STRETCHES = 8  # of a replay: what a machine does in one of them it need not do in the next
FEWEST_OF_STRETCHES = 4 * STRETCHES  # steps, that a stretch tells what steps take
UNSEEN = Shown(None, None)


class Observed(NamedTuple):
    """What became of each request (requests,), in their order, counted from the same moment."""

    arrived_s: np.ndarray
    first_s: np.ndarray  # when the first token was there
    last_s: np.ndarray
    longest_gap_s: np.ndarray  # between two tokens; 0 where there is one alone
    output_tokens: np.ndarray
    duration_s: float


class StepLog(NamedTuple):
    """The steps of a server, in their order (steps,): what each had to do, and what it took."""

    batch_size: np.ndarray  # decoded requests; 0 where a step only reads
    context_tokens: np.ndarray  # cached in the decoded requests together
    tokens: np.ndarray  # of prompts; 0 where a step only decodes
    pairs: (
        np.ndarray
    )  # of tokens that reading looks at: of n tokens of a prompt behind `past`, n (past + n / 2), over its prompts
    took_s: np.ndarray


def observed(arrival_s: Sequence[float], token_s: Sequence[Sequence[float]], duration_s: float) -> Observed:
    """Return what users met, from the moments at which each request had each of its tokens."""
    return Observed(
        arrived_s=np.array(arrival_s, dtype=float),
        first_s=np.array([times[0] for times in token_s]),
        last_s=np.array([times[-1] for times in token_s]),
        longest_gap_s=np.array([float(np.diff(times).max(initial=0.0)) for times in token_s]),
        output_tokens=np.array([len(times) for times in token_s], dtype=np.int64),
        duration_s=duration_s,
    )


def expected_of(
    profile: GenerationProfile,
    site: GenerationSite,
    candidate: GenerationCandidate,
    requests: Requests,
    *,
    quantile: float = 0.99,
    clients: int = 0,
    think_s: float = 0.0,
    shared_prefix: int = 0,
    speed: Shown | None = None,
) -> TokenTimes:
    """Return what one replica of the candidate is expected to do with these requests, all of them counted.

    Only what steps take is random, not the requests. With `clients` they come one after the other, whenever they were recorded. With
    `speed`, how much longer steps took while these very requests were served, the machine is that quick; without it, it is as quick as
    the profile says it may be, and what is returned is a prediction.
    """
    way = of_candidate(candidate)
    times = _times(site, way)
    if speed is not None:
        times = times.at_speed(speed)
    load = load_of(requests, clients=clients, think_s=think_s, shared_prefix=shared_prefix)
    _check(load, candidate, profile.model.context_tokens)
    stalls = process_of(site.stalls) if site.clock == "wall" else None
    machine = Machine(times.step_factors, stalls, way.intra_op_num_threads)
    runs = [simulate(load, way, times.costs(draw), machine, draw) for draw in range(DRAWS)]
    source = f"{DRAWS} simulations of the {len(load.input_tokens):,} requests of the replay, each with other laws of the measured steps"
    return token_times(runs, quantile, replicas=1, basis="simulated", source=source + _in_words(speed))


def _times(site: GenerationSite, way: Way) -> StepTimes:
    times = step_times(site).get(way.setting)
    if times is None:
        raise InputError(
            f"{way.variant} on {way.intra_op_num_threads} threads was not measured on {site.hardware.id}",
            hint="measure again: advisor profile --fresh",
        )
    return times


def _in_words(speed: Shown | None) -> str:
    """Return how quick the machine was, in words that follow others; nothing where that is left open."""
    parts = zip(("prompts", "tokens"), speed or (), strict=False)
    said = ", ".join(f"{units.ratio(entry.value)} on {what}" for what, entry in parts if entry is not None)
    return f", at the speed of its own steps (of the profile's seconds {said})" if said else ""


def load_of(requests: Requests, *, clients: int = 0, think_s: float = 0.0, shared_prefix: int = 0) -> Load:
    """Return requests as one replica is to serve them; raise InputError where they have no lengths."""
    if requests.input_tokens is None or requests.output_tokens is None:
        raise InputError("the requests have no lengths in tokens", hint="give a trace with input_tokens and output_tokens")
    arrival_s = np.asarray(requests.arrival_s, dtype=float)
    if len(arrival_s):
        arrival_s = arrival_s - arrival_s[0]
    found = made(arrival_s, np.asarray(requests.input_tokens), np.asarray(requests.output_tokens), shared_prefix=shared_prefix)
    return found._replace(clients=clients, think_s=think_s)


def _check(load: Load, candidate: GenerationCandidate, context_tokens: int) -> None:
    if not len(load.input_tokens) or int(load.output_tokens.min()) < 1:
        raise InputError("a replay needs requests that get at least one token each", hint="leave out what was not answered")
    longest = int((load.input_tokens + load.output_tokens).max())
    if longest > context_tokens:
        raise InputError(
            f"a request of {longest:,} tokens, prompt and answer together, is longer than the context of {context_tokens:,}",
            hint="leave such requests out, or shorten them",
        )
    if load.largest_tokens > candidate.kv_tokens:
        raise InputError(
            f"the cache of {candidate.kv_tokens:,} tokens cannot hold the largest request, which needs {load.largest_tokens:,}",
            hint="serve with a larger cache, or leave such requests out",
        )


def measured_times(load: Load, seen: Observed, quantile: float) -> TokenTimes:
    """Return what was observed, each quantile with the binomial interval of its rank, which holds whatever the distribution."""
    counted = load.counted
    later = seen.output_tokens[counted] - 1
    has_later = later > 0
    arrived_s, first_s, last_s = (times[counted] for times in (seen.arrived_s, seen.first_s, seen.last_s))
    tpot_s = ((last_s - first_s) / np.maximum(later, 1))[has_later]
    rates = (int(seen.output_tokens.sum()), len(seen.output_tokens))
    span_s = float(seen.last_s.max() - seen.arrived_s.min())
    tokens, requests = (_rate(count, span_s) for count in rates)
    return TokenTimes(
        ttft_s=_quantiles(first_s - arrived_s, quantile),
        tpot_s=_quantiles(tpot_s, quantile) if len(tpot_s) else None,
        itl_s=_quantiles(seen.longest_gap_s[counted][has_later], quantile) if len(tpot_s) else None,
        latency_s=_quantiles(last_s - arrived_s, quantile),
        output_tokens_per_s=tokens,
        requests_per_s=requests,
    )


def _rate(count: int, span_s: float) -> Estimate:
    rate = count / max(span_s, 1e-12)
    return Estimate(value=rate, low=rate, high=rate, basis="measured", source=f"{count:,} in {span_s:.3g} s")


def _quantiles(times_s: np.ndarray, quantile: float) -> Quantiles:
    p50, p90, p99, slo = (_quantile(np.sort(times_s), wanted) for wanted in (*SHOWN, quantile))
    return Quantiles(p50=p50, p90=p90, p99=p99, slo=slo)


def _quantile(ordered_s: np.ndarray, wanted: float) -> Estimate:
    count = len(ordered_s)
    half = NORMAL_95 * math.sqrt(count * wanted * (1 - wanted)) / count
    low, middle, high = (float(ordered_s[rank(min(max(wanted + shift, 0.0), 1.0), count)]) for shift in (-half, 0.0, half))
    return Estimate(value=middle, low=low, high=high, basis="measured", source=f"{count:,} requests of the replay")


def covered(measured: TokenTimes, expected: TokenTimes) -> dict[str, bool]:
    """Return, by figure, whether the intervals of both overlap; figures that either lacks are left out."""
    found = {}
    for name in ("ttft_s", "tpot_s", "itl_s", "latency_s"):
        ours, theirs = getattr(measured, name), getattr(expected, name)
        if ours is not None and theirs is not None:
            for level in ("p50", "p90", "p99"):
                found[f"{name}.{level}"] = getattr(ours, level).overlaps(getattr(theirs, level))
    return found


def step_ratios(times: StepTimes, log: StepLog) -> Shown:
    """Return how many times as long steps that read and steps that decode took in the server as the profile says; None without any.

    Steps of both count among those that read.
    """
    costs = times.costs(None)
    every = np.ones(len(log.took_s))
    reads, decodes = log.tokens > 0, log.batch_size > 0
    decoded = log.batch_size.astype(int)
    most = int(decoded.max(initial=0))
    expected_s = costs.mixed @ np.stack([every, decoded, log.context_tokens, log.tokens, log.pairs])
    expected_s += costs.extra("mixed", most)[decoded]
    if times.mixed is None:
        reading_s = costs.prefill @ np.stack([every, log.tokens, log.pairs])
        decoding_s = costs.decode @ np.stack([every, decoded, log.context_tokens])
        decoding_s += costs.extra("prefill_first", most)[decoded]
        expected_s = np.where(reads & decodes, expected_s, np.where(reads, reading_s, decoding_s))
    # Laws are of medians, and sums are compared.
    expected_s = expected_s * float(times.step_factors.mean())
    return Shown(*(_ratio(log.took_s[chosen], expected_s[chosen]) for chosen in (reads, decodes & ~reads)))


def _ratio(took_s: np.ndarray, expected_s: np.ndarray) -> Estimate | None:
    """Return the seconds of steps (steps,), in their order, over those that are expected, all together.

    The interval is that of stretches of the replay, for a machine is quick for a while and slow for another; of a few steps it is as wide
    as they differ.
    """
    count = len(took_s)
    if not count:
        return None
    value = float(took_s.sum() / expected_s.sum())
    if count < FEWEST_OF_STRETCHES:
        single = took_s / expected_s
        low, high = float(single.min()), float(single.max())
    else:
        parts = (np.array_split(seconds, STRETCHES) for seconds in (took_s, expected_s))
        logs = [math.log(took.sum() / expected.sum()) for took, expected in zip(*parts, strict=True)]
        off = student_t_95(STRETCHES - 1) * float(np.std(logs, ddof=1)) / math.sqrt(STRETCHES)
        low, high = value * math.exp(-off), value * math.exp(off)
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), basis="measured", source=f"{count:,} steps in the server"
    )


def compare(
    candidate: GenerationCandidate,
    load: Load,
    seen: Observed,
    expected: TokenTimes,
    *,
    before: TokenTimes | None,
    slo: TokenSlo,
    engine: Engine,
    clock: Clock,
    load_fraction: float,
    speed: Shown = UNSEEN,
    tokens_equal: bool | None = None,
    run_delay_fraction: float | None = None,
    stalls: tuple[Stalls, ...] = (),
) -> Replay:
    """Return the replay of one replica, observed against expected: at the `speed` of its own steps, and `before`, which is the prediction.

    `load_fraction` is the offered load over the predicted capacity.
    """
    measured = measured_times(load, seen, slo.quantile)
    span_s = float(load.arrival_s[-1] - load.arrival_s[0])
    offered = (len(load.arrival_s) - 1) / span_s if span_s > 0 and not load.clients else None
    return Replay(
        candidate=candidate,
        engine=engine,
        clock=clock,
        requests=len(load.input_tokens),
        offered_requests_per_s=offered,
        duration_s=seen.duration_s,
        load_fraction=load_fraction,
        measured=measured,
        expected=expected,
        before=before,
        covered=covered(measured, expected),
        covered_before={} if before is None else covered(measured, before),
        tokens_equal=tokens_equal,
        step_ratio_prefill=speed.prefill,
        step_ratio_decode=speed.decode,
        run_delay_fraction=run_delay_fraction,
        meets_slo=_meets(measured, slo),
        stalls=stalls,
    )


def _meets(measured: TokenTimes, slo: TokenSlo) -> bool:
    pairs = ((measured.ttft_s, slo.ttft_s), (measured.tpot_s, slo.tpot_s), (measured.latency_s, slo.latency_s))
    return all(times is None or target is None or times.slo.value <= target * KEPT for times, target in pairs)
