"""OpenVINO's engine, step by step: what each step holds, and the tokens that the decoder gives."""

import shutil
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError, MissingDependencyError, ModelError
from advisor.measure.decoder.decoder_folder import Label, write_label
from advisor.measure.generation.openvino.engine import (
    Draft,
    Engine,
    Held,
    Lookup,
    PromptPart,
    Request,
    engine_clock,
    open_engine,
    schedule,
)
from advisor.measure.generation.openvino.export import write_openvino
from advisor.schema.generation import DecoderFacts
from tests.decoders import KV_TOKENS, MAX_RUNNING, write_checkpoint

FACTS = DecoderFacts(
    sha256="0" * 64,
    architecture="LlamaForCausalLM",
    given_as="checkpoint",
    parameters=1,
    layers=1,
    attention_heads=1,
    kv_heads=1,
    head_dimension=16,
    hidden_size=16,
    vocabulary=8,
    context_tokens=64,
    kv_bytes_per_token=128,
)


def read(prompt_tokens, generated):
    """Return a request whose prompt is read and that has got so many tokens."""
    return Request(prompt_tokens, 100, read=prompt_tokens, tokens=[0] * generated)


def greedy(plain, prompt, count):
    """Return the likeliest tokens one after the other, each from the whole text before it."""
    found = prompt.tolist()
    for _ in range(count):
        found.append(int(plain.logits(np.array(found, dtype=np.int64))[-1].argmax()))
    return found[len(prompt) :]


def finish(engine, found):
    """Make steps until nobody runs, and gather the tokens."""
    while engine.running:
        for number, new in engine.step().items():
            found.setdefault(number, []).extend(new)
    return found


def test_a_step_decodes_all_that_run_and_reads_prompts_in_order_with_what_is_left():
    waiting = [Request(20, 5), Request(30, 5, read=4), Request(7, 5)]

    held, reads = schedule([read(10, 1), *waiting, read(5, 4)], 32)

    prompts = (PromptPart(tokens=20, past_tokens=0), PromptPart(tokens=10, past_tokens=4))
    assert Held(batch_size=2, context_tokens=10 + 5 + 3, prompts=prompts) == held
    assert [0, 20, 10, 0, 0] == reads
    assert 30 == held.prompt_tokens


def test_tokens_that_are_proposed_take_room_from_prompts():
    held, _ = schedule([read(10, 1), Request(40, 5)], 32, proposed=4)

    assert (PromptPart(tokens=27, past_tokens=0),) == held.prompts


requests = st.builds(
    lambda prompt, part, generated: read(prompt, generated) if part >= prompt else Request(prompt, 100, read=part),
    st.integers(1, 50),
    st.integers(0, 80),
    st.integers(1, 9),
)


@given(st.lists(requests, max_size=8), st.integers(9, 60))
def test_a_step_never_reads_past_a_prompt_nor_past_its_budget_and_no_prompt_overtakes_another(listed, budget):
    held, reads = schedule(listed, budget)

    assert all(0 <= tokens <= request.prompt_tokens - request.read for request, tokens in zip(listed, reads, strict=True))
    assert held.batch_size + held.prompt_tokens <= budget
    unread = [(request, tokens) for request, tokens in zip(listed, reads, strict=True) if not request.is_read]
    whole = [request.read + tokens == request.prompt_tokens for request, tokens in unread]
    assert whole == sorted(whole, reverse=True)
    assert all(not tokens for _, tokens in unread[whole.count(True) + 1 :])
    assert sum(whole) == len(whole) or held.batch_size + held.prompt_tokens == budget


def test_it_gives_the_tokens_of_the_decoder_also_where_a_prompt_is_read_in_chunks(engine, plain, prompts):
    for number, prompt in enumerate(prompts[:MAX_RUNNING]):
        engine.add(number, prompt, 6)

    found = finish(engine, {})

    assert {number: greedy(plain, prompt, 6) for number, prompt in enumerate(prompts[:MAX_RUNNING])} == found


def test_a_request_that_joins_later_changes_nothing_for_the_others(engine, plain, prompts):
    engine.add(0, prompts[0], 8)
    found = {0: [token for _ in range(3) for token in engine.step().get(0, [])]}
    engine.add(1, prompts[1], 4)

    finish(engine, found)

    assert {0: greedy(plain, prompts[0], 8), 1: greedy(plain, prompts[1], 4)} == found


def test_what_the_next_step_holds_is_known_before(engine, prompts):
    engine.add(0, prompts[0], 8)
    engine.add(1, prompts[1], 8)
    parts = []
    while not parts or parts[-1].prompts:
        parts.append(engine.next_held())
        engine.step()

    # 3 tokens of the first prompt and 13 of the second; then one of the answer, and 15.
    assert [(0, 0), (1, 3), (1, 4), (2, 45)] == [(held.batch_size, held.context_tokens) for held in parts]
    assert [(3, 13), (15,), (12,), ()] == [tuple(part.tokens for part in held.prompts) for held in parts]


