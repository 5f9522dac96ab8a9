"""Functions called in a process of their own: whatever the model does there, the caller gets an answer or an error in words."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import helper

from advisor.errors import InputError, ModelError
from advisor.measure.model import facts, onnx_graph
from advisor.measure.runtime import memory
from advisor.measure.worker.apart import Apart, Limit
from tests import models
from tests.models import save

USUAL = Limit("the model", "starting", 60.0, 600.0)


@pytest.fixture(scope="module")
def apart():
    with Apart() as started:
        yield started


def look(apart, path, limit=USUAL):
    return apart.call(limit, facts.look, path, name=path.name, format_="onnx", sequence_lengths=(), rows=None)


def test_who_waits_hears_what_is_begun_and_the_process_has_the_environment_it_was_given(tmp_path):
    heard = []
    with Apart(heard.append, {"OMP_WAIT_POLICY": "PASSIVE"}) as started:
        look(started, save(models.mlp(), tmp_path / "model.onnx"))

        assert "PASSIVE" == process_of(started).environ()["OMP_WAIT_POLICY"]
    assert "reading its graph" in heard


def process_of(apart):
    return psutil.Process(apart._child._process.pid)


def division(by=-1):
    """The least of all 64-bit integers over -1: more than 64 bits hold, and a fault on processors that notice."""
    return models.build(
        "(int64[N] i) => (float[N] y) { w = Mul(i, o) q = Div(w, z) y = Cast <to = 1> (q) }",
        {"o": np.array(-(2**63)), "z": np.array(by)},
    )


def test_the_answer_is_that_of_the_same_call_here(apart, tmp_path):
    path = save(models.mlp(), tmp_path / "model.onnx")

    assert facts.inspect_onnx(path, name="model.onnx") == look(apart, path)
    assert onnx_graph.read_graph(path) == apart.call(USUAL, onnx_graph.read_graph, path)


def test_one_process_answers_all_calls(apart, tmp_path):
    path = save(models.mlp(), tmp_path / "model.onnx")
    look(apart, path)
    before = process_of(apart).pid

    look(apart, path)

    assert before == process_of(apart).pid


def test_an_error_of_ours_comes_back_as_what_it_was(apart, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a letter")

    with pytest.raises(InputError, match=rf"^{path}: ") as caught:
        look(apart, path)
    assert caught.value.hint


def test_what_the_system_says_of_a_file_comes_back_in_words(apart, tmp_path):
    with pytest.raises(InputError, match="File name too long") as caught:
        apart.call(USUAL, os.stat, tmp_path / ("a" * 300))

    assert "check the path" in caught.value.hint


def test_a_fault_of_ours_comes_back_with_its_traceback(apart, tmp_path):
    with pytest.raises(RuntimeError, match="AttributeError") as caught:
        apart.call(USUAL, onnx_graph.read_graph, 3)
    assert "Traceback" in caught.value.__notes__[0]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors divide by -1 without a fault")
def test_a_model_that_crashes_the_runtime_is_an_error_that_names_what_and_where(apart, tmp_path):
    path = save(division(), tmp_path / "model.onnx")
    limit = USUAL._replace(subject=str(path))

    with pytest.raises(ModelError, match=rf"^{path}: a call with i \[1\]: the model crashed the runtime \(SIGFPE, an integer"):
        look(apart, path, limit)
    assert look(apart, save(division(by=1), path)).batching.possible


def test_a_model_that_never_ends_is_given_up_with_what_took_how_long(apart, tmp_path):
    path = save(models.endless(), tmp_path / "model.onnx")
    look(apart, save(models.loop(), tmp_path / "other.onnx"))  # so that starting is no part of it
    process = process_of(apart)

    with pytest.raises(ModelError, match=r"^the model: .+: it did not end within [\d.]+ s"):
        look(apart, path, USUAL._replace(step_s=2.0))
    assert not process.is_running()


def test_a_process_that_was_killed_is_an_error_and_the_next_call_has_another(apart, tmp_path):
    path = save(models.endless(), tmp_path / "model.onnx")
    look(apart, save(models.loop(), tmp_path / "other.onnx"))
    threading.Timer(0.5, os.kill, (process_of(apart).pid, signal.SIGKILL)).start()

    with pytest.raises(ModelError, match=r"its process was killed \(SIGKILL, out of memory perhaps\)"):
        look(apart, path)
    assert look(apart, tmp_path / "other.onnx")


# A process of its own, for a signal that is missed must end no test. It looks at another model first: starting is no part of the wait.
INTERRUPTED = """
import signal, sys, time
from pathlib import Path
import psutil
from advisor.measure.model import facts
from advisor.measure.worker.apart import Apart, Limit

def interrupted(number, frame):
    raise KeyboardInterrupt

def look(apart, path):
    limit = Limit("the model", "starting", 60.0, 600.0)
    apart.call(limit, facts.look, path, name=path.name, format_="onnx", sequence_lengths=(), rows=None)

with Apart() as apart:
    look(apart, Path(sys.argv[1]))
    process = psutil.Process(apart._child._process.pid)
    scratch = Path(process.environ()["TMPDIR"])
    (scratch / "left").write_text("by a process that was killed")
    signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    started_s = time.monotonic()
    try:
        look(apart, Path(sys.argv[2]))
    except KeyboardInterrupt:
        print(time.monotonic() - started_s < 30.0, process.is_running(), scratch.exists())
"""


def test_an_interrupt_ends_the_process_at_once_and_what_it_left_behind(tmp_path):
    first, endless = save(models.loop(), tmp_path / "other.onnx"), save(models.endless(), tmp_path / "model.onnx")

    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, first, endless], capture_output=True, text=True, check=False, timeout=300
    )

    at_once, runs, is_there = True, False, False
    assert (0, f"{at_once} {runs} {is_there}\n") == (done.returncode, done.stdout), done.stderr


def hostile(name):
    """A model of which a look may come to no good; what is large would fill all memory that there is."""
    elements = memory.available_bytes() // 4
    of_size = "(float[N] x) => (float[1] y) { c = ConstantOfShape(s) r = ReduceSum <keepdims = 0> (c) y = Add(x, r) }"
    without_output = models.build("(float[n, 8] x) => (float[n, 8] y) { y = MatMul(x, w) }", models.weights(w=(8, 8)))
    without_output.graph.node.insert(0, helper.make_node("Constant", [], [], value=helper.make_tensor("v", 1, [1], [1.0])))
    return {
        "constants": models.build(of_size, {"s": np.array([elements])}),
        "an input": models.build(f"(float[{elements}] x) => (float y) {{ y = ReduceSum <keepdims = 0> (x) }}"),
        "a constant without a name": without_output,
        "what no type holds": models.build(
            "(float[N] x, uint8 k) => (float[N] y) { w = Cast <to = 7> (k) e = Equal(w, c) f = Cast <to = 1> (e) y = Mul(x, f) }",
            {"c": np.array(-5)},
        ),
    }[name]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process has held")
@pytest.mark.parametrize("name", ["constants", "an input", "a constant without a name", "what no type holds"])
def test_a_look_at_a_hostile_model_is_an_answer_or_an_error_and_takes_little_memory(tmp_path, name):
    path = save(hostile(name), tmp_path / "model.onnx")

    with Apart() as apart:
        with contextlib.suppress(InputError, ModelError):
            assert look(apart, path).sha256
        lines = Path(f"/proc/{process_of(apart).pid}/status").read_text().splitlines()

    assert int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) * 1024 < 1_000_000_000
