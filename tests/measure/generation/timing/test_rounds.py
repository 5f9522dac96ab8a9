"""Rounds of visits: every variant by turns, as often as the budget allows, and what is too slow is left out with its reason."""

from itertools import pairwise

from msgspec.structs import replace

from advisor.errors import ModelError
from advisor.measure.generation.scripts import Part, Script
from advisor.measure.generation.step_timing import Decode, Point, Prefill
from advisor.measure.generation.timing.journal import GenerationJournal
from advisor.measure.generation.timing.rounds import Rounds, named
from advisor.measure.generation.variant_process import Timed
from advisor.schema.generation import StepVisit

STEPS = (Prefill(tokens=8), Prefill(tokens=64), Decode(batch_size=1, context_tokens=8), Decode(batch_size=4, context_tokens=256))
SHA256 = {"fp32": "f" * 64, "int8": "8" * 64, "openvino": "0" * 64}


class Machine:
    """Makes visits that take what a law says, on a clock of its own."""

    def __init__(self, journal, budget_s, *, slowness=1.0, failing=()):
        self.journal, self.budget_s, self.slowness, self.failing = journal, budget_s, slowness, failing
        self.spent_s, self.made = 0.0, []

    def call_s(self, point):
        step = point.step
        return self.slowness * (0.001 * step.tokens if isinstance(step, Prefill) else 0.002 * step.batch_size)

    def visit(self, point, seconds, warm_up_calls, order):
        self.made.append(point)
        if point in self.failing:
            raise ModelError("it crashed", hint="-")
        call_s = self.call_s(point)
        calls = max(1, round(seconds / call_s))
        self.spent_s += (calls + warm_up_calls) * call_s
        visit = StepVisit(order=order, wall_s=(call_s,) * calls, cpu_s=(call_s,) * calls)
        return Timed(visit=visit, peak_memory_bytes=1000)

    def rounds(self, *, seed=0):
        return Rounds(
            self.journal,
            self.visit,
            SHA256,
            left_s=lambda: self.budget_s - self.spent_s,
            spent_s=lambda: self.spent_s,
            say=lambda what: None,
            seed=seed,
        )


def points(*names, threads=(1, 2)):
    return [Point(variant=name, intra_op_num_threads=count, step=step) for name in names for count in threads for step in STEPS]


def journal_in(tmp_path, name="j.journal"):
    return GenerationJournal(tmp_path / name, "question")


