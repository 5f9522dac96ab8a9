"""The command line: each exit status means one thing, every fault is two lines, and an interrupt loses nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from advisor import __version__, cli
from advisor.errors import ExitStatus
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.profile import Profile, Visit
from advisor.schema.record import SCHEMA_VERSION
from tests import models
from tests.profiles import with_site

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "examples" / "data" / "fashion_dscnn.onnx"
COMMAND = (sys.executable, "-m", "advisor.cli")
NOW = "2026-11-22T08:00:00+00:00"
WORKLOAD = """
name: a test
traffic: {requests_per_s: 100}
slo: {latency_s: 500 ms}
hardware: {price_usd_per_hour: {local: 0.17}}
"""
TRACED = WORKLOAD.replace("requests_per_s: 100", "trace: trace.csv")
TIMES = "".join(f"{index / 100}\n" for index in range(200))
QUICK = ("--budget", "1", "--max-batch-size", "1")

# A shell that puts the tests into the background has them ignore Ctrl-C, and what they start with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def started(*arguments, cwd, **environment):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(*arguments, cwd, **environment):
    process = started(*arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def put(place, **contents):
    """Write files; a double underscore stands for the dot, a folder is written as {}."""
    for name, content in contents.items():
        path = place / name.replace("__", ".")
        if content == {}:
            path.mkdir()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


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


STATUSES = {
    "advice": 0,
    "infeasible": 1,
    "wrong input": 2,
    "inconclusive": 3,
    "missed": 4,
    "not valid": 5,
    "advise again": 6,
    "measure again": 7,
    "expired": 8,
    "fault": 70,
    "not printed": 74,
}


def besides_questions(err):
    """What stands on stderr beside the question whether a target so much longer than a call is meant."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("note: slo.latency_s: "))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with a model, its real profile, a workload and the advice on them."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copy(MODEL, folder / "model.onnx")
    put(folder, workload__yaml=WORKLOAD)
    for arguments in (
        ("profile", "model.onnx", "-w", "workload.yaml", "--budget", 1, "--max-batch-size", 4, "--now", NOW),
        ("advise", "profile.json", "-w", "workload.yaml", "-o", "advice.json", "--now", NOW),
    ):
        status, _, err = finished(*arguments, cwd=folder)
        assert status == 0, err
    return folder


@pytest.fixture
def profile_json(measured, tmp_path):
    """A copy of the profile in the folder of the command."""
    return shutil.copy(measured / "profile.json", tmp_path)


# --- what goes well ------------------------------------------------------------------------------------------------------


def test_a_profile_leaves_the_profile_and_its_variants_and_no_journal(measured):
    profile = msgspec.json.decode((measured / "profile.json").read_bytes(), type=Profile)

    assert {"model.onnx", "workload.yaml", "advice.json", "profile.json", "profile.variants"} == {
        path.name for path in measured.iterdir()
    }
    assert all((measured / entry.path).is_file() for entry in profile.sites[0].variants if entry.derived_from is not None)


def test_a_profile_that_is_there_is_not_measured_again(advisor, measured, tmp_path):
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "profile.json").read_bytes()

    status, out, _ = advisor("profile", "model.onnx", "-w", "workload.yaml", "--budget", 1, "--max-batch-size", 4)

    variants = len(msgspec.json.decode(before, type=Profile).sites[0].variants)
    assert (0, True) == (status, out.startswith(f"profile.json: {variants} variants"))
    assert before == (tmp_path / "profile.json").read_bytes()


def test_advice_found_is_status_0_and_five_lines(advisor, measured):
    status, out, err = advisor("advise", measured / "profile.json", "-w", measured / "workload.yaml")

    assert (0, 5) == (status, len(out.splitlines()))
    assert err.startswith("note: slo.latency_s: 500 ms, but a call takes ") and 1 == len(err.splitlines())


def test_nothing_that_meets_the_target_is_status_1(advisor, profile_json, tmp_path):
    put(tmp_path, strict__yaml=WORKLOAD.replace("500 ms", "1 us"))

    status, out, err = advisor("advise", profile_json, "-w", "strict.yaml", "-o", "advice.json")

    assert (1, "") == (status, besides_questions(err))
    assert out.startswith("No measured configuration keeps p99 within 1 µs")
    assert msgspec.json.decode((tmp_path / "advice.json").read_bytes(), type=Advice).recommended is None


def noisy(profile):
    """The profile as a machine that was busy all the time would have had it: calls as quick as before, and ten times as long, by turns."""
    measurements = tuple(
        msgspec.structs.replace(
            entry,
            visits=tuple(
                Visit(order=order, latency_s=tuple(factor * call_s for call_s in entry.visits[0].latency_s), run_delay_s=0.0)
                for order, factor in enumerate((1.0, 10.0, 1.0, 10.0))
            ),
        )
        for entry in profile.sites[0].measurements
    )
    return with_site(profile, noise_fraction=9.0, noise_floors=(), measurements=measurements, calibrations=(), trial=None)


