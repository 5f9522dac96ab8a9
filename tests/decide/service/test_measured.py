"""Service times between and beyond the measured points: laws kept, ends in order, never surer than the visits were."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.service.measured import (
    is_projected,
    noise_of_test,
    service_grids,
    service_table,
)
from advisor.medians import NORMAL_95
from advisor.schema.profile import NoiseFloor
from tests.profiles import UNSTEADY, measurement, power_law, profile, variant, with_site

ENDS = ("low", "value", "high")
BATCH_SIZES = (1, 4, 16)
LENGTHS = (8, 32, 128)

exponents = st.floats(0.1, 1.5)
_seconds = st.floats(1e-4, 10.0)
_levels = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=4)


@st.composite
def grids(draw):
    """Points that obey no law: ladders of their own at each length, slower where they should be faster, certain or not."""
    lengths = draw(st.just([None]) | st.lists(st.sampled_from([4, 8, 16, 64]), min_size=1, max_size=3, unique=True))
    measurements = [
        measurement("fp32", batch_size, draw(_seconds), sequence_length=length, visits=draw(_levels))
        for length in lengths
        for batch_size in sorted({1, *draw(st.sets(st.sampled_from([2, 3, 4, 8])))})
    ]
    measured = with_site(profile(power_law(1.0)), measurements=tuple(measurements))
    return service_grids(measured.sites[0])["fp32", 1, 1]


def only_grid(measured):
    (grid,) = service_grids(measured.sites[0]).values()
    return grid


def width(estimate):
    return estimate.high / estimate.low


@settings(deadline=None)
@given(exponents, exponents, st.sampled_from(ENDS))
def test_the_table_passes_through_every_measured_point(batch, length, end):
    grid = only_grid(profile(power_law(0.01, batch=batch, length=length), lengths=LENGTHS, visits=(0.9, 1.0, 1.2)))
    expected = np.array([[getattr(median, end) for median in ladder] for ladder in grid.medians]).T

    table = service_table(grid, max(BATCH_SIZES), LENGTHS, end=end)

    np.testing.assert_allclose(expected, table[np.array(BATCH_SIZES) - 1])


@settings(deadline=None)
@given(exponents, exponents)
def test_a_power_law_is_kept_between_the_points(batch, length):
    law = power_law(0.01, batch=batch, length=length)
    lengths = (8, 11, 20, 32, 100, 128)
    expected = [[law("fp32", batch_size, each, 1, 1) for each in lengths] for batch_size in range(1, 17)]

    table = service_table(only_grid(profile(law, lengths=LENGTHS)), 16, lengths, end="value")

    np.testing.assert_allclose(expected, table)


@settings(deadline=None)
@given(st.floats(1.0, 2.0), st.floats(1.0, 2.0))
def test_a_law_that_rises_at_least_in_proportion_goes_on_beyond_the_points(batch, length):
    law = power_law(0.01, batch=batch, length=length)
    expected = [[law("fp32", batch_size, each, 1, 1) for each in (128, 300)] for batch_size in range(1, 33)]

    table = service_table(only_grid(profile(law, lengths=LENGTHS)), 32, (128, 300), end="value")

    np.testing.assert_allclose(expected, table)


@settings(deadline=None)
@given(st.floats(0.0, 0.9))
def test_beyond_the_points_no_saving_is_assumed_that_was_not_observed(batch):
    grid = only_grid(profile(power_law(0.01, batch=batch)))

    table = service_table(grid, 64, (None,), end="value")

    assert 4 * table[15, 0] == pytest.approx(table[63, 0])


def test_one_measured_length_is_carried_on_in_proportion():
    grid = only_grid(profile(power_law(0.01), lengths=(32,)))

    table = service_table(grid, 1, (32, 64, 320), end="value")

    np.testing.assert_allclose([[0.32, 0.64, 3.2]], table)


def test_without_a_sequence_axis_all_requests_take_equally_long():
    table = service_table(only_grid(profile(power_law(0.01))), 4, (None,), end="value")

    np.testing.assert_allclose([[0.01], [0.02], [0.03], [0.04]], table)


@settings(deadline=None)
@given(grids(), st.sampled_from(ENDS))
def test_larger_batches_and_longer_items_never_take_less(grid, end):
    lengths = (None,) if grid.lengths == (None,) else (4, 6, 16, 60, 200)

    table = service_table(grid, 12, lengths, end=end)

    assert (np.diff(table, axis=0) >= 0).all() and (np.diff(table, axis=1) >= 0).all()


@settings(deadline=None)
@given(grids())
def test_the_value_lies_within_its_interval_between_the_points_and_beyond(grid):
    lengths = (None,) if grid.lengths == (None,) else (4, 6, 16, 60, 200)

    low, value, high = (service_table(grid, 40, lengths, end=end) for end in ENDS)

    assert (low <= value * (1 + 1e-12)).all() and (value <= high * (1 + 1e-12)).all()


def test_the_interval_widens_with_the_distance_from_what_was_measured():
    grid = only_grid(profile(power_law(0.01), lengths=LENGTHS, visits=(0.99, 1.0, 1.01)))

    low, high = (service_table(grid, 64, (32, 128, 256, 1024), end=end) for end in ("low", "high"))

    over_batches, over_lengths = (high / low)[[15, 31, 63], 0], (high / low)[0, 1:]
    assert (np.diff(over_batches) > 0).all() and (np.diff(over_lengths) > 0).all()


@pytest.mark.parametrize(
    ("expected", "max_batch_size", "lengths"),
    [
        (False, 16, (8, 128)),
        (False, 3, (20,)),
        (False, 16, ()),
        (True, 16, (8, 129)),
        (True, 16, (7,)),
        (True, 17, (32,)),
    ],
)
def test_projected_is_what_lies_outside_of_the_points(expected, max_batch_size, lengths):
    grid = only_grid(profile(power_law(0.01), lengths=LENGTHS))

    assert expected == is_projected(grid, max_batch_size, lengths)


def test_a_batch_that_was_not_measured_at_the_longest_items_is_projected():
    points = [(1, 8), (4, 8), (1, 32)]
    measurements = [measurement("fp32", size, size * length / 100, sequence_length=length) for size, length in points]
    measured = with_site(profile(power_law(0.01), lengths=(8, 32)), measurements=tuple(measurements))

    assert is_projected(only_grid(measured), 4, (8, 32))


def test_each_variant_and_setting_has_a_grid_of_its_own_and_the_repeated_baseline_has_none():
    measured = profile(power_law(0.01), variants=(variant(), variant("opt")), settings=((1, 1), (2, 1)))
    again = measurement("fp32~again", 1, 0.01)

    keys = service_grids(with_site(measured, measurements=(*measured.sites[0].measurements, again)).sites[0]).keys()

    assert {("fp32", 1, 1), ("fp32", 2, 1), ("opt", 1, 1), ("opt", 2, 1)} == keys


def test_a_longer_load_test_is_surer_down_to_what_processes_differ_by():
    noise = {"between_visits": 0.1, "visit_freedom": 100.0, "between_processes": 0.02, "process_freedom": 100.0}
    floor = NoiseFloor(intra_op_num_threads=1, instances=1, fraction=0.9, **noise)
    measured = with_site(profile(power_law(0.01)), noise_floors=(floor,)).sites[0]

    off = [noise_of_test(measured, 1, 1, duration_s) for duration_s in (3.0, 20.0, 1e9)]

    assert sorted(off, reverse=True) == off
    assert [math.hypot(0.1, 0.02), 0.02] == pytest.approx(
        [math.log1p(off[0]) / NORMAL_95, math.log1p(off[-1]) / NORMAL_95], rel=1e-3
    )


def test_where_the_parts_of_noise_are_not_known_a_load_test_is_one_of_two_equal_things():
    floors = (NoiseFloor(intra_op_num_threads=2, instances=1, fraction=0.3),)
    measured = with_site(profile(power_law(0.01)), noise_fraction=0.1, noise_floors=floors).sites[0]

    off = [noise_of_test(measured, threads, 1, 20.0) for threads in (1, 2)]

    assert [1.1, 1.3] == pytest.approx([math.exp(math.sqrt(2) * math.log1p(each)) for each in off])


def test_the_noise_floor_of_a_setting_comes_before_that_of_all():
    floors = (NoiseFloor(intra_op_num_threads=2, instances=1, fraction=0.3),)
    measured = with_site(profile(power_law(0.01), settings=((1, 1), (2, 1)), noise_fraction=0.1), noise_floors=floors)

    grids_ = service_grids(measured.sites[0])

    # The floor is of a difference between two things; each is as unsure as that over the square root of 2.
    assert [1.1 ** math.sqrt(2), 1.3 ** math.sqrt(2)] == pytest.approx(
        [width(grids_["fp32", threads, 1].medians[0][0]) for threads in (1, 2)]
    )


def test_the_spread_is_that_of_single_calls_around_the_median_of_their_point():
    grid = only_grid(profile(power_law(0.01), batch_sizes=(1, 16), calls=UNSTEADY))

    assert sorted([*UNSTEADY * 6]) == pytest.approx(list(grid.spread))
