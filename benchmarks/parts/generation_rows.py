"""Rows of published measurements of language models -> the runs that they are of, and the rows that are of none, each with the reason.

The columns are those of benchmarks/data/generation_rows.csv.gz. A run is what was done, not what came of it: a batch whose prompts are
read and answered together, requests that come at a rate, clients that ask again when they are answered, or single steps.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.schema.catalog import Hardware
from advisor.schema.language import KvPrecision, WeightPrecision
from parts.validation_rows import number

DATA = Path(__file__).parents[1] / "data" / "generation_rows.csv.gz"
CONFIGS = Path(__file__).parents[1] / "data" / "configs"
Kind = Literal["static", "steps", "open", "closed", "speculation"]
Figure = Literal["itl", "ttft", "e2e", "tokens"]
SAME = 1.1  # two figures of one row that are further apart contradict each other
# What the rows call devices of the catalog, where the catalog's own reading of names does not find them.
DEVICES = {
    "3090_24gb": "rtx3090",
    "4090_24gb": "rtx4090",
    "a100_pcie_80gb": "a100_80_pcie",
    "a100_sxm_80gb": "a100_80_sxm",
    "a40_48gb": "a40",
    "b200_sxm": "b200",
    "b300_sxm": "b300",
    "gb200_nvl72": "gb200",
    "h100": "h100_sxm",
    "h100_pcie_80gb": "h100_pcie",
    "h200": "h200_sxm",
    "l40s_48gb": "l40s",
    "mi250": "mi250x",
    "rtx_6000_ada_48gb": "rtx6000ada",
    "rtx_pro_6000_server": "rtxpro6000",
}
# Publishers whose prompts and answers are of random lengths, from this share of the length that they name.
SHORTEST = {"inferencemax": 0.8, "inferencex": 0.8}
YES = {"yes", "true", "1"}
NOTHING = {"", "-", "n/a", "na", "nan", "nil", "none", "null"}
# Beyond this many at once the rest waits whatever the engine does.
MOST_AT_ONCE = 16_384
LONGEST = 100_000_000
TIMES = ("ttft_ms", "itl_ms", "tpot_mean_ms", "ttft_p50_ms", "tpot_p50_ms", "e2e_mean_ms", "latency_p50_ms")
PER_DEVICE = re.compile(r"(/|per )\s*(gpu|device|accelerator|chip)")
# "8xMi300x 2FP8-amd": two copies of the model.
COPIES = re.compile(r"\dx\S+ ([2-8])(?:FP8|BF16|FP16|INT4)")
# Of the name of a model, what says how it was tuned or stored.
TUNED = re.compile(
    r"-(instruct|chat|hf|base|it|bf16|fp8|fp4|nvfp4|mxfp4|int4|awq|gptq|w4a16|static|dynamic|quantized|pertensor|kv|preview|\d{4})$"
)
# Cards that a system shows as two devices: a row that counts devices counts halves.
HALVES = {"mi250", "mi250x"}
WEIGHTS: tuple[tuple[str, WeightPrecision], ...] = (
    ("mxfp4", "fp4"),
    ("nvfp4", "fp4"),
    ("fp4", "fp4"),
    ("fp8", "fp8"),
    ("int4", "int4"),
    ("awq", "int4"),
    ("gptq", "int4"),
    ("w4a16", "int4"),
    ("q4_", "int4"),
    ("bf16", "bf16"),
    ("bfloat16", "bf16"),
    ("fp16", "bf16"),
    ("f16", "bf16"),
)


class Measured(NamedTuple):
    """One figure that was published of a run, in seconds or tokens a second; `quantile` is None for the mean."""

    figure: Figure
    quantile: float | None
    value: float


class Run(NamedTuple):
    """What was done; `measured` is what came of it."""

    row: str
    source: str
    kind: Kind
    model: str  # as `model_key` spells it
    device: str  # as the row calls it
    hardware: Hardware | None  # None: the source does not say, and speculation is judged without
    engine: str
    tensor_parallel: int
    replicas: int
    weights: WeightPrecision
    kv: KvPrecision
    input_tokens: int
    output_tokens: int
    batch: int  # of one replica
    requests_per_s: float | None
    clients: int | None
    conversations: int | None  # that come again and again, one request of each at a time
    token_budget: int | None
    shortest: float  # lengths lie evenly between this share of those above and the whole
    draft_tokens: int
    acceptance: float | None
    measured: tuple[Measured, ...]
    # Whether the published time between tokens is the whole latency over all tokens.
    itl_holds_first: bool

    @property
    def alike(self) -> tuple[object, ...]:
        """What two rows have in common that differ by their device alone."""
        return (
            *(self.source, self.kind, self.model, self.engine, self.tensor_parallel, self.replicas, self.weights, self.kv),
            *(
                self.input_tokens,
                self.output_tokens,
                self.shortest,
                self.batch,
                self.requests_per_s,
                self.clients,
                self.token_budget,
            ),
        )


class LeftOut(NamedTuple):
    """A row that is not judged."""

    row: str
    source: str
    reason: str


class Unusable(Exception):
    """Why a row is of no run that can be simulated."""


def usable_runs(rows: Iterable[Mapping[str, str]]) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs of the rows whose `usable` is yes, or which do not have it, and what was left out of these.

    A column that is missing is an empty one. Rows without an id of their own get the number of their line.
    """
    runs, left_out = [], []
    ids: set[str] = set()
    for line, each in enumerate(rows, start=2):
        row = _cells(each)
        if (row["usable"] or "yes").lower() not in YES:
            continue
        name = row["row_id"]
        row["row_id"] = name if name and name not in ids else f"{name or 'line'} {line}"
        ids.add(row["row_id"])
        try:
            runs.append(run_of(row))
        except Unusable as error:
            left_out.append(LeftOut(row["row_id"], row["source"], str(error)))
    return runs, left_out


