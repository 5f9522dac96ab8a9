"""A variant beside the baseline on the same items: do they agree, is anything not finite, what is lost, how fast is it at a first look."""

import contextlib
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from advisor.disk import temporary
from advisor.errors import AdvisorError, InputError
from advisor.measure.model import input_rows
from advisor.measure.quality import evaluation as quality
from advisor.measure.runtime import memory
from advisor.measure.timing.schedule import longest_call_s
from advisor.measure.variants.estimates import FEWEST_JUDGED_ITEMS
from advisor.measure.variants.making import Plan, Workers, baseline_id
from advisor.measure.worker import output_file
from advisor.measure.worker.client import WorkerError
from advisor.measure.worker.process import Predict, Predicted, Time, Timed
from advisor.quality_floor import keeps_floor
from advisor.schema.profile import Agreement, ProfileSettings, QualityResult, Variant, is_untrained
from advisor.schema.record import Estimate
from advisor.units import percent

PREDICT_BATCH_SIZE = 8  # as a server would batch: what shares a batch can matter to a dynamically quantized model
CHANGED_FRACTION = 0.01  # of the largest value of an output: arithmetic in another order changes less
PREDICT_PATIENCE_S = 3600.0
# Of a file of the user's, the mean cosine with the model's outputs and the share of equal top classes below which it is no version of
# the model: two unrelated models of ten classes reach about 0 of logits, 0.7 of probabilities, and 0.1 of the classes.
UNLIKE_COSINE, UNLIKE_CLASSES_COSINE, UNLIKE_CLASSES = 0.5, 0.9, 0.5

# Calls of one item until its seconds are known: the first ones find everything cold.
FIRST_CALLS = 5
SHORT_CALL_S = 0.05

Outputs = dict[str, np.ndarray]


def unlike(agreement: Agreement | None) -> str | None:
    """Return why outputs have nothing to do with the model's, None where they have, or where that cannot be told."""
    if agreement is None or agreement.cosine_mean is None:
        return None
    cosine, alike = agreement.cosine_mean, agreement.top1_agreement
    # Values that no softmax has seen may point elsewhere and still have the same largest.
    if alike is not None and (alike >= UNLIKE_CLASSES or cosine >= UNLIKE_CLASSES_COSINE):
        return None
    if alike is None and cosine >= UNLIKE_COSINE:
        return None
    classes = "" if alike is None else f" and the same class of {percent(alike)}"
    return f"its answers have nothing to do with the model's: a mean cosine of {cosine:.2f}{classes} on {agreement.items} items"


