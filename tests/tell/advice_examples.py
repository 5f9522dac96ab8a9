"""Advice as the decide phase would give it, one for each thing that a report must be able to tell."""

from collections.abc import Callable

from msgspec.structs import replace

from advisor.schema.advice import (
    Advice,
    AtEnd,
    Candidate,
    Certainty,
    Certificate,
    FleetOption,
    FleetPlan,
    FleetPool,
    LoadLatency,
    LoadTest,
    OneReplica,
    OpenPoint,
    PlaceAnswer,
    Prediction,
    Replayed,
    RunsOn,
    Saving,
    ServiceCurve,
    SiteFacts,
    SpeedTie,
    StudentOutlook,
    VariantSummary,
)
from advisor.schema.catalog import CPU
from advisor.schema.distillation import Student
from advisor.schema.lifetime import BreakEven, CostLine, Expiry, Finding, Flip, Making, Opportunity, Outlook, Verdict
from advisor.schema.model import Batching, ModelFacts, ModelInput, ModelOutput, OperatorFacts
from advisor.schema.profile import Agreement, Calibration, Machine, QualityResult
from advisor.schema.record import SCHEMA_VERSION, Basis, Estimate, Exclusion
from advisor.schema.workload import (
    Baseline,
    HardwareChoice,
    Inputs,
    Lifecycle,
    OnlineWorkload,
    Quality,
    SequenceLength,
    Slo,
    Traffic,
)

SECONDS_PER_ITEM = {
    "fp32": {32: 0.0079, 128: 0.0312},
    "ort-extended": {32: 0.0074, 128: 0.0299},
    "int8-dynamic": {32: 0.0035, 128: 0.0141},
}
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
BATCH_SIZE_SHARES = {1: (1.0,), 4: (0.6, 0.2, 0.1, 0.1), 8: (0.62, 0.2, 0.1, 0.044, 0.02, 0.012, 0.004, 0.0)}
SETTINGS = ((1, 1), (2, 1), (1, 2))  # threads, instances
SIMULATED = "queue simulation of 200,000 requests over measured calls"


def about(value: float, basis: Basis, source: str, *, spread: float = 0.09) -> Estimate:
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + 1.2 * spread), basis=basis, source=source)


def prediction(
    candidate: Candidate,
    *,
    p99_s: float,
    utilization: float,
    changes: tuple[str, ...] = (),
    quality_drop: Estimate | None = None,
    target_s: float = 0.05,
    quantile: float = 0.99,
    capacity: float | None = None,
    replica_usd_per_hour: float = 0.34,
) -> Prediction:
    p99 = about(p99_s, "simulated", SIMULATED)
    p95 = about(p99_s * 0.74, "simulated", SIMULATED, spread=0.07)
    slo = {0.95: p95, 0.99: p99}[quantile]
    usd_per_hour = replica_usd_per_hour * candidate.replicas
    price = "price in the workload file"
    return Prediction(
        candidate=candidate,
        latency_p50_s=about(p99_s * 0.38, "simulated", SIMULATED, spread=0.05),
        latency_p95_s=p95,
        latency_p99_s=p99,
        latency_slo_s=slo,
        latency_busiest_s=None,
        goodput_fraction=Estimate(value=0.9962, low=0.991, high=0.9987, basis="simulated", source=SIMULATED),
        throughput_requests_per_s=about(60.0, "simulated", SIMULATED, spread=0.01),
        capacity_requests_per_s=about(capacity, "simulated", SIMULATED, spread=0.06) if capacity else None,
        utilization_fraction=about(utilization, "interpolated", "measured calls at the mean batch size", spread=0.04),
        mean_batch_size=1.7 if candidate.max_batch_size > 1 else 1.0,
        batch_size_shares=BATCH_SIZE_SHARES[candidate.max_batch_size],
        cost_usd_per_hour=Estimate(value=usd_per_hour, low=usd_per_hour, high=usd_per_hour, basis="list-price", source=price),
        cost_usd_per_million_requests=about(usd_per_hour / 0.216, "list-price", price, spread=0.0),
        quality_drop=quality_drop,
        meets_slo=slo.high <= target_s,
        misses_slo=slo.low > target_s,
        changes=changes,
    )


def candidate(variant: str, *, threads: int = 1, instances: int = 2, batch: int = 8, replicas: int = 1) -> Candidate:
    return Candidate(
        variant=variant,
        hardware="local",
        intra_op_num_threads=threads,
        instances=instances,
        max_batch_size=batch,
        max_queue_delay_s=0.002 if batch > 1 else 0.0,
        replicas=replicas,
    )


