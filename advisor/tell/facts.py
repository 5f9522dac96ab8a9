"""The facts of a model, and what a profile holds, as plain text for a terminal."""

from pathlib import Path

from advisor import units
from advisor.inert.record import as_json, inert_parts
from advisor.inert.text import inert
from advisor.schema.generation import DecoderFacts, GenerationProfile
from advisor.schema.language import LanguageModelFacts
from advisor.schema.model import ModelFacts, ModelInput
from advisor.schema.overview import Failure, Overview
from advisor.schema.profile import Profile, Site
from advisor.schema.sweep import MeasuringOutcome, SweepIndex, SweepPair
from advisor.tell.generation.facts import decoder_lines, site_words
from advisor.tell.language.facts import language_model_lines

MAX_OPERATORS = 8
SWEEP_WORDS: dict[MeasuringOutcome, str] = {
    "measured": "measured",
    "known": "known from before",
    "configuration": "judged from a configuration",
    "waiting": "waiting for a machine of their kind",
    "failed": "failed",
}
MAX_VALUES = 4  # of a count that differs from item to item


def render_facts(facts: ModelFacts | DecoderFacts | LanguageModelFacts, format_: str) -> str:
    """Return the facts as "text" or "json", ending in a newline."""
    if format_ == "json":
        return as_json(facts, indent=1).decode()
    facts = inert_parts(facts)
    if isinstance(facts, LanguageModelFacts):
        return "\n".join(language_model_lines(facts)) + "\n"
    if isinstance(facts, DecoderFacts):
        return "\n".join(decoder_lines(facts)) + "\n"
    at = f" at sequence length {facts.at_sequence_length}" if facts.at_sequence_length is not None else ""
    rows = [
        ("model", f"{facts.name} ({facts.format}, sha256 {facts.sha256[:12]})"),
        ("family", facts.family + (", already quantized" if facts.already_quantized else "")),
        (
            "weights",
            f"{units.count(facts.parameters)} parameters, {units.size(facts.weight_bytes)} of {units.size(facts.file_bytes)}",
        ),
        ("per item", f"{_flop(facts.flop_per_item)}, {_activations(facts)}{at}"),
        ("batching", ("possible: " if facts.batching.possible else "not possible: ") + facts.batching.reason),
        ("opset", ", ".join(f"{domain} {version}" for domain, version in facts.opset.items())),
    ]
    if facts.kv_bytes_per_token is not None:
        rows.append(("KV cache", f"{units.size(facts.kv_bytes_per_token)} per token"))
    lines = [f"{name:<9} {value}" for name, value in rows]
    lines += ["", "inputs", *(f"  {_input(entry)}" for entry in facts.inputs)]
    lines += ["outputs", *(f"  {entry.name}  {entry.dtype} {_shape(entry.shape)}" for entry in facts.outputs)]
    lines += ["", *_operators(facts)]
    lines += [f"note: {note}" for note in facts.notes]
    return "\n".join(lines) + "\n"


def profile_line(profile: Profile | GenerationProfile, path: Path) -> str:
    """Describe what each site of a profile holds, a line each, ending in a newline."""
    return "".join(f"{inert(str(path))}: {line}\n" for line in _site_lines(profile))


def sweep_lines(index: SweepIndex, overview: Overview | None, folder: Path) -> str:
    """Describe what a sweep measured and what it came to; a model that failed has its two lines. Ends in a newline."""
    counts = {word: sum(pair.outcome == word for pair in index.pairs) for word in SWEEP_WORDS}
    lines = [f"{index.name}: " + ", ".join(f"{count} {SWEEP_WORDS[word]}" for word, count in counts.items() if count)]
    for failure, name in _failures(index, overview).items():
        lines += [f"  {name}: {failure.fault}", f"    {failure.hint}"]
    lines += [overview.headline] if overview else []
    for what, path in (("overview", index.overview_path), ("portfolio", index.portfolio_path)):
        lines += [f"{what}: {folder / path}"] if path else []
    return "".join(f"{inert(line)}\n" for line in lines)


def sweep_failures(index: SweepIndex, overview: Overview | None) -> list[str]:
    """Return a line for each model that failed: what is wrong, and the way out."""
    return [f"{name}: {failure.fault}; {failure.hint}" for failure, name in _failures(index, overview).items()]


