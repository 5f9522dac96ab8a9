"""Records whose texts are hostile: inert in every format, and a name forges no line, cell, element or link of any."""

import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.files.rulebook import explained, rule_named
from advisor.inert.record import as_json, inert_parts
from advisor.schema.catalog import Price
from advisor.tell import report
from advisor.tell.charts.page import chart_scripts
from advisor.tell.facts import init_lines, profile_line, render_facts
from advisor.tell.hardware import imported, listing, price_table
from advisor.tell.life_text import explanation_text
from tests.damage import measured
from tests.profiles import facts
from tests.tell.documents import DOCUMENTS, UNDRAWN
from tests.tell.test_report import Page

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = (
    "a\nerror: forged",
    "\x1b[2J\x1b[31mred",
    "\u202egnp.exe\u202c",
    "zero\u200bwidth\ufeff",
    "| a | b |\n|---|---|",
    "# heading",
    "[link](https://a.b)",
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "</td><td>forged",
    "{{ 7 * 7 }}",
    "\0\t\r\x07",
    "\udcff",
)


def with_texts(part, text):
    """The record with the text behind every text of it that is free and not empty, as names, titles and reasons are."""
    if isinstance(part, msgspec.Struct):
        fields = {
            field.name: with_texts(getattr(part, field.name), text)
            for field in msgspec.structs.fields(part)
            if field.name not in FIXED
        }
        return msgspec.structs.replace(part, **fields)
    if isinstance(part, tuple):
        return tuple(with_texts(entry, text) for entry in part)
    if isinstance(part, dict):
        return {key: with_texts(value, text) for key, value in part.items()}
    return f"{part}{text}" if isinstance(part, str) and part else part


# Words out of a few that the report compares, and what is parsed.
FIXED = {
    *("basis", "outcome", "favours", "kind", "format", "family", "role", "dtype", "ground", "metric", "created", "date", "on"),
    *("provider", "valid_until"),
    *(
        "dominated_by",
        "becomes",
        "direction",
        "pays",
        "term",
        "meter",
        "confidence",
        "price_date",
        "payback_on",
        "inputs",
        "objective",
    ),
    *("policy", "engine", "clock", "given_as", "binding", "text", "reads"),
    *("weights", "kv", "device", "accept"),
    *("variant", "hardware", "id", "unit", "input"),  # by which parts of a report find each other
    *("sha256", "profile_sha256", "data_sha256", "fingerprint"),
}


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))


def unseen(text, *but):
    return {character for character in set(text) - set(but) if unicodedata.category(character) in UNSEEN}


@settings(max_examples=25)
@given(st.sampled_from([*DOCUMENTS]), st.sampled_from(HOSTILE) | st.text(max_size=12))
def test_no_text_of_a_document_forges_anything_in_any_format(name, text):
    document, forged = DOCUMENTS[name], with_texts(DOCUMENTS[name], text)

    for format_ in ("text", "md", "html", "json"):
        plain, shown = (rendered(it, format_) for it in (document, forged))
        assert set() == unseen(shown, "\n")
        if format_ in ("md", "html"):
            assert len(plain.splitlines()) == len(shown.splitlines())
        if format_ == "html":
            assert Elements(plain).tags == Elements(shown).tags
            assert [] == Page(shown).faults
        if format_ == "md":
            assert [cells(line) for line in plain.splitlines()] == [cells(line) for line in shown.splitlines()]


# By these the parts of a report find each other: a hostile one stands wherever it is named.
IDENTIFIERS = {"variant", "hardware", "id", "device", "input", "rule", "lever"}


def identifiers_of(part):
    """The texts of a record that name a part of it."""
    if isinstance(part, msgspec.Struct):
        for field in msgspec.structs.fields(part):
            value = getattr(part, field.name)
            if field.name in IDENTIFIERS and isinstance(value, str):
                yield value
            yield from identifiers_of(value)
    elif isinstance(part, tuple | dict):
        for entry in part.values() if isinstance(part, dict) else part:
            yield from identifiers_of(entry)


