"""Two files of advice, or one, and a policy -> what differs, what is kept, and what cannot be told."""

from collections.abc import Iterator
from typing import Any

import msgspec

from advisor import __version__
from advisor.decide.comparison import limits, quality
from advisor.decide.comparison.answers import FIGURES, KINDS, PROMISE, Answer, AnyAdvice, answer
from advisor.decide.comparison.outcomes import Change, Scale, change, outcome, shown_change
from advisor.decide.comparison.quality import Known
from advisor.errors import InputError
from advisor.quality_floor import RISING, UNBOUNDED
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.gate.comparison import AdviceKind, Comparison, Figure, Kept, LimitFinding, Outcome
from advisor.schema.gate.policy import Policy
from advisor.schema.generation import GenerationAdvice
from advisor.schema.record import SCHEMA_VERSION, Estimate
from advisor.units import counted

SPEEDS = {"throughput_items_per_s", "decode_tokens_per_s"}  # the higher the better
NOT_COMPARED = {"valid_days"}  # a day less a day is no change for the worse
ORDER: tuple[Kept, ...] = ("missed", "not shown", "kept")
NAMES: dict[AdviceKind, str] = {
    "online": "advice on traffic",
    "offline": "advice on a batch job",
    "generation": "advice on a generative model",
    "language": "advice on a language model elsewhere",
}
MOST_KEYS = 6  # of a workload that a note names


def compare(old: AnyAdvice | None, new: AnyAdvice, policy: Policy, *, now: str, is_usual: bool = False) -> Comparison:
    """Return how the newer advice stands to the older one and to the policy; without an older one, to the policy alone.

    Both are of one kind. Raises InputError for a policy of which nothing can be held against that kind. If it `is_usual`, the one that
    comes with advisor, what it says of figures that were not known before is passed over.
    """
    after, before = answer(new, now), None if old is None else answer(old, now)
    before, after = _with_quality(_with_speed(before, after), after)
    figures = tuple(_figures(before, after))
    findings = tuple(_findings(policy, before, after, is_usual=is_usual))
    why_open = after.why_open or ("" if before is None else before.why_open)
    held = limits.overall(findings, why_open)
    kept = None if before is None else _kept_outcome(before.kept, after.kept)
    notes = (*_open_notes(before, after), *(() if old is None else _differences(old, new)))
    return Comparison(
        schema_version=SCHEMA_VERSION,
        created=now,
        advisor_version=__version__,
        of=after.kind,
        workload=new.workload.name,
        held=held,
        is_same=before is not None
        and held == "kept"
        and kept == "same"
        and all(it.outcome == "same" for it in figures if it.name not in NOT_COMPARED)
        and all(it.held == "kept" or (it.level == "warn" and it.held == "cannot be told") for it in findings),
        old=None if before is None else before.side,
        new=after.side,
        metric=None if after.quality is None else after.quality.metric,
        figures=figures,
        kept_old=None if before is None else before.kept,
        kept_new=after.kept,
        kept_outcome=kept,
        limits=findings,
        notes=notes,
    )


def _with_speed(before: Answer | None, after: Answer) -> Answer | None:
    """Return the older answer with the speed of the variant that is served now, where it was measured then, too.

    Like with like: a slower model may be served as another variant, and the speed of that is no answer to whether it is slower.
    """
    variant = after.side.variant
    if before is None or variant not in before.speeds:
        return before
    speed = Known(before.speeds[variant])
    return before._replace(figures={name: speed if name in SPEEDS else known for name, known in before.figures.items()})


def _with_quality(before: Answer | None, after: Answer) -> tuple[Answer | None, Answer]:
    """Return both answers with their quality as it can be compared; equal files are equal, whatever was measured of them."""
    if before is None:
        return before, after
    if before.file_sha256 is not None and before.file_sha256 == after.file_sha256:
        known = after.quality or before.quality
        if known is None:
            return before, after
        one = other = quality.exact(known)
    elif after.quality is None:
        return before, after
    else:
        known = after.quality
        one, other = quality.sides(before.quality, after.quality)
    return (
        before._replace(figures=before.figures | {"quality": one}),
        after._replace(figures=after.figures | {"quality": other}, quality=known),
    )


def kind_of(advice: AnyAdvice) -> AdviceKind:
    """Return which kind of advice it is."""
    return KINDS[type(advice)]


def check_kinds(old: AnyAdvice, new: AnyAdvice) -> None:
    """Raise InputError for advice of two kinds, whose figures have nothing in common."""
    if kind_of(old) != kind_of(new):
        raise InputError(
            f"the one is {NAMES[kind_of(old)]}, the other {NAMES[kind_of(new)]}",
            hint="compare advice of one kind on one workload",
        )


# --- figures -------------------------------------------------------------------------------------------------------------------


def _figures(before: Answer | None, after: Answer) -> Iterator[Figure]:
    """Yield each figure that at least one of the sides has."""
    for name in FIGURES[after.kind]:
        new = after.figures[name]
        old = None if before is None else before.figures[name]
        if new.estimate is None and (old is None or old.estimate is None):
            continue
        if old is None or before is None:
            yield Figure(name=name, old=None, new=new.estimate, change=None, outcome=None, because="")
        elif old.estimate is None or new.estimate is None:
            yield Figure(
                name=name,
                old=old.estimate,
                new=new.estimate,
                change=None,
                outcome="cannot be told",
                because=new.because if new.estimate is None else f"before, {old.because}",
            )
        else:
            yield _compared(name, old.estimate, new.estimate, after)


