"""Stores for tests: a folder, keys and what lies under them."""

from pathlib import Path
from typing import Any

from advisor.schema.store import Key
from advisor.store.keys import digest_of
from advisor.store.store import Store, open_store

NOW = "2026-11-29T08:00:00+00:00"
LATER = "2026-12-29T08:00:00+00:00"
FILES = {"profile.json": b'{"a": 1}\n', "variants/int8.onnx": b"weights" * 100}


def key(asked: Any = "asked", **changed: Any) -> Key:
    known: dict[str, Any] = {
        "kind": "profile",
        "model_sha256": "a" * 64,
        "machine": "c7i.xlarge",
        "asked_sha256": digest_of(asked),
        "versions": {"advisor": "1", "onnxruntime": "2"},
    }
    return Key(**(known | changed))


def opened(place: Path | str) -> tuple[Store, list[str]]:
    """Return a store and the warnings that it gives."""
    warnings: list[str] = []
    return open_store(str(place), warn=warnings.append), warnings


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
