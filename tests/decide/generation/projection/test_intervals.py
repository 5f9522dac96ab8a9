"""Intervals: nine of ten of what was held back, wider where less is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.generation.projection.intervals import WIDER, conformal_factor, factor_of, of_draw
from advisor.decide.generation.service.step_time import DRAWS
from tests.language_models import ERRORS


def test_new_ratios_lie_within_the_factor_in_nine_of_ten_cases():
    random = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        logs = random.normal(0, 0.1, 40)
        covered.append(abs(random.normal(0, 0.1)) <= np.log(conformal_factor(np.exp(logs))))

    assert 0.86 < np.mean(covered) < 0.96


def test_a_handful_of_ratios_is_known_no_better_than_the_worst_of_them_and_more():
    assert np.exp(WIDER * 0.2) == pytest.approx(conformal_factor(np.exp([0.1, -0.2, 0.05])))


@given(st.lists(st.floats(0.2, 5.0), min_size=1, max_size=60))
def test_a_factor_is_the_same_for_times_and_for_speeds(ratios):
    assert conformal_factor(ratios) == pytest.approx(conformal_factor([1 / ratio for ratio in ratios]))
    assert conformal_factor(ratios) >= 1


def test_a_device_without_host_times_of_its_own_is_known_less_well():
    of_device, without = (factor_of(ERRORS, "kernels", "decode", engine="vllm", fitted_device=fitted) for fitted in (True, False))

    assert 1.1 == of_device < without


def test_an_engine_that_was_held_back_has_an_error_of_its_own():
    own = replace(ERRORS[0], engine="vllm", factor=1.05)

    assert 1.05 == factor_of((*ERRORS, own), "kernels", "decode", engine="vllm", fitted_device=True)
    assert 1.1 == factor_of((*ERRORS, own), "kernels", "decode", engine="deepspeed", fitted_device=True)


def test_what_was_never_held_back_may_be_as_far_off_as_what_is_shakier():
    without = [error for error in ERRORS if error.ground != "kernels"]

    assert 1.3 == factor_of(without, "kernels", "batch", engine="vllm", fitted_device=True)
    assert 1.7 == pytest.approx(
        factor_of([error for error in ERRORS if error.figure != "batch"], "roofline", "batch", engine="", fitted_device=False)
    )


def test_the_second_and_the_second_last_draw_are_about_the_ends_of_the_interval():
    draws = [of_draw(1.2, draw) for draw in range(DRAWS)]

    assert sorted(draws) == draws
    assert 1 == of_draw(1.2, None) == pytest.approx(np.sqrt(draws[9] * draws[10]))
    assert draws[0] < 1 / 1.2 < draws[1]
    assert draws[-2] < 1.2 < draws[-1]


def test_steps_that_were_never_timed_are_as_far_off_as_whole_batches_of_the_engine_or_its_older_self():
    batches = [replace(error, engine="vllm-2024", factor=1.4) for error in ERRORS if error.figure == "batch"]
    others = [replace(error, engine="llama.cpp", factor=9.0) for error in ERRORS]

    assert 1.4 == factor_of([*batches, *others], "kernels", "prefill", engine="vllm", fitted_device=True)
