"""Baseline file -> variant files, one per scheme. The one doorway to `onnxruntime.quantization` and `onnxruntime.transformers`."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from advisor.disk import temporary
from advisor.errors import MissingDependencyError, ModelError
from advisor.measure.model import checkpoint, input_rows, onnx_file, onnx_graph, rewriting
from advisor.measure.runtime import ort_session
from advisor.measure.runtime.quiet import quiet
from advisor.measure.variants import int8_file
from advisor.quantized_operators import are_quantized
from advisor.schema.catalog import Scheme
from advisor.schema.model import Graph
from advisor.schema.record import Exclusion

# Above this a protobuf file cannot hold the weights (its limit is 2 GiB).
EXTERNAL_DATA_BYTES = 1_900_000_000
# Scales for each channel need it: below, the tools write a file that ONNX Runtime refuses.
OPSET_OF_CHANNELS = 13
QUANTIZING = {"dynamic-quantization", "static-quantization", "weight-only"}
# MatMulNBits: multiply in 8-bit integers instead of unpacking to floats (the operator's attribute accuracy_level).
INTEGER_PRODUCTS = 4
ENTROPY_BINS = (
    256  # twice the levels that are left, so that there are ranges to choose from; four times as many take ten times as long
)

Feeds = dict[str, np.ndarray]


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """What variants are made of, beside the scheme."""

    file_bytes: int  # of the baseline with its external data; a variant of a model in two files has two files too
    has_vnni: bool
    checkpoint: Path | None = None  # the directory that the baseline was exported from
    calibration: Callable[[], Iterable[Feeds]] | None = None  # a pass over the items that static ranges are found on
    calibration_items: int = 16
    are_real: bool = True  # the user's; generated ones have other means
    histogram_batches: int = 128  # as many of them as histograms of activations have room for
    ranges: Path | None = None  # where ranges are kept, so that they are found once; None: as long as the prepared file


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes of the prepared graph a scheme is applied to: all but `kept`, or `only` these."""

    kept: frozenset[str] = frozenset()
    only: frozenset[str] | None = None


EVERY = Nodes()


def make_variant(baseline: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes = EVERY) -> None:
    """Write the baseline under `scheme` to `target`; raise ModelError if the tools cannot do it."""
    # ONNX Runtime leaves weights where they are unless asked otherwise, and beside the variant there is no such file.
    apart = is_apart(baseline, given)
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder(target.parent) as folder:
        made = folder / target.name
        if scheme.method == "graph-optimization":
            ort_session.open_session(baseline, optimization="extended", save_as=made, save_weights_apart=apart)
        elif scheme.method == "transformer-fusion":
            if given.checkpoint is None:
                raise ModelError(
                    "transformer fusions need the checkpoint", hint="give the checkpoint directory instead of its ONNX file"
                )
            checkpoint.fuse(given.checkpoint, baseline, made)
        elif scheme.method == "full-precision":
            rewriting.in_float32(baseline, made, apart=apart or 2 * given.file_bytes > EXTERNAL_DATA_BYTES)
        else:
            with temporary.folder(target.parent) as other:
                prepared = prepare(baseline, other, apart=apart)
                quantize(prepared, scheme, made, given, nodes, apart=apart)
        for path in folder.iterdir():
            path.replace(target.parent / path.name)


def load_tools() -> None:
    """Import the tools, which takes a second or so, once."""
    ort_session.silence()
    import onnxruntime.quantization  # noqa: F401


def is_apart(baseline: Path, given: Ingredients) -> bool:
    """Return whether a variant keeps its weights in a file of their own."""
    return given.file_bytes > min(EXTERNAL_DATA_BYTES, baseline.stat().st_size)


def prepare(baseline: Path, folder: Path, *, apart: bool) -> Path:
    """Return the file that the quantizers start from: constants folded into initializers, every node named.

    The quantizers see initializers only: folding first turns weights in Constant nodes into them.
    """
    folded = folder / "folded.onnx"
    ort_session.open_session(baseline, optimization="basic", save_as=folded, save_weights_apart=apart)
    onnx_file.name_nodes(folded)
    return folded


def quantize(prepared: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes = EVERY, *, apart: bool) -> None:
    """Write the prepared file under a scheme that changes its numbers; raise ModelError if the tools cannot do it."""
    chosen = {
        "dynamic-quantization": _dynamic,
        "static-quantization": _static,
        "weight-only": _weight_only,
        "half-precision": _half,
    }[scheme.method]
    ort_session.silence()
    try:
        with quiet():
            chosen(prepared, scheme, target, given, nodes, apart)
    except (MissingDependencyError, ModelError):
        raise
    except Exception as error:  # the quantizer raises whatever its handlers meet: KeyError, ValueError, AssertionError ...
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise ModelError(
            f"the quantizer fails on this graph ({type(error).__name__}: {reason})",
            hint="quantize it with another tool, and give that file with --variant",
        ) from error


