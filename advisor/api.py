"""advisor from Python: the commands as functions on paths and dicts, and records that show themselves in a notebook.

    import advisor
    advice = advisor.recommend("model.onnx", workload={"name": "search", "traffic": {"requests_per_s": 40}, ...})

A workload is the path of its file, or its content; then paths in it start from the working folder. Errors carry their way out as a note.
"""

import contextlib
import html
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from advisor.disk import temporary
from advisor.errors import AdvisorError, InputError
from advisor.progress import progress as shown_progress
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice, GenerationProfile
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.options import USUAL_MAX_UNCERTAINTY, ProfileOptions
from advisor.schema.profile import Profile
from advisor.units import parse_quantity

AnyAdvice = Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice
Place = str | os.PathLike[str]
Asked = Place | Mapping[str, Any]
HEIGHT_OF_A_REPORT = "45em"


def recommend(
    model: Place,
    workload: Asked,
    output: Place = "advice",
    *,
    is_verified: bool = False,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    rules: Place | None = None,
    now: str | None = None,
    progress: bool = False,
    **options: Any,
) -> AnyAdvice:
    """Profile a model, advise and report into a folder, and return the advice; `options` are those of `ProfileOptions`."""
    from advisor.steps.recommend import recommend

    with _errors(), _file_of(workload) as path, shown_progress(is_quiet=not progress) as report:
        return recommend(
            Path(model),
            Path(output),
            _options(path, options),
            is_verified=is_verified,
            now=_moment(now),
            report=report,
            max_uncertainty=max_uncertainty,
            rules_folder=_place(rules),
        )


def profile(
    model: Place,
    workload: Asked | None = None,
    output: Place = "profile.json",
    *,
    now: str | None = None,
    progress: bool = False,
    **options: Any,
) -> Profile | GenerationProfile:
    """Measure a model and its variants on this machine, into a file, and return the profile; `options` are those of `ProfileOptions`."""
    from advisor.steps.profile import profile

    with _errors(), _file_of(workload) as path, shown_progress(is_quiet=not progress) as report:
        return profile(Path(model), Path(output), _options(path, options), now=_moment(now), report=report)


def advise(
    profile: Place,
    workload: Asked,
    *,
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY,
    rules: Place | None = None,
    store: str | None = None,
    now: str | None = None,
) -> AnyAdvice:
    """Return the advice on the profile in a file, or on the config.json of a language model; a `store` as `--store` takes it."""
    from advisor.steps.advise import advise_on

    with _errors(), _file_of(workload) as path:
        return advise_on(
            Path(profile),
            _there(path),
            now=_moment(now),
            max_uncertainty=max_uncertainty,
            rules_folder=_place(rules),
            store=store,
        )


def classify(
    workload: Asked, *, profile: Place | None = None, rules: Place | None = None, now: str | None = None
) -> Classification:
    """Return whether serving or training dominates the cost of a workload."""
    from advisor.steps.classify import classify_file

    with _errors(), _file_of(workload) as path:
        return classify_file(_there(path), _place(rules), now=_moment(now), profile_path=_place(profile))


def verify(
    advice: Place = "advice/advice.json",
    workload: Asked | None = None,
    *,
    seconds: float | None = None,
    rules: Place | None = None,
    now: str | None = None,
    progress: bool = False,
) -> Advice | GenerationAdvice:
    """Load-test what the advice in a file recommends, update the file and its profile, and return the advice."""
    from advisor.steps.verify import verify

    with _errors(), _file_of(workload) as path, shown_progress(is_quiet=not progress) as report:
        return verify(Path(advice), path, wanted_s=seconds, now=_moment(now), report=report, rules_folder=_place(rules))


# --- what is given -------------------------------------------------------------------------------------------------------------


def _options(workload: Path | None, options: Mapping[str, Any]) -> ProfileOptions:
    known = [name for name in ProfileOptions._fields if name != "workload"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"{unknown[0]} is no option of measuring", hint=f"options are: {', '.join(known)}")
    made = dict(options)
    for name in ("inputs", "draft"):
        if made.get(name) is not None:
            made[name] = Path(made[name])
    if "budget_s" in made:
        made["budget_s"] = parse_quantity(str(made["budget_s"]), "s")  # 60 and "1 min" as well as 60.0
    made["variants"] = tuple(map(Path, made.get("variants", ())))
    made["schemes"] = tuple(made.get("schemes", ()))
    return ProfileOptions(workload=workload, **made)


@contextlib.contextmanager
def _file_of(workload: Asked | None) -> Iterator[Path | None]:
    """Yield the file of a workload; one that is given as its content lies in the working folder meanwhile, where its paths start."""
    if workload is None or not isinstance(workload, Mapping):
        yield _place(workload)
        return
    try:
        # Every JSON is YAML, and what a text or a number may be, the reader of the file says.
        content = json.dumps(workload, ensure_ascii=False, default=os.fspath).encode(errors="replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"workload: holds what no file can hold ({error})", hint="give numbers, texts, lists and dicts"
        ) from error
    with temporary.file(content, Path.cwd()) as path:
        try:
            yield path
        except AdvisorError as error:
            raise type(error)(error.fault.replace(str(path), "workload"), hint=error.hint) from error


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except AdvisorError as error:
        error.add_note(f"hint: {error.hint}")
        raise


def _there(path: Path | None) -> Path:
    if path is None:
        raise InputError("workload: None is no workload", hint="give the path of its file, or its content as a dict")
    return path


def _place(given: Place | None) -> Path | None:
    return None if given is None else Path(given)


def _moment(now: str | None) -> str:
    return datetime.now(UTC).isoformat(timespec="seconds") if now is None else now


# --- what is shown -------------------------------------------------------------------------------------------------------------


def _summary(record: Any) -> str:
    from advisor.tell.life_text import classification_text
    from advisor.tell.summary import summary

    return classification_text(record) if isinstance(record, Classification) else summary(record)


def _in_short(record: Any) -> str:
    from advisor.inert.text import inert

    return f"<{type(record).__name__}: {inert(record.headline)}>"


def _as_page(record: Any) -> str:
    """Return the report in a frame of its own: neither its style nor that of the notebook reaches the other."""
    from advisor.tell.pages import Look
    from advisor.tell.report import render

    page = html.escape(render(record, "html", Look(is_live=False)))  # no script runs in the frame
    return f'<iframe srcdoc="{page}" title="report" sandbox style="width:100%;height:{HEIGHT_OF_A_REPORT};border:0"></iframe>'


def _profile_in_short(record: Any) -> str:
    from advisor.tell.facts import profile_words

    return profile_words(record)


def _profile_as_html(record: Any) -> str:
    return f"<pre>{html.escape(_profile_in_short(record))}</pre>"


def _show_in_short() -> None:
    """Give records the forms that Python asks for; records themselves know nothing of how they look."""
    of_decisions = {"__str__": _summary, "__repr__": _in_short, "_repr_html_": _as_page}
    of_profiles = {"__str__": _profile_in_short, "__repr__": _profile_in_short, "_repr_html_": _profile_as_html}
    for kind in (Advice, OfflineAdvice, GenerationAdvice, LanguageAdvice, Classification):
        for name, form in of_decisions.items():
            setattr(kind, name, form)
    for kind_ in (Profile, GenerationProfile):
        for name, form in of_profiles.items():
            setattr(kind_, name, form)


_show_in_short()
