"""The files to compare: the baseline and what the schemes make of it, each proved to differ."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from advisor import __version__, medians
from advisor.errors import AdvisorError
from advisor.measure.distillation import student_variants
from advisor.measure.distillation.student_files import StudentFile
from advisor.measure.model import checkpoint, input_rows, kept_files, onnx_graph
from advisor.measure.quality import examples
from advisor.measure.runtime import machine
from advisor.measure.runtime.ort_session import Place
from advisor.measure.timing.opinion import Ask
from advisor.measure.timing.settings import TimingSettings
from advisor.measure.variants import quantize
from advisor.measure.variants.quantize import EVERY, Ingredients, Nodes
from advisor.measure.variants.settings import ScreeningSettings
from advisor.measure.worker.client import WorkerProcess
from advisor.measure.worker.process import Load, Loaded
from advisor.schema.catalog import CPU, Hardware, Provider, Scheme
from advisor.schema.model import Graph, ModelFacts
from advisor.schema.profile import Machine, ProfileSettings, Variant
from advisor.schema.record import Exclusion, Record

# The baseline under another name: measured as if it were a variant, so that the difference of equal things is known.
AGAIN = medians.AGAIN
# Histograms of ranges keep every activation of every item until the end.
HISTOGRAM_BYTES, FEWEST_HISTOGRAM_ITEMS = 500_000_000, 8
CALIBRATION_BATCH_SIZE = 8
# What is made in the folder of the variants under a passing name: how those of folders that ranges are kept in begin, and those of trials.
RANGES, TRIAL = ".ranges-", ".trial-"


class Report(Protocol):
    """Where a run stands: seconds spent, seconds that all stages take, what is being done; `line` is a sentence to be read by itself."""

    def __call__(self, done_s: float, of_s: float, what: str, *, line: str | None = None) -> None:
        """Report where the run stands."""


Workers = dict[str, tuple[WorkerProcess, Loaded]]


class Today(NamedTuple):
    """What runs today, or would by default: without its calls there is nothing to compare with."""

    variant: str
    intra_op_num_threads: int
    instances: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the profiler needs to know."""

    baseline: Path
    folder: Path  # where variant files go, beside the profile
    facts: ModelFacts
    settings: ProfileSettings
    schemes: tuple[Scheme, ...]
    given: tuple[Path, ...]  # files that the user named as variants
    students: tuple[StudentFile, ...] = ()  # in order of hope
    student: Variant | None = None  # that files are made of, in the plan of one
    hardware: Hardware  # what the machine is to advice
    provider: Provider = CPU  # what runs the model as given
    machine: Machine
    rows: str | None  # the user's inputs
    inputs_path: str | None = None  # as in Site
    data: str | None  # the user's evaluation data, in random order
    created: str
    fingerprint: str
    checkpoint: Path | None = None  # the directory that the baseline was exported from
    calibration: str | None = None  # items to find static ranges on, none of them in data
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    own_metric: Callable[..., object] | None = None  # the user's function, where the metric is one
    excluded: tuple[Exclusion, ...] = ()  # schemes that the pre-flight left out
    notes: tuple[str, ...] = ()  # on the data
    today: Today | None = None
    kept: frozenset[str] = frozenset()  # variants that are measured to the end, however slow: the user named them
    screening: ScreeningSettings = ScreeningSettings()
    ask: Ask | None = None  # the decision, where it is known what is to be decided; None: every point is measured alike
    timing: TimingSettings = TimingSettings()


class Made(Record, frozen=True, kw_only=True):
    """What a scheme came to: the variant, or why there is none."""

    variant: Variant | None
    exclusion: Exclusion | None


def imported() -> None:
    """Do nothing: who asks another process for this has it import what files are made with."""


def portable(plan: Plan) -> Plan:
    """Return the plan for another process: without functions, of which none makes files."""
    return msgspec.structs.replace(plan, own_metric=None, ask=None)


