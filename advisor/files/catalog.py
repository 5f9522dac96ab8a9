"""The catalog: devices, prices by the hour and by the token, carbon; each number with the source and the date it was read with."""

import csv
import os
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from functools import cache
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.files.records import read_yaml
from advisor.schema.catalog import (
    LOCAL,
    STALE_DAYS,
    AcceptanceLength,
    CarbonIntensity,
    DistilledPair,
    Evidence,
    Hardware,
    Instances,
    Price,
    Processors,
    PublicMeasurements,
    Scheme,
    TokenPrice,
)
from advisor.schema.record import Record
from advisor.units import is_day, parse_moment

if TYPE_CHECKING:
    from advisor.schema.profile import Machine

R = TypeVar("R", bound=Record)
_COMMON_WORDS = frozenset(
    "nvidia tesla amd intel google aws apple instinct geforce gpu tensor core hbm2 hbm2e hbm3 hbm3e".split()
)
SHORTEST_WORD = 2  # letters and digits that tell a device: T4
_SPELLINGS = re.compile(r"^(\d+)gi?b$|^(sxm)\d$")  # 80GB is 80, and there is one SXM form of each


def read_hardware(folder: Path | None = None) -> dict[str, Hardware]:
    """Return every device of the catalog by its id; raise InputError where a number has no source."""
    found = _shipped_devices() if folder is None else [_device(path) for path in sorted(folder.glob("*.yaml"))]
    return {device.id: device for device in found}


@cache
def _shipped_devices() -> tuple[Hardware, ...]:
    return tuple(_shipped_device(name) for name in hardware_names())


@cache
def hardware_names() -> tuple[str, ...]:
    """Return the ids of the catalog, without reading what is behind them."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _shipped_hardware() if entry.name.endswith(".yaml")))


def read_device(name: str) -> Hardware:
    """Return one device of the catalog, by its id or by what people and clouds call it.

    Raises InputError for a name that is not in it, and for one that several devices have, with their ids.
    """
    found = device_ids(name)
    if len(found) > 1:
        raise InputError(
            f"{name!r} may be {', '.join(found[:-1])} or {found[-1]}", hint=f"write the one that you mean, as {found[0]}"
        )
    if not found:
        import difflib

        near = difflib.get_close_matches(name, hardware_names(), n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else "`advisor hardware list` names all that are known; `local` is the profiled machine"
        )
        raise InputError(f"{name!r} is neither `local` nor in the catalog", hint=hint)
    return _shipped_device(found[0])


@cache
def _shipped_device(id_: str) -> Hardware:
    with as_file(files("advisor.catalog.hardware").joinpath(f"{id_}.yaml")) as path:
        return _device(path)


def device_ids(name: str) -> tuple[str, ...]:
    """Return the ids of the devices that a name may stand for: that of the catalog, a machine to rent, or words of its id and name."""
    if name in hardware_names():
        return (name,)
    rented = _devices_in(name)
    if rented:
        return tuple(sorted(rented))
    asked = _words(name)
    if "/" in name or max(map(len, asked), default=0) < SHORTEST_WORD:
        return ()
    known = {device.id: (_words(device.id), _words(device.name)) for device in read_hardware().values()}
    exact = tuple(id_ for id_, names in known.items() if asked in names)
    return exact or tuple(id_ for id_, names in known.items() if asked <= names[0] | names[1])


def read_priced_device(name: str) -> Hardware:
    """Return the device that a price is of; InputError for a machine that may have several of them: prices are of one."""
    device = read_device(name)
    if not device_is_named(name) and (name.lower(), 1) not in {
        (offer.instance.lower(), offer.devices) for offer in device.offers
    }:
        raise InputError(
            f"{name!r} is a machine that may have several {device.id}, and prices are of one",
            hint=f"write {device.id}: the price of the machine over the number of its devices",
        )
    return device


def device_is_named(name: str) -> bool:
    """Return whether a name is that of a device, and not of a machine that has some."""
    return name in hardware_names() or not _devices_in(name)


def _devices_in(machine: str) -> set[str]:
    """Return the ids of the devices that a machine to rent has, none where its name is not that of one."""
    from fnmatch import fnmatchcase

    return {entry.device for entry in read_instances() if fnmatchcase(machine.lower(), entry.instances.lower())}


def _words(name: str) -> frozenset[str]:
    """Return the words of a device's name by which it is told from others: "NVIDIA A100-SXM4-80GB" is a100, sxm and 80."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return frozenset(_SPELLINGS.sub(lambda found: found[1] or found[2], word) for word in words) - _COMMON_WORDS


def read_instances(folder: Path | None = None) -> tuple[Instances, ...]:
    """Return which machines to rent have which device."""
    return _with_sources("instances.csv", Instances, folder, column="device", only=None)


def _shipped_hardware() -> Iterator[Traversable]:
    return files("advisor.catalog.hardware").iterdir()


def _device(path: Path) -> Hardware:
    device = read_yaml(path, Hardware)
    if device.id != path.stem:
        raise InputError(f"{path}: id: {device.id!r} is not the name of the file", hint=f"write id: {path.stem}")
    _check_sources(device, str(path))
    return device


