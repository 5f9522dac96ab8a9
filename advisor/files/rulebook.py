"""The rulebook: one argument per file, each refused unless its examples do as stated."""

import re
import string
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

from advisor.decide.verdict.rules import FACTS, Outcome, check_facts, condition, listed, outcome, reason
from advisor.errors import InputError
from advisor.files.records import read_own_yaml, read_yaml
from advisor.schema.catalog import Rule, RuleExplanation

DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")


def read_rules(folder: Path, *, now: str) -> tuple[Rule, ...]:
    """Return the rules of a folder of YAML files, in order of their ids.

    Raises InputError, naming file and key, for a file that is not a rule, a condition that cannot be read or asks for an unknown
    fact, a reason that quotes a fact the condition does not ask for, an example that does not do as stated, and a source whose
    date is none or lies after `now`.
    """
    return tuple(_read(path, now) for path in _files(folder))


def rules_with(folder: Path | None, *, now: str) -> tuple[Rule, ...]:
    """Return the rules that come with advisor, and those of a folder of the user's: of one id the user's stands."""
    # That these are sound is a test of advisor's; to check them again at every start takes longer than a verdict.
    found = {rule.id: rule for rule in _ours()}
    if folder is not None:
        found |= {rule.id: rule for rule in read_rules(folder, now=now)}
    return tuple(found[id_] for id_ in sorted(found))


def weight_that_turns(rules: tuple[Rule, ...]) -> float | None:
    """Return the least weight that advisor's own rules decide by, where these rules do not reach it all together; else None.

    Of advisor's rules on the share of serving one always fires: what weighs less than it beside it turns nothing.
    """
    least = min(rule.weight for rule in _ours() if rule.weight is not None)
    return least if sum(rule.weight or 0.0 for rule in rules) < least else None


@cache
def _ours() -> tuple[Rule, ...]:
    # Entries of the package itself: to look for them by a pattern takes as long as to read them.
    return tuple(read_own_yaml(entry, Rule) for entry in files("advisor.rules").iterdir() if entry.name.endswith(".yaml"))


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise InputError(f"{folder} holds no rules", hint="name a folder of *.yaml files, one rule each")
    return paths


def rule_named(name: str, folder: Path | None, *, now: str) -> Rule:
    """Return one rule; raise InputError for a name that none of them has."""
    rules = {rule.id: rule for rule in rules_with(folder, now=now)}
    if name not in rules:
        from difflib import get_close_matches

        near = get_close_matches(name, rules, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the rules are: {', '.join(rules)}"
        raise InputError(f"there is no rule {name!r}", hint=hint)
    return rules[name]


def explained(rule: Rule) -> RuleExplanation:
    """Return a rule with the meaning of its facts, and its reason for its own example."""
    fires, silent = rule.examples.fires, rule.examples.silent
    return RuleExplanation(
        rule=rule,
        facts={fact: FACTS[fact][0] for fact in condition(rule.when).facts},
        says=reason(rule, fires),
        example=listed(fires, fires),
        counterexample=listed(silent, silent),
    )


def _read(path: Path, now: str) -> Rule:
    rule = read_yaml(path, Rule)
    if rule.id != path.stem:
        raise InputError(f"{path}: id: {rule.id!r} is not the name of the file", hint=f"write id: {path.stem}")
    _check_source(rule, path, now)
    _check_condition(rule, path)
    _check_reason(rule, path)
    _check_example(rule, path, rule.examples.fires, "fires")
    _check_example(rule, path, rule.examples.silent, "silent")
    return rule


def _check_source(rule: Rule, path: Path, now: str) -> None:
    """Refuse a date that is none: a day, a month or a year; and one that is still to come."""
    date = rule.source.date
    try:
        # A month or a year begins on its first day.
        day = datetime.strptime(date + "-01-01"[len(date) - 4 :], "%Y-%m-%d").date() if DATE.fullmatch(date) else None
    except ValueError:
        day = None
    if day is None:
        hint = "write the day of the publication, or of the assumption: 2026-11-28, 2026-11 or 2026"
        raise InputError(f"{path}: source.date: {date!r} is no date", hint=hint)
    if day > datetime.fromisoformat(now).date():
        raise InputError(
            f"{path}: source.date: {date} is still to come", hint=f"today is {now[:10]}: give the day on which it was said"
        )


def _check_condition(rule: Rule, path: Path) -> None:
    try:
        condition(rule.when)
    except InputError as error:
        raise InputError(f"{path}: when: {error.fault}", hint=error.hint) from error


def _check_reason(rule: Rule, path: Path) -> None:
    asked = condition(rule.when).facts
    try:
        pieces = list(string.Formatter().parse(rule.why))
    except ValueError as error:
        raise InputError(f"{path}: why: {error}", hint="quote a fact as {inference_share}") from error
    for _, name, form, conversion in pieces:
        # Facts are quoted as text already formatted, which takes no further format.
        if name is not None and (name not in asked or form or conversion):
            fault = f"{path}: why: {name!r} is not the plain name of a fact that the condition asks for"
            raise InputError(fault, hint=f"quote any of: {', '.join(asked)}")


def _check_example(rule: Rule, path: Path, facts: Mapping[str, float | bool], expected: Outcome) -> None:
    try:
        check_facts(facts)
    except InputError as error:
        raise InputError(f"{path}: examples.{expected}: {error.fault}", hint=error.hint) from error
    actual = outcome(rule, facts)
    if actual != expected:
        hint = f"give values of {', '.join(condition(rule.when).facts)} for which it is {expected}"
        raise InputError(f"{path}: examples.{expected}: with these facts the rule is {actual}", hint=hint)
