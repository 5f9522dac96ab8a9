"""What a pipeline holds advice to: limits by the names that figures have in the records, each an error or a warning."""

from typing import Literal

from advisor.schema.record import Fraction, NonNegative, Record, Shown

Level = Literal["warn", "error"]


class RiseLimit(Record, frozen=True, kw_only=True):
    """How far a figure may go up that is better the lower it is."""

    max_increase: NonNegative | None = None  # as a fraction of the older advice's
    max: NonNegative | None = None  # of itself, whatever was before
    level: Level = "error"


class FallLimit(Record, frozen=True, kw_only=True):
    """How far a figure may go down that is better the higher it is."""

    max_decrease: Fraction | None = None  # of the older advice's
    min: NonNegative | None = None  # of itself
    level: Level = "error"


class QualityLimit(Record, frozen=True, kw_only=True):
    """How much quality may be lost; `max_drop` counts as quality.max_drop of the workload does."""

    max_drop: NonNegative | None = None  # from the older advice
    min: Shown | None = None  # of the metric itself, where it drops as quality is lost
    max: Shown | None = None  # where it rises
    level: Level = "error"


class TargetLimit(Record, frozen=True, kw_only=True):
    """That what the workload promises is kept."""

    level: Level = "error"


class ValidityLimit(Record, frozen=True, kw_only=True):
    """For how many days the advice has to hold still."""

    min: NonNegative | None = None
    level: Level = "error"


Limit = RiseLimit | FallLimit | QualityLimit | TargetLimit | ValidityLimit


class Policy(Record, frozen=True, kw_only=True):
    """The policy file; what is not in it is shown and not judged."""

    cost_usd_per_month: RiseLimit | None = None
    cost_usd: RiseLimit | None = None  # of a batch job
    latency_p99_s: RiseLimit | None = None
    ttft_p99_s: RiseLimit | None = None  # of a generative model, as all on tokens
    tpot_p99_s: RiseLimit | None = None
    duration_s: RiseLimit | None = None  # of a batch job
    throughput_items_per_s: FallLimit | None = None  # measured, of the variant that is served
    decode_tokens_per_s: FallLimit | None = None
    quality: QualityLimit | None = None
    energy_joules_per_request: RiseLimit | None = None
    energy_j_per_output_token: RiseLimit | None = None
    bytes: RiseLimit | None = None  # of the variant's file
    weight_bytes_per_device: RiseLimit | None = None
    meets_slo: TargetLimit | None = None
    meets_deadline: TargetLimit | None = None
    valid_days: ValidityLimit | None = None
