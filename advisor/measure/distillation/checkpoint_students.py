"""Students of Hugging Face checkpoints: fewer layers, narrower ones, written as checkpoints that begin with the teacher's weights."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.disk import temporary, writing
from advisor.errors import InputError
from advisor.measure.decoder import weights
from advisor.measure.decoder.config_values import Values, is_plain_name, read_object
from advisor.measure.decoder.shape import CONFIG, MOST_HEADS, MOST_LAYERS, MOST_WIDTH
from advisor.measure.decoder.weights import ITEM_BYTES, WHOLE, Stored
from advisor.measure.distillation import student_names
from advisor.measure.distillation.families import Family, axes_of, family_of
from advisor.measure.distillation.student_names import StudentName
from advisor.measure.runtime import memory
from advisor.schema.distillation import Student
from advisor.units import size

MODULES, POOLED_WIDTH = "modules.json", "word_embedding_dimension"
# What reads texts for the model: a student takes the same ones. Configurations of generation and of sentence-transformers are among them.
BESIDE = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json"),
    *(
        "merges.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.model",
        "chat_template.jinja",
        "generation_config.json",
    ),
    *(MODULES, "sentence_bert_config.json", "config_sentence_transformers.json"),
)
LAYER = re.compile(r"(?:(?<=^)|(?<=\.))((?:encoder\.layer|transformer\.layer|layers)\.)([0-9]+)(?=\.)")
# Lists of a configuration with one entry for each layer.
BY_LAYER = ("layer_types",)
INNER_MULTIPLE = 8  # that the inner layer stays one of, as in all published models
ROOM_BYTES = 50_000_000  # on the disk, beyond the weights themselves
GIVE_ANOTHER = "name a folder that is not there yet"


class Sizes(NamedTuple):
    """The sizes of a transformer; `embedding` is that of its embeddings, which some project to the width."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dimension: int
    inner: int
    embedding: int

    @property
    def by_axis(self) -> dict[str, int]:
        """The sizes of axes, as families name them."""
        dimension = self.head_dimension
        return {
            "h": self.width,
            "e": self.embedding,
            "i": self.inner,
            "a": self.heads,
            "q": self.heads * dimension,
            "k": self.kv_heads * dimension,
        }


def proposed(checkpoint: Path) -> tuple[str, ...]:
    """Return the students to try for a checkpoint, in order of hope; raise InputError where none can be cut."""
    config = _config(checkpoint)
    family = family_of(config)
    sizes = _sizes(config, family)
    multiple = sizes.head_dimension if sizes.width == sizes.heads * sizes.head_dimension else 1
    width = None if _vector_layers(checkpoint) else sizes.width
    return student_names.proposed_blocks(sizes.layers, width=width, multiple=multiple)


def cut(teacher: Path, student_id: str, folder: Path) -> Path:
    """Write the student of a checkpoint into a new folder, and return the folder.

    Its layers are evenly spaced ones of the teacher's, the first and the last among them; narrower tensors begin as the leading part of
    the teacher's, heads whole. Tokenizer and pooling are the teacher's. Raises InputError for a teacher that is damaged or not one of those
    that are cut, for a name that does not fit it, and where disk or memory have no room.
    """
    name = student_names.parse(student_id)
    if name.kind != "blocks":
        raise InputError(
            f"--student {student_id}: no part of {teacher}, which has layers", hint="name layers-N, width-N or layers-N-width-N"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already", hint=GIVE_ANOTHER)
    config = _config(teacher)
    family = family_of(config)
    before = _sizes(config, family)
    after = _smaller(before, name, config, teacher)
    if name.width is not None and (inside := _vector_layers(teacher)):
        raise InputError(
            f"--student {student_id}: {teacher / inside[0]} takes vectors of {before.width} numbers",
            hint="leave out layers alone: layers-N",
        )
    parts = list(_parts(teacher, family, name, before, after))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _refuse_no_room(folder, parts)
        with temporary.folder(folder.parent) as scratch:
            place = scratch / "student"
            place.mkdir()
            _write_weights(place / WHOLE, parts)
            _write_json(place / CONFIG, _changed(config, family, name, before, after))
            _copy_beside(teacher, place, before.width, after.width)
            if folder.exists():
                folder.rmdir()
            place.replace(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error})", hint="free some space, or name another folder"
        ) from error
    return folder


def described(teacher: Path, student_id: str, student: Path, *, is_trained: bool) -> Student:
    """Return what a student is that `cut` wrote, beside its teacher."""
    config, cut_config = _config(teacher), _config(student)
    return Student(
        id=student_id,
        kind="blocks",
        blocks=_sizes(cut_config, family_of(cut_config)).layers,
        teacher_blocks=_sizes(config, family_of(config)).layers,
        parameters=weights.parameters_in(student),
        teacher_parameters=weights.parameters_in(teacher),
        is_trained=is_trained,
    )


