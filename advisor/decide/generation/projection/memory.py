"""What a language model takes of the memory of the devices that serve it: weights and cache, of one replica and of each device in it.

A replica is tensor-parallel as vLLM has it: queries, networks, experts, embeddings and the head of the vocabulary are divided among the
devices; heads of keys are, as far as there are enough of them; routers, the way down to latents and the latents in the cache are on each.
"""

from collections.abc import Mapping

from advisor.decide.generation.projection.operations.matrices import key_value_heads
from advisor.schema.language import Architecture, AttentionLayers, KvPrecision, WeightPrecision

BITS_PER_BYTE = 8
# Of one weight, scales included: one of 8 bits for 16 weights (NVFP4), one of 16 bits for 32 (integers, in the smallest groups in use).
WEIGHT_BITS: Mapping[WeightPrecision, float] = {"bf16": 16.0, "fp8": 8.0, "int4": 4.5, "fp4": 4.5}
UNQUANTIZED_BYTES = 2  # of a weight of embeddings, of the head of the vocabulary and of routers, which no scheme quantizes
KV_BYTES: Mapping[KvPrecision, int] = {"bf16": 2, "fp8": 1}


def weight_bytes(architecture: Architecture, weights: WeightPrecision) -> int:
    """Return the bytes of all weights, each once."""
    unquantized = _embeddings(architecture) + _routers(architecture)
    quantized = architecture.parameters - unquantized
    return round(unquantized * UNQUANTIZED_BYTES + quantized * _weight_bytes(weights))


def weight_bytes_per_device(architecture: Architecture, weights: WeightPrecision, tensor_parallel: int) -> float:
    """Return the bytes of the weights that one device holds."""
    each = _weight_bytes(weights)
    on_each = per_device = float(_routers(architecture) * UNQUANTIZED_BYTES)
    for layers in architecture.attention:
        of_keys = _key_weights(layers, architecture.hidden_size) * each
        of_latents = _latent_weights(layers, architecture.hidden_size) * each
        on_each += of_keys + of_latents
        per_device += of_keys * key_value_heads(layers, tensor_parallel) / layers.kv_heads + of_latents
    return per_device + (weight_bytes(architecture, weights) - on_each) / tensor_parallel


def kv_bytes_per_token(
    architecture: Architecture, kv: KvPrecision, tensor_parallel: int, *, context_tokens: float | None = None
) -> tuple[float, float]:
    """Return the bytes that a token takes in the cache: on all devices of a replica together, and on each.

    A latent, and heads of keys where there are fewer than devices, lie on several of them. `context_tokens`: the mean over a request of
    that length, whose layers with a window keep no more than that; None: what the token takes when it is computed.
    """
    per_device = 0.0
    for layers in architecture.attention:
        if layers.kv_lora_rank is not None and layers.rope_dimension is not None:
            values = layers.kv_lora_rank + layers.rope_dimension
        else:
            values = key_value_heads(layers, tensor_parallel) * (layers.head_dimension + layers.value_dimension)
        kept = 1.0
        if context_tokens is not None and layers.window_tokens is not None:
            kept = min(1.0, layers.window_tokens / context_tokens)
        per_device += layers.layers * values * KV_BYTES[kv] * kept
    return per_device * tensor_parallel, per_device


def splits(architecture: Architecture, tensor_parallel: int) -> str | None:
    """Return why the layers cannot be divided among so many devices, None where they can."""
    for layers in architecture.attention:
        if layers.heads % tensor_parallel:
            return f"{tensor_parallel} devices do not divide its {layers.heads} attention heads"
        more, fewer = max(layers.kv_heads, tensor_parallel), min(layers.kv_heads, tensor_parallel)
        if more % fewer:
            return (
                f"its {layers.kv_heads} heads of keys can be neither divided among {tensor_parallel} devices nor repeated on them"
            )
    for network in architecture.feed_forward:
        for width in (network.inner_size, network.shared_inner_size):
            if width % tensor_parallel:
                return f"{tensor_parallel} devices do not divide its networks, {width} wide"
    return None


def _weight_bytes(weights: WeightPrecision) -> float:
    return WEIGHT_BITS[weights] / BITS_PER_BYTE


def _embeddings(architecture: Architecture) -> int:
    return architecture.vocabulary * architecture.hidden_size * (1 if architecture.ties_embeddings else 2)


def _routers(architecture: Architecture) -> int:
    return sum(it.layers * architecture.hidden_size * (it.experts or 0) for it in architecture.feed_forward)


def _key_weights(layers: AttentionLayers, hidden_size: int) -> int:
    """Return the weights that make keys and values; those of latents are among the others."""
    if layers.kind == "mla":
        return 0
    return layers.layers * hidden_size * layers.kv_heads * (layers.head_dimension + layers.value_dimension)


def _latent_weights(layers: AttentionLayers, hidden_size: int) -> int:
    """Return the weights that make the latents, which every device has."""
    ranks = (layers.q_lora_rank, layers.kv_lora_rank, layers.rope_dimension)
    return layers.layers * hidden_size * sum(rank or 0 for rank in ranks) if layers.kind == "mla" else 0
