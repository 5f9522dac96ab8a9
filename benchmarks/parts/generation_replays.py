"""Requests of a recorded conversation, served for real on each engine at parts of what it carries, beside their simulation."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.decide.generation.replay import expected_of, load_of
from advisor.decide.generation.service.step_time import step_times
from advisor.schema.generation import GenerationCandidate, Replay, TokenTimes
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.steps.generation.plan import OPENVINO
from advisor.steps.generation.replaying import OPENING_S, PATIENCE, beside
from advisor.steps.generation.serving import Asked, served
from harness import Unknown
from parts.generation_cases import IN_OPENVINO, SERVED, THREADS, Case, Plan

CHUNK_TOKENS = 128  # of a prompt, and the budget of a mixed step
LEVELS = ("p50", "p90", "p99")
TIMES = ("ttft_s", "tpot_s")
SLO = TokenSlo(ttft_s=2.0, tpot_s=0.2, quantile=0.99)


class Run(NamedTuple):
    """Requests that were served at one part of what a replica carries, beside their simulation."""

    load: float
    replay: Replay
    wall_s: float

    def errors(self, level: str, *, before: bool = False) -> list[float]:
        """Return the absolute errors of TTFT and, where there is one, TPOT at a quantile: as predicted `before`, or at its own speed."""
        return [abs(said.value / seen.value - 1) for _, seen, said in self._pairs(level, before=before)]

    def covers(self, *, before: bool = False) -> list[bool]:
        """Return of each quantile of TTFT and TPOT whether the intervals of what was measured and of what was expected overlap."""
        found = self.replay.covered_before if before else self.replay.covered
        return [found[f"{name}.{level}"] for name in TIMES for level in LEVELS if f"{name}.{level}" in found]

    def line(self) -> str:
        """Return the run in words."""
        parts = []
        for level in LEVELS:
            for (name, seen, now), (_, _, said) in zip(self._pairs(level), self._pairs(level, before=True), strict=True):
                parts.append(
                    f"{name[:4].upper()} {level} {1e3 * seen.value:.4g} ms, predicted {said.value / seen.value - 1:+.1%}, "
                    f"at its own speed {now.value / seen.value - 1:+.1%}"
                )
        equal = "tokens as alone" if self.replay.tokens_equal else "OTHER TOKENS than alone"
        ratios = " and ".join(f"{ratio.value:.2f}" for ratio in self._ratios() if ratio is not None)
        return (
            f"{self.replay.engine}, {self.replay.candidate.policy} at {self.load}: {self.replay.requests} requests in {self.wall_s:.0f} s; "
            f"{'; '.join(parts)}; its steps over those of the profile {ratios}; {equal}"
        )

    def row(self) -> dict[str, Any]:
        """Return the run as a line of a table."""
        replay = self.replay
        row: dict[str, Any] = {
            "engine": replay.engine,
            "policy": replay.candidate.policy,
            "load": self.load,
            "requests": replay.requests,
            "wall_s": self.wall_s,
            "tokens_equal": replay.tokens_equal,
            "covered": sum(self.covers()),
            "covered_before": sum(self.covers(before=True)),
            "quantiles": len(self.covers()),
        }
        for name, ratio in zip(("prefill_ratio", "decode_ratio"), self._ratios(), strict=True):
            row[name] = None if ratio is None else ratio.value
        for level in LEVELS:
            for (name, seen, now), (_, _, said) in zip(self._pairs(level), self._pairs(level, before=True), strict=True):
                stem = f"{name.removesuffix('_s')}_{level}"
                row |= {f"{stem}_s": seen.value, f"{stem}_predicted_s": said.value, f"{stem}_own_speed_s": now.value}
        return row

    def _ratios(self) -> tuple[Estimate | None, Estimate | None]:
        return self.replay.step_ratio_prefill, self.replay.step_ratio_decode

    def _pairs(self, level: str, *, before: bool = False) -> list[tuple[str, Estimate, Estimate]]:
        expected = self.replay.before if before else self.replay.expected
        assert expected is not None, "it was predicted"
        found = ((name, _at(self.replay.measured, name, level), _at(expected, name, level)) for name in TIMES)
        return [(name, seen, said) for name, seen, said in found if seen is not None and said is not None]


def _at(times: TokenTimes, name: str, level: str) -> Estimate | None:
    found: Estimate | None = getattr(getattr(times, name), level, None)
    return found


class Replays:
    """The ways in which a checkpoint is served, and what each of them carries."""

    def __init__(self, case: Case) -> None:
        self.case, self.left_out = case, list[Unknown]()
        self._asked: list[tuple[Plan, Asked]] = []
        timed = step_times(case.site)
        for plan in case.effort.plans:
            if (_variant_of(plan), THREADS) in timed:
                self._asked.append((plan, self._way(plan)))
            else:
                self.left_out.append(Unknown(f"{plan.engine}: {_why_not_timed(case, _variant_of(plan))}"))

    def _way(self, plan: Plan) -> Asked:
        settings, site = self.case.profile.settings, self.case.site
        candidate = GenerationCandidate(
            variant=_variant_of(plan),
            hardware=site.hardware.id,
            intra_op_num_threads=THREADS,
            max_running_requests=settings.max_running_requests,
            policy=plan.policy,
            chunk_tokens=None if plan.policy == "prefill_first" else CHUNK_TOKENS,
            kv_tokens=settings.max_running_requests * settings.max_context_tokens,
            replicas=1,
        )
        return Asked(self.case.profile, site, candidate, self.case.folder)

    @property
    def busy_s(self) -> float:
        """About how many seconds of a core all requests take: the time between them is skipped."""
        return sum(
            len(plan.loads) * len(self.case.requests.arrival_s) / _carried(self.case, asked) for plan, asked in self._asked
        )

    def runs(self) -> Iterator[Run]:
        """Yield the requests of the trace served in each way at each load."""
        for plan, asked in self._asked:
            for load in plan.loads:
                yield self._run(asked, load)

    def _run(self, asked: Asked, load: float) -> Run:
        carried, requests = _carried(self.case, asked), self.case.requests
        span_s = len(requests.arrival_s) / (load * carried)
        arrival_s = (requests.arrival_s - requests.arrival_s[0]) * (span_s / np.ptp(requests.arrival_s))
        offered = load_of(msgspec.structs.replace(requests, arrival_s=arrival_s))
        began_s = time.perf_counter()
        seen = served(asked, offered, limit_s=OPENING_S + PATIENCE * span_s / load)
        wall_s = time.perf_counter() - began_s
        return Run(load, beside(asked, offered, seen, SLO, load_fraction=load), wall_s)


def _variant_of(plan: Plan) -> str:
    return IN_OPENVINO if plan.engine == "openvino" else SERVED


def _why_not_timed(case: Case, variant: str) -> str:
    reasons = {exclusion.what: exclusion.reason for exclusion in case.site.exclusions}
    return reasons.get(variant) or reasons.get(OPENVINO, f"the budget was too short to time {variant}")


def _carried(case: Case, asked: Asked) -> float:
    """Return how many requests a second are finished when all wait from the first."""
    together = msgspec.structs.replace(case.requests, arrival_s=np.zeros(len(case.requests.arrival_s)))
    return expected_of(asked.profile, asked.site, asked.candidate, together).requests_per_s.value
