"""The arguments and options that more than one command takes, each declared once."""

import functools
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from advisor.errors import InputError
from advisor.schema.options import ProfileOptions
from advisor.units import parse_moment

Command = TypeVar("Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
USUAL = ProfileOptions()
STANDARD_OUTPUT = Path("-")


def finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Return a number of seconds that is one: a range without an upper end lets nan and inf through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


def _moment(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return parse_moment(value)
    except InputError as error:
        raise click.BadParameter(f"{error.fault}; {error.hint}") from error


INPUTS = click.option("--inputs", type=PATH, help="Your own inputs (.npz, one array per model input, one item per row).")
WORKLOAD = click.option("-w", "--workload", type=PATH, required=True, help="The workload file (YAML): traffic, target, price.")
RULES = click.option("--rules", type=PATH, help="A folder of rules of your own, beside those of advisor.")
OUTPUT = click.option("-o", "--output", type=PATH, help="Write it there instead of to standard output.")
NOW = click.option(
    "--now",
    default=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    callback=_moment,
    help="The time stamp to write.",
)
# All that `profile` and `recommend` both take, in the order in which help lists it.
PROFILE_OPTIONS = (
    INPUTS,
    click.option(
        "--variant",
        "variants",
        type=PATH,
        multiple=True,
        help="Another file of the same model, one that you quantized yourself for example; repeatable.",
    ),
    click.option(
        "--scheme",
        "schemes",
        multiple=True,
        metavar="ID",
        help="A scheme of the catalogue to measure whatever the pre-flight says of it, for example fp16; repeatable.",
    ),
    click.option(
        "--budget",
        "budget_s",
        type=click.FloatRange(min=1),
        callback=finite,
        default=USUAL.budget_s,
        show_default=True,
        help="Seconds to spend. Timing gets at least half of them; judging quality on many examples may take longer.",
    ),
    click.option(
        "--max-batch-size",
        type=click.IntRange(1, 4096),
        default=USUAL.max_batch_size,
        show_default=True,
        help="The largest batch to measure.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=USUAL.seed, show_default=True, help="Seed of inputs and of the order."
    ),
    click.option("--fresh", is_flag=True, help="Measure again, even if a profile of the same model and machine is there."),
)


def profile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all options of profiling, handed over as one `options`; those of them that it declares itself go in there too."""

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        asked = {name: values.pop(name) for name in ProfileOptions._fields if name in values}
        return command(options=ProfileOptions(**asked), **values)

    return functools.reduce(lambda made, option: option(made), reversed(PROFILE_OPTIONS), gathered)


def format_option(*names: str, default: str) -> Callable[[Command], Command]:
    """Return the option `--format` with these choices."""
    return click.option("--format", "format_", type=click.Choice(names), default=default, show_default=True)


def put(text: str, output: Path | None) -> None:
    """Print a text, or write it into a file; `-` is standard output."""
    from advisor.files.records import write_atomically

    if output in (None, STANDARD_OUTPUT):
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())
