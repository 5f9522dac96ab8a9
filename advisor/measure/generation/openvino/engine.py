"""OpenVINO's ContinuousBatchingPipeline, one step at a time: requests join and leave between steps, and a log of what each step held.

Its policy is `mixed`: a step gives a token to every running request and reads prompts with what is left of a budget of tokens, first come,
first served, in one call. What a step holds follows from that (openvino.genai, scheduler.hpp, dynamic_split_fuse), and is checked against
the tokens that come out of it. The scheduler itself limits only tokens: how many requests run side by side is decided here.
The doorway to `openvino_genai`.
"""

import importlib.metadata
import importlib.util
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from advisor.errors import InputError, MissingDependencyError, ModelError
from advisor.measure.decoder.decoder_folder import read_label
from advisor.measure.generation.clock import LoopClock, ProcessorClock, Read, WallClock
from advisor.measure.generation.openvino import without_words
from advisor.measure.generation.openvino.export import MODEL
from advisor.measure.runtime import openvino_session
from advisor.schema.generation import Clock
from advisor.schema.record import Count, Record, Whole

BLOCK_TOKENS = 32  # of the paged cache, on processors
# Without these the cache, and on some processors the arithmetic too, are rounded to 16 bits or less.
IN_FLOATS = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}


class Lookup(NamedTuple):
    """Prompt lookup: so many tokens are proposed each step, those that followed the latest few where these stood before."""

    tokens: int = 4
    longest_match: int = 3


class Draft(NamedTuple):
    """Another decoder, in a folder that `write_openvino` wrote, proposes so many tokens each step."""

    folder: Path
    tokens: int


Proposer = Lookup | Draft


class PromptPart(Record, frozen=True, kw_only=True):
    """A prompt, or a chunk of it, that a step reads behind what is cached of it."""

    tokens: Count
    past_tokens: Whole


class Held(Record, frozen=True, kw_only=True):
    """What one step holds: requests that get tokens, with so many cached in all of them together, and what is read of prompts."""

    batch_size: Whole
    context_tokens: Whole
    prompts: tuple[PromptPart, ...]

    @property
    def prompt_tokens(self) -> int:
        """How many tokens of prompts are read."""
        return sum(part.tokens for part in self.prompts)


@dataclass(slots=True)
class Request:
    """A request in the engine: how far its prompt is read, and the tokens that it got."""

    prompt_tokens: int
    output_tokens: int
    handle: Any = None
    read: int = 0
    tokens: list[int] = field(default_factory=list)

    @property
    def is_read(self) -> bool:
        """Whether nothing of its prompt is left to read."""
        return self.read >= self.prompt_tokens


def schedule(requests: Iterable[Request], budget_tokens: int, *, proposed: int = 0) -> tuple[Held, list[int]]:
    """Return what the next step holds of requests in the order in which they came, and how much of each prompt it reads.

    `proposed` tokens are checked beside the next one of each running request.
    """
    listed = list(requests)
    running = [request for request in listed if request.is_read]
    room = budget_tokens - len(running) * (1 + proposed)
    reads: list[int] = []
    parts: list[PromptPart] = []
    for request in listed:
        tokens = min(room, request.prompt_tokens - request.read)
        reads.append(tokens)
        room -= tokens
        if tokens:
            parts.append(PromptPart(tokens=tokens, past_tokens=request.read))
    # The latest token of each is not in the cache yet: it is what the step reads of it.
    context = sum(request.prompt_tokens + len(request.tokens) - 1 for request in running)
    return Held(batch_size=len(running), context_tokens=context, prompts=tuple(parts)), reads


class Engine:
    """A decoder in the engine; use as a context manager, which ends what still runs."""

    def __init__(
        self,
        pipeline: Any,
        new_request: Any,
        *,
        threads: int,
        max_running: int,
        budget_tokens: int,
        kv_tokens: int,
        max_tokens: int,
        vocabulary: int,
        proposed: int,
    ) -> None:
        """`new_request` adds a request with its prompt (tokens,) and the tokens that it is to get to the pipeline."""
        self._pipeline, self._new_request = pipeline, new_request
        self.threads, self.max_running, self.budget_tokens = threads, max_running, budget_tokens
        self.kv_tokens, self.max_tokens, self.proposed = kv_tokens, max_tokens, proposed
        self.vocabulary = vocabulary
        self._requests: dict[int, Request] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.drop()

    @property
    def running(self) -> int:
        """How many requests it has, those whose prompts are being read among them."""
        return len(self._requests)

    def next_held(self) -> Held:
        """Return what the next step will hold."""
        return schedule(self._requests.values(), self.budget_tokens, proposed=self.proposed)[0]

    def add(self, number: int, prompt: np.ndarray, output_tokens: int) -> None:
        """Let a request join at the next step."""
        assert self.running < self.max_running, "nobody may join where all that may run do"
        self._requests[number] = Request(len(prompt), output_tokens, self._new_request(prompt, output_tokens))

    def step(self) -> Mapping[int, Sequence[int]]:
        """Make one step and return the new tokens of each request that got some; those that have all of theirs leave.

        Raises ModelError if the engine did something else than its rule says.
        """
        held, reads = schedule(self._requests.values(), self.budget_tokens, proposed=self.proposed)
        self._pipeline.step()
        found: dict[int, list[int]] = {}
        for (number, request), read in zip(list(self._requests.items()), reads, strict=True):
            was_read = request.is_read
            request.read += read
            new = _new_tokens(request.handle)
            most = (1 + self.proposed if was_read else 1) if request.is_read else 0
            if not min(most, 1) <= len(new) <= most:
                raise ModelError(
                    f"OpenVINO gave {len(new)} tokens to a request where its scheduler was to give {most} (a step of {held})",
                    hint="use a version of openvino-genai that advisor was tested with, or serve it with ONNX Runtime",
                )
            if new:
                request.tokens += new
                found[number] = new
            if len(request.tokens) >= request.output_tokens:
                del self._requests[number]
        return found

    def drop(self) -> None:
        """End all requests where they are."""
        for request in self._requests.values():
            request.handle.cancel()
        self._requests.clear()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def check(self, prompt_tokens: int, output_tokens: int) -> None:
        """Raise InputError for a request that is longer than what the decoder knows positions of."""
        needed = prompt_tokens + output_tokens + self.proposed
        if needed > self.max_tokens:
            proposed = f", and {self.proposed} proposed beside," if self.proposed else ""
            raise InputError(
                f"{prompt_tokens} tokens to read and {output_tokens} to write{proposed} are more than the {self.max_tokens} a request",
                hint="serve it with a longer context, or leave such requests out",
            )


