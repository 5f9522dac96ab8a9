"""Serving for real: every request is answered, in batches as asked, and lateness shows in latency."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from advisor.errors import ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.serving.load_test import Replay, replay
from advisor.measure.serving.server import Items, Serve
from advisor.schema.model import ModelInput

FASHION = Path(__file__).parents[3] / "examples" / "data" / "fashion_dscnn.onnx"
REQUESTS = 400


@pytest.fixture(scope="module")
def serve() -> Serve:
    return Serve(
        path=str(FASHION),
        inputs=inspect_onnx(FASHION, name="fashion").inputs,
        intra_op_num_threads=1,
        instances=2,
        max_batch_size=4,
        max_queue_delay_s=0.002,
        requests=REQUESTS,
        seed=0,
    )


@pytest.fixture(scope="module")
def seen(serve: Serve) -> Replay:
    gaps = np.random.default_rng(0).exponential(1 / 400, REQUESTS)
    return replay(serve, np.cumsum(gaps) - gaps[0], None)


def test_every_request_is_answered_after_it_was_due(seen: Replay) -> None:
    assert seen.latency_s.shape == (REQUESTS,)
    assert (seen.latency_s > 0).all()


def test_batches_hold_each_request_once_and_are_no_larger_than_asked(seen: Replay) -> None:
    assert seen.batch_size.sum() == REQUESTS
    assert 1 <= seen.batch_size.min() <= seen.batch_size.max() <= 4


def test_the_clock_is_watched_as_long_as_requests_are_sent(seen: Replay) -> None:
    for watch in seen.stalls:  # none where the kernel hides what waiting is
        assert 0 < watch.watched_s <= seen.duration_s + 5.0
        assert all(gap_s >= watch.shortest_s for gap_s in watch.gaps_s)
    assert len(seen.stalls) == os.path.exists("/proc/thread-self/schedstat")


def test_what_others_computed_is_a_part_of_the_cores_time(seen: Replay) -> None:
    # Counted in ticks by the kernel and in nanoseconds here: a little more than all is possible.
    assert seen.others_fraction is None or 0 <= seen.others_fraction <= 1.2


def test_no_call_waits_longer_than_it_takes(seen: Replay) -> None:
    assert seen.waited_s.shape == seen.call_s.shape
    assert (seen.waited_s >= 0).all()
    assert (seen.waited_s < seen.call_s).all()


def test_no_request_is_sent_before_it_is_due(seen: Replay) -> None:
    assert (seen.lag_s >= 0).all()


def test_a_server_that_cannot_keep_up_shows_it_in_latency_and_not_in_fewer_requests(serve: Serve) -> None:
    # All requests are due at once: the last waits for all the others, which a closed loop would never show.
    burst = replay(msgspec.structs.replace(serve, instances=1, max_batch_size=1, max_queue_delay_s=0.0), np.zeros(REQUESTS), None)

    assert len(burst.latency_s) == REQUESTS
    assert burst.latency_s.max() >= burst.call_s.sum()


def test_a_server_that_cannot_start_is_a_model_error(serve: Serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")

    with pytest.raises(ModelError, match="server stopped"):
        replay(msgspec.structs.replace(serve, path=str(broken)), np.zeros(3), None)


def text_input(name: str, role: str) -> ModelInput:
    return ModelInput(
        name=name,
        dtype="int64",
        shape=("batch", "sequence"),
        example_shape=(1, 8),
        role=role,  # type: ignore[arg-type]
        batch_axis=0,
        sequence_axis=1,
        upper_bound=100 if role == "ids" else 2,
    )


def test_shorter_items_of_a_batch_are_padded_with_zeros_and_masked(serve: Serve) -> None:
    inputs = (text_input("ids", "ids"), text_input("mask", "mask"))
    items = Items(msgspec.structs.replace(serve, inputs=inputs), np.array([2, 5, 3]))

    batch = items.batch([0, 1, 2])

    assert batch["ids"].shape == (3, 5)
    np.testing.assert_array_equal([2, 5, 3], batch["mask"].sum(axis=1))
    assert (batch["ids"][batch["mask"] == 0] == 0).all()
    assert (batch["ids"][batch["mask"] == 1] > 0).all()
