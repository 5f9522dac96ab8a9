"""Traces as people have them: whatever the columns, the clock and the packing, the same requests; what has two readings is refused."""

import gzip
import hashlib
import json
import os
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.files.trace import read_requests, read_trace
from advisor.schema.workload import TraceColumns

COUNT = 120
GAPS_MS = np.resize([7, 1300, 40, 0, 655], COUNT)
SENT_MS = np.cumsum(GAPS_MS) - GAPS_MS[0]
LENGTHS = np.resize([186, 285, 326, 12], COUNT).tolist()
START = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
START_S = int(START.timestamp())


def table(path, header, *columns, delimiter=",", encoding="utf-8"):
    rows = [delimiter.join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return path


def refused(path, columns=None):
    with pytest.raises(InputError) as ended:
        read_trace(path, columns)
    assert ended.value.hint
    return ended.value.fault


def by_the_clock(format_, zone=UTC):
    return [format_(START.astimezone(zone) + timedelta(milliseconds=int(ms))) for ms in SENT_MS]


def assert_as_sent(trace, lengths=None):
    np.testing.assert_allclose(np.array(trace.arrival_s) - trace.arrival_s[0], SENT_MS / 1e3, atol=2e-6)
    assert lengths == (None if trace.sequence_length is None else trace.sequence_length.tolist())


@pytest.mark.parametrize(
    ("header", "times"),
    [
        ("arrival_s", SENT_MS / 1e3),
        ("arrival_ms", SENT_MS),
        ("arrivalMs", SENT_MS),
        ("time (ms)", SENT_MS),
        ("timestamp_us", SENT_MS * 1000),
        ("ts_ns", SENT_MS * 1_000_000),
        ("timestamp", START_S + SENT_MS / 1e3),
        ("timestamp", START_S * 1000 + SENT_MS),
        ("timestamp", START_S * 10**6 + SENT_MS * 1000),
        ("timestamp", START_S * 10**9 + SENT_MS * 10**6),
        ("arrival_s", START_S * 1000 + SENT_MS),
        ("TIMESTAMP", by_the_clock(lambda when: when.strftime("%Y-%m-%d %H:%M:%S.%f") + "0")),
        ("@timestamp", by_the_clock(lambda when: when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))),
        ("Date", by_the_clock(lambda when: when.strftime("%Y/%m/%d %H:%M:%S.%f UTC"))),
        ("created_at", by_the_clock(datetime.isoformat, timezone(timedelta(hours=5, minutes=30)))),
    ],
    ids=range(15),
)
def test_the_clock_of_a_trace_is_told_by_its_name_or_by_its_size(tmp_path, header, times):
    assert_as_sent(read_trace(table(tmp_path / "t.csv", header, times)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_what_counts_from_zero_under_a_name_without_unit_is_refused_until_the_unit_is_given(tmp_path, unit):
    per_ms = {"s": 1e-3, "ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    path = table(tmp_path / "t.csv", "timestamp", SENT_MS * per_ms)

    assert "nothing says whether in s, ms, us or ns" in refused(path)
    assert_as_sent(read_trace(path, TraceColumns(unit=unit)))


@pytest.mark.parametrize(
    "header", ["arrival_s,sequence_length", "arrival_s,ContextTokens", "arrival_s,input_tokens", "arrival_s,Prompt Tokens"]
)
@pytest.mark.parametrize("form", ["{}", "{}.0"])
def test_lengths_are_found_by_their_usual_names_and_may_be_written_as_floats(tmp_path, header, form):
    path = table(tmp_path / "t.csv", header, SENT_MS / 1e3, [form.format(length) for length in LENGTHS])

    assert_as_sent(read_trace(path), LENGTHS)


def test_columns_of_any_name_are_read_where_the_workload_names_them(tmp_path):
    path = table(tmp_path / "t.csv", "wann,wie lang,timestamp", SENT_MS, LENGTHS, LENGTHS)
    asked = TraceColumns(arrival="wann", sequence_length="wie lang", unit="ms")

    assert_as_sent(read_trace(path, asked), LENGTHS)
    assert "there is no column 'wo'" in refused(path, TraceColumns(arrival="wo"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_packing_and_delimiters_change_nothing(tmp_path, delimiter, encoding, packed):
    path = table(
        tmp_path / "t.csv", f"arrival_s{delimiter}tokens", SENT_MS / 1e3, LENGTHS, delimiter=delimiter, encoding=encoding
    )
    if packed:
        path = tmp_path / "t.csv.gz"
        path.write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))

    assert_as_sent(read_trace(path), LENGTHS)


def test_a_decimal_comma_is_read_where_commas_separate_nothing(tmp_path):
    times = [str(ms / 1e3).replace(".", ",") for ms in SENT_MS]

    assert_as_sent(read_trace(table(tmp_path / "t.csv", "arrival_s;tokens", times, LENGTHS, delimiter=";")), LENGTHS)


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_hold_the_same_as_a_table(tmp_path, packed):
    lines = [
        json.dumps({"timestamp": START_S * 10**9 + int(ms) * 10**6, "input_length": length, "hash_ids": [1, 2]})
        for ms, length in zip(SENT_MS, LENGTHS, strict=True)
    ]
    content = "\n".join(lines).encode()
    path = tmp_path / ("t.jsonl.gz" if packed else "t.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)

    assert_as_sent(read_trace(path), LENGTHS)


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_lines_changes_the_notes_alone(tmp_path_factory, random):
    folder = tmp_path_factory.mktemp("traces")
    rows = list(zip(SENT_MS / 1e3, LENGTHS, strict=True))
    random.shuffle(rows)

    trace = read_trace(table(folder / "t.csv", "arrival_s,tokens", *zip(*rows, strict=True)))

    assert sorted(rows) == sorted(zip(trace.arrival_s, trace.sequence_length, strict=True))
    assert list(trace.arrival_s) == sorted(trace.arrival_s)
    is_told = any("were sorted" in note for note in trace.notes)
    assert is_told == ([when for when, _ in rows] != list(trace.arrival_s))


def test_the_first_note_is_the_mean_rate_and_how_the_times_were_read(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s", START_S * 1000 + np.arange(101) * 250)

    (note,) = read_trace(path).notes

    assert note.startswith("traffic.trace: t.csv: 4 /s on average: 101 requests in 25 s, times from arrival_s (ms since 1970)")


def test_a_file_is_read_once_until_it_changes(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s,tokens", SENT_MS / 1e3, LENGTHS)
    first = read_trace(path)

    assert first is read_trace(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == first.sha256
    assert read_trace(path, TraceColumns(arrival="arrival_s", sequence_length="tokens", unit="ms")) is not first

    table(path, "arrival_s,tokens", SENT_MS / 1e3 * 2, LENGTHS)
    assert 2 * first.arrival_s[-1] == pytest.approx(read_trace(path).arrival_s[-1])


def test_nobody_can_change_a_trace_that_others_have_as_well(tmp_path):
    trace = read_trace(table(tmp_path / "t.csv", "arrival_s,tokens", SENT_MS / 1e3, LENGTHS))

    for column in (trace.arrival_s, trace.sequence_length):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


def test_a_million_requests_are_two_columns_and_not_a_million_objects(tmp_path):
    count = 300_000
    path = table(tmp_path / "t.csv", "arrival_s,tokens", np.arange(count) * 0.0123, np.arange(count) % 900 + 1)

    tracemalloc.start()
    read_trace(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 60_000_000 + 50 * count  # of a piece of the file, and of the columns


def test_a_file_that_is_none_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert f"{tmp_path / 'pipe'}: a pipe, not a file" == refused(tmp_path / "pipe")
    assert "No such file" in refused(tmp_path / "gone.csv")


def test_one_column_cannot_be_both_time_and_length(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s,tokens", SENT_MS / 1e3, LENGTHS)

    assert "arrival_s cannot hold both" in refused(path, TraceColumns(sequence_length="arrival_s"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"1.0,2\n2.0,3\n", "the first line holds numbers, not the names of the columns"),
        (b"a,b\n1,2\n", "no column arrival_s"),
        (b"", "no column arrival_s"),
        (b"timestamp,created_at\n1,2\n", "timestamp and created_at could each be traffic.columns.arrival"),
        (b"arrival_s\n" + b"".join(b"%d\n" % n for n in range(99)), "99 requests, but 100 are needed"),
        (b"arrival_s\n" + b"5\n" * 200, "all requests arrive at the same moment"),
        (b"arrival_s\n" + b"1\n" * 100 + b"soon\n", "line 102: 'soon' is not a time"),
        (b"arrival_s\n" + b"1\n" * 100 + b"nan\n", "line 102: 'nan' is not a time"),
        (b"arrival_s,tokens\n" + b"1,2\n" * 100 + b"1\n", "line 102: has 1 column, the header 2"),
        (b"arrival_s,tokens\n" + b"1,2\n2,2\n" * 100 + b"1,2.5\n", "line 202: '2.5' is not a whole number"),
        (b"arrival_s,tokens\n" + b"1,2\n2,2\n" * 100 + b"1,\n", "line 202: '' is not a whole number"),
        (b"arrival_s,tokens\n" + b"1,0\n2,2\n" * 100, "a length in tokens is not between 1"),
        (
            b"time\n" + b"2026-11-22T08:00:00Z\n" * 100 + b"2026-11-22T08:00:00\n",
            "line 102: some times have a zone and others none",
        ),
        (b"time\n" + b"2026-11-22T08:00:00Z\n" * 100 + b"2026-13-22\n", "line 102: '2026-13-22' is not a time"),
        (b'{"arrival_s": 1}\n{"arrival_s": \n', "line 2: not a JSON object"),
        (b'{"arrival_s": 1}\n[1]\n', "line 2: not a JSON object"),
        (b'{"arrival_s": 1}\n{"when": 1}\n', "line 2: no arrival_s"),
        (b"\x1f\x8b broken", "not a CSV file or JSON lines"),
        (b"arrival_s\n\xff\xfe\x00", "not a CSV file or JSON lines"),
    ],
    ids=range(19),
)
def test_what_is_no_trace_is_an_error_that_says_where(tmp_path, content, complaint):
    path = tmp_path / "t.csv"
    path.write_bytes(content)

    assert complaint in refused(path)


# --- generative models: prompts and answers ------------------------------------------------------------------------------------

ANSWERS = np.resize([44, 1, 310], COUNT).tolist()


def assert_tokens(requests):
    np.testing.assert_allclose(requests.arrival_s - requests.arrival_s[0], SENT_MS / 1e3, atol=2e-6)
    assert (LENGTHS, ANSWERS) == (requests.input_tokens.tolist(), requests.output_tokens.tolist())


@pytest.mark.parametrize(
    "header",
    [
        "arrival_s,input_tokens,output_tokens",
        "arrived_at (s),num_prefill_tokens,num_decode_tokens",
        "arrival_s,ContextTokens,GeneratedTokens",
        "arrival_s,input_length,output_length",
        "arrival_s,Request tokens,Response tokens",
        "arrival_s,prompt_tokens,completion_tokens",
        "arrival_s,prompt_len,output_len",
        "arrival_s,sequence_length,output_tokens",
    ],
)
def test_the_tokens_of_prompts_and_answers_are_found_by_their_usual_names(tmp_path, header):
    requests = read_requests(table(tmp_path / "t.csv", header, SENT_MS / 1e3, LENGTHS, ANSWERS))

    assert_tokens(requests)
    _, prompts, answers = header.split(",")
    assert f"prompts from {prompts}, answers from {answers}" in requests.notes[0]


def test_the_tokens_of_json_lines_are_found_in_any_order_of_their_keys(tmp_path):
    lines = [
        json.dumps({"completion_tokens": answer, "at": ms / 1e3, "prompt_tokens": prompt, "model": "m"})
        for ms, prompt, answer in zip(SENT_MS.tolist(), LENGTHS, ANSWERS, strict=True)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))

    assert_tokens(read_requests(tmp_path / "t.jsonl", TraceColumns(arrival="at", unit="s")))


def test_columns_of_tokens_are_named_as_the_user_does(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s,a,b,output_tokens", SENT_MS / 1e3, ANSWERS, LENGTHS, SENT_MS)

    assert_tokens(read_requests(path, TraceColumns(input_tokens="b", output_tokens="a")))
    assert_tokens(read_requests(path, TraceColumns(sequence_length="b", output_tokens="a")))


def test_lines_that_were_not_in_order_keep_their_tokens(tmp_path):
    order = np.random.default_rng(0).permutation(COUNT)
    columns = ((SENT_MS / 1e3 + 1e-4 * np.arange(COUNT))[order], np.array(LENGTHS)[order], np.array(ANSWERS)[order])

    requests = read_requests(table(tmp_path / "t.csv", "arrival_s,input_tokens,output_tokens", *columns))

    assert (LENGTHS, ANSWERS) == (requests.input_tokens.tolist(), requests.output_tokens.tolist())


def test_where_the_workload_has_the_lengths_those_of_the_trace_are_not_even_looked_for(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s,input_tokens,output_tokens", SENT_MS / 1e3, ["?"] * COUNT, ["?"] * COUNT)

    requests = read_requests(path, has_own_lengths=True)

    assert (None, None) == (requests.input_tokens, requests.output_tokens) and COUNT == len(requests.arrival_s)


def refused_tokens(path, columns=None):
    with pytest.raises(InputError) as ended:
        read_requests(path, columns)
    assert ended.value.hint
    return ended.value.fault


@pytest.mark.parametrize(
    ("header", "columns", "said"),
    [
        ("arrival_s,input_tokens,x", None, "no column output_tokens (of answers)"),
        ("arrival_s,x,output_tokens", None, "no column input_tokens (of prompts)"),
        ("arrival_s,length,tokens", None, "no column input_tokens (of prompts) and output_tokens (of answers)"),
        ("arrival_s,input_length,prompt_tokens,output_tokens", None, "input_length and prompt_tokens could each be"),
        ("arrival_s,input_tokens,output_length,decode_tokens", None, "output_length and decode_tokens could each be"),
        ("arrival_s,input_tokens,output_tokens", TraceColumns(output_tokens="answers"), "there is no column 'answers'"),
        ("arrival_s,input_tokens,x", TraceColumns(output_tokens="input_tokens"), "input_tokens cannot be two of the times"),
        ("arrival_s,input_tokens,x", TraceColumns(output_tokens="arrival_s"), "arrival_s cannot be two of the times"),
    ],
)
def test_a_trace_without_its_tokens_is_refused_by_the_columns_that_it_has(tmp_path, header, columns, said):
    values = [SENT_MS / 1e3, LENGTHS, ANSWERS, LENGTHS][: header.count(",") + 1]

    assert said in refused_tokens(table(tmp_path / "t.csv", header, *values), columns)


@pytest.mark.parametrize(
    ("answer", "said"), [("0", "got no token (output_tokens is 0)"), ("-1", "not between 1"), ("x", "whole number")]
)
def test_an_answer_that_is_none_is_named_by_its_line(tmp_path, answer, said):
    answers = [*ANSWERS[:-1], answer]
    path = table(tmp_path / "t.csv", "arrival_s,input_tokens,output_tokens", SENT_MS / 1e3, LENGTHS, answers)

    fault = refused_tokens(path)

    assert f"line {COUNT + 1}: " in fault and said in fault


def test_to_a_model_of_one_pass_the_column_of_answers_is_nothing(tmp_path):
    path = table(tmp_path / "t.csv", "arrival_s,ContextTokens,GeneratedTokens", SENT_MS / 1e3, LENGTHS, ["0"] * COUNT)

    assert_as_sent(read_trace(path), LENGTHS)
    assert_as_sent(read_trace(path, TraceColumns(input_tokens="ContextTokens")), LENGTHS)
