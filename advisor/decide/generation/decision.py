"""The recommendation against what runs today: the best of what was searched, and how far it is known."""

import math
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple

import msgspec

from advisor.decide.generation.prediction import predict
from advisor.decide.generation.search import Chosen, Found, Searchable, SiteT, fewest_replicas, search
from advisor.decide.generation.service.step_time import DRAWS
from advisor.decide.generation.simulation import Reached, place_of
from advisor.decide.generation.site import MAX_REPLICAS, GenerationRequest, GenerationUnderLoad, UnderLoad, WayT
from advisor.decide.generation.space import Way, of_candidate
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE, USUAL_CONFIDENCE
from advisor.schema.generation import GenerationPrediction, TokenTimes
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import TokenSlo
from advisor.units import number, quantile, seconds

# If today's replicas are not known and no number of them keeps the targets, they are as many as keep this utilization.
STABLE_UTILIZATION = 0.8
MAX_TIES = 5
NAMES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "latency_s": "latency"}


Space = Searchable[GenerationUnderLoad, Way]
Best = Found[GenerationUnderLoad, Way]


class Sites(NamedTuple):
    """Where today's configuration runs, where the model may run, and what cannot be evaluated."""

    home: GenerationUnderLoad
    allowed: tuple[GenerationUnderLoad, ...]
    exclusions: tuple[Exclusion, ...]


class Decision(NamedTuple):
    """The recommendation, its site, and what it is compared with; `recommended` is None if nothing fits or is known."""

    at: GenerationUnderLoad
    baseline: GenerationPrediction
    today_is_given: bool  # the user said how many replicas run today: only then is there a cost today
    recommended: GenerationPrediction | None
    ties: tuple[GenerationPrediction, ...] = ()
    unproven: GenerationPrediction | None = None
    miss: GenerationPrediction | None = None
    binding_constraint: str | None = None
    is_open: bool = False  # the answer is not known well enough
    likely: GenerationPrediction | None = None  # the most likely answer, where it is not known
    quick_usd: float | None = None  # what the cheapest costs at the quick end of the steps; None: nothing keeps the targets
    slow_usd: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the recommendation is what runs today: as it is, or in the same configuration where today's replicas are not known."""
        if self.recommended is None:
            return False
        today, advised = self.baseline.candidate, self.recommended.candidate
        same_number = today if self.today_is_given else msgspec.structs.replace(today, replicas=advised.replicas)
        return advised == same_number

    @property
    def shown(self) -> GenerationPrediction | None:
        """What is recommended, or what is most likely."""
        return self.recommended or self.likely


def given_replicas(site: GenerationUnderLoad) -> int | None:
    """Return how many replicas run today, None where the user did not say."""
    return site.workload.baseline.replicas if site.workload.baseline else None


def baseline_today(home: GenerationUnderLoad, confidence: float) -> GenerationPrediction:
    """Return what runs today, with the user's replicas or else as many as it would need to keep the targets, or at least to keep up."""
    given = given_replicas(home)
    replicas = given if given is not None else _needed_today(home, confidence)
    return predict(home, home.today, replicas, today_replicas=given, with_capacity=True, is_given=given is not None)


def _needed_today(home: GenerationUnderLoad, confidence: float) -> int:
    for each in (confidence, MIDDLE_CONFIDENCE, LEAST_CONFIDENCE):
        found = fewest_replicas(home, home.today, each)
        if found is not None:
            return found
    return max(1, math.ceil(home.load_of_one(home.today, 0) / STABLE_UTILIZATION))


def decide(sites: Sites, spaces: list[Space], found: Best, baseline: GenerationPrediction, confidence: float) -> Decision:
    """Return the best of what was searched, compared with what runs today."""
    home, given = sites.home, given_replicas(sites.home)
    start = Decision(at=home, baseline=baseline, today_is_given=given is not None, recommended=None)
    keeps = baseline.meets_slo and baseline.candidate.variant in home.admitted() and home in sites.allowed
    if keeps and (baseline.cost_usd_per_hour.value <= found.usd_per_hour if found.cheapest else given is not None):
        return start._replace(recommended=baseline)
    if found.cheapest:
        as_cheap = {each: _predicted(each, given, with_capacity=True) for each in found.cheapest}
        chosen = roomiest(as_cheap)
        best = as_cheap.pop(chosen)
        ties = [entry for entry in as_cheap.values() if is_tie(entry, best)]
        start = start._replace(at=chosen.site, recommended=best, ties=tuple(ties[:MAX_TIES]))
    unproven = _unproven(sites, start.recommended, confidence)
    start = start._replace(unproven=unproven)
    if start.recommended is not None:
        return start
    site, way, replicas = nearest(spaces)
    miss = predict(site, way, replicas, today_replicas=given, with_capacity=True)
    return start._replace(at=site, miss=miss, binding_constraint=binding_constraint(site, miss, unproven))


