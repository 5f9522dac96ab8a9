"""`advisor classify`, `portfolio`, `explain` and `rules test`: from a file to the answer, without a model and without what takes long."""

import json
import math
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from advisor import cli
from advisor.errors import InputError
from advisor.files.records import write_record
from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioPlan
from advisor.steps.classify import plan_portfolio
from advisor.tell.charts.page import chart_scripts
from tests import profiles

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "examples" / "scenarios" / "content-moderation.yaml"
NOW = "2026-11-22T08:00:00+00:00"
RULE = """
id: busy
title: The replicas are busy
favours: inference
weight: 1
when: utilization_fraction > 0.8 and replicas > 1
why: "{replicas} replicas work {utilization_fraction} of the time."
source: {what: a test, date: "2026-11-22"}
examples:
  fires: {utilization_fraction: 0.9, replicas: 2}
  silent: {utilization_fraction: 0.9, replicas: 1}
"""
SMALL = """
name: small
traffic: {requests_per_s: 40 k/day}
lifecycle:
  fine_tunings_per_year: 0
  labels_usd: 0
  serving: {serving_usd_per_hour: 0.02}
"""
TUNED = """
name: tuned
traffic: {requests_per_s: 1 M/day}
lifecycle:
  horizon_months: 24
  fine_tunings_per_year: 2
  model: {parameters: 8 B}
  request: {input_tokens: 1155, output_tokens: 211}
  serving: {device: h100_sxm, device_usd_per_hour: 3.99}
  fine_tuning: {fine_tuning_tokens: 10 M}
  data: {labels_to_buy: 5 k, usd_per_label: 1}
  options: {alternative_api: gpt-4.1-mini}
"""
# What a command that answers at once may not wait for.
SLOW = {"numpy", "jinja2", "onnxruntime", "onnx", "scipy", "rich", "psutil"}


