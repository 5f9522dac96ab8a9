"""The reference cases of language models on hardware that is not here: arithmetic exactly, measurements within the stated interval."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advisor.decide.generation.elsewhere.speculation import tokens_per_step
from advisor.decide.generation.projection.operations.communication import sum_bytes
from advisor.decide.generation.projection.operations.experts import distinct_experts
from advisor.decide.generation.projection.memory import kv_bytes_per_token
from advisor.files.kernel_tables import read_kernel_tables
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import Architecture

from published import part

rows = part("generation_rows")
runs = part("generation_runs")
speculation = part("generation_speculation")
published = part("generation_published")

CASES = list(csv.DictReader((Path(__file__).parent / "data" / "reference_cases.csv").read_text(encoding="utf-8").splitlines()))
CHAT = "open loop, inference-perf, multi-turn chat, workload general (9x5, 100-token shared prefix)"


def expected(case: str, of: str) -> str:
    """Return what the table expects of an input."""
    (found,) = [entry["expected"] for entry in CASES if (entry["case"], entry["input"]) == (case, of)]
    return found


@cache
def architecture(model: str) -> Architecture:
    return read_architecture(rows.config_files([rows.CONFIGS])[model])


def test_every_case_is_looked_at_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")

    assert 26 == len(CASES)
    assert [] == [entry["input"] for entry in CASES if entry["input"] not in text]


@pytest.mark.parametrize(
    ("case", "of", "model", "kv", "degree"),
    [
        ("kv_gqa", "Llama-3.1-8B bf16 (32 layers 8 kv heads 128)", "llama-3.1-8b", "bf16", 1),
        ("kv_gqa", "Llama-3.1-70B bf16 (80 8 128)", "llama-3.1-70b", "bf16", 1),
        ("kv_gqa", "Llama-3.1-70B fp8", "llama-3.1-70b", "fp8", 8),
        ("kv_mla", "DeepSeek-V3 bf16 (61 layers 512+64)", "deepseek-v3", "bf16", 1),
    ],
)
def test_bytes_of_a_cached_token(case: str, of: str, model: str, kv: Any, degree: int) -> None:
    assert float(expected(case, of)) == kv_bytes_per_token(architecture(model), kv, degree)[0]


def test_a_latent_is_on_every_device() -> None:
    of = float(expected("kv_mla", "DeepSeek-V3 bf16 (61 layers 512+64)"))

    assert of == kv_bytes_per_token(architecture("deepseek-v3"), "bf16", 8)[1]


@pytest.mark.parametrize(
    ("of", "experts", "per_token", "tokens"),
    [
        ("Mixtral 8 experts top 2 batch 1", 8, 2, 1),
        ("Mixtral 8 experts top 2 batch 4", 8, 2, 4),
        ("DeepSeek-V3 256 top 8 batch 16", 256, 8, 16),
        ("DeepSeek-V3 256 top 8 batch 64", 256, 8, 64),
        ("gpt-oss-120b 128 top 4 batch 32", 128, 4, 32),
    ],
)
def test_experts_that_a_step_meets(of: str, experts: int, per_token: int, tokens: int) -> None:
    assert expected("moe_experts", of) == f"{float(distinct_experts(experts, per_token, np.array(float(tokens)))):.4g}".ljust(3, ".0")


@pytest.mark.parametrize(("of", "acceptance", "drafts"), [("alpha 0.8 k 3", 0.8, 3), ("alpha 0.5 k 5", 0.5, 5)])
def test_tokens_of_a_step_that_verifies(of: str, acceptance: float, drafts: int) -> None:
    assert pytest.approx(float(expected("spec_tokens", of)), abs=5e-4) == tokens_per_step(acceptance, drafts)


def test_measured_acceptance_comes_with_the_catalog() -> None:
    from advisor.files.catalog import read_acceptance_lengths

    (found,) = {
        entry.tokens_per_step
        for entry in read_acceptance_lengths()
        if "Qwen3.5-397B" in entry.model and entry.method == "MTP" and entry.draft_tokens == 3
    }

    assert float(expected("spec_measured", "Qwen3.5-397B MTP k 3 thinking_on")) == found


def test_bytes_that_are_summed_over_devices() -> None:
    assert float(expected("allreduce_bytes", "TP4 hidden 8192 batch 32 bf16")) == sum_bytes(32, 8192)


# --- measured ----------------------------------------------------------------------------------------------------------------------


def run_of(model: str, device: str, degree: int, lengths: tuple[int, int], **changes: Any) -> Any:
    """Return a run of today's engine, as its row would tell it."""
    base = {
        **{"row_id": "R", "source": "reference", "family": "LLM", "usable": "yes", "model": model, "hardware": device},
        **{"hardware_id": device, "n_accel": str(degree), "tp": str(degree), "precision": "BF16", "framework": "vLLM 0.15.1"},
        **{"scenario": CHAT, "batch": "", "concurrency_or_qps": "", "throughput": "", "throughput_unit": "", "latency_avg_ms": ""},
        **{"isl_or_seqlen": str(lengths[0]), "osl": str(lengths[1])},
    }
    return rows.run_of(base | {name: str(value) for name, value in changes.items()})


@cache
def places() -> Any:
    return published.Places([], read_kernel_tables())


def said(run: Any) -> dict[str, Any]:
    place = places()(run)
    return {figure: value for (figure, quantile), value in runs.predicted(run, place.steps, place.kv_tokens).items() if quantile is None}


def told(of: str) -> dict[str, float]:
    """Return "TTFT 51.96 / ITL 17.08 / E2E 4208" in seconds."""
    return {name.lower(): float(value) / 1e3 for name, value in re.findall(r"(TTFT|ITL|E2E) ([\d.]+)", expected("measured", of))}


@pytest.mark.parametrize(
    ("of", "run"),
    [
        (
            "Llama-3.1-70B BF16 4xH100 vLLM 0.15.1 547/248 tokens 2.5 req/s",
            ("llama-3.1-70b", "h100_sxm", 4, (547, 248), 2.5, 8192),
        ),
        ("same 6 req/s", ("llama-3.1-70b", "h100_sxm", 4, (547, 248), 6, 8192)),
        ("same model 566/247 chunk 2048 10 req/s", ("llama-3.1-70b", "h100_sxm", 4, (566, 247), 10, 2048)),
        ("Llama-3.1-8B BF16 1xH100 547/248 20 req/s", ("llama-3.1-8b", "h100_sxm", 1, (547, 248), 20, 2048)),
        ("same with chunk 1024 instead of 2048", ("llama-3.1-8b", "h100_sxm", 1, (547, 248), 20, 1024)),
        ("same with TP2", ("llama-3.1-8b", "h100_sxm", 2, (547, 248), 20, 2048)),
        ("Llama-3.1-8B BF16 1xL40S 547/248 6 req/s", ("llama-3.1-8b", "l40s", 1, (547, 248), 6, 2048)),
    ],
)
def test_a_chat_at_a_rate_is_within_the_interval(of: str, run: tuple[str, str, int, tuple[int, int], float, int]) -> None:
    *where, rate, budget = run
    measured = told(of)
    found = said(
        run_of(*where, request_rate=rate, max_batched_tokens=budget, ttft_ms=1, itl_ms=1, e2e_mean_ms=1)  # type: ignore[arg-type]
    )

    assert {} == {name: (value, found[name]) for name, value in measured.items() if not found[name].low <= value <= found[name].high}
