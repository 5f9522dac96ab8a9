"""The workload file, its request trace, and the portfolio that names many: one record, read once, whichever command asks.

What contradicts itself is refused for every command alike; what is missing, only by the command that needs it.
"""

import csv
import math
from pathlib import Path
from typing import TypeVar

import msgspec

from advisor.decide.lifetime.horizon import Course, of_arrivals, of_rates
from advisor.errors import InputError
from advisor.files.contradictions import MAX_SEQUENCE_LENGTH, contradictions
from advisor.files.records import read_yaml, sha256
from advisor.quality_floor import OWN
from advisor.schema.portfolio import Portfolio
from advisor.schema.record import Exclusion
from advisor.schema.workload import Inputs, OfflineWorkload, OnlineWorkload, SequenceLength, Trace, Workload
from advisor.units import LARGEST

MIN_TRACE_REQUESTS = 100  # fewer have no p99
# Those who read a workload, by what they make of it.
ADVISING = "advisor advise, profile -w and recommend"
CLASSIFYING = "advisor classify and portfolio"
# A part as one would write it, for those who lack it.
EXAMPLES = {
    "traffic": "traffic: {requests_per_s: 40}",
    "slo": "slo: {latency_s: 50 ms}",
    "hardware": "hardware: {price_usd_per_hour: {local: 0.34}}",
    "offline": "offline: {items: 100000, deadline_s: 6 h}",
}
Question = OnlineWorkload | OfflineWorkload
Q = TypeVar("Q", OnlineWorkload, OfflineWorkload)


def read_workload(path: Path) -> Workload:
    """Return the workload; raise InputError for what contradicts itself and for names that nobody knows."""
    workload = read_yaml(path, Workload)
    fault = next(contradictions(workload), None)
    if fault is not None:
        raise InputError(f"{path}: {fault.what}", hint=fault.way_out)
    return workload


def read_question(path: Path) -> Question:
    """Return what the workload asks advice on: its traffic, or a batch job; raise InputError for what such advice lacks."""
    return question_of(read_workload(path), path)


def question_of(workload: Workload, path: Path) -> Question:
    """Return the parts of a workload, read from `path`, that advice is about; the files that it names are there."""
    if workload.offline is None:
        return with_lengths_of_trace(_parts(workload, OnlineWorkload, path), path)
    if workload.slo is not None:
        raise InputError(
            f"{path}: slo, offline: two targets, but {ADVISING} take one",
            hint="keep slo for live traffic or offline for a batch job, and put the other into a file of its own",
        )
    return _parts(workload, OfflineWorkload, path)


def without_use(workload: Workload, question: Question) -> tuple[Exclusion, ...]:
    """Return the parts of a workload that this kind of advice does not use, for the report."""
    kind = "a batch job" if isinstance(question, OfflineWorkload) else "traffic"
    return tuple(
        Exclusion(what=name, reason=f"in the workload file, but not used by advice on {kind}")
        for name in workload.__struct_fields__
        if name not in question.__struct_fields__ and getattr(workload, name) is not None
    )


def traffic_of(workload: Workload, path: Path) -> tuple[float, Course]:
    """Return the mean traffic and the course of its day, those of the trace where there is one; InputError where it is not given."""
    traffic = workload.traffic
    if traffic is None:
        raise _missing(path, ["traffic"], CLASSIFYING)
    if traffic.requests_per_s is not None:
        if traffic.diurnal is None:
            return traffic.requests_per_s, Course(burstiness_cv=traffic.burstiness_cv)
        return traffic.requests_per_s, of_rates(traffic.diurnal, traffic.burstiness_cv, "traffic.diurnal")
    assert traffic.trace is not None  # one of the two is there: contradictions
    arrival_s = read_trace(path.parent / traffic.trace).arrival_s
    return (len(arrival_s) - 1) / (arrival_s[-1] - arrival_s[0]), of_arrivals(arrival_s, traffic.trace)


