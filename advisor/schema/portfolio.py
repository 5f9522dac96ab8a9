"""Many workloads, one budget."""

from typing import Annotated

from msgspec import Meta

from advisor.schema.record import Exclusion, Name, NonNegative, Record


class PortfolioEntry(Record, frozen=True, kw_only=True):
    """A workload of the portfolio."""

    workload: Name  # its file, relative to that of the portfolio
    must: tuple[Name, ...] = ()  # levers that have to be pulled, whatever they save
    never: tuple[Name, ...] = ()


class Portfolio(Record, frozen=True, kw_only=True):
    """Many workloads, one budget for changing them."""

    name: Name
    budget_usd: NonNegative
    # Each by itself, or a folder of workload files or JSON lines with many, relative to this file.
    workloads: Annotated[tuple[PortfolioEntry, ...], Meta(min_length=1)] | Name
    engineer_days: NonNegative | None = None  # None: no limit but the money


class Choice(Record, frozen=True, kw_only=True):
    """What is done for one workload."""

    workload: str
    levers: tuple[str, ...]  # titles; empty: change nothing
    once_usd: float
    engineer_days: float
    saving_usd: float  # over its horizon
    because: str


class PortfolioPlan(Record, frozen=True, kw_only=True):
    """The levers that save most within the budget, proven so by the solver."""

    schema_version: int
    created: str
    advisor_version: str
    name: str
    budget_usd: float
    spent_usd: float
    saving_usd: float
    net_usd: float
    share_for_inference: float | None  # of what is spent; None: nothing is
    share_for_training: float | None
    choices: tuple[Choice, ...]
    considered: int  # combinations of levers
    gap_usd: float  # what a better plan could save at most: 0 where the plan is proven the best
    left_out: tuple[Exclusion, ...]
