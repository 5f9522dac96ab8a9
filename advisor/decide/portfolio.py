"""Many workloads, one budget: which levers to pull for which of them, so that most is saved; exact, for levers do not add up."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from advisor import __version__, units
from advisor.decide import combining, integer_program
from advisor.decide.integer_program import Limit
from advisor.decide.lifetime.inputs import Life, Market, forbidden
from advisor.decide.lifetime.levers import effort_days, evaluated, once_usd
from advisor.decide.lifetime.moves import Move
from advisor.errors import InputError
from advisor.schema.portfolio import Choice, Portfolio, PortfolioEntry, PortfolioPlan
from advisor.schema.record import SCHEMA_VERSION, Exclusion
from advisor.schema.workload import Lifecycle

ROUNDING_USD = 0.005


class Member(NamedTuple):
    """A workload with its inputs, and what the portfolio says of it."""

    entry: PortfolioEntry
    name: str
    life: Life
    lifecycle: Lifecycle
    market: Market


class Bundle(NamedTuple):
    """Levers pulled together for one workload: cost and saving of all of them, predicted together."""

    member: int
    moves: tuple[Move, ...]
    once_usd: float
    days: float
    saving_usd: float
    training_usd: float  # of what it costs once


def plan(portfolio: Portfolio, members: Sequence[Member], *, created: str) -> PortfolioPlan:
    """Return the best plan within the budget; raise InputError where even what must be done costs more."""
    bundles: list[Bundle] = []
    left: list[Exclusion] = []
    for index, member in enumerate(members):
        moves, excluded = evaluated(member.life, member.lifecycle, member.market)
        left += [Exclusion(what=f"{member.name}: {entry.what}", reason=entry.reason) for entry in excluded]
        _check(member, moves, excluded)
        bundles += _bundles(index, member, moves)
    limits = [Limit([bundle.once_usd for bundle in bundles], portfolio.budget_usd)]
    if portfolio.engineer_days is not None:
        limits.append(Limit([bundle.days for bundle in bundles], portfolio.engineer_days))
    groups = [[at for at, bundle in enumerate(bundles) if bundle.member == index] for index in range(len(members))]
    gain = [bundle.saving_usd - bundle.once_usd for bundle in bundles]
    answer = integer_program.choose(gain, limits, groups)
    if answer is None:
        least = math.fsum(min(bundles[at].once_usd for at in group) for group in groups)
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
        choices=tuple(_choice(bundle, members[bundle.member], bundles) for bundle in chosen),
        considered=len(bundles),
        gap_usd=gap if gap > ROUNDING_USD else 0.0,
        left_out=tuple(left),
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


def _bundles(index: int, member: Member, moves: Sequence[Move]) -> list[Bundle]:
    """Return every set of levers that can be pulled together, with its saving and cost."""
    allowed = [move for move in moves if move.lever.id not in member.entry.never]
    found = []
    for size in range(len(allowed) + 1):
        for picked in combinations(allowed, size):
            ids = {move.lever.id for move in picked}
            if set(member.entry.must) <= ids and combining.fit_together(ids):
                found.append(_bundle(index, member, picked))
    if not found:
        raise InputError(
            f"{member.entry.workload}: what must be done cannot be done together",
            hint="take one of them out of `must`, or of `never`",
        )
    return found


def _bundle(index: int, member: Member, picked: tuple[Move, ...]) -> Bundle:
    x = member.life.values
    saving = combining.saved_usd(picked, x)
    once = {move.lever.id: once_usd(move, x)[0] for move in picked}
    training = math.fsum(once[move.lever.id] for move in picked if move.lever.side == "training")
    days = math.fsum(effort_days(move, x).value for move in picked)
    return Bundle(index, picked, math.fsum(once.values()), days, saving, training)


def _choice(bundle: Bundle, member: Member, bundles: Sequence[Bundle]) -> Choice:
    best = max((other for other in bundles if other.member == bundle.member), key=_net)
    if not bundle.moves:
        because = (
            "nothing that could be evaluated saves more than it costs"
            if not best.moves
            else f"the budget does not reach for {_named(best)}"
        )
    else:
        horizon = units.months(member.lifecycle.horizon_months)
        because = f"saves {units.usd(bundle.saving_usd)} in {horizon} for {units.usd(bundle.once_usd)} once"
        if _net(best) > _net(bundle):
            because += f"; with more money: {_named(best)}"
    not_allowed = forbidden(member.life)
    if not_allowed is not None:
        because = f"not allowed as planned: {not_allowed}; {because}"
    return Choice(
        workload=member.name,
        levers=tuple(move.lever.title for move in bundle.moves),
        once_usd=bundle.once_usd,
        engineer_days=bundle.days,
        saving_usd=bundle.saving_usd,
        because=f"{because[0].upper()}{because[1:]}.",
    )


def _net(bundle: Bundle) -> float:
    return bundle.saving_usd - bundle.once_usd


def _named(bundle: Bundle) -> str:
    return ", ".join(move.lever.title.lower() for move in bundle.moves)
