"""What a deployment costs by request, month and token, what it takes in energy, and what the same tokens cost bought from somebody."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from advisor.decide.generation import prediction
from advisor.decide.generation.elsewhere.replica import Replica
from advisor.decide.generation.elsewhere.request import Calls, cached_by_vendor
from advisor.decide.generation.site import MAX_REPLICAS
from advisor.decide.service.energy import joules_per_request, scaled
from advisor.schema.catalog import TokenPrice
from advisor.schema.generation import TokenTimes
from advisor.schema.language import ApiAlternative
from advisor.schema.record import Estimate
from advisor.schema.workload import GenerationWorkload
from advisor.units import HOURS_PER_MONTH, number, percent

MILLION = 1e6
SECONDS_PER_HOUR = 3600.0


class Costs(NamedTuple):
    """What replicas cost, rented all hours whatever comes."""

    per_hour: Estimate
    per_request: Estimate
    per_month: Estimate
    per_million_inputs: Estimate
    per_million_outputs: Estimate


def costs_of(replica: Replica, per_hour: Estimate, times: TokenTimes, prefill_fraction: float, calls_per_request: float) -> Costs:
    """Return what replicas cost that are paid by the hour and busy with prompts for a part of their time."""
    per_million, per_input, per_output = prediction.costs(replica.demand, per_hour, times.requests_per_s, prefill_fraction)
    each = f"; {number(calls_per_request)} calls a request" if calls_per_request > 1 else ""
    return Costs(
        per_hour=per_hour,
        per_request=scaled(per_million, calls_per_request / MILLION, f"{per_million.source}{each}"),
        per_month=scaled(per_hour, HOURS_PER_MONTH, f"{per_hour.source}, all hours of a month"),
        per_million_inputs=per_input,
        per_million_outputs=per_output,
    )


def energy_j_per_output_token(replica: Replica, replicas: int, utilization: Estimate, times: TokenTimes) -> Estimate | None:
    """Return what a token of an answer takes, those of its prompt counted in; None where nobody says what devices draw."""
    watts, demand = replica.watts(), replica.demand
    # What arrives is answered in the long run; of a short run the last answers are still being written when it ends.
    arriving = demand.requests_per_s
    written = times.output_tokens_per_s.value if arriving is None else arriving * demand.mean_tokens[1]
    return None if watts is None or written <= 0 else joules_per_request(watts, replicas, utilization, written, None)


# --- tokens bought -------------------------------------------------------------------------------------------------------------


class Mean(NamedTuple):
    """The mean tokens of a call."""

    inputs: float
    outputs: float


def alternatives(
    prices: Sequence[TokenPrice],
    calls: Calls,
    tokens: Mean,
    *,
    calls_per_s: float,
    replica: Replica | None,
    carries: float | None,
) -> tuple[ApiAlternative, ...]:
    """Return what the same traffic costs by the token, cheapest first; `carries` is what one replica does, in calls a second."""
    found = []
    for price in prices:
        per_call = usd_per_call(price, calls.workload, tokens)
        if per_call is None:
            continue
        even = None if replica is None else break_even_requests_per_s(replica.price, carries or calls_per_s, per_call.value)
        found.append(
            ApiAlternative(
                provider=price.provider,
                model=price.model,
                usd_per_million_input_tokens=price.usd_per_million_input_tokens,
                usd_per_million_cached_tokens=price.usd_per_million_cached_tokens,
                usd_per_million_output_tokens=price.usd_per_million_output_tokens or 0.0,
                date=price.date,
                usd_per_month=scaled(per_call, calls_per_s * SECONDS_PER_HOUR * HOURS_PER_MONTH, per_call.source),
                break_even_requests_per_s=None if even is None else even / calls.per_request,
            )
        )
    return tuple(sorted(found, key=lambda entry: entry.usd_per_month.value))


def usd_per_call(price: TokenPrice, workload: GenerationWorkload, tokens: Mean) -> Estimate | None:
    """Return what a call costs with what the vendor's cache has of it, and none of it at the high end; None where answers have no price.

    Calls that can wait for a batch cost what a batch does, without any cache.
    """
    read, written = price.usd_per_million_input_tokens / MILLION, price.usd_per_million_output_tokens
    if written is None:
        return None
    written /= MILLION
    request = workload.lifecycle.request if workload.lifecycle is not None else None
    waiting = (request.batch_fraction or 0.0) if request is not None else 0.0
    known = price.usd_per_million_cached_tokens
    cached = min(cached_by_vendor(workload), tokens.inputs) if known is not None else 0.0
    saved = cached * (read - (known or 0.0) / MILLION)
    in_batch = price.usd_per_million_batch_input_tokens
    if in_batch is None:
        waiting = 0.0
    full = tokens.inputs * read + tokens.outputs * written
    batch = tokens.inputs * (in_batch or 0.0) / MILLION + tokens.outputs * _batch_output(price, written)
    value = (1 - waiting) * (full - saved) + waiting * batch
    high = (1 - waiting) * full + waiting * batch
    source = f"{price.provider} {price.model}, {price.date}: {price.source}"
    source += f"; {number(tokens.inputs)} and {number(tokens.outputs)} tokens a call"
    source += f", {number(cached)} of them cached" if saved else ""
    source += f", {percent(waiting)} of the calls in batches" if waiting else ""
    return Estimate(value=value, low=min(value, high), high=max(value, high), basis="list-price", source=source)


def _batch_output(price: TokenPrice, usd: float) -> float:
    known = price.usd_per_million_batch_output_tokens
    return usd if known is None else known / MILLION


def break_even_requests_per_s(usd_per_hour: float, carries: float, usd_per_call: float) -> float | None:
    """Return the traffic from which on replicas are cheaper than tokens, however much more comes; None where they never are.

    Replicas are paid whether they are busy or not. Of n of them a full one costs what x of its calls do in tokens: beyond n full ones one
    more is paid, which pays at once only where n (1 - x) makes up for x of it.
    """
    if usd_per_call <= 0:
        return None
    even = usd_per_hour / (SECONDS_PER_HOUR * usd_per_call)
    part = even / carries
    if part >= 1:
        return None
    replicas = max(math.ceil(part / (1 - part)), 1)
    return replicas * even if replicas <= MAX_REPLICAS else None
