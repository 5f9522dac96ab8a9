"""The commands of the catalog: parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import NOW, PATH


@click.group()
def hardware() -> None:
    """Show the hardware of the catalog, its prices, and the source of each figure.

    \b
    advisor hardware list
    advisor hardware show l4
    """


@hardware.command("list")
def list_hardware() -> None:
    """List the devices and machines of the catalog, with their cheapest list price."""
    from advisor.files.catalog import read_hardware
    from advisor.files.places import all_prices
    from advisor.tell.hardware import listing

    click.echo(listing(tuple(read_hardware().values()), all_prices(None, None)))


@hardware.command("show")
@click.argument("name", metavar="ID")
@NOW
def show_hardware(name: str, now: str) -> None:
    """Show every figure of ID with its source."""
    from advisor.files.catalog import read_device, stale_days
    from advisor.files.places import all_prices
    from advisor.tell.hardware import details

    prices = all_prices(None, None)
    click.echo(details(read_device(name), prices, stale_days(prices, now)))


@hardware.command("prices")
@click.option("--import", "file", type=PATH, help="Import the prices of this file into your price book.")
@click.option(
    "--layout",
    type=click.Choice(("own", "karpenter", "skypilot", "gpuhunt", "neuron", "litellm", "openrouter")),
    default="own",
    show_default=True,
    help="The layout of that file.",
)
@click.option("--date", "day", help="The day of the prices, if the table has no dates; by default today.")
@click.option("-o", "--output", type=PATH, help="The price book to write; by default your own, which every command reads.")
@NOW
def show_prices(file: Path | None, layout: str, day: str | None, output: Path | None, now: str) -> None:
    """Show all known prices, or import others with --import.

    \b
    advisor hardware prices --import mine.csv
    """
    from advisor.files.books.price_book import import_any
    from advisor.files.catalog import stale_days
    from advisor.files.places import all_prices
    from advisor.tell.hardware import imported, price_table

    if file is not None:
        click.echo(imported(*import_any(file, layout=layout, date=day or now[:10], into=output)))
        return
    prices = all_prices(None, None)
    click.echo(price_table(prices, stale_days(prices, now)))
