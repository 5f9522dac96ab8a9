"""A profile and a target -> requests a second that one device serves: what the lifetime cost counts devices by."""

import msgspec

from advisor.decide.advice.advise import check_today
from advisor.decide.queue.prediction import capacity_requests_per_s
from advisor.decide.queue.site import Question, SiteUnderLoad
from advisor.decide.queue.space import baseline_configuration
from advisor.decide.service.measured import is_projected, service_of, undisturbed
from advisor.errors import InputError
from advisor.schema.advice import Place
from advisor.schema.profile import Profile, Site
from advisor.schema.record import Estimate
from advisor.schema.workload import Baseline, OnlineWorkload, Traffic
from advisor.units import counted, rate, seconds

# How much a machine carries does not depend on its price, and devices of one's own have none by the hour.
NO_PRICE = Estimate(value=0.0, low=0.0, high=0.0, basis="assumed", source="no price is asked for")


def throughput_at_target(
    profile: Profile, site: Site, workload: OnlineWorkload, *, requests_per_s: float, where: str
) -> Estimate:
    """Return what one device of the site serves within the target in today's configuration, in requests a second.

    The rate is steady, with the workload's bursts; `requests_per_s` is the mean from which it is sought, `where` names the profile.

    Raises InputError where that configuration was not measured, or keeps the target at no rate.
    """
    today = baseline_configuration(site, workload.baseline or Baseline())
    steady = Traffic(requests_per_s=requests_per_s, burstiness_cv=workload.traffic.burstiness_cv)
    question = Question(
        model=profile.model,
        settings=profile.settings,
        workload=msgspec.structs.replace(workload, traffic=steady),
        trace=None,
        home=site.hardware.id,
        today=today,
    )
    place = Place(
        hardware=site.hardware, machine=where, price_usd_per_hour=NO_PRICE, price_date=None, price_is_stale=False, carbon=None
    )
    loaded = SiteUnderLoad(question, place, service_of(site, undisturbed(site)), {})
    check_today(loaded)
    slo = workload.slo
    found = capacity_requests_per_s(loaded.simulator, today, 1, quantile=slo.quantile, target_s=slo.latency_s)
    target = f"p{100 * slo.quantile:g} within {seconds(slo.latency_s)}"
    setting = (
        f"{today.variant}, {counted(today.instances, 'instance')} of {counted(today.intra_op_num_threads, 'thread')}, "
        f"batches of up to {today.max_batch_size}"
    )
    if found is None or found.low <= 0:
        raise InputError(
            f"slo.latency_s: {where}: {setting} on {site.hardware.id} keeps {target} at no rate"
            + ("" if found is None else " at the upper end of its service times"),
            hint="name under baseline what does keep it (advisor advise finds it), or relax slo",
        )
    beyond = is_projected(loaded.simulator.grid(today), today.max_batch_size, loaded.asked_lengths)
    interval = f"{rate(found.value)} ({rate(found.low)} to {rate(found.high)})"
    source = f"{where}: {interval} a device with {target}, {setting} on {site.hardware.id}"
    return msgspec.structs.replace(found, basis="projected" if beyond else "measured", source=source)
