"""How far off a model is with single nodes quantized: the files, made from one preparation, and a process that runs them."""

import contextlib
from pathlib import Path
from types import TracebackType

import numpy as np

from advisor.disk import temporary
from advisor.errors import ModelError
from advisor.measure.model import onnx_graph
from advisor.measure.variants import quantize
from advisor.measure.variants.making import Plan, ingredients
from advisor.measure.variants.quantize import Nodes
from advisor.measure.worker import output_file
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Load, Loaded, Predict, Predicted
from advisor.schema.catalog import Scheme

BATCH_SIZE = 8


class Errors:
    """Makes and runs files of one scheme with chosen nodes quantized. Use as a context manager."""

    def __init__(self, plan: Plan, scheme: Scheme) -> None:
        self.plan, self.scheme = plan, scheme

    def __enter__(self) -> "Errors":
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(temporary.folder(self.plan.folder))
            self.made = self.folder / "made.onnx"
            self.given = ingredients(self.plan)
            self.apart = quantize.is_apart(self.plan.baseline, self.given)
            self.prepared = quantize.prepare(self.plan.baseline, self.folder, apart=self.apart)
            self.nodes = quantize.quantizable(self.prepared, self.scheme)
            self.readers = onnx_graph.readers_of(self.prepared, self.nodes)
            self.worker = stack.enter_context(WorkerProcess())
            # Ranges and harm are found on the items to calibrate on, never on those to judge by.
            self.items = min(self.plan.screening.compared_items, self.given.calibration_items)
            self.expected = self._outputs(self.prepared)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()

    def make(self, nodes: Nodes) -> Path:
        """Return the file with these nodes quantized; it lasts until the next one is made."""
        quantize.discard(self.made)
        quantize.quantize(self.prepared, self.scheme, self.made, self.given, nodes, apart=self.apart)
        return self.made

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
        load = Load(path=str(path), inputs=plan.facts.inputs, rows=None, seed=plan.settings.seed)
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
