"""What a simulation returns: one run, and the runs of all seeds."""

import numpy as np

from advisor.schema.record import Record


class Run(Record, frozen=True, kw_only=True):
    """One simulated run; latencies (requests,) are those after its warm-up, batches (max_batch_size,) counts those of b at b - 1."""

    latency_s: np.ndarray
    batches: np.ndarray
    utilization: float
    throughput_requests_per_s: float  # of all replicas


class Outcome(Record, frozen=True, kw_only=True):
    """The simulation of one configuration at one end of the service interval; the first axis is that of the seeds."""

    quantiles_s: np.ndarray  # (seeds, quantiles)
    busiest_s: np.ndarray | None  # (seeds,) the target's quantile in the busiest part of the day
    goodput: np.ndarray  # (seeds,) share of requests within the target
    utilization: np.ndarray  # (seeds,)
    throughput_requests_per_s: np.ndarray  # (seeds,)
    batches: np.ndarray  # (max_batch_size,) of all seeds
