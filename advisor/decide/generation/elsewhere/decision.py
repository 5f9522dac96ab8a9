"""What is advised of all that may be had, how far that is known, and what comes next: on other devices, in lower precisions."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from advisor.decide.generation.decision import Ends, constraint, ends, nearest, overlap
from advisor.decide.generation.elsewhere.prediction import Predicted, predict
from advisor.decide.generation.elsewhere.replica import Offers, Replica
from advisor.decide.generation.elsewhere.request import ElsewhereRequest
from advisor.decide.generation.elsewhere.space import LOWER, Way
from advisor.decide.generation.search import ROUNDING, Chosen, Found, Searchable, count_candidates, search
from advisor.schema.advice import Certificate
from advisor.schema.language import Accepting, SpeculationChoice
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import LowerPrecision

Space = Searchable[Replica, Way]
Best = Found[Replica, Way]
MAX_TIES = 3


class Decision(NamedTuple):
    """What is recommended, or most likely, or comes nearest; None where nothing could be simulated."""

    outcome: Literal["advice", "infeasible", "inconclusive"]
    certificate: Certificate
    shown: Predicted | None = None
    next_best: Predicted | None = None
    ties: tuple[Predicted, ...] = ()
    others: tuple[Predicted, ...] = ()
    accepting: tuple[Accepting, ...] = ()
    binding_constraint: str | None = None
    quick_usd: float | None = None  # what the cheapest costs at the quick end of the steps; None: nothing keeps the targets
    slow_usd: float | None = None
    replicas_open: tuple[int, int] | None = (
        None  # only how many of the shown replicas it takes is not known: from so many to so many
    )
    exclusions: tuple[Exclusion, ...] = ()


def spaces_of(replicas: Sequence[Replica]) -> list[Space]:
    """Return what is searched."""
    return [Searchable(replica, replica.space) for replica in replicas]


def decide(offers: Offers, request: ElsewhereRequest, drafts: Sequence[SpeculationChoice], calls_per_request: float) -> Decision:
    """Return the decision; each device is searched by itself, so that the cheapest of every other one is known as well."""
    spaces = spaces_of(offers.replicas(request.accepted, drafts))
    exclusions = offers.exclusions
    by_device = {
        device: search([space for space in spaces if space.site.setting.device == device], request.confidence)
        for device in offers.places
    }
    certificate = _certificate(by_device, _not_accepted(offers, request.accepted, drafts))
    start = Decision("infeasible", certificate, exclusions=exclusions)
    if not spaces:
        why = "; ".join(f"{entry.what}: {entry.reason}" for entry in exclusions)
        return start._replace(binding_constraint=_or_quality(why, offers, request, drafts))
    best = min(by_device.values(), key=lambda found: found.usd_per_hour)
    slow_usd = best.usd_per_hour
    far = ends(spaces, slow_usd)
    if far.quick_usd * request.max_uncertainty < slow_usd:
        likely = (far.likely.cheapest or best.cheapest or (None,))[0]
        others = _others(by_device, None if likely is None else likely.site, calls_per_request)
        # What surely keeps the targets is the next best of what most likely does; where that is one, the next device is.
        sure = predict(best.cheapest[0], calls_per_request) if best.cheapest and best.cheapest[0] != likely else None
        return start._replace(
            outcome="inconclusive",
            replicas_open=_replicas_open(best, far),
            shown=None if likely is None else predict(likely, calls_per_request, with_capacity=True),
            next_best=sure or next(iter(others), None),
            others=others,
            quick_usd=far.quick_usd,
            slow_usd=None if math.isinf(slow_usd) else slow_usd,
        )
    if not best.cheapest:
        miss = predict(nearest(spaces), calls_per_request)
        why = constraint(miss.chosen.site.serving, miss.chosen.way, miss.prediction.times)
        return start._replace(shown=miss, binding_constraint=_or_quality(why, offers, request, drafts))
    first, *rest = best.cheapest
    shown = predict(first, calls_per_request, with_capacity=True)
    others = _others(by_device, first.site, calls_per_request)
    return start._replace(
        outcome="advice",
        shown=shown,
        next_best=_next_best(spaces, first, others, request.confidence, calls_per_request),
        ties=_ties(shown, rest, calls_per_request),
        others=others,
        accepting=_accepting(offers, request, drafts, shown, calls_per_request),
    )


def _replicas_open(slow: Best, far: Ends[Replica, Way]) -> tuple[int, int] | None:
    """Return between which numbers of replicas the answer lies where all ends of it are of the same ones, None where they are not."""
    found = [end.cheapest[0] for end in (far.quick, far.likely, slow) if end.cheapest]
    if not slow.cheapest or len({chosen.site.setting for chosen in found}) > 1:
        return None
    counts = [chosen.replicas for chosen in found]
    return min(counts), max(counts)


def _others(by_device: Mapping[str, Best], shown: Replica | None, calls_per_request: float) -> tuple[Predicted, ...]:
    """Return the cheapest that keeps the targets on each other device, cheapest first."""
    rest = (found.cheapest[0] for device, found in by_device.items() if found.cheapest)
    elsewhere = [chosen for chosen in rest if shown is None or chosen.site.setting.device != shown.setting.device]
    return tuple(predict(chosen, calls_per_request) for chosen in sorted(elsewhere, key=lambda chosen: chosen.usd_per_hour))


def _next_best(
    spaces: Sequence[Space], first: Chosen[Replica, Way], others: Sequence[Predicted], confidence: float, calls_per_request: float
) -> Predicted | None:
    """Return the cheapest on another device or at another degree, None where nothing else keeps the targets."""
    ours = first.site.setting
    split = [
        space
        for space in spaces
        if space.site.setting.device == ours.device and space.site.setting.tensor_parallel != ours.tensor_parallel
    ]
    on_device = search(split, confidence, enough=1).cheapest
    other = others[0] if others else None
    if on_device and (other is None or on_device[0].usd_per_hour < other.chosen.usd_per_hour):
        return predict(on_device[0], calls_per_request)
    return other


def _ties(shown: Predicted, rest: Sequence[Chosen[Replica, Way]], calls_per_request: float) -> tuple[Predicted, ...]:
    """Return what costs the same and cannot be told apart by its times: of other replicas, for a batch is set at any time."""
    first = {chosen.site.setting: chosen for chosen in reversed(rest) if chosen.site.setting != shown.chosen.site.setting}
    found = (predict(chosen, calls_per_request) for chosen in list(reversed(first.values()))[:MAX_TIES])
    return tuple(tie for tie in found if overlap(tie.prediction.times, shown.prediction.times))


# --- lower precisions ----------------------------------------------------------------------------------------------------------


def _beyond(
    offers: Offers, accepted: Sequence[LowerPrecision], name: LowerPrecision, drafts: Sequence[SpeculationChoice]
) -> list[Replica]:
    """Return the replicas that accepting one more precision would add."""
    known = {replica.setting for replica in offers.replicas(accepted, drafts)}
    return [replica for replica in offers.replicas((*accepted, name), drafts) if replica.setting not in known]


def _not_accepted(offers: Offers, accepted: Sequence[LowerPrecision], drafts: Sequence[SpeculationChoice]) -> int:
    """Return how many candidates are left out, for nobody accepted their precision."""
    beyond = (replica for name in LOWER if name not in accepted for replica in _beyond(offers, accepted, name, drafts))
    return sum(count_candidates(replica, replica.space) for replica in beyond)


def _accepting(
    offers: Offers,
    request: ElsewhereRequest,
    drafts: Sequence[SpeculationChoice],
    shown: Predicted,
    calls_per_request: float,
) -> tuple[Accepting, ...]:
    """Return what lower precisions would save, each by itself, the largest saving first."""
    found = []
    for name in LOWER:
        if name in request.accepted:
            continue
        spaces = spaces_of(_beyond(offers, request.accepted, name, drafts))
        best = search(spaces, request.confidence, enough=1, below_usd_per_hour=shown.chosen.usd_per_hour * (1 - ROUNDING))
        if best.cheapest:
            other = predict(best.cheapest[0], calls_per_request).prediction
            before, after = shown.prediction.cost_usd_per_month, other.cost_usd_per_month
            saving = Estimate(
                value=before.value - after.value,
                low=before.low - after.high,
                high=before.high - after.low,
                basis="projected",
                source="difference of the two costs per month",
            )
            kind = other.deployment
            found.append(Accepting(weights=kind.weights, kv=kind.kv, prediction=other, saving_usd_per_month=saving))
    return tuple(sorted(found, key=lambda entry: -entry.saving_usd_per_month.value))


def _or_quality(why: str, offers: Offers, request: ElsewhereRequest, drafts: Sequence[SpeculationChoice]) -> str:
    """Return what keeps the nearest miss from the targets, or that a lower precision would keep them."""
    for name in LOWER:
        if name not in request.accepted:
            best = search(spaces_of(_beyond(offers, request.accepted, name, drafts)), request.confidence, enough=1)
            if best.cheapest:
                chosen = best.cheapest[0]
                return (
                    f"quality: in {name} {chosen.replicas} x {chosen.site.setting.tensor_parallel} {chosen.site.setting.device} would keep "
                    f"the targets, after you measured what it loses: quality: {{accept: [{name}]}}; as it is, {why}"
                )
    return why


def costs_more(shown: Predicted, other: Predicted) -> Estimate:
    """Return by what fraction another deployment costs more: where steps are quick it needs fewer replicas, and so do we."""
    ours, theirs = shown.prediction.cost_usd_per_hour, other.prediction.cost_usd_per_hour
    more = [getattr(theirs, end) / getattr(ours, end) - 1 for end in ("value", "low", "high")]
    if shown.chosen.site is other.chosen.site:
        # More of the same replicas cost no less, in whatever way they batch.
        more = [max(each, 0.0) for each in more]
    return Estimate(
        value=more[0],
        low=min(more),
        high=max(more),
        basis="projected",
        source="one cost per hour over the other, where steps are as is most likely, where all are quick and where all are slow",
    )


def _certificate(by_device: Mapping[str, Best], by_quality: int) -> Certificate:
    found = by_device.values()
    return Certificate(
        candidates=sum(each.candidates for each in found) + by_quality,
        cut_by_bound=sum(each.cut_by_bound for each in found),
        cut_by_quality=by_quality,
        cut_by_tie=0,
        cut_by_cost=sum(each.cut_by_cost for each in found),
        simulated=sum(each.simulated for each in found),
        regret_usd_per_hour=0.0,
    )
