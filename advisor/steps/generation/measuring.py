"""What is measured of a decoder, stage by stage, within one budget: its forms are made, held against the checkpoint, judged and timed."""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

from advisor import __version__
from advisor.errors import AdvisorError, ModelError
from advisor.measure.generation.clock import clock_of
from advisor.measure.generation.making import AS_GIVEN, BASELINE, SCHEMES, TITLES, Made, given, is_still, made
from advisor.measure.generation.step_timing import Decode, Point, Prefill, decode_steps, prefill_steps, tell_all
from advisor.measure.generation.text_quality import Scored, text_quality
from advisor.measure.generation.tokenizing import Windows, read_windows
from advisor.measure.generation.variant_process import Timed, compared, scored, visited
from advisor.measure.runtime import machine as machines
from advisor.measure.runtime.ort_session import versions
from advisor.measure.runtime.stalls import watch
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Report
from advisor.measure.worker.apart import Apart
from advisor.quality_floor import keeps_floor
from advisor.schema.catalog import Hardware
from advisor.schema.generation import (
    DecoderFacts,
    GenerationSettings,
    GenerationSite,
    GenerationVariant,
)
from advisor.schema.profile import Machine
from advisor.schema.record import Exclusion
from advisor.steps import model_folder
from advisor.steps.generation.asked import Asked, in_words
from advisor.steps.generation.journal import GenerationJournal, ScoredText, Watched
from advisor.steps.generation.points import decode_point, disturbance, noise_of, prefill_point
from advisor.steps.generation.processes import Variants
from advisor.steps.generation.rounds import USUAL_PACE, Pace, Rounds
from advisor.units import counted, seconds

# Of the budget: scoring text has the least share with which losses show, timing the rest.
QUALITY_SHARE = 0.3
WINDOW_TOKENS = 128  # of text, or as many as a request may have: of longer ones there would be too few for an interval
MOST_TEXT_TOKENS = 50_000  # beyond it intervals hardly become narrower
WATCHES, WATCH_SHARE = 3, 0.01  # for stalls, of the budget each
LONGER_BUDGET = 3  # times as long is what is proposed where one was too short
NO_TEXT = "quality could not be measured: no text was given (quality.data of the workload)"

P = ParamSpec("P")
T = TypeVar("T")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that measuring needs to know."""

    model: Path
    folder: Path  # where variants go, beside the profile
    facts: DecoderFacts
    settings: GenerationSettings
    asked: Asked
    wanted: tuple[str, ...]  # schemes that are timed whatever their quality
    machine: Machine
    hardware: Hardware
    created: str
    fingerprint: str


class How(NamedTuple):
    """What starts the processes that functions are called in, and how long is timed."""

    start: Callable[[], Apart] = Apart
    pace: Pace = USUAL_PACE


USUALLY = How()


class Stage(NamedTuple):
    """What a run has at hand: its account, who is told, and the process for the user's files."""

    ledger: Ledger
    report: Report
    apart: Apart
    how: How


