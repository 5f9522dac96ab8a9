"""Reading an ONNX file: weights are found wherever they are stored, what is broken is refused by name."""

import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from advisor.errors import InputError, ModelError
from advisor.measure.model.onnx_graph import is_still, read_graph, readers_of
from tests import models
from tests.models import CLASSES, MLP_PARAMETERS, VOCABULARY, WIDTH, save

STORAGES = {
    "initializers": lambda path: save(models.mlp(), path),
    "initializers that are listed as inputs": lambda path: save(models.with_listed_initializers(models.mlp(opset=8)), path),
    "Constant nodes": lambda path: save(models.with_constant_nodes(models.mlp()), path),
    "Constant nodes of a function": lambda path: save(models.in_function(models.with_constant_nodes(models.mlp())), path),
    "arguments of a function": lambda path: save(models.in_function(models.mlp()), path),
    "a second file": lambda path: models.save_with_external_data(models.mlp(), path),
    "a second file, read by Constant nodes": lambda path: models.save_with_external_data(
        models.with_constant_nodes(models.mlp()), path
    ),
}
STORED_APART = {
    "initializers": models.mlp,
    "Constant nodes": lambda: models.with_constant_nodes(models.mlp()),
    "branches": models.branches,
}


def only_input(model, path):
    (entry,) = read_graph(save(model, path)).inputs
    return entry


@pytest.fixture(params=STORAGES.values(), ids=STORAGES.keys())
def stored(request, tmp_path):
    return request.param(tmp_path / "model.onnx")


@pytest.fixture(params=STORED_APART.values(), ids=STORED_APART.keys())
def stored_apart(request, tmp_path):
    return models.save_with_external_data(request.param(), tmp_path / "model.onnx")


def test_weights_count_the_same_wherever_they_are_stored(stored, tmp_path):
    plain = read_graph(save(models.mlp(), tmp_path / "plain.onnx"))

    graph = read_graph(stored)

    assert (MLP_PARAMETERS, 4 * MLP_PARAMETERS) == (graph.parameters, graph.weight_bytes)
    assert plain.weights_sha256 == graph.weights_sha256


def test_operators_and_inputs_are_the_same_wherever_weights_are_stored(stored):
    graph = read_graph(stored)

    assert {"Add": 2, "MatMul": 2, "Relu": 1} == graph.operators
    assert ["x"] == [entry.name for entry in graph.inputs]
    assert {"Add": 4 * (16 + CLASSES), "MatMul": 4 * 16 * (WIDTH + CLASSES)} == graph.weight_bytes_of


@pytest.mark.parametrize(("model", "matrices"), [(models.branches(), 2), (models.loop(), 1)], ids=["If", "Loop"])
def test_weights_of_subgraphs_are_counted(model, matrices, tmp_path):
    graph = read_graph(save(model, tmp_path / "model.onnx"))

    assert matrices * WIDTH**2 == graph.parameters
    assert matrices == graph.operators["MatMul"]


def test_of_a_sparse_weight_only_the_stored_values_count(tmp_path):
    graph = read_graph(save(models.sparse(), tmp_path / "model.onnx"))

    assert (3, 12) == (graph.parameters, graph.weight_bytes)
    assert ["x"] == [entry.name for entry in graph.inputs]


@pytest.mark.parametrize(("dtype", "size"), [("float16", 2), ("float", 4), ("double", 8)])
def test_a_weight_takes_the_bytes_of_its_type(dtype, size, tmp_path):
    graph = read_graph(save(models.mlp(dtype=dtype), tmp_path / "model.onnx"))

    assert size * MLP_PARAMETERS == graph.weight_bytes


def test_shapes_and_indices_are_no_weights(tmp_path):
    graph = read_graph(save(models.fixed_reshape(), tmp_path / "model.onnx"))

    assert (0, 0, {}) == (graph.parameters, graph.weight_bytes, graph.weight_bytes_of)


