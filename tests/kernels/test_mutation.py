"""A fault put into a kernel on purpose is seen: the comparison with the twin is sharp enough to be worth running.

core_ping is not here: what it answers is a time, so it has no twin.
"""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from importlib import resources

import numpy as np
import pytest

from advisor.kernels import decode_reference, decode_sim, pareto, queue_sim, reference, search
from advisor.kernels.columns import Columns

LOOP = "while "  # of a mutation of its condition alone, where the same expression stands elsewhere too
# Of each kernel expressions, each with what stands in its place. All of them are built at once, and chosen from when they run: it takes a
# compiler for a kernel, not for a mutant.
MUTATIONS = {
    "queue_sim-last-full-batch-waits": ("full <= requests", "full < requests"),
    "queue_sim-arrival-at-the-start-is-left-behind": ("arrival_s[end] <= start_s", "arrival_s[end] < start_s"),
    "queue_sim-last-request-sets-the-padding": ("max(largest, size_class[end])", "size_class[end]"),
    "queue_sim-a-later-server-is-taken": ("free_at_s[child + 1] < free_at_s[child]", "free_at_s[child + 1] > free_at_s[child]"),
    "queue_sim-late-is-at-the-target": (
        "latency_s[i] + watch.transit_s[i] > watch.target_s",
        "latency_s[i] + watch.transit_s[i] >= watch.target_s",
    ),
    "queue_sim-one-fewer-may-be-late": ("watch.allowed >= 0", "watch.allowed > 0"),
    "queue_sim-the-warm-up-counts": ("max(oldest, watch.warm_up)", "oldest"),
    "queue_sim-overlapping-stalls-both-take-time": ("stall_end_s - max(begins_s, over_s)", "stall_end_s - begins_s"),
    "queue_sim-a-stall-at-the-end-lengthens": ("begins_s < end_s", "begins_s <= end_s"),
    "queue_sim-idle-time-holds-no-stalls": ("stalls.until_s[server] - idle_s", "stalls.until_s[server]"),
    "decode_sim-a-cache-that-is-just-large-enough-is-full": (
        "replica_own_prompt(sim, sim->queue[sim->head]) + 1",
        "replica_own_prompt(sim, sim->queue[sim->head]) + 2",
    ),
    "decode_sim-a-mixed-step-promises-no-room": ("replica_can_admit(sim, sim->decoded)", "replica_can_admit(sim, 0)"),
    "decode_sim-a-gap-is-left-out": ("first + 1", "first + 2"),
    "decode_sim-no-gap-while-preempted": ("sim->at.now_s - sim->last_token_s[request]", "-sim->last_token_s[request]"),
    "search-exactly-busy-is-stable": ("<Py_ssize_t>row.load + 1", "<Py_ssize_t>ceil(row.load)"),
    "search-waiting-until-the-target-is-cut": (
        "min(delay_s, row.fill_s * replicas) <= row.room_s",
        "min(delay_s, row.fill_s * replicas) < row.room_s",
    ),
    "search-queue-at-the-target-is-cut": (
        "row.queue_s <= (row.room_s + row.slack_s * replicas) * (replicas - row.busy)",
        "row.queue_s < (row.room_s + row.slack_s * replicas) * (replicas - row.busy)",
    ),
    "search-one-replica-less-than-the-closed-form-says": ("<Py_ssize_t>enough", "<Py_ssize_t>enough - 1"),
    "search-equals-are-listed-backwards": ('np.argsort(usd, kind="stable")', 'np.argsort(-usd, kind="stable")[::-1]'),
    "search-the-upper-end-of-a-range-is-left-out": ("while price * last > up_to_usd", "price * last >= up_to_usd"),
    "search-the-lower-end-of-a-range-is-listed": ("while price * first <= above_usd", "price * first < above_usd"),
    "pareto-equal-coordinates-protect": ("work.points[a, k] > work.points[b, k]", "work.points[a, k] >= work.points[b, k]"),
    "pareto-equals-stand-for-each-other": ("(ranked[1:] != ranked[:-1]).any(axis=1)", "(ranked[1:] != ranked[:-1]).all(axis=1)"),
    "pareto-a-step-at-the-same-place-protects": ("steps->second[low] <= second", "steps->second[low] < second"),
    "pareto-steps-that-are-beaten-stay": (
        "steps->second[steps->right] >= second",
        "steps->second[steps->right] < second",
    ),
    "pareto-a-guard-beats-its-equals": (
        "block[k * DOMINANCE_BLOCK + g] < point[k]",
        "block[k * DOMINANCE_BLOCK + g] <= point[k]",
    ),
}
# Which mutant is at work, by its place among MUTATIONS, 0 for none; C headers and Cython see the same variable.
SWITCH_IN_C = """
#ifndef MUTANT
#define MUTANT
static int mutant;
#endif
"""
SWITCH = f'''
cdef extern from *:
    """{SWITCH_IN_C}"""
    int mutant


def choose(int which):
    global mutant
    mutant = which
'''


