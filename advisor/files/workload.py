"""The files in which a user asks the question: the workload and its request trace, read and checked for contradictions."""

import csv
import difflib
import hashlib
import sys
from pathlib import Path

import msgspec
import numpy as np

from advisor.errors import InputError
from advisor.files.catalog import carbon_of, hardware_names, read_device
from advisor.files.records import has_key, read_yaml, sha256
from advisor.quality_floor import METRICS, OWN, is_known
from advisor.schema.workload import (
    EnergyChoice,
    HardwareChoice,
    Inputs,
    OfflineWorkload,
    Quality,
    SequenceLength,
    Trace,
    Workload,
)
from advisor.units import LARGEST

MIN_TRACE_REQUESTS = 100  # fewer say nothing of a p99
MAX_SEQUENCE_LENGTH = 10_000_000  # ten minutes of audio at 16 kHz; more is a slip, and would not fit into memory
MAX_HORIZON_MONTHS = 600
MAX_BURSTINESS_CV = 10.0  # beyond, even the mean rate of a whole simulated run is left to chance
MAX_QUANTILE = 0.9999


def read_question(path: Path) -> Workload | OfflineWorkload:
    """Return the workload, or the batch job where the file has the key `offline`."""
    if not has_key(path, "offline"):
        return read_workload(path)
    question = read_yaml(path, OfflineWorkload)
    _check_hardware(path, question.hardware, None)
    _check_lengths(path, question.inputs)
    _check_metric(path, question.quality)
    _check_files(path, question.quality, None)
    return question


def read_workload(path: Path) -> Workload:
    """Return the workload; raise InputError for what contradicts itself or names a file that is not there."""
    workload = read_yaml(path, Workload)
    traffic = workload.traffic
    if (traffic.requests_per_s is None) == (traffic.trace is None):
        raise InputError(
            f"{path}: traffic: give either requests_per_s or trace", hint="for example: traffic: {requests_per_s: 40}"
        )
    if traffic.diurnal is not None and traffic.trace is not None:
        raise InputError(
            f"{path}: traffic.diurnal: a trace has its own course of the day",
            hint="remove diurnal, or give requests_per_s instead",
        )
    if traffic.diurnal is not None and not any(traffic.diurnal):
        raise InputError(
            f"{path}: traffic.diurnal: no part of the day has any requests", hint="give at least one of them a rate above 0"
        )
    if workload.fleet is not None and traffic.trace is not None:
        raise InputError(f"{path}: fleet: needs traffic.requests_per_s", hint="give the mean rate and, with diurnal, its course")
    _check_hardware(path, workload.hardware, workload.energy)
    _check_lengths(path, workload.inputs)
    lengths = workload.inputs.sequence_length if workload.inputs else None
    longest = (lengths.max or lengths.p95 or lengths.p50) if lengths else None
    months = workload.lifecycle.horizon_months if workload.lifecycle else None
    for key, value, most, way_out in (
        ("inputs.sequence_length", longest, MAX_SEQUENCE_LENGTH, "give lengths in tokens or frames"),
        ("lifecycle.horizon_months", months, MAX_HORIZON_MONTHS, "plan for at most fifty years"),
        ("traffic.burstiness_cv", traffic.burstiness_cv, MAX_BURSTINESS_CV, "record a trace of such traffic instead"),
        ("slo.quantile", workload.slo.quantile, MAX_QUANTILE, "no simulation is long enough to see it"),
    ):
        if value is not None and value > most:
            raise InputError(f"{path}: {key}: {value:,} is more than {most:,}", hint=way_out)
    _check_metric(path, workload.quality)
    _check_files(path, workload.quality, traffic.trace)
    return _with_lengths_of_trace(workload, path)


def _check_hardware(path: Path, hardware: HardwareChoice, energy: EnergyChoice | None) -> None:
    if "local" not in hardware.price_usd_per_hour:
        raise InputError(
            f"{path}: hardware.price_usd_per_hour: no price for 'local', the machine that runs it today",
            hint="add: price_usd_per_hour: {local: 0.34}",
        )
    for key, names in (("allowed", hardware.allowed), ("price_usd_per_hour", tuple(hardware.price_usd_per_hour))):
        for name in set(names) - {"local", *hardware_names()}:
            try:
                read_device(name)
            except InputError as error:
                raise InputError(f"{path}: hardware.{key}: {error.fault}", hint=error.hint) from error
    grid = energy.grid if energy else None
    if grid is not None and carbon_of(grid) is None:
        raise InputError(
            f"{path}: energy.grid: {grid!r} is not known", hint="name a country as FRA or USA, or a region of Google's cloud"
        )
    if hardware.prices is not None and not (path.parent / hardware.prices).is_file():
        raise InputError(
            f"{path}: hardware.prices: {path.parent / hardware.prices}: no such file", hint="give a path beside the workload"
        )


