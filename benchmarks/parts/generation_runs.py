"""A run and the steps of its model on its device -> what is predicted of just that run, with the 90 % interval.

Batches are added up: prompts in steps of the token budget, then every decode step with the context that it has. What queues is simulated:
requests that come at a rate, clients that begin together and ask again, batches that the cache does not hold at once.
"""

import statistics
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from advisor.decide.generation.projection.host import OUTSIDE_S
from advisor.decide.generation.service.step_time import DRAWS, Costs
from advisor.decide.generation.simulation import Machine, place_of, simulate
from advisor.decide.generation.simulation import Run as Served
from advisor.decide.generation.space import Way
from advisor.decide.generation.traffic import Load, made
from advisor.decide.queue.demand import quantiles
from advisor.schema.arrays.kernels import Figure as StepFigure
from parts.generation_rows import Figure, Run

MAX_RUNNING = 1024  # what engines serve side by side unless they are told otherwise
CONVERSATIONS_RUNNING = 128  # with that limit the runs of conversations were made
TOKEN_BUDGET = {"llama.cpp": 512}
USUAL_TOKEN_BUDGET = 8192
BLOCK_TOKENS = 16  # the cache is found again in whole blocks
STAGE_S = 600.0  # that a rate was kept up
LEAST_REQUESTS, MOST_REQUESTS = 400, 6000
MIXING = {"vllm", "tensorrt-llm", "tensorrt-llm-2025"}  # engines that read prompts beside what they decode
REQUESTS_OF_A_CLIENT = 10  # of runs in a closed loop, the first of which come together
CONTEXTS = 16  # of a batch that grows, at which its step is looked at


class Steps(Protocol):
    """What is asked of the steps of a model on a device."""

    @property
    def ground(self) -> str: ...

    def decode_s(self, batch: np.ndarray, context_tokens: np.ndarray) -> np.ndarray: ...

    def prefill_s(self, tokens: np.ndarray, past_tokens: np.ndarray, prompts: int = 1) -> np.ndarray: ...

    def factors_of(self, figure: StepFigure) -> tuple[float, float]: ...

    def costs(
        self, draw: int | None, *, longest_context: int, max_running: int, token_budget: int = ..., kv_tokens: int | None = ...
    ) -> Costs: ...


class Said(NamedTuple):
    """A prediction, in seconds or tokens a second, with its 90 % interval."""

    value: float
    low: float
    high: float


Predicted = Mapping[tuple[Figure, float | None], Said]


class TooSmall(Exception):
    """The cache of the device does not hold one request of the run."""


def predicted(run: Run, steps: Steps, kv_tokens: int) -> Predicted:
    """Return each figure of the run that is measured, of a cache that holds so many tokens; raise TooSmall."""
    if kv_tokens < run.input_tokens + run.output_tokens:
        raise TooSmall(
            f"the cache holds {max(kv_tokens, 0):,} tokens, and a request has {run.input_tokens + run.output_tokens:,}"
        )
    if run.kind == "static":
        return {("tokens", None): _batch(run, steps, kv_tokens)}
    if run.kind == "steps":
        return _steps(run, steps)
    return _served(run, steps, kv_tokens)


# --- batches and steps -----------------------------------------------------------------------------------------------------------


def budget_of(run: Run) -> int:
    """Return how many tokens a step has."""
    return run.token_budget or TOKEN_BUDGET.get(run.engine, USUAL_TOKEN_BUDGET)


def _steps(run: Run, steps: Steps) -> Predicted:
    read_s, context = reading_s(steps, run.batch, run.input_tokens, budget_of(run)), run.input_tokens + run.output_tokens / 2
    decode_s = float(steps.decode_s(np.array([float(run.batch)]), np.array([run.batch * context]))[0])
    return {
        ("ttft", None): _with(read_s, steps.factors_of("prefill")),
        ("itl", None): _with(decode_s, steps.factors_of("decode")),
    }


def _batch(run: Run, steps: Steps, kv_tokens: int) -> Said:
    tokens = run.batch * (run.input_tokens + run.output_tokens)
    if tokens <= kv_tokens and run.batch <= MAX_RUNNING:
        latency_s = reading_s(steps, run.batch, run.input_tokens, budget_of(run)) + writing_s(steps, run)
    else:
        latency_s = float(_simulated(run, steps, kv_tokens, _together(run, run.batch, run.batch), None).latency_s.max())
    low, high = steps.factors_of("batch")
    return Said(tokens / latency_s, tokens / (latency_s * high), tokens / (latency_s * low))