def _parts(workload: Workload, kind: type[Q], path: Path) -> Q:
    """Return the parts of a workload that this kind of advice needs, checked to be complete."""
    lacking = [entry.name for entry in msgspec.structs.fields(kind) if entry.required and getattr(workload, entry.name) is None]
    if lacking:
        raise _missing(path, lacking, ADVISING)
    question = msgspec.convert(workload, kind, from_attributes=True)
    if "local" not in question.hardware.price_usd_per_hour:
        raise InputError(
            f"{path}: hardware.price_usd_per_hour: no price for 'local', the machine that runs the model today; {ADVISING} need it",
            hint="add: price_usd_per_hour: {local: 0.34}",
        )
    quality = question.quality
    for key, name in (
        ("traffic.trace", question.traffic.trace if isinstance(question, OnlineWorkload) else None),
        ("quality.data", quality.data if quality else None),
        ("quality.calibration", quality.calibration if quality else None),
        ("hardware.prices", question.hardware.prices),
    ):
        is_function = key.startswith("quality.") and name is not None and OWN.fullmatch(name)
        if name is not None and not is_function and not (path.parent / name).is_file():
            raise InputError(
                f"{path}: {key}: {path.parent / name}: no such file", hint="give a path relative to the workload file"
            )
    return question


def _missing(path: Path, parts: list[str], commands: str) -> InputError:
    needed = "it" if len(parts) == 1 else "them"
    or_else = f"; for a batch job, {EXAMPLES['offline']} instead of slo" if "slo" in parts else ""
    return InputError(
        f"{path}: {', '.join(parts)}: missing; {commands} need {needed}",
        hint=f"add, for example, {', '.join(EXAMPLES[name] for name in parts)}{or_else}",
    )


def with_lengths_of_trace(workload: OnlineWorkload, path: Path) -> OnlineWorkload:
    """Return the workload with the lengths that its trace recorded, if it has any and the workload does not give them itself."""
    if workload.traffic.trace is None or workload.inputs is not None:
        return workload
    recorded = read_trace(path.parent / workload.traffic.trace).sequence_length
    if recorded is None:
        return workload
    ascending = sorted(recorded)
    # The least length that so many requests do not exceed. Without NumPy: `advisor classify` would wait for it to load.
    p50, p95 = (ascending[max(math.ceil(len(ascending) * quantile - 1), 0)] for quantile in (0.5, 0.95))
    lengths = SequenceLength(p50=p50, p95=p95, max=ascending[-1])
    return msgspec.structs.replace(workload, inputs=Inputs(sequence_length=lengths))


def sequence_lengths(workload: Question | None) -> tuple[int, ...]:
    """Return the lengths to measure: the median first, then a short one, the 95th percentile and the longest."""
    lengths = workload.inputs.sequence_length if workload and workload.inputs else None
    if lengths is None:
        return ()
    p95 = lengths.p95 or lengths.p50
    # A lognormal law is symmetric around its median on a log scale, so this is about the 5th percentile.
    short = max(1, round(lengths.p50**2 / p95))
    return tuple(dict.fromkeys((lengths.p50, short, p95, lengths.max or p95)))


def examples_sha256(folder: Path, source: str) -> str:
    """Return what the user's examples are known by: the digest of their file, or of the source of the function that gives them."""
    module, _, function = source.partition(":")
    if not OWN.fullmatch(source):
        return sha256(folder / source)
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_bytes() if path.is_file() else module.encode()
    import hashlib

    return hashlib.sha256(text + function.encode()).hexdigest()


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
        raise InputError(f"{path}: {len(arrival_s)} requests, but {MIN_TRACE_REQUESTS} are needed", hint="record a longer trace")
    if (arrival_s[-1] - arrival_s[0]) * LARGEST < len(arrival_s):
        raise InputError(f"{path}: all requests arrive at the same moment", hint=way_out)
    if lengths and not 1 <= min(lengths) <= max(lengths) <= MAX_SEQUENCE_LENGTH:
        raise InputError(f"{path}: a sequence_length is not between 1 and {MAX_SEQUENCE_LENGTH:,}", hint=way_out)
    return Trace(arrival_s=tuple(arrival_s), sequence_length=tuple(lengths) or None)


def read_portfolio(path: Path) -> Portfolio:
    """Return the portfolio; raise InputError for a workload that is named twice."""
    portfolio = read_yaml(path, Portfolio)
    names = [entry.workload for entry in portfolio.workloads]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: workloads: {twice[0]!r} is listed twice", hint="list each file once")
    return portfolio
