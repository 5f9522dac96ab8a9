"""The cheapest candidates that keep every target, exactly, with an account of every candidate of the space.

A way to serve keeps the targets on all numbers of replicas from its fewest on: with more of them each gets thinner traffic. So of each way
one number decides about all that are smaller. The work alone bounds that number from below, and requests that find an idle replica show
where no number helps; as soon as one answer is known, each other way is asked once, on the most replicas that would still be cheaper.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from advisor.decide.generation.site import UnderLoad, WayT
from advisor.decide.queue.search import ENOUGH_CHEAPEST
from advisor.schema.record import Estimate, Record

ROUNDING = 1e-9


class Rentable(Protocol[WayT]):
    """What replicas run on: a price, and what one of them carries."""

    @property
    def price(self) -> float:
        """Of a replica, USD per hour."""

    @property
    def rent(self) -> Estimate:
        """The same, with where it comes from."""

    @property
    def serving(self) -> UnderLoad[WayT]:
        """A replica under the load."""


SiteT = TypeVar("SiteT", bound=Rentable[Any])


class Searchable(NamedTuple, Generic[SiteT, WayT]):
    """A machine, and what could be served there, simplest first."""

    site: SiteT
    space: Sequence[WayT]


class Chosen(NamedTuple, Generic[SiteT, WayT]):
    """A candidate that was found, and where."""

    site: SiteT
    way: WayT
    replicas: int

    @property
    def usd_per_hour(self) -> float:
        """What it costs."""
        return self.replicas * self.site.price


class Found(Record, Generic[SiteT, WayT], frozen=True, kw_only=True):
    """The cheapest candidates that keep the targets, all of one cost, simplest first, and the account of the whole space.

    At most ENOUGH_CHEAPEST are sought. `cut_by_cost` counts candidates that could be no cheaper, and those of ways that miss a target on
    more replicas.
    """

    cheapest: tuple[Chosen[SiteT, WayT], ...]
    candidates: int
    cut_by_bound: int
    cut_by_cost: int
    simulated: int

    @property
    def usd_per_hour(self) -> float:
        """What each of them costs; infinite where there are none."""
        return self.cheapest[0].usd_per_hour if self.cheapest else math.inf


class _Entry(NamedTuple, Generic[SiteT, WayT]):
    """A way to serve somewhere, and the replicas between which its answer lies."""

    site: SiteT
    way: WayT
    fewest: int
    most: int

    def below(self, usd_per_hour: float) -> int:
        """Return the most replicas that cost less."""
        if math.isinf(usd_per_hour):
            return self.most
        return min(self.most, math.ceil(usd_per_hour / self.site.price * (1 - ROUNDING)) - 1)


def search(
    places: Sequence[Searchable[SiteT, WayT]],
    confidence: float,
    *,
    enough: int = ENOUGH_CHEAPEST,
    below_usd_per_hour: float = math.inf,
) -> Found[SiteT, WayT]:
    """Return the cheapest candidates of all places that keep every target with this confidence, of those that cost less.

    Of equally cheap ones those of the earlier place come first.
    """
    entries = [
        _Entry(place.site, way, place.site.serving.fewest(way, confidence), place.site.serving.most(way))
        for place in places
        for way in place.space
    ]
    candidates = sum(entry.most for entry in entries)
    alive = [
        entry for entry in entries if entry.fewest <= entry.most and not entry.site.serving.is_hopeless(entry.way, confidence)
    ]
    left = sum(entry.most - entry.fewest + 1 for entry in alive)
    asked: _Asked[SiteT, WayT] = _Asked(confidence)
    best_usd = below_usd_per_hour
    is_found = False
    for entry in sorted(alive, key=lambda entry: entry.fewest * entry.site.price):
        most = entry.below(best_usd)
        if entry.fewest > most:
            continue
        # Without an answer yet few replicas are tried first; then one question settles most ways.
        replicas = asked.fewest(entry, most) if is_found else asked.upwards(entry, most)
        if replicas is not None:
            best_usd, is_found = replicas * entry.site.price, True
    cheapest = tuple(_as_cheap(alive, asked, best_usd, enough)) if is_found else ()
    return Found(
        cheapest=cheapest,
        candidates=candidates,
        cut_by_bound=candidates - left,
        cut_by_cost=left - len(asked.answers),
        simulated=len(asked.answers),
    )


def _as_cheap(
    alive: Sequence[_Entry[SiteT, WayT]], asked: "_Asked[SiteT, WayT]", usd_per_hour: float, enough: int
) -> Iterator[Chosen[SiteT, WayT]]:
    """Yield those that keep the targets at this cost, simplest first, up to as many as are enough."""
    found = 0
    for entry in alive:
        replicas = round(usd_per_hour / entry.site.price)
        is_at_cost = math.isclose(replicas * entry.site.price, usd_per_hour, rel_tol=ROUNDING)
        if found < enough and is_at_cost and entry.fewest <= replicas <= entry.most and asked.keeps(entry, replicas):
            found += 1
            yield Chosen(entry.site, entry.way, replicas)


class _Asked(Generic[SiteT, WayT]):
    """The candidates that were simulated, each once, and what came of it."""

    def __init__(self, confidence: float) -> None:
        self._confidence = confidence
        self.answers: dict[tuple[int, WayT, int], bool] = {}

    def keeps(self, entry: _Entry[SiteT, WayT], replicas: int) -> bool:
        key = (id(entry.site), entry.way, replicas)
        if key not in self.answers:
            self.answers[key] = entry.site.serving.meets(entry.way, replicas, self._confidence)
        return self.answers[key]

    def fewest(self, entry: _Entry[SiteT, WayT], most: int) -> int | None:
        """Return the fewest replicas that keep the targets, None where so many do not."""
        return self._between(entry, entry.fewest - 1, most) if self.keeps(entry, most) else None

    def upwards(self, entry: _Entry[SiteT, WayT], most: int) -> int | None:
        """Return the same, with few replicas asked first."""
        low, stride = entry.fewest - 1, 1
        while (high := min(low + stride, most)) > low:
            if self.keeps(entry, high):
                return self._between(entry, low, high)
            low, stride = high, 2 * stride
        return None

    def _between(self, entry: _Entry[SiteT, WayT], low: int, high: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.keeps(entry, middle) else (middle, high)
        return high


def fewest_replicas(site: Rentable[WayT], way: WayT, confidence: float, *, above: int = 0) -> int | None:
    """Return the fewest replicas, more than so many, that keep every target with this confidence; None where none do."""
    serving = site.serving
    entry = _Entry(site, way, max(serving.fewest(way, confidence), above + 1), serving.most(way))
    if entry.fewest > entry.most or serving.is_hopeless(way, confidence):
        return None
    asked: _Asked[Rentable[WayT], WayT] = _Asked(confidence)
    return asked.upwards(entry, entry.most)


def count_candidates(site: Rentable[WayT], space: Sequence[WayT]) -> int:
    """Return how many candidates a space has, each way on 1 replica up to the most; nothing is simulated."""
    return sum(site.serving.most(way) for way in space)
