"""The charts on a language model elsewhere: of one replica, its times and its cache; and cost against the first of the promised times."""

from advisor import units
from advisor.schema.language import LanguageAdvice
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import WIDE, Chart, series_of
from advisor.tell.charts.palette import color_of, shape_of
from advisor.tell.charts.scatter import Mark, Titles, scatter, shown_by
from advisor.tell.generation.naming import at_slo, named, targets
from advisor.tell.generation.token_charts import cache_charts, load_charts
from advisor.tell.language.naming import deployment, language_colors, roles, subject
from advisor.tell.language.words import room_bytes
from advisor.tell.words.figures import Row, figure


def language_charts(advice: LanguageAdvice) -> tuple[Chart, ...]:
    """Return every chart that the figures suffice for; none where nothing could be simulated."""
    shown = subject(advice)
    if shown is None:
        return ()
    color = language_colors(advice)[shown.deployment.device]
    each = advice.mean_requests_per_s / shown.deployment.replicas
    return (
        *load_charts(advice.load_curve, advice.workload.slo, each, color),
        *cache_charts(advice.kv_curve, room_bytes(shown), shown.deployment.max_running_requests, color),
        *_alternatives(advice),
    )


def _alternatives(advice: LanguageAdvice) -> tuple[Chart, ...]:
    quantile, target = units.quantile(advice.workload.slo.quantile), targets(advice.workload.slo)[0]
    shown = named(roles(advice), lambda it: deployment(it.deployment))
    timed = [(words, played, it, time_s) for words, played, it in shown if (time_s := at_slo(it.times, target.time)) is not None]
    if not timed:
        return ()
    numbers = language_colors(advice)
    marks = [
        Mark(
            cost_usd=it.cost_usd_per_month.value,
            time_s=time_s,
            series=it.deployment.device,
            roles=played,
            on_frontier=True,
        )
        for _, played, it, time_s in timed
    ]
    devices = dict.fromkeys(mark.series for mark in marks)
    name, limit = f"{target.time.name} {quantile}", Limit(target.limit_s, f"target {units.seconds(target.limit_s)}")
    chart = Chart(
        id="frontier",
        place="alternatives",
        title=f"Cost per month against {name}",
        says=shown_by(marks, "deployment", target.time.name, "device", limit),
        width=WIDE,
        spec=scatter(
            marks,
            series_of({device: (color_of(numbers[device]), shape_of(numbers[device])) for device in devices}, title="device"),
            Titles("cost per month", name),
            limit,
        ),
        columns=("Deployment", "Cost per month", name),
        rows=tuple(
            Row(
                label=f"{number} {words}",
                cells=(figure(it.cost_usd_per_month, units.usd_per_month), figure(time_s, units.seconds)),
            )
            for number, (words, _, it, time_s) in enumerate(timed, start=1)
        ),
    )
    return (chart,)
