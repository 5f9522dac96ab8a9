"""What an export is made of: the configuration that the advice is about, with the file, the runtime and the scale that belong to it."""

import math

from msgspec.structs import replace

from advisor.errors import InputError
from advisor.schema.advice import BUSY_FRACTION, Advice, Candidate, Prediction, RunsOn, VariantSummary
from advisor.schema.catalog import CPU, Hardware
from advisor.schema.model import ModelFacts
from advisor.schema.record import Cores, Count, Fraction, Positive, Record
from advisor.tell.deploy.escapes import slug

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
ON_NVIDIA = (CUDA, TENSORRT)
OPENVINO = "openvino"
# Elements by the names of the Open Inference Protocol; what has none cannot be sent to a server.
DATATYPES = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    "string": "BYTES",
}
# Without a plan of the fleet: replicas that an autoscaler may reach, over those that are advised. Assumed.
ROOM = 2
BUSIEST_PERCENT = 95  # beyond it an autoscaler never acts in time
MOST_HEADROOM = 1e6  # beyond it nothing is known of what happens
MOST_ONGOING = 1e4  # requests in one replica: more, and nothing keeps a target
# Of a process beside the sessions that were measured: a server, its threads, requests on their way. Assumed, on the generous side.
SERVER_BYTES, SPARE = 128 * 2**20, 1.25
# Where nobody saw the memory: the file, a packed copy of its weights and as much for activations, and the runtime. Assumed.
COPIES, RUNTIME_BYTES = 3, 300_000_000


class Scale(Record, frozen=True, kw_only=True):
    """How many replicas run: where it starts, and between which numbers an autoscaler may move."""

    replicas: Count
    least: Count
    most: Count
    busy_percent: (
        Count  # of its cores, that an autoscaler holds a replica at: what is predicted with the most that the target bears
    )
    ongoing_requests: Positive  # in one replica then, waiting ones counted, on average: Little's law with the median latency
    is_planned: bool  # by the fleet of the workload


class Served(Record, frozen=True, kw_only=True):
    """One advised configuration, and all that its export needs."""

    name: str  # of the model, as it is called
    slug: str  # as machines call it
    workload: str
    advisor_version: str
    created: str
    is_likely: bool  # nothing is recommended: this is the most likely answer
    model: ModelFacts
    variant: VariantSummary
    runs_on: RunsOn
    candidate: Candidate
    prediction: Prediction
    scale: Scale
    versions: dict[str, str]
    machine_cores: Cores  # of the machine that measured, which one replica had to itself
    requests_per_s: Positive
    slo_latency_s: Positive
    slo_quantile: Fraction

    @property
    def cores(self) -> int:
        """Which one replica keeps busy."""
        return self.candidate.intra_op_num_threads * self.candidate.instances

    @property
    def on_gpu(self) -> bool:
        """Whether a device of NVIDIA runs it."""
        return self.runs_on.provider in ON_NVIDIA

    @property
    def memory_bytes(self) -> int:
        """What one replica takes, with room to spare."""
        seen = self.variant.peak_memory_bytes or COPIES * self.variant.bytes + RUNTIME_BYTES
        return math.ceil(SPARE * seen) + SERVER_BYTES


def chosen(advice: Advice, *, most_likely: bool) -> Prediction:
    """Return the configuration to export; raise InputError where nothing is recommended, unless the most likely one is asked for."""
    if advice.recommended is not None:
        return advice.recommended
    if advice.outcome == "infeasible":
        binds = advice.binding_constraint or "no single constraint could be identified"
        raise InputError(f"nothing keeps the target, so there is nothing to serve ({binds})", hint="see `advisor report`")
    if advice.likely is None:
        raise InputError("the answer is not known, and most likely nothing keeps the target", hint="settle it as the report says")
    if not most_likely:
        raise InputError(
            "the answer is not known well enough, so nothing is recommended",
            hint="settle it as the report says, or export what is most likely with --most-likely",
        )
    return advice.likely


