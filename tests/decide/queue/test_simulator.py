"""Predictions: queueing theory where it has an answer, the kernel's twin where not; bounds that hold, streams that are what they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.queue.demand import REQUESTS_BEYOND_QUANTILE, SEEDS, WARM_UP_FRACTION, Demand, quantiles
from advisor.decide.queue.prediction import capacity_requests_per_s, predict
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE, USUAL_CONFIDENCE, Simulator
from advisor.decide.service.in_server import SERVER_FACTOR
from advisor.kernels import reference
from advisor.schema.arrays.trace import Trace
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate
from advisor.schema.workload import SequenceLength
from tests.profiles import UNSTEADY, configuration, fixed_cost_law, power_law, profile, under, with_site, workload

ENDS = ("low", "value", "high")
SECONDS = 0.01
STEADY_PROFILE = profile(power_law(SECONDS), settings=((1, 1), (1, 4)))
TIRED_PROFILE = profile(fixed_cost_law(0.004, 0.001), settings=((1, 1), (1, 4)), calls=UNSTEADY, visits=(0.95, 1.0, 1.06))

rates = st.floats(1.0, 2000.0)
targets = st.floats(0.005, 0.5)
burstiness = st.sampled_from([0.5, 1.0, 2.0])
days = st.none() | st.lists(st.sampled_from([0.0, 0.2, 1.0, 3.0]), min_size=2, max_size=24).filter(any).map(tuple)


configurations = st.builds(
    configuration,
    instances=st.sampled_from([1, 4]),
    max_batch_size=st.sampled_from([1, 2, 8, 16]),
    max_queue_delay_s=st.sampled_from([0.0, 0.002, 0.02]),
)


@st.composite
def sequence_lengths(draw):
    p50 = draw(st.integers(1, 200))
    p95 = draw(st.none() | st.integers(p50, 4 * p50))
    return SequenceLength(p50=p50, p95=p95, max=draw(st.none() | st.integers(p95 or p50, 10 * p50)))


def bench(measured=STEADY_PROFILE, *, requests=None, trace=None, **asked):
    made = under(workload(**asked), measured, trace)
    if requests is not None:
        made.demand.requests = requests  # fewer than a promise needs, for speed where any number shows it
    return made


def all_latencies(simulator, candidate, replicas=1, end="value"):
    return np.concatenate([simulator.run(candidate, replicas, end, seed).latency_s for seed in range(SEEDS)])


# --- the queue -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_without_batching_waits_as_pollaczek_and_khinchine_say(load):
    simulator = bench(requests_per_s=load / SECONDS, quantile=0.999).simulator
    expected = SECONDS * (1 + load / (2 * (1 - load)))

    actual = all_latencies(simulator, configuration()).mean()

    assert expected == pytest.approx(actual, rel=0.02)


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_the_quantiles_of_one_server_without_batching_are_those_of_the_law_of_its_waits(load):
    # Erlang's law of the wait with constant service, P(W <= t) = (1 - load) * sum of (load (n - t))^n / n! * exp(load (t - n)).
    def within(seconds):
        t = (seconds - SECONDS) / SECONDS
        terms = (load * (n - t) for n in range(int(t) + 1))
        return (1 - load) * math.fsum(x**n / math.factorial(n) * math.exp(-x) for n, x in enumerate(terms))

    simulator = bench(requests_per_s=load / SECONDS, quantile=0.999).simulator
    latency_s = all_latencies(simulator, configuration())

    for quantile in (0.9, 0.99):
        assert quantile == pytest.approx(within(quantiles(latency_s, (quantile,))[0]), abs=0.1 * (1 - quantile))


@settings(deadline=None, max_examples=30)
@given(configurations, rates, burstiness, st.integers(1, 3), st.sampled_from(ENDS))
def test_a_run_is_what_the_twin_of_the_kernel_makes_of_the_same_stream(candidate, requests_per_s, cv, replicas, end):
    made = bench(STEADY_PROFILE, requests=200, requests_per_s=requests_per_s, burstiness_cv=cv)
    arrival_s, size_class, _ = made.demand.stream(0, replicas)
    expected, _, _ = reference.simulate_queue(
        arrival_s,
        size_class,
        made.simulator.table(candidate, end),
        np.ones(1),
        instances=candidate.instances,
        max_queue_delay_s=candidate.max_queue_delay_s,
    )

    latency_s = made.simulator.run(candidate, replicas, end, 0).latency_s

    np.testing.assert_array_equal(expected[int(WARM_UP_FRACTION * len(expected)) :], latency_s)


@pytest.mark.parametrize("instances", [1, 4])
@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_utilization_is_the_work_offered_over_the_servers_there_are(instances, replicas):
    requests_per_s = 0.7 * instances / SECONDS
    simulator = bench(requests_per_s=requests_per_s).simulator

    busy = simulator.outcome(configuration(instances=instances), replicas, "value", (0.9,)).utilization

    assert 0.7 / replicas == pytest.approx(busy.mean(), rel=0.03)


@settings(deadline=None, max_examples=30)
@given(configurations, rates, st.integers(1, 6))
def test_more_replicas_never_raise_utilization(candidate, requests_per_s, replicas):
    simulator = bench(TIRED_PROFILE, requests=2000, requests_per_s=requests_per_s).simulator

    fewer, more = (simulator.outcome(candidate, count, "value", (0.9,)).utilization for count in (replicas, replicas + 1))

    # A full server's last batch ends a little after the others, so full is not the same to the last digit.
    assert (more <= fewer * (1 + 1e-3)).all()


@settings(deadline=None, max_examples=30)
@given(configurations, rates)
def test_a_server_is_never_more_than_fully_busy(candidate, requests_per_s):
    simulator = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s).simulator

    busy = simulator.outcome(candidate, 1, "high", (0.9,)).utilization

    assert ((busy > 0) & (busy <= 1)).all()


def taught(
    *, ratio=1.0, per_batch_s=0.0, per_request_s=0.0, wake_s=0.0, timer_late_s=None, transit_s=0.0, spread=(1.0,), hold_up_s=()
):
    def known(value):
        return Estimate(value=value, low=value, high=value, basis="measured", source="a test")

    return Calibration(
        variant="fp32",
        intra_op_num_threads=1,
        instances=1,
        call_ratio=known(ratio),
        call_lengths_s=(1.0,),
        call_factors=(1.0,),
        per_batch_s=known(per_batch_s),
        per_request_s=known(per_request_s),
        wake_s=known(wake_s),
        timer_late_s=None if timer_late_s is None else known(timer_late_s),
        transit_s=(transit_s,),
        spread=spread,
        hold_up_s=hold_up_s,
        batches=100,
    )


@pytest.mark.parametrize("end", ["low", "value", "high"])
def test_what_holds_up_a_batch_that_wakes_an_instance_up_lasts_as_long_at_every_end_and_delays_no_batch_of_one_at_work(end):
    idle, busy = 0.001 / SECONDS, 20.0 / SECONDS  # requests a second: to an instance that is idle, and far more than it can serve
    held_up_s = {}
    for requests_per_s in (idle, busy):
        with_it, without = (
            bench(with_site(STEADY_PROFILE, trial=taught(hold_up_s=held)), requests=500, requests_per_s=requests_per_s).simulator
            for held in ((50 * SECONDS,), ())
        )
        stream = with_it.demand.stream(0, 1)
        runs = [simulator.replay(configuration(), stream, end, 0).latency_s for simulator in (with_it, without)]
        held_up_s[requests_per_s] = np.median(runs[0] - runs[1])

    assert 50 * SECONDS == pytest.approx(held_up_s[idle])
    # The first one alone: all the others wait behind it.
    assert 50 * SECONDS == pytest.approx(held_up_s[busy])


def test_service_inside_a_server_is_as_a_load_test_found_it_where_there_was_one():
    learned = taught(ratio=1.3, per_batch_s=0.5 * SECONDS, per_request_s=0.25 * SECONDS)
    simulator = bench(with_site(STEADY_PROFILE, calibrations=(learned,))).simulator

    tested, untested = (simulator.table(configuration(instances=instances), "value")[0, 0] for instances in (1, 4))

    assert ((1.3 + 0.5 + 0.25) * SECONDS, SERVER_FACTOR["value"] * SECONDS) == pytest.approx((tested, untested))


def test_where_no_load_test_was_service_is_as_the_trial_saw_it_with_the_assumption_within_its_interval():
    simulator = bench(with_site(STEADY_PROFILE, trial=taught(ratio=1.05, per_batch_s=0.5 * SECONDS))).simulator

    low, value, high = (simulator.table(configuration(instances=4), end)[0, 0] / SECONDS for end in ENDS)

    assert (SERVER_FACTOR["low"] + 0.5, 1.05 + 0.5, SERVER_FACTOR["high"] + 0.5) == pytest.approx((low, value, high))


@pytest.mark.parametrize("doubt", [1.0, 1.05, 1.3])
def test_the_errors_of_calls_and_of_a_server_add_by_their_squares(doubt):
    exact, unsure = STEADY_PROFILE, profile(power_law(SECONDS), visits=(0.8, 1.0, 1.25))
    ratio = Estimate(value=1.2, low=1.2 / doubt, high=1.2 * doubt, basis="measured", source="a test")
    seen = replace(taught(), call_ratio=ratio, call_lengths_s=(99.0,))  # other calls than these

    def halves(measured, *, is_served):
        simulator = bench(with_site(measured, calibrations=(seen,) if is_served else ())).simulator
        if not is_served:
            return [math.log(getattr(simulator.grid(configuration()).medians[0][0], end) / SECONDS) for end in ENDS]
        return [math.log(simulator.table(configuration(), end)[0, 0] / (1.2 * SECONDS)) for end in ENDS]

    assert [-math.log(doubt), 0.0, math.log(doubt)] == pytest.approx(halves(exact, is_served=True))
    (low, _, high), (call_low, _, call_high) = halves(unsure, is_served=True), halves(unsure, is_served=False)
    assert (-low, high) == pytest.approx((math.hypot(call_low, math.log(doubt)), math.hypot(call_high, math.log(doubt))))


def test_latency_counts_from_the_moment_a_request_was_meant_to_be_sent():
    plain, late = (
        bench(with_site(STEADY_PROFILE, calibrations=(taught(transit_s=transit_s),))).simulator for transit_s in (0.0, 0.3)
    )

    before, after = (simulator.run(configuration(), 1, "value", 0) for simulator in (plain, late))

    np.testing.assert_allclose(before.latency_s + 0.3, after.latency_s)


def test_a_p99_that_rests_on_a_few_late_requests_of_a_trial_has_a_wide_interval():
    late_s = (0.0,) * 320 + (0.05, 0.08, 0.1, 0.25, 0.37, 0.43)
    trial = replace(taught(), transit_s=tuple(np.random.default_rng(1).permutation(late_s).tolist()))
    made = bench(with_site(STEADY_PROFILE, trial=trial), requests_per_s=1.0, latency_s=100.0)

    found = predict(made, configuration(instances=4), 1, today_replicas=1).latency_p99_s

    assert found.low < 0.6 * found.value and 1.4 * found.value < found.high


def test_where_the_server_is_known_what_it_adds_has_no_interval():
    trial = replace(taught(), transit_s=(0.1, 0.2, 0.9))
    simulator = under(workload(), with_site(STEADY_PROFILE, trial=trial)).simulator
    known = Simulator(simulator.demand, simulator.grids, (), trial, is_server_known=True)

    low, high = (known.run(configuration(instances=4), 1, end, 0).latency_s for end in ("low", "high"))

    np.testing.assert_allclose(low, high, atol=2 * SECONDS)


def test_a_timer_that_ends_late_makes_lone_requests_wait_so_much_longer():
    waiting = configuration(max_batch_size=4, max_queue_delay_s=0.5)
    punctual, late = (
        bench(with_site(STEADY_PROFILE, calibrations=(taught(timer_late_s=late_s),)), requests_per_s=0.01).simulator
        for late_s in (0.0, 0.3)
    )

    before, after = (np.median(simulator.run(waiting, 1, "value", 0).latency_s) for simulator in (punctual, late))

    assert before + 0.3 == pytest.approx(after)


def test_a_late_timer_delays_nobody_where_no_timer_is_set():
    at_once = configuration(max_batch_size=4, max_queue_delay_s=0.0)
    punctual, late = (
        bench(with_site(STEADY_PROFILE, calibrations=(taught(timer_late_s=late_s),))).simulator for late_s in (0.0, 0.3)
    )

    before, after = (simulator.run(at_once, 1, "value", 0).latency_s for simulator in (punctual, late))

    np.testing.assert_array_equal(before, after)


# --- the stream ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_a_thinned_stream_is_as_sparse_and_as_bursty_as_renewal_theory_says(cv, replicas):
    demand = bench(requests_per_s=50.0, burstiness_cv=cv, quantile=0.999).demand
    gaps = np.concatenate([np.diff(demand.stream(seed, replicas)[0]) for seed in range(SEEDS)])

    # The sum of k gaps, k geometric with mean r, has mean r and variance r cv^2 + r (r - 1).
    expected = 1 + (cv**2 - 1) / replicas

    assert 50.0 / replicas == pytest.approx(1 / gaps.mean(), rel=0.02)
    assert expected == pytest.approx(gaps.var() / gaps.mean() ** 2, rel=0.03)


@pytest.mark.parametrize("replicas", [1, 7])
def test_random_arrivals_stay_random_when_shared_out(replicas):
    demand = bench(quantile=0.999).demand
    gaps = np.diff(demand.stream(0, replicas)[0])
    gaps /= gaps.mean()

    beyond = [(gaps > times).mean() for times in (0.5, 1.0, 3.0)]

    assert np.exp([-0.5, -1.0, -3.0]) == pytest.approx(beyond, abs=0.005)


@settings(deadline=None)
@given(st.floats(0.1, 10.0), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_denser_stream_is_the_same_stream_in_less_time(scale, cv):
    demand = bench(requests=100, burstiness_cv=cv).demand
    arrival_s, size_class, _ = demand.stream(0, 2)

    denser_s, same_class, _ = demand.stream(0, 2, scale=scale)

    np.testing.assert_allclose(arrival_s, denser_s * scale)
    np.testing.assert_array_equal(size_class, same_class)


@pytest.mark.parametrize("cv", [1.0, 2.0])
def test_a_stream_is_the_same_however_many_others_were_drawn_since(cv):
    demand = bench(requests=100, burstiness_cv=cv).demand
    expected = demand.stream(0, 2)[0].copy()
    for replicas in range(1, 200):
        demand.stream(0, replicas)

    np.testing.assert_array_equal(expected, demand.stream(0, 2)[0])


def test_every_run_draws_requests_of_its_own():
    demand = bench(requests=100).demand

    assert len({tuple(demand.stream(seed, 1)[0]) for seed in range(SEEDS)}) == SEEDS


@settings(deadline=None)
@given(st.integers(2, 1440), st.floats(1e-6, 1e6), burstiness, st.integers(1, 3))
def test_a_flat_day_is_no_other_than_one_without_a_course(parts, level, cv, replicas):
    flat, without = (bench(requests=100, burstiness_cv=cv, diurnal=diurnal).demand for diurnal in ((level,) * parts, None))

    for one, other in ((flat.stream, without.stream), (flat.busiest, without.busiest)):
        np.testing.assert_array_equal(one(0, replicas)[:2], other(0, replicas)[:2])


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("diurnal", [(1.0, 4.0), (0.0, 3.0, 0.0, 1.0, 0.0), tuple(range(24))])
def test_a_day_has_the_mean_rate_that_was_asked_for(cv, replicas, diurnal):
    demand = bench(requests_per_s=50.0, burstiness_cv=cv, diurnal=diurnal, quantile=0.999).demand

    lasted_s = np.mean([np.ptp(demand.stream(seed, replicas)[0]) for seed in range(SEEDS)])

    assert 50.0 / replicas == pytest.approx(demand.requests / lasted_s, rel=0.02)


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_requests_come_at_the_rate_of_their_part_of_the_day(cv):
    demand = bench(requests_per_s=50.0, burstiness_cv=cv, diurnal=(1.0, 4.0, 0.0, 2.0), quantile=0.999).demand
    runs = [demand.stream(seed, 2)[0] for seed in range(SEEDS)]
    part = np.repeat([0, 1, 3], [1, 4, 2])[np.linspace(0, 7, round(0.95 * demand.requests), endpoint=False).astype(int)]

    gaps = np.concatenate([np.diff(arrival_s)[-len(part) :] for arrival_s in runs])
    rates = {k: 1 / np.median(gaps[np.tile(part, SEEDS) == k]) for k in (0, 1, 3)}

    assert (4.0, 2.0) == pytest.approx((rates[1] / rates[0], rates[3] / rates[0]), rel=0.05)


def test_the_busiest_part_of_the_day_is_as_slow_as_a_day_of_its_rate():
    diurnal = (0.2, 1.0, 2.0, 0.8)
    day, peak = bench(requests_per_s=40.0, diurnal=diurnal), bench(requests_per_s=80.0)
    expected = np.mean(peak.simulator.outcome(configuration(), 1, "value", (0.9,)).quantiles_s)

    outcome = day.simulator.outcome(configuration(), 1, "value", (0.9,))

    assert expected == pytest.approx(np.mean(outcome.busiest_s), rel=0.1)
    assert np.mean(outcome.quantiles_s) < 0.9 * expected


def test_few_requests_of_a_day_are_a_whole_day_of_few():
    demand = bench(diurnal=(1.0, 0.0, 3.0)).demand

    few, many = (np.ptp(demand.stream(0, 1, requests=requests)[0]) for requests in (1000, None))

    assert 1000 / demand.requests == pytest.approx(few / many, rel=0.1)


def test_a_load_test_offers_the_rate_of_the_busiest_part():
    demand = bench(requests_per_s=50.0, diurnal=(1.0, 3.0), quantile=0.999).demand

    arrival_s, size_class, _ = demand.busiest(0, 3)

    assert 75.0 / 3 == pytest.approx((len(arrival_s) - 1) / np.ptp(arrival_s), rel=0.02)
    assert len(arrival_s) == len(size_class)


def test_the_busiest_part_of_a_day_has_enough_requests_for_its_own_quantile():
    demand = bench(diurnal=(*(1.0,) * 23, 2.0), quantile=0.99).demand

    counted = SEEDS * demand.in_busiest(round(0.95 * demand.requests)).sum()

    assert 0.9 * REQUESTS_BEYOND_QUANTILE <= 0.01 * counted


def test_a_trace_is_replayed_as_it_was_recorded():
    recorded_s = 1e6 + np.cumsum(np.resize([0.5, 0.001, 0.001, 0.2], 400))
    lengths = tuple(np.resize([8, 128], 400).tolist())
    trace = Trace(arrival_s=tuple(recorded_s), sequence_length=lengths)
    demand = bench(profile(power_law(0.001), lengths=(8, 32, 128)), trace=trace).demand

    arrival_s, size_class, _ = demand.stream(3, 1)

    np.testing.assert_array_equal(recorded_s - recorded_s[0], arrival_s)
    assert lengths == tuple(demand.lengths[each] for each in size_class)
    assert 399 / (recorded_s[-1] - recorded_s[0]) == pytest.approx(demand.requests_per_s)


def test_replicas_share_out_the_requests_of_a_trace():
    trace = Trace(arrival_s=tuple(np.arange(20_000) * 0.01), sequence_length=None)
    demand = bench(trace=trace).demand

    shares = [len(demand.stream(seed, 4)[0]) / 20_000 for seed in range(SEEDS)]

    assert 0.25 == pytest.approx(np.mean(shares), abs=0.01)


@pytest.mark.parametrize("asked", [SequenceLength(p50=32, p95=128), SequenceLength(p50=32, p95=128, max=500)])
def test_lengths_have_the_quantiles_that_were_asked_for(asked):
    demand = bench(profile(power_law(0.001), lengths=(8, 32, 128)), sequence_length=asked, quantile=0.999).demand
    lengths = np.array([demand.lengths[each] for each in demand.stream(0, 1)[1]])

    assert (asked.p50, asked.p95) == pytest.approx(tuple(np.quantile(lengths, (0.5, 0.95))), rel=0.05)
    assert lengths.max() == (asked.max or asked.p95)


def test_requests_longer_than_any_that_was_measured_take_longer_than_those():
    made = bench(profile(power_law(0.001), lengths=(32,)), requests_per_s=0.01, sequence_length=SequenceLength(p50=320))

    prediction = predict(made, configuration(), 1, today_replicas=1)

    assert 0.32 == pytest.approx(prediction.latency_p50_s.value)
    assert "projected" == prediction.latency_p50_s.basis


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([0.5, 0.9, 0.99]), st.integers(20, 300))
def test_rounding_lengths_to_classes_moves_no_quantile_by_more_than_a_few_percent(quantile, p50):
    asked = SequenceLength(p50=p50, p95=4 * p50, max=16 * p50)
    measured = profile(power_law(1e-4), lengths=(p50 // 4, p50, 4 * p50, 16 * p50))
    made = bench(measured, requests_per_s=1e-3, quantile=quantile, sequence_length=asked)
    beyond = {0.5: 0.0, 0.9: 1.2816, 0.99: 2.3263}[quantile]  # of the normal law
    expected = 1e-4 * p50 * math.exp(beyond * math.log(4) / 1.6449)

    actual = np.mean(made.simulator.outcome(configuration(), 1, "value", (quantile,)).quantiles_s)

    assert expected == pytest.approx(actual, rel=0.04)


# --- what is made of runs ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=60), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4))
def test_a_quantile_is_the_smallest_latency_that_so_many_requests_keep(latency_s, wanted):
    found = quantiles(np.array(latency_s), wanted)

    for quantile, reached in zip(wanted, found, strict=True):
        assert reached in latency_s
        assert np.mean(np.array(latency_s) <= reached) >= quantile * (1 - 1e-12)
        assert np.mean(np.array(latency_s) < reached) < quantile


@settings(deadline=None, max_examples=40)
@given(sequence_lengths(), st.floats(0.05, 0.999), st.integers(20, 400))
def test_the_sure_class_is_reached_by_more_requests_than_may_be_late_in_every_run(asked, quantile, requests):
    demand = bench(profile(power_law(0.001), lengths=(4, 16, 64)), requests=requests, sequence_length=asked).demand

    sure = demand.sure_class(quantile)

    for seed in range(SEEDS):
        counted = demand.stream(seed, 1)[1][int(WARM_UP_FRACTION * requests) :]
        assert (counted >= sure).sum() > len(counted) - math.ceil(quantile * len(counted))


@settings(deadline=None, max_examples=40)
@given(configurations, rates, days, burstiness, st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.integers(1, 5), sequence_lengths())
def test_no_run_is_faster_than_the_bound_on_latency(candidate, requests_per_s, diurnal, cv, quantile, replicas, asked):
    measured = profile(fixed_cost_law(0.002, 1e-4), settings=((1, 1), (1, 4)), lengths=(16, 64), calls=UNSTEADY)
    made = bench(
        measured,
        requests=400,
        requests_per_s=requests_per_s,
        diurnal=diurnal,
        burstiness_cv=cv,
        quantile=quantile,
        sequence_length=asked,
    )

    _, floor_s = made.simulator.bounds(candidate, quantile)

    assert floor_s <= made.simulator.outcome(candidate, replicas, "high", (quantile,)).quantiles_s.min()


@settings(deadline=None, max_examples=30)
@given(configurations, rates, days, burstiness, st.integers(1, 3))
def test_a_prediction_lies_within_its_interval_and_its_quantiles_ascend(candidate, requests_per_s, diurnal, cv, replicas):
    made = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s, diurnal=diurnal, burstiness_cv=cv)

    prediction = predict(made, candidate, replicas, today_replicas=1)

    latencies = (prediction.latency_p50_s, prediction.latency_p95_s, prediction.latency_p99_s)
    others = (prediction.utilization_fraction, prediction.goodput_fraction, prediction.throughput_requests_per_s)
    busiest = prediction.latency_busiest_s
    assert all(each.low <= each.value <= each.high for each in (*latencies, *others, *((busiest,) if busiest else ())))
    assert sorted(each.value for each in latencies) == [each.value for each in latencies]


@settings(deadline=None, max_examples=30)
@given(configurations, rates, targets, days, st.integers(1, 3))
def test_the_search_and_the_prediction_agree_on_whether_the_target_is_kept(
    candidate, requests_per_s, latency_s, diurnal, replicas
):
    made = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s, latency_s=latency_s, diurnal=diurnal)

    expected = made.simulator.meets(candidate, replicas, quantile=0.9, target_s=latency_s)

    assert expected == predict(made, candidate, replicas, today_replicas=1).meets_slo


@settings(deadline=None, max_examples=30)
@given(configurations, rates, targets, st.integers(1, 3))
def test_the_target_is_kept_where_so_many_requests_are_within_it_and_servers_keep_up(
    candidate, requests_per_s, latency_s, replicas
):
    made = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s, latency_s=latency_s)
    prediction = predict(made, candidate, replicas, today_replicas=1)

    expected = made.simulator.keeps_up(candidate, replicas, "high") and prediction.goodput_fraction.low >= 0.9

    assert expected == prediction.meets_slo


@settings(deadline=None, max_examples=30)
@given(configurations, rates, st.integers(1, 3))
def test_batches_of_all_sizes_are_all_batches(candidate, requests_per_s, replicas):
    made = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s)

    prediction = predict(made, candidate, replicas, today_replicas=1)

    assert candidate.max_batch_size == len(prediction.batch_size_shares)
    assert 1.0 == pytest.approx(sum(prediction.batch_size_shares))
    assert 1.0 <= prediction.mean_batch_size <= candidate.max_batch_size


def test_batches_are_full_where_requests_pile_up_and_single_where_they_are_few():
    candidate = configuration(max_batch_size=4)

    few, many = (predict(bench(requests_per_s=rate), candidate, 1, today_replicas=1) for rate in (0.01, 1e4))

    assert (1.0, 1.0) == (pytest.approx(few.batch_size_shares[0]), pytest.approx(many.batch_size_shares[3], abs=0.001))


def test_what_comes_out_is_what_comes_in_or_as_much_as_the_servers_can_do():
    idle, overloaded = (predict(bench(requests_per_s=rate), configuration(), 2, today_replicas=2) for rate in (50.0, 1000.0))

    assert 50.0 == pytest.approx(idle.throughput_requests_per_s.value, rel=0.03)
    assert 2 / SECONDS == pytest.approx(overloaded.throughput_requests_per_s.value, rel=0.01)


@pytest.mark.parametrize("diurnal", [None, (1.0, 3.0)])
def test_a_target_that_only_a_short_run_keeps_is_not_kept(diurnal):
    # At 120 requests a second the queue of a server that does 100 grows by 12 minutes an hour, and by seconds in a run.
    made = bench(requests_per_s=120.0 if diurnal is None else 80.0, latency_s=60.0, diurnal=diurnal)

    prediction = predict(made, configuration(), 1, today_replicas=1)

    assert prediction.latency_slo_s.high < 60.0 and not prediction.meets_slo


@pytest.mark.parametrize("candidate", [configuration(), configuration(instances=4, max_batch_size=16, max_queue_delay_s=0.002)])
def test_at_its_capacity_a_configuration_keeps_the_target_and_well_above_it_does_not(candidate):
    simulator = bench(TIRED_PROFILE, requests_per_s=100.0).simulator
    capacity = capacity_requests_per_s(simulator, candidate, 2, quantile=0.9, target_s=0.03)

    reached = [
        quantiles(simulator.run(candidate, 2, "value", 0, scale=times * capacity.value / 100.0).latency_s, (0.9,))[0]
        for times in (1.0, 1.3)
    ]

    assert reached[0] <= 0.03 < reached[1]


@settings(deadline=None, max_examples=30)
@given(configurations, rates, targets, days, st.integers(1, 3))
def test_the_capacity_of_what_keeps_the_target_is_at_least_the_traffic(candidate, requests_per_s, latency_s, diurnal, replicas):
    made = bench(TIRED_PROFILE, requests=500, requests_per_s=requests_per_s, latency_s=latency_s, diurnal=diurnal)

    prediction = predict(made, candidate, replicas, today_replicas=1, with_capacity=True)

    capacity = prediction.capacity_requests_per_s
    assert capacity is None or capacity.low <= capacity.value <= capacity.high
    assert not prediction.meets_slo or capacity.low >= requests_per_s * (1 - 1e-12)


def test_there_is_no_capacity_where_a_single_request_takes_longer_than_the_target():
    simulator = bench(requests_per_s=1.0).simulator

    assert capacity_requests_per_s(simulator, configuration(), 1, quantile=0.9, target_s=SECONDS / 2) is None


def test_cost_is_that_of_the_replicas_and_of_a_million_requests():
    prediction = predict(bench(requests_per_s=40.0, usd_per_hour=0.34), configuration(), 3, today_replicas=3)

    assert 1.02 == pytest.approx(prediction.cost_usd_per_hour.value)
    assert 1.02 / (40.0 * 3600) * 1e6 == pytest.approx(prediction.cost_usd_per_million_requests.value)


def test_a_demand_is_the_same_for_the_same_question():
    one, other = (Demand(workload(), lengths=(None,), trace_s=None, trace_length=None) for _ in range(2))

    np.testing.assert_array_equal(one.stream(0, 3)[0], other.stream(0, 3)[0])


# --- other confidences ---------------------------------------------------------------------------------------------------


confidences = st.floats(0.01, 0.999)


@settings(deadline=None, max_examples=40)
@given(configurations, confidences)
def test_tables_rise_with_batches_and_lengths_at_every_confidence(candidate, confidence):
    measured = profile(fixed_cost_law(0.002, 1e-4), settings=((1, 1), (1, 4)), lengths=(16, 64), calls=UNSTEADY)
    made = bench(measured, sequence_length=SequenceLength(p50=16, p95=64))

    table = made.supposing(confidence).table(candidate, "high")

    assert (np.diff(table, axis=0) >= 0).all() and (np.diff(table, axis=1) >= 0).all()


@settings(deadline=None, max_examples=40)
@given(configurations, confidences, confidences)
def test_more_confidence_supposes_no_quicker_calls(candidate, one, other):
    made = bench(TIRED_PROFILE)

    less, more = (made.supposing(confidence).table(candidate, "high") for confidence in sorted((one, other)))

    assert (less <= more * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("confidence", "end"), [(LEAST_CONFIDENCE, "low"), (MIDDLE_CONFIDENCE, "value"), (USUAL_CONFIDENCE, "high")]
)
def test_the_confidences_of_the_interval_are_its_ends_and_its_middle(confidence, end):
    made = bench(with_site(TIRED_PROFILE, trial=taught(ratio=1.05, per_batch_s=0.5 * SECONDS, wake_s=0.1 * SECONDS)))
    waiting = configuration(max_batch_size=8, max_queue_delay_s=0.002)

    supposed, reported = made.supposing(confidence), made.simulator

    np.testing.assert_allclose(reported.table(waiting, end), supposed.table(waiting, "high"), rtol=1e-12)
    np.testing.assert_allclose(
        reported.run(waiting, 1, end, 0).latency_s, supposed.run(waiting, 1, "high", 0).latency_s, rtol=1e-9
    )


@settings(deadline=None, max_examples=25)
@given(configurations, rates, targets, st.integers(1, 4), confidences)
def test_what_the_bounds_exclude_is_not_feasible_at_any_confidence(candidate, requests_per_s, target_s, replicas, confidence):
    made = bench(TIRED_PROFILE, requests=1000, requests_per_s=requests_per_s, latency_s=target_s)
    simulator = made.supposing(confidence)
    work_s, floor_s = simulator.bounds(candidate, 0.9)

    is_excluded = requests_per_s * work_s >= replicas or floor_s > target_s

    assert not (is_excluded and simulator.meets(candidate, replicas, quantile=0.9, target_s=target_s))


def test_of_calls_that_a_load_test_saw_the_interval_is_that_of_the_load_test():
    seen = replace(taught(ratio=1.1), call_lengths_s=(SECONDS,))
    made = bench(with_site(profile(power_law(SECONDS), visits=(0.7, 1.0, 1.3)), calibrations=(seen,)))

    low, value, high = (made.simulator.table(configuration(max_batch_size=4), end)[:, 0] / SECONDS for end in ENDS)

    assert [1.1, 1.1, 1.1] == pytest.approx([low[0], value[0], high[0]])
    assert low[3] < value[3] < high[3]  # longer calls were not seen


@settings(deadline=None, max_examples=25)
@given(configurations, rates, targets, st.integers(1, 4))
def test_a_cost_that_follows_from_service_times_has_the_replicas_of_both_ends_in_its_interval(
    candidate, requests_per_s, target_s, replicas
):
    made = bench(TIRED_PROFILE, requests=1000, requests_per_s=requests_per_s, latency_s=target_s)

    needed, given_ = (
        predict(made, candidate, replicas, today_replicas=1, is_given=is_given).cost_usd_per_hour for is_given in (False, True)
    )

    assert (replicas, replicas, replicas, "list-price") == (given_.low, given_.value, given_.high, given_.basis)
    assert needed.low <= needed.value == replicas <= needed.high and "simulated" == needed.basis
    # At either end its number of replicas keeps the target there, and one fewer does not.
    quick = made.supposing(LEAST_CONFIDENCE)
    if needed.low < replicas:
        assert quick.meets(candidate, int(needed.low), quantile=0.9, target_s=target_s)
        assert needed.low == 1 or not quick.meets(candidate, int(needed.low) - 1, quantile=0.9, target_s=target_s)
    if needed.high > replicas:
        assert made.simulator.meets(candidate, int(needed.high), quantile=0.9, target_s=target_s)
        assert not made.simulator.meets(candidate, replicas, quantile=0.9, target_s=target_s)


@pytest.mark.parametrize("end", ENDS)
def test_a_table_of_fewer_rows_begins_that_of_more_whichever_was_asked_for_first(end):
    measured = profile(fixed_cost_law(0.004, 0.001), batch_sizes=(1, 4, 16))
    few, most, beyond = (configuration(max_batch_size=size) for size in (3, 16, 40))
    rising, falling = (under(workload(), measured).simulator for _ in range(2))

    upwards = [rising.table(entry, end) for entry in (few, most, beyond)]
    downwards = [falling.table(entry, end) for entry in (beyond, most, few)][::-1]

    assert [3, 16, 40] == [len(table) for table in upwards]
    for one, other in zip(upwards, downwards, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(upwards[1][:3], upwards[0], rtol=1e-12)
