"""Rows of public measurements as series: one model under one setting, and how fast each device ran it.

The columns are those of benchmarks/data/validation.csv.gz. Of what a publisher reports several times of one device and setting, the
median is taken where the submitters are many (MLPerf); elsewhere two figures more than a tenth apart are of settings that the table
does not tell apart, and neither is used.
"""

import csv
import gzip
import math
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from advisor.files.catalog import read_hardware
from advisor.schema.catalog import DeviceClass, Hardware, PublicSeries

DATA = Path(__file__).parents[1] / "data" / "validation.csv.gz"
MAY_BE_PASSED_ON = {"Apache-2.0", "per-model licence file (BSD-3/Apache-2.0/MIT)"}
SAME = 1.1
PRECISIONS = (("fp8", "fp8"), ("mxfp4", "fp4"), ("int4", "int4"), ("int8", "int8"), ("tf32", "tf32"), ("fp32", "fp32"))
HALVES = (("amp", "fp16"), ("mixed", "fp16"), ("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16"))
# GPUs of those measurements of whose rates the catalogue's sources say nothing.
GPUS_WITHOUT_RATES = {"a30", "rtxpro6000_maxq"}
CATALOGUE = read_hardware()


def read_rows(path: Path) -> list[dict[str, str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def class_of(hardware: str) -> DeviceClass | None:
    """Return the class of a device by the name that rows have for it; None for what is neither a GPU nor a CPU."""
    if hardware.startswith("cpu"):
        return "cpu"
    known: Hardware | None = CATALOGUE.get(hardware)
    return "gpu" if hardware in GPUS_WITHOUT_RATES or (known is not None and known.kind == "gpu") else None


def read_series(rows: list[dict[str, str]]) -> list[PublicSeries]:
    seen: dict[tuple[object, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        speed = number(row["throughput"])
        if speed is not None and class_of(_device(row)) is not None:
            seen[_setting(row)][_device(row)].append(speed)
    series = []
    for setting, speeds in seen.items():
        family, kept = str(setting[0]), {}
        for device, values in speeds.items():
            if family.startswith("MLPerf") or max(values) / min(values) < SAME:
                kept[device] = statistics.median(values)
        if kept:
            series.append(_series(setting, kept))
    return series


def _setting(row: dict[str, str]) -> tuple[object, ...]:
    is_vision = row["family"] == "vision-batch"
    activations = re.search(r"activations\(M\)=([\d.]+)", row.get("quality_flag", ""))
    # There GPUs ran the largest batch that fits, which tells nothing apart; CPUs ran single images.
    batch = None if is_vision and not _device(row).startswith("cpu") else number(row["batch"])
    return (
        row["family"],
        row["model"],
        _precision(row["precision"]),
        re.sub(r"(\d+\.\d+)[.\d]*", r"\1", re.sub(r"cuda.*", "", row["framework"].lower())).strip(" ,"),
        re.sub(r" \((available|preview)\)", "", row["scenario"].lower()),
        batch,
        row["concurrency_or_qps"],
        row["isl_or_seqlen"],
        "" if row["family"].startswith("ML.ENERGY") else row["osl"],  # there it is what came out, not what was asked for
        row["n_accel"],
        row["throughput_unit"],
        number(row["gflops_per_item"]),
        float(activations[1]) if activations else None,
        number(row["params_b"]),
    )


def _series(setting: tuple[object, ...], speeds: dict[str, float]) -> PublicSeries:
    family, model, precision, framework, scenario, batch, load, length, output, devices, unit, gflop, activations, billions = (
        setting
    )
    sequence = number(str(length).removesuffix("px"))
    flop = None if gflop is None else float(gflop) * 1e9  # type: ignore[arg-type]
    is_encoder = "bert" in str(model).lower() or "bge" in str(model).lower()
    if flop is None and is_encoder and billions is not None and sequence is not None and "px" not in str(length):
        flop = 2 * float(billions) * 1e9 * sequence  # type: ignore[arg-type]  # of weights alone: attention adds a few percent
    return PublicSeries(
        model=str(model),
        family=publisher(str(family)),
        precision=precision,  # type: ignore[arg-type]
        framework=_without_version(str(framework)),
        scenario=f"{scenario}; {load}; {unit}",
        devices=int(str(devices)) if str(devices).isdigit() else 1,
        batch_size=batch,  # type: ignore[arg-type]
        sequence_length=sequence,
        output_length=number(str(output)),
        flop_per_item=flop,
        activations_per_item=None if activations is None else float(activations) * 1e6,  # type: ignore[arg-type]
        parameters=None if billions is None else float(billions) * 1e9,  # type: ignore[arg-type]
        items_per_s=speeds,
    )


def publisher(family: str) -> str:
    """Return a family without its version: a later round is measured as the one before was."""
    return re.sub(r"-v?[\d.]+$", "", family)


def _without_version(framework: str) -> str:
    """Return a framework by name and mode: to be like each other, two settings need not be of the same release."""
    return " ".join(re.sub(r"\b(pt|v)?\d[\w.]*", "", framework).split())


def _device(row: dict[str, str]) -> str:
    name = row["hardware_id"] or row["hardware"].lower()
    return "cpu_" + name.split()[-1] if name.startswith("cpu:") else name


def _precision(text: str) -> str | None:
    text = text.lower()
    if "amp" in text or "mixed" in text:
        return "fp16"
    return next((precision for word, precision in (*PRECISIONS, *HALVES) if word in text), None)


def number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 and math.isfinite(value) else None
