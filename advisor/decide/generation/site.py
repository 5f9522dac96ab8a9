"""One replica under the load of a workload, and one measured machine under it: what questions about a candidate need, made once."""

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from advisor.decide.generation import simulation, space
from advisor.decide.generation.service.speed_ties import speed_ties
from advisor.decide.generation.service.step_time import DRAWS, Costs, Setting, StepTimes, step_times
from advisor.decide.generation.simulation import Batching, FixedParts, Machine, Reached, Run, Work
from advisor.decide.generation.space import Way
from advisor.decide.generation.traffic import Effort, Load, TokenDemand
from advisor.decide.queue.demand import quantiles
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.decide.service.stalls import process_of
from advisor.schema.advice import Place
from advisor.schema.arrays.trace import Requests
from advisor.schema.generation import GenerationSite
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.record import Exclusion, Record
from advisor.schema.workload import GenerationWorkload, TokenSlo

MAX_REPLICAS = 512
# Replicas beyond those that bring utilization down to this change little: what misses the target here has to wait for nobody.
LOWEST_UTILIZATION = 0.1
MAX_REACHED = 200_000  # of runs kept: three numbers each

WayT = TypeVar("WayT", bound=Batching)


class GenerationRequest(Record, frozen=True, kw_only=True):
    """What is asked, in addition to the profile; `profile_path` and the dates are shown in the report."""

    workload: GenerationWorkload
    recorded: Requests | None  # those of the workload's trace
    profile_sha256: str
    profile_path: str | None
    created: str
    home: Place  # where today's configuration runs, whether it may stay there or not
    places: tuple[Place, ...]  # where the model may run, with what it costs
    exclusions: tuple[Exclusion, ...] = ()  # hardware that was asked for, but cannot be evaluated
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY  # factor by which the cost may be uncertain for the answer to count as known
    notes: tuple[str, ...] = ()  # on how the workload was read
    confidence: float = USUAL_CONFIDENCE  # with which the recommendation has to keep the targets
    effort: Effort = Effort()


