"""The user's own functions, `module:function` in the workload file: the one door through which such code is loaded and run.

Only where that is allowed. What it raises, exits with or returns is an error of its own, which names the function and the line of their
file. What ends the process by itself, as `os._exit` does, ends advisor with it.
"""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from advisor.errors import AdvisorError, InputError

Made = TypeVar("Made")


def file_of(source: str, folder: Path) -> Path | None:
    """Return the file beside the workload file that holds `module:function`, None where there is none: it comes from elsewhere."""
    place = folder.joinpath(*source.partition(":")[0].split("."))
    return next((path for path in (place.with_name(f"{place.name}.py"), place / "__init__.py") if path.is_file()), None)


def not_allowed(source: str, folder: Path, key: str) -> InputError:
    """Return the refusal of code that nobody allowed."""
    file = file_of(source, folder)
    return InputError(
        f"{key}: {source} is code, which runs only where that is allowed",
        hint=f"read {file or 'it'}, then run the same command with --allow-code",
    )


def load(source: str, folder: Path, key: str, *, is_allowed: bool) -> Callable[..., object]:
    """Return the user's function `module:function`, the module looked for in `folder`, that of the workload file, first."""
    if not is_allowed:
        raise not_allowed(source, folder, key)
    module, _, name = source.partition(":")
    sys.path.insert(0, str(folder.resolve()))
    try:
        function = getattr(importlib.import_module(module), name, None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may raise whatever it likes while it is imported
        raise InputError(
            f"{key}: {module} cannot be imported ({_told(error)})", hint=f"put {module}.py beside the workload file"
        ) from error
    finally:
        sys.path.remove(str(folder.resolve()))
    if not callable(function):
        raise InputError(f"{key}: {module} has no function {name!r}", hint="name it as module:function")
    return function  # type: ignore[no-any-return]


def run(source: str, key: str, function: Callable[..., Made], *arguments: object) -> Made:
    """Return what the function gives; raise InputError for whatever it raises, and where it exits.

    `function` may be one of ours around that of the user, `source`.
    """
    try:
        return function(*arguments)
    except (KeyboardInterrupt, AdvisorError):
        raise
    except BaseException as error:  # see load
        raise InputError(f"{key}: {source} failed ({_told(error)})", hint="try calling the function on its own") from error


def figures(source: str, key: str, given: object) -> np.ndarray:
    """Return what a metric of the user's gave as an array of finite floats, of any shape."""
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{key}: {source} returned {type(given).__name__}, which is no figure",
            hint="return one score for each item, or one number",
        ) from None
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found.ravel()))[0])
        where = f" for item {place + 1}" if found.ndim else ""
        raise InputError(f"{key}: {source} returned {found.ravel()[place]:g}{where}", hint="return a finite score for every item")
    return found


def _told(error: BaseException) -> str:
    """Return the kind of an exception, what it says, and where in the user's code it was raised."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  whoever wrote the exception wrote how it reads
        said = ""
    place = _place(error)
    return f"{type(error).__name__}: {said}{'; ' if place else ''}{place}"


def _place(error: BaseException) -> str:
    """Return the last line that was run of files outside of advisor, Python and the packages it has; empty where there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(name, line) for name, line in frames if _is_users(name)]
    return f"{own[-1][0]}, line {own[-1][1]}" if own else ""


def _is_users(file: str) -> bool:
    path, ours = Path(file), Path(__file__).parents[2]
    installed = {Path(np.__file__).parents[1], Path(traceback.__file__).parent}
    return path.suffix == ".py" and not any(path.is_relative_to(folder) for folder in (ours, *installed))
