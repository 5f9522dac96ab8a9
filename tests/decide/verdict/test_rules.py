"""The verdict: weights decide, the unknown is never taken for a no, and every reason can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.verdict.rules import FACTS, Rulebook, check_facts, condition, outcome
from advisor.decide.verdict.rules import classify as classify_by
from advisor.errors import InputError
from advisor.schema.catalog import Rule, RuleExamples
from advisor.schema.record import Estimate, Source

ALWAYS, NEVER = "inference_share >= 0", "inference_share > 1"


def rule(when, *, id_="r", favours="inference", weight=1.0, why="Because."):
    return Rule(
        id=id_,
        title=id_,
        favours=favours,
        weight=weight,
        when=when,
        why=why,
        source=Source(what="a test", date="2026-11-22"),
        examples=RuleExamples(fires={}, silent={}),
    )


def classify(facts, rules, shares):
    return classify_by(facts, Rulebook(rules), shares)


def share_between(low, value, high):
    return {"inference": Estimate(value=value, low=low, high=high, basis="projected", source="a test")}


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        ("replicas > 1 and slo_is_met", {"replicas": 1.0}, "silent"),
        ("replicas > 1 and slo_is_met", {"replicas": 2.0}, "unknown"),
        ("replicas > 1 and slo_is_met", {"replicas": 2.0, "slo_is_met": None}, "unknown"),
        ("replicas > 1 and slo_is_met", {"replicas": 2.0, "slo_is_met": True}, "fires"),
        ("replicas > 1 or slo_is_met", {"replicas": 2.0}, "fires"),
        ("replicas > 1 or slo_is_met", {"replicas": 1.0}, "unknown"),
        ("not slo_is_met", {}, "unknown"),
        ("training_usd / replicas > 1", {"training_usd": 1.0, "replicas": 0.0}, "unknown"),
    ],
)
def test_a_rule_is_unknown_exactly_when_what_is_not_known_could_turn_it(when, facts, expected):
    assert expected == outcome(rule(when), facts)


@pytest.mark.parametrize(("share", "expected"), [(0.69, "silent"), (0.7, "fires"), (0.71, "fires")])
def test_a_threshold_means_what_it_says_to_the_last_digit(share, expected):
    assert outcome(rule("inference_share >= 0.70"), {"inference_share": share}) == expected


def test_a_rulebook_refuses_a_condition_that_it_could_not_ask():
    with pytest.raises(InputError, match="column 1, at 'replica == 1': 'replica' is not a known fact"):
        Rulebook((rule("replica == 1"),))


@given(st.sampled_from(sorted(FACTS)), st.floats(0, 9) | st.booleans())
def test_a_fact_is_a_number_or_a_yes_or_no_and_not_the_other(fact, value):
    is_answer = FACTS[fact][1] == "yes or no"
    if is_answer == isinstance(value, bool):
        check_facts({fact: value})
    else:
        with pytest.raises(InputError, match=f"{fact} is a .*, and .* is none"):
            check_facts({fact: value})


def test_the_class_with_the_most_weight_wins():
    rules = (rule(ALWAYS, id_="a", weight=3), rule(ALWAYS, id_="b", favours="fine-tuning", weight=2), rule(NEVER, weight=9))

    verdict = classify({"inference_share": 0.5}, rules, {})

    assert verdict.dominated_by == "inference"
    assert verdict.because == "Serving is 50 % of the lifetime cost. Weight of the rules that fire: inference 3, fine-tuning 2."


def test_weights_add_up_within_a_class():
    rules = (
        rule(ALWAYS, id_="a", weight=3),
        rule(ALWAYS, id_="b", favours="fine-tuning", weight=2),
        rule(ALWAYS, id_="c", favours="fine-tuning", weight=2),
    )

    assert classify({"inference_share": 0.5}, rules, {}).dominated_by == "fine-tuning"


@pytest.mark.parametrize("when", [ALWAYS, NEVER])
def test_a_tie_of_weights_is_mixed_even_when_nothing_weighs(when):
    rules = (rule(when, id_="a"), rule(when, id_="b", favours="fine-tuning"))

    assert classify({"inference_share": 0.5}, rules, {}).dominated_by == "mixed"


@given(st.permutations(range(6)))
def test_the_order_of_the_rules_changes_nothing(order):
    sides = ("inference", "fine-tuning") * 3
    # 0.1, 0.2 and 0.3 add up to different sums in different orders, and here to a tie.
    rules = [rule(ALWAYS, id_=str(n), favours=side, weight=0.1 * (1 + n // 2)) for n, side in enumerate(sides)]
    expected = classify({"inference_share": 0.5}, tuple(rules), {})

    assert expected == classify({"inference_share": 0.5}, tuple(rules[n] for n in order), {})


def test_findings_come_by_outcome_then_weight_then_name():
    rules = (
        rule("replicas > 1", id_="unknown"),
        rule(NEVER, id_="silent"),
        rule(ALWAYS, id_="light"),
        rule(ALWAYS, id_="heavy-b", weight=2),
        rule(ALWAYS, id_="heavy-a", weight=2),
    )

    findings = classify({"inference_share": 0.5}, rules, {}).findings

    assert [finding.rule for finding in findings] == ["heavy-a", "heavy-b", "light", "silent", "unknown"]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("lifecycle.labels_usd",), "is not known: give lifecycle.labels_usd."),
        (
            ("lifecycle.a, and lifecycle.b", "lifecycle.labels_usd"),
            "is not known: give lifecycle.a, and lifecycle.b; lifecycle.labels_usd.",
        ),
        ((), "there is no cost of serving"),
    ],
)
def test_without_serving_s_share_there_is_no_class_and_the_inputs_to_give_are_named(missing, said):
    verdict = classify_by({}, Rulebook((rule("slo_is_met"),)), {}, missing)

    assert verdict.dominated_by is None
    assert said in verdict.because


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.72, 0.8, 0.9, []),
        (0.6, 0.8, 0.9, ["At 60 %, an end of the 90 % interval, it would be fine-tuning."]),
        (0.6, 0.65, 0.75, ["At 75 %, an end of the 90 % interval, it would be inference."]),
    ],
)
def test_a_class_that_an_end_of_the_interval_would_change_is_said_to_be_so(low, value, high, expected):
    rules = (rule("inference_share >= 0.70"), rule("training_share > 0.30", id_="s", favours="fine-tuning"))

    verdict = classify({"inference_share": value, "training_share": 1 - value}, rules, share_between(low, value, high))

    assert [verdict.because[verdict.because.index("At ") :]] == expected if expected else "At " not in verdict.because


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        ("inference_share > 0.5", {"inference_share": 0.823}, "It is 82.3 %."),
        ("training_usd > 1", {"training_usd": 12345.6}, "It is $12,346."),
        ("requests_per_s > 1", {"requests_per_s": 40.0}, "It is 40 /s."),
        ("horizon_months > 1", {"horizon_months": 12.0}, "It is 12."),
        ("not slo_is_met", {"slo_is_met": False}, "It is no."),
        ("slo_is_met", {"slo_is_met": True}, "It is yes."),
        ("slo_is_met", {"slo_is_met": False}, "Not so here (slo_is_met): slo_is_met is no."),
        ("replicas > 1", {"replicas": None}, "Not known: replicas, replicas of the recommended configuration."),
    ],
)
def test_a_finding_quotes_facts_as_people_write_them(when, facts, expected):
    [asked] = condition(when).facts

    [finding] = classify(facts, (rule(when, why=f"It is {{{asked}}}."),), {}).findings

    assert finding.why == expected


@pytest.mark.parametrize("fact", FACTS)
def test_every_known_fact_can_be_asked_for_and_quoted(fact):
    when, value = (fact, True) if FACTS[fact][1] == "yes or no" else (f"{fact} == 1", 1.0)

    [finding] = classify({fact: value}, (rule(when, why=f"It is {{{fact}}}."),), {}).findings

    assert finding.why.startswith("It is ")


@pytest.mark.parametrize(
    ("when", "facts", "named", "passed_over"),
    [
        ("(replicas > 1 and uses_api) or slo_is_met", {"replicas": 1.0}, ["slo_is_met, whether"], ["uses_api", "replicas"]),
        ("(replicas > 1 or uses_api) and slo_is_met", {"replicas": 2.0}, ["slo_is_met, whether"], ["uses_api", "replicas"]),
        ("replicas > 1 and uses_api and slo_is_met", {"slo_is_met": True}, ["replicas, replicas", "uses_api"], ["slo_is_met"]),
        (
            "labels_usd / replicas > 1 and uses_api",
            {"labels_usd": 9.0, "replicas": 0.0},
            ["Not known: uses_api, whether", "A division by zero, or a number out of range: labels_usd is $9.00, replicas is 0."],
            ["Not known: labels_usd"],
        ),
        (
            "labels_usd / replicas > 1",
            {"labels_usd": 9.0, "replicas": 0.0},
            ["A division by zero"],
            ["Not known"],
        ),
    ],
)
def test_an_unknown_finding_names_what_it_hangs_on_and_nothing_else(when, facts, named, passed_over):
    [finding] = classify(facts, (rule(when),), {}).findings

    assert "unknown" == finding.outcome
    assert all(words in finding.why for words in named)
    assert not any(words in finding.why for words in passed_over)


def test_a_rule_that_fires_whatever_one_of_its_facts_may_be_says_that_it_is_unknown():
    [finding] = classify(
        {"replicas": 2.0}, (rule("replicas > 1 or labels_usd > 1", why="{replicas} and {labels_usd}."),), {}
    ).findings

    assert ("fires", "2 and unknown.") == (finding.outcome, finding.why)
