"""Which models generate token by token, and which commands, options and files go with them: each mismatch is refused by name."""

import json
from pathlib import Path

from advisor.disk.reading import refuse_special
from advisor.errors import AdvisorError, InputError
from advisor.measure.decoder import seq2seq_folder
from advisor.measure.decoder.genai_folder import CONFIG as GENAI_CONFIG
from advisor.measure.generation.making import described
from advisor.measure.model import onnx_graph
from advisor.measure.worker.apart import Apart
from advisor.schema.generation import DecoderFacts
from advisor.schema.model import ModelFacts
from advisor.schema.options import ProfileOptions
from advisor.steps import model_folder
from advisor.units import LONGEST_QUOTED

CONFIG = "config.json"
DECODER = "ForCausalLM"  # how the class of a model that gives one token after the other ends
# Others that do: those who open them say by name which of them are not known here.
OTHERS_THAT_GENERATE = ("LMHeadModel", "ForConditionalGeneration", "ForSpeechSeq2Seq", "MTModel")
PAST = "past_key_values"
ASKING = "tokens: {input: {p50: 128, p95: 512}, output: {p50: 64, p95: 256}} and slo: {ttft_s: 2 s, tpot_s: 0.2 s}"
ONE_PASS = "give slo.latency_s and inputs.sequence_length in place of tokens, ttft_s and tpot_s"
# Options that mean nothing where a model generates, and why.
NOT_OF_DECODERS = {
    "inputs": ("--inputs", "what a decoder reads is tokens, drawn at the workload's lengths"),
    "variants": ("--variant", "variants of a decoder are folders that advisor makes of the checkpoint"),
    "allow_code": ("--allow-code", "a generative model is judged by perplexity on a text, without code of yours"),
}


def is_decoder(model: Path) -> bool:
    """Return whether a folder holds a model that generates: a checkpoint of a decoder, or what onnxruntime-genai writes."""
    return (model / GENAI_CONFIG).is_file() or architecture_of(model).endswith(DECODER)


def has_encoder(model: Path) -> bool:
    """Return whether a folder holds a model with an encoder and a decoder: its graphs as optimum names them, or its checkpoint."""
    is_of_parts = _configuration(model).get("is_encoder_decoder") is True
    return seq2seq_folder.is_export(model) or (is_of_parts and architecture_of(model).endswith(OTHERS_THAT_GENERATE))


def architecture_of(model: Path) -> str:
    """Return the class of a checkpoint, "" where none is named: those who open it say what is wrong."""
    named = _configuration(model).get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""


def _configuration(model: Path) -> dict[str, object]:
    """Return the configuration of a checkpoint, {} where none can be read."""
    path = model / CONFIG
    refuse_special(path)
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def note_on(model: Path) -> tuple[str, ...]:
    """Return what to say of a decoder that is measured as one pass over its tokens."""
    if not is_decoder(model):
        return ()
    return (
        "a decoder, measured as one pass over its tokens: `tokens:` in the workload (input and output) would give TTFT, TPOT and the cost "
        "of tokens",
    )


def check_generates(model: Path, options: ProfileOptions) -> None:
    """Raise InputError where a workload asks about tokens of a model that gives none, or with options that mean nothing there."""
    for name, (option, why) in NOT_OF_DECODERS.items():
        if getattr(options, name):
            raise InputError(f"{option}: {why}", hint=f"leave {option} out, or {ONE_PASS}")
    if is_decoder(model) or not model.exists():
        return  # what is not there is refused by those who open it
    if seq2seq_folder.is_export(model):
        return  # whether it has a past is said by those who open it, too
    architecture = architecture_of(model)
    if architecture.endswith(OTHERS_THAT_GENERATE):
        return
    asked = f"{options.workload} asks about tokens one by one"
    if architecture:
        shown = architecture[:LONGEST_QUOTED]
        raise InputError(f"{model}: {shown} answers in one pass, but {asked}", hint=f"{ONE_PASS}, or give a decoder")
    chosen = model_folder.chosen(model)
    if chosen.is_file() and _has_past(chosen):
        if model.is_dir():
            return
        raise InputError(
            f"{model}: generation needs the folder of an export, with its configuration and tokenizer, not the file alone",
            hint=f"give {model.parent}",
        )
    raise InputError(f"{model}: no past of keys and values among its inputs, but {asked}", hint=f"{ONE_PASS}, or give a decoder")


def _has_past(path: Path) -> bool:
    """Return whether an ONNX file takes what was computed for earlier tokens."""
    with Apart() as apart:
        graph = apart.call(model_folder.reading(str(path)), onnx_graph.read_graph, path)
    return any(PAST in entry.name for entry in graph.inputs)


def facts_of(model: Path) -> DecoderFacts | None:
    """Return the facts of a model that generates; None where it is none, or a decoder that cannot be generated with here.

    Raises InputError for one with an encoder that cannot: no single pass answers for all of its graphs.
    """
    is_of_parts = has_encoder(model)
    if not is_of_parts and not is_decoder(model):
        return None
    with Apart() as apart:
        try:
            return apart.call(model_folder.reading(str(model)), described, model)
        except AdvisorError:
            if is_of_parts:
                raise
            return None  # as one pass it can be looked at all the same, and what is wrong with it is said there


def inspect(model: Path, inputs: Path | None) -> ModelFacts | DecoderFacts:
    """Return the facts of a model that generates, or of one pass; with inputs of the user's, what that pass does with them."""
    found = facts_of(model) if inputs is None else None
    return found if found is not None else model_folder.inspect(model, inputs)
