"""Time the points in interleaved rounds, whatever goes wrong on the way -> Profile."""

import contextlib
import itertools
import random
import time
from collections.abc import Iterator

import msgspec

from advisor import __version__
from advisor.measure.distillation.student_lineup import take_students
from advisor.measure.runtime import machine, ort_session
from advisor.measure.runtime.stalls import watch
from advisor.measure.timing.adaptive import next_points
from advisor.measure.timing.clean_visits import Counted, counted
from advisor.measure.timing.disturbance import disturbance_notes
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.opinion import Ask
from advisor.measure.timing.profile_journal import LeftOut, Point, ProfileJournal, Visited, Watched
from advisor.measure.timing.schedule import (
    MIN_ROUNDS,
    WARM_UP_CALLS,
    batch_sizes,
    climb,
    expected_call_s,
    first_sizes,
    ladder_of,
    ladders,
    later_round,
    longest_call_s,
    pace_of,
    visit_s,
)
from advisor.measure.variants.making import AGAIN, Plan, Report, Workers, baseline_id, load_of
from advisor.measure.variants.preflight import does_not_fit
from advisor.measure.variants.screening import Lineup
from advisor.measure.worker.apart import Apart
from advisor.measure.worker.client import WorkerError
from advisor.measure.worker.process import Loaded, Time, Timed
from advisor.medians import noise_floors
from advisor.schema.profile import Measurement, Profile, Site, Variant, Visit
from advisor.schema.record import SCHEMA_VERSION, Exclusion
from advisor.units import seconds

# Times as long as a decision takes, what it asks for is timed before it is asked again.
TIMED_PER_ASKED = 4.0
# Of the time for timing, that the first pass may take before the decision is asked for the first time: an answer among what is known by
# then is worth more than one visit of everything. What it has not reached is looked at as soon as nothing else is open.
FIRST_PASS_SHARE = 0.5


def measure(
    plan: Plan, journal: ProfileJournal, ledger: Ledger, report: Report, apart: Apart, *, keeps_apart: bool = False
) -> Profile:
    """Make the variants, compare them with the baseline, and time all of them in interleaved rounds; return the profile.

    What is measured is in the journal at once, so an interrupt loses at most the visit that it falls into. Files are made in `apart`, whose
    process ends before anything is timed unless `keeps_apart`: it would hold memory.
    """
    ledger.count(journal.prepared_s + journal.measured_s)
    with contextlib.ExitStack() as stack:
        lineup = Lineup(plan, journal, ledger, report, stack, apart)
        lineup.assemble()
        take_students(lineup)
        if not keeps_apart:
            apart.end()
        names = [variant.id for variant in lineup.variants if variant.id in lineup.workers]
        failing = {variant.id for variant in lineup.variants if lineup.fails(variant)} - plan.kept
        again = baseline_id(plan.facts) + AGAIN
        students = {variant.id for variant in lineup.variants if variant.student is not None}
        rungs = ladders(plan, names + ([again] if again in lineup.workers else []), brief=failing, last=students)
        ledger.begin_timing(journal.measured_s)
        _Timing(plan, journal, ledger, report, lineup).all_of_it(rungs, failing)
    return _profile(plan, journal, failing, rungs)