def reading_s(steps: Steps, prompts: int, tokens: int, budget: int) -> float:
    """Return the seconds of reading prompts of so many tokens, as many in a step as its budget holds."""
    if tokens >= budget:
        past = np.arange(0, tokens, budget)
        return prompts * float(steps.prefill_s(np.minimum(tokens - past, budget).astype(float), past.astype(float)).sum())
    together = min(budget // tokens, prompts)
    full, rest = divmod(prompts, together)
    nothing = np.zeros(1)
    read_s = full * float(steps.prefill_s(np.array([float(together * tokens)]), nothing, prompts=together)[0])
    return read_s + (float(steps.prefill_s(np.array([float(rest * tokens)]), nothing, prompts=rest)[0]) if rest else 0.0)


def writing_s(steps: Steps, run: Run) -> float:
    """Return the seconds of all steps that decode a whole batch, the first token of each coming of its prompt."""
    later = run.output_tokens - 1
    if later <= 0:
        return 0.0
    contexts = run.batch * (run.input_tokens + (np.arange(CONTEXTS) + 0.5) / CONTEXTS * later - 0.5)
    return later * float(steps.decode_s(np.full(CONTEXTS, float(run.batch)), contexts).mean())


def _with(value: float, factors: tuple[float, float]) -> Said:
    return Said(value, value * factors[0], value * factors[1])


# --- what queues -----------------------------------------------------------------------------------------------------------------


class Whole(Load):
    """Requests of which the last ones count: a published mean holds the end of a run, and the burst that it begins with."""

    @property
    def counted(self) -> slice:
        """All requests behind the warm-up."""
        return slice(self.warm_up, len(self.input_tokens))


def _served(run: Run, steps: Steps, kv_tokens: int) -> Predicted:
    middle = _figures(run, steps, kv_tokens, None)
    drawn = [_figures(run, steps, kv_tokens, draw) for draw in range(DRAWS)]
    found = {}
    for key, value in middle.items():
        ordered = sorted(figures[key] for figures in drawn)
        low, high = ordered[place_of(0.05)], ordered[place_of(0.95)]
        found[key] = Said(value, min(low, value), max(high, value))
    return found


def _figures(run: Run, steps: Steps, kv_tokens: int, draw: int | None) -> dict[tuple[Figure, float | None], float]:
    if run.kind == "open":
        served = _simulated(run, steps, kv_tokens, _at_a_rate(run, draw or 0), draw)
        if run.conversations is not None and _running(run, served) > run.conversations:
            # Each conversation waits for its answer: they are as many clients, who ask again at once.
            served = _simulated(run, steps, kv_tokens, _conversing(run, run.conversations, draw or 0), draw)
    else:
        clients = max((run.clients or 1) // run.replicas, 1)
        load = _together(run, clients, REQUESTS_OF_A_CLIENT * clients, draw or 0)
        served = _simulated(run, steps, kv_tokens, load, draw)
    return _published(run, served)


def _published(run: Run, served: Served) -> dict[tuple[Figure, float | None], float]:
    """Return what a client of the run sees."""
    step_s = served.tpot_s[served.has_later]
    itl_s = served.latency_s / run.output_tokens if run.itl_holds_first else step_s
    found: dict[tuple[Figure, float | None], float] = {("tokens", None): run.replicas * served.output_tokens_per_s}
    series: tuple[tuple[Figure, np.ndarray], ...] = (("ttft", served.ttft_s), ("e2e", served.latency_s), ("itl", itl_s))
    for figure, values in series:
        if len(values):
            found[figure, None] = float(values.mean())
            found |= {(figure, quantile): float(quantiles(values, (quantile,))[0]) for quantile in (0.5, 0.9, 0.99)}
    return found


def _running(run: Run, served: Served) -> float:
    return (run.requests_per_s or 0.0) * statistics.fmean(served.latency_s)


def _simulated(run: Run, steps: Steps, kv_tokens: int, load: Load, draw: int | None) -> Served:
    most = CONVERSATIONS_RUNNING if run.conversations is not None else MAX_RUNNING
    running = min(most, len(load.input_tokens))
    costs = steps.costs(
        draw,
        longest_context=run.input_tokens + run.output_tokens,
        max_running=running,
        token_budget=budget_of(run),
        kv_tokens=kv_tokens,
    )
    is_mixed = run.engine in MIXING
    way = Way(
        variant=run.engine,
        intra_op_num_threads=1,
        max_running_requests=running,
        policy="mixed" if is_mixed else "prefill_first",
        chunk_tokens=budget_of(run) if is_mixed else None,
        kv_tokens=kv_tokens + load.shared_prefix_tokens,
    )
    return simulate(load, way, costs, Machine(np.ones(1), None, 1), draw or 0)


def _together(run: Run, clients: int, requests: int, seed: int = 0) -> Load:
    """Return requests of clients that all begin at once."""
    load = _whole(run, np.zeros(requests), seed, conversations=None)
    return load._replace(clients=clients, think_s=0.0 if run.kind == "static" else OUTSIDE_S)


def _at_a_rate(run: Run, seed: int) -> Load:
    rate = run.requests_per_s or 1.0
    count = int(min(max(rate * STAGE_S, LEAST_REQUESTS), MOST_REQUESTS))
    gaps_s = np.random.default_rng((seed, 18)).exponential(1 / rate, count)
    return _whole(run, np.cumsum(gaps_s), seed, conversations=run.conversations)


def _conversing(run: Run, conversations: int, seed: int) -> Load:
    """Return requests of conversations that are under way: the first answers, which do not count, end at any place."""
    load = _at_a_rate(run, seed)
    outputs = load.output_tokens.copy()
    outputs[:conversations] = np.random.default_rng((seed, 20)).integers(1, run.output_tokens, size=conversations, endpoint=True)
    return load._replace(
        arrival_s=np.zeros(len(load.arrival_s)),
        output_tokens=outputs,
        clients=conversations,
        think_s=OUTSIDE_S,
        warm_up=conversations,
    )


def _whole(run: Run, arrival_s: np.ndarray, seed: int, *, conversations: int | None) -> Load:
    """Return requests of the lengths of the run; those of a conversation find in the cache what its first one brought, in whole blocks."""
    count = len(arrival_s)
    random = np.random.default_rng((seed, 19))
    inputs, outputs = (
        random.integers(max(int(run.shortest * longest), 1), longest, size=count, endpoint=True)
        for longest in (run.input_tokens, run.output_tokens)
    )
    known = (run.input_tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS if conversations else 0
    load = made(arrival_s, inputs, outputs, shared_prefix=known)
    hits = load.prefix_hit_tokens.copy()
    hits[: conversations or 0] = 0
    return Whole(*load._replace(prefix_hit_tokens=hits))
