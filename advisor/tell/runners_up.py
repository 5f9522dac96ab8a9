"""Why what is not recommended was not: a reason for each other configuration that a report names."""

from collections.abc import Iterator
from typing import NamedTuple

from advisor import units
from advisor.schema.advice import Advice, Prediction
from advisor.schema.distillation import IF_IT_HOLDS
from advisor.schema.generation import GenerationAdvice, GenerationPrediction, TokenTimes
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.tell.generation.naming import at_slo, joined, named, targets
from advisor.tell.generation.naming import configuration as configuration_of_tokens
from advisor.tell.generation.naming import roles as roles_of_tokens
from advisor.tell.language.naming import deployment
from advisor.tell.language.naming import roles as roles_elsewhere
from advisor.tell.options import UNPROVEN, options
from advisor.tell.words.figures import Row, configuration

SAME = 1e-9  # relative: costs that differ by less are one cost
REASONS = {UNPROVEN: "its quality was not measured", IF_IT_HOLDS: "nobody has trained it yet"}


class Runner(NamedTuple):
    """A configuration beside the one that is recommended."""

    name: str
    roles: tuple[str, ...]
    prediction: Prediction | GenerationPrediction | DeploymentPrediction
    quicker: str  # what it is quicker at, empty where it is not


def runners_up(advice: Advice | GenerationAdvice | LanguageAdvice) -> tuple[Row, ...]:
    """Return each configuration that the report names beside the recommended one, and why it lost; () where none is recommended."""
    chosen = advice.recommended
    if chosen is None:
        return ()
    return tuple(
        Row(label=runner.name, cells=(f"{_because(runner, chosen.cost_usd_per_hour.value, advice)}.",))
        for runner in _runners(advice)
        if runner.prediction != chosen and "recommended" not in runner.roles
    )


def runners_up_words(losers: tuple[Row, ...]) -> str:
    """Return the heading above the reasons."""
    if not losers:
        return "No other configuration was compared"
    return f"Why {units.counted(len(losers), 'other configuration')} {'was' if len(losers) == 1 else 'were'} not chosen"


def _runners(advice: Advice | GenerationAdvice | LanguageAdvice) -> Iterator[Runner]:
    """Yield every configuration that the report names, the cheapest first, as its table of alternatives does."""
    if isinstance(advice, Advice):
        for option in options(advice):
            name = f"{option.number} {configuration(option.prediction.candidate)}"
            yield Runner(name, option.roles, option.prediction, _quicker(option.prediction.latency_slo_s, advice))
    elif isinstance(advice, GenerationAdvice):
        for name, roles, it in named(roles_of_tokens(advice), lambda it: configuration_of_tokens(it.candidate)):
            yield Runner(name, roles, it, _sooner(it.times, advice.recommended, advice.workload.slo))
    else:
        for name, roles, other in named(roles_elsewhere(advice), lambda it: deployment(it.deployment)):
            yield Runner(name, roles, other, _sooner(other.times, advice.recommended, advice.workload.slo))


def _quicker(latency: Estimate, advice: Advice) -> str:
    assert advice.recommended is not None, "something is recommended"
    ours, at = advice.recommended.latency_slo_s, units.quantile(advice.workload.slo.quantile)
    is_quicker = latency.value < ours.value
    return f"{at} {units.seconds(latency.value)} instead of {units.seconds(ours.value)}" if is_quicker else ""


def _sooner(times: TokenTimes, chosen: GenerationPrediction | DeploymentPrediction | None, slo: TokenSlo) -> str:
    assert chosen is not None, "something is recommended"
    pairs = {target.time.name: (at_slo(times, target.time), at_slo(chosen.times, target.time)) for target in targets(slo)}
    return joined(
        [
            f"{name} {units.seconds(theirs.value)} instead of {units.seconds(ours.value)}"
            for name, (theirs, ours) in pairs.items()
            if theirs is not None and ours is not None and theirs.value < ours.value
        ]
    )


def _because(runner: Runner, chosen_usd_per_hour: float, advice: Advice | GenerationAdvice | LanguageAdvice) -> str:
    it = runner.prediction
    several = "the targets" if not isinstance(advice, Advice) else "the target"
    known = next((reason for role, reason in REASONS.items() if role in runner.roles), None)
    if known is not None:
        return known
    if not it.meets_slo:
        return f"misses {several}" if it.misses_slo else f"is not shown to keep {several} at the upper end of the interval"
    if _loses(it, advice):
        return "loses more quality than allowed"
    more = it.cost_usd_per_hour.value - chosen_usd_per_hour
    if "tie" in runner.roles:
        return "cannot be told apart: it costs the same, and the intervals overlap"
    quicker = f", for {runner.quicker}" if runner.quicker else ""
    if abs(more) <= SAME * chosen_usd_per_hour:
        return (
            f"costs the same{f', so that {runner.quicker} is all it would change' if runner.quicker else ', and is not quicker'}"
        )
    if more > 0:
        return f"costs {units.usd_per_hour(more)} more{quicker}"
    return f"costs {units.usd_per_hour(-more)} less, which does not pay for the work of changing to it"


def _loses(
    it: Prediction | GenerationPrediction | DeploymentPrediction, advice: Advice | GenerationAdvice | LanguageAdvice
) -> bool:
    """Return whether a configuration loses more quality than is allowed, as far as that was measured."""
    floor = advice.workload.quality
    drop = None if isinstance(it, DeploymentPrediction) else it.quality_drop
    return floor is not None and drop is not None and drop.high > floor.max_drop
