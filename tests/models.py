"""Small ONNX models, each with a peculiarity that files in the world have: a graph in ONNX's textual syntax and arrays for weights."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from advisor.measure.model import onnx_file

OPSET = 18
IR_VERSION = 9  # old enough for every ONNX Runtime that knows opset 18

WIDTH, HIDDEN, CLASSES = 8, 16, 4
MLP_PARAMETERS = WIDTH * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
VOCABULARY, POSITIONS = 50, 64
DTYPES = {"float": np.float32, "float16": np.float16, "double": np.float64}


def build(
    text: str,
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    domains: Mapping[str, int] | None = None,
) -> ModelProto:
    """Return the model of the graph `text`, `weights` added as initializers; `domains` imports operator sets beside ONNX's own."""
    graph = onnx.parser.parse_graph(f"g {text}")
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items())
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, version) for name, version in (domains or {}).items())]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def save(model: ModelProto, path: Path) -> Path:
    """Write the model and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def save_with_external_data(model: ModelProto, path: Path) -> Path:
    """Write the model with every tensor, in attributes too, in a file of its own beside it; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        size_threshold=0,
        location=f"{path.name}.data",
        convert_attribute=True,
    )
    return path


def weights(seed: int = 0, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return normal random arrays of these shapes."""
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


# --- one network, stored in different ways -------------------------------------------------------------------------------


def mlp(*, batch: str = "batch", dtype: str = "float", opset: int = OPSET, ir_version: int = IR_VERSION) -> ModelProto:
    """Two layers and a Relu; `batch` is the first size as the textual syntax has it: a name, a number, or ? for none."""
    values = weights(w1=(WIDTH, HIDDEN), b1=(HIDDEN,), w2=(HIDDEN, CLASSES), b2=(CLASSES,))
    return build(
        f"""({dtype}[{batch}, {WIDTH}] x) => ({dtype}[{batch}, {CLASSES}] logits) {{
            product1 = MatMul(x, w1)
            sum1 = Add(product1, b1)
            hidden = Relu(sum1)
            product2 = MatMul(hidden, w2)
            logits = Add(product2, b2)
        }}""",
        {name: value.astype(DTYPES[dtype]) for name, value in values.items()},
        opset=opset,
        ir_version=ir_version,
    )


def with_constant_nodes(model: ModelProto) -> ModelProto:
    """Move the initializers into Constant nodes."""
    constants = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer]
    nodes = [*constants, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_listed_initializers(model: ModelProto) -> ModelProto:
    """List the initializers among the inputs, as files of IR version 3 must."""
    listed = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in model.graph.initializer]
    model.graph.input.extend(listed)
    model.ir_version = 3
    return model


def in_function(model: ModelProto) -> ModelProto:
    """Move the nodes into a local function; the initializers stay outside and are handed in."""
    graph, name = model.graph, "Network"
    inputs = [*(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)]
    outputs = [value.name for value in graph.output]
    nodes, imports = list(graph.node), list(model.opset_import)
    model.functions.append(helper.make_function("local", name, inputs, outputs, nodes, imports))
    del graph.node[:]
    graph.node.append(helper.make_node(name, inputs, outputs, domain="local"))
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


# --- weights in other places ---------------------------------------------------------------------------------------------


def branches() -> ModelProto:
    """A matrix of WIDTH² in each branch of an If; the condition is an input."""
    matrices = weights(left=(WIDTH, WIDTH), right=(WIDTH, WIDTH))
    model = build(
        f"""(float[n, {WIDTH}] x, bool choose) => (float[n, {WIDTH}] y) {{
            y = If (choose) <
                then_branch = t () => (float[n, {WIDTH}] a) {{ a = MatMul(x, left) }},
                else_branch = e () => (float[n, {WIDTH}] b) {{ b = MatMul(x, right) }}
            >
        }}"""
    )
    for attribute, (name, value) in zip(model.graph.node[0].attribute, matrices.items(), strict=True):
        attribute.g.initializer.append(numpy_helper.from_array(value, name))
    return model


def loop(times: int = 3) -> ModelProto:
    """A matrix of WIDTH² in the body of a Loop that runs `times` times."""
    model = build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) <int64 times = {{{times}}}, bool always = {{1}}> {{
            y = Loop (times, always, x) <
                body = b (int64 i, bool before, float[n, {WIDTH}] state) => (bool after, float[n, {WIDTH}] next) {{
                    after = Identity(before)
                    next = MatMul(state, w)
                }}
            >
        }}"""
    )
    body = model.graph.node[0].attribute[0].g
    body.initializer.append(numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "w"))
    return model


