"""Which inputs may set how much a graph computes: their value, not their size, reaches the count of a loop, a length, a shape."""

from collections.abc import Iterable
from typing import Any

from advisor.measure.model.onnx_file import inner_graphs

# Operator -> positions of inputs whose value decides how much is computed or how large the result is.
SETS_SIZE = {
    "BlackmanWindow": {0},
    "CenterCropPad": {1},
    "ConstantOfShape": {0},
    "DFT": {1},
    "Expand": {1},
    "HammingWindow": {0},
    "HannWindow": {0},
    "Loop": {0, 1},
    "MaxUnpool": {2},
    "NonMaxSuppression": {2},
    "OneHot": {1},
    "Pad": {1},
    "Range": {0, 1, 2},
    "Resize": {2, 3},
    "Slice": {1, 2},
    "Split": {1},
    "Tile": {1},
    "TopK": {1},
    "Upsample": {1},
    # ONNX Runtime's own searches: longest and shortest text, beams, sequences returned.
    "BeamSearch": {1, 2, 3, 4},
    "GreedySearch": {1, 2},
    "Sampling": {1, 2},
}
# Operators that hand a value on, changed perhaps: from their first input, or from any.
FROM_FIRST = set(
    "Abs Cast Ceil Clip Expand Flatten Floor Gather Identity Neg Not ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round Slice Split "
    "Squeeze Tile Unsqueeze".split()
)
FROM_ANY = set("Add And Concat Div Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or Pow Sub Where".split())


def sets_cost(graphs: Iterable[Any], name: str) -> bool:
    """Return whether the value of an input of the main graph may decide how much is computed; `graphs` are all, inner ones too."""
    graphs, names = list(graphs), {name}
    known = 0
    while known < len(names):  # until nothing more is reached: an outer graph may read what an inner one hands back
        known = len(names)
        for graph in graphs:
            for node in graph.node:
                read = {position for position, read_name in enumerate(node.input) if read_name in names}
                if read and read & SETS_SIZE.get(node.op_type, set()):
                    return True
                if (read and node.op_type in FROM_ANY) or (0 in read and node.op_type in FROM_FIRST):
                    names.update(output for output in node.output if output)
                if node.op_type == "Loop" and _carries(node, read, names):
                    return True
    return False


def _carries(node: Any, read: set[int], names: set[str]) -> bool:
    """Take the values that a loop carries into its body, and out of it; return whether the body goes on depending on one of them."""
    for attribute in node.attribute:
        for body in inner_graphs(attribute):
            names.update(body.input[position].name for position in read if 2 <= position < len(body.input))
            made = [value.name in names for value in body.output]
            if made[:1] == [True]:
                return True
            names.update(output for output, is_reached in zip(node.output, made[1:], strict=False) if is_reached and output)
    return False
