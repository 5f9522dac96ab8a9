"""Which variants are worth measuring to the end: each is made, opened, compared and looked at; what is hopeless goes early."""

import contextlib
import math
import statistics
from collections.abc import Iterator

import msgspec

from advisor.errors import ModelError
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.profile_journal import LeftOut, MadeVariant, Prepared, ProfileJournal
from advisor.measure.variants import comparison, estimates, mixing, quantize
from advisor.measure.variants.comparison import Comparison
from advisor.measure.variants.estimates import Costs
from advisor.measure.variants.making import (
    AGAIN,
    Plan,
    Report,
    Workers,
    baseline_id,
    baseline_variant,
    clear_unfinished,
    given_ids,
    variant_file,
)
from advisor.measure.variants.processes import Processes, Tools
from advisor.measure.worker.apart import Apart
from advisor.measure.worker.client import WorkerError
from advisor.schema.catalog import Scheme
from advisor.schema.profile import QualityResult, Variant, is_untrained
from advisor.schema.record import Exclusion
from advisor.units import seconds

AS_FAST = 1.1  # of those that are as fast as each other the one that lost least is mixed
SLOWER = "slower than the model as given"
OVER_BUDGET = "left out to keep the budget of"
WORTH_STRETCHING = 1.3  # times as fast as the model as given, by what is hoped: the first such scheme may make the run longer
FEWEST_TRIALS = 3  # of a search for the operators to blame: below, nothing is found


