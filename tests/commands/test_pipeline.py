"""Files of other tools in, tables and schemas out."""

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
import yaml
from msgspec.structs import replace

from advisor.files.policy import usual_policy
from advisor.files.records import to_json
from advisor.files.trace import read_requests, read_trace
from advisor.schema.advice import Advice
from advisor.steps.pipeline.schemas import KINDS, schema_of
from advisor.tell.table import table
from tests import generation_profiles
from tests.damage import ended, is_refusal, measured
from tests.profiles import fixed_cost_law, profile
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change

ROOT = Path(__file__).parents[2]
NOW = ("--now", "2026-11-22T08:00:00+00:00")
COUNT = 120
STEP_S = 0.25
FIRST = 1_795_334_400  # 2026-11-22T08:00:00Z

# --- traces --------------------------------------------------------------------------------------------------------------------


def clock(index: int) -> str:
    at = 8 * 3600 + index * STEP_S
    return f"2026-11-22T{int(at // 3600):02}:{int(at % 3600 // 60):02}:{at % 60:06.3f}"


def nginx(index: int) -> str:
    return f'1.2.3.4 - - [22/Nov/2026:{clock(index)[11:19]} +0000] "POST /v1 HTTP/1.1" 200 9 "-" "-" '


def k6_point(index: int) -> str:
    point = {"time": f"{clock(index)}000000+00:00", "value": 100.0, "tags": {"status": "200"}}
    return json.dumps({"type": "Point", "data": point, "metric": "http_req_duration"})


FILES = {
    "nginx with its finest clock": ("nginx", lambda at: f"{nginx(at)}{FIRST + at * STEP_S:.3f} rt=0.100", 0.0),
    "nginx as it comes": ("nginx", nginx, 1.0),
    "nginx as JSON": ("nginx", lambda at: f'{{"t":"{clock(at)[:19]}+00:00","request_time":"0.100","u":"/v1"}}', 1.0),
    "k6 as JSON": ("k6", k6_point, 0.0),
    "k6 as CSV": ("k6", lambda at: f"http_req_duration,{int(FIRST + at * STEP_S)},100.0,200", 1.0),
}
HEADS = {"k6 as CSV": "metric_name,timestamp,metric_value,status\nhttp_reqs,1795334400,1,200\n"}
BESIDE = {"k6 as JSON": '{"type":"Metric","data":{},"metric":"http_req_duration"}\n'}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("is_packed", [False, True])
def test_what_a_server_or_a_load_generator_wrote_is_a_trace(tmp_path, name, is_packed):
    source, line, whole_s = FILES[name]
    content = HEADS.get(name, "") + BESIDE.get(name, "") + "".join(f"{line(at)}\n" for at in range(COUNT))
    (tmp_path / "log").write_bytes(gzip.compress(content.encode()) if is_packed else content.encode())

    status, _, err = ended("trace", "log", "--from", source, "-o", "trace.csv", cwd=tmp_path)

    assert 0 == status, err
    found = read_trace(tmp_path / "trace.csv").arrival_s
    expected = np.arange(COUNT) * STEP_S
    np.testing.assert_allclose(expected, found, atol=2 * whole_s + 1e-5)
    assert ("random" in err) == (whole_s > 0)
    assert all(line.startswith("note: ") for line in err.splitlines())


def test_the_history_of_locust_is_spread_over_its_intervals(tmp_path):
    rows = "".join(f"{FIRST + at},5,,Aggregated,{at * 10}\n{FIRST + at},5,GET,/x,{at * 4}\n" for at in range(1, 31))
    (tmp_path / "h.csv").write_text("Timestamp,User Count,Type,Name,Total Request Count\n" + rows)

    assert 0 == ended("trace", "h.csv", "--from", "locust", "-o", "all.csv", cwd=tmp_path)[0]
    assert 0 == ended("trace", "h.csv", "--from", "locust", "--only", "/x", "-o", "x.csv", cwd=tmp_path)[0]

    every, some = (read_trace(tmp_path / name).arrival_s for name in ("all.csv", "x.csv"))
    assert (300, 120) == (len(every), len(some))
    assert np.diff(every).max() < 2.0
    assert {"all.csv", "h.csv", "x.csv"} == {it.name for it in tmp_path.iterdir()}