def is_cut(checkpoint: Path) -> bool:
    """Return whether checkpoints of this family are cut; of others, blocks can be left out of the graph."""
    try:
        family_of(_config(checkpoint))
    except InputError:
        return False
    return True


def count_layers(checkpoint: Path) -> int:
    """Return how many layers a checkpoint has; raise InputError where none of its students can be cut."""
    config = _config(checkpoint)
    return _sizes(config, family_of(config)).layers


def _config(checkpoint: Path) -> Values:
    path = checkpoint / CONFIG
    return Values(path, read_object(path, "a configuration", "give the folder of a Hugging Face checkpoint"))


def _sizes(config: Values, family: Family) -> Sizes:
    width = config.count(family.width, MOST_WIDTH)
    heads = config.count(family.heads, MOST_HEADS)
    dimension = config.count("head_dim", MOST_WIDTH, family.head_dimension or max(1, width // heads))
    if family.kv_heads is None and heads * dimension != width:
        raise config.wrong(family.heads, f"does not divide the width of {width}")
    return Sizes(
        layers=config.count(family.layers, MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=heads if family.kv_heads is None else config.count(family.kv_heads, MOST_HEADS, heads),
        head_dimension=dimension,
        inner=config.count(family.inner, MOST_WIDTH),
        embedding=width if family.embedding is None else config.count(family.embedding, MOST_WIDTH, width),
    )


def _smaller(before: Sizes, name: StudentName, config: Values, teacher: Path) -> Sizes:
    """Return the sizes of a student; heads keep their size, all else shrinks with the width."""
    found = before
    if name.blocks is not None:
        student_names.refuse_more(name.blocks, before.layers, "layers", name.id, teacher)
        if config.given("num_hidden_groups") not in (None, 1):
            raise config.wrong("num_hidden_groups", "groups of layers share weights: none can be left out", hint="name width-N")
        found = found._replace(layers=name.blocks)
    if name.width is None:
        return found
    dimension, is_divided = before.head_dimension, before.width == before.heads * before.head_dimension
    if name.width >= before.width or (is_divided and name.width % dimension):
        multiples = f"multiples of {dimension}, the size of a head, " if is_divided else ""
        raise InputError(
            f"--student {name.id}: {teacher} is {before.width} wide, in {before.heads} heads of {dimension}",
            hint=f"name a smaller width: {multiples}below {before.width}",
        )
    part = name.width / before.width
    heads = name.width // dimension if is_divided else max(1, round(before.heads * part))
    # Each head of keys serves as many of queries.
    wanted = max(1, round(before.kv_heads * part))
    kv_heads = next(count for count in range(min(wanted, heads), 0, -1) if heads % count == 0)
    inner = max(1, round(before.inner * part / INNER_MULTIPLE)) * INNER_MULTIPLE
    return found._replace(
        width=name.width,
        heads=heads,
        kv_heads=heads if before.kv_heads == before.heads else kv_heads,
        inner=min(inner, before.inner),
        embedding=name.width if before.embedding == before.width else before.embedding,
    )


def _changed(config: Values, family: Family, name: StudentName, before: Sizes, after: Sizes) -> dict[str, Any]:
    """Return the configuration of a student: all that the teacher's says but for sizes."""
    found = read_object(config.path, "a configuration", "give the folder of a Hugging Face checkpoint")
    found |= {family.layers: after.layers, family.width: after.width, family.heads: after.heads, family.inner: after.inner}
    if family.kv_heads is not None:
        found[family.kv_heads] = after.kv_heads
    if family.embedding is not None:
        found[family.embedding] = after.embedding
    if name.blocks is None:
        return found
    kept = student_names.kept_blocks(before.layers, name.blocks)
    for key in BY_LAYER:
        if isinstance(given := found.get(key), list) and len(given) == before.layers:
            found[key] = [given[layer] for layer in kept]
    if isinstance(first := found.get("max_window_layers"), int):
        found["max_window_layers"] = sum(layer < first for layer in kept)  # the first with a window, in Qwen2
    return found


class Part(NamedTuple):
    """A tensor of a student: what it is called, where the teacher's lies, and how much of it stays."""

    name: str
    source: Stored
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What it takes."""
        return prod(self.shape) * ITEM_BYTES[self.source.dtype]


def _parts(teacher: Path, family: Family, name: StudentName, before: Sizes, after: Sizes) -> Iterator[Part]:
    kept = range(before.layers) if name.blocks is None else student_names.kept_blocks(before.layers, name.blocks)
    places = {layer: place for place, layer in enumerate(kept)}
    for path in weights.safetensors_files(teacher):
        start, header = weights.header_of(path)
        for tensor, entry in header.items():
            if after.embedding == after.width and family.projection is not None and f"{family.projection}." in tensor:
                continue
            source, called = weights.located(tensor, path, start, entry), tensor
            if (found := LAYER.search(tensor)) is not None:
                place = places.get(int(found[2]))
                if place is None:
                    continue
                called = f"{tensor[: found.start(2)]}{place}{tensor[found.end(2) :]}"
            shape = source.shape if name.width is None else _narrowed(tensor, source, family, before, after)
            yield Part(called, source, shape)


def _narrowed(tensor: str, source: Stored, family: Family, before: Sizes, after: Sizes) -> tuple[int, ...]:
    """Return the shape of a tensor in a narrower student; raise InputError for one that is not known or does not fit the configuration."""
    axes = axes_of(family, tensor)
    if axes is None or len(axes) != len(source.shape):
        raise InputError(
            f"{source.path}: {tensor[:200]!r}: it is not known how to make that narrower", hint="leave out layers alone: layers-N"
        )
    wide, narrow = before.by_axis, after.by_axis
    wrong = next((axis for axis, count in zip(axes, source.shape, strict=True) if wide.get(axis, count) != count), None)
    if wrong is not None:
        raise InputError(
            f"{source.path}: {tensor[:200]} has shape {list(source.shape)}, and by {CONFIG} one axis has {wide[wrong]}",
            hint="give configuration and weights of the same checkpoint",
        )
    return tuple(narrow.get(axis, count) for axis, count in zip(axes, source.shape, strict=True))


def _refuse_no_room(folder: Path, parts: list[Part]) -> None:
    """Raise InputError where the weights do not fit on the disk, or the largest of them not into memory."""
    needed, room = sum(part.bytes for part in parts) + ROOM_BYTES, shutil.disk_usage(folder.parent).free
    if needed > room:
        raise InputError(
            f"{folder}: takes {size(needed)}, and {size(room)} are free on that disk",
            hint="free some space, or name another folder",
        )
    largest, free = max((part.bytes for part in parts), default=0), memory.available_bytes()
    if free is not None and largest > free:
        raise InputError(
            f"{folder}: one of its tensors takes {size(largest)}; {size(free)} of memory are free here",
            hint="use a machine with more memory",
        )


def _write_weights(path: Path, parts: list[Part]) -> None:
    """Write the tensors, one in memory at a time, in the format of safetensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for part in parts:
        header[part.name] = {
            "dtype": part.source.dtype,
            "shape": list(part.shape),
            "data_offsets": [end, end + part.bytes],
        }
        end += part.bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of eight
    with path.open("wb") as file:
        file.write(len(text).to_bytes(weights.LENGTH_BYTES, "little") + text)
        for part in parts:
            if part.bytes:
                source = part.source
                stored = np.dtype(f"<u{ITEM_BYTES[source.dtype]}")
                raw = np.memmap(source.path, dtype=stored, mode="r", offset=source.start, shape=source.shape or (1,))
                file.write(np.ascontiguousarray(raw[tuple(slice(count) for count in part.shape)]).data)


def _write_json(path: Path, found: object) -> None:
    writing.write_atomically(path, json.dumps(found, indent=2).encode() + b"\n")


def _modules(checkpoint: Path) -> list[str]:
    """Return the folders in which sentence-transformers has what stands behind the transformer."""
    path = checkpoint / MODULES
    if not path.is_file():
        return []
    again = "save the checkpoint again with sentence-transformers"
    try:
        listed = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({str(error)[:100]})", hint=again) from error
    if not isinstance(listed, list):
        raise InputError(f"{path}: lists no modules", hint=again)
    found = [entry.get("path") for entry in listed if isinstance(entry, dict)]
    names = [name for name in found if isinstance(name, str) and name]
    if wrong := next((name for name in names if not is_plain_name(name)), None):
        raise InputError(f"{path}: {wrong[:100]!r}: no folder of this checkpoint", hint=again)
    return [name for name in names if (checkpoint / name).is_dir()]


def _vector_layers(checkpoint: Path) -> list[str]:
    """Return those of them that have weights, for vectors as wide as the teacher's."""
    return [
        name
        for name in _modules(checkpoint)
        if any(path.suffix in (".safetensors", ".bin") for path in (checkpoint / name).iterdir())
    ]


def _copy_beside(teacher: Path, place: Path, width: int, narrow: int) -> None:
    """Copy tokenizer and pooling; pooling names the width."""
    for name in BESIDE:
        if (teacher / name).is_file():
            shutil.copyfile(teacher / name, place / name)
    for name in _modules(teacher):
        (place / name).mkdir()
        for path in sorted((teacher / name).iterdir()):
            if path.is_file():
                shutil.copyfile(path, place / name / path.name)
        pooling = place / name / CONFIG
        if pooling.is_file():
            found = read_object(pooling, "a configuration", "save the checkpoint again with sentence-transformers")
            if found.get(POOLED_WIDTH) == width != narrow:
                os.unlink(pooling)
                _write_json(pooling, found | {POOLED_WIDTH: narrow})
