"""`advisor store` as a user runs it: what is listed, fetched and removed, and what is refused."""

import json
import os
import re
import shlex
import time
from pathlib import Path

import pytest

from advisor.files.records import write_record
from tests.damage import ended, is_refusal
from tests.profiles import fixed_cost_law, profile
from tests.stores import FILES, LATER, NOW, content_of, key, opened
from tests.tell.advice_examples import change

ROOT = Path(__file__).parents[2]


@pytest.fixture
def entries(tmp_path):
    store, _ = opened(tmp_path / "store")
    return [
        store.put(key(), FILES, created=NOW),
        store.put(key(kind="advice", machine=None), {"advice.json": b"{}"}, created=LATER, stands_on="d" * 64),
    ]


def test_entries_are_a_line_each_the_youngest_first(tmp_path, entries):
    status, out, err = ended("store", "list", "store", cwd=tmp_path)

    head, advice, profile = out.splitlines()
    assert (0, "") == (status, err)
    assert ["key", "kind", "made"] == head.split()[:3]
    assert [entries[1].key_sha256[:12], "advice", "2026-12-29"] == advice.split()[:3] and "d" * 12 in advice
    assert [entries[0].key_sha256[:12], "profile", "2026-11-29"] == profile.split()[:3] and profile.endswith("c7i.xlarge")


def test_as_json_entries_are_whole(tmp_path, entries):
    status, out, _ = ended("store", "list", "store", "--kind", "profile", "--format", "json", cwd=tmp_path)

    (entry,) = json.loads(out)["entries"]
    assert (0, entries[0].key_sha256) == (status, entry["key_sha256"])
    assert set(FILES) == {file["name"] for file in entry["files"]}


def test_an_entry_is_fetched_by_the_first_digits_of_its_key(tmp_path, entries):
    status, out, _ = ended("store", "get", "store", entries[0].key_sha256[:8], "-o", "got", cwd=tmp_path)

    assert (0, True) == (status, out.startswith("got: profile "))
    assert FILES == content_of(tmp_path / "got")


def test_nothing_is_overwritten(tmp_path, entries):
    (tmp_path / "profile.json").write_text("mine")

    status, _, err = ended("store", "get", "store", entries[0].key_sha256, cwd=tmp_path)

    assert is_refusal(status, err)
    assert "mine" == (tmp_path / "profile.json").read_text() and not (tmp_path / "variants").exists()


def test_old_entries_are_removed_and_that_is_told(tmp_path, entries):
    ran = ended("store", "rm", "store", "--older-than", "10d", "--now", LATER, cwd=tmp_path)
    for path in (tmp_path / "store" / "content").rglob("*"):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    again = ended("store", "rm", "store", "--older-than", "10d", "--now", LATER, cwd=tmp_path)

    assert (0, "1 entry removed, and 0 files that nothing names any more (0 B)\n", "") == ran
    assert again[1].startswith("0 entries removed, and 2 files that nothing names any more (709 B)")
    assert entries[1:] == list(opened(tmp_path / "store")[0].entries())


def test_a_damaged_entry_is_a_note_beside_the_list(tmp_path, entries):
    for path in (tmp_path / "store" / "index" / "profile").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:-5])

    status, out, err = ended("store", "list", "store", cwd=tmp_path)

    assert (0, 2) == (status, len(out.splitlines()))
    assert err.startswith("note: ") and "absent" in err and 1 == len(err.splitlines())


@pytest.mark.parametrize("arguments", [("list",), ("get", "abcdef"), ("rm", "--older-than", "1d")])
def test_a_store_that_is_not_there_is_not_an_empty_one(tmp_path, arguments):
    status, _, err = ended("store", arguments[0], "misspelt", *arguments[1:], cwd=tmp_path)

    assert is_refusal(status, err) and "misspelt: no such folder" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "http://somewhere"),
        ("list", "store/file"),
        ("get", "store", "abc"),
        ("get", "store", "ffffffffffff"),
        ("get", "store", "../../etc"),
        ("rm", "store"),
        ("rm", "store", "--older-than", "-1d"),
        ("rm", "store", "--older-than", "long"),
        ("rm", "store", "--older-than", "1d", "--kind", "model"),
    ],
)
def test_what_cannot_be_meant_is_two_lines(tmp_path, entries, arguments):
    (tmp_path / "store" / "file").write_text("")

    status, _, err = ended("store", *arguments, cwd=tmp_path)

    assert is_refusal(status, err)


def page():
    text = (ROOT / "docs" / "store.md").read_text()
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


def test_the_commands_of_the_page_run_in_their_order(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "advice").mkdir()
    write_record(tmp_path / "profile.json", profile(fixed_cost_law(0.002, 0.004), batch_sizes=(1, 4)))
    write_record(tmp_path / "advice" / "advice.json", change())
    (tmp_path / "workload.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 100}\nslo: {latency_s: 500 ms}\nhardware: {price_usd_per_hour: {local: 0.17}}\n"
    )
    ran = {}
    for line in page():
        program, *words = shlex.split(line)
        assert "advisor" == program
        if words[0] == "recommend":  # measures; what it shares is looked at in tests/steps/shared
            continue
        now = () if words[:2] == ["store", "list"] else ("--now", NOW)
        ran[" ".join(words[:2])] = ended(*words, *now, cwd=tmp_path)

    assert {"store list": 0, "store rm": 0, "check advice/advice.json": 0, "advise profile.json": 0} == {
        name: status for name, (status, _, _) in ran.items()
    }
    assert 2 == len(ran["store list"][1].splitlines()) and " advice " in ran["store list"][1]
