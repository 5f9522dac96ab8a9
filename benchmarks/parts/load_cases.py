"""Configurations served for real beside the simulation of the very same requests, and advised ones beside their target."""

import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.decide.advice.advise import advise
from advisor.decide.load_test.calibration import Batches, calibrate
from advisor.decide.load_test.comparison import Observed, expected, kept_up, learned, offered_load, quantile_estimate
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import noise_floor
from advisor.files.trace import read_trace
from advisor.files.workload import read_question
from advisor.schema.advice import LoadTest, Replayed
from advisor.schema.profile import Calibration, Profile
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload, Trace
from advisor.steps.advise import request_of
from advisor.steps.serve import loaded, observe, serve_for_real
from harness import Figures, Unknown, middle, now, rate

UTILIZATIONS = (0.3, 0.5, 0.7, 0.9)
FEW_UTILIZATIONS = (0.5,)
CALIBRATION_UTILIZATION = 0.5
TRACE = Path(__file__).parents[2] / "examples" / "data" / "azure_llm_2023_conv.csv"
# How it was known what a server adds: from the seconds between those that are judged, from the whole of the same run, from a run
# before it, from the trial in the profile alone.
CALIBRATIONS = ("within", "same run", "carried", "before")
FAST_CALL_S = 0.0005
ENOUGH_BEYOND = 30  # requests beyond a quantile, to know it
SHORT_CALL_S = 0.002
MAX_REQUESTS_PER_S = 1500.0  # more, and the generator, which shares the cores with the server, is what is measured


class Case(NamedTuple):
    """One load test: what was seen in every other second of it, and what was said of the same requests."""

    model: str
    configuration: Configuration
    traffic: str
    utilization: float  # that was aimed at
    seen: Replayed
    said: dict[str, Replayed]  # by how it was calibrated: one of CALIBRATIONS
    requests: int
    valid: bool
    waited: float
    lag_p99_s: float
    calibration: Calibration

    @property
    def utilization_seen(self) -> float:
        return self.seen.utilization_fraction.value

    def _figures(self, name: str, how: str) -> tuple[Estimate, Estimate]:
        field = {"p50": "latency_p50_s", "p99": "latency_p99_s", "throughput": "throughput_requests_per_s"}[name]
        return getattr(self.seen, field), getattr(self.said[how], field)

    def error(self, name: str, how: str = "within") -> float:
        seen, said = self._figures(name, how)
        return said.value / seen.value - 1

    def covers(self, name: str, how: str = "within") -> bool:
        seen, said = self._figures(name, how)
        return said.low <= seen.value <= said.high

    def line(self) -> str:
        one = self.configuration
        setting = f"{one.variant} {one.intra_op_num_threads}x{one.instances} b{one.max_batch_size} d{one.max_queue_delay_s:g}"
        parts = []
        for how in CALIBRATIONS:
            figures = " ".join(
                f"{self.error(name, how):+6.1%}{' ' if self.covers(name, how) else '!'}" for name in ("p50", "p99")
            )
            parts.append(f"{how} {figures}")
        rate = f"throughput {self.error('throughput'):+.2%}{' ' if self.covers('throughput') else '!'}"
        busy = f"busy {self.utilization_seen:.2f} of {self.utilization}"
        waited = f"waited {self.waited:.2f}{'' if self.valid else ', NOT VALID'}"
        return f"{setting:<30} {self.traffic:<7} {busy}: {' | '.join(parts)} | {rate} | {waited}"

    def row(self) -> dict[str, Any]:
        one, calibration = self.configuration, self.calibration
        row: dict[str, Any] = {
            "model": self.model,
            "variant": one.variant,
            "threads": one.intra_op_num_threads,
            "instances": one.instances,
            "max_batch_size": one.max_batch_size,
            "max_queue_delay_s": one.max_queue_delay_s,
            "traffic": self.traffic,
            "utilization": self.utilization,
            "utilization_seen": self.utilization_seen,
            "requests": self.requests,
            "valid": self.valid,
            "waited": self.waited,
            "generator_lag_p99_s": self.lag_p99_s,
            "call_ratio": calibration.call_ratio.value,
            "per_batch_s": calibration.per_batch_s.value,
            "per_request_s": calibration.per_request_s.value,
            "wake_s": calibration.wake_s.value,
            "timer_late_s": calibration.timer_late_s.value if calibration.timer_late_s else None,
        }
        for name in ("p50", "p99", "throughput"):
            row[f"{name}_seen"] = self._figures(name, "within")[0].value
            for how in CALIBRATIONS:
                said = self._figures(name, how)[1]
                column = f"{name}_{how.replace(' ', '_')}"
                row |= {column: said.value, f"{column}_low": said.low, f"{column}_high": said.high}
        return row


