"""What a request takes: tokens, operations, a device's seconds, memory; and what it costs at an API or an hour of a device costs."""

import math
from collections.abc import Mapping

from advisor.units import HOURS_PER_YEAR

Values = Mapping[str, float]  # inputs by name, in base units; one that is not known is absent

SECONDS_PER_HOUR = 3600.0
WATTS_PER_KILOWATT = 1000.0
# Of these the first alone is ever unknown where there is a request at all.
REQUEST = ("input_tokens", "output_tokens", "reasoning_multiplier", "agent_multiplier", "requests_per_s")
# Whole numbers are counted up from a quotient, and a quotient of equals may be a last digit above its whole number.
ROUNDING = 1e-9


def whole(quotient: float) -> float:
    """Return the least whole number that is not below a quotient of floats."""
    return float(math.ceil(quotient * (1 - ROUNDING)))


def uses_api(x: Values) -> bool:
    """Return whether somebody else's model is paid by the token."""
    return "api_usd_per_input_token" in x


def is_in_the_field(x: Values) -> bool:
    """Return whether units in the field serve, each with its own device."""
    return "unit_price_usd" in x and "serving_usd_per_hour" not in x


def missing(x: Values) -> str:
    """Return the keys of the workload file that serving cannot be priced without; none of them is there already."""
    keys = missing_of_plan(x)
    can_be_a_sum = not uses_api(x) and "device_price_usd" not in x and device_s_per_request(x) is None
    return f"{keys}, or lifecycle.serving.serving_usd_per_hour" if can_be_a_sum else keys


def missing_of_plan(x: Values) -> str:
    """Return the keys that the tokens or devices behind serving cannot be counted without."""
    if uses_api(x):
        if "input_tokens" in x:
            return "another model of the price list: it has no price of a token that this one generates"
        return "lifecycle.request.input_tokens"
    is_measured = "device_requests_per_s" in x or "device_tokens_per_s" in x
    has_request = "input_tokens" in x or "device_requests_per_s" in x or ("flop_per_request" in x and not is_measured)
    asked = [] if "parameters" in x or is_measured else ["lifecycle.model.parameters"]
    asked += [] if has_request else ["lifecycle.request.input_tokens"]
    return " and ".join(asked) if asked else _missing_of_device(x)


def _missing_of_device(x: Values) -> str:
    if device_s_per_request(x) is None:
        return "lifecycle.serving.device_requests_per_s (the catalog has no rate of the device)"
    if devices_per_replica(x) is None:
        return "lifecycle.serving.devices_per_replica (the catalog has no memory of the device)"
    return "lifecycle.owned.device_watts" if "device_price_usd" in x else "lifecycle.serving.device_usd_per_hour"


def usd_per_request(x: Values) -> float | None:
    """Return what one request costs at an API, None where its tokens or their prices are not known.

    Cached tokens and requests that can wait have their own price where the list has one, else that of all others.
    """
    if "input_tokens" not in x:
        return None
    tokens_out = x["output_tokens"] * x["reasoning_multiplier"]
    if tokens_out > 0 and "api_usd_per_output_token" not in x:
        return None
    usd_in, usd_out = x["api_usd_per_input_token"], x.get("api_usd_per_output_token", 0.0)
    cached = min(x["input_tokens"], x.get("cached_tokens", 0.0))
    at_once = (x["input_tokens"] - cached) * usd_in + cached * x.get("api_usd_per_cached_token", usd_in) + tokens_out * usd_out
    later = x["input_tokens"] * x.get("api_usd_per_batch_input_token", usd_in)
    later += tokens_out * x.get("api_usd_per_batch_output_token", usd_out)
    waits = x.get("batch_fraction", 0.0)
    # No one takes the batch price of tokens where the cached price is the lower one.
    return ((1 - waits) * at_once + waits * min(at_once, later)) * x["agent_multiplier"]


def active_parameters(x: Values) -> float | None:
    """Return the parameters that a token uses: all of them, unless fewer are given."""
    every = x.get("parameters")
    return every if every is None or "active_parameters" not in x else min(every, x["active_parameters"])


def tokens_per_request(x: Values) -> float | None:
    """Return the tokens that are read and generated for one request, those that a cache serves left out."""
    if "input_tokens" not in x:
        return None
    read = x["input_tokens"] - min(x["input_tokens"], x.get("cached_tokens", 0.0))
    return (read + x["output_tokens"] * x["reasoning_multiplier"]) * x["agent_multiplier"]


def flop_per_request(x: Values) -> float | None:
    """Return 2 operations per parameter and token (Kaplan 2001.08361), for every token that is read or generated; or as given."""
    if "flop_per_request" in x:
        return x["flop_per_request"] * x.get("agent_multiplier", 1.0)
    tokens, active = tokens_per_request(x), active_parameters(x)
    return None if tokens is None or active is None else 2.0 * active * tokens


def device_s_per_request(x: Values) -> float | None:
    """Return how long one request keeps one device busy: as measured, or by its operations at the share of the peak that is reached."""
    flop = flop_per_request(x)
    speed = x.get("device_speed", 1.0)
    if "device_requests_per_s" in x:
        return _at_other_work(1.0 / x["device_requests_per_s"], flop, x) / speed
    if "device_tokens_per_s" in x:
        tokens = x.get("measured_tokens_per_request")
        return None if tokens is None else _at_other_work(tokens / x["device_tokens_per_s"], flop, x) / speed
    if flop is None or "device_serving_flop_per_s" not in x or "serving_mfu_fraction" not in x:
        return None
    return flop / (x["device_serving_flop_per_s"] * x["serving_mfu_fraction"] * speed)


