"""What is asked of the process of one decoder in OpenVINO that is served: requests, and steps timed around them.

It keeps the engine open from call to call. Its processor time is that of the whole process, so nothing else may compute in it meanwhile.
"""

import time
from functools import lru_cache
from pathlib import Path

from advisor.measure.generation.openvino import replay, timing
from advisor.measure.generation.openvino.engine import Engine, engine_clock, open_engine
from advisor.measure.generation.openvino.plain_model import PlainModel
from advisor.measure.generation.openvino.replay import MixedStep
from advisor.measure.generation.replay import Replayed
from advisor.measure.generation.scripts import Points, scripts
from advisor.measure.generation.variant_process import Load
from advisor.measure.runtime import machine, stalls
from advisor.schema.profile import Stalls
from advisor.schema.record import Cores, Count, Record, Seconds


class Setting(Record, frozen=True, kw_only=True):
    """How the engine is opened; a step reads `budget_tokens` at most."""

    intra_op_num_threads: Cores
    max_running_requests: Count
    budget_tokens: Count
    kv_tokens: Count


class Served(Record, frozen=True, kw_only=True):
    """What was observed of requests that were served, and of the machine meanwhile; steps timed before and after them."""

    replayed: Replayed
    steps: tuple[MixedStep, ...]
    tokens_equal: bool | None  # those of a sample to what they get alone; None: not compared
    before: Points
    after: Points
    stalls: tuple[Stalls, ...]
    wall_s: Seconds
    run_delay_s: Seconds | None


@lru_cache(maxsize=1)
def _engine(folder: Path, setting: Setting) -> Engine:
    return open_engine(
        folder,
        threads=setting.intra_op_num_threads,
        max_running=setting.max_running_requests,
        budget_tokens=setting.budget_tokens,
        kv_tokens=setting.kv_tokens,
    )


def timed(folder: Path, setting: Setting, variant: str, *, rounds: int, seed: int) -> Points:
    """Return the points of the scripts that tell the law of steps, as many of them as the cache has room for."""
    engine = _engine(folder, setting)
    listed = scripts(engine.max_running, engine.budget_tokens, engine.max_tokens)
    fitting = [script for script in listed if script.tokens(engine.budget_tokens) <= engine.kv_tokens]
    return timing.timed(engine, fitting, variant=variant, rounds=rounds, seed=seed)


def served(folder: Path, setting: Setting, variant: str, load: Load, *, rounds: int, sample: int, seed: int) -> Served:
    """Serve the requests, with steps timed before and after them in so many rounds; compare a sample of them with those alone."""
    engine = _engine(folder, setting)
    requests = load.requests()
    replay.check(engine, requests)
    before = timed(folder, setting, variant, rounds=rounds, seed=seed)
    machine.wake_punctually()
    clock = engine_clock(load.clock, engine.threads)
    began_s, delay_s = time.perf_counter(), machine.run_delay_s()
    with stalls.beside() as seen:
        found = replay.serve(engine, requests, clock=clock)
    wall_s, after_s = time.perf_counter() - began_s, machine.run_delay_s()
    after = timed(folder, setting, variant, rounds=rounds, seed=seed + 1)
    equal = None
    if sample:
        plain = PlainModel.open(folder, threads=engine.threads)
        equal = replay.sample_equals_alone(engine, plain, requests, found.replayed, sample=sample, seed=seed)
    return Served(
        replayed=found.replayed,
        steps=found.steps,
        tokens_equal=equal,
        before=before,
        after=after,
        stalls=tuple(seen),
        wall_s=wall_s,
        run_delay_s=None if delay_s is None or after_s is None else max(0.0, after_s - delay_s),
    )
