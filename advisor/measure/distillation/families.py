"""Transformers whose checkpoints can be cut: under which keys their sizes stand, and which axis of which tensor has which size."""

from collections.abc import Mapping
from typing import NamedTuple

from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values, quoted
from advisor.measure.decoder.shape import QWEN3_HEAD_DIMENSION

# Sizes of axes: hidden states, embeddings, queries and keys of all heads, the inner layer, heads; "-" is one that stays as it is.
Axes = Mapping[str, str]


class Family(NamedTuple):
    """The keys of a configuration under which sizes stand, and the axes of tensors by the ends of their names."""

    axes: Axes
    layers: str = "num_hidden_layers"
    width: str = "hidden_size"
    heads: str = "num_attention_heads"
    inner: str = "intermediate_size"
    kv_heads: str | None = None
    embedding: str | None = None
    projection: str | None = None  # from embeddings to hidden states, which is there where their sizes differ
    head_dimension: int | None = None  # where the configuration names none and it is not the width by the heads


def _linear(names: str, axes: str) -> dict[str, str]:
    """Return the axes of weights (outputs, inputs) and biases."""
    return {f"{name}.{part}": axes[: 2 if part == "weight" else 1] for name in names.split() for part in ("weight", "bias")}


def _norms(names: str, axis: str = "h") -> dict[str, str]:
    return {f"{name}.{part}": axis for name in names.split() for part in ("weight", "bias")}


EMBEDDINGS = {
    **{f"{name}_embeddings.weight": "-e" for name in ("word", "position", "token_type")},
    **_norms("embeddings.LayerNorm", "e"),
    "position_ids": "--",
    "token_type_ids": "--",
}
OUTPUT_LAYERS = {
    **_linear("pooler.dense classifier.dense cls.predictions.transform.dense lm_head.dense pre_classifier", "hh"),
    **_norms("cls.predictions.transform.LayerNorm lm_head.layer_norm"),
    **_linear("cls.predictions.decoder cls.seq_relationship classifier classifier.out_proj qa_outputs lm_head.decoder", "-h"),
    "cls.predictions.bias": "-",
    "lm_head.bias": "-",
}
BERT = {
    **EMBEDDINGS,
    **OUTPUT_LAYERS,
    **_linear("attention.self.query attention.self.key attention.self.value", "qh"),
    **_linear("attention.output.dense", "hq"),
    **_linear("intermediate.dense", "ih"),
    **_linear("output.dense", "hi"),
    **_norms("attention.output.LayerNorm output.LayerNorm"),
}
ELECTRA = BERT | {
    **_linear("embeddings_project", "he"),
    **_linear("generator_predictions.dense", "eh"),
    **_norms("generator_predictions.LayerNorm", "e"),
    **_linear("generator_lm_head", "-e"),
    **_linear("discriminator_predictions.dense", "hh"),
    **_linear("discriminator_predictions.dense_prediction", "-h"),
}
MPNET = BERT | {
    **_linear("attention.attn.q attention.attn.k attention.attn.v", "qh"),
    **_linear("attention.attn.o", "hq"),
    **_norms("attention.LayerNorm"),
    "relative_attention_bias.weight": "-a",
}
DISTILBERT = {
    **EMBEDDINGS,
    **OUTPUT_LAYERS,
    **_linear("attention.q_lin attention.k_lin attention.v_lin", "qh"),
    **_linear("attention.out_lin", "hq"),
    **_linear("ffn.lin1", "ih"),
    **_linear("ffn.lin2", "hi"),
    **_norms("sa_layer_norm output_layer_norm vocab_layer_norm"),
    **_linear("vocab_transform", "hh"),
    **_linear("vocab_projector", "-h"),
}
ALBERT = {
    **EMBEDDINGS,
    **_linear("embedding_hidden_mapping_in", "he"),
    **_linear("attention.query attention.key attention.value", "qh"),
    **_linear("attention.dense", "hq"),
    **_linear("ffn", "ih"),
    **_linear("ffn_output", "hi"),
    **_norms("attention.LayerNorm full_layer_layer_norm"),
    **_linear("pooler", "hh"),
    **_linear("predictions.dense", "eh"),
    **_norms("predictions.LayerNorm", "e"),
    **_linear("predictions.decoder", "-e"),
    "predictions.bias": "-",
    **_linear("classifier qa_outputs", "-h"),
}
LLAMA = {
    "embed_tokens.weight": "-h",
    **_linear("self_attn.q_proj", "qh"),
    **_linear("self_attn.k_proj self_attn.v_proj", "kh"),
    **_linear("self_attn.o_proj", "hq"),
    **_linear("mlp.gate_proj mlp.up_proj", "ih"),
    **_linear("mlp.down_proj", "hi"),
    "input_layernorm.weight": "h",
    "post_attention_layernorm.weight": "h",
    "norm.weight": "h",
    "self_attn.q_norm.weight": "-",
    "self_attn.k_norm.weight": "-",
    "rotary_emb.inv_freq": "-",
    "lm_head.weight": "-h",
    "score.weight": "-h",
}
FAMILIES = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert"), Family(BERT)),
    "electra": Family(ELECTRA, embedding="embedding_size", projection="embeddings_project"),
    "mpnet": Family(MPNET),
    "distilbert": Family(DISTILBERT, layers="n_layers", width="dim", heads="n_heads", inner="hidden_dim"),
    "albert": Family(ALBERT, embedding="embedding_size"),
    **dict.fromkeys(("llama", "mistral", "qwen2"), Family(LLAMA, kv_heads="num_key_value_heads")),
    "qwen3": Family(LLAMA, kv_heads="num_key_value_heads", head_dimension=QWEN3_HEAD_DIMENSION),
}
CLASSES = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3"}


def family_of(config: Values) -> Family:
    """Return the family that a configuration names; raise InputError for one whose checkpoints are not cut."""
    kind = config.given("model_type")
    if kind is None and isinstance(named := config.given("architectures"), list) and named:
        kind = CLASSES.get(str(named[0]))
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise InputError(
            f"{config.path}: model_type {quoted(kind)}: no student of it can be cut",
            hint=f"cut are: {', '.join(FAMILIES)}; or give its ONNX file, whose blocks can be left out where it repeats them",
        )
    if config.given("quantization_config") is not None:
        raise InputError(
            f"{config.path}: quantized (quantization_config): no student of it can be cut",
            hint="give the checkpoint that it was quantized from",
        )
    return FAMILIES[kind]


def axes_of(family: Family, name: str) -> str | None:
    """Return the axes of a tensor, by the longest end of its name that is known; None where none is."""
    ends = [end for end in family.axes if name == end or name.endswith(f".{end}")]
    return family.axes[max(ends, key=len)] if ends else None
