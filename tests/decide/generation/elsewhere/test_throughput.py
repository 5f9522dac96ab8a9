"""What one device serves at full load, from a configuration."""

import pytest

from advisor.decide.generation.elsewhere.throughput import throughput_of
from advisor.errors import AdvisorError, InputError
from tests.elsewhere_models import DENSE, EXPERTS, Steps, device


def of(model=DENSE, hardware=None, inputs=500.0, outputs=100.0, **asked):
    return throughput_of(model, hardware or device(), Steps, input_tokens=inputs, output_tokens=outputs, **asked)


def test_a_device_reads_no_faster_than_its_products_and_writes_no_faster_than_its_memory():
    found = of()
    flop_per_token = 2 * DENSE.active_parameters

    assert 0.3 * 600e12 / flop_per_token < found.tokens_per_s.value < 600e12 / flop_per_token
    assert found.tokens_per_s.low < found.tokens_per_s.value < found.tokens_per_s.high
    assert of(inputs=10.0, outputs=1000.0).tokens_per_s.value < found.tokens_per_s.value


def test_one_device_serves_most_by_itself_where_it_holds_the_model():
    assert 1 == of().tensor_parallel
    assert 8 == of(EXPERTS, device(memory_bytes=140e9)).tensor_parallel


def test_a_prefix_that_is_cached_lets_a_device_serve_more():
    assert of(shared_prefix_tokens=400.0).tokens_per_s.value > 1.5 * of().tokens_per_s.value


def test_a_lower_precision_serves_more_where_it_is_asked_for():
    assert of(weights="fp8").tokens_per_s.value > 1.3 * of().tokens_per_s.value


def test_prompts_alone_are_read_at_the_rate_of_products():
    flop_per_token = 2 * DENSE.active_parameters

    assert 600e12 / flop_per_token == pytest.approx(of(inputs=4000.0, outputs=0.0).tokens_per_s.value, rel=0.1)


def test_a_model_that_no_machine_holds_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="hold no request"):
        of(EXPERTS, most_devices=4)


def test_a_device_without_ground_is_refused_as_its_steps_are():
    with pytest.raises(AdvisorError, match="nothing says"):
        of(hardware=device(memory_bandwidth_bytes_per_s=None))
