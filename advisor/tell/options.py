"""Which configurations the report compares, and the parts they play in it."""

from advisor.schema.advice import Advice, Candidate, Prediction, ServiceCurve
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.generation import GenerationAdvice
from advisor.schema.record import Record


class Option(Record, frozen=True, kw_only=True):
    """A configuration with its number in chart and table; `roles` is empty for one that is on the frontier and no more."""

    number: int
    roles: tuple[str, ...]
    on_frontier: bool
    prediction: Prediction


TODAY = "today"
UNPROVEN = "quality not measured"
# By what ties cannot be told apart.
TIED = "They cost the same, and the intervals of their {} overlap. Any of them is as good a choice."
NEEDED_TODAY = "today's configuration, as many as it would need"


def today_is_given(advice: Advice | GenerationAdvice) -> bool:
    """Return whether the user said how many replicas run today; without that there is no cost today."""
    return advice.workload.baseline is not None and advice.workload.baseline.replicas is not None


def has_cost(prediction: Prediction, advice: Advice) -> bool:
    """Return whether anything is known of the cost: of today's configuration, its replicas, or how many of them would be enough."""
    return prediction.candidate != advice.baseline.candidate or today_is_given(advice) or prediction.meets_slo


def options(advice: Advice) -> tuple[Option, ...]:
    """Return every configuration that the report names, once, the cheapest first."""
    today = advice.baseline if has_cost(advice.baseline, advice) else None
    parts = [(TODAY if today_is_given(advice) else NEEDED_TODAY, today), ("recommended", advice.recommended)]
    parts += [("most likely", advice.likely), ("nearest miss", advice.nearest_miss)]
    parts += [("tie", prediction) for prediction in advice.ties]
    parts += [(UNPROVEN, advice.unproven)]
    untrained = [it for it in advice.students if not it.student.is_trained]
    parts += [(IF_IT_HOLDS, prediction) for it in untrained for prediction in (it.served, it.alone)]
    roles: dict[Candidate, tuple[str, ...]] = {}
    predictions = {prediction.candidate: prediction for prediction in advice.frontier}
    frontier = set(predictions)
    for role, prediction in parts:
        if prediction is not None:
            roles[prediction.candidate] = (*roles.get(prediction.candidate, ()), role)
            predictions[prediction.candidate] = prediction
    return tuple(
        Option(
            number=number,
            roles=roles.get(prediction.candidate, ()),
            on_frontier=prediction.candidate in frontier,
            prediction=prediction,
        )
        for number, prediction in enumerate(sorted(predictions.values(), key=_cost_then_latency), start=1)
    )


def subject(advice: Advice) -> Prediction:
    """Return the prediction that the report is about: what is recommended, most likely or the nearest miss, or what runs today."""
    return advice.recommended or advice.likely or advice.nearest_miss or advice.baseline


def curves_shown(advice: Advice) -> tuple[ServiceCurve, ...]:
    """Return the measured curves of one machine: of the one that the advice is to run on, if it was measured, else of the first."""
    shown = subject(advice)
    wanted = [curve for curve in advice.service_curves if curve.hardware == shown.candidate.hardware]
    return tuple(wanted or (curve for curve in advice.service_curves if curve.hardware == advice.sites[0].hardware))


def _cost_then_latency(prediction: Prediction) -> tuple[float, float]:
    return prediction.cost_usd_per_hour.value, prediction.latency_slo_s.value
