"""Values in the formats of exports: whatever a text holds, it is read back as it was, and nothing in it is anything but a text."""

import ast
import re
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from advisor.tell.deploy.escapes import literal, quoted, slug, word
from tests.inert.test_record import HOSTILE

texts = st.sampled_from([text for text in HOSTILE if "\udcff" not in text]) | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner) | st.lists(inner).map(tuple),
    max_leaves=12,
)


@given(values)
def test_a_literal_means_the_value_and_holds_no_character_that_means_anything_elsewhere(value):
    written = literal(value)

    assert value == ast.literal_eval(written)
    assert written.isascii() and not re.search(r"[<>&`$%#@;*|~^!?]", written)


@given(st.dictionaries(texts, texts, max_size=3))
def test_no_text_in_a_literal_opens_what_a_template_engine_reads(value):
    inside = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal(value)))

    assert not set("{}<>'`") & set(inside)


@given(texts)
def test_a_text_of_protobuf_is_plain_and_read_back_as_it_was(text):
    written = quoted(text)

    assert written.isascii() and written.isprintable()
    assert text.encode() == ast.literal_eval(f"b{written}")


@given(texts)
def test_a_name_for_machines_is_a_label_of_dns(text):
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", slug(text))


def test_a_name_keeps_what_can_be_kept():
    assert ["fashion-dscnn", "m-3-layers", "model", "model"] == [
        slug(it) for it in ("Fashion_DSCNN.onnx", "3 layers", "模型.onnx", "")
    ]


def test_words_reach_a_program_as_they_are():
    told = [
        text
        for text in (*HOSTILE, "plain", "it's", '{"a": "$HOME"}', "\x1b[31m", "\u202e", "é\n`id`")
        if not {"\0", "\udcff"} & set(text)
    ]
    script = "printf '%s\\0' " + " ".join(map(word, told))

    ran = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})

    assert told == ran.stdout.decode().split("\0")[:-1]
    assert script.isascii() and script.isprintable()
