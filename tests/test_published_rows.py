"""Rows of published measurements are read as the runs that they are of, and each run is predicted as it was made."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.published import StraightSteps, part

rows = part("generation_rows")
runs = part("generation_runs")
elsewhere = part("generation_elsewhere")
speculation = part("generation_speculation")

COLUMNS = (
    "row_id family model precision hardware hardware_id n_accel framework scenario batch concurrency_or_qps isl_or_seqlen osl throughput "
    "throughput_unit latency_avg_ms ttft_ms itl_ms source usable tp"
).split()
BATCH = {
    "row_id": "L1",
    "family": "LLM-static-batch",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "precision": "FP16/BF16 (source default)",
    "hardware": "Nvidia H100 GPU",
    "hardware_id": "h100_sxm",
    "n_accel": "1",
    "framework": "vLLM",
    "scenario": "static batch, whole request latency",
    "batch": "16",
    "isl_or_seqlen": "128",
    "osl": "128",
    "throughput": "4096",
    "throughput_unit": "(input+output) tokens/s total",
    "latency_avg_ms": "1000",
    "source": "somebody",
    "usable": "yes",
    "tp": "1",
}
CHAT = BATCH | {
    "scenario": "open loop, inference-perf, multi-turn chat, workload codegen (11 system prompts x4 users, 100-token shared prefix)",
    "batch": "",
    "latency_avg_ms": "",
    "framework": "vLLM 0.15.1",
    "request_rate": "5",
    "ttft_ms": "25",
    "ttft_p90_ms": "30",
    "itl_ms": "8",
    "e2e_mean_ms": "1000",
    "max_batched_tokens": "2048",
}
CLOSED = CHAT | {
    "scenario": "closed loop",
    "concurrency_or_qps": "32",
    "tpot_mean_ms": "7",
    "throughput_unit": "output tokens/s total",
}
STEP = BATCH | {"scenario": "static batch; phases apart", "prefill_ms": "100", "decode_step_ms": "30"}
DRAFT = CHAT | {
    "spec_method": "eagle",
    "spec_k": "3",
    "spec_alpha": "0.8",
    "hardware_id": "unknown",
    "scenario": "guidellm sweep",
}


def row(**changes: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | changes


def run_of(entry: dict[str, str], **changes: str) -> Any:
    return rows.run_of(row(**(entry | changes)))


def figures(run: Any) -> dict[tuple[str, float | None], float]:
    return {(each.figure, each.quantile): each.value for each in run.measured}


# --- rows --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind", "measured"),
    [
        (BATCH, "static", {("tokens", None): 4096.0}),
        (STEP, "steps", {("ttft", None): 0.1, ("itl", None): 0.03}),
        (CHAT, "open", {("ttft", None): 0.025, ("ttft", 0.9): 0.03, ("itl", None): 0.008, ("e2e", None): 1.0}),
        # Time per output token leaves the first out, and chunks of several tokens do not lengthen it.
        (
            CLOSED,
            "closed",
            {("ttft", None): 0.025, ("ttft", 0.9): 0.03, ("itl", None): 0.007, ("e2e", None): 1.0, ("tokens", None): 4096.0},
        ),
        (DRAFT, "speculation", {("ttft", None): 0.025, ("ttft", 0.9): 0.03, ("itl", None): 0.008, ("e2e", None): 1.0}),
    ],
)
def test_a_row_is_the_run_that_it_is_of(
    entry: dict[str, str], kind: str, measured: dict[tuple[str, float | None], float]
) -> None:
    run = run_of(entry)

    assert kind == run.kind
    assert pytest.approx(measured) == figures(run)


@pytest.mark.parametrize(
    ("entry", "changes", "reason"),
    [
        (BATCH, {"family": "MLPerf-inference-v5.0"}, "how a submission is set up"),
        (BATCH, {"hardware_id": "max1550"}, "max1550 is not in the catalog"),
        (BATCH, {"hardware_id": "h100_sxm (power capped)"}, "a cap on the power"),
        (BATCH, {"precision": "Weight = int8, KV Cache = fp8"}, "weights of 'Weight = int8, KV Cache = fp8' are not modelled"),
        (BATCH, {"precision": "Weight = fp16, KV Cache = int8"}, "a cache of"),
        (BATCH, {"framework": "sambaflow"}, "sambaflow is no engine"),
        (BATCH, {"throughput": "8192"}, "contradict each other"),
        (BATCH, {"latency_avg_ms": ""}, "the latency of the batch"),
        (BATCH, {"isl_or_seqlen": ""}, "the lengths of prompts and answers"),
        (BATCH, {"scenario": "offline max load"}, "a run of the kind 'offline max load'"),
        (CHAT, {"request_rate": "inf"}, "the rate of the requests"),
        (CHAT, {"mode": "disagg"}, "prompts are read on other devices"),
        (CHAT, {"dp_attention": "true"}, "attention is data-parallel"),
        (CHAT, {"spec_method": "mtp"}, "how many are accepted"),
        (CHAT, {"ttft_ms": "", "ttft_p90_ms": "", "itl_ms": "", "e2e_mean_ms": ""}, "nothing was published"),
        (CLOSED, {"concurrency_or_qps": ""}, "how many requests run side by side"),
        (CLOSED, {"concurrency_or_qps": "1e9"}, "no engine serves more than"),
        (CLOSED, {"isl_or_seqlen": "1e300"}, "no model reads or writes more than"),
        (CLOSED, {"pp": "2"}, "pipeline-parallel"),
        (CLOSED, {"model": "nan"}, "the model is not named"),
        (DRAFT, {"spec_alpha": "1.5"}, "what is accepted of a draft"),
        (DRAFT, {"spec_k": "None"}, "how many are accepted"),
    ],
)
def test_a_row_that_cannot_be_simulated_is_left_out_with_the_reason(
    entry: dict[str, str], changes: dict[str, str], reason: str
) -> None:
    found, left_out = rows.usable_runs([row(**(entry | changes))])

    assert [] == found
    assert reason in left_out[0].reason


def test_rows_that_their_reader_calls_unusable_are_not_looked_at() -> None:
    assert ([], []) == rows.usable_runs([row(**(BATCH | {"usable": "no"}))])


CELLS = st.sampled_from(
    ["", "nan", "None", "-1", "0", "0.4", "8.0", "1e12", "1e308", "inf", "yes", "[", "TP8", "closed loop", None]
)
BROKEN = st.dictionaries(st.sampled_from([*COLUMNS, "request_rate", "spec_method", "spec_k", "pp", "mode"]), CELLS, max_size=6)


@given(st.sampled_from([BATCH, STEP, CHAT, CLOSED, DRAFT]), BROKEN, st.sets(st.sampled_from(COLUMNS), max_size=4))
def test_whatever_cells_hold_or_lack_a_row_is_a_run_or_left_out_with_a_reason(
    entry: dict[str, str], broken: dict[str, Any], dropped: set[str]
) -> None:
    cells = {name: cell for name, cell in (entry | broken).items() if name not in dropped}
    found, left_out = rows.usable_runs([cells])

    assert all(entry.reason and entry.row for entry in left_out)
    assert all(run.measured and run.batch >= 1 and run.replicas >= 1 for run in found)
    is_looked_at = (cells.get("usable") or "yes").lower() in {"yes", "nan", "none"}
    assert len(found) + len(left_out) == is_looked_at


def test_rows_of_one_id_or_of_none_are_told_apart() -> None:
    bare = {name: cell for name, cell in BATCH.items() if name != "row_id"}

    found, _ = rows.usable_runs([BATCH, BATCH, bare, bare])

    assert ["L1", "L1 3", "line 4", "line 5"] == [run.row for run in found]


def test_what_was_served_so_many_at_a_time_is_a_closed_loop_whatever_it_is_called() -> None:
    run = run_of(CLOSED, scenario="random lengths", request_rate="", mean_concurrency="64", concurrency_or_qps="")

    assert ("closed", 64) == (run.kind, run.clients)


def test_a_throughput_of_each_device_is_that_of_all_of_them() -> None:
    run = run_of(CLOSED, n_accel="8", tp="4", throughput="500", throughput_unit="output tokens/s/GPU")

    assert 4000.0 == figures(run)["tokens", None]


def test_of_a_machine_that_serves_a_model_twice_each_copy_has_half_of_the_batch() -> None:
    whole = run_of(BATCH, hardware="8xMi300x 1FP8-amd", n_accel="8", tp="8")
    twice = run_of(BATCH, hardware="8xMi300x 2FP8-amd", n_accel="8", tp="8")

    assert (8, 1, 16) == (whole.tensor_parallel, whole.replicas, whole.batch)
    assert (4, 2, 8) == (twice.tensor_parallel, twice.replicas, twice.batch)
    assert figures(whole)["tokens", None] == 2 * figures(twice)["tokens", None]


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("meta-llama/Llama-3.1-8B-Instruct", "meta-llama--Meta-Llama-3.1-8B_config"), "llama-3.1-8b"),
        (("meta-llama/Llama-2-70b-hf", "llama2-70b", "meta-llama--Llama-2-70b-hf"), "llama-2-70b"),
        (("Llama-2-7b-chat", "meta-llama/Llama-2-7b-hf"), "llama-2-7b"),
        (("huggyllama/llama-7b",), "llama-1-7b"),
        (("Qwen--Qwen3-32B-FP8-Static-PerTensor_config", "Qwen3-32B"), "qwen3-32b"),
        (("nvidia--DeepSeek-V3.1-NVFP4_config",), "deepseek-v3.1"),
        (("deepseek-ai/DeepSeek-R1-0528", "amd/DeepSeek-R1-0528-MXFP4-Preview"), "deepseek-r1"),
        (("mistralai/Mistral-Nemo-Instruct-2407", "mistralai--Mistral-Nemo-Instruct-2407"), "mistral-nemo"),
    ],
)
def test_a_model_is_known_by_its_shape_whoever_publishes_it(names: tuple[str, ...], key: str) -> None:
    assert {key} == {rows.model_key(name) for name in names}


@pytest.mark.parametrize(
    ("text", "kv", "expected"),
    [
        ("FP16/BF16 (source default)", "", ("bf16", "bf16")),
        ("", "", ("bf16", "bf16")),
        ("FP8", "", ("fp8", "bf16")),
        ("FP8 (FP8 KV)", "fp8", ("fp8", "fp8")),
        ("Weight = fp16, KV Cache = fp8", "", ("bf16", "fp8")),
        ("NVFP4", "fp8", ("fp4", "fp8")),
        ("Q4_K_M", "", ("int4", "bf16")),
    ],
)
def test_precisions_are_read_as_publishers_write_them(text: str, kv: str, expected: tuple[str, str]) -> None:
    assert expected == rows.precisions(text, kv)


@pytest.mark.parametrize(
    ("framework", "engine"),
    [
        ("vLLM 0.15.1", "vllm"),
        ("vLLM 0.10.0 ROCm 6.4.1", "vllm"),
        ("vLLM 0.6.3", "vllm-2024-11"),
        ("vLLM 0.5.4", "vllm-2024"),
        ("vLLM", "vllm-2024"),
        ("vLLM (Nov 2024)", "vllm-2024-11"),
        ("vLLM (Splitwise ISCA24 profile)", "vllm-2023"),
        ("vLLM (V1) + GuideLLM 0.5.2, EAGLE head of one layer", "vllm"),
        ("SGLang", "vllm"),
        ("TensorRT-LLM", "tensorrt-llm"),
        ("TensorRT-LLM 0.17", "tensorrt-llm-2025"),
        ("TRT-LLM 1.1.0rc2", "tensorrt-llm-2025"),
        ("Deepspeed-MII", "deepspeed"),
        ("llama.cpp (May 2024)", "llama.cpp"),
    ],
)
def test_an_engine_is_known_by_name_and_age(framework: str, engine: str) -> None:
    assert engine == rows.engine_of(framework)


def test_a_card_of_two_dies_counts_for_two_devices() -> None:
    die, whole = run_of(BATCH, hardware_id="mi250").hardware, run_of(BATCH, hardware_id="mi300x").hardware

    assert 64e9 == die.memory_bytes
    assert 192e9 == whole.memory_bytes


def test_a_replica_spans_no_more_devices_than_there_are() -> None:
    run = run_of(BATCH, n_accel="4", tp="8")

    assert (4, 1) == (run.tensor_parallel, run.replicas)


def test_devices_that_have_some_layers_each_are_as_fast_as_one() -> None:
    run = run_of(BATCH, n_accel="4", tp="", parallelism="layer split x4")

    assert (1, 1) == (run.tensor_parallel, run.replicas)


# --- runs --------------------------------------------------------------------------------------------------------------------------

ROOM = 1_000_000


def tokens_per_s(run: Any, kv_tokens: int = ROOM) -> float:
    return float(runs.predicted(run, StraightSteps(), kv_tokens)["tokens", None].value)


@given(st.integers(1, 64), st.integers(1, 2000), st.integers(1, 300))
def test_a_batch_takes_as_long_added_up_as_simulated(batch: int, read: int, written: int) -> None:
    run = run_of(BATCH)._replace(batch=batch, input_tokens=read, output_tokens=written)
    steps = StraightSteps()

    added_s = runs.reading_s(steps, batch, read, read) + runs.writing_s(steps, run)
    simulated = runs._simulated(run, steps, ROOM, runs._together(run, batch, batch), None)

    assert simulated.latency_s.max() == pytest.approx(added_s, rel=1e-6)


def test_a_batch_that_the_cache_does_not_hold_takes_longer_for_it() -> None:
    run = run_of(BATCH)._replace(batch=64, input_tokens=512, output_tokens=512)

    held, waiting = tokens_per_s(run), tokens_per_s(run, 20_000)

    assert waiting < 0.9 * held


def test_a_cache_that_holds_no_request_is_said_to() -> None:
    with pytest.raises(runs.TooSmall, match="holds 255 tokens, and a request has 256"):
        tokens_per_s(run_of(BATCH), 255)


def test_prompts_are_read_together_as_far_as_a_step_has_tokens() -> None:
    a, b, _ = np.array([1e-3, 2e-5, 0.0])

    assert 2 * a + 10 * 100 * b == pytest.approx(runs.reading_s(StraightSteps(), 10, 100, 999))
    assert 2 * (3 * a + 250 * b) == pytest.approx(runs.reading_s(StraightSteps(), 2, 250, 100))


def test_a_closed_loop_holds_the_burst_that_it_begins_with() -> None:
    of = {"quality_flag": "lengths by random range ratio 0.5"}
    alone, crowd = (
        runs.predicted(run_of(CLOSED | of, concurrency_or_qps=clients), StraightSteps(), ROOM) for clients in ("1", "64")
    )

    assert crowd["ttft", 0.99].value > 3 * crowd["ttft", 0.5].value
    assert crowd["ttft", None].value > alone["ttft", None].value


def test_lengths_are_random_where_their_publisher_says_so() -> None:
    even, random = run_of(CLOSED), run_of(CLOSED, source="SemiAnalysisAI/InferenceX")

    assert {128} == set(runs._together(even, 4, 40).output_tokens.tolist())
    assert 102 <= min(lengths := runs._together(random, 4, 40).output_tokens.tolist()) < max(lengths) <= 128


def test_conversations_wait_for_their_answers_so_that_no_more_run_than_there_are() -> None:
    slow, fast = (runs.predicted(run_of(CHAT, request_rate=rate), StraightSteps(20.0), ROOM) for rate in ("20", "200"))

    assert fast["e2e", None].value == pytest.approx(slow["e2e", None].value, rel=0.02)


def test_what_a_conversation_said_before_is_read_once() -> None:
    chat = run_of(CHAT)
    strangers = chat._replace(conversations=None)

    known, new = (runs.predicted(run, StraightSteps(), ROOM)["ttft", None].value for run in (chat, strangers))

    assert known < new


def test_the_first_token_waits_for_the_way_to_the_engine_and_for_a_step_that_is_planned() -> None:
    run = run_of(CHAT, request_rate="0.1")
    inside = runs.predicted(run, StraightSteps(), ROOM)

    whole = runs.predicted(run, StraightSteps(outside_s=0.005, planned_steps=1.0), ROOM)

    step_s = (inside["e2e", None].value - inside["ttft", None].value) / (run.output_tokens - 1)
    for figure in ("ttft", "e2e"):
        assert pytest.approx(0.005 + step_s, rel=0.01) == whole[figure, None].value - inside[figure, None].value


def test_time_per_token_holds_the_first_where_its_publisher_says_so() -> None:
    found = runs.predicted(run_of(CHAT), StraightSteps(), ROOM)

    assert found["e2e", None].value / 128 == pytest.approx(found["itl", None].value)


@pytest.mark.parametrize("entry", [BATCH, STEP, CHAT, CLOSED])
def test_a_prediction_lies_in_its_interval(entry: dict[str, str]) -> None:
    for said in runs.predicted(run_of(entry), StraightSteps(), ROOM).values():
        assert said.low <= said.value <= said.high
        assert said.low < said.high


# --- figures -----------------------------------------------------------------------------------------------------------------------


def placed(slowness: float = 1.0) -> Any:
    return lambda run: elsewhere.Served(StraightSteps(slowness), ROOM)


def published(run: Any, factor: float) -> Any:
    """Return the run as if its device were so many times as fast as the model says."""
    found = runs.predicted(run, StraightSteps(), ROOM)
    return run._replace(
        measured=tuple(each._replace(value=factor * found[each.figure, each.quantile].value) for each in run.measured)
    )


def test_a_model_is_judged_by_what_is_fitted_on_the_others() -> None:
    told = [run_of(BATCH, row_id=str(number), model=model) for number, model in enumerate(("a", "b", "b", "c"))]
    seen = []

    def fitted(others: list[Any]) -> Any:
        seen.append({run.model for run in others})
        return placed()

    judged, left_out = elsewhere.leaving_one_model_out(told, fitted)

    assert [{"b", "c"}, {"a", "c"}, {"a", "b"}] == seen
    assert (["0", "1", "2", "3"], []) == ([each.row for each in judged], left_out)


def test_figures_are_medians_over_rows_of_their_kind() -> None:
    batches = [published(run_of(BATCH, row_id=f"b{number}"), 1 / (1 + number / 10)) for number in range(3)]
    chats = [published(run_of(CHAT, row_id=f"c{number}"), 1 / (1 + number / 20)) for number in range(3)]

    judged, _ = elsewhere.judge([*batches, *chats], placed())
    found = elsewhere.figures_of(judged)

    assert pytest.approx(0.1) == found["tokens_error_median"]
    assert pytest.approx(0.05) == found["itl_error_median"] == pytest.approx(found["ttft_error_median"])


def test_a_row_counts_once_by_its_mean_or_else_by_its_median() -> None:
    chat = run_of(CHAT, ttft_p50_ms="24")
    without_mean = run_of(CHAT, row_id="L2", ttft_ms="", ttft_p50_ms="24")

    judged, _ = elsewhere.judge([chat, without_mean], placed())
    counted = [(each.row, each.quantile) for each in elsewhere.counted(judged) if each.figure == "ttft"]

    assert [("L1", None), ("L2", 0.5)] == counted


@pytest.mark.parametrize(("said", "rank"), [((1.0, 2.0, 3.0), 1.0), ((3.0, 2.0, 1.0), -1.0)])
def test_devices_are_ranked_over_the_same_run(said: tuple[float, ...], rank: float) -> None:
    devices = ("a100_80_sxm", "h100_sxm", "h200_sxm")
    judged, _ = elsewhere.judge([run_of(BATCH, row_id=device, hardware_id=device) for device in devices], placed())

    ranked = [each._replace(said=value, true=true) for each, value, true in zip(judged, said, (10.0, 20.0, 30.0), strict=True)]

    assert pytest.approx(rank) == elsewhere.rank_over_devices(ranked)
    assert elsewhere.rank_over_devices(ranked[:2]) is None


def test_every_source_and_device_has_a_line() -> None:
    judged, _ = elsewhere.judge([run_of(BATCH, row_id=device, hardware_id=device) for device in ("h100_sxm", "l40s")], placed())

    lines = elsewhere.table(elsewhere.by_source(judged)).splitlines()

    assert ["somebody vllm-2024", "h100_sxm", "l40s"] == [line.split("tokens/s")[0].strip() for line in lines[1:]]


def test_what_is_left_out_is_told_with_its_reason() -> None:
    def nowhere(run: Any) -> Any:
        raise elsewhere.TooSmall("too small")

    judged, left_out = elsewhere.judge([run_of(BATCH), run_of(BATCH, row_id="L2")], nowhere)

    assert ([], ["2 rows of somebody: too small"]) == (judged, elsewhere.left_out_lines(left_out))


# --- speculation -------------------------------------------------------------------------------------------------------------------

SECONDS = np.array([0.06, 1.2, 0.17, 0.02, 0.03, 0.007])
POINTS = [(acceptance, drafts, rate) for acceptance in (0.5, 0.8, 1.0) for drafts in (1, 3, 5) for rate in (0.5, 3.0, 8.0)]


def drafted(acceptance: float, drafts: int, rate: float, latency_s: float = 1.0) -> Any:
    changes = {
        "spec_alpha": str(acceptance),
        "spec_k": str(drafts),
        "request_rate": str(rate),
        "e2e_mean_ms": str(1e3 * latency_s),
    }
    return run_of(DRAFT, row_id=f"{acceptance} {drafts} {rate}", **changes)


def by_the_law() -> list[Any]:
    """Return runs whose latencies a law made."""
    bare = speculation.sweep_of([drafted(*point) for point in POINTS])
    latency_s = speculation.Law(SECONDS, 1.0).latency_s(bare)
    return [drafted(*point, float(seconds)) for point, seconds in zip(POINTS, latency_s, strict=True)]


def test_a_law_that_made_the_latencies_is_found_again() -> None:
    told = speculation.sweep_of(by_the_law())

    law = speculation.fitted(told)

    np.testing.assert_allclose(told.latency_s, law.latency_s(told), rtol=1e-3)


def test_drafts_are_predicted_by_the_others_of_their_model() -> None:
    found = by_the_law()
    late = drafted(0.5, 1, 1000.0)

    judged, left_out = speculation.judge_speculation([*found, late])

    assert (len(found), [late.row]) == (len(judged), [each.row for each in left_out])
    assert max(each.error for each in judged) < 0.05


def test_a_draft_without_others_of_its_model_is_left_out() -> None:
    judged, left_out = speculation.judge_speculation([drafted(0.5, 1, 1.0), drafted(0.5, 1, 2.0)])

    assert ([], {"there is no other draft of its model"}) == (judged, {each.reason for each in left_out})
