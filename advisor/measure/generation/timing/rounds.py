"""The points of all variants, timed in rounds: those first that take least, then each as often as time allows; some take too long."""

import itertools
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from advisor.errors import AdvisorError
from advisor.measure.generation.scripts import Script
from advisor.measure.generation.step_timing import Decode, Point, Prefill, Step, by_cost, expected_call_s, rank
from advisor.measure.generation.timing.journal import GenerationJournal, LeftOut, Visited
from advisor.measure.generation.variant_process import Timed
from advisor.schema.generation import StepVisit
from advisor.schema.record import Exclusion
from advisor.units import counted, seconds

# Visits of a point that are aimed at; and the part of the time that the first round, with its calls to warm up, may take: of one visit
# nobody knows how much the next differs.
AIMED_ROUNDS, FIRST_SHARE = 6, 0.6
BETWEEN = 2  # the rank of steps that others tell
LAST = 3  # of settings that are timed where there is time left for them
WARM_UP_S = 0.5  # calls that take longer find nothing cold that would show


class Pace(NamedTuple):
    """How long and how often points are visited at most: beyond it more visits hardly add to what is known."""

    longest_visit_s: float = 0.25
    most_rounds: int = 8
    longest_watch_s: float = 1.0  # for stalls, before any of them
    most_pairs: int = 8  # of runs without and with prompt lookup


USUAL_PACE = Pace()
# Makes a visit of a point, of so many seconds after so many calls to warm up, with this order.
Visit = Callable[[Point, float, int, int], Timed]


