"""The request, and the sites to search: measured ones as they were measured, others projected from these."""

from collections.abc import Callable
from typing import NamedTuple

from advisor.decide.lifetime.inputs import Market
from advisor.decide.queue.demand import Demand
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.decide.queue.site import Question, SiteUnderLoad
from advisor.decide.queue.space import baseline_configuration
from advisor.decide.queue.speed_ties import speed_ties
from advisor.decide.service.measured import service_of, undisturbed
from advisor.decide.service.projected import Source, projected
from advisor.errors import InputError
from advisor.schema.advice import Place, SpeedTie
from advisor.schema.arrays.trace import Trace
from advisor.schema.catalog import DistilledPair, LifetimeModel, PublicMeasurements, Rule
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.profile import Profile, Site
from advisor.schema.record import Exclusion, Record
from advisor.schema.workload import Baseline, OnlineWorkload

NOTHING_KNOWN = Market(model=LifetimeModel(constants={}, levers=()))
NOTHING_PUBLIC = PublicMeasurements(series=(), errors=(), efficiency={}, sources={})


class Request(Record, frozen=True, kw_only=True):
    """What is asked, in addition to the profile; `profile_path` and the dates are shown in the report."""

    workload: OnlineWorkload
    rules: tuple[Rule, ...]
    profile_sha256: str
    profile_path: str | None
    created: str
    home: Place  # where today's configuration runs, whether it may stay there or not
    places: tuple[Place, ...]  # where the model may run, with what it costs
    exclusions: tuple[Exclusion, ...] = ()  # hardware that was asked for, but cannot be evaluated
    market: Market = NOTHING_KNOWN  # of prices and effort
    public: PublicMeasurements = NOTHING_PUBLIC  # what projections stand on
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY  # factor by which the cost may be uncertain for the answer to count as known
    notes: tuple[str, ...] = ()  # on how the workload was read
    confidence: float = USUAL_CONFIDENCE  # with which the recommendation has to keep the target, at least the usual one
    with_stalls: bool = True  # predict what the machine's stalls do to a candidate
    distilled: tuple[DistilledPair, ...] = ()  # published students, from which it is assumed what others keep


class Measured:
    """What a profile alone says of its sites, whatever is asked: worked out once for any number of workloads."""

    def __init__(self, profile: Profile) -> None:
        """`cleaned` are the sites of the profile, in its order, with the visits that count."""
        self.cleaned = tuple(map(undisturbed, profile.sites))
        pairs = zip(profile.sites, self.cleaned, strict=True)
        self.sources = {site.hardware.id: Source(site, service_of(site, counted)) for site, counted in pairs}
        self._ties: dict[str, dict[str, dict[str, SpeedTie]]] = {}

    def ties(self, today: str) -> dict[str, dict[str, SpeedTie]]:
        """Return by site the variants that tie in speed with a simpler one, where this variant runs today."""
        if today not in self._ties:
            self._ties[today] = {id_: speed_ties(source.site, today) for id_, source in self.sources.items()}
        return self._ties[today]


class Sites(NamedTuple):
    """Where today's configuration runs, where the model may run at a known speed, and what cannot be evaluated."""

    home: SiteUnderLoad
    allowed: tuple[SiteUnderLoad, ...]
    exclusions: tuple[Exclusion, ...]
    cleaned: tuple[Site, ...]  # those of the profile, in its order, with the visits that count


def under_load(
    profile: Profile,
    request: Request,
    trace: Trace | None,
    *,
    is_over: Callable[[], bool] | None = None,
    known: Measured | None = None,
) -> Sites:
    """Return the sites of the request's places under its workload; a search there ends as soon as `is_over()`.

    `known` is what was worked out of the same profile before. Raises InputError where nothing was measured at home.
    """
    workload, home = request.workload, request.home
    known = Measured(profile) if known is None else known
    measured = known.sources
    if home.hardware.id not in measured:
        raise InputError(
            f"baseline.hardware: nothing was measured on {home.hardware.id!r}", hint=f"the profile has: {', '.join(measured)}"
        )
    first = measured[home.hardware.id]
    question = Question(
        model=profile.model,
        settings=profile.settings,
        workload=workload,
        trace=trace,
        home=home.hardware.id,
        today=baseline_configuration(first.site, workload.baseline or Baseline()),
        confidence=request.confidence,
        with_stalls=request.with_stalls,
        is_over=is_over,
    )
    ties = known.ties(question.today.variant)
    sources = [first, *(source for source in measured.values() if source is not first)]
    demands: dict[tuple[int, ...], Demand] = {}

    def site_at(place: Place) -> SiteUnderLoad:
        source = measured.get(place.hardware.id)
        if source is not None:
            return SiteUnderLoad(question, place, source.service, ties[place.hardware.id], demands)
        service = projected(place, profile.model, sources, request.public)
        return SiteUnderLoad(question, place, service, _ties_of([ties[source.site.hardware.id] for source in sources]), demands)

    at_home = site_at(home)
    sites = [at_home if place.hardware.id == home.hardware.id else site_at(place) for place in request.places]
    return Sites(
        home=at_home,
        allowed=tuple(site for site in sites if site.grids),
        exclusions=tuple(exclusion for site in sites for exclusion in site.exclusions),
        cleaned=known.cleaned,
    )


def _ties_of(by_source: list[dict[str, SpeedTie]]) -> dict[str, SpeedTie]:
    """Return the ties of all sources, of a variant those of the earlier source."""
    found: dict[str, SpeedTie] = {}
    for ties in reversed(by_source):
        found |= ties
    return found
