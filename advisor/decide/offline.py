"""A volume of work and a deadline, no latency target: the cheapest way to finish.

Batches are full and hold items of about equal length, because all the work is there from the beginning. An item that takes a replica w
seconds costs w times its price, however many replicas share the work; each further replica costs its start-up time. So for every
configuration the fewest replicas that meet the deadline are the cheapest, and trying these for all configurations is exact.
"""

import math
from typing import NamedTuple

from advisor import __version__
from advisor.decide.advice import wording
from advisor.decide.advice.sites import Measured, Request, under_load
from advisor.decide.advice.variant_rows import site_facts
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import is_projected
from advisor.errors import InputError
from advisor.schema.advice import Certificate, OfflineAdvice, OfflineChoice
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate
from advisor.schema.workload import OfflineWorkload, OnlineWorkload, Slo, Traffic
from advisor.units import counted, seconds, usd

ENDS = ("low", "value", "high")


def advise_offline(
    profile: Profile, workload: OfflineWorkload, request: Request, *, known: Measured | None = None
) -> OfflineAdvice:
    """Return the cheapest way to finish the job by the deadline at the upper end of the service times, on any allowed hardware.

    `request` holds the same job as an online workload, made by `as_online`; `known` is what was worked out of the same profile before.
    """
    sites = under_load(profile, request, None, known=known)
    choices = [_Considered(site, _choice(site, workload, entry)) for site in sites.allowed for entry in _space(site)]
    if not choices:
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in (*request.exclusions, *sites.exclusions))
        raise InputError(f"hardware.allowed: none of it can be evaluated ({reasons})", hint="allow `local` as well")
    allowed = [each.choice for each in choices if each.is_admitted]
    meeting = sorted((choice for choice in allowed if choice.meets_deadline), key=lambda choice: choice.cost_usd.value)
    best = meeting[0] if meeting else None
    # What quick calls would finish in time is not shown to miss the deadline.
    open_ = [choice for choice in allowed if choice.duration_s.low <= workload.offline.deadline_s]
    miss = None if best is not None else min(open_ or allowed, key=lambda choice: choice.duration_s.high, default=None)
    others: dict[tuple[str, str], OfflineChoice] = {}
    for choice in meeting:
        if best is None or _kind(choice) != _kind(best):
            others.setdefault(_kind(choice), choice)
    return OfflineAdvice(
        schema_version=SCHEMA_VERSION,
        created=request.created,
        advisor_version=__version__,
        profile_sha256=request.profile_sha256,
        workload=workload,
        model=profile.model,
        sites=tuple(site_facts(site) for site in profile.sites),
        headline=_headline(workload, best, miss, sites.home.hardware),
        recommended=best,
        nearest_miss=miss,
        binding_constraint=None
        if miss is None
        else f"replicas: even {MAX_REPLICAS} of any configuration {_late(miss, workload)}",
        others=tuple(others.values()),
        certificate=_certificate(choices),
        exclusions=(
            *wording.left_out(profile.sites),
            *wording.not_admitted(sites.allowed),
            *request.exclusions,
            *sites.exclusions,
        ),
        notes=(
            *wording.notes(profile.sites),
            "assumed: items are sorted by length before batching, and replicas share them evenly",
        ),
    )


class _Considered(NamedTuple):
    """One configuration at a site, on as many replicas as it takes there."""

    site: SiteUnderLoad
    choice: OfflineChoice

    @property
    def is_admitted(self) -> bool:
        """Whether the variant may be recommended there."""
        return self.choice.candidate.variant in self.site.admitted()


def _space(site: SiteUnderLoad) -> list[Configuration]:
    """Return every configuration that can run there; nothing waits for a batch to fill, so delays make no difference."""
    return [entry for entry in site.space(set(site.variants)) if entry.max_queue_delay_s == 0.0]


def _kind(choice: OfflineChoice) -> tuple[str, str]:
    return choice.candidate.variant, choice.candidate.hardware


