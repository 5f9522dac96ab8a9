"""Arrays and tables of users with something wrong in them: .npz, CSV, JSON lines, parquet, traces, price books."""

import gzip
import io
import json
import zipfile
from random import Random
from typing import Any

import numpy as np

from parts.fuzz import mutation
from parts.fuzz.graphs import CLASSES, WIDTH

ITEMS = 24
DTYPES = ("<f4", "<f4", "<f4", "<f8", "<i8", "<i4", "|u1", "|b1", "<f2", ">f4", "<c8", "<U3", "|S2", "<M8[s]", "|O")
SHAPES = (
    (ITEMS, WIDTH),
    (ITEMS, WIDTH),
    (ITEMS,),
    (ITEMS, WIDTH, 1),
    (WIDTH, ITEMS),
    (),
    (0,),
    (0, WIDTH),
    (1, WIDTH),
    (ITEMS, 0),
)
# What a header may claim; no such array is in the file.
CLAIMS = ("(1099511627776,)", "(-1, 8)", "(8", "()", "(2.5, 8)", "(4611686018427387904, 4)", "('a',)", "None", f"({'1, ' * 40})")
PRICES = "provider,region,instance,term,usd_per_hour,date,source\n"
LAYOUTS = ("own", "karpenter", "skypilot", "gpuhunt", "neuron", "litellm", "openrouter")


def examples(random: Random) -> dict[str, np.ndarray]:
    """Return arrays as the small model reads them, with labels, or not quite so."""
    made = {"x": _array(random)}
    if random.random() < 0.8:
        made["label"] = _labels(random)
    if random.random() < 0.2:
        made[random.choice(("slice", "y", "", "x.npy", "../x", *mutation.TEXTS[:8]))] = _array(random)
    return made


def _array(random: Random) -> np.ndarray:
    is_shaped, is_typed = random.random() < 0.5, random.random() < 0.5
    shape, dtype = SHAPES[0] if is_shaped else random.choice(SHAPES), np.dtype(DTYPES[0] if is_typed else random.choice(DTYPES))
    if dtype.hasobject:
        return np.array([None, {"a": 1}, "x"], dtype=object)
    values = np.asarray(np.random.default_rng(random.randrange(100)).standard_normal(shape))
    if random.random() < 0.2 and values.size:
        values.flat[random.randrange(values.size)] = random.choice(mutation.FLOATS)
    with np.errstate(all="ignore"):
        return (
            values.astype(dtype)
            if dtype.kind in "fiubc"
            else np.full(shape, "a", dtype)
            if dtype.kind in "US"
            else np.zeros(shape, dtype)
        )


def _labels(random: Random) -> np.ndarray:
    labels = np.arange(random.choice((ITEMS, ITEMS, ITEMS - 1, 0, 1))) % CLASSES
    kind = random.randrange(6)
    if kind == 0:
        return labels.astype(float) + 0.5
    if kind == 1:
        return np.where(labels == 0, np.nan, labels)
    if kind == 2:
        return labels - 2
    if kind == 3:
        return labels * 10**12
    return labels if kind == 4 else np.array(3)


def npz(random: Random) -> bytes:
    """Return an archive of arrays; sometimes its headers claim what is not there, or its bytes are damaged."""
    file = io.BytesIO()
    save = np.savez if random.random() < 0.7 else np.savez_compressed
    save(file, allow_pickle=True, **examples(random))
    content = file.getvalue()
    kind = random.random()
    if kind < 0.15:
        return mutation.raw(random, content)
    return _with_claims(random, content) if kind < 0.45 else content


