"""Half of the layers of a configuration: the weights that go, the search that prices it, and that it is never what is advised."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.distillation.configuration import half_of, with_student
from advisor.decide.generation.elsewhere.advise import advise_elsewhere
from advisor.files.catalog import read_distilled_pairs
from advisor.schema.language import FeedForwardLayers
from advisor.schema.workload import Lifecycle, LifeRequest, LifeTeam
from tests.elsewhere_models import DENSE, EXPERTS, Steps, asking, chat
from tests.lives import MARKET

LIFE = Lifecycle(horizon_months=24.0, team=LifeTeam(engineer_usd_per_day=900.0))
PAIRS = read_distilled_pairs()
OF_A_LAYER = 2 * 4096 * (32 + 8) * 128 + 3 * 4096 * 14336  # queries, keys, values and what joins the heads; the network
NORMS = 2 * 4096


def advised(requests_per_s=30.0, *, lifecycle=LIFE, pairs=PAIRS, **asked):
    request = asking(chat(requests_per_s, lifecycle=lifecycle, **asked))
    steps_of = functools.partial(Steps, spread=1.05)
    return with_student(advise_elsewhere(DENSE, request, steps_of), request, steps_of, MARKET, pairs)


@functools.cache
def usual():
    """The advice on the usual traffic, made once."""
    return advised()


def test_half_of_a_dense_model_has_half_of_the_layers_and_all_of_the_embeddings():
    half = half_of(DENSE)

    assert (16, 16, 16) == (half.layers, half.attention[0].layers, half.feed_forward[0].layers)
    assert DENSE.parameters - 16 * (OF_A_LAYER + NORMS) == pytest.approx(half.parameters, rel=1e-5)
    assert half.parameters == half.active_parameters


def test_of_experts_a_token_still_uses_as_many_in_half_of_the_layers():
    each = 3 * 7168 * 2048
    around = 2 * 129280 * 7168 + 61 * 2 * 7168 * (128 + 8) * 128
    whole = around + 61 * (257 * each + 256 * 7168)
    half = half_of(replace(EXPERTS, parameters=whole, active_parameters=whole - 61 * 248 * each))

    gone = 31 * (257 * each + 256 * 7168 + 2 * 7168 * (128 + 8) * 128)
    assert (30, 30) == (half.layers, half.feed_forward[0].layers)
    assert whole - gone == half.parameters
    assert half.parameters - 30 * 248 * each == half.active_parameters


def test_a_tied_table_is_counted_once():
    tied = replace(DENSE, ties_embeddings=True, parameters=DENSE.parameters - 128256 * 4096)

    assert half_of(DENSE).parameters - half_of(tied).parameters == 128256 * 4096


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_every_kind_of_layer_stays_in_its_proportion_and_all_sums_agree(kinds, networks):
    total = sum(kinds)
    networks = [*networks, total - sum(networks)]
    if networks[-1] < 1:
        networks = [total]
    model = replace(
        DENSE,
        layers=total,
        attention=tuple(replace(DENSE.attention[0], layers=count, window_tokens=at + 1) for at, count in enumerate(kinds)),
        feed_forward=tuple(FeedForwardLayers(layers=count, inner_size=at + 1) for at, count in enumerate(networks)),
    )

    half = half_of(model)

    if half is None:
        assert total // 2 < max(len(kinds), len(networks))
        return
    assert total // 2 == half.layers == sum(it.layers for it in half.attention) == sum(it.layers for it in half.feed_forward)
    assert all(1 <= it.layers <= was.layers for it, was in zip(half.attention, model.attention, strict=True))
    assert 0 < half.active_parameters <= half.parameters < model.parameters


def test_it_is_an_opportunity_beside_the_advice_and_never_the_advice():
    found = usual()
    plain = advised(lifecycle=None)

    assert plain.student is None and plain.recommended == found.recommended and plain.headline == found.headline
    assert "layers-16" == found.student.student.id and "16 of 32 layers" == found.student.title
    assert "Distill into layers-16: after training, if it holds" == found.student.opportunity.title
    assert not found.student.opportunity.surely


def test_what_it_saves_is_the_difference_of_two_searches():
    found = advised(300.0)
    it = found.student

    expected = found.recommended.cost_usd_per_month.value - it.prediction.cost_usd_per_month.value
    assert it.prediction.meets_slo and expected > 0
    assert expected == pytest.approx(it.saving_usd_per_month.value)
    assert 12 * expected == pytest.approx(it.opportunity.saving_usd_per_year.value)


def test_small_traffic_does_not_pay_for_it():
    it = advised(1.0).student

    assert not it.opportunity.pays and it.saving_usd_per_month.value == 0


def test_quality_is_assumed_from_published_decoders_or_not_known():
    assert "assumed" == usual().student.retention.basis
    bare = advised(pairs=()).student
    assert bare.retention is None and "no publication" in bare.quality_because


def test_calls_of_a_request_share_what_a_replica_carries():
    many = replace(LIFE, request=LifeRequest(agent_multiplier=3.0))

    one, three = advised(90.0).student.break_even, advised(30.0, lifecycle=many).student.break_even

    assert one.requests_per_s == pytest.approx(3 * three.requests_per_s, rel=1e-4)


def test_where_nothing_is_advised_nothing_is_proposed_either():
    found = advised(slo=replace(chat().slo, ttft_s=1e-6))

    assert "infeasible" == found.outcome and found.student is None
