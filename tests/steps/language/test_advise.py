"""Advice from a configuration, from files to files: no weights, no measurement, and a clear answer to what cannot be judged."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from advisor.cli import cli
from advisor.errors import AdvisorError, ExitStatus, InputError
from advisor.files.records import read_json
from advisor.schema.language import LanguageAdvice
from advisor.steps.advise import advise_on, exit_status, read_any_advice
from tests.profiles import NOW

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
WORKLOAD = {
    "name": "chat",
    "traffic": {"requests_per_s": 2},
    "tokens": {"input": {"p50": 200, "p95": 400}, "output": {"p50": 50, "p95": 100}},
    "slo": {"ttft_s": 2, "tpot_s": "100 ms", "quantile": 0.9},
    "hardware": {"allowed": ["h100_sxm"]},
}


# With parts that are of no use here, and a machine that is here.
EVERYTHING = WORKLOAD | {
    "hardware": {"allowed": ["local", "h100_sxm", "tpu_v5e"], "price_usd_per_hour": {"local": 1}},
    "baseline": {"replicas": 2},
}


@pytest.fixture(scope="module")
def advised(tmp_path_factory):
    """A folder with a configuration, a workload, the advice on both, and what the command printed."""
    folder = tmp_path_factory.mktemp("advised")
    shutil.copy(CONFIGS / "qwen3-0.6b.json", folder / "config.json")
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(EVERYTHING))
    files = [str(folder / name) for name in ("config.json", "w.yaml", "advice.json")]
    ended = CliRunner().invoke(cli, ["advise", files[0], "-w", files[1], "-o", files[2], "--now", NOW])
    assert 0 == ended.exit_code, ended.output
    return folder, ended.output


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CONFIGS / "qwen3-0.6b.json", tmp_path / "config.json")
    return tmp_path


def written(folder, **changes):
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(WORKLOAD | changes))
    return folder / "w.yaml"


def test_a_configuration_and_tokens_give_advice_that_is_read_again_and_reported(advised):
    folder, printed = advised

    reported = CliRunner().invoke(cli, ["report", str(folder / "advice.json"), "--format", "html"])

    assert "ttft     p90 " in printed and "tpot     p90 " in printed and "/month" in printed
    advice = read_any_advice(folder / "advice.json")
    assert isinstance(advice, LanguageAdvice) and advice == read_json(folder / "advice.json", LanguageAdvice, made_by="")
    assert "config.json" == advice.config_path and advice.apis and advice.engine_arguments
    assert ExitStatus.ADVICE == exit_status(advice) and "</html>" in reported.output


def test_the_same_files_give_the_same_advice(advised):
    folder, _ = advised

    assert read_any_advice(folder / "advice.json") == advise_on(folder / "config.json", folder / "w.yaml", now=NOW)


def test_what_the_workload_has_no_use_for_here_and_what_is_here_is_told(advised):
    told = {entry.what: entry.reason for entry in read_any_advice(advised[0] / "advice.json").exclusions}

    assert "advice on a language model elsewhere" in told["baseline"]
    assert "no weights" in told["local"] and "no price" in told["tpu_v5e"]


def test_how_a_trace_was_read_is_in_the_report(folder):
    rows = "".join(f"{index / 2},{index % 30 + 1},{index % 5 + 1}\n" for index in range(200))
    (folder / "t.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")

    advice = advise_on(folder / "config.json", written(folder, traffic={"trace": "t.csv"}), now=NOW)

    assert "t.csv: 2 /s on average" in advice.notes[0] and any("lengths are those of `tokens`" in note for note in advice.notes)


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        (
            "w.yaml: hardware.allowed: nothing that a configuration can be judged on (local: ",
            {"hardware": {"allowed": ["local"], "price_usd_per_hour": {"local": 1}}},
        ),
        ("w.yaml: tokens: a prompt of 90,000 tokens", {"tokens": {"input": {"p50": 90_000}, "output": {"p50": 8}}}),
        ("w.yaml: speculation.method: nobody says", {"speculation": {"method": "a guess"}}),
        (
            "w.yaml: asks about a model of one pass",
            {"tokens": None, "slo": {"latency_s": 1}, "hardware": {"price_usd_per_hour": {"local": 1}}},
        ),
        (
            "w.yaml: hardware.allowed: nothing that is known of says how long steps take there",
            {"hardware": {"allowed": ["rpi5"], "price_usd_per_hour": {"rpi5": 0.1}}},
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_workload_and_a_way_out(folder, said, changes):
    with pytest.raises(InputError) as refused:
        advise_on(folder / "config.json", written(folder, **changes), now=NOW)

    assert refused.value.fault.replace(str(folder) + "/", "").startswith(said) and refused.value.hint


def test_what_is_not_modeled_is_refused_by_name(folder):
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["MambaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(AdvisorError, match="Mamba"):
        advise_on(folder / "config.json", written(folder), now=NOW)


@pytest.mark.parametrize("option", ["--rules", "--time-limit"])
def test_options_of_other_advice_are_refused_by_name(folder, option):
    value = {"--rules": str(folder), "--time-limit": "5"}[option]

    ended = CliRunner().invoke(cli, ["advise", str(folder / "config.json"), "-w", str(written(folder)), option, value])

    assert isinstance(ended.exception, InputError) and ended.exception.fault.startswith(f"{option}: ")


def test_there_is_nothing_to_load_test(advised):
    folder, _ = advised

    ended = CliRunner().invoke(cli, ["verify", str(folder / "advice.json")])

    assert isinstance(ended.exception, InputError) and "nothing to load-test" in ended.exception.fault
    assert {"config.json", "w.yaml", "advice.json"} == {path.name for path in folder.iterdir()}


def test_a_cache_that_holds_no_request_is_said_of_each_device(folder):
    shutil.copy(CONFIGS / "llama-3.1-70b.json", folder / "config.json")

    advice = advise_on(folder / "config.json", written(folder, hardware={"allowed": ["l4"]}), now=NOW)

    assert "infeasible" == advice.outcome and advice.nearest_miss is None and ExitStatus.INFEASIBLE == exit_status(advice)
    assert "memory: the bf16 weights take" in advice.binding_constraint
