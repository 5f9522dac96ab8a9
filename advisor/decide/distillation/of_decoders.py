"""The students of a decoder: what serving would cost with each of them, and what is known, or assumed, of what they keep of the model."""

from collections.abc import Sequence

import msgspec

from advisor.decide.distillation.retention import retention_of
from advisor.decide.distillation.students import described
from advisor.decide.generation.advise import sites_of
from advisor.decide.generation.decision import Sites, given_replicas
from advisor.decide.generation.prediction import predict
from advisor.decide.generation.search import Searchable, search
from advisor.decide.generation.site import GenerationRequest
from advisor.schema.catalog import DistilledPair
from advisor.schema.distillation import IF_IT_HOLDS, Student
from advisor.schema.generation import DecoderStudent, GenerationAdvice, GenerationPrediction, GenerationProfile, GenerationVariant
from advisor.schema.record import Estimate


def with_students(
    advice: GenerationAdvice, profile: GenerationProfile, request: GenerationRequest, pairs: Sequence[DistilledPair]
) -> GenerationAdvice:
    """Return the advice with the students that were profiled where today's configuration runs, each by the cheapest of its forms."""
    home = next(site for site in profile.sites if site.hardware.id == request.home.hardware.id)
    by_id: dict[str, list[GenerationVariant]] = {}
    for variant in home.variants:
        if variant.student is not None:
            by_id.setdefault(variant.student.id, []).append(variant)
    if not by_id:
        return advice
    sites = sites_of(profile, request)
    shown = advice.recommended or advice.likely
    rows = tuple(_row(forms, sites, request, pairs, shown) for forms in by_id.values())
    return msgspec.structs.replace(advice, students=rows)


def _row(
    forms: Sequence[GenerationVariant],
    sites: Sites,
    request: GenerationRequest,
    pairs: Sequence[DistilledPair],
    shown: GenerationPrediction | None,
) -> DecoderStudent:
    first = forms[0]
    student = first.student
    assert student is not None
    names = {form.id for form in forms}
    prediction = _cheapest(names if first.is_untrained else names & sites.home.admitted(), sites, request)
    kept = retention_of(student, "decoder", pairs) if first.is_untrained else None
    return DecoderStudent(
        student=student,
        prediction=prediction,
        saved_fraction=None if prediction is None or shown is None else _saved(shown, prediction),
        retention=kept if isinstance(kept, Estimate) else None,
        quality=None if first.is_untrained else next((form.quality for form in forms if form.quality is not None), None),
        because=_because(student, kept, sites, first),
    )


def _cheapest(names: set[str], sites: Sites, request: GenerationRequest) -> GenerationPrediction | None:
    """Return the cheapest that keeps the targets with one of these variants, wherever it may run."""
    spaces = [Searchable(site, space) for site in sites.allowed if (space := site.ways(names))]
    found = search(spaces, request.confidence, enough=1) if spaces else None
    if found is None or not found.cheapest:
        return None
    chosen = found.cheapest[0]
    return predict(chosen.site, chosen.way, chosen.replicas, today_replicas=given_replicas(sites.home))


def _saved(shown: GenerationPrediction, other: GenerationPrediction) -> Estimate:
    """Return what part of the cost without a student it saves; both are of the same traffic on the same prices."""
    before, after = shown.cost_usd_per_hour, other.cost_usd_per_hour
    low, value, high = 1 - after.high / before.low, 1 - after.value / before.value, 1 - after.low / before.high
    source = "one less its cost of an hour over that without it"
    return Estimate(value=value, low=min(low, value), high=max(high, value), basis=after.basis, source=source)


def _because(student: Student, kept: Estimate | str | None, sites: Sites, first: GenerationVariant) -> str:
    part = described(student)
    if kept is None:
        return f"{part}, trained: {sites.home.admissions[first.id].because}"
    if isinstance(kept, str):
        return f"{part}, not trained: {kept}"
    return f"{part}, not trained: what it keeps is assumed, {IF_IT_HOLDS}: {kept.source}"
