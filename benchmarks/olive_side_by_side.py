"""Olive (olive-ai) and the advisor on the same sentence classifier: speed, drift and time taken of the best that each gives.

    python benchmarks/olive_side_by_side.py [--json FILE] [--quick] [--venv DIR] [--folder DIR] [--made DIR]

Olive is installed into an environment of its own at --venv (made anew if there is none), its commands run there, each for at most
TIMEOUT_S. Beside what `olive optimize`, `quantize` and `run-pass` do by themselves stand workflows of `olive run` that combine its
fusions for transformers with dynamic int8, by channel and in 7 bits too, and static ranges, found on the advisor's calibration items.
The files that they leave are then measured by the same code as the advisor's own variants, in turn with them: visits on one thread,
cosine of the logits of 512 sentences to those of the model as given, accuracy on labelled sentences with its interval. `seconds`
is what making the file took: of Olive a whole command, Python's start and imports included; the advisor has been running and makes the
file alone. A command that fails is told with the error that it said last. With --made, Olive's files are kept there, and a second run
only measures; it needs no Olive.

Keys: `<who>_speedup_b1` and `<who>_speedup_b8` (over the model as given), `<who>_cosine`, `<who>_quality` and `<who>_seconds` of the best
file of Olive and of the advisor, the fastest that holds, or the fastest at all; `advisor_over_olive_b1`, both measured in this run;
`attempts`, `attempts_failed` and `attempts_s`, of Olive's. Tables: `rows` has every file, `failed` the errors, `best` which file it is.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import quantization
from advisor.measure.runtime.machine import has_vnni, read_machine
from advisor.measure.variants import quantize
from advisor.measure.variants.settings import ScreeningSettings
from harness import Figures, Size, Unknown, parsed, parser_of, save
from harness import show as show_figures
from parts.quantization_models import Case, case_of

PINNED = "olive-ai==0.13.0"
TIMEOUT_S = 150
SHARED = {"onnx", "onnxruntime", "onnx_ir", "torch", "transformers"}
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
OURS = [
    "ort-optimized",
    "int8-dynamic",
    "int8-dynamic-tensor",
    "int8-dynamic-matmul",
    "int8-static-minmax",
    "int8-weight-only",
    "int4-weight-only",
]
HEADS, HIDDEN = 12, 384  # of the encoder, for Olive's fusions

Row = quantization.Row
Pass = dict[str, Any]


class Attempt(NamedTuple):
    """What Olive is asked: a command's arguments, or the passes of a workflow."""

    command: tuple[str, ...] = ()
    passes: tuple[Pass, ...] = ()
    full_range: bool = False  # whether weights take all 8 bits, which is what Olive does unless told otherwise


def run_pass(name: str, *, full_range: bool = False, **config: object) -> Attempt:
    return Attempt(command=("run-pass", "--pass-name", name, "--pass-config", json.dumps(config)), full_range=full_range)


FUSION: Pass = {
    "type": "OrtTransformersOptimization",
    "model_type": "bert",
    "num_heads": HEADS,
    "hidden_size": HIDDEN,
    "opt_level": 1,
}
DYNAMIC: Pass = {"type": "OnnxDynamicQuantization", "precision": "int8"}
STATIC: Pass = {"type": "OnnxStaticQuantization", "precision": "int8", "data_config": "items"}
CHANNEL, REDUCED = {"per_channel": True}, {"reduce_range": True}
ON_CPU = ("--provider", "CPUExecutionProvider", "--device", "cpu")
ATTEMPTS = {
    "olive-optimize-fp32": Attempt(("optimize", "--precision", "fp32", *ON_CPU)),
    "olive-optimize-int8": Attempt(("optimize", "--precision", "int8", *ON_CPU), full_range=True),
    "olive-optimize-int4": Attempt(("optimize", "--precision", "int4", *ON_CPU)),
    "olive-quantize-rtn-int8": Attempt(("quantize", "--algorithm", "rtn", "--precision", "int8")),
    "olive-quantize-rtn-int4": Attempt(("quantize", "--algorithm", "rtn", "--precision", "int4")),
    "olive-quantize-hqq-int4": Attempt(("quantize", "--algorithm", "hqq", "--precision", "int4")),
    "olive-quantize-kquant-int4": Attempt(("quantize", "--algorithm", "kquant", "--precision", "int4")),
    "olive-quantize-ort-int8": Attempt(("quantize", "--implementation", "ort", "--precision", "int8"), full_range=True),
    "olive-pass-rtn-int8": run_pass("OnnxBlockWiseRtnQuantization", bits=8),
    "olive-pass-dynamic-channel": run_pass("OnnxDynamicQuantization", **CHANNEL, **REDUCED),
    "olive-pass-fused": run_pass("OrtTransformersOptimization", model_type="bert", num_heads=HEADS, hidden_size=HIDDEN),
    "olive-run-fused-dynamic": Attempt(passes=(FUSION, DYNAMIC), full_range=True),
    "olive-run-fused-dyn-channel": Attempt(passes=(FUSION, DYNAMIC | CHANNEL), full_range=True),
    "olive-run-fused-dyn-chan-7bit": Attempt(passes=(FUSION, DYNAMIC | CHANNEL | REDUCED)),
    "olive-run-static": Attempt(passes=(STATIC,), full_range=True),
    "olive-run-static-chan-7bit": Attempt(passes=(STATIC | CHANNEL | REDUCED | {"activation_type": "uint8"},)),
}
SATURATES = "weights take all 8 bits (Olive's default, reduce_range is off): without VNNI sums of products may saturate"
# What Olive asks of a user for static ranges: a script that registers how the items are read.
SCRIPT = """\
import numpy as np
from olive.data.registry import Registry


class Items:
    def __init__(self, path):
        with np.load(path) as archive:
            self.rows = {name: archive[name] for name in archive}

    def __len__(self):
        return len(next(iter(self.rows.values())))

    def __getitem__(self, number):
        return {name: values[number] for name, values in self.rows.items()}, 0


@Registry.register_dataset()
def items_of(path, **kwargs):
    return Items(path)
"""


