"""Outputs: whole or not at all, through links and into devices, and over nothing but an older output of the same kind."""

import errno
import hashlib
import os
import pty
import stat
import threading
from functools import cache
from pathlib import Path

import pytest

from advisor.disk import kinds, writing
from advisor.disk.kinds import ADVICE, HTML, MARKDOWN, PROFILE, TEXT
from advisor.disk.writing import check_new, check_output, check_writable, copy_output, write_atomically, write_new, write_output
from advisor.errors import InputError, NobodyReads
from advisor.files.records import to_json
from advisor.tell.report import render
from tests.profiles import power_law, profile
from tests.tell.advice_examples import change
from tests.tell.documents import classification, portfolio

PROFILED, ADVISED = to_json(profile(power_law(0.01))), to_json(change())


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- whole or not at all -------------------------------------------------------------------------------------------------


def test_a_file_appears_with_its_folders_and_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "file.txt", b"whole")

    assert {"file.txt": b"whole"} == content_of(tmp_path / "a" / "b")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_new_file_is_as_readable_as_the_umask_says(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "file.txt", b"")
        assert mask == os.umask(mask)
    finally:
        os.umask(before)

    assert 0o666 & ~mask == stat.S_IMODE((tmp_path / "file.txt").stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o604])
def test_an_older_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    path.chmod(mode)

    write_atomically(path, b"new")

    assert (b"new", mode) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may give files away")
def test_an_older_file_keeps_its_owner(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)

    write_atomically(path, b"new")

    assert (12345, 23456) == (path.stat().st_uid, path.stat().st_gid)


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path):
    path = tmp_path / ("n" * 255)

    write_atomically(path, b"whole")

    assert b"whole" == path.read_bytes()


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("step", ["fdopen", "fchmod", "replace"])
def test_a_write_that_is_cut_short_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step, fault):
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(writing.os, step, fail)
    with pytest.raises((InputError, KeyboardInterrupt)) as raised:
        write_atomically(path, b"new")

    assert {"file.txt": b"old"} == content_of(tmp_path)
    if isinstance(raised.value, InputError):
        assert (f"{path}: cannot write there ({fault.strerror})", True) == (raised.value.fault, "space" in raised.value.hint)


def test_what_a_killed_process_had_begun_to_write_is_removed_by_the_next(tmp_path):
    (tmp_path / ".advisor-0123abcd.partial").write_bytes(b"half")
    (tmp_path / ".advisor-settings").write_bytes(b"the user's own")

    write_atomically(tmp_path / "file.txt", b"whole")

    assert {".advisor-settings", "file.txt"} == set(content_of(tmp_path))


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    handle, name = writing._claimed(tmp_path)

    write_atomically(tmp_path / "file.txt", b"whole")

    assert os.path.exists(name)
    os.close(handle)


# --- where they go -------------------------------------------------------------------------------------------------------


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file.txt", tmp_path / "link"
    target.write_bytes(b"old")
    (tmp_path / "middle").symlink_to("elsewhere/file.txt")
    link.symlink_to("middle")

    write_atomically(link, b"new")

    assert link.is_symlink() and b"new" == target.read_bytes()
    assert {"file.txt"} == set(content_of(tmp_path / "elsewhere"))


@pytest.fixture
def device():
    """A device that nobody can put a file in the place of, however wrong the code."""
    ours, terminal = pty.openpty()
    yield Path(os.ttyname(terminal)), ours
    os.close(ours)
    os.close(terminal)


def test_a_device_is_written_into_and_stays_one(device):
    path, other_end = device

    write_output(path, b"shown", PROFILE)

    assert (b"shown", True) == (os.read(other_end, 100), stat.S_ISCHR(path.stat().st_mode))


