"""Requests of a workload, really served by one replica in a process of its own, beside the simulation of these very requests."""

import math
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from advisor.decide.generation import replay as comparing
from advisor.decide.generation.service.step_time import step_times
from advisor.decide.generation.traffic import Load, TokenDemand
from advisor.errors import InputError
from advisor.measure.generation import variant_process
from advisor.measure.generation.making import is_still
from advisor.measure.generation.replay import Replayed
from advisor.measure.generation.step_timing import Decode, Prefill, Step
from advisor.measure.generation.variant_process import Served, Setting, TimedStep
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import (
    DecodePoint,
    GenerationCandidate,
    GenerationPrediction,
    GenerationProfile,
    GenerationSite,
    PrefillPoint,
    Replay,
)
from advisor.schema.workload import GenerationWorkload
from advisor.units import counted

AnyPoint = TypeVar("AnyPoint", PrefillPoint, DecodePoint)
# Without a wish: as long as so many requests take, within these ends. Beyond the most a replay would show nothing new.
USUAL_REQUESTS, SHORTEST_S, LONGEST_S = 100, 30.0, 180.0
FEWEST_REQUESTS, MOST_REQUESTS = 5, 5_000
SEED = 17  # of the requests: no draw that a simulation has used
AROUND_S = 0.1  # for each step that is timed before and after the requests
SAMPLE = 5  # requests whose tokens are held against those that each gets alone
# Beyond what is expected of the requests, a replay is given up: several times that, and what opening the model takes.
PATIENCE, OPENING_S = 6.0, 600.0


class Asked(NamedTuple):
    """What is served, and where it was measured."""

    profile: GenerationProfile
    site: GenerationSite
    prediction: GenerationPrediction
    folder: Path  # of the profile

    @property
    def candidate(self) -> GenerationCandidate:
        """The way to serve that is tried."""
        return self.prediction.candidate


def replayed(asked: Asked, workload: GenerationWorkload, recorded: Requests | None, *, wanted_s: float | None) -> Replay:
    """Return what requests of the workload met on one replica, for about so many seconds of traffic; None: as long as is usual.

    Raises InputError for a variant whose files are no longer those that were measured, ModelError where serving fails.
    """
    candidate, site = asked.candidate, asked.site
    variant = next(it for it in site.variants if it.id == candidate.variant)
    if variant.engine != "onnxruntime":
        raise InputError(
            f"{candidate.variant}: runs on {variant.engine}, and requests are replayed on ONNX Runtime alone",
            hint="name a variant of ONNX Runtime under baseline.variant, or serve this one yourself",
        )
    folder = asked.folder / variant.path
    if not is_still(folder, variant.sha256):
        raise InputError(f"{folder}: no longer what was measured", hint="run the same `advisor profile` again: it is made anew")
    load = load_of(asked, workload, recorded, wanted_s)
    requests = Requests(arrival_s=load.arrival_s, input_tokens=load.input_tokens, output_tokens=load.output_tokens)
    served = _served(asked, load, folder)
    profile, quantile = asked.profile, workload.slo.quantile
    around = _around(site, served.around, candidate)
    before, expected = (
        comparing.expected_of(
            profile, it, candidate, requests, quantile=quantile, clients=load.clients, think_s=load.think_s, shared_prefix=0
        )
        for it in (site, around)
    )
    seen = comparing.observed(served.replayed.arrival_s, served.replayed.token_s, served.replayed.duration_s)
    compared = comparing.load_of(requests, clients=load.clients, think_s=load.think_s)
    times = step_times(site)[candidate.variant, candidate.intra_op_num_threads]
    return comparing.compare(
        candidate,
        compared,
        seen,
        expected,
        before=before,
        slo=workload.slo,
        engine=variant.engine,
        clock=served.replayed.clock,
        load_fraction=_load_fraction(asked.prediction, load),
        step_ratio=comparing.step_ratios(times, _log(served.replayed)),
        tokens_equal=served.tokens_equal,
        run_delay_fraction=None if served.run_delay_s is None else served.run_delay_s / max(served.wall_s, 1e-9),
        stalls=served.stalls,
    )


