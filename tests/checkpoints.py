"""Tiny random checkpoints of decoders in the format of Hugging Face, written without torch: a config.json and safetensors files."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "vocab_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
# Class and configuration of each kind of decoder that is modeled; windows and contexts are short, so that a few tokens are beyond them.
KINDS: dict[str, dict[str, object]] = {
    "llama": {"architectures": ["LlamaForCausalLM"]},
    "llama with biases": {"architectures": ["LlamaForCausalLM"], "attention_bias": True, "mlp_bias": True},
    "llama, tied": {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True},
    "llama 3.1": {"architectures": ["LlamaForCausalLM"], "rope_scaling": LLAMA3, "rope_theta": 500.0},
    "llama, stretched": {"architectures": ["LlamaForCausalLM"], "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "mistral with a window": {"architectures": ["MistralForCausalLM"], "sliding_window": 5},
    "mistral without": {"architectures": ["MistralForCausalLM"], "sliding_window": None, "head_dim": 32},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"]},
    "qwen2, a layer with a window": {
        "architectures": ["Qwen2ForCausalLM"],
        "use_sliding_window": True,
        "sliding_window": 5,
        "max_window_layers": 1,
    },
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 32, "tie_word_embeddings": True},
    "qwen3 with biases": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 16, "attention_bias": True},
}
MODEL_TYPES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}


def config_of(kind: str = "llama", **changes: object) -> dict[str, object]:
    """Return the configuration of a kind of decoder."""
    given = SIZES | KINDS[kind]
    return given | {"model_type": MODEL_TYPES[given["architectures"][0]]} | changes


def save(folder: Path, kind: str = "llama", *, dtype: str = "F32", files: int = 1, seed: int = 0, **changes: object) -> Path:
    """Write a checkpoint of a kind of decoder, its weights in one file or several, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(kind, **changes)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = weights(config, seed)
    if files == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return folder
    places = {name: f"model-{number % files + 1:05}-of-{files:05}.safetensors" for number, name in enumerate(tensors)}
    for place in set(places.values()):
        write_safetensors(folder / place, {name: tensors[name] for name in tensors if places[name] == place}, dtype)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def change(folder: Path, **changes: object) -> Path:
    """Change keys of the configuration, and return the folder."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def weights(config: Mapping[str, object], seed: int = 0) -> dict[str, np.ndarray]:
    """Return random weights such that every part of the model counts in the logits."""
    random = np.random.default_rng(seed)
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    dimension = config.get("head_dim") or hidden // heads
    queries, keys = heads * dimension, config["num_key_value_heads"] * dimension
    name = config["architectures"][0]
    attention_bias, mlp_bias = bool(config.get("attention_bias")), bool(config.get("mlp_bias"))
    linear = {
        **{
            f"self_attn.{part}_proj": (rows, hidden, attention_bias or name == "Qwen2ForCausalLM")
            for part, rows in (("q", queries), ("k", keys))
        },
        "self_attn.v_proj": (keys, hidden, attention_bias or name == "Qwen2ForCausalLM"),
        "self_attn.o_proj": (hidden, queries, attention_bias),
        "mlp.gate_proj": (inner, hidden, mlp_bias),
        "mlp.up_proj": (inner, hidden, mlp_bias),
        "mlp.down_proj": (hidden, inner, mlp_bias),
    }
    norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
    if name == "Qwen3ForCausalLM":
        norms |= {"self_attn.q_norm": dimension, "self_attn.k_norm": dimension}

    def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> np.ndarray:
        return (mean + scale * random.standard_normal(shape)).astype(np.float32)

    found = {"model.embed_tokens.weight": normal(config["vocab_size"], hidden)}
    for layer in range(config["num_hidden_layers"]):
        for part, (outputs, inputs, has_bias) in linear.items():
            found[f"model.layers.{layer}.{part}.weight"] = normal(outputs, inputs, scale=2 * inputs**-0.5)
            if has_bias:
                found[f"model.layers.{layer}.{part}.bias"] = normal(outputs, scale=0.5)
        for part, width in norms.items():
            found[f"model.layers.{layer}.{part}.weight"] = normal(width, scale=0.2, mean=1.0)
    found["model.norm.weight"] = normal(hidden, scale=0.2, mean=1.0)
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = normal(config["vocab_size"], hidden, scale=hidden**-0.5)
    return found


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], dtype: str = "F32", **changed: object) -> None:
    """Write a file in the format of safetensors; `changed` takes the place of entries of its header."""
    stored = {name: as_stored(values, dtype) for name, values in tensors.items()}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, values in stored.items():
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [start, start + values.nbytes]}
        start += values.nbytes
    text = json.dumps(header | changed).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(values.tobytes() for values in stored.values()))


def as_stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values as a file has them: bfloat16 is the upper half of a float, rounded."""
    if dtype == "BF16":
        return ((values.view(np.uint32) + np.uint32(0x8000)) >> 16).astype(np.uint16)
    return values.astype({"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype])


def text(count: int, seed: int = 1, vocabulary: int = 160) -> np.ndarray:
    """Return random tokens."""
    return np.random.default_rng(seed).integers(0, vocabulary, count)
