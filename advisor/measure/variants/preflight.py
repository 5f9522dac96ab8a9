"""Which schemes can help, decided from the instruction set and the operators before any time is spent on them."""

import msgspec

from advisor.measure.model.operator_cost import CONVOLUTIONS, RECURRENT
from advisor.measure.runtime.machine import has_vnni
from advisor.measure.variants.quantize import QUANTIZING
from advisor.schema.catalog import CPU, Scheme
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Machine
from advisor.schema.record import Exclusion
from advisor.units import percent, size

# Arithmetic in the operators that a scheme changes, as a share of all: below, even work done in no time would hardly show.
LEAST_SHARE = 0.2
LEAST_SUBNORMAL = 0.001  # of the weights
# Weights that stay in the caches are not what a call waits for.
CACHED_WEIGHT_BYTES = 64_000_000
# Instruction sets by what they can do, as Linux spells them.
BF16 = {"avx512_bf16", "amx_bf16"}
BF16_ARM = {"bf16", "i8mm"}
FP16 = {"asimdhp", "fphp", "avx512_fp16"}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to go by."""

    facts: ModelFacts
    machine: Machine
    providers: tuple[str, ...]
    is_checkpoint: bool


def does_not_fit(machine: Machine, file_bytes: int, instances: int = 1) -> str | None:
    """Return why the weights of so many instances, each of which holds its own, do not fit in the memory here; None if they may."""
    needed_bytes = instances * file_bytes
    if needed_bytes <= machine.memory_bytes:
        return None
    each = f"{instances} instances of {size(file_bytes)}" if instances > 1 else f"its {size(file_bytes)}"
    return f"{each} do not fit in the {size(machine.memory_bytes)} of memory that this process may use"


def select(schemes: tuple[Scheme, ...], case: Case, wanted: frozenset[str]) -> tuple[list[Scheme], list[Exclusion]]:
    """Return the schemes that are worth trying here, in the order of the catalog, and why the others are not.

    Those in `wanted` were asked for by name and are always tried.
    """
    chosen, excluded = [], []
    absent = []
    for scheme in schemes:
        if scheme.provider not in case.providers and scheme.provider != "openvino" and scheme.id not in wanted:
            absent.append(scheme.id)
            continue
        reason = None if scheme.id in wanted else reason_against(scheme, case)
        if reason is None:
            chosen.append(scheme)
        else:
            excluded.append(Exclusion(what=scheme.id, reason=reason))
    if absent:
        listed = ", ".join(provider.removesuffix("ExecutionProvider") for provider in case.providers)
        excluded.append(Exclusion(what=", ".join(absent), reason=f"no such device: ONNX Runtime lists {listed} here"))
    return chosen, excluded


def reason_against(scheme: Scheme, case: Case) -> str | None:
    """Return why the scheme cannot be faster here, or not better than another; None if it may be."""
    changes_numbers = scheme.method in QUANTIZING or scheme.method == "half-precision"
    if case.facts.already_quantized and changes_numbers:
        return "the model is already quantized"
    return (
        _against_place(scheme, case)
        or _against_operators(scheme, case)
        or (_against_integers(scheme, case) if scheme.provider == CPU and scheme.method in QUANTIZING else None)
    )


def _against_place(scheme: Scheme, case: Case) -> str | None:
    flags = set(case.machine.instruction_sets)
    if scheme.provider not in case.providers:
        return "OpenVINO is not installed: pip install 'serving-advisor[openvino]'"
    if scheme.method == "dynamic-quantization" and scheme.provider != CPU:
        return "ranges found at run time need DynamicQuantizeLinear, which ONNX Runtime has only for CPUs"
    if scheme.needs == "half-precision-weights" and not is_half(case.facts):
        return "the weights are in 32-bit floats as they are"
    if scheme.needs == "subnormal-weights" and case.facts.subnormal_fraction < LEAST_SUBNORMAL:
        return "hardly any weight is a subnormal number"
    if scheme.needs == "bf16" and not flags & BF16:
        return "this processor has no bf16 instructions and falls back to 32-bit floats"
    if scheme.needs == "bf16-arm" and not BF16_ARM <= flags:
        return "ONNX Runtime's CPU kernels multiply in bf16 only on ARM"
    if scheme.needs == "fp16" and not flags & FP16:
        return "ONNX Runtime's CPU kernels have no 16-bit arithmetic on this processor: values are converted back and forth"
    return None


def is_half(facts: ModelFacts) -> bool:
    """Return whether most weights are stored in 16-bit floats."""
    return not facts.already_quantized and facts.parameters > 0 and facts.weight_bytes < 3 * facts.parameters


def _against_operators(scheme: Scheme, case: Case) -> str | None:
    if scheme.method == "transformer-fusion":
        if not case.is_checkpoint:
            return "ORTOptimizer needs the checkpoint; ONNX Runtime's own fusions are in ort-optimized"
        return None if case.facts.family in ("encoder", "decoder", "encoder-decoder") else "the model is no transformer"
    if scheme.provider != CPU and case.facts.family == "tree":
        return "tree ensembles run only on ONNX Runtime's CPU provider"
    if scheme.method not in QUANTIZING:
        return None
    weights = sum(entry.weight_bytes for entry in case.facts.operators if entry.type in scheme.operators)
    if weights == 0:
        return f"no stored weights in operators of the types that it changes ({', '.join(scheme.operators)})"
    share = _share(case.facts, set(scheme.operators))
    if share is not None and share < LEAST_SHARE:
        return f"only {percent(share)} of the arithmetic is in operators that it changes ({', '.join(scheme.operators)})"
    return None


def _against_integers(scheme: Scheme, case: Case) -> str | None:
    facts, machine = case.facts, case.machine
    conv, recurrent = _share(facts, set(CONVOLUTIONS)) or 0.0, _share(facts, RECURRENT) or 0.0
    if not {"avx2", "asimd"} & set(machine.instruction_sets):
        return "this processor lacks the 8-bit vector instructions that ONNX Runtime's kernels need"
    if scheme.method == "dynamic-quantization" and "Conv" in scheme.operators and conv > LEAST_SHARE:
        return (
            f"{percent(conv)} of the arithmetic is in convolutions, whose dynamic int8 form is several times slower than floats"
        )
    if scheme.id == "int8-dynamic-tensor":
        return "as fast as int8-dynamic, whose scales per channel lose less"
    if scheme.method == "static-quantization":
        if scheme.activation_type == "int8" and "asimd" not in machine.instruction_sets:
            return (
                "signed activations have fast kernels on ARM and GPUs; on x86 the unsigned ones of int8-static-minmax are faster"
            )
        if conv + recurrent < LEAST_SHARE:
            return "for matrix products, ranges found at run time (int8-dynamic) are as fast and lose less"
    if scheme.method == "weight-only" and scheme.weight_bits < 8 and facts.weight_bytes < CACHED_WEIGHT_BYTES:
        return "the weights stay in the caches, so reading fewer of their bits saves nothing"
    if scheme.method == "weight-only" and not has_vnni(machine):
        return "without VNNI, unpacking the weights takes longer than multiplying by them"
    return None


def _share(facts: ModelFacts, operators: set[str]) -> float | None:
    """Return the share of the arithmetic per item that is in operators of these types, None where it is not known."""
    total = sum(entry.flop_per_item or 0.0 for entry in facts.operators)
    return sum(entry.flop_per_item or 0.0 for entry in facts.operators if entry.type in operators) / total if total else None
