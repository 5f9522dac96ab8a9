"""Profile + workload -> GenerationAdvice. Pure: the same records give the same advice, to the byte."""

from typing import Literal

from advisor import __version__
from advisor.decide.generation import summaries, wording
from advisor.decide.generation.decision import Best, Decision, Sites, Space, baseline_today, decide, given_replicas, weigh
from advisor.decide.generation.search import Searchable, search
from advisor.decide.generation.site import GenerationRequest, GenerationUnderLoad
from advisor.decide.generation.space import of_candidate
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.service.energy import scaled
from advisor.errors import InputError
from advisor.schema.advice import Certificate, OneReplica, Saving
from advisor.schema.generation import GenerationAdvice, GenerationPrediction, GenerationProfile
from advisor.schema.record import SCHEMA_VERSION, Estimate, Exclusion
from advisor.schema.workload import TokenSlo
from advisor.units import HOURS_PER_YEAR


def advise_generation(profile: GenerationProfile, request: GenerationRequest) -> GenerationAdvice:
    """Return the advice; raise InputError if the workload asks for what the profile does not hold, or for what no machine can hold."""
    check_targets(request.workload.slo)
    sites = sites_of(profile, request)
    home = sites.home
    _check_today(home)
    spaces = [Searchable(site, space) for site in sites.allowed if (space := site.ways(site.admitted()))]
    if not spaces:
        known = (*request.exclusions, *sites.exclusions, *(entry for site in sites.allowed for entry in site.exclusions))
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in known)
        raise InputError(
            f"hardware.allowed: nothing can be served there ({reasons})", hint="allow a machine that was measured and holds it"
        )
    baseline = baseline_today(home, request.confidence)
    found = search(spaces, request.confidence)
    decision = decide(sites, spaces, found, baseline, request.confidence)
    decision = weigh(decision, spaces, request)
    return _described(decision, sites, spaces, found, profile, request)


def check_targets(slo: TokenSlo) -> None:
    """Raise InputError where none is given."""
    if slo.ttft_s is None and slo.tpot_s is None and slo.latency_s is None:
        raise InputError(
            "slo: no target: none of ttft_s, tpot_s and latency_s is given",
            hint="for example: slo: {ttft_s: 2 s, tpot_s: 150 ms}",
        )


def sites_of(profile: GenerationProfile, request: GenerationRequest) -> Sites:
    """Return the machines of a profile under the load; raise InputError where today's is none of them, or nothing was timed there."""
    measured = {site.hardware.id: site for site in profile.sites}
    if request.home.hardware.id not in measured:
        raise InputError(
            f"baseline.hardware: nothing was measured on {request.home.hardware.id!r}",
            hint=f"the profile has: {', '.join(measured)}",
        )
    model = profile.model
    demand = TokenDemand(
        request.workload, request.recorded, context_tokens=model.context_tokens, encoder=model.encoder, effort=request.effort
    )
    home = GenerationUnderLoad(measured[request.home.hardware.id], request.home, request.workload, demand)
    if not home.times:
        raise InputError(
            f"the profile holds no variant of which both prompts and decode steps were measured on {home.hardware}",
            hint="measure again: advisor profile --fresh",
        )
    allowed, exclusions = [], []
    for place in request.places:
        id_ = place.hardware.id
        if id_ == home.hardware:
            allowed.append(home)
        elif id_ in measured:
            allowed.append(GenerationUnderLoad(measured[id_], place, request.workload, demand, home=home))
        else:
            reason = "the model was not measured there: run advisor profile there, then advisor merge"
            exclusions.append(
                Exclusion(what=id_, reason=f"{reason}; its configuration alone is judged by advisor recommend config.json")
            )
    return Sites(home, tuple(allowed), tuple(exclusions))


def _check_today(home: GenerationUnderLoad) -> None:
    """Raise InputError where what runs today was not measured, or where no cache can hold the largest request."""
    today = home.today
    if today.variant not in home.variants:
        raise InputError(
            f"baseline.variant: {today.variant!r} is not in the profile", hint=f"the profile has: {', '.join(home.variants)}"
        )
    if today.setting not in home.times:
        threads = sorted(threads for name, threads in home.times if name == today.variant)
        raise InputError(
            f"baseline.intra_op_num_threads: {today.intra_op_num_threads} was not measured for {today.variant}",
            hint=f"measured: {', '.join(map(str, threads)) or 'nothing of it'}",
        )
    largest = home.times[today.setting].largest_batch
    if today.max_running_requests > largest:
        raise InputError(
            f"baseline.max_batch_size: {today.max_running_requests} requests side by side are more than {largest}, the most measured",
            hint="measure again with more running requests, or write at most that many",
        )
    too_small = {entry.what: entry.reason for entry in home.exclusions}
    if today.variant in too_small:
        raise InputError(
            f"{today.variant} on {home.hardware}: {too_small[today.variant]}",
            hint="serve it on a machine with more memory, or shorten prompts and answers (tokens.input.max, tokens.output.max)",
        )


# --- the record ----------------------------------------------------------------------------------------------------------------


