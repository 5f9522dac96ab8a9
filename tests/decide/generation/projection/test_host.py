"""What an engine adds: on the device where it was fitted, else on any; of an engine that nobody ran what the one of today does."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.generation.projection.composition import Parts
from advisor.decide.generation.projection.host import host_times, step_s
from tests.language_models import HOST

ON_L4 = replace(HOST, device="l4", matrices=1.2)
OLDER = replace(HOST, engine="vllm-2024", decode_step_s=8e-3)
PARTS = Parts(np.array([1e-2]), np.array([2e-3]), np.array([1e-3]), np.array([3e-3]))


def test_the_times_of_a_device_come_before_those_of_its_engine():
    hosts = (HOST, ON_L4, OLDER)

    assert (ON_L4, True) == host_times(hosts, "vllm", "l4")
    assert (HOST, False) == host_times(hosts, "vllm", "l40s")
    assert (OLDER, False) == host_times(hosts, "vllm-2024", "l4")


def test_an_engine_that_was_never_run_is_taken_for_a_younger_one():
    assert (OLDER, False) == host_times((OLDER, HOST, ON_L4), "vllm-2023", "l4")
    assert (ON_L4, False) == host_times((OLDER, HOST, ON_L4), "another", "l4")


def test_times_that_were_carried_over_are_not_fitted_ones():
    assert (replace(ON_L4, carried_from="vllm-2024"), False) == host_times(
        (HOST, replace(ON_L4, carried_from="vllm-2024")), "vllm", "l4"
    )


def test_a_step_is_its_kernels_and_what_the_host_does_for_each_request_layer_and_token():
    decode_s = step_s(HOST, 32, PARTS, running=np.array([10.0]), read=np.zeros(1))
    read_s = step_s(HOST, 32, PARTS, running=np.array([10.0]), read=np.array([500.0]))

    np.testing.assert_allclose(1.6e-2 + 7e-4 + 32 * 5e-6 + 10 * 2.4e-5, decode_s)
    np.testing.assert_allclose(decode_s - 7e-4 + 2e-3 + 500 * 1e-6, read_s)


def test_factors_are_of_their_own_parts():
    doubled = replace(HOST, matrices=2.0, attention=3.0, communication=4.0, experts=5.0)

    more_s = step_s(doubled, 32, PARTS, running=np.ones(1), read=np.zeros(1)) - step_s(
        HOST, 32, PARTS, running=np.ones(1), read=np.zeros(1)
    )

    np.testing.assert_allclose(1e-2 + 2 * 2e-3 + 3 * 1e-3 + 4 * 3e-3, more_s)


def test_a_host_that_launches_kernels_itself_lets_no_step_be_quicker_than_that():
    eager = replace(HOST, decode_launch_s=5e-4, prefill_launch_s=1e-4)
    more = Parts(*(10 * part for part in PARTS))
    steps_s = [
        float(step_s(host, 80, parts, running=np.ones(1), read=np.zeros(1))[0])
        for host in (HOST, eager)
        for parts in (PARTS, more)
    ]
    quick_s, slow_s, launched_s, busy_s = steps_s

    assert quick_s + 24e-3 == pytest.approx(launched_s, rel=2e-3)  # 80 layers of 0.5 ms instead of 16 ms of kernels
    assert slow_s == pytest.approx(busy_s, rel=1e-3)
