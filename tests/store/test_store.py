"""A store in a folder: whole entries or none, many writers, nothing damaged taken for whole, nothing outside of it touched."""

import multiprocessing
import os
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError, MissingDependencyError
from advisor.store import cloud
from advisor.store.keys import canonical, entry_sha256
from advisor.store.store import GRACE_S, Store, is_name, open_store
from tests.stores import FILES, LATER, NOW, content_of, key, opened

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path):
    return opened(tmp_path / "store")[0]


def put(store: Store, asked="asked", files=FILES, created=NOW, **changed):
    return store.put(key(asked, **changed), files, created=created)


def files_in(tmp_path, part):
    return sorted(path for path in (tmp_path / "store" / part).rglob("*") if path.is_file())


def aged(tmp_path, age_s):
    for path in files_in(tmp_path, "content"):
        os.utime(path, (time.time() - age_s,) * 2)


def test_what_is_put_is_found_and_fetched_as_it_was(tmp_path, store):
    (tmp_path / "weights").write_bytes(b"w" * 1000)

    entry = put(store, files=FILES | {"variants/fp32.onnx": tmp_path / "weights"})

    assert entry == opened(tmp_path / "store")[0].find(key())
    assert store.fetch(entry, tmp_path / "out")
    assert FILES | {"variants/fp32.onnx": b"w" * 1000} == content_of(tmp_path / "out")


def test_what_was_not_put_is_not_there(tmp_path, store):
    put(store)

    assert store.find(key("other")) is None
    assert () == opened(tmp_path / "empty")[0].entries()


def test_equal_contents_lie_there_once(tmp_path, store):
    put(store, "one")
    put(store, "two")

    assert 2 == len(store.entries())
    assert len(FILES) == len(files_in(tmp_path, "content"))


def test_entries_are_listed_by_kind_and_model_the_youngest_first(store):
    old, new = put(store, "old"), put(store, "new", created=LATER)
    other = put(store, "other", model_sha256="b" * 64, created=LATER)
    advice = put(store, kind="advice", machine=None)

    assert (new, old) == store.entries("profile", model_sha256="a" * 64)
    assert (advice,) == store.entries("advice")
    assert {it.key_sha256 for it in (old, new, other, advice)} == {it.key_sha256 for it in store.entries()}
    assert {it.key_sha256 for it in (old, new, advice)} == {it.key_sha256 for it in store.entries(model_sha256="a" * 64)}


# --- damage --------------------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_a_damaged_record_is_absent_and_that_is_told(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    store, warnings = opened(folder / "store")
    put(store)
    (path,) = files_in(folder, "index")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.sampled_from(["cut", "flip"]))
    damaged = whole[:place] if damage == "cut" else whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    path.write_bytes(damaged)

    assert store.find(key()) is None
    if b'"schema_version":2' not in damaged:  # which is another version's, and no fault
        assert 1 == len(warnings) and "absent" in warnings[0]


@pytest.mark.parametrize("damage", ["gone", "cut short", "another bit"])
def test_a_damaged_content_makes_its_entry_absent_and_is_written_anew(tmp_path, damage):
    store, warnings = opened(tmp_path / "store")
    entry = put(store)
    path = next(path for path in files_in(tmp_path, "content") if path.read_bytes() == FILES["variants/int8.onnx"])
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "cut short" else b"W" + content[1:])

    assert not store.fetch(entry, tmp_path / "out")
    assert {} == content_of(tmp_path / "out")
    assert store.find(key()) is None
    assert all("variants/int8.onnx" in warning for warning in warnings) and warnings
    assert store.fetch(put(store), tmp_path / "out")
    assert FILES == content_of(tmp_path / "out")


def test_a_record_under_the_name_of_another_is_none(tmp_path):
    store, warnings = opened(tmp_path / "store")
    put(store)
    (path,) = files_in(tmp_path, "index")
    other = put(store, "other")
    path.write_bytes(canonical(other))

    assert store.find(key()) is None
    assert "not what its name says" in warnings[0]


@pytest.mark.parametrize(
    "name", ["../out", "/etc/passwd", "a/../../b", "a//b", "", "a\\b", "line\nbreak", "\u202eevil", "x" * 300]
)
def test_no_name_leads_out_of_the_folder_or_shows_as_another(tmp_path, store, name):
    assert not is_name(name)
    with pytest.raises(InputError, match="no name of a file"):
        put(store, files={name: b"x"})
    entry = put(store)
    (path,) = files_in(tmp_path, "index")
    forged = msgspec.structs.replace(entry, files=(msgspec.structs.replace(entry.files[0], name=name or "."),))
    path.write_bytes(canonical(msgspec.structs.replace(forged, sha256=entry_sha256(forged))))

    assert store.find(key()) is None
    assert () == store.entries()


