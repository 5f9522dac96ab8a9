"""The advice in five lines, for a terminal and the log of a pipeline."""

from advisor import units
from advisor.inert.record import inert_parts
from advisor.quality_floor import loss_format
from advisor.schema.advice import Advice, LoadTest, OfflineAdvice, Prediction
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.record import Estimate
from advisor.tell.generation.summary import lines as lines_on_generation
from advisor.tell.generation.summary import replay_lines
from advisor.tell.language.summary import lines as lines_on_language
from advisor.tell.options import today_is_given
from advisor.tell.words.advice import tail
from advisor.tell.words.figures import Format, as_text, figure, setting
from advisor.tell.words.tables import format_of_loss, ground
from advisor.visits import fault_of


def summary(advice: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice) -> str:
    """Return five lines: what to do, its cost, its latency against the target, its quality, its risk; no newline at the end.

    One more line for each kind of hardware if there is a choice. For a batch job three lines: what to do, its cost, its time against the
    deadline. For a generative model a line for each of its targets.
    """
    advice = inert_parts(advice)
    if isinstance(advice, LanguageAdvice):
        return "\n".join(lines_on_language(advice))
    if isinstance(advice, GenerationAdvice):
        return "\n".join(lines_on_generation(advice))
    if isinstance(advice, OfflineAdvice):
        return _offline(advice)
    shown = advice.recommended or advice.likely or advice.nearest_miss
    lines = (
        advice.headline,
        f"cost     {_cost(advice, shown)}",
        f"latency  {_latency(advice, shown)}",
        f"quality  {_quality(advice, shown)}",
        f"risk     {_risk(advice)}",
    )
    return "\n".join([*lines, *_ranking(advice)])


def questions(advice: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice) -> tuple[str, ...]:
    """Return what advice asks back, a line each."""
    return advice.questions if isinstance(advice, Advice) else ()


def full_summary(advice: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice) -> str:
    """Return the summary, and a paragraph for each load test where there were any; no newline at the end."""
    advice = inert_parts(advice)
    tests = load_tests(advice) if isinstance(advice, Advice) else ""
    if isinstance(advice, GenerationAdvice):
        tests = "\n".join(replay_lines(advice))
    return "\n".join(part for part in (summary(advice), tests) if part)


def _ranking(advice: Advice) -> list[str]:
    lines = []
    for rank, place in enumerate(advice.places, start=1):
        best = place.prediction
        age = f", price of {place.price_date}{' (old)' if place.price_is_stale else ''}" if place.price_date else ""
        kept = _kept(best)
        lines.append(
            f"{rank:2}  {place.hardware:<14} {ground(place):<9} {best.candidate.replicas} x {best.candidate.variant}, "
            f"{_text(best.cost_usd_per_hour, units.usd_per_hour)}{age}, "
            f"{units.quantile(advice.workload.slo.quantile)} {_text(best.latency_slo_s, units.seconds)}: {kept}"
        )
    return lines


def _offline(advice: OfflineAdvice) -> str:
    shown = advice.recommended or advice.nearest_miss
    deadline = f"deadline {units.seconds(advice.workload.offline.deadline_s)}"
    if shown is None:
        return f"{advice.headline}\ntime     not predicted, {deadline}"
    is_open = shown.duration_s.low <= advice.workload.offline.deadline_s
    kept = "kept" if shown.meets_deadline else "not shown to be kept" if is_open else "missed"
    lines = (
        advice.headline,
        f"cost     {_text(shown.cost_usd, units.usd)}",
        f"time     {_text(shown.duration_s, units.seconds)}, {deadline}: {kept}",
    )
    return "\n".join(lines)


def _text(estimate: Estimate, format_: Format) -> str:
    return as_text(figure(estimate, format_))


