"""Which models are judged from their configuration, on hardware that is not here, and which commands and options go with that."""

from pathlib import Path

from advisor.errors import InputError
from advisor.files.workload import asks_for_tokens, read_workload
from advisor.measure.architecture.config import read_architecture
from advisor.schema.catalog import LOCAL
from advisor.schema.generation import DecoderFacts
from advisor.schema.language import LanguageModelFacts
from advisor.schema.model import ModelFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import HardwareChoice
from advisor.steps import model_folder
from advisor.steps.generation import dispatch
from advisor.steps.language.configuration import is_configuration
from advisor.steps.language.facts import facts_of

WEIGHTS = (*model_folder.WEIGHT_SUFFIXES, ".xml")
# Options of profiling, by their fields: nothing is measured where a model is judged from its configuration.
OPTIONS = {
    "inputs": "--inputs",
    "variants": "--variant",
    "schemes": "--scheme",
    "students": "--student",
    "draft": "--draft",
    "budget_s": "--budget",
    "max_batch_size": "--max-batch-size",
    "seed": "--seed",
    "fresh": "--fresh",
    "general": "--general",
    "allow_code": "--allow-code",
    "hardware": "--hardware",
    "store": "--store",
}


def has_weights(folder: Path) -> bool:
    """Return whether anything lies in a folder that could be measured."""
    return any(path.suffix in WEIGHTS for path in folder.iterdir()) or bool(model_folder.onnx_files(folder))


def _is_generative(folder: Path) -> bool:
    """Return whether a folder holds the configuration of a model that answers token by token, whatever else lies there."""
    return dispatch.architecture_of(folder).endswith((dispatch.DECODER, *dispatch.OTHERS_THAT_GENERATE))


def is_elsewhere(model: Path, workload_path: Path | None) -> bool:
    """Return whether a model is judged from its configuration: there is no more of it, or the workload allows foreign hardware alone."""
    if is_configuration(model):
        return True
    if workload_path is None or not model.is_dir() or not _is_generative(model):
        return False
    workload = read_workload(workload_path)
    allowed = (workload.hardware or HardwareChoice()).allowed
    asks = workload.offline is None and asks_for_tokens(workload)
    return asks and (LOCAL not in allowed or not has_weights(model))


def check_options(model: Path, options: ProfileOptions) -> None:
    """Raise InputError for options that mean nothing where nothing is measured."""
    usual = ProfileOptions(workload=options.workload)
    for name, option in OPTIONS.items():
        if getattr(options, name) != getattr(usual, name):
            raise InputError(
                f"{option}: {model} is judged from its configuration, and nothing is measured",
                hint=f"leave {option} out, or measure here: give the checkpoint's folder, and hardware: {{allowed: [local]}}",
            )


def inspect(model: Path, inputs: Path | None) -> ModelFacts | DecoderFacts | LanguageModelFacts:
    """Return the facts of a model: of a configuration without weights, of a decoder, or of what answers in one pass."""
    is_bare = is_configuration(model) or (model.is_dir() and _is_generative(model) and not has_weights(model))
    if not is_bare:
        return dispatch.inspect(model, inputs)
    if inputs is not None:
        raise InputError(
            f"--inputs: {model} is a configuration without weights, which takes no inputs", hint="leave --inputs out"
        )
    return facts_of(read_architecture(model))
