"""One piece of advice -> its row among many, money first."""

from advisor.decide.comparison.answers import Answer, AnyAdvice, answer, is_inconclusive
from advisor.decide.service.energy import of_a_month
from advisor.errors import AdvisorError
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.overview import AdviceRow, Failure, RowOutcome
from advisor.schema.record import Estimate


def row_of(
    id_: str,
    advice: AnyAdvice,
    *,
    now: str,
    profile_path: str,
    workload_path: str,
    profile_sha256: str,
    advice_path: str | None,
    report_path: str | None,
) -> AdviceRow:
    """Return the row of a piece of advice; `now` is the day from which it has to hold, paths are relative to the file of rows."""
    found, outcome = answer(advice, now), _outcome(advice)
    return AdviceRow(
        id=id_,
        outcome=outcome,
        usd_per_month=_usd_per_month(found, outcome),
        today_usd_per_month=_today(advice),
        saving_usd_per_month=_saving(advice),
        model=found.side.model,
        workload=advice.workload.name,
        variant=found.side.variant,
        hardware=found.side.hardware,
        replicas=found.side.replicas,
        headline=advice.headline,
        created=advice.created,
        valid_until=found.side.valid_until,
        settled_by=_settled_by(advice),
        failure=None,
        profile_path=profile_path,
        workload_path=workload_path,
        profile_sha256=profile_sha256,
        advice_path=advice_path,
        report_path=report_path,
    )


def row_of_failure(id_: str, error: AdvisorError, *, profile_path: str, workload_path: str) -> AdviceRow:
    """Return the row of a pair that has no advice: the two lines of the error, and no figure."""
    return AdviceRow(
        id=id_,
        outcome="failed",
        usd_per_month=None,
        today_usd_per_month=None,
        saving_usd_per_month=None,
        model=None,
        workload=None,
        variant=None,
        hardware=None,
        replicas=None,
        headline="",
        created=None,
        valid_until=None,
        settled_by=(),
        failure=Failure(fault=error.fault or type(error).__name__, hint=error.hint),
        profile_path=profile_path,
        workload_path=workload_path,
        profile_sha256=None,
        advice_path=None,
        report_path=None,
    )


def _outcome(advice: AnyAdvice) -> RowOutcome:
    if is_inconclusive(advice):
        return "inconclusive"
    if advice.recommended is None:
        return "infeasible"
    if isinstance(advice, OfflineAdvice | LanguageAdvice):
        return "advised"
    return "keep" if advice.outcome == "keep" else "change"


def _usd_per_month(found: Answer, outcome: RowOutcome) -> Estimate | None:
    """Return what the advised configuration costs; what is most likely or nearest is not advised, and in no sum."""
    known = found.figures.get("cost_usd_per_month")
    return None if known is None or outcome in ("infeasible", "inconclusive") else known.estimate


def _today(advice: AnyAdvice) -> Estimate | None:
    """Return what today's replicas cost, None where the user did not say how many there are."""
    if not isinstance(advice, Advice | GenerationAdvice):
        return None
    today = advice.workload.baseline
    return None if today is None or today.replicas is None else of_a_month(advice.baseline.cost_usd_per_hour)


def _saving(advice: AnyAdvice) -> Estimate | None:
    if not isinstance(advice, Advice | GenerationAdvice) or advice.saving is None:
        return None
    return of_a_month(advice.saving.usd_per_hour)


def _settled_by(advice: AnyAdvice) -> tuple[str, ...]:
    """Return what would settle an answer that is not known well enough, of everything else nothing."""
    if not is_inconclusive(advice):
        return ()
    if isinstance(advice, Advice):
        return advice.certainty.settled_by if advice.certainty is not None else ()
    return advice.settled_by if isinstance(advice, GenerationAdvice | LanguageAdvice) else ()
