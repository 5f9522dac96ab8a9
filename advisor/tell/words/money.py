"""What a month costs today and after a change: the same for every kind of advice that is compared with what runs today."""

from advisor import units
from advisor.schema.advice import Advice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.record import Estimate
from advisor.tell.options import today_is_given
from advisor.tell.words.figures import Sentence, figure

NOT_GIVEN = "the workload does not give today's replicas (baseline.replicas)"


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
        return (after, f"; what is paid today is not known, for {NOT_GIVEN}. ", *because)
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
