"""The same store in a bucket: `s3://` against a server on loopback."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from advisor.errors import InputError
from advisor.store import store as stores
from advisor.store.cloud import modified_s
from tests.stores import FILES, LATER, NOW, bucket, content_of, key, opened

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def endpoint():
    with bucket() as place:
        yield place


@pytest.fixture
def url(endpoint, request):
    return f"{endpoint}/{request.node.name}"


def test_what_is_put_is_found_fetched_and_removed_as_in_a_folder(tmp_path, url):
    store, warnings = opened(url)
    (tmp_path / "weights").write_bytes(b"w" * 1000)

    nothing = store.find(key()), store.entries()
    entry = store.put(key(), FILES | {"variants/fp32.onnx": tmp_path / "weights"}, created=NOW)
    young = store.put(key("young"), FILES, created=LATER)

    assert (None, ()) == nothing
    assert entry == opened(url)[0].find(key())
    assert (young, entry) == opened(url)[0].entries("profile")
    assert store.fetch(entry, tmp_path / "out")
    assert FILES | {"variants/fp32.onnx": b"w" * 1000} == content_of(tmp_path / "out")
    assert (1, 0, 0) == store.remove(older_than_s=10 * DAY_S, now_s=datetime.fromisoformat(LATER).timestamp())
    assert (young,) == store.entries()
    assert [] == warnings


def test_contents_that_nothing_names_go_after_a_day(monkeypatch, url):
    store, _ = opened(url)
    store.put(key("old"), {"a": b"old", "b": b"both"}, created=NOW)
    young = store.put(key("young"), {"b": b"both"}, created=LATER)

    monkeypatch.setattr(stores.time, "time", lambda now=time.time: now() + 2 * DAY_S)

    assert (1, 1, 3) == store.remove(older_than_s=10 * DAY_S, now_s=datetime.fromisoformat(LATER).timestamp())
    assert young == store.find(key("young"))


def test_a_damaged_object_makes_its_entry_absent_and_is_written_anew(tmp_path, url):
    store, warnings = opened(url)
    entry = store.put(key(), FILES, created=NOW)
    damaged = next(file for file in entry.files if file.name == "profile.json")
    store._bucket.write(f"content/{damaged.sha256[:2]}/{damaged.sha256}", b"x" * damaged.bytes)

    assert not store.fetch(entry, tmp_path / "out")
    assert {} == content_of(tmp_path / "out")
    assert "profile.json" in warnings[0]
    assert store.find(key()) is None
    assert store.fetch(store.put(key(), FILES, created=NOW), tmp_path / "out")


def test_a_record_that_is_cut_short_is_absent(url):
    store, warnings = opened(url)
    entry = store.put(key(), FILES, created=NOW)
    store._bucket.write(f"index/profile/{entry.key.model_sha256}/{entry.key_sha256}.json", b'{"schema_version": 3, "key"')

    assert (None, ()) == (store.find(key()), store.entries())
    assert "absent" in warnings[0]


def test_four_writers_at_once_leave_whole_entries(tmp_path, url):
    begin = threading.Barrier(4)

    def write(number):
        store = opened(url)[0]
        begin.wait()
        for turn in range(2):
            mine = {"profile.json": f"{number} {turn}".encode() * 50, "variants/shared.onnx": b"same" * 1000}
            store.put(key("contested"), mine, created=NOW)
            store.put(key(("own", number, turn)), mine, created=NOW)
            assert store.find(key("contested")) is not None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    store, warnings = opened(url)
    entries = store.entries()

    assert 9 == len(entries)
    assert all(store.fetch(entry, tmp_path / str(place)) for place, entry in enumerate(entries))
    assert [] == warnings


def test_a_bucket_that_is_not_there_is_refused_before_anything_is_measured(endpoint):
    with pytest.raises(InputError, match="nobodys/x: the store cannot be used") as refused:
        opened("s3://nobodys/x")

    assert "bucket" in refused.value.hint


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"LastModified": datetime(2026, 11, 29, tzinfo=UTC)}, 1_795_910_400.0),  # s3fs
        ({"last_modified": datetime(2026, 11, 29, tzinfo=UTC)}, 1_795_910_400.0),  # adlfs
        ({"updated": "2026-11-29T00:00:00.000Z", "mtime": None}, 1_795_910_400.0),  # gcsfs
        ({"mtime": 1_795_910_400.5}, 1_795_910_400.5),
        ({"updated": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_age_of_an_object_is_read_from_what_any_of_the_packages_lists(info, expected):
    assert expected == modified_s(info)
