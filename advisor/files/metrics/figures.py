"""Rate, latency quantiles and utilization of what production counts."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from advisor.errors import InputError
from advisor.files.metrics.known_names import KNOWN, Known
from advisor.files.metrics.scrape import Sample, Scrape, increases, span_s
from advisor.schema.gate.production import ProductionFigure, Seen
from advisor.schema.record import LARGEST_SHOWN
from advisor.units import counted

Z_90 = 1.645  # standard deviations to either end of a 90% interval
LATENCIES: tuple[ProductionFigure, ...] = ("latency", "ttft", "tpot")


def rate_of(scrapes: tuple[Scrape, ...], known: Sequence[Known], latencies: Sequence[Known]) -> Seen | None:
    """Return requests per second by the first counter that is there, or by the count of a latency; None where the time is not known."""
    counters = [entry.name for entry in known] + [f"{entry.name}_count" for entry in latencies]
    for name in counters:
        grown, took_s = increases(scrapes, name), span_s(scrapes, name)
        if grown and took_s is not None:
            count = sum(grown.values())
            half = Z_90 * math.sqrt(count)  # of a Poisson count
            return _seen(count / took_s, max(0.0, count - half) / took_s, (count + half) / took_s, f"{name} over {took_s:,.0f} s")
    return None


def latency_of(scrapes: tuple[Scrape, ...], known: Sequence[Known], quantile: float) -> Seen | None:
    """Return a quantile in seconds by the first histogram or summary that is there and counted any request."""
    for entry in known:
        found = _of_histogram(scrapes, entry, quantile) or _of_summary(scrapes[-1], entry, quantile)
        if found is not None:
            return found
    return None


def utilization_of(scrapes: tuple[Scrape, ...], known: Sequence[Known], instances: int) -> Seen | None:
    """Return the busy fraction: the mean of a gauge, or the seconds that a counter says were worked, of so many instances."""
    for entry in known:
        if entry.shape == "gauge":
            values = [sample.value * entry.scale for scrape in scrapes for sample in scrape.named(entry.name)]
            if values:
                mean = sum(values) / len(values)
                return _seen(mean, mean, mean, f"{entry.name}, {counted(len(values), 'sample')}")
            continue
        grown, took_s = increases(scrapes, entry.name), span_s(scrapes, entry.name)
        if grown and took_s is not None:
            busy = sum(grown.values()) * entry.scale / (took_s * instances)
            return _seen(busy, busy, busy, f"{entry.name} over {took_s:,.0f} s of {counted(instances, 'instance')}")
    return None


def of_expression(scrapes: tuple[Scrape, ...], figure: ProductionFigure, source: str) -> Seen:
    """Return the figure that an expression was asked for: rates add up, of latencies the series that is slowest counts.

    Over several times it is the mean, and of latencies with the least and the most as its ends.
    """
    values = [
        _joined(figure, [sample.value for sample in scrape.samples if not math.isnan(sample.value)])
        for scrape in scrapes
        if any(not math.isnan(sample.value) for sample in scrape.samples)
    ]
    if not values or not all(0 <= value <= LARGEST_SHOWN for value in values):
        raise InputError(f"{source}: no {figure} is in it", hint="an expression has to give numbers of zero or more")
    mean = sum(values) / len(values)
    low, high = (min(values), max(values)) if figure in LATENCIES else (mean, mean)
    return _seen(mean, low, high, f"{source}, {counted(len(values), 'value')}")


def _joined(figure: ProductionFigure, values: list[float]) -> float:
    if figure == "rate":
        return sum(values)
    return sum(values) / len(values) if figure == "utilization" else max(values)


def known_names(figure: ProductionFigure, given: Mapping[ProductionFigure, Known]) -> tuple[Known, ...]:
    """Return the names to look for: what the user gave alone, where anything was given."""
    return (given[figure],) if figure in given else KNOWN[figure]


def _of_histogram(scrapes: tuple[Scrape, ...], known: Known, quantile: float) -> Seen | None:
    by_edge: dict[float, float] = defaultdict(float)
    for (_, labels), count in increases(scrapes, f"{known.name}_bucket").items():
        edge = _number(dict(labels).get("le"))
        if edge is not None:
            by_edge[edge] += count
    edges = sorted(by_edge)
    counts = [by_edge[edge] for edge in edges]
    if not edges or counts[-1] < 1 or edges[-1] != math.inf or not math.isfinite(counts[-1]):
        return None
    total = counts[-1]
    half = Z_90 * math.sqrt(quantile * (1 - quantile) / total)  # of the rank, by the normal approximation to the binomial
    low, _ = _bucket(edges, counts, max(0.0, quantile - half) * total)
    start, end = _bucket(edges, counts, quantile * total)
    _, high = _bucket(edges, counts, min(1.0, quantile + half) * total)
    value = start if end is None else _within(edges, counts, start, end, quantile * total)
    return Seen(
        value=value * known.scale,
        low=low * known.scale,
        high=None if high is None else high * known.scale,
        source=f"{known.name}, {total:,.0f} requests",
    )


def _bucket(edges: list[float], counts: list[float], rank: float) -> tuple[float, float | None]:
    """Return both edges of the bucket that a rank lies in; the last has no upper one."""
    place = next((place for place, count in enumerate(counts) if count >= rank and count > 0), len(edges) - 1)
    low = edges[place - 1] if place > 0 else 0.0
    return low, None if edges[place] == math.inf else edges[place]


def _within(edges: list[float], counts: list[float], start: float, end: float, rank: float) -> float:
    """Return the place of a rank between the edges of its bucket, as if requests lay evenly in it."""
    place = edges.index(end)
    before = counts[place - 1] if place > 0 else 0.0
    inside = counts[place] - before
    return start if inside <= 0 else start + (end - start) * min(1.0, max(0.0, (rank - before) / inside))


def _of_summary(scrape: Scrape, known: Known, quantile: float) -> Seen | None:
    """Return the quantile of a summary, which says it over some last minutes; of several series, from the least to the most of them."""
    found: list[Sample] = []
    for sample in scrape.named(known.name):
        said = _number(sample.labels.get("quantile"))
        if said is not None and abs(said - quantile) < 1e-9:
            found.append(sample)
    values = [sample.value * known.scale for sample in found if 0 <= sample.value <= LARGEST_SHOWN]
    if not values:
        return None
    return _seen(max(values), min(values), max(values), f"{known.name}, a summary")


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _seen(value: float, low: float, high: float, source: str) -> Seen:
    return Seen(value=value, low=low, high=high, source=source)
