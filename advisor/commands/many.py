"""Advice on thousands of workloads at once: parse, call one function, print."""

from pathlib import Path

import click

from advisor.inert.text import inert
from advisor.options import MAX_UNCERTAINTY, NOW, OUTPUT, PATH, RULES, Number, format_option, put
from advisor.tell.formats import formats


@click.command("advise-many")
@click.argument("workloads", type=PATH)
@click.option("--profile", type=PATH, help="The profile of workloads that name none, or a config.json.")
@click.option("-o", "--output", type=PATH, required=True, help="The folder for advice, rows and the overview.")
@click.option(
    "--confidence",
    type=Number(min=0.95, max=0.999),
    default=0.95,
    show_default=True,
    help="As of `advisor advise`.",
)
@click.option("--processes", type=click.IntRange(min=1), help="How many processes work on them. [default: as many as cores]")
@click.option("--ray", metavar="ADDRESS|auto|local", help="The processors of a Ray cluster in their place.")
@click.option("--reports", is_flag=True, help="Write a report (HTML) of each beside its advice; the overview leads to them.")
@click.option("--rows-only", is_flag=True, help="Write a row of each and the overview alone: about a third quicker.")
@MAX_UNCERTAINTY
@RULES
@NOW
def advise_many(
    workloads: Path,
    profile: Path | None,
    output: Path,
    confidence: float,
    processes: int | None,
    ray: str | None,
    reports: bool,
    rows_only: bool,
    max_uncertainty: float,
    rules: Path | None,
    now: str,
) -> int:
    """Advise on all of WORKLOADS: a folder of workload files, or a .jsonl file with a line for each.

    A line is a workload, or {"id": ..., "profile": ..., "workload": a file or what would stand in it}; paths are relative to the file. What
    is wrong with one of them is in its row, and the exit status is 2. The same command again says what has changed.

    \b
    advisor advise-many services/ --profile profile.json -o advice
    advisor advise-many pairs.jsonl -o advice --reports
    """
    from advisor.progress import progress
    from advisor.steps.many.advising import Asked, advise_all, check_wanted, exit_status
    from advisor.steps.sweep.many import Settings
    from advisor.tell.report import render

    check_wanted(reports=reports, rows_only=rows_only)
    formats = ("html",) if reports else ()
    settings = Settings(now, confidence, max_uncertainty, rules, output, formats, with_advice=not rows_only)
    with progress() as report:
        overview = advise_all(Asked(workloads, profile, processes, ray), settings, report=report)
    click.echo(render(overview, "text"), nl=False)
    click.echo(f"overview: {inert(str(output / 'overview.html'))}")
    return exit_status(overview)


@click.command()
@click.argument("portfolio", type=PATH)
@format_option(*formats("portfolio"), default="text")
@OUTPUT
@NOW
def portfolio(portfolio: Path, format_: str, output: Path | None, now: str) -> None:
    """Choose the levers to pull for each workload of PORTFOLIO within one budget.

    \b
    advisor portfolio portfolio.yaml
    """
    from advisor.steps.classify import plan_portfolio
    from advisor.tell.report import render

    document = plan_portfolio(portfolio, now=now)
    put(render(document, format_), output, of=document, format_=format_, inputs=(portfolio,))
