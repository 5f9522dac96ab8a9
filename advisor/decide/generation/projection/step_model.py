"""A decoder on a device that is not here -> the seconds of its steps, how far off they may be, and laws for the simulation."""

from functools import cached_property, partial

import numpy as np

from advisor.decide.generation.projection.composition import Composition, Parts, draft_of
from advisor.decide.generation.projection.cost_law import Reach, costs_of, scaled
from advisor.decide.generation.projection.host import (
    CHECKED_SHARE,
    DRAFT_PASS_S,
    OUTSIDE_FACTOR,
    OUTSIDE_S,
    PLANNED_STEPS,
    TODAY,
    host_times,
    kernels_s,
    launched,
    step_s,
)
from advisor.decide.generation.projection.intervals import factor_of, of_draw
from advisor.decide.generation.projection.operations.grounds import Foundations, NoGround
from advisor.decide.generation.service.step_time import Costs
from advisor.schema.arrays.kernels import Figure, HostTimes
from advisor.schema.catalog import Hardware
from advisor.schema.language import Architecture, Ground, KvPrecision, WeightPrecision

__all__ = ["Foundations", "NoGround", "StepModel"]

TOKEN_BUDGET = 8192  # of a step, where nobody says otherwise


class StepModel:
    """The steps of a decoder in one precision on so many tensor-parallel devices."""

    def __init__(
        self,
        architecture: Architecture,
        hardware: Hardware,
        *,
        tensor_parallel: int,
        weights: WeightPrecision,
        kv: KvPrecision,
        foundations: Foundations,
        engine: str = TODAY,
        host: HostTimes | None = None,
    ) -> None:
        """`host` is what an engine adds; None: as it was fitted. Raises NoGround where nothing says what kernels take on the device."""
        foundation, tables = foundations.of(hardware), foundations.tables
        self.ground: Ground = foundation.ground
        self.is_same_maker = tables.model.measured[foundation.kernels_of].maker == hardware.vendor
        self._compose = partial(Composition, foundation=foundation, tensor_parallel=tensor_parallel, weights=weights, kv=kv)
        self._composition = self._compose(architecture)
        self._architecture = architecture
        self._layers = architecture.layers
        self._engine = engine
        fitted, self._is_fitted = host_times(tables.model.hosts, engine, hardware.id)
        self.host = host or fitted
        self._errors = tables.model.errors

    # --- seconds of steps ----------------------------------------------------------------------------------------------------

    def decode_s(self, batch: np.ndarray, context_tokens: np.ndarray) -> np.ndarray:
        """Return the seconds of steps that decode so many requests with so many tokens cached in all of them; arrays that broadcast."""
        batch, context = np.broadcast_arrays(np.asarray(batch, dtype=float), np.asarray(context_tokens, dtype=float))
        return self._step_s(self.decode_parts(batch, context), batch, np.zeros_like(batch))

    def prefill_s(self, tokens: np.ndarray, past_tokens: np.ndarray, prompts: np.ndarray | int = 1) -> np.ndarray:
        """Return the seconds of steps that read so many tokens behind `past_tokens` cached ones.

        `tokens` are those of all `prompts` together, which are alike, `past_tokens` those of each.
        """
        tokens, past, prompts = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in (tokens, past_tokens, prompts)))
        return self._step_s(self.prefill_parts(tokens, past, prompts), prompts, tokens)

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
        """Return the seconds of steps that do both, and check so many proposed tokens of each request that decodes.

        All tokens of a request look at the same cache, which is read once. Each is chosen like that of a request of its own, which is a
        part of what the host does for one.
        """
        every = (batch, context_tokens, tokens, past_tokens, prompts)
        batch, context, tokens, past, prompts = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in every))
        wide, begun = batch * (draft_tokens + 1), np.where(tokens > 0, prompts, 0.0)
        parts = self._composition.of_tokens(wide + tokens, wide + begun)
        parts = parts.plus(self._attending(batch, context, queries=draft_tokens + 1))
        parts = parts.plus(self._composition.of_reading(tokens, past, prompts))
        return self._step_s(parts, batch + CHECKED_SHARE * (wide - batch) + begun, tokens)

    def verify_s(self, batch: np.ndarray, context_tokens: np.ndarray, draft_tokens: int) -> np.ndarray:
        """Return the seconds of steps that check so many proposed tokens of each request, make the next one, and read nothing."""
        nothing = np.zeros(1)
        return self.mixed_s(batch, context_tokens, nothing, nothing, draft_tokens=draft_tokens)

    def draft_s(self, batch: np.ndarray, context_tokens: np.ndarray, draft_tokens: int) -> np.ndarray:
        """Return the seconds of the passes that propose so many tokens of each request, before they are checked.

        A draft has a layer like the model's, and its head. Its first pass reads all tokens that were checked in the step before.
        """
        batch, context = np.broadcast_arrays(np.asarray(batch, dtype=float), np.asarray(context_tokens, dtype=float))
        first = self._draft.of_tokens(batch * (draft_tokens + 1), batch)
        first = first.plus(self._draft.of_decoding(batch, context, queries=draft_tokens + 1))
        later = self._draft.of_tokens(batch, batch).plus(self._draft.of_decoding(batch, context))
        return np.asarray(self._pass_s(first) + (draft_tokens - 1) * self._pass_s(later))

    def _pass_s(self, parts: Parts) -> np.ndarray:
        return np.asarray(DRAFT_PASS_S + launched(kernels_s(self.host, parts), self.host.decode_launch_s))

    def of_tokens_s(self, tokens: np.ndarray) -> np.ndarray:
        """Return the part of the seconds of a step that reads which its tokens alone decide about."""
        parts = self._composition.of_tokens(tokens, np.ones_like(tokens))
        return launched(kernels_s(self.host, parts), self._layers * self.host.prefill_launch_s)

    def decode_parts(self, batch: np.ndarray, context_tokens: np.ndarray) -> Parts:
        """Return the seconds of the kernels of steps that decode, before the engine."""
        return self._composition.of_tokens(batch, batch).plus(self._attending(batch, context_tokens))

    def prefill_parts(self, tokens: np.ndarray, past_tokens: np.ndarray, prompts: np.ndarray) -> Parts:
        """Return the seconds of the kernels of steps that read, before the engine."""
        return self._composition.of_tokens(tokens, prompts).plus(self._composition.of_reading(tokens, past_tokens, prompts))

    def _attending(self, batch: np.ndarray, context_tokens: np.ndarray, queries: int = 1) -> Parts:
        return self._composition.of_decoding(batch, context_tokens, repeats_heads=self.host.repeats_heads, queries=queries)

    def _step_s(self, parts: Parts, running: np.ndarray, read: np.ndarray) -> np.ndarray:
        return step_s(self.host, self._layers, parts, running=running, read=read)

    @cached_property
    def _draft(self) -> Composition:
        return self._compose(draft_of(self._architecture))

    # --- how far off they may be ---------------------------------------------------------------------------------------------

    def factor_of(self, figure: Figure) -> float:
        """Return within which factor, either way, nine of ten measured figures lie.

        An engine that was never run, and is taken for another one, may be as far off as any is on a device that it was not fitted on.
        """
        if self.host.engine == self._engine:
            return factor_of(self._errors, self.ground, figure, engine=self._engine, fitted_device=self._is_fitted)
        figures: tuple[Figure, ...] = (figure, "batch")
        return max(factor_of(self._errors, self.ground, each, engine=self._engine, fitted_device=False) for each in figures)

    def factors_of(self, figure: Figure) -> tuple[float, float]:
        """Return the ends of the 90 % interval of a figure, over its value."""
        factor = self.factor_of(figure)
        return 1.0 / factor, factor

    @property
    def factors(self) -> tuple[float, float]:
        """The ends of the 90 % interval of a decode step, over its seconds."""
        return self.factors_of("decode")

    # --- for the simulation --------------------------------------------------------------------------------------------------

    def costs(
        self,
        draw: int | None,
        *,
        longest_context: int,
        max_running: int,
        token_budget: int = TOKEN_BUDGET,
        kv_tokens: int | None = None,
    ) -> Costs:
        """Return the laws as they most likely are, or one of the DRAWS that spread over the interval, from quick to slow.

        They hold for steps of up to `token_budget` tokens, requests of up to `longest_context`, and what the cache holds.
        """
        reach = Reach(longest_context, max_running, token_budget, kv_tokens)
        if reach not in self._laws:
            self._laws[reach] = costs_of(self, reach)
        law = scaled(self._laws[reach], of_draw(self.factor_of("decode"), draw), of_draw(self.factor_of("prefill"), draw))
        outside_s = OUTSIDE_S * of_draw(OUTSIDE_FACTOR, draw)
        return law._replace(outside_s=outside_s, planned_steps=PLANNED_STEPS.get(self._engine, 0.0))

    @cached_property
    def _laws(self) -> dict[Reach, Costs]:
        return {}
