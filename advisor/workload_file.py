"""The files in which a user asks the question: the workload and its request trace, read and checked for contradictions."""

import csv
import sys
from pathlib import Path

import msgspec
import numpy as np

from advisor.errors import InputError
from advisor.files import has_key, read_yaml
from advisor.schema import HardwareChoice, Inputs, OfflineWorkload, SequenceLength, Trace, Workload
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
    _check_hardware(path, question.hardware)
    _check_lengths(path, question.inputs)
    if question.quality is not None and question.quality.data is not None:
        _check_file(path, "quality.data", question.quality.data)
    return question


def read_workload(path: Path) -> Workload:
    """Return the workload; raise InputError for what contradicts itself or names a file that is not there."""
    workload = read_yaml(path, Workload)
    traffic, hardware = workload.traffic, workload.hardware
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
    _check_hardware(path, hardware)
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
    for key, name in (("traffic.trace", traffic.trace), ("quality.data", workload.quality.data if workload.quality else None)):
        if name is not None:
            _check_file(path, key, name)
    return _with_lengths_of_trace(workload, path)


def _check_hardware(path: Path, hardware: HardwareChoice) -> None:
    for place in hardware.allowed:
        if place != "local":
            raise InputError(
                f"{path}: hardware.allowed: {place!r} was not measured",
                hint="only `local`, the machine of the profile, can be judged",
            )
        if place not in hardware.price_usd_per_hour:
            raise InputError(
                f"{path}: hardware.price_usd_per_hour: no price for {place!r}", hint=f"add: price_usd_per_hour: {{{place}: 0.34}}"
            )


def _check_lengths(path: Path, inputs: Inputs | None) -> None:
    lengths = inputs.sequence_length if inputs else None
    if lengths is not None and not lengths.p50 <= (lengths.p95 or lengths.p50) <= (lengths.max or sys.maxsize):
        raise InputError(
            f"{path}: inputs.sequence_length: p50, p95 and max must ascend", hint="for example: {p50: 32, p95: 128, max: 256}"
        )


def _check_file(path: Path, key: str, name: str) -> None:
    if not (path.parent / name).is_file():
        raise InputError(f"{path}: {key}: {path.parent / name}: no such file", hint="give a path relative to the workload file")


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
