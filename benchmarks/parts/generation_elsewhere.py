"""Predictions of language models on hardware that is not here, beside what was published of the same runs.

Errors are absolute, over the published figure. A row counts once for each of its figures: the mean where it is published, else the median.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from advisor.errors import AdvisorError
from harness import Figures, Unknown, middle
from parts.generation_rows import Figure, LeftOut, Run
from parts.generation_runs import Steps, TooSmall, predicted
from parts.ranks import spearman

FIGURES: tuple[Figure, ...] = ("itl", "ttft", "e2e", "tokens")
TITLES = {"itl": "ITL", "ttft": "TTFT", "e2e": "E2E", "tokens": "tokens/s"}
SERVED, BATCHED = ("open", "closed"), ("static",)
MIN_DEVICES = 3
NO_ROWS = "no row was judged that has it"


class Served(NamedTuple):
    """The steps of a model on a device, and how many tokens its cache holds there."""

    steps: Steps
    kv_tokens: int


# Raises AdvisorError where the model is not modelled, or the device has no ground.
Place = Callable[[Run], Served]


class Judged(NamedTuple):
    """One figure of a row, predicted and published."""

    row: str
    source: str
    kind: str
    engine: str
    model: str
    device: str
    ground: str
    alike: tuple[object, ...]
    figure: Figure
    quantile: float | None
    said: float
    low: float
    high: float
    true: float

    @property
    def error(self) -> float:
        return abs(self.said / self.true - 1)

    @property
    def is_covered(self) -> bool:
        return self.low <= self.true <= self.high

    def table_row(self) -> dict[str, Any]:
        return {name: value for name, value in self._asdict().items() if name != "alike"}


def judge(runs: Iterable[Run], place: Place) -> tuple[list[Judged], list[LeftOut]]:
    """Return every published figure of the runs beside what is predicted, and the runs that were not."""
    judged, left_out = [], []
    for run in runs:
        try:
            served = place(run)
            found = predicted(run, served.steps, served.kv_tokens)
        except (AdvisorError, TooSmall) as error:
            left_out.append(LeftOut(run.row, run.source, str(error).partition("\n")[0]))
            continue
        for figure, quantile, true in run.measured:
            if (said := found.get((figure, quantile))) is not None:
                judged.append(
                    Judged(
                        *(run.row, run.source, run.kind, run.engine, run.model, run.device, served.steps.ground, run.alike),
                        *(figure, quantile, said.value, said.low, said.high, true),
                    )
                )
    return judged, left_out


def leaving_one_model_out(runs: Sequence[Run], fitted: Callable[[Sequence[Run]], Place]) -> tuple[list[Judged], list[LeftOut]]:
    """Return the runs of each model judged by what is fitted on those of all others."""
    judged: list[Judged] = []
    left_out: list[LeftOut] = []
    for model in sorted({run.model for run in runs}):
        place = fitted([run for run in runs if run.model != model])
        of_model, without = judge([run for run in runs if run.model == model], place)
        judged += of_model
        left_out += without
    return judged, left_out


# --- figures -----------------------------------------------------------------------------------------------------------------------


def counted(judged: Iterable[Judged]) -> list[Judged]:
    """Return one entry for each figure of a row: the mean where it is published, else the median."""
    found: dict[tuple[str, str], Judged] = {}
    for entry in judged:
        key = (entry.row, entry.figure)
        if entry.quantile is None or (entry.quantile == 0.5 and key not in found):
            found[key] = entry
    return list(found.values())


def figures_of(judged: Sequence[Judged]) -> Figures:
    """Return the figures that count: times of what was served, tokens a second of batches (of what was served where no batch is)."""
    entries = counted(judged)
    times = {figure: [each.error for each in entries if each.figure == figure and each.kind in SERVED] for figure in FIGURES}
    batches = [each.error for each in entries if each.figure == "tokens" and each.kind in BATCHED]
    rank = rank_over_devices(entries)
    found: Figures = {
        "itl_error_median": middle(times["itl"], without=NO_ROWS),
        "itl_error_p90": float(np.quantile(times["itl"], 0.9)) if times["itl"] else Unknown(NO_ROWS),
        "ttft_error_median": middle(times["ttft"], without=NO_ROWS),
        "e2e_error_median": middle(times["e2e"], without=NO_ROWS),
        "tokens_error_median": middle(batches or times["tokens"], without=NO_ROWS),
        "rank_correlation": Unknown(f"no run was made on {MIN_DEVICES} devices") if rank is None else rank,
        "coverage": statistics.fmean(each.is_covered for each in entries) if entries else Unknown(NO_ROWS),
    }
    return found


def rank_over_devices(entries: Iterable[Judged]) -> float | None:
    """Return the mean of Spearman's over runs that differ by their device alone; None where none was made on devices enough."""
    together: dict[tuple[object, ...], dict[str, Judged]] = defaultdict(dict)
    for each in entries:
        together[each.figure, *each.alike][each.device] = each
    found = [
        spearman(np.array([each.said for each in of.values()]), np.array([each.true for each in of.values()]))
        for of in together.values()
        if len(of) >= MIN_DEVICES
    ]
    known = [correlation for correlation in found if correlation is not None]
    return statistics.fmean(known) if known else None


