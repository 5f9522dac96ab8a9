"""The sentences of advice on a language model elsewhere: its headline, its risks, what it assumes, and why it is not known."""

import math
from collections.abc import Iterator

from advisor.decide.generation.decision import worst
from advisor.decide.generation.elsewhere.decision import Decision
from advisor.decide.generation.elsewhere.prediction import GROUNDS, Predicted
from advisor.decide.generation.elsewhere.replica import Offers
from advisor.decide.generation.elsewhere.request import Calls, ElsewhereRequest
from advisor.decide.generation.elsewhere.space import (
    ACTIVATION_BYTES,
    MEMORY_UTILIZATION,
    RUNTIME_BYTES,
    USUAL_DEVICES,
    offered_devices,
)
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.generation.wording import promise
from advisor.schema.language import Architecture, Deployment
from advisor.schema.workload import TokenSlo
from advisor.units import counted, percent, rate, size, usd

UNTRIED = "composed of kernels and simulated, not tried: serve one replica of it under the workload's load before relying on it"
BENCHMARK = "one replica of the most likely answer under load, on the device itself: vllm bench serve"


def asked(demand: TokenDemand) -> str:
    """Return the load in words."""
    if demand.clients is not None:
        return f"{counted(demand.clients, 'client')} side by side"
    return rate(demand.requests_per_s or 0.0)


def described(it: Deployment) -> str:
    """Describe a deployment: "2 x (4 x h100_sxm), fp8 weights"."""
    devices = f"{it.tensor_parallel} x {it.device}"
    whole = devices if it.replicas == 1 else f"{it.replicas} x ({devices})"
    cache = "" if it.kv == "bf16" else f" and {it.kv} cache"
    draft = (
        "" if it.speculation is None else f", {it.speculation.method} with {counted(it.speculation.draft_tokens, 'draft token')}"
    )
    return f"{whole}, {it.weights} weights{cache}{draft}"


def headline(model: Architecture, decision: Decision, slo: TokenSlo, demand: TokenDemand) -> str:
    """Return the decision in one sentence."""
    kept = f"{promise(slo)} at {asked(demand)}"
    shown = decision.shown
    if decision.outcome == "advice" and shown is not None:
        cost = usd(shown.prediction.cost_usd_per_hour.value)
        return f"Serve {model.name} on {described(shown.prediction.deployment)}: {cost}/h keeps {kept}"
    if decision.outcome == "inconclusive":
        return _not_known(decision, kept)
    if shown is None:
        return f"No device that is allowed holds {model.name} with the largest request of the workload"
    return f"Nothing that is allowed keeps {kept}; the nearest miss can have {worst(shown.prediction.times, slo)}"


def _not_known(decision: Decision, kept: str) -> str:
    quick, slow, shown = decision.quick_usd, decision.slow_usd, decision.shown
    if shown is None:
        return f"Not known yet whether anything keeps {kept}: most likely nothing does"
    likely = f"{described(shown.prediction.deployment)} ({usd(shown.prediction.cost_usd_per_hour.value)}/h)"
    if quick is None or slow is None:
        return f"Not known yet whether anything keeps {kept}; most likely {likely} would"
    return f"Not known yet: {usd(quick)} to {usd(slow)}/h keep {kept}; most likely {likely}"


def because(decision: Decision) -> tuple[str, ...]:
    """Return why the answer is not known."""
    shown = decision.shown
    if shown is None:
        return ()
    replica = shown.chosen.site
    low, high = replica.steps.factors
    found = [
        f"a step on {replica.setting.device} may take {low:.2g} to {high:.3g} times as long as expected: it stands on "
        f"{GROUNDS[replica.steps.ground]}"
    ]
    if (choice := replica.setting.speculation) is not None:
        tokens = choice.tokens_per_step
        found.append(f"a step gives {tokens.low:.2g} to {tokens.high:.3g} tokens ({tokens.source})")
    return tuple(found)


def settled_by(decision: Decision) -> tuple[str, ...]:
    """Return what would settle the answer."""
    ways = [BENCHMARK]
    if decision.quick_usd and decision.slow_usd:
        ways.append(f"accepting it: --max-uncertainty {math.ceil(decision.slow_usd / decision.quick_usd * 10) / 10:g}")
    return tuple(ways)


def risks(shown: Predicted | None, demand: TokenDemand) -> tuple[str, ...]:
    """Return the risks of what is shown, the gravest first."""
    return tuple(_risks(shown, demand)) if shown is not None else ()


def _risks(shown: Predicted, demand: TokenDemand) -> Iterator[str]:
    it, replica = shown.prediction, shown.chosen.site
    yield UNTRIED
    if it.ground != "kernels":
        yield f"nobody measured kernels on {it.deployment.device}: step times stand on {GROUNDS[it.ground]}"
    carried, load = it.capacity_requests_per_s, demand.requests_per_s
    if carried is not None and load is not None:
        room = carried.low / load - 1
        holds = f"headroom: the targets hold up to {rate(carried.low)}, {percent(room)} above the stated traffic"
        may_not = f"no headroom is shown: the targets may hold only up to {rate(carried.low)}, below the stated traffic"
        yield holds if room >= 0 else may_not
    if it.preemptions_per_request > 0:
        yield (
            f"the cache of {it.deployment.kv_tokens:,} tokens runs full: {it.preemptions_per_request:.2g} preemptions a request, whose "
            "prompts are read again"
        )
    if it.deployment.replicas == 1:
        yield "a single replica: its failure is an outage"
    if it.deployment.tensor_parallel > replica.place.devices:
        yield (
            f"{replica.place.machine} has {counted(replica.place.devices, 'device')}: the price of {it.deployment.tensor_parallel} in one "
            "machine may be another"
        )
    if replica.place.price_is_stale:
        yield f"its price is from {replica.place.price_date}: check it before buying"


def assumptions(offers: Offers, request: ElsewhereRequest, calls: Calls) -> tuple[str, ...]:
    """Return the assumptions, a sentence each."""
    found = [
        "assumed: the engine is vLLM; a step decodes all running requests and reads prompts up to its budget of tokens",
        f"assumed: {percent(MEMORY_UTILIZATION)} of a device's memory are used, {size(RUNTIME_BYTES)} of it by the engine itself and "
        f"{ACTIVATION_BYTES} bytes for each token of a step and hidden unit; weights and cache get the rest",
        "assumed: devices are paid one by one, also of a machine that has more of them, and all hours of the day",
        "assumed: the load balancer picks replicas at random",
        "costs of tokens of prompts and of answers are split as the time goes that replicas spend on reading and on writing",
        "ITL is the longest gap between two tokens of a request; TPOT is their mean",
        *calls.notes,
    ]
    if bare := [name for name, places in offers.places.items() if not offered_devices(places[0].hardware, places)]:
        found.append(f"assumed: {USUAL_DEVICES} of {', '.join(bare)} stand in a machine, for the catalog knows none to rent")
    if offers.demand.shared_prefix:
        found.append(
            f"assumed: the prefix cache keeps the {offers.demand.shared_prefix:,} tokens that all prompts begin with: only the first is "
            "read whole"
        )
    if request.workload.traffic.diurnal is not None:
        found.append("assumed: a queue settles within a part of the day, so a short sample of each part stands for all of it")
    return (*found, *offers.demand.notes)
