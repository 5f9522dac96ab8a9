"""The sentences of advice on a service: what to do, what it saves, what it risks, and the headings that state an answer."""

from advisor import units
from advisor.schema.advice import BUSY_FRACTION, Advice, LoadTest, Prediction
from advisor.schema.lifetime import Opportunity
from advisor.schema.record import Estimate, Record
from advisor.tell.options import TIED, curves_shown, options, subject, today_is_given
from advisor.tell.words.figures import Figure, Format, Sentence, configuration, figure, one_replica, setting, unproven_of, written
from advisor.visits import fault_of, is_valid

NO_AXIS = "no such axis"
RISK_FREE = "No risk was found beyond the intervals given below."
RANKED_HARDWARE = (
    "The best configuration on each, ranked. Where the model was not measured on the hardware, service times are projected. The target "
    "has to hold at the upper end of the interval."
)
SERVED = (
    "Open loop: a separate process sent the requests at times fixed beforehand, and latency counts from the moment each was due. Expected "
    "is the simulation of these same requests, made before the test."
)
COMPARED = (
    "Speed-up is over the first variant, at batch size 1. Agreement compares raw outputs with those of the model as given. It is a proxy "
    "for quality and never admits a variant."
)

FOR_QUALITY = (
    "On the frontier because their loss of quality cannot be told apart from that of one which costs no more and is as fast"
)
NO_FASTER = "Not above, for within the noise they run as fast as a simpler variant"
NOT_ADMITTED = "Not above, for their quality was not shown to hold"
OFF_FRONTIER = "Not above, for no configuration of theirs was found on the frontier"


class AdviceWords(Record, frozen=True, kw_only=True):
    """The sentences of a report on a service; None and () where there is nothing to report."""

    about: str
    what_to_do: str
    what_binds: str | None
    certainty: str | None
    certainty_because: str | None
    settled_by: tuple[str, ...]
    cost_because: Sentence
    risks: tuple[str, ...]
    run: str
    predicted: Sentence
    load: str
    places: str | None
    places_because: str | None
    served: Sentence | None
    served_because: str | None
    load_tests: tuple[str, ...]  # beside those of the advice
    ties: str | None
    ties_because: str | None
    tied: tuple[Sentence, ...]
    speed_ties: str | None
    speed_tied: tuple[Sentence, ...]  # beside those of the advice
    alternatives: str
    for_quality: str | None  # which rows are on the frontier by the intervals of quality alone
    without_row: tuple[str, ...]  # why each variant that no alternative runs is not among them
    unproven: Sentence | None
    unproven_because: Sentence | None
    variants: str
    variants_because: str
    calls: str | None
    curves: str | None
    model: str
    operators: str
    fleet: str | None
    fleet_because: str | None
    pools: tuple[str, ...]
    evidence: str
    exclusions: str | None
    written: str


def advice_words(advice: Advice) -> AdviceWords:
    """Return the sentences of the report."""
    fleet, unproven, ties = advice.fleet, advice.unproven, bool(advice.ties)
    return AdviceWords(
        about=f"Serving advice for {advice.model.name}, workload {advice.workload.name}",
        what_to_do=_what_to_do(advice),
        certainty=_certainty(advice),
        certainty_because=_certainty_because(advice),
        settled_by=advice.certainty.settled_by if advice.certainty else (),
        what_binds=(advice.binding_constraint or "no single constraint could be identified")
        if advice.outcome == "infeasible"
        else None,
        cost_because=_cost_because(advice),
        risks=advice.risks or (RISK_FREE,),
        run=_run(advice),
        predicted=_predicted(advice),
        load=f"At {units.rate(advice.mean_requests_per_s)} on average; 90 % intervals in parentheses.",
        places=_places(advice) if advice.places else None,
        places_because=_places_because(advice) if advice.places else None,
        served=_served(advice) if advice.load_tests else None,
        served_because=SERVED if advice.load_tests else None,
        load_tests=tuple(_load_test(test) for test in advice.load_tests),
        ties=_ties(advice) if ties else None,
        ties_because=TIED.format("latency") if ties else None,
        tied=tuple(_tied(tie, advice) for tie in advice.ties),
        speed_ties=_speed_ties(advice) if advice.speed_ties else None,
        speed_tied=_speed_tied(advice),
        alternatives=_alternatives(advice),
        for_quality=_for_quality(advice),
        without_row=_without_row(advice),
        unproven=unproven_of(unproven.candidate.variant, unproven.cost_usd_per_hour) if unproven else None,
        unproven_because=_unproven_because(unproven, advice) if unproven else None,
        variants=_variants(advice),
        variants_because=COMPARED,
        calls=f"Call time by batch size{_at(advice, curves_shown(advice)[0].hardware)}" if advice.service_curves else None,
        curves=f"Figures of {units.counted(len(advice.service_curves), 'measured curve')}" if advice.service_curves else None,
        model=f"{advice.model.name}: {advice.model.family}, {units.count(advice.model.parameters)} parameters",
        operators=units.counted(len(advice.model.operators), "operator type"),
        fleet=f"Fleet: {fleet.name}, {units.usd_per_hour(fleet.usd_per_hour)} on average" if fleet else None,
        fleet_because=_fleet_because(advice),
        pools=_pools(advice),
        evidence=_evidence(advice),
        exclusions=f"{units.counted(len(advice.exclusions), 'option')} not considered" if advice.exclusions else None,
        written=written(advice.advisor_version),
    )