def service_curves() -> tuple[ServiceCurve, ...]:
    speed = {(1, 1): 1.0, (2, 1): 0.56, (1, 2): 1.09}
    return tuple(
        ServiceCurve(
            hardware="local",
            variant=variant,
            intra_op_num_threads=setting[0],
            instances=setting[1],
            sequence_length=sequence_length,
            batch_size=BATCH_SIZES,
            latency_s=tuple(
                about(
                    0.0006 + seconds * speed[setting] * size**0.97, "measured", "median of the calls in three rounds", spread=0.06
                )
                for size in BATCH_SIZES
            ),
        )
        for setting in SETTINGS
        for variant, by_length in SECONDS_PER_ITEM.items()
        for sequence_length, seconds in by_length.items()
    )


def minilm() -> ModelFacts:
    def operator(type_: str, count: int, flop: float | None, weight_bytes: int = 0) -> OperatorFacts:
        return OperatorFacts(
            type=type_, count=count, flop_per_item=flop, activation_bytes_per_item=4.0e6, weight_bytes=weight_bytes
        )

    def ids(name: str, upper_bound: int | None) -> ModelInput:
        return ModelInput(
            name=name,
            dtype="int64",
            shape=("batch", "sequence"),
            example_shape=(1, 128),
            role="ids" if upper_bound else "mask",
            batch_axis=0,
            sequence_axis=1,
            upper_bound=upper_bound,
        )

    return ModelFacts(
        name="all-MiniLM-L6-v2",
        format="onnx",
        sha256="6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452",
        family="encoder",
        parameters=22_713_216,
        weight_bytes=90_852_864,
        file_bytes=90_405_214,
        opset={"": 18},
        already_quantized=False,
        inputs=(ids("input_ids", 30522), ids("attention_mask", None)),
        outputs=(ModelOutput(name="last_hidden_state", dtype="float32", shape=("batch", "sequence", 384), has_classes=False),),
        batching=Batching(possible=True, reason="a batch of 3 gave each item the outputs that it has alone"),
        operators=(
            operator("MatMul", 48, 2.84e9, 42_467_328),
            operator("Add", 87, 1.4e7, 120_000),
            operator("Softmax", 6, 5.9e6),
            operator("Div", 32, 4.6e6),
            operator("Erf", 6, 1.2e6),
            operator("Mul", 30, 1.1e6),
            operator("ReduceMean", 26, 0.9e6),
            operator("Sub", 13, 0.6e6),
            operator("Sqrt", 13, 1.7e3),
            operator("Gather", 5, 0.0, 47_000_000),
            operator("Reshape", 48, 0.0),
            operator("Transpose", 30, 0.0),
            operator("Expand", 2, None),
        ),
        flop_per_item=2.868e9,
        activation_bytes_per_item=5.1e7,
        at_sequence_length=128,
        kv_bytes_per_token=None,
        notes=("the export computes GELU from Erf in five operators; ort-extended fuses them",),
    )


def drop(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, basis="measured", source="paired bootstrap over 2,000 items")


def variants() -> tuple[VariantSummary, ...]:
    def quality(value: float, lost: Estimate) -> QualityResult:
        return QualityResult(
            metric="accuracy", data_sha256="c0ffee" * 10 + "beef", items=2000, baseline=0.895, value=value, drop=lost
        )

    def agreement(cosine_mean: float, cosine_min: float, difference: float) -> Agreement:
        return Agreement(
            items=64,
            inputs="given",
            cosine_mean=cosine_mean,
            cosine_min=cosine_min,
            max_abs_difference=difference,
            top1_agreement=None,
        )

    paired = "median of paired ratios over 3 rounds"
    best = "batch 8, 1 thread, 2 instances"
    return (
        VariantSummary(
            hardware="local",
            id="fp32",
            title="as given",
            path="profile.variants/model.onnx",
            sha256="0123456789abcdef" * 4,
            load_s=0.21,
            peak_memory_bytes=200_000_000,
            bytes=90_405_214,
            runs_on=RunsOn(provider=CPU),
            speedup=None,
            throughput_items_per_s=about(118.0, "measured", best, spread=0.04),
            agreement=None,
            quality=quality(0.895, drop(0.0, 0.0, 0.0)),
            admitted=True,
            admitted_because="the model as given",
        ),
        VariantSummary(
            hardware="local",
            id="ort-extended",
            title="graph fusions of ONNX Runtime",
            path="profile.variants/model.onnx",
            sha256="0123456789abcdef" * 4,
            load_s=0.21,
            peak_memory_bytes=200_000_000,
            bytes=90_210_112,
            runs_on=RunsOn(provider=CPU),
            speedup=about(1.06, "measured", paired, spread=0.02),
            throughput_items_per_s=about(125.0, "measured", best, spread=0.04),
            agreement=agreement(0.9999998, 0.9999996, 1.4e-6),
            quality=quality(0.895, drop(0.0, -0.0005, 0.0005)),
            admitted=True,
            admitted_because="lossless: only the order of arithmetic differs",
        ),
        VariantSummary(
            hardware="local",
            id="int8-dynamic",
            title="8-bit weights per channel, activations quantized at run time",
            path="profile.variants/model.onnx",
            sha256="0123456789abcdef" * 4,
            load_s=0.21,
            peak_memory_bytes=200_000_000,
            bytes=22_972_370,
            runs_on=RunsOn(provider=CPU),
            speedup=about(2.27, "measured", paired, spread=0.03),
            throughput_items_per_s=about(262.0, "measured", best, spread=0.04),
            agreement=agreement(0.9931, 0.9712, 0.183),
            quality=quality(0.8925, drop(0.0025, -0.0015, 0.0065)),
            admitted=True,
            admitted_because="accuracy falls by at most 0.65 pp with 95 % confidence, 1 pp is allowed",
        ),
    )


