"""Recorded metrics of a kept, a drifted and an expired advice, and of what was changed: an exit status and two lines each."""

import functools
import http.server
import json
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from advisor.errors import ExitStatus
from advisor.files.metrics import fetching
from advisor.files.records import write_record
from tests import models
from tests.damage import ended, is_refusal
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change, inconclusive, infeasible

DATA = Path(__file__).parents[2] / "data" / "metrics"
KEPT = Path(__file__).parents[3] / "examples" / "metrics"
NOW, LATER = "2026-11-29T08:00:00+00:00", "2027-11-29T08:00:00+00:00"
pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def advice(tmp_path):
    write_record(tmp_path / "advice.json", change())
    return tmp_path / "advice.json"


def run(advice, *metrics, options=(), now=NOW, label="handler=/predict"):
    sources = [word for source in metrics for word in ("--metrics", str(source))]
    labels = ("--label", label) if label else ()
    return Result(*ended("check", str(advice), *sources, *labels, "--now", now, *options, cwd=advice.parent))


def two(name):
    if name == "kept":
        return KEPT / "before.txt", KEPT / "after.txt"
    return DATA / f"{name}-1.txt", DATA / f"{name}-2.txt"


EVERY = ("--every", "60 s")


@pytest.mark.parametrize(
    ("name", "now", "status", "first", "second"),
    [
        ("kept", NOW, ExitStatus.ADVICE, "still valid: 60 /s, advised for 60 /s; latency ", "nothing to do, until 2027-02-20"),
        ("drifted", NOW, ExitStatus.ADVISE_AGAIN, "advise again: 150 /s, advised for 60 /s", "what was measured still holds"),
        ("kept", LATER, ExitStatus.EXPIRED, "expired: the advice held until 2027-02-20", "production is as promised"),
        ("slower", NOW, ExitStatus.MEASURE_AGAIN, "measure again: latency ", "what was measured no longer holds"),
        ("slower", LATER, ExitStatus.MEASURE_AGAIN, "measure again: latency ", "what was measured no longer holds"),
        ("drifted", LATER, ExitStatus.ADVISE_AGAIN, "advise again: 150 /s", "what was measured still holds"),
    ],
)
def test_recorded_metrics_of_each_kind_have_a_status_and_two_lines_of_their_own(advice, name, now, status, first, second):
    result = run(advice, *two(name), options=EVERY, now=now)

    lines = result.stdout.splitlines()
    assert status == result.exit_code
    assert 2 == len(lines)
    assert lines[0].startswith(first) and lines[1].startswith(second)


def test_as_json_it_holds_every_figure_beside_what_was_promised(advice):
    result = run(advice, *two("kept"), options=(*EVERY, "--format", "json"))

    document = json.loads(result.stdout)
    by_name = {finding["what"]: finding for finding in document["findings"]}
    assert "valid" == document["standing"] and "check" == document["kind"]
    assert {"rate", "latency", "utilization", "prices"} == set(by_name)
    assert 60 == pytest.approx(by_name["rate"]["seen"]["value"])
    assert 0.025 <= by_name["latency"]["seen"]["low"] < by_name["latency"]["seen"]["high"] <= 0.05 == by_name["latency"]["limit"]
    assert by_name["utilization"]["promised"]["low"] < by_name["utilization"]["seen"]["value"]


def test_metrics_of_one_of_two_replicas_are_held_against_half_the_rate(advice):
    best = change().recommended
    recommended = msgspec.structs.replace(
        best, candidate=msgspec.structs.replace(best.candidate, replicas=2), capacity_requests_per_s=None
    )
    write_record(advice, msgspec.structs.replace(change(), recommended=recommended, mean_requests_per_s=120.0))

    of_one, of_all, of_more = (
        run(advice, *two("kept"), options=(*EVERY, *options)) for options in (("--replicas", "1"), (), ("--replicas", "3"))
    )

    assert (ExitStatus.ADVICE, True) == (of_one.exit_code, "60 /s, advised for 60 /s" in of_one.stdout)
    assert "advised for 120 /s" in run(advice, *two("kept"), options=(*EVERY, "--format", "json")).stdout
    assert ExitStatus.MEASURE_AGAIN == of_all.exit_code  # as busy as that with half the requests
    assert ExitStatus.WRONG_INPUT == of_more.exit_code