def test_what_is_not_known_well_enough_is_status_3_and_accepted_if_the_user_says_so(advisor, measured, tmp_path):
    profile = msgspec.json.decode((measured / "profile.json").read_bytes(), type=Profile)
    call_s = max(call_s for entry in profile.sites[0].measurements for visit in entry.visits for call_s in visit.latency_s)
    put(
        tmp_path,
        profile__json=msgspec.json.encode(noisy(profile)),
        # As many as keep several machines busy, however quick this one is.
        workload__yaml=WORKLOAD.replace("requests_per_s: 100", f"requests_per_s: {100 / call_s:.0f}"),
    )
    common = ("advise", "profile.json", "-w", "workload.yaml", "-o", "advice.json")

    status, out, err = advisor(*common)
    accepted, _, _ = advisor(*common, "--max-uncertainty", 1000)

    assert (STATUSES["inconclusive"], "") == (status, besides_questions(err))
    assert out.startswith("Not known yet") and "the noise floor is 900 %" in out
    assert STATUSES["advice"] == accepted
    known = msgspec.json.decode((tmp_path / "advice.json").read_bytes(), type=Advice).certainty
    assert 1000 == known.max_uncertainty


def test_a_fault_of_ours_is_status_70_and_two_lines_its_traceback_in_the_file_that_they_name(
    advisor, measured, monkeypatch, tmp_path
):
    def fault(*_, **__):
        raise KeyError("a\nfault")

    monkeypatch.setattr("advisor.steps.advise.advise_on", fault)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    status, out, err = advisor("advise", measured / "profile.json", "-w", measured / "workload.yaml")

    lines = err.splitlines()
    assert (STATUSES["fault"], "", 2) == (status, out, len(lines))
    assert lines[0].startswith("error: a fault of advisor itself: KeyError") and "Traceback" not in err
    kept = Path(lines[1].rsplit(" ", 1)[1])
    assert kept.parent == tmp_path and "Traceback (most recent call last)" in kept.read_text() and "a\\nfault" in kept.read_text()


def test_the_exit_statuses_of_the_documentation_and_the_help_are_those_of_the_code(advisor):
    _, told, _ = advisor("--help")
    rows = re.findall(r"^\| `(\d+)` \| ", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)

    assert set(STATUSES.values()) == {int(status) for status in ExitStatus}
    assert {*map(str, STATUSES.values()), "129", "130", "141", "143"} <= set(rows)
    assert all(re.search(rf"\b{status} ", told.partition("Exit status")[2]) for status in STATUSES.values())


def test_advice_on_standard_output_is_the_file_and_nothing_else(advisor, measured):
    status, out, err = advisor("advise", measured / "profile.json", "-w", measured / "workload.yaml", "-o", "-", "--now", NOW)

    assert (0, (measured / "advice.json").read_text(), "") == (status, out, besides_questions(err))


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_advice_is_the_same_to_the_byte_in_another_process(measured, tmp_path, seed):
    arguments = ("advise", measured / "profile.json", "-w", measured / "workload.yaml", "-o", "advice.json", "--now", NOW)

    finished(*arguments, cwd=tmp_path, PYTHONHASHSEED=seed)

    assert (measured / "advice.json").read_bytes() == (tmp_path / "advice.json").read_bytes()


@pytest.mark.parametrize(("format_", "start"), [("html", "<!doctype html>"), ("md", "# "), ("json", "{")])
def test_the_report_is_printed_or_written_in_every_format(advisor, measured, tmp_path, format_, start):
    status, out, _ = advisor("report", measured / "advice.json", "--format", format_)
    written, nothing, _ = advisor("report", measured / "advice.json", "--format", format_, "-o", "new/report")

    assert (0, 0, "") == (status, written, nothing)
    assert out.lower().startswith(start)
    assert out == (tmp_path / "new" / "report").read_text()


def test_the_report_in_json_is_the_advice(advisor, measured):
    _, out, _ = advisor("report", measured / "advice.json", "--format", "json")

    assert msgspec.json.decode((measured / "advice.json").read_bytes()) == msgspec.json.decode(out)


OFFLINE = """\
name: a batch job
offline: {items: 100000, deadline_s: 10 min}
hardware: {price_usd_per_hour: {local: 0.2}}
"""


def test_a_batch_job_is_advised_on_and_reported(advisor, profile_json, tmp_path):
    put(tmp_path, job__yaml=OFFLINE)

    status, out, err = advisor("advise", profile_json, "-w", "job.yaml", "-o", "advice.json", "--now", NOW)

    assert (0, 3, "") == (status, len(out.splitlines()), err)
    told = msgspec.json.decode((tmp_path / "advice.json").read_bytes(), type=OfflineAdvice)
    for format_, holds in (("md", "# Run "), ("html", "<!doctype html>"), ("json", '"offline"')):
        status, text, _ = advisor("report", "advice.json", "--format", format_)
        assert status == 0 and holds in text
    assert told.recommended.meets_deadline


def test_a_batch_job_that_cannot_be_done_is_status_1_and_one_that_is_verified_is_refused(advisor, profile_json, tmp_path):
    put(tmp_path, job__yaml=OFFLINE.replace("100000", "1000000000000"))

    status, out, _ = advisor("advise", profile_json, "-w", "job.yaml", "-o", "advice.json")
    refused_status, _, err = advisor("verify", "advice.json")

    assert (1, 2) == (status, refused_status)
    assert out.startswith("No measured configuration does 1,000,000,000,000 items within")
    assert "a batch job, which has no traffic" in err
    assert 0 == advisor("report", "advice.json")[0]


