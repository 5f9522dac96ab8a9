"""The straight line from a model to a report: profile, advise, report and, if asked, verify."""

from pathlib import Path
from typing import TYPE_CHECKING

from advisor.errors import ExitStatus
from advisor.files.records import write_record
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.options import USUAL_LOAD_TEST_S, USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.advise import exit_status as exit_status_of_advice
from advisor.steps.report import write_reports
from advisor.units import parse_moment

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report


def exit_status(advice: Advice | OfflineAdvice, *, is_verified: bool) -> ExitStatus:
    """Return what the advice means to the caller; once verified, what `advisor verify` would return."""
    if is_verified and isinstance(advice, Advice):
        from advisor.steps.verify import exit_status

        return exit_status(advice)
    return exit_status_of_advice(advice)


def recommend(
    model: Path,
    output: Path,
    options: ProfileOptions,
    *,
    is_verified: bool,
    now: str,
    report: "Report",
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    rules_folder: Path | None = None,
) -> Advice | OfflineAdvice:
    """Profile, advise, report and, if asked, verify, all in the folder `output`; return the advice."""
    from advisor.steps.profile import profile

    now = parse_moment(now)
    assert options.workload is not None

    profile(model, output / "profile.json", options, now=now, report=report)
    report(options.budget_s, options.budget_s, "simulating and searching")
    advice = advise_on(
        output / "profile.json", options.workload, now=now, max_uncertainty=max_uncertainty, rules_folder=rules_folder
    )
    write_record(output / "advice.json", advice)
    write_reports(advice, output)
    if is_verified and isinstance(advice, Advice):
        from advisor.steps.verify import verify

        return verify(
            output / "advice.json",
            options.workload,
            wanted_s=USUAL_LOAD_TEST_S,
            now=now,
            report=report,
            rules_folder=rules_folder,
        )
    return advice
