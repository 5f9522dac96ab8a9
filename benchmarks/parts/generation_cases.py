"""Decoders put to the test: steps that were not measured, beside the laws of those that were; requests served, beside their simulation."""

import csv
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.decide.generation.replay import covered, expected_of, load_of, measured_times, observed
from advisor.decide.generation.service.step_time import StepTimes, step_times, steps_of
from advisor.measure.generation.step_timing import Decode, Prefill, Step
from advisor.measure.generation.timing.processes import Variants
from advisor.measure.generation.timing.rounds import USUAL_PACE, Pace
from advisor.measure.generation.variant_process import Load, Served, served, visited
from advisor.measure.timing.ledger import Ledger
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import (
    Clock,
    DecodePoint,
    GenerationCandidate,
    GenerationProfile,
    GenerationSite,
    Policy,
    PrefillPoint,
    TokenTimes,
)
from advisor.schema.options import ProfileOptions
from advisor.schema.record import Estimate
from advisor.steps.generation.plan import How
from advisor.steps.generation.profile import profile_generation
from harness import now, silent

TRACE = Path(__file__).parents[1] / "data" / "azure_llm_2023_conv_tokens.csv"
VARIANTS = ("fp32", "int8-weight-only")
SERVED, THREADS = "int8-weight-only", 1
RUNNING, CHUNK_TOKENS = 8, 128
# The clock of the thread: what others on this machine take is no error of the prediction.
CLOCK: Clock = "cpu"
SHORTEST_S = 0.001  # below it the loop and the caches are most of a step
LEVELS = ("p50", "p90", "p99")
VISIT_S = 0.05  # of a step that is timed once more: about as long as those of the profile
COMPARED = 4  # requests of a replay that are answered once more, alone
WORKLOAD = """
name: conversation
traffic: {trace: trace.csv}
slo: {ttft_s: 2 s, tpot_s: 0.2 s}
hardware: {price_usd_per_hour: {local: 0.1}}
"""


class Effort(NamedTuple):
    """How much is done."""

    budget_s: float
    held_out: int  # steps of each kind
    rounds: int
    requests: int
    loads: tuple[float, ...]
    policies: tuple[Policy, ...]
    pace: Pace = USUAL_PACE


class HeldOut(NamedTuple):
    """A step that was not measured by the profile: seconds as predicted and as taken."""

    kind: str
    variant: str
    step: str
    predicted_s: float
    took_s: float

    @property
    def error(self) -> float:
        return abs(self.predicted_s / self.took_s - 1)


class Replayed(NamedTuple):
    """Requests served at one load, and what was expected of them from steps around them, and before from the profile alone."""

    policy: str
    load: float
    requests: int
    measured: TokenTimes
    around: TokenTimes
    before: TokenTimes
    tokens_equal: bool
    wall_s: float

    def errors(self, level: str, *, before: bool = False) -> list[float]:
        """Return the absolute errors of TTFT and, where there is one, TPOT at a quantile."""
        expected = self.before if before else self.around
        return [abs(said.value / seen.value - 1) for seen, said in _pairs(self.measured, expected, level)]

    def line(self) -> str:
        """Return the case in words."""
        parts = []
        for level in LEVELS:
            both = zip(("TTFT", "TPOT"), _pairs(self.measured, self.around, level), strict=False)
            parts += [
                f"{name} {level} {1e3 * seen.value:.4g} ms, said {said.value / seen.value - 1:+.1%}"
                for name, (seen, said) in both
            ]
        equal = "tokens as alone" if self.tokens_equal else "OTHER TOKENS than alone"
        return f"{self.policy} at {self.load}, {self.requests} requests in {self.wall_s:.0f} s: {'; '.join(parts)}; {equal}"

    def row(self) -> dict[str, Any]:
        """Return the case as a line of a table."""
        row: dict[str, Any] = {"policy": self.policy, "load": self.load, "requests": self.requests, "wall_s": self.wall_s}
        for level in LEVELS:
            for name, (seen, said) in zip(("ttft", "tpot"), _pairs(self.measured, self.around, level), strict=False):
                row |= {f"{name}_{level}_seen_s": seen.value, f"{name}_{level}_said_s": said.value}
        return row


def _pairs(seen: TokenTimes, said: TokenTimes, level: str) -> list[tuple[Estimate, Estimate]]:
    found = [(getattr(seen.ttft_s, level), getattr(said.ttft_s, level))]
    if seen.tpot_s is not None and said.tpot_s is not None:
        found.append((getattr(seen.tpot_s, level), getattr(said.tpot_s, level)))
    return found


