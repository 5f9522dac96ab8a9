"""What a file of advice says, as far as two of a kind are compared: each figure, or why it is not known."""

import math
from typing import NamedTuple

from msgspec.structs import replace

from advisor import units
from advisor.decide.comparison.quality import Known, absolute
from advisor.decide.lifetime.opportunities import price_expiry
from advisor.decide.service.energy import of_a_month
from advisor.schema.advice import Advice, OfflineAdvice, OfflineChoice, Prediction, VariantSummary
from advisor.schema.gate.comparison import AdviceKind, Kept, Side
from advisor.schema.generation import GenerationAdvice, GenerationPrediction, GenerationVariantSummary
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.schema.profile import QualityResult
from advisor.schema.record import Estimate
from advisor.visits import is_valid

AnyAdvice = Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice
AnyPrediction = Prediction | OfflineChoice | GenerationPrediction | DeploymentPrediction
# Money first; the names are those of the records, and the keys of a policy.
FIGURES: dict[AdviceKind, tuple[str, ...]] = {
    "online": (
        *("cost_usd_per_month", "latency_p99_s", "throughput_items_per_s", "quality", "energy_joules_per_request", "bytes"),
        *("valid_days",),
    ),
    "offline": ("cost_usd", "duration_s", "valid_days"),
    "generation": (*("cost_usd_per_month", "ttft_p99_s", "tpot_p99_s", "decode_tokens_per_s", "quality", "bytes", "valid_days"),),
    "language": (
        *("cost_usd_per_month", "ttft_p99_s", "tpot_p99_s", "energy_j_per_output_token", "weight_bytes_per_device", "valid_days"),
    ),
}
PROMISE: dict[AdviceKind, str] = {
    "online": "meets_slo",
    "offline": "meets_deadline",
    "generation": "meets_slo",
    "language": "meets_slo",
}
KINDS: dict[type, AdviceKind] = {
    Advice: "online",
    OfflineAdvice: "offline",
    GenerationAdvice: "generation",
    LanguageAdvice: "language",
}
NOT_PREDICTED = "nothing was predicted"
NOT_MEASURED = "it was not measured"


class Answer(NamedTuple):
    """A file of advice as far as it is compared; `file_sha256` is of what is served, `why_open` is empty where the answer is known."""

    kind: AdviceKind
    side: Side
    figures: dict[str, Known]
    quality: QualityResult | None
    file_sha256: str | None
    speeds: dict[str, Estimate]  # by variant, as measured where the answer runs: requests or tokens a second
    kept: Kept
    why_open: str


def answer(advice: AnyAdvice, now: str) -> Answer:
    """Return what is compared of a file of advice; `now` is the day from which it has to hold."""
    kind = KINDS[type(advice)]
    shown, which = _shown(advice)
    until = _valid_until(advice)
    side = _side(advice, shown, which, until)
    days = None if until is None else units.days_between(now, until)
    found: dict[str, Known] = {}
    quality: QualityResult | None = None
    if isinstance(advice, Advice) and isinstance(shown, Prediction):
        found, quality = _online(advice, shown)
    elif isinstance(shown, OfflineChoice):
        found = {"cost_usd": Known(shown.cost_usd), "duration_s": Known(shown.duration_s)}
    elif isinstance(advice, GenerationAdvice) and isinstance(shown, GenerationPrediction):
        found, quality = _generation(advice, shown)
    elif isinstance(advice, LanguageAdvice) and isinstance(shown, DeploymentPrediction):
        found = _language(advice, shown)
    found["valid_days"] = Known(None, "nothing says until when it holds") if days is None else Known(_exact(days, "its expiry"))
    return Answer(
        kind=kind,
        side=side,
        figures={name: found.get(name, Known(None, NOT_PREDICTED)) for name in FIGURES[kind]},
        quality=quality,
        file_sha256=_file_sha256(advice, shown),
        speeds=_speeds(advice, shown),
        kept=_kept(advice, shown),
        why_open=_why_open(advice),
    )


def is_inconclusive(advice: AnyAdvice) -> bool:
    """Return whether the answer is not known well enough; of a batch job, whether what misses the deadline may yet keep it."""
    if isinstance(advice, OfflineAdvice):
        miss = advice.nearest_miss
        return miss is not None and miss.duration_s.low <= advice.workload.offline.deadline_s
    return advice.outcome == "inconclusive"


