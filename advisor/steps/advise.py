"""Profile and workload, from their files, to advice: here files are read; nothing is decided."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from advisor.decide import long_trace
from advisor.decide.advice.advise import advise
from advisor.decide.advice.sites import NOTHING_PUBLIC, Measured, Request
from advisor.decide.comparison.answers import is_inconclusive
from advisor.decide.offline import advise_offline, as_online
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.disk.reading import name_beside
from advisor.errors import ExitStatus, InputError
from advisor.files.catalog import read_distilled_pairs, read_public_measurements
from advisor.files.market import market_of
from advisor.files.places import places
from advisor.files.records import read_json, sha256
from advisor.files.rulebook import rules_with
from advisor.files.workload import (
    check_again,
    examples_sha256,
    fitting,
    lengths_are_recorded,
    question_of,
    read_workload,
    trace_of,
    without_use,
)
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.arrays.trace import Trace
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.model import ModelFacts
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.profile import Profile, Site
from advisor.schema.record import Exclusion
from advisor.schema.workload import GenerationWorkload, Lifecycle, OfflineWorkload, OnlineWorkload, Workload
from advisor.steps.generation.reading import check_advising, one_pass, read_any_profile, read_one_pass
from advisor.steps.language.configuration import is_configuration, no_load_test, with_its_model
from advisor.units import parse_moment

AnyAdvice = Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice


class Asked(NamedTuple):
    """How advice is asked for, beside its files."""

    now: str
    confidence: float
    max_uncertainty: float
    is_over: Callable[[], bool] | None
    rules_folder: Path | None
    with_charts: bool = True  # else what a chart of the report alone shows is left out, a third of the time


class Given:
    """A profile, or the configuration of a model, as it was read: once, for any number of workloads."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a file that is neither."""
        self.path = path
        self.is_configuration = is_configuration(path)
        self.record = None if self.is_configuration else read_any_profile(path)
        self.sha256 = sha256(path)
        self._measured: dict[str | None, tuple[Profile, Measured]] = {}

    def measured(self, data_sha256: str | None, what: str) -> tuple[Profile, Measured]:
        """Return the profile of a model that answers in one pass, with no quality but on this data, and what follows from it alone.

        `what` says of any other why it does not go with the rest.
        """
        if data_sha256 not in self._measured:
            assert self.record is not None
            profile = _with_measurements(one_pass(self.record, self.path, what), self.path)
            profile = profile if data_sha256 is None else with_quality_on(profile, {data_sha256})
            self._measured[data_sha256] = profile, Measured(profile)
        return self._measured[data_sha256]


