"""Vectors of tokens in the place of an encoder: turned towards the teacher, and served with its inputs and outputs."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.measure.distillation.training import static_student
from advisor.measure.distillation.training.static_student import Texts
from advisor.measure.model import checkpoint
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.quality import texts as encoding
from advisor.measure.runtime import ort_session
from tests.tiny_encoders import SIZES, save_bert, save_texts, sentences

WIDTH = 6


def drawn_texts(seed, count=400, tokens=50):
    random = np.random.default_rng(seed)
    table = random.standard_normal((tokens, WIDTH))
    return random, table, [random.integers(0, tokens, size=random.integers(3, 12)).tolist() for _ in range(count)]


@settings(max_examples=15)
@given(st.integers(0, 2**16))
def test_a_map_that_was_planted_is_found_and_costs_nothing_to_serve(seed):
    random, table, ids = drawn_texts(seed)
    turn, shift = random.standard_normal((WIDTH, WIDTH)), random.standard_normal(WIDTH)
    taught = static_student.means(table, ids) @ turn + shift

    found = static_student.turned(table, Texts(ids, taught))

    cosines = static_student._cosines(static_student.means(found, ids), taught)
    assert cosines.mean() > 0.999


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.floats(0.1, 10.0))
def test_vectors_that_are_right_already_are_only_scaled(seed, factor):
    _, table, ids = drawn_texts(seed)
    taught = factor * static_student.means(table, ids)

    found = static_student.turned(table, Texts(ids, taught))

    np.testing.assert_allclose(factor * table, found, atol=1e-3 * factor)


def test_with_few_texts_the_vectors_stay_near_to_what_they_were():
    """Noise in place of a teacher: what it seems to teach is held back."""
    random, table, ids = drawn_texts(0, count=40)
    taught = static_student.means(table, ids) + 0.3 * random.standard_normal((40, WIDTH))

    found = static_student.turned(table, Texts(ids, taught))

    assert static_student._cosines(found, table).mean() > 0.8


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("model2vec", "optimum", "torch", "transformers")),
    reason="the extras hf and students are not installed",
)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_student_of_an_encoder_takes_its_place(tmp_path, pooling):
    teacher = save_bert(tmp_path / "teacher")
    (teacher / "1_Pooling").mkdir()
    (teacher / "1_Pooling" / "config.json").write_text(f'{{"pooling_mode_cls_token": {str(pooling == "cls").lower()}}}')
    checkpoint.export(teacher, tmp_path / "teacher.onnx")
    facts = inspect_onnx(tmp_path / "teacher.onnx", name="teacher")
    target = tmp_path / "static.onnx"

    found = static_student.fit(teacher, facts, save_texts(tmp_path / "texts.txt", 300), target, 0)

    made = inspect_onnx(target, name="student")
    assert [(it.name, it.dtype) for it in facts.inputs] == [(it.name, it.dtype) for it in made.inputs]
    assert [it.name for it in facts.outputs] == [it.name for it in made.outputs]
    assert made.batching.possible
    assert found.parameters == (len(encoding_vocabulary(teacher))) * SIZES["hidden_size"]
    assert found.outcome.agreement.value > 0.5
    given = encoding.tokenize([(text,) for text in sentences(8)], teacher, facts.inputs, "--data")
    outputs = [
        ort_session.run(ort_session.open_session(path), given)["last_hidden_state"]
        for path in (tmp_path / "teacher.onnx", target)
    ]
    counted = given["attention_mask"][..., np.newaxis]
    vectors = [values[:, 0] if pooling == "cls" else (values * counted).sum(axis=1) / counted.sum(axis=1) for values in outputs]
    assert static_student._cosines(*vectors).mean() > 0.5


def encoding_vocabulary(teacher):
    return encoding.opened(teacher / "tokenizer.json", "a test").get_vocab()
