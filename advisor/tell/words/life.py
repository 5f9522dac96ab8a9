"""The words of the lifetime cost: what dominates it, how firm that is, what to do about it and until when."""

from typing import TYPE_CHECKING

from advisor import units
from advisor.schema.lifetime import (
    USUAL_FACTOR,
    BreakEven,
    Classification,
    CostLine,
    Expiry,
    Finding,
    Opportunity,
    Outlook,
    Verdict,
)
from advisor.schema.record import Record
from advisor.tell.words.figures import Figure, Row, Sentence, figure, written

if TYPE_CHECKING:
    from advisor.schema.advice import Advice, Saving

MOST_FLIPS = 6
DEFAULT_MONTHS = 12.0  # where the workload says nothing of its life
NOT_PAID_BACK = "not within the horizon"
NO_SHARES = "No shares can be given: the costs under lifecycle in the workload are not known."
NO_FLIP = "No single input that can be set, changed within reach, changes the verdict."


class OpportunityRow(Record, frozen=True, kw_only=True):
    """One change, what it saves and whether it is worth it."""

    title: str
    change: str
    saves: Figure
    once: Figure
    payback: Figure
    by: str  # "by 2027-03-11", empty where there is no such day
    pays: bool
    worth: str
    note: str
    effort: Figure
    risk: str


class BreakEvenRow(Record, frozen=True, kw_only=True):
    """From when and from which traffic on a lever has paid for itself."""

    title: str
    because: str
    saves: Figure
    once: Figure
    after: Figure
    on: str
    with_traffic: str


class LifeWords(Record, frozen=True, kw_only=True):
    """What is reported of the life of a model; None and () where there is nothing to say."""

    horizon: str
    verdict: Sentence
    because: str
    share_of_serving: Sentence
    no_shares: str | None
    firmness: str
    turned_by: tuple[str, ...]
    flips: tuple[str, ...]
    lines: tuple[Row, ...]
    rules: str | None
    firing: tuple[Finding, ...]
    other_rules: str
    others: tuple[Finding, ...]
    answer: str | None
    ranked: str | None
    saves_a_year: str  # the name of what an opportunity saves, which is no saving at today's traffic
    opportunities: tuple[OpportunityRow, ...]
    not_judged: str | None
    break_even: str | None
    break_evens: tuple[BreakEvenRow, ...]
    expiry: str | None
    expires: tuple[Row, ...]


def life_of_advice(advice: "Advice") -> LifeWords:
    """Return what advice says of the life of its model."""
    life = advice.workload.lifecycle
    return life_words(advice.verdict, advice.outlook, life.horizon_months if life else DEFAULT_MONTHS, advice.saving)


def life_words(
    verdict: Verdict, outlook: Outlook | None, horizon_months: float, saving_today: "Saving | None" = None
) -> LifeWords:
    """Return what is reported of the life of a model over so many months, beside what is saved at today's traffic and prices."""
    horizon = units.months(horizon_months)
    found = outlook.opportunities if outlook else ()
    firing = tuple(entry for entry in verdict.findings if entry.outcome == "fires")
    others = tuple(entry for entry in verdict.findings if entry.outcome != "fires")
    ranked = (
        "One thing changed, the rest as it is; what is saved by several does not add up. Ranked by what is left of the saving over "
        f"{horizon} after what it costs once.{_unlike_today(found, saving_today, horizon)}"
    )
    return LifeWords(
        horizon=horizon,
        verdict=_verdict(verdict, horizon),
        because=verdict.because,
        share_of_serving=_share_of_serving(verdict, horizon),
        no_shares=None if verdict.shares else NO_SHARES,
        firmness=firmness(verdict),
        turned_by=tuple(f"At {end}" for end in verdict.turned_by),
        flips=flips(verdict, MOST_FLIPS),
        lines=tuple(_line(entry) for entry in verdict.lines),
        rules=f"{units.counted(len(firing), 'rule')} that speak{'s' if len(firing) == 1 else ''}" if verdict.findings else None,
        firing=firing,
        other_rules=f"{units.counted(len(others), 'rule')} silent or unknown",
        others=others,
        answer=outlook.answer if outlook else None,
        ranked=ranked if found else None,
        saves_a_year=f"Saves a year, mean of {horizon}",
        opportunities=tuple(
            _opportunity(entry, is_weighed=outlook is not None and outlook.change_nothing is not None) for entry in found
        ),
        not_judged=f"{units.counted(len(outlook.not_judged), 'change')} not evaluated"
        if outlook and outlook.not_judged
        else None,
        break_even="When each lever has paid for itself, and from which traffic on" if verdict.break_evens else None,
        break_evens=tuple(_break_even(entry) for entry in verdict.break_evens),
        expiry="Ask again when any of this comes true" if outlook else None,
        expires=tuple(_expiry(entry) for entry in outlook.expires_when) if outlook else (),
    )


