"""What a student costs to make, by hand: operations over a device's rate, work, labels, and all of it again at each release."""

import pytest
from msgspec.structs import replace

from advisor.decide.advice.outlook import life_served_by
from advisor.decide.distillation.making import lever_of, making_of, trainer_of
from advisor.decide.lifetime.inputs import Market
from advisor.schema.catalog import LifetimeModel
from advisor.schema.workload import Lifecycle, LifeData, LifeFineTuning, LifeOptions, LifeSituation, LifeTeam
from tests.lives import MARKET, device
from tests.profiles import home_of, place, power_law, profile, student, workload
from tests.tell.advice_examples import candidate, prediction

TRAINED_ON = replace(MARKET, training_device=device("a trainer", 4.0, flop_per_s=1e14))
OPTIONS = LifeOptions(student_tokens=1e12)
LIFE = Lifecycle(horizon_months=24.0, team=LifeTeam(engineer_usd_per_day=1000.0), options=OPTIONS)
SERVED = prediction(candidate("fp32"), p99_s=0.03, utilization=0.5)


def made(lifecycle, *, market=TRAINED_ON, of=None, places=()):
    life = life_served_by(SERVED, workload(lifecycle=lifecycle), market, 50.0)
    lever = lever_of(market, life)
    return making_of(of or student(), lever, life, lifecycle, market, trainer_of(lifecycle, market, places))


def test_training_takes_six_operations_a_parameter_and_token_and_two_of_the_teacher_for_each_experiment():
    making = made(LIFE)
    flop = 1e12 * (6 * 0.5e6 + 2 * 1e6) * 3  # three experiments, as the catalog assumes
    hours = flop / (1e14 * 0.4) / 3600

    assert (flop, hours) == pytest.approx((making.flop, making.device_hours.value))
    assert hours * 4.0 + 25 * 1000.0 == pytest.approx(making.once_usd.value) == pytest.approx(making.total_usd.value)
    assert "a trainer" == making.device and 0.0 == making.times_again


def test_each_release_of_the_teacher_makes_it_again_for_a_part_of_the_work():
    once, often = made(LIFE), made(replace(LIFE, fine_tunings_per_year=3.0))

    compute = once.once_usd.value - 25_000.0
    assert 6.0 == often.times_again
    assert compute + 0.2 * 25_000.0 == pytest.approx(often.again_usd.value)
    assert once.total_usd.value + 6 * often.again_usd.value == pytest.approx(often.total_usd.value)


def test_what_is_discounted_is_worth_less_later():
    plan = replace(LIFE, fine_tunings_per_year=3.0)

    assert made(replace(plan, discount_per_year=0.2)).total_usd.value < made(plan).total_usd.value


def test_labels_and_validation_are_paid_each_time_where_they_have_a_price():
    plan = replace(
        LIFE,
        fine_tunings_per_year=1.0,
        options=replace(OPTIONS, student_labels=500.0),
        data=LifeData(usd_per_label=2.0, validation_usd_per_release=300.0),
        situation=LifeSituation(is_regulated=True),
    )
    bare = made(replace(LIFE, fine_tunings_per_year=1.0))
    making = made(plan)

    assert 1300.0 == pytest.approx(making.once_usd.value - bare.once_usd.value)
    assert 1300.0 == pytest.approx(making.again_usd.value - bare.again_usd.value)


def test_labels_without_a_price_are_not_free_but_said_to_be_missing():
    assert "give lifecycle.data.usd_per_label" in made(replace(LIFE, options=replace(OPTIONS, student_labels=500.0))).because


def test_tokens_that_nobody_gave_are_assumed_by_the_parameters_and_make_the_cost_uncertain():
    given, assumed = made(LIFE), made(replace(LIFE, options=None))

    assert given.flop / 1e12 * 10 * 0.5e6 == pytest.approx(assumed.flop)
    wide, narrow = (it.device_hours.high / it.device_hours.low for it in (assumed, given))
    assert wide > narrow > 1


def test_averaged_vectors_and_small_models_take_no_training_that_counts():
    making = made(LIFE, of=student(kind="static", blocks=None))

    assert (None, None, "") == (making.flop, making.device_hours, making.device)
    assert 25_000.0 == pytest.approx(making.once_usd.value)


def test_without_a_device_of_known_rate_the_compute_is_said_to_be_missing():
    making = made(LIFE, market=MARKET)

    assert making.flop is None and "name lifecycle.training_device" in making.because


def test_it_is_trained_where_it_is_served_if_nothing_else_is_named():
    measured = profile(power_law(0.01))
    home = home_of(measured, workload())
    fast = replace(home.hardware, id="fast", peak_flop_per_s={"fp32": 1e12, "bf16": 4e12})

    found = trainer_of(LIFE, MARKET, (place(fast, 2.0),))

    assert ("fast", 4e12, 2.0) == found
    assert ("a trainer", 1e14, 4.0) == trainer_of(LIFE, TRAINED_ON, (place(fast, 2.0),))
    assert 7.0 == trainer_of(replace(LIFE, training_device_usd_per_hour=7.0), TRAINED_ON, ()).usd_per_hour


def test_experiments_that_the_workload_gives_count():
    tuned = LifeFineTuning(fine_tuning_tokens=1.0, experiments_per_release=9.0)

    assert 3 * made(LIFE).flop == pytest.approx(made(replace(LIFE, fine_tuning=tuned)).flop)


def test_a_catalog_that_knows_nothing_of_it_makes_no_student():
    life = life_served_by(SERVED, workload(lifecycle=LIFE), MARKET, 50.0)

    assert lever_of(Market(model=LifetimeModel(constants={}, levers=MARKET.model.levers)), life) is None
    assert lever_of(Market(model=replace(MARKET.model, levers=())), life) is None
