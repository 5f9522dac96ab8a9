"""What `advisor classify` and `advisor portfolio` read: a workload without a model, and its devices and prices in the catalogue."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import msgspec

from advisor.decide.lifetime.inputs import Device, Market, TokenPrices
from advisor.errors import InputError
from advisor.files.records import read_yaml
from advisor.schema.catalog import Constant, Hardware, LifetimeModel, Price, TokenPrice
from advisor.schema.portfolio import Portfolio
from advisor.schema.record import Name, Record, Source
from advisor.schema.workload import Baseline, HardwareChoice, Inputs, Lifecycle, Quality, Slo, Traffic

MAX_HORIZON_MONTHS = 600


class LifeWorkload(Record, frozen=True, kw_only=True):
    """The workload file as far as its lifetime cost asks for it: the same keys, most of which may be absent here."""

    name: Name
    traffic: Traffic
    lifecycle: Lifecycle = Lifecycle()
    slo: Slo | None = None
    hardware: HardwareChoice | None = None
    inputs: Inputs | None = None
    quality: Quality | None = None
    baseline: Baseline | None = None


def read_life(path: Path) -> LifeWorkload:
    """Return the workload; raise InputError for what contradicts itself."""
    workload = read_yaml(path, LifeWorkload)
    life = workload.lifecycle
    if (workload.traffic.requests_per_s is None) == (workload.traffic.trace is None):
        raise InputError(
            f"{path}: traffic: give either requests_per_s or trace", hint="for example: traffic: {requests_per_s: 40 k/day}"
        )
    if life.horizon_months > MAX_HORIZON_MONTHS:
        raise InputError(
            f"{path}: lifecycle.horizon_months: {life.horizon_months:,} is more than {MAX_HORIZON_MONTHS}",
            hint="plan for at most fifty years",
        )
    for key, usd, plan in (
        ("labels_usd", life.labels_usd, "data.labels_to_buy" if life.data and life.data.labels_to_buy else None),
        ("fine_tuning_usd", life.fine_tuning_usd, "fine_tuning" if life.fine_tuning else None),
        ("pre_training_usd", life.pre_training_usd, "pre_training" if life.pre_training else None),
    ):
        if usd is not None and plan is not None:
            raise InputError(f"{path}: lifecycle: both {key} and {plan} are given", hint="give one of the two")
    serving, model, request = life.serving, life.model, life.request
    if serving is not None and serving.api_model is not None and serving.serving_usd_per_hour is not None:
        raise InputError(
            f"{path}: lifecycle.serving: both api_model and serving_usd_per_hour are given", hint="give one of the two"
        )
    if model is not None and model.active_parameters is not None and model.active_parameters > model.parameters:
        raise InputError(f"{path}: lifecycle.model: more parameters are active than there are", hint="parameters are all of them")
    if request is not None and request.shared_prefix_tokens is not None and request.shared_prefix_tokens > request.input_tokens:
        raise InputError(
            f"{path}: lifecycle.request: shared_prefix_tokens is more than input_tokens",
            hint="the shared ones are among the others",
        )
    return workload


def requests_per_s(workload: LifeWorkload, path: Path) -> float:
    """Return the mean traffic, that of the trace where there is one."""
    if workload.traffic.requests_per_s is not None:
        return workload.traffic.requests_per_s
    from advisor.files.workload import read_trace

    assert workload.traffic.trace is not None
    arrival_s = read_trace(path.parent / workload.traffic.trace).arrival_s
    return (len(arrival_s) - 1) / (arrival_s[-1] - arrival_s[0])


def read_portfolio(path: Path) -> Portfolio:
    """Return the portfolio; raise InputError for a workload that is named twice."""
    portfolio = read_yaml(path, Portfolio)
    names = [entry.workload for entry in portfolio.workloads]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: workloads: {twice[0]!r} stands there twice", hint="name each file once")
    return portfolio


def market_of(lifecycle: Lifecycle) -> Market:
    """Return what the catalogue knows of the device and the APIs that the workload names; only these are read."""
    from advisor.files import catalog

    serving, options = lifecycle.serving, lifecycle.options
    names = [name for name in (serving.device if serving else None, *(options.alternative_devices if options else ())) if name]
    prices = catalog.read_prices() if names else ()
    devices = {name: _device(catalog.read_device(name), prices) for name in names}
    apis = (serving.api_model if serving else None, options.alternative_api if options else None)
    tokens = [_token_prices(name) if name else None for name in apis]
    device = devices[serving.device] if serving and serving.device else None
    # A price that the user gives has no date of ours.
    priced = [
        entry for entry in devices.values() if entry is not device or serving is None or serving.device_usd_per_hour is None
    ]
    dates = [entry.usd_per_hour.source.date for entry in priced if entry.usd_per_hour is not None]
    dates += [entry.date for entry in tokens if entry is not None]
    return Market(
        model=lifetime_model(),
        device=device,
        others=tuple(devices[name] for name in (options.alternative_devices if options else ())),
        api=tokens[0],
        alternative_api=tokens[1],
        price_date=min(dates, default=None),
    )


def lifetime_model() -> LifetimeModel:
    """Return the constants and levers of the lifetime cost."""
    content = files("advisor.catalog").joinpath("lifetime_model.json").read_bytes()
    return msgspec.json.decode(content, type=LifetimeModel)


def _device(hardware: Hardware, prices: tuple[Price, ...]) -> Device:
    rates = hardware.peak_flop_per_s
    dense = rates.get("bf16", rates.get("fp16"))
    return Device(
        id=hardware.id,
        usd_per_hour=_price(hardware, prices),
        # The share of the peak that serving reaches was counted against 8 bits where the chip has floating point of that width.
        serving_flop_per_s=rates.get("fp8", dense),
        training_flop_per_s=dense,
        memory_bytes=hardware.memory_bytes,
        bandwidth_bytes_per_s=hardware.memory_bandwidth_bytes_per_s,
        source=f"{hardware.name}: {hardware.sources[0].what} ({hardware.sources[0].date})",
    )


def _price(hardware: Hardware, prices: tuple[Price, ...]) -> Constant | None:
    """Return the lowest on-demand price of one device, the interval up to the highest: the provider makes the difference."""
    devices = {(offer.provider, offer.instance): offer.devices for offer in hardware.offers}
    found = sorted(
        (price.usd_per_hour / devices[price.provider, price.instance], price.date, price.provider, price.region)
        for price in prices
        if (price.provider, price.instance) in devices and price.term == "on-demand"
    )
    if not found:
        return None
    (usd, _, provider, region), highest = found[0], found[-1]
    where = (
        f"{provider} {region}, on demand, the lowest of {len(found)}; the highest {highest[0]:.2f} at {highest[2]} {highest[3]}"
    )
    source = Source(what=where, date=min(date for _, date, _, _ in found))
    return Constant(value=usd, low=usd, high=highest[0], source=source)


def _token_prices(name: str) -> TokenPrices:
    from advisor.files import catalog

    known = catalog.read_token_prices()
    found = next((entry for entry in known if entry.model == name), None)
    if found is None:
        raise InputError(f"{name!r} is not in the price list of APIs", hint=f"for example: {', '.join(_like(name, known))}")
    per_token = 1e-6
    return TokenPrices(
        id=found.model,
        input_usd=found.usd_per_million_input_tokens * per_token,
        output_usd=_times(found.usd_per_million_output_tokens, per_token),
        cached_usd=_times(found.usd_per_million_cached_tokens, per_token),
        source=f"{found.provider}, {found.source}",
        date=found.date,
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _like(name: str, known: tuple[TokenPrice, ...]) -> list[str]:
    names = [entry.model for entry in known]
    return get_close_matches(name, names, n=3, cutoff=0.3) or names[:3]
