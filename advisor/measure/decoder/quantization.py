"""The graph of a decoder -> the same with its products quantized; norms, embeddings and attention stay in floats. A doorway to `onnx`.

The packing is our own, so that no other tool is needed and one tensor at a time is in memory.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from advisor.errors import ModelError
from advisor.measure.decoder import decoder_folder
from advisor.measure.decoder.decoder_folder import MODEL, Label, WeightWriter, being_made, write_label
from advisor.measure.decoder.graph import CONTRIBUTED, FULL_PRECISION, write_decoder
from advisor.measure.model import onnx_file

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

WEIGHT_ONLY_BITS = {"int8-weight-only": 8, "int4-weight-only": 4}
INT8_DYNAMIC = "int8-dynamic"
SCHEMES = (FULL_PRECISION, *WEIGHT_ONLY_BITS, INT8_DYNAMIC)
BLOCK = 128  # weights that share a scale
# MatMulNBits: multiply in 8-bit integers instead of unpacking to floats (the operator's attribute accuracy_level).
INTEGER_PRODUCTS = 4
BYTE_BITS = 8
PIECE_BYTES = 64_000_000  # of a matrix in floats, that is packed at a time


class Made(NamedTuple):
    """One form of a decoder, in a folder of its own."""

    scheme: str
    folder: Path
    label: Label
    sha256: str  # of graph and weights
    bytes: int  # of all files


class _Matrix(NamedTuple):
    """The weights of a product, a row for each output, and whether the graph has them turned round."""

    name: str
    rows: np.ndarray  # (outputs, inputs), left in the file


def decoder_variants(
    checkpoint: Path, folder: Path, schemes: Iterable[str], *, max_tokens: int | None = None, has_vnni: bool = False
) -> Iterator[Made]:
    """Yield the decoder in 32-bit floats, then under each scheme, as they are made: each in a folder of its name inside `folder`.

    `max_tokens`: see write_decoder. Raises InputError for a checkpoint that is wrong or not modeled.
    """
    schemes = tuple(schemes)
    if unknown := sorted(set(schemes) - set(SCHEMES)):
        raise ValueError(f"no such scheme: {', '.join(unknown)}")
    source = folder / FULL_PRECISION
    write_decoder(checkpoint, source, max_tokens=max_tokens)
    yield _made(source)
    for scheme in (scheme for scheme in SCHEMES if scheme in schemes and scheme != FULL_PRECISION):
        quantize(source, folder / scheme, scheme, has_vnni=has_vnni)
        yield _made(folder / scheme)


def _made(folder: Path) -> Made:
    label = decoder_folder.read_label(folder)
    total = sum((folder / name).stat().st_size for name in (MODEL, decoder_folder.DATA, decoder_folder.LABEL))
    return Made(label.scheme, folder, label, decoder_folder.digest(folder), total)


def quantize(source: Path, folder: Path, scheme: str, *, has_vnni: bool = False) -> None:
    """Write the decoder of `source`, in 32-bit floats, under another scheme; raise ModelError if it has no stored products."""
    if scheme not in SCHEMES or scheme == FULL_PRECISION:
        raise ValueError(f"no such scheme: {scheme}")
    label = decoder_folder.read_label(source)
    model = onnx_file.load(source / MODEL)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    with being_made(folder) as place:
        with WeightWriter(place) as writer:
            bits = WEIGHT_ONLY_BITS.get(scheme)
            change = _Dynamic(writer, has_vnni) if bits is None else _WeightOnly(writer, bits)
            products = [(node, _matrix(source, node, tensors)) for node in model.graph.node]
            if all(matrix is None for _, matrix in products):
                raise ModelError(f"{source}: no product with stored weights", hint="make the folder again")
            nodes = [new for node, matrix in products for new in ([node] if matrix is None else change.nodes(node, matrix))]
            _keep_others(source, tensors, nodes, writer)
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(nodes)
        inline = [tensor for tensor in tensors.values() if not tensor.external_data]
        model.graph.initializer.extend([*inline, *writer.initializers])
        onnx_file.save_beside(model, place / MODEL)
        write_label(place, Label(facts=label.facts, scheme=scheme, max_tokens=label.max_tokens, weight_bytes=writer.weight_bytes))


def _matrix(source: Path, node: "NodeProto", tensors: "dict[str, TensorProto]") -> _Matrix | None:
    """Return the weights of a product, None for any other node."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in tensors:
        return None
    values = decoder_folder.stored(source, tensors[node.input[1]])
    # The head is stored as the checkpoint has it, the other way round.
    return _Matrix(node.input[1], values if node.op_type == "Gemm" else values.T)


