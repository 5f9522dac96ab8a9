"""A model -> the workload file to start from, and a script that makes the data on which its quality is measured."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from advisor.disk.writing import check_new, write_new
from advisor.inert.text import inert
from advisor.measure.quality.evaluation import LABELS
from advisor.measure.quality.texts import tokenizer_beside
from advisor.schema.generation import DecoderFacts
from advisor.schema.model import ModelFacts, ModelInput
from advisor.steps.generation.dispatch import inspect
from advisor.units import count, size

FILL_IN = "FILL_IN"  # no number: a file in which one is left is refused with its key
SET_ONCE = ("scalar", "state", "count")  # roles of inputs that hold no items of the user's
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*\.npz")  # what YAML takes for a text without quotes

WORKLOAD = """\
# How {model} is served: what `advisor recommend {path} -w {file}` asks for.
# REQUIRED: fill in every {fill_in}. All else is optional, an example, or a default: keep it, change it or delete it.
# Numbers are in seconds, USD and fractions, or have a unit: 50 ms, 40 /s, 5 %. Paths are relative to this file.
# All keys: the documentation (workload.md), or `advisor classify --help`.

name: {name}

# REQUIRED. Requests a second, on average over the day. Or recorded requests: traffic: {{trace: requests.csv}}
traffic: {{requests_per_s: {fill_in}}}

# REQUIRED. How soon a request has to be answered, and which part of them: 0.99 is the p99.
slo: {{latency_s: {fill_in}, quantile: 0.99}}

# REQUIRED. What an hour of this machine costs, in USD; 0.34 is an example of a small cloud machine.
hardware: {{allowed: [local], price_usd_per_hour: {{local: {fill_in}}}}}
{lengths}
{quality}
# What runs today, to know what a change saves (an example).
# baseline: {{max_batch_size: 1, replicas: 2}}

# How long it will run and how traffic grows, to weigh serving against training (an example).
# lifecycle: {{horizon_months: 12, growth_per_month: 0.05}}
"""

TOKENS = """\
# How {model} is served, token by token: what `advisor recommend {path} -w {file}` asks for.
# A {architecture} of {parameters} parameters: {context} tokens of context, {each} of KV cache a token.
# REQUIRED: fill in every {fill_in}. All else is optional, an example, or a default: keep it, change it or delete it.
# Numbers are in seconds, USD and fractions, or have a unit: 150 ms, 40 /s, 5 %. Paths are relative to this file.
# All keys: the documentation (workload.md), or `advisor classify --help`.

name: {name}

# REQUIRED. Requests a second, on average over the day. Or recorded requests with their tokens: traffic: {{trace: requests.csv}}
traffic: {{requests_per_s: {fill_in}}}

# shared_prefix: how many tokens of a prompt are the same in every request. A trace that has the tokens takes the place of all this.
# REQUIRED. Tokens of prompts and of answers: the median, and what 95 % of them stay below.
tokens: {{input: {{p50: {fill_in}, p95: {fill_in}}}, output: {{p50: {fill_in}, p95: {fill_in}}}, shared_prefix: 0}}

# One of the times is enough: for the first token (ttft_s), for each later one (tpot_s), for all of them (latency_s).
# REQUIRED. How soon tokens have to be there, and which part of the requests has to keep that: 0.9 is the p90.
slo: {{ttft_s: {fill_in}, tpot_s: {fill_in}, quantile: 0.9}}

# REQUIRED. What an hour of this machine costs, in USD; 0.34 is an example of a small cloud machine.
hardware: {{allowed: [local], price_usd_per_hour: {{local: {fill_in}}}}}

{quality}# What runs today, to know what a change saves (an example).
# baseline: {{replicas: 2}}
"""

TEXT = """\
# The quality floor: by how much the perplexity of a text of yours may rise in a smaller form of the model. Without it only what loses
# nothing is advised. Some thousand words as the service reads and writes them; remove the # of the line below.
# quality: {metric: perplexity, max_drop: 0.05, data: text.txt}

