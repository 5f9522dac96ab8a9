"""The space: what fits into memory, what was measured, and whose quality holds."""

import pytest
from msgspec.structs import replace

from advisor.decide.generation import space
from advisor.decide.generation.space import MARGIN_FRACTION, Way, admission, cache_tokens, changes
from advisor.schema.workload import Baseline, Quality
from tests.generation_profiles import KV_BYTES, WEIGHT_BYTES, Law, encoder, perplexity, profile, tokens, under, variant, workload

FLOOR = Quality(max_drop=0.05, metric="perplexity", data="text.txt")


def ways_of(measured, asked=None, variants=None):
    site = under(asked or workload(), measured)
    return site.ways(set(variants or site.variants))


@pytest.mark.parametrize(
    ("quality", "floor", "admitted", "unknown"),
    [
        (perplexity(0.01, 0.02), FLOOR, True, False),
        (perplexity(0.03, 0.06), FLOOR, False, False),
        (None, FLOOR, False, True),
        (perplexity(0.01, 0.02), None, False, True),
        (perplexity(0.01, 0.02), replace(FLOOR, data=None), False, True),
        (perplexity(0.01, 0.02), replace(FLOOR, metric="accuracy"), False, True),
    ],
)
def test_a_variant_is_admitted_where_its_perplexity_was_measured_and_holds(quality, floor, admitted, unknown):
    lossy = variant("int8", quality=quality)
    site = profile({"fp32": Law(), "int8": Law()}, variants=(variant(), lossy)).sites[0]

    found = admission(lossy, site, workload(quality=floor))

    assert (admitted, unknown) == (found.admitted, found.is_unknown)
    assert admission(site.variants[0], site, workload()).admitted


def test_the_cache_gets_what_the_weights_leave():
    measured = profile(memory_bytes=30_000_000)
    machine, only = measured.sites[0].machine, measured.sites[0].variants[0]

    assert int((30_000_000 * (1 - MARGIN_FRACTION) - WEIGHT_BYTES) / KV_BYTES) == cache_tokens(machine, only)
    assert cache_tokens(replace(machine, memory_bytes=10_000_000), only) < 0


def test_the_cache_holds_the_largest_request_in_every_way_to_serve():
    measured, asked = profile(memory_bytes=13_000_000), workload(brings=tokens(shared_prefix=50, input_max=400, output_max=100))
    site = under(asked, measured)

    found = site.ways(set(site.variants))

    assert found
    assert all(
        site.demand.largest_tokens <= way.kv_tokens <= cache_tokens(measured.sites[0].machine, site.site.variants[0])
        for way in found
    )


def test_a_variant_that_leaves_no_room_for_one_request_is_kept_out_with_the_numbers():
    measured = profile({"fp32": Law(), "big": Law()}, variants=(variant(), variant("big", weight_bytes=10**10)))
    site = under(workload(), measured)

    assert ["big"] == [entry.what for entry in site.exclusions]
    assert "10 GB" in site.exclusions[0].reason
    assert {"fp32"} == {way.variant for way in site.ways({"fp32", "big"})}


def test_no_more_requests_run_side_by_side_than_were_measured():
    found = ways_of(profile(batches=(1, 3, 6)))

    assert {1, 2, 4, 6} == {way.max_running_requests for way in found}


def test_engines_have_the_policies_that_they_can_run():
    onnx = ways_of(profile())
    openvino = ways_of(profile(variants=(variant(engine="openvino"),)))

    assert {"prefill_first", "chunked"} == {way.policy for way in onnx}
    assert {"mixed"} == {way.policy for way in openvino}
    assert all(way.policy == "prefill_first" for way in onnx if way.max_running_requests == 1)
    assert all(way.chunk_tokens > way.max_running_requests for way in openvino)


def test_what_runs_today_comes_first():
    asked = workload(baseline=Baseline(max_batch_size=4))
    site = under(asked, profile())

    first = site.ways({"fp32"})[0]

    assert site.today == first
    assert (4, "prefill_first", 1) == (first.max_running_requests, first.policy, first.intra_op_num_threads)


def test_today_is_what_fits_where_the_user_did_not_say():
    measured = profile({"fp32": Law(), "int8": Law()}, variants=(variant(weight_bytes=10**10), variant("int8")))

    assert "int8" == under(workload(), measured).today.variant


def test_changes_are_described_and_none_where_nothing_changes():
    today = Way(
        variant="fp32", intra_op_num_threads=1, max_running_requests=1, policy="prefill_first", chunk_tokens=None, kv_tokens=9
    )
    other = replace(today, variant="int8", intra_op_num_threads=2, max_running_requests=8, policy="chunked", chunk_tokens=128)

    assert () == changes(today, today)
    assert (
        "serve int8 instead of fp32",
        "2 threads instead of 1",
        "up to 8 requests side by side instead of 1",
        "prompts in chunks of 128 tokens instead of prompts read whole",
    ) == changes(today, other)
    assert "mixed steps of up to 256 tokens" == space.describe_policy(replace(today, policy="mixed", chunk_tokens=256))


def test_inputs_of_an_encoder_are_read_whole():
    found = ways_of(profile(encoder=encoder()))

    assert {1, 2, 4, 8} == {way.max_running_requests for way in found}
    assert {("prefill_first", None)} == {(way.policy, way.chunk_tokens) for way in found}


def test_behind_an_encoder_no_more_requests_run_than_all_keep_their_places():
    asked = workload(brings=tokens(input_max=400, output_max=100))
    measured = profile(encoder=encoder(), memory_bytes=13_700_000)
    site = under(asked, measured)

    room, largest = cache_tokens(measured.sites[0].machine, measured.sites[0].variants[0]), site.demand.largest_tokens
    assert 2 <= room // largest < 8
    assert room // largest >= max(way.max_running_requests for way in site.ways(set(site.variants)))
