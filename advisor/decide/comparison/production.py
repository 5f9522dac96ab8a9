"""Advice and what production says now -> whether it still holds, or what has to be done again: advising, or measuring first."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from advisor import __version__, units
from advisor.decide.comparison.answers import AnyAdvice, answer
from advisor.errors import InputError
from advisor.schema.advice import Advice, OfflineAdvice, Prediction
from advisor.schema.gate.production import Outcome, ProductionCheck, ProductionFigure, ProductionFinding, Seen, Standing
from advisor.schema.generation import GenerationAdvice, GenerationPrediction
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.schema.record import SCHEMA_VERSION, Estimate

GRAVITY: tuple[Standing, ...] = ("valid", "expired", "re-advise", "re-measure")
DAY_S = 0.8 * units.SECONDS_PER_DAY  # what is watched for nearly a day has seen its peak and its valley
Online = Advice | GenerationAdvice | LanguageAdvice
AnyPrediction = Prediction | GenerationPrediction | DeploymentPrediction
LATENCIES: tuple[ProductionFigure, ...] = ("latency", "ttft", "tpot")


class Running(NamedTuple):
    """What is known of production: its figures, and how long they were watched; digest and versions of what runs, as far as given."""

    figures: Mapping[ProductionFigure, Seen]
    span_s: float | None
    replicas: int | None  # that the figures are of; None: all
    models: frozenset[str]  # digests
    runtimes: Mapping[str, str]  # version by name; "" stands for the one that runs the model


class Promise(NamedTuple):
    """What advice says of the configuration that it recommends, for as many replicas as production's figures are of."""

    rate: float
    rates: tuple[float, float]  # over the day
    capacity: Estimate | None
    latencies: Mapping[ProductionFigure, tuple[Estimate | None, float]]  # predicted, and the target
    utilization: Estimate


def quantile_of(advice: AnyAdvice) -> float:
    """Return the quantile of the workload's target; raise InputError for advice on a batch job, or that recommends nothing."""
    return _served(advice)[0].workload.slo.quantile


def instances_of(advice: AnyAdvice, replicas: int | None) -> int:
    """Return how many instances work side by side in so many replicas, or in all that are recommended."""
    _, shown = _served(advice)
    count = replicas or _replicas(shown)
    return count * (shown.candidate.instances if isinstance(shown, Prediction) else 1)


def check(advice: AnyAdvice, running: Running, *, margin: float, now: str) -> ProductionCheck:
    """Return how the advice stands to production; the gravest finding decides.

    Raises InputError for advice that promises nothing of traffic, for another replica count than there is, and for a runtime it does not
    name.
    """
    about, shown = _served(advice)
    replicas = running.replicas or _replicas(shown)
    if replicas > _replicas(shown):
        raise InputError(
            f"--replicas: {replicas}, and the advice recommends {_replicas(shown)}", hint="give how many the metrics are of"
        )
    promise = _promise(about, shown, replicas / _replicas(shown), running.span_s)
    until = answer(advice, now).side.valid_until
    findings = (
        *_of_model(about, running),
        *_of_runtime(about, shown, running),
        *_of_figures(promise, running, margin),
        *_of_prices(until, now),
    )
    return ProductionCheck(
        schema_version=SCHEMA_VERSION,
        created=now,
        advisor_version=__version__,
        workload=about.workload.name,
        advised=about.created,
        standing=_outcome(findings),
        valid_until=until,
        replicas=replicas,
        findings=findings,
        notes=tuple(_notes(promise, running)),
    )


def _outcome(findings: tuple[ProductionFinding, ...]) -> Outcome:
    """Return the gravest of the findings; that all is well is said only where a figure of production was held against the advice."""
    standings: list[Standing] = [it.standing for it in findings if it.standing is not None]
    gravest: Standing = max(standings, key=GRAVITY.index, default="valid")
    is_told = any(it.seen is not None and it.standing is not None for it in findings)
    return "cannot be told" if gravest == "valid" and not is_told else gravest


def _served(advice: AnyAdvice) -> tuple[Online, AnyPrediction]:
    if isinstance(advice, OfflineAdvice):
        raise InputError("advice on a batch job: it promises nothing of traffic", hint="check advice on a service")
    if advice.recommended is None:
        raise InputError("the advice recommends nothing that production could keep", hint="read it with `advisor report`")
    return advice, advice.recommended


def _replicas(shown: AnyPrediction) -> int:
    return shown.deployment.replicas if isinstance(shown, DeploymentPrediction) else shown.candidate.replicas


