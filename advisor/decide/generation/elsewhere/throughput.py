"""A configuration and a device -> the tokens a second that it serves at full load: what the lifetime cost counts devices by."""

from typing import NamedTuple

import numpy as np

from advisor.decide.generation.elsewhere.space import (
    BASE_KV,
    DEGREES,
    MEMORY_UTILIZATION,
    USUAL_BUDGET,
    USUAL_RUNNING,
    free_bytes,
)
from advisor.decide.generation.elsewhere.steps import MeanRequest, StepsOf, requests_per_s
from advisor.decide.generation.projection.memory import kv_bytes_per_token, splits, weight_bytes_per_device
from advisor.errors import InputError
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture, KvPrecision, WeightPrecision
from advisor.schema.record import Estimate
from advisor.units import counted, number, percent


class Throughput(NamedTuple):
    """What one device serves as a part of the replica that serves most a device."""

    tokens_per_s: Estimate  # of one device, read and written
    tensor_parallel: int
    running_requests: int


def throughput_of(
    model: Architecture,
    hardware: Hardware,
    steps_of: StepsOf,
    *,
    input_tokens: float,
    output_tokens: float,
    shared_prefix_tokens: float = 0.0,
    weights: WeightPrecision | None = None,
    kv: KvPrecision = BASE_KV,
    most_devices: int = DEGREES[-1],
) -> Throughput:
    """Return the tokens a second of a device under as many requests as its cache holds, weights in their own precision for None.

    Tokens that a prefix cache has count as read: they are answered as well. Raises InputError for a model that so many devices do not
    hold, and what `steps_of` raises for a device of which nothing is known.
    """
    precision = weights or model.weights
    found = []
    for degree in (degree for degree in DEGREES if degree <= most_devices and splits(model, degree) is None):
        running = _running(model, hardware, degree, precision, kv, input_tokens + output_tokens)
        if running >= 1:
            steps = steps_of(model, hardware, tensor_parallel=degree, weights=precision, kv=kv)
            read = max(input_tokens - shared_prefix_tokens, 1.0)
            written = max(output_tokens, 1.0)
            # Steps decode all that run and read beside what these ask for: as many of both as a budget allows.
            decoded = max(min(float(running), USUAL_BUDGET * written / (read + written)), 1.0)
            served = float(requests_per_s(steps, np.array([decoded]), MeanRequest(input_tokens, read, written))[0])
            per_device = served * (input_tokens + output_tokens) / degree
            found.append((per_device, degree, running, steps))
    if not found:
        raise InputError(
            f"{model.name}: {counted(most_devices, 'device')} of {hardware.id} hold no request of {number(input_tokens + output_tokens)} "
            f"tokens beside its {precision} weights",
            hint="name a device with more memory, or a lower precision of the weights",
        )
    value, degree, running, steps = max(found, key=lambda entry: (entry[0], -entry[1]))
    low, high = steps.factors
    source = (
        f"steps of {number(running)} requests, each of {number(input_tokens)} tokens read and {number(output_tokens)} written, on "
        f"{degree} x {hardware.id} with {precision} weights, {percent(MEMORY_UTILIZATION)} of the memory used ({steps.ground})"
    )
    return Throughput(
        Estimate(value=value, low=value / high, high=value / low, basis="projected", source=source), degree, running
    )


def _running(
    model: Architecture, hardware: Hardware, degree: int, weights: WeightPrecision, kv: KvPrecision, tokens: float
) -> int:
    """Return how many requests of so many tokens run side by side, 0 where the memory holds none."""
    free = free_bytes(model, hardware, degree, USUAL_BUDGET) - weight_bytes_per_device(model, weights, degree)
    each = kv_bytes_per_token(model, kv, degree, context_tokens=tokens)[1] * tokens
    return int(max(min(free // each, USUAL_RUNNING), 0))
