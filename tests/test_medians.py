"""What the noise of all points says of each: intervals that cover, and an odd visit that changes little."""

import math
from collections import defaultdict

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.medians import (
    AGAIN,
    CORRECTED_SIGMA,
    ENOUGH_REPEATS,
    NORMAL_95,
    PROCESS_SIGMA,
    SCALE_EFFICIENCY,
    SHARED_CORE_LOG,
    UNREPEATED_FRACTION,
    Noise,
    bounded_scale,
    median_estimate,
    medians_among,
    medians_of,
    noise_floors,
    student_t_95,
    visited_often,
)
from advisor.schema.profile import Measurement, Visit
from advisor.speed_ratios import pair_noise
from advisor.visits import counting
from tests.profiles import busy, measurement, power_law, profile, visit, with_site

SETTINGS = ((1, 1), (1, 2), (2, 1))
SLOWER = math.exp(SHARED_CORE_LOG)  # that calls take beside other work on their core, in these tests
NOISE = Noise(between_visits=0.05, visit_freedom=20.0, between_processes=0.02, process_freedom=6.0)


def point(name="fp32", batch_size=1, *, visits=(1.0,), setting=(1, 1)):
    return measurement(name, batch_size, 1.0, setting=setting, visits=visits)


def drawn(random, visits_of_point, *, of_visit, of_process, odd=0.0):
    """Points whose calls truly take a second: noise from visit to visit and from process to process, and visits twice as long."""
    names = ("fp32", "opt", "int8", f"fp32{AGAIN}")
    points = []
    for name in names:
        for setting in SETTINGS:
            for batch_size in (1, 4) if name.endswith(AGAIN) else (1, 4, 16, 64):
                levels = np.exp(random.normal(0, of_process) + random.normal(0, of_visit, visits_of_point(random)))
                levels[random.random(len(levels)) < odd] *= 2
                points.append(point(name, batch_size, visits=tuple(levels), setting=setting))
    return points


# --- noise -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_visit", "of_process"), [(0.02, 0.02), (0.06, 0.03), (0.02, 0.04), (0.005, 0.02)])
@pytest.mark.parametrize("odd", [0.0, 0.03])
def test_ninety_percent_intervals_cover_in_about_ninety_of_a_hundred_cases_however_often_a_point_was_visited(
    of_visit, of_process, odd
):
    hits = defaultdict(list)
    for seed in range(25):
        random = np.random.default_rng(seed)
        points = drawn(random, lambda random: random.choice([1, 2, 3, 5, 10]), of_visit=of_visit, of_process=of_process, odd=odd)
        known = medians_among(points)
        for entry in points:
            if not entry.variant.endswith(AGAIN):
                estimate = known.estimate(entry)
                hits[len(entry.visits)].append(estimate.low <= 1.0 <= estimate.high)

    covered = {visits: np.mean(found) for visits, found in hits.items()}

    assert {1, 2, 3, 5, 10} == set(covered)
    # 180 points of each: the share itself is known to 4 points, and neighbors share a profile's noise.
    assert all(0.85 - 0.04 <= share <= 0.95 + 0.04 for share in covered.values()), covered
    assert 0.85 <= np.mean(np.concatenate(list(hits.values()))) <= 0.95


@pytest.mark.parametrize("visits", [1, 2])
def test_points_of_few_visits_say_nothing_of_processes_where_others_were_visited_often(visits):
    often = drawn(np.random.default_rng(0), lambda _: 10, of_visit=0.02, of_process=0.02)
    few = [
        point(name, 8, visits=(level,) * visits, setting=setting)
        for setting in {(entry.intra_op_num_threads, entry.instances) for entry in often}
        for name, level in (("fp32", 1.5), (f"fp32{AGAIN}", 1.0))
    ]

    before, after = (medians_among(points).noise.between_processes for points in (often, [*often, *few]))

    assert before == pytest.approx(after, rel=0.2)


def test_others_count_where_too_few_were_visited_often():
    assert ["a", "b", "c"] == visited_often(["a", "b", "c"], [3, 3, 1])
    assert ["a", "b", "d"] == visited_often(["a", "b", "c", "d"], [3, 9, 2, 4])


