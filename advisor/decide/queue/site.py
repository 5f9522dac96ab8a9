"""One site under the workload's load: what every question about a candidate there needs, made once."""

import math
from collections.abc import Callable
from functools import cached_property

import msgspec
import numpy as np

from advisor.decide.queue.bounds import Streams, streams_of
from advisor.decide.queue.demand import Demand
from advisor.decide.queue.search import Found, Searchable, count_candidates, search_places
from advisor.decide.queue.simulator import USUAL_CONFIDENCE, Simulator
from advisor.decide.queue.space import Configuration, admission, configurations
from advisor.decide.service import energy
from advisor.decide.service.measured import Service, setting_of
from advisor.schema.advice import Place, SpeedTie
from advisor.schema.arrays.trace import Trace
from advisor.schema.model import ModelFacts
from advisor.schema.profile import ProfileSettings
from advisor.schema.record import Record
from advisor.schema.workload import OnlineWorkload, Traffic


class Question(Record, frozen=True, kw_only=True):
    """What is asked of every site alike.

    A candidate has to keep the target with `confidence`; a search ends as soon as `is_over()`.
    """

    model: ModelFacts
    settings: ProfileSettings
    workload: OnlineWorkload
    trace: Trace | None
    home: str  # the hardware on which today's configuration runs
    today: Configuration
    confidence: float = USUAL_CONFIDENCE
    with_stalls: bool = True  # predict what a candidate does with those of the machine
    is_over: Callable[[], bool] | None = None


