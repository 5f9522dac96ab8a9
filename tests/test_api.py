"""advisor from Python: paths or dicts in, records out that print short and show their report in a notebook."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import advisor
from advisor import api
from advisor.errors import InputError
from advisor.files.records import to_json
from tests.profiles import fixed_cost_law, profile
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change

ROOT = Path(__file__).parents[1]
NOW = "2026-11-22T08:00:00+00:00"
TOKENS = {
    "name": "a test",
    "traffic": {"requests_per_s": 1},
    "tokens": {"input": {"p50": 100}, "output": {"p50": 20}},
    "slo": {"ttft_s": "2 s", "quantile": 0.9},
    "hardware": {"allowed": ["l4"]},
}
WORKLOAD = {
    "name": "a test",
    "traffic": {"requests_per_s": 40},
    "slo": {"latency_s": "500 ms", "quantile": 0.9},
    "hardware": {"price_usd_per_hour": {"local": 0.17}},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.json").write_bytes(to_json(profile(fixed_cost_law(0.003, 0.006))))
    return tmp_path


def test_importing_advisor_loads_nothing_of_it():
    script = "import sys; import advisor; print(*sorted(name for name in sys.modules if name.startswith('advisor')))"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "advisor\n" == ran.stdout


def test_what_is_offered_is_there_and_nothing_else():
    assert set(advisor.OFFERED) <= set(dir(advisor))
    assert all(callable(getattr(advisor, name)) for name in advisor.OFFERED)
    with pytest.raises(AttributeError, match="has no attribute 'reccomend'"):
        _ = advisor.reccomend


def test_advice_is_had_in_one_call_with_its_reports_in_a_folder(here):
    shutil.copy(ROOT / "tests" / "data" / "configs" / "qwen3-0.6b.json", here / "config.json")

    advice = advisor.recommend("config.json", workload=TOKENS)

    assert advice.recommended is not None
    assert (here / "advice" / "report.html").is_file()
    assert [] == [it.name for it in here.iterdir() if it.name.startswith(".")]


@pytest.mark.parametrize("budget", [3, 3.0, "3 s", "0.05 min"])
def test_a_budget_is_seconds_however_it_is_given(budget):
    assert "3.0" == str(api._options(None, {"budget_s": budget}).budget_s)


def test_a_profile_prints_in_one_line():
    made = profile(fixed_cost_law(0.003, 0.006))

    assert repr(made) == str(made) and repr(made).startswith("<Profile of model.onnx: 1 variants, 3 points, 9 calls")
    assert "<pre>&lt;Profile" in made._repr_html_()


def test_a_workload_is_a_path_or_its_content_and_says_the_same(here):
    (here / "w.yaml").write_text(
        "name: a test\ntraffic: {requests_per_s: 40}\nslo: {latency_s: 500 ms, quantile: 0.9}\n"
        "hardware: {price_usd_per_hour: {local: 0.17}}\n"
    )

    found = [advisor.advise("profile.json", given, now=NOW) for given in ("w.yaml", here / "w.yaml", WORKLOAD)]

    assert found[0] == found[1] == found[2]


def test_paths_in_a_dict_start_from_the_working_folder(here):
    (here / "trace.csv").write_text("arrival_s\n" + "".join(f"{index / 40}\n" for index in range(400)))

    advice = advisor.advise("profile.json", WORKLOAD | {"traffic": {"trace": "trace.csv"}}, now=NOW)

    assert pytest.approx(40, rel=0.01) == advice.mean_requests_per_s


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slo": {"latency": 1}}, "^workload: slo.latency: unknown key"),
        ({"slo": {"latency_s": float("nan")}}, "^workload: slo.latency_s: cannot read 'NaN' as a quantity"),
        ({"name": object()}, "^workload: holds what no file can hold"),
    ],
)
def test_a_wrong_workload_is_refused_with_its_key_and_the_way_out(here, changed, said):
    with pytest.raises(InputError, match=said) as raised:
        advisor.advise("profile.json", WORKLOAD | changed, now=NOW)

    assert [f"hint: {raised.value.hint}"] == raised.value.__notes__
    assert {"profile.json"} == {it.name for it in here.iterdir()}


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(InputError, match=r"^budget is no option of measuring"):
        advisor.profile("model.onnx", budget=3)


def test_serving_against_training_needs_no_model():
    life = {"horizon_months": 12, "fine_tunings_per_year": 4, "fine_tuning_usd": 2000}

    found = advisor.classify(WORKLOAD | {"lifecycle": life}, now=NOW)

    assert found.headline in repr(found)


@pytest.mark.parametrize(
    "record",
    [change(), documents.job(), generation_examples.chat(), language_examples.chat_elsewhere(), documents.classification()],
    ids=lambda it: type(it).__name__,
)
def test_a_record_prints_short_and_shows_its_report_in_a_frame(record):
    _ = advisor.recommend  # whoever uses advisor from Python has loaded what shows records

    assert f"<{type(record).__name__}: {record.headline}>" == repr(record)
    assert record.headline in " ".join(str(record).split()) and len(str(record).splitlines()) <= 40
    page = record._repr_html_()
    assert page.startswith("<iframe srcdoc=") and "<script" not in page and 1 == page.count("</iframe>")
