"""Whose kernels stand for a device's: its own, those of the nearest one, or none."""

import pytest
from msgspec.structs import replace

from advisor.decide.generation.projection.operations.grounds import (
    BUS_BYTES_PER_S,
    NoGround,
    foundation_of,
    link_bytes_per_s,
    numbers_of,
)
from tests.language_models import RATES, device, lawful_tables

TABLES = lawful_tables()


@pytest.mark.parametrize(
    ("name", "ground", "kernels_of"),
    [
        ("h100_sxm", "kernels", "h100_sxm"),
        ("l40s", "kernels", "l40s"),
        ("l4", "scaled-kernels", "l40s"),
        ("mi300x", "scaled-kernels", "h100_sxm"),
        ("gaudi2", "scaled-kernels", "h100_sxm"),
        ("orin_nano", "roofline", "l40s"),
    ],
)
def test_the_nearest_measured_device_stands_for_one_that_is_near(name, ground, kernels_of):
    found = foundation_of(device(name), TABLES)

    assert (ground, kernels_of) == (found.ground, found.kernels_of)


def test_a_device_of_unknown_rates_has_no_ground():
    without = replace(device("l4"), memory_bandwidth_bytes_per_s=None, peak_flop_per_s={})

    with pytest.raises(NoGround, match=r"l4: .*bandwidth of its memory and its rate in bf16") as raised:
        foundation_of(without, TABLES)

    assert "profile it" in raised.value.hint


def test_weights_are_unpacked_where_a_device_does_not_compute_in_their_numbers():
    assert ("fp8", False) == (numbers_of("fp8", device("h100_sxm")).computed_in, numbers_of("fp8", device("h100_sxm")).unpacks)

    on_a100 = numbers_of("fp8", device("a100_80_sxm"))
    assert ("bf16", True, 1.0) == (on_a100.computed_in, on_a100.unpacks, on_a100.weight_bytes)
    assert numbers_of("int4", device("h100_sxm")).unpacks


def test_devices_are_linked_as_they_were_measured_or_named_or_by_a_bus():
    links = [link_bytes_per_s(device(name), TABLES) for name in ("h100_sxm", "a100_80_sxm", "rtx4090")]

    assert [RATES["h100_sxm"].link_bytes_per_s, 3e11, BUS_BYTES_PER_S] == links


def test_an_operation_that_was_not_measured_on_a_device_is_that_of_the_nearest_that_has_it():
    grids = {key: grid for key, grid in TABLES.grids.items() if key[:2] != ("l40s", "context_mla")}
    foundation = foundation_of(device("l40s"), TABLES._replace(grids=grids))

    found = foundation.find("context_mla", "fp8", "bf16")

    assert found is not None
    assert ("h100_sxm", "bf16") == (found.device, found.precision)
    assert foundation.find("gemm", "fp4") is None


def test_kernels_of_the_same_maker_come_before_nearer_ones_of_another():
    nearer = replace(RATES["l40s"], maker="Intel", memory_bandwidth_bytes_per_s=4.56e11, flop_per_s={"bf16": 9.83e13})
    both = lawful_tables(measured=RATES | {"arcprob60": nearer})

    assert "l40s" == foundation_of(device("l4"), both).kernels_of