@pytest.fixture
def advisor(tmp_path, monkeypatch, capsys):
    """Runs a command as the console script does, in a folder of its own; returns exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["advisor", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return run


def test_the_answer_comes_first_and_says_how_firm_it_is(advisor):
    status, out, err = advisor("classify", SCENARIO, "--now", NOW)

    assert (0, "", "content-moderation: ") == (status, err, out[:20])
    assert "Dominated by inference. " in out and "Not robust" in out and "The verdict becomes " in out and "Until when: " in out


def test_nothing_that_takes_long_to_load_is_loaded():
    script = (
        "import sys; from advisor import cli; sys.argv = ['advisor', 'classify', sys.argv[1]]\n"
        "try: cli.main()\n"
        f"finally: print(sorted({SLOW!r} & set(sys.modules)), file=sys.stderr)"
    )

    ran = subprocess.run([sys.executable, "-c", script, SCENARIO], capture_output=True, text=True, check=True)

    assert "[]" == ran.stderr.strip() and ran.stdout


def test_the_same_file_gives_the_same_answer_to_the_byte(advisor):
    once, again = (advisor("classify", SCENARIO, "--format", "json", "--now", NOW)[1] for _ in range(2))

    assert once == again and msgspec.json.decode(once, type=Classification).created == NOW


@pytest.mark.parametrize("scenario", sorted((ROOT / "examples" / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("format_", ["html", "md"])
def test_every_scenario_is_told_as_a_page_that_is_well_formed_and_says_nothing_unknown(advisor, scenario, format_):
    status, out, err = advisor("classify", scenario, "--format", format_, "--now", NOW)

    assert (0, "") == (status, err)
    out = out.replace(chart_scripts(), "")  # Vega has words of its own
    assert not any(word in out for word in ("None", " nan", " inf ", "Undefined", "{{"))
    if format_ == "html":
        assert [] == Nesting(out).faults


class Nesting(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.faults = [], []
        self.feed(text)
        self.faults += self.open

    def handle_starttag(self, tag, attrs):
        if tag not in {"br", "meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_workload_of_a_measured_model_can_be_classified_too(advisor):
    status, out, _ = advisor("classify", ROOT / "examples" / "support-search.yaml")

    assert 0 == status and out.startswith("support-search: not known")
    assert "lifecycle.serving" in out


def test_a_small_bill_is_answered_by_doing_nothing(advisor, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)

    assert "Change nothing: none of 1 change saves in 12 months what it costs." in " ".join(
        advisor("classify", "small.yaml")[1].split()
    )


@pytest.mark.parametrize(
    ("said", "old", "new"),
    [
        ("lifecycle.modle: unknown key", "  serving:", "  modle: {}\n  serving:"),
        ("traffic: give either requests_per_s or trace", "requests_per_s: 40 k/day", ""),
        (
            "lifecycle: both price_decline_per_year and token_price_decline_per_year",
            "  serving:",
            "  price_decline_per_year: 0.1\n  token_price_decline_per_year: 0.1\n  serving:",
        ),
        (
            "lifecycle.ranges.horizon_months: 12 does not lie within 1 and 2",
            "  serving:",
            "  ranges: {horizon_months: [1, 2]}\n  serving:",
        ),
        ("lifecycle.sources.inputs: no such figure", "  serving:", "  sources: {inputs: guess}\n  serving:"),
        (
            "lifecycle.serving.device: 'h99' is neither `local` nor in the catalog",
            "{serving_usd_per_hour: 0.02}",
            "{device: h99}",
        ),
        (
            "lifecycle.serving.api_model: 'gpt-4.1-mega' is not in the price list",
            "{serving_usd_per_hour: 0.02}",
            "{api_model: gpt-4.1-mega}",
        ),
        ("lifecycle.horizon_months: 1,200.0 is more than 600", "  serving:", "  horizon_months: 100 years\n  serving:"),
        (
            "lifecycle.model: more parameters are active",
            "  serving:",
            "  model: {parameters: 1 B, active_parameters: 2 B}\n  serving:",
        ),
        (
            "lifecycle.request: shared_prefix_tokens",
            "  serving:",
            "  request: {input_tokens: 1, shared_prefix_tokens: 2}\n  serving:",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_file_and_key(advisor, tmp_path, said, old, new):
    (tmp_path / "small.yaml").write_text(SMALL.replace(old, new))

    status, out, err = advisor("classify", "small.yaml")

    error, hint = err.splitlines()
    assert (2, "") == (status, out)
    assert error.startswith("error: ") and said in error and len(hint) > len("hint: ")
    assert "small.yaml" in error


def test_rules_of_the_user_take_part_in_the_verdict(advisor, tmp_path):
    (tmp_path / "mine").mkdir()
    rule = (
        RULE.replace("busy", "all-mine")
        .replace("weight: 1\n", "weight: 90\n")
        .replace("favours: inference", "favours: pre-training")
    )
    rule = rule.replace("utilization_fraction > 0.8 and replicas > 1", "horizon_months > 1").replace(
        "{replicas} replicas work {utilization_fraction}", "{horizon_months}"
    )
    rule = rule.replace("{utilization_fraction: 0.9, replicas: 2}", "{horizon_months: 2}").replace(
        "{utilization_fraction: 0.9, replicas: 1}", "{horizon_months: 1}"
    )
    (tmp_path / "mine" / "all-mine.yaml").write_text(rule)

    _, out, _ = advisor("classify", SCENARIO, "--rules", "mine")

    assert "Dominated by pre-training" in out and "all-mine" in out


def test_sound_rules_pass_their_test(advisor, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "busy.yaml").write_text(RULE)

    (tmp_path / "mine" / "heavy.yaml").write_text(RULE.replace("busy", "heavy").replace("weight: 1\n", "weight: 11\n"))
    (tmp_path / "mine" / "told.yaml").write_text(RULE.replace("busy", "told").replace("weight: 1\n", ""))

    status, out, err = advisor("rules", "test", "mine")

    sound = "fires and stays silent as its examples say"
    assert (0, "") == (status, err)
    assert out.splitlines() == [f"busy: {sound}", f"heavy: {sound}", f"told: {sound}; it is context, which no verdict weighs"]


def test_a_rule_that_could_turn_no_verdict_is_told_so(advisor, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "busy.yaml").write_text(RULE)

    _, out, _ = advisor("rules", "test", "mine")

    assert out.endswith("its weight of 1 turns no verdict beside the 10 of serving's share: leave `weight` out\n")


@pytest.mark.parametrize(
    ("key", "said", "old", "new"),
    [
        ("when", "'utilisation_fraction' is not a known fact", "when: utilization_fraction", "when: utilisation_fraction"),
        (
            "why",
            "'requests_per_s' is not the plain name of a fact that the condition asks for",
            "{replicas} replicas",
            "{requests_per_s}",
        ),
        ("examples", "missing required field `silent`", "  silent: {utilization_fraction: 0.9, replicas: 1}\n", ""),
        ("examples.fires", "with these facts the rule is silent", "replicas: 2", "replicas: 1"),
    ],
)
def test_a_rule_that_is_not_sound_is_refused_with_its_file_and_key(advisor, tmp_path, key, said, old, new):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "busy.yaml").write_text(RULE.replace(old, new))

    for command in (("rules", "test", "mine"), ("classify", SCENARIO, "--rules", "mine")):
        status, out, err = advisor(*command)

        assert (2, "") == (status, out)
        assert err.startswith(f"error: mine/busy.yaml: {key}: ") and said in err


def test_a_rule_is_explained_as_prose(advisor):
    status, out, _ = advisor("explain", "agents-multiply")

    assert 0 == status
    assert out.startswith("Agents multiply the tokens of a request (agents-multiply)")
    assert "speaks for inference as context, which the verdict does not weigh" in out and "Source: Anthropic" in out


def test_a_portfolio_is_planned_and_told(advisor, tmp_path):
    status, out, err = advisor(
        "portfolio", ROOT / "examples" / "portfolio" / "platform-team.yaml", "--format", "json", "-o", "plan.json", "--now", NOW
    )
    plan = msgspec.json.decode((tmp_path / "plan.json").read_bytes(), type=PortfolioPlan)

    assert (0, "", "") == (status, out, err)
    assert 0 < plan.spent_usd <= plan.budget_usd
    assert "no better plan exists" in advisor("portfolio", ROOT / "examples" / "portfolio" / "platform-team.yaml")[1]


def test_a_workload_that_stands_in_a_portfolio_twice_is_refused(advisor, tmp_path):
    (tmp_path / "p.yaml").write_text("name: p\nbudget_usd: 1\nworkloads: [{workload: a.yaml}, {workload: a.yaml}]\n")

    status, _, err = advisor("portfolio", "p.yaml")

    assert 2 == status and err.startswith("error: p.yaml: workloads: 'a.yaml' is listed twice")


# --- with a profile ------------------------------------------------------------------------------------------------------------

MEASURED = """name: tagger
traffic: {requests_per_s: 400, diurnal: [1, 3]}
slo: {latency_s: 50 ms}
hardware: {price_usd_per_hour: {local: 0.34}}
lifecycle: {fine_tunings_per_year: 0, labels_usd: 1000}
"""


@pytest.fixture
def measured(tmp_path, advisor):
    """A folder with a profile of 12 ms a request, and a workload for it."""
    made = profiles.profile(profiles.fixed_cost_law(0.002, 0.010), calls=profiles.UNSTEADY)
    write_record(tmp_path / "p.json", made)
    (tmp_path / "w.yaml").write_text(MEASURED)
    return advisor


def classified(advisor, *options):
    status, out, err = advisor("classify", "w.yaml", "--format", "json", "--now", NOW, *options)
    assert (0, "") == (status, err)
    return msgspec.json.decode(out, type=Classification)


def test_what_was_measured_says_how_many_devices_there_are(measured):
    told = classified(measured, "--profile", "p.json")

    inputs = {entry.input: entry.estimate for entry in told.assumed}
    throughput, serving = inputs["device_requests_per_s"], told.verdict.lines[0]
    devices = {end: math.ceil(400 * 1.5 / getattr(throughput, end)) for end in ("low", "value", "high")}
    hours = 0.34 * 730 * 12
    assert "measured" == throughput.basis and throughput.low < throughput.value < throughput.high
    assert devices["value"] * hours == pytest.approx(serving.usd.value)
    assert (devices["high"] * hours, devices["low"] * hours) == pytest.approx((serving.usd.low, serving.usd.high))
    assert "device_requests_per_s measured, p.json: " in serving.measured and serving.measured in serving.usd.source
    assert "serving_mfu_fraction" not in inputs


@pytest.mark.parametrize("format_", ["text", "md", "html"])
def test_every_format_says_that_it_was_measured(measured, format_):
    _, out, _ = measured("classify", "w.yaml", "--profile", "p.json", "--format", format_)

    assert "device_requests_per_s measured, p.json: " in out


@pytest.mark.parametrize(
    ("said", "old", "new"),
    [
        ("w.yaml: slo: missing", "slo: {latency_s: 50 ms}\n", ""),
        ("lifecycle.serving.device: nothing was measured on 'l4'", "lifecycle: {", "lifecycle: {serving: {device: l4}, "),
        ("baseline.hardware: nothing was measured on 'l4'", "lifecycle: {", "baseline: {hardware: l4}\nlifecycle: {"),
        ("lifecycle.serving.device: no list has a price of local", "hardware: {price_usd_per_hour: {local: 0.34}}\n", ""),
        *(
            (
                f"lifecycle.serving.{key}: given, while --profile says",
                "lifecycle: {",
                f"lifecycle: {{serving: {{{key}: {value}}}, ",
            )
            for key, value in (
                ("device_requests_per_s", 30),
                ("device_tokens_per_s", 3000),
                ("serving_mfu_fraction", 0.3),
                ("serving_usd_per_hour", 2),
                ("api_model", "gpt-4.1-mini"),
            )
        ),
    ],
)
def test_what_a_profile_cannot_speak_of_or_contradicts_is_refused(measured, tmp_path, said, old, new):
    (tmp_path / "w.yaml").write_text(MEASURED.replace(old, new))

    status, out, err = measured("classify", "w.yaml", "--profile", "p.json")

    error, hint = err.splitlines()
    assert (2, "") == (status, out)
    assert error.startswith("error: w.yaml: ") and said in error and len(hint) > len("hint: ")


def test_units_in_the_field_are_as_many_as_the_traffic_takes_of_what_one_was_measured_to_serve(measured, tmp_path):
    (tmp_path / "w.yaml").write_text(MEASURED.replace("lifecycle: {", "lifecycle: {edge: {unit_price_usd: 200}, "))

    told = classified(measured, "--profile", "p.json")

    each = next(entry.estimate.value for entry in told.assumed if entry.input == "device_requests_per_s")
    assert math.ceil(400 * 1.5 / each) * 200 == pytest.approx(told.verdict.lines[0].usd.value)


def test_a_device_of_the_catalog_beside_one_whose_rate_it_lacks_is_not_judged(measured, tmp_path):
    (tmp_path / "w.yaml").write_text(MEASURED.replace("lifecycle: {", "lifecycle: {options: {alternative_devices: [l4]}, "))

    told = classified(measured, "--profile", "p.json")

    assert "other-device" not in {entry.lever for entry in told.outlook.opportunities}
    reason = next(entry.reason for entry in told.outlook.not_judged if entry.what == "Move to another device: l4")
    assert reason.startswith("how fast it is beside the device that was measured is not known")


def test_a_trace_has_the_lengths_and_the_day_that_a_profile_is_asked_for(measured, tmp_path):
    rows = "".join(f"{second / 20},{32 if second % 2 else 64}\n" for second in range(2000))
    (tmp_path / "t.csv").write_text(f"arrival_s,sequence_length\n{rows}")
    (tmp_path / "w.yaml").write_text(MEASURED.replace("requests_per_s: 400, diurnal: [1, 3]", "trace: t.csv"))
    write_record(tmp_path / "p.json", profiles.profile(profiles.power_law(0.0002, length=1.0), lengths=(32, 64)))

    inputs = {entry.input: entry.estimate for entry in classified(measured, "--profile", "p.json").assumed}

    assert 1 / (0.0002 * 64) < inputs["device_requests_per_s"].value < 1 / (0.0002 * 32)


RENTED = """name: rented
traffic: {requests_per_s: 20}
lifecycle:
  fine_tunings_per_year: 0
  labels_usd: 1000
  price_decline_per_year: 50 %
  model: {parameters: 8 B}
  request: {input_tokens: 1000, output_tokens: 200}
