"""Sums over devices: none on one, by bytes and links on more."""

import numpy as np
import pytest

from advisor.decide.generation.projection.operations.communication import Communication
from advisor.decide.generation.projection.operations.grounds import foundation_of
from tests.language_models import SHARE, device, lawful_tables

TABLES = lawful_tables()


def seconds(name, degree, elements):
    return float(Communication(foundation_of(device(name), TABLES), degree).all_reduce_s(np.array([2.0 * elements]))[0])


def test_one_device_has_nothing_to_sum():
    assert 0 == seconds("h100_sxm", 1, 1e6)


def test_large_sums_go_at_the_share_of_the_link_that_was_measured():
    elements = 8192 * 8192

    sent = 2 * 7 / 8 * elements * 2

    assert sent / 4.5e11 / SHARE == pytest.approx(seconds("h100_sxm", 8, elements), rel=0.01)


def test_a_bus_is_slower_than_links_by_what_both_carry():
    assert seconds("l4", 4, 1e8) / seconds("h100_sxm", 4, 1e8) == pytest.approx(4.5e11 / 3.2e10, rel=0.05)


def test_small_sums_take_the_start_alone_and_more_devices_send_more():
    assert seconds("h100_sxm", 8, 16) == pytest.approx(seconds("h100_sxm", 8, 32), rel=0.01)
    assert seconds("h100_sxm", 2, 1e8) < seconds("h100_sxm", 4, 1e8) < seconds("h100_sxm", 8, 1e8)
