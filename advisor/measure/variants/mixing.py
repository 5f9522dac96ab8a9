"""A scheme that loses too much, made again with the operators to blame left in full precision, as few of them as it takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.errors import ModelError
from advisor.measure.variants import mixed_precision, quantize
from advisor.measure.variants.comparison import Comparison, holds
from advisor.measure.variants.making import TRIAL, Plan, without_folders
from advisor.measure.variants.processes import Processes, Tools
from advisor.measure.variants.quantize import Nodes
from advisor.measure.variants.sensitivity import Errors
from advisor.measure.worker.client import WorkerError
from advisor.schema.catalog import Scheme
from advisor.schema.model import Graph
from advisor.schema.profile import QualityResult, Variant
from advisor.schema.record import Exclusion

# A search takes this part of the budget at the most, whatever is left.
MIXED_SHARE = 0.75

Say = Callable[[str], None]


class Mixed(NamedTuple):
    """What was found: the variant, its file written, and the quality that it was found to have."""

    variant: Variant
    quality: QualityResult


def mixed_id(full: Variant) -> str:
    """Return what a variant is called once some of its operators are left in full precision."""
    return f"{full.id}-mixed"


def mixed(
    tools: Tools,
    scheme: Scheme,
    full: Variant,
    baseline: Graph,
    processes: Processes,
    comparison: Comparison,
    say: Say,
    left_s: float,
) -> Mixed | Exclusion:
    """Return the variant with as few operators in full precision as were found to be enough, or why there is none.

    `left_s` is what making and comparing may still take. Raise ModelError or WorkerError if the search cannot begin.
    """
    say(f"searching for the operators that cost {full.id} its quality")
    plan = tools.plan
    started, allowed_s = time.perf_counter(), max(0.0, min(left_s, MIXED_SHARE * plan.settings.budget_s))
    with Errors(tools, scheme) as errors:
        if not errors.nodes:
            raise ModelError("its weights are in branches, where operators cannot be told apart", hint="use another scheme")
        ordered = mixed_precision.by_error(errors.nodes, errors.of, seconds=mixed_precision.SENSITIVITY_SHARE * allowed_s)
        trials = Trials(plan, full, errors, processes, comparison, say)
        try:
            found = mixed_precision.fewest(ordered, trials.holds, until_s=started + allowed_s, readers=errors.readers)
        finally:
            quantize.discard(trials.trial)
    if found.kept is None or trials.quality is None:
        return Exclusion(what=mixed_id(full), reason=trials.why_none())
    graph = tools.graph(trials.target)
    return Mixed(_variant(plan, full, graph, trials.target, baseline, found.kept, len(ordered)), trials.quality)


class Trials:
    """Files with some operators in full precision, each made, run and compared; the last one that held is kept at `target`."""

    def __init__(self, plan: Plan, full: Variant, errors: Errors, processes: Processes, comparison: Comparison, say: Say) -> None:
        self.plan, self.full, self.errors, self.processes, self.comparison, self.say = (
            plan,
            full,
            errors,
            processes,
            comparison,
            say,
        )
        self.name = mixed_id(full)
        self.target = plan.folder / f"{self.name}.onnx"
        self.trial = self.target.with_name(f"{TRIAL}{self.target.name}")
        self.quality: QualityResult | None = None  # of what is at `target`
        # How many operators were kept, and why that failed.
        self.lost: list[tuple[int, str]] = []
        self.failed: list[tuple[int, str]] = []

    def holds(self, kept: tuple[str, ...], look: int) -> bool:
        """Return whether the quality holds with these operators in full precision; what cannot be made or run does not."""
        self.say(f"{self.name}: {len(kept)} of {len(self.errors.nodes)} operators in full precision")
        try:
            quality = self._quality_with(kept)
            is_enough, reason = holds(self.plan.settings, quality)
            if is_enough:
                self.errors.copy(self.trial, self.target)
                self.quality = quality
        except (ModelError, WorkerError) as error:
            self.failed.append((len(kept), without_folders(error.fault, self.trial, self.errors.made, self.target)))
            return False
        if not is_enough:
            self.lost.append((len(kept), reason))
        return is_enough

    def _quality_with(self, kept: tuple[str, ...]) -> QualityResult:
        self.errors.copy(self.errors.make(Nodes(kept=frozenset(kept))), self.trial)
        variant = msgspec.structs.replace(self.full, id=self.name, path=str(self.trial.relative_to(self.plan.folder.parent)))
        self.processes.open(self.name, variant)
        try:
            # Each interval holds for as many looks as there may be.
            quality = self.comparison.quality(self.name, looks=mixed_precision.MOST_LOOKS)
        finally:
            self.processes.close(self.name)
        assert quality is not None  # it was the quality of the whole scheme that failed
        return quality

    def why_none(self) -> str:
        """Return why no file was good enough; files that lost too much and files that could not be made are reported apart."""
        operators = f"of {len(self.errors.nodes)} operators in full precision"
        reasons = []
        if self.lost:
            reasons.append(f"quality did not hold with {_counts(self.lost)} {operators}; the last: {self.lost[-1][1]}")
        if self.failed:
            reasons.append(f"no file could be made and run with {_counts(self.failed)} {operators}: {self.failed[-1][1]}")
        return "; ".join(reasons)


def _counts(tried: list[tuple[int, str]]) -> str:
    return ", ".join(str(kept) for kept, _ in tried)


def _variant(
    plan: Plan, full: Variant, graph: Graph, target: Path, baseline: Graph, kept: tuple[str, ...], operators: int
) -> Variant:
    return msgspec.structs.replace(
        full,
        id=mixed_id(full),
        title=f"{full.title}; {len(kept)} of {operators} operators left in full precision",
        kept_operators=kept,
        path=str(target.relative_to(plan.folder.parent)),
        sha256=graph.sha256,
        bytes=graph.file_bytes,
        changed_operators=quantize.changed_operators(baseline, graph),
        changed_weight_bytes=graph.weight_bytes - baseline.weight_bytes,
        load_s=None,
        agreement=None,
        quality=None,
    )
