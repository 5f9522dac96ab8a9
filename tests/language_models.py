"""Decoders as their configurations describe them, devices, and kernels that follow a law: what step times are projected from."""

from functools import cache

import numpy as np

from advisor.decide.generation.projection.operations.attention import CACHED, decoding, decoding_latent, reading, reading_latent
from advisor.decide.generation.projection.operations.communication import summing
from advisor.decide.generation.projection.operations.experts import routed
from advisor.decide.generation.projection.operations.grounds import COMPUTED
from advisor.decide.generation.projection.operations.matrices import product
from advisor.decide.generation.projection.operations.tables import Rates
from advisor.files.catalog import read_hardware
from advisor.schema.arrays.kernels import DeviceRates, GenerationModel, Grid, HostTimes, KernelTables, StepError
from advisor.schema.language import Architecture, AttentionLayers, FeedForwardLayers
from advisor.schema.record import Source

SHARE = 0.5  # of the roofline that kernels here reach


def grouped(layers, heads, kv_heads, dimension, **more):
    return AttentionLayers(
        kind="gqa", layers=layers, heads=heads, kv_heads=kv_heads, head_dimension=dimension, value_dimension=dimension, **more
    )


def latent(layers, heads):
    return AttentionLayers(
        kind="mla",
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dimension=192,
        value_dimension=128,
        q_lora_rank=1536,
        kv_lora_rank=512,
        rope_dimension=64,
    )


def decoder(name, hidden, vocabulary, attention, *feed_forward, parameters, active=None, weights="bf16"):
    return Architecture(
        name=name,
        architecture="LlamaForCausalLM",
        sha256="0" * 64,
        layers=attention.layers,
        hidden_size=hidden,
        vocabulary=vocabulary,
        context_tokens=131072,
        ties_embeddings=False,
        attention=(attention,),
        feed_forward=feed_forward,
        parameters=parameters,
        active_parameters=active or parameters,
        weights=weights,
    )


LLAMA_8B = decoder(
    *("Llama-3.1-8B", 4096, 128256, grouped(32, 32, 8, 128), FeedForwardLayers(layers=32, inner_size=14336)),
    parameters=8_030_261_248,
)
LLAMA_70B = decoder(
    *("Llama-3.1-70B", 8192, 128256, grouped(80, 64, 8, 128), FeedForwardLayers(layers=80, inner_size=28672)),
    parameters=70_553_706_496,
)
MIXTRAL = decoder(
    *("Mixtral-8x7B", 4096, 32000, grouped(32, 32, 8, 128)),
    FeedForwardLayers(layers=32, inner_size=14336, experts=8, experts_per_token=2),
    parameters=46_702_792_704,
    active=12_879_925_248,
)
DEEPSEEK = decoder(
    *("DeepSeek-V3", 7168, 129280, latent(61, 128), FeedForwardLayers(layers=3, inner_size=18432)),
    FeedForwardLayers(layers=58, inner_size=2048, experts=256, experts_per_token=8, shared_inner_size=2048),
    parameters=671_026_419_200,
    active=37_549_000_000,
    weights="fp8",
)


@cache
def device(name):
    return read_hardware()[name]


# --- kernels that follow a law -------------------------------------------------------------------------------------------------

RATES = {
    "h100_sxm": DeviceRates(
        maker="NVIDIA", memory_bandwidth_bytes_per_s=3.35e12, link_bytes_per_s=4.5e11, flop_per_s={"bf16": 9.9e14, "fp8": 1.98e15}
    ),
    "l40s": DeviceRates(
        maker="NVIDIA", memory_bandwidth_bytes_per_s=8.64e11, link_bytes_per_s=3.2e10, flop_per_s={"bf16": 3.6e14, "fp8": 7.3e14}
    ),
}
LAWS = {
    "gemm": (product, [(k, n) for k in (1024, 4096, 16384) for n in (1024, 8192, 65536)], ((1, 16, 128, 1024, 8192),)),
    "context": (reading, [(kv, 4 * kv, 128) for kv in (1, 8)], ((1, 8), (64, 1024, 16384))),
    "generation": (decoding, [(kv, 4 * kv, 128) for kv in (1, 8)], ((1, 16, 256), (64, 1024, 16384))),
    "context_mla": (reading_latent, [(16,), (128,)], ((1, 8), (64, 1024, 16384))),
    "generation_mla": (decoding_latent, [(16,), (128,)], ((1, 16, 256), (64, 1024, 16384))),
    "experts": (routed, [(8, 2, 4096, 3584), (8, 2, 4096, 14336), (256, 8, 7168, 2048)], ((1, 16, 128, 1024, 8192),)),
    "all_reduce": (summing, [(2,), (8,)], ((1024, 65536, 2**24, 2**28),)),
}
HOST = HostTimes(
    engine="vllm",
    matrices=1.0,
    attention=1.0,
    communication=1.0,
    decode_step_s=7e-4,
    prefill_step_s=2e-3,
    layer_s=5e-6,
    request_s=2.4e-5,
    token_s=1e-6,
    rows=50,
    models=5,
)
ERRORS = tuple(
    StepError(ground=ground, figure=figure, fitted_device=fitted, factor=factor + (0.1 if not fitted else 0.0), rows=20, models=4)
    for ground, factor in (("kernels", 1.1), ("scaled-kernels", 1.3), ("roofline", 1.6))
    for figure in ("decode", "prefill", "batch")
    for fitted in (True, False)
)


def seconds_of(operation, precision, device_name, share=SHARE):
    """Return the grid of an operation whose kernels reach a share of the roofline."""
    law, shapes, axes = LAWS[operation]
    rates = RATES[device_name]
    numbers = CACHED[precision] if operation in ("context", "generation") else COMPUTED[precision]
    limits = Rates(rates.flop_per_s[numbers.computed_in], rates.memory_bandwidth_bytes_per_s, rates.link_bytes_per_s)
    if operation == "all_reduce":
        limits = Rates(np.inf, rates.link_bytes_per_s, rates.link_bytes_per_s)
    sizes = np.meshgrid(*(np.array(axis, dtype=float) for axis in axes), indexing="ij")
    log_s = [np.log(law(shape, sizes, numbers).roofline_s(limits) / share) for shape in shapes]
    return Grid(np.array(shapes, dtype=float), tuple(np.array(axis, dtype=float) for axis in axes), np.array(log_s))


def lawful_tables(**changes):
    """Return tables of two devices whose kernels all reach SHARE of the roofline."""
    grids = {
        (name, operation, precision): seconds_of(operation, precision, name)
        for name in RATES
        for operation in LAWS
        for precision in (("bf16", "fp8") if operation in ("gemm", "generation", "experts") else ("bf16",))
    }
    source = Source(what="a law", date="2026-11")
    constants = {"measured": RATES, "links_bytes_per_s": {"a100_80_sxm": 3e11}, "hosts": (HOST,), "errors": ERRORS}
    model = GenerationModel(**constants | {"sources": (source,)} | changes)
    return KernelTables(grids, model)
