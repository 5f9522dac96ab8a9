"""The policy file is read as strictly as every other: units, ranges, and no limit that means nothing."""

import re
from pathlib import Path

import pytest

from advisor.errors import InputError
from advisor.files.policy import read_policy, usual_policy
from advisor.schema.gate.policy import FallLimit, Policy, QualityLimit, RiseLimit, TargetLimit, ValidityLimit

PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
READ = {
    "cost_usd_per_month: {max_increase: 5 %, max: 1200 $, level: warn}": {
        "cost_usd_per_month": RiseLimit(max_increase=0.05, max=1200.0, level="warn")
    },
    "latency_p99_s: {max: 50 ms}": {"latency_p99_s": RiseLimit(max=0.05)},
    "throughput_items_per_s: {max_decrease: 10 %, min: 40 /s}": {"throughput_items_per_s": FallLimit(max_decrease=0.1, min=40.0)},
    "decode_tokens_per_s: {min: 2 k/s}": {"decode_tokens_per_s": FallLimit(min=2000.0)},
    "quality: {max_drop: 0.5 %, min: 85 %}": {"quality": QualityLimit(max_drop=0.005, min=0.85)},
    "quality: {max: 21.5}": {"quality": QualityLimit(max=21.5)},
    "energy_joules_per_request: {max: 20 mJ}": {"energy_joules_per_request": RiseLimit(max=0.02)},
    "bytes: {max: 90 MB}": {"bytes": RiseLimit(max=90e6)},
    "meets_slo: {}": {"meets_slo": TargetLimit()},
    "valid_days: {min: 2 weeks}": {"valid_days": ValidityLimit(min=14.0)},
}
REFUSED = {
    "": "holds no keys",
    "cost: {max: 1}": "cost: unknown key",
    "cost_usd_per_month: {max: 5, maximum: 6}": "maximum: unknown key",
    "cost_usd_per_month: {}": "names no limit",
    "cost_usd_per_month: {level: error}": "names no limit",
    "cost_usd_per_month: null": "holds no limit",
    "cost_usd_per_month: {max_increase: .nan}": "cannot read '.nan' as a quantity",
    "cost_usd_per_month: {max: inf}": "cannot read 'inf' as a quantity",
    "cost_usd_per_month: {max: 1e999}": "out of range",
    "cost_usd_per_month: {max_increase: -5 %}": "expected `float` >= 0",
    "cost_usd_per_month: {max_increase: true}": "expected `float",
    "cost_usd_per_month: {max: 5 ms}": "cannot read '5 ms' as a quantity",
    "latency_p99_s: {max_increase: 5 ms}": "cannot read '5 ms' as a quantity",
    "throughput_items_per_s: {max_decrease: 150 %}": "expected `float` <= 1",
    "throughput_items_per_s: {max_increase: 5 %}": "unknown key",
    "quality: {min: 0.8, max: 0.9}": "min and max contradict each other",
    "bytes: {max: 1, level: fatal}": "invalid enum value 'fatal'",
    "bytes: {max: 1}\nbytes: {max: 2}": "given twice",
    "[1, 2]": "holds no keys",
}


@pytest.mark.parametrize("content", READ)
def test_a_limit_is_read_with_its_unit(tmp_path, content):
    path = tmp_path / "policy.yaml"
    path.write_text(content)

    assert Policy(**READ[content]) == read_policy(path)


@pytest.mark.parametrize("content", REFUSED)
def test_what_is_no_limit_is_refused_by_file_and_key(tmp_path, content):
    path = tmp_path / "policy.yaml"
    path.write_text(content)

    with pytest.raises(InputError) as raised:
        read_policy(path)

    assert raised.value.fault.startswith(f"{path}: ") and REFUSED[content] in raised.value.fault
    assert "workload" not in raised.value.hint


def test_the_usual_policy_has_something_to_say_of_every_figure():
    usual = usual_policy()

    assert [] == [name for name in Policy.__struct_fields__ if getattr(usual, name) is None]


def test_the_documentation_has_the_usual_policy_and_every_key():
    text = PAGE.read_text(encoding="utf-8")
    shown = re.search(r"```yaml\n(# policy\.yaml.*?)```", text, re.DOTALL)[1]

    assert set(Policy.__struct_fields__) <= set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"^(\w+):", shown, re.MULTILINE))


def test_a_word_that_is_none_of_those_known_is_answered_with_these(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("bytes: {max: 1, level: fatal}\n")

    with pytest.raises(InputError) as refusal:
        read_policy(path)

    assert "write one of: warn, error" == refusal.value.hint
