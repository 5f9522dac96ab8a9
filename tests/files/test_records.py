"""Files: what is read is refused with file, key and way out or understood, and what is written reads as what it was."""

import math
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import AdvisorError, InputError
from advisor.files.records import read_json, read_yaml, sha256, to_json, write_record
from advisor.schema.advice import Advice
from advisor.schema.catalog import Scheme
from advisor.schema.profile import Profile
from advisor.schema.record import SCHEMA_VERSION, Record
from advisor.schema.workload import Workload
from tests.profiles import power_law, profile, with_site

WORKLOAD = """
name: a test
traffic: {requests_per_s: 40 /s, burstiness_cv: 1.5}
inputs: {sequence_length: {p50: 32, p95: "128"}}
slo: {latency_s: 50 ms, quantile: 99 %}
quality: {metric: accuracy, max_drop: 1 %, data: data.npz}
lifecycle: {horizon_months: 2 years, growth_per_month: 5 %, fine_tuning_usd: 2 k$, labels_usd: 0}
hardware: {price_usd_per_hour: {local: 0.34 $/h}}
baseline: {max_batch_size: 8, max_queue_delay_s: 2 ms}
"""
MEASURED = profile(power_law(0.01))


def written(tmp_path, content):
    path = tmp_path / "workload.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal_of(path, record=Workload):
    with pytest.raises(InputError) as refusal:
        read_yaml(path, record)
    assert str(path) in refusal.value.fault and refusal.value.hint
    return refusal.value


# --- what people write ---------------------------------------------------------------------------------------------------


def test_numbers_carry_the_units_that_their_field_allows(tmp_path):
    workload = read_yaml(written(tmp_path, WORKLOAD), Workload)

    assert (40.0, 1.5) == (workload.traffic.requests_per_s, workload.traffic.burstiness_cv)
    assert (0.05, 0.99, 0.01) == (workload.slo.latency_s, workload.slo.quantile, workload.quality.max_drop)
    assert (24.0, 0.05, 2000.0) == (
        workload.lifecycle.horizon_months,
        workload.lifecycle.growth_per_month,
        workload.lifecycle.fine_tuning_usd,
    )
    assert (128, 8, 0.002) == (
        workload.inputs.sequence_length.p95,
        workload.baseline.max_batch_size,
        workload.baseline.max_queue_delay_s,
    )
    assert {"local": 0.34} == workload.hardware.price_usd_per_hour


def test_a_list_of_numbers_is_read_as_numbers(tmp_path):
    content = WORKLOAD.replace("burstiness_cv: 1.5", "diurnal: [0, 010, 2.5, 1e1]")

    assert (0.0, 10.0, 2.5, 10.0) == read_yaml(written(tmp_path, content), Workload).traffic.diurnal


@pytest.mark.parametrize(("text", "expected"), [("010", 10), ("1_000", 1000), ("1e2", 100), ("0100", 100)])
def test_a_number_is_what_a_person_reads_not_what_yaml_does(tmp_path, text, expected):
    assert expected == read_yaml(written(tmp_path, WORKLOAD.replace("40 /s", text)), Workload).traffic.requests_per_s


def test_a_name_may_look_like_a_number_or_a_date(tmp_path):
    assert "2026-11-22" == read_yaml(written(tmp_path, WORKLOAD.replace("a test", "2026-11-22")), Workload).name


@pytest.mark.parametrize("nothing", ["null", "~", ""])
def test_nothing_written_is_nothing_known(tmp_path, nothing):
    assert read_yaml(written(tmp_path, WORKLOAD.replace("data.npz", nothing)), Workload).quality.data is None


def test_what_is_written_once_may_be_referred_to(tmp_path):
    content = WORKLOAD.replace("p50: 32", "p50: &usual 32").replace('"128"', "*usual")

    assert 32 == read_yaml(written(tmp_path, content), Workload).inputs.sequence_length.p95


