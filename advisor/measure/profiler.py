"""Which points to measure, in what order, until when -> Profile."""

import contextlib
import math
import random
import statistics
import time
from collections.abc import Iterator
from itertools import product

import msgspec
import numpy as np

from advisor import __version__
from advisor.measure import ort_session
from advisor.measure.store import Journal, LeftOut, Point, Visited
from advisor.measure.variants import (
    AGAIN,
    Plan,
    Report,
    Workers,
    baseline_id,
    compare,
    make_variants,
    start_workers,
    variant_file,
)
from advisor.measure.worker import Load, Loaded, Time, Timed
from advisor.measure.worker_process import WorkerError
from advisor.schema import SCHEMA_VERSION, Exclusion, Measurement, ModelFacts, NoiseFloor, Profile, Visit
from advisor.units import seconds
from advisor.visits import clean, is_clean

VISIT_S = 0.05
WARM_UP_CALLS = 1
MIN_CALLS = 2
MAX_ROUNDS = 12
MIN_ROUNDS = 3
ENOUGH_FRACTION = 0.02  # of the median: visits that agree this well need no further round
# Without a latency target, a call longer than this is no serving configuration.
LONGEST_CALL_S = 2.0


def measure(plan: Plan, journal: Journal, report: Report) -> Profile:
    """Make the variants, compare them with the baseline, and time all of them in interleaved rounds; return the profile.

    What is measured is in the journal at once, so an interrupt loses at most the visit that it falls into.
    """
    variants = make_variants(plan, journal, report)
    with contextlib.ExitStack() as stack:
        workers = start_workers(plan, variants, journal, stack)
        variants = [compare(plan, variant, workers, journal) for variant in variants if variant.id in workers]
        _time_all(plan, [variant.id for variant in variants if variant.id in workers], workers, journal, report)
    return _profile(plan, journal)


