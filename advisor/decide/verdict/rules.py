"""Facts and rules in, verdict out: whether money goes into serving or into training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Literal

from advisor import units
from advisor.decide.verdict import condition_parser
from advisor.decide.verdict.condition_parser import Kind
from advisor.decide.verdict.conditions import Condition, Facts, open_facts
from advisor.errors import InputError
from advisor.schema.catalog import Class, Rule
from advisor.schema.lifetime import Finding, Verdict
from advisor.schema.record import Estimate

Outcome = Literal["fires", "silent", "unknown"]

# All that a rule may ask for: the fact's meaning, and its unit.
FACTS: dict[str, tuple[str, str]] = {
    "inference_share": ("serving's share of the lifetime cost", "fraction"),
    "training_share": ("the share of fine-tuning, labels and pre-training in the lifetime cost", "fraction"),
    "horizon_months": ("how long the model is planned to live", "months"),
    "lifetime_usd": ("cost of serving and training together over the horizon", "usd"),
    "training_usd": ("cost of fine-tuning, labels and pre-training over the horizon", "usd"),
    "pre_training_usd": ("cost of the team's own pre-training", "usd"),
    "pre_training_experiments": ("compute of all runs of pre-training, over that of the final one", "ratio"),
    "fine_tuning_usd": ("cost of one fine-tuning run", "usd"),
    "fine_tuning_runs_usd": ("compute of all fine-tuning runs over the horizon", "usd"),
    "fine_tunings_per_year": ("fine-tuning runs in a year", "count"),
    "labels_usd": ("cost of labels, review and data licenses over the horizon", "usd"),
    "data_usd": ("cost of labels and of validation over the horizon", "usd"),
    "validation_usd": ("cost of clinical, regulatory or safety evaluation over the horizon", "usd"),
    "labels_available": ("labeled examples at hand", "count"),
    "labels_to_buy": ("labels still to be bought", "count"),
    "quality_gap": ("how far quality falls short of what the product needs", "fraction"),
    "prompting_exhausted": ("whether better prompts were tried to the end", "yes or no"),
    "retrieval_exhausted": ("whether giving the model documents to read was tried to the end", "yes or no"),
    "domain_shift": ("share of requests unlike anything that the model was trained on", "fraction"),
    "knowledge_updates_per_year": ("how often in a year what the model has to know changes", "count"),
    "requests_per_s": ("mean traffic", "requests_per_s"),
    "requests_per_day": ("mean traffic", "count"),
    "tokens_per_day": ("tokens read and generated, agents and reasoning included", "count"),
    "growth_per_month": ("growth of traffic", "fraction"),
    "agent_multiplier": ("tokens of all calls that answer one request, over those of one call", "ratio"),
    "reasoning_multiplier": ("tokens generated, over those that are shown", "ratio"),
    "input_tokens": ("tokens of a request", "count"),
    "output_tokens": ("tokens of an answer", "count"),
    "burstiness_cv": ("coefficient of variation of the time between requests", "count"),
    "peak_over_mean": ("traffic of the busiest part of the day over that of the mean", "ratio"),
    "parameters": ("parameters of the model", "count"),
    "models_of_one_base": ("fine-tuned models of one base that are served", "count"),
    "weights_over_memory": ("bytes of the weights over the memory of a device", "fraction"),
    "parameters_per_daily_request": ("parameters of the model over requests a day", "count"),
    "uses_api": ("whether somebody else's model is paid by the token", "yes or no"),
    "api_months_left": ("months until its vendor serves the model no more", "count"),
    "data_must_stay": ("whether requests may not leave the company", "yes or no"),
    "is_regulated": ("whether every release has to be validated", "yes or no"),
    "latency_target_s": ("the latency target", "s"),
    "speculation_gain": ("speed of an answer with drafted tokens over that without, at today's load", "ratio"),
    "latency_over_fastest": ("the latency target over the fastest that the device can answer one request", "ratio"),
    "floor_load": ("load of the devices that are always on", "fraction"),
    "demand_over_floor": ("devices that today's traffic asks for over those that are always on", "ratio"),
    "energy_kwh_per_year": ("energy of serving in a year, at today's traffic", "count"),
    "commitment_months": ("months that a reserved price binds for", "count"),
    "budget_usd": ("the budget for all of it", "usd"),
    "budget_fraction": ("the lifetime cost over the budget", "fraction"),
    "serving_usd": ("cost of what serves the requests, over the horizon", "usd"),
    "operations_usd": ("cost of the engineers who keep it running, over the horizon", "usd"),
    "serving_usd_per_year": ("cost of serving in a year, at today's traffic", "usd"),
    "serving_saving_fraction": ("what the recommendation saves of today's serving cost", "fraction"),
    "utilization_fraction": ("load of the recommended configuration", "fraction"),
    "replicas": ("replicas of the recommended configuration", "count"),
    "slo_is_met": ("whether some configuration meets the latency target", "yes or no"),
}

_UNKNOWN: dict[str, float | bool | None] = dict.fromkeys(FACTS)
_KINDS: dict[str, Kind] = {fact: "yes or no" if unit == "yes or no" else "number" for fact, (_, unit) in FACTS.items()}
_OUTCOMES: tuple[Outcome, ...] = ("fires", "silent", "unknown")  # in the order of the report


@cache
def condition(when: str) -> Condition:
    """Return the condition, ready to be asked; a text is read once, however many times it is asked.

    Raises InputError, with the column, for a text that is no question about known facts.
    """
    return condition_parser.read(when, _KINDS)


def outcome(rule: Rule, facts: Facts) -> Outcome:
    """Return whether the rule fires; `unknown` where what is not known could turn it, for silence would read as "no".

    Raises InputError for a condition that cannot be read.
    """
    return _outcome(condition(rule.when), facts)


def _outcome(asked: Condition, facts: Facts) -> Outcome:
    answer = asked.ask(facts)
    return "unknown" if answer is None else "fires" if answer else "silent"


def check_facts(facts: Mapping[str, float | bool]) -> None:
    """Raise InputError for a name that is no fact, and for a number where a fact is a yes or no, or the other way round."""
    for name, value in facts.items():
        if name not in FACTS:
            raise condition_parser.unknown_fact(name, FACTS)
        if (_KINDS[name] == "yes or no") != isinstance(value, bool):
            given = str(value).lower() if isinstance(value, bool) else units.plain(value)
            hint = "write true or false" if _KINDS[name] == "yes or no" else "write a number"
            raise InputError(f"{name} is a {_KINDS[name]}, and {given} is none", hint=hint)


class _Weighed:
    """A rule that decides, asked many times with inputs moved a little: anew only where a fact of its own has changed."""

    def __init__(self, favours: Class, weight: float, asked: Condition) -> None:
        self.favours = favours
        self.weight = weight
        self._asked = asked
        self._facts = asked.facts
        self._known: dict[tuple[float | bool | None, ...], Outcome] = {}

    def outcome(self, whole: Facts) -> Outcome:
        """Return what the rule says of facts among which all are that it asks for, be they None."""
        key = tuple([whole[fact] for fact in self._facts])
        result = self._known.get(key)
        if result is None:
            result = self._known[key] = _outcome(self._asked, whole)
        return result


class Rulebook:
    """The rules: those with a weight decide, the others are reported beside it."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Take the rules in any order; raise InputError for one whose condition cannot be read."""
        self.rules = rules
        self._conditions = [condition(rule.when) for rule in rules]
        # What the class depends on: it may be asked for with these alone.
        self.decisive = frozenset(fact for rule in rules if rule.weight is not None for fact in condition(rule.when).facts)
        self._weighed = [_Weighed(rule.favours, rule.weight, condition(rule.when)) for rule in rules if rule.weight is not None]

    def dominated_by(self, facts: Facts) -> Class | None:
        """Return the class with the most weight among the rules that fire, "mixed" for a tie, None without a share of serving."""
        if facts.get("inference_share") is None:
            return None
        return _heaviest(self.weights(facts))

    def weights(self, facts: Facts) -> dict[Class, float]:
        """Return the weight of each class that a firing rule favours, the heaviest first."""
        whole = facts if self.decisive <= facts.keys() else {**_UNKNOWN, **facts}
        return _weights([(entry.favours, entry.weight) for entry in self._weighed if entry.outcome(whole) == "fires"])

    def findings(self, facts: Facts) -> tuple[Finding, ...]:
        """Return what every rule says, in words: those that fire first, the heaviest of them at the top."""
        asked = zip(self.rules, self._conditions, strict=True)
        return tuple(sorted((_finding(rule, when, _outcome(when, facts), facts) for rule, when in asked), key=_rank))


