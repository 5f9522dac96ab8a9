"""Requests that bring several items, as a query with its passages to rank: all arrive at once, and the last to be done answers it."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from advisor.schema.workload import ItemsPerRequest

MOST_ITEMS = 10_000  # that one request brings
Z_95 = NormalDist().inv_cdf(0.95)


class Requests(NamedTuple):
    """A stream of requests as a queue sees it: one entry for each item, those of a request beside each other."""

    arrival_s: np.ndarray  # (items,) ascending
    size_class: np.ndarray  # (items,)
    first: np.ndarray | None = None  # (requests,) ascending, the place of each one's first item; None: each brings one

    @property
    def total(self) -> int:
        """How many requests there are."""
        return len(self.arrival_s) if self.first is None else len(self.first)

    @property
    def sent_s(self) -> np.ndarray:
        """When each request comes (requests,)."""
        return self.arrival_s if self.first is None else self.arrival_s[self.first]

    def begun(self, count: int | None) -> "Requests":
        """Return so many requests from the beginning, None for all."""
        if count is None or count >= self.total:
            return self
        items = count if self.first is None else int(self.first[count])
        first = None if self.first is None else self.first[:count]
        return Requests(self.arrival_s[:items], self.size_class[:items], first)

    def chosen(self, places: np.ndarray) -> "Requests":
        """Return the requests at these places (chosen,), in that order, whenever they come."""
        if self.first is None:
            return Requests(self.arrival_s[places], self.size_class[places])
        counts = np.diff(self.first, append=len(self.arrival_s))[places]
        first = np.cumsum(counts) - counts
        of_items = np.arange(int(counts.sum())) - np.repeat(first - self.first[places], counts)
        return Requests(self.arrival_s[of_items], self.size_class[of_items], first)

    def scaled(self, scale: float) -> "Requests":
        """Return the same requests, so many times as dense."""
        return self if scale == 1.0 else self._replace(arrival_s=self.arrival_s / scale)

    def each(self, of_items: np.ndarray) -> np.ndarray:
        """Return (requests,) the largest value that an item of each request has, from those of items (items,)."""
        return of_items if self.first is None else np.maximum.reduceat(of_items, self.first)

    def summed(self, of_items: np.ndarray) -> np.ndarray:
        """Return (requests,) the sum over the items of each request, from the values of items (items,)."""
        return of_items if self.first is None else np.add.reduceat(of_items, self.first)

    def spread_out(self, of_requests: np.ndarray) -> np.ndarray:
        """Return (items,) the value of each item's request, from those of requests (requests,)."""
        if self.first is None:
            return of_requests
        return np.repeat(of_requests, np.diff(self.first, append=len(self.arrival_s)))


def together(sent_s: np.ndarray, size_class: np.ndarray, counts: np.ndarray | None) -> Requests:
    """Return requests sent at `sent_s` (requests,) that bring so many items each (requests,), of these classes (items,)."""
    if counts is None:
        return Requests(sent_s, size_class)
    first = np.cumsum(counts) - counts
    return Requests(np.repeat(sent_s, counts), size_class, first)


def drawn_counts(asked: int | ItemsPerRequest, requests: int, random: np.random.Generator) -> np.ndarray | None:
    """Draw how many items requests bring (requests,), from the lognormal law through p50 and p95; None where each brings one."""
    if asked == 1:
        return None
    if isinstance(asked, int):
        return np.full(requests, asked, dtype=np.intp)
    sigma = math.log(asked.p95 / asked.p50) / Z_95
    drawn = np.rint(asked.p50 * np.exp(sigma * random.standard_normal(requests)))
    return np.asarray(np.clip(drawn, 1, MOST_ITEMS), dtype=np.intp)


def about(asked: int | ItemsPerRequest) -> float:
    """Return the mean number of items of a request, by the law that they are drawn from."""
    if isinstance(asked, int):
        return float(asked)
    return asked.p50 * math.exp((math.log(asked.p95 / asked.p50) / Z_95) ** 2 / 2)


def per_item_s(table: np.ndarray) -> np.ndarray:
    """Return the least seconds an item that a table (max_batch_size, classes) has for each class (classes,)."""
    return np.asarray((table / np.arange(1, len(table) + 1)[:, None]).min(axis=0))


def least_s(requests: Requests, table: np.ndarray, instances: int) -> np.ndarray:
    """Return (requests,) what each takes at least: its longest item by itself, and the work of all its items on all instances.

    Whatever batches the items are in, the instances spend at least their least share of these on them after the request has come.
    """
    work_s = requests.summed(per_item_s(table)[requests.size_class]) / instances
    return np.asarray(np.maximum(table[0][requests.each(requests.size_class)], work_s))
