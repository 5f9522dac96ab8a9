"""transformers' Trainer, told what a student learns, to keep its checkpoints whole and to stop in time. A doorway to it and to `torch`."""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from advisor.disk.writing import NO_ROOM
from advisor.errors import ModelError
from advisor.measure.distillation.training import checkpoints, objectives
from advisor.measure.distillation.training.objectives import Objective
from advisor.measure.runtime.ort_session import Say
from advisor.schema.distillation import CurvePoint

LEARNING_RATE = {"embeddings": 2e-4, "classes": 5e-5, "values": 5e-5, "tokens": 5e-4}
# Of the steps: the rate rises, stands, and falls to 0 at the end, so that points in between are of one rate.
WARMUP, DECAY = 0.05, 0.2
WEIGHT_DECAY = 0.01
EVALUATIONS = 12  # of the part that is held out, along the way
CHECKPOINTS = 10
KEPT = 2
SPENT, LOSS = "spent_s", "eval_loss"

Encoded = dict[str, list[int]]


class Job(NamedTuple):
    """One training: the models as torch has them, the texts, and what was set out to be done."""

    student: Any
    teacher: Any
    objective: Objective
    learned: Sequence[Encoded]
    held_out: Sequence[Encoded]
    pad_id: int
    plan: checkpoints.Plan
    folder: Path  # of checkpoints
    seed: int
    deadline_s: float | None  # of training, earlier runs included
    begun_s: float  # of this run, by time.monotonic: loading counts as well


class Run(NamedTuple):
    """What a training came to; the student has its weights."""

    steps: int
    seconds: float
    curve: tuple[CurvePoint, ...]


def steady_steps(steps: int) -> tuple[int, int]:
    """Return the first and the last step at the full learning rate."""
    return int(WARMUP * steps) + 1, steps - int(DECAY * steps)


def collated(batch: Sequence[Encoded], pad_id: int) -> dict[str, Any]:
    """Return texts as tensors (texts, tokens), padded to the longest of them."""
    import torch

    width = max(len(entry["input_ids"]) for entry in batch)

    def padded(name: str) -> Any:
        fill = pad_id if name == "input_ids" else 0
        return torch.tensor([entry[name] + [fill] * (width - len(entry[name])) for entry in batch])

    return {name: padded(name) for name in batch[0]}


def run(job: Job, say: Say) -> Run:
    """Train, from the last whole checkpoint on where there is one; raise ModelError where it cannot be done."""
    import torch
    from transformers.trainer_utils import set_seed

    checkpoints.remove_broken(job.folder)
    latest = checkpoints.last_whole(job.folder)
    spent_s = latest[1].seconds if latest else 0.0
    clock = _clock(spent_s, job.begun_s)
    trainer = _trainer(job, clock, say, is_new=latest is None)
    is_done = latest is not None and (
        latest[1].step >= job.plan.steps or (job.deadline_s is not None and spent_s >= job.deadline_s)
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries: a user can do nothing about them
            if is_done and latest is not None:
                trainer._load_from_checkpoint(str(latest[0]))
                trainer.state = trainer.state.load_from_json(str(latest[0] / "trainer_state.json"))
            else:
                set_seed(job.seed)
                trainer.train(resume_from_checkpoint=str(latest[0]) if latest else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _failed(
            "it asked for more memory than there is", "name a smaller student, or use a machine with more memory"
        ) from error
    except OSError as error:
        way_out = "free some space" if error.errno in NO_ROOM else "check the folder and the disk"
        raise _failed(f"a checkpoint could not be written ({error.strerror or error})", way_out) from error
    except Exception as error:  # transformers lets any exception of torch through
        fault = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise _failed(fault, "give another student or other texts; --fresh begins anew") from error
    curve = tuple(
        CurvePoint(step=entry["step"], seconds=entry[SPENT], held_out_loss=entry[LOSS])
        for entry in trainer.state.log_history
        if LOSS in entry and SPENT in entry
    )
    return Run(trainer.state.global_step, spent_s if is_done else clock(), curve)


def _failed(fault: str, hint: str) -> ModelError:
    return ModelError(f"training stopped: {fault}; checkpoints that were whole are kept", hint=hint)


def _clock(before_s: float, begun_s: float) -> Callable[[], float]:
    """Return what says how many seconds were spent on training, those of earlier runs included."""
    return lambda: before_s + time.monotonic() - begun_s


def _trainer(job: Job, clock: Callable[[], float], say: Say, *, is_new: bool) -> Any:
    """Return the Trainer of a job; texts come in an order that the seed decides, the same one after a restart."""
    from transformers import PrinterCallback, Trainer

    class Distilling(Trainer):  # type: ignore[misc]
        """A Trainer whose loss is how far the student is from its teacher."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            found = loss_of(job, inputs, model)
            return (found, {}) if return_outputs else found

        def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
            import torch

            with torch.no_grad():
                return loss_of(job, self._prepare_inputs(inputs), model).detach(), None, None

    trainer = Distilling(
        model=job.student,
        args=_arguments(job, is_new=is_new),
        data_collator=lambda batch: collated(batch, job.pad_id),
        train_dataset=list(job.learned),
        eval_dataset=list(job.held_out),
        callbacks=[_watcher(job, clock, say)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def loss_of(job: Job, inputs: dict[str, Any], model: Any) -> Any:
    """Return how far the student is from its teacher on a batch."""
    import torch

    with torch.no_grad():
        taught = objectives.output_of(job.objective, job.teacher(**inputs))
    shown = objectives.output_of(job.objective, model(**inputs))
    return objectives.loss(job.objective, shown, taught, inputs["attention_mask"])


def _arguments(job: Job, *, is_new: bool) -> Any:
    from transformers import TrainingArguments

    steps = job.plan.steps
    return TrainingArguments(
        output_dir=str(job.folder),
        max_steps=steps,
        per_device_train_batch_size=job.plan.batch_size,
        per_device_eval_batch_size=job.plan.batch_size,
        learning_rate=LEARNING_RATE[job.objective.learned],
        weight_decay=WEIGHT_DECAY,
        lr_scheduler_type="warmup_stable_decay",
        warmup_steps=int(WARMUP * steps),
        lr_scheduler_kwargs={"num_decay_steps": int(DECAY * steps), "decay_type": "linear"},
        eval_strategy="steps",
        eval_steps=max(1, steps // EVALUATIONS),
        eval_on_start=is_new,
        save_strategy="steps",
        save_steps=max(1, steps // CHECKPOINTS),
        save_total_limit=KEPT,
        logging_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        label_names=[],
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=job.seed % 2**32,
        data_seed=job.seed % 2**32,
    )


def _watcher(job: Job, clock: Callable[[], float], say: Say) -> Any:
    """Return what says each step, notes when points were taken, marks checkpoints, and ends the training when its time is over."""
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        """Called by the Trainer between steps."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            say(f"step {state.global_step} of {state.max_steps}")
            is_late = job.deadline_s is not None and clock() >= job.deadline_s
            if is_late or state.global_step >= state.max_steps:
                control.should_evaluate = control.should_save = control.should_training_stop = True
            return control

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            state.log_history[-1][SPENT] = clock()
            say(f"step {state.global_step} of {state.max_steps}, held-out loss {state.log_history[-1][LOSS]:.4g}")
            return control

        def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            say(f"step {state.global_step} of {state.max_steps}, looking at the texts held out")
            return control

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            checkpoints.mark_whole(job.folder / f"checkpoint-{state.global_step}", state.global_step, clock())
            return control

    return Watcher()
