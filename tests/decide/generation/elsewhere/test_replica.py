"""Replicas that may be had: at their price, in what was accepted, each made once, and the others left out with a reason."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.replica import Offers
from advisor.decide.generation.elsewhere.speculation import choices
from advisor.decide.generation.service.step_time import DRAWS
from advisor.schema.workload import SpeculationAsked
from tests.elsewhere_models import DENSE, EXPERTS, Steps, device, offers_of, place


def test_a_replica_costs_its_devices_part_of_the_machine():
    replicas = offers_of(places=[place(usd_per_hour=2.0, devices=8)]).replicas(())

    assert {1: 2.0, 2: 4.0, 4: 8.0, 8: 16.0} == {each.setting.tensor_parallel: each.price for each in replicas}


def test_of_several_machines_the_cheapest_is_rented_that_has_enough_devices():
    small, large = place(usd_per_hour=1.5, devices=1), place(usd_per_hour=2.0, devices=8)

    prices = {each.setting.tensor_parallel: each.price for each in offers_of(places=[small, large]).replicas(())}

    assert (1.5, 4.0) == (prices[1], prices[2])


def test_a_machine_of_the_catalogs_size_is_spanned_at_the_price_of_one_device():
    prices = {
        each.setting.tensor_parallel: each.price for each in offers_of(places=[place(usd_per_hour=2.0, devices=1)]).replicas(())
    }

    assert {1: 2.0, 2: 4.0, 4: 8.0, 8: 16.0} == prices


def test_a_replica_is_made_once_whoever_asks():
    offers = offers_of()

    assert all(one is other for one, other in zip(offers.replicas(()), offers.replicas(()), strict=True))
    assert {each.setting for each in offers.replicas(())} < {each.setting for each in offers.replicas(("fp8",))}


def test_a_device_without_ground_is_left_out_and_the_others_stay():
    bare = device("bare", memory_bandwidth_bytes_per_s=None)
    offers = offers_of(places=[place(bare), place()])

    found = offers.replicas(())

    assert {"card"} == {each.setting.device for each in found}
    assert ["bare"] == [entry.what for entry in offers.without_ground]
    assert "nothing says how long steps take" in offers.exclusions[0].reason


def test_degrees_that_do_not_hold_the_model_are_named_with_the_last_ones_reason():
    offers = offers_of(places=[place(devices=8), place(device("large", memory_bytes=170e9), devices=8)], model=EXPERTS)

    found = offers.replicas(())

    assert {("large", 8)} == {(each.setting.device, each.setting.tensor_parallel) for each in found}
    reasons = {entry.what: entry.reason for entry in offers.exclusions}
    assert {"card, fp8 weights, tensor parallel 1, 2, 4, 8", "large, fp8 weights, tensor parallel 1, 2, 4"} == set(reasons)
    assert all(reason.startswith("memory: the fp8 weights take") for reason in reasons.values())


def test_draws_go_from_quick_to_slow_and_hold_what_is_accepted():
    choice = choices(DENSE, SpeculationAsked(acceptance=(0.5, 0.9), draft_tokens=3), ())[0]
    replicas = offers_of().replicas((), (choice,))
    plain, drafted = (
        next(each for each in replicas if each.setting.tensor_parallel == 1 and each.setting.speculation is which)
        for which in (None, choice)
    )

    def step_s(replica, index):
        return float(replica.costs(replica.space[0], index).fixed_s("mixed", 1)[0])

    for replica in (plain, drafted):
        assert (np.diff([step_s(replica, index) for index in range(DRAWS)]) > 0).all()
    assert step_s(drafted, DRAWS - 1) / step_s(drafted, 0) > 1.3 * step_s(plain, DRAWS - 1) / step_s(plain, 0)


def test_what_devices_draw_is_that_of_a_replica_and_unknown_where_nobody_says():
    two = next(each for each in offers_of().replicas(()) if each.setting.tensor_parallel == 2)
    silent = offers_of(places=[place(replace(device(), power_watts=None))]).replicas(())[0]

    assert two.watts().value == pytest.approx(2 * 700 * 0.7)
    assert silent.watts() is None


def test_no_place_offers_nothing():
    offers = offers_of()

    assert [] == Offers(DENSE, (), offers.demand, offers.replicas(())[0].slo, Steps).replicas(())
