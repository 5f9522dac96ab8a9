"""Files of generative models and of others, told apart where they are read; and what advice on tokens has no use for."""

from pathlib import Path

from advisor.errors import InputError
from advisor.files.records import read_json_of
from advisor.files.workload import asks_for_tokens, read_workload
from advisor.schema.generation import GenerationProfile
from advisor.schema.profile import Profile
from advisor.schema.record import Record

ADVISE_WITH_TOKENS = "advise on it with a workload that has tokens: advisor advise profile.json -w workload.yaml"


def check_advising(rules_folder: Path | None, *, has_time_limit: bool = False) -> None:
    """Raise InputError for options of advising that mean nothing where a model generates."""
    if rules_folder is not None:
        raise InputError(
            "--rules: rules judge serving against training, which advice on a generative model says nothing of",
            hint="leave --rules out; `advisor classify --rules` judges the same workload file",
        )
    if has_time_limit:
        raise InputError(
            "--time-limit: the search for a way to serve a generative model is not ended early, and takes seconds",
            hint="leave --time-limit out",
        )


def read_any_profile(path: Path, *, made_by: str = "advisor profile") -> Profile | GenerationProfile:
    """Return the profile in a file, of whichever kind it is."""
    kinds: dict[str | None, type[Record]] = {None: Profile, "generation": GenerationProfile}
    read = read_json_of(path, kinds, made_by=made_by)
    assert isinstance(read, Profile | GenerationProfile)
    return read


def read_one_pass(path: Path, what: str, *, made_by: str = "advisor profile", hint: str = ADVISE_WITH_TOKENS) -> Profile:
    """Return the profile of a model that answers in one pass; `what` cannot be done with that of a generative one, which is refused."""
    return one_pass(read_any_profile(path, made_by=made_by), path, what, hint=hint)


def one_pass(read: Profile | GenerationProfile, path: Path, what: str, *, hint: str = ADVISE_WITH_TOKENS) -> Profile:
    """Return the profile that was read from `path` as `read_one_pass` does."""
    if isinstance(read, GenerationProfile):
        raise InputError(
            f"{path}: the profile of a generative model, {what}",
            hint=hint,
        )
    return read


def read_generation(path: Path, what: str) -> GenerationProfile:
    """Return the profile of a generative model; `what` needs one, and any other is refused."""
    return generating(read_any_profile(path), path, what)


def generating(read: Profile | GenerationProfile, path: Path, what: str) -> GenerationProfile:
    """Return the profile that was read from `path` as `read_generation` does."""
    if isinstance(read, Profile):
        raise InputError(
            f"{path}: the profile of a model that answers in one pass, {what}",
            hint="profile a decoder with the same workload file: advisor profile MODEL -w workload.yaml",
        )
    return read


def generates(workload: Path | None) -> bool:
    """Return whether a workload file asks about a generative model."""
    if workload is None:
        return False
    asked = read_workload(workload)
    return asks_for_tokens(asked) and asked.offline is None
