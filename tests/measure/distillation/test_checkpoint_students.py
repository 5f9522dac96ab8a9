"""Students cut from checkpoints: they load, they begin with the teacher's weights, and what cannot be cut is refused by name."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.decoder import numpy_decoder
from advisor.measure.decoder.shape import read_shape
from advisor.measure.decoder.weights import header_of, open_weights, parameters_in, safetensors_files
from advisor.measure.distillation import checkpoint_students
from advisor.measure.distillation.checkpoint_students import cut, described, proposed
from advisor.measure.distillation.families import FAMILIES
from tests.checkpoints import KINDS, change, save, write_safetensors

NEEDS_TRANSFORMERS = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "transformers")), reason="the extra hf is not installed"
)
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 60}
DISTIL = {"dim": 32, "hidden_dim": 64, "n_layers": 4, "n_heads": 4, "vocab_size": 60}
# The class of each family in transformers, and its configuration, with what differs from the others' names.
TEACHERS = {
    "bert": ("Bert", "Model", SMALL),
    "bert, classes": ("Bert", "ForSequenceClassification", SMALL),
    "bert, words": ("Bert", "ForMaskedLM", SMALL),
    "roberta": ("Roberta", "Model", SMALL | {"max_position_embeddings": 44}),
    "roberta, classes": ("Roberta", "ForSequenceClassification", SMALL),
    "roberta, words": ("Roberta", "ForMaskedLM", SMALL),
    "xlm-roberta": ("XLMRoberta", "Model", SMALL),
    "camembert": ("Camembert", "Model", SMALL),
    "electra": ("Electra", "Model", SMALL | {"embedding_size": 16}),
    "electra, alike": ("Electra", "ForPreTraining", SMALL | {"embedding_size": 32}),
    "mpnet": ("MPNet", "Model", SMALL),
    "distilbert": ("DistilBert", "Model", DISTIL),
    "distilbert, classes": ("DistilBert", "ForSequenceClassification", DISTIL),
    "albert": ("Albert", "Model", SMALL | {"embedding_size": 16}),
    "llama": ("Llama", "ForCausalLM", SMALL | {"num_key_value_heads": 2}),
    "mistral": ("Mistral", "Model", SMALL | {"num_key_value_heads": 2, "head_dim": 8}),
    "qwen2": ("Qwen2", "ForCausalLM", SMALL | {"num_key_value_heads": 1}),
    "qwen3": ("Qwen3", "ForCausalLM", SMALL | {"num_key_value_heads": 2, "head_dim": 16}),
}


def tensors_in(folder):
    return {name: entry["shape"] for path in safetensors_files(folder) for name, entry in header_of(path)[1].items()}


@NEEDS_TRANSFORMERS
@pytest.mark.parametrize("kind", TEACHERS)
def test_transformers_loads_a_student_of_every_family_with_no_weight_missing(kind, tmp_path):
    import transformers

    name, task, sizes = TEACHERS[kind]
    model_class = getattr(transformers, name + task)
    model_class(getattr(transformers, f"{name}Config")(**sizes)).save_pretrained(tmp_path / "teacher")

    for student in ("layers-2", "width-16", "layers-1-width-24"):
        cut(tmp_path / "teacher", student, tmp_path / student)
        _, said = model_class.from_pretrained(tmp_path / student, output_loading_info=True)
        assert {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []} == {
            key: list(said[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")
        }


def test_every_family_that_is_cut_was_tried():
    assert set(FAMILIES) == {kind.partition(",")[0] for kind in TEACHERS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("student", ["layers-1", "width-32", "layers-1-width-48"])
def test_a_student_of_every_kind_of_decoder_has_all_that_its_configuration_says(kind, student, tmp_path):
    teacher = save(tmp_path / "teacher", kind, dtype="BF16", files=2, num_hidden_layers=3)

    shape = read_shape(cut(teacher, student, tmp_path / "student"))

    open_weights(tmp_path / "student", shape)
    assert (shape.layers, shape.hidden_size) == {"layers-1": (1, 64), "width-32": (3, 32), "layers-1-width-48": (1, 48)}[student]


def test_a_decoder_of_fewer_layers_computes_what_the_teacher_does_without_the_others(tmp_path):
    teacher = save(tmp_path / "teacher", num_hidden_layers=5)
    tokens = np.arange(12) * 7 % 160
    by_hand = shutil.copytree(teacher, tmp_path / "by hand")
    change(by_hand, num_hidden_layers=3)
    _keep_layers(by_hand, (0, 2, 4))

    student = cut(teacher, "layers-3", tmp_path / "student")

    np.testing.assert_array_equal(numpy_decoder.logits(by_hand, tokens), numpy_decoder.logits(student, tokens))


def _keep_layers(folder, kept):
    """Leave these layers in a checkpoint of one file, in another way than the code that is tested."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    found = {name: values for name, values in tensors.items() if ".layers." not in name}
    for place, layer in enumerate(kept):
        begins = f"model.layers.{layer}."
        found |= {f"model.layers.{place}.{name[len(begins) :]}": tensors[name] for name in tensors if name.startswith(begins)}
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_narrower_student_begins_with_the_leading_part_of_every_tensor(tmp_path):
    from safetensors.numpy import load_file

    teacher = save(tmp_path / "teacher")

    cut(teacher, "width-32", tmp_path / "student")

    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("teacher", "student"))
    assert before.keys() == after.keys()
    for name, values in after.items():
        np.testing.assert_array_equal(before[name][tuple(map(slice, values.shape))], values)
    assert parameters_in(tmp_path / "student") < parameters_in(teacher)


