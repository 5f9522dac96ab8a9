"""What lies beside a profile under its name: the journal, and the folder of variants, in which all is advisor's own."""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from advisor.disk.kinds import PROFILE
from advisor.disk.writing import ANOTHER, WRITABLE, check_output, is_stream
from advisor.errors import InputError
from advisor.schema.options import ProfileOptions

MARK = ".serving-advisor"
MOVE = "move it away, or name another file with -o"
JOURNAL_HEAD = b'{"type":"Key","digest":"'  # how the first line of every journal begins
JOURNAL_LINE = re.compile(rb',"crc":"[0-9a-f]{8}"\}\n')  # how every other ends: the first may be damaged


def check_places(model: Path, output: Path, options: ProfileOptions) -> None:
    """Raise InputError where a profile or its journal would take the place of anything but an older one, or of an input."""
    students = map(Path, options.students)
    given = (model, options.workload, options.inputs, options.draft, *options.variants, *students)
    inputs = tuple(path for path in given if path is not None)
    check_output(output, PROFILE, inputs=inputs)
    if is_stream(output):
        raise InputError(f"{output}: not a file, and the variants of a profile have to lie beside it", hint=ANOTHER)
    check_journal(output.with_suffix(".journal"), inputs=inputs)


def check_journal(journal: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Raise InputError where an input or something else than a journal of ours lies, be ours whole or cut short."""
    try:
        mode = journal.stat().st_mode
        if stat.S_ISFIFO(mode):
            raise InputError(f"{journal}: a pipe, and the journal has to lie there", hint=MOVE)
        is_ours = True
        if stat.S_ISREG(mode):
            with journal.open("rb") as file:
                is_ours = JOURNAL_HEAD.startswith(file.read(len(JOURNAL_HEAD))) or any(map(JOURNAL_LINE.search, file))
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{journal}: cannot write there ({error.strerror})", hint=WRITABLE) from error
    if not is_ours:
        raise InputError(f"{journal}: not a journal of advisor, which has to lie there", hint=MOVE)
    if any(path.exists() and path.samefile(journal) for path in inputs):
        raise InputError(f"{journal}: is an input of this command, and the journal has to lie there", hint=ANOTHER)


@contextlib.contextmanager
def owned(folder: Path, *, inputs: Iterable[Path] = (), what: str = "variants") -> Iterator[None]:
    """Make the folder ours while the body runs; removed afterwards if nothing came to lie in it. `what` lies there.

    Raises InputError where there is something at its place that advisor did not make, and for inputs in it, which would be overwritten.
    """
    try:
        _check_folder(folder, inputs, what)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror})", hint=WRITABLE) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.listdir(folder) == [MARK]:
                (folder / MARK).unlink()
                folder.rmdir()


def _check_folder(folder: Path, inputs: Iterable[Path], what: str) -> None:
    is_there = os.path.lexists(folder)
    if is_there and not folder.is_dir():
        raise InputError(f"{folder}: not a folder, where {what} would lie", hint=MOVE)
    if is_there and not (folder / MARK).is_file() and os.listdir(folder):
        raise InputError(f"{folder}: a folder that advisor did not make, where {what} would lie", hint=MOVE)
    for given in inputs:
        if given.exists() and given.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{given}: lies in {folder}, where {what} are written", hint=MOVE)
