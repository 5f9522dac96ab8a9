"""The words of advice on a batch job."""

from advisor import units
from advisor.schema.advice import OfflineAdvice, OfflineChoice
from advisor.schema.record import Record
from advisor.tell.words.decision import spare
from advisor.tell.words.figures import Row, Sentence, configuration, figure, written

NOT_RUN = "Predicted from single calls; the job itself was not run."


class JobWords(Record, frozen=True, kw_only=True):
    """The sentences of a report on a batch job; None and () where there is nothing to report."""

    about: str
    done: str | None
    others: str | None
    other_ways: tuple[Sentence, ...]
    evidence: str
    search: str
    exclusions: str | None
    written: str


def job_words(advice: OfflineAdvice) -> JobWords:
    """Return the sentences of the report."""
    shown, certificate = advice.recommended or advice.nearest_miss, advice.certificate
    deadline = units.seconds(advice.workload.offline.deadline_s)
    done = "Finishes in time" if advice.recommended else "The nearest miss"
    return JobWords(
        about=f"Advice on a batch job for {advice.model.name}, {advice.workload.name}",
        done=f"{done}, deadline {deadline}" if shown else None,
        others=f"{units.counted(len(advice.others), 'other variant')} would finish in time too" if advice.others else None,
        other_ways=tuple(_way(other) for other in advice.others),
        evidence=units.counted(certificate.candidates, "candidate"),
        search=(
            f"{certificate.cut_by_bound:,} with too few replicas for the deadline, {certificate.cut_by_quality:,} cut by quality, "
            f"{certificate.cut_by_cost:,} more expensive than fewer replicas, {certificate.simulated:,} compared."
        ),
        exclusions=f"{units.counted(len(advice.exclusions), 'option')} not considered" if advice.exclusions else None,
        written=written(advice.advisor_version),
    )


def job_decision_rows(advice: OfflineAdvice) -> tuple[Row, ...]:
    """Return the lines of the box: what to do, what it costs, whether the deadline is kept; each is one cell, the parts of a sentence."""
    shown = advice.recommended or advice.nearest_miss
    lines: dict[str, Sentence] = {
        "Decision": (
            f"Run {configuration(advice.recommended.candidate)}."
            if advice.recommended
            else "Nothing to approve: see what binds.",
        )
    }
    if advice.recommended is None:
        lines["What binds"] = (f"{advice.binding_constraint or 'no variant may be recommended'}.",)
    if shown is not None:
        lines["Cost of the job"] = (figure(shown.cost_usd, units.usd), *_cheaper_than(advice), ".")
        lines["Deadline"] = _deadline(shown, advice.workload.offline.deadline_s)
    lines["How sure"] = (NOT_RUN,) if advice.recommended else ()
    return tuple(Row(label=label, cells=parts) for label, parts in lines.items() if parts)


def _cheaper_than(advice: OfflineAdvice) -> Sentence:
    """Return what the next other way costs."""
    following = min(advice.others, key=lambda other: other.cost_usd.value, default=None)
    if advice.recommended is None or following is None:
        return ()
    return ("; the next other variant, ", following.candidate.variant, ", ", figure(following.cost_usd, units.usd))


def _deadline(shown: OfflineChoice, deadline_s: float) -> Sentence:
    said: Sentence = ("Done in ", figure(shown.duration_s, units.seconds), f", at most {units.seconds(deadline_s)}: ")
    if shown.meets_deadline:
        return (*said, spare(shown.duration_s, deadline_s), ".")
    return (*said, "missed." if shown.duration_s.low > deadline_s else "not shown to be kept.")


def job_rows(advice: OfflineAdvice) -> tuple[Row, ...]:
    """Return the figures of what is recommended, or of the nearest miss."""
    shown, volume = advice.recommended or advice.nearest_miss, advice.workload.offline
    if shown is None:
        return ()
    return (
        Row(label="Time", cells=(figure(shown.duration_s, units.seconds),), goal=f"at most {units.seconds(volume.deadline_s)}"),
        Row(label="Throughput", cells=(figure(shown.throughput_items_per_s, units.rate),)),
        Row(label="Cost", cells=(figure(shown.cost_usd, units.usd),)),
        Row(label="Items", cells=(f"{volume.items:,}",)),
    )


def _way(other: OfflineChoice) -> Sentence:
    cost, duration = figure(other.cost_usd, units.usd), figure(other.duration_s, units.seconds)
    return (f"{configuration(other.candidate)}: ", cost, " in ", duration)
