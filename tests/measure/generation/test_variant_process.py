"""What the process of a variant does, on a real decoder: steps, text and requests, all with one that stays open."""

import shutil

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.measure.generation.making import BASELINE, described, made
from advisor.measure.generation.step_timing import Prefill
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.generation.variant_process import Load, Setting, opened, scored, served, visited
from tests import checkpoints, seq2seq_exports

SETTING = Setting(intra_op_num_threads=1, slots=3, max_tokens=64)


@pytest.fixture(scope="module", params=[BASELINE, "int8-weight-only"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("forms")
    model = checkpoints.save(place / "model")
    digest = described(model).sha256
    for scheme in dict.fromkeys((BASELINE, request.param)):
        form = made(model, place, scheme, sha256=digest, max_tokens=64, has_vnni=False)
    return form.folder


def load(policy="prefill_first", **changes):
    random = np.random.default_rng(0)
    given = {
        "prompts": tuple(tuple(random.integers(0, 160, size=size).tolist()) for size in (5, 30, 12, 1, 20, 8)),
        "output_tokens": (6, 3, 9, 1, 12, 7),
        "arrival_s": (0.0, 0.0, 0.001, 0.001, 0.002, 500.0),
        "policy": policy,
        "max_running_requests": 3,
        "chunk_tokens": 8 if policy == "chunked" else None,
        "clock": "cpu",
    }
    return Load(**(given | changes))


@pytest.mark.parametrize("policy", ["prefill_first", "chunked"])
def test_a_served_request_gets_the_tokens_that_it_gets_alone(folder, policy):
    found = served(folder, SETTING, load(policy), sample=6)

    assert found.tokens_equal is True
    assert [6, 3, 9, 1, 12, 7] == [len(tokens) for tokens in found.replayed.tokens]
    assert "cpu" == found.replayed.clock
    assert all(np.diff(times).min(initial=0.0) >= 0 for times in found.replayed.token_s)
    # Idle waits are skipped: the wall has seen little of the minutes until the last request.
    assert found.replayed.duration_s > 500.0 > found.meanwhile.wall_s


def test_clients_wait_for_their_answers(folder):
    found = served(folder, SETTING, load(arrival_s=None, clients=2, think_s=(0.0,) * 6)).replayed

    assert 2 == sum(arrival_s == 0.0 for arrival_s in found.arrival_s)
    assert all(any(arrival_s == pytest.approx(last_s) for last_s in found.last_s()) for arrival_s in found.arrival_s[2:])


def test_what_cannot_be_served_is_refused_before_anything_is_served(folder):
    with pytest.raises(InputError, match="70 places of a cache of 64"):
        served(folder, SETTING, load(output_tokens=(66, 3, 9, 1, 12, 7)))


def test_a_decoder_stays_open_from_call_to_call(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    opened(copy, SETTING)
    shutil.rmtree(copy)

    first = visited(copy, SETTING, Prefill(tokens=4, past_tokens=60), 0.0, 1, 7)
    said = scored(copy, SETTING, Windows(tokens=((1, 2, 3),), given=1, scored_bytes=(2,)), 1.0)

    assert 7 == first.visit.order
    assert first.peak_memory_bytes > 0
    assert 2 == len(said.greedy[0])


@pytest.mark.parametrize("merged", [False, True])
def test_requests_behind_an_encoder_get_the_tokens_that_each_gets_alone(tmp_path, merged):
    export = seq2seq_exports.save(tmp_path / "export", merged=merged)
    random = np.random.default_rng(0)
    prompts = tuple(tuple(random.integers(0, 50, size=size).tolist()) for size in (5, 30, 12, 1, 20, 8))

    found = served(export, replace(SETTING, input_fraction=0.6), load(prompts=prompts), sample=6)

    assert found.tokens_equal is True
    assert [6, 3, 9, 1, 12, 7] == [len(tokens) for tokens in found.replayed.tokens]
    assert any(step.batch_size > 1 for step in found.replayed.steps)
