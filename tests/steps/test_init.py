"""The files to start from: accepted once they are filled in, refused with the key until then, and never written over anything."""

import ast
import re
import subprocess
import sys

import numpy as np
import pytest

from advisor.errors import InputError
from advisor.files.workload import read_question, read_workload
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import GenerationWorkload, OnlineWorkload
from advisor.steps.init import FILL_IN, init
from advisor.steps.recommend import recommend
from tests import checkpoints, seq2seq_exports
from tests.models import WIDTH, build, forest, mlp, save, two_tables, weights
from tests.profiles import NOW


def silent(*_, **__):
    pass


def classifier_of_images():
    return build(
        """(float[batch, 3, 8, 8] image) => (float[batch, 4] scores) {
            flat = Flatten (image)
            scores = MatMul (flat, w)
        }""",
        weights(w=(192, 4)),
    )


def classifier_of_tokens():
    return build(
        """(int64[batch, sequence] input_ids) => (float[batch, 4] scores) {
            words = Gather (table, input_ids)
            mean = ReduceMean <keepdims = 0> (words, axis)
            scores = MatMul (mean, w)
        }""",
        weights(table=(50, 8), w=(8, 4)) | {"axis": np.array([1])},
    )


def classifier_of_a_file():
    return build("(float[batch, 8] file, float[batch, 8] args) => (float[batch, 8] scores) { scores = Add (file, args) }")


MODELS = {
    "an image": classifier_of_images,
    "tokens": classifier_of_tokens,
    "a table": forest,
    "names that others have": classifier_of_a_file,
}


def filled_in(path):
    text = path.read_text()
    values = {"requests_per_s: ": "5", "latency_s: ": "2 s", "local: ": "0.34", "p50: ": "6", "p95: ": "9"}
    for key, value in values.items():
        text = text.replace(f"{key}{FILL_IN}", f"{key}{value}")
    path.write_text(text)


def with_items(script):
    """The script with an `examples` that yields its own items, whole numbers in the place of zeros, and a class each."""
    text = re.sub(r"    raise SystemExit\(.*\)\n", "    for number in range(24):\n", script.read_text())
    start, end = text.index("    yield {"), text.index("}, 0\n")
    inner = text[start:end].replace("\n", "\n    ").replace("np.zeros(", "np.random.default_rng(number).integers(0, 4, ")
    inner = re.sub(r"integers\(0, 4, (\(.*?\)), (np\.\w+)\)", r"integers(0, 4, \1).astype(\2)", inner)
    script.write_text(f"{text[:start]}    {inner}}}, number % 4{text[end + len('}, 0') :]}")


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_written_is_accepted_once_it_is_filled_in(tmp_path, kind):
    model = save(MODELS[kind](), tmp_path / "my model.onnx")
    written = init(model, tmp_path / "asked.yaml")
    filled_in(written.workload)
    with_items(written.script)
    subprocess.run([sys.executable, written.script.name], cwd=tmp_path, check=True, capture_output=True)
    written.workload.write_text(written.workload.read_text().replace("# quality:", "quality:"))
    asked = ProfileOptions(workload=written.workload, budget_s=0.3, max_batch_size=2)

    advice = recommend(model, tmp_path / "advice", asked, is_verified=False, now=NOW, report=silent)

    assert "my model" == advice.workload.name
    assert advice.workload.quality is not None and "asked-data.npz" == advice.workload.quality.data


@pytest.mark.parametrize("key", ["traffic.requests_per_s", "slo.latency_s", "hardware.price_usd_per_hour.local"])
def test_what_is_not_filled_in_is_refused_with_its_key(tmp_path, key):
    written = init(save(mlp(), tmp_path / "m.onnx"), tmp_path / "w.yaml")
    name = key.rpartition(".")[2]
    filled_in(written.workload)
    text = written.workload.read_text()
    written.workload.write_text(re.sub(rf"^([a-z][^#\n]*\b{name}: )[^,}}]+", rf"\1{FILL_IN}", text, flags=re.MULTILINE))

    with pytest.raises(InputError, match=rf"{re.escape(key)}: cannot read '{FILL_IN}' as a quantity"):
        read_workload(written.workload)


def test_every_value_to_fill_in_is_marked_as_required(tmp_path):
    lines = init(save(two_tables(), tmp_path / "m.onnx"), tmp_path / "w.yaml").workload.read_text().splitlines()

    asked = [number for number, line in enumerate(lines) if FILL_IN in line and not line.startswith("#")]

    assert asked and all(lines[number - 1].startswith("# REQUIRED.") for number in asked)


