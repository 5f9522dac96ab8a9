"""What the report shows beside the candidates: curves that rise, rows of variants, speculation by what was measured."""

import pytest
from msgspec.structs import replace

from advisor.decide.generation import summaries
from advisor.decide.generation.capacity import capacity
from advisor.decide.generation.prediction import predict
from advisor.schema.generation import Speculation
from advisor.schema.record import Estimate
from tests.generation_profiles import KV_BYTES, Law, profile, tokens, under, variant, workload


def a_way(site, running=8):
    return next(way for way in site.ways(set(site.variants)) if way.max_running_requests == running)


def estimate(value, half=0.05):
    return Estimate(value=value, low=value - half, high=value + half, basis="measured", source="a test")


def speculated(text, running, speedup):
    return Speculation(
        text=text,
        running_requests=running,
        lookup_tokens=4,
        tokens_per_step=estimate(2.0),
        tpot_off_s=estimate(0.1),
        tpot_on_s=estimate(0.1 / speedup),
        speedup=estimate(speedup),
    )


def test_the_load_curve_goes_up_to_what_one_replica_carries():
    site = under(workload(), profile())
    way = a_way(site)

    found = summaries.load_curve(site.serving, way, 2)

    rates = [point.requests_per_s for point in found]
    assert 8 == len(found)
    assert sorted(rates) == rates
    assert capacity(site.serving, way, 2).requests_per_s.value / 2 == pytest.approx(rates[-1])
    assert found[-1].ttft_slo_s.value > found[0].ttft_slo_s.value
    assert found[-1].tpot_slo_s.value > found[0].tpot_slo_s.value


def test_the_load_curve_of_clients_goes_by_their_numbers():
    site = under(workload(None, clients=3, think_s=0.2), profile())

    rates = [point.requests_per_s for point in summaries.load_curve(site.serving, a_way(site), 1)]

    assert len(rates) > 2
    assert sorted(rates) == rates


def test_there_is_no_load_curve_where_nothing_is_carried():
    site = under(workload(ttft_s=0.001), profile())

    assert () == summaries.load_curve(site.serving, a_way(site), 1)


def kv_of(site):
    most = a_way(site).max_running_requests
    return summaries.kv_curve(site.demand, site.variants["fp32"].kv_bytes_per_token, most)


def test_the_cache_grows_with_the_running_requests_and_holds_the_shared_prefix_once():
    own, shared = (under(workload(brings=tokens(shared_prefix=prefix)), profile()) for prefix in (0, 60))
    curves = [[point.kv_bytes for point in kv_of(site)] for site in (own, shared)]
    inputs, outputs = own.demand.mean_tokens

    assert [1, 2, 4, 8] == [point.running_requests for point in kv_of(own)]
    assert KV_BYTES * 8 * (inputs + outputs / 2) == pytest.approx(curves[0][-1])
    assert 7 * 60 * KV_BYTES == pytest.approx(curves[0][-1] - curves[1][-1], rel=0.05)


def test_each_variant_is_shown_with_its_steps_and_its_admission():
    measured = profile({"fp32": Law(), "int8": Law().times(0.5)}, threads=(1, 2))
    site = under(workload(brings=tokens(100, 30)), measured)

    full, half = summaries.variant_rows(site)

    assert [True, False] == [full.admitted, half.admitted]
    assert 2.0 == pytest.approx(half.decode_tokens_per_s.value / full.decode_tokens_per_s.value)
    inputs, _ = site.demand.median_tokens
    assert 2 * inputs / Law().prefill_s(inputs) == pytest.approx(full.prefill_tokens_per_s.value)


def advised(records, running_requests=None):
    measured = profile(variants=(variant(engine="openvino", speculation=tuple(records)),))
    site = under(workload(), measured)
    shown = None
    if running_requests is not None:
        way = site.ways(set(site.variants))[0]
        shown = replace(predict(site, way, 1, today_replicas=None), running_requests=running_requests)
    return summaries.speculation([site], shown)


def test_speculation_is_advised_up_to_where_it_is_shown_to_be_faster():
    found = advised([speculated("copying", count, speedup) for count, speedup in ((8, 0.8), (1, 2.2), (4, 1.3))], 2.0)

    assert [("copying", "openvino", 4.0)] == [(each.text, each.engine, each.advised_up_to_running_requests) for each in found]
    assert 2.2 == found[0].speedup_at_one.value
    assert "runs 2.0 on average, within that" in found[0].because


def test_speculation_that_is_not_shown_to_be_faster_is_refused_with_what_was_measured():
    copying, free = advised([speculated("copying", 1, 1.5), speculated("free", 1, 1.04), speculated("free", 8, 0.45)], 3.0)

    assert free.advised_up_to_running_requests is None
    assert "1.04×" in free.because
    assert "beyond that" in copying.because


def test_without_measurements_nothing_is_said_of_speculation():
    assert () == advised([])
