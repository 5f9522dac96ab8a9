"""One workload file for all commands: what is known is accepted; what is unknown or contradicts itself is refused, by all alike."""

import copy
import json
import re
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.cli import cli
from advisor.errors import InputError
from advisor.files.records import read_json, write_record
from advisor.files.workload import (
    check_again,
    question_of,
    read_question,
    read_workload,
    requests_of,
    tokens_of,
    traffic_of,
    without_use,
)
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.record import Record
from advisor.schema.workload import GenerationWorkload, OfflineWorkload, OnlineWorkload, Quality, Slo, Tokens, TokenSlo, Workload
from advisor.steps.advise import advise_on
from advisor.steps.classify import classify_file, plan_portfolio
from tests import checkpoints
from tests.profiles import NOW, fixed_cost_law, profile

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "advise": ("advise", "profile.json", "-w", "w.yaml"),
    "profile": ("profile", "model.onnx", "-w", "w.yaml"),
    "recommend": ("recommend", "model.onnx", "-w", "w.yaml"),
    "classify": ("classify", "w.yaml"),
    "portfolio": ("portfolio", "portfolio.yaml"),
}
ADVISING = ("advise", "profile", "recommend")
# Every key that can stand beside the others; what excludes others is below.
EVERYTHING = {
    "name": "everything",
    "traffic": {"requests_per_s": 20, "burstiness_cv": 1.5, "diurnal": [1, 2, 1], "items_per_request": {"p50": 1, "p95": 2}},
    "inputs": {"sequence_length": {"p50": 8, "p95": 16, "max": 32}},
    "slo": {"latency_s": "500 ms", "quantile": "90 %"},
    "hardware": {
        "allowed": ["local", "t4"],
        "price_usd_per_hour": {"local": 0.3, "t4": 0.5},
        "provider": "aws",
        "region": "us-east-1",
        "term": "on-demand",
        "prices": "prices.csv",
    },
    "quality": {
        "max_drop": "1 %",
        "metric": "accuracy",
        "data": "data.npz",
        "max_slice_drop": "2 %",
        "calibration": "other.npz",
        "accept": ["fp8"],
    },
    "speculation": {"method": "eagle", "acceptance": "70 %", "draft_tokens": 3},
    "baseline": {
        "hardware": "local",
        "variant": "fp32",
        "max_batch_size": 1,
        "max_queue_delay_s": 0,
        "intra_op_num_threads": 1,
        "instances": 1,
        "replicas": 2,
    },
    "energy": {
        "objective": "cost",
        "max_joules_per_request": 1000,
        "power_usage_effectiveness": 1.2,
        "grid": "FRA",
        "local_power_watts": 50,
    },
    "fleet": {
        "spare_replicas": 1,
        "autoscaling": True,
        "start_s": "30 s",
        "reserved_usd_per_hour": {"local": 0.2},
        "spot_usd_per_hour": {"t4": 0.1},
        "max_spot_fraction": 0.5,
    },
    "lifecycle": {
        "horizon_months": 24,
        "growth_per_month": "2 %",
        "hardware_price_decline_per_year": "10 %",
        "token_price_decline_per_year": "50 %",
        "usd_per_quality_point_per_year": "10 k$",
        "training_device": "l40s",
        "training_device_usd_per_hour": 1.5,
        "discount_per_year": "5 %",
        "fine_tunings_per_year": 2,
        "quality_gap": 0.1,
        "model": {"parameters": "8 B", "active_parameters": "2 B", "bytes_per_parameter": 2, "kv_bytes_per_token": "128 KiB"},
        "request": {
            "input_tokens": 1000,
            "output_tokens": 200,
            "shared_prefix_tokens": 500,
            "cached_tokens": 100,
            "batch_fraction": 0.1,
            "agent_multiplier": 2,
            "reasoning_multiplier": 2,
        },
        "serving": {
            "device": "l4",
            "device_usd_per_hour": 0.8,
            "minimum_replicas": 2,
            "devices_per_replica": 1,
            "concurrent_requests": 4,
            "fleet_utilization_fraction": 0.5,
            "serving_mfu_fraction": 0.2,
            "device_requests_per_s": 3,
            "scale_to_zero_after_s": "15 min",
        },
        "fine_tuning": {
            "method": "lora",
            "fine_tuning_tokens": "10 M",
            "experiments_per_release": 3,
            "engineer_days_per_release": 5,
        },
        "pre_training": {"pre_training_tokens": "1 B", "pre_training_experiments": 2, "pre_training_engineer_days": 10},
        "data": {
            "labels_to_buy": 5000,
            "usd_per_label": 1,
            "labels_per_release": 500,
            "review_fraction": 0.1,
            "validation_usd": 1000,
            "validation_usd_per_release": 200,
            "labels_available": 100,
        },
        "team": {"engineer_usd_per_day": 900, "serving_engineer_days_per_month": 1, "migration_engineer_days": 5},
        "situation": {
            "prompting_exhausted": True,
            "retrieval_exhausted": False,
            "domain_shift": 0.1,
            "knowledge_updates_per_year": 4,
            "data_must_stay": True,
            "is_regulated": False,
            "models_of_one_base": 3,
            "budget_usd": 100000,
        },
        "options": {
            "student_parameters": "1 B",
            "student_input_tokens": 300,
            "student_labels": 1000,
            "student_tokens": "1 M",
            "alternative_api": "gpt-4.1-mini",
            "alternative_devices": ["l40s"],
            "reserved_discount": 0.3,
            "spot_discount": 0.6,
        },
        "ranges": {"requests_per_s": [10, 40]},
        "sources": {"requests_per_s": "a guess"},
    },
    "offline": {"items": 100000, "deadline_s": "10 min", "start_s": "30 s"},
}
# What takes the place of other keys: what is set, and what has to go.
INSTEAD = {
    "a trace": (
        {"traffic.trace": "trace.csv", "traffic.columns": {"arrival": "arrival_s", "sequence_length": None, "unit": "s"}},
        ("traffic.requests_per_s", "traffic.diurnal", "fleet"),
    ),
    "known costs": (
        {"lifecycle.fine_tuning_usd": 5000, "lifecycle.labels_usd": 1000, "lifecycle.pre_training_usd": 0},
        (),
    ),
    "the older name": ({"lifecycle.price_decline_per_year": "10 %"}, ("lifecycle.token_price_decline_per_year",)),
    "devices that are owned": (
        {
            "lifecycle.owned": {
                "device_price_usd": "30 k$",
                "owned_years": 4,
                "usd_per_kwh": 0.2,
                "owned_devices": 8,
                "device_watts": "500 W",
                "operator_hours_per_month": 10,
                "operator_usd_per_hour": 60,
            },
            "lifecycle.serving.device_tokens_per_s": "2 k/s",
            "lifecycle.serving.batch_hours_per_day": 6,
        },
        ("lifecycle.serving.device_requests_per_s", "lifecycle.serving.scale_to_zero_after_s"),
    ),
    "units in the field": (
        {
            "lifecycle.edge": {
                "edge_units": 500,
                "unit_growth_per_month": "2 %",
                "unit_price_usd": 250,
                "unit_years": 3,
                "unit_watts": 15,
                "unit_usd_per_kwh": 0.3,
            },
            "lifecycle.request.flop_per_request": "5 GFLOP",
        },
        ("lifecycle.request.input_tokens",),
    ),
    "tokens": (
        {
            "tokens": {
                "input": {"p50": 100, "p95": 400, "max": "1k"},
                "output": {"p50": 40, "p95": 120, "max": 200},
                "shared_prefix": 20,
            },
            "slo.ttft_s": "400 ms",
            "slo.tpot_s": "150 ms",
            "quality.metric": "perplexity",
        },
        ("traffic.items_per_request", "inputs"),
    ),
    "a trace with tokens": (
        {
            "traffic.trace": "tokens.csv",
            "traffic.columns": {"arrival": "arrival_s", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"},
            "quality.metric": "perplexity",
        },
        ("traffic.requests_per_s", "traffic.diurnal", "fleet"),
    ),
    "a configuration": ({"lifecycle.model": {"config": "config.json"}, "speculation.acceptance": [0.6, "80 %"]}, ()),
    "an API": ({"lifecycle.serving.api_model": "gpt-4.1-mini"}, ("lifecycle.serving.device",)),
    "a known bill": ({"lifecycle.serving.serving_usd_per_hour": 3}, ()),
}


def record_in(kind):
    """The record that a field holds, None where it holds none."""
    kinds = (kind, *get_args(kind))
    return next((each for each in kinds if isinstance(each, type) and issubclass(each, Record)), None)


def may_be_count(kind):
    return kind is int or any(map(may_be_count, get_args(kind)))


def fields(kind, path=()):
    """Yield path, field and the record it is in, for every key at any depth."""
    for field in msgspec.structs.fields(kind):
        yield (*path, field.name), field
        if (inner := record_in(field.type)) is not None:
            yield from fields(inner, (*path, field.name))


# Of a closed loop nobody knows a rate, which others need.
CLOSED = {"traffic": {"clients": 4, "think_s": "5 s"}}

LEAVES = {".".join(path) for path, field in fields(Workload) if record_in(field.type) is None or may_be_count(field.type)}
OPTIONAL = {".".join(path) for path, field in fields(Workload) if not field.required}


def keys(tree, path=()):
    for name, value in tree.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from keys(value, (*path, name))


def within(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def holds(tree, path):
    return not path or (path[0] in tree and holds(tree[path[0]], path[1:]))


def without(tree, *paths):
    tree = copy.deepcopy(tree)
    for path in paths:
        *parts, name = path.split(".")
        within(tree, parts).pop(name, None)
    return tree


def having(tree, values):
    """The tree with values set, by path."""
    tree = copy.deepcopy(tree)
    for path, value in values.items():
        *parts, name = path.split(".")
        within(tree, parts)[name] = value
    return tree


def having_tokens(**parts):
    """Values that make a workload one of a generative model."""
    tokens = {"input": {"p50": 100}, "output": {"p50": 40}} | parts
    return {"tokens": tokens, "traffic.items_per_request": 1, "quality.metric": "perplexity"}


def instead(name):
    values, gone = INSTEAD[name]
    return having(without(EVERYTHING, *gone), values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all that a workload may name, a profile, a model that is none, and a portfolio of one workload."""
    place = tmp_path_factory.mktemp("workload")
    (place / "prices.csv").write_text("provider,region,instance,term,usd_per_hour,date,source\n")
    (place / "config.json").write_text(json.dumps(checkpoints.config_of()))
    for name in ("data.npz", "other.npz", "model.onnx"):
        (place / name).write_bytes(b"")
    rows = "".join(f"{index / 20},{index % 50 + 1},{index % 9 + 1}\n" for index in range(200))
    (place / "tokens.csv").write_text(f"arrival_s,ContextTokens,GeneratedTokens\n{rows}")
    (place / "trace.csv").write_text("arrival_s\n" + "".join(f"{index / 20}\n" for index in range(200)))
    (place / "portfolio.yaml").write_text("name: p\nbudget_usd: 1000\nworkloads: [{workload: w.yaml}]\n")
    write_record(place / "profile.json", profile(fixed_cost_law(0.005, 0.0005), lengths=(8, 16, 32)))
    return place


@pytest.fixture
def refusals(folder, monkeypatch):
    """Has commands read a workload that they refuse; returns the line of each, by the name of the command."""
    monkeypatch.chdir(folder)

    def read(tree, *commands):
        write(folder, tree)
        return {name: refusal(COMMANDS[name]) for name in commands or COMMANDS}

    return read


def write(folder, tree):
    (folder / "w.yaml").write_bytes(msgspec.yaml.encode(tree))
    return folder / "w.yaml"


def refusal(arguments):
    ended = CliRunner().invoke(cli, arguments)
    assert isinstance(ended.exception, InputError), f"{arguments}: {ended.output} {ended.exception}"
    assert ended.exception.hint
    return ended.exception.fault


# --- what is known -------------------------------------------------------------------------------------------------------


def test_the_examples_here_hold_every_key_of_the_record():
    trees = (EVERYTHING, *(instead(name) for name in INSTEAD), CLOSED)

    assert LEAVES <= {".".join(path) for tree in trees for path in keys(tree)}


@pytest.mark.parametrize("tree", [EVERYTHING, *map(instead, INSTEAD)], ids=["everything", *INSTEAD])
def test_every_command_accepts_every_key(folder, tree):
    for_offline, for_online = without(tree, "slo"), without(tree, "offline")

    assert "everything" == classify_file(write(folder, tree), None, now=NOW).workload
    assert 1 == len(plan_portfolio(folder / "portfolio.yaml", now=NOW).choices)
    kind = GenerationWorkload if "tokens" in tree or "output_tokens" in tree["traffic"].get("columns", {}) else OnlineWorkload
    assert isinstance(read_question(write(folder, for_online)), kind)
    assert isinstance(read_question(write(folder, for_offline)), OfflineWorkload)


def test_advice_is_given_on_a_workload_that_holds_every_key(folder):
    online = advise_on(folder / "profile.json", write(folder, without(EVERYTHING, "offline")), now=NOW)
    offline = advise_on(folder / "profile.json", write(folder, without(EVERYTHING, "slo")), now=NOW)

    assert (Advice, OfflineAdvice) == (type(online), type(offline))
    assert online.fleet is not None and online.outlook is not None


def test_advice_on_a_batch_job_says_what_it_has_no_use_for(folder):
    advice = advise_on(folder / "profile.json", write(folder, without(EVERYTHING, "slo")), now=NOW)

    assert ["traffic", "lifecycle", "baseline", "energy", "fleet"] == [entry.what for entry in advice.exclusions[:5]]


@settings(deadline=None, max_examples=25)
@given(st.sets(st.sampled_from(sorted(OPTIONAL - {"traffic", "traffic.requests_per_s", "lifecycle.model.parameters"}))))
def test_whatever_is_left_out_of_a_workload_it_can_be_classified(tmp_path_factory, gone):
    path = write(tmp_path_factory.mktemp("part"), pruned(without(EVERYTHING, "hardware.prices"), gone))

    assert "everything" == classify_file(path, None, now=NOW).workload


@settings(deadline=None, max_examples=25)
@given(st.sets(st.sampled_from(sorted(OPTIONAL))), st.sampled_from(["slo", "offline"]))
def test_whatever_is_left_out_of_a_workload_no_known_key_is_held_against_it(folder, gone, other):
    path = write(folder, pruned(EVERYTHING, gone | {other}))

    try:
        read_question(path)
    except InputError as error:
        key = error.fault.removeprefix(f"{path}: ")
        assert key.startswith(("traffic: give either", "hardware.price_usd_per_hour: no price")) or ": missing; " in key


def pruned(tree, gone):
    """The tree without some of its optional keys."""
    paths = sorted(path for path in gone if path in {".".join(found) for found in keys(tree)})
    tops = [path for path in paths if not any(path.startswith(f"{other}.") for other in paths)]
    return without(tree, *tops)


# --- what is not known ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", *(".".join(path) for path, field in fields(Workload) if record_in(field.type))])
def test_every_command_refuses_a_key_that_nobody_knows_at_any_depth(refusals, part):
    names = [name for name in part.split(".") if name]
    tree = copy.deepcopy(next(tree for tree in (EVERYTHING, *map(instead, INSTEAD)) if holds(tree, names)))
    within(tree, names)["nobody_knows_it"] = 1
    said = f"{part}.nobody_knows_it: unknown key".lstrip(".")

    assert dict.fromkeys(COMMANDS, f"w.yaml: {said}") == refusals(tree)


@pytest.mark.parametrize(
    ("key", "said", "value"),
    [
        ("hardware.allowed", "hardware.allowed: 'h99' is neither", ["local", "h99"]),
        ("hardware.price_usd_per_hour", "hardware.price_usd_per_hour: 't5' is neither", {"local": 1, "t5": 1}),
        ("fleet.reserved_usd_per_hour", "fleet.reserved_usd_per_hour: 't5' is neither", {"t5": 1}),
        ("fleet.spot_usd_per_hour", "fleet.spot_usd_per_hour: 't5' is neither", {"t5": 1}),
        ("energy.grid", "energy.grid: 'XYZ' is not known", "XYZ"),
        ("quality.metric", "quality.metric: there is no 'acuracy'", "acuracy"),
        ("lifecycle.serving.device", "lifecycle.serving.device: 'h99' is neither", "h99"),
        ("lifecycle.serving.api_model", "lifecycle.serving.api_model: 'gpt-9' is not in the price list", "gpt-9"),
        ("lifecycle.options.alternative_api", "lifecycle.options.alternative_api: 'gpt-9' is not in", "gpt-9"),
        ("lifecycle.options.alternative_devices", "lifecycle.options.alternative_devices: 'h99' is neither", ["h99"]),
        ("lifecycle.ranges", "lifecycle.ranges.tokens: no such figure is given", {"tokens": [1, 2]}),
        ("lifecycle.sources", "lifecycle.sources.tokens: no such figure is given", {"tokens": "a guess"}),
    ],
)
def test_every_command_refuses_a_name_that_nobody_knows(refusals, key, said, value):
    faults = refusals(having(without(EVERYTHING, "offline"), {key: value}))

    assert 1 == len(set(faults.values())) and faults["classify"].startswith(f"w.yaml: {said}")


@pytest.mark.parametrize("name", ["T4", "tesla t4", "g4dn.xlarge"])
def test_a_device_may_have_any_of_its_names_wherever_the_workload_names_one(folder, name):
    values = {
        "hardware.allowed": ["local", name, "t4"],
        "hardware.price_usd_per_hour": {"local": 0.3, name: 0.5},
        "fleet.spot_usd_per_hour": {name: 0.1},
        "baseline.hardware": name,
        "lifecycle.training_device": name,
        "lifecycle.options.alternative_devices": [name],
        "lifecycle.serving.device": name,
    }

    read = read_workload(write(folder, having(EVERYTHING, values)))

    assert ("local", "t4") == read.hardware.allowed and {"local": 0.3, "t4": 0.5} == read.hardware.price_usd_per_hour
    assert {"t4": 0.1} == read.fleet.spot_usd_per_hour
    life = read.lifecycle
    found = (read.baseline.hardware, life.training_device, *life.options.alternative_devices, life.serving.device)
    assert {"t4"} == set(found) and 4 == len(found)


def test_one_device_with_two_prices_under_two_names_is_refused(refusals):
    tree = having(without(EVERYTHING, "offline"), {"hardware.price_usd_per_hour": {"local": 0.3, "t4": 0.5, "T4": 0.6}})

    assert "hardware.price_usd_per_hour: 'T4' is t4, which has a price already" in refusals(tree, "classify")["classify"]


# --- what contradicts itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("traffic: give either requests_per_s or trace", {"traffic.trace": "trace.csv"}),
        ("traffic: give either requests_per_s or trace", {"traffic": {}}),
        ("traffic.diurnal: a trace has its own course", {"traffic": {"trace": "trace.csv", "diurnal": [1, 2]}}),
        ("traffic.diurnal: no part of the day has any requests", {"traffic.diurnal": [0, 0]}),
        ("traffic.columns: there is no trace", {"traffic.columns": {"arrival": "t"}}),
        ("traffic.items_per_request: p50 and p95 must ascend", {"traffic.items_per_request": {"p50": 9, "p95": 8}}),
        ("traffic.items_per_request: 10,001 is more than", {"traffic.items_per_request": 10_001}),
        ("traffic.burstiness_cv: 11.0 is more than", {"traffic.burstiness_cv": 11}),
        ("fleet: needs traffic.requests_per_s", {"traffic": {"trace": "trace.csv"}}),
        ("inputs.sequence_length: p50, p95 and max must ascend: p95 of 4 is below p50 of 8", {"inputs.sequence_length.p95": 4}),
        ("inputs.sequence_length: p50, p95 and max must ascend: max of 9 is below p95 of 16", {"inputs.sequence_length.max": 9}),
        ("inputs.sequence_length: 100,000,000 is more than", {"inputs.sequence_length.max": 100_000_000}),
        ("slo.quantile: 0.99999 is more than", {"slo.quantile": 0.99999}),
        ("slo.ttft_s: 2 s until the first token, but latency_s has the last one after 500 ms", {"slo.ttft_s": "2 s"}),
        (
            "tokens.input: p50, p95 and max must ascend: p95 of 50 is below p50 of 100",
            having_tokens(input={"p50": 100, "p95": 50}),
        ),
        (
            "tokens.output: p50, p95 and max must ascend: max of 30 is below p50 of 40",
            having_tokens(output={"p50": 40, "max": 30}),
        ),
        ("tokens.output.p50: 0: expected `int` >= 1", having_tokens(output={"p50": 0})),
        ("tokens.input: 100,000,000 is more than", having_tokens(input={"p50": 100, "max": "100 M"})),
        (
            "tokens.shared_prefix: 100 tokens that all prompts share, but half of the prompts have 100",
            having_tokens(shared_prefix=100),
        ),
        ("traffic.items_per_request: a request to a generative model", {**having_tokens(), "traffic.items_per_request": 2}),
        ("slo.tpot_s: a target for each token after the first", {**having_tokens(output={"p50": 1}), "slo.tpot_s": "50 ms"}),
        (
            "traffic: both clients and requests_per_s are given",
            {**having_tokens(), "traffic": {"clients": 2, "requests_per_s": 1}},
        ),
        ("traffic: both clients and trace are given", {**having_tokens(), "traffic": {"clients": 2, "trace": "trace.csv"}}),
        ("traffic: both clients and diurnal are given", {**having_tokens(), "traffic": {"clients": 2, "diurnal": [1, 2]}}),
        ("traffic: both clients and burstiness_cv are given", {**having_tokens(), "traffic": {"clients": 2, "burstiness_cv": 2}}),
        ("traffic.clients: a closed loop of clients is simulated of generative models alone", {"traffic": {"clients": 2}}),
        ("traffic.think_s: without clients nobody thinks", {"traffic.think_s": 1}),
        (
            "traffic.columns: both input_tokens and sequence_length are given",
            {"traffic": {"trace": "trace.csv", "columns": {"input_tokens": "a", "sequence_length": "b"}}},
        ),
        ("lifecycle.horizon_months: 1,200.0 is more than", {"lifecycle.horizon_months": "100 years"}),
        (
            "lifecycle: both price_decline_per_year and token_price_decline_per_year are given",
            {"lifecycle.price_decline_per_year": 0.1},
        ),
        ("lifecycle.request: both input_tokens and flop_per_request", {"lifecycle.request.flop_per_request": 1e9}),
        ("lifecycle.request: cached_tokens is more", {"lifecycle.request.cached_tokens": 2000}),
        (
            "lifecycle.serving: both device_requests_per_s and device_tokens_per_s",
            {"lifecycle.serving.device_tokens_per_s": 100},
        ),
        (
            "lifecycle.serving: both scale_to_zero_after_s and batch_hours_per_day",
            {"lifecycle.serving.batch_hours_per_day": 3},
        ),
        (
            "lifecycle: both serving.serving_usd_per_hour and edge are given",
            {"lifecycle.serving.serving_usd_per_hour": 1, "lifecycle.edge": {"edge_units": 1, "unit_price_usd": 1}},
        ),
        ("lifecycle.ranges.growth_per_month: 0.5 is above 0", {"lifecycle.ranges": {"growth_per_month": [0.5, 0]}}),
        (
            "lifecycle.ranges.token_price_decline_per_year: 1.5: expected `float` < 1.0",
            {"lifecycle.ranges": {"token_price_decline_per_year": [0, 1.5]}},
        ),
        ("lifecycle.ranges.usd_per_label: -1: expected", {"lifecycle.ranges": {"usd_per_label": [-1, 2]}}),
        ("lifecycle.ranges.minimum_replicas: 1.5: expected `int`", {"lifecycle.ranges": {"minimum_replicas": [1.5, 2]}}),
        ("lifecycle.ranges.horizon_months: 1,000", {"lifecycle.ranges": {"horizon_months": [1, 1000]}}),
        (
            "lifecycle.growth_per_month: 1 a month for 600 months is more traffic",
            {"lifecycle.growth_per_month": 1, "lifecycle.horizon_months": 600},
        ),
        ("lifecycle.model: more parameters are active", {"lifecycle.model.active_parameters": "9 B"}),
        ("lifecycle.model.parameters: missing; ", {"lifecycle.model": {"kv_bytes_per_token": 1000}}),
        ("lifecycle.model: both config and parameters are given", {"lifecycle.model.config": "config.json"}),
        (
            "lifecycle.model: both config and bytes_per_parameter are given",
            {"lifecycle.model": {"config": "config.json", "bytes_per_parameter": 1}},
        ),
        ("speculation.acceptance: 0.8 to 0.6: the ends of a range must ascend", {"speculation.acceptance": [0.8, 0.6]}),
        ("speculation.acceptance: 1.5: expected `float` <= 1.0", {"speculation.acceptance": 1.5}),
        ("quality.accept[0]: 'fp7': invalid enum value 'fp7'", {"quality.accept": ["fp7"]}),
        ("lifecycle.request: shared_prefix_tokens is more", {"lifecycle.request.shared_prefix_tokens": 2000}),
        (
            "lifecycle.serving: both api_model and serving_usd_per_hour are given",
            {"lifecycle.serving.api_model": "gpt-4.1-mini", "lifecycle.serving.serving_usd_per_hour": 1},
        ),
        (
            "lifecycle.ranges.requests_per_s: 3.0: expected `array`",
            {"lifecycle.ranges": {"horizon_months": [1, 40], "requests_per_s": 3}},
        ),
        ("lifecycle.ranges.requests_per_s: expected `array` of length <= 2", {"lifecycle.ranges": {"requests_per_s": [1, 2, 3]}}),
        ("hardware.price_usd_per_hour.local: -1.0: expected `float` >", {"hardware.price_usd_per_hour": {"local": -1}}),
        (
            "lifecycle.ranges.requests_per_s: 20 does not lie within 30 and 40",
            {"lifecycle.ranges": {"requests_per_s": [30, 40]}},
        ),
    ],
)
def test_every_command_refuses_what_contradicts_itself(refusals, said, values):
    faults = refusals(having(without(EVERYTHING, "offline"), values))

    assert 1 == len(set(faults.values())) and faults["classify"].startswith(f"w.yaml: {said}")


def test_a_trace_outside_of_the_interval_of_its_rate_is_refused_by_name(folder, refusals):
    tree = having(instead("a trace"), {"lifecycle.ranges": {"requests_per_s": [30, 40]}})

    assert "lifecycle.ranges.requests_per_s: 20 does not lie within 30 and 40" in refusals(tree, "classify")["classify"]
    assert refusals(tree, "portfolio")["portfolio"].startswith("w.yaml: lifecycle.ranges.requests_per_s")


# --- what a command needs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [OnlineWorkload, OfflineWorkload])
def test_what_advice_cannot_do_without_is_asked_for_with_the_commands_that_need_it(refusals, kind):
    tree = without(EVERYTHING, "offline" if kind is OnlineWorkload else "slo")
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required and field.name not in ("name", "offline")]

    for part in needed:
        faults = refusals(without(tree, part), *ADVISING)
        assert {f"w.yaml: {part}: missing; advisor advise, profile -w and recommend need it"} == set(faults.values())


def test_all_that_is_missing_is_named_at_once_with_an_example(folder):
    with pytest.raises(InputError, match="slo, hardware: missing") as refused:
        read_question(write(folder, {"name": "a", "traffic": {"requests_per_s": 1}}))

    assert "slo: {latency_s: 50 ms}" in refused.value.hint and "offline: {items" in refused.value.hint


def test_the_way_out_that_is_shown_leads_out(folder):
    tree = {"name": "a"}
    for _ in range(2):
        try:
            read_question(write(folder, tree))
        except InputError as error:
            shown = re.findall(r"(traffic|slo|hardware): (\{.*?\}+)", error.hint)
            tree |= {part: msgspec.yaml.decode(example) for part, example in shown}

    assert isinstance(read_question(write(folder, tree)), OnlineWorkload)


def test_a_price_of_the_machine_is_needed_for_advice_alone(folder, refusals):
    tree = having(without(EVERYTHING, "offline"), {"hardware.price_usd_per_hour": {"t4": 1}})

    faults = refusals(tree, *ADVISING)

    assert 1 == len(set(faults.values()))
    assert faults["profile"].startswith("w.yaml: hardware.price_usd_per_hour: no price for 'local'")
    assert classify_file(folder / "w.yaml", None, now=NOW)


@pytest.mark.parametrize("key", ["quality.data", "quality.calibration", "hardware.prices"])
def test_files_are_asked_for_by_those_who_open_them(folder, refusals, key):
    tree = having(without(EVERYTHING, "offline"), {key: "nowhere"})

    assert {f"w.yaml: {key}: nowhere: no such file"} == set(refusals(tree, *ADVISING).values())
    if key == "hardware.prices":
        assert "hardware.prices: nowhere: no such file" in refusals(tree, "classify")["classify"]
    assert classify_file(write(folder, without(tree, key, "quality", "hardware.prices")), None, now=NOW)


def test_without_traffic_nothing_is_classified(refusals):
    faults = refusals(without(EVERYTHING, "traffic"), "classify", "portfolio")

    assert {"w.yaml: traffic: missing; advisor classify and portfolio need it"} == set(faults.values())


def test_name_and_traffic_are_enough_to_be_classified(folder):
    path = write(folder, {"name": "a", "traffic": {"requests_per_s": 1}})

    assert ("a", 1.0) == (classify_file(path, None, now=NOW).workload, traffic_of(read_workload(path), path)[0])


def test_two_targets_in_one_file_are_not_chosen_between(folder, refusals):
    faults = refusals(EVERYTHING, *ADVISING)

    assert {"w.yaml: slo, offline: two targets, but advisor advise, profile -w and recommend take one"} == set(faults.values())
    assert classify_file(folder / "w.yaml", None, now=NOW)


# --- what is made of it --------------------------------------------------------------------------------------------------


def test_the_parts_that_advice_is_about_are_those_of_the_workload_and_all_of_them_are_of_use():
    whole = {field.name: record_in(field.type) for field in msgspec.structs.fields(Workload)}
    online, offline, generation = (
        {field.name: record_in(field.type) for field in msgspec.structs.fields(kind)}
        for kind in (OnlineWorkload, OfflineWorkload, GenerationWorkload)
    )

    # Of the quality part of a file, advice has the floor, and beside it what is accepted.
    assert whole | {"quality": Quality} == {name: it for name, it in (online | offline | generation).items() if name != "accept"}
    assert (Slo, TokenSlo) == (online["slo"], generation["slo"])


def test_advice_in_its_file_says_on_what_it_is(folder):
    for gone, kind, record in (("offline", "online", Advice), ("slo", "offline", OfflineAdvice)):
        advice = advise_on(folder / "profile.json", write(folder, without(EVERYTHING, gone)), now=NOW)
        write_record(folder / "advice.json", advice)

        assert kind == msgspec.json.decode((folder / "advice.json").read_bytes())["kind"]
        assert advice == read_json(folder / "advice.json", record, made_by="")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 500), min_size=100, max_size=240))
def test_the_lengths_of_a_trace_are_reported_by_its_quantiles(folder, lengths):
    rows = "".join(f"{index / 10},{length}\n" for index, length in enumerate(lengths))
    (folder / "lengths.csv").write_text(f"arrival_s,sequence_length\n{rows}")
    tree = having(without(instead("a trace"), "offline", "inputs", "lifecycle"), {"traffic.trace": "lengths.csv"})

    found = read_question(write(folder, tree)).inputs.sequence_length

    expected = np.quantile(lengths, (0.5, 0.95), method="inverted_cdf")
    assert [*expected, max(lengths)] == [found.p50, found.p95, found.max]


# --- generative models -----------------------------------------------------------------------------------------------------


def generation(**values):
    return having(
        {
            "name": "chat",
            "traffic": {"requests_per_s": 0.5},
            "tokens": {"input": {"p50": 100, "p95": "0.4k"}, "output": {"p50": 40}, "shared_prefix": 10},
            "slo": {"ttft_s": "500 ms", "tpot_s": 0.15, "quantile": "90 %"},
            "hardware": {"price_usd_per_hour": {"local": 0.3}},
        },
        {key.replace("__", "."): value for key, value in values.items()},
    )


def test_tokens_and_targets_on_them_are_read_with_their_units(folder):
    asked = read_question(write(folder, generation(slo__latency_s="2 min")))

    assert TokenSlo(ttft_s=0.5, tpot_s=0.15, latency_s=120.0, quantile=0.9) == asked.slo
    assert (400, 40, 10) == (asked.tokens.input.p95, asked.tokens.output.p50, asked.tokens.shared_prefix)


@pytest.mark.parametrize("target", ["ttft_s", "tpot_s", "latency_s"])
def test_any_target_is_one_for_a_generative_model(folder, target):
    asked = read_question(write(folder, generation(slo={target: "2 s"})))

    assert isinstance(asked, GenerationWorkload) and 2.0 == getattr(asked.slo, target)


def test_a_target_alone_is_one_for_a_model_of_one_pass(folder):
    asked = read_question(write(folder, without(generation(slo={"latency_s": "2 s"}), "tokens")))

    assert isinstance(asked, OnlineWorkload) and Slo(latency_s=2.0) == asked.slo


@pytest.mark.parametrize("values", [{"slo": {"ttft_s": 1}}, {"slo": {"tpot_s": 1}}])
def test_a_target_on_tokens_asks_for_their_number(folder, values):
    with pytest.raises(InputError, match="tokens: missing; advisor advise") as refused:
        read_question(write(folder, without(generation(**values), "tokens")))

    assert "tokens: {input: {p50: 100" in refused.value.hint


def test_a_target_without_a_time_is_none(folder):
    for tree, key in (
        (generation(slo={"quantile": 0.9}), "slo.ttft_s"),
        (having(without(EVERYTHING, "offline"), {"slo": {}}), "slo.latency_s"),
    ):
        with pytest.raises(InputError, match=f"{key}: missing; advisor advise"):
            read_question(write(folder, tree))


def test_closed_loops_are_for_those_who_need_no_rate(folder, refusals):
    tree = having(generation(), CLOSED)

    assert (4, 5.0) == ((asked := read_question(write(folder, tree))).traffic.clients, asked.traffic.think_s)
    assert "w.yaml: traffic.clients: how many requests a second they send" in refusals(tree, "classify")["classify"]


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("quality.metric: accuracy: a generative model is judged by perplexity", {"metric": "accuracy", "data": "data.npz"}),
        ("quality.data: texts:load: no file of text", {"metric": "perplexity", "data": "texts:load"}),
        ("quality.data: gone.txt: no such file", {"metric": "perplexity", "data": "gone.txt"}),
    ],
)
def test_a_generative_model_is_judged_on_a_text(refusals, said, values):
    faults = refusals(generation(quality={"max_drop": 0.05} | values), *ADVISING)

    assert {f"w.yaml: {said}"} == {fault[: len(f"w.yaml: {said}")] for fault in faults.values()}


def test_the_tokens_of_a_trace_are_reported_by_its_quantiles(folder):
    tree = without(generation(traffic={"trace": "tokens.csv"}), "tokens")
    asked = read_question(path := write(folder, tree))

    tokens = tokens_of(asked, path)

    assert asked.tokens is None and isinstance(tokens, Tokens)
    assert ((25, 48, 50), (5, 9, 9)) == tuple((it.p50, it.p95, it.max) for it in (tokens.input, tokens.output))
    assert 200 == len(requests_of(asked, path).output_tokens)


def test_a_trace_without_the_tokens_that_a_target_is_on_is_refused(refusals):
    faults = refusals(without(generation(traffic={"trace": "trace.csv"}), "tokens"), *ADVISING)

    assert 1 == len(set(faults.values())) and "trace.csv: no lengths in tokens" in faults["advise"]


def test_with_tokens_of_its_own_a_workload_needs_only_the_times_of_a_trace(folder):
    asked = read_question(path := write(folder, generation(traffic={"trace": "trace.csv"})))

    assert asked.tokens == tokens_of(asked, path) and requests_of(asked, path).input_tokens is None


def test_advice_on_a_generative_model_says_what_it_has_no_use_for(folder):
    quality = {"metric": "perplexity", "max_drop": 0.1, "max_slice_drop": 0.1}
    workload = read_workload(path := write(folder, generation(inputs={"sequence_length": {"p50": 8}}, fleet={}, quality=quality)))

    unused = without_use(workload, question_of(workload, path))

    assert ["inputs", "fleet", "quality.max_slice_drop"] == [entry.what for entry in unused]


def test_precisions_may_be_accepted_without_a_floor_and_beside_one(folder):
    alone = read_question(write(folder, generation(quality={"accept": ["fp8", "int4"]})))
    beside = read_question(
        path := write(folder, generation(quality={"metric": "perplexity", "max_drop": 0.1, "accept": ["fp8"]}))
    )

    assert (None, ("fp8", "int4")) == (alone.quality, alone.accept)
    assert (0.1, ("fp8",)) == (beside.quality.max_drop, beside.accept)
    check_again(alone, path)
    check_again(beside, path)


@pytest.mark.parametrize(
    ("lacks", "has"), [("quality.metric", {"max_drop": 0.1}), ("quality.max_drop", {"metric": "perplexity"})]
)
@pytest.mark.parametrize("accept", [(), ("fp8",)])
def test_a_floor_needs_both_its_metric_and_what_it_allows(refusals, lacks, has, accept):
    faults = refusals(generation(quality={**has, "accept": list(accept)}), *ADVISING)

    assert {f"w.yaml: {lacks}: missing; advisor advise, profile -w and recommend need it"} == set(faults.values())


def test_an_empty_floor_is_none_of_what_is_needed(refusals):
    assert "quality.metric: missing" in refusals(generation(quality={}), "advise")["advise"]


def test_what_runs_elsewhere_alone_needs_no_price_of_this_machine(folder, refusals):
    elsewhere = {"hardware": {"allowed": ["l4", "h100_sxm"]}}

    assert ("l4", "h100_sxm") == read_question(write(folder, having(generation(), elsewhere))).hardware.allowed
    here = having(generation(), {"hardware": {"allowed": ["local", "l4"]}})
    assert "no price for 'local'" in refusals(here, "advise")["advise"]


def test_of_a_language_model_elsewhere_other_parts_are_without_use(folder):
    tree = generation(
        quality={"metric": "perplexity", "max_drop": 0.0, "accept": ["fp8"]},
        baseline={"replicas": 2},
        speculation={"draft_tokens": 2},
    )
    workload = read_workload(path := write(folder, tree))
    question = question_of(workload, path)

    here, elsewhere = without_use(workload, question), without_use(workload, question, is_elsewhere=True)

    assert ["speculation", "quality.accept"] == [entry.what for entry in here]
    assert ["baseline", "quality.max_drop", "quality.metric"] == [entry.what for entry in elsewhere]
    assert all("advice on a language model elsewhere" in entry.reason for entry in elsewhere)


def test_what_contradicts_itself_in_saved_advice_is_damage(folder):
    asked = read_question(path := write(folder, generation()))
    damaged = msgspec.structs.replace(asked, tokens=msgspec.structs.replace(asked.tokens, shared_prefix=100))

    check_again(asked, path)
    with pytest.raises(InputError, match=r"workload\.tokens\.shared_prefix"):
        check_again(damaged, path)


# --- what is said of it --------------------------------------------------------------------------------------------------


def keys_in_the_documentation():
    """The keys of the first cell of each row; what has no dot stands beside the first of its row."""
    table = (ROOT / "docs" / "workload.md").read_text().split("| key | meaning | default |\n")[1].split("\n\n")[0]
    for row in table.splitlines()[1:]:
        first, *others = re.findall(r"`([^`]+)`", row.split("|")[1])
        parent = first.rpartition(".")[0]
        yield first
        yield from (name if "." in name else f"{parent}.{name}".lstrip(".") for name in others)


def test_the_documentation_has_a_row_for_every_key_and_for_no_other():
    assert sorted(LEAVES) == sorted(keys_in_the_documentation())


def keys_in_the_help():
    """The keys that `advisor classify --help` lists: a part, then its keys, over lines that are indented further."""
    text = CliRunner().invoke(cli, ["classify", "--help"]).output.split("Keys of the workload file")[1]
    for line in re.sub(r",\n {6}", ", ", re.sub(r"\n {6}", " ", text)).splitlines()[1:]:
        part, _, names = line.strip().rpartition(": ")
        yield from (f"{part}.{name}".lstrip(".") for name in re.split(r",\s+", names))


def test_the_help_of_classify_names_every_key():
    assert sorted(LEAVES) == sorted(keys_in_the_help())