class Effort(NamedTuple):
    """How much of a run is made."""

    model: str
    drift_items: int


EFFORTS: dict[Size, Effort] = {"full": Effort("minilm", 512), "quick": Effort("minilm", 512), "tiny": Effort("fashion", 32)}
FIGURES = ("speedup_b1", "speedup_b8", "cosine", "quality", "seconds")


class Made(NamedTuple):
    """What came of an attempt."""

    path: Path
    command: str
    seconds: float
    reason: str | None  # why there is no file


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--venv", default="olive-venv", help="the environment that Olive is installed into")
    parser.add_argument("--folder", help="where the model is kept")
    parser.add_argument("--made", help="where Olive's files are kept")
    parser.add_argument("--only", nargs="+", choices=list(ATTEMPTS), default=list(ATTEMPTS), help="these of Olive's alone")
    parser.add_argument("--scheme", nargs="+", default=OURS, help="these of the advisor's alone")
    parser.add_argument("--make-only", action="store_true", help="let Olive make its files and stop")
    arguments = parsed(parser)
    effort = EFFORTS[arguments.size]
    # What Olive made must not keep the advisor from mixing its own; judging takes as long as in a profile.
    usual, looking = ScreeningSettings(), quantization.EFFORTS[arguments.size]
    looks = msgspec.structs.replace(quantization.screening(looking), judging_share=usual.judging_share)
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        case = case_of(effort.model, Path(arguments.folder or name).absolute())
        if isinstance(case, Unknown):
            sys.exit(f"{effort.model} cannot be made: it {case.reason}")
        kept = Path(arguments.made or Path(name) / "made").absolute()
        made = {label: _made(Path(arguments.venv).absolute(), label, case, kept) for label in arguments.only}
        if arguments.make_only:
            return
        measure = partial(quantization.measure, only=arguments.scheme, budget_s=looking.budget_s, looks=looks)
        rows = _measured(case, Path(name) / "measured", made, measure, effort.drift_items)
    _show(case, rows)
    failed = {
        label: {"command": entry.command, "reason": entry.reason, "seconds": entry.seconds}
        for label, entry in made.items()
        if entry.reason is not None
    }
    for label, entry in failed.items():
        print(f"{label}: failed after {entry['seconds']:.0f} s: {entry['reason']}")
    best = {who: _best([row for row in rows[1:] if row["by"] == who]) for who in ("Olive", "advisor")}
    for who, row in best.items():
        said = f"{row['scheme']}{'' if row['holds'] else ', whose quality does not hold'}" if row else "nothing that runs"
        print(f"{who}: {said}")
    figures = _figures(best) | {
        "attempts": len(made),
        "attempts_failed": len(failed),
        "attempts_s": sum(entry.seconds for entry in made.values()),
    }
    show_figures(figures)
    names = {who: row and row["scheme"] for who, row in best.items()}
    save(arguments.json, arguments.size, figures, rows=rows, failed=failed, best=names)


