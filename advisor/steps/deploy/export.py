"""Advice to the files that a server starts with: read, checked against the files that were measured, written; nothing is decided."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from advisor.disk import locks, temporary
from advisor.disk.kinds import EXPORT, exported
from advisor.disk.writing import check_output, copy_output, write_output
from advisor.errors import InputError, ModelError
from advisor.files.catalog import read_device
from advisor.files.records import read_json, sha256, to_json, to_yaml
from advisor.measure.serving import packing
from advisor.measure.serving.packing import Tensors
from advisor.measure.worker.apart import Apart
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.deploy.export import Export
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.record import SCHEMA_VERSION
from advisor.steps import model_folder
from advisor.steps.advise import AnyAdvice, read_any_advice
from advisor.tell.deploy.served import Served, chosen, served
from advisor.tell.deploy.snippet import MODEL_FILE
from advisor.tell.deploy.targets import ITEMS_FILE, TARGETS, VLLM, Contents, vllm_files

MANIFEST = "export.json"


class _Files(NamedTuple):
    """What an export consists of, by places in its folder: texts, and files to copy."""

    texts: dict[str, bytes]
    copies: dict[str, Path]

    def digests(self) -> dict[str, str]:
        written = {place: hashlib.sha256(content).hexdigest() for place, content in self.texts.items()}
        return written | {place: sha256(path) for place, path in self.copies.items()}


def export(advice_path: Path, target: str, output: Path, *, most_likely: bool = False, apart: Apart | None = None) -> Export:
    """Write what the server starts with into the folder; return what was written.

    Files of an older export that nobody changed since are replaced, and nothing else. Raises InputError where nothing is recommended,
    where the server cannot take it, and where a file of the model is gone or is no longer what was measured. `apart` is the process that
    reads the model, None for one of its own.
    """
    advice = read_any_advice(advice_path)
    if isinstance(advice, LanguageAdvice) and target == VLLM:
        with _about(advice_path):
            contents = vllm_files(advice, most_likely=most_likely)
        return _write(_Files(_texts(contents), {}), output, _mark(advice, advice_path, target, advice.model.name))
    with _about(advice_path):
        known = _one_pass(advice, target)
    with contextlib.nullcontext(apart) if apart is not None else Apart() as reader:
        return _of_one_pass(known, advice_path, target, output, reader, most_likely=most_likely)


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Have what is wrong with the advice named with its file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error.fault}", hint=error.hint) from error


def _one_pass(advice: AnyAdvice, target: str) -> Advice:
    """Return the advice if it is on a model of one pass, and the server serves such models; raise InputError where not."""
    if isinstance(advice, OfflineAdvice):
        raise InputError("advice on a batch job, which has no traffic to serve", hint="run it with the variant that is advised")
    if isinstance(advice, GenerationAdvice):
        raise InputError(
            "advice on a generative model that was measured here, whose engine none of these servers is",
            hint="replay it with `advisor verify`; for vLLM have its config.json judged, without `local` in hardware.allowed",
        )
    if isinstance(advice, LanguageAdvice):
        raise InputError(
            f"advice on a language model elsewhere, which {target} does not serve token by token", hint=f"--to {VLLM}"
        )
    if target == VLLM:
        raise InputError("vLLM serves language models, and this one answers in one pass", hint=f"--to {', '.join(TARGETS)}")
    return advice


def _of_one_pass(advice: Advice, advice_path: Path, target: str, output: Path, apart: Apart, *, most_likely: bool) -> Export:
    wanted = TARGETS[target]
    with _about(advice_path):
        prediction = chosen(advice, most_likely=most_likely)
        hardware = prediction.candidate.hardware
        device = None if hardware in {site.hardware for site in advice.sites} else read_device(hardware)
        asked = served(advice, prediction, device)
        texts, place = _texts(wanted.files(asked)), wanted.model_folder(asked)
    source = advice_path.parent / asked.variant.path
    with temporary.home() as folder:
        limit = model_folder.reading(str(source))
        weights = apart.call(limit, packing.weights_of, source, asked.variant.sha256, asked.variant.id)
        copies = {f"{place}/{MODEL_FILE}": source} | {f"{place}/{name}": source.parent / name for name in weights}
        if wanted.has_items:
            items = folder / ITEMS_FILE
            _write_items(apart, asked, _as_given(advice, asked, advice_path.parent), items)
            copies[ITEMS_FILE] = items
        return _write(_Files(texts, copies), output, _mark(advice, advice_path, target, asked.variant.id))


def _as_given(advice: Advice, asked: Served, folder: Path) -> Path | None:
    """Return the model as it was given, whose answers others are compared with; None where it is not there, or answers at random."""
    mine = [row for row in advice.variants if row.hardware == asked.variant.hardware]
    path = folder / mine[0].path  # the baseline of a site comes first
    return path if path.is_file() and not advice.model.random_operators else None


def _write_items(apart: Apart, asked: Served, model: Path | None, target: Path) -> None:
    """Write items for the server to warm up with, and where the model runs here its answers."""
    tensors = Tensors(inputs=asked.model.inputs, outputs=tuple(entry.name for entry in asked.model.outputs))
    limit = model_folder.reading(asked.name)
    try:
        apart.call(limit, packing.write_items, target, tensors, model)
    except ModelError:
        if model is None:
            raise
        # It does not run here, as where memory is short: there is nothing to compare with then.
        apart.call(limit, packing.write_items, target, tensors, None)


def _texts(contents: Contents) -> dict[str, bytes]:
    return {
        place: content.encode(errors="backslashreplace") if isinstance(content, str) else to_yaml(content)
        for place, content in contents.items()
    }


def _mark(advice: Advice | LanguageAdvice, advice_path: Path, target: str, variant: str) -> Export:
    """Return what is to be known of the export later, its files left out."""
    return Export(
        schema_version=SCHEMA_VERSION,
        target=target,
        created=advice.created,
        advisor_version=advice.advisor_version,
        advice_sha256=sha256(advice_path),
        variant=variant,
        files={},
    )


def _write(files: _Files, output: Path, mark: Export) -> Export:
    """Write all files, each whole or not at all, once it is known that all of them may be written."""
    manifest, digests = output / MANIFEST, files.digests()
    with locks.held(manifest):
        check_output(manifest, EXPORT)
        older = read_json(manifest, Export, made_by="advisor export") if manifest.is_file() else None
        if older is not None and older.target != mark.target:
            raise InputError(
                f"{output}: holds an export to {older.target}, and files of two servers in one folder are of neither",
                hint=f"name another folder: -o {mark.target}",
            )
        before = older.files if older is not None else {}
        kinds = {place: exported(digest, before.get(place)) for place, digest in digests.items()}
        for place, kind in kinds.items():
            check_output(output / place, kind, inputs=files.copies.values())
        for place, content in files.texts.items():
            write_output(output / place, content, kinds[place])
        for place, path in files.copies.items():
            copy_output(output / place, path, kinds[place])
        made = replace(mark, files=digests)
        write_output(manifest, to_json(replace(mark, files=before | digests)), EXPORT)
    return made
