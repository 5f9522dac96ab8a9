"""The commands around what others share, and what production says: parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import NOW, PATH, duration, format_option, tell_one

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
