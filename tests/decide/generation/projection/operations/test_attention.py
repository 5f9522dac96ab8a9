"""Attention: a past costs what its pairs of tokens do, a window ends it, and a latent is not divided among devices."""

import numpy as np
import pytest

from advisor.decide.generation.projection.operations.attention import Attention
from advisor.decide.generation.projection.operations.grounds import foundation_of
from tests.language_models import DEEPSEEK, LLAMA_8B, device, grouped, lawful_tables

FOUNDATION = foundation_of(device("h100_sxm"), lawful_tables())
ONE = np.ones(1)


def attention(layers=LLAMA_8B.attention[0], kv="bf16", degree=1):
    return Attention(FOUNDATION, layers, kv, degree)


def read_s(of, tokens, past, prompts=1):
    return float(of.prefill_s(np.array([float(tokens)]), np.array([float(past)]), np.array([float(prompts)]))[0])


def decode_s(of, batch, context):
    return float(of.decode_s(np.array([float(batch)]), np.array([float(context)]))[0])


def test_a_prompt_in_two_parts_costs_little_more_than_whole():
    whole, parts = read_s(attention(), 16000, 0), read_s(attention(), 8000, 0) + read_s(attention(), 8000, 8000)

    assert whole == pytest.approx(parts, rel=0.05)


def test_reading_behind_a_past_costs_more_and_never_less():
    costs = [read_s(attention(), 512, past) for past in (0, 1, 1000, 30000)]

    assert sorted(costs) == costs


def test_what_decoding_costs_grows_with_what_is_cached_and_a_window_ends_that():
    windowed = attention(grouped(32, 32, 8, 128, window_tokens=4096))

    assert 7 < decode_s(attention(), 16, 32768) / decode_s(attention(), 16, 4096) < 8.1
    assert decode_s(windowed, 16, 4096) == decode_s(windowed, 16, 32768) == decode_s(attention(), 16, 4096)
    assert read_s(windowed, 512, 30000) < read_s(attention(), 512, 30000)


def test_a_cache_of_half_the_bytes_is_read_in_half_the_time():
    assert decode_s(attention(), 64, 16384) / decode_s(attention(kv="fp8"), 64, 16384) == pytest.approx(2.0, rel=0.05)


def test_devices_divide_heads_of_keys_but_no_latent():
    heads = decode_s(attention(), 64, 16384) / decode_s(attention(degree=8), 64, 16384)
    latent = decode_s(attention(DEEPSEEK.attention[0]), 64, 16384) / decode_s(
        attention(DEEPSEEK.attention[0], degree=8), 64, 16384
    )

    assert 6 < heads < 8.1
    # Its bytes stay; what is computed of them is divided.
    assert latent < 0.7 * heads


def test_prompts_together_cost_what_they_cost_one_by_one():
    assert 4 * read_s(attention(), 4096, 0) == pytest.approx(read_s(attention(), 4096, 0, prompts=4), rel=0.02)
