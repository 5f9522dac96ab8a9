"""A model that draws random numbers, written without its draws: steady, of the same shapes and types, inside of loops too."""

import numpy as np
import pytest

from advisor.measure.model import random_nodes
from advisor.measure.runtime import ort_session
from tests import models
from tests.models import WIDTH, save

DRAWS = ("RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")


@pytest.mark.parametrize("store", [save, models.save_with_external_data])
@pytest.mark.parametrize("wrap", [lambda model: model, models.in_function])
@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_left_answers_alike_with_outputs_as_before(tmp_path, draw, wrap, store):
    source, target = store(wrap(models.random(draw)), tmp_path / "random.onnx"), tmp_path / "steady" / "steady.onnx"
    target.parent.mkdir()
    feeds = {"x": np.random.default_rng(0).standard_normal((5, WIDTH)).astype(np.float32)}

    random_nodes.write_without(source, target)

    before, session = ort_session.run(ort_session.open_session(source), feeds)["y"], ort_session.open_session(target)
    first, second = (ort_session.run(session, feeds)["y"] for _ in range(2))
    assert (before.shape, before.dtype) == (first.shape, first.dtype)
    np.testing.assert_array_equal(first, second)


def test_a_draw_inside_a_loop_is_held_fixed_too(tmp_path):
    model = models.build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{
            y = Loop(three, yes, x) <body = body (int64 turn, bool go, float[n, {WIDTH}] state)
                => (bool again, float[n, {WIDTH}] next) {{
                    again = Identity(go) noise = RandomNormalLike(state) next = Add(state, noise) }}>
        }}""",
        {"yes": np.array(True), "three": np.array(3)},
    )

    random_nodes.write_without(save(model, tmp_path / "random.onnx"), tmp_path / "steady.onnx")

    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_array_equal(x, ort_session.run(ort_session.open_session(tmp_path / "steady.onnx"), {"x": x})["y"])
