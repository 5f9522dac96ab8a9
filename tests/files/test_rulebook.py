"""The rulebook: every shipped rule does what its examples say, and a file that does not is refused by name and key."""

import re
from importlib import resources
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.verdict.rules import condition, outcome
from advisor.errors import InputError
from advisor.files.rulebook import explained, read_rules, rule_named, rules_with

NOW = "2026-11-28T08:00:00+00:00"
RULES = read_rules(resources.files("advisor.rules"), now=NOW)
SHARE_RULES = {"inference-dominates", "training-dominates", "neither-dominates"}
SOUND = {
    "id": "busy",
    "title": "The replicas are busy",
    "favours": "inference",
    "weight": 1,
    "when": "utilization_fraction > 0.8 and replicas > 1",
    "why": "{replicas} replicas work {utilization_fraction} of the time.",
    "source": {"what": "a test", "date": "2026-11-22"},
    "examples": {
        "fires": {"utilization_fraction": 0.9, "replicas": 2},
        "silent": {"utilization_fraction": 0.9, "replicas": 1},
    },
}


SOUND_SILENT = {"utilization_fraction": 0.1, "replicas": 1}
PIECES = [
    "utilization_fraction",
    "replicas",
    "slo_is_met",
    ">",
    "==",
    "and",
    "not",
    "(",
    ")",
    "/",
    "0",
    "1.5",
    "=",
    "lambda",
    "'",
]


def write(folder, rule):
    (folder / "busy.yaml").write_bytes(msgspec.yaml.encode(rule))


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_a_shipped_rule_does_what_its_examples_say(rule):
    assert outcome(rule, rule.examples.fires) == "fires"
    assert outcome(rule, rule.examples.silent) == "silent"


@given(st.floats(0, 1))
def test_of_the_rules_on_the_share_of_serving_exactly_one_fires(share):
    fire = [rule.id for rule in RULES if rule.id in SHARE_RULES and outcome(rule, {"inference_share": share}) == "fires"]

    assert len(fire) == 1


def test_what_weighs_hangs_on_the_share_of_serving_and_all_else_is_context():
    assert {rule.id for rule in RULES if rule.weight is not None} == {rule.id for rule in RULES if "inference_share" in rule.when}


@pytest.mark.parametrize("date", ["2026-11-28", "2026-11", "2026", "1999-12-31"])
def test_a_source_has_the_date_of_a_day_a_month_or_a_year(tmp_path, date):
    write(tmp_path, SOUND | {"source": {"what": "a test", "date": date}})

    assert [date] == [rule.source.date for rule in read_rules(tmp_path, now=NOW)]


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("2026-11-29", "2026-11-29 is still to come"),
        ("2026-12", "2026-12 is still to come"),
        ("2031", "2031 is still to come"),
        ("last week", "'last week' is no date"),
        ("2026-02-30", "'2026-02-30' is no date"),
        ("2026-13", "'2026-13' is no date"),
        ("22.11.2026", "'22.11.2026' is no date"),
        ("2026-1-2", "'2026-1-2' is no date"),
        ("0000", "'0000' is no date"),
    ],
)
def test_a_source_without_a_date_or_from_the_future_is_refused_with_file_and_key(tmp_path, date, said):
    write(tmp_path, SOUND | {"source": {"what": "a test", "date": date}})

    with pytest.raises(InputError, match=f"busy.yaml: source.date: {said}"):
        read_rules(tmp_path, now=NOW)


def test_there_are_rules_on_everything_that_a_verdict_turns_on():
    asked = {fact for rule in RULES for fact in condition(rule.when).facts}

    assert len(RULES) >= 25
    assert {
        "inference_share",
        "requests_per_day",
        "quality_gap",
        "prompting_exhausted",
        "retrieval_exhausted",
        "labels_available",
        "domain_shift",
        "knowledge_updates_per_year",
        "latency_over_fastest",
        "data_must_stay",
        "is_regulated",
        "agent_multiplier",
        "reasoning_multiplier",
        "parameters_per_daily_request",
        "budget_fraction",
    } <= asked


def test_rules_of_the_user_stand_beside_those_of_advisor_and_in_place_of_one_with_the_same_id(tmp_path):
    for name in ("busy", "short-life"):
        (tmp_path / f"{name}.yaml").write_bytes(msgspec.yaml.encode(SOUND | {"id": name}))

    rules = {rule.id: rule for rule in rules_with(tmp_path, now=NOW)}

    assert rules.keys() == {rule.id for rule in RULES} | {"busy"}
    assert rules["short-life"].when == SOUND["when"]


def test_the_rules_that_start_with_advisor_are_those_that_were_checked():
    assert RULES == rules_with(None, now=NOW)


@pytest.mark.parametrize("name", [rule.id for rule in RULES])
def test_a_rule_is_explained_with_its_facts_its_examples_and_its_source(name):
    told = explained(rule_named(name, None, now=NOW))

    assert set(condition(told.rule.when).facts) == told.facts.keys()
    assert "{" not in told.says and told.example and told.counterexample


