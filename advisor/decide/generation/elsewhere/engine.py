"""A deployment -> the arguments of vLLM that serve one replica of it."""

import json
import shlex

from advisor.decide.generation.elsewhere.space import MEMORY_UTILIZATION
from advisor.schema.language import Architecture, Deployment

# Lengths are rounded up to such blocks of tokens.
BLOCK = 1024


def engine_arguments(model: Architecture, deployment: Deployment, longest_tokens: int) -> tuple[str, ...]:
    """Return the arguments, each with its value and quoted for a shell; requests have up to so many tokens.

    A checkpoint in its own precision needs no word; int4 and fp4 are no argument but another checkpoint.
    """
    length = min(-(-longest_tokens // BLOCK) * BLOCK, model.context_tokens)
    found = [
        ("--model", model.name),
        ("--tensor-parallel-size", f"{deployment.tensor_parallel}"),
        ("--max-num-seqs", f"{deployment.max_running_requests}"),
        ("--max-num-batched-tokens", f"{deployment.token_budget}"),
        ("--max-model-len", f"{length}"),
        ("--gpu-memory-utilization", f"{MEMORY_UTILIZATION:g}"),
    ]
    if deployment.weights != model.weights and deployment.weights == "fp8":
        found.append(("--quantization", "fp8"))
    if deployment.kv != "bf16":
        found.append(("--kv-cache-dtype", deployment.kv))
    if (choice := deployment.speculation) is not None:
        draft = {"method": choice.method, "num_speculative_tokens": choice.draft_tokens}
        found.append(("--speculative-config", json.dumps(draft)))
    return tuple(f"{name} {shlex.quote(value)}" for name, value in found)


def beside_the_arguments(model: Architecture, deployment: Deployment) -> tuple[str, ...]:
    """Return what no argument says: another checkpoint, the draft, and the other replicas."""
    found = []
    if deployment.weights != model.weights and deployment.weights != "fp8":
        found.append(
            f"engine: serve a checkpoint of {model.name} that is quantized to {deployment.weights}, with its quality measured"
        )
    if deployment.speculation is not None:
        found.append(
            f"engine: --speculative-config takes the draft of {deployment.speculation.method} as `model`, where it is a file of its own"
        )
    if deployment.replicas > 1:
        found.append(f"engine: the arguments are of one replica; {deployment.replicas} of them stand behind a load balancer")
    return tuple(found)
