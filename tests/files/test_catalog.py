"""Claims about the catalog that comes with advisor, and about reading it."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from advisor.errors import InputError
from advisor.files.catalog import (
    age_days,
    carbon_of,
    device_ids,
    is_stale,
    machine_as_hardware,
    numbers_of,
    read_acceptance_lengths,
    read_carbon,
    read_device,
    read_distilled_pairs,
    read_hardware,
    read_instances,
    read_priced_device,
    read_prices,
    read_processors,
    read_public_measurements,
    read_token_prices,
)
from advisor.schema.catalog import Hardware
from advisor.schema.profile import Machine

CATALOG = Path(__file__).parents[2] / "advisor" / "catalog"
DEVICES = read_hardware()
TABLES = {
    "instances.csv": read_instances,
    "prices.csv": read_prices,
    "token_prices.csv": read_token_prices,
    "carbon.csv": read_carbon,
    "acceptance_lengths.csv": read_acceptance_lengths,
    "distillation.csv": read_distilled_pairs,
}
# From the coarser precision to the finer one, on chips that have both. Not int8 against the rest: the B300 cut it down.
FASTER = (
    ("fp16", "fp32"),
    ("bf16", "fp32"),
    ("tf32", "fp32"),
    ("fp16", "tf32"),
    ("fp8", "fp16"),
    ("fp8", "bf16"),
    ("fp4", "fp8"),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Return a copy of the catalog that may be spoilt."""
    return Path(shutil.copytree(CATALOG, tmp_path / "catalog"))


def test_the_catalog_has_devices_of_every_kind() -> None:
    assert len(DEVICES) >= 45
    assert {"gpu", "tpu", "accelerator", "cpu", "edge"} == {device.kind for device in DEVICES.values()}


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.id)
def test_without_the_source_of_any_one_number_a_device_is_refused(device: Hardware, tmp_path: Path) -> None:
    tree = yaml.safe_load((CATALOG / "hardware" / f"{device.id}.yaml").read_text(encoding="utf-8"))

    for number in numbers_of(device):
        kept = [entry | {"covers": [name for name in entry["covers"] if name != number]} for entry in tree["sources"]]
        spoilt = tree | {"sources": [entry for entry in kept if entry["covers"]]}
        (tmp_path / f"{device.id}.yaml").write_text(yaml.safe_dump(spoilt), encoding="utf-8")

        with pytest.raises(InputError, match=rf"no source covers .*{re.escape(number)}|sources: "):
            read_hardware(tmp_path)


@pytest.mark.parametrize("field", ["what", "date"])
def test_a_source_without_a_name_or_a_date_is_refused(field: str, tmp_path: Path) -> None:
    tree = yaml.safe_load((CATALOG / "hardware" / "t4.yaml").read_text(encoding="utf-8"))
    del tree["sources"][0][field]
    (tmp_path / "t4.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")

    with pytest.raises(InputError, match=field):
        read_hardware(tmp_path)


@pytest.mark.parametrize("name", TABLES)
def test_without_the_source_of_any_one_row_a_table_is_refused(name: str, catalog: Path) -> None:
    path = catalog / name
    lines = path.read_text(encoding="utf-8").splitlines()

    for line in range(1, len(lines), 7):
        spoilt = [*lines[:line], lines[line].rpartition(",")[0] + ",", *lines[line + 1 :]]
        path.write_text("\n".join(spoilt) + "\n", encoding="utf-8")

        with pytest.raises(InputError, match=f"line {line + 1}: no source"):
            TABLES[name](catalog)


def test_without_an_entry_in_the_list_of_sources_every_table_that_leans_on_it_is_refused(catalog: Path) -> None:
    path = catalog / "sources.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in range(1, len(lines)):
        path.write_text("\n".join([*lines[:line], *lines[line + 1 :]]) + "\n", encoding="utf-8")

        refused = [name for name, read in TABLES.items() if _is_refused(read, catalog)]

        assert len(refused) == 1


def test_without_the_source_of_any_one_publisher_public_measurements_are_refused(tmp_path: Path) -> None:
    tree = json.loads((CATALOG / "projection.json").read_text(encoding="utf-8"))

    for family in tree["sources"]:
        spoilt = tree | {"sources": {name: of for name, of in tree["sources"].items() if name != family}}
        (tmp_path / "projection.json").write_text(json.dumps(spoilt), encoding="utf-8")

        with pytest.raises(InputError, match=f"no source of {family}"):
            read_public_measurements(tmp_path / "projection.json")


