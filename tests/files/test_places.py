"""Claims about prices: which offer is taken, how old it is, and what is not believed of other people's tables."""

import json
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.files.books.price_book import guarded, import_prices, read_price_book
from advisor.files.books.token_book import import_token_prices
from advisor.files.catalog import read_device, read_token_book, read_token_prices
from advisor.files.places import all_prices, places, places_elsewhere
from advisor.schema.catalog import Price, Term
from advisor.schema.profile import Site
from advisor.schema.workload import Baseline, HardwareChoice
from tests.profiles import NOW, on, power_law, profile, workload
from tests.tell.language_examples import workload as chat

SITES = profile(power_law(0.01)).sites
OWN = "provider,region,instance,term,usd_per_hour,date,source\n"


@pytest.fixture(autouse=True)
def _no_book_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def allowing(*names: str, **more: object) -> HardwareChoice:
    return HardwareChoice(allowed=names, price_usd_per_hour={"local": 1.0}, **more)  # type: ignore[arg-type]


def find(choice: HardwareChoice, folder: Path = Path(), sites: tuple[Site, ...] = SITES) -> tuple:  # type: ignore[type-arg]
    """Return the places that the workload allows beside the profiled machine, and what has no price."""
    found = places(msgspec.structs.replace(workload(), hardware=choice), folder / "w.yaml", sites, now=NOW)
    return tuple(place for place in found.allowed if place.hardware.id != "local"), found.exclusions


def price(term: Term, usd: float, *, region: str = "r", instance: str = "m") -> Price:
    return Price(provider="p", region=region, instance=instance, term=term, usd_per_hour=usd, date="2026-11-01", source="a test")


def test_the_cheapest_offer_is_taken_with_its_date_its_age_and_its_source() -> None:
    (found,), unknown = find(allowing("local", "t4"))

    assert 0.526 == found.price_usd_per_hour.value and "list-price" == found.price_usd_per_hour.basis
    assert found.price_is_stale and found.price_date is not None and found.price_date in found.price_usd_per_hour.source
    assert () == unknown


def test_the_provider_is_an_input() -> None:
    (anywhere,), _ = find(allowing("h100_sxm"))
    (azure,), _ = find(allowing("h100_sxm", provider="azure"))

    assert "aws" in anywhere.machine and "azure" in azure.machine
    assert azure.price_usd_per_hour.value / azure.devices > anywhere.price_usd_per_hour.value / anywhere.devices


def test_hardware_without_a_price_is_an_exclusion_with_a_way_out() -> None:
    found, (unknown,) = find(allowing("tpu_v5e"))

    assert () == found and "hardware.price_usd_per_hour.tpu_v5e" in unknown.reason


