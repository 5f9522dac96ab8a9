"""How far the answer is known: the cheapest at both ends of the intervals of service times, and what to measure where they differ."""

import math
from collections.abc import Sequence

from advisor.decide.advice.hardware_ranking import Searched
from advisor.decide.advice.sites import Sites
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.search import cheapest_of_each
from advisor.decide.queue.simulator import LEAST_CONFIDENCE, MIDDLE_CONFIDENCE
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import Configuration
from advisor.decide.service.measured import setting_of
from advisor.decide.service.projected import measure_there
from advisor.schema.advice import AtEnd, Certainty, OpenPoint, Prediction
from advisor.schema.profile import Measurement, Site
from advisor.schema.workload import OnlineWorkload
from advisor.units import counted, percent, seconds
from advisor.visits import ENOUGH_VISITS

NOISY_FRACTION = 0.1
MOST_ASKED = 200  # candidates simulated to find which settings leave the answer open
LOAD_TEST = "a load test of the most likely answer: advisor verify"
MOST_NAMED = 3  # points in a sentence; the record has them all


def certainty(
    sites: Sites, searched: Sequence[Searched], sure: Prediction | None, workload: OnlineWorkload, *, max_uncertainty: float
) -> Certainty:
    """Return how far the answer is known; `sure` is the cheapest that keeps the target at the slow end of the intervals, if any.

    Where energy decides, the hardware that it chose is taken for granted.
    """
    by_energy = workload.energy is not None and workload.energy.objective == "energy"
    looked_at = [searched[0]] if by_energy else list(searched)
    slow = None if sure is None else AtEnd(candidate=sure.candidate, usd_per_hour=sure.cost_usd_per_hour.value)
    # What slower calls need is enough for quicker ones: only what is cheaper would be another answer.
    likely = _cheapest(looked_at, MIDDLE_CONFIDENCE, workload, slow) or slow
    quick = _cheapest(looked_at, LEAST_CONFIDENCE, workload, likely) or likely
    factor = slow.usd_per_hour / quick.usd_per_hour if slow is not None and quick is not None else None
    is_settled = quick is None if factor is None else factor <= max_uncertainty
    found = () if quick is None or factor == 1.0 else _open_points(sites, looked_at, slow)
    return Certainty(
        quick=quick,
        likely=likely,
        slow=slow,
        factor=factor,
        max_uncertainty=max_uncertainty,
        is_settled=is_settled,
        open_points=found,
        because=() if is_settled else _because(looked_at, sites, found),
        settled_by=() if is_settled else _settled_by(looked_at, found, likely, factor),
    )


def _cheapest(looked_at: Sequence[Searched], confidence: float, workload: OnlineWorkload, dearer: AtEnd | None) -> AtEnd | None:
    """Return the cheapest on any hardware that keeps target and limits with this confidence; only what is cheaper than what is known to."""
    limit = workload.energy.max_joules_per_request if workload.energy else None
    best = None
    for entry in looked_at:
        site = entry.site
        below = min((each.usd_per_hour for each in (dearer, best) if each is not None), default=math.inf)
        found = site.cheapest(entry.space, confidence, below_usd_per_hour=below)
        if found is None or (limit is not None and _least_joules(site, *found, confidence) > limit):
            continue
        configuration, replicas = found
        best = AtEnd(candidate=configuration.replicated(replicas, site.hardware), usd_per_hour=replicas * site.price)
    return best


def _least_joules(site: SiteUnderLoad, configuration: Configuration, replicas: int, confidence: float) -> float:
    joules = predict(site, configuration, replicas, today_replicas=None).energy_joules_per_request
    if joules is None:
        return math.inf
    return joules.low if confidence < MIDDLE_CONFIDENCE else joules.value


def _open_points(sites: Sites, looked_at: Sequence[Searched], slow: AtEnd | None) -> tuple[OpenPoint, ...]:
    """Return the settings that would be the better answer at the quick end of their intervals, the most promising first."""
    measured = {site.hardware.id: site for site in sites.cleaned}
    most_usd = math.inf if slow is None else slow.usd_per_hour
    found = []
    for entry in looked_at:
        site, slo = entry.site, entry.site.workload.slo
        place = site.searchable(entry.space, LEAST_CONFIDENCE).below(most_usd)
        of_each = cheapest_of_each(place, quantile=slo.quantile, target_s=slo.latency_s, most_asked=MOST_ASKED)
        for (variant, threads, instances), (configuration, usd) in of_each.items():
            points = _points(measured.get(site.hardware), variant, threads, instances, configuration.max_batch_size)
            found.append(
                OpenPoint(
                    hardware=site.hardware,
                    variant=variant,
                    intra_op_num_threads=threads,
                    instances=instances,
                    batch_sizes=tuple(sorted({point.batch_size for point in points})),
                    usd_per_hour_low=usd,
                    leaves_open=None if slow is None else slow.usd_per_hour / usd,
                    visits=min((len(point.visits) for point in points), default=0),
                    wanted_s=sum(map(_wanted_s, points)),
                )
            )
    return tuple(sorted(found, key=_cheapest_first))


