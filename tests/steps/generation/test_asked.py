"""What a workload asks of a profile: lengths within the model's context, as many rows as memory holds, and its text."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.files.workload import read_question
from advisor.measure.generation.step_timing import Prefill, decode_steps, prefill_steps
from advisor.schema.generation import DecoderFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import SequenceLength
from advisor.steps.generation.asked import asked_of, longest_of
from tests.generation_profiles import encoder

FACTS = DecoderFacts(
    sha256="a" * 64,
    architecture="LlamaForCausalLM",
    given_as="checkpoint",
    parameters=1000,
    layers=2,
    attention_heads=4,
    kv_heads=2,
    head_dimension=16,
    hidden_size=64,
    vocabulary=97,
    context_tokens=2048,
    kv_bytes_per_token=1000,
)
WORKLOAD = """
name: chat
traffic: {TRAFFIC}
tokens: {input: {p50: 100, p95: 400, max: 800}, output: {p50: 40, p95: 120, max: 200}}
slo: {ttft_s: 2 s, tpot_s: 0.1 s}
hardware: {price_usd_per_hour: {local: 0.1}}
quality: {metric: perplexity, max_drop: 0.05, data: text.txt}
"""


def asked(tmp_path, *, traffic="{requests_per_s: 1}", free_bytes=10**9, facts=FACTS, **options):
    (tmp_path / "text.txt").write_text("words")
    path = tmp_path / "workload.yaml"
    path.write_text(WORKLOAD.replace("{TRAFFIC}", traffic))
    given = ProfileOptions(workload=path, **options)
    return asked_of(facts, read_question(path), given, free_bytes=free_bytes)


def test_lengths_are_those_of_the_workload(tmp_path):
    found = asked(tmp_path)

    assert (100, 800, 520, 25) == (found.lengths.usual, found.lengths.longest, found.lengths.context, found.lengths.shortest)
    assert 1000 == found.max_context_tokens
    assert tmp_path / "text.txt" == found.text
    assert 0.05 == found.max_drop


def test_requests_longer_than_the_context_are_measured_as_far_as_it_goes(tmp_path):
    found = asked(tmp_path, facts=replace(FACTS, context_tokens=300))

    assert 300 == found.max_context_tokens
    steps = (*prefill_steps(found.lengths), *decode_steps(found.max_running, found.lengths))
    assert all(step.tokens + step.past_tokens <= 300 for step in steps if isinstance(step, Prefill))
    assert all(step.context_tokens < 300 * step.batch_size for step in steps if not isinstance(step, Prefill))


def test_usual_requests_that_do_not_fit_the_context_are_refused(tmp_path):
    short = replace(FACTS, context_tokens=128)

    with pytest.raises(InputError, match="100 tokens to read and 40 to write, and the model has a context of 128"):
        asked(tmp_path, facts=short)


def test_a_cache_that_cannot_hold_one_request_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"one request of 1,000 tokens takes a cache of 1 MB, and 2 MB of memory are free here"):
        asked(tmp_path, free_bytes=2 * 10**6)


def test_as_many_requests_run_as_the_memory_holds(tmp_path):
    assert 4 == asked(tmp_path, free_bytes=4 * 6 * 10**6).max_running


@pytest.mark.parametrize(
    ("traffic", "running"),
    [
        ("{requests_per_s: 0.01}", 8),
        ("{requests_per_s: 0.5}", 14),
        ("{requests_per_s: 100}", 32),
        ("{clients: 20}", 20),
        ("{clients: 3}", 8),
    ],
)
def test_as_many_requests_are_timed_as_the_traffic_brings_together(tmp_path, traffic, running):
    assert running == asked(tmp_path, traffic=traffic).max_running


def test_the_user_may_ask_for_fewer(tmp_path):
    assert 2 == asked(tmp_path, max_batch_size=2).max_running


def test_without_a_workload_usual_requests_are_measured():
    found = asked_of(FACTS, None, ProfileOptions(), free_bytes=None)

    assert (128, 8) == (found.lengths.usual, found.max_running)
    assert found.text is None
    assert found.max_drop is None


def test_lengths_of_a_short_model_are_within_its_context():
    tiny = replace(FACTS, context_tokens=32)

    found = asked_of(tiny, None, ProfileOptions(), free_bytes=None)

    assert 32 == found.max_context_tokens
    assert max(found.lengths[:4]) < 32


def test_a_law_without_limit_ends_where_hardly_any_request_is_longer():
    assert 400 == longest_of(SequenceLength(p50=100, p95=200, max=400))
    assert 100 == longest_of(SequenceLength(p50=100))
    assert 200 < longest_of(SequenceLength(p50=100, p95=200)) < 400


def test_the_text_lies_beside_the_workload(tmp_path):
    assert Path("text.txt") == asked(tmp_path).text.relative_to(tmp_path)


def test_lengths_of_an_encoder_and_of_its_decoder_are_within_their_own_positions(tmp_path):
    found = asked(tmp_path, facts=replace(FACTS, encoder=encoder(inputs=256, outputs=100), context_tokens=356))

    assert 356 == found.max_context_tokens
    assert (100, 256, "whole") == (found.lengths.usual, found.lengths.longest, found.lengths.prompts)
    assert found.lengths.context <= 355
    # Of an answer of 40 tokens half is there on average.
    assert 100 / 120 == pytest.approx(found.input_fraction)


def test_sounds_are_all_as_long_as_the_encoder(tmp_path):
    found = asked(tmp_path, facts=replace(FACTS, encoder=encoder(reads="frames", inputs=1500), context_tokens=1700))

    assert (1500, 1500, 1500, "alike") == (
        *(found.lengths.shortest, found.lengths.usual, found.lengths.longest, found.lengths.prompts),
    )
    assert 1500 + 120 == found.lengths.context and 1700 == found.max_context_tokens


def test_usual_inputs_that_an_encoder_does_not_read_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"an input of 100 tokens \(p50\): the encoder reads 64"):
        asked(tmp_path, facts=replace(FACTS, encoder=encoder(inputs=64)))


def test_without_a_workload_an_encoder_of_few_positions_is_measured_as_far_as_it_goes():
    facts = replace(FACTS, encoder=encoder(inputs=16, outputs=8), context_tokens=24)

    found = asked_of(facts, None, ProfileOptions(), free_bytes=None)

    assert 24 == found.max_context_tokens and 16 == found.lengths.usual == found.lengths.longest
