"""One function over many things, on all cores: processes are forked after imports, and only a few things are held at a time."""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

from advisor.errors import AdvisorError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4  # chunks for each process beyond the one that is waited for
LOST = "the process that worked on it ended ({}), most likely for lack of memory"
LOST_WAY_OUT = "run with fewer processes, or this one by itself to see what it takes"


class _Worker(NamedTuple):
    process: BaseProcess
    link: Connection


class Work(NamedTuple, Generic[T, R]):
    """What is done with some things, and what stands for each of them where the process that did it was killed."""

    done: Callable[[Sequence[T]], Sequence[R]]
    lost: Callable[[T, AdvisorError], R]


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def over_processes(
    work: Work[T, R], things: Iterable[T], *, processes: int | None = None, chunk: int
) -> Generator[R, None, None]:
    """Yield what comes of each thing, in the order of the things; processes are as many as cores unless given.

    Processes are forked at once. Things are taken as they are needed: no more than a few chunks for each process are on their way. What
    `done` raises is raised where its results would have come. A chunk whose process was killed is
    taken apart, so that only what kills one is lost.
    """
    count = usable_cores() if processes is None else processes
    iterator = iter(things)
    chunks = iter(lambda: tuple(itertools.islice(iterator, chunk)), ())
    if count == 1:
        return (made for things in chunks for made in work.done(things))
    return _in_order(_Crew(work, count), chunks)


class _Crew(Generic[T, R]):
    """Forked processes, each of which has one chunk at a time."""

    def __init__(self, work: Work[T, R], count: int) -> None:
        self.work, self.count = work, count
        self.workers: list[_Worker] = []
        self.at: dict[Connection, tuple[int, Sequence[T]]] = {}
        for _ in range(count):
            self._hire()

    def _hire(self) -> None:
        context = get_context("fork")
        ours, theirs = context.Pipe()
        # A child has copies of our ends of all pipes: while it held them, no worker would see that we are gone.
        others = [worker.link for worker in self.workers] + [ours]
        process = context.Process(target=_serve, args=(theirs, others, self.work.done), daemon=True)
        process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours))

    def idle(self) -> _Worker | None:
        return next((worker for worker in self.workers if worker.link not in self.at), None)

    def give(self, worker: _Worker, place: int, things: Sequence[T]) -> None:
        self.at[worker.link] = place, things
        with contextlib.suppress(BrokenPipeError):  # it is dead, which shows when its answer is read
            worker.link.send(things)

    def answers(self) -> Iterator[tuple[int, Sequence[R] | BaseException]]:
        """Wait until at least one chunk is done, and yield the place and the results of each that is."""
        for link in connection.wait(list(self.at)):
            assert isinstance(link, Connection)
            place, things = self.at.pop(link)
            try:
                found = link.recv()
            except (EOFError, ConnectionResetError):
                yield place, self._taken_apart(link, things)
                continue
            yield place, found

    def _taken_apart(self, link: Connection, things: Sequence[T]) -> Sequence[R]:
        """Return the results of a chunk whose process was killed: by a new one, thing by thing."""
        dead = next(worker for worker in self.workers if worker.link is link)
        dead.process.join()
        self.workers.remove(dead)
        link.close()
        self._hire()
        if len(things) == 1:
            error = AdvisorError(LOST.format(_how(dead.process.exitcode)), hint=LOST_WAY_OUT)
            return (self.work.lost(things[0], error),)
        parts: list[R] = []
        for thing in things:
            fresh = self.workers[-1]
            self.give(fresh, 0, (thing,))
            try:
                found = fresh.link.recv()
                self.at.pop(fresh.link)
            except (EOFError, ConnectionResetError):
                self.at.pop(fresh.link)
                found = self._taken_apart(fresh.link, (thing,))
            if isinstance(found, BaseException):
                raise found
            parts += found
        return parts

    def leave(self) -> None:
        for worker in self.workers:
            worker.link.close()
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()


def _how(status: int | None) -> str:
    return f"signal {-status}" if status is not None and status < 0 else f"status {status}"


def _in_order(crew: _Crew[T, R], chunks: Iterator[Sequence[T]]) -> Generator[R, None, None]:
    done: dict[int, Sequence[R] | BaseException] = {}
    numbered, wanted, is_over = enumerate(chunks), 0, False
    given = 0
    try:
        while True:
            while not is_over and given < wanted + AHEAD * crew.count and (worker := crew.idle()) is not None:
                place, things = next(numbered, (given, ()))
                if not things:
                    is_over = True
                    break
                crew.give(worker, place, things)
                given = place + 1
            if wanted in done:
                found = done.pop(wanted)
                if isinstance(found, BaseException):
                    raise found
                yield from found
                wanted += 1
            elif crew.at:
                done.update(crew.answers())
            else:
                return
    finally:
        crew.leave()


def _serve(link: Connection, others: Sequence[Connection], done: Callable[[Sequence[T]], Sequence[R]]) -> None:
    """Answer chunks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal: the parent says when it is over
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            things = link.recv()
            found: Sequence[R] | BaseException
            try:
                found = done(things)
            except Exception as error:  # noqa: BLE001  # handed to the parent, which raises it as if it had been its own
                found = error
            link.send(found)
