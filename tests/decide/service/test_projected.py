"""Claims about hardware that the profile was not measured on."""

import msgspec
import pytest

from advisor.decide.advice.advise import advise
from advisor.decide.advice.sites import NOTHING_KNOWN, under_load
from advisor.decide.lifetime.inputs import Market
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.projected import memory_bytes, precision_of
from advisor.errors import InputError
from advisor.files.catalog import machine_as_hardware, read_hardware, read_public_measurements
from advisor.schema.advice import Advice, Place
from advisor.schema.catalog import PublicMeasurements
from advisor.schema.model import OperatorFacts
from advisor.schema.profile import Profile, Variant
from advisor.schema.record import Estimate
from advisor.schema.workload import EnergyChoice, HardwareChoice, Lifecycle, LifeTeam, OnlineWorkload
from tests import profiles
from tests.lives import MARKET
from tests.profiles import fixed_cost_law, power_law, profile, variant, with_site, workload

DEVICES = read_hardware()
PUBLIC = read_public_measurements()


def place(name: str, usd_per_hour: float = 0.5, *, devices: int = 1, stale: bool = False) -> Place:
    return Place(
        hardware=DEVICES[name],
        machine=f"{name} of a test",
        devices=devices,
        price_usd_per_hour=Estimate(value=usd_per_hour, low=usd_per_hour, high=usd_per_hour, basis="list-price", source="a test"),
        price_date="2026-01-01",
        price_is_stale=stale,
        carbon=None,
    )


def measured(seconds: float = 0.02, *, flop: float = 1e9, variants: tuple[Variant, ...] = (variant(),)) -> Profile:
    made = profile(fixed_cost_law(seconds / 10, seconds), variants=variants, settings=((1, 1), (2, 1), (1, 2)))
    work = OperatorFacts(type="MatMul", count=50, flop_per_item=flop, activation_bytes_per_item=1e6, weight_bytes=4_000_000)
    machine = msgspec.structs.replace(made.sites[0].machine, cpu="Intel", instruction_sets=("avx2", "avx512f", "avx512_vnni"))
    model = msgspec.structs.replace(made.model, operators=(work,), flop_per_item=flop, activation_bytes_per_item=1e6)
    made = msgspec.structs.replace(made, model=model)
    return with_site(made, machine=machine, hardware=machine_as_hardware(machine, profiles.PROCESSORS))


def at(where: Place, of: Profile, public: PublicMeasurements = PUBLIC) -> SiteUnderLoad:
    """Return other hardware than the profile's first machine under a workload."""
    (site,) = under_load(of, profiles.request(workload(), of, places=(where,), public=public), None).allowed
    return site


def ask(
    asked: OnlineWorkload, *places: Place, of: Profile | None = None, market: Market = NOTHING_KNOWN, **more: object
) -> Advice:
    allowed = ("local", *(entry.hardware.id for entry in places))
    choice = HardwareChoice(allowed=allowed, price_usd_per_hour=asked.hardware.price_usd_per_hour)
    asked = msgspec.structs.replace(asked, hardware=choice, **more)
    of = of or measured()
    home = profiles.home_of(of, asked)
    if asked.energy is not None and asked.energy.local_power_watts is not None:
        watts = asked.energy.local_power_watts
        told = Estimate(value=watts, low=watts, high=watts, basis="assumed", source="a test")
        home = msgspec.structs.replace(home, busy_watts=told)
    request = profiles.request(asked, of, home=home, places=(home, *places), public=PUBLIC, market=market)
    return advise(of, request, None)


def test_every_figure_of_the_ranking_says_measured_or_projected() -> None:
    advice = ask(workload(latency_s=1.0), place("t4"), place("c7i.xlarge", 0.2))

    grounds = {entry.hardware: entry.ground for entry in advice.places}
    bases = {entry.hardware: entry.prediction.latency_slo_s.basis for entry in advice.places}

    assert {"local": "measured", "t4": "roofline", "c7i.xlarge": "roofline"} == grounds
    assert {"local": "simulated", "t4": "projected", "c7i.xlarge": "projected"} == bases


def test_the_ranking_is_by_cost_and_what_misses_the_target_comes_last() -> None:
    advice = ask(workload(latency_s=1.0), place("t4", 5.0), place("l4", 0.01), place("c7i.xlarge", 0.2))
    costs = [entry.prediction.cost_usd_per_hour.value for entry in advice.places if entry.prediction.meets_slo]

    assert sorted(costs) == costs
    assert "l4" == advice.places[0].hardware
    assert advice.recommended is not None and "l4" == advice.recommended.candidate.hardware
    assert sorted((not entry.prediction.meets_slo) for entry in advice.places) == [
        not e.prediction.meets_slo for e in advice.places
    ]


