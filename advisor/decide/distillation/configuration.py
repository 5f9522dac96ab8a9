"""For a model that is known by its configuration alone: one of the same shape with half of its layers, served by the same search.

It is proposed where a life is planned over which it could pay, and never advised: nobody has trained it.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from advisor.decide.distillation.making import lever_of, making_of, trainer_of
from advisor.decide.distillation.retention import retention_of
from advisor.decide.distillation.worth import Served, less, life_beside, opportunity_of, worth_of
from advisor.decide.generation.elsewhere.decision import spaces_of
from advisor.decide.generation.elsewhere.prediction import predict
from advisor.decide.generation.elsewhere.replica import Offers
from advisor.decide.generation.elsewhere.request import Calls, ElsewhereRequest, calls_of
from advisor.decide.generation.elsewhere.steps import StepsOf
from advisor.decide.generation.search import search
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.lifetime.inputs import Market
from advisor.decide.service.energy import scaled
from advisor.schema.catalog import DistilledPair
from advisor.schema.distillation import Student
from advisor.schema.language import (
    Architecture,
    AttentionLayers,
    ConfiguredStudent,
    DeploymentPrediction,
    FeedForwardLayers,
    LanguageAdvice,
)
from advisor.schema.workload import Lifecycle
from advisor.units import counted

ONE_OF = 2  # so many layers stays
LayersT = TypeVar("LayersT", AttentionLayers, FeedForwardLayers)


def with_student(
    advice: LanguageAdvice, request: ElsewhereRequest, steps_of: StepsOf, market: Market, pairs: Sequence[DistilledPair]
) -> LanguageAdvice:
    """Return the advice with a smaller configuration beside it, where something is advised and a life is planned."""
    lifecycle, shown = request.workload.lifecycle, advice.recommended
    smaller = half_of(advice.model) if lifecycle is not None and shown is not None else None
    if lifecycle is None or shown is None or smaller is None:
        return advice
    calls = calls_of(request.workload)
    served = _cheapest(smaller, request, calls, steps_of)
    made = _judged(advice, shown, smaller, served, lifecycle, request, calls, market, pairs)
    return msgspec.structs.replace(advice, student=made)


def _cheapest(smaller: Architecture, request: ElsewhereRequest, calls: Calls, steps_of: StepsOf) -> DeploymentPrediction | None:
    """Return the cheapest deployment that keeps the targets, in the precisions that were accepted; None where none does."""
    demand = TokenDemand(calls.workload, request.recorded, context_tokens=smaller.context_tokens, effort=request.effort)
    offers = Offers(smaller, request.places, demand, request.workload.slo, steps_of)
    found = search(spaces_of(offers.replicas(request.accepted)), request.confidence, enough=1)
    return predict(found.cheapest[0], calls.per_request, with_capacity=True).prediction if found.cheapest else None


def _judged(
    advice: LanguageAdvice,
    shown: DeploymentPrediction,
    smaller: Architecture,
    served: DeploymentPrediction | None,
    lifecycle: Lifecycle,
    request: ElsewhereRequest,
    calls: Calls,
    market: Market,
    pairs: Sequence[DistilledPair],
) -> ConfiguredStudent:
    model, rate = advice.model, advice.mean_requests_per_s
    student = _student(smaller.layers, smaller.parameters, model.layers, model.parameters)
    kept = retention_of(student, "decoder", pairs)
    before = _served(shown, calls)
    life = life_beside(before, rate, lifecycle, market)
    lever = lever_of(market, life)
    found = ConfiguredStudent(
        student=student,
        title=f"{smaller.layers} of {counted(model.layers, 'layer')}",
        prediction=served,
        saving_usd_per_month=None if served is None else less(shown.cost_usd_per_month, served.cost_usd_per_month),
        retention=None if isinstance(kept, str) else kept,
        quality_because=kept if isinstance(kept, str) else f"assumed, not measured: {kept.source}",
    )
    if lever is None:
        return found
    # A token passes the active weights alone, in training as in serving.
    trained = _student(smaller.layers, smaller.active_parameters, model.layers, model.active_parameters)
    making = making_of(trained, lever, life, lifecycle, market, trainer_of(lifecycle, market, request.places))
    found = msgspec.structs.replace(found, making=making)
    if served is None:
        return found
    worth = worth_of(student.id, lever, before, _served(served, calls), making, life, created=request.created)
    opportunity = opportunity_of(
        worth,
        lifecycle.horizon_months,
        risk=f"{found.quality_because}; nobody has trained it",
        surely_holds=False,
        because="",
        created=request.created,
    )
    return msgspec.structs.replace(found, opportunity=opportunity, break_even=worth.break_even)


def _student(layers: int, parameters: int, teacher_layers: int, teacher_parameters: int) -> Student:
    return Student(
        id=f"layers-{layers}",
        kind="blocks",
        blocks=layers,
        teacher_blocks=teacher_layers,
        parameters=parameters,
        teacher_parameters=teacher_parameters,
        is_trained=False,
    )


def _served(shown: DeploymentPrediction, calls: Calls) -> Served:
    it, carried = shown.deployment, shown.capacity_requests_per_s
    words = f"{counted(it.replicas, 'replica')} of {it.tensor_parallel} x {it.device}, {it.weights} weights"
    requests = None if carried is None else scaled(carried, 1 / calls.per_request, carried.source)
    return Served(words, it.replicas, shown.cost_usd_per_hour, requests)


# --- a smaller configuration -----------------------------------------------------------------------------------------------------


def half_of(model: Architecture) -> Architecture | None:
    """Return the configuration with half of its layers, of each kind as many as stay in proportion; None where a kind would be lost.

    Embeddings stay as they are. Of what is not a matrix of a network or an embedding each layer has the same.
    """
    layers = model.layers // ONE_OF
    attention = _in_proportion(model.attention, layers)
    networks = _in_proportion(model.feed_forward, layers)
    if attention is None or networks is None:
        return None
    outside = model.vocabulary * model.hidden_size * (1 if model.ties_embeddings else 2)
    of_networks, of_kept = (sum(_weights(it, model.hidden_size) for it in each) for each in (model.feed_forward, networks))
    in_layers = max(0, model.parameters - outside - of_networks)
    parameters = outside + of_kept + in_layers * layers // model.layers
    idle, idle_kept = (sum(_idle(it, model.hidden_size) for it in each) for each in (model.feed_forward, networks))
    never = max(0, model.parameters - model.active_parameters - idle)
    return msgspec.structs.replace(
        model,
        name=f"{model.name}, {counted(layers, 'layer')} of it",
        layers=layers,
        attention=attention,
        feed_forward=networks,
        parameters=parameters,
        active_parameters=max(1, parameters - idle_kept - never),
    )


def _in_proportion(kinds: tuple[LayersT, ...], layers: int) -> tuple[LayersT, ...] | None:
    """Return so many layers, of each kind its part of them and at least one."""
    if layers < len(kinds):
        return None
    every = sum(it.layers for it in kinds)
    exact = [it.layers * layers / every for it in kinds]
    counts = [max(1, int(part)) for part in exact]
    while sum(counts) != layers:
        step = 1 if sum(counts) < layers else -1
        # Who is furthest from its part gives or gets one; none is left without any.
        far = {at: step * (exact[at] - count) for at, count in enumerate(counts) if step > 0 or count > 1}
        counts[max(far, key=far.__getitem__)] += step
    return tuple(msgspec.structs.replace(it, layers=count) for it, count in zip(kinds, counts, strict=True))


def _weights(it: FeedForwardLayers, hidden_size: int) -> int:
    """Return the weights of all networks of a kind, routers among them."""
    width = it.inner_size * (it.experts or 1) + it.shared_inner_size
    return it.layers * hidden_size * (_matrices(it) * width + (it.experts or 0))


def _idle(it: FeedForwardLayers, hidden_size: int) -> int:
    """Return the weights of a kind that a token does not pass."""
    if it.experts is None or it.experts_per_token is None:
        return 0
    return it.layers * hidden_size * _matrices(it) * it.inner_size * (it.experts - it.experts_per_token)


def _matrices(it: FeedForwardLayers) -> int:
    return 3 if it.is_gated else 2
