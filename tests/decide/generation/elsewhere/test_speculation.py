"""Speculation: tokens a step, what they cost by load, and where that stops to pay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.speculation import (
    DRAFTS,
    WORTH,
    by_load,
    by_requests,
    choices,
    family_of,
    powers,
    tokens_per_step,
)
from advisor.decide.generation.elsewhere.steps import MeanRequest
from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.errors import InputError
from advisor.files.catalog import read_acceptance_lengths
from advisor.files.kernel_tables import read_kernel_tables
from advisor.schema.workload import SpeculationAsked
from tests import language_models
from tests.elsewhere_models import DENSE, EXPERTS, Steps, device
from tests.language_models import LLAMA_8B, LLAMA_70B
from tests.language_models import device as hardware

TABLE = read_acceptance_lengths()
SHIPPED = Foundations(read_kernel_tables())
SHORT = MeanRequest(input_tokens=75.0, read_tokens=75.0, written_tokens=50.0)
QWEN = replace(DENSE, name="Qwen3-30B-A3B", architecture="Qwen3MoeForCausalLM")
DEEPSEEK_V3 = language_models.DEEPSEEK
DEEPSEEK = replace(EXPERTS, name="DeepSeek-V3")


def steps_of(model, degree=1):
    return Steps(model, device(), tensor_parallel=degree, weights=model.weights, kv="bf16")


def shipped_steps(model, name, degree):
    return StepModel(model, hardware(name), tensor_parallel=degree, weights=model.weights, kv="bf16", foundations=SHIPPED)


def loads_of(model, *, acceptance=0.8, draft_tokens=3, most=512, degree=1, running=4.0):
    choice = choices(model, SpeculationAsked(acceptance=acceptance, draft_tokens=draft_tokens), ())[0]
    return by_load(steps_of(model, degree), choice, SHORT, most=most, running=running)


@pytest.mark.parametrize(
    ("acceptance", "draft_tokens", "expected"), [(0.8, 3, 2.952), (0.5, 5, 1.96875), (0.0, 4, 1.0), (1.0, 4, 5.0)]
)
def test_a_step_gives_the_accepted_tokens_and_one_of_its_own(acceptance, draft_tokens, expected):
    assert expected == pytest.approx(tokens_per_step(acceptance, draft_tokens))


@given(st.floats(0, 1), st.integers(1, 12))
def test_a_longer_draft_gives_no_fewer_tokens_and_never_more_than_all_of_them(acceptance, draft_tokens):
    one, more = (tokens_per_step(acceptance, draft_tokens + place) for place in (0, 1))

    assert 1.0 <= one <= more
    assert one <= draft_tokens + 1


# --- how much is accepted ------------------------------------------------------------------------------------------------------


def test_an_acceptance_of_the_user_is_believed_and_a_range_is_kept():
    exact, ranged = (choices(DENSE, SpeculationAsked(acceptance=given, draft_tokens=3), TABLE)[0] for given in (0.8, (0.6, 0.9)))

    assert exact.tokens_per_step.low == exact.tokens_per_step.value == exact.tokens_per_step.high == pytest.approx(2.952)
    assert (tokens_per_step(0.6, 3), tokens_per_step(0.9, 3)) == (ranged.tokens_per_step.low, ranged.tokens_per_step.high)


def test_the_table_of_the_family_says_what_is_accepted():
    found = choices(DEEPSEEK, None, TABLE)

    assert {"mtp"} == {choice.method for choice in found}
    assert DRAFTS == tuple(choice.draft_tokens for choice in found)
    assert 2.49 <= found[DRAFTS.index(3)].tokens_per_step.value <= 2.97
    assert found[0].tokens_per_step.low < 1.79
    assert "deepseek" in found[0].tokens_per_step.source


def test_a_model_of_no_family_of_the_table_gets_the_range_of_all():
    found = choices(DENSE, None, TABLE)[-1]

    assert "eagle3" == found.method
    assert "other families" in found.tokens_per_step.source
    assert found.tokens_per_step.high - found.tokens_per_step.low > 0.5


@pytest.mark.parametrize("draft_tokens", DRAFTS)
def test_heads_of_dense_models_accept_less_than_those_of_the_experts_that_were_measured(draft_tokens):
    dense, experts = (
        choices(model, SpeculationAsked(draft_tokens=draft_tokens), TABLE)[0].tokens_per_step
        for model in (QWEN, replace(QWEN, feed_forward=EXPERTS.feed_forward))
    )

    assert 1.0 < dense.low < experts.low < experts.value
    assert dense.value < experts.value
    assert ("assumed", "measured") == (dense.basis, experts.basis)
    if draft_tokens == 2:
        # Published of Qwen3-8B, on four sets of questions.
        assert 1.97 < choices(DENSE, SpeculationAsked(draft_tokens=2), TABLE)[0].tokens_per_step.value < 2.02


def test_the_architecture_tells_the_family_where_the_name_does_not():
    assert choices(QWEN, None, TABLE) == choices(replace(QWEN, name="config"), None, TABLE)
    assert ["qwen", "deepseek", "kimi"] == [family_of(name) for name in ("qwen3.5-397b", "DeepSeek-V3", "kimi-k2.5-nvfp4")]


def test_more_tokens_than_were_measured_gain_nothing_more():
    eight, twelve = (choices(DEEPSEEK, SpeculationAsked(draft_tokens=draft), TABLE)[0].tokens_per_step for draft in (8, 12))

    assert eight == twelve


def test_a_method_that_nobody_measured_is_refused_unless_the_user_says_what_is_accepted():
    with pytest.raises(InputError, match=r"speculation\.method"):
        choices(DENSE, SpeculationAsked(method="medusa"), TABLE)

    assert "medusa" == choices(DENSE, SpeculationAsked(method="medusa", acceptance=0.6), TABLE)[0].method


def test_an_empty_table_has_no_drafts():
    assert () == choices(DENSE, None, ())


# --- by load -------------------------------------------------------------------------------------------------------------------


def test_a_dense_model_is_advised_a_draft_at_low_load_and_not_at_high():
    found = loads_of(DENSE)

    assert found.speedup[0].value > 1.5
    assert found.speedup[-1].value < 1.0
    assert not found.pays_at_every_load
    assert 16 < found.advised_up_to_running_requests < 512
    assert "beyond" in loads_of(DENSE, running=500.0).because
    assert "within" in found.because


def test_the_crossing_is_told_as_running_requests_and_as_a_rate():
    found = loads_of(DENSE, acceptance=(0.6, 0.9))
    steps, running = steps_of(DENSE), np.array([found.advised_up_to_running_requests])

    step_s = steps.mixed_s(running, running * 100, running * 75 / 50, 0.0)

    assert found.advised_up_to_requests_per_s == pytest.approx(float(running[0] / 50 / step_s[0]))
    assert 0 < found.surely_up_to_running_requests < found.advised_up_to_running_requests
    assert f"surely up to {found.surely_up_to_running_requests:.3g}" in found.because and " /s at one replica" in found.because


def test_a_large_model_of_experts_is_not_refused_a_draft_for_load_alone():
    found = loads_of(EXPERTS, degree=16, acceptance=0.85, most=256)

    assert found.pays_at_every_load
    assert 256.0 == found.advised_up_to_running_requests


CROWD = MeanRequest(input_tokens=760.0, read_tokens=760.0, written_tokens=250.0)


@pytest.mark.parametrize(
    ("model", "name", "degree", "most"),
    [(LLAMA_8B, "l40s", 1, 215), (LLAMA_8B, "h100_sxm", 1, 460), (LLAMA_70B, "h100_sxm", 4, 350)],
)
@pytest.mark.parametrize("draft_tokens", DRAFTS)
def test_on_measured_kernels_a_dense_model_is_advised_a_draft_at_low_load_and_not_at_its_highest(
    model, name, degree, most, draft_tokens
):
    choice = choices(model, SpeculationAsked(draft_tokens=draft_tokens), TABLE)[0]

    found = by_load(shipped_steps(model, name, degree), choice, CROWD, most=most, running=1.0)

    assert found.speedup[0].value > 1.3
    assert found.speedup[-1].value < WORTH
    assert not found.pays_at_every_load
    assert 32 < found.advised_up_to_running_requests < most
    assert 1.0 < found.advised_up_to_requests_per_s


@pytest.mark.parametrize("name", ["h200_sxm", "mi300x"])
def test_on_measured_kernels_a_large_model_of_experts_is_not_refused_a_draft_for_load_alone(name):
    choice = choices(DEEPSEEK_V3, SpeculationAsked(draft_tokens=2), TABLE)[0]

    found = by_load(shipped_steps(DEEPSEEK_V3, name, 8), choice, CROWD, most=512, running=200.0)

    assert found.pays_at_every_load
    assert 512.0 == found.advised_up_to_running_requests


@pytest.mark.parametrize(("running", "draft_tokens", "published"), [(2, 3, 1.81), (64, 3, 1.38)])
def test_gains_are_near_published_ones_of_one_head_on_one_device(running, draft_tokens, published):
    """EAGLE-3 on Llama-3.1-8B and an H100 by batch (arXiv 2503.01840, in SGLang); how much was accepted there is not said."""
    choice = choices(LLAMA_8B, SpeculationAsked(draft_tokens=draft_tokens), TABLE)[0]
    short = MeanRequest(input_tokens=100.0, read_tokens=100.0, written_tokens=400.0)

    found = by_load(shipped_steps(LLAMA_8B, "h100_sxm", 1), choice, short, most=running, running=1.0)

    assert found.speedup[-1].low <= published <= found.speedup[-1].high


def test_the_crossing_lies_where_the_speedup_is_hardly_worth_a_draft():
    found = loads_of(DENSE)
    crossing = found.advised_up_to_running_requests

    speedups = [entry.value for entry in found.speedup]

    assert np.interp(np.log(crossing), np.log(found.running_requests), np.log(speedups)) == pytest.approx(np.log(WORTH))


def test_nothing_accepted_pays_at_no_load():
    found = loads_of(DENSE, acceptance=0.0)

    assert found.advised_up_to_running_requests is None
    assert not found.pays_at_every_load
    assert found.because.startswith("no proposed token is accepted")


def test_everything_accepted_gains_most_where_one_request_runs():
    found = loads_of(DENSE, acceptance=1.0)

    assert 4.0 == found.choice.tokens_per_step.value
    assert max(entry.value for entry in found.speedup) == pytest.approx(found.speedup[0].value)
    assert found.speedup[0].value < 4.0


@given(st.integers(1, 300))
def test_ratios_by_requests_are_those_of_the_steps_at_powers_of_two(most):
    steps = steps_of(DENSE)
    found = by_requests(steps, most, 500.0, 3)

    assert most + 1 == len(found)
    assert 1.0 == found[0]
    at = powers(most)
    expected = (steps.verify_s(at, at * 500.0, 3) + steps.draft_s(at, at * 500.0, 3)) / steps.decode_s(at, at * 500.0)
    np.testing.assert_allclose(found[at], expected)