def batch_sizes(facts: ModelFacts, max_batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes to measure, ascending: powers of four for networks, whose time per call is smooth between them.

    Tree ensembles step at batch sizes of their own and cost next to nothing to time, so theirs lie closer.
    """
    if not facts.batching.possible:
        return (1,)
    sizes = {1, max_batch_size}
    if facts.family == "tree":
        sizes |= {1 << power for power in range(max_batch_size.bit_length())}
        sizes |= {3 << power for power in range(max_batch_size.bit_length())}
    else:
        sizes |= {1 << power for power in range(0, max_batch_size.bit_length(), 2)}
    return tuple(sorted(size for size in sizes if size <= max_batch_size))


def thread_settings(cores: int) -> tuple[tuple[int, int], ...]:
    """Return the (intra_op_num_threads, instances) to measure: powers of two of threads, alone and filling the cores."""
    threads = sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores})
    return tuple((count, instances) for count in threads for instances in sorted({1, cores // count}))


def _ladders(plan: Plan, names: list[str]) -> list[list[Point]]:
    """Return ladders of points that differ in batch size alone, ascending, shortest sequences first."""
    sizes = batch_sizes(plan.facts, plan.settings.max_batch_size)
    lengths: tuple[int | None, ...] = tuple(sorted(plan.settings.sequence_lengths)) or (plan.facts.at_sequence_length,)
    ladders = []
    for name, (threads, instances) in product(names, thread_settings(plan.machine.cores)):
        # The noise floor needs a few points, not all of them again.
        is_again = name.endswith(AGAIN)
        for length in lengths[len(lengths) // 2 :][:1] if is_again else lengths:
            point = Point(variant=name, batch_size=1, sequence_length=length, intra_op_num_threads=threads, instances=instances)
            ladders.append([msgspec.structs.replace(point, batch_size=size) for size in (sizes[:2] if is_again else sizes)])
    return ladders


def _time_all(plan: Plan, names: list[str], workers: Workers, journal: Journal, report: Report) -> None:
    again = baseline_id(plan.facts) + AGAIN
    ladders = _ladders(plan, names + ([again] if again in workers else []))
    shuffle = random.Random(plan.settings.seed)
    for round_number in range(MAX_ROUNDS):
        # The first round asks after every call whether to climb on, so its points must not be listed beforehand.
        points = _climb(plan, ladders, journal) if round_number == 0 else _unsettled(plan, ladders, journal, shuffle)
        for point in points:
            if len(journal.visits.get(point, [])) > round_number:
                continue  # measured in this round by the run that was interrupted
            if round_number > 0 and journal.measured_s >= plan.settings.budget_s:
                return
            if point.variant in workers:
                _visit(plan, point, workers, journal, report)


def _climb(plan: Plan, ladders: list[list[Point]], journal: Journal) -> Iterator[Point]:
    """Yield the points of the first round, climbing each ladder only as long as a call stays short enough to serve with."""
    limit = _limit_s(plan)
    # All ladders a rung at a time, so that variants are interleaved in time from the start.
    for rung in range(max(map(len, ladders), default=0)):
        for ladder in ladders:
            if rung > 0 and journal.measured_s >= plan.settings.budget_s:
                return
            if rung < len(ladder) and _may_climb(ladder[:rung], journal, limit):
                yield ladder[rung]


def _may_climb(below: list[Point], journal: Journal, limit_s: float) -> bool:
    if not below:
        return True
    visits = journal.visits.get(below[-1])
    return visits is not None and _median(visits) <= limit_s


def _unsettled(plan: Plan, ladders: list[list[Point]], journal: Journal, shuffle: random.Random) -> list[Point]:
    """Return the points of a later round in an order of its own: those that can serve and are not yet known well enough.

    A call beyond the limit was worth one visit, to know where its ladder ends.
    """
    known, limit = journal.visits, _limit_s(plan)
    points = [point for ladder in ladders for point in ladder if point in known]
    points = [point for point in points if _median(known[point]) <= limit and not _is_settled(known[point])]
    shuffle.shuffle(points)
    return points


def _limit_s(plan: Plan) -> float:
    return plan.settings.max_latency_s or LONGEST_CALL_S


def _visit(plan: Plan, point: Point, workers: Workers, journal: Journal, report: Report) -> None:
    if point in journal.points_left_out:
        return
    report(journal.measured_s, plan.settings.budget_s, f"{point.variant}, batch {point.batch_size}{_setting(point)}")
    request = Time(
        batch_size=point.batch_size,
        sequence_length=point.sequence_length,
        intra_op_num_threads=point.intra_op_num_threads,
        instances=point.instances,
        seconds=VISIT_S,
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
    visit = Visit(order=len(journal.entries), latency_s=timed.latency_s, run_delay_s=timed.run_delay_s)
    journal.add(Visited(point=point, visit=visit, elapsed_s=time.perf_counter() - started))


def _revive(plan: Plan, name: str, workers: Workers, journal: Journal) -> None:
    """Start the variant's process again after a point killed it; give the variant up if it does not come back."""
    worker = workers.pop(name)[0]
    worker.restart()
    variant = next((entry for entry in journal.variants if entry.id == name), None)
    path = plan.baseline if variant is None else variant_file(plan, variant)
    load = Load(path=str(path), inputs=plan.facts.inputs, rows=plan.rows, seed=plan.settings.seed)
    try:
        workers[name] = (worker, worker.ask(load, Loaded))
    except WorkerError as error:
        journal.add(
            LeftOut(exclusion=Exclusion(what=name, reason=f"its process cannot be started again: {error.fault}"), point=None)
        )


def _median(visits: list[Visit]) -> float:
    return statistics.median(latency for visit in clean(visits) for latency in visit.latency_s)


def _is_settled(visits: list[Visit]) -> bool:
    """Return whether the medians of the visits agree so well that their mean is known to ENOUGH_FRACTION."""
    medians = [statistics.median(visit.latency_s) for visit in visits if is_clean(visit)]
    if len(medians) < MIN_ROUNDS:
        return False
    return statistics.stdev(medians) / math.sqrt(len(medians)) <= ENOUGH_FRACTION * statistics.mean(medians) / 2


def _differences(visits: dict[Point, list[Visit]], baseline: str) -> dict[tuple[int, int], list[float]]:
    """Return by (intra_op_num_threads, instances) how far the baseline's medians are from those of itself measured again, as logarithms."""
    found: dict[tuple[int, int], list[float]] = {}
    for point, first in visits.items():
        second = visits.get(msgspec.structs.replace(point, variant=baseline + AGAIN))
        if point.variant == baseline and second:
            difference = abs(math.log(_median(first) / _median(second)))
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


def _unmeasured(plan: Plan, journal: Journal) -> list[Exclusion]:
    """Return, per ladder that was left early, the batch sizes not measured and why; a point that failed has said so itself."""
    visits, limit = journal.visits, _limit_s(plan)
    largest = batch_sizes(plan.facts, plan.settings.max_batch_size)[-1]
    failed = {msgspec.structs.replace(point, batch_size=0) for point in journal.points_left_out}
    tops: dict[Point, Point] = {}
    for point in visits:
        ladder = msgspec.structs.replace(point, batch_size=0)
        if ladder not in tops or point.batch_size > tops[ladder].batch_size:
            tops[ladder] = point
    found = []
    for point in tops.values():
        is_known = msgspec.structs.replace(point, batch_size=0) in failed or point.variant.endswith(AGAIN)
        if point.batch_size < largest and not is_known:
            took = _median(visits[point])
            said = f"a call of batch {point.batch_size} takes {seconds(took)} already, more than {seconds(limit)}"
            reason = said if took > limit else f"the budget of {seconds(plan.settings.budget_s)} was spent"
            found.append(Exclusion(what=f"{point.variant} above batch {point.batch_size}{_setting(point)}", reason=reason))
    return found


def _setting(point: Point) -> str:
    length = "" if point.sequence_length is None else f", length {point.sequence_length}"
    threads = f"{point.intra_op_num_threads} thread{'s' if point.intra_op_num_threads > 1 else ''}"
    return f"{length}, {threads}" + (f" × {point.instances} instances" if point.instances > 1 else "")


def _profile(plan: Plan, journal: Journal) -> Profile:
    visits = journal.visits
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
    waited = sum(visit.run_delay_s or 0.0 for made in visits.values() for visit in made)
    notes = []
    if journal.measured_s > 0 and waited > 0.05 * journal.measured_s:
        notes.append(
            f"the machine was busy: threads waited {seconds(waited)} for a core during {seconds(journal.measured_s)} of measuring; "
            "measure again when it is quiet"
        )
    differences = _differences(visits, baseline_id(plan.facts))
    return Profile(
        schema_version=SCHEMA_VERSION,
        created=plan.created,
        advisor_version=__version__,
        fingerprint=plan.fingerprint,
        model=plan.facts,
        machine=plan.machine,
        versions=ort_session.versions(),
        settings=plan.settings,
        measuring_s=journal.measured_s,
        noise_fraction=_noise_fraction(differences),
        variants=tuple(variant for variant in journal.variants if any(point.variant == variant.id for point in visits)),
        measurements=tuple(measurements),
        exclusions=(*journal.exclusions, *_unmeasured(plan, journal)),
        notes=tuple(notes),
        noise_floors=_noise_floors(differences),
    )
