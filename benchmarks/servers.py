"""Exported servers really started, and the latency that a client sees over HTTP beside the prediction.

    python benchmarks/servers.py [--json FILE] [--quick] [--model FILE] [--requests-per-s RATE] [--venv DIR]

The model is profiled and advised on for RATE, and what is advised is exported with `advisor export --to ort` and `--to ray-serve`. One
replica of each is started, and requests of one item are sent open loop, at Poisson times fixed beforehand, 1,000 of them (quick 300): a
latency counts from the moment a request was due. Before each server the same requests go to a handler of the same kind that reads a body
and answers nothing: what HTTP, JSON's transport and the client take by themselves. The prediction knows nothing of HTTP; what is over it
once the empty handler is taken off is what the server's own work adds. Tensors are sent in binary behind the JSON where a server takes them
(--json-tensors: as numbers in JSON, as simple clients do; an image takes longer to read so than to classify). Servers that are not
installed are left out with the reason: Ray and BentoML are looked for in --venv, then beside this Python.

Keys: `<server>_p50_s` and `<server>_p99_s` as measured over HTTP where <server> is ort, ray or bentoml; `<server>_p50_predicted_s` and
`<server>_p99_predicted_s`; `<server>_http_p50_s` and `<server>_http_p99_s` of the empty handler; `<server>_p99_over_predicted`;
`<server>_p99_over_http_s` (measured, less the empty handler, less the prediction); `<server>_lag_p99_s`, how late the client was;
`<server>_start_s` until it was ready; `<server>_failed` requests; `served_p50_s` and `served_p99_s` of a load test by advisor verify in the
same run, which has no HTTP: on a busy machine it is as far from the prediction as the others. Tables: `left_out`, by server the reason.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.files.records import write_record
from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.deploy.export import export
from advisor.steps.profile import profile
from advisor.steps.verify import verify
from harness import Figures, Size, Unknown, now, parsed, parser_of, save, show, silent

MODEL = Path(__file__).parents[1] / "examples" / "data" / "fashion_dscnn.onnx"
REQUESTS: dict[Size, int] = {"full": 1000, "quick": 300, "tiny": 20}
BUDGET_S: dict[Size, float] = {"full": 20.0, "quick": 8.0, "tiny": 0.3}
VERIFY_S: dict[Size, float] = {"full": 20.0, "quick": 8.0, "tiny": 1.0}
RATE: dict[Size, float] = {"full": 50.0, "quick": 50.0, "tiny": 50.0}
CONNECTIONS = 32
READY_S, PAUSE_S, GRACE_S = 90.0, 0.2, 15.0
LEAD_S = 0.5
WARM_UP = CONNECTIONS  # requests one after the other, and as many that open the connections, before those that are counted
FIGURES = ("p50_s", "p99_s", "p50_predicted_s", "p99_predicted_s", "http_p50_s", "http_p99_s", "p99_over_predicted")
MORE = ("p99_over_http_s", "lag_p99_s", "start_s", "failed")

EMPTY = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 1024

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
EMPTY_RAY = """
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

