"""Which points are timed, in what order: few batch sizes first, then those in between about which the others leave most doubt."""

import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import msgspec

from advisor.measure.timing.clean_visits import Counted, counted, counted_of
from advisor.measure.timing.profile_journal import Point, ProfileJournal
from advisor.measure.timing.settings import TimingSettings
from advisor.measure.variants.making import AGAIN, Plan
from advisor.schema.model import ModelFacts

MIN_ROUNDS = 3
ENOUGH_FRACTION = 0.02  # of the median: visits that agree this well need no further round
# Tree ensembles step at batch sizes of their own; up to here each is measured.
EVERY_TREE_BATCH = 32
WARM_UP_CALLS, MIN_CALLS = 1, 2
SHORT_PART = 0.01  # of the time for timing
# Without a latency target, a call longer than this is no serving configuration.
LONGEST_CALL_S = 2.0
# Two batch sizes show what a further item costs; which others matter, the decision says.
FIRST_LARGER_BATCH = 16
FIRST_CALL_S = 0.1


class Pace(NamedTuple):
    """How a point is visited."""

    min_calls: int
    warms_up_every_visit: bool


def batch_sizes(facts: ModelFacts, max_batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes to begin with, ascending: powers of four for networks, whose time per call is smooth between them.

    Tree ensembles step at batch sizes of their own and cost next to nothing to time, so theirs lie closer.
    """
    if not facts.batching.possible:
        return (1,)
    sizes = {1, max_batch_size}
    multiple = facts.batching.multiple
    if multiple > 1:
        # A call costs the same until it has to take as many more: both sides of such a step, and one item, which fills up to the first.
        steps = {multiple << power for power in range(0, max_batch_size.bit_length(), 2)}
        sizes |= steps | {size + 1 for size in steps}
    elif facts.family == "tree":
        sizes |= set(range(1, EVERY_TREE_BATCH + 1))
        sizes |= {1 << power for power in range(max_batch_size.bit_length())}
        sizes |= {3 << power for power in range(max_batch_size.bit_length())}
    else:
        sizes |= {1 << power for power in range(0, max_batch_size.bit_length(), 2)}
    return tuple(sorted(size for size in sizes if size <= max_batch_size))


def thread_settings(cores: int) -> tuple[tuple[int, int], ...]:
    """Return the (intra_op_num_threads, instances) to measure: powers of two of threads, alone and filling the cores."""
    threads = sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores})
    return tuple((count, instances) for count in threads for instances in sorted({1, cores // count}))


def pace_of(expected_s: float, timing_s: float) -> Pace:
    """Return how a point is visited whose calls are expected to take so long, where timing has so many seconds in all.

    Of calls so long that few visits fit in, one is a visit, and only the first visit of a point has one beforehand to warm up.
    """
    if expected_s > SHORT_PART * timing_s:
        return Pace(min_calls=1, warms_up_every_visit=False)
    return Pace(min_calls=MIN_CALLS, warms_up_every_visit=True)


def visit_s(pace: Pace, expected_s: float, plan: Plan, *, is_first: bool) -> float:
    """Return how long a visit of calls that are expected to take so long lasts."""
    warm_up_calls = WARM_UP_CALLS if is_first or pace.warms_up_every_visit else 0
    return warm_up_calls * expected_s + max(pace.min_calls * expected_s, plan.timing.visit_s)


def expected_call_s(point: Point, journal: ProfileJournal, one_item_s: float) -> float:
    """Return about how long a call at the point takes: by the nearest one that was visited, else by a call of one item on one thread.

    Larger batches are taken to cost as much per item, other settings as much per call: no less than the truth, as a rule.
    """
    visited = [known for known in journal.visits if known.variant == point.variant]
    if not visited:
        return one_item_s * point.batch_size

    def distance(known: Point) -> tuple[bool, float, bool]:
        return (
            known.sequence_length != point.sequence_length,
            abs(math.log(known.batch_size / point.batch_size)),
            ladder_of(known) != ladder_of(point),
        )

    nearest = min(visited, key=distance)
    scale = point.batch_size / nearest.batch_size
    if point.sequence_length is not None and nearest.sequence_length is not None:
        scale *= point.sequence_length / nearest.sequence_length
    return scale * counted_of(journal.visits[nearest], None).median_s


def first_sizes(plan: Plan) -> tuple[int, ...]:
    """Return the batch sizes of the first pass: all where no decision chooses among them, else one item and some larger batches.

    Of these each ladder has at most one. Tree ensembles cost next to nothing to time, and step at batch sizes of their own: all are timed.
    """
    sizes = batch_sizes(plan.facts, plan.settings.max_batch_size)
    if not _is_brief(plan):
        return sizes
    return (sizes[0], *(size for size in sizes[1:] if size <= FIRST_LARGER_BATCH))


def _is_brief(plan: Plan) -> bool:
    return plan.ask is not None and plan.facts.family != "tree"


def ladders(
    plan: Plan, names: list[str], brief: frozenset[str] | set[str] = frozenset(), last: frozenset[str] | set[str] = frozenset()
) -> list[list[Point]]:
    """Return ladders of points that differ in batch size alone, ascending, shortest sequences first.

    Those of the variants in `brief`, which cannot be recommended, have one rung: only their speed is reported. Those in `last` come after
    all others.
    """
    sizes = first_sizes(plan)
    lengths: tuple[int | None, ...] = tuple(sorted(plan.settings.sequence_lengths)) or (plan.facts.at_sequence_length,)
    found = []
    # Every variant under one setting, then under the next: where time is short, all are known under the first.
    settings = list(product(thread_settings(plan.machine.cores), names))
    # What runs today comes right after the very first.
    settings[1:] = sorted(settings[1:], key=lambda entry: ((entry[1], *entry[0]) != plan.today, entry[1] in last))
    for (threads, instances), name in settings:
        # The noise floor needs a few points, not all of them again.
        is_again = name.endswith(AGAIN)
        for length in lengths[len(lengths) // 2 :][:1] if is_again else lengths:
            point = Point(variant=name, batch_size=1, sequence_length=length, intra_op_num_threads=threads, instances=instances)
            rungs = sizes[:2] if is_again else sizes[:1] if name in brief else sizes
            found.append([msgspec.structs.replace(point, batch_size=size) for size in rungs])
    return found


def ladder_of(point: Point) -> Point:
    """Return what the points of one ladder have in common, as a point of batch size 0."""
    return msgspec.structs.replace(point, batch_size=0)


def longest_call_s(plan: Plan) -> float:
    """Return the seconds beyond which a call is no serving configuration."""
    return plan.settings.max_latency_s or LONGEST_CALL_S


def climb(
    plan: Plan, rungs: list[list[Point]], journal: ProfileJournal, is_affordable: Callable[[Point], bool]
) -> Iterator[Point]:
    """Yield the points of the first round, climbing each ladder only as long as a call stays short enough to serve with.

    What is not affordable is passed over, but for the first of all points and what runs today, without which there is no advice.
    """
    limit_s = longest_call_s(plan)
    # All ladders a rung at a time, so that variants are interleaved in time from the start.
    for rung in range(max(map(len, rungs), default=0)):
        for ladder in rungs:
            if rung >= len(ladder) or not _may_climb(ladder[:rung], journal, limit_s):
                continue
            if _is_brief(plan) and rung > 0 and rung != _second_rung(ladder, journal):
                continue
            point = ladder[rung]
            runs_today = rung == 0 and (point.variant, point.intra_op_num_threads, point.instances) == plan.today
            if point in journal.visits or not journal.visits or runs_today or is_affordable(point):
                yield point


def _may_climb(below: list[Point], journal: ProfileJournal, limit_s: float) -> bool:
    if not below:
        return True
    visited = [journal.visits[point] for point in below if point in journal.visits]
    return bool(visited) and counted_of(visited[-1], None).median_s <= limit_s


def _second_rung(ladder: list[Point], journal: ProfileJournal) -> int | None:
    """Return the place of the largest batch whose call is expected to be short; None where even the smallest would take long.

    What longer calls of batches take is asked for by the decision, of what could be the answer.
    """
    item_s = counted_of(journal.visits[ladder[0]], None).median_s / ladder[0].batch_size
    short = [place for place in range(1, len(ladder)) if item_s * ladder[place].batch_size <= FIRST_CALL_S]
    return short[-1] if short else None


def later_round(plan: Plan, journal: ProfileJournal, shuffle: random.Random, *, with_refinements: bool) -> list[Point]:
    """Return the points of a later round: in an order of its own those not yet known well enough, then new ones, most doubtful first.

    A call beyond the limit was worth one visit, to know where its ladder ends.
    """
    limit_s, known = longest_call_s(plan), counted(journal.visits)
    points = [point for point, visits in known.items() if visits.median_s <= limit_s and not is_settled(visits)]
    points = in_an_order(points, shuffle)
    if not with_refinements:
        return points
    added = refinements(known, plan.timing, limit_s=limit_s)
    return points + [point for point in added if point not in journal.points_left_out]


def in_an_order(points: Sequence[Point], shuffle: random.Random) -> list[Point]:
    """Return the points in an order of its own, those of one setting of a process after each other.

    Sessions of large models are closed when others open: so each is opened once a round, not once a point.
    """
    shuffled = shuffle.sample(points, len(points))
    places: dict[Point, int] = {}
    for point in shuffled:
        places.setdefault(_setting_of(point), len(places))
    return sorted(shuffled, key=lambda point: places[_setting_of(point)])


def _setting_of(point: Point) -> Point:
    return msgspec.structs.replace(point, batch_size=0, sequence_length=None)


def refinements(visits_of: Mapping[Point, Counted], timing: TimingSettings, *, limit_s: float) -> list[Point]:
    """Return new points between measured neighbors where ways to interpolate differ by more than is allowed, widest first.

    They must differ by more than the neighbors' own visits do: on a busy machine a point measured later than its neighbors was seen
    to differ from them by what the machine did meanwhile, and told nothing of its batch size.
    """
    found: dict[Point, list[tuple[int, Counted]]] = {}
    for point, visits in visits_of.items():
        if not point.variant.endswith(AGAIN):
            found.setdefault(ladder_of(point), []).append((point.batch_size, visits))
    unsure = []
    for ladder, entries in found.items():
        entries.sort(key=_batch_size)
        sizes, medians = [size for size, _ in entries], [visits.median_s for _, visits in entries]
        # A call beyond the limit has one visit for good.
        is_known = [visits.made >= MIN_ROUNDS or visits.median_s > limit_s for _, visits in entries]
        for gap in range(len(sizes) - 1):
            middle = midpoint(sizes[gap], sizes[gap + 1])
            if middle is not None and is_known[gap] and is_known[gap + 1]:
                guesses = predictions_s(sizes, medians, gap, middle)
                doubt = max(guesses) / min(guesses) - 1
                point = msgspec.structs.replace(ladder, batch_size=middle)
                errors = [visits.standard_error for _, visits in entries[gap : gap + 2]]
                enough = max(timing.unsure_fraction, timing.errors_to_exceed * max(errors))
                if doubt > enough and min(guesses) <= limit_s:
                    unsure.append((doubt, point))
    unsure.sort(key=_doubt, reverse=True)
    return [point for _, point in unsure]


def _batch_size(entry: tuple[int, Counted]) -> int:
    return entry[0]


def _doubt(entry: tuple[float, Point]) -> float:
    return entry[0]


def midpoint(below: int, above: int) -> int | None:
    """Return the batch size at the geometric mean of two others, None where there is none strictly between them."""
    return round(math.sqrt(below * above)) if above - below > 1 else None


def predictions_s(sizes: Sequence[int], medians_s: Sequence[float], gap: int, batch_size: int) -> tuple[float, ...]:
    """Return what a call of `batch_size` would take, between the measured sizes[gap] and sizes[gap + 1], after several laws.

    A power law through both neighbors, a fixed cost and a cost per item through both, and where there are three points or more a
    cubic in logarithms (Hermite's) whose slopes at the neighbors are the means of those on either side of each.
    """
    x, y = [math.log(size) for size in sizes], [math.log(median) for median in medians_s]
    width, share = x[gap + 1] - x[gap], (math.log(batch_size) - x[gap]) / (x[gap + 1] - x[gap])
    power = math.exp(y[gap] + share * (y[gap + 1] - y[gap]))
    part = (batch_size - sizes[gap]) / (sizes[gap + 1] - sizes[gap])
    affine = medians_s[gap] + part * (medians_s[gap + 1] - medians_s[gap])
    if len(sizes) == 2:
        return power, affine
    steps = [(y[index + 1] - y[index]) / (x[index + 1] - x[index]) for index in range(len(x) - 1)]
    left, right = (statistics.mean(steps[max(0, index - 1) : index + 1]) for index in (gap, gap + 1))
    cubic = (
        (1 + 2 * share) * (1 - share) ** 2 * y[gap]
        + share * (1 - share) ** 2 * width * left
        + share**2 * (3 - 2 * share) * y[gap + 1]
        - share**2 * (1 - share) * width * right
    )
    return power, affine, math.exp(cubic)


def is_settled(visits: Counted) -> bool:
    """Return whether the medians of the visits agree so well that their mean is known to ENOUGH_FRACTION."""
    return visits.undisturbed >= MIN_ROUNDS and visits.standard_error <= ENOUGH_FRACTION / 2
