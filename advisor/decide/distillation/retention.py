"""What a student is assumed to keep of its teacher's score before anybody trains it: what published students kept that were cut alike.

The share of the score goes by what is kept of the teacher: of its blocks or of its parameters, whichever is less. The middle is the rising
curve nearest to what was published (isotonic regression). At the low end is the least that was published for such a cut or a lesser one,
at the high end the most for such a cut or a deeper one; with twice the loss and with half of it, for what is published is what worked.
"""

from collections.abc import Mapping, Sequence

from advisor.quality_floor import OF_THE_BASELINE, OWN, RISING, UNBOUNDED
from advisor.schema.catalog import DistilledPair
from advisor.schema.distillation import Student
from advisor.schema.model import Family
from advisor.schema.record import Estimate
from advisor.units import counted, ends, percent

WORSE, BETTER = 2.0, 0.5  # times the published loss
WHOLE = 1.0  # kept of the teacher, and of its score, where nothing is cut

Published = Mapping[float, Sequence[float]]  # shares of the score by what is kept, ascending


def kept_fraction(student: Student) -> float:
    """Return what a student keeps of its teacher."""
    return _kept(student.blocks, student.teacher_blocks, student.parameters, student.teacher_parameters)


def _kept(
    blocks: float | None, teacher_blocks: float | None, parameters: float | None, teacher_parameters: float | None
) -> float:
    kept = [WHOLE]
    if blocks is not None and teacher_blocks is not None:
        kept.append(blocks / teacher_blocks)
    if parameters is not None and teacher_parameters is not None:
        kept.append(parameters / teacher_parameters)
    return min(kept)


def retention_of(student: Student, family: Family, pairs: Sequence[DistilledPair]) -> Estimate | str:
    """Return the share of the teacher's score that a student is assumed to keep; or why nothing is known of it.

    A larger student is never assumed to keep less. Students of another kind, or of models of another family, prove nothing.
    """
    alike = [pair for pair in pairs if pair.kind == student.kind and pair.family == family]
    if not alike:
        return (
            f"what such a student keeps ({student.kind}, of a model of the family {family}) is in no publication that advisor has"
        )
    published = _published(alike)
    places, kept = list(published), kept_fraction(student)
    if kept < places[0]:
        return f"it keeps {percent(kept)} of the model, and no published student less than {percent(places[0])}"
    below = max(place for place in places if place <= kept)
    above = min((place for place in places if place >= kept), default=WHOLE)
    at_below, at_above = _rising(published, below), _rising(published, above)
    value = at_below if below == above else at_below + (at_above - at_below) * (kept - below) / (above - below)
    least = min(share for place in places if place >= below for share in published[place])
    most = max(share for place in places if place <= above for share in published[place])
    most = most if above in published else max(most, WHOLE)
    between = percent(below) if below == above else f"{percent(below)} to {percent(above)}"
    return Estimate(
        value=value,
        low=_with_loss(least, WORSE),
        high=_with_loss(most, BETTER),
        basis="assumed",
        source=f"{counted(len(alike), 'published figure')} of such students, here of those that keep {between} of the model; "
        "twice the loss at the low end and half of it at the high end, for what is published is what worked",
    )


def _published(pairs: Sequence[DistilledPair]) -> Published:
    found: dict[float, list[float]] = {}
    for pair in pairs:
        kept = _kept(pair.student_blocks, pair.teacher_blocks, pair.student_parameters, pair.teacher_parameters)
        found.setdefault(kept, []).append(pair.student_score / pair.teacher_score)
    return dict(sorted(found.items()))


def _rising(published: Published, place: float) -> float:
    """Return the curve that never falls and is nearest to the shares (Barlow et al. 1972), at a place of theirs or where nothing is cut."""
    places = list(published)
    if place not in published:
        return max(WHOLE, _rising(published, places[-1]))
    at = places.index(place)
    return max(min(_mean(published, places[first : last + 1]) for last in range(at, len(places))) for first in range(at + 1))


def _mean(published: Published, places: Sequence[float]) -> float:
    shares = [share for place in places for share in published[place]]
    return sum(shares) / len(shares)


def _with_loss(share: float, factor: float) -> float:
    return share if share >= WHOLE else max(0.0, WHOLE - factor * (WHOLE - share))


def assumed_drop(retention: Estimate, metric: str, baseline: float) -> Estimate | str:
    """Return what a metric is assumed to lose, where the model as given has `baseline` of it; or why that is not known."""
    if metric in UNBOUNDED or metric in OF_THE_BASELINE or OWN.fullmatch(metric):
        return f"published students say nothing of {metric}"
    score = 1.0 - baseline if metric in RISING else baseline
    if score < 0:
        return f"a {metric} of {baseline:g} has no share to keep"
    low, value, high = (score * (WHOLE - share) for share in (retention.high, retention.value, retention.low))
    kept = ends(retention.low, retention.high, percent)
    return Estimate(
        value=value, low=low, high=high, basis="assumed", source=f"{kept} of the score are assumed to be kept: {retention.source}"
    )
