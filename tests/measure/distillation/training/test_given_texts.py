"""The user's texts: found in files of any kind, each once, and always on the same side."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.measure.distillation.training import given_texts
from advisor.measure.quality import learned
from tests.tiny_encoders import save_texts, sentences


def write_json_lines(path, texts, **more):
    path.write_text("".join(json.dumps({"text": text} | more) + "\n" for text in texts))
    return path


def test_a_text_file_a_table_and_a_folder_of_both_hold_the_same_texts(tmp_path):
    texts = sentences()
    lines = save_texts(tmp_path / "texts.txt")
    table = write_json_lines(tmp_path / "table.jsonl", texts, label=1)

    expected = given_texts.read(lines)

    assert {(text,) for text in texts} == {*expected.learned, *expected.held_out}
    assert expected == given_texts.read(table)
    assert expected.sha256 != given_texts.read(save_texts(tmp_path / "other.txt", seed=1)).sha256
    (tmp_path / "other.txt").unlink()
    assert sorted(expected.learned) == sorted(given_texts.read(tmp_path).learned)


def test_pairs_of_texts_stay_pairs(tmp_path):
    texts = sentences()
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"question": text, "passage": text[::-1]}) + "\n" for text in texts))

    found = given_texts.read(path)

    assert {(text, text[::-1]) for text in texts} == {*found.learned, *found.held_out}


@given(st.permutations(sentences(60)), st.integers(0, 30))
def test_a_text_is_on_the_same_side_whatever_stands_around_it(order, left_out):
    expected = {text for text in sentences(60) if given_texts.is_held_out((text,))}

    assert {text for text in order[left_out:] if given_texts.is_held_out((text,))} == expected & set(order[left_out:])


def test_texts_that_come_again_or_hold_nothing_are_left_out(tmp_path):
    path = save_texts(tmp_path / "texts.txt")
    once = given_texts.read(path)
    path.write_text(path.read_text() * 2 + "\n   \n")

    assert once == given_texts.read(path)


def test_what_texts_are_known_by_is_of_all_of_them(tmp_path):
    path = save_texts(tmp_path / "texts.txt")
    found = given_texts.read(path)

    counted = given_texts.counted(path)

    assert (found.sha256, 120, len(found.held_out)) == counted[:3]
    assert learned.packed(map(learned.digest_of_text, found.learned)) == counted.learned


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("absent.csv", None, "no such file"),
        ("empty.txt", "\n \n", "holds no texts"),
        ("empty.csv", "text\n", "holds no items"),
        ("numbers.csv", "a,b\n1,2\n", r"no column of texts \(columns: a, b\)"),
        ("two.csv", "one,other\nx,y\n", r"no column of texts \(columns: one, other\)"),
        ("few.txt", "a cat\na dog\n", "2 different texts"),
        ("binary.txt", b"\xff\xfe\x00", "cannot be read"),
        ("model.bin", "text", "a kind of file that holds no examples"),
    ],
)
def test_what_holds_no_texts_is_refused_by_its_name(tmp_path, name, content, fault):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(InputError, match=f"{name}.*{fault}"):
        given_texts.read(path)


def test_a_folder_without_texts_is_refused(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"")

    with pytest.raises(InputError, match="a folder without a file of texts"):
        given_texts.read(tmp_path)
