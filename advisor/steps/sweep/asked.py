"""The file of a sweep -> the models that it names, each with a workload of its own and the machines to measure it on."""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from advisor.disk.kinds import MADE_YAML, MADE_YAML_BEGINS
from advisor.disk.writing import write_output
from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.files.records import read_tree, read_yaml, to_yaml
from advisor.files.workload import question_of, read_workload
from advisor.quality_floor import OWN
from advisor.schema.catalog import LOCAL
from advisor.schema.options import ProfileOptions, SweepOptions
from advisor.schema.overview import OWN_NAMES
from advisor.schema.sweep import Sweep, SweepModel
from advisor.steps.language.configuration import is_configuration

WHAT = "sweep file"
WORKLOAD = "workload.yaml"
PATTERN = re.compile(r"[*?\[]")
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
# What says nothing of a model: its folder does.
NAMELESS = {"model.onnx", "config.json"}
# Keys of the workload file that name files.
REFERENCES = (
    ("traffic", "trace"),
    ("quality", "data"),
    ("quality", "calibration"),
    ("hardware", "prices"),
    ("lifecycle", "model", "config"),
)


class Member(NamedTuple):
    """A model of the sweep. Its workload lies in its folder; `files` are all that the workload and the options name."""

    name: str
    path: Path
    kinds: tuple[str, ...]  # none: it is judged from its configuration
    options: ProfileOptions
    files: tuple[Path, ...]
    must: tuple[str, ...]
    never: tuple[str, ...]


class _Found(NamedTuple):
    """A model before its workload is written: `tree` is the content of that, its references absolute."""

    name: str
    path: Path
    where: str  # in the sweep's file
    entry: SweepModel
    workload: Path  # that of the user
    kinds: tuple[str, ...]
    tree: dict[str, Any]


def read_sweep(path: Path) -> Sweep:
    """Return the sweep; raise InputError for a kind of machine that nobody knows."""
    sweep = read_yaml(path, Sweep, what=WHAT)
    for kind in {*sweep.kinds, *(kind for entry in sweep.models for kind in entry.kinds or ())}:
        _id_of(kind, path)
    return sweep


def members_of(sweep: Sweep, path: Path, folder: Path, options: SweepOptions) -> tuple[Member, ...]:
    """Return the models of the sweep in the file at `path`, each with a workload file written into its folder in `folder`.

    Nothing is written unless all of them are found, have names of their own and workloads that can be advised on.
    """
    found = list(_found(sweep, path))
    _check_names(found, path)
    for member in found:
        _check_workload(member)
    return tuple(_written(member, sweep, path, folder, options) for member in found)


def _found(sweep: Sweep, path: Path) -> Iterator[_Found]:
    base = path.parent.resolve()
    trees: dict[Path, dict[str, Any]] = {}
    for number, entry in enumerate(sweep.models):
        where = f"{path}: models.{number}"
        models = _models(entry.model, base, f"{where}.model")
        if entry.name is not None and len(models) > 1:
            raise InputError(
                f"{where}.name: one name, and {entry.model} finds {len(models)} models",
                hint="leave the name out: each is called as its file is",
            )
        named = entry.workload or sweep.workload
        if named is None:
            raise InputError(
                f"{where}.workload: missing, and the sweep has none either",
                hint="add `workload: workload.yaml` to it, or above `models` for all that name none",
            )
        workload = base / named
        if workload not in trees:
            trees[workload] = _with_references(read_tree(workload), workload.parent.resolve(), workload)
        overridden = _merged(trees[workload], entry.overrides)
        kinds = tuple(dict.fromkeys(_id_of(kind, path) for kind in entry.kinds or sweep.kinds))
        tree = _with_references(overridden, workload.parent.resolve(), f"{where}.overrides")
        tree = _allowing(tree, kinds)
        for model in models:
            measured = () if is_configuration(model) else kinds
            yield _Found(entry.name or _name_of(model), model, where, entry, workload, measured, tree)


def _models(pattern: str, base: Path, where: str) -> tuple[Path, ...]:
    """Return the models that a path or a pattern names, their folders with no links in them."""
    if "\0" in pattern:
        raise InputError(f"{where}: {pattern!a}: no file can have such a name", hint="check the path")
    if os.path.lexists(base / pattern):
        return (_placed(base / pattern),)
    if not PATTERN.search(pattern):
        raise InputError(f"{where}: {pattern}: no such file or folder", hint=f"paths start from {base}, the folder of the {WHAT}")
    found = sorted(glob.glob(pattern, root_dir=base, recursive=True))
    if not found:
        raise InputError(f"{where}: {pattern}: matches nothing", hint=f"patterns start from {base}, the folder of the {WHAT}")
    return tuple(_placed(base / name) for name in found)


def _placed(path: Path) -> Path:
    """Return a path whose folders are no links; the last part stays: a link there has the name that the model goes by."""
    absolute = Path(os.path.normpath(path))
    return absolute.parent.resolve() / absolute.name