class Measuring:
    """One run, or the rest of one that was interrupted."""

    def __init__(self, plan: Plan, journal: GenerationJournal, stage: Stage) -> None:
        self.plan, self.journal = plan, journal
        self.ledger, self.report, self.apart, self.how = stage
        self.notes: list[str] = []
        self.exclusions: list[Exclusion] = []
        self.untold: set[Point] = set()
        self.threads = tuple(dict.fromkeys((1, plan.machine.cores)))

    def site(self) -> GenerationSite:
        """Return what is known of this machine in the end."""
        journal, ledger = self.journal, self.ledger
        ledger.count(journal.scoring_s + journal.timing_s)
        self._say("making variants", line=f"{ledger.promise} and making variants: {in_words(self.plan.asked)}")
        made = self._made()
        windows = self._windows()
        self.apart.end()  # it would hold memory
        for name, entry in made.items():
            journal.knows(name, entry.sha256)
        folders = {name: entry.folder for name, entry in made.items()}
        slots, max_tokens = self.plan.settings.max_running_requests, self.plan.settings.max_context_tokens
        with Variants(
            folders, ledger, slots=slots, max_tokens=max_tokens, threads=self.threads, start=self.how.start
        ) as processes:
            processes.fit_together(self.plan.facts)
            agreement = self._agreement(processes, made)
            variants = [self._variant(name, made[name], agreement[name]) for name in agreement]
            variants = self._with_quality(variants, processes, windows)
            self._time(variants, processes, {variant.id: variant.sha256 for variant in variants})
            variants = [
                msgspec.structs.replace(
                    variant,
                    load_s=processes.load_s.get(variant.id),
                    peak_memory_bytes=journal.peak_memory_bytes(variant.id),
                )
                for variant in variants
            ]
        return self._site(variants)

    # --- forms ----------------------------------------------------------------------------------------------------------------

    def _made(self) -> dict[str, Made]:
        """Return the forms by their names, the model in full precision first; what cannot be made is excluded."""
        plan = self.plan
        if plan.facts.given_as != "checkpoint":
            return {AS_GIVEN: self._ask("reading the model", str(plan.model), given, plan.model)}
        found: dict[str, Made] = {}
        for scheme in SCHEMES:
            try:
                found[scheme] = self._ask(
                    f"making {scheme}",
                    scheme,
                    made,
                    plan.model,
                    plan.folder,
                    scheme,
                    sha256=plan.facts.sha256,
                    max_tokens=plan.settings.max_context_tokens,
                    has_vnni=machines.has_vnni(plan.machine),
                )
            except AdvisorError as error:
                if scheme == BASELINE:
                    raise
                self._exclude(scheme, error.fault)
        return found

    def _windows(self) -> Windows | None:
        """Return the user's text as the model reads it, None where there is none."""
        plan, text = self.plan, self.plan.asked.text
        if text is None:
            return None
        return self._ask(
            "reading the text",
            str(text),
            read_windows,
            plan.model,
            text,
            window_tokens=min(WINDOW_TOKENS, plan.settings.max_context_tokens),
            most_tokens=MOST_TEXT_TOKENS,
            vocabulary=plan.facts.vocabulary,
            seed=plan.settings.seed,
        )

    def _ask(self, what: str, subject: str, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return what a function returns that reads or writes files, in the process for that; no budget makes it shorter."""
        self._say(what)
        with self.ledger.loading():
            return self.apart.call(model_folder.reading(subject), function, *arguments, **named)

    def _agreement(self, processes: Variants, made: dict[str, Made]) -> dict[str, float | None]:
        """Return how far each form's logits are from the checkpoint's own; the baseline has to be that decoder, and has to run."""
        plan = self.plan
        found: dict[str, float | None] = {}
        for name in made:
            if name == AS_GIVEN:
                found[name] = None
                continue
            self._say(f"holding {name} against the checkpoint")
            try:
                with self.ledger.loading():
                    found[name] = processes.ask(
                        name,
                        self.threads[-1],
                        "comparing it with the checkpoint",
                        compared,
                        plan.model,
                        is_exact=name == BASELINE,
                        seed=plan.settings.seed,
                    )
                if not math.isfinite(found[name] or 0.0):
                    raise ModelError("its logits are not finite", hint="leave this scheme out")
            except AdvisorError as error:
                found.pop(name, None)
                if name == BASELINE:
                    raise
                self._exclude(name, error.fault)
        return found

    def _variant(self, name: str, made: Made, agreement: float | None) -> GenerationVariant:
        return GenerationVariant(
            id=name,
            scheme="none" if name in (BASELINE, AS_GIVEN) else name,
            title=TITLES[name],
            path=os.path.relpath(made.folder, self.plan.folder.parent),
            sha256=made.sha256,
            bytes=made.bytes,
            engine="onnxruntime",
            lossless=name in (BASELINE, AS_GIVEN),
            weight_bytes=made.weight_bytes,
            kv_bytes_per_token=self.plan.facts.kv_bytes_per_token,
            load_s=None,
            peak_memory_bytes=None,
            agrees_with_checkpoint=agreement,
            quality=None,
        )

    # --- quality ----------------------------------------------------------------------------------------------------------------

    def _with_quality(
        self, variants: Sequence[GenerationVariant], processes: Variants, windows: Windows | None
    ) -> list[GenerationVariant]:
        """Return the variants with how well they predict the text; without one they are as before."""
        plan = self.plan
        if windows is None or plan.settings.text_sha256 is None:
            if len(variants) > 1:
                self.notes.append(f"{NO_TEXT}; only what loses nothing can be advised")
            return list(variants)
        each_s = max(0.0, QUALITY_SHARE * plan.settings.budget_s - self.journal.scoring_s) / len(variants)
        found: list[GenerationVariant] = []
        baseline: Scored | None = None
        for variant in variants:
            try:
                said = self._scored(variant, processes, windows, each_s)
            except AdvisorError as error:
                if variant.lossless:
                    raise
                self._exclude(variant.id, error.fault)
                continue
            baseline = baseline or said
            quality = text_quality(windows, baseline, said, data_sha256=plan.settings.text_sha256, seed=plan.settings.seed)
            found.append(msgspec.structs.replace(variant, quality=quality))
        return found

    def _scored(self, variant: GenerationVariant, processes: Variants, windows: Windows, each_s: float) -> Scored:
        known = self.journal.scored(variant.id)
        if known is not None:
            return known
        self._say(f"scoring the text with {variant.id}")
        began_s = self.ledger.spent_s
        said = processes.ask(variant.id, self.threads[-1], "scoring the text", scored, windows, each_s)
        elapsed_s = max(0.0, self.ledger.spent_s - began_s)
        self.journal.add(ScoredText(variant=variant.id, sha256=variant.sha256, scored=said, elapsed_s=elapsed_s))
        return said

    def _is_worth_timing(self, variant: GenerationVariant) -> bool:
        """Return whether a variant may be advised: nothing is lost, or what is lost is known and within the floor."""
        if variant.lossless or variant.id in self.plan.wanted:
            return True
        if variant.quality is None:
            return False
        floor = self.plan.asked.max_drop
        return floor is None or keeps_floor(variant.quality.perplexity, floor, None)[0]

    # --- timing -----------------------------------------------------------------------------------------------------------------

    def _time(self, variants: Sequence[GenerationVariant], processes: Variants, sha256: dict[str, str]) -> None:
        plan, journal, ledger = self.plan, self.journal, self.ledger
        ledger.begin_timing(journal.timing_s)
        self._watch()

        def visit(point: Point, visit_s: float, warm_up_calls: int, order: int) -> Timed:
            name, threads = point.variant, point.intra_op_num_threads
            return processes.ask(name, threads, "timing it", visited, point.step, visit_s, warm_up_calls, order)

        rounds = Rounds(
            journal,
            visit,
            sha256,
            left_s=lambda: ledger.timing_left_s,
            spent_s=lambda: ledger.spent_s,
            say=self._say,
            seed=plan.settings.seed,
            pace=self.how.pace,
        )
        worth = [variant.id for variant in variants if self._is_worth_timing(variant)]
        others = [variant.id for variant in variants if variant.id not in worth]
        lengths = plan.asked.lengths
        steps = (*prefill_steps(lengths), *decode_steps(plan.settings.max_running_requests, lengths))
        # Of what is not advised the report shows how fast it would be.
        shown = (Prefill(tokens=lengths.usual), Decode(batch_size=1, context_tokens=lengths.context))
        points = [
            Point(variant=name, intra_op_num_threads=threads, step=step)
            for name, threads, step in itertools.product(worth, self.threads, dict.fromkeys(steps))
        ]
        brief = [Point(variant=name, intra_op_num_threads=1, step=step) for name in others for step in shown]
        rounds.time(points, brief, together=processes.are_together)
        self.exclusions += rounds.passed_over()
        self._refuse_untold(points)

    def _refuse_untold(self, points: Sequence[Point]) -> None:
        """Drop the settings of which too few steps could be timed to tell what others take; raise ModelError where none is left."""
        visits, told = self.journal.visits, False
        for name, threads in dict.fromkeys((point.variant, point.intra_op_num_threads) for point in points):
            own = [point for point in points if (point.variant, point.intra_op_num_threads) == (name, threads)]
            if tell_all([point.step for point in own if point in visits], [point.step for point in own]):
                told = True
                continue
            self.untold.update(own)
            budget = seconds(self.plan.settings.budget_s)
            self._exclude(
                f"{name} on {counted(threads, 'thread')}", f"too few of its steps could be timed within the budget of {budget}"
            )
        if not told:
            why = "; ".join(f"{entry.what}: {entry.reason}" for entry in (*self.journal.exclusions, *self.exclusions)[:2])
            raise ModelError(
                f"{self.plan.model}: its steps could not be timed within the budget of {seconds(self.plan.settings.budget_s)} ({why})",
                hint=f"give it more time, such as --budget {LONGER_BUDGET * self.plan.settings.budget_s:g}; what was measured is kept",
            )

    def _watch(self) -> None:
        """Watch one core after the other for stalls: nothing else runs, so what is seen comes from outside."""
        usable = machines.usable_cores()
        watch_s = min(WATCH_SHARE * self.plan.settings.budget_s, self.how.pace.longest_watch_s)
        for number in range(len(self.journal.watches), WATCHES):
            self._say("watching for stalls")
            began_s = time.perf_counter()
            stalls = watch(watch_s, usable[number % len(usable)])
            self.journal.add(Watched(stalls=stalls, elapsed_s=time.perf_counter() - began_s))

    # --- the site ---------------------------------------------------------------------------------------------------------------

    def _site(self, variants: Sequence[GenerationVariant]) -> GenerationSite:
        plan, journal = self.plan, self.journal
        known = {variant.id for variant in variants}
        visits = {
            point: tuple(made) for point, made in journal.visits.items() if point.variant in known and point not in self.untold
        }
        every = [visit for made in visits.values() for visit in made]
        clock = clock_of(every)
        return GenerationSite(
            hardware=plan.hardware,
            machine=plan.machine,
            created=plan.created,
            advisor_version=__version__,
            fingerprint=plan.fingerprint,
            versions=versions(),
            clock=clock,
            measuring_s=journal.timing_s,
            noise_fraction=noise_of(visits.values(), clock),
            variants=tuple(variants),
            prefill=tuple(
                prefill_point(point, point.step, made) for point, made in visits.items() if isinstance(point.step, Prefill)
            ),
            decode=tuple(
                decode_point(point, point.step, made) for point, made in visits.items() if isinstance(point.step, Decode)
            ),
            stalls=tuple(entry for entry in journal.watches if entry is not None),
            exclusions=(*self.exclusions, *journal.exclusions),
            notes=(*self.notes, *disturbance(every, clock)),
        )

    def _exclude(self, what: str, reason: str) -> None:
        self.exclusions.append(Exclusion(what=what, reason=reason.removeprefix(f"{what}: ")))

    def _say(self, what: str, *, line: str | None = None) -> None:
        self.report(self.ledger.spent_s, self.ledger.expected_s, what, line=line)


def are_still(variants: Iterable[GenerationVariant], folder: Path, apart: Apart) -> bool:
    """Return whether the folders of all variants, whose paths are relative to `folder`, hold what was measured."""
    return all(
        apart.call(model_folder.reading(variant.id), is_still, folder / variant.path, variant.sha256) for variant in variants
    )