def finding(rule: str, title: str, outcome: str, why: str) -> Finding:
    return Finding(rule=rule, title=title, outcome=outcome, favours="inference", weight=1.0, why=why)


def verdict() -> Verdict:
    model = "lifetime cost over 12 months"
    return Verdict(
        dominated_by="inference",
        because="Serving takes 83 % of what the model costs over 12 months, and the always-on floor alone more than fine-tuning.",
        shares={
            "inference": Estimate(value=0.83, low=0.74, high=0.89, basis="projected", source=model),
            "fine-tuning": Estimate(value=0.11, low=0.07, high=0.17, basis="assumed", source=model),
            "labels": Estimate(value=0.06, low=0.03, high=0.11, basis="assumed", source=model),
        },
        findings=(
            finding(
                "always-on-floor",
                "The smallest deployment outweighs training",
                "fires",
                "$2,978 a year to serve against $400 to train",
            ),
            finding("growing-traffic", "Traffic grows", "fires", "5 % a month: 1.8 times as much after a year"),
            finding("rare-retraining", "Retraining is rare", "silent", "4 runs a year"),
            finding("quality-gap", "Quality falls short of the product", "unknown", "lifecycle.quality_gap is not given"),
        ),
    )


def firm_verdict() -> Verdict:
    """A verdict with all that can be said beside: lines, what turns it, a lever that pays and one that does not."""
    usd = about(2978.0, "projected", "730 h a month x usd an hour")
    return replace(
        verdict(),
        robust=False,
        turned_by=("$200 a label: mixed",),
        flips_when=(
            Flip(
                input="requests_per_s",
                key="traffic.requests_per_s",
                now=60.0,
                at=0.47,
                direction="below",
                becomes="mixed",
                told="below 41,000 requests a day",
            ),
        ),
        lines=(
            CostLine(what="serving", kind="inference", usd=usd, formula="730 h a month x usd an hour", because=""),
            CostLine(
                what="validation",
                kind="data",
                usd=None,
                formula="as given",
                because="not counted: give lifecycle.data.validation_usd",
            ),
        ),
        total_usd=usd,
        break_evens=(break_even("reserve", 2.5), break_even("self-host", None)),
    )


def break_even(lever: str, after_months: float | None) -> BreakEven:
    return BreakEven(
        lever=lever,
        title=f"The lever {lever}",
        saving_usd=about(1000.0, "projected", "a test"),
        once_usd=about(450.0, "assumed", "half a day"),
        months=about(after_months, "projected", "a test") if after_months is not None else None,
        on="2027-02-06" if after_months is not None else None,
        requests_per_s=0.4 if after_months is None else None,
        pays="above" if after_months is None else None,
        because="" if after_months is not None else "it saves $100 in 12 months and costs $18,000",
    )


def outlook() -> Outlook:
    return Outlook(
        answer=(
            "Serve another variant that was measured: saves about $5,900 a year, mean of 12 months, and costs $1,800 once, paid back by "
            "2027-03-11."
        ),
        change_nothing=False,
        opportunities=(opportunity("switch-variant", 5900.0, pays=True), opportunity("autoscale", -12.0, pays=False)),
        not_judged=(Exclusion(what="Run on spare capacity", reason="give lifecycle.options.spot_discount"),),
        expires_when=(
            Expiry(what="the prices are older than 90 days", on="2027-02-20", because="prices have no date"),
            Expiry(what="the runtime's version changes", on=None, because="measured with onnxruntime 1.31.1"),
        ),
    )


def opportunity(lever: str, saving_usd: float, *, pays: bool) -> Opportunity:
    saving = Estimate(value=saving_usd, low=saving_usd - 50, high=saving_usd + 50, basis="simulated", source="a test")
    return Opportunity(
        lever=lever,
        title=f"The lever {lever}",
        field="variant",
        before="fp32",
        after="int8-dynamic",
        saving_usd_per_year=saving,
        effort_engineer_days=about(2.0, "assumed", "advisor's own estimate"),
        once_usd=about(1800.0, "assumed", "2 engineer days"),
        payback_months=about(3.6, "projected", "the month of break-even") if pays else None,
        payback_on="2027-03-11" if pays else None,
        net_usd=saving_usd - 1800.0,
        pays=pays,
        surely=pays,
        risk="as the quality that was measured says",
        because="" if pays else "saves nothing",
    )


