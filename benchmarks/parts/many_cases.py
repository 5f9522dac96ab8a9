"""A profile by a law and workloads by the thousand: what deciding at scale is timed on, the same for every run of a seed."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from advisor.files.catalog import machine_as_hardware, read_processors
from advisor.files.records import write_record
from advisor.schema.model import Batching, ModelFacts, ModelInput, ModelOutput
from advisor.schema.profile import Machine, Measurement, Profile, ProfileSettings, Site, Variant, Visit
from advisor.schema.record import SCHEMA_VERSION

FIXED_S, TOKEN_S = 0.002, 0.00004  # of a call, and of each token in it
OF_VARIANT = {"fp32": 1.0, "half": 0.8}
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
LENGTHS = (16, 32, 64, 128)
SETTINGS = ((1, 1), (2, 1), (1, 2))  # threads, instances
CALLS = (0.9, 0.95, 0.98, 1.0, 1.0, 1.02, 1.1, 1.4)  # over the median of their visit
VISITS = (1.0, 1.02, 0.99, 1.01, 1.0)
DIGEST = "0" * 64


def write_profile(path: Path) -> None:
    """Write the profile of an encoder on a machine of two cores that obeys a law."""
    machine = Machine(cpu="a law", cores=2, memory_bytes=2**33, instruction_sets=(), system="Linux")
    site = Site(
        hardware=machine_as_hardware(machine, read_processors()),
        machine=machine,
        created="2026-11-29T00:00:00+00:00",
        advisor_version="0",
        fingerprint=DIGEST,
        versions={"onnxruntime": "1"},
        measuring_s=60.0,
        noise_fraction=0.01,
        variants=tuple(_variant(id_) for id_ in OF_VARIANT),
        measurements=tuple(_measurements()),
        exclusions=(),
        notes=(),
    )
    settings = ProfileSettings(
        sequence_lengths=LENGTHS,
        max_batch_size=max(BATCH_SIZES),
        max_latency_s=None,
        budget_s=60.0,
        seed=0,
        inputs_sha256=None,
        quality_metric=None,
        quality_data_sha256=None,
    )
    write_record(path, Profile(schema_version=SCHEMA_VERSION, model=_facts(), settings=settings, sites=(site,)))


def write_pairs(path: Path, count: int, seed: int) -> None:
    """Write so many workloads of one profile, a line each: rates, targets and replicas drawn at random."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(workload)}\n" for workload in _services(count, np.random.default_rng(seed)))


def write_portfolio(folder: Path, count: int, seed: int) -> Path:
    """Write a portfolio of so many workloads of language models with a budget that reaches for some of them, and return its path."""
    with (folder / "planned.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(workload)}\n" for workload in _planned(count, np.random.default_rng(seed)))
    path = folder / "portfolio.yaml"
    path.write_text(
        f"name: many\nbudget_usd: {4000 * count}\nengineer_days: {6 * count}\nworkloads: planned.jsonl\n", encoding="utf-8"
    )
    return path


def _services(count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "name": f"service {number}",
            "traffic": {"requests_per_s": _drawn(random, 1, 1000), "burstiness_cv": 1.5},
            "slo": {"latency_s": _drawn(random, 0.02, 0.5), "quantile": 0.99},
            "inputs": {"sequence_length": {"p50": 40, "p95": 110, "max": 128}},
            "hardware": {"allowed": ["local"], "price_usd_per_hour": {"local": 0.34}},
            "baseline": {"replicas": int(random.integers(1, 9))},
            "lifecycle": {"horizon_months": 12},
        }


def _planned(count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for number in range(count):
        request = {
            "input_tokens": _drawn(random, 500, 3000),
            "output_tokens": _drawn(random, 50, 400),
            "shared_prefix_tokens": 400,
        }
        yield {
            "name": f"service {number}",
            "traffic": {
                "requests_per_s": _drawn(random, 0.1, 300),
                "diurnal": [round(it, 2) for it in random.uniform(0.2, 1, 24)],
            },
            "lifecycle": {
                "horizon_months": int(random.choice([12, 24, 36])),
                "model": {"parameters": _drawn(random, 1e9, 7e10), "bytes_per_parameter": 2},
                "request": request,
                "options": {"alternative_devices": ["l4", "h100_sxm"], "spot_discount": 0.6},
            },
        }


def _drawn(random: np.random.Generator, low: float, high: float) -> float:
    """Return a number between the two, evenly by its logarithm."""
    return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")


def _measurements() -> Iterator[Measurement]:
    for id_, factor in OF_VARIANT.items():
        for threads, instances in SETTINGS:
            for length in LENGTHS:
                for batch_size in BATCH_SIZES:
                    seconds = factor * (FIXED_S + TOKEN_S * batch_size * length / threads**0.8)
                    yield Measurement(
                        variant=id_,
                        batch_size=batch_size,
                        sequence_length=length,
                        intra_op_num_threads=threads,
                        instances=instances,
                        visits=tuple(
                            Visit(order=order, latency_s=tuple(seconds * level * call for call in CALLS), run_delay_s=0.0)
                            for order, level in enumerate(VISITS)
                        ),
                    )


def _variant(id_: str) -> Variant:
    is_given = id_ == "fp32"
    return Variant(
        id=id_,
        scheme="none" if is_given else id_,
        title=f"the model as {id_}",
        path=f"{id_}.onnx",
        sha256=DIGEST,
        bytes=1_000_000,
        derived_from=None if is_given else "fp32",
        changed_operators={},
        changed_weight_bytes=0,
        lossless=True,
        load_s=0.1,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
    )


def _facts() -> ModelFacts:
    tokens = ModelInput(
        name="x",
        dtype="float32",
        shape=("batch", "sequence"),
        example_shape=(1, 3),
        role="features",
        batch_axis=0,
        sequence_axis=1,
        upper_bound=None,
    )
    return ModelFacts(
        name="model.onnx",
        format="onnx",
        sha256=DIGEST,
        family="encoder",
        parameters=1_000_000,
        weight_bytes=4_000_000,
        file_bytes=4_100_000,
        opset={"": 18},
        already_quantized=False,
        inputs=(tokens,),
        outputs=(ModelOutput(name="y", dtype="float32", shape=("batch", 4), has_classes=True),),
        batching=Batching(possible=True, reason="by the law"),
        operators=(),
        flop_per_item=1e6,
        activation_bytes_per_item=1e5,
        at_sequence_length=None,
        kv_bytes_per_token=None,
        notes=(),
    )
