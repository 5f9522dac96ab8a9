"""Which variants are worth measuring to the end: each is made, opened, compared and looked at; what is hopeless goes early."""

import contextlib
import shutil
import statistics
import time

import msgspec

from advisor.errors import ModelError
from advisor.measure.model import onnx_graph
from advisor.measure.timing.profile_journal import LeftOut, MadeVariant, Prepared, ProfileJournal
from advisor.measure.variants import comparison, mixing, quantize
from advisor.measure.variants.comparison import Comparison
from advisor.measure.variants.making import (
    AGAIN,
    Plan,
    Report,
    Workers,
    baseline_id,
    baseline_variant,
    given_ids,
    given_variant,
    made,
    ranges_folder,
    variant_file,
)
from advisor.measure.variants.processes import Processes
from advisor.measure.worker.client import WorkerError
from advisor.schema.catalog import Scheme
from advisor.schema.model import Graph
from advisor.schema.profile import QualityResult, Variant
from advisor.schema.record import Exclusion

AS_FAST = 1.1  # of those that are as fast as each other the one that lost least is mixed
SLOWER = "slower than the model as given"


class Lineup:
    """The variants of a profile in the making, with their processes."""

    def __init__(self, plan: Plan, journal: ProfileJournal, report: Report, stack: contextlib.ExitStack) -> None:
        self.plan, self.journal, self.report = plan, journal, report
        self.processes = Processes(plan, stack)
        self.workers: Workers = self.processes.workers
        self.variants: list[Variant] = []
        self.looks: dict[str, dict[int, list[float]]] = {}  # speeds over the baseline at a first look, by batch size
        self.spent_s: dict[str, float] = {}  # on making and comparing each
        self.done = {variant.id: variant for variant in journal.variants}
        self.left_out = {exclusion.what for exclusion in journal.exclusions}
        self.graph: Graph = onnx_graph.read_graph(plan.baseline)
        self.comparison: Comparison = stack.enter_context(comparison.comparing(plan, self.workers))

    def assemble(self) -> None:
        """Open the baseline and every variant that is worth it; once more the baseline, to be measured as if it were a variant."""
        started = time.perf_counter()
        for exclusion in self.plan.excluded:
            self._leave_out(exclusion)
        self._open_baseline()
        self.comparison.check_metric()
        schemes = [scheme for scheme in self.plan.schemes if scheme.id not in self.left_out]
        for scheme in schemes:
            if scheme.instead_of is None:
                self._take_scheme(scheme)
        for scheme in schemes:
            if scheme.instead_of is not None:
                self._take_instead(scheme)
        self._take_given()
        self._take_mixed(schemes)
        shutil.rmtree(ranges_folder(self.plan), ignore_errors=True)
        self._open_again()
        if not self.done:  # a run that goes on has paid for this before
            self.journal.add(Prepared(elapsed_s=time.perf_counter() - started))

    def _open_baseline(self) -> None:
        name = baseline_id(self.plan.facts)
        variant = self.done.get(name) or baseline_variant(self.plan)
        try:
            self.processes.open(name, None)
        except WorkerError as error:
            fault = f"{self.plan.baseline}: cannot be loaded in its own process: {error.fault}"
            raise ModelError(fault, hint=error.hint) from error
        self._keep(msgspec.structs.replace(variant, load_s=self.workers[name][1].load_s))

    def _open_again(self) -> None:
        name = baseline_id(self.plan.facts) + AGAIN
        try:
            self.processes.open(name, None)
        except WorkerError as error:
            self._leave_out(Exclusion(what=name, reason=error.fault))

    def _keep(self, variant: Variant) -> None:
        self.variants.append(variant)
        if variant.id not in self.done:
            self.journal.add(MadeVariant(variant=variant))

    def _leave_out(self, exclusion: Exclusion) -> None:
        if exclusion.what not in self.left_out:
            self.journal.add(LeftOut(exclusion=exclusion, point=None))
            self.left_out.add(exclusion.what)

    def _say(self, what: str) -> None:
        self.report(self.journal.measured_s, self.plan.settings.budget_s, what)

    def _take_scheme(self, scheme: Scheme) -> None:
        self._say(f"making {scheme.id}")
        known = self._known(scheme.id)
        if known is not None:
            self._reopen(known)
            return
        started = time.perf_counter()
        found = made(self.plan, scheme, self.graph)
        if isinstance(found, Exclusion):
            self._leave_out(found)
        else:
            self._take(found)
        self.spent_s[scheme.id] = time.perf_counter() - started

    def _known(self, name: str) -> Variant | None:
        """Return the variant that an interrupted run made, if its file is still what it was."""
        known = self.done.get(name)
        if known is None:
            return None
        path = variant_file(self.plan, known)
        if path.is_file() and onnx_graph.read_graph(path).sha256 == known.sha256:
            return known
        del self.done[name]
        return None

    def _reopen(self, variant: Variant) -> None:
        try:
            self.processes.open(variant.id, variant)
        except WorkerError as error:
            self._leave_out(Exclusion(what=variant.id, reason=error.fault))
            return
        self.variants.append(variant)

    def _take(self, variant: Variant, *, looks: int = 1, quality: QualityResult | None = None) -> Variant | None:
        """Open, compare and keep the variant, unless it fails at that or a first look shows it slower than the baseline."""
        self._say(f"comparing {variant.id}")
        try:
            self.processes.open(variant.id, variant)
            variant = self.comparison.with_agreement(variant)
            speeds = self.comparison.speeds(variant.id)
            if comparison.is_hopeless(self.plan, speeds) and variant.id not in self.plan.kept:
                fault = f"{SLOWER}: {comparison.in_words(speeds)}, in a brief first timing"
                raise WorkerError(fault, hint="serve the model as given")
            self.looks[variant.id] = speeds
            quality = quality or self.comparison.quality(variant.id, looks=looks, briefly=variant.lossless)
        except WorkerError as error:
            self._leave_out(Exclusion(what=variant.id, reason=error.fault))
            self.processes.close(variant.id)
            return None
        variant = msgspec.structs.replace(variant, quality=quality)
        self._keep(variant)
        return variant

    def _take_given(self) -> None:
        taken = {variant.id for variant in self.variants} | {scheme.id for scheme in self.plan.schemes}
        for path, name in zip(self.plan.given, given_ids(self.plan.given, taken), strict=True):
            if name not in self.left_out:
                known = self._known(name)
                if known is None:
                    self._take(given_variant(self.plan, path, name, self.graph))
                else:
                    self._reopen(known)

    def _speed(self, name: str) -> float:
        """Return how many times faster than the baseline a variant was at a first look, 1 where it was not looked at."""
        looks = [speed for listed in self.looks.get(name, {}).values() for speed in listed]
        return statistics.geometric_mean(looks) if looks else 1.0

    # --- where quality was lost ------------------------------------------------------------------------------------------

    def fails(self, variant: Variant) -> bool:
        """Return whether the variant was measured to lose more than the workload allows."""
        if variant.quality is None or self.plan.settings.quality_max_drop is None or variant.lossless:
            return False
        return not comparison.holds(self.plan.settings, variant.quality)[0]

    def _take_instead(self, scheme: Scheme) -> None:
        """Take a scheme that is no faster than another, if that one lost too much."""
        if scheme.id in self.plan.settings.wanted or scheme.id in self.done:
            self._take_scheme(scheme)
            return
        other = next((variant for variant in self.variants if variant.id == scheme.instead_of), None)
        if other is None:
            # What the tools could not do, or gave no finite figures, may be done to fewer operators.
            reason = next((entry.reason for entry in self.journal.exclusions if entry.what == scheme.instead_of), "")
            if reason.startswith(SLOWER):
                self._leave_out(Exclusion(what=scheme.id, reason=f"no faster than {scheme.instead_of}, which is slow"))
            else:
                self._take_scheme(scheme)
        elif self.fails(other):
            self._take_scheme(scheme)
        else:
            why = (
                "held its quality"
                if other.quality is not None
                else "differs from it only in quality, which is not known without quality.data"
            )
            self._leave_out(Exclusion(what=scheme.id, reason=f"no faster than {scheme.instead_of}, which {why}"))

    def _take_mixed(self, schemes: list[Scheme]) -> None:
        """Take the fastest scheme that failed on its quality once more, with the nodes to blame left in full precision."""
        known = next((variant for variant in self.done.values() if variant.kept_operators), None)
        if known is not None:
            if self._known(known.id) is not None:
                self._reopen(known)
            return
        by_id = {scheme.id: scheme for scheme in schemes if scheme.method in quantize.QUANTIZING}
        failed = [variant for variant in self.variants if variant.id in by_id and self.fails(variant)]
        failed = [variant for variant in failed if mixing.mixed_id(variant) not in self.left_out and variant.id in self.workers]
        for variant in self.variants if failed else ():
            # A run that goes on has not looked at what the one before made.
            if variant.derived_from is not None and variant.id not in self.looks and variant.id in self.workers:
                with contextlib.suppress(WorkerError):
                    self.looks[variant.id] = self.comparison.speeds(variant.id)
        best = max((self._speed(entry.id) for entry in self.variants if not self.fails(entry)), default=1.0)
        worth = [variant for variant in failed if self._speed(variant.id) > self.plan.screening.worth_mixing * max(best, 1.0)]
        if worth:
            fastest = max(self._speed(variant.id) for variant in worth)
            near = [variant for variant in worth if self._speed(variant.id) > fastest / AS_FAST]
            chosen = min(near, key=_dropped)
            self._mix(chosen, by_id[chosen.id])

    def _mix(self, full: Variant, scheme: Scheme) -> None:
        started, name = time.perf_counter(), mixing.mixed_id(full)
        try:
            found = mixing.mixed(self.plan, scheme, full, self.graph, self.processes, self.comparison, self._say)
        except (ModelError, WorkerError) as error:
            found = Exclusion(what=name, reason=error.fault)
        if isinstance(found, Exclusion):
            self._leave_out(found)
        else:
            self._take_with_cost(found.variant, full, found.quality)
        self.spent_s[name] = time.perf_counter() - started

    def _take_with_cost(self, variant: Variant, full: Variant, quality: QualityResult) -> None:
        try:
            self.processes.open(variant.id, variant)
            variant = msgspec.structs.replace(
                variant, kept_cost=comparison.cost(self.comparison.speeds(variant.id, other=full.id))
            )
        except WorkerError as error:
            self._leave_out(Exclusion(what=variant.id, reason=error.fault))
            return
        finally:
            self.processes.close(variant.id)
        self._take(variant, quality=quality)


def _dropped(variant: Variant) -> float:
    assert variant.quality is not None
    return variant.quality.drop.value
