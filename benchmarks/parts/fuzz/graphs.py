"""Small ONNX models: one of each kind that files in the world are of, and graphs of operators drawn at random."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper

from parts.fuzz import mutation

OPSET, NEWEST, IR_VERSION = 18, 23, 9
WIDTH, CLASSES = 8, 4
SIZES = (0, 1, 2, 3, 8, -1, -2, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))
FEW = (1, 1, 2, 3, 8)
DTYPES = (*(np.float32,) * 8, np.int64, np.int64, np.int32, np.float16, np.float64, np.bool_, np.uint8, np.int8)
DOMAINS = ("", "", "", "ai.onnx.ml", "com.microsoft", "local")
OUTSIDE = ("../outside.bin", "/etc/passwd", "/dev/zero", "", ".", "weights.bin/..", "a" * 5000, "\x00", "weights.bin")


def _weights(**shapes: tuple[int, ...]) -> list[TensorProto]:
    random = np.random.default_rng(0)
    return [numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]


def _model(text: str, *weights: TensorProto, opset: int = OPSET, functions: tuple[Any, ...] = ()) -> ModelProto:
    """Return the model of a graph in ONNX's textual syntax."""
    graph = onnx.parser.parse_graph(f"g {text}")
    graph.initializer.extend(weights)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, functions=list(functions))


def small() -> ModelProto:
    """Return a network of two layers."""
    return _model(
        f"""(float[batch, {WIDTH}] x) => (float[batch, {CLASSES}] y) {{
            a = MatMul(x, w1)  b = Relu(a)  y = MatMul(b, w2)
        }}""",
        *_weights(w1=(WIDTH, WIDTH), w2=(WIDTH, CLASSES)),
    )


def _convolution() -> ModelProto:
    return _model(
        """(float[batch, 3, 8, 8] x) => (float[batch, 4] y) {
            a = Conv<pads = [1, 1, 1, 1]>(x, w, b)  c = Relu(a)  p = GlobalAveragePool(c)  y = Flatten(p)
        }""",
        *_weights(w=(4, 3, 3, 3), b=(4,)),
    )


def _embedding() -> ModelProto:
    return _model(
        """(int64[batch, seq] input_ids, int64[batch, seq] attention_mask) => (float[batch, 8] y) {
            e = Gather(table, input_ids)  m = Cast<to = 1>(attention_mask)  axes = Constant<value_ints = [2]>()
            u = Unsqueeze(m, axes)  p = Mul(e, u)  one = Constant<value_ints = [1]>()  y = ReduceMean<keepdims = 0>(p, one)
        }""",
        *_weights(table=(20, 8)),
    )


def _branches() -> ModelProto:
    return _model(
        """(float[batch, 8] x, bool[1] which) => (float[batch, 8] y) {
            y = If(which) <then_branch = t () => (float[batch, 8] p) { p = Relu(x) },
                           else_branch = e () => (float[batch, 8] q) { q = MatMul(x, w) }>
        }""",
        *_weights(w=(8, 8)),
    )


def _loop() -> ModelProto:
    return _model(
        """(float[1, 8] x) => (float[1, 8] y) {
            n = Constant<value_int = 3>()  yes = Constant<value = bool {1}>()
            y = Loop(n, yes, x) <body = b (int64 i, bool go, float[1, 8] s) => (bool again, float[1, 8] r) {
                again = Identity(go)  r = Add(s, x) }>
        }"""
    )


def _recurrent() -> ModelProto:
    return _model(
        """(float[3, batch, 4] x) => (float[3, 1, batch, 5] y) { y, last, cell = LSTM<hidden_size = 5>(x, w, r) }""",
        *_weights(w=(1, 20, 4), r=(1, 20, 5)),
    )


def _shapes() -> ModelProto:
    return _model(
        """(float[batch, 8] x) => (float[m] y) {
            s = Shape(x)  z = Constant<value_ints = [0]>()  f = ConstantOfShape<value = float[1] {1.0}>(s)
            a = Add(x, f)  minus = Constant<value_ints = [-1]>()  y = Reshape(a, minus)
        }"""
    )