def _certificate(choices: list[_Considered]) -> Certificate:
    allowed = [each.choice.candidate.replicas for each in choices if each.is_admitted]
    return Certificate(
        candidates=len(choices) * MAX_REPLICAS,
        cut_by_bound=sum(replicas - 1 for replicas in allowed),
        cut_by_quality=(len(choices) - len(allowed)) * MAX_REPLICAS,
        cut_by_tie=0,
        cut_by_cost=sum(MAX_REPLICAS - replicas for replicas in allowed),
        simulated=len(allowed),
        regret_usd_per_hour=0.0,
    )


def as_online(workload: OfflineWorkload) -> OnlineWorkload:
    """Return a workload of the same requests at the rate that the deadline asks for, with a target that excludes nothing."""
    volume = workload.offline
    return OnlineWorkload(
        name=workload.name,
        traffic=Traffic(requests_per_s=volume.items / volume.deadline_s),
        slo=Slo(latency_s=volume.deadline_s),
        hardware=workload.hardware,
        inputs=workload.inputs,
        quality=workload.quality,
    )


def _choice(site: SiteUnderLoad, workload: OfflineWorkload, entry: Configuration) -> OfflineChoice:
    """Return the configuration on the fewest replicas that meet the deadline, or on the most that are considered."""
    volume = workload.offline
    item_s = {end: site.simulator.work_s(entry, end) / entry.instances for end in ENDS}
    start_s = volume.start_s + (site.variants[entry.variant].load_s or 0.0)
    left_s = volume.deadline_s - start_s
    wanted = volume.items * item_s["high"] / left_s if left_s > 0 else math.inf
    replicas = max(1, math.ceil(wanted)) if wanted <= MAX_REPLICAS else MAX_REPLICAS
    # Rounding may let a job end just past the deadline: that is not in time.
    if replicas < MAX_REPLICAS and start_s + volume.items * item_s["high"] / replicas > volume.deadline_s:
        replicas += 1
    projected = site.ground != "measured" or is_projected(site.simulator.grid(entry), entry.max_batch_size, site.asked_lengths)
    basis: Basis = "projected" if projected else "interpolated"
    of = "measured" if site.ground == "measured" else "projected"
    source = f"{of} service times in full batches, items of about equal length together"
    took_s = {end: start_s + volume.items * item_s[end] / replicas for end in ENDS}
    cost = {end: took_s[end] / 3600 * replicas * site.price for end in ENDS}
    speed = {end: replicas / item_s[end] for end in ENDS}
    return OfflineChoice(
        candidate=entry.replicated(replicas, site.hardware),
        duration_s=Estimate(value=took_s["value"], low=took_s["low"], high=took_s["high"], basis=basis, source=source),
        throughput_items_per_s=Estimate(value=speed["value"], low=speed["high"], high=speed["low"], basis=basis, source=source),
        cost_usd=Estimate(
            value=cost["value"],
            low=cost["low"],
            high=cost["high"],
            basis=basis,
            source=f"{replicas} x {usd(site.price)}/h: {site.rent.source}, for the duration",
        ),
        meets_deadline=took_s["high"] <= volume.deadline_s,
    )


def _late(miss: OfflineChoice, workload: OfflineWorkload) -> str:
    is_open = miss.duration_s.low <= workload.offline.deadline_s
    return "finish in time only if calls are quick" if is_open else "do not finish in time"


def _headline(workload: OfflineWorkload, best: OfflineChoice | None, miss: OfflineChoice | None, home: str) -> str:
    volume = workload.offline
    job = f"{volume.items:,} items within {seconds(volume.deadline_s)}"
    if miss is not None and miss.duration_s.low <= volume.deadline_s:
        between = f"{seconds(miss.duration_s.low)} to {seconds(miss.duration_s.high)}"
        return f"Not known yet whether any measured configuration does {job}: {miss.candidate.variant} takes {between}"
    if best is None:
        reached = f": the fastest takes up to {seconds(miss.duration_s.high)}" if miss is not None else ""
        return f"No measured configuration does {job}{reached}"
    candidate = best.candidate
    where = "" if candidate.hardware == home else f" of {candidate.hardware}"
    replicas = f"{counted(candidate.replicas, 'replica')}{where}"
    return f"Run {candidate.variant} in batches of {candidate.max_batch_size} on {replicas}: {job} for {usd(best.cost_usd.value)}"