def _compared(name: str, old: Estimate, new: Estimate, after: Answer) -> Figure:
    scale, higher = _law(name, after)
    found: Outcome = "same" if name in NOT_COMPARED else outcome(old, new, is_worse_when_higher=higher)
    return Figure(name=name, old=old, new=new, change=shown_change(old, new, scale), outcome=found, because="")


def _law(name: str, after: Answer) -> tuple[Scale, bool]:
    """Return how a change of a figure counts, and whether more of it is worse."""
    if name == "quality" and after.quality is not None:
        metric = after.quality.metric
        return "parts" if metric in UNBOUNDED else "difference", metric in RISING
    return "difference" if name in NOT_COMPARED else "parts", name not in SPEEDS and name not in NOT_COMPARED


def _kept_outcome(old: Kept, new: Kept) -> Outcome:
    if old == new:
        return "same"
    if "not shown" in (old, new):
        return "cannot be told"
    return "better" if ORDER.index(new) > ORDER.index(old) else "worse"


# --- limits --------------------------------------------------------------------------------------------------------------------


def _findings(policy: Policy, before: Answer | None, after: Answer, *, is_usual: bool) -> Iterator[LimitFinding]:
    """Yield each limit of the policy that can be held against this advice; InputError where there is none, or one of another kind."""
    judged = False
    for name in policy.__struct_fields__:
        limit = getattr(policy, name)
        if limit is None or (is_usual and not _is_known(name, before, after)):
            continue
        if name == PROMISE[after.kind]:
            judged = True
            yield limits.of_promise(name, limit, after.kept)
            continue
        if name not in FIGURES[after.kind]:
            raise InputError(
                f"{name}: {NAMES[after.kind]} has no such figure",
                hint=f"its figures are: {', '.join((*FIGURES[after.kind], PROMISE[after.kind]))}",
            )
        for finding in _of_figure(name, limit, before, after):
            judged = True
            yield finding
    if not judged:
        raise InputError(
            "every limit in it is on a change, and one file of advice shows none",
            hint="compare two with `advisor compare OLD NEW`, or give max, min or meets_slo",
        )


def _is_known(name: str, before: Answer | None, after: Answer) -> bool:
    """Return whether advice of this kind has the figure, and it was known before: what is measured for the first time is no change."""
    side = after if before is None else before
    return name == PROMISE[after.kind] or (name in side.figures and side.figures[name].estimate is not None)


def _of_figure(name: str, limit: Any, before: Answer | None, after: Answer) -> Iterator[LimitFinding]:
    new = after.figures[name]
    metric = after.quality.metric if name == "quality" and after.quality is not None else None
    yield from limits.of_value(name, limit, new.estimate, new.because, metric)
    if before is not None and (found := _on_change(name, limit, before, after)) is not None:
        yield found


def _on_change(name: str, limit: Any, before: Answer, after: Answer) -> LimitFinding | None:
    scale, higher = _law(name, after)
    old, new = before.figures[name], after.figures[name]
    found: Change | None = None
    if old.estimate is not None and new.estimate is not None:
        found = change(old.estimate, new.estimate, scale, is_worse_when_higher=higher)
    because = new.because if new.estimate is None else f"before, {old.because}"
    return limits.of_change(name, limit, found, because, in_parts=scale == "parts")


# --- what else differs ---------------------------------------------------------------------------------------------------------


def _open_notes(before: Answer | None, after: Answer) -> Iterator[str]:
    for which, side in (("older", before), ("newer", after)):
        if side is not None and side.why_open:
            whose = f"the {which} advice is" if before is not None else "it is"
            yield f"{whose} inconclusive: {side.why_open}"


def _differences(old: AnyAdvice, new: AnyAdvice) -> Iterator[str]:
    """Yield what the two advices were asked, and of what: a difference there may be the reason for all others."""
    if old.model.sha256 != new.model.sha256:
        yield f"the model is another: {old.model.sha256[:12]} before, {new.model.sha256[:12]} now"
    keys = [*_changed(msgspec.to_builtins(old.workload), msgspec.to_builtins(new.workload), "")]
    if keys:
        more = f" and {counted(len(keys) - MOST_KEYS, 'more key')}" if len(keys) > MOST_KEYS else ""
        yield f"the workload differs: {', '.join(keys[:MOST_KEYS])}{more}"
    measured = (Advice, OfflineAdvice, GenerationAdvice)
    if isinstance(old, measured) and isinstance(new, measured):
        machines = [f"{it.sites[0].machine.cpu}, {counted(it.sites[0].machine.cores, 'core')}" for it in (old, new)]
        if machines[0] != machines[1]:
            yield f"measured on another machine: {machines[0]} before, {machines[1]} now"
        changed = [*_versions(old.sites[0].versions, new.sites[0].versions)]
        if changed:
            yield f"another runtime: {', '.join(changed[:MOST_KEYS])}"
    if old.advisor_version != new.advisor_version:
        yield f"made by another version of advisor: {old.advisor_version} before, {new.advisor_version} now"


def _versions(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} {old.get(name, 'none')} before, {new.get(name, 'none')} now"


def _changed(old: Any, new: Any, key: str) -> Iterator[str]:
    """Yield the keys of two trees under which they differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _changed(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
    elif old != new:
        yield key
