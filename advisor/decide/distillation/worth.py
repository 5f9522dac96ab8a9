"""Whether a student would pay: what serving costs without it and with it, month by month, beside what it costs to make."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from advisor import units
from advisor.decide import combining
from advisor.decide.lifetime import cost, fleet, levers, opportunities, payback
from advisor.decide.lifetime.inputs import Life, Market, life_of, with_figures
from advisor.decide.lifetime.moves import Move
from advisor.decide.lifetime.payback import Gain
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.advice import Prediction
from advisor.schema.catalog import Constant, Lever
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.lifetime import BreakEven, Making, Opportunity
from advisor.schema.record import Estimate, Source
from advisor.schema.workload import Lifecycle


class Served(NamedTuple):
    """What serves, in a few words, what it costs, and the traffic that it carries; None: not known, or it misses its target anyway."""

    words: str
    replicas: int
    usd_per_hour: Estimate
    capacity_requests_per_s: Estimate | None


def life_beside(shown: Served, requests_per_s: float, lifecycle: Lifecycle, market: Market) -> Life:
    """Return the inputs of the lifetime cost where this serves: its replicas today, whole ones more as traffic grows."""
    carried = fleet.carried_requests_per_s(shown.capacity_requests_per_s, requests_per_s)
    figures = fleet.bill(shown.usd_per_hour.value, shown.replicas, carried, requests_per_s)
    del figures["serving_usd_per_hour"]  # has its own interval and source
    life = life_of(requests_per_s, lifecycle, market, measured=shown.usd_per_hour)
    return with_figures(life, "the simulated configuration, at today's traffic", **figures)


class Worth(NamedTuple):
    """A student as a lever: what it saves over the horizon beside what it costs to make, and from when and which traffic on it pays."""

    move: Move
    gain: Gain
    break_even: BreakEven

    @property
    def pays(self) -> bool:
        """Whether it saves more over the horizon than it costs to make."""
        return self.gain.net_usd > 0


def title_of(student_id: str) -> str:
    """Return what is done, never without the condition on which it is worth anything."""
    return f"Distill into {student_id}: {IF_IT_HOLDS}"


def worth_of(student_id: str, lever: Lever, shown: Served, served: Served, making: Making, life: Life, *, created: str) -> Worth:
    """Return what a student is worth that is served like this, where `life` is served by what is `shown`."""
    x = life.values
    paid = served.usd_per_hour
    carried = fleet.carried_requests_per_s(served.capacity_requests_per_s, x["requests_per_s"])
    move = Move(
        msgspec.structs.replace(lever, title=title_of(student_id)),
        "variant",
        shown.words,
        served.words,
        partial(_served_by, bill=fleet.bill(paid.value, served.replicas, carried, x["requests_per_s"])),
        effect=_spread_of(paid),
        beside=partial(_beside_the_work, making=making),
        because=making.because,
    )
    gain = _with_both_ends(payback.gain_of(move, life.figures), move, shown.usd_per_hour, paid, x)._replace(
        once_usd=making.total_usd
    )
    return Worth(move, gain, payback.break_even(move, gain, x, created=created))


def _with_both_ends(gain: Gain, move: Move, before: Estimate, after: Estimate, x: Values) -> Gain:
    """Return a gain whose saving reaches as far as the replicas of either are known: from least before, most after, to the opposite."""
    saving = gain.saving_usd
    paid = math.fsum(cost.by_month(x, move.lines) or ())
    left = paid - saving.value
    least = paid * before.low / before.value - left * after.high / after.value
    most = paid * before.high / before.value - left * after.low / after.value
    wide = msgspec.structs.replace(saving, low=min(saving.low, least), high=max(saving.high, most))
    return gain._replace(saving_usd=wide)


def of_prediction(shown: Prediction) -> Served:
    """Return what a configuration of a measured model serves."""
    candidate = shown.candidate
    words = f"{units.counted(candidate.replicas, 'replica')} of {candidate.variant} on {candidate.hardware}"
    return Served(words, candidate.replicas, shown.cost_usd_per_hour, shown.capacity_requests_per_s)


def less(before: Estimate, after: Estimate) -> Estimate:
    """Return what is saved by what costs less, each end against the other's far one."""
    return Estimate(
        value=before.value - after.value,
        low=before.low - after.high,
        high=before.high - after.low,
        basis=after.basis,
        source="what is served without it less what would be, at today's traffic",
    )


def _served_by(x: Values, effect: float, *, bill: Mapping[str, float]) -> dict[str, float]:
    """Return the inputs with another bill; the effect is how many of its replicas are needed."""
    paid = ("serving_usd_per_hour", "replica_usd_per_hour")
    return {**x, **{name: value * effect if name in paid else value for name, value in bill.items()}}


def _spread_of(paid: Estimate) -> Constant:
    return Constant(
        value=1.0, low=paid.low / paid.value, high=paid.high / paid.value, source=Source(what=paid.source, date="as simulated")
    )


def _beside_the_work(x: Values, *, making: Making) -> float:
    return making.total_usd.value - making.engineer_days.value * x["engineer_usd_per_day"]


def opportunity_of(
    worth: Worth, horizon_months: float, *, risk: str, surely_holds: bool, because: str, created: str
) -> Opportunity:
    """Return the student among what could be done; `because` is said beside how its cost is counted.

    It is sure only where it would hold at the unfavorable end of what it is assumed to keep.
    """
    move = worth.move
    found = opportunities.opportunity(
        move.lever,
        worth.gain,
        horizon_months,
        field=move.field,
        before=move.before,
        after=move.after,
        because="; ".join(part for part in (because, move.because) if part),
        created=created,
    )
    return msgspec.structs.replace(found, surely=found.surely and surely_holds, risk=risk)


def together(worth: Worth, life: Life, lifecycle: Lifecycle, market: Market) -> str:
    """Return what the student saves with the best lever beside it, which is not the sum of both; empty where none pays beside it."""
    x = life.values
    beside, _ = levers.evaluated(life, lifecycle, market)
    fitting = [move for move in beside if combining.fit_together((worth.move.lever.id, move.lever.id))]
    paying = [
        (combining.saved_usd([worth.move, move], x), math.fsum(gain.by_month), move.lever.title)
        for move, gain in zip(fitting, payback.gains_of(fitting, life.figures), strict=True)
        if gain.net_usd > 0
    ]
    return _in_words(paying, math.fsum(worth.gain.by_month), x["horizon_months"])


def _in_words(paying: Sequence[tuple[float, float, str]], alone: float, horizon_months: float) -> str:
    if not paying or alone <= 0:
        return ""
    both, other, title = max(paying)
    horizon = units.months(horizon_months)
    saved = f"together with `{title}` it saves {units.usd(both)} in {horizon}"
    return (
        saved if math.isclose(both, alone + other, rel_tol=1e-3) else f"{saved}, not the {units.usd(alone + other)} of both added"
    )
