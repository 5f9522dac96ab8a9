"""Which variants run as fast as a simpler one, as far as was measured: selecting one for its speed would be selecting noise."""

import math
import statistics
from collections.abc import Sequence

from advisor.decide.generation.service.step_time import steps_of
from advisor.decide.queue.speed_ties import FEWEST_PAIRS, PROCESS_FRACTION, SURER
from advisor.medians import PROCESS_PRIOR_FREEDOM, PROCESS_SIGMA, SCALE_EFFICIENCY, UNREPEATED_FRACTION, bounded_scale
from advisor.schema.generation import Clock, DecodePoint, GenerationSite, PrefillPoint, StepVisit
from advisor.speed_ratios import PairNoise, Ratios, together

Work = tuple[str, int]  # what kind of steps are compared together: prompts, or decode steps of one batch size
Place = tuple[Work, int, int, int]  # and threads, tokens, what is cached


def speed_ties(site: GenerationSite, today: str, given: str) -> dict[str, str]:
    """Return, for each variant that ties in speed with a simpler one, that one: today's is the simplest, then the one as `given`.

    Two are told apart if the ratio of their paired visits lies with all of its interval beyond what one model differs by between two
    processes: for prompts, or for decode steps of one batch size. Engines are not compared so: they make other steps of the same requests.
    """
    names = sorted((variant.id for variant in site.variants), key=lambda name: (name != today, name != given))
    points = {name: _points(site, name) for name in names}
    engines = {variant.id: variant.engine for variant in site.variants}
    found: dict[str, str] = {}
    for place, name in enumerate(names):
        for simpler in names[:place]:
            if engines[simpler] == engines[name] and simpler not in found and _is_tie(points[simpler], points[name], site.clock):
                found[name] = simpler
                break
    return found


def _points(site: GenerationSite, name: str) -> dict[Place, tuple[StepVisit, ...]]:
    found: dict[Place, tuple[StepVisit, ...]] = {}
    timed: list[PrefillPoint | DecodePoint] = [*site.prefill, *site.decode]
    for entry in timed:
        if entry.variant == name:
            found[_place(entry)] = entry.visits
    return found


def _place(entry: PrefillPoint | DecodePoint) -> Place:
    if isinstance(entry, PrefillPoint):
        return ("prefill", 0), entry.intra_op_num_threads, entry.tokens, entry.past_tokens
    return ("decode", entry.batch_size), entry.intra_op_num_threads, entry.batch_size, entry.context_tokens


def _is_tie(before: dict[Place, tuple[StepVisit, ...]], after: dict[Place, tuple[StepVisit, ...]], clock: Clock) -> bool:
    """Return whether nothing that both were measured at tells them apart; without such a point they are no tie."""
    by_work: dict[Work, list[Ratios]] = {}
    deviations: list[float] = []
    for place in before.keys() & after.keys():
        logs = _logs(before[place], after[place], clock)
        by_work.setdefault(place[0], []).append(Ratios(tuple(logs), tuple(False for _ in logs)))
        if len(logs) > 1:
            widened = math.sqrt(len(logs) / (len(logs) - 1))
            deviations.extend(widened * (log - statistics.fmean(logs)) for log in logs)
    if not by_work:
        return False
    scale = bounded_scale(deviations) if deviations else math.log1p(UNREPEATED_FRACTION)
    noise = PairNoise(scale, SCALE_EFFICIENCY * max(len(deviations), 1), PROCESS_SIGMA, PROCESS_PRIOR_FREEDOM)
    return not any(_is_beyond(together(listed), noise) for listed in by_work.values())


def _logs(before: Sequence[StepVisit], after: Sequence[StepVisit], clock: Clock) -> list[float]:
    """Return how many times as long the first takes, as logarithms, in visits of the same round."""
    pairs = zip(before, after, strict=False)
    return [math.log(statistics.median(steps_of(one, clock)) / statistics.median(steps_of(other, clock))) for one, other in pairs]


def _is_beyond(found: Ratios, noise: PairNoise) -> bool:
    least = max(math.log1p(PROCESS_FRACTION), SURER * noise.process_difference)
    return len(found.logs) >= FEWEST_PAIRS and abs(found.center) - found.half_width(noise) > least
