"""The space: devices, degrees, precisions and batches that a language model may be served with, simplest first, and what does not fit."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from advisor.decide.generation.projection.memory import kv_bytes_per_token, splits, weight_bytes_per_device
from advisor.decide.generation.traffic import TokenDemand
from advisor.schema.advice import Place
from advisor.schema.catalog import Hardware
from advisor.schema.generation import Policy
from advisor.schema.language import Architecture, Deployment, KvPrecision, SpeculationChoice, WeightPrecision
from advisor.schema.record import Exclusion, Record
from advisor.schema.workload import LowerPrecision
from advisor.units import size

DEGREES = (1, 2, 4, 8)
RUNNING = tuple(1 << power for power in range(10))  # 1 to 512
BUDGETS = (512, 2048, 8192)  # tokens of a step, read and decoded
USUAL_RUNNING, USUAL_BUDGET = 256, 2048  # of vLLM, near which a way to serve is simple
# Devices of a machine where the catalog knows none to rent.
USUAL_DEVICES = 8
# Of a device's memory that vLLM takes by itself.
MEMORY_UTILIZATION = 0.9
# Of that beside weights and cache: context of the driver, captured graphs, buffers of the collectives; our assumption.
RUNTIME_BYTES = 1.5e9
# Of what a step works on, bytes for each of its tokens and hidden units: a few tensors of 16 bits; our assumption.
ACTIVATION_BYTES = 16
BITS: dict[WeightPrecision, int] = {"bf16": 16, "fp8": 8, "int4": 4, "fp4": 4}
LOWER: tuple[LowerPrecision, ...] = ("fp8", "int4", "fp4")
BASE_KV: KvPrecision = "bf16"
LOWER_KV: KvPrecision = "fp8"


class Way(Record, frozen=True, kw_only=True):
    """How one replica batches, before the number of replicas is chosen."""

    max_running_requests: int
    token_budget: int  # of a step of the engine
    chunk_tokens: int  # of a step of the simulation, of which a step that verifies a draft is as many as it gives tokens
    kv_tokens: int

    @property
    def policy(self) -> Policy:
        """VLLM decodes all running requests in each step, and reads prompts beside."""
        return "mixed"

    @property
    def setting(self) -> str:
        """All ways of one replica have steps of the same seconds."""
        return self.policy


class Setting(NamedTuple):
    """What one replica runs on, and in which precision."""

    device: str
    tensor_parallel: int
    weights: WeightPrecision
    kv: KvPrecision
    speculation: SpeculationChoice | None = None

    def deployed(self, way: Way, replicas: int) -> Deployment:
        """Return so many replicas that serve in this way."""
        return Deployment(
            device=self.device,
            tensor_parallel=self.tensor_parallel,
            weights=self.weights,
            kv=self.kv,
            max_running_requests=way.max_running_requests,
            token_budget=way.token_budget,
            kv_tokens=way.kv_tokens,
            speculation=self.speculation,
            replicas=replicas,
        )


class Precisions(NamedTuple):
    """Those of weights and of the cache."""

    weights: WeightPrecision
    kv: KvPrecision


def precisions(model: Architecture, hardware: Hardware, accepted: Sequence[LowerPrecision]) -> list[Precisions]:
    """Return what may be served on a device: the checkpoint's own precision, and lower ones that were accepted, where it has them."""
    lower = [name for name in LOWER if name in accepted and BITS[name] < BITS[model.weights] and _has(name, hardware)]
    weights: list[WeightPrecision] = [model.weights, *lower]
    caches = [BASE_KV, LOWER_KV] if LOWER_KV in accepted and _has("fp8", hardware) else [BASE_KV]
    return [Precisions(each, kv) for each in weights for kv in caches]


def _has(precision: LowerPrecision, hardware: Hardware) -> bool:
    """Return whether engines serve weights in a precision on a device: int4 is unpacked on any, the others take units for them."""
    return precision == "int4" or precision in hardware.peak_flop_per_s


def offered_devices(hardware: Hardware, places: Sequence[Place]) -> list[int]:
    """Return how many of the devices stand in each machine that is known to be offered."""
    return [*(offer.devices for offer in hardware.offers), *(place.devices for place in places if place.devices > 1)]


def most_devices(hardware: Hardware, places: Sequence[Place]) -> int:
    """Return how many devices a replica may span: all of the largest machine."""
    return max(offered_devices(hardware, places), default=USUAL_DEVICES)


