"""What a Hugging Face decoder computes, by its config.json; others are refused, with what of them is not modeled."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Literal

from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values, quoted, read_object
from advisor.measure.model import checkpoint
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import LONGEST_SEQUENCE, Record

CONFIG = "config.json"
# Sizes beyond these are slips: the largest decoders there are stay below a tenth of each.
MOST_LAYERS, MOST_HEADS, MOST_WIDTH, MOST_VOCABULARY = 4096, 2**14, 2**20, 2**24
LARGEST_THETA, LARGEST_FACTOR = 1e12, 1e6
# GroupQueryAttention of ONNX Runtime rotates heads of such sizes alone (onnxruntime, group_query_attention_helper.h).
HEAD_MULTIPLE = 16
FLOAT_BYTES = 4  # of the cache, and of all arithmetic
SILU = {"silu", "swish"}
KINDS_OF_ROPE = ("default", "linear", "llama3")
WINDOW = 4096  # of transformers' configurations, where the file names none
QWEN_FULL_LAYERS = 28  # as above: max_window_layers
QWEN3_HEAD_DIMENSION = 128
ROPE_THETA = 10000.0

MODELED = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
# What of others is not in the graph, by the names of their classes in transformers.
NOT_MODELED = {
    **dict.fromkeys(("BloomForCausalLM", "MptForCausalLM"), "positions as biases of attention"),
    **dict.fromkeys(
        ("CohereForCausalLM", "GPTJForCausalLM", "GPTNeoXForCausalLM", "PhiForCausalLM"), "attention and MLP side by side"
    ),
    **dict.fromkeys(("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"), "experts and latent attention"),
    **dict.fromkeys(("DbrxForCausalLM", "MixtralForCausalLM", "OlmoeForCausalLM", "PhimoeForCausalLM"), "experts"),
    **dict.fromkeys(("Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM", "Llama4ForCausalLM"), "experts"),
    **dict.fromkeys(("GPT2LMHeadModel", "GPTBigCodeForCausalLM", "GPTNeoForCausalLM", "OPTForCausalLM"), "learned positions"),
    **dict.fromkeys(("GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM"), "norms and embeddings of other scales"),
    **dict.fromkeys(
        ("JambaForCausalLM", "MambaForCausalLM", "Mamba2ForCausalLM", "RwkvForCausalLM"), "states in place of attention"
    ),
    "FalconForCausalLM": "attention and MLP side by side",
    "GptOssForCausalLM": "experts and attention sinks",
    "GraniteForCausalLM": "multipliers of its own",
    "Olmo2ForCausalLM": "norms behind attention and MLP",
    "Phi3ForCausalLM": "projections in one matrix",
    "SmolLM3ForCausalLM": "layers without positions",
    "StableLmForCausalLM": "norms with a mean",
}
EXPORT_IT = "export it with `optimum-cli export onnx --task text-generation-with-past`, and give that folder"
EXPORT_PARTS = (
    "export it with optimum-cli, and give one of the ONNX files: it is measured as a model of one pass, without generation"
)


class Rope(Record, frozen=True, kw_only=True):
    """Rotary positions; the factors stretch slow frequencies, as `kind` says."""

    theta: float
    kind: Literal["default", "linear", "llama3"] = "default"
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context_tokens: int = 1


class DecoderShape(Record, frozen=True, kw_only=True):
    """Sizes and kinds of the parts of a decoder."""

    architecture: str
    layers: int
    attention_heads: int
    kv_heads: int
    head_dimension: int
    hidden_size: int
    intermediate_size: int
    vocabulary: int
    context_tokens: int
    norm_epsilon: float
    rope: Rope
    ties_embeddings: bool
    has_input_biases: bool  # of the projections to queries, keys and values
    has_output_bias: bool  # of the projection behind attention
    has_mlp_biases: bool
    has_head_norms: bool  # of queries and keys, before they are rotated
    windows: tuple[int | None, ...]  # of each layer: how many tokens it looks back, itself among them; None: all


def read_shape(folder: Path) -> DecoderShape:
    """Return what the config.json of a folder describes; raise InputError for one that is wrong, or that is not modeled."""
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder}: a directory without config.json is no Hugging Face checkpoint",
            hint="give the directory that save_pretrained wrote",
        )
    config = Values(path, read_object(path, "a configuration", "save the checkpoint again with save_pretrained"))
    architecture = _architecture(config)
    _refuse_other_arithmetic(config)
    heads = config.count("num_attention_heads", MOST_HEADS)
    # A checkpoint of the first Llamas names no heads of keys: there are as many as of queries.
    kv_heads = config.count("num_key_value_heads", MOST_HEADS, heads if architecture == "LlamaForCausalLM" else None)
    if heads % kv_heads:
        raise config.wrong("num_key_value_heads", f"does not divide the {heads} attention heads")
    layers = config.count("num_hidden_layers", MOST_LAYERS)
    hidden_size = config.count("hidden_size", MOST_WIDTH)
    has_attention_biases = architecture in ("LlamaForCausalLM", "Qwen3ForCausalLM") and config.flag("attention_bias", False)
    return DecoderShape(
        architecture=architecture,
        layers=layers,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dimension=_head_dimension(config, architecture, heads, hidden_size),
        hidden_size=hidden_size,
        intermediate_size=config.count("intermediate_size", MOST_WIDTH),
        vocabulary=config.count("vocab_size", MOST_VOCABULARY),
        context_tokens=config.count("max_position_embeddings", LONGEST_SEQUENCE),
        norm_epsilon=config.number("rms_norm_eps", 1e-30, 1.0, 1e-6),
        rope=_rope(config),
        ties_embeddings=config.flag("tie_word_embeddings", False),
        has_input_biases=architecture == "Qwen2ForCausalLM" or has_attention_biases,
        has_output_bias=has_attention_biases,
        has_mlp_biases=architecture == "LlamaForCausalLM" and config.flag("mlp_bias", False),
        has_head_norms=architecture == "Qwen3ForCausalLM",
        windows=_windows(config, architecture, layers),
    )


def facts_of(folder: Path, shape: DecoderShape) -> DecoderFacts:
    """Return the facts of a checkpoint, the cache in 32-bit floats, as it is served."""
    windows = set(shape.windows)
    return DecoderFacts(
        sha256=checkpoint.digest(folder),
        architecture=shape.architecture,
        given_as="checkpoint",
        parameters=sum(prod(sizes) for _, sizes in tensors_of(shape)),
        layers=shape.layers,
        attention_heads=shape.attention_heads,
        kv_heads=shape.kv_heads,
        head_dimension=shape.head_dimension,
        hidden_size=shape.hidden_size,
        vocabulary=shape.vocabulary,
        context_tokens=shape.context_tokens,
        window_tokens=windows.pop() if len(windows) == 1 else None,
        kv_bytes_per_token=2 * shape.layers * shape.kv_heads * shape.head_dimension * FLOAT_BYTES,
    )


def tensors_of(shape: DecoderShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor of the checkpoint, matrices as torch stores them: (outputs, inputs)."""
    yield "model.embed_tokens.weight", (shape.vocabulary, shape.hidden_size)
    for layer in range(shape.layers):
        for name, sizes in tensors_of_layer(shape):
            yield f"model.layers.{layer}.{name}", sizes
    yield "model.norm.weight", (shape.hidden_size,)
    if not shape.ties_embeddings:
        yield "lm_head.weight", (shape.vocabulary, shape.hidden_size)