def renamed(part, names):
    """The record with names in the place of others, wherever a whole text is one of them."""
    if isinstance(part, msgspec.Struct):
        return msgspec.structs.replace(part, **{name: renamed(getattr(part, name), names) for name in part.__struct_fields__})
    if isinstance(part, tuple):
        return tuple(renamed(entry, names) for entry in part)
    if isinstance(part, dict):
        return {names.get(key, key): renamed(value, names) for key, value in part.items()}
    return names.get(part, part) if isinstance(part, str) else part


@pytest.mark.parametrize("name", ["change", "chat", "chat_elsewhere", "classification", "job"])
def test_no_identifier_forges_anything_in_any_format(name):
    document, text = DOCUMENTS[name], " ".join(text for text in HOSTILE if "\udcff" not in text)
    names = {each: f"{each}{text}" for each in identifiers_of(document)} | {"mixed": "mixed", "inference": "inference"}
    forged = renamed(document, names)

    for format_ in ("text", "md", "html"):
        plain, shown = rendered(document, format_), rendered(forged, format_)
        assert set() == unseen(shown, "\n")
        if format_ != "text":
            assert len(plain.splitlines()) == len(shown.splitlines())
        if format_ == "html":
            assert [tag for tag, _ in Elements(plain).tags] == [tag for tag, _ in Elements(shown).tags]
            assert [] == Page(shown).faults


def rendered(document, format_):
    """Return a document without what every page has of Vega."""
    return report.render(document, format_, UNDRAWN).replace(chart_scripts(), "")


def cells(line):
    """How a line of Markdown begins, and how many cells it has."""
    begins = line[: len(line) - len(line.lstrip("#->| "))] if line[:1] in "#->|" else ""
    return begins.split(" ")[0], line.replace("\\\\", "").replace("\\|", "").count("|")


def test_a_record_without_anything_unseen_is_the_same_one():
    document = DOCUMENTS["change"]

    assert inert_parts(document) is document


def test_names_are_inert_as_keys_and_inside_of_lists():
    assert {r"a\n": (r"b\x1b", 1.0)} == inert_parts({"a\n": ("b\x1b", 1.0)})


@pytest.mark.parametrize("text", ["\u202e", "a\nb", "é\u200b"])
def test_json_keeps_names_as_they_are_and_shows_no_character_that_nobody_sees(text):
    document = with_texts(DOCUMENTS["change"], text)

    content = as_json(document, indent=1)

    assert document == msgspec.json.decode(content, type=type(document))
    assert set() == unseen(content.decode(), "\n")


PRICE = Price(
    provider="aws",
    region="us-east-1",
    instance="g6.xlarge",
    term="on-demand",
    usd_per_hour=0.8,
    date="2026-11-22",
    source="me",
)
PRINTED = {
    "facts": lambda text: render_facts(with_texts(facts(has_length=True), text), "text"),
    "facts as JSON": lambda text: render_facts(with_texts(facts(has_length=True), text), "json"),
    "a profile": lambda text: profile_line(measured(), Path(f"{text.replace('/', '')}.json")),
    "what init wrote": lambda text: init_lines(Path(f"w{text}"), Path(f"s{text}"), Path(f"m{text}")),
    "prices": lambda text: price_table((with_texts(PRICE, text),), set()),
    "the catalog": lambda text: listing((with_texts(measured().sites[0].hardware, text),), (with_texts(PRICE, text),)),
    "what was imported": lambda text: imported(1, (f"a{text}",), f"b{text}"),
    "a rule": lambda text: explanation_text(
        with_texts(explained(rule_named("inference-dominates", None, now="2026-11-28T00:00:00")), text)
    ),
}


@pytest.mark.parametrize("what", PRINTED)
@pytest.mark.parametrize("text", ["\nerror: forged", "\x1b[31m", "\u202e\u200b"])
def test_nothing_that_is_printed_holds_what_nobody_sees(what, text):
    plain, shown = PRINTED[what]("x"), PRINTED[what](text)

    assert set() == unseen(shown, "\n")
    assert what == "a rule" or len(plain.splitlines()) == len(shown.splitlines())
