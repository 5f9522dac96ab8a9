"""Advice on generative models as the decide phase would give it, one for each thing that a report must be able to tell."""

from collections.abc import Callable

from msgspec.structs import replace

from advisor.schema.advice import Certificate, OneReplica, Saving
from advisor.schema.distillation import Student
from advisor.schema.generation import (
    DecoderFacts,
    DecoderStudent,
    EncoderFacts,
    GenerationAdvice,
    GenerationCandidate,
    GenerationPrediction,
    GenerationVariantSummary,
    KvPoint,
    LoadPoint,
    Quantiles,
    Replay,
    Speculation,
    SpeculationAdvice,
    TextQuality,
    TokenTimes,
)
from advisor.schema.profile import QualityResult, Stalls
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate, Exclusion
from advisor.schema.workload import (
    Baseline,
    GenerationWorkload,
    HardwareChoice,
    Quality,
    SequenceLength,
    Tokens,
    TokenSlo,
    TraceColumns,
    Traffic,
)
from tests.tell.advice_examples import about, site

SIMULATED = "4 draws of 4,000 requests over measured steps"
KV_BYTES = 46_080


def quantiles(p50: float, basis: Basis = "simulated", source: str = SIMULATED) -> Quantiles:
    return Quantiles(
        p50=about(p50, basis, source),
        p90=about(2.1 * p50, basis, source),
        p99=about(3.4 * p50, basis, source),
        slo=about(2.1 * p50, basis, source),
    )


def times(ttft_s: float, tpot_s: float | None, basis: Basis = "simulated", source: str = SIMULATED) -> TokenTimes:
    return TokenTimes(
        ttft_s=quantiles(ttft_s, basis, source),
        tpot_s=None if tpot_s is None else quantiles(tpot_s, basis, source),
        itl_s=None if tpot_s is None else quantiles(1.2 * tpot_s, basis, source),
        latency_s=quantiles(ttft_s + 40 * (tpot_s or 0.0), basis, source),
        output_tokens_per_s=about(20.4, basis, source),
        requests_per_s=about(0.5, basis, source),
    )


def candidate(variant: str = "int8-weight-only", *, policy: str = "prefill_first", replicas: int = 1) -> GenerationCandidate:
    return GenerationCandidate(
        variant=variant,
        hardware="local",
        intra_op_num_threads=2,
        max_running_requests=8,
        policy=policy,
        chunk_tokens=None if policy == "prefill_first" else 128,
        kv_tokens=4096,
        replicas=replicas,
    )


def prediction(
    asked: GenerationCandidate,
    *,
    ttft_s: float = 0.31,
    tpot_s: float | None = 0.021,
    meets: bool = True,
    misses: bool = False,
    quality_drop: Estimate | None = None,
    changes: tuple[str, ...] = (),
) -> GenerationPrediction:
    usd = 0.17 * asked.replicas
    return GenerationPrediction(
        candidate=asked,
        times=times(ttft_s, tpot_s),
        goodput_fraction=Estimate(value=0.9722, low=0.951, high=0.985, basis="simulated", source=SIMULATED),
        capacity_requests_per_s=about(0.92, "simulated", "bisection of the simulated rate"),
        utilization_fraction=about(0.47, "simulated", SIMULATED),
        running_requests=0.8,
        waiting_requests=0.05,
        kv_use_fraction=0.31,
        preemptions_per_request=0.0,
        prefill_fraction=0.36,
        binding="decode",
        cost_usd_per_hour=Estimate(value=usd, low=usd, high=usd, basis="list-price", source="the workload file"),
        cost_usd_per_million_requests=about(usd / 0.0018, "list-price", "the price over what is served", spread=0.0),
        cost_usd_per_million_input_tokens=about(0.26, "simulated", "the price by the time spent on prompts"),
        cost_usd_per_million_output_tokens=about(1.48, "simulated", "the price by the time spent on answers"),
        quality_drop=quality_drop,
        meets_slo=meets,
        misses_slo=misses,
        changes=changes,
    )


