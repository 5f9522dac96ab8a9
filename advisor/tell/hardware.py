"""The catalog and its prices, for a terminal."""

from collections.abc import Callable

from advisor import units
from advisor.inert.record import inert_parts
from advisor.inert.text import inert
from advisor.schema.catalog import Hardware, Price

MAX_LEFT_OUT = 5


def listing(devices: tuple[Hardware, ...], prices: tuple[Price, ...]) -> str:
    """Return a line for each device: what it is, its memory, its bandwidth and the cheapest list price of one; no newline at the end."""
    devices, prices = inert_parts(devices), inert_parts(prices)
    lines = [f"{'id':<16} {'kind':<12} {'memory':>9} {'bandwidth':>12} {'$/h':>9}  name"]
    for device in devices:
        cheapest = min((usd for usd, _ in offers(device, prices)), default=None)
        lines.append(
            f"{device.id:<16} {device.kind:<12} {_known(device.memory_bytes):>9} "
            f"{_known(device.memory_bandwidth_bytes_per_s, '/s'):>12} "
            f"{'no price' if cheapest is None else units.usd(cheapest):>9}  {device.name}"
        )
    return "\n".join(lines)


def details(device: Hardware, prices: tuple[Price, ...], stale: set[str]) -> str:
    """Describe a device, each number with its source; prices of a `stale` day are marked."""
    device, prices = inert_parts(device), inert_parts(prices)
    source = {number: f"{entry.what}, {entry.date}" for entry in device.sources for number in entry.covers}
    numbers: dict[str, tuple[float | None, Callable[[float], str]]] = {
        "year": (device.year, _whole),
        "cores": (device.cores, _whole),
        "memory_bytes": (device.memory_bytes, units.size),
        "memory_bandwidth_bytes_per_s": (device.memory_bandwidth_bytes_per_s, lambda value: f"{units.size(value)}/s"),
        "power_watts": (device.power_watts, lambda value: f"{units.number(value)} W"),
        **{
            f"peak_flop_per_s.{precision}": (rate, lambda value: f"{units.count(value)}FLOP/s")
            for precision, rate in device.peak_flop_per_s.items()
        },
    }
    lines = [f"{device.name} ({device.id}): {device.kind} of {device.vendor}, confidence {device.confidence}"]
    for name, (value, shown) in numbers.items():
        lines.append(f"  {name}: " + ("not known" if value is None else f"{shown(value)}  [{source[name]}]"))
    lines.extend(f"  doubt: {doubt}" for doubt in device.doubts)
    for usd, price in sorted(offers(device, prices), key=lambda entry: entry[0]):
        old = ", old" if price.date in stale else ""
        lines.append(
            f"  {units.usd(usd)}/h per device: {price.instance}, {price.provider} {price.region}, {price.term}, "
            f"{price.date}{old}  [{price.source}]"
        )
    return "\n".join(lines)


def offers(device: Hardware, prices: tuple[Price, ...]) -> list[tuple[float, Price]]:
    """Return the price of one device in each machine that holds some."""
    return [
        (price.usd_per_hour / offer.devices, price)
        for offer in device.offers
        for price in prices
        if (price.provider, price.instance) == (offer.provider, offer.instance)
    ]


def price_table(prices: tuple[Price, ...], stale: set[str]) -> str:
    """Return a line for each price; those of a `stale` day are marked."""
    return "\n".join(
        f"{price.provider:<8} {price.region:<14} {price.instance:<36} {price.term:<10} {units.usd(price.usd_per_hour):>9}/h  "
        f"{price.date}{' old' if price.date in stale else ''}"
        for price in inert_parts(prices)
    )


def imported(count: int, left_out: tuple[str, ...], book: str) -> str:
    """Describe what was imported, and the first of what was not."""
    lines = [f"{units.counted(count, 'price')} imported into {inert(book)}"]
    if left_out:
        lines.append(f"{units.counted(len(left_out), 'price')} left out:")
        lines.extend(f"  {inert(entry)}" for entry in left_out[:MAX_LEFT_OUT])
    return "\n".join(lines)


def _whole(value: float) -> str:
    return f"{value:g}"


def _known(value: float | None, suffix: str = "") -> str:
    return "unknown" if value is None else f"{units.size(value)}{suffix}"
