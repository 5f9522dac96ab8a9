"""The words of a smaller configuration of a language model: what it would save, what it is assumed to keep, when that is paid back."""

from advisor import units
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.language import ConfiguredStudent, LanguageAdvice
from advisor.schema.record import Record
from advisor.tell.language.naming import deployment
from advisor.tell.words.figures import Figure, Part, Row, Sentence, figure, rows_of
from advisor.tell.words.life import NOT_PAID_BACK, break_even_traffic

NOT_TRAINED = (
    "A configuration of the same shape with half of its layers, priced by the same search. Nobody trained it: nothing of its quality is "
    "known but what published students kept; it is advised only after it was trained, measured on your data, and held."
)
NOT_WEIGHED = "not weighed"


class ConfiguredWords(Record, frozen=True, kw_only=True):
    """What is said of the smaller configuration."""

    heading: Sentence
    because: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def configured_words(advice: LanguageAdvice) -> ConfiguredWords | None:
    """Return what is said of a smaller configuration; None where none was looked at."""
    it = advice.student
    if it is None:
        return None
    said = (it.quality_because, *([it.making.because] if it.making is not None else []))
    return ConfiguredWords(
        heading=_heading(it),
        because=NOT_TRAINED,
        rows=rows_of(_cells(it)),
        notes=tuple(f"{note[:1].upper()}{note[1:]}." for note in said),
    )


def _heading(it: ConfiguredStudent) -> Sentence:
    if it.saving_usd_per_month is None:
        return (f"{it.title}: nothing keeps the targets with it",)
    saved: Sentence = (f"{it.title} would save ", figure(it.saving_usd_per_month, units.usd_per_month), f", {IF_IT_HOLDS}")
    if it.opportunity is None or it.opportunity.pays:
        return saved
    return (*saved, ": not what it costs to make")


def _cells(it: ConfiguredStudent) -> dict[str, Part]:
    even = it.break_even
    cells: dict[str, Part] = {
        "Parameters": units.count(it.student.parameters),
        "Share of the score that it keeps": figure(it.retention, units.percent, "not known"),
    }
    if it.prediction is not None:
        cells["Served on"] = deployment(it.prediction.deployment)
        cells["Cost per month"] = figure(it.prediction.cost_usd_per_month, units.usd_per_month)
    cells["Saves a month"] = figure(it.saving_usd_per_month, units.usd_per_month, "nothing")
    if it.making is not None:
        cells["Costs to make"] = figure(it.making.total_usd, units.usd)
    if even is not None:
        cells["Paid back after"] = figure(even.months, units.months, NOT_PAID_BACK)
        cells["Paid back by"] = even.on or Figure(shown="no date")
        cells["Pays with"] = break_even_traffic(even)
    cells["Worth it"] = NOT_WEIGHED if it.opportunity is None else IF_IT_HOLDS if it.opportunity.pays else "no"
    return cells