def text_quality(increase: float) -> TextQuality:
    drop = Estimate(value=increase, low=increase - 0.004, high=increase + 0.006, basis="measured", source="5,120 tokens")
    return TextQuality(
        perplexity=QualityResult(
            metric="perplexity",
            data_sha256="c0ffee" * 10 + "beef",
            items=20,
            baseline=61.7,
            value=61.7 * (1 + increase),
            drop=drop,
        ),
        bits_per_byte=1.34,
        baseline_bits_per_byte=1.33,
        tokens=5_120,
        greedy_agreement=Estimate(value=0.981, low=0.976, high=0.985, basis="measured", source="5,120 places"),
    )


def speculation(text: str, running: int, off_s: float, on_s: float) -> Speculation:
    return Speculation(
        text=text,
        running_requests=running,
        proposed_tokens=4,
        tokens_per_step=about(2.6, "measured", "counted"),
        tpot_off_s=about(off_s, "measured", "median"),
        tpot_on_s=about(on_s, "measured", "median"),
        speedup=about(off_s / on_s, "measured", "paired in time"),
    )


def variants() -> tuple[GenerationVariantSummary, ...]:
    def summary(name: str, title: str, weights: int, step_s: float, quality: TextQuality | None, because: str, admitted: bool):
        return GenerationVariantSummary(
            id=name,
            title=title,
            bytes=weights + 2_000_000,
            weight_bytes=weights,
            kv_bytes_per_token=KV_BYTES,
            prefill_tokens_per_s=about(410.0, "interpolated", "the law of the measured steps"),
            decode_step_s=about(step_s, "interpolated", "the law of the measured steps"),
            decode_tokens_per_s=about(8 / (2.4 * step_s), "measured", "batches of 8"),
            quality=quality,
            admitted=admitted,
            admitted_because=because,
        )

    return (
        summary(
            "fp32", "32-bit floats, the cache in place", 538_000_000, 0.032, text_quality(0.0), "it is the model as given", True
        ),
        replace(
            summary(
                "int8-weight-only", "weights in 8 bits", 142_000_000, 0.0093, text_quality(0.013), "the increase is small", True
            ),
            speculation=(
                speculation("copying", 1, 0.0335, 0.0147),
                speculation("free", 8, 0.0061, 0.0137),
                replace(
                    speculation("given", 1, 0.013, 0.021),
                    draft="layers-10 <ours>",
                    acceptance=about(0.15, "measured", "share of proposed tokens that stayed"),
                ),
            ),
        ),
        summary(
            "int4-weight-only", "weights in 4 bits", 92_000_000, 0.0086, text_quality(0.78), "perplexity rises too far", False
        ),
        replace(
            summary("int8-dynamic", "activations in 8 bits too", 141_000_000, 0.0133, None, "quality was not measured", False),
            decode_tokens_per_s=None,
        ),
    )


def students() -> tuple[DecoderStudent, ...]:
    """Return one that nobody has trained, and one that was and loses too much."""
    third = Student(
        id="layers-10 <ours>",
        kind="blocks",
        blocks=10,
        teacher_blocks=30,
        parameters=63_700_000,
        teacher_parameters=134_515_008,
        is_trained=False,
    )
    untrained = DecoderStudent(
        student=third,
        prediction=prediction(candidate("layers-10"), quality_drop=None),
        saved_fraction=about(0.25, "simulated", SIMULATED),
        retention=about(0.76, "assumed", "what is published"),
        quality=None,
        because="10 of 30 layers, not trained: what it keeps is assumed, after training, if it holds: what is published",
    )
    trained = DecoderStudent(
        student=replace(third, id="student", is_trained=True),
        prediction=None,
        saved_fraction=None,
        retention=None,
        quality=text_quality(2.1),
        because="10 of 30 layers, trained: perplexity rises too far",
    )
    return untrained, trained


def workload() -> GenerationWorkload:
    return GenerationWorkload(
        name="chat <local>",
        traffic=Traffic(requests_per_s=0.5),
        slo=TokenSlo(ttft_s=2.0, tpot_s=0.15, quantile=0.9),
        hardware=HardwareChoice(price_usd_per_hour={"local": 0.17}),
        tokens=Tokens(input=SequenceLength(p50=100, p95=400), output=SequenceLength(p50=40, p95=120)),
        quality=Quality(max_drop=0.05, metric="perplexity", data="text.txt"),
        baseline=Baseline(replicas=2),
    )


