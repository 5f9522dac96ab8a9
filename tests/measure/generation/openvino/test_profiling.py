"""What a profile asks of the process of a decoder in OpenVINO, on engines that stay open, and what of it another process is told."""

import msgspec
import numpy as np
import pytest

from advisor.errors import ModelError
from advisor.measure.generation.openvino import profiling
from advisor.measure.generation.openvino.export import write_openvino
from advisor.measure.generation.openvino.profiling import (
    SpeculationSetting,
    compared,
    opened,
    scored,
    speculated,
    speculation_opened,
    visited,
)
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.generation.variant_process import Setting, Timed
from advisor.schema.generation import Speculation
from tests.decoders import CONTEXT_TOKENS, MAX_RUNNING

SETTING = Setting(intra_op_num_threads=1, slots=MAX_RUNNING, max_tokens=CONTEXT_TOKENS)
TOKENS = tuple(range(1, 40))


@pytest.fixture(autouse=True)
def _with_the_extra():
    pytest.importorskip("openvino_genai")


def told(value, kind):
    """Return a value as another process gets it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)


def test_every_step_of_a_script_is_a_part_of_its_visit(written):
    assert opened(written, SETTING) >= 0.0
    steps = profiling.steps_of(MAX_RUNNING, CONTEXT_TOKENS, 60)

    found = {step: visited(written, SETTING, step, 0.0, 0, order) for order, step in enumerate(steps)}

    assert all(timed == told(timed, Timed) for timed in found.values())
    for order, timed in enumerate(found.values()):
        assert {order} == {timed.visit.order, *(part.visit.order for part in timed.parts)}
        assert 1 == len(timed.visit.wall_s)
        assert sum(sum(part.visit.wall_s) for part in timed.parts) <= timed.visit.wall_s[0] * (1 + 1e-9)
    parts = [part for timed in found.values() for part in timed.parts]
    assert MAX_RUNNING == max(part.batch_size for part in parts)
    assert any(part.batch_size and part.tokens for part in parts)
    assert 60 == max(step.prompt_tokens for step in steps if not step.batch_size)


def test_the_cache_holds_whatever_is_timed():
    every = profiling.steps_of(32, 4096, 4096)

    room = profiling.cache_tokens(Setting(intra_op_num_threads=1, slots=32, max_tokens=4096))

    assert all(step.tokens(profiling.BUDGET_TOKENS) <= room for step in every)


def test_text_is_scored_and_logits_are_held_against_the_checkpoint(checkpoint, written, tmp_path):
    windows = Windows(tokens=(TOKENS, TOKENS[::-1]), given=1, scored_bytes=(100, 100))
    bits = write_openvino(checkpoint, tmp_path / "int8", scheme="int8-weight-only").folder
    truth = tmp_path / "truth.npy"

    exact, rounded = (scored(folder, SETTING, windows, 60.0) for folder in (written, bits))

    assert 2 == len(exact.surprise)
    np.testing.assert_allclose(exact.surprise, rounded.surprise, rtol=0.1)
    off = compared(bits, SETTING, checkpoint, truth, is_exact=False, seed=1)
    assert compared(written, SETTING, checkpoint, truth, is_exact=True, seed=1) < off
    with pytest.raises(ModelError, match="does not compute what the checkpoint does"):
        compared(bits, SETTING, checkpoint, truth, is_exact=True, seed=1)


def test_lookup_is_tried_at_so_many_requests_as_are_asked_for(written, prompts):
    listed = tuple(tuple(prompt.tolist()) for prompt in prompts)
    setting = SpeculationSetting(intra_op_num_threads=1, most_running=2, longest_prompt=40, most_output_tokens=6)
    asked = {"output_tokens": 6, "seconds": 0.0, "most_s": 600.0, "clock": "cpu"}
    assert speculation_opened(written, setting) >= 0.0

    found = speculated(written, setting, "copying", listed, 2, **asked)

    assert found == told(found, Speculation)
    assert ("copying", 2) == (found.text, found.running_requests)
    assert speculated(written, setting, "free", listed, 1, **asked | {"most_s": 0.0}) is None