def _best(rows: list[Row]) -> Row | None:
    """Return the fastest at batch 1 of those that hold, or the fastest at all."""
    timed = [row for row in rows if row["speedup_b1"]]
    return max([row for row in timed if row["holds"]] or timed, key=lambda row: float(row["speedup_b1"]), default=None)


def _figures(best: dict[str, Row | None]) -> Figures:
    figures: Figures = {}
    for who, row in best.items():
        for name in FIGURES:
            value = row[name] if row else None
            missing = f"it is not known of {row['scheme']}" if row else "nothing that runs"
            figures[f"{who.lower()}_{name}"] = Unknown(missing) if value is None else value
    ours, theirs = (figures[f"{who}_speedup_b1"] for who in ("advisor", "olive"))
    nobody = Unknown("one of them has nothing that runs")
    figures["advisor_over_olive_b1"] = nobody if isinstance(ours, Unknown) or isinstance(theirs, Unknown) else ours / theirs
    return figures


# --- Olive -----------------------------------------------------------------------------------------------------------------


def _olive(venv: Path) -> Path:
    """Return Olive's command in the environment, installed if it is not there yet."""
    command = venv / "bin" / "olive"
    if not command.is_file():
        python = venv / "bin" / "python"
        if not python.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        # torch first and by itself, as `make` does it: pip then takes the build that its settings prefer. Versions as the advisor's,
        # so that the files of both are read by what wrote them. Olive needs datasets for its own static int8 without declaring it.
        pins = [line for line in CONSTRAINTS.read_text().splitlines() if line.split("==")[0] in SHARED]
        torch = next(pin for pin in pins if pin.startswith("torch=="))
        for packages in ([torch], [PINNED, *pins, "datasets>=4"]):
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return command


def _made(venv: Path, label: str, case: Case, kept: Path) -> Made:
    """Return what the attempt came to, now or in an earlier run that asked the same of the same model."""
    attempt, folder = ATTEMPTS[label], kept / label
    asked = hashlib.sha256(f"{PINNED} {attempt}".encode() + case.model.read_bytes()).hexdigest()
    record = folder / "attempt.json"
    path = folder / f"{label}.onnx"
    if record.is_file():
        said = json.loads(record.read_text())
        if said.pop("asked") == asked and (said["reason"] is not None or path.is_file()):
            return Made(path, **said)
    olive = _olive(venv)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="olive-") as name:
        arguments = (
            _workflow(attempt, case, Path(name)) if attempt.passes else [*attempt.command, "-m", str(case.model), "-o", "out"]
        )
        started = time.perf_counter()
        found = _run([str(olive), *arguments, "--disable_telemetry"], Path(name))
        seconds = time.perf_counter() - started
        if isinstance(found, Path):
            _keep(found, path)
    reason = found if isinstance(found, str) else None
    command = "olive run " + json.dumps(attempt.passes) if attempt.passes else " ".join(["olive", *attempt.command])
    said = {"command": command, "seconds": seconds, "reason": reason}
    record.write_text(json.dumps({"asked": asked, **said}, indent=1) + "\n")
    print(f"{label}: {seconds:.0f} s{f', failed: {reason}' if reason else ''}", file=sys.stderr, flush=True)
    return Made(path, **said)


def _workflow(attempt: Attempt, case: Case, folder: Path) -> list[str]:
    """Write the configuration of a workflow and return the arguments that run it."""
    (folder / "items.py").write_text(SCRIPT)
    accelerator = {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
    items = {
        "name": "items",
        "type": "DataContainer",
        "user_script": str(folder / "items.py"),
        "load_dataset_config": {"type": "items_of", "path": str(case.calibration)},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "skip_post_process"},
        "dataloader_config": {"batch_size": 8},
    }
    config = {
        "input_model": {"type": "ONNXModel", "model_path": str(case.model)},
        "systems": {"here": {"type": "LocalSystem", "accelerators": [accelerator]}},
        "host": "here",
        "target": "here",
        "data_configs": [items],
        "passes": {f"step{number}": entry for number, entry in enumerate(attempt.passes)},
        "evaluate_input_model": False,
        "output_dir": str(folder / "out"),
        "cache_dir": str(folder / "cache"),
    }
    (folder / "workflow.json").write_text(json.dumps(config))
    return ["run", "--config", "workflow.json"]