def test_the_examples_that_are_commented_out_are_accepted_too(tmp_path):
    written = init(save(mlp(), tmp_path / "m.onnx"), tmp_path / "w.yaml")
    filled_in(written.workload)
    (tmp_path / "w-data.npz").write_bytes(b"")
    written.workload.write_text(re.sub(r"^# (\w+: \{)", r"\1", written.workload.read_text(), flags=re.MULTILINE))

    question = read_question(written.workload)

    assert isinstance(question, OnlineWorkload)
    assert None not in (question.quality, question.baseline, question.lifecycle)


def test_without_classes_there_are_no_labels_to_store(tmp_path):
    plain = build(f"(float[n, {WIDTH}, 2, 2] x) => (float[n, {WIDTH}, 2, 2] y) {{ y = Relu(x) }}")

    assert init(save(plain, tmp_path / "m.onnx"), tmp_path / "w.yaml").script is None


@pytest.mark.parametrize("there", ["w.yaml", "make_w_data.py"])
def test_nothing_is_overwritten(tmp_path, there):
    model = save(mlp(), tmp_path / "m.onnx")
    (tmp_path / there).write_text("mine")

    with pytest.raises(InputError, match="is there already"):
        init(model, tmp_path / "w.yaml")

    assert "mine" == (tmp_path / there).read_text()
    assert ["m.onnx", there] == sorted(entry.name for entry in tmp_path.iterdir())


def test_until_it_is_filled_in_the_script_says_so(tmp_path):
    written = init(save(mlp(), tmp_path / "m.onnx"), tmp_path / "w.yaml")

    ended = subprocess.run([sys.executable, written.script.name], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert 1 == ended.returncode and "fill in examples() first" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "name", ['"""; raise SystemExit(7)\nx = """', "a\nslo: {latency_s: 1}", "\x1b[31m{0}\\", "'quoted' #: 1", "\u202exnno"]
)
def test_a_name_forges_no_line_of_either_file(tmp_path, name):
    model = save(mlp(), tmp_path / f"{name}.onnx".replace("/", ""))

    written = init(model, tmp_path / f"{name}.yaml")
    filled_in(written.workload)
    module = ast.parse(written.script.read_text())

    assert name == read_workload(written.workload).name
    assert [ast.Expr, ast.Import, ast.Import, ast.FunctionDef] == [type(part) for part in module.body[:4]]
    assert all(line.isprintable() for path in written for line in path.read_text().split("\n"))
    plain = init(save(mlp(), tmp_path / "plain.onnx"), tmp_path / "plain.yaml")
    assert len(plain.script.read_text().splitlines()) == len(written.script.read_text().splitlines())
    assert len(plain.workload.read_text().splitlines()) == len(written.workload.read_text().splitlines())


def of_a_decoder(tmp_path):
    return init(checkpoints.save(tmp_path / "my llama"), tmp_path / "w.yaml")


def test_of_a_decoder_tokens_and_how_soon_they_come_are_asked_for(tmp_path):
    written = of_a_decoder(tmp_path)
    text = written.workload.read_text()
    values = {"requests_per_s: ": "5", "ttft_s: ": "2 s", "tpot_s: ": "150 ms", "local: ": "0.34", "p50: ": "6", "p95: ": "9"}
    for key, value in values.items():
        text = text.replace(f"{key}{FILL_IN}", f"{key}{value}")
    written.workload.write_text(re.sub(r"^# (\w+: \{)", r"\1", text, flags=re.MULTILINE))
    (tmp_path / "text.txt").write_text("some words")

    question = read_question(written.workload)

    assert isinstance(question, GenerationWorkload) and written.script is None
    assert ("my llama", 2.0, 0.15, 9) == (question.name, question.slo.ttft_s, question.slo.tpot_s, question.tokens.output.p95)
    assert None not in (question.quality, question.baseline)
    assert "128 tokens of context, 512 B of KV cache a token" in text


def test_every_value_to_fill_in_of_a_decoder_is_marked_as_required(tmp_path):
    lines = of_a_decoder(tmp_path).workload.read_text().splitlines()

    asked = [number for number, line in enumerate(lines) if FILL_IN in line and not line.startswith("#")]

    assert asked and all(lines[number - 1].startswith("# REQUIRED.") for number in asked)


def test_of_a_model_with_an_encoder_no_text_is_asked_for_that_would_say_nothing_of_it(tmp_path):
    text = init(seq2seq_exports.save(tmp_path / "export"), tmp_path / "w.yaml").workload.read_text()

    assert "tokens: {input:" in text and "perplexity" not in text and "\n\n# What runs today" in text
