"""What a decoder is, and what its profile holds, on a terminal."""

from pathlib import Path

from msgspec.structs import replace

from advisor.tell.facts import profile_line, render_facts
from tests import generation_profiles
from tests.tell.generation_examples import decoder


def test_a_decoder_is_described_by_weights_attention_context_and_cache():
    text = render_facts(replace(decoder(), window_tokens=4096), "text")

    assert "135 M parameters in 30 layers" in text and "9 heads of 64, 3 of keys and values" in text
    assert "8,192 tokens, prompt and answer together, attention looks back 4,096" in text
    assert "46.1 kB per token, 377 MB for a request that fills the context" in text


def test_names_of_others_are_one_line():
    assert 5 == len(render_facts(replace(decoder(), architecture="x\nForCausalLM"), "text").splitlines())


def test_as_json_it_is_the_record():
    assert '"kv_bytes_per_token": 46080' in render_facts(decoder(), "json")


def test_a_profile_is_a_line_for_each_machine():
    assert "p.json: 1 variant, 13 points, " in profile_line(generation_profiles.profile(), Path("p.json"))


def test_an_encoder_is_described_by_its_layers_its_positions_and_what_its_input_takes_in_the_cache():
    of_tokens = replace(decoder(), encoder=generation_profiles.encoder(inputs=512, outputs=200))
    of_sound = replace(of_tokens, encoder=generation_profiles.encoder(reads="frames", inputs=1500, outputs=1))

    text = render_facts(of_tokens, "text")
    assert "135 M parameters in 3 layers of an encoder, 30 layers of a decoder" in text
    assert "inputs of up to 512 tokens, and answers of up to 200 tokens" in text
    assert "per token 1 kB of an input, 500 B of an answer" in text
    assert "inputs of 1,500 positions, however short the sound, and answers of up to 1 token" in render_facts(of_sound, "text")
    same = replace(of_tokens.encoder, layers=None, kv_bytes_per_output_token=1000)
    text = render_facts(replace(of_tokens, encoder=same), "text")
    assert "in an encoder, 30 layers of a decoder" in text and "per token 1 kB, of an input or of an answer" in text
