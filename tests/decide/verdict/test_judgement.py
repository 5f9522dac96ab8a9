"""The verdict as a whole: it follows traffic and labels one way only, turns where it says that it turns, and knows how firm it is."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.lifetime.inputs import with_input
from advisor.decide.verdict.judgement import dominated_by, judge
from advisor.decide.verdict.rules import Rulebook
from advisor.decide.verdict.settings import SETTINGS, within_reach
from advisor.files.rulebook import rules_with
from advisor.schema.workload import Lifecycle, LifeData, LifeSituation
from tests.lives import CHATBOT, life, plans

NOW = "2026-11-28T08:00:00+00:00"
RULES = Rulebook(rules_with(None, now=NOW))
# From training to inference; fine-tuning and pre-training are both training.
TOWARD_INFERENCE = {"fine-tuning": 0, "pre-training": 0, "mixed": 1, "inference": 2}
situations = st.none() | st.builds(
    LifeSituation,
    prompting_exhausted=st.none() | st.booleans(),
    retrieval_exhausted=st.none() | st.booleans(),
    domain_shift=st.none() | st.floats(0, 1),
    is_regulated=st.none() | st.booleans(),
    data_must_stay=st.none() | st.booleans(),
)


def class_of(planned, **moved):
    there = life(planned)
    x = there.values
    for name, value in moved.items():
        x = with_input(there, x, name, value)
    return dominated_by(there, RULES, x)


def direction(planned, **moved):
    return TOWARD_INFERENCE[class_of(planned, **moved)]


@settings(deadline=None)
@given(plans(), situations, st.floats(-3, 5), st.floats(0, 4))
def test_more_traffic_never_moves_the_verdict_toward_training(planned, situation, logarithm, more):
    planned = msgspec.structs.replace(planned, situation=situation)
    little, much = 10**logarithm, 10 ** (logarithm + more)

    assert direction(planned, requests_per_s=little) <= direction(planned, requests_per_s=much)


@settings(deadline=None)
@given(plans(), situations, st.floats(0, 1e6), st.floats(0, 1e7))
def test_more_labels_to_buy_never_move_the_verdict_toward_inference(planned, situation, labels, more):
    planned = msgspec.structs.replace(planned, situation=situation)

    assert direction(planned, labels_to_buy=labels) >= direction(planned, labels_to_buy=labels + more)


@settings(deadline=None, max_examples=25)
@given(plans())
def test_the_verdict_turns_exactly_where_it_says_that_it_turns(planned):
    there = life(planned)
    verdict = judge(there, RULES, {})

    for flip in verdict.flips_when:
        beyond = flip.at * (1 + 1e-8 if flip.direction == "above" else 1 - 1e-8)
        assert verdict.dominated_by == class_of(planned, **{flip.input: flip.at})
        assert flip.becomes == class_of(planned, **{flip.input: beyond})
        assert flip.becomes != verdict.dominated_by


@settings(deadline=None, max_examples=25)
@given(plans(), st.sampled_from(["requests_per_s", "usd_per_label", "horizon_months", "device_usd_per_hour"]), st.floats(-1, 1))
def test_no_smaller_change_of_one_input_turns_the_verdict(planned, name, part):
    there = life(planned)
    verdict = judge(there, RULES, {})
    nearest = verdict.flips_when[0] if verdict.flips_when else None
    reach = max(nearest.at / nearest.now, nearest.now / nearest.at) if nearest is not None else 4.0

    least, most = within_reach(name, SETTINGS[name], there.values)
    moved = min(most, max(least, there.values[name] * (reach * 0.999) ** part))

    assert verdict.dominated_by == class_of(planned, **{name: moved})


@settings(deadline=None, max_examples=25)
@given(plans(), st.floats(1, 20))
def test_a_robust_verdict_is_the_same_wherever_an_input_is_moved(planned, width):
    ranges = {"usd_per_label": (planned.data.usd_per_label / width, planned.data.usd_per_label * width)}
    planned = msgspec.structs.replace(planned, ranges=ranges)
    there = life(planned)
    verdict = judge(there, RULES, {})

    ends = {class_of(planned, **{entry.input: end}) for entry in verdict.moved for end in (entry.low, entry.high)}

    if verdict.robust:
        assert {verdict.dominated_by} == ends
    else:
        assert verdict.turned_by


@pytest.mark.parametrize(("labels_usd", "expected"), [(1.0, "inference"), (1e5, "mixed"), (1e7, "fine-tuning"), (None, None)])
def test_the_class_follows_the_money(labels_usd, expected):
    planned = msgspec.structs.replace(CHATBOT, data=None, labels_usd=labels_usd)

    verdict = judge(life(planned), RULES, {})

    assert expected == verdict.dominated_by
    assert (verdict.robust is None) == (expected is None)


def test_pre_training_is_told_from_fine_tuning_by_what_it_costs():
    planned = msgspec.structs.replace(CHATBOT, pre_training_usd=1e8)

    assert judge(life(planned), RULES, {}).dominated_by == "pre-training"


def test_where_training_is_mandatory_the_answer_is_not_inference_alone():
    tried = LifeSituation(prompting_exhausted=True, retrieval_exhausted=True)
    planned = msgspec.structs.replace(CHATBOT, quality_gap=0.05, situation=tried)

    assert judge(life(planned), RULES, {}).dominated_by == "mixed"
    assert judge(life(msgspec.structs.replace(planned, situation=None)), RULES, {}).dominated_by == "inference"


def test_a_rule_that_asks_for_what_is_not_said_is_unknown_and_not_silent():
    findings = {finding.rule: finding.outcome for finding in judge(life(CHATBOT), RULES, {}).findings}

    assert findings["training-is-mandatory"] == findings["far-from-home"] == "unknown"


def test_a_verdict_that_an_interval_turns_is_not_robust_and_says_which():
    planned = msgspec.structs.replace(
        CHATBOT, data=LifeData(labels_to_buy=5000.0, usd_per_label=1.0), ranges={"usd_per_label": (0.5, 200.0)}
    )

    verdict = judge(life(planned), RULES, {})

    assert not verdict.robust
    assert any(said.startswith("$200 a label") for said in verdict.turned_by)


def test_without_a_plan_nothing_is_claimed():
    verdict = judge(life(Lifecycle()), RULES, {})

    assert (None, None, {}, ()) == (verdict.dominated_by, verdict.robust, verdict.shares, verdict.flips_when)
    assert "lifecycle.labels_usd" in verdict.because