def random_queue(rng):
    """Return arguments of simulate_queue on a coarse grid, where ties are many, and what else keeps_target asks for."""
    n = rng.integers(1, 12)
    queue = {
        "arrival_s": np.cumsum(rng.integers(0, 4, n) / 8),
        "size_class": rng.integers(0, 3, n),
        "service_s": rng.integers(1, 9, (rng.integers(1, 4), 3)) / 8,
        "service_factor": rng.integers(1, 4, 2) / 2,
        "instances": int(rng.integers(1, 5)),
        "max_queue_delay_s": rng.integers(0, 4) / 8,
    }
    if rng.random() < 0.5:
        queue |= {"stall_gap_s": rng.integers(2, 9, 3) / 8, "stall_length_s": rng.integers(0, 3, 3) / 24}
    watch = {
        "transit_s": rng.integers(0, 3, n) / 8,
        "target_s": rng.integers(2, 16) / 8,
        "warm_up": int(rng.integers(0, n)),
        "allowed": int(rng.integers(0, 3)),
    }
    return {"queue": queue, "watch": watch}


def answer_of_queue_sim(module, queue, watch):
    return (*module.simulate_queue(**queue), module.keeps_target(**queue, **watch))


def random_load(rng):
    """Return arguments of simulate on a coarse grid, in a cache that holds two or three requests, and a little more than the largest."""
    n = rng.integers(2, 8)
    inputs, outputs = rng.integers(1, 8, n), rng.integers(1, 8, n)
    load = {
        "arrival_s": np.cumsum(rng.integers(0, 8, n) / 8),
        "input_tokens": inputs,
        "output_tokens": outputs,
        "prefix_hit_tokens": np.zeros(n, np.int64),
        "prefill_cost": rng.integers(0, 9, 3) / 8,
        "decode_cost": rng.integers(0, 9, 3) / 8,
        "mixed_cost": rng.integers(0, 9, 5) / 8,
        "decode_extra_s": np.append(0, rng.integers(0, 9, 8)) / 8,
        "token_extra_s": rng.integers(0, 9, 8) / 8,
        "policy": int(rng.integers(3)),
        "max_running_requests": int(rng.integers(2, 6)),
        "chunk_tokens": int(rng.integers(1, 8)),
        "kv_tokens": int((inputs + outputs).max() + rng.integers(1, 12)),
        "step_factors": rng.integers(1, 4, 3) / 2,
    }
    return {"load": load}


def answer_of_decode_sim(module, load):
    return module.simulate(**load)


def random_space(rng):
    """Return columns on a coarse grid, and a range of costs, each end of it the cost of many candidates."""
    n = rng.integers(1, 12)
    load = rng.integers(0, 9, n) / 2
    columns = Columns(
        price_usd_per_hour=rng.integers(0, 5, n) / 4,
        load=load,
        busy=load,
        floor_s=rng.integers(0, 5, n) / 4,
        queue_s=rng.integers(0, 17, n) / 4,
        slack_s=rng.integers(0, 3, n) / 4,
        fill_s=rng.integers(0, 5, n) / 4,
        max_replicas=rng.integers(1, 17, n),
        first_delay=np.zeros(n, dtype=np.intp),
        delays=rng.integers(1, 3, n),
    )
    bounds = {"delay_s": np.array([0.25, 0.5]), "latency_target_s": 1.0}
    above_usd = rng.integers(-1, 8) / 4
    costs = {"above_usd_per_hour": above_usd, "up_to_usd_per_hour": above_usd + rng.integers(0, 12) / 4}
    return {"columns": columns, "bounds": bounds, "costs": costs}


def answer_of_search(module, columns, bounds, costs):
    fewest, left = module.fewest_replicas(columns, **bounds)
    return (fewest, left, *module.enumerate_candidates(columns, fewest, **bounds, **costs))


