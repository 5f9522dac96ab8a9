"""Advice on generative models: what pays, what does not, and what is refused."""

from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

from advisor.decide.generation.advise import advise_generation
from advisor.decide.generation.decision import is_tie
from advisor.errors import InputError
from advisor.schema.advice import Place
from advisor.schema.generation import GenerationAdvice
from advisor.schema.workload import Baseline, Quality
from tests.decide.generation.replays import replayed
from tests.generation_profiles import Law, perplexity, profile, request, tokens, variant, with_site, workload

FLOOR = Quality(max_drop=0.05, metric="perplexity", data="text.txt")
STEADY = (0.99, 1.0, 1.01, 1.0, 0.995)
NOISY = (0.5, 0.8, 1.0, 1.5, 2.2)


HOLDS, LOSES = perplexity(0.01, 0.02), perplexity(0.4, 0.6)


def measured(*, int8=HOLDS, int4=LOSES, levels=STEADY, **more):
    """Return a profile in which int8 takes a third of the time and int4 a fifth."""
    return profile(
        {"fp32": Law(), "int8": Law().times(0.33), "int4": Law().times(0.2)},
        variants=(variant(), variant("int8", quality=int8), variant("int4", quality=int4)),
        levels=levels,
        batches=(1, 4),
        **more,
    )


USUAL = workload(80.0, quality=FLOOR, brings=tokens(100, 20))


def advised(asked=USUAL, profile_=None, **changed) -> GenerationAdvice:
    profile_ = profile_ or measured()
    return advise_generation(profile_, request(asked, profile_, **changed))


@cache
def usual_advice() -> GenerationAdvice:
    return advised()


def test_the_cheapest_that_keeps_quality_and_targets_is_recommended():
    found = usual_advice()

    assert "change" == found.outcome
    assert "int8" == found.recommended.candidate.variant
    assert found.recommended.meets_slo
    assert "serve int8 instead of fp32" in found.recommended.changes
    assert found.headline.startswith("Serve int8, up to ")
    assert "p90 TTFT within 500 ms and TPOT within 50 ms" in found.headline


def test_int4_that_loses_is_not_advised_however_fast_it_is():
    found = usual_advice()

    assert "int4" not in {entry.candidate.variant for entry in (found.recommended, *found.ties, *found.others)}
    reasons = {entry.what: entry.reason for entry in found.exclusions}
    assert "perplexity rises by 40 %, at worst 60 % (allowed 5 %)" == reasons["int4"]
    assert found.certificate.cut_by_quality > 0
    assert {"fp32": True, "int8": True, "int4": False} == {row.id: row.admitted for row in found.variants}


def test_a_cheaper_variant_without_measured_quality_is_named_unproven():
    found = advised(profile_=measured(int4=None))

    assert "int8" == found.recommended.candidate.variant
    assert "int4" == found.unproven.candidate.variant
    assert found.unproven.cost_usd_per_hour.value < found.recommended.cost_usd_per_hour.value


def test_nothing_is_changed_where_nothing_is_cheaper():
    asked = workload(1.0, quality=FLOOR, brings=tokens(50, 5), baseline=Baseline(replicas=1))

    found = advised(asked)

    assert "keep" == found.outcome
    assert () == found.recommended.changes
    assert found.headline.startswith("Change nothing")
    assert 0.0 == found.saving.usd_per_hour.value


def test_what_is_saved_is_told_where_today_is_given():
    asked = workload(20.0, quality=FLOOR, brings=tokens(100, 20), baseline=Baseline(replicas=60, max_batch_size=4))

    found = advised(asked)

    assert "change" == found.outcome
    assert found.saving.usd_per_hour.value == 60 - found.recommended.cost_usd_per_hour.value
    assert found.one_replica is None


def test_without_a_number_today_one_replica_is_compared_with_one():
    found = usual_advice()

    assert found.saving is None
    assert found.one_replica.ratio.value > 1.5
    assert found.one_replica.ratio.low <= found.one_replica.ratio.value <= found.one_replica.ratio.high


def test_targets_that_nothing_keeps_are_infeasible_with_what_binds():
    first = advised(workload(ttft_s=0.001, tpot_s=None))
    later = advised(workload(ttft_s=None, tpot_s=0.0005))

    assert ["infeasible", "infeasible"] == [first.outcome, later.outcome]
    assert first.binding_constraint.startswith("prefill: the p90 TTFT of requests that find an idle replica")
    assert later.binding_constraint.startswith("decode: ")
    assert first.recommended is None
    assert first.nearest_miss is not None


def test_a_cost_that_the_noise_leaves_open_is_inconclusive_with_what_would_settle_it():
    asked = workload(40.0, quality=FLOOR, brings=tokens(100, 20))
    found = advised(asked, measured(levels=NOISY, noise_fraction=0.4))

    assert "inconclusive" == found.outcome
    assert found.recommended is None
    assert found.likely is not None
    assert any("noise floor is 40 %" in reason for reason in found.because)
    assert any("--max-uncertainty" in way or "advisor verify" in way for way in found.settled_by)
    assert found.headline.startswith("Not known yet")