class UnderLoad(Generic[WayT]):
    """One replica under the load, wherever the seconds of its steps come from: what every way to serve is asked, each question once."""

    def __init__(
        self, demand: TokenDemand, slo: TokenSlo, *, costs: Callable[[WayT, int], Costs], machine: Callable[[WayT], Machine]
    ) -> None:
        """`costs` are those of a way in one of the DRAWS runs, from quick to slow, `machine` what steps take beside them."""
        self.demand, self.slo = demand, slo
        self._costs, self._machine = costs, machine
        self._reached: dict[tuple[WayT, int, int, float, int | None], Reached | None] = {}
        self._floors: dict[tuple[Hashable, bool, int | None, int], Reached] = {}
        self._load_of_one: dict[tuple[WayT, int], float] = {}
        self._work: dict[int, Work] = {}
        self._fixed: dict[tuple[Hashable, str, int], FixedParts] = {}
        self._factors: dict[Hashable, float] = {}

    # --- runs --------------------------------------------------------------------------------------------------------------

    def load(self, index: int, replicas: int, scale: float = 1.0, clients: int | None = None) -> Load:
        """Return the requests of a run at one of so many replicas, or of so many clients at one."""
        seed = index % self.demand.seeds
        return self.demand.load(seed, replicas, scale=scale) if clients is None else self.demand.closed(seed, clients)

    def run(
        self,
        way: WayT,
        replicas: int,
        index: int,
        *,
        scale: float = 1.0,
        clients: int | None = None,
        kv_tokens: int | None = None,
    ) -> Run:
        """Return one of the DRAWS runs of one replica; `kv_tokens` is a cache of another size than the way has."""
        load = self.load(index, replicas, scale, clients)
        return simulation.simulate(load, way, self._costs(way, index), self._machine(way), index, kv_tokens=kv_tokens)

    def runs(self, way: WayT, replicas: int, *, scale: float = 1.0, clients: int | None = None) -> list[Run]:
        """Return all runs of one replica."""
        return [self.run(way, replicas, index, scale=scale, clients=clients) for index in range(DRAWS)]

    # --- does it keep the targets? -----------------------------------------------------------------------------------------

    def meets(self, way: WayT, replicas: int, confidence: float, *, scale: float = 1.0, clients: int | None = None) -> bool:
        """Return whether every target is kept in as many of the runs as the confidence asks for.

        Of each target by itself: that is to say, whether the end of its interval that stands for this confidence is within it.
        """
        allowed = allowed_late(confidence)
        late = [0, 0, 0]
        # Whatever is decided by the fewest runs comes first.
        order = range(DRAWS) if allowed > DRAWS / 2 else range(DRAWS - 1, -1, -1)
        for asked, index in enumerate(order, start=1):
            missed = self.late(way, replicas, index, scale=scale, clients=clients)
            late = [count + is_late for count, is_late in zip(late, missed, strict=True)]
            if max(late) > allowed:
                return False
            if max(late) + DRAWS - asked <= allowed:
                return True
        return True

    def late(
        self, way: WayT, replicas: int, index: int, *, scale: float = 1.0, clients: int | None = None
    ) -> tuple[bool, bool, bool]:
        """Return which targets a run misses: all of them where its replicas do not keep up with the busiest part of the day."""
        key = (way, replicas, index, scale, clients)
        if key not in self._reached:
            if len(self._reached) >= MAX_REACHED:
                self._reached.clear()
            self._reached[key] = None
            if clients is not None or self.load_of_one(way, index) * scale < replicas:
                self._reached[key] = self.run(way, replicas, index, scale=scale, clients=clients).reached(self.slo.quantile)
        reached = self._reached[key]
        return (True, True, True) if reached is None else reached.late(self.slo)

    def load_of_one(self, way: WayT, index: int) -> float:
        """Return how many replicas the work alone keeps busy at the busiest part of the day; clients wait for their answers: none."""
        rate = self.demand.busiest_requests_per_s
        if rate is None:
            return 0.0
        if (way, index) not in self._load_of_one:
            costs = self._costs(way, index)
            work_s = self._work_of(index).seconds(way, costs, self._fixed_parts(way, costs, index))
            self._load_of_one[way, index] = rate * self._factor(way) * work_s
        return self._load_of_one[way, index]

    def _factor(self, way: WayT) -> float:
        """Return how many times as long as its law a step takes on average."""
        if way.setting not in self._factors:
            self._factors[way.setting] = float(self._machine(way).factors.mean())
        return self._factors[way.setting]

    def _fixed_parts(self, way: WayT, costs: Costs, index: int) -> FixedParts:
        key = (way.setting, way.policy, index)
        known = self._fixed.get(key)
        if known is None or len(known.least_s) < way.max_running_requests:
            known = self._fixed[key] = simulation.fixed_parts(costs, way.policy, way.max_running_requests)
        return known

    def _work_of(self, index: int) -> Work:
        seed = index % self.demand.seeds
        if seed not in self._work:
            self._work[seed] = simulation.work_of(self.load(seed, 1))
        return self._work[seed]

    def fewest(self, way: WayT, confidence: float) -> int:
        """Return how many replicas the work alone asks for: with fewer, more runs fall behind than may."""
        place = simulation.place_of(confidence)
        return math.floor(sorted(self.load_of_one(way, index) for index in range(DRAWS))[place]) + 1

    def most(self, way: WayT) -> int:
        """Return how many replicas of a way the space goes up to."""
        if self.demand.is_closed:
            return min(self.demand.clients or 1, MAX_REPLICAS)
        alone_at_a_time = way.max_running_requests == 1
        lowest = min(LOWEST_UTILIZATION, (1 - self.slo.quantile) / 2) if alone_at_a_time else LOWEST_UTILIZATION
        return int(min(math.ceil(self.load_of_one(way, DRAWS - 1) / lowest) + 1, MAX_REPLICAS))

    def is_hopeless(self, way: WayT, confidence: float) -> bool:
        """Return whether even requests that find an idle replica miss a target, so that no number of replicas helps.

        Of a trace only where that holds of all requests, for each replica gets its own part of them. The slowest runs tell: one more of
        them than may be late, if all of these miss the same target.
        """
        missed = (True, True, True)
        for index in range(DRAWS - 1, DRAWS - 2 - allowed_late(confidence), -1):
            first, later, last = self.floor(way, index).late(self.slo)
            missed = (missed[0] and first, missed[1] and later, missed[2] and last)
            if not any(missed):
                return False
        return True

    def floors(self, way: WayT) -> list[Reached]:
        """Return, for each run, what requests keep at the best, each of them alone on an idle replica."""
        return [self.floor(way, index) for index in range(DRAWS)]

    def floor(self, way: WayT, index: int) -> Reached:
        """Return what requests of a run keep at the best."""
        # Alone, it makes no difference how many could run.
        key = (way.setting, way.policy == "mixed", way.chunk_tokens, index)
        if key not in self._floors:
            self._floors[key] = self._floor(way, index)
        return self._floors[key]

    def _floor(self, way: WayT, index: int) -> Reached:
        load = self.load(index, 1)
        # Not one step is quicker than this.
        least = float(self._machine(way).factors.min())
        found = simulation.alone(load, way, self._costs(way, index))
        counted = load.counted
        later = found.tpot_s[counted][found.has_later[counted]]
        return Reached(
            least * self._at_best(found.ttft_s[counted]),
            least * self._at_best(later) if len(later) else 0.0,
            least * self._at_best(found.latency_s[counted]),
        )

    def _at_best(self, times_s: np.ndarray) -> float:
        """Return what the quantile of times (counted,) is at least: of the least of them, where other requests may count."""
        if self.demand.counts_by_replicas:
            return float(times_s.min())
        return float(quantiles(times_s, (self.slo.quantile,))[0])


