"""What a candidate carries with every target kept, by bisection over the same draws of requests, and what gives way beyond that."""

from typing import NamedTuple

from advisor.decide.generation.service.step_time import DRAWS
from advisor.decide.generation.simulation import Run, work_s
from advisor.decide.generation.site import GenerationUnderLoad, UnderLoad, WayT
from advisor.decide.generation.space import Way
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE, USUAL_CONFIDENCE
from advisor.schema.generation import Binding
from advisor.schema.record import Estimate
from advisor.units import counted

STEPS = 8  # of a bisection: what is left open is less than measuring is off by
MOST_CLIENTS = 1 << 14  # of one replica; beyond them all wait
BEYOND = 1.05  # times the capacity: what gives way is looked at there
FULL = 0.9  # of the cache: less was never asked of it
ENDS = {"low": USUAL_CONFIDENCE, "value": MIDDLE_CONFIDENCE, "high": LEAST_CONFIDENCE}  # of what is carried


class Capacity(NamedTuple):
    """The highest rate with every target kept, of all replicas, and at what density of the workload; `clients` are those of one replica."""

    requests_per_s: Estimate
    scale: float  # of the traffic, at the value; 1 is today's
    clients: int | None  # at the value; None: requests come by themselves
    binding: Binding


def capacity(site: UnderLoad[WayT], way: WayT, replicas: int) -> Capacity | None:
    """Return what so many replicas carry, None where not even the thinnest traffic keeps the targets most likely."""
    return _of_clients(site, way, replicas) if site.demand.is_closed else _of_rate(site, way, replicas)


def _of_rate(site: UnderLoad[WayT], way: WayT, replicas: int) -> Capacity | None:
    # What is carried for sure is carried in all likelihood.
    found = {"low": 0.0, "value": 0.0, "high": 0.0}
    for end, confidence in ENDS.items():
        found[end] = _scale(site, way, replicas, confidence, at_least=max(found.values()))
    if found["value"] == 0.0:
        return None
    rate = site.demand.requests_per_s or 0.0
    return Capacity(
        requests_per_s=Estimate(
            value=found["value"] * rate,
            low=found["low"] * rate,
            high=found["high"] * rate,
            basis="simulated",
            source=f"bisection of the simulated rate at which every target is just kept, of {counted(replicas, 'replica')}",
        ),
        scale=found["value"],
        clients=None,
        binding=binding(site, way, replicas, scale=BEYOND * found["value"]),
    )


def _scale(site: UnderLoad[WayT], way: WayT, replicas: int, confidence: float, *, at_least: float) -> float:
    """Return how many times as dense the traffic may be; 0 where even the thinnest misses a target."""
    # Full utilization in the quickest run is an upper bound.
    limit = replicas / site.load_of_one(way, 0)
    low, high = at_least, max(limit, at_least)
    if not at_least:
        # Today's traffic is asked first: the bisection is fine around what there is.
        if site.meets(way, replicas, confidence):
            low, high = 1.0, max(limit, 1.0)
        else:
            high = min(limit, 1.0)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if site.meets(way, replicas, confidence, scale=middle) else (low, middle)
    return low


def _of_clients(site: UnderLoad[WayT], way: WayT, replicas: int) -> Capacity | None:
    found = {"low": 0, "value": 0, "high": 0}
    for end, confidence in ENDS.items():
        found[end] = most_clients(site, way, confidence, at_least=max(found.values()))
    if found["value"] == 0:
        return None
    rates = {
        end: replicas * site.run(way, 1, DRAWS // 2, clients=clients).requests_per_s if clients else 0.0
        for end, clients in found.items()
    }
    clients = found["value"]
    return Capacity(
        requests_per_s=Estimate(
            value=rates["value"],
            low=min(rates["low"], rates["value"]),
            high=max(rates["high"], rates["value"]),
            basis="simulated",
            source=(
                f"what {counted(clients, 'client')} of a replica ask for ({found['low']:,} to {found['high']:,}): with more, not every "
                "target is kept"
            ),
        ),
        scale=clients * replicas / (site.demand.clients or 1),
        clients=clients,
        binding="nothing" if clients >= MOST_CLIENTS else binding(site, way, replicas, clients=clients + 1),
    )


def most_clients(site: UnderLoad[WayT], way: WayT, confidence: float, *, at_least: int = 0) -> int:
    """Return how many clients of one replica keep every target; 0 where not even one does."""
    low, high = at_least, max(1, 2 * at_least)
    while high <= MOST_CLIENTS and site.meets(way, 1, confidence, clients=high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if site.meets(way, 1, confidence, clients=middle) else (low, middle)
    return low


def binding(site: UnderLoad[WayT], way: WayT, replicas: int, *, scale: float = 1.0, clients: int | None = None) -> Binding:
    """Return what keeps more from being served at this load: the cache, or the work that takes most of the time.

    The cache, where it is full and a larger one would keep the targets, or would lose no time to reading prompts a second time.
    """
    run = site.run(way, replicas, DRAWS // 2, scale=scale, clients=clients)
    if run.kv_use >= FULL and _a_larger_cache_helps(site, way, replicas, run, scale=scale, clients=clients):
        return "kv"
    return "prefill" if run.prefill_fraction >= 0.5 else "decode"


def _a_larger_cache_helps(
    site: UnderLoad[WayT], way: WayT, replicas: int, run: Run, *, scale: float, clients: int | None
) -> bool:
    roomy = way.max_running_requests * site.demand.context_tokens + way.kv_tokens
    other = site.run(way, replicas, DRAWS // 2, scale=scale, clients=clients, kv_tokens=roomy)
    kept, kept_other = run.kept_fraction(site.slo), other.kept_fraction(site.slo)
    return kept_other > kept and (run.preemptions_per_request > 0 or other.running_requests > run.running_requests)


def idle_work_s(site: GenerationUnderLoad, way: Way) -> float:
    """Return the seconds of a replica that a request takes at least, most likely."""
    return work_s(site.load(0, 1), way, site.times[way.setting].costs(None))
