"""Students cut out of graphs: blocks are found by what they compute, and what is left computes what a model without the others does."""

import importlib.util
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from advisor.errors import InputError, ModelError
from advisor.measure.distillation import checkpoint_students, graph_students
from advisor.measure.distillation.student_names import kept_blocks
from advisor.measure.model import checkpoint
from advisor.measure.runtime.ort_session import open_session, run
from tests import models

WIDTH, VOCABULARY = 8, 40
IDS = {"ids": np.array([[1, 5, 9, 2], [3, 3, 7, 39]], np.int64), "mask": np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int64)}
NEEDS_EXPORT = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("optimum", "torch", "transformers")),
    reason="the extra hf is not installed",
)


def transformer(path, blocks, *, post=True, names=None, seed=0, shape_of=None, heads_apart=True):
    """Write a transformer of these blocks, numbered by their weights; return its path.

    Norms stand behind the sums (`post`) or before the products. `shape_of` is the block whose shape all reshape by; None: each by its own.
    `names` gives tensors other names than their places suggest.
    """
    named = names or (lambda name: name)
    draws = [np.random.default_rng([seed, block]) for block in blocks]
    stored = {"table": np.random.default_rng(seed).standard_normal((VOCABULARY, WIDTH)), "scale": np.full(WIDTH, 1.1), "two": 2.0}
    whole = {"minus_one": [-1], "flat": [0, -1], "axes": [2]}
    nodes = [
        ("Gather", ["table", "ids"], ["embedded"], {}),
        ("LayerNormalization", ["embedded", "scale"], ["x0"], {}),
        ("Cast", ["mask"], ["floats"], {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["floats", "axes"], ["kept"], {}),
    ]
    for place, draw in enumerate(draws):
        of = place if shape_of is None else min(shape_of, place)
        x, end = f"x{place}", f"x{place + 1}"
        stored |= {f"a{place}": draw.standard_normal((WIDTH, WIDTH)), f"b{place}": draw.standard_normal((WIDTH, 2 * WIDTH))}
        stored |= {f"c{place}": draw.standard_normal((2 * WIDTH, WIDTH)), f"n{place}": draw.standard_normal(WIDTH)}
        begin = x if post else f"before{place}"
        nodes += [] if post else [("LayerNormalization", [x, f"n{place}"], [begin], {})]
        nodes += [("Shape", [f"q{of}"], [f"shape{place}"], {})] if of == place else []
        nodes += [
            ("MatMul", [begin, f"a{place}"], [f"q{place}"], {}),
        ]
        nodes = [*nodes[:-2], nodes[-1], nodes[-2]] if of == place else nodes
        nodes += [
            ("Mul", [f"q{place}", "kept"], [f"masked{place}"], {}),
            ("Reshape", [f"masked{place}", "flat"], [f"flat{place}"], {}),
            ("Reshape", [f"flat{place}", f"shape{of}"], [f"back{place}"], {}),
            ("Add", [x, f"back{place}"], [f"sum{place}"], {}),
            ("MatMul", [f"sum{place}", f"b{place}"], [f"inner{place}"], {}),
            ("Relu", [f"inner{place}"], [f"relu{place}"], {}),
            ("MatMul", [f"relu{place}", f"c{place}"], [f"outer{place}"], {}),
            ("Add", [f"sum{place}", f"outer{place}"], [f"last{place}" if post else end], {}),
        ]
        nodes += [("LayerNormalization", [f"last{place}", f"n{place}"], [end], {})] if post else []
    nodes += [("Div", [f"x{len(blocks)}", "two"], ["y"], {})]
    graph = helper.make_graph(
        [
            helper.make_node(kind, [named(it) for it in read], [named(it) for it in made], **given)
            for kind, read, made, given in nodes
        ],
        "g",
        [helper.make_tensor_value_info(named(name), TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info(named("y"), TensorProto.FLOAT, ["batch", "tokens", WIDTH])],
        [
            *(numpy_helper.from_array(np.asarray(values, np.float32), named(name)) for name, values in stored.items()),
            *(numpy_helper.from_array(np.asarray(values, np.int64), named(name)) for name, values in whole.items()),
        ],
    )
    return models.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def outputs(path, feeds=IDS):
    onnx.checker.check_model(str(path), full_check=True)
    return run(open_session(path), feeds)


@pytest.mark.parametrize("post", [True, False])
@pytest.mark.parametrize("shape_of", [None, 0, 2])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_what_is_left_computes_what_a_model_of_these_blocks_does(post, shape_of, wanted, tmp_path):
    whole = transformer(tmp_path / "whole.onnx", range(5), post=post, shape_of=shape_of)
    expected = outputs(transformer(tmp_path / "expected.onnx", kept_blocks(5, wanted), post=post))

    graph_students.cut(whole, wanted, tmp_path / "student.onnx")

    np.testing.assert_array_equal(expected["y"], outputs(tmp_path / "student.onnx")["y"])
    assert 5 == graph_students.count_blocks(whole)
    products = [node for node in onnx.load(tmp_path / "student.onnx").graph.node if node.op_type == "MatMul"]
    assert 3 * wanted == len(products)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(2, 6))
def test_names_decide_nothing(seed, blocks):
    given_names, free = {}, random.Random(seed).sample(range(10**9), 200)

    def named(name):
        return name if name in ("ids", "mask", "y") else given_names.setdefault(name, f"t{free[len(given_names)]}")

    with TemporaryDirectory() as folder:
        path = transformer(Path(folder) / "model.onnx", range(blocks), names=named)

        assert blocks == graph_students.count_blocks(path)


def test_the_last_block_may_end_in_an_output(tmp_path):
    whole = transformer(tmp_path / "whole.onnx", range(3))
    model = onnx.load(whole)
    model.graph.node.pop()  # what stands behind the blocks
    model.graph.output[0].name = "x3"
    models.save(model, whole)

    graph_students.cut(whole, 1, tmp_path / "student.onnx")

    expected = 2 * outputs(transformer(tmp_path / "one.onnx", [0]))["y"]
    np.testing.assert_allclose(expected, outputs(tmp_path / "student.onnx")["x3"], rtol=1e-6)


def test_weights_that_are_stored_once_for_several_blocks_hide_none(tmp_path):
    model = onnx.load(transformer(tmp_path / "plain.onnx", range(4)))
    for name in ("n1", "n3", "b2"):
        (kept,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
        model.graph.initializer.remove(kept)
        model.graph.node.insert(0, helper.make_node("Identity", [f"{name[0]}0"], [name]))
    path = models.save(model, tmp_path / "model.onnx")

    assert 4 == graph_students.count_blocks(path)
    graph_students.cut(path, 1, tmp_path / "student.onnx")
    expected = outputs(transformer(tmp_path / "one.onnx", [0]))["y"]
    np.testing.assert_array_equal(expected, outputs(tmp_path / "student.onnx")["y"])


def test_weights_in_a_second_file_stay_in_one(tmp_path):
    whole = transformer(tmp_path / "whole.onnx", range(4))
    apart = models.save_with_external_data(onnx.load(whole), tmp_path / "apart" / "model.onnx")

    (tmp_path / "made").mkdir()
    graph_students.cut(apart, 2, tmp_path / "made" / "student.onnx")

    graph_students.cut(whole, 2, tmp_path / "student.onnx")
    np.testing.assert_array_equal(outputs(tmp_path / "student.onnx")["y"], outputs(tmp_path / "made" / "student.onnx")["y"])
    assert (tmp_path / "made" / "student.onnx.data").stat().st_size < 0.7 * (
        tmp_path / "apart" / "model.onnx.data"
    ).stat().st_size


def widths_differ():
    return models.build(
        "(float[n, 4] x) => (float[n, 2] y) { a = MatMul(x, w1) b = Relu(a) y = MatMul(b, w2) }",
        models.weights(w1=(4, 6), w2=(6, 2)),
    )


def all_states_are_outputs(path):
    model = onnx.load(transformer(path, range(3)))
    for name in ("x1", "x2"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


@pytest.mark.parametrize("make", [models.lstm, models.forest, models.branches, models.one_number, widths_differ, models.decoder])
def test_a_graph_without_repeated_blocks_has_no_student(make, tmp_path):
    path = models.save(make(), tmp_path / "model.onnx")

    with pytest.raises(ModelError, match="no student of this graph: it repeats no block"):
        graph_students.cut(path, 1, tmp_path / "student.onnx")

    assert not (tmp_path / "student.onnx").exists()


def test_a_block_whose_output_is_asked_for_is_not_left_out(tmp_path):
    path = models.save(all_states_are_outputs(tmp_path / "plain.onnx"), tmp_path / "model.onnx")

    with pytest.raises(ModelError, match="no student of this graph"):
        graph_students.count_blocks(path)


def test_a_graph_that_reads_what_comes_later_has_no_student(tmp_path):
    model = onnx.load(transformer(tmp_path / "plain.onnx", range(3)))
    model.graph.node[5].input[0] = "x3"

    with pytest.raises(ModelError, match="no student of this graph"):
        graph_students.count_blocks(models.save(model, tmp_path / "model.onnx"))


def test_as_many_blocks_as_there_are_are_no_student(tmp_path):
    path = transformer(tmp_path / "model.onnx", range(3))

    with pytest.raises(InputError, match="has 3 blocks, and a student has fewer"):
        graph_students.cut(path, 3, tmp_path / "student.onnx")


@NEEDS_EXPORT
def test_a_graph_cut_to_fewer_layers_gives_what_the_cut_checkpoint_gives(tmp_path):
    import transformers

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 5, "num_attention_heads": 4, "vocab_size": 60}
    transformers.BertModel(transformers.BertConfig(**sizes, max_position_embeddings=40)).save_pretrained(tmp_path / "teacher")
    student = checkpoint_students.cut(tmp_path / "teacher", "layers-3", tmp_path / "student")
    for name, folder in (("whole", tmp_path / "teacher"), ("expected", student)):
        checkpoint.export(folder, tmp_path / f"{name}.onnx")

    graph_students.cut(tmp_path / "whole.onnx", 3, tmp_path / "cut.onnx")

    feeds = {"input_ids": IDS["ids"], "attention_mask": IDS["mask"], "token_type_ids": np.zeros_like(IDS["ids"])}
    expected, actual = (outputs(tmp_path / f"{name}.onnx", feeds) for name in ("expected", "cut"))
    assert expected.keys() == actual.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(values, actual[name], atol=1e-5)