class Comparison:
    """Compares variants of one plan with its baseline, whose outputs are computed once."""

    def __init__(self, plan: Plan, workers: Workers, folder: Path) -> None:
        self.plan = plan  # with the settings of screening cut down to the time there is, once that is known
        self.workers = workers
        self.folder = folder
        self.baseline = baseline_id(plan.facts)
        self._given = 0  # items of the user's data
        self._parts_of: tuple[int, int] | None = None  # items to measure quality on: the first, all that there is time for
        self.item_s: float | None = None  # of the user's data, by the baseline
        self._most_in_memory: int | None = None  # items whose answers there is room for, once one has been answered

    def with_agreement(self, variant: Variant) -> Variant:
        """Return the variant with its agreement on a few items; raise WorkerError if it fails, or gives what is not finite."""
        plan, load_s = self.plan, self.workers[variant.id][1].load_s
        if is_untrained(variant):
            return msgspec.structs.replace(variant, load_s=load_s)
        rows, compared = input_rows.read_npz(Path(plan.rows), "--inputs") if plan.rows else None, plan.screening.compared_items
        items = compared if rows is None else min(self._items(rows, plan.rows), 4 * compared)
        may_differ = variant.student is not None
        before, after = self._both(variant.id, plan.rows, items, plan.facts.at_sequence_length, may_differ=may_differ)
        if _differs(before, after):
            return msgspec.structs.replace(variant, load_s=load_s)
        masks = quality.masks_of(plan.facts.inputs, rows)
        masks = None if masks is None else masks[:items]
        self._check_lossless(variant, before, after)
        agreed = quality.agreement(plan.facts.outputs, before, after, masks, given=rows is not None)
        return msgspec.structs.replace(variant, load_s=load_s, agreement=agreed)

    def _check_lossless(self, variant: Variant, before: Outputs, after: Outputs) -> None:
        """Raise WorkerError if what should only reorder arithmetic changes the answers: nobody would look at its quality."""
        facts = self.plan.facts
        if not variant.lossless or facts.random_operators or facts.already_quantized:
            return
        for name, values in before.items():
            if values.dtype.kind == "f" and not quality.are_close(values, after[name], CHANGED_FRACTION):
                fault = f"changes the answers (output {name}), where it should only reorder arithmetic"
                raise WorkerError(fault, hint="serve the model as given")

    def quality(self, name: str, *, looks: int = 1, briefly: bool = False, may_differ: bool = False) -> QualityResult | None:
        """Return the quality of a variant on the user's data, None without data or metric.

        If a variant has lost too much on the first items alone, the result is of these; so it is with `briefly`. None, too, where there
        is no time for as many items as would say anything. With `may_differ` its outputs may have another width, as a student's may:
        what the user's own function makes of them is compared.
        """
        plan, metric, digest = self.plan, self.plan.settings.quality_metric, self.plan.settings.quality_data_sha256
        if plan.data is None or metric is None or digest is None or not self.can_judge:
            return None
        most = plan.settings.quality_max_drop
        result = None
        for items, part in self._parts():
            before, after = self._both(name, plan.data, items, None, may_differ=may_differ and plan.own_metric is not None)
            try:
                result = quality.quality(
                    metric,
                    plan.facts.outputs,
                    before,
                    after,
                    labels=quality.labels_of(part),
                    masks=quality.masks_of(plan.facts.inputs, part),
                    data_sha256=digest,
                    seed=plan.settings.seed,
                    rows=part,
                    inputs=plan.facts.inputs,
                    own=plan.own_metric,
                    looks=looks,
                )
            except AdvisorError as error:
                if items != self._most_items:  # a rare class may be missing among the first
                    continue
                raise WorkerError(error.fault, hint=error.hint) from error
            if briefly or (most is not None and result.drop.low > most):
                break
            if items == self._most_items and items < self._given:
                too_much = "much memory" if items == self._most_in_memory else "long"
                source = f"{result.drop.source}, of {self._given}: more would take too {too_much}"
                result = msgspec.structs.replace(result, drop=msgspec.structs.replace(result.drop, source=source))
        return result

    def check_metric(self) -> None:
        """Raise InputError if the metric cannot be computed for the baseline, before variants are made."""
        plan, metric = self.plan, self.plan.settings.quality_metric
        if plan.data is None or metric is None or not self.can_judge:
            return
        for items, part in self._parts():
            try:
                quality.check_outputs(
                    metric,
                    plan.facts.outputs,
                    output_file.read(self._before(plan.data, items, None)),
                    part,
                    plan.facts.inputs,
                    plan.own_metric,
                )
            except AdvisorError as error:
                if items != self._most_items:
                    continue
                if items == self._given:
                    raise InputError(error.fault, hint=error.hint) from error
                limit, way_out = ("memory", "") if items == self._most_in_memory else ("time", " or raise --budget,")
                raise InputError(
                    f"{error.fault}, on the first {items} of {self._given} items: there is no {limit} for more",
                    hint=f"put items of every class first,{way_out} or else {error.hint}",
                ) from error
            else:
                return

    @property
    def can_judge(self) -> bool:
        """Return whether there is data to measure quality on, and time for as many of its items as would say anything."""
        if self.plan.data is None or self._parts_of is not None:
            return self.plan.data is not None
        fewest_s = FEWEST_JUDGED_ITEMS * (self.item_s or 0.0)
        return fewest_s <= self.plan.screening.judging_s or self._count() <= FEWEST_JUDGED_ITEMS

    def _count(self) -> int:
        self._given = self._given or self._items(input_rows.read_npz(Path(str(self.plan.data)), "quality.data"), self.plan.data)
        return self._given

    @property
    def judging_s(self) -> float:
        """The seconds that judging a variant as fast as the baseline is expected to take."""
        return self._most_items * (self.item_s or 0.0) if self.can_judge else 0.0

    @property
    def _most_items(self) -> int:
        return self._sizes()[1]

    def _sizes(self) -> tuple[int, int]:
        """Return how many items to begin with, and how many at the most: as many as there is time for, by what is known of an item so far.

        The numbers stay once the baseline has answered: its outputs and those of all variants are of the same items.
        """
        if self._parts_of is not None:
            return self._parts_of
        count, screening = self._count(), self.plan.screening
        in_time = min(count, screening.judging_s / max(self.item_s or 0.0, 1e-9), self._most_in_memory or count)
        affordable = min(count, int(max(FEWEST_JUDGED_ITEMS, in_time)))
        if affordable == count < 2 * screening.first_items:
            return count, count
        return min(screening.first_items, affordable, max(FEWEST_JUDGED_ITEMS, affordable // 2)), affordable

    def _parts(self) -> Iterator[tuple[int, Outputs]]:
        """Yield how many of the user's items to measure quality on, and these: a few where that may be enough, then all."""
        plan = self.plan
        data, count = input_rows.read_npz(Path(str(plan.data)), "quality.data"), self._count()
        if self._parts_of is None:
            # The first item finds its session closed. What few take then says about how many there is time for; what more take, better.
            self._predict(self.baseline, plan.data, 1, None, self.folder / "first.npz")
            self._most_in_memory = _most_in_memory((self.folder / "first.npz").stat().st_size)
            self._before(plan.data, min(FEWEST_JUDGED_ITEMS, count), None)
            first, _ = self._sizes()
            self._before(plan.data, first, None)
            self._parts_of = (first, max(first, self._sizes()[1]))
        for items in sorted(set(self._parts_of)):
            yield items, {key: _first(plan, key, values, items, count) for key, values in data.items()}

    def _items(self, rows: Outputs, path: str | None) -> int:
        return input_rows.check_rows(self.plan.facts.inputs, rows, Path(str(path)))

    def _both(
        self, name: str, rows: str | None, items: int, length: int | None, *, may_differ: bool = False
    ) -> tuple[Outputs, Outputs]:
        """Return the outputs of the baseline and of the variant for the same items; raise WorkerError where they cannot be compared."""
        kept = self._before(rows, items, length)
        target = self.folder / "variant.npz"
        self._predict(name, rows, items, length, target)
        before, after = output_file.alike(
            output_file.read(kept), output_file.read(target), {output.name: output.shape for output in self.plan.facts.outputs}
        )
        for output, values in before.items():
            if output not in after:
                raise WorkerError(f"it does not give the output {output}", hint="use another scheme")
            if values.shape != after[output].shape and not (may_differ and values.shape[:-1] == after[output].shape[:-1]):
                fault = f"its output {output} has shape {list(after[output].shape)} where the baseline's has {list(values.shape)}"
                raise WorkerError(fault, hint="use another scheme")
        broken = quality.first_not_finite(before, after)
        if broken is not None:
            raise WorkerError(f"its output {broken} is not finite where the baseline's is", hint="use another scheme")
        return before, after

    def _before(self, rows: str | None, items: int, length: int | None) -> Path:
        """Return where the baseline's outputs for the items are."""
        kept = self.folder / f"baseline-{'data' if rows == self.plan.data and rows else 'rows'}-{items}.npz"
        if not kept.is_file():
            started = time.perf_counter()
            self._predict(self.baseline, rows, items, length, kept)
            if rows is not None and rows == self.plan.data:
                self.item_s = (time.perf_counter() - started) / items
        return kept

    def _predict(self, name: str, rows: str | None, items: int, length: int | None, target: Path) -> None:
        size = PREDICT_BATCH_SIZE if self.plan.facts.batching.possible else 1
        request = Predict(rows=rows, items=items, batch_size=size, sequence_length=length, target=str(target))
        self.workers[name][0].ask(request, Predicted, patience_s=PREDICT_PATIENCE_S)

    def first_call_s(self) -> float:
        """Return about how long a call of a single item takes the baseline on one thread."""
        once = self._call_s(self.baseline, 1, calls=1, warm_up_calls=0, at_least_s=0.0)
        if once > SHORT_CALL_S:
            return once
        return min(once, self._call_s(self.baseline, 1, calls=FIRST_CALLS, warm_up_calls=1, at_least_s=0.0))

    def _call_s(self, name: str, size: int, *, calls: int, warm_up_calls: int, at_least_s: float) -> float:
        lengths = self.plan.settings.sequence_lengths
        request = Time(
            batch_size=size,
            sequence_length=lengths[0] if lengths else self.plan.facts.at_sequence_length,
            intra_op_num_threads=1,
            instances=1,
            seconds=at_least_s,
            min_calls=calls,
            warm_up_calls=warm_up_calls,
        )
        return statistics.median(self.workers[name][0].ask(request, Timed).latency_s)

    def speeds(self, name: str, other: str | None = None) -> dict[int, list[float]]:
        """Return how many times faster than the other (the baseline) a variant is, by batch size, from a few short visits in turn."""
        plan, other = self.plan, other or self.baseline
        screening = plan.screening
        most = plan.settings.max_batch_size if plan.facts.batching.possible else 1
        found: dict[int, list[float]] = {}
        before = 0.0  # seconds of a call of the size before
        for size in sorted({min(size, most) for size in screening.look_batch_sizes}):
            is_long = before * size > screening.long_call_s
            for look in range(screening.long_looks if is_long else screening.looks):
                before, after = (
                    self._call_s(
                        who,
                        size,
                        calls=screening.long_look_calls if is_long else screening.look_calls,
                        warm_up_calls=1 if look == 0 or before <= screening.long_call_s else 0,
                        at_least_s=screening.look_s,
                    )
                    for who in (other, name)
                )
                found.setdefault(size, []).append(before / after)
            if before > min(screening.long_call_s, longest_call_s(plan)):
                break
        return found


def _differs(before: Outputs, after: Outputs) -> bool:
    """Return whether an output has another width than the baseline's: there is nothing to compare number by number."""
    return any(values.shape != after[name].shape for name, values in before.items())


def holds(settings: ProfileSettings, quality: QualityResult) -> tuple[bool, str]:
    """Return whether a variant lost no more than the workload allows, and the reason in words."""
    assert settings.quality_max_drop is not None
    return keeps_floor(quality, settings.quality_max_drop, settings.quality_max_slice_drop)


def is_hopeless(plan: Plan, speeds: dict[int, list[float]]) -> bool:
    """Return whether the variant was slower at every look, by more than two looks at equal things differ."""
    listed = [speed for looks in speeds.values() for speed in looks]
    limit = plan.screening.hopeless if len(listed) > 1 else min(plan.screening.hopeless, plan.screening.hopeless_at_one_look)
    return all(speed < limit for speed in listed)


def in_words(speeds: dict[int, list[float]]) -> str:
    """Describe the speeds for the report."""
    return ", ".join(f"{statistics.median(listed):.2f} times as fast at batch {size}" for size, listed in speeds.items())


def cost(speeds: dict[int, list[float]]) -> Estimate:
    """Return the seconds of a single item over those of the other, from how much faster it was."""
    logs = sorted(-math.log(speed) for speed in speeds[1])
    return Estimate(
        value=math.exp(statistics.median(logs)),
        low=math.exp(logs[0]),
        high=math.exp(logs[-1]),
        basis="measured",
        source=f"batch 1, 1 thread, {len(logs)} interleaved visits; the interval is their range",
    )


@contextlib.contextmanager
def comparing(plan: Plan, workers: Workers) -> Iterator[Comparison]:
    """Yield a comparison with a folder for the outputs."""
    with temporary.folder() as folder:
        yield Comparison(plan, workers, folder)


def _most_in_memory(item_bytes: int) -> int | None:
    """Return for how many items the answers of two files and what is computed of them fit in the memory; None where that is not known."""
    room = memory.available_bytes()
    return None if room is None else max(FEWEST_JUDGED_ITEMS, memory.most_for_one(room) // max(1, 2 * item_bytes))


def _first(plan: Plan, name: str, values: np.ndarray, items: int, count: int) -> np.ndarray:
    axis = input_rows.item_axes(plan.facts.inputs).get(name, 0)
    if axis is None or values.ndim <= axis or values.shape[axis] != count:
        return values
    return values.take(np.arange(items), axis=axis)