def classify(facts: Facts, rules: Rulebook, shares: Mapping[str, Estimate], missing: Sequence[str] = ()) -> Verdict:
    """Return the class with the most weight among the rules that fire, and what every rule says.

    A tie of weights is "mixed". Without facts["inference_share"] there is no class, and the reason names what is `missing` of training.
    `shares` are those of lifecycle.lifetime_costs; where an end of its interval gives another class, the reason says so.
    """
    findings, dominated_by = rules.findings(facts), rules.dominated_by(facts)
    share = facts.get("inference_share")
    if share is None or dominated_by is None:
        return Verdict(dominated_by=None, because=_missing(missing), shares=dict(shares), findings=findings)
    because = [f"Serving is {units.percent(share)} of the lifetime cost.", _balance(findings)]
    because += [
        f"At {units.percent(end)}, an end of the 90 % interval, it would be {other}."
        for end, other in other_classes_at_ends(facts, rules, shares, dominated_by)
    ]
    return Verdict(dominated_by=dominated_by, because=" ".join(because), shares=dict(shares), findings=findings)


def other_classes_at_ends(
    facts: Facts, rules: Rulebook, shares: Mapping[str, Estimate], dominated_by: Class
) -> list[tuple[float, Class]]:
    """Return the ends of the interval of serving's share that give another class, and the class."""
    found = []
    for end in (shares["inference"].low, shares["inference"].high) if shares else ():
        other = rules.dominated_by({**facts, "inference_share": end, "training_share": 1 - end})
        if other is not None and other != dominated_by:
            found.append((end, other))
    return found


