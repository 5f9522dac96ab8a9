"""A sweep from its file to its folder: measured where the machines are, advised on over all of them, and shown together."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from advisor import __version__
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.disk import locks
from advisor.disk.kinds import MADE_YAML, MADE_YAML_BEGINS, SWEEP, rendered
from advisor.disk.writing import check_output, check_writable, write_atomically, write_output
from advisor.errors import AdvisorError, ExitStatus, InputError
from advisor.files.records import to_json, to_yaml, write_record
from advisor.schema.catalog import LOCAL
from advisor.schema.options import SweepOptions
from advisor.schema.overview import AdviceRow, Failure, Overview
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.record import SCHEMA_VERSION
from advisor.schema.sweep import MeasuringOutcome, Sweep, SweepIndex, SweepPair
from advisor.steps.advise import read_any_advice
from advisor.steps.generation.reading import read_any_profile
from advisor.steps.merge import merge
from advisor.steps.report import write_reports
from advisor.steps.shared.advice import share_advice
from advisor.steps.shared.sites import add_sites
from advisor.steps.sweep.asked import WORKLOAD, Member, members_of, read_sweep
from advisor.steps.sweep.in_turn import measured_in_turn
from advisor.steps.sweep.many import Pair, Settings, advise_many, failed, read_rows, write_rows
from advisor.steps.sweep.measuring import PROFILE, Outcome, Task, failure_of
from advisor.steps.sweep.overview import overview_of, write_overview
from advisor.store.store import open_store
from advisor.units import parse_moment

if TYPE_CHECKING:
    from advisor.measure.variants.making import Report

INDEX, ROWS, OLD_ROWS, PORTFOLIO = "sweep.json", "rows.jsonl", "rows.before.jsonl", "portfolio.yaml"
FORMATS = ("html", "md")  # of the report of each model
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


class Swept(NamedTuple):
    """What a sweep came to. The overview is None where no advice was asked for, the plan where no portfolio was."""

    folder: Path
    record: SweepIndex
    overview: Overview | None
    plan: PortfolioPlan | None


def folder_and_store(output: str, sweep: Path, options: SweepOptions) -> tuple[Path, SweepOptions]:
    """Return the folder of a sweep, and the options with the store where the output is one: then the folder is called as the sweep."""
    if not SCHEME.match(output):
        return Path(output), options
    if options.store is not None:
        raise InputError(f"-o {output}, --store {options.store}: two stores", hint="give a folder with -o, or leave --store out")
    name = NOT_IN_NAMES.sub("-", read_sweep(sweep).name).strip("-") or "sweep"
    return Path(name), options._replace(store=output)


def sweep(path: Path, folder: Path, options: SweepOptions, *, now: str, report: "Report") -> Swept:
    """Measure the models of the sweep in the file at `path`, advise on them, and write all of it into the folder.

    What was measured before, of the same question, is not measured again. A model that fails is a row with its two lines.
    """
    now = parse_moment(now)
    asked = read_sweep(path)
    options = options._replace(store=_seen_from_anywhere(options.store))
    here = None if options.ray not in (None, "local") else _kind_here(asked, path, options.on)
    check_output(folder / INDEX, SWEEP, inputs=(path,))
    with locks.held(folder / INDEX):
        members = members_of(asked, path, folder, options)
        plan = _portfolio(asked, path, members, folder, now=now)  # before time is spent on measuring
        tasks = [task for member in members for task in _tasks(member, folder)]
        outcomes = list(_measured(tasks, here, options, now=now, report=report))
        pairs = tuple(_pairs(members, outcomes, folder))

        def say(line: str) -> None:
            report(1.0, 1.0, "looking into the store", line=line)

        merged = {member.name: _merged(member, outcomes, folder, options.store, say) for member in members if member.kinds}
        overview = _advised(asked, members, merged, folder, options, now=now, say=say) if asked.at_the_end.advice else None
        index = SweepIndex(
            schema_version=SCHEMA_VERSION,
            created=now,
            advisor_version=__version__,
            name=asked.name,
            kinds=tuple(dict.fromkeys(kind for member in members for kind in member.kinds)) or asked.kinds,
            pairs=pairs,
            rows_path=ROWS if overview else None,
            overview_path="overview.html" if overview else None,
            portfolio_path="portfolio.html" if plan else None,
            store=options.store,
        )
        write_record(folder / INDEX, index)
    return Swept(folder, index, overview, plan)


def _seen_from_anywhere(store: str | None) -> str | None:
    """Return the address of a store, one of a folder absolute and the folder there: machines of a cluster look for it too.

    Raises InputError for an address where no store can be, before time is spent.
    """
    if store is None:
        return None
    place = store if SCHEME.match(store) else os.path.abspath(store)
    open_store(place)
    if not SCHEME.match(store) and not os.path.exists(place):
        check_writable(Path(place))
        os.makedirs(place)
    return place


def exit_status(swept: Swept) -> ExitStatus:
    """Return what a sweep means to the caller: the worst that befell any of its models.

    A model that waits for a machine of another kind than this one was not asked for here.
    """
    outcomes = swept.overview.outcomes if swept.overview else {}
    if any(pair.failure for pair in swept.record.pairs) or outcomes.get("failed"):
        return ExitStatus.WRONG_INPUT
    if outcomes.get("infeasible"):
        return ExitStatus.INFEASIBLE
    return ExitStatus.INCONCLUSIVE if outcomes.get("inconclusive") else ExitStatus.ADVICE


# --- measuring -----------------------------------------------------------------------------------------------------------------


def _kind_here(asked: Sweep, path: Path, on: str | None) -> str:
    """Return the kind that this machine is; raise InputError where that is not known, or none of the sweep's."""
    from advisor.files.catalog import read_device

    kinds = dict.fromkeys(kind for entry in asked.models for kind in entry.kinds or asked.kinds)
    ids = {kind if kind == LOCAL else read_device(kind).id: None for kind in kinds}
    listed = ", ".join(ids)
    if on is None:
        if len(ids) > 1:
            raise InputError(
                f"{path}: kinds: {listed}; without a cluster this machine is one of them, and which is not known",
                hint=f"say so with --on {next(iter(ids))}, or give the address of a cluster with --ray",
            )
        return next(iter(ids))
    here = on if on == LOCAL else read_device(on).id
    if here not in ids:
        raise InputError(f"--on {on}: the sweep measures on {listed}", hint="name one of these, or add it to `kinds`")
    return here


