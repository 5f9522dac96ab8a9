"""A model with an encoder and a decoder, step by step: what it gives is what can be worked out by hand, and what transformers gives."""

import importlib.util

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.decoder import numpy_decoder
from advisor.measure.decoder.encoder_decoder import EncoderDecoder
from advisor.measure.generation.replay import tokens_alone
from advisor.measure.generation.step_timing import Bench, Decode, Prefill
from advisor.measure.model import checkpoint
from tests import seq2seq_exports

has_optimum = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("optimum", "torch", "transformers")),
    reason="the extra hf is not installed",
)
INPUTS = [np.array([3, 4, 5, 6, 7]), np.array([9]), np.array([20, 21, 22])]


@pytest.fixture(params=[False, True], ids=["two files", "merged"])
def folder(request, tmp_path):
    return seq2seq_exports.save(tmp_path / "export", merged=request.param)


def opened(folder, *, slots=3, max_tokens=64, **settings):
    return EncoderDecoder.open(folder, threads=1, slots=slots, max_tokens=max_tokens, **settings)


def test_requests_of_other_lengths_get_what_each_gets_by_hand(folder):
    with opened(folder) as decoder:
        first = [decoder.prefill(tokens, slot) for slot, tokens in enumerate(INPUTS)]
        places = np.array([len(tokens) for tokens in INPUTS])
        second = decoder.decode(np.array([11, 12, 13]), places)
        third = decoder.decode(np.array([31, 32, 33]), places + 1)

    for slot, tokens in enumerate(INPUTS):
        read = seq2seq_exports.states(tokens)
        for answer, found in (([], first), ([11 + slot], second), ([11 + slot, 31 + slot], third)):
            np.testing.assert_allclose(seq2seq_exports.logits(read, [0, *answer]), found[slot], atol=1e-5)


def test_a_step_can_be_made_again_from_where_it_began(folder):
    with opened(folder) as decoder:
        decoder.prefill(INPUTS[0], 0)
        found = [decoder.decode(np.array([token]), np.array([5]))[0] for token in (11, 12, 11)]
        behind = decoder.decode(np.array([8]), np.array([6]))[0]
        back = decoder.decode(np.array([12]), np.array([5]))[0]

    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], back)
    np.testing.assert_allclose(seq2seq_exports.logits(seq2seq_exports.states(INPUTS[0]), [0, 11, 8]), behind, atol=1e-5)


def test_a_request_takes_its_place_with_it_when_it_moves(folder):
    with opened(folder) as decoder:
        decoder.prefill(INPUTS[2], 2)
        decoder.prefill(INPUTS[0], 0)
        decoder.move(2, 0, 3)
        decoder.prefill(INPUTS[1], 2)
        found = decoder.decode(np.array([11]), np.array([3]))[0]

    np.testing.assert_allclose(seq2seq_exports.logits(seq2seq_exports.states(INPUTS[2]), [0, 11]), found, atol=1e-5)


def test_what_is_behind_the_place_that_moves_is_forgotten(folder):
    with opened(folder) as decoder:
        decoder.prefill(INPUTS[0], 0)
        for place, token in enumerate((11, 12, 13)):
            decoder.decode(np.array([token]), np.array([5 + place]))
        decoder.move(0, 1, 6)
        decoder.move(1, 0, 6)
        found = decoder.decode(np.array([14]), np.array([6]))[0]

    np.testing.assert_allclose(seq2seq_exports.logits(seq2seq_exports.states(INPUTS[0]), [0, 11, 14]), found, atol=1e-5)


def test_steps_are_timed_behind_inputs_and_answers_that_nobody_has_read(folder):
    with opened(folder, slots=2, input_fraction=0.75) as decoder:
        bench = Bench(decoder, 1)
        for step in (
            Decode(batch_size=2, context_tokens=41),
            Prefill(tokens=4),
            Decode(batch_size=1, context_tokens=1),
            Decode(batch_size=2, context_tokens=41),
        ):
            assert bench.visit(step, 0, seconds=0.0, warm_up_calls=2).wall_s


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_a_timed_context_is_an_input_and_an_answer_in_the_parts_that_were_asked_for(folder, fraction):
    with opened(folder, slots=1, input_fraction=fraction) as decoder:
        decoder.fill(0, 40)
        found = decoder.decode(np.array([7]), np.array([40]))[0]

    # Nothing counts as zeros: of the answer, the token that was given stands beside 40 less the input's, and the one it began with.
    answered = 40 - max(1, round(40 * fraction)) + 2
    expected = seq2seq_exports.WEIGHTS["words"][7] / answered @ seq2seq_exports.WEIGHTS["head"]
    np.testing.assert_allclose(expected, found, atol=1e-5)


