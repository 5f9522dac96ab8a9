"""The laws that the simulation counts with give back the seconds of steps, all over what it may meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.projection.cost_law import Reach, costs_of, scaled
from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.decide.generation.service.step_time import Costs
from advisor.files.kernel_tables import read_kernel_tables
from tests.language_models import DEEPSEEK, LLAMA_8B, LLAMA_70B, MIXTRAL, device, lawful_tables

TABLES = {"lawful": Foundations(lawful_tables()), "shipped": Foundations(read_kernel_tables())}
REACH = Reach(longest_context=8192, max_running=256, token_budget=2048, kv_tokens=400_000)
CASES = {
    "dense": (LLAMA_8B, "h100_sxm", 1, "bf16", "bf16"),
    "fp8": (LLAMA_70B, "h100_sxm", 4, "fp8", "fp8"),
    "bus": (LLAMA_70B, "l40s", 8, "bf16", "bf16"),
    "experts": (MIXTRAL, "h100_sxm", 2, "bf16", "bf16"),
    "latent": (DEEPSEEK, "mi300x", 8, "fp8", "bf16"),
}
CLOSE = 0.02
EVERY = [(name, tables) for name in CASES for tables in TABLES]


def model(name, tables):
    architecture, hardware, degree, weights, kv = CASES[name]
    return StepModel(architecture, device(hardware), tensor_parallel=degree, weights=weights, kv=kv, foundations=TABLES[tables])


def step_of(costs: Costs, batch, context, tokens, past):
    """Return the seconds of a step as the kernel of the simulation counts them."""
    a, b, c, d, e = costs.mixed
    fixed = a + b * batch + c * batch * context
    if tokens == 0:
        return fixed + costs.mixed_extra[batch]
    return fixed + d * tokens + e * tokens * (past + tokens / 2) + costs.token_extra[batch + tokens]


STEPS, COSTS = {}, {}


def made(name, tables="lawful"):
    key = (name, tables)
    if key not in STEPS:
        STEPS[key] = model(name, tables)
        COSTS[key] = costs_of(STEPS[key], REACH)
    return STEPS[key], COSTS[key]


@pytest.mark.parametrize(("name", "tables"), EVERY)
def test_decode_steps_are_those_of_the_model(name, tables):
    steps, costs = made(name, tables)
    off = []
    for batch in (1, 2, 7, 16, 50, 128, 256):
        for context in (64, 300, 1000, 2500, 8000):
            if batch * context <= REACH.kv_tokens:
                true_s = float(steps.decode_s(np.array([float(batch)]), np.array([float(batch * context)]))[0])
                off.append(abs(step_of(costs, batch, context, 0, 0) / true_s - 1))

    # Kernels that were measured do not grow as evenly as those that follow a law.
    assert np.median(off) <= CLOSE
    assert np.quantile(off, 0.9) <= (CLOSE if tables == "lawful" else 1.5 * CLOSE)


@pytest.mark.parametrize(("name", "tables"), EVERY)
def test_steps_that_read_are_those_of_the_model(name, tables):
    steps, costs = made(name, tables)
    off = []
    for batch in (0, 1, 16, 100, 256):
        for tokens in (1, 60, 300, 1000, 1700):
            for past in (0, 1000, 6000):
                if batch + tokens <= REACH.token_budget:
                    arrays = [np.array([float(each)]) for each in (batch, batch * 1000, tokens, past)]
                    off.append(abs(step_of(costs, batch, 1000, tokens, past) / float(steps.mixed_s(*arrays)[0]) - 1))

    assert np.median(off) <= CLOSE
    assert np.quantile(off, 0.9) <= 2 * CLOSE


@pytest.mark.parametrize("name", CASES)
def test_laws_are_such_as_the_simulation_takes(name):
    _, costs = made(name)

    assert (np.concatenate([costs.prefill, costs.decode, costs.mixed, costs.token_extra]) >= 0).all()
    assert 0 == costs.decode_extra[0] == costs.mixed_extra[0]
    assert (REACH.max_running + 1, REACH.token_budget + 1) == (len(costs.mixed_extra), len(costs.token_extra))
    running = np.arange(1, REACH.max_running + 1)
    assert (costs.mixed[0] + costs.mixed[1] * running + costs.mixed_extra[1:] > 0).all()


@settings(max_examples=30)
@given(st.integers(1, 8192), st.integers(1, 300), st.integers(1, 4096))
def test_laws_can_be_had_of_any_reach(longest, running, budget):
    steps, _ = made("dense")

    costs = costs_of(steps, Reach(longest, running, budget, None))

    assert all(np.isfinite(part).all() for part in costs)
    assert (running + 1, budget + 1) == (len(costs.mixed_extra), len(costs.token_extra))


def test_slower_steps_are_slower_by_what_they_do():
    _, costs = made("dense")

    slow = scaled(costs, 1.5, 2.0)

    assert 1.5 * step_of(costs, 16, 1000, 0, 0) == pytest.approx(step_of(slow, 16, 1000, 0, 0))
    assert 1.5 < step_of(slow, 16, 1000, 900, 0) / step_of(costs, 16, 1000, 900, 0) < 2.0
