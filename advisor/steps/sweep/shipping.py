"""What a machine elsewhere needs of a task, under one folder there: a mirror, so that every path is found from every other as here."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from advisor.disk import temporary
from advisor.disk.writing import write_atomically
from advisor.measure.model.onnx_file import external_files, load
from advisor.measure.worker.apart import Apart
from advisor.steps import model_folder
from advisor.steps.sweep.measuring import Task


def files_of(task: Task, apart: Apart) -> tuple[Path, ...]:
    """Return the files that a task reads, those of a finished profile among them; models are opened in `apart`.

    Raises InputError or ModelError for a model whose weights are not where it says.
    """
    found = list(_below(task.options.workload)) if task.options.workload else []
    for path in (task.path, *task.files):
        found += _with_weights(path, apart) if path.suffix == ".onnx" and path.is_file() else _below(path)
    return tuple(dict.fromkeys((*found, *results_of(task))))


def results_of(task: Task) -> Iterator[Path]:
    """Yield the files that measuring leaves: the profile, and what lies in the folder of its variants."""
    yield from _below(task.output)
    yield from _below(task.output.with_suffix(".variants"))


def mirrored(path: Path, root: Path) -> Path:
    """Return where an absolute path lies under another root."""
    return root / path.relative_to("/")


def moved(task: Task, root: Path) -> Task:
    """Return a task whose files are mirrored under a root."""
    options = task.options
    placed = options._replace(
        workload=mirrored(options.workload, root) if options.workload else None,
        inputs=mirrored(options.inputs, root) if options.inputs else None,
        variants=tuple(mirrored(path, root) for path in options.variants),
    )
    return task._replace(
        path=mirrored(task.path, root),
        output=mirrored(task.output, root),
        options=placed,
        files=tuple(mirrored(path, root) for path in task.files),
    )


def unpack(files: Iterable[tuple[str, bytes]], root: Path) -> None:
    """Write files that were absolute elsewhere, under a root."""
    for name, content in files:
        write_atomically(mirrored(Path(name), root), content)


def _with_weights(model: Path, apart: Apart) -> list[Path]:
    with temporary.folder() as scratch:
        # What its weights are links to is refused here as it is where a model is measured.
        apart.call(model_folder.reading(str(model)), model_folder.without_links, model, scratch)
        return apart.call(model_folder.reading(str(model)), model_and_weights, model)


def model_and_weights(model: Path) -> list[Path]:
    """Return an ONNX file, and those that its weights lie in."""
    return [model, *external_files(load(model), model)]


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in sorted(names) if (Path(folder) / name).is_file())
