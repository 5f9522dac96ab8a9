"""The files to compare: the baseline and what the schemes make of it, each proved to differ and compared in its outputs."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import numpy as np

from advisor.errors import AdvisorError, ModelError
from advisor.measure import machine, model_inputs, onnx_graph, quality, quantize
from advisor.measure.store import Journal, LeftOut, MadeVariant
from advisor.measure.worker import Load, Loaded, Predict, Predicted
from advisor.measure.worker_process import WorkerError, WorkerProcess
from advisor.schema import Exclusion, Graph, Machine, ModelFacts, ProfileSettings, Scheme, Variant

# The baseline under another name: measured as if it were a variant, so that the difference of equal things is known.
AGAIN = "~again"
COMPARED_ITEMS = 16
PREDICT_BATCH_SIZE = 8  # as a server would batch: what shares a batch can matter to a dynamically quantized model

Report = Callable[[float, float, str], None]  # seconds done, seconds in all, what is being done
Workers = dict[str, tuple[WorkerProcess, Loaded]]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the profiler needs to know."""

    baseline: Path
    folder: Path  # where variant files go, beside the profile
    facts: ModelFacts
    settings: ProfileSettings
    schemes: tuple[Scheme, ...]
    given: tuple[Path, ...]  # files that the user named as variants
    machine: Machine
    rows: str | None  # the user's inputs
    data: str | None  # the user's evaluation data
    created: str
    fingerprint: str


def make_variants(plan: Plan, journal: Journal, report: Report) -> list[Variant]:
    """Return the baseline and every variant that could be made and proved to differ from it."""
    done = {variant.id: variant for variant in journal.variants}
    left_out = {exclusion.what for exclusion in journal.exclusions}
    baseline_graph = onnx_graph.read_graph(plan.baseline)
    variants = [done.get(baseline_id(plan.facts)) or _baseline_variant(plan)]
    for scheme in plan.schemes:
        if scheme.id in left_out:
            continue
        report(journal.measured_s, plan.settings.budget_s, f"making {scheme.id}")
        path = plan.folder / f"{scheme.id}.onnx"
        known = done.get(scheme.id)
        if known is not None and path.is_file() and onnx_graph.read_graph(path).sha256 == known.sha256:
            variants.append(known)
            continue
        made = _made(plan, scheme, path, baseline_graph)
        if isinstance(made, Exclusion):
            journal.add(LeftOut(exclusion=made, point=None))
        else:
            variants.append(made)
    taken = {variant.id for variant in variants} | {scheme.id for scheme in plan.schemes}
    for path, name in zip(plan.given, given_ids(plan.given, taken), strict=True):
        if name not in left_out:
            variants.append(done.get(name) or _given(plan, path, name, baseline_graph))
    return variants


def given_ids(paths: tuple[Path, ...], taken: set[str]) -> list[str]:
    """Return what the user's files are called: their stems, numbered where that is taken."""
    names: list[str] = []
    for path in paths:
        candidates = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        names.append(next(name for name in candidates if name not in taken and name not in names))
    return names


def _given(plan: Plan, path: Path, name: str, baseline: Graph) -> Variant:
    graph = onnx_graph.read_graph(path)
    return Variant(
        id=name,
        scheme="given",
        title=f"{path.name}, as it was given",
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
    )


def baseline_id(facts: ModelFacts) -> str:
    """Return what the model as given is called: fp32, unless it came quantized or in half precision."""
    return "as-given" if facts.already_quantized or facts.weight_bytes < 3.5 * facts.parameters else "fp32"


def _baseline_variant(plan: Plan) -> Variant:
    return Variant(
        id=baseline_id(plan.facts),
        scheme="none",
        title="the model as it was given",
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
    )


def _made(plan: Plan, scheme: Scheme, path: Path, baseline: Graph) -> Variant | Exclusion:
    if plan.facts.already_quantized and scheme.method == "dynamic-quantization":
        return Exclusion(what=scheme.id, reason="the model is quantized already")
    try:
        has_vnni = machine.has_vnni(plan.machine)
        quantize.make_variant(plan.baseline, scheme, path, file_bytes=plan.facts.file_bytes, has_vnni=has_vnni)
        graph = onnx_graph.read_graph(path)
    except AdvisorError as error:
        return Exclusion(what=scheme.id, reason=error.fault)
    changed = quantize.proof_of_difference(scheme, baseline, graph)
    if isinstance(changed, Exclusion):
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        return changed
    return Variant(
        id=scheme.id,
        scheme=scheme.id,
        title=scheme.title,
        path=str(path.relative_to(plan.folder.parent)),
        sha256=graph.sha256,
        bytes=graph.file_bytes,
        derived_from=baseline_id(plan.facts),
        changed_operators=changed,
        changed_weight_bytes=graph.weight_bytes - baseline.weight_bytes,
        lossless=scheme.lossless,
        load_s=None,
        peak_memory_bytes=None,
        agreement=None,
        quality=None,
    )


