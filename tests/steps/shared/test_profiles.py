"""A profile that somebody measured is not measured again: it comes from the store, with the files of its variants."""

import contextlib
import json
import shutil

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.measure.timing import profiler
from advisor.schema.options import ProfileOptions
from advisor.steps.profile import profile
from advisor.store.store import open_store
from tests import models
from tests.processes import SHARED

NOW = "2026-11-29T08:00:00+00:00"
SCHEME = "int8-dynamic"  # that is made however little time there is


class Lines:
    """Sentences that a run says."""

    def __init__(self):
        self.all = []

    def __call__(self, done_s, of_s, what, *, line=None):
        if line is not None:
            self.all.append(line)

    def saying(self, text):
        return [line for line in self.all if text in line]


def measured(folder, name, lines=None, **options):
    asked = ProfileOptions(
        **({"budget_s": 2.0, "max_batch_size": 1, "schemes": (SCHEME,), "store": str(folder / "store")} | options)
    )
    return profile(folder / "model.onnx", folder / name / "profile.json", asked, now=NOW, report=lines or Lines())


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """What looks at the model runs in one process for all of these tests: each would wait for its imports otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("advisor.steps.profile.Apart", lambda: contextlib.nullcontext(SHARED))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that one user has measured, with the store that it went into."""
    folder = tmp_path_factory.mktemp("shared")
    models.save(models.mlp(), folder / "model.onnx")
    shutil.copy(folder / "model.onnx", folder / "copy.onnx")
    measured(folder, "one")
    return folder


@pytest.fixture
def nothing_is_measured(monkeypatch):
    def measure(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(profiler, "measure", measure)


def test_a_second_user_measures_nothing_and_has_the_same_files(folder, nothing_is_measured):
    lines = Lines()

    again = measured(folder, "two/deeper", lines)

    first = json.loads((folder / "one" / "profile.json").read_bytes())
    assert (
        first["sites"][0]["measurements"]
        == json.loads((folder / "two/deeper/profile.json").read_bytes())["sites"][0]["measurements"]
    )
    assert 1 == len(lines.saying("measured before"))
    assert all((folder / "two" / "deeper" / variant.path).resolve().is_file() for variant in again.sites[0].variants)
    assert again == measured(folder, "two/deeper", store=None)  # as if it had been measured here


def test_the_store_holds_no_path_of_the_machine_that_measured(folder):
    store = open_store(str(folder / "store"))
    (entry,) = store.entries("profile")
    assert store.fetch(entry, folder / "looked_at")

    texts = (folder / "looked_at" / "profile.json").read_text()

    assert str(folder) not in texts and ".." not in {variant["path"] for variant in json.loads(texts)["sites"][0]["variants"]}
    variants = json.loads(texts)["sites"][0]["variants"]
    made = [variant["path"] for variant in variants if variant["scheme"] == SCHEME]
    assert {"profile.json", *made, *(f"{path}.mark" for path in made)} <= {file.name for file in entry.files}
    assert all(path.startswith("variants/") for path in made)


@pytest.fixture
def begun(monkeypatch):
    """How often measuring began, which is as far as it goes."""
    times = []

    def measure(*_, **__):
        times.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(profiler, "measure", measure)
    return times


def test_other_settings_are_measured_and_the_variants_are_not_made_again(folder, begun):
    lines = Lines()

    with pytest.raises(KeyboardInterrupt):
        measured(folder, "three", lines, budget_s=1.5)

    assert ([1], []) == (begun, lines.saying("measured before"))
    assert lines.saying(f"{SCHEME}: made before")


def test_fresh_measures_what_the_store_has(folder, begun):
    with pytest.raises(KeyboardInterrupt):
        measured(folder, "four", fresh=True)

    assert [1] == begun


def test_a_damaged_entry_is_measured_again(folder, tmp_path, begun):
    shutil.copytree(folder / "store", tmp_path / "store")
    shutil.copy(folder / "model.onnx", tmp_path / "model.onnx")
    for path in (tmp_path / "store" / "content").rglob("*"):
        if path.is_file() and path.read_bytes()[:1] == b"{" and b'"measurements"' in path.read_bytes():
            path.write_bytes(path.read_bytes()[:-40] + b"0" * 40)
    lines = Lines()
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, "out", lines)

    assert [1] == begun
    assert lines.saying("profile.json of profile") and lines.saying("absent")


def test_a_profile_of_before_is_put_into_a_store_that_lacks_it(folder, nothing_is_measured, tmp_path):
    measured(folder, "one", store=str(tmp_path / "late"))

    assert 1 == len(open_store(str(tmp_path / "late")).entries("profile"))


def test_a_store_that_cannot_be_is_refused_before_the_model_is_looked_at(folder):
    with pytest.raises(InputError, match="no store can be there"):
        profile(
            folder / "no-model.onnx",
            folder / "no.json",
            ProfileOptions(store="http://somewhere"),
            now=NOW,
            report=Lines(),
        )


def test_a_store_that_cannot_be_written_costs_no_profile(folder, tmp_path, nothing_is_measured):
    (tmp_path / "late" / "content").mkdir(parents=True)
    (tmp_path / "late" / "index").write_text("in the way")
    lines = Lines()

    known = measured(folder, "one", lines, store=str(tmp_path / "late"))

    assert known.sites and lines.saying("not put into the store")


def test_what_others_wrote_replaces_no_file_that_is_here(folder, tmp_path, nothing_is_measured):
    """An entry that names a variant as the model's own file."""
    store = open_store(str(folder / "store"))
    entry = next(entry for entry in store.entries("profile"))
    assert store.fetch(entry, tmp_path / "forged")
    document = json.loads((tmp_path / "forged" / "profile.json").read_bytes())
    model = (folder / "model.onnx").read_bytes()
    document["sites"][0]["variants"][0]["path"] = "variants/../../model.onnx"
    document["sites"][0]["variants"][0]["sha256"] = "0" * 64
    other = open_store(str(tmp_path / "store"))
    other.put(entry.key, {"profile.json": json.dumps(document).encode()}, created=NOW)

    with pytest.raises(AssertionError, match="measured again"):
        measured(folder, "five", store=str(tmp_path / "store"), budget_s=entry_budget(document))

    assert model == (folder / "model.onnx").read_bytes()


def entry_budget(document):
    return document["settings"]["budget_s"]


def test_two_machines_of_one_kind_share_a_key(folder):
    from advisor.measure.runtime.machine import read_machine
    from advisor.steps.shared.keys import kind_of

    machine = read_machine()
    others = [
        replace(machine, memory_bytes=machine.memory_bytes - 2**20),
        replace(machine, instruction_sets=machine.instruction_sets[::-1]),
        replace(machine, memory_bytes=machine.memory_bytes * 2),
        replace(machine, cores=machine.cores + 1),
        replace(machine, cpu="another"),
    ]

    assert [True, True, False, False, False] == [kind_of(machine) == kind_of(other) for other in others]
