"""Olive (olive-ai) and the advisor on the same sentence classifier: speed, drift and time taken of the best that each gives.

    python benchmarks/olive_side_by_side.py [--venv DIR] [--folder DIR] [--json FILE] [--quick]

Olive is installed into an environment of its own at --venv (made anew if there is none), its commands run there, each for at most
TIMEOUT_S. The files that they leave are then measured by the same code as the advisor's own variants, in turn with them: visits on one
thread, accuracy on labelled sentences with its interval. A command that fails is told with the last line that it wrote.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import quantization
from quantization_models import minilm

from advisor.measure import compare

PINNED = "olive-ai==0.13.0"
TIMEOUT_S = 150
# As the documentation has them: an ONNX file in, the CPU as target.
COMMANDS = {
    "olive-optimize-fp32": ["optimize", "--precision", "fp32", "--provider", "CPUExecutionProvider", "--device", "cpu"],
    "olive-optimize-int8": ["optimize", "--precision", "int8", "--provider", "CPUExecutionProvider", "--device", "cpu"],
    "olive-optimize-int4": ["optimize", "--precision", "int4", "--provider", "CPUExecutionProvider", "--device", "cpu"],
    "olive-quantize-rtn-int8": ["quantize", "--algorithm", "rtn", "--precision", "int8"],
    "olive-quantize-rtn-int4": ["quantize", "--algorithm", "rtn", "--precision", "int4"],
    "olive-quantize-hqq-int4": ["quantize", "--algorithm", "hqq", "--precision", "int4"],
    "olive-pass-dynamic": ["run-pass", "--pass-name", "OnnxDynamicQuantization"],
}
OURS = ["ort-optimized", "int8-dynamic", "int8-dynamic-matmul", "int8-weight-only"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", default="olive-venv", help="the environment that Olive is installed into")
    parser.add_argument("--folder", help="where the model is kept")
    parser.add_argument("--json", help="write the table there as well")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter visits")
    arguments = parser.parse_args()
    compare.LOOKS, compare.LOOK_S = (3, 0.03) if arguments.quick else (quantization.LOOKS, quantization.LOOK_S)
    compare.HOPELESS = 0.0
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        folder = Path(name)
        case = minilm(Path(arguments.folder or name) / "minilm")
        olive = _olive(Path(arguments.venv))
        took_s, failed = {}, {}
        files = []
        for label, command in COMMANDS.items():
            started = time.perf_counter()
            found = _run(olive, command, case.model, folder / label)
            took_s[label] = time.perf_counter() - started
            if isinstance(found, Path):
                files.append(_under_its_name(found, folder / f"{label}.onnx"))
            else:
                failed[label] = found
        choice = argparse.Namespace(scheme=OURS, variants=tuple(files))
        rows = quantization.measure(case, folder / "measured", choice)
        for row in rows:
            row["seconds"] = took_s.get(row["scheme"], row["seconds"])
        quantization.show(case, rows)
        for label, reason in failed.items():
            print(f"{label}: failed after {took_s[label]:.0f} s: {reason}")
        _best("Olive", [row for row in rows if row["scheme"] in COMMANDS])
        _best("advisor", [row for row in rows[1:] if row["scheme"] not in COMMANDS])
        if arguments.json:
            Path(arguments.json).write_text(json.dumps({"rows": rows, "failed": failed}, indent=1) + "\n")


def _olive(venv: Path) -> Path:
    """Return Olive's command, installed if it is not there yet."""
    command = venv / "bin" / "olive"
    if not command.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        packages = [PINNED, "onnxruntime", "onnx-ir", "torch", "transformers<4.58"]
        subprocess.run([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)
    return command.absolute()


def _run(olive: Path, command: list[str], model: Path, target: Path) -> Path | str:
    """Return the ONNX file that the command left, or the last that it said."""
    target.mkdir(parents=True)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    arguments = [str(olive), *command, "-m", str(model.absolute()), "-o", str(target), "--disable_telemetry"]
    try:
        done = subprocess.run(
            arguments, cwd=target, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"nothing within {TIMEOUT_S} s"
    made = [path for path in target.rglob("*.onnx") if ".olive-cache" not in path.parts and "cache" not in path.parts]
    if not made:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return (lines or ["no output"])[-1][:200]
    return made[0]


def _under_its_name(made: Path, target: Path) -> Path:
    """Return a copy under another name; weights in a second file keep theirs, which the first one holds."""
    for path in made.parent.iterdir():
        if path.is_file() and path != made and path.suffix != ".json":
            shutil.copy2(path, target.parent / path.name)
    return Path(shutil.copy2(made, target))


def _best(who: str, rows: list[dict[str, object]]) -> None:
    """Print the fastest that holds, or the fastest at all."""
    timed = [row for row in rows if row["speedup_b1"]]
    good = [row for row in timed if row["holds"]] or timed
    if not good:
        print(f"{who}: nothing that runs")
        return
    best = max(good, key=lambda row: float(str(row["speedup_b1"])))
    said = "holds" if best["holds"] else "quality does not hold"
    print(
        f"{who}: {best['scheme']}, {best['speedup_b1']:.2f} times as fast at batch 1, {best['speedup_b8']:.2f} at batch 8; "
        f"cosine {best['cosine']:.4f}, accuracy {best['quality']:.4f} ({said}); made in {best['seconds'] or 0:.0f} s"
    )


if __name__ == "__main__":
    main()