def _function() -> ModelProto:
    nodes = [helper.make_node("Relu", ["p"], ["q"])]
    function = helper.make_function("local", "Layer", ["p"], ["q"], nodes, [helper.make_opsetid("", OPSET)])
    return _model(f"(float[batch, {WIDTH}] x) => (float[batch, {WIDTH}] y) {{ y = local.Layer(x) }}", functions=(function,))


def _quantized() -> ModelProto:
    return _model(
        """(float[batch, 8] x) => (float[batch, 4] y) {
            q, s, z = DynamicQuantizeLinear(x)  a = MatMulInteger(q, w, z)  c = Cast<to = 1>(a)  y = Mul(c, s)
        }""",
        numpy_helper.from_array(np.ones((8, 4), np.int8), "w"),
    )


def _classical() -> ModelProto:
    return _model(
        """(float[batch, 3] x) => (int64[batch] label, float[batch, 2] y) {
            label, y = ai.onnx.ml.LinearClassifier
                <coefficients = [1.0, 2.0, 3.0, -1.0, -2.0, -3.0], intercepts = [0.0, 0.0], classlabels_ints = [0, 1]>(x)
        }"""
    )


def _random_draws() -> ModelProto:
    return _model("(float[batch, 8] x) => (float[batch, 8] y) { r = RandomNormalLike(x)  y = Add(x, r) }")


KINDS: tuple[Callable[[], ModelProto], ...] = (
    *(small, _convolution, _embedding, _branches, _loop, _recurrent, _shapes, _function, _quantized, _classical, _random_draws),
)


def changed(random: Random) -> dict[str, bytes]:
    """Return a model of one of the kinds with one to six fields changed in it, and the weights beside it where they are apart."""
    model = random.choice(KINDS)()
    files = _apart(random, model) if random.random() < 0.2 else {}
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        mutation.message(random, random.choice((model, model.graph, model.graph, model.graph)))
    _twist(random, model)
    return files | {"model.onnx": model.SerializeToString()}


