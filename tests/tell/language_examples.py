"""Advice on language models elsewhere as the decide phase would give it, one for each thing that a report must be able to tell."""

from collections.abc import Callable

from msgspec.structs import replace

from advisor.schema.advice import Certificate
from advisor.schema.catalog import Evidence, Hardware
from advisor.schema.generation import KvPoint, LoadPoint
from advisor.schema.language import (
    Accepting,
    ApiAlternative,
    Architecture,
    AttentionLayers,
    Deployment,
    DeploymentPrediction,
    FeedForwardLayers,
    Ground,
    KvOfLayers,
    LanguageAdvice,
    LanguageModelFacts,
    SpeculationByLoad,
    SpeculationChoice,
)
from advisor.schema.record import SCHEMA_VERSION, Estimate, Exclusion
from advisor.schema.workload import (
    GenerationWorkload,
    HardwareChoice,
    Lifecycle,
    LifeOptions,
    SequenceLength,
    SpeculationAsked,
    Tokens,
    TokenSlo,
    Traffic,
)
from advisor.units import HOURS_PER_MONTH
from tests.tell.advice_examples import about
from tests.tell.generation_examples import times

SIMULATED = "20 runs over steps that are composed of measured kernels"
KV_BYTES = 327_680.0
USD_PER_HOUR = {"h100_sxm": 6.88, "l40s": 1.861, "mi300x": 6.0}


def dense() -> Architecture:
    """A dense model with grouped attention, as one of 70 billion parameters is."""
    return Architecture(
        name="Big-70B <open>",
        architecture="LlamaForCausalLM",
        sha256="5f" * 32,
        layers=80,
        hidden_size=8192,
        vocabulary=128_256,
        context_tokens=131_072,
        ties_embeddings=False,
        attention=(AttentionLayers(kind="gqa", layers=80, heads=64, kv_heads=8, head_dimension=128, value_dimension=128),),
        feed_forward=(FeedForwardLayers(layers=80, inner_size=28_672),),
        parameters=70_553_706_496,
        active_parameters=70_553_706_496,
        weights="bf16",
    )


def experts() -> Architecture:
    """A model of experts with latent attention, whose first layers are dense."""
    latent = AttentionLayers(
        kind="mla",
        layers=61,
        heads=128,
        kv_heads=128,
        head_dimension=192,
        value_dimension=128,
        q_lora_rank=1536,
        kv_lora_rank=512,
        rope_dimension=64,
    )
    return replace(
        dense(),
        name="Many-671B",
        architecture="DeepseekV3ForCausalLM",
        layers=61,
        attention=(latent,),
        feed_forward=(
            FeedForwardLayers(layers=3, inner_size=18_432),
            FeedForwardLayers(layers=58, inner_size=2048, experts=256, experts_per_token=8, shared_inner_size=2048),
        ),
        parameters=671_026_419_200,
        active_parameters=37_600_000_000,
        weights="fp8",
        notes=("the layer that predicts further tokens is not modeled",),
    )


def model_facts() -> LanguageModelFacts:
    return LanguageModelFacts(
        model=dense(),
        weight_bytes=141e9,
        kv_bytes_per_token=KV_BYTES,
        kv_by_layers=(KvOfLayers(layers=dense().attention[0], kv_bytes_per_token=KV_BYTES),),
    )


def device(id_: str, name: str, memory_bytes: float) -> Hardware:
    return Hardware(
        id=id_,
        name=name,
        vendor="a maker",
        kind="gpu",
        memory_bytes=memory_bytes,
        memory_bandwidth_bytes_per_s=3.35e12,
        peak_flop_per_s={"bf16": 989e12},
        confidence="high",
        sources=(Evidence(what="its maker's data sheet", date="2026-04-27", covers=("memory_bytes",)),),
    )


def served(
    device: str = "h100_sxm", *, degree: int = 4, replicas: int = 2, drafts: SpeculationChoice | None = None
) -> Deployment:
    return Deployment(
        device=device,
        tensor_parallel=degree,
        weights="bf16",
        kv="bf16",
        max_running_requests=128,
        token_budget=2048,
        kv_tokens=450_000,
        speculation=drafts,
        replicas=replicas,
    )


