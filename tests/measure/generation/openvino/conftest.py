"""A tiny decoder opened in OpenVINO's engine."""

import numpy as np
import pytest

from advisor.measure.generation.openvino.engine import open_engine
from advisor.measure.generation.openvino.export import write_openvino
from advisor.measure.generation.openvino.plain_model import PlainModel
from tests.decoders import BUDGET_TOKENS, KV_TOKENS, LLAMA, MAX_RUNNING, write_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "llama")


@pytest.fixture(scope="session")
def written(checkpoint, tmp_path_factory):
    """Return the folder of the decoder as OpenVINO's engine takes it."""
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("written") / "fp32"
    write_openvino(checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def plain(written):
    return PlainModel.open(written, threads=1)


@pytest.fixture
def engine(written):
    pytest.importorskip("openvino_genai")
    opened = open_engine(written, threads=1, max_running=MAX_RUNNING, budget_tokens=BUDGET_TOKENS, kv_tokens=KV_TOKENS)
    with opened:
        yield opened


@pytest.fixture
def prompts():
    """Return prompts shorter and longer than what a step reads."""
    random = np.random.default_rng(2)
    return [random.integers(0, LLAMA["vocab_size"], size=size, dtype=np.int64) for size in (3, 40, 17, 1, 25, 9)]
