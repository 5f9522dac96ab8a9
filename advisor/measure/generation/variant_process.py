"""What is asked of the process of one variant: steps timed, text scored, requests served. It keeps decoders open from call to call."""

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.encoder_decoder import EncoderDecoder
from advisor.measure.decoder.plain_export import PlainDecoder
from advisor.measure.generation.clock import loop_clock
from advisor.measure.generation.making import Opened, difference, open_decoder
from advisor.measure.generation.replay import Replayed, Requests, check, replay, sample_equals_alone
from advisor.measure.generation.scripts import Part
from advisor.measure.generation.step_timing import Bench, Decode, Prefill, Step
from advisor.measure.generation.text_quality import Scored
from advisor.measure.generation.text_quality import scored as scored_by
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.runtime import machine, stalls
from advisor.schema.generation import Clock, Policy, StepVisit
from advisor.schema.profile import Stalls
from advisor.schema.record import Cores, Count, Fraction, Length, NonNegative, Record, Seconds, Whole

OPEN_DECODERS = 2  # of a process: on one thread, and on all cores

T = TypeVar("T")


class Setting(Record, frozen=True, kw_only=True):
    """How a variant is opened."""

    intra_op_num_threads: Cores
    slots: Count
    max_tokens: Length  # of a row of the cache
    input_fraction: Fraction | None = None  # of what is cached in a timed step, that an encoder gave; None: there is none


class Timed(Record, frozen=True, kw_only=True):
    """A visit, and the most that its process has held by its end."""

    visit: StepVisit
    peak_memory_bytes: Whole
    parts: tuple[Part, ...] = ()  # of a script: what of the visit is a point by itself


class Load(Record, frozen=True, kw_only=True):
    """Requests to serve, and how."""

    prompts: tuple[tuple[Whole, ...], ...]
    output_tokens: tuple[Count, ...]
    arrival_s: tuple[Seconds, ...] | None  # None: a closed loop
    clients: Count = 1
    think_s: tuple[NonNegative, ...] = ()  # of each request, in a closed loop
    policy: Policy
    max_running_requests: Count
    chunk_tokens: Count | None
    clock: Clock

    def requests(self) -> Requests:
        """Return the requests alone, as a loop takes them."""
        return Requests(
            prompts=[np.array(prompt, dtype=np.int64) for prompt in self.prompts],
            output_tokens=self.output_tokens,
            arrival_s=self.arrival_s,
            clients=self.clients,
            think_s=self.think_s,
        )


class Meanwhile(Record, frozen=True, kw_only=True):
    """What was observed of the machine while requests were served."""

    stalls: tuple[Stalls, ...]
    wall_s: Seconds
    run_delay_s: Seconds | None

    @property
    def run_delay_fraction(self) -> float | None:
        """The part of the time that threads of the process waited for a core; None where the kernel hides it."""
        return None if self.run_delay_s is None else self.run_delay_s / max(self.wall_s, 1e-9)


class Served(Record, frozen=True, kw_only=True):
    """What was observed of requests that were served, and of the machine meanwhile."""

    replayed: Replayed
    tokens_equal: bool | None  # those of a sample to what they get alone; None: not compared
    meanwhile: Meanwhile


@lru_cache(maxsize=OPEN_DECODERS)
def _decoder(folder: Path, setting: Setting) -> Opened:
    """Return the decoder of a variant in this process, which keeps it for the next call."""
    return open_decoder(
        folder,
        threads=setting.intra_op_num_threads,
        slots=setting.slots,
        max_tokens=setting.max_tokens,
        input_fraction=setting.input_fraction,
    )


def _of_text(folder: Path, setting: Setting) -> Decoder | PlainDecoder:
    """Return the same, of what reads a text token by token: nobody asks for this where an encoder reads."""
    decoder = _decoder(folder, setting)
    assert not isinstance(decoder, EncoderDecoder), f"{folder}: a text is no answer to an input"
    return decoder


def cache_tokens(setting: Setting) -> int:
    """Return how many tokens the cache of a variant has room for."""
    return setting.slots * setting.max_tokens


@lru_cache(maxsize=OPEN_DECODERS)
def _bench(folder: Path, setting: Setting) -> Bench:
    """Return the bench on it, which draws other tokens for each visit."""
    return Bench(_decoder(folder, setting), setting.intra_op_num_threads)


def opened(folder: Path, setting: Setting) -> float:
    """Open a variant in this process, which keeps it, and return the seconds that it took."""
    began_s = time.perf_counter()
    _bench(folder, setting)
    return time.perf_counter() - began_s


def compared(folder: Path, setting: Setting, checkpoint: Path, truth: Path, *, is_exact: bool, seed: int) -> float:
    """Return how far the variant's logits are from the checkpoint's own; raise ModelError where it is to be exact and is not."""
    return difference(_of_text(folder, setting), checkpoint, truth, is_exact=is_exact, seed=seed)


def visited(folder: Path, setting: Setting, step: Step, seconds: float, warm_up_calls: int, order: int) -> Timed:
    """Return a visit of a step."""
    visit = _bench(folder, setting).visit(step, order, seconds=seconds, warm_up_calls=warm_up_calls)
    return Timed(visit=visit, peak_memory_bytes=machine.peak_memory_bytes())


def scored(folder: Path, setting: Setting, windows: Windows, seconds: float) -> Scored:
    """Return what the variant says of the windows, until the time is over."""
    return scored_by(_of_text(folder, setting), windows, seconds=seconds)


def served(folder: Path, setting: Setting, load: Load, *, sample: int = 0, seed: int = 0) -> Served:
    """Serve the requests; compare a sample of them with those alone."""
    bench = _bench(folder, setting)
    requests = load.requests()
    check(bench.decoder, requests, load.policy, max_running=load.max_running_requests, chunk_tokens=load.chunk_tokens)
    _warm_up(bench, requests, load.max_running_requests)
    clock = loop_clock(load.clock, setting.intra_op_num_threads)
    replayed, meanwhile = watched(
        lambda: replay(
            bench.decoder,
            requests,
            load.policy,
            max_running=load.max_running_requests,
            chunk_tokens=load.chunk_tokens,
            clock=clock,
        )
    )
    return Served(
        replayed=replayed,
        tokens_equal=sample_equals_alone(bench.decoder, requests, replayed, sample=sample, seed=seed) if sample else None,
        meanwhile=meanwhile,
    )


def _warm_up(bench: Bench, requests: Requests, running: int) -> None:
    """Make the largest steps that the requests will ask for: memory that is taken for the first time takes longer."""
    for step in (Prefill(tokens=max(map(len, requests.prompts))), Decode(batch_size=running, context_tokens=running)):
        bench.visit(step, 0, seconds=0.0, warm_up_calls=0)


def watched(serve: Callable[[], T]) -> tuple[T, Meanwhile]:
    """Return what serving requests returns, and what was observed of the machine meanwhile."""
    machine.wake_punctually()
    began_s, delay_s = time.perf_counter(), machine.run_delay_s()
    with stalls.beside() as seen:
        found = serve()
    wall_s, after_s = time.perf_counter() - began_s, machine.run_delay_s()
    delayed_s = None if delay_s is None or after_s is None else max(0.0, after_s - delay_s)
    return found, Meanwhile(stalls=tuple(seen), wall_s=wall_s, run_delay_s=delayed_s)
