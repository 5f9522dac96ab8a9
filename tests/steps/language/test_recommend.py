"""From a configuration to a report in a folder, and what a measured model's report says of hardware elsewhere."""

import shutil

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from advisor.cli import cli
from advisor.errors import InputError
from advisor.schema.workload import HardwareChoice
from advisor.steps.advise import read_any_advice
from advisor.steps.language.recommend import with_elsewhere
from tests import checkpoints
from tests.profiles import NOW
from tests.steps.language.test_advise import CONFIGS, written
from tests.tell.generation_examples import chat


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CONFIGS / "qwen3-0.6b.json", tmp_path / "config.json")
    return tmp_path


def test_advice_and_reports_lie_in_one_folder_and_nothing_was_measured(folder):
    ended = CliRunner().invoke(
        cli,
        ["recommend", str(folder / "config.json"), "-w", str(written(folder)), "-o", str(folder / "advice"), "--now", NOW],
    )

    assert 0 == ended.exit_code, ended.output
    assert {"advice.json", "report-charts", "report.html", "report.md"} == {path.name for path in (folder / "advice").iterdir()}
    advice = read_any_advice(folder / "advice" / "advice.json")
    assert advice.headline in ended.output and advice.headline in (folder / "advice" / "report.md").read_text()
    assert f"report: {folder / 'advice' / 'report.html'}" in ended.output


def test_a_checkpoint_goes_the_same_way_where_only_foreign_hardware_is_allowed(folder):
    model = checkpoints.save(folder / "llama")
    tokens = {"input": {"p50": 20}, "output": {"p50": 10}}

    ended = CliRunner().invoke(
        cli,
        ["recommend", str(model), "-w", str(written(folder, tokens=tokens)), "-o", str(folder / "advice"), "--now", NOW],
    )

    assert 0 == ended.exit_code, ended.output
    assert not (folder / "advice" / "profile.json").exists()
    assert 2 == read_any_advice(folder / "advice" / "advice.json").model.layers


@pytest.mark.parametrize("option", [("--verify",), ("--budget", "5"), ("--rules", "."), ("--scheme", "fp16")])
def test_what_means_nothing_without_a_measurement_is_refused_and_leaves_nothing(folder, option):
    path = written(folder)

    ended = CliRunner().invoke(
        cli, ["recommend", str(folder / "config.json"), "-w", str(path), "-o", str(folder / "advice"), *option]
    )

    assert isinstance(ended.exception, InputError) and not (folder / "advice").exists()


def test_the_configuration_is_never_overwritten(folder):
    (folder / "config.json").rename(folder / "advice.json")

    ended = CliRunner().invoke(cli, ["recommend", str(folder / "advice.json"), "-w", str(written(folder)), "-o", str(folder)])

    assert isinstance(ended.exception, InputError) and "is an input of this command" in ended.exception.fault


def measured(*devices):
    return replace(chat(), workload=replace(chat().workload, hardware=HardwareChoice(allowed=("local", *devices))))


def test_what_was_measured_here_has_a_note_on_what_the_configuration_promises_elsewhere(folder):
    path = written(folder, hardware={"allowed": ["local", "h100_sxm"], "price_usd_per_hour": {"local": 1}})

    told = with_elsewhere(measured("h100_sxm"), folder, path, now=NOW)

    assert told.notes[:-1] == chat().notes
    assert told.notes[-1].startswith("h100_sxm: nothing was measured there. From the configuration alone: Serve ")
    assert f"advisor recommend {folder / 'config.json'} -w {path}" in told.notes[-1]


def test_where_all_that_is_allowed_is_here_or_no_configuration_lies_there_is_no_note(folder):
    path = written(folder)

    assert measured() == with_elsewhere(measured(), folder, path, now=NOW)
    assert measured("h100_sxm") == with_elsewhere(measured("h100_sxm"), folder / "gone", path, now=NOW)


def test_why_a_configuration_cannot_be_judged_is_the_note(folder):
    (folder / "config.json").write_text('{"architectures": ["MambaForCausalLM"]}')

    told = with_elsewhere(measured("h100_sxm"), folder, written(folder), now=NOW)

    assert "From the configuration alone: " in told.notes[-1] and "Mamba" in told.notes[-1]
