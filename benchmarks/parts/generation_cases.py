"""Decoders put to the test: profiled under a recorded conversation, then timed at steps that were not measured, beside their laws."""

import csv
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from advisor.decide.generation.service.step_time import step_times, steps_of
from advisor.measure.decoder.shape import read_shape, tensors_of
from advisor.measure.generation.step_timing import Decode, Prefill, Step
from advisor.measure.generation.timing.processes import Variants
from advisor.measure.generation.timing.rounds import USUAL_PACE, Pace
from advisor.measure.generation.variant_process import visited
from advisor.measure.timing.ledger import Ledger
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import Clock, DecodePoint, Engine, GenerationSite, Policy, PrefillPoint
from advisor.schema.options import ProfileOptions
from advisor.steps.generation.plan import How
from advisor.steps.generation.profile import profile_generation
from harness import now, silent

TRACE = Path(__file__).parents[1] / "data" / "azure_llm_2023_conv_tokens.csv"
SERVED = "int8-weight-only"
VARIANTS = ("fp32", SERVED)
IN_OPENVINO = f"openvino-{SERVED}"
THREADS, RUNNING = 1, 8
# The clock of the thread: what others on this machine take is no error of the prediction.
CLOCK: Clock = "cpu"
SHORTEST_S = 0.001  # below it the loop and the caches are most of a step
VISIT_S = 0.05  # of a step that is timed once more: about as long as those of the profile
AGAIN = 2  # steps of each kind that were measured, and are timed once more: what the machine differs by
# Lengths are divided by so much, so that a request of SmolLM2 takes about a second of a core; of larger models by as much more.
SCALE, PARAMETERS_OF_SCALE, CONTEXT_OF_SCALE = 12, 200_000_000, 1024
WORKLOAD = """
name: conversation
traffic: {trace: trace.csv}
slo: {ttft_s: 2 s, tpot_s: 0.2 s}
hardware: {price_usd_per_hour: {local: 0.1}}
"""


class Plan(NamedTuple):
    """How requests are served, and at which parts of what a replica carries."""

    engine: Engine
    policy: Policy
    loads: tuple[float, ...]


class Effort(NamedTuple):
    """How much is done."""

    budget_s: float
    held_out: int  # steps of each kind
    rounds: int
    requests: int
    plans: tuple[Plan, ...]
    pace: Pace = USUAL_PACE


class HeldOut(NamedTuple):
    """A step timed after the profile: seconds as predicted and as taken."""

    kind: str
    variant: str
    step: str
    predicted_s: float
    took_s: float
    was_measured: bool  # by the profile too: then the error is what the machine itself differs by

    @property
    def error(self) -> float:
        return abs(self.predicted_s / self.took_s - 1)


