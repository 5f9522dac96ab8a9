"""How far the answer is known: what leaves it open, what does not, and that a load test settles it."""

from itertools import pairwise
from random import Random

import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.schema.profile import Calibration
from advisor.schema.record import Estimate
from advisor.schema.workload import Baseline, EnergyChoice
from tests.profiles import UNSTEADY, fixed_cost_law, power_law, profile, request, variant, with_site, workload

SECONDS = 0.01
BUSY = (0.7, 1.0, 1.3)  # visits on a machine with other work
QUIET = (1.0, 1.0, 1.0)


def measured(visits=QUIET, *, noise_fraction=0.0, **changes):
    return profile(power_law(SECONDS), batch_sizes=(1,), visits=visits, noise_fraction=noise_fraction, **changes)


def answer(made, asked, **changes):
    return advise(made, request(asked, made, **changes), None)


def known_of(*arguments, **changes):
    return answer(*arguments, **changes).certainty


def test_a_busy_machine_leaves_open_what_a_quiet_one_answers():
    asked = workload(60.0, 0.1)

    quiet, busy = answer(measured(), asked), answer(measured(BUSY, noise_fraction=0.4), asked)

    assert ("keep", True) == (quiet.outcome, quiet.certainty.is_settled)
    assert ("inconclusive", None) == (busy.outcome, busy.recommended)
    assert busy.certainty.quick.usd_per_hour < busy.certainty.slow.usd_per_hour
    assert busy.headline.startswith("Not known yet: 1 to ") and "most likely" in busy.headline


def test_what_is_most_likely_lies_between_the_ends_and_is_what_the_report_is_about():
    asked = workload(200.0, 0.1)
    advice = answer(measured(BUSY, noise_fraction=0.4), asked)

    known = advice.certainty
    assert known.quick.usd_per_hour <= known.likely.usd_per_hour <= known.slow.usd_per_hour
    assert advice.likely.candidate == known.likely.candidate
    cost = advice.likely.cost_usd_per_hour
    assert cost.low <= cost.value <= cost.high and cost.low < cost.high


@pytest.mark.parametrize("accepted", [1.0, 1.5, 100.0])
def test_the_answer_is_open_where_the_cost_is_less_certain_than_accepted(accepted):
    known = known_of(measured(BUSY, noise_fraction=0.4), workload(200.0, 0.1), max_uncertainty=accepted)

    assert (known.factor <= accepted) == known.is_settled


def test_a_target_that_only_quick_calls_keep_is_open_and_one_that_not_even_they_keep_is_not():
    open_, shown = (known_of(measured(), workload(1.0, latency_s)) for latency_s in (0.0105, 0.009))

    assert (None, False) == (open_.slow, open_.is_settled) and open_.quick is not None
    assert (None, None, True) == (shown.slow, shown.quick, shown.is_settled)


def test_why_it_is_not_known_and_what_would_settle_it_is_said():
    known = known_of(measured(BUSY, noise_fraction=1.29), workload(200.0, 0.1))

    assert any("noise floor is 129 %" in reason for reason in known.because)
    assert any(reason.startswith("few visits: ") for reason in known.because)
    ways = "; ".join(known.settled_by)
    assert all(said in ways for said in ("more of timing", "a quiet machine", "advisor verify", "--max-uncertainty"))


def test_what_uncertainty_it_says_would_be_accepted_is_accepted():
    made, asked = measured(BUSY, noise_fraction=0.4), workload(200.0, 0.1)
    way = next(way for way in known_of(made, asked).settled_by if "--max-uncertainty" in way)

    assert known_of(made, asked, max_uncertainty=float(way.rsplit(" ", 1)[1])).is_settled


def test_only_settings_that_may_be_cheaper_than_what_is_sure_are_to_be_measured():
    law = fixed_cost_law(0.0, SECONDS, of_variant={"slow": 5.0, "opt": 0.9})
    made = profile(law, variants=(variant(), variant("opt"), variant("slow")), batch_sizes=(1,), visits=BUSY, noise_fraction=0.0)

    known = known_of(made, workload(200.0, 0.1))

    assert {"fp32", "opt"} == {point.variant for point in known.open_points}
    assert [point.leaves_open for point in known.open_points] == sorted(
        (known.slow.usd_per_hour / point.usd_per_hour_low for point in known.open_points), reverse=True
    )