def allowed_late(confidence: float) -> int:
    """Return how many of the DRAWS runs may miss a target."""
    return DRAWS - 1 - simulation.place_of(confidence)


class GenerationUnderLoad:
    """A machine, how long steps take there, what it costs, and the requests that it would get."""

    def __init__(
        self,
        site: GenerationSite,
        place: Place,
        workload: GenerationWorkload,
        demand: TokenDemand,
        *,
        home: "GenerationUnderLoad | None" = None,
    ) -> None:
        """`home` is where today's configuration runs; None: here."""
        self.site, self.place, self.workload, self.demand = site, place, workload, demand
        self.hardware, self.slo = place.hardware.id, workload.slo
        self.rent = place.price_usd_per_hour
        self.price = self.rent.value
        self.variants = {variant.id: variant for variant in site.variants}
        self.times: dict[Setting, StepTimes] = step_times(site)
        self.admissions = {variant.id: space.admission(variant, site, workload) for variant in site.variants}
        self.is_home = home is None
        self.today: Way = space.today_way(site, self.times, workload.baseline, demand) if home is None else home.today
        self.speed_ties = speed_ties(site, self.today.variant, space.as_given(site).id)
        self.stalls = process_of(site.stalls) if site.clock == "wall" else None
        found = (space.too_small(site, variant, demand) for variant in site.variants)
        self.exclusions = tuple(entry for entry in found if entry is not None)
        # What a replica is asked is asked here.
        self.serving: UnderLoad[Way] = UnderLoad(demand, self.slo, costs=self.costs, machine=self.machine)
        self.load, self.run, self.runs = self.serving.load, self.serving.run, self.serving.runs
        self.meets, self.is_hopeless, self.floors = self.serving.meets, self.serving.is_hopeless, self.serving.floors
        self.fewest, self.most, self.load_of_one = self.serving.fewest, self.serving.most, self.serving.load_of_one

    # --- what may be served ------------------------------------------------------------------------------------------------

    def eligible(self) -> set[str]:
        """The variants whose quality lets them be recommended: today's own is one unless its quality was found to fall short."""
        return {
            name for name, entry in self.admissions.items() if entry.admitted or (entry.is_unknown and name == self.today.variant)
        }

    def admitted(self) -> set[str]:
        """The variants that may be recommended; of equally fast ones only the simplest, if that one may be recommended itself."""
        allowed = self.eligible()
        return {name for name in allowed if name not in self.speed_ties or self.speed_ties[name] not in allowed}

    def unknown(self) -> set[str]:
        """The variants of which only a measurement of quality is missing."""
        return {name for name, entry in self.admissions.items() if entry.is_unknown} - {self.today.variant, *self.speed_ties}

    def ways(self, variants: set[str]) -> list[Way]:
        """Return every way to serve these variants here, simplest first."""
        return space.ways(self.site, self.times, self.demand, self.today, variants, is_home=self.is_home)

    # --- how long steps take -----------------------------------------------------------------------------------------------

    def costs(self, way: Way, index: int) -> Costs:
        """Return the laws as a run has them, from quick to slow."""
        return self.times[way.setting].costs(index)

    def machine(self, way: Way) -> Machine:
        """Return what steps of a way take beside their laws."""
        return Machine(self.times[way.setting].step_factors, self.stalls, way.intra_op_num_threads)
