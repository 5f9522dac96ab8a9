"""Files that were made before: taken again where nothing that they were made of changed, and never once they changed themselves."""

import msgspec
import numpy as np
import pytest

from advisor.errors import ModelError
from advisor.measure.model import kept_files, onnx_graph
from advisor.measure.variants import making, quantize
from tests import models
from tests.measure.timing.test_profiler import plan_of


@pytest.fixture
def plan(tmp_path):
    rows = np.random.default_rng(0).standard_normal((40, models.WIDTH)).astype(np.float32)
    np.savez(tmp_path / "calibration.npz", x=rows)
    return msgspec.structs.replace(plan_of(models.mlp(), tmp_path), calibration=str(tmp_path / "calibration.npz"))


def scheme_of(plan):
    return next(scheme for scheme in plan.schemes if scheme.id == "int8-dynamic")


def made(plan, scheme=None):
    return making.made(plan, scheme or scheme_of(plan), onnx_graph.read_graph(plan.baseline))


def file_of(plan):
    return plan.folder / "int8-dynamic.onnx"


def is_made_again(plan, scheme=None):
    """Return whether the file was written a second time, by the number of its inode."""
    before = file_of(plan).stat().st_ino
    made(plan, scheme)
    return file_of(plan).stat().st_ino != before


def with_rows(plan, change):
    with np.load(plan.calibration) as archive:
        np.savez(plan.calibration, **{name: change(values) for name, values in archive.items()})
    return plan


def with_items(plan, items):
    return msgspec.structs.replace(plan, screening=msgspec.structs.replace(plan.screening, calibration_items=items))


CHANGES = {
    "the items to calibrate on": lambda plan: with_rows(plan, lambda values: values + 1),
    "more items": lambda plan: with_items(plan, 64),
    "the model": lambda plan: msgspec.structs.replace(plan, facts=msgspec.structs.replace(plan.facts, sha256="another")),
    "the processor": lambda plan: msgspec.structs.replace(
        plan, machine=msgspec.structs.replace(plan.machine, instruction_sets=("avx2", "avx512_vnni"))
    ),
}


def test_a_file_is_not_made_again_of_the_same_things(plan):
    first = made(plan)

    assert not is_made_again(plan)
    assert first == made(plan)


def test_a_file_that_is_there_is_known_beforehand(plan):
    before = making.is_made(plan, scheme_of(plan))
    made(plan)

    assert (False, True) == (before, making.is_made(plan, scheme_of(plan)))


def test_a_file_that_was_calibrated_on_more_items_serves_for_fewer(plan):
    made(with_items(plan, 32))

    assert not is_made_again(with_items(plan, 16))


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_file_is_made_again_once_something_that_it_is_made_of_changed(plan, what):
    plan = with_items(plan, 8)
    made(plan)

    assert is_made_again(CHANGES[what](plan))


def test_a_file_is_made_again_once_its_scheme_changed(plan):
    made(plan)

    assert is_made_again(plan, msgspec.structs.replace(scheme_of(plan), per_channel=False))


def test_a_file_is_made_again_by_another_version_of_a_tool(plan, monkeypatch):
    made(plan)
    monkeypatch.setattr(kept_files.importlib.metadata, "version", lambda name: "0.0")

    assert is_made_again(plan)


@pytest.mark.parametrize("harm", ["another model", "no model", "cut short"])
def test_a_file_that_changed_since_is_never_trusted(plan, harm):
    whole = made(plan)
    content = {"another model": models.mlp(opset=13).SerializeToString(), "no model": b"no model"}
    file_of(plan).write_bytes(content.get(harm, file_of(plan).read_bytes()[:-40]))

    assert is_made_again(plan)
    assert whole.sha256 == onnx_graph.read_graph(file_of(plan)).sha256


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe", b"{}", b"[1, 2", b'{"recipe": 3, "sha256": "", "items": 1}'])
def test_a_damaged_mark_says_nothing(plan, mark):
    made(plan)
    kept_files.mark_of(file_of(plan)).write_bytes(mark)

    assert is_made_again(plan)


def test_a_mark_goes_with_its_file(plan):
    made(plan)
    quantize.discard(file_of(plan))

    assert [] == list(plan.folder.glob("int8-dynamic*"))


def test_what_cannot_be_made_leaves_no_mark(plan, monkeypatch):
    def failing(*_):
        raise ModelError("it fails", hint="do not")

    monkeypatch.setattr(making.quantize, "make_variant", failing)
    made(plan)

    assert [] == list(plan.folder.glob("*.mark"))


def test_arrays_have_one_digest_whatever_their_order_in_the_file():
    one, two = np.arange(3.0), np.arange(4)

    assert kept_files.digest_of({"a": one, "b": two}) == kept_files.digest_of({"b": two, "a": one})
    assert kept_files.digest_of({"a": one}) != kept_files.digest_of({"a": one.astype(np.float32)})
    assert kept_files.digest_of({"a": one}) != kept_files.digest_of({"a": one.reshape(3, 1)})


def test_a_damaged_file_of_a_finished_profile_is_had_again(plan):
    variant = made(plan)
    file_of(plan).write_bytes(file_of(plan).read_bytes()[:-40])

    assert making.restored(plan, [variant])
    assert variant.sha256 == onnx_graph.read_graph(file_of(plan)).sha256


def test_a_file_that_comes_out_otherwise_than_it_was_measured_is_told(plan):
    variant = msgspec.structs.replace(made(plan), sha256="another")

    assert not making.restored(plan, [variant])