@pytest.mark.parametrize(
    ("key", "suggestion", "old", "new"),
    [
        ("budget", "known keys here: name, traffic", "name: a test", "name: a test\nbudget: 3"),
        ("slo.latency", "did you mean latency_s?", "latency_s", "latency"),
        ("traffic.request_per_s", "did you mean requests_per_s?", "requests_per_s", "request_per_s"),
        ("inputs.sequence_length.p_50", "did you mean p50?", "p50", "p_50"),
        ("hardware.tariff", "known keys here: allowed, price_usd_per_hour", "price_usd_per_hour", "tariff"),
        ("baseline.1", "known keys here", "max_batch_size", "1"),
        ("quality.null", "known keys here", "metric", "null"),
        ("slo.<<", "known keys here", "quantile", "<<"),
    ],
)
def test_an_unknown_key_is_refused_at_any_depth_with_the_nearest_that_is_known(tmp_path, key, suggestion, old, new):
    refusal = refusal_of(written(tmp_path, WORKLOAD.replace(old, new)))

    assert refusal.fault.endswith(f": {key}: unknown key") and suggestion in refusal.hint


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("traffic.requests_per_s", "40 /s", "-40"),
        ("traffic.requests_per_s", "40 /s", "0"),
        ("traffic.requests_per_s", "40 /s", ".nan"),
        ("traffic.requests_per_s", "40 /s", "nan"),
        ("traffic.requests_per_s", "40 /s", ".inf"),
        ("traffic.requests_per_s", "40 /s", "1e400"),
        ("traffic.requests_per_s", "40 /s", "1.0e+400"),
        ("traffic.requests_per_s", "40 /s", "1" + "0" * 5000),
        ("traffic.requests_per_s", "40 /s", "40 ms"),
        ("traffic.requests_per_s", "40 /s", "1:30"),
        ("traffic.requests_per_s", "40 /s", "yes"),
        ("traffic.requests_per_s", "40 /s", "[40]"),
        ("traffic.requests_per_s", "40 /s", "{mean: 40}"),
        ("traffic.requests_per_s", "40 /s", "2026-99-99"),
        ("traffic.requests_per_s", "40 /s", "!!float fast"),
        ("traffic.requests_per_s", "40 /s", "!!timestamp fast"),
        ("traffic.burstiness_cv", "1.5", "150 %"),
        ("traffic.diurnal", "1.5", "1.5, diurnal: 24"),
        ("traffic.diurnal", "1.5", "1.5, diurnal: [1]"),
        ("traffic.diurnal", "1.5", f"1.5, diurnal: [{'1, ' * 1441}]"),
        ("traffic.diurnal", "1.5", "1.5, diurnal: [1, night]"),
        ("traffic.diurnal", "1.5", "1.5, diurnal: [1, 2 /s]"),
        ("traffic.diurnal[1]", "1.5", "1.5, diurnal: [1, -1]"),
        ("traffic.diurnal[1]", "1.5", "1.5, diurnal: [1, [2]]"),
        ("slo.latency_s", "50 ms", "50 parsecs"),
        ("slo.latency_s", "50 ms", "0 ms"),
        ("slo.quantile", "99 %", "99"),
        ("slo.quantile", "99 %", "100 %"),
        ("inputs.sequence_length.p50", "p50: 32", "p50: 32.5"),
        ("inputs.sequence_length.p50", "p50: 32", "p50: 0"),
        ("inputs.sequence_length.p50", "p50: 32", "p50: 32 tokens"),
        ("quality.max_drop", "1 %", "-1 %"),
        ("lifecycle.horizon_months", "2 years", "2 days"),
        ("lifecycle.growth_per_month", "5 %", "500 %"),
        ("hardware.price_usd_per_hour.local", "0.34 $/h", "cheap"),
        ("hardware.price_usd_per_hour", "{local: 0.34 $/h}", "0.34"),
        ("hardware.allowed", "price_usd", "allowed: local, price_usd"),
        ("hardware.allowed", "price_usd", "allowed: [], price_usd"),
        ("baseline.max_batch_size", "size: 8", "size: true"),
        ("traffic", "{requests_per_s: 40 /s, burstiness_cv: 1.5}", "40 /s"),
        ("name", "a test", ""),
        ("name", "a test", "[a, test]"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_key(tmp_path, key, old, new):
    refusal = refusal_of(written(tmp_path, WORKLOAD.replace(old, new, 1)))

    assert f": {key}: " in refusal.fault and len(refusal.fault) < len(str(tmp_path)) + 200


@pytest.mark.parametrize(
    ("key", "old", "new"), [("slo", "slo:", "slo: {latency_s: 1}\nslo:"), ("slo.latency_s", "slo: {", "slo: {latency_s: 1, ")]
)
def test_a_key_that_is_given_twice_is_refused(tmp_path, key, old, new):
    refusal = refusal_of(written(tmp_path, WORKLOAD.replace(old, new)))

    assert refusal.fault.endswith(f": {key}: given twice")


@pytest.mark.parametrize(
    ("key", "content"), [("name", "traffic: {requests_per_s: 1}"), ("deadline_s", "name: a\noffline: {items: 5}")]
)
def test_a_missing_key_is_named(tmp_path, key, content):
    assert f"`{key}`" in refusal_of(written(tmp_path, content)).fault


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing but a comment",
        "- a\n- list",
        "text",
        "null",
        b"\x00\x01\x02",
        b"\xff\xfe\xfd",
        b"name: \xe9\xe9",
        "name:\ta\n\tslo: 1",
        "name: [",
        "name: *nobody",
        "name: a\n---\nname: b",
        "a: &a [*a]",
        "traffic: &t {requests_per_s: *t}",
        "%YAML 9.9\n---\na: 1",
        "[" * 3000,
        "- " * 3000,
        "{a: " * 3000,
        "!!python/object/apply:os.system [false]",
    ],
)
def test_what_is_no_workload_at_all_is_refused(tmp_path, content):
    refusal_of(written(tmp_path, content))


