"""What lies behind a report beside its record: the workload as its user wrote it, the rulebook, the catalog of the lifetime cost."""

from functools import cache
from pathlib import Path

from advisor.files.market import market_of
from advisor.files.workload import read_workload
from advisor.schema.workload import Lifecycle, LifeModel
from advisor.steps.advise import rules_with
from tests.advised import NOW
from tests.figures.known import Known, leaves

ROOT = Path(__file__).parents[2]


@cache
def whys() -> dict[str, str]:
    """Return what each rule says when it fires, by its id."""
    return {rule.id: rule.why for rule in rules_with(None, now=NOW)}


def add_rules(known: Known) -> None:
    """Let what rules say of themselves be printed."""
    for name, why in whys().items():
        known.quoted(f"rule {name}", why)


@cache
def _catalog() -> dict[str, object]:
    market = market_of(Lifecycle(model=LifeModel(parameters=8e9)))
    return {"catalog": market.model}


def add_catalog(known: Known) -> None:
    """Let the numbers of levers and constants, and the sources of these, be printed."""
    for name, entries in _catalog().items():
        known.record(entries)
        for leaf in leaves(entries):
            if isinstance(leaf.value, str):
                known.quoted(f"catalog, {name}{leaf.path}", leaf.value)


def add_workload(known: Known, path: Path) -> None:
    """Let what a workload file gives be printed, with the sources that it names."""
    workload = read_workload(path)
    known.record(workload)
    for leaf in leaves(workload):
        if isinstance(leaf.value, str):
            known.quoted(f"workload{leaf.path}", leaf.value)
    known.quoted("workload file", path.read_text())
