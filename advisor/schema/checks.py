"""What holds of a record as a whole, beside the range of each field: lengths that agree, names that are there, dates, intervals.

Looked at where a record is read, whichever command asks. Records inside of records are found by the types of their fields; fields in
which none can lie that is looked at are passed over.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec

from advisor.medians import AGAIN
from advisor.schema.advice import (
    Advice,
    LoadTest,
    OfflineAdvice,
    OfflineChoice,
    Prediction,
    Replayed,
    ServiceCurve,
    SiteFacts,
    VariantSummary,
)
from advisor.schema.generation import (
    DecodePoint,
    GenerationAdvice,
    GenerationCandidate,
    GenerationPrediction,
    GenerationProfile,
    GenerationSite,
    GenerationVariantSummary,
    LoadPoint,
    MixedPoint,
    PrefillPoint,
    Quantiles,
    Replay,
    Speculation,
    SpeculationAdvice,
    StepVisit,
    TextQuality,
    TokenTimes,
)
from advisor.schema.language import (
    ApiAlternative,
    DeploymentPrediction,
    LanguageAdvice,
    SpeculationByLoad,
    SpeculationChoice,
)
from advisor.schema.lifetime import Verdict
from advisor.schema.model import ModelFacts, ModelInput
from advisor.schema.profile import Calibration, Measurement, Power, Profile, Site, Stalls, Visit
from advisor.schema.record import Estimate, Record

# The ends of an interval are worked out one by one, and may be off by a last digit.
ROUNDING = 1e-9
SHORTEST_WATCH_S = 1e-6  # in which a stall was seen
LOSSES = ("quality_drop",)  # of what is predicted, what may be below 0: a gain


class Fault(NamedTuple):
    """The key of what is wrong, its value, and why."""

    key: str
    value: object
    what: str


def first_fault(record: Record) -> Fault | None:
    """Return the first thing that is wrong with a record that was read, None where nothing is."""
    return next(_faults(record, ""), None)


def _faults(part: Any, key: str) -> Iterator[Fault]:
    kind: type = type(part)
    for fault in CHECKS[kind](part) if kind in CHECKS else ():
        yield fault._replace(key=f"{key}.{fault.key}".strip("."))
    for name in _fields_to_check(kind):
        value, at = getattr(part, name), f"{key}.{name}".lstrip(".")
        if isinstance(value, tuple):
            yield from (fault for place, entry in enumerate(value) for fault in _faults(entry, f"{at}[{place}]"))
        elif isinstance(value, dict):
            yield from (fault for name_, entry in value.items() for fault in _faults(entry, f"{at}.{name_}"))
        elif value is not None:
            yield from _faults(value, at)


@cache
def _fields_to_check(kind: type[object]) -> tuple[str, ...]:
    """Return the fields of a record in which others may lie that are looked at."""
    if not issubclass(kind, msgspec.Struct):
        return ()
    fields = msgspec.structs.fields(kind)
    return tuple(
        field.name for field in fields if any(inner in CHECKS or _fields_to_check(inner) for inner in _records(field.type))
    )


def _records(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from _records(inner)


# --- what all records are made of ----------------------------------------------------------------------------------------------


def _of_estimate(it: Estimate) -> Iterator[Fault]:
    slack = ROUNDING * max(abs(it.low), abs(it.high))
    if not it.low - slack <= it.value <= it.high + slack:
        yield Fault("value", it.value, f"outside of its interval, {it.low:g} to {it.high:g}")


def _negative(record: Record, *, but: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Yield the estimates of a record, those in its own fields, that begin below 0."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Estimate) and value.low < 0 and name not in but:
            yield Fault(f"{name}.low", value.low, "less than 0")


def _no_moment(
    record: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice | Site | GenerationSite | SiteFacts,
) -> Iterator[Fault]:
    try:
        datetime.fromisoformat(record.created)
    except ValueError:
        yield Fault("created", record.created, "no time, as 2026-11-22T08:00:00+00:00 is")


def _unequal(record: Record, one: str, other: str) -> Iterator[Fault]:
    first, second = len(getattr(record, one)), len(getattr(record, other))
    if first != second:
        yield Fault(other, second, f"entries, where {one} has {first}")


def _not_ascending(record: Record, name: str) -> Iterator[Fault]:
    values = getattr(record, name)
    place = next((at for at in range(1, len(values)) if values[at] <= values[at - 1]), None)
    if place is not None:
        yield Fault(f"{name}[{place}]", values[place], "not more than the one before")


def _twice(key: str, names: Iterator[Any]) -> Iterator[Fault]:
    name, count = next(iter(Counter(names).most_common(1)), (None, 1))
    if count > 1:
        yield Fault(key, name, "there twice")


# --- profiles -------------------------------------------------------------------------------------------------------------------


def _of_input(it: ModelInput) -> Iterator[Fault]:
    yield from _unequal(it, "shape", "example_shape")
    for name in ("batch_axis", "sequence_axis"):
        axis = getattr(it, name)
        if axis is not None and axis >= len(it.shape):
            yield Fault(name, axis, f"there are only {len(it.shape)} axes")


def _of_model(it: ModelFacts) -> Iterator[Fault]:
    yield from _twice("inputs", (entry.name for entry in it.inputs))


def _of_visit(it: Visit) -> Iterator[Fault]:
    if it.waited_s:
        # The only calls that are looked at one by one, and those of few visits.
        yield from _unequal(it, "latency_s", "waited_s")
        place = next((at for at, longer in enumerate(map(operator.ge, it.waited_s, it.latency_s)) if longer), None)
        if place is not None:
            yield Fault(f"waited_s[{place}]", it.waited_s[place], "as long as the call itself, or longer")


def _of_calibration(it: Calibration) -> Iterator[Fault]:
    yield from _unequal(it, "call_lengths_s", "call_factors")
    yield from _not_ascending(it, "call_lengths_s")
    yield from _negative(it, but=("call_ratio",))
    if not 0 < it.call_ratio.low:
        yield Fault("call_ratio.low", it.call_ratio.low, "not above 0")


def _of_stalls(it: Stalls) -> Iterator[Fault]:
    if it.gaps_s and it.watched_s < SHORTEST_WATCH_S:
        yield Fault("watched_s", it.watched_s, f"too short for the {len(it.gaps_s)} stalls in it")


def _of_site(it: Site) -> Iterator[Fault]:
    yield from _no_moment(it)
    yield from _twice("variants", (entry.id for entry in it.variants))
    known = {entry.id for entry in it.variants}
    if it.variants and all(entry.derived_from is not None for entry in it.variants):
        yield Fault("variants", len(it.variants), "none of them is the model as given")
    yield from _of_measurements(it.measurements, known)


def _of_measurements(measurements: tuple[Measurement, ...], variants: set[str]) -> Iterator[Fault]:
    for place, entry in enumerate(measurements):
        if entry.variant.removesuffix(AGAIN) not in variants:
            yield Fault(f"measurements[{place}].variant", entry.variant, "no variant of this site")
    yield from _twice("measurements", map(_point, measurements))
    odd = next((at for at, entry in enumerate(measurements) if _has_length(entry) != _has_length(measurements[0])), None)
    if odd is not None:
        length = measurements[odd].sequence_length
        yield Fault(f"measurements[{odd}].sequence_length", length, "other points have a length, or none has")


def _has_length(entry: Measurement) -> bool:
    return entry.sequence_length is not None


def _point(entry: Measurement) -> str:
    length = f", length {entry.sequence_length}" if entry.sequence_length is not None else ""
    setting = f"{entry.instances} x {entry.intra_op_num_threads} threads"
    return f"{entry.variant}, batch {entry.batch_size}{length}, {setting}"


def _of_profile(it: Profile) -> Iterator[Fault]:
    yield from _twice("sites", (site.hardware.id for site in it.sites))


# --- advice ---------------------------------------------------------------------------------------------------------------------


def _of_prediction(it: Prediction) -> Iterator[Fault]:
    yield from _negative(it, but=LOSSES)


def _of_curve(it: ServiceCurve) -> Iterator[Fault]:
    yield from _unequal(it, "batch_size", "latency_s")
    yield from _not_ascending(it, "batch_size")
    for place, latency in enumerate(it.latency_s):
        if latency.low <= 0:
            yield Fault(f"latency_s[{place}].low", latency.low, "not above 0")


def _of_verdict(it: Verdict) -> Iterator[Fault]:
    for kind, share in it.shares.items():
        if share.low < -ROUNDING or share.high > 1 + ROUNDING:
            yield Fault(f"shares.{kind}", [share.low, share.high], "not within 0 and 1")


def _of_advice(it: Advice) -> Iterator[Fault]:
    yield from _no_moment(it)
    yield from _unfounded(it)
    yield from _not_rising(it, "load_curve", "requests_per_s")


def _unfounded(it: Advice | GenerationAdvice | LanguageAdvice) -> Iterator[Fault]:
    """Yield an outcome that does not go with what is recommended."""
    if (it.outcome in ("change", "keep", "advice")) != (it.recommended is not None):
        yield Fault("outcome", it.outcome, f"but {'something' if it.recommended else 'nothing'} is recommended")


# --- generative models: profiles ---------------------------------------------------------------------------------------------------


def _of_step_visit(it: StepVisit) -> Iterator[Fault]:
    yield from _unequal(it, "wall_s", "cpu_s")


def _of_text_quality(it: TextQuality) -> Iterator[Fault]:
    share = it.greedy_agreement
    if share.low < -ROUNDING or share.high > 1 + ROUNDING:
        yield Fault("greedy_agreement", [share.low, share.high], "not within 0 and 1")


def _of_generation_site(it: GenerationSite) -> Iterator[Fault]:
    yield from _no_moment(it)
    yield from _twice("variants", (entry.id for entry in it.variants))
    known = {entry.id for entry in it.variants}
    for name in ("prefill", "decode", "mixed"):
        points = getattr(it, name)
        for place, entry in enumerate(points):
            if entry.variant not in known:
                yield Fault(f"{name}[{place}].variant", entry.variant, "no variant of this site")
        yield from _twice(name, map(_step_point, points))
    for place, replay in enumerate(it.replays):
        for key, named, there in (
            ("variant", replay.candidate.variant, known),
            ("hardware", replay.candidate.hardware, {it.hardware.id}),
        ):
            if named not in there:
                yield Fault(f"replays[{place}].candidate.{key}", named, f"no {key} of this site")


def _step_point(entry: PrefillPoint | DecodePoint | MixedPoint) -> str:
    lengths = (
        f"{name} {value}"
        for name in ("batch_size", "context_tokens", "tokens", "past_tokens")
        if (value := getattr(entry, name, 0))
    )
    return ", ".join((entry.variant, f"{entry.intra_op_num_threads} threads", *lengths))


def _of_generation_profile(it: GenerationProfile) -> Iterator[Fault]:
    yield from _twice("sites", (site.hardware.id for site in it.sites))


# --- generative models: advice -----------------------------------------------------------------------------------------------------


def _of_generation_candidate(it: GenerationCandidate) -> Iterator[Fault]:
    if it.policy != "prefill_first" and it.chunk_tokens is None:
        yield Fault("chunk_tokens", None, f"the policy {it.policy} reads prompts in parts of so many tokens")


def _of_quantiles(it: Quantiles) -> Iterator[Fault]:
    yield from _negative(it)
    for lower, upper in (("p50", "p90"), ("p90", "p99")):
        value, larger = getattr(it, lower).value, getattr(it, upper).value
        if larger < value * (1 - ROUNDING):
            yield Fault(f"{upper}.value", larger, f"below {lower}, {value:g}")


def _of_generation_prediction(it: GenerationPrediction) -> Iterator[Fault]:
    yield from _negative(it, but=LOSSES)


def _of_generation_advice(it: GenerationAdvice) -> Iterator[Fault]:
    yield from _no_moment(it)
    yield from _unfounded(it)
    yield from _twice("variants", (entry.id for entry in it.variants))
    yield from _of_charts(it)


def _of_charts(it: GenerationAdvice | LanguageAdvice) -> Iterator[Fault]:
    yield from _not_rising(it, "load_curve", "requests_per_s")
    yield from _not_rising(it, "kv_curve", "running_requests")


def _not_rising(it: Record, name: str, key: str) -> Iterator[Fault]:
    """Yield the first point of a curve that does not lie to the right of the one before."""
    points = [getattr(point, key) for point in getattr(it, name)]
    place = next((at for at in range(1, len(points)) if points[at] <= points[at - 1]), None)
    if place is not None:
        yield Fault(f"{name}[{place}].{key}", points[place], "not more than the one before")


# --- language models elsewhere -----------------------------------------------------------------------------------------------------


def _of_speculation_by_load(it: SpeculationByLoad) -> Iterator[Fault]:
    yield from _unequal(it, "running_requests", "speedup")
    yield from _not_ascending(it, "running_requests")
    for place, speedup in enumerate(it.speedup):
        if speedup.low < 0:
            yield Fault(f"speedup[{place}].low", speedup.low, "less than 0")


def _of_language_advice(it: LanguageAdvice) -> Iterator[Fault]:
    yield from _no_moment(it)
    yield from _unfounded(it)
    yield from _twice("devices", (device.id for device in it.devices))
    yield from _of_charts(it)
    known = {device.id for device in it.devices}
    for name in ("recommended", "likely", "next_best", "nearest_miss"):
        shown = getattr(it, name)
        if shown is not None and shown.deployment.device not in known:
            yield Fault(f"{name}.deployment.device", shown.deployment.device, f"none of the devices: {', '.join(sorted(known))}")


CHECKS: Mapping[type, Callable[[Any], Iterator[Fault]]] = {
    Advice: _of_advice,
    ApiAlternative: _negative,
    Calibration: _of_calibration,
    DeploymentPrediction: _negative,
    Estimate: _of_estimate,
    GenerationAdvice: _of_generation_advice,
    GenerationCandidate: _of_generation_candidate,
    GenerationPrediction: _of_generation_prediction,
    GenerationProfile: _of_generation_profile,
    GenerationSite: _of_generation_site,
    GenerationVariantSummary: _negative,
    LanguageAdvice: _of_language_advice,
    LoadPoint: _negative,
    LoadTest: _negative,
    ModelFacts: _of_model,
    ModelInput: _of_input,
    OfflineAdvice: _no_moment,
    OfflineChoice: _negative,
    Power: _negative,
    Prediction: _of_prediction,
    Profile: _of_profile,
    Quantiles: _of_quantiles,
    Replay: _negative,
    Replayed: _negative,
    ServiceCurve: _of_curve,
    Site: _of_site,
    SiteFacts: _no_moment,
    Speculation: _negative,
    SpeculationAdvice: _negative,
    SpeculationByLoad: _of_speculation_by_load,
    SpeculationChoice: _negative,
    Stalls: _of_stalls,
    StepVisit: _of_step_visit,
    TextQuality: _of_text_quality,
    TokenTimes: _negative,
    VariantSummary: _negative,
    Verdict: _of_verdict,
    Visit: _of_visit,
}