"""

LENGTHS = """
# REQUIRED. How long requests are, in tokens or frames: the median, and what 95 % of them stay below, as {p50: 32, p95: 128}
inputs: {sequence_length: {p50: FILL_IN, p95: FILL_IN}}
"""

QUALITY = """
# The quality floor: a faster variant may lose at most max_drop. Without it only what loses nothing is advised.
# {way}
# quality: {{metric: {metric}, max_drop: 0.01, data: {data}}}
"""

SCRIPT = '''\
"""Make {named}: the examples on which advisor measures what a variant of {model} loses. Fill in `examples`."""

import zipfile

import numpy as np


def examples():
    """Yield the inputs of one item, as the model gets them when it serves, and what is true of it: the number of its class."""
    raise SystemExit("fill in examples() first: yield inputs and label of some hundreds of items that no training has seen")
    yield {{
{inputs}
    }}, 0


{constants}
rows, labels = zip(*examples())
arrays = {{name: np.stack([row[name] for row in rows], axis=AXIS[name]) for name in rows[0]}} | {{"{label}": np.array(labels)}}
with zipfile.ZipFile(DATA, "w") as archive:  # as numpy.savez does, whatever the inputs are called
    for name, values in arrays.items():
        with archive.open(f"{{name}}.npy", "w") as member:
            np.lib.format.write_array(member, values, allow_pickle=False)
print(f"{{DATA}}: {{len(labels)}} items")
'''


class Written(NamedTuple):
    """What was written; `script` is None where no labels are needed."""

    workload: Path
    script: Path | None


def init(model: Path, workload: Path) -> Written:
    """Write the workload file and, for a model that tells classes apart, the script for its data; refuse to overwrite either.

    That of a decoder asks for tokens, and for how soon they have to come.
    """
    script = workload.with_name(f"make_{workload.stem}_data.py")
    for path in (workload, script):
        check_new(path)
    facts = inspect(model, None)
    if isinstance(facts, DecoderFacts):
        write_new(workload, _for_tokens(model, workload, facts).encode())
        return Written(workload, None)
    has_classes = any(output.has_classes for output in facts.outputs)
    data = f"{workload.stem}-data.npz"
    quality = _quality(model, facts, script, data) if has_classes else _agreement(data)
    text = WORKLOAD.format(
        model=inert(facts.name),
        path=inert(str(model)),
        file=inert(str(workload)),
        name=_as_yaml(Path(facts.name).stem),
        fill_in=FILL_IN,
        lengths=LENGTHS if any(entry.sequence_axis is not None for entry in facts.inputs) else "",
        quality=quality,
    )
    write_new(workload, text.encode())
    if has_classes:
        write_new(script, _script(facts, data).encode())
    return Written(workload, script if has_classes else None)


def _for_tokens(model: Path, workload: Path, facts: DecoderFacts) -> str:
    """Return the workload file of a decoder."""
    name = model.resolve().name
    return TOKENS.format(
        model=inert(name),
        path=inert(str(model)),
        file=inert(str(workload)),
        name=_as_yaml(name),
        architecture=inert(facts.architecture),
        parameters=count(facts.parameters),
        context=f"{facts.context_tokens:,}",
        each=size(facts.kv_bytes_per_token),
        quality=TEXT if facts.encoder is None else "",  # which answers an input: a text alone says nothing of it
        fill_in=FILL_IN,
    )


def _quality(model: Path, facts: ModelFacts, script: Path, data: str) -> str:
    way = f"Fill in {inert(script.name)}, run it beside this file, and remove the # of the line below."
    if any(entry.role == "ids" for entry in facts.inputs) and tokenizer_beside(model) is not None:
        way += " Or name a table of texts: columns text and label."
    return QUALITY.format(way=way, metric="accuracy", data=_as_yaml(data))


def _agreement(data: str) -> str:
    way = "Store some hundreds of items, an array for each input of the model, with numpy.savez, and remove the # of the line below."
    return QUALITY.format(way=way, metric="cosine", data=_as_yaml(data))


def _script(facts: ModelFacts, data: str) -> str:
    asked = [entry for entry in facts.inputs if entry.role not in SET_ONCE]
    label = next((name for name in LABELS if name not in {entry.name for entry in facts.inputs}), LABELS[0])
    axes = {entry.name: entry.batch_axis or 0 for entry in asked}
    return SCRIPT.format(
        named=_in_docstring(data),
        model=_in_docstring(facts.name),
        inputs="\n".join(f"        {_line(entry)}" for entry in asked),
        label=label,
        constants=f"DATA = {data!r}\nAXIS = {axes!r}  # along which each input holds its items",
    )


def _line(entry: ModelInput) -> str:
    """Return the line of an example: the name of the input, and zeros in the shape and type that one item has."""
    axis = entry.batch_axis if entry.batch_axis is not None or entry.shape[:1] != (1,) else 0
    shape = tuple(size for place, size in enumerate(entry.example_shape) if place != axis)
    values = f"np.full({shape}, 'a text')" if entry.dtype == "string" else f"np.zeros({shape}, np.{entry.dtype})"
    ranges = f", whole numbers below {entry.upper_bound}" if entry.role == "ids" and entry.upper_bound else ""
    free = ", all items of one length" if entry.sequence_axis is not None else ""
    return f"{entry.name!r}: {values},  # {entry.role}{ranges}{free}"


def _as_yaml(name: str) -> str:
    """Return a name as YAML reads it as that text, whatever characters a file's name has."""
    shown = inert(name)
    if shown != name:
        return json.dumps(name)  # which YAML reads, too, and has an escape for everything
    return name if PLAIN.fullmatch(name) else "'" + name.replace("'", "''") + "'"


def _in_docstring(name: str) -> str:
    return inert(name).replace("\\", "\\\\").replace('"', '\\"')
