"""Requests of a workload, really served by one replica, beside the simulation of these very requests."""

import math

import numpy as np

from advisor.decide.generation.replay import compare, expected_of, observed, step_ratios
from advisor.decide.generation.service.step_time import step_times
from advisor.decide.generation.traffic import Load, TokenDemand
from advisor.errors import InputError
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import GenerationPrediction, Replay
from advisor.schema.workload import GenerationWorkload, TokenSlo
from advisor.steps.generation.serving import SEED, Asked, Seen, served

# Without a wish: as long as so many requests take, within these ends. Beyond the most a replay would show nothing new.
USUAL_REQUESTS, SHORTEST_S, LONGEST_S = 100, 30.0, 180.0
FEWEST_REQUESTS, MOST_REQUESTS = 5, 5_000
# Beyond what is expected of the requests, a replay is given up: several times that, and what opening the model takes.
PATIENCE, OPENING_S = 6.0, 600.0


def replayed(
    asked: Asked,
    prediction: GenerationPrediction,
    workload: GenerationWorkload,
    recorded: Requests | None,
    *,
    wanted_s: float | None,
) -> Replay:
    """Return what requests of the workload met on one replica, for about so many seconds of traffic; None: as long as is usual.

    Raises InputError for a variant whose files are no longer those that were measured, ModelError where serving fails.
    """
    load = load_of(asked, prediction, workload, recorded, wanted_s)
    seen = served(asked, load, limit_s=OPENING_S + PATIENCE * _expected_s(prediction, load))
    return beside(asked, load, seen, workload.slo, load_fraction=_load_fraction(prediction, load))


def beside(asked: Asked, load: Load, seen: Seen, slo: TokenSlo, *, load_fraction: float) -> Replay:
    """Return what was seen of the requests beside what is expected of them: by the profile alone, and at the speed of their own steps."""
    candidate, site = asked.candidate, asked.site
    requests = Requests(arrival_s=load.arrival_s, input_tokens=load.input_tokens, output_tokens=load.output_tokens)
    speed = step_ratios(step_times(site)[candidate.variant, candidate.intra_op_num_threads], seen.log)
    before, expected = (
        expected_of(
            asked.profile,
            site,
            candidate,
            requests,
            quantile=slo.quantile,
            clients=load.clients,
            think_s=load.think_s,
            speed=known,
        )
        for known in (None, speed)
    )
    return compare(
        candidate,
        load,
        observed(seen.replayed.arrival_s, seen.replayed.token_s, seen.replayed.duration_s),
        expected,
        before=before,
        slo=slo,
        engine=asked.variant.engine,
        clock=seen.replayed.clock,
        load_fraction=load_fraction,
        speed=speed,
        tokens_equal=seen.tokens_equal,
        run_delay_fraction=seen.meanwhile.run_delay_fraction,
        stalls=seen.meanwhile.stalls,
    )


def load_of(
    asked: Asked,
    prediction: GenerationPrediction,
    workload: GenerationWorkload,
    recorded: Requests | None,
    wanted_s: float | None,
) -> Load:
    """Return the requests to one replica: those that come within the time, or that clients send; none that the profile had no room for."""
    candidate, most_tokens = asked.candidate, asked.profile.settings.max_context_tokens
    model = asked.profile.model
    demand = TokenDemand(workload, recorded, context_tokens=model.context_tokens, encoder=model.encoder)
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
    count = _count(load, prediction, wanted_s)
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


def _expected_s(prediction: GenerationPrediction, load: Load) -> float:
    """Return about how long the requests take, from the first arrival to the last answer."""
    rate = max(prediction.times.requests_per_s.value / prediction.candidate.replicas, 1e-9)
    return max(len(load.input_tokens) / rate, float(load.arrival_s[-1])) + prediction.times.latency_s.p99.high


def _load_fraction(prediction: GenerationPrediction, load: Load) -> float:
    """Return the load that is offered over what one replica carries, as predicted; where that was not sought, how busy it would be."""
    capacity, replicas = prediction.capacity_requests_per_s, prediction.candidate.replicas
    span_s = float(load.arrival_s[-1] - load.arrival_s[0]) if len(load.arrival_s) > 1 and not load.clients else 0.0
    if capacity is None or capacity.value <= 0 or span_s <= 0:
        return prediction.utilization_fraction.value
    return (len(load.arrival_s) - 1) / span_s / (capacity.value / replicas)
