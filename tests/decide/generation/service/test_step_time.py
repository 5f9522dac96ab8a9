"""Laws of steps: what was measured comes back, by the clock that counts, and a replay is believed."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.generation.service.step_time import DRAWS, Shown, step_times
from advisor.schema.generation import DecodePoint
from advisor.schema.record import Estimate
from tests.decide.generation.replays import replayed
from tests.generation_profiles import Law, profile, visits, with_site

LAW = Law()


def times_of(measured, name="fp32", threads=1):
    return step_times(measured.sites[0])[name, threads]


def test_steps_between_the_measured_ones_are_predicted_by_the_law():
    found = times_of(profile())

    assert LAW.prefill_s(400, 100) == pytest.approx(found.prefill_s(400, 100).value)
    assert LAW.decode_s(3, 900) == pytest.approx(found.decode_s(3, 900).value)


def test_an_interval_holds_its_value():
    found = times_of(profile(levels=(0.9, 1.0, 1.2)))

    for estimate in (found.prefill_s(100), found.decode_s(5, 3000)):
        assert estimate.low < estimate.value < estimate.high


def test_the_clock_of_the_site_is_the_one_that_counts():
    wall, cpu = (times_of(profile(cpu_over_wall=0.5, clock=clock)).decode_s(4, 400).value for clock in ("wall", "cpu"))

    assert 0.5 == pytest.approx(cpu / wall)


def test_where_one_law_does_not_fit_all_batches_each_is_predicted_by_its_own():
    measured = profile()
    slow_at_four = tuple(
        replace(point, visits=visits(1.5 * LAW.decode_s(4, point.context_tokens), (1.0, 1.0, 1.0), (1.0,)))
        if point.batch_size == 4
        else point
        for point in measured.sites[0].decode
    )
    found = times_of(with_site(measured, decode=slow_at_four))

    assert found.decode.by_size is not None
    assert 1.5 * LAW.decode_s(4, 1000) == pytest.approx(found.decode_s(4, 1000).value)
    assert LAW.decode_s(8, 1000) == pytest.approx(found.decode_s(8, 1000).value)
    assert LAW.decode_s(2, 500) < found.decode_s(3, 750).value < 1.5 * LAW.decode_s(4, 1000)


def test_of_what_points_are_off_the_law_only_what_is_no_noise_is_kept_between_them():
    random = np.random.default_rng(4)
    site = profile().sites[0]

    def spread(point, sigma):
        factors = np.exp(sigma * random.standard_normal(len(point.visits)))
        made = (visits(visit.wall_s[1] * factor, (1.0,), (1.0,))[0] for visit, factor in zip(point.visits, factors, strict=True))
        return replace(point, visits=tuple(made))

    def off_fraction(sigma, kink=1.0):
        read = tuple(spread(point, sigma) for point in site.prefill)
        kinked = tuple(
            replace(point, visits=tuple(visits(kink * visit.wall_s[0], (1.0,), (1.0,))[0] for visit in point.visits))
            if point.tokens == 64
            else point
            for point in read
        )
        decoded = tuple(spread(point, sigma) for point in site.decode)
        return times_of(with_site(profile(), prefill=kinked, decode=decoded)).prefill.off_fraction

    assert off_fraction(0.001, kink=1.2) > 0.99
    assert np.median([off_fraction(0.15) for _ in range(20)]) < 0.5


def test_steps_that_read_and_decode_have_a_law_of_their_own_where_they_were_measured():
    found = times_of(profile(with_mixed=True))

    # Reading alone costs less at the outset than decoding does, so the one law of all lies between them.
    mixed = found.costs(None).mixed @ (1.0, 4, 1200, 200, 200 * 150)

    assert LAW.mixed_s(4, 1200, 200, 50) == pytest.approx(mixed, rel=0.2)
    assert times_of(profile()).mixed is None


def test_draws_go_from_a_quick_machine_to_a_slow_one_and_are_the_same_each_time():
    first, second = (times_of(profile()) for _ in range(2))

    steps = [first.costs(draw).decode @ (1.0, 2, 200) for draw in range(DRAWS)]

    assert steps == sorted(steps)
    np.testing.assert_array_equal(first.decode.draws, second.decode.draws)
    np.testing.assert_array_equal(first.step_factors, second.step_factors)


def test_what_a_replay_showed_of_steps_in_the_server_is_believed():
    slower = Estimate(value=1.5, low=1.49, high=1.51, basis="measured", source="a test")
    measured = profile()
    taught = with_site(measured, replays=(replayed(measured, step_ratio_decode=slower),))

    before, after = (np.median(times_of(entry).decode.draws @ (1.0, 2, 200)) for entry in (measured, taught))
    reading = [np.median(times_of(entry).prefill.draws @ (1.0, 100, 5000)) for entry in (measured, taught)]

    assert 1.5 == pytest.approx(after / before, rel=0.03)
    assert reading[0] == reading[1]


def estimate(value, spread=0.01):
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread), basis="measured", source="a test")


def test_at_the_speed_of_a_replay_the_laws_are_as_quick_as_it_was():
    usual = times_of(profile(with_mixed=True))

    seen = usual.at_speed(Shown(estimate(2.0), estimate(1.5)))

    for law, steps, factor in (("prefill", (1.0, 100, 5000), 2.0), ("decode", (1.0, 2, 200), 1.5)):
        drawn = getattr(seen, law).draws @ steps
        assert factor == pytest.approx(np.median(drawn) / (getattr(usual, law).cost @ steps), rel=0.02)
        assert np.ptp(drawn) / np.median(drawn) < np.ptp(getattr(usual, law).draws @ steps) / np.median(drawn)
    reading, decoding = (
        np.median(seen.mixed.draws @ step) / (usual.mixed.cost @ step) for step in ((0, 0, 0, 90, 4000), (1, 4, 400, 0, 0))
    )
    assert (2.0, 1.5) == (pytest.approx(reading, rel=0.02), pytest.approx(decoding, rel=0.02))
    np.testing.assert_array_equal(usual.prefill.cost, seen.prefill.cost)


def test_what_was_not_seen_of_a_replay_is_as_open_as_before():
    usual = times_of(profile())

    seen = usual.at_speed(Shown(None, estimate(1.5)))

    np.testing.assert_array_equal(usual.prefill.draws, seen.prefill.draws)
    assert (seen.decode.draws != usual.decode.draws).any()


def test_single_steps_are_spread_around_the_median_of_their_visit():
    factors = times_of(profile(steps=(0.9, 1.0, 1.0, 1.2), levels=(1.0, 3.0))).step_factors

    assert {0.9, 1.0, 1.2} == set(np.round(factors, 9).tolist())


def test_a_variant_of_which_only_prompts_were_measured_has_no_law():
    measured = profile({"fp32": LAW, "int8": LAW})
    only_one = tuple(point for point in measured.sites[0].decode if point.variant == "fp32")

    assert [("fp32", 1)] == list(step_times(with_site(measured, decode=only_one).sites[0]))


def test_the_largest_measured_batch_is_known():
    found = times_of(profile(batches=(1, 6)))

    assert 6 == found.largest_batch
    assert all(isinstance(point, DecodePoint) for point in profile(batches=(1, 6)).sites[0].decode)
