"""Claims about profiles of one model from several machines."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from advisor.cli import cli
from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.files.records import write_record
from advisor.schema.catalog import CPU
from advisor.schema.model import OperatorFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.steps import profile as profiling
from advisor.steps.advise import advise_on
from advisor.steps.generation.reading import read_any_profile
from advisor.steps.merge import merge
from advisor.steps.profile import provider_for, schemes, schemes_on
from advisor.tell.report import render
from tests import generation_profiles
from tests.profiles import NOW, drop_of, fixed_cost_law, on, power_law, profile, variant


def saved(folder: Path, name: str, hardware: str, seconds: float) -> Path:
    made = profile(power_law(seconds))
    work = OperatorFacts(type="MatMul", count=5, flop_per_item=1e9, activation_bytes_per_item=1e6, weight_bytes=4_000_000)
    model = msgspec.structs.replace(made.model, operators=(work,), flop_per_item=1e9)
    device = made.sites[0].hardware if hardware == "local" else read_device(hardware)
    made = msgspec.structs.replace(made, model=model, sites=(on(made, device),))
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


def test_quality_that_any_machine_measured_on_other_data_admits_nothing(tmp_path: Path) -> None:
    law = fixed_cost_law(0.0, 0.02, of_variant={"int8": 0.3})
    made = profile(law, variants=(variant(), variant("int8", lossless=False, quality=drop_of(0.0, 0.001))))
    both = msgspec.structs.replace(made, sites=(*made.sites, on(made, read_device("c7i.xlarge"))))
    write_record(tmp_path / "both.json", both)
    np.savez(tmp_path / "mine.npz", x=np.zeros((4, 3), np.float32), labels=np.zeros(4, int))
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [local, c7i.xlarge], price_usd_per_hour: {local: 5, c7i.xlarge: 1}}\n"
        "quality: {metric: accuracy, max_drop: 0.01, data: mine.npz}\n"
    )

    advice = advise_on(tmp_path / "both.json", tmp_path / "w.yaml", now=NOW)

    assert advice.recommended is not None and "fp32" == advice.recommended.candidate.variant
    assert {False} == {row.admitted for row in advice.variants if row.id == "int8"}
    assert {"fp32"} == {entry.prediction.candidate.variant for entry in advice.places}


def test_a_variant_that_only_another_machine_has_is_in_the_report_of_every_format(tmp_path: Path) -> None:
    here = profile(power_law(0.04))
    there = profile(power_law(0.001), variants=(variant(), variant("opt")))
    both = msgspec.structs.replace(here, sites=(*here.sites, on(there, read_device("c7i.xlarge"))))
    write_record(tmp_path / "both.json", both)
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [local, c7i.xlarge], price_usd_per_hour: {local: 5}}\n"
    )
    advice = advise_on(tmp_path / "both.json", tmp_path / "w.yaml", now=NOW)

    for format_ in ("html", "md"):
        told = render(advice, format_).replace("\N{NO-BREAK SPACE}", " ")
        assert "opt" in told and "on c7i.xlarge" in told and "2 variants may be served" in told


def test_the_report_says_of_each_hardware_whether_it_was_measured_or_projected(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [local, c7i.xlarge, t4], price_usd_per_hour: {local: 5}}\nenergy: {grid: FRA}\n"
    )
    advice = advise_on(saved(tmp_path, "p.json", "local", 0.02), tmp_path / "w.yaml", now=NOW)

    html, markdown = (render(advice, format_).replace("\N{NO-BREAK SPACE}", " ") for format_ in ("html", "md"))
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and " on " in line and "older than 90 days" in line]

    assert "3 of 3 kinds of hardware keep the target" in html and "3 of 3 kinds of hardware keep the target" in markdown
    assert 2 == len(rows) and all("| projected |" in row for row in rows)
    assert "the profiled machine) | measured |" in markdown
    assert "older than 90 days" in html


def test_a_profile_made_on_the_hardware_itself_needs_no_projection(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s, quantile: 0.9}\n"
        "hardware: {allowed: [c7i.xlarge], price_usd_per_hour: {local: 5}}\n"
    )

    advice = advise_on(saved(tmp_path, "p.json", "c7i.xlarge", 0.02), tmp_path / "w.yaml", now=NOW)

    assert advice.recommended is not None
    assert ("c7i.xlarge", "simulated") == (advice.recommended.candidate.hardware, advice.recommended.latency_p50_s.basis)


def test_profiles_of_other_models_and_of_the_same_machine_are_refused(tmp_path: Path) -> None:
    here = saved(tmp_path, "here.json", "local", 0.04)
    twin = saved(tmp_path, "twin.json", "local", 0.04)
    other: Profile = profile(power_law(0.01))
    write_record(
        tmp_path / "other.json", msgspec.structs.replace(other, model=msgspec.structs.replace(other.model, sha256="1" * 64))
    )

    with pytest.raises(InputError, match="another model"):
        merge(here, (tmp_path / "other.json",), tmp_path / "both.json")
    with pytest.raises(InputError, match="measured on 'local'"):
        merge(here, (twin,), tmp_path / "both.json")


def test_what_a_gpu_measured_decides_there_and_anchors_what_is_projected_to_another(tmp_path: Path) -> None:
    def encoder(hardware: str, seconds: float) -> Path:
        """A profile of a model like an encoder that somebody measured on both GPUs, in 16-bit floats."""
        made = profile(power_law(seconds), variants=(variant(), variant("fp16")), batch_sizes=(1, 8, 16), lengths=(384,))
        work = OperatorFacts(type="MatMul", count=5, flop_per_item=5e10, activation_bytes_per_item=1e8, weight_bytes=268_000_000)
        model = msgspec.structs.replace(
            made.model, operators=(work,), flop_per_item=5e10, parameters=67_000_000, activation_bytes_per_item=None
        )
        site = on(made, read_device(hardware)) if hardware != "local" else made.sites[0]
        write_record(tmp_path / f"{hardware}.json", msgspec.structs.replace(made, model=model, sites=(site,)))
        return tmp_path / f"{hardware}.json"

    (tmp_path / "w.yaml").write_text(
        "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 10 s, quantile: 0.9}\n"
        "inputs: {sequence_length: {p50: 384}}\n"
        "hardware: {allowed: [local, t4, a100_80_sxm], price_usd_per_hour: {local: 50}}\n"
    )

    merge(encoder("local", 0.004), (encoder("t4", 1e-5),), tmp_path / "both.json")
    advice = advise_on(tmp_path / "both.json", tmp_path / "w.yaml", now=NOW)

    grounds = {entry.hardware: (entry.ground, entry.prediction.latency_p50_s.source) for entry in advice.places}
    assert ("measured", "measured") == (grounds["local"][0], grounds["t4"][0])
    assert "measured on t4, times the ratio of" in grounds["a100_80_sxm"][1]


def test_a_gpu_is_measured_where_onnx_runtime_has_its_provider_and_refused_elsewhere() -> None:
    t4, tpu, cuda = read_device("t4"), read_device("tpu_v5e"), "CUDAExecutionProvider"

    on_gpu = schemes_on(cuda, schemes())

    assert (cuda, CPU) == (provider_for(t4, (cuda, CPU)), provider_for(read_device("c7i.xlarge"), (cuda, CPU)))
    assert "cuda" not in {scheme.id for scheme in on_gpu} and CPU not in {scheme.provider for scheme in on_gpu}
    for device in (t4, tpu):
        with pytest.raises(InputError, match=rf"{device.id} is a {device.kind}"):
            provider_for(device, (CPU,))


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
def test_the_catalog_can_be_read_at_the_terminal(
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

    assert 0 == taken.exit_code and "1 price imported" in taken.output
    assert any("g6.xlarge" in line and "reserved" in line and "$0.50/h" in line for line in shown.output.splitlines())


def test_imported_prices_have_a_date_in_whatever_form_the_time_was_given(tmp_path: Path) -> None:
    (tmp_path / "aws.csv").write_text("instance_name,location,price,spot\ng6.xlarge,us-east-1,0.8,False\n")
    asked = ["hardware", "prices", "--import", str(tmp_path / "aws.csv"), "--layout", "gpuhunt", "-o", str(tmp_path / "book.csv")]

    taken = CliRunner().invoke(cli, [*asked, "--now", "20261122T080000"])

    assert 0 == taken.exit_code, taken.output
    assert "2026-11-22" in (tmp_path / "book.csv").read_text()


def test_profiles_of_one_decoder_from_two_machines_become_one(tmp_path: Path) -> None:
    here = generation_profiles.profile()
    there = msgspec.structs.replace(here, sites=(on(here, read_device("c7i.xlarge")),))
    write_record(tmp_path / "here.json", here)
    write_record(tmp_path / "there.json", there)

    both = merge(tmp_path / "here.json", (tmp_path / "there.json",), tmp_path / "both.json")

    assert ["local", "c7i.xlarge"] == [site.hardware.id for site in both.sites]
    assert both == read_any_profile(tmp_path / "both.json")


def test_what_generates_and_what_does_not_are_not_one_model(tmp_path: Path) -> None:
    saved(tmp_path, "pass.json", "local", 0.04)
    write_record(tmp_path / "tokens.json", generation_profiles.profile())

    for base, other in (("pass.json", "tokens.json"), ("tokens.json", "pass.json")):
        with pytest.raises(InputError, match=f"{other}: .* and .*{base} is "):
            merge(tmp_path / base, (tmp_path / other,), tmp_path / "both.json")
    assert not (tmp_path / "both.json").exists()
