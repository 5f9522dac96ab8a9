"""Documents laid out by the templates of a folder."""

import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from advisor import units
from advisor.inert.text import inert_markdown
from advisor.schema.record import Record
from advisor.tell.charts.documents import charts_of
from advisor.tell.charts.page import chart_data, chart_scripts, chart_table, colors_of_charts, colors_of_page, page_policy
from advisor.tell.charts.service import variant_colors
from advisor.tell.charts.still import Still, still
from advisor.tell.comparison.overview import overview_words
from advisor.tell.comparison.words import comparison_words
from advisor.tell.formats import suffix
from advisor.tell.generation.charts import generation_colors
from advisor.tell.generation.decision import generation_decision_rows
from advisor.tell.generation.naming import generation_columns
from advisor.tell.generation.students import decoder_student_rows
from advisor.tell.generation.tables import (
    decoder_rows,
    generation_origin_rows,
    generation_rows,
    generation_setting_rows,
    generation_variant_rows,
    kv_rows,
    load_rows,
    replay_facts,
    replay_rows,
    speculation_rows,
    way_columns,
    way_rows,
)
from advisor.tell.generation.words import generation_words
from advisor.tell.language.decision import language_decision_rows
from advisor.tell.language.naming import language_colors, language_columns
from advisor.tell.language.student import configured_words
from advisor.tell.language.tables import (
    ACCEPTING_COLUMNS,
    API_COLUMNS,
    SPECULATION_COLUMNS,
    accepting_rows,
    api_rows,
    architecture_rows,
    deployment_columns,
    deployment_rows,
    device_rows,
    draft_rows,
    language_evidence_rows,
    language_rows,
    language_setting_rows,
)
from advisor.tell.language.words import language_words
from advisor.tell.runners_up import runners_up, runners_up_words
from advisor.tell.words.advice import advice_words
from advisor.tell.words.decision import decision_rows
from advisor.tell.words.evidence import evidence_rows, input_rows, model_rows, operator_shares
from advisor.tell.words.figures import GLOSSARY, Figure, as_text, figure, known, setting
from advisor.tell.words.job import job_decision_rows, job_rows, job_words
from advisor.tell.words.life import classification_rows, classification_words, life_of_advice, life_words, share_rows, spoken_for
from advisor.tell.words.portfolio import portfolio_words
from advisor.tell.words.serving import serving_words
from advisor.tell.words.students import STUDENT_COLUMNS, student_words
from advisor.tell.words.tables import (
    certainty_rows,
    columns,
    curve_rows,
    fleet_rows,
    load_test_rows,
    option_rows,
    origin_rows,
    place_rows,
    prediction_rows,
    setting_rows,
    variant_rows,
)

if TYPE_CHECKING:
    from jinja2 import Environment

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
    units.usd_per_month,
    units.usd_per_year,
)
# The sentences and rows of a document, for a template to lay out.
WORDS = (
    accepting_rows,
    advice_words,
    api_rows,
    architecture_rows,
    certainty_rows,
    classification_rows,
    chart_data,
    chart_scripts,
    chart_table,
    classification_words,
    colors_of_charts,
    colors_of_page,
    configured_words,
    columns,
    comparison_words,
    curve_rows,
    decision_rows,
    decoder_rows,
    deployment_columns,
    deployment_rows,
    device_rows,
    draft_rows,
    evidence_rows,
    figure,
    fleet_rows,
    generation_colors,
    generation_columns,
    generation_decision_rows,
    generation_origin_rows,
    generation_rows,
    generation_setting_rows,
    decoder_student_rows,
    generation_variant_rows,
    generation_words,
    input_rows,
    known,
    kv_rows,
    job_decision_rows,
    job_rows,
    job_words,
    language_colors,
    language_columns,
    language_decision_rows,
    language_evidence_rows,
    language_rows,
    language_setting_rows,
    language_words,
    life_of_advice,
    life_words,
    load_rows,
    load_test_rows,
    model_rows,
    operator_shares,
    option_rows,
    origin_rows,
    page_policy,
    place_rows,
    overview_words,
    portfolio_words,
    prediction_rows,
    replay_facts,
    replay_rows,
    runners_up,
    runners_up_words,
    serving_words,
    setting_rows,
    setting,
    share_rows,
    speculation_rows,
    spoken_for,
    student_words,
    variant_colors,
    variant_rows,
    way_columns,
    way_rows,
)
# Where the package that draws pictures cannot be loaded.
NO_PICTURE = (
    "No picture: vl-convert-python cannot be loaded or started. The chart is drawn where scripts run; the table has its figures."
)
# What else a template may name.
NAMED = {
    "ACCEPTING_COLUMNS": ACCEPTING_COLUMNS,
    "API_COLUMNS": API_COLUMNS,
    "SPECULATION_COLUMNS": SPECULATION_COLUMNS,
    "STUDENT_COLUMNS": STUDENT_COLUMNS,
    "glossary": GLOSSARY,
    "no_picture": NO_PICTURE,
}
# What ends a file that is escaped; all else is plain text.
ESCAPED = {"html", "md", "xml"}
# A number and the space before its unit or noun, where no line of a page may end: "150 ms", "29.5 %", "1 replica".
BOUND = re.compile(
    r"(?<![\w.,])(\d+(?:[.,]\d+)*) (?=[^\W\d]|[%×/])(?!(?:of|to|on|in|at|and|or|by|for|with|within|over|is|are|less)\b)"
)


class Look(NamedTuple):
    """How the charts of a document are shown.

    `draw` makes the pictures that stand still. Of a page, `is_live` says that scripts may run where it is shown; Markdown names the
    `pictures` that lie in the folder beside it.
    """

    draw: Still = still
    is_live: bool = True
    folder: str = ""
    pictures: frozenset[str] = frozenset()


AS_USUAL = Look()


def laid_out(document: Record, path: Path, look: Look = AS_USUAL) -> str:
    """Return the document as a template lays it out, with a newline at the end."""
    return (
        _environment(path)
        .get_template(path.name)
        .render(
            document=document,
            charts=charts_of(document),
            still=look.draw,
            is_live=look.is_live,
            picture_folder=look.folder,
            pictures=look.pictures,
        )
    )


@cache
def _environment(path: Path) -> "Environment":
    """Return what the templates of a folder are rendered in; the suffix of a name decides how text is escaped."""
    import jinja2

    escaped = suffix(path)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        undefined=jinja2.StrictUndefined,
        autoescape=escaped in ESCAPED,
        finalize={"md": _markdown, "html": _page}.get(escaped, _words),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {function.__name__: function for function in (*FORMATTERS, *WORDS)}
    environment.globals |= NAMED
    return environment


def _words(printed: object) -> object:
    """Return what a template prints in words, unless it is what no reader should see."""
    if printed is None or (isinstance(printed, float) and not math.isfinite(printed)):
        raise TypeError(f"a template prints {printed}: an unknown is described in words")
    return as_text(printed) if isinstance(printed, Figure | tuple | bool) else printed


def _page(printed: object) -> object:
    """Return what a template prints, each number on one line with its unit; what a macro or filter made is left as it is."""
    words = _words(printed)
    return BOUND.sub("\\1\N{NO-BREAK SPACE}", words) if isinstance(words, str) and not hasattr(words, "__html__") else words


def _markdown(printed: object) -> object:
    """Return what a template prints, as Markdown shows it letter by letter, unless a macro has done so before."""
    from jinja2.filters import do_mark_safe

    if hasattr(printed, "__html__"):
        return printed
    return do_mark_safe(inert_markdown(str(_words(printed))))
