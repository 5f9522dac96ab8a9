"""Many workloads, one budget: which levers to pull for which of them, so that most is saved; exact, for levers do not add up."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, combinations
from typing import NamedTuple

from advisor import __version__, units
from advisor.decide import combining, multiple_choice
from advisor.decide.integer_program import Limit
from advisor.decide.lifetime.inputs import Life, Market, forbidden
from advisor.decide.lifetime.levers import effort_days, evaluated, once_usd
from advisor.decide.lifetime.moves import Move
from advisor.errors import InputError
from advisor.schema.portfolio import Choice, Portfolio, PortfolioEntry, PortfolioPlan
from advisor.schema.record import SCHEMA_VERSION, Exclusion
from advisor.schema.workload import Lifecycle

ROUNDING_USD = 0.005
ROUNDING = 1e-12  # of a sum of thousands of savings, in parts of it
MOST_LEFT_OUT = 500


class Member(NamedTuple):
    """A workload with its inputs, and what the portfolio says of it."""

    entry: PortfolioEntry
    name: str
    life: Life
    lifecycle: Lifecycle
    market: Market


class Bundle(NamedTuple):
    """Levers pulled together for one workload, by their titles: cost and saving of all of them, predicted together."""

    levers: tuple[str, ...]
    once_usd: float
    days: float
    saving_usd: float
    training_usd: float  # of what it costs once

    @property
    def net_usd(self) -> float:
        """What it saves beyond what it costs."""
        return self.saving_usd - self.once_usd


class _Priced(NamedTuple):
    """A lever with what it takes by itself: the same in every bundle."""

    move: Move
    once_usd: float
    days: float


class Offers(NamedTuple):
    """What can be done for one workload, and no more than a plan needs of that: ten thousand of them fit into memory."""

    file: str  # as the portfolio names it
    name: str
    horizon_months: float
    not_allowed: str | None  # why what is planned may not be done at all
    bundles: tuple[Bundle, ...]  # none of them saves less than another, costs as much and takes as long
    considered: int  # combinations of levers
    left_out: tuple[Exclusion, ...]


def offers_of(member: Member) -> Offers:
    """Return what can be done for a workload; raise InputError for levers that nobody knows, or that cannot be pulled as asked."""
    moves, excluded = evaluated(member.life, member.lifecycle, member.market)
    _check(member, moves, excluded)
    bundles = _bundles(member, moves)
    return Offers(
        file=member.entry.workload,
        name=member.name,
        horizon_months=member.lifecycle.horizon_months,
        not_allowed=forbidden(member.life),
        bundles=tuple(bundles[at] for at in multiple_choice.undominated([(it.net_usd, it.once_usd, it.days) for it in bundles])),
        considered=len(bundles),
        left_out=tuple(excluded),
    )


def plan(portfolio: Portfolio, offers: Sequence[Offers], *, created: str) -> PortfolioPlan:
    """Return the best plan within the budget; raise InputError where even what must be done costs more."""
    bundles = [bundle for offer in offers for bundle in offer.bundles]
    limits = [Limit([bundle.once_usd for bundle in bundles], portfolio.budget_usd)]
    if portfolio.engineer_days is not None:
        limits.append(Limit([bundle.days for bundle in bundles], portfolio.engineer_days))
    ends = list(accumulate(len(offer.bundles) for offer in offers))
    groups = [range(end - len(offer.bundles), end) for offer, end in zip(offers, ends, strict=True)]
    answer = multiple_choice.choose([bundle.net_usd for bundle in bundles], limits, groups)
    if answer is None:
        least = math.fsum(min(bundle.once_usd for bundle in offer.bundles) for offer in offers)
        raise InputError(
            f"budget_usd: what must be done costs {units.usd(least)} at least, the budget is {units.usd(portfolio.budget_usd)}",
            hint="raise budget_usd or engineer_days, or take levers out of `must`",
        )
    chosen = [bundles[at] for at in answer.chosen]
    spent = math.fsum(bundle.once_usd for bundle in chosen)
    training = math.fsum(bundle.training_usd for bundle in chosen)
    saving, gap = math.fsum(bundle.saving_usd for bundle in chosen), answer.bound - answer.gain
    return PortfolioPlan(
        schema_version=SCHEMA_VERSION,
        created=created,
        advisor_version=__version__,
        name=portfolio.name,
        budget_usd=portfolio.budget_usd,
        spent_usd=spent,
        saving_usd=saving,
        net_usd=saving - spent,
        share_for_inference=(spent - training) / spent if spent else None,
        share_for_training=training / spent if spent else None,
        choices=tuple(_choice(bundle, offer) for bundle, offer in zip(chosen, offers, strict=True)),
        considered=sum(offer.considered for offer in offers),
        gap_usd=gap if gap > max(ROUNDING_USD, ROUNDING * abs(answer.gain)) else 0.0,
        left_out=_left_out(offers),
    )


def _left_out(offers: Sequence[Offers]) -> tuple[Exclusion, ...]:
    """Return what could not be judged of each workload; where that is more than anybody reads, once for all that have it in common."""
    each = [Exclusion(what=f"{offer.name}: {entry.what}", reason=entry.reason) for offer in offers for entry in offer.left_out]
    if len(each) <= MOST_LEFT_OUT:
        return tuple(each)
    common = Counter((entry.what, entry.reason) for offer in offers for entry in offer.left_out)
    return tuple(
        Exclusion(what=f"{units.counted(count, 'workload')}: {what}", reason=reason)
        for (what, reason), count in common.most_common(MOST_LEFT_OUT)
    )


def _check(member: Member, moves: Sequence[Move], excluded: Sequence[Exclusion]) -> None:
    evaluated_ids, titles = {move.lever.id for move in moves}, {entry.what: entry.reason for entry in excluded}
    known = {lever.id: lever.title for lever in member.market.model.levers}
    for name in (*member.entry.must, *member.entry.never):
        if name not in known:
            raise InputError(f"{member.entry.workload}: {name!r} is no lever", hint=f"the levers are: {', '.join(known)}")
    for name in member.entry.must:
        if name not in evaluated_ids:
            reason = titles.get(known[name], "it changes nothing here")
            raise InputError(f"{member.entry.workload}: must: {name!r} cannot be evaluated", hint=reason)


def _bundles(member: Member, moves: Sequence[Move]) -> list[Bundle]:
    """Return every set of levers that can be pulled together, with its saving and cost."""
    allowed = [_priced(member, move) for move in moves if move.lever.id not in member.entry.never]
    found = []
    for size in range(len(allowed) + 1):
        for picked in combinations(allowed, size):
            ids = {priced.move.lever.id for priced in picked}
            if set(member.entry.must) <= ids and combining.fit_together(ids):
                found.append(_bundle(member, picked))
    if not found:
        raise InputError(
            f"{member.entry.workload}: what must be done cannot be done together",
            hint="take one of them out of `must`, or of `never`",
        )
    return found


def _priced(member: Member, move: Move) -> _Priced:
    x = member.life.values
    return _Priced(move, once_usd(move, x)[0], effort_days(move, x).value)


def _bundle(member: Member, picked: tuple[_Priced, ...]) -> Bundle:
    return Bundle(
        levers=tuple(priced.move.lever.title for priced in picked),
        once_usd=math.fsum(priced.once_usd for priced in picked),
        days=math.fsum(priced.days for priced in picked),
        saving_usd=combining.saved_usd([priced.move for priced in picked], member.life.values),
        training_usd=math.fsum(priced.once_usd for priced in picked if priced.move.lever.side == "training"),
    )


def _choice(bundle: Bundle, offers: Offers) -> Choice:
    best = max(offers.bundles, key=_net)
    if not bundle.levers:
        because = (
            "nothing that could be evaluated saves more than it costs"
            if not best.levers
            else f"the budget does not reach for {_named(best)}"
        )
    else:
        horizon = units.months(offers.horizon_months)
        because = f"saves {units.usd(bundle.saving_usd)} in {horizon} for {units.usd(bundle.once_usd)} once"
        if best.net_usd > bundle.net_usd:
            because += f"; with more money: {_named(best)}"
    if offers.not_allowed is not None:
        because = f"not allowed as planned: {offers.not_allowed}; {because}"
    return Choice(
        workload=offers.name,
        levers=bundle.levers,
        once_usd=bundle.once_usd,
        engineer_days=bundle.days,
        saving_usd=bundle.saving_usd,
        because=f"{because[0].upper()}{because[1:]}.",
    )


def _net(bundle: Bundle) -> float:
    return bundle.net_usd


def _named(bundle: Bundle) -> str:
    return ", ".join(title.lower() for title in bundle.levers)
