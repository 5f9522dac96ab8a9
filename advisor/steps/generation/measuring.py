"""What is measured of a decoder, stage by stage, within one budget: its forms are made, held against the checkpoint, judged and timed."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from advisor import __version__
from advisor.errors import AdvisorError, ModelError
from advisor.measure.generation.clock import clock_of
from advisor.measure.generation.making import (
    AS_GIVEN,
    BASELINE,
    EXPORTED,
    LOSSLESS,
    SCHEMES,
    Made,
    exported,
    given,
    is_still,
    made,
)
from advisor.measure.generation.openvino import export as openvino_export
from advisor.measure.generation.openvino import making as openvino
from advisor.measure.generation.step_timing import Point, tell_all
from advisor.measure.generation.timing.journal import GenerationJournal, Watched
from advisor.measure.generation.timing.points import disturbance, noise_of, points_of
from advisor.measure.generation.timing.processes import Variants
from advisor.measure.generation.timing.rounds import Rounds
from advisor.measure.generation.tokenizing import Windows, read_windows
from advisor.measure.generation.variant_process import Timed
from advisor.measure.runtime import machine as machines
from advisor.measure.runtime.openvino_session import INSTALL
from advisor.measure.runtime.stalls import watch
from advisor.measure.worker.apart import Apart
from advisor.schema.generation import GenerationSite, GenerationVariant
from advisor.schema.record import Exclusion
from advisor.steps import model_folder
from advisor.steps.generation.asked import in_words
from advisor.steps.generation.judging import Judging, is_worth_timing, to_time
from advisor.steps.generation.plan import Form, Plan, Stage
from advisor.steps.generation.speculating import SHARE, in_every_way, on_learned
from advisor.units import counted, seconds

WINDOW_TOKENS = 128  # of text, or as many as a request may have: of longer ones there would be too few for an interval
MOST_TEXT_TOKENS = 50_000  # beyond it intervals hardly become narrower
WATCHES, WATCH_SHARE = 3, 0.01  # for stalls, of the budget each
LONGER_BUDGET = 3  # times as long is what is proposed where one was too short
NO_TEXT = "quality could not be measured: no text was given (quality.data of the workload)"
# Of a model with an encoder, and of what a text says of it.
NO_SCHEMES = "what they lose could not be measured: that takes inputs with their answers, not a text"
NO_ANSWERS = "a text says nothing of a model with an encoder, which answers an input; only what loses nothing is served"
EXACT = (*LOSSLESS, openvino.EXACT)
# Of students: as they are, and the form of each engine that is quickest and loses next to nothing; STUDENTS is their folder.
OF_STUDENTS = (BASELINE, "int8-weight-only", "openvino-int8-weight-only")
STUDENTS = "students"
OPENVINO = "OpenVINO's engine"

P = ParamSpec("P")
T = TypeVar("T")


class Measuring:
    """One run, or the rest of one that was interrupted."""

    def __init__(self, plan: Plan, journal: GenerationJournal, stage: Stage) -> None:
        self.plan, self.journal = plan, journal
        self.stage = stage
        self.notes: list[str] = []
        self.exclusions: list[Exclusion] = []
        self.untold: set[Point] = set()
        self.forms: dict[str, Form] = {}
        self.threads = tuple(dict.fromkeys((1, plan.machine.cores)))

    def site(self) -> GenerationSite:
        """Return what is known of this machine in the end."""
        journal, ledger = self.journal, self.stage.ledger
        ledger.count(journal.scoring_s + journal.timing_s + journal.speculating_s)
        self.stage.say("making variants", line=f"{ledger.promise} and making variants: {in_words(self.plan.asked)}")
        made = self._made()
        self.stage.ledger.trial_s = self._set_aside_s(made)
        windows = self._windows()
        self.stage.apart.end()  # it would hold memory
        for name, entry in made.items():
            journal.knows(name, entry.sha256)
        folders = {name: entry.folder for name, entry in made.items()}
        slots, max_tokens = self.plan.settings.max_running_requests, self.plan.settings.max_context_tokens
        with Variants(
            folders,
            ledger,
            slots=slots,
            max_tokens=max_tokens,
            threads=self.threads,
            input_fraction=self.plan.settings.input_fraction,
            start=self.stage.how.start,
            engines={name: self.forms[name].engine for name in made},
        ) as processes:
            processes.fit_together(self.plan.facts, [(name, self.threads[-1]) for name in made])
            agreement = self._agreement(processes, made)
            variants = [self._variant(name, made[name], agreement[name]) for name in agreement]
            variants = self._judged(variants, processes, windows)
            self._time(variants, processes, {variant.id: variant.sha256 for variant in variants})
            variants = [
                msgspec.structs.replace(
                    variant,
                    load_s=processes.load_s.get(variant.id),
                    peak_memory_bytes=journal.peak_memory_bytes(variant.id),
                )
                for variant in variants
            ]
        return self._site(self._speculated(variants, windows), windows)

    # --- forms ----------------------------------------------------------------------------------------------------------------

    def _made(self) -> dict[str, Made]:
        """Return the forms by their names, the model in full precision first; what cannot be made is excluded."""
        plan = self.plan
        if plan.facts.encoder is not None:
            self._exclude("weights in 8 and 4 bits", NO_SCHEMES)
        if plan.facts.given_as != "checkpoint":
            self._exclude(OPENVINO, "takes a checkpoint alone")
            self.forms[AS_GIVEN] = Form(AS_GIVEN)
            return {AS_GIVEN: self._ask("reading the model", str(plan.model), given, plan.model)}
        if plan.facts.encoder is not None:
            self._exclude(OPENVINO, "takes a decoder alone, without an encoder")
            whole = self._ask("exporting it", str(plan.model), exported, plan.model, plan.folder, sha256=plan.facts.sha256)
            self.forms[EXPORTED] = Form(EXPORTED)
            return {EXPORTED: whole}
        if not plan.has_openvino:
            self._exclude(OPENVINO, f"not installed: {INSTALL}, then profile again")
        found: dict[str, Made] = {}
        for form in self._tried():
            try:
                found[form.id] = self._make(form)
            except AdvisorError as error:
                if form == Form(BASELINE):
                    raise
                self._exclude(form.id, error.fault)
            else:
                self.forms[form.id] = form
        return found

    def _tried(self) -> Iterator[Form]:
        """Yield the forms of a checkpoint: all of the model, and of students those that lose next to nothing."""
        plan = self.plan
        of_openvino = tuple(openvino.FORMS) if plan.has_openvino else ()
        yield from (Form(scheme) for scheme in (*SCHEMES, *of_openvino))
        for student in plan.students:
            yield from (Form(scheme, student) for scheme in (*SCHEMES, *of_openvino) if scheme in OF_STUDENTS)

    def _make(self, form: Form) -> Made:
        plan, student = self.plan, form.of
        checkpoint, facts = (plan.model, plan.facts) if student is None else (student.path, student.facts)
        folder = plan.folder if student is None else plan.folder / STUDENTS / student.id
        longest = min(facts.context_tokens, plan.settings.max_context_tokens)
        what, digest, vnni = f"making {form.id}", facts.sha256, machines.has_vnni(plan.machine)
        place = (checkpoint, folder, form.scheme)
        if form.engine == "openvino":
            return self._ask(what, form.id, openvino.made, *place, sha256=digest, max_tokens=longest)
        return self._ask(what, form.id, made, *place, sha256=digest, max_tokens=longest, has_vnni=vnni)

    def _windows(self) -> Windows | None:
        """Return the user's text as the model reads it, None where there is none."""
        plan, text = self.plan, self.plan.asked.text
        if text is not None and plan.facts.encoder is not None:
            self._exclude("quality.data", NO_ANSWERS)
            return None
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
            learned=plan.learned,
        )

    def _ask(self, what: str, subject: str, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """Return what a function returns that reads or writes files, in the process for that; no budget makes it shorter."""
        self.stage.say(what)
        with self.stage.ledger.loading():
            return self.stage.apart.call(model_folder.reading(subject), function, *arguments, **named)

    def _agreement(self, processes: Variants, made: dict[str, Made]) -> dict[str, float | None]:
        """Return how far each form's logits are from the checkpoint's own; the baseline has to be that decoder, and has to run."""
        plan = self.plan
        found: dict[str, float | None] = {}
        for name, entry in made.items():
            if name in (AS_GIVEN, EXPORTED):  # nothing to hold it against, or it was held against it as it was made
                found[name] = entry.agrees_with_checkpoint
                continue
            form = self.forms[name]
            checkpoint, whose = (plan.model, "model") if form.of is None else (form.of.path, form.of.id)
            self.stage.say(f"holding {name} against the checkpoint")
            try:
                with self.stage.ledger.loading():
                    found[name] = processes.ask(
                        name,
                        self.threads[-1],
                        "comparing it with the checkpoint",
                        processes.process(name).compared,
                        checkpoint,
                        self.stage.scratch / f"truth-{whose}.npy",
                        is_exact=form.scheme in (BASELINE, openvino.EXACT),
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
        form, facts = self.forms[name], self.plan.facts
        is_exact = form.scheme in EXACT
        return GenerationVariant(
            id=name,
            scheme="none" if is_exact else openvino.FORMS.get(form.scheme, form.scheme),
            title=form.title,
            path=os.path.relpath(made.folder, self.plan.folder.parent),
            sha256=made.sha256,
            bytes=made.bytes,
            engine=form.engine,
            lossless=is_exact and form.of is None,
            weight_bytes=made.weight_bytes,
            kv_bytes_per_token=(facts if form.of is None else form.of.facts).kv_bytes_per_token,
            load_s=None,
            peak_memory_bytes=None,
            agrees_with_checkpoint=agreement,
            quality=None,
            student=None if form.of is None else form.of.student,
        )

    def _judged(self, variants: list[GenerationVariant], processes: Variants, windows: Windows | None) -> list[GenerationVariant]:
        """Return the variants with how well they predict the text; without one they are as before."""
        if windows is None:
            self.notes += [f"{NO_TEXT}; only what loses nothing can be advised"] if len(variants) > 1 else []
            return variants
        judging = Judging(self.plan, self.journal, self.stage, processes, self.threads[-1])
        judged = judging.judged(variants, windows)
        self.exclusions += judging.exclusions
        return judged

    # --- timing -----------------------------------------------------------------------------------------------------------------

    def _time(self, variants: Sequence[GenerationVariant], processes: Variants, sha256: dict[str, str]) -> None:
        plan, journal, ledger = self.plan, self.journal, self.stage.ledger
        ledger.begin_timing(journal.timing_s)
        self._watch()

        def visit(point: Point, visit_s: float, warm_up_calls: int, order: int) -> Timed:
            name, threads = point.variant, point.intra_op_num_threads
            timed = processes.process(name).visited
            return processes.ask(name, threads, "timing it", timed, point.step, visit_s, warm_up_calls, order)

        rounds = Rounds(
            journal,
            visit,
            sha256,
            left_s=lambda: ledger.timing_left_s,
            spent_s=lambda: ledger.spent_s,
            say=self.stage.say,
            seed=plan.settings.seed,
            pace=self.stage.how.pace,
        )
        chosen = to_time(plan, variants, self.threads)
        for name in chosen.too_short:
            self._exclude(name, "requests of so few tokens are over before its steps can be timed")
        together = processes.fit_together(plan.facts, chosen.settings)
        rounds.time(chosen.full, chosen.brief, together=together, last=chosen.last)
        self.exclusions += rounds.passed_over()
        self._refuse_untold(chosen.full)

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
        watch_s = min(WATCH_SHARE * self.plan.settings.budget_s, self.stage.how.pace.longest_watch_s)
        for number in range(len(self.journal.watches), WATCHES):
            self.stage.say("watching for stalls")
            began_s = time.perf_counter()
            stalls = watch(watch_s, usable[number % len(usable)])
            self.journal.add(Watched(stalls=stalls, elapsed_s=time.perf_counter() - began_s))

    # --- speculation ------------------------------------------------------------------------------------------------------------

    def _set_aside_s(self, made: Iterable[str]) -> float:
        """Return the seconds that are kept for speculation, where there is an engine that has it."""
        if all(self.forms[name].engine != "openvino" for name in made):
            return 0.0
        return (SHARE if self.plan.draft is None else 2 * SHARE) * self.plan.settings.budget_s

    def _speculated(self, variants: list[GenerationVariant], windows: Windows | None) -> list[GenerationVariant]:
        """Return the variants with what speculation does to them, where it was tried."""
        untold = {(point.variant, point.intra_op_num_threads) for point in self.untold}
        served = [
            variant
            for variant in variants
            if variant.student is None and is_worth_timing(self.plan, variant) and (variant.id, self.threads[-1]) not in untold
        ]
        tried = in_every_way(self.plan, self.journal, self.stage, self.threads[-1], served, windows)
        self.exclusions += tried.exclusions
        return [msgspec.structs.replace(variant, speculation=tried.found.get(variant.id, ())) for variant in variants]

    # --- the site ---------------------------------------------------------------------------------------------------------------

    def _site(self, variants: Sequence[GenerationVariant], windows: Windows | None) -> GenerationSite:
        plan, journal = self.plan, self.journal
        known = {variant.id for variant in variants}
        visits = {
            point: tuple(made) for point, made in journal.visits.items() if point.variant in known and point not in self.untold
        }
        every = [visit for made in visits.values() for visit in made]
        clock = clock_of(every)
        points = points_of(visits, journal.parts)
        return GenerationSite(
            hardware=plan.hardware,
            machine=plan.machine,
            created=plan.created,
            advisor_version=__version__,
            fingerprint=plan.fingerprint,
            versions=plan.versions,
            clock=clock,
            measuring_s=journal.timing_s,
            noise_fraction=noise_of(visits.values(), clock),
            variants=tuple(variants),
            drafts=() if plan.draft is None else (plan.draft.as_draft(None if windows is None else windows.learned_texts),),
            prefill=points.prefill,
            decode=points.decode,
            mixed=points.mixed,
            stalls=tuple(entry for entry in journal.watches if entry is not None),
            exclusions=(*plan.excluded, *self.exclusions, *journal.exclusions),
            notes=(*self.notes, *on_learned(plan, windows), *disturbance(every, clock)),
        )

    def _exclude(self, what: str, reason: str) -> None:
        self.exclusions.append(Exclusion(what=what, reason=reason.removeprefix(f"{what}: ")))


def are_still(variants: Iterable[GenerationVariant], folder: Path, apart: Apart) -> bool:
    """Return whether the folders of all variants, whose paths are relative to `folder`, hold what was measured."""
    known = {"onnxruntime": is_still, "openvino": openvino_export.is_still}
    return all(
        apart.call(model_folder.reading(variant.id), known[variant.engine], folder / variant.path, variant.sha256)
        for variant in variants
    )
