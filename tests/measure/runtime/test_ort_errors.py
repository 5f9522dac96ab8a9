"""What ONNX Runtime complains about reaches the user as a reason in words, never as a place in its sources."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from advisor.errors import ModelError
from advisor.measure.runtime import ort_errors, ort_session
from tests import models
from tests.models import CLASSES, WIDTH, save

SOURCES = re.compile(r"::|\.(h|cc|cpp):\d|onnxruntime_src|\[ONNXRuntimeError\]|Status Message")


@pytest.mark.parametrize(
    ("model", "feeds", "reason"),
    [
        (
            models.fixed_reshape(),
            {"x": np.ones((2, WIDTH), np.float32)},
            r"Reshape: The input tensor cannot be reshaped to the requested shape. Input shape:\{2,8\}, requested shape:\{1,2,4\}",
        ),
        (
            models.mlp(),
            {"x": np.ones((2, WIDTH, 1), np.float32)},
            r"Invalid rank for input: x Got: 3 Expected: 2",
        ),
        (
            models.mlp(),
            {"x": np.ones((2, WIDTH + 1), np.float32)},
            rf"Got invalid dimensions for input: x .*index: 1 Got: {WIDTH + 1} Expected: {WIDTH}",
        ),
        (models.mlp(), {"x": np.ones((2, WIDTH))}, "Unexpected input data type"),
        (models.embedding(), {"input_ids": np.full((1, 4), 99)}, "Gather.*: indices element out of data bounds, idx=99"),
        (models.batch_limit(3), {"x": np.ones((9, WIDTH), np.float32)}, ".+"),
    ],
)
def test_a_failed_call_names_the_operator_and_the_reason(tmp_path, model, feeds, reason):
    session = ort_session.open_session(save(model, tmp_path / "model.onnx"))

    with pytest.raises(ModelError, match=f"^the model fails on the given inputs: {reason}") as caught:
        ort_session.run(session, feeds)
    assert not SOURCES.search(caught.value.fault)


@pytest.mark.parametrize(
    ("model", "reason", "way_out"),
    [
        (
            models.mlp(opset=18, ir_version=99),
            r"made for IR version 99; this runtime \(onnxruntime [\d.]+\) reads up to \d+",
            "upgrade",
        ),
        (models.mlp(opset=99), r"made for opset 99 of ai.onnx; this runtime \(onnxruntime [\d.]+\) reads up to \d+", "upgrade"),
        (models.custom_operator(), "operator .* custom", "own operators"),
        (models.build("(float[n] x) => (float[n] y) { y = Nothing(x) }"), "operator Nothing is not in opset 18", "upgrade"),
        (models.halved(models.relu("float[n, 4] x"), TensorProto.BFLOAT16), r"no kernel here for operator \w+", "32-bit"),
    ],
)
def test_a_file_that_is_not_loaded_has_a_reason_and_a_way_out(tmp_path, model, reason, way_out):
    with pytest.raises(ModelError, match=f"cannot load it: .*{reason}") as caught:
        ort_session.open_session(save(model, tmp_path / "model.onnx"))
    assert way_out in caught.value.hint
    assert not SOURCES.search(caught.value.fault)


names = st.from_regex(r"[A-Z][a-z]{2,8}", fullmatch=True)
signatures = st.one_of(
    st.builds("{} ".format, names),
    st.builds("void onnxruntime::{0}::{0}(const onnxruntime::Tensor&, std::vector<int>&) const ".format, names),
    st.builds("static onnxruntime::common::Status onnxruntime::{}::Run(size_t (*)(int), bool) [with T = float] ".format, names),
    st.builds("onnxruntime::{}::Do(int)::<lambda(int)> ".format, names),
)
places = st.builds(
    "{}{}:{} ".format, st.sampled_from(["", "/onnxruntime_src/core/"]), st.sampled_from(["a.h", "b_c.cc"]), st.integers(1, 9999)
)
conditions = st.sampled_from(["", "a == b was false. ", "data_type->size() > 0 && x was false. "])
reasons = st.from_regex(r"[a-z]{3,9}( [a-z0-9]{1,9}){0,70}", fullmatch=True)


def test_a_place_inside_another_is_no_reason_either():
    told = ort_errors.in_words(
        Exception("Load model from a.onnx failed:/x/g.cc:1 onnxruntime::G::G(int) [ONNXRuntimeError] : 1 : FAIL : b.cc:2 Make No")
    )

    assert "No" == told


@given(st.lists(names, max_size=3), places, signatures, conditions, reasons)
def test_the_reason_survives_whatever_stands_before_it(operators, place, signature, condition, reason):
    nodes = "".join(f"Non-zero status code returned while running {name} node. Name:'' Status Message: " for name in operators)
    text = f"[ONNXRuntimeError] : 1 : FAIL : {nodes}[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : {place}{signature}{condition}{reason}\n"

    told = ort_errors.in_words(Exception(text))

    expected = "".join(f"{name}: " for name in operators) + reason
    assert expected[: ort_errors.LONGEST].startswith(told.removesuffix(" ..."))
    assert len(told) <= ort_errors.LONGEST + 4


def test_a_message_of_openvino_keeps_the_operator_and_the_reason():
    text = (
        "Exception from src/inference/src/cpp/infer_request.cpp:224:\nException from src/plugins/intel_cpu/src/node.cpp:794:\n"
        "[CPU] Reshape node with name 'y' Check 'minusOneCount <= 1 && inputProduct == outputProduct' failed at "
        "src/plugins/intel_cpu/src/shape_inference/custom/reshape.cpp:77:\n"
        "[cpu]reshape: the shape of input data (16.4) conflicts with the reshape pattern (8.4)\n\n\n"
    )

    told = ort_errors.in_words(RuntimeError(text))

    reason = "[cpu]reshape: the shape of input data (16.4) conflicts with the reshape pattern (8.4)"
    assert f"[CPU] Reshape node with name 'y' {reason}" == told


@given(st.text(max_size=900))
def test_any_message_becomes_one_line_of_bounded_length(text):
    told = ort_errors.in_words(Exception(text))

    assert told and "\n" not in told and len(told) <= ort_errors.LONGEST + 4


def test_a_name_that_is_no_utf8_is_refused_by_that(tmp_path):
    model = tmp_path / "mod\udce8le.onnx"
    model.write_bytes(models.mlp().SerializeToString())

    with pytest.raises(ModelError, match="not written in UTF-8"):
        ort_session.open_session(model)


def test_the_axis_of_items_is_the_one_that_grows_or_the_first_that_the_multiple_divides():
    assert 1 == ort_session.items_axis((5, 1, CLASSES), (5, 2, CLASSES))
    assert 0 == ort_session.items_axis((8, 4), (8, 4), 8)
    assert 1 == ort_session.items_axis((3, 16), (3, 16), 8)
    assert ort_session.items_axis((3, 5), (3, 5), 8) is None
