"""The command line: parse, call one function, print. No logic."""

import math
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from advisor import __version__
from advisor.errors import AdvisorError

if TYPE_CHECKING:
    from advisor.steps.profile import ProfileOptions

FORMATS = ("html", "md", "json")
PATH = click.Path(path_type=Path)
WORKLOAD = click.option("-w", "--workload", type=PATH, required=True, help="The workload file (YAML): traffic, target, price.")
INPUTS = click.option("--inputs", type=PATH, help="Your own inputs (.npz, one array per model input, one item per row).")
VARIANTS = click.option(
    "--variant",
    "variants",
    type=PATH,
    multiple=True,
    help="Another file of the same model, one that you quantized yourself for example; repeatable.",
)
SCHEMES = click.option(
    "--scheme",
    "schemes",
    multiple=True,
    metavar="ID",
    help="A scheme of the catalogue to measure whatever the pre-flight says of it, for example fp16; repeatable.",
)
MAX_BATCH = click.option(
    "--max-batch-size", type=click.IntRange(1, 4096), default=64, show_default=True, help="The largest batch to measure."
)
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of inputs and of the order.")
FRESH = click.option("--fresh", is_flag=True, help="Measure again, even if a profile of the same model and machine is there.")


def _check_finite(_: click.Context, __: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


def _check_limit(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    return None if value is None else _check_finite(context, parameter, value)


def _check_moment(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a time such as 2026-11-22T08:00:00+00:00") from error
    return value


BUDGET = click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=1),
    callback=_check_finite,
    default=60.0,
    show_default=True,
    help="Seconds to spend. Timing gets at least half of them; judging quality on many examples may take longer.",
)
RULES = click.option("--rules", type=PATH, help="A folder of rules of your own, beside those of advisor.")
NOW = click.option(
    "--now",
    default=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    callback=_check_moment,
    help="The time stamp to write.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="advisor")
def cli() -> None:
    """Measure a model, decide how to serve it at the lowest cost, and say how sure one can be.

    \b
    advisor recommend MODEL -w workload.yaml     all of it, into ./advice
    advisor profile   MODEL                      measure: slow, once, on the target machine
    advisor advise    profile.json -w W.yaml     decide: repeatable, under a second
    advisor report    advice.json                tell: html, md or json
    advisor verify    advice.json                serve it for real, under the workload's load
    advisor classify  W.yaml                     serving or training, without a model file
    advisor portfolio P.yaml                     many workloads, one budget

    Exit status: 0 advice found, 1 nothing meets the target, 2 the input is wrong.
    """


@cli.command()
@click.argument("model", type=PATH)
@INPUTS
@click.option("--format", "format_", type=click.Choice(("text", "json")), default="text", show_default=True)
def inspect(model: Path, inputs: Path | None, format_: str) -> None:
    """Say what MODEL is: family, weights, FLOPs, inputs, and whether items can share a call.

    \b
    advisor inspect model.onnx
    """
    from advisor.steps.profile import inspect
    from advisor.tell.facts import render_facts

    with tempfile.TemporaryDirectory(prefix="advisor-") as folder:
        facts = inspect(model, inputs, Path(folder))
    click.echo(render_facts(facts, format_), nl=False)


@cli.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, default=Path("profile.json"), show_default=True)
@click.option("-w", "--workload", type=PATH, help="Measure what this workload needs: its lengths, its target, its quality data.")
@INPUTS
@VARIANTS
@SCHEMES
@BUDGET
@MAX_BATCH
@SEED
@FRESH
@click.option(
    "--hardware",
    default="local",
    show_default=True,
    help="What the catalogue calls this machine.",
)
@click.option("--merge", "others", type=PATH, multiple=True, help="MODEL is a profile: add what another machine measured.")
@NOW
def profile(
    model: Path,
    output: Path,
    workload: Path | None,
    inputs: Path | None,
    variants: tuple[Path, ...],
    schemes: tuple[str, ...],
    budget_s: float,
    max_batch_size: int,
    seed: int,
    fresh: bool,
    hardware: str,
    others: tuple[Path, ...],
    now: str,
) -> None:
    """Measure MODEL and its variants on this machine. Ctrl-C keeps what was measured; the same command goes on.

    \b
    advisor profile model.onnx -w workload.yaml -o profile.json
    advisor profile profile.json --merge there.json -o both.json     with what another machine measured
    """
    from advisor.progress import progress
    from advisor.steps.merge import merge
    from advisor.steps.profile import profile
    from advisor.tell.facts import profile_line

    if others:
        click.echo(profile_line(merge(model, others, output), output), nl=False)
        return
    options = _options(workload, inputs, variants, schemes, budget_s, max_batch_size, seed, fresh, hardware)
    with progress() as report:
        measured = profile(model, output, options, now=now, report=report)
    click.echo(profile_line(measured, output), nl=False)


@cli.command()
@click.argument("profile", type=PATH)
@WORKLOAD
@click.option(
    "-o", "--output", type=PATH, help="Write the advice there; - for standard output. Without it, only the summary is printed."
)
@click.option(
    "--confidence",
    type=click.FloatRange(min=0.95, max=0.999),
    default=0.95,
    show_default=True,
    help="How sure the service times have to be with which the target is kept; 0.95 is the upper end of what is told.",
)
@click.option(
    "--time-limit",
    "limit_s",
    type=click.FloatRange(min=0),
    callback=_check_limit,
    help="Seconds to search; what may be lost is told.",
)
@RULES
@NOW
def advise(
    profile: Path,
    workload: Path,
    output: Path | None,
    confidence: float,
    limit_s: float | None,
    rules: Path | None,
    now: str,
) -> int:
    """Find the cheapest configuration in PROFILE that keeps the workload's promises.

    \b
    advisor advise profile.json -w workload.yaml -o advice.json
    """
    from advisor.files.records import to_json, write_record
    from advisor.steps.advise import advise_on, alarm
    from advisor.tell.summary import summary

    is_over = alarm(limit_s)
    advice = advise_on(profile, workload, now=now, confidence=confidence, is_over=is_over, rules_folder=rules)
    if output == Path("-"):
        click.echo(to_json(advice), nl=False)
        return int(advice.recommended is None)
    if output is not None:
        write_record(output, advice)
    click.echo(summary(advice))
    return int(advice.recommended is None)


@cli.command()
@click.argument("advice", type=PATH)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="md", show_default=True)
@click.option("-o", "--output", type=PATH, help="Write the report there instead of to standard output.")
def report(advice: Path, format_: str, output: Path | None) -> None:
    """Render the report on ADVICE.

    \b
    advisor report advice.json --format html -o report.html
    """
    from advisor.files.records import write_atomically
    from advisor.steps.advise import read_any_advice
    from advisor.tell.report import render

    text = render(read_any_advice(advice), format_)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())


