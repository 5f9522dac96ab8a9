"""Which charts a document has."""

from advisor.schema.advice import Advice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.overview import Overview
from advisor.schema.record import Record
from advisor.tell.charts.drawing import Chart
from advisor.tell.charts.frontier import frontier_chart
from advisor.tell.charts.life import life_charts
from advisor.tell.charts.service import call_charts, latency_chart, load_charts, load_test_charts
from advisor.tell.comparison.charts import overview_charts
from advisor.tell.generation.charts import generation_charts
from advisor.tell.language.charts import language_charts


def charts_of(document: Record) -> tuple[Chart, ...]:
    """Return every chart that the figures of a document suffice for, in the order in which its report has them."""
    if isinstance(document, Advice):
        return (
            latency_chart(document),
            *load_charts(document),
            *load_test_charts(document),
            frontier_chart(document),
            *call_charts(document),
            *life_charts(document.verdict),
        )
    if isinstance(document, GenerationAdvice):
        return generation_charts(document)
    if isinstance(document, LanguageAdvice):
        return language_charts(document)
    if isinstance(document, Classification):
        return life_charts(document.verdict)
    if isinstance(document, Overview):
        return overview_charts(document)
    return ()
