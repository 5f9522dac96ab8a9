"""What is learned: zero where the student gives what its teacher gives, whatever the padding holds."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.measure.distillation.training import objectives
from advisor.measure.distillation.training.objectives import Objective

# Imported where it is used: whoever collects these tests without running them does not wait for torch.
pytestmark = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="the extra hf is not installed")

MASK = [[1, 1, 1, 0], [1, 1, 0, 0]]
OBJECTIVES = {
    "embeddings": (Objective("embeddings"), (2, 4, 6)),
    "embeddings of the first token": (Objective("embeddings", pooling="cls"), (2, 4, 6)),
    "classes of texts": (Objective("classes"), (2, 3)),
    "classes that are independent": (Objective("classes", are_independent=True), (2, 3)),
    "classes of tokens": (Objective("classes"), (2, 4, 3)),
    "tokens": (Objective("tokens"), (2, 4, 9)),
    "values": (Objective("values"), (2, 1)),
}


def drawn(shape, seed):
    import torch

    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_student_like_its_teacher_has_nothing_to_learn_and_any_other_has(name):
    import torch

    objective, shape = OBJECTIVES[name]
    teacher, mask = drawn(shape, 0), torch.tensor(MASK)

    assert abs(float(objectives.loss(objective, teacher.clone(), teacher, mask))) < 1e-9
    assert float(objectives.loss(objective, drawn(shape, 1), teacher, mask)) > 0.01


@pytest.mark.parametrize("name", [name for name, (_, shape) in OBJECTIVES.items() if len(shape) == 3])
def test_padding_is_not_learned(name):
    import torch

    objective, shape = OBJECTIVES[name]
    student, teacher, mask = drawn(shape, 1), drawn(shape, 0), torch.tensor(MASK)
    expected = objectives.loss(objective, student, teacher, mask)
    student[mask == 0] = 7.0

    assert float(expected) == pytest.approx(float(objectives.loss(objective, student, teacher, mask)))


def test_a_narrower_student_learns_the_directions_that_keep_most_of_cosines():
    import torch

    low_rank = drawn((200, 3), 0) @ drawn((3, 8), 1)
    directions = objectives.principal(low_rank, 3)
    objective = Objective("embeddings", projection=directions)
    teacher = low_rank[:8].reshape(2, 4, 8)

    kept = objectives.projected(objective, teacher)

    torch.testing.assert_close(torch.eye(3, dtype=directions.dtype), directions.T @ directions)
    torch.testing.assert_close(teacher @ teacher.transpose(1, 2), kept @ kept.transpose(1, 2))
    assert abs(float(objectives.loss(objective, kept, teacher, torch.tensor(MASK)))) < 1e-9


def test_decisions_of_tokens_are_counted_without_padding():
    import torch

    objective, shape = OBJECTIVES["tokens"]
    teacher = drawn(shape, 0)

    found = objectives.scores(objective, teacher, teacher, torch.tensor(MASK))

    assert {"hits": [3, 2], "of": [3, 2]} == {name: values.tolist() for name, values in found.items()}


@pytest.mark.parametrize(
    ("architecture", "more", "expected"),
    [
        ("BertModel", {}, Objective("embeddings")),
        ("BertForSequenceClassification", {"num_labels": 3, "problem_type": None}, Objective("classes")),
        ("BertForSequenceClassification", {"num_labels": 1, "problem_type": None}, Objective("values")),
        (
            "BertForSequenceClassification",
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            Objective("classes", are_independent=True),
        ),
        ("BertForTokenClassification", {"num_labels": 3}, Objective("classes")),
        ("LlamaForCausalLM", {}, Objective("tokens", generates=True)),
        ("GPT2LMHeadModel", {}, Objective("tokens", generates=True)),
        ("BertForMaskedLM", {}, Objective("tokens")),
    ],
)
def test_what_is_learned_follows_from_the_class_of_the_model(tmp_path, architecture, more, expected):
    config = SimpleNamespace(architectures=[architecture], is_encoder_decoder=False, **more)

    assert expected == objectives.of_checkpoint(tmp_path, config)


@pytest.mark.parametrize("architecture", ["BertForQuestionAnswering", "T5ForConditionalGeneration", "T5Model", None])
def test_what_cannot_be_learned_is_refused_by_the_name_of_its_class(tmp_path, architecture):
    config = SimpleNamespace(architectures=[architecture] if architecture else None, is_encoder_decoder=True)

    with pytest.raises(InputError, match=architecture or "a model without a class"):
        objectives.of_checkpoint(tmp_path, config)


def test_pooling_is_what_stands_beside_the_checkpoint_and_the_mean_without(tmp_path):
    place = tmp_path / "1_Pooling" / "config.json"
    place.parent.mkdir()

    assert "mean" == objectives.pooling_of(tmp_path)
    place.write_text("[1")
    assert "mean" == objectives.pooling_of(tmp_path)
    place.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    assert "cls" == objectives.pooling_of(tmp_path)
