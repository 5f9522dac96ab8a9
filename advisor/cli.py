"""The command line: parse, call one function, print. No logic."""

from pathlib import Path

import click

from advisor import __version__
from advisor.commands.distill import distill
from advisor.commands.export import export
from advisor.commands.gate import compare, gate
from advisor.commands.hardware import hardware
from advisor.commands.many import advise_many, portfolio
from advisor.commands.pipeline import schema, table, trace
from advisor.commands.rules import explain, own_rules
from advisor.commands.store import check, store
from advisor.commands.sweep import sweep
from advisor.console import run
from advisor.inert.text import inert
from advisor.options import (
    HELP_WITH_KEYS,
    INPUTS,
    MAX_UNCERTAINTY,
    NOW,
    OUTPUT,
    PATH,
    RULES,
    STANDARD_OUTPUT,
    STORE,
    USUAL,
    WORKLOAD,
    Number,
    confirmed,
    duration,
    format_option,
    profile_options,
    put,
    tell_first,
    tell_one,
)
from advisor.schema.options import USUAL_LOAD_TEST_S, ProfileOptions
from advisor.tell.formats import formats


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="advisor")
def cli() -> None:
    """Measure a model, find the cheapest way to serve it within its SLO, and report how far each figure can be off.

    \b
    advisor init      MODEL                      write a workload file to start from
    advisor recommend MODEL -w workload.yaml     all of it, into ./advice
    advisor profile   MODEL                      measure: slow, once, on the target machine
    advisor merge     A.json B.json -o C.json    add measurements of other machines
    advisor advise    profile.json -w W.yaml     decide: repeatable, about a second
    advisor report    advice.json                report: HTML, Markdown, text or JSON
    advisor verify    advice.json                load-test the recommendation
    advisor export    advice.json --to triton    files that a server starts with, the model among them
    advisor distill   MODEL --student ID         make a smaller model that learns from this one
    advisor classify  W.yaml                     serving or training, without a model file
    advisor portfolio P.yaml                     many workloads, one budget
    advisor sweep     S.yaml                     many models on many machines, one folder
    advisor compare   old.json new.json          two files of advice and a policy, for a pipeline
    advisor check     advice.json --metrics M    what production says now beside what was promised
    advisor store     list URL                   profiles and advice that others share

    \b
    Exit status: 0 advice found, 1 nothing meets the target (shown), 2 the input is wrong,
    3 inconclusive (the answer is not known well enough), 4 a load test missed the target,
    5 a load test was not valid, `check` has 6 advise again, 7 measure again, 8 prices are too old,
    70 a fault of advisor itself, 74 standard output is full, 130 interrupted (143 SIGTERM,
    129 SIGHUP), 141 nobody reads the output.
    """


@cli.command()
@click.argument("model", type=PATH)
@INPUTS
@format_option("text", "json", default="text")
def inspect(model: Path, inputs: Path | None, format_: str) -> None:
    """Describe MODEL: family, weights, FLOPs, inputs, and whether it can be batched; of a decoder layers, context and KV cache.

    \b
    advisor inspect model.onnx
    advisor inspect config.json                  a language model without its weights
    """
    from advisor.steps.language.dispatch import inspect
    from advisor.tell.facts import render_facts

    click.echo(render_facts(inspect(model, inputs), format_), nl=False)


@cli.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, default=Path("workload.yaml"), show_default=True, help="The workload file to write.")
def init(model: Path, output: Path) -> None:
    """Look at MODEL and write a workload file with what has to be filled in, and a script that makes the data for its quality.

    \b
    advisor init model.onnx -o workload.yaml
    """
    from advisor.steps.init import init
    from advisor.tell.facts import init_lines

    written = init(model, output)
    click.echo(init_lines(written.workload, written.script, model), nl=False)