class Lineup:
    """The variants of a profile in the making, with their processes."""

    def __init__(
        self,
        plan: Plan,
        journal: ProfileJournal,
        ledger: Ledger,
        report: Report,
        stack: contextlib.ExitStack,
        apart: Apart,
    ) -> None:
        """`apart` is where files are made and read; all processes of the variants end with the stack."""
        self.plan, self.journal, self.ledger, self.report = plan, journal, ledger, report
        self.processes, self.tools = Processes(plan, stack, ledger), Tools(plan, apart)
        self.workers: Workers = self.processes.workers
        self.variants: list[Variant] = []
        self.looks: dict[str, dict[int, list[float]]] = {}  # speeds over the baseline at a first look, by batch size
        self.spent_s: dict[str, float] = {}  # on making and comparing each
        self.done = {variant.id: variant for variant in journal.variants}
        self.left_out = {exclusion.what for exclusion in journal.exclusions}
        with ledger.loading():
            self.tools.begin()
            self.graph = self.tools.graph(plan.baseline)
        self.comparison: Comparison = stack.enter_context(comparison.comparing(plan, self.workers))
        self.costs = Costs(call_s=0.0, item_s=0.0)  # until a call of the baseline was timed
        self.best_hope: str | None = None
        # Seconds that files were thought to take to make, and that they took, from a second each on: one short file proves little.
        self.thought_s, self.took_s = 1.0, 1.0

    def assemble(self) -> None:
        """Open the baseline and every variant that is worth it; once more the baseline, to be measured as if it were a variant.

        First comes what the user named, then the schemes of which most is hoped; what there is no time for is left out.
        """
        clear_unfinished(self.plan.folder)
        for exclusion in self.plan.excluded:
            self.leave_out(exclusion)
        self._open_baseline()
        schemes = self._planned([scheme for scheme in self.plan.schemes if scheme.id not in self.left_out])
        self.comparison.check_metric()
        self._take_given()
        for scheme in schemes:
            if scheme.instead_of is None:
                self._take_scheme(scheme)
        for scheme in schemes:
            if scheme.instead_of is not None:
                self._take_instead(scheme)
        self._take_mixed(schemes)
        clear_unfinished(self.plan.folder)
        self._open_again()

    def call_s(self, name: str) -> float:
        """Return about how long a call of a single item takes the variant on one thread."""
        return self.costs.call_s / self.speed(name)

    # --- within the budget -----------------------------------------------------------------------------------------------

    def _planned(self, schemes: list[Scheme]) -> list[Scheme]:
        """Return the schemes in the order in which to try them, with the time for looks and items cut down to what there is."""
        call_s = self.comparison.first_call_s()
        self.costs = Costs(call_s=call_s, item_s=call_s, are_items_given=self.plan.calibration is not None)
        self.comparison.item_s = call_s
        self.ledger.know_call(call_s)
        facts, screening = self.plan.facts, self.plan.screening
        schemes = sorted(schemes, key=lambda scheme: (not self._is_named(scheme), -estimates.hope(scheme, facts)))
        named = [scheme for scheme in schemes if self._is_named(scheme) and scheme.id not in self.done]
        given = len(self.plan.given) + len(self.plan.students)
        if named or given:
            self.ledger.require(
                sum(estimates.least_s(scheme, facts, self.costs, screening) for scheme in named)
                + given * estimates.comparing_s(self.costs, screening)
            )
        # What is no faster than another is tried where that one fails: most often it is not.
        likely = [scheme for scheme in schemes if scheme.instead_of is None or self._is_named(scheme)]
        tried = estimates.affordable(likely, facts, self.costs, screening, self.ledger.preparing_left_s)
        if likely and estimates.hope(likely[0], facts) >= WORTH_STRETCHING:
            self.best_hope = likely[0].id
        screening = estimates.paced(screening, tried, given, facts, self.costs, self.ledger.preparing_left_s)
        self.plan = self.comparison.plan = self.tools.plan = msgspec.structs.replace(self.plan, screening=screening)
        if self.ledger.planned_s > self.ledger.budget_s:
            self.report(self.ledger.spent_s, self.ledger.expected_s, "looking at the model", line=self.ledger.promise)
        return schemes

    def _is_named(self, scheme: Scheme) -> bool:
        return scheme.id in self.plan.settings.wanted

    def _is_affordable(self, scheme: Scheme) -> bool:
        """Return whether there is time to try the scheme; leave it out, with the budget that would do, where there is not."""
        if self._is_named(scheme):
            return True
        cost_s = self.cost_s(scheme)
        if not scheme.lossless and self._needs_quality and not self.comparison.can_judge:
            judged_s = estimates.FEWEST_JUDGED_ITEMS * self.costs.item_s
            reason = "too few items to say anything of its quality could be judged"
        elif cost_s > (self.ledger.stretched_left_s if scheme.id == self.best_hope else self.ledger.preparing_left_s):
            spent_s = self.ledger.spent_s
            judged_s, reason = 0.0, f"making and comparing it would take about {seconds(cost_s)}, after {seconds(spent_s)} so far"
        else:
            return True
        enough_s = rounded_up(self.ledger.sufficient_s(cost_s + judged_s / estimates.JUDGED_PART))
        fault = f"{OVER_BUDGET} {seconds(self.ledger.budget_s)}: {reason}; a budget of {seconds(enough_s)} would do"
        self.leave_out(Exclusion(what=scheme.id, reason=fault))
        return False

    def cost_s(self, scheme: Scheme) -> float:
        """Return about how many seconds making and comparing the variant of a scheme takes."""
        making_s = self._making_s(scheme)
        judging_s = self.comparison.judging_s if not scheme.lossless else 0.0
        return self.took_s / self.thought_s * making_s + estimates.comparing_s(self.costs, self.plan.screening) + judging_s

    def _making_s(self, scheme: Scheme) -> float:
        with self.ledger.loading():
            if self.tools.is_made(scheme):
                return 0.0
        return estimates.making_s(scheme, self.plan.facts, self.costs, self.plan.screening.calibration_items)

    @property
    def _needs_quality(self) -> bool:
        settings = self.plan.settings
        return settings.quality_metric is not None and settings.quality_max_drop is not None

    # --- opening, making, comparing --------------------------------------------------------------------------------------

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
            self.leave_out(Exclusion(what=name, reason=error.fault))

    def _keep(self, variant: Variant) -> None:
        self.variants.append(variant)
        if variant.id not in self.done:
            self.journal.add(MadeVariant(variant=variant))

    def leave_out(self, exclusion: Exclusion) -> None:
        """Give something up, once."""
        if exclusion.what not in self.left_out:
            self.journal.add(LeftOut(exclusion=exclusion, point=None))
            self.left_out.add(exclusion.what)

    def say(self, what: str) -> None:
        """Report what is being done."""
        self.report(self.ledger.spent_s, self.ledger.expected_s, what)

    @contextlib.contextmanager
    def on_account(self, name: str) -> Iterator[None]:
        """Keep what the variant takes in the journal, for a run that goes on from this one."""
        started_s = self.ledger.spent_s
        yield
        self.spent_s[name] = self.ledger.spent_s - started_s
        self.journal.add(Prepared(elapsed_s=self.spent_s[name]))

    def _take_scheme(self, scheme: Scheme) -> None:
        known = self.known(scheme.id)
        if known is not None:
            self.reopen(known)
            return
        if not self._is_affordable(scheme):
            return
        self.say(f"making {scheme.id}")
        with self.on_account(scheme.id):
            thought_s = self._making_s(scheme)
            with self.ledger.loading():
                self.tools.load()
            started_s = self.ledger.spent_s
            found = self.tools.made(scheme, self.graph)
            if thought_s > 0:
                self.thought_s += thought_s
                self.took_s += self.ledger.spent_s - started_s
            if isinstance(found, Exclusion):
                self.leave_out(found)
            else:
                self.take(found)

    def known(self, name: str) -> Variant | None:
        """Return the variant that an interrupted run made, if its file is still what it was."""
        known = self.done.get(name)
        if known is None:
            return None
        if self.tools.is_still(variant_file(self.plan, known), known.sha256):
            return known
        del self.done[name]
        return None

    def reopen(self, variant: Variant) -> None:
        """Open a variant that an interrupted run made and compared."""
        try:
            self.processes.open(variant.id, variant)
        except WorkerError as error:
            self.leave_out(Exclusion(what=variant.id, reason=error.fault))
            return
        self.variants.append(variant)

    def take(self, variant: Variant, *, looks: int = 1, quality: QualityResult | None = None) -> Variant | None:
        """Open, compare and keep the variant, unless it fails at that or a first look shows it slower than the baseline."""
        self.say(f"comparing {variant.id}")
        try:
            self.processes.open(variant.id, variant)
            variant = self.comparison.with_agreement(variant)
            if variant.scheme == "given" and (fault := comparison.unlike(variant.agreement)) is not None:
                raise WorkerError(fault, hint="give a file that was made from this model")
            speeds = self.comparison.speeds(variant.id)
            if comparison.is_hopeless(self.plan, speeds) and variant.id not in self.plan.kept:
                fault = f"{SLOWER}: {comparison.in_words(speeds)}, in a brief first timing"
                raise WorkerError(fault, hint="serve the model as given")
            self.looks[variant.id] = speeds
            if not is_untrained(variant):
                brief, of_student = variant.lossless, variant.student is not None
                quality = quality or self.comparison.quality(variant.id, looks=looks, briefly=brief, may_differ=of_student)
        except WorkerError as error:
            self.leave_out(Exclusion(what=variant.id, reason=error.fault))
            self.processes.close(variant.id)
            return None
        variant = msgspec.structs.replace(variant, quality=quality)
        self._keep(variant)
        return variant

    def _take_given(self) -> None:
        taken = {variant.id for variant in self.variants} | {scheme.id for scheme in self.plan.schemes}
        for path, name in zip(self.plan.given, given_ids(self.plan.given, taken), strict=True):
            if name not in self.left_out:
                known = self.known(name)
                if known is None:
                    with self.on_account(name):
                        self.take(self.tools.given(path, name, self.graph))
                else:
                    self.reopen(known)

    def speed(self, name: str) -> float:
        """Return how many times faster than the baseline a variant was at a first look, 1 where it was not looked at."""
        looks = [speed for listed in self.looks.get(name, {}).values() for speed in listed]
        return statistics.geometric_mean(looks) if looks else 1.0

    def look_again(self) -> None:
        """Look at the speed of the variants that a run before this one made: this one has not looked at them."""
        for variant in self.variants:
            if variant.derived_from is not None and variant.id not in self.looks and variant.id in self.workers:
                with contextlib.suppress(WorkerError):
                    self.looks[variant.id] = self.comparison.speeds(variant.id)

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
                self.leave_out(Exclusion(what=scheme.id, reason=f"no faster than {scheme.instead_of}, which is slow"))
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
            self.leave_out(Exclusion(what=scheme.id, reason=f"no faster than {scheme.instead_of}, which {why}"))

    def _take_mixed(self, schemes: list[Scheme]) -> None:
        """Take the fastest scheme that failed on its quality once more, with the nodes to blame left in full precision."""
        known = next((variant for variant in self.done.values() if variant.kept_operators), None)
        if known is not None and self.known(known.id) is not None:
            self.reopen(known)
            return
        by_id = {scheme.id: scheme for scheme in schemes if scheme.method in quantize.QUANTIZING}
        failed = [variant for variant in self.variants if variant.id in by_id and self.fails(variant)]
        failed = [variant for variant in failed if mixing.mixed_id(variant) not in self.left_out and variant.id in self.workers]
        if failed:
            self.look_again()
        best = max((self.speed(entry.id) for entry in self.variants if not self.fails(entry)), default=1.0)
        worth = [variant for variant in failed if self.speed(variant.id) > self.plan.screening.worth_mixing * max(best, 1.0)]
        if worth and self._has_time_to_mix(worth):
            worth = [variant for variant in worth if mixing.mixed_id(variant) not in self.left_out]
            fastest = max(self.speed(variant.id) for variant in worth)
            near = [variant for variant in worth if self.speed(variant.id) > fastest / AS_FAST]
            chosen = min(near, key=_dropped)
            self._mix(chosen, by_id[chosen.id])

    def _has_time_to_mix(self, worth: list[Variant]) -> bool:
        """Return whether there is time for a few trials; leave all of them out, with the budget that would do, where there is not."""
        for variant in worth:
            scheme = next(entry for entry in self.plan.schemes if entry.id == variant.scheme)
            needed_s = FEWEST_TRIALS * self.spent_s.get(variant.id, self.cost_s(scheme))
            if needed_s > self.ledger.preparing_left_s and not self._is_named(scheme):
                enough_s = rounded_up(self.ledger.sufficient_s(needed_s))
                fault = (
                    f"searching for the operators to leave in full precision would take about {seconds(needed_s)} at the least"
                )
                reason = f"{OVER_BUDGET} {seconds(self.ledger.budget_s)}: {fault}; a budget of {seconds(enough_s)} would do"
                self.leave_out(Exclusion(what=mixing.mixed_id(variant), reason=reason))
        return any(mixing.mixed_id(variant) not in self.left_out for variant in worth)

    def _mix(self, full: Variant, scheme: Scheme) -> None:
        name = mixing.mixed_id(full)
        with self.on_account(name):
            try:
                found = mixing.mixed(
                    self.tools, scheme, full, self.graph, self.processes, self.comparison, self.say, self.ledger.preparing_left_s
                )
            except (ModelError, WorkerError) as error:
                found = Exclusion(what=name, reason=error.fault)
            if isinstance(found, Exclusion):
                self.leave_out(found)
            else:
                self._take_with_cost(found.variant, full, found.quality)

    def _take_with_cost(self, variant: Variant, full: Variant, quality: QualityResult) -> None:
        try:
            self.processes.open(variant.id, variant)
            variant = msgspec.structs.replace(
                variant, kept_cost=comparison.cost(self.comparison.speeds(variant.id, other=full.id))
            )
        except WorkerError as error:
            self.leave_out(Exclusion(what=variant.id, reason=error.fault))
            return
        finally:
            self.processes.close(variant.id)
        self.take(variant, quality=quality)


def _dropped(variant: Variant) -> float:
    assert variant.quality is not None
    return variant.quality.drop.value


def rounded_up(budget_s: float) -> float:
    """Return the budget to two figures: it is an estimate, and to be typed."""
    unit = 10.0 ** max(0, math.floor(math.log10(max(budget_s, 1.0))) - 1)
    return unit * math.ceil(budget_s / unit)
