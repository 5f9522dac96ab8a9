"""Change one thing of what runs today and predict again: what it saves, what it takes, whether that is worth it, and until when."""

import math
from collections.abc import Sequence

from advisor import units
from advisor.decide.lifetime import cost, payback
from advisor.decide.lifetime.given import GIVEN
from advisor.decide.lifetime.inputs import Life, Market, forbidden
from advisor.decide.lifetime.levers import evaluated, once_usd, priced_devices, self_hosted
from advisor.decide.lifetime.moves import Move
from advisor.decide.lifetime.payback import Gain
from advisor.decide.lifetime.serving_cost import Values, missing_of_plan, uses_api
from advisor.schema.catalog import Lever
from advisor.schema.lifetime import BreakEven, Expiry, Flip, Opportunity, Outlook
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import Lifecycle

PRICE_DAYS = 90  # an older price is not to be relied on
MONTHS_LOOKED_AHEAD = 120


def planned(
    life: Life, lifecycle: Lifecycle, market: Market, *, created: str
) -> tuple[list[Opportunity], list[Exclusion], list[BreakEven]]:
    """Return what changes of the plan would save, those that cannot be evaluated, and when and from which traffic on each pays."""
    x = life.values
    moves, left = evaluated(life, lifecycle, market)
    gains = list(zip(moves, payback.gains_of(moves, life.figures), strict=True))
    found = [
        opportunity(
            move.lever,
            gain,
            x["horizon_months"],
            field=move.field,
            before=move.before,
            after=move.after,
            because=move.because,
            created=created,
        )
        for move, gain in gains
    ]
    evens = [payback.break_even(move, gain, x, created=created) for move, gain in gains]
    quality = payback.of_quality(life.figures, created=created)
    return found, left, evens if quality is None else [*evens, quality]


def opportunity(
    lever: Lever, gain: Gain, horizon_months: float, *, field: str, before: str, after: str, because: str, created: str
) -> Opportunity:
    """Return a gain in words; it pays if it saves more within the horizon than it costs once."""
    months = payback.payback(gain, horizon_months)
    yearly, saving = 12 / horizon_months, gain.saving_usd
    pays = gain.net_usd > 0
    remarks = [because] if because else []
    if saving.value > 0 and not pays:
        remarks.insert(
            0, f"costs {units.usd(gain.once_usd.value)} and saves {units.usd(saving.value)} in {units.months(horizon_months)}"
        )
    elif saving.value <= 0:
        remarks.insert(0, "saves nothing" if saving.value == 0 else f"costs {units.usd(-saving.value * yearly)} a year more")
    elif not gain.is_sure:
        remarks.insert(0, "at the unfavorable ends of the intervals it costs more than it saves")
    return Opportunity(
        lever=lever.id,
        title=lever.title,
        field=field,
        before=before,
        after=after,
        saving_usd_per_year=Estimate(
            value=saving.value * yearly,
            low=saving.low * yearly,
            high=saving.high * yearly,
            basis=saving.basis,
            source=f"{saving.source}, as a year's mean",
        ),
        effort_engineer_days=gain.effort_engineer_days or _of_one(lever),
        once_usd=gain.once_usd,
        payback_months=months,
        payback_on=units.date_after(created, months.value * units.DAYS_PER_MONTH) if months is not None else None,
        net_usd=gain.net_usd,
        pays=pays,
        surely=gain.is_sure,
        risk=lever.risk,
        because="; ".join(remarks),
    )


def _of_one(lever: Lever) -> Estimate:
    days = lever.effort_engineer_days
    return Estimate(value=days.value, low=days.low, high=days.high, basis="assumed", source=days.source.what)


def outlook(
    found: Sequence[Opportunity],
    left: Sequence[Exclusion],
    expires: Sequence[Expiry],
    horizon_months: float,
    *,
    first: str | None = None,
) -> Outlook:
    """Return the opportunities by what is left of their saving, and the answer: the best of them, or to change nothing.

    `first` is what has to be done whatever they save.
    """
    ranked = tuple(sorted(found, key=_best_first))
    nothing = False if first is not None else None if not ranked else not ranked[0].pays
    return Outlook(
        answer=_answer(ranked, horizon_months) if first is None else f"{first[0].upper()}{first[1:]}.",
        change_nothing=nothing,
        opportunities=ranked,
        not_judged=tuple(left),
        expires_when=tuple(expires),
    )


