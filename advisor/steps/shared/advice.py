"""Advice in a store, together with the profile that it stands on."""

from collections.abc import Callable
from pathlib import Path

from advisor.decide.comparison.answers import AnyAdvice
from advisor.disk.reading import STANDARD_INPUT
from advisor.errors import InputError
from advisor.files.records import sha256, to_json
from advisor.schema.language import LanguageAdvice
from advisor.schema.store import Entry
from advisor.steps.shared.keys import advice_key
from advisor.steps.shared.profiles import PROFILE
from advisor.store.store import Source, Store, open_store

ADVICE = "advice.json"


def share_advice(advice: AnyAdvice, profile_path: Path, url: str, say: Callable[[str], None]) -> None:
    """Put advice into the store; where that does not work, say so: whoever asked has the advice."""
    try:
        put_advice(open_store(url, warn=say), advice, profile_path)
    except InputError as error:
        say(f"the advice was not put into the store: {error.fault}")


def put_advice(store: Store, advice: AnyAdvice, profile_path: Path) -> Entry:
    """Put advice into the store, and beside it the very profile that it was made of, by whose digest it says what it stands on."""
    stands_on = None if isinstance(advice, LanguageAdvice) else advice.profile_sha256
    files: dict[str, Source] = {ADVICE: to_json(advice)}
    if stands_on is not None and profile_path != STANDARD_INPUT and sha256(profile_path) == stands_on:
        files[PROFILE] = profile_path
    confidence = getattr(advice, "confidence", None)  # of a batch job there is none
    key = advice_key(advice.model, advice.workload, stands_on, type(advice).__name__, confidence)
    return store.put(key, files, created=advice.created, stands_on=stands_on)