@given(st.integers(0, 1000), st.integers(0, 1))
def test_one_odd_visit_changes_the_pooled_noise_little(seed, place):
    points = drawn(np.random.default_rng(seed), lambda _: 3, of_visit=0.03, of_process=0.02)
    before = medians_among(points).noise
    levels = [made.latency_s[0] for made in points[0].visits]
    levels[place] *= 2
    odd = point(points[0].variant, 1, visits=levels)

    after = medians_among([odd, *points[1:]]).noise

    assert 1 / 1.3 < after.between_visits / before.between_visits < 1.3


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_the_bounded_scale_is_that_of_a_normal_law_and_hardly_that_of_a_few_others(sigma):
    residuals = np.random.default_rng(0).normal(0, sigma, 4000)

    assert sigma == pytest.approx(bounded_scale(residuals), rel=0.03)
    assert sigma == pytest.approx(bounded_scale([*residuals, *[100.0] * 40]), rel=0.05)
    assert 0.0 == bounded_scale([0.0] * 5)


def test_a_setting_with_enough_repeats_speaks_for_itself_and_the_others_for_all():
    visits = math.ceil(ENOUGH_REPEATS / SCALE_EFFICIENCY) + 1
    noisy = np.exp(np.random.default_rng(0).normal(0, 0.2, visits))
    calm = np.exp(np.random.default_rng(1).normal(0, 0.01, visits))
    few = (0.9, 1.1)

    known = medians_among(
        [point(visits=calm), point(visits=noisy, setting=(2, 1)), point(visits=few, setting=(1, 2)), point(batch_size=4)]
    )

    assert known.noise_of(1, 1).between_visits < 0.02 < 0.1 < known.noise_of(2, 1).between_visits
    assert known.noise == known.noise_of(1, 2)
    assert SCALE_EFFICIENCY * (2 * (visits - 1) + 1) == pytest.approx(known.noise.visit_freedom)


def test_a_single_visit_is_as_sure_as_those_that_others_had_repeated():
    others = [
        point(batch_size=size, visits=tuple(np.exp(np.random.default_rng(size).normal(0, 0.02, 5)))) for size in (4, 16, 64)
    ]
    alone = point()

    estimate = medians_among([alone, *others]).estimate(alone)

    assert 0.01 < math.log(estimate.high) < 0.12
    assert estimate.value**2 == pytest.approx(estimate.low * estimate.high)


def test_where_no_point_was_visited_again_the_baseline_elsewhere_tells_the_noise():
    single = [point(name, size, visits=(level,)) for name, level in (("fp32", 1.0), (f"fp32{AGAIN}", 1.5)) for size in range(8)]

    found = medians_among(single).noise

    assert math.log(1.5) / math.sqrt(2) == pytest.approx(found.between_visits, rel=0.2)
    assert 8 * SCALE_EFFICIENCY == pytest.approx(found.visit_freedom)


def test_where_nothing_was_repeated_a_flat_uncertainty_is_assumed_however_steady_the_calls_were():
    alone = measurement("fp32", 1, 1.0, calls=(1.0,) * 1000, visits=(1.0,))

    estimate = medians_among([alone]).estimate(alone)

    assert UNREPEATED_FRACTION <= estimate.high - 1 < 1.5 * UNREPEATED_FRACTION


@given(st.lists(st.floats(0.9, 1.1), min_size=1, max_size=6), st.floats(0.0, 0.3))
def test_no_number_of_visits_makes_a_point_surer_than_processes_differ(levels, of_process):
    noise = NOISE._replace(between_processes=of_process)

    estimate = median_estimate([visit(level) for level in levels], noise)

    assert estimate.high >= estimate.value * math.exp(NORMAL_95 * of_process) * (1 - 1e-12)


def test_the_interval_narrows_with_visits_but_not_below_what_processes_differ():
    widths = [NOISE.half_width(visits) for visits in (1, 2, 4, 8, 32, 1000)]

    assert sorted(widths, reverse=True) == widths
    assert NORMAL_95 * NOISE.between_processes == pytest.approx(NOISE.half_width(10**9), rel=0.2)