def test_batches_beyond_those_of_the_candidates_are_not_to_be_measured():
    made = profile(fixed_cost_law(0.0001, SECONDS), batch_sizes=(1, 2, 4, 64), visits=BUSY, noise_fraction=0.4)

    sizes = {size for point in known_of(made, workload(100.0, 0.03)).open_points for size in point.batch_sizes}

    assert 1 in sizes and 64 not in sizes


def test_a_point_with_few_visits_wants_as_many_more_as_give_it_enough():
    one, three = (known_of(measured((1.0,) * count, noise_fraction=0.5), workload(60.0, 0.1)) for count in (1, 3))

    assert [4 * SECONDS, 2 * SECONDS] == pytest.approx([known.open_points[0].wanted_s for known in (one, three)])


def test_nothing_is_to_be_measured_where_both_ends_have_one_answer():
    known = known_of(measured(), workload(10.0, 0.1))

    assert (1.0, True, ()) == (known.factor, known.is_settled, known.open_points)


def observed(low, value, high):
    """What a load test saw of a call, over what the profile says."""
    ratio = Estimate(value=value, low=low, high=high, basis="measured", source="a test")
    none = Estimate(value=0.0, low=0.0, high=0.0, basis="measured", source="a test")
    return Calibration(
        variant="fp32",
        intra_op_num_threads=1,
        instances=1,
        call_ratio=ratio,
        call_lengths_s=(SECONDS,),
        call_factors=(1.0,),
        per_batch_s=none,
        per_request_s=none,
        wake_s=none,
        timer_late_s=None,
        transit_s=(0.0,),
        spread=(1.0,),
        batches=1000,
    )


def test_a_load_test_settles_what_a_busy_machine_left_open():
    made, asked = measured(BUSY, noise_fraction=0.4), workload(60.0, 0.1)
    tested = with_site(made, calibrations=(observed(0.97, 1.0, 1.03),))

    assert "inconclusive" == answer(made, asked).outcome
    assert ("keep", True) == ((advice := answer(tested, asked)).outcome, advice.certainty.is_settled)


def test_where_the_change_is_worth_its_effort_at_neither_end_changing_nothing_is_known():
    from tests.decide.advice.test_outlook import LIFE
    from tests.lives import MARKET

    made = measured(BUSY, noise_fraction=0.4)
    asked = replace(workload(60.0, 0.1, usd_per_hour=0.0001, baseline=Baseline(replicas=8)), lifecycle=LIFE)

    advice = answer(made, asked, market=MARKET)

    assert ("keep", True) == (advice.outcome, advice.certainty.is_settled) and advice.certainty.factor > 1.5


def test_a_limit_on_energy_counts_at_each_end_as_it_may_be_there():
    made = measured(BUSY, noise_fraction=0.4)
    asked = replace(workload(60.0, 0.1), energy=EnergyChoice(max_joules_per_request=1e-9))

    known = known_of(made, asked)

    assert (None, None, True) == (known.quick, known.slow, known.is_settled)


@pytest.mark.parametrize("seed", range(6))
def test_more_noise_never_makes_the_answer_more_certain(seed):
    random = Random(seed)
    asked = workload(random.uniform(5, 400), random.uniform(0.02, 0.2), burstiness_cv=random.choice([0.5, 1.0, 2.0]))

    known = [known_of(measured(noise_fraction=noise, calls=UNSTEADY), asked) for noise in (0.0, 0.1, 0.5)]

    costs = [(each.quick and each.quick.usd_per_hour, each.slow and each.slow.usd_per_hour) for each in known]
    for (quick, slow), (quicker, slower) in pairwise(costs):
        assert quicker is None or quick is None or quicker <= quick
        assert slower is None or (slow is not None and slower >= slow)
