"""Money: the cases that once went wrong, each with its right value; and the lifetime cost worked out a second time, in another way."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.steps.classify import classify_file

CASES = Path(__file__).parent / "data" / "money"
NOW = "2026-11-28T00:00:00+00:00"


def told_of(name):
    return classify_file(CASES / f"{name}.yaml", None, now=NOW)


def line(told, what):
    return next(entry.usd for entry in told.verdict.lines if entry.what == what)


def saving_of(told, lever):
    """What a lever saves over the horizon; None where it is not evaluated."""
    found = next((entry for entry in told.outlook.opportunities if entry.lever == lever), None)
    return None if found is None else found.saving_usd_per_year.value * told.horizon_months / 12


def reason_of(told, what):
    return next(entry.reason for entry in told.outlook.not_judged if entry.what == what)


def refused(name):
    with pytest.raises(InputError) as error:
        told_of(name)
    return error.value


# --- the cases -----------------------------------------------------------------------------------------------------------------


def test_a_device_without_a_price_is_asked_for_it_by_its_key():
    error = refused("self-host-noprice")

    assert error.fault.endswith("lifecycle.serving.device: no list has a price of tpu_v6e")
    assert "device_usd_per_hour" in error.hint and "hardware.price_usd_per_hour.tpu_v6e" in error.hint


def test_the_user_s_price_of_a_device_beats_the_list():
    assert 0.30 * 8760 == pytest.approx(line(told_of("own-price-ignored"), "serving").value)


def test_what_is_always_on_is_reserved_and_not_what_growth_brings():
    assert 48_215 == pytest.approx(saving_of(told_of("growth50-24m"), "reserve"), abs=1)


def test_a_model_moves_to_as_many_devices_as_hold_it_and_a_smaller_one_takes_fewer():
    told = told_of("compliance-l4")

    assert saving_of(told, "other-device") is None
    assert "a replica takes 12 of them" in reason_of(told, "Move to another device: l4")
    assert (139_810, 209_714) == pytest.approx((saving_of(told, "quantize"), saving_of(told, "distil")), abs=1)


@pytest.mark.parametrize(
    ("name", "key"),
    [("util0", "lifecycle.serving.fleet_utilization_fraction"), ("r-decline", "lifecycle.ranges.price_decline_per_year: 1.5")],
)
def test_an_impossible_figure_is_refused_by_its_key(name, key):
    assert key in refused(name).fault


def test_those_who_operate_count_where_devices_are_one_s_own():
    told = told_of("selfhost-ops")
    even = next(entry for entry in told.verdict.break_evens if entry.lever == "self-host")

    assert 0 == line(told, "engineers who keep it running").value
    assert 419_000 == pytest.approx(even.requests_per_s * 86_400, rel=2e-3)


def test_a_student_s_labels_cost_money_or_it_is_not_judged():
    told = told_of("student-labels-free")

    assert saving_of(told, "distil") is None and saving_of(told, "fine-tune-small") is None
    assert "usd_per_label" in reason_of(told, "Distil into a smaller model")


def test_the_compute_of_a_larger_model_is_larger_too():
    assert 282_202 <= line(told_of("r-params"), "serving").high


def test_data_that_must_stay_are_not_sold_an_api():
    told = told_of("api-data-must-stay")

    assert "to-api" not in {entry.lever for entry in told.outlook.opportunities}


def test_what_a_source_says_is_of_each_release_is_paid_for_each():
    told = told_of("compliance-12-releases")

    assert 12 * 2 * 30_000 == pytest.approx(line(told, "validation").value)
    assert "fine-tuning" == told.verdict.dominated_by


def test_replicas_are_whole():
    assert 2 * 7 * 3.99 * 8760 == pytest.approx(line(told_of("integer-replicas"), "serving").value)


def test_tokens_fall_in_price_and_hardware_by_itself():
    told = told_of("chatbot-decl")
    credited = line(told, "fine-tuning runs").value + line(told, "labels").value

    assert 139_810 == pytest.approx(line(told, "serving").value, abs=1)
    assert 151_000 == pytest.approx(139_810 + credited - saving_of(told, "to-api"), rel=5e-3)


def test_a_hint_leads_to_a_file_that_is_accepted():
    asked = "lifecycle.model.parameters or lifecycle.fine_tuning_usd"
    told = told_of("noft2")
    assert asked in told.verdict.because
    assert f"not known: give {asked}" in {entry.because for entry in told.verdict.lines}
    assert "inference" == told_of("noft3").verdict.dominated_by


def figures_of(part):
    """All that is no text in a document, by where it stands; whether somebody gave it left out."""
    if isinstance(part, dict):
        return {key: figures_of(value) for key, value in part.items() if key != "is_given"}
    if isinstance(part, list | tuple):
        return [figures_of(entry) for entry in part]
    return None if isinstance(part, str) else part


@pytest.mark.parametrize("serving", ["{}", "{minimum_replicas: 2}", "{api_model: gpt-4.1-mini}", "{device_usd_per_hour: 2}"])
@pytest.mark.parametrize(
    "rest", ["", "fine_tuning: {fine_tuning_tokens: 10 M}", "options: {alternative_devices: [l4, h100_sxm]}"]
)
def test_to_name_the_device_that_is_assumed_changes_no_figure(tmp_path, serving, rest):
    told = []
    for device in ("", "device: h100_sxm_8x, "):
        (tmp_path / "w.yaml").write_text(UNNAMED.format(serving=serving.replace("{", f"{{{device}", 1), rest=rest))
        found = classify_file(tmp_path / "w.yaml", None, now=NOW)
        inputs = {entry.input: entry.estimate for entry in found.assumed}
        told.append((inputs, figures_of(msgspec.to_builtins(msgspec.structs.replace(found, assumed=())))))

    assert told[0] == told[1]
    assert 80e9 == told[0][0]["device_memory_bytes"].value


UNNAMED = """
name: w
traffic: {{requests_per_s: 20}}
lifecycle:
  fine_tunings_per_year: 2
  labels_usd: 100
  model: {{parameters: 8 B}}
  request: {{input_tokens: 1000, output_tokens: 200}}
  serving: {serving}
  {rest}