def decoder() -> DecoderFacts:
    return DecoderFacts(
        sha256="5f" * 32,
        architecture="LlamaForCausalLM",
        given_as="checkpoint",
        parameters=134_515_008,
        layers=30,
        attention_heads=9,
        kv_heads=3,
        head_dimension=64,
        hidden_size=576,
        vocabulary=49_152,
        context_tokens=8192,
        kv_bytes_per_token=KV_BYTES,
    )


def encoder() -> EncoderFacts:
    return EncoderFacts(
        reads="tokens",
        layers=12,
        input_tokens=512,
        output_tokens=511,
        start_tokens=1,
        kv_bytes_per_input_token=KV_BYTES,
        kv_bytes_per_output_token=KV_BYTES,
    )


def chat() -> GenerationAdvice:
    """The cheapest way is not what runs today: fewer replicas of smaller weights."""
    today = prediction(candidate("fp32", replicas=2), ttft_s=0.44, tpot_s=0.046)
    best = prediction(
        candidate(),
        quality_drop=text_quality(0.013).perplexity.drop,
        changes=("variant fp32 to int8-weight-only", "replicas 2 to 1"),
    )
    saved = Estimate(value=0.17, low=0.17, high=0.17, basis="list-price", source="difference of the two")
    return GenerationAdvice(
        schema_version=SCHEMA_VERSION,
        created="2026-11-22T07:43:23Z",
        advisor_version="0.1.0",
        profile_sha256="9b0c4d51" * 8,
        profile_path="profile.json",
        model=decoder(),
        sites=(site(),),
        workload=workload(),
        mean_requests_per_s=0.5,
        outcome="change",
        headline="Serve int8-weight-only on 1 replica instead of fp32 on 2: TTFT p90 0.65 s, TPOT p90 44 ms, $0.17/h",
        recommended=best,
        baseline=today,
        saving=Saving(
            usd_per_hour=saved,
            usd_per_year=replace(saved, value=1489.2, low=1489.2, high=1489.2),
            fraction=0.5,
        ),
        ties=(prediction(candidate(policy="chunked")),),
        unproven=prediction(candidate("int8-dynamic"), quality_drop=None),
        nearest_miss=None,
        binding_constraint=None,
        others=(prediction(candidate("fp32", policy="chunked", replicas=2), ttft_s=0.5, tpot_s=0.05),),
        variants=variants(),
        load_curve=tuple(
            LoadPoint(
                requests_per_s=rate,
                ttft_slo_s=about(0.4 + rate**3, "simulated", SIMULATED),
                tpot_slo_s=about(0.02 + 0.1 * rate**2, "simulated", SIMULATED),
                output_tokens_per_s=40.8 * rate,
            )
            for rate in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
        ),
        kv_curve=tuple(KvPoint(running_requests=running, kv_bytes=running * 180.0 * KV_BYTES) for running in (1, 2, 4, 8)),
        speculation=(
            SpeculationAdvice(
                text="copying",
                engine="openvino",
                variant="int8-weight-only",
                measured_at=(1, 8),
                advised_up_to_running_requests=6.0,
                crossing_running_requests=about(6.6, "interpolated", "between 1 and 8"),
                speedup_at_one=about(2.28, "measured", "paired in time"),
                running_requests=1.3,
                speedup=about(2.1, "interpolated", "between 1 and 8"),
                use="on",
                because="at 8 running requests it takes 1.08 times as long",
            ),
            SpeculationAdvice(
                text="free",
                engine="openvino",
                variant="int8-weight-only",
                measured_at=(8,),
                advised_up_to_running_requests=None,
                crossing_running_requests=None,
                speedup_at_one=None,
                running_requests=1.3,
                speedup=None,
                use="not known",
                because="what it saves is within the noise",
            ),
            SpeculationAdvice(
                draft="layers-10 <ours>",
                text="given",
                engine="openvino",
                variant="int8-weight-only",
                measured_at=(1, 8),
                advised_up_to_running_requests=None,
                crossing_running_requests=None,
                speedup_at_one=about(0.66, "measured", "paired in time"),
                running_requests=1.3,
                speedup=about(0.66, "interpolated", "between 1 and 8"),
                use="off",
                because="15 % of 1 proposed accepted",
            ),
        ),
        students=students(),
        certificate=Certificate(
            candidates=5_184,
            cut_by_bound=4_100,
            cut_by_quality=640,
            cut_by_tie=0,
            cut_by_cost=420,
            simulated=24,
            regret_usd_per_hour=0.0,
        ),
        candidates_simulated=24,
        replays=(replay(),),
        confidence=0.95,
        max_uncertainty=1.5,
        risks=("the law of lengths is assumed to be lognormal",),
        exclusions=(Exclusion(what="int8-dynamic", reason="quality was not measured"),),
        notes=("assumed: prompts and answers are drawn independently",),
    )


