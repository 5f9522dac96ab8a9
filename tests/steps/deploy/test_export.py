"""Advice exported for real: the folder starts, answers as the model does, and takes the place of nothing but an older export."""

import contextlib
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor import cli
from advisor.errors import InputError
from advisor.files.records import read_json, to_json, write_record
from advisor.measure.model import onnx_graph
from advisor.schema.advice import RunsOn
from advisor.schema.deploy.export import Export
from advisor.steps.deploy import export as step
from advisor.steps.deploy.export import MANIFEST
from advisor.tell.deploy.targets import TARGETS, VLLM
from tests import models
from tests.processes import SHARED
from tests.profiles import facts
from tests.tell.advice_examples import change
from tests.tell.documents import job
from tests.tell.generation_examples import BUILDERS as GENERATION
from tests.tell.language_examples import chat_elsewhere

CLASSES, WIDTH = models.CLASSES, models.WIDTH
PATIENCE_S = 60


def export(*asked, **named):
    return step.export(*asked, apart=SHARED, **named)


def advice_on(path, **candidate):
    """Advice to serve the file, a network of two layers, whose inputs and outputs are called x and logits."""
    made = change()
    model = facts(has_length=False)
    model = replace(
        model,
        inputs=(replace(model.inputs[0], shape=("batch", WIDTH), example_shape=(1, WIDTH)),),
        outputs=(replace(model.outputs[0], name="logits", shape=("batch", CLASSES)),),
    )
    sha256 = onnx_graph.read_graph(path).sha256
    variants = tuple(replace(row, path=path.name, sha256=sha256) for row in made.variants)
    asked = {"intra_op_num_threads": 1, "instances": 2, "max_batch_size": 4, "max_queue_delay_s": 0.05} | candidate
    best = replace(made.recommended, candidate=replace(made.recommended.candidate, **asked))
    return replace(made, model=model, variants=variants, recommended=best)