def _with_claims(random: Random, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w") as archive:
        for name in given.namelist():
            entry = given.read(name)
            head, tail = entry[:10], entry[10:]
            size = int.from_bytes(head[8:10], "little")
            header = tail[:size].decode("latin-1")
            if "'shape':" in header and random.random() < 0.7:
                start = header.index("'shape':") + 9
                header = header[:start] + random.choice(CLAIMS) + ", }\n"
            if random.random() < 0.2:
                header = header.replace("<f4", random.choice(("|O", "<f99", "<U1000000000", "")))
            coded = header.encode("latin-1")
            archive.writestr(name, head[:8] + len(coded).to_bytes(2, "little") + coded + tail[size:])
    return made.getvalue()


def npy(random: Random) -> bytes:
    """Return a lone array, which is no archive, whatever its name says."""
    file = io.BytesIO()
    np.save(file, _array(random), allow_pickle=True)
    return mutation.raw(random, file.getvalue()) if random.random() < 0.5 else file.getvalue()


def rows(random: Random) -> list[dict[str, Any]]:
    """Return rows as the small model reads them, some values out of place."""
    made = []
    for number in range(random.choice((ITEMS, ITEMS, 1, 0))):
        row: dict[str, Any] = {"x": [0.5] * WIDTH, "label": number % CLASSES}
        if random.random() < 0.05:
            row[random.choice((*row, "y"))] = mutation.value(random)
        if random.random() < 0.02:
            del row["x"]
        made.append(row)
    return made


def table(random: Random) -> dict[str, bytes]:
    """Return a table of examples under the name that says what it is."""
    listed, kind = rows(random), random.randrange(5)
    if kind == 0:
        text = "\n".join(json.dumps(row) for row in listed).encode(errors="surrogatepass")
        return {"data.jsonl": mutation.raw(random, text) if random.random() < 0.4 else text}
    if kind == 1:
        return {
            random.choice(("data.csv", "data.tsv")): _csv(random, [[*(f"x_{n}" for n in range(WIDTH)), "label"], *_cells(random)])
        }
    if kind == 2:
        text = "\n".join(json.dumps(row) for row in listed).encode(errors="surrogatepass")
        packed = gzip.compress(text, mtime=0)
        return {"data.jsonl.gz": mutation.raw(random, packed) if random.random() < 0.5 else packed}
    return {"data.parquet": _parquet(random)}


def _cells(random: Random) -> list[list[Any]]:
    return [[*(0.5 for _ in range(WIDTH)), number % CLASSES] for number in range(random.choice((ITEMS, ITEMS, 1, 0)))]


def _csv(random: Random, lines: list[list[Any]]) -> bytes:
    delimiter = random.choice((",", ",", ";", "\t"))
    for _ in range(random.choice((0, 1, 1, 3))):
        line = random.choice(lines)
        if line:
            line[random.randrange(len(line))] = random.choice((*mutation.TEXTS, *mutation.FLOATS, *mutation.INTEGERS))
    if random.random() < 0.1 and lines:
        lines[random.randrange(len(lines))].append("one more")
    text = random.choice(("\n", "\r\n")).join(delimiter.join(map(str, line)) for line in lines)
    content = text.encode(random.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1")), errors="replace")
    if random.random() < 0.1:
        content = mutation.raw(random, content)
    return gzip.compress(content, mtime=0) if random.random() < 0.05 else content


def _parquet(random: Random) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = (
        pa.float32(),
        pa.float32(),
        pa.int64(),
        pa.string(),
        pa.bool_(),
        pa.list_(pa.float32()),
        pa.list_(pa.float32(), WIDTH),
    )
    columns: dict[str, Any] = {}
    for name in random.choice((("x", "label"), ("x", "label"), ("x",), tuple(f"x_{n}" for n in range(WIDTH)), ("label",), ())):
        kind = random.choice(kinds)
        values: list[Any] = [_value_of(pa, kind, number) for number in range(random.choice((ITEMS, ITEMS, 0)))]
        if values and random.random() < 0.3:
            values[random.randrange(len(values))] = None
        columns[name] = pa.array(values, kind)
    sizes = {len(column) for column in columns.values()}
    if len(sizes) > 1:
        columns = {name: column for name, column in columns.items() if len(column) == max(sizes)}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return mutation.raw(random, file.getvalue()) if random.random() < 0.4 else file.getvalue()


def _value_of(pa: Any, kind: Any, number: int) -> Any:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return [0.5] * WIDTH
    if pa.types.is_string(kind):
        return "text"
    return bool(number % 2) if pa.types.is_boolean(kind) else number % CLASSES


def trace(random: Random) -> bytes:
    """Return recorded requests: times counted or by the clock, lengths or none, some lines out of place."""
    names = random.choice(
        (["arrival_s"], ["arrival_s", "sequence_length"], ["timestamp", "tokens"], ["TIMESTAMP", "ContextTokens"], ["a"])
    )
    start = random.choice((0.0, 0.0, 1_764_000_000.0, 1_764_000_000_000.0, -5.0))
    step = random.choice((0.01, 1.0, 0.0, 1e-9, 1e6))
    by_clock = random.random() < 0.2
    lines: list[list[Any]] = [list(names)]
    for number in range(random.choice((200, 200, 99, 1))):
        moment: Any = f"2026-11-22T08:{number // 60 % 60:02d}:{number % 60:02d}Z" if by_clock else start + step * number
        lines.append([moment, 1 + number % 50][: len(names)])
    if random.random() < 0.2:
        objects = [dict(zip(names, line, strict=False)) for line in lines[1:]]
        content = "\n".join(json.dumps(entry) for entry in objects).encode()
        return mutation.raw(random, content) if random.random() < 0.5 else content
    return _csv(random, lines)


def price_book(random: Random) -> bytes:
    """Return a price book in advisor's own columns, some cells out of place."""
    lines: list[list[Any]] = [PRICES.strip().split(",")]
    lines += [["aws", "us-east-1", f"g{number}.xlarge", "on-demand", 0.5 + number, "2026-11-01", "list"] for number in range(4)]
    lines.append(["own", "here", "l4", "on-demand", 0.7, "2026-11-01", "mine"])
    return _csv(random, lines)


def price_table(random: Random, layout: str) -> bytes:
    """Return a table in the layout of somebody who publishes prices, changed somewhere."""
    if layout == "own":
        return price_book(random)
    if layout == "karpenter":
        text = (
            b'var prices = map[string]map[string]float64{\n\t"us-east-1": {\n\t\t"g6.xlarge": 0.8, "g5.xlarge": 1.006,\n\t},\n}\n'
        )
        return mutation.raw(random, text, PRICES.encode())
    if layout == "skypilot":
        names = "InstanceType AcceleratorName AcceleratorCount vCPUs MemoryGiB Price SpotPrice Region".split()
        return _csv(
            random, [names, ["g6.xlarge", "L4", 1, 4, 16, 0.8, 0.3, "us-east-1"], ["g5.xlarge", "A10G", 1, 4, 16, 1.0, "", "eu"]]
        )
    if layout == "neuron":
        return _csv(random, [["Inst. Type", "On-Demand hourly rate"], ["Inf2.xlarge", 0.76], ["Trn1.2xlarge", 1.34]])
    trees: dict[str, Any] = {
        "gpuhunt": [{"instance_name": "g6.xlarge", "location": "us-east-1", "price": 0.8, "provider": "aws", "spot": False}],
        "litellm": {
            "gpt-x": {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6, "mode": "chat", "litellm_provider": "a"}
        },
        "openrouter": {"data": [{"id": "a/b", "pricing": {"prompt": "0.000001", "completion": "0.000004"}}]},
    }
    return mutation.as_json(random, mutation.tree(random, trees[layout]))


# A few requests as each of those writes them that `advisor trace` reads.
LOGS: dict[str, bytes] = {
    "nginx": b'1.2.3.4 - - [22/Nov/2026:08:00:00 +0000] "GET /a HTTP/1.1" 200 9 "-" "-" rt=0.004 1795334400.125\n' * 4,
    "k6": b'{"type":"Point","data":{"time":"2026-11-22T08:00:00.5+01:00","value":12.5},"metric":"http_req_duration"}\n' * 4,
    "locust": b"Timestamp,User Count,Type,Name,Total Request Count\n1795334400,1,,Aggregated,5\n1795334401,1,,Aggregated,9\n",
    "vllm": b'{"start_times": [0.5, 1.5, 2.25], "input_lens": [5, 9, 7], "output_lens": [3, 0, 1]}',
}
