"""One case: a command and the files that it is given; what was seen of it, and what of that counts against the advisor."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from advisor.errors import ExitStatus

# A command may say these before it ends: what a user should know first, and how far it has come.
OWN_LINES = re.compile(r"note: |advisor: ")
DOCUMENTED = {int(status) for status in ExitStatus} - {int(ExitStatus.FAULT)}
TRACEBACK = "Traceback (most recent call last)"
OURS = re.compile(r'File ".*?advisor/([\w/]+\.py)", line \d+, in (\S+)')
LONGEST = 20_000  # of what a command wrote, in characters


class Case(NamedTuple):
    """What a command is called with in a folder of its own; only `changing` of its files may be another afterwards."""

    kind: str
    arguments: tuple[str, ...]
    files: dict[str, bytes]
    changing: frozenset[str] = frozenset()

    @property
    def size_bytes(self) -> int:
        """The bytes of its files."""
        return sum(map(len, self.files.values()))


class Seen(NamedTuple):
    """How a case went."""

    status: int  # below 0: the number of the signal that ended it
    seconds: float
    peak_bytes: int  # of the largest of its processes
    stdout: str
    stderr: str
    fault: str = ""  # the traceback that the advisor itself kept
    is_hung: bool = False
    is_over_memory: bool = False
    changed: tuple[str, ...] = ()  # files that it was given
    leftovers: tuple[str, ...] = ()  # of its temporary files
    orphans: int = 0


class Finding(NamedTuple):
    """What counts against the advisor in one case: the key of the figure that it is counted under, and in short what it is."""

    what: str
    detail: str


def findings(seen: Seen) -> Iterator[Finding]:
    """Yield all that counts; what follows from being ended by us is not counted again."""
    if seen.is_hung:
        yield Finding("hangs", f"no end after {seen.seconds:.0f} s")
    if seen.is_over_memory:
        yield Finding("over_memory", f"{seen.peak_bytes / 2**30:.1f} GiB")
    if seen.is_hung or seen.is_over_memory:
        return
    if seen.status < 0:
        yield Finding("crashes", f"signal {-seen.status}")
    elif TRACEBACK in seen.fault + seen.stderr + seen.stdout:
        yield Finding("tracebacks", _place(seen.fault or seen.stderr or seen.stdout))
    elif seen.status not in DOCUMENTED:
        yield Finding("undocumented_statuses", f"status {seen.status}: {seen.stderr[-200:]!r}")
    elif (wrong := _wrong_lines(seen)) is not None:
        yield Finding("wrong_stderr", wrong)
    if seen.changed:
        yield Finding("changed_inputs", ", ".join(seen.changed))
    if seen.leftovers:
        yield Finding("leftovers", ", ".join(re.sub(r"-[^-]*$", "", name) for name in seen.leftovers))
    if seen.orphans:
        yield Finding("orphans", f"{seen.orphans} alive")


FIGURES = (
    *("tracebacks", "hangs", "over_memory", "crashes"),
    *("undocumented_statuses", "wrong_stderr", "changed_inputs", "leftovers", "orphans"),
)


def _wrong_lines(seen: Seen) -> str | None:
    """Return what does not belong on stderr: of wrong input the error and the hint end it, before them stands only what is ours."""
    lines = seen.stderr.splitlines()
    if seen.status == ExitStatus.WRONG_INPUT:
        lines, end = lines[:-2], lines[-2:]
        if len(end) < 2 or not end[0].startswith("error: ") or not end[1].startswith("hint: "):
            return f"status 2 ends with {end!r}"[:300]
    foreign = next((line for line in lines if not OWN_LINES.match(line)), None)
    return None if foreign is None else f"{foreign[:300]!r}"


def _place(text: str) -> str:
    """Return the kind of a traceback: what was raised, and the last function of ours that it went through."""
    last = next((line for line in reversed(text.splitlines()) if line and not line.startswith((" ", "hint: "))), "")
    places = OURS.findall(text)
    where = f"{places[-1][0]}:{places[-1][1]}" if places else "outside"
    return f"{last.partition(':')[0]} in {where}"


def keep(case: Case, seen: Seen, path: Path) -> None:
    """Write the case with what was seen of it; `kept` reads it."""
    told = {"kind": case.kind, "arguments": case.arguments, "changing": sorted(case.changing), "seen": seen._asdict()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("case.json", json.dumps(told, indent=1))
        for name, content in case.files.items():
            archive.writestr(f"files/{name}", content)


def kept(path: Path) -> Case:
    """Return the case that `keep` wrote."""
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("case.json"))
        names = [name for name in archive.namelist() if name.startswith("files/")]
        files = {name.removeprefix("files/"): archive.read(name) for name in names}
    return Case(told["kind"], tuple(told["arguments"]), files, frozenset(told["changing"]))
