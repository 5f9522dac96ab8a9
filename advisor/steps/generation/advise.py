"""Profile of a decoder and workload, from their files, to advice: here files are read; nothing is decided."""

from pathlib import Path

import msgspec

from advisor.decide.generation.advise import advise_generation
from advisor.decide.generation.site import GenerationRequest
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.disk.reading import name_beside
from advisor.errors import InputError
from advisor.files.places import places
from advisor.files.workload import examples_sha256, requests_of, without_use
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import GenerationAdvice, GenerationProfile, GenerationSite
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.profile import Profile
from advisor.schema.record import Exclusion
from advisor.schema.workload import GenerationWorkload, Workload
from advisor.steps.generation.reading import generating
from advisor.units import parse_moment

LENGTHS_GIVEN = "traffic.trace: lengths are those of `tokens` in the workload; of the trace its times alone count"


def advise_on_tokens(
    known: Profile | GenerationProfile,
    profile_path: Path,
    workload_path: Path,
    workload: Workload,
    question: GenerationWorkload,
    *,
    profile_sha256: str,
    now: str,
    confidence: float = USUAL_CONFIDENCE,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
) -> GenerationAdvice:
    """Return the advice on a saved profile of a decoder; `question` is the parts of the workload that it is about."""
    now = parse_moment(now)
    measured = generating(known, profile_path, f"but {workload_path} asks about tokens one by one")
    if question.quality is not None and question.quality.data is not None:
        measured = with_quality_on(measured, {examples_sha256(workload_path.parent, question.quality.data)})
    recorded = recorded_of(question, workload_path)
    try:
        request = request_of(
            question,
            measured,
            profile_path,
            workload_path=workload_path,
            recorded=recorded,
            profile_sha256=profile_sha256,
            now=now,
            confidence=confidence,
            max_uncertainty=max_uncertainty,
            exclusions=without_use(workload, question),
        )
        return advise_generation(measured, request)
    except InputError as error:
        raise InputError(f"{workload_path}: {error.fault}", hint=error.hint) from error


def recorded_of(question: GenerationWorkload, workload_path: Path) -> Requests | None:
    """Return the recorded requests of the workload, None where it names none."""
    return requests_of(question, workload_path) if question.traffic.trace is not None else None


def request_of(
    question: GenerationWorkload,
    measured: GenerationProfile,
    profile_path: Path,
    *,
    workload_path: Path | None,
    recorded: Requests | None,
    profile_sha256: str,
    now: str,
    confidence: float = USUAL_CONFIDENCE,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    exclusions: tuple[Exclusion, ...] = (),
) -> GenerationRequest:
    """Return what is asked of the decision, with the hardware and prices that come with advisor and those of the user."""
    now = parse_moment(now)
    where = places(question, workload_path, measured.sites, now=now)
    read = recorded.notes if recorded is not None else ()
    return GenerationRequest(
        workload=question,
        recorded=recorded,
        profile_sha256=profile_sha256,
        profile_path=name_beside(profile_path),
        created=now,
        home=where.home,
        places=where.allowed,
        exclusions=(*exclusions, *where.exclusions),
        max_uncertainty=max_uncertainty,
        confidence=confidence,
        notes=(*read, LENGTHS_GIVEN) if recorded is not None and question.tokens is not None else read,
    )


def with_quality_on(measured: GenerationProfile, data_sha256: set[str]) -> GenerationProfile:
    """Return the profile without quality measured on another text, which does not count for the workload's floor."""

    def cleaned(site: GenerationSite) -> GenerationSite:
        variants = (
            msgspec.structs.replace(
                it, quality=it.quality if it.quality and it.quality.perplexity.data_sha256 in data_sha256 else None
            )
            for it in site.variants
        )
        return msgspec.structs.replace(site, variants=tuple(variants))

    return msgspec.structs.replace(measured, sites=tuple(map(cleaned, measured.sites)))
