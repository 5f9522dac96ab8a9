"""The inputs of the lifetime cost by name, each with its interval and its source: as given, from the price list, or assumed."""

from typing import NamedTuple

from advisor.decide.lifetime.training_cost import BYTES_PER_PARAMETER, FLOP_PER_PARAMETER_TOKEN
from advisor.errors import InputError
from advisor.schema.catalog import Constant, LifetimeModel
from advisor.schema.lifetime import Assumption
from advisor.schema.record import Estimate, Record
from advisor.schema.workload import Lifecycle
from advisor.units import unit_of

GIVEN = "the workload file"
# Sections of the lifecycle whose figures are inputs under their own names; no name stands in two of them.
SECTIONS = ("model", "request", "serving", "fine_tuning", "pre_training", "data", "team")
FLAGS = ("prompting_exhausted", "retrieval_exhausted", "data_must_stay", "is_regulated")
# Figures of the situation, which rules ask for and which cost nothing.
SITUATION = ("domain_shift", "knowledge_updates_per_year", "budget_usd")
# Constants that count only where there is something to compute with them.
NEEDED_FOR = {
    "experiments_per_release": "fine_tuning",
    "pre_training_experiments": "pre_training",
    "serving_mfu_fraction": "model",
    "fleet_utilization_fraction": "model",
    "weights_memory_fraction": "model",
    "training_mfu_fraction": "model",
}


class Device(Record, frozen=True, kw_only=True):
    """What the lifetime cost asks of a device; None where the catalogue does not tell."""

    id: str
    usd_per_hour: Constant | None
    serving_flop_per_s: float | None
    training_flop_per_s: float | None
    memory_bytes: float | None
    bandwidth_bytes_per_s: float | None
    source: str


class TokenPrices(Record, frozen=True, kw_only=True):
    """What an API asks for a token."""

    id: str
    input_usd: float
    output_usd: float | None
    cached_usd: float | None
    source: str
    date: str


class Market(Record, frozen=True, kw_only=True):
    """What is known of effort and prices, with what the workload names looked up in it."""

    model: LifetimeModel
    device: Device | None = None
    others: tuple[Device, ...] = ()
    api: TokenPrices | None = None
    alternative_api: TokenPrices | None = None
    price_date: str | None = None  # of the oldest price that counts


class Life(NamedTuple):
    """The inputs: `figures` by name, `assumed` the names of those that nobody gave, `flags` what is a yes or a no."""

    figures: dict[str, Estimate]
    assumed: frozenset[str]
    flags: dict[str, bool]

    @property
    def values(self) -> dict[str, float]:
        """The figures without their intervals."""
        return {name: figure.value for name, figure in self.figures.items()}


def life_of(requests_per_s: float, lifecycle: Lifecycle, market: Market, *, measured: Estimate | None = None) -> Life:
    """Return the inputs; `measured` is what an hour of serving costs, where that is known better than from a plan.

    Raises InputError for a range or a source of what is no input, and for an interval that its figure lies outside of.
    """
    figures = given_figures(requests_per_s, lifecycle)
    figures |= {name: figure for name, figure in _looked_up(lifecycle, market).items() if name not in figures}
    assumed = {
        name: _assumed(constant)
        for name, constant in market.model.constants.items()
        if name not in figures and _is_needed(name, lifecycle, measured)
    }
    figures |= assumed
    if measured is not None:
        figures["serving_usd_per_hour"] = measured
    return Life(figures=figures, assumed=frozenset(assumed), flags=_flags(lifecycle))


def given_figures(requests_per_s: float | None, lifecycle: Lifecycle) -> dict[str, Estimate]:
    """Return the figures that the workload file gives, each with its interval; a rate that is in a trace may be left out.

    Raises InputError for a range or a source of what is no such figure, and for an interval that its figure lies outside of.
    """
    given = {"requests_per_s": requests_per_s, **_given(lifecycle)}
    for key, names in (("ranges", lifecycle.ranges), ("sources", lifecycle.sources)):
        for name in names:
            if name not in given:
                known = ", ".join(sorted(given))
                raise InputError(f"lifecycle.{key}.{name}: no such figure is given", hint=f"give one of: {known}")
    return {name: _figure(name, value, lifecycle) for name, value in given.items() if value is not None}


