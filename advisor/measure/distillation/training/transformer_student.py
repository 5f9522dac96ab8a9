"""A smaller transformer learns what its teacher gives on the user's texts: set up, planned, trained, compared. A doorway to `torch`."""

import inspect
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from advisor.disk.reading import refuse_special
from advisor.errors import InputError
from advisor.measure.distillation.training import (
    acceptance,
    checkpoints,
    given_texts,
    holding_out,
    nearness,
    objectives,
    power_law,
    room,
    trainer,
)
from advisor.measure.distillation.training.objectives import Objective
from advisor.measure.distillation.training.trainer import Encoded, Job
from advisor.measure.model import checkpoint, input_rows
from advisor.measure.quality import texts
from advisor.measure.runtime import machine
from advisor.measure.runtime.ort_session import Say, unsaid
from advisor.schema.distillation import AgreementMetric, Outcome
from advisor.schema.record import Estimate

PROJECTION = "projection.npz"
PROJECTED_ON = 512  # texts: as many tokens as determine the directions of some hundred dimensions many times over
# Held-out texts that the curve is of: the same ones for each point, so that they differ by little else.
MOST_WATCHED, FEWEST_WATCHED = 128, 8
WATCHED_SHARE = 0.15  # of a budget, for looking at them
MOST_COMPARED = 2000  # that the agreement at the end is of
MOST_STEPS = 10**9
PACE_STEPS = 4  # that are timed at the most, the first left out
PACE_S = 8.0  # of them: one that takes seconds varies little, and what timing takes is lost to training
BUDGET_SHARE = 0.9  # that steps are planned for: writing checkpoints takes time, and so does a slower moment of the machine
# A budget is for so many steps where it can be, in batches as small as this: gradients of a model that has much to learn agree within small
# ones, and larger ones teach little more a step (McCandlish et al. 2018, arXiv:1812.06162).
FEWEST_STEPS, LEAST_BATCH = 200, 4
# Tokens, of which each is learned from: as many teach as much as several texts of one vector. Ten of SmolLM2's layers were
# left by 48 texts of 230 tokens with a divergence of 2.7 and the teacher's token in 33 % of places one by one, with 4.1 and 17 % by fours.
LEAST_TOKENS = 128
COLUMNS = ("input_ids", "attention_mask", "token_type_ids")


class Asked(NamedTuple):
    """How long to train: so many steps, or as many as fit into so many seconds, or the fewer of both."""

    steps: int | None
    budget_s: float | None
    seed: int
    recipe: str


def check_teacher(teacher: Path) -> None:
    """Raise InputError where texts cannot be turned into what the teacher reads, before anything else is done."""
    refuse_special(teacher)
    texts.opened(texts.tokenizer_of(teacher, holding_out.KEY), holding_out.KEY)


def train(teacher: Path, start: Path, folder: Path, data: Path, asked: Asked, final: Path, say: Say = unsaid) -> Outcome:
    """Train the student that lies in `start`, its checkpoints in `folder`, and write it to `final`; for a process of its own.

    Goes on where an earlier run of the same recipe stopped. Raise InputError or ModelError for what cannot be trained, and where memory
    or disk are too small.
    """
    import torch

    begun_s = time.monotonic()
    say("loading the models")
    taught, student = checkpoint.loaded(teacher), checkpoint.loaded(start)
    torch.set_num_threads(machine.core_count())
    torch.manual_seed(asked.seed % 2**32)
    taught.requires_grad_(False)
    _freeze_words(student, taught)
    say("reading the texts")
    given = given_texts.read(data)
    objective = objectives.of_checkpoint(teacher, taught.config)
    learned, held_out, pad_id = _encoded(given, teacher, student)
    plan = checkpoints.read_plan(folder)
    is_planned = plan is not None and plan.recipe == asked.recipe
    if plan is None or not is_planned:
        sizes = sizes_of(student, taught, objective)
        batch = room.fitting(sizes, max(map(_length, learned)), room.free_bytes())
        room.refuse_small_disk(folder, room.disk_bytes(sizes))
        plan = checkpoints.Plan(
            recipe=asked.recipe, steps=1, batch_size=batch.size, longest=batch.longest, threads=1, watched=MOST_WATCHED
        )
    objective = objective._replace(projection=_projection(objective, student, taught, learned, pad_id, folder, say))
    cut, is_cut = [_cut(entry, plan.longest) for entry in learned], any(_length(entry) > plan.longest for entry in learned)
    job = Job(
        student=student,
        teacher=taught,
        objective=objective,
        learned=cut,
        held_out=[_cut(entry, plan.longest) for entry in held_out],
        pad_id=pad_id,
        plan=plan,
        folder=folder,
        seed=asked.seed,
        deadline_s=asked.budget_s,
        begun_s=begun_s,
    )
    if not is_planned:
        say("timing a step")
        job = job._replace(plan=_planned(job, asked))
        checkpoints.write_plan(folder, job.plan)
    torch.set_num_threads(job.plan.threads)
    job = job._replace(held_out=job.held_out[: job.plan.watched])
    run = trainer.run(job, say)
    notes = (f"texts were cut to {plan.longest} tokens, since longer ones do not fit into memory",) if is_cut else ()
    return _finished(job, run, held_out, start, final, notes, say)


