"""Tiny decoders with random weights, written as checkpoints."""

import json

import numpy as np

from advisor.measure.decoder.shape import read_shape, tensors_of

CONTEXT_TOKENS = 160
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "vocab_size": 96,
    "max_position_embeddings": CONTEXT_TOKENS,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000.0,
    "tie_word_embeddings": True,
}
MAX_RUNNING, BUDGET_TOKENS, KV_TOKENS = 4, 16, 640


def write_checkpoint(folder, **changes):
    """Write a decoder with random weights, its norms apart from 1 so that a forgotten one shows."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(LLAMA | changes))
    random, header, parts, end = np.random.default_rng(1), {}, [], 0
    for name, sizes in tensors_of(read_shape(folder)):
        spread = 0.3 if len(sizes) == 1 else 2.0 / np.sqrt(sizes[-1])
        values = (random.normal(0.0, spread, sizes) + name.endswith("norm.weight")).astype("<f4")
        header[name] = {"dtype": "F32", "shape": list(sizes), "data_offsets": [end, end + values.nbytes]}
        parts.append(values.tobytes())
        end += values.nbytes
    written = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(written).to_bytes(8, "little") + written + b"".join(parts))
    return folder
