"""The sentences of advice: its headline, its risks, what it assumes, and what load tests changed."""

from collections.abc import Sequence

import msgspec

from advisor.decide.advice import recommendation
from advisor.decide.advice.certainty import NOISY_FRACTION
from advisor.decide.advice.decision import Decision
from advisor.decide.distillation.students import described
from advisor.decide.queue.day import HOURS_PER_DAY, SECONDS_PER_DAY
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.in_server import SERVER_FACTOR
from advisor.decide.service.measured import is_projected
from advisor.decide.service.projected import measure_there
from advisor.quality_floor import changes, loss_format
from advisor.schema.advice import BUSY_FRACTION, Advice, Certainty, LoadTest, Prediction
from advisor.schema.lifetime import Outlook
from advisor.schema.profile import Calibration, Site
from advisor.schema.record import Estimate, Exclusion
from advisor.units import counted, percent, rate, seconds, usd
from advisor.visits import BUSY, fault_of

SHOWN_FRACTION = 0.05  # what stalls add to the latency; less is not worth a word
DOUBTED_RATIO = 100.0  # of the target and a single call, either way: then it may be in another unit than was meant
NEXT_UNIT = 1000.0  # s, ms and µs
LEAST_MEANT_S = 1e-3  # nobody promises microseconds
UNTRIED = "predicted from single calls and a simulated queue, not yet load-tested"


def headline(decision: Decision, home: SiteUnderLoad) -> str:
    """Return the decision in one sentence; `home` is where today's configuration runs."""
    recommended, baseline, miss = decision.recommended, decision.baseline, decision.miss
    slo = home.workload.slo
    promise = f"p{100 * slo.quantile:g} within {seconds(slo.latency_s)}"
    asked = rate(home.demand.requests_per_s)
    if decision.known is not None and decision.is_open:
        return _not_known(decision, decision.known, f"{promise} at {asked}")
    if miss is not None and miss.meets_slo:
        return f"{promise} at {asked} takes more than {MAX_REPLICAS} replicas of any measured configuration"
    if recommended is None:
        reached = f"; the nearest miss can take {seconds(miss.latency_slo_s.high)}" if miss else ""
        return f"No measured configuration keeps {promise} at {asked}{reached}"
    if decision.is_kept:
        return _kept(decision, recommended, promise)
    what, cost = _what(decision, recommended), usd(recommended.cost_usd_per_hour.value)
    today = _today(decision, home)
    if not decision.today_is_given:
        return f"{what}: {cost}/h keeps {promise}" + (f"; {today}" if today else "")
    return f"{what}: {cost}/h keeps {promise}; {today}" if today else f"{what}: {cost}/h instead of {_paid(baseline)}"


def beside_levers(headline: str, decision: Decision, outlook: Outlook) -> str:
    """Return the headline; where the configuration stays but something else pays, such as how it is paid, it says so."""
    if not decision.is_kept or outlook.change_nothing is not False:
        return headline
    return f"{headline}. What does pay: {outlook.opportunities[0].title}"


def _kept(decision: Decision, recommended: Prediction, promise: str) -> str:
    searched = "cheaper" if recommended.candidate.replicas <= MAX_REPLICAS else f"on up to {MAX_REPLICAS} replicas"
    if decision.today_is_given:
        return f"Change nothing: today's configuration keeps {promise}, and nothing {searched} does"
    replicas = recommended.candidate.replicas
    on = f"{counted(replicas, 'replica')} of it keep{'' if replicas > 1 else 's'} {promise}"
    return f"Keep today's configuration: {on}, and nothing {searched} does"


def _paid(baseline: Prediction) -> str:
    return f"{usd(baseline.cost_usd_per_hour.value)}/h"


def _today(decision: Decision, home: SiteUnderLoad) -> str | None:
    """Return what today's configuration does not keep, as far as that is shown; None where it keeps its promises."""
    baseline = decision.baseline
    paid = f", at {_paid(baseline)}," if decision.today_is_given else ""
    if not baseline.meets_slo:
        does_not = "does not" if baseline.misses_slo else "is not shown to keep it"
        return f"today's configuration{paid} {does_not}"
    if not recommendation.keeps_promises(home, baseline):
        return f"today's {baseline.candidate.variant}{paid} loses more quality than allowed"
    return None


