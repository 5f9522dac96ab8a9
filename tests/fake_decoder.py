"""A decoder without a model: its next token is a digest of all that lies in the row, so whoever finds another's tokens there shows it.

Its steps take known seconds of a clock that nothing else moves.
"""

import zlib
from typing import NamedTuple

import numpy as np

VOCABULARY = 97


class Costs(NamedTuple):
    """Seconds of a step by what it reads, as the laws have them."""

    prefill: tuple[float, float, float] = (2.0**-6, 2.0**-10, 2.0**-20)
    decode: tuple[float, float, float] = (2.0**-7, 2.0**-9, 2.0**-16)


class FakeClock:
    """A clock that goes on when steps are made, and skips waiting."""

    kind = "wall"

    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s

    def wait_until(self, moment_s: float) -> None:
        self.s = max(self.s, moment_s)


class FakeDecoder:
    """Rows of tokens in place of a cache."""

    def __init__(
        self,
        *,
        slots: int = 4,
        max_tokens: int = 64,
        clock: FakeClock | None = None,
        costs: Costs = Costs(),  # noqa: B008 - a tuple
        vocabulary: int = VOCABULARY,
    ) -> None:
        self.slots, self.max_tokens, self.vocabulary = slots, max_tokens, vocabulary
        self.clock, self.costs = clock or FakeClock(), costs
        self.rows = np.zeros((slots, max_tokens), dtype=np.int64)
        self.calls: list[tuple[str, int]] = []

    def prefill(self, tokens: np.ndarray, slot: int, past_tokens: int = 0) -> np.ndarray:
        count = len(tokens)
        self.rows[slot, past_tokens : past_tokens + count] = tokens
        assert past_tokens + count <= self.max_tokens
        a, b, c = self.costs.prefill
        self.clock.s += a + b * count + c * count * (past_tokens + count / 2)
        self.calls.append(("prefill", count))
        return self._likeliest(self.rows[slot, : past_tokens + count])

    def decode(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        for row, (token, place) in enumerate(zip(tokens, cached, strict=True)):
            self.rows[row, place] = token
        a, b, c = self.costs.decode
        self.clock.s += a + b * len(tokens) + c * float(cached.sum())
        self.calls.append(("decode", len(tokens)))
        return np.stack([self._likeliest(self.rows[row, : place + 1]) for row, place in enumerate(cached)])

    def move(self, source: int, target: int, tokens: int) -> None:
        self.rows[target, :tokens] = self.rows[source, :tokens]

    def fill(self, slot: int, tokens: int) -> None:
        assert slot < self.slots and tokens <= self.max_tokens

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        return np.stack([self._likeliest(tokens[: place + 1]) for place in range(len(tokens))])

    def _likeliest(self, tokens: np.ndarray) -> np.ndarray:
        logits = np.zeros(self.vocabulary, dtype=np.float32)
        logits[zlib.crc32(np.ascontiguousarray(tokens).tobytes()) % self.vocabulary] = 1.0
        return logits
