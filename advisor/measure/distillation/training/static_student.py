"""A student in seconds: a vector for each token of the teacher's, by model2vec, turned towards what the teacher gives on the user's texts.

The one doorway to `model2vec`, one to `torch`, and one to `onnx`.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import InputError, MissingDependencyError, ModelError
from advisor.measure.distillation.training import given_texts, holding_out, nearness, objectives, trainer
from advisor.measure.distillation.training.objectives import Pooling
from advisor.measure.model import checkpoint, onnx_file
from advisor.measure.quality import texts
from advisor.measure.runtime import machine
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.measure.runtime.quiet import quiet
from advisor.schema.distillation import Outcome
from advisor.schema.model import ModelFacts
from advisor.schema.record import Record

OPSET, IR_VERSION = 17, 8
BATCH = 32
MOST_LEARNED = 20_000  # texts: a map of some hundred dimensions is known well by fewer
# How strongly the map is held to leaving vectors as they are, as shares of the mean variance of a dimension: the best on texts kept back.
HOLDS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e6)
KEPT_BACK = 5  # one text in so many
POOLINGS: dict[Pooling, str] = {"mean": "mean", "cls": "first"}  # as model2vec calls them
MAKING_S = 600.0  # that a vocabulary may take, which is run through the teacher


class FittedVectors(Record, frozen=True, kw_only=True):
    """What making the vectors came to."""

    parameters: int
    outcome: Outcome


class Texts(NamedTuple):
    """Texts as the teacher reads them, and the vector that it gives each (texts, width)."""

    ids: Sequence[Sequence[int]]
    taught: np.ndarray


def fit(teacher: Path, facts: ModelFacts, data: Path, target: Path, seed: int, say: Say = unsaid) -> FittedVectors:
    """Make the vectors and write them to `target` as ONNX with the inputs and outputs of the teacher's export, whose facts are given.

    For a process of its own. Raise InputError for a teacher that gives no embeddings of texts.
    """
    import torch

    begun_s = time.monotonic()
    _check_outputs(teacher, facts)
    say("loading the teacher")
    model = checkpoint.loaded(teacher)
    torch.set_num_threads(machine.core_count())
    objective = objectives.of_checkpoint(teacher, model.config)
    if objective.learned != "embeddings":
        raise InputError(
            f"{teacher}: gives {objective.learned}, no embeddings", hint="name layers-N, width-N or layers-N-width-N"
        )
    say("making a vector for each token", MAKING_S)
    table = _token_vectors(teacher, objective.pooling)
    given = given_texts.read(data)
    learned, held_out = (
        _taught(model, teacher, part, objective.pooling, say) for part in (given.learned[:MOST_LEARNED], given.held_out)
    )
    say("turning the vectors towards the teacher's")
    table = turned(table, learned)
    say("writing the student")
    _write(table, facts, objective.pooling, target)
    figures = {"score": _cosines(means(table, held_out.ids), held_out.taught)}
    metric, agreement = nearness.estimated(figures, seed)
    outcome = Outcome(learned="embeddings", seconds=time.monotonic() - begun_s, metric=metric, agreement=agreement)
    return FittedVectors(parameters=table.size, outcome=outcome)


def _check_outputs(teacher: Path, facts: ModelFacts) -> None:
    shapes = [output.shape for output in facts.outputs if output.dtype == "float32" and len(output.shape) in (2, 3)]
    if len(shapes) != len(facts.outputs) or not any(entry.role == "ids" for entry in facts.inputs):
        raise InputError(
            f"{teacher}: its export gives {', '.join(output.name for output in facts.outputs)}: no embeddings of texts",
            hint="static students are of encoders that give vectors of tokens or of texts",
        )


def _token_vectors(teacher: Path, pooling: Pooling) -> np.ndarray:
    """Return a vector for each id of the teacher's tokenizer (ids, width), zeros for those that mean nothing alone."""
    try:
        from model2vec.distill import distill
    except ImportError as error:
        raise MissingDependencyError(
            f"--student static: needs model2vec ({error.name} is missing)", hint="pip install 'serving-advisor[students]'"
        ) from error
    try:
        with quiet():
            # The teacher's own dimensions: its answers are what the vectors are turned towards.
            made = distill(str(teacher), pca_dims=None, quantize_to="float32", pooling=POOLINGS[pooling])
    except Exception as error:  # model2vec lets any exception of transformers through
        raise ModelError(
            f"{teacher}: model2vec makes no vectors of it: {(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}",
            hint="name layers-N, width-N or layers-N-width-N",
        ) from error
    return _by_id(made, texts.opened(texts.tokenizer_of(teacher, holding_out.KEY), holding_out.KEY))


