"""The sentences of advice elsewhere."""

import pytest
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.prediction import predict
from advisor.decide.generation.elsewhere.wording import described, risks
from advisor.decide.generation.search import Chosen
from advisor.decide.generation.wording import asked
from advisor.schema.workload import Traffic
from tests.elsewhere_models import PLAIN, chat, offers_of, place


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (PLAIN, "2 x card, bf16 weights"),
        (replace(PLAIN, replicas=3, weights="fp8", kv="fp8"), "3 x (2 x card), fp8 weights and fp8 cache"),
    ],
)
def test_a_deployment_is_told_by_its_replicas_devices_and_precisions(deployment, expected):
    assert expected == described(deployment)


def test_the_load_is_told_as_a_rate_or_as_clients():
    assert "5 /s" == asked(offers_of(chat(5.0)).demand)
    assert "16 clients side by side" == asked(offers_of(chat(traffic=Traffic(clients=16))).demand)


def test_devices_that_make_no_whole_machine_are_told_with_what_whole_ones_cost():
    offers = offers_of(places=[place(usd_per_hour=2.0, devices=8)])
    replica = next(each for each in offers.replicas(()) if each.setting.tensor_parallel == 4)

    odd, even = (" ".join(risks(predict(Chosen(replica, replica.space[0], replicas), 1.0), offers.demand)) for replicas in (3, 2))

    assert "12 devices at their part of the price: whole, a test has 8, and 2 machines cost $32" in odd
    assert "part of the price" not in even


def test_what_nobody_tried_and_what_has_no_kernels_of_its_own_is_a_risk():
    offers = offers_of(places=[place(devices=1)])
    replica = next(each for each in offers.replicas(()) if each.setting.tensor_parallel == 2)

    found = " ".join(risks(predict(Chosen(replica, replica.space[0], 1), 1.0, with_capacity=True), offers.demand))

    for part in ("not tried", "nobody measured kernels on card", "a single replica", "the price of 2 in one machine", "headroom"):
        assert part in found
