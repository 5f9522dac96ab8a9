"""What a simulation returns: one run, of all requests or of stretches that stand for them, and the runs of all seeds."""

from collections.abc import Sequence

import numpy as np

from advisor.decide.queue.demand import Stretched, quantiles
from advisor.schema.record import Record

ROUNDED = 1e-12  # of a sum of shares, as a part of it


class Run(Record, frozen=True, kw_only=True):
    """One simulated run; latencies (requests,) are those after its warm-up, batches (max_batch_size,) counts those of b at b - 1."""

    latency_s: np.ndarray
    batches: np.ndarray
    utilization: float
    throughput_requests_per_s: float  # of all replicas
    work_s: float  # that servers spend on a request
    share: np.ndarray | None = None  # (requests,) of all requests that each stands for; None: each for itself

    def quantiles_s(self, wanted: Sequence[float]) -> np.ndarray:
        """Return the smallest latencies that at least so many of the requests keep."""
        if self.share is None:
            return quantiles(self.latency_s, wanted)
        order = np.argsort(self.latency_s)
        kept = np.cumsum(self.share[order])
        places = np.searchsorted(kept, np.array(wanted) * (kept[-1] * (1 - ROUNDED)))
        return np.asarray(self.latency_s[order[np.minimum(places, len(order) - 1)]])

    def kept_fraction(self, limit_s: float) -> float:
        """Return which part of the requests takes no longer."""
        kept = self.latency_s <= limit_s
        return float(np.mean(kept)) if self.share is None else float(self.share[kept].sum() / self.share.sum())


class Outcome(Record, frozen=True, kw_only=True):
    """The simulation of one configuration at one end of the service interval; the first axis is that of the seeds."""

    quantiles_s: np.ndarray  # (seeds, quantiles)
    busiest_s: np.ndarray | None  # (seeds,) the target's quantile in the busiest part of the day
    goodput: np.ndarray  # (seeds,) share of requests within the target
    utilization: np.ndarray  # (seeds,)
    throughput_requests_per_s: np.ndarray  # (seeds,)
    batches: np.ndarray  # (max_batch_size,) of all seeds
    sampled: int | None  # requests of a run that stand for all; None: all were simulated


def of_stretches(runs: Sequence[Run], parts: Sequence[Stretched], *, requests_per_s: float, servers: int) -> Run:
    """Return the run that stretches of a trace stand for, from that of each part; `servers` are the instances of all replicas.

    The work of a request is its mean over all; how busy servers are then follows from the rate of the whole trace.
    """
    counts = [int(part.is_counted.sum()) for part in parts]
    work_s = sum(part.share * run.work_s for run, part in zip(runs, parts, strict=True))
    busy = requests_per_s * work_s / servers
    batches = [run.batches * (part.share / part.requests.total) for run, part in zip(runs, parts, strict=True)]
    return Run(
        latency_s=np.concatenate([run.latency_s[part.is_counted] for run, part in zip(runs, parts, strict=True)]),
        batches=np.sum(batches, axis=0),
        utilization=min(busy, 1.0),
        throughput_requests_per_s=requests_per_s / max(busy, 1.0),
        work_s=work_s,
        share=np.repeat([part.share / max(count, 1) for count, part in zip(counts, parts, strict=True)], counts),
    )
