"""The straight line of what needs no model: workload file -> classification, and portfolio file -> plan."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from advisor.decide.classify import classify_workload
from advisor.decide.lifetime.horizon import Course
from advisor.decide.lifetime.inputs import SAYS_WHAT_A_DEVICE_SERVES, Market, life_of
from advisor.decide.verdict.rules import Rulebook
from advisor.errors import AdvisorError, InputError
from advisor.files.market import market_of
from advisor.files.rulebook import explained, read_rules, rule_named, rules_with, weight_that_turns
from advisor.files.workload import EXAMPLES, read_portfolio, read_workload, slo_of, traffic_of, with_lengths_of_trace
from advisor.schema.catalog import LOCAL, Hardware, Rule, RuleExplanation
from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioEntry, PortfolioPlan
from advisor.schema.record import Estimate
from advisor.schema.workload import HardwareChoice, Lifecycle, LifeServing, OnlineWorkload, Traffic, Workload
from advisor.steps.language.configuration import with_its_model
from advisor.steps.many.pairs import Pair, workloads_in
from advisor.units import number, parse_moment

if TYPE_CHECKING:
    from advisor.decide.portfolio import Offers
    from advisor.schema.language import Architecture

FEW_WORKLOADS = 8  # of a portfolio, for which no processes are made
WORKLOADS_AT_A_TIME = 16  # that a process takes: half a second of work


class Measured(NamedTuple):
    """A device of a profile, what one of them serves within the target, and what the hardware of the workload costs."""

    hardware: Hardware
    throughput: Estimate
    choice: HardwareChoice


def classify_file(path: Path, rules_folder: Path | None, *, now: str, profile_path: Path | None = None) -> Classification:
    """Return the classification of the workload in a file; with a profile, devices serve as much as was measured."""
    now = parse_moment(now)
    rules = Rulebook(rules_with(rules_folder, now=now))
    workload = read_workload(path)
    rate, course = traffic_of(workload, path)
    try:
        measured = _measured(profile_path, workload, path, rate, course) if profile_path is not None else None
        lifecycle, architecture = with_its_model(workload.lifecycle or Lifecycle(), path)
        if measured is not None:
            lifecycle = _served_by(measured, lifecycle)
        market = market_of(
            lifecycle,
            measured.choice if measured else workload.hardware,
            workload.energy,
            beside=path.parent,
            measured_on=measured.hardware if measured else None,
        )
        throughput = measured.throughput if measured else _expected(architecture, lifecycle, market)
        return classify_workload(
            workload.name,
            rate,
            lifecycle,
            market,
            rules,
            created=now,
            course=course,
            latency_target_s=workload.slo.latency_s if workload.slo else None,
            throughput=throughput,
            is_at_target=measured is not None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error.fault}", hint=error.hint) from error


def _expected(architecture: "Architecture | None", lifecycle: Lifecycle, market: Market) -> Estimate | None:
    """Return what a device is expected to serve of a model that is known by its configuration, None of any other."""
    if architecture is None or market.device is None:
        return None
    from advisor.steps.language.life import expected_throughput

    return expected_throughput(architecture, lifecycle, market.device.id)


def _measured(profile_path: Path, workload: Workload, path: Path, rate: float, course: Course) -> Measured:
    # All that simulates comes with NumPy, for which no other classification has to wait.
    from advisor.decide.throughput import throughput_at_target
    from advisor.files.places import local_of
    from advisor.steps.advise import read_profile

    profile = read_profile(profile_path, "and devices are counted by one that answers in one pass")
    serving = (workload.lifecycle or Lifecycle()).serving or LifeServing()
    given = next((name for name in SAYS_WHAT_A_DEVICE_SERVES if getattr(serving, name) is not None), None)
    if given is not None:
        raise InputError(
            f"lifecycle.serving.{given}: given, while --profile says what a device serves", hint="leave out one of the two"
        )
    if workload.slo is None:
        raise InputError(
            "slo: missing; what a device of the profile serves depends on how fast it has to answer",
            hint=f"add, for example, {EXAMPLES['slo']}, or leave --profile out",
        )
    local, choice = local_of(profile.sites), workload.hardware or HardwareChoice()
    today = workload.baseline.hardware if workload.baseline else None
    name = serving.device or today or LOCAL
    name = local if name == LOCAL else name
    site = next((entry for entry in profile.sites if entry.hardware.id == name), None)
    if site is None:
        raise InputError(
            f"{'lifecycle.serving.device' if serving.device else 'baseline.hardware'}: nothing was measured on {name!r}",
            hint=f"{profile_path} has: {', '.join(entry.hardware.id for entry in profile.sites)}; measure there and "
            "`advisor merge` the profiles, or leave --profile out",
        )
    prices = choice.price_usd_per_hour
    if name == local and LOCAL in prices:
        choice = msgspec.structs.replace(choice, price_usd_per_hour={name: prices[LOCAL], **prices})
    asked = OnlineWorkload(
        name=workload.name,
        traffic=msgspec.structs.replace(workload.traffic, burstiness_cv=course.burstiness_cv) if workload.traffic else Traffic(),
        slo=slo_of(workload.slo),
        hardware=choice,
        inputs=workload.inputs,
        baseline=workload.baseline,
    )
    asked = with_lengths_of_trace(asked, path)
    throughput = throughput_at_target(profile, site, asked, requests_per_s=rate, where=profile_path.name)
    return Measured(site.hardware, throughput, choice)


def _served_by(measured: Measured, lifecycle: Lifecycle) -> Lifecycle:
    """Return the planned life on the device that was measured."""
    serving = msgspec.structs.replace(
        lifecycle.serving or LifeServing(),
        device=measured.hardware.id,
        device_requests_per_s=measured.throughput.value,
    )
    return msgspec.structs.replace(lifecycle, serving=serving)


def plan_portfolio(path: Path, *, now: str, processes: int | None = None) -> PortfolioPlan:
    """Return the plan for the portfolio in a file; its workloads lie beside it. They are looked at on all cores where there are many."""
    from advisor.decide.portfolio import plan
    from advisor.steps.many.quiet import nothing_printed
    from advisor.steps.many.workers import Work, over_processes

    created = parse_moment(now)
    portfolio = read_portfolio(path)
    asked: Iterable[tuple[PortfolioEntry, Pair]]
    if isinstance(portfolio.workloads, str):
        asked = ((PortfolioEntry(workload=pair.id), pair) for pair in workloads_in(path.parent / portfolio.workloads))
        is_small = False
    else:
        asked = ((entry, Pair(entry.workload, path, path.parent / entry.workload)) for entry in portfolio.workloads)
        is_small = len(portfolio.workloads) <= FEW_WORKLOADS
    work: Work[tuple[PortfolioEntry, Pair], Offers | AdvisorError] = Work(_offers_of_each, _lost)
    offers = []
    for found in over_processes(work, asked, processes=1 if is_small else processes, chunk=WORKLOADS_AT_A_TIME):
        if isinstance(found, AdvisorError):
            raise found
        offers.append(found)
    try:
        with nothing_printed():
            return plan(portfolio, offers, created=created)
    except InputError as error:
        raise InputError(f"{path}: {error.fault}", hint=error.hint) from error


def _lost(_: tuple[PortfolioEntry, Pair], error: AdvisorError) -> AdvisorError:
    return error


def _offers_of_each(chunk: Sequence[tuple[PortfolioEntry, Pair]]) -> list["Offers | AdvisorError"]:
    """Return what can be done for each workload, up to the first that is wrong: without it there is no plan."""
    found: list[Offers | AdvisorError] = []
    for entry, pair in chunk:
        try:
            found.append(_offers(entry, pair))
        except AdvisorError as error:
            found.append(error)
            break
    return found


def _offers(entry: PortfolioEntry, pair: Pair) -> "Offers":
    from advisor.decide.portfolio import Member, offers_of

    place = pair.workload
    workload = read_workload(place, pair.content)
    rate, course = traffic_of(workload, place)
    try:
        lifecycle, architecture = with_its_model(workload.lifecycle or Lifecycle(), place)
        market = market_of(lifecycle, workload.hardware, workload.energy, beside=place.parent)
        throughput = _expected(architecture, lifecycle, market)
        life = life_of(rate, lifecycle, market, throughput=throughput, is_at_target=False, course=course)
    except InputError as error:
        raise InputError(f"{place}: {error.fault}", hint=error.hint) from error
    return offers_of(Member(entry, workload.name, life, lifecycle, market))


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