def test_what_is_dropped_leaves_the_engine_as_it_was(engine, plain, prompts):
    for number, prompt in enumerate(prompts[:MAX_RUNNING]):
        engine.add(number, prompt, 50)
    engine.step()

    engine.drop()

    assert 0 == engine.running
    engine.add(0, prompts[2], 5)
    assert {0: greedy(plain, prompts[2], 5)} == finish(engine, {})


def test_with_lookup_the_tokens_are_the_same_and_come_in_fewer_steps(written, plain, prompts):
    pytest.importorskip("openvino_genai")
    again = np.tile(prompts[0], 12)

    size = {"threads": 1, "max_running": 2, "budget_tokens": 32, "kv_tokens": KV_TOKENS}
    with open_engine(written, **size, proposer=Lookup(tokens=4, longest_match=3)) as engine:
        engine.add(0, again, 60)
        engine.add(1, prompts[0], 20)
        steps, found = 0, {}
        while engine.running:
            steps += 1
            for number, new in engine.step().items():
                found.setdefault(number, []).extend(new)

    assert {0: greedy(plain, again, 60), 1: greedy(plain, prompts[0], 20)} == found
    assert steps < 60


@pytest.mark.parametrize("is_the_model", [True, False])
def test_with_a_draft_the_tokens_are_the_same_however_good_it_is(written, plain, prompts, is_the_model, tmp_path):
    pytest.importorskip("openvino_genai")
    if is_the_model:
        shutil.copytree(written, tmp_path / "draft")
    else:
        write_openvino(write_checkpoint(tmp_path / "one", num_hidden_layers=1), tmp_path / "draft")
    size = {"threads": 1, "max_running": 2, "budget_tokens": 32, "kv_tokens": KV_TOKENS}
    asked = {0: (prompts[1], 20), 1: (prompts[0], 12)}
    with open_engine(written, **size, proposer=Draft(tmp_path / "draft", 3)) as engine:
        for number, (prompt, tokens) in asked.items():
            engine.add(number, prompt, tokens)
        steps, found = 0, {}
        while engine.running:
            steps += 1
            for number, new in engine.step().items():
                found.setdefault(number, []).extend(new)

    assert {number: greedy(plain, prompt, tokens) for number, (prompt, tokens) in asked.items()} == found
    assert steps < 20 - 3 or not is_the_model


class Elsewhere:
    """An engine that schedules as none does: every request gets a token at once, however long its prompt is."""

    def step(self):
        """Do nothing."""

    def can_read(self):
        """There is always one more."""
        self.asked = not getattr(self, "asked", False)
        return self.asked

    def read(self):
        """Give a token."""
        return {0: type("Output", (), {"generated_ids": [1]})}


def test_an_engine_that_does_not_follow_the_rule_is_found_out():
    there = Elsewhere()
    engine = Engine(
        there, lambda *_: there, threads=1, max_running=1, budget_tokens=8, kv_tokens=64, max_tokens=64, vocabulary=8, proposed=0
    )
    engine.add(0, np.zeros(20, dtype=np.int64), 5)

    with pytest.raises(ModelError, match="gave 1 tokens to a request where its scheduler was to give 0"):
        engine.step()


@pytest.fixture
def labeled(tmp_path):
    write_label(tmp_path, Label(facts=FACTS, scheme="fp32", max_tokens=64, weight_bytes=1))
    return tmp_path


@pytest.mark.parametrize("package", ["openvino", "openvino_genai"])
def test_without_the_extra_it_is_said_by_name(package, labeled, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingDependencyError, match=f"needs the package {package.replace('_', '-')}$") as refused:
        open_engine(labeled, threads=1, max_running=1, budget_tokens=8, kv_tokens=64)

    assert "pip install 'serving-advisor[openvino]'" == refused.value.hint


@pytest.mark.parametrize(("budget", "proposer"), [(4, None), (20, Lookup(tokens=4))])
def test_a_budget_that_running_requests_take_whole_is_refused(budget, proposer, labeled):
    with pytest.raises(InputError, match="nothing is left to read prompts"):
        open_engine(labeled, threads=1, max_running=4, budget_tokens=budget, kv_tokens=64, proposer=proposer)


def test_a_folder_without_a_model_is_an_error(labeled):
    pytest.importorskip("openvino_genai")

    with pytest.raises(ModelError, match="OpenVINO cannot load it"):
        open_engine(labeled, threads=1, max_running=1, budget_tokens=8, kv_tokens=64)


def test_a_request_longer_than_its_positions_is_refused(engine):
    engine.check(100, 60)

    with pytest.raises(InputError, match="101 tokens to read and 60 to write are more than the 160 a request"):
        engine.check(101, 60)


@pytest.mark.parametrize("kind", ["wall", "cpu"])
def test_clocks_go_on_to_the_moment_that_is_waited_for(kind):
    clock = engine_clock(kind, 2)

    clock.wait_until(0.01)

    assert kind == clock.kind
    assert clock.now_s() >= 0.01
