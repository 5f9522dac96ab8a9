"""The rules that come with advisor, on workloads: each can speak and can be silent, and each that weighs can turn the verdict."""

import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from advisor.decide.lifetime import cost
from advisor.decide.lifetime.given import GIVEN
from advisor.decide.lifetime.horizon import EVEN, of_rates
from advisor.decide.lifetime.inputs import Market, life_of, with_figures
from advisor.decide.verdict.facts import beside_the_cost, life_facts
from advisor.decide.verdict.rules import Rulebook, condition, outcome
from advisor.files.market import market_of
from advisor.files.rulebook import read_rules
from advisor.files.workload import read_workload
from advisor.schema.catalog import Rule, RuleExamples
from advisor.schema.record import Source
from advisor.schema.workload import (
    Lifecycle,
    LifeData,
    LifeFineTuning,
    LifeModel,
    LifeOptions,
    LifePreTraining,
    LifeRequest,
    LifeServing,
    LifeSituation,
    LifeTeam,
)

NOW = "2026-11-28T08:00:00+00:00"
RULES = read_rules(resources.files("advisor.rules"), now=NOW)
WEIGHED = [rule for rule in RULES if rule.weight is not None]
SCENARIOS = sorted((Path(__file__).parents[3] / "examples" / "scenarios").glob("*.yaml"))
WORKLOADS = 1500


def rule(id_, when):
    source = Source(what="a test", date="2026-11-22")
    return Rule(
        id=id_,
        title=id_,
        favours="inference",
        when=when,
        why="Because.",
        source=source,
        examples=RuleExamples(fires={}, silent={}),
    )


def lifecycle_of(draw: random.Random) -> Lifecycle:
    """A planned life from idle to busy, from no training to little else, on devices or on an API."""
    on_api = draw.random() < 0.25
    horizon = draw.choice([3.0, 6.0, 12.0, 24.0, 48.0])
    return Lifecycle(
        horizon_months=horizon,
        growth_per_month=draw.choice([-0.05, 0.0, 0.02, 0.1]),
        fine_tunings_per_year=draw.choice([0.0, 1.0, 2.0, 12.0]),
        quality_gap=draw.choice([None, 0.0, 0.05]),
        model=None
        if on_api
        else LifeModel(parameters=draw.choice([1e8, 8e9, 7e10]), bytes_per_parameter=draw.choice([1.0, 2.0])),
        request=LifeRequest(
            input_tokens=draw.choice([200.0, 2000.0, 12000.0]),
            output_tokens=draw.choice([5.0, 200.0, 1500.0]),
            agent_multiplier=draw.choice([1.0, 15.0]),
            reasoning_multiplier=draw.choice([1.0, 6.0]),
        ),
        serving=LifeServing(api_model=draw.choice(["gpt-4.1-mini", "gpt-3.5-turbo-1106"]))
        if on_api
        else LifeServing(device="h100_sxm", minimum_replicas=draw.choice([1, 2])),
        fine_tuning=None if on_api else LifeFineTuning(fine_tuning_tokens=10 ** draw.uniform(6, 9)),
        fine_tuning_usd=100.0 if on_api else None,
        pre_training=None
        if on_api or draw.random() < 0.7
        else LifePreTraining(pre_training_tokens=10 ** draw.uniform(10, 13), pre_training_experiments=draw.choice([1.0, 3.0])),
        data=LifeData(
            labels_to_buy=10 ** draw.uniform(2, 6),
            usd_per_label=draw.choice([0.05, 1.0, 30.0]),
            validation_usd=draw.choice([0.0, 1e5]),
            labels_available=draw.choice([None, 0.0, 5000.0]),
        ),
        team=LifeTeam(serving_engineer_days_per_month=draw.choice([0.0, 2.0, 20.0])),
        situation=LifeSituation(
            prompting_exhausted=draw.choice([None, True, False]),
            retrieval_exhausted=draw.choice([None, True, False]),
            domain_shift=draw.choice([None, 0.05, 0.5]),
            knowledge_updates_per_year=draw.choice([None, 1.0, 52.0]),
            data_must_stay=draw.choice([None, True, False]),
            is_regulated=draw.choice([None, True, False]),
            models_of_one_base=draw.choice([None, 1, 8]),
            budget_usd=draw.choice([None, 1e4, 1e7]),
        ),
        options=LifeOptions(reserved_discount=draw.choice([None, 0.4])),
    )


@cache
def situations() -> list[dict[str, float | bool | None]]:
    """The facts of many workloads, some of them with what only a measured model tells."""
    draw = random.Random(20261128)
    markets: dict[tuple[str | None, str | None], Market] = {}
    found = []
    for _ in range(WORKLOADS):
        planned = lifecycle_of(draw)
        serving = planned.serving
        market = markets.setdefault((serving.device, serving.api_model), market_of(planned))
        if market.api is not None and draw.random() < 0.3:
            market = msgspec.structs.replace(market, api=msgspec.structs.replace(market.api, retired_on="2031-01-01"))
        rates, bursts = draw.choice([(1.0, 1.0), (1.0, 1.0, 2.0), (0.0, 0.0, 3.0)]), draw.choice([1.0, 4.0])
        course = draw.choice([EVEN, of_rates(rates, bursts, "a test")])
        life = life_of(10 ** draw.uniform(-3, 4), planned, market, course=course)
        life = with_figures(life, GIVEN, latency_target_s=draw.choice([0.05, 2.0, 60.0, 1e5]))
        measured = {
            "replicas": draw.choice([None, 1.0, 4.0]),
            "utilization_fraction": draw.choice([None, 0.1, 0.7]),
            "slo_is_met": draw.choice([None, True, False]),
            "serving_saving_fraction": draw.choice([None, 0.0, 0.5]),
        }
        facts = life_facts(life.values, cost.costs(life.values), life.flags)
        found.append({**facts, **beside_the_cost(life.values, course, market, NOW), **measured})
    return found


