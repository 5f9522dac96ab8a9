"""What is to be measured: the user's examples split or refused, schemes left out before any time is spent on them."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from advisor.errors import InputError
from advisor.files.workload import read_question
from advisor.measure.model import input_rows
from advisor.measure.variants.settings import ScreeningSettings
from advisor.schema.options import ProfileOptions
from advisor.steps.profile import plan_for, profile
from tests import models
from tests.models import CLASSES, WIDTH, save

ITEMS = 200


@pytest.fixture
def folder(tmp_path):
    save(models.mlp(), tmp_path / "model.onnx")
    random = np.random.default_rng(0)
    values = random.standard_normal((ITEMS, WIDTH)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=values, label=random.integers(0, CLASSES, ITEMS))
    np.savez(tmp_path / "other.npz", x=values + 1)
    np.savez(tmp_path / "mixed.npz", x=np.concatenate([values[7:9], values[:5] + 1]))
    with (tmp_path / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x_{place}" for place in range(WIDTH)), "label"])
        writer.writerows([*row, place % CLASSES] for place, row in enumerate(values.tolist()))
    return tmp_path


def read_npz(path):
    return input_rows.read_npz(Path(path), "data")


NOW = "2026-11-22T00:00:00+00:00"


def plan_of(folder, quality, **options):
    path = folder / "workload.yaml"
    path.write_text(
        "name: w\ntraffic: {requests_per_s: 1}\nslo: {latency_s: 1}\nhardware: {price_usd_per_hour: {local: 1}}\n"
        f"quality: {{{quality}}}\n"
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    asked = ProfileOptions(workload=path, allow_code=True, **options)
    return plan_for(folder / "model.onnx", folder / "p.variants", asked, read_question(path), scratch, now=NOW)


def test_calibration_that_overlaps_with_evaluation_is_refused(folder):
    with pytest.raises(InputError, match=r"quality\.calibration: 2 of its 7 items are in quality\.data too"):
        plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz, calibration: mixed.npz")


def test_calibration_of_its_own_leaves_all_of_the_data_to_judge_by(folder):
    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz, calibration: other.npz")

    assert (ITEMS, ScreeningSettings().calibration_items) == (len(read_npz(plan.data)["x"]), len(read_npz(plan.calibration)["x"]))
    assert () == plan.notes


def test_without_it_some_of_the_data_are_set_aside_and_that_is_reported(folder):
    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz")

    judged, fitted = (read_npz(path)["x"] for path in (plan.data, plan.calibration))
    assert (150, 50) == (len(judged), len(fitted))
    assert not {bytes(row) for row in judged} & {bytes(row) for row in fitted}
    assert "50 of the 200 items of quality.data were set aside" in plan.notes[0]


def test_items_keep_their_labels_when_they_are_shuffled(folder):
    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz")

    with np.load(folder / "data.npz") as given:
        label_of = {bytes(row): label for row, label in zip(given["x"], given["label"], strict=True)}
    judged = read_npz(plan.data)
    assert [label_of[bytes(row)] for row in judged["x"]] == judged["label"].tolist()


def test_a_csv_file_holds_examples_too(folder):
    plan = plan_of(folder, "metric: f1, max_drop: 0.01, data: data.csv")

    assert (150, WIDTH) == read_npz(plan.data)["x"].shape


def test_a_function_holds_examples_and_is_known_by_its_source(folder):
    module = folder / "examples_of_mine.py"
    values = "{'x': np.arange(800, dtype='float32').reshape(100, 8), 'label': np.zeros(100, int)}"
    source = f"import numpy as np\ndef rows():\n    return {values}\n"
    module.write_text(source)

    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: 'examples_of_mine:rows'")
    module.write_text(source + "# changed\n")
    again = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: 'examples_of_mine:rows'")

    assert 75 == len(read_npz(plan.data)["x"])
    assert plan.settings.quality_data_sha256 != again.settings.quality_data_sha256


@pytest.mark.parametrize(
    ("quality", "complaint"),
    [
        ("metric: acuracy, max_drop: 0.01, data: data.npz", "there is no 'acuracy'"),
        ("metric: accuracy, max_drop: 0.01, data: other.npz", "accuracy needs labels"),
        ("metric: accuracy, max_drop: 0.01, data: missing.csv", "no such file"),
        ("metric: 'nobody:f', max_drop: 0.01, data: data.npz", "nobody cannot be imported"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_measured(folder, quality, complaint):
    with pytest.raises(InputError, match=complaint):
        plan_of(folder, quality)


def test_a_scheme_that_the_catalog_does_not_have_is_refused(folder):
    with pytest.raises(InputError, match="there is no 'int3'"):
        plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz", schemes=("int3",))


def test_what_runs_today_is_known_by_default_and_as_the_workload_says(folder):
    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz")

    assert ("fp32", plan.machine.cores, 1) == plan.today


def test_a_scheme_that_was_asked_for_is_tried_and_kept(folder):
    plan = plan_of(folder, "metric: accuracy, max_drop: 0.01, data: data.npz", schemes=("fp16",))

    assert "fp16" in {scheme.id for scheme in plan.schemes}
    assert "fp16" in plan.kept
    assert {"int8-dynamic-tensor", "cuda"} <= {name for entry in plan.excluded for name in entry.what.split(", ")}


# --- the first look at a model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blow", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_look_that_never_ends_is_broken_off_at_once_and_leaves_no_process(tmp_path, blow, status):
    save(models.endless(), tmp_path / "endless.onnx")
    ready = "import signal, runpy, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv = sys.argv[1:]; "
    ready += "runpy.run_module('advisor.cli', run_name='__main__')"
    command = [sys.executable, "-c", ready, "advisor", "inspect", "endless.onnx"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        parent = psutil.Process(process.pid)
        while not (children := parent.children()):
            time.sleep(0.01)
        while children[0].cpu_times().user < 1.5:  # it runs the model by then
            time.sleep(0.01)

        process.send_signal(blow)
        _, err = process.communicate(timeout=60)

    assert status == process.returncode and b"Traceback" not in err
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert (1, []) == (len(gone), alive)


def test_a_finished_profile_whose_variant_was_damaged_is_whole_again_and_not_measured_again(folder):
    asked = ProfileOptions(schemes=("int8-dynamic",), budget_s=1.0, max_batch_size=1)
    first = profile(folder / "model.onnx", folder / "p.json", asked, now=NOW, report=lambda *_, **__: None)
    path = folder / "p.variants" / "int8-dynamic.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])

    again = profile(folder / "model.onnx", folder / "p.json", asked, now=NOW, report=lambda *_, **__: None)

    assert first == again
    assert whole == path.read_bytes()