def test_a_device_that_is_full_is_told_by_name(device, monkeypatch):
    def fail(handle, _):
        os.close(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_pour", fail)

    with pytest.raises(InputError, match=rf"{device[0]}: cannot write there \(No space left on device\)"):
        write_output(device[0], b"more", PROFILE)


def test_a_pipe_is_written_into(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()

    write_output(path, b"x" * 200_000, PROFILE)
    reader.join(timeout=30)

    assert [b"x" * 200_000] == read and stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_an_open_descriptor_is_written_into_where_it_stands(tmp_path, name):
    with (tmp_path / "log").open("ab") as file:
        file.write(b"before\n")
        file.flush()
        write_output(Path(name.format(file.fileno())), b"between\n", PROFILE)
        file.write(b"after\n")

    assert {"log": b"before\nbetween\nafter\n"} == content_of(tmp_path)


def test_a_reader_that_has_gone_away_is_no_fault_of_the_place():
    reading, writing_end = os.pipe()
    os.close(reading)

    with pytest.raises(NobodyReads):
        write_atomically(Path(f"/dev/fd/{writing_end}"), b"x")

    os.close(writing_end)


@pytest.mark.parametrize(
    "name", ["file/profile.json", "file/deeper/profile.json", "folder", "dangling", "circle", "/dev/fd/9999", "n" * 256]
)
def test_a_place_that_cannot_be_written_is_refused_beforehand_and_when_it_comes_to_it(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere/file")
    (tmp_path / "circle").symlink_to("circle")
    before = sorted(tmp_path.rglob("*"))

    for attempt in (check_writable, lambda path: write_atomically(path, b"new"), lambda path: check_output(path, PROFILE)):
        with pytest.raises(InputError, match="cannot write there"):
            attempt(tmp_path / name)

    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="this user may write everywhere")
def test_what_is_protected_is_left_alone(tmp_path):
    path = tmp_path / "report.html"
    write_output(path, b'<meta name="generator" content="serving-advisor 1">', HTML)
    path.chmod(0o444)

    with pytest.raises(InputError, match="write-protected"):
        check_writable(path)
    path.chmod(0o644)
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="cannot write there"):
        check_writable(path)
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("name", ["profile.json", "new/folders/profile.json", "file"])
def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path, name):
    (tmp_path / "file").write_text("to be replaced")

    check_writable(tmp_path / name)

    assert ["file"] == [path.name for path in tmp_path.iterdir()]


# --- what they replace ---------------------------------------------------------------------------------------------------

