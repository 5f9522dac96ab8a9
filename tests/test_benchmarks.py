"""Every program under benchmarks/ runs to its end and leaves the figures that its docstring names; what they are is not looked at."""

import ast
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from advisor.files.kernel_tables import read_grids

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
if not FOLDER.is_dir():
    pytest.skip("benchmarks are in the checkout alone, not in the sdist", allow_module_level=True)
MODULES = sorted(path for path in FOLDER.rglob("*.py") if path.stem != "__init__")
PROGRAMS = {path.stem: path for path in MODULES if "__main__" in path.read_text(encoding="utf-8")}
PATIENCE_S = 300
MODEL = ROOT / "examples" / "data" / "fashion_dscnn.onnx"
ROWS = FOLDER / "data" / "validation.csv.gz"
PUBLISHED = FOLDER / "data" / "generation_rows.csv.gz"
SCHEME = ("--scheme", "int8-static-minmax")
OLIVES = ("olive-optimize-fp32", "olive-quantize-hqq-int4", "olive-quantize-kquant-int4", "olive-run-static")
# What each program is run with, one run after the other in one folder. Together they go through all that needs no absent package.
RUNS: dict[str, list[tuple[str | Path, ...]]] = {
    "budgets": [(), ("--model", MODEL)],
    "busy_machine": [("--model", MODEL)],
    "classify_speed": [()],
    "fit_generation": [()],
    "fit_projection": [(), ("--rows", ROWS, "--data", "rows.csv.gz", "--output", "projection.json")],
    "distillation": [("--student", "layers-2")],
    "fuzz": [("--rings", "1", "--only", "onnx_changed", "yaml_workload", "yaml_portfolio", "yaml_rules", "csv_trace")],
    "generation": [(), ("--elsewhere",), ("--rows", PUBLISHED)],
    "kills": [("--only", "SIGINT")],
    "olive_side_by_side": [
        ("--venv", "olive", "--made", "made", "--only", *OLIVES, "--make-only"),
        ("--venv", "nowhere", "--made", "made", "--only", *OLIVES, *SCHEME),
    ],
    "pack_kernel_tables": [()],
    "pack_vega": [("--output", "vega.js")],
    "pages": [(), (ROOT / "tests" / "data" / "golden" / "portfolio.json",)],
    "predictions": [("--csv", "cases.csv")],
    "projection": [(), ("--rows", ROWS)],
    "quantization": [
        ("--folder", "models", *SCHEME),
        ("--model", MODEL, "--data", "models/fashion/calibration.npz", "--metric", "accuracy", *SCHEME),
        ("--folder", "models", "--make-only", "--only", "llama", "mlp", "resnet18", "silero"),
    ],
    "repeatability": [()],
    "queue_speed": [("--calls", "1", "100"), ()],
    "schedule": [(), ("--models", "30", "--nodes", "3", "--lost-per-hour", "5")],
    "search": [()],
    "servers": [("--only", "ort", "ray")],
    "sweep": [(), ("--workloads", "3")],
}
# Stands in for Olive's command: one attempt fails, one leaves a file that no runtime opens, the others give back what they were given.
OLIVE = """
import json, shutil, sys
from pathlib import Path
import onnx

if "hqq" in sys.argv:
    sys.exit("ValueError: there is no such algorithm")
folder = Path("out")
if sys.argv[1] == "run":
    workflow = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    folder, given = Path(workflow["output_dir"]), workflow["input_model"]["model_path"]
else:
    given = sys.argv[sys.argv.index("-m") + 1]
folder.mkdir()
model = onnx.load(given)
if "kquant" in sys.argv:
    model.graph.node[0].op_type = "Nonsense"
onnx.save(model, folder / "model.onnx")
"""