def tail(estimate: Estimate, format_: Format, utilization: Estimate | None) -> Figure:
    """Return a high quantile; near saturation only its interval, since a small error in service time moves it a lot."""
    if utilization is None or utilization.value <= BUSY_FRACTION:
        return figure(estimate, format_)
    shown = units.ends(estimate.low, estimate.high, format_)
    return Figure(shown=shown, basis=estimate.basis, source=estimate.source)


def target_of(advice: Advice) -> str:
    """Return the target of the latency: "50 ms"."""
    return units.seconds(advice.workload.slo.latency_s)


def quantile_of(advice: Advice) -> str:
    """Return the quantile that the target is about: "p99"."""
    return units.quantile(advice.workload.slo.quantile)


# --- the decision ----------------------------------------------------------------------------------------------------------


def _what_to_do(advice: Advice) -> str:
    if advice.outcome == "change" and advice.recommended is not None:
        return f"Serve {configuration(advice.recommended.candidate)}."
    if advice.outcome == "keep" and advice.recommended is not None:
        kept = configuration(advice.recommended.candidate)
        return f"Change nothing. Today: {kept}." if today_is_given(advice) else f"Keep today's configuration: {kept}."
    if advice.outcome == "inconclusive":
        likely = (
            f"most likely, {configuration(advice.likely.candidate)}" if advice.likely else "most likely, nothing keeps the target"
        )
        return f"Nothing to approve yet: {likely}."
    return f"Nothing to approve: no configuration that was searched keeps {quantile_of(advice)} within {target_of(advice)}."


def _certainty(advice: Advice) -> str | None:
    known = advice.certainty
    if known is None or known.quick is None:
        return None
    if known.factor is None:
        return "Whether anything keeps the target depends on how long calls really take"
    if known.factor == 1.0:
        return "The cost is the same at both ends of the service times"
    within = "within" if known.factor <= known.max_uncertainty else "beyond"
    return f"The cost is known to a factor of {known.factor:.3g}, {within} the {known.max_uncertainty:.3g} that is accepted"


def _certainty_because(advice: Advice) -> str | None:
    known = advice.certainty
    if known is None or known.quick is None:
        return None
    if not known.is_settled:
        return "A recommendation has to keep the target at the slow end. It is made once the ends agree well enough. This would settle it:"
    if known.factor is not None and known.factor > known.max_uncertainty:
        return "At neither end would a change be worth its effort."
    return "The recommendation keeps the target at the slow end."


def _best_lever(advice: Advice) -> Opportunity | None:
    """Return the change of what is paid that is worth most, where one is weighed against its effort and pays."""
    outlook = advice.outlook
    if outlook is None or outlook.change_nothing is not False or not outlook.opportunities[0].pays:
        return None
    return outlook.opportunities[0]


def _cost_because(advice: Advice) -> Sentence:
    """Return what explains the cost where it is not compared with today's, or stays; nothing where the difference speaks for itself."""
    if advice.recommended is None or advice.outcome == "inconclusive":
        return ()
    if not today_is_given(advice):
        return _one_replica(advice)
    if advice.outcome != "keep":
        return ()
    best = _best_lever(advice)
    return (
        "No candidate that keeps the SLO and the quality floor is cheap enough, against today's ",
        figure(advice.baseline.cost_usd_per_hour, units.usd_per_hour),
        f", to be worth the change.{f' One other thing pays, below: {best.title}.' if best else ''}",
    )


