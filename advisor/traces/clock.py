"""Times by the clock -> microseconds since 1970: one by one as Python reads them, and many at once with the same result."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from advisor.traces.texts import Texts

SHORTEST, LONGEST = len("2026-11-22T08:00:00"), len("2026-11-22T08:00:00.123456789+00:00")
FRACTION_DIGITS = 9  # that are looked at together
MICROSECOND_DIGITS = 6  # as far as Python goes; it drops what is beyond
US_PER_S = 1_000_000
NAIVE_1970, AWARE_1970 = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)


class Moment(NamedTuple):
    """A time in microseconds since 1970, and whether it has its zone."""

    us: int
    has_zone: bool


class Moments(NamedTuple):
    """Times (times,) in microseconds since 1970, and whether they have their zones: all or none of them."""

    us: np.ndarray
    have_zones: bool


def moment(text: str) -> Moment | None:
    """Return the time that a text says; None where it says none."""
    text = re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", text.removesuffix(" UTC") + ("Z" if text.endswith(" UTC") else ""))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    has_zone = when.tzinfo is not None
    return Moment((when - (AWARE_1970 if has_zone else NAIVE_1970)) // timedelta(microseconds=1), has_zone)


def moments(texts: Texts) -> Moments | None:
    """Return what `moment` returns for each text; None where one is written in a rarer way, or some have a zone and others none."""
    width = texts.width
    if not len(width) or int(width.min()) < SHORTEST or int(width.max()) > LONGEST:
        return None
    at_day, is_day = _days(texts)
    at_time, is_time = _time_us(texts)
    fraction_us, end, is_fraction = _fraction_us(texts, width)
    zone_us, has_zone, is_zone = _zone_us(texts, end, width - end)
    if not (is_day & is_time & is_fraction & is_zone).all() or has_zone.any() != has_zone.all():
        return None
    return Moments(at_day * (86_400 * US_PER_S) + at_time + fraction_us - zone_us, bool(has_zone[0]))


def _digits(texts: Texts, place: int | np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number (texts,) that so many digits from a place on make, and whether all are digits."""
    found, are_digits = np.zeros(len(texts.start), np.int64), np.ones(len(texts.start), dtype=bool)
    for step in range(count):
        digit = texts.at(place + step) - np.uint8(ord("0"))
        are_digits &= digit <= 9
        found = found * 10 + digit
    return found, are_digits


def _days(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Return the days from 1970 to the date (texts,), and whether there is such a date."""
    (year, is_year), (month, is_month), (day, is_day) = (
        _digits(texts, place, count) for place, count in ((0, 4), (5, 2), (8, 2))
    )
    dashes = texts.at(4)
    is_date = is_year & is_month & is_day & (texts.at(7) == dashes) & ((dashes == ord("-")) | (dashes == ord("/")))
    is_date &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(is_date, (year - 1970) * 12 + month - 1, 0)
    first, after = (of.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for of in (months, months + 1))
    return first + day - 1, is_date & (day <= after - first)


def _time_us(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Return the microseconds of the day at the whole second (texts,), and whether there is such a second."""
    (hour, is_hour), (minute, is_minute), (second, is_second) = (_digits(texts, place, 2) for place in (11, 14, 17))
    between = texts.at(10)
    is_time = is_hour & is_minute & is_second & ((between == ord("T")) | (between == ord(" ")))
    is_time &= (texts.at(13) == ord(":")) & (texts.at(16) == ord(":")) & (hour <= 23) & (minute <= 59) & (second <= 59)
    return ((hour * 60 + minute) * 60 + second) * US_PER_S, is_time


def _fraction_us(texts: Texts, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the microseconds beyond the second (texts,), the place behind them, and whether they are digits, nine at the most."""
    point = texts.at(SHORTEST)
    has_point = (width > SHORTEST) & ((point == ord(".")) | (point == ord(",")))
    us, count, goes_on = np.zeros(len(width), np.int64), np.zeros(len(width), np.int64), has_point.copy()
    for step in range(FRACTION_DIGITS + 1):
        place = SHORTEST + 1 + step
        digit = texts.at(place) - np.uint8(ord("0"))
        goes_on &= (digit <= 9) & (place < width)
        if step < MICROSECOND_DIGITS:
            us = us * 10 + np.where(goes_on, digit, 0)
        count += goes_on
    is_right = ~has_point | ((count >= 1) & (count <= FRACTION_DIGITS))
    return us, SHORTEST + has_point + count, is_right


def _zone_us(texts: Texts, place: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far the clock is ahead of UTC (texts,), whether a zone stands at the place with so many characters, and if one may."""
    sign = texts.at(place)
    is_utc = (left == 1) & (sign == ord("Z"))
    spelled = left == len(" UTC")
    for step, letter in enumerate(b" UTC"):
        spelled &= texts.at(place + step) == letter
    (hours, are_hours), (minutes, are_minutes) = _digits(texts, place + 1, 2), _digits(texts, place + 4, 2)
    is_offset = (left == len("+05:30")) & ((sign == ord("+")) | (sign == ord("-"))) & (texts.at(place + 3) == ord(":"))
    is_offset &= are_hours & are_minutes & (hours <= 23) & (minutes <= 59)
    ahead_us = (hours * 60 + minutes) * 60 * US_PER_S
    zone_us = np.where(is_offset, np.where(sign == ord("-"), -ahead_us, ahead_us), 0)
    has_zone = is_utc | spelled | is_offset
    return zone_us, has_zone, has_zone | (left == 0)