def expected(
    it: Deployment, *, ttft_s: float = 0.31, tpot_s: float | None = 0.021, ground: Ground = "kernels", meets: bool = True
) -> DeploymentPrediction:
    usd = USD_PER_HOUR[it.device] * it.devices
    price = f"{it.device}, on-demand, 2026-07-20: a list"
    return DeploymentPrediction(
        deployment=it,
        ground=ground,
        times=times(ttft_s, tpot_s, source=SIMULATED),
        goodput_fraction=Estimate(value=0.9722, low=0.951, high=0.985, basis="simulated", source=SIMULATED),
        capacity_requests_per_s=about(14.0, "simulated", "bisection of the simulated rate"),
        utilization_fraction=about(0.47, "simulated", SIMULATED),
        running_requests=21.5,
        kv_use_fraction=0.31,
        preemptions_per_request=0.0 if meets else 0.02,
        prefill_fraction=0.36,
        binding="decode",
        weight_bytes_per_device=141e9 / it.tensor_parallel,
        kv_bytes_per_token=KV_BYTES,
        cost_usd_per_hour=about(usd, "list-price", price, spread=0.0),
        cost_usd_per_request=about(usd / 36_000, "list-price", price, spread=0.0),
        cost_usd_per_month=about(usd * HOURS_PER_MONTH, "list-price", price, spread=0.0),
        cost_usd_per_million_input_tokens=about(0.52, "simulated", "the price by the time spent on prompts"),
        cost_usd_per_million_output_tokens=about(2.96, "simulated", "the price by the time spent on answers"),
        energy_j_per_output_token=about(3.1, "projected", "the rated power of the devices, times their utilization")
        if meets
        else None,
        meets_slo=meets,
        misses_slo=not meets,
    )


def workload() -> GenerationWorkload:
    return GenerationWorkload(
        name="chat <elsewhere>",
        traffic=Traffic(requests_per_s=10.0),
        slo=TokenSlo(ttft_s=2.0, tpot_s=0.06, quantile=0.9),
        hardware=HardwareChoice(allowed=("l40s", "h100_sxm", "mi300x")),
        tokens=Tokens(input=SequenceLength(p50=500, p95=2000), output=SequenceLength(p50=200, p95=600)),
        lifecycle=Lifecycle(options=LifeOptions(alternative_api="gpt-4.1-mini")),
        accept=("fp8",),
        speculation=SpeculationAsked(method="eagle", acceptance=(0.6, 0.8), draft_tokens=3),
    )


def eagle() -> SpeculationChoice:
    return SpeculationChoice(method="eagle", draft_tokens=3, tokens_per_step=about(2.5, "assumed", "acceptance as given"))


def api(model: str, usd_per_month: float, even: float | None) -> ApiAlternative:
    return ApiAlternative(
        provider="a vendor",
        model=model,
        usd_per_million_input_tokens=0.4,
        usd_per_million_cached_tokens=0.1 if even else None,
        usd_per_million_output_tokens=1.6,
        date="2026-07-24",
        usd_per_month=about(usd_per_month, "list-price", "prices by the token of 2026-07-24", spread=0.0),
        break_even_requests_per_s=even,
    )


