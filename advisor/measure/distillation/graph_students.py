"""Students of plain ONNX files: the blocks that a graph repeats are found by what they compute, and some of them are left out.

Along the stream of a network there are tensors through which all that is computed of its beginning passes on to its outputs. They part the
graph into segments. Blocks are the runs of segments that compute the same again, with other weights.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advisor.errors import ModelError
from advisor.measure.distillation.student_names import kept_blocks, refuse_more
from advisor.measure.model import onnx_file, onnx_graph

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

# Of these the size of their input counts, not its values: what they give is no part of the stream.
SHAPES_ALONE = {"Shape", "Size"}
FLOATS = {1, 10, 11, 16}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16
MOST_BEGINNINGS = 12  # tensors that are tried as the beginning of the stream: embeddings are added up from a few tables
LONGEST_PERIOD = 128  # segments in a block
SMALL = 64  # elements of a constant that is compared by value
TEACH = "train one by other means, and give its folder or file: --student PATH"


class Block(NamedTuple):
    """A block of the stream: the tensors that it begins and ends with, and its nodes, numbered alike in all blocks."""

    begin: str
    end: str
    nodes: tuple[int, ...]


def count_blocks(path: Path) -> int:
    """Return how many repeated blocks the graph of a file has; raise ModelError where there are none."""
    return len(_blocks_of(onnx_graph.inlined(onnx_file.load_whole(path)), path))


def cut(path: Path, wanted: int, target: Path) -> None:
    """Write the graph with so many of its blocks, evenly spaced, the first and the last among them.

    Raise ModelError for a graph without repeated blocks, InputError where it has no more than are wanted.
    """
    is_apart = bool(onnx_file.external_files(onnx_file.load(path), path))
    model = onnx_graph.inlined(onnx_file.load_whole(path))
    blocks = _blocks_of(model, path)
    refuse_more(wanted, len(blocks), "blocks", f"layers-{wanted}", path)
    _leave_out(model.graph, blocks, set(kept_blocks(len(blocks), wanted)))
    onnx_file.save_whole(model, target, apart=is_apart)


def _blocks_of(model: Any, path: Path) -> tuple[Block, ...]:
    blocks = _Stream(model.graph).best()
    if not blocks:
        raise ModelError(f"{path}: no student of this graph: it repeats no block that a student could leave out", hint=TEACH)
    return blocks


class _Stream:
    """The nodes of a graph by the tensors that they make and read, and what is known of each."""

    def __init__(self, graph: Any) -> None:
        self.nodes: Sequence[NodeProto] = graph.node
        self.outputs = [value.name for value in graph.output]
        self.reads = [_read_by(node) for node in self.nodes]
        made = [(name, number) for number, node in enumerate(self.nodes) for name in node.output if name]
        self.maker = dict(made)
        # Each tensor is made once, and before it is read, as ONNX asks for: no way leads in a circle.
        self.is_in_order = len(made) == len(self.maker) and all(
            self.maker.get(name, -1) < number for number, names in enumerate(self.reads) for name in names
        )
        stored = {tensor.name: tensor for tensor in graph.initializer}
        self.sizes = {name: prod(tensor.dims) for name, tensor in stored.items() if _is_matrix(tensor)}
        for node in self.nodes:
            if node.op_type == "Constant" and (found := _constant(node)) is not None and _is_matrix(found):
                self.sizes[node.output[0]] = prod(found.dims)
        self.known = {name: _digest(_of_tensor(tensor)) for name, tensor in stored.items()}
        self.inputs = [value.name for value in graph.input if value.name not in stored]
        self.known |= {name: _digest(("input", name)) for name in self.inputs}
        self.attributes = [_of_attributes(node) for node in self.nodes]

    def best(self) -> tuple[Block, ...]:
        """Return the blocks that hold most of the weights, of all that may be the beginning of the stream."""
        beginnings = self._beginnings()[:MOST_BEGINNINGS] if self.is_in_order else []
        found = [self._from(name) for name in beginnings]
        _, blocks = max(found, key=_weight, default=(0, ()))
        return blocks

    def _beginnings(self) -> list[str]:
        """Return what nodes make of an input and a matrix of weights, however that was turned before."""
        live = self._depends_on(*self.inputs)
        weights, found = set(self.sizes), []
        for number, node in enumerate(self.nodes):
            has_weights = not weights.isdisjoint(self.reads[number])
            if live.isdisjoint(node.output):
                weights.update(node.output if has_weights else ())
            elif has_weights:
                found.append(node.output[0])
        return found

    def _from(self, beginning: str) -> tuple[int, tuple[Block, ...]]:
        """Return the blocks behind a tensor, and how many elements of weights they hold."""
        inside = self._depends_on(beginning)
        cuts = self._cuts(beginning, inside)
        sides = self._sides(inside)
        segments = [self._segment(begin, end, inside, sides) for begin, end in itertools.pairwise(cuts)]
        weights = [self._weights(nodes, inside) for _, nodes in segments]
        run = _longest_run([signature for signature, _ in segments], weights)
        if run is None:
            return 0, ()
        start, period, count = run
        blocks = []
        for first in range(start, start + count * period, period):
            nodes = tuple(number for _, listed in segments[first : first + period] for number in listed)
            blocks.append(Block(cuts[first], cuts[first + period], nodes))
        return sum(weights[start : start + count * period]), tuple(blocks)

    def _depends_on(self, *beginnings: str) -> set[str]:
        """Return the tensors whose values depend on those of some, these among them."""
        found = set(beginnings)
        for number, node in enumerate(self.nodes):
            if node.op_type not in SHAPES_ALONE and found.intersection(self.reads[number]):
                found.update(name for name in node.output if name)
        return found

    def _cuts(self, beginning: str, inside: set[str]) -> list[str]:
        """Return the tensors through which every way from one to the outputs leads, in their order; ways are counted."""
        readers: dict[str, list[int]] = {name: [] for name in inside}
        for number, node in enumerate(self.nodes):
            if node.op_type not in SHAPES_ALONE:
                for name in self.reads[number]:
                    if name in inside:
                        readers[name].append(number)
        order = [beginning, *(name for node in self.nodes for name in node.output if name in inside and name != beginning)]
        behind: dict[str, int] = {}
        for name in reversed(order):
            ways = sum(behind.get(output, 0) for number in readers[name] for output in self.nodes[number].output)
            behind[name] = ways + self.outputs.count(name)
        before = dict.fromkeys(order, 0) | {beginning: 1}
        for name in order[1:]:
            before[name] = sum(before[read] for read in self.reads[self.maker[name]] if read in inside)
        total = behind[beginning]
        return [name for name in order if total and before[name] * behind[name] == total]

    def _sides(self, inside: set[str]) -> dict[str, bytes]:
        """Return digests of what is computed beside the stream: of masks, of positions, of weights that are transposed."""
        found = dict(self.known)
        for number, node in enumerate(self.nodes):
            if node.op_type in SHAPES_ALONE:
                made: tuple[object, ...] = ("shape", self.attributes[number])  # of whichever tensor: in all blocks alike
            elif inside.intersection(node.output):
                continue
            elif node.op_type == "Identity":
                # Exporters store equal weights once, and have the others read them through such a node.
                found[node.output[0]] = found.get(self.reads[number][0], b"")
                continue
            else:
                made = (*self._kind(number), *(found.get(name, b"") for name in self.reads[number]))
            found |= {name: _digest((place, *made)) for place, name in enumerate(node.output) if name}
        return found

    def _kind(self, number: int) -> tuple[object, ...]:
        """Return what a node is, whatever it reads."""
        node = self.nodes[number]
        return (node.op_type, node.domain, len(node.output), self.attributes[number])

    def _segment(self, begin: str, end: str, inside: set[str], sides: Mapping[str, bytes]) -> tuple[bytes, tuple[int, ...]]:
        """Return a digest of what is computed between two tensors, and its nodes in an order that their connections decide."""
        order: list[int] = []
        places: dict[int, int] = {}
        waiting = [self.maker[end]]
        while waiting:
            number = waiting[-1]
            missing = [
                self.maker[name]
                for name in self.reads[number]
                if name in inside and name != begin and self.maker[name] not in places
            ]
            if missing:
                waiting.append(missing[0])
                continue
            waiting.pop()
            if number not in places:
                places[number] = len(order)
                order.append(number)

        def of(name: str) -> object:
            if name == begin:
                return "stream"
            if name in inside:
                maker = self.maker[name]
                return (places[maker], list(self.nodes[maker].output).index(name))
            return sides.get(name, b"")

        parts = [(*self._kind(number), *map(of, self.reads[number])) for number in order]
        return _digest(tuple(parts)), tuple(order)

    def _weights(self, nodes: Iterable[int], inside: set[str]) -> int:
        """Return how many elements the weight matrices have that the nodes read, however these are turned on the way."""
        found: set[str] = set()
        waiting = [name for number in nodes for name in self.reads[number] if name not in inside]
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            if name in self.sizes:
                found.add(name)
            maker = self.maker.get(name)
            before = [] if maker is None or self.nodes[maker].op_type in SHAPES_ALONE else self.reads[maker]
            waiting += [read for read in before if read not in seen and read not in inside]
            seen.update(before)
        return sum(self.sizes[name] for name in found)


def _weight(found: tuple[int, tuple[Block, ...]]) -> int:
    return found[0]


def _longest_run(signatures: Sequence[bytes], weights: Sequence[int]) -> tuple[int, int, int] | None:
    """Return first segment, segments in a block and number of blocks of the run that holds most weights.

    Of equal runs the one of the shortest blocks, and of these the last: a norm behind the embeddings looks like that which ends a block.
    """
    best: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
    for period in range(1, min(LONGEST_PERIOD, len(signatures) // 2) + 1):
        end = len(signatures)
        while end > period:
            # From the end backwards, as far as each segment is what stands a block further on.
            start = end - period
            while start > 0 and signatures[start - 1] == signatures[start - 1 + period]:
                start -= 1
            count = (end - start) // period
            first = end - count * period
            held = sum(weights[first:end])
            if count > 1 and all(sum(weights[place : place + period]) for place in range(first, end, period)):
                rated = ((held, -period, first), (first, period, count))
                best = rated if best is None or rated[0] > best[0] else best
            end = min(end - 1, start + period - 1)
    return None if best is None else best[1]


def _leave_out(graph: Any, blocks: Sequence[Block], kept: set[int]) -> None:
    """Take blocks out of a graph: what read the end of one reads its beginning, and what nothing reads any more goes."""
    instead: dict[str, str] = {}
    for place, block in enumerate(blocks):
        if place not in kept:
            instead[block.end] = instead.get(block.begin, block.begin)
    nodes = list(graph.node)
    # A size that others took from a tensor of a block that goes is that of the same tensor in the first.
    same: dict[str, str] = {}
    for place, block in enumerate(blocks):
        if place not in kept:
            for there, here in zip(block.nodes, blocks[0].nodes, strict=True):
                same |= dict(zip(nodes[there].output, nodes[here].output, strict=True))
    for node in nodes:
        if node.op_type in SHAPES_ALONE:
            node.input[:] = [same.get(name, name) for name in node.input]
        _rename(node, instead)
    outputs = {value.name for value in graph.output}
    from onnx import helper

    for name in outputs & instead.keys():
        maker = next(node for node in nodes if name in node.output)
        maker.output[:] = ["" if output == name else output for output in maker.output]
        nodes.append(helper.make_node("Identity", [instead[name]], [name], name=f"{name}_of_student"))
    _keep_what_is_read(graph, nodes, outputs)


def _rename(node: Any, instead: Mapping[str, str]) -> None:
    """Have a node, and the graphs inside it, read other tensors."""
    node.input[:] = [instead.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for inner in onnx_file.inner_graphs(attribute):
            for deeper in inner.node:
                _rename(deeper, instead)
            for value in inner.output:
                value.name = instead.get(value.name, value.name)


def _keep_what_is_read(graph: Any, nodes: Sequence[Any], outputs: set[str]) -> None:
    """Leave the nodes and constants in a graph that its outputs hang on, and all of its inputs."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(_read_by(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    gone = {tensor.name for tensor in graph.initializer} - wanted
    # Before IR version 4 every initializer is listed among the inputs too.
    for values in (graph.initializer, graph.input):
        staying = [value for value in values if value.name not in gone]
        del values[:]
        values.extend(staying)
    del graph.value_info[:]  # types of values in between: they follow from the others


