"""Advice and profiles as CSV: a line for each configuration or measured point, every estimate with both ends of its interval."""

import csv
import io
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

import msgspec

from advisor.inert.text import inert_cell
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import DecodePoint, GenerationAdvice, GenerationProfile, MixedPoint, PrefillPoint, StepVisit
from advisor.schema.language import LanguageAdvice
from advisor.schema.profile import Profile, Visit
from advisor.schema.record import Estimate
from advisor.tell.generation.naming import roles as generation_roles
from advisor.tell.language.naming import roles as language_roles
from advisor.tell.options import options

Row = dict[str, object]
Point = PrefillPoint | DecodePoint | MixedPoint
Source = Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice | Profile | GenerationProfile
# Of these a row has a figure for every batch size or draw, and no cell.
LEFT_OUT = {"batch_size_shares", "changes"}


def table(document: Source) -> str:
    """Return the frontier of advice with everything else that it names, or the measured points of a profile."""
    rows = list(_measurements(document) if isinstance(document, Profile | GenerationProfile) else _configurations(document))
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def columns_of(text: str) -> tuple[str, ...]:
    """Return the names of the columns of a table."""
    return tuple(next(csv.reader(io.StringIO(text, newline="")), ()))


def _configurations(advice: Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice) -> Iterator[Row]:
    if isinstance(advice, Advice):
        for it in options(advice):
            yield {"role": "; ".join(it.roles), "on_frontier": it.on_frontier, **flat(it.prediction)}
        return
    if isinstance(advice, GenerationAdvice):
        named: Iterable[tuple[str, Any]] = generation_roles(advice)
    elif isinstance(advice, LanguageAdvice):
        named = language_roles(advice)
    else:
        found = (("recommended", advice.recommended), ("nearest miss", advice.nearest_miss), *(("", it) for it in advice.others))
        named = ((role, it) for role, it in found if it is not None)
    for role, prediction in named:
        yield {"role": role, **flat(prediction)}


def _measurements(profile: Profile | GenerationProfile) -> Iterator[Row]:
    if isinstance(profile, Profile):
        for site in profile.sites:
            for it in site.measurements:
                calls = [call for visit in it.visits for call in visit.latency_s]
                yield {"site": site.hardware.id, **flat(it), **_calls("latency_s", it.visits, calls)}
        return
    for place in profile.sites:
        points: tuple[Point, ...] = (*place.prefill, *place.decode, *place.mixed)
        for point in points:
            yield {"site": place.hardware.id, "step": _step(point), **flat(point), **_steps(point.visits)}


def _step(point: Point) -> str:
    return {PrefillPoint: "prefill", DecodePoint: "decode", MixedPoint: "mixed"}[type(point)]


def _steps(visits: tuple[StepVisit, ...]) -> Row:
    cpu = [step for visit in visits for step in visit.cpu_s]
    wall = [step for visit in visits for step in visit.wall_s]
    return {**_calls("wall_s", visits, wall), "cpu_s_median": median(cpu)}


def _calls(name: str, visits: tuple[Visit, ...] | tuple[StepVisit, ...], calls: list[float]) -> Row:
    return {
        "visits": len(visits),
        "calls": len(calls),
        f"{name}_median": median(calls) if calls else None,
        f"{name}_least": min(calls, default=None),
        f"{name}_most": max(calls, default=None),
    }


def flat(record: msgspec.Struct, before: str = "") -> Row:
    """Return the fields of a record, those of records in it under their own names, an estimate as its value and both ends."""
    row: Row = {}
    for name in record.__struct_fields__:
        value, key = getattr(record, name), f"{before}{name}"
        if isinstance(value, Estimate):
            row |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high, f"{key}_basis": value.basis}
        elif isinstance(value, msgspec.Struct):
            row |= flat(value, f"{before}{'' if name in ('candidate', 'deployment', 'times') else f'{name}_'}")
        elif not isinstance(value, tuple | dict) and name not in LEFT_OUT:
            row[key] = value
    return row


def _cell(value: object) -> object:
    """Return what a cell holds: nothing for what is not known, and no text that a spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return inert_cell(value) if isinstance(value, str) else "" if value is None else repr(value)
