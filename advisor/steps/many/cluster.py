"""A cluster of Ray's that exists: joined and left, and one function over many things on its machines. The one doorway to `ray`."""

import contextlib
import itertools
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from advisor import __version__
from advisor.errors import AdvisorError, InputError, MissingDependencyError
from advisor.steps.many.workers import AHEAD, LOST, Work

T = TypeVar("T")
R = TypeVar("R")
INSTALL = "pip install 'serving-advisor[cluster]'"
LOCAL = "local"  # a cluster of this machine alone, which ends with the command
REACH_S = 25.0  # for an answer of a cluster
LOOK_S = 0.5  # between two looks at the cluster
PATIENCE_S = 900.0  # for a first machine of a cluster that has to bring one
RETRIES = 3  # of a chunk whose machine or process was lost
LOST_WAY_OUT = "advise on it by itself on one machine, to see what it takes"
# What Ray reads when it is loaded: no word to its makers, and none to the terminal.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def joined(address: str, brings: Mapping[str, float], command: str) -> Iterator[Any]:
    """Yield Ray, joined to a cluster, and leave it afterwards; raise InputError where there is none at the address.

    `brings` are the custom resources of this machine where the cluster is `local`; `command` is what hints say to run.
    """
    if "://" in address:
        raise InputError(
            f"--ray {address}: the command has to run inside of the cluster, which reads and writes on this disk",
            hint=f"run it on the head node with --ray auto, or as a job: ray job submit -- {command} --ray auto",
        )
    ray = _loaded(address)
    where: dict[str, Any] = {"address": address}
    if address != LOCAL:
        _check_reachable(address)
    else:
        where = {"address": LOCAL, "resources": dict(brings), "include_dashboard": False}
    handlers = _handlers()
    try:
        # Ray has its workers import from the current folder first: in a checkout that would be sources without kernels.
        with contextlib.chdir(os.sep):
            ray.init(**where, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, str(error)) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_there() -> Any:
    """Return Ray as it is in one of its own processes."""
    import ray

    return ray


def beside_the_command(ray: Any, made: Callable[..., T]) -> Any:
    """Return what makes an actor of a class on the machine that runs the command, with its disk."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(made).options(num_cpus=0, scheduling_strategy=here)


def over_nodes(
    ray: Any,
    work: Work[T, R],
    things: Iterable[T],
    *,
    chunk: int,
    retries: int = RETRIES,
    patience_s: float = PATIENCE_S,
) -> Generator[R, None, None]:
    """Yield what comes of each thing, in the order of the things, from the machines of a cluster; a chunk takes a processor there.

    Things are taken as they are needed: no more than a few chunks for each processor are on their way. What `done` raises is raised
    where its results would have come. A chunk whose process or machine was lost is given to another one, so many times; then it is taken
    apart, so that only what kills a process is lost. Raises InputError where the cluster has no processor for `patience_s`.
    """
    asked = ray.remote(_there).options(num_cpus=1, max_retries=retries)
    done = ray.put(work.done)
    iterator = iter(things)
    chunks = iter(lambda: tuple(itertools.islice(iterator, chunk)), ())
    given: deque[tuple[Any, Sequence[T]]] = deque()
    room, looked_s = 0, -math.inf
    while True:
        if time.monotonic() - looked_s >= LOOK_S:  # not for each chunk: a cluster may have thousands of machines
            room, looked_s = AHEAD * max(1, int(_processors(ray))), time.monotonic()
        given.extend((asked.remote(done, part), part) for part in itertools.islice(chunks, max(0, room - len(given))))
        if not given:
            return
        ref, part = given.popleft()
        _wait(ray, ref, patience_s)
        try:
            yield from _results(ray, ref)
        except ray.exceptions.RayError as error:
            if len(part) == 1:
                yield _lost(work, part[0], error)
                continue
            # What comes after waits for these: a chunk seldom kills a process.
            alone = [(asked.remote(done, (thing,)), thing) for thing in part]
            for one, thing in alone:
                _wait(ray, one, patience_s)
                try:
                    yield from _results(ray, one)
                except ray.exceptions.RayError as again:
                    yield _lost(work, thing, again)


def _there(done: Callable[[Sequence[T]], Sequence[R]], things: Sequence[T]) -> Sequence[R] | BaseException:
    """Return what comes of some things, or what was raised instead: runs in a process of Ray's."""
    try:
        return done(things)
    except Exception as error:  # noqa: BLE001  # handed to the command, which raises it as if it had been its own
        return error


def _results(ray: Any, ref: Any) -> Sequence[Any]:
    try:
        found = ray.get(ref)
    except ray.exceptions.RayTaskError as error:  # `done` itself raises none: it was not there to be called
        said = " ".join(str(getattr(error, "cause", error)).split())[:300]
        raise InputError(
            f"--ray: a machine of the cluster cannot run it ({said})",
            hint=f"install the same version there: pip install 'serving-advisor[cluster]=={__version__}'",
        ) from error
    if isinstance(found, BaseException):
        raise found
    return found  # type: ignore[no-any-return]


def _lost(work: Work[T, R], thing: T, error: BaseException) -> R:
    return work.lost(thing, AdvisorError(LOST.format(type(error).__name__), hint=LOST_WAY_OUT))


def _wait(ray: Any, ref: Any, patience_s: float) -> None:
    """Wait until a task has ended, for which Ray may have to bring a machine first."""
    since_s = None
    while not ray.wait([ref], timeout=LOOK_S)[0]:
        if _processors(ray) >= 1:
            since_s = None
            continue
        since_s = time.monotonic() if since_s is None else since_s
        if time.monotonic() - since_s >= patience_s:
            raise InputError(
                f"--ray: no machine of the cluster has had a processor to give for {patience_s:g} s",
                hint="start one with: ray start --address HEAD; or leave --ray out",
            )


def _processors(ray: Any) -> float:
    return math.fsum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])


def _loaded(address: str) -> Any:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        raise MissingDependencyError(f"--ray {address}: Ray is not installed ({error})", hint=INSTALL) from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise InputError where no cluster of Ray's answers, by its own `ray status`: to join one that is not there, it tries for minutes."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", *(() if address == "auto" else ("--address", address))]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=REACH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer for {REACH_S:g} s") from error
    if done.returncode != 0:
        *_, last = done.stderr.decode(errors="replace").strip().splitlines() or ["it is not healthy"]
        raise _unreachable(address, last.partition("Error: ")[2] or last)


def _unreachable(address: str, why: str) -> InputError:
    return InputError(
        f"--ray {address}: no cluster can be reached there ({' '.join(why.split())[:200]})",
        hint="start one with `ray start --head`, see docs/cluster.md; or leave --ray out",
    )


def _handlers() -> dict[int, Any]:
    """Return how signals are met, which Ray changes."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