def _read_by(node: Any) -> tuple[str, ...]:
    """Return the tensors that a node reads, those that the graphs inside it take from around it among them."""
    found = [name for name in node.input if name]
    for attribute in node.attribute:
        for inner in onnx_file.inner_graphs(attribute):
            made = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
            for deeper in inner.node:
                found += [name for name in _read_by(deeper) if name not in made]
                made.update(deeper.output)
            found += [value.name for value in inner.output if value.name not in made]
    return tuple(found)


def _is_matrix(tensor: "TensorProto") -> bool:
    return len(tensor.dims) > 1 and tensor.data_type in onnx_graph.WEIGHT_BITS


def _constant(node: "NodeProto") -> "TensorProto | None":
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _of_tensor(tensor: "TensorProto") -> tuple[object, ...]:
    """Return what of a constant is the same in equal blocks: of weights the shape, of sizes and axes the values."""
    shape = (tensor.data_type, tuple(tensor.dims))
    if tensor.data_type in FLOATS or prod(tensor.dims) > SMALL or tensor.external_data:
        return shape
    from onnx import numpy_helper

    return (*shape, numpy_helper.to_array(tensor).tolist())


def _of_attributes(node: "NodeProto") -> tuple[object, ...]:
    """Return the attributes of a node, by what of them is the same in equal blocks."""
    found: list[object] = []
    for attribute in sorted(node.attribute, key=_name):
        if attribute.HasField("t"):
            found.append((attribute.name, *_of_tensor(attribute.t)))
        else:
            found.append((attribute.name, attribute.SerializeToString(deterministic=True)))
    return tuple(found)


def _name(attribute: Any) -> str:
    return str(attribute.name)


def _digest(parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()