def test_a_result_of_vllm_has_its_tokens_and_leaves_out_what_got_none(tmp_path):
    result = {
        "start_times": [100.0 + at for at in range(COUNT)],
        "input_lens": [50 + at for at in range(COUNT)],
        "output_lens": [0, *range(1, COUNT)],
        "ttfts": [],
    }
    (tmp_path / "r.json").write_text(json.dumps(result))

    status, _, err = ended("trace", "r.json", "--from", "vllm", "-o", "trace.csv", cwd=tmp_path)

    assert (0, "note: left out: 1 request without an answer\n") == (status, err)
    found = read_requests(tmp_path / "trace.csv")
    assert (COUNT - 1, 51, 1) == (len(found.arrival_s), found.input_tokens[0], found.output_tokens[0])


@pytest.mark.parametrize("columns", ["arrival_s", "arrival_s,sequence_length", "arrival_s,input_tokens,output_tokens"])
def test_a_table_is_written_in_our_columns_and_read_again_is_the_same(tmp_path, columns):
    names = columns.split(",")
    rows = "".join(";".join(str(at + place) for place in range(len(names))) + "\n" for at in range(1, COUNT + 1))
    (tmp_path / "t.csv").write_text(columns.replace(",", ";") + "\n" + rows)

    assert 0 == ended("trace", "t.csv", "--from", "csv", "-o", "trace.csv", cwd=tmp_path)[0]
    first = (tmp_path / "trace.csv").read_text()
    assert columns == first.splitlines()[0]
    assert 0 == ended("trace", "trace.csv", "--from", "csv", "-o", "again.csv", cwd=tmp_path)[0]
    assert first == (tmp_path / "again.csv").read_text()


def test_lines_are_chosen_and_what_was_left_out_is_said(tmp_path):
    (tmp_path / "log").write_text(
        "".join(f"{nginx(at)}\n{nginx(at).replace('/v1', '/health')}\nodd /v1\n" for at in range(COUNT))
    )

    status, out, err = ended("trace", "log", "--from", "nginx", "--only", "/v1", cwd=tmp_path)

    assert (0, COUNT + 1) == (status, len(out.splitlines()))
    assert "left out: 120 lines without a time" in err and "left out: 120 lines without '/v1'" in err


@pytest.mark.parametrize("source", ["nginx", "k6", "locust", "vllm", "csv"])
@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\xff\xfe\x00", b'{"a": [1]}\n', b"\x1f\x8b\x08broken", b"metric_name,timestamp\n1\n"]
)
def test_what_another_tool_wrote_is_refused_in_two_lines(tmp_path, source, content):
    (tmp_path / "x").write_bytes(content)

    status, out, err = ended("trace", "x", "--from", source, "-o", "trace.csv", cwd=tmp_path)

    assert is_refusal(status, err) and "" == out, err
    assert ["x"] == [it.name for it in tmp_path.iterdir()]


# --- schemas -------------------------------------------------------------------------------------------------------------------