def test_a_list_of_floats_in_a_constant_is_a_weight(tmp_path):
    model = models.build("(float[n, 3] x) => (float[n, 3] y) { w = Constant <value_floats = [1.0, 2.0, 3.0]> () y = Add(x, w) }")

    assert 3 == read_graph(save(model, tmp_path / "model.onnx")).parameters


def test_the_second_file_belongs_to_size_and_identity(tmp_path):
    path = models.save_with_external_data(models.mlp(), tmp_path / "model.onnx")
    data = tmp_path / "model.onnx.data"
    before = read_graph(path)
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\x80\x3f")

    after = read_graph(path)

    assert path.stat().st_size + data.stat().st_size == before.file_bytes
    assert before.sha256 != after.sha256
    assert before.weights_sha256 != after.weights_sha256


def test_a_function_counts_at_each_of_its_calls(tmp_path):
    model = models.in_function(models.build(f"(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{ y = Relu(x) }}"))
    first, second = model.graph.node[0], helper.make_node("Network", ["z"], ["y"], domain="local")
    first.output[0] = "z"
    model.graph.node.append(second)

    assert {"Relu": 2} == read_graph(save(model, tmp_path / "model.onnx")).operators


# --- files that are broken -----------------------------------------------------------------------------------------------


def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path):
    content = models.mlp().SerializeToString()
    path = tmp_path / "model.onnx"

    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=re.escape(str(path))):
            read_graph(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(1000),
        b"a letter to the editor, of some length\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 1234\n",
        b"PK\x03\x04" + bytes(26),
        np.random.default_rng(0).bytes(4096),
    ],
    ids=["empty", "zeros", "text", "git-lfs pointer", "zip", "noise"],
)
def test_what_is_no_onnx_file_is_refused_by_name(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(str(path))):
        read_graph(path)


@pytest.mark.parametrize("name", ["model.pb", "model.json", "model.onnxtxt", "model"])
def test_the_suffix_does_not_decide_how_a_file_is_read(name, tmp_path):
    assert MLP_PARAMETERS == read_graph(save(models.mlp(), tmp_path / name)).parameters


def test_a_path_to_nothing_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.onnx: no such file"):
        read_graph(tmp_path / "nowhere.onnx")


def test_a_missing_second_file_is_named_together_with_the_first(stored_apart):
    (stored_apart.parent / "model.onnx.data").unlink()

    with pytest.raises(ModelError, match=rf"{re.escape(str(stored_apart))}: .*model\.onnx\.data") as caught:
        read_graph(stored_apart)
    assert str(stored_apart.parent) in caught.value.hint


def test_a_second_file_cut_short_is_named_with_the_weight_that_it_lacks(stored_apart):
    (stored_apart.parent / "model.onnx.data").write_bytes(b"\0\0\0\0")

    with pytest.raises(ModelError, match=rf"{re.escape(str(stored_apart))}: the values of '\w+' cannot be read"):
        read_graph(stored_apart)


def test_a_second_file_is_not_sought_outside_the_folder(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    models.save_with_external_data(models.mlp(), inside / "model.onnx")
    shutil.move(inside, outside)
    model = models.mlp()
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        tensor.external_data.add(key="location", value="../outside/model.onnx.data")

    with pytest.raises(ModelError, match="points outside the directory"):
        read_graph(save(model, inside / "model.onnx"))


def test_a_weight_with_too_few_bytes_is_refused_by_name(tmp_path):
    model = models.mlp()
    model.graph.initializer[0].raw_data = b"\0\0\0"

    with pytest.raises(ModelError, match="the values of 'w1' cannot be read"):
        read_graph(save(model, tmp_path / "model.onnx"))


def test_an_input_that_declares_no_shape_is_refused_by_name(tmp_path):
    model = models.mlp()
    model.graph.input[0].type.tensor_type.ClearField("shape")

    with pytest.raises(ModelError, match="input 'x' declares no shape"):
        read_graph(save(model, tmp_path / "model.onnx"))


# --- what the readers of an input give away --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes",
    [("batch", WIDTH), ("unk__12", WIDTH), (None, WIDTH), (3,), ()],
    ids=["named", "as tf2onnx", "open", "fixed", "scalar"],
)
def test_sizes_are_numbers_names_or_unknown(sizes, tmp_path):
    model = models.relu("float[n] x")
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, sizes))

    assert sizes == only_input(model, tmp_path / "model.onnx").shape


