"""Units: what people write becomes base units, base units become what people say, and nothing in between is guessed."""

import math
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor import units
from advisor.errors import InputError
from advisor.schema.workload import Baseline, HardwareChoice, Lifecycle, Quality, Slo, Traffic

numbers = st.floats(1e-9, 1e9)
everyday = st.floats(1e-6, 1e9)
FORMATS = (
    units.seconds,
    units.size,
    units.count,
    units.usd,
    units.percent,
    units.number,
    units.rate,
    units.ratio,
    units.usd_per_hour,
    units.usd_per_year,
    units.points,
)


@pytest.mark.parametrize(
    ("expected", "text", "unit"),
    [
        (0.05, "50 ms", "s"),
        (0.05, "50ms", "s"),
        (5e-5, "50 µs", "s"),
        (90.0, "1.5 min", "s"),
        (0.05, "0.05", "s"),
        (0.05, " 5e-2 ", "s"),
        (0.05, ".05", "s"),
        (1000.0, "1 000", None),
        (1000.0, "1_000", None),
        (10.0, "010", None),
        (-0.05, "-5 %", "fraction"),
        (40.0, "40 /s", "requests_per_s"),
        (40.0, "2400 /min", "requests_per_s"),
        (1e6 / 86400, "1 M/day", "requests_per_s"),
        (0.5, "12 /day", "usd_per_hour"),
        (18.0, "1.5 years", "months"),
        (2500.0, "2.5 k$", "usd"),
        (1.2e6, "1.2 M$", "usd"),
        (7e10, "70 B", "parameters"),
    ],
)
def test_a_quantity_is_read_in_base_units(expected, text, unit):
    assert expected == pytest.approx(units.parse_quantity(text, unit))


@settings(deadline=None)
@given(numbers, st.sampled_from([(unit, suffix) for unit, scale in units.SCALES.items() for suffix in scale]))
def test_a_unit_multiplies_by_its_scale_and_by_nothing_else(value, unit_and_suffix):
    unit, suffix = unit_and_suffix
    text = f"{value!r} {suffix}"

    assert value * units.SCALES[unit][suffix] == pytest.approx(units.parse_quantity(text, unit))


@settings(deadline=None)
@given(numbers)
def test_a_number_without_a_unit_is_in_base_units(value):
    assert {value} == {units.parse_quantity(repr(value), unit) for unit in (None, *units.SCALES)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ms",
        "fast",
        "nan",
        ".nan",
        "inf",
        "-.inf",
        "1e400",
        "1:30",
        "0x10",
        "1,000",
        "1.2.3",
        "--1",
        "1 ms ms",
        "5 KB",
        "½",
    ],
)
def test_what_is_no_quantity_is_refused_with_a_way_out(text):
    with pytest.raises(InputError) as refusal:
        units.parse_quantity(text, "s")

    assert repr(text) in refusal.value.fault and "write a number" in refusal.value.hint


@pytest.mark.parametrize("text", ["1e16", "-1e300", "1e-16", "9" * 5000])
def test_a_number_beyond_all_sense_is_refused_in_few_words(text):
    with pytest.raises(InputError) as refusal:
        units.parse_quantity(text, None)

    assert "out of range" in refusal.value.fault and len(refusal.value.fault) < 100


@settings(deadline=None)
@given(st.text(max_size=12), st.sampled_from([None, *units.SCALES]))
def test_any_text_is_a_finite_number_or_refused(text, unit):
    try:
        assert math.isfinite(units.parse_quantity(text, unit))
    except InputError as refusal:
        assert refusal.hint


@pytest.mark.parametrize(
    ("expected", "record", "field"),
    [
        ("requests_per_s", Traffic, "requests_per_s"),
        (None, Traffic, "burstiness_cv"),
        ("s", Slo, "latency_s"),
        ("fraction", Slo, "quantile"),
        ("fraction", Quality, "max_drop"),
        ("months", Lifecycle, "horizon_months"),
        ("fraction", Lifecycle, "growth_per_month"),
        (None, Lifecycle, "fine_tunings_per_year"),
        ("usd", Lifecycle, "fine_tuning_usd"),
        ("usd", Lifecycle, "labels_usd"),
        ("fraction", Lifecycle, "quality_gap"),
        ("usd_per_hour", HardwareChoice, "price_usd_per_hour"),
        ("s", Baseline, "max_queue_delay_s"),
        (None, Baseline, "max_batch_size"),
        (None, Baseline, "intra_op_num_threads"),
    ],
)
def test_the_unit_of_a_field_is_in_its_name(expected, record, field):
    assert field in record.__struct_fields__
    assert expected == units.unit_of(field)


