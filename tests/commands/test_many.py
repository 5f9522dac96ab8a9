"""advisor advise-many from the command line."""

import json
from pathlib import Path

from click.testing import CliRunner

from advisor.cli import cli
from advisor.files.records import to_json
from tests.profiles import NOW, fixed_cost_law, profile
from tests.steps.sweep.test_many import REFUSED, WORKLOAD


def test_many_workloads_are_advised_on_and_what_failed_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("profile.json").write_bytes(to_json(profile(fixed_cost_law(0.003, 0.006))))
    Path("w.jsonl").write_text("".join(f"{json.dumps(it)}\n" for it in (WORKLOAD, WORKLOAD | REFUSED)))
    arguments = [
        "advise-many",
        "w.jsonl",
        "--profile",
        "profile.json",
        "-o",
        "out",
        "--rows-only",
        "--processes",
        "1",
        "--now",
        NOW,
    ]

    ran = CliRunner().invoke(cli, arguments, standalone_mode=False)

    assert 2 == ran.return_value
    headline, failed, overview = ran.stdout.splitlines()
    assert "1 to change, 1 failed" in headline
    assert failed.startswith("2: w.jsonl:2: slo.latency_s: missing")
    assert "overview: out/overview.html" == overview
