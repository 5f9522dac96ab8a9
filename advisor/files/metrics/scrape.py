"""Samples of metrics, as a server gave them at one time or at several: increases of counters between the first and the last."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Series = tuple[str, tuple[tuple[str, str], ...]]  # name, and labels in the order of their names


class Sample(NamedTuple):
    """One number under a name with labels."""

    name: str
    labels: Mapping[str, str]
    value: float

    @property
    def series(self) -> Series:
        """What identifies it among all samples."""
        return self.name, tuple(sorted(self.labels.items()))


class Scrape(NamedTuple):
    """What was there at one time, in seconds since 1970; None where nothing says when."""

    at_s: float | None
    samples: tuple[Sample, ...]

    def named(self, name: str) -> list[Sample]:
        """Return the samples of a name that hold a number."""
        return [sample for sample in self.samples if sample.name == name and not math.isnan(sample.value)]


def selected(scrapes: Iterable[Scrape], labels: Mapping[str, str]) -> tuple[Scrape, ...]:
    """Return the scrapes without the samples that have another value of a label; those without the label stay."""

    def fits(sample: Sample) -> bool:
        return all(sample.labels.get(name, value) == value for name, value in labels.items())

    return tuple(Scrape(scrape.at_s, tuple(filter(fits, scrape.samples))) for scrape in scrapes)


def increases(scrapes: tuple[Scrape, ...], name: str) -> dict[Series, float]:
    """Return by how much each counter of a name grew; of one scrape, what it has counted since it began.

    A counter that went down began anew in between, and counts from nothing.
    """
    last: dict[Series, float] = {}
    grown: dict[Series, float] = defaultdict(float)
    for number, scrape in enumerate(scrapes):
        for sample in scrape.named(name):
            before = last.get(sample.series, 0.0)
            if len(scrapes) == 1 or (number > 0 and sample.value < before):
                grown[sample.series] += sample.value
            elif number > 0:
                grown[sample.series] += sample.value - before
            else:
                grown[sample.series] += 0.0
            last[sample.series] = sample.value
    return dict(grown)


def span_s(scrapes: tuple[Scrape, ...], name: str) -> float | None:
    """Return the seconds in which counters of a name grew; of one scrape, since they began, as the server says; None: unknown."""
    first, last = scrapes[0], scrapes[-1]
    if last.at_s is None:
        return None
    begun = first.at_s
    if len(scrapes) == 1:
        stem = name.removesuffix("_total").removesuffix("_count").removesuffix("_bucket")
        said = last.named(f"{stem}_created") or last.named("process_start_time_seconds")
        begun = min((sample.value for sample in said), default=None)
    return last.at_s - begun if begun is not None and last.at_s > begun else None