def _check_sources(device: Hardware, where: str) -> None:
    covered = {name for source in device.sources for name in source.covers}
    if bare := numbers_of(device) - covered:
        raise InputError(f"{where}: no source covers {', '.join(sorted(bare))}", hint="name them under `covers` of a source")
    if odd := covered - numbers_of(device):
        raise InputError(f"{where}: sources cover {', '.join(sorted(odd))}, which is not there", hint="remove the name")


def numbers_of(device: Hardware) -> set[str]:
    """Return the path of each number that a device has: every one needs a source."""
    plain = ("year", "cores", "memory_bytes", "memory_bandwidth_bytes_per_s", "power_watts")
    return {
        *(name for name in plain if getattr(device, name) is not None),
        *(f"peak_flop_per_s.{precision}" for precision in device.peak_flop_per_s),
        *(f"offers.{offer.instance}" for offer in device.offers),
    }


def read_processors() -> Processors:
    """Return how a machine that the catalog does not name becomes a roofline."""
    with as_file(files("advisor.catalog").joinpath("processors.yaml")) as path:
        return read_yaml(path, Processors)


def machine_as_hardware(machine: "Machine", processors: Processors) -> Hardware:
    """Return the machine that measures under the id `local`: a roofline from its cores and its instruction sets."""
    has, cpu = set(machine.instruction_sets), machine.cpu
    rates = next(
        entry
        for entry in processors.cores
        if has.issuperset(entry.instruction_sets) and has.isdisjoint(entry.without) and (entry.maker or "") in cpu
    )
    peaks = {name: rate * processors.clock_hz * machine.cores for name, rate in rates.operations_per_cycle.items()}
    return Hardware(
        id=LOCAL,
        name=cpu or "the profiled machine",
        vendor="unknown",
        kind="cpu",
        cores=machine.cores,
        memory_bytes=float(machine.memory_bytes),
        memory_bandwidth_bytes_per_s=processors.core_bandwidth_bytes_per_s * machine.cores,
        peak_flop_per_s=peaks,
        confidence="low",
        sources=(
            Evidence(
                what=f"{rates.source.what}; clock: {processors.source.what}",
                date=processors.source.date,
                covers=tuple(f"peak_flop_per_s.{name}" for name in peaks),
            ),
            Evidence(what=processors.source.what, date=processors.source.date, covers=("memory_bandwidth_bytes_per_s",)),
            Evidence(what="the operating system", date=processors.source.date, covers=("cores", "memory_bytes")),
        ),
    )


def hardware_of(name: str, machine: "Machine") -> Hardware:
    """Return the hardware of a site: the device of the catalog that the user named, or under `local` the machine as it describes itself."""
    return machine_as_hardware(machine, read_processors()) if name == LOCAL else read_device(name)


def read_prices(folder: Path | None = None, *, instances: Collection[str] | None = None) -> tuple[Price, ...]:
    """Return the list prices by the hour that come with advisor; `instances` asks for those of some machines alone."""
    return _with_sources("prices.csv", Price, folder, column="instance", only=instances)


def read_token_prices(folder: Path | None = None, *, models: Collection[str] | None = None) -> tuple[TokenPrice, ...]:
    """Return what models behind APIs cost by the token, those of the user's own book in the place of what comes with advisor.

    `models` asks for some of them alone.
    """
    shipped = _with_sources("token_prices.csv", TokenPrice, folder, column="model", only=models)
    book = user_folder() / "token_prices.csv"
    own = read_token_book(book) if folder is None and book.is_file() else ()
    asked = (entry for entry in (*shipped, *own) if models is None or entry.model in models)
    return tuple({(entry.provider, entry.model): entry for entry in asked}.values())


def read_token_price(name: str) -> TokenPrice:
    """Return what a model behind an API costs by the token; raise InputError for a name that is not in the price list."""
    found = next(iter(read_token_prices(models=(name,))), None)
    if found is None:
        names = [entry.model for entry in read_token_prices()]
        import difflib

        near = difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[:3]
        raise InputError(f"{name!r} is not in the price list of APIs", hint=f"for example: {', '.join(near)}")
    return found


def read_token_book(path: Path) -> tuple[TokenPrice, ...]:
    """Return the prices of a book that `advisor hardware prices --import` wrote."""
    names = TokenPrice.__struct_fields__
    return tuple(own_record({name: row.get(name) for name in names}, TokenPrice, path, line) for line, row in csv_rows(path))


def user_folder() -> Path:
    """Return where the user's price books are kept."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "serving-advisor"


def user_price_book() -> Path:
    """Return where the user's prices by the hour are kept."""
    return user_folder() / "prices.csv"


def read_carbon(folder: Path | None = None, *, places: Collection[str] | None = None) -> tuple[CarbonIntensity, ...]:
    """Return the carbon intensity of the grid, by country and by region of a cloud; `places` asks for some of them alone."""
    return _with_sources("carbon.csv", CarbonIntensity, folder, column="place", only=places)


