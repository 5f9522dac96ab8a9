"""The few ways in which advisor refuses to go on, each with a way out for the user; and what each exit status of a command means."""

from enum import IntEnum
from functools import partial
from typing import Any


class ExitStatus(IntEnum):
    """How a command ended, for what called it.

    Beside these, what is usual: 128 and the number of the signal that ended it (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP), 141 where the reader
    of its output went away. A stream that is closed from the start is taken as /dev/null, and standard error may be lost without a word.
    """

    ADVICE = 0  # found, or whatever else was asked for; every limit of a policy is kept; in production the advice still holds
    INFEASIBLE = 1  # shown: nothing meets the target, or a limit of a policy is broken
    WRONG_INPUT = 2
    INCONCLUSIVE = 3  # the answer is not known well enough
    MISSED = 4  # the target, in a load test of the recommendation
    NOT_VALID = 5  # the load test of the recommendation: the generator was late, or there was none
    ADVISE_AGAIN = 6  # production has other traffic than the advice is for; what was measured still holds
    MEASURE_AGAIN = 7  # production is not what was measured
    EXPIRED = 8  # production is as promised, but prices are too old
    FAULT = 70  # of advisor itself; EX_SOFTWARE of sysexits.h
    NOT_PRINTED = 74  # standard output could not be written: a full disk; EX_IOERR


class AdvisorError(Exception):
    """A fault that the user can mend: what is wrong and where, and the way out."""

    def __init__(self, fault: str, *, hint: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again in another process, the way out with it."""
        return partial(type(self), hint=self.hint), (self.fault,)


class InputError(AdvisorError):
    """A file, a key or a value that the user gave is wrong."""


class ModelError(AdvisorError):
    """The model cannot be read, exported or run."""


class MissingDependencyError(AdvisorError):
    """A package of an optional extra is needed and absent."""


class OutputLostError(AdvisorError):
    """Standard output cannot be written, for another reason than that nobody reads it; files are complete."""


class NobodyReads(Exception):
    """The reader of an output has gone away, as `head` does when it has read enough: no fault, and nobody to be told."""


def of_the_system(error: OSError) -> InputError:
    """Return what the system says of a file that the user named, or of the disk, as an error with a way out."""
    what = f"{error.filename}: " if error.filename else ""
    return InputError(f"{what}{error.strerror or error}", hint="check the path, your permissions and the free disk space")
