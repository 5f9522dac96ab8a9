"""A sweep on a cluster that exists: a task of Ray for each model and kind of machine.

A machine brings the resource `advisor-KIND`, of which a task takes all there is, and all of its processors: so one measurement runs there
at a time, and nothing else of the cluster's. Where tasks run, and again where a machine is lost, is Ray's to say.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor import __version__
from advisor.errors import AdvisorError
from advisor.measure.timing.journal import KEPT
from advisor.measure.worker.apart import Apart
from advisor.schema.overview import Failure
from advisor.steps.many.cluster import LOOK_S, beside_the_command, joined, ray_there
from advisor.steps.sweep.keeper import Begun, Keeper
from advisor.steps.sweep.measuring import Measuring, Outcome, Task, failure_of, measure
from advisor.steps.sweep.on_a_machine import Desk, Result, keep, measured_here
from advisor.steps.sweep.shipping import files_of

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report

RETRIES = 8  # of a task whose machine was lost
AHEAD = 32  # tasks of a kind that Ray has at once, where the cluster has fewer machines: their models lie in its store


def resource(kind: str) -> str:
    """Return the custom resource that a machine of a kind brings, one of it."""
    return f"advisor-{kind}"


def measured_on_cluster(
    tasks: Sequence[Task], address: str, here: str | None, *, patience_s: float, created: str, report: "Report"
) -> Iterator[Outcome]:
    """Yield what became of each task as it becomes known, its files in its folder by then.

    `here` is the kind of this machine for the cluster `local`. A kind of which the cluster has no machine for `patience_s` is given up.
    """
    brings = {resource(here): 1.0} if here is not None else {}
    with joined(address, brings, "advisor sweep sweep.yaml") as ray:
        yield from measured_by(ray, tasks, patience_s=patience_s, created=created, report=report)


def measured_by(
    ray: Any, tasks: Sequence[Task], *, patience_s: float, created: str, report: "Report", work: Measuring = measure
) -> Iterator[Outcome]:
    """Yield what `measured_on_cluster` does, of a cluster that is joined; `work` is what a machine does with each task."""
    try:
        yield from _Run(ray, tasks, patience_s=patience_s, created=created, report=report, work=work).outcomes()
    except KeyboardInterrupt as end:
        end.add_note(KEPT)
        raise


def _on_a_machine(task: Task, refs: list[tuple[str, Any]], keeper: Any, version: str, created: str, work: Measuring) -> Result:
    """Measure a task on the machine that Ray has chosen: runs in a process of Ray's."""
    ray, name = ray_there(), name_of(task)

    def begun(machine: str) -> Begun:
        return ray.get(keeper.begun.remote(name, machine))  # type: ignore[no-any-return]

    def take(number: int, start: int, piece: bytes, entries: int) -> bool:
        return ray.get(keeper.take.remote(name, number, start, piece, entries))  # type: ignore[no-any-return]

    def ended(number: int, entries: int) -> None:
        ray.get(keeper.ended.remote(name, number, entries))

    files = ((path, ray.get(ref)) for path, ref in refs)  # one at a time: all of them may be more than the memory
    node = ray.get_runtime_context().get_node_id()
    return measured_here(task, files, Desk(begun, take, ended), node, version, created=created, work=work)


def name_of(task: Task) -> str:
    """Return what a task is called, here and in Ray's own tools."""
    return f"{task.model} on {task.kind}"