def test_a_rule_is_explained_whose_example_leaves_a_fact_out(tmp_path):
    fires = {"utilization_fraction": 0.9}
    rule = SOUND | {"when": "utilization_fraction > 0.8 or replicas > 1", "examples": {"fires": fires, "silent": SOUND_SILENT}}
    write(tmp_path, rule)

    assert "unknown replicas work 90 % of the time." == explained(rule_named("busy", tmp_path, now=NOW)).says


def test_the_rule_in_the_documentation_is_sound(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```yaml\n(id: (?:.|\n)*?)```", page)
    (tmp_path / f"{text.split()[1]}.yaml").write_text(text, encoding="utf-8")

    assert 1 == len(read_rules(tmp_path, now=NOW))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1) | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_whatever_a_user_writes_for_a_condition_is_read_or_refused_with_file_and_key(tmp_path_factory, when):
    folder = tmp_path_factory.mktemp("rules")
    write(folder, SOUND | {"when": when})

    try:
        read_rules(folder, now=NOW)
    except InputError as error:
        assert "busy.yaml: " in error.fault and error.hint


def test_a_rule_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(InputError) as refusal:
        rule_named("inference-dominate", None, now=NOW)

    assert "did you mean 'inference-dominates'" in refusal.value.hint


def test_rules_are_read_in_order_of_their_ids(tmp_path):
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.yaml").write_bytes(msgspec.yaml.encode(SOUND | {"id": name}))

    assert [rule.id for rule in read_rules(tmp_path, now=NOW)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("change", "complaint", "way_out"),
    [
        ({"id": "bussy"}, "id: 'bussy' is not the name of the file", "write id: busy"),
        ({"weight": 0}, "weight: ", "documentation"),
        ({"favours": "marketing"}, "favours: ", "inference, fine-tuning"),
        ({"wheight": 2}, "wheight: unknown key", "did you mean weight"),
        (
            {"when": "utilisation_fraction > 0.8"},
            "when: column 1, at 'utilisation_fraction > …': 'utilisation_fraction' is not a known fact",
            "did you mean 'util",
        ),
        ({"when": "utilization_fraction >"}, "when: column 23, at the end: something is missing", "compare facts"),
        (
            {"when": "replicas > 1 and slo_is_met > 1"},
            "when: column 18, at 'slo_is_met > 1': 'slo_is_met' is a yes or no",
            "ask for it",
        ),
        (
            {"when": "__import__('os')"},
            "when: column 1, at \"__import__('os')\": '__import__' is not a known fact",
            "the known facts",
        ),
        ({"when": "9" * 5000 + " > replicas"}, "when: column 1", "plain number"),
        ({"when": "(" * 5000 + "slo_is_met"}, "when: column 22", "two rules"),
        (
            {"why": "There are {requests_per_s}."},
            "why: 'requests_per_s' is not the plain name of a fact",
            "quote any of: replicas",
        ),
        ({"why": "There are {replicas:.2f}."}, "why: 'replicas' is not the plain name of a fact", "quote any of: replicas"),
        ({"why": "There are {replicas."}, "why: expected '}'", "quote a fact as {inference_share}"),
        ({"examples": {"fires": SOUND["examples"]["fires"]}}, "missing required field `silent`", "documentation"),
        (
            {"examples": {"fires": SOUND["examples"]["silent"], "silent": SOUND["examples"]["silent"]}},
            "examples.fires: with these facts the rule is silent",
            "give values of replicas, utilization_fraction for which it is fires",
        ),
        (
            {"examples": {"fires": SOUND["examples"]["fires"], "silent": {"replicas": 2}}},
            "examples.silent: with these facts the rule is unknown",
            "give values of replicas, utilization_fraction for which it is silent",
        ),
        (
            {"examples": {"fires": SOUND["examples"]["fires"], "silent": {"replica": 1}}},
            "examples.silent: 'replica' is not a known fact",
            "did you mean 'replicas'",
        ),
        (
            {"examples": {"fires": {"utilization_fraction": 0.9, "replicas": True}, "silent": SOUND["examples"]["silent"]}},
            "examples.fires: replicas is a number, and true is none",
            "write a number",
        ),
        (
            {"examples": {"fires": SOUND["examples"]["fires"], "silent": {"slo_is_met": 1}}},
            "examples.silent: slo_is_met is a yes or no, and 1 is none",
            "write true or false",
        ),
    ],
)
def test_a_file_that_is_no_sound_rule_is_refused_with_its_name_and_key(tmp_path, change, complaint, way_out):
    write(tmp_path, SOUND | change)

    with pytest.raises(InputError) as refusal:
        read_rules(tmp_path, now=NOW)

    assert "busy.yaml: " in refusal.value.fault
    assert complaint in refusal.value.fault
    assert way_out in refusal.value.hint


def test_a_folder_without_rules_is_refused_for_a_verdict_without_rules_says_nothing(tmp_path):
    with pytest.raises(InputError, match="holds no rules"):
        read_rules(tmp_path, now=NOW)