def free_bytes(model: Architecture, hardware: Hardware, tensor_parallel: int, token_budget: int) -> float:
    """Return the memory of a device that is left for weights and cache."""
    working = ACTIVATION_BYTES * token_budget * model.hidden_size / tensor_parallel
    return MEMORY_UTILIZATION * (hardware.memory_bytes or 0.0) - RUNTIME_BYTES - working


def token_bytes(model: Architecture, kv: KvPrecision, degree: int, demand: TokenDemand) -> float:
    """Return what a token takes in the cache of a device, on average over requests as long as the workload's."""
    return kv_bytes_per_token(model, kv, degree, context_tokens=sum(demand.mean_tokens))[1]


def cache_tokens(
    model: Architecture, hardware: Hardware, setting: Setting, demand: TokenDemand, *, token_budget: int = BUDGETS[0]
) -> int:
    """Return for how many tokens of keys and values a replica has memory, below 0 where not even its weights fit."""
    degree = setting.tensor_parallel
    weights = weight_bytes_per_device(model, setting.weights, degree)
    if setting.speculation is not None:
        weights += weights / model.layers  # of a draft of one layer, which shares the head
    free = free_bytes(model, hardware, degree, token_budget) - weights
    return math.floor(free / token_bytes(model, setting.kv, degree, demand))


def too_small(model: Architecture, hardware: Hardware, setting: Setting, demand: TokenDemand) -> str | None:
    """Return why a replica does not hold the model with the largest request of the workload, None if it does."""
    if hardware.memory_bytes is None:
        return "memory: the catalog does not say how much it has"
    room, needed = cache_tokens(model, hardware, setting, demand), demand.largest_tokens
    if room >= needed:
        return None
    degree = setting.tensor_parallel
    weights, free = weight_bytes_per_device(model, setting.weights, degree), free_bytes(model, hardware, degree, BUDGETS[0])
    left = f"room for {room:,} tokens of the cache" if room > 0 else "no room for the cache"
    return (
        f"memory: the {setting.weights} weights take {size(weights)} of {size(max(free, 0.0))} that may be used of a device, which leaves "
        f"{left}, and the largest request needs {needed:,} ({size(token_bytes(model, setting.kv, degree, demand))} each)"
    )


def degrees(model: Architecture, hardware: Hardware, places: Sequence[Place]) -> list[int]:
    """Return over how many devices a replica may be split."""
    most = most_devices(hardware, places)
    return [degree for degree in DEGREES if degree <= most and splits(model, degree) is None]


def not_split(model: Architecture, most: int) -> Iterator[Exclusion]:
    """Yield the degrees that no device is asked for, for the model does not divide by them."""
    for degree in DEGREES:
        reason = splits(model, degree)
        if degree <= most and reason is not None:
            yield Exclusion(what=f"tensor parallel {degree}", reason=reason)


def ways(model: Architecture, hardware: Hardware, setting: Setting, demand: TokenDemand) -> list[Way]:
    """Return every way in which a replica may batch, those near an engine's own settings first."""
    choice = setting.speculation
    proposed = choice.draft_tokens if choice else 0
    gives = choice.tokens_per_step.value if choice else 1.0
    found = []
    for budget in BUDGETS:
        room = cache_tokens(model, hardware, setting, demand, token_budget=budget)
        if room < demand.largest_tokens:
            continue
        fitting = (room - demand.shared_prefix) // smallest_tokens(demand)
        for running in RUNNING:
            # Decoded tokens count in the budget: a smaller one would read nothing while all places are taken. And where no more than
            # half as many fit into the cache, the places are never taken.
            if running * (1 + proposed) < budget and running < 2 * fitting:
                chunk = max(round(budget / gives), running + 1)
                found.append(Way(max_running_requests=running, token_budget=budget, chunk_tokens=chunk, kv_tokens=room))
    return sorted(found, key=_from_usual)


def _from_usual(way: Way) -> tuple[float, int, int]:
    off = abs(math.log2(way.max_running_requests / USUAL_RUNNING)) + abs(math.log2(way.token_budget / USUAL_BUDGET))
    return off, way.token_budget, way.max_running_requests


def smallest_tokens(demand: TokenDemand) -> int:
    """Return the tokens that the smallest request needs in the cache for itself."""
    return min(int(demand.load(seed, 1).read_tokens.min()) for seed in range(demand.seeds)) + 1