@pytest.mark.parametrize("merged", [False, True])
def test_sound_is_read_whole_however_short_it_is_said_to_be(tmp_path, merged):
    folder = seq2seq_exports.save(
        tmp_path / "export", merged=merged, sound=True, generation={"forced_decoder_ids": [[1, 7], [2, 8]]}
    )
    with opened(folder, max_tokens=40) as decoder:
        sound = decoder.an_input(np.array([1, 2]))
        first = [decoder.prefill(np.array(tokens), slot) for slot, tokens in enumerate(([1, 2], [3]))]
        second = decoder.decode(np.array([11, 12]), np.array([2, 1]))[0]

    read = seq2seq_exports.states_of_sound(sound)
    assert (seq2seq_exports.BINS, seq2seq_exports.FRAMES) == sound.shape
    np.testing.assert_allclose(seq2seq_exports.logits(read, [0, 7, 8]), first[0], atol=1e-4)
    np.testing.assert_array_equal(first[0], first[1])  # 1 + 2 = 3: the same stretch of noise
    np.testing.assert_allclose(seq2seq_exports.logits(read, [0, 7, 8, 11]), second, atol=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda decoder: decoder.prefill(np.arange(3), 0, 1),
        lambda decoder: decoder.prefill(np.arange(3), 3),
        lambda decoder: decoder.prefill(np.arange(17) % 9, 0),
        lambda decoder: decoder.prefill(np.array([50]), 0),
        lambda decoder: decoder.prefill(np.array([], np.int64), 0),
        lambda decoder: decoder.decode(np.array([1]), np.array([7])),
        lambda decoder: decoder.decode(np.array([1]), np.array([1])),
        lambda decoder: decoder.decode(np.array([1, 2]), np.array([5])),
        lambda decoder: decoder.decode(np.array([1, 2]), np.array([5, 0])),
        lambda decoder: decoder.move(1, 0, 1),
        lambda decoder: decoder.move(0, 3, 5),
        lambda decoder: decoder.fill(0, 17),
        lambda decoder: decoder.fill(-1, 2),
    ],
)
def test_a_call_beyond_what_is_held_is_a_fault_of_the_caller(folder, call):
    with opened(folder, max_tokens=16) as decoder:
        decoder.prefill(INPUTS[0], 0)
        with pytest.raises(ValueError, match=r"slot|token|input"):
            call(decoder)


def test_an_answer_ends_where_the_positions_of_the_decoder_do(tmp_path):
    folder = seq2seq_exports.save(tmp_path / "export", max_target_positions=3, max_source_positions=5)
    with opened(folder, max_tokens=7) as decoder:
        decoder.prefill(INPUTS[1], 0)
        decoder.decode(np.array([1]), np.array([1]))
        decoder.decode(np.array([1]), np.array([2]))
        with pytest.raises(ValueError, match="more than 2 tokens"):
            decoder.decode(np.array([1]), np.array([3]))

    with pytest.raises(InputError, match="requests of 8 tokens, and its positions reach to 7"):
        opened(folder, max_tokens=8)


def saved_t5(folder, *, seed=0):
    import torch
    import transformers

    torch.manual_seed(seed)
    # Weights so large that no two tokens are nearly as likely.
    config = transformers.T5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=1, num_heads=2, initializer_factor=20.0
    )
    config.decoder_start_token_id = 0
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    return transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()


def saved_whisper(folder):
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
        **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
        **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "d_model"), 16),
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1),
        vocab_size=64,
        num_mel_bins=8,
        max_source_positions=50,
        max_target_positions=40,
        decoder_start_token_id=2,
        init_std=1.0,
    )
    model = transformers.WhisperForConditionalGeneration(config)
    model.save_pretrained(folder)
    return model.eval()


@has_optimum
@pytest.mark.parametrize("save", [saved_t5, saved_whisper])
def test_greedy_tokens_are_those_that_transformers_generates(tmp_path, save):
    import torch

    model = save(tmp_path / "checkpoint")
    checkpoint.export_parts(tmp_path / "checkpoint", tmp_path / "export")
    prompt, count = np.array([5, 9, 33, 17, 60]), 8

    with opened(tmp_path / "export", slots=1) as decoder:
        found = tokens_alone(decoder, prompt, count)
        read = decoder.an_input(prompt)
        given = {"input_ids" if read.ndim == 1 else "input_features": torch.from_numpy(read)[None]}
        with torch.no_grad():
            generated = model.generate(**given, max_new_tokens=count, num_beams=1, do_sample=False, eos_token_id=None)[0].tolist()
        own = checkpoint.answer_logits(tmp_path / "checkpoint", read, np.array([*decoder.start, *found[:-1]]))
        off = numpy_decoder.over_range(decoder.answer_logits(read, np.array(found)), own[len(decoder.start) - 1 :])

    assert len(set(found)) > 1
    assert list(found) == generated[-count:]
    assert off < 1e-4
