"""Texts -> numbers: one by one as Python reads them, and many at once with the same result, or none where one of them is odd."""

import re

import numpy as np

from advisor.traces.texts import Texts
from advisor.units import LARGEST

WIDEST = 40  # characters of a number
MOST_DIGITS = 19  # that always fit into 64 bits
EXACT = 1 << 53  # up to which every whole number is a float
LARGEST_SPLIT = 1 << 62  # below which digits are two floats
SPLIT = float((1 << 27) + 1)
NEAR = 2.0**-20  # a hundred million times the error of a quotient of two floats by two
TENS = np.array(
    [float(f"1e{power}") for power in range(MOST_DIGITS + 1)]
)  # all of them floats, which a power of 10.0 need not be
POINT, COMMA, MINUS, ZERO = b".,-0"


def is_number(text: str) -> bool:
    """Return whether Python takes a text for a number, be it a useful one or not."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def number(text: str, *, decimal_comma: bool = False) -> int | float | None:
    """Return a whole number of 64 bits as such, any other as a float; None for what is neither, or far too large."""
    if decimal_comma:
        text = with_point(text)
    try:
        whole = int(text)
    except ValueError:
        pass
    else:
        return whole if -(2**63) <= whole < 2**63 else None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def with_point(text: str) -> str:
    """Return a number with its decimal comma as a point; where commas do not separate columns, many countries write one."""
    return re.sub(r"^(\d+),(\d+)$", r"\1.\2", text)


def together(values: list[int | float]) -> np.ndarray:
    """Return numbers (numbers,) as whole ones if all are, else as floats."""
    return np.array(values, dtype=np.int64 if all(isinstance(value, int) for value in values) else np.float64)


def numbers(texts: Texts, *, decimal_comma: bool = False) -> np.ndarray | None:
    """Return what `number` returns for each text, as `together` has them; None where one of them is no number.

    Digits behind a point are divided by their power of ten, rounded once as Python does; what that leaves open is read one by one.
    """
    width = texts.width
    if not len(width) or int(width.min()) < 1 or int(width.max()) > WIDEST:
        return None
    digits_of, count, behind, points, is_usual = _digits(texts, width, decimal_comma)
    is_whole = points == 0
    values, is_sure = _quotients(digits_of, TENS[np.minimum(behind, MOST_DIGITS)])
    is_usual &= np.where(is_whole, digits_of < LARGEST_SPLIT, is_sure) & (count > 0)
    is_negative = texts.at(0) == MINUS
    values[is_negative] *= -1
    wholes = digits_of.astype(np.int64)
    wholes[is_negative] *= -1
    for place in np.flatnonzero(~is_usual).tolist():
        value = number(texts.text(place), decimal_comma=decimal_comma)
        if value is None:
            return None
        values[place] = value
        is_whole[place] = isinstance(value, int)
        if is_whole[place]:
            wholes[place] = value
    if is_whole.all():
        return wholes
    return values if (np.abs(values) <= LARGEST)[~is_whole].all() else None


def _quotients(digits_of: np.ndarray, tens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return digits over a power of ten (numbers,), and of which the rounding is sure to be right.

    Digits that are a float are divided by one, and a quotient of two floats is rounded once (Clinger 1990). Others are two floats, as is
    their quotient, with twice the digits (Dekker 1971); only where it lies as good as halfway between two floats is the nearest not sure.
    """
    is_small = digits_of < LARGEST_SPLIT
    kept = np.where(is_small, digits_of, 0).astype(np.int64)
    high = kept.astype(np.float64)
    low = (kept - high.astype(np.int64)).astype(np.float64)
    quotient = high / tens
    product, error = _product(quotient, tens)
    more = (((high - product) - error) + low) / tens
    value = quotient + more
    half = np.spacing(value) / 2
    is_near = np.abs(np.abs(more - (value - quotient)) - half) <= half * NEAR
    # The floats below a power of two lie closer together.
    is_sure = is_small & ((kept <= EXACT) | ~(is_near | (np.frexp(value)[0] == 0.5)))
    return np.where(kept <= EXACT, quotient, value), is_sure


def _product(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the product of floats, and exactly what its rounding left out."""
    product = one * other
    (one_high, one_low), (other_high, other_low) = _halves(one), _halves(other)
    return product, ((one_high * other_high - product) + one_high * other_low + one_low * other_high) + one_low * other_low


def _halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two floats of half the digits that together are each value."""
    large = values * SPLIT
    high = large - (large - values)
    return high, values - high


def _digits(
    texts: Texts, width: np.ndarray, decimal_comma: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return of each text its digits as one number, how many they are, how many stand behind the point, its points, and if that is all."""
    found = np.zeros(len(width), np.uint64)
    count, behind, points = (np.zeros(len(width), np.int16) for _ in range(3))
    is_usual = np.ones(len(width), dtype=bool)
    has_comma = np.zeros(len(width), dtype=bool)
    for place in range(int(width.max())):
        inside, char = place < width, texts.at(place)
        digit = char - np.uint8(ZERO)
        is_digit = (digit <= 9) & inside
        found = np.where(is_digit, found * np.uint64(10) + digit, found)
        count += is_digit
        behind += is_digit & (points > 0)
        is_comma = inside & (char == COMMA)
        is_point = inside & (char == POINT)
        is_sign = inside & (char == MINUS) if place == 0 else np.zeros(len(width), dtype=bool)
        if decimal_comma:
            # As with_point has it: digits on either side, and no sign.
            is_usual &= ~(is_comma & ((count == 0) | (width == place + 1)))
            has_comma |= is_comma
            is_point = is_point | is_comma
        points += is_point
        is_usual &= ~inside | is_digit | is_point | is_sign
    is_usual &= (points <= 1) & (count <= MOST_DIGITS) & ~(has_comma & (texts.at(0) == MINUS))
    return found, count, behind, points, is_usual
