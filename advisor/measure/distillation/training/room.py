"""Whether a training fits: its memory by batch and length, and the disk that its checkpoints take, before it starts."""

import shutil
from pathlib import Path
from typing import NamedTuple

from advisor.errors import InputError, ModelError
from advisor.measure.runtime import memory
from advisor.units import size

FLOAT_BYTES = 4
SHARE = 0.8  # of the memory that is free: the rest is for what is between two looks, and for everybody else
# Of a training value: itself, its gradient, and the two moments that Adam keeps of that (Kingma and Ba 2014).
TRAINING_COPIES = 4
# Bytes that a layer keeps of a token for its gradient, in units of the hidden size: 34 in 16 bits (Korthikanti et al. 2022,
# arXiv:2205.05198, section 4), twice that in 32; and of its scores of attention, 5 in 16 bits, for each head and each other token.
LAYER_BYTES, ATTENTION_BYTES = 2 * 34, 2 * 5
LOGIT_COPIES = 6  # of the two models, their logarithms, their gradient, and their product
BATCH_SIZES = (32, 16, 8, 4, 2, 1)
LENGTHS = (1.0, 0.5, 0.25)  # of the longest text: what is cut is lost to the student, but a shorter one still teaches
LEAST_LENGTH = 16
KEPT_CHECKPOINTS = 3  # two that are kept and one that is written
CHECKPOINT_COPIES = 3  # weights and the two moments


class Sizes(NamedTuple):
    """What decides how much memory training takes."""

    parameters: int  # of the student
    trained_parameters: int  # of them, those that change
    teacher_parameters: int
    layers: int
    hidden: int
    heads: int
    logits: int  # that each token has; 0 where texts have vectors


class Batch(NamedTuple):
    """How many texts a step takes, and how many tokens of each."""

    size: int
    longest: int


def needed_bytes(sizes: Sizes, batch: Batch) -> int:
    """Return about how much memory training takes."""
    weights = sizes.parameters + sizes.teacher_parameters + (TRAINING_COPIES - 1) * sizes.trained_parameters
    a_token = LAYER_BYTES * sizes.hidden + ATTENTION_BYTES * sizes.heads * batch.longest
    tokens = batch.size * batch.longest
    return FLOAT_BYTES * weights + tokens * (a_token * sizes.layers + FLOAT_BYTES * LOGIT_COPIES * sizes.logits)


def fitting(sizes: Sizes, longest: int, free_bytes: int | None) -> Batch:
    """Return the largest batch that fits into the memory that is free, of texts as long as possible; raise ModelError if none does."""
    lengths = dict.fromkeys(max(min(longest, LEAST_LENGTH), int(part * longest)) for part in LENGTHS)
    batches = [Batch(count, length) for length in lengths for count in BATCH_SIZES]
    if free_bytes is None:
        return batches[0]
    found = next((batch for batch in batches if needed_bytes(sizes, batch) <= SHARE * free_bytes), None)
    if found is None:
        raise ModelError(
            f"training takes {size(needed_bytes(sizes, batches[-1]))} of memory at the least, and {size(SHARE * free_bytes)} of "
            f"{size(free_bytes)} that are free may be used",
            hint="name a smaller student, or use a machine, or a container, with more memory",
        )
    return found


def free_bytes() -> int | None:
    """Return the memory that is free for training, None where that is not known."""
    return memory.available_bytes()


def disk_bytes(sizes: Sizes) -> int:
    """Return how much disk the checkpoints take at most, and the student at the end."""
    checkpoint = sizes.parameters + (CHECKPOINT_COPIES - 1) * sizes.trained_parameters
    return FLOAT_BYTES * (KEPT_CHECKPOINTS * checkpoint + sizes.parameters)


def refuse_small_disk(folder: Path, needed: int, free: int | None = None) -> None:
    """Raise InputError where fewer bytes are free on the disk of a folder than are needed; `free` is looked up by default."""
    there = shutil.disk_usage(folder).free if free is None else free
    if needed > there:
        raise InputError(
            f"{folder}: checkpoints and the student take {size(needed)}, and {size(there)} are free on that disk",
            hint="free some space, or name a folder on another disk with -o",
        )
