"""The candidates of advice: students that nobody has trained are priced and never advised; the frontier is screened."""

import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.decide.advice.recommendation import SCREENING_REQUESTS, _screened
from advisor.decide.queue.demand import quantiles
from advisor.schema.distillation import Student
from advisor.schema.workload import Baseline, Quality
from advisor.units import seconds
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
    assert "layers-3" == priced.served.candidate.variant and priced.served.meets_slo
    assert priced.served.cost_usd_per_hour.value < advice.recommended.cost_usd_per_hour.value
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


def test_no_two_rows_of_a_frontier_look_alike_and_none_costs_more_for_a_latency_that_looks_the_same():
    measured = profile(fixed_cost_law(0.0001, 0.00001), batch_sizes=(1, 2, 4, 8, 16))
    asked = workload(2.0, 0.3)

    advice = advise(measured, request(asked, measured), None)

    shown = [(entry.cost_usd_per_hour.value, seconds(entry.latency_slo_s.value)) for entry in advice.frontier]
    assert advice.recommended in advice.frontier
    assert len(set(shown)) == len(shown)
    assert len({latency for _, latency in shown}) == len(shown)


@pytest.mark.parametrize("requests_per_s", [2.0, 60.0, 300.0])
def test_what_is_screened_once_for_several_batch_sizes_is_what_each_would_have_shown(requests_per_s):
    measured = profile(fixed_cost_law(0.01, 0.001), variants=(variant(), variant("half")), batch_sizes=(1, 2, 4, 8, 16))
    site = under(workload(requests_per_s, 0.3), measured)
    space = site.space({"fp32", "half"})
    runs = []

    found = _screened(site, space, [1, 2])

    for (entry, replicas), latency_s in found.items():
        run = site.simulator.run(entry, replicas, "high", 0, requests=SCREENING_REQUESTS)
        assert float(quantiles(run.latency_s, (site.workload.slo.quantile,))[0]) == latency_s
        runs.append(len(run.batches))
    assert 16 == max(runs) and len(set(runs)) > 1