def cases(name: str, measured: Profile, folder: Path, *, wanted_s: float, is_full: bool) -> Iterator[Case]:
    """Yield the cases of one model: each configuration is served once to calibrate it, and then at every load; or one case alone."""
    base = read_question(folder / "workload.yaml")
    for configuration, traffic in _configurations(measured)[: None if is_full else 1]:
        workload, trace = _with_traffic(base, traffic)
        loaded, stretched = _at(workload, trace, CALIBRATION_UTILIZATION, measured, configuration)
        carried = _taught(measured, _run(measured, folder, loaded, stretched, configuration, wanted_s))
        for utilization in UTILIZATIONS if is_full and traffic != "trace" else FEW_UTILIZATIONS:
            loaded, stretched = _at(workload, trace, utilization, carried, configuration)
            yield _case(name, measured, carried, folder, (loaded, stretched), configuration, traffic, utilization, wanted_s)


def _case(
    name: str,
    measured: Profile,
    carried: Profile,
    folder: Path,
    load: tuple[OnlineWorkload, Trace | None],
    configuration: Configuration,
    traffic: str,
    utilization: float,
    wanted_s: float,
) -> Case:
    """Serve the load; calibrate on the batches of every other second and compare with the requests of the seconds between."""
    candidate = configuration.replicated(1, measured.sites[0].hardware.id)
    site = loaded(measured, measured.sites[0], *load)
    offer = offered_load(site, candidate, wanted_s=wanted_s)
    observed = observe(site, candidate, offer, folder)
    counted = (offer.requests.sent_s % 2) >= 1
    teaching = (observed.ended_s % 2) < 1
    columns = {field: getattr(observed.batches, field) for field in observed.batches.__struct_fields__}
    requests = {field: columns.pop(field)[~counted] for field in ("transit_s", "had_own_way")}
    batches = Batches(**requests, **{field: column[teaching] for field, column in columns.items()})
    noise = noise_floor(measured.sites[0], configuration.intra_op_num_threads, configuration.instances)
    calibration = calibrate(candidate, batches, noise_fraction=noise)
    same = calibrate(candidate, observed.batches, noise_fraction=noise)
    known = {
        "within": with_calibrations(measured, (calibration,)),
        "same run": with_calibrations(measured, (same,)),
        "carried": carried,
        "before": measured,
    }
    lag_p99_s = float(np.quantile(observed.lag_s, 0.99))
    return Case(
        model=name,
        configuration=configuration,
        traffic=traffic,
        utilization=utilization,
        seen=_seen(observed, counted, configuration.instances),
        said={
            how: expected(loaded(profile, profile.sites[0], *load), candidate, offer, counted=counted)
            for how, profile in known.items()
        },
        requests=offer.requests.total,
        valid=kept_up(observed),
        waited=(observed.run_delay_s or 0.0) / observed.duration_s,
        lag_p99_s=lag_p99_s,
        calibration=calibration,
    )


def _seen(observed: Observed, counted: np.ndarray, instances: int) -> Replayed:
    latency_s = observed.latency_s[counted]
    rate = len(observed.latency_s) / observed.duration_s
    busy = float(observed.batches.busy_s.sum()) / observed.duration_s / instances
    return Replayed(
        latency_p50_s=quantile_estimate(latency_s, 0.5),
        latency_p95_s=quantile_estimate(latency_s, 0.95),
        latency_p99_s=quantile_estimate(latency_s, 0.99),
        latency_slo_s=quantile_estimate(latency_s, 0.99),
        throughput_requests_per_s=_measured(rate),
        utilization_fraction=_measured(busy),
    )


def _measured(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, basis="measured", source="a load test")


def _configurations(measured: Profile) -> list[tuple[Configuration, str]]:
    """Return configurations whose capacity the generator can offer: a model that answers in microseconds gets small batches."""
    first = measured.sites[0].variants[0].id
    other = "int8-dynamic" if any(variant.id == "int8-dynamic" for variant in measured.sites[0].variants) else first
    most = 1 if not measured.model.batching.possible else 2 if _alone_s(measured) < FAST_CALL_S else 8

    def one(variant: str, *, instances: int, batch: int, delay_s: float) -> Configuration:
        return Configuration(
            variant=variant,
            intra_op_num_threads=1,
            instances=instances,
            max_batch_size=min(batch, most),
            max_queue_delay_s=delay_s if most > 1 else 0.0,
        )

    return [
        (one(first, instances=1, batch=4, delay_s=0.002), "poisson"),
        (one(other, instances=1, batch=8, delay_s=0.005), "cv 2"),
        (one(first, instances=2, batch=4, delay_s=0.0), "poisson"),
        (one(first, instances=1, batch=8, delay_s=0.002), "trace"),
    ]