def _one_replica(advice: Advice) -> Sentence:
    """Return what one replica carries beside one of today's configuration, and what that would need: today's number is not known."""
    said: Sentence = ()
    each = advice.one_replica
    if each is not None and advice.outcome == "change":
        ours, theirs = (figure(it, units.rate) for it in (each.recommended_requests_per_s, each.baseline_requests_per_s))
        said = ("Within the target, one replica carries ", ours, "; one of today's configuration ", theirs, ". ")
    if not advice.baseline.meets_slo:
        missed = (
            "misses the target on any number of replicas" if advice.baseline.misses_slo else "is not shown to keep the target"
        )
        return (*said, f"Today's configuration {missed}.")
    needed = figure(advice.baseline.cost_usd_per_hour, units.usd_per_hour)
    replicas = units.counted(advice.baseline.candidate.replicas, "replica")
    return (*said, f"Today's configuration would need {replicas}, an estimate: ", needed, ".")


def _run(advice: Advice) -> str:
    shown = subject(advice).candidate
    verb = {"change": "Run", "keep": "Keep running", "inconclusive": "Most likely: run" if advice.likely else "Today runs"}.get(
        advice.outcome, "The nearest miss runs" if advice.nearest_miss else "Today runs"
    )
    return f"{verb} {shown.variant} with {setting(shown.instances, shown.intra_op_num_threads)}"


def _predicted(advice: Advice) -> Sentence:
    shown = subject(advice)
    whose = "The" if advice.recommended else "Most likely: the" if advice.likely else None
    whose = whose or ("Nearest miss: the" if advice.nearest_miss else "Today: the")
    latency = tail(shown.latency_slo_s, units.seconds, shown.utilization_fraction)
    return (f"{whose} {quantile_of(advice)} is predicted at ", latency, f", target {target_of(advice)}")


# --- hardware, load tests, ties --------------------------------------------------------------------------------------------


def _places(advice: Advice) -> str:
    kept = sum(place.prediction.meets_slo for place in advice.places)
    return f"{kept} of {units.counted(len(advice.places), 'kind')} of hardware keep{'s' if kept == 1 else ''} the target"


def _places_because(advice: Advice) -> str:
    is_cheaper = any(
        place.prediction.meets_slo and place.prediction.cost_usd_per_hour.value < advice.baseline.cost_usd_per_hour.value
        for place in advice.places
    )
    if advice.outcome != "keep" or not today_is_given(advice) or not is_cheaper:
        return RANKED_HARDWARE
    return f"{RANKED_HARDWARE} What is cheaper than today's is a change, fewer replicas too, and takes more work than it saves."


def _served(advice: Advice) -> Sentence:
    mine = [test for test in advice.load_tests if test.candidate == subject(advice).candidate]
    if not mine:
        return ("Other configurations were load-tested, not this one",)
    latency = figure(mine[0].latency_slo_s, units.seconds)
    said = ("kept" if mine[0].meets_slo else "missed") + ("" if is_valid(mine[0]) else ", but the test is not valid")
    return (f"In the load test the {quantile_of(advice)} was ", latency, f": target {said}")


def _load_test(test: LoadTest) -> str:
    fault = fault_of(test)
    return (
        f"{configuration(test.candidate)}: {test.requests:,} requests at {units.rate(test.offered_requests_per_s)} to one replica."
        f"{'' if fault is None else f' Not valid: {fault}.'}"
    )


def _ties(advice: Advice) -> str:
    at_least = "At least " if advice.more_ties else ""
    return f"{at_least}{units.counted(len(advice.ties), 'other configuration')} cannot be told apart from it"


def _tied(tie: Prediction, advice: Advice) -> Sentence:
    cost = figure(tie.cost_usd_per_hour, units.usd_per_hour)
    return (f"{configuration(tie.candidate)}: {quantile_of(advice)} ", figure(tie.latency_slo_s, units.seconds), " for ", cost)


def _speed_ties(advice: Advice) -> str:
    return f"{units.counted(len(advice.speed_ties), 'variant')} not measurably faster than a simpler one"


def _speed_tied(advice: Advice) -> tuple[Sentence, ...]:
    return tuple(
        (
            f"{tie.variant} against {tie.simpler}: ",
            figure(tie.speedup, units.ratio),
            f". Differences up to {units.percent(tie.noise_fraction)} are noise on this machine, so {tie.simpler} is kept.",
        )
        for tie in advice.speed_ties
    )


# --- alternatives ----------------------------------------------------------------------------------------------------------


