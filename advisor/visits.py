"""Which visits count: those in which the machine was the measured process's own."""

from collections.abc import Sequence

from advisor.schema import Visit

# Of the time of the calls; a quiet machine shows well under a hundredth, a shared one a half and more.
CONTAMINATED_FRACTION = 0.05
ENOUGH_CLEAN = 2


def is_clean(visit: Visit) -> bool:
    """Return whether the threads hardly waited for a core; where the kernel does not tell, a visit counts as clean."""
    return visit.run_delay_s is None or visit.run_delay_s <= CONTAMINATED_FRACTION * sum(visit.latency_s)


def clean(visits: Sequence[Visit]) -> tuple[Visit, ...]:
    """Return the clean visits, or all of them where too few are clean to speak for themselves."""
    kept = tuple(visit for visit in visits if is_clean(visit))
    return kept if len(kept) >= ENOUGH_CLEAN else tuple(visits)
