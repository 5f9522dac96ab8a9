"""The sentences of advice on a language model elsewhere: its headline, its risks, what it assumes, and why it is not known."""

from collections.abc import Iterator

import msgspec

from advisor.decide.generation.decision import worst
from advisor.decide.generation.elsewhere.decision import Decision
from advisor.decide.generation.elsewhere.prediction import GROUNDS, Predicted
from advisor.decide.generation.elsewhere.replica import Offers, Replica
from advisor.decide.generation.elsewhere.request import Calls, ElsewhereRequest
from advisor.decide.generation.elsewhere.space import (
    ACTIVATION_BYTES,
    MEMORY_UTILIZATION,
    RUNTIME_BYTES,
    USUAL_DEVICES,
    offered_devices,
)
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.generation.wording import (
    MEANING_OF_ITL,
    SETTLES_IN_A_PART_OF_A_DAY,
    SPLIT_BY_TIME,
    accepting_it,
    asked,
    of_replicas,
    promise,
)
from advisor.schema.language import Architecture, Deployment
from advisor.schema.workload import TokenSlo
from advisor.units import counted, percent, size, usd

UNTRIED = "composed of kernels and simulated, not tried: serve one replica of it under the workload's load before relying on it"
BENCHMARK = "one replica of the most likely answer under load, on the device itself: vllm bench serve"


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
        return _not_known(decision, kept, model)
    if shown is None:
        return f"No device that is allowed holds {model.name} with the largest request of the workload"
    return f"Nothing that is allowed keeps {kept}; the nearest miss can have {worst(shown.prediction.times, slo)}"


def _not_known(decision: Decision, kept: str, model: Architecture) -> str:
    quick, slow, shown = decision.quick_usd, decision.slow_usd, decision.shown
    if shown is None:
        return f"Not known yet whether anything keeps {kept}: most likely nothing does"
    likely = f"{described(shown.prediction.deployment)} ({usd(shown.prediction.cost_usd_per_hour.value)}/h)"
    if quick is not None and slow is not None and decision.replicas_open is not None:
        fewest, most = decision.replicas_open
        one = msgspec.structs.replace(shown.prediction.deployment, replicas=1)
        return (
            f"Serve {model.name} on {fewest} to {most} x ({described(one)}): only how many of them keep {kept} is not known yet "
            f"({usd(quick)} to {usd(slow)}/h)"
        )
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
    found = (BENCHMARK, *accepting_it(decision.quick_usd, decision.slow_usd))
    if decision.replicas_open is None:
        return found
    return (f"{decision.replicas_open[1]} replicas to start with, and fewer as long as these keep the targets", *found)


def risks(shown: Predicted | None, demand: TokenDemand) -> tuple[str, ...]:
    """Return the risks of what is shown, the gravest first."""
    return tuple(_risks(shown, demand)) if shown is not None else ()


def _risks(shown: Predicted, demand: TokenDemand) -> Iterator[str]:
    it, replica = shown.prediction, shown.chosen.site
    yield UNTRIED
    if it.ground != "kernels":
        yield f"nobody measured kernels on {it.deployment.device}: step times stand on {GROUNDS[it.ground]}"
    yield from of_replicas(it, it.deployment, demand)
    if it.deployment.tensor_parallel > replica.place.devices:
        yield (
            f"{replica.place.machine} has {counted(replica.place.devices, 'device')}: the price of {it.deployment.tensor_parallel} in one "
            "machine may be another"
        )
    if (whole := _whole_machines(replica, it.deployment.replicas)) is not None:
        yield whole
    if replica.place.price_is_stale:
        yield f"its price is from {replica.place.price_date}: check it before buying"


def _whole_machines(replica: Replica, replicas: int) -> str | None:
    """Return what whole machines cost, where devices are paid for that make none; None where they make some."""
    place, degree = replica.place, replica.setting.tensor_parallel
    if place.devices < degree:
        return None
    machines = -(-replicas // (place.devices // degree))
    if machines * place.devices == replicas * degree:
        return None
    whole = machines * place.price_usd_per_hour.value
    return (
        f"{counted(replicas * degree, 'device')} at their part of the price: whole, {place.machine} has {place.devices}, and "
        f"{counted(machines, 'machine')} cost {usd(whole)}/h"
    )


def assumptions(offers: Offers, request: ElsewhereRequest, calls: Calls) -> tuple[str, ...]:
    """Return the assumptions, a sentence each."""
    found = [
        "assumed: the engine is vLLM; a step decodes all running requests and reads prompts up to its budget of tokens",
        f"assumed: {percent(MEMORY_UTILIZATION)} of a device's memory are used, {size(RUNTIME_BYTES)} of it by the engine itself and "
        f"{ACTIVATION_BYTES} bytes for each token of a step and hidden unit; weights and cache get the rest",
        "assumed: devices are paid one by one, also of a machine that has more of them, and all hours of the day",
        "assumed: the load balancer picks replicas at random",
        SPLIT_BY_TIME,
        MEANING_OF_ITL,
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
        found.append(SETTLES_IN_A_PART_OF_A_DAY)
    return (*found, *offers.demand.notes)
