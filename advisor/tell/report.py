"""A document in one of the formats: laid out by the templates of a folder, or printed without them."""

from typing import TYPE_CHECKING, Union, cast

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


def render(document: Document, format_: str) -> str:
    """Return the document as text in one of the formats, with a newline at the end."""
    if format_ == "json":
        return as_json(document, indent=2).decode()
    document = inert_parts(document)
    if format_ == "text":
        return _text(document)
    from advisor.tell.pages import laid_out

    return laid_out(document, template(format_, _kind(document)))


def reports(document: Document) -> dict[str, str]:
    """Return the document in every format that has templates for it, by what the name of its file ends in."""
    from advisor.tell.pages import laid_out

    shown = inert_parts(document)
    return {suffix(path): laid_out(shown, path) for path in templates_of(_kind(document))}


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
