"""The kinds of cases: for each a function that draws one, and how often it is drawn."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import yaml

from parts.fuzz import graphs, mutation, tables
from parts.fuzz.case import Case
from parts.fuzz.seeds import NOW, PORTFOLIO, WORKLOAD, Seeds

Draw = Callable[[Random, Seeds], Case]
FORMATS = ("text", "md", "html", "json")
# One metric a kind of answer; the last are none.
QUALITY = "quality: {{metric: {metric}, max_drop: 0.1, data: {data}}}\n"
METRICS = ("accuracy", "accuracy", "cosine", "f1", "mae", "nonsense", "own:metric")
OPTIONS = {
    "classify": ("--now", "--format", "--profile", "--rules", "-o"),
    "advise": ("--now", "--confidence", "--time-limit", "--max-uncertainty", "--rules", "-o"),
    "report": ("--format", "-o"),
    "hardware": ("--layout", "--date", "--import", "-o"),
}


class Corpus(NamedTuple):
    """How a kind of case is drawn; `weight`: how often, beside the others; those that are measured for seconds are rare."""

    draw: Draw
    weight: int


def _inspected(kind: str, files: dict[str, bytes], *more: str) -> Case:
    return Case(kind, ("inspect", "model.onnx", *more), files)


def _onnx_changed(random: Random, seeds: Seeds) -> Case:
    del seeds
    return _inspected("onnx_changed", graphs.changed(random))


def _onnx_drawn(random: Random, seeds: Seeds) -> Case:
    del seeds
    return _inspected("onnx_drawn", graphs.drawn(random))


def _onnx_bytes(random: Random, seeds: Seeds) -> Case:
    content = random.choice(graphs.KINDS)().SerializeToString()
    return _inspected("onnx_bytes", {"model.onnx": mutation.raw(random, content, seeds.model)})


def _onnx_init(random: Random, seeds: Seeds) -> Case:
    del seeds
    return Case("onnx_init", ("init", "model.onnx", "-o", "out/w.yaml"), graphs.changed(random))


def _onnx_profile(random: Random, seeds: Seeds) -> Case:
    del seeds
    return Case("onnx_profile", _profile(), graphs.changed(random))


def _profile(*more: str) -> tuple[str, ...]:
    return ("profile", "model.onnx", "-o", "out/profile.json", "--budget", "1", "--max-batch-size", "2", *more)


def _inputs(random: Random, seeds: Seeds) -> Case:
    kind = random.choice((tables.npz, tables.npz, tables.npy))
    return _inspected("npz_inputs", {"model.onnx": seeds.model, "x.npz": kind(random)}, "--inputs", "x.npz")


def _data(random: Random, seeds: Seeds) -> Case:
    files = {"data.npz": tables.npz(random)} if random.random() < 0.4 else tables.table(random)
    quality = QUALITY.format(metric=random.choice(METRICS), data=next(iter(files))).encode()
    files |= {"model.onnx": seeds.model, "w.yaml": WORKLOAD + quality}
    return Case("data", _profile("-w", "w.yaml"), files)


def _yaml(random: Random, content: bytes) -> bytes:
    """Return a YAML file with its keys and values changed, or its text."""
    if random.random() < 0.3:
        return mutation.raw(random, content, WORKLOAD)
    made = mutation.tree(random, yaml.safe_load(content))
    try:
        text: str = yaml.safe_dump(made, allow_unicode=True, sort_keys=False)
        return text.encode(errors="surrogatepass")
    except (yaml.YAMLError, RecursionError):
        return mutation.as_json(random, made)


def _workload(random: Random, seeds: Seeds) -> Case:
    content = _yaml(random, random.choice(seeds.workloads))
    files = {"w.yaml": content}
    if random.random() < 0.5:
        return Case("yaml_workload", ("classify", "w.yaml", "--now", NOW, "--format", random.choice(FORMATS)), files)
    return Case(
        "yaml_workload", ("advise", "profile.json", "-w", "w.yaml", "--now", NOW), files | {"profile.json": seeds.profile}
    )


def _portfolio(random: Random, seeds: Seeds) -> Case:
    others = [random.choice(seeds.scenarios) for _ in range(2)]
    files = {"p.yaml": PORTFOLIO, "w.yaml": others[0], "v.yaml": others[1]}
    name = random.choice(("p.yaml", "p.yaml", "w.yaml"))
    return Case("yaml_portfolio", ("portfolio", "p.yaml", "--now", NOW), files | {name: _yaml(random, files[name])})


def _rules(random: Random, seeds: Seeds) -> Case:
    content = random.choice(seeds.rules)
    name = yaml.safe_load(content)["id"]
    files = {f"rules/{name}.yaml": _yaml(random, content)}
    if random.random() < 0.5:
        return Case("yaml_rules", ("rules", "test", "rules", "--now", NOW), files)
    return Case("yaml_rules", ("classify", "w.yaml", "--rules", "rules", "--now", NOW), files | {"w.yaml": seeds.scenarios[0]})


def _json(random: Random, content: bytes) -> bytes:
    if random.random() < 0.2:
        return mutation.raw(random, content)
    known = json.loads(content)
    made = mutation.tree(random, known)
    if isinstance(made, dict) and random.random() < 0.95 and "schema_version" in known:
        made["schema_version"] = known["schema_version"]  # without it nothing else is looked at
    return mutation.as_json(random, made)


def _json_profile(random: Random, seeds: Seeds) -> Case:
    files = {"profile.json": _json(random, seeds.profile), "w.yaml": WORKLOAD}
    kind = random.randrange(4)
    if kind == 0:
        files["other.json"] = _of_another_machine(seeds.profile)
        return Case("json_profile", ("merge", "profile.json", "other.json", "-o", "out.json"), files)
    if kind == 1:
        files["w.yaml"] = random.choice(seeds.workloads)
        return Case("json_profile", ("classify", "w.yaml", "--profile", "profile.json", "--now", NOW), files)
    if kind == 2:
        files["w.yaml"] = seeds.workloads[1]
    return Case("json_profile", ("advise", "profile.json", "-w", "w.yaml", "--now", NOW), files)


def _of_another_machine(profile: bytes) -> bytes:
    known = json.loads(profile)
    known["sites"][0]["hardware"]["id"] = "another"
    return json.dumps(known).encode()


def _json_advice(random: Random, seeds: Seeds) -> Case:
    kind = random.choice(("advice", "advice", "offline_advice", "classification"))
    files = {"advice.json": _json(random, getattr(seeds, kind))}
    if random.random() < 0.1:
        return Case("json_advice", ("verify", "advice.json", "--seconds", "1"), files | {"profile.json": seeds.profile})
    return Case("json_advice", ("report", "advice.json", "--format", random.choice(FORMATS)), files)


def _journal(random: Random, seeds: Seeds) -> Case:
    lines = seeds.journal.split(b"\n")
    place = random.randrange(1, len(lines))
    if random.random() < 0.5 and lines[place].startswith(b"{"):
        lines[place] = _json(random, lines[place]).replace(b"\n", b" ")
    else:
        lines[place] = mutation.raw(random, lines[place])
    files = {"model.onnx": seeds.model, "killed.journal": b"\n".join(lines)}
    command = ("profile", "model.onnx", "--budget", "5", "--max-batch-size", "2", "-o", "killed.json")
    return Case("journal", command, files, frozenset({"killed.journal"}))


def _trace(random: Random, seeds: Seeds) -> Case:
    traffic = "traffic: {trace: trace.csv}\n"
    if random.random() < 0.1:
        columns = f"{{arrival: {random.choice(('arrival_s', 'a', 'timestamp'))}, unit: {random.choice(('s', 'ms', 'ns'))}}}"
        traffic = f"traffic: {{trace: trace.csv, columns: {columns}}}\n"
    workload = WORKLOAD.replace(b"traffic: {requests_per_s: 40, burstiness_cv: 1.5}\n", traffic.encode())
    files = {"w.yaml": workload, "trace.csv": tables.trace(random)}
    if random.random() < 0.5:
        return Case("csv_trace", ("classify", "w.yaml", "--now", NOW), files)
    return Case("csv_trace", ("advise", "profile.json", "-w", "w.yaml", "--now", NOW), files | {"profile.json": seeds.profile})


def _prices(random: Random, seeds: Seeds) -> Case:
    if random.random() < 0.3:
        workload = WORKLOAD.replace(b"allowed: [local]", b"allowed: [local, l4], prices: prices.csv")
        files = {"w.yaml": workload, "prices.csv": tables.price_book(random), "profile.json": seeds.profile}
        return Case("prices", ("advise", "profile.json", "-w", "w.yaml", "--now", NOW), files)
    layout = random.choice(tables.LAYOUTS)
    name = "prices.json" if layout in ("gpuhunt", "litellm", "openrouter") and random.random() < 0.8 else "prices.csv"
    command = ("hardware", "prices", "--import", name, "--layout", layout, "--now", NOW)
    return Case("prices", command, {name: tables.price_table(random, layout)})


def _compared(random: Random, seeds: Seeds) -> Case:
    kind = random.choice(("advice", "advice", "offline_advice"))
    files = {"old.json": getattr(seeds, kind), "new.json": getattr(seeds, kind), "policy.yaml": seeds.policy}
    name = random.choice(tuple(files))
    files[name] = _yaml(random, files[name]) if name == "policy.yaml" else _json(random, files[name])
    given = ("compare", "old.json", "new.json") if random.random() < 0.6 else ("gate", "new.json")
    return Case("compared", (*given, "--policy", "policy.yaml", "--format", random.choice(("md", "junit", "text"))), files)


def _logs(random: Random, seeds: Seeds) -> Case:
    source = random.choice(tuple(tables.LOGS))
    content = mutation.raw(random, tables.LOGS[source], seeds.policy)
    return Case("logs", ("trace", "log", "--from", random.choice((source, source, "csv"))), {"log": content})


def _options(random: Random, seeds: Seeds) -> Case:
    command = random.choice(tuple(OPTIONS))
    given: dict[str, tuple[str, ...]] = {
        "classify": ("w.yaml",),
        "advise": ("profile.json", "-w", "w.yaml"),
        "report": ("advice.json",),
        "hardware": ("prices",),
    }
    more: list[str] = []
    for name in random.sample(OPTIONS[command], random.randint(1, 2)):
        more += [name, _text(random)]
    files = {"w.yaml": seeds.workloads[0], "profile.json": seeds.profile, "advice.json": seeds.advice}
    return Case("options", (command, *given[command], *more), files)


def _text(random: Random) -> str:
    """Return what can stand on a command line, and names no place outside of the folder."""
    wanted: Any = random.choice((*mutation.TEXTS, *map(str, mutation.FLOATS), *map(str, mutation.INTEGERS)))
    text = wanted.replace("\x00", "").replace("/", "").replace("..", "") or "0"
    return "x" if text == "~" else text[:200]


CORPORA: dict[str, Corpus] = {
    "onnx_changed": Corpus(_onnx_changed, 22),
    "onnx_drawn": Corpus(_onnx_drawn, 14),
    "onnx_bytes": Corpus(_onnx_bytes, 8),
    "onnx_init": Corpus(_onnx_init, 3),
    "onnx_profile": Corpus(_onnx_profile, 1),
    "npz_inputs": Corpus(_inputs, 8),
    "data": Corpus(_data, 3),
    "yaml_workload": Corpus(_workload, 14),
    "yaml_portfolio": Corpus(_portfolio, 8),
    "yaml_rules": Corpus(_rules, 8),
    "json_profile": Corpus(_json_profile, 14),
    "json_advice": Corpus(_json_advice, 14),
    "journal": Corpus(_journal, 1),
    "csv_trace": Corpus(_trace, 10),
    "prices": Corpus(_prices, 10),
    "compared": Corpus(_compared, 8),
    "logs": Corpus(_logs, 4),
    "options": Corpus(_options, 6),
}
