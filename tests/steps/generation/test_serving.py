"""Requests served for real on the engine of their variant: the log of its steps says what each had to do, whichever engine it is."""

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.generation.traffic import made
from advisor.errors import InputError
from advisor.measure.generation.openvino.engine import Held, PromptPart
from advisor.measure.generation.openvino.export import write_openvino
from advisor.measure.generation.openvino.replay import MixedStep
from advisor.measure.generation.replay import Step
from advisor.steps.generation.serving import Asked, log_of, log_of_mixed, served
from tests import generation_profiles
from tests.decide.generation.replays import candidate
from tests.decoders import LLAMA, write_checkpoint
from tests.generation_profiles import variant


def test_a_loop_that_reads_and_decodes_in_turns_has_a_step_for_each():
    steps = (
        Step(kind="prefill", batch_size=1, tokens=10, context_tokens=20, began_s=0.0, took_s=0.5),
        Step(kind="decode", batch_size=3, tokens=3, context_tokens=90, began_s=0.5, took_s=0.1),
    )

    log = log_of(steps)

    assert [(0, 0, 10, 250.0, 0.5), (3, 90, 0, 0.0, 0.1)] == list(zip(*(column.tolist() for column in log), strict=True))


def test_a_step_of_several_prompts_looks_back_from_each():
    parts = (PromptPart(tokens=10, past_tokens=20), PromptPart(tokens=4, past_tokens=0))
    held = (Held(batch_size=2, context_tokens=50, prompts=parts), Held(batch_size=3, context_tokens=90, prompts=()))

    log = log_of_mixed([MixedStep(held=it, began_s=0.0, took_s=0.1) for it in held])

    assert [(2, 50, 14, 258.0, 0.1), (3, 90, 0, 0.0, 0.1)] == list(zip(*(column.tolist() for column in log), strict=True))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A tiny decoder in OpenVINO's format, and a candidate that serves it."""
    pytest.importorskip("openvino_genai")
    folder = tmp_path_factory.mktemp("serving")
    form = write_openvino(write_checkpoint(folder / "llama"), folder / "variant")
    measured = generation_profiles.profile(
        variants=(variant(engine="openvino", path="variant", sha256=form.sha256),), with_mixed=True, clock="cpu"
    )
    measured = replace(measured, model=replace(measured.model, vocabulary=LLAMA["vocab_size"]))
    way = candidate(measured, max_running_requests=3, policy="mixed", chunk_tokens=16, kv_tokens=100_000)
    return Asked(measured, measured.sites[0], way, folder)


def load(**changed):
    given = {"arrival_s": [0.0, 0.0, 0.001, 400.0], "inputs": [20, 3, 40, 9], "outputs": [4, 6, 1, 5]} | changed
    arrays = {name: np.array(values) for name, values in given.items()}
    return made(arrays["arrival_s"], arrays["inputs"], arrays["outputs"], shared_prefix=0)


def test_openvino_serves_every_request_with_the_tokens_that_it_gets_alone(asked):
    seen = served(asked, load(), limit_s=120.0)

    assert seen.tokens_equal is True
    assert [4, 6, 1, 5] == [len(times) for times in seen.replayed.token_s]
    assert "cpu" == seen.replayed.clock
    assert 72 == seen.log.tokens.sum() and 12 == seen.log.batch_size.sum()
    assert (seen.log.took_s > 0).all()


def test_clients_of_openvino_wait_for_their_answers(asked):
    seen = served(asked, load(arrival_s=[0.0] * 4)._replace(clients=2, think_s=5.0), limit_s=120.0)

    assert 20.0 > seen.replayed.duration_s > 5.0
    assert seen.log.batch_size.max() <= 2


def test_a_cache_that_could_run_full_is_refused_with_the_numbers(asked):
    small = replace(asked.candidate, kv_tokens=50)
    tight = asked._replace(candidate=small)

    with pytest.raises(InputError, match="3 of these requests side by side may take 79 tokens, and the cache holds 50"):
        served(tight, load(), limit_s=120.0)


def test_a_variant_of_openvino_that_is_no_longer_what_was_measured_is_not_served(asked):
    other = replace(asked.site, variants=(replace(asked.variant, sha256="1" * 64),))

    with pytest.raises(InputError, match="no longer what was measured"):
        served(asked._replace(site=other), load(), limit_s=120.0)