class _Run:
    """The tasks of one sweep: those that wait, and those that Ray has."""

    def __init__(
        self, ray: Any, tasks: Sequence[Task], *, patience_s: float, created: str, report: "Report", work: Measuring
    ) -> None:
        self._ray, self._tasks, self._created, self._report, self._work = ray, tasks, created, report, work
        self._patience_s = patience_s
        self._on_a_machine = ray.remote(_on_a_machine)  # once: Ray pickles what is made anew for each task
        self._waiting = {
            kind: deque(task for task in tasks if task.kind == kind) for kind in dict.fromkeys(t.kind for t in tasks)
        }
        self._given: dict[Any, Task] = {}
        self._asked_for: dict[str, Any] = {}  # by kind, what waits for a first machine, so that a cluster that grows brings one
        self._absent_since_s: dict[str, float] = {}
        self._sent: dict[Path, Any] = {}
        self._users = Counter(task.model for task in tasks)
        self._done = 0
        journals = {name_of(task): str(task.output.with_suffix(".journal")) for task in tasks}
        self._keeper = beside_the_command(ray, Keeper).remote(journals)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what became of each task."""
        with Apart() as apart:
            while self._given or any(self._waiting.values()):
                cpus = self._cpus()
                for kind in self._waiting:
                    yield from self._give(kind, cpus.get(kind, ()), apart)
                ready, _ = self._ray.wait(list(self._given), timeout=LOOK_S) if self._given else ((), ())
                if not self._given:
                    time.sleep(LOOK_S)
                for ref in ready:
                    self._done += 1
                    yield self._taken(self._given.pop(ref), ref)
                self._tell()

    def _cpus(self) -> dict[str, list[float]]:
        """Return the processors of each machine that is there, by the kind that it brings."""
        found: dict[str, list[float]] = {}
        for node in self._ray.nodes():
            brings = node["Resources"] if node["Alive"] else {}
            for kind in self._waiting:
                if brings.get(resource(kind), 0) > 0:
                    found.setdefault(kind, []).append(brings.get("CPU", 0.0))
        return found

    def _give(self, kind: str, cpus: Sequence[float], apart: Apart) -> Iterator[Outcome]:
        """Give Ray tasks of a kind, not many more than there are machines; yield those that cannot be given."""
        if not cpus:
            yield from self._without_machine(kind)
            return
        self._absent_since_s.pop(kind, None)
        self._asked_for.pop(kind, None)
        room = max(AHEAD, 2 * len(cpus)) - sum(task.kind == kind for task in self._given.values())
        reserved = {"num_cpus": math.floor(min(cpus)), "resources": {resource(kind): 1}}
        for _ in range(min(room, len(self._waiting[kind]))):
            task = self._waiting[kind].popleft()
            try:
                refs = self._shipped(task, apart)
            except AdvisorError as error:
                self._done += 1
                yield Outcome(task, failure=failure_of(error))
                continue
            asked = self._on_a_machine.options(**reserved, max_retries=RETRIES, name=name_of(task))
            self._given[asked.remote(task, refs, self._keeper, __version__, self._created, self._work)] = task

    def _without_machine(self, kind: str) -> Iterator[Outcome]:
        """Ask for a machine of a kind where a task of it waits; yield all of them once patience is at an end."""
        given = [ref for ref, task in self._given.items() if task.kind == kind]
        if not given and not self._waiting[kind]:
            return
        if not given and kind not in self._asked_for:
            probe = self._ray.remote(_nothing).options(num_cpus=0, resources={resource(kind): 0.001}, name=f"a first {kind}")
            self._asked_for[kind] = probe.remote()
        since_s = self._absent_since_s.setdefault(kind, time.monotonic())
        if time.monotonic() - since_s < self._patience_s:
            return
        for ref in given:
            self._ray.cancel(ref, force=True)
        lost = [*(self._given.pop(ref) for ref in given), *self._waiting[kind]]
        self._waiting[kind].clear()
        self._done += len(lost)
        for task in lost:
            yield Outcome(task, tries=self._tries(task), failure=self._no_machine(kind))

    def _no_machine(self, kind: str) -> Failure:
        return Failure(
            fault=f"{kind}: no machine of the cluster has brought the resource {resource(kind)} for {self._patience_s:g} s",
            hint=f"start one with: ray start --address HEAD --resources '{{\"{resource(kind)}\": 1}}'; what was measured is kept",
        )

    def _shipped(self, task: Task, apart: Apart) -> list[tuple[str, Any]]:
        """Return the files of a task as Ray's store has them; those that other tasks need too are there once."""
        refs = []
        for path in files_of(task, apart):
            if path not in self._sent:
                self._sent[path] = self._ray.put(path.read_bytes())
            refs.append((str(path), self._sent[path]))
        self._users[task.model] -= 1
        if not self._users[task.model]:  # the tasks themselves hold on to what they need
            self._sent = {}
        return refs

    def _taken(self, task: Task, ref: Any) -> Outcome:
        """Return what became of a task that has ended, its files written."""
        try:
            result: Result = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Outcome(task, tries=self._tries(task), failure=_failure(task, error, self._ray))
        try:
            keep(task, result)
        except AdvisorError as error:
            return Outcome(task, result.entries, result.seconds, self._tries(task), failure_of(error))
        if result.failure is None:
            self._ray.get(self._keeper.forget.remote(name_of(task)))
        tries = self._tries(task)
        # What an earlier try of the same run has measured counts as well: the last one went on from it.
        return Outcome(task, sum(entry.entries for entry in tries), result.seconds, tries, result.failure)

    def _tries(self, task: Task) -> Any:
        return self._ray.get(self._keeper.tries.remote(name_of(task)))

    def _tell(self) -> None:
        at_work = ", ".join(self._ray.get(self._keeper.at_work.remote())) or "waiting for a machine"
        budget_s = self._tasks[0].options.budget_s
        self._report(self._done * budget_s, len(self._tasks) * budget_s, f"{self._done} of {len(self._tasks)}: {at_work}")


def _nothing() -> None:
    """Run where Ray finds a machine that it had to bring first."""


def _failure(task: Task, error: BaseException, ray: Any) -> Failure:
    """Return the two lines of a task that Ray gave up, or that met a fault of ours there."""
    said = " ".join(str(getattr(error, "cause", None) or error).split())[:300]
    if isinstance(error, ray.exceptions.RayTaskError):
        return Failure(
            fault=f"{task.kind}: it could not be run there: {type(getattr(error, 'cause', error)).__name__}: {said}",
            hint=f"try it on such a machine by itself: advisor profile {task.path} -w {task.options.workload}",
        )
    return Failure(
        fault=f"{task.kind}: its machine was lost {RETRIES + 1} times ({type(error).__name__}: {said})",
        hint="look at the memory and the logs of these machines; the same command goes on from what was measured",
    )
