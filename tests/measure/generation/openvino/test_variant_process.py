"""What the process of a decoder in OpenVINO does, all of it on one engine that stays open, and what of it another process is told."""

import msgspec
import numpy as np
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.generation.openvino.export import write_openvino
from advisor.measure.generation.openvino.timing import Points
from advisor.measure.generation.openvino.variant_process import (
    Served,
    Setting,
    compared,
    opened,
    scored,
    served,
    speculated,
    timed,
)
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.generation.variant_process import Load
from advisor.schema.generation import Speculation
from tests.decoders import BUDGET_TOKENS, KV_TOKENS, MAX_RUNNING

SETTING = Setting(intra_op_num_threads=1, max_running_requests=MAX_RUNNING, budget_tokens=BUDGET_TOKENS, kv_tokens=KV_TOKENS)
TOKENS = tuple(range(1, 40))


@pytest.fixture(autouse=True)
def _with_the_extra():
    pytest.importorskip("openvino_genai")


def load(prompts, **changes):
    given = {
        "prompts": tuple(tuple(prompt.tolist()) for prompt in prompts),
        "output_tokens": (6, 3, 9, 1, 12, 7),
        "arrival_s": (0.0, 0.0, 0.001, 0.001, 0.002, 500.0),
        "policy": "mixed",
        "max_running_requests": MAX_RUNNING,
        "chunk_tokens": BUDGET_TOKENS,
        "clock": "cpu",
    }
    return Load(**(given | changes))


def told(value, kind):
    """Return a value as another process gets it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)


def test_requests_are_served_as_they_come_each_with_the_tokens_that_it_gets_alone(written, prompts):
    assert opened(written, SETTING).peak_memory_bytes > 0

    found = served(written, SETTING, load(prompts), sample=6, seed=1)

    assert found == told(found, Served)
    assert found.tokens_equal
    assert [6, 3, 9, 1, 12, 7] == [len(tokens) for tokens in found.replayed.tokens]
    assert found.replayed.duration_s >= 500.0  # of which the wall saw next to nothing: idle waits are skipped
    assert found.meanwhile.wall_s < 400.0
    assert sum(map(len, prompts)) == sum(step.held.prompt_tokens for step in found.steps)


def test_what_cannot_be_served_is_refused_before_anything_is_served(written, prompts):
    with pytest.raises(InputError, match="request 4"):
        served(written, SETTING, load(prompts, output_tokens=(6, 3, 9, 0, 12, 7)))


def test_scripts_that_the_cache_has_no_room_for_are_left_out(written):
    small = Setting(intra_op_num_threads=1, max_running_requests=MAX_RUNNING, budget_tokens=BUDGET_TOKENS, kv_tokens=60)

    points = timed(written, small, "fp32", rounds=1, seed=1)

    assert points == told(points, Points)
    assert points.prefill
    assert not points.mixed


def test_text_is_scored_and_logits_are_held_against_the_checkpoint(checkpoint, written, tmp_path):
    windows = Windows(tokens=(TOKENS, TOKENS[::-1]), given=1, scored_bytes=(100, 100))
    bits = write_openvino(checkpoint, tmp_path / "int8", scheme="int8-weight-only").folder

    exact, rounded = (scored(folder, 1, windows, 60.0) for folder in (written, bits))

    assert 2 == len(exact.surprise)
    np.testing.assert_allclose(exact.surprise, rounded.surprise, rtol=0.1)
    assert compared(written, 1, checkpoint, TOKENS, is_exact=True) < compared(bits, 1, checkpoint, TOKENS, is_exact=False)
    with pytest.raises(ModelError, match="does not compute what the checkpoint does"):
        compared(bits, 1, checkpoint, TOKENS, is_exact=True)


def test_lookup_is_tried_for_one_request_and_for_many(written, prompts):
    listed = tuple(tuple(prompt.tolist()) for _ in range(4) for prompt in prompts)

    found = speculated(written, {"copying": listed}, threads=1, clock="cpu")

    assert found == told(found, tuple[Speculation, ...])
    assert [1, 8] == [record.running_requests for record in found]
