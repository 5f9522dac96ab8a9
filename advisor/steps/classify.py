"""The straight line of what needs no model: workload file -> classification, and portfolio file -> plan."""

from pathlib import Path

from advisor.decide.classify import classify_workload
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.verdict.rules import Rulebook
from advisor.errors import InputError
from advisor.files.market import market_of
from advisor.files.rulebook import explained, read_rules, rule_named, rules_with, weight_that_turns
from advisor.files.workload import read_portfolio, read_workload, traffic_of
from advisor.schema.catalog import Rule, RuleExplanation
from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.workload import Lifecycle
from advisor.units import number, parse_moment


def classify_file(path: Path, rules_folder: Path | None, *, now: str) -> Classification:
    """Return the classification of the workload in a file."""
    now = parse_moment(now)
    rules = Rulebook(rules_with(rules_folder, now=now))
    workload = read_workload(path)
    lifecycle = workload.lifecycle or Lifecycle()
    rate, course = traffic_of(workload, path)
    try:
        market = market_of(lifecycle, workload.hardware, workload.energy, beside=path.parent)
        return classify_workload(
            workload.name,
            rate,
            lifecycle,
            market,
            rules,
            created=now,
            course=course,
            latency_target_s=workload.slo.latency_s if workload.slo else None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error.fault}", hint=error.hint) from error


def plan_portfolio(path: Path, *, now: str) -> PortfolioPlan:
    """Return the plan for the portfolio in a file; its workloads lie beside it."""
    from advisor.decide.portfolio import Member, plan

    created = parse_moment(now)
    portfolio = read_portfolio(path)
    members = []
    for entry in portfolio.workloads:
        place = path.parent / entry.workload
        workload = read_workload(place)
        lifecycle = workload.lifecycle or Lifecycle()
        rate, course = traffic_of(workload, place)
        try:
            market = market_of(lifecycle, workload.hardware, workload.energy, beside=place.parent)
            life = life_of(rate, lifecycle, market, course=course)
        except InputError as error:
            raise InputError(f"{place}: {error.fault}", hint=error.hint) from error
        members.append(Member(entry, workload.name, life, lifecycle, market))
    try:
        return plan(portfolio, members, created=created)
    except InputError as error:
        raise InputError(f"{path}: {error.fault}", hint=error.hint) from error


def checked_rules(folder: Path, *, now: str) -> tuple[str, ...]:
    """Return a line on each rule of a folder, whose examples do as stated; raise InputError for the first that does not."""
    rules = read_rules(folder, now=parse_moment(now))
    least = weight_that_turns(rules)
    return tuple(f"{rule.id}: fires and stays silent as its examples say{_effect(rule, least)}" for rule in rules)


def _effect(rule: Rule, least: float | None) -> str:
    if rule.weight is None:
        return "; it is context, which no verdict weighs"
    if least is None:
        return ""
    return f"; its weight of {number(rule.weight)} turns no verdict beside the {number(least)} of serving's share: leave `weight` out"


def rule_explained(name: str, folder: Path | None, *, now: str) -> RuleExplanation:
    """Return one of the rules, of advisor's or of the folder's, in words."""
    return explained(rule_named(name, folder, now=parse_moment(now)))
