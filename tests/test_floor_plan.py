"""Who may import whom: the design in one table. Changing the design means changing the table, on purpose."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# Floor -> the modules on it, and the floors they may import from. A new module is put on a floor before it is merged.
FLOOR_PLAN: dict[str, tuple[set[str], set[str]]] = {
    # A command parses, calls the pipeline, renders and prints.
    "cli": ({"advisor.cli"}, {"pipeline", "tell", "catalog_files", "files", "progress", "ground"}),
    "pipeline": (
        {"advisor.classification", "advisor.pipeline", "advisor.profiling", "advisor.verification"},
        {"pipeline", "measure", "decide", "tell", "files", "rulebook", "catalog_files", "workload_file", "life_file", "ground"},
    ),
    # What needs no model: read without NumPy, for a command that answers in the time of a keystroke.
    "life_file": ({"advisor.life_file"}, {"decide", "files", "catalog_files", "workload_file", "ground"}),
    "workload_file": ({"advisor.workload_file"}, {"catalog_files", "files", "ground"}),
    "measure": (
        {
            "advisor.measure",
            "advisor.measure.checkpoint",
            "advisor.measure.compare",
            "advisor.measure.cores",
            "advisor.measure.disturbance",
            "advisor.measure.examples",
            "advisor.measure.generator",
            "advisor.measure.lineup",
            "advisor.measure.load_test",
            "advisor.measure.machine",
            "advisor.measure.metrics",
            "advisor.measure.mixed",
            "advisor.measure.model_facts",
            "advisor.measure.model_inputs",
            "advisor.measure.onnx_graph",
            "advisor.measure.openvino_session",
            "advisor.measure.operator_cost",
            "advisor.measure.ort_session",
            "advisor.measure.points",
            "advisor.measure.power",
            "advisor.measure.preflight",
            "advisor.measure.profiler",
            "advisor.measure.int8_file",
            "advisor.measure.quality",
            "advisor.measure.quantize",
            "advisor.measure.quiet",
            "advisor.measure.scores",
            "advisor.measure.sensitivity",
            "advisor.measure.server",
            "advisor.measure.store",
            "advisor.measure.variants",
            "advisor.measure.worker",
            "advisor.measure.worker_process",
        },
        {"measure", "core_ping", "files", "ground"},
    ),
    "decide": (
        {
            "advisor.decide",
            "advisor.decide.advise",
            "advisor.decide.bench",
            "advisor.decide.bounds",
            "advisor.decide.calibration",
            "advisor.decide.candidates",
            "advisor.decide.choices",
            "advisor.decide.day",
            "advisor.decide.demand",
            "advisor.decide.elsewhere",
            "advisor.decide.energy",
            "advisor.decide.fleet",
            "advisor.decide.integer_program",
            "advisor.decide.lifecycle",
            "advisor.decide.load_judgement",
            "advisor.decide.offline",
            "advisor.decide.predict",
            "advisor.decide.project",
            "advisor.decide.ranking",
            "advisor.decide.remarks",
            "advisor.decide.search",
            "advisor.decide.service_time",
            "advisor.decide.summaries",
            "advisor.decide.ties",
            "advisor.decide.classify",
            "advisor.decide.conditions",
            "advisor.decide.judgement",
            "advisor.decide.levers",
            "advisor.decide.life_facts",
            "advisor.decide.life_inputs",
            "advisor.decide.measured_changes",
            "advisor.decide.opportunities",
            "advisor.decide.outlook",
            "advisor.decide.payback",
            "advisor.decide.portfolio",
            "advisor.decide.serving_cost",
            "advisor.decide.stability",
            "advisor.decide.training_cost",
            "advisor.decide.verdict",
        },
        {"decide", "rule_parser", "kernels", "ground"},
    ),
    # A part of importing rule-engine: it reads a file of ours where rule-engine would work for half a second, and decides nothing.
    "rule_parser": ({"advisor.decide.rule_parser"}, {"files", "ground"}),
    "tell": (
        {
            "advisor.tell",
            "advisor.tell.axes",
            "advisor.tell.batches",
            "advisor.tell.charts",
            "advisor.tell.facts",
            "advisor.tell.life",
            "advisor.tell.life_text",
            "advisor.tell.hardware",
            "advisor.tell.options",
            "advisor.tell.report",
            "advisor.tell.summary",
        },
        {"tell", "ground"},
    ),
    "rulebook": ({"advisor.rulebook"}, {"decide", "files", "ground"}),
    "catalog_files": (
        {"advisor.catalog_files", "advisor.market", "advisor.price_book", "advisor.token_book"},
        {"catalog_files", "files", "ground"},
    ),
    "progress": ({"advisor.progress"}, {"ground"}),
    "files": ({"advisor.files"}, {"ground"}),
    "kernels": (
        {
            "advisor.kernels",
            "advisor.kernels.pareto",
            "advisor.kernels.queue_sim",
            "advisor.kernels.reference",
            "advisor.kernels.search",
        },
        set(),
    ),
    # The one kernel that measures instead of computing: it has a clock, so `decide` may not have it, and measuring needs no other.
    "core_ping": ({"advisor.kernels.core_ping"}, set()),
    "data": (
        {"advisor.catalog", "advisor.catalog.hardware", "advisor.catalog.schemes", "advisor.rules", "advisor.templates"},
        set(),
    ),
    "ground": (
        {"advisor", "advisor.errors", "advisor.quality_floor", "advisor.schema", "advisor.units", "advisor.visits"},
        {"ground"},
    ),
}

# Dependency -> the one module that may import it, inside a function so that a command loads only what it uses; the longest name
# wins.
DOORWAYS: dict[str, str] = {
    "click": "advisor.cli",
    "google.protobuf": "advisor.measure.onnx_graph",
    "jinja2": "advisor.tell.report",
    "onnx": "advisor.measure.onnx_graph advisor.measure.int8_file",  # one reads, one writes
    "onnxruntime": "advisor.measure.ort_session",
    "onnxruntime.quantization": "advisor.measure.quantize",
    "onnxruntime.transformers": "advisor.measure.quantize",
    "openvino": "advisor.measure.openvino_session",
    "optimum": "advisor.measure.checkpoint",
    "psutil": "advisor.measure.machine",
    "pyarrow": "advisor.measure.examples",
    "rich": "advisor.progress",
    "rule_engine": "advisor.decide.rule_parser",
    "scipy": "advisor.decide.integer_program",
    "torch": "advisor.measure.checkpoint",
    "transformers": "advisor.measure.checkpoint",
    "yaml": "advisor.files",
}
AT_THE_TOP = {"click"}  # decorators need it there
EVERYWHERE = {"msgspec", "numpy"}

# `decide` is pure: records in, records out; no files, no clock, no unseeded randomness.
IMPURE = {
    "datetime",
    "glob",
    "importlib",
    "io",
    "os",
    "pathlib",
    "platform",
    "random",
    "shutil",
    "subprocess",
    "tempfile",
    "time",
}
# Nothing of ours opens a connection.
NETWORK = {"ftplib", "http", "imaplib", "poplib", "smtplib", "socket", "socketserver", "ssl", "telnetlib", "urllib", "xmlrpc"}
# Folders beside `advisor` that install inside it, as in pyproject.toml.
MAPPED = ("kernels", "rules", "templates")
# A module of more lines has a second reason to change. The records of schema.py have one, and so have the commands of cli.py; two
# kernels hold C for several processors beside their Cython, and kernels cannot share parts.
MAX_LINES = 400
MAX_LINES_OF = {"advisor.schema": 1350, "advisor.cli": 540, "advisor.kernels.pareto": 480, "advisor.kernels.search": 440}


class Import(NamedTuple):
    """One imported name in full; `lazy` when inside a function or for type checkers only."""

    name: str
    lazy: bool
    line: int


def _source_files() -> dict[str, Path]:
    """Return module name -> source file, in the checkout."""
    found = {}
    for folder, package in (("advisor", "advisor"), *((name, f"advisor.{name}") for name in MAPPED)):
        for path in (*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.pyx")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


SOURCES = _source_files()
FLOOR_OF = {module: floor for floor, (modules, _) in FLOOR_PLAN.items() for module in modules}
PYTHON_MODULES = sorted(module for module, path in SOURCES.items() if path.suffix == ".py")


def _imports(node: ast.AST, lazy: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, lazy, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (Import("." * node.level + f"{node.module}.{alias.name}", lazy, node.lineno) for alias in node.names)
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    lazy = lazy or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, lazy)


def _imports_of(module: str) -> list[Import]:
    return list(_imports(ast.parse(SOURCES[module].read_text(encoding="utf-8"))))


def _longest_prefix(name: str, known: dict[str, str]) -> str | None:
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in known), None)


def test_every_module_stands_on_a_floor_and_no_floor_names_a_missing_module() -> None:
    assert sorted(FLOOR_OF) == sorted(SOURCES)


@pytest.mark.parametrize("module", PYTHON_MODULES)
def test_imports_go_one_way(module: str) -> None:
    allowed = FLOOR_PLAN[FLOOR_OF[module]][1]
    ours = [
        (_longest_prefix(name, FLOOR_OF), line) for name, _, line in _imports_of(module) if name.partition(".")[0] == "advisor"
    ]

    wrong = [f"line {line}: {target}" for target, line in ours if target is None or FLOOR_OF[target] not in allowed]

    assert [] == wrong


@pytest.mark.parametrize("module", PYTHON_MODULES)
def test_a_dependency_has_one_doorway(module: str) -> None:
    foreign = [
        (name, line)
        for name, _, line in _imports_of(module)
        if name.partition(".")[0] not in {"advisor"} | EVERYWHERE | sys.stdlib_module_names
    ]

    wrong = [
        f"line {line}: {name}"
        for name, line in foreign
        if module not in DOORWAYS.get(_longest_prefix(name, DOORWAYS) or "", "").split()
    ]

    assert [] == wrong


@pytest.mark.parametrize("module", PYTHON_MODULES)
def test_a_dependency_is_imported_when_it_is_used(module: str) -> None:
    eager = [(name, line) for name, lazy, line in _imports_of(module) if not lazy and _longest_prefix(name, DOORWAYS)]

    wrong = [f"line {line}: {name}" for name, line in eager if name.partition(".")[0] not in AT_THE_TOP]

    assert [] == wrong


@pytest.mark.parametrize("module", sorted(FLOOR_PLAN["decide"][0] & set(PYTHON_MODULES)))
def test_decisions_touch_no_file_and_no_clock(module: str) -> None:
    assert [] == [name for name, _, _ in _imports_of(module) if name.partition(".")[0] in IMPURE]


@pytest.mark.parametrize("module", PYTHON_MODULES)
def test_no_module_can_open_a_connection(module: str) -> None:
    assert [] == [name for name, _, _ in _imports_of(module) if name.partition(".")[0] in NETWORK]


@pytest.mark.parametrize("kernel", sorted(module for module, path in SOURCES.items() if path.suffix == ".pyx"))
def test_a_kernel_imports_nothing_of_ours(kernel: str) -> None:
    lines = SOURCES[kernel].read_text(encoding="utf-8").splitlines()

    imports = [line for line in lines if line.lstrip().startswith(("import ", "cimport ", "from "))]

    assert [] == [line for line in imports if "advisor" in line or "kernels" in line or "from ." in line]


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_a_module_has_one_reason_to_change(module: str) -> None:
    assert len(SOURCES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES_OF.get(module, MAX_LINES)
