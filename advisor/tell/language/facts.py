"""What a configuration says of a language model, as plain text for a terminal."""

from advisor import units
from advisor.schema.language import LanguageModelFacts
from advisor.tell.language.naming import attention, feed_forward


def language_model_lines(facts: LanguageModelFacts) -> list[str]:
    """Return the facts of a model that is known by its configuration, a line each."""
    model = facts.model
    rows = [
        ("model", f"{model.name}, {model.architecture} (sha256 {model.sha256[:12]} of the configuration)"),
        (
            "weights",
            f"{units.count(model.parameters)} parameters, {units.count(model.active_parameters)} of them active a token, "
            f"{units.size(facts.weight_bytes)} in {model.weights}",
        ),
        ("layers", f"{model.layers:,}, hidden size {model.hidden_size:,}, vocabulary {model.vocabulary:,}"),
        *(
            ("attention", f"{attention(it.layers)}: {units.size(it.kv_bytes_per_token)} of cache a token")
            for it in facts.kv_by_layers
        ),
        *(("network", feed_forward(layers)) for layers in model.feed_forward),
        ("context", f"{model.context_tokens:,} tokens, prompt and answer together"),
        (
            "KV cache",
            f"{units.size(facts.kv_bytes_per_token)} per token in 16 bits, "
            f"{units.size(facts.kv_bytes_per_token * model.context_tokens)} for a request that fills the context",
        ),
        *(("note", note) for note in model.notes),
    ]
    return [f"{name:<9} {value}" for name, value in rows]
