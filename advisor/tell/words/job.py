"""The words of advice on a batch job."""

from advisor import units
from advisor.schema.advice import OfflineAdvice, OfflineChoice
from advisor.schema.record import Record
from advisor.tell.words.figures import Row, Sentence, configuration, figure, written


class JobWords(Record, frozen=True, kw_only=True):
    """The sentences of a report on a batch job; None and () where there is nothing to report."""

    about: str
    what_to_do: str | None
    what_binds: str | None
    done: str | None
    others: str | None
    other_ways: tuple[Sentence, ...]
    evidence: str
    search: str
    excluded: tuple[str, ...]
    written: str


def job_words(advice: OfflineAdvice) -> JobWords:
    """Return the sentences of the report."""
    shown, certificate = advice.recommended or advice.nearest_miss, advice.certificate
    deadline = units.seconds(advice.workload.offline.deadline_s)
    done = "Finishes in time" if advice.recommended else "The nearest miss"
    binds = None if advice.recommended else advice.binding_constraint or "no variant may be recommended"
    return JobWords(
        about=f"Advice on a batch job for {advice.model.name}, {advice.workload.name}",
        what_to_do=f"Run {configuration(advice.recommended.candidate)}." if advice.recommended else None,
        what_binds=binds,
        done=f"{done}, deadline {deadline}" if shown else None,
        others=f"{units.counted(len(advice.others), 'other variant')} would finish in time too" if advice.others else None,
        other_ways=tuple(_way(other) for other in advice.others),
        evidence=units.counted(certificate.candidates, "candidate"),
        search=(
            f"{certificate.cut_by_bound:,} with too few replicas for the deadline, {certificate.cut_by_quality:,} cut by quality, "
            f"{certificate.cut_by_cost:,} more expensive than fewer replicas, {certificate.simulated:,} compared."
        ),
        excluded=tuple(f"{entry.what} was not considered: {entry.reason}" for entry in advice.exclusions),
        written=written(advice.advisor_version),
    )


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
