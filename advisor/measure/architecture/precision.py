"""In what precision the weights of a checkpoint come, by what its configuration says of quantization."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from advisor.measure.decoder.config_values import Values, quoted, read_object
from advisor.schema.language import WeightPrecision

# Of NVIDIA's Model Optimizer, beside the configuration where that says nothing.
OPTIMIZER_FILE = "hf_quant_config.json"
GIVE_FLOATS = "give the configuration of the checkpoint in 16-bit floats that it was made of"

OF_METHODS: Mapping[str, WeightPrecision] = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "fp4"}
BY_BITS = ("auto-round", "awq", "gptq")  # of integers
OF_ALGORITHMS: Mapping[str, WeightPrecision] = {
    **dict.fromkeys(("FP8", "FP8_PB_REAL", "FP8_PB_WO", "FP8_PER_CHANNEL_PER_TOKEN", "MXFP8"), "fp8"),
    **dict.fromkeys(("MXFP4", "NVFP4", "NVFP4_AWQ", "W4A16_MXFP4", "W4A16_NVFP4", "W4A8_MXFP4_FP8", "W4A8_NVFP4_FP8"), "fp4"),
    **dict.fromkeys(("INT4_AWQ", "W4A16_AWQ", "W4A8_AWQ"), "int4"),
}
OF_BITS: Mapping[tuple[object, object], WeightPrecision] = {(8, "float"): "fp8", (4, "float"): "fp4", (4, "int"): "int4"}
OF_FLOATS: Mapping[str, WeightPrecision] = {
    **dict.fromkeys(("auto", "bfloat16", "float16", "float32", "half"), "bf16"),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2"), "fp8"),
}
OF_QUARK: Mapping[str, WeightPrecision] = {"fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "fp4": "fp4", "int4": "int4", "uint4": "int4"}
IN_NAMES = re.compile(r"(?:nv|mx)?fp[48]|int4|w4a16|awq|gptq", re.IGNORECASE)
WIDEST_FIRST: tuple[WeightPrecision, ...] = ("bf16", "fp8", "int4", "fp4")


def weight_precision(config: Values, text: Values, name: str, beside: Path | None) -> tuple[WeightPrecision, tuple[str, ...]]:
    """Return the precision, and what is to be noted; `name` is that of the model, `beside` the folder of a checkpoint.

    Where layers differ it is the widest: what does not fit into memory must not look as if it did.
    """
    for values in (config, text):
        quantization = values.part("quantization_config")
        if quantization is not None:
            return _of_quantization(quantization), ()
    if beside is not None and (beside / OPTIMIZER_FILE).is_file():
        path = beside / OPTIMIZER_FILE
        quantization = Values(path, read_object(path, "a description of quantization", GIVE_FLOATS)).part("quantization")
        if quantization is not None and quantization.given("quant_algo") is not None:
            return _of_algorithm(quantization), (f"the weights are quantized as {OPTIMIZER_FILE} says",)
    weights, notes = _of_floats(config, text)
    said = IN_NAMES.search(name)
    if said is not None and weights == "bf16":
        notes += (f"{said[0]} is in its name, but not in its configuration: the weights count as they would in 16 bits",)
    return weights, notes


def _of_quantization(given: Values) -> WeightPrecision:
    groups = tuple(_of_groups(given))
    if groups:
        return min(groups, key=WIDEST_FIRST.index)
    if given.given("quant_algo") is not None:
        return _of_algorithm(given)
    method = given.text("quant_method")
    if method in OF_METHODS:
        return OF_METHODS[method]
    if method in BY_BITS and given.given("bits") == 4:
        return "int4"
    if method == "quark":
        return _of_quark(given)
    if method == "bitsandbytes" and given.flag("load_in_4bit", False):
        return "int4"
    raise given.wrong("quant_method", "weights that are quantized so are not modeled here", hint=GIVE_FLOATS)


def _of_quark(given: Values) -> WeightPrecision:
    """Return the precision of AMD's quantizer."""
    whole = given.part("global_quant_config")
    weights = None if whole is None else whole.part("weight")
    if weights is None:
        raise given.wrong("global_quant_config", "does not say how weights are quantized", hint=GIVE_FLOATS)
    name = weights.text("dtype")
    if name not in OF_QUARK:
        raise weights.wrong("dtype", "weights that are quantized so are not modeled here", hint=GIVE_FLOATS)
    return OF_QUARK[name]


def _of_groups(given: Values) -> Iterator[WeightPrecision]:
    """Yield the precision of each group of layers whose weights are quantized."""
    for group in given.parts("config_groups"):
        weights = group.part("weights")
        if weights is not None:
            bits, kind = weights.given("num_bits"), weights.text("type", "int")
            if isinstance(bits, bool) or not isinstance(bits, int) or (bits, kind) not in OF_BITS:
                raise weights.wrong(
                    "num_bits", f"weights of so many bits ({quoted(kind)}) are not modeled here", hint=GIVE_FLOATS
                )
            yield OF_BITS[bits, kind]


def _of_algorithm(given: Values) -> WeightPrecision:
    algorithm = given.text("quant_algo")
    if algorithm not in OF_ALGORITHMS:
        raise given.wrong("quant_algo", "weights that are quantized so are not modeled here", hint=GIVE_FLOATS)
    return OF_ALGORITHMS[algorithm]


def _of_floats(config: Values, text: Values) -> tuple[WeightPrecision, tuple[str, ...]]:
    for values in (text, config):
        for key in ("dtype", "torch_dtype"):
            if values.given(key) is not None:
                name = values.text(key)
                if name not in OF_FLOATS:
                    raise values.wrong(key, f"not one of {', '.join(OF_FLOATS)}")
                note = "the weights are saved in 32 bits and served in 16"
                return OF_FLOATS[name], (note,) if name == "float32" else ()
    return "bf16", ()
