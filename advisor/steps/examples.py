"""The user's examples, read, checked and put into the files that measuring takes: those to judge by, and those to calibrate on."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.files.workload import read_question
from advisor.measure.model import input_rows
from advisor.measure.quality import evaluation, examples, labels, own_code
from advisor.measure.quality.learned import NOTHING, Learned
from advisor.measure.variants.settings import ScreeningSettings
from advisor.quality_floor import OWN
from advisor.schema.model import ModelFacts, ModelInput
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import GenerationWorkload, OfflineWorkload, OnlineWorkload, Quality


def base_of(options: ProfileOptions) -> Path:
    """Return the folder that names of files in the workload start from."""
    return options.workload.parent if options.workload else Path()


def consented(options: ProfileOptions, asks: Callable[[str], bool]) -> ProfileOptions:
    """Return the options as `with_consent` does; `asks` whoever sits at a terminal, which has to be before anything is drawn there."""
    workload = read_question(options.workload) if options.workload else None
    # A generative model is judged on a text, and no workload of one names code.
    return options if isinstance(workload, GenerationWorkload) else with_consent(workload, options, asks)


def with_consent(
    workload: OnlineWorkload | OfflineWorkload | None, options: ProfileOptions, asks: Callable[[str], bool] | None = None
) -> ProfileOptions:
    """Return the options, code of the user's own allowed if the workload names any and whoever sits at the terminal says yes.

    They are asked only where that code stands in the folder that they are in. Raises InputError where it may not run.
    """
    floor, base = workload.quality if workload else None, base_of(options)
    asked = (
        {"quality.data": floor.data, "quality.calibration": floor.calibration, "quality.metric": floor.metric} if floor else {}
    )
    code = {key: source for key, source in asked.items() if source is not None and OWN.fullmatch(source)}
    if not code or options.allow_code:
        return options
    found = {source: own_code.file_of(source, base) for source in code.values()}
    here = Path.cwd().resolve()
    is_here = base.resolve() == here and all(file is not None and file.resolve().is_relative_to(here) for file in found.values())
    named = ", ".join(f"{source} ({file})" for source, file in found.items())
    if is_here and asks is not None and asks(f"{options.workload} names code of its own: {named}. Run it?"):
        return options._replace(allow_code=True)
    key, source = next(iter(code.items()))
    raise own_code.not_allowed(source, base, f"{options.workload}: {key}")


class GivenModel(NamedTuple):
    """The model as the user gave it, a file or a folder, and its facts."""

    path: Path
    facts: ModelFacts


class Asked(NamedTuple):
    """The user's examples: files, None where there are none, and the notes for the report."""

    data: str | None
    calibration: str | None
    notes: tuple[str, ...]


def asked_examples(
    workload: OnlineWorkload | OfflineWorkload | None,
    options: ProfileOptions,
    model: GivenModel,
    scratch: Path,
    *,
    is_calibrated: bool,
    learned: Learned = NOTHING,
) -> Asked:
    """Write the evaluation items and the calibration items to `scratch`; without evaluation data, --inputs are calibrated on."""
    floor = workload.quality if workload else None
    if floor is not None and floor.data is not None:
        return _of_data(floor, options, model, scratch, is_calibrated=is_calibrated, learned=learned)
    if options.inputs is None:
        return Asked(None, None, ())
    return Asked(None, _written(scratch / "calibration.npz", input_rows.read_npz(options.inputs, "--inputs")), ())


def _of_data(
    floor: Quality, options: ProfileOptions, model: GivenModel, scratch: Path, *, is_calibrated: bool, learned: Learned
) -> Asked:
    """Return the files of the evaluation items, in random order, and of the calibration items, none in both; and the notes on them.

    What students learned from is not among the evaluation items, for no variant: all are judged on the same ones.
    """
    assert floor.data is not None
    facts, inputs, base, seed = model.facts, model.facts.inputs, base_of(options), options.seed
    where: dict[str, Any] = {"folder": base, "inputs": inputs, "model": model.path, "allow_code": options.allow_code}
    evaluated, left_out = examples.read_unlearned(floor.data, key="quality.data", by=learned, **where)
    items = input_rows.check_rows(inputs, evaluated, base / floor.data)
    labels.check_kind(floor.metric, evaluated)
    evaluation.check(floor.metric, facts.outputs, evaluated, items)
    evaluated, items, of_labels = labels.kept(floor.metric, facts, evaluated, items, f"quality.data: {base / floor.data}")
    notes = (*_on_learned(left_out, items, learned), *of_labels)
    fitted: dict[str, np.ndarray] | None = None
    if floor.calibration is not None:
        fitted = examples.read_examples(
            floor.calibration, key="quality.calibration", pick=functools.partial(_some, seed=seed), **where
        )
        input_rows.check_rows(inputs, fitted, base / floor.calibration)
        examples.refuse_overlap(inputs, fitted, evaluated)
    elif is_calibrated:
        fitted, evaluated = examples.set_aside(inputs, evaluated, seed)
        fitted = _shuffled(inputs, fitted, input_rows.check_rows(inputs, fitted, base / floor.data), seed)
        total, items = items, input_rows.check_rows(inputs, evaluated, base / floor.data)
        notes = (
            *notes,
            f"{total - items} of the {total} items of quality.data were set aside for calibration; quality is measured on the others",
        )
    # Files often have their items in the order of their classes, and the first of them may be all that is looked at.
    evaluated = _shuffled(inputs, evaluated, items, seed)
    calibration = None if fitted is None else _written(scratch / "calibration.npz", fitted)
    return Asked(_written(scratch / "data.npz", evaluated), calibration, notes)


def _on_learned(left_out: int | None, items: int, learned: Learned) -> tuple[str, ...]:
    """Return what was left out since students learned from it, of so many items that are left, and what is not known of that."""
    notes = []
    if left_out:
        notes.append(f"{left_out} of the {left_out + items} items of quality.data are left out: a student learned from them")
    if left_out is None:
        notes.append(
            "whether students learned from items of quality.data cannot be told: they learned from texts, and it holds none"
        )
    notes += [
        f"whether {name} learned from items of quality.data cannot be told: it has no list of what it learned from"
        for name in learned.not_known
    ]
    return tuple(notes)


def _some(items: int, *, seed: int) -> np.ndarray:
    """Return, in random order, which of so many items are calibrated on."""
    return np.random.default_rng(seed).permutation(items)[: ScreeningSettings().calibration_items]


def _shuffled(inputs: tuple[ModelInput, ...], rows: dict[str, np.ndarray], items: int, seed: int) -> dict[str, np.ndarray]:
    return examples.take_items(inputs, rows, np.random.default_rng(seed).permutation(items), items)


def _written(path: Path, rows: dict[str, np.ndarray]) -> str:
    input_rows.write_npz(path, rows)
    return str(path)