def _cheapest_first(point: OpenPoint) -> tuple[float, float]:
    return point.usd_per_hour_low, point.wanted_s


def _points(site: Site | None, variant: str, threads: int, instances: int, max_batch_size: int) -> list[Measurement]:
    """Return the measured points of a setting that batches up to this size hang on, the next larger one included."""
    if site is None:
        return []
    setting = (variant, threads, instances)
    ladder = [entry for entry in site.measurements if setting_of(entry) == setting]
    above = min((entry.batch_size for entry in ladder if entry.batch_size >= max_batch_size), default=math.inf)
    return [entry for entry in ladder if entry.batch_size <= above]


def _wanted_s(point: Measurement) -> float:
    """Return the seconds of timing that give a point enough visits; one that has them is visited as often again."""
    visits = len(point.visits)
    wanted = ENOUGH_VISITS - visits if visits < ENOUGH_VISITS else visits
    spent_s = sum(sum(visit.latency_s) for visit in point.visits) / point.instances
    return wanted * spent_s / visits if visits else 0.0


def _because(looked_at: Sequence[Searched], sites: Sites, found: Sequence[OpenPoint]) -> tuple[str, ...]:
    """Return why the answer is not known, a sentence each."""
    reasons = []
    open_at = {point.hardware for point in found}
    for site in (entry.site for entry in looked_at if entry.site.hardware in open_at):
        noise = site.service.noise_fraction
        if site.ground != "measured":
            reasons.append(f"the model was not measured on {site.hardware}: its service times are projected")
        elif noise is not None and noise > NOISY_FRACTION:
            reasons.append(
                f"the noise floor is {percent(noise)}, by which the same file, measured twice, differs from itself: "
                "the machine was busy with other work, or is uneven"
            )
    few = [point for point in found if 0 < point.visits < ENOUGH_VISITS]
    if few:
        fewest = counted(min(point.visits for point in few), "visit")
        reasons.append(
            f"few visits: {counted(len(few), 'setting')} that may be the answer, with {fewest} of a point at the least"
        )
    if found:
        reasons.append(_interval_of(found[0], sites, looked_at))
    return tuple(reasons)


def _interval_of(point: OpenPoint, sites: Sites, looked_at: Sequence[Searched]) -> str:
    """Return between what the calls of a setting lie, the shortest one named."""
    site = next(entry.site for entry in looked_at if entry.site.hardware == point.hardware)
    call = site.grids[setting_of(point)].medians[0][0]
    return f"a call of {point.variant} takes {seconds(call.low)} to {seconds(call.high)} ({call.source})"


def _settled_by(
    looked_at: Sequence[Searched], found: Sequence[OpenPoint], likely: AtEnd | None, factor: float | None
) -> tuple[str, ...]:
    """Return what would settle the answer, a sentence each."""
    ways = []
    by_hardware = {entry.site.hardware: entry.site for entry in looked_at}
    timed = [point for point in found if point.wanted_s > 0]
    if timed:
        named = "; ".join(_named(point) for point in timed[:MOST_NAMED])
        more = f"; and {len(timed) - MOST_NAMED} more" if len(timed) > MOST_NAMED else ""
        ways.append(
            f"about {seconds(sum(point.wanted_s for point in timed))} more of timing, by advisor profile --fresh with a larger --budget: "
            f"{named}{more}"
        )
    if any((by_hardware[point.hardware].service.noise_fraction or 0.0) > NOISY_FRACTION for point in timed):
        ways.append("a quiet machine: nothing else running while it measures")
    for hardware in dict.fromkeys(point.hardware for point in found if not point.batch_sizes):
        ways.append(measure_there(by_hardware[hardware].place.hardware))
    if likely is not None and by_hardware[likely.candidate.hardware].ground == "measured":
        ways.append(LOAD_TEST)
    if factor is not None:
        ways.append(f"accepting it: --max-uncertainty {math.ceil(factor * 10) / 10:g}")
    return tuple(ways)


def _named(point: OpenPoint) -> str:
    sizes = ", ".join(map(str, point.batch_sizes))
    threads = counted(point.intra_op_num_threads, "thread")
    return f"{point.variant}, {counted(point.instances, 'instance')} of {threads}, batches of {sizes}"
