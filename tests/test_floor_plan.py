"""Who may import whom: the design in one table. Changing the design means changing the table, on purpose."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# Room -> the rooms it may import from; a room is a folder of modules, or a module that stands alone. A module in a room may import its
# neighbors there. GROUND is open to all.
GROUND = {
    "advisor",
    *(
        "advisor.errors",
        "advisor.inert",
        "advisor.medians",
        "advisor.quality_floor",
        "advisor.quantized_operators",
        "advisor.schema",
        "advisor.speed_ratios",
        "advisor.units",
        "advisor.visits",
    ),
}
FREE = {"advisor.measure.runtime.control_groups", "advisor.measure.runtime.memory"}
FLOOR_PLAN: dict[str, set[str]] = {
    # A command parses, calls a step, renders and prints.
    "advisor.cli": {
        *("advisor.steps", "advisor.steps.generation", "advisor.steps.language", "advisor.tell", "advisor.files"),
        *("advisor.commands", "advisor.console", "advisor.options", "advisor.progress", "advisor.steps.pipeline"),
    },
    # Python programs call what the command line calls.
    "advisor.api": {"advisor.disk", "advisor.progress", "advisor.steps", "advisor.tell"},
    "advisor.commands": {
        *(f"advisor.steps{room}" for room in ("", ".deploy", ".distillation", ".many", ".pipeline", ".shared", ".sweep")),
        *("advisor.disk", "advisor.files", "advisor.options", "advisor.progress", "advisor.tell"),
    },
    "advisor.options": {"advisor.files", "advisor.disk"},
    "advisor.steps": {
        *("advisor.steps.generation", "advisor.steps.language", "advisor.files", "advisor.disk", "advisor.tell"),
        *("advisor.steps.distillation", "advisor.steps.many", "advisor.steps.shared"),
        *("advisor.decide.comparison", "advisor.decide.long_trace"),
        *(f"advisor.measure.{room}" for room in ("model", "variants", "quality", "timing", "serving", "runtime", "worker")),
        *(f"advisor.decide.{room}" for room in ("service", "queue", "load_test", "lifetime", "verdict", "advice")),
        *(f"advisor.decide.{room}" for room in ("classify", "portfolio", "throughput", "offline")),
    },
    "advisor.steps.generation": {
        *("advisor.steps", "advisor.steps.distillation", "advisor.steps.shared", "advisor.files", "advisor.disk"),
        *(f"advisor.measure.{room}" for room in ("decoder", "generation", "generation.timing", "generation.openvino")),
        *(f"advisor.measure.{room}" for room in ("model", "variants", "timing", "runtime", "worker")),
        *(f"advisor.decide.{room}" for room in ("generation", "generation.service", "queue", "distillation")),
        *FREE,
    },
    # What pipelines run beside the commands of one model: comparing, traces, schemas, tables.
    "advisor.steps.pipeline": {
        *(
            "advisor.steps",
            "advisor.steps.generation",
            "advisor.steps.language",
            "advisor.files",
            "advisor.disk",
            "advisor.traces",
        ),
        *("advisor.decide.comparison", "advisor.tell"),
    },
    # Thousands of workloads: over processes, as lines.
    "advisor.steps.many": {"advisor.files", "advisor.disk", "advisor.steps.sweep", "advisor.tell", "advisor.steps"},
    # Many models: measured on many machines, advised on and shown together.
    "advisor.steps.sweep": {
        *("advisor.steps", "advisor.steps.generation", "advisor.steps.language", "advisor.steps.shared", "advisor.steps.many"),
        *("advisor.files", "advisor.disk", "advisor.store", "advisor.tell", "advisor.decide.queue", "advisor.decide.comparison"),
        *(f"advisor.measure.{room}" for room in ("architecture", "model", "timing", "variants", "worker")),
    },
    # What users share: profiles, variants and advice in a store.
    "advisor.steps.shared": {
        *("advisor.store", "advisor.steps", "advisor.steps.generation", "advisor.files", "advisor.disk"),
        *(f"advisor.measure.{room}" for room in ("model", "variants", "timing", "runtime")),
        "advisor.decide.comparison",
    },
    # Smaller models in the place of the one given.
    "advisor.steps.distillation": {
        *("advisor.steps", "advisor.files", "advisor.disk"),
        *(
            f"advisor.measure.{room}"
            for room in ("distillation", "distillation.training", "generation", "model", "quality", "variants", "worker")
        ),
    },
    # Models that are judged from their configuration, on hardware that is not here.
    "advisor.steps.language": {
        *("advisor.steps", "advisor.steps.generation", "advisor.files", "advisor.disk"),
        *("advisor.measure.architecture", "advisor.measure.variants"),
        *(f"advisor.decide.{room}" for room in ("generation.elsewhere", "generation.projection", "service", "queue", "lifetime")),
        "advisor.decide.distillation",
    },
    # Advice to the files that a server starts with.
    "advisor.steps.deploy": {
        *("advisor.steps", "advisor.files", "advisor.disk", "advisor.tell"),
        *(f"advisor.measure.{room}" for room in ("serving", "worker")),
    },
    # Readers and writers; what they read for the lifetime cost and the rules they hand over in the words of those who decide.
    "advisor.files": {
        *("advisor.disk", "advisor.decide.lifetime", "advisor.decide.verdict", "advisor.traces"),
        "advisor.measure.runtime.memory",
    },
    "advisor.traces": set(),
    # Contents by digest and entries that name them, in a folder or a bucket; of what they hold it knows nothing.
    "advisor.store": {"advisor.disk"},
    # What may be read and written, by whom, and what is left behind.
    "advisor.disk": set(),
    "advisor.console": set(),
    "advisor.progress": set(),
    "advisor.measure.runtime": {"advisor.disk", "advisor.kernels.core_ping", *FREE},
    # What a container may use, and what memory is free: they stand by themselves, for those who read large files have to know as well.
    "advisor.measure.runtime.control_groups": set(),
    "advisor.measure.runtime.memory": {"advisor.measure.runtime.control_groups"},
    # What will be allocated, known before it is.
    "advisor.measure.sizes": {"advisor.measure.runtime", *FREE},
    # What a configuration says of a decoder that is not here.
    "advisor.measure.architecture": {"advisor.measure.decoder"},
    # A checkpoint of a decoder, the graph that is written of it, and the cache that it runs with.
    "advisor.measure.decoder": {"advisor.disk", *(f"advisor.measure.{room}" for room in ("model", "runtime", "sizes")), *FREE},
    # Smaller models: what they are called, how they are cut, and what they are among the variants.
    "advisor.measure.distillation": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("decoder", "model", "runtime", "variants")),
        *FREE,
    },
    # Generation has steps instead of calls.
    "advisor.measure.generation": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("decoder", "model", "quality", "runtime", "sizes")),
        *FREE,
    },
    # The rounds of a profile, what they leave in the journal, and the processes that they ask.
    "advisor.measure.generation.timing": {
        *(f"advisor.measure.{room}" for room in ("decoder", "generation", "generation.openvino", "timing", "worker", "runtime")),
        *FREE,
    },
    "advisor.measure.model": {"advisor.disk", "advisor.measure.runtime", "advisor.measure.sizes", *FREE},
    "advisor.measure.quality": {"advisor.disk", "advisor.measure.model", "advisor.measure.sizes", *FREE},
    "advisor.measure.worker": {"advisor.disk", "advisor.measure.model", "advisor.measure.runtime", *FREE},
    "advisor.measure.serving": {"advisor.disk", "advisor.measure.model", "advisor.measure.runtime", *FREE},
    "advisor.measure.variants": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("distillation", "model", "quality", "runtime", "timing", "worker")),
        *FREE,
    },
    "advisor.measure.timing": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("distillation", "model", "runtime", "variants", "worker")),
        *FREE,
    },
    "advisor.measure.generation.openvino": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("decoder", "generation", "model", "runtime")),
    },
    # Two files of advice side by side, and a policy.
    "advisor.decide.comparison": {"advisor.decide.lifetime", "advisor.decide.service"},
    # What a smaller model learns of its teacher on the texts or the table of the user.
    "advisor.measure.distillation.training": {
        "advisor.disk",
        *(f"advisor.measure.{room}" for room in ("distillation", "model", "quality", "runtime")),
        *FREE,
    },
    "advisor.decide.service": set(),
    "advisor.decide.long_trace": set(),
    "advisor.decide.queue": {"advisor.decide.service", "advisor.decide.long_trace", "advisor.kernels"},
    "advisor.decide.load_test": {"advisor.decide.queue", "advisor.decide.service"},
    "advisor.decide.lifetime": set(),
    "advisor.decide.combining": {"advisor.decide.lifetime"},
    "advisor.decide.energy": {"advisor.decide.lifetime"},
    "advisor.decide.verdict": {"advisor.decide.lifetime", "advisor.decide.combining", "advisor.decide.energy"},
    # Smaller models in place of the one given: what they are assumed to keep, what they cost to make and whether that pays.
    "advisor.decide.distillation": {
        *(f"advisor.decide.{room}" for room in ("service", "queue", "lifetime", "combining")),
        *(f"advisor.decide.{room}" for room in ("generation", "generation.elsewhere")),
    },
    "advisor.decide.advice": {
        *(f"advisor.decide.{room}" for room in ("service", "queue", "lifetime", "verdict", "integer_program", "distillation")),
        "advisor.kernels",
    },
    "advisor.decide.throughput": {f"advisor.decide.{room}" for room in ("service", "queue", "advice")},
    "advisor.decide.offline": {f"advisor.decide.{room}" for room in ("advice", "queue", "service")},
    "advisor.decide.generation.service": {"advisor.decide.service", "advisor.decide.queue"},  # seconds of a step
    # Seconds of an operation on a device that is not here, by kernels that were measured elsewhere; and of steps, which consist of them.
    "advisor.decide.generation.projection.operations": {"advisor.decide.service"},
    "advisor.decide.generation.projection": {
        "advisor.decide.generation.projection.operations",
        "advisor.decide.generation.service",
    },
    # Devices that are not here: what fits, what it costs, what is advised.
    "advisor.decide.generation.elsewhere": {
        *(f"advisor.decide.{room}" for room in ("generation", "generation.projection", "generation.service", "service", "queue")),
    },
    "advisor.decide.generation": {
        *(f"advisor.decide.{room}" for room in ("generation.service", "service", "queue")),
        "advisor.kernels",
    },
    "advisor.decide.classify": {"advisor.decide.lifetime", "advisor.decide.verdict", "advisor.decide.energy"},
    "advisor.decide.portfolio": {
        "advisor.decide.lifetime",
        "advisor.decide.combining",
        "advisor.decide.integer_program",
        "advisor.decide.multiple_choice",
    },
    "advisor.decide.multiple_choice": {"advisor.decide.integer_program"},
    "advisor.decide.integer_program": set(),
    "advisor.tell": {"advisor.templates"},  # where they lie: the folders are the formats
    "advisor.kernels": set(),
    # The one kernel that measures instead of computing: it has a clock, so `decide` may not have it, and measuring needs no other.
    "advisor.kernels.core_ping": set(),
    "advisor.catalog": set(),
    "advisor.rules": set(),
    "advisor.templates": set(),
    **{room: set() for room in GROUND},
}
# Packages that hold rooms and nothing else.
PASSAGES = {"advisor.measure", "advisor.decide"}

# Dependency -> the one module that may import it, inside a function so that a command loads only what it uses; the longest name
# wins.
DOORWAYS: dict[str, str] = {
    "click": "advisor.cli advisor.commands.distill advisor.commands.export advisor.commands.gate advisor.commands.hardware "
    "advisor.commands.many advisor.commands.pipeline advisor.commands.rules advisor.commands.store advisor.commands.sweep "
    "advisor.console advisor.options",
    "fsspec": "advisor.store.cloud",
    "google.protobuf": "advisor.measure.model.onnx_file",
    "jinja2": "advisor.tell.pages",
    "mlflow": "advisor.steps.pipeline.tracking",
    "model2vec": "advisor.measure.distillation.training.static_student",
    "onnx": "advisor.measure.model.onnx_file advisor.measure.model.onnx_graph advisor.measure.model.rewriting "
    "advisor.measure.decoder.decoder_folder advisor.measure.decoder.graph advisor.measure.decoder.quantization "
    "advisor.measure.distillation.training.static_student "
    "advisor.measure.sizes.graph_values advisor.measure.distillation.graph_students advisor.measure.distillation.tree_students "
    "advisor.measure.variants.int8_file",
    "onnxruntime": "advisor.measure.runtime.ort_session",
    "onnxruntime.quantization": "advisor.measure.variants.quantize",
    "onnxruntime.transformers": "advisor.measure.variants.quantize",
    "openvino": "advisor.measure.runtime.openvino_session",
    "openvino_genai": "advisor.measure.generation.openvino.engine",
    "optimum": "advisor.measure.model.checkpoint",
    "prometheus_client": "advisor.files.metrics.exposition",
    "psutil": "advisor.measure.runtime.machine",
    "pyarrow": "advisor.measure.quality.tables",
    "ray": "advisor.steps.many.cluster",
    "rich": "advisor.progress",
    "scipy": "advisor.decide.integer_program",
    "skl2onnx": "advisor.measure.distillation.training.table_student",
    "sklearn": "advisor.measure.distillation.training.table_student",
    "tokenizers": "advisor.measure.quality.texts",
    "torch": "advisor.measure.model.checkpoint advisor.measure.distillation.training.objectives "
    "advisor.measure.distillation.training.acceptance "
    "advisor.measure.distillation.training.static_student advisor.measure.distillation.training.trainer "
    "advisor.measure.distillation.training.transformer_student",
    "transformers": "advisor.measure.model.checkpoint advisor.measure.distillation.training.trainer",
    "vl_convert": "advisor.tell.charts.still",
    "yaml": "advisor.files.records",
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
# Nothing of ours opens a connection, but where a user names the address of a server's metrics; buckets are reached by fsspec.
CONNECTS = {"advisor.files.metrics.fetching"}
NETWORK = {"ftplib", "http", "imaplib", "poplib", "smtplib", "socket", "socketserver", "ssl", "telnetlib", "urllib", "xmlrpc"}
# Folders beside `advisor` that install inside it, as in pyproject.toml.
MAPPED = ("kernels", "rules", "templates")
# A module of more lines has a second reason to change; those of records have one.
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MODULES = (
    12  # in a folder: more, and a stranger no longer finds the right one; records have a module for each file that holds them
)
# Tests of no single module: of the design, the package, the command line as a whole, the examples.
ACROSS = {
    *("test_benchmarks", "test_claims", "test_cli", "test_floor_plan", "test_money", "test_packaging", "test_scenarios"),
    "test_hostile_names",  # from a model's file to its reports
    "test_one_value",  # figures of a report beside each other
    "test_every_figure",  # of a report, and what lies behind it
    "test_documentation",  # README.md and docs/
    "test_damaged_records",  # what every command that reads records does with them
    *("test_telemetry", "test_rules_at_work"),  # the last one: the rulebook, on many workloads
    *("test_published_rows", "test_reference_cases"),  # of language models elsewhere, and the benchmarks that judge them
    "test_moments",  # the times that all steps take
    "test_mutation",  # the kernels changed, one operator at a time
    "test_second_generator",  # the server under another load generator than ours
}

# Who may name temporary files, and who may write bytes by himself: into journals, marks, temporary folders and /proc. All
# that a user is to find is written by advisor.disk.writing.
TEMPORARY = {"advisor.console", "advisor.disk.temporary", "advisor.disk.writing"}
WRITERS = {
    *("advisor.measure.model.kept_files", "advisor.measure.runtime.machine", "advisor.measure.serving.generator"),
    *("advisor.measure.runtime.memory", "advisor.measure.serving.load_test", "advisor.measure.timing.journal"),
}


class Import(NamedTuple):
    """One imported name in full; `lazy` when inside a function or for type checkers only."""

    name: str
    lazy: bool
    line: int


def _source_files() -> dict[str, Path]:
    """Return module name -> source file, in the checkout; the headers that kernels include count as modules."""
    found = {}
    for folder, package in (("advisor", "advisor"), *((name, f"advisor.{name}") for name in MAPPED)):
        for path in (path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".pyx", ".h"}):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


SOURCES = _source_files()
PYTHON_MODULES = sorted(module for module, path in SOURCES.items() if path.suffix == ".py")


def _room_of(module: str) -> str | None:
    """Return the room that a module stands in: the longest name of the plan that begins its own."""
    return module if module in PASSAGES else _longest_prefix(module, FLOOR_PLAN)


def _imports(node: ast.AST, lazy: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, lazy, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (Import("." * node.level + f"{node.module}.{alias.name}", lazy, node.lineno) for alias in node.names)
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    lazy = lazy or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):  # which holds no statement, and is most of a tree
            yield from _imports(child, lazy)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


@cache
def _imports_of(module: str) -> tuple[Import, ...]:
    return tuple(_imports(_tree(module)))


def _longest_prefix(name: str, known: Iterable[str]) -> str | None:
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in known), None)


@cache
def _targets(module: str) -> tuple[tuple[str, int], ...]:
    """Return the modules of ours that a module imports, inside functions too, each with its line."""
    found = []
    for name, _, line in _imports_of(module):
        if name.partition(".")[0] == "advisor":
            found.append((_longest_prefix(name, SOURCES) or name, line))
    return tuple(found)


@cache
def _nodes(module: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(module)))


def of_every(names: Iterable[str]) -> Callable[[Callable[[str], None]], Callable[[], None]]:
    """Let what a test claims of a module hold for each of many, all in one test: thousands of tests take longer to report than to run."""

    def made(claim: Callable[[str], None]) -> Callable[[], None]:
        def of_all() -> None:
            faults = {}
            for name in names:
                try:
                    claim(name)
                except AssertionError as error:
                    faults[name] = str(error)
            assert {} == faults

        of_all.__name__, of_all.__doc__ = claim.__name__, claim.__doc__
        return of_all

    return made


def test_every_module_stands_in_a_room_and_no_room_is_empty() -> None:
    assert set(FLOOR_PLAN) | PASSAGES == {_room_of(module) for module in SOURCES if module != "advisor.__init__"}


@of_every(PYTHON_MODULES)
def test_imports_go_one_way(module: str) -> None:
    here = _room_of(module)
    allowed = GROUND | {here} | FLOOR_PLAN.get(here or "", set())

    wrong = [f"line {line}: {target}" for target, line in _targets(module) if _room_of(target) not in allowed]

    assert [] == wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for type checkers counted: they are arrows as well."""
    arrows = {module: {target for target, _ in _targets(module)} - {module} for module in PYTHON_MODULES}
    while leaves := {module for module, targets in arrows.items() if not targets & set(arrows)}:
        arrows = {module: targets for module, targets in arrows.items() if module not in leaves}

    assert {} == {module: sorted(targets & set(arrows)) for module, targets in arrows.items()}


