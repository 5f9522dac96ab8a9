"""The sentences of advice on a generative model: its headline, its risks, what it assumes, and why it is not known."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from advisor.decide.generation.decision import NAMES, Decision, takes_too_many, worst
from advisor.decide.generation.service.step_time import SERVER_FACTOR, every_point
from advisor.decide.generation.site import MAX_REPLICAS, GenerationUnderLoad
from advisor.decide.generation.space import MARGIN_FRACTION, describe_policy, of_candidate
from advisor.decide.generation.traffic import TokenDemand
from advisor.quality_floor import changes
from advisor.schema.advice import BUSY_FRACTION
from advisor.schema.generation import ENGINE_NAMES, DecoderFacts, EncoderFacts, Engine, GenerationCandidate, GenerationPrediction
from advisor.schema.language import Deployment, DeploymentPrediction
from advisor.schema.record import Exclusion
from advisor.schema.workload import GenerationWorkload, TokenSlo
from advisor.units import counted, percent, quantile, rate, seconds, usd
from advisor.visits import ENOUGH_VISITS

NOISY_FRACTION = 0.1
PLAIN: Engine = "onnxruntime"  # that nobody has to be told of
UNTRIED = "predicted from single steps and simulated serving, not yet replayed"
MISSED = "a replay of it missed a target: what was measured stands beside what was expected"
# Assumed of language models elsewhere as well.
SPLIT_BY_TIME = (
    "costs of tokens of prompts and of answers are split as the time goes that replicas spend on reading and on writing"
)
MEANING_OF_ITL = "ITL is the longest gap between two tokens of a request; TPOT is their mean"
SETTLES_IN_A_PART_OF_A_DAY = (
    "assumed: a queue settles within a part of the day, so a short sample of each part stands for all of it"
)
REPLAY = "a replay of the most likely answer: advisor verify"


def promise(slo: TokenSlo) -> str:
    """Return all targets together: "p99 TTFT within 2 s and TPOT within 150 ms"."""
    parts = [f"{name} within {seconds(target)}" for key, name in NAMES.items() if (target := getattr(slo, key)) is not None]
    listed = " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{quantile(slo.quantile)} {listed}"


def asked(demand: TokenDemand) -> str:
    """Return the load in words."""
    if demand.clients is not None:
        return f"{counted(demand.clients, 'client')} side by side"
    return rate(demand.requests_per_s or 0.0)


def headline(decision: Decision, home: GenerationUnderLoad) -> str:
    """Return the decision in one sentence; `home` is where today's configuration runs."""
    recommended, miss = decision.recommended, decision.miss
    kept, load = promise(home.slo), asked(home.demand)
    if decision.is_open:
        return _not_known(decision, f"{kept} at {load}")
    if miss is not None and takes_too_many(decision.at.serving, of_candidate(miss.candidate)):
        return f"{kept} at {load} takes more than {MAX_REPLICAS} replicas of any measured configuration"
    if recommended is None:
        reached = f"; the nearest miss can have {worst(miss.times, home.slo)}" if miss else ""
        return f"No measured configuration keeps {kept} at {load}{reached}"
    if decision.is_kept:
        return _kept(decision, recommended, kept)
    what, cost = _what(decision, recommended), usd(recommended.cost_usd_per_hour.value)
    today = _today(decision, home)
    if not decision.today_is_given:
        return f"{what}: {cost}/h keeps {kept}" + (f"; {today}" if today else "")
    return f"{what}: {cost}/h keeps {kept}; {today}" if today else f"{what}: {cost}/h instead of {_paid(decision)}"


def _kept(decision: Decision, recommended: GenerationPrediction, kept: str) -> str:
    if decision.today_is_given:
        return f"Change nothing: today's configuration keeps {kept}, and nothing cheaper does"
    replicas = recommended.candidate.replicas
    on = f"{counted(replicas, 'replica')} of it keep{'' if replicas > 1 else 's'} {kept}"
    return f"Keep today's configuration: {on}, and nothing cheaper does"


def _paid(decision: Decision) -> str:
    return f"{usd(decision.baseline.cost_usd_per_hour.value)}/h"