def open_engine(
    folder: Path, *, threads: int, max_running: int, budget_tokens: int, kv_tokens: int, proposer: Proposer | None = None
) -> Engine:
    """Open what `write_openvino` wrote; a step reads `budget_tokens` at most, and the cache holds `kv_tokens` of all requests together.

    A draft has a cache of its own for as many tokens. Raises MissingDependencyError without the extra, InputError for a budget without room
    for a prompt, ModelError if OpenVINO refuses it.
    """
    label = read_label(folder)
    proposed = proposer.tokens if proposer else 0
    if budget_tokens <= max_running * (1 + proposed):
        raise InputError(
            f"a budget of {budget_tokens} tokens a step: {max_running} running requests take {max_running * (1 + proposed)}, "
            "and nothing is left to read prompts",
            hint="give a larger budget, such as 256, or run fewer requests",
        )
    openvino = openvino_session.load_openvino(folder)
    genai = _load_genai(folder)
    scheduler = genai.SchedulerConfig()
    scheduler.max_num_batched_tokens = budget_tokens
    scheduler.max_num_seqs = max_running
    scheduler.dynamic_split_fuse = True
    scheduler.enable_prefix_caching = False
    # Each request may leave a part of its last block empty.
    scheduler.num_kv_blocks = -(-kv_tokens // BLOCK_TOKENS) + max_running
    pipeline = _pipeline(genai, folder, scheduler, threads, proposer)
    numbers = iter(range(2**62))

    def new_request(prompt: np.ndarray, output_tokens: int) -> Any:
        settings = genai.GenerationConfig()
        settings.max_new_tokens, settings.do_sample, settings.ignore_eos = output_tokens, False, True
        # No token ends an answer, but without a tokenizer the engine has to be told of one.
        settings.eos_token_id, settings.stop_token_ids = 0, {0}
        if proposer:
            settings.num_assistant_tokens = proposer.tokens
        if isinstance(proposer, Lookup):
            settings.max_ngram_size = proposer.longest_match
        ids = openvino.Tensor(np.ascontiguousarray(prompt, dtype=np.int64)[None])
        return pipeline.add_request(next(numbers), ids, settings)

    return Engine(
        pipeline,
        new_request,
        threads=threads,
        max_running=max_running,
        budget_tokens=budget_tokens,
        kv_tokens=kv_tokens,
        max_tokens=label.max_tokens,
        vocabulary=label.facts.vocabulary,
        proposed=proposed,
    )


def _pipeline(genai: Any, folder: Path, scheduler: Any, threads: int, proposer: Proposer | None) -> Any:
    in_floats = IN_FLOATS | {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    settings: dict[str, Any] = in_floats | {"sampler_num_threads": 1}
    try:
        if isinstance(proposer, Lookup):
            settings["prompt_lookup"] = True
        elif proposer is not None:
            for place in (folder, proposer.folder):
                without_words.write(place)
            settings["draft_model"] = genai.draft_model(str(proposer.folder), "CPU", scheduler_config=scheduler, **in_floats)
        return genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", settings)
    except Exception as error:  # OpenVINO raises RuntimeError and pybind's own exceptions for whatever it does not like
        raise openvino_session.refused(folder / MODEL, error) from error


def engine_time(threads: int) -> Read:
    """Return what reads the processor time of an engine's own threads, by how many they are: its calls compute in none of the caller's."""
    return lambda: time.process_time() / threads


def engine_clock(kind: Clock, threads: int) -> LoopClock:
    """Return a clock of that kind for a loop around an engine."""
    return WallClock() if kind == "wall" else ProcessorClock(threads, read=engine_time(threads))


def _new_tokens(handle: Any) -> list[int]:
    """Return what a request got since it was last asked; greedily there is one answer to each."""
    return list(_unread(handle))


def _unread(handle: Any) -> Iterator[int]:
    while handle.can_read():
        for output in handle.read().values():
            yield from output.generated_ids


def version() -> str | None:
    """Return the version of the engine's package, None where that or OpenVINO itself is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("openvino", "openvino_genai")):
        return None
    try:
        return importlib.metadata.version("openvino-genai")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _load_genai(folder: Path) -> Any:
    try:
        import openvino_genai
    except ImportError as error:
        raise MissingDependencyError(
            f"{folder}: generating in OpenVINO needs the package openvino-genai", hint=openvino_session.INSTALL
        ) from error
    return openvino_genai
