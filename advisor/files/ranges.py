"""What a planned life may not say of its intervals and its growth: an end that the figure itself could not be, and more than there is."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from advisor.decide.lifetime.given import SECTIONS
from advisor.files.keys import record_in
from advisor.schema.workload import Lifecycle, Traffic
from advisor.units import LARGEST, plain

MAX_HORIZON_MONTHS = 600


def faults(life: Lifecycle, traffic: Traffic | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, its key first, and the way out."""
    kinds = _kinds()
    for name, (low, high) in life.ranges.items():
        key = f"lifecycle.ranges.{name}"
        if low > high:
            yield f"{key}: {plain(low)} is above {plain(high)}", "write [low, high]"
        for end in (low, high):
            fault = _fault(end, kinds[name]) if name in kinds else None
            if fault is not None:
                yield f"{key}: {plain(end)}: {fault}", f"both ends must be such as {name} itself may be"
    yield from _of_growth(life, traffic)


def _of_growth(life: Lifecycle, traffic: Traffic | None) -> Iterator[tuple[str, str]]:
    months, growth = (
        _highest(life, "horizon_months", life.horizon_months),
        _highest(life, "growth_per_month", life.growth_per_month),
    )
    now = traffic.requests_per_s if traffic is not None and traffic.requests_per_s is not None else 1.0
    rate = _highest(life, "requests_per_s", now)
    if months > MAX_HORIZON_MONTHS:
        key = "lifecycle.horizon_months" if life.horizon_months > MAX_HORIZON_MONTHS else "lifecycle.ranges.horizon_months"
        yield f"{key}: {months:,} is more than {MAX_HORIZON_MONTHS:,}", "plan for at most fifty years"
    elif growth > 0 and math.log(rate) + months * math.log1p(growth) > math.log(LARGEST):
        yield (
            f"lifecycle.growth_per_month: {growth:.3g} a month for {months:g} months is more traffic than there is on earth",
            "give a growth that lasts as long as lifecycle.horizon_months",
        )


def _highest(life: Lifecycle, name: str, value: float) -> float:
    return max(value, *life.ranges.get(name, (value,)))


@cache
def _kinds() -> dict[str, Any]:
    """Return what each figure may be, by its key: of no two parts is one the same."""
    found: dict[str, Any] = {"requests_per_s": _kind_of(Traffic, "requests_per_s")}
    parts = {field.name: field.type for field in msgspec.structs.fields(Lifecycle)}
    for kind in (Lifecycle, *(record_in(parts[name]) for name in (*SECTIONS, "situation", "options"))):
        found |= {field.name: field.type for field in msgspec.structs.fields(kind)} if kind is not None else {}
    return found


def _kind_of(record: Any, name: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(record) if field.name == name)


def _fault(end: float, kind: Any) -> str | None:
    try:
        msgspec.convert(int(end) if end.is_integer() else end, kind)
    except msgspec.ValidationError as error:
        return f"{str(error)[:1].lower()}{str(error)[1:]}"
    return None
