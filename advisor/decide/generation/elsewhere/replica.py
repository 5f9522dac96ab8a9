"""One replica on devices that are not here: what its steps take, what it costs by the hour, and the requests that it would get."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from advisor.decide.generation.elsewhere.space import RUNNING, Setting, Way
from advisor.decide.generation.elsewhere.speculation import by_requests, draft_share
from advisor.decide.generation.elsewhere.steps import Drafted, Steps, ascending, with_draft
from advisor.decide.generation.service.step_time import DRAWS, Costs
from advisor.decide.generation.simulation import Machine
from advisor.decide.generation.site import UnderLoad
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.service.energy import busy_watts, scaled
from advisor.schema.advice import Place
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.units import counted

# Single steps are not known to scatter: the interval of their law is all there is.
STEADY = Machine(np.ones(1), None, 1)
# Where the DRAWS lie in the interval of what a step gives, from quick to slow: one in twenty is beyond either end.
LEVELS = (np.arange(DRAWS) + 0.5) / DRAWS


class Typical(NamedTuple):
    """A request as far as the seconds of steps depend on it."""

    context_tokens: float  # cached when half of its answer is there
    read_tokens: float  # of its prompt, that no prefix cache has
    longest_tokens: int


def typical_of(demand: TokenDemand) -> Typical:
    """Return the mean request of a workload."""
    inputs, outputs = demand.mean_tokens
    read = float(demand.load(0, 1).read_tokens.mean())
    return Typical(inputs + outputs / 2, read, demand.longest_tokens)


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
    ) -> None:
        """`places` are machines with the device, of which the cheapest by the device is rented that has enough of them, or else any."""
        self.model, self.setting, self.steps, self.demand, self.slo = model, setting, steps, demand, slo
        degree = setting.tensor_parallel
        large = [place for place in places if place.devices >= degree] or list(places)
        self.place = min(large, key=lambda place: place.price_usd_per_hour.value / place.devices)
        self.hardware: Hardware = self.place.hardware
        self.rent = _rent(self.place, degree)
        self.price = self.rent.value
        self.typical = typical_of(demand)
        self._costs: list[Costs] | None = None
        self.serving: UnderLoad[Way] = UnderLoad(demand, slo, costs=self.costs, machine=lambda way: STEADY)

    def costs(self, way: Way, index: int) -> Costs:
        """Return the laws as a run has them, from quick to slow; the same for each way."""
        if self._costs is None:
            self._costs = self._all_costs()
        return self._costs[index]

    def _all_costs(self) -> list[Costs]:
        longest, most = self.typical.longest_tokens, RUNNING[-1]
        plain = [ascending(self.steps.costs(draw, longest_context=longest, max_running=most)) for draw in range(DRAWS)]
        choice = self.setting.speculation
        if choice is None:
            return plain
        context = self.typical.context_tokens
        ratio = by_requests(self.steps, most, context, choice.draft_tokens, draft_share(self.model))
        tokens = _drawn(choice.tokens_per_step)
        read = self.typical.read_tokens
        return [with_draft(costs, Drafted(gives, ratio, context, read)) for costs, gives in zip(plain, tokens, strict=True)]

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
    return scaled(whole, devices / place.devices, f"{counted(devices, 'device')}{of}, each at its part of the price: {whole.source}")
