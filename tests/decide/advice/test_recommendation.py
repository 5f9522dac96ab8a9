"""The candidates of advice: students that nobody has trained are priced at their speed, and never among what may be advised."""

from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.decide.advice.recommendation import untrained
from advisor.schema.distillation import Student
from advisor.schema.workload import Baseline, Quality
from tests.profiles import drop_of, fixed_cost_law, profile, request, under, variant, workload

STUDENT = Student(id="layers-3", kind="blocks", blocks=3, teacher_blocks=6, parameters=5, teacher_parameters=9, is_trained=False)
FAST = fixed_cost_law(0.02, 0.001, of_variant={"layers-3": 0.25, "layers-1": 0.1})
FLOOR = Quality(metric="accuracy", data="data.npz", max_drop=0.05)
ASKED = workload(900.0, 0.3, quality=FLOOR, baseline=Baseline(replicas=9))
SURE = {"max_uncertainty": 10.0}


def with_student(*, is_trained, quality=None):
    made = replace(variant("layers-3", lossless=False, quality=quality), student=replace(STUDENT, is_trained=is_trained))
    return profile(FAST, variants=(variant(), made))


def test_a_student_that_nobody_has_trained_is_priced_and_not_advised():
    measured = with_student(is_trained=False)

    advice = advise(measured, request(ASKED, measured, **SURE), None)

    assert "layers-3" != advice.recommended.candidate.variant
    (priced,) = advice.students
    assert "layers-3" == priced.candidate.variant and priced.meets_slo
    assert priced.cost_usd_per_hour.value < advice.recommended.cost_usd_per_hour.value
    assert advice.unproven is None and "layers-3" not in {tie.variant for tie in advice.speed_ties}
    (said,) = (entry.reason for entry in advice.exclusions if entry.what == "layers-3")
    assert said.startswith("not trained yet")


def test_no_workload_without_a_floor_admits_it_either():
    site = under(workload(400.0, 0.2), with_student(is_trained=False))

    assert {"fp32"} == site.admitted()


def test_a_trained_student_is_advised_if_its_quality_holds_and_not_if_it_falls_short():
    holds, falls = (with_student(is_trained=True, quality=drop_of(0.01, high)) for high in (0.02, 0.09))

    assert "layers-3" == advise(holds, request(ASKED, holds, **SURE), None).recommended.candidate.variant
    assert "fp32" == advise(falls, request(ASKED, falls, **SURE), None).recommended.candidate.variant
    assert () == untrained(under(ASKED, holds))


def test_the_cheapest_student_comes_first():
    second = replace(variant("layers-1", lossless=False), student=replace(STUDENT, id="layers-1", blocks=1))
    measured = profile(FAST, variants=(variant(), *with_student(is_trained=False).sites[0].variants[1:], second))

    found = untrained(under(workload(2000.0, 0.2), measured))

    assert ["layers-1", "layers-3"] == [entry.candidate.variant for entry in found]
