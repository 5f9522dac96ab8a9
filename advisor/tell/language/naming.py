"""How a language model is served elsewhere, in words: devices, deployments, on what ground they stand, and which the report is about."""

from collections.abc import Iterator

from advisor import units
from advisor.schema.language import (
    ApiAlternative,
    AttentionLayers,
    Deployment,
    DeploymentPrediction,
    FeedForwardLayers,
    Ground,
    KvPrecision,
    LanguageAdvice,
    SpeculationChoice,
    WeightPrecision,
)

GROUNDS: dict[Ground, str] = {
    "kernels": "kernels measured on this device",
    "scaled-kernels": "kernels measured on the nearest kind of device, scaled by the rates of both",
    "roofline": "the rates of the device alone",
}
COLORS = 8  # as in the style of the page


def device_name(advice: LanguageAdvice, id_: str) -> str:
    """Return what a device is called by its maker."""
    return next((device.name for device in advice.devices if device.id == id_), id_)


def devices_of_one(it: Deployment) -> str:
    """Describe the devices of one replica: "4 × h100_sxm"."""
    return f"{it.tensor_parallel} × {it.device}"


def precisions(weights: WeightPrecision, kv: KvPrecision) -> str:
    """Describe both precisions: "weights in fp8, KV cache in bf16"."""
    return f"weights in {weights}, KV cache in {kv}"


def draft(choice: SpeculationChoice | None) -> str:
    """Describe how tokens are proposed."""
    return "none" if choice is None else f"{choice.method}, {units.counted(choice.draft_tokens, 'draft token')} a step"


def one_replica(it: Deployment) -> str:
    """Describe one replica of a deployment."""
    drafts = f", speculation by {draft(it.speculation)}" if it.speculation is not None else ""
    return (
        f"{devices_of_one(it)}, {precisions(it.weights, it.kv)}, up to {units.counted(it.max_running_requests, 'running request')}, steps "
        f"of up to {it.token_budget:,} tokens{drafts}"
    )


def deployment(it: Deployment) -> str:
    """Describe a deployment, its replicas first: "2 replicas of 4 × h100_sxm, weights in fp8, ..."."""
    return f"{units.counted(it.replicas, 'replica')} of {one_replica(it)}"


def in_short(it: Deployment) -> str:
    """Describe a deployment as a table has it: "2 × (4 × h100_sxm), fp8, KV bf16"."""
    whole = devices_of_one(it) if it.replicas == 1 else f"{it.replicas:,} × ({devices_of_one(it)})"
    return f"{whole}, {precisions(it.weights, it.kv)}"


def subject(advice: LanguageAdvice) -> DeploymentPrediction | None:
    """Return what the report is about: what is recommended, most likely or the nearest miss; None where nothing could be simulated."""
    return advice.recommended or advice.likely or advice.nearest_miss


def is_the_same(one: DeploymentPrediction | None, other: DeploymentPrediction | None) -> bool:
    """Return whether both are of one deployment."""
    return one is not None and other is not None and one.deployment == other.deployment


def language_columns(advice: LanguageAdvice) -> dict[str, DeploymentPrediction]:
    """Return the predictions to compare: that of the report's subject, and the next best."""
    shown = subject(advice)
    ours = "Recommended" if advice.recommended else "Most likely" if advice.likely else "Nearest miss"
    found = {} if shown is None else {ours: shown}
    if advice.next_best is not None and not is_the_same(shown, advice.next_best):
        found["Next best"] = advice.next_best
    return found


def roles(advice: LanguageAdvice) -> Iterator[tuple[str, DeploymentPrediction]]:
    """Yield every deployment that the report names with the part that it plays, "" for the cheapest of another device."""
    for role, prediction in (
        ("recommended", advice.recommended),
        ("most likely", advice.likely),
        ("nearest miss", advice.nearest_miss),
        ("next best", advice.next_best),
        *(("tie", tie) for tie in advice.ties),
        *(("", other) for other in advice.others),
    ):
        if prediction is not None:
            yield role, prediction


def language_colors(advice: LanguageAdvice) -> dict[str, int]:
    """Return the number of each device's color in the palette, the same in every chart and table."""
    named = [*(device.id for device in advice.devices), *(it.deployment.device for _, it in roles(advice))]
    return {device: number % COLORS for number, device in enumerate(dict.fromkeys(named))}


def api_compared(advice: LanguageAdvice) -> ApiAlternative | None:
    """Return the API that the fleet is compared with first: the one that the workload names, or else where the same traffic costs least."""
    life = advice.workload.lifecycle
    named = life.options.alternative_api if life is not None and life.options is not None else None
    return min(advice.apis, key=lambda api: (api.model != named, api.usd_per_month.value), default=None)


def attention(layers: AttentionLayers) -> str:
    """Describe layers of one kind of attention."""
    window = f", looking back {layers.window_tokens:,} tokens" if layers.window_tokens is not None else ""
    heads = f"{layers.heads} heads of {layers.head_dimension}"
    if layers.kind == "mla":
        cached = (layers.kv_lora_rank or 0) + (layers.rope_dimension or 0)
        return (
            f"{units.counted(layers.layers, 'layer')} of latent attention: {heads}, a latent of {cached} a token cached{window}"
        )
    return f"{units.counted(layers.layers, 'layer')} of attention: {heads}, {layers.kv_heads} of keys and values{window}"


def feed_forward(layers: FeedForwardLayers) -> str:
    """Describe layers of one kind of feed-forward network."""
    count = units.counted(layers.layers, "layer")
    if layers.experts is None:
        return f"{count}: dense, inner size {layers.inner_size:,}"
    shared = f", and a shared part of {layers.shared_inner_size:,}" if layers.shared_inner_size else ""
    return f"{count}: {layers.experts_per_token} of {layers.experts} experts a token, each of inner size {layers.inner_size:,}{shared}"
