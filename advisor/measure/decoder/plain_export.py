"""Runs what optimum exports for text generation: past in, present out, longer by the new tokens. Slow, of any architecture, and plain.

It has the methods of the decoder whose cache stays in place, and is what that one is held against.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import decoder_folder
from advisor.measure.decoder.config_values import Values, read_object
from advisor.measure.decoder.shape import CONFIG, FLOAT_BYTES, MOST_HEADS, MOST_VOCABULARY, MOST_WIDTH
from advisor.measure.model import onnx_graph
from advisor.measure.runtime import ort_errors, ort_session
from advisor.schema.generation import DecoderFacts
from advisor.schema.record import LONGEST_SEQUENCE

MODEL = "model.onnx"
IDS, MASK, POSITIONS, LOGITS = "input_ids", "attention_mask", "position_ids", "logits"
PAST, PRESENT = "past_key_values.", "present."
EXPORT_AGAIN = "export it with `optimum-cli export onnx --task text-generation-with-past`"
# What configurations of different families call the same.
HEADS = ("num_attention_heads", "n_head", "num_heads")
WIDTH = ("hidden_size", "n_embd", "d_model")
CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
MOST_TOKENS = 2048  # where the configuration says nothing, as with positions that are biases


class PlainDecoder:
    """A session, and the keys and values of each slot as the last call gave them."""

    def __init__(self, session: Any, facts: DecoderFacts, *, slots: int, max_tokens: int) -> None:
        self.facts, self.vocabulary, self.slots, self.max_tokens = facts, facts.vocabulary, slots, max_tokens
        self._session = session
        inputs = [value.name for value in session.get_inputs()]
        self._past = [name for name in inputs if name.startswith(PAST)]
        self._has_positions = POSITIONS in inputs
        self._wanted = [LOGITS, *(name.replace(PAST, PRESENT, 1) for name in self._past)]
        self._nothing = np.zeros((1, facts.kv_heads, 0, facts.head_dimension), np.float32)
        self._slots: list[list[np.ndarray]] = [[self._nothing] * len(self._past) for _ in range(slots)]

    @classmethod
    def open(cls, folder: Path, *, threads: int, slots: int, max_tokens: int) -> "PlainDecoder":
        """Return the decoder in a folder that optimum exported; raise InputError for one with other inputs, or too short positions."""
        if slots < 1 or max_tokens < 1 or threads < 1:
            raise ValueError(f"{slots} slots of {max_tokens} tokens on {threads} threads")
        model = folder / MODEL
        if not model.is_file():
            raise InputError(f"{folder}: no {MODEL}", hint=EXPORT_AGAIN)
        session = ort_session.open_session(model, intra_op_num_threads=threads)
        facts = _facts(folder, model, session)
        if max_tokens > facts.context_tokens:
            raise InputError(
                f"{folder}: requests of {max_tokens} tokens, and its positions reach to {facts.context_tokens}",
                hint=f"ask for {facts.context_tokens} tokens at most",
            )
        return cls(session, facts, slots=slots, max_tokens=max_tokens)

    def __enter__(self) -> "PlainDecoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._slots.clear()
        self._session = None

    def prefill(self, tokens: np.ndarray, slot: int, past_tokens: int = 0) -> np.ndarray:
        """Read a prompt into a slot, or a chunk behind `past_tokens` that are cached; return logits (vocabulary,) of its last token."""
        last: np.ndarray = self._read(np.asarray(tokens, np.int64), slot, past_tokens)[-1]
        return last

    def decode(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        """Give one more token to the requests in the first slots, behind `cached` tokens of each, one request after the other."""
        tokens, cached = np.asarray(tokens, np.int64), np.asarray(cached, np.int64)
        if tokens.ndim != 1 or tokens.shape != cached.shape or not 1 <= len(tokens) <= self.slots:
            raise ValueError(f"a token and its place for 1 to {self.slots} requests, not {tokens.shape} and {cached.shape}")
        return np.stack([self.prefill(tokens[slot : slot + 1], slot, int(cached[slot])) for slot in range(len(tokens))])

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return logits (tokens, vocabulary) of each position of a text; the last slot is used for that."""
        return self._read(np.asarray(tokens, np.int64), self.slots - 1, 0)

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of one slot into another."""
        self._check_slot(target)
        self._slots[target] = self._kept(source, tokens)

    def fill(self, slot: int, tokens: int) -> None:
        """Let a slot hold so many tokens at the least: keys and values of nothing stand for those that it lacks."""
        self._check_slot(slot)
        if not 0 <= tokens <= self.max_tokens:
            raise ValueError(f"{tokens} tokens of slots of {self.max_tokens}")
        held = self._slots[slot][0].shape[2]
        if held < tokens:
            missing = np.zeros((1, self.facts.kv_heads, tokens - held, self.facts.head_dimension), np.float32)
            self._slots[slot] = [np.concatenate([values, missing], axis=2) for values in self._slots[slot]]

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} of {self.slots}")

    def _kept(self, slot: int, tokens: int) -> list[np.ndarray]:
        """Return keys and values of the first tokens of a slot."""
        self._check_slot(slot)
        held = self._slots[slot]
        if not 0 <= tokens <= held[0].shape[2]:
            raise ValueError(f"{tokens} tokens of slot {slot}, which holds {held[0].shape[2]}")
        return [values[:, :, :tokens] for values in held]

    def _read(self, tokens: np.ndarray, slot: int, past_tokens: int) -> np.ndarray:
        """Return logits (tokens, vocabulary) of new tokens of a slot, whose keys and values it holds then."""
        past = self._kept(slot, past_tokens)
        end = past_tokens + len(tokens)
        if tokens.ndim != 1 or not tokens.size or end > self.max_tokens:
            raise ValueError(f"positions {past_tokens} to {end - 1} of slots of {self.max_tokens} tokens")
        if tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise ValueError(f"tokens {tokens.min()} to {tokens.max()} of a vocabulary of {self.vocabulary}")
        feeds = {IDS: tokens[None], MASK: np.ones((1, end), np.int64), **dict(zip(self._past, past, strict=True))}
        if self._has_positions:
            feeds[POSITIONS] = np.arange(past_tokens, end, dtype=np.int64)[None]
        try:
            found = self._session.run(self._wanted, feeds)
        except Exception as error:  # ONNX Runtime raises a family of pybind exceptions whose only common base is Exception
            raise ModelError(f"{ort_session.FAILED}{ort_errors.in_words(error)}", hint=EXPORT_AGAIN) from error
        self._slots[slot] = found[1:]
        logits: np.ndarray = found[0][0]
        return logits


def _facts(folder: Path, model: Path, session: Any) -> DecoderFacts:
    """Return the facts of an export: its graph's, and of the configuration beside it what the graph does not say."""
    inputs, outputs = decoder_folder.declared(session, model)
    past = [name for name in inputs if name.startswith(PAST)]
    named, presents = {IDS, MASK, *past}, {name.replace(PAST, PRESENT, 1) for name in past}
    if not past or not named <= inputs.keys() or inputs.keys() - named - {POSITIONS} or not {LOGITS, *presents} <= outputs.keys():
        listed = ", ".join(name for name in inputs if not name.startswith(PAST))
        raise InputError(f"{model}: not a decoder with its past: its inputs are {listed}", hint=EXPORT_AGAIN)
    kind, shape = inputs[past[0]]
    if len(shape) != 4 or not isinstance(shape[1], int) or not isinstance(shape[3], int) or kind != "tensor(float)":
        raise InputError(f"{model}: its past is {kind} of sizes {shape}, not heads of 32-bit floats", hint=EXPORT_AGAIN)
    config = Values(folder / CONFIG, read_object(folder / CONFIG, "the configuration of the export", EXPORT_AGAIN))
    vocabulary = config.count("vocab_size", MOST_VOCABULARY)
    sizes = outputs[LOGITS].shape
    if len(sizes) != 3 or (isinstance(sizes[2], int) and sizes[2] != vocabulary):
        raise config.wrong("vocab_size", f"the graph gives logits of sizes {sizes}", hint=EXPORT_AGAIN)
    graph = onnx_graph.read_graph(model)
    architectures = config.given("architectures")
    name = architectures[0] if isinstance(architectures, list) and architectures else None
    return DecoderFacts(
        sha256=graph.sha256,
        architecture=name if isinstance(name, str) and name else config.text("model_type", "decoder"),
        given_as="export",
        parameters=max(1, graph.parameters),
        layers=max(1, len(past) // 2),
        attention_heads=_one_of(config, HEADS, MOST_HEADS, shape[1]),
        kv_heads=shape[1],
        head_dimension=shape[3],
        hidden_size=_one_of(config, WIDTH, MOST_WIDTH),
        vocabulary=vocabulary,
        context_tokens=_one_of(config, CONTEXT, LONGEST_SEQUENCE, MOST_TOKENS),
        kv_bytes_per_token=len(past) * shape[1] * shape[3] * FLOAT_BYTES,
    )


def _one_of(config: Values, keys: tuple[str, ...], most: int, default: int | None = None) -> int:
    key = next((key for key in keys if config.given(key) is not None), keys[0])
    return config.count(key, most, default)
