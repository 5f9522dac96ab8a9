"""`advisor advise` on a trace of millions of requests, from process start to its last line: how long, and how much memory at its peak."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness import Figures

WIDTH = 32
REQUESTS_PER_S = 200.0  # the mean of the day
AT_ONCE = 100_000  # lines written
ANSWERS = (0, 1, 3)  # exit statuses of a command that has an answer
WORKLOAD = """\
name: recorded requests
traffic: {trace: trace.csv}
slo: {latency_s: 20 ms, quantile: 0.99}
hardware: {allowed: [local], price_usd_per_hour: {local: 0.34}}
baseline: {max_batch_size: 1, replicas: 2}
"""
# The peak of the process itself: what its parent would be told begins with the parent's own.
MEASURED = """
import sys
from pathlib import Path
from advisor.cli import main
from advisor.measure.runtime.machine import peak_memory_bytes
peak, *sys.argv[1:] = sys.argv[1:]
try:
    main()
finally:
    Path(peak).write_text(str(peak_memory_bytes()))
"""


def trace_figures(requests: int, *, budget_s: float) -> Figures:
    """Profile a small model, and time the advice on so many recorded requests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _tagger(folder / "model.onnx")
        (folder / "workload.yaml").write_text(WORKLOAD)
        # What is measured rests on few requests as well as on many.
        _record(folder / "trace.csv", min(requests, AT_ONCE))
        _run(folder, "profile", "model.onnx", "-w", "workload.yaml", "--budget", f"{budget_s:g}")
        _record(folder / "trace.csv", requests)
        started = time.perf_counter()
        _run(folder, "advise", "profile.json", "-w", "workload.yaml", "-o", "advice.json")
        taken_s = time.perf_counter() - started
        return {
            "advise_trace_requests": requests,
            "advise_trace_bytes": (folder / "trace.csv").stat().st_size,
            "advise_trace_s": taken_s,
            "advise_trace_peak_bytes": int((folder / "peak").read_text()),
        }


def _run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", MEASURED, "peak", *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode not in ANSWERS:
        raise SystemExit(f"advisor {' '.join(arguments)}: {ran.stderr[-500:]}")


def _record(path: Path, requests: int) -> None:
    """Write arrivals of a busy and a quiet half of the record, with rushes, and lengths."""
    random = np.random.default_rng(0)
    place = np.linspace(0.0, 1.0, requests)
    gap_s = random.exponential(1 / REQUESTS_PER_S, requests) / (1 + 0.5 * np.sin(2 * np.pi * place))
    gap_s[(place * 50) % 1 < 0.01] /= 2
    arrival_s, tokens = np.cumsum(gap_s), np.minimum(random.lognormal(4, 0.6, requests), 500).astype(int) + 1
    with path.open("w") as file:
        file.write("arrival_s,sequence_length\n")
        for first in range(0, requests, AT_ONCE):
            part = slice(first, first + AT_ONCE)
            file.writelines(map("%.6f,%d\n".__mod__, zip(arrival_s[part].tolist(), tokens[part].tolist(), strict=True)))


def _tagger(path: Path) -> None:
    """Write a network that sees each token by itself, of random weights, for it is only timed."""
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((random.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32), f"w{layer}")
        for layer in range(2)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["inner"], name="first"),
        helper.make_node("Relu", ["inner"], ["positive"], name="between"),
        helper.make_node("MatMul", ["positive", "w1"], ["y"], name="second"),
    ]
    given, made = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", "sequence", WIDTH]) for name in ("x", "y")
    )
    graph = helper.make_graph(nodes, "tagger", [given], [made], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