class Rounds:
    """Visits of points until the time for them is over."""

    def __init__(
        self,
        journal: GenerationJournal,
        visit: Visit,
        sha256: Mapping[str, str],
        *,
        left_s: Callable[[], float],
        spent_s: Callable[[], float],
        say: Callable[[str], None],
        seed: int,
        pace: Pace = USUAL_PACE,
    ) -> None:
        """`sha256` is of each variant's files; `left_s` is left for timing, `spent_s` spent in all; `say` takes what is done."""
        self._journal, self._visit, self._sha256 = journal, visit, sha256
        self._left_s, self._spent_s, self._say = left_s, spent_s, say
        self._pace, self._shuffle = pace, random.Random(seed)
        self._known: dict[tuple[str, int], dict[Step, float]] = {}
        self._is_warm: set[Point] = set()
        self._passed_over: list[Point] = []
        for point, made in journal.visits.items():
            self._know(point, made)

    def time(
        self, points: Sequence[Point], brief: Sequence[Point], *, together: bool, last: Collection[tuple[str, int]] = ()
    ) -> None:
        """Visit all points once, then the first of them again and again; `brief` are those for which one visit is enough.

        Variants and numbers of threads that are `last` have their first turn when all others had it. Where variants do not fit into memory
        `together`, each has its turn in a round, and the others are closed meanwhile.
        """
        began_s, listed = self._left_s(), [*points, *brief]
        visit_s = min(self._pace.longest_visit_s, max(began_s, 0.0) / max(1, AIMED_ROUNDS * len(points) + len(brief)))
        for point in self._first(listed, together=together, last=last):
            if self._journal.visits.get(point) or point in self._journal.points_left_out:
                continue
            # There has to be time for a second round.
            spent_s = began_s - self._left_s()
            if spent_s + self._expected_s(point, visit_s) <= FIRST_SHARE * began_s or not self._known:
                self._make(point, visit_s)
            else:
                self._passed_over.append(point)
        for number in range(1, self._pace.most_rounds):
            for point in self._later(points, together=together):
                visits = self._journal.visits.get(point, [])
                if not visits or len(visits) > number or point in self._journal.points_left_out:
                    continue
                if self._left_s() <= 0:
                    return
                if self._expected_s(point, visit_s) <= self._left_s():
                    self._make(point, visit_s)

    def passed_over(self) -> Iterator[Exclusion]:
        """Yield what there was no time for: of each variant and number of threads how many steps, and the longest of them."""
        for name, threads in _groups(self._passed_over):
            steps = [point.step for point in self._passed_over if _group(point) == (name, threads)]
            longest = max(steps, key=lambda step: expected_call_s(step, self._known.get((name, threads), {})))
            point = Point(variant=name, intra_op_num_threads=threads, step=longest)
            call_s = self._expected_s(point, 0.0)
            reason = f"too long for the budget: a visit takes about {seconds(call_s)}" if call_s else "the budget was spent"
            more = f", and {counted(len(steps) - 1, 'other step')}" if len(steps) > 1 else ""
            yield Exclusion(what=f"{named(point)}{more}", reason=reason)

    def _first(self, points: Sequence[Point], *, together: bool, last: Collection[tuple[str, int]]) -> Iterator[Point]:
        """Yield first the points that tell most, of these first those on all cores, which is how servers run by default.

        Then those that take least; of each step all variants have their turn, for they are compared.
        """
        steps = {point.step for point in points}
        places = {step: (rank(step, steps), place) for place, step in enumerate(by_cost(steps))}
        groups, most = _groups(points), max((point.intra_op_num_threads for point in points), default=1)

        def turn(point: Point) -> tuple[int, ...]:
            first, place = places[point.step]
            group = groups.index(_group(point))
            late = LAST if _group(point) in last else 0
            if not together:
                return late, group, first, place
            # Scripts are long: that there is time for them must not cost others what they are told by.
            turns = 2 * (point.intra_op_num_threads < most) + isinstance(point.step, Script)
            return max(late, first if first == BETWEEN else 0), turns, first, place, group

        yield from sorted(points, key=turn)

    def _later(self, points: Sequence[Point], *, together: bool) -> list[Point]:
        """Return the points in another order: what disturbs a part of a round falls on other points each time."""
        listed = list(points)
        self._shuffle.shuffle(listed)
        if together:
            return listed
        groups = _groups(listed)
        return sorted(listed, key=lambda point: groups.index(_group(point)))

    def _warm_up_calls(self, point: Point) -> int:
        known = self._known.get(_group(point), {})
        return int(point not in self._is_warm and expected_call_s(point.step, known) < WARM_UP_S)

    def _expected_s(self, point: Point, visit_s: float) -> float:
        call_s = expected_call_s(point.step, self._known.get(_group(point), {}))
        return max(call_s, visit_s) + self._warm_up_calls(point) * call_s

    def _make(self, point: Point, visit_s: float) -> None:
        self._say(f"timing {named(point)}")
        began_s = self._spent_s()
        try:
            timed = self._visit(point, visit_s, self._warm_up_calls(point), self._journal.next_order)
        except AdvisorError as error:
            self._leave_out(point, error.fault)
            return
        self._is_warm.add(point)
        entry = Visited(
            point=point,
            sha256=self._sha256[point.variant],
            visit=timed.visit,
            parts=timed.parts,
            elapsed_s=max(0.0, self._spent_s() - began_s),
            peak_memory_bytes=timed.peak_memory_bytes,
        )
        self._journal.add(entry)
        self._know(point, self._journal.visits[point])

    def _know(self, point: Point, made: Sequence[StepVisit]) -> None:
        calls = itertools.chain.from_iterable(visit.wall_s for visit in made)
        self._known.setdefault(_group(point), {})[point.step] = statistics.median(calls)

    def _leave_out(self, point: Point, reason: str) -> None:
        self._journal.add(LeftOut(exclusion=Exclusion(what=named(point), reason=reason), point=point))


def named(point: Point) -> str:
    """Return what is timed, in words."""
    threads, step = counted(point.intra_op_num_threads, "thread"), point.step
    if isinstance(step, Prefill):
        behind = f" behind {step.past_tokens:,}" if step.past_tokens else ""
        return f"{point.variant}, a prompt of {counted(step.tokens, 'token')}{behind}, {threads}"
    if isinstance(step, Script):
        beside = f" beside {counted(step.batch_size, 'request')}" if step.batch_size else ""
        return f"{point.variant}, a prompt of {counted(step.prompt_tokens, 'token')} and steps behind it{beside}, {threads}"
    assert isinstance(step, Decode)
    return (
        f"{point.variant}, a token for each of {counted(step.batch_size, 'request')} at {step.context_tokens:,} cached, {threads}"
    )


def _group(point: Point) -> tuple[str, int]:
    return point.variant, point.intra_op_num_threads


def _groups(points: Sequence[Point]) -> list[tuple[str, int]]:
    return list(dict.fromkeys(map(_group, points)))
