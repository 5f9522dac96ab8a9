"""Kernels of a step -> what the step takes in an engine: factors on their parts, and what the host does between and around them.

A step that only decodes replays a graph that was recorded; one that reads launches many of its kernels by itself. So what comes on top
differs, and what the scheduler does grows with the requests that run.
"""

import numpy as np

from advisor.decide.generation.projection.composition import Parts
from advisor.schema.arrays.kernels import HostTimes

TODAY = "vllm"  # the engine whose figures are shown, where nobody asks for another
# Of chats at low load (vLLM 0.15): until a request is read, cut into tokens and handed over, and its first token is back; and up to how
# many times as much or as little.
OUTSIDE_S, OUTSIDE_FACTOR = 4.8e-3, 2.0
# Of engines that plan a step while another is under way.
PLANNED_STEPS = {"vllm": 1.0, "tensorrt-llm": 1.0, "tensorrt-llm-2025": 1.0}
# Engines that nobody ran on a device, or at all, are taken for the next younger one.
YOUNGER = {"vllm-2023": "vllm-2024"}
# Of a pass of a draft, beside its kernels: what the host does between two of them. Published of vLLM, 2025 to 2026: 0.15 ms (AngelSlim,
# Qwen3-8B), 0.25 (SpecDecode-Bench, Llama-3.1-8B on H100), 0.5 to 1.2 (speculators, Qwen3-0.6B to 32B).
DRAFT_PASS_S = 3e-4
# Of what the host adds for a running request, what it adds for each further token of it that is checked: choosing it, of logits of its own.
# With it a step of Llama-3.1-8B on H100 takes 18 to 23 us for each, as published (SpecDecode-Bench, arXiv 2601.11580: 21 us).
CHECKED_SHARE = 0.6
# Of the norm that joins kernels and launches: where both are as long a step takes an eighth more.
SHARPNESS = 6.0


def host_times(hosts: tuple[HostTimes, ...], engine: str, device: str) -> tuple[HostTimes, bool]:
    """Return what an engine adds on a device, and whether it was fitted there; of an unknown engine what a younger one does."""
    by_name = {(host.engine, host.device): host for host in hosts}
    for name in (engine, YOUNGER.get(engine, TODAY), TODAY):
        for where in (device, None):
            found = by_name.get((name, where))
            if found is not None:
                return found, where is not None and name == engine and found.carried_from is None
    return hosts[0], False


def step_s(host: HostTimes, layers: int, parts: Parts, *, running: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Return the seconds of steps with so many running requests that read so many tokens, 0 where they only decode."""
    reads = np.asarray(read) > 0
    kernels = launched(kernels_s(host, parts), layers * np.where(reads, host.prefill_launch_s, host.decode_launch_s))
    around = np.where(reads, host.prefill_step_s, host.decode_step_s) + host.layer_s * layers
    return np.asarray(kernels + around + host.request_s * running + host.token_s * read)


def kernels_s(host: HostTimes, parts: Parts) -> np.ndarray:
    """Return the seconds of kernels as an engine runs them."""
    factors = (host.matrices, host.attention, host.communication, host.experts)
    return np.asarray(sum(factor * seconds for factor, seconds in zip(factors, parts, strict=True)))


def launched(kernels_s: np.ndarray, launches_s: np.ndarray | float) -> np.ndarray:
    """Return the seconds of kernels that a host launches meanwhile: the longer of both, and somewhat more where they are alike."""
    longer = np.maximum(kernels_s, launches_s)
    shorter = np.minimum(kernels_s, launches_s)
    return np.asarray(longer * (1.0 + (shorter / np.maximum(longer, 1e-300)) ** SHARPNESS) ** (1.0 / SHARPNESS))
