"""A lever as a change of the inputs, and those that leave model and device what they are: weights, cache, the day, the price."""

from collections.abc import Callable
from typing import NamedTuple

from advisor import units
from advisor.decide.lifetime import fleet, serving_cost
from advisor.decide.lifetime.horizon import HOURS, MONTHS_PER_YEAR
from advisor.decide.lifetime.inputs import Market
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.catalog import Constant, Lever
from advisor.schema.record import Source
from advisor.schema.workload import Lifecycle

SERVING = ("serving",)
OPERATED = (*SERVING, "engineers who keep it running")
# What is trained for a model of one's own is trained for nothing where somebody else's answers. Validation is of the product.
TRAINED = (*OPERATED, "fine-tuning runs", "engineers who fine-tune", "labels")


class Move(NamedTuple):
    """A lever that can be evaluated.

    `change` takes the inputs and the size of the effect and returns them as the lever leaves them; `lines` are those of the lifetime
    cost that it changes, `beside` is what it costs once, beside effort.
    """

    lever: Lever
    field: str
    before: str
    after: str
    change: Callable[[Values, float], dict[str, float]]
    effect: Constant | None = None
    beside: Callable[[Values], float] | None = None
    because: str = ""
    lines: tuple[str, ...] = SERVING
    exponent: Constant | None = None  # by which its effort grows with the replicas that it is about
    touched: Callable[[Values], float | None] | None = None  # these, over those that stay on anyway; None: the whole fleet

    def changed(self, x: Values, effect: float | None = None) -> dict[str, float]:
        """Return the inputs as the lever leaves them, with its usual effect unless another is given."""
        usual = self.effect.value if self.effect is not None else 1.0
        return self.change(x, usual if effect is None else effect)


def plan_is_missing(x: Values) -> str | None:
    """Return why the devices behind serving cannot be changed, None where they can."""
    if serving_cost.is_in_the_field(x):
        return "units in the field are bought by the piece, each with its own device"
    if "serving_usd_per_hour" in x:
        return "what serving costs is known only as a sum: the tokens and devices behind it are not"
    if serving_cost.uses_api(x):
        return "somebody else's model is paid by the token: what runs it is not ours to change"
    return None if serving_cost.demand_devices(x) is not None else f"give {serving_cost.missing_of_plan(x)}"


def not_rented(x: Values) -> str | None:
    """Return why hours of devices are not bought at all."""
    if serving_cost.uses_api(x):
        return "tokens are bought, no devices"
    return "the devices are owned, not rented" if "device_price_usd" in x or serving_cost.is_in_the_field(x) else None


