"""What the decision says of measurements in progress: on what its answer rests, and whether it stands."""

from collections.abc import Callable
from typing import NamedTuple

from advisor.schema.profile import Profile


class Wanted(NamedTuple):
    """One setting that the answer rests on, and the batch sizes at which."""

    variant: str
    intra_op_num_threads: int
    instances: int
    batch_sizes: tuple[int, ...]


class Opinion(NamedTuple):
    """What the decision says of the measurements so far; `stands` if no interval leaves another answer open."""

    wanted: tuple[Wanted, ...]  # most open first
    stands: bool
    answer: str  # in words


Ask = Callable[[Profile], Opinion | None]  # None: these measurements are too few to decide on
