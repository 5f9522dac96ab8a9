"""The base of all records, and the words that every record uses: numbers with a range, a figure with its interval, a source."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 3
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
AtLeastOne = Annotated[float, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
Basis = Literal["measured", "interpolated", "simulated", "projected", "list-price", "assumed"]
Metric = Name  # one of quality_floor.METRICS, top<k>_accuracy, or module:function of the user


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all records: immutable, built by keyword, refusing unknown keys."""


class Estimate(Record, frozen=True, kw_only=True):
    """A figure with its 90% interval, how it was obtained and from what."""

    value: float
    low: float
    high: float
    basis: Basis
    source: str


class Exclusion(Record, frozen=True, kw_only=True):
    """Something that was not considered, and why."""

    what: str
    reason: str


class Source(Record, frozen=True, kw_only=True):
    """Where a fact comes from, and when it was read."""

    what: Name
    date: Name
