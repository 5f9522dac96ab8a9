"""Floating-point operations of one executed node, from the observed shapes.

A multiply-add counts as 2 flop. A node that computes element by element counts 1 flop per element, whatever the function; a node
that only moves, reshapes or compares data counts 0. Operators without a formula here return None: their cost is unknown. One of a
quantized model costs what the operator of floats does that it stands for.
"""

from collections import defaultdict
from math import prod
from typing import Any

from advisor.quantized_operators import QUANTIZED, standing_for

Shape = tuple[int, ...]

MATRIX_PRODUCTS = {"MatMul", "FusedMatMul", *standing_for("MatMul")}
CONVOLUTIONS = {"Conv", "FusedConv", *standing_for("Conv")}
RECURRENT = {"LSTM", "GRU", "RNN", *standing_for("LSTM", "GRU", "RNN")}
ATTENTIONS = {"MultiHeadAttention", "GroupQueryAttention", "Attention"}
DATA_MOVEMENT = set(
    "ArgMax ArgMin ArrayFeatureExtractor BitShift Cast CastLike CategoryMapper Compress Concat Constant ConstantOfShape DepthToSpace "
    "DictVectorizer Dropout Equal Expand EyeLike Flatten Gather GatherElements GatherND Greater GreaterOrEqual Identity If Imputer "
    "IsInf IsNaN LabelEncoder Less LessOrEqual Loop NonMaxSuppression NonZero Not OneHot OneHotEncoder And Or Xor Optional "
    "OptionalGetElement OptionalHasElement Pad RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reshape "
    "ReverseSequence Scan Scatter ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceInsert SequenceLength "
    "Shape Size Slice SpaceToDepth Split SplitToSequence ConcatFromSequence Squeeze StringNormalizer Tile TopK Transpose Trilu Unique "
    "Unsqueeze Upsample Where ZipMap EmbedLayerNormalization ReorderInput ReorderOutput MemcpyFromHost MemcpyToHost".split()
)
ELEMENTWISE = set(
    "Abs Acos Acosh Add Asin Asinh Atan Atanh AveragePool BatchNormalization BiasGelu Binarizer Bernoulli BitwiseAnd BitwiseNot "
    "BitwiseOr BitwiseXor Ceil Celu Clip Cos Cosh CumSum Div Elu Erf Exp FastGelu "
    "FeatureVectorizer Floor Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization HardSigmoid HardSwish Hardmax "
    "InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LpPool Max MaxPool MaxUnpool Mean "
    "MeanVarianceNormalization Min Mish Mod Mul Neg Normalizer PRelu Pow QuickGelu RMSNormalization Reciprocal ReduceL1 ReduceL2 "
    "ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Resize RotaryEmbedding Round "
    "Scaler Selu Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh SkipLayerNormalization SkipSimplifiedLayerNormalization "
    "Softmax Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu".split()
)


def flop(operator: str, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], *, equation: str | None = None) -> float | None:
    """Return the floating-point operations of one call of a node with these tensor shapes, or None where no formula is known."""
    quantized, weights_at = QUANTIZED.get(operator), 1
    if quantized is not None:
        if quantized.stands_for is None:
            return None
        operator, weights_at = quantized.stands_for, quantized.weights_at
    if operator in DATA_MOVEMENT:
        return 0.0
    if operator in MATRIX_PRODUCTS:
        return 2.0 * prod(outputs[0]) * (inputs[0][-1] if inputs[0] else 1)
    if operator == "Gemm":
        rows = max(outputs[0][0], 1)  # A is rows x K or, transposed, K x rows: either way K is its size over the rows
        return 2.0 * prod(outputs[0]) * prod(inputs[0]) / rows
    if operator in CONVOLUTIONS:
        # Each output element is a dot product with one filter: (channels / groups) x kernel multiply-adds.
        return 2.0 * prod(outputs[0]) * prod(inputs[weights_at][1:])
    if operator == "ConvTranspose":
        return 2.0 * prod(inputs[0]) * prod(inputs[weights_at][1:])
    if operator in RECURRENT:
        steps_times_batch = inputs[0][0] * inputs[0][1]
        return 2.0 * steps_times_batch * (prod(inputs[1]) + prod(inputs[2]))
    if operator in ATTENTIONS:
        return _attention(operator, inputs, outputs)
    if operator == "Einsum":
        return _einsum(equation, inputs)
    if operator in ELEMENTWISE:
        return float(max(prod(shape) for shape in (*inputs[:1], *outputs)))
    return None


