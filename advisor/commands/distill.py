"""The command that makes a student: parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import MOST_SEED, NOW, PATH, duration
from advisor.schema.options import USUAL_TRAINING_S, DistillOptions

MOST_STEPS = 10**9


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--student",
    required=True,
    metavar="ID",
    help="Which one: layers-N, width-N, layers-N-width-N or static of a checkpoint; trees-N, linear or mlp of an ONNX file on a table.",
)
@click.option(
    "--data",
    type=PATH,
    required=True,
    help="What it learns from: a table with a column `text`, a text file with one text a line, or a folder of these; for a model of "
    "tables one as quality.data takes it. A tenth, chosen by the items themselves, is held out.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("student"),
    show_default=True,
    help="The folder for the student and its checkpoints.",
)
@click.option(
    "--budget",
    "budget_s",
    type=str,
    metavar="TIME",
    callback=duration(1.0),
    help=f"Time to train: seconds, or 90s, 15min. By default {USUAL_TRAINING_S / 60:g} min, unless --steps says when it ends.",
)
@click.option("--steps", type=click.IntRange(1, MOST_STEPS), help="Steps to train, of up to 32 texts each.")
@click.option(
    "--seed",
    type=click.IntRange(0, MOST_SEED),
    default=0,
    show_default=True,
    help="Random seed of the order of texts, and of dropout.",
)
@click.option("--fresh", is_flag=True, help="Begin anew, in the place of what lies in the folder.")
@NOW
def distill(
    model: Path,
    student: str,
    data: Path,
    output: Path,
    budget_s: float | None,
    steps: int | None,
    seed: int,
    fresh: bool,
    now: str,
) -> None:
    """Make a smaller model that learns from MODEL what it gives on your data. Ctrl-C keeps checkpoints; the same command goes on.

    \b
    advisor distill model/ --student layers-3 --data texts.csv -o student
    advisor recommend model/ -w workload.yaml --student student
    """
    from advisor.progress import progress
    from advisor.steps.distillation.distill import distill
    from advisor.tell.words.distilled import lines

    options = DistillOptions(student=student, data=data, steps=steps, budget_s=budget_s, seed=seed, fresh=fresh)
    with progress() as report:
        made = distill(model, output, options, now=now, report=report)
    click.echo("\n".join(lines(made, output)))