def _finding(rule: Rule, asked: Condition, result: Outcome, facts: Facts) -> Finding:
    match result:
        case "fires":
            why = reason(rule, facts)
        case "silent":
            why = f"Not so here ({rule.when}): {listed(asked.facts, facts)}."
        case "unknown":
            why = _left_open(asked, facts)
    return Finding(rule=rule.id, title=rule.title, outcome=result, favours=rule.favours, weight=rule.weight, why=why)


def reason(rule: Rule, facts: Facts) -> str:
    """Return what a rule that fires says, with its facts as people write them; one that did not matter may be "unknown"."""
    asked = condition(rule.when).facts
    return rule.why.format_map(
        {fact: "unknown" if (value := facts.get(fact)) is None else readable_fact(fact, value) for fact in asked}
    )


def _left_open(asked: Condition, facts: Facts) -> str:
    """Return why a condition is unknown: what nobody gave, and what no number comes of."""
    between = sorted(open_facts(asked.tree, facts))
    missing = [fact for fact in between if facts.get(fact) is None]
    parts = []
    if missing:
        parts.append("Not known: " + "; ".join(f"{fact}, {FACTS[fact][0]}" for fact in missing) + ".")
    if len(missing) < len(between):
        parts.append(f"A division by zero, or a number out of range: {listed(between, facts)}.")
    return " ".join(parts)


def listed(names: Iterable[str], facts: Facts) -> str:
    """Return those of the facts that are known, as people write them."""
    known = {fact: value for fact in names if (value := facts.get(fact)) is not None}
    return ", ".join(f"{fact} is {readable_fact(fact, value)}" for fact, value in known.items())


def readable_fact(fact: str, value: float | bool) -> str:
    """Return a fact as people write it."""
    match FACTS[fact][1]:
        case "fraction":
            return units.percent(value)
        case "usd":
            return units.usd(value)
        case "requests_per_s":
            return units.rate(value)
        case "s":
            return units.seconds(value)
        case "yes or no":
            return "yes" if value else "no"
        case "ratio":
            return f"{units.number(value)} times"
        case "count" if value >= 1e6:
            return units.count(value)
        case _:
            return units.number(value)


def _rank(finding: Finding) -> tuple[int, float, str]:
    return _OUTCOMES.index(finding.outcome), -(finding.weight or 0.0), finding.rule


def _weights(firing: list[tuple[Class, float]]) -> dict[Class, float]:
    """Return the weight of each class that a firing rule favours, the heaviest first."""
    # fsum, for a tie must not depend on the order of the rules.
    weights: dict[Class, float] = {
        favoured: math.fsum(weight for favours, weight in firing if favours == favoured)
        for favoured in sorted({favours for favours, _ in firing})
    }
    return dict(sorted(weights.items(), key=itemgetter(1), reverse=True))


def _heaviest(weights: Mapping[Class, float]) -> Class:
    leaders = [favoured for favoured, weight in weights.items() if weight == max(weights.values())]
    return leaders[0] if len(leaders) == 1 else "mixed"


def _balance(findings: tuple[Finding, ...]) -> str:
    firing = [
        (finding.favours, finding.weight) for finding in findings if finding.outcome == "fires" and finding.weight is not None
    ]
    weights = ", ".join(f"{favoured} {units.number(weight)}" for favoured, weight in _weights(firing).items())
    return f"Weight of the rules that fire: {weights}." if weights else "No rule that weighs fires."


def _missing(keys: Sequence[str]) -> str:
    if not keys:
        return "Serving's share of the lifetime cost is not known: there is no cost of serving to compare with."
    return f"Serving's share of the lifetime cost is not known: give {'; '.join(keys)}."
