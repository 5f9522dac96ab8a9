"""The commands around what others share, and what production says: parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import NOW, PATH, Number, duration, format_option, tell_first, tell_one
from advisor.schema.options import USUAL_MARGIN

KINDS = ("profile", "variant", "advice")
KIND = click.option("--kind", type=click.Choice(KINDS), help="Only entries of this kind.")
URL = click.argument("url")


@click.group()
def store() -> None:
    """List, get and remove what a store holds: a folder, or s3://, gs://, az://bucket/prefix.

    \b
    advisor store list s3://team/advisor
    """


@store.command("list")
@URL
@KIND
@format_option("text", "json", default="text")
def list_(url: str, kind: str | None, format_: str) -> None:
    """List the entries of the store at URL, the youngest first.

    \b
    advisor store list ./store --kind profile
    """
    from advisor.steps.shared.listing import listed
    from advisor.tell.terminal.store import render_entries

    click.echo(render_entries(listed(url, kind, tell_one), format_), nl=False)  # type: ignore[arg-type]  # one of the choices


@store.command()
@URL
@click.argument("key")
@click.option("-o", "--output", type=PATH, default=Path(), help="The folder to write into; by default the working folder.")
def get(url: str, key: str, output: Path) -> None:
    """Write the files of the entry KEY, the first digits of its digest, into a folder. Nothing is overwritten.

    \b
    advisor store get ./store 3f2a9c01 -o fetched
    """
    from advisor.steps.shared.listing import got
    from advisor.tell.terminal.store import entry_line

    click.echo(entry_line(got(url, key, output, tell_one), str(output)), nl=False)


@store.command()
@URL
@click.option(
    "--older-than",
    "older_than_s",
    type=str,
    metavar="TIME",
    callback=duration(0.0),
    required=True,
    help="Remove entries that were made longer ago: 30d, 12h, 90 min.",
)
@KIND
@NOW
def rm(url: str, older_than_s: float, kind: str | None, now: str) -> None:
    """Remove old entries, and the files that no entry names any more. Files younger than a day stay: somebody may be writing.

    \b
    advisor store rm ./store --older-than 30d
    """
    from advisor.steps.shared.listing import removed
    from advisor.tell.terminal.store import removed_line

    gone = removed(url, older_than_s, kind, now=now, warn=tell_one)  # type: ignore[arg-type]  # one of the choices
    click.echo(removed_line(*gone), nl=False)


@click.command()
@click.argument("advice", type=PATH)
@click.option(
    "--metrics",
    multiple=True,
    required=True,
    metavar="[FIGURE=]FILE|URL",
    help="What a server has under /metrics, or the JSON of a query to Prometheus; two scrapes, the older first, give a rate. "
    "FIGURE=: the values of an expression, of rate, latency, ttft, tpot or utilization.",
)
@click.option(
    "--metric", "names", multiple=True, metavar="FIGURE=NAME", help="What a figure is called; the usual names are known."
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only series with this label, such as a handler.")
@click.option(
    "--every",
    "every_s",
    type=str,
    metavar="TIME",
    callback=duration(1.0),
    help="The time between two scrapes; of one address, to wait and fetch it again.",
)
@click.option("--replicas", type=click.IntRange(1), help="How many replicas the metrics are of; by default all.")
@click.option(
    "--margin",
    type=Number(min=0, max=10),
    default=USUAL_MARGIN,
    show_default=True,
    help="How far rate, latency and utilization may be off, as a fraction.",
)
@click.option("--model", metavar="PATH|SHA256", help="What is served now: is it still what was measured?")
@click.option(
    "--runtime-version", "runtimes", multiple=True, metavar="[NAME=]VERSION", help="Of what serves it: onnxruntime=1.31.1."
)
@format_option("text", "json", default="text")
@NOW
def check(
    advice: Path,
    metrics: tuple[str, ...],
    names: tuple[str, ...],
    labels: tuple[str, ...],
    every_s: float | None,
    replicas: int | None,
    margin: float,
    model: str | None,
    runtimes: tuple[str, ...],
    format_: str,
    now: str,
) -> int:
    """Hold ADVICE against what production says now: does it still hold?

    Exit status 0 if it does, 3 if the metrics do not tell, 6 if there is other traffic than it is for, 7 if the model is to be measured
    again, 8 if prices are too old.

    \b
    advisor check advice/advice.json --metrics http://localhost:8000/metrics --every 30s
    """
    from advisor.steps.pipeline.checking import Given, checked, exit_status
    from advisor.tell.terminal.check import render_check

    given = Given(metrics, names, labels, every_s, replicas, model, runtimes)
    document = checked(advice, given, margin=margin, now=now)
    click.echo(render_check(document, format_), nl=False)
    tell_first(document.notes)
    return exit_status(document)