def served(advice: Advice, prediction: Prediction, device: Hardware | None) -> Served:
    """Return what is to be exported; `device` is the catalog's entry of hardware where nothing was measured, None where it was.

    Raises InputError for what no server can take: a variant or a type of the model's that nothing is known of.
    """
    candidate = prediction.candidate
    rows = [row for row in advice.variants if row.id == candidate.variant]
    if not rows:
        raise InputError(f"it says nothing of the variant {candidate.variant}", hint="run `advisor advise` again")
    variant = next((row for row in rows if row.hardware == candidate.hardware), rows[0])
    _check_types(advice.model)
    site = next((site for site in advice.sites if site.hardware == variant.hardware), advice.sites[0])
    return Served(
        name=advice.model.name,
        slug=slug(advice.model.name),
        workload=advice.workload.name,
        advisor_version=advice.advisor_version,
        created=advice.created,
        is_likely=advice.recommended is None,
        model=advice.model,
        variant=variant,
        runs_on=_runs_on(variant, candidate, device),
        candidate=candidate,
        prediction=prediction,
        scale=_scale(advice, prediction),
        versions=site.versions,
        machine_cores=site.machine.cores,
        requests_per_s=advice.mean_requests_per_s,
        slo_latency_s=advice.workload.slo.latency_s,
        slo_quantile=advice.workload.slo.quantile,
    )


def _check_types(model: ModelFacts) -> None:
    for what, entries in (("input", model.inputs), ("output", model.outputs)):
        for entry in entries:
            if entry.dtype not in DATATYPES:
                raise InputError(
                    f"its {what} {entry.name} is {entry.dtype}, which servers of models neither take nor give",
                    hint=f"export the model with one tensor for each {what}, of {', '.join(DATATYPES)}",
                )


def _runs_on(variant: VariantSummary, candidate: Candidate, device: Hardware | None) -> RunsOn:
    """Return what runs the file: as it was measured; on a device that is not here, what its service times were projected for."""
    if variant.runs_on is None:
        raise InputError("made before advisor wrote down what runs a variant", hint="run `advisor advise` again")
    if device is None or device.kind == "cpu":
        return variant.runs_on
    if device.vendor == "NVIDIA" and variant.runs_on.provider in (CPU, *ON_NVIDIA):
        return variant.runs_on if variant.runs_on.provider in ON_NVIDIA else replace(variant.runs_on, provider=CUDA)
    raise InputError(
        f"{candidate.variant} was not measured on {device.name}, and nothing says which runtime would serve it there",
        hint=f"profile it there (advisor profile --hardware {device.id}) and merge the two (advisor merge)",
    )


def _scale(advice: Advice, prediction: Prediction) -> Scale:
    candidate, pools = prediction.candidate, advice.fleet.pools if advice.fleet else ()
    alike = [pool for pool in pools if replace(pool.candidate, replicas=1) == replace(candidate, replicas=1)]
    parts = [count for pool in alike for count in pool.replicas_by_part if count]
    replicas, busy = candidate.replicas, prediction.utilization_fraction.value
    headroom = _headroom(prediction, advice.mean_requests_per_s)
    ongoing = headroom * advice.mean_requests_per_s / replicas * prediction.latency_p50_s.value
    return Scale(
        replicas=max(parts, default=replicas),
        least=min(parts, default=replicas),
        most=max(parts, default=ROOM * replicas),
        busy_percent=max(1, min(BUSIEST_PERCENT, round(100 * headroom * busy))),
        ongoing_requests=min(max(1.0, round(ongoing, 2)), MOST_ONGOING),
        is_planned=bool(parts),
    )


def _headroom(prediction: Prediction, requests_per_s: float) -> float:
    """Return how many times the traffic the replicas bear with the target kept, and servers no busier than is safe; one at least."""
    capacity, busy = prediction.capacity_requests_per_s, prediction.utilization_fraction.value
    if capacity is None or busy <= 0:
        return 1.0
    return max(1.0, min(capacity.low / requests_per_s, BUSY_FRACTION / busy, MOST_HEADROOM))
