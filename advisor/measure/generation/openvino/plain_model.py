"""What `write_openvino` wrote, without the engine that pages its cache: the logits of every position, for quality and for comparison."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from advisor.measure.decoder.decoder_folder import read_label
from advisor.measure.generation.openvino.engine import IN_FLOATS
from advisor.measure.generation.openvino.export import MODEL
from advisor.measure.runtime import openvino_session


class PlainModel:
    """One request at a time, read whole."""

    def __init__(self, request: Any, vocabulary: int, max_tokens: int) -> None:
        self._request, self.vocabulary, self.max_tokens = request, vocabulary, max_tokens

    @classmethod
    def open(cls, folder: Path, *, threads: int) -> Self:
        """Open it; raise MissingDependencyError without the extra, ModelError if OpenVINO refuses it."""
        openvino = openvino_session.load_openvino(folder)
        label = read_label(folder)
        settings = IN_FLOATS | {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        try:
            compiled = openvino.Core().compile_model(str(folder / MODEL), "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError and pybind's own exceptions for whatever it does not like
            raise openvino_session.refused(folder / MODEL, error) from error
        return cls(compiled.create_infer_request(), label.facts.vocabulary, label.max_tokens)

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return the logits (n, vocabulary) of every one of the tokens (n,)."""
        self._request.reset_state()
        feeds = {
            "input_ids": tokens[None],
            "attention_mask": np.ones((1, len(tokens)), dtype=np.int64),
            "position_ids": np.arange(len(tokens), dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
        return np.array(self._request.infer(feeds)["logits"][0])
