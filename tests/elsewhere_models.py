"""Language models and devices elsewhere with steps by a plain law: what comes out of a search can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.replica import Offers
from advisor.decide.generation.elsewhere.request import ElsewhereRequest
from advisor.decide.generation.projection.memory import kv_bytes_per_token, weight_bytes
from advisor.decide.generation.service.step_time import DRAWS, Costs
from advisor.decide.generation.traffic import Effort, TokenDemand
from advisor.errors import AdvisorError
from advisor.schema.advice import Place
from advisor.schema.catalog import Evidence, Hardware, Offer, TokenPrice
from advisor.schema.language import Architecture, AttentionLayers, Deployment, FeedForwardLayers
from advisor.schema.record import Estimate
from advisor.schema.workload import GenerationWorkload, HardwareChoice, SequenceLength, Tokens, TokenSlo, Traffic
from tests.profiles import NOW

SMALL = Effort(beyond_quantile=10, needed_beyond=5, least_requests=100, most_requests=200, seeds=2)
HOST_S = 5e-4  # of a step, whatever it does
DENSE = Architecture(
    name="Llama-3.1-8B",
    architecture="LlamaForCausalLM",
    sha256="0" * 64,
    layers=32,
    hidden_size=4096,
    vocabulary=128256,
    context_tokens=131072,
    ties_embeddings=False,
    attention=(AttentionLayers(kind="gqa", layers=32, heads=32, kv_heads=8, head_dimension=128, value_dimension=128),),
    feed_forward=(FeedForwardLayers(layers=32, inner_size=14336),),
    parameters=8_030_261_248,
    active_parameters=8_030_261_248,
    weights="bf16",
)
# As large as DeepSeek-V3, with plain attention.
EXPERTS = Architecture(
    name="Experts-671B",
    architecture="DeepseekV3ForCausalLM",
    sha256="0" * 64,
    layers=61,
    hidden_size=7168,
    vocabulary=129280,
    context_tokens=131072,
    ties_embeddings=False,
    attention=(AttentionLayers(kind="gqa", layers=61, heads=128, kv_heads=8, head_dimension=128, value_dimension=128),),
    feed_forward=(FeedForwardLayers(layers=61, inner_size=2048, experts=256, experts_per_token=8, shared_inner_size=2048),),
    parameters=671_000_000_000,
    active_parameters=37_000_000_000,
    weights="fp8",
)
PLAIN = Deployment(
    device="card",
    tensor_parallel=2,
    weights="bf16",
    kv="bf16",
    max_running_requests=256,
    token_budget=2048,
    kv_tokens=100_000,
    replicas=1,
)


class Steps:
    """Steps by a roofline: weights are read once, of experts those that a batch touches, and each cached token; products count beside."""

    ground = "roofline"

    def __init__(
        self, model: Architecture, hardware: Hardware, *, tensor_parallel: int, weights: str, kv: str, spread: float = 1.05
    ) -> None:
        if hardware.memory_bandwidth_bytes_per_s is None:
            raise AdvisorError(f"{hardware.id}: nothing says how long steps take there", hint="leave it out")
        self.factors = (1 / spread, spread)
        peak = hardware.peak_flop_per_s.get("fp8" if weights == "fp8" else "bf16", hardware.peak_flop_per_s["bf16"])
        # A layer of the model and its head.
        self._pass_share = 1 / model.layers + model.vocabulary * model.hidden_size / model.active_parameters
        self._token_s = 2 * model.active_parameters / (peak * tensor_parallel)
        bandwidth = hardware.memory_bandwidth_bytes_per_s * tensor_parallel
        self._weights_s = weight_bytes(model, weights) / bandwidth
        self._cached_s = kv_bytes_per_token(model, kv, tensor_parallel)[1] * tensor_parallel / bandwidth
        network = model.feed_forward[0]
        self._experts: tuple[int, int, float] | None = None
        if network.experts is not None and network.experts_per_token is not None:
            of, each = network.experts, network.experts_per_token
            # What one token does not use are the experts that it leaves out.
            of_all_experts = (model.parameters - model.active_parameters) * of / (of - each) / model.parameters
            self._experts = (of, each, of_all_experts)

    def _touched(self, tokens: np.ndarray) -> np.ndarray:
        """Return the part of the weights that so many tokens need."""
        if self._experts is None:
            return np.ones_like(tokens)
        of, each, of_all_experts = self._experts
        return 1 - of_all_experts * (1 - each / of) ** tokens

    def _step_s(self, tokens: np.ndarray, cached: np.ndarray) -> np.ndarray:
        tokens, cached = np.broadcast_arrays(np.asarray(tokens, dtype=float), np.asarray(cached, dtype=float))
        return HOST_S + np.maximum(self._weights_s * self._touched(tokens), self._token_s * tokens) + self._cached_s * cached

    def decode_s(self, batch, context_tokens):
        return self._step_s(batch, context_tokens)

    def verify_s(self, batch, context_tokens, draft_tokens):
        return self._step_s(batch * (draft_tokens + 1), context_tokens)

    def draft_s(self, batch, context_tokens, draft_tokens):
        return draft_tokens * self._pass_share * self._step_s(batch, context_tokens)

    def mixed_s(self, batch, context_tokens, tokens, past_tokens, prompts=1, *, draft_tokens=0):
        return self._step_s(batch * (draft_tokens + 1) + tokens, context_tokens)

    def costs(self, draw, *, longest_context, max_running, token_budget, kv_tokens):
        level = 0.0 if draw is None else 2 * draw / (DRAWS - 1) - 1
        factor = self.factors[1] ** level
        mixed = np.array([HOST_S, self._token_s, self._cached_s, self._token_s, 0.0])
        tokens = np.arange(max(token_budget, max_running) + 1)
        # Weights and experts come on top of what tokens take, as far as they take longer.
        extra = self._step_s(tokens, 0.0) - HOST_S - self._token_s * tokens
        extra[0] = 0.0
        by_requests = extra[: max_running + 1] * factor
        reading = np.array([HOST_S + self._weights_s, self._token_s, 0.0]) * factor
        return Costs(reading, mixed[:3] * factor, mixed * factor, by_requests, by_requests, extra[: token_budget + 1] * factor)


def device(id_: str = "card", **changed: Any) -> Hardware:
    """Return a device like an H100."""
    made = Hardware(
        id=id_,
        name=id_,
        vendor="a test",
        kind="gpu",
        memory_bytes=80e9,
        memory_bandwidth_bytes_per_s=3.35e12,
        peak_flop_per_s={"bf16": 600e12, "fp8": 1200e12},
        power_watts=700.0,
        confidence="high",
        sources=(Evidence(what="a test", date="2026", covers=("memory_bytes",)),),
    )
    return replace(made, **changed)


def alone(**changed: Any) -> Hardware:
    """Return a device of which a machine has one."""
    return device(offers=(Offer(provider="aws", instance="x", devices=1),), **changed)


def place(hardware: Hardware | None = None, usd_per_hour: float = 2.0, devices: int = 2) -> Place:
    """Return a machine with so many devices, at so much for each."""
    usd = usd_per_hour * devices
    return Place(
        hardware=hardware or device(),
        machine="a test",
        devices=devices,
        price_usd_per_hour=Estimate(value=usd, low=usd, high=usd, basis="list-price", source="a test"),
        price_date=None,
        price_is_stale=False,
        carbon=None,
    )


def lengths(inputs: int = 500, outputs: int = 100, *, spread: float = 2.0, shared_prefix: int = 0) -> Tokens:
    """Return prompts and answers whose p95 is `spread` times their p50."""
    return Tokens(
        input=SequenceLength(p50=inputs, p95=round(spread * inputs), max=4 * inputs),
        output=SequenceLength(p50=outputs, p95=round(spread * outputs), max=4 * outputs),
        shared_prefix=shared_prefix,
    )


def chat(requests_per_s: float | None = 5.0, *, brings: Tokens | None = None, **changed: Any) -> GenerationWorkload:
    """Return traffic of a chat with targets that one device keeps."""
    made = GenerationWorkload(
        name="chat",
        traffic=Traffic(requests_per_s=requests_per_s),
        slo=TokenSlo(ttft_s=1.0, tpot_s=0.05, quantile=0.9),
        hardware=HardwareChoice(allowed=("card",)),
        tokens=brings or lengths(),
    )
    return replace(made, **changed)


def asking(workload: GenerationWorkload | None = None, places: Sequence[Place] = (), **changed: Any) -> ElsewhereRequest:
    """Return the question of a workload over some places."""
    made = ElsewhereRequest(
        workload=workload or chat(),
        recorded=None,
        places=tuple(places or (place(alone(), devices=1),)),
        created=NOW,
        effort=SMALL,
    )
    return replace(made, **changed)


def offers_of(
    workload: GenerationWorkload | None = None,
    places: Sequence[Place] = (),
    model: Architecture = DENSE,
    steps_of: Any = Steps,
) -> Offers:
    """Return what may be had for a workload."""
    asked = workload or chat()
    demand = TokenDemand(asked, None, context_tokens=model.context_tokens, effort=SMALL)
    return Offers(model, tuple(places or (place(),)), demand, asked.slo, steps_of)


def token_price(model: str = "deepseek-chat", inputs: float = 0.3, outputs: float = 1.2, **changed: Any) -> TokenPrice:
    """Return a price by the token."""
    made = TokenPrice(
        provider="a vendor",
        model=model,
        mode="chat",
        usd_per_million_input_tokens=inputs,
        usd_per_million_output_tokens=outputs,
        usd_per_million_cached_tokens=None,
        deprecated=None,
        date="2026-07-24",
        source="a test",
    )
    return replace(made, **changed)
