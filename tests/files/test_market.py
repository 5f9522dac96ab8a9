"""What a device costs: the user's price before a book of the user's, and any book before the list."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.lifetime.given import GIVEN
from advisor.errors import InputError
from advisor.files import catalog
from advisor.files.market import lifetime_model, market_of
from advisor.schema.workload import HardwareChoice, Lifecycle, LifeModel, LifeOptions, LifeRequest, LifeServing

HEADER = "provider,region,instance,term,usd_per_hour,date,source\n"
PLANNED = Lifecycle(serving=LifeServing(device="h100_sxm"), options=LifeOptions(alternative_devices=("l4", "tpu_v6e")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the workload, and a home of the user's without a book."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def book(path, **prices):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (f"mine,here,{name},on-demand,{usd},2026-11-01,a test\n" for name, usd in prices.items())
    path.write_text(HEADER + "".join(rows))


def prices(market):
    return {device.id: device.usd_per_hour and device.usd_per_hour.value for device in (market.device, *market.others)}


def test_without_a_price_of_the_user_s_the_list_counts_and_what_is_not_in_it_is_unknown(folder):
    found = prices(market_of(PLANNED, beside=folder))

    assert found["h100_sxm"] and found["l4"] and found["tpu_v6e"] is None


def test_a_book_of_the_user_s_beats_the_list_however_low_that_is(folder):
    book(folder / "home" / "serving-advisor" / "prices.csv", l4=99.0, tpu_v6e=2.7)

    found = prices(market_of(PLANNED, beside=folder))

    assert (99.0, 2.7) == (found["l4"], found["tpu_v6e"])


def test_the_book_that_a_workload_names_beats_that_of_the_user(folder):
    book(folder / "home" / "serving-advisor" / "prices.csv", l4=99.0, tpu_v6e=2.7)
    book(folder / "own.csv", l4=50.0)

    found = prices(market_of(PLANNED, HardwareChoice(prices="own.csv"), beside=folder))

    assert (50.0, 2.7) == (found["l4"], found["tpu_v6e"])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(catalog.hardware_names()), st.floats(1e-3, 1e3))
def test_a_price_that_the_user_gives_always_wins(tmp_path_factory, name, usd):
    folder = tmp_path_factory.mktemp("own")
    book(folder / "own.csv", **{name: usd * 2})
    asked = HardwareChoice(prices="own.csv", price_usd_per_hour={name: usd})

    planned = Lifecycle(serving=LifeServing(device=name), options=LifeOptions(alternative_devices=(name,)), training_device=name)
    market = market_of(planned, asked, beside=folder)

    for device in (market.device, market.training_device, *market.others):
        assert (usd, usd, usd) == (device.usd_per_hour.value, device.usd_per_hour.low, device.usd_per_hour.high)
        assert device.usd_per_hour.source.what == GIVEN


def test_a_book_that_is_not_there_is_refused_by_its_key(folder):
    with pytest.raises(InputError, match=r"hardware\.prices: .*none\.csv: no such file"):
        market_of(PLANNED, HardwareChoice(prices="none.csv"), beside=folder)


def test_an_unmeasured_device_is_taken_to_reach_what_is_measured_of_none():
    model = lifetime_model()

    assert set(model.device_mfu) - {"unmeasured"} <= set(catalog.hardware_names())
    assert all(0 < share.low <= share.value <= share.high <= 1 for share in model.serving_mfu.values())


# --- the device that nobody named ------------------------------------------------------------------------------------------

UNNAMED = Lifecycle(model=LifeModel(parameters=8e9), request=LifeRequest(input_tokens=1000.0))


def test_what_shares_of_the_peak_are_compared_with_is_the_device_of_the_catalog():
    constants, h100 = lifetime_model().constants, catalog.read_device("h100_sxm")

    assert constants["reference_serving_flop_per_s"].value == h100.peak_flop_per_s["fp8"]
    assert constants["reference_bandwidth_bytes_per_s"].value == h100.memory_bandwidth_bytes_per_s


@pytest.mark.parametrize(
    ("asked", "usd"),
    [
        (HardwareChoice(), 3.99),
        (HardwareChoice(provider="azure", region="eastus"), 98.32 / 8),
        (HardwareChoice(price_usd_per_hour={"h100_sxm_8x": 2.5}), 2.5),
        (HardwareChoice(prices="own.csv"), 1.25),
    ],
)
def test_a_device_that_is_not_named_costs_what_it_costs_when_it_is(folder, asked, usd):
    book(folder / "own.csv", h100_sxm_8x=1.25)
    name = lifetime_model().default_device
    named = msgspec.structs.replace(UNNAMED, serving=LifeServing(device=name))

    unnamed, there = (market_of(planned, asked, beside=folder) for planned in (UNNAMED, named))

    assert usd == pytest.approx(unnamed.device.usd_per_hour.value)
    assert unnamed == msgspec.structs.replace(there, is_device_assumed=True)


def test_a_device_that_nobody_named_is_taken_from_where_it_is_for_rent():
    found = market_of(UNNAMED, HardwareChoice(provider="aws", region="eu-west-9", term="spot")).device

    assert (3.99, "lambda") == (found.usd_per_hour.value, found.usd_per_hour.source.what.split()[0])


def test_what_needs_no_device_reads_none():
    assert market_of(Lifecycle(serving=LifeServing(serving_usd_per_hour=1.0))).device is None