def _by_id(made: Any, tokenizer: Any) -> np.ndarray:
    """Return the vectors that model2vec made, in the order of the teacher's ids."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    special = {place for place, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    table = np.zeros((max(vocabulary.values()) + 1, made.embedding.shape[1]))
    for token, vector in zip(made.tokens, made.embedding, strict=True):
        place = vocabulary.get(token)
        if place is not None and place not in special:
            table[place] = vector
    return table


def _taught(model: Any, teacher: Path, given: Sequence[given_texts.Text], pooling: Pooling, say: Say) -> Texts:
    """Return the texts with what the teacher makes of each."""
    import torch

    encoded = texts.encode(given, teacher, holding_out.KEY)
    found = []
    for first in range(0, len(given), BATCH):
        say(f"asking the teacher, text {first + 1} of {len(given)}")
        batch = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in encoded.ids[first : first + BATCH]]
        inputs = trainer.collated(batch, encoded.pad_id)
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state
            counted = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            found.append(objectives.pooled(pooling, hidden, counted).numpy())
    return Texts(encoded.ids, np.concatenate(found).astype(np.float64))


def means(table: np.ndarray, ids: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the mean vector of each text (texts, width)."""
    return np.array([table[list(text)].mean(axis=0, dtype=np.float64) for text in ids])


def turned(table: np.ndarray, learned: Texts) -> np.ndarray:
    """Return the table of vectors (ids, width) whose means are nearest to what the teacher gives, by an affine map of all vectors.

    The map is found by least squares and held to leaving the vectors as they are (ridge regression of the difference), as strongly as
    is best on texts that are kept back. What a mean is mapped to is the mean of what its vectors are mapped to: it costs nothing to serve.
    """
    given, taught = means(table, learned.ids), learned.taught
    scale = float(
        (given * taught).sum() / max((given**2).sum(), 1e-30)
    )  # vectors of another length: the direction is what counts
    given, table = scale * given, scale * table
    is_kept_back = np.arange(len(given)) % KEPT_BACK == 0
    fits = [_mapped(given[~is_kept_back], taught[~is_kept_back], hold) for hold in HOLDS]
    reached = [_cosines(given[is_kept_back] @ turn + shift, taught[is_kept_back]).mean() for turn, shift in fits]
    turn, shift = _mapped(given, taught, HOLDS[int(np.argmax(reached))])
    return np.asarray(table @ turn + shift, dtype=np.float32)


def _mapped(given: np.ndarray, taught: np.ndarray, hold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix and the shift that take the first to the second."""
    centers = given.mean(axis=0), taught.mean(axis=0)
    one, other = given - centers[0], taught - centers[1]
    moments = one.T @ one
    width = len(moments)
    held = moments + hold * max(float(np.trace(moments)) / width, 1e-30) * np.eye(width)
    turn = np.eye(width) + np.linalg.solve(held, one.T @ (other - one))
    return turn, centers[1] - centers[0] @ turn


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(lengths, 1e-30))


def _write(table: np.ndarray, facts: ModelFacts, pooling: Pooling, target: Path) -> None:
    """Write a graph that looks up vectors; where the teacher's first token stands for the text, every token has the text's mean."""
    from onnx import TensorProto, helper, numpy_helper

    names = {entry.role: entry.name for entry in facts.inputs if entry.role in ("ids", "mask")}
    types = {"int64": TensorProto.INT64, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(it.name, types[it.dtype], list(it.shape)) for it in facts.inputs]
    stored = [numpy_helper.from_array(table, "~vectors"), numpy_helper.from_array(np.array([1], np.int64), "~tokens")]
    stored.append(numpy_helper.from_array(np.array([2], np.int64), "~last"))
    nodes = [helper.make_node("Gather", ["~vectors", names["ids"]], ["~all"], name="look_up")]
    if "mask" in names:
        nodes += [
            helper.make_node("Cast", [names["mask"]], ["~mask"], name="as_floats", to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["~mask", "~last"], ["~counted"], name="by_token"),
            helper.make_node("Mul", ["~all", "~counted"], ["~rows"], name="without_padding"),
            helper.make_node("ReduceSum", ["~counted", "~tokens"], ["~count"], name="count", keepdims=1),
            helper.make_node("ReduceSum", ["~rows", "~tokens"], ["~sum"], name="sum", keepdims=1),
            helper.make_node("Div", ["~sum", "~count"], ["~mean"], name="mean"),
        ]
    else:
        nodes += [
            helper.make_node("Identity", ["~all"], ["~rows"], name="rows"),
            helper.make_node("ReduceMean", ["~all"], ["~mean"], name="mean", axes=[1], keepdims=1),
        ]
    for output in facts.outputs:
        if len(output.shape) == 2:
            nodes.append(helper.make_node("Squeeze", ["~mean", "~tokens"], [output.name], name=f"{output.name}_of_text"))
        elif pooling == "mean":
            nodes.append(helper.make_node("Identity", ["~rows"], [output.name], name=f"{output.name}_of_tokens"))
        else:
            nodes.append(helper.make_node("Shape", ["~rows"], [f"~{output.name}_shape"], name=f"{output.name}_shape"))
            nodes.append(
                helper.make_node("Expand", ["~mean", f"~{output.name}_shape"], [output.name], name=f"{output.name}_of_text")
            )
    outputs = [
        helper.make_tensor_value_info(it.name, TensorProto.FLOAT, [*it.shape[:-1], table.shape[1]]) for it in facts.outputs
    ]
    graph = helper.make_graph(nodes, "static_student", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx_file.save_whole(model, target, apart=False)
