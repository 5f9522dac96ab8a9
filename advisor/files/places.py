"""Where it may run: hardware that a workload allows, the machine to rent it in, its price with its age, and the grid that feeds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from advisor.errors import InputError
from advisor.files.books.price_book import read_price_book
from advisor.files.catalog import (
    age_days,
    carbon_of,
    is_stale,
    read_device,
    read_prices,
    user_price_book,
)
from advisor.schema.advice import Place
from advisor.schema.catalog import LOCAL, CarbonIntensity, Hardware, Offer, Price
from advisor.schema.generation import GenerationSite
from advisor.schema.profile import Site
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import EnergyChoice, GenerationWorkload, OnlineWorkload
from advisor.units import counted

# What is asked of the hardware is in both, but energy in advice on one-pass models alone.
Asked = OnlineWorkload | GenerationWorkload
NO_WEIGHTS = "a configuration has no weights that could be measured here: give the checkpoint's folder, and measure there"
# The countries of regions that list prices come from, by the providers' own lists of regions.
COUNTRY_OF_REGION = {
    ("aws", "us-east-1"): "USA",
    ("azure", "eastus"): "USA",
    ("azure", "eastus2"): "USA",
    ("azure", "westus3"): "USA",
    ("azure", "westeurope"): "NLD",
    ("azure", "swedencentral"): "SWE",
}


class Places(NamedTuple):
    """Where today's configuration runs, where the model may run, and what was asked for but cannot be evaluated."""

    home: Place
    allowed: tuple[Place, ...]
    exclusions: tuple[Exclusion, ...]


def places(workload: Asked, workload_path: Path | None, sites: Sequence[Site | GenerationSite], *, now: str) -> Places:
    """Return the places of a workload, each with its price; hardware without a price cannot be evaluated.

    In a workload `local` is the machine of the profile: the site of that id, or else the first. Raises InputError if today's machine
    has no price.
    """
    measured = {site.hardware.id: site.hardware for site in sites}
    local = local_of(sites)
    today = workload.baseline.hardware if workload.baseline else None
    home = _resolved(today or LOCAL, local)
    asked = list(dict.fromkeys(_resolved(name, local) for name in workload.hardware.allowed))
    prices = all_prices(workload, workload_path)
    made: dict[str, Place] = {}
    unknown = []
    for name in dict.fromkeys((home, *asked)):
        device = measured.get(name) or read_device(name)
        place = _place(device, workload, prices, is_local=name == local, now=now)
        if place is not None:
            made[name] = place
        elif name == home:
            raise InputError(
                f"hardware.price_usd_per_hour: no price for {name!r}, the machine that runs the model today",
                hint=f"add: price_usd_per_hour: {{{name}: 0.34}}",
            )
        else:
            unknown.append(Exclusion(what=name, reason=_no_price(device, workload)))
    return Places(made[home], tuple(made[name] for name in asked if name in made), tuple(unknown))


def places_elsewhere(
    workload: GenerationWorkload, workload_path: Path | None, *, now: str
) -> tuple[tuple[Place, ...], tuple[Exclusion, ...]]:
    """Return the machines with devices of the catalog that a workload allows, of each size the cheapest, and what is left out and why."""
    prices = all_prices(workload, workload_path)
    found: list[Place] = []
    left_out = []
    for name in workload.hardware.allowed:
        if name == LOCAL:
            left_out.append(Exclusion(what=LOCAL, reason=NO_WEIGHTS))
            continue
        device = read_device(name)
        of_size: dict[int, tuple[float, Offer, Price]] = {}
        for entry in _offered(device, workload, prices):
            of_size.setdefault(entry[1].devices, entry)
        if (own := _place(device, workload, prices, is_local=False, now=now)) is None:
            left_out.append(Exclusion(what=name, reason=_no_price(device, workload)))
        elif own.price_date is None:
            found.append(own)  # a price of the user's beats all lists
        else:
            found += [_rented(device, offer, price, workload, now=now) for _, (_, offer, price) in sorted(of_size.items())]
    return tuple(found), tuple(left_out)


def local_of(sites: Sequence[Site | GenerationSite]) -> str:
    """Return the hardware that a workload calls `local`: the site of that id, or else the first of the profile."""
    return LOCAL if any(site.hardware.id == LOCAL for site in sites) else sites[0].hardware.id


def _resolved(name: str, local: str) -> str:
    return local if name == LOCAL else name


