"""How long `advisor classify` takes from process start to its last line, beside a Python that does nothing and one that loads NumPy.

    python benchmarks/classify_speed.py [--json FILE] [--quick]

Commands take turns, so that a busy machine slows all of them down alike; ratios to the empty Python say more than seconds.

Keys: `classify_s` and `classify_over_python`, of the scenario that takes longest; `classify_scatter_fraction` (the middle half of its
turns); `version_s` (`advisor --version`), `python_s` (that does nothing), `numpy_s` (that loads NumPy), all medians; `target_s`. Tables:
`rows` has every command.
"""

import functools
import subprocess
import sys
from pathlib import Path
from statistics import median

from harness import Figures, Size, in_turns, parsed, parser_of, ratio, save, scatter, show

SCENARIOS = Path(__file__).parents[1] / "examples" / "scenarios"
TARGET_S = 0.3
TURNS: dict[Size, int] = {"full": 15, "quick": 3, "tiny": 2}
TINY_SCENARIOS = 2
NOTHING, NUMPY, VERSION = "python that does nothing", "python that loads numpy", "advisor --version"


def main() -> None:
    arguments = parsed(parser_of(__doc__))
    taken = _taken(arguments.size)
    rows = [
        {
            "command": name,
            "median_s": median(seconds),
            "min_s": min(seconds),
            "max_s": max(seconds),
            "ratio": ratio(seconds, taken[NOTHING]),
        }
        for name, seconds in taken.items()
    ]
    print(f"{'command':<36}{'median':>9}{'least':>9}{'most':>9}{'ratio':>8}")
    for row in rows:
        print(f"{row['command']:<36}{row['median_s']:>8.3f}s{row['min_s']:>8.3f}s{row['max_s']:>8.3f}s{row['ratio']:>8.1f}")
    figures = _figures(taken)
    show(figures)
    save(arguments.json, arguments.size, figures, rows=rows)


def _taken(size: Size) -> dict[str, list[float]]:
    """Return the seconds of each command in each turn."""
    advisor = Path(sys.executable).with_name("advisor")
    if not advisor.is_file():
        sys.exit(f"{advisor} is not there: install advisor beside this Python, `make dev` does")
    scenarios = sorted(SCENARIOS.glob("*.yaml"))[: TINY_SCENARIOS if size == "tiny" else None]
    commands = {
        NOTHING: [sys.executable, "-c", "pass"],
        NUMPY: [sys.executable, "-c", "import numpy"],
        VERSION: [str(advisor), "--version"],
        **{f"classify {path.stem}": [str(advisor), "classify", str(path)] for path in scenarios},
    }
    calls = {name: functools.partial(_run, command) for name, command in commands.items()}
    in_turns(calls, 1)  # the first reads from the disk
    return in_turns(calls, TURNS[size])


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _figures(taken: dict[str, list[float]]) -> Figures:
    slowest = max((seconds for name, seconds in taken.items() if name.startswith("classify")), key=median)
    return {
        "classify_s": median(slowest),
        "classify_over_python": ratio(slowest, taken[NOTHING]),
        "classify_scatter_fraction": scatter(slowest),
        "version_s": median(taken[VERSION]),
        "python_s": median(taken[NOTHING]),
        "numpy_s": median(taken[NUMPY]),
        "target_s": TARGET_S,
    }


if __name__ == "__main__":
    main()
