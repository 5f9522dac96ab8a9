"""The operators of quantized models, as ONNX Runtime has them: in what each computes, and which operator of floats it stands for.

The one table of them. The type of an operator decides most cases, not all: MatMulNBits may multiply in bytes (its attribute
accuracy_level), and QuantizeLinear may round to other types than bytes; both are taken for what they are in most files.
"""

from collections.abc import Iterable
from typing import NamedTuple

from advisor.schema.catalog import Precision


class Quantized(NamedTuple):
    """What an operator of a quantized model does."""

    # Of its arithmetic or, where it only rounds floats to few bits, of the operators that read what it gives. None: it computes in floats
    # on values stored in few bits, or turns them into floats for others to compute on.
    computes_in: Precision | None
    stands_for: str | None  # the operator of floats that it takes the place of; None: one with no operations to be counted by
    weights_at: int = 1  # the position of its weights among its inputs
    scales_with_batch: bool = False  # one scale for all that it reads, found at run time: items of a batch depend on each other


QUANTIZED: dict[str, Quantized] = {
    # Products.
    "MatMulInteger": Quantized("int8", "MatMul"),
    "MatMulIntegerToFloat": Quantized("int8", "MatMul"),
    "QLinearMatMul": Quantized("int8", "MatMul", weights_at=3),
    "QOrderedMatMul": Quantized("int8", "MatMul", weights_at=2),
    "DynamicQuantizeMatMul": Quantized("int8", "MatMul", scales_with_batch=True),
    "QGemm": Quantized("int8", "Gemm", weights_at=3),
    "GemmFloat8": Quantized("fp8", "Gemm"),
    "MatMulInteger16": Quantized(None, "MatMul"),  # no catalog has a rate of 16-bit integers
    # Products with weights of few bits that are unpacked.
    "MatMulNBits": Quantized(None, "MatMul"),
    "MatMulBnb4": Quantized(None, "MatMul"),
    "MatMulFpQ4": Quantized(None, "MatMul"),
    "MatMulBlockQuantizedFp4Weight": Quantized(None, "MatMul"),
    "MatMulBlockQuantizedFp8Weight": Quantized(None, "MatMul"),
    "MatMulNBitsMlp": Quantized(None, None),
    "MatMulNBitsQkv": Quantized(None, None),
    "QMoE": Quantized(None, None),
    # Convolutions and recurrent networks.
    "ConvInteger": Quantized("int8", "Conv"),
    "QLinearConv": Quantized("int8", "Conv", weights_at=3),
    "QLinearConvTranspose": Quantized("int8", "ConvTranspose", weights_at=3),
    "DynamicQuantizeLSTM": Quantized("int8", "LSTM", scales_with_batch=True),
    # Attention.
    "QAttention": Quantized("int8", "Attention"),
    "QOrderedAttention": Quantized("int8", None),
    "QOrderedLongformerAttention": Quantized("int8", None),
    # Tables of few bits, of which single rows are unpacked.
    "GatherBlockQuantized": Quantized(None, "Gather", weights_at=0),
    "QEmbedLayerNormalization": Quantized(None, "EmbedLayerNormalization", weights_at=2),
    # What computes element by element, pools, or moves.
    "MulInteger": Quantized("int8", "Mul"),
    "NhwcMaxPool": Quantized("int8", "MaxPool"),
    "QLinearAdd": Quantized("int8", "Add"),
    "QLinearAveragePool": Quantized("int8", "AveragePool"),
    "QLinearConcat": Quantized("int8", "Concat"),
    "QLinearGlobalAveragePool": Quantized("int8", "GlobalAveragePool"),
    "QLinearLeakyRelu": Quantized("int8", "LeakyRelu"),
    "QLinearMul": Quantized("int8", "Mul"),
    "QLinearReduceMean": Quantized("int8", "ReduceMean"),
    "QLinearSigmoid": Quantized("int8", "Sigmoid"),
    "QLinearSoftmax": Quantized("int8", "Softmax"),
    "QLinearWhere": Quantized("int8", "Where"),
    "QOrderedGelu": Quantized("int8", "Gelu"),
    "QOrderedLayerNormalization": Quantized("int8", "LayerNormalization"),
    "ReduceSumInteger": Quantized("int8", "ReduceSum"),
    # Between floats and few bits: a multiplication by the scale for each element.
    "QuantizeLinear": Quantized("int8", "Mul"),
    "QuantizeWithOrder": Quantized("int8", "Mul"),
    "QuantizeBFP": Quantized(None, "Mul"),  # to floats with a common exponent, which nothing computes in but by turning them back
    "DynamicQuantizeLinear": Quantized("int8", "Mul", scales_with_batch=True),
    "DequantizeLinear": Quantized(None, "Mul"),
    "DequantizeWithOrder": Quantized(None, "Mul"),
    "DequantizeBFP": Quantized(None, "Mul"),
}


def are_quantized(operators: Iterable[str]) -> bool:
    """Return whether any of the operators computes in few bits or reads what is stored in them."""
    return any(operator in QUANTIZED for operator in operators)


def computing_precision(operators: Iterable[str]) -> Precision | None:
    """Return the precision of few bits that a graph of these operators computes in, None where that is one of floats."""
    found = {QUANTIZED[operator].computes_in for operator in operators if operator in QUANTIZED}
    # Beside a product in fp8, QuantizeLinear rounds to fp8.
    narrow: tuple[Precision, ...] = ("fp8", "int8")
    return next((precision for precision in narrow if precision in found), None)


def share_scales(operators: Iterable[str]) -> bool:
    """Return whether any of the operators finds one scale for all items of a batch."""
    return any(operator in QUANTIZED and QUANTIZED[operator].scales_with_batch for operator in operators)


def standing_for(*operators: str) -> dict[str, Quantized]:
    """Return what takes the place of these operators of floats, by type."""
    return {name: entry for name, entry in QUANTIZED.items() if entry.stands_for in operators}
