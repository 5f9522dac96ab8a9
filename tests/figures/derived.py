"""What reports work out of the figures of their record, by name: anything else that is printed has to be a figure of the record."""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from advisor import units
from advisor.decide.generation.elsewhere.space import RUNTIME_BYTES
from advisor.decide.generation.space import MARGIN_FRACTION
from advisor.decide.lifetime.opportunities import PRICE_DAYS
from advisor.decide.verdict.rules import FACTS
from advisor.schema.advice import BUSY_FRACTION, Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification, Verdict
from advisor.schema.record import Estimate
from advisor.tell.words.decision import a_month
from tests.figures.known import Format, Known, per_day

Served = Advice | GenerationAdvice
HOURS_PER_DAY = 24
TWO_DIGITS = 0.95  # what is printed with two digits is off by less
USUAL_MONTHS = 12.0  # of a life that the workload does not give


class Derived(NamedTuple):
    """A figure that is worked out of others, under the name of how."""

    name: str
    value: Estimate | float
    formats: tuple[Format, ...]


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{units.usd(abs(value))}"


def _times(value: float) -> str:
    return f"{units.number(value)}×"


def _hours(value: float) -> str:
    return f"{value:g} h"


def _days(value: float) -> str:
    return f"{value:g} days"


CONSTANTS = (
    Derived("the confidence of every interval", 0.9, (units.percent,)),
    Derived("hours of a month", units.HOURS_PER_MONTH, (_hours,)),
    Derived("days after which a price is old", PRICE_DAYS, (_days,)),
    Derived("utilization beyond which small errors matter", BUSY_FRACTION, (units.percent,)),
    Derived("memory that a cache may fill", 1 - MARGIN_FRACTION, (units.percent,)),
    Derived("memory of the engine", RUNTIME_BYTES, (units.size,)),
)


def records(it: object, *kinds: str) -> Iterator[Struct]:
    """Yield all records of these kinds that a record holds."""
    if isinstance(it, Struct):
        if type(it).__name__ in kinds:
            yield it
        for name in it.__struct_fields__:
            yield from records(getattr(it, name), *kinds)
    elif isinstance(it, dict):
        yield from records(tuple(it.values()), *kinds)
    elif isinstance(it, tuple):
        for entry in it:
            yield from records(entry, *kinds)


def derive(known: Known, it: Struct) -> None:
    """Let what follows from the figures of a record by a named rule be printed."""
    for derived in (*CONSTANTS, *_of(it)):
        known.add(derived.name, derived.value, derived.formats)


def _of(it: Struct) -> Iterator[Derived]:
    if isinstance(it, Advice | GenerationAdvice | LanguageAdvice):
        yield from _of_served(it)
    if isinstance(it, Advice | GenerationAdvice):
        yield from _of_money(it)
    if isinstance(it, Advice):
        yield from _of_service(it)
    if isinstance(it, GenerationAdvice | LanguageAdvice):
        yield from _of_tokens(it)
    if isinstance(it, OfflineAdvice):
        limit = it.workload.offline.deadline_s
        for choice in records(it, "OfflineChoice"):
            yield Derived("what is left to the deadline", 1 - choice.duration_s.high / limit, (units.percent,))
    if isinstance(it, Advice | Classification):
        yield from _of_life(it.verdict)
        yield from _of_levers(it)
    if isinstance(it, Classification):
        yield from _of_releases(it)


def _of_served(it: Advice | GenerationAdvice | LanguageAdvice) -> Iterator[Derived]:
    """Yield costs beside that of what is shown, and the room above today's traffic."""
    predictions = list(records(it, "Prediction", "GenerationPrediction", "DeploymentPrediction"))
    for prediction in predictions:
        if it.recommended is not None:
            more = prediction.cost_usd_per_hour.value - it.recommended.cost_usd_per_hour.value
            yield Derived("what it costs more or less than what is recommended", abs(more), (units.usd_per_hour,))
        if prediction.capacity_requests_per_s is not None:
            room = prediction.capacity_requests_per_s.low / it.mean_requests_per_s - 1
            yield Derived("room above the stated traffic", room, (units.percent,))
    if it.workload.traffic.diurnal:
        parts = it.workload.traffic.diurnal
        yield Derived("hours of a part of the day", HOURS_PER_DAY / len(parts), (_hours,))
        busiest = it.mean_requests_per_s * max(parts) * len(parts) / sum(parts)
        yield Derived("traffic of the busiest part", busiest, (units.rate,))


