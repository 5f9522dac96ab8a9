"""The only place where a number changes its unit: text to base units on the way in, base units to text on the way out."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from advisor.errors import InputError

# The last word of a field's name is its unit; the table gives what users may write for it. SI for flop, IEC and SI for bytes.
SCALES: dict[str, dict[str, float]] = {
    "s": {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "months": {"months": 1.0, "month": 1.0, "years": 12.0, "year": 12.0},
    "requests_per_s": {
        "/s": 1.0,
        "rps": 1.0,
        "qps": 1.0,
        "/min": 1 / 60,
        "/h": 1 / 3600,
        "/day": 1 / 86400,
        "k/s": 1e3,
        "k/day": 1e3 / 86400,
        "M/day": 1e6 / 86400,
    },
    "usd": {"usd": 1.0, "$": 1.0, "k$": 1e3, "kusd": 1e3, "k": 1e3, "M$": 1e6, "Musd": 1e6, "M": 1e6},
    "usd_per_hour": {"/h": 1.0, "/hour": 1.0, "usd/h": 1.0, "$/h": 1.0, "/day": 1 / 24, "/month": 1 / 730, "usd/month": 1 / 730},
    "usd_per_month": {"/month": 1.0, "usd/month": 1.0, "$/month": 1.0, "$": 1.0, "usd": 1.0, "k$": 1e3, "kusd": 1e3},
    "fraction": {"%": 0.01},
    "tokens": {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
    "parameters": {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
    "tokens_per_s": {"/s": 1.0, "k/s": 1e3, "M/s": 1e6, "/min": 1 / 60},
    "labels": {"k": 1e3, "M": 1e6},
    "bytes": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "bytes_per_s": {"GB/s": 1e9, "TB/s": 1e12},
    "flop_per_s": {"GFLOP/s": 1e9, "TFLOP/s": 1e12},
    "flop": {"MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12},
    "watts": {"W": 1.0, "kW": 1e3},
    "joules_per_request": {"mJ": 1e-3, "J": 1.0, "kJ": 1e3},
    "days": {"day": 1.0, "days": 1.0, "weeks": 7.0},
}
# Fields whose unit is not the end of their name.
UNIT_OF_FIELD = {
    "acceptance": "fraction",
    "discount_per_year": "fraction",
    "domain_shift": "fraction",
    "energy_j_per_output_token": "joules_per_request",
    "flop_per_request": "flop",
    "growth_per_month": "fraction",
    "hardware_price_decline_per_year": "fraction",
    "kv_bytes_per_token": "bytes",
    "labels_available": "labels",
    "labels_per_release": "labels",
    "labels_to_buy": "labels",
    "max_decrease": "fraction",
    "max_drop": "fraction",
    "max_increase": "fraction",
    "max_slice_drop": "fraction",
    "price_decline_per_year": "fraction",
    "quality": "fraction",  # of the metrics between 0 and 1; others are plain numbers
    "quality_gap": "fraction",
    "quantile": "fraction",
    "reserved_discount": "fraction",
    "spot_discount": "fraction",
    "throughput_items_per_s": "requests_per_s",
    "token_price_decline_per_year": "fraction",
    "unit_growth_per_month": "fraction",
    "usd_per_kwh": "usd",
    "usd_per_label": "usd",
    "usd_per_quality_point_per_year": "usd",
    "validation_usd_per_release": "usd",
}
LARGEST = 1e15  # and its inverse the smallest: products of a few such numbers are still numbers
LARGEST_OF = {
    "bytes": 1e21,
    "bytes_per_s": 1e21,
    "flop_per_s": 1e21,
    "flop": 1e21,
    "tokens": 1e21,
    "parameters": 1e21,
}  # of what chips do in a second there is more
LONGEST_QUOTED = 40  # characters of a wrong text that an error repeats
HOURS_PER_MONTH = 730.0  # 365 * 24 / 12
HOURS_PER_YEAR = 8760.0
SECONDS_PER_DAY = 86400.0
DAYS_PER_MONTH = 365 / 12
LEAST_DIFFERENCE = 5e-6  # between two shares: what prints as less than 0.001 pp comes of 32-bit arithmetic, or matters to nobody

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+(?:[_ ]\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*\Z")


def unit_of(field: str) -> str | None:
    """Return the key of SCALES that the field's name ends in, or None for a bare number."""
    if field in UNIT_OF_FIELD:
        return UNIT_OF_FIELD[field]
    fitting = [unit for unit in SCALES if field == unit or field.endswith("_" + unit)]
    return max(fitting, key=len, default=None)