def _at_other_work(seconds: float, flop: float | None, x: Values) -> float:
    """Return the time of a request that was measured, at as many operations as it takes now."""
    measured = x.get("measured_flop_per_request")
    return seconds if flop is None or not measured else seconds * flop / measured


def busy_devices(x: Values) -> float | None:
    """Return how many devices today's mean traffic would keep busy without a pause."""
    seconds = device_s_per_request(x)
    return None if seconds is None else x["requests_per_s"] * seconds


def demand_devices(x: Values) -> float | None:
    """Return how many devices today's traffic asks for at the fleet's mean load."""
    busy = busy_devices(x)
    return None if busy is None or "fleet_utilization_fraction" not in x else busy / x["fleet_utilization_fraction"]


def weight_bytes(x: Values) -> float | None:
    """Return the bytes of the weights."""
    return x["parameters"] * x["bytes_per_parameter"] if "parameters" in x and "bytes_per_parameter" in x else None


def cache_bytes(x: Values) -> float:
    """Return what keys and values of the requests take that a replica holds at once; 0 where they are not known by themselves."""
    if "kv_bytes_per_token" not in x or "input_tokens" not in x:
        return 0.0
    tokens = x["input_tokens"] + x.get("output_tokens", 0.0) * x.get("reasoning_multiplier", 1.0)
    return x["kv_bytes_per_token"] * tokens * x.get("concurrent_requests", 1.0)


def devices_per_replica(x: Values) -> float | None:
    """Return as many devices as hold the weights and the cache.

    A count that was given says what share of its memory the weights and the cache of today may take; of another model, another
    precision or another device as many are counted as leave no less room.
    """
    given, weights, memory = x.get("devices_per_replica"), weight_bytes(x), x.get("device_memory_bytes")
    if weights is None or memory is None or "weights_memory_fraction" not in x:
        is_measured = "device_requests_per_s" in x or "device_tokens_per_s" in x
        return given if given is not None else 1.0 if is_measured else None
    if given is None or "replica_bytes_as_given" not in x:
        return given if given is not None else _devices_that_hold(weights, cache_bytes(x), memory, x)
    held, each = x["replica_bytes_as_given"], x["device_memory_bytes_as_given"]
    least = _devices_that_hold(x["weight_bytes_as_given"], held - x["weight_bytes_as_given"], each, x)
    if given == least:
        return _devices_that_hold(weights, cache_bytes(x), memory, x)
    # More than are needed: one less would not have left room enough. Fewer: fuller than is assumed elsewhere, and it works.
    share = held / ((given - 0.5 if given > least else given) * each)
    return max(1.0, whole((weights + cache_bytes(x)) / (memory * share)))


def _devices_that_hold(weights: float, cache: float, memory: float, x: Values) -> float:
    with_cache = (weights + cache) / (memory * x.get("usable_memory_fraction", 1.0)) if cache else 0.0
    return max(1.0, whole(max(weights / (memory * x["weights_memory_fraction"]), with_cache)))


def floor_devices(x: Values) -> float | None:
    """Return how many devices are always on, however little there is to do."""
    each = devices_per_replica(x)
    if each is None:
        return None
    return 0.0 if "scale_to_zero_after_s" in x or "batch_hours_per_day" in x else each * x.get("minimum_replicas", 1.0)


def floor_load(x: Values) -> float | None:
    """Return the load of the always-on devices, at most that of the fleet; None where none is always on."""
    floor, demand = floor_devices(x), demand_devices(x)
    if not floor or demand is None:
        return None
    return min(1.0, demand / floor) * x["fleet_utilization_fraction"]


def device_usd_per_hour(x: Values) -> float | None:
    """Return what an hour of a device costs: as rented; or, of one's own, what it loses in worth and what it draws when it serves."""
    if "device_price_usd" not in x:
        return x.get("device_usd_per_hour")
    power = power_usd_per_hour(x)
    return None if power is None else owned_usd_per_hour(x) + power


def owned_usd_per_hour(x: Values) -> float:
    """Return what a device of one's own loses in worth in an hour."""
    return x["device_price_usd"] / (x["owned_years"] * HOURS_PER_YEAR)


def power_usd_per_hour(x: Values) -> float | None:
    """Return what the electricity of a device of one's own costs in an hour; None where its power is not known."""
    watts = x.get("device_watts")
    if watts is None:
        return None
    drawn = watts * x["busy_power_fraction"] * x["power_usage_effectiveness"]
    return drawn / WATTS_PER_KILOWATT * x["usd_per_kwh"]


def fastest_answer_s(x: Values) -> float | None:
    """Return the time of one request alone: its prompt at the peak rate, then every token at the speed of reading the weights.

    No batch, replica or queue is faster than this bound; fewer bytes, fewer parameters or more bandwidth are.
    """
    each, active = devices_per_replica(x), active_parameters(x)
    asked = (*REQUEST, "bytes_per_parameter", "device_training_flop_per_s", "device_bandwidth_bytes_per_s")
    if each is None or active is None or any(name not in x for name in asked):
        return None
    read = 2.0 * active * x["input_tokens"] / (x["device_training_flop_per_s"] * each)
    token = active * x["bytes_per_parameter"] / (x["device_bandwidth_bytes_per_s"] * each)
    return (read + x["output_tokens"] * x["reasoning_multiplier"] * token) * x["agent_multiplier"]