def _not_known(decision: Decision, known: Certainty, promise: str) -> str:
    """Return between which answers it is open, and the most likely one."""
    quick, slow, likely = known.quick, known.slow, decision.likely
    if likely is None:
        return f"Not known yet whether anything keeps {promise}: most likely nothing does"
    cost, replicas = usd(likely.cost_usd_per_hour.value), likely.candidate.replicas
    if decision.stalled is not None:
        on = f"{counted(replicas, 'replica')} of {likely.candidate.variant} ({cost}/h)"
        return f"Not known yet whether anything keeps {promise}: {on} would, as long as no core of the machine stands still"
    if quick is None or slow is None:
        on = counted(replicas, "replica")
        return (
            f"Not known yet whether anything keeps {promise}; most likely {on} of {likely.candidate.variant} would, for {cost}/h"
        )
    between = f"{usd(quick.usd_per_hour)} to {usd(slow.usd_per_hour)}/h"
    alike = {msgspec.structs.replace(end.candidate, replicas=1) for end in (quick, slow)}
    if {each.variant for each in alike} == {likely.candidate.variant} and len({each.hardware for each in alike}) == 1:
        least, most = quick.candidate.replicas, slow.candidate.replicas
        numbers = f"{least} to {most} replicas" if least < most else counted(least, "replica")
        return (
            f"Not known yet: {numbers} of {likely.candidate.variant} ({between}) keep {promise}; "
            f"most likely {replicas} ({cost}/h)"
        )
    on = counted(replicas, "replica")
    return f"Not known yet: {between} keep {promise}; most likely {on} of {likely.candidate.variant} ({cost}/h)"


def _what(decision: Decision, recommended: Prediction) -> str:
    """Return what to do: which variant to serve, where, in which batches, and on how many replicas where that alone changes."""
    at, today, advised = decision.at, decision.baseline.candidate, recommended.candidate
    if decision.today_is_given and msgspec.structs.replace(today, replicas=advised.replicas) == advised:
        return f"Run today's configuration on {counted(advised.replicas, 'replica')} instead of {today.replicas}"
    student = at.variants[advised.variant].student
    named = advised.variant if student is None else f"{advised.variant} (a student: {described(student)})"
    what = f"Serve {named}" if advised.variant != today.variant else "Serve the model as it is"
    where = "" if at.is_home else f" on {at.hardware} ({at.place.machine})"
    size = advised.max_batch_size
    batches = f" in batches of up to {size}" if size > 1 else ""
    return what + where + batches + ("" if decision.today_is_given else f", {counted(advised.replicas, 'replica')}")


def risks(site: SiteUnderLoad, recommended: Prediction | None) -> tuple[str, ...]:
    """Return the risks of the recommendation and of the measurements, the gravest first."""
    found = []
    if recommended is not None:
        busy = recommended.utilization_fraction.value
        if busy > BUSY_FRACTION:
            found.append(
                f"utilization is {percent(busy)}: above {percent(BUSY_FRACTION)}, small errors in service time move the p99 a lot; "
                "load-test it before relying on it"
            )
        capacity = recommended.capacity_requests_per_s
        if capacity is not None:
            room = capacity.low / site.demand.requests_per_s - 1
            holds = f"headroom: the target holds up to {rate(capacity.low)}, {percent(room)} above the stated traffic"
            may_not = f"no headroom is shown: the target may hold only up to {rate(capacity.low)}, below the stated traffic"
            found.append(holds if room >= 0 else may_not)
        smooth = recommended.latency_without_stalls_s
        if smooth is not None and recommended.latency_slo_s.value > (1 + SHOWN_FRACTION) * smooth.value:
            found.append(
                f"stalls: {recommendation.how_cores_stall(site)}; with them p{100 * site.workload.slo.quantile:g} is "
                f"{seconds(recommended.latency_slo_s.value)}, without them {seconds(smooth.value)}"
            )
        if recommended.candidate.replicas == 1:
            found.append("a single replica: its failure is an outage")
        variant = site.variants[recommended.candidate.variant]
        if variant.derived_from is not None and not variant.lossless and variant.quality is not None:
            drop, metric = variant.quality.drop, variant.quality.metric
            lost, most = map(loss_format(metric), (drop.value, drop.high))
            found.append(f"{metric} {changes(metric)} by {lost}, up to {most}, on {variant.quality.items} items")
        in_busiest = recommended.latency_busiest_s
        if in_busiest is not None:
            breaks = in_busiest.high > site.workload.slo.latency_s
            found.insert(0 if breaks else len(found), _in_busiest(site, in_busiest, breaks=breaks))
    if site.service.noise_fraction is not None and site.service.noise_fraction > NOISY_FRACTION:
        found.append(
            f"a noisy machine: the baseline, measured twice, differs from itself by {percent(site.service.noise_fraction)}"
        )
    if recommended is not None and site.ground != "measured":
        found.insert(
            0,
            f"the model was not measured on {site.hardware}; before relying on it, {measure_there(site.place.hardware)}",
        )
    if site.place.price_is_stale:
        found.append(f"its price is from {site.place.price_date}: check it before buying")
    found.append(UNTRIED)
    return tuple(found)


