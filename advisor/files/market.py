"""What the lifetime cost asks of the catalog: its constants, and the devices, the APIs and the grid that a workload names.

The user's own price of a device beats that of a book of the user's, and any book beats the list that comes with advisor.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from advisor.decide.lifetime.given import GIVEN
from advisor.decide.lifetime.inputs import Device, Market, TokenPrices, has_work
from advisor.errors import InputError
from advisor.files import catalog
from advisor.schema.catalog import Constant, Hardware, LifetimeModel, Price
from advisor.schema.record import Source
from advisor.schema.workload import EnergyChoice, HardwareChoice, Lifecycle

Books = tuple[tuple[Price, ...], ...]  # the first of them that has a price of a device is believed


def market_of(
    lifecycle: Lifecycle,
    hardware: HardwareChoice | None = None,
    energy: EnergyChoice | None = None,
    *,
    beside: Path | None = None,
    measured_on: Hardware | None = None,
) -> Market:
    """Return what is known of the devices, the APIs and the grid that the workload names; only these are read.

    `beside` is the folder of the workload file, where the price book lies that it names; `measured_on` is the hardware of a profile,
    which the catalog need not have.
    """
    serving, options, model = lifecycle.serving, lifecycle.options, lifetime_model()
    named, training = serving.device if serving else None, lifecycle.training_device
    own = named or (model.default_device if has_work(lifecycle) else None)
    names = [name for name in (own, training, *(options.alternative_devices if options else ())) if name]
    known = {measured_on.id: measured_on} if measured_on is not None else {}
    read = {name: known.get(name) or catalog.read_device(name) for name in names}
    choice = hardware or HardwareChoice()
    rented = {*read, *(offer.instance for entry in read.values() for offer in entry.offers)}
    books = _books(hardware, beside, rented) if names else ()
    devices = {name: _device(entry, choice, books) for name, entry in read.items()}
    if named is None and own is not None and devices[own].usd_per_hour is None:
        # Nobody asked for it: where it is not for rent on the terms that were asked for, it is taken from where it is.
        devices[own] = _device(read[own], HardwareChoice(), books)
    apis = (serving.api_model if serving else None, options.alternative_api if options else None)
    tokens = [_token_prices(name) if name else None for name in apis]
    return Market(
        model=model,
        device=devices[own] if own else None,
        is_device_assumed=named is None,
        training_device=devices[training] if training else None,
        others=tuple(devices[name] for name in (options.alternative_devices if options else ())),
        api=tokens[0],
        alternative_api=tokens[1],
        grams_co2e_per_kwh=_grid(energy),
        power_usage_effectiveness=energy.power_usage_effectiveness if energy else None,
    )


@cache
def lifetime_model() -> LifetimeModel:
    """Return the constants and levers of the lifetime cost."""
    content = files("advisor.catalog").joinpath("lifetime_model.json").read_bytes()
    return msgspec.json.decode(content, type=LifetimeModel)


def _books(hardware: HardwareChoice | None, beside: Path | None, instances: set[str]) -> Books:
    """Return the user's books whole, and of the list the prices of these machines."""
    named = beside / hardware.prices if beside is not None and hardware is not None and hardware.prices is not None else None
    if named is not None and not named.is_file():
        raise InputError(f"hardware.prices: {named}: no such file", hint="give a path relative to the workload file")
    paths = [path for path in (named, catalog.user_price_book()) if path is not None and path.is_file()]
    if not paths:
        return (catalog.read_prices(instances=instances),)
    # Most have no book of their own, and what reads the tables of others takes as long to load as all of this does.
    from advisor.files.books.price_book import read_price_book

    return (*(read_price_book(path) for path in paths), catalog.read_prices(instances=instances))


def _device(hardware: Hardware, asked: HardwareChoice, books: Books) -> Device:
    rates = hardware.peak_flop_per_s
    dense = rates.get("bf16", rates.get("fp16"))
    given = asked.price_usd_per_hour.get(hardware.id)
    found = (price for book in books if (price := _price(hardware, asked, book)) is not None)
    return Device(
        id=hardware.id,
        usd_per_hour=_given(given) if given is not None else next(found, None),
        # The share of the peak that serving reaches was counted against 8 bits where the chip has floating point of that width.
        serving_flop_per_s=rates.get("fp8", dense),
        training_flop_per_s=dense,
        memory_bytes=hardware.memory_bytes,
        bandwidth_bytes_per_s=hardware.memory_bandwidth_bytes_per_s,
        power_watts=hardware.power_watts,
        in_a_machine=max((offer.devices for offer in hardware.offers), default=1),
        source=f"{hardware.name}: {hardware.sources[0].what} ({hardware.sources[0].date})",
    )


def _given(usd: float) -> Constant:
    return Constant(value=usd, low=usd, high=usd, source=Source(what=GIVEN, date="as given"))


def _price(hardware: Hardware, asked: HardwareChoice, book: tuple[Price, ...]) -> Constant | None:
    """Return the lowest price of one device in a book, the interval up to the highest: the provider makes the difference.

    A book of the user's may name the device itself where no machine to rent it in is known.
    """
    devices = {(offer.provider, offer.instance): offer.devices for offer in hardware.offers}
    found = sorted(
        (price.usd_per_hour / devices.get((price.provider, price.instance), 1), price.date, price.provider, price.region)
        for price in book
        if ((price.provider, price.instance) in devices or price.instance == hardware.id)
        and price.term == asked.term
        and asked.provider in (None, price.provider)
        and asked.region in (None, price.region)
    )
    if not found:
        return None
    (usd, _, provider, region), highest = found[0], found[-1]
    term = asked.term.replace("-", " ")
    where = f"{provider} {region}, {term}, the lowest of {len(found)}; the highest {highest[0]:.2f} at {highest[2]} {highest[3]}"
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
        batch_input_usd=_times(found.usd_per_million_batch_input_tokens, per_token),
        batch_output_usd=_times(found.usd_per_million_batch_output_tokens, per_token),
        retired_on=found.deprecated,
        source=f"{found.provider}, {found.source}",
        date=found.date,
    )


def _grid(energy: EnergyChoice | None) -> Constant | None:
    found = catalog.carbon_of(energy.grid) if energy is not None and energy.grid is not None else None
    if found is None:
        return None
    grams = found.grams_co2e_per_kwh
    return Constant(value=grams, low=grams, high=grams, source=Source(what=f"{found.name}: {found.source}", date=found.date))


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
