"""What an operator costs: equal to what is counted by hand, unknown where no formula is known."""

from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.model.operator_cost import DATA_MOVEMENT, ELEMENTWISE, flop

size = st.integers(1, 5)


@given(size, size, size, st.lists(size, max_size=2))
def test_a_matrix_product_costs_a_multiply_and_an_add_for_each_triple_of_indices(rows, inner, columns, batch):
    expected = sum(2 for _ in product(range(prod(batch)), range(rows), range(inner), range(columns)))

    assert expected == flop("MatMul", ((*batch, rows, inner), (inner, columns)), ((*batch, rows, columns),))


@given(size, size, size, st.booleans(), st.booleans())
def test_gemm_costs_its_product_however_its_matrices_lie(rows, inner, columns, first_is_turned, second_is_turned):
    first = (inner, rows) if first_is_turned else (rows, inner)
    second = (columns, inner) if second_is_turned else (inner, columns)

    assert 2 * rows * inner * columns == flop("Gemm", (first, second, (columns,)), ((rows, columns),))


@given(size, size, size, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_a_convolution_costs_a_dot_product_with_a_filter_for_each_output(
    images, height, width, filters, channels, kernel, groups
):
    inputs = ((images, groups * channels, height + kernel, width + kernel), (groups * filters, channels, kernel, kernel))
    outputs = ((images, groups * filters, height, width),)
    expected = sum(2 * channels * kernel * kernel for _ in product(*(range(axis) for axis in outputs[0])))

    assert expected == flop("Conv", inputs, outputs)


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "expected"),
    [
        # 64 filters of 3 x 7 x 7 at 112 x 112 places: the first layer of ResNet-50, 236 Mflop.
        ("Conv", ((1, 3, 224, 224), (64, 3, 7, 7)), ((1, 64, 112, 112),), 2 * 64 * 3 * 7 * 7 * 112 * 112),
        # Depthwise: one channel to a filter.
        ("Conv", ((1, 32, 8, 8), (32, 1, 3, 3)), ((1, 32, 8, 8),), 2 * 32 * 9 * 64),
        ("QLinearConv", ((1, 3, 8, 8), (), (), (4, 3, 3, 3)), ((1, 4, 6, 6),), 2 * 4 * 36 * 27),
        ("QLinearConvTranspose", ((1, 2, 5, 5), (), (), (2, 4, 3, 3)), ((1, 4, 7, 7),), 2 * 50 * 36),
        ("DynamicQuantizeLSTM", ((10, 2, 3), (1, 3, 20), (1, 5, 20)), ((10, 1, 2, 5),), 2 * 20 * (60 + 100)),
        ("QAttention", ((1, 7, 8), (8, 24), (24,)), ((1, 7, 8),), 2 * 7 * 8 * 24 + 2 * (2 * 7 * 7 * 8)),
        ("MatMulNBits", ((3, 4), (5, 1, 2)), ((3, 5),), 2 * 3 * 4 * 5),  # weights as blocks
        ("QMoE", ((3, 4),), ((3, 4),), None),
        # Each input pixel is spread by 4 filters of 3 x 3.
        ("ConvTranspose", ((1, 2, 5, 5), (2, 4, 3, 3)), ((1, 4, 7, 7),), 2 * 50 * 36),
        # Four gates: 10 steps of 2 items through 4·5·3 and 4·5·5 weights; twice as much in both directions.
        ("LSTM", ((10, 2, 3), (1, 20, 3), (1, 20, 5)), ((10, 1, 2, 5),), 2 * 20 * (60 + 100)),
        ("LSTM", ((10, 2, 3), (2, 20, 3), (2, 20, 5)), ((10, 2, 2, 5),), 2 * 20 * 2 * (60 + 100)),
        ("GRU", ((10, 2, 3), (1, 15, 3), (1, 15, 5)), ((10, 1, 2, 5),), 2 * 20 * (45 + 75)),
        # 7 queries, 9 keys, width 8: scores and weighted sum.
        ("MultiHeadAttention", ((2, 7, 8), (2, 9, 8), (2, 9, 8)), ((2, 7, 8),), 2 * (2 * 2 * 7 * 9 * 8)),
        ("GroupQueryAttention", ((1, 7, 8),), ((1, 7, 8), (1, 2, 9, 4)), 2 * (2 * 7 * 9 * 8)),
        # The fused form multiplies by 8 x 24 weights first.
        ("Attention", ((1, 7, 8), (8, 24), (24,)), ((1, 7, 8),), 2 * 7 * 8 * 24 + 2 * (2 * 7 * 7 * 8)),
        ("Relu", ((3, 4),), ((3, 4),), 12),
        ("Add", ((4,), (3, 4)), ((3, 4),), 12),
        ("ReduceMean", ((3, 4),), ((3, 1),), 12),
        ("Softmax", ((3, 4),), ((3, 4),), 12),
        ("Transpose", ((3, 4),), ((4, 3),), 0),
        ("Gather", ((50, 8), (1, 16)), ((1, 16, 8),), 0),
        ("MatMul", ((1, 0), (0, 4)), ((1, 4),), 0),
        ("Gemm", ((0, 3), (3, 4)), ((0, 4),), 0),
    ],
)
def test_the_cost_is_what_is_counted_by_hand(operator, inputs, outputs, expected):
    assert expected == flop(operator, inputs, outputs)


@pytest.mark.parametrize(
    ("equation", "inputs", "expected"),
    [
        ("ij,jk->ik", ((2, 3), (3, 4)), 2 * 24),
        ("bhqd, bhkd -> bhqk", ((1, 2, 5, 4), (1, 2, 6, 4)), 2 * 2 * 5 * 6 * 4),
        ("ii->i", ((3, 3),), 2 * 3),
        ("...ij,jk->...ik", ((2, 3), (3, 4)), None),
        ("ij,jk->ik", ((1, 2, 3), (3, 4)), None),
        (None, ((2, 3), (3, 4)), None),
    ],
)
def test_einsum_costs_two_for_each_combination_of_indices(equation, inputs, expected):
    assert expected == flop("Einsum", inputs, ((1,),), equation=equation)


@pytest.mark.parametrize("operator", ["Det", "DeformConv", "STFT", "Secret", ""])
def test_what_has_no_formula_costs_an_unknown_amount(operator):
    assert flop(operator, ((8, 8),), ((8,),)) is None


def test_no_operator_both_moves_data_and_computes():
    assert set() == DATA_MOVEMENT & ELEMENTWISE
