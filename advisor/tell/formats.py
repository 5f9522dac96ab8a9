"""Which formats there are: each folder of templates is one, found without loading the template engine."""

from functools import cache
from pathlib import Path

import advisor.templates
from advisor.errors import InputError

# Printed without the template engine: a terminal waits for the one, a pipeline for the other, and loading the engine takes a third of what
# `advisor classify` may take.
BUILT_IN = ("text", "json")
KINDS = {
    "advice": "advice",
    "offline": "advice on a batch job",
    "generation": "advice on a generative model",
    "language": "advice on a language model elsewhere",
    "classification": "a classification",
    "portfolio": "the plan of a portfolio",
    "overview": "an overview of many",
}


def formats(*kinds: str) -> tuple[str, ...]:
    """Return the formats in which a document of at least one of the kinds can be printed."""
    return (*(name for name, entries in _folders().items() if entries.keys() & set(kinds)), *BUILT_IN)


def template(format_: str, kind: str) -> Path:
    """Return the template that lays out a document of that kind: FORMAT/KIND.SUFFIX.j2.

    The suffix is that of the files it makes, and decides how the text is escaped.
    """
    entries = _folders().get(format_, {})
    if kind not in entries:
        raise InputError(f"there is no {format_} of {KINDS[kind]}", hint=f"choose one of: {', '.join(formats(kind))}")
    return entries[kind]


def templates_of(kind: str) -> tuple[Path, ...]:
    """Return the template of every format that has one for this kind of document."""
    return tuple(entries[kind] for entries in _folders().values() if kind in entries)


def suffix(path: Path) -> str:
    """Return what a file made with the template ends in, without its dot: "html" of advice.html.j2."""
    return path.with_suffix("").suffix.removeprefix(".")


@cache
def _folders() -> dict[str, dict[str, Path]]:
    """Return format -> kind of document -> template."""
    found = {
        folder.name: {path.name.partition(".")[0]: path for path in sorted(folder.glob("*.*.j2")) if path.name[0] != "_"}
        for root in advisor.templates.__path__
        for folder in sorted(Path(root).iterdir())
        if folder.is_dir()
    }
    return {name: entries for name, entries in found.items() if entries}
