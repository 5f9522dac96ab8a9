"""Examples in tables -> one list a column: CSV, JSON lines, parquet, and data sets as Hugging Face's `datasets` saves them.

The one doorway to `pyarrow`.
"""

import csv
import io
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.disk.reading import refuse_special
from advisor.errors import InputError, MissingDependencyError
from advisor.measure.sizes import archives

if TYPE_CHECKING:
    from pyarrow import Table

DELIMITERS = ",;\t|"
JSON_LINES = (".jsonl", ".ndjson", ".json")
KINDS = ".npz, .csv, .tsv, .jsonl, .parquet, .arrow, the folder of a saved data set, or module:function"
LINES = "write one JSON object a line, all with the same keys"
TABLE = "write a header line, then one line for each item"
CELL_BYTES = 8  # of a table that is packed: a number
SAVED = "save it with save_to_disk of the package datasets"

Columns = dict[str, list[Any]]


def read_table(path: Path, key: str) -> Columns:
    """Return the columns of a table; raise InputError that names `key` for what is none."""
    refuse_special(path, key)
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if path.is_dir():
        return _read_dataset(path, key)
    if suffix in (".csv", ".tsv"):
        return _read_csv(path, key)
    if suffix in JSON_LINES:
        return _read_json_lines(path, key)
    if suffix in (".parquet", ".arrow"):
        return _plain(_read_arrow(path, key))
    raise InputError(f"{key}: {path}: a kind of file that holds no examples for advisor", hint=f"give {KINDS}")


def _text(path: Path, key: str, way_out: str) -> str:
    try:
        return archives.unpacked(path, key).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{key}: {path}: cannot be read ({error})", hint=way_out) from error


def _read_csv(path: Path, key: str) -> Columns:
    file = io.StringIO(_text(path, key, TABLE), newline="")
    delimiter = max(DELIMITERS, key=file.readline().count)
    file.seek(0)
    try:
        reader = csv.reader(file, delimiter=delimiter)
        header = next(reader, [])
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise InputError(f"{key}: {path}: cannot be read ({error})", hint=TABLE) from error
    wrong = next((number for number, line in enumerate(lines, 2) if len(line) != len(header)), None)
    if not lines or wrong is not None or len(set(header)) < len(header):
        fault = (
            "holds no items" if not lines else f"line {wrong} has another number of columns" if wrong else "names a column twice"
        )
        raise InputError(f"{key}: {path}: {fault}", hint=TABLE)
    return {name: _values([line[place] for line in lines]) for place, name in enumerate(header)}


def _values(cells: list[str]) -> list[Any]:
    """Return the cells of a column as numbers or lists of numbers where all of them are, else as they stand there."""
    for read in (float, _list):
        try:
            return [read(cell) for cell in cells]
        except (ValueError, RecursionError):
            continue
    return list(cells)


def _list(cell: str) -> list[Any]:
    if not cell.startswith("["):
        raise ValueError("no list")
    found: list[Any] = json.loads(cell)
    return found


def _read_json_lines(path: Path, key: str) -> Columns:
    """Return the columns of one object a line, or of one list of objects."""
    content = _text(path, key, LINES)
    is_list = content.lstrip().startswith("[")
    rows = list(_parsed([(1, content)] if is_list else enumerate(content.splitlines(), 1), path, key))
    items = rows[0][1] if is_list else [entry for _, entry in rows]
    if not items:
        raise InputError(f"{key}: {path}: holds no items", hint=LINES)
    wrong = next(
        (number for number, entry in enumerate(items, 1) if not isinstance(entry, dict) or entry.keys() != items[0].keys()), None
    )
    if wrong is not None:
        raise InputError(f"{key}: {path}: object {wrong} has other keys than the first, or is none", hint=LINES)
    return {name: [entry[name] for entry in items] for name in items[0]}


def _parsed(lines: Iterable[tuple[int, str]], path: Path, key: str) -> Iterable[tuple[int, Any]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:  # a number of too many digits is no JSONDecodeError
            line_number, fault = number, "nested too deep" if isinstance(error, RecursionError) else str(error)
            if isinstance(error, json.JSONDecodeError):
                line_number, fault = number - 1 + error.lineno, f"{error.msg}, column {error.colno}"
            raise InputError(f"{key}: {path}: line {line_number}: not valid JSON ({fault})", hint=LINES) from error


# --- what needs pyarrow -----------------------------------------------------------------------------------------------------


def _read_arrow(path: Path, key: str) -> "Table":
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise MissingDependencyError(
            f"{key}: {path}: reading {path.suffix.lstrip('.')} needs pyarrow",
            hint="pip install 'serving-advisor[parquet]', or write a .csv or .npz file",
        ) from error
    refuse_special(path, key)
    try:
        with path.open("rb") as file:
            if path.suffix == ".parquet":
                held = parquet.read_metadata(file)
                groups = (held.row_group(number) for number in range(held.num_row_groups))
                cells = CELL_BYTES * held.num_rows * held.num_columns
                needed = max(cells, sum(group.total_byte_size for group in groups))
                archives.refuse_large(needed, path, key, copies=archives.TABLE_COPIES)
                file.seek(0)
                return parquet.read_table(file)
            # An arrow file begins with its name; a data set is saved as the stream without it.
            is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            return (ipc.open_file(file) if is_file else ipc.open_stream(file)).read_all()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{key}: {path}: not a readable {path.suffix.lstrip('.')} file ({error})", hint="write it with pyarrow or pandas"
        ) from error


def _plain(table: "Table") -> Columns:
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _read_dataset(folder: Path, key: str) -> Columns:
    """Return the columns of a data set that `save_to_disk` wrote, or of the only split of several."""
    splits = _described(folder / "dataset_dict.json", key).get("splits", [])
    if len(splits) > 1:
        names = ", ".join(str(folder / name) for name in splits)
        raise InputError(f"{key}: {folder}: holds several splits", hint=f"name one of {names}")
    if splits:
        return _read_dataset(folder / str(splits[0]), key)
    state = _described(folder / "state.json", key)
    table = _joined(folder, state.get("_data_files"), key)
    if table is None:
        raise InputError(f"{key}: {folder}: a folder without a saved data set in it", hint=SAVED)
    chosen = _joined(folder, state.get("_indices_files"), key)
    return _plain(table if chosen is None else table.take(chosen.column(0)))


def _described(path: Path, key: str) -> dict[str, Any]:
    """Return what one of the data set's own JSON files says, nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{key}: {path}: not valid JSON ({error})", hint=SAVED) from error
    return found if isinstance(found, dict) else {}


def _joined(folder: Path, files: object, key: str) -> "Table | None":
    names = [str(entry.get("filename")) for entry in files or () if isinstance(entry, dict)] if isinstance(files, list) else []
    tables = [_read_arrow(folder / Path(name).name, key) for name in names]
    if not tables:
        return None
    import pyarrow

    return pyarrow.concat_tables(tables)