@given(st.lists(st.one_of(st.sampled_from([0, -1, 1 << 40]), st.integers(-(1 << 63), (1 << 63) - 1)), max_size=6))
def test_a_size_below_zero_is_free_and_any_other_is_that_size(tmp_path_factory, sizes):
    model = models.mlp()
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    for size in sizes:
        model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = size

    expected = tuple(None if size < 0 else size for size in sizes)

    assert expected == only_input(model, tmp_path_factory.mktemp("sizes") / "model.onnx").shape


def test_the_vocabulary_is_that_of_the_table_which_the_input_indexes(tmp_path):
    graph = read_graph(save(models.two_tables(), tmp_path / "model.onnx"))

    assert {"user": 30, "item": 70, "mask": None} == {entry.name: entry.vocabulary for entry in graph.inputs}


def test_of_two_tables_the_smaller_bounds_the_ids(tmp_path):
    model = models.build(
        "(int64[n] ids) => (float[n, 2] y) { a = Gather(large, ids) b = Gather(small, ids) y = Add(a, b) }",
        models.weights(large=(9, 2), small=(4, 2)),
    )

    assert 4 == only_input(model, tmp_path / "model.onnx").vocabulary


def test_a_table_outside_is_found_by_the_branch_that_reads_it(tmp_path):
    model = models.build(
        """(int64[n] ids) => (float[n, 2] y) <bool choose = {1}> {
            y = If (choose) <
                then_branch = t () => (float[n, 2] a) { a = Gather(table, ids) },
                else_branch = e () => (float[n, 2] b) { b = Gather(table, ids) }
            >
        }""",
        models.weights(table=(9, 2)),
    )

    assert 9 == only_input(model, tmp_path / "model.onnx").vocabulary


def test_a_table_inside_a_function_is_found(tmp_path):
    model = models.in_function(models.with_constant_nodes(models.embedding(sequence_first=True)))

    assert VOCABULARY == only_input(model, tmp_path / "model.onnx").vocabulary


def test_the_states_of_a_recurrent_operator_are_known(tmp_path):
    graph = read_graph(save(models.lstm(), tmp_path / "model.onnx"))

    assert {"x": False, "h0": True, "c0": True} == {entry.name: entry.is_state for entry in graph.inputs}


def test_a_scalar_is_known_by_the_constants_that_it_is_compared_with(tmp_path):
    graph = read_graph(save(models.switched(), tmp_path / "model.onnx"))

    assert {"x": (), "rate": (16000, 8000)} == {entry.name: entry.compared_with for entry in graph.inputs}


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("float", np.float32(-np.inf)), ("float", np.float32(np.nan)), ("string", np.array("cat", dtype=object))],
    ids=["infinity", "nan", "text"],
)
def test_a_comparison_with_something_else_than_a_whole_number_says_nothing(dtype, value, tmp_path):
    model = models.build(f"({dtype}[n, 2] x) => (bool[n, 2] y) {{ y = Equal(x, other) }}", {"other": value}, opset=19)

    assert () == only_input(model, tmp_path / "model.onnx").compared_with


# --- trees -------------------------------------------------------------------------------------------------------------------