def quantizable(prepared: Path, scheme: Scheme) -> list[str]:
    """Return the names of the nodes of the main graph that the scheme would quantize: of its operators, with stored weights."""
    found = onnx_graph.nodes_with_weights(prepared, set(scheme.operators))
    return [*found, *plain_products(onnx_file.load(prepared))] if scheme.method == "weight-only" else found


def only_in_branches(baseline: Path, scheme: Scheme, graph: Graph) -> str | None:
    """Return why static quantization finds nothing to do in a model that keeps its weights inside If and Loop, None of any other."""
    model = onnx_file.load(baseline)
    outside = {node.op_type for node in model.graph.node}
    inside = [operator for operator in scheme.operators if graph.weight_bytes_of.get(operator, 0) and operator not in outside]
    if scheme.method != "static-quantization" or model.functions or not inside:
        return None
    if onnx_graph.nodes_with_weights(baseline, set(scheme.operators)):
        return None
    return f"every {' and '.join(inside)} is inside an If or Loop, where ONNX Runtime's static quantizer does not look"


def plain_products(model: Any) -> list[str]:
    """Return the names of the nodes of type Gemm that are a product with stored weights, and a sum at most, nothing transposed or scaled.

    That is what ONNX Runtime makes of a MatMul and an Add as it folds constants.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Gemm"
        and node.input[1] in stored
        and int8_file.is_plain(node)
        and not onnx_graph.attributes(node).get("transB", 0)
    ]


def _with_products_apart(model: Any) -> Any:
    """Return the model with a MatMul, under the same name, and an Add in the place of each plain product of type Gemm."""
    plain = set(plain_products(model))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.name not in plain:
            model.graph.node.append(node)
            continue
        has_sum = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}_product" if has_sum else node.output[0]
        model.graph.node.add(op_type="MatMul", name=node.name, input=node.input[:2], output=[product])
        if has_sum:
            model.graph.node.add(op_type="Add", name=f"{node.name}_sum", input=[product, node.input[2]], output=node.output)
    return model


def _dynamic(prepared: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes, apart: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        prepared,
        target,
        op_types_to_quantize=list(scheme.operators),
        per_channel=scheme.per_channel,
        # Without VNNI the int8 dot product adds pairs in 16 bits and saturates; 7-bit weights cannot.
        reduce_range=not given.has_vnni and scheme.weight_type == "int8",
        weight_type=_type(QuantType, scheme.weight_type),
        nodes_to_quantize=_with_new_names(nodes.only),
        nodes_to_exclude=_with_new_names(nodes.kept),
        use_external_data_format=apart,
        extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
    )
    if scheme.bias_correction and given.are_real and given.calibration is not None:
        int8_file.correct_sums(target, prepared, _means(prepared, given), apart=apart)


def _static(prepared: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes, apart: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    assert scheme.calibration is not None
    if given.calibration is None:
        raise ModelError("static ranges need items to calibrate on", hint="give quality.data, quality.calibration or --inputs")

    most = None if scheme.calibration == "minmax" else given.histogram_batches

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def __init__(self, calibration: Callable[[], Iterable[Feeds]]) -> None:
            self._items: Iterator[Feeds] = islice(calibration(), most)

        def get_next(self) -> Feeds | None:
            return next(self._items, None)

    source = _with_opset_of_channels(prepared, apart) if scheme.per_channel else prepared
    ranges = (given.ranges or prepared.parent) / f"{scheme.calibration}.json"
    # Without the activations that follow, a range has to hold what they would cut off.
    types = [*scheme.operators, *int8_file.ABSORBED]
    if scheme.calibration == "entropy" and not ranges.is_file():
        _find_entropy_ranges(source, types, Reader(given.calibration), ranges, apart)
    kept = nodes.kept if nodes.only is None else nodes.kept | (set(quantizable(source, scheme)) - nodes.only)
    fixed = {"MatMulConstBOnly": True, "ActivationSymmetric": scheme.activation_type == "int8"}
    # The tools narrow weights whose bias would not fit, and fail at that where a product has a scale for each column: then without.
    for options in (fixed, fixed | {"QDQDisableWeightAdjustForInt32Bias": True}):
        try:
            quantize_static(
                source,
                target,
                None if ranges.is_file() else Reader(given.calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=types,
                per_channel=scheme.per_channel,
                reduce_range=not given.has_vnni and scheme.weight_type == "int8",
                activation_type=_type(QuantType, scheme.activation_type),
                weight_type=_type(QuantType, scheme.weight_type),
                nodes_to_exclude=sorted(kept),
                use_external_data_format=apart,
                calibrate_method={
                    "minmax": CalibrationMethod.MinMax,
                    "entropy": CalibrationMethod.Entropy,
                    "percentile": CalibrationMethod.Percentile,
                }[scheme.calibration],
                extra_options=options,
                calibration_cache_path=ranges,
            )
            break
        except ValueError:
            if options is not fixed:
                raise
    if scheme.bias_correction and given.are_real:
        int8_file.correct_biases(target, source, _means(source, given), apart=apart)
    int8_file.keep_floats(target, apart=apart)


def _find_entropy_ranges(source: Path, types: list[str], reader: Any, ranges: Path, apart: bool) -> None:
    """Write the ranges of least lost entropy to `ranges`.

    With the number of bins that quantize_static asks for there is one range to choose from, the whole of what was observed.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator, save_tensors_data

    with temporary.folder(source.parent) as folder:
        calibrator = create_calibrator(
            source,
            types,
            augmented_model_path=str(folder / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Entropy,
            use_external_data_format=apart,
            extra_options={"num_bins": ENTROPY_BINS},
        )
        calibrator.collect_data(reader)
        save_tensors_data(calibrator.compute_data(), ranges, smooth_quant=False)


def _means(source: Path, given: Ingredients) -> int8_file.Means:
    """Return the mean of what each node reads, found once where ranges are kept."""
    assert given.calibration is not None
    path = (given.ranges or source.parent) / "means.npz"
    if not path.is_file():
        means = int8_file.mean_inputs(source, given.calibration)
        path.parent.mkdir(parents=True, exist_ok=True)
        input_rows.write_npz(path, means)
        return means
    with np.load(path) as archive:
        return dict(archive)


def _with_opset_of_channels(prepared: Path, apart: bool) -> Path:
    if onnx_file.opset_of(prepared) >= OPSET_OF_CHANNELS:
        return prepared
    if apart:
        raise ModelError(f"opset below {OPSET_OF_CHANNELS} with weights in a second file", hint="export it with a newer opset")
    converted = prepared.with_name("converted.onnx")
    if not converted.is_file():
        onnx_file.convert_opset(prepared, converted, OPSET_OF_CHANNELS)
    return converted


def _weight_only(prepared: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes, apart: bool) -> None:
    if importlib.util.find_spec("onnx_ir") is None:
        raise MissingDependencyError(
            "weight-only quantization needs onnx-ir, which onnxruntime does not declare", hint="pip install onnx-ir"
        )
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # Its list of nodes to include adds to those of the type; only what is excluded is left alone.
    kept = nodes.kept if nodes.only is None else nodes.kept | (set(quantizable(prepared, scheme)) - nodes.only)
    quantizer = MatMulNBitsQuantizer(
        _with_products_apart(onnx_file.load_whole(prepared)),
        bits=scheme.weight_bits,
        block_size=scheme.block_size or 128,
        is_symmetric=scheme.symmetric,
        accuracy_level=INTEGER_PRODUCTS if given.has_vnni else None,
        nodes_to_exclude=sorted(kept),
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), apart)


