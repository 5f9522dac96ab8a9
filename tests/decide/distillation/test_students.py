"""Students in advice: never chosen untrained, judged by the same search, and ordinary candidates once they are trained and hold."""

import functools
import math

import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.decide.distillation.students import described
from advisor.errors import InputError
from advisor.files.catalog import read_distilled_pairs
from advisor.schema.workload import Baseline, Lifecycle, LifeTeam, Quality
from tests.lives import MARKET, device
from tests.profiles import drop_of, fixed_cost_law, profile, request, student, variant, workload

LIFE = Lifecycle(horizon_months=12.0, team=LifeTeam(engineer_usd_per_day=900.0))
FLOOR = Quality(max_drop=0.05, metric="accuracy", data="data.npz")
TODAY = Baseline(max_batch_size=1, replicas=40)
TRAINED_ON = replace(MARKET, training_device=device("a trainer", 4.0))
PAIRS = read_distilled_pairs()
LAW = fixed_cost_law(0.002, 0.008, of_variant={"int8": 0.7, "layers-3": 0.5, "layers-3-int8": 0.3, "layers-1": 0.2})


def measured(*, is_trained=False, holds=True, law=LAW, deep=()):
    """A model of 10 ms a call, its int8 form, and students of it: of three layers, that one in int8, and whatever else is named."""
    quality = drop_of(0.02, 0.03 if holds else 0.3) if is_trained else None
    small = student(is_trained=is_trained)
    variants = (
        variant(),
        variant("int8", lossless=False, quality=drop_of(0.01, 0.02)),
        variant("layers-3", lossless=False, student=small, quality=quality),
        variant("layers-3-int8", lossless=False, student=small, quality=quality),
        *deep,
    )
    made = profile(law, variants=variants, batch_sizes=(1, 4))
    return replace(made, model=replace(made.model, family="encoder"))


def advice_at(
    requests_per_s=300.0, *, of=None, lifecycle=LIFE, usd_per_hour=1.0, quality=FLOOR, latency_s=0.2, baseline=TODAY, pairs=PAIRS
):
    of = of or measured()
    asked = workload(
        requests_per_s, latency_s, usd_per_hour=usd_per_hour, quality=quality, lifecycle=lifecycle, baseline=baseline
    )
    return advise(of, request(asked, of, market=TRAINED_ON, distilled=pairs), None)


@functools.cache
def usual():
    """The advice on the usual traffic, made once."""
    return advice_at()


@functools.cache
def many():
    """The advice on traffic that fills many replicas, made once."""
    return advice_at(1500.0, usd_per_hour=8.0, baseline=Baseline(replicas=150))


def of_student(advice, id_="layers-3"):
    return next(entry for entry in advice.students if entry.student.id == id_)


def chosen(advice):
    """Every variant that is advised, tied, weighed against the target or drawn on the frontier."""
    shown = (advice.recommended, advice.unproven, advice.nearest_miss, advice.likely, *advice.ties, *advice.frontier)
    return {entry.candidate.variant for entry in shown if entry is not None}


@pytest.mark.parametrize(("latency_s", "quality"), [(0.2, None), (0.006, FLOOR), (0.0015, None)])
def test_an_untrained_student_is_never_chosen_however_fast_it_is(latency_s, quality):
    advice = advice_at(latency_s=latency_s, quality=quality)

    assert not {"layers-3", "layers-3-int8"} & chosen(advice)
    assert {"layers-3", "layers-3-int8"} <= {entry.what for entry in advice.exclusions}
    assert not any(entry.admitted for entry in advice.variants if entry.id.startswith("layers"))


def test_a_lossless_scheme_makes_no_untrained_student_admissible():
    of = profile(LAW, variants=(variant(), variant("layers-3", student=student())), batch_sizes=(1, 4))

    assert "layers-3" not in chosen(advice_at(of=of))


def test_nobody_serves_today_what_was_never_trained():
    with pytest.raises(InputError, match=r"baseline\.variant: 'layers-3' is a student that nobody has trained"):
        advice_at(baseline=Baseline(variant="layers-3", replicas=1))


