"""The forms of a decoder that are measured: made in folders beside the profile, kept as long as they are what would be made again."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from advisor import __version__
from advisor.disk import temporary
from advisor.disk.writing import write_atomically
from advisor.errors import AdvisorError, InputError, ModelError
from advisor.measure.decoder import decoder_folder, genai_folder, numpy_decoder, plain_export, quantization, seq2seq_folder
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.encoder_decoder import EncoderDecoder
from advisor.measure.decoder.graph import FULL_PRECISION, write_decoder
from advisor.measure.decoder.plain_export import PlainDecoder
from advisor.measure.decoder.shape import facts_of, read_shape
from advisor.measure.model import checkpoint as checkpoints
from advisor.measure.model import kept_files, onnx_file
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import Count, NonNegative, Record, Sha256

BASELINE, AS_GIVEN, EXPORTED = FULL_PRECISION, "as-given", "exported"
LOSSLESS = (BASELINE, AS_GIVEN, EXPORTED)  # whatever else is made loses something
SCHEMES = quantization.SCHEMES
# What a variant is called in reports.
TITLES = {
    BASELINE: "32-bit floats, the cache in place",
    "int8-weight-only": "weights in 8 bits, a scale for each block of 128",
    "int4-weight-only": "weights in 4 bits, a scale for each block of 128",
    "int8-dynamic": "weights and activations in 8 bits, activations quantized as they come",
    AS_GIVEN: "the folder as given",
    EXPORTED: "32-bit floats, exported by optimum with its past",
}
Opened = Decoder | PlainDecoder | EncoderDecoder
MARK = "made.json"
CHECKED_TOKENS = 24


class Made(Record, frozen=True, kw_only=True):
    """One form of the decoder, in a folder of its own."""

    folder: Path
    sha256: Sha256  # of graph and weights
    bytes: Count
    weight_bytes: Count
    agrees_with_checkpoint: NonNegative | None = None  # largest difference of logits; None: not worked out as it was made


class Mark(Record, frozen=True, kw_only=True):
    """What lies in a folder that was made: the digest of what it was made of, and that of graph and weights."""

    recipe: str
    sha256: Sha256
    agrees_with_checkpoint: NonNegative | None = None


def described(model: Path) -> DecoderFacts:
    """Return the facts of a checkpoint, a folder of onnxruntime-genai, or one that optimum exported with its cache.

    Raises InputError for one that is wrong or not modeled.
    """
    if not model.exists():
        raise InputError(f"{model}: no such file or directory", hint="give a Hugging Face checkpoint directory")
    if (model / genai_folder.CONFIG).is_file():
        return genai_folder.read(model)[0]
    if seq2seq_folder.is_export(model):
        return seq2seq_folder.read(model)[0]
    if _is_export(model):
        with PlainDecoder.open(model, threads=1, slots=1, max_tokens=1) as decoder:
            return decoder.facts
    if seq2seq_folder.is_checkpoint(model):
        return seq2seq_folder.facts_of_checkpoint(model)
    return facts_of(model, read_shape(model))


def open_decoder(folder: Path, *, threads: int, slots: int, max_tokens: int, input_fraction: float | None = None) -> Opened:
    """Return the decoder in a folder, whoever wrote it; raise InputError where it does not fit into the memory.

    `input_fraction` is the part of a timed context that an encoder gave, where there is one.
    """
    if seq2seq_folder.is_export(folder):
        return EncoderDecoder.open(folder, threads=threads, slots=slots, max_tokens=max_tokens, input_fraction=input_fraction)
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


def exported(checkpoint: Path, folder: Path, *, sha256: str) -> Made:
    """Return a checkpoint with an encoder and a decoder as optimum exports it, in a folder inside `folder`, kept as what `made` makes is.

    Raises InputError for a checkpoint that is wrong, ModelError where it cannot be exported, or the export computes something else.
    """
    place = folder / EXPORTED
    recipe = kept_files.recipe((sha256, EXPORTED, kept_files.versions_of(*kept_files.TOOLS), __version__))
    mark = _mark(place)
    if mark is None or mark.recipe != recipe or not is_still(place, mark.sha256):
        shutil.rmtree(place, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.folder(folder) as scratch:
            made_there = scratch / EXPORTED
            checkpoints.export_parts(checkpoint, made_there)
            off = difference_of_answers(made_there, checkpoint)
            mark = Mark(recipe=recipe, sha256=described(made_there).sha256, agrees_with_checkpoint=off)
            write_atomically(made_there / MARK, msgspec.json.encode(mark) + b"\n")
            made_there.replace(place)
    return msgspec.structs.replace(given(place), agrees_with_checkpoint=mark.agrees_with_checkpoint)


def _mark(place: Path) -> Mark | None:
    """Return the mark of a folder that was made, None where there is none."""
    try:
        return msgspec.json.decode((place / MARK).read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_kept(place: Path, recipe: str) -> bool:
    """Return whether the folder was made by the recipe, and is still what was written."""
    mark = _mark(place)
    try:
        is_whole = (place / decoder_folder.LABEL).is_file() and mark is not None and decoder_folder.digest(place) == mark.sha256
        return mark is not None and mark.recipe == recipe and is_whole
    except OSError:
        return False


def given(model: Path) -> Made:
    """Return a folder that the user made, as it is."""
    total = sum(path.stat().st_size for path in _files(model))
    return Made(folder=model, sha256=described(model).sha256, bytes=total, weight_bytes=total)


def _files(model: Path) -> Iterable[Path]:
    """Return the files of a folder that are opened when it is served."""
    if not seq2seq_folder.is_export(model):
        return (path for path in model.iterdir() if path.is_file())
    graphs = seq2seq_folder.files(model)
    return {file for path in graphs for file in (path, *onnx_file.external_files(onnx_file.load(path), path))}


def is_still(folder: Path, sha256: str) -> bool:
    """Return whether graph and weights in a folder are what has this digest."""
    try:
        is_ours = (folder / decoder_folder.LABEL).is_file()
        return (decoder_folder.digest(folder) if is_ours else described(folder).sha256) == sha256
    except (OSError, AdvisorError):
        return False


def difference(decoder: Decoder | PlainDecoder, checkpoint: Path, truth: Path, *, is_exact: bool, seed: int) -> float:
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


def difference_of_answers(folder: Path, checkpoint: Path) -> float:
    """Return how far logits behind each token of an answer are from what transformers computes of the checkpoint, over their range."""
    facts, _ = seq2seq_folder.read(folder)
    with EncoderDecoder.open(folder, threads=1, slots=1, max_tokens=facts.context_tokens) as decoder:
        half = min(CHECKED_TOKENS, decoder.most_read, decoder.most_answered)
        tokens = np.random.default_rng(0).integers(0, decoder.vocabulary, size=2 * half, dtype=np.int64)
        given, answer = decoder.an_input(tokens[:half]), tokens[half:]
        begun = np.array([*decoder.start, *answer[:-1]], dtype=np.int64)
        own = checkpoints.answer_logits(checkpoint, given, begun)[len(decoder.start) - 1 :]
        off = numpy_decoder.over_range(decoder.answer_logits(given, answer), own)
    if off > numpy_decoder.TOLERANCE:
        raise ModelError(
            f"{checkpoint}: what optimum exports of it does not compute what it does: logits are off by {numpy_decoder.in_words(off)}",
            hint="export it with another version of optimum, and give that folder",
        )
    return off


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
