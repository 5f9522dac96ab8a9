"""What a student is assumed to keep: every published pair lies inside, and a deeper cut never keeps more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.distillation.retention import assumed_drop, kept_fraction, retention_of
from advisor.files.catalog import read_distilled_pairs
from advisor.schema.record import Estimate
from tests.profiles import student

PAIRS = read_distilled_pairs()
FAMILIES = sorted({pair.family for pair in PAIRS if pair.kind == "blocks"})


def of_pair(pair):
    """A student like the published one; what was not published of its size says nothing."""
    is_known = pair.student_parameters is not None and pair.teacher_parameters is not None
    return student(
        kind=pair.kind,
        blocks=pair.student_blocks,
        teacher_blocks=pair.teacher_blocks,
        parameters=int(pair.student_parameters) if is_known else 1,
        teacher_parameters=int(pair.teacher_parameters) if is_known else 1,
    )


def test_at_least_ten_pairs_are_published_of_several_families_and_each_has_its_source_and_date():
    assert len({(pair.teacher, pair.student) for pair in PAIRS}) >= 10
    assert {"encoder", "decoder", "encoder-decoder"} == {pair.family for pair in PAIRS}
    assert all(pair.source and pair.date for pair in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.student}, {pair.task}")
def test_what_was_published_for_a_cut_lies_inside_the_assumed_interval(pair):
    found = retention_of(of_pair(pair), pair.family, PAIRS)

    assert found.low <= pair.student_score / pair.teacher_score <= found.high
    assert "assumed" == found.basis


@pytest.mark.parametrize("family", FAMILIES)
def test_the_interval_is_wide_since_what_is_published_is_what_worked(family):
    pairs = [pair for pair in PAIRS if pair.family == family and pair.kind == "blocks"]
    least = min(pair.student_score / pair.teacher_score for pair in pairs)

    deepest = min((of_pair(pair) for pair in pairs), key=kept_fraction)

    assert max(0.0, 1 - 2 * (1 - least)) == pytest.approx(retention_of(deepest, family, PAIRS).low)


@given(st.sampled_from(FAMILIES), st.integers(1, 1000), st.integers(1, 1000))
def test_who_keeps_more_is_never_assumed_to_lose_more(family, one, other):
    less, more = (
        retention_of(student(blocks=None, parameters=count, teacher_parameters=1000), family, PAIRS)
        for count in sorted((one, other))
    )

    if isinstance(less, Estimate):
        assert less.low <= more.low and less.value <= more.value + 1e-12 and less.high <= more.high
        assert less.low <= less.value <= less.high


def test_the_deeper_of_two_cuts_counts_blocks_or_parameters():
    assert 0.1 == kept_fraction(student(blocks=3, parameters=100_000))
    assert 0.5 == kept_fraction(student(blocks=3, parameters=900_000))
    assert 0.9 == kept_fraction(student(blocks=None, parameters=900_000))


def test_nothing_is_assumed_of_a_deeper_cut_than_any_that_was_published():
    assert "no published student less than 13.3 %" in retention_of(student(parameters=10_000), "encoder", PAIRS)


@pytest.mark.parametrize("kind", ["trees", "linear", "mlp"])
def test_nothing_is_assumed_of_a_kind_of_which_nothing_was_published(kind):
    assert "no publication" in retention_of(student(kind=kind), "tree", PAIRS)
    assert "no publication" in retention_of(student(), "cnn", PAIRS)


def test_averaged_vectors_go_by_published_ones_of_their_kind_and_keep_less():
    static, blocks = (retention_of(student(kind=kind, blocks=None), "encoder", PAIRS) for kind in ("static", "blocks"))

    assert static.low < blocks.low and static.value < blocks.value


# --- as a loss of a metric -----------------------------------------------------------------------------------------------------

KEPT = Estimate(value=0.9, low=0.8, high=1.01, basis="assumed", source="a test")


def test_a_score_loses_what_is_not_kept_of_it():
    drop = assumed_drop(KEPT, "accuracy", 0.8)

    assert (-0.008, 0.08, 0.16) == pytest.approx((drop.low, drop.value, drop.high))


def test_of_an_error_rate_what_is_right_is_the_score():
    drop = assumed_drop(KEPT, "character_error_rate", 0.2)

    assert (-0.008, 0.08, 0.16) == pytest.approx((drop.low, drop.value, drop.high))


@pytest.mark.parametrize("metric", ["perplexity", "mean_squared_error", "top1_agreement", "cosine", "mine:score"])
def test_what_is_no_share_of_a_score_is_not_known(metric):
    assert f"published students say nothing of {metric}" == assumed_drop(KEPT, metric, 0.8)