def test_a_fleet_is_planned_and_reported(advisor, profile_json, tmp_path):
    put(tmp_path, fleet__yaml=WORKLOAD + "fleet: {spare_replicas: 2, start_s: 30 s}\n")

    status, _, err = advisor("advise", profile_json, "-w", "fleet.yaml", "-o", "advice.json")
    _, text, _ = advisor("report", "advice.json")
    _, page, _ = advisor("report", "advice.json", "--format", "html")

    assert (0, "") == (status, besides_questions(err))
    assert (
        "## Fleet: one kind of hardware, constant over the day" in text and "one kind of hardware, constant over the day" in page
    )
    (pool,) = msgspec.json.decode((tmp_path / "advice.json").read_bytes(), type=Advice).fleet.pools
    assert (pool.candidate.replicas + 2,) == pool.replicas_by_part


def test_a_search_that_may_take_no_time_says_what_may_be_lost(advisor, measured, tmp_path):
    common = ("advise", measured / "profile.json", "-w", measured / "workload.yaml", "-o", "advice.json")

    status, _, err = advisor(*common, "--time-limit", 0)

    assert (0, "") == (status, besides_questions(err))
    told = msgspec.json.decode((tmp_path / "advice.json").read_bytes(), type=Advice)
    exact = msgspec.json.decode((measured / "advice.json").read_bytes(), type=Advice)
    lost = told.recommended.cost_usd_per_hour.value - exact.recommended.cost_usd_per_hour.value
    assert 0 <= lost <= told.certificate.regret_usd_per_hour


def test_more_confidence_than_usual_may_be_asked_for_and_less_may_not(advisor, measured):
    common = ("advise", measured / "profile.json", "-w", measured / "workload.yaml")

    assert [0, 2] == [advisor(*common, "--confidence", asked)[0] for asked in (0.99, 0.5)]


def test_a_model_is_inspected_without_leaving_anything_behind(advisor, tmp_path):
    status, out, err = advisor("inspect", MODEL)

    assert (0, True, "", []) == (status, out.startswith("model "), err, names(tmp_path))


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("environment", [ASCII, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}, {}])
@pytest.mark.parametrize("name", ["modèle.onnx", "模型.onnx"])
def test_a_model_of_any_name_is_inspected_in_any_locale(tmp_path, name, environment):
    models.save(models.mlp(), tmp_path / name)

    status, out, err = finished("inspect", name, "--format", "json", cwd=tmp_path, **environment)

    assert (0, "") == (status, err)
    assert name == json.loads(out)["name"]


def test_a_profile_is_measured_in_a_locale_that_knows_no_such_name(tmp_path):
    models.save(models.mlp(), tmp_path / "modèle.onnx")

    status, _, err = finished("profile", "modèle.onnx", "-o", "é.json", "--budget", "1", cwd=tmp_path, **ASCII)

    assert 0 == status, err
    assert "modèle.onnx" == json.loads((tmp_path / "é.json").read_text(encoding="utf-8"))["model"]["name"]


def test_help_waits_for_nothing_but_the_command_line_itself():
    script = (
        "import contextlib, io, sys; from advisor import cli\n"
        # Of the record that it lists the keys of, classify cannot tell without msgspec.
        "for command in ([], *([name] for name in cli.cli.commands if name != 'classify')):\n"
        "    with contextlib.redirect_stdout(io.StringIO()): cli.cli([*command, '--help'], standalone_mode=False)\n"
        "third = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'}\n"
        "print(*sorted(name for name in third if not name.startswith('_')))"
    )
    empty = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"

    told, before = (
        subprocess.run([sys.executable, "-c", what], capture_output=True, text=True, check=True).stdout
        for what in (script, empty)
    )

    assert {"advisor", "click"} == set(told.split()) - set(before.split())


def test_the_version_is_that_of_the_package(advisor):
    assert (0, f"advisor, version {__version__}\n", "") == advisor("--version")


@pytest.mark.parametrize("command", ["", *cli.cli.commands])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(advisor, command, option):
    status, out, err = advisor(*command.split(), option)

    assert (0, True, "") == (status, out.startswith(f"Usage: advisor {command}".strip()), err)


@pytest.mark.parametrize("command", cli.cli.commands)
def test_every_command_shows_how_it_is_called_and_is_in_the_documentation(advisor, command):
    _, out, _ = advisor(command, "--help")

    assert re.search(rf"^ +advisor {command} \S", out, re.MULTILINE)
    assert f"advisor {command} " in (ROOT / "docs" / "commands.md").read_text()


def test_without_a_command_all_of_them_are_listed_and_nothing_is_taken_for_done(advisor):
    status, out, err = advisor()

    assert (2, "") == (status, out)
    assert all(command in err for command in cli.cli.commands)


# --- what goes wrong -----------------------------------------------------------------------------------------------------


def refused(outcome, folder, before):
    """The two lines of a command that must have been refused and have left nothing behind."""
    status, out, err = outcome
    assert (2, "") == (status, out)
    error, hint = err.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ") and len(hint) > len("hint: ")
    assert before == names(folder)
    return error.removeprefix("error: ")


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("model.onnx: not a readable ONNX file", MODEL.read_bytes()[:500]),
        ("model.onnx: not a readable ONNX file", MODEL.read_bytes()[:-500]),
        ("model.onnx: not a readable ONNX file", "hello"),
        ("model.onnx: not an ONNX file: it is empty", ""),
        ("model.onnx: a directory without config.json is no Hugging Face checkpoint", {}),
        ("model.onnx: no such file or directory", None),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "profile", "recommend"])
def test_what_is_no_model_is_refused(advisor, tmp_path, command, said, content):
    put(tmp_path, workload__yaml=WORKLOAD, **({} if content is None else {"model__onnx": content}))
    before = names(tmp_path)
    options = {"inspect": (), "profile": QUICK, "recommend": (*QUICK, "-w", "workload.yaml")}[command]

    assert refused(advisor(command, "model.onnx", *options), tmp_path, before).startswith(said)