@cli.command()
@click.argument("advice", type=PATH)
@click.option("-w", "--workload", type=PATH, help="The workload file; needed only if its traffic is a trace.")
@click.option(
    "--seconds",
    "wanted_s",
    type=click.FloatRange(min=1),
    callback=_check_finite,
    default=30.0,
    show_default=True,
    help="Length of each load test.",
)
@RULES
@NOW
def verify(advice: Path, workload: Path | None, wanted_s: float, rules: Path | None, now: str) -> int:
    """Serve what ADVICE recommends, and what runs today, under real load, and compare with the prediction.

    What is learned goes into the profile and the advice. Exit status 1 if the target was not kept.

    \b
    advisor verify advice/advice.json
    """
    from advisor.progress import progress
    from advisor.steps.verify import held, verify
    from advisor.tell.summary import load_tests, summary

    with progress() as report:
        verified = verify(advice, workload, wanted_s=wanted_s, now=now, report=report, rules_folder=rules)
    click.echo(summary(verified))
    click.echo(load_tests(verified))
    return int(not held(verified))


@cli.command()
@click.argument("model", type=PATH)
@WORKLOAD
@click.option(
    "-o", "--output", type=PATH, default=Path("advice"), show_default=True, help="The folder for profile, advice and report."
)
@click.option("--verify", "is_verified", is_flag=True, help="Then serve it under real load, as `advisor verify` does.")
@INPUTS
@VARIANTS
@SCHEMES
@BUDGET
@MAX_BATCH
@SEED
@FRESH
@RULES
@NOW
def recommend(
    model: Path,
    workload: Path,
    output: Path,
    inputs: Path | None,
    variants: tuple[Path, ...],
    schemes: tuple[str, ...],
    budget_s: float,
    max_batch_size: int,
    seed: int,
    fresh: bool,
    is_verified: bool,
    rules: Path | None,
    now: str,
) -> int:
    """Profile MODEL, advise and report, all into one folder.

    \b
    advisor recommend model.onnx -w workload.yaml
    """
    from advisor.progress import progress
    from advisor.schema.advice import Advice
    from advisor.steps.recommend import recommend
    from advisor.tell.summary import load_tests, summary

    options = _options(workload, inputs, variants, schemes, budget_s, max_batch_size, seed, fresh)
    with progress() as report:
        advice = recommend(model, output, options, is_verified=is_verified, now=now, report=report, rules_folder=rules)
    click.echo(summary(advice))
    if is_verified and isinstance(advice, Advice):
        click.echo(load_tests(advice))
    click.echo(f"report: {output / 'report.html'}")
    return int(advice.recommended is None)