class _Timing:
    """The timing of one line-up, until the time for it is over."""

    def __init__(self, plan: Plan, journal: ProfileJournal, ledger: Ledger, report: Report, lineup: Lineup) -> None:
        self.plan, self.journal, self.ledger, self.report, self.lineup = plan, journal, ledger, report, lineup
        self.workers = lineup.workers
        self.timing_s = max(ledger.timing_left_s, 0.0)

    def all_of_it(self, rungs: list[list[Point]], failing: set[str]) -> None:
        """Visit the points of the ladders once, then those on which the answer rests; without a decision all of them, round after round."""
        plan, journal, shuffle = self.plan, self.journal, random.Random(self.plan.settings.seed)
        _watch(plan, journal, 0)
        # The first round asks after every call whether to climb on, so its points must not be listed beforehand.
        points = climb(plan, rungs, journal, self._is_affordable)
        first = (point for point in points if point not in journal.visits and point.variant in self.workers)
        if plan.ask is None or not self._as_the_decision_asks(plan.ask, first, rungs, failing, shuffle):
            self._first_pass(first)
            self._alike(shuffle)

    def _first_pass(self, first: Iterator[Point], *, share: float = 1.0) -> bool:
        """Visit the points of the first pass, until this share of the time for timing is over; return whether that was all of them.

        It goes on until what runs today was visited, without which there is no advice.
        """
        ends_s = (1.0 - share) * self.timing_s
        for point in first:
            self._visit(point)
            if share < 1.0 and self.ledger.timing_left_s <= ends_s and self._knows_today():
                return False
        return True

    def _knows_today(self) -> bool:
        """Return whether what runs today was visited, or will not be: its process does not open."""
        today = self.plan.today
        known = {(point.variant, point.intra_op_num_threads, point.instances) for point in self.journal.visits}
        return today is None or today.variant not in self.workers or tuple(today) in known

    def _as_the_decision_asks(
        self, ask: Ask, first: Iterator[Point], rungs: list[list[Point]], failing: set[str], shuffle: random.Random
    ) -> bool:
        """Time what the answer rests on until it stands; return whether there was a decision to ask."""
        plan, journal, told = self.plan, self.journal, ""
        is_whole = self._first_pass(first, share=FIRST_PASS_SHARE)
        for round_number in itertools.count(1):
            asked_s = time.perf_counter()
            opinion = ask(_profile(plan, journal, failing, rungs))
            if opinion is None and is_whole:
                return False
            if opinion is None:
                is_whole = self._first_pass(first)
                continue
            self.report(self.ledger.spent_s, self.ledger.expected_s, "timing", line=_news(opinion.answer, told))
            told = opinion.answer
            # Deciding takes a core from nobody, but time from the budget: no more than a part of it.
            until_s = time.perf_counter() + TIMED_PER_ASKED * (time.perf_counter() - asked_s)
            if self.ledger.timing_left_s > 0:
                _watch(plan, journal, round_number)
            while True:
                points = next_points(plan, journal, opinion, shuffle, with_others=is_whole)
                points = [point for point in points if point.variant in self.workers and self._is_affordable(point)]
                if (not points and is_whole) or self.ledger.timing_left_s <= 0:
                    return True
                if not points:
                    is_whole = self._first_pass(first)
                    break
                for point in points:
                    self._visit(point)
                if time.perf_counter() >= until_s:
                    break
        return True

    def _alike(self, shuffle: random.Random) -> None:
        """Visit every point in further rounds, those that are known least and new ones between them."""
        plan, journal, first = self.plan, self.journal, first_sizes(self.plan)
        for round_number in range(1, plan.timing.max_rounds):
            if self.ledger.timing_left_s <= 0:
                return
            _watch(plan, journal, round_number)
            for point in later_round(plan, journal, shuffle, with_refinements=round_number >= MIN_ROUNDS):
                rounds_missed = 0 if point.batch_size in first else MIN_ROUNDS
                if len(journal.visits.get(point, [])) + rounds_missed > round_number:
                    continue  # measured in this round by the run that was interrupted
                if self.ledger.timing_left_s <= 0:
                    return
                if point.variant in self.workers and self._is_affordable(point):
                    self._visit(point)

    def _expected_call_s(self, point: Point) -> float:
        return expected_call_s(point, self.journal, self.lineup.call_s(point.variant))

    def _is_affordable(self, point: Point) -> bool:
        """Return whether there is time left for a visit of the point."""
        expected_s = self._expected_call_s(point)
        pace = pace_of(expected_s, self.timing_s)
        return visit_s(pace, expected_s, self.plan, is_first=point not in self.journal.visits) <= self.ledger.timing_left_s

    def _fits(self, point: Point) -> bool:
        """Return whether the memory holds as many sessions as the point has instances; where it does not, leave the point out."""
        variant = next((entry for entry in self.journal.variants if entry.id == point.variant), None)
        file_bytes = self.plan.facts.file_bytes if variant is None else variant.bytes
        reason = does_not_fit(self.plan.machine, file_bytes, point.instances)
        if reason is not None:
            what = _named(point)
            self.journal.add(LeftOut(exclusion=Exclusion(what=what, reason=reason), point=point))
        return reason is None

    def _visit(self, point: Point) -> None:
        plan, journal, timing = self.plan, self.journal, self.plan.timing
        if point in journal.points_left_out or not self._fits(point):
            return
        what = f"timing {point.variant}, batch {point.batch_size}{_setting(point)}"
        self.report(self.ledger.spent_s, self.ledger.expected_s, what)
        pace = pace_of(self._expected_call_s(point), self.timing_s)
        made = len(journal.visits.get(point, ()))
        is_cold = made == 0 or pace.warms_up_every_visit
        # The many batch sizes of tree ensembles are visited briefly; the few that are visited more often are those that decide.
        is_brief = plan.facts.family == "tree" and made < MIN_ROUNDS
        request = Time(
            batch_size=point.batch_size,
            sequence_length=point.sequence_length,
            intra_op_num_threads=point.intra_op_num_threads,
            instances=point.instances,
            seconds=min(timing.visit_s, timing.tree_visit_s) if is_brief else timing.visit_s,
            min_calls=pace.min_calls,
            warm_up_calls=WARM_UP_CALLS if is_cold else 0,
        )
        _visit(plan, point, request, self.workers, journal, self.ledger)


def _news(answer: str, told: str) -> str | None:
    return None if answer == told else f"so far: {answer}"


