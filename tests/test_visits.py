"""Visits that shared a core with something else do not count, unless there are no others."""

from advisor.schema import Visit
from advisor.visits import clean, is_clean


def visit(*, waited_s: float | None) -> Visit:
    return Visit(order=0, latency_s=(0.5, 0.5), run_delay_s=waited_s)


def test_a_visit_that_hardly_waited_is_clean() -> None:
    assert is_clean(visit(waited_s=0.01))
    assert not is_clean(visit(waited_s=0.2))


def test_a_kernel_that_does_not_tell_leaves_every_visit_clean() -> None:
    assert is_clean(visit(waited_s=None))


def test_only_clean_visits_count_where_there_are_enough() -> None:
    quiet, disturbed = visit(waited_s=0.0), visit(waited_s=0.4)

    assert (quiet, quiet) == clean([quiet, disturbed, quiet])


def test_all_visits_count_where_too_few_are_clean() -> None:
    quiet, disturbed = visit(waited_s=0.0), visit(waited_s=0.4)

    assert (quiet, disturbed, disturbed) == clean([quiet, disturbed, disturbed])