def _today(decision: Decision, home: GenerationUnderLoad) -> str | None:
    """Return what today's configuration does not keep, as far as that is shown; None where it keeps its promises."""
    baseline = decision.baseline
    paid = f", at {_paid(decision)}," if decision.today_is_given else ""
    if not baseline.meets_slo:
        does_not = "does not" if baseline.misses_slo else "is not shown to keep it"
        return f"today's configuration{paid} {does_not}"
    if baseline.candidate.variant not in home.eligible():
        return f"today's {baseline.candidate.variant}{paid} loses more quality than allowed"
    return None


def _what(decision: Decision, recommended: GenerationPrediction) -> str:
    """Return what to do: which variant to serve, how, where, and on how many replicas."""
    today, advised = decision.baseline.candidate, recommended.candidate
    if decision.today_is_given and msgspec.structs.replace(today, replicas=advised.replicas) == advised:
        return f"Run today's configuration on {counted(advised.replicas, 'replica')} instead of {today.replicas}"
    what = f"Serve {advised.variant}" if advised.variant != today.variant else "Serve the model as it is"
    engine = decision.at.variants[advised.variant].engine
    by = f" with {ENGINE_NAMES[engine]}" if engine != PLAIN else ""
    where = "" if decision.at.is_home else f" on {decision.at.hardware} ({decision.at.place.machine})"
    side_by_side = f"up to {counted(advised.max_running_requests, 'request')} side by side"
    on = "" if decision.today_is_given and advised.replicas == today.replicas else f", {counted(advised.replicas, 'replica')}"
    return f"{what}{by}{where}, {side_by_side}, {describe_policy(advised)}{on}"


def _not_known(decision: Decision, kept: str) -> str:
    """Return between which answers it is open, and the most likely one."""
    quick, slow, likely = decision.quick_usd, decision.slow_usd, decision.likely
    if likely is None:
        return f"Not known yet whether anything keeps {kept}: most likely nothing does"
    on = f"{counted(likely.candidate.replicas, 'replica')} of {likely.candidate.variant}"
    cost = usd(likely.cost_usd_per_hour.value)
    if quick is None or slow is None:
        return f"Not known yet whether anything keeps {kept}; most likely {on} would, for {cost}/h"
    return f"Not known yet: {usd(quick)} to {usd(slow)}/h keep {kept}; most likely {on} ({cost}/h)"


