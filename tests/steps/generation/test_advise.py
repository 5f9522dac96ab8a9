"""Advice on generative models, from files to files."""

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from advisor.cli import cli
from advisor.errors import ExitStatus, InputError
from advisor.files.records import read_json, write_record
from advisor.files.workload import examples_sha256
from advisor.schema.generation import GenerationAdvice
from advisor.steps.advise import advise_on, exit_status, read_any_advice
from tests import generation_profiles
from tests.generation_profiles import Law, perplexity, variant
from tests.profiles import NOW, power_law, profile

WORKLOAD = {
    "name": "chat",
    "traffic": {"requests_per_s": 2},
    "tokens": {"input": {"p50": 40, "p95": 80}, "output": {"p50": 8, "p95": 16}},
    "slo": {"ttft_s": "500 ms", "tpot_s": "50 ms", "quantile": 0.5},
    "hardware": {"price_usd_per_hour": {"local": 0.3}},
}


def measured(digest="0" * 64):
    quality = perplexity(0.01, 0.02)
    quality = replace(quality, perplexity=replace(quality.perplexity, data_sha256=digest))
    laws = {"fp32": Law(), "int8": Law().times(0.4)}
    return generation_profiles.profile(laws, variants=(variant(), variant("int8", quality=quality)))


@pytest.fixture
def folder(tmp_path):
    write_record(tmp_path / "profile.json", measured())
    return tmp_path


def written(folder, tree):
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(tree))
    return folder / "w.yaml"


def test_a_profile_of_a_decoder_and_tokens_give_advice_that_is_read_again_and_reported(folder):
    written(folder, WORKLOAD)
    paths = {name: str(folder / name) for name in ("profile.json", "w.yaml", "advice.json", "report.html")}

    advised = CliRunner().invoke(
        cli, ["advise", paths["profile.json"], "-w", paths["w.yaml"], "-o", paths["advice.json"], "--now", NOW]
    )
    reported = CliRunner().invoke(cli, ["report", paths["advice.json"], "--format", "html", "-o", paths["report.html"]])

    assert (0, 0) == (advised.exit_code, reported.exit_code), advised.output + reported.output
    assert "ttft     p50 " in advised.output and "tpot     p50 " in advised.output
    advice = read_any_advice(folder / "advice.json")
    assert isinstance(advice, GenerationAdvice) and advice == read_json(folder / "advice.json", GenerationAdvice, made_by="")
    assert ExitStatus.ADVICE == exit_status(advice) and "</html>" in (folder / "report.html").read_text()


def test_quality_on_another_text_admits_nothing(folder):
    (folder / "text.txt").write_text("some words of a user")
    tree = WORKLOAD | {"quality": {"metric": "perplexity", "max_drop": 0.05, "data": "text.txt"}}
    path = written(folder, tree)

    elsewhere = advise_on(folder / "profile.json", path, now=NOW)
    write_record(folder / "profile.json", measured(examples_sha256(folder, "text.txt")))
    here = advise_on(folder / "profile.json", path, now=NOW)

    admitted = [{entry.id for entry in advice.variants if entry.admitted} for advice in (elsewhere, here)]
    assert [{"fp32"}, {"fp32", "int8"}] == admitted


def test_how_a_trace_was_read_and_what_was_not_used_is_in_the_report(folder):
    rows = "".join(f"{index / 2},{index % 30 + 1},{index % 5 + 1}\n" for index in range(200))
    (folder / "t.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    tree = WORKLOAD | {"traffic": {"trace": "t.csv"}, "energy": {"grid": "FRA"}}

    with_own = advise_on(folder / "profile.json", written(folder, tree), now=NOW)
    without = advise_on(folder / "profile.json", written(folder, {k: v for k, v in tree.items() if k != "tokens"}), now=NOW)

    assert "t.csv: 2 /s on average" in with_own.notes[0] and "prompts from input_tokens" in without.notes[0]
    assert any("lengths are those of `tokens`" in note for note in with_own.notes)
    assert not any("lengths are those of `tokens`" in note for note in without.notes)
    assert ["energy"] == [
        entry.what for entry in with_own.exclusions if "not used by advice on a generative model" in entry.reason
    ]


def test_a_profile_of_the_other_kind_is_refused_with_both_files(folder):
    one_pass = {"name": "a", "traffic": {"requests_per_s": 2}, "slo": {"latency_s": 1}, "hardware": WORKLOAD["hardware"]}

    with pytest.raises(InputError, match=r"profile.json: the profile of a generative model, but .*w.yaml has no tokens"):
        advise_on(folder / "profile.json", written(folder, one_pass), now=NOW)
    write_record(folder / "profile.json", profile(power_law(0.01)))
    with pytest.raises(
        InputError, match=r"profile.json: the profile of a model that answers in one pass, but .*w.yaml asks about tokens"
    ):
        advise_on(folder / "profile.json", written(folder, WORKLOAD), now=NOW)


def test_requests_beyond_the_context_are_refused_with_the_workload_file(folder):
    with pytest.raises(InputError, match=r"w.yaml: .*context"):
        advise_on(
            folder / "profile.json",
            written(folder, WORKLOAD | {"tokens": {"input": {"p50": 90_000}, "output": {"p50": 8}}}),
            now=NOW,
        )


@pytest.mark.parametrize("option", ["--rules", "--time-limit"])
def test_options_of_other_advice_are_refused_by_name(folder, option):
    value = {"--rules": str(folder), "--time-limit": "5"}[option]

    ended = CliRunner().invoke(cli, ["advise", str(folder / "profile.json"), "-w", str(written(folder, WORKLOAD)), option, value])

    assert isinstance(ended.exception, InputError) and ended.exception.fault.startswith(f"{option}: ")
