"""A table of published measurements -> the figures of predicting them: leaving one model out, or with what is shipped."""

import statistics
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from advisor.decide.generation.elsewhere.space import Precisions, cache_tokens
from advisor.decide.generation.projection.memory import splits
from advisor.decide.generation.projection.step_model import StepModel
from advisor.errors import InputError
from advisor.files.kernel_tables import read_kernel_tables
from advisor.measure.architecture.config import read_architecture
from advisor.schema.kernels import KernelTables
from advisor.schema.language import Architecture
from fit_generation import fit
from harness import Figures, Size, Unknown
from parts.generation_elsewhere import (
    Judged,
    Served,
    by_source,
    counted,
    figures_of,
    judge,
    leaving_one_model_out,
    left_out_lines,
    table,
)
from parts.generation_rows import CONFIGS, LeftOut, Run, config_files, usable_runs
from parts.generation_runs import budget_of
from parts.generation_speculation import judge_speculation
from parts.validation_rows import read_rows

EVERY: dict[Size, int] = {"full": 1, "quick": 5, "tiny": 40}  # of so many rows one is taken


class Places:
    """The steps of the models of runs on their devices, each made once."""

    def __init__(self, folders: Iterable[Path], tables: KernelTables) -> None:
        """`folders` hold configurations, beside those that come with the benchmarks."""
        self._paths, self._tables = config_files([CONFIGS, *folders]), tables
        self._architecture = cache(self._read)
        self._served: dict[tuple[str, ...], Served] = {}

    def __call__(self, run: Run) -> Served:
        """Return the steps of a run; raise AdvisorError where there are none."""
        key = (run.model, run.device, str(run.tensor_parallel), run.weights, run.kv, run.engine)
        if key not in self._served:
            self._served[key] = self._place(run)
        return self._served[key]

    def _read(self, model: str) -> Architecture:
        if model not in self._paths:
            raise InputError(f"{model}: its configuration is not known", hint="give a folder that has it as --configs")
        return read_architecture(self._paths[model])

    def _place(self, run: Run) -> Served:
        architecture, hardware, degree = self._architecture(run.model), run.hardware, run.tensor_parallel
        if hardware is None or hardware.memory_bytes is None:
            raise InputError(f"{run.device}: a device without a size of its memory", hint="name a device of the catalog")
        if why := splits(architecture, degree):
            raise InputError(f"{run.model}: {why}", hint="take another degree")
        steps = StepModel(
            *(architecture, hardware),
            tensor_parallel=degree,
            weights=run.weights,
            kv=run.kv,
            tables=self._tables,
            engine=run.engine,
        )
        kind = Precisions(run.weights, run.kv)
        return Served(steps, cache_tokens(architecture, hardware, degree, kind, budget_of(run)))


def published(path: Path, folders: Sequence[Path], size: Size, *, leave_out: bool) -> tuple[Figures, dict[str, Any]]:
    """Return figures and tables, and print them.

    With `leave_out` the runs of each model are judged by what is fitted on those of all others, else by what is shipped.
    """
    runs, left_out = usable_runs(read_rows(path)[:: EVERY[size]])
    sweeps = [run for run in runs if run.kind == "speculation"]
    placed = [run for run in runs if run.kind != "speculation"]
    tables = read_kernel_tables()
    if leave_out:
        judged, without = leaving_one_model_out(placed, partial(_fitted, folders, tables))
    else:
        judged, without = judge(placed, Places(folders, tables))
    drafted, past = judge_speculation(sweeps)
    left_out += [*without, *past]
    return _told(path, judged, drafted, left_out, leave_out=leave_out)


def _fitted(folders: Sequence[Path], tables: KernelTables, runs: Sequence[Run]) -> Places:
    return Places(folders, tables._replace(model=fit(runs, Places(folders, tables), tables)))


def _told(
    path: Path, judged: list[Judged], drafted: list[Judged], left_out: list[LeftOut], *, leave_out: bool
) -> tuple[Figures, dict[str, Any]]:
    sources = by_source([*judged, *drafted])
    print(f"{path}, {'each model by what is fitted on the others' if leave_out else 'with the fit that is shipped'}")
    print(table(sources))
    for line in left_out_lines(left_out):
        print(f"left out: {line}")
    figures = figures_of(judged)
    errors = [each.error for each in counted(drafted)]
    figures["speculation_error_median"] = statistics.median(errors) if errors else Unknown("no sweep over drafts was judged")
    figures["rows_left_out"] = len(left_out)
    rows = [each.table_row() for each in (*judged, *drafted)]
    return figures, {"sources": sources, "judged": rows, "left_out": [entry._asdict() for entry in left_out]}
