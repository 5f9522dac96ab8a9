"""What measurements in progress leave open: the settings on which the answer rests, and those that could still change it.

A server's overhead is not settled by timing calls, so it is taken as it is known best: only service times have ends here. What would be
recommended with all that is not known of servers is looked at beside it.
"""

from collections import defaultdict
from typing import NamedTuple

from advisor.decide.queue.search import Found, search_places
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, USUAL_CONFIDENCE
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import Setting, setting_of
from advisor.units import counted, usd


class OpenSetting(NamedTuple):
    """A setting and the batch sizes at which its service times bear on the answer."""

    setting: Setting
    batch_sizes: tuple[int, ...]


class Openness(NamedTuple):
    """Whether the answer stands at both ends of the service times, what it rests on (most open first), and the answer in words."""

    stands: bool
    settings: tuple[OpenSetting, ...]
    answer: str


def openness(site: SiteUnderLoad) -> Openness | None:
    """Return what is open at one site; None where no variant may be recommended there.

    Two variants that tie in speed after few visits may not after more, so both are looked at.
    """
    space = site.space(site.eligible())
    if not space:
        return None
    place_of = {entry: place for place, entry in enumerate(space)}
    by_setting: dict[Setting, list[Configuration]] = defaultdict(list)
    for entry in space:
        by_setting[setting_of(entry)].append(entry)
    chosen = _search(site, USUAL_CONFIDENCE, space)
    at_best = {setting: _search(site, LEAST_CONFIDENCE, entries) for setting, entries in by_setting.items()}
    winner = chosen.cheapest[0] if chosen.cheapest else None
    rivals = []
    for setting, found in at_best.items():
        if not found.cheapest:
            continue
        entry, replicas = found.cheapest[0]
        if winner is None or _could_win(replicas, place_of[entry], winner, place_of):
            rivals.append((replicas, place_of[entry], setting, entry))
    rivals.sort()
    named = [(setting, entry) for _, _, setting, entry in rivals]
    # As far as is known of servers, another may be recommended for sure.
    sure = site.search(site.space(site.admitted())).cheapest[:1]
    named = [(setting_of(entry), entry) for entry, _ in (*chosen.cheapest[:1], *sure)] + named
    if not named:
        named = [(setting_of(site.today), site.today)]
    return Openness(
        stands=not rivals,
        settings=_merged(named),
        answer=_in_words(site, winner, rivals[0][0] if rivals else None),
    )


def _could_win(replicas: int, place: int, winner: tuple[Configuration, int], place_of: dict[Configuration, int]) -> bool:
    """Return whether so few replicas are cheaper than the winner, or as cheap and a smaller change."""
    return (replicas, place) < (winner[1], place_of[winner[0]])


def _search(site: SiteUnderLoad, confidence: float, space: list[Configuration]) -> Found:
    slo, place = site.workload.slo, site.searchable(space, confidence, is_server_known=True)
    return search_places([place], quantile=slo.quantile, target_s=slo.latency_s, enough=1)


def _merged(named: list[tuple[Setting, Configuration]]) -> tuple[OpenSetting, ...]:
    """Return each setting once, in order, with the batch sizes of all its configurations: a single item, and the largest batch."""
    sizes: dict[Setting, set[int]] = {}
    for setting, entry in named:
        sizes.setdefault(setting, set()).update((1, entry.max_batch_size))
    return tuple(OpenSetting(setting, tuple(sorted(found))) for setting, found in sizes.items())


def _in_words(site: SiteUnderLoad, winner: tuple[Configuration, int] | None, fewest: int | None) -> str:
    if winner is None:
        return "no configuration shown to keep the target" if fewest else "no configuration keeps the target"
    entry, replicas = winner
    least = replicas if fewest is None else min(fewest, replicas)
    count = counted(replicas, "replica") if least == replicas else f"{least} to {counted(replicas, 'replica')}"
    cost = usd(replicas * site.price) if least == replicas else f"{usd(least * site.price)} to {usd(replicas * site.price)}"
    return f"{count} of {entry.variant} in batches of up to {entry.max_batch_size}, {cost}/h"
