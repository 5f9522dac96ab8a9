"""Claims about profiles of one model from several machines."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from advisor.cli import cli
from advisor.errors import InputError
from advisor.files.records import write_record
from advisor.schema.model import OperatorFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.steps import profile as profiling
from advisor.steps.advise import advise_on
from advisor.steps.merge import merge
from advisor.tell.report import render
from tests.profiles import NOW, power_law, profile


def saved(folder: Path, name: str, hardware: str, seconds: float) -> Path:
    made = profile(power_law(seconds))
    work = OperatorFacts(type="MatMul", count=5, flop_per_item=1e9, activation_bytes_per_item=1e6, weight_bytes=4_000_000)
    model = msgspec.structs.replace(made.model, operators=(work,), flop_per_item=1e9)
    made = msgspec.structs.replace(made, model=model, hardware=hardware)
    write_record(folder / name, made)
    return folder / name


def test_what_another_machine_measured_decides_there(tmp_path: Path) -> None:
    here = saved(tmp_path, "here.json", "local", 0.04)
    there = saved(tmp_path, "there.json", "c7i.xlarge", 0.001)
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [local, c7i.xlarge], price_usd_per_hour: {local: 5}}\n"
    )

    result = CliRunner().invoke(cli, ["merge", str(here), str(there), "-o", str(tmp_path / "both.json")])
    advice = advise_on(tmp_path / "both.json", tmp_path / "w.yaml", now=NOW)

    assert 0 == result.exit_code
    assert {"local": "measured", "c7i.xlarge": "measured"} == {entry.hardware: entry.ground for entry in advice.places}
    assert advice.recommended is not None and "c7i.xlarge" == advice.recommended.candidate.hardware
    assert advice.recommended.latency_p50_s.basis == "simulated"


def test_the_report_says_of_each_hardware_whether_it_was_measured_or_projected(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [local, c7i.xlarge, t4], price_usd_per_hour: {local: 5}}\nenergy: {grid: FRA}\n"
    )
    advice = advise_on(saved(tmp_path, "p.json", "local", 0.02), tmp_path / "w.yaml", now=NOW)

    html, markdown = render(advice, "html"), render(advice, "md")
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and " on " in line and "older than 90 days" in line]

    assert "3 kinds of hardware compared" in html and "3 kinds of hardware compared" in markdown
    assert 2 == len(rows) and all("| projected |" in row for row in rows)
    assert "the machine of the profile) | measured |" in markdown
    assert "older than 90 days" in html


def test_a_profile_made_on_the_hardware_itself_needs_no_projection(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [c7i.xlarge], price_usd_per_hour: {local: 5}}\n"
    )

    advice = advise_on(saved(tmp_path, "p.json", "c7i.xlarge", 0.02), tmp_path / "w.yaml", now=NOW)

    assert [("c7i.xlarge", "measured")] == [(entry.hardware, entry.ground) for entry in advice.places]


def test_profiles_of_other_models_and_of_the_same_machine_are_refused(tmp_path: Path) -> None:
    here = saved(tmp_path, "here.json", "local", 0.04)
    twin = saved(tmp_path, "twin.json", "local", 0.04)
    other: Profile = msgspec.structs.replace(profile(power_law(0.01)), hardware="c7i.xlarge")
    write_record(
        tmp_path / "other.json", msgspec.structs.replace(other, model=msgspec.structs.replace(other.model, sha256="1" * 64))
    )

    with pytest.raises(InputError, match="another model"):
        merge(here, (tmp_path / "other.json",), tmp_path / "both.json")
    with pytest.raises(InputError, match="measured on 'local'"):
        merge(here, (twin,), tmp_path / "both.json")


def test_a_gpu_is_not_said_to_be_measured_by_what_runs_on_cpus(tmp_path: Path) -> None:
    options = ProfileOptions(hardware="t4")

    with pytest.raises(InputError, match="t4 is a gpu"):
        profiling.profile(tmp_path / "m.onnx", tmp_path / "p.json", options, now=NOW, report=print)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "c7g.xlarge"),
        (["show", "t4"], "memory_bandwidth_bytes_per_s: 320 GB/s  [Epoch AI"),
        (["prices"], "g4dn.xlarge"),
    ],
)
def test_the_catalogue_can_be_read_at_the_terminal(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    result = CliRunner().invoke(cli, ["hardware", *arguments])

    assert 0 == result.exit_code and said in result.output


def test_prices_are_imported_into_the_users_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "mine.csv").write_text(
        "provider,region,instance,term,usd_per_hour,date,source\naws,us-east-1,g6.xlarge,reserved,0.5,2026-11-20,a contract\n"
    )

    taken = CliRunner().invoke(cli, ["hardware", "prices", "--import", str(tmp_path / "mine.csv")])
    shown = CliRunner().invoke(cli, ["hardware", "prices"])

    assert 0 == taken.exit_code and "1 price taken over" in taken.output
    assert any("g6.xlarge" in line and "reserved" in line and "$0.50/h" in line for line in shown.output.splitlines())


def test_imported_prices_have_a_date_in_whatever_form_the_time_was_given(tmp_path: Path) -> None:
    (tmp_path / "aws.csv").write_text("instance_name,location,price,spot\ng6.xlarge,us-east-1,0.8,False\n")
    asked = ["hardware", "prices", "--import", str(tmp_path / "aws.csv"), "--layout", "gpuhunt", "-o", str(tmp_path / "book.csv")]

    taken = CliRunner().invoke(cli, [*asked, "--now", "20261122T080000"])

    assert 0 == taken.exit_code, taken.output
    assert "2026-11-22" in (tmp_path / "book.csv").read_text()
