"""What a profile asks of the process of one decoder in OpenVINO, by the same names as of one in ONNX Runtime; and speculation, tried.

It keeps engines open from call to call. Its processor time is that of the whole process, so nothing else may compute in it meanwhile.
"""

import itertools
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from advisor.measure.generation.making import difference
from advisor.measure.generation.openvino.engine import BLOCK_TOKENS, Draft, Engine, Lookup, Proposer, engine_time, open_engine
from advisor.measure.generation.openvino.plain_model import PlainModel
from advisor.measure.generation.openvino.speculation import Engines, open_engines, tried
from advisor.measure.generation.openvino.timing import Bench, check, parts_of, whole
from advisor.measure.generation.scripts import Script, scripts
from advisor.measure.generation.step_timing import Step
from advisor.measure.generation.text_quality import Scored
from advisor.measure.generation.text_quality import scored as scored_by
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.generation.variant_process import Setting, Timed
from advisor.measure.runtime import machine
from advisor.schema.generation import Clock, LookupText, Speculation
from advisor.schema.record import Cores, Count, Length, Record, Whole

BUDGET_TOKENS = 256  # of a step that is timed: what the engine has by default
OPEN_ENGINES = 2  # of a process: on one thread, and on all cores


def steps_of(max_running: int, max_tokens: int, longest_tokens: int) -> tuple[Script, ...]:
    """Return the scripts to time for so many running requests of so many tokens, with prompts of up to `longest_tokens`."""
    return scripts(max_running, BUDGET_TOKENS, max_tokens, longest_tokens=longest_tokens)


def cache_tokens(setting: Setting) -> int:
    """Return how many tokens the cache has to hold for what is timed."""
    listed = scripts(setting.slots, BUDGET_TOKENS, setting.max_tokens)
    return max(script.tokens(BUDGET_TOKENS) for script in listed) + setting.slots * BLOCK_TOKENS


@lru_cache(maxsize=OPEN_ENGINES)
def _engine(folder: Path, setting: Setting) -> Engine:
    return open_engine(
        folder,
        threads=setting.intra_op_num_threads,
        max_running=setting.slots,
        budget_tokens=BUDGET_TOKENS,
        kv_tokens=cache_tokens(setting),
    )


@lru_cache(maxsize=1)
def _plain(folder: Path, threads: int) -> PlainModel:
    return PlainModel.open(folder, threads=threads)


def opened(folder: Path, setting: Setting) -> float:
    """Open a variant in this process, which keeps it, and return the seconds that it took."""
    began_s = time.perf_counter()
    _engine(folder, setting)
    return time.perf_counter() - began_s


def compared(folder: Path, setting: Setting, checkpoint: Path, truth: Path, *, is_exact: bool, seed: int) -> float:
    """Return how far the variant's logits are from the checkpoint's own; raise ModelError where it is to be exact and is not."""
    decoder: Any = _plain(folder, setting.intra_op_num_threads)  # without steps: comparing asks for logits alone
    return difference(decoder, checkpoint, truth, is_exact=is_exact, seed=seed)


def scored(folder: Path, setting: Setting, windows: Windows, seconds: float) -> Scored:
    """Return what the variant says of the windows, until the time is over."""
    decoder: Any = _plain(folder, setting.intra_op_num_threads)
    return scored_by(decoder, windows, seconds=seconds)


def visited(folder: Path, setting: Setting, step: Step, seconds: float, warm_up_calls: int, order: int) -> Timed:
    """Return a visit of a script, which is played once whatever the seconds: its steps are visits of several points."""
    assert isinstance(step, Script), "single steps cannot be made again: the engine's cache grows with each"
    _plain.cache_clear()  # it would hold memory, and is asked before anything is timed
    engine = _engine(folder, setting)
    check(engine, step)
    bench = Bench(engine, np.random.default_rng(order), time.perf_counter, engine_time(engine.threads))
    for _ in range(warm_up_calls):
        bench.play(step)
    samples = bench.play(step)
    return Timed(
        visit=whole(samples, order),
        parts=parts_of(samples, itertools.repeat(order)),
        peak_memory_bytes=machine.peak_memory_bytes(),
    )


class SpeculationSetting(Record, frozen=True, kw_only=True):
    """How the engine is opened twice, without and with speculation."""

    intra_op_num_threads: Cores
    most_running: Count
    longest_prompt: Length
    most_output_tokens: Count
    draft: str | None = None  # what it is called; None: prompt lookup
    draft_folder: Path | None = None
    proposed_tokens: Count = Lookup().tokens

    @property
    def proposer(self) -> Proposer:
        """What proposes tokens."""
        return Lookup(self.proposed_tokens) if self.draft_folder is None else Draft(self.draft_folder, self.proposed_tokens)


@lru_cache(maxsize=1)
def _engines(folder: Path, setting: SpeculationSetting) -> Engines:
    return open_engines(
        folder,
        threads=setting.intra_op_num_threads,
        most_running=setting.most_running,
        longest_prompt=setting.longest_prompt,
        output_tokens=setting.most_output_tokens,
        proposer=setting.proposer,
    )


def speculation_opened(folder: Path, setting: SpeculationSetting) -> float:
    """Open the engine without and with speculation, make the first calls, and return the seconds that it took."""
    began_s = time.perf_counter()
    _engines(folder, setting)
    return time.perf_counter() - began_s


def speculated(
    folder: Path,
    setting: SpeculationSetting,
    text: LookupText,
    prompts: tuple[tuple[Whole, ...], ...],
    running: int,
    *,
    output_tokens: int,
    seconds: float,
    most_s: float,
    clock: Clock,
) -> Speculation | None:
    """Return what speculation does to these prompts, so many at once; None where even the fewest rounds take longer than `most_s`.

    Of more rounds than the fewest as many are made as end within `seconds`.
    """
    engines = _engines(folder, setting)
    listed = [np.array(prompt, dtype=np.int64) for prompt in prompts]
    return tried(
        engines,
        listed,
        text=text,
        draft=setting.draft,
        running=running,
        output_tokens=output_tokens,
        seconds=seconds,
        most_s=most_s,
        clock=clock,
    )
