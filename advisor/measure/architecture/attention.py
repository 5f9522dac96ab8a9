"""The layers of attention that a configuration describes, by kind: heads, widths, windows, latents."""

from collections import Counter
from collections.abc import Iterator

from advisor.measure.architecture.families import Family, HeadKeys
from advisor.measure.decoder.config_values import Values
from advisor.measure.decoder.shape import MOST_HEADS, MOST_LAYERS, MOST_WIDTH, window_of, windows_of_qwen
from advisor.schema.language import AttentionLayers
from advisor.schema.record import LONGEST_SEQUENCE

# Lists that say of each layer whether it has a window, with what they say of one that has.
LISTS_OF_WINDOWS = (
    ("layer_types", ("full_attention", "sliding_attention", "chunked_attention"), ("sliding_attention", "chunked_attention")),
    ("hybrid_layer_pattern", (0, 1), (1,)),  # MiMo
    ("no_rope_layers", (0, 1), (1,)),  # Llama 4: what has rotary positions is chunked
)


def attention_layers(
    config: Values, family: Family, *, layers: int, hidden_size: int, context_tokens: int
) -> tuple[AttentionLayers, ...]:
    """Return the kinds of layers, in the order in which they first appear."""
    if family.attention == "latent":
        return (_latent(config, layers),)
    counted = Counter(_windows(config, family, layers))
    return tuple(
        _heads(config, family, window, layers=count, hidden_size=hidden_size, context_tokens=context_tokens)
        for window, count in counted.items()
    )


def kv_heads_of(config: Values, keys: HeadKeys, heads: int, *, as_heads: bool) -> int:
    """Return how many heads keys and values have; raise InputError where those of the queries cannot be shared out among them."""
    kv_heads = config.count(keys.kv_heads, MOST_HEADS, heads if as_heads else None)
    if heads % kv_heads:
        raise config.wrong(keys.kv_heads, f"does not divide the {heads} attention heads")
    return kv_heads


def _heads(
    config: Values, family: Family, window: int | None, *, layers: int, hidden_size: int, context_tokens: int
) -> AttentionLayers:
    keys = family.full if window is None else family.windowed
    heads = config.count(config.key_of(keys.heads, "n_head"), MOST_HEADS)
    if config.given(keys.dimension) is None and hidden_size % heads:
        raise config.wrong(keys.heads, f"does not divide hidden_size {hidden_size}, and there is no {keys.dimension}")
    dimension = config.count(keys.dimension, MOST_WIDTH, hidden_size // heads)
    values = dimension if keys.value_dimension is None else config.count(keys.value_dimension, MOST_WIDTH, dimension)
    return AttentionLayers(
        kind="gqa",
        layers=layers,
        heads=heads,
        kv_heads=kv_heads_of(config, keys, heads, as_heads=family.kv_as_heads),
        head_dimension=dimension,
        value_dimension=values,
        window_tokens=None if window is None or window >= context_tokens else window,
    )


def _latent(config: Values, layers: int) -> AttentionLayers:
    """Return layers of latent attention (DeepSeek-V2, arXiv 2405.04434): heads read keys and values out of a latent and a rotary part."""
    heads = config.count("num_attention_heads", MOST_HEADS)
    rope_dimension = config.count("qk_rope_head_dim", MOST_WIDTH)
    return AttentionLayers(
        kind="mla",
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dimension=config.count("qk_nope_head_dim", MOST_WIDTH) + rope_dimension,
        value_dimension=config.count("v_head_dim", MOST_WIDTH),
        q_lora_rank=None if config.given("q_lora_rank") is None else config.count("q_lora_rank", MOST_WIDTH),
        kv_lora_rank=config.count("kv_lora_rank", MOST_WIDTH),
        rope_dimension=rope_dimension,
    )


def _windows(config: Values, family: Family, layers: int) -> Iterator[int | None]:
    """Yield what each layer looks back, None where to the first token."""
    match family.windows:
        case "none":
            yield from (None for _ in range(layers))
        case "all":
            window = window_of(config, None)
            yield from (window for _ in range(layers))
        case "qwen":
            yield from windows_of_qwen(config, layers)
        case "listed":
            has_window = tuple(_listed(config, family, layers))
            is_off = not any(has_window) or (config.has(family.window_key) and config.given(family.window_key) is None)
            window = None if is_off else config.count(family.window_key, LONGEST_SEQUENCE)
            yield from (window if has else None for has in has_window)


def _listed(config: Values, family: Family, layers: int) -> Iterator[bool]:
    """Yield of each layer whether it has a window."""
    for key, kinds, windowed in LISTS_OF_WINDOWS:
        if config.given(key):
            yield from (kind in windowed for kind in config.each_layer(key, layers, kinds))
            return
    if family.full_each is None:
        raise config.wrong("layer_types", "does not say which layers have a window")
    full_each = config.count(family.full_each_key, MOST_LAYERS, family.full_each)
    yield from ((layer + 1) % full_each != 0 for layer in range(layers))
