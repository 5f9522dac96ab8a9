"""The queue that batches: equal to its twin, faithful to queueing theory, deaf to bad input."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from advisor.kernels import queue_sim, reference
from tests.strategies import queues, stalls

TIMES = ("arrival_s", "service_s", "max_queue_delay_s", "wake_s", "hold_up_s")
AWAKE = {"wake_s": 0.0, "hold_up_s": None}  # a server takes as long if it was idle
stalled_or_not = st.just({}) | stalls()


def leaving_s(queue):
    return queue["arrival_s"] + queue_sim.simulate_queue(**queue)[0]


@given(queues(), stalled_or_not)
def test_the_kernel_answers_as_its_twin_to_the_last_bit(queue, stalled):
    queue |= stalled
    expected_latency_s, expected_batches, expected_busy_s = reference.simulate_queue(**queue)

    latency_s, batches, busy_s = queue_sim.simulate_queue(**queue)

    np.testing.assert_array_equal(expected_latency_s, latency_s)
    np.testing.assert_array_equal(expected_batches, batches)
    assert expected_busy_s == busy_s


@pytest.mark.parametrize("name", ["simulate_queue", "keeps_target"])
def test_the_kernel_is_called_as_its_twin(name):
    expected = inspect.signature(getattr(reference, name)).parameters.values()

    actual = inspect.signature(getattr(queue_sim, name)).parameters.values()

    assert [(p.name, p.kind, p.default) for p in expected] == [(p.name, p.kind, p.default) for p in actual]


@given(queues(), stalled_or_not, st.sampled_from([0.25, 2.0, 1024.0]))
def test_changing_the_unit_of_time_changes_nothing_else(queue, stalled, factor):
    queue |= stalled
    scaled = queue | {name: queue[name] * factor for name in (*TIMES, *stalled) if queue[name] is not None}
    latency_s, batches, busy_s = queue_sim.simulate_queue(**queue)

    scaled_latency_s, scaled_batches, scaled_busy_s = queue_sim.simulate_queue(**scaled)

    np.testing.assert_array_equal(latency_s * factor, scaled_latency_s)
    np.testing.assert_array_equal(batches, scaled_batches)
    assert busy_s * factor == scaled_busy_s


@given(queues())
def test_nobody_is_answered_sooner_than_they_can_be_served(queue):
    fastest_s = queue["service_s"].min() * queue["service_factor"].min()

    latency_s, _, _ = queue_sim.simulate_queue(**queue)

    assert (latency_s >= fastest_s - 1e-9).all()


@given(queues(factors=st.just(1.0)))
def test_requests_that_take_equally_long_are_answered_in_order_of_arrival(queue):
    queue["service_s"] = np.full_like(queue["service_s"], 0.5)
    queue |= AWAKE

    assert (np.diff(leaving_s(queue)) >= -1e-9).all()


@given(queues())
def test_every_request_is_in_exactly_one_batch(queue):
    _, batches, _ = queue_sim.simulate_queue(**queue)

    assert len(queue["arrival_s"]) == batches @ np.arange(1, len(batches) + 1)


@given(queues(max_batch_sizes=st.just(1)))
def test_without_batching_the_servers_work_for_the_sum_of_all_service_times(queue):
    queue |= AWAKE
    factor = np.resize(queue["service_factor"], len(queue["arrival_s"]))
    expected = math.fsum(queue["service_s"][0, queue["size_class"]] * factor)

    _, _, busy_s = queue_sim.simulate_queue(**queue)

    assert expected == pytest.approx(busy_s)


@given(queues(max_batch_sizes=st.just(1)))
def test_without_batching_another_server_never_delays_anybody(queue):
    queue |= AWAKE  # with more servers, more of them are found idle

    latency_s, _, _ = queue_sim.simulate_queue(**queue)

    with_another_s, _, _ = queue_sim.simulate_queue(**queue | {"instances": queue["instances"] + 1})

    assert (with_another_s <= latency_s).all()


@given(queues())
def test_nobody_waits_longer_than_the_delay_for_a_server_that_is_free(queue):
    held_up_s = 0.0 if queue["hold_up_s"] is None else queue["hold_up_s"].max()
    slowest_s = queue["service_s"].max() * queue["service_factor"].max() + queue["wake_s"] + held_up_s

    latency_s, _, _ = queue_sim.simulate_queue(**queue | {"instances": 64})

    assert (latency_s <= queue["max_queue_delay_s"] * (1 + 1e-9) + slowest_s + 1e-9).all()


def test_only_a_server_that_was_idle_before_a_batch_was_due_has_to_wake_up():
    arrival_s = np.array([0.0, 0.5, 2.0, 10.0])

    latency_s, _, busy_s = queue_sim.simulate_queue(
        arrival_s, np.zeros(4, np.intp), np.ones((1, 1)), np.ones(1), instances=1, max_queue_delay_s=0.0, wake_s=0.25
    )

    # The second waits for the first; the third comes while the second is served, and the fourth to an idle server.
    np.testing.assert_array_equal([1.25, 1.75, 1.25, 1.25], latency_s)
    assert 4.5 == busy_s


def test_batches_that_come_to_an_idle_server_are_held_up_in_turn():
    arrival_s = np.array([0.0, 0.5, 10.0, 20.0, 30.0])

    latency_s, _, busy_s = queue_sim.simulate_queue(
        arrival_s,
        np.zeros(5, np.intp),
        np.ones((1, 1)),
        np.ones(1),
        instances=1,
        max_queue_delay_s=0.0,
        wake_s=0.25,
        hold_up_s=np.array([0.0, 4.0]),
    )

    # The second finds the server at work: it is not held up, and takes no draw from those who are.
    np.testing.assert_array_equal([1.25, 1.75, 5.25, 1.25, 5.25], latency_s)
    assert 14.0 == busy_s


@given(queues(), stalls(lengths=st.just(0.0)))
def test_stalls_of_no_length_change_nothing(queue, stalled):
    expected = queue_sim.simulate_queue(**queue)

    actual = queue_sim.simulate_queue(**queue, **stalled)

    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stall_that_began_before_the_last_round_of_draws_still_holds_up_a_late_batch():
    # A stall of 9 s begins every 20 s, with one of no length a second after it, and the batch starts 5 s into one of them.
    waits = {"max_queue_delay_s": 1e6 + 5.0, "wake_s": 0.0}
    queue = {"service_s": np.ones((2, 1)), "service_factor": np.ones(1)} | waits
    stalled = {"stall_gap_s": np.array([1.0, 19.0]), "stall_length_s": np.array([0.0, 9.0])}

    assert 1e6 + 5.0 + 4.0 + 1.0 == pytest.approx(latency_alone_s(queue, stalled), abs=1e-6)


def latency_alone_s(queue, stalled):
    alone = {"arrival_s": np.array([0.125]), "size_class": np.zeros(1, np.intp), "instances": 1}
    return queue_sim.simulate_queue(**queue | alone | stalled)[0][0]


# Twice as long would be half of the time, where rounding decides whether that is a service.
@given(queues(), stalls(), st.floats(1.0, 1.99), st.floats(0.0, 0.5))
def test_longer_or_more_stalls_never_help_a_lone_request(queue, stalled, factor, added_s):
    longer = stalled | {"stall_length_s": stalled["stall_length_s"] * factor}
    # The same stalls, and another in the midst of every gap.
    halves_s = np.repeat(stalled["stall_gap_s"], 2) / 2
    others_s = np.full(len(stalled["stall_gap_s"]), added_s)
    more = {"stall_gap_s": halves_s, "stall_length_s": np.column_stack([others_s, stalled["stall_length_s"]]).ravel()}
    assume(more["stall_length_s"].sum() < 0.5 * halves_s.sum())

    latency_s = latency_alone_s(queue, stalled)

    assert latency_alone_s(queue, {}) <= latency_s
    assert latency_s <= latency_alone_s(queue, longer) * (1 + 1e-9)
    assert latency_s <= latency_alone_s(queue, more) * (1 + 1e-9)


def one_server(arrival_s, *, service_s, gaps, lengths, wake_s=0.0):
    return queue_sim.simulate_queue(
        np.array(arrival_s),
        np.zeros(len(arrival_s), np.intp),
        np.array([[service_s]]),
        np.ones(1),
        instances=1,
        max_queue_delay_s=0.0,
        wake_s=wake_s,
        stall_gap_s=np.array(gaps),
        stall_length_s=np.array(lengths),
    )


def test_a_stall_lengthens_the_batch_in_whose_midst_it_begins_and_counts_as_work():
    latency_s, _, busy_s = one_server([0.0, 0.5, 10.0], service_s=1.0, gaps=[0.75, 100.0], lengths=[2.0, 1.0])

    np.testing.assert_array_equal([3.0, 3.5, 1.0], latency_s)
    assert 5.0 == busy_s


def test_a_stall_that_began_on_an_idle_server_holds_up_what_comes_before_it_is_over():
    latency_s, _, busy_s = one_server([0.0, 4.5, 9.0], service_s=1.0, gaps=[4.0, 100.0], lengths=[2.0, 1.0])

    # The stall lasts from 4 to 6: the second request comes in its midst, the third after it.
    np.testing.assert_array_equal([1.0, 2.5, 1.0], latency_s)
    assert 4.5 == busy_s


def test_stalls_that_overlap_take_the_time_that_they_cover_together():
    latency_s, _, _ = one_server([0.0], service_s=2.0, gaps=[1.0, 2.0, 100.0], lengths=[3.0, 2.5, 1.0])

    # From 1 to 4 and from 3 to 5.5: four and a half seconds, and two of work.
    assert 6.5 == latency_s[0]


@pytest.mark.parametrize("instances", [1, 3])
def test_stalls_take_the_part_of_a_server_that_they_are_of_the_time(instances):
    rng, requests = np.random.default_rng(7), 50_000
    gap_s, length_s = rng.exponential(20.0, 2000), rng.exponential(1.0, 2000)
    covered = 1 - math.exp(-length_s.mean() / gap_s.mean())  # of M/G/infinity: somebody is there

    _, _, busy_s = queue_sim.simulate_queue(
        np.cumsum(rng.exponential(30.0 / instances, requests)),
        np.zeros(requests, np.intp),
        np.full((1, 1), 3.0),
        np.ones(1),
        instances=instances,
        max_queue_delay_s=0.0,
        stall_gap_s=gap_s,
        stall_length_s=length_s,
    )

    # A busy server works off its batch in the part of the time that no stall covers; one that is idle is stalled as often as it looks.
    # The standard error of the mean is about 0.5 % of it.
    expected_s = 3.0 * 1 / (1 - covered)
    assert expected_s == pytest.approx(busy_s / requests - covered, rel=0.03)


def test_what_a_server_does_after_an_idle_age_is_worked_out_at_once():
    latency_s, _, _ = one_server([0.0, 1e15], service_s=1.0, gaps=[0.5, 0.25], lengths=[0.25, 0.125])

    assert (latency_s >= 1.0).all() and (latency_s <= 4.0).all()


def test_a_batch_leaves_when_it_is_full_or_its_oldest_request_has_waited_long_enough():
    arrival_s = np.array([0.0, 1.0, 2.0, 10.0, 11.0])
    service_s = np.array([[1.0], [1.5], [2.0]])

    latency_s, batches, busy_s = queue_sim.simulate_queue(
        arrival_s, np.zeros(5, np.intp), service_s, np.ones(1), instances=1, max_queue_delay_s=4.0
    )

    np.testing.assert_array_equal([4.0, 3.0, 2.0, 5.5, 4.5], latency_s)
    np.testing.assert_array_equal([0, 1, 1], batches)
    assert busy_s == 3.5


def test_a_batch_takes_as_long_as_its_largest_request():
    service_s = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])

    latency_s, _, _ = queue_sim.simulate_queue(
        np.zeros(4), np.array([0, 2, 1, 0]), service_s, np.array([1.0, 0.5]), instances=1, max_queue_delay_s=0.0
    )

    np.testing.assert_array_equal([4.0, 4.0, 5.0, 5.0], latency_s)


def mean_wait_s(service_factor, *, requests_per_s, instances, seed):
    # Twenty runs of 200,000 requests, the first tenth of each dropped: the queue starts empty and must first fill.
    requests, rng = 200_000, np.random.default_rng(seed)
    waits_s = []
    for _ in range(20):
        arrival_s = np.cumsum(rng.exponential(1 / requests_per_s, requests))
        factor = service_factor(rng, requests)
        latency_s, _, _ = queue_sim.simulate_queue(
            arrival_s, np.zeros(requests, np.intp), np.ones((1, 1)), factor, instances=instances, max_queue_delay_s=0.0
        )
        waits_s.append((latency_s - factor)[requests // 10 :].mean())
    return np.mean(waits_s)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_random_arrivals_and_constant_service_wait_as_pollaczek_and_khinchine_say(load):
    expected = load / (2 * (1 - load))

    actual = mean_wait_s(lambda _, requests: np.ones(requests), requests_per_s=load, instances=1, seed=1)

    # The standard error of this mean is below 0.5 % of it.
    assert expected == pytest.approx(actual, rel=0.02)


@pytest.mark.parametrize("instances", [1, 4])
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_random_arrivals_and_random_service_wait_as_erlang_says(load, instances):
    offered = load * instances
    terms = [offered**n / math.factorial(n) for n in range(instances + 1)]
    all_busy = terms[-1] / (terms[-1] + (1 - load) * sum(terms[:-1]))
    expected = all_busy / (instances * (1 - load))

    actual = mean_wait_s(lambda rng, requests: rng.exponential(1, requests), requests_per_s=offered, instances=instances, seed=2)

    # The standard error of this mean is below 0.9 % of it.
    assert expected == pytest.approx(actual, rel=0.03)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"arrival_s": np.array([1.0, 0.0])}, "arrival_s must be finite and ascending"),
        ({"arrival_s": np.array([np.nan, 0.0])}, "arrival_s must be finite and ascending"),
        ({"arrival_s": np.array([0.0, np.inf])}, "arrival_s must be finite and ascending"),
        ({"arrival_s": np.zeros(3)}, "size_class has 2 entries for 3 arrivals"),
        ({"arrival_s": np.zeros((2, 1))}, "wrong number of dimensions"),
        ({"arrival_s": np.zeros(4)[::2]}, "not C-contiguous"),
        ({"arrival_s": np.zeros(2, np.float32)}, "Buffer dtype mismatch"),
        ({"size_class": np.array([0, 2])}, r"size_class must lie in 0\.\.1"),
        ({"size_class": np.array([-1, 0])}, r"size_class must lie in 0\.\.1"),
        ({"service_s": np.zeros((0, 2))}, "service_s has shape"),
        ({"service_s": np.zeros((2, 2))}, "service_s must be finite and positive"),
        ({"service_s": np.full((2, 2), np.nan)}, "service_s must be finite and positive"),
        ({"service_factor": np.empty(0)}, "service_factor is empty"),
        ({"service_factor": np.array([1.0, -1.0])}, "service_factor must be finite and positive"),
        ({"service_factor": np.array([np.inf])}, "service_factor must be finite and positive"),
        ({"instances": 0}, "instances must be at least 1, not 0"),
        ({"max_queue_delay_s": -0.5}, r"max_queue_delay_s must be finite and not negative, not -0\.5"),
        ({"max_queue_delay_s": math.nan}, "max_queue_delay_s must be finite and not negative, not nan"),
        ({"hold_up_s": np.empty(0)}, "hold_up_s must have one entry at least"),
        ({"hold_up_s": np.array([0.0, -1.0])}, "hold_up_s must have one entry at least, all finite and not negative"),
        ({"hold_up_s": np.array([np.nan])}, "hold_up_s must have one entry at least, all finite and not negative"),
        ({"stall_gap_s": np.ones(2)}, "must have as many entries, one at least, or both be None"),
        ({"stall_length_s": np.ones(2)}, "must have as many entries, one at least, or both be None"),
        ({"stall_gap_s": np.empty(0), "stall_length_s": np.empty(0)}, "must have as many entries, one at least, or both be None"),
        ({"stall_gap_s": np.ones(2), "stall_length_s": np.zeros(3)}, "must have as many entries, one at least, or both be None"),
        ({"stall_gap_s": np.full(1, 1e-7), "stall_length_s": np.zeros(1)}, "stall_gap_s must be finite and at least 1e-06 s"),
        ({"stall_gap_s": np.full(1, np.nan), "stall_length_s": np.zeros(1)}, "stall_gap_s must be finite and at least 1e-06 s"),
        ({"stall_gap_s": np.ones(1), "stall_length_s": np.full(1, -0.1)}, "stall_length_s must be finite and not negative"),
        ({"stall_gap_s": np.ones(1), "stall_length_s": np.full(1, np.inf)}, "stall_length_s must be finite and not negative"),
        (
            {"stall_gap_s": np.ones(1), "stall_length_s": np.full(1, 0.6)},
            "stalls take 60% of the time: more than 50% is no service",
        ),
        ({"max_queue_delay_s": math.inf}, "max_queue_delay_s must be finite and not negative, not inf"),
    ],
)
def test_input_that_makes_no_sense_is_refused(change, complaint):
    queue = {
        "arrival_s": np.array([0.0, 1.0]),
        "size_class": np.array([0, 1]),
        "service_s": np.ones((3, 2)),
        "service_factor": np.ones(1),
        "instances": 1,
        "max_queue_delay_s": 0.0,
    }

    with pytest.raises(ValueError, match=complaint):
        queue_sim.simulate_queue(**queue | change)


@settings(deadline=None)
@given(
    queues(),
    stalled_or_not,
    st.integers(0, 10),
    st.integers(0, 10),
    st.sampled_from([0.25, 1.0, 2.0, 5.0]),
    st.sampled_from([0.0, 0.125]),
)
def test_stopping_at_the_first_request_too_many_changes_no_answer(queue, stalled, warm_up, allowed, target_s, transit_s):
    asked = (
        queue
        | stalled
        | {
            "transit_s": np.full(len(queue["arrival_s"]), transit_s),
            "target_s": target_s,
            "warm_up": warm_up,
            "allowed": allowed,
        }
    )

    assert reference.keeps_target(**asked) == queue_sim.keeps_target(**asked)
