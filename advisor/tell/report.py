"""Advice as a page, as Markdown or as JSON."""

import math
import re
from typing import TYPE_CHECKING

import msgspec

from advisor import units
from advisor.schema.advice import BUSY_FRACTION, Advice, OfflineAdvice
from advisor.schema.catalog import STALE_DAYS
from advisor.schema.lifetime import Classification
from advisor.tell import charts
from advisor.tell.batches import batches
from advisor.tell.life_text import answer
from advisor.tell.options import options

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = {"html": "report.html.j2", "md": "report.md.j2"}
CLASSIFICATIONS = {"html": "classification.html.j2", "md": "classification.md.j2"}
OFFLINE_TEMPLATES = {"html": "offline.html.j2", "md": "offline.md.j2"}

# What a template may print a number with.
FORMATTERS = (
    units.count,
    units.counted,
    units.ends,
    units.engineer_days,
    units.grams,
    units.interval,
    units.joules,
    units.moment,
    units.months,
    units.number,
    units.per_day,
    units.percent,
    units.plain,
    units.points,
    units.proportion,
    units.quantile,
    units.rate,
    units.ratio,
    units.seconds,
    units.similarity,
    units.size,
    units.usd,
    units.usd_per_hour,
    units.usd_per_year,
)
# What would start a table cell, a link, an emphasis, code or a tag.
MARKDOWN = re.compile(r"([\\|`*\[\]<])")


def formats() -> tuple[str, ...]:
    """Return the names that `render` knows."""
    return (*TEMPLATES, "json")


def render(advice: Advice | OfflineAdvice, format_: str) -> str:
    """Return the advice as text in one of the `formats`, with a newline at the end."""
    if format_ == "json":
        return msgspec.json.format(msgspec.json.encode(advice), indent=2).decode() + "\n"
    if isinstance(advice, OfflineAdvice):
        return _environment(format_).get_template(OFFLINE_TEMPLATES[format_]).render(advice=advice)
    return (
        _environment(format_)
        .get_template(TEMPLATES[format_])
        .render(
            advice=advice,
            batches=batches,
            bars=charts.operator_bars(advice.model),
            colours=charts.colours(advice),
            frontier=charts.frontier(advice),
            options=options(advice),
            panels=charts.service_panels(advice),
            shares=charts.share_bar(advice.verdict.shares),
            strip=charts.latency_strip(advice),
            told=advice.recommended or advice.nearest_miss,
        )
    )


def render_classification(told: Classification, format_: str) -> str:
    """Return the classification as "html" or "md", with a newline at the end."""
    template = _environment(format_).get_template(CLASSIFICATIONS[format_])
    return template.render(told=told, answer=answer(told), shares=charts.share_bar(told.verdict.shares))


def _environment(format_: str) -> "Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("advisor.templates", ""),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_markdown if format_ == "md" else _known,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["busy_fraction"] = BUSY_FRACTION
    environment.globals["stale_days"] = STALE_DAYS
    environment.globals.update({formatter.__name__: formatter for formatter in FORMATTERS})
    return environment


def _known(printed: object) -> object:
    """Return what a template prints, unless it is what no reader should see."""
    if printed is None or (isinstance(printed, float) and not math.isfinite(printed)):
        raise TypeError(f"a template prints {printed}: what is unknown is said in words")
    return printed


def _markdown(printed: object) -> object:
    """Return what a template prints, escaped for a table cell unless a macro has done so before."""
    from jinja2.filters import do_mark_safe

    if hasattr(printed, "__html__"):
        return printed
    return do_mark_safe(MARKDOWN.sub(r"\\\1", " ".join(str(_known(printed)).splitlines())))
