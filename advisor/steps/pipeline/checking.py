"""Advice and the metrics of production -> whether it still holds: here files are read; nothing is decided."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from advisor.decide.comparison.production import Running, check, instances_of, quantile_of
from advisor.errors import ExitStatus, InputError
from advisor.files.metrics.known_names import KNOWN, Known, named_by_user
from advisor.files.metrics.observed import Sources, observe
from advisor.schema.gate.production import ProductionCheck, ProductionFigure
from advisor.schema.language import LanguageModelFacts
from advisor.steps.advise import read_any_advice
from advisor.units import parse_moment

DIGEST = re.compile(r"[0-9a-f]{64}")
EXPRESSION = re.compile(rf"({'|'.join(KNOWN)})=(.+)", re.DOTALL)
VALID, FIGURE = "valid", "--metric"
ONCE = "give it once"


class Given(NamedTuple):
    """What the options of `advisor check` say, as they were typed."""

    metrics: tuple[str, ...]
    names: tuple[str, ...]  # FIGURE=NAME
    labels: tuple[str, ...]  # NAME=VALUE
    every_s: float | None
    replicas: int | None
    model: str | None
    runtimes: tuple[str, ...]  # VERSION, or NAME=VERSION


def checked(advice_path: Path, given: Given, *, margin: float, now: str) -> ProductionCheck:
    """Return how the advice in a file stands to what production says."""
    now = parse_moment(now)
    advice = read_any_advice(advice_path)
    sources = _sources(given)
    runtimes = _by_name(
        [_pair(text, "--runtime-version") if "=" in text else ("", text) for text in given.runtimes], "--runtime-version"
    )
    try:
        seen = observe(sources, quantile_of(advice), instances_of(advice, given.replicas))
        models = seen.models | ({_digest(given.model)} if given.model is not None else set())
        said = {name: version for text in seen.runtimes for name, version in [text.split("=", 1) if "=" in text else ("", text)]}
        running = Running(seen.figures, seen.span_s, given.replicas, models, said | runtimes)
        return check(advice, running, margin=margin, now=now)
    except InputError as error:
        if error.fault.startswith("advice ") or error.fault.startswith("the advice "):
            raise InputError(f"{advice_path}: {error.fault}", hint=error.hint) from error
        raise


def exit_status(document: ProductionCheck) -> ExitStatus:
    """Return what a check means to whatever watches production."""
    return {
        "valid": ExitStatus.ADVICE,
        "cannot be told": ExitStatus.INCONCLUSIVE,
        "expired": ExitStatus.EXPIRED,
        "re-advise": ExitStatus.ADVISE_AGAIN,
        "re-measure": ExitStatus.MEASURE_AGAIN,
    }[document.standing]


def _sources(given: Given) -> Sources:
    expressions: dict[ProductionFigure, str] = {}
    plain = []
    for text in given.metrics:
        named = EXPRESSION.fullmatch(text)
        if named is None:
            plain.append(text)
        else:
            if named[1] in expressions:
                raise InputError(f"--metrics: {named[1]}= is given twice", hint=ONCE)
            expressions[named[1]] = named[2]  # type: ignore[index]  # one of the figures
    if len(plain) > 2:
        raise InputError(f"--metrics: {len(plain)} scrapes", hint="give one, or two with time in between, the older first")
    return Sources(
        tuple(plain),
        expressions,
        _names(given.names),
        _by_name([_pair(text, "--label") for text in given.labels], "--label"),
        given.every_s,
    )


def _names(texts: tuple[str, ...]) -> Mapping[ProductionFigure, Known]:
    found: dict[ProductionFigure, Known] = {}
    for text in texts:
        figure, name = _pair(text, FIGURE)
        if figure in found:
            raise InputError(f"{FIGURE}: {figure}= is given twice", hint=ONCE)
        if figure not in KNOWN:
            raise InputError(f"{FIGURE}: there is no figure {figure!a}"[:200], hint=f"figures are: {', '.join(KNOWN)}")
        found[figure] = named_by_user(figure, name)
    return found


def _by_name(pairs: list[tuple[str, str]], option: str) -> dict[str, str]:
    """Return pairs by their names; raise InputError for a name that is there twice, of which one would be passed over."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{option}: {f'{name}=' if name else 'it'} is given twice"[:200], hint=ONCE)
        found[name] = value
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InputError(f"{option}: {text!a}"[:200], hint="write it as NAME=VALUE")
    return name, value


def _digest(model: str) -> str:
    """Return the digest of a model: itself, or that of the file or checkpoint that is named."""
    if DIGEST.fullmatch(model):
        return model
    from advisor.steps.language.dispatch import inspect

    facts = inspect(Path(model), None)
    return facts.model.sha256 if isinstance(facts, LanguageModelFacts) else facts.sha256
