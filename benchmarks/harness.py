"""What every program here shares: three options, calls in turns, and the figures that it leaves.

A figure is a finite number, or Unknown with the reason. `--json` gets them under the keys that a program's docstring names behind
"Keys:", unknown ones as null with the reason under "unknown", and "size": whether they come from a full, a quick or a tiny run.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from advisor.disk.writing import check_writable, write_atomically
from advisor.errors import InputError

Z_90 = 1.6449  # of a normal distribution 90 % lie within so many standard deviations
Size = Literal["full", "quick", "tiny"]


class Unknown(NamedTuple):
    """A figure that could not be had, and why."""

    reason: str


Figure = float | Unknown
Figures = dict[str, Figure]


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that has the options of all programs; the docstring is its help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="full", help="less of everything")
    size.add_argument(
        "--tiny", dest="size", action="store_const", const="tiny", help="as little as goes through the code: figures mean nothing"
    )
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options; a --json that cannot be written is refused before time is spent on what goes into it."""
    arguments = parser.parse_args()
    if arguments.json is not None:
        try:
            check_writable(arguments.json)
        except InputError as error:
            parser.error(f"--json: {error.fault}; {error.hint}")
    return arguments


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def silent(done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
    """Report to nobody how far a profile has come."""


def show(figures: Figures) -> None:
    print()
    for key, figure in figures.items():
        print(f"{key:<56}{f'not known: {figure.reason}' if isinstance(figure, Unknown) else _shown(figure)}")


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1e6 or figure == int(figure) else f"{figure:,.4g}"


def save(path: Path | None, size: Size, figures: Figures, **tables: Any) -> None:
    """Write the figures and what they were taken from, whole or not at all; without a path do nothing."""
    if wrong := [key for key, figure in figures.items() if not isinstance(figure, Unknown) and not math.isfinite(figure)]:
        raise ValueError(f"neither finite nor Unknown: {', '.join(wrong)}")
    if path is None:
        return
    known = {key: None if isinstance(figure, Unknown) else figure for key, figure in figures.items()}
    unknown = {key: figure.reason for key, figure in figures.items() if isinstance(figure, Unknown)}
    content = {"size": size, **known, "unknown": unknown, **tables}
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")


def middle(values: Iterable[float], *, without: str) -> Figure:
    """Return the median; of no values Unknown, with the reason."""
    listed = list(values)
    return statistics.median(listed) if listed else Unknown(without)


def high(values: Iterable[float], *, without: str) -> Figure:
    """Return the 95th percentile; of no values Unknown, with the reason."""
    listed = list(values)
    return float(np.quantile(listed, 0.95)) if listed else Unknown(without)


def rate(key: str, hits: Iterable[bool], *, without: str) -> Figures:
    """Return the share of hits with the ends of its 90 % interval (Wilson's), which tells five runs from a hundred."""
    listed = list(hits)
    count = len(listed)
    if count == 0:
        return dict.fromkeys((key, f"{key}_low", f"{key}_high"), Unknown(without))
    share, z2 = sum(listed) / count, Z_90**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_90 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return {key: share, f"{key}_low": max(centre - half, 0.0), f"{key}_high": min(centre + half, 1.0)}


def in_turns(
    calls: Mapping[str, Callable[[], object]], turns: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds that each call took in each turn.

    What else the machine does falls on all that take turns; each turn begins with another one, so that none always follows the same.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = clock()
            calls[name]()
            seconds[name].append(clock() - started)
    return seconds


def ratio(of_s: list[float], to_s: list[float]) -> float:
    """Return how many times as long one takes as the other: the median over the turns, for both of a turn met the same machine."""
    return statistics.median(of / to for of, to in zip(of_s, to_s, strict=True))


def scatter(seconds: list[float]) -> float:
    """Return how far apart the turns of one call are: the middle half of them, as a fraction of their median."""
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return float((high - low) / middle)
