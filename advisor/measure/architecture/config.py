"""A decoder as its config.json describes it: layers by kind, widths, weights; what is not modeled is refused by name."""

import hashlib
import os
from pathlib import Path

from advisor.inert.text import inert
from advisor.measure.architecture.attention import attention_layers
from advisor.measure.architecture.blocks import block_layers
from advisor.measure.architecture.families import CLASS_OF_TEXT, FAMILIES, Family
from advisor.measure.architecture.feed_forward import feed_forward_layers
from advisor.measure.architecture.parameters import Frame, count_parameters
from advisor.measure.architecture.precision import OPTIMIZER_FILE, weight_precision
from advisor.measure.architecture.refusals import not_known, refuse_what_is_not_modeled
from advisor.measure.decoder.config_values import Values, parsed, read_content
from advisor.measure.decoder.shape import CONFIG, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from advisor.schema.language import Architecture
from advisor.schema.record import LONGEST_SEQUENCE

GIVE_CONFIG = "give the config.json of a language model, or the folder that holds it"
NAME_THE_CLASS = "name the class of the model there"
TEXT_PARTS = ("text_config", "llm_config", "language_config")
LONGEST_CONTEXT = 2**40  # that a file may name; beyond LONGEST_SEQUENCE it is cut
CONTEXT = ("max_position_embeddings", "n_positions", "seq_length")
FURTHER_TOKENS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")


def read_architecture(path: Path) -> Architecture:
    """Return what a config.json, or the one in a folder, describes; raise InputError for one that is wrong, or that is not modeled."""
    if path.is_dir():
        path = path / CONFIG
    content = read_content(path, "a configuration", GIVE_CONFIG)
    config = Values(path, parsed(content, path, GIVE_CONFIG))
    text, name, notes = _text_part(config)
    refuse_what_is_not_modeled(config, _class_of(config))
    refuse_what_is_not_modeled(text, name)
    if name not in FAMILIES:
        raise not_known(config, name)
    family = FAMILIES[name]
    text = text.with_defaults(family.defaults)
    frame, cut = _frame(config, text, family)
    if family.attention == "blocks":
        attention, feed_forward = block_layers(text, name, layers=frame.layers, hidden_size=frame.hidden_size)
    else:
        attention = attention_layers(
            text, family, layers=frame.layers, hidden_size=frame.hidden_size, context_tokens=frame.context_tokens
        )
        feed_forward = feed_forward_layers(text, family, layers=frame.layers, hidden_size=frame.hidden_size)
    parameters, active_parameters = count_parameters(text, family, frame, attention, feed_forward)
    name_of_model = _name(path)
    weights, of_weights = weight_precision(config, text, name_of_model, path.parent if path.name == CONFIG else None)
    if family.window_key == "attention_chunk_size" and any(it.window_tokens for it in attention):
        notes += ("attention in chunks counts as attention with a window of that length",)
    return Architecture(
        name=name_of_model,
        architecture=inert(_class_of(config)),
        sha256=hashlib.sha256(content).hexdigest(),
        layers=frame.layers,
        hidden_size=frame.hidden_size,
        vocabulary=frame.vocabulary,
        context_tokens=frame.context_tokens,
        ties_embeddings=frame.ties_embeddings,
        attention=attention,
        feed_forward=feed_forward,
        parameters=parameters,
        active_parameters=active_parameters,
        weights=weights,
        notes=(*notes, *cut, *_further_tokens(text), *of_weights),
    )


def read_with(path: Path) -> tuple[Path, ...]:
    """Return the files that count where a path is read: itself, and beside a config.json what says how the weights are quantized."""
    return (path, path.with_name(OPTIMIZER_FILE)) if path.name == CONFIG else (path,)


def _text_part(config: Values) -> tuple[Values, str, tuple[str, ...]]:
    """Return what describes the decoder of text, its class, and a note where it is a part of a model of several kinds of input."""
    outer = _class_of(config)
    key = next((key for key in TEXT_PARTS if config.given(key) is not None), None)
    part = None if key is None else config.part(key)
    if part is None:
        others = config.given("vision_config") is not None or config.given("audio_config") is not None
        return config, outer, (_of_text_alone(outer),) if others else ()
    if part.given("architectures") is not None:
        return part, _class_of(part), (_of_text_alone(outer),)
    return part, CLASS_OF_TEXT.get(part.text("model_type", outer), outer), (_of_text_alone(outer),)


def _of_text_alone(name: str) -> str:
    return f"the part of {inert(name)} that decodes text: what reads images or sound is not counted"


def _class_of(config: Values) -> str:
    given = config.given("architectures")
    name = given[0] if isinstance(given, list) and given else None
    if not isinstance(name, str) or not name:
        raise config.wrong("architectures", "names no class of a model", hint=NAME_THE_CLASS)
    return name


def _frame(config: Values, text: Values, family: Family) -> tuple[Frame, tuple[str, ...]]:
    """Return what is there once, and a note where the context is longer than what is reckoned with."""
    context = text.count(text.key_of(*CONTEXT), LONGEST_CONTEXT)
    frame = Frame(
        layers=text.count(text.key_of("num_hidden_layers", "n_layer"), MOST_LAYERS),
        hidden_size=text.count(text.key_of("hidden_size", "n_embd", "n_embed"), MOST_WIDTH),
        vocabulary=text.count("vocab_size", MOST_VOCABULARY),
        context_tokens=min(context, LONGEST_SEQUENCE),
        ties_embeddings=text.flag("tie_word_embeddings", config.flag("tie_word_embeddings", family.ties)),
    )
    cut = f"its context of {context:,} tokens counts as {LONGEST_SEQUENCE:,}"
    return frame, (cut,) if context > LONGEST_SEQUENCE else ()


def _further_tokens(text: Values) -> tuple[str, ...]:
    """Return a note on layers that predict further tokens: they serve speculation, and the published figures leave them out."""
    for key in FURTHER_TOKENS:
        if text.count(key, MOST_LAYERS, 0, least=0):
            return (f"its layers that predict further tokens ({key}) are not counted",)
    return ()


def _name(path: Path) -> str:
    """Return the name of a model: that of the file, or of the folder of a config.json, in a cache of the hub that of the repository."""
    if path.name != CONFIG:
        return inert(path.stem.removesuffix("_config")) or "model"
    folder = Path(os.path.abspath(path)).parent
    if folder.parent.name == "snapshots":
        folder = folder.parent.parent
    return inert(folder.name.removeprefix("models--")) or "model"
