"""What production says: within what was promised it holds, beyond it the gravest of what is off decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.comparison.production import Running, check, instances_of, quantile_of
from advisor.errors import InputError
from advisor.schema.gate.production import Seen
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change, inconclusive, infeasible

NOW, LATER = "2026-11-29T08:00:00+00:00", "2027-11-29T08:00:00+00:00"
ADVICE = change()  # 60 requests/s, p99 of 37.5 to 45.6 ms within 50 ms, 52 % busy, up to 79 requests/s
RATE = ADVICE.mean_requests_per_s
MARGIN = 0.2


def seen(low, high=None):
    high = low if high is None else high
    return Seen(value=(low + high) / 2, low=low, high=high, source="a test")


def checked(advice=ADVICE, *, now=NOW, margin=MARGIN, replicas=None, span_s=None, models=(), runtimes=None, **figures):
    running = Running(figures, span_s, replicas, frozenset(models), runtimes or {})
    return check(advice, running, margin=margin, now=now)


def standing(**asked):
    return checked(**asked).standing


@given(
    st.floats(0.82 * RATE, 1.18 * RATE),
    st.floats(0.0001, 0.0499),
    st.floats(0.0, 0.41),
)
def test_what_is_within_its_margins_still_holds(rate, latency, busy):
    assert "valid" == standing(rate=seen(rate), latency=seen(latency), utilization=seen(busy))


@given(st.floats(0.0, 0.79) | st.floats(1.21, 100.0), st.floats(0.001, 0.0499))
def test_other_traffic_is_advised_on_again_by_the_same_profile(factor, latency):
    assert "re-advise" == standing(rate=seen(factor * RATE), latency=seen(latency))


@given(st.floats(0.0, 1.19), st.floats(0.0501, 100.0))
def test_slower_without_more_traffic_is_measured_again(factor, latency):
    assert "re-measure" == standing(rate=seen(factor * RATE), latency=seen(latency))
    assert "re-measure" == standing(latency=seen(latency))


@given(st.floats(1.3, 100.0), st.floats(0.0501, 100.0))
def test_slower_under_more_traffic_is_advised_on_again(factor, latency):
    assert "re-advise" == standing(rate=seen(factor * RATE), latency=seen(latency), utilization=seen(1.0 * factor))


def test_busier_than_so_many_requests_make_it_is_measured_again():
    assert "re-measure" == standing(rate=seen(RATE), utilization=seen(0.8))
    assert "valid" == standing(rate=seen(1.15 * RATE), utilization=seen(1.15 * 0.6))


def test_more_than_it_carries_is_advised_on_again_however_wide_the_margin():
    assert "valid" == standing(rate=seen(1.3 * RATE), margin=0.5)
    assert "re-advise" == standing(rate=seen(1.4 * RATE), margin=0.5)


def test_an_interval_that_reaches_the_margin_is_not_beyond_it():
    assert "valid" == standing(rate=seen(1.1 * RATE, 1.9 * RATE))
    assert "valid" == standing(latency=seen(0.025, 0.1))
    assert "re-measure" == standing(latency=seen(0.05, 0.1))  # the lower edge of a bucket is not in it
    assert "valid" == standing(latency=seen(0.05))


def test_buckets_too_wide_to_tell_are_told():
    (note,) = [note for note in checked(rate=seen(RATE), latency=seen(0.025, 0.1)).notes if "latency" in note]

    assert "no finer" in note


def test_a_day_has_hours_of_its_own():
    day = replace(ADVICE, workload=replace(ADVICE.workload, traffic=replace(ADVICE.workload.traffic, diurnal=(0.2, 1.0, 1.8))))
    hours = [0.2, 1.0, 1.8]

    assert ["valid"] * 3 == [standing(advice=day, rate=seen(RATE * hour), span_s=3600.0) for hour in hours]
    assert ["re-advise", "valid", "re-advise"] == [
        standing(advice=day, rate=seen(RATE * hour), span_s=86_400.0) for hour in hours
    ]


def test_prices_that_are_too_old_end_it_and_nothing_graver_is_hidden():
    assert "expired" == standing(now=LATER, rate=seen(RATE))
    assert "re-advise" == standing(now=LATER, rate=seen(3 * RATE))
    assert "re-measure" == standing(now=LATER, rate=seen(3 * RATE), models=["0" * 64])


def test_a_variant_of_the_model_is_the_model():
    variant = ADVICE.variants[0].sha256

    assert ["valid", "valid", "re-measure"] == [
        standing(rate=seen(RATE), models=[digest]) for digest in (ADVICE.model.sha256, variant, "0" * 64)
    ]


def test_only_what_was_measured_has_a_version():
    assert "valid" == standing(rate=seen(RATE), runtimes={"": "1.31.1", "numpy": "2.4.6"})
    assert "re-measure" == standing(runtimes={"numpy": "2.5"})
    with pytest.raises(InputError, match="nothing was measured with 'torch'"):
        standing(runtimes={"torch": "3"})
    with pytest.raises(InputError, match="names no runtime"):
        standing(advice=language_examples.chat_elsewhere(), runtimes={"": "1"})


def test_a_quicker_service_still_holds_and_that_is_told():
    document = checked(rate=seen(RATE), latency=seen(0.001))

    assert "valid" == document.standing
    assert any("may save replicas" in note for note in document.notes)


def test_without_a_rate_or_a_latency_that_is_told():
    assert {"no rate", "no latency"} == {" ".join(note.split()[:2]) for note in checked(utilization=seen(0.5)).notes}


@pytest.mark.parametrize("advice", [generation_examples.chat(), language_examples.chat_elsewhere()])
def test_generative_services_are_held_against_their_own_targets(advice):
    slo, rate = advice.workload.slo, advice.mean_requests_per_s

    assert "valid" == standing(advice=advice, rate=seen(rate), ttft=seen(slo.ttft_s / 4), tpot=seen(slo.tpot_s / 4))
    assert "re-measure" == standing(advice=advice, rate=seen(rate), ttft=seen(slo.ttft_s * 1.01))
    assert "re-measure" == standing(advice=advice, rate=seen(rate), tpot=seen(slo.tpot_s * 1.01))
    assert "valid" == standing(advice=advice, rate=seen(rate), latency=seen(1e6))  # no target is on it


def test_instances_and_quantile_are_those_of_the_recommendation():
    assert (0.99, 2, 2) == (quantile_of(ADVICE), instances_of(ADVICE, None), instances_of(ADVICE, 1))
    assert 2 == instances_of(language_examples.chat_elsewhere(), None)


@pytest.mark.parametrize("advice", [documents.job(), infeasible(), inconclusive()])
def test_advice_that_promises_nothing_of_traffic_is_refused(advice):
    with pytest.raises(InputError):
        quantile_of(advice)


@pytest.mark.parametrize("figures", [{}, {"latency": Seen(value=0.0, low=0.0, high=None, source="one bucket without an end")}])
def test_metrics_that_tell_nothing_do_not_say_that_it_holds(figures):
    assert "cannot be told" == standing(**figures)
    assert "valid" == standing(rate=seen(RATE), **figures)
    assert "expired" == standing(now=LATER, **figures)
    assert "re-measure" == standing(models=["f" * 64], **figures)


@given(st.floats(0.0, 10.0))
def test_a_server_that_is_asked_nothing_is_not_measured_again_for_being_busy(busy):
    assert "re-advise" == standing(rate=seen(0.0), utilization=seen(busy))
