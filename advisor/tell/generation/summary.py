"""Advice on a generative model in a few lines, for a terminal and the log of a pipeline; and its replays."""

from advisor import units
from advisor.schema.generation import GenerationAdvice, GenerationPrediction, Replay, TokenTimes
from advisor.schema.language import DeploymentPrediction, LanguageAdvice
from advisor.schema.record import Estimate
from advisor.schema.workload import TokenSlo
from advisor.tell.generation.naming import TIMES, Target, Time, at_slo, configuration, of_time, subject, targets
from advisor.tell.generation.words import draft, lookup
from advisor.tell.options import today_is_given
from advisor.tell.words.figures import Format, as_text, figure

WIDTH = 9  # of the names at the left


def lines(advice: GenerationAdvice) -> list[str]:
    """Return what to do, its cost, each promise and how it is kept, its quality, whether to use prompt lookup or a draft, its risk."""
    shown = advice.recommended or advice.likely or advice.nearest_miss
    return [
        advice.headline,
        line("cost", _cost(advice, shown)),
        *(
            line(target.time.name.lower(), of_target(advice.workload.slo, shown, target))
            for target in targets(advice.workload.slo)
        ),
        line("quality", _quality(advice, shown)),
        *([line("lookup", said)] if (said := lookup(advice)) is not None else []),
        *([line("draft", said)] if (said := draft(advice)) is not None else []),
        line("risk", risk(advice)),
    ]


def line(name: str, words: str) -> str:
    """Return a line of a summary: what it is about at the left."""
    return f"{name:<{WIDTH}}{words}"


def _text(estimate: Estimate | None, format_: Format, absent: str = "not predicted") -> str:
    return as_text(figure(estimate, format_, absent))


def _cost(advice: GenerationAdvice, shown: GenerationPrediction | None) -> str:
    if shown is None:
        today = _text(advice.baseline.cost_usd_per_hour, units.usd_per_hour) if today_is_given(advice) else "not known"
        return f"today {today}; nothing to compare it with"
    cost = _text(shown.cost_usd_per_hour, units.usd_per_hour)
    likely = "most likely " if advice.outcome == "inconclusive" else ""
    tokens = (
        f"{_text(shown.cost_usd_per_million_input_tokens, units.usd)} a million input tokens, "
        f"{_text(shown.cost_usd_per_million_output_tokens, units.usd)} output"
    )
    saved = (
        f", saves {_text(advice.saving.usd_per_year, units.usd_per_year)} at today's traffic" if advice.saving is not None else ""
    )
    return f"{likely}{cost}{saved}; {tokens}"


def of_target(slo: TokenSlo, shown: GenerationPrediction | DeploymentPrediction | None, target: Target) -> str:
    """Return a time at the quantile of the promises, its limit, and whether it is kept."""
    at, limit = units.quantile(slo.quantile), f"target {units.seconds(target.limit_s)}"
    estimate = at_slo(shown.times, target.time) if shown is not None else None
    if estimate is None:
        return f"{at} not predicted, {limit}"
    is_kept = "kept" if estimate.high <= target.limit_s else "missed" if estimate.low > target.limit_s else "not shown to be kept"
    return f"{at} {_text(estimate, units.seconds)}, {limit}: {is_kept}"


def _quality(advice: GenerationAdvice, shown: GenerationPrediction | None) -> str:
    floor = advice.workload.quality
    limit = f"allowed: at most {units.percent(floor.max_drop)} more {floor.metric}" if floor else "no floor set"
    if shown is not None and shown.candidate.variant == advice.baseline.candidate.variant:
        return f"as today, {limit}"
    if shown is None or shown.quality_drop is None:
        return f"increase of perplexity not measured, {limit}"
    return f"perplexity higher by {_text(shown.quality_drop, units.percent)}, {limit}"


def risk(advice: GenerationAdvice | LanguageAdvice) -> str:
    """Return what stands against it: why it is not known, what nothing keeps, or the gravest risk."""
    if advice.outcome == "inconclusive" and advice.because:
        return "; ".join((advice.because[0], *(f"settled by {way}" for way in advice.settled_by[:1])))
    if advice.binding_constraint is not None:
        return f"nothing meets the targets: {advice.binding_constraint}"
    if not advice.risks:
        return "none found"
    more = len(advice.risks) - 1
    return advice.risks[0] + (f" (and {more} more in the report)" if more else "")


def replay_lines(advice: GenerationAdvice) -> list[str]:
    """Return what was measured of requests that were really served, beside what was predicted, a paragraph for each replay."""
    return [line for replay in advice.replays for line in _replay(replay, is_ours=replay.candidate == subject(advice).candidate)]


def _replay(replay: Replay, *, is_ours: bool) -> list[str]:
    rate = f" at {units.rate(replay.offered_requests_per_s)}" if replay.offered_requests_per_s is not None else ""
    what = configuration(replay.candidate) if is_ours else f"{configuration(replay.candidate)} (not what is advised)"
    head = f"served   {what}: {replay.requests:,} requests{rate}"
    rows = [
        f"  {f'{time.name} {name}':<12} {_text(getattr(measured, name), units.seconds)}, predicted "
        f"{_of(replay.before, time, name)}, at its own speed {_of(replay.expected, time, name)}"
        for time in TIMES
        if (measured := of_time(replay.measured, time)) is not None
        for name in ("p50", "p90", "p99")
    ]
    equal = {None: "not compared", True: "yes", False: "NO"}[replay.tokens_equal]
    return [
        head,
        *rows,
        f"  tokens equal those of the request alone: {equal}",
        f"  targets {'kept' if replay.meets_slo else 'MISSED'}",
    ]


def _of(times: TokenTimes | None, time: Time, name: str) -> str:
    """Return a quantile of a time of which something may be expected."""
    found = None if times is None else of_time(times, time)
    return _text(getattr(found, name, None), units.seconds, "not known")
