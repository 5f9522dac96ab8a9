"""Charts as pictures that stand still: for readers without scripts, for print, and for Markdown."""

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from advisor.tell.charts.drawing import Chart
from advisor.tell.charts.palette import PAPER, declarations, light, replacements

VEGA_LITE = "6.4"
KEPT = 256  # pictures, of which a report has about ten
MARK = "<!-- serving-advisor -->"  # by which a picture of an earlier run is known
NAMED = re.compile(r'(\bid="|url\(#|href="#)')
# What stands before words is outlined, so that lines behind them do not cross them out.
PAPERED = f'<rect width="100%" height="100%" fill="{light(PAPER)}"/>'
OUTLINE = "text { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }"

Still = Callable[[Chart], str | None]


def still(chart: Chart) -> str | None:
    """Return a chart as SVG, in the colors for white paper; None where the package that draws it cannot be loaded or started."""
    drawn = _drawn(msgspec.json.encode(chart.spec | {"width": chart.width}))
    # Names of clips and gradients are counted anew in each picture; on a page they may not meet.
    return None if drawn is None else NAMED.sub(rf"\g<1>{chart.id}-", drawn)


def undrawn(_: Chart) -> str | None:
    """Return no picture: a page of which nobody looks at the pictures is made in a fraction of the time."""
    return None


def picture(chart: Chart, svg: str) -> str:
    """Return a picture as a file of its own: with a name and a description, and with the colors that the reader's system asks for."""
    from html import escape

    style = (
        f"svg {{ {declarations(dark=False)} }}\n@media screen and (prefers-color-scheme: dark) {{ svg {{ {declarations(dark=True)} }} }}\n"
        f"{replacements()}\n{OUTLINE}"
    )
    head, tag, rest = svg.partition("<svg ")
    opened, end, drawn = rest.partition(">")
    named = f'role="img" aria-label="{escape(f"{chart.title}. {chart.says}")}" '
    return f"{head}{tag}{named}{opened}{end}\n{MARK}\n<title>{escape(chart.title)}</title>\n<style>\n{style}\n</style>\n{PAPERED}{drawn}\n"


def pictures(charts: Iterable[Chart], draw: Still) -> dict[str, str]:
    """Return the files of all charts that can be drawn, by name."""
    drawn = ((chart, draw(chart)) for chart in charts)
    return {f"{chart.id}.svg": picture(chart, svg) for chart, svg in drawn if svg is not None}


class _Engine:
    """Whether the package that draws has been started here: its threads do not follow into a process that is split off later."""

    started, is_lost = False, False

    @classmethod
    def split_off(cls) -> None:
        """Know in a new process that threads were left behind; it would wait for them forever."""
        cls.is_lost = cls.started


os.register_at_fork(after_in_child=_Engine.split_off)


@lru_cache(maxsize=KEPT)
def _drawn(spec: bytes) -> str | None:
    if _Engine.is_lost:
        return None
    try:
        import vl_convert
    except ImportError:
        return None
    _Engine.started = True
    return vl_convert.vegalite_to_svg(spec.decode(), vl_version=VEGA_LITE, allowed_base_urls=[])
