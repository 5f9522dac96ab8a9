"""Files as damage or ill will leaves them: one value of a record in the place of another, and bytes that are no record at all."""

import contextlib
import copy
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import strategies as st

from advisor import cli
from advisor.schema.profile import Calibration, NoiseFloor, Power, Profile, Stalls
from advisor.schema.record import Estimate
from tests.profiles import UNSTEADY, drop_of, power_law, profile, variant, with_site

# What a value is replaced by: other types, the ends of ranges, texts of all kinds.
VALUES = (
    *(None, True, 0, -1, 1, 3, 0.5, 1e308, -1e308, 1e-320, 1e15, 2**53 + 1, 2**70, -(2**70)),
    *("", "x", "local", "fp32", "2026-13-45", "nan", "a\nb\x1b[31m\u202e", "../..", "module:function"),
    *([], {}, [0], [None], {"x": 0}),
)
LONGEST = 4  # entries of a list that are tried: its first and its last
# Instead of the file's own bytes, made of them.
BYTES = {
    "cut short": lambda content: content[: len(content) // 2],
    "with a byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "in UTF-16": lambda content: content.decode().encode("utf-16"),
    "empty": lambda _: b"",
    "zeros": lambda content: b"\0" * len(content),
    "nested too deep": lambda content: content[:-3] + b',"x":' + b"[" * 100_000,
    "a number beyond all floats": lambda content: content.replace(b'"measuring_s": 1.0', b'"measuring_s": 1e999'),
    "no number": lambda content: content.replace(b": 1.0", b": NaN", 1),
    "a number of thousands of digits": lambda content: content.replace(b": 1.0", b": " + b"9" * 5000, 1),
    "half a character": lambda content: content.replace(b'"a test"', b'"\\ud800"'),
    "bytes that are no text": lambda content: content.replace(b'"a test"', b'"\xff\xfe"'),
    "a key given twice": lambda content: content.replace(b'"sites": ', b'"sites": [], "sites": ', 1),
}


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=0.9 * value, high=1.1 * value, basis="measured", source="a test")


def calibration(threads: int = 1) -> Calibration:
    return Calibration(
        variant="fp32",
        intra_op_num_threads=threads,
        instances=1,
        call_ratio=estimate(1.05),
        call_lengths_s=(0.004, 0.02),
        call_factors=(1.1, 1.0),
        per_batch_s=estimate(1e-4),
        per_request_s=estimate(1e-5),
        wake_s=estimate(5e-5),
        timer_late_s=estimate(1e-4),
        transit_s=(1e-5, 3e-5, 2e-5),
        spread=(0.95, 1.0, 1.1),
        batches=300,
    )


def measured() -> Profile:
    """Return a profile with something in every field."""
    made = profile(
        power_law(0.004, batch=0.9),
        variants=(variant(), variant("int8", lossless=False, quality=drop_of(0.001, 0.005))),
        batch_sizes=(1, 4),
        settings=((1, 1), (2, 1)),
        calls=UNSTEADY,
        visits=(0.98, 1.0, 1.03),
        noise_fraction=0.02,
    )
    first, *others = made.sites[0].measurements
    visits = tuple(
        msgspec.structs.replace(
            visit,
            run_delay_s=0.5 * sum(visit.latency_s),
            waited_s=tuple(0.3 * latency for latency in visit.latency_s),
            throttled_s=0.0,
            steal_s=0.0,
            core_hop_s=1e-7,
            involuntary_switches=3,
        )
        for visit in first.visits
    )
    floor = NoiseFloor(
        intra_op_num_threads=1,
        instances=1,
        fraction=0.02,
        between_visits=0.01,
        visit_freedom=8.0,
        between_processes=0.01,
        process_freedom=3.0,
    )
    return with_site(
        made,
        measurements=(msgspec.structs.replace(first, visits=visits), *others),
        noise_floors=(floor,),
        calibrations=(calibration(),),
        trial=calibration(2),
        power=Power(watts=estimate(40.0), meter="RAPL"),
        stalls=(Stalls(watched_s=60.0, gaps_s=(0.002, 0.004), shortest_s=0.0002),),
    )


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value of a tree; of a long list to those in its first and last entries."""
    if isinstance(tree, dict):
        entries: list[tuple[str | int, Any]] = list(tree.items())
    elif isinstance(tree, list):
        entries = [*enumerate(tree)] if len(tree) <= LONGEST else [(0, tree[0]), (len(tree) - 1, tree[-1])]
    else:
        return
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def with_value(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the tree with another value at the end of the way."""
    made = copy.deepcopy(tree)
    at(made, path[:-1])[path[-1]] = value
    return made


def without(tree: Any, path: tuple[str | int, ...]) -> Any:
    made = copy.deepcopy(tree)
    del at(made, path[:-1])[path[-1]]
    return made


@st.composite
def damaged(draw: st.DrawFn, tree: Any) -> Any:
    """Draw a tree in which one thing is not as it was."""
    path = draw(st.sampled_from([*places(tree)]))
    value = at(tree, path)
    choices = [st.just(without(tree, path)), st.sampled_from(VALUES).map(lambda other: with_value(tree, path, other))]
    if isinstance(value, list) and value:
        others = ([*value, value[-1]], value[1:], value[::-1], value * 2)
        choices.append(st.sampled_from(others).map(lambda other: with_value(tree, path, other)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        choices.append(st.sampled_from((-value, value * 1e6, value * 1e-6, value + 1)).map(lambda n: with_value(tree, path, n)))
    return draw(st.one_of(choices))


def ended(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """Run a command in this process, in a folder; return its exit status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["advisor", *map(str, arguments)]),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("the command did not end")


def is_refusal(status: int, err: str) -> bool:
    """Return whether the command refused its input as it refuses everything: in two lines, besides what a user should know first."""
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    return status == 2 and [line.partition(":")[0] for line in lines] == ["error", "hint"]
