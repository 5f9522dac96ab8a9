"""The command of servers: parse, call one function, print."""

from pathlib import Path

import click

from advisor.inert.text import inert
from advisor.options import PATH

# As in advisor.tell.deploy.targets, which help does not wait for; a test holds the two to each other.
SERVERS = ("ort", "triton", "kserve", "bentoml", "ray-serve", "vllm", "kubernetes")


@click.command()
@click.argument("advice", type=PATH)
@click.option("--to", "target", type=click.Choice(SERVERS), required=True, help="The server to export to.")
@click.option("-o", "--output", type=PATH, required=True, help="The folder for its files.")
@click.option("--most-likely", is_flag=True, help="Where the answer is not known well enough, export what is most likely.")
def export(advice: Path, target: str, output: Path, most_likely: bool) -> None:
    """Write what ADVICE recommends as files that a server starts with, the model's file among them.

    \b
    advisor export advice/advice.json --to triton -o triton
    """
    from advisor.steps.deploy.export import export

    made = export(advice, target, output, most_likely=most_likely)
    click.echo(f"{target}: {inert(made.variant)}, {len(made.files)} files; how to start it: {inert(str(output / 'README.md'))}")
