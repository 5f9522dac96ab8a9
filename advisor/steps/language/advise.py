"""A configuration and a workload, from their files, to advice on hardware that is not here: here files are read; nothing is decided."""

from pathlib import Path

import msgspec

from advisor.decide.distillation.configuration import with_student
from advisor.decide.generation.elsewhere.advise import advise_elsewhere
from advisor.decide.generation.elsewhere.request import ElsewhereRequest
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.errors import InputError
from advisor.files.catalog import read_acceptance_lengths, read_distilled_pairs
from advisor.files.market import market_of
from advisor.files.places import places_elsewhere
from advisor.files.workload import EXAMPLES, question_of, read_workload, without_use
from advisor.measure.architecture.config import read_architecture
from advisor.schema.language import LanguageAdvice
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.workload import GenerationWorkload, Workload
from advisor.steps.generation.advise import LENGTHS_GIVEN, recorded_of
from advisor.steps.language.kernels import steps_of_catalog
from advisor.steps.language.prices import token_prices_beside
from advisor.units import parse_moment


def advise_on_configuration(
    model: Path,
    workload_path: Path,
    *,
    now: str,
    workload: Workload | None = None,
    confidence: float = USUAL_CONFIDENCE,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
) -> LanguageAdvice:
    """Return the advice on a model by its configuration, a file or in a folder; nothing of it is measured.

    `workload` is what was read from `workload_path`, where that was done before.
    """
    now = parse_moment(now)
    workload = read_workload(workload_path) if workload is None else workload
    question = question_of(workload, workload_path)
    if not isinstance(question, GenerationWorkload):
        raise InputError(
            f"{workload_path}: asks about a model of one pass, and {model} is a configuration, from which tokens alone are judged",
            hint=f"add, for example, {EXAMPLES['tokens']} and {EXAMPLES['slo.ttft_s']}",
        )
    architecture = read_architecture(model)
    where, left_out = places_elsewhere(question, workload_path, now=now)
    if not where:
        reasons = "; ".join(f"{entry.what}: {entry.reason}" for entry in left_out)
        raise InputError(
            f"{workload_path}: hardware.allowed: nothing that a configuration can be judged on ({reasons})",
            hint="allow devices of the catalog, for example hardware: {allowed: [l4, h100_sxm]}; `advisor hardware list` has them",
        )
    recorded = recorded_of(question, workload_path)
    apis, of_apis = token_prices_beside(architecture, question, now=now)
    read = (*recorded.notes, *((LENGTHS_GIVEN,) if question.tokens is not None else ())) if recorded is not None else ()
    request = ElsewhereRequest(
        workload=question,
        recorded=recorded,
        places=where,
        accepted=question.accept,
        apis=apis,
        acceptance=read_acceptance_lengths(),
        created=now,
        confidence=confidence,
        max_uncertainty=max_uncertainty,
        exclusions=(*without_use(workload, question, is_elsewhere=True), *left_out),
        notes=(*read, *of_apis),
    )
    try:
        steps_of = steps_of_catalog()
        made = advise_elsewhere(architecture, request, steps_of)
        if question.lifecycle is not None:
            market = market_of(question.lifecycle, question.hardware, beside=workload_path.parent)
            made = with_student(made, request, steps_of, market, read_distilled_pairs())
    except InputError as error:
        raise InputError(f"{workload_path}: {error.fault}", hint=error.hint) from error
    return msgspec.structs.replace(made, config_path=model.name)
