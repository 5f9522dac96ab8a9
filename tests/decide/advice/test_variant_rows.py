"""What is told of variants and measured times: ratios of the same minute, the best of the measured points, nothing predicted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.advice.variant_rows import service_curves, variant_rows
from advisor.decide.service.measured import undisturbed
from advisor.schema.profile import Visit
from tests.profiles import fixed_cost_law, measurement, power_law, profile, under, variant, with_site, workload

VARIANTS = (variant(), variant("opt"))
TWICE_AS_FAST = fixed_cost_law(0.01, 0.01, of_variant={"opt": 0.5})


def summaries(measured):
    return {entry.id: entry for entry in variant_rows(measured, cleaned(measured), workload())}


def cleaned(measured):
    return tuple(map(undisturbed, measured.sites))


def speedup(measured):
    return summaries(measured)["opt"].speedup


@settings(deadline=None)
@given(st.lists(st.floats(0.2, 5.0), min_size=2, max_size=8))
def test_what_the_machine_does_to_both_cancels_in_the_speedup(levels):
    actual = speedup(profile(TWICE_AS_FAST, variants=VARIANTS, visits=levels))

    assert (2.0, 2.0, 2.0) == pytest.approx((actual.low, actual.value, actual.high))


def test_a_speedup_of_a_single_visit_is_assumed_to_be_unsure():
    single, repeated = (speedup(profile(TWICE_AS_FAST, variants=VARIANTS, visits=visits)) for visits in ((1.0,), (1.0, 1.0)))

    assert 2.0 == pytest.approx(single.value)
    assert single.low < 2.0 / 1.15 < repeated.low <= repeated.high < 2.0 * 1.15 < single.high


@settings(deadline=None)
@given(st.floats(0.01, 1.0))
def test_a_speedup_is_no_surer_than_the_noise_floor(noise_fraction):
    actual = speedup(profile(TWICE_AS_FAST, variants=VARIANTS, noise_fraction=noise_fraction))

    assert (1 + noise_fraction) ** 2 == pytest.approx(actual.high / actual.low)


def test_visits_that_disagree_widen_the_speedup():
    measured = profile(TWICE_AS_FAST, variants=VARIANTS, visits=(1.0,) * 4)
    unsteady = measurement("opt", 1, 0.01, visits=(0.8, 1.2, 0.8, 1.2))
    others = [entry for entry in measured.sites[0].measurements if (entry.variant, entry.batch_size) != ("opt", 1)]

    actual = speedup(with_site(measured, measurements=(*others, unsteady)))

    assert actual.low < 1.8 < actual.value < 2.2 < actual.high


def test_a_disturbed_pair_of_visits_is_left_out_of_the_speedup():
    measured = profile(TWICE_AS_FAST, variants=VARIANTS, visits=(1.0,) * 3)
    disturbed = Visit(order=0, latency_s=(10.0,), run_delay_s=9.0)
    before = next(entry for entry in measured.sites[0].measurements if (entry.variant, entry.batch_size) == ("opt", 1))
    after = replace(before, visits=(disturbed, *before.visits[1:]))
    others = [entry for entry in measured.sites[0].measurements if entry is not before]

    assert 2.0 == pytest.approx(speedup(with_site(measured, measurements=(*others, after))).high)


def test_the_baseline_has_no_speedup_over_itself():
    assert summaries(profile(TWICE_AS_FAST))["fp32"].speedup is None


def test_without_a_single_call_on_one_thread_there_is_no_speedup():
    measured = profile(TWICE_AS_FAST, variants=VARIANTS, settings=((2, 1),))

    assert speedup(measured) is None


def test_throughput_is_that_of_the_best_point_with_all_its_instances():
    measured = profile(fixed_cost_law(0.01, 0.01), settings=((1, 1), (1, 4)), visits=(0.99, 1.0, 1.01))

    actual = summaries(measured)["fp32"].throughput_items_per_s

    assert 4 * 16 / 0.17 == pytest.approx(actual.value)
    assert actual.low < actual.value < actual.high


def test_throughput_is_reported_for_the_usual_length():
    measured = profile(power_law(0.001), lengths=(32, 8, 128), batch_sizes=(1,))

    assert 1 / 0.032 == pytest.approx(summaries(measured)["fp32"].throughput_items_per_s.value)


def test_summaries_keep_the_order_of_the_profile_and_say_who_is_admitted():
    measured = profile(TWICE_AS_FAST, variants=(*VARIANTS, variant("int8", lossless=False)))

    assert [("fp32", True), ("opt", True), ("int8", False)] == [
        (key, entry.admitted) for key, entry in summaries(measured).items()
    ]


def test_a_curve_holds_each_measured_point_once_from_the_smallest_batch_on():
    measured = profile(power_law(0.01), variants=VARIANTS, lengths=(8, 32), settings=((1, 1), (2, 1)))
    shuffled = with_site(measured, measurements=tuple(reversed(measured.sites[0].measurements)))

    curves = service_curves(cleaned(shuffled))

    assert (
        2 * 2 * 2 == len(curves) == len({(curve.variant, curve.intra_op_num_threads, curve.sequence_length) for curve in curves})
    )
    assert {(1, 4, 16)} == {curve.batch_size for curve in curves}
    assert all(sorted(point.value for point in curve.latency_s) == [point.value for point in curve.latency_s] for curve in curves)


def test_visits_at_another_distance_between_cores_are_in_no_figure():
    measured = profile(power_law(0.01), settings=((2, 1),), batch_sizes=(1,))
    near, far = (Visit(order=0, latency_s=(s,), run_delay_s=0.0, core_hop_s=hop_s) for s, hop_s in ((0.01, 3e-8), (0.02, 2e-7)))
    moved = with_site(measured, measurements=(replace(measured.sites[0].measurements[0], visits=(near, far, near, far, near)),))

    (curve,) = service_curves(cleaned(moved))

    assert 0.01 == pytest.approx(curve.latency_s[0].value)
    assert 100 == pytest.approx(summaries(moved)["fp32"].throughput_items_per_s.value)
    assert {near} == {visit for entry in undisturbed(moved.sites[0]).measurements for visit in entry.visits}


def test_latencies_reach_as_high_as_calls_took_at_another_distance_between_cores():
    measured = profile(power_law(0.01), settings=((2, 1),), batch_sizes=(1,))
    near, far = (Visit(order=0, latency_s=(s,), run_delay_s=0.0, core_hop_s=hop_s) for s, hop_s in ((0.01, 3e-8), (0.02, 2e-7)))
    moved = with_site(measured, measurements=(replace(measured.sites[0].measurements[0], visits=(near, far, near, far, near)),))

    median = under(workload(), moved).grids["fp32", 2, 1].medians[0][0]

    assert (0.01, 0.02) == pytest.approx((median.value, median.high))
    assert "2.00 times as long while the cores were not as far apart as usual" in median.source


def test_the_baseline_measured_again_has_no_curve():
    measured = profile(power_law(0.01))
    again = measurement("fp32~again", 1, 0.01)

    assert {"fp32"} == {
        curve.variant
        for curve in service_curves(cleaned(with_site(measured, measurements=(*measured.sites[0].measurements, again))))
    }