class SiteUnderLoad:
    """A machine, how fast variants run there, what it costs, and the requests that it would get."""

    def __init__(
        self,
        question: Question,
        place: Place,
        service: Service,
        speed_ties: dict[str, SpeedTie],
        demands: dict[tuple[int, ...], Demand] | None = None,
    ) -> None:
        """`speed_ties` holds the variants that tie in speed with a simpler one on the site that the service times are from.

        `demands` are those of sites of the same question, by the measured lengths: a trace of millions is sorted into them once.
        """
        workload, trace = question.workload, question.trace
        self.question = question
        self.model, self.settings, self.workload = question.model, question.settings, workload
        self.today = question.today
        self.place, self.service, self.speed_ties = place, service, speed_ties
        self.hardware = place.hardware.id
        self.is_home = self.hardware == question.home
        self.grids, self.ground, self.exclusions = service.grids, service.ground, service.exclusions
        known = {length for grid in self.grids.values() for length in grid.lengths if length is not None}
        self.measured_lengths = tuple(sorted(known))
        demands = {} if demands is None else demands
        if self.measured_lengths not in demands:
            demands[self.measured_lengths] = Demand(
                workload,
                lengths=self.measured_lengths or (None,),
                trace_s=None if trace is None else np.asarray(trace.arrival_s, dtype=float),
                trace_length=None if trace is None or trace.sequence_length is None else np.asarray(trace.sequence_length),
            )
        self.demand = demands[self.measured_lengths]
        self.stalls = service.stalls if question.with_stalls else None
        self.simulator = self._simulator(self.demand, USUAL_CONFIDENCE)
        self._supposing = {(USUAL_CONFIDENCE, False): self.simulator}
        # The recommendation may have to hold with more confidence than the reported intervals have.
        self.feasibility = self.supposing(question.confidence)
        self.rent = place.price_usd_per_hour
        self.price = self.rent.value
        self.carbon = place.carbon
        self.busy_watts = energy.busy_watts(place, service.power)
        self.variants = {variant.id: variant for variant in service.variants}
        self.admissions = {variant.id: admission(variant, workload) for variant in service.variants}
        self.asked_lengths = _asked_lengths(workload, trace)

    def _simulator(self, demand: Demand, confidence: float, *, is_server_known: bool = False) -> Simulator:
        return Simulator(
            demand,
            self.grids,
            self.service.calibrations,
            self.service.trial,
            confidence=confidence,
            stalls=self.stalls,
            quota_cores=self.service.quota_cores,
            is_server_known=is_server_known,
        )

    @cached_property
    def streams(self) -> Streams | None:
        """What the streams of the demand prove by themselves: the same for all searches here."""
        return streams_of(self.demand, self.workload.slo.quantile)

    def eligible(self) -> set[str]:
        """The variants whose quality lets them be recommended, those that tie in speed with a simpler one among them."""
        return {
            name for name, entry in self.admissions.items() if entry.admitted or (entry.is_unknown and name == self.today.variant)
        }

    def admitted(self) -> set[str]:
        """The variants that may be recommended: today's own is one unless its quality was measured and fell short.

        Of equally fast variants only the simplest is one, if that one may be recommended itself.
        """
        allowed = self.eligible()
        return {name for name in allowed if name not in self.speed_ties or self.speed_ties[name].simpler not in allowed}

    def space(self, variants: set[str]) -> list[Configuration]:
        """Return every configuration of these variants that can run here, simplest first."""
        space = configurations(self.grids, self.workload, self.today, variants)
        # Other hardware may not have the setting that runs today.
        return [entry for entry in space if setting_of(entry) in self.grids]

    def count(self, variants: set[str]) -> int:
        """Return how many candidates these variants have here, replicas counted; nothing is simulated."""
        return count_candidates(self.feasibility, self.space(variants), self.workload.slo.quantile)

    def supposing(self, confidence: float, *, is_server_known: bool = False) -> Simulator:
        """Return the simulator of calls that are no slower than with this confidence; what a server adds may be taken as known."""
        key = (confidence, is_server_known)
        if key not in self._supposing:
            self._supposing[key] = self._simulator(self.demand, confidence, is_server_known=is_server_known)
        return self._supposing[key]

    def search(self, space: list[Configuration]) -> Found:
        """Return the cheapest candidates of the space that keep the target."""
        slo = self.workload.slo
        return search_places(
            [self.searchable(space, self.question.confidence)],
            quantile=slo.quantile,
            target_s=slo.latency_s,
            is_over=self.question.is_over,
        )

    def searchable(self, space: list[Configuration], confidence: float, *, is_server_known: bool = False) -> Searchable:
        """Return what is searched here of calls that are no slower than with this confidence."""
        simulator = self.supposing(confidence, is_server_known=is_server_known)
        return Searchable(simulator, space, self.price, self.streams)

    def cheapest(
        self, space: list[Configuration], confidence: float, *, below_usd_per_hour: float = math.inf
    ) -> tuple[Configuration, int] | None:
        """Return the cheapest candidate that keeps the target if calls are no slower than with this confidence."""
        slo = self.workload.slo
        place = self.searchable(space, confidence).below(below_usd_per_hour)
        found = search_places([place], quantile=slo.quantile, target_s=slo.latency_s, enough=1, is_over=self.question.is_over)
        return found.cheapest[0] if found.cheapest else None

    def fewest_replicas(self, configuration: Configuration, confidence: float, *, above: int = 0, most: int) -> int | None:
        """Return the fewest replicas, more than `above` and up to `most`, that keep the target with this confidence.

        By bisection: with more replicas each is less busy, and seldom waits longer for a batch to fill. None where `most` do not.
        """
        simulator, slo = self.supposing(confidence), self.workload.slo

        def is_enough(replicas: int) -> bool:
            return simulator.meets(configuration, replicas, quantile=slo.quantile, target_s=slo.latency_s, by_stretches=True)

        if most <= above or not is_enough(most):
            return None
        low, high = above, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_enough(middle) else (middle, high)
        return high

    def at(self, requests_per_s: float, classes: tuple[int, int] | None) -> Simulator:
        """Return the simulator at a rate that does not change, with all requests or those of some size classes (first, end) alone."""
        asked = self.workload.traffic
        steady = Traffic(
            requests_per_s=requests_per_s, burstiness_cv=asked.burstiness_cv, items_per_request=asked.items_per_request
        )
        demand = Demand(
            msgspec.structs.replace(self.workload, traffic=steady),
            lengths=self.measured_lengths or (None,),
            trace_s=None,
            trace_length=None,
        )
        chosen = demand if classes is None else demand.only(*classes)
        return self._simulator(chosen, USUAL_CONFIDENCE)


def _asked_lengths(workload: OnlineWorkload, trace: Trace | None) -> tuple[int, ...]:
    if trace is not None and trace.sequence_length is not None:
        return (int(np.min(trace.sequence_length)), int(np.max(trace.sequence_length)))
    asked = workload.inputs.sequence_length if workload.inputs else None
    return () if asked is None else (asked.p50, asked.max or asked.p95 or asked.p50)
