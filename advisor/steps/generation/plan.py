"""What a profile of a decoder is planned to be, and what a run of it has at hand."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from advisor.measure.generation.making import BASELINE, TITLES
from advisor.measure.generation.openvino import engine
from advisor.measure.generation.openvino import making as openvino
from advisor.measure.generation.timing.rounds import USUAL_PACE, Pace
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Report
from advisor.measure.worker.apart import Apart
from advisor.schema.catalog import Hardware
from advisor.schema.generation import DecoderFacts, Engine, GenerationSettings
from advisor.schema.profile import Machine
from advisor.schema.record import Exclusion
from advisor.steps.distillation.of_decoders import SmallerDecoder
from advisor.steps.generation.asked import Asked
from advisor.units import counted

OPENVINO = "openvino-genai"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that measuring needs to know."""

    model: Path
    folder: Path  # where variants go, beside the profile
    facts: DecoderFacts
    settings: GenerationSettings
    asked: Asked
    draft: SmallerDecoder | None = None  # that is tried as one
    students: tuple[SmallerDecoder, ...] = ()  # that are measured in the place of the model
    excluded: tuple[Exclusion, ...] = ()
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
        return b"".join(it.learned or b"" for it in self.trained)

    @property
    def trained(self) -> tuple[SmallerDecoder, ...]:
        """The smaller decoders that somebody trained, each once."""
        every = (*self.students, *(() if self.draft is None else (self.draft,)))
        return tuple({it.facts.sha256: it for it in every if it.is_trained}.values())

    @property
    def has_openvino(self) -> bool:
        """Whether OpenVINO's engine is installed."""
        return OPENVINO in self.versions


class Form(NamedTuple):
    """One form of the model, or of a student in its place."""

    scheme: str
    of: SmallerDecoder | None = None

    @property
    def id(self) -> str:
        """What the variant is called."""
        if self.of is None:
            return self.scheme
        return self.of.id if self.scheme == BASELINE else f"{self.of.id}-{self.scheme}"

    @property
    def engine(self) -> Engine:
        """What runs it."""
        return "openvino" if self.scheme in openvino.FORMS else "onnxruntime"

    @property
    def title(self) -> str:
        """What it is called in reports."""
        title = (TITLES | openvino.TITLES)[self.scheme]
        if self.of is None:
            return title
        layers = counted(self.of.facts.layers, "layer")
        return f"{'trained' if self.of.is_trained else 'untrained'} student of {layers}; {title}"


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
