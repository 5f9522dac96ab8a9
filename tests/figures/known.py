"""What a report may print: each figure of the record behind it in its printed form, and what is worked out of them, by name."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from advisor import units
from advisor.decide.lifetime.opportunities import about
from advisor.schema.record import Estimate
from advisor.tell.words.figures import as_text, figure
from tests.figures.reading import read

Format = Callable[[float], str]


def per_day(value: float) -> str:
    """Return a rate a second as rules and flips have it."""
    return f"{units.per_day(value)} requests a day"


SHARES: tuple[Format, ...] = (units.percent, units.proportion, units.share, units.points)
# How a field is printed, by its name: the first that fits.
FORMATS: tuple[tuple[str, tuple[Format, ...]], ...] = (
    (r"usd_per_hour", (units.usd_per_hour, units.usd)),
    (r"usd_per_month", (units.usd_per_month, units.usd)),
    (r"usd_per_year", (units.usd_per_year, units.usd)),
    (r"usd", (units.usd,)),
    (r"joules|energy_j", (units.joules,)),
    (r"grams", (units.grams,)),
    (r"kwh", (units.kilowatt_hours,)),
    (r"_kg$", (units.kilograms,)),
    (r"bytes", (units.size,)),
    (r"days$", (units.engineer_days,)),
    (r"months$", (units.months,)),
    (r"_per_s$", (units.rate, per_day)),
    (r"fraction|share|drop|retention|agreement|acceptance|quality|confidence|noise|goodput|growth|decline|discount", SHARES),
    (r"(?:^|_)(?:speedup|ratio|factor)(?:$|_)", (units.ratio,)),
    (r"_s$|^p\d+$|^slo$", (units.seconds,)),
)
ANY: tuple[Format, ...] = (units.number, units.plain, *SHARES, units.ratio)


class Leaf(NamedTuple):
    """A figure of a record: where it stands, the name of its field, and its value."""

    path: str
    field: str
    value: Estimate | float | str


def leaves(it: object, path: str = "", field: str = "") -> Iterator[Leaf]:
    """Yield all that a record holds."""
    if isinstance(it, Estimate | str):
        yield Leaf(path, field, it)
    elif isinstance(it, bool) or it is None:
        return
    elif isinstance(it, int | float):
        yield Leaf(path, field, float(it))
    elif isinstance(it, Struct):
        for name in it.__struct_fields__:
            # What is given with its range bears the name of what holds it.
            yield from leaves(getattr(it, name), f"{path}.{name}", field if name in {"value", "low", "high"} else name)
    elif isinstance(it, dict):
        for name, value in it.items():
            yield from leaves(value, f"{path}[{name}]", str(name) if isinstance(value, Struct) else field)
    elif isinstance(it, tuple | list | frozenset):
        for number, value in enumerate(it):
            yield from leaves(value, f"{path}[{number}]", field)


def formats_of(field: str) -> tuple[Format, ...]:
    """Return what prints a field."""
    return next((formats for pattern, formats in FORMATS if re.search(pattern, field)), ANY)


class Known:
    """The printed forms of figures, and where each comes from."""

    def __init__(self) -> None:
        self.estimates: defaultdict[str, set[str]] = defaultdict(set)
        self.figures: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, name: str, value: Estimate | float, formats: Iterable[Format]) -> None:
        """Let a figure be printed in these formats; of an estimate its ends by themselves, too."""
        for format_ in formats:
            if isinstance(value, Estimate):
                self.estimates[as_text(figure(value, format_))].add(name)
                ends = units.ends(value.low, value.high, format_)
                self.estimates[f"{ends} ({value.basis})"].add(name)
                for end in (value.low, value.value, value.high):
                    self._one(name, end, format_)
            else:
                self._one(name, value, format_)

    def _one(self, name: str, value: float, format_: Format) -> None:
        self.figures[format_(value)].add(name)
        if "$" in format_(1.0):
            suffix = format_(1.0).removeprefix("$1.00")
            self.figures[f"{about(value)}{suffix}"].add(f"{name}, to two digits")

    def record(self, it: object) -> None:
        """Let every figure of a record be printed."""
        for leaf in leaves(it):
            if not isinstance(leaf.value, str):
                self.add(leaf.path, leaf.value, formats_of(leaf.field))

    def quoted(self, name: str, text: str) -> None:
        """Let what stands in a text that others wrote be printed."""
        for shown in read(text).figures:
            self.figures[shown].add(name)