def _described(
    decision: Decision,
    sites: Sites,
    spaces: list[Space],
    found: Best,
    profile: GenerationProfile,
    request: GenerationRequest,
) -> GenerationAdvice:
    home, shown, baseline = sites.home, decision.shown, decision.baseline
    at = decision.at
    drawn = of_candidate((shown or baseline).candidate)
    curve_at, replicas = (at, shown.candidate.replicas) if shown else (home, baseline.candidate.replicas)
    return GenerationAdvice(
        schema_version=SCHEMA_VERSION,
        created=request.created,
        advisor_version=__version__,
        profile_sha256=request.profile_sha256,
        profile_path=request.profile_path,
        model=profile.model,
        sites=tuple(summaries.site_facts(site) for site in profile.sites),
        workload=request.workload,
        mean_requests_per_s=home.demand.requests_per_s or (shown or baseline).times.requests_per_s.value,
        outcome=_outcome(decision),
        headline=wording.headline(decision, home),
        recommended=decision.recommended,
        likely=decision.likely,
        baseline=baseline,
        saving=_saving(decision, home),
        one_replica=_one_replica(decision),
        ties=decision.ties,
        unproven=decision.unproven,
        nearest_miss=decision.miss,
        binding_constraint=decision.binding_constraint,
        others=summaries.others([place.site for place in spaces], shown, request.confidence, given_replicas(home)),
        variants=summaries.variant_rows(home),
        load_curve=summaries.load_curve(curve_at.serving, drawn, replicas),
        kv_curve=summaries.kv_curve(
            curve_at.demand, curve_at.variants[drawn.variant].kv_bytes_per_token, drawn.max_running_requests
        ),
        speculation=summaries.speculation(curve_at, shown),
        certificate=_certificate(spaces, found),
        candidates_simulated=found.simulated,
        replays=tuple(replay for site in profile.sites for replay in site.replays),
        confidence=request.confidence,
        max_uncertainty=request.max_uncertainty,
        because=wording.because(decision, [place.site for place in spaces]) if decision.is_open else (),
        settled_by=wording.settled_by(decision) if decision.is_open else (),
        risks=wording.risks(at, shown),
        exclusions=_exclusions(sites, profile, request),
        notes=(*request.notes, *(note for site in profile.sites for note in site.notes), *wording.assumptions(home)),
    )


def _exclusions(sites: Sites, profile: GenerationProfile, request: GenerationRequest) -> tuple[Exclusion, ...]:
    every = [sites.home, *(site for site in sites.allowed if site is not sites.home)]
    return (
        *(entry for site in profile.sites for entry in site.exclusions),
        *wording.not_admitted(every),
        *wording.as_fast_as_simpler(every),
        *(entry for site in every for entry in site.exclusions),
        *request.exclusions,
        *sites.exclusions,
        *wording.without_use(request.workload),
        *wording.whole_inputs(profile.model),
    )


def _outcome(decision: Decision) -> Literal["change", "keep", "infeasible", "inconclusive"]:
    if decision.is_open:
        return "inconclusive"
    return "infeasible" if decision.recommended is None else "keep" if decision.is_kept else "change"


def _certificate(spaces: list[Space], found: Best) -> Certificate:
    left_out = [summaries.not_searched(place.site) for place in spaces]
    by_quality, by_tie = (sum(column) for column in zip(*left_out, strict=True))
    return Certificate(
        candidates=found.candidates + by_quality + by_tie,
        cut_by_bound=found.cut_by_bound,
        cut_by_quality=by_quality,
        cut_by_tie=by_tie,
        cut_by_cost=found.cut_by_cost,
        simulated=found.simulated,
        regret_usd_per_hour=0.0,
    )


def _saving(decision: Decision, home: GenerationUnderLoad) -> Saving | None:
    """Return what the recommendation saves; None where there is none, today's cost is not known, or what runs today breaks its promises."""
    baseline, recommended = decision.baseline, decision.recommended
    keeps = baseline.meets_slo and baseline.candidate.variant in home.admitted()
    if recommended is None or not decision.today_is_given or not (decision.is_kept or keeps):
        return None
    before, after = baseline.cost_usd_per_hour, recommended.cost_usd_per_hour
    low, value, high = before.low - after.high, before.value - after.value, before.high - after.low

    def money(hours: float) -> Estimate:
        source = "difference of the two costs per hour, at today's traffic"
        return Estimate(value=value * hours, low=low * hours, high=high * hours, basis=after.basis, source=source)

    return Saving(usd_per_hour=money(1.0), usd_per_year=money(HOURS_PER_YEAR), fraction=value / before.value)


def _one_replica(decision: Decision) -> OneReplica | None:
    """Return what one replica of the recommended and of today's configuration carry; None where today's cost says it better."""
    shown = decision.shown
    if decision.today_is_given or shown is None:
        return None
    ours, theirs = (_of_one(prediction) for prediction in (shown, decision.baseline))
    if ours is None or theirs is None or theirs.low <= 0:
        return None
    source = "one capacity over the other"
    return OneReplica(
        recommended_requests_per_s=ours,
        baseline_requests_per_s=theirs,
        ratio=Estimate(
            value=ours.value / theirs.value,
            low=ours.low / theirs.high,
            high=ours.high / theirs.low,
            basis="simulated",
            source=source,
        ),
    )


def _of_one(prediction: GenerationPrediction) -> Estimate | None:
    carried, replicas = prediction.capacity_requests_per_s, prediction.candidate.replicas
    return None if carried is None else scaled(carried, 1 / replicas, f"{carried.source}; of one replica")