def of_busy_machines(sites: Sequence[Site]) -> tuple[str, ...]:
    """Return as risks that machines were busy while they were measured, and where, if there are several sites."""
    return tuple(
        f"{BUSY} while it was measured{_at(site, sites)}, as the notes say; measure again when it is quiet"
        for site in sites
        if any(note.startswith(BUSY) for note in site.notes)
    )


def questions(home: SiteUnderLoad) -> tuple[str, ...]:
    """Return what to ask back where the target and a call of the model have hardly to do with each other."""
    target_s = home.workload.slo.latency_s
    call_s = float(home.simulator.table(home.today, "value")[0, home.demand.sure_class(0.5)])
    if 1 / DOUBTED_RATIO < target_s / call_s < DOUBTED_RATIO:
        return ()
    meant_s = target_s * NEXT_UNIT if target_s < call_s else target_s / NEXT_UNIT
    way_out = (
        f"did you mean {seconds(meant_s)}?" if meant_s >= max(call_s, LEAST_MEANT_S) else "is the target meant to be that loose?"
    )
    there = " inside a server" if home.service.trial is not None or home.service.calibrations else ""
    return (f"slo.latency_s: {seconds(target_s)}, but a call takes {seconds(call_s)}{there}: {way_out}",)


def _in_busiest(site: SiteUnderLoad, at_target: Estimate, *, breaks: bool) -> str:
    """Return the latency in the busiest part of the day, which the quantile of the whole day may hide."""
    parts, slo = len(site.workload.traffic.diurnal or ()), site.workload.slo
    when = "the busiest hour" if parts == HOURS_PER_DAY else f"the busiest {seconds(SECONDS_PER_DAY / parts)}"
    return (
        f"in {when} of the day, at {rate(site.demand.busiest_requests_per_s)}, p{100 * slo.quantile:g} is {seconds(at_target.low)} "
        f"to {seconds(at_target.high)}: {'possibly over' if breaks else 'within'} the target"
    )


def not_admitted(sites: Sequence[SiteUnderLoad]) -> tuple[Exclusion, ...]:
    """Return the variants that may not be recommended, with the reason; with the site too, if the reasons differ between sites."""
    reasons: dict[str, dict[str, str]] = {}
    for site in sites:
        for name, entry in site.admissions.items():
            if not entry.admitted:
                reasons.setdefault(name, {})[site.hardware] = entry.because
    found = []
    for name, by_site in reasons.items():
        if len(set(by_site.values())) == 1:
            found.append(Exclusion(what=name, reason=next(iter(by_site.values()))))
        else:
            found.extend(Exclusion(what=f"{name} on {hardware}", reason=reason) for hardware, reason in by_site.items())
    return tuple(found)


def left_out(sites: Sequence[Site]) -> tuple[Exclusion, ...]:
    """Return what was not measured, and where, if there are several sites."""
    return tuple(
        Exclusion(what=f"{entry.what}{_at(site, sites)}", reason=entry.reason) for site in sites for entry in site.exclusions
    )


def notes(sites: Sequence[Site]) -> tuple[str, ...]:
    """Return what was noted while measuring, and where, if there are several sites."""
    return tuple(f"{note}{_at(site, sites)}" for site in sites for note in site.notes)