def _alone_s(measured: Profile, variant: str | None = None) -> float:
    """Return the shortest median of a single item on one thread, of the variant or of all."""
    return min(
        statistics.median(visit.latency_s)
        for entry in measured.sites[0].measurements
        for visit in entry.visits
        if entry.batch_size == 1 and entry.intra_op_num_threads == 1 and variant in (None, entry.variant)
    )


def _with_traffic(base: OnlineWorkload, traffic: str) -> tuple[OnlineWorkload, Trace | None]:
    if traffic != "trace":
        cv = 2.0 if traffic == "cv 2" else 1.0
        return msgspec.structs.replace(base, traffic=msgspec.structs.replace(base.traffic, burstiness_cv=cv)), None
    recorded = read_trace(TRACE)
    longest = max(base.inputs.sequence_length.p95 or 1, 1) if base.inputs and base.inputs.sequence_length else None
    lengths = None if longest is None else tuple(min(length, longest) for length in recorded.sequence_length or ())
    replayed = msgspec.structs.replace(base.traffic, requests_per_s=None, trace=TRACE.name)
    return msgspec.structs.replace(base, traffic=replayed), Trace(arrival_s=recorded.arrival_s, sequence_length=lengths)


def _at(
    workload: OnlineWorkload, trace: Trace | None, utilization: float, measured: Profile, configuration: Configuration
) -> tuple[OnlineWorkload, Trace | None]:
    """Return the same traffic at the rate at which the simulated instances are so busy.

    Where the generator cannot offer what would keep them 90 % busy, loads are parts of what it can.
    """
    site = loaded(measured, measured.sites[0], workload, trace)

    def rate_of(busy: float) -> float:
        low, high = 1e-4, 1e6
        for _ in range(40):
            middle = float(np.sqrt(low * high))
            run = site.simulator.run(configuration, 1, "value", 0, scale=middle)
            low, high = (middle, high) if run.utilization < busy else (low, middle)
        return low * site.demand.requests_per_s

    most = rate_of(UTILIZATIONS[-1])
    rate = rate_of(utilization) if most <= MAX_REQUESTS_PER_S else MAX_REQUESTS_PER_S * utilization / UTILIZATIONS[-1]
    if trace is not None:
        stretch = site.demand.requests_per_s / rate
        return workload, Trace(
            arrival_s=tuple(arrival * stretch for arrival in trace.arrival_s), sequence_length=trace.sequence_length
        )
    return msgspec.structs.replace(workload, traffic=msgspec.structs.replace(workload.traffic, requests_per_s=rate)), None


def _run(
    measured: Profile, folder: Path, workload: OnlineWorkload, trace: Trace | None, configuration: Configuration, wanted_s: float
) -> LoadTest:
    site = loaded(measured, measured.sites[0], workload, trace)
    return serve_for_real(site, predict(site, configuration, 1, today_replicas=1), folder, wanted_s=wanted_s)


class AdvisedCase(NamedTuple):
    """One question, what was advised on it, and the load test of that; without the latter where nothing was advised for sure."""

    model: str
    question: str
    outcome: str
    call_s: float  # of a single item
    test: LoadTest | None = None
    without_stalls: Replayed | None = None  # what would have been expected of the same requests without stalls

    def error(self, figure: str, *, with_stalls: bool) -> float:
        said, seen = self._figures(figure, with_stalls=with_stalls)
        return said.value / seen.value - 1

    def covers(self, figure: str, *, with_stalls: bool) -> bool:
        said, seen = self._figures(figure, with_stalls=with_stalls)
        return said.low <= seen.high and seen.low <= said.high

    def _figures(self, figure: str, *, with_stalls: bool) -> tuple[Estimate, Estimate]:
        assert self.test is not None and self.without_stalls is not None
        return getattr(self.test.expected if with_stalls else self.without_stalls, figure), getattr(self.test, figure)

    def row(self) -> dict[str, Any]:
        """Return the case for the table."""
        found: dict[str, Any] = {"model": self.model, "question": self.question, "outcome": self.outcome, "call_s": self.call_s}
        if self.test is not None:
            found |= {"kept": self.test.meets_slo, "setting": _setting(self.test), "requests": self.test.requests}
            for figure in ("latency_p50_s", "latency_p99_s", "throughput_requests_per_s"):
                found[f"{figure}_error"] = self.error(figure, with_stalls=True)
                found[f"{figure}_error_without_stalls"] = self.error(figure, with_stalls=False)
        return found


