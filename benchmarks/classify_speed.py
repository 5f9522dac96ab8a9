"""How long `advisor classify` takes from process start to its last line, beside a Python that does nothing and one that loads NumPy.

    .venv/bin/python benchmarks/classify_speed.py --json classify.json     a minute; --quick for a few seconds

Runs are interleaved, so that a busy machine slows all of them down alike; the ratio to the empty Python says more than the seconds.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SCENARIOS = Path(__file__).parents[1] / "examples" / "scenarios"
TARGET_S = 0.3
ROUNDS, QUICK_ROUNDS = 15, 3


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    advisor = str(Path(sys.executable).with_name("advisor"))
    commands = {
        "python that does nothing": [sys.executable, "-c", "pass"],
        "python that loads numpy": [sys.executable, "-c", "import numpy"],
        "advisor --version": [advisor, "--version"],
        **{f"classify {path.stem}": [advisor, "classify", str(path)] for path in sorted(SCENARIOS.glob("*.yaml"))},
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        seconds(command)  # the first reads from the disk
    for _ in range(QUICK_ROUNDS if asked.quick else ROUNDS):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    nothing = median(taken["python that does nothing"])
    rows = [
        {"command": name, "median_s": median(times), "min_s": min(times), "max_s": max(times), "ratio": median(times) / nothing}
        for name, times in taken.items()
    ]
    print(f"{'command':<36}{'median':>9}{'least':>9}{'most':>9}{'ratio':>8}")
    for row in rows:
        print(f"{row['command']:<36}{row['median_s']:>8.3f}s{row['min_s']:>8.3f}s{row['max_s']:>8.3f}s{row['ratio']:>8.1f}")
    worst = max(row["median_s"] for row in rows if row["command"].startswith("classify"))
    print(f"the slowest scenario takes {worst:.3f} s; the target is {TARGET_S} s: {'kept' if worst < TARGET_S else 'missed'}")
    if asked.json:
        asked.json.write_text(json.dumps({"target_s": TARGET_S, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
