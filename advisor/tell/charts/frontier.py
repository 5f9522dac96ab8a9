"""Cost against latency: every configuration of a service that the report names, its loss of quality as the color."""

from collections.abc import Iterable

from advisor import units
from advisor.schema.advice import Advice
from advisor.schema.record import Estimate
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import WIDE, Chart, Series, series_of
from advisor.tell.charts.palette import GOOD, WARN, light
from advisor.tell.charts.scatter import Mark, Titles, scatter, shown_by
from advisor.tell.options import options
from advisor.tell.words.figures import Row
from advisor.tell.words.tables import option_rows

AS_TODAY, NO_LOSS, LOSS, BEYOND, NOT_KNOWN = (
    "as today",
    "no loss",
    "a loss within what is allowed",
    "a loss beyond what is allowed",
    "not measured",
)
# From what is best to what is not known.
CLASSES = {
    AS_TODAY: (light("c0"), "circle"),
    NO_LOSS: (light(GOOD), "circle"),
    LOSS: (light("c1"), "triangle-up"),
    BEYOND: (light(WARN), "diamond"),
    NOT_KNOWN: (light("c4"), "square"),
}


def frontier_chart(advice: Advice) -> Chart:
    """Draw cost against latency for all options."""
    quantile, slo = units.quantile(advice.workload.slo.quantile), advice.workload.slo
    floor = advice.workload.quality
    marks = [
        Mark(
            cost_usd=option.prediction.cost_usd_per_hour.value,
            time_s=option.prediction.latency_slo_s,
            series=quality_class(
                option.prediction.quality_drop,
                floor.max_drop if floor else None,
                is_todays=option.prediction.candidate.variant == advice.baseline.candidate.variant,
            ),
            roles=option.roles,
            on_frontier=option.on_frontier,
        )
        for option in options(advice)
    ]
    target = Limit(slo.latency_s, f"target {units.seconds(slo.latency_s)}")
    return Chart(
        id="frontier",
        place="alternatives",
        title=f"Cost per hour against {quantile} latency",
        says=shown_by(marks, "configuration", "latency", "loss of quality", target),
        width=WIDE,
        spec=scatter(
            marks,
            series_of_quality(mark.series for mark in marks),
            Titles("cost per hour", f"{quantile} latency"),
            target,
        ),
        columns=("Configuration", "Cost per hour", f"{quantile} latency", "Quality drop"),
        rows=tuple(
            Row(label=f"{row.option.number} {row.configuration}", cells=(row.cost, row.latency, row.quality))
            for row in option_rows(advice)
        ),
    )


def quality_class(drop: Estimate | None, max_drop: float | None, *, is_todays: bool) -> str:
    """Return what a configuration loses, beside the floor where there is one: the upper end has to be within it, as it is judged."""
    if drop is None:
        return AS_TODAY if is_todays else NOT_KNOWN
    if max_drop is not None and drop.high > max_drop:
        return BEYOND
    return NO_LOSS if drop.value <= 0 else LOSS


def series_of_quality(found: Iterable[str]) -> Series:
    """Return the classes that there are, the best first."""
    there = set(found)
    return series_of({name: look for name, look in CLASSES.items() if name in there}, title="quality")