def advised_cases(
    profiles: dict[Path, Profile], folder: Path, *, wanted_s: float, wanted: int, draws_each: int
) -> Iterator[AdvisedCase]:
    """Yield what is advised for random traffic and targets, `wanted` of them run, the models in turn.

    What each load test teaches goes into the profile, as after `advisor verify`; the next question of the same model is answered with it.
    At most `draws_each` questions are drawn for each configuration that is wanted: some no configuration keeps, and the machine may be
    too busy.
    """
    print("\nadvised configurations for random targets")
    draw = random.Random(11)
    learnt = dict(profiles)
    for number in range(wanted):
        model = list(profiles)[number % len(profiles)]
        place = folder / str(number % len(profiles))
        for _ in range(draws_each):
            workload = _random_question(read_question(place / "workload.yaml"), profiles[model], draw)
            case = _advised_and_run(model.name, learnt[model], workload, place, wanted_s)
            told = case.outcome if case.test is None else _setting(case.test)
            print(f"  {case.model}: {case.question}: {told}", flush=True)
            yield case
            if case.test is not None:
                learnt[model] = _taught(learnt[model], case.test)
            if case.test is not None or case.outcome == "inconclusive":
                break


def _advised_and_run(name: str, measured: Profile, workload: OnlineWorkload, folder: Path, wanted_s: float) -> AdvisedCase:
    """Return what is advised and its load test: without one if nothing is, or if the generator did not offer what it was asked for."""
    request = request_of(workload, measured, folder / "profile.json", workload_path=None, profile_sha256="", now=now())
    advice = advise(measured, request, None)
    case = AdvisedCase(name, _told(workload), advice.outcome, _alone_s(measured, measured.sites[0].variants[0].id))
    if advice.outcome not in ("change", "keep") or advice.recommended is None:
        return case
    site = loaded(measured, measured.sites[0], workload)
    test = serve_for_real(site, advice.recommended, folder, wanted_s=wanted_s)
    if not test.generator_kept_up:
        return case._replace(outcome="late generator")
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
    answered = [case for case in cases if case.outcome != "late generator" and case.outcome != "infeasible"]
    reason = "nothing was run"
    figures: Figures = {
        **rate("slo_safe_rate", [case.test.meets_slo for case in run if case.test is not None], without=reason),
        "slo_safe_runs": len(run),
        "slo_draws": len(cases),
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


def _taught(measured: Profile, test: LoadTest) -> Profile:
    return with_calibrations(measured, learned(measured.sites[0].calibrations, (test,)))


def _setting(test: LoadTest) -> str:
    one, seen = test.candidate, 1e3 * test.latency_slo_s.value
    setting = f"{one.variant} {one.intra_op_num_threads}x{one.instances} b{one.max_batch_size} d{one.max_queue_delay_s:g}"
    return f"{setting}, {one.replicas} replica(s): {seen:.2f} ms, {'kept' if test.meets_slo else 'MISSED'}"


def _random_question(base: OnlineWorkload, measured: Profile, draw: random.Random) -> OnlineWorkload:
    """Return the workload with traffic and a target drawn around what the model can do: from tight to generous."""
    alone_s = _alone_s(measured, measured.sites[0].variants[0].id)
    # Times a call from tight to generous; below a millisecond, waking up is what takes the time.
    target_s = max(alone_s * draw.uniform(3.0, 20.0), 0.002 * draw.uniform(1.0, 5.0))
    rate = min(draw.uniform(0.2, 3.0) / alone_s, MAX_REQUESTS_PER_S / 2)
    slo = msgspec.structs.replace(base.slo, latency_s=target_s, quantile=draw.choice((0.9, 0.95, 0.99)))
    return msgspec.structs.replace(base, traffic=msgspec.structs.replace(base.traffic, requests_per_s=rate), slo=slo)


def _told(workload: OnlineWorkload) -> str:
    return f"p{100 * workload.slo.quantile:g} within {1e3 * workload.slo.latency_s:.1f} ms at {workload.traffic.requests_per_s:.0f}/s"


def with_calibrations(measured: Profile, calibrations: tuple[Calibration, ...]) -> Profile:
    """Return the profile with what load tests taught of its first site."""
    site = msgspec.structs.replace(measured.sites[0], calibrations=calibrations)
    return msgspec.structs.replace(measured, sites=(site, *measured.sites[1:]))
