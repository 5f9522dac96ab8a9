"""Whether figures keep the limits of a policy, as far as that can be told: what lies inside the intervals breaks none."""

import math
from collections.abc import Iterator

from advisor.decide.comparison.outcomes import Change
from advisor.errors import InputError
from advisor.quality_floor import RISING
from advisor.schema.gate.comparison import Held, Kept, LimitFinding
from advisor.schema.gate.policy import FallLimit, Limit, QualityLimit, RiseLimit, TargetLimit, ValidityLimit
from advisor.schema.record import Estimate

# Half the width of the interval of a change over the limit on it: beyond, even a change of many times the limit would not be seen.
TOO_WIDE = 5.0
LEAST_LIMIT = 0.01  # below it a limit counts as this where widths are held against it
ROUNDING = 1e-9  # a rise by 5 % is within a limit of 5 %, however its logarithm comes out
INSIDE = "the difference lies inside the intervals"


def of_change(figure: str, limit: Limit, change: Change | None, because: str, *, in_parts: bool = True) -> LimitFinding | None:
    """Return whether the limit on a change is kept, None where the policy has none; without a change `because` says why.

    Broken is what is shown to be beyond the limit. What is shown to be worse, and beyond the limit by its value alone, cannot be told.
    """
    name, allowed = _relative(limit)
    if name is None or allowed is None:
        return None
    if change is None:
        return _finding(figure, name, allowed, limit, "cannot be told", because)
    most = _log(allowed, is_fall=name == "max_decrease") if in_parts else allowed
    held, why = _held(change, most, max(most, LEAST_LIMIT) * TOO_WIDE)
    return _finding(figure, name, allowed, limit, held, why)


def of_value(
    figure: str, limit: Limit, value: Estimate | None, because: str, metric: str | None = None
) -> Iterator[LimitFinding]:
    """Yield whether the limits on the figure itself are kept: on the side of the interval that is the worse, or broken on the other."""
    for name, allowed, is_most in _absolute(limit):
        if metric is not None and is_most != (metric in RISING):
            word, other = ("rises", "max") if metric in RISING else ("drops", "min")
            raise InputError(f"quality.{name}: {metric} {word} as quality is lost", hint=f"give {other} in its place")
        if value is None:
            yield _finding(figure, name, allowed, limit, "cannot be told", because)
            continue
        is_kept = value.high <= allowed if is_most else value.low >= allowed
        is_broken = value.low > allowed if is_most else value.high < allowed
        held: Held = "kept" if is_kept else "broken" if is_broken else "cannot be told"
        why = "" if held != "cannot be told" else "the limit lies inside the interval"
        yield _finding(figure, name, allowed, limit, held, why)


def of_promise(figure: str, limit: TargetLimit, kept: Kept) -> LimitFinding:
    """Return whether what the workload promises is kept, as far as that is shown."""
    held: dict[Kept, Held] = {"kept": "kept", "missed": "broken", "not shown": "cannot be told"}
    why = "its interval reaches beyond the target" if kept == "not shown" else ""
    return LimitFinding(figure=figure, limit=figure, allowed=None, level=limit.level, held=held[kept], because=why)


def overall(findings: tuple[LimitFinding, ...], why_open: str) -> Held:
    """Return how all limits of level error are kept together; advice that is open tells nothing of what it keeps."""
    held = {finding.held for finding in findings if finding.level == "error"}
    if "broken" in held:
        return "broken"
    return "cannot be told" if "cannot be told" in held or why_open else "kept"


def _held(change: Change, most: float, widest: float) -> tuple[Held, str]:
    if change.worse_by == 0 and change.half_width == 0:
        return "kept", ""
    if change.is_shown:
        if change.worse_by <= most + ROUNDING:
            return "kept", ""
        if change.worse_by - change.half_width > most + ROUNDING:
            return "broken", ""
        return "cannot be told", "it is worse, and by how much is not known well enough"
    if change.half_width > widest:
        return "cannot be told", "the intervals are too wide for this limit"
    return "kept", INSIDE if change.worse_by > most + ROUNDING else ""


def _relative(limit: Limit) -> tuple[str | None, float | None]:
    """Return the limit on a change by its name."""
    if isinstance(limit, RiseLimit):
        return "max_increase", limit.max_increase
    if isinstance(limit, FallLimit):
        return "max_decrease", limit.max_decrease
    if isinstance(limit, QualityLimit):
        return "max_drop", limit.max_drop
    return None, None


def _absolute(limit: Limit) -> Iterator[tuple[str, float, bool]]:
    """Yield the limits on the figure itself: name, figure, and whether it is the most that may be."""
    if isinstance(limit, RiseLimit | QualityLimit) and limit.max is not None:
        yield "max", limit.max, True
    if isinstance(limit, FallLimit | QualityLimit | ValidityLimit) and limit.min is not None:
        yield "min", limit.min, False


def _log(allowed: float, *, is_fall: bool) -> float:
    """Return the limit in logarithms: a figure that may fall by a half may be of half the size, and nothing is below 0."""
    if not is_fall:
        return math.log1p(allowed)
    return math.inf if allowed >= 1 else -math.log1p(-allowed)


def _finding(figure: str, name: str, allowed: float, limit: Limit, held: Held, because: str) -> LimitFinding:
    return LimitFinding(figure=figure, limit=name, allowed=allowed, level=limit.level, held=held, because=because)