def chat_elsewhere() -> LanguageAdvice:
    """A dense model on the cheapest of three devices, with an API that is cheaper at little traffic, and a draft that pays there too."""
    best = expected(served())
    following = expected(served("mi300x", degree=2, replicas=5), ground="scaled-kernels", ttft_s=0.4, tpot_s=0.03)
    lower = expected(replace(served(degree=2), weights="fp8", kv="fp8"))
    saved = best.cost_usd_per_month.value - lower.cost_usd_per_month.value
    return LanguageAdvice(
        schema_version=SCHEMA_VERSION,
        created="2026-11-22T07:43:23Z",
        advisor_version="0.1.0",
        config_path="config.json",
        model=dense(),
        workload=workload(),
        devices=(
            device("l40s", "Small 48GB", 48e9),
            device("h100_sxm", "Large 80GB", 80e9),
            device("mi300x", "Other <192GB>", 192e9),
        ),
        mean_requests_per_s=10.0,
        outcome="advice",
        headline="Serve Big-70B on 2 replicas of 4 × h100_sxm: $40,179/month keep TTFT p90 within 2 s and TPOT p90 within 60 ms",
        recommended=best,
        next_best=following,
        next_best_costs_more_fraction=about(0.09, "simulated", "one cost over the other"),
        ties=(expected(replace(served(), token_budget=8192)),),
        others=(following, expected(served("l40s", degree=8, replicas=9), ground="roofline", ttft_s=1.2, tpot_s=0.05)),
        accepting=(
            Accepting(
                weights="fp8",
                kv="fp8",
                prediction=lower,
                saving_usd_per_month=about(saved, "simulated", "difference of the two costs"),
            ),
        ),
        speculation=(
            SpeculationByLoad(
                choice=eagle(),
                running_requests=(1, 8, 64),
                speedup=(
                    about(1.9, "projected", "the law of speculation"),
                    about(1.4, "projected", "the law of speculation"),
                    about(0.8, "projected", "the law of speculation"),
                ),
                advised_up_to_running_requests=24.0,
                surely_up_to_running_requests=9.0,
                advised_up_to_requests_per_s=6.5,
                pays_at_every_load=False,
                because="with more requests a step of so many tokens takes longer than it saves",
            ),
        ),
        apis=(api("small-1", 22_000.0, 18.0), api("large-2", 510_000.0, None)),
        load_curve=tuple(
            LoadPoint(
                requests_per_s=rate,
                ttft_slo_s=about(0.3 + 0.01 * rate**2, "simulated", SIMULATED),
                tpot_slo_s=about(0.02 + 0.001 * rate**2, "simulated", SIMULATED),
                output_tokens_per_s=260.0 * rate,
            )
            for rate in (1.0, 3.0, 5.0, 7.0)
        ),
        kv_curve=tuple(KvPoint(running_requests=running, kv_bytes=running * 800.0 * KV_BYTES) for running in (1, 8, 64, 128)),
        engine_arguments=("vllm", "serve", "MODEL", "--tensor-parallel-size", "4", "--max-num-seqs", "128"),
        certificate=Certificate(
            candidates=12_960,
            cut_by_bound=9_100,
            cut_by_quality=2_640,
            cut_by_tie=0,
            cut_by_cost=1_196,
            simulated=24,
            regret_usd_per_hour=0.0,
        ),
        candidates_simulated=24,
        confidence=0.95,
        max_uncertainty=1.5,
        risks=("step times are composed and not measured: serve it before relying on it", "prices are of 2026-07-20"),
        exclusions=tuple(
            Exclusion(what=f"l40s, degree {degree}", reason="memory: the weights do not fit") for degree in (1, 2, 4)
        ),
        notes=("assumed: prompts and answers are drawn independently",),
    )


def missed_elsewhere() -> LanguageAdvice:
    """Experts with latent attention that no deployment serves in time; a draft pays at every load, nothing is sold by the token."""
    made = chat_elsewhere()
    miss = expected(served(replicas=512, drafts=eagle()), meets=False, ground="roofline", ttft_s=2.4)
    [by_load] = made.speculation
    return replace(
        made,
        config_path=None,
        model=experts(),
        outcome="infeasible",
        headline="Nothing keeps TTFT p90 within 2 s",
        recommended=None,
        nearest_miss=miss,
        binding_constraint="a prompt of 2,000 tokens by itself takes longer than ttft_s",
        next_best=None,
        next_best_costs_more_fraction=None,
        ties=(),
        others=(),
        accepting=(),
        apis=(),
        speculation=(replace(by_load, advised_up_to_running_requests=None, pays_at_every_load=True),),
        engine_arguments=(),
        risks=(),
        exclusions=(),
        notes=(),
    )


def open_elsewhere() -> LanguageAdvice:
    """It is not known well enough; answers have one token each, and a draft pays nowhere."""
    made = chat_elsewhere()
    [by_load] = made.speculation
    likely = expected(served("mi300x", degree=1, replicas=1), ground="roofline", tpot_s=None)
    return replace(
        made,
        outcome="inconclusive",
        headline="Not known: between 1 and 3 replicas",
        recommended=None,
        likely=likely,
        next_best=likely,
        because=("steps on mi300x are known to a factor of 1.6",),
        settled_by=("a measurement of one replica there",),
        workload=replace(made.workload, slo=TokenSlo(ttft_s=2.0, latency_s=20.0, quantile=0.95), accept=(), speculation=None),
        speculation=(replace(by_load, advised_up_to_running_requests=None),),
        apis=made.apis[1:],
        load_curve=tuple(replace(point, tpot_slo_s=None) for point in made.load_curve[:1]),
        kv_curve=(),
        next_best_costs_more_fraction=None,
    )


def nothing_elsewhere() -> LanguageAdvice:
    """No device holds the model with a request, so nothing was simulated."""
    return replace(
        missed_elsewhere(),
        headline="No device that is allowed holds Many-671B and a request",
        nearest_miss=None,
        binding_constraint="memory: the weights take more than 8 devices have",
        speculation=(),
        load_curve=(),
        kv_curve=(),
        exclusions=(Exclusion(what="l40s", reason="memory: the weights do not fit"),),
    )


BUILDERS: tuple[Callable[[], LanguageAdvice], ...] = (chat_elsewhere, missed_elsewhere, open_elsewhere, nothing_elsewhere)
