"""What a model of step times has to say, and what it says in the form of the simulation, with a draft or without."""

from typing import NamedTuple, Protocol

import numpy as np

from advisor.decide.generation.service.step_time import Costs
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture, Ground, KvPrecision, WeightPrecision


class Steps(Protocol):
    """Seconds of the steps of one replica, as advisor.decide.generation.projection.step_model has them."""

    @property
    def ground(self) -> Ground:
        """What they stand on."""

    @property
    def factors(self) -> tuple[float, float]:
        """Their 90 % interval, as factors."""

    def decode_s(self, batch: np.ndarray, context_tokens: np.ndarray) -> np.ndarray:
        """Return the seconds of steps that decode so many requests with so many tokens cached together."""

    def mixed_s(
        self,
        batch: np.ndarray,
        context_tokens: np.ndarray,
        tokens: np.ndarray,
        past_tokens: np.ndarray,
        prompts: np.ndarray | int = 1,
        *,
        draft_tokens: int = 0,
    ) -> np.ndarray:
        """Return the seconds of steps that decode, check so many proposed tokens of each request, and read beside.

        `tokens` are those of all `prompts`, behind `past_tokens` cached ones of each.
        """

    def verify_s(self, batch: np.ndarray, context_tokens: np.ndarray, draft_tokens: int) -> np.ndarray:
        """Return the same of steps that read nothing."""

    def draft_s(self, batch: np.ndarray, context_tokens: np.ndarray, draft_tokens: int) -> np.ndarray:
        """Return the seconds in which a draft proposes so many tokens of each request, before such a step."""

    def costs(
        self, draw: int | None, *, longest_context: int, max_running: int, token_budget: int, kv_tokens: int | None
    ) -> Costs:
        """Return the laws of a simulation as they most likely are, or one of the DRAWS of what they may be, from quick to slow."""


class StepsOf(Protocol):
    """Makes the model of a replica's steps; raises an AdvisorError for a device that nothing is known of."""

    def __call__(
        self, model: Architecture, hardware: Hardware, /, *, tensor_parallel: int, weights: WeightPrecision, kv: KvPrecision
    ) -> Steps:
        """Return the model of a replica's steps."""


class MeanRequest(NamedTuple):
    """A request as far as the seconds of steps depend on it."""

    input_tokens: float
    read_tokens: float  # of its prompt, that no prefix cache has
    written_tokens: float

    @property
    def context_tokens(self) -> float:
        """What is cached when half of its answer is there."""
        return self.input_tokens + self.written_tokens / 2


def requests_per_s(
    steps: Steps, running: np.ndarray, request: MeanRequest, *, draft_tokens: int = 0, tokens_per_step: float = 1.0
) -> np.ndarray:
    """Return the requests a second of a replica where so many run all the time.

    Each step decodes all of them, or checks a draft of each, and for each that is answered another prompt is read: in as many steps as
    prompts come, whole, or several in every step.
    """
    answered = running * tokens_per_step / request.written_tokens  # with a step
    reading = np.minimum(answered, 1.0)
    cached, past = running * request.context_tokens, np.full_like(running, request.input_tokens - request.read_tokens)
    prompts = answered / reading
    mixed_s = steps.mixed_s(running, cached, prompts * request.read_tokens, past, prompts, draft_tokens=draft_tokens)
    if draft_tokens == 0:
        return np.asarray(answered / (reading * mixed_s + (1 - reading) * steps.decode_s(running, cached)))
    checking_s = reading * mixed_s + (1 - reading) * steps.verify_s(running, cached, draft_tokens)
    return np.asarray(answered / (checking_s + steps.draft_s(running, cached, draft_tokens)))


class Drafted(NamedTuple):
    """What a draft makes of steps."""

    draft_tokens: int  # that are proposed a step
    share: float  # of a step with one request that making them takes
    tokens_per_step: float  # that a step gives each request
    ratio: (
        np.ndarray
    )  # (largest + 1,) seconds of a step over one that verifies nothing, by how many requests it decodes; 1 for none
    context_tokens: float  # cached of a request, at which that holds
    read_tokens: float  # of a prompt


def ascending(costs: Costs) -> Costs:
    """Return the costs of mixed steps of which none is quicker than one that decodes fewer requests, or as many and reads less.

    Bounds of the search count on that; fits of laws keep it but for a little.
    """
    a, b, _, d, _ = costs.mixed
    law_s = a + b * np.arange(len(costs.mixed_extra))
    whole_s = law_s + costs.mixed_extra
    whole_s[1:] = np.maximum.accumulate(whole_s[1:])
    extra = whole_s - law_s
    extra[0] = 0.0
    if len(costs.token_extra) < 2:
        return costs._replace(mixed_extra=extra)
    # A step of B requests and n tokens read takes a + b B + d n and what stands at B + n: no less than the same without those.
    tokens = np.arange(len(costs.token_extra))
    decoding = np.maximum.accumulate(extra + d * np.arange(len(extra)))
    least = decoding[np.minimum(tokens, len(extra) - 1)] - d * tokens
    return costs._replace(mixed_extra=extra, token_extra=np.maximum(costs.token_extra, np.maximum(least, 0.0)))


def with_draft(costs: Costs, drafted: Drafted) -> Costs:
    """Return the costs of steps that verify a draft, as those of smaller steps of which each gives one token.

    A step that gives E tokens is E steps of the simulation, each of which takes 1/E of its seconds and reads 1/E of its prompts. Only of
    the step that ends a prompt that leaves more to be paid: what it takes by itself, which goes on top of the tokens that are read.
    """
    a, b, c, d, e = costs.mixed
    gives, proposed = drafted.tokens_per_step, drafted.draft_tokens
    requests = np.arange(len(drafted.ratio))
    cached_s = c * drafted.context_tokens * requests
    plain_s = a + b * requests + costs.extra("mixed", len(requests) - 1) + cached_s
    # What is cached is looked at once for all tokens of a request.
    whole_s = drafted.ratio * plain_s - cached_s
    # Beside prompts, each proposed token costs what a token does in a wide step, and the draft is made as well.
    start_s = a + drafted.share * float(plain_s[min(1, len(plain_s) - 1)])
    request_s = b + proposed * min(b, d)
    extra = np.maximum(whole_s - start_s - request_s * requests, 0.0) / gives
    extra[0] = 0.0
    tokens = np.rint(gives * np.arange(len(costs.token_extra))).astype(int)
    return ascending(
        costs._replace(
            mixed=np.array(
                [start_s / gives, request_s / gives, c / gives, d + start_s * (1 - 1 / gives) / drafted.read_tokens, e]
            ),
            mixed_extra=extra,
            token_extra=costs.token_extra[np.minimum(tokens, len(tokens) - 1)] / gives,
            planned_steps=costs.planned_steps * gives,
        )
    )
