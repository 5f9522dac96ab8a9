"""Which nodes of a quantized model cost it its quality: found one by one, then left in full precision, as few as it takes."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import msgspec

# Each evaluation is another look at the same data, and is paid for with a wider interval.
MOST_LOOKS = 6
SENSITIVITY_SHARE = 0.5  # of the time; the rest is for looking
LARGEST_KEPT = 0.8  # of the nodes: with more left as they were, there is nothing to gain


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The fewest nodes found so far that have to stay in full precision, and how often the data was looked at."""

    kept: tuple[str, ...] | None  # None: no number of them that was tried was enough
    looks: int
    tried: tuple[tuple[int, bool], ...]  # nodes kept, and whether that was enough


def by_error(nodes: Sequence[str], error_of: Callable[[frozenset[str]], float], *, seconds: float) -> list[str]:
    """Return the nodes, the one whose quantization alone does most harm first.

    `error_of` returns how far the outputs are off with only these nodes quantized. Where one at a time would take longer than `seconds`,
    neighbors are tried together.
    """
    started = time.perf_counter()
    errors: dict[str, float] = {}
    place, size = 0, 1
    while place < len(nodes):
        group = nodes[place : place + size]
        # What a group does is shared among its nodes, for a larger one does more.
        harm = error_of(frozenset(group)) / len(group)
        errors |= dict.fromkeys(group, harm)
        place += len(group)
        spent = time.perf_counter() - started
        left = max(seconds - spent, 1e-9)
        each = spent / (len(set(errors.values())) or 1)
        size = max(1, min(len(nodes), round((len(nodes) - place) * each / left)))
    return sorted(nodes, key=lambda name: -errors[name])


def with_those_between(kept: Sequence[str], readers: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return the nodes with all that read nothing but kept nodes and are read by nothing else.

    `readers` maps a node to those that read its outputs. Such a node would cost more than it saves: its inputs have to be
    quantized for it alone, and its outputs turned back.
    """
    found = list(kept)
    sources: dict[str, set[str]] = {}
    for name, reading in readers.items():
        for other in reading:
            sources.setdefault(other, set()).add(name)
    is_growing = True
    while is_growing:
        inside = set(found)
        between = [
            name
            for name, reading in readers.items()
            if name not in inside and reading and reading <= inside and name in sources and sources[name] <= inside
        ]
        found += between
        is_growing = bool(between)
    return tuple(found)


def fewest(
    ordered: Sequence[str],
    holds: Callable[[tuple[str, ...], int], bool],
    *,
    until_s: float,
    readers: Mapping[str, frozenset[str]] | None = None,
) -> Found:
    """Return the fewest of the first nodes that are enough, by halving the ratio of what is and what is not, a few looks in all.

    `holds` gets the nodes to keep, with those between them by `readers`, and the number of the look. Time ends the search at
    `until_s` on time.perf_counter, and the best so far stands.
    """
    most = max(1, int(len(ordered) * LARGEST_KEPT))
    low, high = 0, most + 1
    tried: list[tuple[int, bool]] = []
    best: tuple[str, ...] | None = None
    while low + 1 < high and len(tried) < MOST_LOOKS and (not tried or time.perf_counter() < until_s):
        # Of ten nodes one more matters, of a hundred hardly.
        count = min(max(round(sqrt(max(low, 1) * high)), low + 1), high - 1)
        kept = with_those_between(ordered[:count], readers or {})
        enough = holds(kept, len(tried) + 1)
        tried.append((len(kept), enough))
        if enough:
            best, high = kept, count
        else:
            low = count
    return Found(kept=best, looks=len(tried), tried=tuple(tried))