@cli.command()
@click.argument("workload", type=PATH)
@click.option("--format", "format_", type=click.Choice(("text", *FORMATS)), default="text", show_default=True)
@click.option("-o", "--output", type=PATH, help="Write it there instead of to standard output.")
@RULES
@NOW
def classify(workload: Path, format_: str, output: Path | None, rules: Path | None, now: str) -> None:
    """Say whether WORKLOAD is dominated by serving or by training, and what should be done about it. No model file is needed.

    \b
    advisor classify workload.yaml
    """
    from advisor.steps.classify import classify_file
    from advisor.tell.life import rendered

    _put(rendered(classify_file(workload, rules, now=now), format_), output)


@cli.command()
@click.argument("portfolio", type=PATH)
@click.option("--format", "format_", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option("-o", "--output", type=PATH, help="Write it there instead of to standard output.")
@NOW
def portfolio(portfolio: Path, format_: str, output: Path | None, now: str) -> None:
    """Say which levers to pull for which workload of PORTFOLIO within one budget.

    \b
    advisor portfolio portfolio.yaml
    """
    from advisor.steps.classify import plan_portfolio
    from advisor.tell.life import rendered_plan

    _put(rendered_plan(plan_portfolio(portfolio, now=now), format_), output)


@cli.command()
@click.argument("rule")
@RULES
def explain(rule: str, rules: Path | None) -> None:
    """Print RULE as prose: when it fires, what it says then, and where it is from.

    \b
    advisor explain inference-dominates
    """
    from advisor.steps.classify import rule_explained
    from advisor.tell.life_text import explanation_text

    click.echo(explanation_text(rule_explained(rule, rules)), nl=False)


@cli.group("rules")
def own_rules() -> None:
    """Rules of your own.

    \b
    advisor rules test FOLDER
    """


@own_rules.command()
@click.argument("folder", type=PATH)
def test(folder: Path) -> None:
    """Check every rule in FOLDER: its condition, its reason, and that its examples do what they say.

    \b
    advisor rules test FOLDER
    """
    from advisor.steps.classify import checked_rules

    for rule in checked_rules(folder):
        click.echo(f"{rule.id}: fires and stays silent as its examples say")


def _put(text: str, output: Path | None) -> None:
    from advisor.files.records import write_atomically

    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())


