"""The commands of a pipeline that hold advice against older advice and a policy: parse, call one function, print."""

from pathlib import Path

import click

from advisor.options import NOW, OUTPUT, PATH, format_option, put
from advisor.tell.formats import formats

POLICY = click.option(
    "--policy",
    type=PATH,
    help="Your limits (YAML): how much worse each figure may be, as errors or warnings. Without it, the usual ones.",
)


@click.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@POLICY
@format_option(*formats("comparison"), default="text")
@click.option(
    "--quiet-if-same", is_flag=True, help="Print nothing where nothing differs beyond the intervals and every limit is kept."
)
@OUTPUT
@NOW
def compare(old: Path, new: Path, policy: Path | None, format_: str, quiet_if_same: bool, output: Path | None, now: str) -> int:
    """Compare two files of advice, money first. A difference inside the intervals fails nothing.

    Exit status 1 if a limit of level error is broken, 3 if that cannot be told.

    \b
    advisor compare main/advice.json advice/advice.json --format md -o comment.md
    """
    from advisor.steps.pipeline.comparing import compared, exit_status
    from advisor.tell.comparison.rendering import render

    document = compared(old, new, policy, now=now)
    if not (quiet_if_same and document.is_same):
        inputs = (old, new) if policy is None else (old, new, policy)
        put(render(document, format_), output, of=document, format_=format_, inputs=inputs)
    return exit_status(document)


@click.command()
@click.argument("advice", type=PATH)
@POLICY
@format_option(*formats("comparison"), default="text")
@OUTPUT
@NOW
def gate(advice: Path, policy: Path | None, format_: str, output: Path | None, now: str) -> int:
    """Hold ADVICE against a policy: its max and min, the SLO, and until when it is valid.

    Exit status 1 if a limit of level error is broken, 3 if that cannot be told.

    \b
    advisor gate advice/advice.json --policy policy.yaml --format junit -o gate.xml
    """
    from advisor.steps.pipeline.comparing import exit_status, gated
    from advisor.tell.comparison.rendering import render

    document = gated(advice, policy, now=now)
    inputs = (advice,) if policy is None else (advice, policy)
    put(render(document, format_), output, of=document, format_=format_, inputs=inputs)
    return exit_status(document)