def given_ids(paths: tuple[Path, ...], taken: set[str]) -> list[str]:
    """Return what the user's files are called: their stems, numbered where that is taken."""
    names: list[str] = []
    for path in paths:
        candidates = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        names.append(next(name for name in candidates if name not in taken and name not in names))
    return names


def given_variant(plan: Plan, path: Path, name: str, baseline: Graph) -> Variant:
    """Return a file of the user's as a variant."""
    graph = onnx_graph.read_graph(path)
    return Variant(
        id=name,
        scheme="given",
        title=f"{path.name}, as given",
        path=os.path.relpath(path, plan.folder.parent),
        sha256=graph.sha256,
        bytes=graph.file_bytes,
        derived_from=baseline_id(plan.facts),
        changed_operators=quantize.changed_operators(baseline, graph),
        changed_weight_bytes=graph.weight_bytes - baseline.weight_bytes,
        lossless=graph.sha256 == baseline.sha256,
        load_s=None,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
        provider=plan.provider,
    )


def baseline_id(facts: ModelFacts) -> str:
    """Return what the model as given is called: fp32, unless it came quantized or in half precision."""
    return "as-given" if facts.already_quantized or facts.weight_bytes < 3.5 * facts.parameters else "fp32"


def baseline_variant(plan: Plan) -> Variant:
    """Return the model as given."""
    return Variant(
        id=baseline_id(plan.facts),
        scheme="none",
        title="the model as given",
        path=os.path.relpath(plan.baseline, plan.folder.parent),
        sha256=plan.facts.sha256,
        bytes=plan.facts.file_bytes,
        derived_from=None,
        changed_operators={},
        changed_weight_bytes=0,
        lossless=True,
        load_s=None,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
        provider=plan.provider,
    )


def made(plan: Plan, scheme: Scheme, baseline: Graph, nodes: Nodes = EVERY, name: str | None = None) -> Variant | Exclusion:
    """Return the variant of a scheme, its file written and proved to differ, or why there is none."""
    name = name or name_of(plan, scheme)
    path = plan.folder / f"{name}.onnx"
    if scheme.method == "provider":
        return _elsewhere(plan, scheme, name)
    if plan.facts.already_quantized and scheme.method in quantize.QUANTIZING:
        return Exclusion(what=name, reason="the model is already quantized")
    given, recipe = ingredients(plan), kept_files.recipe(_made_of(plan, scheme, nodes))
    try:
        if not kept_files.is_kept(path, recipe, given.calibration_items):
            quantize.make_variant(plan.baseline, scheme, path, given, nodes)
            kept_files.keep(path, recipe, given.calibration_items)
        graph = onnx_graph.read_graph(path)
    except AdvisorError as error:
        quantize.discard(path)
        hidden = quantize.only_in_branches(plan.baseline, scheme, baseline)
        return Exclusion(what=name, reason=hidden or without_folders(error.fault, path, plan.baseline))
    changed = quantize.proof_of_difference(scheme, baseline, graph)
    if isinstance(changed, Exclusion):
        quantize.discard(path)
        hidden = quantize.only_in_branches(plan.baseline, scheme, baseline)
        return Exclusion(what=name, reason=hidden or changed.reason)
    return _variant(
        plan,
        scheme,
        id=name,
        path=str(path.relative_to(plan.folder.parent)),
        sha256=graph.sha256,
        bytes=graph.file_bytes,
        changed_operators=changed,
        changed_weight_bytes=graph.weight_bytes - baseline.weight_bytes,
    )


def made_of(plan: Plan, scheme: Scheme, baseline: Graph) -> Made:
    """Return what the scheme comes to on all nodes, as `made` does, in a form that goes from process to process."""
    found = made(plan, scheme, baseline)
    if isinstance(found, Exclusion):
        return Made(variant=None, exclusion=found)
    return Made(variant=found, exclusion=None)


