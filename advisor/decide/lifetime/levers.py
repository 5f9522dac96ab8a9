"""What can be done about the cost of serving, as a change of the inputs: what it takes, what it does, and where it cannot be judged."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime import serving_cost, training_cost
from advisor.decide.lifetime.inputs import Device, Life, Market, TokenPrices
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.catalog import Constant, Lever
from advisor.schema.record import Estimate, Exclusion, Source
from advisor.schema.workload import Lifecycle


class Move(NamedTuple):
    """A lever that can be judged.

    `change` takes the inputs and the size of the effect and returns them as the lever leaves them; `beside_usd` is what it costs
    once, beside effort.
    """

    lever: Lever
    field: str
    before: str
    after: str
    change: Callable[[Values, float], dict[str, float]]
    effect: Constant | None = None
    beside_usd: float = 0.0
    because: str = ""

    def changed(self, x: Values, effect: float | None = None) -> dict[str, float]:
        """Return the inputs as the lever leaves them, with its usual effect unless another is given."""
        usual = self.effect.value if self.effect is not None else 1.0
        return self.change(x, usual if effect is None else effect)


def judged(life: Life, lifecycle: Lifecycle, market: Market) -> tuple[list[Move], list[Exclusion]]:
    """Return the levers that the inputs suffice for, and the others with the reason."""
    moves: list[Move] = []
    left: list[Exclusion] = []
    for lever in market.model.levers:
        found = _WHERE[lever.id](lever, life.values, lifecycle, market) if lever.id in _WHERE else None
        if isinstance(found, Move):
            moves.append(found)
        elif isinstance(found, str):
            left.append(Exclusion(what=lever.title, reason=found))
    return moves, left


def once_usd(move: Move, x: Values) -> tuple[float, float, float]:
    """Return what a lever costs once: value, low and high of its effort, with what it costs beside."""
    effort = move.lever.effort_engineer_days
    value, low, high = (days * x["engineer_usd_per_day"] + move.beside_usd for days in (effort.value, effort.low, effort.high))
    return value, low, high


def effort_days(lever: Lever) -> Estimate:
    """Return the effort of a lever."""
    days = lever.effort_engineer_days
    return Estimate(value=days.value, low=days.low, high=days.high, basis="assumed", source=days.source.what)


# --- where a lever can be judged -----------------------------------------------------------------------------------------------


def _plan_is_missing(x: Values) -> str | None:
    if "serving_usd_per_hour" in x:
        return "what serving costs is known only as a sum: the tokens and devices behind it are not"
    if "api_usd_per_input_token" in x:
        return "somebody else's model is paid by the token: what runs it is not ours to change"
    return None if serving_cost.demand_devices(x) is not None else "give lifecycle.model and lifecycle.request"


def _quantize(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    if x["bytes_per_parameter"] <= 1:
        return "the weights take one byte or less each already"
    half = x["bytes_per_parameter"] / 2
    return Move(
        lever,
        "lifecycle.model.bytes_per_parameter",
        f"{units.number(x['bytes_per_parameter'])}",
        f"{units.number(half)}",
        _quantized,
        lever.effect,
    )


def _quantized(x: Values, effect: float) -> dict[str, float]:
    return {**x, "bytes_per_parameter": x["bytes_per_parameter"] / 2, "device_speed": x.get("device_speed", 1.0) * effect}


def _prefix_cache(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    missing = None if "api_usd_per_cached_token" in x and "input_tokens" in x else _plan_is_missing(x)
    if missing is not None:
        return missing
    shared = x.get("shared_prefix_tokens")
    if shared is None:
        return "give lifecycle.request.shared_prefix_tokens: what is the same at the beginning of every request"
    if shared == 0:
        return "requests share no beginning"
    hit = lever.effect.value if lever.effect else 1.0
    told = f"{units.number(shared)} of {units.number(x['input_tokens'])} tokens kept, found {units.percent(hit)} of the time"
    return Move(lever, "prefix cache", "off", told, _prefix_cached, lever.effect)


def _prefix_cached(x: Values, effect: float) -> dict[str, float]:
    return {**x, "cached_tokens": min(x["input_tokens"], x["shared_prefix_tokens"]) * effect}


def _speculate(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    if x.get("output_tokens", 0.0) == 0:
        return "nothing is generated token by token"
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    return "it makes single answers faster where devices have time to spare, and saves none of them: no saving is claimed"


def _autoscale(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    load, reached = x["fleet_utilization_fraction"], lever.effect.value if lever.effect else 1.0
    if load >= reached:
        return f"the fleet is {units.percent(load)} busy already"
    return Move(lever, "fleet load", units.percent(load), units.percent(reached), _autoscaled, lever.effect)


def _autoscaled(x: Values, effect: float) -> dict[str, float]:
    return {**x, "fleet_utilization_fraction": max(effect, x["fleet_utilization_fraction"])}


def _reserve(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    if "api_usd_per_input_token" in x:
        return "tokens are bought, no devices"
    if serving_cost.usd_per_hour(x) is None:
        return "what serving costs is not known"
    if x["horizon_months"] < 12:
        return f"a year's commitment is longer than the {units.months(x['horizon_months'])} that the model lives"
    given = lifecycle.options.reserved_discount if lifecycle.options else None
    effect = _exactly(given) if given is not None else lever.effect
    assert effect is not None
    because = "pays where the device is used for more than the discounted part of the year"
    return Move(lever, "price", "on demand", f"reserved, {units.percent(effect.value)} less", _reserved, effect, 0.0, because)


def _reserved(x: Values, effect: float) -> dict[str, float]:
    # Beyond what is always on, a device may stand idle while it is paid.
    return {**x, "price_factor": x.get("price_factor", 1.0) * (1 - effect * (1 - _beyond_the_floor(x)))}


def _beyond_the_floor(x: Values) -> float:
    """Return the share of today's devices that come and go with the traffic; of a sum that is paid nothing is known to."""
    floor, demand = serving_cost.floor_devices(x), serving_cost.demand_devices(x)
    if "serving_usd_per_hour" in x or floor is None or demand is None:
        return 0.0
    return max(0.0, demand - floor) / max(floor, demand)