def _watch(plan: Plan, journal: ProfileJournal, round_number: int) -> None:
    """Watch one core for stalls, before each of the first rounds: nothing else runs, so what is seen comes from outside."""
    if not len(journal.watches) <= round_number < plan.timing.watches:
        return
    started, usable = time.perf_counter(), machine.usable_cores()
    watch_s = min(plan.timing.watch_fraction * plan.settings.budget_s, plan.timing.longest_watch_s)
    stalls = watch(watch_s, usable[round_number % len(usable)])
    journal.add(Watched(stalls=stalls, elapsed_s=time.perf_counter() - started))


def _visit(plan: Plan, point: Point, request: Time, workers: Workers, journal: ProfileJournal, ledger: Ledger) -> None:
    started = time.perf_counter()
    try:
        # A process that was started anew in the middle finds everything cold.
        again = msgspec.structs.replace(request, warm_up_calls=WARM_UP_CALLS)
        timed = workers[point.variant][0].ask(request, Timed, again=again)
    except WorkerError as error:
        what = _named(point)
        journal.add(LeftOut(exclusion=Exclusion(what=what, reason=error.fault), point=point))
        _revive(plan, point.variant, workers, journal)
        return
    ledger.count(-timed.opened_s)  # loading, whoever asked for it
    elapsed_s = time.perf_counter() - started - timed.opened_s
    visit = Visit(
        order=journal.next_order,
        latency_s=timed.latency_s,
        run_delay_s=timed.run_delay_s,
        involuntary_switches=timed.involuntary_switches,
        steal_s=timed.steal_s,
        core_hop_s=timed.core_hop_s,
        waited_s=timed.waited_s,
        throttled_s=timed.throttled_s,
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


def _passed_over(plan: Plan, journal: ProfileJournal, rungs: list[list[Point]]) -> list[Exclusion]:
    """Return what the budget left no time for at all: whole variants by their name, else the settings of one."""
    failed = {ladder_of(point) for point in journal.points_left_out}
    visited = {ladder_of(point) for point in journal.visits}
    timed = {point.variant for point in journal.visits}
    given_up = {exclusion.what for exclusion in journal.exclusions}
    found: dict[str, Exclusion] = {}
    for ladder in rungs:
        point = ladder[0]
        if point.variant.endswith(AGAIN) or point.variant in given_up or ladder_of(point) in visited | failed:
            continue
        what = f"{point.variant}{_setting(point)}" if point.variant in timed else point.variant
        found[what] = Exclusion(
            what=what, reason=f"no time was left to time it within the budget of {seconds(plan.settings.budget_s)}"
        )
    return list(found.values())


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
        # Where a decision chose the points, the answer rests on none that it left out.
        is_of_no_use = plan.ask is not None and took <= limit
        if point.batch_size < largest and not is_known and not is_of_no_use:
            too_long = f"a call of batch size {point.batch_size} already takes {seconds(took)}, more than {seconds(limit)}"
            reason = too_long if took > limit else f"the budget of {seconds(plan.settings.budget_s)} was spent"
            reason = "its quality does not hold, so more measurements are of no use" if point.variant in failing else reason
            found.append(Exclusion(what=f"{point.variant} above batch {point.batch_size}{_setting(point)}", reason=reason))
    return found


def _named(point: Point) -> str:
    return f"{point.variant} at batch {point.batch_size}{_setting(point)}"


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
    """Return the visits of all points of known variants, but those added in between that the budget left with few of them.

    Such a point is known less well than what its neighbors say of it. A variant is not known whose line in the journal was damaged.
    """
    first, variants = batch_sizes(plan.facts, plan.settings.max_batch_size), {variant.id for variant in journal.variants}
    return {
        point: made
        for point, made in journal.visits.items()
        if point.variant.removesuffix(AGAIN) in variants and (point.batch_size in first or len(made) >= MIN_ROUNDS)
    }


def _profile(plan: Plan, journal: ProfileJournal, failing: set[str], rungs: list[list[Point]]) -> Profile:
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
    noise_fraction, floors = noise_floors(measurements)
    site = Site(
        hardware=plan.hardware,
        machine=plan.machine,
        created=plan.created,
        advisor_version=__version__,
        fingerprint=plan.fingerprint,
        versions=ort_session.versions(),
        measuring_s=journal.measured_s,
        noise_fraction=noise_fraction,
        inputs_path=plan.inputs_path,
        variants=_measured_variants(journal),
        measurements=tuple(measurements),
        exclusions=(
            *journal.exclusions,
            *_passed_over(plan, journal, rungs),
            *_unmeasured(plan, journal, known, failing),
        ),
        notes=(*plan.notes, *disturbance_notes(visits)),
        noise_floors=floors,
        stalls=tuple(entry for entry in journal.watches if entry is not None),
    )
    return Profile(schema_version=SCHEMA_VERSION, model=plan.facts, settings=plan.settings, sites=(site,))
