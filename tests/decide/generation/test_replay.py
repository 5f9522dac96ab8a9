"""A replay beside its simulation: the same requests, covered where what was served obeys the laws."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.generation.replay import (
    StepLog,
    compare,
    covered,
    expected_of,
    load_of,
    measured_times,
    observed,
    step_ratios,
)
from advisor.decide.generation.service.step_time import step_times
from advisor.decide.generation.traffic import Load
from advisor.errors import InputError
from advisor.kernels import decode_sim
from advisor.schema.arrays.trace import Requests
from advisor.schema.workload import TokenSlo
from tests.decide.generation.replays import candidate
from tests.generation_profiles import Law, profile

MEASURED = profile(levels=(0.98, 1.0, 1.02))


def requests(count=120, gap_s=0.3):
    random = np.random.default_rng(5)
    return Requests(
        arrival_s=np.cumsum(random.exponential(gap_s, count)),
        input_tokens=random.integers(10, 300, count),
        output_tokens=random.integers(1, 40, count),
    )


def expected(asked=None, **changed):
    return expected_of(MEASURED, MEASURED.sites[0], candidate(MEASURED, **changed), asked or requests(), quantile=0.9)


def served(asked, law=None):
    """Return what a server that obeys the law did, from token to token: of each request the gaps but for its longest are alike."""
    law = law or Law()
    load = load_of(asked)
    done = decode_sim.simulate(
        load.arrival_s,
        load.input_tokens,
        load.output_tokens,
        load.prefix_hit_tokens,
        prefill_cost=np.array(law.prefill),
        decode_cost=np.array(law.decode),
        policy=decode_sim.PREFILL_FIRST,
        max_running_requests=4,
        kv_tokens=100_000,
        step_factors=np.ones(1),
    )
    tokens = []
    for first, last, gap, count in zip(
        done.first_token_s, done.last_token_s, done.longest_gap_s, load.output_tokens, strict=True
    ):
        if count < 3:
            tokens.append([first, last][:count])
        else:
            tokens.append([first, first + gap, *np.linspace(first + gap, last, count - 1)[1:]])
    return load, observed(load.arrival_s, tokens, done.end_s)


def test_what_obeys_the_laws_is_covered():
    load, seen = served(requests())

    found = covered(measured_times(load, seen, 0.9), expected())

    assert 12 == len(found)
    assert all(found.values())


def test_what_is_twice_as_slow_is_not_covered():
    load, seen = served(requests(), Law().times(2.0))

    found = covered(measured_times(load, seen, 0.9), expected())

    assert not any(value for name, value in found.items() if name.startswith("tpot_s"))


def test_all_requests_of_a_replay_count():
    load, seen = served(requests(7, 5.0))

    found = measured_times(load, seen, 0.9)

    assert "7 requests" in found.ttft_s.p50.source
    assert "7 requests" in expected(requests(7, 5.0)).ttft_s.p50.source
    assert found.ttft_s.p99.value == (seen.first_s - seen.arrived_s).max()


def test_a_comparison_holds_both_sides_and_whether_the_targets_were_kept():
    load, seen = served(requests())

    def compared(ttft_s):
        return compare(
            candidate(MEASURED),
            load,
            seen,
            expected(),
            before=None,
            slo=TokenSlo(ttft_s=ttft_s, quantile=0.9),
            engine="onnxruntime",
            clock="wall",
            load_fraction=0.5,
        )

    loose, strict = compared(5.0), compared(0.001)

    assert [True, False] == [loose.meets_slo, strict.meets_slo]
    assert 120 == loose.requests
    assert 3.3 == pytest.approx(loose.offered_requests_per_s, rel=0.2)
    assert loose.covered == covered(loose.measured, loose.expected)


def log_of(law, rows):
    """Return the log of a server that obeys a law: rows of decoded requests, what is cached in them, tokens read, cached before these."""
    batch, context, tokens, past = np.array(rows, dtype=float).T
    took = [law.decode_s(b, s) if b else law.prefill_s(n, behind) for b, s, n, behind in rows]
    return StepLog(batch, context, tokens, tokens * (past + tokens / 2), np.array(took))


ROWS = [(0, 0, 100, 0), (0, 0, 50, 100), (4, 800, 0, 0), (2, 100, 0, 0)]


@pytest.mark.parametrize("rounds", [1, 20])
def test_steps_that_obey_the_profile_are_at_a_ratio_of_one(rounds):
    times = step_times(MEASURED.sites[0])["fp32", 1]

    for factor in (1.0, 1.25):
        found = step_ratios(times, log_of(Law().times(factor), ROWS * rounds))

        for ratio in found:
            assert factor == pytest.approx(ratio.value) == pytest.approx(ratio.low) == pytest.approx(ratio.high)


def test_single_steps_that_are_spread_as_those_of_the_profile_are_no_slower():
    spread = (0.8, 1.0, 1.0, 1.6)
    times = step_times(profile(steps=spread).sites[0])["fp32", 1]
    log = log_of(Law(), ROWS * 40)
    random = np.random.default_rng(3)

    found = step_ratios(times, log._replace(took_s=log.took_s * random.permutation(np.resize(spread, len(log.took_s)))))

    assert all(ratio.low < 1.0 < ratio.high and 1.0 == pytest.approx(ratio.value, rel=0.05) for ratio in found)


def test_a_machine_that_changes_during_the_replay_leaves_its_ratio_open():
    times = step_times(MEASURED.sites[0])["fp32", 1]
    calm = log_of(Law(), ROWS * 40)
    half = np.arange(len(calm.took_s)) < len(calm.took_s) / 2

    steady, changed = (
        step_ratios(times, calm._replace(took_s=calm.took_s * factors)).decode for factors in (1.5, np.where(half, 1.0, 2.0))
    )

    assert 1.5 == pytest.approx(steady.value) == pytest.approx(changed.value)
    assert changed.low < 1.3 < 1.7 < changed.high
    assert steady.high < 1.6


def test_of_a_few_steps_the_ratio_is_as_open_as_they_differ():
    times = step_times(MEASURED.sites[0])["fp32", 1]
    log = log_of(Law(), ROWS)

    found = step_ratios(times, log._replace(took_s=log.took_s * np.array([1.0, 1.2, 1.1, 1.3]))).prefill

    assert (1.0, 1.2) == (pytest.approx(found.low), pytest.approx(found.high))
    assert found.low < found.value < found.high


def test_steps_that_read_and_decode_are_held_against_their_own_law():
    law, times = Law().times(1.25), step_times(profile(with_mixed=True).sites[0])["fp32", 1]
    rows = [(4, 800, 100, 0), (8, 2400, 200, 50), (0, 0, 64, 0), (3, 500, 0, 0)]
    batch, context, tokens, past = np.array(rows, dtype=float).T
    took = [
        law.mixed_s(*row) if row[0] and row[2] else law.decode_s(*row[:2]) if row[0] else law.prefill_s(*row[2:]) for row in rows
    ]

    found = step_ratios(times, StepLog(batch, context, tokens, tokens * (past + tokens / 2), np.array(took)))

    assert all(1.25 == pytest.approx(ratio.value, rel=0.15) for ratio in found)


def test_a_log_without_prompts_says_nothing_of_reading_them():
    times = step_times(MEASURED.sites[0])["fp32", 1]

    assert step_ratios(times, log_of(Law(), ROWS[2:])).prefill is None


def speed_of(times, law):
    return step_ratios(times, log_of(law, ROWS * 20))


def test_a_replay_on_a_slower_machine_is_expected_at_its_own_speed_and_its_prediction_stands():
    asked, slower = requests(gap_s=0.6), Law().times(1.5)
    load, seen = served(asked, slower)
    speed = speed_of(step_times(MEASURED.sites[0])["fp32", 1], slower)
    site = MEASURED.sites[0]

    before, expected = (
        expected_of(MEASURED, site, candidate(MEASURED), asked, quantile=0.9, speed=known) for known in (None, speed)
    )
    measured = measured_times(load, seen, 0.9)

    assert all(covered(measured, expected).values())
    assert not covered(measured, before)["tpot_s.p50"]
    for name in ("ttft_s", "tpot_s", "latency_s"):
        assert getattr(measured, name).p50.value == pytest.approx(getattr(expected, name).p50.value, rel=0.05)
        widths = [getattr(it, name).p50.high / getattr(it, name).p50.low for it in (before, expected)]
        assert widths[1] < widths[0]  # how quick the machine was is known
    assert "1.50× on prompts, 1.50× on tokens" in expected.ttft_s.p50.source
    assert "speed" not in before.ttft_s.p50.source


def test_what_a_replay_has_no_steps_of_is_as_open_as_before():
    site, asked = MEASURED.sites[0], requests()
    known = speed_of(step_times(site)["fp32", 1], Law())._replace(decode=None)

    before, expected = (
        expected_of(MEASURED, site, candidate(MEASURED), asked, quantile=0.9, speed=speed) for speed in (None, known)
    )

    widths = [it.tpot_s.p50.high / it.tpot_s.p50.low for it in (before, expected)]
    assert widths[1] > 1 + 0.5 * (widths[0] - 1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"input_tokens": None}, "no lengths in tokens"),
        ({"output_tokens": np.zeros(120, dtype=int)}, "at least one token"),
        ({"input_tokens": np.full(120, 3000)}, r"a request of 3,\d{3} tokens.* context of 2,048"),
    ],
)
def test_requests_that_cannot_be_served_are_refused_with_the_numbers(changed, says):
    with pytest.raises(InputError, match=says):
        expected(replace(requests(), **changed))


def test_a_cache_that_cannot_hold_one_request_is_refused_with_the_numbers():
    with pytest.raises(InputError, match=r"the cache of 100 tokens cannot hold the largest request, which needs \d+"):
        expected(kv_tokens=100)


def test_a_setting_that_was_not_measured_is_refused():
    with pytest.raises(InputError, match="fp32 on 3 threads was not measured"):
        expected(intra_op_num_threads=3)


def test_clients_are_replayed_one_request_after_the_other():
    found = expected_of(
        MEASURED, MEASURED.sites[0], candidate(MEASURED), requests(40, 1e-9), quantile=0.9, clients=2, think_s=1.0
    )
    load = load_of(requests(40), clients=2)

    assert found.requests_per_s.high < 2.0
    assert isinstance(load, Load)
    assert slice(0, 38) == load.counted
