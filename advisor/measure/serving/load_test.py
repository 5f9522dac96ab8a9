"""Run a configuration for real under an open-loop generator -> when each request was done and what each batch took."""

import math
import resource
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from advisor.disk import temporary
from advisor.errors import ModelError
from advisor.measure.runtime import machine
from advisor.measure.serving.server import Serve
from advisor.schema.profile import Stalls
from advisor.visits import OTHERS_FRACTION, waited_for_others

READY_S = 300.0
LEAD_S = 0.5  # between the start of the generator's process and its first request
DRAIN_S = 600.0


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What one run saw; all times in seconds, latency from the moment a request was meant to be sent, moments from the first of them."""

    latency_s: np.ndarray  # (requests,) in order of arrival
    lag_s: np.ndarray  # (requests,) how late each was sent
    transit_s: np.ndarray  # (requests,) from the moment each was meant to be sent to its place in the queue
    wait_s: np.ndarray  # (batches,) from the moment a batch was due and an instance free until that took it
    assembly_s: np.ndarray  # (batches,) gathering and padding
    call_s: np.ndarray  # (batches,) the model
    waited_s: np.ndarray  # (batches,) of that, waiting for a core which other work had; 0 where none is known of
    was_idle: np.ndarray  # (batches,) bool: the instance had to be woken up
    ended_s: np.ndarray  # (batches,) moments, in no order
    batch_size: np.ndarray  # (batches,)
    batch_length: np.ndarray  # (batches,) padded sequence length, 0 without a sequence axis
    duration_s: float  # from the first due time to the last response
    run_delay_s: float | None  # the server's threads waited so long for a core
    others_fraction: float | None  # of its cores' time, that others than server and generator computed
    stalls: tuple[Stalls, ...] = ()  # as seen beside it; none where the kernel hides what waiting is


def replay(serve: Serve, arrival_s: np.ndarray, lengths: np.ndarray | None) -> Replay:
    """Serve the configuration to requests due at `arrival_s` (requests,), ascending from 0, of `lengths` (requests,).

    Raise ModelError if the server does not come up, dies, or loses a request.
    """
    with temporary.folder() as folder:
        target = folder / "served.npz"
        (folder / "serve.json").write_bytes(msgspec.json.encode(serve))
        np.save(folder / "due.npy", arrival_s)
        if lengths is not None:
            np.save(folder / "lengths.npy", lengths)
        with (folder / "server.log").open("wb") as log:
            length_file = folder / "lengths.npy" if lengths is not None else "-"
            arguments = (folder / "serve.json", length_file, target)
            with _module("server", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as server:
                try:
                    start_s, generator_s = _run(server, folder, float(arrival_s[-1]))
                finally:
                    server.kill()
        if server.returncode != 0 or not target.is_file():
            raise _failure(folder / "server.log")
        with np.load(target) as served:
            done_s = served["done_s"] - start_s
            if np.isnan(done_s).any():
                raise ModelError(
                    f"the load test lost {int(np.isnan(done_s).sum())} requests",
                    hint="please report this: it is a bug of advisor",
                )
            others = _others_fraction(served, generator_s)
            return Replay(
                latency_s=done_s - arrival_s,
                lag_s=np.load(folder / "sent.npy") - arrival_s,
                transit_s=served["arrived_s"] - start_s - arrival_s,
                wait_s=served["taken_s"] - served["ready_s"],
                assembly_s=served["assembled_s"] - served["taken_s"],
                call_s=served["ended_s"] - served["assembled_s"],
                waited_s=_waited_for_others_s(served, others),
                was_idle=served["was_idle"],
                ended_s=served["ended_s"] - start_s,
                batch_size=served["size"].astype(np.intp),
                batch_length=served["length"].astype(np.intp),
                duration_s=float(done_s.max() - arrival_s[0]),
                run_delay_s=None if np.isnan(served["run_delay_s"]) else float(served["run_delay_s"]),
                others_fraction=others,
                stalls=msgspec.json.decode((folder / "stalls.json").read_bytes(), type=tuple[Stalls, ...]),
            )


def _others_fraction(served: Mapping[str, np.ndarray], generator_s: float) -> float | None:
    """Return what of the time of the cores others than the server and the generator, which computed for `generator_s`, have had."""
    others_s = float(served["all_computed_s"] - served["own_computed_s"]) - generator_s
    offered_s = len(machine.usable_cores()) * float(served["passed_s"])
    return None if math.isnan(others_s) or not offered_s > 0 else max(others_s, 0.0) / offered_s


def _waited_for_others_s(served: Mapping[str, np.ndarray], others_fraction: float | None) -> np.ndarray:
    """Return the waiting of calls (batches,) that is the doing of other processes than server and generator, and of no quota."""
    waited_s, throttled_s = np.nan_to_num(served["waited_s"]), float(served["throttled_s"])
    if others_fraction is None or others_fraction <= OTHERS_FRACTION:
        return np.zeros_like(waited_s)
    share = waited_for_others(float(waited_s.sum()), None if math.isnan(throttled_s) else throttled_s)
    return np.asarray(share * waited_s)


def _run(server: "subprocess.Popen[bytes]", folder: Path, last_due_s: float) -> tuple[float, float]:
    """Send the requests of due.npy once the server is ready.

    Return the time.monotonic that they count from, and the seconds that the generator computed.
    """
    _wait_until_ready(server, folder / "server.log")
    assert server.stdin is not None
    start_s, before_s = time.monotonic() + LEAD_S, _children_s()
    with _module(
        "generator", folder / "due.npy", folder / "sent.npy", start_s, folder / "stalls.json", stdout=server.stdin
    ) as generator:
        # The generator holds the other copy: the server sees the end of its input when the generator ends.
        server.stdin.close()
        try:
            generator.wait(timeout=last_due_s + DRAIN_S)
            generator_s = _children_s() - before_s
            server.wait(timeout=DRAIN_S)
        except subprocess.TimeoutExpired:
            raise _failure(folder / "server.log") from None
        finally:
            generator.kill()
    return start_s, generator_s


def _children_s() -> float:
    """Return the seconds that the children of this process have computed which have ended by now."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _module(name: str, *arguments: object, **pipes: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", f"advisor.measure.serving.{name}", *map(str, arguments)]
    return subprocess.Popen(command, start_new_session=True, **pipes)  # type: ignore[call-overload, no-any-return]


def _wait_until_ready(server: "subprocess.Popen[bytes]", log: Path) -> None:
    assert server.stdout is not None
    if not select.select([server.stdout], [], [], READY_S)[0] or server.stdout.readline() != b"ready\n":
        raise _failure(log)


def _failure(log: Path) -> ModelError:
    words = log.read_text(errors="replace").strip().splitlines()
    return ModelError(
        f"the load test's server stopped: {words[-1] if words else 'without a message'}",
        hint="run `advisor profile` again; it reports what fails",
    )
