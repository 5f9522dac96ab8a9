"""What a student is to learn: how far its outputs are from its teacher's, by what the model gives. A doorway to `torch`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from advisor.errors import InputError
from advisor.schema.distillation import Learned

TEMPERATURE = (
    2.0  # of logits: Hinton et al. 2015 (arXiv:1503.02531) found 2.5 to 4 best for small students, DistilBERT trained at 2
)
Pooling = Literal["mean", "cls"]
# torch ships types that take a minute to read: a tensor is known here by what is done with it.
Tensor = Any


class Objective(NamedTuple):
    """What is learned, and how: of embeddings, which vector of a text counts and how the teacher's are turned to the student's width."""

    learned: Learned
    pooling: Pooling = "mean"
    projection: Tensor | None = None  # (teacher's width, student's width), orthonormal columns; None where both are alike
    are_independent: bool = False  # of classes: several may be true of a text at once
    generates: bool = False  # token by token, so that a student may be a draft


def of_checkpoint(checkpoint: Path, config: Any) -> Objective:
    """Return the objective of a checkpoint by its class; raise InputError for one that has neither embeddings nor logits."""
    architectures = getattr(config, "architectures", None) or [""]
    name = str(architectures[0])
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return Objective("tokens", generates=True)
    if name.endswith("ForMaskedLM"):
        return Objective("tokens")
    if name.endswith("ForTokenClassification"):
        return Objective("classes")
    if name.endswith("ForSequenceClassification"):
        if config.num_labels == 1:
            return Objective("values")
        return Objective("classes", are_independent=config.problem_type == "multi_label_classification")
    if name.endswith("Model") and not getattr(config, "is_encoder_decoder", False):
        return Objective("embeddings", pooling=pooling_of(checkpoint))
    raise InputError(
        f"{checkpoint / 'config.json'}: no student of {name or 'a model without a class'} can be trained",
        hint="students are trained of encoders, of models with classes (for texts or tokens), and of decoders",
    )


def pooling_of(checkpoint: Path) -> Pooling:
    """Return which vector stands for a text, as sentence-transformers keeps it beside a checkpoint; the mean where it says nothing."""
    try:
        found = json.loads((checkpoint / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "mean"
    return "cls" if isinstance(found, dict) and found.get("pooling_mode_cls_token") is True else "mean"


def output_of(objective: Objective, outputs: Any) -> Tensor:
    """Return the output that is learned."""
    return outputs.last_hidden_state if objective.learned == "embeddings" else outputs.logits


def loss(objective: Objective, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return how far the student is from its teacher, both (texts, ...); `mask` (texts, tokens) says which tokens are no padding."""
    import torch

    if objective.learned == "embeddings":
        return _of_embeddings(objective, student, projected(objective, teacher), mask)
    if objective.learned == "values":
        return torch.nn.functional.mse_loss(student, teacher)
    if objective.are_independent:
        return torch.nn.functional.binary_cross_entropy_with_logits(student, teacher.sigmoid()) - _entropy(teacher)
    return _divergence(student, teacher, mask)


def projected(objective: Objective, teacher: Tensor) -> Tensor:
    """Return the teacher's vectors in the student's width."""
    return teacher if objective.projection is None else teacher @ objective.projection


def _of_embeddings(objective: Objective, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the share of the teacher's squared lengths that the student's tokens miss, and the mean of 1 - cosine of the texts."""
    import torch

    counted = mask.unsqueeze(-1).to(student.dtype)
    missed = ((student - teacher) ** 2 * counted).sum() / (teacher**2 * counted).sum().clamp_min(1e-12)
    vectors = (pooled(objective.pooling, values, counted) for values in (student, teacher))
    return missed + (1 - torch.nn.functional.cosine_similarity(*vectors, dim=-1)).mean()


def pooled(pooling: Pooling, values: Tensor, counted: Tensor) -> Tensor:
    """Return a vector for each text (texts, width) of those of its tokens (texts, tokens, width)."""
    if pooling == "cls":
        return values[:, 0]
    return (values * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def _divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the divergence of Kullback and Leibler at the temperature, times its square, which keeps gradients as large as without it."""
    import torch

    one, other = (torch.log_softmax(values / TEMPERATURE, dim=-1) for values in (student, teacher))
    each = torch.nn.functional.kl_div(one, other, reduction="none", log_target=True).sum(dim=-1)
    if each.dim() == 1:  # one decision a text
        return TEMPERATURE**2 * each.mean()
    counted = mask.to(each.dtype)
    return TEMPERATURE**2 * (each * counted).sum() / counted.sum().clamp_min(1)


def _entropy(teacher: Tensor) -> Tensor:
    """Return what of a cross entropy is the teacher's own, so that a student like it has a loss of 0."""
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(teacher, teacher.sigmoid())


def scores(objective: Objective, student: Tensor, teacher: Tensor, mask: Tensor) -> Mapping[str, Tensor]:
    """Return figures of each text (texts,): `score` is how near the student is, or `hits` of `of` decisions, or two numbers."""
    import torch

    if objective.learned == "embeddings":
        counted = mask.unsqueeze(-1).to(student.dtype)
        vectors = (pooled(objective.pooling, values, counted) for values in (student, projected(objective, teacher)))
        return {"score": torch.nn.functional.cosine_similarity(*vectors, dim=-1)}
    if objective.learned == "values":
        return {"student": student[:, 0], "teacher": teacher[:, 0]}
    if objective.are_independent:
        equal = (student > 0) == (teacher > 0)
        return {"hits": equal.sum(dim=-1), "of": torch.full_like(equal.sum(dim=-1), equal.shape[-1])}
    equal = student.argmax(dim=-1) == teacher.argmax(dim=-1)
    if equal.dim() == 1:
        return {"hits": equal.long(), "of": torch.ones_like(equal.long())}
    return {"hits": (equal & (mask > 0)).sum(dim=1), "of": mask.sum(dim=1)}


def principal(vectors: Tensor, width: int) -> Tensor:
    """Return the directions (teacher's width, `width`) in which vectors (tokens, teacher's width) are longest: most of cosines is kept."""
    import torch

    moments = vectors.double().T @ vectors.double()
    return torch.linalg.eigh(moments).eigenvectors.flip(1)[:, :width].to(vectors.dtype).contiguous()
