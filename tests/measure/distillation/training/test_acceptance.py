"""What a student is worth as a draft: runs of tokens that its teacher would have said too."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from advisor.measure.distillation.training import acceptance
from advisor.measure.runtime.ort_session import unsaid

answers = arrays(bool, st.integers(0, 60))


@given(answers, st.integers(1, 8))
def test_a_step_makes_one_token_at_least_and_one_more_than_are_drafted_at_most(agreed, count):
    tokens, steps = acceptance.steps_of(agreed, count)

    assert steps <= tokens <= (count + 1) * steps
    assert tokens <= len(agreed)


def test_steps_go_on_behind_what_was_accepted():
    agreed = np.array([True, True, False, True, False, False, True, True, True, True])

    # Accepted are 2 of 3, 1, 0 and 3, and each time one of the teacher is made behind them.
    assert (3 + 2 + 1 + 4, 4) == acceptance.steps_of(agreed, 3)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_of_independent_tokens_a_step_makes_what_the_formula_says(count):
    """Leviathan et al. 2023 (arXiv:2211.17192), equation 1."""
    rate = 0.7
    agreed = np.random.default_rng(0).random(60_000) < rate

    tokens, steps = acceptance.steps_of(agreed, count)

    assert (1 - rate ** (count + 1)) / (1 - rate) == pytest.approx(tokens / steps, rel=0.02)


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="the extra hf is not installed")
def test_a_decoder_that_drafts_for_itself_is_always_right():
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}
    config = transformers.LlamaConfig(**sizes, max_position_embeddings=80, eos_token_id=None, bos_token_id=None)
    model = transformers.LlamaForCausalLM(config).eval()
    texts = [list(range(1, 9)), list(range(9, 20)), [3]]

    found = acceptance.measured(model, model, texts, 0, unsaid)

    assert [count + 1.0 for count in acceptance.DRAFT_TOKENS] == [it.tokens_per_step.value for it in found]
    assert () == acceptance.measured(model, model, texts[:1], 0, unsaid)
