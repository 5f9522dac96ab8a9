"""The first box of a report on a generative model: what is decided, a line each, money first; what stands below it agrees with it."""

from advisor import units
from advisor.schema.generation import GenerationAdvice, TokenTimes
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.tell.generation.naming import Target, at_slo, subject, targets
from advisor.tell.generation.words import GenerationWords, capitalized
from advisor.tell.words.decision import NOT_SERVED, a_month, not_enough, of_a_month, of_quality, spare
from advisor.tell.words.figures import Row, Sentence, figure


def generation_decision_rows(advice: GenerationAdvice, words: GenerationWords) -> tuple[Row, ...]:
    """Return the lines of the box: what to do, cost, each target, quality, how sure; each is one cell, the parts of a sentence."""
    lines: dict[str, Sentence] = {"Decision": (words.what_to_do,)}
    if words.what_misses is not None:
        lines["What binds"] = (f"{words.what_misses}.",)
    lines["Cost a month"] = of_a_month(advice, words.compared_because, _open_cost(advice))
    lines |= target_lines(subject(advice).times, advice.workload.slo)
    lines["Quality"] = _quality(advice)
    if words.lookup is not None:
        lines["Prompt lookup"] = (f"{capitalized(words.lookup)}.",)
    if words.draft is not None:
        lines["Draft"] = (f"{words.draft}.",)
    lines["How sure"] = _certainty(advice)
    return tuple(Row(label=label, cells=parts) for label, parts in lines.items() if parts)


def _open_cost(advice: GenerationAdvice) -> Sentence:
    if advice.likely is None:
        return ("What keeping the targets costs is not known.",)
    return ("Most likely ", figure(a_month(advice.likely.cost_usd_per_hour), units.usd), ".")


def target_lines(times: TokenTimes, slo: TokenSlo) -> dict[str, Sentence]:
    """Return a line for each promise: what is expected at its quantile, and whether that keeps it, by the promise's name."""
    return {target.time.name: _target(at_slo(times, target.time), slo, target) for target in targets(slo)}


def _target(estimate: Estimate | None, slo: TokenSlo, target: Target) -> Sentence:
    at, limit = units.quantile(slo.quantile), units.seconds(target.limit_s)
    said: Sentence = (f"{at} ", figure(estimate, units.seconds, "not predicted"), f", at most {limit}")
    if estimate is None:
        return (*said, ".")
    if estimate.high <= target.limit_s:
        return (*said, f": {spare(estimate, target.limit_s)}.")
    return (*said, ": missed." if estimate.low > target.limit_s else ": not shown to be kept.")


def _quality(advice: GenerationAdvice) -> Sentence:
    shown = subject(advice).candidate.variant
    text = next((it.quality for it in advice.variants if it.id == shown), None)
    is_todays = shown == advice.baseline.candidate.variant
    return of_quality(None if text is None else text.perplexity, advice.workload.quality, is_todays=is_todays)


def _certainty(advice: GenerationAdvice) -> Sentence:
    if advice.outcome == "inconclusive":
        return not_enough(advice.because, advice.settled_by)
    mine = [replay for replay in advice.replays if replay.candidate == subject(advice).candidate]
    if mine:
        at = units.percent(mine[-1].load_fraction)
        return (f"Served for real at {at} of its capacity, it {'kept' if mine[-1].meets_slo else 'MISSED'} the targets.",)
    return (NOT_SERVED,) if advice.recommended is not None else ()