JUDGED = WORKLOAD + "quality: {metric: accuracy, max_drop: 2 %, data: data.npz}\n"
IMAGES = np.zeros((200, 1, 28, 28), np.float32)
DATA = {
    "158 of 200 items have a label that is no class, the first of them item 41: nan": {
        "image": IMAGES,
        "label": np.array([*[3.0] * 40, *[np.nan] * 157, 3.0, 10.0, 3.0]),
    },
    "the labels are a single value": {"image": IMAGES, "label": np.array(3)},
    "the labels are of type": {"image": IMAGES, "label": np.zeros(200, [("a", int)])},
    "0 labels for 200 items": {"image": IMAGES, "label": np.array([])},
    "image has shape [], but the model needs": {"image": np.float32(1), "label": np.zeros(200)},
    "image holds no items": {"image": IMAGES[:0], "label": np.array([])},
    "image holds [('a', '<f4')]": {"image": np.zeros((200, 1, 28, 28), [("a", np.float32)]), "label": np.zeros(200)},
}


@pytest.mark.parametrize("said", DATA)
def test_data_that_says_nothing_is_refused_before_anything_is_measured(advisor, tmp_path, said):
    put(tmp_path, workload__yaml=JUDGED)
    shutil.copy(MODEL, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", **DATA[said])

    status, _, err = advisor("recommend", "model.onnx", "-w", "workload.yaml", *QUICK)

    assert 2 == status and said in err and 2 == len([line for line in err.splitlines() if not line.startswith("advisor: ")])


OWN = WORKLOAD + "quality: {metric: 'own:score', max_drop: 2 %, data: 'own:rows'}\n"


@pytest.mark.parametrize("command", ["profile", "recommend"])
def test_code_that_a_workload_names_is_not_run_unless_it_is_allowed(advisor, tmp_path, command):
    put(
        tmp_path,
        workload__yaml=OWN,
        own__py="open('trace', 'w').close()\nimport sys\ndef score(*_): return 1.0\ndef rows(): sys.exit(0)\n",
    )
    shutil.copy(MODEL, tmp_path / "model.onnx")
    before = names(tmp_path)

    fault = refused(advisor(command, "model.onnx", "-w", "workload.yaml", *QUICK), tmp_path, before)
    status, _, err = advisor(command, "model.onnx", "-w", "workload.yaml", "--allow-code", *QUICK)

    assert "workload.yaml: quality.data: own:rows is code, which runs only where that is allowed" == fault
    assert (tmp_path / "trace").exists() and 2 == status
    assert f"error: quality.data: own:rows failed (SystemExit: 0; {tmp_path / 'own.py'}, line 4)" in err
    sys.modules.pop("own", None)


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("gpuhunt.json: row 2: 'x' is no price", '[{"instance_name":"a","location":"b","price":1,"provider":"p"},"x"]'),
        ("gpuhunt.json: no list of prices", '{"price": 1}'),
        ("gpuhunt.json: not JSON (", "[" * 100_000),
        ("gpuhunt.json: not JSON (", "[" + "9" * 5000 + "]"),
        ("gpuhunt.json: 7: ", '[{"instance_name":7,"location":"b","price":1}]'),
        ("gpuhunt.json: a: ", '[{"instance_name":"a","location":"b","price":1e400}]'),
        ("gpuhunt.json: a: ", '[{"instance_name":"a","location":["b"],"price":1}]'),
    ],
)
def test_a_table_of_prices_that_makes_no_sense_is_refused_by_its_row(advisor, tmp_path, said, content):
    put(tmp_path, gpuhunt__json=content)
    before = names(tmp_path)

    outcome = advisor("hardware", "prices", "--import", "gpuhunt.json", "--layout", "gpuhunt", "-o", "book.csv")

    assert refused(outcome, tmp_path, before).startswith(said)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("line 2: date: '2026-13-45' is no day of the calendar", "aws,us-east-1,g6.xlarge,on-demand,0.8,2026-13-45,me"),
        ("line 2: usd_per_hour: 'nan': ", "aws,us-east-1,g6.xlarge,on-demand,nan,2026-11-22,me"),
        ("line 2: usd_per_hour: 'inf': ", "aws,us-east-1,g6.xlarge,on-demand,inf,2026-11-22,me"),
        ("line 2: usd_per_hour: '-1': ", "aws,us-east-1,g6.xlarge,on-demand,-1,2026-11-22,me"),
        ("line 2: term: 'never': ", "aws,us-east-1,g6.xlarge,never,0.8,2026-11-22,me"),
    ],
)
def test_a_price_book_of_senseless_values_is_refused_by_line_and_column(advisor, measured, tmp_path, said, line):
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    put(
        tmp_path,
        book__csv=f"provider,region,instance,term,usd_per_hour,date,source\n{line}\n",
        workload__yaml=WORKLOAD.replace("{price", "{prices: book.csv, price"),
    )
    before = names(tmp_path)

    assert said in refused(advisor("advise", "profile.json", "-w", "workload.yaml"), tmp_path, before)