def faults(rules: Iterable[Rule]) -> list[str]:
    """What is wrong with rules as arguments: that they always fire, never can, or weigh and never count."""
    rules = tuple(rules)
    book = Rulebook(rules)
    weights = [book.weights(facts) for facts in situations()]
    found = []
    for entry in rules:
        outcomes = {outcome(entry, facts) for facts in situations()}
        if "silent" not in outcomes:
            found.append(f"{entry.id} always fires")
        if "fires" not in outcomes:
            found.append(f"{entry.id} never can")
        if entry.weight is not None:
            without = Rulebook(tuple(other for other in rules if other is not entry))
            if all(without.weights(facts) == now for facts, now in zip(situations(), weights, strict=True)):
                found.append(f"{entry.id} changes neither verdict nor margin")
    return found


def test_every_rule_can_fire_and_be_silent_and_every_one_that_weighs_changes_verdict_or_margin():
    assert [] == faults(RULES)


# Without it nothing would weigh in the middle, and a rule of the slightest weight would decide there.
@pytest.mark.parametrize("entry", [entry for entry in WEIGHED if entry.id != "neither-dominates"], ids=lambda entry: entry.id)
def test_without_a_rule_that_weighs_some_workload_has_another_verdict(entry):
    book, without = Rulebook(RULES), Rulebook(tuple(other for other in RULES if other is not entry))

    assert any(book.dominated_by(facts) != without.dominated_by(facts) for facts in situations())


def test_what_is_context_changes_no_verdict():
    book, decisive = Rulebook(RULES), Rulebook(tuple(WEIGHED))

    assert all(book.weights(facts) == decisive.weights(facts) for facts in situations())


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (rule("always", "horizon_months > 0"), "always always fires"),
        (rule("never", "inference_share > 1"), "never never can"),
        (rule("impossible", "uses_api and floor_load < 1"), "impossible never can"),
    ],
)
def test_a_rule_that_says_nothing_is_found(added, fault):
    assert [fault] == faults((*RULES, added))


def facts_of(path: Path) -> dict[str, float | bool | None]:
    workload = read_workload(path)
    market = market_of(workload.lifecycle)
    life = life_of(workload.traffic.requests_per_s, workload.lifecycle, market)
    life = with_figures(life, GIVEN, latency_target_s=workload.slo.latency_s)
    facts = life_facts(life.values, cost.costs(life.values), life.flags)
    return {**facts, **beside_the_cost(life.values, EVEN, market, NOW)}


def test_no_rule_fires_in_every_scenario():
    known = [facts_of(path) for path in SCENARIOS]

    assert [] == [entry.id for entry in RULES if all(outcome(entry, facts) == "fires" for facts in known)]


def ours(entry: Rule) -> bool:
    return "our assumption" in entry.source.what


@pytest.mark.parametrize("entry", RULES, ids=[entry.id for entry in RULES])
def test_a_source_is_a_publication_with_its_own_date_or_says_that_it_is_our_assumption(entry):
    what, date = entry.source.what, entry.source.date
    papers = re.findall(r"\b(\d\d)(\d\d)\.\d{5}\b", what)

    assert ours(entry) or papers or re.match(r"[A-Z]\S+.*[,:]|litellm, ", what)
    if papers and not ours(entry):
        # The number of a preprint begins with the year and month of its first version.
        year, month = papers[0]
        assert f"20{year}-{month}" == date


def names(rules: Sequence[Rule]) -> set[str]:
    return {entry.id for entry in rules}


def test_there_is_a_rule_on_each_of_what_teams_overlook():
    assert {
        "routing-by-difficulty",
        "batch-api-discount",
        "context-can-be-trimmed",
        "output-can-be-trimmed",
        "small-models-share-a-device",
        "many-adapters-one-base",
        "vendor-retires-the-model",
        "retrain-on-drift",
        "operations-outweigh-devices",
        "bursts-size-the-fleet",
        "energy-is-worth-a-place",
        "commitment-outlives-the-model",
        "drafting-speeds-answers-up",
    } <= names(RULES)


def test_a_rule_claims_no_more_than_its_condition_makes_sure_of():
    """Neither that devices are busy, which hangs on their load, nor which of several savings is the largest: the headline says that."""
    for entry in RULES:
        assert "floor_load" in condition(entry.when).facts or not re.search(
            r"devices [^.]*\bare (?:\w+ )?busy|is dear\b", entry.why
        )
        assert not re.search(r"\bsaves?\b[^.]*\bmost\b", entry.why)