def test_what_is_proposed_can_be_cut(tmp_path):
    teacher = save(tmp_path / "teacher", num_hidden_layers=4)

    for student in proposed(teacher):
        folder = cut(teacher, student, tmp_path / student)
        said = described(teacher, student, folder, is_trained=False)
        assert said.parameters < said.teacher_parameters
        assert said.blocks <= said.teacher_blocks == 4


def test_tokenizer_and_pooling_go_with_a_student_and_the_pooling_knows_its_width(tmp_path):
    teacher = sentence_encoder(tmp_path / "teacher")

    student = cut(teacher, "layers-1-width-32", tmp_path / "student")

    assert (teacher / "tokenizer.json").read_text() == (student / "tokenizer.json").read_text()
    assert 32 == json.loads((student / "1_Pooling" / "config.json").read_text())["word_embedding_dimension"]
    assert json.loads((teacher / "modules.json").read_text()) == json.loads((student / "modules.json").read_text())
    assert not (student / "optimizer.bin").exists()


def sentence_encoder(folder):
    save(folder)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "optimizer.bin").write_text("not a part of the model")
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})
    )
    return folder


def with_dense(folder):
    sentence_encoder(folder)
    write_safetensors(folder / "1_Pooling" / "model.safetensors", {"linear.weight": np.zeros((2, 64), np.float32)})


def with_a_tensor_of_its_own(folder):
    save(folder)
    write_safetensors(folder / "model.safetensors", {"model.gate.weight": np.zeros((2, 64), np.float32)})


def of_another_shape(folder):
    save(folder)
    change(folder, intermediate_size=80)


def cut_short(folder):
    save(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def elsewhere(folder):
    sentence_encoder(folder)
    (folder / "modules.json").write_text(json.dumps([{"path": "../other"}]))


@pytest.mark.parametrize(
    ("make", "student", "said"),
    [
        (save, "layers-2", "has 2 layers, and a student has fewer"),
        (save, "width-64", "is 64 wide, in 4 heads of 16"),
        (save, "width-40", "is 64 wide, in 4 heads of 16"),
        (save, "trees-3", "no part of"),
        (save, "static", "no part of"),
        (with_dense, "width-32", "takes vectors of 64 numbers"),
        (with_a_tensor_of_its_own, "width-32", "not known how to make that narrower"),
        (of_another_shape, "width-32", "by config.json one axis has 80"),
        (cut_short, "layers-1", "does not have at its place"),
        (elsewhere, "layers-1", "no folder of this checkpoint"),
        (lambda folder: change(save(folder), model_type="gpt2"), "layers-1", "no student of it can be cut"),
        (lambda folder: change(save(folder), quantization_config={}), "layers-1", "quantized"),
        (lambda folder: change(save(folder), num_hidden_layers="two"), "layers-1", "not a whole number"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_nothing_is_left_behind(make, student, said, tmp_path):
    make(tmp_path / "teacher")

    with pytest.raises(InputError, match=said):
        cut(tmp_path / "teacher", student, tmp_path / "made" / "student")

    assert [] == list((tmp_path / "made").rglob("*")) if (tmp_path / "made").exists() else True


def test_a_folder_with_something_in_it_is_not_written_over(tmp_path):
    teacher = save(tmp_path / "teacher")
    save(tmp_path / "mine")

    with pytest.raises(InputError, match="is there already"):
        cut(teacher, "layers-1", tmp_path / "mine")


def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path, monkeypatch):
    teacher = save(tmp_path / "teacher")
    monkeypatch.setattr(checkpoint_students, "ROOM_BYTES", 1 << 62)

    with pytest.raises(InputError, match="are free on that disk"):
        cut(teacher, "layers-1", tmp_path / "student")
