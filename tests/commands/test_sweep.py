"""advisor sweep from the command line: what it prints, and what is refused in two lines."""

import json

import pytest

from tests import models
from tests.damage import ended, is_refusal

WORKLOAD = "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s}\nhardware: {price_usd_per_hour: {local: 0.3}}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "workload.yaml").write_text(WORKLOAD)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    models.save(models.mlp(), tmp_path / "mlp.onnx")
    return tmp_path


def swept(folder, content, *more):
    (folder / "sweep.yaml").write_text(f"name: shop\nworkload: workload.yaml\n{content}\n")
    return ended("sweep", "sweep.yaml", "-o", "out", *more, cwd=folder)


def test_a_model_that_fails_is_told_in_its_two_lines_and_in_the_index(folder):
    status, out, err = swept(folder, "models: [{model: broken.onnx}]")
    quiet_status, nothing, told = swept(folder, "models: [{model: broken.onnx}]", "--quiet")
    json_status, index, _ = swept(folder, "models: [{model: broken.onnx}]", "--format", "json")

    assert (2, 2) == (status, json_status), err
    assert "shop: 1 failed" in out and "broken on local: " in out and "not a readable ONNX file" in out
    assert (2, "") == (quiet_status, nothing) and "note: broken on local: " in told
    assert "failed" == json.loads(index)["pairs"][0]["outcome"]
    assert (folder / "out" / "overview.html").is_file()


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("models: [{model: missing.onnx}]", ()),
        ("models: [{model: mlp.onnx}, {model: mlp.onnx}]", ()),
        ("kinds: [nonsense]\nmodels: [{model: mlp.onnx}]", ()),
        ("kinds: [local, c7i.xlarge]\nmodels: [{model: mlp.onnx}]", ()),
        ("models: [{model: mlp.onnx}]", ("--on", "c7i.xlarge")),
        ("models: [{model: mlp.onnx}]", ("--ray", "ray://nowhere:1")),
        ("models: [{model: mlp.onnx}]", ("--store", "s4://bucket")),
        ("models: [{model: mlp.onnx}]", ("--patience", "-1")),
        ("models: [{model: mlp.onnx}]", ("-o", "workload.yaml")),
        ("models: [{model: mlp.onnx}]", ("-o", "s3://bucket", "--store", "store")),
    ],
)
def test_what_cannot_be_swept_is_refused_in_two_lines(folder, content, more):
    status, out, err = swept(folder, content, *more)

    assert is_refusal(status, err), (status, err, out)
    assert "" == out