def _failures(index: SweepIndex, overview: Overview | None) -> dict[Failure, str]:
    """Return what failed with the model that it befell, each once."""
    said = {failure: _pair_name(pair) for pair in reversed(index.pairs) if (failure := pair.failure) is not None}
    for row in overview.rows if overview else ():
        if row.failure is not None:
            said.setdefault(row.failure, row.id)  # one that could not be measured has said so
    return said


def _pair_name(pair: SweepPair) -> str:
    return pair.model if pair.kind is None else f"{pair.model} on {pair.kind}"


def profile_words(profile: Profile | GenerationProfile) -> str:
    """Describe a profile in one line, as Python shows it."""
    name = profile.model.architecture if isinstance(profile, GenerationProfile) else profile.model.name
    return f"<{type(profile).__name__} of {inert(name)}: {'; '.join(_site_lines(profile))}>"


def _site_lines(profile: Profile | GenerationProfile) -> list[str]:
    is_only = len(profile.sites) == 1
    if isinstance(profile, GenerationProfile):
        return [site_words(site, is_only=is_only) for site in profile.sites]
    return [_site(site, is_only=is_only) for site in profile.sites]


def _site(site: Site, *, is_only: bool) -> str:
    calls = sum(len(visit.latency_s) for entry in site.measurements for visit in entry.visits)
    noise = f", noise floor {units.percent(site.noise_fraction)}" if site.noise_fraction is not None else ""
    where = "" if is_only else f"{inert(site.hardware.id)}, "
    return (
        f"{where}{len(site.variants)} variants, {len(site.measurements)} points, {calls:,} calls "
        f"in {units.seconds(site.measuring_s)}{noise}"
    )


def _flop(value: float | None) -> str:
    return "FLOP unknown" if value is None else units.flop(value)


def _activations(facts: ModelFacts) -> str:
    value = facts.activation_bytes_per_item
    return "activations unknown" if value is None else f"{units.size(value)} of activations"


def _shape(shape: tuple[int | str | None, ...]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _input(entry: ModelInput) -> str:
    axes = [
        f"axis {axis} is {name}"
        for axis, name in ((entry.batch_axis, "batch"), (entry.sequence_axis, "sequence"))
        if axis is not None
    ]
    bound = [f"below {entry.upper_bound}"] if entry.upper_bound is not None and entry.role == "ids" else []
    scalar = [f"set to {entry.scalar_value}"] if entry.scalar_value is not None else []
    given = ", ".join(f"{value:g}" for value in (entry.given_values or ())[:MAX_VALUES])
    more = " ..." if len(entry.given_values or ()) > MAX_VALUES else ""
    scalar += [f"set to {given}{more}, as given: the cost depends on it"] if given else []
    return f"{entry.name}  {entry.dtype} {_shape(entry.shape)}  {', '.join([entry.role, *axes, *bound, *scalar])}"


def _operators(facts: ModelFacts) -> list[str]:
    total = facts.flop_per_item or 0.0
    lines = [f"{'operator':<24}{'count':>6}{'FLOP':>10}{'share':>11}{'activations':>14}{'weights':>11}"]
    for entry in facts.operators[:MAX_OPERATORS]:
        share = units.percent(entry.flop_per_item / total) if entry.flop_per_item is not None and total > 0 else "?"
        flop = "unknown" if entry.flop_per_item is None else units.count(entry.flop_per_item)
        sizes = f"{units.size(entry.activation_bytes_per_item):>14}{units.size(entry.weight_bytes):>11}"
        lines.append(f"{entry.type[:23]:<24}{entry.count:>6}{flop:>10}{share:>11}{sizes}")
    left = len(facts.operators) - MAX_OPERATORS
    return [*lines, f"  and {left} more operator types (--format json lists all)"] if left > 0 else lines


def init_lines(workload: Path, script: Path | None, model: Path) -> str:
    """Return what was written to start from, and what to do with it."""
    file = inert(str(workload))
    lines = [f"{file}: fill in every FILL_IN, then run: advisor recommend {inert(str(model))} -w {file}"]
    if script is not None:
        lines.append(
            f"{inert(str(script))}: to measure quality, fill in examples(), run it, and remove the # before quality in {file}"
        )
    return "\n".join(lines) + "\n"