def test_every_folder_of_code_is_installed() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "advisor").rglob("__init__.py")}

    assert sorted(folders | {f"advisor.{name}" for name in MAPPED}) == sorted(configured)


def test_no_folder_of_code_is_crowded() -> None:
    by_folder = Counter(path.parent for path in SOURCES.values() if path.suffix == ".py" and path.stem != "__init__")

    crowded = {folder: count for folder, count in by_folder.items() if count > MAX_MODULES}

    assert {} == {folder: count for folder, count in crowded.items() if folder != ROOT / "advisor" / "schema"}


@of_every(PYTHON_MODULES)
def test_a_function_fits_on_a_screen(module: str) -> None:
    functions = (node for node in _nodes(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}

    assert {} == {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES}


def _blocks(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Yield each line that begins something in Cython or C, with how many lines it reaches: those indented deeper, and what closes it."""
    indents = [len(line) - len(line.lstrip()) for line in lines]
    for first, line in enumerate(lines):
        if line.strip():
            last = first
            for place in range(first + 1, len(lines)):
                closes = indents[place] == indents[first] and lines[place].lstrip().startswith((")", "}"))
                if indents[place] > indents[first] or closes:
                    last = place
                elif lines[place].strip():
                    break
            yield line, last - first + 1


@of_every(sorted(module for module, path in SOURCES.items() if path.suffix in {".pyx", ".h"}))
def test_a_compiled_function_fits_on_a_screen(module: str) -> None:
    """C that stands inside a kernel is a block of its own; a class is none, but each of its methods is."""
    blocks = _blocks(SOURCES[module].read_text(encoding="utf-8").splitlines())

    too_long = [(line, length) for line, length in blocks if length > MAX_FUNCTION_LINES and not line.startswith("cdef class ")]

    assert [] == too_long


def test_tests_mirror_the_modules() -> None:
    tests = ROOT / "tests"
    named = {
        path.relative_to(tests): ".".join(["advisor", *path.relative_to(tests).parts[:-1], path.stem.removeprefix("test_")])
        for path in tests.rglob("test_*.py")
        if path.stem not in ACROSS
    }

    assert {} == {str(path): module for path, module in named.items() if module not in SOURCES}


@of_every(PYTHON_MODULES)
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


@of_every(PYTHON_MODULES)
def test_a_dependency_is_imported_when_it_is_used(module: str) -> None:
    eager = [(name, line) for name, lazy, line in _imports_of(module) if not lazy and _longest_prefix(name, DOORWAYS)]

    wrong = [f"line {line}: {name}" for name, line in eager if name.partition(".")[0] not in AT_THE_TOP]

    assert [] == wrong


@of_every([module for module in PYTHON_MODULES if module.startswith("advisor.decide.")])
def test_decisions_touch_no_file_and_no_clock(module: str) -> None:
    assert [] == [name for name, _, _ in _imports_of(module) if name.partition(".")[0] in IMPURE]


@of_every(PYTHON_MODULES)
def test_no_module_can_open_a_connection(module: str) -> None:
    connecting = [name for name, _, _ in _imports_of(module) if name.partition(".")[0] in NETWORK]

    assert not connecting or module in CONNECTS


@of_every(PYTHON_MODULES)
def test_files_are_written_in_one_place(module: str) -> None:
    writes = [
        node.attr for node in _nodes(module) if isinstance(node, ast.Attribute) and node.attr in {"write_text", "write_bytes"}
    ]
    temporary = [name for name, _, _ in _imports_of(module) if name.partition(".")[0] == "tempfile"]

    assert not writes or module in WRITERS
    assert not temporary or module in TEMPORARY


@of_every(sorted(module for module, path in SOURCES.items() if path.suffix == ".pyx"))
def test_a_kernel_imports_nothing_of_ours(kernel: str) -> None:
    lines = SOURCES[kernel].read_text(encoding="utf-8").splitlines()

    imports = [line for line in lines if line.lstrip().startswith(("import ", "cimport ", "from "))]

    assert [] == [line for line in imports if "advisor" in line or "kernels" in line or "from ." in line]


@of_every(sorted(module for module, path in SOURCES.items() if path.suffix == ".pyx"))
def test_every_function_of_a_kernel_is_called_by_the_advisor(kernel: str) -> None:
    functions = set(re.findall(r"^def ([a-z]\w*)\(", SOURCES[kernel].read_text(encoding="utf-8"), re.MULTILINE))
    callers = [module for module in PYTHON_MODULES if _room_of(module) != "advisor.kernels"]

    called = {node.attr for module in callers for node in _nodes(module) if isinstance(node, ast.Attribute)}

    assert functions
    assert set() == functions - called


@of_every(sorted(SOURCES))
def test_a_module_has_one_reason_to_change(module: str) -> None:
    is_of_records = module.startswith("advisor.schema.")

    lines = len(SOURCES[module].read_text(encoding="utf-8").splitlines())

    assert is_of_records or lines <= MAX_LINES
