"""Numbers read together are those that Python reads, digit for digit; of an odd one nothing is claimed."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.traces.numbers import number, numbers, together
from advisor.traces.texts import texts_of

written = st.one_of(
    st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{0,20})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}[.,][0-9]{1,3}", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15).map(repr),
    st.integers(-(2**63), 2**63 - 1).map(str),
)
odd = st.text("0123456789.,-+eE_ infa", max_size=30)


def texts(of):
    content = "\n".join(of).encode()
    end = np.cumsum([len(each) + 1 for each in of]) - 1
    return texts_of(content, np.concatenate(([0], end[:-1] + 1)), end)


@settings(max_examples=100)
@given(st.lists(written, min_size=1, max_size=30), st.lists(odd, max_size=2), st.booleans())
def test_together_they_are_what_each_is_alone(plain, strange, decimal_comma):
    every = plain + strange
    expected = [number(each, decimal_comma=decimal_comma) for each in every]

    found = numbers(texts(every), decimal_comma=decimal_comma)

    if found is None:
        assert None in expected or any(not each or len(each) > 40 for each in every)
    else:
        np.testing.assert_array_equal(together(expected), found, strict=True)


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=30))
def test_a_float_that_python_writes_is_read_as_itself(values):
    np.testing.assert_array_equal(values, numbers(texts([repr(value) for value in values])))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_whole_numbers_of_64_bits_stay_whole(values):
    np.testing.assert_array_equal(np.array(values, np.int64), numbers(texts(list(map(str, values)))), strict=True)


@pytest.mark.parametrize("digits", range(15, 20))
def test_of_many_decimals_every_one_is_rounded_as_python_rounds_it(digits):
    random = np.random.default_rng(digits)
    drawn = random.integers(0, 10**9, (20_000, 3))
    behind = random.integers(digits - 14, digits, 20_000)
    whole = ["".join(f"{part:09d}" for part in row)[:digits] for row in drawn]
    every = [f"{each[:-point]}.{each[-point:]}" for each, point in zip(whole, behind.tolist(), strict=True)]

    np.testing.assert_array_equal([float(each) for each in every], numbers(texts(every)))


@given(st.floats(1.0, 2.0**30), st.integers(-2, 2))
def test_what_lies_halfway_between_two_floats_is_rounded_as_python_rounds_it(value, beside):
    halfway = (Decimal(value) + Decimal(float(np.nextafter(value, np.inf)))) / 2
    digits = f"{halfway:.60f}".replace(".", "")[:18]
    point = len(str(int(halfway)))
    text = f"{int(digits) + beside:018d}"

    every = [f"{text[:point]}.{text[point:]}"]

    assert [float(every[0])] == numbers(texts(every)).tolist()