def tensors_of_layer(shape: DecoderShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor of one layer."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries, keys = shape.attention_heads * shape.head_dimension, shape.kv_heads * shape.head_dimension
    products = (
        *(
            (f"self_attn.{part}_proj", outputs, hidden, shape.has_input_biases)
            for part, outputs in (("q", queries), ("k", keys), ("v", keys))
        ),
        ("self_attn.o_proj", hidden, queries, shape.has_output_bias),
        ("mlp.gate_proj", inner, hidden, shape.has_mlp_biases),
        ("mlp.up_proj", inner, hidden, shape.has_mlp_biases),
        ("mlp.down_proj", hidden, inner, shape.has_mlp_biases),
    )
    for name, outputs, inputs, has_bias in products:
        yield f"{name}.weight", (outputs, inputs)
        if has_bias:
            yield f"{name}.bias", (outputs,)
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"{name}.weight", (hidden,)
    if shape.has_head_norms:
        for name in ("self_attn.q_norm", "self_attn.k_norm"):
            yield f"{name}.weight", (shape.head_dimension,)


# --- what is refused ----------------------------------------------------------------------------------------------------


def _architecture(config: Values) -> str:
    given = config.given("architectures")
    name = given[0] if isinstance(given, list) and given else None
    if not isinstance(name, str) or not name:
        raise config.wrong("architectures", "names no class of a model", hint="name the class of the model there")
    if name in MODELED:
        return name
    shown = quoted(name).strip("'\"")
    if name.endswith("ForConditionalGeneration"):
        raise InputError(
            f"{config.path}: {shown} reads more than tokens, and generation is measured here of what reads these alone",
            hint=EXPORT_PARTS,
        )
    if name in NOT_MODELED:
        raise InputError(f"{config.path}: {shown} has {NOT_MODELED[name]}, which is not modeled here", hint=EXPORT_IT)
    raise InputError(f"{config.path}: {shown} is not modeled here; modeled are {', '.join(MODELED)}", hint=EXPORT_IT)


def _refuse_other_arithmetic(config: Values) -> None:
    """Raise InputError for what would make the class compute something else than the graph does."""
    quantization = config.part("quantization_config")
    if quantization is not None:
        raise InputError(
            f"{config.path}: quantization_config: the weights are quantized ({quoted(quantization.given('quant_method'))})",
            hint="give the checkpoint in floats that it was made of: variants are quantized from that",
        )
    if config.text("hidden_act", "silu") not in SILU:
        raise config.wrong("hidden_act", "this activation is not modeled here, only silu is", hint=EXPORT_IT)
    for values in (config, config.part("rope_parameters")):
        if values is not None and values.number("partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0:
            raise values.wrong("partial_rotary_factor", "positions of a part of each head are not modeled here", hint=EXPORT_IT)


# --- parts ----------------------------------------------------------------------------------------------------------------


def _head_dimension(config: Values, architecture: str, heads: int, hidden_size: int) -> int:
    default = QWEN3_HEAD_DIMENSION if architecture == "Qwen3ForCausalLM" else None
    if config.given("head_dim") is None and default is None and hidden_size % heads:
        raise config.wrong("num_attention_heads", f"does not divide hidden_size {hidden_size}, and there is no head_dim")
    dimension = config.count("head_dim", MOST_WIDTH, default or hidden_size // heads)
    if dimension % HEAD_MULTIPLE:
        raise InputError(
            f"{config.path}: heads of {dimension} are not modeled here: ONNX Runtime rotates heads of multiples of {HEAD_MULTIPLE}",
            hint=EXPORT_IT,
        )
    return dimension


def _rope(config: Values) -> Rope:
    """Return the rotary positions: transformers 5 writes all of them into rope_parameters, earlier ones rope_theta and rope_scaling."""
    parameters, scaling = config.part("rope_parameters"), config.part("rope_scaling")
    if parameters is not None and any(
        isinstance(config.given("rope_parameters")[key], dict) for key in config.given("rope_parameters")
    ):
        raise config.wrong("rope_parameters", "other positions for each kind of layer are not modeled here", hint=EXPORT_IT)
    theta = config.number("rope_theta", 1.0, LARGEST_THETA, ROPE_THETA)
    if parameters is not None and parameters.given("rope_theta") is not None:
        inner = parameters.number("rope_theta", 1.0, LARGEST_THETA)
        if config.given("rope_theta") is not None and inner != theta:
            raise config.wrong(
                "rope_theta", f"rope_parameters has another one, {inner:g}", hint="take out the wrong one of the two"
            )
        theta = inner
    if parameters is not None and scaling is not None and _kind(parameters) != _kind(scaling):
        raise config.wrong("rope_scaling", "rope_parameters says otherwise", hint="take out the wrong one of the two")
    given = parameters or scaling
    kind = "default" if given is None else _kind(given)
    if given is None or kind == "default":
        return Rope(theta=theta)
    factor = given.number("factor", 1.0, LARGEST_FACTOR)
    if kind == "linear":
        return Rope(theta=theta, kind="linear", factor=factor)
    low = given.number("low_freq_factor", 1e-6, LARGEST_FACTOR)
    high = given.number("high_freq_factor", 1e-6, LARGEST_FACTOR)
    if high <= low:
        raise given.wrong("high_freq_factor", f"not above low_freq_factor {low:g}")
    return Rope(
        theta=theta,
        kind="llama3",
        factor=factor,
        low_frequency_factor=low,
        high_frequency_factor=high,
        original_context_tokens=given.count("original_max_position_embeddings", LONGEST_SEQUENCE),
    )


def _kind(given: Values) -> str:
    key = "rope_type" if given.given("rope_type") is not None else "type"
    kind = given.text(key, "default")
    if kind not in KINDS_OF_ROPE:
        raise given.wrong(key, f"not modeled here; modeled are {', '.join(KINDS_OF_ROPE)}", hint=EXPORT_IT)
    return kind


def _windows(config: Values, architecture: str, layers: int) -> tuple[int | None, ...]:
    """Return what each layer looks back, as the class of transformers reads it from the file."""
    if architecture == "LlamaForCausalLM":
        return (None,) * layers
    return (window_of(config),) * layers if architecture == "MistralForCausalLM" else windows_of_qwen(config, layers)


def window_of(config: Values, default: int | None = WINDOW) -> int | None:
    """Return the window of the layers that have one; null is none, a key that is not there is what the class has."""
    is_null = config.has("sliding_window") and config.given("sliding_window") is None
    if is_null or (default is None and not config.has("sliding_window")):
        return None
    return config.count("sliding_window", LONGEST_SEQUENCE, default)


def windows_of_qwen(config: Values, layers: int) -> tuple[int | None, ...]:
    """Return what each layer looks back in the classes of Qwen: the first ones at everything, the others as `use_sliding_window` says."""
    window = window_of(config) if config.flag("use_sliding_window", False) else None
    if config.given("layer_types") is None:
        # Zero is a number of layers, too: then every layer has the window.
        full = config.count("max_window_layers", MOST_LAYERS, QWEN_FULL_LAYERS, least=0)
        return tuple(window if layer >= full else None for layer in range(layers))
    kinds = config.each_layer("layer_types", layers, ("full_attention", "sliding_attention"))
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