def start_workers(plan: Plan, variants: list[Variant], journal: Journal, stack: contextlib.ExitStack) -> Workers:
    """Return a worker with the file open for each variant that opens, and one more for the baseline measured again."""
    workers: Workers = {}
    files = {variant.id: variant_file(plan, variant) for variant in variants}
    files[variants[0].id + AGAIN] = plan.baseline
    for name, path in files.items():
        worker = stack.enter_context(WorkerProcess())
        load = Load(path=str(path), inputs=plan.facts.inputs, rows=plan.rows, seed=plan.settings.seed)
        try:
            workers[name] = (worker, worker.ask(load, Loaded))
        except WorkerError as error:
            if name == variants[0].id:
                raise ModelError(f"the model cannot be loaded by a process of its own: {error.fault}", hint=error.hint) from error
            journal.add(LeftOut(exclusion=Exclusion(what=name, reason=error.fault), point=None))
    return workers


def variant_file(plan: Plan, variant: Variant) -> Path:
    """Return where the variant's file is."""
    return plan.baseline if variant.derived_from is None else plan.folder.parent / variant.path


def compare(plan: Plan, variant: Variant, workers: Workers, journal: Journal) -> Variant:
    """Return the variant with its load time, and its agreement and quality against the baseline; leave it out if it fails at that."""
    if variant in journal.variants:
        return variant
    variant = msgspec.structs.replace(variant, load_s=workers[variant.id][1].load_s)
    if variant.derived_from is not None:
        try:
            variant = _with_agreement(plan, variant, workers)
        except WorkerError as error:
            journal.add(LeftOut(exclusion=Exclusion(what=variant.id, reason=error.fault), point=None))
            del workers[variant.id]
            return variant
    journal.add(MadeVariant(variant=variant))
    return variant


def _with_agreement(plan: Plan, variant: Variant, workers: Workers) -> Variant:
    outputs, length = plan.facts.outputs, plan.facts.at_sequence_length
    rows = model_inputs.read_npz(Path(plan.rows), "--inputs") if plan.rows else None
    items = COMPARED_ITEMS if rows is None else min(_items(plan, rows, plan.rows), 4 * COMPARED_ITEMS)
    before, after = _both_outputs(plan, variant, workers, plan.rows, items, length)
    broken = [name for name, values in after.items() if values.dtype.kind == "f" and not np.isfinite(values).all()]
    if broken and all(np.isfinite(before[name]).all() for name in broken):
        raise WorkerError(f"its output {broken[0]} is not finite where the baseline's is", hint="use another scheme")
    masks = quality.masks_of(plan.facts.inputs, rows)
    masks = None if masks is None else masks[:items]
    agreed = quality.agreement(outputs, before, after, masks, given=rows is not None)
    measured = None
    if plan.data is not None and plan.settings.quality_metric is not None and plan.settings.quality_data_sha256 is not None:
        data = model_inputs.read_npz(Path(plan.data), "quality.data")
        count = _items(plan, data, plan.data)
        before, after = _both_outputs(plan, variant, workers, plan.data, count, None)
        measured = quality.quality(
            plan.settings.quality_metric,
            outputs,
            before,
            after,
            labels=quality.labels_of(data),
            masks=quality.masks_of(plan.facts.inputs, data),
            data_sha256=plan.settings.quality_data_sha256,
            seed=plan.settings.seed,
        )
    return msgspec.structs.replace(variant, agreement=agreed, quality=measured)


def _items(plan: Plan, rows: dict[str, np.ndarray], path: str | None) -> int:
    return model_inputs.check_rows(plan.facts.inputs, rows, Path(str(path)))


def _both_outputs(
    plan: Plan, variant: Variant, workers: Workers, rows: str | None, items: int, length: int | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the outputs of the baseline and of the variant for the same items."""
    size = PREDICT_BATCH_SIZE if plan.facts.batching.possible else 1
    found = []
    with tempfile.TemporaryDirectory(prefix="advisor-") as folder:
        target = Path(folder) / "outputs.npz"
        request = Predict(rows=rows, items=items, batch_size=size, sequence_length=length, target=str(target))
        for name in (baseline_id(plan.facts), variant.id):
            workers[name][0].ask(request, Predicted, patience_s=3600.0)
            with np.load(target) as archive:
                found.append({key: archive[key] for key in archive.files})
    before, after = found
    for name, values in before.items():
        if values.shape != after[name].shape:
            fault = f"its output {name} has shape {list(after[name].shape)} where the baseline's has {list(values.shape)}"
            raise WorkerError(fault, hint="use another scheme")
    return before, after