# What is rendered is a call: every process of the tests collects this module, and one runs it.
OURS = {
    "a profile": (PROFILE, lambda: PROFILED),
    "a profile that was cut short": (PROFILE, lambda: PROFILED[: len(PROFILED) // 2]),
    "advice": (ADVICE, lambda: ADVISED),
    "a report of advice in JSON": (ADVICE, lambda: render(change(), "json").encode()),
    "an HTML report": (HTML, lambda: render(change(), "html").encode()),
    "a Markdown report": (MARKDOWN, lambda: render(change(), "md").encode()),
    "a text report": (TEXT, lambda: render(change(), "text").encode() + TEXT.ends.encode()),
    "a classification": (kinds.CLASSIFICATION, lambda: render(classification(), "json").encode()),
    "a classification in HTML": (HTML, lambda: render(classification(), "html").encode()),
    "a classification in Markdown": (MARKDOWN, lambda: render(classification(), "md").encode()),
    "a plan of a portfolio": (kinds.PORTFOLIO, lambda: render(portfolio(), "json").encode()),
    "a table": (kinds.table("table", ("a", "b")), lambda: b"b,a\r\n1,2\r\n"),
    "an empty file": (PROFILE, lambda: b""),
}
THEIRS = {
    "a model": b"\x08\x0a\x12\x07pytorch:\x0a",
    "a workload": b"name: w\ntraffic: {requests_per_s: 1}\n",
    "JSON of theirs": b'{"schema_version": 3, "name": "mine"}',
    "an HTML page": b"<!doctype html><html><head><title>serving-advisor</title></head></html>",
    "notes": b"# How we use serving-advisor\n\nEvery week.\n",
    "a letter": b"Dear advisor,\n(serving-advisor)\nand so on\n",
    "a table of other columns": b"a,b,c\n1,2,3\n",
    "an archive": b"PK\x03\x04" + bytes(100),
    "zeros": bytes(10_000),
}
KINDS = {kind.what: kind for kind, _ in OURS.values()}


@cache
def ours(what):
    """Return the content of one of OURS."""
    return OURS[what][1]()


@pytest.mark.parametrize("what", OURS)
def test_an_older_output_of_the_same_kind_is_replaced(tmp_path, what):
    kind, _ = OURS[what]
    path = tmp_path / "out"
    path.write_bytes(ours(what))

    write_output(path, b"new", kind)

    assert b"new" + kind.ends.encode() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", THEIRS)
def test_nothing_else_is(tmp_path, kind, what):
    path = tmp_path / "out"
    path.write_bytes(THEIRS[what])

    with pytest.raises(InputError, match=f"{path}: holds something else than an older {kind} of advisor") as raised:
        write_output(path, b"new", KINDS[kind])

    assert {"out": THEIRS[what]} == content_of(tmp_path)
    assert "--fresh" not in raised.value.hint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", OURS)
def test_nor_an_output_of_another_kind(tmp_path, kind, what):
    path = tmp_path / "out"
    path.write_bytes(ours(what))
    are_same = OURS[what][0].what == kind or what == "an empty file"

    try:
        check_output(path, KINDS[kind])
    except InputError:
        assert not are_same
    else:
        assert are_same


def same(path):
    return path


def hard_link(path):
    path.with_name("other").hardlink_to(path)
    return path.with_name("other")


def soft_link(path):
    path.with_name("other").symlink_to(path)
    return path.with_name("other")


def other_spelling(path):
    return path.parent / ".." / path.parent.name / path.name


@pytest.mark.parametrize("name", [same, hard_link, soft_link, other_spelling])
def test_an_input_is_never_an_output_whatever_it_is_called(tmp_path, name):
    path = tmp_path / "profile.json"
    path.write_bytes(PROFILED)

    with pytest.raises(InputError, match="is an input of this command"):
        write_output(name(path), PROFILED, PROFILE, inputs=(tmp_path / "nowhere", path))

    assert PROFILED == path.read_bytes()


@pytest.mark.parametrize("name", ["x.journal", "advice.load-tests", "profile.variants", ".profile.lock"])
def test_names_of_what_lies_beside_outputs_are_no_outputs(tmp_path, name):
    with pytest.raises(InputError, match=f"names that end in {os.path.splitext(name)[1]} are kept"):
        check_output(tmp_path / name, PROFILE)


# --- what is never replaced ----------------------------------------------------------------------------------------------


def test_a_new_file_is_written_where_nothing_is(tmp_path):
    write_new(tmp_path / "new" / "file", b"whole")

    assert {"file": b"whole"} == content_of(tmp_path / "new")


@pytest.mark.parametrize("there", ["a file", "an empty file", "a folder", "a dangling link"])
def test_a_new_file_takes_the_place_of_nothing(tmp_path, there):
    path = tmp_path / "file"
    if there == "a folder":
        path.mkdir()
    elif there == "a dangling link":
        path.symlink_to("nowhere")
    else:
        path.write_text("mine" if there == "a file" else "")

    for attempt in (check_new, lambda path: write_new(path, b"new")):
        with pytest.raises(InputError, match="is there already"):
            attempt(path)

    assert ["file"] == os.listdir(tmp_path) and not (tmp_path / "nowhere").exists()


def test_a_new_file_that_cannot_be_finished_is_removed(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_pour", fail)
    with pytest.raises(InputError, match="No space left"):
        write_new(tmp_path / "file", b"new")

    assert [] == os.listdir(tmp_path)


def test_a_copy_takes_the_place_of_what_an_export_wrote_and_of_nothing_else(tmp_path):
    source, target = tmp_path / "source", tmp_path / "folder" / "copy"
    source.write_bytes(b"new")
    of = {content: hashlib.sha256(content).hexdigest() for content in (b"new", b"old")}

    copy_output(target, source, kinds.exported(of[b"new"], None))
    target.write_bytes(b"old")
    copy_output(target, source, kinds.exported(of[b"new"], of[b"old"]))
    assert b"new" == target.read_bytes()

    target.write_bytes(b"mine")
    with pytest.raises(InputError, match="not overwritten"):
        copy_output(target, source, kinds.exported(of[b"new"], of[b"old"]))
    with pytest.raises(InputError, match="is an input"):
        copy_output(source, source, kinds.exported(of[b"new"]))
    assert (b"mine", b"new") == (target.read_bytes(), source.read_bytes())
