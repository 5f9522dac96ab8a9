"""Students among the variants of a profile: each as it is, then under what makes the model itself fastest, while there is time."""

import msgspec

from advisor.measure.distillation.student_files import StudentFile
from advisor.measure.variants import quantize
from advisor.measure.variants.making import clear_unfinished, name_of, plan_of_student, student_variant
from advisor.measure.variants.screening import OVER_BUDGET, Lineup, rounded_up
from advisor.schema.catalog import Scheme
from advisor.schema.record import Exclusion
from advisor.units import seconds

WORTH_COMBINING = 1.05  # times as fast as the model as given: less is noise
NOT_OF_FILES = {"transformer-fusion"}  # needs the checkpoint of the student


def take_students(lineup: Lineup) -> None:
    """Take the students of the plan after all else, in order of hope: their speed is of use only beside what needs no training."""
    made = lineup.plan.students
    if not made:
        return
    for student in made:
        _take_as_it_is(lineup, student)
    there = {variant.id for variant in lineup.variants}
    lineup.look_again()
    for student in made:
        for scheme in _schemes(lineup, student) if student.id in there else ():
            _take_under(lineup, student, scheme)
    clear_unfinished(lineup.plan.folder)


def _take_as_it_is(lineup: Lineup, student: StudentFile) -> None:
    if student.id in lineup.left_out:
        return
    known = lineup.known(student.id)
    if known is not None:
        lineup.reopen(known)
        return
    with lineup.on_account(student.id):
        lineup.take(student_variant(lineup.plan, student))


def _schemes(lineup: Lineup, student: StudentFile) -> list[Scheme]:
    """Return under which schemes to take a student: those that the user named, the fastest, and the fastest that quantizes.

    Of one that nobody has trained the fastest alone: its speed is what may have it trained.
    """
    named = lineup.plan.settings.wanted
    by_id = {scheme.id: scheme for scheme in lineup.plan.schemes if scheme.method not in NOT_OF_FILES}
    fast = [variant for variant in lineup.variants if variant.id in by_id and not lineup.fails(variant)]
    fast = sorted(fast, key=lambda variant: -lineup.speed(variant.id))
    fast = [variant for variant in fast if lineup.speed(variant.id) > WORTH_COMBINING]
    quantized = [variant for variant in fast if by_id[variant.id].method in quantize.QUANTIZING]
    chosen = [*fast[:1], *(quantized[:1] if student.student.is_trained else ())]
    ids = dict.fromkeys([*(id_ for id_ in named if id_ in by_id), *(variant.id for variant in chosen)])
    return [by_id[id_] for id_ in ids]


def _take_under(lineup: Lineup, student: StudentFile, scheme: Scheme) -> None:
    plan = plan_of_student(lineup.plan, student)
    name = name_of(plan, scheme)
    if name in lineup.left_out:
        return
    known = lineup.known(name)
    if known is not None:
        lineup.reopen(known)
        return
    # A smaller file takes no longer than the model's did.
    cost_s = lineup.spent_s[scheme.id] if scheme.id in lineup.spent_s else lineup.cost_s(scheme)
    if cost_s > lineup.ledger.preparing_left_s and scheme.id not in lineup.plan.settings.wanted:
        enough = seconds(rounded_up(lineup.ledger.sufficient_s(cost_s)))
        fault = f"making and comparing it would take about {seconds(cost_s)}; a budget of {enough} would do"
        lineup.leave_out(Exclusion(what=name, reason=f"{OVER_BUDGET} {seconds(lineup.ledger.budget_s)}: {fault}"))
        return
    lineup.say(f"making {name}")
    with lineup.on_account(name):
        with lineup.ledger.loading():
            lineup.tools.load()
        found = lineup.tools.made(scheme, student.graph, plan)
        if isinstance(found, Exclusion):
            lineup.leave_out(msgspec.structs.replace(found, what=name))
        else:
            lineup.take(found)
