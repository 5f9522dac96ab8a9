"""Who keeps what machines of a cluster have measured: an actor beside the command that runs the sweep, with its disk."""

import os
from pathlib import Path
from typing import NamedTuple

from advisor.schema.sweep import SweepTry
from advisor.steps.sweep.in_turn import moment


class Begun(NamedTuple):
    """What a machine is told that takes a task: the number of this try, and the journal so far."""

    number: int
    journal: bytes


class Keeper:
    """The journals of all tasks. A task that was given to another machine is no longer taken anything from."""

    def __init__(self, journals: dict[str, str]) -> None:
        """`journals` has the path of each task's journal by the name of the task."""
        self._journals = {name: Path(path) for name, path in journals.items()}
        self._tries: dict[str, list[SweepTry]] = {}

    def begun(self, task: str, machine: str) -> Begun:
        """Note that a machine has begun a task; return what it goes on from."""
        tries = self._tries.setdefault(task, [])
        now = moment()
        tries.append(SweepTry(machine=machine, started=now, heard=now, ended=None, entries=0))
        path = self._journals[task]
        return Begun(len(tries), path.read_bytes() if path.is_file() else b"")

    def take(self, task: str, number: int, start: int, piece: bytes, entries: int) -> bool:
        """Put a piece of a journal where it belongs, on disk before this returns; false where another machine has the task now."""
        if number != len(self._tries[task]):
            return False
        path = self._journals[task]
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(handle, start)
            written = 0
            while written < len(piece):
                written += os.pwrite(handle, piece[written:], start + written)
        finally:
            os.close(handle)
        self._note(task, number, entries=entries, is_ended=False)
        return True

    def ended(self, task: str, number: int, entries: int) -> None:
        """Note that a machine is done with a task."""
        self._note(task, number, entries=entries, is_ended=True)

    def tries(self, task: str) -> tuple[SweepTry, ...]:
        """Return the tries of a task so far."""
        return tuple(self._tries.get(task, ()))

    def at_work(self) -> tuple[str, ...]:
        """Return the tasks that a machine has begun and not ended."""
        return tuple(name for name, tries in self._tries.items() if tries[-1].ended is None)

    def forget(self, task: str) -> None:
        """Delete the journal of a task: its profile is written."""
        self._journals[task].unlink(missing_ok=True)

    def _note(self, task: str, number: int, *, entries: int, is_ended: bool) -> None:
        before, now = self._tries[task][number - 1], moment()
        self._tries[task][number - 1] = SweepTry(
            machine=before.machine, started=before.started, heard=now, ended=now if is_ended else None, entries=entries
        )
