"""The arguments and options that more than one command takes, each declared once."""

import functools
import math
import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from advisor.errors import InputError
from advisor.inert.text import inert
from advisor.schema.options import MOST_BATCH_SIZE, USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.units import parse_moment, parse_quantity

if TYPE_CHECKING:
    from advisor.disk.kinds import Kind

Command = TypeVar("Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
USUAL = ProfileOptions()
HELP_WIDTH = 100
MOST_SEED = 2**53  # what a profile holds of it
STANDARD_OUTPUT = Path("-")


class Number(click.FloatRange):
    """A finite number in a range: nan is neither below nor above any end of one, and a range may have no upper end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


def duration(least_s: float) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """Return the callback of an option that takes seconds as the workload file does: a number, or `90 s` or `2 min`."""

    def seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
        if value is None:
            return None
        try:
            given = parse_quantity(str(value), "s")
        except InputError as error:
            raise click.BadParameter(f"{error.fault}; {error.hint}") from error
        if given < least_s:
            raise click.BadParameter(f"{value} is less than {least_s:g} s")
        return given

    return seconds


def _moment(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return parse_moment(value)
    except InputError as error:
        raise click.BadParameter(f"{error.fault}; {error.hint}") from error


def _help_with_keys(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked or context.resilient_parsing:
        return
    from advisor.files.keys import workload_keys

    click.echo(f"{context.get_help()}\n\nKeys of the workload file (the documentation says what each means):")
    for part, names in workload_keys():
        told = f"{part}: {', '.join(names)}" if part else ", ".join(names)
        click.echo(textwrap.fill(told, HELP_WIDTH, initial_indent="  ", subsequent_indent="      "))
    context.exit()


HELP_WITH_KEYS = click.option(
    "-h", "--help", is_flag=True, is_eager=True, expose_value=False, callback=_help_with_keys, help="Show this message and exit."
)
INPUTS = click.option("--inputs", type=PATH, help="Your own inputs: .npz with one array per model input, one item per row.")
WORKLOAD = click.option("-w", "--workload", type=PATH, required=True, help="The workload file (YAML): traffic, SLO, price.")
MAX_UNCERTAINTY = click.option(
    "--max-uncertainty",
    type=Number(min=1),
    default=USUAL_MAX_UNCERTAINTY,
    show_default=True,
    help="Factor by which the cost may be uncertain; beyond it the answer is inconclusive (exit status 3).",
)
RULES = click.option("--rules", type=PATH, help="A folder of your own rules, in addition to the built-in ones.")
STORE = click.option(
    "--store",
    metavar="URL",
    help="A store that others share, a folder or s3://, gs://, az://bucket/prefix: what it has is not measured again.",
)
OUTPUT = click.option("-o", "--output", type=PATH, help="Write there instead of to standard output.")
NOW = click.option(
    "--now",
    default=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    callback=_moment,
    help="The timestamp to write; by default the current time.",
)
# All that `profile` and `recommend` both take, in the order in which help lists it.
PROFILE_OPTIONS = (
    INPUTS,
    click.option(
        "--variant",
        "variants",
        type=PATH,
        multiple=True,
        help="Another file of the same model, such as one that you quantized yourself; repeatable.",
    ),
    click.option(
        "--scheme",
        "schemes",
        multiple=True,
        metavar="ID",
        help="A scheme of the catalog to measure even if the pre-flight check would leave it out, such as fp16; repeatable.",
    ),
    click.option(
        "--student",
        "students",
        multiple=True,
        metavar="ID|PATH",
        help="A smaller model: layers-3, width-192, trees-50, auto for all that are proposed (timed before anyone trains them), or the "
        "file or folder of one that you trained; repeatable.",
    ),
    click.option(
        "--draft",
        type=PATH,
        metavar="FOLDER",
        help="A smaller decoder that proposes tokens, which the model checks: a checkpoint with the same tokenizer, such as "
        "`advisor distill` makes. Whether that pays is measured, by load.",
    ),
    click.option(
        "--budget",
        "budget_s",
        type=str,
        metavar="TIME",
        callback=duration(1.0),
        default=USUAL.budget_s,
        show_default=True,
        help="Time to spend on everything but loading and exporting: seconds, or 90s, 2min. Timing gets at least half of it.",
    ),
    click.option(
        "--max-batch-size",
        type=click.IntRange(1, MOST_BATCH_SIZE),
        default=USUAL.max_batch_size,
        show_default=True,
        help="The largest batch to measure.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, MOST_SEED),
        default=USUAL.seed,
        show_default=True,
        help="Random seed of the inputs and of the measuring order.",
    ),
    click.option(
        "--general",
        is_flag=True,
        help="Time every point alike, also where this workload's answer does not rest on it: for advice on other workloads too.",
    ),
    click.option("--fresh", is_flag=True, help="Measure again, even if there is a profile of the same model and machine."),
    STORE,
    click.option(
        "--allow-code",
        is_flag=True,
        help="Run the Python functions that the workload file names (module:function); without it they are asked about or refused.",
    ),
)


def confirmed(question: str) -> bool:
    """Return whether who sits at the terminal says yes; no where nobody does."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    try:
        return click.confirm(inert(question), err=True)
    except click.Abort as end:  # Ctrl-C, or the end of what is typed, which is no yes
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        return False


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


def tell_first(lines: Iterable[str]) -> None:
    """Print what a user should know first, a line each, beside the output."""
    for line in lines:
        click.echo(f"note: {inert(' '.join(line.split()))}", err=True)


def tell_one(line: str) -> None:
    """Print one line that a user should know, as `tell_first` does."""
    tell_first((line,))


def put(text: str, output: Path | None, *, of: object, format_: str, inputs: Iterable[Path]) -> None:
    """Print the text of a document, or write it into a file that is none of the inputs; `-` is standard output."""
    from advisor.disk.kinds import rendered

    put_kind(text, output, rendered(of, format_), inputs=inputs)


def put_kind(text: str, output: Path | None, kind: "Kind", *, inputs: Iterable[Path]) -> None:
    """Print a text, or write it as a file of its kind, as `put` does."""
    from advisor.disk.writing import write_output

    if output is None or output == STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        write_output(output, text.encode(errors="backslashreplace"), kind, inputs=inputs)
