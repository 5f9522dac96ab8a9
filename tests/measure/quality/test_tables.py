"""Tables: the same columns from every kind of file, and an error that says where."""

import csv
import gzip
import json

import pytest

from advisor.errors import InputError
from advisor.measure.quality.tables import read_table

COLUMNS = {"text": ["so, it goes", "ä; 7", "42 times"], "label": [0, 1, 1], "x": [[1.5, 2.0], [3.0, 4.0], [5.0, 6.25]]}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


def as_csv(path, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([list(COLUMNS), *(row.values() for row in ROWS)])
    return path


def as_json_lines(path):
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in ROWS), encoding="utf-8")
    return path


def as_json_list(path):
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
    return path


def packed(path):
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


def as_dataset(folder, rows=None, *, chosen=None):
    """A folder as `Dataset.save_to_disk` writes it: Arrow streams, and their names in state.json."""
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS if rows is None else rows)
    folder.mkdir(parents=True)

    def stream(name, part):
        with pyarrow.OSFile(str(folder / name), "wb") as sink, pyarrow.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        return {"filename": name}

    files = [stream("data-00000-of-00002.arrow", table.slice(0, 1)), stream("data-00001-of-00002.arrow", table.slice(1))]
    indices = [] if chosen is None else [stream("indices.arrow", pyarrow.table({"indices": chosen}))]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_indices_files": indices}))
    return folder


def as_splits(folder, *names):
    for name in names:
        as_dataset(folder / name)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(names)}))
    return folder


def as_arrow_file(path):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize(
    "written",
    [
        lambda place: as_csv(place / "d.csv"),
        lambda place: as_csv(place / "d.tsv", "\t"),
        lambda place: as_csv(place / "d.csv", ";", "utf-8-sig"),
        lambda place: packed(as_csv(place / "d.csv")),
        lambda place: as_json_lines(place / "d.jsonl"),
        lambda place: as_json_list(place / "d.json"),
        lambda place: packed(as_json_lines(place / "d.jsonl")),
        lambda place: as_arrow_file(place / "d.arrow"),
        lambda place: as_dataset(place / "saved"),
        lambda place: as_dataset(place / "shuffled", [ROWS[2], *ROWS[:2]], chosen=[1, 2, 0]),
        lambda place: as_splits(place / "dict", "test"),
        lambda place: as_splits(place / "dict", "train", "test") / "test",
    ],
    ids=["csv", "tsv", "semicolons", "csv.gz", "jsonl", "json", "jsonl.gz", "arrow", "saved", "shuffled", "one split", "a split"],
)
def test_every_kind_of_table_holds_the_same_columns(tmp_path, written):
    assert read_table(written(tmp_path), "quality.data") == COLUMNS


def test_a_data_set_of_several_splits_is_not_chosen_from(tmp_path):
    with pytest.raises(InputError, match="holds several splits") as ended:
        read_table(as_splits(tmp_path / "dict", "train", "test"), "quality.data")

    assert str(tmp_path / "dict" / "test") in ended.value.hint


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("d.jsonl", '{"a": 1}\n{"a": \n', "line 2: not valid JSON"),
        ("d.jsonl", '{"a": 1}\n{"b": 1}\n', "object 2 has other keys than the first"),
        ("d.jsonl", "[" * 100_000, "line 1: not valid JSON"),
        ("d.jsonl", "", "holds no items"),
        ("d.json", "[1, 2]", "object 1 has other keys than the first, or is none"),
        ("d.txt", "hello", "a kind of file that holds no examples for advisor"),
        ("d.parquet", "PAR1", "not a readable parquet file"),
        ("d.arrow", "ARROW1", "not a readable arrow file"),
    ],
)
def test_what_is_no_table_is_an_error_that_says_where_and_speaks_of_no_other_format(tmp_path, name, content, complaint):
    (tmp_path / name).write_text(content)

    with pytest.raises(InputError, match=complaint) as ended:
        read_table(tmp_path / name, "quality.data")

    assert "pickle" not in f"{ended.value.fault} {ended.value.hint}"


def test_a_folder_without_a_saved_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder without a saved data set"):
        read_table(tmp_path, "quality.data")
