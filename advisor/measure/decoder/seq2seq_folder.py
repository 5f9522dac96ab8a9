"""The folder of a model with an encoder and a decoder: its configuration, its graphs as optimum names them, inputs and outputs."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values, quoted, read_object
from advisor.measure.decoder.plain_export import IDS, LOGITS, MASK, MOST_TOKENS, PAST, PRESENT, WIDTH
from advisor.measure.decoder.shape import CONFIG, FLOAT_BYTES, MOST_HEADS, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from advisor.measure.decoder.weights import parameters_in
from advisor.measure.model import checkpoint, onnx_graph
from advisor.measure.model.checkpoint import FRAMES_A_POSITION
from advisor.schema.generation import DecoderFacts, EncoderFacts
from advisor.schema.model import Graph, GraphInput, GraphOutput
from advisor.schema.record import LONGEST_SEQUENCE

# What begins an answer and what goes on with it are two files, or branches of one.
ENCODER, FIRST, LATER = "encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"
MERGED = "decoder_model_merged.onnx"
GENERATION_CONFIG = "generation_config.json"  # tokens that every answer begins with
FEATURES, HIDDEN, STATES = "input_features", "encoder_hidden_states", "last_hidden_state"
INPUT_MASK, BRANCH, PLACES = "encoder_attention_mask", "use_cache_branch", "cache_position"
OWN, CROSS = ".decoder.", ".encoder."  # within the names of the cache: attention to the answer, and to the input
ENCODER_TAKES = {IDS, FEATURES, MASK}
DECODER_TAKES = {IDS, HIDDEN, INPUT_MASK, PLACES}
Reads = Literal["tokens", "frames"]
TASKS: dict[Reads, str] = {"tokens": "text2text-generation-with-past", "frames": "automatic-speech-recognition-with-past"}
SAVE_AGAIN = "save the configuration of the checkpoint beside the graphs"
LONGEST_START = 64  # tokens; Whisper has four
MOST_BINS, MOST_FRAMES = 512, 50_000  # of sound; Whisper has 128 and 3,000
# What configurations of different families call the same, those of the decoder first.
LAYERS = ("num_decoder_layers", "decoder_layers", "num_layers")
ENCODER_LAYERS = ("encoder_layers", "num_encoder_layers", "num_layers")
HEADS = ("decoder_attention_heads", "num_decoder_attention_heads", "num_heads")
INPUT_POSITIONS = ("max_source_positions", "max_encoder_position_embeddings", "max_position_embeddings")
OUTPUT_POSITIONS = ("max_target_positions", "max_decoder_position_embeddings", "max_position_embeddings")


class Cached(NamedTuple):
    """One array of the cache: what a graph takes it as and gives it as, and its sizes beside requests and tokens."""

    past: str
    present: str
    heads: int
    dimension: int

    @property
    def bytes(self) -> int:
        """What a token takes."""
        return self.heads * self.dimension * FLOAT_BYTES


class Parts(NamedTuple):
    """The graphs of an export, which are one where the decoder is merged, and how they are fed."""

    encoder: Path
    first: Path
    later: Path
    own: tuple[Cached, ...]  # of attention to the answer
    cross: tuple[Cached, ...]  # to the input
    start: tuple[int, ...]  # tokens that every answer begins with
    input_vocabulary: int
    frames: tuple[int, int] | None  # bins of sound and frames of an input; None: it is tokens

    @property
    def is_merged(self) -> bool:
        """Whether one file begins answers and goes on with them."""
        return self.first == self.later


def is_export(folder: Path) -> bool:
    """Return whether the folder holds graphs of an encoder and a decoder, and no weights that they could be made of."""
    return (folder / ENCODER).is_file() and not any(folder.glob("*.safetensors"))


def is_checkpoint(folder: Path) -> bool:
    """Return whether the configuration in a folder is that of a model with an encoder and a decoder."""
    path = folder / CONFIG
    return path.is_file() and _configuration(folder).given("is_encoder_decoder") is True


def files(folder: Path) -> tuple[Path, ...]:
    """Return the graphs of an export that are run; raise InputError, with the way to one, where it has no past."""
    if (folder / MERGED).is_file():
        return folder / ENCODER, folder / MERGED
    missing = [name for name in (FIRST, LATER) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder}: a decoder without its past, which generates no token: neither {MERGED} nor {' and '.join(missing)}",
            hint=_export_again(folder),
        )
    return folder / ENCODER, folder / FIRST, folder / LATER


def read(folder: Path) -> tuple[DecoderFacts, Parts]:
    """Return facts and parts of an export; raise InputError where names of its graphs do not pair, or it is of another kind."""
    used = files(folder)
    graphs = [onnx_graph.read_graph(path) for path in used]
    config, again = _configuration(folder), _export_again(folder)
    encoder, first, later = graphs[0], graphs[1], graphs[-1]
    takes = _encoder_input(used[0], encoder, again)
    own, cross = _cache(used, first, later, again)
    frames = None if takes.name == IDS else _frames(used[0], takes, config)
    vocabulary = _vocabulary(used[-1], later, config)
    positions = _positions(config, None if frames is None else frames[1] // FRAMES_A_POSITION)
    start = _start(folder, config, vocabulary)
    read_vocabulary = min(vocabulary, takes.vocabulary or vocabulary)
    facts = _facts(
        config,
        own,
        cross,
        sha256=_digest(graphs, folder),
        given_as="export",
        parameters=max(1, sum(graph.parameters for graph in graphs[:2])),
        vocabulary=read_vocabulary,
        reads="tokens" if frames is None else "frames",
        positions=positions,
        start=start,
    )
    parts = Parts(used[0], used[1], used[-1], own, cross, start, read_vocabulary, frames)
    return facts, parts


def facts_of_checkpoint(folder: Path) -> DecoderFacts:
    """Return the facts of a checkpoint by its configuration; raise InputError for sizes that it does not name as T5 or BART do."""
    config = _configuration(folder)
    for name in ("encoder", "decoder"):
        if config.part(name) is not None:
            raise InputError(
                f"{config.path}: an encoder and a decoder with configurations of their own, which are not read here",
                hint=f"export it with `optimum-cli export onnx --task {TASKS['tokens']}`, and give that folder",
            )
    reads = _reads(config)
    layers, heads = _count(config, LAYERS, MOST_LAYERS), _count(config, HEADS, MOST_HEADS)
    width = _count(config, ("d_model", "hidden_size"), MOST_WIDTH)
    dimension = config.count("d_kv", MOST_WIDTH, max(1, width // heads))
    sides = tuple(Cached(f"{layer}.{side}", "", heads, dimension) for layer in range(layers) for side in ("key", "value"))
    vocabulary = config.count("vocab_size", MOST_VOCABULARY)
    return _facts(
        config,
        sides,
        sides,
        sha256=checkpoint.digest(folder),
        given_as="checkpoint",
        parameters=parameters_in(folder),
        vocabulary=vocabulary,
        reads=reads,
        positions=_positions(config, None),
        start=_start(folder, config, vocabulary),
    )


def _facts(
    config: Values,
    own: tuple[Cached, ...],
    cross: tuple[Cached, ...],
    *,
    sha256: str,
    given_as: Literal["checkpoint", "export"],
    parameters: int,
    vocabulary: int,
    reads: Reads,
    positions: tuple[int, int],
    start: tuple[int, ...],
) -> DecoderFacts:
    inputs, outputs = positions
    if len(start) >= outputs:
        raise InputError(
            f"{config.path}: answers have {outputs} positions, and {len(start)} tokens begin each of them", hint=SAVE_AGAIN
        )
    outputs -= len(start)
    by_input, by_output = (sum(entry.bytes for entry in cached) for cached in (cross, own))
    return DecoderFacts(
        sha256=sha256,
        architecture=_architecture(config),
        given_as=given_as,
        parameters=parameters,
        layers=max(1, len(own) // 2),
        attention_heads=_count(config, HEADS, MOST_HEADS, own[0].heads),
        kv_heads=own[0].heads,
        head_dimension=own[0].dimension,
        hidden_size=_count(config, ("d_model", *WIDTH), MOST_WIDTH),
        vocabulary=vocabulary,
        context_tokens=min(inputs + outputs, LONGEST_SEQUENCE),
        kv_bytes_per_token=max(by_input, by_output),
        encoder=EncoderFacts(
            reads=reads,
            layers=_named(config, ENCODER_LAYERS, MOST_LAYERS),
            input_tokens=inputs,
            output_tokens=outputs,
            start_tokens=len(start),
            kv_bytes_per_input_token=by_input,
            kv_bytes_per_output_token=by_output,
        ),
    )


# --- the configuration ---------------------------------------------------------------------------------------------------------


def _configuration(folder: Path) -> Values:
    return Values(folder / CONFIG, read_object(folder / CONFIG, "the configuration of the model", SAVE_AGAIN))


def _export_again(folder: Path) -> str:
    """Return the way to an export with its past."""
    reads = _reads(_configuration(folder)) if (folder / CONFIG).is_file() else "tokens"
    return f"export it with `optimum-cli export onnx --task {TASKS[reads]}`"


def _reads(config: Values) -> Reads:
    return "frames" if config.given("num_mel_bins") is not None else "tokens"


def _architecture(config: Values) -> str:
    listed = config.given("architectures")
    name = listed[0] if isinstance(listed, list) and listed else None
    return name if isinstance(name, str) and name else config.text("model_type", "encoder-decoder")


def _named(config: Values, keys: Iterable[str], most: int) -> int | None:
    """Return the first of the keys that is there; None: none is."""
    key = next((key for key in keys if config.given(key) is not None), None)
    return None if key is None else config.count(key, most)


def _count(config: Values, keys: tuple[str, ...], most: int, default: int | None = None) -> int:
    found = _named(config, keys, most)
    return config.count(keys[0], most, default) if found is None else found


def _positions(config: Values, of_graph: int | None) -> tuple[int, int]:
    """Return how many positions inputs and answers have; where these are biases of attention, as of T5, any number could be."""
    inputs = of_graph or _count(config, INPUT_POSITIONS, LONGEST_SEQUENCE, MOST_TOKENS)
    return inputs, _count(config, OUTPUT_POSITIONS, LONGEST_SEQUENCE, MOST_TOKENS)


def _start(folder: Path, config: Values, vocabulary: int) -> tuple[int, ...]:
    """Return the tokens that every answer begins with: that of the configuration, of Whisper also language and task."""
    generation = config
    if (folder / GENERATION_CONFIG).is_file():
        path = folder / GENERATION_CONFIG
        generation = Values(path, read_object(path, "the configuration of generation", SAVE_AGAIN))
    sources = (generation, config)
    first = _first_given(sources, "decoder_start_token_id") or _first_given(sources, "bos_token_id")
    if first is None:
        raise InputError(
            f"{config.path}: decoder_start_token_id is missing: no answer can be begun",
            hint=f"name it there, or in {GENERATION_CONFIG}",
        )
    source, key = first
    tokens = [source.given(key), *_forced(sources)]
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < vocabulary:
            raise source.wrong(key, f"with what is forced behind it, {quoted(token)} is none of the {vocabulary} tokens")
    return tuple(tokens)


def _first_given(sources: Iterable[Values], key: str) -> tuple[Values, str] | None:
    return next(((source, key) for source in sources if source.given(key) is not None), None)


def _forced(sources: tuple[Values, Values]) -> list[Any]:
    """Return what is forced behind the first token of an answer to sound: language, task, and that no times are given.

    A language that is to be detected stands for any.
    """
    generation, tasks = sources[0], sources[0].part("task_to_id")
    language = next(iter(generation.given("lang_to_id").values()), None) if generation.part("lang_to_id") is not None else None
    forced = _first_given(sources, "forced_decoder_ids")
    if forced is not None:
        listed = forced[0].given("forced_decoder_ids")
        if not isinstance(listed, list) or len(listed) > LONGEST_START or not all(_is_pair(entry) for entry in listed):
            raise forced[0].wrong("forced_decoder_ids", "not pairs of a place and a token")
        return [language if token is None else token for _, token in listed if token is not None or language is not None]
    if language is None or tasks is None:
        return []
    silent = generation.given("no_timestamps_token_id")
    return [language, tasks.given("transcribe"), *([] if silent is None else [silent])]


def _is_pair(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2


# --- the graphs ------------------------------------------------------------------------------------------------------------------


def _encoder_input(path: Path, graph: Graph, again: str) -> GraphInput:
    """Return the input that an encoder reads; raise InputError unless it gives states and takes tokens, or frames of sound."""
    inputs = {entry.name: entry for entry in graph.inputs}
    takes = inputs.get(IDS) or inputs.get(FEATURES)
    if takes is None or inputs.keys() - ENCODER_TAKES or STATES not in {entry.name for entry in graph.outputs}:
        named = ", ".join(quoted(name) for name in inputs)
        raise InputError(f"{path}: not an encoder of {IDS} or {FEATURES} that gives {STATES}: its inputs are {named}", hint=again)
    return takes


def _cache(used: tuple[Path, ...], first: Graph, later: Graph, again: str) -> tuple[tuple[Cached, ...], tuple[Cached, ...]]:
    """Return the cache of attention to the answer and to the input; raise InputError where pasts and presents do not pair."""
    inputs, gives = {entry.name: entry for entry in later.inputs}, {entry.name for entry in later.outputs}
    begins = {entry.name for entry in first.outputs}
    pasts = [name for name in inputs if name.startswith(PAST)]
    if not pasts:
        raise InputError(f"{used[-1]}: no {PAST}* among its inputs, so that no token could be generated", hint=again)
    is_merged = len(used) < 3
    if is_merged:
        _check_plain(used[1], later, {BRANCH, *pasts}, again)
    else:
        _check_plain(used[1], first, set(), again)
        _check_plain(used[2], later, set(pasts), again)
    if is_merged and BRANCH not in inputs:
        raise InputError(f"{used[-1]}: no {BRANCH} among its inputs, which tells how an answer is begun", hint=again)
    for name in pasts:
        present = name.replace(PAST, PRESENT, 1)
        if OWN not in name and CROSS not in name:
            raise InputError(f"{used[-1]}: {quoted(name)} is neither of the decoder nor of the encoder", hint=again)
        lacks = used[1] if present not in begins else used[-1] if OWN in name and present not in gives else None
        if lacks is not None:
            raise InputError(
                f"{lacks}: no output {quoted(present)}, which {quoted(name)} of {used[-1].name} is to be", hint=again
            )
    for name in sorted(name for name in begins | gives if name.startswith(PRESENT)):
        if name.replace(PRESENT, PAST, 1) not in inputs:
            past = name.replace(PRESENT, PAST, 1)
            raise InputError(f"{used[-1]}: no input {quoted(past)}, which would take {quoted(name)}", hint=again)
    own, cross = (tuple(_cached(used[-1], inputs[name], again) for name in pasts if side in name) for side in (OWN, CROSS))
    if not own or not cross:
        raise InputError(f"{used[-1]}: no {PAST}* of the {'encoder' if own else 'decoder'} among its inputs", hint=again)
    return own, cross


def _check_plain(path: Path, graph: Graph, taken: set[str], again: str) -> None:
    """Raise InputError where a decoder lacks tokens or logits, or asks for what it is not given: beside the usual only `taken`."""
    names, gives = {entry.name for entry in graph.inputs}, {entry.name for entry in graph.outputs}
    for name, what, there in ((IDS, "input", names), (LOGITS, "output", gives)):
        if name not in there:
            raise InputError(f"{path}: no {what} {name}", hint=again)
    others = sorted(names - DECODER_TAKES - taken)
    if others:
        raise InputError(f"{path}: its graph asks for {quoted(others[0])}, which is not known here", hint=again)


def _cached(path: Path, entry: GraphInput, again: str) -> Cached:
    heads, dimension = (_size(entry.shape[axis]) if len(entry.shape) == 4 else None for axis in (1, 3))
    if entry.dtype != "float32" or heads is None or dimension is None or heads > MOST_HEADS or dimension > MOST_WIDTH:
        raise InputError(
            f"{path}: {entry.name} is {entry.dtype} of sizes {str(entry.shape)[:80]}, not heads of 32-bit floats", hint=again
        )
    return Cached(entry.name, entry.name.replace(PAST, PRESENT, 1), heads, dimension)


def _frames(path: Path, takes: GraphInput, config: Values) -> tuple[int, int]:
    """Return the bins of sound and the frames of an input: as the graph has them, else as the configuration does."""
    if _reads(config) != "frames" or len(takes.shape) != 3:
        raise InputError(
            f"{path}: {FEATURES} of sizes {str(takes.shape)[:80]}, and of models that read sound only Whisper's are run here",
            hint="give a model that reads tokens, or a Whisper",
        )
    bins = _size(takes.shape[1]) or config.count("num_mel_bins", MOST_BINS)
    frames = _size(takes.shape[2]) or FRAMES_A_POSITION * _count(config, INPUT_POSITIONS, MOST_FRAMES)
    if bins > MOST_BINS or not FRAMES_A_POSITION <= frames <= MOST_FRAMES:
        raise InputError(
            f"{path}: {FEATURES} of {bins} bins and {frames} frames: no sound has so many, or so few", hint=SAVE_AGAIN
        )
    return bins, frames


def _vocabulary(path: Path, graph: Graph, config: Values) -> int:
    """Return how many logits a decoder gives."""
    logits: GraphOutput = next(entry for entry in graph.outputs if entry.name == LOGITS)
    found = (_size(logits.shape[2]) or config.count("vocab_size", MOST_VOCABULARY)) if len(logits.shape) == 3 else 0
    if not 1 <= found <= MOST_VOCABULARY:
        sizes = str(logits.shape)[:80]
        raise InputError(f"{path}: its logits have sizes {sizes}, not requests, tokens and vocabulary", hint=SAVE_AGAIN)
    return found


def _size(axis: int | str | None) -> int | None:
    """Return a size that a graph has for good, None for one that it leaves open."""
    return axis if isinstance(axis, int) and axis > 0 else None


def _digest(graphs: Iterable[Graph], folder: Path) -> str:
    """Return the SHA-256 of the graphs with their weights, and of the configurations beside them."""
    total = hashlib.sha256()
    for graph in graphs:
        total.update(graph.sha256.encode())
    for name in (CONFIG, GENERATION_CONFIG):
        if (folder / name).is_file():
            total.update((folder / name).read_bytes())
    return total.hexdigest()