def test_links_in_the_folder_are_neither_read_nor_written_through(tmp_path, store):
    entry = put(store)
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    content, record = files_in(tmp_path, "content")[0], files_in(tmp_path, "index")[0]
    for path in (content, record):
        path.unlink()
        path.symlink_to(outside)

    assert store.find(key()) is None
    assert not store.fetch(entry, tmp_path / "out")
    again = put(store)

    assert b"mine" == outside.read_bytes()
    assert store.fetch(again, tmp_path / "out")


def test_a_folder_in_the_store_that_leads_out_of_it_is_not_written_into(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "store" / "content").symlink_to(tmp_path / "outside")

    with pytest.raises(InputError, match="leads out of the store"):
        put(opened(tmp_path / "store")[0])
    assert [] == os.listdir(tmp_path / "outside") or all(not names for _, _, names in os.walk(tmp_path / "outside"))


def test_a_pipe_in_the_place_of_a_content_holds_nobody_up(tmp_path, store):
    entry = put(store)
    path = files_in(tmp_path, "content")[0]
    path.unlink()
    os.mkfifo(path)

    assert not store.fetch(entry, tmp_path / "out")


# --- many writers --------------------------------------------------------------------------------------------------------------


def writing(place: str, number: int, begin) -> None:
    store = open_store(place)
    begin.wait()
    for turn in range(10):
        mine = {"profile.json": f"{number} {turn}".encode() * 50, "variants/shared.onnx": b"same" * 1000}
        store.put(key("contested"), mine, created=NOW)
        store.put(key(("own", number, turn)), mine, created=NOW)
        found = store.find(key("contested"))
        assert found is not None and {file.name for file in found.files} == set(mine)