def _of_money(it: Served) -> Iterator[Derived]:
    """Yield what an hour makes in a month, and the signed difference of two of them."""
    for prediction in records(it, "Prediction", "GenerationPrediction"):
        yield Derived("a month of an hour", a_month(prediction.cost_usd_per_hour), (units.usd, units.usd_per_month))
    for end in records(it, "AtEnd"):
        yield Derived("a month of an hour", end.usd_per_hour * units.HOURS_PER_MONTH, (units.usd,))
    if it.saving is not None:
        saved = a_month(it.saving.usd_per_hour)
        yield Derived("a month of a saving", replace(saved, value=-saved.value, low=-saved.high, high=-saved.low), (_signed,))
    elif it.recommended is not None:
        ours, today = a_month(it.recommended.cost_usd_per_hour), a_month(it.baseline.cost_usd_per_hour)
        more = replace(ours, value=ours.value - today.value, low=ours.low - today.high, high=ours.high - today.low)
        yield Derived("a month's cost less today's", more, (_signed,))


def _of_service(it: Advice) -> Iterator[Derived]:
    limit = it.workload.slo.latency_s
    for prediction in records(it, "Prediction"):
        yield Derived("what is left to the target", 1 - prediction.latency_slo_s.high / limit, (units.percent,))
        yield Derived(
            "a year of an hour", prediction.cost_usd_per_hour.value * units.HOURS_PER_YEAR, (units.usd_per_year, units.usd)
        )
        for first in range(len(prediction.batch_size_shares)):
            for share in accumulate(prediction.batch_size_shares[first:]):
                yield Derived("the share of batches of some sizes", round(share, 2), (units.percent,))
    for test in it.load_tests:
        yield Derived("whole seconds of a load test", round(test.duration_s), (units.seconds,))
    points = it.certainty.open_points if it.certainty is not None else ()
    for wanted in accumulate(point.wanted_s for point in points):
        yield Derived("the time that would settle it", wanted, (units.seconds,))
    yield Derived("the time of all machines", sum(site.measuring_s for site in it.sites), (units.seconds,))
    flop = sum(operator.flop_per_item or 0.0 for operator in it.model.operators)
    for operator in it.model.operators:
        if operator.flop_per_item is not None and flop:
            yield Derived("an operator's share of the arithmetic", operator.flop_per_item / flop, (units.percent,))
    yield Derived(
        "the life that is planned",
        it.workload.lifecycle.horizon_months if it.workload.lifecycle else USUAL_MONTHS,
        (units.months,),
    )


def _of_tokens(it: GenerationAdvice | LanguageAdvice) -> Iterator[Derived]:
    slo = it.workload.slo
    for prediction in records(it, "GenerationPrediction", "DeploymentPrediction"):
        for name in ("ttft_s", "tpot_s", "latency_s"):
            limit, times = getattr(slo, name, None), getattr(prediction.times, name)
            if limit is not None and times is not None:
                yield Derived("what is left to the target", 1 - times.slo.high / limit, (units.percent,))
        yield Derived("the time that generates", 1 - prediction.prefill_fraction, (units.percent,))
    for candidate in records(it, "GenerationCandidate"):
        yield Derived("memory of a cache that is full", candidate.kv_tokens * it.model.kv_bytes_per_token, (units.size,))
    for prediction in records(it, "DeploymentPrediction"):
        full = prediction.deployment.kv_tokens * prediction.kv_bytes_per_token
        yield Derived("memory of a cache that is full", full, (units.size,))


def _of_releases(it: Classification) -> Iterator[Derived]:
    """Yield what is saved by one release fewer a year, and by two levers together: no more than by each of them, no less than by one."""
    both = re.search(r"with both, about (\$[\d.,]+\d)", it.headline)
    if both is not None:
        usd = float(re.sub(r"[$,]", "", both[1]))
        savings = sorted((entry.saving_usd_per_year.value for entry in it.outlook.opportunities if entry.pays), reverse=True)
        if min(savings[:2]) * TWO_DIGITS <= usd <= sum(savings) / TWO_DIGITS:
            yield Derived("what two levers save together", usd, (units.usd_per_year,))
    given = next((entry.estimate for entry in it.assumed if "fine_tunings_per_year" in entry.input), None)
    for line in it.verdict.lines:
        if given is not None and given.value and line.usd is not None:
            for value in (line.usd.value, line.usd.low, line.usd.high):
                yield Derived("a year's release of a line", value / given.value, (units.usd,))