def test_another_runtime_or_model_is_measured_again(advice, tmp_path):
    models.save(models.mlp(), tmp_path / "other.onnx")
    digest = change().model.sha256

    said = {
        options: run(advice, *two("kept"), options=(*EVERY, *options)).exit_code
        for options in (
            ("--runtime-version", "1.31.1"),
            ("--runtime-version", "onnxruntime=1.32.0"),
            ("--runtime-version", "torch=2"),
            ("--model", digest),
            ("--model", "0" * 64),
            ("--model", str(tmp_path / "other.onnx")),
            ("--model", str(tmp_path / "nowhere.onnx")),
        )
    }

    assert [0, 7, 2, 0, 7, 7, 2] == list(said.values())


def test_what_a_server_says_of_its_model_and_runtime_counts_too(advice, tmp_path):
    text = two("kept")[1].read_text()
    known = change().model.sha256
    same, other = (f'served_model_info{{model_sha256="{digest}",runtime_version="1.31.1"}} 1\n' for digest in (known, "0" * 64))
    (tmp_path / "same.txt").write_text(text + same)
    (tmp_path / "other.txt").write_text(text + other)

    assert 0 == run(advice, two("kept")[0], tmp_path / "same.txt", options=EVERY).exit_code
    assert 7 == run(advice, two("kept")[0], tmp_path / "other.txt", options=EVERY).exit_code


def test_one_scrape_tells_latency_and_that_the_rate_is_not_known(advice, tmp_path):
    result = run(advice, KEPT / "before.txt")

    assert 0 == result.exit_code
    assert "two scrapes" in result.stderr


def query(kind, rows):
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": rows}})


def test_values_of_expressions_are_figures_by_name(advice, tmp_path):
    (tmp_path / "rate.json").write_text(
        query("vector", [{"metric": {"pod": str(pod)}, "value": [1.0, "30"]} for pod in range(2)])
    )
    (tmp_path / "slow.json").write_text(query("matrix", [{"metric": {}, "values": [[1.0, "0.09"], [2.0, "0.11"]]}]))
    (tmp_path / "busy.json").write_text(query("scalar", [1.0, "0.5"]))
    rate, busy = f"rate={tmp_path / 'rate.json'}", f"utilization={tmp_path / 'busy.json'}"

    assert 0 == run(advice, rate, busy, label=None).exit_code
    assert 7 == run(advice, rate, f"latency={tmp_path / 'slow.json'}", label=None).exit_code
    nameless = run(advice, tmp_path / "rate.json", label=None)
    assert 2 == nameless.exit_code and "--metrics latency=" in nameless.stderr


def test_a_range_of_series_gives_rate_and_latency(advice, tmp_path):
    def series(name, values, **labels):
        return {"metric": {"__name__": name, **labels}, "values": [[60.0 * at, str(value)] for at, value in enumerate(values)]}

    counts = {"0.025": (0, 3000, 6000), "0.05": (0, 3590, 7190), "+Inf": (0, 3600, 7200)}
    rows = [series("http_request_duration_seconds_bucket", values, le=edge) for edge, values in counts.items()]
    rows.append(series("http_request_duration_seconds_count", counts["+Inf"]))
    (tmp_path / "range.json").write_text(query("matrix", rows))

    result = run(advice, tmp_path / "range.json", label=None)

    assert (0, True) == (result.exit_code, "60 /s, advised for 60 /s" in result.stdout)


@pytest.mark.parametrize("name", ["ttft", "tpot"])
def test_a_generative_service_is_held_against_its_own_times(tmp_path, name):
    metric = {"ttft": "vllm:time_to_first_token_seconds", "tpot": "vllm:request_time_per_output_token_seconds"}[name]
    target = {"ttft": 2.0, "tpot": 0.06}[name]
    (tmp_path / "good.txt").write_text(f'{metric}_bucket{{le="{target / 4}"}} 990\n{metric}_bucket{{le="+Inf"}} 1000\n')
    (tmp_path / "bad.txt").write_text(f'{metric}_bucket{{le="{target}"}} 500\n{metric}_bucket{{le="+Inf"}} 1000\n')
    for place, document in enumerate((language_examples.chat_elsewhere(), generation_examples.chat())):
        write_record(tmp_path / f"{place}.json", document)

    assert 0 == run(tmp_path / "0.json", tmp_path / "good.txt", label=None).exit_code
    assert 7 == run(tmp_path / "0.json", tmp_path / "bad.txt", label=None).exit_code
    assert 0 == run(tmp_path / "1.json", tmp_path / "good.txt", label=None).exit_code


