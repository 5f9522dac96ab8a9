"""The same file given twice as two variants: how often the advice calls that a tie, and claims nothing of either."""

import shutil
import tempfile
from pathlib import Path

from parts.models import EXAMPLES

from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.profile import profile

RUNS = 100
MODEL = EXAMPLES / "fashion_dscnn.onnx"
BUDGET_S = 3.0
WORKLOAD = """
name: the same file twice
traffic: {requests_per_s: 3000}
slo: {latency_s: 20 ms}
hardware: {price_usd_per_hour: {local: 1}}
"""


def measure(*, quick: bool) -> dict[str, float | None]:
    """Return the share of runs in which the twin was a tie, of whole profiles and advices, each in processes of its own."""
    runs = 5 if quick else RUNS
    tied = 0
    print(f"\nthe same file twice, {runs} runs")
    for run in range(runs):
        with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
            advice = _advise(Path(name), run)
        tied += _is_tie(advice)
        if not _is_tie(advice):
            print(f"  run {run}: told apart, noise floor {advice.noise_fraction}")
    print(f"  a tie in {tied} of {runs}")
    return {"aa_tie_rate": tied / runs, "aa_runs": runs}


def _advise(folder: Path, seed: int) -> Advice:
    twin = shutil.copy(MODEL, folder / "twin.onnx")
    (folder / "workload.yaml").write_text(WORKLOAD)
    options = ProfileOptions(
        workload=folder / "workload.yaml", variants=(Path(twin),), budget_s=BUDGET_S, max_batch_size=4, seed=seed
    )
    profile(MODEL, folder / "profile.json", options, now="benchmark", report=lambda done, total, what: None)
    return advise_on(folder / "profile.json", folder / "workload.yaml", now="benchmark")


def _is_tie(advice: Advice) -> bool:
    is_told = any(tie.variant == "twin" for tie in advice.speed_ties)
    return is_told and (advice.recommended is None or advice.recommended.candidate.variant != "twin")