def test_every_point_is_visited_in_five_rounds_where_the_budget_allows(tmp_path):
    machine = Machine(journal_in(tmp_path), 60.0)
    listed = points("fp32", "int8")

    machine.rounds().time(listed, [], together=True)

    assert all(5 <= len(machine.journal.visits[point]) for point in listed)
    assert machine.spent_s <= 60.0
    # Between two visits of one point all others have their turn.
    orders = {point: [visit.order // len(listed) for visit in made] for point, made in machine.journal.visits.items()}
    assert all(rounds == sorted(set(rounds)) for rounds in orders.values())


def test_variants_take_turns_in_the_first_round(tmp_path):
    machine = Machine(journal_in(tmp_path), 60.0)

    machine.rounds().time(points("fp32", "int8", threads=(1,)), [], together=True)

    assert ["fp32", "int8"] * 4 == [point.variant for point in machine.made[:8]]


def test_where_memory_is_short_variants_come_one_after_the_other(tmp_path):
    machine = Machine(journal_in(tmp_path), 60.0)

    machine.rounds().time(points("fp32", "int8", threads=(1,)), [], together=False)

    names = [point.variant for point in machine.made]
    changes = sum(one != other for one, other in pairwise(names))
    assert changes <= 2 * (len(names) // 8)


def test_a_slow_model_is_timed_as_far_as_the_budget_goes_and_the_rest_is_named(tmp_path):
    machine = Machine(journal_in(tmp_path), 10.0, slowness=100.0)
    listed = points("fp32", threads=(1,))
    rounds = machine.rounds()

    rounds.time(listed, [], together=True)

    missed = Point(variant="fp32", intra_op_num_threads=1, step=Prefill(tokens=64))
    assert set(machine.journal.visits) == set(listed) - {missed}
    assert [named(missed)] == [exclusion.what for exclusion in rounds.passed_over()]
    assert all("too long for the budget" in exclusion.reason for exclusion in rounds.passed_over())
    assert all(2 <= len(made) for made in machine.journal.visits.values())
    assert machine.spent_s <= 1.5 * 10.0


def test_what_there_was_no_time_for_is_tried_again_with_more(tmp_path):
    listed = points("fp32", threads=(1,))
    Machine(journal_in(tmp_path), 10.0, slowness=100.0).rounds().time(listed, [], together=True)

    second = Machine(journal_in(tmp_path), 100.0, slowness=100.0)
    rounds = second.rounds()
    rounds.time(listed, [], together=True)

    assert set(listed) == set(second.journal.visits)
    assert [] == list(rounds.passed_over())


def test_many_steps_without_time_are_one_exclusion_a_setting(tmp_path):
    machine = Machine(journal_in(tmp_path), 1.0, slowness=1000.0)
    rounds = machine.rounds()

    rounds.time(points("fp32", "int8"), [], together=True)

    found = list(rounds.passed_over())
    assert 4 == len(found)
    assert any("other steps" in exclusion.what for exclusion in found)


def test_steps_on_all_cores_come_before_those_on_one(tmp_path):
    machine = Machine(journal_in(tmp_path), 60.0)

    machine.rounds().time(points("fp32", threads=(1, 2)), [], together=True)

    assert [2, 2, 2, 2, 1, 1, 1, 1] == [point.intra_op_num_threads for point in machine.made[:8]]


def test_what_crashes_is_left_out_and_the_others_go_on(tmp_path):
    listed = points("fp32", threads=(1,))
    machine = Machine(journal_in(tmp_path), 30.0, failing=(listed[1],))

    machine.rounds().time(listed, [], together=True)

    assert 1 == machine.made.count(listed[1])
    assert [(named(listed[1]), "it crashed")] == [(entry.what, entry.reason) for entry in machine.journal.exclusions]
    assert set(listed) - {listed[1]} == set(machine.journal.visits)


def test_what_is_not_advised_is_visited_once(tmp_path):
    machine = Machine(journal_in(tmp_path), 30.0)
    brief = points("int8", threads=(1,))[:2]

    machine.rounds().time(points("fp32"), brief, together=True)

    assert [1, 1] == [len(machine.journal.visits[point]) for point in brief]


def test_a_run_that_was_ended_goes_on_where_it_stopped(tmp_path):
    listed = points("fp32", threads=(1,))
    first = Machine(journal_in(tmp_path), 0.4)
    first.rounds().time(listed, [], together=True)
    before = {point: list(made) for point, made in first.journal.visits.items()}

    second = Machine(journal_in(tmp_path), 30.0)
    second.rounds().time(listed, [], together=True)

    visits = second.journal.visits
    assert all(made == visits[point][: len(made)] for point, made in before.items())
    assert len(second.made) < 8 * len(listed)
    orders = [visit.order for made in visits.values() for visit in made]
    assert len(orders) == len(set(orders))


def test_points_are_named_as_people_say_them():
    prefill = Point(variant="fp32", intra_op_num_threads=1, step=Prefill(tokens=128, past_tokens=352))
    decode = Point(variant="fp32", intra_op_num_threads=2, step=Decode(batch_size=1, context_tokens=16))

    assert "fp32, a prompt of 128 tokens behind 352, 1 thread" == named(prefill)
    assert "fp32, a token for each of 1 request at 16 cached, 2 threads" == named(decode)


class Scripted(Machine):
    """Plays scripts as well, each of them one part."""

    def call_s(self, point):
        return 0.001 * point.step.size if isinstance(point.step, Script) else super().call_s(point)

    def visit(self, point, seconds, warm_up_calls, order):
        timed = super().visit(point, seconds, warm_up_calls, order)
        part = Part(batch_size=1, context_tokens=1, visit=timed.visit)
        return replace(timed, parts=(part,)) if isinstance(point.step, Script) else timed


def scripted(name, threads, *scripts):
    return [Point(variant=name, intra_op_num_threads=threads, step=Script(*script)) for script in scripts]


def test_settings_that_are_last_have_their_first_turn_when_all_others_had_it(tmp_path):
    machine = Machine(journal_in(tmp_path), 60.0)
    last = points("int8", threads=(2,))

    machine.rounds().time([*last, *points("fp32")], [], together=True, last={("int8", 2)})

    assert last == sorted(machine.made[8:12], key=last.index)


def test_what_is_last_is_what_there_is_no_time_for(tmp_path):
    rounds = Machine(journal_in(tmp_path), 16.0, slowness=100.0).rounds()

    rounds.time([*points("int8", threads=(1,)), *points("fp32", threads=(1,))], [], together=True, last={("fp32", 1)})

    left_out = [exclusion.what for exclusion in rounds.passed_over()]
    assert left_out and all(what.startswith("fp32") for what in left_out)


def test_a_script_is_a_step_among_others_and_what_it_was_made_of_is_kept(tmp_path):
    machine = Scripted(journal_in(tmp_path), 60.0)
    listed = [*scripted("openvino", 2, (0, 0, 16), (0, 0, 300), (7, 16, 100)), *points("fp32", threads=(2,))]

    machine.rounds().time(listed, [], together=True)

    assert set(listed) == set(machine.journal.visits)
    for point in listed[:3]:
        assert len(machine.journal.parts[point]) == len(machine.journal.visits[point]) >= 5
    assert set(listed[:3]) == set(machine.journal.parts)
    # Behind single steps, and of them first what takes least.
    assert [listed[place] for place in (0, 2, 1)] == machine.made[len(listed) - 3 : len(listed)]


def test_a_script_is_named_by_what_it_holds():
    alone, beside = scripted("openvino", 2, (0, 0, 16), (7, 16, 100))

    assert "openvino, a prompt of 16 tokens and steps behind it, 2 threads" == named(alone)
    assert "openvino, a prompt of 100 tokens and steps behind it beside 7 requests, 2 threads" == named(beside)