def test_two_visits_that_cannot_be_of_one_state_are_both_within_the_interval():
    estimate = median_estimate([visit(1.0), visit(2.0)], NOISE)

    assert estimate.low < 1.0 < 2.0 < estimate.high


def test_one_odd_visit_of_many_does_not_widen_the_interval_of_its_point():
    steady, odd = ([visit(level) for level in levels] for levels in ((1.0, 1.01, 0.99, 1.0, 1.02), (1.0, 1.01, 0.99, 1.0, 2.0)))

    assert median_estimate(steady, NOISE).high == pytest.approx(median_estimate(odd, NOISE).high)


def test_the_difference_between_processes_is_that_of_the_baseline_from_itself():
    apart = [
        point(name, size, visits=(level,) * 3) for name, level in (("fp32", 1.0), (f"fp32{AGAIN}", 1.2)) for size in range(20)
    ]

    found = medians_among(apart).noise

    assert found.between_visits == 0
    assert math.log(1.2) / math.sqrt(2) == pytest.approx(found.between_processes, rel=0.2)
    assert found.process_freedom > 10
    assert PROCESS_SIGMA == medians_among(apart[:20]).noise.between_processes


def test_a_site_without_the_baseline_in_another_process_is_taken_at_its_word():
    measured = with_site(profile(power_law(1.0)), noise_fraction=0.3)

    (site,) = measured.sites

    assert math.log(1.3) == pytest.approx(pair_noise(site).process_difference)
    assert math.log(1.3) == pytest.approx(medians_of(site).noise.difference(10**9))


def test_noise_floors_say_what_equal_things_differ_by_and_how_well_that_is_known():
    random = np.random.default_rng(0)
    points = drawn(random, lambda _: 4, of_visit=0.05, of_process=0.03)

    overall, floors = noise_floors(points)

    assert 0.03 < overall < 0.3
    assert list(SETTINGS) == [(floor.intra_op_num_threads, floor.instances) for floor in floors]
    assert all(floor.visit_freedom > ENOUGH_REPEATS and floor.process_freedom > 2 for floor in floors)
    assert all(0.02 < floor.between_visits < 0.1 for floor in floors)
    assert (None, ()) == noise_floors([point()])


# --- disturbed visits ------------------------------------------------------------------------------------------------------


@given(st.floats(0.2, 10.0), st.integers(1, 6))
def test_where_all_visits_of_one_thread_waited_the_estimate_is_that_without_waiting_and_less_sure(waited_s, visits):
    estimate = median_estimate(counting([busy(SLOWER, waited_s)] * visits, None), NOISE)
    quiet = median_estimate([visit(1.0)] * visits, NOISE)

    assert 1.0 == pytest.approx(estimate.value)
    assert estimate.low < quiet.low < 1.0 < quiet.high < estimate.high
    assert math.log(estimate.high) >= NORMAL_95 * CORRECTED_SIGMA
    assert f", {visits} of them less the time that threads waited for a core, and less 7 % for what sharing it" in estimate.source


def test_a_disturbed_point_lies_lower_by_what_sharing_a_core_costs_and_is_less_sure_one_of_two_visits_in_between():
    clean, half, disturbed = (
        median_estimate(counting(made, None), NOISE) for made in ([visit(1.0)] * 2, [visit(1.0), busy(1.0)], [busy(1.0)] * 2)
    )

    assert [0.0, SHARED_CORE_LOG / 2, SHARED_CORE_LOG] == pytest.approx([-math.log(it.value) for it in (clean, half, disturbed)])
    widths = [math.log(it.high / it.low) for it in (clean, half, disturbed)]
    assert sorted(set(widths)) == widths
    assert 2 * NOISE.half_width(2) == pytest.approx(widths[0])
    assert [it.value**2 for it in (clean, half, disturbed)] == pytest.approx(
        [it.low * it.high for it in (clean, half, disturbed)]
    )
    assert "sharing" not in clean.source
    assert "1 of them less" in half.source