def test_what_serving_would_cost_is_that_of_a_search_in_which_the_student_may_be_chosen():
    untrained = of_student(usual())
    free = advice_at(of=measured(is_trained=True), lifecycle=None).recommended

    assert free.candidate == untrained.served.candidate
    assert free.cost_usd_per_hour.value * 730 == pytest.approx(untrained.served.cost_usd_per_month.value)


def test_the_saving_is_against_what_is_advised_without_it_and_not_against_what_runs_today():
    advice = usual()
    row = of_student(advice)

    expected = advice.recommended.cost_usd_per_hour.value * 730 - row.served.cost_usd_per_month.value
    assert "int8" == advice.recommended.candidate.variant
    assert expected == pytest.approx(row.saving_usd_per_month.value) and expected > 0


def test_a_student_and_its_quantized_form_are_one_saving():
    advice = advice_at(1000.0, usd_per_hour=20.0)
    row = of_student(advice)
    entry = next(entry for entry in advice.outlook.opportunities if entry.lever == "distil")

    assert 1 == len(advice.students) and ("layers-3", "layers-3-int8") == row.variants
    assert "layers-3-int8" == row.served.candidate.variant
    assert row.served.cost_usd_per_month.value < row.alone.cost_usd_per_month.value
    assert "are one saving" in entry.because
    assert 12 * row.saving_usd_per_month.value == pytest.approx(entry.saving_usd_per_year.value)


def test_small_traffic_is_told_not_to_distill_and_large_traffic_to_do_so_with_the_break_even_between_them():
    few, filled = advice_at(100.0), many()
    entries = [next(entry for entry in advice.outlook.opportunities if entry.lever == "distil") for advice in (few, filled)]

    assert [False, True] == [entry.pays for entry in entries]
    assert [False, True] == [of_student(advice).pays for advice in (few, filled)]
    assert all("after training, if it holds" in entry.title for entry in entries)


def test_the_break_even_volume_of_advice_equals_a_sum_on_paper():
    advice = many()
    row, shown = of_student(advice), advice.recommended
    even = next(entry for entry in advice.verdict.break_evens if entry.lever == "distil")
    without = shown.capacity_requests_per_s.low / shown.candidate.replicas
    # At the break-even the saving over the horizon is what was spent: on either side of it replicas are counted up.
    at = even.requests_per_s
    replicas = [fewer(at * factor, without, with_student(advice, row)) for factor in (1 - 1e-4, 1 + 1e-4)]

    assert at < 1500.0 and "above" == even.pays == row.break_even.pays
    assert replicas[0] * 8.0 * 8760 <= row.making.total_usd.value < replicas[1] * 8.0 * 8760


def fewer(rate, without, with_it):
    return math.ceil(rate / without) - math.ceil(rate / with_it)


def with_student(advice, row):
    """What one replica of the student carries, from advice in which it may be chosen."""
    of = measured(is_trained=True)
    free = advice_at(1500.0, usd_per_hour=8.0, of=of, lifecycle=None, baseline=Baseline(replicas=150)).recommended
    assert free.candidate == row.served.candidate
    return free.capacity_requests_per_s.low / free.candidate.replicas


def test_the_lever_that_guesses_a_size_gives_way_to_students_that_were_measured():
    assert not any("Distil into a smaller model" == entry.what for entry in usual().outlook.not_judged)


def test_without_a_planned_life_a_student_is_timed_and_not_weighed():
    row = of_student(advice_at(lifecycle=None))

    assert (None, None, None) == (row.making, row.break_even, row.pays)
    assert row.because.startswith("give lifecycle") and row.saving_usd_per_month is not None


def test_speed_is_measured_at_batch_one_and_at_the_largest():
    row = of_student(usual())

    assert (2.0, 2.0, 4) == (
        pytest.approx(row.speedup_single.value),
        pytest.approx(row.speedup_largest.value),
        row.largest_batch_size,
    )