def workload() -> OnlineWorkload:
    return OnlineWorkload(
        name="semantic search",
        traffic=Traffic(requests_per_s=60.0, burstiness_cv=1.4),
        slo=Slo(latency_s=0.05),
        hardware=HardwareChoice(price_usd_per_hour={"local": 0.34}),
        inputs=Inputs(sequence_length=SequenceLength(p50=32, p95=128, max=256)),
        quality=Quality(max_drop=0.01, metric="accuracy", data="tweets.csv"),
        lifecycle=Lifecycle(growth_per_month=0.05, fine_tunings_per_year=4.0, fine_tuning_usd=100.0, labels_usd=220.0),
        baseline=Baseline(replicas=3),
    )


def site() -> SiteFacts:
    return SiteFacts(
        hardware="local",
        name="AMD EPYC 9R14",
        machine=Machine(
            cpu="AMD EPYC 9R14",
            cores=2,
            memory_bytes=8_200_000_000,
            instruction_sets=("avx2", "avx512f", "avx512_vnni"),
            system="Linux 6.8 x86_64",
        ),
        versions={"python": "3.11.9", "onnxruntime": "1.31.1", "numpy": "2.4.6"},
        created="2026-11-22T06:58:02Z",
        noise_fraction=0.021,
        measuring_s=412.0,
        samples=18_420,
    )


def change() -> Advice:
    """The cheapest way is not what runs today; one tie, one dearer option, one cheaper but unproven."""
    held = variants()[2].quality.drop
    today = prediction(
        candidate("fp32", threads=2, instances=1, batch=1, replicas=3), p99_s=0.0465, utilization=0.41, capacity=71.0
    )
    best = prediction(
        candidate("int8-dynamic"),
        p99_s=0.0412,
        utilization=0.52,
        changes=("variant fp32 to int8-dynamic", "1 instance of 2 threads to 2 instances of 1 thread", "replicas 3 to 1"),
        quality_drop=held,
        capacity=74.0,
    )
    return Advice(
        schema_version=SCHEMA_VERSION,
        created="2026-11-22T07:43:23Z",
        advisor_version="0.1.0",
        profile_sha256="9b0c4d51" * 8,
        profile_path="profile.json",
        model=minilm(),
        sites=(site(),),
        workload=workload(),
        mean_requests_per_s=60.0,
        outcome="change",
        headline="Serve int8-dynamic with 2 instances: $0.34/h instead of $1.02/h",
        recommended=best,
        baseline=today,
        saving=Saving(
            usd_per_hour=Estimate(value=0.68, low=0.68, high=0.68, basis="list-price", source="price in the workload file"),
            usd_per_year=Estimate(value=5956.8, low=5956.8, high=5956.8, basis="list-price", source="price in the workload file"),
            fraction=2 / 3,
        ),
        more_ties=False,
        speed_ties=(
            SpeedTie(
                variant="ort-extended",
                simpler="fp32",
                speedup=about(1.03, "measured", "median of 12 points, each paired in time", spread=0.05),
                noise_fraction=0.05,
            ),
        ),
        ties=(
            prediction(
                candidate("int8-dynamic", batch=4),
                p99_s=0.0419,
                utilization=0.54,
                changes=("max_batch_size 8 to 4",),
                quality_drop=held,
            ),
        ),
        frontier=(
            best,
            prediction(candidate("int8-dynamic", batch=4, replicas=2), p99_s=0.0224, utilization=0.27, quality_drop=held),
            prediction(
                candidate("int8-dynamic", threads=2, instances=1, batch=1, replicas=3),
                p99_s=0.0163,
                utilization=0.2,
                quality_drop=held,
            ),
        ),
        nearest_miss=None,
        binding_constraint=None,
        unproven=None,
        verdict=firm_verdict(),
        outlook=outlook(),
        variants=variants(),
        service_curves=service_curves(),
        certificate=Certificate(
            candidates=5376,
            cut_by_bound=3112,
            cut_by_quality=0,
            cut_by_tie=768,
            cut_by_cost=1441,
            simulated=55,
            regret_usd_per_hour=0.0,
        ),
        risks=(
            "int8-dynamic agrees with fp32 less on unusual inputs: lowest cosine 0.971 over 64 items",
            "one replica: a restart interrupts the service",
        ),
        exclusions=(
            Exclusion(what="int8-static", reason="needs calibration data, none was given"),
            Exclusion(what="fp16", reason="this processor has no arithmetic in fp16"),
            Exclusion(what="4 threads", reason="this machine has 2 cores"),
        ),
        notes=("sequence lengths between 32 and 128 are interpolated on a log-log grid",),
    )


