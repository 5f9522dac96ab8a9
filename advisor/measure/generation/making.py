"""The forms of a decoder that are measured: made in folders beside the profile, kept as long as they are what would be made again."""

from pathlib import Path

import msgspec
import numpy as np

from advisor import __version__
from advisor.disk.writing import write_atomically
from advisor.errors import AdvisorError, InputError
from advisor.measure.decoder import decoder_folder, genai_folder, numpy_decoder, plain_export, quantization
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.graph import FULL_PRECISION, write_decoder
from advisor.measure.decoder.plain_export import PlainDecoder
from advisor.measure.decoder.shape import facts_of, read_shape
from advisor.measure.generation.slots import Steps
from advisor.measure.model import kept_files
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import Count, Record, Sha256

BASELINE, AS_GIVEN = FULL_PRECISION, "as-given"
SCHEMES = quantization.SCHEMES
# What a variant is called in reports.
TITLES = {
    BASELINE: "32-bit floats, the cache in place",
    "int8-weight-only": "weights in 8 bits, a scale for each block of 128",
    "int4-weight-only": "weights in 4 bits, a scale for each block of 128",
    "int8-dynamic": "weights and activations in 8 bits, activations quantized as they come",
    AS_GIVEN: "the folder as given",
}
MARK = "made.json"
CHECKED_TOKENS = 24


class Made(Record, frozen=True, kw_only=True):
    """One form of the decoder, in a folder of its own."""

    folder: Path
    sha256: Sha256  # of graph and weights
    bytes: Count
    weight_bytes: Count


class Mark(Record, frozen=True, kw_only=True):
    """What lies in a folder that was made: the digest of what it was made of, and that of graph and weights."""

    recipe: str
    sha256: Sha256


def described(model: Path) -> DecoderFacts:
    """Return the facts of a checkpoint, a folder of onnxruntime-genai, or one that optimum exported with its cache.

    Raises InputError for one that is wrong or not modeled.
    """
    if not model.exists():
        raise InputError(f"{model}: no such file or directory", hint="give a Hugging Face checkpoint directory")
    if (model / genai_folder.CONFIG).is_file():
        return genai_folder.read(model)[0]
    if _is_export(model):
        with PlainDecoder.open(model, threads=1, slots=1, max_tokens=1) as decoder:
            return decoder.facts
    return facts_of(model, read_shape(model))


def open_decoder(folder: Path, *, threads: int, slots: int, max_tokens: int) -> Decoder | PlainDecoder:
    """Return the decoder in a folder, whoever wrote it; raise InputError where it does not fit into the memory."""
    if _is_export(folder):
        return PlainDecoder.open(folder, threads=threads, slots=slots, max_tokens=max_tokens)
    return Decoder.open(folder, threads=threads, slots=slots, max_tokens=max_tokens)


def _is_export(folder: Path) -> bool:
    """Return whether the folder holds a graph that optimum exported, and no weights that a graph of ours could be made of."""
    is_known = any((folder / name).is_file() for name in (decoder_folder.LABEL, genai_folder.CONFIG))
    return not is_known and (folder / plain_export.MODEL).is_file() and not any(folder.glob("*.safetensors"))


def made(checkpoint: Path, folder: Path, scheme: str, *, sha256: str, max_tokens: int, has_vnni: bool) -> Made:
    """Return the decoder under a scheme, in a folder of its name inside `folder`; the one in 32-bit floats has to be there for others.

    One that an earlier run made of the same checkpoint, whose digest is `sha256`, is kept. Raises InputError for a checkpoint that is
    wrong, ModelError where the scheme changes nothing.
    """
    place = folder / scheme
    recipe = kept_files.recipe((sha256, scheme, max_tokens, has_vnni, kept_files.versions_of(*kept_files.TOOLS), __version__))
    if not _is_kept(place, recipe):
        if scheme == FULL_PRECISION:
            write_decoder(checkpoint, place, max_tokens=max_tokens)
        else:
            quantization.quantize(folder / FULL_PRECISION, place, scheme, has_vnni=has_vnni)
        mark = Mark(recipe=recipe, sha256=decoder_folder.digest(place))
        write_atomically(place / MARK, msgspec.json.encode(mark) + b"\n")
    mark = msgspec.json.decode((place / MARK).read_bytes(), type=Mark)
    label = decoder_folder.read_label(place)
    return Made(folder=place, sha256=mark.sha256, bytes=_bytes(place), weight_bytes=label.weight_bytes)


def _is_kept(place: Path, recipe: str) -> bool:
    """Return whether the folder was made by the recipe, and is still what was written."""
    try:
        mark = msgspec.json.decode((place / MARK).read_bytes(), type=Mark)
        return mark.recipe == recipe and (place / decoder_folder.LABEL).is_file() and decoder_folder.digest(place) == mark.sha256
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False


def given(model: Path) -> Made:
    """Return a folder that the user made, as it is."""
    total = _bytes(model)
    return Made(folder=model, sha256=described(model).sha256, bytes=total, weight_bytes=total)


def is_still(folder: Path, sha256: str) -> bool:
    """Return whether graph and weights in a folder are what has this digest."""
    try:
        is_ours = (folder / decoder_folder.LABEL).is_file()
        return (decoder_folder.digest(folder) if is_ours else described(folder).sha256) == sha256
    except (OSError, AdvisorError):
        return False


def difference(decoder: Steps, checkpoint: Path, truth: Path, *, is_exact: bool, seed: int) -> float:
    """Return the largest difference of the decoder's logits from the checkpoint's own over their range, on some tokens.

    The checkpoint's own are in the file `truth` for the next form, once they are worked out. Raises ModelError where the decoder is to be
    exact and is another one.
    """
    count = min(CHECKED_TOKENS, decoder.max_tokens)
    tokens = np.random.default_rng(seed).integers(0, decoder.vocabulary, size=count, dtype=np.int64)
    if not truth.is_file():
        np.save(truth, numpy_decoder.logits(checkpoint, tokens))
    compare = numpy_decoder.check if is_exact else numpy_decoder.agreement
    return compare(decoder, checkpoint, tokens, np.load(truth))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
