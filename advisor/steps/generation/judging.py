"""How well the forms of a decoder predict the user's text, each scored as long as its share of the budget lasts; and which are timed."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import msgspec

from advisor.errors import AdvisorError
from advisor.measure.generation.openvino import profiling as openvino_process
from advisor.measure.generation.step_timing import Decode, Point, Prefill, Step, decode_steps, prefill_steps
from advisor.measure.generation.text_quality import Scored, text_quality
from advisor.measure.generation.timing.journal import GenerationJournal, ScoredText
from advisor.measure.generation.timing.processes import Variants
from advisor.measure.generation.tokenizing import FEWEST_PIECES, Windows
from advisor.quality_floor import keeps_floor
from advisor.schema.generation import GenerationVariant
from advisor.schema.record import Exclusion
from advisor.steps.generation.plan import Plan, Stage
from advisor.units import counted, seconds

QUALITY_SHARE = 0.3  # of the budget: timing has the rest


class Judging:
    """One run, or the rest of one; what it leaves out is in `exclusions`."""

    def __init__(self, plan: Plan, journal: GenerationJournal, stage: Stage, processes: Variants, threads: int) -> None:
        """`threads` are those that text is scored on."""
        self.plan, self.journal, self.stage, self.processes, self.threads = plan, journal, stage, processes, threads
        self.exclusions: list[Exclusion] = []

    def judged(self, variants: Sequence[GenerationVariant], windows: Windows) -> list[GenerationVariant]:
        """Return the variants with their quality, the first of them the baseline; one that cannot score the text is left out."""
        each_s = QUALITY_SHARE * self.plan.settings.budget_s / max(1, sum(not variant.is_untrained for variant in variants))
        found: list[GenerationVariant] = []
        baseline: Scored | None = None
        for variant in variants:
            if variant.is_untrained:
                found.append(variant)  # what it says of a text means nothing yet
                continue
            if baseline is not None and len(baseline.surprise) < FEWEST_PIECES:
                found.append(variant)  # what the baseline says of the text is not known well enough to compare anything with it
                continue
            try:
                said = self._scored(variant, windows, each_s)
            except AdvisorError as error:
                if baseline is None:
                    raise
                self._exclude(variant.id, error.fault)
                continue
            baseline = baseline or said
            found.append(self._judged(variant, windows, baseline, said))
        return found

    def _judged(self, variant: GenerationVariant, windows: Windows, baseline: Scored, said: Scored) -> GenerationVariant:
        """Return the variant with its quality, as it was where too few pieces could be scored for an interval."""
        plan, pieces = self.plan, min(len(baseline.surprise), len(said.surprise))
        if pieces < FEWEST_PIECES or plan.settings.text_sha256 is None:
            budget = seconds(plan.settings.budget_s)
            reason = (
                f"{counted(pieces, 'piece')} of the text scored within the budget of {budget}, and {FEWEST_PIECES} are needed"
            )
            self._exclude(f"the quality of {variant.id}", reason)
            return variant
        quality = text_quality(windows, baseline, said, data_sha256=plan.settings.text_sha256, seed=plan.settings.seed)
        return msgspec.structs.replace(variant, quality=quality)

    def _scored(self, variant: GenerationVariant, windows: Windows, each_s: float) -> Scored:
        known = self.journal.scored(variant.id)
        if known is not None:
            return known
        self.stage.say(f"scoring the text with {variant.id}")
        began_s = self.stage.ledger.spent_s
        scored = self.processes.process(variant.id).scored
        said = self.processes.ask(variant.id, self.threads, "scoring the text", scored, windows, each_s)
        elapsed_s = max(0.0, self.stage.ledger.spent_s - began_s)
        self.journal.add(ScoredText(variant=variant.id, sha256=variant.sha256, scored=said, elapsed_s=elapsed_s))
        return said

    def _exclude(self, what: str, reason: str) -> None:
        self.exclusions.append(Exclusion(what=what, reason=reason.removeprefix(f"{what}: ")))


def is_worth_timing(plan: Plan, variant: GenerationVariant) -> bool:
    """Return whether a variant may be advised, or was asked for: nothing is lost, or what is lost is known and within the floor."""
    if variant.lossless or variant.is_untrained or variant.id in plan.wanted:
        return True
    if variant.quality is None:
        return False
    floor = plan.asked.max_drop
    return floor is None or keeps_floor(variant.quality.perplexity, floor, None)[0]


class ToTime(NamedTuple):
    """What is timed: in full, with one visit, and as the last; and the variants that have no step that can be."""

    full: list[Point]
    brief: list[Point]  # of what is not advised: so much that the report can show how fast it would be
    last: set[tuple[str, int]]  # variants and numbers of threads
    too_short: list[str]

    @property
    def settings(self) -> set[tuple[str, int]]:
        """All variants and numbers of threads."""
        return {(point.variant, point.intra_op_num_threads) for point in (*self.full, *self.brief)}


def to_time(plan: Plan, variants: Sequence[GenerationVariant], threads: Sequence[int]) -> ToTime:
    """Return what to time of variants, on each of these numbers of threads, the largest last."""
    found = ToTime([], [], _last(plan, variants, threads), [])
    for variant in variants:
        if not (steps := _steps(plan, variant)):
            found.too_short.append(variant.id)
        elif is_worth_timing(plan, variant):
            found.full.extend(
                Point(variant=variant.id, intra_op_num_threads=count, step=step)
                for count, step in product(threads, dict.fromkeys(steps))
            )
        else:
            found.brief.extend(Point(variant=variant.id, intra_op_num_threads=1, step=step) for step in _shown(plan, variant))
    return found


def _steps(plan: Plan, variant: GenerationVariant) -> tuple[Step, ...]:
    """Return what tells the laws of a variant's steps."""
    settings, lengths = plan.settings, plan.asked.lengths
    if variant.engine == "openvino":
        return openvino_process.steps_of(settings.max_running_requests, settings.max_context_tokens, lengths.longest)
    return (*prefill_steps(lengths), *decode_steps(settings.max_running_requests, lengths))


def _shown(plan: Plan, variant: GenerationVariant) -> tuple[Step, ...]:
    """Return a usual prompt, and a step behind it or behind a usual context."""
    lengths = plan.asked.lengths
    if variant.engine == "openvino":
        return openvino_process.steps_of(1, plan.settings.max_context_tokens, lengths.usual)[-1:]
    return Prefill(tokens=lengths.usual), Decode(batch_size=1, context_tokens=lengths.context)


def _last(plan: Plan, variants: Sequence[GenerationVariant], threads: Sequence[int]) -> set[tuple[str, int]]:
    """Return what of OpenVINO has its turn as the last: all but its best hope, what reads the least weights, on all cores.

    What the user named, or serves today, comes with the others.
    """
    listed = [variant for variant in variants if variant.engine == "openvino" and is_worth_timing(plan, variant)]
    hope = min(listed, key=lambda variant: variant.weight_bytes, default=None)
    soon = {threads[-1], plan.today_threads}
    return {
        (variant.id, count)
        for variant, count in product(listed, threads)
        if (variant is not hope and variant.id not in plan.wanted) or count not in soon
    }