def _of_levers(it: Advice | Classification) -> Iterator[Derived]:
    """Yield what a lever costs more, and what of its cost is no work."""
    life = it.workload.lifecycle if isinstance(it, Advice) else None
    months = it.horizon_months if isinstance(it, Classification) else life.horizon_months if life is not None else USUAL_MONTHS
    day = (
        next((entry.estimate.value for entry in it.assumed if "engineer_usd_per_day" in entry.input), None)
        if isinstance(it, Classification)
        else None
    )
    for entry in it.outlook.opportunities if it.outlook is not None else ():
        saving = entry.saving_usd_per_year.value
        yield Derived("what a lever saves or costs over the horizon", abs(saving) * months / 12, (units.usd,))
        yield Derived("what a lever costs more in a year", -saving, (units.usd_per_year,))
        if day is not None:
            yield Derived(
                "what a lever costs beside its work", entry.once_usd.value - day * entry.effort_engineer_days.value, (units.usd,)
            )


def _of_life(verdict: Verdict) -> Iterator[Derived]:
    """Yield sums of the lines of a lifetime cost, and their shares."""
    known = [line for line in verdict.lines if line.usd is not None]
    for kinds in (("fine-tuning", "data", "pre-training"), ("data",), ("pre-training",), ("inference",), ("fine-tuning",)):
        total = sum(line.usd.value for line in known if line.kind in kinds and line.usd is not None)
        yield Derived(f"the cost of {' and '.join(kinds)}", total, (units.usd,))
    for line in known:
        assert line.usd is not None
        for value in (line.usd.value, line.usd.low, line.usd.high):
            yield Derived("a tenth of a line", value / 10, (units.usd,))
    if verdict.total_usd is not None and verdict.total_usd.value:
        for line in known:
            assert line.usd is not None
            yield Derived("a line's share of the total", line.usd.value / verdict.total_usd.value, (units.percent,))
    for flip in verdict.flips_when:
        if flip.now:
            yield Derived("how many times as large an input is where the verdict turns", flip.at / flip.now, (_times,))
        yield Derived("where the verdict turns", flip.at, TURNS)
    for moved in verdict.moved:
        for end in (moved.low, moved.high):
            yield Derived("an end that an input is moved to", end, TURNS)


TURNS: tuple[Format, ...] = (units.usd, units.usd_per_hour, units.usd_per_year, units.percent, units.months, per_day, units.rate)


# --- facts of rules ----------------------------------------------------------------------------------------------------------------

FACT = re.compile(rf"\b({'|'.join(map(re.escape, FACTS))}) is ([-$\d][\w$.,%/ ]*?)(?=, |; |\.(?: |$)|$)")
BRACED = re.compile(r"\\{(\w+)\\}")
# Facts that a record holds, too: how each comes about from its figures.
OF_RECORD: dict[str, Callable[[Verdict], float | None]] = {
    "inference_share": lambda it: it.shares["inference"].value if "inference" in it.shares else None,
    "lifetime_usd": lambda it: it.total_usd.value if it.total_usd is not None else None,
    "training_usd": lambda it: lines_usd(it, "fine-tuning", "data", "pre-training"),
    "data_usd": lambda it: lines_usd(it, "data"),
    "pre_training_usd": lambda it: lines_usd(it, "pre-training"),
}


def lines_usd(verdict: Verdict, *kinds: str) -> float | None:
    """Return what the lines of these kinds cost together; None where one of them is not known."""
    lines = [line.usd for line in verdict.lines if line.kind in kinds]
    return None if any(usd is None for usd in lines) else sum(usd.value for usd in lines if usd is not None)


def facts_told(verdict: Verdict, whys: dict[str, str]) -> dict[str, set[str]]:
    """Return the values that a verdict gives of each fact that its rules ask for: listed, or in the sentence of a rule that fires."""
    found: dict[str, set[str]] = {}
    for finding in verdict.findings:
        told = FACT.findall(finding.why)
        if finding.outcome == "fires":
            pattern = BRACED.sub(r"(?P<\1>\\S.*?)", re.escape(" ".join(whys[finding.rule].split())), count=0)
            match = re.fullmatch(_once(pattern), " ".join(finding.why.split()))
            told = list(match.groupdict().items()) if match is not None else []
        for name, value in told:
            found.setdefault(name, set()).add(value)
    return found


def _once(pattern: str) -> str:
    """Return a pattern in which a name that stands twice has to be the same twice."""
    names: set[str] = set()

    def named(found: re.Match[str]) -> str:
        if found[1] in names:
            return f"(?P={found[1]})"
        names.add(found[1])
        return found[0]

    return re.sub(r"\(\?P<(\w+)>\\S\.\*\?\)", named, pattern)
