"""What training costs: operations by parameters and tokens, hours on a device, memory, runs over the horizon, labels, validation."""

from advisor.decide.lifetime.serving_cost import SECONDS_PER_HOUR, Values, active_parameters, device_usd_per_hour, whole

# Operations per parameter and token: forward 2 and backward 4 where all weights learn; LoRA and QLoRA need no gradients of the
# frozen weights, which is 2 less (LoRA 2106.09685, QLoRA 2305.14314).
FLOP_PER_PARAMETER_TOKEN = {"full": 6.0, "lora": 4.0, "qlora": 4.0}
# Weights, gradients and Adam's state in mixed precision (ZeRO 1910.02054); frozen weights in 16 bits; in 4 bits with their scales.
BYTES_PER_PARAMETER = {"full": 16.0, "lora": 2.0, "qlora": 0.55}


def usd_per_device_hour(x: Values) -> float | None:
    """Return what an hour of the device costs that trains: the one named for it, else that of serving."""
    return x["training_device_usd_per_hour"] if "training_device_usd_per_hour" in x else device_usd_per_hour(x)


def device_hours(flop: float, x: Values) -> float | None:
    """Return the hours of one device that so many operations take; None where its rate is not known."""
    peak = x.get("training_device_flop_per_s", x.get("device_training_flop_per_s"))
    return (
        None
        if peak is None or "training_mfu_fraction" not in x
        else flop / (peak * x["training_mfu_fraction"]) / SECONDS_PER_HOUR
    )


def compute_usd(flop: float | None, x: Values) -> float | None:
    """Return what so many operations of training cost; None where an input is missing."""
    hours, usd = None if flop is None else device_hours(flop, x), usd_per_device_hour(x)
    return None if hours is None or usd is None else hours * usd


def release_flop(x: Values) -> float | None:
    """Return the operations of one release, its failed experiments included."""
    active = active_parameters(x)
    asked = ("fine_tuning_tokens", "fine_tuning_flop_per_parameter_token", "experiments_per_release")
    if active is None or any(name not in x for name in asked):
        return None
    return x["fine_tuning_flop_per_parameter_token"] * active * x["fine_tuning_tokens"] * x["experiments_per_release"]


def release_usd(x: Values) -> float | None:
    """Return what the compute of one release costs, its failed experiments included; a sum that was given is that."""
    return x["fine_tuning_usd"] if "fine_tuning_usd" in x else compute_usd(release_flop(x), x)


def release_device_hours(x: Values) -> float | None:
    """Return the device hours of one release."""
    flop = release_flop(x)
    return None if flop is None else device_hours(flop, x)


def fine_tuning_devices(x: Values) -> float | None:
    """Return how many devices hold what fine-tuning keeps in memory, activations aside."""
    memory = x.get("training_device_memory_bytes", x.get("device_memory_bytes"))
    asked = ("parameters", "fine_tuning_bytes_per_parameter", "weights_memory_fraction")
    if memory is None or any(name not in x for name in asked):
        return None
    held = x["parameters"] * x["fine_tuning_bytes_per_parameter"]
    return max(1.0, whole(held / (memory * x["weights_memory_fraction"])))


def student_flop(tokens: float, *, parameters: float, teacher_parameters: float, experiments: float) -> float:
    """Return what a student takes: it learns from every token, and the teacher reads each to tell it what to say."""
    return tokens * (6.0 * parameters + 2.0 * teacher_parameters) * experiments


def pre_training_flop(x: Values) -> float | None:
    """Return 6 operations per parameter and token, times all runs on the way."""
    active = active_parameters(x)
    if active is None or any(name not in x for name in ("pre_training_tokens", "pre_training_experiments")):
        return None
    return 6.0 * active * x["pre_training_tokens"] * x["pre_training_experiments"]


def pre_training_usd(x: Values) -> float | None:
    """Return what the compute of pre-training costs; a sum that was given is that."""
    return x["pre_training_usd"] if "pre_training_usd" in x else compute_usd(pre_training_flop(x), x)


