"""Replicas on devices that are not here: what their steps take, what they cost by the hour, and the requests that one would get."""

from collections.abc import Iterator, Sequence

import numpy as np

from advisor.decide.generation.elsewhere.space import (
    BUDGETS,
    RUNNING,
    Precisions,
    Setting,
    Way,
    degrees,
    most_devices,
    not_split,
    precisions,
    too_small,
    ways,
)
from advisor.decide.generation.elsewhere.speculation import by_requests, draft_share
from advisor.decide.generation.elsewhere.steps import Drafted, MeanRequest, Steps, StepsOf, ascending, with_draft
from advisor.decide.generation.service.step_time import DRAWS, Costs
from advisor.decide.generation.simulation import Machine
from advisor.decide.generation.site import UnderLoad
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.service.energy import busy_watts, scaled
from advisor.errors import AdvisorError
from advisor.schema.advice import Place
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture, SpeculationChoice
from advisor.schema.record import Estimate, Exclusion
from advisor.schema.workload import LowerPrecision, TokenSlo
from advisor.units import counted

# Single steps are not known to scatter: the interval of their law is all there is.
STEADY = Machine(np.ones(1), None, 1)
# Where the DRAWS lie in the interval of what a step gives, from quick to slow: one in twenty is beyond either end.
LEVELS = (np.arange(DRAWS) + 0.5) / DRAWS


def typical_of(demand: TokenDemand) -> MeanRequest:
    """Return the mean request of a workload."""
    inputs, outputs = demand.mean_tokens
    return MeanRequest(inputs, min(float(demand.load(0, 1).read_tokens.mean()), inputs), outputs)


class Replica:
    """Devices that serve together, in one precision, with a draft or without."""

    def __init__(
        self,
        model: Architecture,
        setting: Setting,
        places: Sequence[Place],
        steps: Steps,
        demand: TokenDemand,
        slo: TokenSlo,
        space: Sequence[Way],
    ) -> None:
        """`places` are machines of the device: the cheapest by the device is rented that has enough, or else any; `space` is not empty."""
        self.model, self.setting, self.steps, self.demand, self.slo, self.space = model, setting, steps, demand, slo, space
        degree = setting.tensor_parallel
        large = [place for place in places if place.devices >= degree] or list(places)
        self.place = min(large, key=lambda place: place.price_usd_per_hour.value / place.devices)
        self.hardware: Hardware = self.place.hardware
        self.rent = _rent(self.place, degree)
        self.price = self.rent.value
        self.typical = typical_of(demand)
        self._costs: dict[int, Costs] = {}
        self._made: tuple[float, np.ndarray] | None = None  # what a draft takes, and how much longer steps are that check it
        self.serving: UnderLoad[Way] = UnderLoad(demand, slo, costs=self.costs, machine=lambda way: STEADY)

    def costs(self, way: Way, index: int) -> Costs:
        """Return the laws as a run has them, from quick to slow; the same for each way."""
        if index not in self._costs:
            self._costs[index] = self._drafted(ascending(self._law(index)), index)
        return self._costs[index]

    def _drafted(self, plain: Costs, index: int) -> Costs:
        choice = self.setting.speculation
        if choice is None:
            return plain
        proposed, context = choice.draft_tokens, self.typical.context_tokens
        if self._made is None:
            asked = (self.steps, RUNNING[-1], context, proposed)
            self._made = draft_share(*asked), by_requests(*asked)
        gives, (share, ratio) = _drawn(choice.tokens_per_step)[index], self._made
        return with_draft(plain, Drafted(proposed, share, gives, ratio, context, self.typical.read_tokens))

    def _law(self, draw: int) -> Costs:
        longest, cached = self.demand.longest_tokens, max(way.kv_tokens for way in self.space)
        return self.steps.costs(
            draw, longest_context=longest, max_running=RUNNING[-1], token_budget=BUDGETS[-1], kv_tokens=cached
        )

    def watts(self) -> Estimate | None:
        """Return what its devices draw at full utilization, None where nobody says."""
        whole = busy_watts(self.place, None)
        return None if whole is None else scaled(whole, self.setting.tensor_parallel / self.place.devices, whole.source)


