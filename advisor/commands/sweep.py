"""Many models on many machines. Parse, call one step, print."""

from pathlib import Path

import click

from advisor.options import MAX_UNCERTAINTY, NOW, PATH, RULES, duration, format_option, tell_first
from advisor.schema.options import SweepOptions

USUAL = SweepOptions()


@click.command()
@click.argument("sweep", type=PATH)
@click.option(
    "-o", "--output", metavar="DIR|URL", default="sweep", show_default=True, help="The folder, or a store as --store has it."
)
@click.option("--store", metavar="URL", help="A shared store: what anybody has measured of the same is not measured again.")
@click.option("--ray", metavar="ADDRESS|auto|local", help="Measure on a Ray cluster; without it, in turn on this machine.")
@click.option("--on", metavar="KIND", help="The kind of the sweep's that this machine is, where it names several.")
@click.option(
    "--patience",
    "patience_s",
    type=str,
    metavar="TIME",
    callback=duration(0.0),
    default=USUAL.patience_s,
    show_default=True,
    help="Of a kind of which the cluster has no machine: how long to wait for one.",
)
@click.option("--fresh", is_flag=True, help="Measure again what was measured before.")
@click.option("--quiet", is_flag=True, help="Print neither progress nor the summary; what failed is still told.")
@format_option("text", "json", default="text")
@MAX_UNCERTAINTY
@RULES
@NOW
def sweep(
    sweep: Path,
    output: str,
    store: str | None,
    ray: str | None,
    on: str | None,
    patience_s: float,
    fresh: bool,
    quiet: bool,
    format_: str,
    max_uncertainty: float,
    rules: Path | None,
    now: str,
) -> int:
    """Measure and advise on the models of SWEEP, on the machines that it names, all into one folder.

    Ctrl-C keeps what was measured; the same command goes on. Machines of a cluster bring the resource advisor-KIND (docs/cluster.md).

    \b
    advisor sweep sweep.yaml -o shop
    advisor sweep sweep.yaml -o shop --ray auto --store s3://bucket/advisor
    """
    from advisor.files.records import to_json
    from advisor.progress import progress
    from advisor.steps.sweep.sweep import exit_status, folder_and_store
    from advisor.steps.sweep.sweep import sweep as run
    from advisor.tell.facts import sweep_failures, sweep_lines

    options = SweepOptions(store, ray, on, patience_s, fresh, max_uncertainty, rules)
    folder, options = folder_and_store(output, sweep, options)
    with progress(is_quiet=quiet) as report:
        swept = run(sweep, folder, options, now=now, report=report)
    if format_ == "json":
        click.echo(to_json(swept.record).decode(), nl=False)
    elif not quiet:
        click.echo(sweep_lines(swept.record, swept.overview, folder), nl=False)
    else:
        tell_first(sweep_failures(swept.record, swept.overview))
    return exit_status(swept)
