"""Baseline file -> variant files, one per scheme. The one doorway to `onnxruntime.quantization`."""

import tempfile
from pathlib import Path

from advisor.errors import ModelError
from advisor.measure import ort_session
from advisor.measure.quiet import quiet
from advisor.schema import Exclusion, Graph, Scheme

# Above this a protobuf file cannot hold the weights (its limit is 2 GiB).
EXTERNAL_DATA_BYTES = 1_900_000_000


def make_variant(baseline: Path, scheme: Scheme, target: Path, *, file_bytes: int, has_vnni: bool) -> None:
    """Write the baseline under `scheme` to `target`; raise ModelError if the tools cannot do it.

    `file_bytes` is the size of the baseline with its external data; a variant of a model in two files has two files too.
    """
    # ONNX Runtime leaves weights where they are unless told otherwise, and beside the variant there is no such file.
    apart = file_bytes > min(EXTERNAL_DATA_BYTES, baseline.stat().st_size)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".variant-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        if scheme.method == "graph-optimization":
            ort_session.open_session(baseline, optimization="extended", save_as=made, save_weights_apart=apart)
        else:
            _quantize_dynamic(baseline, scheme, made, apart=apart, has_vnni=has_vnni)
        for path in Path(folder).iterdir():
            path.replace(target.parent / path.name)


def _quantize_dynamic(baseline: Path, scheme: Scheme, target: Path, *, apart: bool, has_vnni: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The quantizer only sees initializers: folding constants first turns weights in Constant nodes into initializers.
    folded = target.with_name("folded.onnx")
    ort_session.open_session(baseline, optimization="basic", save_as=folded, save_weights_apart=apart)
    try:
        with quiet():
            quantize_dynamic(
                folded,
                target,
                op_types_to_quantize=list(scheme.operators),
                per_channel=scheme.per_channel,
                # Without VNNI the int8 dot product adds pairs in 16 bits and saturates; 7-bit weights cannot.
                reduce_range=not has_vnni,
                weight_type=QuantType.QInt8,
                use_external_data_format=apart,
                extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
            )
    except Exception as error:  # the quantizer raises whatever its handlers meet: KeyError, ValueError, AssertionError ...
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise ModelError(
            f"the quantizer fails on this graph ({type(error).__name__}: {reason})",
            hint="quantize it by other means and profile that file",
        ) from error
    finally:
        for path in target.parent.glob("folded.onnx*"):
            path.unlink()


def changed_operators(baseline: Graph, variant: Graph) -> dict[str, int]:
    """Return the operators whose number differs, by difference in count."""
    return {
        operator: variant.operators.get(operator, 0) - baseline.operators.get(operator, 0)
        for operator in sorted(baseline.operators.keys() | variant.operators.keys())
        if variant.operators.get(operator, 0) != baseline.operators.get(operator, 0)
    }


def proof_of_difference(scheme: Scheme, baseline: Graph, variant: Graph) -> dict[str, int] | Exclusion:
    """Return the operators that changed, by difference in count, or the Exclusion of a variant that changed nothing."""
    changed = changed_operators(baseline, variant)
    if not changed and variant.weights_sha256 == baseline.weights_sha256:
        return Exclusion(what=scheme.id, reason="the tools returned the model unchanged: same operators, same weights")
    if scheme.method == "dynamic-quantization" and not any(
        _is_integer(operator) for operator in changed if changed[operator] > 0
    ):
        return Exclusion(
            what=scheme.id, reason="nothing was quantized: no operator of this model has an int8 form with stored weights"
        )
    return changed


def _is_integer(operator: str) -> bool:
    return any(part in operator for part in ("Integer", "Quantize", "Dequantize")) or operator.startswith(
        ("QLinear", "QAttention", "QGemm", "QEmbed")
    )
