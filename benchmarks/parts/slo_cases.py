"""Advised configurations beside their target: each question is profiled, advised on and run, as a user would have it."""

import random
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from advisor.decide.advice.advise import advise
from advisor.decide.load_test.comparison import expected, offered_load
from advisor.files.workload import read_question
from advisor.schema.advice import LoadTest, Replayed
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload
from advisor.steps.advise import request_of
from advisor.steps.profile import profile as measure
from advisor.steps.serve import loaded, serve_for_real
from advisor.visits import fault_of
from harness import Figures, Unknown, middle, now, rate, silent
from parts.load_cases import MAX_REQUESTS_PER_S, alone_s
from parts.service_cases import MAX_BATCH_SIZE

ENOUGH_BEYOND = 30  # requests beyond a quantile, to know it
MARGIN = 1.1  # arrivals are random: fewer may come in the time than do on average
SHORT_CALL_S = 0.002
SLOW_CALL_S = 0.005
NOT_VALID = "load test not valid"


class Asked(NamedTuple):
    """How the questions are asked."""

    questions: int
    budget_s: float  # of the profile that each of them gets
    slow_budget_s: float  # the same, of a model whose call takes SLOW_CALL_S or more
    load_test_s: float  # of each, and longer, up to the next, until ENOUGH_BEYOND requests lie beyond p99
    longest_load_test_s: float

    def lasting_s(self, requests_per_s: float) -> float:
        """Return the seconds of a load test of one replica that gets so many requests."""
        return max(self.load_test_s, min(MARGIN * ENOUGH_BEYOND / 0.01 / requests_per_s, self.longest_load_test_s))


class AdvisedCase(NamedTuple):
    """One question, what was advised on it, and the load test of that; without the latter where nothing was advised for sure."""

    model: str
    question: str
    outcome: str
    call_s: float  # of a single item
    noise_fraction: float | None
    test: LoadTest | None = None
    without_stalls: Replayed | None = None  # what would have been expected of the same requests without stalls
    because: tuple[str, ...] = ()  # why it is not known, or its load test not valid

    def error(self, figure: str, *, with_stalls: bool) -> float:
        said, seen = self._figures(figure, with_stalls=with_stalls)
        return said.value / seen.value - 1

    def covers(self, figure: str, *, with_stalls: bool) -> bool:
        said, seen = self._figures(figure, with_stalls=with_stalls)
        return said.overlaps(seen)

    def _figures(self, figure: str, *, with_stalls: bool) -> tuple[Estimate, Estimate]:
        assert self.test is not None and self.without_stalls is not None
        return getattr(self.test.expected if with_stalls else self.without_stalls, figure), getattr(self.test, figure)

    def row(self) -> dict[str, Any]:
        """Return the case for the table."""
        found: dict[str, Any] = {"model": self.model, "question": self.question, "outcome": self.outcome}
        found |= {"call_s": self.call_s, "noise_fraction": self.noise_fraction}
        if self.because:
            found["because"] = "; ".join(self.because)
        if self.test is not None:
            found |= {"kept": self.test.meets_slo, "setting": _setting(self.test), "requests": self.test.requests}
            for figure in ("latency_p50_s", "latency_p99_s", "throughput_requests_per_s"):
                found[f"{figure}_error"] = self.error(figure, with_stalls=True)
                found[f"{figure}_error_without_stalls"] = self.error(figure, with_stalls=False)
        return found


def advised_cases(profiles: Mapping[Path, Profile], folder: Path, asked: Asked) -> Iterator[AdvisedCase]:
    """Yield what is advised for random traffic and targets, the models in turn, each question with a profile that was made for it.

    `profiles` show what a call of each model takes, around which is drawn; they lie in the folders 0, 1, ... of `folder`, each with its
    workload.
    """
    print("\nadvised configurations for random targets")
    draw = random.Random(11)
    for number in range(asked.questions):
        place = number % len(profiles)
        model = list(profiles)[place]
        case = _advised_and_run(model, profiles[model], folder / str(place), number, asked, draw)
        told = case.outcome if case.test is None else _setting(case.test)
        print(f"  {case.model}: {case.question}: {told}", flush=True)
        yield case


