"""Advice or a profile, told apart where they are read."""

from pathlib import Path

from advisor.disk.kinds import LOOKED_AT_BYTES, PROFILE
from advisor.disk.reading import STANDARD_INPUT, standard_input
from advisor.schema.generation import GenerationProfile
from advisor.schema.profile import Profile
from advisor.steps.advise import AnyAdvice, read_any_advice
from advisor.steps.generation.reading import read_any_profile


def any_document(path: Path) -> AnyAdvice | Profile | GenerationProfile:
    """Return the advice or the profile in a file; what is neither is refused as advice."""
    return read_any_profile(path) if _is_profile(path) else read_any_advice(path)


def _is_profile(path: Path) -> bool:
    if path == STANDARD_INPUT:
        return PROFILE.is_begun_by(standard_input()[:LOOKED_AT_BYTES])
    try:
        return path.is_file() and PROFILE.is_at(path)
    except (OSError, ValueError):  # who reads it says what is wrong
        return False
