"""A model that generates goes one way, any other the other way; what does not go together is refused in two lines."""

import json

import msgspec
import pytest

from advisor.errors import InputError
from advisor.schema.generation import DecoderFacts
from advisor.schema.model import ModelFacts
from advisor.schema.options import ProfileOptions
from advisor.steps.generation import dispatch
from advisor.steps.profile import plan_for
from advisor.steps.profile import profile as profiled
from tests import checkpoints, seq2seq_exports
from tests.models import mlp, save
from tests.profiles import NOW

TOKENS = {
    "name": "chat",
    "traffic": {"requests_per_s": 1},
    "tokens": {"input": {"p50": 8}, "output": {"p50": 4}},
    "slo": {"ttft_s": 1},
    "hardware": {"price_usd_per_hour": {"local": 0.3}},
}


def silent(*_, **__):
    pass


@pytest.fixture
def workload(tmp_path):
    (tmp_path / "w.yaml").write_bytes(msgspec.yaml.encode(TOKENS))
    return tmp_path / "w.yaml"


def configured(folder, **config):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("LlamaForCausalLM", True),
        ("SomethingNewForCausalLM", True),
        ("BertModel", False),
        ("GPT2LMHeadModel", False),
        ("T5ForConditionalGeneration", False),
    ],
)
def test_a_checkpoint_is_a_decoder_by_the_class_that_it_names(tmp_path, name, is_one):
    assert is_one == dispatch.is_decoder(configured(tmp_path / "m", architectures=[name]))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"architectures": null}', '{"architectures": [3]}', "[" * 100_000])
def test_a_configuration_that_names_no_class_is_that_of_no_decoder(tmp_path, content):
    (tmp_path / "config.json").write_text(content)

    assert not dispatch.is_decoder(tmp_path)


def test_a_folder_of_genai_is_a_decoder(tmp_path):
    (tmp_path / "genai_config.json").write_text("{}")

    assert dispatch.is_decoder(tmp_path) and not dispatch.is_decoder(tmp_path / "gone")


def test_tokens_of_a_model_that_answers_in_one_pass_are_refused_by_its_class(tmp_path, workload):
    encoder = configured(tmp_path / "encoder", architectures=["BertForSequenceClassification"])

    with pytest.raises(
        InputError, match=r"encoder: BertForSequenceClassification answers in one pass, but .*w.yaml asks about tokens"
    ) as refused:
        profiled(encoder, tmp_path / "p.json", ProfileOptions(workload=workload), now=NOW, report=silent)

    assert "slo.latency_s" in refused.value.hint


def test_tokens_of_a_graph_without_a_past_are_refused(tmp_path, workload):
    model = save(mlp(), tmp_path / "mlp.onnx")

    with pytest.raises(InputError, match="no past of keys and values among its inputs"):
        profiled(model, tmp_path / "p.json", ProfileOptions(workload=workload), now=NOW, report=silent)


@pytest.mark.parametrize(
    ("option", "said"),
    [({"inputs": "x.npz"}, "--inputs"), ({"variants": ("a.onnx",)}, "--variant"), ({"allow_code": True}, "--allow-code")],
)
def test_options_that_mean_nothing_of_a_decoder_are_refused_by_name(tmp_path, workload, option, said):
    with pytest.raises(InputError, match=f"^{said}: "):
        dispatch.check_generates(tmp_path, ProfileOptions(workload=workload)._replace(**option))


def test_a_decoder_whose_workload_has_no_tokens_goes_the_way_of_one_pass_and_is_told_of_the_other(tmp_path):
    checkpoint = checkpoints.save(tmp_path / "llama")
    model = save(mlp(), tmp_path / "mlp.onnx")

    (note,) = dispatch.note_on(checkpoint)
    plan = plan_for(model, tmp_path / "v", ProfileOptions(), None, tmp_path, now=NOW)

    assert "`tokens:` in the workload" in note and "TTFT" in note
    assert () == dispatch.note_on(model) == plan.notes


def test_a_decoder_is_described_by_its_layers_its_context_and_its_cache(tmp_path):
    facts = dispatch.inspect(checkpoints.save(tmp_path / "llama"), None)

    assert isinstance(facts, DecoderFacts)
    assert (2, 128, 2 * 2 * 2 * 16 * 4) == (facts.layers, facts.context_tokens, facts.kv_bytes_per_token)


def test_what_is_no_decoder_is_described_as_before(tmp_path):
    assert isinstance(dispatch.inspect(save(mlp(), tmp_path / "mlp.onnx"), None), ModelFacts)
    assert dispatch.facts_of(tmp_path / "mlp.onnx") is None


@pytest.mark.parametrize(
    ("config", "has_one"),
    [
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, True),
        ({"architectures": ["MarianMTModel"], "is_encoder_decoder": True}, True),
        ({"architectures": ["BartForSequenceClassification"], "is_encoder_decoder": True}, False),
        ({"architectures": ["LlavaForConditionalGeneration"]}, False),
    ],
)
def test_an_encoder_before_a_decoder_is_known_by_the_configuration(tmp_path, config, has_one):
    assert has_one == dispatch.has_encoder(configured(tmp_path / "m", **config))


def test_an_export_with_an_encoder_is_described_with_it(tmp_path):
    facts = dispatch.inspect(seq2seq_exports.save(tmp_path / "export", architectures=None, model_type="t5"), None)

    assert isinstance(facts, DecoderFacts) and facts.encoder.reads == "tokens"


def test_an_export_without_its_past_is_refused_with_the_way_to_one(tmp_path, workload):
    export = seq2seq_exports.save(tmp_path / "export")
    (export / "decoder_with_past_model.onnx").unlink()

    for asked in (
        lambda: dispatch.inspect(export, None),
        lambda: profiled(export, tmp_path / "p.json", ProfileOptions(workload=workload), now=NOW, report=silent),
    ):
        with pytest.raises(InputError, match="a decoder without its past") as refused:
            asked()
        assert "`optimum-cli export onnx --task text2text-generation-with-past`" in refused.value.hint
