"""Model repositories of Triton: read by its own messages, and every number is that of the advice."""

import pytest
from google.protobuf import text_format
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.schema.advice import RunsOn
from advisor.schema.catalog import CPU
from advisor.tell.deploy import triton
from advisor.tell.deploy.served import served
from tests.tell.advice_examples import change
from tests.tell.deploy.parsers import model_config


def of(*, runs_on=None, model=None, **candidate):
    made = change()
    best = replace(made.recommended, candidate=replace(made.recommended.candidate, **candidate))
    variants = tuple(replace(row, runs_on=runs_on or row.runs_on) for row in made.variants)
    return served(replace(made, recommended=best, variants=variants, model=model or made.model), best, None)


def parsed(asked):
    [(place, text)] = triton.triton_files(asked).items()
    assert place == f"model_repository/{asked.slug}/config.pbtxt"
    return text_format.Parse(text, model_config().ModelConfig())


def scalar(model, name="rate"):
    """The model with one more input, which is set once for a whole call."""
    entry = replace(model.inputs[0], name=name, shape=(), example_shape=(), role="scalar", batch_axis=None, sequence_axis=None)
    return replace(model, inputs=(*model.inputs, entry))


def test_what_is_advised_decides_every_number():
    asked = of(instances=3, intra_op_num_threads=2, max_batch_size=16, max_queue_delay_s=0.0035)

    config = parsed(asked)

    assert (asked.slug, "onnxruntime_onnx", 16) == (config.name, config.platform, config.max_batch_size)
    assert 3500 == config.dynamic_batching.max_queue_delay_microseconds
    [group] = config.instance_group
    assert (3, model_config().ModelInstanceGroup.KIND_CPU) == (group.count, group.kind)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert {"intra_op_thread_count": "2", "inter_op_thread_count": "1", "execution_mode": "0"} == parameters


def test_tensors_are_those_of_the_model_without_the_axis_of_items():
    config, model = parsed(of()), change().model

    types = model_config().DataType
    assert [(entry.name, [-1], types.TYPE_INT64) for entry in model.inputs] == [
        (entry.name, list(entry.dims), entry.data_type) for entry in config.input
    ]
    assert [("last_hidden_state", [-1, 384])] == [(entry.name, list(entry.dims)) for entry in config.output]


def test_the_smallest_and_the_largest_batch_are_run_before_the_first_request():
    config = parsed(of(max_batch_size=8))

    assert [1, 8] == [entry.batch_size for entry in config.model_warmup]
    for warm_up in config.model_warmup:
        assert {entry.name for entry in config.input} == set(warm_up.inputs)
        assert all([128] == list(entry.dims) and entry.zero_data for entry in warm_up.inputs.values())


def test_one_item_a_call_is_not_batched():
    config = parsed(of(max_batch_size=1))

    assert 1 == config.max_batch_size and not config.HasField("dynamic_batching")


def test_a_model_whose_requests_cannot_be_joined_keeps_all_its_axes():
    asked = of(max_batch_size=1, model=scalar(change().model))

    config = parsed(asked)

    assert 0 == config.max_batch_size
    assert [[-1, -1], [-1, -1], [1]] == [list(entry.dims) for entry in config.input]
    assert config.input[2].HasField("reshape") and [] == list(config.input[2].reshape.shape)
    assert [1] == [entry.batch_size for entry in config.model_warmup]


def test_a_device_gets_its_options():
    cuda = parsed(of(runs_on=RunsOn(provider="CUDAExecutionProvider")))
    tensorrt = parsed(
        of(runs_on=RunsOn(provider="TensorrtExecutionProvider", provider_options={"trt_fp16_enable": "1", "trt_dla_core": "0"}))
    )

    assert model_config().ModelInstanceGroup.KIND_GPU == cuda.instance_group[0].kind and not cuda.HasField("optimization")
    [accelerator] = tensorrt.optimization.execution_accelerators.gpu_execution_accelerator
    assert ("tensorrt", {"precision_mode": "FP16", "trt_dla_core": "0"}) == (accelerator.name, dict(accelerator.parameters))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"runs_on": RunsOn(provider="openvino")}, "OpenVINO's own runtime"),
        ({"runs_on": RunsOn(provider="CoreMLExecutionProvider")}, "CoreMLExecutionProvider"),
        (
            {"runs_on": RunsOn(provider=CPU, session_options={"session.set_denormal_as_zero": "1"})},
            "session.set_denormal_as_zero",
        ),
        ({"model": scalar(change().model)}, "first axis"),
    ],
)
def test_what_triton_would_serve_otherwise_than_it_was_measured_is_refused(asked, said):
    with pytest.raises(InputError, match=said) as refused:
        triton.triton_files(of(**asked))

    assert "--to ray-serve" in refused.value.hint