def tree(nodes_nodeids, nodes_truenodeids, nodes_falsenodeids, nodes_modes):
    count = len(nodes_nodeids)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_treeids=[0] * count,
        nodes_nodeids=nodes_nodeids,
        nodes_truenodeids=nodes_truenodeids,
        nodes_falsenodeids=nodes_falsenodeids,
        nodes_modes=nodes_modes,
        nodes_featureids=[0] * count,
        nodes_values=[0.5] * count,
        target_treeids=[0],
        target_nodeids=[nodes_nodeids[-1]],
        target_ids=[0],
        target_weights=[1.0],
        n_targets=1,
    )
    model = models.build("(float[n, 1] x) => (float[n, 1] y) { y = Relu(x) }", domains={"ai.onnx.ml": 3})
    model.graph.node[0].CopyFrom(node)
    return model


@pytest.mark.parametrize(
    ("nodes", "comparisons"),
    [
        (([0], [0], [0], ["LEAF"]), 0.0),
        (([0, 1, 2], [1, 0, 0], [2, 0, 0], ["BRANCH_LEQ", "LEAF", "LEAF"]), 1.0),
        # Leaves at depth 1, 2 and 2.
        (([0, 1, 2, 3, 4], [1, 0, 3, 0, 0], [2, 0, 4, 0, 0], ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]), 5 / 3),
        # The same, numbered from seven.
        (([7, 8, 9, 10, 11], [8, 0, 10, 0, 0], [9, 0, 11, 0, 0], ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]), 5 / 3),
    ],
)
def test_a_tree_costs_a_comparison_for_each_level_to_a_leaf_of_mean_depth(nodes, comparisons, tmp_path):
    graph = read_graph(save(tree(*nodes), tmp_path / "model.onnx"))

    assert {"TreeEnsembleRegressor": comparisons} == graph.classical_flop


@pytest.mark.parametrize(
    ("nodes", "comparisons"),
    [
        # The two branches of each node: to a leaf or to another node.
        ({"trueleafs": [1], "falseleafs": [1], "truenodeids": [0], "falsenodeids": [1]}, 1.0),
        ({"trueleafs": [1, 1], "falseleafs": [0, 1], "truenodeids": [0, 1], "falsenodeids": [1, 2]}, 5 / 3),
    ],
)
def test_a_tree_of_the_newer_kind_costs_the_same(nodes, comparisons, tmp_path):
    count = len(nodes["trueleafs"])
    model = models.build("(float[n, 1] x) => (float[n, 1] y) { y = Relu(x) }", domains={"ai.onnx.ml": 5})
    model.graph.node[0].CopyFrom(
        helper.make_node(
            "TreeEnsemble",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            tree_roots=[0],
            nodes_featureids=[0] * count,
            nodes_modes=numpy_helper.from_array(np.zeros(count, np.uint8)),
            nodes_splits=numpy_helper.from_array(np.full(count, 0.5, np.float32)),
            leaf_targetids=[0] * (count + 1),
            leaf_weights=numpy_helper.from_array(np.ones(count + 1, np.float32)),
            n_targets=1,
            **{f"nodes_{name}": values for name, values in nodes.items()},
        )
    )

    graph = read_graph(save(model, tmp_path / "model.onnx"))

    assert {"TreeEnsemble": comparisons} == graph.classical_flop
    assert 2 * count + 1 == graph.parameters  # a threshold for each node, a value for each leaf


def test_zipmap_adds_nothing_learned(tmp_path):
    with_map, without = (read_graph(save(models.forest(zipmap=zipmap), tmp_path / f"{zipmap}.onnx")) for zipmap in (True, False))

    assert with_map.parameters == without.parameters > 0
    assert with_map.classical_flop == without.classical_flop
    assert {"ZipMap", "Cast"} == with_map.operators.keys() - without.operators.keys()


def test_trees_in_doubles_count_as_trees_in_floats(tmp_path):
    single, double = models.forest(zipmap=False), models.forest(zipmap=False)
    (node,) = double.graph.node
    for attribute in list(node.attribute):
        if attribute.name in ("nodes_values", "class_weights"):
            values = numpy_helper.from_array(np.array(attribute.floats, dtype=np.float64))
            node.attribute.append(helper.make_attribute(f"{attribute.name}_as_tensor", values))
            node.attribute.remove(attribute)

    expected = read_graph(save(single, tmp_path / "single.onnx")).parameters

    assert expected == read_graph(save(double, tmp_path / "double.onnx")).parameters


