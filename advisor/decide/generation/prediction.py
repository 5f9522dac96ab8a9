"""Site + way to serve + replicas -> GenerationPrediction: what is expected of a candidate, each figure over all runs."""

from collections.abc import Callable, Sequence

from advisor.decide.generation.capacity import Capacity, binding, capacity
from advisor.decide.generation.search import Rentable, fewest_replicas
from advisor.decide.generation.simulation import Run, over_runs, token_times
from advisor.decide.generation.site import GenerationUnderLoad, WayT
from advisor.decide.generation.space import Way, changes
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.queue.prediction import SECONDS_PER_MILLION, drop_of, paid, price_of
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, USUAL_CONFIDENCE
from advisor.decide.service.energy import scaled
from advisor.schema.generation import Binding, GenerationPrediction, GenerationVariant
from advisor.schema.record import Estimate
from advisor.units import counted, percent


def predict(
    site: GenerationUnderLoad,
    way: Way,
    replicas: int,
    *,
    today_replicas: int | None,
    with_capacity: bool = False,
    is_given: bool = False,
) -> GenerationPrediction:
    """Return what is expected of a way to serve on so many replicas.

    If their number `is_given` by the user, the cost follows from the price alone; else it has the interval of the number that is needed.
    `today_replicas` is None where nobody knows it.
    """
    runs = site.runs(way, replicas)
    source = source_of(site, len(runs))

    def estimate(of: Callable[[Run], float]) -> Estimate:
        return over_runs([of(run) for run in runs], "simulated", source)

    times = token_times(runs, site.slo.quantile, replicas=replicas, basis="simulated", source=source)
    carried = capacity(site.serving, way, replicas) if with_capacity else None
    rent = price_of(site, replicas) if is_given else rent_needed(site, way, replicas)
    middle = sorted(runs, key=lambda run: run.utilization)[len(runs) // 2]
    per_request, per_input, per_output = costs(site.demand, rent, times.requests_per_s, middle.prefill_fraction)
    return GenerationPrediction(
        candidate=way.replicated(replicas, site.hardware),
        times=times,
        goodput_fraction=estimate(lambda run: run.kept_fraction(site.slo)),
        capacity_requests_per_s=carried.requests_per_s if carried else None,
        utilization_fraction=estimate(lambda run: run.utilization),
        running_requests=middle.running_requests,
        waiting_requests=middle.waiting_requests,
        kv_use_fraction=max(run.kv_use for run in runs),
        preemptions_per_request=middle.preemptions_per_request,
        prefill_fraction=middle.prefill_fraction,
        binding=_binding(site, way, replicas, carried),
        cost_usd_per_hour=rent,
        cost_usd_per_million_requests=per_request,
        cost_usd_per_million_input_tokens=per_input,
        cost_usd_per_million_output_tokens=per_output,
        quality_drop=quality_drop(site.variants[way.variant]),
        meets_slo=site.meets(way, replicas, USUAL_CONFIDENCE),
        misses_slo=not site.meets(way, replicas, LEAST_CONFIDENCE),
        changes=_changes(site, way, replicas, today_replicas),
    )


def source_of(site: GenerationUnderLoad, runs: int) -> str:
    """Return what the figures of a prediction are from."""
    requests = len(site.load(0, 1).input_tokens)
    return (
        f"{counted(runs, 'simulation')} of up to {requests:,} requests with {counted(site.demand.seeds, 'seed')}, each with other laws of "
        "the measured steps"
    )


def _binding(site: GenerationUnderLoad, way: Way, replicas: int, carried: Capacity | None) -> Binding:
    return carried.binding if carried else binding(site.serving, way, replicas)


def rent_needed(site: Rentable[WayT], way: WayT, replicas: int) -> Estimate:
    """Return the cost per hour of replicas that are so many because of what steps take: as many as either end of these needs."""
    fewest = min(fewest_replicas(site, way, LEAST_CONFIDENCE) or replicas, replicas)
    most: int | None = replicas
    if not site.serving.meets(way, replicas, USUAL_CONFIDENCE):
        most = fewest_replicas(site, way, USUAL_CONFIDENCE, above=replicas)
    if most is None:
        needed = "; at the slow end of the steps no number of them keeps the targets"
    else:
        needed = f"; {counted(fewest, 'replica')} if steps are quick" if fewest < replicas else ""
        needed += f"; {counted(most, 'replica')} if steps are slow" if most > replicas else ""
    return Estimate(
        value=replicas * site.price,
        low=fewest * site.price,
        high=(most or replicas) * site.price,
        basis="simulated",
        source=paid(site, replicas) + needed,
    )


def costs(
    demand: TokenDemand, rent: Estimate, requests_per_s: Estimate, prefill_fraction: float
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the cost per million requests, tokens of prompts, and tokens of answers.

    The two kinds of tokens bear the cost as the time goes that replicas are busy with each; idle time is split alike.
    """
    rate = demand.requests_per_s or requests_per_s.value
    inputs, outputs = demand.mean_tokens
    per_million = SECONDS_PER_MILLION / rate
    split = f"{rent.source}; {percent(prefill_fraction)} of the busy time reads prompts, the rest writes answers"
    return (
        scaled(rent, per_million, f"{rent.source}, idle and peak hours paid alike"),
        scaled(rent, per_million * prefill_fraction / inputs, f"{split}; {inputs:.4g} tokens a prompt"),
        scaled(rent, per_million * (1 - prefill_fraction) / outputs, f"{split}; {outputs:.4g} tokens an answer"),
    )


def quality_drop(variant: GenerationVariant) -> Estimate | None:
    """Return what serving the variant costs in quality, None where that is unknown."""
    return drop_of(variant.quality.perplexity if variant.quality is not None else None, is_lossless=variant.lossless)


def _changes(site: GenerationUnderLoad, way: Way, replicas: int, today_replicas: int | None) -> tuple[str, ...]:
    """Describe what differs from what runs today; empty if nothing does."""
    found = [] if site.is_home else [f"run on {site.hardware} ({site.place.machine})"]
    found.extend(changes(site.today, way))
    if today_replicas is not None and replicas != today_replicas:
        found.append(f"{counted(replicas, 'replica')} instead of {today_replicas}")
    return tuple(found)


def cheapest_first(predictions: Sequence[GenerationPrediction]) -> list[GenerationPrediction]:
    """Return predictions by what they cost, those that keep every target first."""
    return sorted(predictions, key=lambda entry: (not entry.meets_slo, entry.cost_usd_per_hour.value))
