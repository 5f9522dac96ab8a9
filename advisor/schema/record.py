"""The base of all records, and the words that every record uses: numbers with a range, a figure with its interval, a source.

The ranges hold where a record is read, not where it is made: outside of them no figure of a served model lies, and within them what is
worked out of a few of them is still a number.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from advisor.schema.options import MOST_BATCH_SIZE

SCHEMA_VERSION = 3
LARGEST_FIGURE = 1e30
LARGEST_SHOWN = 1e300  # of what is shown and not computed with, as a metric of the user's
LARGEST_COUNT = 2**53  # beyond it a float does not hold every whole number
LONGEST_S = 1e10  # three hundred years
SHORTEST_CALL_S = 1e-9
MOST_CORES = 2**16
LONGEST_SEQUENCE = 10_000_000  # ten minutes of audio at 16 kHz; more is a slip, and would not fit into memory

Positive = Annotated[float, Meta(gt=0, le=LARGEST_FIGURE)]
NonNegative = Annotated[float, Meta(ge=0, le=LARGEST_FIGURE)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
AtLeastOne = Annotated[float, Meta(ge=1, le=LARGEST_FIGURE)]
Shown = Annotated[float, Meta(ge=-LARGEST_SHOWN, le=LARGEST_SHOWN)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_S)]
CallSeconds = Annotated[float, Meta(ge=SHORTEST_CALL_S, le=LONGEST_S)]  # of what is divided by, and whose logarithm is taken
Count = Annotated[int, Meta(ge=1, le=LARGEST_COUNT)]
Whole = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
Difference = Annotated[int, Meta(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
BatchSize = Annotated[int, Meta(ge=1, le=MOST_BATCH_SIZE)]
Cores = Annotated[int, Meta(ge=1, le=MOST_CORES)]  # and threads, and instances
Length = Annotated[int, Meta(ge=1, le=LONGEST_SEQUENCE)]
Name = Annotated[str, Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Basis = Literal["measured", "interpolated", "simulated", "projected", "list-price", "assumed"]
Metric = Name  # one of quality_floor.METRICS, top<k>_accuracy, or module:function of the user


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all records: immutable, built by keyword, refusing unknown keys."""


class Estimate(Record, frozen=True, kw_only=True):
    """A figure with its 90% interval, how it was obtained and from what."""

    value: Shown
    low: Shown
    high: Shown
    basis: Basis
    source: str

    def overlaps(self, other: "Estimate") -> bool:
        """Return whether the intervals of both have anything in common: then the two cannot be told apart."""
        return self.low <= other.high and other.low <= self.high


class Exclusion(Record, frozen=True, kw_only=True):
    """Something that was not considered, and why."""

    what: str
    reason: str


class Source(Record, frozen=True, kw_only=True):
    """Where a fact comes from, and when it was read."""

    what: Name
    date: Name
