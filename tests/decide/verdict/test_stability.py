"""What turns a verdict is a key that a user can set: set in the workload file and run, it turns on the side that was told."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.lifetime.horizon import of_arrivals
from advisor.decide.lifetime.inputs import life_of, with_input
from advisor.decide.verdict.judgement import dominated_by, judge
from advisor.decide.verdict.rules import Rulebook
from advisor.decide.verdict.settings import SETTINGS, settable
from advisor.files.contradictions import contradictions
from advisor.files.market import market_of
from advisor.files.rulebook import rules_with
from advisor.files.workload import read_workload
from advisor.schema.lifetime import USUAL_FACTOR
from advisor.schema.workload import LifeOptions, LifePreTraining, LifeServing, LifeSituation, LifeTeam, Traffic, Workload
from tests.lives import choices, plans

NOW = "2026-11-28T08:00:00+00:00"
RULES = Rulebook(rules_with(None, now=NOW))
SCENARIOS = sorted((Path(__file__).parents[3] / "examples" / "scenarios").glob("*.yaml"))
NEAR = 1e-7


def with_key(workload, key, value):
    """The workload with one key set, as a user would set it: a range that was around the old value goes."""
    tree = msgspec.to_builtins(workload)
    *sections, name = key.split(".")
    inner = tree
    for section in sections:
        if inner.get(section) is None:
            inner[section] = {}
        inner = inner[section]
    inner[name] = value
    tree["lifecycle"].get("ranges", {}).pop(name, None)
    return msgspec.convert(tree, Workload)


def life_in(workload):
    market = market_of(workload.lifecycle, workload.hardware, workload.energy)
    return life_of(workload.traffic.requests_per_s, workload.lifecycle, market)


def class_in(workload):
    assert [] == list(contradictions(workload))
    life = life_in(workload)
    return dominated_by(life, RULES, life.values)


def check_flips(workload):
    verdict = judge(life_in(workload), RULES, {})

    for flip in verdict.flips_when:
        beyond = flip.at * (1 + NEAR if flip.direction == "above" else 1 - NEAR)
        assert verdict.dominated_by == class_in(with_key(workload, flip.key, flip.at)), flip
        assert flip.becomes == class_in(with_key(workload, flip.key, beyond)), flip
        assert flip.becomes != verdict.dominated_by
    return verdict.flips_when


@st.composite
def workloads(draw):
    """Workloads of many kinds: on devices and on APIs, costs given and computed, sections there and left out."""
    planned = draw(plans())
    kind = draw(st.sampled_from(["devices", "priced", "api", "sum"]))
    changes = {
        "discount_per_year": draw(st.sampled_from([0.0, 0.1])),
        "serving": {
            "devices": planned.serving,
            "priced": msgspec.structs.replace(planned.serving, device="l40s", device_usd_per_hour=draw(st.floats(0.1, 20))),
            "api": LifeServing(api_model="gpt-4.1-mini"),
            "sum": LifeServing(serving_usd_per_hour=draw(st.floats(0.01, 100))),
        }[kind],
        "situation": draw(
            st.none() | st.builds(LifeSituation, prompting_exhausted=st.booleans(), retrieval_exhausted=st.booleans())
        ),
        "team": draw(st.none() | st.builds(LifeTeam, serving_engineer_days_per_month=st.floats(0, 20))),
        "options": draw(st.none() | st.builds(LifeOptions, reserved_discount=st.floats(0.1, 0.6))),
    }
    if draw(st.booleans()):
        changes |= {"data": None, "labels_usd": draw(st.floats(0, 1e6))}
    if draw(st.booleans()):
        changes |= {"fine_tuning": None, "fine_tuning_usd": draw(st.floats(0, 1e5))}
    if kind == "devices" and draw(st.booleans()):
        changes["pre_training"] = LifePreTraining(pre_training_tokens=10 ** draw(st.floats(8, 13)))
    if planned.request is not None:
        shared = draw(st.sampled_from([None, 0.5])) or 0.0
        changes["request"] = msgspec.structs.replace(planned.request, shared_prefix_tokens=planned.request.input_tokens * shared)
    lifecycle = msgspec.structs.replace(planned, **changes)
    return Workload(name="a test", traffic=Traffic(requests_per_s=10 ** draw(st.floats(-3, 4))), lifecycle=lifecycle)


@settings(deadline=None, max_examples=60)
@given(workloads())
def test_every_flip_is_a_key_that_turns_the_verdict_where_it_is_told_to(workload):
    check_flips(workload)


@settings(deadline=None, max_examples=60)
@given(choices())
def test_every_flip_turns_the_verdict_on_owned_measured_and_waiting_devices_too(choice):
    planned, market, course, rate = choice
    verdict = judge(life_of(rate, planned, market, course=course), RULES, {})

    def class_with(key, value):
        workload = Workload(name="a test", traffic=Traffic(requests_per_s=rate), lifecycle=planned)
        changed = with_key(workload, key, value)
        life = life_of(changed.traffic.requests_per_s, changed.lifecycle, market, course=course)
        return dominated_by(life, RULES, life.values)

    for flip in verdict.flips_when:
        beyond = flip.at * (1 + NEAR if flip.direction == "above" else 1 - NEAR)
        assert (verdict.dominated_by, flip.becomes) == (class_with(flip.key, flip.at), class_with(flip.key, beyond)), flip


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_every_flip_of_a_scenario_is_a_key_that_turns_it(path):
    assert check_flips(read_workload(path))


@settings(deadline=None, max_examples=60)
@given(workloads())
def test_nothing_is_told_to_turn_a_verdict_that_no_user_can_reach(workload):
    life = life_in(workload)
    verdict = judge(life, RULES, {})

    for flip in verdict.flips_when:
        setting = SETTINGS[flip.input]
        assert flip.key == setting.key
        assert setting.least <= flip.at <= setting.most
        assert 1 / setting.times <= flip.at / flip.now * (1 + NEAR) and flip.at / flip.now <= setting.times * (1 + NEAR)
        assert flip.input != "active_parameters" or flip.at <= life.values["parameters"]
        assert flip.input != "input_tokens" or flip.at >= life.values.get("shared_prefix_tokens", 0.0)


@settings(deadline=None, max_examples=40)
@given(workloads())
def test_robust_says_what_was_moved_and_numbers_without_a_range_are_among_it(workload):
    life = life_in(workload)
    verdict = judge(life, RULES, {})
    moved = {entry.input: entry for entry in verdict.moved}
    if verdict.dominated_by is None:
        return

    bare = {name for name in settable(life.figures) if life.figures[name].low == life.figures[name].high}
    assert bare <= {name for name, entry in moved.items() if not entry.has_range}
    for name, entry in moved.items():
        now = life.values[name]
        assert (entry.low <= now <= entry.high and entry.low < entry.high) or now in (SETTINGS[name].least, SETTINGS[name].most)
        assert entry.has_range or entry.high <= now * USUAL_FACTOR * (1 + NEAR)
    classes = {
        dominated_by(life, RULES, with_input(life, life.values, name, end))
        for name, entry in moved.items()
        for end in (entry.low, entry.high)
    }
    if verdict.robust:
        assert classes <= {verdict.dominated_by}
    else:
        assert verdict.turned_by


def test_a_verdict_that_stands_on_a_number_without_a_range_is_not_robust():
    path = next(path for path in SCENARIOS if path.stem == "compliance-adaptation")
    workload = read_workload(path)
    bare = msgspec.structs.replace(workload.lifecycle, ranges={}, horizon_months=8.0)

    verdict = judge(life_in(msgspec.structs.replace(workload, lifecycle=bare)), RULES, {})

    assert not verdict.robust
    assert any("of life (no range is given)" in said for said in verdict.turned_by)


def test_a_rate_that_is_recorded_is_no_key_to_set():
    workload = read_workload(next(path for path in SCENARIOS if path.stem == "medical-diagnosis"))
    recorded = of_arrivals([float(at) for at in range(100)], "trace.csv")
    market = market_of(workload.lifecycle)
    rate = workload.traffic.requests_per_s
    said = life_of(rate, workload.lifecycle, market)
    traced = life_of(rate, workload.lifecycle, market, course=recorded)

    assert "requests_per_s" in settable(said.figures) and "requests_per_s" not in settable(traced.figures)