# --- wrong input ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"not metrics at all {",
        b"a_metric_of_others 1\n",
        b'http_request_duration_seconds_bucket{le="0.1"} many\n',
        b"{}",
        b'{"status": "error", "error": "bad query"}',
        b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
        b'{"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"__name__": "a"}, "value": [1, "x"]}]}}',
        b"[" * 5000,
    ],
)
def test_what_are_no_metrics_is_two_lines(advice, tmp_path, content):
    (tmp_path / "bad").write_bytes(content)

    result = run(advice, tmp_path / "bad", label=None)

    assert is_refusal(result.exit_code, result.stderr)


@pytest.mark.parametrize(
    ("metrics", "options"),
    [
        (("nowhere.txt",), ()),
        (("ftp://127.0.0.1/x",), ()),
        (("file:///etc/passwd",), ()),
        (("http://user:secret@127.0.0.1/x",), ()),
        (("http://[bad/x",), ()),
        (two("kept"), ()),  # nothing says how long after each other
        ((*two("kept"), KEPT / "before.txt"), EVERY),
        (two("kept"), (*EVERY, "--metric", "rate=nobody_counts_this")),
        (two("kept"), (*EVERY, "--metric", "speed=x")),
        (two("kept"), (*EVERY, "--metric", "rate")),
        (two("kept"), (*EVERY, "--label", "handler=/elsewhere")),
        (two("kept"), (*EVERY, "--label", "handlers=/predict")),
        (two("kept"), (*EVERY, "--runtime-version", "=1")),
        # Of two that say the same, one would be passed over.
        (two("kept"), (*EVERY, "--runtime-version", "1", "--runtime-version", "2")),
        (two("kept"), (*EVERY, "--label", "handler=/elsewhere")),
        (two("kept"), (*EVERY, "--metric", "rate=a_total", "--metric", "rate=b_total")),
        (("rate=a.json", "rate=b.json"), ()),
        # Nothing came in between, or less than nothing.
        ((KEPT / "before.txt", KEPT / "before.txt"), EVERY),
        (two("kept")[::-1], EVERY),
    ],
)
def test_options_that_cannot_be_meant_are_two_lines(advice, metrics, options):
    result = run(advice, *metrics, options=options)

    assert is_refusal(result.exit_code, result.stderr)
    assert "secret" not in result.stderr


@pytest.mark.parametrize("document", [documents.job, infeasible, inconclusive])
def test_advice_that_promises_nothing_of_traffic_cannot_be_checked(tmp_path, document):
    write_record(tmp_path / "advice.json", document())

    result = run(tmp_path / "advice.json", *two("kept"), options=EVERY)

    assert (2, True) == (result.exit_code, str(tmp_path / "advice.json") in result.stderr)


# --- addresses -----------------------------------------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=KEPT)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_is_fetched(advice, address, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)

    assert 0 == run(advice, f"{address}/after.txt").exit_code
    assert 2 == run(advice, f"{address}/nothing.txt").exit_code
    assert 2 == run(advice, f"{address}/elsewhere").exit_code


def test_no_more_than_a_few_megabytes_are_taken(advice, address, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr(fetching, "MOST_BYTES", 1000)

    assert "more than" in run(advice, f"{address}/after.txt").stderr
    assert "more than" in run(advice, KEPT / "after.txt").stderr


def test_a_server_that_began_anew_in_between_may_count_less(advice, tmp_path):
    before, after = (path.read_text() for path in two("kept"))
    for name, text, began in (("first", after, 100), ("second", before, 200)):
        (tmp_path / name).write_text(f"{text}process_start_time_seconds {began}\n")

    result = run(advice, "first", "second", options=EVERY)

    assert 2 != result.exit_code, result.stderr


def test_metrics_that_tell_nothing_are_an_answer_of_their_own(advice, tmp_path):
    (tmp_path / "scrape.txt").write_text('http_request_duration_seconds_bucket{le="+Inf"} 100\n')

    result = run(advice, "scrape.txt", label=None)

    first, second = result.stdout.splitlines()
    assert ExitStatus.INCONCLUSIVE == result.exit_code
    assert first.startswith("cannot be told: latency more than 0") and second.startswith("give two scrapes")