def has_to_change(life: Life, market: Market, found: Sequence[Opportunity], created: str) -> str | None:
    """Return why the plan cannot be carried out, and the way out, whatever changes of it would save; None where it can be."""
    not_allowed = forbidden(life)
    if not_allowed is not None:
        return f"not allowed as planned: {not_allowed}. {_way_out(found, life.values)}"
    if market.api is not None and market.api.retired_on and units.days_between(created, market.api.retired_on) < 0:
        return (
            f"choose another model: by the price list its vendor has not served {market.api.id} since {market.api.retired_on}; "
            "what follows is the cost of what cannot be bought any more"
        )
    return None


def _way_out(found: Sequence[Opportunity], x: Values) -> str:
    """Return what can be done where an API may not be used: own devices, with what they cost beside it, if that is known."""
    home = next((entry for entry in found if entry.lever == "self-host"), None)
    if home is None:
        asked = missing_of_plan(self_hosted(x)) if "parameters" in x else "lifecycle.model"
        return (
            f"Serve an open-weight model on own devices (give {asked}, to see what that costs), or lift the restriction; "
            "what follows is the cost of the API"
        )
    yearly = home.saving_usd_per_year
    what = f"{_beside(-yearly.value)[0]} a year {_beside(-yearly.value)[1]} than the API ({_between(-yearly.high, -yearly.low)})"
    return f"Serve the open-weight model on own devices, {what}, and about {about(home.once_usd.value)} once, or lift the restriction"


def _between(low: float, high: float) -> str:
    """Return an interval of what something costs beside something else: "$370 less to $100,000 more"."""
    least, most = _beside(low), _beside(high)
    if least[1] != most[1]:
        return f"{' '.join(least)} to {' '.join(most)}"
    near, far = sorted((low, high), key=abs)
    return f"{_beside(near)[0]} to {' '.join(_beside(far))}"


def _beside(usd: float) -> tuple[str, str]:
    return about(abs(usd)), "more" if usd >= 0 else "less"


def _best_first(entry: Opportunity) -> tuple[float, str]:
    return -entry.net_usd, entry.lever


def _answer(ranked: tuple[Opportunity, ...], horizon_months: float) -> str:
    if not ranked:
        return "No change could be evaluated: too little is known of what serving consists of."
    best, horizon = ranked[0], units.months(horizon_months)
    count = units.counted(len(ranked), "change")
    if best.pays:
        a_year = f"about {about(best.saving_usd_per_year.value)} a year, mean of {horizon}"
        saved = f"saves {a_year}, and costs {about(best.once_usd.value)} once"
        others = sum(entry.pays for entry in ranked) - 1
        more = (
            f" {units.counted(others, 'other change')} of {len(ranked)} evaluated would pay as well; savings do not add up."
            if others
            else ""
        )
        doubt = "" if best.surely else ", though not at the unfavorable ends"
        return f"{best.title}: {saved}, paid back by {best.payback_on}{doubt}.{more}"
    saving = max(ranked, key=_largest_saving)
    if saving.saving_usd_per_year.value <= 0:
        return (
            f"Change nothing: none of the {count} saves anything."
            if len(ranked) > 1
            else "Change nothing: the one change evaluated saves nothing."
        )
    return (
        f"Change nothing: none of {count} saves in {horizon} what it costs. The most would be saved by this one: "
        f"{saving.title.lower()}, about {about(saving.saving_usd_per_year.value)} a year for {about(saving.once_usd.value)} once."
    )


def about(usd: float) -> str:
    """Return money with two digits: what is projected over years is not known to the dollar."""
    return units.usd(float(f"{usd:.2g}"))


def _largest_saving(entry: Opportunity) -> float:
    return entry.saving_usd_per_year.value


