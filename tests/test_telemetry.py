"""Nothing leaves the machine and nothing about the user is stored, watched at the level of system calls.

ONNX Runtime's official Linux builds have telemetry on: importing it stores an identifier and events in the user's cache folder,
and after some seconds it looks a host up to send them. A control run shows that the watching would see that.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

# The first look-up comes 9 s after the import; a run that ends earlier proves nothing about the network.
LINGER_S = 14.0

RUN_A_SESSION = f"""
import sys, time
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {{"x": [[0.0, 1.0]]}})
time.sleep({LINGER_S})
"""
RUN_A_SESSION_IN_A_CHILD = "import advisor, subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"

# Any internet address, local or not (a resolver may be local), and the name services that answer through a socket file.
_REACHES_OUT = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*(AF_INET|/nscd/|systemd/resolve)")
_WRITES = re.compile(r"mkdir|creat\(|O_CREAT|O_WRONLY|O_RDWR")


class Trace(NamedTuple):
    """What a command and all its children did."""

    reached_out: list[str]  # system calls towards another machine or a name service
    written: list[str]  # system calls that make or open for writing something in the user's home or cache


NOTHING = Trace(reached_out=[], written=[])


class Watched(NamedTuple):
    """A command under strace, in a home of its own."""

    process: subprocess.Popen[str]
    folder: Path

    def trace(self) -> Trace:
        """Wait for the end and return what happened."""
        _, words = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, words[-4000:]
        calls = (self.folder / "strace.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        home = str(self.folder / "home")
        return Trace(
            reached_out=[call for call in calls if _REACHES_OUT.search(call)],
            written=[call for call in calls if home in call and _WRITES.search(call)],
        )


def watch(command: Sequence[str | Path], folder: Path) -> Watched:
    """Start the command and return; it has a new home and nothing of this environment: ONNX Runtime is silent under CI."""
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("strace is missing: .ci/run installs it")
        pytest.skip("strace is missing; install it to watch the system calls")
    (folder / "home").mkdir(parents=True)
    (folder / "work").mkdir()
    calls = "trace=connect,sendto,sendmsg,sendmmsg,open,openat,openat2,creat,mkdir,mkdirat"
    environment = {
        "HOME": str(folder / "home"),
        "ORT_DISABLE_TELEMETRY": "0",  # not even a user who asks for telemetry is watched
        "PATH": os.environ["PATH"],
        "PYTHONSAFEPATH": "1",
        "XDG_CACHE_HOME": str(folder / "home" / "cache"),
        "XDG_CONFIG_HOME": str(folder / "home" / "config"),
        "XDG_DATA_HOME": str(folder / "home" / "data"),
    }
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-y", "-e", calls, "-o", folder / "strace.txt", *command],
        cwd=folder / "work",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Watched(process, folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of one operator."""
    import onnx
    from onnx import TensorProto, helper

    path = tmp_path_factory.mktemp("model") / "model.onnx"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def traces(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """Traces of a session made in several ways; the runs wait side by side."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only the Linux builds are watched")
    python = Path(sys.executable)
    commands = {
        "without advisor": [python, "-c", RUN_A_SESSION, model],
        "after importing advisor": [python, "-c", "import advisor\n" + RUN_A_SESSION, model],
        "in a child process": [python, "-c", RUN_A_SESSION_IN_A_CHILD, RUN_A_SESSION, model],
        "by the command": [python.with_name("advisor"), "profile", model, "--budget", "12", "-o", "profile.json"],
    }
    folder = tmp_path_factory.mktemp("watched")
    watched = {name: watch(command, folder / name.replace(" ", "-")) for name, command in commands.items()}
    return {name: run.trace() for name, run in watched.items()}


def test_the_watching_sees_telemetry_where_there_is_some(traces: dict[str, Trace]) -> None:
    control = traces["without advisor"]

    assert control.written or control.reached_out


@pytest.mark.parametrize("made", ["after importing advisor", "in a child process", "by the command"])
def test_a_session_reports_to_nobody(made: str, traces: dict[str, Trace]) -> None:
    assert traces[made] == NOTHING
