"""The straight line from a configuration to a report, and what is said of hardware elsewhere beside a measured model."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from advisor.disk import kinds, locks
from advisor.disk.writing import check_output
from advisor.errors import AdvisorError
from advisor.files.records import write_record
from advisor.schema.catalog import LOCAL
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.options import USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.steps.generation.dispatch import CONFIG
from advisor.steps.generation.reading import check_advising
from advisor.steps.language.advise import advise_on_configuration
from advisor.steps.language.configuration import no_load_test
from advisor.steps.language.dispatch import check_options
from advisor.steps.report import check_reports, write_reports
from advisor.units import parse_moment

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report


EXPECTED_S = 10.0  # of composing, simulating and searching


def recommend_elsewhere(
    model: Path,
    output: Path,
    options: ProfileOptions,
    *,
    is_verified: bool,
    now: str,
    report: "Report",
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    rules_folder: Path | None = None,
) -> LanguageAdvice:
    """Advise on a configuration and report, into the folder `output`; return the advice. Nothing is measured."""
    now = parse_moment(now)
    assert options.workload is not None
    check_advising(rules_folder)
    check_options(model, options)
    if is_verified:
        raise no_load_test(model)
    advice_path = output / "advice.json"
    check_output(advice_path, kinds.ADVICE, inputs=(model, options.workload))
    check_reports(output)
    with locks.held(advice_path):
        report(0.0, EXPECTED_S, "composing steps, simulating and searching")
        advice = advise_on_configuration(model, options.workload, now=now, max_uncertainty=max_uncertainty)
        write_record(advice_path, advice)
        write_reports(advice, output)
    return advice


def with_elsewhere(
    advice: GenerationAdvice, model: Path, workload_path: Path, *, now: str, max_uncertainty: float = USUAL_MAX_UNCERTAINTY
) -> GenerationAdvice:
    """Return advice on what was measured here with a note on the allowed hardware where nothing was: judged from the configuration."""
    now = parse_moment(now)
    measured = {LOCAL, *(site.hardware for site in advice.sites)}
    elsewhere = [name for name in advice.workload.hardware.allowed if name not in measured]
    if not elsewhere or not (model / CONFIG).is_file():
        return advice
    try:
        judged = advise_on_configuration(model, workload_path, now=now, max_uncertainty=max_uncertainty).headline
    except AdvisorError as error:
        judged = error.fault
    note = (
        f"{', '.join(elsewhere)}: nothing was measured there. From the configuration alone: {judged}. The whole report on that: "
        f"advisor recommend {model / CONFIG} -w {workload_path}"
    )
    return msgspec.structs.replace(advice, notes=(*advice.notes, note))
