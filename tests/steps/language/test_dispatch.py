"""Models that are judged from their configuration go their own way; what means nothing there is refused by name."""

import json

import msgspec
import pytest

from advisor.errors import InputError
from advisor.schema.generation import DecoderFacts
from advisor.schema.language import LanguageModelFacts
from advisor.schema.model import ModelFacts
from advisor.schema.options import ProfileOptions
from advisor.steps.language import dispatch
from tests import checkpoints
from tests.models import mlp, save

TOKENS = {
    "name": "chat",
    "traffic": {"requests_per_s": 1},
    "tokens": {"input": {"p50": 8}, "output": {"p50": 4}},
    "slo": {"ttft_s": 1},
    "hardware": {"price_usd_per_hour": {"local": 0.3}},
}
ONE_PASS = {"name": "a", "traffic": {"requests_per_s": 1}, "slo": {"latency_s": 1}, "hardware": {"allowed": ["l4"]}}


def written(folder, tree):
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(tree))
    return folder / "w.yaml"


def allowing(*devices):
    return TOKENS | {"hardware": {"allowed": list(devices), "price_usd_per_hour": {"local": 0.3}}}


def bare(folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(checkpoints.config_of(**changes)))
    return folder


@pytest.mark.parametrize("devices", [("l4",), ("local",), ("local", "l4")])
def test_a_configuration_alone_is_judged_elsewhere_whatever_is_allowed(tmp_path, devices):
    path = written(tmp_path, allowing(*devices))

    assert dispatch.is_elsewhere(bare(tmp_path / "m") / "config.json", path)
    assert dispatch.is_elsewhere(bare(tmp_path / "m"), path)


@pytest.mark.parametrize(
    ("tree", "is_so"), [(allowing("l4"), True), (allowing("local"), False), (allowing("local", "l4"), False), (ONE_PASS, False)]
)
def test_a_checkpoint_is_judged_elsewhere_where_tokens_are_asked_for_and_nothing_here_is_allowed(tmp_path, tree, is_so):
    model = checkpoints.save(tmp_path / "llama")

    assert is_so == dispatch.is_elsewhere(model, written(tmp_path, tree))


def test_a_checkpoint_of_another_class_that_generates_goes_the_same_way(tmp_path):
    model = bare(tmp_path / "m", architectures=["SomethingForConditionalGeneration"])
    (model / "model.safetensors").write_bytes(b"")

    assert dispatch.is_elsewhere(model, written(tmp_path, allowing("l4")))


def test_what_answers_in_one_pass_is_measured(tmp_path):
    path = written(tmp_path, allowing("l4"))

    assert not dispatch.is_elsewhere(save(mlp(), tmp_path / "mlp.onnx"), path)
    assert not dispatch.is_elsewhere(bare(tmp_path / "m", architectures=["BertModel"]), path)
    assert not dispatch.is_elsewhere(tmp_path / "gone", path)


@pytest.mark.parametrize("option", dispatch.OPTIONS)
def test_options_of_measuring_are_refused_by_name_where_nothing_is_measured(tmp_path, option):
    usual = ProfileOptions(workload=tmp_path / "w.yaml")
    value = {"budget_s": 5.0, "seed": 3, "max_batch_size": 2, "hardware": "l4"}.get(option, True)

    dispatch.check_options(tmp_path, usual)
    with pytest.raises(InputError, match=f"^{dispatch.OPTIONS[option]}: "):
        dispatch.check_options(tmp_path, usual._replace(**{option: value}))


def test_every_option_of_measuring_has_its_name(tmp_path):
    assert {*ProfileOptions._fields} - {"workload"} == {*dispatch.OPTIONS}


def test_a_configuration_is_described_by_parameters_layers_and_cache_alone_and_in_its_folder(tmp_path):
    folder = bare(tmp_path / "m")

    of_file, of_folder = dispatch.inspect(folder / "config.json", None), dispatch.inspect(folder, None)

    assert isinstance(of_file, LanguageModelFacts) and isinstance(of_folder, LanguageModelFacts)
    assert of_file.model.parameters == of_folder.model.parameters and 2 == of_file.model.layers
    assert 2 * 2 * 2 * 16 * 2 == of_file.kv_bytes_per_token  # keys and values, layers, heads, their size, bytes
    assert of_file.kv_bytes_per_token == sum(entry.kv_bytes_per_token for entry in of_file.kv_by_layers)


def test_with_weights_a_decoder_is_described_as_it_is_measured_and_a_graph_as_one_pass(tmp_path):
    assert isinstance(dispatch.inspect(checkpoints.save(tmp_path / "llama"), None), DecoderFacts)
    assert isinstance(dispatch.inspect(save(mlp(), tmp_path / "mlp.onnx"), None), ModelFacts)


def test_a_configuration_takes_no_inputs(tmp_path):
    with pytest.raises(InputError, match=r"^--inputs: "):
        dispatch.inspect(bare(tmp_path / "m"), tmp_path / "x.npz")
