"""Runs a decoder on ONNX Runtime with the cache of keys and values in place: prefill of one request, decode steps of several at once.

The cache is one array (slots, heads, max_tokens, dimension) for each layer and side, and a request is a slot of it, whatever its length:
what a call reads and what it writes lie at the same place.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import InputError, ModelError
from advisor.measure.decoder import decoder_folder, genai_folder, graph
from advisor.measure.decoder.config_values import quoted
from advisor.measure.decoder.genai_folder import Names
from advisor.measure.runtime import memory, ort_errors, ort_session
from advisor.schema.generation import DecoderFacts
from advisor.units import size

# Of the sizes of the file: as it is read, and as ONNX Runtime packs it for its products.
COPIES_OF_WEIGHTS = 2
ELEMENTS = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
CPU = "cpu"  # as an io_binding names it


class _Step(NamedTuple):
    """One call: new tokens of requests in consecutive slots, and how many of each are cached before them."""

    tokens: np.ndarray  # (requests, tokens)
    cached: np.ndarray  # (requests,)
    first_slot: int
    kept: np.ndarray  # of which tokens logits are wanted, counted over all requests


class Decoder:
    """A session and its cache; a slot holds one request."""

    def __init__(
        self, session: Any, facts: DecoderFacts, scheme: str, names: Names | None, *, slots: int, max_tokens: int
    ) -> None:
        self.facts, self.vocabulary, self.slots, self.max_tokens = facts, facts.vocabulary, slots, max_tokens
        self.scheme = scheme  # under which it was written
        self._session, self._names = session, names  # None: a graph of ours
        self._pairs = _cache_names(names, facts)
        self._room = (facts.kv_heads, max_tokens, facts.head_dimension)
        types = {value.name: value.type for value in session.get_inputs()}
        # Written, not only asked for: the system gives memory where it is first written, and the first steps would pay for that.
        self._cache = {past: np.full((slots, *self._room), 0, ELEMENTS[types[past]]) for past, _ in self._pairs}
        self._bindings: dict[tuple[int, int], Any] = {}

    @classmethod
    def open(cls, folder: Path, *, threads: int, slots: int, max_tokens: int) -> "Decoder":
        """Return the decoder in a folder that advisor or onnxruntime-genai wrote, ready for so many requests of so many tokens.

        Raises InputError for a folder that holds none, for more tokens than it has positions for, and for more than fits into memory.
        """
        if slots < 1 or max_tokens < 1 or threads < 1:
            raise ValueError(f"{slots} slots of {max_tokens} tokens on {threads} threads")
        names = None
        if (folder / decoder_folder.LABEL).is_file():
            label = decoder_folder.read_label(folder)
            facts, scheme, most_tokens, model = label.facts, label.scheme, label.max_tokens, folder / decoder_folder.MODEL
        elif (folder / genai_folder.CONFIG).is_file():
            facts, names, model = genai_folder.read(folder)
            scheme, most_tokens = genai_folder.AS_GIVEN, facts.context_tokens
        else:
            raise InputError(
                f"{folder}: neither {decoder_folder.LABEL} nor {genai_folder.CONFIG}",
                hint="give a folder that advisor or the model builder of onnxruntime-genai wrote",
            )
        if max_tokens > most_tokens:
            raise InputError(
                f"{folder}: requests of {max_tokens} tokens, and its positions reach to {most_tokens}",
                hint=f"ask for {most_tokens} tokens at most",
            )
        _refuse_large(folder, facts, slots, max_tokens)
        session = ort_session.open_session(model, intra_op_num_threads=threads)
        _check_values(session, model, names, facts)
        return cls(session, facts, scheme, names, slots=slots, max_tokens=max_tokens)

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._bindings.clear()
        self._cache.clear()
        self._session = None

    def prefill(self, tokens: np.ndarray, slot: int, past_tokens: int = 0) -> np.ndarray:
        """Read a prompt into a slot, or a chunk behind `past_tokens` that are cached; return logits (vocabulary,) of its last token."""
        step = self._prompt(tokens, slot, past_tokens)
        last: np.ndarray = self._run(step._replace(kept=step.kept[-1:]))[0]
        return last

    def decode(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        """Give one token to each of the first slots, behind the `cached` tokens of each; return logits (requests, vocabulary)."""
        tokens, cached = np.asarray(tokens, np.int64), np.asarray(cached, np.int64)
        if tokens.ndim != 1 or tokens.shape != cached.shape or not 1 <= len(tokens) <= self.slots:
            raise ValueError(f"a token and its place for 1 to {self.slots} requests, not {tokens.shape} and {cached.shape}")
        self._check(tokens, int(cached.min()), int(cached.max()) + 1)
        return self._run(_Step(tokens[:, None], cached, 0, np.arange(len(tokens))))

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return logits (tokens, vocabulary) of each position of a text; the last slot is used for that."""
        step = self._prompt(tokens, self.slots - 1, 0)
        found = self._run(step)
        if len(found) == step.tokens.size:
            return found
        # A graph that gives logits of the last token alone is asked for one token after the other.
        return np.stack([self.prefill(step.tokens[0, at : at + 1], step.first_slot, at) for at in range(step.tokens.size)])

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of one slot into another."""
        self._check_slot(source)
        self._check_slot(target)
        if not 0 <= tokens <= self.max_tokens:
            raise ValueError(f"{tokens} tokens of slots of {self.max_tokens}")
        for values in self._cache.values():
            values[target, :, :tokens] = values[source, :, :tokens]

    def fill(self, slot: int, tokens: int) -> None:
        """Let a slot hold so many tokens, whichever: what is in its memory is taken for these."""
        self._check_slot(slot)
        if not 0 <= tokens <= self.max_tokens:
            raise ValueError(f"{tokens} tokens of slots of {self.max_tokens}")

    def _prompt(self, tokens: np.ndarray, slot: int, past_tokens: int) -> _Step:
        tokens = np.asarray(tokens, np.int64)
        if tokens.ndim != 1 or not tokens.size:
            raise ValueError(f"a prompt is a row of tokens, not {tokens.shape}")
        self._check_slot(slot)
        self._check(tokens, past_tokens, past_tokens + len(tokens))
        return _Step(tokens[None], np.array([past_tokens], np.int64), slot, np.arange(len(tokens)))

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} of {self.slots}")

    def _check(self, tokens: np.ndarray, first: int, end: int) -> None:
        if first < 0 or end > self.max_tokens:
            raise ValueError(f"positions {first} to {end - 1} of slots of {self.max_tokens} tokens")
        if tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise ValueError(f"tokens {tokens.min()} to {tokens.max()} of a vocabulary of {self.vocabulary}")

    def _run(self, step: _Step) -> np.ndarray:
        """Return logits (kept, vocabulary) of a call, or those of the last token alone where the graph gives no more."""
        binding = self._binding(step.first_slot, len(step.tokens))
        feeds = _feeds(step) if self._names is None else _masked_feeds(step, self._names)
        for name, values in feeds.items():
            binding.bind_input(name, CPU, 0, values.dtype, values.shape, values.ctypes.data)
        found = np.empty((len(step.kept), self.vocabulary), np.float32)
        if self._names is None:
            binding.bind_output(graph.LOGITS, CPU, 0, np.float32, found.shape, found.ctypes.data)
        else:
            binding.bind_output(self._names.logits, CPU)  # again: it would have the size that it had in the call before
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime raises a family of pybind exceptions whose only common base is Exception
            raise ModelError(
                f"{ort_session.FAILED}{ort_errors.in_words(error)}", hint="check that onnxruntime runs this folder on its own"
            ) from error
        if self._names is None:
            return found
        rows = np.asarray(binding.get_outputs()[0].numpy(), np.float32).reshape(-1, self.vocabulary)
        return rows[step.kept] if len(rows) > len(step.kept) else rows

    def _binding(self, first_slot: int, requests: int) -> Any:
        """Return the binding of consecutive slots, made once: to bind a hundred places and more takes half a millisecond."""
        key = (first_slot, requests)
        if key not in self._bindings:
            binding = self._session.io_binding()
            if self._names is not None:
                # Outputs come back in the order of binding: this one first.
                binding.bind_output(self._names.logits, CPU)
            shape = (requests, *self._room)
            for past, present in self._pairs:
                values = self._cache[past][first_slot:]
                binding.bind_input(past, CPU, 0, values.dtype, shape, values.ctypes.data)
                binding.bind_output(present, CPU, 0, values.dtype, shape, values.ctypes.data)
            self._bindings[key] = binding
        return self._bindings[key]


def _cache_names(names: Names | None, facts: DecoderFacts) -> tuple[tuple[str, str], ...]:
    """Return past and present of each layer and side."""
    if names is not None:
        return names.cache
    places = [(layer, side) for layer in range(facts.layers) for side in ("key", "value")]
    return tuple((graph.past_name(*place), graph.present_name(*place)) for place in places)


def _feeds(step: _Step) -> dict[str, np.ndarray]:
    """Return what a graph of ours is given beside the cache."""
    new = step.tokens.shape[1]
    return {
        graph.INPUT_IDS: np.ascontiguousarray(step.tokens),
        graph.SEQLENS: (step.cached + new - 1).astype(np.int32),
        graph.TOTAL: np.array([step.cached.max() + new], np.int32),
        graph.KEPT: np.ascontiguousarray(step.kept, np.int64),
    }


def _masked_feeds(step: _Step, names: Names) -> dict[str, np.ndarray]:
    """Return what a graph of onnxruntime-genai is given beside the cache: it counts lengths in a mask."""
    new = step.tokens.shape[1]
    ends = step.cached[:, None] + new
    feeds = {
        names.ids: np.ascontiguousarray(step.tokens),
        names.mask: (np.arange(ends.max())[None, :] < ends).astype(np.int64),
    }
    return feeds if names.positions is None else feeds | {names.positions: step.cached[:, None] + np.arange(new)[None, :]}


def _check_values(session: Any, model: Path, names: Names | None, facts: DecoderFacts) -> None:
    """Raise InputError unless the graph has the inputs and outputs that its folder says, with a cache that is known here."""
    inputs, outputs = decoder_folder.declared(session, model)
    cache = _cache_names(names, facts)
    if names is None:
        plain, logits = {graph.INPUT_IDS, graph.SEQLENS, graph.TOTAL, graph.KEPT}, graph.LOGITS
    else:
        plain, logits = {names.ids, names.mask} | ({names.positions} if names.positions is not None else set()), names.logits
    wanted = plain | {past for past, _ in cache}
    missing = sorted(wanted - inputs.keys()) + sorted({logits, *(present for _, present in cache)} - outputs.keys())
    if missing:
        raise InputError(f"{model}: its graph has no {quoted(missing[0])}, which its folder names", hint="make the folder again")
    if more := sorted(inputs.keys() - wanted):
        raise InputError(
            f"{model}: its graph asks for {quoted(more[0])}, which is not known here", hint="give a model of text alone"
        )
    if not _fits(outputs[logits].shape, (None, facts.vocabulary) if names is None else (None, None, facts.vocabulary)):
        raise InputError(
            f"{model}: its logits have sizes {outputs[logits].shape}, and its folder says {facts.vocabulary} tokens",
            hint="make the folder again",
        )
    for past, _ in cache:
        found = inputs[past]
        if found.type not in ELEMENTS:
            raise InputError(f"{model}: {past} is of {found.type}, which is not run here", hint="build it for the CPU, in fp32")
        if not _fits(found.shape, (None, facts.kv_heads, None, facts.head_dimension)):
            raise InputError(
                f"{model}: {past} has sizes {found.shape}, and its folder says {facts.kv_heads} heads of {facts.head_dimension}",
                hint="make the folder again",
            )


def _fits(shape: tuple[int | str | None, ...], expected: tuple[int | None, ...]) -> bool:
    """Return whether sizes may be the expected ones: either side may leave one open."""
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(not isinstance(one, int) or other in (None, one) for one, other in pairs)


def _refuse_large(folder: Path, facts: DecoderFacts, slots: int, max_tokens: int) -> None:
    """Raise InputError if weights and cache do not fit into the memory that is free."""
    cache = slots * max_tokens * facts.kv_bytes_per_token
    weights = COPIES_OF_WEIGHTS * sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    room = memory.available_bytes()
    if room is not None and cache + weights > room:
        raise InputError(
            f"{folder}: {slots} requests of {max_tokens} tokens take a cache of {size(cache)}, beside weights of up to {size(weights)}; "
            f"{size(room)} of memory are free here",
            hint="ask for fewer or shorter requests",
        )
