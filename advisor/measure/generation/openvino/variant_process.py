"""What is asked of the process of one decoder in OpenVINO that is served: requests, and steps timed around them.

It keeps the engine open from call to call. Its processor time is that of the whole process, so nothing else may compute in it meanwhile.
"""

from functools import lru_cache
from pathlib import Path

from advisor.measure.generation.openvino import replay, timing
from advisor.measure.generation.openvino.engine import Engine, engine_clock, open_engine
from advisor.measure.generation.openvino.plain_model import PlainModel
from advisor.measure.generation.openvino.replay import MixedStep
from advisor.measure.generation.replay import Replayed
from advisor.measure.generation.scripts import Points, scripts
from advisor.measure.generation.variant_process import Load, Meanwhile, watched
from advisor.schema.record import Cores, Count, Record


class Setting(Record, frozen=True, kw_only=True):
    """How the engine is opened; a step reads `budget_tokens` at most."""

    intra_op_num_threads: Cores
    max_running_requests: Count
    budget_tokens: Count
    kv_tokens: Count


class Served(Record, frozen=True, kw_only=True):
    """What was observed of requests that were served, and of the machine meanwhile."""

    replayed: Replayed
    steps: tuple[MixedStep, ...]
    tokens_equal: bool | None  # those of a sample to what they get alone; None: not compared
    meanwhile: Meanwhile


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


def served(folder: Path, setting: Setting, load: Load, *, sample: int = 0, seed: int = 0) -> Served:
    """Serve the requests; compare a sample of them with those alone."""
    engine = _engine(folder, setting)
    requests = load.requests()
    replay.check(engine, requests)
    # The longest of them, once: memory that is taken for the first time takes longer.
    replay.tokens_alone(engine, max(requests.prompts, key=len), 1)
    clock = engine_clock(load.clock, engine.threads)
    found, meanwhile = watched(lambda: replay.serve(engine, requests, clock=clock))
    equal = None
    if sample:
        plain = PlainModel.open(folder, threads=engine.threads)
        equal = replay.sample_equals_alone(engine, plain, requests, found.replayed, sample=sample, seed=seed)
    return Served(replayed=found.replayed, steps=found.steps, tokens_equal=equal, meanwhile=meanwhile)
