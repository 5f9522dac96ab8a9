"""Time the points in interleaved rounds, whatever goes wrong on the way -> Profile."""

import contextlib
import math
import random
import time

import msgspec
import numpy as np

from advisor import __version__
from advisor.measure.runtime import ort_session
from advisor.measure.timing.adaptive import next_points
from advisor.measure.timing.clean_visits import Counted, counted
from advisor.measure.timing.disturbance import disturbance_notes
from advisor.measure.timing.profile_journal import LeftOut, Point, ProfileJournal, Visited
from advisor.measure.timing.schedule import (
    MIN_ROUNDS,
    batch_sizes,
    budget_s,
    climb,
    first_sizes,
    ladder_of,
    ladders,
    later_round,
    longest_call_s,
)
from advisor.measure.variants.making import AGAIN, Plan, Report, Workers, baseline_id, load_of
from advisor.measure.variants.screening import Lineup
from advisor.measure.worker.client import WorkerError
from advisor.measure.worker.process import Loaded, Time, Timed
from advisor.schema.profile import Measurement, NoiseFloor, Profile, Site, Variant, Visit
from advisor.schema.record import SCHEMA_VERSION, Exclusion
from advisor.units import seconds

WARM_UP_CALLS = 1
MIN_CALLS = 2


def measure(plan: Plan, journal: ProfileJournal, report: Report) -> Profile:
    """Make the variants, compare them with the baseline, and time all of them in interleaved rounds; return the profile.

    What is measured is in the journal at once, so an interrupt loses at most the visit that it falls into.
    """
    with contextlib.ExitStack() as stack:
        lineup = Lineup(plan, journal, report, stack)
        lineup.assemble()
        names = [variant.id for variant in lineup.variants if variant.id in lineup.workers]
        failing = {variant.id for variant in lineup.variants if lineup.fails(variant)} - plan.kept
        _time_all(plan, names, failing, lineup.workers, journal, report)
    return _profile(plan, journal, failing)


def _time_all(plan: Plan, names: list[str], failing: set[str], workers: Workers, journal: ProfileJournal, report: Report) -> None:
    again = baseline_id(plan.facts) + AGAIN
    rungs = ladders(plan, names + ([again] if again in workers else []), brief=failing)
    shuffle = random.Random(plan.settings.seed)
    # The first round asks after every call whether to climb on, so its points must not be listed beforehand.
    for point in climb(plan, rungs, journal):
        if point not in journal.visits and point.variant in workers:
            _visit(plan, point, workers, journal, report)
    if plan.ask is None or not _decide_what_to_time(plan, failing, workers, journal, shuffle, report):
        _time_alike(plan, workers, journal, shuffle, report)


def _decide_what_to_time(
    plan: Plan, failing: set[str], workers: Workers, journal: ProfileJournal, shuffle: random.Random, report: Report
) -> bool:
    """Time what the answer rests on until it stands; return whether there was a decision to ask."""
    assert plan.ask is not None
    while True:
        opinion = plan.ask(_profile(plan, journal, failing))
        if opinion is None:
            return False
        points = [point for point in next_points(plan, journal, opinion, shuffle) if point.variant in workers]
        if not points:
            return True
        for point in points:
            if journal.measured_s >= budget_s(plan, journal):
                return True
            _visit(plan, point, workers, journal, report, answer=opinion.answer)


def _time_alike(plan: Plan, workers: Workers, journal: ProfileJournal, shuffle: random.Random, report: Report) -> None:
    """Time every point in further rounds, those that are known least and new ones between them."""
    first = first_sizes(plan)
    for round_number in range(1, plan.timing.max_rounds):
        for point in later_round(plan, journal, shuffle, with_refinements=round_number >= MIN_ROUNDS):
            rounds_missed = 0 if point.batch_size in first else MIN_ROUNDS
            if len(journal.visits.get(point, [])) + rounds_missed > round_number:
                continue  # measured in this round by the run that was interrupted
            if journal.measured_s >= budget_s(plan, journal):
                return
            if point.variant in workers:
                _visit(plan, point, workers, journal, report)


def _visit(
    plan: Plan, point: Point, workers: Workers, journal: ProfileJournal, report: Report, *, answer: str | None = None
) -> None:
    if point in journal.points_left_out:
        return
    what = f"{point.variant}, batch {point.batch_size}{_setting(point)}"
    report(journal.measured_s, plan.settings.budget_s, what if answer is None else f"so far: {answer}; timing {what}")
    timing = plan.timing
    request = Time(
        batch_size=point.batch_size,
        sequence_length=point.sequence_length,
        intra_op_num_threads=point.intra_op_num_threads,
        instances=point.instances,
        seconds=min(timing.visit_s, timing.tree_visit_s) if plan.facts.family == "tree" else timing.visit_s,
        min_calls=MIN_CALLS,
        warm_up_calls=WARM_UP_CALLS,
    )
    started = time.perf_counter()
    try:
        timed = workers[point.variant][0].ask(request, Timed)
    except WorkerError as error:
        what = f"{point.variant} at batch {point.batch_size}{_setting(point)}"
        journal.add(LeftOut(exclusion=Exclusion(what=what, reason=error.fault), point=point))
        _revive(plan, point.variant, workers, journal)
        return
    elapsed_s = time.perf_counter() - started
    visit = Visit(
        order=journal.next_order,
        latency_s=timed.latency_s,
        run_delay_s=timed.run_delay_s,
        involuntary_switches=timed.involuntary_switches,
        steal_s=timed.steal_s,
        core_hop_s=timed.core_hop_s,
    )
    journal.add(Visited(point=point, visit=visit, elapsed_s=elapsed_s, peak_memory_bytes=timed.peak_memory_bytes))