def _why_open(advice: AnyAdvice) -> str:
    if not is_inconclusive(advice):
        return ""
    because: tuple[str, ...] = ()
    if isinstance(advice, Advice) and advice.certainty is not None:
        because = advice.certainty.because
    elif isinstance(advice, GenerationAdvice | LanguageAdvice):
        because = advice.because
    return because[0] if because else "the answer is not known well enough"


def _shown(advice: AnyAdvice) -> tuple[AnyPrediction | None, str | None]:
    """Return the prediction that the advice is about, and which it is; today's configuration is none of them."""
    named = (
        ("recommended", advice.recommended),
        ("most likely", None if isinstance(advice, OfflineAdvice) else advice.likely),
        ("nearest miss", advice.nearest_miss),
    )
    return next(((it, which) for which, it in named if it is not None), (None, None))


def _kept(advice: AnyAdvice, shown: AnyPrediction | None) -> Kept:
    if isinstance(advice, OfflineAdvice):
        if advice.recommended is not None:
            return "kept"
        return "not shown" if is_inconclusive(advice) else "missed"
    if advice.outcome == "infeasible":
        return "missed"
    if shown is None or isinstance(shown, OfflineChoice):
        return "not shown"
    if isinstance(advice, Advice) and isinstance(shown, Prediction):
        mine = [test for test in advice.load_tests if test.candidate == shown.candidate and is_valid(test)]
        if not all(test.meets_slo for test in mine):
            return "missed"  # served for real, whatever is predicted
    return "kept" if shown.meets_slo else "missed" if shown.misses_slo else "not shown"


def _side(advice: AnyAdvice, shown: AnyPrediction | None, which: str | None, until: str | None) -> Side:
    variant, hardware, replicas = _served(shown)
    return Side(
        created=advice.created,
        model=advice.model.name if hasattr(advice.model, "name") else advice.model.architecture,
        model_sha256=advice.model.sha256,
        headline=advice.headline,
        outcome=None if isinstance(advice, OfflineAdvice) else advice.outcome,
        answer=which,  # type: ignore[arg-type]  # one of the three names of `_shown`
        variant=variant,
        hardware=hardware,
        replicas=replicas,
        valid_until=until,
    )


def _served(shown: AnyPrediction | None) -> tuple[str | None, str | None, int | None]:
    """Return what is served, on what, and how often."""
    if shown is None:
        return None, None, None
    if isinstance(shown, DeploymentPrediction):
        it = shown.deployment
        return f"weights in {it.weights}, KV cache in {it.kv}", f"{it.tensor_parallel} x {it.device}", it.replicas
    return shown.candidate.variant, shown.candidate.hardware, shown.candidate.replicas


def _valid_until(advice: AnyAdvice) -> str | None:
    """Return the first date on which the advice ends; where it names none, that on which the prices of its day are too old."""
    outlook = advice.outlook if isinstance(advice, Advice) else None
    dates = [entry.on for entry in outlook.expires_when if entry.on is not None] if outlook is not None else []
    return min(dates, default=price_expiry(None, advice.created).on)


# --- figures -------------------------------------------------------------------------------------------------------------------


def _online(advice: Advice, shown: Prediction) -> tuple[dict[str, Known], QualityResult | None]:
    row = _row(advice, shown)
    quality = None if row is None else row.quality
    joules = shown.energy_joules_per_request
    return {
        "cost_usd_per_month": Known(_online_cost(advice, shown)),
        "latency_p99_s": Known(shown.latency_p99_s),
        "throughput_items_per_s": Known(None if row is None else row.throughput_items_per_s, NOT_MEASURED),
        "quality": absolute(quality),
        "energy_joules_per_request": Known(joules, "the power of the hardware is not known"),
        "bytes": Known(None if row is None else _exact(row.bytes, "the variant's file"), NOT_MEASURED),
    }, quality


