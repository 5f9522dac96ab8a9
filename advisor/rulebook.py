"""The rulebook: one argument a file, each refused unless it does what it says."""

import string
from pathlib import Path

from advisor.decide.verdict import FACTS, Facts, Outcome, facts_asked, outcome, unknown_fact
from advisor.errors import InputError
from advisor.files import read_yaml
from advisor.schema import Rule


def read_rules(folder: Path) -> tuple[Rule, ...]:
    """Return the rules of a folder of YAML files, in order of their ids.

    Raises InputError, naming file and key, for a file that is not a rule, a condition that cannot be read or asks for an unknown
    fact, a reason that quotes a fact the condition does not ask for, and an example that does not do what it says.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise InputError(f"{folder} holds no rules", hint="name a folder of *.yaml files, one rule each")
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Rule:
    rule = read_yaml(path, Rule)
    if rule.id != path.stem:
        raise InputError(f"{path}: id: {rule.id!r} is not the name of the file", hint=f"write id: {path.stem}")
    _check_condition(rule, path)
    _check_reason(rule, path)
    _check_example(rule, path, rule.examples.fires, "fires")
    _check_example(rule, path, rule.examples.silent, "silent")
    return rule


def _check_condition(rule: Rule, path: Path) -> None:
    try:
        facts_asked(rule.when)
    except InputError as error:
        raise InputError(f"{path}: when: {error.fault}", hint=error.hint) from error


def _check_reason(rule: Rule, path: Path) -> None:
    asked = facts_asked(rule.when)
    try:
        pieces = list(string.Formatter().parse(rule.why))
    except ValueError as error:
        raise InputError(f"{path}: why: {error}", hint="quote a fact as {inference_share}") from error
    for _, name, form, conversion in pieces:
        # Facts are quoted as text already formatted, which takes no further format.
        if name is not None and (name not in asked or form or conversion):
            fault = f"{path}: why: {name!r} is not the plain name of a fact that the condition asks for"
            raise InputError(fault, hint=f"quote any of: {', '.join(asked)}")


def _check_example(rule: Rule, path: Path, facts: Facts, expected: Outcome) -> None:
    try:
        for name in facts:
            if name not in FACTS:
                raise unknown_fact(name)
        actual = outcome(rule, facts)
    except InputError as error:
        raise InputError(f"{path}: examples.{expected}: {error.fault}", hint=error.hint) from error
    if actual != expected:
        hint = f"give values of {', '.join(facts_asked(rule.when))} for which it is {expected}"
        raise InputError(f"{path}: examples.{expected}: with these facts the rule is {actual}", hint=hint)
