"""Whatever is in a record, every command that reads it works, or refuses it in two lines."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.files.records import to_json
from tests import generation_profiles
from tests.damage import BYTES, damaged, ended, is_refusal, measured
from tests.profiles import with_site
from tests.tell.documents import DOCUMENTS

WORKLOAD = """
name: a test
traffic: {requests_per_s: 40}
slo: {latency_s: 50 ms, quantile: 0.9}
hardware: {price_usd_per_hour: {local: 0.17}}
"""
NOW = ("--now", "2026-11-22T08:00:00+00:00")
WORKS = {0, 1, 3}  # advice, nothing that keeps the target, inconclusive
PROFILE = msgspec.json.decode(to_json(measured()))
# Of all that a report can show, those that show most of it.
ADVICE = {
    name: msgspec.json.decode(to_json(DOCUMENTS[name]))
    for name in ("served", "elsewhere", "fleet", "inconclusive", "job", "chat", "chat_elsewhere")
}
TOKENS = """
name: a test
traffic: {requests_per_s: 2}
tokens: {input: {p50: 20, p95: 40}, output: {p50: 4}}
slo: {ttft_s: 500 ms, quantile: 0.5}
hardware: {price_usd_per_hour: {local: 0.17}}
"""
GENERATING = msgspec.json.decode(to_json(generation_profiles.profile(levels=(1.0, 1.02), steps=(1.0,))))
few = settings(max_examples=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "w.yaml").write_text(WORKLOAD)
    (folder / "tokens.yaml").write_text(TOKENS)
    there = msgspec.structs.replace(measured().sites[0].hardware, id="elsewhere")
    (folder / "whole.json").write_bytes(to_json(with_site(measured(), hardware=there)))
    return folder


READERS = {
    "advise": ("advise", "record.json", "-w", "w.yaml", *NOW),
    "classify": ("classify", "w.yaml", "--profile", "record.json", *NOW),
    "merge": ("merge", "whole.json", "record.json", "-o", "both.json"),
}


def works_or_refuses(folder, *arguments):
    status, _, err = ended(*arguments, cwd=folder)
    assert is_refusal(status, err) or (status in WORKS and "error:" not in err), err


@pytest.mark.parametrize("command", READERS)
def test_a_whole_profile_is_read(folder, command):
    (folder / "record.json").write_bytes(to_json(measured()))

    status, _, err = ended(*READERS[command], cwd=folder)

    assert status in WORKS, err


@few
@given(tree=damaged(PROFILE), command=st.sampled_from([*READERS]))
def test_a_profile_that_is_damaged_somewhere_is_read_or_refused(folder, tree, command):
    (folder / "record.json").write_bytes(msgspec.json.encode(tree))

    works_or_refuses(folder, *READERS[command])


GENERATION_READERS = {
    "advise": ("advise", "record.json", "-w", "tokens.yaml", *NOW),
    "one pass": ("advise", "record.json", "-w", "w.yaml", *NOW),
    "classify": ("classify", "w.yaml", "--profile", "record.json", *NOW),
    "merge": ("merge", "whole.json", "record.json", "-o", "both.json"),
}


@settings(max_examples=12)
@given(tree=damaged(GENERATING), command=st.sampled_from([*GENERATION_READERS]))
def test_a_profile_of_a_generative_model_that_is_damaged_somewhere_is_read_or_refused(folder, tree, command):
    (folder / "record.json").write_bytes(msgspec.json.encode(tree))

    works_or_refuses(folder, *GENERATION_READERS[command])


@few
@given(data=st.data(), name=st.sampled_from([*ADVICE]), format_=st.sampled_from(["html", "md", "text", "json"]))
def test_advice_that_is_damaged_somewhere_is_read_or_refused(folder, data, name, format_):
    (folder / "record.json").write_bytes(msgspec.json.encode(data.draw(damaged(ADVICE[name]))))

    works_or_refuses(folder, "report", "record.json", "--format", format_)


@settings(max_examples=15)
@given(data=st.data(), name=st.sampled_from([*ADVICE]), format_=st.sampled_from(["md", "json", "junit", "text"]))
def test_advice_that_is_damaged_somewhere_is_compared_or_refused(folder, data, name, format_):
    (folder / "record.json").write_bytes(msgspec.json.encode(data.draw(damaged(ADVICE[name]))))
    (folder / "as_was.json").write_bytes(msgspec.json.encode(ADVICE[name]))
    sides = data.draw(st.sampled_from([("as_was.json", "record.json"), ("record.json", "as_was.json")]))

    works_or_refuses(folder, "compare", *sides, "--format", format_, *NOW)
    works_or_refuses(folder, "gate", "record.json", "--format", format_, *NOW)
    works_or_refuses(folder, "table", "record.json")


@pytest.mark.parametrize("how", BYTES)
def test_bytes_that_are_no_record_are_refused(folder, how):
    content = BYTES[how](to_json(measured()))
    assert content != to_json(measured())
    (folder / "record.json").write_bytes(content)

    for command in READERS.values():
        status, _, err = ended(*command, cwd=folder)

        assert is_refusal(status, err), err