def load_of(asked: Asked, workload: GenerationWorkload, recorded: Requests | None, wanted_s: float | None) -> Load:
    """Return the requests to one replica: those that come within the time, or that clients send; none that the profile had no room for."""
    candidate, most_tokens = asked.candidate, asked.profile.settings.max_context_tokens
    demand = TokenDemand(workload, recorded, context_tokens=asked.profile.model.context_tokens)
    load = demand.load(SEED, candidate.replicas)
    fits = load.input_tokens + load.output_tokens <= min(most_tokens, candidate.kv_tokens)
    load = load._replace(
        arrival_s=load.arrival_s[fits],
        input_tokens=load.input_tokens[fits],
        output_tokens=load.output_tokens[fits],
        prefix_hit_tokens=np.zeros(int(fits.sum()), dtype=np.int64),
        shared_prefix_tokens=0,
        warm_up=0,
    )
    count = _count(load, asked.prediction, wanted_s)
    if count < 1:
        raise InputError(
            f"no request of the workload fits the {most_tokens:,} tokens that the profile was measured up to",
            hint="profile again with the same workload file",
        )
    return load._replace(
        arrival_s=_at_the_rate(load.arrival_s[:count] - load.arrival_s[0], workload, candidate.replicas),
        input_tokens=load.input_tokens[:count],
        output_tokens=load.output_tokens[:count],
        prefix_hit_tokens=load.prefix_hit_tokens[:count],
    )


def _at_the_rate(arrival_s: np.ndarray, workload: GenerationWorkload, replicas: int) -> np.ndarray:
    """Return the arrivals at the rate that the workload names, where it names one that is the same all day.

    A draw of a few dozen comes a fifth faster or slower than that, and would put the targets to another test than the one asked for.
    """
    traffic = workload.traffic
    if traffic.requests_per_s is None or traffic.diurnal is not None or len(arrival_s) < 2 or arrival_s[-1] <= 0:
        return arrival_s
    return arrival_s * ((len(arrival_s) - 1) * replicas / traffic.requests_per_s / float(arrival_s[-1]))


def _count(load: Load, prediction: GenerationPrediction, wanted_s: float | None) -> int:
    """Return how many requests come in the time, of which there are a few at the least."""
    rate = prediction.times.requests_per_s.value / prediction.candidate.replicas
    if not load.clients and len(load.arrival_s) > 1 and load.arrival_s[-1] > load.arrival_s[0]:
        rate = (len(load.arrival_s) - 1) / float(load.arrival_s[-1] - load.arrival_s[0])
    span_s = wanted_s if wanted_s is not None else min(max(USUAL_REQUESTS / max(rate, 1e-9), SHORTEST_S), LONGEST_S)
    if load.clients:
        return min(len(load.input_tokens), MOST_REQUESTS, max(2 * load.clients, math.ceil(rate * span_s)))
    within = int(np.searchsorted(load.arrival_s, load.arrival_s[0] + span_s, side="right")) if len(load.arrival_s) else 0
    return min(len(load.arrival_s), MOST_REQUESTS, max(FEWEST_REQUESTS, within))


def _served(asked: Asked, load: Load, folder: Path) -> Served:
    """Serve the requests in a process of their own, with prompts of random tokens: what a step takes does not depend on them."""
    candidate, profile = asked.candidate, asked.profile
    random = np.random.default_rng(SEED)
    prompts = tuple(
        tuple(random.integers(0, profile.model.vocabulary, size=count).tolist()) for count in load.input_tokens.tolist()
    )
    given = variant_process.Load(
        prompts=prompts,
        output_tokens=tuple(load.output_tokens.tolist()),
        arrival_s=None if load.clients else tuple(load.arrival_s.tolist()),
        clients=max(load.clients, 1),
        think_s=(load.think_s,) * len(prompts) if load.clients else (),
        policy=candidate.policy,
        max_running_requests=candidate.max_running_requests,
        chunk_tokens=candidate.chunk_tokens,
        clock=asked.site.clock,
    )
    setting = Setting(
        intra_op_num_threads=candidate.intra_op_num_threads,
        slots=candidate.max_running_requests,
        max_tokens=profile.settings.max_context_tokens,
    )
    limit_s = OPENING_S + PATIENCE * _expected_s(asked.prediction, load)
    what = f"serving {counted(len(prompts), 'request')}"
    with Apart() as apart:
        return apart.call(
            Limit(candidate.variant, what, limit_s, limit_s),
            variant_process.served,
            folder,
            setting,
            given,
            around=_steps(asked),
            seconds=AROUND_S,
            sample=min(SAMPLE, len(prompts)),
            seed=SEED,
        )


