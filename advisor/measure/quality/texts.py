"""Texts -> the ids that a model reads, by the tokenizer beside it. The one doorway to `tokenizers`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from advisor.errors import InputError, MissingDependencyError
from advisor.schema.model import ModelInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The usual names of a column of texts, and of the texts that go with them.
TEXTS = ("text", "texts", "sentence", "sentence1", "premise", "question", "query", "content", "review", "comment", "document")
SECONDS = ("text_pair", "sentence2", "hypothesis", "passage", "context", "answer", "question2")
LONGEST = 1_000_000  # a larger limit is one that nobody set
PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


def tokenizer_beside(model: Path) -> Path | None:
    """Return the tokenizer.json in the checkpoint, beside the model file, or in the folder above an `onnx` folder; None without one."""
    folder = model if model.is_dir() else model.parent
    places = (folder, folder.parent) if folder.name == "onnx" else (folder,)
    return next((place / "tokenizer.json" for place in places if (place / "tokenizer.json").is_file()), None)


def reads_ids(inputs: tuple[ModelInput, ...]) -> bool:
    """Return whether the model reads ids that a tokenizer makes."""
    return any(entry.role == "ids" for entry in inputs)


def columns_of_text(columns: dict[str, list[Any]], others: set[str]) -> tuple[str, ...]:
    """Return the column of texts, and the one of those that go with them, by their names; or the only one that holds texts."""
    texts = [name for name, values in columns.items() if name not in others and all(isinstance(value, str) for value in values)]
    named = [name for wanted in TEXTS for name in texts if name.lower() == wanted]
    seconds = [name for wanted in SECONDS for name in texts if name.lower() == wanted]
    if named:
        return (named[0], *seconds[:1])
    return (texts[0],) if len(texts) == 1 else ()


def tokenize(texts: Sequence[Sequence[str]], model: Path, inputs: tuple[ModelInput, ...], key: str) -> dict[str, np.ndarray]:
    """Return the arrays that the model's inputs ask for, of texts, each with those that go with it.

    Texts are cut to the length that the model takes and padded to the longest of them. Raises InputError where there is no tokenizer.
    """
    path = tokenizer_of(model, key)
    ids = next(entry for entry in inputs if entry.role == "ids")
    fixed = ids.shape[-1] if isinstance(ids.shape[-1], int) else None
    encoded, pad_id = _encoded(texts, path, key, fixed)
    width = fixed or max(1, *(len(entry.ids) for entry in encoded))
    made = {
        "ids": _padded([entry.ids for entry in encoded], width, pad_id),
        "mask": _padded([entry.attention_mask for entry in encoded], width, 0),
        "segment": _padded([entry.type_ids for entry in encoded], width, 0),
        "position": np.tile(np.arange(width, dtype=np.int64), (len(encoded), 1)),
    }
    return {
        entry.name: made[entry.role].astype(entry.dtype)
        for entry in inputs
        if entry.role in made and len(entry.shape) == 2 and (entry.role != "ids" or entry is ids)
    }


def tokenizer_of(model: Path, key: str) -> Path:
    """Return the tokenizer of a model; raise InputError where it has none."""
    path = tokenizer_beside(model)
    if path is None:
        folder = model if model.is_dir() else model.parent
        raise InputError(
            f"{key}: holds texts, but there is no tokenizer.json in {folder}",
            hint="put the tokenizer.json of the model there, or store ids under the names of the model's inputs",
        )
    return path


class Encoded(NamedTuple):
    """Texts as a model reads them, each as long as it is: ids, and to which of two texts each token belongs; and the id that fills up."""

    ids: list[list[int]]
    segments: list[list[int]]
    pad_id: int


def encode(texts: Sequence[Sequence[str]], model: Path, key: str) -> Encoded:
    """Return the tokens of texts, cut to the length that the model takes; raise InputError where it has no tokenizer."""
    encoded, pad_id = _encoded(texts, tokenizer_of(model, key), key, None)
    return Encoded([entry.ids for entry in encoded], [entry.type_ids for entry in encoded], pad_id)


def _encoded(texts: Sequence[Sequence[str]], path: Path, key: str, fixed: int | None) -> tuple[list[Any], int]:
    tokenizer = opened(path, key)
    longest = _longest(path, tokenizer, fixed)
    pad_id = _pad_id(path, tokenizer)
    tokenizer.no_padding()
    if longest is not None:
        tokenizer.enable_truncation(longest)
    return tokenizer.encode_batch([entry[0] if len(entry) == 1 else tuple(entry) for entry in texts]), pad_id


def opened(path: Path, key: str) -> "Tokenizer":
    """Return the tokenizer of a file; raise InputError, about `key`, where it is none, and MissingDependencyError without the package."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingDependencyError(
            f"{key}: holds texts, and to tokenize them needs the package tokenizers", hint="pip install 'serving-advisor[hf]'"
        ) from error
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{path}: not a readable tokenizer ({error})", hint="save it again with save_pretrained") from error


def _padded(rows: list[list[int]], width: int, value: int) -> np.ndarray:
    made = np.full((len(rows), width), value, dtype=np.int64)
    for number, row in enumerate(rows):
        made[number, : len(row)] = row
    return made


def _longest(path: Path, tokenizer: "Tokenizer", fixed: int | None) -> int | None:
    """Return how many tokens the model takes: the least that its shape, its configuration or its tokenizer says; None where none does."""
    positions = _told(path.with_name("config.json")).get("max_position_embeddings")
    if isinstance(positions, int) and _told(path.with_name("config.json")).get("model_type") in (
        "roberta",
        "xlm-roberta",
        "camembert",
    ):
        positions -= 2  # these count positions from the padding id on
    limits = (
        fixed,
        _told(path.with_name("tokenizer_config.json")).get("model_max_length"),
        positions,
        (tokenizer.truncation or {}).get("max_length"),
    )
    return min((int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit <= LONGEST), default=None)


def _pad_id(path: Path, tokenizer: "Tokenizer") -> int:
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    told = _told(path.with_name("tokenizer_config.json")).get("pad_token")
    told = told.get("content") if isinstance(told, dict) else told
    names = (told, *PADS) if isinstance(told, str) else PADS
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), 0)


def _told(path: Path) -> dict[str, Any]:
    """Return what a JSON file of the checkpoint says; it is asked for hints alone, so what cannot be read says nothing."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
