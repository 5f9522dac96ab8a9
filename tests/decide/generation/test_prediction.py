"""What is expected of a candidate: costs that add up, and targets that are kept, missed or open."""

import pytest

from advisor.decide.generation.prediction import predict
from tests.generation_profiles import Law, perplexity, profile, tokens, under, variant, workload


def predicted(asked=None, measured=None, *, replicas=1, **more):
    site = under(asked or workload(), measured or profile())
    way = next(way for way in site.ways(set(site.variants)) if way.max_running_requests == 8)
    return site, predict(site, way, replicas, today_replicas=None, **more)


def test_tokens_cost_together_what_requests_do():
    site, found = predicted()
    inputs, outputs = site.demand.mean_tokens

    of_tokens = found.cost_usd_per_million_input_tokens.value * inputs + found.cost_usd_per_million_output_tokens.value * outputs

    assert found.cost_usd_per_million_requests.value == pytest.approx(of_tokens)
    assert 1e6 / 3600 / 2.0 == pytest.approx(found.cost_usd_per_million_requests.value)


def test_the_cost_is_split_as_the_time_goes():
    reading, writing = (predicted(workload(0.5, brings=brings))[1] for brings in (tokens(1000, 2), tokens(10, 100)))

    assert reading.prefill_fraction > 0.8 > 0.2 > writing.prefill_fraction


def test_a_candidate_keeps_misses_or_leaves_open_its_targets():
    kept, open_, missed = (predicted(workload(ttft_s=None, tpot_s=target))[1] for target in (0.05, 0.0092, 0.004))

    assert (True, False) == (kept.meets_slo, kept.misses_slo)
    assert (False, True) == (missed.meets_slo, missed.misses_slo)
    assert (False, False) == (open_.meets_slo, open_.misses_slo)


def test_a_prediction_keeps_its_targets_where_the_upper_ends_do():
    for target in (0.02, 0.05, 0.1, 0.2):
        _, found = predicted(workload(ttft_s=target, tpot_s=None))
        assert found.meets_slo == (found.times.ttft_s.slo.high <= target)


def test_load_and_use_of_the_cache_are_those_of_one_replica():
    one, two = (predicted(workload(20.0, ttft_s=5.0), replicas=replicas)[1] for replicas in (3, 6))

    assert one.utilization_fraction.value > 1.5 * two.utilization_fraction.value
    assert one.running_requests > two.running_requests
    assert 0 < two.kv_use_fraction <= one.kv_use_fraction <= 1
    assert 20.0 == pytest.approx(one.times.requests_per_s.value, rel=0.15)


def test_replicas_that_are_given_cost_what_they_do():
    _, found = predicted(replicas=5, is_given=True)

    assert (5.0, 5.0, 5.0) == (
        found.cost_usd_per_hour.low,
        found.cost_usd_per_hour.value,
        found.cost_usd_per_hour.high,
    )


def test_replicas_that_are_needed_cost_what_either_end_of_the_steps_needs():
    _, found = predicted(workload(60.0, tpot_s=0.03), replicas=4)

    assert found.cost_usd_per_hour.low <= found.cost_usd_per_hour.value <= found.cost_usd_per_hour.high
    assert found.cost_usd_per_hour.low < found.cost_usd_per_hour.high


def test_quality_is_what_was_measured_of_the_variant():
    lossy = profile({"int8": Law()}, variants=(variant("int8", quality=perplexity(0.01, 0.02)),))

    assert 0.01 == predicted(measured=lossy)[1].quality_drop.value
    assert 0.0 == predicted()[1].quality_drop.value
