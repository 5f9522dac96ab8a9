"""How what is advised is served: the session to paste, and the commands that write files for a server."""

from advisor.errors import InputError
from advisor.schema.advice import Advice
from advisor.schema.record import Record
from advisor.tell.deploy import triton
from advisor.tell.deploy.served import OPENVINO, Served, served
from advisor.tell.deploy.snippet import snippet

HOW = "How to serve it"
BECAUSE = (
    "A session of each instance, as its calls were timed. The commands write all that a server starts with, the model's file too."
)
BECAUSE_ELSEWHERE = "The commands write all that a server starts with, the model's file too."
MOST_LIKELY = " --most-likely"
IN_PYTHON = ("bentoml", "ray-serve", "kubernetes")  # whatever the runtime


class ServingWords(Record, frozen=True, kw_only=True):
    """What a report says of serving; `snippet` is None where the model was not measured on the hardware that is advised."""

    how: str
    because: str
    snippet: str | None
    commands: str


def serving_words(advice: Advice) -> ServingWords | None:
    """Return the sentences and the code; None where nothing is to be served, and of advice that does not say what runs a variant."""
    prediction = advice.recommended or advice.likely
    if prediction is None:
        return None
    try:
        asked = served(advice, prediction, None)
    except InputError:
        return None
    is_here = prediction.candidate.hardware in {site.hardware for site in advice.sites}
    commands = (f"advisor export advice.json --to {name} -o {name}" for name in _servers(asked))
    return ServingWords(
        how=HOW,
        because=BECAUSE if is_here else BECAUSE_ELSEWHERE,
        snippet=snippet(asked) if is_here else None,
        commands="\n".join(f"{command}{'' if advice.recommended else MOST_LIKELY}" for command in commands),
    )


def _servers(asked: Served) -> tuple[str, ...]:
    if asked.runs_on.provider == OPENVINO:
        return IN_PYTHON
    try:
        triton.check(asked)
    except InputError:
        return ("ort", *IN_PYTHON)
    return ("ort", "triton", "kserve", *IN_PYTHON)