def _cells(row: Mapping[str, str]) -> defaultdict[str, str]:
    """Return what the cells of a row say, "" for those that say nothing."""
    told = ((name, value.strip()) for name, value in row.items() if isinstance(name, str) and isinstance(value, str))
    return defaultdict(str, {name: value for name, value in told if value.lower() not in NOTHING})


def run_of(row: Mapping[str, str]) -> Run:
    """Return the run that a row is of; raise Unusable where it is of none that can be simulated."""
    row = _cells(row)
    if row["family"].startswith("MLPerf"):
        raise Unusable("the row does not say how a submission is set up: degree, precision and how many requests run are its own")
    if not row["model"]:
        raise Unusable("the model is not named")
    if (_count(row["pp"]) or 1) > 1:
        raise Unusable("layers are divided over devices (pipeline-parallel)")
    if (row["mode"] or "agg") != "agg":
        raise Unusable("prompts are read on other devices than answers are written on")
    if row["dp_attention"].lower() in {*YES, "1.0"}:
        raise Unusable("attention is data-parallel beside experts that are not")
    scenario = row["scenario"].lower()
    kind = _kind(row, scenario)
    device = re.sub(r"[^a-z0-9_.]+$", "", row["hardware_id"].lower()) or row["hardware"].lower()
    if "capped" in device:
        raise Unusable("a cap on the power is not modelled")
    if not device and kind != "speculation":
        raise Unusable("the device is not named")
    hardware = None if kind == "speculation" else _hardware(device)
    weights, kv = precisions(row["precision"], row["kv_dtype"])
    tensor_parallel = _count(row["tp"])
    devices = _count(row["n_accel"]) or tensor_parallel or 1
    tensor_parallel = min(tensor_parallel or 1, devices)
    if (copies := COPIES.search(row["hardware"])) and devices % int(copies[1]) == 0:
        # Of a machine that serves a model more than once each copy has its part.
        tensor_parallel = min(tensor_parallel, devices // int(copies[1]))
    if "layer split" in row["parallelism"]:
        # One after the other they are as fast as one of them.
        devices = tensor_parallel = 1
    replicas = max(devices // tensor_parallel, 1)
    batch = _count(row["batch"]) or 1
    found = Run(
        row=row["row_id"],
        source=row["source"],
        kind=kind,
        model=model_key(row["model"]),
        device=device,
        hardware=hardware,
        engine=engine_of(row["framework"]),
        tensor_parallel=tensor_parallel,
        replicas=replicas,
        weights=weights,
        kv=kv,
        input_tokens=_count(row["isl_or_seqlen"]) or 0,
        output_tokens=_count(row["osl"]) or 0,
        batch=-(-batch // replicas) if kind == "static" else batch,
        requests_per_s=number(row["request_rate"]),
        clients=_clients(row, scenario) if kind == "closed" else None,
        conversations=_conversations(scenario),
        token_budget=_count(row["max_batched_tokens"]),
        shortest=_shortest(row, scenario),
        draft_tokens=_count(row["spec_k"]) or 0,
        acceptance=number(row["spec_alpha"]),
        measured=(),
        itl_holds_first="inference-perf" in scenario,
    )
    _check(found)
    measured = _measured(row, found)
    if not measured:
        raise Unusable("nothing was published that is judged here")
    return found._replace(measured=measured)


def _kind(row: Mapping[str, str], scenario: str) -> Kind:
    if row["spec_method"]:
        if number(row["spec_alpha"]) is None or not _count(row["spec_k"]):
            raise Unusable("tokens are drafted, and how many are accepted is not published")
        return "speculation"
    if number(row["prefill_ms"]) or number(row["decode_step_ms"]):
        return "steps"
    if "static batch" in scenario:
        return "static"
    if "closed loop" in scenario or "max concurrency" in scenario:
        return "closed"
    if "open loop" in scenario:
        if number(row["request_rate"]) is None:
            raise Unusable("the rate of the requests is not published")
        return "open"
    # What else was served so many at a time, with times of its requests, was a closed loop.
    if any(number(row[time]) for time in TIMES) and number(row["request_rate"]) is None and _clients(row, scenario):
        return "closed"
    raise Unusable(f"a run of the kind {row['scenario']!r} is not simulated")


def _check(run: Run) -> None:
    if not run.input_tokens or not (run.output_tokens or run.kind == "steps"):
        raise Unusable("the lengths of prompts and answers are not published")
    if run.kind == "closed" and not run.clients:
        raise Unusable("how many requests run side by side is not published")
    if max(run.input_tokens, run.output_tokens) > LONGEST:
        raise Unusable(f"no model reads or writes more than {LONGEST:,} tokens")
    if max(run.batch, run.clients or 0) > MOST_AT_ONCE:
        raise Unusable(f"no engine serves more than {MOST_AT_ONCE:,} requests at once")
    if run.acceptance is not None and run.acceptance > 1:
        raise Unusable("what is accepted of a draft is no share of it")


def _hardware(device: str) -> Hardware:
    found = _in_catalog(device)
    if found is None:
        raise Unusable(f"{device} is not in the catalog")
    return found


@cache
def _in_catalog(device: str) -> Hardware | None:
    try:
        plain = device.replace("-", "_")
        found = read_device(DEVICES.get(plain, plain))
    except InputError:
        return None
    if device not in HALVES or found.memory_bytes is None or found.memory_bandwidth_bytes_per_s is None:
        return found
    return msgspec.structs.replace(
        found,
        memory_bytes=found.memory_bytes / 2,
        memory_bandwidth_bytes_per_s=found.memory_bandwidth_bytes_per_s / 2,
        peak_flop_per_s={precision: rate / 2 for precision, rate in found.peak_flop_per_s.items()},
    )


def precisions(text: str, kv_text: str) -> tuple[WeightPrecision, KvPrecision]:
    """Return the precision of weights and cache that a row names; what names none was run as the model comes, in 16 bits."""
    told = text.lower()
    weights_text, _, cache_text = told.partition("kv")
    if not told.strip():
        weights: WeightPrecision | None = "bf16"
    else:
        weights = next((precision for word, precision in WEIGHTS if word in weights_text), None)
    if weights is None:
        raise Unusable(f"weights of {text!r} are not modelled")
    cache_text = kv_text.lower() or cache_text or (weights_text if weights_text.rstrip().endswith("(fp8") else "")
    if "int8" in cache_text or "int4" in cache_text:
        raise Unusable(f"a cache of {cache_text.strip(' =')} is not modelled")
    return weights, "fp8" if "fp8" in cache_text else "bf16"


def engine_of(framework: str) -> str:
    """Return the engine and its age, in the words of the step model: what a step takes beside its kernels has changed with both."""
    told = framework.lower()
    if "tensorrt" in told or "trt" in told:
        # What was fitted are releases of early 2024, which do not say theirs.
        release = re.search(r"(?:llm|trt)\D{0,3}(\d+)\.(\d+)", told)
        is_new = (int(release[1]), int(release[2])) >= (0, 12) if release else bool(re.search(r"202[5-9]", told))
        return "tensorrt-llm-2025" if is_new else "tensorrt-llm"
    if "deepspeed" in told:
        return "deepspeed"
    if "llama.cpp" in told:
        return "llama.cpp"
    if "sglang" in told:
        return "vllm"
    if "vllm" not in told:
        raise Unusable(f"{framework or 'what is not named'} is no engine that is modelled")
    if "isca24" in told or "2023" in told:
        return "vllm-2023"
    version = re.search(r"vllm (\d+)\.(\d+)", told)
    # Its scheduler was written anew with 0.8, of early 2025; attention that reads keys once for all their queries came to AMD
    # with 0.6, of autumn 2024.
    numbered = (int(version[1]), int(version[2])) if version else (0, 0)
    if numbered >= (0, 8) or re.search(r"v1|202[5-9]", told):
        return "vllm"
    return "vllm-2024-11" if numbered >= (0, 6) or re.search(r"(sep|oct|nov|dec)[a-z]* 2024", told) else "vllm-2024"


def model_key(name: str) -> str:
    """Return a model's name without what does not bear on its shape: who publishes it, what it was tuned for, its precision."""
    key = name.lower().replace("--", "/").rpartition("/")[2].removesuffix("_config").removeprefix("meta-")
    key = re.sub(r"^llama-?(\d)_(\d)", r"llama-\1.\2", re.sub(r"^llama-?(?=\d)", "llama-", key))
    key = re.sub(r"^llama-7b$", "llama-1-7b", key)
    while (shorter := TUNED.sub("", key)) != key:
        key = shorter
    return key


def config_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the configurations of the folders by the key of their model; of several of one model the one with the shortest name."""
    paths = sorted((path for folder in folders for path in folder.glob("*.json")), key=lambda path: (-len(path.stem), path.stem))
    return {model_key(path.stem): path for path in paths}


def _clients(row: Mapping[str, str], scenario: str) -> int | None:
    told = re.search(r"concurrency\D{0,3}(\d{1,9})", scenario)
    return _count(row["concurrency_or_qps"]) or _count(row["mean_concurrency"]) or (int(told[1]) if told else None)


def _conversations(scenario: str) -> int | None:
    """Return how many conversations go on, of "(9x5, ...)" or "(11 system prompts x4 users, ...)"."""
    told = re.search(r"\((\d+)[a-z ]*x ?(\d+)", scenario)
    return int(told[1]) * int(told[2]) if told and "multi-turn" in scenario else None


def _shortest(row: Mapping[str, str], scenario: str) -> float:
    """Return the least of random lengths, over the length that is named; 1 where all are alike."""
    told = re.search(r"range[ _-]?ratio\D{0,3}(0?\.\d+)", f"{scenario} {row['quality_flag'].lower()}")
    return float(told[1]) if told else next((share for name, share in SHORTEST.items() if name in row["source"].lower()), 1.0)


def _measured(row: Mapping[str, str], run: Run) -> tuple[Measured, ...]:
    """Return what was published of the run, as far as it is judged."""
    if run.kind == "static":
        return (Measured("tokens", None, _batch_tokens_per_s(row, run)),)
    if run.kind == "steps":
        columns: dict[tuple[Figure, float | None], str] = {("ttft", None): "prefill_ms", ("itl", None): "decode_step_ms"}
    else:
        columns = {
            ("ttft", None): "ttft_ms",
            ("ttft", 0.5): "ttft_p50_ms",
            ("ttft", 0.9): "ttft_p90_ms",
            ("ttft", 0.99): "ttft_p99_ms",
            ("e2e", None): "e2e_mean_ms",
            ("e2e", 0.5): "latency_p50_ms",
            ("e2e", 0.9): "latency_p90_ms",
            ("e2e", 0.99): "latency_p99_ms",
            ("itl", None): "itl_ms" if run.kind == "open" or not row["tpot_mean_ms"] else "tpot_mean_ms",
            ("itl", 0.5): "tpot_p50_ms",
            ("itl", 0.99): "tpot_p99_ms",
        }
    found = [
        Measured(figure, quantile, value / 1e3)
        for (figure, quantile), column in columns.items()
        if (value := number(row[column])) is not None
    ]
    speed, unit = number(row["throughput"]), row["throughput_unit"].lower()
    if run.kind == "closed" and speed is not None and "token" in unit:
        each = run.tensor_parallel * run.replicas if PER_DEVICE.search(unit) else 1
        found.append(Measured("tokens", None, speed * each * _outputs_of(unit, run)))
    return tuple(found)


def _batch_tokens_per_s(row: Mapping[str, str], run: Run) -> float:
    """Return the tokens a second of the batch of one replica, read and written."""
    latency_ms, speed = number(row["latency_avg_ms"]), number(row["throughput"])
    if latency_ms is None:
        raise Unusable("the latency of the batch is not published")
    tokens, whole = run.input_tokens + run.output_tokens, _count(row["batch"]) or 1
    if speed is not None and "token" in row["throughput_unit"]:
        told = speed * _outputs_of(row["throughput_unit"].lower(), run) * tokens / run.output_tokens
        if not 1 / SAME < told / (whole * tokens / (latency_ms / 1e3)) < SAME:
            raise Unusable("throughput and latency of the row contradict each other")
    return run.batch * tokens / (latency_ms / 1e3)


def _outputs_of(unit: str, run: Run) -> float:
    """Return the share of the tokens of a throughput that were written."""
    is_total = "input" in unit or "total tokens" in unit
    return run.output_tokens / (run.input_tokens + run.output_tokens) if is_total else 1.0


def _count(text: str) -> int | None:
    value = number(text)
    return None if value is None else round(value)
