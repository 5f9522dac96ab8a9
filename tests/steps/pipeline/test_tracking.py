"""Advice as a run of MLflow, in a folder of the test's own."""

import sys

import pytest

from advisor.errors import InputError, MissingDependencyError
from advisor.steps.pipeline.tracking import check_mlflow, log_run
from tests.tell import documents, generation_examples, language_examples
from tests.tell.advice_examples import change, infeasible

ADVICES = [change(), infeasible(), documents.job(), generation_examples.chat(), language_examples.chat_elsewhere()]


@pytest.fixture(scope="module", autouse=True)
def mlflow():
    """The package, loaded before advisor could say that a folder is meant."""
    return pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("advice", ADVICES, ids=lambda it: it.headline[:20])
def test_a_run_has_what_was_advised_with_both_ends_of_each_figure(mlflow, place, advice):
    (place / "advice").mkdir()
    (place / "advice" / "report.md").write_text("# a report\n")

    logged = log_run(advice, place / "advice")

    run = mlflow.MlflowClient(tracking_uri=logged.store).get_run(logged.run)
    assert "FINISHED" == run.info.status
    assert advice.workload.name == run.data.params["workload"]
    assert {name for name in run.data.metrics if name.endswith("_low")}
    assert all(
        run.data.metrics[f"{name}_low"] <= run.data.metrics[f"{name}_high"]
        for name in run.data.metrics
        if f"{name}_low" in run.data.metrics
    )
    assert any(path.name == "report.md" for path in (place / "mlruns").rglob("*"))


def test_a_run_that_is_open_is_gone_on_with(mlflow, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (place / "store").as_uri())
    client = mlflow.MlflowClient(tracking_uri=(place / "store").as_uri())
    run = client.create_run(client.create_experiment("mine")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run)

    logged = log_run(change(), place)

    assert run == logged.run
    assert "RUNNING" == client.get_run(run).info.status


def test_a_store_that_takes_nothing_is_said_and_the_advice_is_kept(place, monkeypatch):
    (place / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (place / "file").as_uri())

    with pytest.raises(InputError, match="MLflow does not take the run"):
        log_run(change(), place)


def test_without_the_package_it_is_said_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(MissingDependencyError, match="--mlflow needs the package mlflow"):
        check_mlflow()