def test_terms_that_no_list_has_come_from_the_users_price_book(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(OWN + "aws,us-east-1,g4dn.xlarge,spot,0.2,2026-11-20,a bill\n")

    (found,), _ = find(allowing("t4", term="spot", prices="mine.csv"), tmp_path)

    assert (0.2, False) == (found.price_usd_per_hour.value, found.price_is_stale)
    assert "a bill" in found.price_usd_per_hour.source
    assert ((), 1) == (find(allowing("t4", term="spot"))[0], len(find(allowing("t4", term="spot"))[1]))


def test_the_users_own_price_of_a_device_beats_any_list() -> None:
    choice = HardwareChoice(allowed=("t4",), price_usd_per_hour={"local": 1.0, "t4": 0.1})

    (found,), _ = find(choice)

    assert (0.1, None) == (found.price_usd_per_hour.value, found.price_date)


def test_to_a_workload_local_is_the_machine_of_the_profile_whatever_it_is_called() -> None:
    there = (on(profile(power_law(0.01)), read_device("c7i.xlarge")),)

    found = places(workload(), None, there, now=NOW)

    assert ("c7i.xlarge", 1.0) == (found.home.hardware.id, found.home.price_usd_per_hour.value)
    assert (found.home,) == found.allowed


def test_today_may_run_on_any_site_of_the_profile() -> None:
    sites = (*SITES, on(profile(power_law(0.01)), read_device("c7i.xlarge")))
    asked = msgspec.structs.replace(workload(), baseline=Baseline(hardware="c7i.xlarge"))

    found = places(asked, None, sites, now=NOW)

    assert ("c7i.xlarge", ["local"]) == (found.home.hardware.id, [place.hardware.id for place in found.allowed])


def test_a_machine_of_today_without_a_price_is_refused_with_the_key() -> None:
    asked = msgspec.structs.replace(workload(), hardware=HardwareChoice(price_usd_per_hour={"t4": 0.1}))

    with pytest.raises(InputError, match=r"hardware.price_usd_per_hour: no price for 'local'"):
        places(asked, None, SITES, now=NOW)


def test_an_imported_price_is_known_to_every_command_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    book = tmp_path / "data" / "serving-advisor" / "prices.csv"
    (tmp_path / "mine.csv").write_text(OWN + "aws,us-east-1,g4dn.xlarge,on-demand,0.3,2026-11-20,a bill\n")

    import_prices(tmp_path / "mine.csv", layout="own", date="2026-11-22", into=book)

    assert [0.3] == [entry.usd_per_hour for entry in all_prices(None, None) if entry.instance == "g4dn.xlarge"]
    assert 0.3 == find(allowing("t4"))[0][0].price_usd_per_hour.value


def test_a_line_that_is_no_price_is_refused_with_file_and_line(tmp_path: Path) -> None:
    for wrong in ("on-demand,-1,2026-11-20,x", "weekly,1,2026-11-20,x", "spot,1,last week,x", "spot,1,2026-11-20,"):
        (tmp_path / "mine.csv").write_text(f"{OWN}aws,r,m,{wrong}\n")

        with pytest.raises(InputError, match=r"mine.csv: line 2"):
            read_price_book(tmp_path / "mine.csv")


def test_sentinels_sums_beyond_all_machines_and_spot_above_on_demand_are_left_out() -> None:
    rows = [
        price("on-demand", 1.0),
        price("spot", 1.0),
        price("spot", 0.4, region="s"),
        price("on-demand", 700.0, instance="tpu"),
        price("on-demand", 25804.8, instance="pod"),
        price("on-demand", 9.0, region="cn-north-1"),
    ]

    kept, left_out = guarded(rows)

    assert [1.0, 0.4] == [entry.usd_per_hour for entry in kept]
    assert 4 == len(left_out)


def test_tables_that_others_publish_are_read(tmp_path: Path) -> None:
    go = tmp_path / "zz_generated.pricing_aws.go"
    go.write_text(
        'map[string]map[string]float64{\n\t"us-east-1": {\n\t\t// c7i\n\t\t"c7i.xlarge": 0.170000, "g6.xlarge": 0.8,\n\t},\n}\n'
    )
    sky = tmp_path / "gcp" / "vms.csv"
    sky.parent.mkdir()
    sky.write_text("InstanceType,Price,SpotPrice,Region\ntpu-x,700.0,,us-east1\na2,3.0,1.1,us-east1\nb2,2.0,,us-east1\n")
    hunt = tmp_path / "lambdalabs.csv"
    hunt.write_text("instance_name,location,price,spot\ngpu_1x,us-1,2.5,False\ngpu_1x,us-1,3.5,True\n")
    found = {
        layout: import_prices(path, layout=layout, date="2026-11-22", into=tmp_path / f"{layout}.csv")
        for layout, path in (("karpenter", go), ("skypilot", sky), ("gpuhunt", hunt))
    }

    assert [("aws", "us-east-1", "c7i.xlarge", 0.17), ("aws", "us-east-1", "g6.xlarge", 0.8)] == [
        (entry.provider, entry.region, entry.instance, entry.usd_per_hour) for entry in found["karpenter"].prices
    ]
    assert [("a2", 3.0), ("a2", 1.1), ("b2", 2.0)] == [(entry.instance, entry.usd_per_hour) for entry in found["skypilot"].prices]
    assert [2.5] == [entry.usd_per_hour for entry in found["gpuhunt"].prices]
    assert (0, 1, 1) == tuple(len(found[name].left_out) for name in ("karpenter", "skypilot", "gpuhunt"))


def test_prices_of_the_neuron_tables_are_what_three_years_reserved_cost(tmp_path: Path) -> None:
    (tmp_path / "inf2.csv").write_text("Inst. Type,On-Demand hourly rate\nInf2.xlarge,0.328\n")

    (found,) = import_prices(tmp_path / "inf2.csv", layout="neuron", date="2026-08-21", into=tmp_path / "b.csv").prices

    assert ("inf2.xlarge", "reserved", 0.328) == (found.instance, found.term, found.usd_per_hour)


def test_token_prices_of_zero_are_not_known_and_the_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "litellm.json").write_text(
        '{"a": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},'
        '"free": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},'
        '"wrong": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 3, "output_cost_per_token": 15},'
        '"picture": {"mode": "image_generation"}}'
    )
    (tmp_path / "router.json").write_text(
        '{"data": [{"id": "x/y", "pricing": {"prompt": "0.000003", "completion": "0.000015"}},'
        '{"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}]}'
    )
    book = tmp_path / "data" / "serving-advisor" / "token_prices.csv"

    kept, left_out = import_token_prices(tmp_path / "litellm.json", layout="litellm", date="2026-11-22", into=book)
    routed, varying = import_token_prices(tmp_path / "router.json", layout="openrouter", date="2026-11-22", into=book)

    assert [("a", 1.0, 2.0)] == [
        (entry.model, entry.usd_per_million_input_tokens, entry.usd_per_million_output_tokens) for entry in kept
    ]
    assert (2, 1, 1) == (len(left_out), len(routed), len(varying))
    assert {"a", "x/y"} == {entry.model for entry in read_token_book(book)}
    assert {"a", "x/y"} < {entry.model for entry in read_token_prices()}


