"""What cases are made of: files that the advisor itself writes for a small model, and those of the examples."""

import signal
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from advisor.errors import ExitStatus
from parts.fuzz import graphs
from parts.models import EXAMPLES

NOW = "2026-11-28T00:00:00+00:00"
WORKLOAD = b"""name: seed
traffic: {requests_per_s: 40, burstiness_cv: 1.5}
slo: {latency_s: 50 ms, quantile: 0.99}
hardware: {allowed: [local], price_usd_per_hour: {local: 0.34}}
lifecycle: {horizon_months: 12, growth_per_month: 0.05, fine_tunings_per_year: 2, fine_tuning_usd: 400, labels_usd: 1500}
baseline: {max_batch_size: 1}
"""
OFFLINE = b"""name: seed-job
offline: {items: 2000000, deadline_s: 6 h, start_s: 60 s}
hardware: {allowed: [local], price_usd_per_hour: {local: 0.17}}
"""
PORTFOLIO = b"""name: seed
budget_usd: 40 k$
workloads:
  - {workload: w.yaml}
  - {workload: v.yaml, never: [spot]}
"""
JOURNAL_LINES = 8
PATIENCE_S = 120.0


class Seeds:
    """Contents of files that are right, before anything is changed in them; what takes seconds is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where the commands work."""
        self.folder = folder
        self.model = graphs.small().SerializeToString()
        self.scenarios = tuple(path.read_bytes() for path in sorted((EXAMPLES.parent / "scenarios").glob("*.yaml")))
        self.workloads = (WORKLOAD, OFFLINE, *self.scenarios)
        self.policy = (EXAMPLES.parent / "ci" / "policy.yaml").read_bytes()
        self.rules = tuple(path.read_bytes() for path in sorted((EXAMPLES.parents[1] / "rules").glob("*.yaml"))[:6])
        (folder / "model.onnx").write_bytes(self.model)
        for name, content in (("workload", WORKLOAD), ("offline", OFFLINE), ("scenario", self.scenarios[0])):
            (folder / f"{name}.yaml").write_bytes(content)

    @cached_property
    def profile(self) -> bytes:
        """Return a profile for the first of the workloads."""
        options = ("--budget", "1", "--max-batch-size", "2", "-w", "workload.yaml")
        return self._made("profile.json", "profile", "model.onnx", *options)

    @cached_property
    def advice(self) -> bytes:
        """Return advice on that profile."""
        assert self.profile
        return self._made("advice.json", "advise", "profile.json", "-w", "workload.yaml")

    @cached_property
    def offline_advice(self) -> bytes:
        """Return advice on a batch job."""
        assert self.profile
        return self._made("offline.json", "advise", "profile.json", "-w", "offline.yaml")

    @cached_property
    def classification(self) -> bytes:
        """Return the classification of an example."""
        return self._made("classification.json", "classify", "scenario.yaml", "--format", "json")

    @cached_property
    def journal(self) -> bytes:
        """Return the journal of a profile that was ended in the middle of its visits."""
        path = self.folder / "killed.journal"
        command = _command("profile", "model.onnx", "--budget", "5", "--max-batch-size", "2", "-o", "killed.json")
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            until_s = time.monotonic() + PATIENCE_S
            while running.poll() is None and time.monotonic() < until_s:
                if path.is_file() and path.read_bytes().count(b"\n") > JOURNAL_LINES:
                    break
                time.sleep(0.02)
            running.send_signal(signal.SIGKILL)
        return path.read_bytes()

    def _made(self, name: str, *arguments: str) -> bytes:
        command = _command(*arguments, "-o", name, "--now", NOW)
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if ran.returncode not in (ExitStatus.ADVICE, ExitStatus.INFEASIBLE, ExitStatus.INCONCLUSIVE):
            raise RuntimeError(f"{arguments[0]} ended with {ran.returncode}: {ran.stderr[-2000:]}")
        return (self.folder / name).read_bytes()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "advisor.cli", *arguments]