def _attention(operator: str, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> float | None:
    """Scores and weighted sum cost 2 flop each for every query element and key position; masked positions are counted too."""
    if operator == "Attention" and len(inputs) > 1 and len(inputs[0]) == 3 and len(inputs[1]) == 2:
        # ONNX Runtime's fused form multiplies by the stacked query, key and value weights itself.
        batch, length, _ = inputs[0]
        width = prod(outputs[0]) // max(batch * length, 1)
        return 2.0 * batch * length * prod(inputs[1]) + 4.0 * batch * length * length * width
    if operator == "GroupQueryAttention":
        keys = outputs[1][2] if len(outputs) > 1 and len(outputs[1]) == 4 else None
    else:
        keys = inputs[1][-2] if len(inputs) > 1 and len(inputs[1]) in (3, 4) else None
    return 4.0 * prod(outputs[0]) * keys if keys is not None else None


def _einsum(equation: str | None, inputs: tuple[Shape, ...]) -> float | None:
    """Two flop for every combination of indices, as a naive loop over all of them would do."""
    if equation is None or "." in equation:
        return None
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if [len(term) for term in terms] != [len(shape) for shape in inputs]:
        return None
    size_of = {index: size for term, shape in zip(terms, inputs, strict=True) for index, size in zip(term, shape, strict=True)}
    return 2.0 * prod(size_of.values())


def mean_leaf_depths(values: dict[str, Any]) -> float:
    """Return the sum over trees of the mean depth of a leaf: comparisons per item if all leaves were equally likely."""
    if "nodes_treeids" not in values:
        return _mean_leaf_depths_from_opset_5(values)
    return sum(sum(leaves) / len(leaves) for leaves in leaf_depths(values).values())


def leaf_depths(values: dict[str, Any]) -> dict[int, list[int]]:
    """Return the depths of the leaves of each tree, by the attributes of an ensemble before opset 5 of ai.onnx.ml."""
    children: dict[tuple[int, int], tuple[int, int]] = {}
    roots: dict[int, int] = {}  # a tree begins with its root, whatever that is numbered
    fields = ("nodes_treeids", "nodes_nodeids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_modes")
    for tree, node, true, false, mode in zip(*(values[field] for field in fields), strict=True):
        roots.setdefault(tree, node)
        if mode not in (b"LEAF", "LEAF"):
            children[tree, node] = (true, false)
    depths: dict[int, list[int]] = defaultdict(list)
    for tree, root in roots.items():
        waiting = [(root, 0)]
        while waiting:
            node, depth = waiting.pop()
            # Each node is taken once, so that a damaged file whose tree has a cycle comes to an end.
            if branches := children.pop((tree, node), None):
                waiting += [(child, depth + 1) for child in branches]
            else:
                depths[tree].append(depth)
    return dict(depths)


def _mean_leaf_depths_from_opset_5(values: dict[str, Any]) -> float:
    total = 0.0
    for root in values["tree_roots"]:
        waiting, depths, seen = [(root, 1)], [], set()
        while waiting:
            node, depth = waiting.pop()
            if node in seen:
                continue  # a cycle
            seen.add(node)
            for ids, leaves in (("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs")):
                if values[leaves][node]:
                    depths.append(depth)
                else:
                    waiting.append((values[ids][node], depth + 1))
        total += sum(depths) / len(depths)
    return total
