"""A tokenizer that knows no words: one and the same token of any text, written where none is."""

import numpy as np
import pytest

from advisor.measure.generation.openvino import without_words


def test_it_makes_the_same_token_of_any_text(tmp_path):
    openvino = pytest.importorskip("openvino")

    without_words.write(tmp_path)

    model = openvino.Core().read_model(tmp_path / without_words.FILE)
    assert [openvino.Type.string] == [entry.element_type for entry in model.inputs]
    assert [{name} for name in without_words.OUTPUTS] == [entry.names for entry in model.outputs]
    for result in model.get_results():
        np.testing.assert_array_equal(np.zeros((1, 1)), result.input_value(0).get_node().data)


def test_one_that_is_there_stays(tmp_path):
    own = tmp_path / without_words.FILE
    own.write_text("the user's")

    without_words.write(tmp_path)

    assert "the user's" == own.read_text()