class Case:
    """One checkpoint, profiled under the lengths of the trace as far as its context goes."""

    def __init__(self, model: Path, folder: Path, effort: Effort) -> None:
        self.folder, self.effort = folder, effort
        folder.mkdir(parents=True)
        recorded = _trace(_context_of(model))
        self.requests = _first(recorded, effort.requests)
        (folder / "workload.yaml").write_text(WORKLOAD)
        columns = (recorded.arrival_s, recorded.input_tokens, recorded.output_tokens)
        with (folder / "trace.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("arrival_s", "input_tokens", "output_tokens"), *zip(*columns, strict=True)])
        options = ProfileOptions(
            workload=folder / "workload.yaml", budget_s=effort.budget_s, schemes=VARIANTS[1:], max_batch_size=RUNNING
        )
        began_s = time.perf_counter()
        how = How(pace=effort.pace)
        self.profile = profile_generation(model, folder / "profile.json", options, now=now(), report=silent, how=how)
        self.profile_s = time.perf_counter() - began_s
        self.site = msgspec.structs.replace(self.profile.sites[0], clock=CLOCK)

    def opened(self) -> Variants:
        """Return the processes of the variants."""
        folders = {variant.id: self.folder / variant.path for variant in self.site.variants if variant.id in VARIANTS}
        settings = self.profile.settings
        return Variants(
            folders,
            Ledger(self.effort.budget_s),
            slots=settings.max_running_requests,
            max_tokens=settings.max_context_tokens,
            threads=(THREADS,),
        )

    def told(self, times: Mapping[tuple[str, int], StepTimes]) -> list[str]:
        """Return the variants whose steps on one thread the budget was long enough for."""
        return [variant for variant in VARIANTS if (variant, THREADS) in times]

    def held_out(self, processes: Variants, seed: int = 0) -> list[HeldOut]:
        """Return steps between those of the profile, on one thread."""
        times, found = step_times(self.site), []
        steps = _unmeasured(self.site, self.effort.held_out, np.random.default_rng(seed))
        for variant in self.told(times):
            law = times[variant, THREADS]
            took: dict[Step, list[float]] = {step: [] for step in steps}
            for number in range(self.effort.rounds):
                for step in steps:
                    visit = processes.ask(variant, THREADS, "timing it", visited, step, VISIT_S, int(number == 0), number).visit
                    took[step].append(statistics.median(steps_of(visit, CLOCK)))
            for step, seconds in took.items():
                if isinstance(step, Prefill):
                    said, kind = law.prefill_s(step.tokens, step.past_tokens), "prefill"
                else:
                    said, kind = law.decode_s(step.batch_size, step.context_tokens), "decode"
                found.append(HeldOut(kind, variant, repr(step), said.value, statistics.median(seconds)))
        return found

    def replays(self, processes: Variants) -> Iterator[Replayed]:
        """Yield the requests of the trace served at each load of what the variant carries, on one thread."""
        if SERVED not in self.told(step_times(self.site)):
            return
        for policy in self.effort.policies:
            candidate = self._candidate(policy)
            together = msgspec.structs.replace(self.requests, arrival_s=np.zeros(len(self.requests.arrival_s)))
            carried = expected_of(self.profile, self.site, candidate, together).requests_per_s.value
            for load in self.effort.loads:
                span_s = len(self.requests.arrival_s) / (load * carried)
                arrival_s = self.requests.arrival_s * (span_s / self.requests.arrival_s[-1])
                yield self._replay(processes, candidate, msgspec.structs.replace(self.requests, arrival_s=arrival_s), load)

    def _candidate(self, policy: Policy) -> GenerationCandidate:
        settings = self.profile.settings
        return GenerationCandidate(
            variant=SERVED,
            hardware=self.site.hardware.id,
            intra_op_num_threads=THREADS,
            max_running_requests=settings.max_running_requests,
            policy=policy,
            chunk_tokens=None if policy == "prefill_first" else CHUNK_TOKENS,
            kv_tokens=settings.max_running_requests * settings.max_context_tokens,
            replicas=1,
        )

    def _replay(self, processes: Variants, candidate: GenerationCandidate, requests: Requests, load: float) -> Replayed:
        random, vocabulary = np.random.default_rng(0), self.profile.model.vocabulary
        prompts = tuple(tuple(random.integers(0, vocabulary, size=size).tolist()) for size in requests.input_tokens.tolist())
        asked = Load(
            prompts=prompts,
            output_tokens=tuple(requests.output_tokens.tolist()),
            arrival_s=tuple(requests.arrival_s.tolist()),
            policy=candidate.policy,
            max_running_requests=candidate.max_running_requests,
            chunk_tokens=candidate.chunk_tokens,
            clock=CLOCK,
        )
        around = tuple(_step(point) for point in (*self.site.prefill, *self.site.decode) if _is_served(point))
        seen = processes.ask(
            SERVED, THREADS, "serving", served, asked, around=around, rounds=self.effort.rounds, seconds=VISIT_S, sample=COMPARED
        )
        site = _as_around(self.site, seen)
        replayed = seen.replayed
        measured = measured_times(
            load_of(requests), observed(replayed.arrival_s, replayed.token_s, replayed.duration_s), quantile=0.99
        )
        return Replayed(
            policy=candidate.policy,
            load=load,
            requests=len(prompts),
            measured=measured,
            around=expected_of(_with(self.profile, site), site, candidate, requests),
            before=expected_of(_with(self.profile, self.site), self.site, candidate, requests),
            tokens_equal=bool(seen.tokens_equal),
            wall_s=seen.wall_s,
        )


def covers(case: Replayed) -> list[bool]:
    """Return of each quantile of TTFT and TPOT whether the intervals of what was measured and of what was expected overlap."""
    found = covered(case.measured, case.around)
    return [found[f"{name}.{level}"] for name in ("ttft_s", "tpot_s") for level in LEVELS if f"{name}.{level}" in found]


def _context_of(model: Path) -> int:
    return int(msgspec.json.decode((model / "config.json").read_bytes())["max_position_embeddings"])


def _trace(context_tokens: int) -> Requests:
    """Return the requests of the trace, their lengths divided so that hardly any is longer than the context."""
    with TRACE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("arrival_s", "input_tokens", "output_tokens")}
    scale = 8 * max(1, 1024 // context_tokens)
    most = min(context_tokens, 1024)
    inputs = np.clip(columns["input_tokens"] // scale, 4, 2 * most // 3).astype(np.int64)
    outputs = np.clip(columns["output_tokens"] // scale, 2, most // 12).astype(np.int64)
    return Requests(arrival_s=columns["arrival_s"], input_tokens=inputs, output_tokens=outputs)


def _first(requests: Requests, count: int) -> Requests:
    columns = (requests.arrival_s, requests.input_tokens, requests.output_tokens)
    arrival_s, inputs, outputs = (column[:count] for column in columns if column is not None)
    return Requests(arrival_s=arrival_s, input_tokens=inputs, output_tokens=outputs)


def _unmeasured(site: GenerationSite, count: int, random: np.random.Generator) -> list[Step]:
    """Return steps within the range of those that were measured."""
    lengths = [point.tokens for point in site.prefill if not point.past_tokens]
    sizes = [point.batch_size for point in site.decode]
    contexts = [point.context_tokens // point.batch_size for point in site.decode]
    found: list[Step] = []
    for _ in range(count):
        found.append(Prefill(tokens=int(random.integers(min(lengths), max(lengths) + 1))))
        size = int(random.integers(min(sizes), max(sizes) + 1))
        found.append(Decode(batch_size=size, context_tokens=size * int(random.integers(min(contexts), max(contexts) + 1))))
    return list(dict.fromkeys(found))


def _is_served(point: PrefillPoint | DecodePoint) -> bool:
    return (point.variant, point.intra_op_num_threads) == (SERVED, THREADS)


def _step(point: PrefillPoint | DecodePoint) -> Step:
    if isinstance(point, PrefillPoint):
        return Prefill(tokens=point.tokens, past_tokens=point.past_tokens)
    return Decode(batch_size=point.batch_size, context_tokens=point.context_tokens)


def _as_around(site: GenerationSite, seen: Served) -> GenerationSite:
    """Return the site with the visits around the requests in the place of those of the profile."""

    def again(point: Any) -> Any:
        visits = next((entry.visits for entry in seen.around if _is_served(point) and entry.step == _step(point)), None)
        return point if visits is None else msgspec.structs.replace(point, visits=visits)

    return msgspec.structs.replace(
        site, prefill=tuple(map(again, site.prefill)), decode=tuple(map(again, site.decode)), stalls=(*site.stalls, *seen.stalls)
    )


def _with(profile: GenerationProfile, site: GenerationSite) -> GenerationProfile:
    return msgspec.structs.replace(profile, sites=(site,))
