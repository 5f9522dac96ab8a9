"""The commands around a pipeline: traces of other tools, schemas, tables. Parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import OUTPUT, PATH, put_kind, tell_first


@click.command()
@click.argument("file", type=PATH)
@click.option(
    "--from",
    "source",
    type=click.Choice(("csv", "nginx", "k6", "locust", "vllm")),
    required=True,
    help="What wrote it: a table of requests, an access log of nginx, or a load generator.",
)
@click.option(
    "--only", metavar="TEXT", help="Take only lines that contain this, such as a path; of locust the entry of this name."
)
@OUTPUT
def trace(file: Path, source: str, only: str | None, output: Path | None) -> None:
    """Write the requests recorded in FILE as a CSV that traffic.trace of the workload takes. What was left out is said.

    \b
    advisor trace access.log --from nginx --only /v1/embed -o trace.csv
    """
    from advisor.steps.pipeline.recording import recorded

    made = recorded(file, source, only=only)  # type: ignore[arg-type]  # one of the choices
    tell_first(made.notes)
    put_kind(made.text, output, made.kind, inputs=(file,))


@click.command()
@click.argument("kind", required=False)
def schema(kind: str | None) -> None:
    """Print the JSON Schema of a KIND of file, for editors and pipelines; without KIND, list them.

    \b
    advisor schema workload > workload.schema.json
    """
    from advisor.steps.pipeline.schemas import listing, schema_of

    if kind is None:
        click.echo(listing(), nl=False)
        return
    import json

    click.echo(json.dumps(schema_of(kind), indent=1))


@click.command()
@click.argument("file", type=PATH)
@OUTPUT
def table(file: Path, output: Path | None) -> None:
    """Write FILE as CSV: of advice every configuration that it names, of a profile every measured point.

    \b
    advisor table advice/advice.json -o frontier.csv
    """
    from advisor.disk.kinds import table as kind_of
    from advisor.steps.pipeline.reading import any_document
    from advisor.tell.table import columns_of
    from advisor.tell.table import table as as_table

    text = as_table(any_document(file))
    put_kind(text, output, kind_of("table", columns_of(text)), inputs=(file,))
