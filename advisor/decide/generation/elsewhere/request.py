"""What is asked about a language model on hardware that is not here, and what engines have to compute for it."""

from typing import NamedTuple

import msgspec

from advisor.decide.generation.traffic import Effort
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.schema.advice import Place
from advisor.schema.arrays.trace import Requests
from advisor.schema.catalog import AcceptanceLength, TokenPrice
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.record import Exclusion, Record
from advisor.schema.workload import GenerationWorkload, LifeRequest, LowerPrecision, SequenceLength
from advisor.units import number

# Of a run: there are thousands of ways to serve, and step times are known less well than those that were measured.
EFFORT = Effort(beyond_quantile=30, needed_beyond=10, least_requests=1_000, most_requests=10_000, most_tokens=300_000)


class ElsewhereRequest(Record, frozen=True, kw_only=True):
    """The workload, where the model may run at what price, and what is known beside; dates are shown in the report."""

    workload: GenerationWorkload
    recorded: Requests | None  # those of the workload's trace
    places: tuple[Place, ...]  # machines with devices of the catalog; of one device there may be several
    created: str
    accepted: tuple[LowerPrecision, ...] = ()  # below the checkpoint's own, whose quality the user answers for
    apis: tuple[TokenPrice, ...] = ()  # to compare with
    acceptance: tuple[AcceptanceLength, ...] = ()  # of drafts, as measured of other models
    exclusions: tuple[Exclusion, ...] = ()  # hardware that was asked for, but cannot be evaluated
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY  # factor by which the cost may be uncertain for the answer to count as known
    notes: tuple[str, ...] = ()  # on how the workload was read
    confidence: float = USUAL_CONFIDENCE  # with which the recommendation has to keep the targets
    effort: Effort = EFFORT


class Calls(NamedTuple):
    """The workload as the engines get it, and how many calls a user's request is."""

    workload: GenerationWorkload
    per_request: float
    notes: tuple[str, ...]


def calls_of(workload: GenerationWorkload) -> Calls:
    """Return the calls that answer a workload's requests: more of them, and longer answers, by the multipliers of lifecycle.request.

    What was recorded are calls already, as long as they were.
    """
    life = workload.lifecycle.request if workload.lifecycle is not None else None
    asked = life or LifeRequest()
    calls, written = asked.agent_multiplier, asked.reasoning_multiplier
    traffic, notes = workload.traffic, []
    if calls > 1 and traffic.trace is not None:
        notes.append("lifecycle.request.agent_multiplier: the trace has the calls as they came, and is taken as it is")
        calls = 1.0
    if written > 1 and workload.tokens is None:
        notes.append(
            "lifecycle.request.reasoning_multiplier: the trace has the answers as long as they were, and is taken as it is"
        )
        written = 1.0
    if calls > 1:
        notes.append(
            f"each request is {number(calls)} calls (lifecycle.request.agent_multiplier), as many tokens each as the workload says"
        )
        if traffic.requests_per_s is not None:
            traffic = msgspec.structs.replace(traffic, requests_per_s=calls * traffic.requests_per_s)
    tokens = workload.tokens
    if written > 1 and tokens is not None:
        notes.append(f"answers are {number(written)} times as long as what is shown (lifecycle.request.reasoning_multiplier)")
        tokens = msgspec.structs.replace(tokens, output=_times(tokens.output, written))
    made = msgspec.structs.replace(workload, traffic=traffic, tokens=tokens)
    return Calls(made, calls, tuple(notes))


def _times(lengths: SequenceLength, factor: float) -> SequenceLength:
    return SequenceLength(
        p50=round(lengths.p50 * factor),
        p95=None if lengths.p95 is None else round(lengths.p95 * factor),
        max=None if lengths.max is None else round(lengths.max * factor),
    )


def cached_by_vendor(workload: GenerationWorkload) -> float:
    """Return how many tokens of a prompt a vendor's cache may have: those that the workload says, or what all prompts begin with."""
    asked = workload.lifecycle.request if workload.lifecycle is not None else None
    if asked is not None and asked.cached_tokens is not None:
        return asked.cached_tokens
    return float(workload.tokens.shared_prefix) if workload.tokens is not None else 0.0
