"""Inputs that reach new lines of the readers: libFuzzer finds them, by way of atheris, where that is installed.

A reader is called in a process of its own, over and over, and what leads it to a line that no input before led to is kept. Whatever it
raises is of no interest there: each of these inputs becomes a case, and a command says what comes of it.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness import now
from parts.fuzz.case import Case
from parts.fuzz.seeds import NOW, WORKLOAD, Seeds

GROW = "import sys; sys.path.insert(0, sys.argv[1]); from parts.fuzz.growing import grow; grow(*sys.argv[2:])"
STARTING_S = 60.0  # that a process may take beside the time that is asked for
LONGEST_BYTES = 20_000
TRACE = b"arrival_s,sequence_length\n" + b"".join(b"%d.5,%d\n" % (number, 1 + number % 9) for number in range(120))
BOOK = b"provider,region,instance,term,usd_per_hour,date,source\nown,here,l4,on-demand,0.7,2026-11-01,mine\n"


class Grown(NamedTuple):
    """A reader, what it starts from, and the case that is made of an input."""

    read: Callable[[Path], object]
    name: str
    first: Callable[[Seeds], tuple[bytes, ...]]
    case: Callable[[bytes, Seeds], Case]


def is_possible() -> bool:
    """Return whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def cases(seeds: Seeds, folder: Path, *, seconds: float, seed: int) -> Iterator[Case]:
    """Yield a case for each input that was found, `seconds` for all readers together."""
    for kind, grown in KINDS.items():
        corpus = folder / kind
        corpus.mkdir(parents=True)
        for number, content in enumerate(grown.first(seeds)):
            (corpus / f"first-{number}").write_bytes(content)
        each_s = max(1, round(seconds / len(KINDS)))
        command = [sys.executable, "-P", "-c", GROW, str(Path(__file__).parents[2]), kind, str(corpus), str(each_s), str(seed)]
        subprocess.run(command, cwd=folder, capture_output=True, timeout=each_s + STARTING_S, check=False)
        for path in sorted(corpus.iterdir()):
            yield grown.case(path.read_bytes(), seeds)


def grow(kind: str, corpus: str, seconds: str, seed: str) -> None:
    """Fill the corpus for so many seconds; does not return."""
    import atheris

    from advisor.errors import AdvisorError

    with atheris.instrument_imports(include=["advisor", "yaml"]):
        read = KINDS[kind].read
        path = Path(corpus).parent / KINDS[kind].name
        try:
            path.write_bytes(b"")
            read(path)  # imports what it needs, where that is watched
        except AdvisorError:
            pass

    def once(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except Exception:  # noqa: BLE001  what it is, the command will show
            return

    limits = (
        f"-max_total_time={seconds}",
        f"-seed={int(seed) + 1}",
        f"-max_len={LONGEST_BYTES}",
        "-timeout=30",
        "-rss_limit_mb=2048",
    )
    atheris.Setup([sys.argv[0], corpus, *limits, f"-artifact_prefix={corpus}/"], once)
    atheris.Fuzz()


def _workload(path: Path) -> Any:
    from advisor.files.workload import read_workload

    return read_workload(path)


def _rule(path: Path) -> Any:
    from advisor.files.rulebook import read_rules

    return read_rules(path.parent, now=now())


def _profile(path: Path) -> Any:
    from advisor.files.records import read_json
    from advisor.schema.profile import Profile

    return read_json(path, Profile, made_by="advisor profile")


def _trace(path: Path) -> Any:
    from advisor.files.trace import read_trace

    return read_trace(path)


def _book(path: Path) -> Any:
    from advisor.files.books.price_book import read_price_book

    return read_price_book(path)


def _short(profile: bytes) -> bytes:
    """Return a profile of a few measurements with a few calls each."""
    known = json.loads(profile)
    for site in known["sites"]:
        site["measurements"] = site["measurements"][:3]
        for point in site["measurements"]:
            point["visits"] = [visit | {"latency_s": visit["latency_s"][:2], "waited_s": None} for visit in point["visits"][:2]]
    return json.dumps(known).encode()


def _case_of_trace(content: bytes, seeds: Seeds) -> Case:
    del seeds
    workload = b"name: grown\ntraffic: {trace: trace.csv}\n"
    return Case("grown_trace", ("classify", "w.yaml", "--now", NOW), {"w.yaml": workload, "trace.csv": content})


def _case_of_profile(content: bytes, seeds: Seeds) -> Case:
    del seeds
    return Case(
        "grown_profile", ("advise", "profile.json", "-w", "w.yaml", "--now", NOW), {"profile.json": content, "w.yaml": WORKLOAD}
    )


KINDS = {
    "workload": Grown(
        _workload,
        "w.yaml",
        lambda seeds: seeds.workloads,
        lambda content, _: Case("grown_workload", ("classify", "w.yaml", "--now", NOW), {"w.yaml": content}),
    ),
    "rule": Grown(
        _rule,
        "inference-dominates.yaml",
        lambda seeds: seeds.rules,
        lambda content, _: Case(
            "grown_rule", ("rules", "test", "rules", "--now", NOW), {"rules/inference-dominates.yaml": content}
        ),
    ),
    "profile": Grown(_profile, "profile.json", lambda seeds: (_short(seeds.profile),), _case_of_profile),
    "trace": Grown(_trace, "trace.csv", lambda _: (TRACE,), _case_of_trace),
    "book": Grown(
        _book,
        "prices.csv",
        lambda _: (BOOK,),
        lambda content, _: Case(
            "grown_book", ("hardware", "prices", "--import", "prices.csv", "--now", NOW), {"prices.csv": content}
        ),
    ),
}
