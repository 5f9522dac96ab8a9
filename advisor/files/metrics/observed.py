"""Everything that the sources of one check say together: read, told apart, and put into figures."""

import math
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from advisor.errors import InputError
from advisor.files.metrics.exposition import read_text
from advisor.files.metrics.fetching import is_address, read_source
from advisor.files.metrics.figures import LATENCIES, known_names, latency_of, of_expression, rate_of, utilization_of
from advisor.files.metrics.known_names import MODEL_LABEL, RUNTIME_LABEL, Known
from advisor.files.metrics.query import read_query
from advisor.files.metrics.scrape import Scrape, selected
from advisor.schema.gate.production import ProductionFigure, Seen

BEGAN = "process_start_time_seconds"
COUNTED = ("_total", "_count", "_bucket")  # how the names of counters end, as Prometheus has it
TWICE = "--every 30s: the time between the two"


class Sources(NamedTuple):
    """Where metrics are, and how they are to be read; `expressions` are of one figure each."""

    metrics: tuple[str, ...]
    expressions: Mapping[ProductionFigure, str]
    names: Mapping[ProductionFigure, Known]
    labels: Mapping[str, str]
    every_s: float | None


class Observed(NamedTuple):
    """What production says; `span_s` is how long it was watched, None where that is not known."""

    figures: dict[ProductionFigure, Seen]
    span_s: float | None
    models: frozenset[str]  # digests that a label names
    runtimes: frozenset[str]


def observe(sources: Sources, quantile: float, instances: int) -> Observed:
    """Return the figures of all sources, latencies at the quantile, utilization of so many instances that work side by side.

    Raises InputError for a source that cannot be read, a label that nothing has, and where none of the figures is there.
    """
    scrapes = _scrapes(sources)
    if sources.labels and scrapes:
        _check_labels(scrapes, sources.labels)
        scrapes = selected(scrapes, sources.labels)
    found: dict[ProductionFigure, Seen] = {}
    if scrapes:
        names = {figure: known_names(figure, sources.names) for figure in ("rate", *LATENCIES, "utilization")}
        own_rate = () if "rate" in sources.names else (*names["latency"], *names["ttft"])
        seen = {
            "rate": rate_of(scrapes, names["rate"], own_rate),
            **{figure: latency_of(scrapes, names[figure], quantile) for figure in LATENCIES},
            "utilization": utilization_of(scrapes, names["utilization"], instances),
        }
        found = {figure: it for figure, it in seen.items() if it is not None}
    for figure, source in sources.expressions.items():
        found[figure] = of_expression(read_query(read_source(source)[0], source).scrapes, figure, source)
    missing = [known.name for figure, known in sources.names.items() if figure not in found]
    if missing:
        raise InputError(f"--metric: {missing[0]!a} is not in the metrics, or counted nothing", hint="check the name and --label")
    if not found:
        raise InputError(
            f"{sources.metrics[0]}: none of the metrics that are known is in there",
            hint="name them: --metric rate=http_requests_total --metric latency=http_request_duration_seconds",
        )
    times = [scrape.at_s for scrape in scrapes if scrape.at_s is not None]
    return Observed(
        figures=found,
        span_s=times[-1] - times[0] if len(times) > 1 else None,
        models=_said(scrapes, MODEL_LABEL),
        runtimes=_said(scrapes, RUNTIME_LABEL),
    )


def _scrapes(sources: Sources) -> tuple[Scrape, ...]:
    """Return what was read of all sources, the oldest first: two texts with their times, or the times of a query."""
    given = sources.metrics
    if len(given) == 1 and is_address(given[0]) and sources.every_s is not None:
        first = _read(given[0])
        time.sleep(sources.every_s)
        return (*first, *_read(given[0]))
    if len(given) == 2 and given[0] == given[1] and not is_address(given[0]):
        raise InputError(
            f"--metrics: {given[0]} twice: nothing happened in between", hint=f"give two scrapes, the older first, and {TWICE}"
        )
    found = [_read(source, dates_itself=len(given) < 2 or is_address(source)) for source in given]
    if len(given) < 2:
        return found[0] if found else ()
    _check_order(given, found)
    if sources.every_s is not None:
        return tuple(Scrape(number * sources.every_s, scrape.samples) for number, one in enumerate(found) for scrape in one[-1:])
    scrapes = [scrape for one in found for scrape in one]
    times = [scrape.at_s for scrape in scrapes]
    if any(at_s is None for at_s in times) or len(set(times)) < len(times):
        raise InputError(
            f"{given[0]} and {given[1]}: nothing says how long after each other they were scraped", hint=f"give {TWICE}"
        )
    return tuple(sorted(scrapes, key=lambda scrape: scrape.at_s or 0.0))


def _check_order(given: Iterable[str], found: Iterable[tuple[Scrape, ...]]) -> None:
    """Raise InputError for two texts of which the second has counted less than the first, unless it says that it began anew in between."""
    first, second = (one[-1] for one in found)
    began = [max((sample.value for sample in scrape.named(BEGAN)), default=None) for scrape in (first, second)]
    if began[0] is not None and began[1] is not None and began[0] < began[1]:
        return
    before = {sample.series: sample.value for sample in first.samples if sample.name.endswith(COUNTED)}
    fallen = next((sample.name for sample in second.samples if sample.value < before.get(sample.series, -math.inf)), None)
    if fallen is not None:
        raise InputError(
            f"{' and '.join(given)}: {fallen} counts less in the second",
            hint="give the older one first; where the server began anew in between, scrape it twice again",
        )


def _read(source: str, *, dates_itself: bool = True) -> tuple[Scrape, ...]:
    """Return what a source holds; of a text without times, with that of its file, unless copying two files may have changed both."""
    content, written_s = read_source(source)
    if content.lstrip()[:1] == b"{":
        result = read_query(content, source)
        if not result.is_named:
            raise InputError(
                f"{source}: the values of an expression, which has no name", hint=f"say what they are: --metrics latency={source}"
            )
        return result.scrapes
    scrape = read_text(content, source)
    return (Scrape(written_s, scrape.samples) if scrape.at_s is None and dates_itself else scrape,)


def _check_labels(scrapes: Iterable[Scrape], labels: Mapping[str, str]) -> None:
    there = {item for scrape in scrapes for sample in scrape.samples for item in sample.labels.items()}
    for name, value in labels.items():
        if (name, value) not in there:
            values = sorted(other for label, other in there if label == name)[:6]
            hint = f"values of it are: {', '.join(values)}" if values else "no metric has such a label"
            raise InputError(f"--label: nothing has {name}={value}"[:200], hint=hint)


def _said(scrapes: tuple[Scrape, ...], label: str) -> frozenset[str]:
    return frozenset(sample.labels[label] for sample in (scrapes[-1].samples if scrapes else ()) if label in sample.labels)