"""


@pytest.mark.parametrize("format_", ["text", "md", "html"])
def test_a_decline_of_prices_that_rented_hardware_does_not_share_is_told_with_the_key_that_does_it(advisor, tmp_path, format_):
    (tmp_path / "w.yaml").write_text(RENTED)

    out = " ".join(advisor("classify", "w.yaml", "--format", format_)[1].split())

    assert "lifecycle.price_decline_per_year is the decline of token prices alone" in out
    assert "lifecycle.hardware_price_decline_per_year" in out


@pytest.mark.parametrize(
    "said",
    [
        "  hardware_price_decline_per_year: 5 %\n",
        "  serving: {api_model: gpt-4.1-mini}\n",
        "  owned: {device_price_usd: 30 k$, owned_years: 4, usd_per_kwh: 0.2}\n",
    ],
)
def test_no_note_is_made_where_nothing_is_rented_or_hardware_has_its_own_decline(advisor, tmp_path, said):
    (tmp_path / "w.yaml").write_text(RENTED + said)

    assert () == classified(advisor).notes


def many_planned(folder, count):
    """Write a portfolio of so many workloads in lines, and the same with a file for each."""
    lines = [{"name": f"w{number}", "traffic": {"requests_per_s": 10.0 * (number + 1)}} for number in range(count)]
    for line in lines:
        line["lifecycle"] = {
            "horizon_months": 24,
            "model": {"parameters": 7e9, "bytes_per_parameter": 2},
            "request": {"input_tokens": 500, "output_tokens": 100},
        }
        (folder / f"{line['name']}.yaml").write_text(json.dumps(line))
    (folder / "w.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "lines.yaml").write_text("name: a\nbudget_usd: 20 k$\nworkloads: w.jsonl\n")
    named = ", ".join(f"{{workload: w{number}.yaml}}" for number in range(count))
    (folder / "files.yaml").write_text(f"name: a\nbudget_usd: 20 k$\nworkloads: [{named}]\n")


def test_the_plan_is_the_same_of_lines_and_of_files_and_by_any_number_of_processes(tmp_path, capfd):
    many_planned(tmp_path, 12)

    plans = [plan_portfolio(tmp_path / f"{name}.yaml", now=NOW, processes=count) for name, count in (("lines", 1), ("files", 2))]

    assert plans[0] == plans[1]
    assert 0 == plans[0].gap_usd and plans[0].spent_usd <= plans[0].budget_usd and 12 == len(plans[0].choices)
    assert "" == capfd.readouterr().out


def test_a_workload_that_is_wrong_is_refused_by_its_line(tmp_path):
    many_planned(tmp_path, 3)
    with (tmp_path / "w.jsonl").open("a") as file:
        file.write('{"name": "w3"}\n')

    with pytest.raises(InputError, match=r"w\.jsonl:4: traffic: missing"):
        plan_portfolio(tmp_path / "lines.yaml", now=NOW, processes=2)


@pytest.mark.parametrize("format_", ["text", "md", "html"])
def test_what_is_to_be_known_of_a_change_stands_in_every_format(advisor, tmp_path, format_):
    (tmp_path / "w.yaml").write_text(TUNED)

    status, out, _ = advisor("classify", "w.yaml", "--now", NOW, *(() if format_ == "text" else ("--format", format_)))

    assert status == 0
    assert "of fine-tuning runs and labels over 2 years fall away, which is taken off already" in " ".join(out.split())
