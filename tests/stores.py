"""Stores for tests: a folder, keys and what lies under them, and a bucket of a server on loopback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from advisor.schema.store import Key
from advisor.store.keys import digest_of
from advisor.store.store import Store, open_store

NOW = "2026-11-29T08:00:00+00:00"
LATER = "2026-12-29T08:00:00+00:00"
BUCKET = "team"
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


@contextlib.contextmanager
def bucket() -> Iterator[str]:
    """Yield the address of a bucket of a server on loopback, reached as S3 is: by what stands in the environment.

    A test is left out where what the server is made of, or what reaches it, is not installed.
    """
    s3fs = pytest.importorskip("s3fs", reason="the extra store-s3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto and flask, which the server is made of, are not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()  # it may answer 500 where two write at once, as S3 itself does at times: clients try again
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*running.get_host_and_port()))
        s3fs.S3FileSystem.clear_instance_cache()  # those of a server before reach that one
        s3fs.S3FileSystem(use_listings_cache=False).makedirs(BUCKET, exist_ok=True)
        yield f"s3://{BUCKET}"
        running.stop()
