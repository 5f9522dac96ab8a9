"""Metrics in Prometheus' text format, or in that of OpenMetrics, read by the parser of Prometheus' own client."""

from advisor.errors import InputError, MissingDependencyError
from advisor.files.metrics.scrape import Sample, Scrape

HINT = "give what a server has under /metrics, or the JSON of a query to Prometheus"


def read_text(content: bytes, source: str) -> Scrape:
    """Return what a server exposed; raise InputError, with the line where that is known, for what is no such text."""
    try:
        from prometheus_client import parser
        from prometheus_client.openmetrics import parser as openmetrics
    except ImportError as error:
        raise MissingDependencyError(
            f"{source}: metrics in text are read by prometheus-client, which is not installed",
            hint="pip install 'serving-advisor[metrics]'",
        ) from error
    try:
        text = content.decode()
        is_open = text.rstrip().endswith("# EOF")
        families = (openmetrics if is_open else parser).text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{source}: not metrics as Prometheus reads them ({said or type(error).__name__})", hint=HINT) from error
    if not samples:
        raise InputError(f"{source}: holds no metrics", hint=HINT)
    times = [float(sample.timestamp) for sample in samples if sample.timestamp is not None]
    made = tuple(Sample(sample.name, sample.labels, float(sample.value)) for sample in samples)
    return Scrape(max(times, default=None), made)
