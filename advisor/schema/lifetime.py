"""What a model costs over its life, the verdict on it, and what could be done."""

from typing import Literal

from advisor.schema.catalog import Class
from advisor.schema.record import Estimate, Exclusion, NonNegative, Record, Shown

# What nobody gave a range for is moved by as much as traffic and utilization are usually known to, at the narrower end of a factor of
# 1.5 to 2 (the rules on the share of serving say so, too).
USUAL_FACTOR = 1.5

Kind = Literal["inference", "fine-tuning", "data", "pre-training"]


class Assumption(Record, frozen=True, kw_only=True):
    """An input of the lifetime cost, and where it comes from."""

    input: str
    unit: str
    is_given: bool  # by the user; else by the price list or assumed by advisor
    estimate: Estimate


class Finding(Record, frozen=True, kw_only=True):
    """What one rule says of this workload."""

    rule: str
    title: str
    outcome: Literal["fires", "silent", "unknown"]
    favours: Class
    weight: Shown | None  # None: context, which the verdict does not weigh
    why: str  # for an unknown outcome: the facts that are missing


class CostLine(Record, frozen=True, kw_only=True):
    """One line of the lifetime cost; `usd` is None where it is not known, and then `because` names what is missing."""

    what: str
    kind: Kind
    usd: Estimate | None
    formula: str
    because: str
    measured: str = ""  # what of it was measured, and how; empty: nothing


class Flip(Record, frozen=True, kw_only=True):
    """The nearest value of one input, all others as they are, at which the verdict turns."""

    input: str
    key: str  # of the workload file
    now: Shown
    at: Shown  # on this side of it the verdict stands, beyond it does not
    direction: Literal["below", "above"]
    becomes: Class
    told: str  # "below 41,000 requests a day"


class BreakEven(Record, frozen=True, kw_only=True):
    """From when on, and from which volume on, a lever has paid for itself; None with the reason in `because`."""

    lever: str
    title: str
    saving_usd: Estimate  # over the horizon, before what it costs once
    once_usd: Estimate  # effort, labels and compute
    months: Estimate | None
    on: str | None  # the date
    requests_per_s: NonNegative | None  # the traffic at which saving and cost are equal over the horizon
    pays: Literal["above", "below"] | None  # that traffic
    because: str


class Moved(Record, frozen=True, kw_only=True):
    """An input that was moved by itself to see whether the verdict stands: to the ends of its interval, or by as much as is usual."""

    input: str
    low: Shown
    high: Shown
    has_range: bool  # False: nobody gave an interval, and it was moved by a factor


class LifetimeEnergy(Record, frozen=True, kw_only=True):
    """What the model takes and emits over the horizon; None with the reason in `because`."""

    kwh: Estimate | None
    carbon_kg: Estimate | None
    because: str


class Verdict(Record, frozen=True, kw_only=True):
    """Whether money goes into inference or training; None where the facts do not suffice."""

    dominated_by: Class | None
    because: str
    shares: dict[str, Estimate]  # of the lifetime cost, by kind; empty when unknown
    findings: tuple[Finding, ...]
    robust: bool | None = None  # the same at both ends of all that was moved; None: there is no verdict
    moved: tuple[Moved, ...] = ()  # those without a range first
    turned_by: tuple[str, ...] = ()  # the ends that would turn it, in words
    flips_when: tuple[Flip, ...] = ()  # the nearest first
    lines: tuple[CostLine, ...] = ()
    total_usd: Estimate | None = None
    break_evens: tuple[BreakEven, ...] = ()


class Opportunity(Record, frozen=True, kw_only=True):
    """One thing changed of what runs today, and what it is predicted to save."""

    lever: str
    title: str
    field: str  # what changes, with from and to in words
    before: str
    after: str
    saving_usd_per_year: Estimate
    effort_engineer_days: Estimate
    once_usd: Estimate  # effort, labels and compute together
    payback_months: Estimate | None  # None: not within the horizon
    payback_on: str | None
    net_usd: Shown  # saved over the horizon, less what it costs once
    pays: bool  # it saves more within the horizon than it costs
    surely: bool  # at the unfavorable ends of all intervals, too
    risk: str
    because: str


class Making(Record, frozen=True, kw_only=True):
    """What a student costs to make, and to make again with each release of its teacher."""

    flop: NonNegative | None  # of one training, with its failed experiments; None: it takes none worth counting
    device: str  # that it is trained on; empty: none is needed, or none is known
    device_hours: Estimate | None
    engineer_days: Estimate  # the first time
    once_usd: Estimate  # compute, labels, validation and work, the first time
    again_usd: Estimate  # each later time
    times_again: NonNegative  # over the horizon
    total_usd: Estimate  # over the horizon, discounted
    because: str  # how that was counted, and what was not


class Expiry(Record, frozen=True, kw_only=True):
    """What ends the advice, and when if that is known."""

    what: str
    on: str | None  # ISO date
    because: str


class Outlook(Record, frozen=True, kw_only=True):
    """What could be done beside, whether any of it is worth its effort, and until when that holds."""

    answer: str
    change_nothing: bool | None  # True: nothing that was judged pays for its effort; None: nothing could be evaluated
    opportunities: tuple[Opportunity, ...]
    not_judged: tuple[Exclusion, ...]
    expires_when: tuple[Expiry, ...]


class Classification(Record, frozen=True, kw_only=True):
    """The answer of `advisor classify`."""

    schema_version: int
    created: str
    advisor_version: str
    workload: str
    requests_per_s: Shown
    horizon_months: Shown
    headline: str  # what to do, with the money; what contradicts itself; or what is missing
    verdict: Verdict
    outlook: Outlook
    energy: LifetimeEnergy
    assumed: tuple[Assumption, ...]
    notes: tuple[str, ...] = ()  # keys of the workload that do not mean what their name may suggest
