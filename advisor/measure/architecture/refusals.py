"""What of a model is not modeled, found by its class or by what its configuration says, and named where it is refused."""

from collections.abc import Iterator, Mapping

from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values, quoted

GIVE_ANOTHER = "give a decoder whose layers have full, windowed or latent attention, and dense networks or experts"
KNOWN_CLASS = (
    "if its layers are those of a class that is known, as LlamaForCausalLM or Qwen3MoeForCausalLM, name that under architectures"
)

STATES = "state-space layers"
LINEAR = "layers of linear attention"
SPARSE = "sparse attention (an indexer chooses the tokens that are looked at)"
COMPRESSED = "attention to compressed keys"
LATENT_EXPERTS = "experts of another width than the model's"
CROSS = "layers of cross-attention to images"

OF_CLASSES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *(
                "BambaForCausalLM",
                "FalconH1ForCausalLM",
                "FalconMambaForCausalLM",
                "GraniteMoeHybridForCausalLM",
                "JambaForCausalLM",
            ),
            *("Mamba2ForCausalLM", "MambaForCausalLM", "NemotronHForCausalLM", "Zamba2ForCausalLM", "ZambaForCausalLM"),
        ),
        STATES,
    ),
    **dict.fromkeys(
        (
            *("KimiLinearForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxText01ForCausalLM", "Qwen3NextForCausalLM"),
            *("Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration"),
        ),
        LINEAR,
    ),
    **dict.fromkeys(("DeepseekV32ForCausalLM", "GlmMoeDsaForCausalLM", "MiniMaxM3ForCausalLM"), SPARSE),
    "DeepseekV4ForCausalLM": COMPRESSED,
    "MllamaForConditionalGeneration": CROSS,
    **dict.fromkeys(("Lfm2ForCausalLM", "Lfm2MoeForCausalLM"), "convolutions in place of attention"),
    **dict.fromkeys(("RecurrentGemmaForCausalLM", "RwkvForCausalLM", "xLSTMForCausalLM"), "recurrent layers"),
}
# Keys that say it whatever the class is called; the first that is there is named.
OF_KEYS: Mapping[str, str] = {
    **dict.fromkeys(("hybrid_override_pattern", "mamba_d_state", "mamba_num_heads", "ssm_cfg", "ssm_state_size"), STATES),
    **dict.fromkeys(("linear_attn_config", "linear_num_key_heads", "linear_num_value_heads"), LINEAR),
    "compress_ratios": COMPRESSED,
    "index_topk": SPARSE,
    **dict.fromkeys(("moe_latent_size", "routed_expert_hidden_size"), LATENT_EXPERTS),
    "cross_attention_layers": CROSS,
    "hidden_size_per_layer_input": "embeddings of their own in each layer",
    "num_kv_shared_layers": "layers that read the cache of others",
    "use_double_wide_mlp": "networks of double width in some layers",
    "attention_other_setting": "layers with another number of heads",
}
OF_LAYERS: Mapping[str, str] = {
    "linear_attention": LINEAR,
    **dict.fromkeys(("mamba", "mamba2"), STATES),
    **dict.fromkeys(("recurrent", "recurrent_attention"), "recurrent layers"),
    "conv": "convolutions in place of attention",
    "deepseek_sparse_attention": SPARSE,
    **dict.fromkeys(("compressed_sparse_attention", "heavily_compressed_attention"), COMPRESSED),
}
LISTS_OF_LAYERS = ("layer_types", "layers_block_type", "block_types")


def refuse_what_is_not_modeled(config: Values, name: str) -> None:
    """Raise InputError for a model, or the text part of one, that has something else than what is modeled; `name` is its class."""
    what = next(_found(config, name), None)
    if what is not None:
        raise not_modeled(config, name, what)


def not_modeled(config: Values, name: str, what: str) -> InputError:
    """Return the complaint that names what is not modeled."""
    return InputError(f"{config.path}: {shown(name)} has {what}, which is not modeled here", hint=GIVE_ANOTHER)


def not_known(config: Values, name: str) -> InputError:
    """Return the complaint about a class that nothing is known of."""
    return InputError(f"{config.path}: {shown(name)} is no decoder of text that is known here", hint=KNOWN_CLASS)


def shown(name: str) -> str:
    """Return the name of a class as an error repeats it."""
    return quoted(name).strip("'\"")


def _found(config: Values, name: str) -> Iterator[str]:
    if config.given("is_encoder_decoder") is True:
        yield "an encoder and a decoder"
    yield from (what for key, what in OF_KEYS.items() if config.given(key))
    sparse = config.given("sparse_attention_config")
    if sparse and not (isinstance(sparse, dict) and sparse.get("use_sparse_attention") is False):
        yield SPARSE
    for key in LISTS_OF_LAYERS:
        kinds = config.given(key)
        for kind in kinds if isinstance(kinds, list) else ():
            if isinstance(kind, str) and kind in OF_LAYERS:
                yield OF_LAYERS[kind]
    if name in OF_CLASSES:
        yield OF_CLASSES[name]