def _expected_s(prediction: GenerationPrediction, load: Load) -> float:
    """Return about how long the requests take, from the first arrival to the last answer."""
    rate = max(prediction.times.requests_per_s.value / prediction.candidate.replicas, 1e-9)
    return max(len(load.input_tokens) / rate, float(load.arrival_s[-1])) + prediction.times.latency_s.p99.high


def _steps(asked: Asked) -> tuple[Step, ...]:
    """Return the steps that the profile has of the setting: they are timed again, just before and just after."""
    candidate, room = asked.candidate, asked.profile.settings.max_context_tokens
    points: list[PrefillPoint | DecodePoint] = [*asked.site.prefill, *asked.site.decode]
    steps = (_step_of(it) for it in points if _setting(it) == (candidate.variant, candidate.intra_op_num_threads))
    return tuple(step for step in steps if _fits(step, candidate.max_running_requests, room))


def _setting(point: PrefillPoint | DecodePoint) -> tuple[str, int]:
    return point.variant, point.intra_op_num_threads


def _step_of(point: PrefillPoint | DecodePoint) -> Step:
    if isinstance(point, PrefillPoint):
        return Prefill(tokens=point.tokens, past_tokens=point.past_tokens)
    return Decode(batch_size=point.batch_size, context_tokens=point.context_tokens)


def _fits(step: Step, slots: int, room: int) -> bool:
    """Return whether a cache of so many rows, each of so many tokens, is large enough for a step."""
    if isinstance(step, Prefill):
        return step.tokens + step.past_tokens <= room
    return step.batch_size <= slots and math.ceil(step.context_tokens / step.batch_size) < room


def _around(site: GenerationSite, timed: tuple[TimedStep, ...], candidate: GenerationCandidate) -> GenerationSite:
    """Return the site with its points of the setting as they were timed around the requests, where they were."""
    seen = {it.step: it.visits for it in timed}
    ours = (candidate.variant, candidate.intra_op_num_threads)

    def anew(point: AnyPoint) -> AnyPoint:
        visits = seen.get(_step_of(point)) if _setting(point) == ours else None
        return point if visits is None else msgspec.structs.replace(point, visits=visits)

    return msgspec.structs.replace(site, prefill=tuple(map(anew, site.prefill)), decode=tuple(map(anew, site.decode)))


def _log(seen: Replayed) -> comparing.StepLog:
    """Return the steps of the loop as they are compared: a prompt is read behind what is cached of it, others are decoded together."""
    reads = np.array([step.kind == "prefill" for step in seen.steps])
    batch, tokens, cached = (
        np.array([getattr(step, name) for step in seen.steps], dtype=np.int64)
        for name in ("batch_size", "tokens", "context_tokens")
    )
    return comparing.StepLog(
        batch_size=np.where(reads, 0, batch),
        context_tokens=np.where(reads, 0, cached),
        tokens=np.where(reads, tokens, 0),
        past_tokens=np.where(reads, cached, 0),
        took_s=np.array([step.took_s for step in seen.steps]),
    )


def _load_fraction(prediction: GenerationPrediction, load: Load) -> float:
    """Return the load that is offered over what one replica carries, as predicted; where that was not sought, how busy it would be."""
    capacity, replicas = prediction.capacity_requests_per_s, prediction.candidate.replicas
    span_s = float(load.arrival_s[-1] - load.arrival_s[0]) if len(load.arrival_s) > 1 and not load.clients else 0.0
    if capacity is None or capacity.value <= 0 or span_s <= 0:
        return prediction.utilization_fraction.value
    return (len(load.arrival_s) - 1) / span_s / (capacity.value / replicas)