def test_a_table_of_another_partition_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zz_generated.pricing_aws_cn.go"
    path.write_text('"cn-north-1": {\n"c5.large": 1.0,\n}')

    with pytest.raises(InputError, match="another partition"):
        import_prices(path, layout="karpenter", date="2026-11-22", into=tmp_path / "book.csv")


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as refused:
        read_device("a100_80_smx")

    assert "a100_80_sxm" in (refused.value.hint or "")


def elsewhere(choice: HardwareChoice, folder: Path = Path()) -> tuple:  # type: ignore[type-arg]
    return places_elsewhere(msgspec.structs.replace(chat(), hardware=choice), folder / "w.yaml", now=NOW)


def test_elsewhere_machines_of_each_size_are_offered_the_cheapest_of_it() -> None:
    found, left_out = elsewhere(HardwareChoice(allowed=("l4", "h100_sxm")))

    sizes = [(place.hardware.id, place.devices) for place in found]
    assert [("l4", 1), ("h100_sxm", 1), ("h100_sxm", 8)] == sizes and () == left_out
    assert all(place.price_date is not None and "list-price" == place.price_usd_per_hour.basis for place in found)
    assert found[2].price_usd_per_hour.value > found[1].price_usd_per_hour.value


def test_elsewhere_the_users_own_price_of_a_device_is_the_only_one() -> None:
    [found], _ = elsewhere(HardwareChoice(allowed=("h100_sxm",), price_usd_per_hour={"h100_sxm": 2.5}))

    assert (1, 2.5, None) == (found.devices, found.price_usd_per_hour.value, found.price_date)


def test_elsewhere_is_not_here_and_what_has_no_price_is_left_out_with_a_way_out() -> None:
    found, left_out = elsewhere(HardwareChoice(allowed=("local", "tpu_v5e", "l4"), price_usd_per_hour={"local": 1.0}))

    assert ["l4"] == [place.hardware.id for place in found]
    assert ["local", "tpu_v5e"] == [entry.what for entry in left_out]
    assert "no weights" in left_out[0].reason and "hardware.price_usd_per_hour.tpu_v5e" in left_out[1].reason


ROW = "provider,region,instance,term,usd_per_hour,date,source\naws,r,m,on-demand,{usd},{date},a test\n"
some_days = st.dates(date(2020, 1, 1), date(2026, 11, 28)).map(date.isoformat)


@given(st.lists(st.tuples(some_days, st.floats(0.01, 99)), min_size=1, max_size=6))
def test_of_two_prices_of_a_machine_the_one_of_the_later_day_stays_in_whatever_order_they_are_imported(tmp_path_factory, prices):
    folder = tmp_path_factory.mktemp("book")
    for day, usd in prices:
        (folder / "some.csv").write_text(ROW.format(usd=usd, date=day))
        done = import_prices(folder / "some.csv", layout="own", date=day, into=folder / "book.csv")
        [stands] = read_price_book(folder / "book.csv")
        assert bool(done.prices) == ((stands.date, stands.usd_per_hour) == (day, usd))
        assert done.prices or "has one of" in done.left_out[0]

    [stands] = read_price_book(folder / "book.csv")

    latest = max(day for day, _ in prices)
    assert (latest, [usd for day, usd in prices if day == latest][-1]) == (stands.date, stands.usd_per_hour)


@given(st.lists(st.tuples(some_days, st.floats(0.01, 99)), min_size=1, max_size=6))
def test_of_two_prices_of_a_token_the_one_of_the_later_day_stays(tmp_path_factory, prices):
    folder = tmp_path_factory.mktemp("book")
    for day, usd in prices:
        cost = usd / 1e6
        entry = {"m": {"mode": "chat", "litellm_provider": "p", "input_cost_per_token": cost, "output_cost_per_token": cost}}
        (folder / "some.json").write_text(json.dumps(entry))
        import_token_prices(folder / "some.json", layout="litellm", date=day, into=folder / "book.csv")

    [stands] = read_token_book(folder / "book.csv")

    latest = max(day for day, _ in prices)
    assert latest == stands.date
    assert [usd for day, usd in prices if day == latest][-1] == pytest.approx(stands.usd_per_million_input_tokens)
