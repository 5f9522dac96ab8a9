"""A planned life whose model is given by its configuration: the same figures as by hand, and devices counted by what one serves."""

import json
import shutil

import msgspec
import pytest

from advisor.errors import InputError
from advisor.schema.workload import Lifecycle, LifeModel, LifeRequest, LifeServing
from advisor.steps.classify import classify_file, plan_portfolio
from advisor.steps.language.life import configured, expected_throughput
from tests.profiles import NOW
from tests.steps.language.test_advise import CONFIGS

LIFE = {
    "model": {"config": "config.json"},
    "request": {"input_tokens": 1000, "output_tokens": 200},
    "serving": {"device": "h100_sxm", "device_usd_per_hour": 4},
}


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CONFIGS / "llama-3.1-8b.json", tmp_path / "config.json")
    return tmp_path


def written(folder, **changes):
    tree = {"name": "a life", "traffic": {"requests_per_s": 30}, "lifecycle": LIFE | changes}
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(tree))
    return folder / "w.yaml"


def assumed(told):
    return {entry.input: entry for entry in told.assumed}


def test_the_figures_are_those_of_the_configuration_and_say_so(folder):
    life, architecture = configured(Lifecycle(model=LifeModel(config="config.json")), folder)

    assert (8_030_261_248, None, 2.0, 131_072) == msgspec.structs.astuple(life.model)[:4] and life.model.config is None
    assert architecture.parameters == life.model.parameters
    assert all("config.json, sha256 " in source for source in life.sources.values()) and "active_parameters" not in life.sources


def test_of_experts_the_active_parameters_are_a_part(folder):
    shutil.copy(CONFIGS / "qwen3-30b-a3b.json", folder / "config.json")

    life, _ = configured(Lifecycle(model=LifeModel(config="config.json")), folder)

    assert 3e9 < life.model.active_parameters < 4e9 < 30e9 < life.model.parameters < 31e9


def test_without_a_configuration_nothing_changes(folder):
    life = Lifecycle(model=LifeModel(parameters=8e9))

    assert (life, None) == configured(life, folder) and (Lifecycle(), None) == configured(Lifecycle(), folder)


def test_devices_are_counted_by_what_one_is_expected_to_serve_in_place_of_an_assumed_share_of_its_peak(folder):
    told = assumed(classify_file(written(folder), None, now=NOW))

    served = told["device_requests_per_s"].estimate
    assert (
        served.low < served.value < served.high and "projected" == served.basis and "h100_sxm with bf16 weights" in served.source
    )
    assert "serving_mfu_fraction" not in told and told["device_requests_per_s"].is_given


def test_a_fleet_is_still_not_full_all_day(folder):
    told = assumed(classify_file(written(folder), None, now=NOW))

    assert told["fleet_utilization_fraction"].estimate.value < 1 and not told["fleet_utilization_fraction"].is_given


@pytest.mark.parametrize(
    "serving",
    [
        {"device": "h100_sxm", "device_usd_per_hour": 4, "device_requests_per_s": 3},
        {"device": "h100_sxm", "device_usd_per_hour": 4, "serving_mfu_fraction": 0.2},
        {"api_model": "gpt-4.1-mini"},
        {"serving_usd_per_hour": 3},
    ],
)
def test_what_the_user_says_of_it_counts_for_more(folder, serving):
    told = assumed(classify_file(written(folder, serving=serving), None, now=NOW))

    given = told.get("device_requests_per_s")
    assert given is None or 3 == given.estimate.value


def test_more_tokens_of_a_request_are_fewer_requests_of_a_device(folder):
    _, architecture = configured(Lifecycle(model=LifeModel(config="config.json")), folder)

    def served(**request):
        life = Lifecycle(request=LifeRequest(input_tokens=1000, output_tokens=200, **request))
        return expected_throughput(architecture, life, "h100_sxm").value

    assert served() > served(reasoning_multiplier=3) > 0
    assert served() / 4 == pytest.approx(served(agent_multiplier=4))
    assert served(cached_tokens=900) > served()


def test_a_large_machine_is_one_of_the_same_devices(folder):
    _, architecture = configured(Lifecycle(model=LifeModel(config="config.json")), folder)
    life = Lifecycle(request=LifeRequest(input_tokens=1000, output_tokens=200))

    assert expected_throughput(architecture, life, "h100_sxm") == expected_throughput(architecture, life, "h100_sxm_8x")


def test_without_the_tokens_of_a_request_nothing_is_expected(folder):
    _, architecture = configured(Lifecycle(model=LifeModel(config="config.json")), folder)

    assert expected_throughput(architecture, Lifecycle(), "h100_sxm") is None
    assert expected_throughput(architecture, Lifecycle(request=LifeRequest(flop_per_request=1e9)), "h100_sxm") is None


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("lifecycle.model.config: gone.json: no such file", {"model": {"config": "gone.json"}}),
        ("lifecycle.model.config: ", {"serving": {"device": "rpi5", "device_usd_per_hour": 0.1}}),
        ("lifecycle.model.config: ", {"request": {"input_tokens": 20_000_000, "output_tokens": 1}}),
    ],
)
def test_what_cannot_be_known_of_it_is_refused_with_the_key(folder, said, changes):
    with pytest.raises(InputError) as refused:
        classify_file(written(folder, **changes), None, now=NOW)

    assert refused.value.fault.replace(f"{folder}/", "").startswith(f"w.yaml: {said}") and refused.value.hint


def test_what_is_not_modeled_is_refused_by_name(folder):
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["MambaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(InputError, match="Mamba"):
        classify_file(written(folder), None, now=NOW)


def test_a_portfolio_counts_its_devices_alike(folder):
    written(folder)
    (folder / "p.yaml").write_bytes(msgspec.yaml.encode({"name": "p", "budget_usd": 1e5, "workloads": [{"workload": "w.yaml"}]}))

    assert 1 == len(plan_portfolio(folder / "p.yaml", now=NOW).choices)


def test_serving_by_a_few_devices_that_hold_it_is_asked_of_no_more(folder):
    _, architecture = configured(Lifecycle(model=LifeModel(config="config.json")), folder)
    request = LifeRequest(input_tokens=1000, output_tokens=200)

    alone = expected_throughput(architecture, Lifecycle(request=request, serving=LifeServing(devices_per_replica=1)), "h100_sxm")

    assert "on 1 x h100_sxm" in alone.source
