"""The rows of a cache that requests take turns in: running ones first, without a gap between them, then the one that is being read.

A decode step is one call on rows 0 to b - 1, so whoever ends leaves a hole that the last row has to fill; and the row that is half read,
which lies behind all of these, has to follow.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np


class Steps(Protocol):
    """What a loop needs of a decoder: steps on the rows of its cache."""

    slots: int
    max_tokens: int  # of a row
    vocabulary: int

    def prefill(self, tokens: np.ndarray, slot: int, past_tokens: int = 0) -> np.ndarray:
        """Read tokens (n,) after those that are cached in the row; return the logits (vocabulary,) of the last one."""

    def decode(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        """Read one token (b,) in each of the first rows, behind so many cached ones (b,); return logits (b, vocabulary)."""

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of a row to another."""

    def fill(self, slot: int, tokens: int) -> None:
        """Let a row hold so many tokens at the least, whichever they are: steps are timed behind them."""


class Read(NamedTuple):
    """A prompt, or a chunk of it, that was read; `token` is the first of the answer, None while there is more to read."""

    request: int
    tokens: int
    past_tokens: int
    token: int | None


class Decoded(NamedTuple):
    """One token more for each of the running requests, which had so many cached together."""

    requests: tuple[int, ...]
    tokens: tuple[int, ...]
    context_tokens: int


def next_token(decoder: Steps, tokens: np.ndarray, slot: int, past_tokens: int) -> int:
    """Read the tokens into a row and return the likeliest next one."""
    return int(decoder.prefill(tokens, slot, past_tokens).argmax())


def next_tokens(decoder: Steps, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
    """Read one token in each of the first rows and return the likeliest next ones (b,)."""
    return np.asarray(decoder.decode(tokens, cached).argmax(axis=-1))


@dataclass(slots=True)
class _Held:
    """A request that has a row."""

    request: int
    prompt: np.ndarray
    left: int  # tokens that it is still to get
    cached: int = 0
    token: int = 0  # its latest, which is in the cache after the next step

    @property
    def is_read(self) -> bool:
        return self.cached >= len(self.prompt)


class Slots:
    """Who has which row, and the steps on them. One prompt is read at a time."""

    def __init__(self, decoder: Steps, max_running: int) -> None:
        self._decoder, self._max_running = decoder, max_running
        self._running: list[_Held] = []
        self._reading: _Held | None = None

    @property
    def running(self) -> int:
        """How many requests get a token in the next decode step."""
        return len(self._running)

    @property
    def is_reading(self) -> bool:
        """Whether there is more of a prompt to read."""
        return self._reading is not None

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a row."""
        return not self._running and self._reading is None

    @property
    def has_room(self) -> bool:
        """Whether another prompt can be begun."""
        return self._reading is None and len(self._running) < self._max_running

    def take(self, request: int, prompt: np.ndarray, output_tokens: int) -> None:
        """Give the request the next row; its prompt is still to be read."""
        self._reading = _Held(request, prompt, output_tokens)

    def read(self, chunk_tokens: int | None) -> Read:
        """Read the next chunk of the prompt, all that is left of it without a limit; what is whole joins the others in `settle`."""
        held = self._reading
        assert held is not None
        past = held.cached
        part = held.prompt[past : None if chunk_tokens is None else past + chunk_tokens]
        token = next_token(self._decoder, part, len(self._running), past)
        held.cached += len(part)
        if not held.is_read:
            return Read(held.request, len(part), past, None)
        held.token, held.left = token, held.left - 1
        return Read(held.request, len(part), past, token)

    def decode(self) -> Decoded:
        """Make one step for all that run."""
        cached = np.array([held.cached for held in self._running], dtype=np.int64)
        tokens = np.array([held.token for held in self._running], dtype=np.int64)
        found = next_tokens(self._decoder, tokens, cached).tolist()
        for held, token in zip(self._running, found, strict=True):
            held.token, held.cached, held.left = token, held.cached + 1, held.left - 1
        return Decoded(tuple(held.request for held in self._running), tuple(found), int(cached.sum()))

    def settle(self) -> None:
        """Let those go that have all their tokens, close the gaps, and let the prompt join that was read to its end."""
        behind, stay = len(self._running), [row for row, held in enumerate(self._running) if held.left]
        count = len(stay)
        holes = [row for row in range(count) if not self._running[row].left]
        for hole, row in zip(holes, (row for row in stay if row >= count), strict=True):
            self._decoder.move(row, hole, self._running[row].cached)
            self._running[hole] = self._running[row]
        del self._running[count:]
        held = self._reading
        if held is None:
            return
        if held.left and count < behind:
            self._decoder.move(behind, count, held.cached)
        if held.is_read:
            self._reading = None
            self._running.extend([held] if held.left else [])
