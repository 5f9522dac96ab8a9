"""The first box of a report on a language model elsewhere: what is decided, a line each, money first."""

from advisor import units
from advisor.schema.language import Deployment, LanguageAdvice
from advisor.tell.generation.decision import target_lines
from advisor.tell.generation.words import capitalized
from advisor.tell.language.naming import api_compared, in_short, is_the_same, precisions, subject
from advisor.tell.language.words import LanguageWords, break_even, name_of
from advisor.tell.words.decision import not_enough
from advisor.tell.words.figures import Row, Sentence, figure


def language_decision_rows(advice: LanguageAdvice, words: LanguageWords) -> tuple[Row, ...]:
    """Return the lines of the box: what to do, cost, targets, precision, what else there is, how sure; each is one cell, a sentence."""
    shown = subject(advice)
    lines: dict[str, Sentence] = {"Decision": (words.what_to_do,)}
    if words.what_misses is not None:
        lines["What binds"] = (f"{words.what_misses}.",)
    lines["Cost a month"] = (*words.costs, ". ", *words.costs_because)
    if shown is not None:
        lines |= target_lines(shown.times, advice.workload.slo)
        lines["Quality"] = (_quality(shown.deployment, advice),)
    lines["Next best"] = _next_best(advice)
    lines["API"] = _api(advice)
    if advice.outcome == "inconclusive":
        lines["How sure"] = not_enough(advice.because, advice.settled_by)
    elif words.run_because is not None:
        lines["How sure"] = (f"Nothing was measured there. {words.run_because}",)
    return tuple(Row(label=label, cells=parts) for label, parts in lines.items() if parts)


def _quality(it: Deployment, advice: LanguageAdvice) -> str:
    """Return in which precision it is served, and who answers for what that loses."""
    published = advice.model.weights
    if it.weights in (published, "bf16") and it.kv == "bf16":
        return f"No precision is lost: {precisions(it.weights, it.kv)}, published in {published}."
    return f"{capitalized(precisions(it.weights, it.kv))}, accepted by name (quality.accept); what that loses was not measured."


def _next_best(advice: LanguageAdvice) -> Sentence:
    following = advice.next_best
    if following is None or is_the_same(subject(advice), following):
        return ()
    more = advice.next_best_costs_more_fraction
    much: Sentence = () if more is None else (", ", figure(more, units.percent), " more")
    return (f"{in_short(following.deployment)}: ", figure(following.cost_usd_per_month, units.usd_per_month), *much, ".")


def _api(advice: LanguageAdvice) -> Sentence:
    api = api_compared(advice)
    if api is None:
        return ()
    return (f"{name_of(api)}: ", figure(api.usd_per_month, units.usd_per_month), f" for the same traffic; {break_even(api)}.")