def test_a_price_book_that_is_written_holds_no_formula_and_no_line_that_a_name_forged(advisor, tmp_path):
    put(tmp_path, a__json=json.dumps([{"instance_name": "=1+1", "location": "b\nc,d", "price": 1, "provider": "\u202ep"}]))

    status, out, _ = advisor(
        "hardware", "prices", "--import", "a.json", "--layout", "gpuhunt", "--date", "2026-11-22", "-o", "b.csv"
    )

    assert (0, "1 price imported into b.csv\n") == (status, out)
    _, line = (tmp_path / "b.csv").read_text().splitlines()
    assert r'\u202ep,"b\nc,d",' in line and ",'=1+1," in line


def test_a_name_forges_no_line_and_sends_nothing_to_the_terminal(advisor, tmp_path):
    status, out, err = advisor("advise", "a\nerror: b\x1b[31m\u202e.json", "-w", "w\t\x07.yaml")

    assert (2, "") == (status, out)
    assert 2 == len(err.splitlines()) and all(line.isprintable() for line in err.splitlines())


WITHOUT_A_MODEL = """
name: n
traffic: {requests_per_s: 1}
lifecycle:
  serving: {device: l4}
  options: {alternative_api: gpt-4.1-mini}
  request: {input_tokens: 100, output_tokens: 100}
"""


def test_a_lifetime_without_a_model_is_classified_as_far_as_it_is_known(advisor, tmp_path):
    put(tmp_path, w__yaml=WITHOUT_A_MODEL)

    status, out, err = advisor("classify", "w.yaml")

    assert (0, "") == (status, err) and "not known" in out


BAD_WORKLOADS = [
    ("budget: unknown key", WORKLOAD + "budget: 3\n"),
    ("slo.latency: unknown key", WORKLOAD.replace("latency_s", "latency")),
    ("traffic.requests_per_s: ", WORKLOAD.replace("100", "-100")),
    ("traffic.requests_per_s: ", WORKLOAD.replace("100", "0")),
    ("traffic.requests_per_s: ", WORKLOAD.replace("100", ".inf")),
    ("traffic.requests_per_s: ", WORKLOAD.replace("100", "a hundred")),
    ("traffic.requests_per_s: given twice", WORKLOAD.replace("100", "100, requests_per_s: 200")),
    ("traffic.burstiness_cv: 11.0 is more than 10.0", WORKLOAD.replace("100", "100, burstiness_cv: 11")),
    ("traffic.trace: trace.csv: no such file", TRACED),
    ("traffic: give either requests_per_s or trace", TRACED.replace("trace:", "requests_per_s: 1, trace:")),
    ("traffic: give either requests_per_s or trace", WORKLOAD.replace("requests_per_s: 100", "")),
    ("traffic.diurnal: a trace has its own course", TRACED.replace("trace:", "diurnal: [1, 2], trace:")),
    ("traffic.diurnal: no part of the day has any requests", WORKLOAD.replace("100", "100, diurnal: [0, 0]")),
    ("slo.quantile: 0.99999 is more than 0.9999", WORKLOAD.replace("500 ms", "500 ms, quantile: 0.99999")),
    ("hardware.price_usd_per_hour: no price for 'local'", WORKLOAD.replace("local", "t4")),
    ("hardware.allowed: 'h99' is neither `local` nor in the catalog", WORKLOAD.replace("{price", "{allowed: [h99], price")),
    ("hardware.price_usd_per_hour: 't5' is neither", WORKLOAD.replace("local:", "t5: 1, local:")),
    ("hardware.prices: mine.csv: no such file", WORKLOAD.replace("{price", "{prices: mine.csv, price")),
    ("energy.grid: 'XYZ' is not known", WORKLOAD + "energy: {grid: XYZ}\n"),
    ("quality.data: eval.npz: no such file", WORKLOAD + "quality: {metric: accuracy, max_drop: 1 %, data: eval.npz}\n"),
    ("quality.metric: ", WORKLOAD + "quality: {metric: acuracy, max_drop: 1 %}\n"),
    ("inputs.sequence_length: p50, p95 and max must ascend", WORKLOAD + "inputs: {sequence_length: {p50: 9, p95: 8}}\n"),
    ("inputs.sequence_length: 100,000,000 is more than", WORKLOAD + "inputs: {sequence_length: {p50: 100000000}}\n"),
    ("lifecycle.horizon_months: 1,200.0 is more than 600", WORKLOAD + "lifecycle: {horizon_months: 100 years}\n"),
    ("holds no keys", ""),
    ("not valid YAML", b"\x00\xff"),
]


@pytest.mark.parametrize(("said", "content"), BAD_WORKLOADS)
def test_what_is_no_workload_is_refused_before_anything_is_measured(advisor, tmp_path, said, content):
    put(tmp_path, workload__yaml=content)
    shutil.copy(MODEL, tmp_path / "model.onnx")
    before = names(tmp_path)

    fault = refused(advisor("profile", "model.onnx", "-w", "workload.yaml", *QUICK), tmp_path, before)

    assert fault.startswith(f"workload.yaml: {said}")


