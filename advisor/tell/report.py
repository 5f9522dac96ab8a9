"""A document in one of the formats: laid out by the templates of a folder, or printed without them."""

from typing import TYPE_CHECKING, NamedTuple, Union, cast

from advisor.inert.record import as_json, inert_parts
from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioPlan
from advisor.tell.formats import suffix, template, templates_of
from advisor.tell.life_text import classification_text, portfolio_text

if TYPE_CHECKING:
    from advisor.schema.advice import Advice, OfflineAdvice
    from advisor.schema.generation import GenerationAdvice
    from advisor.schema.language import LanguageAdvice
    from advisor.schema.overview import Overview
    from advisor.tell.pages import Look

Decided = Union["Advice", "OfflineAdvice", "GenerationAdvice", "LanguageAdvice"]
Document = Union["Advice", "OfflineAdvice", "GenerationAdvice", "LanguageAdvice", Classification, PortfolioPlan, "Overview"]

# The kind of a document by the name of its record: a classification does not wait for the records of advice to be loaded.
KINDS = {
    "Advice": "advice",
    "OfflineAdvice": "offline",
    "GenerationAdvice": "generation",
    "LanguageAdvice": "language",
    "Classification": "classification",
    "PortfolioPlan": "portfolio",
    "Overview": "overview",
}


def render(document: Document, format_: str, look: "Look | None" = None) -> str:
    """Return the document as text in one of the formats, with a newline at the end."""
    if format_ == "json":
        return as_json(document, indent=2).decode()
    document = inert_parts(document)
    if format_ == "text":
        return _text(document)
    from advisor.tell.pages import AS_USUAL, laid_out

    return laid_out(document, template(format_, _kind(document)), look or AS_USUAL)


class Reports(NamedTuple):
    """A document in every format that has templates for it, by what its file ends in, and the pictures of its charts by name."""

    texts: dict[str, str]
    pictures: dict[str, str]


def reports(document: Document, pictures_in: str) -> Reports:
    """Return the reports of a document, to be written into a folder with the pictures in a folder of theirs."""
    from advisor.tell.charts.documents import charts_of
    from advisor.tell.charts.still import pictures, still
    from advisor.tell.pages import Look, laid_out

    shown = inert_parts(document)
    drawn = pictures(charts_of(shown), still)
    look = Look(folder=pictures_in, pictures=frozenset(drawn))
    return Reports({suffix(path): laid_out(shown, path, look) for path in templates_of(_kind(document))}, drawn)


def _kind(document: Document) -> str:
    return KINDS[type(document).__name__]


def _text(document: Document) -> str:
    if isinstance(document, Classification):
        return classification_text(document)
    if isinstance(document, PortfolioPlan):
        return portfolio_text(document)
    if _kind(document) == "overview":
        from advisor.tell.comparison.overview import overview_text

        return overview_text(cast("Overview", document))
    from advisor.tell.summary import summary

    return summary(cast("Decided", document)) + "\n"
