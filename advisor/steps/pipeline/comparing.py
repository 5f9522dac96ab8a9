"""Files of advice and a policy -> what differs and what is kept: here files are read; nothing is decided."""

from pathlib import Path

from advisor.decide.comparison.compare import check_kinds, compare
from advisor.errors import ExitStatus, InputError
from advisor.files.policy import read_policy, usual_policy
from advisor.schema.gate.comparison import Comparison
from advisor.steps.advise import AnyAdvice, read_any_advice
from advisor.units import parse_moment


def compared(old: Path, new: Path, policy: Path | None, *, now: str) -> Comparison:
    """Return how the newer file of advice stands to the older one and to the policy, or to the one that comes with advisor."""
    now = parse_moment(now)
    if old == new == Path("-"):
        raise InputError("-: standard input cannot be both files", hint="write one of them into a file and name that")
    before, after = read_any_advice(old), read_any_advice(new)
    try:
        check_kinds(before, after)
    except InputError as error:
        raise InputError(f"{old} and {new}: {error.fault}", hint=error.hint) from error
    return _held(before, after, policy, now=now)


def gated(advice: Path, policy: Path | None, *, now: str) -> Comparison:
    """Return how one file of advice stands to the policy, or to the one that comes with advisor."""
    now = parse_moment(now)
    return _held(None, read_any_advice(advice), policy, now=now)


def exit_status(comparison: Comparison) -> ExitStatus:
    """Return what a comparison means to a pipeline; what is no more than a warning fails nothing."""
    return {
        "kept": ExitStatus.ADVICE,
        "broken": ExitStatus.INFEASIBLE,
        "cannot be told": ExitStatus.INCONCLUSIVE,
    }[comparison.held]


def _held(old: AnyAdvice | None, new: AnyAdvice, policy: Path | None, *, now: str) -> Comparison:
    if policy is None:
        return compare(old, new, usual_policy(), now=now, is_usual=True)
    asked = read_policy(policy)
    try:
        return compare(old, new, asked, now=now)
    except InputError as error:
        raise InputError(f"{policy}: {error.fault}", hint=error.hint) from error