def test_without_the_source_of_a_machine_of_theirs_public_measurements_are_refused(tmp_path: Path) -> None:
    tree = json.loads((CATALOG / "projection.json").read_text(encoding="utf-8"))
    tree["machines"][0]["sources"][0]["covers"].pop()
    (tmp_path / "projection.json").write_text(json.dumps(tree), encoding="utf-8")

    with pytest.raises(InputError, match="no source covers"):
        read_public_measurements(tmp_path / "projection.json")


def _is_refused(read: Callable[[Path], object], folder: Path) -> bool:
    try:
        read(folder)
    except InputError:
        return True
    return False


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.id)
def test_a_coarser_precision_is_never_slower(device: Hardware) -> None:
    rates = device.peak_flop_per_s

    assert [] == [(fast, slow) for fast, slow in FASTER if fast in rates and slow in rates and rates[fast] < rates[slow]]


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.id)
def test_rates_are_of_a_magnitude_that_a_chip_can_have(device: Hardware) -> None:
    dense = device.peak_flop_per_s.values()

    assert all(1e11 <= rate <= 2e16 for rate in dense)
    assert device.memory_bytes is None or 2e8 <= device.memory_bytes <= 4e11
    assert device.memory_bandwidth_bytes_per_s is None or 1e10 <= device.memory_bandwidth_bytes_per_s <= 1e14
    assert device.power_watts is None or 5 <= device.power_watts <= 2000


def test_a_larger_size_of_a_family_has_more_of_everything() -> None:
    for family in {device.id.partition(".")[0] for device in DEVICES.values() if "." in device.id}:
        small, large = DEVICES[f"{family}.xlarge"], DEVICES[f"{family}.4xlarge"]

        assert 4 == pytest.approx(large.memory_bytes / small.memory_bytes)
        assert 4 == large.cores / small.cores
        assert 4 == pytest.approx(large.peak_flop_per_s["fp32"] / small.peak_flop_per_s["fp32"], rel=0.02)


def test_every_machine_that_is_offered_has_a_price_and_every_price_is_of_a_machine_that_is_offered() -> None:
    offered = {(offer.provider, offer.instance) for device in DEVICES.values() for offer in device.offers}

    assert offered == {(price.provider, price.instance) for price in read_prices()}


def test_tables_hold_nothing_whose_licence_forbids_to_pass_it_on() -> None:
    with (CATALOG / "sources.csv").open(encoding="utf-8") as file:
        licences = {row["id"]: row["licence"] for row in csv.DictReader(file)}
    # A single price is a fact that anybody may cite; a table of them is somebody's work.
    cited = {id_ for id_, licence in licences.items() if licence == "one figure cited"}
    with (CATALOG / "prices.csv").open(encoding="utf-8") as file:
        sources = [row["source"] for row in csv.DictReader(file)]

    expected = {"Apache-2.0", "CC-BY-4.0", "MIT", "MIT; CC-BY-4.0", "one figure cited", "figures cited"}
    assert expected == set(licences.values())
    assert dict.fromkeys(cited, 1) == {id_: sources.count(id_) for id_ in cited}


def test_no_price_has_a_date_that_is_none() -> None:
    days = {price.date for price in (*read_prices(), *read_token_prices())}

    assert all(date(2020, 1, 1) < date.fromisoformat(day) for day in days)


def test_a_price_is_stale_after_ninety_days() -> None:
    assert not is_stale("2026-06-01", "2026-08-30T00:00:00+00:00")
    assert is_stale("2026-06-01", "2026-08-31T00:00:00+00:00")
    assert 31 == age_days("2026-07", "2026-08-01")


@pytest.mark.parametrize(
    ("name", "device"),
    [
        *(("t4", "t4"), ("T4", "t4"), ("Tesla T4", "t4"), ("NVIDIA L4", "l4"), ("A10", "a10"), ("h100 sxm", "h100_sxm")),
        *(("NVIDIA A100-SXM4-80GB", "a100_80_sxm"), ("A100 40GB", "a100_40_sxm"), ("RTX 4090", "rtx4090"), ("M4", "m4")),
        *(("g4dn.xlarge", "t4"), ("g4dn.12xlarge", "t4"), ("g2-standard-4", "l4"), ("p5.48xlarge", "h100_sxm_8x")),
        *(("standard_nc4as_t4_v3", "t4"), ("a2-ultragpu-1g", "a100_80_sxm"), ("C7I.XLARGE", "c7i.xlarge"), ("MI300X", "mi300x")),
    ],
)
def test_a_device_is_found_by_what_people_and_clouds_call_it(name: str, device: str) -> None:
    assert device == read_device(name).id