"""


# --- the day -----------------------------------------------------------------------------------------------------------------

DAY = """
name: w
traffic: {TRAFFIC}
lifecycle:
  fine_tunings_per_year: 0
  labels_usd: 0
  model: {parameters: 8 B}
  request: {input_tokens: 1000, output_tokens: 200}
  serving: {device_usd_per_hour: 4}
"""
RECORD = "arrival_s\n" + "".join(f"{second / 300:.4f}\n" for second in range(3000))
BURSTS = "arrival_s\n" + "".join(f"{second // 100 / 3:.4f}\n" for second in range(3000))


def served(folder, traffic):
    (folder / "even.csv").write_text(RECORD)
    (folder / "bursts.csv").write_text(BURSTS)
    (folder / "w.yaml").write_text(DAY.replace("TRAFFIC", traffic))
    return classify_file(folder / "w.yaml", None, now=NOW)


@pytest.mark.parametrize(
    ("calm", "uneven"),
    [
        ("requests_per_s: 300, diurnal: [1, 1]", "requests_per_s: 300, diurnal: [1, 3]"),
        ("requests_per_s: 300", "requests_per_s: 300, burstiness_cv: 4"),
        ("trace: even.csv", "trace: bursts.csv"),
    ],
)
def test_the_workload_s_own_day_decides_how_many_devices_there_are(tmp_path, calm, uneven):
    before, after = (line(served(tmp_path, traffic), "serving").value for traffic in (calm, uneven))

    assert before < after


def test_a_fleet_follows_a_day_that_is_uneven_and_none_other(tmp_path):
    assert 0 < saving_of(served(tmp_path, "requests_per_s: 300, diurnal: [1, 3]"), "autoscale")
    assert saving_of(served(tmp_path, "requests_per_s: 300, diurnal: [1, 1]"), "autoscale") is None
    assert saving_of(served(tmp_path, "requests_per_s: 300"), "autoscale") is None


# --- the cost once more ----------------------------------------------------------------------------------------------------------

BASE = {
    "horizon_months": 24,
    "fine_tunings_per_year": 2,
    "model": {"parameters": 8e9, "bytes_per_parameter": 2},
    "request": {"input_tokens": 1155, "output_tokens": 211},
    "serving": {"device": "h100_sxm", "device_usd_per_hour": 3.99},
    "fine_tuning": {"fine_tuning_tokens": 1e7},
    "data": {"labels_to_buy": 5000, "usd_per_label": 1},
}
LARGE = {"parameters": 7e10, "bytes_per_parameter": 2}
API = {"api_model": "gpt-4.1-mini"}
OWNED = {"device_price_usd": 30_000, "owned_years": 4, "usd_per_kwh": 0.2}
# Requests a second, and what differs from the above; of a section, what differs within it.
WORKLOADS = [
    (0.001, {}),
    (11.6, {}),
    (300.0, {"growth_per_month": 0.05}),
    (50.0, {"growth_per_month": -0.04, "horizon_months": 17.5}),
    (20.0, {"hardware_price_decline_per_year": 0.2, "discount_per_year": 0.08}),
    (3.0, {"model": LARGE, "serving": {"minimum_replicas": 2}}),
    (80.0, {"model": LARGE | {"active_parameters": 1.3e10}}),
    (0.3, {"model": LARGE, "serving": {"devices_per_replica": 4}}),
    (40.0, {"serving": {"fleet_utilization_fraction": 0.8, "serving_mfu_fraction": 0.3}}),
    (90.0, {"serving": {"device_requests_per_s": 7.0, "fleet_utilization_fraction": 0.9}}),
    (90.0, {"serving": {"device_tokens_per_s": 9000.0, "fleet_utilization_fraction": 1.0}, "growth_per_month": 0.01}),
    (10.0, {"request": {"agent_multiplier": 4, "reasoning_multiplier": 3}, "horizon_months": 12}),
    (2.0, {"serving": API, "token_price_decline_per_year": 0.5, "growth_per_month": 0.1}),
    (2.0, {"serving": API, "request": {"cached_tokens": 600, "batch_fraction": 0.25}, "discount_per_year": 0.1}),
    (5.0, {"serving": API, "team": {"serving_engineer_days_per_month": 8, "migration_engineer_days": 10}}),
    (5.0, {"team": {"serving_engineer_days_per_month": 2, "engineer_usd_per_day": 1000}, "discount_per_year": 0.1}),
    (30.0, {"owned": OWNED, "serving": {"minimum_replicas": 3}}),
    (30.0, {"owned": OWNED | {"owned_devices": 40, "operator_hours_per_month": 20, "operator_usd_per_hour": 50}}),
    (
        1.0,
        {"data": {"labels_per_release": 100, "review_fraction": 0.3, "validation_usd": 1000, "validation_usd_per_release": 7000}},
    ),
    (1.0, {"pre_training": {"pre_training_tokens": 1e11}, "fine_tuning": {"method": "full", "engineer_days_per_release": 3}}),
]


def merged(base, change):
    tree = dict(base)
    for key, value in change.items():
        tree[key] = base.get(key, {}) | value if isinstance(value, dict) else value
    if "api_model" in tree["serving"]:
        tree["serving"] = {"api_model": tree["serving"]["api_model"]}
    return tree


def by_hand(rate, life, inputs):
    """The lines of the cost from the file and what the catalogue says (`inputs`), a month after the other, in plain sums."""
    months = life["horizon_months"]
    course = []
    for month in range(math.ceil(months)):
        part = min(1.0, months - month)
        money = part / (1 + life.get("discount_per_year", 0)) ** (month / 12)
        course.append((money, rate * (1 + life.get("growth_per_month", 0)) ** month, month / 12))
    worth = sum(money for money, _, _ in course)
    request, model, serving = life["request"], life["model"], life["serving"]
    calls, thoughts = request.get("agent_multiplier", 1), request.get("reasoning_multiplier", 1)
    read, cached, generated = request["input_tokens"], request.get("cached_tokens", 0), request["output_tokens"] * thoughts
    active = model.get("active_parameters", model["parameters"])
    team = life.get("team", {})
    day_usd = team.get("engineer_usd_per_day", inputs["engineer_usd_per_day"])
    operators = team.get("serving_engineer_days_per_month", None)
    lines = {"migration": team["migration_engineer_days"] * day_usd if "migration_engineer_days" in team else 0.0}
    if "api_model" in serving:
        now = (read - cached) * 0.4e-6 + cached * 0.1e-6 + generated * 1.6e-6
        later = read * 0.2e-6 + generated * 1.6e-6
        waits = request.get("batch_fraction", 0)
        each = calls * ((1 - waits) * now + waits * later)
        decline = life.get("token_price_decline_per_year", 0)
        lines["serving"] = sum(money * 2_628_000 * r * each * (1 - decline) ** year for money, r, year in course)
        lines["engineers who keep it running"] = 0.0
    else:
        seconds = 2 * active * (read + generated) * calls / (inputs["device_serving_flop_per_s"] * inputs["serving_mfu_fraction"])
        if "device_requests_per_s" in serving:
            seconds = 1 / serving["device_requests_per_s"]
        if "device_tokens_per_s" in serving:
            seconds = (read + generated) * calls / serving["device_tokens_per_s"]
        held = model["parameters"] * model["bytes_per_parameter"] / (80e9 * inputs["weights_memory_fraction"])
        group = serving.get("devices_per_replica") or math.ceil(held)
        load = inputs["fleet_utilization_fraction"]
        serving_usd = 0.0
        for money, r, year in course:
            devices = group * max(serving.get("minimum_replicas", 1), math.ceil(r * seconds / load / group))
            price = serving["device_usd_per_hour"] * (1 - life.get("hardware_price_decline_per_year", 0)) ** year
            hour = devices * price
            if "owned" in life:
                own = life["owned"]
                kilowatts = 0.7 * inputs["busy_power_fraction"] * inputs["power_usage_effectiveness"]
                hour = max(devices, own.get("owned_devices", 0)) * own["device_price_usd"] / (own["owned_years"] * 365 * 24)
                hour += devices * kilowatts * own["usd_per_kwh"]
            serving_usd += money * 730 * hour
        lines["serving"] = serving_usd
        own = life.get("owned", {})
        people = (operators or 0) * day_usd + own.get("operator_hours_per_month", 0) * own.get("operator_usd_per_hour", 0)
        lines["engineers who keep it running"] = people * worth
    releases = life["fine_tunings_per_year"] * months / 12
    tuning, hour = life["fine_tuning"], serving.get("device_usd_per_hour", inputs["device_usd_per_hour"])
    if "owned" in life:
        own = life["owned"]
        hour = own["device_price_usd"] / (own["owned_years"] * 365 * 24)
        hour += 0.7 * inputs["busy_power_fraction"] * inputs["power_usage_effectiveness"] * own["usd_per_kwh"]
    rate_of_training = inputs["device_training_flop_per_s"] * inputs["training_mfu_fraction"] * 3600
    each = (
        (6 if tuning.get("method") == "full" else 4) * active * tuning["fine_tuning_tokens"] * inputs["experiments_per_release"]
    )
    lines["fine-tuning runs"] = releases * each / rate_of_training * hour * worth / months
    lines["engineers who fine-tune"] = releases * tuning.get("engineer_days_per_release", 0) * day_usd * worth / months
    data = life["data"]
    labels = data["labels_to_buy"] + data.get("labels_per_release", 0) * releases
    lines["labels"] = labels * data["usd_per_label"] * (1 + data.get("review_fraction", 0))
    lines["validation"] = data.get("validation_usd", 0) + data.get("validation_usd_per_release", 0) * releases
    lines["pre-training"] = 0.0
    if "pre_training" in life:
        flop = 6 * active * life["pre_training"]["pre_training_tokens"] * inputs["pre_training_experiments"]
        lines["pre-training"] = flop / rate_of_training * hour
    return lines


@pytest.mark.parametrize("at", range(len(WORKLOADS)))
def test_the_lifetime_cost_is_what_a_second_way_of_working_it_out_gives(tmp_path, at):
    rate, change = WORKLOADS[at]
    life = merged(BASE, change)
    path = tmp_path / "w.yaml"
    path.write_bytes(msgspec.yaml.encode({"name": "w", "traffic": {"requests_per_s": rate}, "lifecycle": life}))

    told = classify_file(path, None, now=NOW)

    inputs = {entry.input: entry.estimate.value for entry in told.assumed}
    expected = by_hand(rate, life, inputs)
    found = {entry.what: entry.usd.value if entry.usd is not None else 0.0 for entry in told.verdict.lines}
    assert expected == pytest.approx({name: found[name] for name in expected}, rel=1e-9)
    assert sum(expected.values()) == pytest.approx(told.verdict.total_usd.value, rel=1e-9)


# --- every figure at its border ----------------------------------------------------------------------------------------------

EXTREMES = [0, 1e-12, 0.5, 1, 1.5, 1e3, 1e12]
BORDERS = {
    "horizon_months": [0, 1e-6, 0.5, 600, 601],
    "growth_per_month": [-1, -0.999, 0, 0.2, 1],
    "hardware_price_decline_per_year": EXTREMES,
    "token_price_decline_per_year": EXTREMES,
    "discount_per_year": EXTREMES,
    "fine_tunings_per_year": EXTREMES,
    "usd_per_quality_point_per_year": EXTREMES,
    "quality_gap": EXTREMES,
    "model.parameters": EXTREMES,
    "model.bytes_per_parameter": EXTREMES,
    "model.kv_bytes_per_token": EXTREMES,
    "request.input_tokens": EXTREMES,
    "request.output_tokens": EXTREMES,
    "request.agent_multiplier": EXTREMES,
    "request.reasoning_multiplier": EXTREMES,
    "request.shared_prefix_tokens": EXTREMES,
    "request.batch_fraction": EXTREMES,
    "serving.minimum_replicas": [0, 1, 10**12],
    "serving.devices_per_replica": [0, 1, 10**6],
    "serving.concurrent_requests": EXTREMES,
    "serving.fleet_utilization_fraction": EXTREMES,
    "serving.serving_mfu_fraction": EXTREMES,
    "serving.device_requests_per_s": EXTREMES,
    "serving.device_usd_per_hour": EXTREMES,
    "serving.scale_to_zero_after_s": EXTREMES,
    "serving.batch_hours_per_day": [0, 1e-6, 24, 25],
    "fine_tuning.fine_tuning_tokens": EXTREMES,
    "data.usd_per_label": EXTREMES,
    "data.labels_per_release": EXTREMES,
    "data.validation_usd_per_release": EXTREMES,
    "team.engineer_usd_per_day": EXTREMES,
    "team.serving_engineer_days_per_month": EXTREMES,
    "owned.device_price_usd": EXTREMES,
    "owned.owned_years": EXTREMES,
    "edge.unit_price_usd": EXTREMES,
    "edge.unit_growth_per_month": EXTREMES,
    "options.student_parameters": EXTREMES,
    "options.reserved_discount": EXTREMES,
    "options.spot_discount": EXTREMES,
}
WHOLE = {
    "horizon_months": 24,
    "fine_tunings_per_year": 2,
    "model": {"parameters": 8e9},
    "request": {"input_tokens": 1000, "output_tokens": 100},
    "serving": {"device": "h100_sxm"},
    "fine_tuning": {"fine_tuning_tokens": 1e7},
    "data": {"labels_to_buy": 5000, "usd_per_label": 1},
    "options": {
        "alternative_api": "gpt-4.1-mini",
        "alternative_devices": ["l4", "tpu_v6e"],
        "student_parameters": 1e9,
        "student_labels": 5,
    },
}
REQUIRED = {
    "team": {},
    "owned": {"device_price_usd": 1e4, "owned_years": 3, "usd_per_kwh": 0.2},
    "edge": {"edge_units": 3, "unit_price_usd": 5},
}


CHANGES = st.sampled_from(sorted(BORDERS)).flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(BORDERS[key])))


@settings(deadline=None, max_examples=100)
@given(st.lists(CHANGES, min_size=1, max_size=3), st.sampled_from([1e-9, 2.0, 1e9]), st.sampled_from([None, [1, 0, 3], [1, 1]]))
def test_every_figure_at_its_border_is_computed_or_refused_by_its_key(tmp_path_factory, settings_, rate, diurnal):
    path = tmp_path_factory.mktemp("border") / "w.yaml"
    tree = {**WHOLE, **{name: dict(part) for name, part in WHOLE.items() if isinstance(part, dict)}}
    for key, value in settings_:
        part, _, name = key.rpartition(".")
        if part in REQUIRED:
            tree.setdefault(part, dict(REQUIRED[part]))
        (tree[part] if part else tree)[name] = value
    traffic = {"requests_per_s": rate} | ({"diurnal": diurnal} if diurnal else {})
    path.write_bytes(msgspec.yaml.encode({"name": "w", "traffic": traffic, "lifecycle": tree}))

    try:
        told = classify_file(path, None, now=NOW)
    except InputError as error:
        assert str(path) in error.fault and "lifecycle" in error.fault and error.hint
    else:
        # What is no number would be null in the answer, where there is a number or nothing at all.
        assert told == msgspec.json.decode(msgspec.json.encode(told), type=type(told))
        assert all(entry.usd is None or 0 <= entry.usd.low <= entry.usd.value <= entry.usd.high for entry in told.verdict.lines)
