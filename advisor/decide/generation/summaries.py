"""What the report shows beside the candidates: variants, the load curve, the memory of the cache, speculation."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal

import numpy as np

from advisor.decide.generation.capacity import Capacity, capacity
from advisor.decide.generation.prediction import predict
from advisor.decide.generation.search import Searchable, count_candidates, search
from advisor.decide.generation.service.step_time import every_point
from advisor.decide.generation.simulation import token_times
from advisor.decide.generation.site import GenerationUnderLoad, UnderLoad, WayT
from advisor.decide.generation.traffic import TokenDemand
from advisor.schema.advice import SiteFacts
from advisor.schema.generation import (
    GenerationPrediction,
    GenerationSite,
    GenerationVariant,
    GenerationVariantSummary,
    KvPoint,
    LoadPoint,
    LookupText,
    Speculation,
    SpeculationAdvice,
)
from advisor.schema.record import Estimate
from advisor.units import counted, number, percent, ratio

CURVE_POINTS = 8
SLOWEST = 1e-9  # that a speed-up can be: its logarithm is taken
TEXTS: dict[LookupText, str] = {"given": "the given text", "copying": "text that copies from its prompt", "free": "free text"}


def site_facts(site: GenerationSite) -> SiteFacts:
    """Return what the report shows of a site."""
    return SiteFacts(
        hardware=site.hardware.id,
        name=site.hardware.name,
        machine=site.machine,
        versions=site.versions,
        created=site.created,
        noise_fraction=site.noise_fraction,
        measuring_s=site.measuring_s,
        samples=sum(len(visit.wall_s) for entry in every_point(site) for visit in entry.visits),
    )


def variant_rows(site: GenerationUnderLoad) -> tuple[GenerationVariantSummary, ...]:
    """Return a row for each variant of a site, each by the setting of its threads that decodes most."""
    rows = []
    inputs, outputs = site.demand.median_tokens
    for variant in site.site.variants:
        admitted = site.admissions[variant.id]
        found = [times for (name, _), times in site.times.items() if name == variant.id]
        # The median context: half of the answer is there.
        decoded = [(times, times.decode_s(times.largest_batch, times.largest_batch * (inputs + outputs // 2))) for times in found]
        best = max(decoded, key=lambda entry: entry[0].largest_batch / entry[1].value, default=None)
        rows.append(
            GenerationVariantSummary(
                id=variant.id,
                title=variant.title,
                bytes=variant.bytes,
                engine=variant.engine,
                weight_bytes=variant.weight_bytes,
                kv_bytes_per_token=variant.kv_bytes_per_token,
                prefill_tokens_per_s=_per_s(best[0].prefill_s(inputs), inputs) if best else None,
                decode_step_s=best[0].decode_s(1, inputs + outputs // 2) if best else None,
                decode_tokens_per_s=_per_s(best[1], best[0].largest_batch) if best else None,
                quality=variant.quality,
                speculation=variant.speculation,
                admitted=admitted.admitted,
                admitted_because=admitted.because,
                student=variant.student,
            )
        )
    return tuple(rows)


def _per_s(step: Estimate, tokens: int) -> Estimate:
    return Estimate(
        value=tokens / step.value, low=tokens / step.high, high=tokens / step.low, basis=step.basis, source=step.source
    )


def load_curve(site: UnderLoad[WayT], way: WayT, replicas: int) -> tuple[LoadPoint, ...]:
    """Return what users of one replica wait for at rates up to what it carries; of clients, at their numbers up to that."""
    carried = capacity(site, way, replicas)
    if carried is None:
        return ()
    found: list[LoadPoint] = []
    for point in _points(site, way, replicas, carried):
        # Clients that only wait for each other ask for no more than fewer of them.
        if not found or point.requests_per_s > found[-1].requests_per_s:
            found.append(point)
    return tuple(found)


def _points(site: UnderLoad[WayT], way: WayT, replicas: int, carried: Capacity) -> Iterator[LoadPoint]:
    asked = sorted({_step(carried, place) for place in range(1, CURVE_POINTS + 1)})
    for scale, clients in asked:
        runs = site.runs(way, replicas if not clients else 1, scale=scale, clients=clients or None)
        source = f"{counted(len(runs), 'simulation')} of one replica"
        times = token_times(runs, site.slo.quantile, replicas=1, basis="simulated", source=source)
        rate = site.demand.requests_per_s
        yield LoadPoint(
            requests_per_s=times.requests_per_s.value if rate is None else scale * rate / replicas,
            ttft_slo_s=times.ttft_s.slo,
            tpot_slo_s=times.tpot_s.slo if times.tpot_s else None,
            output_tokens_per_s=times.output_tokens_per_s.value,
        )


def _step(carried: Capacity, place: int) -> tuple[float, int]:
    """Return the density of the traffic and the clients (0 without any) of a point of the curve."""
    part = place / CURVE_POINTS
    if carried.clients is None:
        return carried.scale * part, 0
    return 1.0, max(1, round(carried.clients * part))


def kv_curve(demand: TokenDemand, each_bytes: float, most: int) -> tuple[KvPoint, ...]:
    """Return the memory of the cache at so many running requests of the workload's lengths and fewer, each half answered."""
    inputs, outputs = demand.mean_tokens
    prefix = demand.shared_prefix
    # What all prompts begin with is there once.
    own = max(inputs - prefix, 1.0) + outputs / 2
    counts = sorted({1 << power for power in range(most.bit_length())} | {most})
    return tuple(KvPoint(running_requests=count, kv_bytes=(prefix + count * own) * each_bytes) for count in counts)