def parse_quantity(text: str, unit: str | None) -> float:
    """Return `text` ("50 ms", "40 /s", "5 %", "1e-3") in base units; a text without a unit is in base units already."""
    scale = SCALES[unit] if unit else {}
    way_out = f"write a number, or a number and one of: {', '.join(scale)}" if scale else "write a plain number"
    match = _QUANTITY.match(text)
    quoted = repr(text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…")
    if match is None or (match[2] and match[2] not in scale):
        raise InputError(f"cannot read {quoted} as a quantity", hint=way_out)
    value = float(re.sub("[_ ]", "", match[1])) * (scale[match[2]] if match[2] else 1.0)
    largest = LARGEST_OF.get(unit or "", LARGEST)
    if value != 0 and not 1 / LARGEST <= abs(value) <= largest:
        raise InputError(f"{quoted} is out of range", hint=f"{way_out}; between {1 / LARGEST:g} and {largest:g}")
    return value


def parse_moment(text: str) -> str:
    """Return an ISO 8601 time in its extended form, which is how records hold it; raise InputError for what is no time.

    A date alone is its midnight.
    """
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError as error:
        said = repr(text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…")
        raise InputError(f"{said} is not a time", hint="write it as 2026-11-22T08:00:00+00:00") from error


def moment_s(text: str) -> float:
    """Return a time as records hold it in seconds since 1970; one without a zone is taken as UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def is_day(text: str) -> bool:
    """Return whether a text is a day of the calendar, as 2026-11-22 is."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _significant(value: float, digits: int = 3) -> str:
    """Return `value` with so many significant digits, thousands grouped, never in exponent form, no zeros that were not asked for."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    # Rounding first keeps 0.99996 s from being printed as "1,000 ms".
    rounded = abs(float(f"{value:.3g}"))
    scale, suffix = next((step for step in steps if rounded >= step[0]), steps[-1])
    return f"{_significant(value / scale)} {suffix}"


def seconds(value: float) -> str:
    """Return a duration as people say it: "17.3 ms", "2.5 s", "3.2 min"."""
    if abs(value) < 120:
        return _scaled(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")))
    return _scaled(value, ((3600.0, "h"), (60.0, "min")))


def size(value: float) -> str:
    """Return bytes in decimal multiples: "90.4 MB"."""
    return _scaled(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))


def count(value: float) -> str:
    """Return a large count: "22.6 M"."""
    return _scaled(value, ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))).rstrip()


def flop(value: float) -> str:
    """Return an amount of arithmetic: "22.6 GFLOP", "528 FLOP"."""
    return _scaled(value, ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP"), (1.0, "FLOP")))


def usd(value: float) -> str:
    """Return money: "$0.34", "$1,234", "-$12"."""
    sign = "-" if value < 0 else ""
    magnitude = abs(value)
    if magnitude >= 100 or magnitude == 0:
        return f"{sign}${magnitude:,.0f}"
    return f"{sign}${magnitude:.2f}" if magnitude >= 0.0995 else f"{sign}${_significant(magnitude, 2)}"


def percent(value: float) -> str:
    """Return a fraction as a percentage with two significant digits: "3.1 %"."""
    return f"{_significant(100 * value, 2 if abs(value) < 0.1 else 3)} %"


def joules(value: float) -> str:
    """Return energy: "1.2 J", "3.4 kJ"."""
    return _scaled(value, ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ")))


def grams(value: float) -> str:
    """Return a mass: "120 g", "1.2 kg"."""
    return _scaled(value, ((1e6, "t"), (1e3, "kg"), (1.0, "g")))


def kilograms(value: float) -> str:
    """Return a mass that is given in kilograms: "1.2 t"."""
    return grams(value * 1000.0)


def kilowatt_hours(value: float) -> str:
    """Return energy as a bill has it: "15,000 kWh"."""
    return f"{_significant(value)} kWh"


def number(value: float) -> str:
    """Return a plain number with three significant digits."""
    return _significant(value)


def plain(value: float) -> str:
    """Return a figure of any size: "0.2", "1,155", "8 G", in exponent form where it is smaller than people write."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.3g}"
    return count(value) if abs(value) >= 1e6 else _significant(value)


def rate(value: float) -> str:
    """Return requests or items a second: "40 /s"."""
    return f"{_significant(value)} /s"


def ratio(value: float) -> str:
    """Return a speed-up: "2.31×"."""
    return f"{value:.2f}×"


def usd_per_hour(value: float) -> str:
    """Return money an hour: "$0.34/h"."""
    return f"{usd(value)}/h"


def usd_per_month(value: float) -> str:
    """Return money a month: "$248/month"."""
    return f"{usd(value)}/month"


def usd_per_year(value: float) -> str:
    """Return money a year: "$2,978/year"."""
    return f"{usd(value)}/year"


def proportion(value: float) -> str:
    """Return a fraction near one as "99.97 %", cut and not rounded, so that only the whole reads 100 %."""
    # Rounding to nine digits first undoes the binary representation: 0.29 * 10,000 is 2,899.9999999999995.
    return f"{math.floor(round(value * 1e4, 9)) / 100:g} %"


def share(value: float) -> str:
    """Return a fraction as a metric has it: "86.4 %"; with more digits near the whole, so that what `points` shows of it shows here."""
    missing = abs(1.0 - value)
    if missing < LEAST_DIFFERENCE:
        return "100 %"
    return f"{round(100 * value, 4 if missing < 1e-4 else 2):g} %"


def points(value: float) -> str:
    """Return a difference of two fractions in percentage points: "0.31 pp"; what only arithmetic in 32 bits leaves is none."""
    if abs(value) < LEAST_DIFFERENCE:
        return "0 pp"
    return f"{_significant(100 * value, 2 if abs(value) < 0.1 else 3)} pp"


def similarity(value: float) -> str:
    """Return a cosine with enough digits to distinguish near-equal outputs: "0.99312"."""
    return f"{value:.5f}"


def quantile(value: float) -> str:
    """Return a quantile by its usual name: "p99", "p99.9"."""
    return f"p{100 * value:.6g}"


def counted(amount: int, word: str) -> str:
    """Return a count with its noun: "1 replica", "1,200 samples"."""
    return f"{amount:,} {word}" if amount == 1 else f"{amount:,} {word}s"


def moment(text: str) -> str:
    """Return an ISO 8601 time to the minute: "2026-11-22 07:43 UTC"."""
    when = datetime.fromisoformat(text)
    return f"{when:%Y-%m-%d %H:%M} {when:%Z}".rstrip()


def per_day(value: float) -> str:
    """Return a rate a second as a count a day: "41,000"."""
    return f"{float(f'{value * SECONDS_PER_DAY:.3g}'):,.10g}"


def months(value: float) -> str:
    """Return a span of months as people say it: "9 days", "4.2 months", "2.5 years"."""
    if value < 1:
        return f"{_significant(value * DAYS_PER_MONTH, 2)} days"
    return f"{_significant(value, 2)} months" if value < 24 else f"{_significant(value / 12, 2)} years"


def engineer_days(value: float) -> str:
    """Return work: "3 engineer days"."""
    return f"{_significant(value, 2)} engineer days"


def work_of(value: float, low: float, high: float) -> str:
    """Return work with its interval, in a sentence: "3 engineer days (1.5 to 6)"."""
    return f"{engineer_days(value)} ({_significant(low, 2)} to {_significant(high, 2)})"


def date_after(moment_: str, days: float) -> str | None:
    """Return the ISO date so many days after an ISO 8601 time; None where it lies beyond all calendars."""
    try:
        return (datetime.fromisoformat(moment_) + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return None


def days_between(moment_: str, date: str) -> float:
    """Return the days from an ISO 8601 time to an ISO date, below 0 where that is past."""
    return float((datetime.fromisoformat(date[:10]).date() - datetime.fromisoformat(moment_).date()).days)


def ends(low: float, high: float, format_: Callable[[float], str]) -> str:
    """Return an interval by itself: "38.1 ms to 46.2 ms", one figure where both ends print the same."""
    return format_(low) if format_(low) == format_(high) else f"{format_(low)} to {format_(high)}"


def _number_and_unit(text: str) -> tuple[str, str]:
    unit = text.lstrip("-$.,0123456789")
    return text.removesuffix(unit), unit


def interval(value: float, low: float, high: float, format_: Callable[[float], str]) -> str:
    """Return the ends of an interval around `value`, without the unit where it is that of the value: "38.1–46.2", "fixed"."""
    if low == high:
        return "fixed"
    (low_number, low_unit), (high_number, high_unit) = _number_and_unit(format_(low)), _number_and_unit(format_(high))
    _, unit = _number_and_unit(format_(value))
    dash = " to " if low < 0 else "–"
    if low_unit != high_unit:
        return f"{low_number}{low_unit}{dash}{high_number}{high_unit}"
    return f"{low_number}{dash}{high_number}" if high_unit == unit else f"{low_number}{dash}{high_number}{high_unit}"
