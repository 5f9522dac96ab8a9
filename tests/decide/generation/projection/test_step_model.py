"""Steps of decoders on devices that are not here: what they may never do, and what was measured of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.decide.generation.service.step_time import DRAWS
from advisor.files.kernel_tables import read_kernel_tables
from tests.language_models import DEEPSEEK, LLAMA_8B, LLAMA_70B, MIXTRAL, device, lawful_tables

LAWFUL, SHIPPED = Foundations(lawful_tables()), Foundations(read_kernel_tables())
MODELS = st.sampled_from([(LLAMA_8B, "bf16"), (LLAMA_70B, "fp8"), (MIXTRAL, "int4"), (DEEPSEEK, "fp8")])
DEVICES = st.sampled_from(["l4", "l40s", "a100_80_sxm", "h100_sxm", "h200_sxm", "b200", "mi300x"])
# But for a thousandth: where the batch passes one of the grid of attention the context may lie between two.
AT_LEAST = 1.001
DEGREES = st.sampled_from([1, 2, 4, 8])


def steps(architecture, name="h100_sxm", degree=1, weights="bf16", kv="bf16", tables=SHIPPED, **more):
    return StepModel(architecture, device(name), tensor_parallel=degree, weights=weights, kv=kv, foundations=tables, **more)


def decode_s(of, batch, context):
    return float(of.decode_s(np.array([float(batch)]), np.array([float(batch * context)]))[0])


@settings(max_examples=40, deadline=None)
@given(MODELS, DEVICES, DEGREES, st.integers(1, 511), st.integers(1, 512), st.integers(1, 60_000), st.integers(1, 8192))
def test_more_work_never_takes_less(which, name, degree, batch, more, context, tokens):
    """Libraries change their ways with the size, and the kernel of a larger one may be quicker: the smaller one is computed as that."""
    of = steps(which[0], name, degree, weights=which[1])

    least = decode_s(of, batch, context)
    read_s, longer_s = of.prefill_s(np.array([tokens, float(tokens + more)]), np.zeros(2))
    checked_s, wider_s = (float(of.verify_s(np.array([batch]), np.array([batch * context]), draft)[0]) for draft in (1, 4))

    assert 0 < least <= AT_LEAST * min(decode_s(of, batch + more, context), decode_s(of, batch, context + more))
    assert 0 < read_s <= AT_LEAST * longer_s
    assert least <= AT_LEAST * checked_s <= AT_LEAST**2 * wider_s


@settings(max_examples=20, deadline=None)
@given(MODELS, DEVICES, st.integers(1, 256), st.integers(1, 8000))
def test_a_step_that_reads_nothing_is_a_decode_step(which, name, batch, context):
    of = steps(which[0], name, 8, weights=which[1])
    arrays = [np.array([float(each)]) for each in (batch, batch * context, 0, 0)]

    assert decode_s(of, batch, context) == pytest.approx(float(of.mixed_s(*arrays)[0]))


def test_arrays_are_taken_as_they_broadcast():
    of = steps(LLAMA_8B, tables=LAWFUL)

    table = of.decode_s(np.array([[1.0], [8.0]]), np.array([100.0, 1000.0, 10000.0]))

    assert (2, 3) == table.shape
    assert decode_s(of, 8, 125) == pytest.approx(table[1, 1])
    assert (3,) == of.prefill_s(np.array([10.0, 20.0, 30.0]), 0.0).shape


def test_checking_a_draft_costs_more_than_a_step_and_less_than_its_tokens_one_by_one():
    of = steps(LLAMA_8B, tables=LAWFUL)
    batch, context = np.array([1.0, 200.0]), np.array([1000.0, 200_000.0])

    once, checked = of.decode_s(batch, context), of.verify_s(batch, context, 4)

    assert (once <= checked).all() and (checked < 5 * once).all()
    # Alone it is nearly free; with many requests it is not.
    assert checked[0] / once[0] < 1.05 < checked[1] / once[1]


def test_drafts_take_longer_for_more_requests_and_more_tokens():
    of = steps(LLAMA_8B)
    batch = np.array([1.0, 16.0, 128.0, 512.0])

    one, five = (of.draft_s(batch, batch * 600, draft) for draft in (1, 5))

    assert (np.diff(one) > 0).all() and (np.diff(five) > 0).all()
    # The first pass of five reads what was checked, which is more.
    assert (4 * one < five).all() and (five < 6 * one).all()
    # A layer of 32 and a head of an eighth of the weights.
    assert 0.1 < one[0] / float(of.decode_s(batch[:1], batch[:1] * 600)[0]) < 0.25


def test_draws_spread_over_the_interval_and_their_middle_is_the_model():
    of = steps(LLAMA_8B, tables=LAWFUL)
    reach = {"longest_context": 4096, "max_running": 64, "token_budget": 2048}

    starts = [of.costs(draw, **reach).mixed[2] for draw in range(DRAWS)]
    middle = of.costs(None, **reach).mixed[2]

    assert sorted(starts) == starts
    low, high = of.factors
    assert starts[0] < low * middle < starts[1] and starts[-2] < high * middle < starts[-1]


def test_an_engine_that_nobody_ran_is_less_sure_than_the_one_that_it_is_taken_for():
    known, other = (steps(LLAMA_8B, engine=engine).factor_of("decode") for engine in ("vllm", "of tomorrow"))

    assert known < other


def test_a_shakier_ground_is_less_sure():
    widths = [steps(LLAMA_8B, name, tables=LAWFUL).factor_of("decode") for name in ("h100_sxm", "l4", "orin_nano")]

    assert sorted(widths) == widths and len(set(widths)) == 3


@pytest.mark.parametrize(
    ("model", "name", "degree", "batch", "itl_s"),
    [
        # Published runs of vLLM 0.15.1 at a rate (inference-sim's experiments 16, 26, 60 and 55): rate x answer x ITL run side by side.
        (LLAMA_8B, "h100_sxm", 1, 48, 9.49e-3),
        (LLAMA_8B, "h100_sxm", 2, 30, 5.87e-3),
        (LLAMA_70B, "h100_sxm", 4, 11, 17.08e-3),
        (LLAMA_8B, "l40s", 1, 50, 33.2e-3),
    ],
)
def test_what_is_shipped_gives_back_published_times_between_tokens(model, name, degree, batch, itl_s):
    said = decode_s(steps(model, name, degree), batch, 547 + 124)

    # With its part of the prompts that are read meanwhile it is more.
    assert itl_s == pytest.approx(said, rel=0.15)
