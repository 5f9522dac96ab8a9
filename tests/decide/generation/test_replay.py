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
from advisor.decide.generation.service.step_time import Costs, step_times
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


def test_steps_that_obey_the_profile_are_at_a_ratio_of_one():
    law, times = Law().times(1.25), step_times(MEASURED.sites[0])["fp32", 1]
    rows = [(0, 0, 100, 0), (0, 0, 50, 100), (4, 800, 0, 0), (2, 100, 0, 0)]
    took = [law.decode_s(b, s) if b else law.prefill_s(n, past) for b, s, n, past in rows]
    batch, context, tokens, past = np.array(rows, dtype=float).T

    prefill, decode = step_ratios(times, StepLog(batch, context, tokens, past, np.array(took)))

    assert 1.25 == pytest.approx(prefill.value)
    assert 1.25 == pytest.approx(decode.value)
    assert isinstance(times.costs(0), Costs)


def test_a_log_without_prompts_says_nothing_of_reading_them():
    times, zero = step_times(MEASURED.sites[0])["fp32", 1], np.zeros(1)

    assert step_ratios(times, StepLog(np.ones(1), np.full(1, 100.0), zero, zero, np.full(1, 0.006)))[0] is None


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