def _at(site: Site, sites: Sequence[Site]) -> str:
    return f" (on {site.hardware.id})" if len(sites) > 1 else ""


def assumptions(site: SiteUnderLoad) -> tuple[str, ...]:
    """Return the assumptions, a sentence each."""
    assumed = [
        _of_server(site.service.trial),
        "assumed: a replica is one machine like the profiled one, and the load balancer picks replicas at random",
    ]
    if site.workload.traffic.diurnal is not None:
        assumed.append("assumed: a queue settles within a part of the day, so a short sample of each part stands for all of it")
    if site.workload.inputs is not None and site.workload.inputs.sequence_length is not None:
        lengths = site.workload.inputs.sequence_length
        if lengths.max is None:
            assumed.append(
                f"assumed: requests longer than {lengths.p95 or lengths.p50} are cut to it; set inputs.sequence_length.max to change this"
            )
    if site.measured_lengths and not site.asked_lengths:
        length = site.measured_lengths[0]
        assumed.append(f"assumed: every request has length {length}, as measured; set inputs.sequence_length to change this")
    if any(is_projected(grid, 1, site.asked_lengths) for grid in site.grids.values()):
        assumed.append("some requests are longer or shorter than any measured length; their latencies are projected")
    if site.model.family == "decoder":
        assumed.append("one request is one forward pass over its tokens; generation token by token is not modeled")
    return tuple(assumed)


def _of_server(trial: Calibration | None) -> str:
    """Return what is assumed of service inside a server where no load test has shown it."""
    low, high = SERVER_FACTOR["low"], SERVER_FACTOR["high"]
    if trial is None:
        return (
            f"assumed without a load test: a call takes as long inside a server as in the profile, or {low:g} to {high:g} times as long, "
            "and a server adds nothing to it; there was no trial"
        )
    ratio = trial.call_ratio
    return (
        f"assumed without a load test, from a short trial of {trial.variant} inside a server: a call takes {ratio.value:.2f} times as long "
        f"there as in the profile ({min(ratio.low, low):.2f} to {max(ratio.high, high):.2f}), plus {seconds(trial.per_batch_s.value)} per "
        f"batch, {seconds(trial.per_request_s.value)} per request and {seconds(trial.wake_s.value)} to wake up"
    )


def with_load_tests(advice: Advice, tests: tuple[LoadTest, ...], *, before: Advice) -> Advice:
    """Return the advice with its load tests and the risks that they showed; `before` is the advice before the tests."""
    found = [risk for risk in advice.risks if risk != UNTRIED]
    promise = f"p{100 * advice.workload.slo.quantile:g}"
    for test in tests:
        if (fault := fault_of(test)) is not None:
            found.append(f"the load test of {test.candidate.variant} is not valid: {fault}; repeat it on a quiet machine")
        elif (
            (shown := advice.recommended or advice.likely) is not None
            and test.candidate == shown.candidate
            and not test.meets_slo
        ):
            found.insert(0, f"in the load test the {promise} was {seconds(test.latency_slo_s.value)}: the target was missed")
    return msgspec.structs.replace(
        advice, load_tests=tests, risks=tuple(found), notes=(*advice.notes, *_lessons(advice, tests, before))
    )


def _lessons(advice: Advice, tests: tuple[LoadTest, ...], before: Advice) -> tuple[str, ...]:
    """Describe what the load tests corrected."""
    lessons = []
    for test in tests:
        if test.generator_kept_up and not test.prediction_held:
            observed, expected = test.latency_slo_s, test.expected.latency_slo_s
            lessons.append(
                f"the load test of {test.candidate.variant} in batches of up to {test.candidate.max_batch_size} measured "
                f"{seconds(observed.value)} where {seconds(expected.low)} to {seconds(expected.high)} was expected; "
                "the advice was recomputed with this"
            )
    asked, now = (entry.recommended.candidate if entry.recommended else None for entry in (before, advice))
    if before.outcome == "inconclusive" != advice.outcome:
        lessons.append("the load tests settled what was not known before")
    elif asked != now:
        lessons.append("the load tests changed the recommendation")
    return tuple(lessons)
