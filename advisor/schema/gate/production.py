"""What production says beside what advice promised, and what is to be done about it."""

from typing import Literal

from advisor.schema.record import Estimate, Name, Record, Shown, Whole

# Expired: the same question to the same profile has another answer by today's prices. Re-advise: the question is another.
Standing = Literal["valid", "expired", "re-advise", "re-measure"]
# Nothing in the metrics tells whether what was promised holds, and nothing else says that it does not.
Outcome = Literal[Standing, "cannot be told"]
ProductionFigure = Literal["rate", "latency", "ttft", "tpot", "utilization"]


class Seen(Record, frozen=True, kw_only=True):
    """A figure of production with what its metrics leave open; `high` None: a histogram's last bucket has no end."""

    value: Shown
    low: Shown
    high: Shown | None
    source: str


class ProductionFinding(Record, frozen=True, kw_only=True):
    """One thing that was held against the advice; `standing` None: it cannot be told."""

    what: Name  # a figure, or "prices", "model", "runtime"
    promised: Estimate | None
    limit: Shown | None  # of the workload's slo
    seen: Seen | None
    standing: Standing | None
    because: str


class ProductionCheck(Record, frozen=True, kw_only=True, tag_field="kind", tag="check"):
    """What `advisor check` reports: the gravest of the findings decides."""

    schema_version: int
    created: str
    advisor_version: str
    workload: Name
    advised: str  # when
    standing: Outcome
    valid_until: str | None  # ISO date
    replicas: Whole  # that the metrics are of
    findings: tuple[ProductionFinding, ...]
    notes: tuple[str, ...]
