"""The folder of a student: what lies in it while it is made, and when it is done."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from advisor.disk.kinds import STUDENT
from advisor.disk.writing import check_output
from advisor.errors import InputError
from advisor.files.records import read_json, sha256, write_record
from advisor.measure.distillation.training import checkpoints
from advisor.schema.distillation import Distilled
from advisor.steps.distillation.students import LABEL

TRAINING, START, FINAL = "training", "start", "final"
MADE_BY = "advisor distill"
ANEW = "name another folder with -o, or --fresh to replace it"


def finished(folder: Path, recipe: str, *, fresh: bool) -> Distilled | None:
    """Return the student of this question that lies in the folder, None where none does, or its files changed since.

    Raise InputError where another one does, or half of one, unless it is to be replaced.
    """
    path = folder / LABEL
    if fresh:
        return None
    if path.exists():
        known = read_json(path, Distilled, made_by=MADE_BY)
        if known.recipe != recipe:
            raise InputError(f"{folder}: holds the student {known.student.id} of another teacher, data or settings", hint=ANEW)
        return known if _are_whole(folder, known.files) else None
    plan = checkpoints.read_plan(folder / TRAINING)
    if plan is not None and plan.recipe != recipe:
        raise InputError(f"{folder}: holds the training of another student, or of other data or settings", hint=ANEW)
    return None


def training_in(folder: Path, *, fresh: bool) -> Path:
    """Return the folder of checkpoints, made if need be; what is to be replaced is removed."""
    check_output(folder / LABEL, STUDENT)
    training = folder / TRAINING
    if fresh:
        shutil.rmtree(training, ignore_errors=True)
        (folder / LABEL).unlink(missing_ok=True)
    training.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(training / FINAL, ignore_errors=True)
    return training


def kept_in(folder: Path) -> str | None:
    """Return what of an interrupted training is kept, in words; None where nothing is."""
    latest = checkpoints.last_whole(folder / TRAINING)
    return (
        None
        if latest is None
        else f"what was learned until step {latest[1].step} is kept, and the same command goes on from there"
    )


def moved(final: Path, folder: Path) -> dict[str, str]:
    """Move the files of a student to their place and return their digests, by their names from the folder."""
    digests = {str(path.relative_to(final)): sha256(path) for path in sorted(final.rglob("*")) if path.is_file()}
    mask = os.umask(0)
    os.umask(mask)
    for path in final.iterdir():
        place = folder / path.name
        if path.is_file():
            path.chmod(0o666 & ~mask)  # weights are written for their owner alone
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(path, place)
    return digests


def finish(folder: Path, made: Distilled) -> None:
    """Write the record, which says that the student is done, and remove what was kept to go on from."""
    write_record(folder / LABEL, made)
    forget(folder)


def forget(folder: Path) -> None:
    """Remove what was kept to go on from."""
    shutil.rmtree(folder / TRAINING, ignore_errors=True)


def _are_whole(folder: Path, files: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in files.items())
