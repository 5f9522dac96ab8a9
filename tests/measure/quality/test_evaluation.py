"""Quality: what equals counts as equal, what cannot be told is refused, and an interval never promises more than the items can show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from advisor.errors import InputError
from advisor.measure.quality import evaluation, metrics, scores
from advisor.quality_floor import METRICS, RISING, keeps_floor
from advisor.schema.model import ModelInput, ModelOutput
from advisor.schema.profile import QualityResult, SliceResult
from advisor.schema.record import Estimate

SCORES = (ModelOutput(name="logits", dtype="float32", shape=("n", 3), has_classes=True),)
VECTORS = (ModelOutput(name="embedding", dtype="float32", shape=("n", 4), has_classes=False),)
LABEL_AND_SCORES = (ModelOutput(name="label", dtype="int64", shape=("n",), has_classes=True), *SCORES)

few_examples = settings(max_examples=20)  # each draws a bootstrap
anything = st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
outputs = arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=5), elements=anything)


def one_hot(classes, width=3):
    return {"logits": np.eye(width, dtype=np.float32)[np.asarray(classes)]}


def measured(metric, before, after, *, of=SCORES, labels=None, masks=None, seed=0):
    return evaluation.quality(metric, of, before, after, labels=labels, masks=masks, data_sha256="d", seed=seed)


def agreed(before, after, *, of=VECTORS, masks=None):
    return evaluation.agreement(of, before, after, masks, given=True)


# --- agreement -----------------------------------------------------------------------------------------------------------------


@given(outputs)
def test_equal_outputs_agree_whatever_they_hold(values):
    np.testing.assert_allclose(scores.item_cosines(values, values.copy()), 1.0)


@given(outputs, st.floats(0.125, 8.0))
def test_the_cosine_knows_no_scale(values, factor):
    finite = np.where(np.isfinite(values), values, 0.0).astype(np.float64)

    np.testing.assert_allclose(scores.item_cosines(finite, finite), scores.item_cosines(finite, factor * finite), atol=1e-6)


@given(outputs, outputs)
def test_the_cosine_lies_between_minus_one_and_one(first, second):
    second = np.resize(second, first.shape)

    cosines = scores.item_cosines(first, second)

    assert ((cosines >= -1.0) & (cosines <= 1.0)).all()


@pytest.mark.parametrize(
    ("expected", "actual", "cosine"),
    [
        ([1.0, 0.0], [0.0, 1.0], 0.0),
        ([1.0, 0.0], [-2.0, 0.0], -1.0),
        ([3.0, 4.0], [4.0, 3.0], 24 / 25),
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([0.0, 0.0], [1.0, 0.0], 0.0),
        ([1.0, 2.0], [np.nan, 2.0], 0.0),
        ([1.0, 2.0], [np.inf, 2.0], 0.0),
        ([1.0, -np.inf], [1.0, -np.inf], 1.0),  # a masked logit
        ([1.0, -np.inf], [-1.0, -np.inf], -1.0),
        ([1.0, -np.inf], [1.0, np.inf], 0.0),
    ],
)
def test_the_cosine_is_what_is_worked_out_by_hand(expected, actual, cosine):
    assert [cosine] == pytest.approx(scores.item_cosines(np.array([expected]), np.array([actual])))


def test_the_agreement_of_a_model_with_itself_is_complete():
    values = one_hot([0, 1, 2, 1])

    agreement = agreed(values, values, of=SCORES)

    assert (4, 1.0, 1.0, 0.0, 1.0) == (
        agreement.items,
        agreement.cosine_mean,
        agreement.cosine_min,
        agreement.max_abs_difference,
        agreement.top1_agreement,
    )


def test_the_largest_difference_is_a_number_even_of_infinities():
    before = {"embedding": np.array([[1.0, -np.inf, np.nan, 3.0]], np.float32)}
    after = {"embedding": np.array([[1.5, -np.inf, np.nan, np.inf]], np.float32)}

    assert 0.5 == agreed(before, after).max_abs_difference


def test_the_difference_of_half_precision_does_not_overflow():
    before, after = ({"embedding": np.full((1, 4), sign * 60000, np.float16)} for sign in (1, -1))

    assert 119_000 < agreed(before, after).max_abs_difference < 121_000


def test_of_one_number_for_each_item_there_is_no_cosine():
    before, after = ({"embedding": np.array([[value], [value]])} for value in (1.0, 900.0))

    agreement = agreed(before, after)

    assert (None, 899.0) == (agreement.cosine_mean, agreement.max_abs_difference)


def test_of_the_scores_of_two_classes_there_is_no_cosine():
    before, after = ({"logits": np.array([[value, -value]])} for value in (0.1, -0.1))

    agreement = agreed(before, after, of=SCORES)

    assert (None, 0.0) == (agreement.cosine_mean, agreement.top1_agreement)


def test_padded_positions_do_not_count():
    random = np.random.default_rng(0)
    masks = np.array([[1, 1, 0], [1, 0, 0]])
    before = random.standard_normal((2, 3, 4))
    after = np.where(masks[..., np.newaxis] > 0, before, random.standard_normal((2, 3, 4)))

    with_masks = agreed({"embedding": before}, {"embedding": after}, masks=masks)
    without = agreed({"embedding": before}, {"embedding": after})

    assert (1.0, 0.0) == pytest.approx((with_masks.cosine_min, with_masks.max_abs_difference))
    assert without.cosine_min < 0.99


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_a_decision_at_a_padded_position_is_none(dtype):
    masks = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], dtype)
    before = np.eye(3)[[[0, 1, 2, 0], [0, 1, 2, 0]]]
    after = np.eye(3)[[[0, 2, 0, 1], [0, 1, 2, 0]]]

    agreement = agreed({"logits": before}, {"logits": after}, of=SCORES, masks=masks)

    assert (0.5 + 1.0) / 2 == agreement.top1_agreement


def test_the_mask_is_found_among_the_given_inputs_only():
    ids, mask = (
        ModelInput(
            name=role,
            dtype="int64",
            shape=("n", "t"),
            example_shape=(1, 3),
            role=role,
            batch_axis=0,
            sequence_axis=1,
            upper_bound=None,
        )
        for role in ("ids", "mask")
    )
    rows = {"ids": np.zeros((2, 3)), "mask": np.ones((2, 3))}

    assert rows["mask"] is evaluation.masks_of((ids, mask), rows)
    assert evaluation.masks_of((ids,), rows) is None
    assert evaluation.masks_of((ids, mask), None) is None


# --- quality -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["label", "labels", "y", "target"])
def test_labels_are_found_under_their_usual_names(name):
    labels = np.arange(3)

    assert labels is evaluation.labels_of({"x": np.zeros(3), name: labels})


@few_examples
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40), st.integers(0, 5))
def test_the_interval_of_a_drop_contains_the_drop(decisions, seed):
    before, after, labels = np.array(decisions).T

    result = measured("accuracy", one_hot(before), one_hot(after), labels=labels, seed=seed)

    assert result.drop.low <= result.drop.value <= result.drop.high
    assert result.drop.value == pytest.approx(result.baseline - result.value)
    assert ((before == labels).mean(), (after == labels).mean()) == pytest.approx((result.baseline, result.value))


@few_examples
@given(st.integers(1, 400))
def test_no_loss_on_few_items_does_not_exclude_a_loss(items):
    same = one_hot(np.arange(items) % 3)

    drop = measured("accuracy", same, same, labels=np.arange(items) % 3).drop

    # A loss that strikes one item in `1 / high` goes unseen on all of them with a chance of one in ten.
    assert (0.0, 0.0) == (drop.low, drop.value)
    assert 0.1 == pytest.approx((1 - drop.high) ** items)


def test_the_same_seed_gives_the_same_interval():
    random = np.random.default_rng(0)
    before, after, labels = (random.integers(0, 3, 50) for _ in range(3))

    first, again = (measured("accuracy", one_hot(before), one_hot(after), labels=labels, seed=7) for _ in range(2))

    assert first == again


def test_the_interval_narrows_with_the_number_of_items():
    def width(items):
        before, after, labels = np.random.default_rng(0).integers(0, 3, (3, items))
        drop = measured("accuracy", one_hot(before), one_hot(after), labels=labels).drop
        return drop.high - drop.low

    assert width(2000) < width(200) < width(20)


def test_agreement_needs_no_labels_and_starts_at_one():
    result = measured("top1_agreement", one_hot([0, 1, 2, 0]), one_hot([0, 1, 1, 0]))

    assert (1.0, 0.75, 0.25) == (result.baseline, result.value, result.drop.value)


def test_cosine_starts_at_one():
    before = {"embedding": np.array([[3.0, 4.0], [1.0, 0.0]])}
    after = {"embedding": np.array([[4.0, 3.0], [1.0, 0.0]])}

    result = measured("cosine", before, after, of=VECTORS)

    assert (1.0, (24 / 25 + 1) / 2) == pytest.approx((result.baseline, result.value))


def test_a_variant_that_gives_nan_loses_everything():
    before = {"embedding": np.ones((5, 4))}
    after = {"embedding": np.full((5, 4), np.nan)}

    result = measured("cosine", before, after, of=VECTORS)

    assert (1.0, 0.0, 1.0) == (result.baseline, result.value, result.drop.value)


def test_classes_are_called_what_the_model_calls_them():
    decided = {"label": np.array([3, 7, 7]), "logits": np.eye(3)[[0, 1, 1]]}

    assert 1.0 == measured("accuracy", decided, decided, of=LABEL_AND_SCORES, labels=np.array([3, 7, 7])).baseline


def test_classes_may_be_texts():
    decided = {"label": np.array(["cat", "dog"]), "logits": np.eye(3)[[0, 1]]}

    result = measured("accuracy", decided, decided, of=LABEL_AND_SCORES, labels=np.array(["cat", "horse"]))

    assert 0.5 == result.baseline


def test_texts_for_a_model_that_decides_numbers_are_refused():
    with pytest.raises(InputError, match="labels are <U3, the model decides int64"):
        measured("accuracy", one_hot([0, 1]), one_hot([0, 1]), labels=np.array(["cat", "dog"]))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"labels have shape \[2, 1\], the model decides \[2\]"):
        measured("accuracy", one_hot([0, 1]), one_hot([0, 1]), labels=np.array([[0], [1]]))


def test_the_cosine_of_one_number_is_refused():
    values = {"embedding": np.array([[1.0], [2.0]])}

    with pytest.raises(InputError, match="one number for each item"):
        measured("cosine", values, values, of=VECTORS)


@pytest.mark.parametrize(
    ("metric", "of", "rows", "complaint"),
    [
        ("accuracy", SCORES, {}, "accuracy needs labels"),
        ("accuracy", SCORES, {"label": np.zeros(9)}, "9 labels for 10 items"),
        ("accuracy", VECTORS, {"label": np.zeros(10)}, "accuracy needs an output with classes"),
        ("top1_agreement", VECTORS, {}, "top1_agreement needs an output with classes"),
        ("cosine", LABEL_AND_SCORES[:1], {}, "cosine needs a floating-point output"),
        (
            "cosine",
            (ModelOutput(name="price", dtype="float32", shape=("n", 1), has_classes=False),),
            {},
            "one number for each item",
        ),
    ],
)
def test_a_metric_that_cannot_be_taken_is_refused_before_anything_is_measured(metric, of, rows, complaint):
    with pytest.raises(InputError, match=complaint):
        evaluation.check(metric, of, rows, items=10)


@pytest.mark.parametrize(
    ("metric", "of", "rows"),
    [("accuracy", SCORES, {"y": np.zeros(10)}), ("top1_agreement", SCORES, {}), ("cosine", VECTORS, {}), ("cosine", SCORES, {})],
)
def test_a_metric_that_can_be_taken_passes(metric, of, rows):
    evaluation.check(metric, of, rows, items=10)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("perplexity", "rises by 3 %, at worst 4 % (allowed 1 %)"),
        ("mean_squared_error", "rises by 3 %, at worst 4 % (allowed 1 %)"),
        ("character_error_rate", "rises by 3 pp, at worst 4 pp (allowed 1 pp)"),
        ("accuracy", "drops by 3 pp, at worst 4 pp (allowed 1 pp)"),
        ("mine:bleu", "drops by 0.03, at worst 0.04 (allowed 0.01)"),
    ],
)
def test_a_loss_is_reported_in_the_direction_and_the_unit_of_the_metric(metric, said):
    drop = Estimate(value=0.03, low=0.02, high=0.04, basis="measured", source="s")
    found = QualityResult(metric=metric, data_sha256="d", items=9, baseline=1.0, value=1.03, drop=drop, slices=())

    assert (False, f"{metric} {said}") == keeps_floor(found, 0.01, None)


def test_a_loss_is_reported_as_a_rise_wherever_it_is_reckoned_as_one():
    assert {metric for metric in METRICS if metrics.loss_of(metric) != "difference"} == RISING


@pytest.mark.parametrize(
    ("allowed", "holds", "complaint"),
    [
        (None, False, "but class 1 drops by 4 pp, at least 3 pp"),
        (0.08, True, "at worst 0.5 pp (allowed 1 pp)"),
        (0.05, False, "but class 1 drops by 4 pp, at worst 7 pp (allowed for each class and slice: 5 pp)"),
    ],
)
def test_a_floor_for_parts_takes_the_place_of_that_over_all(allowed, holds, complaint):
    def estimate(low, value, high):
        return Estimate(value=value, low=low, high=high, basis="measured", source="told")

    part = SliceResult(name="class 1", items=90, baseline=0.9, value=0.86, drop=estimate(0.03, 0.04, 0.07))
    found = QualityResult(
        metric="accuracy",
        data_sha256="d",
        items=900,
        baseline=0.9,
        value=0.9,
        drop=estimate(0.0, 0.0, 0.005),
        slices=(part,),
    )

    is_kept, said = keeps_floor(found, 0.01, allowed)

    assert (holds, True) == (is_kept, said.endswith(complaint))
