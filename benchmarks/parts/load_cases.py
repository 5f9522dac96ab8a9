"""Configurations served for real beside the simulation of the very same requests."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.decide.load_test.calibration import Batches, calibrate
from advisor.decide.load_test.comparison import Observed, expected, kept_up, learned, offered_load, quantile_estimate
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import noise_of_test
from advisor.files.trace import read_trace
from advisor.files.workload import read_question
from advisor.schema.advice import LoadTest, Replayed
from advisor.schema.arrays.trace import Trace
from advisor.schema.profile import Calibration, Profile
from advisor.schema.record import Estimate
from advisor.schema.workload import OnlineWorkload
from advisor.steps.serve import loaded, observe, serve_for_real

UTILIZATIONS = (0.3, 0.5, 0.7, 0.9)
FEW_UTILIZATIONS = (0.5,)
CALIBRATION_UTILIZATION = 0.5
TRACE = Path(__file__).parents[2] / "examples" / "data" / "azure_llm_2023_conv.csv"
# How it was known what a server adds: from the seconds between those that are judged, from the whole of the same run, from a run
# before it, from the trial in the profile alone.
CALIBRATIONS = ("within", "same run", "carried", "before")
FAST_CALL_S = 0.0005
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
    assert isinstance(base, OnlineWorkload)
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
    setting = (configuration.intra_op_num_threads, configuration.instances)
    noise = noise_of_test(measured.sites[0], *setting, observed.duration_s)
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
    most = 1 if not measured.model.batching.possible else 2 if alone_s(measured) < FAST_CALL_S else 8

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


def alone_s(measured: Profile, variant: str | None = None) -> float:
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
    lengths = None if longest is None or recorded.sequence_length is None else np.minimum(recorded.sequence_length, longest)
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
        return workload, Trace(arrival_s=trace.arrival_s * stretch, sequence_length=trace.sequence_length)
    return msgspec.structs.replace(workload, traffic=msgspec.structs.replace(workload.traffic, requests_per_s=rate)), None


def _run(
    measured: Profile, folder: Path, workload: OnlineWorkload, trace: Trace | None, configuration: Configuration, wanted_s: float
) -> LoadTest:
    site = loaded(measured, measured.sites[0], workload, trace)
    return serve_for_real(site, predict(site, configuration, 1, today_replicas=1), folder, wanted_s=wanted_s)


def _taught(measured: Profile, test: LoadTest) -> Profile:
    return with_calibrations(measured, learned(measured.sites[0].calibrations, (test,)))


def with_calibrations(measured: Profile, calibrations: tuple[Calibration, ...]) -> Profile:
    """Return the profile with what load tests taught of its first site."""
    site = msgspec.structs.replace(measured.sites[0], calibrations=calibrations)
    return msgspec.structs.replace(measured, sites=(site, *measured.sites[1:]))