def test_that_some_visits_shared_their_core_and_others_did_not_is_no_noise_from_visit_to_visit():
    mixed = msgspec.structs.replace(point(), visits=counting([visit(1.0), *[busy(SLOWER)] * 4], None))

    assert 0.0 == pytest.approx(medians_among([mixed]).noise.between_visits, abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(0.5, 2.0), st.sampled_from([0.0, 0.5, 4.0]), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 8),
    st.none() | st.floats(0.1, 20.0),
)
def test_the_value_lies_between_the_ends_whatever_disturbed_how_many_of_the_visits(made, threads, one_thread_s):
    visits = counting([busy(call_s, waited_s, known=known) for call_s, waited_s, known in made], None)

    estimate = median_estimate(visits, NOISE, threads=threads, one_thread_s=one_thread_s)

    assert 0 < estimate.low <= estimate.value <= estimate.high


@given(st.floats(0.1, 1.0), st.integers(2, 8))
def test_on_several_threads_the_interval_covers_all_from_perfect_scaling_to_the_longest_wait(parallel, threads):
    single_s, upper_s = 1.0, 1.0 / threads + parallel
    disturbed = counting([busy(SLOWER * upper_s, 3.0)] * 3, None)

    estimate = median_estimate(disturbed, NOISE, threads=threads, one_thread_s=single_s)

    assert math.sqrt(upper_s * single_s / threads) == pytest.approx(estimate.value)
    assert estimate.low < single_s / threads < upper_s < estimate.high


def test_calls_on_several_threads_without_disturbance_need_no_bracket():
    estimate = median_estimate([visit(0.7)] * 3, NOISE, threads=2, one_thread_s=1.0)

    assert 0.7 == pytest.approx(estimate.value)
    assert estimate.low > 0.6


def test_a_point_on_several_threads_is_bracketed_by_its_own_shape_on_one():
    def entry(setting, *visits, batch_size=1):
        return Measurement(
            variant="fp32",
            batch_size=batch_size,
            sequence_length=None,
            intra_op_num_threads=setting[0],
            instances=setting[1],
            visits=counting(visits, None),
        )

    double = entry((2, 1), busy(0.8 * SLOWER, 1.0))
    known = medians_among([entry((1, 1), busy(SLOWER, 2.0)), entry((1, 1), busy(9.0, 2.0), batch_size=4), double])

    assert math.sqrt(0.8 * 0.5) == pytest.approx(known.estimate(double).value)


def test_waiting_that_is_only_known_as_a_sum_leaves_the_value_and_lowers_the_low_end():
    estimate = median_estimate(counting([busy(1.0, 1.0, known=False)] * 3, None), NOISE)

    assert 2.0 == pytest.approx(estimate.value)
    assert estimate.low < 1.0
    assert "waited" not in estimate.source


def test_stolen_time_lowers_the_low_end_where_it_is_not_known_of_which_calls():
    stolen = Visit(order=0, latency_s=(1.0,) * 4, run_delay_s=0.0, steal_s=3.0, waited_s=())

    on_two, on_one = (median_estimate(counting([stolen] * 3, None), NOISE, threads=threads) for threads in (2, 1))

    assert on_two.low < 0.7 < on_one.low
    assert 1.0 == pytest.approx(on_one.value)


# --- Student's law ---------------------------------------------------------------------------------------------------------


def test_student_s_t_never_grows_with_the_degrees_of_freedom_and_ends_at_the_normal_law():
    quantiles = [student_t_95(freedom) for freedom in np.arange(1.0, 100.0, 0.3)]

    assert sorted(quantiles, reverse=True) == quantiles
    assert NORMAL_95 == quantiles[-1]


# Tables of Student's law give these to two decimals.
@pytest.mark.parametrize(("freedom", "quantile"), [(1, 6.314), (2, 2.920), (4, 2.132), (9, 1.833), (30, 1.697)])
def test_student_s_t_is_that_of_the_tables(freedom, quantile):
    assert math.isclose(quantile, student_t_95(freedom), abs_tol=0.006)
