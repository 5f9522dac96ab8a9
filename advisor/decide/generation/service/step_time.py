"""Measured steps of a decoder -> laws of their seconds by variant and threads, and the spread of single steps around them.

Reading n tokens behind `past` cached ones takes a + b n + c n (past + n/2): something by itself, something a token, and something for every
pair of tokens that attention looks at. A decode step of B requests with S tokens cached in all of them takes a + b B + c S, a mixed step
a + b B + c S + d n + e n (past + n/2). No coefficient is below zero, for no step is quicker when it has more to do.
"""

import copy
import math
import statistics
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from advisor.decide.generation.service.laws import Law, Points, Spread, fitted, law_of, normal_scores, shared_by_round, spread_of
from advisor.decide.service.stalls import is_stalled, process_of, robust_deviation
from advisor.medians import NORMAL_95, PROCESS_PRIOR_FREEDOM, PROCESS_SIGMA, student_t_95
from advisor.schema.generation import Clock, DecodePoint, GenerationSite, MixedPoint, Policy, PrefillPoint, StepVisit
from advisor.schema.profile import Stalls
from advisor.schema.record import Estimate
from advisor.units import percent

DRAWS = 20  # of what the laws may be: one in twenty is beyond either end of a 90 % interval
SPREAD_STEPS = 1024
# What a step takes inside a server over the same step by itself, where no replay has shown it: other work of the loop, colder caches.
SERVER_FACTOR = {"low": 0.95, "high": 1.10}
Point = PrefillPoint | DecodePoint | MixedPoint
Setting = tuple[str, int]  # variant, intra_op_num_threads

NOTHING_MORE = np.zeros(1)


class Costs(NamedTuple):
    """The laws in the kernel's form, in seconds."""

    prefill: np.ndarray  # (3,) a, b, c
    decode: np.ndarray  # (3,) a, b, c
    mixed: np.ndarray  # (5,) a, b, c, d, e
    decode_extra: np.ndarray = NOTHING_MORE  # (largest + 1,) beside the law, by how many requests a step decodes; 0 for none
    mixed_extra: np.ndarray = NOTHING_MORE  # the same of mixed steps
    # (largest + 1,) beside the law of a mixed step that reads, by its tokens, read and decoded; one entry: mixed_extra counts there too.
    token_extra: np.ndarray = NOTHING_MORE
    outside_s: float = 0.0  # of a request on its way to the engine, and of its first token back
    planned_steps: float = 0.0  # that an engine has planned ahead: who comes meanwhile waits for them

    def extra(self, policy: Policy, requests: int) -> np.ndarray:
        """Return what steps of a policy take beside their law (requests + 1,); beyond what was measured as much as at its end."""
        measured = self.mixed_extra if policy == "mixed" else self.decode_extra
        return measured[np.minimum(np.arange(requests + 1), len(measured) - 1)]

    def extra_of_tokens(self, token_budget: int | None) -> np.ndarray | None:
        """Return what mixed steps that read take beside their law (token_budget + 1,), None where that is up to what they decode.

        Beyond what is known as much as at its end.
        """
        if len(self.token_extra) < 2 or token_budget is None:
            return None
        return self.token_extra[np.minimum(np.arange(token_budget + 1), len(self.token_extra) - 1)]

    def fixed_s(self, policy: Policy, requests: int) -> np.ndarray:
        """Return what steps take that decode 1 to so many requests (requests,), however much is cached of them."""
        law = self.mixed if policy == "mixed" else self.decode
        return np.asarray(law[0] + law[1] * np.arange(1, requests + 1) + self.extra(policy, requests)[1:])