def _finished(
    job: Job, run: trainer.Run, held_out: Sequence[Encoded], start: Path, final: Path, notes: tuple[str, ...], say: Say
) -> Outcome:
    """Write the student and say how near it came."""
    say("comparing with the teacher")
    metric, agreement = compared(job, held_out[:MOST_COMPARED], say)
    drafted = [entry["input_ids"] for entry in held_out] if job.objective.generates else []
    accepted = acceptance.measured(job.student, job.teacher, drafted, job.seed, say)
    say("writing the student")
    job.student.eval()
    shutil.copytree(start, final, dirs_exist_ok=True)
    for path in (*final.glob("*.safetensors*"), *final.glob("*.bin")):
        path.unlink()
    job.student.save_pretrained(final)
    if run.steps < job.plan.steps:
        notes += (f"stopped after {run.steps} of {job.plan.steps} steps, since the budget was used up",)
    return Outcome(
        learned=job.objective.learned,
        steps=run.steps,
        planned_steps=job.plan.steps,
        seconds=run.seconds,
        curve=run.curve,
        longer=power_law.longer_runs(run.curve, trainer.steady_steps(job.plan.steps), job.seed),
        metric=metric,
        agreement=agreement,
        accepted=accepted,
        notes=notes,
    )


def compared(job: Job, held_out: Sequence[Encoded], say: Say) -> tuple[AgreementMetric, Estimate]:
    """Return how near the student is to its teacher on texts that it did not learn from."""
    import torch

    job.student.eval()
    parts: dict[str, list[np.ndarray]] = {}
    for first in range(0, len(held_out), job.plan.batch_size):
        say(f"comparing with the teacher, text {first + 1} of {len(held_out)}")
        batch = [_cut(entry, job.plan.longest) for entry in held_out[first : first + job.plan.batch_size]]
        inputs = trainer.collated(batch, job.pad_id)
        with torch.no_grad():
            shown, taught = (objectives.output_of(job.objective, model(**inputs)) for model in (job.student, job.teacher))
            for name, values in objectives.scores(job.objective, shown, taught, inputs["attention_mask"]).items():
                parts.setdefault(name, []).append(values.numpy())
    return nearness.estimated({name: np.concatenate(values) for name, values in parts.items()}, job.seed)


def _freeze_words(student: Any, teacher: Any) -> None:
    """Keep the teacher's vectors of words where they are as wide: those of words that the texts lack stay what they were."""
    own, others = student.get_input_embeddings().weight, teacher.get_input_embeddings().weight
    own.requires_grad_(own.shape != others.shape)


def sizes_of(student: Any, teacher: Any, objective: Objective) -> room.Sizes:
    """Return what decides how much memory training takes."""
    config = student.config
    outputs = {"tokens": getattr(config, "vocab_size", 0), "classes": getattr(config, "num_labels", 0)}
    return room.Sizes(
        parameters=student.num_parameters(),
        trained_parameters=student.num_parameters(only_trainable=True),
        teacher_parameters=teacher.num_parameters(),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        logits=outputs.get(objective.learned, 0),
    )


def _encoded(given: given_texts.Texts, teacher: Path, student: Any) -> tuple[list[Encoded], list[Encoded], int]:
    """Return the texts as the student reads them: those to learn from, those held out; and what fills up."""
    found = texts.encode([*given.learned, *given.held_out], teacher, holding_out.KEY)
    if any(not ids for ids in found.ids):
        raise InputError(
            f"{holding_out.KEY}: the tokenizer in {teacher} makes nothing of some texts",
            hint="leave those out, or mend the tokenizer",
        )
    taken = inspect.signature(student.forward).parameters
    entries = [
        {name: values for name, values in zip(COLUMNS, (ids, [1] * len(ids), segments), strict=True) if name in taken}
        for ids, segments in zip(found.ids, found.segments, strict=True)
    ]
    return entries[: len(given.learned)], entries[len(given.learned) :], found.pad_id


def _length(entry: Encoded) -> int:
    return len(entry["input_ids"])


