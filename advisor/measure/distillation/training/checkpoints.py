"""Checkpoints of a training: each is marked once it is whole, and one that is not is never gone on from."""

import re
import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from advisor.disk.writing import write_atomically
from advisor.schema.record import Count, Record, Seconds, Whole

NAME = re.compile(r"checkpoint-(?P<step>[0-9]+)")  # as transformers' Trainer calls them
MARK = "whole.json"
PLAN = "plan.json"

R = TypeVar("R", bound=Record)


class Mark(Record, frozen=True, kw_only=True):
    """What is known of a checkpoint: its step, and the seconds of training until then."""

    step: Whole
    seconds: Seconds


class Plan(Record, frozen=True, kw_only=True):
    """What a training set out to do, which one that goes on does as well: the question, and what was found out for it."""

    recipe: str
    steps: Count
    batch_size: Count
    longest: Count  # tokens of a text; what is beyond is cut
    threads: Count
    watched: Count  # texts held out that the curve is of


def mark_whole(checkpoint: Path, step: int, seconds: float) -> None:
    """Mark a checkpoint as whole."""
    write_atomically(checkpoint / MARK, msgspec.json.encode(Mark(step=step, seconds=seconds)))


def mark_of(checkpoint: Path) -> Mark | None:
    """Return what is known of a checkpoint, None if it is not whole."""
    return _read(checkpoint / MARK, Mark)


def last_whole(folder: Path) -> tuple[Path, Mark] | None:
    """Return the latest whole checkpoint in a folder, None where there is none."""
    found = [(path, mark) for path in _all(folder) if (mark := mark_of(path)) is not None]
    return max(found, key=lambda entry: entry[1].step, default=None)


def remove_broken(folder: Path) -> None:
    """Remove the checkpoints that were not written to their end."""
    for path in _all(folder):
        if mark_of(path) is None:
            shutil.rmtree(path)


def write_plan(folder: Path, plan: Plan) -> None:
    """Write what is set out to be done."""
    write_atomically(folder / PLAN, msgspec.json.encode(plan))


def read_plan(folder: Path) -> Plan | None:
    """Return what was set out to be done, None where nothing was, or it cannot be read."""
    return _read(folder / PLAN, Plan)


def _all(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.is_dir() and NAME.fullmatch(path.name)]


def _read(path: Path, kind: type[R]) -> R | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