@pytest.mark.parametrize(
    ("said", "content"),
    [
        *BAD_WORKLOADS[:3],
        ("inputs.sequence_length: the model has no sequence axis", WORKLOAD + "inputs: {sequence_length: {p50: 32}}\n"),
        ("baseline.variant: 'int4' is not in the profile", WORKLOAD + "baseline: {variant: int4}\n"),
        ("baseline.intra_op_num_threads", WORKLOAD + "baseline: {intra_op_num_threads: 1000}\n"),
        ("baseline.max_batch_size: 8 is more than 4, the largest of the profile", WORKLOAD + "baseline: {max_batch_size: 8}\n"),
    ],
)
def test_a_workload_that_the_profile_cannot_answer_is_refused(advisor, profile_json, tmp_path, said, content):
    put(tmp_path, workload__yaml=content)
    before = names(tmp_path)

    fault = refused(advisor("advise", profile_json, "-w", "workload.yaml", "-o", "advice.json"), tmp_path, before)

    assert fault.startswith(f"workload.yaml: {said}")


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("line 202: 'fast' is not a time", f"arrival_s\n{TIMES}fast\n"),
        ("line 202: 'inf' is not a time", f"arrival_s\n{TIMES}inf\n"),
        ("line 2: has 1 column, the header 2", f"arrival_s,sequence_length\n{TIMES}"),
        ("line 2: a length in sequence_length is not between 1 and", "arrival_s,sequence_length\n" + TIMES.replace("\n", ",0\n")),
        ("line 2: '1000000", "arrival_s,sequence_length\n" + TIMES.replace("\n", f",{10**30}\n")),
        ("99 requests, but 100 are needed", "arrival_s\n" + "".join(f"{index}\n" for index in range(99))),
        ("all requests arrive at the same moment", "arrival_s\n" + "1.0\n" * 200),
        ("no column arrival_s", "when\n1.0\n"),
        ("no column arrival_s", ""),
        ("not a CSV file", b"\x00\xff"),
    ],
)
def test_what_is_no_trace_is_refused_by_line(advisor, profile_json, tmp_path, said, content):
    put(tmp_path, workload__yaml=TRACED, trace__csv=content)
    before = names(tmp_path)

    fault = refused(advisor("advise", profile_json, "-w", "workload.yaml", "-o", "advice.json"), tmp_path, before)

    assert fault.startswith(f"trace.csv: {said}")


@pytest.mark.parametrize(
    ("said", "metric", "arrays"),
    [
        ("quality.metric: accuracy needs labels", "accuracy", {"image": (8, 1, 28, 28)}),
        ("quality.data: 7 labels for 8 items", "accuracy", {"image": (8, 1, 28, 28), "label": (7,)}),
        ("eval.npz: no array named 'image'", "accuracy", {"picture": (8, 1, 28, 28), "label": (8,)}),
        ("eval.npz: image has shape [8, 784]", "top1_agreement", {"image": (8, 784)}),
    ],
)
def test_quality_data_that_do_not_fit_are_refused_before_anything_is_measured(advisor, tmp_path, said, metric, arrays):
    put(tmp_path, workload__yaml=f"{WORKLOAD}quality: {{metric: {metric}, max_drop: 1 %, data: eval.npz}}\n")
    np.savez(tmp_path / "eval.npz", **{name: np.zeros(shape, np.float32) for name, shape in arrays.items()})
    before = names(tmp_path)

    assert said in refused(advisor("profile", MODEL, "-w", "workload.yaml", *QUICK), tmp_path, before)


def test_lengths_for_a_model_without_a_sequence_axis_are_refused_before_anything_is_measured(advisor, tmp_path):
    put(tmp_path, workload__yaml=WORKLOAD + "inputs: {sequence_length: {p50: 32}}\n")
    before = names(tmp_path)

    fault = refused(advisor("profile", MODEL, "-w", "workload.yaml", *QUICK), tmp_path, before)

    assert "inputs.sequence_length: the model has no sequence axis" in fault


@pytest.mark.parametrize("command", ["profile", "advice"])
@pytest.mark.parametrize(
    ("said", "spoil"),
    [
        ("not a file that this version of advisor wrote", lambda content: content[:1000]),
        ("not a file that this version of advisor wrote", lambda _: b"hello"),
        ("not a file that this version of advisor wrote", lambda content: content.replace(b'"created"', b'"creator"')),
        (
            "written with schema version 99",
            lambda content: content.replace(b'"schema_version": %d' % SCHEMA_VERSION, b'"schema_version": 99'),
        ),
    ],
)
def test_what_advisor_did_not_write_is_refused(advisor, measured, tmp_path, command, said, spoil):
    name = f"{command}.json"
    put(tmp_path, workload__yaml=WORKLOAD)
    (tmp_path / name).write_bytes(spoil((measured / name).read_bytes()))
    before = names(tmp_path)
    arguments = {"profile": ("advise", name, "-w", "workload.yaml"), "advice": ("report", name)}[command]

    assert refused(advisor(*arguments), tmp_path, before).startswith(f"{name}: {said}")