def price_date(life: Life, lifecycle: Lifecycle, market: Market) -> str | None:
    """Return the date of the oldest listed price that the cost or a change that was evaluated rests on; None where there is none."""
    x, moves = life.values, evaluated(life, lifecycle, market)[0]
    levers = {move.lever.id for move in moves}
    counts = [
        *((device.usd_per_hour for _, device, _ in priced_devices(x, market)) if "other-device" in levers else ()),
        *(
            device.usd_per_hour
            for name, device in (("device_usd_per_hour", market.device), ("training_device_usd_per_hour", market.training_device))
            if device is not None and name in x and life.figures[name].basis == "list-price" and _matters(name, x, moves)
        ),
    ]
    dates = [constant.source.date for constant in counts if constant is not None and constant.source.what != GIVEN]
    dates += [market.api.date] if market.api is not None and uses_api(x) else []
    dates += [market.alternative_api.date] if market.alternative_api is not None and "to-api" in levers else []
    return min(dates, default=None)


def _matters(name: str, x: Values, moves: Sequence[Move]) -> bool:
    """Return whether a price is part of what the life costs, or of what it would cost after a change."""
    dearer = {**x, name: 2 * x[name]}
    return any(line.compute(dearer) != line.compute(x) for line in cost.LINES.values()) or any(
        cost.by_month(move.changed(dearer), move.lines) != cost.by_month(move.changed(x), move.lines)
        or once_usd(move, dearer) != once_usd(move, x)
        for move in moves
    )


def price_expiry(dated: str | None, created: str) -> Expiry:
    """Return when prices are too old to rely on: they are as old as their list, or as the advice where their date is not known.

    What is too old already does not end some day: the prices have to be read anew, and no date is given.
    """
    if dated is None:
        return Expiry(
            what="the prices are older than 90 days",
            on=units.date_after(created, PRICE_DAYS),
            because="prices in the workload file have no date and are taken to be of today",
        )
    if units.days_between(created, dated) < -PRICE_DAYS:
        return Expiry(
            what=f"the prices are read anew: they are older than {PRICE_DAYS} days already",
            on=None,
            because=f"the oldest price that counts is of {dated[:10]}; advisor hardware prices --import brings newer ones",
        )
    return Expiry(
        what="the prices are older than 90 days",
        on=units.date_after(dated, PRICE_DAYS),
        because=f"the oldest price that counts is of {dated[:10]}",
    )


def traffic_expiries(flips: Sequence[Flip]) -> list[Expiry]:
    """Return how far traffic has to leave its plan for the verdict to turn; the plan itself, with its course, is part of the verdict."""
    return [
        Expiry(
            what=f"traffic is {units.number(flip.at / flip.now)} times what was planned for that day, or {_beyond(flip)}",
            on=None,
            because=f"{flip.told} at the beginning, all else as it is, the verdict would be {flip.becomes}",
        )
        for flip in flips
        if flip.input == "requests_per_s"
    ]


def _beyond(flip: Flip) -> str:
    return "more" if flip.direction == "above" else "less"


def vendor_expiry(market: Market, created: str) -> list[Expiry]:
    """Return the day on which a vendor ceases to serve the model that is used, if it is known and still to come."""
    api = market.api
    if api is None or api.retired_on is None or units.days_between(created, api.retired_on) < 0:
        return []
    return [Expiry(what=f"its vendor serves {api.id} no more", on=api.retired_on, because=f"{api.source}, {api.date}")]


def capacity_expiry(requests_per_s: float, capacity: float, growth_per_month: float, created: str) -> list[Expiry]:
    """Return when traffic outgrows what the recommendation carries within the target; nothing where it has done so already."""
    if requests_per_s >= capacity:
        return []
    return [
        Expiry(
            what=f"traffic goes above {units.rate(capacity)}",
            on=_reached(requests_per_s, capacity, growth_per_month, created),
            because="beyond it the recommended configuration does not surely keep its target",
        )
    ]


def _reached(now: float, at: float, growth_per_month: float, created: str) -> str | None:
    if growth_per_month == 0 or now == at or (at > now) != (growth_per_month > 0):
        return None
    each = math.log1p(growth_per_month)
    if each == 0:
        return None
    months = math.log(at / now) / each
    return units.date_after(created, months * units.DAYS_PER_MONTH) if months <= MONTHS_LOOKED_AHEAD else None
