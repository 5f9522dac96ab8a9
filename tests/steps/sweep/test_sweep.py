"""A sweep on this machine alone, for real: killed and gone on with, one model that fails, a store, and a second time."""

import json
import re
import shutil
import signal
import subprocess
import sys

import msgspec
import pytest

from advisor.errors import ExitStatus, InputError
from advisor.files.records import read_json
from advisor.schema.options import SweepOptions
from advisor.schema.overview import OWN_NAMES, Overview
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.sweep import SweepIndex
from advisor.steps.generation.reading import read_any_profile
from advisor.steps.sweep.sweep import exit_status, folder_and_store, sweep
from tests import models
from tests.damage import ended
from tests.profiles import NOW
from tests.stores import bucket, opened

LATER = "2026-11-29T00:00:00+00:00"
VISITED = re.compile(rb'"visit":(\{.*?"latency_s":\[[^]]*\])')
WORKLOAD = "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s}\nhardware: {price_usd_per_hour: {local: 0.3}}\n"
SWEEP = """
name: shop
workload: workload.yaml
models:
  - {model: mlp.onnx, overrides: {name: busy, traffic: {requests_per_s: 40}}}
  - {model: broken.onnx}
measure: {budget_s: 1 s, max_batch_size: 2}
at_the_end: {portfolio: {budget_usd: 1000}}
"""
ALONE = SWEEP.replace("  - {model: broken.onnx}\n", "").replace("portfolio: {budget_usd: 1000}", "advice: false")


def silent(*_, line=None):
    pass


def latencies(journal):
    """Return the seconds of each visit in a journal."""
    return [json.loads(found + b"}")["latency_s"] for found in VISITED.findall(journal)]


# A run that kills itself between two points, which it is told of, once one is in the journal.
KILLS_ITSELF = f"""
import os, signal
from pathlib import Path
from advisor.schema.options import SweepOptions
from advisor.steps.sweep.sweep import sweep

journal = Path("out/mlp/local/profile.journal")

def report(*_, line=None):
    if journal.is_file() and b'"Visited"' in journal.read_bytes():
        os.killpg(os.getpid(), signal.SIGKILL)

sweep(Path("sweep.yaml"), Path("out"), SweepOptions(), now={NOW!r}, report=report)
"""


