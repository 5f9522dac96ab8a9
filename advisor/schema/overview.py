"""Many pieces of advice side by side: a row for each, and what they come to together."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.record import Estimate, Name, NonNegative, Record, Sha256, Shown, Whole

# "change" and "keep" are about what runs today, "advised" is a batch job or what runs elsewhere; of the others nothing is saved.
RowOutcome = Literal["change", "keep", "advised", "infeasible", "inconclusive", "failed"]
# A file below the folder of the rows, by a path that a page may lead to.
Below = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\Z")]
# What lies beside the folders of all pairs, so that none of them can be called so: of `advise-many`, and of a sweep.
OWN_NAMES = frozenset(
    {"rows.jsonl", "rows-before.jsonl", "rows.before.jsonl", "overview.json", "overview.html", "overview.md", "overview-charts"}
    | {"sweep.json", "portfolio.yaml", "portfolio.json", "portfolio.html", "portfolio.md", "portfolio-charts"}
)
# A folder is called so; none begins with a dot, which hides it.
FOLDER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z"
FOLDER_NAME_FAULT = f"matching regex {FOLDER_NAME!r}"  # as a decoder says it
FOLDER_NAME_WORDS = "at most 100 letters, digits, _, . and -, and no . or - at first"
PairId = Annotated[str, Meta(pattern=FOLDER_NAME)]


class Failure(Record, frozen=True, kw_only=True):
    """The two lines of an error: what is wrong and where, and the way out."""

    fault: Name
    hint: str


class AdviceRow(Record, frozen=True, kw_only=True):
    """One (profile, workload) pair and its advice in short; money first. A pair that failed has its `failure` and no figure."""

    id: PairId  # which no other of the same run has; its advice lies under this name
    outcome: RowOutcome
    usd_per_month: Estimate | None  # of what is advised; None: nothing is, or it is paid by the job
    today_usd_per_month: Estimate | None  # None: what runs today, or how many replicas of it, is not known
    saving_usd_per_month: Estimate | None  # never above what is spent today; None: nothing to compare with, or nothing advised
    model: str | None
    workload: str | None  # its name
    variant: str | None
    hardware: str | None
    replicas: Whole | None
    headline: str
    created: str | None  # None: there is no advice
    valid_until: str | None  # ISO date
    settled_by: tuple[str, ...]  # of an inconclusive one: what would settle it
    failure: Failure | None
    profile_path: str  # both as they were given
    workload_path: str
    profile_sha256: Sha256 | None
    advice_path: Below | None
    report_path: Below | None


class RowChange(Record, frozen=True, kw_only=True):
    """What is different of a pair since an earlier run."""

    id: PairId
    what: tuple[str, ...]


class Since(Record, frozen=True, kw_only=True):
    """What has changed since an earlier run, beyond the intervals."""

    created: str | None  # when the earliest of its advice was made; None: it has none
    changed: Whole  # pairs, of which `changes` are the first
    added: Whole  # pairs that were not there
    gone: Whole
    changes: tuple[RowChange, ...]


class Overview(Record, frozen=True, kw_only=True, tag_field="kind", tag="overview"):
    """Many rows in one report: totals over all of them, and the rows that weigh most."""

    schema_version: int
    created: str
    advisor_version: str
    name: Name
    headline: str
    pairs: Whole
    outcomes: dict[RowOutcome, Whole]
    usd_per_month: NonNegative  # of all that is advised and paid by the month
    today_usd_per_month: NonNegative  # of all whose cost today is known
    saving_usd_per_month: Shown  # the sum of the rows' savings
    rows: tuple[AdviceRow, ...]  # money first; of each outcome those that weigh most
    left_out: Whole  # rows that are in the file of rows alone
    left_out_usd_per_month: NonNegative
    left_out_today_usd_per_month: NonNegative
    left_out_saving_usd_per_month: Shown
    rows_path: Below  # all rows
    since: Since | None  # None: there is no earlier run to compare with
