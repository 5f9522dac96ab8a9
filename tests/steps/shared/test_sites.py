"""Sites of machines that the workload allows come from a store, as `merge` would add them; advice says which profile it stands on."""

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.files.records import read_json, sha256, to_json, write_record
from advisor.schema.profile import Profile
from advisor.steps.advise import advise_on
from advisor.steps.shared.advice import put_advice
from advisor.steps.shared.keys import profile_key
from advisor.steps.shared.sites import add_sites
from advisor.store.store import open_store
from tests.profiles import fixed_cost_law, profile, with_site
from tests.tell import language_examples

NOW = "2026-11-29T08:00:00+00:00"
WORKLOAD = """name: w
traffic: {requests_per_s: 20}
slo: {latency_s: 1 s, quantile: 0.9}
hardware: {allowed: [local, c7i.xlarge], price_usd_per_hour: {local: 5}}
"""


def measured(machine, seconds, created=NOW):
    made = profile(fixed_cost_law(0.0, seconds))
    return with_site(made, hardware=read_device(machine) if machine != "local" else made.sites[0].hardware, created=created)


def share(store, made, budget_s=60.0):
    """Put what a machine measured, as a run with this budget would."""
    site = made.sites[0]
    settings = replace(made.settings, budget_s=budget_s)
    key = profile_key(made.model, settings, site.hardware, site.machine, site.versions)
    return store.put(key, {"profile.json": to_json(made)}, created=site.created)


@pytest.fixture
def place(tmp_path):
    write_record(tmp_path / "profile.json", measured("local", 0.04))
    (tmp_path / "w.yaml").write_text(WORKLOAD)
    return tmp_path


@pytest.fixture
def store(place):
    return open_store(str(place / "store"))


def advised(place, say=lambda _: None):
    return advise_on(place / "profile.json", place / "w.yaml", now=NOW, store=str(place / "store"), say=say)


def test_what_another_machine_measured_decides_there(place, store):
    share(store, measured("c7i.xlarge", 0.001))
    said = []

    advice = advised(place, said.append)

    assert {"local": "measured", "c7i.xlarge": "measured"} == {entry.hardware: entry.ground for entry in advice.places}
    assert "c7i.xlarge" == advice.recommended.candidate.hardware
    assert ["c7i.xlarge: measured 2026-11-29"] == [line.split(",")[0] for line in said]
    assert advice.profile_sha256 == sha256(place / "profile.json")


def test_the_youngest_site_at_the_same_lengths_is_taken(place, store):
    share(store, measured("c7i.xlarge", 0.001, created="2026-11-01T00:00:00+00:00"), budget_s=1.0)
    share(store, measured("c7i.xlarge", 0.002, created="2026-11-20T00:00:00+00:00"), budget_s=2.0)
    longer = measured("c7i.xlarge", 0.003, created="2026-11-25T00:00:00+00:00")
    share(store, replace(longer, settings=replace(longer.settings, sequence_lengths=(64,))), budget_s=3.0)

    add_sites(place / "profile.json", place / "w.yaml", str(place / "store"), lambda _: None)

    sites = read_json(place / "profile.json", Profile, made_by="a test").sites
    assert [("local", NOW), ("c7i.xlarge", "2026-11-20T00:00:00+00:00")] == [(site.hardware.id, site.created) for site in sites]


@pytest.mark.parametrize("what", ["another model", "a machine that is not allowed", "a site that is there already", "nothing"])
def test_nothing_else_is_added(place, store, what):
    other = measured("c7i.xlarge", 0.001)
    if what == "another model":
        share(store, replace(other, model=replace(other.model, sha256="1" * 64)))
    elif what == "a machine that is not allowed":
        share(store, measured("c6i.xlarge", 0.001))
    elif what == "a site that is there already":
        here = read_json(place / "profile.json", Profile, made_by="a test")
        write_record(place / "profile.json", replace(here, sites=(*here.sites, *measured("c7i.xlarge", 0.5).sites)))
        share(store, other)
    before = (place / "profile.json").read_bytes()

    advised(place)

    assert before == (place / "profile.json").read_bytes()


def test_a_damaged_site_is_left_out_and_told(place, store):
    entry = share(store, measured("c7i.xlarge", 0.001))
    (file,) = entry.files
    (place / "store" / "content" / file.sha256[:2] / file.sha256).write_bytes(b"x" * file.bytes)
    said = []

    advice = advised(place, said.append)

    assert "measured" == next(entry.ground for entry in advice.places if entry.hardware == "local")
    assert any("absent" in line for line in said)


def test_a_profile_from_standard_input_has_no_place_for_sites(place):
    with pytest.raises(InputError, match="has to be a file"):
        add_sites(Path("-"), place / "w.yaml", str(place / "store"), lambda _: None)


def test_advice_lies_in_the_store_with_the_very_profile_that_it_stands_on(place, store):
    advice = advised(place)

    (entry,) = store.entries("advice")
    assert store.fetch(entry, place / "got")
    assert advice.profile_sha256 == entry.stands_on == sha256(place / "got" / "profile.json")
    assert to_json(advice) == (place / "got" / "advice.json").read_bytes()
    assert json.loads((place / "got" / "advice.json").read_bytes())["profile_sha256"] == entry.stands_on


def test_the_same_advice_is_one_entry_and_on_another_workload_two(place, store):
    advised(place)
    advised(place)
    one = store.entries("advice")
    (place / "w.yaml").write_text(WORKLOAD.replace("20", "30"))
    advised(place)

    assert (1, 2) == (len(one), len(store.entries("advice")))


def test_advice_on_a_configuration_stands_on_no_profile(place, store):
    entry = put_advice(store, language_examples.chat_elsewhere(), place / "config.json")

    assert (None, ["advice.json"]) == (entry.stands_on, [file.name for file in entry.files])


def test_a_store_that_cannot_be_written_costs_no_advice(place):
    shutil.rmtree(place / "store", ignore_errors=True)
    (place / "store").mkdir()
    (place / "store" / "content").write_text("in the way")
    said = []

    assert advised(place, said.append).recommended is not None
    assert any("not put into the store" in line for line in said)