# --- operators -------------------------------------------------------------------------------------------------------------


def test_equations_go_by_the_name_of_their_node(tmp_path):
    model = models.build(
        """(float[n, 4] x) => (float[n, 4] y) {
            a = Einsum <equation = "ij,jk->ik"> (x, w)
            y = Einsum <equation = "ij,kj->ik"> (a, w)
        }""",
        models.weights(w=(4, 4)),
    )
    unnamed = read_graph(save(model, tmp_path / "unnamed.onnx")).einsum_equations
    model.graph.node[0].name, model.graph.node[1].name = "first", "second"

    named = read_graph(save(model, tmp_path / "named.onnx")).einsum_equations

    assert {} == unnamed  # which is which cannot be told
    assert {"first": "ij,jk->ik", "second": "ij,kj->ik"} == named


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17, 18])
def test_the_opset_is_read(opset, tmp_path):
    assert {"ai.onnx": opset} == read_graph(save(models.mlp(opset=opset), tmp_path / "model.onnx")).opset


def test_readers_are_found_through_what_lies_between(tmp_path):
    path = save(
        models.build(
            """(float[n, 8] x) => (float[n, 8] y) {
                [first] a = MatMul(x, w)
                b = Relu(a)
                [second] c = MatMul(b, w)
                d = Add(b, c)
                [third] y = MatMul(d, w)
            }""",
            models.weights(w=(8, 8)),
        ),
        tmp_path / "model.onnx",
    )

    found = readers_of(path, ["first", "second", "third"])

    assert {"first": {"second", "third"}, "second": {"third"}, "third": set()} == found


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
@pytest.mark.parametrize("harm", ["cut short", "another byte", "gone", "empty"])
def test_a_model_is_no_longer_what_it_was_once_it_or_its_weights_are_harmed(tmp_path, name, harm):
    path = models.save_with_external_data(models.mlp(), tmp_path / "model.onnx")
    known = read_graph(path).sha256
    before = is_still(path, known)
    file = tmp_path / name
    content = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(
            {"cut short": content[:-9], "another byte": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], "empty": b""}[
                harm
            ]
        )

    assert (True, False) == (before, is_still(path, known))


# --- files that nobody has opened yet, as those of --variant -----------------------------------------------------------------


def test_a_constant_without_an_output_is_no_weight(tmp_path):
    model = models.mlp()
    nameless = helper.make_node("Constant", [], [], value=helper.make_tensor("v", 1, [2], [1.0, 2.0]))
    model.graph.node.insert(0, nameless)

    assert (
        read_graph(save(models.mlp(), tmp_path / "a.onnx")).parameters == read_graph(save(model, tmp_path / "b.onnx")).parameters
    )


def test_values_that_come_from_themselves_come_to_an_end(tmp_path):
    model = models.build("(float[n] x) => (float[n] y) { y = Identity(z) z = Identity(y) }")

    assert "Identity" == read_graph(save(model, tmp_path / "model.onnx")).outputs[0].producer


def test_a_graph_that_contradicts_itself_is_refused_by_name(tmp_path):
    model = models.build("(float[n] x) => (float[n] y) { y = Relu(x) }")
    for value in model.graph.node[0], model.graph.node.add(op_type="TreeEnsembleRegressor", domain="ai.onnx.ml", output=["t"]):
        value.name = "odd"
    model.graph.node[1].attribute.append(helper.make_attribute("nodes_treeids", [1, 2, 3]))

    with pytest.raises(ModelError, match=r"model\.onnx: its graph contradicts itself \(KeyError"):
        read_graph(save(model, tmp_path / "model.onnx"))
