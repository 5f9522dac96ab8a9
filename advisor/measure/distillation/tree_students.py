"""Students of tree ensembles: fewer trees, or another model on the same features in the same graph, whose operator takes their place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from advisor.errors import ModelError
from advisor.measure.distillation.student_names import StudentName, refuse_more
from advisor.measure.model import onnx_file, onnx_graph

OLDER, NEWER = {"TreeEnsembleClassifier", "TreeEnsembleRegressor"}, "TreeEnsemble"
DOMAIN = "ai.onnx.ml"
# Of averaged trees the largest leaves add up to one probability; all that is beyond is rounding.
WHOLE, ROUNDING = 1.0, 1e-3
HALF = 0.5
# Averaged trees predict alike; each boosted one corrects those before it, so that what they predict shrinks.
ALIKE = 2.0
HIDDEN = 64  # units of the inner layer of an mlp
FLOAT = 1  # TensorProto.DataType
SEED = 0


def count_trees(path: Path) -> int:
    """Return how many trees the ensemble of a file has; raise ModelError where it has none, or several ensembles."""
    return len(_trees(_ensemble(onnx_file.load(path), path)))


def cut(path: Path, name: StudentName, target: Path) -> None:
    """Write the graph with a student in the place of its ensemble.

    Of fewer trees the first stay: of boosted ones each corrects those before it. Leaves are rescaled where trees are averaged, so that
    probabilities add up to one as before. Raise InputError where there are no more trees than are wanted.
    """
    model = onnx_file.load_whole(path)
    node = _ensemble(model, path)
    if name.kind == "trees":
        assert name.blocks is not None
        trees = _trees(node)
        refuse_more(name.blocks, len(trees), "trees", name.id, path)
        if node.op_type == NEWER:
            _keep_roots(node, name.blocks, path)
        else:
            _keep_trees(node, set(trees[: name.blocks]), part=len(trees) / name.blocks)
    else:
        _replace(model, node, path, has_inner_layer=name.kind == "mlp")
    onnx_file.save_whole(model, target, apart=False)


def _ensemble(model: Any, path: Path) -> Any:
    nodes = [node for node in model.graph.node if node.domain == DOMAIN and node.op_type in {*OLDER, NEWER}]
    if len(nodes) != 1:
        found = "several ensembles of trees" if nodes else "no ensemble of trees"
        raise ModelError(f"{path}: no student of this graph: it has {found}", hint="train one, and give its file: --student PATH")
    return nodes[0]


def _trees(node: Any) -> list[int]:
    values = onnx_graph.attributes(node)
    return list(values["tree_roots"]) if node.op_type == NEWER else sorted(set(values["nodes_treeids"]))


def _keep_trees(node: Any, kept: set[int], *, part: float) -> None:
    """Leave these trees in an ensemble of lists: entries of nodes, and of leaves, each with the tree that it belongs to."""
    leaves = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    factor = part if _is_averaged(node, leaves) else 1.0
    values = onnx_graph.attributes(node)
    places = {
        beginning: [place for place, tree in enumerate(values[f"{beginning}_treeids"]) if tree in kept]
        for beginning in ("nodes", leaves)
    }
    for attribute in node.attribute:
        beginning = attribute.name.partition("_")[0]
        if beginning not in places:
            continue
        scale = factor if attribute.name.startswith(f"{leaves}_weights") else 1.0
        _choose(attribute, places[beginning], scale)


def _choose(attribute: Any, places: Sequence[int], scale: float = 1.0) -> None:
    """Leave the entries at these places in an attribute, whichever kind of list it is; `scale` is of its numbers."""
    from onnx import numpy_helper

    if attribute.HasField("t"):
        chosen = numpy_helper.to_array(attribute.t)[list(places)]
        attribute.t.CopyFrom(numpy_helper.from_array((chosen * scale).astype(chosen.dtype), attribute.t.name))
        return
    for listed in (attribute.ints, attribute.floats, attribute.strings):
        if listed:
            left = [listed[place] for place in places]
            del listed[:]
            listed.extend([value * scale for value in left] if scale != 1.0 else left)


def _is_averaged(node: Any, leaves: str) -> bool:
    """Return whether the outputs of trees are averaged by the weights of their leaves, which then are each a part of the mean."""
    values = onnx_graph.attributes(node)
    if values.get("aggregate_function", "SUM") != "SUM" or values.get("post_transform", "NONE") != "NONE":
        return False
    listed, ids = _numbers(values, f"{leaves}_weights"), values[f"{leaves}_treeids"]
    where = list(zip(ids, values[f"{leaves}_nodeids"], strict=True))
    if leaves == "class":
        if (listed < 0).any():
            return False
        sums: dict[tuple[int, int], float] = {}
        for place, weight in zip(where, listed, strict=True):
            sums[place] = sums.get(place, 0.0) + float(weight)
        largest: dict[int, float] = {}
        for (tree, _), total in sums.items():
            largest[tree] = max(largest.get(tree, 0.0), total)
        return HALF < sum(largest.values()) <= WHOLE + ROUNDING
    means = np.array([np.mean(listed[np.array(ids) == tree]) for tree in sorted(set(ids))])
    middle = float(np.median(means))
    return middle != 0 and bool(((means / middle > 1 / ALIKE) & (means / middle < ALIKE)).all())


def _numbers(values: dict[str, Any], name: str) -> np.ndarray:
    from onnx import numpy_helper

    tensor = values.get(f"{name}_as_tensor")
    return np.asarray(values[name] if tensor is None else numpy_helper.to_array(tensor), dtype=np.float64)


def _keep_roots(node: Any, count: int, path: Path) -> None:
    """Leave the first trees in an ensemble of tree_roots, whose nodes and leaves are then numbered anew."""
    values = onnx_graph.attributes(node)
    if "membership_values" in values:
        raise ModelError(
            f"{path}: no student of this graph: its trees ask for members of sets",
            hint="train one, and give its file: --student PATH",
        )
    sides = (("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs"))
    nodes: set[int] = set()
    leaves: set[int] = set()
    waiting = list(values["tree_roots"][:count])
    while waiting:
        number = waiting.pop()
        if number in nodes:
            continue
        nodes.add(number)
        for ids, are_leaves in sides:
            (leaves.add if values[are_leaves][number] else waiting.append)(values[ids][number])
    places = {"nodes": sorted(nodes), "leaf": sorted(leaves)}
    number_of = {beginning: {old: new for new, old in enumerate(listed)} for beginning, listed in places.items()}
    for attribute in node.attribute:
        if attribute.name == "tree_roots":
            attribute.ints[:] = [number_of["nodes"][root] for root in values["tree_roots"][:count]]
        elif (beginning := attribute.name.partition("_")[0]) in places:
            _choose(attribute, places[beginning])
    by_name = {attribute.name: attribute for attribute in node.attribute}
    for ids, are_leaves in sides:
        kinds = ("leaf" if is_leaf else "nodes" for is_leaf in by_name[are_leaves].ints)
        by_name[ids].ints[:] = [number_of[kind][old] for kind, old in zip(kinds, by_name[ids].ints, strict=True)]


# --- other models in the place of the trees -----------------------------------------------------------------------------------


def _replace(model: Any, node: Any, path: Path, *, has_inner_layer: bool) -> None:
    """Put a linear model in the place of an ensemble, behind an inner layer if it is an mlp; its weights are random."""
    from onnx import helper

    if node.op_type not in OLDER:
        raise ModelError(f"{path}: no linear student of this graph: its trees are of a newer kind", hint="name trees-N")
    values, random = onnx_graph.attributes(node), np.random.default_rng(SEED)
    features = _features(model, node, values)
    given, before = node.input[0], []
    if has_inner_layer:
        given, before = f"{node.output[-1]}_inner", _inner_layer(model, node, features, random)
        features = HIDDEN
    if node.op_type == "TreeEnsembleClassifier":
        labels = {key: values[key] for key in ("classlabels_int64s", "classlabels_strings") if values.get(key)}
        classes = max((len(listed) for listed in labels.values()), default=2)
        given_labels = {key.replace("int64s", "ints"): listed for key, listed in labels.items()}
        made = helper.make_node(
            "LinearClassifier",
            [given],
            list(node.output),
            domain=DOMAIN,
            coefficients=_random(random, classes * features),
            intercepts=_random(random, classes),
            multi_class=1,
            post_transform="SOFTMAX",
            **given_labels,
        )
    else:
        targets = int(values.get("n_targets", 1))
        made = helper.make_node(
            "LinearRegressor",
            [given],
            list(node.output),
            domain=DOMAIN,
            coefficients=_random(random, targets * features),
            intercepts=_random(random, targets),
            targets=targets,
        )
    nodes = [it for other in model.graph.node for it in ([*before, made] if other is node else [other])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _inner_layer(model: Any, node: Any, features: int, random: np.random.Generator) -> list[Any]:
    """Return the nodes that make the inner layer of the features, its weights added to the graph."""
    from onnx import helper, numpy_helper

    name = node.output[-1]
    shapes = {f"{name}_weights": (features, HIDDEN), f"{name}_bias": (HIDDEN,)}
    for stored, shape in shapes.items():
        values = random.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, stored))
    return [
        helper.make_node("Cast", [node.input[0]], [f"{name}_floats"], to=FLOAT),
        helper.make_node("Gemm", [f"{name}_floats", *shapes], [f"{name}_sums"]),
        helper.make_node("Relu", [f"{name}_sums"], [f"{name}_inner"]),
    ]


def _features(model: Any, node: Any, values: dict[str, Any]) -> int:
    """Return how many features the ensemble gets: as the input says, else as many as its trees ask for."""
    for value in model.graph.input:
        sizes = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        if value.name == node.input[0] and len(sizes) == 2 and sizes[1] > 0:
            return int(sizes[1])
    return 1 + max(values["nodes_featureids"], default=0)


def _random(random: np.random.Generator, count: int) -> list[float]:
    return [float(value) for value in random.standard_normal(count)]