def _online_cost(advice: Advice, shown: Prediction) -> Estimate:
    """Return the cost of a month from the fewest replicas that may be enough to the most that may be needed.

    The price of a replica is known; how many it takes hangs on service times, and the certainty of the advice has both ends.
    """
    hour = shown.cost_usd_per_hour
    month = shown.cost_usd_per_month or of_a_month(hour)
    if advice.certainty is None or hour.value <= 0:
        return month
    certain = advice.certainty
    ends = [end.usd_per_hour for end in (certain.quick, certain.likely, certain.slow) if end is not None]
    by_hour = month.value / hour.value
    return replace(
        month,
        low=min(month.low, *(by_hour * usd for usd in ends)) if ends else month.low,
        high=max(month.high, *(by_hour * usd for usd in ends)) if ends else month.high,
    )


def _generation(advice: GenerationAdvice, shown: GenerationPrediction) -> tuple[dict[str, Known], QualityResult | None]:
    row = next((it for it in advice.variants if it.id == shown.candidate.variant), None)
    quality = row.quality.perplexity if row is not None and row.quality is not None else None
    month = of_a_month(shown.cost_usd_per_hour)
    return {
        "cost_usd_per_month": Known(_with_fewer(month, shown, shown.candidate.replicas, advice.mean_requests_per_s)),
        **_token_times(shown),
        "decode_tokens_per_s": Known(None if row is None else row.decode_tokens_per_s, NOT_MEASURED),
        "quality": absolute(quality),
        "bytes": Known(None if row is None else _exact(row.bytes, "the variant's file"), NOT_MEASURED),
    }, quality


def _language(advice: LanguageAdvice, shown: DeploymentPrediction) -> dict[str, Known]:
    month, replicas = shown.cost_usd_per_month, shown.deployment.replicas
    return {
        "cost_usd_per_month": Known(_with_fewer(month, shown, replicas, advice.mean_requests_per_s)),
        **_token_times(shown),
        "energy_j_per_output_token": Known(shown.energy_j_per_output_token, "the power of the device is not known"),
        "weight_bytes_per_device": Known(_exact(shown.weight_bytes_per_device, "the precision of the weights")),
    }


def _token_times(shown: GenerationPrediction | DeploymentPrediction) -> dict[str, Known]:
    tpot = shown.times.tpot_s
    return {
        "ttft_p99_s": Known(shown.times.ttft_s.p99),
        "tpot_p99_s": Known(None if tpot is None else tpot.p99, "no answer has a second token"),
    }


def _with_fewer(
    month: Estimate, shown: GenerationPrediction | DeploymentPrediction, replicas: int, requests_per_s: float
) -> Estimate:
    """Return the cost of a month down to that of as few replicas as are enough at the upper end of what one carries."""
    capacity = shown.capacity_requests_per_s
    if capacity is None or capacity.high <= 0:
        return month
    fewest = min(replicas, max(1, math.ceil(requests_per_s * replicas / capacity.high)))
    return replace(month, low=min(month.low, month.value * fewest / replicas))


def _row(advice: Advice, shown: Prediction) -> VariantSummary | None:
    """Return the variant as it was measured on the hardware of the answer, else wherever it was measured."""
    rows = [it for it in advice.variants if it.id == shown.candidate.variant]
    return next((it for it in rows if it.hardware == shown.candidate.hardware), next(iter(rows), None))


def _speeds(advice: AnyAdvice, shown: AnyPrediction | None) -> dict[str, Estimate]:
    """Return the measured speed of every variant, that of the hardware of the answer before that of any other."""
    if isinstance(advice, GenerationAdvice):
        return {it.id: it.decode_tokens_per_s for it in advice.variants if it.decode_tokens_per_s is not None}
    if not isinstance(advice, Advice) or not isinstance(shown, Prediction):
        return {}
    rows = sorted(advice.variants, key=lambda it: it.hardware == shown.candidate.hardware)
    return {it.id: it.throughput_items_per_s for it in rows if it.throughput_items_per_s is not None}


def _file_sha256(advice: AnyAdvice, shown: AnyPrediction | None) -> str | None:
    """Return the hash of what is served: equal files are of equal quality, whoever measured it."""
    if isinstance(advice, Advice) and isinstance(shown, Prediction):
        row: VariantSummary | GenerationVariantSummary | None = _row(advice, shown)
        return row.sha256 if isinstance(row, VariantSummary) else None
    return None


def _exact(value: float, source: str) -> Estimate:
    return Estimate(value=value, low=value, high=value, basis="measured", source=source)