def name_of(plan: Plan, scheme: Scheme) -> str:
    """Return what the variant of a scheme is called."""
    return scheme.id if plan.student is None else f"{plan.student.id}+{scheme.id}"


def is_made(plan: Plan, scheme: Scheme) -> bool:
    """Return whether the file of a scheme is there already, from an earlier run."""
    if scheme.method == "provider":
        return True
    items = ingredients(plan).calibration_items
    return kept_files.is_kept(plan.folder / f"{name_of(plan, scheme)}.onnx", recipe_of(plan, scheme), items)


def recipe_of(plan: Plan, scheme: Scheme) -> str:
    """Return the digest of all that decides what the tools write where a scheme takes in every node."""
    return kept_files.recipe(_made_of(plan, scheme, EVERY))


def restored(plan: Plan, variants: Iterable[Variant]) -> bool:
    """Return whether the file of every variant is what was measured; one that is not is made again, which may come to another."""
    by_id = {scheme.id: scheme for scheme in plan.schemes}
    damaged = [
        variant
        for variant in variants
        if variant.scheme in by_id
        and variant.sha256 != plan.facts.sha256
        and not onnx_graph.is_still(variant_file(plan, variant), variant.sha256)
    ]
    if not damaged:
        return True
    for variant in damaged:
        nodes, of = Nodes(kept=frozenset(variant.kept_operators)), _plan_of(plan, variant)
        again = made(of, by_id[variant.scheme], onnx_graph.read_graph(of.baseline), nodes, variant.id)
        if isinstance(again, Exclusion) or again.sha256 != variant.sha256:
            return False
    return True


def _made_of(plan: Plan, scheme: Scheme, nodes: Nodes) -> tuple[object, ...]:
    """Return all that decides what the tools write, but for the number of items to calibrate on."""
    rows = input_rows.read_npz(Path(plan.calibration), "quality.calibration") if plan.calibration else None
    facts, lengths = plan.facts, plan.settings.sequence_lengths
    return (
        facts.sha256,
        scheme,
        sorted(nodes.kept),
        None if nodes.only is None else sorted(nodes.only),
        kept_files.digest_of(rows) if rows is not None else (plan.settings.seed, lengths[:1], facts.at_sequence_length),
        machine.has_vnni(plan.machine),
        checkpoint.digest(plan.checkpoint) if plan.checkpoint is not None and scheme.method == "transformer-fusion" else None,
        kept_files.versions_of(*kept_files.TOOLS),
        __version__,
    )


def without_folders(fault: str, *files: Path) -> str:
    """Return the message with each file by its bare name: the reader knows which is meant, and some folders are gone by then."""
    for file in files:
        fault = fault.replace(str(file), file.name).removeprefix(f"{file.name}: ")
        # Variants are made in folders of passing names beside their own, and come there when they are whole.
        if file.is_absolute():
            fault = re.sub(rf"{re.escape(str(file.parent))}/(?:\.[\w-]+/)?", "", fault)
    return fault


def _elsewhere(plan: Plan, scheme: Scheme, name: str) -> Variant:
    """Return the model as given, run by something else."""
    return _variant(
        plan,
        scheme,
        id=name,
        path=os.path.relpath(plan.baseline, plan.folder.parent),
        sha256=plan.facts.sha256,
        bytes=plan.facts.file_bytes,
        changed_operators={},
        changed_weight_bytes=0,
    )


def _variant(
    plan: Plan,
    scheme: Scheme,
    *,
    id: str,
    path: str,
    sha256: str,
    bytes: int,
    changed_operators: dict[str, int],
    changed_weight_bytes: int,
) -> Variant:
    made = Variant(
        id=id,
        scheme=scheme.id,
        title=scheme.title,
        path=path,
        sha256=sha256,
        bytes=bytes,
        derived_from=baseline_id(plan.facts),
        changed_operators=changed_operators,
        changed_weight_bytes=changed_weight_bytes,
        lossless=scheme.lossless,
        load_s=None,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
        provider=scheme.provider,
        provider_options=scheme.provider_options,
        session_options=scheme.session_options,
    )
    return made if plan.student is None else student_variants.under_scheme(plan.student, made)