def _cut(entry: Encoded, longest: int) -> Encoded:
    return {name: values[:longest] for name, values in entry.items()}


def _projection(
    objective: Objective, student: Any, teacher: Any, learned: Sequence[Encoded], pad_id: int, folder: Path, say: Say
) -> Any:
    """Return the directions of the teacher's vectors that a narrower student learns, found once; None where both are as wide."""
    import torch

    width = student.config.hidden_size
    if objective.learned != "embeddings" or width == teacher.config.hidden_size:
        return None
    kept = folder / PROJECTION
    if not kept.is_file():
        say("finding the directions of its vectors")
        vectors = []
        for entry in learned[:PROJECTED_ON]:
            with torch.no_grad():
                vectors.append(teacher(**trainer.collated([entry], pad_id)).last_hidden_state[0])
        input_rows.write_npz(kept, {"directions": objectives.principal(torch.cat(vectors), width).numpy()})
    return torch.from_numpy(input_rows.read_npz(kept, str(kept))["directions"])


def _planned(job: Job, asked: Asked) -> checkpoints.Plan:
    """Return the plan on as many threads as are quickest, with as many steps as were asked for, or as fit into the budget."""
    if asked.budget_s is None:
        assert asked.steps is not None
        threads, _ = _quickest(job)
        return msgspec.structs.replace(job.plan, steps=asked.steps, threads=threads)
    most = job.plan.batch_size
    size = min(most, _least_batch(job))
    threads, pace = _quickest(_in_batches_of(job, size))
    while size * 2 <= most and FEWEST_STEPS * 2 * pace.step_s < _left_s(job, asked.budget_s):
        size *= 2
        pace = _pace(_in_batches_of(job, size))
    left_s = _left_s(job, asked.budget_s)
    # Along the way, at the beginning and at the end.
    looks_s = (trainer.EVALUATIONS + 2) * pace.look_s / size  # at each text
    watched = min(MOST_WATCHED, max(FEWEST_WATCHED, int(WATCHED_SHARE * left_s / looks_s)))
    steps = int((left_s - min(watched, len(job.held_out)) * looks_s) / pace.step_s)
    planned = min(max(1, steps), asked.steps or MOST_STEPS)
    return msgspec.structs.replace(job.plan, steps=planned, threads=threads, batch_size=size, watched=watched)


def _least_batch(job: Job) -> int:
    """Return how many texts a step takes at the least: fewer where every token of them is learned from, and they are long."""
    if job.objective.learned != "tokens":
        return LEAST_BATCH
    typical = float(np.median([_length(entry) for entry in job.learned]))
    return next(size for size in (1, 2, LEAST_BATCH) if size == LEAST_BATCH or size * typical >= LEAST_TOKENS)


def _left_s(job: Job, budget_s: float) -> float:
    """Return what of a budget may be planned for."""
    return BUDGET_SHARE * max(0.0, budget_s - (time.monotonic() - job.begun_s))


def _in_batches_of(job: Job, size: int) -> Job:
    return job._replace(plan=msgspec.structs.replace(job.plan, batch_size=size))


class Pace(NamedTuple):
    """How long a step takes, and looking at a batch that is held out."""

    step_s: float
    look_s: float


def _quickest(job: Job) -> tuple[int, Pace]:
    """Return on how many threads a step is quickest, which torch has from then on, and how quick that is."""
    import torch

    paces = {}
    for threads in dict.fromkeys((1, machine.core_count())):
        torch.set_num_threads(threads)
        paces[threads] = _pace(job)
    quickest = min(paces, key=lambda count: paces[count].step_s)
    torch.set_num_threads(quickest)
    return quickest, paces[quickest]


def _pace(job: Job) -> Pace:
    """Return the pace of a training, on the student as it is, which is not changed by it."""
    import torch

    random = np.random.default_rng(job.seed)
    optimizer = torch.optim.AdamW([it for it in job.student.parameters() if it.requires_grad], lr=0.0, weight_decay=0.0)
    paces: list[Pace] = []
    begun_s = time.monotonic()
    for number in range(PACE_STEPS):
        chosen = random.choice(len(job.learned), size=min(job.plan.batch_size, len(job.learned)), replace=False)
        inputs = trainer.collated([job.learned[place] for place in chosen], job.pad_id)
        started_s = time.monotonic()
        loss = trainer.loss_of(job, inputs, job.student)
        looked_s = time.monotonic()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        ended_s = time.monotonic()
        if number > 0:
            paces.append(Pace(ended_s - started_s, looked_s - started_s))
        if paces and ended_s - begun_s >= PACE_S:
            break
    return Pace(*map(float, np.median(paces, axis=0)))
