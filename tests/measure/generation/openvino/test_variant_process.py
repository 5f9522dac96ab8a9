"""What the process of a decoder in OpenVINO serves, and what of it another process is told."""

import msgspec
import pytest

from advisor.errors import InputError
from advisor.measure.generation.openvino.variant_process import Served, Setting, served, timed
from advisor.measure.generation.scripts import Points
from advisor.measure.generation.variant_process import Load
from tests.decoders import BUDGET_TOKENS, KV_TOKENS, MAX_RUNNING

SETTING = Setting(intra_op_num_threads=1, max_running_requests=MAX_RUNNING, budget_tokens=BUDGET_TOKENS, kv_tokens=KV_TOKENS)


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
