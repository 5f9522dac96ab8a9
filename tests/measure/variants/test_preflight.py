"""The pre-flight: what cannot help on a machine is left out with a reason, what may help is tried."""

import msgspec
import pytest

from advisor.measure.runtime.machine import read_machine
from advisor.measure.variants import preflight
from advisor.schema.catalog import CPU
from advisor.schema.model import Batching, ModelFacts, OperatorFacts
from advisor.steps.profile import schemes

WITH_VNNI = msgspec.structs.replace(read_machine(), instruction_sets=("avx2", "avx512f", "avx512_vnni"))
WITHOUT_VNNI = msgspec.structs.replace(WITH_VNNI, instruction_sets=("avx2",))
ANCIENT = msgspec.structs.replace(WITH_VNNI, instruction_sets=())
SAPPHIRE = msgspec.structs.replace(
    WITH_VNNI, instruction_sets=("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
)
ARM = msgspec.structs.replace(WITH_VNNI, instruction_sets=("asimd", "asimddp", "asimdhp", "i8mm", "bf16"))


def facts(family="encoder", *, quantized=False, **shares):
    """Return a model whose arithmetic is shared so among operator types, all with weights of 400 kB."""
    operators = tuple(
        OperatorFacts(type=name, count=1, flop_per_item=share * 1e8, activation_bytes_per_item=1e4, weight_bytes=400_000)
        for name, share in shares.items()
    )
    return ModelFacts(
        name="m",
        format="onnx",
        sha256="s",
        family=family,
        parameters=100_000,
        weight_bytes=400_000,
        file_bytes=400_000,
        opset={"ai.onnx": 18},
        already_quantized=quantized,
        inputs=(),
        outputs=(),
        batching=Batching(possible=True, reason=""),
        operators=operators,
        flop_per_item=1e8,
        activation_bytes_per_item=1e4,
        at_sequence_length=None,
        kv_bytes_per_token=None,
        notes=(),
    )


ENCODER = facts(MatMul=0.97, Add=0.03)
CNN = facts("cnn", Conv=0.98, Gemm=0.02)
FOREST = facts("tree", TreeEnsembleClassifier=1.0)


def outcome(model, machine=WITH_VNNI, *, providers=(CPU,), is_checkpoint=False, wanted=()):
    case = preflight.Case(facts=model, machine=machine, providers=providers, is_checkpoint=is_checkpoint)
    chosen, excluded = preflight.select(schemes(), case, frozenset(wanted))
    return {scheme.id for scheme in chosen}, {name: entry.reason for entry in excluded for name in entry.what.split(", ")}


@pytest.mark.parametrize("machine", [WITH_VNNI, WITHOUT_VNNI, ANCIENT, SAPPHIRE, ARM])
@pytest.mark.parametrize("model", [ENCODER, CNN, FOREST, facts("other", LSTM=0.6, Conv=0.4), facts("decoder", MatMul=1.0)])
def test_every_scheme_is_selected_or_excluded_with_a_reason(model, machine):
    chosen, excluded = outcome(model, machine)

    assert {scheme.id for scheme in schemes()} == chosen | set(excluded)
    assert not chosen & set(excluded)
    assert all(excluded.values())
    assert len([scheme for scheme in schemes() if scheme.id in chosen and scheme.instead_of is None]) <= 5
    assert "ort-optimized" in chosen


def test_a_network_of_matrix_products_is_quantized_at_run_time_and_not_statically():
    chosen, excluded = outcome(ENCODER)

    assert {"int8-dynamic", "int8-dynamic-matmul", "int8-weight-only"} <= chosen
    assert "ranges found at run time" in excluded["int8-static-minmax"]


@pytest.mark.parametrize("machine", [WITH_VNNI, WITHOUT_VNNI])
def test_a_convolutional_network_is_quantized_statically_and_not_at_run_time(machine):
    chosen, excluded = outcome(CNN, machine)

    assert {"int8-static-minmax", "int8-static-entropy", "int8-static-percentile"} <= chosen
    assert "98 % of the arithmetic is in convolutions" in excluded["int8-dynamic"]
    assert "only 2 % of the arithmetic" in excluded["int8-dynamic-matmul"]


def test_a_copy_in_32_bits_is_for_models_in_16_bits_alone():
    half = msgspec.structs.replace(ENCODER, weight_bytes=200_000)

    assert "float32" in outcome(half)[0]
    assert "in 32-bit floats as they are" in outcome(ENCODER)[1]["float32"]


@pytest.mark.parametrize(("share", "is_tried"), [(0.0, False), (1e-5, False), (0.01, True), (0.6, True)])
def test_subnormal_numbers_are_flushed_where_there_are_some(share, is_tried):
    chosen, _ = outcome(msgspec.structs.replace(ENCODER, subnormal_fraction=share))

    assert is_tried == ("flush-subnormals" in chosen)


def test_trees_are_not_quantized_at_all():
    chosen, excluded = outcome(FOREST, providers=(CPU, "openvino"))

    assert {"ort-optimized"} == chosen
    assert "no stored weights in operators" in excluded["int8-dynamic"]
    assert "tree ensembles" in excluded["openvino-f32"]


def test_what_is_quantized_already_is_not_quantized_again():
    _, excluded = outcome(facts(quantized=True, MatMul=1.0))

    assert {"the model is already quantized"} == {
        excluded[name] for name in ("int8-dynamic", "int8-static-minmax", "int4-weight-only", "fp16")
    }


def test_bf16_is_selected_where_the_processor_has_it():
    assert "openvino-bf16" in outcome(ENCODER, SAPPHIRE, providers=(CPU, "openvino"))[0]
    assert "no bf16 instructions" in outcome(ENCODER, WITH_VNNI, providers=(CPU, "openvino"))[1]["openvino-bf16"]
    assert "bf16-arm" in outcome(ENCODER, ARM)[0]


def test_signed_activations_and_16_bit_floats_are_for_arm():
    for name in ("int8-static-s8s8", "fp16"):
        assert name in outcome(CNN, ARM)[0]
        assert name in outcome(CNN, WITH_VNNI)[1]


def test_without_openvino_its_schemes_are_excluded_with_the_way_out():
    assert "pip install 'serving-advisor[openvino]'" in outcome(ENCODER)[1]["openvino-f32"]


def test_a_device_that_is_listed_is_selected():
    chosen, excluded = outcome(ENCODER, providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU))

    assert {"cuda", "cuda-fp16", "tensorrt-fp16"} <= chosen
    assert "ONNX Runtime lists Tensorrt, CUDA, CPU here" in excluded["coreml"]