def roomiest(as_cheap: Mapping[Chosen[GenerationUnderLoad, Way], GenerationPrediction]) -> Chosen[GenerationUnderLoad, Way]:
    """Return the simplest of equally cheap candidates, with as many requests side by side as let a replica carry most.

    How many may run costs nothing and changes nothing else, and the fewest that keep the targets leave the least room for more traffic.
    Of limits that cannot be told apart by what is carried the lowest is taken. What runs today stays as it is.
    """
    first = next(iter(as_cheap))
    if first.site.is_home and first.way == first.site.today:
        return first
    carried = {
        each: rate
        for each, predicted in as_cheap.items()
        if each.site is first.site and each.way.but_for_the_limit == first.way.but_for_the_limit
        if (rate := predicted.capacity_requests_per_s) is not None
    }
    if not carried:
        return first
    most = max(carried.values(), key=lambda rate: rate.value)
    return next(each for each, rate in carried.items() if rate.overlaps(most))


def _predicted(
    chosen: Chosen[GenerationUnderLoad, Way], today_replicas: int | None, *, with_capacity: bool = False
) -> GenerationPrediction:
    return predict(chosen.site, chosen.way, chosen.replicas, today_replicas=today_replicas, with_capacity=with_capacity)


def is_tie(one: GenerationPrediction, other: GenerationPrediction) -> bool:
    """Return whether neither the times of two equally cheap candidates tell them apart nor what they carry."""
    ours, theirs = one.capacity_requests_per_s, other.capacity_requests_per_s
    return overlap(one.times, other.times) and (ours is None or theirs is None or ours.overlaps(theirs))


def overlap(one: TokenTimes, other: TokenTimes) -> bool:
    """Return whether no time tells two candidates apart."""
    pairs = ((_at_target(one, key), _at_target(other, key)) for key in NAMES)
    return all(ours is None or theirs is None or ours.overlaps(theirs) for ours, theirs in pairs)


def _unproven(sites: Sites, recommended: GenerationPrediction | None, confidence: float) -> GenerationPrediction | None:
    """Return the cheapest candidate among variants whose quality is unknown, if it beats the recommendation."""
    below = math.inf if recommended is None else recommended.cost_usd_per_hour.value
    spaces = [Searchable(site, site.ways(site.unknown())) for site in sites.allowed]
    found = search(spaces, confidence, enough=1, below_usd_per_hour=below)
    return _predicted(found.cheapest[0], given_replicas(sites.home)) if found.cheapest else None


def nearest(spaces: Sequence[Searchable[SiteT, WayT]]) -> Chosen[SiteT, WayT]:
    """Return what comes closest to the targets when requests are alone, by the target that is missed by most; then what carries most."""
    rated = []
    for site, space in spaces:
        serving = site.serving
        targets = (serving.slo.ttft_s, serving.slo.tpot_s, serving.slo.latency_s)
        for place, way in enumerate(space):
            slow = serving.floor(way, DRAWS - 1)
            off = max(reached / target for reached, target in zip(slow, targets, strict=True) if target is not None)
            rated.append((max(off, 1.0), site.price * serving.load_of_one(way, DRAWS - 1), place, site, way))
    _, _, _, site, way = min(rated, key=lambda entry: entry[:3])
    return Chosen(site, way, site.serving.most(way))


class Ends(NamedTuple, Generic[SiteT, WayT]):
    """What is cheapest where steps take what is most likely, and what the cheapest costs where they are quick."""

    likely: Found[SiteT, WayT]  # of what costs less than at the slow end
    quick: Found[SiteT, WayT]  # of what costs less than that
    likely_usd: float
    quick_usd: float  # infinite where nothing keeps the targets


