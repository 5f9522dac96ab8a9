"""What the lifetime cost asks of the catalogue: its constants, and the device and the APIs that a workload names, with their prices."""

from importlib.resources import files

import msgspec

from advisor.decide.lifetime.inputs import Device, Market, TokenPrices
from advisor.files import catalog
from advisor.schema.catalog import Constant, Hardware, LifetimeModel, Price
from advisor.schema.record import Source
from advisor.schema.workload import Lifecycle


def market_of(lifecycle: Lifecycle) -> Market:
    """Return what the catalogue knows of the device and the APIs that the workload names; only these are read."""
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
    found = catalog.read_token_price(name)
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