def test_a_profile_that_holds_nothing_of_the_model_is_refused(advisor, measured, tmp_path):
    profile = msgspec.json.decode((measured / "profile.json").read_bytes(), type=Profile)
    put(tmp_path, profile__json=msgspec.json.encode(with_site(profile, measurements=())), workload__yaml=WORKLOAD)
    before = names(tmp_path)

    fault = refused(advisor("advise", "profile.json", "-w", "workload.yaml"), tmp_path, before)

    assert "profile.json: holds no measurement of the model as given on local" == fault


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("file/profile.json: cannot write there", ("profile", "model.onnx", "-o", "file/profile.json", *QUICK)),
        ("folder: cannot write there", ("profile", "model.onnx", "-o", "folder", *QUICK)),
        (".: cannot write there", ("profile", "model.onnx", "-o", ".", *QUICK)),
        ("file: holds something else than an older profile", ("profile", "model.onnx", "-o", "file", *QUICK)),
        ("model.onnx: is an input of this command", ("profile", "model.onnx", "-o", "model.onnx", *QUICK)),
        ("model.onnx: is an input of this command", ("profile", "model.onnx", "-o", "model.onnx", "--fresh", *QUICK)),
        ("x.journal: names that end in .journal", ("profile", "model.onnx", "-o", "x.journal", *QUICK)),
        ("profile.json: is an input of this command", ("merge", "profile.json", "profile.json", "-o", "profile.json")),
        ("profile.json: is an input of this command", ("advise", "profile.json", "-w", "workload.yaml", "-o", "profile.json")),
        ("advice.json: is an input of this command", ("report", "advice.json", "--format", "json", "-o", "advice.json")),
        (
            "profile.json: holds something else than an older HTML",
            ("report", "advice.json", "--format", "html", "-o", "profile.json"),
        ),
        ("workload.yaml: is an input of this command", ("classify", "workload.yaml", "-o", "workload.yaml")),
        ("file: holds something else than an older text", ("classify", "workload.yaml", "-o", "file")),
        ("file/profile.json: cannot write there", ("recommend", "model.onnx", "-w", "workload.yaml", "-o", "file", *QUICK)),
        ("file/advice.json: cannot write there", ("advise", "profile.json", "-w", "workload.yaml", "-o", "file/advice.json")),
        ("folder: cannot write there", ("advise", "profile.json", "-w", "workload.yaml", "-o", "folder")),
        ("folder: cannot write there", ("report", "advice.json", "-o", "folder")),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_and_nothing_in_it_is_lost(advisor, measured, tmp_path, said, arguments):
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    put(tmp_path, file="in the way", folder={})
    before = names(tmp_path)

    assert refused(advisor(*arguments), tmp_path, before).startswith(said)
    assert ("in the way", MODEL.read_bytes()) == ((tmp_path / "file").read_text(), (tmp_path / "model.onnx").read_bytes())


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("No such command 'advice'", ("advice",)),
        ("No such option '--fast'", ("profile", MODEL, "--fast")),
        ("Missing argument 'PROFILE'", ("advise",)),
        ("Missing option '-w'", ("advise", "profile.json")),
        ("Missing argument 'OTHERS...'", ("merge", "here.json", "-o", "both.json")),
        ("Missing option '-o'", ("merge", "here.json", "there.json")),
        ("Invalid value for '--budget': cannot read 'long' as a quantity", ("profile", MODEL, "--budget", "long")),
        ("Invalid value for '--budget': -3 is less than 1 s", ("profile", MODEL, "--budget", "-3")),
        ("Invalid value for '--budget': cannot read 'nan' as a quantity", ("profile", MODEL, "--budget", "nan")),
        (
            "Invalid value for '--budget': cannot read 'inf' as a quantity",
            ("recommend", MODEL, "-w", "w.yaml", "--budget", "inf"),
        ),
        ("Invalid value for '--seconds': cannot read 'nan' as a quantity", ("verify", "advice.json", "--seconds", "nan")),
        ("Invalid value for '--max-batch-size': 0", ("profile", MODEL, "--max-batch-size", "0")),
        ("Invalid value for '--seed': -1", ("profile", MODEL, "--seed", "-1")),
        ("Invalid value for '--format': 'pdf'", ("report", "advice.json", "--format", "pdf")),
        ("Invalid value for '--now': 'today'", ("advise", "profile.json", "-w", "w.yaml", "--now", "today")),
        ("Got unexpected extra argument", ("report", "advice.json", "again")),
        ("nowhere.json: no such file", ("advise", "nowhere.json", "-w", "w.yaml")),
        ("nowhere.json: no such file", ("report", "nowhere.json")),
        ("nowhere.json: no such file", ("verify", "nowhere.json")),
        ("--inputs: nowhere.npz: no such file", ("profile", MODEL, "--inputs", "nowhere.npz")),
        ("/dev/null/advice.json: Not a directory", ("report", "/dev/null/advice.json")),
    ],
)
def test_a_slip_of_the_hand_is_refused(advisor, tmp_path, said, arguments):
    assert refused(advisor(*arguments), tmp_path, []).startswith(said)


def test_a_fault_is_told_in_one_line_whatever_names_hold(advisor, tmp_path):
    fault = refused(advisor("report", "two\nlines\r.json"), tmp_path, [])

    assert "two lines .json: no such file" == fault


# --- what comes from outside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("report", "advice.json", "--format", "html"), ("advise", "profile.json", "-w", "workload.yaml")]
)
def test_a_reader_who_has_read_enough_is_no_error_and_no_verdict(measured, arguments):
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run([*COMMAND, *arguments], cwd=measured, stdout=pipe, stderr=subprocess.PIPE, check=False)

    assert (141, "") == (ended.returncode, besides_questions(ended.stderr.decode()))


def test_a_full_disk_is_told_in_two_lines(measured):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*COMMAND, "report", "advice.json"], cwd=measured, stdout=full, stderr=subprocess.PIPE, check=False
        )

    error, hint = ended.stderr.decode().splitlines()
    assert (74, "error: standard output cannot be written (No space left on device)") == (ended.returncode, error)
    assert hint.startswith("hint: ")


def visits_in(path):
    return [line for line in path.read_bytes().splitlines() if b'"Visited"' in line] if path.exists() else []


ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "interrupted by SIGTERM"), signal.SIGKILL: (-9, None)}