def ends(spaces: Sequence[Searchable[SiteT, WayT]], slow_usd: float) -> Ends[SiteT, WayT]:
    """Return the other ends of an answer that costs so much at the slow end of the steps, infinite for none."""
    likely = search(spaces, MIDDLE_CONFIDENCE, enough=1, below_usd_per_hour=slow_usd)
    likely_usd = min(slow_usd, likely.usd_per_hour)
    quick = search(spaces, LEAST_CONFIDENCE, enough=1, below_usd_per_hour=likely_usd)
    return Ends(likely, quick, likely_usd, min(likely_usd, quick.usd_per_hour))


def weigh(decision: Decision, spaces: list[Space], request: GenerationRequest) -> Decision:
    """Return the decision with how far it is known; nothing is recommended where that is not far enough."""
    slow = decision.recommended
    slow_usd = math.inf if slow is None else slow.cost_usd_per_hour.value
    quick_usd = ends(spaces, slow_usd).quick_usd
    if math.isinf(quick_usd) or slow_usd <= request.max_uncertainty * quick_usd:
        return decision
    given = given_replicas(decision.at)
    likely = search(spaces, MIDDLE_CONFIDENCE, below_usd_per_hour=slow_usd).cheapest
    as_cheap = {each: _predicted(each, given, with_capacity=True) for each in likely}
    chosen = roomiest(as_cheap) if as_cheap else None
    return decision._replace(
        at=decision.at if chosen is None else chosen.site,
        recommended=None,
        ties=(),
        is_open=True,
        likely=slow if chosen is None else as_cheap[chosen],
        binding_constraint=None,
        quick_usd=quick_usd,
        slow_usd=None if slow is None else slow_usd,
    )


def _at_target(times: TokenTimes, key: str) -> Estimate | None:
    """Return a time at the quantile of the target, None where no request has it."""
    found = getattr(times, key)
    return None if found is None else found.slo


def binding_constraint(site: GenerationUnderLoad, miss: GenerationPrediction, unproven: GenerationPrediction | None) -> str:
    """Return what keeps the nearest miss from the targets."""
    way = of_candidate(miss.candidate)
    if unproven is not None and not takes_too_many(site.serving, way):
        return (
            f"quality: {unproven.candidate.variant} is predicted to keep the targets, but its quality was not measured; "
            "set quality.metric: perplexity, quality.max_drop and quality.data"
        )
    return constraint(site.serving, way, miss.times)


def constraint(serving: UnderLoad[WayT], way: WayT, times: TokenTimes) -> str:
    """Return what keeps a way to serve from the targets, which has these times on the most replicas."""
    slo = serving.slo
    if takes_too_many(serving, way):
        busy = serving.load_of_one(way, DRAWS // 2)
        return f"replicas: the work alone keeps {number(busy)} of them busy, and at most {MAX_REPLICAS} are considered"
    alone, level = _slow_end(serving.floors(way)), quantile(slo.quantile)
    for (key, name), what in zip(NAMES.items(), ("prefill", "decode", "service time"), strict=True):
        target, reached = getattr(slo, key), getattr(alone, key)
        if target is not None and reached > target:
            return (
                f"{what}: the {level} {name} of requests that find an idle replica can be {seconds(reached)}, and the target is "
                f"{seconds(target)}"
            )
    return (
        f"headroom: alone on an idle replica requests keep the targets, but with others, and with measurement uncertainty, they can have "
        f"{worst(times, slo)} ({level})"
    )


def takes_too_many(serving: UnderLoad[WayT], way: WayT) -> bool:
    """Return whether the work alone keeps more replicas busy than are considered, though requests by themselves would keep the targets."""
    is_kept_alone = not any(_slow_end(serving.floors(way)).late(serving.slo))
    return is_kept_alone and serving.load_of_one(way, DRAWS - 1) >= MAX_REPLICAS


def _slow_end(floors: Sequence[Reached]) -> Reached:
    place = place_of(USUAL_CONFIDENCE)
    return Reached(*(sorted(column)[place] for column in zip(*floors, strict=True)))


def worst(times: TokenTimes, slo: TokenSlo) -> str:
    """Return the upper end of the time that misses its target by most, in words: "a TTFT of 3.1 s"."""
    found = [
        (reached.high / target, f"a {name} of {seconds(reached.high)}")
        for key, name in NAMES.items()
        if (target := getattr(slo, key)) is not None and (reached := _at_target(times, key)) is not None
    ]
    # Of requests with one token each there is no TPOT to speak of.
    return max(found, default=(0.0, "more than that"))[1]
