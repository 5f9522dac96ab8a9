"""The table of quantized operators: complete for the ONNX Runtime that is installed, and read in one way by all who read it."""

import re
from math import prod

import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from advisor import quantized_operators
from advisor.measure.model.operator_cost import DATA_MOVEMENT, ELEMENTWISE, flop
from advisor.quantized_operators import QUANTIZED, are_quantized, computing_precision, share_scales

SCHEMAS = {schema.name: schema for schema in sorted(runtime.get_all_operator_schema(), key=lambda schema: schema.since_version)}
NAME = re.compile("quant|QLinear|QOrdered|Integer|NBits|Bnb|BFP|Fp[48]|FpQ|Float[48]|^Q[A-Z]", re.IGNORECASE)
FEW_BITS = re.compile(r"tensor\((u?int[248]|float[48]\w+)\)")
# They match by chance: the name with its Q, the type since an image file is bytes.
OTHERS = {"QuickGelu", "ImageDecoder"}


def takes_or_gives_few_bits(schema):
    """Return whether a parameter of the operator can be of nothing but a type of few bits."""
    types_of = {constraint.type_param_str: set(constraint.allowed_type_strs) for constraint in schema.type_constraints}
    parameters = [types_of.get(parameter.typeStr, {parameter.typeStr}) for parameter in (*schema.inputs, *schema.outputs)]
    return any(all(FEW_BITS.fullmatch(name) for name in types) for types in parameters)


def test_the_table_has_every_operator_of_the_runtime_that_its_name_or_its_types_give_away():
    found = {name for name, schema in SCHEMAS.items() if NAME.search(name) or takes_or_gives_few_bits(schema)}

    assert set(QUANTIZED) == found - OTHERS


@pytest.mark.parametrize("operator", sorted(QUANTIZED))
def test_weights_are_where_the_table_has_them(operator):
    entry, schema = QUANTIZED[operator], SCHEMAS[operator]
    weighted = {"MatMul", "Gemm", "Conv", "ConvTranspose", "LSTM", "Attention", "Gather", "EmbedLayerNormalization"}

    if entry.stands_for in weighted:
        assert not re.search("scale|zero", schema.inputs[entry.weights_at].name, re.IGNORECASE)
    else:
        assert 1 == entry.weights_at


@pytest.mark.parametrize("operator", sorted(name for name, entry in QUANTIZED.items() if entry.stands_for is not None))
def test_what_an_operator_stands_for_is_one_of_floats_whose_cost_is_known(operator):
    stands_for = QUANTIZED[operator].stands_for

    assert stands_for in SCHEMAS
    assert stands_for not in QUANTIZED
    assert not QUANTIZED.keys() & (DATA_MOVEMENT | ELEMENTWISE)
    if stands_for in ELEMENTWISE:
        assert prod((3, 4)) == flop(operator, ((3, 4),), ((3, 4),))
    elif stands_for in DATA_MOVEMENT:
        assert 0.0 == flop(operator, ((3, 4),), ((3, 4),))


@pytest.mark.parametrize(
    ("operators", "precision"),
    [
        ({"MatMul", "Relu"}, None),
        ({"MatMulNBits", "Relu"}, None),  # weights alone
        ({"DequantizeLinear", "MatMul"}, None),  # weights alone
        ({"QuantizeLinear", "DequantizeLinear", "MatMul"}, "int8"),  # what lies between is computed in bytes
        ({"DynamicQuantizeLinear", "MatMulInteger"}, "int8"),
        ({"QLinearAdd"}, "int8"),
        ({"MatMulIntegerToFloat"}, "int8"),
        ({"DynamicQuantizeLSTM"}, "int8"),
        ({"QuantizeLinear", "GemmFloat8"}, "fp8"),
    ],
)
def test_the_precision_is_that_of_the_arithmetic_and_not_of_the_stored_weights(operators, precision):
    assert precision == computing_precision(operators)
    assert are_quantized(operators) == bool(operators & QUANTIZED.keys())


def test_only_what_finds_its_scale_at_run_time_shares_one_among_items():
    finding = {name for name in QUANTIZED if name.startswith("DynamicQuantize")}

    assert finding == {name for name in QUANTIZED if share_scales({name})}


def test_what_takes_the_place_of_an_operator_is_found_by_it():
    assert {"ConvInteger", "QLinearConv"} == set(quantized_operators.standing_for("Conv"))
