"""What advice says in words: its headline, its risks, what it assumes, and what load tests taught."""

from collections.abc import Sequence

import msgspec

from advisor.decide.advice import recommendation
from advisor.decide.advice.decision import Decision
from advisor.decide.queue.day import HOURS_PER_DAY, SECONDS_PER_DAY
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.simulator import SERVER_FACTOR
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.measured import is_projected
from advisor.decide.service.projected import measure_there
from advisor.quality_floor import changes
from advisor.schema.advice import BUSY_FRACTION, Advice, LoadTest, Prediction
from advisor.schema.profile import Site
from advisor.schema.record import Estimate, Exclusion
from advisor.units import percent, rate, seconds, usd

NOISY_FRACTION = 0.1
UNTRIED = "predicted from single calls and a simulated queue, not yet replayed under real load"


def headline(decision: Decision, home: SiteUnderLoad) -> str:
    """Return the answer in one sentence; `home` is where today's configuration runs."""
    recommended, baseline, miss = decision.recommended, decision.baseline, decision.miss
    slo = home.workload.slo
    promise = f"p{100 * slo.quantile:g} within {seconds(slo.latency_s)}"
    asked = rate(home.demand.requests_per_s)
    if miss is not None and miss.meets_slo:
        return f"{promise} at {asked} takes more than {MAX_REPLICAS} replicas of anything that was measured"
    if recommended is None:
        reached = f", the nearest can take {seconds(miss.latency_slo_s.high)}" if miss else ""
        return f"Nothing that was measured keeps {promise} at {asked}{reached}"
    if decision.is_kept:
        searched = "cheaper" if recommended.candidate.replicas <= MAX_REPLICAS else f"on up to {MAX_REPLICAS} replicas"
        return f"Change nothing: what runs today keeps {promise} and nothing {searched} does"
    what = _what(decision.at, recommended, baseline)
    cost, before = recommended.cost_usd_per_hour.value, baseline.cost_usd_per_hour.value
    if not baseline.meets_slo:
        return f"{what}: {usd(cost)}/h keeps {promise}; today's configuration, at {usd(before)}/h, does not"
    if not recommendation.keeps_promises(home, baseline):
        return f"{what}: {usd(cost)}/h; today's {baseline.candidate.variant}, at {usd(before)}/h, loses more quality than allowed"
    least, _, most = decision.costs_today
    if least < most:
        return f"{what}: {usd(cost)}/h; what runs today would need {usd(least)} to {usd(most)}/h"
    return f"{what}: {usd(cost)}/h instead of {usd(before)}/h"


def _what(at: SiteUnderLoad, recommended: Prediction, baseline: Prediction) -> str:
    """Return what to do: which variant to serve, where, and in which batches."""
    is_other = recommended.candidate.variant != baseline.candidate.variant
    what = f"Serve {recommended.candidate.variant}" if is_other else "Serve the model as it is"
    where = "" if at.is_home else f" on {at.hardware} ({at.place.machine})"
    size = recommended.candidate.max_batch_size
    return what + where + (f" in batches of up to {size}" if size > 1 else "")


def risks(site: SiteUnderLoad, recommended: Prediction | None) -> tuple[str, ...]:
    """Return what may go wrong with the recommendation, or with the measurements, the gravest first."""
    said = []
    if recommended is not None:
        busy = recommended.utilization_fraction.value
        if busy > BUSY_FRACTION:
            said.append(
                f"servers are {percent(busy)} busy: beyond {percent(BUSY_FRACTION)} small errors in service time move p99 a lot; "
                "replay under real load before relying on it"
            )
        capacity = recommended.capacity_requests_per_s
        if capacity is not None:
            room = capacity.low / site.demand.requests_per_s - 1
            said.append(f"the target holds up to {rate(capacity.low)}, {percent(max(room, 0.0))} above the stated traffic")
        if recommended.candidate.replicas == 1:
            said.append("a single replica: its failure is an outage")
        variant = site.variants[recommended.candidate.variant]
        if variant.derived_from is not None and not variant.lossless and variant.quality is not None:
            drop = variant.quality.drop
            said.append(
                f"{variant.quality.metric} {changes(variant.quality.metric)} by {percent(drop.value)}, up to {percent(drop.high)}, "
                f"on {variant.quality.items} items"
            )
        in_busiest = recommended.latency_busiest_s
        if in_busiest is not None:
            breaks = in_busiest.high > site.workload.slo.latency_s
            said.insert(0 if breaks else len(said), _in_busiest(site, in_busiest, breaks=breaks))
    if site.service.noise_fraction is not None and site.service.noise_fraction > NOISY_FRACTION:
        said.append(f"a noisy machine: the baseline differs from itself by {percent(site.service.noise_fraction)}")
    if recommended is not None and site.ground != "measured":
        said.insert(
            0,
            f"nobody measured the model on {site.hardware}; before relying on it, {measure_there(site.place.hardware)}",
        )
    if site.place.price_is_stale:
        said.append(f"its price is of {site.place.price_date}: ask again before buying")
    said.append(UNTRIED)
    return tuple(said)


