"""The reference of the command line, written out of the commands themselves: cog puts it into cli.md, a test compares the two.

cog -I docs -r docs/cli.md
"""

import inspect
from collections.abc import Iterator

import click

from advisor.cli import cli

HEADING = {1: "##", 2: "###"}


def reference() -> str:
    """Return a section for each command, in alphabetical order: what it does, how it is called, arguments and options."""
    return "\n".join(_of_commands(cli, "advisor", 1))


def _of_commands(group: click.Group, path: str, depth: int) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        called = f"{path} {name}"
        yield from _section(command, called, depth)
        if isinstance(command, click.Group):
            yield from _of_commands(command, called, depth + 1)


def _section(command: click.Command, called: str, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=called)
    yield from ("", f"{HEADING[depth]} `{called}`", "")
    yield from _described(inspect.cleandoc(command.help or ""))
    yield from ("```text", " ".join([called, *command.collect_usage_pieces(context)]), "```", "")
    options = [entry for entry in command.params if isinstance(entry, click.Option) and entry.name != "help" and not entry.hidden]
    if not options:
        return
    yield from ("| option | meaning |", "|---|---|")
    for option in options:
        yield _row(option, context)
    yield ""


def _described(text: str) -> Iterator[str]:
    """Return the paragraphs of a help text; one that keeps its lines (`\\b`) holds the commands of an example."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip().splitlines()
        if lines and lines[0] == "\b":
            # Two spaces or more lead to a remark, which a shell takes for one behind a #.
            shown = (line.partition("  ") for line in lines[1:])
            yield from ("```sh", *(f"{command}  # {said.strip()}" if said else command for command, _, said in shown), "```", "")
        else:
            yield from (_cell(" ".join(lines)), "")


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None, "hidden options are left out"
    names, said = record
    # Not between backticks: Markdown differs in what a | means there, in the cell of a table.
    return f"| <code>{_cell(names)}</code> | {_cell(said) or 'where to write'} |"


def _cell(text: str) -> str:
    """Return text as it stands in a cell of a table: on one line, with nothing in it that Markdown reads."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "&#124;").replace("*", "&#42;")