def _advised_and_run(model: Path, known: Profile, folder: Path, number: int, asked: Asked, draw: random.Random) -> AdvisedCase:
    """Return what is advised and its load test: without one if nothing is, or if it is not valid, as `verify` has it."""
    workload_path, call_s = folder / "question.yaml", alone_s(known, known.sites[0].variants[0].id)
    workload_path.write_text(_random_question((folder / "workload.yaml").read_text(), call_s, draw))
    workload = read_question(workload_path)
    assert isinstance(workload, OnlineWorkload)
    budget_s = asked.budget_s if call_s < SLOW_CALL_S else asked.slow_budget_s
    options = ProfileOptions(workload=workload_path, budget_s=budget_s, max_batch_size=MAX_BATCH_SIZE, seed=number)
    measured = measure(model, folder / "profile.json", options, now=now(), report=silent)
    assert isinstance(measured, Profile)
    request = request_of(workload, measured, folder / "profile.json", workload_path=workload_path, profile_sha256="", now=now())
    advice = advise(measured, request, None)
    because = advice.certainty.because if advice.certainty is not None else ()
    why = (advice.headline, *because) if advice.outcome == "inconclusive" else ()
    case = AdvisedCase(model.name, _told(workload), advice.outcome, call_s, measured.sites[0].noise_fraction, because=why)
    if advice.outcome not in ("change", "keep") or advice.recommended is None:
        return case
    site = loaded(measured, measured.sites[0], workload)
    wanted_s = asked.lasting_s(site.demand.busiest_requests_per_s / advice.recommended.candidate.replicas)
    test = serve_for_real(site, advice.recommended, folder, wanted_s=wanted_s)
    if (fault := fault_of(test)) is not None:
        return case._replace(outcome=NOT_VALID, because=(fault,))
    offer = offered_load(site, test.candidate, wanted_s=wanted_s)
    calm = loaded(without_stalls(measured), without_stalls(measured).sites[0], workload)
    return case._replace(test=test, without_stalls=expected(calm, test.candidate, offer))


def without_stalls(measured: Profile) -> Profile:
    """Return the profile as if nobody had watched for stalls."""
    return msgspec.structs.replace(measured, sites=tuple(msgspec.structs.replace(site, stalls=()) for site in measured.sites))


def advised_figures(cases: list[AdvisedCase]) -> Figures:
    """Return how often what is advised keeps its target, how often nothing is said for sure, and how far predictions were off.

    Of p99, runs of ENOUGH_BEYOND requests beyond it are looked at, those of calls shorter than SHORT_CALL_S apart: on these, waking up and
    a stall of a fraction of a millisecond are a large part.
    """
    run = [case for case in cases if case.test is not None]
    answered = [case for case in cases if case.outcome not in (NOT_VALID, "infeasible")]
    reason = "nothing was run"
    figures: Figures = {
        **rate("slo_safe_rate", [case.test.meets_slo for case in run if case.test is not None], without=reason),
        "slo_safe_runs": len(run),
        "slo_questions": len(cases),
        "slo_not_valid": sum(case.outcome == NOT_VALID for case in cases),
        **rate("slo_inconclusive_rate", [case.outcome == "inconclusive" for case in answered], without="nothing was answered"),
    }
    enough = [case for case in run if case.test is not None and case.test.requests >= ENOUGH_BEYOND / 0.01]
    for suffix, with_stalls in (("", True), ("_without_stalls", False)):
        for figure, short in (("latency_p50_s", "p50"), ("latency_p99_s", "p99"), ("throughput_requests_per_s", "throughput")):
            covered = [float(case.covers(figure, with_stalls=with_stalls)) for case in run]
            figures[f"slo_coverage_{short}{suffix}"] = statistics.mean(covered) if covered else Unknown(reason)
        off = [abs(case.error("latency_p50_s", with_stalls=with_stalls)) for case in run]
        figures[f"slo_p50_error_median{suffix}"] = middle(off, without=reason)
        for which, chosen in (
            ("", [case for case in enough if case.call_s >= SHORT_CALL_S]),
            ("_short_calls", [case for case in enough if case.call_s < SHORT_CALL_S]),
        ):
            off = [abs(case.error("latency_p99_s", with_stalls=with_stalls)) for case in chosen]
            figures[f"slo_p99_error_median{which}{suffix}"] = middle(off, without="no run had requests enough")
    return figures


def _setting(test: LoadTest) -> str:
    one, seen = test.candidate, 1e3 * test.latency_slo_s.value
    setting = f"{one.variant} {one.intra_op_num_threads}x{one.instances} b{one.max_batch_size} d{one.max_queue_delay_s:g}"
    return f"{setting}, {one.replicas} replica(s): {seen:.2f} ms, {'kept' if test.meets_slo else 'MISSED'}"


def _random_question(base: str, call_s: float, draw: random.Random) -> str:
    """Return the workload file with traffic and a target drawn around what a call takes: from tight to generous."""
    # Times a call from tight to generous; below a millisecond, waking up is what takes the time.
    target_s = max(call_s * draw.uniform(3.0, 20.0), 0.002 * draw.uniform(1.0, 5.0))
    per_s = min(draw.uniform(0.2, 3.0) / call_s, MAX_REQUESTS_PER_S / 2)
    kept = [line for line in base.splitlines() if not line.startswith(("traffic:", "slo:"))]
    slo = f"slo: {{latency_s: {target_s:.6f}, quantile: {draw.choice((0.9, 0.95, 0.99))}}}"
    return "\n".join([*kept, f"traffic: {{requests_per_s: {per_s:.3f}}}", slo, ""])


def _told(workload: OnlineWorkload) -> str:
    return f"p{100 * workload.slo.quantile:g} within {1e3 * workload.slo.latency_s:.1f} ms at {workload.traffic.requests_per_s:.0f}/s"