def advise_on(
    profile_path: Path,
    workload_path: Path,
    *,
    now: str,
    confidence: float = USUAL_CONFIDENCE,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    is_over: Callable[[], bool] | None = None,
    rules_folder: Path | None = None,
    store: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AnyAdvice:
    """Return the advice on a saved profile, or on the configuration of a model that is not here; a search may be stopped by `is_over`.

    With a `store` the profile first gets the sites of other machines that the workload allows, and the advice is put there afterwards;
    `say` is told what comes from there, and what is damaged.
    """
    asked = Asked(parse_moment(now), confidence, max_uncertainty, is_over, rules_folder)
    if store is None:
        return advice_for(Given(profile_path), read_workload(workload_path), workload_path, asked)
    from advisor.steps.shared.advice import share_advice
    from advisor.steps.shared.sites import add_sites

    if not is_configuration(profile_path):
        add_sites(profile_path, workload_path, store, say)
    advice = advice_for(Given(profile_path), read_workload(workload_path), workload_path, asked)
    share_advice(advice, profile_path, store, say)
    return advice


def advice_for(given: Given, workload: Workload, workload_path: Path, asked: Asked) -> AnyAdvice:
    """Return the advice on what was read for a workload that was read; files that it names lie beside `workload_path`."""
    if given.is_configuration:
        from advisor.steps.language.advise import advise_on_configuration

        check_advising(asked.rules_folder, has_time_limit=asked.is_over is not None)
        return advise_on_configuration(
            given.path,
            workload_path,
            workload=workload,
            now=asked.now,
            confidence=asked.confidence,
            max_uncertainty=asked.max_uncertainty,
        )
    question = question_of(workload, workload_path)
    if isinstance(question, GenerationWorkload):
        from advisor.steps.generation.advise import (
            advise_on_tokens,  # with all that simulates tokens, for which no other advice waits
        )

        check_advising(asked.rules_folder, has_time_limit=asked.is_over is not None)
        assert given.record is not None
        return advise_on_tokens(
            given.record,
            given.path,
            workload_path,
            workload,
            question,
            profile_sha256=given.sha256,
            now=asked.now,
            confidence=asked.confidence,
            max_uncertainty=asked.max_uncertainty,
        )
    return _on_one_pass(given, workload_path, workload, question, asked)


def _on_one_pass(
    given: Given,
    workload_path: Path,
    workload: Workload,
    question: OnlineWorkload | OfflineWorkload,
    asked: Asked,
) -> Advice | OfflineAdvice:
    """Return the advice on a model that answers in one pass; `question` is the parts of the workload that it is about."""
    data = question.quality.data if question.quality is not None else None
    data_sha256 = None if data is None else examples_sha256(workload_path.parent, data)
    measured, known = given.measured(data_sha256, f"but {workload_path} has no tokens and no target on them")
    trace = None
    if isinstance(question, OnlineWorkload):
        if lengths_are_recorded(question, workload):
            question = fitting(question, measured.model)
        trace = recorded(question, workload_path, measured.model)
    try:
        request = request_of(
            as_online(question) if isinstance(question, OfflineWorkload) else question,
            measured,
            given.path,
            workload_path=workload_path,
            profile_sha256=given.sha256,
            now=asked.now,
            rules_folder=asked.rules_folder,
            confidence=asked.confidence,
            max_uncertainty=asked.max_uncertainty,
            exclusions=without_use(workload, question),
            notes=() if isinstance(question, OfflineWorkload) else notes_of(question, trace),
        )
        if isinstance(question, OfflineWorkload):
            return advise_offline(measured, question, request, known=known)
        return advise(measured, request, trace, is_over=asked.is_over, known=known, with_charts=asked.with_charts)
    except InputError as error:
        raise InputError(f"{workload_path}: {error.fault}", hint=error.hint) from error


def exit_status(advice: AnyAdvice) -> ExitStatus:
    """Return what advice without a load test means to the caller."""
    if is_inconclusive(advice):
        return ExitStatus.INCONCLUSIVE
    return ExitStatus.INFEASIBLE if advice.recommended is None else ExitStatus.ADVICE


def alarm(limit_s: float | None) -> Callable[[], bool] | None:
    """Return a function that returns whether so many seconds from now have passed; None without a limit."""
    if limit_s is None:
        return None
    ends_s = time.monotonic() + limit_s
    return lambda: time.monotonic() > ends_s


def read_profile(path: Path, what: str = "which this does not take") -> Profile:
    """Return the profile in a file; raise InputError for a site that has nothing to compare with, and for that of a generative model.

    `what` says of the latter why it does not go with the rest.
    """
    return _with_measurements(read_one_pass(path, what), path)


def _with_measurements(measured: Profile, path: Path) -> Profile:
    for site in measured.sites:
        as_given = {variant.id for variant in site.variants if variant.derived_from is None}
        if not any(entry.variant in as_given and entry.visits for entry in site.measurements):
            raise InputError(
                f"{path}: holds no measurement of the model as given on {site.hardware.id}",
                hint="measure again: advisor profile --fresh",
            )
    return measured


def with_quality_on(measured: Profile, data_sha256: set[str]) -> Profile:
    """Return the profile without quality measured on other data, which does not count for the workload's floor."""

    def cleaned(site: Site) -> Site:
        variants = (
            msgspec.structs.replace(
                entry, quality=entry.quality if entry.quality and entry.quality.data_sha256 in data_sha256 else None
            )
            for entry in site.variants
        )
        return msgspec.structs.replace(site, variants=tuple(variants))

    return msgspec.structs.replace(measured, sites=tuple(map(cleaned, measured.sites)))


def request_of(
    workload: OnlineWorkload,
    measured: Profile,
    profile_path: Path,
    *,
    workload_path: Path | None,
    profile_sha256: str,
    now: str,
    rules_folder: Path | None = None,
    confidence: float = USUAL_CONFIDENCE,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    exclusions: tuple[Exclusion, ...] = (),
    notes: tuple[str, ...] = (),
) -> Request:
    """Return what is asked of the decision, with the hardware and prices that come with advisor, its rules and those of the user."""
    now = parse_moment(now)
    if workload.lifecycle is not None and workload_path is not None:
        workload = msgspec.structs.replace(workload, lifecycle=with_its_model(workload.lifecycle, workload_path)[0])
    where = places(workload, workload_path, measured.sites, now=now)
    are_measured = {site.hardware.id for site in measured.sites} >= {place.hardware.id for place in where.allowed}
    has_students = any(variant.student is not None for site in measured.sites for variant in site.variants)
    return Request(
        workload=workload,
        rules=rules_with(rules_folder, now=now),
        profile_sha256=profile_sha256,
        profile_path=name_beside(profile_path),
        created=now,
        market=market_of(
            workload.lifecycle or Lifecycle(), workload.hardware, beside=workload_path.parent if workload_path else None
        ),
        home=where.home,
        places=where.allowed,
        exclusions=(*exclusions, *where.exclusions),
        public=NOTHING_PUBLIC if are_measured else read_public_measurements(),
        distilled=read_distilled_pairs() if has_students else (),
        confidence=confidence,
        max_uncertainty=max_uncertainty,
        notes=notes,
    )


def recorded(workload: OnlineWorkload, workload_path: Path, model: ModelFacts) -> Trace | None:
    """Return the trace that a workload names, without its lengths if the model reads none; None if it names none."""
    if workload.traffic.trace is None:
        return None
    trace = trace_of(workload.traffic, workload_path)
    if trace.sequence_length is None or any(entry.sequence_axis is not None for entry in model.inputs):
        return trace
    note = "traffic.trace: its lengths are not used: the model has no sequence axis"
    return msgspec.structs.replace(trace, sequence_length=None, notes=(*trace.notes, note))


def notes_of(workload: OnlineWorkload, trace: Trace | None) -> tuple[str, ...]:
    """Return how the workload was read, for the report: its trace, and what its rates count."""
    items = workload.traffic.items_per_request
    read = trace.notes if trace is not None else ()
    taken = long_trace.note(len(trace.arrival_s)) if trace is not None else ""
    found = (*read, taken) if taken else read
    if items == 1:
        return found
    many = f"{items} items" if isinstance(items, int) else f"{items.p50} items (p50), {items.p95} (p95)"
    return (*found, f"a request brings {many} and is answered when its last is; batch sizes count items")


def read_advice(path: Path) -> Advice:
    """Return the advice in a file; raise InputError for that on a batch job, which has no traffic."""
    advice = read_any_advice(path)
    if isinstance(advice, LanguageAdvice):
        raise no_load_test(path)
    if isinstance(advice, GenerationAdvice):
        raise InputError(f"{path}: advice on a generative model", hint="replay its requests with `advisor verify`")
    if isinstance(advice, OfflineAdvice):
        raise InputError(
            f"{path}: advice on a batch job, which has no traffic to load-test", hint="read it with `advisor report`"
        )
    return advice


def read_any_advice(path: Path) -> AnyAdvice:
    """Return the advice in a file, on traffic, on a batch job or on a generative model."""
    # Its `kind` decides which record the file holds.
    kinds = cast("type[AnyAdvice]", AnyAdvice)
    advice = read_json(path, kinds, made_by="advisor advise")
    check_again(advice.workload, path)
    return advice