@cli.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, default=Path("profile.json"), show_default=True)
@click.option(
    "-w", "--workload", type=PATH, help="Measure what this workload needs: its sequence lengths, its SLO, its quality data."
)
@profile_options
@click.option("--hardware", default=USUAL.hardware, show_default=True, help="The catalog's id of this machine.")
@NOW
def profile(model: Path, output: Path, options: ProfileOptions, now: str) -> None:
    """Measure MODEL and its variants on this machine. Ctrl-C keeps what was measured; the same command resumes.

    \b
    advisor profile model.onnx -w workload.yaml -o profile.json
    """
    from advisor.files.workload import notes_on
    from advisor.progress import progress
    from advisor.steps.examples import consented
    from advisor.steps.profile import profile
    from advisor.tell.facts import profile_line

    tell_first(notes_on(options.workload))
    options = consented(options, confirmed)
    with progress() as report:
        measured = profile(model, output, options, now=now, report=report)
    click.echo(profile_line(measured, output), nl=False)


@cli.command()
@click.argument("profile", type=PATH)
@click.argument("others", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, required=True, help="Write the merged profile there.")
def merge(profile: Path, others: tuple[Path, ...], output: Path) -> None:
    """Add to PROFILE the measurements of OTHERS: profiles of the same model from other machines.

    \b
    advisor merge here.json there.json -o both.json
    """
    from advisor.steps.merge import merge
    from advisor.tell.facts import profile_line

    click.echo(profile_line(merge(profile, others, output), output), nl=False)


@cli.command()
@click.argument("profile", type=PATH)
@WORKLOAD
@click.option(
    "-o", "--output", type=PATH, help="Write the advice there; - for standard output. Without it, only the summary is printed."
)
@click.option(
    "--confidence",
    type=Number(min=0.95, max=0.999),
    default=0.95,
    show_default=True,
    help="Confidence of the service times at which the target has to hold; 0.95 is the upper end of the reported intervals.",
)
@click.option(
    "--time-limit",
    "limit_s",
    type=str,
    metavar="TIME",
    callback=duration(0.0),
    help="Stop the search after so many seconds and report how much cheaper the best could still be.",
)
@MAX_UNCERTAINTY
@RULES
@STORE
@NOW
def advise(
    profile: Path,
    workload: Path,
    output: Path | None,
    confidence: float,
    limit_s: float | None,
    max_uncertainty: float,
    rules: Path | None,
    store: str | None,
    now: str,
) -> int:
    """Find the cheapest configuration in PROFILE that keeps the workload's SLO and quality floor.

    \b
    advisor advise profile.json -w workload.yaml -o advice.json
    advisor advise config.json -w workload.yaml  a language model without its weights, on the hardware that is allowed
    """
    from advisor.files.records import to_json
    from advisor.files.workload import notes_on
    from advisor.steps.advise import advise_on, alarm, exit_status
    from advisor.tell.summary import questions, summary

    tell_first(notes_on(workload))
    advice = advise_on(
        profile,
        workload,
        now=now,
        confidence=confidence,
        max_uncertainty=max_uncertainty,
        is_over=alarm(limit_s),
        rules_folder=rules,
        store=store,
        say=tell_one,
    )
    if output is not None:
        put(to_json(advice).decode(), output, of=advice, format_="json", inputs=(profile, workload))
    tell_first(questions(advice))
    if output != STANDARD_OUTPUT:
        click.echo(summary(advice))
    return exit_status(advice)


@cli.command()
@click.argument("advice", type=PATH)
@format_option(*formats("advice", "offline", "generation", "language"), default="md")
@OUTPUT
def report(advice: Path, format_: str, output: Path | None) -> None:
    """Render ADVICE as a report.

    \b
    advisor report advice.json --format html -o report.html
    """
    from advisor.steps.advise import read_any_advice
    from advisor.tell.report import render

    document = read_any_advice(advice)
    put(render(document, format_), output, of=document, format_=format_, inputs=(advice,))


@cli.command()
@click.argument("advice", type=PATH)
@click.option("-w", "--workload", type=PATH, help="The workload file; needed only if its traffic is a trace.")
@click.option(
    "--seconds",
    "wanted_s",
    type=str,
    metavar="TIME",
    callback=duration(1.0),
    help=f"Length of each load test: {USUAL_LOAD_TEST_S:g} s, or of a generative model what 100 requests take, 3 min at most.",
)
@RULES
@NOW
def verify(advice: Path, workload: Path | None, wanted_s: float | None, rules: Path | None, now: str) -> int:
    """Load-test what ADVICE recommends and what runs today, and compare with the prediction.

    The profile and the advice are updated with what the tests show. Exit status 4 if the target was missed, 5 if the load generator was
    late.

    \b
    advisor verify advice/advice.json
    """
    from advisor.progress import progress
    from advisor.steps.verify import exit_status, verify
    from advisor.tell.summary import full_summary

    with progress() as report:
        verified = verify(advice, workload, wanted_s=wanted_s, now=now, report=report, rules_folder=rules)
    click.echo(full_summary(verified))
    return exit_status(verified)


