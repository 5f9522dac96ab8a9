"""The commands of the rules: parse, call one function, print."""

from pathlib import Path

import click

from advisor.inert.text import inert
from advisor.options import NOW, PATH, RULES


@click.command()
@click.argument("rule")
@RULES
@NOW
def explain(rule: str, rules: Path | None, now: str) -> None:
    """Explain RULE: when it fires, its reason and its source.

    \b
    advisor explain inference-dominates
    """
    from advisor.steps.classify import rule_explained
    from advisor.tell.life_text import explanation_text

    click.echo(explanation_text(rule_explained(rule, rules, now=now)), nl=False)


@click.group("rules")
def own_rules() -> None:
    """Your own rules for the verdict.

    \b
    advisor rules test FOLDER
    """


@own_rules.command()
@click.argument("folder", type=PATH)
@NOW
def test(folder: Path, now: str) -> None:
    """Check every rule in FOLDER: its condition, its reason, its source, and that its examples fire or stay silent as stated.

    \b
    advisor rules test FOLDER
    """
    from advisor.steps.classify import checked_rules

    for line in checked_rules(folder, now=now):
        click.echo(inert(line))
