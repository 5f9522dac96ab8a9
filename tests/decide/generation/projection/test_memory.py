"""Weights and cache of a replica, and of each device in it."""

import msgspec
import pytest

from advisor.decide.generation.projection import memory
from tests import configs

DEGREES = (1, 2, 4, 8)
PRECISIONS = ("bf16", "fp8", "int4", "fp4")


@pytest.mark.parametrize(
    ("name", "kv", "expected"),
    [
        ("llama-3.1-8b", "bf16", 131_072),
        ("llama-3.1-70b", "bf16", 327_680),
        ("llama-3.1-70b", "fp8", 163_840),
        ("deepseek-v3", "bf16", 70_272),
    ],
)
def test_a_token_takes_what_the_arithmetic_says(name, kv, expected):
    assert (expected, expected) == memory.kv_bytes_per_token(configs.architecture_of(name), kv, 1)


@pytest.mark.parametrize("degree", DEGREES)
def test_a_latent_lies_on_every_device(degree):
    assert (70_272 * degree, 70_272) == memory.kv_bytes_per_token(configs.architecture_of("deepseek-v3"), "bf16", degree)


@pytest.mark.parametrize(("degree", "share"), [(1, 1), (8, 8), (16, 8), (32, 8)])
def test_heads_of_keys_are_divided_as_far_as_there_are_enough(degree, share):
    whole, per_device = memory.kv_bytes_per_token(configs.architecture_of("llama-3.1-8b"), "bf16", degree)

    assert (131_072 / share, 131_072 / share * degree) == (per_device, whole)


def test_layers_with_a_window_keep_no_more_than_that():
    model = configs.architecture_of("gpt-oss-120b")
    _, of_token = memory.kv_bytes_per_token(model, "bf16", 1)

    _, short = memory.kv_bytes_per_token(model, "bf16", 1, context_tokens=100)
    _, long = memory.kv_bytes_per_token(model, "bf16", 1, context_tokens=12_800)

    assert of_token == short
    assert pytest.approx(of_token * (0.5 + 0.5 * 128 / 12_800)) == long


@pytest.mark.parametrize("name", configs.NAMES)
def test_in_16_bits_each_weight_takes_two_bytes(name):
    model = configs.architecture_of(name)

    assert 2 * model.parameters == memory.weight_bytes(model, "bf16")


@pytest.mark.parametrize(
    ("name", "published_bytes"),
    [
        # Sizes of the files: Qwen3-32B-FP8, the cards of gpt-oss (12.8 and 60.8 GiB), DeepSeek-V3 without the layer for further tokens.
        ("qwen3-32b-fp8", 34.3e9),
        ("gpt-oss-20b", 13.7e9),
        ("gpt-oss-120b", 65.3e9),
        ("deepseek-v3", 674e9),
        ("kimi-k2.5", 595e9),
    ],
)
def test_a_quantized_checkpoint_takes_what_its_files_take(name, published_bytes):
    model = configs.architecture_of(name)

    assert pytest.approx(published_bytes, rel=0.05) == memory.weight_bytes(model, model.weights)


@pytest.mark.parametrize("name", configs.NAMES)
@pytest.mark.parametrize("weights", PRECISIONS)
def test_devices_hold_all_weights_between_them_and_repeat_little(name, weights):
    model = configs.architecture_of(name)
    whole = memory.weight_bytes(model, weights)

    per_device = [memory.weight_bytes_per_device(model, weights, degree) for degree in DEGREES]

    assert pytest.approx(whole) == per_device[0]
    assert per_device == sorted(per_device, reverse=True)
    for degree, each in zip(DEGREES, per_device, strict=True):
        assert whole * (1 - 1e-9) <= degree * each <= 1.25 * whole


def test_weights_are_divided_evenly_where_nothing_is_repeated():
    model = configs.architecture_of("llama-3.1-70b")

    assert pytest.approx(memory.weight_bytes(model, "bf16") / 8) == memory.weight_bytes_per_device(model, "bf16", 8)


def test_a_head_of_keys_that_two_devices_need_is_on_both():
    model = configs.architecture_of("llama-3.1-8b")
    of_keys = 32 * 4096 * 8 * 2 * 128 * 2  # layers, into 8 heads of keys and values, in 16 bits

    extra = 16 * memory.weight_bytes_per_device(model, "bf16", 16) - memory.weight_bytes(model, "bf16")

    assert pytest.approx(of_keys) == extra


@pytest.mark.parametrize("name", configs.NAMES)
def test_a_lower_precision_takes_less(name):
    model = configs.architecture_of(name)

    sizes = [memory.weight_bytes(model, weights) for weights in ("bf16", "fp8", "fp4")]

    assert sizes == sorted(sizes, reverse=True)


def test_a_degree_that_divides_everything_is_no_complaint():
    assert [None] * 4 == [memory.splits(configs.architecture_of("llama-3.1-70b"), degree) for degree in DEGREES]
    assert memory.splits(configs.architecture_of("llama-3.1-70b"), 16) is None  # each head of keys on two


@pytest.mark.parametrize(
    ("name", "degree", "reason"),
    [
        ("llama-3.1-8b", 3, "3 devices do not divide its 32 attention heads"),
        ("llama-3.1-8b", 64, "64 devices do not divide its 32 attention heads"),
        ("gpt-oss-120b", 128, "128 devices do not divide its 64 attention heads"),
        ("gpt-oss-120b", 7, "7 devices do not divide its 64 attention heads"),
    ],
)
def test_a_degree_that_does_not_divide_the_heads_is_named(name, degree, reason):
    assert reason == memory.splits(configs.architecture_of(name), degree)


def test_heads_of_keys_that_can_be_neither_divided_nor_repeated_are_named():
    model = configs.architecture_of("llama-3.1-8b")
    attention = msgspec.structs.replace(model.attention[0], heads=36, kv_heads=6)

    reason = memory.splits(msgspec.structs.replace(model, attention=(attention,)), 4)

    assert "its 6 heads of keys can be neither divided among 4 devices nor repeated on them" == reason


def test_networks_that_a_degree_does_not_divide_are_named():
    model = configs.architecture_of("llama-3.1-8b")
    network = msgspec.structs.replace(model.feed_forward[0], inner_size=14_338)

    assert "4 devices do not divide its networks, 14338 wide" == memory.splits(
        msgspec.structs.replace(model, feed_forward=(network,)), 4
    )