def replay(*, meets: bool = True) -> Replay:
    return Replay(
        candidate=candidate(),
        engine="onnxruntime",
        clock="cpu",
        requests=100,
        offered_requests_per_s=0.52,
        duration_s=192.0,
        load_fraction=0.57,
        measured=times(0.29, 0.022, "measured", "100 requests of the replay"),
        expected=times(0.31, 0.021),
        before=times(0.33, 0.020),
        covered={"ttft_s.p50": True, "ttft_s.p90": True, "tpot_s.p50": False},
        covered_before={"ttft_s.p50": True, "tpot_s.p50": True},
        tokens_equal=True,
        step_ratio_prefill=about(1.03, "measured", "100 steps in the server"),
        step_ratio_decode=None,
        run_delay_fraction=0.31,
        meets_slo=meets,
        stalls=(Stalls(watched_s=190.0, gaps_s=(0.004,), shortest_s=0.0002),),
    )


def kept_chat() -> GenerationAdvice:
    """What runs today stays; today's replicas are not given, nothing was replayed, and little is known beside."""
    made = chat()
    best = replace(made.recommended, candidate=candidate("fp32"), changes=())
    each = about(0.6, "simulated", "of one replica")
    return replace(
        made,
        outcome="keep",
        headline="Keep fp32 as it is served today",
        recommended=best,
        baseline=best,
        saving=None,
        one_replica=OneReplica(
            recommended_requests_per_s=each, baseline_requests_per_s=each, ratio=about(1.0, "simulated", "equal")
        ),
        workload=replace(made.workload, baseline=None, quality=None, slo=TokenSlo(latency_s=6.0, quantile=0.95)),
        ties=(),
        unproven=None,
        others=(),
        variants=variants()[:1],
        load_curve=(),
        kv_curve=(),
        speculation=(),
        replays=(),
        risks=(),
        exclusions=(),
        notes=(),
    )


def missed_chat() -> GenerationAdvice:
    """No way keeps the targets; requests are recorded, and a replay missed as well."""
    made = chat()
    miss = prediction(candidate(replicas=3), ttft_s=1.4, meets=False, misses=True)
    traffic = Traffic(trace="t.csv", columns=TraceColumns(input_tokens="in", output_tokens="out"))
    return replace(
        made,
        outcome="infeasible",
        headline="Nothing keeps the targets",
        recommended=None,
        nearest_miss=miss,
        saving=None,
        binding_constraint="a prompt of 400 tokens by itself takes longer than ttft_s",
        workload=replace(made.workload, traffic=traffic, tokens=None),
        replays=(
            replace(replay(meets=False), candidate=miss.candidate, tokens_equal=False, before=None, offered_requests_per_s=None),
        ),
    )


def open_chat() -> GenerationAdvice:
    """It is not known well enough; answers have one token each, and an encoder reads the inputs."""
    made = chat()
    likely = prediction(candidate("fp32<b>|x", policy="mixed"), tpot_s=None, meets=False)
    return replace(
        made,
        model=replace(decoder(), architecture="T5ForConditionalGeneration", given_as="export", encoder=encoder()),
        outcome="inconclusive",
        headline="Not known: between 1 and 3 replicas",
        recommended=None,
        likely=likely,
        baseline=likely,
        saving=None,
        because=("prefill of int8-weight-only is known to a factor of 1.6",),
        settled_by=("advisor profile --budget 3min",),
        workload=replace(made.workload, baseline=None),
        load_curve=tuple(replace(point, tpot_slo_s=None) for point in made.load_curve[:1]),
        speculation=made.speculation[1:],
        replays=(),
    )


BUILDERS: tuple[Callable[[], GenerationAdvice], ...] = (chat, kept_chat, missed_chat, open_chat)