def _spot(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    given = lifecycle.options.spot_discount if lifecycle.options else None
    if "api_usd_per_input_token" in x:
        return "tokens are bought, no devices"
    if given is None:
        return "spot prices move by the hour: give lifecycle.options.spot_discount as you see it"
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    effect = _exactly(given)
    return Move(lever, "price", "on demand", f"spot beyond the floor, {units.percent(given)} less", _on_spot, effect)


def _on_spot(x: Values, effect: float) -> dict[str, float]:
    # What is always on stays on demand: it is there for availability, which spot capacity is not.
    return {**x, "price_factor": x.get("price_factor", 1.0) * (1 - effect * _beyond_the_floor(x))}


def _other_device(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    if not market.others:
        return "give lifecycle.options.alternative_devices: names of the catalogue to compare with"
    priced = [(paid, device) for device in market.others if (paid := _paid_on(x, device)) is not None]
    if not priced:
        return "of none of them the catalogue knows a price and an 8 or 16 bit rate"
    _, best = min(priced, key=_first)
    return Move(
        lever,
        "lifecycle.serving.device",
        lifecycle.serving.device if lifecycle.serving and lifecycle.serving.device else "as today",
        best.id,
        partial(_replaced, changes=_on_device(best) or {}),
        because=f"the cheapest of {len(priced)} compared: {', '.join(device.id for _, device in sorted(priced, key=_first))}",
    )


def _replaced(x: Values, _: float, *, changes: dict[str, float]) -> dict[str, float]:
    return {**x, **changes}


def _first(entry: tuple[float, Device]) -> float:
    return entry[0]


def _paid_on(x: Values, device: Device) -> float | None:
    changed = _on_device(device)
    paid = serving_cost.usd_per_hour({**x, **changed}) if changed else None
    return None if paid is None else max(paid)


def _on_device(device: Device) -> dict[str, float] | None:
    known = (device.usd_per_hour, device.serving_flop_per_s, device.memory_bytes)
    if any(fact is None for fact in known):
        return None
    assert device.usd_per_hour is not None and device.serving_flop_per_s is not None and device.memory_bytes is not None
    return {
        "device_usd_per_hour": device.usd_per_hour.value,
        "device_serving_flop_per_s": device.serving_flop_per_s,
        "device_memory_bytes": device.memory_bytes,
    }


def _to_api(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    if "api_usd_per_input_token" in x:
        return "the tokens are bought already"
    if lifecycle.situation is not None and lifecycle.situation.data_must_stay:
        return "requests may not leave the house"
    if market.alternative_api is None:
        return "give lifecycle.options.alternative_api: a model of the price list that would do"
    if any(name not in x for name in serving_cost.REQUEST):
        return "give lifecycle.request: the tokens of a request"
    changes = {f"api_{name.removeprefix('other_api_')}": usd for name, usd in x.items() if name.startswith("other_api_")}
    change = partial(_replaced, changes=changes)
    return Move(lever, "served by", "own devices", market.alternative_api.id, change, because=_asked(market.alternative_api))


def _self_host(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str | None:
    if "api_usd_per_input_token" not in x:
        return None
    if serving_cost.demand_devices(x) is None:
        return "give lifecycle.model: the open-weight model that would do"
    told = f"{units.count(x['parameters'])} parameters on own devices"
    return Move(lever, "served by", market.api.id if market.api else "an API", told, _self_hosted)


def _self_hosted(x: Values, _: float) -> dict[str, float]:
    return {name: value for name, value in x.items() if not name.startswith("api_")}


def _student(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    options = lifecycle.options
    if options is None or options.student_parameters is None:
        return "give lifecycle.options.student_parameters: the size of a smaller model that could learn the task"
    missing = _plan_is_missing(x)
    if missing is not None:
        return missing
    if options.student_parameters >= x["active_parameters"]:
        return "the smaller model is not smaller"
    tokens = options.student_tokens or 0.0
    # The student learns from every token, and the teacher reads each once to tell it what to say.
    flop = tokens * (6.0 * options.student_parameters + 2.0 * x["active_parameters"])
    compute = training_cost.device_hours(flop, x) * x["device_usd_per_hour"] * x.get("experiments_per_release", 1.0)
    labels = (options.student_labels or 0.0) * x.get("usd_per_label", 0.0)
    after = f"{units.count(options.student_parameters)} parameters"
    if lever.id == "fine-tune-small":
        if options.student_input_tokens is None:
            return "give lifecycle.options.student_input_tokens: how long a request to the smaller model is"
        after += f", {units.number(options.student_input_tokens)} tokens in"
    because = f"{units.usd(compute)} of compute and {units.usd(labels)} of labels, once"
    before = f"{units.count(x['active_parameters'])} parameters"
    student = {"parameters": options.student_parameters, "active_parameters": options.student_parameters}
    if lever.id == "fine-tune-small" and options.student_input_tokens is not None:
        student["input_tokens"] = options.student_input_tokens
    change = partial(_replaced, changes=student)
    return Move(lever, "lifecycle.model.parameters", before, after, change, beside_usd=compute + labels, because=because)


def _exactly(value: float) -> Constant:
    return Constant(value=value, low=value, high=value, source=Source(what="the workload file", date="as given"))


def _asked(prices: TokenPrices) -> str:
    return f"{prices.source}, {prices.date}"


_WHERE = {
    "quantize": _quantize,
    "prefix-cache": _prefix_cache,
    "speculate": _speculate,
    "autoscale": _autoscale,
    "reserve": _reserve,
    "spot": _spot,
    "other-device": _other_device,
    "to-api": _to_api,
    "self-host": _self_host,
    "distil": _student,
    "fine-tune-small": _student,
}
