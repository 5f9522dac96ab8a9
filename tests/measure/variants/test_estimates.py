"""Estimates: what is hoped most of comes first, every method has a cost, and less time never means more looks."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.model.facts import inspect_onnx
from advisor.measure.variants import estimates
from advisor.measure.variants.estimates import FEWEST_CALIBRATION_ITEMS, Costs
from advisor.measure.variants.settings import ScreeningSettings
from advisor.schema.catalog import Method
from advisor.steps.profile import schemes
from tests import models
from tests.models import save

SCHEMES = {scheme.id: scheme for scheme in schemes()}
SECONDS = st.floats(1e-5, 1e3)


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {"products": models.mlp(), "convolutions": models.convolution("n, 3, 8, 8")}
    return {name: inspect_onnx(save(model, folder / f"{name}.onnx"), name=name) for name, model in made.items()}


def costs(call_s, item_s=None):
    return Costs(call_s=call_s, item_s=item_s or call_s, are_items_given=True)


def first(names, facts):
    return max(names, key=lambda name: estimates.hope(SCHEMES[name], facts))


def test_of_products_most_is_hoped_of_dynamic_integers_and_of_convolutions_of_static_ones(facts):
    names = ("int8-dynamic", "int8-static-minmax", "fp16", "ort-optimized", "int8-weight-only")

    assert "int8-dynamic" == first(names, facts["products"])
    assert "int8-static-minmax" == first(names, facts["convolutions"])
    assert estimates.hope(SCHEMES["int8-dynamic"], facts["convolutions"]) < 1


def test_an_accelerator_that_is_there_comes_before_the_processor(facts):
    assert "cuda" == first(SCHEMES, facts["products"]) or estimates.hope(SCHEMES["cuda"], facts["products"]) == 10.0


def test_every_method_has_a_speed_and_a_cost():
    assert set(get_args(Method)) == set(estimates.SPEED_UP) == set(estimates.MAKING_S_PER_BYTE)


@pytest.mark.parametrize("name", sorted(SCHEMES))
@given(call_s=SECONDS, factor=st.floats(1.0, 100.0), items=st.integers(FEWEST_CALIBRATION_ITEMS, 128))
def test_longer_calls_and_more_items_never_cost_less(facts, name, call_s, factor, items):
    scheme, known = SCHEMES[name], facts["products"]
    less = estimates.making_s(scheme, known, costs(call_s), FEWEST_CALIBRATION_ITEMS)

    assert less <= estimates.making_s(scheme, known, costs(call_s * factor), items)


@given(call_s=SECONDS, seconds=SECONDS, given=st.integers(0, 3))
def test_less_time_never_means_more_looks_or_items_and_what_is_planned_fits_in(facts, call_s, seconds, given):
    usual, known, known_costs = ScreeningSettings(), facts["products"], costs(call_s)
    tried = estimates.affordable(list(SCHEMES.values()), known, known_costs, usual, seconds)

    paced = estimates.paced(usual, tried, given, known, known_costs, seconds)

    for name in ("compared_items", "calibration_items", "looks", "look_s", "long_looks", "judging_s"):
        assert getattr(paced, name) <= getattr(usual, name)
    assert 1 <= paced.compared_items and FEWEST_CALIBRATION_ITEMS <= paced.calibration_items and 0 <= paced.judging_s
    assert sum(estimates.least_s(scheme, known, known_costs, usual) for scheme in tried) <= seconds * (1 + 1e-9)


def test_where_there_is_time_enough_nothing_is_cut_down(facts):
    usual = ScreeningSettings()

    paced = estimates.paced(usual, list(SCHEMES.values()), 0, facts["products"], costs(0.001), 600.0)

    assert usual == msgspec.structs.replace(paced, judging_s=usual.judging_s)


def test_of_calls_of_seconds_a_single_item_is_compared_and_a_single_look_is_taken(facts):
    paced = estimates.paced(ScreeningSettings(), [SCHEMES["ort-optimized"]], 0, facts["products"], costs(2.0), 12.0)

    assert (1, 1, 1, (1,)) == (paced.compared_items, paced.long_looks, paced.long_look_calls, paced.look_batch_sizes)


def test_the_items_to_calibrate_on_are_a_power_of_two(facts):
    found = {
        estimates.paced(
            ScreeningSettings(), [SCHEMES["int8-static-minmax"]], 0, facts["convolutions"], costs(0.01), seconds
        ).calibration_items
        for seconds in (1.0, 5.0, 9.0, 20.0, 60.0, 600.0)
    }

    assert found <= {8, 16, 32, 64, 128} and len(found) > 2