@settings(deadline=None)
@given(everyday)
def test_a_duration_reads_back_as_it_was_said(value):
    assert value == pytest.approx(units.parse_quantity(units.seconds(value).replace(",", ""), "s"), rel=6e-3)


@settings(deadline=None)
@given(st.floats(1e-6, 100.0))
def test_a_percentage_reads_back_as_it_was_said(value):
    assert value == pytest.approx(units.parse_quantity(units.percent(value).replace(",", ""), "fraction"), rel=6e-2)


@settings(deadline=None)
@given(everyday)
def test_a_rate_reads_back_as_it_was_said(value):
    assert value == pytest.approx(units.parse_quantity(units.rate(value).replace(",", ""), "requests_per_s"), rel=6e-3)


@pytest.mark.parametrize("format_", FORMATS)
@settings(deadline=None)
@given(value=st.floats(1e-6, 1e12))
def test_nothing_is_told_in_exponents(format_, value):
    text = format_(value)

    assert "e-" not in text and "e+" not in text and len(text) < 30


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("17.3 ms", units.seconds(0.0173)),
        ("1 s", units.seconds(0.99996)),
        ("119 s", units.seconds(119.4)),
        ("3.2 min", units.seconds(192.0)),
        ("0 µs", units.seconds(0.0)),
        ("90.4 MB", units.size(90_405_214)),
        ("22.6 M", units.count(22_600_000)),
        ("999", units.count(999)),
        ("$0.34", units.usd(0.34)),
        ("$1,234", units.usd(1234.4)),
        ("-$12.00", units.usd(-12.0)),
        ("$0.0012", units.usd(0.00123)),
        ("528 FLOP", units.flop(528)),
        ("140 kFLOP", units.flop(140_000)),
        ("3.1 %", units.percent(0.0312)),
        ("100 %", units.percent(1.0)),
        ("40 /s", units.rate(40.0)),
        ("2.31×", units.ratio(2.312)),
        ("99.99 %", units.proportion(0.99999)),
        ("100 %", units.proportion(1.0)),
        ("29 %", units.proportion(0.29)),
        ("p99", units.quantile(0.99)),
        ("p99.9", units.quantile(0.999)),
        ("1 replica", units.counted(1, "replica")),
        ("1,200 samples", units.counted(1200, "sample")),
        ("2026-11-22 07:43 UTC", units.moment("2026-11-22T07:43:10+00:00")),
        ("38.1–46.2", units.interval(0.042, 0.0381, 0.0462, units.seconds)),
        ("800 µs–1.2 ms", units.interval(0.001, 0.0008, 0.0012, units.seconds)),
        ("fixed", units.interval(1.0, 1.0, 1.0, units.usd)),
    ],
)
def test_figures_are_said_as_people_say_them(expected, actual):
    assert expected == actual


@pytest.mark.parametrize("text", ["benchmark", "", "today", "2026-02-30", "2026-11-22T25:00", "x" * 1000])
def test_what_is_no_time_is_refused_with_the_way_out(text):
    with pytest.raises(InputError, match="is not a time") as caught:
        units.parse_moment(text)

    assert "2026-11-22T08:00:00+00:00" in caught.value.hint
    assert len(caught.value.fault) < 100


@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_a_time_is_the_same_time_in_every_form_of_iso_8601(when):
    short = (
        when.strftime("%Y%m%dT%H%M%S").rjust(15, "0") + (f".{when:%f}" if when.microsecond else "") + ("Z" if when.tzinfo else "")
    )

    assert when.isoformat() == units.parse_moment(when.isoformat()) == units.parse_moment(short)
