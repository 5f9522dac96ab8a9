"""Students of a decoder in its advice: served by the same search, never advised untrained, with what they keep assumed or measured."""

import pytest
from msgspec.structs import replace

from advisor.decide.distillation.of_decoders import with_students
from advisor.decide.generation.advise import advise_generation
from advisor.files.catalog import read_distilled_pairs
from advisor.schema.distillation import Student
from advisor.schema.workload import Quality
from tests.generation_profiles import Law, perplexity, profile, request, variant, workload

FLOOR = Quality(max_drop=0.05, metric="perplexity", data="text.txt")
PAIRS = read_distilled_pairs()
# Of so much traffic that each replica costs.
LAWS = {"fp32": Law(), "layers-2": Law().times(0.5), "layers-2-int8": Law().times(0.25)}


def advice_with(*, is_trained=False, drop=0.02, pairs=PAIRS):
    half = Student(
        id="layers-2",
        kind="blocks",
        blocks=2,
        teacher_blocks=4,
        parameters=50,
        teacher_parameters=100,
        is_trained=is_trained,
    )
    quality = perplexity(drop, drop + 0.01) if is_trained else None
    forms = [variant(name, student=half, quality=quality) for name in ("layers-2", "layers-2-int8")]
    measured = profile(LAWS, variants=(variant(), *forms))
    asked = request(workload(40.0, quality=FLOOR), measured)
    return with_students(advise_generation(measured, asked), measured, asked, pairs)


def test_a_student_that_nobody_trained_is_priced_and_not_advised():
    advice = advice_with()
    row = advice.students[0]

    assert "fp32" == advice.recommended.candidate.variant
    assert "layers-2-int8" == row.prediction.candidate.variant
    assert row.prediction.cost_usd_per_hour.value < advice.recommended.cost_usd_per_hour.value
    assert 1 - row.prediction.cost_usd_per_hour.value / advice.recommended.cost_usd_per_hour.value == pytest.approx(
        row.saved_fraction.value
    )
    assert "assumed" == row.retention.basis and row.quality is None
    assert "after training, if it holds" in row.because
    reasons = {it.id: it.admitted_because for it in advice.variants}
    assert "not trained yet" in reasons["layers-2"]


def test_a_trained_one_that_holds_is_advised_as_any_variant():
    advice = advice_with(is_trained=True)

    assert "layers-2-int8" == advice.recommended.candidate.variant == advice.students[0].prediction.candidate.variant
    assert advice.students[0].retention is None and advice.students[0].quality is not None


def test_a_trained_one_that_loses_too_much_is_not_served():
    advice = advice_with(is_trained=True, drop=0.2)

    assert "fp32" == advice.recommended.candidate.variant
    assert advice.students[0].prediction is None and advice.students[0].saved_fraction is None


def test_without_publications_what_it_keeps_is_not_known():
    row = advice_with(pairs=()).students[0]

    assert row.retention is None and "is in no publication that advisor has" in row.because


def test_without_students_the_advice_stays_as_it_is():
    measured = profile()
    asked = request(workload(), measured)
    advice = advise_generation(measured, asked)

    assert advice == with_students(advice, measured, replace(asked, notes=()), PAIRS)
