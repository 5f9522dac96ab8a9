"""What can be done about the cost of serving: where it can be evaluated, what it takes; and what else could serve: device, API, student."""

import math
from collections.abc import Iterator
from functools import partial

from advisor import units
from advisor.decide.lifetime import cost, fleet, moves, serving_cost, training_cost
from advisor.decide.lifetime.inputs import Device, Life, Market, TokenPrices, api_figures, device_factor, price_way_out
from advisor.decide.lifetime.moves import OPERATED, SERVING, TRAINED, Move, devices_saved, not_rented, plan_is_missing
from advisor.decide.lifetime.serving_cost import Values
from advisor.schema.catalog import Constant, Lever
from advisor.schema.record import Estimate, Exclusion, Source
from advisor.schema.workload import Lifecycle


def evaluated(life: Life, lifecycle: Lifecycle, market: Market) -> tuple[list[Move], list[Exclusion]]:
    """Return the levers that the inputs suffice for, and the others with the reason."""
    found_: list[Move] = []
    left: list[Exclusion] = []
    x = life.values
    for lever in market.model.levers:
        found = _WHERE[lever.id](lever, x, lifecycle, market) if lever.id in _WHERE else None
        if isinstance(found, Move):
            if cost.by_month(x, found.lines) is None or cost.by_month(found.changed(x), found.lines) is None:
                found = "what serving would cost afterwards is not known"
            else:
                exponent = market.model.constants.get("effort_exponent")
                found_.append(_validated(found, life)._replace(exponent=exponent))
        if isinstance(found, str):
            left.append(Exclusion(what=lever.title, reason=found))
    left += (Exclusion(what=f"Move to another device: {name}", reason=reason) for name, reason in _unfit(x, market))
    return found_, left


def _validated(move: Move, life: Life) -> Move:
    """Return a lever with what it costs to validate it, where what is regulated would be answered by something else."""
    if not (move.lever.changes_answers and life.flags.get("is_regulated", False)):
        return move
    each = training_cost.validation_of_a_change_usd(life.values)
    if each is None:
        remarks = "its validation is not counted: give lifecycle.data.validation_usd_per_release"
        return move._replace(because="; ".join(filter(None, (move.because, remarks))))
    already = move.beside

    def beside(x: Values) -> float:
        return (already(x) if already is not None else 0.0) + (training_cost.validation_of_a_change_usd(x) or 0.0)

    remarks = f"{units.usd(each)} to validate it"
    return move._replace(beside=beside, because="; ".join(filter(None, (move.because, remarks))))


def once_usd(move: Move, x: Values, left: Values | None = None) -> tuple[float, float, float]:
    """Return what a lever costs once: value, low and high of its effort, with what it costs beside.

    `left` are the inputs as the lever leaves them, where they are known already.
    """
    effort, beside = effort_days(move, x, left), move.beside(x) if move.beside is not None else 0.0
    value, low, high = (days * x["engineer_usd_per_day"] + beside for days in (effort.value, effort.low, effort.high))
    return value, low, high


def effort_days(move: Move, x: Values, left: Values | None = None) -> Estimate:
    """Return the effort of a lever: that of one deployment, and more where there are more replicas that it changes."""
    days, grows = move.lever.effort_engineer_days, move.exponent
    replicas, which = 1.0, "the fleet is so many times the least, on average"
    if grows is not None and move.touched is not None:
        replicas, which = max(1.0, move.touched(x) or 1.0), "it is about so many times the least that is on"
    elif grows is not None:
        left = move.changed(x) if left is None else left
        replicas = max(1.0, fleet.mean_replicas(x) or 1.0, fleet.mean_replicas(left) or 1.0)
    if grows is None or replicas == 1:
        return Estimate(value=days.value, low=days.low, high=days.high, basis="assumed", source=days.source.what)
    return Estimate(
        value=days.value * replicas**grows.value,
        low=days.low * replicas**grows.low,
        high=days.high * replicas**grows.high,
        basis="assumed",
        source=f"{days.source.what}, times {replicas:.3g}^{grows.value:g}: {which}",
    )


