"""Facts and rules in, verdict out: whether money goes into serving or into training."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from operator import itemgetter
from typing import Any, Literal

from advisor import units
from advisor.decide.rule_parser import import_rule_engine
from advisor.errors import InputError
from advisor.schema import Estimate, Finding, Rule, Verdict

Facts = Mapping[str, float | bool | None]  # None, as well as absence, is unknown
Outcome = Literal["fires", "silent", "unknown"]
Class = Literal["inference", "fine-tuning", "pre-training", "mixed"]

# All that a rule may ask for: the fact's meaning, and its unit.
FACTS: dict[str, tuple[str, str]] = {
    "inference_share": ("serving's share of the lifetime cost", "fraction"),
    "training_share": ("the share of fine-tuning, labels and pre-training in the lifetime cost", "fraction"),
    "horizon_months": ("how long the model is planned to live", "months"),
    "training_usd": ("cost of fine-tuning, labels and pre-training over the horizon", "usd"),
    "pre_training_usd": ("cost of the team's own pre-training", "usd"),
    "fine_tuning_usd": ("cost of one fine-tuning run", "usd"),
    "fine_tunings_per_year": ("fine-tuning runs in a year", "count"),
    "labels_usd": ("cost of labels, review and data licences over the horizon", "usd"),
    "quality_gap": ("how far quality falls short of what the product needs", "fraction"),
    "requests_per_s": ("mean traffic", "requests_per_s"),
    "serving_usd_per_year": ("cost of the recommended configuration in a year", "usd"),
    "serving_saving_fraction": ("what the recommendation saves of today's serving cost", "fraction"),
    "utilization_fraction": ("load of the recommended configuration", "fraction"),
    "replicas": ("replicas of the recommended configuration", "count"),
    "slo_is_met": ("whether some configuration meets the latency target", "yes or no"),
}

_OUTCOMES: tuple[Outcome, ...] = ("fires", "silent", "unknown")  # in the order of the report


def facts_asked(when: str) -> tuple[str, ...]:
    """Return the facts that a condition asks for, in alphabetical order.

    Raises InputError for a condition that cannot be read, is not a yes-or-no question, or asks for anything but known facts.
    """
    return tuple(sorted(_parse(when).context.symbols))


def outcome(rule: Rule, facts: Facts) -> Outcome:
    """Return whether the rule fires; `unknown` where any fact it asks for is unknown, for silence would read as "no".

    Raises InputError for a condition that cannot be read or evaluated with these facts.
    """
    rule_engine = import_rule_engine()
    question = _parse(rule.when)
    if any(facts.get(fact) is None for fact in question.context.symbols):
        return "unknown"
    try:
        return "fires" if question.matches(facts) else "silent"
    except rule_engine.EngineError as error:
        fault = f"rule {rule.id!r}: cannot evaluate {rule.when!r}: {error.message}"
        raise InputError(fault, hint="change the condition, or the fact that it cannot take") from error


def unknown_fact(name: str) -> InputError:
    """Return the error for a name that is no fact, with the nearest name that is one."""
    nearest = get_close_matches(name, FACTS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the known facts are: {', '.join(FACTS)}"
    return InputError(f"{name!r} is not a known fact", hint=hint)


def classify(facts: Facts, rules: tuple[Rule, ...], shares: dict[str, Estimate]) -> Verdict:
    """Return the class with the most weight among the rules that fire, and what every rule says.

    A tie of weights is "mixed". Without facts["inference_share"] there is no class, and the reason names the inputs to add.
    `shares` are those of lifecycle.lifetime_shares; where an end of its interval gives another class, the reason says so.
    Raises InputError for a rule that cannot be evaluated.
    """
    findings = tuple(sorted((_finding(rule, facts) for rule in rules), key=_rank))
    share = facts.get("inference_share")
    if share is None:
        return Verdict(dominated_by=None, because=_missing(facts), shares=shares, findings=findings)
    dominated_by = _heaviest(findings)
    because = [f"Serving is {units.percent(share)} of the lifetime cost.", _balance(findings)]
    for end in (shares["inference"].low, shares["inference"].high) if shares else ():
        at_end = {**facts, "inference_share": end, "training_share": 1 - end}
        other = _heaviest(tuple(_finding(rule, at_end) for rule in rules))
        if other != dominated_by:
            because.append(f"At {units.percent(end)}, an end of the 90 % interval, it would be {other}.")
    return Verdict(dominated_by=dominated_by, because=" ".join(because), shares=shares, findings=findings)


@cache
def _parse(when: str) -> Any:
    """Return the condition as a rule_engine.Rule; each is asked several times, and parsing is what takes time."""
    rule_engine = import_rule_engine()
    kinds = {fact: "BOOLEAN" if unit == "yes or no" else "FLOAT" for fact, (_, unit) in FACTS.items()}
    types = {fact: getattr(rule_engine.DataType, kind) for fact, kind in kinds.items()}
    way_out = "write a comparison of facts, such as: inference_share >= 0.70 and replicas == 1"
    try:
        question = rule_engine.Rule(when, context=rule_engine.Context(type_resolver=types))
    except rule_engine.SymbolResolutionError as error:
        raise unknown_fact(error.symbol_name) from error
    except rule_engine.EngineError as error:
        raise InputError(f"cannot read the condition {when!r}: {error.message}", hint=way_out) from error
    # rule-engine has symbols of its own, today's date among them: a verdict depends on nothing but facts.
    for symbol in sorted(question.context.symbols - FACTS.keys()):
        raise unknown_fact(symbol)
    if not question.context.symbols or question.statement.expression.result_type != rule_engine.DataType.BOOLEAN:
        raise InputError(f"the condition {when!r} is not a yes-or-no question about facts", hint=way_out)
    return question


def _finding(rule: Rule, facts: Facts) -> Finding:
    asked = facts_asked(rule.when)
    readable = {fact: _readable(fact, value) for fact in asked if (value := facts.get(fact)) is not None}
    result = outcome(rule, facts)
    match result:
        case "fires":
            why = rule.why.format_map(readable)
        case "silent":
            why = f"Not so here ({rule.when}): " + ", ".join(f"{fact} is {value}" for fact, value in readable.items()) + "."
        case "unknown":
            why = "Not known: " + "; ".join(f"{fact}, {FACTS[fact][0]}" for fact in asked if fact not in readable) + "."
    return Finding(rule=rule.id, title=rule.title, outcome=result, favours=rule.favours, weight=rule.weight, why=why)


def _readable(fact: str, value: float | bool) -> str:
    match FACTS[fact][1]:
        case "fraction":
            return units.percent(value)
        case "usd":
            return units.usd(value)
        case "requests_per_s":
            return units.rate(value)
        case "yes or no":
            return "yes" if value else "no"
        case _:
            return units.number(value)


def _rank(finding: Finding) -> tuple[int, float, str]:
    return _OUTCOMES.index(finding.outcome), -finding.weight, finding.rule


def _weights(findings: tuple[Finding, ...]) -> dict[Class, float]:
    """Return the weight of each class that a firing rule favours, the heaviest first."""
    firing = [finding for finding in findings if finding.outcome == "fires"]
    # fsum, for a tie must not depend on the order of the rules.
    weights: dict[Class, float] = {
        favoured: math.fsum(finding.weight for finding in firing if finding.favours == favoured)
        for favoured in sorted({finding.favours for finding in firing})
    }
    return dict(sorted(weights.items(), key=itemgetter(1), reverse=True))


def _heaviest(findings: tuple[Finding, ...]) -> Class:
    weights = _weights(findings)
    leaders = [favoured for favoured, weight in weights.items() if weight == max(weights.values())]
    return leaders[0] if len(leaders) == 1 else "mixed"


def _balance(findings: tuple[Finding, ...]) -> str:
    weights = ", ".join(f"{favoured} {units.number(weight)}" for favoured, weight in _weights(findings).items())
    return f"Weight of the rules that fire: {weights}." if weights else "No rule fires."


def _missing(facts: Facts) -> str:
    # Runs that cost nothing, or never happen, leave the other of the two without influence.
    runs_are_free = facts.get("fine_tunings_per_year") == 0 or facts.get("fine_tuning_usd") == 0
    needed = ("labels_usd",) if runs_are_free else ("fine_tuning_usd", "fine_tunings_per_year", "labels_usd")
    missing = [f"lifecycle.{fact}" for fact in needed if facts.get(fact) is None]
    if not missing:
        return "Serving's share of the lifetime cost is not known: there is no cost of serving to compare with."
    return f"Serving's share of the lifetime cost is not known: add {', '.join(missing)} to the workload file."