def _alternatives(advice: Advice) -> str:
    if advice.frontier:
        found = units.counted(len(advice.frontier), "configuration")
        beside = sum(not option.on_frontier for option in options(advice))
        others = f", beside {units.counted(beside, 'other')}" if beside else ""
        return f"{found} on the Pareto frontier of cost, {quantile_of(advice)} and quality{others}"
    if advice.recommended is not None:
        return "No alternative was found"
    return f"No configuration that was searched keeps {target_of(advice)}, at any cost"


def _for_quality(advice: Advice) -> str | None:
    named = [it.candidate.variant for it in advice.frontier if any(_betters(other, it) for other in advice.frontier)]
    return f"{FOR_QUALITY}: {', '.join(named)}." if named else None


def _betters(one: Prediction, other: Prediction) -> bool:
    """Return whether one's figures are better than the other's in cost, latency or quality, and in none worse."""
    figures = [
        (it.cost_usd_per_hour.value, it.latency_slo_s.value, max(0.0, it.quality_drop.value))
        for it in (one, other)
        if it.quality_drop is not None
    ]
    if len(figures) < 2:
        return False
    ours, theirs = figures
    return ours != theirs and all(less <= more for less, more in zip(ours, theirs, strict=True))


def _without_row(advice: Advice) -> tuple[str, ...]:
    """Return for each reason the variants that no alternative runs for it; untrained students are told of by themselves."""
    listed = {option.prediction.candidate.variant for option in options(advice)}
    simpler = {tie.variant: tie.simpler for tie in advice.speed_ties}
    named: dict[str, list[str]] = {}
    for name in dict.fromkeys(it.id for it in advice.variants if it.student is None or it.student.is_trained):
        if name in listed:
            continue
        if name in simpler:
            because, shown = NO_FASTER, f"{name} (as {simpler[name]})"
        elif any(it.admitted for it in advice.variants if it.id == name):
            because, shown = OFF_FRONTIER, name
        else:
            because, shown = NOT_ADMITTED, name
        named.setdefault(because, []).append(shown)
    return tuple(
        f"{because}: {', '.join(named[because])}." for because in (NO_FASTER, NOT_ADMITTED, OFF_FRONTIER) if because in named
    )


def _unproven_because(unproven: Prediction, advice: Advice) -> Sentence:
    return (
        f"{configuration(unproven.candidate)} is predicted at {quantile_of(advice)} ",
        figure(unproven.latency_slo_s, units.seconds),
        ". To have it considered, add labeled examples (quality.data, quality.metric) and the drop that you accept (quality.max_drop) "
        "to the workload file, and profile again.",
    )


# --- fleet, evidence -------------------------------------------------------------------------------------------------------


def _fleet_because(advice: Advice) -> str | None:
    fleet = advice.fleet
    if fleet is None:
        return None
    return (
        f"For {units.rate(fleet.peak_requests_per_s)} at the peak, with {units.counted(fleet.spare_replicas, 'spare replica')}. "
        f"A replica's cold start takes {units.seconds(fleet.start_s)} and is paid for. "
        "Each pool was simulated without its spare replicas. List prices."
    )


def _pools(advice: Advice) -> tuple[str, ...]:
    words = []
    for pool in advice.fleet.pools if advice.fleet else ():
        lengths = f", requests of length {pool.lengths[0]} to {pool.lengths[1]}" if pool.lengths else ""
        least, most = min(pool.replicas_by_part), max(pool.replicas_by_part)
        replicas = units.counted(most, "replica") if least == most else f"{least} to {most} replicas over the day"
        words.append(
            f"{one_replica(pool.candidate, pool.hardware)}{lengths}: {replicas}, {units.usd_per_hour(pool.usd_per_hour)}"
        )
    return tuple(words)


def _variants(advice: Advice) -> str:
    every, admitted = {it.id for it in advice.variants}, {it.id for it in advice.variants if it.admitted}
    return f"{len(admitted)} of {units.counted(len(every), 'variant')} may be served"


def _at(advice: Advice, hardware: str) -> str:
    """Return where something was measured, nothing where one machine measured all."""
    return f", on {hardware}" if len(advice.sites) > 1 else ""


def _evidence(advice: Advice) -> str:
    samples = units.counted(sum(site.samples for site in advice.sites), "sample")
    took = units.seconds(sum(site.measuring_s for site in advice.sites))
    return f"{samples}, measured for {took} on {' and on '.join(site.machine.cpu for site in advice.sites)}"