def _other_device(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    missing = plan_is_missing(x) or not_rented(x)
    if missing is not None:
        return missing
    if not market.others:
        return "give lifecycle.options.alternative_devices: names of the catalog to compare with"
    priced = priced_devices(x, market)
    if not priced:
        return "none of those that were named can be evaluated, each for its own reason"
    _, best, after = min(priced, key=_first)
    each = serving_cost.devices_per_replica(after) or 1.0
    others = ", ".join(device.id for _, device, _ in sorted(priced, key=_first))
    factor = _relative(best, market)
    return Move(
        lever,
        "lifecycle.serving.device",
        lifecycle.serving.device if lifecycle.serving and lifecycle.serving.device else "as today",
        best.id if each == 1 else f"{each:g} x {best.id} a replica",
        partial(_moved, device=best, market=market),
        effect=factor,
        because=f"the cheapest of {len(priced)} that can be evaluated: {others}",
    )


def priced_devices(x: Values, market: Market) -> list[tuple[float, Device, Values]]:
    """Return the other devices that can be evaluated, each with what serving costs there, and the inputs with it."""
    found: list[tuple[float, Device, Values]] = []
    for device in market.others:
        after = {**x, **_on_device(x, device, market)} if _unfit_because(x, device, market) is None else None
        paid = cost.by_month(after, SERVING) if after is not None else None
        if after is not None and paid is not None:
            found.append((sum(paid), device, after))
    return found


def _moved(x: Values, effect: float, *, device: Device, market: Market) -> dict[str, float]:
    return {**x, **_on_device(x, device, market), "device_speed": x.get("device_speed", 1.0) * effect}


def _relative(device: Device, market: Market) -> Constant:
    """Return how far off a device may be of what it is taken to do: 1, with the ends of what is known of it."""
    factor = device_factor(device, market.model)
    if factor is None:
        return Constant(value=1.0, low=1.0, high=1.0, source=Source(what="as given", date="as given"))
    low, high = factor.low / factor.value, factor.high / factor.value
    return Constant(value=1.0, low=low, high=high, source=factor.source)


def _first(entry: tuple[float, Device, Values]) -> float:
    return entry[0]


def _on_device(x: Values, device: Device, market: Market) -> dict[str, float]:
    """Return what is other on another device: price, rate, memory, and how much of the rate is reached over what is reached today."""
    here = device_factor(market.device, market.model) if market.device is not None else None
    there = device_factor(device, market.model)
    found = {
        "device_usd_per_hour": device.usd_per_hour.value if device.usd_per_hour is not None else None,
        "device_serving_flop_per_s": device.serving_flop_per_s,
        "device_memory_bytes": device.memory_bytes,
        "device_bandwidth_bytes_per_s": device.bandwidth_bytes_per_s,
    }
    changes = {name: value for name, value in found.items() if value is not None}
    ratio = (there.value if there else 1.0) / (here.value if here else 1.0)
    # What was measured here is faster there as the rates are; the share of the peak cannot exceed the whole.
    if _is_measured(x) and device.serving_flop_per_s is not None:
        faster = ratio * device.serving_flop_per_s / x["device_serving_flop_per_s"]
        changes |= {name: x[name] * faster for name in ("device_requests_per_s", "device_tokens_per_s") if name in x}
    elif "serving_mfu_fraction" in x:
        changes["serving_mfu_fraction"] = min(1.0, x["serving_mfu_fraction"] * ratio)
    return changes


def _is_measured(x: Values) -> bool:
    """Return whether what a device serves is known otherwise than by its rate."""
    return "device_requests_per_s" in x or "device_tokens_per_s" in x


def _unfit(x: Values, market: Market) -> Iterator[tuple[str, str]]:
    """Yield the devices that were named and cannot be evaluated, each with the reason."""
    if plan_is_missing(x) or not_rented(x):
        return
    for device in market.others:
        reason = _unfit_because(x, device, market)
        if reason is not None:
            yield device.id, reason


def _unfit_because(x: Values, device: Device, market: Market) -> str | None:
    if device.usd_per_hour is None:
        return f"no list has its price: give hardware.price_usd_per_hour.{device.id}"
    if device.serving_flop_per_s is None or device.memory_bytes is None:
        return "the catalog has no 8 or 16 bit rate of it, or not its memory"
    if _is_measured(x) and "device_serving_flop_per_s" not in x:
        return "how fast it is beside the device that was measured is not known: the catalog has no 8 or 16 bit rate of that one"
    each = serving_cost.devices_per_replica({**x, **_on_device(x, device, market)})
    today = serving_cost.devices_per_replica(x)
    machine = market.model.constants.get("devices_per_machine")
    most = max(device.in_a_machine, machine.value if machine is not None else 0.0, today or 0.0)
    if each is not None and today is not None and each > most:
        return (
            f"a replica takes {each:g} of them ({units.size(device.memory_bytes)} each), which are in more than one machine: "
            "what joins these is not in the price"
        )
    return None


def _to_api(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    if serving_cost.uses_api(x):
        return "the tokens are bought already"
    if lifecycle.situation is not None and lifecycle.situation.data_must_stay:
        return "requests may not leave the company"
    if market.alternative_api is None:
        return "give lifecycle.options.alternative_api: a model of the price list that would do"
    if any(name not in x for name in serving_cost.REQUEST):
        return "give lifecycle.request.input_tokens: the tokens of a request"
    prices = market.alternative_api
    if x["output_tokens"] > 0 and prices.output_usd is None:
        return f"the list has no price of a token that {prices.id} generates"
    change = partial(_bought, prices=api_figures(prices))
    remarks = [*_falls_away(x), f"{prices.source}, {prices.date}", *_retired(prices)]
    if prices.cached_usd is not None and x.get("shared_prefix_tokens") and "cached_tokens" not in x:
        remarks.append(
            f"cached input at {prices.cached_usd / prices.input_usd:.0%} of its price counts with lifecycle.request.cached_tokens"
        )
    if prices.batch_input_usd is not None and "batch_fraction" not in x:
        remarks.append("its batch prices count with lifecycle.request.batch_fraction")
    return Move(lever, "served by", "own devices", prices.id, change, because="; ".join(remarks), lines=TRAINED)


def _falls_away(x: Values) -> Iterator[str]:
    """Yield what is saved beside serving where somebody else's model answers."""
    paid = {name: cost.LINES[name].compute(x) or 0.0 for name in TRAINED if name not in SERVING}
    needless = [name for name, usd in paid.items() if usd > 0]
    if needless:
        yield (
            f"{units.usd(math.fsum(paid.values()))} of {' and '.join(needless)} over {units.months(x['horizon_months'])} fall away, "
            "which is taken off already"
        )


def _bought(x: Values, _: float, *, prices: dict[str, float]) -> dict[str, float]:
    # A cache of one's own stays behind; the vendor's is one that was remarks to be there.
    kept = {name: value for name, value in x.items() if name not in ("serving_usd_per_hour", "unit_price_usd")}
    needless = {"fine_tunings_per_year": 0.0, "labels_usd": 0.0}
    return {**kept, **prices, **{name: none for name, none in needless.items() if name in x or name == "labels_usd"}}


def _retired(prices: TokenPrices) -> Iterator[str]:
    if prices.retired_on is not None:
        yield f"its vendor retires it on {prices.retired_on}"


def _self_host(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str | None:
    if not serving_cost.uses_api(x):
        return None
    if "parameters" not in x:
        return "give lifecycle.model: the open-weight model that would do"
    if serving_cost.demand_devices(x) is None:
        return f"give {serving_cost.missing_of_plan(self_hosted(x))}"
    if market.device is not None and "device_usd_per_hour" not in x and "device_price_usd" not in x:
        return price_way_out(market.device.id)
    after = f"{units.count(x['parameters'])} parameters on own devices"
    before = market.api.id if market.api else "an API"
    because = (
        ""
        if "serving_engineer_days_per_month" in x
        else ("whoever runs it is not counted: give lifecycle.team.serving_engineer_days_per_month")
    )
    remarks = [*(_retired(market.api) if market.api else ()), *([because] if because else [])]
    return Move(lever, "served by", before, after, self_hosted, because="; ".join(remarks), lines=OPERATED)


def self_hosted(x: Values, _: float = 1.0) -> dict[str, float]:
    """Return the inputs with the model on own devices, and no API."""
    return {name: value for name, value in x.items() if not name.startswith("api_")}


def _student(lever: Lever, x: Values, lifecycle: Lifecycle, market: Market) -> Move | str:
    options = lifecycle.options
    if options is None or options.student_parameters is None:
        return "give lifecycle.options.student_parameters: the size of a smaller model that could learn the task"
    missing = plan_is_missing(x)
    if missing is not None:
        return missing
    active = serving_cost.active_parameters(x)
    if active is None or "input_tokens" not in x:
        keys = {"parameters": "lifecycle.model", "input_tokens": "lifecycle.request.input_tokens"}
        asked = " and ".join(key for name, key in keys.items() if name not in x)
        return f"give {asked}: what a smaller model would save"
    if options.student_parameters >= active:
        return "the smaller model is not smaller"
    labels = options.student_labels or 0.0
    if labels and "usd_per_label" not in x:
        return f"its {units.number(labels)} labels have no price: give lifecycle.data.usd_per_label"
    student: dict[str, float] = {"parameters": options.student_parameters, "active_parameters": options.student_parameters}
    after = f"{units.count(options.student_parameters)} parameters"
    if lever.id == "fine-tune-small":
        if options.student_input_tokens is None:
            return "give lifecycle.options.student_input_tokens: how long a request to the smaller model is"
        after += f", {units.number(options.student_input_tokens)} tokens in"
        student["input_tokens"] = options.student_input_tokens
    beside = partial(_student_usd, tokens=options.student_tokens or 0.0, parameters=options.student_parameters, labels=labels)
    change = partial(_replaced, changes=student)
    remarks = (f"{units.usd(beside(x))} of compute and labels, once", devices_saved(x, change))
    return Move(
        lever,
        "lifecycle.model.parameters",
        f"{units.count(active)} parameters",
        after,
        change,
        beside=beside,
        because="; ".join(filter(None, remarks)),
    )


def _student_usd(x: Values, *, tokens: float, parameters: float, labels: float) -> float:
    """Return what a student costs once, beside the work: compute and labels."""
    flop = training_cost.student_flop(
        tokens,
        parameters=parameters,
        teacher_parameters=serving_cost.active_parameters(x) or 0.0,
        experiments=x.get("experiments_per_release", 1.0),
    )
    compute = training_cost.compute_usd(flop, x)
    return (compute or 0.0) + (training_cost.priced_labels_usd(labels, x) or 0.0)


def _replaced(x: Values, _: float, *, changes: dict[str, float]) -> dict[str, float]:
    # What the cache of another model takes, and that it has one, nobody gave.
    return {**{name: value for name, value in x.items() if name != "kv_bytes_per_token"}, **changes}


_WHERE = {
    "quantize": moves.quantize,
    "prefix-cache": moves.prefix_cache,
    "speculate": moves.speculate,
    "autoscale": moves.autoscale,
    "reserve": moves.reserve,
    "spot": moves.spot,
    "other-device": _other_device,
    "to-api": _to_api,
    "self-host": _self_host,
    "distil": _student,
    "fine-tune-small": _student,
}