def _drawn(tokens: Estimate) -> list[float]:
    """Return the tokens that a step gives in each of the DRAWS runs, most of them first: what is accepted is one more thing not known."""
    found = np.interp(LEVELS, (0.05, 0.5, 0.95), (tokens.high, tokens.value, tokens.low))
    return [float(value) for value in found]


def _rent(place: Place, devices: int) -> Estimate:
    whole = place.price_usd_per_hour
    if place.devices == 1 and devices == 1:
        return whole
    of = f" of {place.devices}" if place.devices > 1 else ""
    return scaled(
        whole, devices / place.devices, f"{counted(devices, 'device')}{of}, each at its part of the price: {whole.source}"
    )


class Offers:
    """All replicas that may be had of a model, each made once, and what was left out with the reason."""

    def __init__(
        self, model: Architecture, places: Sequence[Place], demand: TokenDemand, slo: TokenSlo, steps_of: StepsOf
    ) -> None:
        """`steps_of` raises an AdvisorError for a device of which nobody knows how long steps take."""
        self.model, self.demand = model, demand
        self._slo, self._steps_of = slo, steps_of
        self.places: dict[str, list[Place]] = {}
        for place in places:
            self.places.setdefault(place.hardware.id, []).append(place)
        self._steps: dict[tuple[str, int, Precisions], Steps] = {}
        self._replicas: dict[Setting, Replica] = {}
        self._unknown: dict[str, str] = {}
        self._small: dict[tuple[str, str], dict[int, str]] = {}

    def replicas(self, accepted: Sequence[LowerPrecision], drafts: Sequence[SpeculationChoice] = ()) -> list[Replica]:
        """Return the replicas in the precisions that were accepted, without a draft and with each, fewer devices first."""
        found: list[Replica] = []
        for device, places in self.places.items():
            hardware = places[0].hardware
            for degree in degrees(self.model, hardware, places):
                for kind in precisions(self.model, hardware, accepted):
                    reason = too_small(self.model, hardware, Setting(device, degree, *kind), self.demand)
                    if reason is not None:
                        self._small.setdefault((device, kind.weights), {})[degree] = reason
                    elif (steps := self._steps_on(hardware, degree, kind)) is not None:
                        settings = (Setting(device, degree, *kind, choice) for choice in (None, *drafts))
                        found.extend(made for setting in settings if (made := self._made(setting, steps)) is not None)
        return found

    def _steps_on(self, hardware: Hardware, degree: int, kind: Precisions) -> Steps | None:
        if hardware.id in self._unknown:
            return None
        key = (hardware.id, degree, kind)
        if key not in self._steps:
            try:
                made = self._steps_of(self.model, hardware, tensor_parallel=degree, weights=kind.weights, kv=kind.kv)
            except AdvisorError as error:
                self._unknown[hardware.id] = f"{error.fault}: {error.hint}"
                return None
            self._steps[key] = made
        return self._steps[key]

    def _made(self, setting: Setting, steps: Steps) -> Replica | None:
        if setting not in self._replicas:
            places = self.places[setting.device]
            space = ways(self.model, places[0].hardware, setting, self.demand)
            if not space:
                return None
            self._replicas[setting] = Replica(self.model, setting, places, steps, self.demand, self._slo, space)
        return self._replicas[setting]

    @property
    def without_ground(self) -> tuple[Exclusion, ...]:
        """The devices of which nobody knows how long steps take there."""
        return tuple(Exclusion(what=device, reason=reason) for device, reason in self._unknown.items())

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What was looked at and left out, as far as replicas were asked for."""
        most = max((most_devices(places[0].hardware, places) for places in self.places.values()), default=0)
        return (*self.without_ground, *not_split(self.model, most), *self._too_small())

    def _too_small(self) -> Iterator[Exclusion]:
        for (device, weights), by_degree in self._small.items():
            cut = ", ".join(map(str, by_degree))
            yield Exclusion(what=f"{device}, {weights} weights, tensor parallel {cut}", reason=by_degree[max(by_degree)])
