"""The user's texts that a student learns from, and the part of them that it never does."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.distillation.training import holding_out
from advisor.measure.distillation.training.holding_out import KEY, Counted
from advisor.measure.quality import learned
from advisor.measure.quality.evaluation import LABELS, SLICES
from advisor.measure.quality.tables import read_table
from advisor.measure.quality.texts import columns_of_text

PLAIN = (".txt",)
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
SAVED = ("dataset_dict.json", "state.json")  # in the folder of a data set that `save_to_disk` wrote
WAY_OUT = f"give a text file with one text a line, a table with a column `text` ({', '.join(TABLES)}), or a folder of such files"

Text = tuple[str, ...]  # one, and what goes with it where the model reads pairs


class Texts(NamedTuple):
    """Texts in the order of their files, without repetitions: those to learn from, those held out, and the digest of all."""

    learned: tuple[Text, ...]
    held_out: tuple[Text, ...]
    sha256: str


def read(data: Path) -> Texts:
    """Return the texts of a file or a folder of files; raise InputError where there are none, or too few to hold some back."""
    found = tuple(dict.fromkeys(text for path in _files(data) for text in _texts(path)))
    if not found:
        raise InputError(f"{KEY}: {data}: holds no texts", hint=WAY_OUT)
    held_out = tuple(text for text in found if is_held_out(text))
    others = tuple(text for text in found if not is_held_out(text))
    holding_out.refuse_few(len(others), len(held_out), data, "texts")
    return Texts(others, held_out, hashlib.sha256(b"".join(learned.digest_of_text(text) for text in found)).hexdigest())


def counted(data: Path) -> Counted:
    """Return what the texts of a file or folder are known by; raise InputError as `read` does."""
    found = read(data)
    digests = learned.packed(map(learned.digest_of_text, found.learned))
    return Counted(found.sha256, len(found.learned) + len(found.held_out), len(found.held_out), digests)


def is_held_out(text: Text) -> bool:
    """Return whether a text is one that no student learns from, by the text alone: the same in every run, file and order."""
    return holding_out.is_held_out(learned.digest_of_text(text))


def _files(data: Path) -> Iterable[Path]:
    refuse_special(data, KEY)
    if not data.exists():
        raise InputError(f"{KEY}: {data}: no such file or folder", hint=WAY_OUT)
    if not data.is_dir() or any((data / name).is_file() for name in SAVED):
        return (data,)
    files = sorted(path for path in data.iterdir() if path.is_file() and _kind(path) in (*PLAIN, *TABLES))
    if not files:
        raise InputError(f"{KEY}: {data}: a folder without a file of texts", hint=WAY_OUT)
    return files


def _kind(path: Path) -> str:
    """Return the suffix that says what a file is, that of packing left out."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _texts(path: Path) -> Iterable[Text]:
    refuse_special(path, KEY)
    if _kind(path) in PLAIN and path.suffix != ".gz":
        return _of_lines(path)
    columns = read_table(path, KEY)
    names = columns_of_text(columns, {*LABELS, *SLICES})
    if not names:
        listed = ", ".join(list(columns)[:12]) or "none"
        raise InputError(f"{KEY}: {path}: no column of texts (columns: {listed})", hint="call the column of texts `text`")
    return _stripped(zip(*(columns[name] for name in names), strict=True))


def _of_lines(path: Path) -> Iterable[Text]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{KEY}: {path}: cannot be read ({error})", hint="write it in UTF-8, one text a line") from error
    return _stripped((line,) for line in lines)


def _stripped(rows: Iterable[tuple[Any, ...]]) -> Iterable[Text]:
    """Yield texts without what surrounds them; those that begin with nothing are left out."""
    for row in rows:
        text = tuple(str(part).strip() for part in row)
        if text[0]:
            yield text
