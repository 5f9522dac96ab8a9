"""A comparison in one of the formats."""

from advisor.inert.record import as_json, inert_parts
from advisor.schema.gate.comparison import Comparison
from advisor.tell.comparison.words import comparison_words
from advisor.tell.formats import template
from advisor.tell.words.figures import as_text


def render(document: Comparison, format_: str) -> str:
    """Return the comparison as text in one of the formats, with a newline at the end."""
    if format_ == "json":
        return as_json(document, indent=2).decode()
    document = inert_parts(document)
    if format_ == "text":
        return _text(document)
    from advisor.tell.pages import laid_out

    return laid_out(document, template(format_, "comparison"))


def _text(document: Comparison) -> str:
    """Return the verdict, a line for each figure with its limits below it, and what else differs."""
    words = comparison_words(document)
    width = max(len(row.label) for row in words.rows) + 2
    lines = [words.headline]
    for row in words.rows:
        figures = as_text(row.now) if not words.is_pair else f"{as_text(row.before)} -> {as_text(row.now)}"
        change = f"  [{row.change}]" if row.change else ""
        lines.append(f"{row.label:<{width}}{figures}{change}")
        if row.limit:
            lines.append(f"{'':<{width}}{row.limit}")
    lines += [f"note: {note}" for note in words.all_notes]
    return "\n".join(lines) + "\n"
