"""A workload without a model file -> Classification: its lifetime cost, the verdict on it, what to do, and until when that holds."""

from collections.abc import Iterator

import msgspec

from advisor import __version__
from advisor.decide.energy import lifetime_energy
from advisor.decide.lifetime import fleet, opportunities
from advisor.decide.lifetime.given import GIVEN
from advisor.decide.lifetime.horizon import EVEN, Course
from advisor.decide.lifetime.inputs import Market, assumptions, life_of, with_figures
from advisor.decide.lifetime.serving_cost import Values
from advisor.decide.verdict.facts import beside_the_cost
from advisor.decide.verdict.headline import headline
from advisor.decide.verdict.judgement import judge
from advisor.decide.verdict.rules import Rulebook
from advisor.schema.lifetime import Classification, Expiry, Outlook, Verdict
from advisor.schema.record import SCHEMA_VERSION, Estimate
from advisor.schema.workload import Lifecycle

# Facts of the chip and of the method: the formulas show them, so they are not listed among the assumptions.
NOT_TOLD = (
    *("fine_tuning_flop_per_parameter_token", "fine_tuning_bytes_per_parameter"),
    *("measured_flop_per_request", "measured_tokens_per_request"),
)


def classify_workload(
    name: str,
    requests_per_s: float,
    lifecycle: Lifecycle,
    market: Market,
    rules: Rulebook,
    *,
    created: str,
    course: Course = EVEN,
    latency_target_s: float | None = None,
    throughput: Estimate | None = None,
    is_at_target: bool = True,
) -> Classification:
    """Return the classification; raise InputError for inputs that contradict each other.

    `throughput` is what one device serves: within the latency target, as it was measured, or without `is_at_target` at full load.
    """
    life = life_of(requests_per_s, lifecycle, market, throughput=throughput, is_at_target=is_at_target, course=course)
    if latency_target_s is not None:
        # Rules compare it with the fastest that a device can answer.
        life = with_figures(life, GIVEN, latency_target_s=latency_target_s)
    verdict = judge(life, rules, beside_the_cost(life.values, course, market, created))
    found, left, evens = opportunities.planned(life, lifecycle, market, created=created)
    first = opportunities.has_to_change(life, market, found, created)
    expires = [
        opportunities.price_expiry(opportunities.price_date(life, lifecycle, market), created),
        *_expiries(market, verdict, created),
    ]
    outlook = opportunities.outlook(found, left, expires, lifecycle.horizon_months, first=first)
    return Classification(
        schema_version=SCHEMA_VERSION,
        created=created,
        advisor_version=__version__,
        workload=name,
        requests_per_s=requests_per_s,
        horizon_months=lifecycle.horizon_months,
        headline=first or headline(life, lifecycle, market, verdict, outlook),
        verdict=msgspec.structs.replace(verdict, break_evens=tuple(evens)),
        outlook=_beside_training(outlook, verdict) if first is None else outlook,
        energy=lifetime_energy(life.figures, market),
        assumed=tuple(entry for entry in assumptions(life) if entry.input not in NOT_TOLD),
        notes=tuple(_notes(life.values)),
    )


def _notes(x: Values) -> Iterator[str]:
    """Yield what a reader of the workload file may take amiss."""
    if x.get("price_decline_per_year") and not x.get("hardware_price_decline_per_year") and fleet.is_rented(x):
        yield (
            "lifecycle.price_decline_per_year is the decline of token prices alone, and the devices are rented at an unchanged price: "
            "for these, give lifecycle.hardware_price_decline_per_year"
        )


def _expiries(market: Market, verdict: Verdict, created: str) -> list[Expiry]:
    return [
        *opportunities.vendor_expiry(market, created),
        *opportunities.traffic_expiries(verdict.flips_when),
        Expiry(what="another model, device or runtime is put to use", on=None, because="its cost and its quality are others"),
    ]


def _beside_training(outlook: Outlook, verdict: Verdict) -> Outlook:
    """Return the outlook with a word on where the money is, where the levers, which are all on serving, do not reach it."""
    known = [line for line in verdict.lines if line.usd is not None and line.kind != "inference"]
    if verdict.dominated_by in (None, "inference") or not known:
        return outlook
    usd, what = max((line.usd.value, line.what) for line in known if line.usd is not None)
    largest = f"The largest line of training is {what}, about {opportunities.about(usd)}, which no change evaluated here affects."
    return msgspec.structs.replace(outlook, answer=f"{largest} {outlook.answer}")