def _tasks(member: Member, folder: Path) -> Iterator[Task]:
    for kind in member.kinds:
        output = folder.resolve() / member.name / kind / PROFILE
        yield Task(member.name, member.path, kind, output, member.options._replace(hardware=kind), member.files)


def _measured(tasks: Sequence[Task], here: str | None, options: SweepOptions, *, now: str, report: "Report") -> Iterator[Outcome]:
    if options.ray is None:
        assert here is not None
        return measured_in_turn(tasks, here, created=now, report=report)
    from advisor.steps.sweep.cluster import measured_on_cluster

    return measured_on_cluster(tasks, options.ray, here, patience_s=options.patience_s, created=now, report=report)


def _pairs(members: Sequence[Member], outcomes: Sequence[Outcome], folder: Path) -> Iterator[SweepPair]:
    """Yield what became of each model on each kind, in the order of the sweep."""
    by_task = {(outcome.task.model, outcome.task.kind): outcome for outcome in outcomes}
    for member in members:
        if not member.kinds:
            yield SweepPair(
                model=member.name,
                path=str(member.path),
                kind=None,
                outcome="configuration",
                entries=0,
                seconds=0.0,
                profile_path=None,
            )
        for kind in member.kinds:
            outcome = by_task[member.name, kind]
            has_profile = outcome.failure is None and outcome.task.output.is_file()
            yield SweepPair(
                model=member.name,
                path=str(member.path),
                kind=kind,
                outcome=_word_of(outcome),
                entries=outcome.entries,
                seconds=outcome.seconds,
                profile_path=os.path.relpath(outcome.task.output, folder.resolve()) if has_profile else None,
                tries=outcome.tries,
                failure=outcome.failure,
            )


def _word_of(outcome: Outcome) -> MeasuringOutcome:
    if outcome.failure is not None:
        return "failed"
    if outcome.is_waiting:
        return "waiting"
    return "measured" if outcome.entries else "known"


# --- what is made of it --------------------------------------------------------------------------------------------------------


