"""Latency of one replica by its load, up to what it carries within the target: for the chart, nothing is decided by it."""

import numpy as np

from advisor.decide.queue.prediction import ENDS, over_runs
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.queue.space import of_candidate
from advisor.schema.advice import LoadLatency, Prediction

PARTS = (0.2, 0.4, 0.6, 0.75, 0.9, 1.0)  # of the capacity


def load_curve(site: SiteUnderLoad, shown: Prediction) -> tuple[LoadLatency, ...]:
    """Return the target's quantile at parts of the capacity of a configuration on the site, one run at each end of the service times.

    () where its capacity was not sought, or it carries nothing within the target. A rate at which servers do not keep up at the slow end
    is left out: there latency depends on how long one watches.
    """
    capacity, candidate = shown.capacity_requests_per_s, shown.candidate
    if capacity is None or candidate.hardware != site.hardware:
        return ()
    configuration, replicas = of_candidate(candidate), candidate.replicas
    simulator, quantile = site.simulator, site.workload.slo.quantile
    points = []
    for part in PARTS:
        rate = part * capacity.value
        scale = rate / site.demand.requests_per_s
        if not all(simulator.keeps_up(configuration, replicas, end, scale=scale) for end in ENDS):
            break
        runs = {
            end: np.array(
                simulator.run(configuration, replicas, end, 0, scale=scale, with_stalls=True, by_stretches=True).quantiles_s(
                    (quantile,)
                )
            )
            for end in ENDS
        }
        source = f"simulation at {part:g} of the capacity within the target"
        latency = over_runs(runs, shown.latency_slo_s.basis, source)
        points.append(LoadLatency(requests_per_s=rate / replicas, latency_slo_s=latency))
    return tuple(points)