@serve.deployment(max_ongoing_requests=1024)
class Model:
    async def __call__(self, request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({})

app = Model.bind()
"""
EMPTY_BENTOML = """
from typing import Any
import bentoml

@bentoml.service
class Model:
    @bentoml.api
    def infer(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return []
"""


class Kind(NamedTuple):
    """A server: its name on the command line of `advisor export`, and how it and its empty twin are started and asked."""

    to: str
    program: str  # that has to be there
    command: Callable[[str, int], list[str]]  # of the program and the port, in the folder of the export
    empty: Callable[[str, int], tuple[dict[str, str], list[str]]]  # the files of the empty twin, and its command
    path: Callable[[str], str]  # of the model's name
    body: (
        Callable[[dict[str, Any]], dict[str, Any]] | None
    )  # of a request of the Open Inference Protocol in JSON; None: or in binary


def _infer(name: str) -> str:
    return f"/v2/models/{name}/infer"


KINDS = {
    "ort": Kind(
        "ort",
        sys.executable,
        lambda program, port: [program, "serve.py", "--port", str(port)],
        lambda program, port: ({"empty.py": EMPTY}, [program, "empty.py", str(port)]),
        _infer,
        None,
    ),
    "ray": Kind(
        "ray-serve",
        "serve",
        lambda program, port: [program, "run", "app:app"],
        lambda program, port: ({"app.py": EMPTY_RAY}, [program, "run", "app:app"]),
        _infer,
        None,
    ),
    "bentoml": Kind(
        "bentoml",
        "bentoml",
        lambda program, port: [program, "serve", "service:Model", "--port", str(port)],
        lambda program, port: ({"service.py": EMPTY_BENTOML}, [program, "serve", "service:Model", "--port", str(port)]),
        lambda name: "/infer",
        lambda request: {"requests": [request]},
    ),
}
BINARY_HEADER = "Inference-Header-Content-Length"
RAYS_PORT = 8000  # `serve run` takes none


class Post(NamedTuple):
    """A request over HTTP."""

    path: str
    headers: dict[str, str]
    body: bytes


class Seen(NamedTuple):
    """What a client saw: latencies from when requests were due, how late it sent them, and how many failed."""

    latency_s: np.ndarray
    lag_s: np.ndarray
    failed: int


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="an ONNX file of one pass whose items are floats or integers")
    parser.add_argument("--requests-per-s", type=float, help="the traffic that is advised on")
    parser.add_argument("--venv", type=Path, help="an environment with ray[serve] or bentoml, and with onnxruntime and numpy")
    parser.add_argument("--json-tensors", action="store_true", help="send tensors as numbers in JSON to every server")
    parser.add_argument("--only", nargs="+", choices=tuple(KINDS), default=tuple(KINDS), help="these servers alone")
    asked = parsed(parser)
    figures: Figures = {}
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        advice = _advised(asked, folder)
        for name in asked.only:
            found = _tried(name, KINDS[name], advice, folder, asked)
            if isinstance(found, str):
                left_out[name] = found
                print(f"{name} is left out: {found}", flush=True)
                found = {f"{name}_{key}": Unknown(found) for key in (*FIGURES, *MORE)}
            figures |= found
        figures |= _without_http(folder, asked.size)
    show(figures)
    save(asked.json, asked.size, figures, left_out=left_out)


def _advised(asked: Namespace, folder: Path) -> Advice:
    rate = asked.requests_per_s or RATE[asked.size]
    workload = folder / "workload.yaml"
    price = "hardware: {price_usd_per_hour: {local: 0.17}}"
    workload.write_text(f"name: over HTTP\ntraffic: {{requests_per_s: {rate}}}\nslo: {{latency_s: 1 s}}\n{price}\n")
    options = ProfileOptions(workload=workload, budget_s=BUDGET_S[asked.size], max_batch_size=8)
    profile(asked.model, folder / "profile.json", options, now=now(), report=silent)
    advice = advise_on(folder / "profile.json", workload, now=now())
    if not isinstance(advice, Advice):
        raise SystemExit("give a model of one pass")
    write_record(folder / "advice.json", advice)
    print(advice.headline, flush=True)
    return advice


def _without_http(folder: Path, size: Size) -> Figures:
    """Return what the advisor's own server and load generator show of the advice, which have no HTTP between them."""
    verified = verify(folder / "advice.json", None, wanted_s=VERIFY_S[size], now=now(), report=silent)
    tests = verified.load_tests if isinstance(verified, Advice) else ()
    if not tests:
        return dict.fromkeys(("served_p50_s", "served_p99_s"), Unknown("what is advised was not load-tested"))
    return {"served_p50_s": tests[0].latency_p50_s.value, "served_p99_s": tests[0].latency_p99_s.value}


def _tried(name: str, kind: Kind, advice: Advice, folder: Path, asked: Namespace) -> Figures | str:
    """Return the figures of a server, or why it was not started."""
    program = _program(kind.program, asked.venv)
    if program is None:
        return f"{kind.program} is not installed; name an environment that has it with --venv"
    prediction = advice.recommended or advice.likely
    if prediction is None:
        return "nothing is advised"
    place = folder / name
    made = export(folder / "advice.json", kind.to, place, most_likely=True)
    rate = advice.mean_requests_per_s / prediction.candidate.replicas
    ports = [RAYS_PORT, RAYS_PORT] if name == "ray" else [_free_port(), _free_port()]
    twin = folder / f"{name}-empty"
    twin.mkdir()
    files, command = kind.empty(program, ports[0])
    for file, content in files.items():
        (twin / file).write_text(content)
    post = _post(place, kind, asked.json_tensors)
    ask = partial(_asked, post, rate, REQUESTS[asked.size])
    print(f"{name}: {made.variant}, {len(made.files)} files", flush=True)
    try:
        with _running(command, twin, ports[0], post):
            empty = ask(ports[0])
        with _running(kind.command(program, ports[1]), place, ports[1], post) as start_s:
            seen = ask(ports[1])
    except TimeoutError as error:
        return str(error)
    return _figures(name, seen, empty, prediction.latency_p50_s.value, prediction.latency_p99_s.value, start_s)


def _figures(name: str, seen: Seen, empty: Seen, p50_s: float, p99_s: float, start_s: float) -> Figures:
    if not len(seen.latency_s) or not len(empty.latency_s):
        return {f"{name}_{key}": Unknown("no request was answered") for key in (*FIGURES, *MORE)}
    measured, http_only = (np.quantile(it.latency_s, (0.5, 0.99)) for it in (seen, empty))
    values = (measured[0], measured[1], p50_s, p99_s, http_only[0], http_only[1], measured[1] / p99_s)
    more = (measured[1] - http_only[1] - p99_s, np.quantile(seen.lag_s, 0.99), start_s, seen.failed)
    return {f"{name}_{key}": float(value) for key, value in zip((*FIGURES, *MORE), (*values, *more), strict=True)}


def _program(name: str, venv: Path | None) -> str | None:
    if os.sep in name:
        return name
    places = [venv / "bin"] if venv is not None else []
    found = (shutil.which(name, path=str(place)) for place in (*places, Path(sys.executable).parent))
    return next((path for path in found if path), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _post(place: Path, kind: Kind, as_json: bool) -> Post:
    """Return a request with the first of the exported items."""
    told: dict[str, Any] = {}
    exec((place / "session.py").read_text().partition("FOLDER = ")[0], told)
    with np.load(place / "items.npz") as items:
        tensors = [items[f"0.input.{number}"] for number in range(len(told["INPUTS"]))]
    entries: list[dict[str, Any]] = [
        {"name": entry["name"], "datatype": entry["datatype"], "shape": list(values.shape)}
        for entry, values in zip(told["INPUTS"], tensors, strict=True)
    ]
    path, headers = kind.path(told["NAME"]), {"Content-Type": "application/json"}
    if kind.body is None and not as_json:
        for entry, values in zip(entries, tensors, strict=True):
            entry["parameters"] = {"binary_data_size": values.nbytes}
        text = json.dumps({"inputs": entries, "parameters": {"binary_data_output": True}}).encode()
        headers = {"Content-Type": "application/octet-stream", BINARY_HEADER: str(len(text))}
        return Post(path, headers, b"".join((text, *(values.tobytes() for values in tensors))))
    for entry, values in zip(entries, tensors, strict=True):
        entry["data"] = values.ravel().tolist()
    request = {"inputs": entries}
    return Post(path, headers, json.dumps(kind.body(request) if kind.body is not None else request).encode())


@contextmanager
def _running(command: list[str], folder: Path, port: int, post: Post) -> Iterator[float]:
    """Start a server in its folder and yield how long it took until it answered; raise TimeoutError where it does not."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    environment |= {"PYTHONPATH": str(folder), "RAY_USAGE_STATS_ENABLED": "0", "BENTOML_DO_NOT_TRACK": "True"}
    if _answers(port, post):
        raise TimeoutError(f"another server is at port {port} already")
    started = time.monotonic()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while not _answers(port, post):
            if process.poll() is not None or time.monotonic() - started > READY_S:
                lines = (folder / "server.log").read_text(errors="replace").strip().splitlines()
                raise TimeoutError(f"it did not start: {lines[-1][:200] if lines else 'it said nothing'}")
            time.sleep(PAUSE_S)
        start_s = time.monotonic() - started
        for _ in range(WARM_UP):
            _answers(port, post)
        yield start_s
    finally:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # those that it started
            os.killpg(process.pid, signal.SIGKILL)


def _answers(port: int, post: Post) -> bool:
    """Return whether a request is answered."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)) as connection:
        try:
            return _posted(connection, post)
        except (OSError, http.client.HTTPException):
            return False


def _posted(connection: http.client.HTTPConnection, post: Post) -> bool:
    connection.request("POST", post.path, post.body, post.headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200


def _asked(post: Post, rate: float, requests: int, port: int) -> Seen:
    """Send the requests at their times, each over the connection that is free; return what was seen of all but the first ones."""
    requests += WARM_UP
    due_s = np.cumsum(np.random.default_rng(0).exponential(1 / rate, requests)) + LEAD_S
    sent_s, done_s = np.full(requests, np.nan), np.full(requests, np.nan)
    numbers, lock = iter(range(requests)), threading.Lock()
    start_s = time.monotonic()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            time.sleep(max(0.0, start_s + due_s[number] - time.monotonic()))
            sent_s[number] = time.monotonic() - start_s
            try:
                if _posted(connection, post):
                    done_s[number] = time.monotonic() - start_s
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    due_s, sent_s, done_s = (times[WARM_UP:] for times in (due_s, sent_s, done_s))
    answered = ~np.isnan(done_s)
    return Seen((done_s - due_s)[answered], sent_s - due_s, int((~answered).sum()))


if __name__ == "__main__":
    main()
