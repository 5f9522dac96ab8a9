"""What the classes of models that are known differ in, beside the sizes in their configurations; named as in transformers and vLLM.

One line a class, or a few of the same kind. What is not said here is in the file, under the keys that `HeadKeys` and `Family` name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from advisor.measure.decoder.shape import QWEN3_HEAD_DIMENSION, WINDOW

NOTHING: Mapping[str, Any] = MappingProxyType({})
Part = Literal[
    "input", "output", "mlp"
]  # which products have biases: queries, keys and values; what is behind attention; networks
ALL_PARTS: frozenset[Part] = frozenset(("input", "output", "mlp"))


class HeadKeys(NamedTuple):
    """The names under which a configuration has the sizes of heads."""

    heads: str = "num_attention_heads"
    kv_heads: str = "num_key_value_heads"
    dimension: str = "head_dim"
    value_dimension: str | None = None  # None: values are as wide as keys


class Family(NamedTuple):
    """What a class of models has; `defaults` are those of its configuration in transformers, for keys that files of it leave out."""

    attention: Literal["heads", "latent", "blocks"] = "heads"  # latent: MLA; blocks: each layer is described by itself
    full: HeadKeys = HeadKeys()
    windowed: HeadKeys = HeadKeys()
    kv_as_heads: bool = False  # where the file names no heads of keys, there are as many as of queries
    # Which layers have a window: none, all, as the classes of Qwen say, or as a list says; without a list all but each n-th.
    windows: Literal["none", "all", "qwen", "listed"] = "none"
    window_key: str = "sliding_window"
    full_each: int | None = None
    full_each_key: str = "sliding_window_pattern"
    experts: Literal["never", "optional", "always"] = "never"
    dense_inner: str = "intermediate_size"
    expert_inner: str = "moe_intermediate_size"
    shared_inner: str | None = (
        None  # the key of the width that every token passes beside the experts; None: shared experts are counted
    )
    is_gated: bool = True
    inner_factor: int | None = None  # of hidden_size, where the file names no width of the network
    # What beside the matrices of the layers counts as weights.
    biases: frozenset[Part] = frozenset()
    has_head_norms: bool = False
    norms: int = 2  # vectors as long as hidden_size in a layer
    learns_positions: bool = False
    ties: bool = False  # where the file does not say
    embedding_is_active: bool = True  # whether its publisher counts the input embeddings among the parameters of one token
    defaults: Mapping[str, Any] = NOTHING


LLAMA = Family(kv_as_heads=True)
QWEN2 = Family(windows="qwen", biases=frozenset(("input",)))
QWEN3 = Family(windows="qwen", has_head_norms=True, defaults={"head_dim": QWEN3_HEAD_DIMENSION})
MISTRAL = Family(windows="all", defaults={"sliding_window": WINDOW})
GEMMA = Family(kv_as_heads=True, ties=True, defaults={"head_dim": 256})
GEMMA3 = GEMMA._replace(
    windows="listed",
    full_each=6,
    has_head_norms=True,
    norms=4,
    defaults={
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
    },
)
# Beside its experts each layer has a dense network, which every token passes.
GEMMA4 = GEMMA3._replace(
    full=HeadKeys(kv_heads="num_global_key_value_heads", dimension="global_head_dim"),
    experts="optional",
    kv_as_heads=False,
    shared_inner="intermediate_size",
    defaults=NOTHING,
)
COHERE = Family(kv_as_heads=True, norms=1, ties=True)
DEEPSEEK = Family(attention="latent", experts="optional")
LLAMA4 = Family(
    windows="listed",
    window_key="attention_chunk_size",
    full_each=4,
    full_each_key="no_rope_layer_interval",
    experts="always",
    dense_inner="intermediate_size_mlp",
    expert_inner="intermediate_size",
    shared_inner="intermediate_size",
)
# Of the cards of gpt-oss (arXiv 2508.10925, table 1): "unembedding parameters are counted towards active, but not embeddings".
GPT_OSS = Family(
    windows="listed",
    full_each=2,
    experts="always",
    expert_inner="intermediate_size",
    biases=frozenset(("mlp",)),
    embedding_is_active=False,
)
MIXTRAL = Family(windows="all", experts="always", expert_inner="intermediate_size")
MIMO_V2 = Family(
    full=HeadKeys(value_dimension="v_head_dim"),
    windowed=HeadKeys("swa_num_attention_heads", "swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim"),
    windows="listed",
    experts="optional",
)
# Not gated, norms with a mean and an offset.
CLASSIC = Family(kv_as_heads=True, is_gated=False, inner_factor=4, biases=ALL_PARTS, norms=4)

FAMILIES: Mapping[str, Family] = {
    # --- dense ---
    **dict.fromkeys(
        (
            *("LlamaForCausalLM", "BaichuanForCausalLM", "Ernie4_5ForCausalLM", "Glm4ForCausalLM", "GlmForCausalLM"),
            *(
                "GraniteForCausalLM",
                "HunYuanDenseV1ForCausalLM",
                "InternLM2ForCausalLM",
                "InternLM3ForCausalLM",
                "Olmo2ForCausalLM",
            ),
            *("OlmoForCausalLM", "SeedOssForCausalLM", "SmolLM3ForCausalLM", "StableLmForCausalLM"),
        ),
        LLAMA,
    ),
    **dict.fromkeys(("ApertusForCausalLM", "ArceeForCausalLM", "NemotronForCausalLM"), LLAMA._replace(is_gated=False)),
    "MistralForCausalLM": MISTRAL,
    **dict.fromkeys(("Ministral3ForCausalLM", "Phi3ForCausalLM"), LLAMA._replace(windows="all")),
    **dict.fromkeys(("Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"), QWEN2),
    "Qwen3ForCausalLM": QWEN3,
    "MiMoForCausalLM": QWEN2,
    "GemmaForCausalLM": GEMMA,
    "Gemma2ForCausalLM": GEMMA._replace(
        windows="listed", full_each=2, norms=4, defaults={"head_dim": 256, "sliding_window": 4096}
    ),
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma4ForCausalLM": GEMMA4,
    "CohereForCausalLM": COHERE,
    "Cohere2ForCausalLM": COHERE._replace(windows="listed", full_each=4, defaults={"sliding_window": 4096}),
    **dict.fromkeys(
        ("Exaone4ForCausalLM", "Olmo3ForCausalLM"), LLAMA._replace(windows="listed", full_each=4, has_head_norms=True)
    ),
    "DeciLMForCausalLM": Family(attention="blocks"),
    "Starcoder2ForCausalLM": CLASSIC._replace(windows="all", ties=True),
    **dict.fromkeys(("GPTJForCausalLM", "PhiForCausalLM"), CLASSIC._replace(norms=2)),
    "GPTNeoXForCausalLM": CLASSIC,
    "BloomForCausalLM": CLASSIC._replace(ties=True),
    "GPT2LMHeadModel": CLASSIC._replace(ties=True, learns_positions=True),
    "OPTForCausalLM": CLASSIC._replace(dense_inner="ffn_dim", ties=True, learns_positions=True),
    # --- experts ---
    "MixtralForCausalLM": MIXTRAL,
    **dict.fromkeys(("GraniteMoeForCausalLM", "OlmoeForCausalLM"), MIXTRAL._replace(windows="none", kv_as_heads=True)),
    "PhimoeForCausalLM": MIXTRAL._replace(norms=4),
    "Qwen2MoeForCausalLM": QWEN2._replace(experts="always", shared_inner="shared_expert_intermediate_size"),
    "Qwen3MoeForCausalLM": QWEN3._replace(experts="always", shared_inner="shared_expert_intermediate_size"),
    "GptOssForCausalLM": GPT_OSS,
    "Llama4ForCausalLM": LLAMA4,
    "DeepseekForCausalLM": LLAMA._replace(experts="optional"),
    **dict.fromkeys(("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM"), DEEPSEEK),
    **dict.fromkeys(
        (
            *("BailingMoeForCausalLM", "BailingMoeV2ForCausalLM", "Dots1ForCausalLM", "Ernie4_5_MoeForCausalLM"),
            "Glm4MoeForCausalLM",
        ),
        Family(experts="optional"),
    ),
    "MiniMaxM2ForCausalLM": Family(
        experts="always", expert_inner="intermediate_size", shared_inner="shared_intermediate_size", has_head_norms=True
    ),
    "MiMoV2FlashForCausalLM": MIMO_V2,
    "Step3p7FlashForCausalLM": Family(windows="listed", experts="always", shared_inner="share_expert_dim"),
}

# The text part of a model of several kinds of input names no class: its type stands for one.
CLASS_OF_TEXT: Mapping[str, str] = {
    "deepseek_v2": "DeepseekV2ForCausalLM",
    **dict.fromkeys(("deepseek_v3", "kimi_k2"), "DeepseekV3ForCausalLM"),
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma4_text": "Gemma4ForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
    "glm4v_moe_text": "Glm4MoeForCausalLM",
    "glm4v_text": "Glm4ForCausalLM",
    "llama": "LlamaForCausalLM",
    "llama4_text": "Llama4ForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    **dict.fromkeys(("qwen2", "qwen2_vl_text", "qwen2_5_vl_text"), "Qwen2ForCausalLM"),
    **dict.fromkeys(("qwen3", "qwen3_vl_text"), "Qwen3ForCausalLM"),
    **dict.fromkeys(("qwen3_moe", "qwen3_vl_moe_text"), "Qwen3MoeForCausalLM"),
}