def keep() -> Advice:
    """What runs today is the answer; something cheaper waits for a measurement of its quality."""
    base = change()
    today = prediction(candidate("fp32", threads=2, instances=1, batch=1), p99_s=0.0391, utilization=0.44, capacity=71.0)
    unproven = prediction(
        candidate("int8-dynamic", threads=2, instances=1),
        p99_s=0.0204,
        utilization=0.2,
        changes=("variant fp32 to int8-dynamic",),
        replica_usd_per_hour=0.17,
    )
    fp32, fused, int8 = base.variants
    return replace(
        base,
        workload=replace(base.workload, quality=None, lifecycle=None, baseline=Baseline(replicas=1)),
        outcome="keep",
        headline="Keep fp32 as it is: nothing cheaper meets 50 ms at p99",
        recommended=today,
        baseline=today,
        saving=None,
        ties=(),
        more_ties=False,
        frontier=(today,),
        unproven=unproven,
        outlook=None,
        verdict=Verdict(
            dominated_by=None,
            because="The cost of fine-tuning is not known: give lifecycle.fine_tuning_usd.",
            shares={},
            findings=verdict().findings[3:],
        ),
        variants=(
            replace(fp32, quality=None),
            replace(fused, quality=None),
            replace(int8, quality=None, admitted=False, admitted_because="loses precision, and its quality was not measured"),
        ),
        risks=(),
    )


def at_end(prediction: Prediction, *, replicas: int) -> AtEnd:
    usd_per_hour = prediction.cost_usd_per_hour.value / prediction.candidate.replicas * replicas
    return AtEnd(candidate=replace(prediction.candidate, replicas=replicas), usd_per_hour=usd_per_hour)


def unstated() -> Advice:
    """Nobody said how many replicas run today: no cost today, a replica is compared with a replica."""
    base = change()
    carried = (about(74.0, "simulated", SIMULATED, spread=0.06), about(24.0, "simulated", SIMULATED, spread=0.05))
    assert base.recommended is not None
    return replace(
        base,
        workload=replace(base.workload, baseline=None),
        headline="Serve int8-dynamic, 1 replica: $0.34/h keeps p99 within 50 ms",
        saving=None,
        recommended=replace(base.recommended, cost_usd_per_hour=needed(0.34, 0.34)),
        baseline=replace(base.baseline, cost_usd_per_hour=needed(1.02, 0.68)),
        one_replica=OneReplica(
            recommended_requests_per_s=carried[0],
            baseline_requests_per_s=carried[1],
            ratio=about(3.1, "simulated", "one capacity over the other"),
        ),
        certainty=Certainty(
            quick=at_end(base.recommended, replicas=1),
            likely=at_end(base.recommended, replicas=1),
            slow=at_end(base.recommended, replicas=1),
            factor=1.0,
            max_uncertainty=1.5,
            is_settled=True,
        ),
    )


def needed(usd_per_hour: float, low: float) -> Estimate:
    return Estimate(
        value=usd_per_hour, low=low, high=usd_per_hour, basis="simulated", source="replicas x price, as many as needed"
    )


def inconclusive() -> Advice:
    """One replica or three: the machine was busy."""
    base = unstated()
    assert base.recommended is not None
    likely = replace(
        base.recommended,
        candidate=replace(base.recommended.candidate, replicas=2),
        cost_usd_per_hour=replace(needed(0.68, 0.34), high=1.02),
    )
    return replace(
        base,
        outcome="inconclusive",
        headline="Not known yet: 1 to 3 replicas of int8-dynamic ($0.34 to $1.02/h) keep p99 within 50 ms; most likely 2 ($0.68/h)",
        recommended=None,
        likely=likely,
        ties=(),
        frontier=(),
        certainty=Certainty(
            quick=at_end(likely, replicas=1),
            likely=at_end(likely, replicas=2),
            slow=at_end(likely, replicas=3),
            factor=3.0,
            max_uncertainty=1.5,
            is_settled=False,
            open_points=(
                OpenPoint(
                    hardware="local",
                    variant="int8-dynamic",
                    intra_op_num_threads=1,
                    instances=2,
                    batch_sizes=(1, 8),
                    usd_per_hour_low=0.34,
                    leaves_open=3.0,
                    visits=1,
                    wanted_s=12.0,
                ),
            ),
            because=("the noise floor is 129 %: the machine was busy", "few visits: 1 setting with 1 visit"),
            settled_by=("about 12 s more of timing", "a quiet machine", "a load test of the most likely answer: advisor verify"),
        ),
    )


def undecidable() -> Advice:
    """Not known whether anything keeps the target; most likely nothing does, nor does today's configuration."""
    base, missed = inconclusive(), infeasible()
    assert base.certainty is not None
    return replace(
        missed,
        workload=replace(missed.workload, baseline=None),
        outcome="inconclusive",
        headline="Not known yet whether anything keeps p95 within 5 ms at 60 /s: most likely nothing does",
        binding_constraint=None,
        certainty=replace(base.certainty, likely=None, slow=None, factor=None),
    )