def as_written(path: Path):
    """The tree of a YAML file with its dates as texts, which JSON has no others for."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.yaml_implicit_resolvers = {
        letter: [entry for entry in entries if "timestamp" not in entry[0]]
        for letter, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(path.read_text(), Loader=loader)


EXAMPLES = {
    **{
        path: "portfolio" if "portfolio" in path.parts[-2] or path.stem == "portfolio" else "workload"
        for path in sorted((ROOT / "examples").rglob("*.yaml"))
        if not {"ci", "cluster", "sweep.yaml"} & set(path.parts)
    },
    ROOT / "examples" / "sweep.yaml": "sweep",
    ROOT / "examples" / "ci" / "policy.yaml": "policy",
    ROOT / "advisor" / "catalog" / "policy.yaml": "policy",
    **dict.fromkeys(sorted((ROOT / "rules").glob("*.yaml")), "rule"),
    **dict.fromkeys(sorted((ROOT / "advisor" / "catalog" / "hardware").glob("*.yaml"))[:3], "hardware"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_one(kind):
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))
    assert json.loads(json.dumps(schema_of(kind))) == schema_of(kind)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda it: it.stem)
def test_every_example_is_valid_by_its_schema_and_not_with_a_key_more(path):
    validator = jsonschema.Draft202012Validator(schema_of(EXAMPLES[path]))
    tree = as_written(path)

    assert [] == [error.message for error in validator.iter_errors(tree)]
    assert not validator.is_valid(tree | {"no_such_key": 1})


WRITTEN = {
    "profile": [measured(), generation_profiles.profile(levels=(1.0,), steps=(1.0,))],
    "advice": [change(), documents.job(), generation_examples.chat(), language_examples.chat_elsewhere()],
    "classification": [documents.classification()],
    "portfolio-plan": [documents.portfolio()],
    "policy": [usual_policy()],
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_advisor_writes_is_valid_by_its_schema(kind):
    validator = jsonschema.Draft202012Validator(schema_of(kind))

    for record in WRITTEN[kind]:
        tree = msgspec.json.decode(to_json(record))
        assert [] == [f"{error.json_path}: {error.message}" for error in validator.iter_errors(tree)]
        assert not validator.is_valid(tree | {"no_such_key": 1})


def test_schemas_are_listed_printed_and_refused_by_name(tmp_path):
    _, listed, _ = ended("schema", cwd=tmp_path)
    status, printed, _ = ended("schema", "policy", cwd=tmp_path)

    assert [*KINDS] == [line.split()[0] for line in listed.splitlines()]
    assert (0, schema_of("policy")) == (status, json.loads(printed))
    assert is_refusal(*ended("schema", "polici", cwd=tmp_path)[::2])


# --- tables --------------------------------------------------------------------------------------------------------------------


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_frontier_is_a_table_with_the_figures_of_the_advice():
    rows = rows_of(table(change()))

    best = next(row for row in rows if row["role"] == "recommended")
    assert change().recommended.latency_p99_s.high == float(best["latency_p99_s_high"])
    assert {"yes", "no"} == {row["on_frontier"] for row in rows}
    assert {it.candidate.replicas for it in change().frontier} <= {int(row["replicas"]) for row in rows}


@pytest.mark.parametrize("document", [*WRITTEN["advice"], *WRITTEN["profile"]], ids=lambda it: type(it).__name__)
def test_every_document_with_figures_is_a_table(tmp_path, document):
    (tmp_path / "x.json").write_bytes(to_json(document))

    assert (0, "", "") == ended("table", "x.json", "-o", "t.csv", cwd=tmp_path)
    assert (0, "", "") == ended("table", "x.json", "-o", "t.csv", cwd=tmp_path)
    rows = rows_of((tmp_path / "t.csv").read_text())
    assert rows and all(None not in row and None not in row.values() for row in rows)


def test_measured_points_are_a_table_with_their_calls():
    rows = rows_of(table(profile(fixed_cost_law(0.002, 0.004), batch_sizes=(1, 4))))

    assert [("1", 0.006), ("4", 0.018)] == [(row["batch_size"], pytest.approx(float(row["latency_s_median"]))) for row in rows]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1", "a\nb", "\x1b[31m", "\u202ex", '"', "a,b"])
def test_no_cell_is_a_formula_or_more_than_a_cell(name):
    best = change().recommended
    named = replace(change(), recommended=replace(best, candidate=replace(best.candidate, variant=name)))

    text = table(named)

    variants = {row["variant"] for row in rows_of(text)}
    assert len(rows_of(text)) == len(text.splitlines()) - 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in variants)
    assert all(character.isprintable() or character == "\n" for character in text)


# --- quiet, and JSON -----------------------------------------------------------------------------------------------------------

TOKENS = """
name: a test
traffic: {requests_per_s: 1}
tokens: {input: {p50: 100}, output: {p50: 20}}
slo: {ttft_s: 2 s, quantile: 0.9}
hardware: {allowed: [l4]}
"""
WORKLOAD = (
    "name: a test\ntraffic: {requests_per_s: 40}\nslo: {latency_s: 500 ms}\nhardware: {price_usd_per_hour: {local: 0.17}}\n"
)


def test_advice_of_recommend_is_json_by_itself_or_nothing_at_all(tmp_path):
    (tmp_path / "w.yaml").write_text(TOKENS)
    shutil.copy(ROOT / "tests" / "data" / "configs" / "qwen3-0.6b.json", tmp_path / "config.json")
    arguments = ("recommend", "config.json", "-w", "w.yaml", *NOW)

    status, out, _ = ended(*arguments, "--format", "json", cwd=tmp_path)
    quiet = ended(*arguments, "--quiet", cwd=tmp_path)

    assert (tmp_path / "advice" / "advice.json").read_text() == out
    assert (status, "", "") == quiet


def test_a_profile_comes_from_standard_input_too(tmp_path, monkeypatch):
    (tmp_path / "w.yaml").write_text(WORKLOAD)
    content = to_json(profile(fixed_cost_law(0.002, 0.004)))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    status, out, _ = ended("advise", "-", "-w", "w.yaml", "-o", "-", *NOW, cwd=tmp_path)

    found = msgspec.json.decode(out, type=Advice)
    assert (0, None) == (status, found.profile_path)
