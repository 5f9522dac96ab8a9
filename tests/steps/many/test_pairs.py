"""Many workloads in a folder or in lines: each once, under a name of its own, and what is no line is refused before anything is done."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.schema.overview import OWN_NAMES
from advisor.steps.many.pairs import _id_of, pairs_in, workloads_in

PROFILE = Path("profile.json")


def lines(folder, *entries):
    path = folder / "pairs.jsonl"
    path.write_text("".join(f"{entry if isinstance(entry, str) else json.dumps(entry)}\n" for entry in entries))
    return path


def test_a_line_names_its_files_or_has_the_workload_in_it(tmp_path):
    path = lines(
        tmp_path,
        {"id": "a", "profile": "a/profile.json", "workload": "a/workload.yaml"},
        {"workload": {"name": "inside"}},
        "",
        {"name": "itself"},
    )

    a, inside, itself = pairs_in(path, PROFILE)

    assert ("a", tmp_path / "a/profile.json", tmp_path / "a/workload.yaml", None) == a
    assert ("2", PROFILE, {"name": "inside"}) == (inside.id, inside.profile, inside.content)
    assert ("4", {"name": "itself"}, tmp_path) == (itself.id, itself.content, itself.workload.parent)
    assert "pairs.jsonl:4" == itself.workload.name


def test_a_folder_has_a_pair_for_each_workload_file_in_it(tmp_path):
    for name in ("b.yaml", "team/a.yml", "c.json", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert ["b", "c", "team-a"] == sorted(pair.id for pair in pairs_in(tmp_path, PROFILE))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (({"id": "a", "workload": "w"}, {"id": "a", "workload": "v"}), "'a'"),
        (({"id": "1", "workload": "w"}, "[1]"), "pairs.jsonl:2: no pair"),
        (('{"id": ',), "pairs.jsonl:1: no pair"),
        (({"id": "../up", "workload": "w"},), "pairs.jsonl:1: id: '../up': not a name"),
        (({"workload": "w", "wrokload": 1},), "pairs.jsonl:1: no pair"),
        ((), "holds no workloads"),
    ],
)
def test_what_is_no_pair_is_refused_before_the_first(tmp_path, entries, said):
    with pytest.raises(InputError, match=said):
        pairs_in(lines(tmp_path, *entries), PROFILE)


@pytest.mark.parametrize(
    "make", [lambda folder: folder / "nowhere.jsonl", lambda folder: folder / "w.yaml", lambda folder: folder]
)
def test_what_holds_no_workloads_is_refused(tmp_path, make):
    with pytest.raises(InputError):
        pairs_in(make(tmp_path), PROFILE)


def test_a_workload_without_a_profile_is_refused_where_one_is_needed_and_taken_where_none_is(tmp_path):
    path = lines(tmp_path, {"name": "itself"})

    with pytest.raises(InputError, match="no profile"):
        pairs_in(path, None)
    assert ["1"] == [pair.id for pair in workloads_in(path)]


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_no_name_of_a_file_leads_out_of_the_folder_of_advice(name):
    made = _id_of(Path(name))

    assert made and "/" not in made and not made.startswith(".") and len(made) <= 100


@pytest.mark.parametrize("id_", sorted(OWN_NAMES))
def test_no_pair_is_called_as_a_file_beside_all_of_them(tmp_path, id_):
    (tmp_path / f"{id_}.yaml").write_text("name: w\n")

    for where in (lines(tmp_path, {"id": id_, "workload": {"name": "w"}}), tmp_path):
        with pytest.raises(InputError, match="the name of a file beside all of them"):
            pairs_in(where, PROFILE)


def test_what_is_not_there_is_not_called_another_kind_of_file(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        pairs_in(tmp_path / "nowhere", PROFILE)
