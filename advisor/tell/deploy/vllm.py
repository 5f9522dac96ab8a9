"""The command that starts one replica of a language model in vLLM."""

import shlex

from advisor.errors import InputError
from advisor.schema.language import LanguageAdvice
from advisor.tell.deploy.escapes import remark, word

SERVER = ("python", "-m", "vllm.entrypoints.openai.api_server")


def arguments(advice: LanguageAdvice, *, most_likely: bool) -> tuple[str, ...]:
    """Return the arguments, each a word; raise InputError where nothing is recommended, unless the most likely is asked for."""
    if advice.recommended is None and advice.outcome == "infeasible":
        binds = advice.binding_constraint or "no single constraint could be identified"
        raise InputError(f"nothing keeps the targets, so there is nothing to serve ({binds})", hint="see `advisor report`")
    if not advice.engine_arguments:
        raise InputError(
            "the answer is not known, and most likely nothing keeps the targets", hint="settle it as the report says"
        )
    if advice.recommended is None and not most_likely:
        raise InputError(
            "the answer is not known well enough, so nothing is recommended",
            hint="settle it as the report says, or export what is most likely with --most-likely",
        )
    try:
        return tuple(part for argument in advice.engine_arguments for part in shlex.split(argument))
    except ValueError as error:
        raise InputError("its engine_arguments are no words of a shell", hint="run `advisor advise` again") from error


def script(advice: LanguageAdvice, words: tuple[str, ...]) -> str:
    """Return the script that starts one replica; what is given to it is handed on."""
    lines: list[str] = []
    for part in words:
        if part.startswith("--") or not lines:
            lines.append(word(part))
        else:
            lines[-1] += f" {word(part)}"
    told = f"# serving-advisor {remark(advice.advisor_version)}, advice of {remark(advice.created)}"
    return "\n".join(
        ["#!/usr/bin/env bash", told, f"exec {' '.join(SERVER)} \\", *(f"  {line} \\" for line in lines), '  "$@"', ""]
    )
