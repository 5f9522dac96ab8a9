"""Kernels of a step -> what the step takes in an engine: factors on their parts, and what the host does between and around them.

A step that only decodes replays a graph that was recorded; one that reads launches many of its kernels by itself. So what comes on top
differs, and what the scheduler does grows with the requests that run.
"""

import numpy as np

from advisor.decide.generation.projection.composition import Parts
from advisor.schema.kernels import HostTimes

TODAY = "vllm"  # the engine whose figures are shown, where nobody asks for another


def host_times(hosts: tuple[HostTimes, ...], engine: str, device: str) -> tuple[HostTimes, bool]:
    """Return what an engine adds on a device, and whether it was fitted there; of an unknown engine what the one of today does."""
    by_name = {(host.engine, host.device): host for host in hosts}
    for name in (engine, TODAY):
        for where in (device, None):
            found = by_name.get((name, where))
            if found is not None:
                return found, where is not None and name == engine
    return hosts[0], False


def step_s(host: HostTimes, layers: int, parts: Parts, *, running: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Return the seconds of steps with so many running requests that read so many tokens, 0 where they only decode."""
    kernels = host.matrices * parts.matrices + host.attention * parts.attention + host.communication * parts.communication
    around = np.where(np.asarray(read) > 0, host.prefill_step_s, host.decode_step_s) + host.layer_s * layers
    return np.asarray(kernels + around + host.request_s * running + host.token_s * read)
