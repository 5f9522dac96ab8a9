"""The JSON Schema of every file that users write or advisor writes, from the records that read them."""

from typing import Any, NamedTuple

import msgspec

from advisor.errors import InputError
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.catalog import Hardware, Price, Rule, TokenPrice
from advisor.schema.gate.comparison import Comparison
from advisor.schema.gate.policy import Policy
from advisor.schema.gate.production import ProductionCheck
from advisor.schema.generation import GenerationAdvice, GenerationProfile
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.overview import AdviceRow, Overview
from advisor.schema.portfolio import Portfolio, PortfolioPlan
from advisor.schema.profile import Profile
from advisor.schema.store import Listing
from advisor.schema.sweep import Sweep, SweepIndex
from advisor.schema.workload import Workload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What advisor.units reads: a number, and a unit behind it or none. Which units go with a key, the documentation says.
QUANTITY = {"type": "string", "pattern": r"^\s*[+-]?(\d|\.\d)"}
NUMBERS = ("number", "integer")


class Kind(NamedTuple):
    """The records that a kind of file may hold, and what it is; people write numbers with units."""

    records: tuple[type[msgspec.Struct], ...]
    what: str
    is_by_people: bool = False


KINDS: dict[str, Kind] = {
    "workload": Kind((Workload,), "the workload file", is_by_people=True),
    "portfolio": Kind((Portfolio,), "many workloads with one budget", is_by_people=True),
    "sweep": Kind((Sweep,), "many models on many machines", is_by_people=True),
    "policy": Kind((Policy,), "the limits of advisor compare and advisor gate", is_by_people=True),
    "rule": Kind((Rule,), "a rule of one's own", is_by_people=True),
    "hardware": Kind((Hardware,), "a device of the catalog", is_by_people=True),
    "price": Kind((Price,), "a line of a price book, by its columns", is_by_people=True),
    "token-price": Kind((TokenPrice,), "a line of a book of prices by the token, by its columns", is_by_people=True),
    "profile": Kind((Profile, GenerationProfile), "profile.json"),
    "advice": Kind((Advice, OfflineAdvice, GenerationAdvice, LanguageAdvice), "advice.json, of every kind"),
    "classification": Kind((Classification,), "what advisor classify --format json writes"),
    "portfolio-plan": Kind((PortfolioPlan,), "what advisor portfolio --format json writes"),
    "sweep-index": Kind((SweepIndex,), "sweep.json, in the folder of a sweep"),
    "overview": Kind((Overview,), "overview.json of advisor advise-many and advisor sweep"),
    "row": Kind((AdviceRow,), "a line of rows.jsonl beside it"),
    "comparison": Kind((Comparison,), "what advisor compare and advisor gate --format json write"),
    "check": Kind((ProductionCheck,), "what advisor check --format json prints"),
    "store": Kind((Listing,), "what advisor store list --format json prints"),
}


def listing() -> str:
    """Return the kinds of files, a line each."""
    return "".join(f"{name:<16}{kind.what}\n" for name, kind in KINDS.items())


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of a kind of file; raise InputError for a kind that there is not."""
    if name not in KINDS:
        raise InputError(f"there is no schema of {name!r}", hint=f"there are: {', '.join(KINDS)}")
    kind = KINDS[name]
    # One by one: the union of a record with a tag and one without is none to msgspec.
    schemas, definitions = msgspec.json.schema_components(kind.records, ref_template="#/$defs/{name}")
    whole = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    made = {"$schema": DIALECT, "title": kind.what, **whole, "$defs": dict(definitions)}
    found: dict[str, Any] = _portable(made, with_units=kind.is_by_people)
    return found


def _portable(node: Any, *, with_units: bool) -> Any:
    """Return a schema in which every number may be a text with a unit, if people write it, and whose patterns every library reads."""
    if isinstance(node, list | tuple):
        return [_portable(entry, with_units=with_units) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {name: _portable(entry, with_units=with_units) for name, entry in node.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"\Z", "$")
    if with_units and made.get("type") in NUMBERS:
        default = {"default": made.pop("default")} if "default" in made else {}
        return {"anyOf": [made, QUANTITY], **default}
    return made
