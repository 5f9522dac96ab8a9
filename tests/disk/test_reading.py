"""What is no file is refused by name before it is opened, which would wait for a writer, wherever a command reads."""

import os
import socket
from pathlib import Path

import pytest

from advisor.disk.reading import refuse_special
from advisor.errors import AdvisorError, InputError
from advisor.files.books.price_book import LAYOUTS, import_prices
from advisor.files.books.token_book import import_token_prices
from advisor.files.records import read_json, read_yaml, sha256
from advisor.files.trace import read_trace
from advisor.files.workload import examples_sha256, read_question
from advisor.measure.model import onnx_file
from advisor.measure.model.checkpoint import digest
from advisor.measure.model.input_rows import read_npz
from advisor.measure.quality.tables import read_table
from advisor.schema.profile import Profile
from advisor.schema.workload import Workload
from advisor.steps.init import init
from advisor.steps.model_folder import inspect


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def a_socket(path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.close()


@pytest.mark.parametrize(("make", "what"), [(pipe, "a pipe"), (device, "a device"), (a_socket, "a socket")])
def test_what_is_no_file_is_refused_by_name(tmp_path, monkeypatch, make, what):
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    make(Path("it"))

    with pytest.raises(InputError) as raised:
        refuse_special(Path("it"), "--inputs")

    assert f"--inputs: it: {what}, not a file" == raised.value.fault


@pytest.mark.parametrize("name", ["file", "folder", "nowhere", "link", "dangling"])
def test_all_else_is_left_to_who_reads_it(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")

    refuse_special(tmp_path / name)


WORKLOAD = (
    "name: w\ntraffic: {requests_per_s: 1}\nslo: {latency_s: 1}\nhardware: {price_usd_per_hour: {local: 1}}\n"
    "quality: {metric: accuracy, max_drop: 0.01, data: it}\n"
)


def of_a_workload(path):
    workload = path.with_name("w.yaml")
    workload.write_text(WORKLOAD)
    read_question(workload)


def of_a_checkpoint(path):
    path.with_name("config.json").write_text("{}")
    path.rename(path.with_name("model.bin"))
    digest(path.parent)


def of_prices(layout):
    return lambda path: import_prices(path, layout=layout, date="2026-11-22", into=path.with_name("book.csv"))


READERS = {
    "a model": onnx_file.load,
    "a model to inspect": lambda path: inspect(path, None),
    "a model to begin with": lambda path: init(path, path.with_name("w.yaml")),
    "a checkpoint": of_a_checkpoint,
    "inputs": lambda path: read_npz(path, "--inputs"),
    "a table of examples": lambda path: read_table(path.rename(path.with_suffix(".csv")), "quality.data"),
    "a parquet file of examples": lambda path: read_table(path.rename(path.with_suffix(".parquet")), "quality.data"),
    "data of a workload": of_a_workload,
    "a workload": lambda path: read_yaml(path, Workload),
    "a profile": lambda path: read_json(path, Profile, made_by="advisor profile"),
    "a file to be known by its content": sha256,
    "a trace": read_trace,
    "prices of tokens": lambda path: import_token_prices(
        path, layout="litellm", date="2026-11-22", into=path.with_name("book.csv")
    ),
    **{f"prices of {layout}": of_prices(layout) for layout in LAYOUTS},
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_a_pipe(tmp_path, reader):
    path = tmp_path / "it"
    os.mkfifo(path)

    with pytest.raises(AdvisorError, match="a pipe, not a file"):
        READERS[reader](path)


# Not those that give the file another name here.
BY_NAME = sorted(READERS.keys() - {"a checkpoint", "a table of examples", "a parquet file of examples", "data of a workload"})


@pytest.mark.parametrize("reader", BY_NAME)
@pytest.mark.parametrize(
    "name", ["it\0", "\0", "\udc80\ud800", "a" * 300, "a/" * 3000], ids=["zero", "only", "none", "long", "deep"]
)
def test_a_name_that_no_file_can_have_is_refused_as_one_that_is_not_there(tmp_path, reader, name):
    with pytest.raises(AdvisorError):
        READERS[reader](tmp_path / name)


@pytest.mark.parametrize("key", ["quality: {metric: accuracy, max_drop: 0.01, data: %s}", "traffic: {trace: %s}"])
def test_a_workload_that_names_such_a_file_is_refused(tmp_path, key):
    workload = tmp_path / "w.yaml"
    workload.write_text(
        "name: w\ntraffic: {requests_per_s: 1}\nslo: {latency_s: 1}\nhardware: {price_usd_per_hour: {local: 1}}\n"
        if key.startswith("quality")
        else "name: w\nslo: {latency_s: 1}\nhardware: {price_usd_per_hour: {local: 1}}\n"
    )
    with workload.open("a") as file:
        file.write(key % '"it\\0"' + "\n")

    with pytest.raises(InputError):
        asked = read_question(workload)
        assert asked.quality is not None  # a trace is read with the workload, data by who judges by them
        examples_sha256(tmp_path, asked.quality.data)
