"""The process that times a variant: what it measures is the model, and what goes wrong in it stays in it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import msgspec
import numpy as np
import onnx
import psutil
import pytest

from advisor.measure.model import input_rows
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.runtime import ort_session
from advisor.measure.worker import output_file, process
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Load, Loaded, Predict, Predicted, Time, Timed
from tests import models
from tests.models import WIDTH, save


@pytest.fixture
def worker():
    with WorkerProcess() as started:
        yield started


def children():
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has just ended
            found += [child] if "advisor.measure.worker.process" in child.cmdline() else []
    return found


def load(path, *, rows=None):
    given = None if rows is None else input_rows.read_npz(rows, "--inputs")
    facts = inspect_onnx(path, name="model", rows=given)
    return Load(path=str(path), inputs=facts.inputs, rows=str(rows) if rows else None, seed=0), facts


def timing(*, batch_size=1, sequence_length=None, threads=1, instances=1, seconds=0.01):
    return Time(
        batch_size=batch_size,
        sequence_length=sequence_length,
        intra_op_num_threads=threads,
        instances=instances,
        seconds=seconds,
        min_calls=3,
        warm_up_calls=1,
    )


def predicted(worker, request, folder, *, items, batch_size, rows=None, sequence_length=None):
    worker.ask(request, Loaded)
    target = folder / "outputs.npz"
    worker.ask(
        Predict(
            rows=str(rows) if rows else None,
            items=items,
            batch_size=batch_size,
            sequence_length=sequence_length,
            target=str(target),
        ),
        Predicted,
    )
    return output_file.read(target)


# --- timing ----------------------------------------------------------------------------------------------------------------


def test_loading_takes_time(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))

    assert worker.ask(request, Loaded).load_s > 0


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_instance_makes_at_least_the_calls_it_was_asked_for(worker, tmp_path, instances, batch_size):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    timed = worker.ask(timing(batch_size=batch_size, instances=instances, seconds=0.0), Timed)

    assert 3 * instances == len(timed.latency_s)
    assert min(timed.latency_s) > 0


def test_calls_go_on_for_as_long_as_they_were_asked_to(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    # Long enough for a process that loses its core meanwhile.
    assert 3 < len(worker.ask(timing(seconds=0.5), Timed).latency_s)


def test_what_disturbed_a_visit_is_reported_or_unknown(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    timed = worker.ask(timing(instances=2), Timed)

    assert all(value is None or value >= 0 for value in (timed.run_delay_s, timed.involuntary_switches, timed.steal_s))
    assert timed.core_hop_s is None
    assert timed.peak_memory_bytes > 0


@pytest.mark.parametrize(("threads", "instances"), [(1, 1), (1, 2), (2, 1)])
def test_the_waiting_of_each_call_is_shorter_than_the_call_and_left_out_where_none_waited(worker, tmp_path, threads, instances):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    timed = worker.ask(timing(threads=threads, instances=instances, seconds=0.05), Timed)

    assert not timed.waited_s or len(timed.latency_s) == len(timed.waited_s)
    assert all(0 <= waited < latency for latency, waited in zip(timed.latency_s, timed.waited_s or (), strict=False))
    assert (timed.waited_s is None) == (not os.access("/proc/thread-self/schedstat", os.R_OK))


def test_the_distance_between_cores_is_reported_of_several_threads(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    hop_s = worker.ask(timing(threads=2), Timed).core_hop_s

    assert hop_s is None or hop_s > 0


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system does not let a process forget its peak")
def test_memory_that_only_the_users_data_took_is_forgotten(worker, tmp_path):
    rows, values = tmp_path / "rows.npz", np.zeros((2_000_000, WIDTH), np.float32)
    np.savez(rows, x=values)
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)
    before = worker.ask(timing(), Timed).peak_memory_bytes
    predicted(worker, request, tmp_path, items=1, batch_size=1, rows=rows)

    assert worker.ask(timing(), Timed).peak_memory_bytes < before + values.nbytes / 2


def test_a_model_is_timed_on_the_users_own_items(worker, tmp_path):
    rows = tmp_path / "rows.npz"
    np.savez(rows, input_ids=np.random.default_rng(0).integers(0, models.VOCABULARY, (3, 20)))
    request, _ = load(save(models.embedding(), tmp_path / "model.onnx"), rows=rows)
    worker.ask(request, Loaded)

    for length in (None, 5, 40):
        assert worker.ask(timing(batch_size=4, sequence_length=length), Timed).latency_s


def test_a_model_that_holds_much_memory_keeps_no_sessions_but_those_at_work(tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    inside = process.Worker(request)
    inside.time(timing(threads=1, instances=2, seconds=0.0))
    small = len(inside.sessions)

    held = np.ones(process.KEPT_BYTES, np.uint8)  # by this process, as weights would be
    inside.time(timing(threads=2, seconds=0.0))

    assert (2, 1) == (small, len(inside.sessions)) and held[0]
    assert {id(session) for session in inside.sessions.values()} == set(inside.pools)


def test_large_inputs_are_not_made_four_times(tmp_path):
    model = models.build(f"(float[n, {WIDTH}] mask) => (float[n, {WIDTH}] y) {{ y = Relu(mask) }}")
    request, _ = load(save(model, tmp_path / "model.onnx"))
    inside = process.Worker(request)
    most = process.FEED_BYTES // (4 * WIDTH)

    assert [4, 2, 1] == [len(inside._distinct(timing(batch_size=size))) for size in (1, most // 2, most)]


# --- predicting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build", [models.mlp, models.lstm, models.embedding, models.decoder, models.batch_mean, models.fixed_reshape, models.forest]
)
def test_outputs_are_those_of_each_item_run_alone(worker, tmp_path, build):
    path = save(build(), tmp_path / "model.onnx")
    request, facts = load(path)
    # Nineteen items: the last batch is smaller than the others.
    size = 8 if facts.batching.possible else 1
    outputs = predicted(worker, request, tmp_path, items=19, batch_size=size)

    session = ort_session.open_session(path)
    for start in (0, 8, 16):
        feeds = input_rows.generate(request.inputs, batch_size=min(size, 19 - start), sequence_length=None, seed=start)
        first = {
            entry.name: feeds[entry.name].take([0], axis=entry.batch_axis) if entry.batch_axis is not None else feeds[entry.name]
            for entry in request.inputs
        }
        for name, expected in ort_session.run(session, first).items():
            assert 19 == len(outputs[name])
            np.testing.assert_allclose(expected.ravel(), outputs[name][start].ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_own_items_are_predicted_in_their_order(worker, tmp_path, batch_size):
    path, rows = save(models.mlp(), tmp_path / "model.onnx"), tmp_path / "rows.npz"
    values = np.random.default_rng(0).standard_normal((11, WIDTH)).astype(np.float32)
    np.savez(rows, x=values)
    request, _ = load(path)

    outputs = predicted(worker, request, tmp_path, items=11, batch_size=batch_size, rows=rows)

    expected = ort_session.run(ort_session.open_session(path), {"x": values})["logits"]
    np.testing.assert_allclose(expected, outputs["logits"], rtol=1e-4, atol=1e-5)


def test_own_items_of_a_model_for_one_item_are_all_predicted(worker, tmp_path):
    path, rows = save(models.mlp(batch="1"), tmp_path / "model.onnx"), tmp_path / "rows.npz"
    values = np.random.default_rng(0).standard_normal((5, WIDTH)).astype(np.float32)
    np.savez(rows, x=values)
    request, _ = load(path)

    outputs = predicted(worker, request, tmp_path, items=5, batch_size=1, rows=rows)

    session = ort_session.open_session(path)
    expected = [ort_session.run(session, {"x": values[[row]]})["logits"][0] for row in range(5)]
    np.testing.assert_allclose(expected, outputs["logits"], rtol=1e-4, atol=1e-5)


def test_labels_that_are_texts_stay_texts(worker, tmp_path):
    request, _ = load(save(models.forest(names=("cat", "dog", "emu")), tmp_path / "model.onnx"))

    outputs = predicted(worker, request, tmp_path, items=9, batch_size=8)

    assert set(outputs["output_label"]) <= {"cat", "dog", "emu"}
    assert (9, 3) == outputs["output_probability"].shape


def test_outputs_that_differ_in_shape_are_a_list_with_an_array_for_each_item(worker, tmp_path):
    path, rows = save(models.detector(), tmp_path / "model.onnx"), tmp_path / "rows.npz"
    values = np.random.default_rng(0).standard_normal((9, WIDTH)).astype(np.float32)
    np.savez(rows, x=values)
    request, _ = load(path)

    outputs = predicted(worker, request, tmp_path, items=9, batch_size=1, rows=rows)["detections"]

    session = ort_session.open_session(path)
    expected = [ort_session.run(session, {"x": values[[row]]})["detections"] for row in range(9)]
    assert len({len(found) for found in expected}) > 1
    for one, other in zip(expected, outputs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("multiples", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_model_that_takes_so_many_items_gives_each_its_own_output(worker, tmp_path, multiples, batch_size):
    path = save(models.only_in_batches_of(4, multiples=multiples), tmp_path / "model.onnx")
    rows, values = tmp_path / "rows.npz", np.random.default_rng(0).standard_normal((11, WIDTH)).astype(np.float32)
    np.savez(rows, x=values)
    request, facts = load(path)

    outputs = predicted(
        worker, request, tmp_path, items=11, batch_size=min(batch_size, facts.batching.largest or batch_size), rows=rows
    )

    weights = onnx.numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    np.testing.assert_allclose(values @ weights, outputs["y"], rtol=1e-4, atol=1e-5)


def test_a_model_that_takes_one_number_of_items_is_asked_for_no_other(tmp_path, monkeypatch):
    path = save(models.only_in_batches_of(4, multiples=False), tmp_path / "model.onnx")
    request, facts = load(path)
    asked = []
    call = ort_session.run

    def watched(session, feeds):
        asked.append(len(feeds["x"]))
        return call(session, feeds)

    monkeypatch.setattr(ort_session, "run", watched)
    worker = process.Worker(msgspec.structs.replace(request, largest=facts.batching.largest))
    worker.predict(Predict(rows=None, items=4, batch_size=1, sequence_length=None, target=str(tmp_path / "out.npz")))

    assert {4} == set(asked)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_rows_of_all_items_joined_are_parted_again(worker, tmp_path, batch_size):
    request, _ = load(save(models.rows_joined(), tmp_path / "model.onnx"))
    rows, ids = tmp_path / "rows.npz", np.random.default_rng(0).integers(0, 50, size=(6, 5))
    np.savez(rows, input_ids=ids)

    outputs = predicted(worker, request, tmp_path, items=6, batch_size=batch_size, rows=rows)

    session = ort_session.open_session(tmp_path / "model.onnx")
    expected = [ort_session.run(session, {"input_ids": ids[[row]]})["logits"] for row in range(6)]
    np.testing.assert_allclose(expected, outputs["logits"], rtol=1e-4, atol=1e-5)


# --- what goes wrong -------------------------------------------------------------------------------------------------------


def test_a_call_that_fails_is_an_error_and_the_worker_goes_on(worker, tmp_path):
    request, _ = load(save(models.batch_limit(limit=3), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)

    with pytest.raises(WorkerError, match="the model fails on the given inputs"):
        worker.ask(timing(batch_size=4, instances=2), Timed)
    assert worker.ask(timing(batch_size=3), Timed).latency_s


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100)], ids=["deleted", "cut short"])
def test_a_file_that_cannot_be_loaded_is_an_error_that_names_it(worker, tmp_path, damage):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    damage(tmp_path / "model.onnx")

    with pytest.raises(WorkerError, match=rf"{tmp_path}/model\.onnx"):
        worker.ask(request, Loaded)


def test_nothing_can_be_timed_before_something_is_loaded(worker):
    with pytest.raises(WorkerError, match="nothing is loaded"):
        worker.ask(timing(), Timed)


def killing(times, signal_, seen):
    """Kill so many of the children, one after the other, each some time after it was started."""
    for _ in range(times):
        while not (new := [child.pid for child in children() if child.pid not in seen]):
            time.sleep(0.01)
        time.sleep(0.3)
        seen += new
        os.kill(new[0], signal_)


def test_a_worker_that_was_killed_once_is_started_again_and_asked_the_same(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)
    (child,) = children()
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but left for its parent to notice

    assert worker.ask(timing(), Timed).latency_s
    assert child.pid not in {other.pid for other in children()}


@pytest.mark.parametrize(
    ("signal_", "words"),
    [(signal.SIGKILL, "killed by SIGKILL, out of memory perhaps"), (signal.SIGSEGV, "killed by SIGSEGV, an access to memory")],
)
def test_a_worker_that_dies_twice_in_the_middle_of_a_call_is_an_error_at_once(worker, tmp_path, signal_, words):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)
    killer = threading.Thread(target=killing, args=(2, signal_, []))
    killer.start()

    with pytest.raises(WorkerError, match=rf"its process died \({words}.*\), as it did before"):
        worker.ask(timing(seconds=3600.0), Timed)
    killer.join()


def test_a_model_that_never_answers_is_given_up(worker, tmp_path):
    request, _ = load(save(models.loop(), tmp_path / "model.onnx"))
    save(models.endless(), tmp_path / "model.onnx")
    worker.ask(request, Loaded)

    with pytest.raises(WorkerError, match="no reply within 1 s"):
        worker.ask(timing(), Timed, patience_s=1.0)


def test_a_worker_can_be_started_again_after_anything(worker, tmp_path):
    request, _ = load(save(models.mlp(), tmp_path / "model.onnx"))
    worker.ask(request, Loaded)
    (killed,) = children()
    os.kill(killed.pid, signal.SIGKILL)

    worker.restart()

    worker.ask(request, Loaded)
    assert worker.ask(timing(), Timed).latency_s
    assert killed.pid not in {child.pid for child in children()}


def test_no_worker_outlives_its_context():
    before = {child.pid for child in children()}

    with pytest.raises(KeyboardInterrupt), WorkerProcess():
        assert before < {child.pid for child in children()}
        raise KeyboardInterrupt

    assert before == {child.pid for child in children()}


def test_an_interrupt_from_the_keyboard_does_not_reach_the_worker(worker):
    (child,) = children()

    assert os.getsid(0) != os.getsid(child.pid)


# Starts a worker whose pipe another process holds open as well, says both numbers, and waits to be killed.
PARENT = """\
import os, subprocess, sys, time
from advisor.measure.worker.client import WorkerError, WorkerProcess
from advisor.measure.worker.process import Time, Timed
worker = WorkerProcess()
holder = subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL, pass_fds=[worker._child._requests.fileno()])
asked = dict(batch_size=1, sequence_length=None, intra_op_num_threads=1, instances=1)
try:
    worker.ask(Time(**asked, seconds=0, min_calls=1, warm_up_calls=0), Timed)
except WorkerError:  # it has begun to listen, and nothing is loaded
    print(worker._child._process.pid, holder.pid, flush=True)
time.sleep(100)
"""


def test_a_worker_ends_with_a_parent_that_is_killed_though_nothing_says_so_to_it():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        worker, holder = map(psutil.Process, map(int, parent.stdout.readline().split()))
        parent.kill()

    _, left = psutil.wait_procs([worker], timeout=60)
    holder.kill()
    assert [] == [process for process in left if process.status() != psutil.STATUS_ZOMBIE]