def _promise(advice: Online, shown: AnyPrediction, share: float, span_s: float | None) -> Promise:
    rate, capacity = advice.mean_requests_per_s * share, shown.capacity_requests_per_s
    day = advice.workload.traffic.diurnal
    low = high = rate
    if day is not None and (span_s is None or span_s < DAY_S):
        mean = sum(day) / len(day)
        low, high = rate * min(day) / mean, rate * max(day) / mean
    return Promise(rate, (low, high), _times(capacity, share), _latencies(advice, shown), shown.utilization_fraction)


def _times(estimate: Estimate | None, factor: float) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(
        value=estimate.value * factor,
        low=estimate.low * factor,
        high=estimate.high * factor,
        basis=estimate.basis,
        source=estimate.source,
    )


def _latencies(advice: Online, shown: AnyPrediction) -> dict[ProductionFigure, tuple[Estimate | None, float]]:
    """Return what was predicted at the quantile of each target; of a day with a peak, up to the peak's."""
    slo = advice.workload.slo
    if isinstance(shown, Prediction):
        predicted, busiest = shown.latency_slo_s, shown.latency_busiest_s
        if busiest is not None and busiest.high > predicted.high:
            predicted = Estimate(
                value=predicted.value, low=predicted.low, high=busiest.high, basis=predicted.basis, source=predicted.source
            )
        return {} if slo.latency_s is None else {"latency": (predicted, slo.latency_s)}
    times, targets = shown.times, advice.workload.slo
    found: dict[ProductionFigure, tuple[Estimate | None, float]] = {}
    for figure, name in (("latency", "latency_s"), ("ttft", "ttft_s"), ("tpot", "tpot_s")):
        target, quantiles = getattr(targets, name), getattr(times, name)
        if target is not None:
            found[figure] = (None if quantiles is None else quantiles.slo, target)  # type: ignore[index]  # one of the three
    return found


# --- what was changed ----------------------------------------------------------------------------------------------------------


def _of_model(advice: Online, running: Running) -> Iterator[ProductionFinding]:
    """Yield whether what runs is the model that was measured, or a variant of it."""
    known = {advice.model.sha256}
    if isinstance(advice, Advice):
        known |= {variant.sha256 for variant in advice.variants}
    for digest in sorted(running.models):
        is_known = digest in known
        because = f"{digest[:12]} runs, " + ("as measured" if is_known else f"and the advice is on {advice.model.sha256[:12]}")
        yield _finding("model", "valid" if is_known else "re-measure", because)


def _of_runtime(advice: Online, shown: AnyPrediction, running: Running) -> Iterator[ProductionFinding]:
    """Yield whether the versions that run are those that were measured."""
    if not running.runtimes:
        return
    if isinstance(advice, LanguageAdvice) or isinstance(shown, DeploymentPrediction):
        raise InputError("--runtime-version: advice on a language model elsewhere names no runtime", hint="leave it out")
    measured = next((site for site in advice.sites if site.hardware == shown.candidate.hardware), advice.sites[0]).versions
    for name, version in running.runtimes.items():
        engine = next((it.engine for it in getattr(advice, "variants", ()) if getattr(it, "engine", None)), "onnxruntime")
        asked = name or ("openvino-genai" if engine == "openvino" else "onnxruntime")
        if asked not in measured:
            raise InputError(
                f"--runtime-version: nothing was measured with {asked!a}"[:200],
                hint=f"versions are known of: {', '.join(measured)}",
            )
        is_same = measured[asked] == version
        because = f"{asked} {version[:40]} runs, " + ("as measured" if is_same else f"and {measured[asked]} was measured")
        yield _finding("runtime", "valid" if is_same else "re-measure", because)


def _of_prices(until: str | None, now: str) -> Iterator[ProductionFinding]:
    if until is not None:
        is_over = units.days_between(now, until) < 0
        yield _finding("prices", "expired" if is_over else "valid", f"the advice {'held' if is_over else 'holds'} until {until}")


# --- figures -------------------------------------------------------------------------------------------------------------------


def _of_figures(promise: Promise, running: Running, margin: float) -> Iterator[ProductionFinding]:
    rate = running.figures.get("rate")
    traffic: Standing | None = None
    if rate is not None:
        finding = _of_rate(rate, promise, margin)
        traffic = finding.standing
        yield finding
    is_more = traffic == "re-advise" and rate is not None and rate.low > promise.rates[1]
    for figure in LATENCIES:
        seen, asked = running.figures.get(figure), promise.latencies.get(figure)
        if seen is not None and asked is not None:
            yield _of_latency(figure, seen, *asked, margin=margin, is_more=is_more)
    busy = running.figures.get("utilization")
    if busy is not None:
        yield _of_utilization(busy, promise, rate, margin, is_more=is_more)