def all_prices(workload: Asked | None, workload_path: Path | None) -> tuple[Price, ...]:
    """Return list prices, the later of the same machine first: those that come with advisor, the user's, and the workload's own."""
    found = list(read_prices())
    if user_price_book().is_file():
        found.extend(read_price_book(user_price_book()))
    if workload is not None and workload_path is not None and workload.hardware.prices is not None:
        found.extend(read_price_book(workload_path.parent / workload.hardware.prices))
    latest = {(entry.provider, entry.region, entry.instance, entry.term): entry for entry in found}
    return tuple(latest.values())


def _energy(workload: Asked) -> EnergyChoice | None:
    return workload.energy if isinstance(workload, OnlineWorkload) else None


def _local_carbon(workload: Asked) -> CarbonIntensity | None:
    """Return the intensity of the grid that the workload names."""
    energy = _energy(workload)
    grid = energy.grid if energy else None
    return None if grid is None else carbon_of(grid)


def _place(hardware: Hardware, workload: Asked, prices: tuple[Price, ...], *, is_local: bool, now: str) -> Place | None:
    """Return the cheapest offer by the price of a device in it; the user's own price beats any list.

    `is_local`: the workload may call this machine `local`, and its price of `local` holds.
    """
    own = workload.hardware.price_usd_per_hour
    given = own.get(hardware.id, own.get(LOCAL) if is_local else None)
    if given is not None:
        return Place(
            hardware=hardware,
            machine="the profiled machine" if is_local else "at the price from the workload file",
            price_usd_per_hour=_as_given(given),
            price_date=None,
            price_is_stale=False,
            carbon=_local_carbon(workload),
            busy_watts=_local_watts(workload) if is_local else None,
        )
    offers = _offered(hardware, workload, prices)
    return _rented(hardware, *offers[0][1:], workload, now=now) if offers else None


def _offered(hardware: Hardware, workload: Asked, prices: tuple[Price, ...]) -> list[tuple[float, Offer, Price]]:
    """Return the machines that have the device on the terms that were asked for, with the price of a device in them, cheapest first."""
    asked = workload.hardware
    offers = [
        (price.usd_per_hour / offer.devices, offer, price)
        for offer in hardware.offers
        for price in prices
        if (price.provider, price.instance, price.term) == (offer.provider, offer.instance, asked.term)
        and asked.provider in (None, price.provider)
        and asked.region in (None, price.region)
    ]
    return sorted(offers, key=lambda entry: (entry[0], entry[1].devices))


def _as_given(usd_per_hour: float) -> Estimate:
    return Estimate(value=usd_per_hour, low=usd_per_hour, high=usd_per_hour, basis="list-price", source="the workload file")


def _local_watts(workload: Asked) -> Estimate | None:
    energy = _energy(workload)
    watts = energy.local_power_watts if energy else None
    return None if watts is None else Estimate(value=watts, low=watts, high=watts, basis="assumed", source="the workload file")


def _rented(hardware: Hardware, offer: Offer, price: Price, workload: Asked, *, now: str) -> Place:
    stale = is_stale(price.date, now)
    age = f", {age_days(price.date, now)} days old" if stale else ""
    named = "" if price.instance == hardware.id else f"{price.instance}, "
    machine = f"{named}{price.provider} {price.region}, {price.term}"
    machine += f", with {counted(offer.devices, 'device')}" if offer.devices > 1 else ""
    usd = price.usd_per_hour
    country = COUNTRY_OF_REGION.get((price.provider, price.region))
    energy = _energy(workload)
    grid = energy.grid if energy else None
    return Place(
        hardware=hardware,
        machine=machine,
        devices=offer.devices,
        price_usd_per_hour=Estimate(
            value=usd, low=usd, high=usd, basis="list-price", source=f"{machine}, {price.date}{age}: {price.source}"
        ),
        price_date=price.date,
        price_is_stale=stale,
        carbon=carbon_of(grid) if grid else carbon_of(price.region, price.provider) or (carbon_of(country) if country else None),
    )


def _no_price(hardware: Hardware, workload: Asked) -> str:
    asked = workload.hardware
    wanted = ", ".join(filter(None, (asked.provider, asked.region, asked.term)))
    return (
        f"no price for {hardware.name} ({wanted}); set hardware.price_usd_per_hour.{hardware.id}, "
        "or import one: advisor hardware prices --import FILE"
    )
