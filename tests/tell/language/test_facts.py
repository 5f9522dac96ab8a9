"""What a configuration says of a language model, on a terminal."""

from msgspec.structs import replace

from advisor.schema.language import KvOfLayers
from advisor.tell.facts import render_facts
from tests.tell.language_examples import experts, model_facts


def test_a_model_is_described_by_its_parameters_its_layers_and_its_cache():
    text = render_facts(model_facts(), "text")

    assert "70.6 G parameters, 70.6 G of them active a token, 141 GB in bf16" in text
    assert "80 layers of attention: 64 heads of 128, 8 of keys and values: 328 kB of cache a token" in text
    assert "80 layers: dense, inner size 28,672" in text
    assert "131,072 tokens, prompt and answer together" in text
    assert "328 kB per token in 16 bits, 42.9 GB for a request that fills the context" in text


def test_experts_latents_windows_and_what_is_not_modeled_are_told():
    windowed = replace(model_facts().model.attention[0], layers=3, window_tokens=4096)
    model = experts()
    layers = tuple(KvOfLayers(layers=each, kv_bytes_per_token=1000.0) for each in (*model.attention, windowed))

    text = render_facts(replace(model_facts(), model=model, kv_by_layers=layers), "text")

    assert "671 G parameters, 37.6 G of them active a token" in text
    assert "61 layers of latent attention: 128 heads of 192, a latent of 576 a token cached: 1 kB" in text
    assert "8 of keys and values, looking back 4,096 tokens: 1 kB" in text
    assert "58 layers: 8 of 256 experts a token, each of inner size 2,048, and a shared part of 2,048" in text
    assert "note      the layer that predicts further tokens is not modeled" in text


def test_names_of_others_are_one_line():
    named = replace(model_facts(), model=replace(model_facts().model, name="x\nerror: forged"))

    assert len(render_facts(model_facts(), "text").splitlines()) == len(render_facts(named, "text").splitlines())


def test_as_json_it_is_the_record():
    assert '"kv_bytes_per_token": 327680.0' in render_facts(model_facts(), "json")
