"""Requests served for real by one replica, in a process of its own on the engine of its variant, and the log of what its steps took."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advisor.decide.generation.replay import StepLog
from advisor.decide.generation.traffic import Load
from advisor.errors import InputError
from advisor.measure.generation import making, variant_process
from advisor.measure.generation.openvino import export
from advisor.measure.generation.openvino import variant_process as openvino_process
from advisor.measure.generation.openvino.replay import MixedStep, most_at_once
from advisor.measure.generation.replay import Replayed, Step
from advisor.measure.generation.variant_process import Meanwhile
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.generation import (
    Engine,
    GenerationCandidate,
    GenerationProfile,
    GenerationSite,
    GenerationVariant,
)
from advisor.units import counted

SEED = 17  # of the requests: no draw that a simulation has used
SAMPLE = 5  # requests whose tokens are held against those that each gets alone
IS_STILL: dict[Engine, Callable[[Path, str], bool]] = {"onnxruntime": making.is_still, "openvino": export.is_still}


class Asked(NamedTuple):
    """What is served, and where it was measured."""

    profile: GenerationProfile
    site: GenerationSite
    candidate: GenerationCandidate
    folder: Path  # of the profile

    @property
    def variant(self) -> GenerationVariant:
        """The variant that is served."""
        return next(it for it in self.site.variants if it.id == self.candidate.variant)


class Seen(NamedTuple):
    """What became of the requests, what each step had to do and took, and what the machine did meanwhile."""

    replayed: Replayed
    log: StepLog
    tokens_equal: bool
    meanwhile: Meanwhile


def served(asked: Asked, load: Load, *, limit_s: float) -> Seen:
    """Serve the requests, with prompts of random tokens: what a step takes does not depend on them.

    Raises InputError for a variant whose files are no longer those that were measured, ModelError where serving fails or takes longer.
    """
    variant = asked.variant
    folder = asked.folder / variant.path
    if not IS_STILL[variant.engine](folder, variant.sha256):
        raise InputError(f"{folder}: no longer what was measured", hint="run the same `advisor profile` again: it is made anew")
    given = _given(asked, load)
    limit = Limit(variant.id, f"serving {counted(len(given.prompts), 'request')}", limit_s, limit_s)
    sample = min(SAMPLE, len(given.prompts))
    with Apart() as apart:
        if variant.engine == "openvino":
            there = apart.call(limit, openvino_process.served, folder, _engine(asked, load), given, sample=sample, seed=SEED)
            return Seen(there.replayed, log_of_mixed(there.steps), bool(there.tokens_equal), there.meanwhile)
        here = apart.call(limit, variant_process.served, folder, _rows(asked), given, sample=sample, seed=SEED)
        return Seen(here.replayed, log_of(here.replayed.steps), bool(here.tokens_equal), here.meanwhile)


def _given(asked: Asked, load: Load) -> variant_process.Load:
    """Return the requests as a process of a variant takes them."""
    candidate, random = asked.candidate, np.random.default_rng(SEED)
    vocabulary = asked.profile.model.vocabulary
    prompts = tuple(tuple(random.integers(0, vocabulary, size=count).tolist()) for count in load.input_tokens.tolist())
    return variant_process.Load(
        prompts=prompts,
        output_tokens=tuple(load.output_tokens.tolist()),
        arrival_s=None if load.clients else tuple(load.arrival_s.tolist()),
        clients=max(load.clients, 1),
        think_s=(load.think_s,) * len(prompts) if load.clients else (),
        policy=candidate.policy,
        max_running_requests=candidate.max_running_requests,
        chunk_tokens=candidate.chunk_tokens,
        clock=asked.site.clock,
    )


def _rows(asked: Asked) -> variant_process.Setting:
    """Return how ONNX Runtime opens the variant: a row of the cache for each running request."""
    return variant_process.Setting(
        intra_op_num_threads=asked.candidate.intra_op_num_threads,
        slots=asked.candidate.max_running_requests,
        max_tokens=asked.profile.settings.max_context_tokens,
        input_fraction=asked.profile.settings.input_fraction,
    )


def _engine(asked: Asked, load: Load) -> openvino_process.Setting:
    """Return how OpenVINO's engine is opened: with the cache of the candidate, or as much of it as these requests can ever fill."""
    candidate = asked.candidate
    assert candidate.chunk_tokens is not None, "a mixed step has a budget"
    most = most_at_once((load.input_tokens + load.output_tokens).tolist(), candidate.max_running_requests)
    return openvino_process.Setting(
        intra_op_num_threads=candidate.intra_op_num_threads,
        max_running_requests=candidate.max_running_requests,
        budget_tokens=candidate.chunk_tokens,
        kv_tokens=min(candidate.kv_tokens, most),
    )


def log_of(steps: Sequence[Step]) -> StepLog:
    """Return the steps of a loop that reads and decodes in turns: a prompt is read behind what is cached of it."""
    reads = np.array([step.kind == "prefill" for step in steps], dtype=bool)
    batch, tokens, cached = (
        np.array([getattr(step, name) for step in steps], dtype=np.int64) for name in ("batch_size", "tokens", "context_tokens")
    )
    return StepLog(
        batch_size=np.where(reads, 0, batch),
        context_tokens=np.where(reads, 0, cached),
        tokens=np.where(reads, tokens, 0),
        pairs=np.where(reads, tokens * (cached + tokens / 2), 0.0),
        took_s=np.array([step.took_s for step in steps]),
    )


def log_of_mixed(steps: Sequence[MixedStep]) -> StepLog:
    """Return the steps of an engine that reads and decodes in one of them."""
    held = [step.held for step in steps]
    return StepLog(
        batch_size=np.array([it.batch_size for it in held], dtype=np.int64),
        context_tokens=np.array([it.context_tokens for it in held], dtype=np.int64),
        tokens=np.array([it.prompt_tokens for it in held], dtype=np.int64),
        pairs=np.array([sum(part.tokens * (part.past_tokens + part.tokens / 2) for part in it.prompts) for it in held]),
        took_s=np.array([step.took_s for step in steps]),
    )
