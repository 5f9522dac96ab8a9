"""The evidence of advice, in rows: the model, the machine and its noise, and what the search proved."""

from advisor import units
from advisor.schema.advice import Advice, Certificate, SiteFacts
from advisor.schema.generation import GenerationAdvice
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Machine
from advisor.schema.record import Record
from advisor.tell.words.advice import NO_AXIS
from advisor.tell.words.figures import Part, Row, as_text, known, rows_of


class OperatorShare(Record, frozen=True, kw_only=True):
    """One operator type; `flop_fraction` is its part of the known operations, None where its own are unknown."""

    type: str
    count: int
    flop_per_item: float | None
    flop_fraction: float | None


def model_rows(model: ModelFacts) -> tuple[Row, ...]:
    """Return the facts of the model."""
    flop = f"{units.count(model.flop_per_item)} FLOP" if model.flop_per_item is not None else as_text(known(None, units.count))
    at = f" at sequence length {model.at_sequence_length}" if model.at_sequence_length is not None else ""
    rows: dict[str, Part] = {
        "File": f"{model.format}, {units.size(model.file_bytes)}, sha256 {model.sha256[:12]}",
        "Weights": units.size(model.weight_bytes) + (", quantized as given" if model.already_quantized else ""),
        "Operations per item": flop + at,
        "Activations per item": known(model.activation_bytes_per_item, units.size),
    }
    if model.kv_bytes_per_token is not None:
        rows["KV cache per token"] = units.size(model.kv_bytes_per_token)
    rows["Opset"] = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in model.opset.items())
    rows["Batching"] = f"{'possible' if model.batching.possible else 'not possible'}: {model.batching.reason}"
    return rows_of(rows)


def input_rows(model: ModelFacts) -> tuple[Row, ...]:
    """Return each input of the model: its type, shape, role, batch axis and sequence axis."""
    return tuple(
        Row(
            label=it.name,
            cells=(
                it.dtype,
                " × ".join("?" if axis is None else str(axis) for axis in it.shape),
                it.role,
                *(NO_AXIS if axis is None else str(axis) for axis in (it.batch_axis, it.sequence_axis)),
            ),
        )
        for it in model.inputs
    )


def evidence_rows(advice: Advice | GenerationAdvice) -> tuple[Row, ...]:
    """Return where the measurements come from, and what the search proved."""
    rows: dict[str, Part] = {}
    for site in advice.sites:
        # A single machine needs no name.
        rows |= {f"{label} ({site.hardware})" if len(advice.sites) > 1 else label: part for label, part in _site(site).items()}
    path = f", {advice.profile_path}" if advice.profile_path else ""
    made = " and of ".join(units.moment(site.created) for site in advice.sites)
    rows["Search"] = search_words(advice.certificate)
    rows["Profile"] = f"sha256 {advice.profile_sha256[:12]}, of {made}{path}"
    return rows_of(rows)


def _site(site: SiteFacts) -> dict[str, Part]:
    machine = site.machine
    instructions = f"; {', '.join(machine.instruction_sets)}" if machine.instruction_sets else ""
    noise = (
        f"{units.percent(site.noise_fraction)}: how far the first variant, measured twice, differs from itself"
        if site.noise_fraction is not None
        else as_text(known(None, units.percent, "not measured"))
    )
    return {
        "Machine": f"{_cores(machine)}, {units.size(machine.memory_bytes)} of memory, {machine.system}{instructions}",
        "Versions": ", ".join(f"{name} {version}" for name, version in site.versions.items()) or "not recorded",
        "Noise floor": noise,
    }


def _cores(machine: Machine) -> str:
    """Return the cores, or of a container how much of them it may keep busy: its quota is often a part of one."""
    quota = machine.quota_cores
    if quota is None:
        return units.counted(machine.cores, "core")
    return f"{units.number(quota)} {'of a core' if quota < 1 else 'core' if quota == 1 else 'cores'} by a quota of processor time"


def search_words(it: Certificate) -> str:
    """Return what the search looked at, and what may be lost by what it did not."""
    lost = (
        "regret 0, so there is no cheaper candidate"
        if it.regret_usd_per_hour == 0
        else f"regret at most {units.usd_per_hour(it.regret_usd_per_hour)}"
    )
    return (
        f"{units.counted(it.candidates, 'candidate')}: {it.cut_by_bound:,} cut by a bound on latency or capacity, {it.cut_by_quality:,} by "
        f"quality, {it.cut_by_tie:,} as fast as a simpler variant, {it.cut_by_cost:,} more expensive than the best, {it.simulated:,} "
        f"simulated; {lost}"
    )


def operator_shares(model: ModelFacts) -> tuple[OperatorShare, ...]:
    """Return the operator types by their part of the operations, those without a known count last."""
    whole = sum(operator.flop_per_item or 0.0 for operator in model.operators)
    shares = [
        OperatorShare(
            type=operator.type,
            count=operator.count,
            flop_per_item=operator.flop_per_item,
            flop_fraction=operator.flop_per_item / whole if operator.flop_per_item is not None and whole else None,
        )
        for operator in model.operators
    ]
    return tuple(sorted(shares, key=_most_operations_first))


def _most_operations_first(share: OperatorShare) -> tuple[bool, float, int]:
    return share.flop_per_item is None, -(share.flop_per_item or 0.0), -share.count