def _apart(random: Random, model: ModelProto) -> dict[str, bytes]:
    """Move the weights into a file beside the model, which the model names rightly or not."""
    content = b"".join(tensor.raw_data for tensor in model.graph.initializer)
    place = 0
    for tensor in model.graph.initializer:
        length = len(tensor.raw_data)
        where = {"location": "weights.bin", "offset": str(place), "length": str(length)}
        if random.random() < 0.3:
            where[random.choice(tuple(where))] = random.choice((*OUTSIDE, *map(str, mutation.INTEGERS)))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
        place += length
    return {"weights.bin": content[: random.choice((len(content), len(content), len(content) // 2, 0))]}


def _twist(random: Random, model: ModelProto) -> None:
    """Now and then make a circle, give two things one name, or put the nodes into a branch."""
    nodes = model.graph.node
    kind = random.randrange(30)
    if kind == 0 and nodes and nodes[-1].output and nodes[0].input:
        nodes[0].input[0] = nodes[-1].output[0]
    elif kind == 1 and len(nodes) > 1 and nodes[0].output and nodes[-1].output:
        nodes[0].output[0] = nodes[-1].output[0]
    elif kind == 2 and model.graph.input and model.graph.output:
        model.graph.output[0].name = model.graph.input[0].name
    elif kind == 3:
        leaf = inner = copy_of(model.graph)
        for _ in range(random.choice((1, 3, 20))):
            outer = onnx.GraphProto(name="outer")
            outer.node.append(helper.make_node("If", ["which"], ["y"], then_branch=inner, else_branch=leaf))
            inner = outer
        model.graph.node.extend(inner.node)
    elif kind == 4 and model.graph.initializer:
        model.graph.initializer.extend([model.graph.initializer[0]])
    elif kind == 5:
        model.graph.node.extend([nodes[0]] * 500 if nodes else [])


def copy_of(graph: Any) -> Any:
    """Return a graph that does not change with the other."""
    made = onnx.GraphProto()
    made.CopyFrom(graph)
    return made


def drawn(random: Random) -> dict[str, bytes]:
    """Return a model of up to six operators drawn from all that ONNX has, with attributes of the types that they ask for."""
    schemas = [schema for schema in defs.get_all_schemas() if not schema.deprecated and "preview" not in schema.domain]
    known = ["x"]
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for number in range(random.randint(1, 6)):
        schema = random.choice(schemas)
        inputs: list[str] = []
        for _ in range(random.randint(schema.min_input, max(schema.min_input, min(schema.max_input, schema.min_input + 2)))):
            if not inputs or random.random() < 0.5:
                inputs.append(random.choice(known))
            else:
                weights.append(_tensor(random, f"w{len(weights)}"))
                inputs.append(weights[-1].name)
        count = random.randint(max(schema.min_output, 0), max(1, min(schema.max_output, 3)))
        outputs = [f"v{number}_{place}" for place in range(count)]
        nodes.append(_node(random, schema, inputs, outputs))
        known += outputs
    given = helper.make_tensor_value_info("x", _element(random), _shape(random))
    last = random.choice(known[1:]) if len(known) > 1 else "x"
    made = onnx.ValueInfoProto(name=last)  # of the type that it turns out to have
    graph = helper.make_graph(nodes, "drawn", [given], [made], weights)
    opset = random.choice((*(NEWEST,) * 6, OPSET, 13, 7))
    imports = [helper.make_opsetid(domain, version) for domain, version in (("", opset), ("ai.onnx.ml", 3), ("com.microsoft", 1))]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    return {"model.onnx": model.SerializeToString()}


def _node(random: Random, schema: Any, inputs: list[str], outputs: list[str]) -> NodeProto:
    node = helper.make_node(schema.name, inputs, outputs, name=f"n_{outputs[0] if outputs else 'none'}", domain=schema.domain)
    for attribute in schema.attributes.values():
        if attribute.required or random.random() < 0.15:
            made = _attribute(random, attribute)
            if made is not None:
                node.attribute.append(made)
    return node


def _attribute(random: Random, wanted: Any) -> AttributeProto | None:
    kinds, numbers = defs.OpSchema.AttrType, (*FEW * 6, *mutation.INTEGERS)
    name = wanted.name
    if wanted.type == kinds.INT:
        return helper.make_attribute(name, random.choice(numbers))
    if wanted.type == kinds.INTS:
        return helper.make_attribute(
            name, [random.choice(numbers) for _ in range(random.randint(0, 4))], attr_type=AttributeProto.INTS
        )
    if wanted.type == kinds.FLOAT:
        return helper.make_attribute(name, random.choice(mutation.FLOATS))
    if wanted.type == kinds.FLOATS:
        return helper.make_attribute(name, [random.choice(mutation.FLOATS) for _ in range(2)], attr_type=AttributeProto.FLOATS)
    if wanted.type == kinds.STRING:
        return helper.make_attribute(name, random.choice(("", "constant", "linear", "SAME_UPPER", "ij,jk->ik", "...", "x" * 300)))
    if wanted.type == kinds.STRINGS:
        return helper.make_attribute(name, ["Relu", "x"], attr_type=AttributeProto.STRINGS)
    if wanted.type == kinds.TENSOR:
        return helper.make_attribute(name, _tensor(random, name))
    if wanted.type == kinds.GRAPH:
        return helper.make_attribute(name, copy_of(random.choice((_loop, _branches))().graph.node[-1].attribute[0].g))
    return None


def _tensor(random: Random, name: str) -> TensorProto:
    dtype = random.choice(DTYPES)
    shape = [random.choice((0, 1, 2, 3, 4)) for _ in range(random.randint(0, 3))]
    if dtype == np.int64 and random.random() < 0.5:
        values = np.array([random.choice((*FEW * 4, *SIZES)) for _ in range(random.randint(0, 4))], np.int64)
    else:
        values = np.array([random.choice((0, 1, 2, -1, 3, 100)) for _ in range(int(np.prod(shape)))]).reshape(shape).astype(dtype)
    return numpy_helper.from_array(values, name)


def _element(random: Random) -> int:
    return random.choice(
        (*(TensorProto.FLOAT,) * 6, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL, TensorProto.DOUBLE, 99)
    )


def _shape(random: Random) -> list[int | str] | None:
    if random.random() < 0.1:
        return None
    return [random.choice(("batch", "seq", *FEW * 2, random.choice(SIZES))) for _ in range(random.choice((2, 2, 3, 4, 1, 0)))]
