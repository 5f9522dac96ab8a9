"""Many models on many kinds of machine: what a sweep is asked for, and what became of each model on each kind."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from advisor.schema.catalog import LOCAL
from advisor.schema.options import MOST_BATCH_SIZE, ProfileOptions
from advisor.schema.overview import FOLDER_NAME, Failure
from advisor.schema.record import Name, NonNegative, Record, Seconds, Whole

USUAL = ProfileOptions()
FolderName = Annotated[str, Meta(pattern=FOLDER_NAME)]  # the folder of a model is called so
Kinds = Annotated[tuple[Name, ...], Meta(min_length=1)]  # `local` and ids of the catalog


class SweepModel(Record, frozen=True, kw_only=True):
    """A model, or those that a pattern finds, with what is asked of them; what is not given is taken from the sweep."""

    model: Name  # a file, a checkpoint's folder, a config.json, or a pattern with * ? [] **, from the folder of the sweep's file
    name: FolderName | None = None  # None: that of the file; of model.onnx and config.json that of their folder
    workload: Name | None = None
    overrides: dict[str, Any] = {}  # of keys of the workload, as they would stand there; null leaves one out
    kinds: Kinds | None = None
    inputs: Name | None = None  # as --inputs, --variant and --scheme of advisor profile
    variants: tuple[Name, ...] = ()
    schemes: tuple[Name, ...] = ()
    must: tuple[Name, ...] = ()  # of the portfolio: levers that have to be pulled
    never: tuple[Name, ...] = ()


class SweepMeasuring(Record, frozen=True, kw_only=True):
    """How each model is measured on each machine, as the options of advisor profile say."""

    budget_s: Annotated[float, Meta(ge=1, le=1e6)] = USUAL.budget_s
    max_batch_size: Annotated[int, Meta(ge=1, le=MOST_BATCH_SIZE)] = USUAL.max_batch_size
    seed: Whole = USUAL.seed
    general: bool = USUAL.general


class SweepPortfolio(Record, frozen=True, kw_only=True):
    """The budget for changing all of them."""

    budget_usd: NonNegative
    engineer_days: NonNegative | None = None  # None: no limit but the money


class AtTheEnd(Record, frozen=True, kw_only=True):
    """What is made of the measurements."""

    advice: bool = True
    portfolio: SweepPortfolio | None = None


class Sweep(Record, frozen=True, kw_only=True):
    """The file of a sweep."""

    name: Name
    models: Annotated[tuple[SweepModel, ...], Meta(min_length=1)]
    workload: Name | None = None  # of the models that name none, from the folder of this file
    kinds: Kinds = (LOCAL,)  # of machines to measure on
    measure: SweepMeasuring = SweepMeasuring()
    at_the_end: AtTheEnd = AtTheEnd()


class SweepTry(Record, frozen=True, kw_only=True):
    """One time that a model was given to a machine; `ended` is None where the machine was lost, `heard` the last that came from it."""

    machine: Name  # its own name, or its id in the cluster
    started: str
    heard: str
    ended: str | None
    entries: Whole  # of the journal, that are on disk here


# "known": all of it was measured before; "waiting": no machine of the kind was there.
MeasuringOutcome = Literal["measured", "known", "configuration", "waiting", "failed"]


class SweepPair(Record, frozen=True, kw_only=True):
    """A model on a kind of machine, and what became of it."""

    model: FolderName
    path: Name  # of the model
    kind: Name | None  # None: nothing is measured of a configuration
    outcome: MeasuringOutcome
    entries: Whole  # of the journal, that this run added: 0 is nothing measured
    seconds: Seconds
    profile_path: str | None  # relative to this file
    tries: tuple[SweepTry, ...] = ()
    failure: Failure | None = None


class SweepIndex(Record, frozen=True, kw_only=True, tag_field="kind", tag="sweep"):
    """What a sweep came to: sweep.json in its folder."""

    schema_version: int
    created: str
    advisor_version: str
    name: Name
    kinds: Kinds
    pairs: tuple[SweepPair, ...]
    rows_path: str | None  # of advice, a line each; None: no advice was asked for
    overview_path: str | None
    portfolio_path: str | None
    store: str | None
