"""What is timed after the first pass: the points that the answer rests on, until it stands or the time is over."""

import random
from collections.abc import Iterable

import msgspec

from advisor.measure.timing.clean_visits import Counted, counted
from advisor.measure.timing.opinion import Opinion, Wanted
from advisor.measure.timing.profile_journal import Point, ProfileJournal
from advisor.measure.timing.schedule import MIN_ROUNDS, batch_sizes, in_an_order, is_settled, ladder_of, longest_call_s
from advisor.measure.variants.making import AGAIN, Plan, baseline_id
from advisor.visits import ENOUGH_VISITS

# Beyond so many, what is left open lies in what the machine does from minute to minute, and a further visit moves no interval.
MOST_VISITS = 20
POINTS_AT_ONCE = 12  # before the decision is asked again


def next_points(
    plan: Plan, journal: ProfileJournal, opinion: Opinion, shuffle: random.Random, *, with_others: bool = True
) -> list[Point]:
    """Return the points of the next round, in an order of its own; none where nothing is left to learn.

    Each is visited ENOUGH_VISITS times, in as many rounds; what leaves the answer open, up to MOST_VISITS times. Then, `with_others`, come
    all that have fewer than MIN_ROUNDS: what they differ by from visit to visit is what the noise is pooled from. Half of each such round
    are points that the answer rests on: it may stand by a lucky visit, and hundreds of others must not use up the time to see that.
    """
    known, limit_s = counted(journal.visits), longest_call_s(plan)
    deciding = [point for point in _points(plan, known, opinion.wanted) if point not in journal.points_left_out]
    # What nobody looked at yet may be the better answer: it comes before the last doubts of what is known.
    enough = ENOUGH_VISITS if opinion.stands or not with_others else MOST_VISITS
    chosen = _least_known((point for point in deciding if _is_worth(known.get(point), enough, limit_s)), known, POINTS_AT_ONCE)
    if not chosen and with_others:
        others = [point for point, visits in known.items() if visits.made < MIN_ROUNDS and visits.median_s <= limit_s]
        chosen = _least_known(others, known, POINTS_AT_ONCE // 2)
        if chosen:
            open_still = (
                point for point in deciding if point not in chosen and _is_worth(known.get(point), MOST_VISITS, limit_s)
            )
            chosen += _least_known(open_still, known, POINTS_AT_ONCE - len(chosen))
    chosen += _again(plan, chosen, known)
    return in_an_order(chosen, shuffle)


def _least_known(points: Iterable[Point], known: dict[Point, Counted], count: int) -> list[Point]:
    """Return so many of the points, those first that are known least; they come the most open first."""
    return sorted(points, key=lambda point: known[point].made if point in known else 0)[:count]


def _is_worth(visits: Counted | None, enough: int, limit_s: float) -> bool:
    if visits is None or visits.made < ENOUGH_VISITS:
        return visits is None or visits.median_s <= limit_s
    return visits.made < enough and visits.median_s <= limit_s and not is_settled(visits)


def _points(plan: Plan, known: dict[Point, Counted], wanted: Iterable[Wanted]) -> list[Point]:
    """Return the points of what is wanted, each once; where the largest batch that was timed is wanted, the next larger one too."""
    lengths: tuple[int | None, ...] = tuple(sorted(plan.settings.sequence_lengths)) or (plan.facts.at_sequence_length,)
    ladder = batch_sizes(plan.facts, plan.settings.max_batch_size)
    found: dict[Point, None] = {}
    for entry in wanted:
        for length in lengths:
            at = Point(
                variant=entry.variant,
                batch_size=0,
                sequence_length=length,
                intra_op_num_threads=entry.intra_op_num_threads,
                instances=entry.instances,
            )
            timed = [point.batch_size for point in known if ladder_of(point) == at]
            sizes = set(entry.batch_sizes)
            if timed and max(sizes, default=0) >= max(timed):
                sizes.update([size for size in ladder if size > max(timed)][:1])
            for size in sorted(sizes):
                found[msgspec.structs.replace(at, batch_size=size)] = None
    return list(found)


def _again(plan: Plan, chosen: list[Point], known: dict[Point, Counted]) -> list[Point]:
    """Return the points of the repeated baseline beside those of the baseline: what equal things differ by in two processes."""
    as_given = baseline_id(plan.facts)
    partners = [msgspec.structs.replace(point, variant=as_given + AGAIN) for point in chosen if point.variant == as_given]
    return [point for point in partners if point in known and point not in chosen]
