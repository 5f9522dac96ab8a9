"""Replica + way to serve + replicas -> DeploymentPrediction: what is expected of a deployment, each figure over all runs."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from advisor.decide.generation.capacity import Capacity, binding, capacity
from advisor.decide.generation.elsewhere.money import costs_of, energy_j_per_output_token
from advisor.decide.generation.elsewhere.replica import Replica
from advisor.decide.generation.elsewhere.space import Precisions, Way
from advisor.decide.generation.prediction import rent_needed
from advisor.decide.generation.projection.memory import kv_bytes_per_token, weight_bytes_per_device
from advisor.decide.generation.search import Chosen
from advisor.decide.generation.simulation import Run, over_runs, token_times
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, USUAL_CONFIDENCE
from advisor.decide.service.energy import scaled
from advisor.schema.generation import Quantiles, TokenTimes
from advisor.schema.language import DeploymentPrediction, Ground
from advisor.schema.record import Basis, Estimate
from advisor.units import counted

BASIS: Basis = "projected"
GROUNDS: dict[Ground, str] = {
    "kernels": "kernels measured on this device",
    "scaled-kernels": "kernels measured on the nearest device, scaled by the rates of both",
    "roofline": "the rates of the device alone",
}


class Predicted(NamedTuple):
    """A prediction, what it is of, and what it carries; None where that was not sought, or is nothing."""

    chosen: Chosen[Replica, Way]
    prediction: DeploymentPrediction
    capacity: Capacity | None = None


def predict(chosen: Chosen[Replica, Way], calls_per_request: float, *, with_capacity: bool = False) -> Predicted:
    """Return what is expected of a way to serve on so many replicas."""
    replica, way, replicas = chosen
    serving, setting = replica.serving, replica.setting
    runs = serving.runs(way, replicas)
    source = source_of(replica, len(runs))

    def estimate(of: Callable[[Run], float]) -> Estimate:
        return over_runs([of(run) for run in runs], BASIS, source)

    times = _of_the_engine(token_times(runs, serving.slo.quantile, replicas=replicas, basis=BASIS, source=source), replica)
    carried = capacity(serving, way, replicas) if with_capacity else None
    middle = sorted(runs, key=lambda run: run.utilization)[len(runs) // 2]
    utilization = estimate(lambda run: run.utilization)
    money = costs_of(replica, rent_needed(replica, way, replicas), times, middle.prefill_fraction, calls_per_request)
    kind = Precisions(setting.weights, setting.kv)
    made = DeploymentPrediction(
        deployment=setting.deployed(way, replicas),
        ground=replica.steps.ground,
        times=times,
        goodput_fraction=estimate(lambda run: run.kept_fraction(serving.slo)),
        capacity_requests_per_s=carried.requests_per_s if carried else None,
        utilization_fraction=utilization,
        running_requests=middle.running_requests,
        kv_use_fraction=max(run.kv_use for run in runs),
        preemptions_per_request=middle.preemptions_per_request,
        prefill_fraction=middle.prefill_fraction,
        binding=carried.binding if carried else binding(serving, way, replicas),
        weight_bytes_per_device=weight_bytes_per_device(replica.model, kind.weights, setting.tensor_parallel),
        kv_bytes_per_token=kv_bytes_per_token(replica.model, kind.kv, setting.tensor_parallel)[0],
        cost_usd_per_hour=money.per_hour,
        cost_usd_per_request=money.per_request,
        cost_usd_per_month=money.per_month,
        cost_usd_per_million_input_tokens=money.per_million_inputs,
        cost_usd_per_million_output_tokens=money.per_million_outputs,
        energy_j_per_output_token=energy_j_per_output_token(replica, replicas, utilization, times),
        meets_slo=serving.meets(way, replicas, USUAL_CONFIDENCE),
        misses_slo=not serving.meets(way, replicas, LEAST_CONFIDENCE),
    )
    return Predicted(chosen, made, carried)


def source_of(replica: Replica, runs: int) -> str:
    """Return what the figures of a prediction are from."""
    requests = len(replica.serving.load(0, 1).input_tokens)
    low, high = replica.steps.factors
    return (
        f"{counted(runs, 'simulation')} of up to {requests:,} requests with {counted(replica.demand.seeds, 'seed')}, steps composed from "
        f"{GROUNDS[replica.steps.ground]}, each {low:.2g} to {high:.3g} times as long"
    )


def _of_the_engine(times: TokenTimes, replica: Replica) -> TokenTimes:
    """Return times as users of the engine see them: with a draft tokens come several at a time, and the gaps between are longer."""
    choice = replica.setting.speculation
    if choice is None or times.itl_s is None:
        return times
    gives = choice.tokens_per_step.value
    itl = {
        name: scaled(value, gives, value.source) for name in ("p50", "p90", "p99", "slo") if (value := getattr(times.itl_s, name))
    }
    return msgspec.structs.replace(times, itl_s=Quantiles(**itl))
