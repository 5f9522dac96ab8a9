"""A fault put into a kernel on purpose is seen: the comparison with the twin is sharp enough to be worth running.

core_ping is not here: what it answers is a time, so it has no twin.
"""

import importlib.util
import os
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from advisor.kernels import pareto, queue_sim, reference, search

FUNCTION = {"queue_sim": "simulate_queue", "search": "scan_candidates", "pareto": "non_dominated"}
MUTATIONS = {
    "queue_sim-last-full-batch-waits": ("if full <= requests:", "if full < requests:"),
    "queue_sim-arrival-at-the-start-is-left-behind": ("arrival_s[end] <= start_s", "arrival_s[end] < start_s"),
    "queue_sim-last-request-sets-the-padding": ("max(largest, size_class[end])", "size_class[end]"),
    "queue_sim-a-later-server-is-taken": ("free_at_s[child + 1] < free_at_s[child]", "free_at_s[child + 1] > free_at_s[child]"),
    "search-exactly-busy-is-stable": ("spare > 0 ? usd", "spare >= 0 ? usd"),
    "search-waiting-until-the-target-is-cut": ("wait_s <= p.room", "wait_s < p.room"),
    "search-the-last-of-equals-is-taken": ("if usd[share] < best_usd:", "if usd[share] <= best_usd:"),
    "search-queue-at-the-target-is-cut": ("p.queue_s <= served", "p.queue_s < served"),
    "pareto-equal-coordinates-protect": ("work.points[a, k] > work.points[b, k]", "work.points[a, k] >= work.points[b, k]"),
    "pareto-equals-stand-for-each-other": ("(ranked[1:] != ranked[:-1]).any(axis=1)", "(ranked[1:] != ranked[:-1]).all(axis=1)"),
    "pareto-a-step-at-the-same-place-protects": ("work.second[low] <= second", "work.second[low] < second"),
    "pareto-steps-that-are-beaten-stay": ("work.second[work.right] >= second", "work.second[work.right] < second"),
}


def random_input(kernel, rng):
    """Return valid arguments of the kernel on a coarse grid, where ties are many."""
    if kernel == "pareto":
        return {"points": rng.integers(0, 4, (rng.integers(1, 40), rng.integers(2, 5))).astype(float)}
    n = rng.integers(1, 12)
    if kernel == "search":
        load = rng.integers(0, 9, n) / 2
        columns = (rng.integers(0, 5, n) / 4, load, load, *(rng.integers(0, 5, (4, n)) / 4))
        counts = (rng.integers(1, 9, n), np.zeros(n, dtype=np.intp), rng.integers(1, 3, n))
        return {"columns": (*columns, *counts), "delay_s": np.array([0.25, 0.5]), "latency_target_s": 1.0}
    return {
        "arrival_s": np.cumsum(rng.integers(0, 4, n) / 8),
        "size_class": rng.integers(0, 3, n),
        "service_s": rng.integers(1, 9, (rng.integers(1, 4), 3)) / 8,
        "service_factor": rng.integers(1, 4, 2) / 2,
        "instances": int(rng.integers(1, 5)),
        "max_queue_delay_s": rng.integers(0, 4) / 8,
    }


def answer(kernel, module, given):
    result = getattr(module, FUNCTION[kernel])(**given)
    return result if isinstance(result, tuple) else (result,)


def differences(kernel, module):
    """Return on how many of 300 inputs, always the same, the module answers other than the twin."""
    rng = np.random.default_rng(7)
    inputs = [random_input(kernel, rng) for _ in range(300)]
    pairs = [(answer(kernel, reference, given), answer(kernel, module, given)) for given in inputs]
    return sum(not all(np.array_equal(*parts) for parts in zip(*pair, strict=True)) for pair in pairs)


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    """Build every mutant at once, unoptimised, and return the extension module of each by its name."""
    folder = tmp_path_factory.mktemp("mutants")
    for name, (old, new) in MUTATIONS.items():
        source = resources.files("advisor.kernels").joinpath(f"{name.partition('-')[0]}.pyx").read_text()
        assert old in source, f"{old!r} is no longer in the kernel: choose another mutation for {name}"
        (folder / f"{name.replace('-', '_')}.pyx").write_text(source.replace(old, new))
    build = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--quiet", "--parallel", "2"]
    subprocess.run([*build, *folder.glob("*.pyx")], cwd=folder, env=os.environ | {"CFLAGS": "-O0 -g0"}, check=True)
    return {name: load(name.replace("-", "_"), folder) for name in MUTATIONS}


def load(name, folder):
    [path] = folder.glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("module", [queue_sim, search, pareto])
def test_the_kernel_as_it_is_differs_on_no_input(module):
    assert differences(module.__name__.rpartition(".")[2], module) == 0


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_kernel_differs_on_some_input(name, mutants):
    assert differences(name.partition("-")[0], mutants[name]) > 0