def because(decision: Decision, sites: Sequence[GenerationUnderLoad]) -> tuple[str, ...]:
    """Return why the answer is not known, a sentence each."""
    reasons = []
    for site in sites:
        noise = site.site.noise_fraction
        if noise is not None and noise > NOISY_FRACTION:
            reasons.append(
                f"the noise floor is {percent(noise)}, by which the same step, measured twice, differs from itself: "
                "the machine was busy with other work, or is uneven"
            )
        visits = [len(entry.visits) for entry in every_point(site.site)]
        if few := [count for count in visits if count < ENOUGH_VISITS]:
            reasons.append(f"few visits: {counted(len(few), 'point')}, with {counted(min(few), 'visit')} of a point at the least")
    shown = decision.likely or decision.miss
    if shown is not None:
        site = next((site for site in sites if site.hardware == shown.candidate.hardware), decision.at)
        times = site.times.get((shown.candidate.variant, shown.candidate.intra_op_num_threads))
        if times is not None:
            inputs, outputs = site.demand.median_tokens
            step = times.decode_s(1, inputs + outputs // 2)
            reasons.append(
                f"a decode step of {shown.candidate.variant} takes {seconds(step.low)} to {seconds(step.high)} ({step.source})"
            )
    return tuple(reasons)


def settled_by(decision: Decision) -> tuple[str, ...]:
    """Return what would settle the answer, a sentence each."""
    ways = ["more visits of every point: advisor profile --fresh with a larger --budget", REPLAY]
    return (*ways, *accepting_it(decision.quick_usd, decision.slow_usd))


def accepting_it(quick_usd: float | None, slow_usd: float | None) -> tuple[str, ...]:
    """Return with which option an answer between these costs counts as known; nothing where an end is not known."""
    if not quick_usd or not slow_usd:
        return ()
    return (f"accepting it: --max-uncertainty {math.ceil(slow_usd / quick_usd * 10) / 10:g}",)


def risks(site: GenerationUnderLoad, shown: GenerationPrediction | None) -> tuple[str, ...]:
    """Return the risks of the recommendation and of the measurements, the gravest first."""
    found = []
    if shown is not None:
        busy = shown.utilization_fraction.value
        if busy > BUSY_FRACTION and not site.demand.is_closed:
            found.append(
                f"utilization is {percent(busy)}: above {percent(BUSY_FRACTION)}, small errors in the time of a step move waiting times "
                "a lot; replay it before relying on it"
            )
        found.extend(of_replicas(shown, shown.candidate, site.demand))
        found.extend(_of_variant(site, shown))
    if site.site.noise_fraction is not None and site.site.noise_fraction > NOISY_FRACTION:
        found.append(f"a noisy machine: a step, measured twice, differs from itself by {percent(site.site.noise_fraction)}")
    if site.place.price_is_stale:
        found.append(f"its price is from {site.place.price_date}: check it before buying")
    tried = [replay for replay in site.site.replays if shown is not None and replay.candidate == shown.candidate]
    if not tried:
        found.append(UNTRIED)
    elif not tried[-1].meets_slo:
        found.append(MISSED)
    return tuple(found)


def of_replicas(
    shown: GenerationPrediction | DeploymentPrediction, served: GenerationCandidate | Deployment, demand: TokenDemand
) -> Iterator[str]:
    """Yield the risks of so many replicas with such a cache: no room for more traffic, a cache that runs full, a failure."""
    capacity, load = shown.capacity_requests_per_s, demand.requests_per_s
    if capacity is not None and load is not None:
        room = capacity.low / load - 1
        holds = f"headroom: the targets hold up to {rate(capacity.low)}, {percent(room)} above the stated traffic"
        may_not = f"no headroom is shown: the targets may hold only up to {rate(capacity.low)}, below the stated traffic"
        yield holds if room >= 0 else may_not
    if shown.preemptions_per_request > 0:
        yield (
            f"the cache of {served.kv_tokens:,} tokens runs full: {shown.preemptions_per_request:.2g} preemptions a request, whose prompts "
            "are read again"
        )
    if served.replicas == 1:
        yield "a single replica: its failure is an outage"


def _of_variant(site: GenerationUnderLoad, shown: GenerationPrediction) -> list[str]:
    """Return what is to be known of the variant: the quality that it loses, and requests that are longer than any measured step."""
    found = []
    variant = site.variants[shown.candidate.variant]
    if not variant.lossless and variant.quality is not None:
        metric, drop = variant.quality.perplexity.metric, variant.quality.perplexity.drop
        found.append(
            f"{metric} {changes(metric)} by {percent(drop.value)}, up to {percent(drop.high)}, on {variant.quality.tokens:,} tokens"
        )
    today = site.variants.get(site.today.variant)
    if today is not None and today.engine != variant.engine:
        found.append(
            f"the server changes with it: {ENGINE_NAMES[variant.engine]}, where {ENGINE_NAMES[today.engine]} is what serves {today.id}"
        )
    times = site.times[shown.candidate.variant, shown.candidate.intra_op_num_threads]
    if site.demand.longest_tokens > times.largest_context:
        found.append(
            f"requests have up to {site.demand.longest_tokens:,} tokens, and steps were measured with up to {times.largest_context:,} "
            "cached: beyond it the law goes on, unmeasured"
        )
    for law, name in ((times.decode, "decode steps"), (times.prefill, "prompts")):
        if law.is_off:
            found.append(
                f"{name} of {variant.id} lie {percent(math.expm1(law.misfit_sigma))} off what is simulated, beyond their noise; "
                "the intervals are that much wider"
            )
    return found


def assumptions(site: GenerationUnderLoad) -> tuple[str, ...]:
    """Return the assumptions, a sentence each."""
    low, high = SERVER_FACTOR["low"], SERVER_FACTOR["high"]
    assumed = [
        f"assumed without a replay: a step may take {low:g} to {high:g} times as long inside a server as in the profile",
        "assumed: a replica is one machine like the profiled one, and the load balancer picks replicas at random",
        SPLIT_BY_TIME,
        f"the cache gets what {percent(1 - MARGIN_FRACTION)} of the memory leave beside the weights, and no more than the requests "
        "that run side by side can use",
        f"no more than {max(times.largest_batch for times in site.times.values())} requests side by side are considered, the most of a "
        "measured step",
        MEANING_OF_ITL,
    ]
    if site.site.clock == "cpu":
        assumed.append(
            "times are those of the processor's clock, for the machine was busy with other work: what users wait for on a machine of "
            "the model's own"
        )
    if site.demand.shared_prefix:
        assumed.append(
            f"assumed: the server keeps the {site.demand.shared_prefix:,} tokens that all prompts begin with: only the first is read whole"
        )
    assumed.extend(_of_encoder(site.demand.room.encoder))
    if site.workload.traffic.diurnal is not None:
        assumed.append(SETTLES_IN_A_PART_OF_A_DAY)
    return (*assumed, *site.demand.notes)


def _of_encoder(encoder: EncoderFacts | None) -> Iterator[str]:
    """Yield how what an encoder reads is served and counted."""
    if encoder is not None:
        yield (
            "requests side by side take turns within a decode step, a call for each: all that share a call of the exported graphs would "
            "have to have answers of one length"
        )
        yield "in the cache a token of an input and one of an answer count alike, with the larger size of the two"
        begun = counted(encoder.start_tokens, "token")
        yield f"TTFT is that of the encoder and of the first step of the decoder, which reads the {begun} that every answer begins with"


def whole_inputs(model: DecoderFacts) -> tuple[Exclusion, ...]:
    """Return the policies that are none for a model with an encoder."""
    if model.encoder is None:
        return ()
    reason = "an encoder reads an input whole, for each of its places looks at all others, and nothing can be decoded before"
    return (Exclusion(what="prompts in chunks, mixed steps", reason=reason),)


def not_admitted(sites: Sequence[GenerationUnderLoad]) -> tuple[Exclusion, ...]:
    """Return the variants that may not be recommended, with the reason, each once, and with its site where reasons differ."""
    reasons: dict[str, dict[str, str]] = {}
    for site in sites:
        for name, entry in site.admissions.items():
            if not entry.admitted:
                reasons.setdefault(name, {})[site.hardware] = entry.because
    found = []
    for name, by_site in reasons.items():
        if len(set(by_site.values())) == 1:
            found.append(Exclusion(what=name, reason=next(iter(by_site.values()))))
        else:
            found.extend(Exclusion(what=f"{name} on {hardware}", reason=reason) for hardware, reason in by_site.items())
    return tuple(found)


def as_fast_as_simpler(sites: Sequence[GenerationUnderLoad]) -> tuple[Exclusion, ...]:
    """Return the variants that could be recommended but are no faster than a simpler one, as far as was measured."""
    found: dict[str, str] = {}
    for site in sites:
        for name in site.eligible() - site.admitted():
            found.setdefault(name, site.speed_ties[name])
    return tuple(
        Exclusion(what=name, reason=f"as fast as {simpler}, as far as was measured: the simpler one is kept")
        for name, simpler in sorted(found.items())
    )


def without_use(workload: GenerationWorkload) -> tuple[Exclusion, ...]:
    """Return the keys of the workload that this advice makes no use of."""
    found = []
    if workload.lifecycle is not None:
        found.append(Exclusion(what="lifecycle", reason="the effort of a change is not weighed against its saving here"))
    today = workload.baseline
    if today is not None and (today.instances or 1) > 1:
        found.append(
            Exclusion(what="baseline.instances", reason="a replica serves one model, with all requests side by side in it")
        )
    if today is not None and today.max_queue_delay_s > 0:
        found.append(
            Exclusion(what="baseline.max_queue_delay_s", reason="requests join the next step: none waits for a batch to fill")
        )
    return tuple(found)