def _check_lengths(path: Path, inputs: Inputs | None) -> None:
    lengths = inputs.sequence_length if inputs else None
    if lengths is not None and not lengths.p50 <= (lengths.p95 or lengths.p50) <= (lengths.max or sys.maxsize):
        raise InputError(
            f"{path}: inputs.sequence_length: p50, p95 and max must ascend", hint="for example: {p50: 32, p95: 128, max: 256}"
        )


def _check_files(path: Path, quality: Quality | None, trace: str | None) -> None:
    for key, name in (
        ("traffic.trace", trace),
        ("quality.data", quality.data if quality else None),
        ("quality.calibration", quality.calibration if quality else None),
    ):
        is_function = key != "traffic.trace" and name is not None and OWN.fullmatch(name)
        if name is not None and not is_function and not (path.parent / name).is_file():
            raise InputError(
                f"{path}: {key}: {path.parent / name}: no such file", hint="give a path relative to the workload file"
            )


def _check_metric(path: Path, quality: Quality | None) -> None:
    if quality is not None and not is_known(quality.metric):
        near = difflib.get_close_matches(quality.metric, METRICS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(METRICS)}, top5_accuracy, module:function"
        raise InputError(f"{path}: quality.metric: there is no {quality.metric!r}", hint=hint)


def examples_sha256(folder: Path, source: str) -> str:
    """Return what the user's examples are known by: the digest of their file, or of the source of the function that gives them."""
    module, _, function = source.partition(":")
    if not OWN.fullmatch(source):
        return sha256(folder / source)
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_bytes() if path.is_file() else module.encode()
    return hashlib.sha256(text + function.encode()).hexdigest()


def _with_lengths_of_trace(workload: Workload, path: Path) -> Workload:
    """Return the workload with the lengths that its trace recorded, if it has any and the workload does not say them itself."""
    if workload.traffic.trace is None or workload.inputs is not None:
        return workload
    recorded = read_trace(path.parent / workload.traffic.trace).sequence_length
    if recorded is None:
        return workload
    p50, p95 = (int(np.quantile(recorded, quantile, method="inverted_cdf")) for quantile in (0.5, 0.95))
    lengths = SequenceLength(p50=p50, p95=p95, max=max(recorded))
    return msgspec.structs.replace(workload, inputs=Inputs(sequence_length=lengths))


def sequence_lengths(workload: Workload | OfflineWorkload | None) -> tuple[int, ...]:
    """Return the lengths to measure: the median first, then a short one, the 95th percentile and the longest."""
    lengths = workload.inputs.sequence_length if workload and workload.inputs else None
    if lengths is None:
        return ()
    p95 = lengths.p95 or lengths.p50
    # A lognormal law is symmetric around its median on a log scale, so this is about the 5th percentile.
    short = max(1, round(lengths.p50**2 / p95))
    return tuple(dict.fromkeys((lengths.p50, short, p95, lengths.max or p95)))


def read_trace(path: Path) -> Trace:
    """Return the requests of a CSV file with the columns arrival_s and, optionally, sequence_length."""
    way_out = (
        "write a CSV file with a header line and the columns arrival_s (seconds, ascending) and, if lengths vary, sequence_length"
    )
    arrival_s, lengths = [], []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if "arrival_s" not in (reader.fieldnames or ()):
                raise InputError(f"{path}: no column arrival_s", hint=way_out)
            for row in reader:
                try:
                    arrival_s.append(float(row["arrival_s"]))
                    if "sequence_length" in row:
                        lengths.append(int(row["sequence_length"]))
                except (TypeError, ValueError):
                    raise InputError(f"{path}: line {reader.line_num}: not a number: {dict(row)}", hint=way_out) from None
                before, now = arrival_s[-2:][0], arrival_s[-1]
                if not abs(now) <= LARGEST or now < before:
                    raise InputError(f"{path}: line {reader.line_num}: arrival_s does not ascend: {before} {now}", hint=way_out)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})", hint=way_out) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error
    if len(arrival_s) < MIN_TRACE_REQUESTS:
        raise InputError(f"{path}: {len(arrival_s)} requests, of which {MIN_TRACE_REQUESTS} are needed", hint="record for longer")
    if (arrival_s[-1] - arrival_s[0]) * LARGEST < len(arrival_s):
        raise InputError(f"{path}: all requests arrive at one moment", hint=way_out)
    if lengths and not 1 <= min(lengths) <= max(lengths) <= MAX_SEQUENCE_LENGTH:
        raise InputError(f"{path}: a sequence_length that is not within 1 and {MAX_SEQUENCE_LENGTH:,}", hint=way_out)
    return Trace(arrival_s=tuple(arrival_s), sequence_length=tuple(lengths) or None)
