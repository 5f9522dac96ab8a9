"""Text of metrics: what Prometheus' client writes is read, and nothing else ends in a traceback."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.files.metrics.exposition import read_text

prometheus_client = pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")


def test_what_the_client_writes_is_read_in_both_formats():
    from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("requests", "Requests.", ["code"], registry=registry)
    counter.labels("200").inc(3)
    counter.labels('a"b\\c\n').inc(2)

    plain = read_text(prometheus_client.generate_latest(registry), "f")
    other = read_text(open_metrics(registry), "f")

    assert [3.0, 2.0] == [sample.value for sample in plain.named("requests_total")]
    assert plain.named("requests_total") == other.named("requests_total")


def test_the_time_of_a_scrape_is_that_of_its_samples():
    assert 1_700_000_000.0 == read_text(b"a 1 1700000000000\n", "f").at_s
    assert None is read_text(b"a 1\n", "f").at_s


@example(b"\x00")
@example(b'a{b="c} 1\n')
@example(b"# EOF\n")
@example(b"# TYPE a histogram\na_bucket 1\n# EOF\n")
@given(st.binary(max_size=60) | st.text('a{}="\\\n 1.#TYPEOF+Inf', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content):
    try:
        scrape = read_text(content, "f")
    except InputError as error:
        assert "f: " in error.fault and error.hint
    else:
        assert scrape.samples