def with_figures(life: Life, source: str, **values: float) -> Life:
    """Return the inputs with others that are exactly known."""
    exact = {name: Estimate(value=value, low=value, high=value, basis="assumed", source=source) for name, value in values.items()}
    return life._replace(figures={**life.figures, **exact})


def _given(lifecycle: Lifecycle) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in (lifecycle, *(getattr(lifecycle, name) for name in (*SECTIONS, "situation", "options"))):
        if part is None:
            continue
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = float(value)
    if "parameters" in found:
        found.setdefault("active_parameters", found["parameters"])
    if lifecycle.fine_tuning is not None:
        found["fine_tuning_flop_per_parameter_token"] = FLOP_PER_PARAMETER_TOKEN[lifecycle.fine_tuning.method]
        found["fine_tuning_bytes_per_parameter"] = BYTES_PER_PARAMETER[lifecycle.fine_tuning.method]
    return found


def _figure(name: str, value: float, lifecycle: Lifecycle) -> Estimate:
    low, high = lifecycle.ranges.get(name, (value, value))
    if not low <= value <= high:
        raise InputError(
            f"lifecycle.ranges.{name}: {value:g} does not lie within {low:g} and {high:g}", hint="write [low, high] around it"
        )
    return Estimate(value=value, low=low, high=high, basis="assumed", source=lifecycle.sources.get(name, GIVEN))


def _assumed(constant: Constant) -> Estimate:
    source = f"{constant.source.what} ({constant.source.date})"
    return Estimate(value=constant.value, low=constant.low, high=constant.high, basis="assumed", source=source)


def _is_needed(name: str, lifecycle: Lifecycle, measured: Estimate | None) -> bool:
    if name.startswith("device_"):
        return lifecycle.model is not None and (lifecycle.serving is None or lifecycle.serving.device is None)
    section = NEEDED_FOR.get(name)
    return section is None or getattr(lifecycle, section) is not None


def _looked_up(lifecycle: Lifecycle, market: Market) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    device = market.device
    if device is not None and lifecycle.model is not None:
        if device.usd_per_hour is not None:
            constant = device.usd_per_hour
            found["device_usd_per_hour"] = Estimate(
                value=constant.value,
                low=constant.low,
                high=constant.high,
                basis="list-price",
                source=f"{constant.source.what} ({constant.source.date})",
            )
        for name, value in (
            ("device_serving_flop_per_s", device.serving_flop_per_s),
            ("device_training_flop_per_s", device.training_flop_per_s),
            ("device_memory_bytes", device.memory_bytes),
            ("device_bandwidth_bytes_per_s", device.bandwidth_bytes_per_s),
        ):
            if value is not None:
                found[name] = Estimate(value=value, low=value, high=value, basis="list-price", source=device.source)
    for prefix, prices in (("api", market.api), ("other_api", market.alternative_api)):
        if prices is not None:
            for name, usd in (("input", prices.input_usd), ("output", prices.output_usd), ("cached", prices.cached_usd)):
                if usd is not None:
                    source = f"{prices.source} ({prices.date})"
                    found[f"{prefix}_usd_per_{name}_token"] = Estimate(
                        value=usd, low=usd, high=usd, basis="list-price", source=source
                    )
    return found


def _flags(lifecycle: Lifecycle) -> dict[str, bool]:
    situation = lifecycle.situation
    if situation is None:
        return {}
    return {name: value for name in FLAGS if (value := getattr(situation, name)) is not None}


def assumptions(life: Life) -> tuple[Assumption, ...]:
    """Return all inputs, those that nobody gave first."""
    names = sorted(life.figures, key=lambda name: (name not in life.assumed, name))
    return tuple(
        Assumption(input=name, unit=unit_of(name) or "", is_given=name not in life.assumed, estimate=life.figures[name])
        for name in names
    )
