"""The workload file, its request trace, and the portfolio that names many: one record, read once, whichever command asks.

What contradicts itself is refused for every command alike; what is missing, only by the command that needs it.
"""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from advisor.decide.lifetime.horizon import Course, of_arrivals, of_rates
from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.files.catalog import device_ids
from advisor.files.contradictions import TOKENS_EXAMPLE, contradictions
from advisor.files.records import built, read_yaml, sha256, sha256_of_folder
from advisor.quality_floor import OWN
from advisor.schema.catalog import LOCAL
from advisor.schema.model import ModelFacts
from advisor.schema.portfolio import Portfolio
from advisor.schema.record import Exclusion
from advisor.schema.workload import (
    GenerationWorkload,
    Inputs,
    OfflineWorkload,
    OnlineWorkload,
    Quality,
    QualityAsked,
    SequenceLength,
    Slo,
    Tokens,
    TokenSlo,
    Traffic,
    Workload,
)

if TYPE_CHECKING:
    import numpy as np

    from advisor.schema.arrays.trace import Requests, Trace

# Those who read a workload, by what they make of it.
ADVISING = "advisor advise, profile -w and recommend"
CLASSIFYING = "advisor classify and portfolio"
# A part as one would write it, for those who lack it.
EXAMPLES = {
    "traffic": "traffic: {requests_per_s: 40}",
    "slo": "slo: {latency_s: 50 ms}",
    "slo.latency_s": "slo: {latency_s: 50 ms}",
    "slo.ttft_s": "slo: {ttft_s: 2 s, tpot_s: 150 ms}",
    "tokens": TOKENS_EXAMPLE,
    "hardware": "hardware: {price_usd_per_hour: {local: 0.34}}",
    **dict.fromkeys(("quality.metric", "quality.max_drop"), "quality: {metric: accuracy, max_drop: 0.01}"),
    "offline": "offline: {items: 100000, deadline_s: 6 h}",
}
Question = OnlineWorkload | OfflineWorkload | GenerationWorkload
Q = TypeVar("Q", OnlineWorkload, OfflineWorkload, GenerationWorkload)
# What a generative model is judged by on the user's text.
PERPLEXITY = "perplexity"
KINDS: dict[type, str] = {OfflineWorkload: "a batch job", OnlineWorkload: "traffic", GenerationWorkload: "a generative model"}
FLOOR = Quality.__struct_fields__  # what the quality part of a file has, beside `accept`
ELSEWHERE = "a language model elsewhere"


def read_workload(path: Path, content: Mapping[str, Any] | None = None) -> Workload:
    """Return the workload; raise InputError for what contradicts itself and for names that nobody knows.

    `content` is that of a workload without a file of its own: `path` is what faults name, and files that it names lie beside it.
    """
    workload = read_yaml(path, Workload) if content is None else built(content, Workload, path)
    fault = next(contradictions(workload), None)
    if fault is not None:
        raise InputError(f"{path}: {fault.what}", hint=fault.way_out)
    return _with_ids(workload, path)


def check_again(question: Question, path: Path) -> None:
    """Raise InputError where the workload inside of a file that advisor wrote, at `path`, contradicts itself: the file was damaged."""
    parts = {name: getattr(question, name) for name in question.__struct_fields__ if name in Workload.__struct_fields__}
    if question.quality is not None:
        parts["quality"] = QualityAsked(accept=getattr(question, "accept", ()), **msgspec.structs.asdict(question.quality))
    if isinstance(question, OnlineWorkload):
        parts["slo"] = TokenSlo(latency_s=question.slo.latency_s, quantile=question.slo.quantile)
    fault = next(contradictions(Workload(**parts)), None)
    if fault is not None:
        raise InputError(f"{path}: workload.{fault.what}", hint="make it again with `advisor advise`")