@pytest.mark.parametrize("blow", ENDS)
def test_a_profile_that_is_broken_off_goes_on_where_it_was(tmp_path, tmp_path_factory, blow):
    arguments = ("profile", MODEL, "--budget", 3, "--max-batch-size", 4, "-o", "profile.json")
    journal, temporary = tmp_path / "profile.journal", tmp_path_factory.mktemp("temporary")
    process = started(*arguments, cwd=tmp_path, TMPDIR=str(temporary))
    deadline = time.monotonic() + 60
    while len(visits_in(journal)) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)

    process.send_signal(blow)
    out, err = process.communicate(timeout=60)
    kept, left = visits_in(journal), names(temporary)
    again = finished(*arguments, cwd=tmp_path, TMPDIR=str(temporary))

    status, said = ENDS[blow]
    assert len(kept) >= 5 and (b"", status) == (out, process.returncode)
    if said is not None:
        assert f"{said}: what was measured is kept; the same command resumes from there" == err.decode().splitlines()[-1]
        assert b"Traceback" not in err and [] == left
    assert 0 == again[0] and "Traceback" not in again[2]
    assert ["profile.json", "profile.variants"] == sorted(path.name for path in tmp_path.iterdir())
    assert [] == names(temporary)
    assert [] == [path.name for path in (tmp_path / "profile.variants").iterdir() if path.name[0] == "." and path.is_dir()]
    profile = msgspec.json.decode((tmp_path / "profile.json").read_bytes(), type=Profile)
    made = {visit.latency_s for entry in profile.sites[0].measurements for visit in entry.visits}
    before = {tuple(msgspec.json.decode(line)["visit"]["latency_s"]) for line in kept if line.endswith(b"}")}
    assert before <= made


def test_an_interrupt_before_anything_was_measured_leaves_no_journal(tmp_path):
    process = started("profile", MODEL, "--budget", 3, cwd=tmp_path)
    assert process.stderr.readline().startswith(b"advisor: about 3 s in all, at most 4.5 s, besides loading; loading the model ")

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert 130 == process.returncode and b"Traceback" not in err and b"kept" not in err
    assert {"profile.variants"} >= {path.name for path in tmp_path.iterdir()}


def test_rounds_go_on_in_order_after_an_interrupt(measured):
    profile = msgspec.json.decode((measured / "profile.json").read_bytes(), type=Profile)

    for entry in profile.sites[0].measurements:
        assert all(earlier.order < later.order for earlier, later in pairwise(entry.visits))


def test_two_runs_into_one_place_are_one_run_and_a_refusal_that_names_it(tmp_path):
    arguments = ("profile", MODEL, "--budget", 2, "--max-batch-size", 1)
    first = started(*arguments, cwd=tmp_path)
    assert first.stderr.readline().startswith(b"advisor: about 2 s in all")

    status, out, err = finished(*arguments, cwd=tmp_path)

    error, hint = err.splitlines()
    assert (2, "", True) == (status, out, hint.startswith("hint: "))
    assert f"error: profile.json: process {first.pid} of advisor is writing it and what lies beside it" == error
    first.communicate(timeout=60)
    assert 0 == first.returncode
    assert ["profile.json", "profile.variants"] == sorted(path.name for path in tmp_path.iterdir())


def test_streams_that_are_full_change_nothing_of_what_is_measured(tmp_path):
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*COMMAND, "profile", MODEL, *QUICK], cwd=tmp_path, stdout=full, stderr=full, check=False)

    assert STATUSES["not printed"] == ended.returncode
    assert msgspec.json.decode((tmp_path / "profile.json").read_bytes(), type=Profile).sites[0].measurements
    assert ["profile.json", "profile.variants"] == sorted(path.name for path in tmp_path.iterdir())


# --- what is written over ------------------------------------------------------------------------------------------------


def test_a_report_goes_through_a_link_and_keeps_the_mode_of_what_was_there(advisor, measured, tmp_path):
    (tmp_path / "shown").mkdir()
    (tmp_path / "report.html").symlink_to("shown/report.html")
    common = ("report", measured / "advice.json", "--format", "html", "-o")
    assert 0 == advisor(*common, "shown/report.html")[0]
    (tmp_path / "shown" / "report.html").chmod(0o600)

    assert (0, "", "") == advisor(*common, "report.html")

    assert (tmp_path / "report.html").is_symlink()
    assert 0o600 == (tmp_path / "shown" / "report.html").stat().st_mode & 0o777


@pytest.mark.parametrize("format_", ["html", "md", "text", "json"])
def test_what_a_command_has_written_it_writes_again(advisor, measured, format_):
    for arguments in (
        ("report", measured / "advice.json", "--format", format_, "-o", "report"),
        ("classify", measured / "workload.yaml", "--format", format_, "-o", "classification"),
    ):
        assert [(0, "")] * 2 == [advisor(*arguments)[:2] for _ in range(2)]


def test_prices_are_imported_into_nothing_but_a_price_book(advisor, tmp_path):
    row = "provider,region,instance,term,usd_per_hour,date,source\naws,us-east-1,c7i.large,on-demand,0.09,2026-11-01,me\n"
    put(tmp_path, mine__csv=row, other__csv="name,price\nx,1\n", book__csv=row)
    before = names(tmp_path)
    common = ("hardware", "prices", "--import", "mine.csv", "-o")

    assert "mine.csv: is an input of this command" == refused(advisor(*common, "mine.csv"), tmp_path, before)
    assert refused(advisor(*common, "other.csv"), tmp_path, before).startswith("other.csv: holds something else")
    assert 0 == advisor(*common, "book.csv")[0]
    assert before == names(tmp_path)
