"""The charts of advice on a generative model."""

from advisor import units
from advisor.schema.generation import GenerationAdvice
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import WIDE, Chart
from advisor.tell.charts.frontier import quality_class, series_of_quality
from advisor.tell.charts.palette import COLORS
from advisor.tell.charts.scatter import Mark, Titles, scatter, shown_by
from advisor.tell.generation.naming import at_slo, configuration, named, roles, subject, targets
from advisor.tell.generation.tables import quality_lost
from advisor.tell.generation.token_charts import cache_charts, load_charts, replay_charts
from advisor.tell.generation.words import kv_bytes_per_token
from advisor.tell.words.figures import Row, figure


def generation_colors(advice: GenerationAdvice) -> dict[str, int]:
    """Return the number of each variant's color in the palette, the same in every chart and table."""
    named = [*(it.id for it in advice.variants), *(it.candidate.variant for it in advice.replays)]
    others = (
        advice.recommended,
        advice.likely,
        advice.nearest_miss,
        advice.unproven,
        advice.baseline,
        *advice.ties,
        *advice.others,
    )
    named += [it.candidate.variant for it in others if it is not None]
    return {variant: number % COLORS for number, variant in enumerate(dict.fromkeys(named))}


def generation_charts(advice: GenerationAdvice) -> tuple[Chart, ...]:
    """Return every chart that the figures suffice for."""
    shown = subject(advice).candidate
    color = generation_colors(advice)[shown.variant]
    each = advice.mean_requests_per_s / shown.replicas
    mine = [replay for replay in advice.replays if replay.candidate == shown]
    room = shown.kv_tokens * kv_bytes_per_token(advice, shown.variant)
    return (
        *load_charts(advice.load_curve, advice.workload.slo, each, color, mine),
        *cache_charts(advice.kv_curve, room, shown.max_running_requests, color),
        *replay_charts(advice.replays),
        *_alternatives(advice),
    )


def _alternatives(advice: GenerationAdvice) -> tuple[Chart, ...]:
    """Draw cost against the first of the promised times."""
    quantile, target = units.quantile(advice.workload.slo.quantile), targets(advice.workload.slo)[0]
    shown = named(roles(advice), lambda it: configuration(it.candidate))
    timed = [(words, played, it, time_s) for words, played, it in shown if (time_s := at_slo(it.times, target.time)) is not None]
    if not timed:
        return ()
    today = advice.baseline.candidate.variant
    marks = [
        Mark(
            cost_usd=it.cost_usd_per_hour.value,
            time_s=time_s,
            series=quality_class(it.quality_drop, None, is_todays=it.candidate.variant == today),
            roles=played,
            on_frontier=True,
        )
        for _, played, it, time_s in timed
    ]
    name, limit = f"{target.time.name} {quantile}", Limit(target.limit_s, f"target {units.seconds(target.limit_s)}")
    chart = Chart(
        id="frontier",
        place="alternatives",
        title=f"Cost per hour against {name}",
        says=shown_by(marks, "configuration", target.time.name, "loss of quality", limit),
        width=WIDE,
        spec=scatter(
            marks,
            series_of_quality(mark.series for mark in marks),
            Titles("cost per hour", name),
            limit,
        ),
        columns=("Configuration", "Cost per hour", name, "Perplexity"),
        rows=tuple(
            Row(
                label=f"{number} {words}",
                cells=(
                    figure(it.cost_usd_per_hour, units.usd_per_hour),
                    figure(time_s, units.seconds),
                    quality_lost(it, advice),
                ),
            )
            for number, (words, _, it, time_s) in enumerate(timed, start=1)
        ),
    )
    return (chart,)
