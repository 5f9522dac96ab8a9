"""Runs a model with an encoder and a decoder as optimum exports it: the encoder once an input, then the decoder, whose past grows.

It has the steps of a decoder: prefill is the encoder and the first step of the decoder, over the tokens that every answer begins with. A
decode step is a call for each request: all that share a call of these graphs have answers of one length, for nothing hides a place.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import seq2seq_folder
from advisor.measure.decoder.plain_export import IDS, LOGITS, MASK
from advisor.measure.decoder.seq2seq_folder import BRANCH, FEATURES, HIDDEN, INPUT_MASK, PLACES, STATES, Cached, Parts
from advisor.measure.runtime import ort_errors, ort_session
from advisor.schema.generation import DecoderFacts

CPU = "cpu"  # as an io_binding names it
HALF = 0.5  # of what is cached: where nobody says what part of it an input is
NOISE_SEED = 0

# An array of the runtime's, which stays where it is from call to call, or one of NumPy's.
Values = Any


class _Held(NamedTuple):
    """What a slot holds: what the encoder gave, and an answer with the tokens that it began with."""

    input_tokens: int
    states: Values  # (1, positions, hidden size)
    cross: Sequence[Values]  # (1, heads, positions, dimension)
    own: Sequence[Values]  # (1, heads, answered, dimension)
    answered: int

    @property
    def positions(self) -> int:
        """How many the encoder gave."""
        return _sizes(self.states)[1]


class EncoderDecoder:
    """The sessions of an export, and what each slot holds."""

    def __init__(
        self,
        parts: Parts,
        sessions: Mapping[Path, Any],
        facts: DecoderFacts,
        *,
        slots: int,
        max_tokens: int,
        input_fraction: float,
    ) -> None:
        assert facts.encoder is not None
        self.facts, self.vocabulary, self.slots, self.max_tokens = facts, facts.vocabulary, slots, max_tokens
        self._encoder_facts, self._parts, self._input_fraction = facts.encoder, parts, input_fraction
        self._begun = len(parts.start)
        self._encoder, self._first, self._later = (sessions[path] for path in (parts.encoder, parts.first, parts.later))
        self._takes = {path: {value.name for value in session.get_inputs()} for path, session in sessions.items()}
        self._slots: list[list[_Held]] = [[] for _ in range(slots)]
        # Twice as long as an input: other sounds are other stretches of it, and to cut one out takes no time to speak of.
        bins, frames = parts.frames or (0, 0)
        self._noise = np.random.default_rng(NOISE_SEED).standard_normal((bins, 2 * frames)).astype(np.float32)

    @classmethod
    def open(
        cls, folder: Path, *, threads: int, slots: int, max_tokens: int, input_fraction: float | None = None
    ) -> "EncoderDecoder":
        """Return the model in a folder that optimum exported, for so many requests of so many tokens, input and answer together.

        `input_fraction` is what part of a timed context the input is. Raises InputError for graphs that do not belong together, and
        for more tokens than the model has positions for.
        """
        if slots < 1 or max_tokens < 1 or threads < 1:
            raise ValueError(f"{slots} slots of {max_tokens} tokens on {threads} threads")
        facts, parts = seq2seq_folder.read(folder)
        if max_tokens > facts.context_tokens:
            raise InputError(
                f"{folder}: requests of {max_tokens} tokens, and its positions reach to {facts.context_tokens}",
                hint=f"ask for {facts.context_tokens} tokens at most",
            )
        sessions = {
            path: ort_session.open_session(path, intra_op_num_threads=threads)
            for path in dict.fromkeys((parts.encoder, parts.first, parts.later))
        }
        fraction = HALF if input_fraction is None else input_fraction
        return cls(parts, sessions, facts, slots=slots, max_tokens=max_tokens, input_fraction=fraction)

    def __enter__(self) -> "EncoderDecoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._slots = [[] for _ in self._slots]
        self._encoder = self._first = self._later = None

    def prefill(self, tokens: np.ndarray, slot: int, past_tokens: int = 0) -> np.ndarray:
        """Read an input of so many tokens, and begin its answer; return logits (vocabulary,) of the first token.

        Of sound the tokens stand for as many positions of the encoder, which reads some sound or other, all of it.
        """
        if past_tokens:
            raise ValueError(f"an encoder reads an input whole, not behind {past_tokens} tokens of it")
        return self.begin(self.an_input(tokens), slot, len(tokens))

    def begin(self, values: np.ndarray, slot: int, input_tokens: int) -> np.ndarray:
        """Read an input, tokens (tokens,) or sound (bins, frames), that counts as so many tokens, and begin its answer in a slot.

        Returns logits (vocabulary,) of the first token.
        """
        self._check_slot(slot)
        name = IDS if self._parts.frames is None else FEATURES
        feeds = {name: values[None], MASK: np.ones((1, values.shape[-1]), np.int64)}
        states = self._run(self._encoder, self._parts.encoder, feeds, [STATES])[0]
        positions = _sizes(states)[1]
        start = np.array([self._parts.start], np.int64)
        feeds = self._beside(states, positions, 0, start.shape[1]) | {IDS: start}
        if self._parts.is_merged:
            nothing = {entry.past: np.zeros((1, entry.heads, 0, entry.dimension), np.float32) for entry in self._cache}
            feeds |= {BRANCH: np.array([False]), **nothing}
        wanted = [LOGITS, *(entry.present for entry in self._cache)]
        logits, *cached = self._run(self._first, self._parts.first, feeds, wanted)
        count = len(self._parts.own)
        self._slots[slot] = [_Held(input_tokens, states, cached[count:], cached[:count], start.shape[1])]
        return _last(logits)

    def decode(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        """Give one more token to the requests in the first slots, behind `cached` tokens of each, one request after the other."""
        tokens, cached = np.asarray(tokens, np.int64), np.asarray(cached, np.int64)
        if tokens.ndim != 1 or tokens.shape != cached.shape or not 1 <= len(tokens) <= self.slots:
            raise ValueError(f"a token and its place for 1 to {self.slots} requests, not {tokens.shape} and {cached.shape}")
        return np.stack([self._go_on(int(tokens[slot]), slot, int(cached[slot])) for slot in range(len(tokens))])

    def answer_logits(self, values: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Return logits (tokens, vocabulary) of each place of an answer (tokens,) to an input; the first slot is used for that."""
        count = values.shape[-1] if self._parts.frames is None else 1
        found = [self.begin(values, 0, count)]
        for place, token in enumerate(np.asarray(answer, np.int64)[:-1].tolist()):
            found.append(self._go_on(token, 0, count + place))
        return np.stack(found)

    def an_input(self, tokens: np.ndarray) -> np.ndarray:
        """Return what is read where a request brings these tokens: the tokens themselves, or some sound (bins, frames)."""
        tokens = self._checked(tokens)
        return tokens if self._parts.frames is None else self._sound(tokens)

    @property
    def start(self) -> tuple[int, ...]:
        """The tokens that every answer begins with."""
        return self._parts.start

    @property
    def most_read(self) -> int:
        """How many tokens an input may have."""
        return self._encoder_facts.input_tokens

    @property
    def most_answered(self) -> int:
        """How many tokens an answer may have."""
        return self._encoder_facts.output_tokens

    def move(self, source: int, target: int, tokens: int) -> None:
        """Let a slot hold what another holds, up to so many tokens."""
        self._check_slot(source)
        self._check_slot(target)
        self._slots[target] = [self._at(source, tokens)]

    def fill(self, slot: int, tokens: int) -> None:
        """Let a slot hold so many tokens, of input and answer: states, keys and values of nothing stand for them."""
        self._check_slot(slot)
        if not 0 <= tokens <= self.max_tokens:
            raise ValueError(f"{tokens} tokens of slots of {self.max_tokens}")
        if not tokens:
            return  # an input is read there, whatever it holds
        given = self._of_input(tokens)
        answered = self._begun + tokens - given
        if any((held.input_tokens, held.answered) == (given, answered) for held in self._slots[slot]):
            return
        positions = given if self._parts.frames is None else self._encoder_facts.input_tokens
        states = np.zeros((1, positions, self.facts.hidden_size), np.float32)
        cross, own = (
            [np.zeros((1, entry.heads, length, entry.dimension), np.float32) for entry in cached]
            for cached, length in ((self._parts.cross, positions), (self._parts.own, answered))
        )
        self._slots[slot] = [_Held(given, states, cross, own, answered)]

    @property
    def _cache(self) -> tuple[Cached, ...]:
        return (*self._parts.own, *self._parts.cross)

    def _of_input(self, tokens: int) -> int:
        """Return how many of so many cached tokens are of the input: all that it has where it is sound."""
        most, answers = self._encoder_facts.input_tokens, self._encoder_facts.output_tokens
        if self._parts.frames is not None:
            return min(tokens, most)
        return min(max(1, round(tokens * self._input_fraction), tokens - answers), most)

    def _sound(self, tokens: np.ndarray) -> np.ndarray:
        """Return sound (bins, frames), the same for the same tokens."""
        assert self._parts.frames is not None
        frames = self._parts.frames[1]
        begin = int(tokens.sum()) % frames
        return np.ascontiguousarray(self._noise[:, begin : begin + frames])

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens, np.int64)
        most = min(self._encoder_facts.input_tokens, self.max_tokens)
        if tokens.ndim != 1 or not 1 <= tokens.size <= most:
            raise ValueError(f"an input is a row of up to {most} tokens, not {tokens.shape}")
        if tokens.min() < 0 or tokens.max() >= self._parts.input_vocabulary:
            raise ValueError(f"tokens {tokens.min()} to {tokens.max()} of a vocabulary of {self._parts.input_vocabulary}")
        return tokens

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} of {self.slots}")

    def _at(self, slot: int, tokens: int) -> _Held:
        """Return what a slot holds of its first tokens."""
        for held in self._slots[slot]:
            answered = self._begun + tokens - held.input_tokens
            if held.answered == answered:
                return held
        for held in self._slots[slot]:
            answered = self._begun + tokens - held.input_tokens
            if self._begun <= answered < held.answered:
                own = [np.ascontiguousarray(_as_array(values)[:, :, :answered]) for values in held.own]
                return held._replace(own=own, answered=answered)
        raise ValueError(f"{tokens} tokens of slot {slot}, which does not hold them")

    def _go_on(self, token: int, slot: int, cached: int) -> np.ndarray:
        """Return logits (vocabulary,) behind one more token of an answer."""
        if cached + 1 > self.max_tokens:
            raise ValueError(f"position {cached} of slots of {self.max_tokens} tokens")
        held = self._at(slot, cached)
        if held.answered >= self._begun + self._encoder_facts.output_tokens:
            raise ValueError(f"an answer of more than {self._encoder_facts.output_tokens} tokens")
        feeds = self._beside(held.states, held.positions, held.answered, 1) | {IDS: np.array([[token]], np.int64)}
        feeds |= dict(zip((entry.past for entry in self._cache), (*held.own, *held.cross), strict=True))
        if self._parts.is_merged:
            feeds[BRANCH] = np.array([True])
        wanted = [LOGITS, *(entry.present for entry in self._parts.own)]
        logits, *own = self._run(self._later, self._parts.later, feeds, wanted)
        now = held._replace(own=own, answered=held.answered + 1)
        self._slots[slot] = [now, held]  # a step that is timed again and again begins where it began before
        return _last(logits)

    def _beside(self, states: Values, positions: int, answered: int, new: int) -> dict[str, Values]:
        """Return what a decoder is given beside tokens and cache, as far as it asks for it."""
        return {
            HIDDEN: states,
            INPUT_MASK: np.ones((1, positions), np.int64),
            PLACES: np.arange(answered, answered + new, dtype=np.int64),
        }

    def _run(self, session: Any, path: Path, feeds: Mapping[str, Values], wanted: Sequence[str]) -> list[Values]:
        """Return outputs of a call as arrays of the runtime's: what the next call is given stays where it is."""
        binding = session.io_binding()
        takes = self._takes[path]
        for name, values in feeds.items():
            if name in takes:
                bind = binding.bind_cpu_input if isinstance(values, np.ndarray) else binding.bind_ortvalue_input
                bind(name, values)
        for name in wanted:
            binding.bind_output(name, CPU)
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime raises a family of pybind exceptions whose only common base is Exception
            raise ModelError(
                f"{ort_session.FAILED}{ort_errors.in_words(error)}", hint=f"check that ONNX Runtime runs {path} on its own"
            ) from error
        found: list[Values] = binding.get_outputs()  # in the order of binding
        return found


def _sizes(values: Values) -> tuple[int, ...]:
    return tuple(values.shape if isinstance(values, np.ndarray) else values.shape())


def _as_array(values: Values) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else np.asarray(values.numpy())


def _last(logits: Values) -> np.ndarray:
    """Return the logits (vocabulary,) of the last place."""
    return np.asarray(_as_array(logits)[0, -1], np.float32)
