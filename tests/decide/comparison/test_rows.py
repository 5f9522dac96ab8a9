"""A piece of advice as a row: what it costs, what today costs, and what is not known stays unknown."""

import pytest
from msgspec.structs import replace

from advisor.decide.comparison.rows import row_of, row_of_failure
from advisor.errors import InputError
from tests.tell.advice_examples import change
from tests.tell.documents import DOCUMENTS

ADVICE = {name: it for name, it in DOCUMENTS.items() if hasattr(it, "recommended")}


def made(advice):
    return row_of(
        "a",
        advice,
        now="2026-11-22T08:00:00+00:00",
        profile_path="profile.json",
        workload_path="w.yaml",
        profile_sha256="0" * 64,
        advice_path="a/advice.json",
        report_path=None,
    )


@pytest.mark.parametrize("name", ADVICE)
def test_only_what_is_advised_costs_and_nothing_saves_more_than_is_spent(name):
    advice = ADVICE[name]

    row = made(advice)

    if row.outcome in ("infeasible", "inconclusive"):
        assert row.usd_per_month is None and row.saving_usd_per_month is None
    else:
        assert advice.recommended is not None
    if row.saving_usd_per_month is not None:
        assert row.today_usd_per_month is not None
        assert row.saving_usd_per_month.value <= row.today_usd_per_month.value
    assert advice.headline == row.headline and row.failure is None


def test_today_is_not_known_where_nobody_said_how_many_replicas_run():
    advice = change()
    baseline = replace(advice.workload.baseline, replicas=None) if advice.workload.baseline else None

    row = made(replace(advice, workload=replace(advice.workload, baseline=baseline), saving=None))

    assert row.today_usd_per_month is None and row.saving_usd_per_month is None


def test_a_failure_has_its_two_lines_and_no_figure():
    row = row_of_failure("a", InputError("w.yaml: wrong", hint="mend it"), profile_path="p", workload_path="w.yaml")

    assert ("failed", "w.yaml: wrong", "mend it") == (row.outcome, row.failure.fault, row.failure.hint)
    assert row.usd_per_month is row.today_usd_per_month is row.saving_usd_per_month is None
