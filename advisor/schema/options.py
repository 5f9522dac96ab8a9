"""What the command line asks of a step beside its files. Plain tuples: `advisor --help` would wait for the library of the records."""

from pathlib import Path
from typing import NamedTuple

MOST_BATCH_SIZE = 4096  # that is measured
USUAL_LOAD_TEST_S = 30.0
USUAL_TRAINING_S = 900.0
USUAL_MARGIN = 0.2  # that production's figures may be off from what was advised
USUAL_MAX_UNCERTAINTY = 1.5  # of the cost, as a factor: one replica or two is a different answer


class ProfileOptions(NamedTuple):
    """How to measure a model; None takes the workload's value or the default."""

    workload: Path | None = None
    inputs: Path | None = None
    variants: tuple[Path, ...] = ()
    schemes: tuple[str, ...] = ()  # tried even if the pre-flight check would leave them out
    budget_s: float = 60.0
    max_batch_size: int = 64
    seed: int = 0
    fresh: bool = False
    hardware: str = "local"
    general: bool = False  # time every point alike, for other workloads too
    allow_code: bool = False  # run the functions that the workload file names
    students: tuple[str, ...] = ()  # smaller models: `auto`, names, or files and folders of trained ones
    draft: Path | None = None  # a smaller decoder that proposes tokens to one
    store: str | None = None  # where a profile is looked for before anything is measured, and put afterwards


class DistillOptions(NamedTuple):
    """How to make a student: which one, from which data, for so many steps or as many as fit into so many seconds."""

    student: str
    data: Path
    steps: int | None = None
    budget_s: float | None = None  # None, and no steps: USUAL_TRAINING_S
    seed: int = 0
    fresh: bool = False


class SweepOptions(NamedTuple):
    """How to run a sweep, beside its file and its folder."""

    store: str | None = None  # the address of a shared store
    ray: str | None = None  # the address of a cluster, `auto` or `local`; None: in turn on this machine
    on: str | None = None  # the kind that this machine is
    patience_s: float = 900.0  # for a machine of a kind of which the cluster has none
    fresh: bool = False
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY
    rules_folder: Path | None = None
