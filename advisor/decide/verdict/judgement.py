"""Inputs and rules in, verdict out: its class and shares, how firm it is, and what would turn it."""

import msgspec

from advisor.decide.lifetime import cost
from advisor.decide.lifetime.inputs import Life, forbidden, with_input
from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.verdict import stability
from advisor.decide.verdict.conditions import Facts
from advisor.decide.verdict.facts import life_facts, share_facts
from advisor.decide.verdict.rules import Rulebook, classify, other_classes_at_ends
from advisor.schema.catalog import Class
from advisor.schema.lifetime import Verdict
from advisor.units import percent


def judge(life: Life, rules: Rulebook, beside: Facts) -> Verdict:
    """Return the verdict; `beside` are facts that the inputs do not hold, such as what was measured.

    It is robust if it stays the same with every input moved by itself, to both ends of its interval or by the usual factor where a user
    gave none, and at both ends of the interval of serving's share, which holds all intervals together. What may not be done at all is
    not robust.
    """
    costs = cost.lifetime_costs(life.figures, life.assumed)
    x = life.values
    facts = {**life_facts(x, costs.known, life.flags), **beside}
    # Asked hundreds of times, and most rulebooks decide by the lines of the cost alone.
    hangs_on = rules.decisive.union(*costs.read.values())
    facts_at = share_facts if rules.decisive - beside.keys() <= share_facts(x, costs.known, life.flags).keys() else life_facts

    def ask(name: str, value: float) -> Class | None:
        if name not in hangs_on and facts_at is share_facts:
            return verdict.dominated_by
        moved = with_input(life, x, name, value)
        if moved is None:
            return None
        others = {other for other in moved if moved[other] != x.get(other)}
        return rules.dominated_by({**facts_at(moved, costs.at(moved, others), life.flags), **beside})

    unknown = [name for name, line in cost.LINES.items() if line.is_required and costs.known[name] is None]
    missing = [cost.missing_of(name, x) for name in unknown if cost.LINES[name].kind != "inference"]
    verdict = classify(facts, rules, costs.shares, missing)
    verdict = msgspec.structs.replace(verdict, lines=costs.lines, total_usd=costs.total_usd)
    if verdict.dominated_by is None:
        return verdict
    moved = stability.moves(life.figures)
    not_allowed = forbidden(life)
    turned = (
        *stability.turned_by(x, moved, ask, verdict.dominated_by),
        *(
            f"{percent(end)} serving, an end of the interval of all together: {other}"
            for end, other in other_classes_at_ends(facts, rules, costs.shares, verdict.dominated_by)
        ),
    )
    return msgspec.structs.replace(
        verdict,
        because=verdict.because if not_allowed is None else f"Not allowed as planned: {not_allowed}. {verdict.because}",
        robust=not turned and not_allowed is None,
        moved=moved,
        turned_by=turned,
        flips_when=stability.flips(life.figures, ask, verdict.dominated_by),
    )


def dominated_by(life: Life, rules: Rulebook, x: Values) -> Class | None:
    """Return the class alone, with the inputs at other values."""
    return rules.dominated_by(life_facts(x, cost.costs(x), life.flags))
