"""What an hour of serving costs: as it was measured or is paid, by the token, or by the devices that the tokens keep busy."""

import math
from collections.abc import Mapping

Values = Mapping[str, float]  # inputs by name, in base units; one that is not known is absent

SECONDS_PER_HOUR = 3600.0
REQUEST = ("input_tokens", "output_tokens", "reasoning_multiplier", "agent_multiplier", "requests_per_s")
DEVICES = ("active_parameters", "device_serving_flop_per_s", "serving_mfu_fraction", "fleet_utilization_fraction")


def usd_per_hour(x: Values) -> tuple[float, float] | None:
    """Return what an hour costs at today's prices: what is always on, and what today's traffic asks for; the larger is paid.

    None where an input is missing. The second grows with traffic, the first does not.
    """
    if "serving_usd_per_hour" in x:
        # Traffic that falls saves nothing by itself: the replicas of today stay on until somebody asks again.
        paid = _by_replicas(x) * x.get("price_factor", 1.0)
        return paid, paid
    if "api_usd_per_input_token" in x:
        per_request = usd_per_request(x)
        return None if per_request is None else (0.0, per_request * x["requests_per_s"] * SECONDS_PER_HOUR)
    floor, demand = floor_devices(x), demand_devices(x)
    if floor is None or demand is None or "device_usd_per_hour" not in x:
        return None
    usd = x["device_usd_per_hour"] * x.get("price_factor", 1.0)
    return floor * usd, demand * usd


def _by_replicas(x: Values) -> float:
    """Return what an hour costs as it was measured; at other traffic than that, of as many replicas as carry it."""
    paid = x["serving_usd_per_hour"]
    if "measured_at_requests_per_s" not in x:
        return paid
    needed = x["replica_usd_per_hour"] * max(1, math.ceil(x["requests_per_s"] / x["replica_requests_per_s"]))
    return max(paid, needed) if x["requests_per_s"] >= x["measured_at_requests_per_s"] else min(paid, needed)


def usd_per_request(x: Values) -> float | None:
    """Return what one request costs at an API, None where its tokens or their prices are not known."""
    if any(name not in x for name in REQUEST):
        return None
    cached = x.get("cached_tokens", 0.0)
    tokens_in = (x["input_tokens"] - cached) * x["api_usd_per_input_token"]
    tokens_in += cached * x.get("api_usd_per_cached_token", x["api_usd_per_input_token"])
    tokens_out = x["output_tokens"] * x["reasoning_multiplier"]
    paid_out = tokens_out * x.get("api_usd_per_output_token", 0.0)
    return (tokens_in + paid_out) * x["agent_multiplier"]


def flop_per_request(x: Values) -> float | None:
    """Return 2 operations per parameter and token (Kaplan 2001.08361), for every token that is read or generated."""
    if any(name not in x for name in (*REQUEST, "active_parameters")):
        return None
    tokens = x["input_tokens"] - x.get("cached_tokens", 0.0) + x["output_tokens"] * x["reasoning_multiplier"]
    return 2.0 * x["active_parameters"] * tokens * x["agent_multiplier"]


def demand_devices(x: Values) -> float | None:
    """Return how many devices today's tokens keep busy at the fleet's mean load."""
    flop = flop_per_request(x)
    if flop is None or any(name not in x for name in DEVICES):
        return None
    flop_per_s = x["device_serving_flop_per_s"] * x["serving_mfu_fraction"] * x["fleet_utilization_fraction"]
    return x["requests_per_s"] * flop / (flop_per_s * x.get("device_speed", 1.0))


def devices_per_replica(x: Values) -> float | None:
    """Return as many devices as hold the weights, unless it was said."""
    if "devices_per_replica" in x:
        return x["devices_per_replica"]
    if any(name not in x for name in ("parameters", "bytes_per_parameter", "device_memory_bytes", "weights_memory_fraction")):
        return None
    weights = x["parameters"] * x["bytes_per_parameter"]
    return float(max(1, math.ceil(weights / (x["device_memory_bytes"] * x["weights_memory_fraction"]))))


def floor_devices(x: Values) -> float | None:
    """Return how many devices are always on, however little there is to do."""
    each = devices_per_replica(x)
    return None if each is None else each * x.get("minimum_replicas", 1.0)


def floor_load(x: Values) -> float | None:
    """Return the load of the always-on devices, 1 where the traffic needs more than these."""
    floor, demand = floor_devices(x), demand_devices(x)
    if floor is None or demand is None:
        return None
    return min(1.0, demand / floor) * x["fleet_utilization_fraction"]


def fastest_answer_s(x: Values) -> float | None:
    """Return the time of one request alone: its prompt at the peak rate, then every token at the speed of reading the weights.

    No batch, replica or queue is faster than this bound; fewer bytes, fewer parameters or more bandwidth are.
    """
    each = devices_per_replica(x)
    asked = (*REQUEST, "active_parameters", "bytes_per_parameter", "device_training_flop_per_s", "device_bandwidth_bytes_per_s")
    if each is None or any(name not in x for name in asked):
        return None
    read = 2.0 * x["active_parameters"] * x["input_tokens"] / (x["device_training_flop_per_s"] * each)
    token = x["active_parameters"] * x["bytes_per_parameter"] / (x["device_bandwidth_bytes_per_s"] * each)
    return (read + x["output_tokens"] * x["reasoning_multiplier"] * token) * x["agent_multiplier"]
