"""A table of published measurements -> the figures of predicting them: leaving one model out, or with what is shipped."""

import csv
import statistics
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from advisor.decide.generation.elsewhere.space import free_bytes
from advisor.decide.generation.projection.memory import kv_bytes_per_token, splits, weight_bytes_per_device
from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.errors import InputError
from advisor.files.kernel_tables import read_kernel_tables
from advisor.measure.architecture.config import read_architecture
from advisor.schema.arrays.kernels import KernelTables
from advisor.schema.language import Architecture
from fit_generation import points
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
from parts.host_fit import errors_of, fitted, held_back
from parts.validation_rows import read_rows

EVERY: dict[Size, int] = {"full": 1, "quick": 5, "tiny": 150}  # of so many rows one is taken


class Places:
    """The steps of the models of runs on their devices, each made once."""

    def __init__(self, folders: Iterable[Path], tables: KernelTables) -> None:
        """`folders` hold configurations, beside those that come with the benchmarks."""
        self._paths, self._foundations = config_files([CONFIGS, *folders]), Foundations(tables)
        self._architecture = cache(self._read)
        self._steps: dict[tuple[str, ...], StepModel] = {}

    def __call__(self, run: Run) -> Served:
        """Return the steps of a run, and what the cache holds; raise AdvisorError where there are none."""
        key = (run.model, run.device, str(run.tensor_parallel), run.weights, run.kv, run.engine)
        if key not in self._steps:
            self._steps[key] = self._made(run)
        longest = self._architecture(run.model).context_tokens
        if run.input_tokens + run.output_tokens > longest:
            raise InputError(f"{run.model}: prompt and answer are longer than its context", hint=f"it has {longest:,} tokens")
        return Served(self._steps[key], self._cache_tokens(run))

    def _read(self, model: str) -> Architecture:
        if model not in self._paths:
            raise InputError(f"{model}: its configuration is not known", hint="give a folder that has it as --configs")
        return read_architecture(self._paths[model])

    def _made(self, run: Run) -> StepModel:
        architecture, hardware, degree = self._architecture(run.model), run.hardware, run.tensor_parallel
        if hardware is None or hardware.memory_bytes is None:
            raise InputError(f"{run.device}: a device without a size of its memory", hint="name a device of the catalog")
        if why := splits(architecture, degree):
            raise InputError(f"{run.model}: {why}", hint="take another degree")
        return StepModel(
            *(architecture, hardware),
            tensor_parallel=degree,
            weights=run.weights,
            kv=run.kv,
            foundations=self._foundations,
            engine=run.engine,
        )

    def _cache_tokens(self, run: Run) -> int:
        """Return for how many tokens of keys and values a replica has memory, below 0 where not even its weights fit."""
        architecture, degree = self._architecture(run.model), run.tensor_parallel
        assert run.hardware is not None
        free = free_bytes(architecture, run.hardware, degree, budget_of(run)) - weight_bytes_per_device(
            architecture, run.weights, degree
        )
        context = run.input_tokens + run.output_tokens
        return int(free // kv_bytes_per_token(architecture, run.kv, degree, context_tokens=context)[1])


def published(path: Path, folders: Sequence[Path], size: Size, *, leave_out: bool) -> tuple[Figures, dict[str, Any]]:
    """Return figures and tables, and print them.

    With `leave_out` the runs of each model are judged by what is fitted on those of all others, else by what is shipped.
    """
    try:
        rows = read_rows(path)
    except (OSError, EOFError, UnicodeError, csv.Error, zlib.error) as error:
        raise SystemExit(
            f"error: {path}: no table of rows: {error}\nhint: give a CSV with a header, as it is or gzipped"
        ) from error
    runs, left_out = usable_runs(rows[:: EVERY[size]])
    sweeps = [run for run in runs if run.kind == "speculation"]
    placed = [run for run in runs if run.kind != "speculation"]
    tables = read_kernel_tables()
    if leave_out:
        judged, without = leaving_one_model_out(placed, Refitted(folders, tables, placed))
    else:
        judged, without = judge(placed, Places(folders, tables))
    drafted, past = judge_speculation(sweeps)
    left_out += [*without, *past]
    return _told(path, judged, drafted, left_out, leave_out=leave_out)


class Refitted:
    """What engines add and how far off it is, fitted anew without a model: the same fit as the shipped one."""

    def __init__(self, folders: Sequence[Path], tables: KernelTables, runs: Sequence[Run]) -> None:
        self._folders, self._tables = folders, tables
        configs = config_files([CONFIGS, *folders])
        self._points = points(runs, configs, tables)
        self._held = held_back(self._points)

    def __call__(self, runs: Sequence[Run]) -> Places:
        """Return the places of what is fitted on the models of these runs."""
        models = {run.model for run in runs}
        model = msgspec.structs.replace(
            self._tables.model,
            hosts=fitted([point for point in self._points if point.model in models]),
            errors=errors_of([each for each in self._held if each.point.model in models]),
        )
        return Places(self._folders, self._tables._replace(model=model))


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
    figures["rows_judged"] = len({each.row for each in (*judged, *drafted)})
    figures["rows_left_out"] = len(left_out)
    rows = [each.table_row() for each in (*judged, *drafted)]
    return figures, {"sources": sources, "judged": rows, "left_out": [entry._asdict() for entry in left_out]}
