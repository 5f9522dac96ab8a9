"""The model: which file it is (the only one of a folder; links, as the cache of a hub lays them; an export), and a first look at it."""

import os
import shutil
from pathlib import Path

from advisor import __version__
from advisor.disk import temporary
from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.model import checkpoint, kept_files, onnx_graph
from advisor.measure.model import facts as model_facts
from advisor.measure.model.onnx_file import external_files, load
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.model import Graph, ModelFacts

WEIGHT_SUFFIXES = (".safetensors", ".bin")
DEEPEST = 3  # folders below the one that is named
MOST_LISTED = 12
# Of a first look at a model, each step and all of them, unless its calls are long: about twenty calls, of which the first shows how long.
LOOK_STEP_S, LOOK_S = 40.0, 240.0
LONGEST_S = 3600.0  # of reading, exporting and copying, which end by themselves


def chosen(model: Path) -> Path:
    """Return the model itself, or the only ONNX file in a folder that is no checkpoint; raise InputError that lists several."""
    refuse_special(model)
    if not model.is_dir() or any(path.suffix in WEIGHT_SUFFIXES for path in model.iterdir()):
        return model
    files = onnx_files(model)
    if len(files) < 2:
        return files[0] if files else model
    listed = ", ".join(str(path.relative_to(model)) for path in files[:MOST_LISTED])
    more = f", and {len(files) - MOST_LISTED} more" if len(files) > MOST_LISTED else ""
    first, other = files[0], files[1]
    raise InputError(
        f"{model}: a folder with {len(files)} ONNX files: {listed}{more}",
        hint=f"name one, such as '{first}'; another file of the same model can be measured beside it: --variant '{other}'",
    )


def onnx_files(folder: Path) -> list[Path]:
    """Return the ONNX files of a folder and of those in it, that with the plainest name first."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
        found += [Path(place) / name for name in names if name.endswith(".onnx")]
    return sorted(found, key=lambda path: (path.name != "model.onnx", len(path.name), str(path)))


def without_links(model: Path, folder: Path) -> Path:
    """Return an ONNX file whose weights lie beside it as files: the model, or a copy in `folder` where these are links.

    ONNX refuses links, for a file that comes from elsewhere could so name any file of the machine. Those of a model hub lead into the
    model's own tree, and are followed there. Raises InputError for one that leads out of it.
    """
    if not model.is_file():
        return model
    weights = external_files(load(model), model)
    if not any(path.is_symlink() or path.stat().st_nlink > 1 for path in weights):
        return model
    trees = _own_trees(model)
    for path in weights:
        target = path.resolve()
        if not any(target.is_relative_to(tree) for tree in trees):
            raise InputError(
                f"{model}: its weights in {path.name} are a symbolic link that leads out of the model's own folder, to {target}",
                hint="if that is meant, put a copy of that file in the place of the link",
            )
    copy = folder / "files" / model.name
    for source in (model, *weights):
        _copy(source.resolve(), copy.parent / source.relative_to(model.parent))
    return copy


def _own_trees(model: Path) -> list[Path]:
    """Return the folders that a model's links may lead into: its own, and in the cache of a hub the files of its repository."""
    own = model.parent.resolve()
    snapshot = next((place for place in (own, *own.parents) if place.parent.name == "snapshots"), None)
    if snapshot is None or not (blobs := snapshot.parent.parent / "blobs").is_dir():
        return [own]
    return [snapshot, blobs.resolve()]


def _copy(source: Path, target: Path) -> None:
    """Copy a file, unless that was done before."""
    there, wanted = target.stat() if target.is_file() else None, source.stat()
    if there is None or (there.st_size, there.st_mtime_ns) != (wanted.st_size, wanted.st_mtime_ns):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        os.utime(target, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))


def onnx_file(model: Path, folder: Path) -> Path:
    """Return the ONNX file of a model, in `folder` where it has to be made; a checkpoint is exported once, and again when it changed."""
    if not model.is_dir():
        return without_links(model, folder)
    exported = folder / "exported.onnx"
    recipe = kept_files.recipe((checkpoint.digest(model), kept_files.versions_of(*kept_files.TOOLS), __version__))
    if not kept_files.is_kept(exported, recipe):
        checkpoint.export(model, exported)
        kept_files.keep(exported, recipe)
    return exported


def reading(subject: str) -> Limit:
    """Return the limit for what reads, copies or exports files."""
    return Limit(subject, "reading it", LONGEST_S, LONGEST_S)


def file_of(apart: Apart, model: Path, folder: Path) -> Path:
    """Return the ONNX file of the model; a checkpoint is exported once and the file kept as long as the checkpoint is the same."""
    if not model.exists():
        raise InputError(f"{model}: no such file or directory", hint="give an .onnx file or a Hugging Face checkpoint directory")
    refuse_special(model)
    return apart.call(reading(str(model)), onnx_file, model, folder)


def facts_of(apart: Apart, model: Path, baseline: Path, lengths: tuple[int, ...], rows: Path | None) -> ModelFacts:
    """Return the facts of the ONNX file of a model; raise InputError or ModelError if it, the inputs or the lengths do not work."""
    return apart.call(
        Limit(str(baseline), "starting", LOOK_STEP_S, LOOK_S),
        model_facts.look,
        baseline,
        name=model.name,
        format_="checkpoint" if model.is_dir() else "onnx",
        sequence_lengths=lengths,
        rows=rows,
    )


def inspect(model: Path, inputs: Path | None) -> ModelFacts:
    """Return the facts of an ONNX file, or of a checkpoint, which is exported for that and not kept."""
    model = chosen(model)
    with temporary.home() as folder, Apart() as apart:
        return facts_of(apart, model, file_of(apart, model, folder), (), inputs)


def given_files(apart: Apart, variants: tuple[Path, ...], folder: Path, facts: ModelFacts) -> tuple[tuple[Path, Graph], ...]:
    """Return the files that the user named as variants, links followed, each checked to take the model's place, and what they hold."""
    found = []
    for number, path in enumerate(variants):
        file = apart.call(reading(str(path)), without_links, path, folder / "given" / str(number))
        found.append((file, in_the_place_of(apart, file, facts, "--variant")))
    return tuple(found)


def in_the_place_of(apart: Apart, path: Path, facts: ModelFacts, key: str, *, shown: Path | None = None) -> Graph:
    """Return what the file holds; raise InputError unless it takes the same inputs and gives the same outputs as the model.

    `key` is the option that named it, `shown` what it named where that is not the file itself.
    """
    shown = shown or path
    refuse_special(path, key)
    if not path.is_file():
        raise InputError(f"{key}: {shown}: no such file", hint="give an .onnx file made from the same model")
    graph = apart.call(reading(str(shown)), onnx_graph.read_graph, path)
    for what, ours, theirs in (
        ("inputs", [(entry.name, entry.dtype) for entry in facts.inputs], [(entry.name, entry.dtype) for entry in graph.inputs]),
        ("outputs", [entry.name for entry in facts.outputs], [entry.name for entry in graph.outputs]),
    ):
        if sorted(ours) != sorted(theirs):
            raise InputError(
                f"{key}: {shown}: its {what} are {theirs}, the model's are {ours}",
                hint=f"a {key.removeprefix('--')} replaces the model: it must have the same inputs and outputs",
            )
    return graph
