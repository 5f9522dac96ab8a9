"""Advice on a language model elsewhere in a few lines, for a terminal and the log of a pipeline."""

from advisor import units
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.tell.generation.naming import at_slo, kept, targets
from advisor.tell.generation.summary import line, of_target, risk
from advisor.tell.language.naming import GROUNDS, api_compared, in_short, is_the_same, precisions, subject
from advisor.tell.language.words import break_even, name_of
from advisor.tell.words.figures import as_text, figure


def lines(advice: LanguageAdvice) -> list[str]:
    """Return what to do, its cost, each promise and how it is kept, what comes next, the API, what could be saved, the risk, devices."""
    shown = subject(advice)
    return [
        advice.headline,
        line("cost", _cost(advice, shown)),
        *(
            line(target.time.name.lower(), of_target(advice.workload.slo, shown, target))
            for target in targets(advice.workload.slo)
        ),
        *([line("ground", f"step times stand on {GROUNDS[shown.ground]}")] if shown else []),
        line("next", _next(advice)),
        line("api", _api(advice)),
        *[line("lower", words) for words in _lower(advice)],
        line("risk", risk(advice)),
        *(_other(advice, it) for it in sorted(advice.others, key=lambda it: it.cost_usd_per_month.value)),
    ]


def _cost(advice: LanguageAdvice, shown: DeploymentPrediction | None) -> str:
    if shown is None:
        return "not known: nothing was simulated"
    whose = "" if advice.recommended else "most likely " if advice.likely else "nearest miss "
    return (
        f"{whose}{as_text(figure(shown.cost_usd_per_month, units.usd_per_month))}; "
        f"{as_text(figure(shown.cost_usd_per_million_input_tokens, units.usd))} a million input tokens, "
        f"{as_text(figure(shown.cost_usd_per_million_output_tokens, units.usd))} output"
    )


def _next(advice: LanguageAdvice) -> str:
    following = advice.next_best
    if following is None or is_the_same(subject(advice), following):
        return "nothing else keeps the targets" if advice.recommended else "not known"
    more = advice.next_best_costs_more_fraction
    much = f", {as_text(figure(more, units.percent))} more" if more is not None else ""
    return f"{in_short(following.deployment)}: {as_text(figure(following.cost_usd_per_month, units.usd_per_month))}{much}"


def _api(advice: LanguageAdvice) -> str:
    api = api_compared(advice)
    if api is None:
        return "no price by the token is known"
    return f"{name_of(api)}: {as_text(figure(api.usd_per_month, units.usd_per_month))} for the same traffic; {break_even(api)}"


def _lower(advice: LanguageAdvice) -> list[str]:
    best = max(advice.accepting, key=lambda offer: offer.saving_usd_per_month.value, default=None)
    if best is None:
        return []
    saved = as_text(figure(best.saving_usd_per_month, units.usd_per_month))
    return [f"{precisions(best.weights, best.kv)} would save {saved}, after you measured it"]


def _other(advice: LanguageAdvice, it: DeploymentPrediction) -> str:
    slo = advice.workload.slo
    times = ", ".join(
        f"{target.time.name} {units.quantile(slo.quantile)} {as_text(figure(estimate, units.seconds, 'not predicted'))}"
        for target in targets(slo)
        for estimate in (at_slo(it.times, target.time),)
    )
    cost = as_text(figure(it.cost_usd_per_month, units.usd_per_month))
    return f"  {it.deployment.device:<14} {in_short(it.deployment)}, {cost}, {times}: {kept(it)}"