def test_aliases_that_multiply_do_not_fill_the_memory(tmp_path):
    levels = "\n".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 30))

    refusal_of(written(tmp_path, f"l0: &l0 [x]\n{levels}"))


def test_half_a_character_does_not_reach_a_file_that_must_be_written(tmp_path):
    workload = read_yaml(written(tmp_path, WORKLOAD.replace("a test", r'"\ud800"')), Workload)

    assert msgspec.json.decode(to_json(workload), type=Workload) == workload


_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["50 ms", "1 %", "local", "*a", "&a"])
)
_keys = st.sampled_from(
    [*Workload.__struct_fields__, "requests_per_s", "latency_s", "price_usd_per_hour", "p50", "local"]
) | st.text(max_size=5)
_trees = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4), max_leaves=12
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(_keys, _trees, max_size=5), st.sampled_from([Workload, Scheme]))
def test_any_tree_is_a_record_or_refused(tmp_path_factory, tree, record):
    path = tmp_path_factory.mktemp("tree") / "file.yaml"
    path.write_bytes(msgspec.yaml.encode(tree))

    try:
        assert isinstance(read_yaml(path, record), record)
    except AdvisorError as refusal:
        assert str(path) in refusal.fault and refusal.hint


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60) | st.text(alphabet="ab:{}[]&*!|>-?#%@`\"' \n\t0", max_size=40).map(str.encode))
def test_any_bytes_are_a_record_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "file.yaml"
    path.write_bytes(content)

    with pytest.raises(AdvisorError, match=r"file\.yaml"):
        read_yaml(path, Workload)