def _in_busiest(site: SiteUnderLoad, at_target: Estimate, *, breaks: bool) -> str:
    """Return what the latency is in the busiest part of the day, which the quantile of the whole day may hide."""
    parts, slo = len(site.workload.traffic.diurnal or ()), site.workload.slo
    when = "the busiest hour" if parts == HOURS_PER_DAY else f"the busiest {seconds(SECONDS_PER_DAY / parts)}"
    return (
        f"in {when} of the day, at {rate(site.demand.busiest_requests_per_s)}, p{100 * slo.quantile:g} is {seconds(at_target.low)} "
        f"to {seconds(at_target.high)}: {'not surely ' if breaks else ''}within the target"
    )


def not_admitted(sites: Sequence[SiteUnderLoad]) -> tuple[Exclusion, ...]:
    """Return the variants that may not be advised, with the reason, and where it is not the same everywhere with the site."""
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
    """Return what was taken for granted, each in a sentence."""
    low, high = SERVER_FACTOR["low"], SERVER_FACTOR["high"]
    said = [
        f"assumed where no load test has shown it: a call may take {low:g} to {high:g} times as long inside a server as in the profile",
        "assumed: a replica is one machine like the profiled one, and the load balancer draws replicas at random",
    ]
    if site.workload.traffic.diurnal is not None:
        said.append("assumed: a queue settles within a part of the day, so a short sample of each part stands for all of it")
    trial = site.service.trial
    if trial is not None:
        said.append(
            f"a short trial of {trial.variant} inside a server: a call takes {trial.call_ratio.value:.2f} times as long there, and "
            f"{seconds(trial.per_batch_s.value)} a batch, "
            f"{seconds(trial.per_request_s.value)} a request and {seconds(trial.wake_s.value)} to wake up, beside the call; "
            "assumed of every configuration that no load test has shown"
        )
    else:
        said.append("assumed where no load test has shown it: nothing is added to a call inside a server; there was no trial")
    if site.workload.inputs is not None and site.workload.inputs.sequence_length is not None:
        lengths = site.workload.inputs.sequence_length
        if lengths.max is None:
            said.append(
                f"assumed: requests longer than {lengths.p95 or lengths.p50} are cut to it; inputs.sequence_length.max says otherwise"
            )
    if site.measured_lengths and not site.asked_lengths:
        length = site.measured_lengths[0]
        said.append(f"assumed: every request is {length} long, as was measured; inputs.sequence_length says otherwise")
    if any(is_projected(grid, 1, site.asked_lengths) for grid in site.grids.values()):
        said.append("some requests are longer or shorter than any length that was measured; latencies are projected")
    if site.model.family == "decoder":
        said.append("one request is one forward pass over its tokens; generation token by token is not modelled")
    return tuple(said)


def with_load_tests(advice: Advice, tests: tuple[LoadTest, ...], *, before: Advice) -> Advice:
    """Return the advice with its load tests, and with what they say of its risks; `before` is what it was before it was made anew."""
    said = [risk for risk in advice.risks if risk != UNTRIED]
    promise = f"p{100 * advice.workload.slo.quantile:g}"
    for test in tests:
        if not test.generator_kept_up:
            lag = seconds(test.generator_lag_p99_s)
            said.append(
                f"the load test of {test.candidate.variant} is not valid: its generator was up to {lag} late; repeat it on a quiet machine"
            )
        elif advice.recommended is not None and test.candidate == advice.recommended.candidate and not test.meets_slo:
            said.insert(0, f"under real load {promise} was {seconds(test.latency_slo_s.value)}: the target was missed")
    return msgspec.structs.replace(
        advice, load_tests=tests, risks=tuple(said), notes=(*advice.notes, *_lessons(advice, tests, before))
    )


def _lessons(advice: Advice, tests: tuple[LoadTest, ...], before: Advice) -> tuple[str, ...]:
    """Return what the load tests corrected, in words."""
    said = []
    for test in tests:
        if test.generator_kept_up and not test.prediction_held:
            seen, expected = test.latency_slo_s, test.expected.latency_slo_s
            said.append(
                f"the load test of {test.candidate.variant} in batches of up to {test.candidate.max_batch_size} saw {seconds(seen.value)} "
                f"where {seconds(expected.low)} to {seconds(expected.high)} was expected; the advice was made anew with what it taught"
            )
    asked, now = (entry.recommended.candidate if entry.recommended else None for entry in (before, advice))
    if asked != now:
        said.append("the recommendation changed with what the load tests taught")
    return tuple(said)
