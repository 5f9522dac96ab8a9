"""A second opinion on latency: MLCommons' LoadGen sends Poisson arrivals to our server and reports what it saw by its own clock."""

import json
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from advisor.measure.model.facts import inspect_onnx
from advisor.measure.serving.server import Serve, Server
from tests import models

REQUESTS = 300
REQUESTS_PER_S = 100.0
LOOPS = 2000  # a call takes some milliseconds: long beside what a callback takes
QUANTILES = (0.5, 0.9, 0.99)
# LoadGen reads the clock that the time service adjusts, by up to 500 ppm: 1.5 ms in a run of 3 s.
CLOCKS_APART_S = 0.002
GIVE_UP_S = 60.0


class Sample(NamedTuple):
    """A request as LoadGen traced it; latency from the moment it was meant to be sent."""

    due_s: float  # on LoadGen's clock
    lag_s: float
    latency_s: float


class Run(NamedTuple):
    """The same requests in both accounts; all but LoadGen's own results are (requests,) in order of arrival."""

    results: dict[str, Any]  # by LoadGen's names
    samples: list[Sample]
    came_s: np.ndarray  # time.monotonic, as the next two
    done_s: np.ndarray
    told_s: np.ndarray  # LoadGen knew

    def due_s(self) -> np.ndarray:
        """Return LoadGen's schedule on our clock: no request came before it was sent, and the promptest came at once."""
        due_s, lag_s, _ = np.array(self.samples).T
        return due_s + (self.came_s - due_s - lag_s).min()

    def reported_s(self, quantile: float) -> float:
        """Return what LoadGen reports as this quantile of latency."""
        return float(self.results[f"result_{quantile:.2%}".rstrip("%") + "_percentile_latency_ns"]) / 1e9


def quantile_s(latency_s: np.ndarray, quantile: float) -> float:
    """Return the quantile as LoadGen picks it: one of the values, none in between."""
    return float(np.sort(latency_s)[int(len(latency_s) * quantile)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    loadgen = pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    folder = tmp_path_factory.mktemp("loadgen")
    path = models.save(models.loop(times=LOOPS), folder / "loop.onnx")
    server = Server(
        Serve(
            path=str(path),
            inputs=inspect_onnx(path, name="loop").inputs,
            intra_op_num_threads=1,
            instances=1,
            max_batch_size=4,
            max_queue_delay_s=0.002,
            requests=REQUESTS,
            seed=0,
        ),
        None,
    )
    server.warm_up()
    ids: list[int] = []
    came_s, told_s = np.full((2, REQUESTS), np.nan)

    def issue(queries: list[Any]) -> None:
        for query in queries:
            came_s[len(ids)] = time.monotonic()
            ids.append(query.id)
            server.arrive(len(ids) - 1)

    def tell(numbers: list[int]) -> None:
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(ids[number], 0, 0) for number in numbers])
        told_s[numbers] = time.monotonic()

    class Told(np.ndarray):
        """What is written here is told to LoadGen at once, by the thread that wrote it: a thread that looks has to be woken first."""

        def __setitem__(self, numbers: Any, done_s: Any) -> None:
            super().__setitem__(numbers, done_s)
            tell(numbers)

    done_s = server.done_s
    server.done_s = done_s.view(Told)
    # LoadGen waits for every answer: a server that has stopped is to fail the test, not to hang it.
    rescue = threading.Timer(GIVE_UP_S, lambda: tell(np.flatnonzero(np.isnan(told_s[: len(ids)])).tolist()))
    worker = threading.Thread(target=server.work, args=(0,))
    rescue.start()
    worker.start()
    _start(loadgen, issue, folder)
    server.close()
    worker.join()
    rescue.cancel()
    rescue.join()
    return Run(_results(folder), _samples(folder), came_s, done_s, told_s)


def _start(loadgen: Any, issue: Any, folder: Path) -> None:
    """Run the Server scenario to its end; its logs go to `folder`."""
    settings, logs = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.Server, loadgen.TestMode.PerformanceOnly
    settings.server_target_qps = REQUESTS_PER_S
    settings.server_target_latency_ns = int(GIVE_UP_S * 1e9)
    settings.min_query_count, settings.min_duration_ms = REQUESTS, 0
    logs.enable_trace = True
    logs.log_output.outdir, logs.log_output.copy_summary_to_stdout = str(folder), False
    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(1, 1, lambda samples: None, lambda samples: None)
    loadgen.StartTestWithLogSettings(system, library, settings, logs)
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)


def _results(folder: Path) -> dict[str, Any]:
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {entry["key"]: entry["value"] for entry in entries}


def _samples(folder: Path) -> list[Sample]:
    # Read line by line: as a whole the trace is no JSON, since some names in it are quoted twice.
    lines = (folder / "mlperf_log_trace.json").read_text().splitlines()
    began = [json.loads(line.rstrip(",")) for line in lines if '"name":"Sample"' in line and '"ph":"b"' in line]
    began.sort(key=lambda event: event["args"]["sample_seq"])
    return [Sample(e["ts"] / 1e6, e["args"]["issue_start_ns"] / 1e9, e["args"]["complete_ns"] / 1e9) for e in began]


def test_both_count_the_same_requests(run: Run) -> None:
    assert run.results["result_query_count"] == REQUESTS
    assert len(run.samples) == REQUESTS
    assert np.isfinite(run.done_s).sum() == REQUESTS


@pytest.mark.parametrize("quantile", QUANTILES)
def test_what_loadgen_reports_lies_between_the_answer_and_its_knowing(run: Run, quantile: float) -> None:
    # True however long the machine holds a thread up, since one moment causes the next.
    earliest_s = quantile_s(run.done_s - run.due_s(), quantile)
    latest_s = quantile_s(run.told_s - run.due_s(), quantile)

    assert earliest_s - CLOCKS_APART_S <= run.reported_s(quantile) <= latest_s + CLOCKS_APART_S


def test_both_clocks_time_each_request_alike(run: Run) -> None:
    latency_s = np.array(run.samples)[:, 2]

    assert (latency_s >= run.done_s - run.due_s() - CLOCKS_APART_S).all()
    assert (latency_s <= run.told_s - run.due_s() + CLOCKS_APART_S).all()
