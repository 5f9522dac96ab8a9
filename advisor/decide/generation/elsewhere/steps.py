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

    def verify_s(self, batch: np.ndarray, context_tokens: np.ndarray, draft_tokens: int) -> np.ndarray:
        """Return the same of steps that verify so many proposed tokens of each request beside."""

    def costs(self, draw: int | None, *, longest_context: int, max_running: int) -> Costs:
        """Return the laws of a simulation as they most likely are, or one of the DRAWS of what they may be, from quick to slow."""


class StepsOf(Protocol):
    """Makes the model of a replica's steps; raises an AdvisorError for a device that nothing is known of."""

    def __call__(
        self, model: Architecture, hardware: Hardware, /, *, tensor_parallel: int, weights: WeightPrecision, kv: KvPrecision
    ) -> Steps:
        """Return the model of a replica's steps."""


class Drafted(NamedTuple):
    """What a draft makes of steps."""

    tokens_per_step: float  # that a step gives each request
    ratio: np.ndarray  # (largest + 1,) seconds of a step over one that verifies nothing, by how many requests it decodes; 1 for none
    context_tokens: float  # cached of a request, at which that holds
    read_tokens: float  # of a prompt


def ascending(costs: Costs) -> Costs:
    """Return the costs of mixed steps with none that decodes below one of fewer requests: bounds count on that."""
    a, b = costs.mixed[:2]
    law_s = a + b * np.arange(len(costs.mixed_extra))
    whole_s = law_s + costs.mixed_extra
    whole_s[0] = a
    whole_s[1:] = np.maximum.accumulate(whole_s[1:])
    return costs._replace(mixed_extra=whole_s - law_s)


def with_draft(costs: Costs, drafted: Drafted) -> Costs:
    """Return the costs of steps that verify a draft, as those of smaller steps of which each gives one token.

    A step that gives E tokens is E steps of the simulation, each of which takes 1/E of its seconds and reads 1/E of its prompts. Only of
    the step that ends a prompt that leaves more to be paid: what it takes by itself, which goes on top of the tokens that are read.
    """
    a, b, c, d, e = costs.mixed
    tokens, ratio = drafted.tokens_per_step, drafted.ratio
    requests = np.arange(len(ratio))
    cached_s = c * drafted.context_tokens * requests
    whole_s = a + b * requests + costs.extra("mixed", len(ratio) - 1) + cached_s
    # What is cached is looked at once for all tokens of a request.
    fixed_s = np.maximum(ratio * whole_s - cached_s, 0.0)
    law_s = a + b * requests
    extra = (fixed_s - law_s) / tokens
    extra[0] = 0.0
    ending_s = a * (1 - 1 / tokens) / drafted.read_tokens
    mixed = np.array([a / tokens, b / tokens, c / tokens, d + ending_s, e])
    return ascending(costs._replace(mixed=mixed, mixed_extra=extra))
