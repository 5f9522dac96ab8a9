"""The first box of a report on a service: what is decided, a line each, money first; what stands below it agrees with it."""

from advisor import units
from advisor.quality_floor import RISING, UNBOUNDED, level_format, loss_format
from advisor.schema.advice import Advice, LoadTest
from advisor.schema.generation import GenerationAdvice
from advisor.schema.profile import QualityResult
from advisor.schema.record import Estimate
from advisor.schema.workload import Quality
from advisor.tell.options import subject, today_is_given
from advisor.tell.words.advice import AdviceWords, quantile_of, tail, target_of
from advisor.tell.words.figures import Row, Sentence, figure
from advisor.visits import fault_of, is_valid

NOT_GIVEN = "the workload does not give today's replicas (baseline.replicas)"
NOT_SERVED = "Not served for real yet: advisor verify would show it under real load."


def decision_rows(advice: Advice, words: AdviceWords) -> tuple[Row, ...]:
    """Return the lines of the box: what to do, cost, SLO, quality, how sure, until when; each is one cell, the parts of a sentence."""
    lines: dict[str, Sentence] = {
        "Decision": (words.what_to_do,),
        "Cost a month": of_a_month(advice, words.cost_because, _open_cost(advice)),
        "SLO": _slo(advice),
        "Quality": _quality(advice),
        "How sure": _certainty(advice, words),
        "Valid until": _valid(advice),
    }
    if words.what_binds is not None:
        lines = {"Decision": lines.pop("Decision"), "What binds": (f"{words.what_binds}.",), **lines}
    return tuple(Row(label=label, cells=parts) for label, parts in lines.items() if parts)


def _open_cost(advice: Advice) -> Sentence:
    """Return what is known of a cost that is not known well enough: both ends, and what is most likely."""
    known = advice.certainty
    ends = [] if known is None else [end for end in (known.quick, known.slow) if end is not None]
    if advice.likely is None or len(ends) < 2:
        return ("What keeping the target costs is not known.",)
    low, high = (units.usd(end.usd_per_hour * units.HOURS_PER_MONTH) for end in ends)
    likely = units.usd(advice.likely.cost_usd_per_hour.value * units.HOURS_PER_MONTH)
    return (
        (f"Most likely {likely}.",)
        if low == high
        else (f"Most likely {likely}, between {low} and {high} by how long calls take.",)
    )


# --- target, quality -------------------------------------------------------------------------------------------------------


def _slo(advice: Advice) -> Sentence:
    shown, slo = subject(advice), advice.workload.slo
    latency = tail(shown.latency_slo_s, units.seconds, shown.utilization_fraction)
    said: Sentence = (f"{quantile_of(advice)} ", latency, f", at most {target_of(advice)}: ")
    kept = (
        spare(shown.latency_slo_s, slo.latency_s) if shown.meets_slo else "missed" if shown.misses_slo else "not shown to be kept"
    )
    return (*said, kept, *_served(advice), ".")


def spare(estimate: Estimate, limit: float) -> str:
    """Return that a target is kept, and with how much to spare."""
    return f"kept, with {units.percent(1 - estimate.high / limit)} to spare at the upper end"


def _served(advice: Advice) -> Sentence:
    test = _own_test(advice)
    if test is None:
        return ()
    missed = "" if test.meets_slo or not is_valid(test) else ", which MISSED it"
    return ("; in the load test ", figure(test.latency_slo_s, units.seconds), missed)


def _own_test(advice: Advice) -> LoadTest | None:
    return next((test for test in advice.load_tests if test.candidate == subject(advice).candidate), None)


def _quality(advice: Advice) -> Sentence:
    shown = subject(advice).candidate.variant
    measured = next((it.quality for it in advice.variants if it.id == shown), None)
    return of_quality(measured, advice.workload.quality, is_todays=shown == advice.baseline.candidate.variant)


def of_quality(measured: QualityResult | None, floor: Quality | None, *, is_todays: bool) -> Sentence:
    """Return what is known of the quality of a variant beside what it may lose."""
    if is_todays:
        return ("As today: the same file is served.",)
    if measured is None:
        return ("Not measured." if floor is None else "Not measured, so it could not be advised on quality.",)
    return _lost(measured, None if floor is None else floor.max_drop)


def _lost(quality: QualityResult, max_drop: float | None) -> Sentence:
    """Return a metric before and after in its own measure, what is lost, and what may be."""
    level, drop = level_format(quality.metric), figure(quality.drop, loss_format(quality.metric))
    word = "more" if quality.metric in RISING else "lost"
    said: Sentence = (f"{quality.metric} {level(quality.baseline)}, then {level(quality.value)}: ", drop, f" {word}")
    return (*said, "." if max_drop is None else f", allowed {_allowed(quality, max_drop)}.")