def killed_at_work(folder):
    """Run the sweep until it is killed in the middle of a model; return the journal by then."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLS_ITSELF], cwd=folder, capture_output=True, start_new_session=True, check=False
    )
    assert -signal.SIGKILL == ended.returncode, ended.stderr.decode()
    return (folder / "out" / "mlp" / "local" / "profile.journal").read_bytes()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folder, the journal of the run that was killed, and what three more came to: the last two are with the store alone."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "workload.yaml").write_text(WORKLOAD)
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "broken.onnx").write_bytes(b"no model")
    models.save(models.mlp(), folder / "mlp.onnx")
    journal = killed_at_work(folder)
    options = SweepOptions(store=str(folder / "store"))
    path = folder / "sweep.yaml"
    resumed = sweep(path, folder / "out", options, now=NOW, report=silent)
    again = sweep(path, folder / "out", SweepOptions(), now=LATER, report=silent)
    (folder / "alone.yaml").write_text(ALONE)
    elsewhere = sweep(folder / "alone.yaml", folder / "other", options, now=LATER, report=silent)
    return folder, journal, resumed, again, elsewhere


def test_what_a_killed_run_had_measured_is_in_the_profile_of_the_next(runs):
    folder, journal, resumed, _, _ = runs

    site = read_any_profile(folder / "out" / "mlp" / "local" / "profile.json").sites[0]
    visits = [list(visit.latency_s) for point in site.measurements for visit in point.visits]

    assert latencies(journal)
    assert all(visit in visits for visit in latencies(journal))
    assert 0 < resumed.record.pairs[0].entries
    assert len(visits) < resumed.record.pairs[0].entries + journal.count(b"\n")
    assert not (folder / "out" / "mlp" / "local" / "profile.journal").exists()


def test_a_second_sweep_measures_nothing_in_the_same_folder_nor_in_another_with_the_same_store(runs):
    _, _, resumed, again, elsewhere = runs

    assert ["measured", "known", "known"] == [swept.record.pairs[0].outcome for swept in (resumed, again, elsewhere)]
    assert [0, 0] == [swept.record.pairs[0].entries for swept in (again, elsewhere)]
    assert (elsewhere.folder / "mlp" / "local" / "profile.json").is_file()


def test_four_sweeps_at_once_leave_whole_entries_in_a_bucket_and_the_next_one_measures_nothing(runs):
    folder = runs[0]
    for number in range(4):
        shutil.copytree(folder / "out" / "mlp", folder / f"out{number}" / "mlp")  # as four users have it who share no disk
    with bucket() as place:
        url = f"{place}/advisor"
        command = [sys.executable, "-m", "advisor.cli", "sweep", "alone.yaml", "--quiet", "--store", url]
        at_once = [subprocess.Popen([*command, "-o", f"out{number}"], cwd=folder) for number in range(4)]
        statuses = [each.wait() for each in at_once]
        store, warnings = opened(url)
        entries = store.entries()
        are_whole = [store.fetch(entry, folder / "fetched" / str(number)) for number, entry in enumerate(entries)]
        status, index, _ = ended("sweep", "alone.yaml", "-o", url, "--format", "json", cwd=folder)
    (pair,) = json.loads(index)["pairs"]

    assert [0, 0, 0, 0, 0] == [*statuses, status]
    assert ["profile"] == [entry.key.kind for entry in entries if entry.key.kind == "profile"]
    assert all(are_whole) and [] == warnings
    assert ("known", 0, url) == (pair["outcome"], pair["entries"], json.loads(index)["store"])
    assert latencies_in(folder / "out" / "mlp" / "local") == latencies_in(folder / "shop" / "mlp" / "local")


def latencies_in(folder):
    """Return the seconds of each visit in a profile."""
    site = read_any_profile(folder / "profile.json").sites[0]
    return [visit.latency_s for point in site.measurements for visit in point.visits]


def test_a_model_that_fails_is_a_row_with_its_two_lines_and_the_others_go_on(runs):
    _, _, resumed, _, _ = runs
    measured, broken = resumed.record.pairs

    assert ("failed", "broken") == (broken.outcome, broken.model)
    assert "broken.onnx: not a readable ONNX file" in broken.failure.fault and broken.failure.hint
    assert {"mlp": None, "broken": broken.failure} == {row.id: row.failure for row in resumed.overview.rows}
    assert ExitStatus.WRONG_INPUT == exit_status(resumed)
    alone = resumed.overview.outcomes | {"failed": 0}
    assert ExitStatus.ADVICE == exit_status(
        resumed._replace(
            record=msgspec.structs.replace(resumed.record, pairs=(measured,)),
            overview=msgspec.structs.replace(resumed.overview, outcomes=alone),
        )
    )


def test_each_model_has_its_advice_and_all_have_an_index_an_overview_and_a_portfolio(runs):
    folder, _, resumed, again, _ = runs
    out = folder / "out"

    assert {"advice.json", "profile.json", "report.html", "report.md", "workload.yaml", "local"} == {
        path.name for path in (out / "mlp").iterdir()
    }
    assert again.record == read_json(out / "sweep.json", SweepIndex, made_by="advisor sweep")
    assert again.overview == read_json(out / "overview.json", Overview, made_by="advisor sweep")
    assert resumed.plan.choices == read_json(out / "portfolio.json", PortfolioPlan, made_by="advisor sweep").choices
    assert {"busy", "w"} == {choice.workload for choice in resumed.plan.choices}
    assert (0, 0, 0) == (again.overview.since.changed, again.overview.since.added, again.overview.since.gone)
    assert all((out / name).is_file() for name in ("overview.html", "portfolio.html", "rows.jsonl"))


def test_the_merged_profile_finds_the_files_of_its_variants(runs):
    folder = runs[0] / "out" / "mlp"

    site = read_any_profile(folder / "profile.json").sites[0]

    assert all((folder / variant.path).is_file() for variant in site.variants)


@pytest.mark.parametrize(
    ("content", "options", "fault"),
    [
        ("kinds: [local, c7i.xlarge]\n", {}, "kinds: local, c7i.xlarge; without a cluster this machine is one of them"),
        ("kinds: [local, c7i.xlarge]\n", {"on": "c7g.xlarge"}, "--on c7g.xlarge: the sweep measures on local, c7i.xlarge"),
        ("", {"on": "nonsense"}, "'nonsense' is neither `local` nor in the catalog"),
        ("at_the_end: {portfolio: {budget_usd: 1}}\nworkload: other.yaml\n", {}, "other.yaml: no such file"),
    ],
)
def test_what_cannot_be_swept_here_is_refused_before_anything_is_measured(tmp_path, content, options, fault):
    (tmp_path / "workload.yaml").write_text(WORKLOAD)
    models.save(models.mlp(), tmp_path / "mlp.onnx")
    given = content if "workload:" in content else content + "workload: workload.yaml\n"
    (tmp_path / "sweep.yaml").write_text(f"name: shop\nmodels: [{{model: mlp.onnx}}]\n{given}")

    with pytest.raises(InputError, match=fault) as refusal:
        sweep(tmp_path / "sweep.yaml", tmp_path / "out", SweepOptions(**options), now=NOW, report=silent)

    assert refusal.value.hint
    assert not (tmp_path / "out").exists()


def test_a_store_in_place_of_the_folder_is_the_store_and_the_folder_is_called_as_the_sweep(tmp_path):
    (tmp_path / "sweep.yaml").write_text("name: two shops!\nmodels: [{model: mlp.onnx}]\n")

    folder, options = folder_and_store("s3://bucket/prefix", tmp_path / "sweep.yaml", SweepOptions())

    assert ("two-shops", "s3://bucket/prefix") == (str(folder), options.store)
    assert SweepOptions() == folder_and_store(str(tmp_path), tmp_path / "sweep.yaml", SweepOptions())[1]
    with pytest.raises(InputError, match="two stores"):
        folder_and_store("s3://bucket/prefix", tmp_path / "sweep.yaml", SweepOptions(store="other"))


def test_what_lies_beside_the_folders_of_models_are_the_names_that_no_model_may_have(runs):
    folder, _, _, _, _ = runs

    assert OWN_NAMES | {"mlp", "broken"} >= {path.name for path in (folder / "out").iterdir()}


def test_levers_that_contradict_each_other_are_refused_by_the_file_of_the_sweep(tmp_path):
    (tmp_path / "workload.yaml").write_text(WORKLOAD)
    models.save(models.mlp(), tmp_path / "mlp.onnx")
    (tmp_path / "sweep.yaml").write_text(
        "name: shop\nworkload: workload.yaml\nmodels: [{model: mlp.onnx, must: [fly]}]\nat_the_end: {portfolio: {budget_usd: 1}}\n"
    )

    with pytest.raises(InputError, match=r"sweep\.yaml: at_the_end\.portfolio: .*'fly' is no lever"):
        sweep(tmp_path / "sweep.yaml", tmp_path / "out", SweepOptions(), now=NOW, report=silent)
