"""The user's text -> windows of tokens, as the model reads them: of a file of text pieces of it, of a table a text for each row."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.quality import learned as learned_items
from advisor.measure.quality.evaluation import LABELS, SLICES
from advisor.measure.quality.tables import JSON_LINES, read_table
from advisor.measure.quality.texts import columns_of_text, opened, tokenizer_beside
from advisor.measure.sizes import archives
from advisor.schema.record import Count, Record, Whole

KEY = "quality.data"
TABLES = {".csv", ".tsv", ".parquet", ".arrow", *JSON_LINES}
# A token is about four bytes of English, and up to eight of a text that the tokenizer knows well: more are cut off, fewer cost a little.
CHARACTERS_PER_TOKEN = 8
FEWEST_SCORED = 2  # of a window; of one token alone nothing can be said
# Of fewer pieces the interval of what is lost says nothing.
FEWEST_PIECES = 6


class Windows(Record, frozen=True, kw_only=True):
    """Pieces of the text in random order; of each the first `given` tokens are told, and those behind it are to be predicted."""

    tokens: tuple[tuple[Whole, ...], ...]
    given: Count
    scored_bytes: tuple[Whole, ...]  # of the text of those that are predicted
    learned_texts: Whole = 0  # rows of a table, or lines, that are left out since a student learned from them


class Encoded(Record, frozen=True, kw_only=True):
    """Texts as the model reads them, and what comes before any text."""

    prefix: tuple[Whole, ...]
    texts: tuple[tuple[Whole, ...], ...]


def read_windows(
    model: Path,
    data: Path,
    *,
    window_tokens: int,
    most_tokens: int,
    vocabulary: int,
    seed: int,
    fewest: int = FEWEST_PIECES,
    learned: bytes = b"",
) -> Windows:
    """Return `fewest` windows or more of at most `window_tokens`, `most_tokens` in all, by the tokenizer of the model.

    What students learned from, given by its digests, is left out. Raises InputError where there is no tokenizer, no text, or where the
    tokenizer is that of another model: it has tokens that this one lacks.
    """
    tokenizer, path = _tokenizer(model, f"{KEY}: {data}: ", "quality could not be measured")
    texts, left_out = _texts(data, learned)
    prefix = _prefix(tokenizer)
    given = max(1, len(prefix))
    room = window_tokens - len(prefix)
    found: list[tuple[int, ...]] = []
    scored: list[int] = []
    total = 0
    for text in _pieces(texts, CHARACTERS_PER_TOKEN * max(room, 1), seed):
        if total >= most_tokens:
            break
        encoded = tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = [*prefix, *encoded.ids[:room]], encoded.offsets[:room]
        if len(ids) < given + FEWEST_SCORED:
            continue
        _check(ids, vocabulary, path)
        begins = offsets[given - len(prefix)][0]
        found.append(tuple(ids))
        scored.append(len(text[begins : offsets[-1][1]].encode()))
        total += len(ids)
    if len(found) < fewest:
        raise InputError(
            f"{KEY}: {data}: holds too little text to measure quality on: {len(found)} pieces of up to {window_tokens} tokens, and "
            f"{fewest} are needed",
            hint="give some thousand words",
        )
    return Windows(tokens=tuple(found), given=given, scored_bytes=tuple(scored), learned_texts=left_out)


def encoded(model: Path, texts: Sequence[str], *, vocabulary: int, purpose: str) -> Encoded:
    """Return texts of ours by the tokenizer of the model; `purpose` says what could not be done without one.

    Raises InputError where there is none, or where it is that of another model.
    """
    tokenizer, path = _tokenizer(model, "", purpose)
    found = tuple(tuple(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    prefix = tuple(_prefix(tokenizer))
    _check([*prefix, *(token for ids in found for token in ids)], vocabulary, path)
    return Encoded(prefix=prefix, texts=found)


def _tokenizer(model: Path, subject: str, purpose: str) -> tuple[Any, Path]:
    """Return the tokenizer of a model, that takes texts of any length, and where it lies."""
    path = tokenizer_beside(model)
    if path is None:
        raise InputError(
            f"{subject}there is no tokenizer.json in {model}, so {purpose}", hint="put the tokenizer.json of the model there"
        )
    tokenizer = opened(path, KEY)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, path


def _texts(data: Path, learned: bytes) -> tuple[Sequence[str], int]:
    """Return the texts of a file, one a row of a table, else all of it, and how many rows or lines were learned from and are not there."""
    refuse_special(data, KEY)
    suffix = (data.with_suffix("") if data.suffix == ".gz" else data).suffix.lower()
    if data.is_dir() or suffix in TABLES:
        columns = read_table(data, KEY)
        names = columns_of_text(columns, {*LABELS, *SLICES})
        if not names:
            raise InputError(
                f"{KEY}: {data}: no column of texts among {', '.join(columns) or 'none'}", hint="name one of its columns text"
            )
        return _others(columns[names[0]], list(zip(*(columns[name] for name in names), strict=True)), learned, data)
    try:
        text = archives.unpacked(data, KEY).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(
            f"{KEY}: {data}: no text in UTF-8 ({error})", hint="give a .txt file, or a table with a column of texts"
        ) from error
    if not learned:
        return [text], 0
    lines = text.splitlines()
    kept, left_out = _others(lines, [(line,) for line in lines], learned, data)
    return ["\n".join(kept)], left_out


def _others(texts: Sequence[str], whole: Sequence[tuple[str, ...]], learned: bytes, data: Path) -> tuple[Sequence[str], int]:
    """Return those of the texts that were not learned from, each known by itself and what goes with it, and how many were."""
    if not learned:
        return texts, 0
    kept = learned_items.others(learned, [learned_items.digest_of_text(text) for text in whole], KEY, data)
    return [texts[place] for place in kept], len(texts) - len(kept)


def _pieces(texts: Sequence[str], characters: int, seed: int) -> Iterator[str]:
    """Yield pieces of about so many characters, in random order; a longer text is cut where there is a space."""
    places = [(number, begin) for number, text in enumerate(texts) for begin in range(0, max(len(text), 1), characters)]
    for place in np.random.default_rng(seed).permutation(len(places)).tolist():
        number, begin = places[place]
        piece = texts[number][begin : begin + characters].encode(errors="replace").decode()  # half a character has no tokens
        if begin:  # it begins within a word, as a rule
            piece = piece[piece.find(" ") + 1 :]
        if piece.strip():
            yield piece


def _prefix(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer puts before any text."""
    encoded = tokenizer.encode("a", add_special_tokens=True)
    pairs = zip(encoded.ids, encoded.special_tokens_mask, strict=True)
    return [token for token, _ in takewhile(lambda pair: pair[1] == 1, pairs)]


def _check(ids: Sequence[int], vocabulary: int, path: Path) -> None:
    if (largest := max(ids, default=0)) >= vocabulary:
        raise InputError(
            f"{path}: token {largest} is none of the {vocabulary} that the model knows: it is the tokenizer of another model",
            hint="put the tokenizer.json of this model there",
        )