def sparse() -> ModelProto:
    """A matrix of which three values are stored."""
    model = build(f"(float[n, {WIDTH}] x) => (float[n, {CLASSES}] y) {{ y = MatMul(x, w) }}")
    values = numpy_helper.from_array(np.array([1.0, 2.0, 3.0], np.float32), "w")
    places = numpy_helper.from_array(np.array([0, 5, 9]), "w_places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [WIDTH, CLASSES]))
    return model


# --- inputs of all kinds -------------------------------------------------------------------------------------------------


def relu(declared: str) -> ModelProto:
    """Nothing learned: a Relu of the one float input, declared as in "float[n, t] audio"."""
    return build(f"({declared}) => (float[a, b] y) {{ y = Relu({declared.rsplit(maxsplit=1)[-1]}) }}")


def embedding(*, ids: str = "int64", sequence_first: bool = False) -> ModelProto:
    """Ids into a table of VOCABULARY rows, plus positions of which there are POSITIONS."""
    axes = "sequence, batch" if sequence_first else "batch, sequence"
    if sequence_first:
        nodes = "y = Gather(words, input_ids)"
    else:
        nodes = """length = Shape <start = 1, end = 2> (input_ids)
            scalar = Squeeze(length)
            range = Range(zero, scalar, one)
            place = Gather(positions, range)
            word = Gather(words, input_ids)
            y = Add(word, place)"""
    return build(
        f"({ids}[{axes}] input_ids) => (float[{axes}, {WIDTH}] y) {{ {nodes} }}",
        weights(words=(VOCABULARY, WIDTH), positions=(POSITIONS, WIDTH)) | {"zero": np.int64(0), "one": np.int64(1)},
    )


def two_tables(mask: str = "float") -> ModelProto:
    """Two inputs of ids with a vocabulary each, one of them read through a Cast, and a mask."""
    return build(
        f"""(int64[batch, s] user, int32[batch, s] item, {mask}[batch, s] mask) => (float[batch, s, {WIDTH}] y) {{
            wide = Cast <to = 7> (item)
            a = Gather(users, user)
            b = Gather(items, wide)
            both = Add(a, b)
            weight = Cast <to = 1> (mask)
            last = Unsqueeze(weight, axis)
            y = Mul(both, last)
        }}""",
        weights(users=(30, WIDTH), items=(70, WIDTH)) | {"axis": np.array([2])},
    )


def positioned() -> ModelProto:
    """Ids and position ids, whose table has POSITIONS rows."""
    return build(
        f"""(int64[batch, s] input_ids, int64[batch, s] position_ids) => (float[batch, s, {WIDTH}] y) {{
            a = Gather(words, input_ids)
            b = Gather(positions, position_ids)
            y = Add(a, b)
        }}""",
        weights(words=(VOCABULARY, WIDTH), positions=(POSITIONS, WIDTH)),
    )


def lstm(features: int = 3, hidden: int = 4) -> ModelProto:
    """Time first, items second, states in and out."""
    return build(
        f"""(float[time, n, {features}] x, float[1, n, {hidden}] h0, float[1, n, {hidden}] c0)
            => (float[time, 1, n, {hidden}] y, float[1, n, {hidden}] hn, float[1, n, {hidden}] cn) {{
            y, hn, cn = LSTM <hidden_size = {hidden}> (x, w, r, b, , h0, c0)
        }}""",
        weights(w=(1, 4 * hidden, features), r=(1, 4 * hidden, hidden), b=(1, 8 * hidden)),
    )


def decoder(heads: int = 2, head_width: int = 4) -> ModelProto:
    """One layer that appends to a cache, with the names and symbols that optimum writes."""
    width = heads * head_width
    past = ["batch_size", heads, "past_sequence_length", head_width]
    whole = ["batch_size", heads, "past_sequence_length + sequence_length", head_width]
    caches = [f"past_key_values.0.{part}" for part in ("key", "value")]
    nodes: list[NodeProto] = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Reshape", ["word", "split"], ["parts"]),
        helper.make_node("Transpose", ["parts"], ["new"], perm=[0, 2, 1, 3]),
        *(helper.make_node("Concat", [name, "new"], [name.replace("past_key_values", "present")], axis=2) for name in caches),
        helper.make_node("MatMul", ["word", "head"], ["logits"]),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", whole[2]])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", "sequence_length", VOCABULARY])
    graph = helper.make_graph(
        nodes,
        "decoder",
        [ids, mask, *(helper.make_tensor_value_info(name, TensorProto.FLOAT, past) for name in caches)],
        [
            logits,
            *(
                helper.make_tensor_value_info(name.replace("past_key_values", "present"), TensorProto.FLOAT, whole)
                for name in caches
            ),
        ],
        [
            *(numpy_helper.from_array(v, n) for n, v in weights(words=(VOCABULARY, width), head=(width, VOCABULARY)).items()),
            numpy_helper.from_array(np.array([0, 0, heads, head_width]), "split"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def convolution(shape: str, *, dtype: str = "float", channels_last: bool = False, filters: int = 4) -> ModelProto:
    """A 3 x 3 convolution of an image with three channels, declared as `shape` says."""
    moved = "moved = Transpose <perm = [0, 3, 1, 2]> (cast)" if channels_last else "moved = Identity(cast)"
    return build(
        f"""({dtype}[{shape}] image) => (float[a, b, c, d] y) {{
            cast = Cast <to = 1> (image)
            {moved}
            y = Conv <pads = [1, 1, 1, 1]> (moved, w)
        }}""",
        weights(w=(filters, 3, 3, 3)),
    )


def switched() -> ModelProto:
    """A scalar that is compared with the two settings it may have, and fails at any other."""
    return build(
        f"""(float[n, {WIDTH}] x, int64 rate) => (float[n, {WIDTH}] y) {{
            at16 = Equal(rate, r16)
            at8 = Equal(rate, r8)
            known = Or(at16, at8)
            count = Cast <to = 7> (known)
            index = Sub(count, one)
            factor = Gather(only, index)
            bad = Where(known, zero, seven)
            checked = Gather(only, bad)
            scaled = Mul(x, factor)
            y = Mul(scaled, checked)
        }}""",
        {"r16": np.int64(16000), "r8": np.int64(8000), "one": np.int64(1), "zero": np.int64(0), "seven": np.int64(7)}
        | {"only": np.array([2.0], np.float32)},
    )


def encoder_of_texts() -> ModelProto:
    """Texts to numbers, by ai.onnx.ml."""
    return build(
        """(string[n, 1] word) => (int64[n, 1] number) {
            number = ai.onnx.ml.LabelEncoder <keys_strings = ["no", "yes"], values_int64s = [1, 2], default_int64 = 0> (word)
        }""",
        domains={"ai.onnx.ml": 2},
    )


# --- how items lie in inputs and outputs ---------------------------------------------------------------------------------


def only_in_batches_of(size: int, *, multiples: bool = False) -> ModelProto:
    """Declares a free batch, and takes `size` items: no other number, or multiples of it."""
    shape = [-1, size, CLASSES] if multiples else [size, CLASSES]
    return build(
        f"""(float[n, {WIDTH}] x) => (float[n, {CLASSES}] y) {{
            product = MatMul(x, w)
            shaped = Reshape(product, shape)
            y = Reshape(shaped, flat)
        }}""",
        weights(w=(WIDTH, CLASSES)) | {"shape": np.array(shape), "flat": np.array([-1, CLASSES])},
    )


def tables_first(tables: int = 3) -> ModelProto:
    """Numbers (items, features) beside ids (tables, items), and no name for any axis."""
    parts = "".join(
        f"id{number} = Gather <axis = 0> (ids, at{number}) row{number} = Gather(table, id{number}) " for number in range(tables)
    )
    rows = ", ".join(f"row{number}" for number in range(tables))
    return build(
        f"""(float[?, {WIDTH}] x, int64[{tables}, ?] ids) => (float[?, {CLASSES}] y) {{
            {parts} whole = Concat <axis = 1> (x, {rows}) y = MatMul(whole, w)
        }}""",
        weights(table=(VOCABULARY, 4), w=(WIDTH + 4 * tables, CLASSES))
        | {f"at{number}": np.array(number) for number in range(tables)},
    )


def rows_joined() -> ModelProto:
    """A class for each token, the tokens of all items one after the other in the first axis."""
    return build(
        f"""(int64[batch, seq] input_ids) => (float[rows, {CLASSES}] logits) {{
            vectors = Gather(table, input_ids) flat = Reshape(vectors, shape) logits = MatMul(flat, w)
        }}""",
        weights(table=(VOCABULARY, 4), w=(4, CLASSES)) | {"shape": np.array([-1, 4])},
    )


def rows_in_turn() -> ModelProto:
    """As rows_joined, but the first token of every item first."""
    return build(
        f"""(int64[batch, seq] input_ids) => (float[rows, {CLASSES}] logits) {{
            vectors = Gather(table, input_ids) turned = Transpose <perm = [1, 0, 2]> (vectors)
            flat = Reshape(turned, shape) logits = MatMul(flat, w)
        }}""",
        weights(table=(VOCABULARY, 4), w=(4, CLASSES)) | {"shape": np.array([-1, 4])},
    )


def detector() -> ModelProto:
    """The positive ones of the numbers of an item, as many as there are, two in a row: (found, 2)."""
    return build(
        f"""(float[1, {WIDTH}] x) => (float[found, 2] detections) {{
            product = MatMul(x, w) flat = Reshape(product, shape) first = Gather <axis = 1> (flat, zero)
            positive = Greater(first, nothing) detections = Compress <axis = 0> (flat, positive)
        }}""",
        weights(w=(WIDTH, 2 * WIDTH)) | {"shape": np.array([WIDTH, 2]), "zero": np.array(0), "nothing": np.array(0, np.float32)},
    )


# --- values that decide how much is computed -----------------------------------------------------------------------------


def counted_loop(declared: str = "int64[1] max_length", *, by_condition: bool = False) -> ModelProto:
    """A product for each turn of a loop, whose count is an input: as the count itself, or in the condition to go on."""
    step = "next = MatMul(state, w)"
    count, goes_on = ("most", "again = Less(turn, trips)") if by_condition else ("trips", "again = Identity(go)")
    return build(
        f"""(float[n, {WIDTH}] x, {declared}) => (float[n, {WIDTH}] y) {{
            one = Reshape({declared.rsplit(maxsplit=1)[-1]}, scalar) trips = Cast <to = 7> (one)
            y = Loop({count}, yes, x) <body = body (int64 turn, bool go, float[n, {WIDTH}] state)
                => (bool again, float[n, {WIDTH}] next) {{ {goes_on} {step} }}>
        }}""",
        weights(w=(WIDTH, WIDTH)) | {"yes": np.array(True), "most": np.array(1000), "scalar": np.array([], np.int64)},
    )


def counted(operator: str) -> ModelProto:
    """A model whose input `count` decides by this operator how much is computed."""
    uses = {
        "Range": "z = Range(zero, one, step) wide = Unsqueeze(z, first) y = Cast <to = 1> (wide)",
        "TopK": "k = Reshape(one, first_shape) y, at = TopK(x, k)",
        "Tile": "c = Reshape(one, first_shape) times = Concat <axis = 0> (c, ones) y = Tile(x, times)",
        "Expand": "c = Reshape(one, first_shape) to = Concat <axis = 0> (c, ones, ones) y = Expand(x, to)",
        "ConstantOfShape": "c = Reshape(one, first_shape) y = ConstantOfShape(c)",
        "Slice": "c = Reshape(one, first_shape) part = Slice(x, zeros, c, ones) y = Exp(part)",
    }
    return build(
        f"""(float[n, {WIDTH}] x, int64 count) => (float[a, b] y, float[n, {WIDTH}] same) {{
            one = Mul(count, step) same = Relu(x) {uses[operator]}
        }}""",
        {
            "zero": np.array(0),
            "step": np.array(1),
            "first": np.array([0]),
            "first_shape": np.array([1]),
            "ones": np.array([1]),
            "zeros": np.array([0]),
        },
    )


def shifted() -> ModelProto:
    """Positions from an offset on: a range between two values that move together, which costs the same wherever it begins."""
    return build(
        """(int64[n, 4] ids, int64 offset) => (float[n, 4] y) {
            end = Add(offset, four) positions = Range(offset, end, one) moved = Add(ids, positions) y = Cast <to = 1> (moved)
        }""",
        {"four": np.array(4), "one": np.array(1)},
    )


# --- models that are no function of their input --------------------------------------------------------------------------


def random(draw: str = "RandomNormalLike", *, mixes: bool = False) -> ModelProto:
    """A product with a random draw added; the items of a batch get on with each other, or do not."""
    draws = {
        "RandomNormalLike": "noise = RandomNormalLike(product)",
        "RandomUniformLike": "noise = RandomUniformLike <dtype = 1> (product)",
        "RandomNormal": f"noise = RandomNormal <shape = [{CLASSES}]> ()",
        "RandomUniform": f"noise = RandomUniform <shape = [{CLASSES}]> ()",
        "Bernoulli": "share = Sigmoid(product) noise = Bernoulli(share)",
        "Multinomial": f"drawn = Multinomial <sample_size = {CLASSES}> (product) noise = Cast <to = 1> (drawn)",
    }
    mean = "before = ReduceMean(x, first) centered = Sub(x, before)" if mixes else "centered = Identity(x)"
    axes = {"first": np.array([0])} if mixes else {}
    return build(
        f"""(float[n, {WIDTH}] x) => (float[n, {CLASSES}] y) {{
            {mean} product = MatMul(centered, w) {draws[draw]} y = Add(product, noise)
        }}""",
        weights(w=(WIDTH, CLASSES)) | axes,
    )


def halved(model: ModelProto, kind: int = TensorProto.FLOAT16) -> ModelProto:
    """Turn every type and weight of a model of floats, in inner graphs too, to 16 bits."""
    for graph in onnx_file.graphs(model):
        for tensor in (*graph.initializer, *(attribute.t for node in graph.node for attribute in node.attribute)):
            if tensor.data_type == TensorProto.FLOAT:
                values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        for attribute in (attribute for node in graph.node for attribute in node.attribute if attribute.name == "to"):
            attribute.i = kind
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = kind
    return model


def with_subnormal_weights(share: float, model: ModelProto) -> ModelProto:
    """Make this share of each weight of two axes subnormal."""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.ndim == 2:
            values.ravel()[: round(share * values.size)] = 1e-40
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


# --- items that do not get on with each other ----------------------------------------------------------------------------


def batch_mean(batch: str = "n") -> ModelProto:
    """Each item less the mean of its batch."""
    return build(
        f"(float[{batch}, {WIDTH}] x) => (float[{batch}, {WIDTH}] y) {{ mean = ReduceMean(x, axis) y = Sub(x, mean) }}",
        {"axis": np.array([0])},
    )


def fixed_reshape() -> ModelProto:
    """Declares a free batch, and reshapes to one item."""
    return build(f"(float[n, {WIDTH}] x) => (float[1, 2, 4] y) {{ y = Reshape(x, shape) }}", {"shape": np.array([1, 2, 4])})


def states_added_up() -> ModelProto:
    """The states of all items added up: seen only if states differ."""
    return build(
        f"""(float[n, {WIDTH}] x, float[n, {WIDTH}] state) => (float[n, {WIDTH}] y) {{
            all = ReduceSum(state, axis)
            y = Add(x, all)
        }}""",
        {"axis": np.array([0])},
    )


def batch_limit(limit: int = 3) -> ModelProto:
    """Fails at a batch above `limit`."""
    return build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{
            n = Shape <start = 0, end = 1> (x)
            count = Squeeze(n)
            numbers = Range(zero, count, one)
            rows = Gather(table, numbers)
            product = MatMul(x, w)
            y = Add(product, rows)
        }}""",
        weights(w=(WIDTH, WIDTH)) | {"table": np.ones((limit, WIDTH), np.float32), "zero": np.int64(0), "one": np.int64(1)},
    )


# --- what comes out ------------------------------------------------------------------------------------------------------


def logarithm() -> ModelProto:
    """NaN wherever the product is negative."""
    return build(
        f"(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{ z = MatMul(x, w) y = Log(z) }}",
        weights(w=(WIDTH, WIDTH)),
    )


def one_number() -> ModelProto:
    """A regression: one number for each item."""
    return build(f"(float[n, {WIDTH}] x) => (float[n, 1] y) {{ y = MatMul(x, w) }}", weights(w=(WIDTH, 1)))


def custom_operator() -> ModelProto:
    """An operator that ONNX Runtime does not have."""
    return build("(float[n, 8] x) => (float[n, 8] y) { y = acme.Secret(x) }", domains={"acme": 1})


def endless() -> ModelProto:
    """A Loop that takes longer than anyone waits."""
    return loop(times=2**40)


def forest(*, zipmap: bool = True, names: tuple[str, ...] | None = None, seed: int = 0) -> ModelProto:
    """A random forest on two features, converted by skl2onnx; classes 0, 1, 2 or `names`."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestClassifier

    random = np.random.default_rng(seed)
    rows = random.standard_normal((90, 2)).astype(np.float32)
    classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)
    estimator = RandomForestClassifier(4, max_depth=3, random_state=seed)
    estimator.fit(rows, np.array(names)[classes] if names else classes)
    return convert_sklearn(
        estimator,
        initial_types=[("rows", FloatTensorType([None, 2]))],
        options={id(estimator): {"zipmap": zipmap}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )


def quantized(folder: Path) -> Path:
    """Return the file of the MLP after ONNX Runtime's dynamic quantization, as a user may bring it."""
    from onnxruntime.quantization import quantize_dynamic

    plain, target = save(mlp(), folder / "plain.onnx"), folder / "quantized.onnx"
    quantize_dynamic(plain, target)
    return target


def product_of_bytes(operator: str = "MatMulInteger") -> ModelProto:
    """A product in bytes with weights of 7 bits: of inputs quantized at run time for MatMulInteger, else with a scale of their own."""
    lines = {
        "MatMulInteger": """b, s, z = DynamicQuantizeLinear(x)
            p = MatMulInteger(b, w, z)
            f = Cast <to = 1> (p)
            y = Mul(f, s)""",
        "MatMulIntegerToFloat": """b = QuantizeLinear(x, xs, xz)
            y = com.microsoft.MatMulIntegerToFloat(b, w, xs, ws, xz)""",
        "QLinearMatMul": """b = QuantizeLinear(x, xs, xz)
            p = QLinearMatMul(b, xs, xz, w, ws, wz, ys, xz)
            f = Cast <to = 1> (p)
            y = Sub(f, half)""",
    }[operator]
    scales = {"xs": np.float32(0.03), "ws": np.float32(0.01), "ys": np.float32(0.1), "half": np.float32(128)}
    return build(
        f"(float[n, {WIDTH}] x) => (float[n, {CLASSES}] y) {{ {lines} }}",
        {"w": np.random.default_rng(0).integers(-64, 64, (WIDTH, CLASSES), np.int8)}
        | (scales | {"xz": np.uint8(128), "wz": np.int8(0)} if operator != "MatMulInteger" else {}),
        domains={"com.microsoft": 1},
    )


def voice_detector(name: str) -> Path:
    """Return one of the files of the package silero-vad, without importing it, which would import torch; skip where it is absent."""
    found = importlib.util.find_spec("silero_vad")
    if found is None:
        pytest.skip("silero-vad is not installed")
    return Path(str(found.origin)).parent / "data" / f"{name}.onnx"
