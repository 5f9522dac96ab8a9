"""What a configuration says of a model, and what its weights and its cache take."""

import msgspec

from advisor.decide.generation.projection.memory import kv_bytes_per_token, weight_bytes
from advisor.schema.language import Architecture, AttentionLayers, KvOfLayers, LanguageModelFacts


def facts_of(model: Architecture) -> LanguageModelFacts:
    """Return the facts of a model with the bytes of its weights, as they come, and of a token in its cache, by kind of layer."""
    return LanguageModelFacts(
        model=model,
        weight_bytes=float(weight_bytes(model, model.weights)),
        kv_bytes_per_token=_kv_bytes(model),
        kv_by_layers=tuple(KvOfLayers(layers=layers, kv_bytes_per_token=_of(model, layers)) for layers in model.attention),
    )


def _kv_bytes(model: Architecture) -> float:
    """Return what a token takes in the cache of one replica on one device."""
    return float(kv_bytes_per_token(model, "bf16", 1)[0])


def _of(model: Architecture, layers: AttentionLayers) -> float:
    return _kv_bytes(msgspec.structs.replace(model, attention=(layers,)))