def random_points(rng):
    """Return points on a coarse grid; now and then more than are settled without thinning them out."""
    count = rng.integers(1, 40) if rng.random() < 0.98 else 4500
    return {"points": rng.integers(0, 4, (count, rng.integers(2, 5))).astype(float)}


def answer_of_pareto(module, points):
    return (module.non_dominated(points),)


TWINS = {"decode_sim": decode_reference}  # of the others the twin is in `reference`
RANDOM_INPUT = {"decode_sim": random_load, "queue_sim": random_queue, "search": random_space, "pareto": random_points}
ANSWER = {
    "decode_sim": answer_of_decode_sim,
    "queue_sim": answer_of_queue_sim,
    "search": answer_of_search,
    "pareto": answer_of_pareto,
}


@cache
def inputs_and_answers(kernel):
    """Return 300 inputs, always the same, each with the answer of the twin."""
    rng = np.random.default_rng(7)
    inputs = [RANDOM_INPUT[kernel](rng) for _ in range(300)]
    twin = TWINS.get(kernel, reference)
    return [(given, ANSWER[kernel](twin, **given)) for given in inputs]


def differences(kernel, module):
    """Return on how many inputs the module answers other than the twin."""
    pairs = [(expected, ANSWER[kernel](module, **given)) for given, expected in inputs_and_answers(kernel)]
    return sum(not all(np.array_equal(*parts) for parts in zip(*pair, strict=True)) for pair in pairs)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """Build every kernel with all of its mutants, unoptimized, and return the extension modules by the kernel's name."""
    folder = tmp_path_factory.mktemp("mutants")
    for kernel in ANSWER:
        # A folder each, since a mutation may be one of a header that the kernel includes.
        (folder / kernel).mkdir()
        sources = kernel_sources(kernel)
        for which, (name, (old, _)) in enumerate(MUTATIONS.items(), start=1):
            if name.partition("-")[0] == kernel:
                places = [path for path in sources if old in sources[path]]
                assert len(places) == 1, f"{old!r} is in {len(places)} sources of the kernel: choose another mutation for {name}"
                sources[places[0]] = mutated(sources[places[0]], which, name, is_c=places[0].suffix == ".h")
        for path, source in sources.items():
            is_c = path.suffix == ".h"
            (folder / kernel / (path.name if is_c else f"mutated_{kernel}.pyx")).write_text(
                SWITCH_IN_C + source if is_c else source + SWITCH
            )
    build = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--quiet", "--parallel", "2"]
    subprocess.run([*build, *folder.glob("*/*.pyx")], cwd=folder, env=os.environ | {"CFLAGS": "-O0 -g0"}, check=True)
    return {kernel: load(f"mutated_{kernel}", folder / kernel) for kernel in ANSWER}


def mutated(source, which, name, *, is_c):
    """Return the source with a choice in place of the mutation's expression."""
    old, new = MUTATIONS[name]
    expression = old.removeprefix(LOOP)
    choice = f"(mutant == {which} ? ({new}) : ({expression}))" if is_c else f"(({new}) if mutant == {which} else ({expression}))"
    return source.replace(old, f"{LOOP}{choice}" if old.startswith(LOOP) else choice)


def kernel_sources(kernel):
    """Return the kernel's own source and all headers by their paths: a kernel includes those that it needs."""
    files = list(resources.files("advisor.kernels").iterdir())
    return {path: path.read_text() for path in files if path.name == f"{kernel}.pyx" or path.suffix == ".h"}


def load(name, folder):
    [path] = folder.glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("module", [queue_sim, decode_sim, search, pareto])
def test_the_kernel_as_it_is_differs_on_no_input(module):
    assert differences(module.__name__.rpartition(".")[2], module) == 0


@pytest.mark.parametrize("kernel", ANSWER)
def test_a_kernel_whose_mutants_sleep_differs_on_no_input(kernel, kernels):
    kernels[kernel].choose(0)

    assert differences(kernel, kernels[kernel]) == 0


@pytest.mark.parametrize(("which", "name"), enumerate(MUTATIONS, start=1), ids=[*MUTATIONS])
def test_a_mutated_kernel_differs_on_some_input(which, name, kernels):
    kernel = name.partition("-")[0]
    kernels[kernel].choose(which)

    assert differences(kernel, kernels[kernel]) > 0