class Anything(Record, frozen=True, kw_only=True):
    """A record of whatever stands under two keys."""

    a: Any = None
    b: Any = None


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["a: ", "b: ", "- ", "\n", "  ", *"[]{},:'\"#&*%~ab", "1 ms", "null", "---\n"]), max_size=14))
def test_a_document_says_the_same_to_the_quick_parser_and_the_other_one(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("parsers") / "file.yaml"
    path.write_text("".join(parts))

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("yaml.CSafeLoader", raising=False)
        expected = record_or_fault(path)

    assert expected == record_or_fault(path)


def record_or_fault(path):
    try:
        return read_yaml(path, Anything)
    except InputError as error:
        return error.fault


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a:\n" + "\n".join(" " * n + "a:" for n in range(1, 2000))]
)
def test_a_document_that_is_nested_too_deep_is_refused(tmp_path, text):
    (tmp_path / "file.yaml").write_text(text)

    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(tmp_path / "file.yaml", Anything)


# --- what advisor writes -------------------------------------------------------------------------------------------------


def test_a_record_comes_back_from_its_file(tmp_path):
    write_record(tmp_path / "profile.json", MEASURED)

    assert MEASURED == read_json(tmp_path / "profile.json", Profile, made_by="advisor profile")


def test_a_file_ends_in_a_newline_and_reads_line_by_line():
    text = to_json(MEASURED).decode()

    assert text.endswith("}\n") and len(text.splitlines()) > 100


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("not a file that this version of advisor wrote", b""),
        ("not a file that this version of advisor wrote", b"hello"),
        ("not a file that this version of advisor wrote", b"[]"),
        ("not a file that this version of advisor wrote", b"{}"),
        ("not a file that this version of advisor wrote", b"\xff\xfe"),
        ("not a file that this version of advisor wrote", b'{"schema_version": "1"}'),
        (
            "not a file that this version of advisor wrote",
            f'{{"schema_version": {SCHEMA_VERSION}, "x": '.encode() + b"[" * 100_000,
        ),
        ("not a file that this version of advisor wrote", to_json(MEASURED)[:-20]),
        ("not a file that this version of advisor wrote", to_json(MEASURED).replace(b'"created"', b'"creator"')),
        (
            f"schema version 99, but this advisor reads {SCHEMA_VERSION}",
            to_json(msgspec.structs.replace(MEASURED, schema_version=99)),
        ),
        (f"schema version 0, but this advisor reads {SCHEMA_VERSION}", b'{"schema_version": 0, "of": "another time"}'),
    ],
)
def test_what_advisor_did_not_write_is_refused_with_the_command_that_would(tmp_path, said, content):
    path = tmp_path / "profile.json"
    path.write_bytes(content)

    with pytest.raises(InputError) as refusal:
        read_json(path, Profile, made_by="advisor profile")

    assert refusal.value.fault.startswith(f"{path}: ") and said in refusal.value.fault
    assert refusal.value.hint.endswith("with `advisor profile`")


def test_a_profile_is_no_advice(tmp_path):
    write_record(tmp_path / "profile.json", MEASURED)

    with pytest.raises(InputError, match="not a file that this version of advisor wrote"):
        read_json(tmp_path / "profile.json", Advice, made_by="advisor advise")


def test_a_missing_file_and_a_folder_are_refused_by_path(tmp_path):
    for path, said in ((tmp_path / "nowhere" / "w.yaml", "no such file"), (tmp_path, "Is a directory")):
        assert refusal_of(path).fault == f"{path}: {said}"


def test_a_file_that_may_not_be_read_is_refused_by_path(tmp_path):
    path = written(tmp_path, WORKLOAD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")

    assert "Permission denied" in refusal_of(path).fault


def test_a_text_that_no_file_can_hold_is_refused():
    with pytest.raises(InputError, match="cannot be encoded as text"):
        to_json(with_site(MEASURED, created="\udcff"))


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")

    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" == sha256(tmp_path / "file")


def test_every_number_that_is_read_is_finite(tmp_path):
    def numbers(tree):
        if isinstance(tree, dict | list | tuple):
            for entry in tree.values() if isinstance(tree, dict) else tree:
                yield from numbers(entry)
        elif isinstance(tree, float):
            yield tree

    workload = read_yaml(written(tmp_path, WORKLOAD), Workload)

    assert all(map(math.isfinite, numbers(msgspec.to_builtins(workload))))