class StepTimes:
    """The laws of one variant on so many threads."""

    def __init__(
        self,
        setting: Setting,
        points: "PointsByKind",
        clock: Clock,
        factors: np.ndarray,
        shown: "Shown",
    ) -> None:
        """`factors` (SPREAD_STEPS at most,) are single steps over the median of their visit."""
        self.variant, self.intra_op_num_threads = setting
        self.step_factors = factors
        self._decoded, self._read = points.decode, points.prefill
        self._alone = _laws_of(points, clock)
        self._place(_inside(shown, self._alone.shared_sigma, self._alone.rounds))

    def _place(self, inside: "Inside") -> None:
        """Let the draws of the laws be as quick and as slow as steps may be there."""
        self._inside = inside
        self.prefill = _levelled(self._alone.prefill, inside.prefill[:, None])
        self.decode = _levelled(self._alone.decode, inside.decode[:, None])
        # What a mixed step does for those that it decodes, then what it does for the prompts that it reads.
        parts = np.stack([*3 * [inside.decode], *2 * [inside.prefill]], axis=1)
        self.mixed = None if self._alone.mixed is None else _levelled(self._alone.mixed, parts)

    def at_speed(self, seen: "Shown") -> "StepTimes":
        """Return the laws of a stretch of time in which steps took so many times as long; what was not seen of it is as it was."""
        found = copy.copy(self)
        known = (usual if ratio is None else _from_quick_to_slow(ratio) for ratio, usual in zip(seen, self._inside, strict=True))
        found._place(Inside(*known))
        return found

    @property
    def largest_batch(self) -> int:
        """The most requests of a decode step that was measured."""
        return max(entry.batch_size for entry in self._decoded)

    @property
    def largest_context(self) -> int:
        """The most tokens that were cached for one request of a measured decode step, and read in a measured prefill."""
        read = max(entry.tokens + entry.past_tokens for entry in self._read)
        return max(read, *(entry.context_tokens // entry.batch_size for entry in self._decoded))

    def costs(self, draw: int | None) -> Costs:
        """Return the laws as they most likely are, or one of the DRAWS of what they may be."""
        prefill, decode = _cost(self.prefill, draw), _cost(self.decode, draw)
        extra = self._extra(self.decode, decode, draw)
        if self.mixed is not None:
            mixed = _cost(self.mixed, draw)
            return Costs(prefill, decode, mixed, extra, self._extra(self.mixed, mixed, draw))
        # A step of both reads the weights once; what is done for each token is done for each.
        mixed = np.array([max(prefill[0], decode[0]), *decode[1:], *prefill[1:]])
        return Costs(prefill, decode, mixed, extra, extra)

    def _extra(self, law: Law, cost: np.ndarray, draw: int | None) -> np.ndarray:
        """Return what decode steps take beside the law by their requests (largest + 1,), at the usual context of measured ones.

        No step is quicker than one of fewer requests.
        """
        over = law.by_size if draw is None or law.draws_by_size is None else law.draws_by_size[draw]
        if over is None:
            return NOTHING_MORE
        requests = np.arange(len(over))
        fixed_s = cost[0] + cost[1] * requests
        each = statistics.median(entry.context_tokens / entry.batch_size for entry in self._decoded)
        wanted_s = fixed_s + (over - 1.0) * (fixed_s + cost[2] * each * requests)
        wanted_s[1:] = np.maximum.accumulate(np.maximum(wanted_s[1:], 0.0))
        extra = wanted_s - fixed_s
        extra[0] = 0.0
        return np.asarray(extra)

    def prefill_s(self, tokens: int, past_tokens: int = 0) -> Estimate:
        """Return the seconds of reading so many tokens."""
        wanted = np.array([1.0, tokens, tokens * (past_tokens + tokens / 2)])
        off = self.prefill.off_fraction * _between([entry.tokens for entry in self._read], self.prefill.residuals(), tokens)
        return _estimate(self.prefill, wanted, math.exp(off) * float(self.prefill.cost @ wanted), "prompts")

    def decode_s(self, batch_size: int, context_tokens: int) -> Estimate:
        """Return the seconds of a step of so many requests that have so many tokens cached together."""
        wanted = np.array([1.0, batch_size, context_tokens])
        value = (
            self._by_batch(batch_size, context_tokens) if self.decode.by_size is not None else float(self.decode.cost @ wanted)
        )
        return _estimate(self.decode, wanted, value, "decode steps")

    def _by_batch(self, batch_size: int, context_tokens: int) -> float:
        """Return the seconds by laws of their own for each measured batch, a + c S, linear between these.

        Where the one law of all batches is off: kernels of libraries change with the batch.
        """
        sizes = sorted(self._own_laws)
        each = context_tokens / batch_size
        seconds = [float(self._own_laws[size] @ (1.0, each * size)) for size in sizes]
        if batch_size > sizes[-1]:
            wanted, last = (float(self.decode.cost @ (1.0, size, each * size)) for size in (batch_size, sizes[-1]))
            return seconds[-1] * wanted / last
        return float(np.interp(batch_size, sizes, seconds))

    @cached_property
    def _own_laws(self) -> dict[int, np.ndarray]:
        """The law a + c S (2,) of each measured batch size; where it was measured at one context alone, c is that of all."""
        seconds, residuals = self.decode.points.seconds, self.decode.residuals()
        found = {}
        for size in {entry.batch_size for entry in self._decoded}:
            places = [place for place, entry in enumerate(self._decoded) if entry.batch_size == size]
            contexts = np.array([self._decoded[place].context_tokens for place in places], dtype=float)
            if len(set(contexts.tolist())) > 1:
                found[size] = fitted(np.stack([np.ones(len(places)), contexts], axis=1), seconds[places][None])[0]
            else:
                a, b, c = self.decode.cost * math.exp(float(residuals[places].mean()))
                found[size] = np.array([a + b * size, c])
        return found


class PointsByKind(NamedTuple):
    """The measured steps of one variant on so many threads."""

    prefill: tuple[PrefillPoint, ...]
    decode: tuple[DecodePoint, ...]
    mixed: tuple[MixedPoint, ...]


class _Laws(NamedTuple):
    """The laws of steps by themselves, as the profile has them, and what all points of a round have in common."""

    prefill: Law
    decode: Law
    mixed: Law | None
    shared_sigma: float
    rounds: int


@lru_cache(
    maxsize=64
)  # every replay of a setting asks for the laws of the same points, and to draw them takes most of the time of advice
def _laws_of(points: PointsByKind, clock: Clock) -> _Laws:
    kinds = {type(entries[0]): _points_of(entries, clock) for entries in points if entries}
    spread = spread_of(list(kinds.values()))
    random = np.random.default_rng(0)
    sizes = np.array([entry.batch_size for entry in points.decode])
    return _Laws(
        law_of(kinds[PrefillPoint], spread, DRAWS, random),
        law_of(kinds[DecodePoint], spread, DRAWS, random, sizes),
        _mixed_law(kinds, spread, random) if MixedPoint in kinds else None,
        *shared_by_round(list(kinds.values()), spread),
    )


def _mixed_law(kinds: dict[type, Points], spread: Spread, random: np.random.Generator) -> Law:
    """Return the law of mixed steps, of which those that only read or only decode are the simplest."""
    every = kinds[MixedPoint]
    for kind, columns in ((PrefillPoint, (0, 3, 4)), (DecodePoint, (0, 1, 2))):
        wide = np.zeros((len(kinds[kind].visits_s), 5))
        wide[:, columns] = kinds[kind].features
        every = every.and_also(Points(wide, kinds[kind].visits_s))
    sizes = np.where(every.features[:, 3] > 0, 0, every.features[:, 1]).astype(int)
    return law_of(every, spread, DRAWS, random, sizes)


def _cost(law: Law, draw: int | None) -> np.ndarray:
    return law.cost if draw is None else law.draws[draw]


def _between(measured: Sequence[int], residuals: np.ndarray, wanted: int) -> float:
    """Return the residual at a size, linear between the logarithms of those that were measured."""
    sizes = sorted(set(measured))
    means = [float(np.mean([off for size, off in zip(measured, residuals, strict=True) if size == each])) for each in sizes]
    return float(np.interp(math.log(wanted), np.log(sizes), means))


def _estimate(law: Law, wanted: np.ndarray, value: float, of: str) -> Estimate:
    ratios = np.sort(law.draws @ wanted) / float(law.cost @ wanted)
    # One draw in twenty lies beyond either end.
    low, high = float(ratios[len(ratios) // DRAWS]), float(ratios[-1 - len(ratios) // DRAWS])
    count = len(law.points.visits_s)
    source = f"law of {count} measured {of}, off by {percent(math.expm1(law.misfit_sigma))} beyond the noise of their visits"
    return Estimate(value=value, low=value * min(low, 1.0), high=value * max(high, 1.0), basis="interpolated", source=source)


def _points_of(entries: Sequence[Point], clock: Clock) -> Points:
    features, visits = [], []
    for entry in entries:
        features.append(_features(entry))
        visits.append(np.array([statistics.median(steps_of(visit, clock)) for visit in entry.visits]))
    return Points(np.array(features, dtype=float), tuple(visits))


def _features(entry: Point) -> tuple[float, ...]:
    if isinstance(entry, DecodePoint):
        return (1.0, entry.batch_size, entry.context_tokens)
    read = (entry.tokens, entry.tokens * (entry.past_tokens + entry.tokens / 2))
    return (1.0, *read) if isinstance(entry, PrefillPoint) else (1.0, entry.batch_size, entry.context_tokens, *read)


def steps_of(visit: StepVisit, clock: Clock) -> tuple[float, ...]:
    """Return the seconds of each step of a visit by the clock that counts."""
    return visit.cpu_s if clock == "cpu" else visit.wall_s


class Inside(NamedTuple):
    """How many times as long steps take in a server, over those of the profile, at each of the draws (DRAWS,), from quick to slow."""

    prefill: np.ndarray
    decode: np.ndarray


def _levelled(law: Law, factors: np.ndarray) -> Law:
    """Return the law with its draws in a server; `factors` (DRAWS, coefficients or 1) are of a quick machine, then of slower ones."""
    return law._replace(draws=law.draws * factors)


def _inside(shown: "Shown", shared_sigma: float, rounds: int) -> Inside:
    """Return what steps take inside a server over what the profile says of them, from quick to slow.

    The draws of all settings are at the same levels, so variants differ by themselves alone. A replay that showed it is believed.
    `shared_sigma` is what all points may be off by together, as the rounds of the profile show.
    """
    # What one process differs from another by is known from elsewhere, and counts as so many rounds.
    sigma = math.hypot(PROCESS_SIGMA, shared_sigma)
    half = student_t_95(PROCESS_PRIOR_FREEDOM + rounds - 1) * sigma
    return Inside(*(_from_quick_to_slow(ratio, half) for ratio in shown))


def _from_quick_to_slow(ratio: Estimate | None, half: float = 0.0) -> np.ndarray:
    """Return the ratios (DRAWS,) that an estimate stands for, ascending; `half` is how far the logarithms of all may be off beside."""
    low, value, high = (
        (SERVER_FACTOR["low"], 1.0, SERVER_FACTOR["high"]) if ratio is None else (ratio.low, ratio.value, ratio.high)
    )
    below, above = math.hypot(math.log(value / low), half), math.hypot(math.log(high / value), half)
    level = normal_scores(DRAWS) / NORMAL_95
    return np.asarray(value * np.exp(np.where(level < 0, level * below, level * above)))


class Shown(NamedTuple):
    """How many times as long steps took in the server of the latest replay; None: no replay showed it."""

    prefill: Estimate | None
    decode: Estimate | None


def _shown(site: GenerationSite, setting: Setting) -> Shown:
    replays = [each for each in site.replays if (each.candidate.variant, each.candidate.intra_op_num_threads) == setting]
    by_kind = ([each.step_ratio_prefill for each in replays], [each.step_ratio_decode for each in replays])
    prefill, decode = (next((ratio for ratio in reversed(ratios) if ratio and ratio.low > 0), None) for ratios in by_kind)
    return Shown(prefill, decode)


def every_point(site: GenerationSite) -> list[Point]:
    """Return all steps that were measured at a site, of whatever kind."""
    return [*site.prefill, *site.decode, *site.mixed]


def _setting_of(entry: Point) -> Setting:
    return entry.variant, entry.intra_op_num_threads


def step_times(site: GenerationSite) -> dict[Setting, StepTimes]:
    """Return the laws of each setting of which both prompts and decode steps were measured, in the order of the variants."""
    known = {variant.id for variant in site.variants}
    found = {
        setting: PointsByKind(
            tuple(entry for entry in site.prefill if _setting_of(entry) == setting),
            tuple(entry for entry in site.decode if _setting_of(entry) == setting),
            tuple(entry for entry in site.mixed if _setting_of(entry) == setting),
        )
        for setting in {_setting_of(entry) for entry in every_point(site) if entry.variant in known}
    }
    order = [variant.id for variant in site.variants]
    settings = sorted(
        (setting for setting, points in found.items() if points.prefill and points.decode),
        key=lambda setting: (order.index(setting[0]), setting[1]),
    )
    return {
        setting: StepTimes(
            setting,
            found[setting],
            site.clock,
            _step_factors(found[setting], site.clock, site.stalls),
            _shown(site, setting),
        )
        for setting in settings
    }


@lru_cache(maxsize=64)
def _step_factors(points: PointsByKind, clock: Clock, stalls: tuple[Stalls, ...]) -> np.ndarray:
    """Return single steps over the median of their visit (SPREAD_STEPS at most,), in an order that repeats nothing.

    Without those that the watches of the machine account for, which are simulated by themselves.
    """
    visits = [np.array(steps_of(visit, clock)) for kind in points for entry in kind for visit in entry.visits]
    medians_s = np.concatenate([np.full(len(steps), np.median(steps)) for steps in visits])
    deviations_s = np.concatenate([np.full(len(steps), robust_deviation(steps)) for steps in visits])
    steps_s = np.concatenate(visits)
    watched = process_of(stalls) if clock == "wall" else None
    expected = watched.rate_per_s["value"] * float(steps_s.sum()) if watched is not None else 0.0
    kept = ~is_stalled(steps_s - medians_s, deviations_s, watched, expected)
    factors = np.sort((steps_s / medians_s)[kept])
    if len(factors) > SPREAD_STEPS:
        factors = np.quantile(factors, (np.arange(SPREAD_STEPS) + 0.5) / SPREAD_STEPS)
    return np.asarray(np.random.default_rng(1).permutation(factors))
