"""A tokenizer that knows no words: the engine asks whether model and draft have the same one, and all that they are given is tokens."""

from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.runtime import openvino_session

FILE = "openvino_tokenizer.xml"  # where the engine looks for it
OUTPUTS = ("input_ids", "attention_mask")
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def write(folder: Path) -> None:
    """Write one beside a decoder in OpenVINO's format, where none is: it makes one and the same token of any text."""
    path = folder / FILE
    if path.is_file():
        return
    openvino: Any = openvino_session.load_openvino(folder)
    operations = openvino.opset13
    results = []
    for name in OUTPUTS:
        token = operations.constant(np.zeros((1, 1), dtype=np.int64))
        token.output(0).get_tensor().set_names({name})
        results.append(operations.result(token))
    text = operations.parameter([-1], openvino.Type.string, name="text")
    model = openvino.Model(results, [text], "without_words")
    for name in SPECIAL:
        model.set_rt_info(0, name)
    openvino.save_model(model, str(path))
