"""The classification and the portfolio in each of their formats."""

import msgspec

from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.record import Record
from advisor.tell.life_text import classification_text, portfolio_text


def rendered(told: Classification, format_: str) -> str:
    """Return the classification as "text", "json", "md" or "html", ending in a newline."""
    if format_ == "text":
        return classification_text(told)
    if format_ == "json":
        return _json(told)
    from advisor.tell.report import render_classification

    return render_classification(told, format_)


def rendered_plan(plan: PortfolioPlan, format_: str) -> str:
    """Return the plan as "text" or "json", ending in a newline."""
    return portfolio_text(plan) if format_ == "text" else _json(plan)


def _json(record: Record) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n"