def test_an_uncertainty_that_is_accepted_settles_the_answer():
    noisy = measured(levels=NOISY, noise_fraction=0.4)
    asked = USUAL

    assert "inconclusive" == advised(asked, noisy, max_uncertainty=1.0).outcome
    assert "change" == advised(asked, noisy, max_uncertainty=100.0).outcome


def test_equally_cheap_candidates_that_neither_times_nor_capacity_tell_apart_are_ties():
    found = usual_advice()
    best = found.recommended

    assert 0 < len(found.ties) <= 5
    assert {best.cost_usd_per_hour.value} == {tie.cost_usd_per_hour.value for tie in found.ties}
    assert all(tie.times.ttft_s.slo.overlaps(best.times.ttft_s.slo) for tie in found.ties)
    assert all(tie.capacity_requests_per_s.overlaps(best.capacity_requests_per_s) for tie in found.ties)


def test_what_carries_less_is_no_tie_though_it_is_as_quick():
    best = usual_advice().recommended
    carried = best.capacity_requests_per_s
    less = replace(best, capacity_requests_per_s=replace(carried, low=0.0, value=0.5 * carried.low, high=0.99 * carried.low))

    assert is_tie(best, best)
    assert not is_tie(less, best)


def test_of_limits_that_cost_the_same_one_is_advised_with_which_a_replica_carries_most():
    traffic = {"quality": FLOOR, "brings": tokens(100, 20)}
    two = Baseline(variant="int8", max_batch_size=2, replicas=1)

    best, tight = advised(workload(20.0, **traffic)).recommended, advised(workload(20.0, **traffic, baseline=two))

    assert ("int8", 4, 1) == (best.candidate.variant, best.candidate.max_running_requests, best.candidate.replicas)
    # Two would keep the targets at the same cost, and stay where they run today.
    assert "keep" == tight.outcome
    assert tight.recommended.cost_usd_per_hour.value == best.cost_usd_per_hour.value
    assert tight.recommended.capacity_requests_per_s.high < best.capacity_requests_per_s.low


def test_other_variants_are_shown_with_the_limit_that_is_advised_where_that_is_as_cheap():
    found = usual_advice()

    assert {found.recommended.candidate.max_running_requests} == {it.candidate.max_running_requests for it in found.others}


def test_every_candidate_is_accounted_for():
    certificate = usual_advice().certificate

    counted = certificate.cut_by_bound + certificate.cut_by_quality + certificate.cut_by_tie + certificate.cut_by_cost
    assert certificate.candidates == counted + certificate.simulated


def test_the_same_records_give_the_same_advice_to_the_byte():
    first, second = (msgspec.json.encode(advice) for advice in (usual_advice(), advised()))

    assert first == second
    assert msgspec.json.decode(first, type=GenerationAdvice).outcome == "change"


def test_clients_are_advised_on_as_rates_are():
    found = advised(workload(None, clients=20, think_s=0.5, quality=FLOOR, brings=tokens(100, 20)))

    assert found.outcome in {"change", "keep"}
    assert found.mean_requests_per_s > 0
    assert "20 clients side by side" in advised(workload(None, clients=20, ttft_s=0.001, quality=FLOOR)).headline


def test_a_cache_that_cannot_hold_one_request_is_refused_with_the_numbers():
    tiny = measured(memory_bytes=11_801_000)

    with pytest.raises(InputError, match=r"leaves room for 30 tokens of the cache, and the largest request needs \d{3}"):
        advised(profile_=tiny)


def test_prompts_beyond_the_context_are_refused_with_the_numbers():
    with pytest.raises(InputError, match="the context of the model is 2,048 tokens"):
        advised(workload(brings=tokens(3000)))


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        (Baseline(variant="nothing"), "baseline.variant: 'nothing' is not in the profile"),
        (Baseline(intra_op_num_threads=9), "baseline.intra_op_num_threads: 9 was not measured for fp32"),
        (Baseline(max_batch_size=64), "64 requests side by side are more than 4"),
    ],
)
def test_what_runs_today_has_to_have_been_measured(baseline, says):
    with pytest.raises(InputError, match=says):
        advised(workload(baseline=baseline))


def test_a_question_without_a_target_is_refused():
    with pytest.raises(InputError, match="slo: no target"):
        advised(workload(ttft_s=None, tpot_s=None))


def test_hardware_that_was_not_measured_is_left_out_with_the_way_to_measure_it():
    profile_ = measured()
    asked = workload(quality=FLOOR)
    home = request(asked, profile_).home
    elsewhere: Place = replace(home, hardware=replace(home.hardware, id="elsewhere"))

    found = advised(asked, profile_, places=(home, elsewhere))

    assert any(entry.what == "elsewhere" and "advisor profile" in entry.reason for entry in found.exclusions)
    assert found.recommended is not None


