"""A process that runs cases, one after the other, each in a process forked from it before anything of the case was touched.

What every command imports is imported here once, which makes a case of `advisor classify` take a tenth of a second. ONNX Runtime is not:
it starts threads, and a fork does not take them along. All that a case leaves behind becomes a child of this process, and is counted.
"""

import atexit
import contextlib
import ctypes
import hashlib
import importlib
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import psutil

from parts.fuzz.case import LONGEST, Case, Seen

PATIENCE_S = 60.0
MOST_BYTES = 2 << 30
LOOK_EVERY_S = 0.05
GONE_WITHIN_S = 3.0  # what ends its children by closing a pipe need not wait for them
LARGEST_FILE_BYTES = 1 << 30
PR_SET_CHILD_SUBREAPER = 36
WORK, TEMPORARY, HOME = "work", "tmp", "home"
FAULT = "advisor-fault-"
PRELOADED = (
    *("advisor.cli", "advisor.steps.classify", "advisor.steps.advise", "advisor.steps.merge", "advisor.steps.report"),
    *("advisor.steps.verify", "advisor.steps.profile", "advisor.steps.recommend", "advisor.steps.init"),
    *("advisor.decide.portfolio", "advisor.tell.report", "advisor.tell.summary", "advisor.files.places"),
    *("jinja2", "yaml", "onnx", "scipy.optimize"),
)


def serve() -> None:
    """Run the cases that come on stdin, pickled; answer with what was seen of each, until stdin ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in PRELOADED:
        importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("something that was imported started a thread, which a fork would not take along")
    while True:
        try:
            case = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(run(case), answers)
        answers.flush()


def run(case: Case) -> Seen:
    """Run one case in a folder of its own, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        return _run(case, folder)
    finally:
        for path in folder.rglob("*"):  # a command that takes rights away must not keep us from cleaning up
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _run(case: Case, folder: Path) -> Seen:
    for name in (WORK, TEMPORARY, HOME):
        (folder / name).mkdir()
    for name, content in case.files.items():
        path = folder / WORK / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = _digests(case, folder)
    started_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become_the_command(case, folder)
    status, peak_bytes, is_hung = _watch(pid, started_s)
    seconds = time.monotonic() - started_s
    is_over = peak_bytes > MOST_BYTES
    orphans = _end_the_rest(wait_s=0.0 if is_hung or is_over else GONE_WITHIN_S)
    after, leftovers = _digests(case, folder), _leftovers(folder)
    return Seen(
        status=os.waitstatus_to_exitcode(status),
        seconds=seconds,
        peak_bytes=peak_bytes,
        stdout=_text(folder / "stdout"),
        stderr=_text(folder / "stderr"),
        fault="".join(_text(path) for path in (folder / TEMPORARY).glob(f"{FAULT}*")),
        is_hung=is_hung,
        is_over_memory=is_over,
        changed=tuple(name for name, digest in before.items() if after[name] != digest),
        leftovers=() if is_hung or is_over else leftovers,
        orphans=0 if is_hung or is_over else orphans,
    )


def _watch(pid: int, started_s: float) -> tuple[int, int, bool]:
    """Return the wait status, the largest memory that one of its processes had, and whether it was ended for taking too long."""
    peak_bytes = 0
    is_hung = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            # Its own peak and that of each process that it waited for; what is ended for its memory is looked at while it lives.
            return status, max(peak_bytes, usage.ru_maxrss * 1024), is_hung
        peak_bytes = max(peak_bytes, _largest_bytes())
        is_hung = time.monotonic() - started_s > PATIENCE_S
        if is_hung or peak_bytes > MOST_BYTES:
            _kill(psutil.Process().children(recursive=True))
            _, status, _ = os.wait4(pid, 0)
            return status, peak_bytes, is_hung
        time.sleep(LOOK_EVERY_S)


def _largest_bytes() -> int:
    sizes = [0]
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            sizes.append(process.memory_info().rss)
    return max(sizes)


def _end_the_rest(wait_s: float) -> int:
    """Return how many processes of the case are alive after that time; end them."""
    until_s = time.monotonic() + wait_s
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        alive = psutil.Process().children(recursive=True)
        if not alive:
            return 0
        if time.monotonic() >= until_s:
            break
        time.sleep(LOOK_EVERY_S)
    _kill(alive)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return len(alive)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _digests(case: Case, folder: Path) -> dict[str, str | None]:
    return {name: _digest(folder / WORK / name) for name in case.files if name not in case.changing}


def _digest(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leftovers(folder: Path) -> tuple[str, ...]:
    temporary = [path.name for path in (folder / TEMPORARY).iterdir() if not path.name.startswith(FAULT)]
    # What is written whole or not at all has a passing name first, as has what is made of a model.
    passing = [path.name for path in (folder / WORK).rglob(".*") if path.is_dir() or path.name.startswith(".advisor-")]
    return tuple(sorted(temporary + passing))


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4 * LONGEST).decode(errors="replace")[:LONGEST]


def _become_the_command(case: Case, folder: Path) -> NoReturn:
    """Be the command of the case, from its first line to the end of its process."""
    status = 1
    try:
        _settle(case, folder)
        from advisor.cli import main

        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001  what escapes `main` is what is looked for
        traceback.print_exc()
    status = _ended(status)
    os._exit(status & 0xFF)


def _settle(case: Case, folder: Path) -> None:
    """Take on streams, folder, environment and arguments of a command that a user starts."""
    atexit._clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, how in ((0, os.devnull, os.O_RDONLY), (1, folder / "stdout", flags), (2, folder / "stderr", flags)):
        opened = os.open(path, how, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.closerange(3, 256)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  they live as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder / WORK)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONUTF8", "OPENBLAS_NUM_THREADS") if name in os.environ}
    os.environ.clear()
    os.environ.update(
        kept, HOME=str(folder / HOME), TMPDIR=str(folder / TEMPORARY), ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1"
    )
    tempfile.tempdir = None
    sys.argv = ["advisor", *case.arguments]


def _ended(status: int) -> int:
    """Return the status after what a process does at its end: threads are waited for, what is registered is called, all is written."""
    try:
        shutdown: Any = threading._shutdown  # type: ignore[attr-defined]
        shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  as above
        traceback.print_exc()
        return status or 120
    return status