def read_public_measurements(path: Path | None = None) -> PublicMeasurements:
    """Return what projections to devices that were not measured stand on; raise InputError where a publisher is not named."""
    with as_file(files("advisor.catalog").joinpath("projection.json")) as shipped:
        content = (path or shipped).read_bytes()
    public = msgspec.json.decode(content, type=PublicMeasurements)
    if bare := {entry.family for entry in public.series} - set(public.sources):
        raise InputError(f"{path or 'projection.json'}: no source of {', '.join(sorted(bare))}", hint="name it under `sources`")
    for machine in public.machines:
        _check_sources(machine, machine.id)
    return public


def read_acceptance_lengths(folder: Path | None = None) -> tuple[AcceptanceLength, ...]:
    """Return how many tokens steps give that verify a draft, of the models that it was measured of."""
    return _with_sources("acceptance_lengths.csv", AcceptanceLength, folder, column="model", only=None)


def read_distilled_pairs(folder: Path | None = None) -> tuple[DistilledPair, ...]:
    """Return the published pairs of a teacher and its student."""
    return _with_sources("distillation.csv", DistilledPair, folder, column="student", only=None)


def carbon_of(place: str, provider: str | None = None, folder: Path | None = None) -> CarbonIntensity | None:
    """Return the intensity of a provider's region or of a country; None where it is not known."""
    return next(
        (entry for entry in read_carbon(folder, places=(place,)) if provider is None or entry.provider in (None, provider)), None
    )


def age_days(day: str, now: str) -> int:
    """Return how many days lie between an ISO date and an ISO time; of a month or a year alone its first day is taken."""
    year, month, last = (*day.split("-"), "1", "1")[:3]
    return (date.fromisoformat(parse_moment(now)[:10]) - date(int(year), int(month), int(last))).days


def stale_days(prices: Iterable[Price], now: str) -> set[str]:
    """Return the days of those prices that are too old."""
    return {price.date for price in prices if is_stale(price.date, now)}


def is_stale(day: str, now: str) -> bool:
    """Return whether a price of that day is too old to be used without a word."""
    return age_days(day, now) > STALE_DAYS


def _with_sources(
    name: str, record_type: type[R], folder: Path | None, *, column: str, only: Collection[str] | None
) -> tuple[R, ...]:
    """Return the rows of a table of the catalog, `source` in words; raise InputError for a row without one.

    Where `only` some values of a column are asked for, no other row is looked at.
    """
    known = {row["id"]: row for _, row in _table("sources.csv", folder)}
    path = Path("advisor.catalog" if folder is None else folder, name)
    found = []
    for line, row in _table(name, folder):
        if only is not None and row[column] not in only:
            continue
        source = known.get(row.get("source", ""))
        if source is None or not source["what"] or not source["date"]:
            raise InputError(f"{path}: line {line}: no source", hint="name one of sources.csv, with what it is and its date")
        told = {"date": source["date"], **row, "source": f"{source['what']} ({source['licence']})"}
        found.append(row_record(told, record_type, path, line))
    return tuple(found)


def _table(name: str, folder: Path | None) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Return each line number and row of a table of the catalog, or of a folder in its place; the rows are not for changing."""
    return _shipped_table(name) if folder is None else tuple(csv_rows(folder / name))


@cache
def _shipped_table(name: str) -> tuple[tuple[int, dict[str, Any]], ...]:
    with as_file(files("advisor.catalog").joinpath(name)) as path:
        return tuple(csv_rows(path))


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line number and row of a CSV file with a header."""
    refuse_special(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise InputError(f"{path}: holds no header line", hint="write a header line, then one row per line")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}: line {reader.line_num}: the number of entries differs from the number of columns",
                        hint="check the commas",
                    )
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})", hint="write a header line, then one row per line") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file that you may read") from error


def row_record(row: dict[str, Any], record_type: type[R], path: Path, line: int) -> R:
    """Return a row as a record; what is empty is unknown."""
    try:
        return msgspec.convert({key: value or None for key, value in row.items()}, record_type, strict=False)
    except msgspec.ValidationError as error:
        fault, _, where = str(error).partition(" - at `$.")
        name = where.rstrip("`")
        value = f"{name}: {row[name]!r}: " if row.get(name) else f"{name}: " if name else ""
        raise InputError(f"{path}: line {line}: {value}{fault[:1].lower()}{fault[1:]}", hint="correct that line") from error


def own_record(row: dict[str, Any], record_type: type[R], path: Path, line: int) -> R:
    """Return a row of the user's as a record; beside what row_record refuses, its dates are days of the calendar."""
    made = row_record(row, record_type, path, line)
    for name in ("date", "deprecated"):
        day = getattr(made, name, None)
        if day is not None and not is_day(day):
            raise InputError(f"{path}: line {line}: {name}: {day!r} is no day of the calendar", hint="write it as 2026-11-22")
    return made


@cache
def schemes() -> tuple[Scheme, ...]:
    """Return the schemes of the catalog, in the order of their file names."""
    found = []
    for entry in sorted(files("advisor.catalog.schemes").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            with as_file(entry) as path:
                found.append(read_yaml(path, Scheme))
    return tuple(found)