def test_a_cheaper_machine_that_was_measured_is_recommended():
    profile_ = measured()
    other = replace(profile_.sites[0], hardware=replace(profile_.sites[0].hardware, id="other"))
    profile_ = replace(profile_, sites=(*profile_.sites, other))
    asked = USUAL
    home = request(asked, profile_).home
    price = replace(home.price_usd_per_hour, value=0.3, low=0.3, high=0.3)
    cheaper = replace(home, hardware=other.hardware, price_usd_per_hour=price, machine="a test")

    found = advised(asked, profile_, places=(home, cheaper))

    assert "other" == found.recommended.candidate.hardware
    assert "run on other (a test)" in found.recommended.changes


def test_a_day_with_a_busy_part_needs_more_than_a_steady_one():
    steady, uneven = (advised(replace(USUAL, traffic=replace(USUAL.traffic, diurnal=day))) for day in (None, (0.2, 1.0, 3.0)))

    assert steady.recommended.cost_usd_per_hour.value < uneven.recommended.cost_usd_per_hour.value
    assert any("part of the day" in note for note in uneven.notes)


def test_replays_of_the_profile_are_shown():
    profile_ = measured()

    found = advised(profile_=with_site(profile_, replays=(replayed(profile_),)))

    assert 1 == len(found.replays)


@pytest.mark.parametrize(("kept", "risk"), [(True, None), (False, "a replay of it missed a target")])
def test_what_was_replayed_is_not_called_untried(kept, risk):
    profile_ = measured()
    untried = advised(profile_=profile_)
    replay = replace(replayed(profile_), candidate=untried.recommended.candidate, meets_slo=kept)

    found = advised(profile_=with_site(profile_, replays=(replay,)))

    assert untried.risks[-1].endswith("not yet replayed")
    assert found.recommended.candidate == replay.candidate
    assert not any("not yet replayed" in each for each in found.risks)
    assert risk is None or any(risk in each for each in found.risks)


def test_risks_name_what_a_lossy_variant_loses_and_requests_beyond_what_was_measured():
    found = advised(workload(5.0, ttft_s=5.0, quality=FLOOR, brings=tokens(700, 500, spread=1.5)))

    assert any("perplexity rises by 1 %" in risk for risk in found.risks) == (found.recommended.candidate.variant == "int8")
    assert any("steps were measured with up to 1,024" in risk for risk in found.risks)


def test_traffic_for_more_replicas_than_are_considered_is_called_that():
    found = advised(workload(1e5, quality=FLOOR, brings=tokens(100, 20)))

    assert "infeasible" == found.outcome
    assert "takes more than 512 replicas of any measured configuration" in found.headline
    assert found.binding_constraint.startswith("replicas: the work alone keeps ")


def test_a_variant_that_is_no_faster_than_a_simpler_one_is_left_out_as_that():
    alike = profile({"fp32": Law(), "opt": Law()}, variants=(variant(), variant("opt", lossless=True)), batches=(1, 4))

    found = advised(workload(), alike)

    assert "as fast as fp32, as far as was measured: the simpler one is kept" in {entry.reason for entry in found.exclusions}
    assert found.certificate.cut_by_tie > 0


def test_keys_of_the_workload_that_are_not_used_are_named():
    asked = workload(baseline=Baseline(instances=2, max_queue_delay_s=0.1))

    found = advised(asked, profile(batches=(1, 4)))

    assert {"baseline.instances", "baseline.max_queue_delay_s"} <= {entry.what for entry in found.exclusions}


def test_an_engine_is_searched_beside_the_other_by_its_own_steps_and_named():
    ours = (variant(), variant("openvino-fp32", engine="openvino", lossless=True))
    quick = profile(
        {"fp32": Law(), "openvino-fp32": Law().times(0.4)}, variants=ours, levels=STEADY, batches=(1, 4), with_mixed=True
    )

    found = advised(USUAL, quick)

    assert ("openvino-fp32", "mixed") == (found.recommended.candidate.variant, found.recommended.candidate.policy)
    assert found.headline.startswith("Serve openvino-fp32 with OpenVINO, up to ")
    assert "the server changes with it: OpenVINO, where ONNX Runtime is what serves fp32" in found.risks
    assert {"fp32": "onnxruntime", "openvino-fp32": "openvino"} == {row.id: row.engine for row in found.variants}
    assert {"fp32"} == {other.candidate.variant for other in found.others}


def test_an_engine_that_is_slower_is_not_advised():
    ours = (variant(), variant("openvino-fp32", engine="openvino", lossless=True))
    slow = profile(
        {"fp32": Law(), "openvino-fp32": Law().times(3.0)}, variants=ours, levels=STEADY, batches=(1, 4), with_mixed=True
    )

    found = advised(USUAL, slow)

    assert "fp32" == found.recommended.candidate.variant
    assert "OpenVINO" not in found.headline
