"""What visits come to in a site: points, how much equal things differ, and what the machine did beside them."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from advisor.measure.generation.scripts import NO_POINTS, Content, Part, Points, Script, point_of, points_of_plays
from advisor.measure.generation.step_timing import Point, Prefill
from advisor.schema.generation import Clock, StepVisit
from advisor.units import percent, seconds

QUIET_FRACTION = 0.9  # of the differences between halves of the visits lie below what is called the noise


def noise_of(visits: Iterable[Sequence[StepVisit]], clock: Clock) -> float | None:
    """Return what 90 % of the differences between equal things stay below: the medians of every other visit, and of those between.

    None where no point was visited twice.
    """
    ratios = []
    for listed in visits:
        if len(listed) > 1:
            halves = [[took_s for visit in listed[first::2] for took_s in _times(visit, clock)] for first in (0, 1)]
            ratios.append(abs(math.log(statistics.median(halves[0]) / statistics.median(halves[1]))))
    return float(np.expm1(np.quantile(ratios, QUIET_FRACTION))) if ratios else None


def _times(visit: StepVisit, clock: Clock) -> tuple[float, ...]:
    return visit.cpu_s if clock == "cpu" else visit.wall_s


def points_of(visits: Mapping[Point, Sequence[StepVisit]], parts: Mapping[Point, Sequence[Sequence[Part]]]) -> Points:
    """Return what was timed as the profile has it: single steps, and of scripts what their visits were made of."""
    points = NO_POINTS
    for point, made in visits.items():
        points = points.and_also(_points(point, tuple(made), parts.get(point, ())))
    return points


def _points(point: Point, made: tuple[StepVisit, ...], parts: Sequence[Sequence[Part]]) -> Points:
    step, variant, threads = point.step, point.variant, point.intra_op_num_threads
    if isinstance(step, Script):
        return points_of_plays(parts, variant=variant, threads=threads)
    if isinstance(step, Prefill):
        content = Content(batch_size=0, context_tokens=0, tokens=step.tokens, past_tokens=step.past_tokens)
    else:
        content = Content(batch_size=step.batch_size, context_tokens=step.context_tokens)
    return point_of(content, made, variant=variant, threads=threads)


def disturbance(visits: Sequence[StepVisit], clock: Clock) -> tuple[str, ...]:
    """Return a note where the figures are of the processor's clock, and why."""
    if clock == "wall":
        return ()
    steps_s = sum(sum(visit.wall_s) for visit in visits)
    waited = sum(visit.waited_s or 0.0 for visit in visits) / steps_s
    return (
        f"the machine was busy: threads waited for a core for {percent(waited)} of {seconds(steps_s)} of steps; their processor time "
        "counts instead, and users of this machine, as busy as that, wait longer",
    )
