"""Advice as a run of MLflow: parameters, metrics, and the files that `recommend` wrote. The one doorway to `mlflow`.

The store is that of MLFLOW_TRACKING_URI, else the folder mlruns; MLFLOW_EXPERIMENT_NAME and MLFLOW_RUN_ID mean what they mean elsewhere. A
remote store is the user's own choice: without one nothing leaves the machine.
"""

import importlib.util
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from advisor.errors import InputError, MissingDependencyError
from advisor.inert.text import inert
from advisor.steps.advise import AnyAdvice
from advisor.tell.table import flat

EXPERIMENT = "serving-advisor"
FILES = ("advice.json", "report.html", "report.md")
LONGEST_VALUE = 500  # of a parameter: older stores take no more


class Logged(NamedTuple):
    """Where a run went."""

    run: str
    store: str


def check_mlflow() -> None:
    """Raise MissingDependencyError where there is no mlflow, before time is spent on what would be logged."""
    if importlib.util.find_spec("mlflow") is None:
        raise MissingDependencyError("--mlflow needs the package mlflow", hint="pip install 'serving-advisor[mlflow]'")


def log_run(advice: AnyAdvice, folder: Path) -> Logged:
    """Log advice and the reports of a folder; return where. Raises InputError where the store does not take it."""
    check_mlflow()
    # It counts its users unless it is told not to before it is loaded.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder is all that the client brings itself
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    store = os.environ.get("MLFLOW_TRACKING_URI") or (Path.cwd() / "mlruns").as_uri()
    try:
        client = MlflowClient(tracking_uri=store)
        given = os.environ.get("MLFLOW_RUN_ID")
        run = given or _new_run(client, inert(advice.workload.name))
        _log(client, run, advice)
        for file in FILES:
            if (folder / file).is_file():
                client.log_artifact(run, str(folder / file))
        if given is None:
            client.set_terminated(run)
    except (MlflowException, OSError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(
            f"{store}: MLflow does not take the run ({first})",
            hint=f"set MLFLOW_TRACKING_URI to a store that you may write to; the advice is in {folder}",
        ) from error
    return Logged(run, store)


def _log(client: Any, run: str, advice: AnyAdvice) -> None:
    """Log all figures at once, at the moment at which the advice was made."""
    from mlflow.entities import Metric, Param, RunTag

    made_ms = int(datetime.fromisoformat(advice.created).timestamp() * 1000)
    client.log_batch(
        run,
        metrics=[Metric(name, figure, made_ms, 0) for name, figure in _metrics(advice).items()],
        params=[Param(name, value) for name, value in _parameters(advice).items()],
        tags=[RunTag("headline", inert(advice.headline))],
    )


def _new_run(client: Any, name: str) -> str:
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(experiment)
    identity = client.create_experiment(experiment) if found is None else found.experiment_id
    run_id: str = client.create_run(identity, run_name=name).info.run_id
    return run_id


def _figures(advice: AnyAdvice) -> dict[str, object]:
    likely = getattr(advice, "likely", None)
    shown = advice.recommended or likely or advice.nearest_miss
    return {} if shown is None else flat(shown)


def _parameters(advice: AnyAdvice) -> dict[str, str]:
    """Return what was asked and what is advised, as texts."""
    given = {
        "workload": advice.workload.name,
        "model_sha256": advice.model.sha256,
        "outcome": getattr(advice, "outcome", "batch job"),
        "advisor_version": advice.advisor_version,
    }
    settings = {
        name: value for name, value in _figures(advice).items() if isinstance(value, str | int) and not name.endswith("_basis")
    }
    return {name: inert(str(value))[:LONGEST_VALUE] for name, value in {**given, **settings}.items() if value != ""}


def _metrics(advice: AnyAdvice) -> dict[str, float]:
    """Return every figure of what is advised, with both ends of its interval."""
    return {name: value for name, value in _figures(advice).items() if isinstance(value, float) and math.isfinite(value)}
