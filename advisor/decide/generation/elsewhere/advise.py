"""Configuration + workload -> LanguageAdvice. Pure: the same records give the same advice, to the byte."""

from collections.abc import Sequence

from advisor import __version__
from advisor.decide.generation.advise import check_targets
from advisor.decide.generation.elsewhere import wording
from advisor.decide.generation.elsewhere.decision import Decision, costs_more, decide
from advisor.decide.generation.elsewhere.engine import beside_the_arguments, engine_arguments
from advisor.decide.generation.elsewhere.money import Mean, alternatives
from advisor.decide.generation.elsewhere.prediction import Predicted
from advisor.decide.generation.elsewhere.replica import Offers
from advisor.decide.generation.elsewhere.request import Calls, ElsewhereRequest, calls_of
from advisor.decide.generation.elsewhere.space import RUNNING
from advisor.decide.generation.elsewhere.speculation import by_load, choices
from advisor.decide.generation.elsewhere.steps import StepsOf
from advisor.decide.generation.summaries import kv_curve, load_curve
from advisor.decide.generation.traffic import TokenDemand
from advisor.errors import InputError
from advisor.schema.catalog import Hardware
from advisor.schema.generation import KvPoint, LoadPoint
from advisor.schema.language import ApiAlternative, Architecture, LanguageAdvice, SpeculationByLoad, SpeculationChoice
from advisor.schema.record import SCHEMA_VERSION


def advise_elsewhere(model: Architecture, request: ElsewhereRequest, steps_of: StepsOf) -> LanguageAdvice:
    """Return the advice; raise InputError if the workload asks for what the model cannot do, or for devices of which nothing is known.

    `steps_of` makes the model of a replica's steps.
    """
    check_targets(request.workload.slo)
    calls = calls_of(request.workload)
    demand = TokenDemand(calls.workload, request.recorded, context_tokens=model.context_tokens, effort=request.effort)
    drafts = choices(model, request.workload.speculation, request.acceptance)
    offers = Offers(model, request.places, demand, request.workload.slo, steps_of)
    decision = decide(offers, request, drafts if request.workload.speculation is not None else (), calls.per_request)
    if len(offers.without_ground) == len(offers.places):
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in (*request.exclusions, *offers.without_ground))
        raise InputError(
            f"hardware.allowed: nothing that is known of says how long steps take there ({reasons or 'no device has a price'})",
            hint="allow a GPU of the catalog: advisor hardware list",
        )
    return _described(decision, model, request, calls, offers, drafts)


def _described(
    decision: Decision,
    model: Architecture,
    request: ElsewhereRequest,
    calls: Calls,
    offers: Offers,
    drafts: Sequence[SpeculationChoice],
) -> LanguageAdvice:
    shown, demand = decision.shown, offers.demand
    is_advised, is_open = decision.outcome == "advice", decision.outcome == "inconclusive"
    prediction = shown.prediction if shown else None
    is_to_serve = shown if is_advised or is_open else None
    per_s = demand.requests_per_s or (prediction.times.requests_per_s.value if prediction else 1.0)
    return LanguageAdvice(
        schema_version=SCHEMA_VERSION,
        created=request.created,
        advisor_version=__version__,
        config_path=None,
        model=model,
        workload=request.workload,
        devices=_devices(offers),
        mean_requests_per_s=per_s / calls.per_request,
        outcome=decision.outcome,
        headline=wording.headline(model, decision, request.workload.slo, demand),
        recommended=prediction if is_advised else None,
        likely=prediction if is_open else None,
        next_best=decision.next_best.prediction if decision.next_best else None,
        next_best_costs_more_fraction=costs_more(shown, decision.next_best) if shown and decision.next_best else None,
        ties=tuple(tie.prediction for tie in decision.ties),
        nearest_miss=prediction if decision.outcome == "infeasible" else None,
        binding_constraint=decision.binding_constraint,
        others=tuple(other.prediction for other in decision.others),
        accepting=decision.accepting,
        speculation=_speculation(shown, drafts),
        apis=_apis(is_to_serve, request, calls, demand, per_s),
        load_curve=_load_curve(is_to_serve),
        kv_curve=_kv_curve(shown),
        engine_arguments=engine_arguments(model, prediction.deployment, demand.longest_tokens)
        if prediction and is_to_serve
        else (),
        certificate=decision.certificate,
        candidates_simulated=decision.certificate.simulated,
        confidence=request.confidence,
        max_uncertainty=request.max_uncertainty,
        because=wording.because(decision) if is_open else (),
        settled_by=wording.settled_by(decision) if is_open else (),
        risks=wording.risks(is_to_serve, demand),
        exclusions=(*request.exclusions, *decision.exclusions),
        notes=(
            *request.notes,
            *model.notes,
            *(beside_the_arguments(model, prediction.deployment) if prediction and is_to_serve else ()),
            *wording.assumptions(offers, request, calls),
        ),
    )


def _devices(offers: Offers) -> tuple[Hardware, ...]:
    return tuple(places[0].hardware for places in offers.places.values())


def _speculation(shown: Predicted | None, drafts: Sequence[SpeculationChoice]) -> tuple[SpeculationByLoad, ...]:
    """Return what each draft would gain on what is shown, by as many running requests as its cache holds."""
    if shown is None:
        return ()
    replica, running = shown.chosen.site, shown.prediction.running_requests
    most = min(max(int(shown.chosen.way.kv_tokens / replica.typical.context_tokens), 1), RUNNING[-1])
    return tuple(by_load(replica.steps, draft, replica.typical, most=most, running=running) for draft in drafts)


def _apis(
    shown: Predicted | None, request: ElsewhereRequest, calls: Calls, demand: TokenDemand, calls_per_s: float
) -> tuple[ApiAlternative, ...]:
    carried = shown.capacity.requests_per_s.value / shown.chosen.replicas if shown and shown.capacity else None
    return alternatives(
        request.apis,
        calls,
        Mean(*demand.mean_tokens),
        calls_per_s=calls_per_s,
        replica=shown.chosen.site if shown else None,
        carries=carried,
    )


def _load_curve(shown: Predicted | None) -> tuple[LoadPoint, ...]:
    return () if shown is None else load_curve(shown.chosen.site.serving, shown.chosen.way, shown.chosen.replicas)


def _kv_curve(shown: Predicted | None) -> tuple[KvPoint, ...]:
    if shown is None:
        return ()
    return kv_curve(shown.chosen.site.demand, shown.prediction.kv_bytes_per_token, shown.chosen.way.max_running_requests)