def _half(prepared: Path, scheme: Scheme, target: Path, given: Ingredients, nodes: Nodes, apart: bool) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx_file.load_whole(prepared)
    converted: Any = convert_float_to_float16(model, keep_io_types=True, node_block_list=sorted(nodes.kept))
    onnx_file.save_whole(converted, target, apart=apart)


def _type(types: Any, name: str) -> Any:
    return {"int8": types.QInt8, "uint8": types.QUInt8}[name]


def _with_new_names(names: frozenset[str] | None) -> list[str] | None:
    """Return the names, and those of the products that the dynamic quantizer puts in the place of nodes of type Gemm."""
    return None if names is None else sorted(names | {f"{name}_MatMul" for name in names})


def discard(path: Path) -> None:
    """Delete a variant's file and what lies beside it under its name."""
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_file():
            file.unlink()


def copy(source: Path, target: Path) -> None:
    """Copy a variant's file, and its weights where they are apart; raise ModelError if that fails."""
    discard(target)
    try:
        onnx_file.copy(source, target)
    except OSError as error:
        raise ModelError(
            f"{target}: cannot be written ({error.strerror})", hint="free some space, or name another folder"
        ) from error


def changed_operators(baseline: Graph, variant: Graph) -> dict[str, int]:
    """Return the operators whose number differs, by difference in count."""
    return {
        operator: variant.operators.get(operator, 0) - baseline.operators.get(operator, 0)
        for operator in sorted(baseline.operators.keys() | variant.operators.keys())
        if variant.operators.get(operator, 0) != baseline.operators.get(operator, 0)
    }


def proof_of_difference(scheme: Scheme, baseline: Graph, variant: Graph) -> dict[str, int] | Exclusion:
    """Return the operators that changed, by difference in count, or the Exclusion of a variant that changed nothing."""
    changed = changed_operators(baseline, variant)
    if not changed and variant.weights_sha256 == baseline.weights_sha256:
        return Exclusion(what=scheme.id, reason="the tool returned the model unchanged: same operators, same weights")
    if scheme.method in QUANTIZING and not are_quantized(operator for operator, more in changed.items() if more > 0):
        return Exclusion(
            what=scheme.id,
            reason=f"nothing was quantized: no {' or '.join(scheme.operators)} has stored weights in a form that the tool handles",
        )
    return changed