def _of_rate(seen: Seen, promise: Promise, margin: float) -> ProductionFinding:
    low, high = promise.rates
    promised = Estimate(value=promise.rate, low=low, high=high, basis="measured", source="the workload's traffic")
    standing: Standing = "valid"
    because = f"{units.rate(seen.value)}, advised for {units.rate(promise.rate)}"
    if seen.low > high * (1 + margin) or (seen.high is not None and seen.high < low * (1 - margin)):
        standing = "re-advise"
        because += f": beyond the margin of {units.percent(margin)}"
    elif promise.capacity is not None and seen.low > promise.capacity.high * high / promise.rate:  # it is carried on average
        standing = "re-advise"
        because += f": more than the {units.rate(promise.capacity.value)} that it carries"
    return ProductionFinding(what="rate", promised=promised, limit=None, seen=seen, standing=standing, because=because)


def _of_latency(
    figure: ProductionFigure, seen: Seen, predicted: Estimate | None, target: float, *, margin: float, is_more: bool
) -> ProductionFinding:
    """Return whether a latency is slower than promised; where there is more traffic than advised for, that may be why.

    What is predicted knows nothing of the network: it is exceeded where a margin of the target is.
    """
    worst = target if predicted is None else min(target, predicted.high + margin * target)
    standing: Standing | None = "valid" if not _is_beyond(seen, worst) else "re-advise" if is_more else "re-measure"
    if standing == "valid" and seen.high is None:  # anything beyond its lower end
        standing = None
    because = f"{_ends(seen)}, predicted {_interval(predicted)}, promised {units.seconds(target)}"
    return ProductionFinding(what=figure, promised=predicted, limit=target, seen=seen, standing=standing, because=because)


def _of_utilization(seen: Seen, promise: Promise, rate: Seen | None, margin: float, *, is_more: bool) -> ProductionFinding:
    """Return whether servers are busier than predicted for as many requests as there are."""
    factor = rate.value / promise.rate if rate is not None and promise.rate > 0 else 1.0
    promised = _times(promise.utilization, factor)
    assert promised is not None
    is_busy = seen.low > promised.high * (1 + margin)
    standing: Standing | None = "valid" if not is_busy else "re-advise" if is_more else "re-measure"
    if factor == 0:  # what a server is busy with while no request comes says nothing of requests
        standing = None
    because = f"{units.percent(seen.value)} busy, predicted {units.percent(promised.value)} at this rate"
    return ProductionFinding(what="utilization", promised=promised, limit=None, seen=seen, standing=standing, because=because)


def _finding(what: str, standing: Standing, because: str) -> ProductionFinding:
    return ProductionFinding(what=what, promised=None, limit=None, seen=None, standing=standing, because=because)


def _is_beyond(seen: Seen, limit: float) -> bool:
    """Return whether a figure is more than a limit; the lower edge of a bucket is not in it."""
    return seen.low > limit or (seen.low == limit and seen.high != seen.low)


def _ends(seen: Seen) -> str:
    if seen.high is None:
        return f"more than {units.seconds(seen.low)}"
    if seen.low == seen.high:
        return units.seconds(seen.value)
    return f"{units.seconds(seen.value)} ({units.ends(seen.low, seen.high, units.seconds)})"


def _interval(predicted: Estimate | None) -> str:
    return "nothing" if predicted is None else units.ends(predicted.low, predicted.high, units.seconds)


def _notes(promise: Promise, running: Running) -> Iterator[str]:
    """Yield what could not be told, and what is better than promised."""
    rate = running.figures.get("rate")
    if rate is None:
        yield "no rate is in the metrics: give two scrapes, so that it is known whether the traffic is still the same"
    if not any(figure in running.figures for figure in promise.latencies):
        yield f"no latency is in the metrics that the target is on: {', '.join(promise.latencies)}"
    for figure, (predicted, target) in promise.latencies.items():
        seen = running.figures.get(figure)
        if seen is None:
            continue
        if not _is_beyond(seen, target) and (seen.high is None or seen.high > target):
            yield f"{figure}: the target of {units.seconds(target)} lies inside {_ends(seen)}, which metrics tell no finer"
        elif predicted is not None and seen.high is not None and seen.high < predicted.low:
            yield f"{figure}: quicker than predicted ({_ends(seen)}); measuring again may save replicas"
