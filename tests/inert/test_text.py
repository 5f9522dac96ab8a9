"""Text of others: one line, nothing unseen in it, and nothing that a format takes for its own."""

import unicodedata

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from advisor.inert.text import inert, inert_cell, inert_json, inert_lines, inert_markdown

# Cc, Cf: control characters and marks that have no width or turn the direction; Cs: half characters; Zl, Zp: they end a line.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
hostile = st.text(
    st.characters() | st.sampled_from("\0\a\b\t\n\r\x1b\x7f\x85\xad\u200b\u200e\u200f\u202a\u202e\u2028\u2066\u2069\ufeff")
)


@given(st.text(st.characters(exclude_categories=[])) | hostile)
def test_nothing_unseen_is_left(text):
    shown = inert(text)

    assert not {unicodedata.category(character) for character in shown} & UNSEEN
    assert len(shown.splitlines()) <= 1


@given(hostile)
def test_it_is_inert_already_the_second_time(text):
    assert inert(text) == inert(inert(text))


@pytest.mark.parametrize("text", ["", "model.onnx", "a b", "größe 中文 ✓ 5 µs", "C:\\models", "e\u0301"])
def test_what_everybody_sees_stays(text):
    assert text == inert(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202eexe.onnx", r"\u202eexe.onnx"),
        ("\udcff", r"\udcff"),
        ("a\0", r"a\x00"),
        ("a\xa0b", r"a\xa0b"),
    ],
)
def test_what_nobody_sees_is_its_escape(text, expected):
    assert expected == inert(text)


def test_lines_stay_lines():
    assert "a\nb\\r\n\\tc" == inert_lines("a\nb\r\n\tc")


@given(st.text(st.characters(exclude_categories=["Cs"])) | hostile)
def test_json_says_the_same_without_anything_unseen(text):
    content = msgspec.json.encode({text.encode("utf-8", "replace").decode(): 1})

    shown = inert_json(content)

    assert msgspec.json.decode(content) == msgspec.json.decode(shown)
    assert not {unicodedata.category(character) for character in shown.decode()} & UNSEEN


@given(hostile)
@example("=1+1")
@example("@SUM(A1)")
@example("-2+3")
@example("\t=1+1")
def test_no_cell_begins_a_formula(text):
    assert not inert_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("> quote", r"\> quote"),
        ("a | b", r"a \| b"),
        ("[a](b)", r"\[a\](b)"),
        ("<b>&lt;", "&lt;b>&amp;lt;"),
        ("see https://a.b", r"see https\://a.b"),
        ("www.a.b", r"www\.a.b"),
        ("a@b.c", r"a\@b.c"),
        ("---", r"\---"),
        ("a\n# b", r"a\\n# b"),
        ("-$12", "-$12"),
        ("12.5 ms", "12.5 ms"),
        ("#3", "#3"),
    ],
)
def test_markdown_shows_it_letter_by_letter(text, expected):
    assert expected == inert_markdown(text)
