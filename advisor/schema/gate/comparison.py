"""Two files of advice side by side, or one by itself, and how both stand to a policy."""

from typing import Literal

from advisor.schema.gate.policy import Level
from advisor.schema.record import Estimate, Name, Record, Sha256, Shown, Whole

AdviceKind = Literal["online", "offline", "generation", "language"]
# Beyond the intervals, or not; of what is not known on either side, nothing can be told.
Outcome = Literal["same", "better", "worse", "cannot be told"]
Held = Literal["kept", "broken", "cannot be told"]
Kept = Literal["kept", "not shown", "missed"]  # the promise of the workload


class Side(Record, frozen=True, kw_only=True):
    """One of the files: when it was made, of what, and the configuration that its figures are of."""

    created: str
    model: str
    model_sha256: Sha256
    headline: str
    outcome: str | None  # None: advice on a batch job has none
    answer: Literal["recommended", "most likely", "nearest miss"] | None  # None: nothing was predicted
    variant: str | None
    hardware: str | None
    replicas: Whole | None
    valid_until: str | None  # ISO date


class Figure(Record, frozen=True, kw_only=True):
    """A figure under the name that the records have for it; `change` is in parts of the older one, of most qualities a difference."""

    name: Name
    old: Estimate | None
    new: Estimate | None
    change: Shown | None  # None: there is nothing to compare with
    outcome: Outcome | None  # None: one file by itself
    because: str  # why it cannot be told, "" where it can


class LimitFinding(Record, frozen=True, kw_only=True):
    """A limit of the policy, and whether it is kept."""

    figure: Name
    limit: Name  # "max_increase", or the figure itself where that is a yes or no
    allowed: Shown | None
    level: Level
    held: Held
    because: str


class Comparison(Record, frozen=True, kw_only=True, tag_field="kind", tag="comparison"):
    """What `advisor compare` and `advisor gate` report; money first."""

    schema_version: int
    of: AdviceKind
    created: str
    advisor_version: str
    workload: Name
    held: Held  # all limits of level error together
    is_same: bool  # no figure differs beyond the intervals, and nothing is to be told
    old: Side | None  # None: one file by itself
    new: Side
    metric: str | None  # of the quality
    figures: tuple[Figure, ...]
    kept_old: Kept | None
    kept_new: Kept
    kept_outcome: Outcome | None
    limits: tuple[LimitFinding, ...]
    notes: tuple[str, ...]  # what else differs between the two