@pytest.fixture
def place(tmp_path):
    """A folder with a model and the advice to serve it."""
    path = models.save(models.mlp(), tmp_path / "mlp.onnx")
    write_record(tmp_path / "advice.json", advice_on(path))
    return tmp_path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export for ONNX Runtime of a model with its weights beside it."""
    folder = tmp_path_factory.mktemp("exported")
    path = models.save_with_external_data(models.mlp(), folder / "mlp.onnx")
    write_record(folder / "advice.json", advice_on(path))
    export(folder / "advice.json", "ort", folder / "out")
    return folder / "out"


def module(path):
    """The module with the sessions, loaded where it lies."""
    spec = importlib.util.spec_from_file_location(f"session_of_{path.parent.name}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def expected(folder, rows):
    session = onnxruntime.InferenceSession(str(folder / "model" / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})[0]


def environment():
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


# --- what is exported starts ---------------------------------------------------------------------------------------------


def test_the_session_opens_and_answers_as_the_model_that_was_given(exported):
    ran = subprocess.run(
        [sys.executable, "session.py"],
        cwd=exported,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "the smallest cosine with the model as given is 1.0" in ran.stdout and "on 4 items" in ran.stdout


def request_of(rows):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}]}


def posted(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body) if not isinstance(body, bytes) else body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def in_binary(rows, *, datatype="FP32", size=None):
    """A request with its tensor behind the JSON, and the bytes of the JSON: the protocol's binary tensor data extension."""
    raw = rows.tobytes()
    entry = {"name": "x", "datatype": datatype, "shape": list(rows.shape)}
    entry |= {"parameters": {"binary_data_size": len(raw) if size is None else size}}
    text = json.dumps({"inputs": [entry], "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}).encode()
    return text + raw, str(len(text))


def test_the_server_answers_requests_that_share_a_batch_and_refuses_others_with_the_reason(exported):
    rows = [np.random.default_rng(seed).standard_normal((1 + seed % 2, WIDTH)).astype(np.float32) for seed in range(12)]
    command = [sys.executable, "serve.py", "--port", "0"]
    with subprocess.Popen(command, cwd=exported, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().split()[1]
            port, path = int(address.split(":")[2].partition("/")[0]), "/" + address.split("/", 3)[3]
            with ThreadPoolExecutor(len(rows)) as pool:
                answers = list(pool.map(lambda values: posted(port, path, request_of(values)), rows))
            refused = [
                posted(port, path, body)
                for body in (
                    b"{",
                    {"inputs": []},
                    {"inputs": 1},
                    request_of(np.zeros((1, WIDTH + 1))),
                    request_of(np.zeros((9, WIDTH))),
                )
            ]
            elsewhere = posted(port, "/", request_of(rows[0]))
            body, json_size = in_binary(rows[1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            with contextlib.closing(connection):
                connection.request("POST", path, body, {"Inference-Header-Content-Length": json_size})
                answer = connection.getresponse()
                json_size, binary = int(answer.headers["Inference-Header-Content-Length"]), answer.read()
        finally:
            server.terminate()
        assert "stopped" in server.stdout.read()

    assert [200] * len(rows) == [status for status, _ in answers]
    for values, (_, answer) in zip(rows, answers, strict=True):
        [output] = answer["outputs"]
        assert ("logits", "FP32", [len(values), CLASSES]) == (output["name"], output["datatype"], output["shape"])
        np.testing.assert_allclose(
            expected(exported, values), np.array(output["data"], np.float32).reshape(output["shape"]), rtol=1e-4, atol=1e-5
        )
    assert [400] * 5 == [status for status, _ in refused] and all(answer["error"] for _, answer in refused)
    assert 404 == elsewhere[0]
    [output] = json.loads(binary[:json_size])["outputs"]
    assert {"binary_data_size": len(binary) - json_size} == output["parameters"] and "data" not in output
    np.testing.assert_allclose(
        expected(exported, rows[1]), np.frombuffer(binary[json_size:], np.float32).reshape(output["shape"]), rtol=1e-4, atol=1e-5
    )


@pytest.fixture(scope="module")
def session(exported):
    return module(exported / "session.py")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_texts_in_binary_are_those_that_were_sent_and_written_as_triton_writes_them(session, texts):
    triton = pytest.importorskip("tritonclient.utils")
    raw = triton.serialize_byte_tensor(np.array(texts, dtype=object)).item()

    assert texts == list(session._texts(memoryview(raw)))
    assert raw == session._bytes(np.array(texts, dtype=object))


@given(st.integers(1, 4), st.data())
def test_a_tensor_in_binary_is_the_one_that_was_sent_and_a_body_that_is_cut_is_refused(session, count, data):
    rows = np.random.default_rng(count).standard_normal((count, WIDTH)).astype(np.float32)
    body, json_size = in_binary(rows)
    cut = data.draw(st.integers(0, len(body) - 1))

    item, binary = session.read_request(body, json_size)

    assert {"logits"} == binary
    np.testing.assert_array_equal(rows, item["x"])
    with pytest.raises(ValueError):
        session.read_request(body[:cut], json_size)
    with pytest.raises(ValueError, match="belong to no input"):
        session.read_request(body + b"1", json_size)


@pytest.mark.parametrize(
    ("size", "said"), [(-1, "are left"), ("8", "are left"), (10**9, "are left"), (3, "belong to no input"), (1.5, "are left")]
)
def test_a_size_that_is_not_that_of_the_tensor_is_refused_by_the_name_of_the_input(session, size, said):
    body, json_size = in_binary(np.zeros((1, WIDTH), np.float32), size=size)

    with pytest.raises(ValueError, match=said):
        session.read_request(body, json_size)


@pytest.mark.parametrize("json_size", ["-1", "1000000", "1e3", "", "\u0662"])
def test_a_header_that_is_no_size_of_the_body_is_refused(session, json_size):
    body, _ = in_binary(np.zeros((1, WIDTH), np.float32))

    with pytest.raises(ValueError):
        session.read_request(body, json_size)


@pytest.mark.parametrize(
    "more", [{"outputs": 1}, {"outputs": [1]}, {"outputs": [{"parameters": {"binary_data": 1}}]}, {"parameters": 3}]
)
def test_what_is_no_list_of_wanted_outputs_is_refused(session, more):
    with pytest.raises(ValueError, match="Open Inference Protocol"):
        session.read_request(json.dumps(request_of(np.zeros((1, WIDTH))) | more).encode())


class Job(NamedTuple):
    item: dict
    future: Future


def together(session, items):
    """The answers to items that are taken as one batch."""
    jobs, taken = [Job(item, Future()) for item in items], threading.Event()

    def take():
        if taken.is_set():
            return None
        taken.set()
        return jobs

    session.Pool(take, where=[None])
    return [job.future.result(PATIENCE_S) for job in jobs]


def test_requests_that_share_a_call_get_the_answers_that_they_get_alone(exported):
    session = module(exported / "session.py")
    random = np.random.default_rng(1)
    items = [{"x": random.standard_normal((size, WIDTH)).astype(np.float32)} for size in (1, 2, 1)]

    for item, [logits] in zip(items, together(session, items), strict=True):
        np.testing.assert_allclose(expected(exported, item["x"]), logits, rtol=1e-4, atol=1e-5)


def test_a_variant_of_openvino_answers_from_its_own_runtime(tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    path = models.save(models.mlp(), tmp_path / "mlp.onnx")
    made = advice_on(path)
    runs_on = RunsOn(provider="openvino", provider_options={"INFERENCE_PRECISION_HINT": "f32"})
    write_record(tmp_path / "advice.json", replace(made, variants=tuple(replace(row, runs_on=runs_on) for row in made.variants)))
    export(tmp_path / "advice.json", "kubernetes", tmp_path / "out")
    session = module(tmp_path / "out" / "session.py")
    items = [{"x": np.full((1, WIDTH), value, np.float32)} for value in (1.0, -1.0)]

    for item, [logits] in zip(items, together(session, items), strict=True):
        np.testing.assert_allclose(expected(tmp_path / "out", item["x"]), logits, rtol=1e-3, atol=1e-4)
    assert session.check()


def sequences(tmp_path, *, has_mask):
    """An export of a model whose requests have lengths: twice the ids, where a mask does not hide them."""
    mask = ", float[batch, seq] mask" if has_mask else ""
    product = "y = Mul(twice, mask)" if has_mask else "y = Identity(twice)"
    text = f"(float[batch, seq] x{mask}) => (float[batch, seq] y) {{ twice = Add(x, x) {product} }}"
    path = models.save(models.build(text), tmp_path / "sequences.onnx")
    made = advice_on(path)
    first = replace(facts(has_length=True).inputs[0], shape=("batch", "seq"), example_shape=(1, 6))
    inputs = (first, replace(first, name="mask", role="mask")) if has_mask else (first,)
    model = replace(made.model, inputs=inputs, outputs=(replace(made.model.outputs[0], name="y", shape=("batch", "seq")),))
    write_record(tmp_path / "advice.json", replace(made, model=model))
    export(tmp_path / "advice.json", "ort", tmp_path / "out")
    return module(tmp_path / "out" / "session.py")


@pytest.mark.parametrize("has_mask", [True, False])
def test_requests_of_other_lengths_are_padded_where_a_mask_hides_it_and_answered_in_their_own_length(tmp_path, has_mask):
    session = sequences(tmp_path, has_mask=has_mask)
    lengths = (3, 5, 3, 2)
    items = [{"x": np.full((1, length), length, np.float32)} for length in lengths]
    items = [item | ({"mask": np.ones_like(item["x"])} if has_mask else {}) for item in items]

    answers = together(session, items)

    assert [(1, length) for length in lengths] == [y.shape for [y] in answers]
    assert all(np.all(y == 2 * length) for length, [y] in zip(lengths, answers, strict=True))
    jobs = [Job(item, Future()) for item in items]
    assert (1 if has_mask else 3) == len(session.alike(jobs))


def test_a_batch_that_fails_is_an_error_of_its_requests_and_not_the_end(exported):
    session = module(exported / "session.py")
    wrong = {"x": np.zeros((1, WIDTH), np.float64)}
    right = {"x": np.zeros((1, WIDTH), np.float32)}
    batches = [[Job(wrong, Future())], [Job(right, Future())]]
    given = iter([*batches, None])

    session.Pool(lambda: next(given), where=[None])

    assert batches[1][0].future.result(PATIENCE_S)[0].shape == (1, CLASSES)
    assert batches[0][0].future.exception() is not None


# --- what is written -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_every_export_has_the_file_of_the_model_where_its_server_looks(place, target):
    made = export(place / "advice.json", target, place / "out")

    files = {str(path.relative_to(place / "out")) for path in (place / "out").rglob("*") if path.is_file()}
    assert {*made.files, MANIFEST} == files
    [model] = [name for name in files if name.endswith("/model.onnx")]
    assert (place / "mlp.onnx").read_bytes() == (place / "out" / model).read_bytes()


def test_weights_beside_the_model_lie_beside_its_copy_under_the_name_that_it_knows(exported):
    assert {"model.onnx", "mlp.onnx.data"} == {path.name for path in (exported / "model").iterdir()}


def test_a_language_model_elsewhere_is_exported_to_vllm_alone(tmp_path):
    advice = replace(chat_elsewhere(), engine_arguments=("--model MODEL", "--max-num-seqs 8"))
    write_record(tmp_path / "advice.json", advice)

    made = export(tmp_path / "advice.json", VLLM, tmp_path / "out")

    assert {"serve.sh", "README.md"} == set(made.files)
    for target in TARGETS:
        with pytest.raises(InputError, match=r"advice\.json: advice on a language model elsewhere"):
            export(tmp_path / "advice.json", target, tmp_path / "other")


def test_an_export_takes_the_place_of_an_older_one_that_nobody_changed(place):
    export(place / "advice.json", "ort", place / "out")
    models.save(models.mlp(batch="n"), place / "mlp.onnx")
    write_record(place / "advice.json", advice_on(place / "mlp.onnx", max_batch_size=2))

    export(place / "advice.json", "ort", place / "out")

    assert "MAX_BATCH_SIZE = 2" in (place / "out" / "session.py").read_text()
    assert (place / "mlp.onnx").read_bytes() == (place / "out" / "model" / "model.onnx").read_bytes()


def test_exports_to_two_servers_do_not_lie_in_one_folder(place):
    export(place / "advice.json", "ort", place / "out")
    before = {path: path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()}

    with pytest.raises(InputError, match="an export to ort") as refusal:
        export(place / "advice.json", "triton", place / "out")

    assert "-o triton" in refusal.value.hint
    assert before == {path: path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["serve.py", "model/model.onnx", "README.md", MANIFEST])
@pytest.mark.parametrize("is_older", [True, False])
def test_nothing_of_the_users_is_overwritten_and_nothing_written_beside_it(place, name, is_older):
    out = place / "out"
    if is_older:
        export(place / "advice.json", "ort", out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    write_record(place / "advice.json", advice_on(place / "mlp.onnx", max_batch_size=2))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    with pytest.raises(InputError, match="not overwritten"):
        export(place / "advice.json", "ort", out)

    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_the_list_of_exported_files_is_read_back(place):
    made = export(place / "advice.json", "triton", place / "out")

    assert made == read_json(place / "out" / MANIFEST, Export, made_by="advisor export")


# --- what is refused -----------------------------------------------------------------------------------------------------


def refused(place, target="ort", **asked):
    with pytest.raises(InputError) as error:
        export(place / "advice.json", target, place / "out", **asked)
    assert not (place / "out").exists() and error.value.hint
    return error.value.fault


def test_a_model_that_is_gone_or_changed_is_not_exported(place):
    (place / "mlp.onnx").write_bytes((place / "mlp.onnx").read_bytes() + b"\x00")
    assert f"{place / 'mlp.onnx'}: no longer the file that was measured as int8-dynamic" == refused(place)

    (place / "mlp.onnx").unlink()
    assert "no such file; the advice names it for int8-dynamic" in refused(place)


def test_advice_that_no_server_takes_is_refused_with_its_file(place):
    assert "answers in one pass" in refused(place, VLLM)
    for advice, said in ((job(), "a batch job"), (GENERATION[0](), "a generative model")):
        (place / "advice.json").write_bytes(to_json(advice))
        assert said in refused(place) and refused(place).startswith(str(place / "advice.json"))


def test_what_is_not_known_is_exported_only_if_it_is_asked_for(place):
    advice = advice_on(place / "mlp.onnx")
    (place / "advice.json").write_bytes(
        to_json(replace(advice, outcome="inconclusive", recommended=None, saving=None, likely=advice.recommended))
    )

    assert "not known well enough" in refused(place)
    export(place / "advice.json", "ort", place / "out", most_likely=True)
    assert "Nothing is recommended" in (place / "out" / "README.md").read_text()


def test_a_model_that_does_not_run_here_is_exported_without_answers_to_compare_with(place, tmp_path):
    advice = advice_on(place / "mlp.onnx")
    other = models.save(
        models.build(f"(float[n, {WIDTH}] z) => (float[n, {WIDTH}] y) {{ y = Relu(z) }}"), tmp_path / "other.onnx"
    )
    baseline = replace(advice.variants[0], path=other.name)
    write_record(place / "advice.json", replace(advice, variants=(baseline, *advice.variants[1:])))

    export(place / "advice.json", "ort", place / "out")

    session = module(place / "out" / "session.py")
    assert [None] * 4 == [known for _, known in session.examples()]


def test_paths_are_those_of_this_machine_nowhere(exported):
    texts = [path.read_text() for path in exported.rglob("*") if path.suffix in {".py", ".md", ".txt", ".json"}]

    assert texts and not [text for text in texts if str(Path(exported).parent) in text]


def test_every_command_of_the_documentation_writes_an_export(place, monkeypatch):
    section = (
        (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8").partition("```sh\n")[2].partition("```")[0]
    )
    commands = [line.split() for line in section.splitlines()]
    (place / "advice").mkdir()
    for name in ("advice.json", "mlp.onnx"):
        (place / name).rename(place / "advice" / name)
    monkeypatch.chdir(place)

    program = cli.cli.make_context("advisor", ["export"])

    for command in commands:
        name, told, rest = cli.cli.resolve_command(program, command[1:])
        asked = told.make_context(name, rest, parent=program).params
        export(place / asked["advice"], asked["target"], asked["output"])

    assert {*TARGETS} == {command[command.index("--to") + 1] for command in commands}
    assert all((place / target / "README.md").is_file() for target in TARGETS)