def test_fusions_are_for_checkpoints():
    assert "transformer-fused" in outcome(ENCODER, is_checkpoint=True)[0]
    assert "ORTOptimizer needs the checkpoint" in outcome(ENCODER)[1]["transformer-fused"]


def test_weights_of_four_bits_are_for_models_larger_than_the_caches():
    large = msgspec.structs.replace(facts("decoder", MatMul=1.0), weight_bytes=500_000_000)

    assert "int4-weight-only" in outcome(large)[0]
    assert "stay in the caches" in outcome(ENCODER)[1]["int4-weight-only"]
    assert "without VNNI" in outcome(large, WITHOUT_VNNI)[1]["int4-weight-only"]


def test_what_was_asked_for_by_name_is_tried_whatever_is_said_of_it():
    assert "int8-dynamic" in outcome(CNN, wanted=("int8-dynamic",))[0]


@pytest.mark.parametrize(("file_bytes", "instances", "fits"), [(600, 1, True), (601, 1, False), (300, 2, True), (300, 3, False)])
def test_weights_of_which_each_instance_has_its_own_fit_in_memory_or_the_reason_is_named(file_bytes, instances, fits):
    machine = msgspec.structs.replace(WITH_VNNI, memory_bytes=600_000_000)

    reason = preflight.does_not_fit(machine, file_bytes * 1_000_000, instances)

    assert fits == (reason is None)
    assert fits or "do not fit in the 600 MB of memory that this process may use" in reason