def _revive(plan: Plan, name: str, workers: Workers, journal: ProfileJournal) -> None:
    """Start the variant's process again after a point killed it; give the variant up if it does not come back."""
    worker = workers.pop(name)[0]
    worker.restart()
    variant = next((entry for entry in journal.variants if entry.id == name), None)
    load = load_of(plan, variant)
    try:
        workers[name] = (worker, worker.ask(load, Loaded))
    except WorkerError as error:
        journal.add(
            LeftOut(exclusion=Exclusion(what=name, reason=f"its process cannot be started again: {error.fault}"), point=None)
        )


def _differences(visits: dict[Point, Counted], baseline: str) -> dict[tuple[int, int], list[float]]:
    """Return by (intra_op_num_threads, instances) how far the baseline's medians are from those of itself measured again, as logarithms."""
    found: dict[tuple[int, int], list[float]] = {}
    for point, first in visits.items():
        second = visits.get(msgspec.structs.replace(point, variant=baseline + AGAIN))
        if point.variant == baseline and second is not None:
            difference = abs(math.log(first.median_s / second.median_s))
            found.setdefault((point.intra_op_num_threads, point.instances), []).append(difference)
    return found


def _noise_fraction(differences: dict[tuple[int, int], list[float]]) -> float | None:
    """Return the 90th percentile over all points, as a fraction."""
    every = [difference for listed in differences.values() for difference in listed]
    return math.expm1(float(np.quantile(every, 0.9))) if every else None


def _noise_floors(differences: dict[tuple[int, int], list[float]]) -> tuple[NoiseFloor, ...]:
    """Return the largest difference under each setting: there are too few points for a percentile."""
    return tuple(
        NoiseFloor(intra_op_num_threads=threads, instances=instances, fraction=math.expm1(max(listed)))
        for (threads, instances), listed in sorted(differences.items())
    )


def _unmeasured(plan: Plan, journal: ProfileJournal, visits: dict[Point, Counted], failing: set[str]) -> list[Exclusion]:
    """Return, per ladder that was left early, the batch sizes not measured and why; a point that failed is reported elsewhere."""
    limit = longest_call_s(plan)
    largest = batch_sizes(plan.facts, plan.settings.max_batch_size)[-1]
    failed = {ladder_of(point) for point in journal.points_left_out}
    tops: dict[Point, Point] = {}
    for point in visits:
        ladder = ladder_of(point)
        if ladder not in tops or point.batch_size > tops[ladder].batch_size:
            tops[ladder] = point
    found = []
    for point in tops.values():
        is_known = ladder_of(point) in failed or point.variant.endswith(AGAIN)
        took = visits[point].median_s
        # Where a decision chose the points, no answer rests on what it left out, unless the time was over.
        is_of_no_use = plan.ask is not None and took <= limit and journal.measured_s < budget_s(plan, journal)
        if point.batch_size < largest and not is_known and not is_of_no_use:
            too_long = f"a call of batch size {point.batch_size} already takes {seconds(took)}, more than {seconds(limit)}"
            reason = too_long if took > limit else f"the budget of {seconds(plan.settings.budget_s)} was spent"
            reason = "its quality does not hold, so more measurements are of no use" if point.variant in failing else reason
            found.append(Exclusion(what=f"{point.variant} above batch {point.batch_size}{_setting(point)}", reason=reason))
    return found


def _setting(point: Point) -> str:
    length = "" if point.sequence_length is None else f", length {point.sequence_length}"
    threads = f"{point.intra_op_num_threads} thread{'s' if point.intra_op_num_threads > 1 else ''}"
    return f"{length}, {threads}" + (f" × {point.instances} instances" if point.instances > 1 else "")


def _measured_variants(journal: ProfileJournal) -> tuple[Variant, ...]:
    """Return the variants that were timed, each with its peak memory so far."""
    names = {point.variant for point in journal.visits}
    return tuple(
        msgspec.structs.replace(variant, peak_memory_bytes=journal.peak_memory_bytes(variant.id))
        for variant in journal.variants
        if variant.id in names
    )


def _visits_told(plan: Plan, journal: ProfileJournal) -> dict[Point, list[Visit]]:
    """Return the visits of all points but those added in between that the budget left with few of them.

    Such a point is known less well than what its neighbors say of it.
    """
    first = batch_sizes(plan.facts, plan.settings.max_batch_size)
    return {point: made for point, made in journal.visits.items() if point.batch_size in first or len(made) >= MIN_ROUNDS}


def _profile(plan: Plan, journal: ProfileJournal, failing: set[str]) -> Profile:
    visits, known = _visits_told(plan, journal), counted(journal.visits)
    measurements = [
        Measurement(
            variant=point.variant,
            batch_size=point.batch_size,
            sequence_length=point.sequence_length,
            intra_op_num_threads=point.intra_op_num_threads,
            instances=point.instances,
            visits=tuple(made),
        )
        for point, made in visits.items()
    ]
    differences = _differences(known, baseline_id(plan.facts))
    site = Site(
        hardware=plan.hardware,
        machine=plan.machine,
        created=plan.created,
        advisor_version=__version__,
        fingerprint=plan.fingerprint,
        versions=ort_session.versions(),
        measuring_s=journal.measured_s,
        noise_fraction=_noise_fraction(differences),
        variants=_measured_variants(journal),
        measurements=tuple(measurements),
        exclusions=(*journal.exclusions, *_unmeasured(plan, journal, known, failing)),
        notes=(*plan.notes, *disturbance_notes(visits)),
        noise_floors=_noise_floors(differences),
    )
    return Profile(schema_version=SCHEMA_VERSION, model=plan.facts, settings=plan.settings, sites=(site,))