def test_four_writers_at_once_leave_whole_entries(tmp_path):
    context = multiprocessing.get_context("fork")
    begin = context.Barrier(4)
    writers = [context.Process(target=writing, args=(str(tmp_path / "store"), number, begin)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store, warnings = opened(tmp_path / "store")

    entries = store.entries()

    assert [0, 0, 0, 0] == [writer.exitcode for writer in writers]
    assert 41 == len(entries)
    assert all(store.fetch(entry, tmp_path / "out" / str(place)) for place, entry in enumerate(entries))
    assert [] == warnings
    assert all(len(path.name) in (64, 69) for part in ("content", "index") for path in files_in(tmp_path, part))


# --- removal -------------------------------------------------------------------------------------------------------------------


def now_s(days):
    return 1_795_939_200.0 + days * DAY_S  # of NOW


def test_old_entries_go_and_contents_that_nothing_names_after_a_day(tmp_path, store):
    put(store, "old", {"a": b"old", "b": b"both"})
    young = put(store, "young", {"b": b"both"}, created=LATER)

    first = store.remove(older_than_s=10 * DAY_S, now_s=now_s(31))
    aged(tmp_path, GRACE_S + 60)
    second = store.remove(older_than_s=10 * DAY_S, now_s=now_s(31))

    assert (1, 0, 0) == first
    assert (0, 1, 3) == second
    assert (young,) == store.entries()
    assert store.fetch(young, tmp_path / "out")


def test_removal_of_one_kind_leaves_the_others(store):
    put(store, kind="advice")
    profile = put(store)

    assert 1 == store.remove(older_than_s=0, now_s=now_s(1), kind="advice").entries
    assert (profile,) == store.entries()


def test_a_content_that_is_used_again_is_young_again(tmp_path, store):
    put(store, "old")
    aged(tmp_path, 2 * GRACE_S)
    store.remove(older_than_s=0, now_s=now_s(1))
    again = put(store, "again", created=LATER)
    aged(tmp_path, 2 * GRACE_S)
    put(store, "third", created=LATER)

    (tmp_path / "store" / "index" / "profile").rename(tmp_path / "hidden")  # no entry names the contents for this moment

    assert 0 == store.remove(older_than_s=DAY_S, now_s=now_s(31)).files
    (tmp_path / "hidden").rename(tmp_path / "store" / "index" / "profile")
    assert store.fetch(again, tmp_path / "out")


def test_a_removal_between_contents_and_record_of_a_writer_loses_nothing(tmp_path):
    """The removal looks at an old content just before the writer renews it, and takes it away just after."""
    store, _ = opened(tmp_path / "store")
    put(store, "old")
    aged(tmp_path, 2 * GRACE_S)
    store.remove(older_than_s=0, now_s=now_s(1))
    put(store, "old")
    bucket = store._bucket

    class Racing:
        """The place of the store, in which one removal comes in between."""

        def __init__(self):
            self.left = 1

        def write(self, name, content):
            bucket.write(name, content)
            if name.startswith("index/") and self.left:
                self.left = 0
                for path in files_in(tmp_path, "content"):
                    path.unlink()

        def __getattr__(self, name):
            return getattr(bucket, name)

    store._bucket = Racing()

    entry = put(store, "new")

    assert store.fetch(entry, tmp_path / "out")


def test_what_an_entry_of_another_version_names_stays(tmp_path):
    store, warnings = opened(tmp_path / "store")
    put(store)
    (path,) = files_in(tmp_path, "index")
    path.write_bytes(path.read_bytes().replace(b'"schema_version":3', b'"schema_version":4,"more":[1]'))
    aged(tmp_path, 2 * GRACE_S)

    assert store.find(key()) is None and () == store.entries()
    assert (0, 0, 0) == store.remove(older_than_s=0, now_s=now_s(365))
    assert [] == warnings


def test_a_damaged_record_goes_in_the_end_and_what_it_named_with_it(tmp_path, store):
    put(store)
    (path,) = files_in(tmp_path, "index")
    path.write_bytes(path.read_bytes()[:-3])
    aged(tmp_path, 2 * GRACE_S)

    young = store.remove(older_than_s=0, now_s=now_s(365))
    os.utime(path, (time.time() - 2 * GRACE_S,) * 2)
    old = store.remove(older_than_s=0, now_s=now_s(365))

    assert (0, 0) == young[:2]
    assert (1, 2) == old[:2]


def test_an_entry_that_is_written_anew_meanwhile_stays(tmp_path, store):
    put(store)
    bucket = store._bucket

    class Racing:
        """The place of the store, in which a writer comes in after the first look at all records."""

        def __init__(self):
            self.reads = 0

        def read(self, names, most_bytes):
            found = bucket.read(names, most_bytes)
            self.reads += 1
            if self.reads == 1:
                put(opened(tmp_path / "store")[0], created=LATER)
            return found

        def __getattr__(self, name):
            return getattr(bucket, name)

    store._bucket = Racing()

    assert 0 == store.remove(older_than_s=0, now_s=now_s(10)).entries
    assert LATER == opened(tmp_path / "store")[0].find(key()).created


def test_what_is_not_the_stores_own_is_left_alone(tmp_path, store):
    put(store)
    for name in ("mine.txt", "content/mine", "content/aa/notes.txt", "index/profile/mine.json"):
        (tmp_path / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / name).write_text("mine")
        os.utime(tmp_path / "store" / name, (0, 0))

    store.remove(older_than_s=0, now_s=now_s(365))

    assert 4 == sum(path.read_bytes() == b"mine" for path in (tmp_path / "store").rglob("*") if path.is_file())


# --- addresses -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "http://x/y", "s3://", "s3:///", "ftp://a/b", "file://relative", "s3://a/../b", "gs://a//b"])
def test_an_address_where_no_store_can_be_is_refused(url):
    with pytest.raises(InputError) as refused:
        open_store(url)

    assert "s3://" in refused.value.hint


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(InputError, match="not a folder"):
        open_store(str(tmp_path / "file"))


def test_a_path_and_its_address_are_the_same_store(tmp_path):
    put(opened(tmp_path / "store")[0])

    assert opened(f"file://{tmp_path}/store")[0].find(key()) is not None


@pytest.mark.parametrize("scheme", list(cloud.PROVIDERS))
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, scheme):
    monkeypatch.setitem(__import__("sys").modules, cloud.PROVIDERS[scheme].package, None)

    with pytest.raises(MissingDependencyError) as refused:
        open_store(f"{scheme}://bucket/prefix")

    assert f"serving-advisor[store-{scheme}]" in refused.value.hint and "pip install" in refused.value.hint


def test_a_folder_that_cannot_be_written_is_an_error_of_two_lines(tmp_path):
    (tmp_path / "store").write_text("")
    (tmp_path / "store").unlink()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "content").write_text("in the way")

    with pytest.raises(InputError) as refused:
        put(opened(tmp_path / "store")[0])

    assert "content" in refused.value.fault and refused.value.hint
