"""What the report shows beside the candidates: curves that rise, rows of variants, speculation by what was measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.generation import summaries
from advisor.decide.generation.capacity import capacity
from advisor.decide.generation.prediction import predict
from advisor.decide.generation.summaries import Speedups
from advisor.schema.generation import DraftModel, Speculation
from advisor.schema.record import Estimate
from tests.generation_profiles import KV_BYTES, Law, profile, tokens, under, variant, with_site, workload


def a_way(site, running=8):
    return next(way for way in site.ways(set(site.variants)) if way.max_running_requests == running)


def estimate(value, half=0.05):
    return Estimate(value=value, low=value - half, high=value + half, basis="measured", source="a test")


def speculated(text, running, speedup):
    return Speculation(
        text=text,
        running_requests=running,
        proposed_tokens=4,
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


def advised(records, running_requests=None, *, name="fp32"):
    lookups = variant(name, engine="openvino", lossless=True, speculation=tuple(records))
    ours = (lookups,) if name == "fp32" else (variant(), lookups)
    measured = profile({entry.id: Law() for entry in ours}, variants=ours)
    site = under(workload(), measured)
    shown = None
    if running_requests is not None:
        way = site.ways(set(site.variants))[0]
        shown = replace(predict(site, way, 1, today_replicas=None), running_requests=running_requests)
    return summaries.speculation(site, shown)


def test_speculation_is_advised_up_to_where_it_is_shown_to_be_faster():
    (found,) = advised([speculated("copying", count, speedup) for count, speedup in ((8, 0.8), (1, 2.2), (4, 1.3))], 2.0)

    assert ("copying", "openvino", "fp32", (1, 4, 8)) == (found.text, found.engine, found.variant, found.measured_at)
    assert 2.2 == found.speedup_at_one.value
    # Its lower end is 1.25 at 4 and 0.75 at 8: one between the two, on logarithms.
    expected = 4 * 2 ** (math.log(1.25) / math.log(1.25 / 0.75))
    assert expected == pytest.approx(found.advised_up_to_running_requests)
    crossing = found.crossing_running_requests
    assert found.advised_up_to_running_requests == crossing.low < crossing.value < crossing.high < 8
    assert "interpolated" == crossing.basis


def test_a_load_that_was_measured_gets_what_was_measured_there():
    found = advised([speculated("copying", 1, 2.2), speculated("copying", 8, 0.8), speculated("free", 8, 0.6)], 8.0)

    assert [("copying", "off"), ("free", "off")] == [(each.text, each.use) for each in found]
    assert [0.8, 0.6] == [pytest.approx(each.speedup.value) for each in found]
    assert {"measured"} == {each.speedup.basis for each in found}
    assert {8.0} == {each.running_requests for each in found}
    assert "runs 8 on average, where it is 0.80× (0.75× to 0.85×) as fast, measured" in found[0].because


@pytest.mark.parametrize(
    ("running", "use", "basis"),
    [(0.3, "on", "measured"), (1.0, "on", "measured"), (2.0, "on", "interpolated"), (20.0, "off", None)],
)
def test_between_loads_and_beyond_them_it_is_said_on_what_the_advice_stands(running, use, basis):
    (found,) = advised([speculated("copying", 1, 2.2), speculated("copying", 8, 0.8)], running)

    assert use == found.use
    assert basis == (None if found.speedup is None else found.speedup.basis)
    assert (basis is None) == ("where it was not measured" in found.because)


def test_where_the_interval_holds_one_it_is_not_known():
    (found,) = advised([speculated("free", 1, 1.02)], 1.0)

    assert (None, None, "not known") == (
        found.advised_up_to_running_requests,
        found.crossing_running_requests,
        found.use,
    )


def test_lookup_that_was_tried_with_many_alone_says_nothing_of_one_unless_it_pays_there():
    slow, quick = (advised([speculated("free", 8, speedup)], 1.0)[0] for speedup in (0.6, 1.4))

    assert (None, None, "not known") == (slow.speedup_at_one, slow.speedup, slow.use)
    assert ("on", 8.0) == (quick.use, quick.advised_up_to_running_requests)


@given(
    st.lists(st.floats(0.2, 5.0), min_size=1, max_size=4),
    st.floats(0.0, 20.0),
)
def test_the_advice_agrees_with_the_speed_up_at_that_load(ratios, running):
    curve = Speedups([speculated("copying", 2**power, ratio) for power, ratio in enumerate(ratios)])

    use, speedup = curve.use(running), curve.at(running)

    if speedup is not None:
        assert speedup.low <= speedup.value <= speedup.high
        assert use == ("on" if speedup.low > 1 else "off" if speedup.high < 1 else "not known")
    if curve.faster_up_to is not None and running < 0.999 * curve.faster_up_to:
        assert "on" == use
    crossing = curve.crossing
    if crossing is not None:
        assert crossing.low <= crossing.value <= crossing.high
        assert curve.at(crossing.value).value == pytest.approx(1.0)


def test_what_another_variant_would_do_is_told_as_that():
    (found,) = advised([speculated("copying", 1, 2.2)], 1.0, name="openvino-int8")

    assert "openvino-int8, text that copies" in found.because
    assert "the advised configuration, with fp32, runs 1" in found.because


def test_without_measurements_nothing_is_said_of_speculation():
    assert () == advised([])


def test_each_way_to_guess_tokens_is_advised_on_by_itself():
    records = [
        replace(speculated("free", 1, 0.6), draft="small", acceptance=estimate(0.2)),
        replace(speculated("free", 8, 0.5), draft="small"),
        speculated("free", 1, 1.8),
    ]
    served = variant("openvino", engine="openvino", lossless=True, speculation=tuple(records))
    drafts = (DraftModel(id="small", sha256="0" * 64, layers=1, parameters=1, student=None, learned_texts=None),)
    measured = profile({"openvino": Law()}, variants=(served,))
    site = under(workload(), with_site(measured, drafts=drafts))

    drafted, looked_up = summaries.speculation(site, None)

    assert ("small", None, (1, 8)) == (drafted.draft, drafted.advised_up_to_running_requests, drafted.measured_at)
    assert (None, 1.0, (1,)) == (looked_up.draft, looked_up.advised_up_to_running_requests, looked_up.measured_at)
    assert "with the draft small" in drafted.because and "20 % of 4 proposed accepted" in drafted.because
