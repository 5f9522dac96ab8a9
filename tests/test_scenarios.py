"""Eight scenarios with assumed numbers: each has the class that it is expected to have, says how firm it is, and names its sources."""

import re
import shutil
from functools import cache
from pathlib import Path

import msgspec
import pytest

from advisor.files.workload import read_workload
from advisor.steps.classify import classify_file, plan_portfolio

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "scenarios"
NOW = "2026-11-22T08:00:00+00:00"
EXPECTED = {
    "customer-chatbot": "inference",
    "autonomous-agents": "inference",
    "saas-features": "inference",
    "content-moderation": "inference",
    "medical-diagnosis": "fine-tuning",
    "underserved-language": "pre-training",
    "frontier-lab": "pre-training",
    "compliance-adaptation": "mixed",
}


@cache
def told_of(name):
    return classify_file(FOLDER / f"{name}.yaml", None, now=NOW)


def test_there_is_a_scenario_for_each_expectation():
    assert sorted(EXPECTED) == sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_has_the_class_that_is_expected_of_it(name):
    assert EXPECTED[name] == told_of(name).verdict.dominated_by


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_says_whether_it_is_robust_and_when_it_turns(name):
    verdict = told_of(name).verdict

    assert verdict.robust is not None and verdict.robust == (not verdict.turned_by)
    assert verdict.flips_when


def test_the_widest_guesses_leave_two_scenarios_open():
    assert ["content-moderation", "frontier-lab"] == sorted(name for name in EXPECTED if not told_of(name).verdict.robust)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_number_that_the_money_hangs_on_has_a_source(name):
    lifecycle = read_workload(FOLDER / f"{name}.yaml").lifecycle

    assert {"requests_per_s", "usd_per_label"} & lifecycle.sources.keys() and lifecycle.ranges
    assert all(entry.estimate.source for entry in told_of(name).assumed)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_has_shares_that_add_up_and_levers_with_a_date_or_a_reason(name):
    told = told_of(name)

    assert 1 == pytest.approx(sum(share.value for share in told.verdict.shares.values()))
    assert told.verdict.break_evens
    assert all((entry.months is None) == (entry.on is None) and (entry.on or entry.because) for entry in told.verdict.break_evens)


def in_other_units(text):
    return (
        text.replace("1 M/day", "11.574074074074074 /s")
        .replace("[300 k/day, 3 M/day]", "[3.472222222222222 /s, 34.72222222222222 /s]")
        .replace("horizon_months: 24", "horizon_months: 2 years")
        .replace("latency_s: 10 s", "latency_s: 10000 ms")
        .replace("8 B", "8000 M")
        .replace("10 M}", "10000 k}")
        .replace("5 k,", "5000,")
        .replace("growth_per_month: 2 %", "growth_per_month: 0.02")
        .replace("domain_shift: 5 %", "domain_shift: 0.05")
    )


def numbers(tree, path=()):
    if isinstance(tree, dict):
        return {key: value for name, entry in tree.items() for key, value in numbers(entry, (*path, name)).items()}
    if isinstance(tree, list):
        return {key: value for at, entry in enumerate(tree) for key, value in numbers(entry, (*path, at)).items()}
    return {path: tree}


def test_an_input_in_other_units_changes_nothing(tmp_path):
    text = (FOLDER / "customer-chatbot.yaml").read_text()
    other = tmp_path / "customer-chatbot.yaml"
    other.write_text(in_other_units(text))
    assert text != other.read_text()

    before, after = (
        numbers(msgspec.to_builtins(entry)) for entry in (told_of("customer-chatbot"), classify_file(other, None, now=NOW))
    )

    assert before.keys() == after.keys()
    for key, value in before.items():
        assert (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value) == after[key], key


def test_the_example_portfolio_is_planned_within_its_budget():
    plan = plan_portfolio(ROOT / "examples" / "portfolio" / "platform-team.yaml", now=NOW)

    assert plan.spent_usd <= plan.budget_usd and plan.gap_usd == 0
    assert 1 == pytest.approx(plan.share_for_inference + plan.share_for_training)
    assert 5 == len(plan.choices)


# Of each scenario a published model of about its size; of the trillion, which no machine holds, the largest that eight of the devices do.
CONFIGS = {
    "customer-chatbot": "llama-3.1-8b",
    "autonomous-agents": "llama-3.1-70b",
    "saas-features": "llama-3.1-8b",
    "content-moderation": "llama-3.1-8b",
    "medical-diagnosis": "llama-3.1-8b",
    "underserved-language": "llama-3.1-8b",
    "frontier-lab": "qwen3-235b-a22b",
    "compliance-adaptation": "llama-3.1-70b",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_keeps_its_class_where_devices_are_counted_by_what_one_serves_of_a_configuration(tmp_path, name):
    shutil.copy(ROOT / "tests" / "data" / "configs" / f"{CONFIGS[name]}.json", tmp_path / "config.json")
    text = (FOLDER / f"{name}.yaml").read_text()
    text = re.sub(r"\n    active_parameters: .*", "", text)  # its source: the figure is the configuration's
    (tmp_path / "w.yaml").write_text(re.sub(r"  model: \{.*?\}", "  model: {config: config.json}", text))

    told = classify_file(tmp_path / "w.yaml", None, now=NOW)

    assert EXPECTED[name] == told.verdict.dominated_by
    [served] = [entry for entry in told.assumed if entry.input == "device_requests_per_s"]
    assert "projected" == served.estimate.basis and not any(entry.input == "serving_mfu_fraction" for entry in told.assumed)