def _with_ids(workload: Workload, path: Path) -> Workload:
    """Return the workload with the id of each device that it calls otherwise; contradictions has refused what is not one device."""

    def id_of(name: str) -> str:
        return name if name == LOCAL else (device_ids(name) or (name,))[0]

    def by_id(prices: dict[str, float], key: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, usd in prices.items():
            if id_of(name) in found:
                raise InputError(
                    f"{path}: {key}: {name!r} is {id_of(name)}, which has a price already", hint="keep one of the two"
                )
            found[id_of(name)] = usd
        return found

    def one(name: str | None) -> str | None:
        return None if name is None else id_of(name)

    replace = msgspec.structs.replace
    hardware, fleet, baseline, life = workload.hardware, workload.fleet, workload.baseline, workload.lifecycle
    if hardware is not None:
        prices = by_id(hardware.price_usd_per_hour, "hardware.price_usd_per_hour")
        hardware = replace(hardware, allowed=tuple(dict.fromkeys(map(id_of, hardware.allowed))), price_usd_per_hour=prices)
    if fleet is not None:
        reserved = by_id(fleet.reserved_usd_per_hour, "fleet.reserved_usd_per_hour")
        fleet = replace(
            fleet, reserved_usd_per_hour=reserved, spot_usd_per_hour=by_id(fleet.spot_usd_per_hour, "fleet.spot_usd_per_hour")
        )
    if baseline is not None:
        baseline = replace(baseline, hardware=one(baseline.hardware))
    if life is not None:
        serving, options = life.serving, life.options
        others = tuple(dict.fromkeys(map(id_of, options.alternative_devices))) if options else ()
        life = replace(
            life,
            training_device=one(life.training_device),
            serving=serving and replace(serving, device=one(serving.device)),
            options=options and replace(options, alternative_devices=others),
        )
    return replace(workload, hardware=hardware, fleet=fleet, baseline=baseline, lifecycle=life)


def read_question(path: Path) -> Question:
    """Return what the workload asks advice on: its traffic, or a batch job; raise InputError for what such advice lacks."""
    return question_of(read_workload(path), path)


def question_of(workload: Workload, path: Path) -> Question:
    """Return the parts of a workload, read from `path`, that advice is about; the files that it names are there."""
    if workload.offline is None and asks_for_tokens(workload):
        return _of_tokens(workload, path)
    if workload.offline is None:
        return with_lengths_of_trace(_parts(workload, OnlineWorkload, path), path)
    if workload.slo is not None:
        raise InputError(
            f"{path}: slo, offline: two targets, but {ADVISING} take one",
            hint="keep slo for live traffic or offline for a batch job, and put the other into a file of its own",
        )
    return _parts(workload, OfflineWorkload, path)


def without_use(workload: Workload, question: Question, *, is_elsewhere: bool = False) -> tuple[Exclusion, ...]:
    """Return the parts of a workload that this kind of advice does not use, for the report.

    `is_elsewhere`: a generative model is judged from its configuration, on hardware that is not here.
    """
    names = [name for name in workload.__struct_fields__ if getattr(workload, name) is not None]
    used = {*question.__struct_fields__} - ({"baseline"} if is_elsewhere else {"speculation"})
    unused = [name for name in names if name not in used]
    if (quality := workload.quality) is not None:
        some = ("calibration", "max_slice_drop", "accept") if isinstance(question, GenerationWorkload) else ("accept",)
        unused += [f"quality.{name}" for name in (FLOOR if is_elsewhere else some) if getattr(quality, name) not in (None, ())]
    reason = f"in the workload file, but not used by advice on {ELSEWHERE if is_elsewhere else KINDS[type(question)]}"
    return tuple(Exclusion(what=name, reason=reason) for name in unused)


def traffic_of(workload: Workload, path: Path) -> tuple[float, Course]:
    """Return the mean traffic and the course of its day, those of the trace where there is one; InputError where it is not given."""
    traffic = workload.traffic
    if traffic is None:
        raise _missing(path, ["traffic"], CLASSIFYING)
    if traffic.clients is not None:
        raise InputError(
            f"{path}: traffic.clients: how many requests a second they send depends on how fast they are answered, and {CLASSIFYING} "
            "need a rate",
            hint="give requests_per_s instead, in a file of its own",
        )
    if traffic.requests_per_s is not None:
        if traffic.diurnal is None:
            return traffic.requests_per_s, Course(burstiness_cv=traffic.burstiness_cv)
        return traffic.requests_per_s, of_rates(traffic.diurnal, traffic.burstiness_cv, "traffic.diurnal")
    arrival_s = trace_of(traffic, path).arrival_s
    return (len(arrival_s) - 1) / float(arrival_s[-1] - arrival_s[0]), of_arrivals(arrival_s, traffic.trace or "")


def trace_of(traffic: Traffic, path: Path) -> "Trace":
    """Return the recorded requests that a workload, read from `path`, names."""
    from advisor.files.trace import read_trace  # `advisor classify` waits for what it loads, and seldom needs it

    assert traffic.trace is not None  # that or a rate is there: contradictions
    return read_trace(path.parent / traffic.trace, traffic.columns)


def requests_of(question: Workload | GenerationWorkload, path: Path) -> "Requests":
    """Return the recorded requests that a workload of a generative model, read from `path`, names; InputError where lengths are lacking.

    Where the workload gives lengths itself, those of the trace are not read.
    """
    from advisor.files.trace import read_requests

    traffic = question.traffic
    assert traffic is not None and traffic.trace is not None
    return read_requests(path.parent / traffic.trace, traffic.columns, has_own_lengths=question.tokens is not None)


def notes_on(path: Path | None) -> tuple[str, ...]:
    """Return what a user should know first of how the workload was read: the mean rate that its trace holds."""
    workload = read_workload(path) if path is not None and path.is_file() else None
    traffic = workload.traffic if workload is not None else None
    if path is None or workload is None or traffic is None or traffic.trace is None:
        return ()
    if not (path.parent / traffic.trace).is_file():
        return ()  # what is missing is refused by those who need it
    return requests_of(workload, path).notes if asks_for_tokens(workload) else trace_of(traffic, path).notes


def asks_for_tokens(workload: Workload) -> bool:
    """Return whether a workload is about a generative model: it says how many tokens there are, or how soon they have to come."""
    slo, columns = workload.slo, workload.traffic.columns if workload.traffic is not None else None
    has_targets = slo is not None and (slo.ttft_s is not None or slo.tpot_s is not None)
    return workload.tokens is not None or has_targets or (columns is not None and columns.output_tokens is not None)


def slo_of(targets: TokenSlo) -> Slo:
    """Return the target of a model that answers in one pass; raise InputError for what is promised of tokens."""
    for key in ("ttft_s", "tpot_s"):
        if getattr(targets, key) is not None:
            raise InputError(
                f"slo.{key}: a model that answers in one pass gives no tokens one by one", hint="give slo.latency_s instead"
            )
    if targets.latency_s is None:
        raise InputError("slo.latency_s: missing", hint=f"add, for example, {EXAMPLES['slo.latency_s']}")
    return Slo(latency_s=targets.latency_s, quantile=targets.quantile)


def _of_tokens(workload: Workload, path: Path) -> GenerationWorkload:
    """Return the parts of a workload that advice on a generative model is about; the trace has the lengths that it has to have."""
    question = _parts(workload, GenerationWorkload, path)
    quality = question.quality
    if quality is not None and quality.metric != PERPLEXITY:
        raise InputError(
            f"{path}: quality.metric: {quality.metric}: a generative model is judged by {PERPLEXITY}, on a text of yours",
            hint="write quality: {metric: perplexity, max_drop: 0.05, data: text.txt}, the drop being the increase as a fraction",
        )
    if quality is not None and quality.data is not None and OWN.fullmatch(quality.data):
        raise InputError(
            f"{path}: quality.data: {quality.data}: no file of text", hint="name a text file beside the workload file"
        )
    if question.traffic.trace is not None:
        requests_of(question, path)
    return question


def _lacking(workload: Workload, kind: type[Q]) -> list[str]:
    """Return the parts that a question of this kind cannot do without and that are not there."""
    slo, traffic = workload.slo, workload.traffic
    lacking = [entry.name for entry in msgspec.structs.fields(kind) if entry.required and getattr(workload, entry.name) is None]
    if kind is GenerationWorkload and traffic is not None and traffic.trace is not None:
        lacking = [name for name in lacking if name != "tokens"]  # the trace has them
    if slo is not None and slo.ttft_s is None and slo.tpot_s is None and slo.latency_s is None:
        lacking.append("slo.ttft_s" if kind is GenerationWorkload else "slo.latency_s")
    return lacking


def _parts(workload: Workload, kind: type[Q], path: Path) -> Q:
    """Return the parts of a workload that this kind of advice needs, checked to be complete."""
    lacking = _lacking(workload, kind)
    if lacking:
        raise _missing(path, lacking, ADVISING, kind)
    parts = {field.name: getattr(workload, field.name) for field in msgspec.structs.fields(kind) if hasattr(workload, field.name)}
    if (asked := workload.quality) is not None:
        parts |= {"quality": _floor_of(asked, path)} | ({"accept": asked.accept} if kind is GenerationWorkload else {})
    if kind is OnlineWorkload and workload.slo is not None:
        parts["slo"] = slo_of(workload.slo)
    question = kind(**parts)
    is_here = kind is not GenerationWorkload or LOCAL in question.hardware.allowed
    if is_here and LOCAL not in question.hardware.price_usd_per_hour:
        raise InputError(
            f"{path}: hardware.price_usd_per_hour: no price for 'local', the machine that runs the model today; {ADVISING} need it",
            hint="add: price_usd_per_hour: {local: 0.34}",
        )
    quality = question.quality
    for key, name in (
        ("traffic.trace", None if isinstance(question, OfflineWorkload) else question.traffic.trace),
        ("quality.data", quality.data if quality else None),
        ("quality.calibration", quality.calibration if quality else None),
        ("hardware.prices", question.hardware.prices),
    ):
        is_function = key.startswith("quality.") and name is not None and OWN.fullmatch(name)
        # Examples may be a folder: a data set that was saved to disk.
        is_there = Path.exists if key.startswith("quality.") else Path.is_file
        if name is None or is_function:
            continue
        refuse_special(path.parent / name, f"{path}: {key}")
        if not is_there(path.parent / name):
            raise InputError(
                f"{path}: {key}: {path.parent / name}: no such file", hint="give a path relative to the workload file"
            )
    return question


def _floor_of(asked: QualityAsked, path: Path) -> Quality | None:
    """Return the floor of a workload, None where it has none but precisions that are accepted; InputError for a part of one."""
    given = {name: getattr(asked, name) for name in FLOOR}
    if asked.accept and not any(value is not None for value in given.values()):
        return None
    if given["metric"] is None or given["max_drop"] is None:
        raise _missing(path, ["quality.metric" if given["metric"] is None else "quality.max_drop"], ADVISING)
    return Quality(**given)


def _missing(path: Path, parts: list[str], commands: str, kind: type[Question] | None = None) -> InputError:
    needed = "it" if len(parts) == 1 else "them"
    examples = EXAMPLES | ({"slo": EXAMPLES["slo.ttft_s"]} if kind is GenerationWorkload else {})
    or_else = f"; for a batch job, {EXAMPLES['offline']} instead of slo" if kind is OnlineWorkload and "slo" in parts else ""
    return InputError(
        f"{path}: {', '.join(parts)}: missing; {commands} need {needed}",
        hint=f"add, for example, {', '.join(examples[name] for name in parts)}{or_else}",
    )


def with_lengths_of_trace(workload: OnlineWorkload, path: Path) -> OnlineWorkload:
    """Return the workload with the lengths that its trace recorded, if it has any and the workload does not give them itself."""
    if workload.traffic.trace is None or workload.inputs is not None:
        return workload
    recorded = trace_of(workload.traffic, path).sequence_length
    if recorded is None:
        return workload
    return msgspec.structs.replace(workload, inputs=Inputs(sequence_length=_quantiles_of(recorded)))


def tokens_of(question: GenerationWorkload, path: Path) -> Tokens:
    """Return how long prompts and answers are: as the workload says, or by the quantiles of its trace."""
    if question.tokens is not None:
        return question.tokens
    recorded = requests_of(question, path)
    assert recorded.input_tokens is not None and recorded.output_tokens is not None  # or it was refused
    return Tokens(input=_quantiles_of(recorded.input_tokens), output=_quantiles_of(recorded.output_tokens))


def _quantiles_of(recorded: "np.ndarray") -> SequenceLength:
    """Return recorded lengths as a workload gives them."""
    import numpy as np  # it is there by now: the trace is made of it

    # The least length that so many requests do not exceed.
    places = [max(math.ceil(len(recorded) * quantile - 1), 0) for quantile in (0.5, 0.95)]
    p50, p95, longest = (int(length) for length in np.partition(recorded, [*places, -1])[[*places, -1]])
    return SequenceLength(p50=p50, p95=p95, max=longest)


def lengths_are_recorded(question: OnlineWorkload, workload: Workload) -> bool:
    """Return whether the lengths of requests are from the trace, and not from the workload itself."""
    return question.inputs is not None and workload.inputs is None


def fitting(question: OnlineWorkload, model: ModelFacts) -> OnlineWorkload:
    """Return the workload without lengths where the model does not read any."""
    has_length = any(entry.sequence_axis is not None for entry in model.inputs)
    return question if has_length else msgspec.structs.replace(question, inputs=None)


def sequence_lengths(workload: OnlineWorkload | OfflineWorkload | None) -> tuple[int, ...]:
    """Return the lengths to measure: the median first, then a short one, the 95th percentile and the longest."""
    lengths = workload.inputs.sequence_length if workload and workload.inputs else None
    if lengths is None:
        return ()
    p95 = lengths.p95 or lengths.p50
    # A lognormal law is symmetric around its median on a log scale, so this is about the 5th percentile.
    short = max(1, round(lengths.p50**2 / p95))
    return tuple(dict.fromkeys((lengths.p50, short, p95, lengths.max or p95)))


def examples_sha256(folder: Path, source: str) -> str:
    """Return what the user's examples are known by: the digest of their file or folder, or of the source of their function."""
    module, _, function = source.partition(":")
    if not OWN.fullmatch(source):
        path = folder / source
        return sha256_of_folder(path) if path.is_dir() else sha256(path)
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_bytes() if path.is_file() else module.encode()
    import hashlib

    return hashlib.sha256(text + function.encode()).hexdigest()


def read_portfolio(path: Path) -> Portfolio:
    """Return the portfolio; raise InputError for a workload that is named twice."""
    portfolio = read_yaml(path, Portfolio)
    entries = () if isinstance(portfolio.workloads, str) else portfolio.workloads
    twice = [name for name, count in Counter(entry.workload for entry in entries).items() if count > 1]
    if twice:
        raise InputError(f"{path}: workloads: {min(twice)!r} is listed twice", hint="list each file once")
    return portfolio