@cli.command()
@click.argument("model", type=PATH)
@WORKLOAD
@click.option(
    "-o", "--output", type=PATH, default=Path("advice"), show_default=True, help="The folder for profile, advice and report."
)
@click.option("--verify", "is_verified", is_flag=True, help="Then load-test it, as `advisor verify` does.")
@click.option("--mlflow", "is_logged", is_flag=True, help="Log it as a run of MLflow: MLFLOW_TRACKING_URI, else ./mlruns.")
@click.option("--quiet", is_flag=True, help="Print neither progress nor notes nor the summary.")
@format_option("text", "json", default="text")
@profile_options
@MAX_UNCERTAINTY
@RULES
@NOW
def recommend(
    model: Path,
    output: Path,
    options: ProfileOptions,
    is_verified: bool,
    is_logged: bool,
    quiet: bool,
    format_: str,
    max_uncertainty: float,
    rules: Path | None,
    now: str,
) -> int:
    """Profile MODEL, advise and report, all into one folder.

    With --format json the advice is on standard output, and nothing else; progress is on standard error.

    \b
    advisor recommend model.onnx -w workload.yaml
    advisor recommend config.json -w workload.yaml   a language model without its weights: nothing is measured
    """
    from advisor.files.records import to_json
    from advisor.files.workload import notes_on
    from advisor.progress import progress
    from advisor.steps.examples import consented
    from advisor.steps.pipeline.tracking import check_mlflow, log_run
    from advisor.steps.recommend import exit_status, left_out_of_given, recommend
    from advisor.tell.summary import full_summary, questions

    if is_logged:
        check_mlflow()
    tell_first(() if quiet else notes_on(options.workload))
    options = consented(options, confirmed)
    with progress(is_quiet=quiet) as report:
        advice = recommend(
            model,
            output,
            options,
            is_verified=is_verified,
            now=now,
            report=report,
            max_uncertainty=max_uncertainty,
            rules_folder=rules,
        )
    tell_first(() if quiet else (*questions(advice), *left_out_of_given(advice, options)))
    if format_ == "json":
        click.echo(to_json(advice).decode(), nl=False)
    elif not quiet:
        click.echo(full_summary(advice))
        click.echo(f"report: {inert(str(output / 'report.html'))}")
    if is_logged:
        logged = log_run(advice, output)
        tell_first(() if quiet else (f"run {logged.run} of {logged.store}",))
    return exit_status(advice, is_verified=is_verified)


@cli.command(add_help_option=False)
@click.argument("workload", type=PATH)
@format_option(*formats("classification"), default="text")
@OUTPUT
@click.option(
    "--profile",
    type=PATH,
    help="A profile of the model: count devices by what one of them was measured to serve within the workload's slo.",
)
@RULES
@NOW
@HELP_WITH_KEYS
def classify(workload: Path, format_: str, output: Path | None, profile: Path | None, rules: Path | None, now: str) -> None:
    """Decide whether serving or training dominates the cost of WORKLOAD, and what to do about it. Needs no model file.

    Prices: price_decline_per_year is of an API's tokens alone; rented hardware has hardware_price_decline_per_year.

    \b
    advisor classify workload.yaml
    advisor classify workload.yaml --profile profile.json
    """
    from advisor.steps.classify import classify_file
    from advisor.tell.report import render

    document = classify_file(workload, rules, now=now, profile_path=profile)
    inputs = (workload,) if profile is None else (workload, profile)
    put(render(document, format_), output, of=document, format_=format_, inputs=inputs)


for command in (
    advise_many,
    portfolio,
    compare,
    gate,
    check,
    trace,
    schema,
    table,
    distill,
    explain,
    own_rules,
    hardware,
    export,
    store,
    sweep,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit with an `ExitStatus`, or what is usual: 128 and a signal's number, 141 nobody reads the output."""
    run(cli)


if __name__ == "__main__":
    main()
