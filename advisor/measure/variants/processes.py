"""The processes of the variants, one each: opened to be looked at, and closed if that is all."""

import contextlib
from pathlib import Path

from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Plan, Workers, load_of, without_folders
from advisor.measure.variants.preflight import does_not_fit
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Loaded
from advisor.schema.profile import Variant


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
