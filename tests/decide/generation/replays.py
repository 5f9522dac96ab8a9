"""A replay as a profile keeps it, for tests that need one."""

from typing import Any

from advisor.schema.generation import GenerationCandidate, GenerationProfile, Quantiles, Replay, TokenTimes
from advisor.schema.record import Estimate


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=0.9 * value, high=1.1 * value, basis="measured", source="a test")


def candidate(measured: GenerationProfile, **changed: Any) -> GenerationCandidate:
    made = {
        "variant": measured.sites[0].variants[0].id,
        "hardware": measured.sites[0].hardware.id,
        "intra_op_num_threads": 1,
        "max_running_requests": 4,
        "policy": "prefill_first",
        "chunk_tokens": None,
        "kv_tokens": 100_000,
        "replicas": 1,
    }
    return GenerationCandidate(**(made | changed))


def times(seconds: float) -> TokenTimes:
    each = Quantiles(p50=estimate(seconds), p90=estimate(seconds), p99=estimate(seconds), slo=estimate(seconds))
    return TokenTimes(
        ttft_s=each, tpot_s=each, itl_s=each, latency_s=each, output_tokens_per_s=estimate(10.0), requests_per_s=estimate(1.0)
    )


def replayed(measured: GenerationProfile, **changed: Any) -> Replay:
    made = {
        "candidate": candidate(measured),
        "engine": "onnxruntime",
        "clock": "wall",
        "requests": 300,
        "offered_requests_per_s": 1.0,
        "duration_s": 300.0,
        "load_fraction": 0.5,
        "measured": times(0.1),
        "expected": times(0.1),
        "covered": {"ttft_s.p50": True},
        "meets_slo": True,
    }
    return Replay(**(made | changed))
