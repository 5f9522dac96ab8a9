"""A volume of work and a deadline, no latency target: the cheapest way to finish.

Batches are full and of requests of about equal length, for all the work is there from the beginning. A replica that takes w seconds for an
item does it for w times its price however many share the work; each replica more costs what it takes to start. So of every configuration
the fewest replicas that meet the deadline are the cheapest, and trying those of all configurations is exact.
"""

import math

from advisor import __version__
from advisor.decide.queue.search import MAX_REPLICAS
from advisor.decide.queue.site import Bench
from advisor.decide.queue.space import Configuration, configurations
from advisor.decide.service.measured import is_projected
from advisor.schema.advice import Certificate, OfflineAdvice, OfflineChoice
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate, Exclusion
from advisor.schema.workload import OfflineWorkload, OnlineWorkload, Slo, Traffic
from advisor.units import seconds, usd

ENDS = ("low", "value", "high")


def advise_offline(
    profile: Profile,
    workload: OfflineWorkload,
    *,
    profile_sha256: str,
    created: str,
    exclusions: tuple[Exclusion, ...] = (),
) -> OfflineAdvice:
    """Return the cheapest way to do the volume by the deadline at the upper end of the service times."""
    bench = Bench(profile, _as_online(workload), None)
    admitted = bench.admitted()
    everything = configurations(bench.grids, bench.workload, bench.today, set(bench.variants))
    # Nothing waits for a batch to fill, so delays make no difference.
    entries = [entry for entry in everything if entry.max_queue_delay_s == 0.0]
    choices = {entry: _choice(bench, workload, entry) for entry in entries}
    allowed = [choice for entry, choice in choices.items() if entry.variant in admitted]
    meeting = [choice for choice in allowed if choice.meets_deadline]
    best = min(meeting, key=lambda choice: choice.cost_usd.value, default=None)
    miss = None if best is not None else min(allowed, key=lambda choice: choice.duration_s.high, default=None)
    others: dict[str, OfflineChoice] = {}
    for choice in sorted(meeting, key=lambda choice: choice.cost_usd.value):
        if best is None or choice.candidate.variant != best.candidate.variant:
            others.setdefault(choice.candidate.variant, choice)
    return OfflineAdvice(
        schema_version=SCHEMA_VERSION,
        created=created,
        advisor_version=__version__,
        profile_sha256=profile_sha256,
        workload=workload,
        model=profile.model,
        machine=profile.machine,
        headline=_headline(workload, best, miss),
        recommended=best,
        nearest_miss=miss,
        binding_constraint=None if miss is None else f"replicas: even {MAX_REPLICAS} of any configuration are not done in time",
        others=tuple(others.values()),
        certificate=Certificate(
            candidates=len(choices) * MAX_REPLICAS,
            cut_by_bound=sum(choice.candidate.replicas - 1 for choice in allowed),
            cut_by_quality=(len(choices) - len(allowed)) * MAX_REPLICAS,
            cut_by_tie=0,
            cut_by_cost=sum(MAX_REPLICAS - choice.candidate.replicas for choice in allowed),
            simulated=len(allowed),
            regret_usd_per_hour=0.0,
        ),
        exclusions=(
            *exclusions,
            *profile.exclusions,
            *(
                Exclusion(what=name, reason=entry.because)
                for name, entry in bench.admissions.items()
                if name not in admitted and name not in bench.speed_ties
            ),
        ),
        notes=(
            *profile.notes,
            "assumed: items are sorted by length before they are put into batches, and replicas share them evenly",
        ),
    )


def _as_online(workload: OfflineWorkload) -> OnlineWorkload:
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


def _choice(bench: Bench, workload: OfflineWorkload, entry: Configuration) -> OfflineChoice:
    """Return the configuration on the fewest replicas that meet the deadline, or on the most that are considered."""
    volume = workload.offline
    item_s = {end: bench.simulator.work_s(entry, end) / entry.instances for end in ENDS}
    start_s = volume.start_s + (bench.variants[entry.variant].load_s or 0.0)
    left_s = volume.deadline_s - start_s
    wanted = volume.items * item_s["high"] / left_s if left_s > 0 else math.inf
    replicas = max(1, math.ceil(wanted)) if wanted <= MAX_REPLICAS else MAX_REPLICAS
    # What rounding lets through at the very deadline is not in time.
    if replicas < MAX_REPLICAS and start_s + volume.items * item_s["high"] / replicas > volume.deadline_s:
        replicas += 1
    projected = is_projected(bench.simulator.grid(entry), entry.max_batch_size, bench.asked_lengths)
    basis: Basis = "projected" if projected else "interpolated"
    source = "measured service times in full batches, items of about equal length together"
    took_s = {end: start_s + volume.items * item_s[end] / replicas for end in ENDS}
    cost = {end: took_s[end] / 3600 * replicas * bench.price for end in ENDS}
    speed = {end: replicas / item_s[end] for end in ENDS}
    return OfflineChoice(
        candidate=entry.replicated(replicas),
        duration_s=Estimate(value=took_s["value"], low=took_s["low"], high=took_s["high"], basis=basis, source=source),
        throughput_items_per_s=Estimate(value=speed["value"], low=speed["high"], high=speed["low"], basis=basis, source=source),
        cost_usd=Estimate(
            value=cost["value"],
            low=cost["low"],
            high=cost["high"],
            basis=basis,
            source=f"{replicas} x {usd(bench.price)}/h as the workload file says, for the duration",
        ),
        meets_deadline=took_s["high"] <= volume.deadline_s,
    )


def _headline(workload: OfflineWorkload, best: OfflineChoice | None, miss: OfflineChoice | None) -> str:
    volume = workload.offline
    job = f"{volume.items:,} items within {seconds(volume.deadline_s)}"
    if best is None:
        reached = f": the fastest way takes up to {seconds(miss.duration_s.high)}" if miss is not None else ""
        return f"Nothing that was measured does {job}{reached}"
    count = best.candidate.replicas
    return (
        f"Run {best.candidate.variant} in batches of {best.candidate.max_batch_size} on {count} "
        f"{'replica' if count == 1 else 'replicas'}: {job} for {usd(best.cost_usd.value)}"
    )