def others(
    sites: Sequence[GenerationUnderLoad], shown: GenerationPrediction | None, confidence: float, today_replicas: int | None
) -> tuple[GenerationPrediction, ...]:
    """Return the cheapest that keeps the targets of each other variant and policy that may be recommended, cheapest first.

    With the limit of running requests of what is shown, where that is as cheap: two limits compared would say nothing of variants.
    """
    found: list[GenerationPrediction] = []
    limit = None if shown is None else shown.candidate.max_running_requests
    for site in sites:
        space = site.ways(site.admitted())
        kinds = dict.fromkeys((way.variant, way.policy) for way in space)
        for kind in kinds:
            if shown is not None and kind == (shown.candidate.variant, shown.candidate.policy) and _is_at(site, shown):
                continue
            alike = [way for way in space if (way.variant, way.policy) == kind]
            alike.sort(key=lambda way: way.max_running_requests != limit)
            best = search([Searchable(site, alike)], confidence, enough=1).cheapest
            found.extend(predict(site, each.way, each.replicas, today_replicas=today_replicas) for each in best)
    return tuple(sorted(found, key=lambda entry: entry.cost_usd_per_hour.value))


def _is_at(site: GenerationUnderLoad, shown: GenerationPrediction) -> bool:
    return shown.candidate.hardware == site.hardware


def not_searched(site: GenerationUnderLoad) -> tuple[int, int]:
    """Return how many candidates are left out: those of variants whose quality is not known to hold, and of those that tie in speed."""
    admitted = site.admitted()
    tied = set(site.speed_ties) & site.eligible() - admitted
    by_quality = count_candidates(site, site.ways(set(site.variants) - admitted - tied))
    return by_quality, count_candidates(site, site.ways(tied))


def speculation(site: GenerationUnderLoad, shown: GenerationPrediction | None) -> tuple[SpeculationAdvice, ...]:
    """Return whether to let the engine guess tokens there: by each draft and by lookup, for each text and variant it was measured of."""
    drafts = [draft.id for draft in site.site.drafts]
    found = []
    for variant, draft, text in product(site.site.variants, (*drafts, None), TEXTS):
        measured = [entry for entry in variant.speculation if (entry.draft, entry.text) == (draft, text)]
        if measured:
            records = sorted(measured, key=lambda entry: entry.running_requests)
            found.append(_advised(records, variant, shown))
    return tuple(found)


def _advised(records: Sequence[Speculation], variant: GenerationVariant, shown: GenerationPrediction | None) -> SpeculationAdvice:
    """Return up to how many running requests it is shown to be faster, and what it does at as many as the advised configuration runs."""
    curve = Speedups(records)
    first = records[0]
    running = None if shown is None else shown.running_requests
    said = [
        f"{ratio(entry.speedup.value)} ({ratio(entry.speedup.low)} to {ratio(entry.speedup.high)}) at "
        f"{counted(entry.running_requests, 'running request')}, {entry.tokens_per_step.value:.2f} tokens a step"
        + (
            ""
            if entry.acceptance is None
            else f", {percent(entry.acceptance.value)} of {entry.proposed_tokens} proposed accepted"
        )
        for entry in records
    ]
    crossing = curve.crossing
    if crossing is not None:
        ends = f"{number(crossing.low)} to {number(crossing.high)}"
        said.append(f"between these it stops to pay at {number(crossing.value)} running requests ({ends})")
    if shown is not None:
        said.append(_at_load(curve, variant, shown))
    by = "" if first.draft is None else f" with the draft {first.draft}"
    return SpeculationAdvice(
        draft=first.draft,
        text=first.text,
        engine=variant.engine,
        variant=variant.id,
        measured_at=tuple(entry.running_requests for entry in records),
        advised_up_to_running_requests=curve.faster_up_to,
        crossing_running_requests=crossing,
        speedup_at_one=first.speedup if first.running_requests == 1 else None,
        running_requests=running,
        speedup=None if running is None else curve.at(running),
        use=None if running is None else curve.use(running),
        because=f"{variant.id}{by}, {TEXTS[first.text]}: {'; '.join(said)}",
    )


