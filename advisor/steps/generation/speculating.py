"""Speculation, tried with the engine that has it: on answers that copy, on free ones, on the user's text; for one request and for many.

What it does depends on the text and on how many run side by side, so each is tried as far as the budget goes: what decides most, first.
Tokens are looked up in what was read and said, or a draft proposes them.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.errors import AdvisorError
from advisor.measure.generation.clock import clock_of
from advisor.measure.generation.openvino import making as openvino
from advisor.measure.generation.openvino import profiling
from advisor.measure.generation.openvino.profiling import SpeculationSetting
from advisor.measure.generation.openvino.prompts import Prompts, read_prompts
from advisor.measure.generation.openvino.speculation import FEWEST_ROUNDS, MOST_ROUNDS
from advisor.measure.generation.scripts import NO_POINTS, Points
from advisor.measure.generation.timing.journal import GenerationJournal, Speculated
from advisor.measure.generation.timing.points import points_of
from advisor.measure.generation.timing.processes import HANG_S, LOADING_S
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.runtime.openvino_session import INSTALL
from advisor.measure.timing.ledger import LAST_START
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.generation import GenerationVariant, LookupText, Speculation, StepVisit
from advisor.schema.record import Exclusion
from advisor.steps import model_folder
from advisor.steps.distillation.of_decoders import SmallerDecoder, drafted_tokens
from advisor.steps.generation.plan import Plan, Stage
from advisor.units import counted, seconds

SHARE = 0.1  # of the budget, kept for each way to propose tokens; it goes on as long as anything may be begun
MANY = 8  # requests side by side, by when checking what is proposed costs as much as it can save
# A step that checks proposals takes so many times as long as one without, and may give no more tokens.
CHECKING = 1.5
SHORTEST_PIECE = 2  # of the user's text: one part in so many of what a piece has at the most; shorter texts say little
LOOKUP = "prompt lookup"
DRAFTS = "drafts"  # the folder of their forms, beside those of the model
TEXTS: dict[LookupText, str] = {"copying": "text that is copied", "free": "free text", "given": "the given text"}


class Trial(NamedTuple):
    """One kind of text at one number of requests."""

    text: LookupText
    running: int
    prompts: tuple[tuple[int, ...], ...]
    output_tokens: int
    decides: bool = False  # whether to propose tokens at all: tried with every variant before the rest is with any

    @property
    def named(self) -> str:
        """In words."""
        return f"{TEXTS[self.text]} at {counted(self.running, 'request')}"


class Drafting(NamedTuple):
    """A draft: what it is called, the digest of the decoder, its forms by those of the model that they go with, and what it proposes."""

    id: str
    sha256: str
    folders: Mapping[str, Path]
    proposed_tokens: int

    @property
    def named(self) -> str:
        """In words."""
        return f"the draft {self.id}"


class Speed(NamedTuple):
    """What steps of a variant take, as they were timed."""

    token_s: float  # of a prompt
    alone_s: float  # a decode step of one request
    many_s: float  # and of many

    def pair_s(self, trial: Trial) -> float:
        """Return the seconds of a pair of runs, at the least."""
        step_s = self.alone_s if trial.running == 1 else self.many_s
        return 2 * trial.running * len(trial.prompts[0]) * self.token_s + (1 + CHECKING) * trial.output_tokens * step_s


class Tried(NamedTuple):
    """What speculation does, by variant, and what could not be tried."""

    found: Mapping[str, tuple[Speculation, ...]]
    exclusions: Sequence[Exclusion]


def in_every_way(
    plan: Plan,
    journal: GenerationJournal,
    stage: Stage,
    threads: int,
    variants: Sequence[GenerationVariant],
    windows: Windows | None,
) -> Tried:
    """Return what the draft does to variants on so many threads, if one is given, and what prompt lookup does."""
    found: dict[str, tuple[Speculation, ...]] = {}
    exclusions: list[Exclusion] = []
    ways: list[Drafting | None] = [None]
    if plan.draft is not None:
        drafting, exclusions = _drafting(plan, plan.draft, stage, variants)
        ways.insert(0, drafting)
    for way in ways:
        trying = Speculating(plan, journal, stage, threads, way)
        for name, records in trying.tried(variants, windows).items():
            found[name] = (*found.get(name, ()), *records)
        exclusions += trying.exclusions
    return Tried(found, exclusions)


def _drafting(
    plan: Plan, draft: SmallerDecoder, stage: Stage, variants: Sequence[GenerationVariant]
) -> tuple[Drafting, list[Exclusion]]:
    """Return the draft in the forms that go with those of the model, each in the same one, and what of it could not be made."""
    exclusions = []
    if not plan.has_openvino:
        reason = f"OpenVINO's engine is not installed ({INSTALL}), and the one of advisor has no speculation"
        exclusions.append(Exclusion(what=f"the draft {draft.id}", reason=reason))
    folders: dict[str, Path] = {}
    for variant in variants:
        if variant.engine != "openvino":
            continue
        stage.say(f"making {variant.id} of the draft {draft.id}")
        try:
            with stage.ledger.loading():
                made = stage.apart.call(
                    model_folder.reading(str(draft.path)),
                    openvino.made,
                    draft.path,
                    plan.folder / DRAFTS,
                    variant.id,
                    sha256=draft.facts.sha256,
                    max_tokens=min(draft.facts.context_tokens, plan.settings.max_context_tokens),
                )
            folders[variant.id] = made.folder
        except AdvisorError as error:
            exclusions.append(Exclusion(what=f"the draft {draft.id} for {variant.id}", reason=error.fault))
    stage.apart.end()  # it would hold memory
    cost = draft.facts.parameters / plan.facts.parameters
    return Drafting(draft.id, draft.facts.sha256, folders, drafted_tokens(draft.accepted, cost)), exclusions


def on_learned(plan: Plan, windows: Windows | None) -> Iterator[str]:
    """Yield how much of the text was left out, and of which smaller decoders it is not known what they learned from."""
    if windows is None:
        return
    for it in plan.trained:
        if it.learned is None:
            yield f"whether {it.id} learned from quality.data cannot be told: it has no list of what it learned from"
    if windows.learned_texts:
        names = " and ".join(it.id for it in plan.trained if it.learned is not None)
        yield f"{counted(windows.learned_texts, 'text')} of quality.data left out: {names} learned from them"


class Speculating:
    """One run, or the rest of one; what it leaves out is in `exclusions`."""

    def __init__(self, plan: Plan, journal: GenerationJournal, stage: Stage, threads: int, draft: Drafting | None = None) -> None:
        """`threads` are those that it is tried on; without a draft tokens are looked up."""
        self.plan, self.journal, self.stage, self.threads, self.draft = plan, journal, stage, threads, draft
        self.exclusions: list[Exclusion] = []
        self.named = LOOKUP if draft is None else draft.named
        self.many = min(MANY, plan.settings.max_running_requests)
        self._failed: set[str] = set()  # variants that the engine said no to
        self._untried_s: dict[str, dict[Trial, float]] = {}  # by variant: what there was no time for, with the seconds it takes

    def tried(self, variants: Sequence[GenerationVariant], windows: Windows | None) -> dict[str, tuple[Speculation, ...]]:
        """Return what speculation does to variants, the quickest of them first, as far as there was time for.

        Which of them will be advised is not known yet, so that each gets its share of the time.
        """
        known = {variant.id: speed for variant in variants if (speed := self._speed(variant)) is not None}
        if not known:
            return {}
        listed = sorted((variant for variant in variants if variant.id in known), key=lambda it: known[it.id].alone_s)
        prompts = self._prompts()
        if prompts is None:
            return {}
        trials = [*self._trials(prompts, windows)]
        for decides in (True, False):
            asked = [trial for trial in trials if trial.decides is decides]
            left = [self._left(variant, known[variant.id], asked) for variant in listed]
            for place, (variant, least_s) in enumerate(zip(listed, left, strict=True)):
                self._try(variant, least_s, later_s=sum(sum(later.values()) for later in left[place + 1 :]))
        return {variant.id: self._found(variant, trials) for variant in listed}

    def _speed(self, variant: GenerationVariant) -> Speed | None:
        """Return what was timed of a variant on these threads, None where that does not tell enough, or it is not served so."""
        if variant.engine != "openvino" or (self.draft is not None and variant.id not in self.draft.folders):
            return None
        points = self._points(variant)
        sizes = sorted(point.batch_size for point in points.decode)
        alone = [point for point in points.decode if point.batch_size == 1]
        if not points.prefill or not alone:
            return None
        size = next((size for size in sizes if size >= self.many), sizes[-1])
        largest = max(points.prefill, key=lambda point: point.tokens)
        return Speed(
            token_s=_took_s(largest.visits) / largest.tokens,
            alone_s=min(_took_s(point.visits) for point in alone),
            many_s=min(_took_s(point.visits) for point in points.decode if point.batch_size == size),
        )

    def _points(self, variant: GenerationVariant) -> Points:
        visits = {
            point: made
            for point, made in self.journal.visits.items()
            if (point.variant, point.intra_op_num_threads) == (variant.id, self.threads)
        }
        return points_of(visits, self.journal.parts) if visits else NO_POINTS

    def _prompts(self) -> Prompts | None:
        plan = self.plan
        self.stage.say(f"reading texts for {self.named}")
        try:
            with self.stage.ledger.loading(), self.stage.how.start() as apart:
                return apart.call(
                    model_folder.reading(str(plan.model)),
                    read_prompts,
                    plan.model,
                    vocabulary=plan.facts.vocabulary,
                    max_tokens=plan.settings.max_context_tokens,
                    most_running=self.many,
                    seed=plan.settings.seed,
                )
        except AdvisorError as error:
            self._exclude(self.named, error.fault)
            return None

    def _trials(self, prompts: Prompts, windows: Windows | None) -> Iterator[Trial]:
        """Yield what is tried, first what decides most.

        Of lookup that is copying alone and for many, where it pays and where it stops to; of a draft it is the user's text, and answers
        that copy say nothing of it.
        """
        alone, beside = prompts.output_tokens, prompts.output_tokens_of_many
        if self.draft is not None:
            yield from self._given(prompts, windows)
            yield Trial("free", 1, prompts.free, alone)
            if self.many > 1:
                yield Trial("free", self.many, prompts.free, beside)
            return
        yield Trial("copying", 1, prompts.copying, alone, decides=True)
        if self.many > 1:
            yield Trial("free", self.many, prompts.free, beside, decides=True)
            yield Trial("copying", self.many, prompts.copying, beside)
        yield Trial("free", 1, prompts.free, alone)
        yield from self._given(prompts, windows)

    def _given(self, prompts: Prompts, windows: Windows | None) -> Iterator[Trial]:
        """Yield what is tried on the user's text, as far as that goes."""
        pieces = [ids[: prompts.piece_tokens] for ids in windows.tokens] if windows is not None else []
        given = tuple(ids for ids in pieces if len(ids) * SHORTEST_PIECE >= prompts.piece_tokens)[: MOST_ROUNDS * self.many]
        for running in dict.fromkeys((1, self.many)):
            if len(given) >= FEWEST_ROUNDS * running:
                tokens = prompts.output_tokens if running == 1 else prompts.output_tokens_of_many
                yield Trial("given", running, given, tokens, decides=self.draft is not None)
            elif windows is not None:
                few = f"{counted(len(given), 'piece')} of it are long enough, and {FEWEST_ROUNDS * running} are needed"
                self._exclude(f"{self.named} on {TEXTS['given']} at {counted(running, 'request')}", few)

    def _known(self, variant: GenerationVariant) -> dict[tuple[LookupText, int], Speculation | None]:
        return self.journal.speculated(variant.id, None if self.draft is None else self.draft.sha256)

    def _left(self, variant: GenerationVariant, speed: Speed, trials: Sequence[Trial]) -> dict[Trial, float]:
        """Return what neither this run nor the one before has tried, with the seconds that it takes at the least."""
        known = self._known(variant)
        return {
            trial: FEWEST_ROUNDS * speed.pair_s(trial)
            for trial in trials
            if (trial.text, trial.running) not in known and variant.id not in self._failed
        }

    def _found(self, variant: GenerationVariant, trials: Sequence[Trial]) -> tuple[Speculation, ...]:
        """Return what was found of a variant, by this run or the one before, and keep what was not."""
        untried_s = self._untried_s.get(variant.id, {})
        if untried_s and len(untried_s) == len(trials):
            self._exclude(f"{self.named} with {variant.id}", self._no_time(min(untried_s.values())))
        else:
            for trial, need_s in untried_s.items():
                self._exclude(f"{self.named} on {trial.named} with {variant.id}", self._no_time(need_s))
        known = self._known(variant)
        found = [(trial, known[trial.text, trial.running]) for trial in trials if (trial.text, trial.running) in known]
        for trial, record in found:
            if record is None:
                self._exclude(f"{self.named} on {trial.named} with {variant.id}", self._too_long())
        return tuple(record for _, record in found if record is not None)

    def _try(self, variant: GenerationVariant, least_s: Mapping[Trial, float], *, later_s: float) -> None:
        """Try what there is time for, keep what was found in the journal, and leave their share to later variants."""
        if any(self.stage.ledger.has_time_for(need_s) for need_s in least_s.values()):
            with self.stage.how.start() as apart:
                self._try_apart(apart, variant, least_s, later_s)
        else:
            self._untried_s.setdefault(variant.id, {}).update(least_s)

    def _try_apart(self, apart: Apart, variant: GenerationVariant, least_s: Mapping[Trial, float], later_s: float) -> None:
        ledger, folder = self.stage.ledger, self.plan.folder.parent / variant.path
        trials = [*least_s]
        setting = SpeculationSetting(
            intra_op_num_threads=self.threads,
            most_running=self.many,
            longest_prompt=max(len(prompt) for trial in trials for prompt in trial.prompts),
            most_output_tokens=max(trial.output_tokens for trial in trials),
        )
        if self.draft is not None:
            setting = msgspec.structs.replace(
                setting,
                draft=self.draft.id,
                draft_folder=self.draft.folders[variant.id],
                proposed_tokens=self.draft.proposed_tokens,
            )
        try:
            with ledger.loading():
                limit = Limit(variant.id, f"loading it for {self.named}", LOADING_S, LOADING_S)
                apart.call(limit, profiling.speculation_opened, folder, setting)
            for place, trial in enumerate(trials):
                if not ledger.has_time_for(least_s[trial]):
                    self._untried_s.setdefault(variant.id, {})[trial] = least_s[trial]
                    continue
                most_s = LAST_START * ledger.planned_s - ledger.spent_s
                share = least_s[trial] / (later_s + sum(least_s[other] for other in trials[place:]))
                self._one(apart, variant, trial, setting, share * most_s, most_s)
        except AdvisorError as error:
            self._failed.add(variant.id)
            self._exclude(f"{self.named} with {variant.id}", error.fault)

    def _one(
        self, apart: Apart, variant: GenerationVariant, trial: Trial, setting: SpeculationSetting, wanted_s: float, most_s: float
    ) -> None:
        self.stage.say(f"trying {self.named} on {trial.named} with {variant.id}")
        began_s = self.stage.ledger.spent_s
        every = [visit for made in self.journal.visits.values() for visit in made]
        limit_s = max(HANG_S, 2 * most_s)
        found = apart.call(
            Limit(variant.id, f"trying {self.named}", limit_s, limit_s),
            profiling.speculated,
            self.plan.folder.parent / variant.path,
            setting,
            trial.text,
            trial.prompts[: self.stage.how.pace.most_pairs * trial.running],
            trial.running,
            output_tokens=trial.output_tokens,
            seconds=wanted_s,
            most_s=most_s,
            clock=clock_of(every),
        )
        elapsed_s = max(0.0, self.stage.ledger.spent_s - began_s)
        self.journal.add(
            Speculated(
                variant=variant.id,
                sha256=variant.sha256,
                draft_sha256=None if self.draft is None else self.draft.sha256,
                text=trial.text,
                running_requests=trial.running,
                found=found,
                elapsed_s=elapsed_s,
            )
        )

    def _too_long(self) -> str:
        budget = seconds(self.plan.settings.budget_s)
        return f"{counted(FEWEST_ROUNDS, 'pair')} of runs take longer than the budget of {budget} had left"

    def _no_time(self, need_s: float) -> str:
        budget = seconds(self.plan.settings.budget_s)
        return f"takes about {seconds(need_s)}, more than is left of the budget of {budget}"

    def _exclude(self, what: str, reason: str) -> None:
        self.exclusions.append(Exclusion(what=what, reason=reason))


def _took_s(visits: Sequence[StepVisit]) -> float:
    """Return the median of single steps, by the clock on the wall: what counts is how much of the budget they take."""
    return statistics.median(took_s for visit in visits for took_s in visit.wall_s)