def quantize(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return the weights at half their bytes; or why that cannot be evaluated."""
    missing = plan_is_missing(x)
    if missing is not None:
        return missing
    if "bytes_per_parameter" not in x:
        return "give lifecycle.model: how many bytes its weights take"
    if x["bytes_per_parameter"] <= 1:
        return "the weights take one byte or less each already"
    before, after = (units.number(each) for each in (x["bytes_per_parameter"], x["bytes_per_parameter"] / 2))
    return Move(
        lever,
        "lifecycle.model.bytes_per_parameter",
        before,
        after,
        _quantized,
        lever.effect,
        because=devices_saved(x, _quantized),
    )


def _quantized(x: Values, effect: float) -> dict[str, float]:
    return {**x, "bytes_per_parameter": x["bytes_per_parameter"] / 2, "device_speed": x.get("device_speed", 1.0) * effect}


def devices_saved(x: Values, change: Callable[[Values, float], dict[str, float]]) -> str:
    """Return how many devices a replica takes before and after, where that is another number."""
    before, after = serving_cost.devices_per_replica(x), serving_cost.devices_per_replica(change(x, 1.0))
    return "" if before == after or before is None or after is None else f"{after:g} instead of {before:g} devices hold a replica"


def prefix_cache(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return a cache for what is the same at the beginning of every request; or why that cannot be evaluated."""
    missing = None if "api_usd_per_cached_token" in x and "input_tokens" in x else plan_is_missing(x)
    if missing is not None:
        return missing
    if "input_tokens" not in x:
        return "give lifecycle.request.input_tokens: what a cache could keep"
    shared = x.get("shared_prefix_tokens")
    if shared is None:
        return "give lifecycle.request.shared_prefix_tokens: what is the same at the beginning of every request"
    if shared == 0:
        return "requests share no beginning"
    hit = lever.effect.value if lever.effect else 1.0
    if x.get("cached_tokens", 0.0) >= shared * hit:
        return "so many tokens come from a cache already (lifecycle.request.cached_tokens)"
    after = f"{units.number(shared)} of {units.number(x['input_tokens'])} tokens kept, found {units.percent(hit)} of the time"
    return Move(lever, "prefix cache", "off", after, _prefix_cached, lever.effect)


def _prefix_cached(x: Values, effect: float) -> dict[str, float]:
    found = min(x["input_tokens"], x["shared_prefix_tokens"]) * effect
    return {**x, "cached_tokens": max(found, x.get("cached_tokens", 0.0))}


def speculate(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return why speculation is not evaluated: it saves no device."""
    if x.get("output_tokens", 0.0) == 0:
        return "nothing is generated token by token"
    missing = plan_is_missing(x)
    if missing is not None:
        return missing
    return "it makes single answers faster where devices have time to spare, and saves none of them: no saving is claimed"


def autoscale(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return a fleet that follows the day; or why that cannot be evaluated."""
    missing = plan_is_missing(x) or not_rented(x)
    if missing is not None:
        return missing
    if "scale_to_zero_after_s" in x or "batch_hours_per_day" in x:
        return "the fleet is on only when there is work already"
    if HOURS[0] not in x:
        return "the course of the day is not known: give traffic.diurnal or traffic.trace"
    least, most = min(x[hour] for hour in HOURS), x["peak_over_mean"]
    if least == most:
        return "the traffic is the same all day: there is nothing to follow"
    after = f"follows {units.number(least)} to {units.number(most)} times the mean traffic"
    return Move(lever, "replicas over the day", "as the busiest part takes", after, _autoscaled)


def _autoscaled(x: Values, _: float) -> dict[str, float]:
    return {**x, "follows_the_day": 1.0}


def reserve(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return a commitment by the year for what is always on; or why that cannot be evaluated."""
    missing = not_rented(x)
    if missing is not None:
        return missing
    if fleet.usd_per_hour(x) is None:
        return "what serving costs is not known"
    if "scale_to_zero_after_s" in x or "batch_hours_per_day" in x:
        return "nothing is always on"
    horizon = x["horizon_months"]
    if horizon < MONTHS_PER_YEAR:
        return f"a year's commitment is longer than the {units.months(horizon)} that the model lives"
    given = lifecycle.options.reserved_discount if lifecycle.options else None
    effect = exactly(given) if given is not None else lever.effect
    assert effect is not None
    committed = horizon // MONTHS_PER_YEAR * MONTHS_PER_YEAR
    because = f"of what is on at every hour of {units.months(committed)}, a year at a time, paid whether it is used or not"
    after = f"reserved, {units.percent(effect.value)} less"
    return Move(lever, "price", "on demand", after, _reserved, effect, because=because, touched=fleet.reserved_replicas)


def _reserved(x: Values, effect: float) -> dict[str, float]:
    return {**x, "reserved_fraction": effect}


def spot(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    """Return spare capacity beyond what is always on; or why that cannot be evaluated."""
    given = lifecycle.options.spot_discount if lifecycle.options else None
    missing = not_rented(x)
    if missing is not None:
        return missing
    if given is None:
        return "spot prices move by the hour: give lifecycle.options.spot_discount as you see it"
    missing = plan_is_missing(x)
    if missing is not None:
        return missing
    after = f"spot beyond the least that is always on, {units.percent(given)} less"
    return Move(lever, "price", "on demand", after, _on_spot, exactly(given), touched=fleet.spot_replicas)


def _on_spot(x: Values, effect: float) -> dict[str, float]:
    # What is always on stays on demand: it is there for availability, which spot capacity is not.
    return {**x, "spot_fraction": effect}


def exactly(value: float) -> Constant:
    """Return a figure of the user that is exactly known."""
    return Constant(value=value, low=value, high=value, source=Source(what="the workload file", date="as given"))
