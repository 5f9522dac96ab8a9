"""What is timed of a decoder's forms: those that may be advised in full, and of OpenVINO its best hope before the rest."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from advisor.measure.generation.scripts import Script
from advisor.measure.generation.step_timing import Decode, Lengths, Prefill
from advisor.schema.catalog import Hardware
from advisor.steps.generation.asked import Asked
from advisor.steps.generation.judging import to_time
from advisor.steps.generation.plan import Plan
from tests.generation_profiles import perplexity, profile, variant
from tests.profiles import NOW

LENGTHS = Lengths(shortest=16, usual=64, longest=256, context=200, chunk=128)
HOLDS, LOSES = perplexity(0.01, 0.02), perplexity(0.4, 0.6)
OURS = (
    variant(),
    variant("int8", quality=HOLDS, weight_bytes=4),
    variant("openvino-fp32", engine="openvino", lossless=True, weight_bytes=8),
    variant("openvino-int8", engine="openvino", quality=HOLDS, weight_bytes=2),
)


def plan(*, wanted=(), today_threads=None, max_tokens=512, running=8):
    made = profile()
    hardware: Hardware = made.sites[0].hardware
    settings = replace(made.settings, max_context_tokens=max_tokens, max_running_requests=running)
    asked = Asked(lengths=LENGTHS, max_running=running, max_context_tokens=max_tokens, text=None, max_drop=0.05)
    return Plan(
        model=Path("model"),
        folder=Path("variants"),
        facts=made.model,
        settings=settings,
        asked=asked,
        wanted=wanted,
        today_threads=today_threads,
        versions={},
        machine=made.sites[0].machine,
        hardware=hardware,
        created=NOW,
        fingerprint="0" * 64,
    )


def kinds(points, name):
    return {type(point.step) for point in points if point.variant == name}


def test_each_engine_is_timed_by_steps_of_its_own():
    found = to_time(plan(), OURS, (1, 2))

    for name in ("fp32", "int8"):
        assert {Prefill, Decode} == kinds(found.full, name)
    for name in ("openvino-fp32", "openvino-int8"):
        assert {Script} == kinds(found.full, name)
    assert [] == found.brief == found.too_short
    assert {(entry.id, threads) for entry in OURS for threads in (1, 2)} == found.settings
    scripts = [point.step for point in found.full if isinstance(point.step, Script)]
    assert 8 == max(script.joined for script in scripts)
    assert LENGTHS.longest == max(script.prompt_tokens for script in scripts if not script.batch_size)


def test_what_loses_too_much_is_visited_only_to_be_shown():
    losing = [replace(entry, quality=LOSES) if not entry.lossless else entry for entry in OURS]

    found = to_time(plan(), losing, (1, 2))

    assert {"fp32", "openvino-fp32"} == {point.variant for point in found.full}
    assert [Script(0, 0, 64)] == [point.step for point in found.brief if point.variant == "openvino-int8"]
    assert {1} == {point.intra_op_num_threads for point in found.brief}


@pytest.mark.parametrize(
    ("asked", "soon"),
    [
        ({}, {("openvino-int8", 2)}),
        ({"today_threads": 1}, {("openvino-int8", 1), ("openvino-int8", 2)}),
        ({"wanted": ("openvino-fp32",)}, {("openvino-int8", 2), ("openvino-fp32", 2)}),
    ],
)
def test_of_openvino_all_but_the_best_hope_and_what_was_named_is_last(asked, soon):
    found = to_time(plan(**asked), OURS, (1, 2))

    every = {(name, threads) for name in ("openvino-fp32", "openvino-int8") for threads in (1, 2)}
    assert every - soon == found.last


def test_what_has_no_step_that_can_be_timed_is_named():
    found = to_time(plan(max_tokens=8, running=1), OURS, (1,))

    assert ["openvino-fp32", "openvino-int8"] == found.too_short
    assert {"fp32", "int8"} == {point.variant for point in found.full}