def _allowed(quality: QualityResult, max_drop: float) -> str:
    """Return what may be lost of a metric, and where that ends unless it is a part of the metric itself."""
    allowed = loss_format(quality.metric)(max_drop)
    if quality.metric in UNBOUNDED:
        return allowed
    end = quality.baseline + max_drop if quality.metric in RISING else quality.baseline - max_drop
    return f"{allowed}, {'up' if quality.metric in RISING else 'down'} to {level_format(quality.metric)(end)}"


# --- how sure, how long ----------------------------------------------------------------------------------------------------


def _certainty(advice: Advice, words: AdviceWords) -> Sentence:
    known = advice.certainty
    if advice.outcome == "inconclusive" and known is not None:
        return not_enough(known.because, known.settled_by[:1])
    said = [] if words.certainty is None else [f"{words.certainty}."]
    test = _own_test(advice)
    if test is not None:
        held = "as predicted" if test.prediction_held else "not as predicted, which the figures above take into account"
        fault = fault_of(test)
        valid = "" if fault is None else f", but {fault}, so the test is not valid"
        said.append(f"Served for real, {held}{valid}.")
    elif advice.recommended is not None:
        said.append(NOT_SERVED)
    return (" ".join(said),) if said else ()


def not_enough(because: tuple[str, ...], settled_by: tuple[str, ...]) -> Sentence:
    """Return why an answer is not known, and what would settle it."""
    settled = f" It would be settled by {', or '.join(settled_by)}." if settled_by else ""
    return (f"Not enough: {'; '.join(because)}.{settled}",)


def _valid(advice: Advice) -> Sentence:
    """Return the first day on which something ends the advice, and what; what has no day is named in its own part of the report."""
    if advice.outlook is None or advice.recommended is None:
        return ()
    dated = sorted((entry.on, entry.what) for entry in advice.outlook.expires_when if entry.on is not None)
    undated = len(advice.outlook.expires_when) - len(dated)
    more = f" {units.counted(undated, 'change')} would end it sooner, below." if undated else ""
    if not dated:
        return (f"No day is known.{more}",)
    day, what = dated[0]
    return (f"{day}: {what}.{more}",)


# --- what a month costs before and after, of every kind of advice that is compared with what runs today ------------------------


def of_a_month(advice: Advice | GenerationAdvice, because: Sentence, open_cost: Sentence) -> Sentence:
    """Return the cost of a month before and after with the signed difference.

    `because` explains it where today's cost is not known or stays, `open_cost` is what is known of a cost that is not known well enough.
    """
    today = a_month(advice.baseline.cost_usd_per_hour) if today_is_given(advice) else None
    paid: Sentence = () if today is None else (figure(today, units.usd), " today")
    if advice.outcome == "inconclusive":
        return (*paid, ". ", *open_cost) if paid else open_cost
    if advice.recommended is None:
        return (*paid, ". Nothing to compare it with.") if paid else ("Not known: nothing that was searched keeps the target.",)
    after = figure(a_month(advice.recommended.cost_usd_per_hour), units.usd)
    if today is None:
        return (after, f"; what is paid today is not known, for {NOT_GIVEN}.", *((" ",) if because else ()), *because)
    if advice.outcome == "keep":
        return (after, ", as today. ", *because)
    return (*paid, ", ", after, " after it: ", figure(_difference(advice), _signed), f". {_for_what(advice)}")


def a_month(usd_per_hour: Estimate) -> Estimate:
    """Return a cost of an hour as one of a month."""
    return Estimate(
        value=usd_per_hour.value * units.HOURS_PER_MONTH,
        low=usd_per_hour.low * units.HOURS_PER_MONTH,
        high=usd_per_hour.high * units.HOURS_PER_MONTH,
        basis=usd_per_hour.basis,
        source=f"{usd_per_hour.source}, {units.HOURS_PER_MONTH:g} hours a month",
    )


def _difference(advice: Advice | GenerationAdvice) -> Estimate:
    """Return what a month costs more, below zero where it costs less; of a saving that is claimed, exactly that."""
    if advice.saving is not None:
        saved = advice.saving.usd_per_hour
        return a_month(Estimate(value=-saved.value, low=-saved.high, high=-saved.low, basis=saved.basis, source=saved.source))
    assert advice.recommended is not None, "there is something to compare with today"
    ours, today = advice.recommended.cost_usd_per_hour, advice.baseline.cost_usd_per_hour
    return a_month(
        Estimate(
            value=ours.value - today.value,
            low=ours.low - today.high,
            high=ours.high - today.low,
            basis=ours.basis,
            source="the recommendation less today",
        )
    )


def _signed(usd: float) -> str:
    return f"{'-' if usd < 0 else '+'}{units.usd(abs(usd))}"


def _for_what(advice: Advice | GenerationAdvice) -> str:
    if advice.saving is not None:
        return f"{units.percent(advice.saving.fraction)} of today's cost saved."
    if advice.baseline.meets_slo:
        return "Today's configuration loses more quality than allowed."
    return f"Restores the SLO, which today's configuration {'misses' if advice.baseline.misses_slo else 'is not shown to keep'}."