def _at_load(curve: "Speedups", variant: GenerationVariant, shown: GenerationPrediction) -> str:
    """Return what it does at the load of the advised configuration, in words."""
    running, speedup = shown.running_requests, curve.at(shown.running_requests)
    whose = "" if shown.candidate.variant == variant.id else f", with {shown.candidate.variant},"
    load = f"the advised configuration{whose} runs {number(running)} on average"
    if speedup is None:
        return f"{load}, where it was not measured"
    return f"{load}, where it is {ratio(speedup.value)} ({ratio(speedup.low)} to {ratio(speedup.high)}) as fast, {speedup.basis}"


class Speedups:
    """The speed-up on one kind of text by running requests: as measured, and between two of these linear in the logarithms of both."""

    def __init__(self, records: Sequence[Speculation]) -> None:
        """`records` are of one text, variant and draft, by ascending requests."""
        self._by = "prompt lookup" if records[0].draft is None else f"the draft {records[0].draft}"
        self._loads = [entry.running_requests for entry in records]
        self._at = np.log([float(load) for load in self._loads])
        found = [entry.speedup for entry in records]
        self._low, self._value, self._high = (
            np.log([max(getattr(speedup, end), SLOWEST) for speedup in found]) for end in ("low", "value", "high")
        )

    def at(self, running: float) -> Estimate | None:
        """Return the speed-up at so many requests on average, None below the fewest and beyond the most that were measured.

        Fewer than one on average are one whenever there is anything to do.
        """
        wanted = max(running, 1.0)
        if not self._loads[0] <= wanted <= self._loads[-1]:
            return None
        low, value, high = (
            float(np.exp(np.interp(math.log(wanted), self._at, logs))) for logs in (self._low, self._value, self._high)
        )
        listed = " and ".join(map(str, self._loads))
        return Estimate(
            value=value,
            low=low,
            high=high,
            basis="measured" if wanted in self._loads else "interpolated",
            source=f"{self._by} at {listed} running requests, between them linear in logarithms",
        )

    @property
    def faster_up_to(self) -> float | None:
        """The most running requests up to which it is shown to be faster, None where it is at none that was measured."""
        if self._low[0] <= 0:
            return None
        crossed = self._crossed(self._low)
        return float(self._loads[-1]) if crossed is None else crossed

    @property
    def crossing(self) -> Estimate | None:
        """The running requests from which on it is slower, None where it is so nowhere, or everywhere, that was measured."""
        value = self._crossed(self._value)
        if value is None:
            return None
        low = self._crossed(self._low) if self._low[0] > 0 else None
        high = self._crossed(self._high)
        return Estimate(
            value=value,
            low=float(self._loads[0]) if low is None else low,
            high=float(self._loads[-1]) if high is None else high,
            basis="interpolated",
            source="where the speed-up, and the ends of its interval, are one; at most as far as was measured",
        )

    def _crossed(self, logs: np.ndarray) -> float | None:
        """Return where the logarithm of a speed-up, above zero at first, is zero."""
        for place in range(len(logs) - 1):
            if logs[place] > 0 >= logs[place + 1]:
                part = logs[place] / (logs[place] - logs[place + 1])
                return float(np.exp(self._at[place] + part * (self._at[place + 1] - self._at[place])))
        return None

    def use(self, running: float) -> Literal["on", "off", "not known"]:
        """Return whether to use it at so many requests on average; it does less the more there are."""
        speedup = self.at(running)
        if speedup is not None:
            return "on" if speedup.low > 1 else "off" if speedup.high < 1 else "not known"
        if running > self._loads[-1]:
            return "off" if self._high[-1] < 0 else "not known"
        return "on" if self._low[0] > 0 else "not known"
