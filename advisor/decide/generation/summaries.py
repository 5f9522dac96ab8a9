"""What the report shows beside the candidates: variants, the load curve, the memory of the cache, speculation."""

from collections.abc import Iterator, Sequence

from advisor.decide.generation.capacity import Capacity, capacity
from advisor.decide.generation.prediction import predict
from advisor.decide.generation.search import Searchable, count_candidates, search
from advisor.decide.generation.service.step_time import every_point
from advisor.decide.generation.simulation import token_times
from advisor.decide.generation.site import GenerationUnderLoad, UnderLoad, WayT
from advisor.decide.generation.traffic import TokenDemand
from advisor.schema.advice import SiteFacts
from advisor.schema.generation import (
    Engine,
    GenerationPrediction,
    GenerationSite,
    GenerationVariantSummary,
    KvPoint,
    LoadPoint,
    Speculation,
    SpeculationAdvice,
)
from advisor.schema.record import Estimate
from advisor.units import counted, ratio

CURVE_POINTS = 8
TEXTS = {"given": "the given text", "copying": "text that copies from its prompt", "free": "free text"}


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
                weight_bytes=variant.weight_bytes,
                kv_bytes_per_token=variant.kv_bytes_per_token,
                prefill_tokens_per_s=_per_s(best[0].prefill_s(inputs), inputs) if best else None,
                decode_step_s=best[0].decode_s(1, inputs + outputs // 2) if best else None,
                decode_tokens_per_s=_per_s(best[1], best[0].largest_batch) if best else None,
                quality=variant.quality,
                speculation=variant.speculation,
                admitted=admitted.admitted,
                admitted_because=admitted.because,
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
    """Return the cheapest that keeps the targets of each other variant and policy that may be recommended, cheapest first."""
    found: list[GenerationPrediction] = []
    for site in sites:
        space = site.ways(site.admitted())
        kinds = dict.fromkeys((way.variant, way.policy) for way in space)
        for kind in kinds:
            if shown is not None and kind == (shown.candidate.variant, shown.candidate.policy) and _is_at(site, shown):
                continue
            alike = [way for way in space if (way.variant, way.policy) == kind]
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


def speculation(sites: Sequence[GenerationUnderLoad], shown: GenerationPrediction | None) -> tuple[SpeculationAdvice, ...]:
    """Return whether to let the engine guess tokens, for each kind of text and each variant that it was measured of."""
    found = []
    for site in sites:
        for variant in site.site.variants:
            for text in TEXTS:
                records = sorted(
                    (entry for entry in variant.speculation if entry.text == text), key=lambda entry: entry.running_requests
                )
                if records:
                    found.append(_advised(records, variant.id, variant.engine, shown))
    return tuple(found)


def _advised(
    records: Sequence[Speculation], variant: str, engine: Engine, shown: GenerationPrediction | None
) -> SpeculationAdvice:
    """Return up to how many running requests it is shown to be faster, and what was measured beyond that."""
    up_to: int | None = None
    beyond = None
    for record in records:
        if record.speedup.low <= 1.0:
            beyond = record
            break
        up_to = record.running_requests
    first = records[0]
    said = [
        f"{variant}, {TEXTS[first.text]}: {ratio(entry.speedup.value)} ({ratio(entry.speedup.low)} to {ratio(entry.speedup.high)}) at "
        f"{counted(entry.running_requests, 'running request')}, {entry.tokens_per_step.value:.2f} tokens a step"
        for entry in (records if beyond is None else records[: records.index(beyond) + 1])
    ]
    because = "; ".join(said)
    if shown is not None and up_to is not None:
        running = shown.running_requests
        within = "within" if running <= up_to else "beyond"
        because += f"; the advised configuration runs {running:.1f} on average, {within} that"
    return SpeculationAdvice(
        text=first.text,
        engine=engine,
        advised_up_to_running_requests=None if up_to is None else float(up_to),
        speedup_at_one=first.speedup,
        because=because,
    )