# --- what dominates, and how firm that is ----------------------------------------------------------------------------------


def _verdict(verdict: Verdict, horizon: str) -> Sentence:
    if verdict.dominated_by is None:
        sentence = "Whether serving or fine-tuning dominates the cost is not known"
    elif verdict.dominated_by == "mixed":
        sentence = "Neither serving nor training dominates the cost"
    else:
        sentence = f"The cost is dominated by {verdict.dominated_by}"
    if verdict.total_usd is None:
        return (sentence,)
    return (f"{sentence}: ", figure(verdict.total_usd, units.usd), f" over {horizon}")


def _share_of_serving(verdict: Verdict, horizon: str) -> Sentence:
    if verdict.dominated_by is None or "inference" not in verdict.shares:
        return (verdict.because,)
    serving, total = figure(verdict.shares["inference"], units.percent), figure(verdict.total_usd, units.usd, "a total not known")
    return ("Serving is ", serving, " of ", total, f" over {horizon}.")


def firmness(verdict: Verdict) -> str:
    """Return whether the verdict stands when its inputs move, and by how much which of them were moved."""
    if verdict.robust is None:
        return "There is no verdict to be firm about."
    ranged = sum(entry.has_range for entry in verdict.moved)
    bare = [entry.input for entry in verdict.moved if not entry.has_range]
    how = [f"{units.counted(ranged, 'input')} to both ends of the interval"] if ranged else []
    how += (
        [f"{units.counted(len(bare), 'input')} without one by a factor of {USUAL_FACTOR} either way ({', '.join(bare)})"]
        if bare
        else []
    )
    moved = f" Moved one at a time: {' and '.join(how)}." if how else ""
    if verdict.robust:
        return f"Robust: no input that was moved changes the verdict.{moved}"
    # The class of its cost may stand whatever is moved, and the plan still be none that is allowed.
    return f"Not robust{'' if verdict.turned_by else ': the plan is not allowed, whatever its cost is dominated by'}.{moved}"


def flips(verdict: Verdict, most: int) -> tuple[str, ...]:
    """Return what turns the verdict, the nearest first; () where there is none."""
    if verdict.robust is None:
        return ()
    return tuple(f"The verdict becomes {flip.becomes} {flip.told}." for flip in verdict.flips_when[:most]) or (NO_FLIP,)


def spoken_for(finding: Finding) -> str:
    """Return the side that a rule speaks for, and whether it weighs in the verdict."""
    return (
        f"{finding.favours}, context" if finding.weight is None else f"{finding.favours}, weighs {units.number(finding.weight)}"
    )


def _line(entry: CostLine) -> Row:
    cost = figure(entry.usd, units.usd, "not counted")
    return Row(label=entry.what, cells=(entry.kind, cost), source=entry.usd.source if entry.usd else entry.because)


def share_rows(verdict: Verdict) -> tuple[Row, ...]:
    """Return the parts of the lifetime cost, the largest first."""
    shares = sorted(verdict.shares.items(), key=lambda entry: -entry[1].value)
    return tuple(Row(label=kind, cells=(figure(share, units.percent),)) for kind, share in shares)


# --- what to do about it ---------------------------------------------------------------------------------------------------


def _unlike_today(found: tuple[Opportunity, ...], saving: "Saving | None", horizon: str) -> str:
    """Return how a year's saving differs from that of the first box; nothing where the recommendation has the same in both."""
    if saving is None:
        return ""
    today = units.usd(saving.usd_per_year.value)
    if not found or today in {units.usd(entry.saving_usd_per_year.value) for entry in found}:
        return ""
    return (
        f" The first box has today's traffic and prices, at which a year saves {today}; a year here is the mean of {horizon}, with "
        "traffic, prices and discounting as planned."
    )


def _opportunity(entry: Opportunity, *, is_weighed: bool) -> OpportunityRow:
    worth = ("yes" if entry.surely else "likely, not surely") if entry.pays else "no"
    return OpportunityRow(
        title=entry.title,
        change=f"{entry.field}, {entry.before} → {entry.after}",
        saves=figure(entry.saving_usd_per_year, units.usd_per_year),
        once=figure(entry.once_usd, units.usd),
        payback=figure(entry.payback_months, units.months, NOT_PAID_BACK),
        by=f"by {entry.payback_on}" if entry.payback_on else "",
        pays=entry.pays and is_weighed,
        worth=worth if is_weighed else "not weighed",
        note=entry.because,
        effort=figure(entry.effort_engineer_days, units.engineer_days),
        risk=entry.risk,
    )


