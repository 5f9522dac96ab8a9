"""What engines add to kernels, fitted on published runs, and how far off the sum is on models that were held back.

A run is some steps that read and some that decode, and its seconds follow from what an engine adds (`HostTimes`). A fit minimizes residuals
of logarithms, large ones bounded, and the distance from what is expected: first of an engine on all devices, then of each of its devices,
around the first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.decide.generation.projection.host import TODAY, host_times, launched
from advisor.decide.generation.projection.intervals import conformal_factor
from advisor.decide.generation.projection.step_model import StepModel
from advisor.schema.arrays.kernels import Figure, HostTimes, StepError
from advisor.schema.language import Ground
from parts.generation_rows import Figure as Published
from parts.generation_rows import Run
from parts.generation_runs import budget_of, reading_s, writing_s

# What is expected before any run was seen, and how many times as much or as little it may well be.
EXPECTED: dict[str, tuple[float, float]] = {
    "matrices": (1.0, 1.15),
    "attention": (1.0, 1.3),
    "communication": (1.0, 1.4),
    "experts": (1.0, 1.3),
    "decode_step_s": (7e-4, 2.5),
    "prefill_step_s": (2e-3, 2.5),
    "layer_s": (5e-6, 2.5),
    "request_s": (2.4e-5, 2.5),
    "token_s": (1e-6, 3.0),
    "decode_launch_s": (2e-5, 4.0),
    "prefill_launch_s": (1e-4, 3.0),
}
NAMES = tuple(EXPECTED)
LINEAR = NAMES[:9]  # in which seconds are linear, but for launches
KERNELS, ATTENTION, LAYERS = slice(0, 4), NAMES.index("attention"), NAMES.index("layer_s")
# Of a device beside its engine's other devices, where its kernels were measured and where they were scaled.
OF_DEVICE = {"kernels": 1.3, "scaled-kernels": 2.0, "roofline": 2.5}
# Engines whose kernels are like those of today, so that what they show of a device is shown of it there as well; and what that is.
# Sums over devices have changed since.
CARRIED, KERNELS_OF_DEVICE = ("deepspeed", "vllm-2024"), ("matrices", "attention")
# How far keys and values are read once for each head of queries (`HostTimes.repeats_heads`), as the logarithm of its odds: expected, how
# far off that may well be, and where a fit starts beside that.
ONCE, ODDS_WIDTH, AGAIN = -7.0, 3.0, 2.0
# Engines whose kernels are known to read them once for all their queries; and of a single model nobody can tell.
SHARING = ("vllm", "tensorrt-llm")
NOISE = 0.1  # of a published figure, as a logarithm
BOUND = 1.5  # of residuals, in units of the noise
FEWEST_POINTS = 6  # of a device, for host times of its own
FEWEST_ROWS, FEWEST_MODELS = 10, 2  # of an error, for one of its own
BLOCK_TOKENS = 16  # of the cache, found again whole


class Point(NamedTuple):
    """One published figure of a run, and what the steps are made of that it consists of."""

    engine: str
    device: str
    model: str
    ground: Ground
    is_same_maker: bool  # whose kernels they are
    figure: Figure
    reading: np.ndarray  # (9,) of the steps that read, seconds for each of LINEAR being 1
    decoding: np.ndarray  # (9,) the same of those that decode
    repeating: np.ndarray  # (9,) the same where keys and values are read once for each head of queries
    seconds: float


def _unit(name: str) -> HostTimes:
    return HostTimes(
        engine="", device=None, carried_from=None, rows=1, models=1, **{each: float(each == name) for each in LINEAR}
    )


UNITS = tuple(_unit(name) for name in LINEAR)
REPEATING = msgspec.structs.replace(_unit("attention"), repeats_heads=1.0)


class _Remembered:
    """The kernels of a decoder, each sum of them made once: only what an engine adds differs from call to call."""

    def __init__(self, composition: Any) -> None:
        self._composition = composition
        self._made: dict[tuple[object, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        of = getattr(self._composition, name)

        def made(*arrays: np.ndarray, **how: bool) -> Any:
            key = (name, *how.values(), *(np.asarray(each, dtype=float).tobytes() for each in arrays))
            if key not in self._made:
                self._made[key] = of(*arrays, **how)
            return self._made[key]

        return made


def remembering(steps: StepModel) -> StepModel:
    """Return the steps of a model with kernels that are summed up once each, however many engines they are asked for."""
    steps._composition = _Remembered(steps._composition)  # type: ignore[assignment]
    return steps


# Seconds of the steps of a run that read, and of those that decode.
Halves = Callable[[StepModel], tuple[float, float]]


def points_of(run: Run, steps: StepModel) -> list[Point]:
    """Return what a run shows about its engine; nothing where its seconds are not a sum of steps."""
    device = run.hardware.id if run.hardware else run.device
    found = []
    for figure, seconds, halves in _figures(run):
        features = []
        for unit in (*UNITS, REPEATING):
            steps.host = unit
            features.append(halves(steps))
        reading, decoding = np.array(features[:-1]).T
        repeating = decoding.copy()
        repeating[ATTENTION] = features[-1][1]
        found.append(
            Point(
                *(run.engine, device, run.model, steps.ground, steps.is_same_maker, figure),
                *(reading, decoding, repeating, seconds),
            )
        )
    return found


def _figures(run: Run) -> list[tuple[Figure, float, Halves]]:
    measured = {entry.figure: entry.value for entry in run.measured if entry.quantile is None}
    if run.kind == "static":
        tokens = run.batch * (run.input_tokens + run.output_tokens)
        return [("batch", tokens / measured["tokens"], lambda steps: (_reading(run, steps), writing_s(steps, run)))]
    if run.kind == "steps":
        context = run.batch * (run.input_tokens + run.output_tokens / 2)
        found: list[tuple[Figure, float, Halves]] = []
        if "ttft" in measured:
            found.append(("prefill", measured["ttft"], lambda steps: (_reading(run, steps), 0.0)))
        if "itl" in measured:
            found.append(("decode", measured["itl"], lambda steps: (0.0, _decoding(steps, run.batch, context))))
        return found
    if run.kind == "open" and run.requests_per_s and {"itl", "ttft"} <= set(measured) and run.output_tokens > 1:
        return [_open(run, measured)]
    return []


def _reading(run: Run, steps: StepModel) -> float:
    return reading_s(steps, run.batch, run.input_tokens, budget_of(run))


def _decoding(steps: StepModel, batch: float, context: float) -> float:
    return float(steps.decode_s(np.array([float(batch)]), np.array([float(context)]))[0])


def _open(run: Run, measured: Mapping[Published, float]) -> tuple[Figure, float, Halves]:
    """Return the time between tokens of requests at a rate: steps that decode, and those that also read what comes meanwhile.

    A request runs beside as many others as come while it runs (Little's law).
    """
    later = run.output_tokens - 1
    token_s = measured["itl"]
    if run.itl_holds_first:
        # Tokens that a client counts in the text are fewer than were made: the whole latency does not depend on them.
        whole_s = measured.get("e2e", measured["itl"] * run.output_tokens)
        token_s = (whole_s - measured["ttft"]) / later
    rate = (run.requests_per_s or 0.0) / run.replicas
    batch = min(1.0 + rate * token_s * later, float(run.conversations or np.inf))
    context = batch * (run.input_tokens + run.output_tokens / 2)
    known = (run.input_tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS if run.conversations else 0
    share = min(rate * token_s, 1.0)

    def halves(steps: StepModel) -> tuple[float, float]:
        mixed = [np.array([each]) for each in (batch, context, float(run.input_tokens - known), float(known))]
        return share * float(steps.mixed_s(*mixed)[0]), (1.0 - share) * _decoding(steps, batch, context)

    return "decode", token_s, halves


# --- fits ----------------------------------------------------------------------------------------------------------------------------


def _seconds(halves: Sequence[np.ndarray], added: np.ndarray, repeats: float) -> np.ndarray:
    """Return the seconds of points in an engine that adds so much (11,), in the order of NAMES.

    `halves` (points, 9 each) are steps that read, that decode, and the latter where heads are repeated, which they are so far.
    """
    reading, once, again = halves
    decoding = once.copy()
    decoding[:, ATTENTION] = once[:, ATTENTION] ** (1 - repeats) * again[:, ATTENTION] ** repeats
    found = np.zeros(len(reading))
    for features, launch_s in ((reading, added[-1]), (decoding, added[-2])):
        kernels = features[:, KERNELS] @ added[KERNELS]
        found += (
            launched(kernels, features[:, LAYERS] * launch_s) + features[:, KERNELS.stop :] @ added[KERNELS.stop : len(LINEAR)]
        )
    return found


def fitted(points: Sequence[Point]) -> tuple[HostTimes, ...]:
    """Return what each engine adds on any device, and on each that enough was published of."""
    found = []
    of_engines: dict[str, np.ndarray] = {}
    by_engine = _grouped(points, lambda point: point.engine)
    expected = np.append(np.log([value for value, _ in EXPECTED.values()]), ONCE)
    width = np.append(np.log([spread for _, spread in EXPECTED.values()]), ODDS_WIDTH)
    for engine, of in by_engine.items():
        # Scaled kernels say more about the scaling than about the engine, those of another maker most.
        firm = ([point for point in of if point.ground == "kernels"], [point for point in of if point.is_same_maker], of)
        basis = next(points for points in firm if len(points) >= FEWEST_POINTS or points is of)
        repeats = engine not in SHARING and len({point.model for point in of}) >= FEWEST_MODELS
        of_engines[engine] = _fit(basis, expected, width, may_repeat=repeats)
        found.append(_host(engine, None, of_engines[engine], basis, may_repeat=repeats))
        for device, there in _grouped(of, lambda point: point.device).items():
            if len(there) >= FEWEST_POINTS:
                wide = np.maximum(width, np.log(OF_DEVICE[there[0].ground]))
                added = _fit(there, of_engines[engine], wide, may_repeat=repeats)
                found.append(_host(engine, device, added, there, may_repeat=repeats))
    return (*found, *_carried_over(found))


def _carried_over(hosts: Sequence[HostTimes]) -> list[HostTimes]:
    """Return what the engine of today is expected to add where only older ones were run: its own, and what is the device's."""
    by_name = {(host.engine, host.device): host for host in hosts}
    today = by_name.get((TODAY, None))
    if today is None:
        return []
    found = {}
    for host in sorted(hosts, key=lambda host: host.rows):
        everywhere = by_name[host.engine, None]
        if host.device is None or host.engine not in CARRIED or (TODAY, host.device) in by_name:
            continue
        of_device = {name: getattr(today, name) * getattr(host, name) / getattr(everywhere, name) for name in KERNELS_OF_DEVICE}
        rest = {name: getattr(today, name) for name in NAMES if name not in of_device}
        found[host.device] = HostTimes(
            engine=TODAY, device=host.device, **of_device, **rest, rows=host.rows, models=host.models, carried_from=host.engine
        )
    return list(found.values())


def _fit(points: Sequence[Point], expected: np.ndarray, width: np.ndarray, *, may_repeat: bool) -> np.ndarray:
    """Return logarithms of what is added, and of the odds that heads are repeated (12,)."""
    from scipy.optimize import least_squares
    from scipy.special import expit

    halves = [np.stack([getattr(point, half) for point in points]) for half in ("reading", "decoding", "repeating")]
    logs = np.log([point.seconds for point in points])
    counts = _grouped(points, lambda point: point.device)
    usual = float(np.median([len(of) for of in counts.values()]))
    weight = np.array([np.sqrt(min(usual / len(counts[point.device]), 1.0)) for point in points])

    def residuals(values: np.ndarray) -> np.ndarray:
        repeats = float(expit(values[-1])) if may_repeat else 0.0
        off = weight * (np.log(_seconds(halves, np.exp(values[:-1]), repeats)) - logs) / NOISE
        return np.concatenate([off, (values - expected) / width])

    # Both kinds of kernels are valleys of their own.
    starts = [expected, np.append(expected[:-1], AGAIN)][: 1 + may_repeat]
    found = (least_squares(residuals, start, loss="soft_l1", f_scale=BOUND) for start in starts)
    return np.asarray(min(found, key=lambda fit: fit.cost).x)


def _host(engine: str, device: str | None, logs: np.ndarray, points: Sequence[Point], *, may_repeat: bool) -> HostTimes:
    added = {name: float(f"{value:.4g}") for name, value in zip(NAMES, np.exp(logs[:-1]), strict=True)}
    repeats_heads = round(float(1 / (1 + np.exp(-logs[-1]))), 3) if may_repeat else 0.0
    models = len({point.model for point in points})
    return HostTimes(
        engine=engine,
        device=device,
        **added,
        repeats_heads=repeats_heads,
        carried_from=None,
        rows=len(points),
        models=models,
    )


def predicted_s(point: Point, hosts: tuple[HostTimes, ...]) -> tuple[float, bool]:
    """Return the seconds of a point, and whether its device has host times of its own."""
    host, is_fitted = host_times(hosts, point.engine, point.device)
    added = np.array([getattr(host, name) for name in NAMES])
    halves = [half[None] for half in (point.reading, point.decoding, point.repeating)]
    return float(_seconds(halves, added, host.repeats_heads)[0]), is_fitted


def _grouped(points: Iterable[Point], key: Any) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        found[key(point)].append(point)
    return dict(sorted(found.items()))


# --- errors of what is held back ------------------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """A point that took no part in the fit."""

    point: Point
    ratio: float  # measured over predicted
    is_fitted: bool


def held_back(points: Sequence[Point]) -> list[Held]:
    """Return each point predicted without its model, and once more without its device."""
    found = []
    for name in ("model", "device"):
        for of in _grouped(points, lambda point, name=name: getattr(point, name)).values():
            without = [point for point in points if getattr(point, name) != getattr(of[0], name)]
            if not without:
                continue
            hosts = fitted(without)
            for point in of:
                seconds, is_fitted = predicted_s(point, hosts)
                if is_fitted == (name == "model"):
                    found.append(Held(point, point.seconds / seconds, is_fitted))
    return found


def errors_of(held: Sequence[Held]) -> tuple[StepError, ...]:
    """Return how far off each kind of figure was: of each engine that enough was held back of, and of all together."""
    kinds: dict[tuple[Any, ...], list[Held]] = defaultdict(list)
    for each in held:
        for engine in (each.point.engine, None):
            kinds[each.point.ground, each.point.figure, engine, each.is_fitted].append(each)
    found = []
    for (ground, figure, engine, is_fitted), of in sorted(kinds.items(), key=lambda pair: [str(part) for part in pair[0]]):
        models = len({each.point.model for each in of})
        if engine is None or (len(of) >= FEWEST_ROWS and models >= FEWEST_MODELS):
            factor = float(f"{conformal_factor([each.ratio for each in of]):.4g}")
            found.append(
                StepError(
                    ground=ground,
                    figure=figure,
                    engine=engine,
                    fitted_device=is_fitted,
                    factor=max(factor, 1.0),
                    rows=len(of),
                    models=models,
                )
            )
    return tuple(found)
