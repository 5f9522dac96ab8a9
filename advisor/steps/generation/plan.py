"""What a profile of a decoder is planned to be, and what a run of it has at hand."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.measure.generation.openvino import engine
from advisor.measure.generation.timing.rounds import USUAL_PACE, Pace
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Report
from advisor.measure.worker.apart import Apart
from advisor.schema.catalog import Hardware
from advisor.schema.generation import DecoderFacts, GenerationSettings
from advisor.schema.profile import Machine
from advisor.steps.distillation.of_decoders import SmallerDecoder
from advisor.steps.generation.asked import Asked

OPENVINO = "openvino-genai"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that measuring needs to know."""

    model: Path
    folder: Path  # where variants go, beside the profile
    facts: DecoderFacts
    settings: GenerationSettings
    asked: Asked
    draft: SmallerDecoder | None = None  # that is tried as one
    wanted: tuple[str, ...]  # schemes that are timed whatever their quality
    today_threads: int | None  # on which the user serves it now, as far as that is said
    versions: dict[str, str]  # of what decides the figures
    machine: Machine
    hardware: Hardware
    created: str
    fingerprint: str

    @property
    def learned(self) -> bytes:
        """What smaller decoders learned from, as digests of texts."""
        return b"" if self.draft is None else self.draft.learned or b""

    @property
    def has_openvino(self) -> bool:
        """Whether OpenVINO's engine is installed."""
        return OPENVINO in self.versions


class How(NamedTuple):
    """What starts the processes that functions are called in, how long is timed, and which engines there are."""

    start: Callable[[], Apart] = Apart
    pace: Pace = USUAL_PACE
    openvino: Callable[[], str | None] = engine.version  # of its engine, None where there is none


USUALLY = How()


class Stage(NamedTuple):
    """What a run has at hand: its account, who is told, the process for the user's files."""

    ledger: Ledger
    report: Report
    apart: Apart
    scratch: Path  # a folder that is gone afterwards
    how: How

    def say(self, what: str, *, line: str | None = None) -> None:
        """Report what is done now."""
        self.report(self.ledger.spent_s, self.ledger.expected_s, what, line=line)