def _merged(
    member: Member, outcomes: Iterable[Outcome], folder: Path, store: str | None, say: Callable[[str], None]
) -> Path | Failure:
    """Write one profile of all machines that measured a model and return its path, or the two lines of why there is none.

    One that another machine has left in the folder counts as well, if it is of the same model, and so do those of the store.
    """
    of_member = [outcome for outcome in outcomes if outcome.task.model == member.name]
    measured = [outcome.task.output for outcome in of_member if outcome.failure is None and not outcome.is_waiting]
    waiting = [outcome.task.output for outcome in of_member if outcome.is_waiting and outcome.task.output.is_file()]
    place = folder.resolve() / member.name / PROFILE
    try:
        if measured:
            model = read_any_profile(measured[0]).model.sha256
            waiting = [path for path in waiting if read_any_profile(path).model.sha256 == model]
        profiles = [*measured, *waiting]
        if profiles:
            merge(profiles[0], tuple(profiles[1:]), place)
            if store is not None:
                add_sites(place, folder.resolve() / member.name / WORKLOAD, store, say)
            return place
    except AdvisorError as error:
        return failure_of(error)
    found = next((outcome.failure for outcome in of_member if outcome.failure is not None), None)
    return found or Failure(
        fault=f"{member.name}: nothing was measured of it yet, and no machine of its kinds was there",
        hint=f"run the same sweep on one of: {', '.join(member.kinds)}",
    )


def _advised(
    asked: Sweep,
    members: Sequence[Member],
    merged: dict[str, Path | Failure],
    folder: Path,
    options: SweepOptions,
    *,
    now: str,
    say: Callable[[str], None],
) -> Overview:
    """Write the advice on each model, and the overview over all of them."""
    settings = Settings(
        now=now,
        confidence=USUAL_CONFIDENCE,
        max_uncertainty=options.max_uncertainty,
        rules_folder=options.rules_folder,
        out=folder.resolve(),
        formats=FORMATS,
    )
    pairs, without = [], []
    for member in members:
        workload = folder.resolve() / member.name / WORKLOAD
        profile = merged[member.name] if member.kinds else member.path
        if isinstance(profile, Failure):
            error = InputError(profile.fault, hint=profile.hint)
            without.append(failed(Pair(member.name, folder.resolve() / member.name / PROFILE, workload), error))
        else:
            pairs.append(Pair(member.name, profile, workload))
    before = _kept_rows(folder)
    rows: Iterator[AdviceRow] = chain(advise_many(pairs, settings), without)
    write_rows(rows, folder / ROWS)
    if options.store is not None:
        for row in read_rows(folder / ROWS):
            if row.advice_path is not None:
                share_advice(read_any_advice(folder / row.advice_path), Path(row.profile_path), options.store, say)
    overview = overview_of(folder / ROWS, name=asked.name, now=now, before=before)
    write_overview(overview, folder)
    return overview


def _kept_rows(folder: Path) -> Path | None:
    """Return a copy of the rows of the sweep before, None where there was none."""
    if not (folder / ROWS).is_file():
        return None
    write_atomically(folder / OLD_ROWS, folder / ROWS)
    return folder / OLD_ROWS


def _portfolio(asked: Sweep, path: Path, members: Sequence[Member], folder: Path, *, now: str) -> PortfolioPlan | None:
    """Return the plan of the portfolio over all models, written in every format; None where none was asked for."""
    budget = asked.at_the_end.portfolio
    if budget is None:
        return None
    from advisor.steps.classify import plan_portfolio

    entries = [
        {"workload": f"{member.name}/{WORKLOAD}", "must": list(member.must), "never": list(member.never)} for member in members
    ]
    limit = {} if budget.engineer_days is None else {"engineer_days": budget.engineer_days}
    tree = {"name": asked.name, "budget_usd": budget.budget_usd, **limit, "workloads": entries}
    place = folder / PORTFOLIO
    write_output(place, MADE_YAML_BEGINS + f": the portfolio of {asked.name!a}\n".encode() + to_yaml(tree), MADE_YAML)
    try:
        plan = plan_portfolio(place, now=now)
    except InputError as error:
        raise InputError(f"{path}: at_the_end.portfolio: {error.fault}", hint=error.hint) from error
    write_output(place.with_suffix(".json"), to_json(plan), rendered(plan, "json"))
    write_reports(plan, folder, name=place.stem)
    return plan
