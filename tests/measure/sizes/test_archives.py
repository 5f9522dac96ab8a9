"""Data is refused by its size before it is unpacked, and read item by item where only some are used."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.runtime import memory
from advisor.measure.sizes import archives


def with_header(path, descr, shape, content=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + content)
    return path


@pytest.mark.parametrize(("descr", "shape"), [("<f4", (1 << 50,)), ("<f8", (1 << 30, 1 << 30)), ("<U100000000", (1 << 20,))])
def test_an_array_that_does_not_fit_is_refused_by_its_header_with_both_sizes(tmp_path, descr, shape):
    path = with_header(tmp_path / "bomb.npz", descr, shape)

    with pytest.raises(InputError, match=r"^quality\.data: .*bomb\.npz: unpacked it takes .*; .* of memory are free here"):
        archives.read(path, "quality.data")


@pytest.mark.parametrize(("descr", "shape"), [("|O", (3,)), ("<f4", (-1,)), ([("a", "|O")], (2,))])
def test_objects_and_shapes_that_are_none_are_refused(tmp_path, descr, shape):
    path = with_header(tmp_path / "odd.npz", descr, shape, b"\0" * 64)

    with pytest.raises(InputError, match=r"^--inputs: .*odd\.npz: not a readable \.npz file"):
        archives.read(path, "--inputs")


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'(((", b"\x93NUMPY\x09\x00\x10\x00{}"]
)
def test_a_header_that_cannot_be_read_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("x.npy", content)

    with pytest.raises(InputError, match="not a readable"):
        archives.read(tmp_path / "odd.npz", "--inputs")


@pytest.mark.parametrize("order", ["C", "F"])
def test_chosen_items_are_those_that_taking_them_from_all_would_give(tmp_path, order):
    random = np.random.default_rng(0)
    rows = {
        "x": np.asarray(random.standard_normal((5000, 300)), order=order),
        "time_first": random.integers(0, 9, (7, 5000)),
        "label": random.integers(0, 3, 5000),
        "name": np.array([f"item {number}" for number in range(5000)]),
        "rate": np.array(16000),
    }
    np.savez_compressed(tmp_path / "rows.npz", **rows)
    chosen = random.permutation(5000)[:40]

    found = archives.read_items(tmp_path / "rows.npz", "quality.calibration", {"x": 0, "time_first": 1}, chosen)

    assert rows.keys() == found.keys()
    for name in ("x", "label", "name"):
        np.testing.assert_array_equal(rows[name][chosen], found[name])
    np.testing.assert_array_equal(rows["time_first"][:, chosen], found["time_first"])
    assert 16000 == found["rate"]


def test_data_that_end_before_the_chosen_items_are_refused(tmp_path):
    path = with_header(tmp_path / "short.npz", "<f4", (1000, 4), b"\0" * 800)

    with pytest.raises(InputError, match=r"cut short in item 50 of 1000"):
        archives.read_items(path, "quality.calibration", {"x": 0}, np.array([900]))


def test_a_packed_table_is_refused_while_it_grows(tmp_path):
    path, copies = tmp_path / "bomb.csv.gz", 500
    enough = memory.available_bytes() // copies
    # Members one after the other: a file of kilobytes that unpacks to more than there is room for.
    path.write_bytes(gzip.compress(b"1,2\n" * (archives.PIECE_BYTES // 4)) * (enough // archives.PIECE_BYTES + 1))

    with pytest.raises(InputError, match=r"^quality\.data: .*bomb\.csv\.gz: unpacked it takes"):
        archives.unpacked(path, "quality.data", copies=copies)


def test_a_table_is_read_packed_or_not(tmp_path):
    for name, content in (("a.csv", b"x\n1\n"), ("b.csv.gz", gzip.compress(b"x\n1\n"))):
        (tmp_path / name).write_bytes(content)

        assert b"x\n1\n" == archives.unpacked(tmp_path / name, "quality.data")