def test_quality_is_assumed_and_set_beside_the_floor():
    row = of_student(usual())

    assert row.quality is None and "assumed" == row.retention.basis == row.assumed_drop.basis
    assert 0.9 * (1 - row.retention.value) == pytest.approx(row.assumed_drop.value)
    assert "5 pp allowed" in row.quality_because


def test_of_students_that_likely_hold_the_one_that_saves_most_is_tried_first_and_not_the_deepest_cut():
    deeper = variant("layers-1", lossless=False, student=student("layers-1", blocks=1, parameters=200_000))
    advice = advice_at(1000.0, usd_per_hour=20.0, of=measured(deep=(deeper,)))
    titles = [entry.title for entry in advice.outlook.opportunities if entry.lever == "distil"]

    rows = {row.student.id: row for row in advice.students}
    assert rows["layers-1"].saving_usd_per_month.value > rows["layers-3"].saving_usd_per_month.value
    assert rows["layers-1"].assumed_drop.value > 0.05 >= rows["layers-3"].assumed_drop.value
    assert ["Distill into layers-3: after training, if it holds"] == titles


def test_a_floor_that_no_published_student_kept_leaves_nothing_to_try_and_says_why():
    strict = replace(FLOOR, max_drop=-1.0)  # as if a gain were asked for
    advice = advice_at(1000.0, usd_per_hour=20.0, quality=strict)

    assert not any(entry.lever == "distil" for entry in advice.outlook.opportunities)
    assert any("Distill into a student" == entry.what and "allowed" in entry.reason for entry in advice.outlook.not_judged)


def test_without_published_students_quality_is_not_known_and_said_so():
    row = of_student(advice_at(pairs=()))

    assert row.retention is None and "no publication" in row.quality_because


def test_a_student_that_is_no_faster_saves_nothing():
    level = fixed_cost_law(0.002, 0.008, of_variant={"int8": 0.7})
    of = measured(law=level)

    row = of_student(advice_at(of=of))
    assert row.served is None and "not measurably faster than the model" == row.because


def test_where_nothing_keeps_the_target_a_student_that_would_is_named_and_no_saving_claimed():
    advice = advice_at(20.0, latency_s=0.005)
    row = of_student(advice)

    assert "infeasible" == advice.outcome and row.served is not None
    assert (
        row.saving_usd_per_month is None and "which nothing that may be served does: after training, if it holds" in row.because
    )
    left = {entry.what: entry.reason for entry in advice.outlook.not_judged}
    assert f"layers-3: {row.because}" == left["Distill into a student"] and "Distil into a smaller model" not in left


def test_a_trained_student_that_holds_is_advised_like_any_other_variant():
    advice = advice_at(of=measured(is_trained=True))

    assert "layers-3-int8" == advice.recommended.candidate.variant and "change" == advice.outcome
    assert "layers-3-int8 (a student: 3 of 6 layers)" in advice.headline
    row = of_student(advice)
    assert row.quality is not None and (None, None) == (row.retention, row.making)
    assert not any(entry.lever == "distil" for entry in advice.outlook.opportunities)


def test_a_trained_student_that_loses_too_much_is_not_advised():
    advice = advice_at(of=measured(is_trained=True, holds=False))

    assert not {"layers-3", "layers-3-int8"} & chosen(advice)
    assert of_student(advice).served is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "3 of 6 layers"),
        ({"blocks": 6, "parameters": 250_000}, "6 layers, narrower: 25 % of the parameters"),
        ({"kind": "trees", "blocks": 50, "teacher_blocks": 500}, "50 of 500 trees"),
        ({"kind": "linear", "blocks": None}, "a linear model"),
        ({"kind": "mlp", "blocks": None}, "a small network"),
        ({"kind": "static", "blocks": None}, "vectors of words, averaged"),
        ({"blocks": None, "parameters": 100_000}, "10 % of the parameters"),
    ],
)
def test_students_are_described_by_what_they_keep(changed, words):
    assert words == described(student(**changed))
