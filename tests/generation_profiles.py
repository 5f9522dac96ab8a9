"""Profiles of generative models made by a law instead of by measuring: a wrong decision can be told from a right one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from advisor.decide.generation.site import GenerationRequest, GenerationUnderLoad
from advisor.decide.generation.traffic import Effort, TokenDemand
from advisor.files.catalog import machine_as_hardware
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import (
    DecodePoint,
    DecoderFacts,
    GenerationProfile,
    GenerationSettings,
    GenerationSite,
    GenerationVariant,
    MixedPoint,
    PrefillPoint,
    StepVisit,
    TextQuality,
)
from advisor.schema.profile import Machine, QualityResult
from advisor.schema.record import SCHEMA_VERSION, Estimate
from advisor.schema.workload import (
    Baseline,
    GenerationWorkload,
    HardwareChoice,
    Quality,
    SequenceLength,
    Tokens,
    TokenSlo,
    Traffic,
)
from tests.profiles import NOW, PROCESSORS, place

SMALL = Effort(beyond_quantile=20, least_requests=200, most_requests=400, seeds=2)
# A law of a small decoder: reading 100 tokens takes 21 ms, a decode step of one request with 100 cached 6 ms.
PREFILL = (1e-3, 2e-4, 1e-8)
DECODE = (5e-3, 1e-3, 1e-7)
KV_BYTES = 1_000
WEIGHT_BYTES = 10_000_000


class Law(NamedTuple):
    """What steps of a variant take."""

    prefill: tuple[float, float, float] = PREFILL
    decode: tuple[float, float, float] = DECODE

    def times(self, factor: float) -> "Law":
        return Law(tuple(factor * cost for cost in self.prefill), tuple(factor * cost for cost in self.decode))

    def prefill_s(self, tokens: int, past: int = 0) -> float:
        return float(np.dot(self.prefill, (1.0, tokens, tokens * (past + tokens / 2))))

    def decode_s(self, batch: int, context: int) -> float:
        return float(np.dot(self.decode, (1.0, batch, context)))

    def mixed_s(self, batch: int, context: int, tokens: int, past: int) -> float:
        return self.decode_s(batch, context) + self.prefill_s(tokens, past) - self.prefill[0]


def visits(seconds: float, levels: Sequence[float], steps: Sequence[float], cpu_over_wall: float = 1.0) -> tuple[StepVisit, ...]:
    return tuple(
        StepVisit(
            order=order,
            wall_s=tuple(seconds * level * step for step in steps),
            cpu_s=tuple(seconds * level * step * cpu_over_wall for step in steps),
        )
        for order, level in enumerate(levels)
    )


def variant(
    id_: str = "fp32", *, engine: str = "onnxruntime", quality: TextQuality | None = None, **changed: Any
) -> GenerationVariant:
    """Return the model as given under the name fp32, anything else as losing precision."""
    made = GenerationVariant(
        id=id_,
        scheme=id_,
        title=f"the decoder as {id_}",
        path=id_,
        sha256="0" * 64,
        bytes=WEIGHT_BYTES,
        engine=engine,
        lossless=id_ == "fp32",
        weight_bytes=WEIGHT_BYTES,
        kv_bytes_per_token=KV_BYTES,
        load_s=0.1,
        peak_memory_bytes=None,
        agrees_with_checkpoint=None,
        quality=quality,
    )
    return replace(made, **changed)


def perplexity(drop: float, high: float) -> TextQuality:
    """Return the quality of a variant whose perplexity rises by this fraction, at most by `high`."""
    lost = Estimate(value=drop, low=2 * drop - high, high=high, basis="measured", source="a test")
    agreement = Estimate(value=0.9, low=0.85, high=0.95, basis="measured", source="a test")
    result = QualityResult(metric="perplexity", data_sha256="0" * 64, items=50, baseline=20.0, value=20.0 * (1 + drop), drop=lost)
    return TextQuality(perplexity=result, bits_per_byte=1.0, baseline_bits_per_byte=1.0, tokens=5000, greedy_agreement=agreement)


def profile(
    laws: Mapping[str, Law] | None = None,
    *,
    variants: Sequence[GenerationVariant] | None = None,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1, 2, 4, 8),
    levels: Sequence[float] = (1.0, 1.0, 1.0, 1.0, 1.0),
    steps: Sequence[float] = (0.99, 1.0, 1.01),
    cpu_over_wall: float = 1.0,
    clock: str = "wall",
    memory_bytes: int = 2**33,
    context_tokens: int = 2048,
    with_mixed: bool = False,
    noise_fraction: float | None = 0.0,
) -> GenerationProfile:
    """Return what would have been measured of a machine that obeys the laws; `levels` are medians of visits, `steps` single steps."""
    laws = laws or {"fp32": Law()}
    made = tuple(variants or (variant(name) for name in laws))
    pairs = [(entry.id, count, laws[entry.id].times(1.0 / count)) for entry in made for count in threads]

    def seen(seconds: float) -> tuple[StepVisit, ...]:
        return visits(seconds, levels, steps, cpu_over_wall)

    machine = Machine(cpu="a test", cores=max(threads), memory_bytes=memory_bytes, instruction_sets=(), system="Linux")
    site = GenerationSite(
        hardware=machine_as_hardware(machine, PROCESSORS),
        machine=machine,
        created=NOW,
        advisor_version="0",
        fingerprint="0" * 64,
        versions={"onnxruntime": "1"},
        clock=clock,
        measuring_s=1.0,
        noise_fraction=noise_fraction,
        variants=made,
        prefill=tuple(
            PrefillPoint(
                variant=name,
                intra_op_num_threads=count,
                tokens=tokens,
                past_tokens=past,
                visits=seen(law.prefill_s(tokens, past)),
            )
            for name, count, law in pairs
            for tokens, past in ((16, 0), (64, 0), (256, 0), (768, 0), (128, 640))
        ),
        decode=tuple(
            DecodePoint(
                variant=name,
                intra_op_num_threads=count,
                batch_size=batch,
                context_tokens=batch * each,
                visits=seen(law.decode_s(batch, batch * each)),
            )
            for name, count, law in pairs
            for batch in batches
            for each in (32, 1024)
        ),
        mixed=tuple(
            MixedPoint(
                variant=name,
                intra_op_num_threads=count,
                batch_size=batch,
                context_tokens=batch * 300,
                tokens=tokens,
                past_tokens=past,
                visits=seen(law.mixed_s(batch, batch * 300, tokens, past)),
            )
            for name, count, law in pairs
            for batch, tokens, past in ((1, 64, 0), (4, 64, 64), (8, 250, 0), (2, 250, 250))
        )
        if with_mixed
        else (),
        exclusions=(),
        notes=(),
    )
    return GenerationProfile(
        schema_version=SCHEMA_VERSION,
        model=DecoderFacts(
            sha256="0" * 64,
            architecture="LlamaForCausalLM",
            given_as="checkpoint",
            parameters=1_000_000,
            layers=4,
            attention_heads=8,
            kv_heads=4,
            head_dimension=16,
            hidden_size=128,
            vocabulary=1000,
            context_tokens=context_tokens,
            kv_bytes_per_token=KV_BYTES,
        ),
        settings=GenerationSettings(
            budget_s=60.0,
            seed=0,
            max_context_tokens=context_tokens,
            max_running_requests=max(batches),
            text_sha256=None,
        ),
        sites=(site,),
    )


def with_site(measured: GenerationProfile, **changed: Any) -> GenerationProfile:
    """Return the profile with fields of its first site changed."""
    first, *others = measured.sites
    return replace(measured, sites=(replace(first, **changed), *others))


def tokens(input_: int = 100, output: int = 30, *, spread: float = 2.0, shared_prefix: int = 0, **limits: int) -> Tokens:
    """Return lengths whose p95 is `spread` times their p50; `limits` are input_max and output_max."""
    return Tokens(
        input=SequenceLength(p50=input_, p95=int(input_ * spread), max=limits.get("input_max")),
        output=SequenceLength(p50=output, p95=int(output * spread), max=limits.get("output_max")),
        shared_prefix=shared_prefix,
    )


def workload(
    requests_per_s: float | None = 2.0,
    *,
    ttft_s: float | None = 0.5,
    tpot_s: float | None = 0.05,
    latency_s: float | None = None,
    quantile: float = 0.9,
    brings: Tokens | None = None,
    quality: Quality | None = None,
    baseline: Baseline | None = None,
    usd_per_hour: float = 1.0,
    **traffic: Any,
) -> GenerationWorkload:
    """Return a workload; the default quantile is one that few requests settle."""
    return GenerationWorkload(
        name="a test",
        traffic=Traffic(requests_per_s=requests_per_s, **traffic),
        slo=TokenSlo(ttft_s=ttft_s, tpot_s=tpot_s, latency_s=latency_s, quantile=quantile),
        hardware=HardwareChoice(allowed=("local",), price_usd_per_hour={"local": usd_per_hour}),
        tokens=brings or tokens(),
        quality=quality,
        baseline=baseline,
    )


def request(asked: GenerationWorkload, measured: GenerationProfile, **changed: Any) -> GenerationRequest:
    hardware = measured.sites[0].hardware
    home = place(hardware, asked.hardware.price_usd_per_hour[hardware.id])
    made = GenerationRequest(
        workload=asked,
        recorded=None,
        profile_sha256="0" * 64,
        profile_path="profile.json",
        created=NOW,
        home=home,
        places=(home,),
        effort=SMALL,
    )
    return replace(made, **changed)


def under(
    asked: GenerationWorkload, measured: GenerationProfile, recorded: Requests | None = None, *, effort: Effort = SMALL
) -> GenerationUnderLoad:
    """Return the profile's first machine under the workload's load."""
    demand = TokenDemand(asked, recorded, context_tokens=measured.model.context_tokens, effort=effort)
    return GenerationUnderLoad(measured.sites[0], request(asked, measured).home, asked, demand)