def _run(command: list[str], folder: Path) -> Path | str:
    """Return the ONNX file that the command left, or the error that it said last."""
    # With --disable_telemetry alone a command took 23 s where nothing could be reached, under CI 13 s: its code sends word of its start
    # before it looks at some of the switches. That time is not to be held against it.
    environment = os.environ | {"CI": "true", "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"nothing within {TIMEOUT_S} s"
    made = sorted((folder / "out").rglob("*.onnx"))
    if done.returncode == 0 and made:
        return made[0]
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"(Error|Exception)\b", line)]
    return (errors or lines or [f"no output, exit status {done.returncode}"])[-1].replace(str(folder), "")[:300]


def _keep(made: Path, target: Path) -> None:
    """Copy the file under another name; weights in a second file keep theirs, which the first one holds."""
    for path in made.parent.iterdir():
        if path.is_file() and path != made and path.suffix != ".json":
            shutil.copy2(path, target.parent / path.name)
    shutil.copy2(made, target)


# --- both ------------------------------------------------------------------------------------------------------------------


def _measured(case: Case, folder: Path, made: dict[str, Made], measure: Callable[..., list[Row]], drift_items: int) -> list[Row]:
    """Return a row for each file, Olive's and ours, from the same code in the same run."""
    took_s = {label: entry.seconds for label, entry in made.items()}
    # The benchmark of schemes counts judging in, which Olive's commands do not do: here making alone is timed.
    quantize.make_variant = _timed(quantize.make_variant, took_s)
    files = tuple(entry.path for entry in made.values() if entry.reason is None)
    rows = measure(case, folder, variants=files)
    names = {label for label, entry in made.items() if entry.reason is None}
    vnni = has_vnni(read_machine())
    before = _logits(case.model, case, drift_items)
    for row in rows:
        label = row["scheme"]
        path = made[label].path if label in names else folder / "profile.variants" / f"{label}.onnx"
        row["cosine"] = _cosine(before, _logits(path, case, drift_items)) if row["bytes"] and path.is_file() else None
        row["by"] = "Olive" if label in names else "advisor"
        row["seconds"] = took_s.get(label, row["seconds"])
        row["command"] = made[label].command if label in names else None
        row["note"] = SATURATES if label in names and ATTEMPTS[label].full_range and not vnni else None
    return rows


def _logits(path: Path, case: Case, items: int) -> np.ndarray:
    """Return what the file answers to the first `items` sentences, in batches as a server would make them."""
    import onnxruntime as ort  # here: its telemetry is off only once the advisor has been imported

    assert case.data is not None
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with np.load(case.data) as archive:
        rows = {entry.name: archive[entry.name][:items] for entry in session.get_inputs()}
    batches = range(0, items, 8)
    return np.concatenate([session.run(None, {name: rows[name][at : at + 8] for name in rows})[0] for at in batches])


def _cosine(before: np.ndarray, after: np.ndarray) -> float:
    """Return the cosine over all sentences at once: of two logits that mirror each other, a single sentence's is 1 or -1."""
    return float(np.vdot(before, after) / (np.linalg.norm(before) * np.linalg.norm(after)))


def _timed(make: Callable[..., None], took_s: dict[str, float]) -> Callable[..., None]:
    def timed(baseline: Path, scheme: Any, target: Path, *rest: Any, **named: Any) -> None:
        started = time.perf_counter()
        make(baseline, scheme, target, *rest, **named)
        took_s[target.stem] = time.perf_counter() - started

    return timed


def _show(case: Case, rows: list[Row]) -> None:
    print(f"\n{case.name}: {case.metric}, at most {case.max_drop:g} may be lost; speeds are ratios to the model as given")
    print(
        f"{'file':30} {'MB':>6} {'speed, batch 1':>17} {'speed, batch 8':>17} {'cosine':>7} {case.metric:>22} {'holds':>5} {'s':>5}"
    )
    for row in rows:
        size = f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else "-"
        cosine = "-" if row.get("cosine") is None else f"{row['cosine']:.4f}"
        holds = {True: "yes", False: "no", None: "?"}[row["holds"]]
        spent = f"{row['seconds']:.1f}" if row["seconds"] else "-"
        speeds = [quantization.speed_cell(row, size) for size in (1, 8)]
        quality = quantization.quality_cell(row)
        print(f"{row['scheme']:30} {size:>6} {speeds[0]:>17} {speeds[1]:>17} {cosine:>7} {quality:>22} {holds:>5} {spent:>5}")
        for said in (row["why"] if row["holds"] is False else None, row["note"] if row["holds"] is False else None):
            if said:
                print(f"{'':6} {said}")


if __name__ == "__main__":
    main()
