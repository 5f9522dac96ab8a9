"""The user's examples, read, checked and put into the files that measuring takes: those to judge by, and those to calibrate on."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.measure.model import input_rows
from advisor.measure.quality import evaluation, examples
from advisor.measure.variants.settings import ScreeningSettings
from advisor.schema.model import ModelFacts, ModelInput
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import OfflineWorkload, OnlineWorkload, Quality


def base_of(options: ProfileOptions) -> Path:
    """Return the folder that names of files in the workload start from."""
    return options.workload.parent if options.workload else Path()


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
) -> Asked:
    """Write the evaluation items and the calibration items to `scratch`; without evaluation data, --inputs are calibrated on."""
    floor = workload.quality if workload else None
    if floor is not None and floor.data is not None:
        return _of_data(floor, base_of(options), model, scratch, options.seed, is_calibrated=is_calibrated)
    if options.inputs is None:
        return Asked(None, None, ())
    return Asked(None, _written(scratch / "calibration.npz", input_rows.read_npz(options.inputs, "--inputs")), ())


def _of_data(floor: Quality, base: Path, model: GivenModel, scratch: Path, seed: int, *, is_calibrated: bool) -> Asked:
    """Return the files of the evaluation items, in random order, and of the calibration items, none in both; and the notes on them."""
    assert floor.data is not None
    facts, inputs = model.facts, model.facts.inputs
    evaluated = examples.read_examples(floor.data, base, inputs, "quality.data", model=model.path)
    items = input_rows.check_rows(inputs, evaluated, base / floor.data)
    evaluation.check(floor.metric, facts.outputs, evaluated, items)
    fitted: dict[str, np.ndarray] | None = None
    notes: tuple[str, ...] = ()
    if floor.calibration is not None:
        pick = partial(_some, seed=seed)
        fitted = examples.read_examples(floor.calibration, base, inputs, "quality.calibration", model=model.path, pick=pick)
        input_rows.check_rows(inputs, fitted, base / floor.calibration)
        examples.refuse_overlap(inputs, fitted, evaluated)
    elif is_calibrated:
        fitted, evaluated = examples.set_aside(inputs, evaluated, seed)
        fitted = _shuffled(inputs, fitted, input_rows.check_rows(inputs, fitted, base / floor.data), seed)
        total, items = items, input_rows.check_rows(inputs, evaluated, base / floor.data)
        notes = (
            f"{total - items} of the {total} items of quality.data were set aside for calibration; quality is measured on the others",
        )
    # Files often have their items in the order of their classes, and the first of them may be all that is looked at.
    evaluated = _shuffled(inputs, evaluated, items, seed)
    calibration = None if fitted is None else _written(scratch / "calibration.npz", fitted)
    return Asked(_written(scratch / "data.npz", evaluated), calibration, notes)


def _some(items: int, *, seed: int) -> np.ndarray:
    """Return, in random order, which of so many items are calibrated on."""
    return np.random.default_rng(seed).permutation(items)[: ScreeningSettings().calibration_items]


def _shuffled(inputs: tuple[ModelInput, ...], rows: dict[str, np.ndarray], items: int, seed: int) -> dict[str, np.ndarray]:
    return examples.take_items(inputs, rows, np.random.default_rng(seed).permutation(items))


def _written(path: Path, rows: dict[str, np.ndarray]) -> str:
    input_rows.write_npz(path, rows)
    return str(path)