def break_even_traffic(entry: BreakEven) -> str:
    """Return with which traffic a lever pays: "above 41,000 requests a day"."""
    if entry.requests_per_s is None:
        return "any traffic" if entry.months is not None else "no traffic looked at"
    return f"{entry.pays} {units.per_day(entry.requests_per_s)} requests a day"


def _break_even(entry: BreakEven) -> BreakEvenRow:
    return BreakEvenRow(
        title=entry.title,
        because=entry.because if entry.months is None else "",
        saves=figure(entry.saving_usd, units.usd),
        once=figure(entry.once_usd, units.usd),
        after=figure(entry.months, units.months, NOT_PAID_BACK),
        on=entry.on or "",
        with_traffic=break_even_traffic(entry),
    )


def _expiry(entry: Expiry) -> Row:
    return Row(label=entry.what, cells=(entry.on or Figure(shown="no date is known"), entry.because))


# --- a classification ------------------------------------------------------------------------------------------------------


class ClassificationWords(Record, frozen=True, kw_only=True):
    """What a classification says beside the life of its model."""

    about: str
    headline: str
    dominates: str
    energy: Sentence
    inputs: str
    assumed: tuple[Row, ...]
    given: tuple[Row, ...]
    given_inputs: str
    written: str


def classification_words(classification: Classification) -> ClassificationWords:
    """Return the sentences of a classification."""
    assumed, given = (_inputs(classification, is_given=is_given) for is_given in (False, True))
    dominated_by = classification.verdict.dominated_by
    per_day = f"{units.per_day(classification.requests_per_s)} requests a day"
    return ClassificationWords(
        about=f"Lifetime cost of {classification.workload}, {per_day}, {units.months(classification.horizon_months)}",
        headline=f"{classification.workload}: {classification.headline}",
        dominates=dominated_by.capitalize() if dominated_by else "Not known",
        energy=energy(classification),
        inputs=(
            f"{units.counted(len(assumed), 'input')} assumed by advisor, {units.counted(len(given), 'input')} given or from the price list"
        ),
        assumed=assumed,
        given=given,
        given_inputs=f"{units.counted(len(given), 'input')} given or from the price list",
        written=written(classification.advisor_version),
    )


def classification_rows(classification: Classification, life: LifeWords) -> tuple[Row, ...]:
    """Return the lines of the box: what to do, what the life costs, what dominates it, how firm that is, until when."""
    outlook, verdict = classification.outlook, classification.verdict
    dated = sorted((entry.on, entry.what) for entry in outlook.expires_when if entry.on is not None)
    over = f" over {life.horizon}"
    # What turns a verdict that no single input within reach turns is said here, or nothing would say why it is not robust.
    unexplained = () if verdict.flips_when else life.turned_by[:1]
    lines: dict[str, Sentence] = {
        "Decision": (outlook.answer,),
        "Lifetime cost": (figure(verdict.total_usd, units.usd, "not known"), over, "."),
        "Dominated by": (f"{classification_words(classification).dominates}. ", *life.share_of_serving),
        "How sure": (" ".join((life.firmness, *(f"{end}." for end in unexplained), *life.flips[:1])),),
        "Energy": energy(classification),
        "Valid until": (f"{dated[0][0]}: {dated[0][1]}.",) if dated else (),
        "Notes": (" ".join(f"{note}." for note in classification.notes),) if classification.notes else (),
    }
    return tuple(Row(label=label, cells=parts) for label, parts in lines.items() if parts)


def answer(classification: Classification) -> str:
    """Return the verdict in a sentence."""
    dominated_by = classification.verdict.dominated_by
    if dominated_by is None:
        return "not known whether serving or training dominates"
    if dominated_by == "mixed":
        return "mixed, neither serving nor training dominates"
    return "dominated by fine-tuning and its data" if dominated_by == "fine-tuning" else f"dominated by {dominated_by}"


def energy(classification: Classification) -> Sentence:
    """Return what the life of the model takes and emits, or why it is not known."""
    life, over = classification.energy, f"Energy over {units.months(classification.horizon_months)}: "
    if life.kwh is None:
        return (f"{over}not known, {life.because}.",)
    if life.carbon_kg is None:
        return (over, figure(life.kwh, units.kilowatt_hours), f"; {life.because}.")
    return (over, figure(life.kwh, units.kilowatt_hours), ", and ", figure(life.carbon_kg, units.kilograms), " of CO2e.")


def _inputs(classification: Classification, *, is_given: bool) -> tuple[Row, ...]:
    return tuple(
        Row(label=entry.input, cells=(figure(entry.estimate, units.plain),), source=entry.estimate.source)
        for entry in classification.assumed
        if entry.is_given == is_given
    )
