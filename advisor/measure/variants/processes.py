"""The processes of a profile: one for the tools that make files, one for each variant, opened to be looked at, closed if that is all."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from advisor.errors import ModelError
from advisor.measure.model import onnx_graph
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants import making, quantize
from advisor.measure.variants.making import Plan, Workers, load_of, without_folders
from advisor.measure.variants.preflight import does_not_fit
from advisor.measure.worker.apart import Apart, Limit
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Loaded
from advisor.schema.catalog import Scheme
from advisor.schema.model import Graph
from advisor.schema.profile import Variant
from advisor.schema.record import Exclusion

LONGEST_S = 3600.0  # of making a file: the tools run the model on every item to calibrate on

P = ParamSpec("P")
T = TypeVar("T")


class Tools:
    """What makes and reads the files of variants, in a process of its own: the tools open the user's model, and run it."""

    def __init__(self, plan: Plan, apart: Apart) -> None:
        self.plan = plan  # that with the settings for the time there is, once that is known
        self._apart = apart

    def call(self, name: str, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return what the function returns there; raise ModelError where the process dies, about the file of that name."""
        limit = Limit(subject=name, begins="making or reading its file", step_s=LONGEST_S, total_s=LONGEST_S)
        return self._apart.call(limit, function, *arguments, **named)

    def begin(self) -> None:
        """Start the process, and let it import what it is asked for next: no budget makes that shorter."""
        self.call("the tools", making.imported)

    def load(self) -> None:
        """Import the tools, which takes a second or so, once."""
        self.call("the tools", quantize.load_tools)

    def graph(self, path: Path) -> Graph:
        """Return what an ONNX file holds."""
        return self.call(path.name, onnx_graph.read_graph, path)

    def is_still(self, path: Path, sha256: str) -> bool:
        """Return whether a file, with its weights beside it, is still what has this digest."""
        return self.call(path.name, onnx_graph.is_still, path, sha256)

    def is_made(self, scheme: Scheme) -> bool:
        """Return whether the file of a scheme is there already, from an earlier run."""
        return self.call(scheme.id, making.is_made, making.portable(self.plan), scheme)

    def recipe(self, scheme: Scheme) -> str:
        """Return the digest of all that decides the file of a scheme."""
        return self.call(scheme.id, making.recipe_of, making.portable(self.plan), scheme)

    def restored(self, variants: tuple[Variant, ...]) -> bool:
        """Return whether the files of all variants are what was measured, made again where they are not."""
        return self.call("the variants", making.restored, making.portable(self.plan), variants)

    def given(self, path: Path, name: str, baseline: Graph) -> Variant:
        """Return a file of the user's as a variant."""
        return self.call(name, making.given_variant, making.portable(self.plan), path, name, baseline)

    def made(self, scheme: Scheme, baseline: Graph, plan: Plan | None = None) -> Variant | Exclusion:
        """Return the variant of a scheme, its file written, or why there is none: that the tools died or hung, too.

        `plan` is that of a student, whose file takes the place of the baseline.
        """
        try:
            found = self.call(scheme.id, making.made_of, making.portable(plan or self.plan), scheme, baseline)
        except ModelError as error:
            return Exclusion(what=scheme.id, reason=error.fault.removeprefix(f"{scheme.id}: "))
        made = found.variant or found.exclusion
        assert made is not None
        return made


class Processes:
    """The processes of a plan's variants, by the name of each; all end with the stack that they are opened on."""

    def __init__(self, plan: Plan, stack: contextlib.ExitStack, ledger: Ledger) -> None:
        self.plan, self.stack, self.ledger = plan, stack, ledger
        self.workers: Workers = {}

    def open(self, name: str, variant: Variant | None) -> None:
        """Open the variant, None being the model as given, in a process of its own; raise WorkerError if it does not load."""
        load = load_of(self.plan, variant)
        # The kernel would end the process, or another of ours, without a word.
        if (reason := does_not_fit(self.plan.machine, self._bytes(variant))) is not None:
            raise WorkerError(reason, hint="raise the limit of the container, or use a machine with more memory")
        try:
            with self.ledger.loading():
                worker = WorkerProcess()
                self.stack.enter_context(worker)
                self.workers[name] = (worker, worker.ask(load, Loaded))
        except WorkerError as error:
            worker.__exit__()
            raise WorkerError(without_folders(error.fault, Path(load.path)), hint=error.hint) from error

    def _bytes(self, variant: Variant | None) -> int:
        return self.plan.facts.file_bytes if variant is None else variant.bytes

    def close(self, name: str) -> None:
        """End the process, if there is one of that name."""
        opened = self.workers.pop(name, None)
        if opened is not None:
            opened[0].__exit__()
