"""Times by the clock read together are those that Python reads."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.traces.clock import moment, moments
from tests.traces.test_numbers import texts

FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f0", "%Y-%m-%dT%H:%M:%S,%f")
ZONES = ("", "Z", " UTC", "+05:30", "-11:00", "+00:00")
whens = st.datetimes(min_value=datetime(1000, 1, 1))
odd = st.from_regex(
    r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{0,11})?(Z|z| UTC|[+-][0-9]{2}:?[0-9]{2})?",
    fullmatch=True,
)


@settings(max_examples=100)
@given(st.lists(whens, min_size=1, max_size=20), st.sampled_from(FORMS), st.sampled_from(ZONES))
def test_usual_times_are_read_together(values, form, zone):
    every = [value.strftime(form) + zone for value in values]

    found = moments(texts(every))

    assert bool(zone) == found.have_zones
    assert [moment(each).us for each in every] == found.us.tolist()


@settings(max_examples=100)
@given(st.lists(odd, min_size=1, max_size=3))
def test_what_is_read_together_is_what_each_is_alone(every):
    expected, found = [moment(each) for each in every], moments(texts(every))

    if found is not None:
        assert [(each.us, each.has_zone) for each in expected] == [(us, found.have_zones) for us in found.us.tolist()]


def test_a_moment_is_counted_in_microseconds_from_1970():
    when = datetime(2026, 11, 22, 8, 0, 0, 123_456, tzinfo=UTC)

    (us,) = moments(texts([when.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()])).us

    assert when.timestamp() == us / 1e6
    assert np.int64 == us.dtype
