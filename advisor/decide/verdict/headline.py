"""The headline of a classification: the one or two things to do with their money, or that nothing pays."""

import math
from collections.abc import Callable, Sequence

from advisor import units
from advisor.decide import combining
from advisor.decide.lifetime import cost
from advisor.decide.lifetime.inputs import Life, Market
from advisor.decide.lifetime.levers import evaluated
from advisor.decide.lifetime.moves import Move
from advisor.decide.lifetime.opportunities import about
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.lifetime import CostLine, Opportunity, Outlook, Verdict
from advisor.schema.record import Estimate
from advisor.schema.workload import Lifecycle

TENTH = 0.9
# What drives the lines of training, and what a little less of it is; the first that moves the line most is named.
LESS: tuple[tuple[str, str, Callable[[float], float]], ...] = (
    ("fine_tunings_per_year", "one release fewer a year", lambda value: max(0.0, value - 1.0)),
    ("labels_to_buy", "buying a tenth fewer labels", lambda value: value * TENTH),
    ("labels_usd", "a label budget a tenth smaller", lambda value: value * TENTH),
    ("labels_per_release", "buying a tenth fewer labels for each release", lambda value: value * TENTH),
    ("validation_usd", "a validation plan a tenth smaller", lambda value: value * TENTH),
    ("validation_usd_per_release", "validation of each release a tenth smaller", lambda value: value * TENTH),
    ("engineer_days_per_release", "releases that take a tenth fewer engineer days", lambda value: value * TENTH),
    ("pre_training_engineer_days", "a tenth fewer engineer days", lambda value: value * TENTH),
    ("pre_training_tokens", "pre-training on a tenth fewer tokens", lambda value: value * TENTH),
    ("pre_training_usd", "a pre-training budget a tenth smaller", lambda value: value * TENTH),
)


def headline(life: Life, lifecycle: Lifecycle, market: Market, verdict: Verdict, outlook: Outlook) -> str:
    """Return the sentence that a reader acts on, of a plan that can be carried out."""
    training = _training(life.values, verdict) if verdict.dominated_by not in (None, "inference") else None
    most = 1 if training is not None else 2
    actions = _actions(evaluated(life, lifecycle, market)[0], outlook, life.values, most)
    if verdict.dominated_by is None:
        what = f"not known whether serving or training dominates. {verdict.because.rstrip('.')}"
        return f"{what}. Meanwhile {_joined(actions)}" if actions else what
    if training is not None:
        return f"{training}; on serving, {_joined(actions)}" if actions else f"{training}; {_nothing(outlook, life)}"
    return _joined(actions) if actions else _nothing(outlook, life)


def _nothing(outlook: Outlook, life: Life) -> str:
    count = units.counted(len(outlook.opportunities), "change")
    if not outlook.opportunities:
        # What can be given helps; why something makes no sense here does not.
        ways_out = [f"{entry.what.lower()}: {entry.reason}" for entry in outlook.not_judged if entry.reason.startswith("give ")]
        hints = f" ({'; '.join(ways_out[:2])})" if ways_out else ""
        return f"no change of serving could be evaluated{hints}"
    return f"change nothing: none of {count} saves in {units.months(life.values['horizon_months'])} what it costs"


def _joined(actions: Sequence[str]) -> str:
    return "; and ".join(actions)


def _actions(moves: Sequence[Move], outlook: Outlook, x: Values, most: int) -> list[str]:
    """Return what to do about serving, at most so many things: the best, and what adds most to it."""
    paying = [entry for entry in outlook.opportunities if entry.pays]
    if not paying:
        return []
    by_id = {move.lever.id: move for move in moves}
    best = paying[0]
    found = [_action(best)]
    first = by_id.get(best.lever)
    if most == 1 or first is None:
        return found
    alone = combining.saved_usd((first,), x)
    more = [
        (combining.saved_usd((first, by_id[entry.lever]), x), entry)
        for entry in paying[1:]
        if entry.lever in by_id and combining.fit_together((best.lever, entry.lever))
    ]
    worth_it = [(both, entry) for both, entry in more if both - alone > entry.once_usd.value]
    if worth_it:
        both, entry = max(worth_it, key=_left_of_it)
        yearly = both * 12 / x["horizon_months"]
        found.append(f"{_action(entry)}: with both, about {about(yearly)} a year less")
    return found


def _left_of_it(entry: tuple[float, Opportunity]) -> float:
    both, opportunity = entry
    return both - opportunity.once_usd.value


def _action(entry: Opportunity) -> str:
    saving = entry.saving_usd_per_year
    doubt = "" if entry.surely else ", though not at the unfavorable ends"
    title = f"{entry.title[0].lower()}{entry.title[1:]}"
    interval = f", {about(saving.low)} to {about(saving.high)}" if about(saving.low) != about(saving.high) else ""
    return (
        f"{title} (saves about {about(saving.value)} a year{interval}, for about {about(entry.once_usd.value)} once, "
        f"paid back by {entry.payback_on}{doubt})"
    )


def _training(x: Values, verdict: Verdict) -> str | None:
    """Return where the money of training is, and what a little less of what drives it saves."""
    lines = [line for line in verdict.lines if line.usd is not None and line.kind != "inference"]
    largest = max(lines, key=_largest, default=None)
    if largest is None or largest.usd is None or verdict.total_usd is None or largest.usd.value == 0:
        return None
    usd = largest.usd
    share = units.percent(usd.value / verdict.total_usd.value)
    what = f"start with {largest.what}, about {_with_interval(usd, 1.0)} or {share} of the total"
    saved, words = max((_less(largest.what, x, name, change), words) for name, words, change in LESS)
    if saved <= 0:
        return what
    return f"{what}: {words} saves about {_with_interval(usd, saved / usd.value)}"


def _with_interval(usd: Estimate, part: float) -> str:
    """Return a part of a sum with its interval, where it has one."""
    value, low, high = (about(each * part) for each in (usd.value, usd.low, usd.high))
    return value if low == high else f"{value} ({low} to {high})"


def _largest(line: CostLine) -> tuple[float, str]:
    return (-math.inf if line.usd is None else line.usd.value), line.what


def _less(line: str, x: Values, name: str, change: Callable[[float], float]) -> float:
    """Return what a line costs less with less of an input, 0 where it does not depend on it."""
    if not x.get(name):
        return 0.0
    compute = cost.LINES[line].compute
    before, after = compute(x), compute({**x, name: change(x[name])})
    return 0.0 if before is None or after is None else before - after
