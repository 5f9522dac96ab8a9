"""What training costs: operations by parameters and tokens, hours on a device, memory, and runs over the horizon."""

import math

from advisor.decide.lifetime.serving_cost import SECONDS_PER_HOUR, Values

# Operations per parameter and token: forward 2 and backward 4 where all weights learn; LoRA and QLoRA need no gradients of the
# frozen weights, which is 2 less (LoRA 2106.09685, QLoRA 2305.14314).
FLOP_PER_PARAMETER_TOKEN = {"full": 6.0, "lora": 4.0, "qlora": 4.0}
# Weights, gradients and Adam's state in mixed precision (ZeRO 1910.02054); frozen weights in 16 bits; in 4 bits with their scales.
BYTES_PER_PARAMETER = {"full": 16.0, "lora": 2.0, "qlora": 0.55}
PRE_TRAINING = ("active_parameters", "pre_training_tokens", "pre_training_experiments")
DEVICE = ("device_training_flop_per_s", "training_mfu_fraction", "device_usd_per_hour")


def device_hours(flop: float, x: Values) -> float:
    """Return the hours of one device that so many operations take."""
    return flop / (x["device_training_flop_per_s"] * x["training_mfu_fraction"]) / SECONDS_PER_HOUR


def release_usd(x: Values) -> float | None:
    """Return what the compute of one release costs, its failed experiments included."""
    if "fine_tuning_usd" in x:
        return x["fine_tuning_usd"]
    hours = release_device_hours(x)
    return None if hours is None or "device_usd_per_hour" not in x else hours * x["device_usd_per_hour"]


def release_device_hours(x: Values) -> float | None:
    """Return the device hours of one release."""
    asked = ("active_parameters", "fine_tuning_tokens", "fine_tuning_flop_per_parameter_token", "experiments_per_release")
    if any(name not in x for name in (*asked, *DEVICE[:2])):
        return None
    flop = x["fine_tuning_flop_per_parameter_token"] * x["active_parameters"] * x["fine_tuning_tokens"]
    return device_hours(flop, x) * x["experiments_per_release"]


def fine_tuning_devices(x: Values) -> float | None:
    """Return how many devices hold what fine-tuning keeps in memory, activations aside."""
    asked = ("parameters", "fine_tuning_bytes_per_parameter", "device_memory_bytes", "weights_memory_fraction")
    if any(name not in x for name in asked):
        return None
    held = x["parameters"] * x["fine_tuning_bytes_per_parameter"]
    return float(math.ceil(held / (x["device_memory_bytes"] * x["weights_memory_fraction"])))


def pre_training_usd(x: Values) -> float | None:
    """Return what the compute of pre-training costs, 6 operations per parameter and token times all runs on the way."""
    if "pre_training_usd" in x:
        return x["pre_training_usd"]
    if any(name not in x for name in (*PRE_TRAINING, *DEVICE)):
        return None
    flop = 6.0 * x["active_parameters"] * x["pre_training_tokens"] * x["pre_training_experiments"]
    return device_hours(flop, x) * x["device_usd_per_hour"]


def releases(x: Values) -> float | None:
    """Return how many releases the horizon holds."""
    return x["fine_tunings_per_year"] * x["horizon_months"] / 12.0 if "fine_tunings_per_year" in x else None