def infeasible() -> Advice:
    """Nothing meets the target; the nearest miss is told, and what runs today is far off."""
    base = change()
    target = replace(base.workload, slo=Slo(latency_s=0.005, quantile=0.95))
    today = prediction(
        candidate("fp32", threads=2, instances=1, batch=1, replicas=3), p99_s=1.9, utilization=0.97, target_s=0.005, quantile=0.95
    )
    miss = prediction(
        candidate("int8-dynamic", batch=1, replicas=8),
        p99_s=0.0096,
        utilization=0.06,
        target_s=0.005,
        quantile=0.95,
        changes=("variant fp32 to int8-dynamic", "replicas 3 to 8"),
    )
    return replace(
        base,
        workload=target,
        outcome="infeasible",
        headline="Nothing meets 5 ms at p95: the nearest miss is 7.1 ms for $2.72/h",
        recommended=None,
        baseline=today,
        saving=None,
        ties=(),
        more_ties=False,
        frontier=(),
        nearest_miss=miss,
        binding_constraint="one call of the fastest variant at batch 1 and sequence length 128 takes 14.7 ms",
    )


def minimal() -> Advice:
    """Little is known: a tree model without sequence axis, one batch size, no quality, no verdict, and names that bite."""
    base = change()
    today = prediction(
        candidate("trees|v2<script>alert(1)</script>", threads=1, instances=1, batch=1), p99_s=0.0004, utilization=0.02
    )
    name = today.candidate.variant
    model = replace(
        base.model,
        name='<script>alert("a|b")</script>',
        family="tree",
        parameters=0,
        weight_bytes=0,
        inputs=(
            ModelInput(
                name="X|<b>",
                dtype="float32",
                shape=(None, 30),
                example_shape=(1, 30),
                role="features",
                batch_axis=None,
                sequence_axis=None,
                upper_bound=None,
            ),
        ),
        outputs=(ModelOutput(name="label", dtype="int64", shape=(None,), has_classes=False),),
        batching=Batching(possible=False, reason="the outputs of an item depend on the items beside it"),
        operators=(
            OperatorFacts(
                type="TreeEnsembleClassifier", count=1, flop_per_item=None, activation_bytes_per_item=8.0, weight_bytes=0
            ),
        ),
        opset={"ai.onnx.ml": 3, "": 18},
        flop_per_item=None,
        activation_bytes_per_item=None,
        at_sequence_length=None,
        notes=(),
    )
    return replace(
        base,
        profile_path=None,
        speed_ties=(),
        model=model,
        workload=OnlineWorkload(
            name="a|b\n<i>c</i>",
            traffic=Traffic(trace="trace.csv"),
            slo=Slo(latency_s=0.001),
            hardware=HardwareChoice(price_usd_per_hour={"local": 0.05}),
        ),
        outcome="keep",
        headline=f"Keep {name}: nothing is cheaper",
        recommended=today,
        baseline=today,
        saving=None,
        ties=(),
        more_ties=False,
        frontier=(today,),
        verdict=Verdict(
            dominated_by=None, because="Nothing is known of the life of the model: give lifecycle.", shares={}, findings=()
        ),
        variants=(
            VariantSummary(
                hardware="local",
                id=name,
                title="as <given>",
                path="profile.variants/model.onnx",
                sha256="0123456789abcdef" * 4,
                load_s=0.21,
                peak_memory_bytes=200_000_000,
                bytes=4100,
                speedup=None,
                throughput_items_per_s=None,
                agreement=None,
                quality=None,
                admitted=True,
                admitted_because="the model as given",
            ),
        ),
        service_curves=(
            ServiceCurve(
                hardware="local",
                variant=name,
                intra_op_num_threads=1,
                instances=1,
                sequence_length=None,
                batch_size=(1,),
                latency_s=(about(0.00003, "measured", "median of 500 calls"),),
            ),
        ),
        sites=(replace(site(), noise_fraction=None, versions={}),),
        risks=(),
        exclusions=(),
        notes=(),
    )


def stranded() -> Advice:
    """Nothing meets the target, and nothing comes near it."""
    return replace(infeasible(), nearest_miss=None, binding_constraint=None)


def crowded() -> Advice:
    """More of everything than fits at a glance, and a target at an unusual quantile."""
    base = change()
    model = replace(base.model, kv_bytes_per_token=9216, already_quantized=True)
    agreed = replace(base.variants[2].agreement, top1_agreement=0.9996)
    return replace(
        base,
        model=model,
        workload=replace(base.workload, slo=Slo(latency_s=0.05, quantile=0.9)),
        frontier=tuple(
            prediction(candidate("int8-dynamic", replicas=replicas), p99_s=0.04 / replicas, utilization=0.5 / replicas)
            for replicas in range(1, 15)
        ),
        verdict=replace(base.verdict, dominated_by="mixed", findings=base.verdict.findings * 3),
        variants=(*base.variants[:2], replace(base.variants[2], agreement=agreed)),
        certificate=replace(base.certificate, regret_usd_per_hour=0.01),
        exclusions=base.exclusions * 4,
    )


