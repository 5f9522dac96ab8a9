"""Where it may run: hardware that a workload allows, the machine to rent it in, its price with its age, and the grid that feeds it."""

from pathlib import Path

from advisor.files.catalog import (
    age_days,
    carbon_of,
    is_stale,
    read_device,
    read_prices,
    user_price_book,
)
from advisor.files.price_book import read_price_book
from advisor.schema.advice import Place
from advisor.schema.catalog import CarbonIntensity, Hardware, Offer, Price
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import OnlineWorkload
from advisor.units import counted

# The countries of regions that list prices come from, by the providers' own lists of regions.
COUNTRY_OF_REGION = {
    ("aws", "us-east-1"): "USA",
    ("azure", "eastus"): "USA",
    ("azure", "eastus2"): "USA",
    ("azure", "westus3"): "USA",
    ("azure", "westeurope"): "NLD",
    ("azure", "swedencentral"): "SWE",
}


def places(workload: OnlineWorkload, workload_path: Path | None, *, now: str) -> tuple[tuple[Place, ...], tuple[Exclusion, ...]]:
    """Return the hardware that the workload allows beside the profiled machine, and what cannot be judged for want of a price."""
    asked = [name for name in workload.hardware.allowed if name != "local"]
    if not asked:
        return (), ()
    prices = all_prices(workload, workload_path)
    made, unknown = [], []
    for name in asked:
        device = read_device(name)
        place = _place(device, workload, prices, now=now)
        if place is None:
            unknown.append(Exclusion(what=name, reason=_no_price(device, workload)))
        else:
            made.append(place)
    return tuple(made), tuple(unknown)


def all_prices(workload: OnlineWorkload | None, workload_path: Path | None) -> tuple[Price, ...]:
    """Return list prices, the later of the same machine first: those that come with advisor, the user's, and the workload's own."""
    found = list(read_prices())
    if user_price_book().is_file():
        found.extend(read_price_book(user_price_book()))
    if workload is not None and workload_path is not None and workload.hardware.prices is not None:
        found.extend(read_price_book(workload_path.parent / workload.hardware.prices))
    latest = {(entry.provider, entry.region, entry.instance, entry.term): entry for entry in found}
    return tuple(latest.values())


def local_carbon(workload: OnlineWorkload) -> CarbonIntensity | None:
    """Return the intensity of the grid that the workload names for the profiled machine."""
    grid = workload.energy.grid if workload.energy else None
    return None if grid is None else carbon_of(grid)


def _place(hardware: Hardware, workload: OnlineWorkload, prices: tuple[Price, ...], *, now: str) -> Place | None:
    """Return the cheapest offer by the price of a device in it; the user's own price beats any list."""
    given = workload.hardware.price_usd_per_hour.get(hardware.id)
    if given is not None:
        estimate = Estimate(value=given, low=given, high=given, basis="list-price", source="the workload file")
        return Place(
            hardware=hardware,
            machine="at the price of the workload file",
            price_usd_per_hour=estimate,
            price_date=None,
            price_is_stale=False,
            carbon=local_carbon(workload),
        )
    asked = workload.hardware
    offers = [
        (price.usd_per_hour / offer.devices, offer, price)
        for offer in hardware.offers
        for price in prices
        if (price.provider, price.instance, price.term) == (offer.provider, offer.instance, asked.term)
        and asked.provider in (None, price.provider)
        and asked.region in (None, price.region)
    ]
    if not offers:
        return None
    _, offer, price = min(offers, key=lambda entry: (entry[0], entry[1].devices))
    return _rented(hardware, offer, price, workload, now=now)


def _rented(hardware: Hardware, offer: Offer, price: Price, workload: OnlineWorkload, *, now: str) -> Place:
    stale = is_stale(price.date, now)
    age = f", {age_days(price.date, now)} days old" if stale else ""
    named = "" if price.instance == hardware.id else f"{price.instance}, "
    machine = f"{named}{price.provider} {price.region}, {price.term}"
    machine += f", with {counted(offer.devices, 'device')}" if offer.devices > 1 else ""
    usd = price.usd_per_hour
    country = COUNTRY_OF_REGION.get((price.provider, price.region))
    grid = workload.energy.grid if workload.energy else None
    return Place(
        hardware=hardware,
        machine=machine,
        devices=offer.devices,
        price_usd_per_hour=Estimate(
            value=usd, low=usd, high=usd, basis="list-price", source=f"{machine} of {price.date}{age}: {price.source}"
        ),
        price_date=price.date,
        price_is_stale=stale,
        carbon=carbon_of(grid) if grid else carbon_of(price.region, price.provider) or (carbon_of(country) if country else None),
    )


def _no_price(hardware: Hardware, workload: OnlineWorkload) -> str:
    asked = workload.hardware
    wanted = ", ".join(filter(None, (asked.provider, asked.region, asked.term)))
    return (
        f"no price of {hardware.name} ({wanted}); give hardware.price_usd_per_hour.{hardware.id}, "
        "or import one: advisor hardware prices --import FILE"
    )