def releases(x: Values) -> float | None:
    """Return how many releases the horizon holds."""
    return x["fine_tunings_per_year"] * x["horizon_months"] / 12.0 if "fine_tunings_per_year" in x else None


def labels_usd(x: Values) -> float | None:
    """Return what labels cost over the horizon: a sum that was given, or their number, that of each release included."""
    if "labels_usd" in x:
        return x["labels_usd"]
    if "labels_to_buy" not in x:
        return None
    count, per_release = x["labels_to_buy"], x.get("labels_per_release", 0.0)
    if per_release:
        all_releases = releases(x)
        if all_releases is None:
            return None
        count += per_release * all_releases
    return 0.0 if count == 0 else priced_labels_usd(count, x)


def priced_labels_usd(count: float, x: Values) -> float | None:
    """Return what so many labels cost, those that are made a second time included; None without the price of one."""
    return None if "usd_per_label" not in x else count * x["usd_per_label"] * (1 + x.get("review_fraction", 0.0))


def validation_usd(x: Values) -> float | None:
    """Return what validation costs over the horizon: what was given once, and that of each release; None where neither was."""
    once, each = x.get("validation_usd"), x.get("validation_usd_per_release")
    if each is None:
        return once
    count = releases(x)
    return None if count is None else (once or 0.0) + each * count


def validation_of_a_change_usd(x: Values) -> float | None:
    """Return what it costs to validate one more change of the model; None where it is not known.

    Where only a sum for all releases was given, each takes its part of it.
    """
    if "validation_usd_per_release" in x or "validation_usd" not in x:
        return x.get("validation_usd_per_release")
    return x["validation_usd"] / max(1.0, releases(x) or 1.0)


def missing_of_runs(x: Values) -> str:
    """Return the keys of the workload file that fine-tuning runs cannot be priced without; none of them is there already."""
    each = []
    if release_usd(x) is None:
        if "fine_tuning_tokens" in x:
            each = [_missing_of_compute(x, "lifecycle.fine_tuning_usd")]
        else:
            of_model = "" if "parameters" in x else " with lifecycle.model"
            each = [f"lifecycle.fine_tuning_usd or lifecycle.fine_tuning{of_model}"]
    return ", and ".join((*_missing_of_releases(x), *each))


def missing_of_release_team(x: Values) -> str:
    """Return the keys that the work of fine-tuning cannot be counted without."""
    days = [] if "engineer_days_per_release" in x else ["lifecycle.fine_tuning.engineer_days_per_release"]
    return ", and ".join((*_missing_of_releases(x), *days))


def missing_of_labels(x: Values) -> str:
    """Return the keys that labels cannot be priced without."""
    if "labels_to_buy" not in x:
        return "lifecycle.labels_usd, or lifecycle.data with labels_to_buy and usd_per_label"
    releases_ = _missing_of_releases(x) if x.get("labels_per_release") else []
    return ", and ".join((*releases_, *([] if "usd_per_label" in x else ["lifecycle.data.usd_per_label"])))


def missing_of_validation(x: Values) -> str:
    """Return the keys that validation cannot be counted without."""
    if "validation_usd_per_release" in x:
        return ", and ".join(_missing_of_releases(x))
    return "lifecycle.data.validation_usd or lifecycle.data.validation_usd_per_release"


def missing_of_pre_training(x: Values) -> str:
    """Return the keys that pre-training, which is planned, cannot be priced without."""
    return _missing_of_compute(x, "lifecycle.pre_training_usd")


def _missing_of_releases(x: Values) -> list[str]:
    return [] if "fine_tunings_per_year" in x else ["lifecycle.fine_tunings_per_year"]


def _missing_of_compute(x: Values, whole_sum: str) -> str:
    """Return what compute cannot be priced without: the sum, or the key that what was given lacks, unless only the catalog has it."""
    if "parameters" not in x:
        return f"lifecycle.model.parameters or {whole_sum}"
    return whole_sum if device_hours(1.0, x) is None else f"lifecycle.training_device_usd_per_hour or {whole_sum}"