def student_variant(plan: Plan, made: StudentFile) -> Variant:
    """Return a student as a variant, as its file is."""
    baseline = baseline_id(plan.facts)
    return student_variants.as_it_is(made, plan.facts, plan.folder.parent, baseline=baseline, provider=plan.provider)


def plan_of_student(plan: Plan, made: StudentFile) -> Plan:
    """Return the plan under which variants are made of a student's file, in the place of the model's."""
    return msgspec.structs.replace(
        plan,
        baseline=made.path,
        facts=student_variants.facts_of(made, plan.facts),
        checkpoint=None,
        student=student_variant(plan, made),
        fingerprint=hashlib.sha256(f"{plan.fingerprint} {made.id}".encode()).hexdigest(),  # its ranges are its own
    )


def _plan_of(plan: Plan, variant: Variant) -> Plan:
    """Return the plan under which a variant was made: that of its student, where it is made of one."""
    made = next((entry for entry in plan.students if variant.id.startswith(f"{entry.id}+")), None)
    return plan if variant.student is None or made is None else plan_of_student(plan, made)


def ingredients(plan: Plan) -> Ingredients:
    """Return what the variants of the plan are made of."""
    rows = input_rows.read_npz(Path(plan.calibration), "quality.calibration") if plan.calibration else None
    inputs, facts = plan.facts.inputs, plan.facts
    items = plan.screening.calibration_items
    if rows is not None:
        items = min(items, input_rows.check_rows(inputs, rows, Path("quality.calibration")))
    size = CALIBRATION_BATCH_SIZE if facts.batching.possible else 1
    items = max(items // size * size, min(items, size))  # histograms are of batches of one size
    room = int(HISTOGRAM_BYTES / max(facts.activation_bytes_per_item or 1.0, 1.0))
    length = plan.settings.sequence_lengths[0] if plan.settings.sequence_lengths else facts.at_sequence_length

    def feeds() -> Iterable[dict[str, np.ndarray]]:
        return examples.batches(inputs, rows, items=items, size=size, length=length, seed=plan.settings.seed)

    return Ingredients(
        file_bytes=facts.file_bytes,
        has_vnni=machine.has_vnni(plan.machine),
        checkpoint=plan.checkpoint,
        calibration=feeds,
        calibration_items=items,
        are_real=rows is not None,
        histogram_batches=max(FEWEST_HISTOGRAM_ITEMS, room) // size,
        ranges=ranges_folder(plan),
    )


def ranges_folder(plan: Plan) -> Path:
    """Return where ranges are kept until all variants are made: those of other items would not do."""
    return plan.folder / f"{RANGES}{plan.fingerprint[:16]}"


def clear_unfinished(folder: Path) -> None:
    """Delete what has a passing name in the folder of the variants, that of killed runs as well: nobody else writes there meanwhile."""
    for path in folder.glob(f"{RANGES}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f"{TRIAL}*"):
        if path.is_file():
            path.unlink()


def load_of(plan: Plan, variant: Variant | None) -> Load:
    """Return what a worker has to open for the variant; None is the model as given."""
    path, place = plan.baseline, Place(provider=plan.provider)
    if variant is not None:
        path, options = variant_file(plan, variant), variant.provider_options
        place = Place(provider=variant.provider, provider_options=options, session_options=variant.session_options)
    facts, seed = plan.facts, plan.settings.seed
    return Load(path=str(path), inputs=facts.inputs, rows=plan.rows, seed=seed, largest=facts.batching.largest, place=place)


def variant_file(plan: Plan, variant: Variant) -> Path:
    """Return where the variant's file is."""
    return plan.baseline if variant.derived_from is None else plan.folder.parent / variant.path
