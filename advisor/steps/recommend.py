"""The straight line from a model to a report: profile, advise, report and, if asked, verify."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.disk import kinds, locks
from advisor.disk.beside import check_places
from advisor.disk.writing import check_output
from advisor.errors import ExitStatus
from advisor.files.records import write_record
from advisor.schema.advice import Advice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.options import USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.steps.advise import AnyAdvice, advise_on
from advisor.steps.advise import exit_status as exit_status_of_advice
from advisor.steps.generation.reading import check_advising, generates
from advisor.steps.language.dispatch import is_elsewhere
from advisor.steps.report import check_reports, write_reports
from advisor.units import parse_moment

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report


def exit_status(advice: AnyAdvice, *, is_verified: bool) -> ExitStatus:
    """Return what the advice means to the caller; once verified, what `advisor verify` would return."""
    if is_verified and isinstance(advice, Advice | GenerationAdvice):
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
) -> AnyAdvice:
    """Profile, advise, report and, if asked, verify, all in `output`; return the advice. Of a configuration nothing is profiled."""
    now = parse_moment(now)
    assert options.workload is not None
    if is_elsewhere(model, options.workload):
        from advisor.steps.language.recommend import recommend_elsewhere

        elsewhere = recommend_elsewhere(
            model,
            output,
            options,
            is_verified=is_verified,
            now=now,
            report=report,
            max_uncertainty=max_uncertainty,
            rules_folder=rules_folder,
        )
        return _shared(elsewhere, model, options, report)
    if generates(options.workload):
        check_advising(rules_folder)  # before time is spent on the profile
    from advisor.steps.profile import measured_into

    profile_path, advice_path = output / "profile.json", output / "advice.json"
    check_places(model, profile_path, options)
    check_output(advice_path, kinds.ADVICE, inputs=(options.workload,))
    check_reports(output)

    with locks.held(profile_path, advice_path):
        measured_into(model, profile_path, options, now=now, report=report)
        _with_shared_sites(profile_path, options, report)
        report(options.budget_s, options.budget_s, "simulating and searching")
        advice = advise_on(profile_path, options.workload, now=now, max_uncertainty=max_uncertainty, rules_folder=rules_folder)
        if isinstance(advice, GenerationAdvice):
            from advisor.steps.language.recommend import with_elsewhere

            advice = with_elsewhere(advice, model, options.workload, now=now, max_uncertainty=max_uncertainty)
        write_record(advice_path, advice)
        write_reports(advice, output)
        if is_verified and isinstance(advice, Advice | GenerationAdvice):
            from advisor.steps.verify import load_tested

            advice = load_tested(advice_path, options.workload, wanted_s=None, now=now, report=report, rules_folder=rules_folder)
        return _shared(advice, profile_path, options, report)


def left_out_of_given(advice: AnyAdvice, options: ProfileOptions) -> tuple[str, ...]:
    """Return which of the files that the user gave as variants were left out, and why, a line each."""
    if not options.variants or not isinstance(advice, Advice):
        return ()
    from advisor.files.catalog import schemes
    from advisor.measure.variants.making import baseline_id, given_ids

    names = given_ids(options.variants, {baseline_id(advice.model), *(scheme.id for scheme in schemes())})
    reasons = {entry.what: entry.reason for entry in advice.exclusions}
    return tuple(
        f"--variant {path}: left out: {reasons[name]}"
        for path, name in zip(options.variants, names, strict=True)
        if name in reasons
    )


def _with_shared_sites(profile_path: Path, options: ProfileOptions, report: "Report") -> None:
    """Add to the profile what the store has of other machines that the workload allows."""
    if options.store is not None and options.workload is not None:
        from advisor.steps.shared.sites import add_sites_held

        add_sites_held(profile_path, options.workload, options.store, _saying(options, report))


def _shared(advice: AnyAdvice, profile_path: Path, options: ProfileOptions, report: "Report") -> AnyAdvice:
    """Return the advice, put into the store, if there is one."""
    if options.store is not None:
        from advisor.steps.shared.advice import share_advice

        share_advice(advice, profile_path, options.store, _saying(options, report))
    return advice


def _saying(options: ProfileOptions, report: "Report") -> Callable[[str], None]:
    return lambda line: report(options.budget_s, options.budget_s, "looking into the store", line=line)