def _keep_others(source: Path, tensors: "dict[str, TensorProto]", nodes: "list[NodeProto]", writer: WeightWriter) -> None:
    """Write what the nodes still read as it was."""
    is_read = {name for node in nodes for name in node.input}
    for tensor in tensors.values():
        if tensor.external_data and tensor.name in is_read:
            writer.add(tensor.name, decoder_folder.stored(source, tensor))


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows of a matrix, read from the file, as many at a time as may be in memory."""
    step = max(1, PIECE_BYTES // (rows.shape[1] * rows.itemsize))
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step])


# --- weights alone ------------------------------------------------------------------------------------------------------------


class _WeightOnly:
    """Products whose weights are whole numbers of 8 or 4 bits with a scale a block (MatMulNBits)."""

    def __init__(self, writer: WeightWriter, bits: int) -> None:
        self._writer, self._bits = writer, bits

    def nodes(self, node: "NodeProto", matrix: _Matrix) -> "list[NodeProto]":
        """Return what takes the place of a product, its weights written."""
        from onnx import helper

        outputs, inputs = matrix.rows.shape
        blocks = -(-inputs // BLOCK)
        scales: list[np.ndarray] = []

        def packed() -> Iterator[np.ndarray]:
            for piece in _pieces(matrix.rows):
                codes, scale = in_blocks(piece, self._bits)
                scales.append(scale)
                yield codes

        shape = (outputs, blocks, BLOCK * self._bits // BYTE_BITS)
        codes = self._writer.add_pieces(f"{matrix.name}.int{self._bits}", shape, np.dtype(np.uint8), packed())
        scale = self._writer.add(f"{matrix.name}.scales", np.concatenate(scales))
        attributes = {"K": inputs, "N": outputs, "bits": self._bits, "block_size": BLOCK, "accuracy_level": INTEGER_PRODUCTS}
        given = [node.input[0], codes, scale]
        return [helper.make_node("MatMulNBits", given, node.output, name=node.name, domain=CONTRIBUTED, **attributes)]


def in_blocks(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix (outputs, inputs) as codes (outputs, blocks, bytes) and scales (outputs, blocks).

    A weight is its code less half of the range, times the scale of its block. The weight farthest from zero has the lowest code: on that
    side there is one code more.
    """
    outputs, inputs = rows.shape
    blocks = -(-inputs // BLOCK)
    padded = np.zeros((outputs, blocks * BLOCK), np.float32)
    padded[:, :inputs] = rows
    padded = padded.reshape(outputs, blocks, BLOCK)
    middle = 2 ** (bits - 1)
    farthest = np.take_along_axis(padded, np.abs(padded).argmax(axis=-1, keepdims=True), axis=-1)
    scales = farthest / np.float32(-middle)
    with np.errstate(
        divide="ignore", invalid="ignore", over="ignore"
    ):  # of a block of zeros, or of nothing that a float could divide by
        steps = np.where(scales == 0, 0.0, np.rint(padded / scales))
    codes = np.clip(np.nan_to_num(steps) + middle, 0, 2**bits - 1).astype(np.uint8)
    if bits < BYTE_BITS:
        codes = codes[..., 0::2] | codes[..., 1::2] << bits
    return codes, scales[..., 0]


# --- weights and activations --------------------------------------------------------------------------------------------------


class _Dynamic:
    """Products of 8-bit weights, a scale each output, and of activations that are quantized as they come."""

    def __init__(self, writer: WeightWriter, has_vnni: bool) -> None:
        self._writer = writer
        # Without VNNI the int8 dot product adds pairs in 16 bits and saturates; 7-bit weights cannot.
        self._largest = 127 if has_vnni else 63
        self._quantized: set[str] = set()

    def nodes(self, node: "NodeProto", matrix: _Matrix) -> "list[NodeProto]":
        """Return what takes the place of a product, its weights written; what several products read is quantized once."""
        from onnx import helper

        outputs, inputs = matrix.rows.shape
        codes = np.empty((inputs, outputs), np.int8)
        scales = np.empty(outputs, np.float32)
        start = 0
        for piece in _pieces(matrix.rows):
            end = start + len(piece)
            piece_codes, scales[start:end] = by_output(piece, self._largest)
            codes[:, start:end] = piece_codes.T
            start = end
        weight = self._writer.add(f"{matrix.name}.int8", codes)
        scale = self._writer.add(f"{matrix.name}.scales", scales)
        given = node.input[0]
        parts = [f"{given}.{part}" for part in ("int8", "scale", "zero")]
        made: list[Any] = []
        if given not in self._quantized:
            self._quantized.add(given)
            made.append(helper.make_node("DynamicQuantizeLinear", [given], parts, name=f"{given}:DynamicQuantizeLinear"))
        read = [parts[0], weight, parts[1], scale, parts[2]]
        made.append(helper.make_node("MatMulIntegerToFloat", read, node.output, name=node.name, domain=CONTRIBUTED))
        return made


def by_output(rows: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix (outputs, inputs) as whole numbers up to `largest` either way, and the scale of each output."""
    scales = np.abs(rows).max(axis=1) / np.float32(largest)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        codes = np.where(scales[:, None] == 0, 0.0, np.rint(rows / scales[:, None]))
    return np.clip(np.nan_to_num(codes), -largest, largest).astype(np.int8), scales