def test_a_projected_device_is_judged_at_the_upper_end_of_its_interval() -> None:
    relaxed = ask(workload(latency_s=1.0, requests_per_s=5.0), place("t4", 0.01))
    told = next(entry for entry in relaxed.places if entry.hardware == "t4").prediction
    tight = told.latency_slo_s.value * 1.2  # the middle would keep it, the upper end does not

    advice = ask(workload(latency_s=tight, requests_per_s=5.0), place("t4", 0.01))
    there = next(entry for entry in advice.places if entry.hardware == "t4").prediction

    assert told.latency_slo_s.high > tight
    assert not there.meets_slo or there.latency_slo_s.high <= tight


def test_the_same_hardware_at_a_lower_price_is_never_the_worse_answer() -> None:
    dear, cheap = (ask(workload(latency_s=1.0), place("t4", usd)) for usd in (0.9, 0.3))

    assert dear.recommended is not None and cheap.recommended is not None
    assert cheap.recommended.cost_usd_per_hour.value <= dear.recommended.cost_usd_per_hour.value


def test_what_was_measured_there_beats_a_projection() -> None:
    base = measured()
    merged = msgspec.structs.replace(base, sites=(*base.sites, profiles.on(measured(0.001), DEVICES["c7i.xlarge"])))

    advice = ask(workload(latency_s=1.0), place("c7i.xlarge", 0.2), of=merged)

    entry = next(entry for entry in advice.places if entry.hardware == "c7i.xlarge")
    assert ("measured", "simulated") == (entry.ground, entry.prediction.latency_slo_s.basis)
    assert entry.prediction.latency_p50_s.value < 0.005


def test_from_a_gpu_that_was_measured_another_is_projected_by_the_ratio_of_public_models_on_both() -> None:
    base = measured()
    merged = msgspec.structs.replace(base, sites=(*base.sites, profiles.on(measured(0.001), DEVICES["t4"])))
    model = msgspec.structs.replace(
        PUBLIC.series[0], family="", framework="onnx runtime", precision="fp32", scenario="", devices=1
    )
    known = [
        msgspec.structs.replace(
            model,
            model=name,
            batch_size=4.0,
            sequence_length=None,
            output_length=None,
            flop_per_item=1e9,
            activations_per_item=2.5e5,
            parameters=1e6,
            items_per_s={"t4": 900.0, "l4": 1800.0},
        )
        for name in "abc"
    ]
    public = msgspec.structs.replace(PUBLIC, series=tuple(known))

    site = at(place("l4"), merged, public)
    (grid,) = site.grids.values()

    assert "anchored" == site.ground
    assert (0.0001 + 0.001) / 2 == pytest.approx(grid.medians[0][0].value, rel=1e-6)
    assert grid.medians[0][0].low < grid.medians[0][0].value < grid.medians[0][0].high


def test_a_precision_that_the_device_lacks_is_an_exclusion() -> None:
    int8 = msgspec.structs.replace(variant("int8", lossless=True), changed_operators={"MatMulInteger": 3})

    advice = ask(workload(latency_s=1.0), place("v100_16"), of=measured(variants=(variant(), int8)))

    assert "int8" == precision_of(measured().model, int8)
    assert any(entry.what == "int8 on v100_16" and "no int8 rate" in entry.reason for entry in advice.exclusions)


@pytest.mark.parametrize(
    ("added", "precision"), [("QLinearAdd", "int8"), ("MatMulIntegerToFloat", "int8"), ("DequantizeLinear", "fp32")]
)
def test_a_variant_counts_as_int8_if_it_computes_in_bytes_and_not_if_it_only_stores_them(added: str, precision: str) -> None:
    given = msgspec.structs.replace(variant("given"), changed_operators={added: 2})

    assert precision == precision_of(measured().model, given)


def test_memory_is_checked_before_speed() -> None:
    huge = msgspec.structs.replace(variant(), bytes=20_000_000_000)

    advice = ask(workload(latency_s=1.0), place("t4"), of=measured(variants=(huge,)))

    assert ["local"] == [entry.hardware for entry in advice.places]
    assert any(entry.what == "fp32 on t4" and "memory" in entry.reason for entry in advice.exclusions)


def test_a_batch_that_does_not_fit_is_not_projected() -> None:
    of = measured()
    wide = msgspec.structs.replace(of, model=msgspec.structs.replace(of.model, activation_bytes_per_item=4e9))

    (grid,) = at(place("t4"), wide).grids.values()

    assert grid.max_batch_size == 4
    assert memory_bytes(wide.model, wide.sites[0].variants[0], "gpu", 8, None) > (DEVICES["t4"].memory_bytes or 0)


def test_hardware_of_a_kind_that_nobody_held_back_is_an_exclusion_with_a_way_out() -> None:
    advice = ask(workload(latency_s=1.0), place("tpu_v5e"))

    assert any(entry.what == "tpu_v5e" and "cannot measure there" in entry.reason for entry in advice.exclusions)


