"""Profile + workload + rules -> Advice. Pure: the same records give the same advice, to the byte."""

from collections.abc import Callable

from advisor.decide.advice import hardware_ranking, recommendation
from advisor.decide.advice.decision import decide, weigh_certainty, weigh_effort
from advisor.decide.advice.description import describe
from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Measured, Request, Sites, under_load
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.measured import setting_of
from advisor.errors import InputError
from advisor.schema.advice import Advice
from advisor.schema.arrays.trace import Trace
from advisor.schema.profile import Profile


def advise(
    profile: Profile,
    request: Request,
    trace: Trace | None,
    *,
    is_over: Callable[[], bool] | None = None,
    known: Measured | None = None,
    with_charts: bool = True,
) -> Advice:
    """Return the advice; raise InputError if the workload asks for what the profile does not hold.

    `known` is what was worked out of the same profile before; what charts alone show, on which nothing else hangs, may be left out.
    A search that `is_over` stops gives the best so far; the certificate bounds how much cheaper the best could still be.
    """
    sites = under_load(profile, request, trace, is_over=is_over, known=known)
    check_today(sites.home)
    baseline = recommendation.baseline_today(sites.home)
    searched = _search(sites, request)
    decision = decide(sites, searched, baseline)
    decision = weigh_effort(decision, sites.home, request.market, max_uncertainty=request.max_uncertainty)
    decision = weigh_certainty(decision, sites, searched, request)
    return describe(decision, sites, searched, profile, request, with_charts=with_charts)


def _search(sites: Sites, request: Request) -> list[Searched]:
    """Return the result of each site's search, the best first."""
    found = [done for site in sites.allowed if (done := hardware_ranking.search_site(site))]
    if not found:
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in (*request.exclusions, *sites.exclusions))
        raise InputError(f"hardware.allowed: none of it can be evaluated ({reasons})", hint="allow `local` as well")
    searched = hardware_ranking.ordered(found, request.workload)
    if any(entry.found.regret_usd_per_hour is None for entry in searched):
        raise InputError(
            "the time limit ended the search before any configuration was found that keeps the target",
            hint="raise --time-limit, or leave it out",
        )
    return searched


def check_today(home: SiteUnderLoad) -> None:
    """Raise InputError where what runs today, or the lengths that are asked for, were not measured."""
    today = home.today
    if today.variant not in home.variants:
        raise InputError(
            f"baseline.variant: {today.variant!r} is not in the profile", hint=f"the profile has: {', '.join(home.variants)}"
        )
    student = home.variants[today.variant].student
    if student is not None and not student.is_trained:
        raise InputError(
            f"baseline.variant: {today.variant!r} is a student that nobody has trained: it does not run today",
            hint="name what runs today, or leave it out for the model as it was given",
        )
    if setting_of(today) not in home.grids:
        measured = sorted({(threads, instances) for name, threads, instances in home.grids if name == today.variant})
        known = ", ".join(f"{threads} x {instances}" for threads, instances in measured)
        raise InputError(
            f"baseline.intra_op_num_threads x baseline.instances: {today.intra_op_num_threads} x {today.instances} "
            f"was not measured for {today.variant}",
            hint=f"measured settings: {known}",
        )
    batching, largest = home.model.batching, home.settings.max_batch_size
    if today.max_batch_size > 1 and not batching.possible:
        raise InputError(
            f"baseline.max_batch_size: the model takes one item per call ({batching.reason})", hint="write max_batch_size: 1"
        )
    if today.max_batch_size > largest:
        raise InputError(
            f"baseline.max_batch_size: {today.max_batch_size} is more than {largest}, the largest of the profile",
            hint=f"measure again with: advisor profile --max-batch-size {today.max_batch_size}",
        )
    _check_lengths(home)


def _check_lengths(home: SiteUnderLoad) -> None:
    has_length = any(entry.sequence_axis is not None for entry in home.model.inputs)
    if home.workload.inputs is not None and home.workload.inputs.sequence_length is not None and not has_length:
        raise InputError(
            "inputs.sequence_length: the model has no sequence axis", hint="remove inputs.sequence_length from the workload file"
        )
    if len(home.measured_lengths) > 1 and not home.asked_lengths:
        measured = ", ".join(map(str, home.measured_lengths))
        raise InputError(
            f"inputs.sequence_length: missing, and the profile was measured at lengths {measured}",
            hint="give the length of requests, for example: inputs: {sequence_length: {p50: 32, p95: 128}}",
        )
