"""Ties in speed: equal things are told to be equal, and different ones are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.queue.speed_ties import PROCESS_FRACTION, speed_ties
from tests.profiles import fixed_cost_law, measurement, power_law, profile, student, variant, with_site

VARIANTS = (variant(), variant("opt"), variant("int8"))


def ties(of_variant, *, today="fp32", noise=0.0, **asked):
    law = fixed_cost_law(0.001, 0.001, of_variant=of_variant)
    measured = profile(law, variants=VARIANTS, visits=(1 - noise, 1.0, 1 + noise), **asked)
    return {name: tie.simpler for name, tie in speed_ties(measured.sites[0], today).items()}


def test_the_same_speed_is_a_tie_with_the_model_as_it_was_given():
    assert {"opt": "fp32"} == ties({"opt": 1.0, "int8": 0.5})


@given(st.floats(1.0, 1 + 0.9 * PROCESS_FRACTION), st.booleans())
def test_a_difference_as_between_two_processes_is_none(ratio, is_faster):
    assert "opt" in ties({"opt": 1 / ratio if is_faster else ratio, "int8": 0.5})


@given(st.floats(1.25, 10.0), st.booleans())
def test_a_difference_beyond_the_noise_is_one(ratio, is_faster):
    assert "opt" not in ties({"opt": 1 / ratio if is_faster else ratio, "int8": 20.0})


def test_what_runs_today_is_simpler_than_anything_else():
    assert {"fp32": "opt"} == ties({"opt": 1.0, "int8": 0.5}, today="opt")


def test_a_tie_is_with_a_variant_that_is_none_itself():
    assert {"opt": "fp32", "int8": "fp32"} == ties({"opt": 1.0, "int8": 1.0})


def test_two_faster_variants_tie_with_each_other():
    assert {"int8": "opt"} == ties({"opt": 0.5, "int8": 0.5})


def test_a_noisy_machine_tells_less_apart():
    assert "opt" not in ties({"opt": 0.9, "int8": 0.5}, noise_fraction=0.01)
    assert "opt" in ties({"opt": 0.9, "int8": 0.5}, noise_fraction=0.2)


def test_a_variant_that_is_faster_at_large_batches_only_is_told_apart():
    def law(name, batch_size, *rest):
        seconds = fixed_cost_law(0.001, 0.001)(name, batch_size, *rest)
        return seconds * (0.5 if name == "opt" and batch_size > 4 else 1.0)

    measured = profile(law, variants=VARIANTS[:2], batch_sizes=(1, 4, 16, 64), settings=((1, 1), (1, 2), (2, 1)))

    assert {} == speed_ties(measured.sites[0], "fp32")


def test_too_few_visits_tell_nothing_apart():
    law = fixed_cost_law(0.001, 0.001, of_variant={"opt": 0.5})
    measured = profile(law, variants=VARIANTS[:2], batch_sizes=(1,), visits=(1.0,))

    assert ["opt"] == list(speed_ties(measured.sites[0], "fp32"))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_file_twice_is_a_tie_under_the_noise_of_processes(seed):
    random = np.random.default_rng(seed)
    process = {name: float(random.lognormal(0.0, 0.015)) for name in ("opt", "int8")}

    assert {"opt", "int8"} == set(ties(process, noise=0.05))


def rounds(seed, *, rounds, of_round, of_visit, of_process, of_variant=None):
    """A site of drawn visits: what a round does to all variants alike, what it does to each, and what each process has of its own."""
    random = np.random.default_rng(seed)
    shape = [(setting, size) for setting in ((1, 1), (1, 2), (2, 1)) for size in (1, 4, 16)]
    together = {point: random.normal(0, of_round, rounds) for point in shape}
    points = []
    for name in ("fp32", "opt", "fp32~again"):
        process = random.normal(0, of_process)
        for setting, size in shape:
            logs = process + together[setting, size] + random.normal(0, of_visit, rounds)
            seconds = 0.001 * size * (of_variant or {}).get(name, 1.0)
            points.append(measurement(name, size, seconds, setting=setting, visits=tuple(np.exp(logs))))
    return with_site(profile(power_law(0.001), variants=VARIANTS[:2]), measurements=tuple(points)).sites[0]


@pytest.mark.parametrize(("count", "of_visit"), [(1, 0.05), (2, 0.02), (3, 0.1), (6, 0.03)])
def test_the_same_file_twice_is_a_tie_in_ninety_five_of_a_hundred_profiles(count, of_visit):
    sites = (rounds(seed, rounds=count, of_round=0.3, of_visit=of_visit, of_process=0.02) for seed in range(100))

    assert sum("opt" in speed_ties(site, "fp32") for site in sites) >= 95


def test_a_variant_a_quarter_faster_is_told_apart_on_a_machine_that_drifts_more_than_that():
    faster = {"opt": 0.75}
    sites = [rounds(seed, rounds=4, of_round=0.3, of_visit=0.03, of_process=0.02, of_variant=faster) for seed in range(20)]

    assert sum("opt" in speed_ties(site, "fp32") for site in sites) <= 1


def test_an_untrained_student_is_simpler_than_nothing_and_a_trained_one_is():
    variants = (variant(), variant("layers-3", student=student()), variant("int8"))
    law = fixed_cost_law(0.001, 0.001, of_variant={"layers-3": 0.5, "int8": 0.5})
    trained = tuple(entry if entry.student is None else replace(entry, student=student(is_trained=True)) for entry in variants)

    assert {} == speed_ties(profile(law, variants=variants).sites[0], "fp32")
    after = speed_ties(profile(law, variants=trained).sites[0], "fp32")
    assert {"int8": "layers-3"} == {name: tie.simpler for name, tie in after.items()}
