"""A transformer so small that it goes through the code in a moment."""

from pathlib import Path

LAYERS, WIDTH, VOCABULARY = 3, 16, 60


def tiny_graph(path: Path) -> Path:
    """Write the graph of a few equal blocks of random weights, each a norm, two products and a sum; return its path."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    stored = {"table": random.standard_normal((VOCABULARY, WIDTH)), "ones": np.ones(WIDTH)}
    nodes = [helper.make_node("Gather", ["table", "ids"], ["x0"], name="embed")]
    for layer in range(LAYERS):
        stored |= {
            f"in{layer}": random.standard_normal((WIDTH, 2 * WIDTH)),
            f"out{layer}": random.standard_normal((2 * WIDTH, WIDTH)),
        }
        nodes += [
            helper.make_node("LayerNormalization", [f"x{layer}", "ones"], [f"norm{layer}"], name=f"norm{layer}"),
            helper.make_node("MatMul", [f"norm{layer}", f"in{layer}"], [f"inner{layer}"], name=f"in{layer}"),
            helper.make_node("Relu", [f"inner{layer}"], [f"kept{layer}"], name=f"relu{layer}"),
            helper.make_node("MatMul", [f"kept{layer}", f"out{layer}"], [f"more{layer}"], name=f"out{layer}"),
            helper.make_node("Add", [f"x{layer}", f"more{layer}"], [f"x{layer + 1}"], name=f"add{layer}"),
        ]
    given = helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", "tokens"])
    made = helper.make_tensor_value_info(f"x{LAYERS}", onnx.TensorProto.FLOAT, ["batch", "tokens", WIDTH])
    weights = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in stored.items()]
    graph = helper.make_graph(nodes, "tiny", [given], [made], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