def served() -> Advice:
    """The recommendation and the baseline were served for real; the baseline is so busy that its p99 is an interval only."""
    base = change()
    assert base.recommended is not None

    def test(told: Prediction, p50_s: float, p99_s: float, utilization: float, *, kept_up: bool = True) -> LoadTest:
        def seen(value: float) -> Estimate:
            return about(value, "measured", "3,000 requests of the load test", spread=0.07)

        def said(value: float) -> Estimate:
            return about(value, "simulated", "simulation of the 3,000 requests of the load test with 8 seeds")

        tail = (
            Estimate(value=0.09, low=0.061, high=0.16, basis="simulated", source="a simulation")
            if utilization > 0.75
            else said(p99_s)
        )
        candidate = told.candidate
        return LoadTest(
            candidate=candidate,
            requests=3000,
            offered_requests_per_s=60.0,
            duration_s=50.0,
            latency_p50_s=seen(p50_s),
            latency_p95_s=seen(p99_s * 0.7),
            latency_p99_s=seen(p99_s),
            latency_slo_s=seen(p99_s),
            throughput_requests_per_s=seen(60.0),
            utilization_fraction=utilization,
            mean_batch_size=1.7,
            generator_lag_p99_s=0.0004 if kept_up else 0.021,
            generator_kept_up=kept_up,
            run_delay_fraction=0.01,
            calibration=Calibration(
                variant=candidate.variant,
                intra_op_num_threads=candidate.intra_op_num_threads,
                instances=candidate.instances,
                call_ratio=about(1.04, "measured", "1,765 batches of the load test", spread=0.05),
                call_lengths_s=(0.004, 0.016),
                call_factors=(1.02, 0.99),
                per_batch_s=about(0.00007, "measured", "1,765 batches of the load test"),
                per_request_s=about(0.000011, "measured", "1,765 batches of the load test"),
                wake_s=about(0.00005, "measured", "1,765 batches of the load test"),
                transit_s=(0.0001, 0.0002),
                spread=(0.97, 1.0, 1.05),
                batches=1765,
            ),
            meets_slo=p99_s <= base.workload.slo.latency_s,
            predicted=told,
            expected=Replayed(
                latency_p50_s=said(p50_s * 0.97),
                latency_p95_s=said(p99_s * 0.71),
                latency_p99_s=tail,
                latency_slo_s=tail,
                throughput_requests_per_s=said(60.0),
                utilization_fraction=said(utilization),
            ),
            prediction_held=True,
        )

    return replace(
        base,
        load_tests=(test(base.recommended, 0.0157, 0.0412, 0.52), test(base.baseline, 0.031, 0.087, 0.9, kept_up=False)),
        load_curve=tuple(
            LoadLatency(requests_per_s=rate, latency_slo_s=about(p99_s, "simulated", f"simulation at {rate:g} /s"))
            for rate, p99_s in ((14.8, 0.0216), (29.6, 0.0247), (44.4, 0.0315), (55.5, 0.0382), (66.6, 0.0451), (74.0, 0.0499))
        ),
    )


def elsewhere() -> Advice:
    """What is recommended was measured on another machine, where there is a variant that the profiled one has never had."""
    base = change()
    there = replace(candidate("int8-amx", batch=4), hardware="c7i.xlarge")
    best = prediction(there, p99_s=0.021, utilization=0.3, capacity=160.0, replica_usd_per_hour=0.18)
    best = replace(
        best,
        changes=("variant fp32 to int8-amx", "local to c7i.xlarge"),
        energy_joules_per_request=about(0.8, "projected", "power of the machine x time of a call"),
    )

    def place(hardware: str, name: str, prediction: Prediction, *, ground: str, price_date: str | None) -> PlaceAnswer:
        return PlaceAnswer(
            hardware=hardware,
            name=name,
            machine=f"{hardware}, a provider",
            ground=ground,
            price_date=price_date,
            price_is_stale=price_date is not None,
            prediction=prediction,
        )

    machine = replace(site().machine, cpu="Intel Xeon Platinum 8488C", cores=4, instruction_sets=("avx2", "amx_int8"))
    given, *_, int8 = variants()
    return replace(
        base,
        sites=(
            *base.sites,
            replace(site(), hardware="c7i.xlarge", name="AWS c7i.xlarge", machine=machine, noise_fraction=None, samples=9_000),
        ),
        variants=(
            *base.variants,
            replace(given, hardware="c7i.xlarge"),
            replace(
                int8, hardware="c7i.xlarge", id="int8-amx", path="there.variants/int8-amx.onnx", sha256="fedcba9876543210" * 4
            ),
        ),
        service_curves=(*base.service_curves, replace(base.service_curves[0], hardware="c7i.xlarge", variant="int8-amx")),
        headline="Serve int8-amx on c7i.xlarge: $0.18/h instead of $1.02/h",
        recommended=best,
        ties=(),
        frontier=(best,),
        places=(
            place("c7i.xlarge", "Intel Sapphire Rapids", best, ground="measured", price_date="2026-07-20"),
            place("local", "this machine", base.recommended, ground="measured", price_date=None),
            place(
                "l4",
                "NVIDIA L4",
                replace(base.baseline, candidate=replace(there, hardware="l4", variant="fp16")),
                ground="roofline",
                price_date="2026-11-20",
            ),
        ),
    )