@cli.group()
def hardware() -> None:
    """Say what hardware is known, what it costs, and where the figures come from.

    \b
    advisor hardware list
    advisor hardware show l4
    """


@hardware.command("list")
def list_hardware() -> None:
    """List the devices and machines of the catalogue, with their cheapest list price."""
    from advisor.files.catalog import read_hardware
    from advisor.files.places import all_prices
    from advisor.tell.hardware import listing

    click.echo(listing(tuple(read_hardware().values()), all_prices(None, None)))


@hardware.command("show")
@click.argument("name", metavar="ID")
@NOW
def show_hardware(name: str, now: str) -> None:
    """Show all that is known of ID, each figure with its source."""
    from advisor.files.catalog import is_stale, read_device
    from advisor.files.places import all_prices
    from advisor.tell.hardware import details

    found, prices = read_device(name), all_prices(None, None)
    click.echo(details(found, prices, {price.date for price in prices if is_stale(price.date, now)}))


@hardware.command("prices")
@click.option("--import", "file", type=PATH, help="Take over the prices of this file into your price book.")
@click.option(
    "--layout",
    type=click.Choice(("own", "karpenter", "skypilot", "gpuhunt", "neuron", "litellm", "openrouter")),
    default="own",
    show_default=True,
    help="Whose table it is.",
)
@click.option("--date", "day", help="The day of the prices, where the table does not tell it; by default today.")
@click.option("-o", "--output", type=PATH, help="The price book; by default yours, which every command reads.")
@NOW
def show_prices(file: Path | None, layout: str, day: str | None, output: Path | None, now: str) -> None:
    """Show the prices that are known, or take over others with --import.

    \b
    advisor hardware prices --import mine.csv
    """
    from advisor.files.catalog import is_stale
    from advisor.files.places import all_prices
    from advisor.files.price_book import import_any
    from advisor.tell.hardware import imported, price_table

    if file is None:
        prices = all_prices(None, None)
        click.echo(price_table(prices, {price.date for price in prices if is_stale(price.date, now)}))
        return
    click.echo(imported(*import_any(file, layout=layout, date=day or now[:10], into=output)))


def _options(
    workload: Path | None,
    inputs: Path | None,
    variants: tuple[Path, ...],
    schemes: tuple[str, ...],
    budget_s: float,
    max_batch_size: int,
    seed: int,
    fresh: bool,
    hardware: str = "local",
) -> "ProfileOptions":
    from advisor.steps.profile import ProfileOptions

    return ProfileOptions(
        workload=workload,
        inputs=inputs,
        variants=variants,
        schemes=schemes,
        budget_s=budget_s,
        max_batch_size=max_batch_size,
        seed=seed,
        fresh=fresh,
        hardware=hardware,
    )


def main() -> None:
    """Run the command line and exit: 0 advice found, 1 nothing meets the target, 2 the input is wrong, 130 interrupted."""
    try:
        status = cli(prog_name="advisor", standalone_mode=False) or 0
    except AdvisorError as error:
        _fail(error.fault, error.hint)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "advisor"
        _fail(error.format_message(), f"see `{command} --help`")
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what was measured is kept; the same command goes on from there", err=True)
        sys.exit(130)
    except SystemExit as leaving:
        # click leaves with 1 when the reader of our output has gone, as `head` does; here 1 means that nothing meets the target.
        sys.exit(141 if leaving.code == 1 else leaving.code)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _fail(f"{what}{error.strerror}", "check the path, your permissions and the space on the disk")
    sys.exit(status)


def _fail(fault: str, hint: str) -> None:
    # One line each, whatever names and other people's messages hold.
    click.echo(f"error: {' '.join(fault.split())}", err=True)
    click.echo(f"hint: {' '.join(hint.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
