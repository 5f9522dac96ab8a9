"""How far off a model is with single nodes quantized: the files, made from one preparation, and a process that runs them."""

import contextlib
from pathlib import Path
from types import TracebackType

import numpy as np

from advisor.disk import temporary
from advisor.errors import ModelError
from advisor.measure.model import onnx_graph
from advisor.measure.variants import quantize
from advisor.measure.variants.making import Plan, ingredients, portable
from advisor.measure.variants.processes import Tools
from advisor.measure.variants.quantize import Nodes
from advisor.measure.worker import output_file
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Load, Loaded, Predict, Predicted
from advisor.schema.catalog import Scheme
from advisor.schema.record import Record

BATCH_SIZE = 8


class Prepared(Record, frozen=True, kw_only=True):
    """The file that the others are made from, the nodes that the scheme would quantize, what reads them, and the items to calibrate on."""

    path: str
    nodes: list[str]
    readers: dict[str, frozenset[str]]
    items: int


def prepare(plan: Plan, scheme: Scheme, folder: Path) -> Prepared:
    """Write the prepared file into the folder and return what there is to choose from."""
    given = ingredients(plan)
    path = quantize.prepare(plan.baseline, folder, apart=quantize.is_apart(plan.baseline, given))
    nodes = quantize.quantizable(path, scheme)
    return Prepared(path=str(path), nodes=nodes, readers=onnx_graph.readers_of(path, nodes), items=given.calibration_items)


def make(plan: Plan, scheme: Scheme, prepared: Path, target: Path, nodes: Nodes) -> None:
    """Write the prepared file with these nodes quantized; raise ModelError if the tools cannot do it."""
    given = ingredients(plan)
    quantize.discard(target)
    quantize.quantize(prepared, scheme, target, given, nodes, apart=quantize.is_apart(plan.baseline, given))


class Errors:
    """Makes and runs files of one scheme with chosen nodes quantized. Use as a context manager."""

    def __init__(self, tools: Tools, scheme: Scheme) -> None:
        self.tools, self.plan, self.scheme = tools, tools.plan, scheme

    def __enter__(self) -> "Errors":
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(temporary.folder(self.plan.folder))
            self.made = self.folder / "made.onnx"
            self.prepared = self.tools.call(self.scheme.id, prepare, portable(self.plan), self.scheme, self.folder)
            self.nodes, self.readers = self.prepared.nodes, self.prepared.readers
            self.worker = stack.enter_context(WorkerProcess())
            # Ranges and harm are found on the items to calibrate on, never on those to judge by.
            self.items = min(self.plan.screening.compared_items, self.prepared.items)
            self.expected = self._outputs(Path(self.prepared.path))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()

    def make(self, nodes: Nodes) -> Path:
        """Return the file with these nodes quantized; it lasts until the next one is made."""
        prepared = Path(self.prepared.path)
        self.tools.call(self.scheme.id, make, portable(self.plan), self.scheme, prepared, self.made, nodes)
        return self.made

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file that was made, with its weights."""
        self.tools.call(self.scheme.id, quantize.copy, source, target)

    def of(self, only: frozenset[str]) -> float:
        """Return how far off the outputs are with only these nodes quantized; infinite if that does not run."""
        try:
            actual = self._outputs(self.make(Nodes(only=only)))
        except ModelError:
            return float("inf")
        except WorkerError:
            self.worker.restart()
            return float("inf")
        errors = [
            _relative_error(values, actual[name])
            for name, values in self.expected.items()
            if values.dtype.kind == "f" and values.size and actual[name].shape == values.shape
        ]
        return max(errors, default=0.0)

    def _outputs(self, path: Path) -> dict[str, np.ndarray]:
        plan, target = self.plan, self.folder / "outputs.npz"
        facts = plan.facts
        load = Load(path=str(path), inputs=facts.inputs, rows=None, seed=plan.settings.seed, largest=facts.batching.largest)
        self.worker.ask(load, Loaded)
        size = BATCH_SIZE if plan.facts.batching.possible else 1
        request = Predict(
            rows=plan.calibration,
            items=self.items,
            batch_size=size,
            sequence_length=plan.facts.at_sequence_length,
            target=str(target),
        )
        self.worker.ask(request, Predicted)
        return output_file.read(target)


def _relative_error(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the squared error over the square, the mean over items: one whose outputs are small counts as much as any other."""
    one, other = (np.nan_to_num(values.astype(np.float64)).reshape(len(values), -1) for values in (expected, actual))
    return float((((one - other) ** 2).sum(axis=1) / np.maximum((one**2).sum(axis=1), 1e-30)).mean())