def test_a_model_whose_operations_are_not_known_is_not_projected() -> None:
    advice = ask(workload(latency_s=1.0), place("t4"), place("c7i.xlarge"), of=profile(power_law(0.01)))

    assert ["local"] == [entry.hardware for entry in advice.places]
    assert {"t4", "c7i.xlarge"} == {entry.what for entry in advice.exclusions if "operations" in entry.reason}


def test_a_machine_with_eight_devices_serves_with_eight_instances() -> None:
    assert {("fp32", 1, 8)} == set(at(place("a100_40_sxm", 22.0, devices=8), measured()).grids)


def test_an_old_price_is_flagged_in_the_advice() -> None:
    advice = ask(workload(latency_s=1.0), place("t4", 0.01, stale=True))

    assert any("90 days" in note for note in advice.notes)
    assert any("price" in risk for risk in advice.risks)


def test_energy_as_the_objective_ranks_by_joules() -> None:
    advice = ask(
        workload(latency_s=1.0),
        place("t4", 9.0),
        place("h100_sxm", 0.01),
        energy=EnergyChoice(objective="energy", local_power_watts=500.0),
    )
    joules = [entry.prediction.energy_joules_per_request for entry in advice.places]

    assert all(joules) and advice.recommended is not None
    assert sorted(entry.value for entry in joules if entry) == [entry.value for entry in joules if entry]
    assert "t4" == advice.recommended.candidate.hardware


def test_hardware_over_the_limit_on_energy_is_ruled_out_and_unknown_power_keeps_no_limit() -> None:
    advice = ask(workload(latency_s=1.0), place("h100_sxm", 0.01), energy=EnergyChoice(max_joules_per_request=0.001))

    assert advice.recommended is None
    assert {"local", "h100_sxm"} <= {entry.what for entry in advice.exclusions if entry.reason.startswith("energy")}


def test_a_busier_server_takes_less_energy_a_request() -> None:
    quiet, busy = (
        ask(workload(rate, latency_s=1.0), place("t4", 0.01), energy=EnergyChoice(power_usage_effectiveness=1.2)).places[0]
        for rate in (2.0, 20.0)
    )
    joules = [entry.prediction.energy_joules_per_request for entry in (quiet, busy)]

    assert joules[0] is not None and joules[1] is not None
    assert joules[1].value < joules[0].value and joules[1].low < joules[1].value < joules[1].high


def test_a_month_and_a_million_requests_cost_what_the_hours_cost() -> None:
    told = ask(workload(10.0, latency_s=1.0), place("t4", 0.01)).baseline

    assert told.cost_usd_per_month is not None and told.cost_usd_per_month.value == pytest.approx(
        730 * told.cost_usd_per_hour.value
    )
    assert told.cost_usd_per_million_requests.value == pytest.approx(told.cost_usd_per_hour.value / 3600 / 10 * 1e6)


def test_only_hardware_that_cannot_be_evaluated_is_refused_with_the_reasons() -> None:
    of = measured()
    request = profiles.request(workload(), of, places=(place("tpu_v5e"),), public=PUBLIC)

    with pytest.raises(InputError, match="none of it can be evaluated"):
        advise(of, request, None)


def test_a_model_that_was_given_in_8_bit_integers_is_not_projected_as_one_in_floats() -> None:
    of = measured()
    operators = (*of.model.operators, msgspec.structs.replace(of.model.operators[0], type="QLinearConv", count=3))
    quantized = msgspec.structs.replace(of, model=msgspec.structs.replace(of.model, operators=operators, already_quantized=True))

    advice = ask(workload(latency_s=1.0), place("v100_16"), of=quantized)

    assert "int8" == precision_of(quantized.model, quantized.sites[0].variants[0])
    assert any(entry.what == "fp32 on v100_16" and "no int8 rate" in entry.reason for entry in advice.exclusions)


def test_a_variant_that_one_machine_alone_has_is_projected_from_there() -> None:
    base = measured()
    there = measured(0.01, variants=(variant(), variant("opt")))
    merged = msgspec.structs.replace(base, sites=(*base.sites, profiles.on(there, DEVICES["c7i.xlarge"])))

    found = at(place("c7g.xlarge"), merged)

    assert {"fp32", "opt"} == {name for name, _, _ in found.grids}


def test_where_a_move_takes_more_work_than_it_saves_nothing_is_changed_and_the_ranking_still_told() -> None:
    planned = Lifecycle(horizon_months=1.0, team=LifeTeam(engineer_usd_per_day=1e6))
    asked = msgspec.structs.replace(workload(latency_s=1.0, usd_per_hour=5.0), lifecycle=planned)

    # Twice as many cores as here: settings there are none of here.
    advice = ask(asked, place("c7i.2xlarge", 0.001), market=MARKET)

    assert advice.places[0].hardware == "c7i.2xlarge"
    assert ("keep", "local") == (advice.outcome, advice.recommended.candidate.hardware)
