"""The students of a profile: each beside what is served without it, and the one that is worth trying first.

Nobody has trained most of them. These are timed and never advised: their quality is assumed, and what they would save is said with the
condition on which it holds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from advisor import units
from advisor.decide.distillation.making import Trainer, lever_of, making_of, trainer_of
from advisor.decide.distillation.retention import assumed_drop, kept_fraction, retention_of
from advisor.decide.distillation.worth import Worth, less, of_prediction, opportunity_of, together, worth_of
from advisor.decide.lifetime.inputs import Life, Market
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.energy import of_a_month
from advisor.decide.service.speedup import largest_batch_of_both, speedup
from advisor.schema.advice import Place, Prediction, StudentOutlook
from advisor.schema.catalog import DistilledPair, Lever
from advisor.schema.distillation import IF_IT_HOLDS, Student
from advisor.schema.lifetime import BreakEven, Making, Opportunity
from advisor.schema.profile import QualityResult, Site, Variant
from advisor.schema.record import Estimate, Exclusion
from advisor.speed_ratios import pair_noise

NO_PLAN = "give lifecycle: what it costs to make pays, if at all, over the model's planned life"
NOT_WEIGHED = "Distill into a student"  # what is not judged, by the name that it has there
KINDS = {"linear": "a linear model", "mlp": "a small network", "static": "vectors of words, averaged"}


class Asked(NamedTuple):
    """What the students of a site are compared with, and what is known beside: prices, published students."""

    site: SiteUnderLoad  # where today's configuration runs
    measured: Site  # the same, as it was measured
    sequence_length: int | None  # at which variants are compared
    serve: Callable[[set[str]], Prediction | None]  # the cheapest that keeps the target with these variants, wherever it may run
    shown: Prediction  # what is served without them
    life: Life  # served by that
    market: Market
    places: tuple[Place, ...]
    pairs: tuple[DistilledPair, ...]
    created: str


class Students(NamedTuple):
    """All of them, and what follows for what could be done."""

    rows: tuple[StudentOutlook, ...] = ()
    opportunity: Opportunity | None = None
    break_even: BreakEven | None = None
    exclusions: tuple[Exclusion, ...] = ()


class _Quality(NamedTuple):
    """What a student loses of the workload's metric, as far as anybody knows; `may_hold` and `surely_holds` are of the user's floor."""

    result: QualityResult | None
    retention: Estimate | None
    drop: Estimate | None
    because: str
    may_hold: bool = True
    likely_holds: bool = False
    surely_holds: bool = False


class _Speed(NamedTuple):
    """How many times faster than the model as given a student is; None where it was not measured so."""

    single: Estimate | None
    in_largest: Estimate | None
    largest_batch_size: int | None

    @property
    def is_told_apart(self) -> bool:
        """Whether it is faster beyond noise, at either size; where neither was measured, nothing speaks against it."""
        known = [found for found in (self.single, self.in_largest) if found is not None]
        return not known or any(found.low > 1 for found in known)


class _Judged(NamedTuple):
    row: StudentOutlook
    quality: _Quality
    worth: Worth | None


def described(student: Student) -> str:
    """Describe what a student keeps: "3 of 6 layers"."""
    if student.kind in KINDS:
        return KINDS[student.kind]
    part = "tree" if student.kind == "trees" else "layer"
    if student.blocks is None or student.teacher_blocks is None:
        return f"{units.percent(student.parameters / student.teacher_parameters)} of the parameters"
    if student.blocks < student.teacher_blocks:
        return f"{student.blocks} of {units.counted(student.teacher_blocks, part)}"
    narrower = units.percent(student.parameters / student.teacher_parameters)
    return f"{units.counted(student.blocks, part)}, narrower: {narrower} of the parameters"


def students_of(asked: Asked) -> Students:
    """Return the students of the site, and the one that is worth trying first among what could be done."""
    by_id: dict[str, list[Variant]] = {}
    for variant in asked.site.variants.values():
        if variant.student is not None:
            by_id.setdefault(variant.student.id, []).append(variant)
    lifecycle = asked.site.workload.lifecycle
    lever = lever_of(asked.market, asked.life)
    trainer = trainer_of(lifecycle, asked.market, asked.places) if lifecycle is not None else None
    judged = [_judged(asked, variants, lever, trainer) for variants in by_id.values()]
    return _with_the_best(asked, judged)


def _judged(asked: Asked, variants: Sequence[Variant], lever: Lever | None, trainer: Trainer | None) -> _Judged:
    first = variants[0]
    student = first.student
    assert student is not None
    quality = _measured(asked, variants) if student.is_trained else _assumed(asked, student)
    speed = _speed_of(asked, first.id)
    names = {variant.id for variant in variants} & (asked.site.admitted() if student.is_trained else set(asked.site.variants))
    served = asked.serve(names) if names and speed.is_told_apart else None
    making = worth = None
    if not student.is_trained and lever is not None and asked.site.workload.lifecycle is not None:
        making = making_of(student, lever, asked.life, asked.site.workload.lifecycle, asked.market, trainer)
        if served is not None and asked.shown.meets_slo:
            before, after = of_prediction(asked.shown), of_prediction(served)
            worth = worth_of(student.id, lever, before, after, making, asked.life, created=asked.created)
    alone = asked.serve({first.id}) if served is not None and served.candidate.variant != first.id else None
    return _Judged(_row(asked, variants, speed, quality, served, alone, making, worth), quality, worth)


def _speed_of(asked: Asked, name: str) -> _Speed:
    """Return how much faster than the model as given a student is, in single calls and in the largest batch of both."""
    site, length, noise = asked.measured, asked.sequence_length, pair_noise(asked.measured)
    as_given = next(variant.id for variant in site.variants if variant.derived_from is None)
    largest = largest_batch_of_both(site, name, as_given, length)

    def at(batch_size: int) -> Estimate | None:
        return speedup(site, name, as_given, batch_size=batch_size, sequence_length=length, noise=noise)

    return _Speed(at(1), None if largest is None else at(largest), largest)


# --- quality -------------------------------------------------------------------------------------------------------------------


def _measured(asked: Asked, variants: Sequence[Variant]) -> _Quality:
    """Return what was measured of a trained student, of the form that may be served if any may."""
    admissions = asked.site.admissions
    best = next((variant for variant in variants if admissions[variant.id].admitted), variants[0])
    holds = admissions[best.id].admitted
    because = admissions[best.id].because
    return _Quality(best.quality, None, None, because, may_hold=holds, likely_holds=holds, surely_holds=holds)


def _assumed(asked: Asked, student: Student) -> _Quality:
    """Return what an untrained student is assumed to keep, beside the floor."""
    retention = retention_of(student, asked.site.model.family, asked.pairs)
    if isinstance(retention, str):
        return _Quality(None, None, None, retention)
    floor = asked.site.workload.quality
    if floor is None:
        return _Quality(None, retention, None, "no floor is set: quality.metric and quality.max_drop")
    baseline = next(
        (
            variant.quality.baseline
            for variant in asked.site.variants.values()
            if variant.quality is not None and variant.quality.metric == floor.metric
        ),
        None,
    )
    if baseline is None:
        return _Quality(None, retention, None, f"{floor.metric} of the model itself was not measured")
    drop = assumed_drop(retention, floor.metric, baseline)
    if isinstance(drop, str):
        return _Quality(None, retention, None, drop)
    allowed = floor.max_drop
    lost = f"assumed to lose {units.ends(drop.low, drop.high, units.points)} of {floor.metric}, {units.points(allowed)} allowed"
    return _Quality(
        None,
        retention,
        drop,
        lost,
        may_hold=drop.low <= allowed,
        likely_holds=drop.value <= allowed,
        surely_holds=drop.high <= allowed,
    )


# --- rows ----------------------------------------------------------------------------------------------------------------------


def _row(
    asked: Asked,
    variants: Sequence[Variant],
    speed: _Speed,
    quality: _Quality,
    served: Prediction | None,
    alone: Prediction | None,
    making: Making | None,
    worth: Worth | None,
) -> StudentOutlook:
    student = variants[0].student
    assert student is not None
    before, after = of_a_month(asked.shown.cost_usd_per_hour), None if served is None else of_a_month(served.cost_usd_per_hour)
    return StudentOutlook(
        student=student,
        title=described(student),
        variants=tuple(variant.id for variant in variants),
        speedup_single=speed.single,
        speedup_largest=speed.in_largest,
        largest_batch_size=speed.largest_batch_size,
        quality=quality.result,
        retention=quality.retention,
        assumed_drop=quality.drop,
        likely_holds=None if quality.drop is None else quality.likely_holds,
        quality_because=quality.because,
        served=served,
        alone=alone,
        saving_usd_per_month=less(before, after) if after is not None and asked.shown.meets_slo else None,
        making=making,
        break_even=None if worth is None else worth.break_even,
        pays=None if worth is None else worth.pays,
        because=_because(asked, student, speed, served),
    )


def _because(asked: Asked, student: Student, speed: _Speed, served: Prediction | None) -> str:
    """Return what is to be said of a student beside its figures."""
    if student.is_trained:
        return "trained: a candidate like any other, where its quality holds"
    if served is None:
        return "no number of replicas keeps the target with it" if speed.is_told_apart else "not measurably faster than the model"
    if not asked.shown.meets_slo:
        does = "does" if asked.shown.misses_slo else "is shown to"
        return f"it would keep the target, which nothing that may be served {does}: {IF_IT_HOLDS}"
    return NO_PLAN if asked.site.workload.lifecycle is None else ""


# --- the one to try first --------------------------------------------------------------------------------------------------------


def _with_the_best(asked: Asked, judged: Sequence[_Judged]) -> Students:
    """Return the students with the one that is worth trying first as an opportunity.

    That is the one that saves most of those that likely hold; where none likely does, of those that may. Without a floor of quality the
    deepest cut would always win: then it is the least cut that pays.
    """
    rows = tuple(entry.row for entry in judged)
    lifecycle = asked.site.workload.lifecycle
    weighed = [entry for entry in judged if entry.worth is not None]
    if lifecycle is None or not weighed:
        bare = [f"{row.student.id}: {row.because}" for row in rows if not row.student.is_trained and row.because]
        return Students(rows, exclusions=(Exclusion(what=NOT_WEIGHED, reason="; ".join(bare)),) if bare else ())
    hoped = [entry for entry in weighed if entry.quality.likely_holds] or [entry for entry in weighed if entry.quality.may_hold]
    if not hoped:
        best = max(weighed, key=_net)
        reason = f"even at the favorable end none holds; {best.row.student.id}: {best.quality.because}"
        return Students(rows, exclusions=(Exclusion(what=NOT_WEIGHED, reason=reason),))
    has_floor = any(entry.quality.drop is not None for entry in hoped)
    paying = [entry for entry in hoped if entry.worth is not None and entry.worth.pays]
    best = max(hoped, key=_net) if has_floor or not paying else max(paying, key=_kept)
    worth, quality = best.worth, best.quality
    assert worth is not None
    opportunity = opportunity_of(
        worth,
        asked.life.values["horizon_months"],
        risk=f"{quality.because}; nobody has trained it, and it is advised only where it was measured and held",
        surely_holds=quality.surely_holds,
        because="; ".join(filter(None, (_with_schemes(best.row), together(worth, asked.life, lifecycle, asked.market)))),
        created=asked.created,
    )
    return Students(rows, opportunity, worth.break_even)


def _with_schemes(row: StudentOutlook) -> str:
    """Return that a student and what a scheme makes of it save once, not each for itself; empty where it is served as it is."""
    if row.served is None or row.served.candidate.variant == row.variants[0]:
        return ""
    alone = "" if row.alone is None else f", {units.usd(of_a_month(row.alone.cost_usd_per_hour).value)} a month without"
    return f"{row.student.id} and its form {row.served.candidate.variant} are one saving{alone}"


def _net(entry: _Judged) -> float:
    return entry.worth.gain.net_usd if entry.worth is not None else float("-inf")


def _kept(entry: _Judged) -> float:
    return kept_fraction(entry.row.student)
