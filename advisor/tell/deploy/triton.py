"""A model repository of Triton Inference Server: one model, its configuration in protobuf's text format."""

from advisor.errors import InputError
from advisor.schema.catalog import CPU
from advisor.schema.model import ModelInput, ModelOutput
from advisor.tell.deploy.escapes import quoted, remark
from advisor.tell.deploy.served import CUDA, DATATYPES, TENSORRT, Served
from advisor.tell.deploy.snippet import MODEL_FILE

REPOSITORY = "model_repository"
ELSEWHERE = "serve it in Python, which takes it as it was measured: --to ray-serve, bentoml or kubernetes"
# Entries that change nothing but how idle threads spin may be left out; Triton sets no others than these.
SETTABLE = {"session.use_device_allocator_for_initializers"}
# Options of TensorRT that Triton's backend has another name for.
PRECISIONS = {"trt_fp16_enable": "FP16", "trt_int8_enable": "INT8"}


def model_folder(served: Served) -> str:
    """Return where the file of the model lies: version 1 of it."""
    return f"{REPOSITORY}/{served.slug}/1"


def triton_files(served: Served) -> dict[str, str]:
    """Return the configuration by its place; raise InputError for what Triton would not serve as it was measured."""
    check(served)
    return {f"{REPOSITORY}/{served.slug}/config.pbtxt": "\n".join(_config(served)) + "\n"}


def check(served: Served) -> None:
    """Raise InputError for what Triton would not serve as it was measured."""
    runs_on, variant = served.runs_on, served.candidate.variant
    if runs_on.provider not in (CPU, CUDA, TENSORRT):
        name = "OpenVINO's own runtime" if runs_on.provider == "openvino" else runs_on.provider
        raise InputError(f"{variant} was measured in {name}, which Triton does not run ONNX files with", hint=ELSEWHERE)
    unknown = sorted(set(runs_on.session_options) - SETTABLE)
    if unknown:
        raise InputError(f"{variant} needs {', '.join(unknown)}, which Triton's ONNX Runtime cannot be told", hint=ELSEWHERE)
    if any(entry.batch_multiple > 1 for entry in served.model.inputs):
        raise InputError("a call takes multiples of some items alone, and Triton does not fill batches up", hint=ELSEWHERE)
    if served.candidate.max_batch_size > 1 and not _batches_first(served):
        raise InputError(
            "its items do not lie along the first axis of every input and output, as Triton joins them", hint=ELSEWHERE
        )


def _batches_first(served: Served) -> bool:
    """Return whether Triton can join requests: along the first axis, of every tensor."""
    model = served.model
    are_in = all(entry.batch_axis == 0 for entry in model.inputs)
    return are_in and all(entry.shape and not isinstance(entry.shape[0], int) for entry in model.outputs)


def _config(served: Served) -> list[str]:
    candidate, runs_on = served.candidate, served.runs_on
    is_joined = _batches_first(served)
    lines = [
        f"# serving-advisor {remark(served.advisor_version)}, advice of {remark(served.created)}",
        f"name: {quoted(served.slug)}",
        'platform: "onnxruntime_onnx"',
        f"default_model_filename: {quoted(MODEL_FILE)}",
        f"max_batch_size: {candidate.max_batch_size if is_joined else 0}",
    ]
    for what, entries in (("input", served.model.inputs), ("output", served.model.outputs)):
        for entry in entries:
            lines += [f"{what} {{", *(f"  {line}" for line in _tensor(entry, is_joined)), "}"]
    kind = "KIND_GPU" if served.on_gpu else "KIND_CPU"
    lines += ["instance_group {", f"  count: {candidate.instances}", f"  kind: {kind}", "}"]
    if is_joined and candidate.max_batch_size > 1:
        delay_us = round(candidate.max_queue_delay_s * 1e6)
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {delay_us}", "}"]
    # As in the profile: operators one after the other, each on the advised threads; no pool is shared.
    threads = {"intra_op_thread_count": str(candidate.intra_op_num_threads), "inter_op_thread_count": "1", "execution_mode": "0"}
    for key, value in (threads | runs_on.session_options).items():
        lines += ["parameters {", f"  key: {quoted(key)}", f"  value {{ string_value: {quoted(value)} }}", "}"]
    return lines + _accelerator(served) + _warm_up(served, is_joined)


def _tensor(entry: ModelInput | ModelOutput, is_joined: bool) -> list[str]:
    """Return what a tensor is called, what it holds and its axes, that of items left out where requests are joined; -1 is any size."""
    sizes = [size if isinstance(size, int) and size > 0 else -1 for size in entry.shape[1 if is_joined else 0 :]]
    named = [f"name: {quoted(entry.name)}", f"data_type: {_type(entry.dtype)}"]
    if not sizes:  # Triton has no tensor without axes
        return [*named, "dims: 1", "reshape { }"]
    return [*named, *(f"dims: {size}" for size in sizes)]


def _type(dtype: str) -> str:
    return "TYPE_STRING" if dtype == "string" else f"TYPE_{DATATYPES[dtype]}"


def _accelerator(served: Served) -> list[str]:
    runs_on = served.runs_on
    if not served.on_gpu or (runs_on.provider == CUDA and not runs_on.provider_options):
        return []
    given = runs_on.provider_options
    options = {key: value for key, value in given.items() if key not in PRECISIONS}
    options |= {"precision_mode": name for key, name in PRECISIONS.items() if given.get(key) == "1"}  # noqa: B035  one is asked for
    lines = ["optimization {", "  execution_accelerators {", "    gpu_execution_accelerator {"]
    lines.append(f"      name: {quoted('tensorrt' if runs_on.provider == TENSORRT else 'cuda')}")
    lines += [f"      parameters {{ key: {quoted(key)} value: {quoted(value)} }}" for key, value in options.items()]
    return [*lines, "    }", "  }", "}"]


def _warm_up(served: Served, is_joined: bool) -> list[str]:
    """Return the calls before the first request: the smallest batch and the largest."""
    lines: list[str] = []
    for size in sorted({1, served.candidate.max_batch_size}) if is_joined else [1]:
        lines += ["model_warmup {", f"  name: {quoted(f'batch of {size}')}", f"  batch_size: {size}", "  count: 3"]
        for entry in served.model.inputs:
            sizes = entry.example_shape[1 if is_joined else 0 :] or (1,)
            # A zero is an item of every vocabulary.
            data = "random_data: true" if entry.dtype.startswith("float") else "zero_data: true"
            value = " ".join([f"data_type: {_type(entry.dtype)}", *(f"dims: {it}" for it in sizes), data])
            lines.append(f"  inputs {{ key: {quoted(entry.name)} value {{ {value} }} }}")
        lines.append("}")
    return lines
