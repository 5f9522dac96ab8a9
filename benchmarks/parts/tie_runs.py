"""The same file given twice as two variants: how often the advice calls that a tie, and claims nothing of either."""

import shutil
import tempfile
from pathlib import Path

from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.profile import profile
from harness import Figures, now, rate, silent
from parts.models import EXAMPLES

MODEL = EXAMPLES / "fashion_dscnn.onnx"
WORKLOAD = """
name: the same file twice
traffic: {requests_per_s: 3000}
slo: {latency_s: 20 ms}
hardware: {price_usd_per_hour: {local: 1}}
"""


def measure(*, runs: int, budget_s: float) -> Figures:
    """Return the share of runs in which the twin was a tie, of whole profiles and advices, each in processes of its own."""
    tied = []
    print(f"\nthe same file twice, {runs} runs")
    for run in range(runs):
        with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
            advice = _advise(Path(name), run, budget_s)
        tied.append(_is_tie(advice))
        if not tied[-1]:
            print(f"  run {run}: told apart, noise floor {advice.sites[0].noise_fraction}")
    print(f"  a tie in {sum(tied)} of {runs}")
    return {**rate("aa_tie_rate", tied, without="no run was asked for"), "aa_runs": runs}


def _advise(folder: Path, seed: int, budget_s: float) -> Advice:
    twin = shutil.copy(MODEL, folder / "twin.onnx")
    (folder / "workload.yaml").write_text(WORKLOAD)
    options = ProfileOptions(
        workload=folder / "workload.yaml", variants=(Path(twin),), budget_s=budget_s, max_batch_size=4, seed=seed
    )
    profile(MODEL, folder / "profile.json", options, now=now(), report=silent)
    advice = advise_on(folder / "profile.json", folder / "workload.yaml", now=now())
    assert isinstance(advice, Advice)
    return advice


def _is_tie(advice: Advice) -> bool:
    is_told = any(tie.variant == "twin" for tie in advice.speed_ties)
    return is_told and (advice.recommended is None or advice.recommended.candidate.variant != "twin")