def _name_of(model: Path) -> str:
    nameless = model.name in NAMELESS
    plain = model.parent.name if nameless else model.name if model.is_dir() else model.stem
    return NOT_IN_NAMES.sub("-", plain).strip("-.")[:100] or "model"


def _check_names(found: list[_Found], path: Path) -> None:
    taken: dict[str, _Found] = {}
    for member in found:
        if member.name.casefold() in OWN_NAMES:
            raise InputError(
                f"{member.where}: {member.path} is called {member.name!r}, as a file of the sweep is",
                hint="give it another name, as {model: path/to/model.onnx, name: another}",
            )
        other = taken.setdefault(member.name.casefold(), member)  # some file systems take these for one folder
        if other is not member:
            raise InputError(
                f"{path}: models: {other.path} and {member.path} are both called {member.name!r}",
                hint="give one of them a name of its own, as {model: path/to/model.onnx, name: another}",
            )


def _check_workload(member: _Found) -> None:
    """Raise InputError where the workload contradicts itself, or lacks what advice needs."""
    shown = Path(f"{member.workload} with {member.where}.overrides") if member.entry.overrides else member.workload
    workload = read_workload(shown, member.tree)
    if member.kinds:
        question_of(workload, shown)


def _written(member: _Found, sweep: Sweep, path: Path, folder: Path, options: SweepOptions) -> Member:
    base, place = path.parent.resolve(), folder.resolve() / member.name
    entry, measure = member.entry, sweep.measure
    inputs = (path, member.workload, member.path)
    write_output(place / WORKLOAD, _as_yaml(member.name, _seen_from(member.tree, place)), MADE_YAML, inputs=inputs)
    asked = ProfileOptions(
        workload=place / WORKLOAD,
        inputs=_placed(base / entry.inputs) if entry.inputs else None,
        variants=tuple(_placed(base / name) for name in entry.variants),
        schemes=entry.schemes,
        budget_s=measure.budget_s,
        max_batch_size=measure.max_batch_size,
        seed=measure.seed,
        general=measure.general,
        fresh=options.fresh,
        store=options.store,
    )
    named = [value_at(member.tree, keys) for keys in REFERENCES]
    files = (*(Path(name) for name in named if isinstance(name, str)), *asked.variants, *filter(None, (asked.inputs,)))
    return Member(member.name, member.path, member.kinds, asked, files, entry.must, entry.never)


def _as_yaml(name: str, tree: Mapping[str, Any]) -> bytes:
    return MADE_YAML_BEGINS + f": the workload of {name}, from the {WHAT}\n".encode() + to_yaml(tree)


def _id_of(kind: str, path: Path) -> str:
    if kind == LOCAL:
        return LOCAL
    try:
        return read_device(kind).id
    except InputError as error:
        raise InputError(f"{path}: kinds: {error.fault}", hint=error.hint) from error


# --- the workload as a tree ----------------------------------------------------------------------------------------------------


def _merged(tree: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree with other values for some keys; parts are gone into, all else is replaced."""
    merged = dict(tree)
    for key, value in overrides.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _allowing(tree: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return the tree in which the model may run on the kinds that it is measured on, unless the user says where it may."""
    hardware = tree.get("hardware")
    if hardware is not None and not isinstance(hardware, dict):
        return tree  # whoever reads it says so
    given = hardware or {}
    return tree if given.get("allowed") is not None else tree | {"hardware": given | {"allowed": list(kinds)}}


def _with_references(tree: dict[str, Any], base: Path, where: object) -> dict[str, Any]:
    """Return the tree with absolute paths of the files that it names; raise InputError where it names code."""
    metric = value_at(tree, ("quality", "metric"))
    for key, value in (("quality.metric", metric), ("quality.data", value_at(tree, ("quality", "data")))):
        if isinstance(value, str) and OWN.fullmatch(value):
            raise InputError(
                f"{where}: {key}: {value} is code, which a sweep does not run",
                hint="save its examples as .npz and choose a metric of the README, or measure that model with advisor profile",
            )
    return _with_each(tree, lambda name: str(_placed(base / name)))


def _seen_from(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    return _with_each(tree, lambda name: os.path.relpath(name, folder))


def _with_each(tree: dict[str, Any], made: Any) -> dict[str, Any]:
    for keys in REFERENCES:
        value = value_at(tree, keys)
        if isinstance(value, str) and value and "\0" not in value:
            tree = with_value(tree, keys, made(value))
    return tree


def value_at(tree: Any, keys: tuple[str, ...]) -> Any:
    """Return what stands under some keys, one in the other; None where there is nothing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def with_value(tree: dict[str, Any], keys: tuple[str, ...], value: str) -> dict[str, Any]:
    """Return a tree with another text under some keys, which are there."""
    inner = with_value(tree[keys[0]], keys[1:], value) if len(keys) > 1 else value
    return tree | {keys[0]: inner}
