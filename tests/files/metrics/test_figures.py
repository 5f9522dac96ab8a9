"""Figures of what production counts: the truth lies within them, whatever was counted, in whatever order, across restarts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.files.metrics.figures import latency_of, of_expression, rate_of, utilization_of
from advisor.files.metrics.known_names import KNOWN, Known, named_by_user
from advisor.files.metrics.scrape import Sample, Scrape

NAME = "http_request_duration_seconds"
LATENCY = (Known(NAME, "latency"),)
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)
times = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=200)
quantiles = st.sampled_from([0.5, 0.9, 0.95, 0.99])


def counted(latencies, at_s=None, **labels):
    """What a server shows after these requests."""
    values = np.asarray(latencies)
    rows = [Sample(f"{NAME}_bucket", {"le": f"{edge:g}", **labels}, float((values <= edge).sum())) for edge in EDGES]
    return Scrape(at_s, (*rows, Sample(f"{NAME}_count", labels, float(len(values)))))


@given(times, quantiles)
def test_the_quantile_of_the_requests_lies_between_the_ends(latencies, quantile):
    seen = latency_of((counted(latencies),), LATENCY, quantile)

    true = np.quantile(latencies, quantile, method="inverted_cdf")
    assert seen.low <= true <= (math.inf if seen.high is None else seen.high)
    assert seen.low <= seen.value and (seen.high is None or seen.value <= seen.high)


@given(times, times, quantiles)
def test_of_two_scrapes_only_what_came_in_between_counts(before, after, quantile):
    first, second = counted(before), counted([*before, *after])

    seen = latency_of((first, second), LATENCY, quantile)

    assert seen.low <= np.quantile(after, quantile, method="inverted_cdf") <= (math.inf if seen.high is None else seen.high)
    assert f"{len(after):,} requests" in seen.source


@given(times, times, quantiles)
def test_replicas_add_up(one, other, quantile):
    both = Scrape(None, (*counted(one, pod="a").samples, *counted(other, pod="b").samples))
    together = latency_of((counted([*one, *other]),), LATENCY, quantile)

    assert together == latency_of((both,), LATENCY, quantile)


@given(times, times)
def test_a_server_that_began_anew_counts_from_nothing(before, after):
    scrapes = (counted([*before, *after, *after], 0.0), counted(after, 60.0))

    rate = rate_of(scrapes, (), LATENCY)

    assert len(after) / 60 == pytest.approx(rate.value)
    assert rate.low <= rate.value <= rate.high


@pytest.mark.parametrize("begun", [f"{NAME}_created", "process_start_time_seconds"])
def test_one_scrape_has_a_rate_where_the_server_says_since_when(begun):
    scrape = counted([0.01] * 500, 1000.0)
    said = Scrape(1000.0, (*scrape.samples, Sample(begun, {}, 900.0)))

    assert None is rate_of((scrape,), (), LATENCY)
    assert 5.0 == rate_of((said,), (), LATENCY).value


def test_a_summary_tells_its_own_quantiles_and_no_others():
    rows = [Sample("d_ms", {"quantile": "0.99", "pod": pod}, value) for pod, value in (("a", 40.0), ("b", 60.0), ("c", math.nan))]
    known = (named_by_user("latency", "d_ms"),)

    seen = latency_of((Scrape(None, tuple(rows)),), known, 0.99)

    assert (pytest.approx(0.04), pytest.approx(0.06)) == (seen.low, seen.high)
    assert None is latency_of((Scrape(None, tuple(rows)),), known, 0.95)


def test_utilization_is_the_mean_of_a_gauge_or_the_seconds_worked_per_instance():
    gauge = Scrape(None, (Sample("DCGM_FI_DEV_GPU_UTIL", {"gpu": "0"}, 40.0), Sample("DCGM_FI_DEV_GPU_UTIL", {"gpu": "1"}, 60.0)))
    busy = tuple(Scrape(at, (Sample("nv_inference_compute_infer_duration_us", {}, at * 1e6),)) for at in (0.0, 60.0))

    assert 0.5 == pytest.approx(utilization_of((gauge,), KNOWN["utilization"], 1).value)
    assert 0.25 == pytest.approx(utilization_of(busy, KNOWN["utilization"], 4).value)


def test_the_unit_of_a_name_is_its_end():
    scales = {name: named_by_user("latency", name).scale for name in ("a_seconds", "a_ms", "a_us", "a", "a_milliseconds")}

    assert {"a_seconds": 1.0, "a_ms": 1e-3, "a_us": 1e-6, "a": 1.0, "a_milliseconds": 1e-3} == scales
    assert ("gauge", 0.01) == named_by_user("utilization", "cpu_percent")[1:]
    assert ("busy", 1.0) == named_by_user("utilization", "process_cpu_seconds_total")[1:]


def test_expressions_add_up_rates_and_take_the_slowest_latency():
    scrapes = tuple(Scrape(at, (Sample("", {"pod": "a"}, at), Sample("", {"pod": "b"}, 3.0))) for at in (1.0, 2.0))

    assert 4.5 == of_expression(scrapes, "rate", "f").value
    assert 3.0 == of_expression(scrapes, "latency", "f").value
    assert 2.25 == of_expression(scrapes, "utilization", "f").value
    with pytest.raises(InputError, match="no latency"):
        of_expression((Scrape(0.0, (Sample("", {}, math.nan),)),), "latency", "f")


@given(
    st.lists(
        st.tuples(st.sampled_from(["0.1", "+Inf", "x", "NaN", ""]), st.floats(allow_nan=True) | st.integers(0, 9)), max_size=6
    ),
    quantiles,
)
def test_no_numbers_whatever_make_a_figure_out_of_range(rows, quantile):
    scrape = Scrape(0.0, tuple(Sample(f"{NAME}_bucket", {"le": edge}, float(value)) for edge, value in rows))

    seen = latency_of((scrape,), LATENCY, quantile)

    assert seen is None or (0 <= seen.low and math.isfinite(seen.value) and (seen.high is None or math.isfinite(seen.high)))