@pytest.mark.parametrize("name", ["x", "../../x", "../t4", "/"])
def test_a_path_or_a_letter_is_the_name_of_no_device(name: str) -> None:
    assert not device_ids(name)


@pytest.mark.parametrize("name", ["A100", "A100 80GB", "h100", "V100", "RTX 6000"])
def test_a_name_of_several_devices_is_refused_with_their_ids(name: str) -> None:
    with pytest.raises(InputError, match="may be") as refusal:
        read_device(name)

    assert len(device_ids(name)) > 1 and all(id_ in refusal.value.fault for id_ in device_ids(name))


@pytest.mark.parametrize("name", ["", "nvidia", "c7i.9xlarge", "g4dn", "abacus", "*", "g*.xlarge"])
def test_a_name_that_says_nothing_finds_nothing(name: str) -> None:
    with pytest.raises(InputError, match="neither `local` nor in the catalog"):
        read_device(name)


def test_every_machine_that_is_offered_has_the_device_that_the_table_says() -> None:
    offering: dict[str, set[str]] = {}
    for device in DEVICES.values():
        for offer in device.offers:
            offering.setdefault(offer.instance, set()).add(device.id)

    assert {} == {name: ids for name, ids in offering.items() if len(device_ids(name)) != 1 or not ids & set(device_ids(name))}


def test_the_table_of_machines_knows_devices_of_the_catalog_alone() -> None:
    assert {entry.device for entry in read_instances()} <= DEVICES.keys()


@pytest.mark.parametrize(
    ("name", "is_priced"), [("T4", True), ("g4dn.xlarge", True), ("g4dn.12xlarge", False), ("p4d.24xlarge", False)]
)
def test_a_price_is_of_one_device_and_not_of_a_machine_that_may_have_several(name: str, is_priced: bool) -> None:
    if is_priced:
        assert "t4" == read_priced_device(name).id
    else:
        with pytest.raises(InputError, match="prices are of one"):
            read_priced_device(name)


@pytest.mark.parametrize("now", ["20260801T000000", "2026-08-01T00:00:00+00:00", "2026-W31-6"])
def test_the_age_of_a_price_does_not_depend_on_how_the_time_is_written(now: str) -> None:
    assert 31 == age_days("2026-07-01", now)


def test_carbon_is_known_of_countries_and_of_regions_of_a_cloud() -> None:
    country, region = carbon_of("FRA"), carbon_of("europe-west9", "gcp")

    assert country is not None and country.provider is None and 20 < country.grams_co2e_per_kwh < 120
    assert region is not None and 34 == region.grams_co2e_per_kwh
    assert carbon_of("europe-west9", "aws") is None


def machine(cpu: str, *instruction_sets: str) -> Machine:
    return Machine(cpu=cpu, cores=2, memory_bytes=2**33, instruction_sets=instruction_sets, system="Linux")


def test_a_machine_has_rates_by_its_instruction_sets() -> None:
    zen4 = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16")
    cases = {
        "nothing known": machine("a processor"),
        "Haswell": machine("Intel", "avx2"),
        "Zen 4": machine("AMD EPYC 9R14", *zen4),
        "Zen 5": machine("AMD EPYC 9R45", *zen4, "avx_vnni"),
        "Cooper Lake": machine("Intel", *zen4),
        "Sapphire Rapids": machine("Intel", *zen4, "avx_vnni", "amx_bf16", "amx_int8"),
    }

    rates = {name: machine_as_hardware(it, read_processors()).peak_flop_per_s for name, it in cases.items()}

    ascending = ("nothing known", "Haswell", "Cooper Lake")
    assert sorted(rates[name]["fp32"] for name in ascending) == [rates[name]["fp32"] for name in ascending]
    # AMD's Zen 4 takes two passes for 512 bits, its Zen 5 one, as Intel's processors do.
    assert rates["Zen 5"] == rates["Cooper Lake"] == {name: 2 * rate for name, rate in rates["Zen 4"].items()}
    assert rates["Sapphire Rapids"]["int8"] > rates["Zen 5"]["int8"]


def test_every_number_of_a_machine_has_a_source() -> None:
    made = machine_as_hardware(machine("Intel", "avx2"), read_processors())

    assert numbers_of(made) == {name for source in made.sources for name in source.covers}