def run(program: str, arguments: tuple[str | Path, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as users do: by its path, which puts its own folder on the import path, as PYTHONSAFEPATH would not."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment |= {"XDG_DATA_HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAMS[program]), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@cache
def documented(program: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the patterns of keys and the tables that a program's docstring names."""
    doc = ast.get_docstring(ast.parse(PROGRAMS[program].read_text(encoding="utf-8"))) or ""
    keys, _, tables = doc.partition("\nKeys:")[2].partition("Tables:")
    return tuple(frozenset(re.findall(r"`([\w<>]+)`", part)) for part in (keys, tables))  # type: ignore[return-value]


def names(pattern: str, key: str) -> bool:
    return re.fullmatch(re.sub("<.*?>", ".*", pattern), key) is not None


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


harness = module("harness")

case = module("parts/fuzz/case")
REFUSED = case.Seen(status=2, seconds=1.0, peak_bytes=1, stdout="", stderr="note: n\nerror: e\nhint: h\n")


def test_every_program_is_run_here() -> None:
    assert set(PROGRAMS) == set(RUNS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_leaves_the_figures_that_its_docstring_names(program: str, tmp_path: Path) -> None:
    (tmp_path / "olive" / "bin").mkdir(parents=True)
    (tmp_path / "olive" / "olive.py").write_text(OLIVE)
    command = tmp_path / "olive" / "bin" / "olive"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/olive/olive.py" "$@"\n')
    command.chmod(0o755)
    known: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for number, arguments in enumerate(RUNS[program]):
        path = tmp_path / f"{number}.json"
        ran = run(program, ("--tiny", "--json", path, *arguments), tmp_path)
        assert 0 == ran.returncode, f"{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
        if path.exists():
            left = json.loads(path.read_text())
            assert "tiny" == left.pop("size")
            unknown |= left.pop("unknown")
            known |= left
            assert all(key in ran.stdout for key in left if key not in documented(program)[1])
    patterns, tables = documented(program)
    figures = {key: value for key, value in known.items() if key not in tables}

    assert set() == {key for key, value in figures.items() if value is None and not unknown[key]}
    assert set() == {key for key, value in figures.items() if value is not None and not math.isfinite(value)}
    assert set() == {key for key in figures if not any(names(pattern, key) for pattern in patterns)}
    assert set() == {pattern for pattern in patterns if not any(names(pattern, key) for key in figures)}
    assert tables == set(known) - set(figures)


def test_what_is_no_program_is_part_of_one() -> None:
    imported = {
        name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        for name in (alias.name, f"{getattr(node, 'module', '')}.{alias.name}", str(getattr(node, "module", "")))
    }
    # The advisor imports this one by the name that a case gives it.
    imported.add("parts.quantization_metrics")

    others = {".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in MODULES} - set(PROGRAMS)

    assert set() == others - imported


def test_no_program_hands_over_a_time_that_it_made_up() -> None:
    made_up = [
        f"{path.name}: {ast.unparse(keyword.value)}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "now" and ast.unparse(keyword.value) != "now()"
    ]

    assert [] == made_up


def test_contributing_has_a_row_for_every_program_with_keys_that_it_leaves() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `(\w+)\.py` \|(.*)\|$", text, re.MULTILINE)}

    assert set(PROGRAMS) == set(rows)
    for program, row in rows.items():
        keys = re.findall(r"`([\w<>]+)`", row.rpartition("|")[2])
        assert keys
        assert [] == [key for key in keys if not any(names(pattern, key) or pattern == key for pattern in documented(program)[0])]


def test_the_tables_of_the_paper_plan_are_what_the_simulation_prints(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python benchmarks/schedule\.py(.*)$", text, re.MULTILINE)

    assert commands
    for command in commands:
        ran = run("schedule", tuple(command.split()), tmp_path)
        printed = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
        assert printed and "\n".join(printed) in text
        for name, count in re.findall(r"^(nodes_until_\w+) +([\d,]+)", ran.stdout, re.MULTILINE):
            assert f"| `{name}` | {count} |" in text


def test_nothing_is_done_twice_or_left_out_however_many_machines_are_lost(tmp_path: Path) -> None:
    arguments = ("--models", "60", "--nodes", "4", "--lost-per-hour", "20", "--json", tmp_path / "a.json")

    assert 0 == run("schedule", arguments, tmp_path).returncode
    left = json.loads((tmp_path / "a.json").read_text())

    assert left["lost_nodes_4"] > 0 and left["utilization_4"] < 1
    # What is measured by all of them in all is the work once, and what was lost of it.
    assert 0 < left["lost_measuring_share_4"] < 0.1


def test_a_fit_of_a_part_of_the_models_leaves_the_catalogue_alone(tmp_path: Path) -> None:
    catalogue = ROOT / "advisor" / "catalog" / "projection.json"
    before = catalogue.stat().st_mtime_ns, catalogue.read_bytes()

    assert 0 == run("fit_projection", ("--quick",), tmp_path).returncode
    assert before == (catalogue.stat().st_mtime_ns, catalogue.read_bytes())


def test_figures_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    ran = run("olive_side_by_side", ("--json", tmp_path), tmp_path)

    assert 2 == ran.returncode
    assert f"--json: {tmp_path}: cannot write there" in ran.stderr


def test_olive_is_not_installed_to_say_how_it_is_compared(tmp_path: Path) -> None:
    ran = run("olive_side_by_side", ("--help",), tmp_path)

    assert (0, []) == (ran.returncode, list(tmp_path.iterdir()))
    assert all(option in ran.stdout for option in ("--json", "--quick", "--tiny", "--venv"))


def test_a_package_that_is_absent_leaves_its_model_out_and_says_so(tmp_path: Path) -> None:
    present = importlib.util.find_spec("torchcrepe") is not None
    arguments = ("--tiny", "--only", "torchcrepe", "--scheme", "int8-dynamic", "--json", "q.json")
    if present:
        pytest.skip("torchcrepe is installed here")

    ran = run("quantization", arguments, tmp_path)

    assert 0 == ran.returncode, ran.stderr
    assert "torchcrepe is left out" in ran.stdout
    assert ["torchcrepe"] == list(json.loads((tmp_path / "q.json").read_text())["left_out"])


def test_figures_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    harness.save(path, "quick", {"a": 1.5, "b": harness.Unknown("numba is not installed")}, rows=[1])
    before = path.read_bytes()

    with pytest.raises(ValueError, match="neither finite nor Unknown: a"):
        harness.save(path, "quick", {"a": math.nan})

    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
    assert {
        "size": "quick",
        "a": 1.5,
        "b": None,
        "unknown": {"b": "numba is not installed"},
        "rows": [1],
    } == json.loads(before)


def test_calls_take_turns_and_none_always_follows_the_same() -> None:
    made: list[str] = []
    calls = {name: lambda name=name: made.append(name) for name in "abc"}

    seconds = harness.in_turns(calls, 3)

    assert list("abcbcacab") == made
    assert {"a": 3, "b": 3, "c": 3} == {name: len(taken) for name, taken in seconds.items()}


def test_a_ratio_is_of_calls_of_the_same_turn() -> None:
    slow_machine_at_times = [1.0, 10.0, 1.0, 10.0, 1.0]

    assert 2.0 == harness.ratio([2 * taken for taken in slow_machine_at_times], slow_machine_at_times)


@pytest.mark.parametrize(
    ("hits", "low", "high"), [((True,) * 100, 0.97, 1.0), ((True,) * 5, 0.64, 1.0), ((False,) * 5, 0.0, 0.36)]
)
def test_a_rate_of_few_runs_has_a_wide_interval(hits: tuple[bool, ...], low: float, high: float) -> None:
    figures = harness.rate("tied", hits, without="no run")

    assert (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01)) == (figures["tied_low"], figures["tied_high"])


def test_a_rate_of_no_runs_is_unknown() -> None:
    assert {harness.Unknown("no run")} == set(harness.rate("tied", (), without="no run").values())


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ({}, set()),
        ({"status": 0, "stderr": "advisor: looking at the model (about 3 s left)\n"}, set()),
        ({"status": 3, "stdout": "inconclusive", "stderr": ""}, set()),
        ({"stderr": "error: e\nhint: h\nand more\n"}, {"wrong_stderr"}),
        ({"stderr": "[W:onnxruntime:, graph.cc:118] unused\nerror: e\nhint: h\n"}, {"wrong_stderr"}),
        ({"stderr": "error: e\n"}, {"wrong_stderr"}),
        ({"status": 0, "stderr": "RuntimeWarning: overflow\n"}, {"wrong_stderr"}),
        ({"status": 70, "fault": "Traceback (most recent call last):\nKeyError: 1\n"}, {"tracebacks"}),
        ({"status": 1, "stderr": "Traceback (most recent call last):\nKeyError: 1\n"}, {"tracebacks"}),
        ({"status": 9}, {"undocumented_statuses"}),
        ({"status": -8}, {"crashes"}),
        ({"status": -9, "is_hung": True}, {"hangs"}),
        ({"status": -9, "is_over_memory": True}, {"over_memory"}),
        ({"changed": ("w.yaml",), "leftovers": ("advisor-x",), "orphans": 1}, {"changed_inputs", "leftovers", "orphans"}),
    ],
)
def test_what_counts_against_the_advisor(seen: dict[str, Any], counts: set[str]) -> None:
    assert counts <= set(case.FIGURES)
    assert counts == {finding.what for finding in case.findings(REFUSED._replace(**seen))}


def test_a_kept_case_is_run_again_as_it_was_and_a_changed_input_counts(tmp_path: Path) -> None:
    book = b"provider,region,instance,term,usd_per_hour,date,source\nown,here,l4,on-demand,0.7,2026-11-01,mine\n"
    added = ("hardware", "prices", "--import", "p.csv", "-o", "book.csv", "--now", "2026-11-28")
    cases = {
        "refused.zip": case.Case("yaml", ("classify", "absent.yaml"), {"w.yaml": b"name: w\n"}),
        "added.zip": case.Case("prices", added, {"p.csv": book.replace(b"0.7", b"0.8"), "book.csv": book}),
    }
    for name, one in cases.items():
        case.keep(one, REFUSED, tmp_path / name)
        assert one == case.kept(tmp_path / name)

    ran = run("fuzz", ("--rings", "1", "--replay", *(tmp_path / name for name in cases)), tmp_path)

    assert 1 == ran.returncode, ran.stderr
    assert "error: absent.yaml: no such file" in ran.stdout
    assert ["changed_inputs: prices: book.csv"] == [line for line in ran.stdout.splitlines() if line.startswith("changed_inputs")]


def test_kernels_are_packed_by_device_the_newest_and_fastest_of_each(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    system = {"system": "h100_sxm", "version": "0.9.0", "kernel_source": "a"}
    heads = system | {"num_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "kv_cache_dtype": "bfloat16", "batch_size": 1}
    expert = system | {"moe_dtype": "fp8", "num_tokens": 8, "hidden_size": 4096, "inter_size": 1024, "topk": 2, "num_experts": 8}
    message = system | {"lib": "nccl", "op_name": "all_reduce", "dtype": "half", "eager_or_graph": "", "num_gpus": 2}
    product = system | {"gemm_dtype": "bfloat16", "m": 1, "n": 4096, "k": 4096}
    tables: dict[str, list[dict[str, Any]]] = {
        "gemm": [
            product | {"version": "0.10.0", "latency_ms": 2.0},
            product | {"version": "0.10.0", "kernel_source": "b", "latency_ms": 3.0},
            product | {"latency_ms": 1.0},
            product | {"system": "unknown", "latency_ms": 1.0},
        ],
        "context_attention": [heads | {"isl": 128, "latency_ms": 1.0}],
        "generation_attention": [heads | {"ctx": 128, "latency_ms": 1.0}],
        "mla": [
            heads | {"phase": phase, "isl": 1, "step": 127, "tp_size": 1, "latency_ms": 1.0}
            for phase in ("context_mla", "generation_mla")
        ],
        "moe": [
            expert | {"moe_tp_size": 1, "moe_ep_size": 1, "distribution": distribution, "latency_ms": latency_ms}
            for distribution, latency_ms in (("balanced", 1.0), ("power_law_1.2", 4.0))
        ],
        "comm": [message | {"message_size": size, "latency_ms": 1.0} for size in (1024, 2048)],
    }
    for name, rows in tables.items():
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"{name}.parquet")

    ran = run("pack_kernel_tables", ("--ops", tmp_path, "--output", "kernels.npz"), tmp_path)

    assert 0 == ran.returncode, ran.stderr
    grids = read_grids(tmp_path / "kernels.npz")
    assert {"h100_sxm"} == {device for device, _, _ in grids}
    fastest, even = (grids["h100_sxm", *key].log_s for key in (("gemm", "bf16"), ("experts", "fp8")))
    assert [pytest.approx(2e-3, rel=1e-3), pytest.approx(1e-3, rel=1e-3)] == [math.exp(fastest.item()), math.exp(even.item())]
    assert [[2048, 4096]] == [axis.tolist() for axis in grids["h100_sxm", "all_reduce", "bf16"].axes]