def by_source(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Return the figures of each source and engine, and of each device there."""
    found = {}
    for source, entries in _grouped(judged, lambda each: f"{each.source} {each.engine}").items():
        devices = _grouped(entries, lambda each: each.device)
        found[source] = summary(entries) | {"devices": {name: summary(of) for name, of in devices.items()}}
    return found


def summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return rows, errors of each figure with its bias, errors of the tails, and the coverage."""
    entries = counted(judged)
    found: dict[str, Any] = {
        "rows": len({each.row for each in judged}),
        "models": len({each.model for each in judged}),
        "grounds": dict(Counter(each.ground for each in entries)),
    }
    for figure in FIGURES:
        of = [each for each in entries if each.figure == figure]
        if of:
            errors = [each.error for each in of]
            found[figure] = {
                "rows": len(of),
                "error_median": statistics.median(errors),
                "error_mean": statistics.fmean(errors),
                "error_p90": float(np.quantile(errors, 0.9)),
                "bias_median": statistics.median(each.said / each.true - 1 for each in of),
                "coverage": statistics.fmean(each.is_covered for each in of),
            }
    for quantile in (0.9, 0.99):
        for figure in FIGURES:
            tails = [each.error for each in judged if (each.figure, each.quantile) == (figure, quantile)]
            if tails:
                found[f"{figure}_p{quantile * 100:.0f}"] = {"rows": len(tails), "error_median": statistics.median(tails)}
    found["coverage"] = statistics.fmean(each.is_covered for each in entries) if entries else None
    return found


def _grouped(judged: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        found[key(each)].append(each)
    return dict(sorted(found.items()))


# --- what is printed ---------------------------------------------------------------------------------------------------------------


def table(sources: dict[str, dict[str, Any]]) -> str:
    """Return a line for each source and figure, and for each device under it: rows, median, mean and p90 of the error, coverage."""
    lines = [f"{'source, device':58} {'figure':8} {'rows':>5} {'median':>7} {'mean':>7} {'p90':>7} {'bias':>7} {'covered':>7}"]
    for source, figures in sources.items():
        lines += _lines(source, figures)
        if len(figures["devices"]) > 1:
            for device, of in figures["devices"].items():
                lines += _lines(f"    {device}", of)
    return "\n".join(lines)


def _lines(name: str, figures: dict[str, Any]) -> list[str]:
    return [
        f"{name[:58]:58} {TITLES[figure]:8} {of['rows']:5d} {of['error_median']:7.1%} {of['error_mean']:7.1%} {of['error_p90']:7.1%} "
        f"{of['bias_median']:+7.1%} {of['coverage']:7.0%}"
        for figure in FIGURES
        if (of := figures.get(figure)) is not None
    ]


def left_out_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """Return how many rows of each source were left out for each reason, the most first."""
    counts = Counter((entry.source, entry.reason) for entry in left_out)
    return [f"{count} rows of {source}: {reason}" for (source, reason), count in counts.most_common()]
