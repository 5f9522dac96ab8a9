"""Two files of advice: the same model measured twice passes, a slower one fails, and what cannot be told is said to be so."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.decide.comparison.compare import check_kinds, compare
from advisor.decide.comparison.outcomes import outcome
from advisor.errors import InputError
from advisor.files.policy import usual_policy
from advisor.schema.gate.policy import Policy, QualityLimit, RiseLimit, TargetLimit, ValidityLimit
from advisor.schema.profile import Profile
from advisor.schema.record import Estimate
from tests.profiles import fixed_cost_law, profile, request, variant, with_site, workload
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change, inconclusive, infeasible, keep, served

NOW = "2026-11-23T08:00:00+00:00"
USUAL = usual_policy()
RUNS = 20
VISITS = 8  # of a point, of which every run sees as many, drawn with replacement
SPREAD = 0.02  # of visits, as on a quiet machine
RATE = 1000.0  # of requests: a fleet, so that half as much again is more replicas beyond all intervals
NEVER_FAIL = ("kept", "cannot be told")
ANY = [change(), documents.job(), generation_examples.chat(), language_examples.chat_elsewhere()]


def compared(old, new, policy=USUAL, **asked):
    return compare(old, new, policy, now=NOW, is_usual=policy is USUAL, **asked)


def measured(random: Random, slower: float = 1.0) -> Profile:
    """A profile of a known law, every visit a little off, as it would be measured; `slower` times as long a call."""
    law = fixed_cost_law(0.003 * slower, 0.006 * slower, of_variant={"opt": 0.8})
    exact = profile(law, variants=(variant(), variant("opt")), batch_sizes=(1,), visits=(1.0,) * VISITS)
    points = tuple(
        replace(
            point,
            visits=tuple(
                replace(visit, latency_s=tuple(random.gauss(1.0, SPREAD) * call for call in visit.latency_s))
                for visit in point.visits
            ),
        )
        for point in exact.sites[0].measurements
    )
    return with_site(exact, measurements=points, noise_fraction=SPREAD)


def measured_again(before: Profile, random: Random) -> Profile:
    """The same profile as another run would have seen it: visits drawn from those that there were."""
    points = tuple(
        replace(
            point,
            visits=tuple(
                replace(visit, order=order) for order, visit in enumerate(random.choices(point.visits, k=len(point.visits)))
            ),
        )
        for point in before.sites[0].measurements
    )
    return with_site(before, measurements=points)


def advised(known: Profile, requests_per_s: float):
    return advise(known, request(workload(requests_per_s, 0.1), known), None)


@pytest.fixture(scope="module")
def runs():
    """One machine and model, measured RUNS + 1 times, and what is advised each time."""
    random = Random(20)
    base = measured(random)
    return [advised(measured_again(base, random), RATE) for _ in range(RUNS + 1)]


def test_an_a_a_pair_passes_in_19_of_20_runs(runs):
    held = [compared(runs[run], runs[run + 1]).held for run in range(RUNS)]

    assert 19 <= held.count("kept")
    assert "broken" not in held


def test_a_model_that_takes_half_again_as_long_fails_in_every_run(runs):
    random = Random(21)
    slow = advised(measured(random, slower=1.5), RATE)

    findings = [compared(run, slow) for run in runs]

    assert {"broken"} == {it.held for it in findings}
    for it in findings:
        broken = {finding.figure for finding in it.limits if finding.held == "broken" and finding.level == "error"}
        assert {"cost_usd_per_month", "throughput_items_per_s"} <= broken


def test_a_slower_model_fails_before_it_costs_another_replica():
    random = Random(22)
    fast, slow = (advised(measured(random, slower=slower), 10.0) for slower in (1.0, 1.5))

    found = compared(fast, slow)

    figures = {it.name: it for it in found.figures}
    assert "same" == figures["cost_usd_per_month"].outcome
    assert "broken" == found.held
    assert {"throughput_items_per_s"} == {it.figure for it in found.limits if it.level == "error" and it.held == "broken"}


@pytest.mark.parametrize("advice", ANY, ids=lambda it: type(it).__name__)
def test_advice_is_the_same_as_itself(advice):
    found = compared(advice, advice)

    assert (True, "kept", "same") == (found.is_same, found.held, found.kept_outcome)
    assert {0.0} == {it.change for it in found.figures}


@pytest.mark.parametrize("old", ANY, ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("new", ANY, ids=lambda it: type(it).__name__)
def test_advice_of_two_kinds_is_not_compared(old, new):
    if type(old) is type(new):
        check_kinds(old, new)
    else:
        with pytest.raises(InputError, match=r"the one is advice on .*, the other advice on "):
            check_kinds(old, new)


def test_money_comes_first_and_then_what_users_wait_for():
    for advice in ANY:
        names = [it.name for it in compared(advice, advice).figures]

        assert names[0].startswith("cost_usd") and names[-1] == "valid_days"
        assert names[1] in ("latency_p99_s", "ttft_p99_s", "duration_s")


ends = st.tuples(st.floats(0.001, 1e6), st.floats(1.0, 3.0), st.floats(1.0, 3.0))


def estimate(drawn) -> Estimate:
    value, below, above = drawn
    return Estimate(value=value, low=value / below, high=value * above, basis="simulated", source="a test")


def with_p99(advice, p99: Estimate):
    return replace(advice, recommended=replace(advice.recommended, latency_p99_s=p99))


@settings(max_examples=40)
@given(ends, ends, st.floats(0.0, 2.0))
def test_a_difference_inside_the_intervals_never_fails(old, new, allowed):
    before, after = estimate(old), estimate(new)
    policy = Policy(latency_p99_s=RiseLimit(max_increase=allowed))

    found = compared(with_p99(change(), before), with_p99(change(), after), policy)

    if outcome(before, after, is_worse_when_higher=True) != "worse":
        assert found.held in NEVER_FAIL
    if found.held == "broken":
        assert after.low > before.high and after.value > before.value * (1 + allowed)


@given(ends, ends)
def test_what_is_worse_one_way_is_better_the_other_way(one, other):
    first, second = estimate(one), estimate(other)
    turned = {"worse": "better", "better": "worse", "same": "same"}

    forth = outcome(first, second, is_worse_when_higher=True)

    assert turned[forth] == outcome(second, first, is_worse_when_higher=True)
    assert turned[forth] == outcome(first, second, is_worse_when_higher=False)


def test_what_is_inconclusive_cannot_be_told_unless_a_limit_is_shown_to_be_broken():
    for old, new in ((change(), inconclusive()), (inconclusive(), change())):
        found = compared(old, new, Policy(valid_days=ValidityLimit(min=1)))

        assert "cannot be told" == found.held
        assert any("inconclusive" in note for note in found.notes)
    assert "broken" == compared(inconclusive(), infeasible(), Policy(meets_slo=TargetLimit())).held


def test_nothing_that_keeps_the_target_is_worse_than_something_that_did():
    found = compared(change(), infeasible())

    assert ("broken", "missed", "worse") == (found.held, found.kept_new, found.kept_outcome)


@pytest.mark.parametrize(
    ("seen", "kept"), [({}, "missed"), ({"generator_kept_up": False}, "kept"), ({"others_fraction": 0.5}, "kept")]
)
def test_a_load_test_that_missed_weighs_more_than_what_is_predicted(seen, kept):
    advice = served()
    test = replace(advice.load_tests[0], meets_slo=False, **seen)

    assert kept == compared(advice, replace(advice, load_tests=(test,))).kept_new


def test_a_cost_reaches_from_the_fewest_replicas_that_may_be_enough():
    found = compared(keep(), inconclusive())
    cost = next(it for it in found.figures if it.name == "cost_usd_per_month")
    certain = inconclusive().certainty

    assert cost.new.low == pytest.approx(certain.quick.usd_per_hour * 730)


def test_what_only_one_side_knows_cannot_be_told():
    unknown = replace(change(), variants=tuple(replace(it, throughput_items_per_s=None) for it in change().variants))

    found = compared(change(), unknown)

    throughput = next(it for it in found.figures if it.name == "throughput_items_per_s")
    assert ("cannot be told", "it was not measured") == (throughput.outcome, throughput.because)
    assert "cannot be told" == found.held and not found.is_same


def with_quality(advice, **changed):
    rows = tuple(
        replace(it, sha256="ab" * 32, quality=replace(it.quality, **changed)) if it.quality is not None else it
        for it in advice.variants
    )
    return replace(advice, variants=rows)


def test_quality_is_compared_as_it_is_and_not_as_what_was_lost():
    found = compared(change(), with_quality(change(), baseline=0.80, value=0.79))

    quality = next(it for it in found.figures if it.name == "quality")
    assert "worse" == quality.outcome
    assert found.held == "broken"


def test_quality_on_other_data_cannot_be_told():
    found = compared(change(), with_quality(change(), data_sha256="ee" * 32))

    quality = next(it for it in found.figures if it.name == "quality")
    assert ("cannot be told", "it was measured on other data") == (quality.outcome, quality.because)


def test_equal_files_are_of_equal_quality_whoever_measured_it():
    other = replace(
        change(),
        variants=tuple(
            replace(it, quality=replace(it.quality, data_sha256="ee" * 32)) if it.quality else it for it in change().variants
        ),
    )

    assert compared(change(), other).is_same


def test_a_limit_that_no_advice_of_the_kind_has_is_refused_with_those_that_it_has():
    with pytest.raises(InputError, match=r"^ttft_p99_s: advice on traffic has no such figure") as raised:
        compared(change(), change(), Policy(ttft_p99_s=RiseLimit(max_increase=0.1)))

    assert "latency_p99_s" in raised.value.hint


def test_one_file_has_no_changes_and_a_policy_of_nothing_else_is_refused():
    with pytest.raises(InputError, match="every limit in it is on a change"):
        compared(None, change(), Policy(latency_p99_s=RiseLimit(max_increase=0.1)))


def test_a_limit_on_the_wrong_side_of_a_metric_is_refused():
    with pytest.raises(InputError, match=r"quality\.max: accuracy drops as quality is lost"):
        compared(None, change(), Policy(quality=QualityLimit(max=0.9)))


def test_what_else_differs_is_said():
    other = replace(
        change(),
        model=replace(change().model, sha256="0f" * 32),
        workload=replace(change().workload, slo=replace(change().workload.slo, latency_s=0.06)),
        sites=(replace(change().sites[0], versions={"onnxruntime": "9"}),),
    )

    notes = "\n".join(compared(change(), other).notes)

    assert "the model is another: 6fd5d72fe458 before, 0f0f0f0f0f0f now" in notes
    assert "the workload differs: slo.latency_s" in notes
    assert "onnxruntime" in notes


def test_the_speed_that_is_compared_is_that_of_one_variant():
    slower = tuple(
        replace(it, throughput_items_per_s=replace(speed, value=speed.value / 2, low=speed.low / 2, high=speed.high / 2))
        for it in change().variants
        if (speed := it.throughput_items_per_s) is not None
    )
    as_given = replace(change().recommended, candidate=replace(change().recommended.candidate, variant="fp32"))

    found = compared(replace(change(), recommended=as_given), replace(change(), variants=slower))

    speed = next(it for it in found.figures if it.name == "throughput_items_per_s")
    assert ("worse", pytest.approx(-0.5)) == (speed.outcome, speed.change)


def test_what_is_measured_for_the_first_time_is_no_change_unless_the_user_says_so():
    before = replace(change(), variants=tuple(replace(it, quality=None, sha256="ab" * 32) for it in change().variants))

    assert "kept" == compared(before, change()).held
    assert "cannot be told" == compared(before, change(), Policy(quality=QualityLimit(max_drop=0.01))).held