def fleet() -> Advice:
    """A plan for the whole day, whose pools run on hardware that their candidates do not name."""
    base = change()
    assert base.recommended is not None

    def pool(hardware: str, lengths: tuple[int, int] | None, replicas: tuple[int, ...]) -> FleetPool:
        return FleetPool(
            candidate=base.recommended.candidate,
            hardware=hardware,
            requests_per_s=60.0,
            lengths=lengths,
            spare_replicas=1,
            replicas_by_part=replicas,
            starting_replica_hours_per_day=0.0,
            terms={"on-demand": 2.5},
            usd_per_hour=0.9,
        )

    return replace(
        base,
        fleet=FleetPlan(
            name="short and long requests in separate pools, constant over the day",
            pools=(pool("c7i.xlarge", (1, 64), (2, 3)), pool("g6.xlarge", (65, 256), (1, 2))),
            usd_per_hour=1.8,
            peak_requests_per_s=120.0,
            spare_replicas=1,
            start_s=45.0,
            options=(FleetOption(name="one kind of hardware, constant over the day", usd_per_hour=2.1),),
        ),
    )


def students() -> Advice:
    """Students: one that would pay, one that nobody can weigh, and one that is trained already."""
    base = change()
    days = about(25.0, "assumed", "advisor's own estimate")
    making = Making(
        flop=3e15,
        device="l4",
        device_hours=about(0.4, "assumed", "a test"),
        engineer_days=days,
        once_usd=about(22_500.0, "assumed", "25 engineer days"),
        again_usd=about(4_500.0, "assumed", "5 engineer days"),
        times_again=2.0,
        total_usd=about(31_500.0, "assumed", "once and twice again"),
        because="25 engineer days at $900; made again for 2 releases of the teacher",
    )
    kept = Estimate(value=0.95, low=0.67, high=1.0, basis="assumed", source="published students")
    weighed = StudentOutlook(
        student=student("layers-3", blocks=3, parameters=17_000_000),
        title="3 of 6 layers",
        variants=("layers-3", "layers-3-int8"),
        speedup_single=about(1.9, "measured", "visits of the same round"),
        speedup_largest=about(2.1, "measured", "visits of the same round"),
        largest_batch_size=32,
        quality=None,
        retention=kept,
        assumed_drop=Estimate(value=0.04, low=0.0, high=0.3, basis="assumed", source="what is not kept"),
        likely_holds=True,
        quality_because="assumed to lose 0 pp to 30 pp of accuracy, 5 pp allowed",
        served=with_month(prediction(candidate("layers-3-int8", replicas=2), p99_s=0.03, utilization=0.5)),
        alone=with_month(prediction(candidate("layers-3", replicas=3), p99_s=0.04, utilization=0.5)),
        saving_usd_per_month=about(3_000.0, "simulated", SIMULATED),
        making=making,
        break_even=break_even("distil", 10.5),
        pays=True,
        because="",
    )
    bare = replace(
        weighed,
        student=student("layers-1", blocks=1, parameters=13_000_000),
        title="1 of 6 layers",
        variants=("layers-1",),
        speedup_largest=None,
        largest_batch_size=None,
        retention=None,
        assumed_drop=None,
        likely_holds=None,
        quality_because="it keeps 5 % of the model, and no published student less than 13.3 %",
        served=None,
        alone=None,
        saving_usd_per_month=None,
        making=None,
        break_even=None,
        pays=None,
        because="no number of replicas keeps the target with it",
    )
    trained = replace(
        bare,
        student=student("layers-4", blocks=4, parameters=19_000_000, is_trained=True),
        title="4 of 6 layers",
        variants=("layers-4",),
        quality=variants()[2].quality,
        quality_because="accuracy drops by 0.31 %, at worst 0.9 % (allowed 1 %)",
        because="trained: a candidate like any other, where its quality holds",
    )
    return replace(base, students=(weighed, bare, trained))


def with_month(of: Prediction) -> Prediction:
    """Return a prediction with what a month costs."""
    hour = of.cost_usd_per_hour
    return replace(of, cost_usd_per_month=about(730 * hour.value, "simulated", hour.source))


def student(id_: str, *, blocks: int, parameters: int, is_trained: bool = False) -> Student:
    return Student(
        id=id_,
        kind="blocks",
        blocks=blocks,
        teacher_blocks=6,
        parameters=parameters,
        teacher_parameters=22_600_000,
        is_trained=is_trained,
    )


BUILDERS: tuple[Callable[[], Advice], ...] = (
    change,
    keep,
    unstated,
    inconclusive,
    undecidable,
    infeasible,
    minimal,
    stranded,
    crowded,
    served,
    elsewhere,
    fleet,
    students,
)
