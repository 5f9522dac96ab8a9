"""What a page needs for its charts: Vega and what starts it, once, and specifications that are data and nothing else."""

import base64
import hashlib
from functools import cache

import msgspec

import advisor.templates
from advisor import units
from advisor.tell.charts.drawing import Chart
from advisor.tell.charts.palette import declarations, replacements

# Vega, Vega-Lite and vega-embed as vl-convert bundles them (benchmarks/pack_vega.py), then our own few lines.
SCRIPTS = ("_vega.js", "_charts.js")
# No character of these can end a script or begin a comment, whatever stands in a name.
ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def chart_data(chart: Chart) -> str:
    """Return the specification as JSON that can stand in an element of script."""
    return msgspec.json.encode(chart.spec).decode().translate(ESCAPES)


def chart_table(chart: Chart) -> str:
    """Return what the table behind a chart is called."""
    return f"{units.counted(len(chart.rows), 'row')} in figures"


def chart_scripts() -> str:
    """Return what draws the charts, to stand behind the last of them."""
    return "".join(f"<script>{source}</script>\n" for source in _sources())


def page_policy() -> str:
    """Return what the page may do: run these scripts, style itself, and reach nothing."""
    digests = (base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in _sources())
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"


def colors_of_page(*, dark: bool) -> str:
    """Return the colors as custom properties."""
    return declarations(dark=dark)


def colors_of_charts() -> str:
    """Return the rules by which charts take the colors of the page."""
    return replacements("figure.drawn ")


@cache
def _sources() -> tuple[str, ...]:
    from importlib.resources import files

    folder = files(advisor.templates) / "html"
    return tuple((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