def _cost(advice: Advice, shown: Prediction | None) -> str:
    if shown is None:
        today = _text(advice.baseline.cost_usd_per_hour, units.usd_per_hour) if today_is_given(advice) else "not known"
        return f"today {today}; nothing to compare it with"
    cost = _text(shown.cost_usd_per_hour, units.usd_per_hour)
    if advice.outcome == "inconclusive":
        return f"most likely {cost}"
    if not today_is_given(advice):
        return cost
    if advice.outcome == "keep":
        return f"{cost}, as today"
    if advice.saving is None:
        return cost
    return f"{cost}, saves {_text(advice.saving.usd_per_year, units.usd_per_year)} at today's traffic"


def _latency(advice: Advice, shown: Prediction | None) -> str:
    slo = advice.workload.slo
    target = f"target {units.seconds(slo.latency_s)}"
    if shown is None:
        return f"{units.quantile(slo.quantile)} not predicted, {target}"
    kept = _kept(shown)
    return f"{units.quantile(slo.quantile)} {_tail(shown.latency_slo_s, shown.utilization_fraction)}, {target}: {kept}"


def _kept(prediction: Prediction) -> str:
    return "kept" if prediction.meets_slo else "missed" if prediction.misses_slo else "not shown to be kept"


def _tail(latency_s: Estimate, utilization: Estimate) -> str:
    return as_text(tail(latency_s, units.seconds, utilization))


def _quality(advice: Advice, shown: Prediction | None) -> str:
    floor = advice.workload.quality
    limit = f"allowed: at most {loss_format(floor.metric)(floor.max_drop)} of {floor.metric}" if floor else "no floor set"
    if shown is not None and shown.candidate.variant == advice.baseline.candidate.variant:
        return f"as today, {limit}"
    if shown is None or shown.quality_drop is None:
        return f"drop not measured, {limit}"
    return f"drop {_text(shown.quality_drop, format_of_loss(advice))}, {limit}"


def _risk(advice: Advice) -> str:
    if advice.outcome == "inconclusive" and advice.certainty is not None:
        return "; ".join((*advice.certainty.because[:1], *(f"settled by {way}" for way in advice.certainty.settled_by[:1])))
    if advice.binding_constraint is not None:
        return f"nothing meets the target: {advice.binding_constraint}"
    if not advice.risks:
        return "none found"
    more = len(advice.risks) - 1
    return advice.risks[0] + (f" (and {more} more in the report)" if more else "")


def load_tests(advice: Advice) -> str:
    """Return what the load tests observed and what was predicted, a paragraph each; no newline at the end."""
    return "\n".join(line for test in advice.load_tests for line in _load_test(test, advice))


def _load_test(test: LoadTest, advice: Advice) -> tuple[str, ...]:
    candidate, slo = test.candidate, advice.workload.slo
    cores = setting(candidate.instances, candidate.intra_op_num_threads)
    load = f"{test.requests:,} requests at {units.rate(test.offered_requests_per_s)}"
    kept = "target kept" if test.meets_slo else "target MISSED"
    fault = fault_of(test)
    valid = "" if fault is None else f"; NOT VALID, {fault}"
    expected = test.expected
    rows = (
        ("p50", _text(expected.latency_p50_s, units.seconds), test.latency_p50_s),
        ("p95", _text(expected.latency_p95_s, units.seconds), test.latency_p95_s),
        ("p99", _tail(expected.latency_p99_s, expected.utilization_fraction), test.latency_p99_s),
    )
    return (
        f"served   {candidate.variant}, {cores}, batches of up to {candidate.max_batch_size}, 1 of {candidate.replicas}: {load}",
        *(
            f"  {name}    {units.seconds(it.value)} ({units.interval(it.value, it.low, it.high, units.seconds)}), expected {before}"
            for name, before, it in rows
        ),
        f"  busy   {units.percent(test.utilization_fraction)}, expected {units.percent(expected.utilization_fraction.value)}",
        f"  {units.quantile(slo.quantile)} within {units.seconds(slo.latency_s)}: {kept}{valid}",
    )