class Case:
    """One checkpoint, profiled under the lengths of the trace as far as its context goes."""

    def __init__(self, model: Path, folder: Path, effort: Effort) -> None:
        self.model, self.folder, self.effort = model, folder, effort
        folder.mkdir(parents=True)
        self.scale, recorded = _trace(model)
        self.requests = _first(recorded, effort.requests)
        (folder / "workload.yaml").write_text(WORKLOAD)
        columns = (recorded.arrival_s, *_lengths(recorded))
        with (folder / "trace.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("arrival_s", "input_tokens", "output_tokens"), *zip(*columns, strict=True)])
        options = ProfileOptions(
            workload=folder / "workload.yaml", budget_s=effort.budget_s, schemes=(SERVED, IN_OPENVINO), max_batch_size=RUNNING
        )
        began_s = time.perf_counter()
        how = How(pace=effort.pace)
        profile = profile_generation(model, folder / "profile.json", options, now=now(), report=silent, how=how)
        self.profile_s = time.perf_counter() - began_s
        self.site = msgspec.structs.replace(profile.sites[0], clock=CLOCK)
        self.profile = msgspec.structs.replace(profile, sites=(self.site,))

    def held_out(self, seed: int = 0) -> list[HeldOut]:
        """Return steps between those of the profile, and some of its own, timed on one thread."""
        times, found = step_times(self.site), []
        random = np.random.default_rng(seed)
        folders = {variant.id: self.folder / variant.path for variant in self.site.variants if (variant.id, THREADS) in times}
        settings = self.profile.settings
        with Variants(
            {name: folders[name] for name in VARIANTS if name in folders},
            Ledger(self.effort.budget_s),
            slots=settings.max_running_requests,
            max_tokens=settings.max_context_tokens,
            threads=(THREADS,),
        ) as processes:
            for variant in (name for name in VARIANTS if name in folders):
                own = measured_steps(self.site, variant)
                steps = dict.fromkeys([*unmeasured_steps(own, self.effort.held_out, random), *_some(own, random)])

                def took_s(step: Step, number: int, variant: str = variant) -> float:
                    made = processes.ask(variant, THREADS, "timing it", visited, step, VISIT_S, int(number == 0), number)
                    return statistics.median(steps_of(made.visit, CLOCK))

                law = times[variant, THREADS]
                for step, seconds in _in_rounds(list(steps), took_s, self.effort.rounds).items():
                    if isinstance(step, Prefill):
                        said, kind = law.prefill_s(step.tokens, step.past_tokens), "prefill"
                    else:
                        said, kind = law.decode_s(step.batch_size, step.context_tokens), "decode"
                    found.append(HeldOut(kind, variant, repr(step), said.value, statistics.median(seconds), step in own))
        return found


def _in_rounds(steps: list[Step], took_s: Callable[[Step, int], float], rounds: int) -> dict[Step, list[float]]:
    """Return what each step took in each round: what disturbs the machine falls on all of them."""
    seconds: dict[Step, list[float]] = {step: [] for step in steps}
    for number in range(rounds):
        for step in steps:
            seconds[step].append(took_s(step, number))
    return seconds


def _trace(model: Path) -> tuple[int, Requests]:
    """Return by what lengths are divided, and the requests of the trace with lengths of which hardly any exceeds the context."""
    with TRACE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("arrival_s", "input_tokens", "output_tokens")}
    shape = read_shape(model)
    larger = sum(math.prod(sizes) for _, sizes in tensors_of(shape)) / PARAMETERS_OF_SCALE
    scale = round(SCALE * max(1.0, larger, CONTEXT_OF_SCALE / shape.context_tokens))
    most = min(shape.context_tokens, CONTEXT_OF_SCALE)
    inputs = np.clip(columns["input_tokens"] // scale, 4, 2 * most // 3).astype(np.int64)
    outputs = np.clip(columns["output_tokens"] // scale, 2, most // 12).astype(np.int64)
    return scale, Requests(arrival_s=columns["arrival_s"], input_tokens=inputs, output_tokens=outputs)


def _lengths(requests: Requests) -> tuple[np.ndarray, np.ndarray]:
    assert requests.input_tokens is not None and requests.output_tokens is not None, "the trace has both"
    return requests.input_tokens, requests.output_tokens


def _first(requests: Requests, count: int) -> Requests:
    arrival_s, inputs, outputs = (column[:count] for column in (requests.arrival_s, *_lengths(requests)))
    return Requests(arrival_s=arrival_s, input_tokens=inputs, output_tokens=outputs)


def measured_steps(site: GenerationSite, variant: str) -> list[Step]:
    """Return the steps of a variant on one thread that the profile timed."""

    def is_own(it: PrefillPoint | DecodePoint) -> bool:
        return (it.variant, it.intra_op_num_threads) == (variant, THREADS)

    prefill = [Prefill(tokens=it.tokens, past_tokens=it.past_tokens) for it in site.prefill if is_own(it)]
    decode = [Decode(batch_size=it.batch_size, context_tokens=it.context_tokens) for it in site.decode if is_own(it)]
    return [*prefill, *decode]


def unmeasured_steps(own: list[Step], count: int, random: np.random.Generator) -> list[Step]:
    """Return steps within the range of those that were measured."""
    lengths = [step.tokens for step in own if isinstance(step, Prefill) and not step.past_tokens]
    decoded = [step for step in own if isinstance(step, Decode)]
    sizes = [step.batch_size for step in decoded]
    contexts = [step.context_tokens // step.batch_size for step in decoded]
    found: list[Step] = []
    for _ in range(count):
        found.append(Prefill(tokens=int(random.integers(min(lengths), max(lengths) + 1))))
        size = int(random.integers(min(sizes), max(sizes) + 1))
        found.append(Decode(batch_size=size, context_tokens=size * int(random.integers(min(contexts), max(contexts) + 1))))
    return [step for step in dict.fromkeys(found) if step not in own]


def _some(own: list[Step], random: np.random.Generator) -> list[Step]:
    """Return a few of the measured steps of each kind."""
    kinds = ([step for step in own if isinstance(step, kind)] for kind in (Prefill, Decode))
    return [listed[place] for listed in kinds for place in random.permutation(len(listed))[:AGAIN].tolist()]
