"""Every figure of a report is read, and is one of its record or of a named derivation: what contradicts what lies behind it fails.

Read are Markdown, HTML with all of its details and sources, and the terminal's text of services, language models, batch jobs, every
scenario that comes with advisor, a portfolio, and advice with load tests.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from advisor.decide.verdict.rules import readable_fact
from advisor.files.records import read_json
from advisor.schema.advice import Advice, Prediction
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.record import Record
from advisor.steps.classify import plan_portfolio
from advisor.tell.generation.naming import configuration as configuration_of_tokens
from advisor.tell.generation.naming import generation_columns
from advisor.tell.language.naming import deployment, language_columns
from advisor.tell.report import render
from advisor.tell.summary import full_summary
from advisor.tell.words.figures import configuration
from advisor.tell.words.tables import columns
from advisor.units import seconds, usd_per_hour
from tests.advised import NOW, PORTFOLIO, SCENARIOS, SEEDS, behind, chats, others
from tests.figures.behind import add_catalog, add_rules, add_workload, whys
from tests.figures.derived import OF_RECORD, derive, facts_told, records
from tests.figures.known import Known
from tests.figures.printed import Page, Row, of_html, of_markdown
from tests.figures.reading import ESTIMATE, FIGURE, read
from tests.tell.documents import READ_ALONE

GOLDEN = Path(__file__).parent / "data" / "golden" / "advice.json"
Compared = Advice | GenerationAdvice | LanguageAdvice
# What a heading counts stands below it, a row or an entry each.
ROWS = (
    r"(\d[\d,]*) options? not considered",
    r"(\d[\d,]*) operator types?",
    r"(\d[\d,]*) rules? silent or unknown",
    r"(\d[\d,]*) rules? that speaks?",
    r"(\d[\d,]*) changes? not evaluated",
    r"(\d[\d,]*) levers? could not be judged",
    r"(\d[\d,]*) (?:configuration|deployment)s? compared",
    r"(?:At least )?(\d[\d,]*) other configurations? cannot be told apart",
    r"(\d[\d,]*) variants? not measurably faster",
    r"(\d[\d,]*) (?:more )?(?:configuration|input|ways?)s?(?: that would do)?$",
    r"\d+ of (\d+) kinds? of hardware keeps?",
    r"\d+ of (\d+) workloads? should change",
    r"Why (\d[\d,]*) other configurations?",
)
# What was counted while measuring, and what a lower heading has.
NOT_ROWS = (
    r"[\d,]+ (?:samples?|steps?|candidates?)|[\d,]+ inputs? assumed|\d+ of \d+ variants?|[\d,]+ configurations? on the Pareto"
)


class Case(NamedTuple):
    """A document, its reports, and what they may print."""

    document: Record
    markdown: Page
    html: Page
    terminal: str
    known: Known

    @property
    def said(self) -> list[str]:
        """Return all that is printed anywhere."""
        texts = [*self.markdown.texts, *self.html.texts, *self.html.sources, *self.terminal.splitlines()]
        return list(dict.fromkeys(texts))


@cache
def cases() -> dict[str, Case]:
    """Return everything that is read, by name."""
    found: dict[str, tuple[Record, ...]] = {f"service {seed}": (behind(seed).advice, behind(seed).profile) for seed in SEEDS}
    found |= {f"chat {number}": (advice,) for number, advice in enumerate(chats())}
    found |= {name: (document,) for name, document in others().items()}
    found |= {
        "portfolio": (plan_portfolio(PORTFOLIO, now=NOW),),
        "load-tested": (read_json(GOLDEN, Advice, made_by="advisor recommend"),),
    }
    return {name: _case(name, *records_) for name, records_ in found.items()}


def _case(name: str, document: Record, *beside: Record) -> Case:
    known = Known()
    for record in (document, *beside):
        known.record(record)
    derive(known, document)
    add_rules(known)
    add_catalog(known)
    for path in SCENARIOS.glob("*.yaml"):
        if path.stem == name or isinstance(document, PortfolioPlan):
            add_workload(known, path)
    if isinstance(document, Advice | Classification):
        for fact, values in facts_told(document.verdict, whys()).items():
            for value in values:
                known.quoted(f"fact {fact}", value)
                known.quoted(f"fact {fact}", f"{value}/year")
    html, markdown, text = (render(document, format_, READ_ALONE) for format_ in ("html", "md", "text"))
    if isinstance(document, Compared):
        text = full_summary(document)
    return Case(document, of_markdown(markdown), of_html(html), text, known)


def unknown(text: str, known: Known) -> list[str]:
    """Return the figures of a text that are neither of the record nor worked out of it."""
    told = read(text)
    return [it for it in told.estimates if it not in known.estimates] + [it for it in told.figures if it not in known.figures]


def test_every_figure_is_one_of_the_record_or_of_a_named_derivation() -> None:
    read_ = sum(len(read(text).figures) + len(read(text).estimates) for case in cases().values() for text in case.said)

    wrong = [
        f"{name}: {found} in {text!r}"
        for name, case in cases().items()
        for text in case.said
        if (found := unknown(text, case.known))
    ]

    assert 15 < len(cases()) and 5_000 < read_
    assert [] == wrong


def test_a_figure_that_is_a_tenth_larger_is_found() -> None:
    changed = missed = 0
    for case in cases().values():
        for text in case.markdown.texts:
            for match in [*ESTIMATE.finditer(text), *FIGURE.finditer(ESTIMATE.sub(" ", text))][:1]:
                other = re.sub(r"\d[\d,]*(?:\.\d+)?", _larger, match[0], count=1)
                changed += 1
                missed += not unknown(other, case.known)

    assert 1_000 < changed
    assert missed < 0.1 * changed


def _larger(found: re.Match[str]) -> str:
    decimals = len(found[0].partition(".")[2])
    value = float(found[0].replace(",", ""))
    return f"{max(value * 1.1, value + 10.0**-decimals):,.{decimals}f}"


def test_a_fact_of_the_rules_has_one_value_and_it_is_that_of_the_lines_of_the_cost() -> None:
    compared = 0
    for name, case in cases().items():
        if isinstance(case.document, Advice | Classification):
            verdict = case.document.verdict
            told = facts_told(verdict, whys())
            assert {} == {fact: values for fact, values in told.items() if len(values) > 1}, name
            for fact, of_record in OF_RECORD.items():
                value = of_record(verdict) if verdict.lines else None
                if fact in told and value is not None:
                    compared += 1
                    assert {readable_fact(fact, value)} == told[fact], (name, fact)
    assert 15 < compared


def by_place(rows: list[Row]) -> dict[tuple[str, str], set[str]]:
    """Return what stands in each row and column."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        for column, cell in row.cells.items():
            found.setdefault((row.label, column), set()).update((*read(cell).estimates, *read(cell).figures))
    return found


def test_html_has_the_figures_that_markdown_has_in_the_same_row_and_column() -> None:
    compared = 0
    for name, case in cases().items():
        # Why a change is worth it stands below the row in HTML, and in it in Markdown.
        html, markdown = by_place(case.html.rows), by_place(case.markdown.rows)
        places = [(label, column) for label, column in html if (label, column) in markdown and column and column != "Worth it"]
        compared += len(places)
        assert {} == {at: (html[at], markdown[at]) for at in places if not markdown[at] <= html[at]}, name
    assert 500 < compared


def test_the_terminal_has_the_estimates_of_the_page() -> None:
    compared = 0
    for name, case in cases().items():
        page = {found for text in case.markdown.texts for found in read(text).estimates}
        terminal = read(" ".join(case.terminal.split())).estimates
        compared += len(terminal)
        # A saving of a year at today's traffic stands in the terminal alone; the page has it by the month.
        assert {it for it in terminal if "/year" not in it} <= page, name
    assert 50 < compared


def named(it: Compared) -> dict[str, list[Struct]]:
    """Return all that a record holds of each configuration, by the configuration's name on the page."""
    found: dict[str, list[Struct]] = {}
    if isinstance(it, LanguageAdvice):
        for prediction in records(it, "DeploymentPrediction"):
            found.setdefault(deployment(prediction.deployment), []).append(prediction)
        return found
    describe = configuration_of_tokens if isinstance(it, GenerationAdvice) else configuration
    for record in records(it, "Prediction", "GenerationPrediction", "LoadTest", "Replay", "AtEnd"):
        found.setdefault(describe(record.candidate), []).append(record)
    return found


def test_the_figures_beside_a_configuration_are_its_own() -> None:
    compared = 0
    for name, case in cases().items():
        if isinstance(case.document, Compared):
            for called, holders in named(case.document).items():
                known = Known()
                known.record(tuple(holders))
                _beside(known, holders, case.document)
                for text in _about(called, case, set(named(case.document))):
                    compared += 1
                    assert [] == unknown(text, known), (name, called, text)
    assert 100 < compared


def _beside(known: Known, holders: list[Struct], it: Compared) -> None:
    """Let what is said beside a configuration's own figures be printed: how its cost differs from the recommended one's, and its times."""
    derive(known, it.workload)
    if it.recommended is None:
        return
    ours = it.recommended
    for holder in holders:
        cost = getattr(holder, "cost_usd_per_hour", None)
        if cost is not None:
            more = abs(cost.value - ours.cost_usd_per_hour.value)
            known.add("more than is recommended", more, (usd_per_hour,))
    if isinstance(ours, Prediction):
        known.add("the latency of what is recommended", ours.latency_slo_s, (seconds,))
    else:
        known.record(ours.times)


def _about(called: str, case: Case, all_names: set[str]) -> Iterator[str]:
    """Yield what rows and entries say of a configuration that they name alone, without the name."""
    for row in (*case.markdown.rows, *case.html.rows):
        text = " | ".join(row.cells.values())
        others = [other for other in all_names if other != called and other in text and called not in other]
        longer = [other for other in all_names if other != called and called in other and other in text]
        if called in text and not others and not longer:
            yield text.replace(called, "")


def test_a_column_has_the_figures_of_the_configuration_that_it_is_named_for() -> None:
    compared = 0
    for name, case in cases().items():
        it = case.document
        shown: dict[str, Struct] = {}
        if isinstance(it, Advice):
            shown = dict(columns(it))
        elif isinstance(it, GenerationAdvice):
            shown = dict(generation_columns(it))
        elif isinstance(it, LanguageAdvice):
            shown = dict(language_columns(it))
        for column, prediction in shown.items():
            known = Known()
            known.record(prediction)
            for row in (*case.markdown.rows, *case.html.rows):
                if {column, "Target"} <= set(row.cells):
                    compared += 1
                    assert [] == unknown(row.cells[column], known), (name, row)
    assert 200 < compared


def test_what_a_heading_counts_stands_below_it() -> None:
    counted: Counter[str] = Counter()
    for name, case in cases().items():
        # A list and a table that stand below one heading are of the same things.
        below = Counter((row.heading, tuple(row.cells) == ("",)) for row in case.markdown.rows)
        for heading in dict.fromkeys(row.heading for row in case.markdown.rows):
            found = next((match for pattern in ROWS if (match := re.match(pattern, heading))), None)
            if found is None:
                assert re.match(NOT_ROWS, heading) or not re.match(r"[\d,]+ [a-z]", heading), (name, heading)
                continue
            counted[found.re.pattern] += 1
            entries = {below[heading, is_list] for is_list in (True, False)} - {0}
            assert {int(found[1].replace(",", ""))} == entries, (name, heading)
    assert 5 < len(counted)


def test_no_saving_exceeds_what_is_spent() -> None:
    for name, case in cases().items():
        it = case.document
        if isinstance(it, Classification | Advice) and it.verdict.total_usd is not None:
            most = it.verdict.total_usd.high
            assert all(entry.saving_usd.value <= most for entry in it.verdict.break_evens), name
        if isinstance(it, Classification) and it.verdict.total_usd is not None:
            a_year = it.verdict.total_usd.value * 12 / it.horizon_months
            assert all(entry.saving_usd_per_year.value <= a_year * (1 + 1e-9) for entry in it.outlook.opportunities), name
        if isinstance(it, Advice | GenerationAdvice) and it.saving is not None:
            assert it.saving.usd_per_hour.value <= it.baseline.cost_usd_per_hour.value, name
        if isinstance(it, PortfolioPlan):
            spent = sum(
                other.verdict.total_usd.value
                for other in others().values()
                if isinstance(other, Classification) and other.verdict.total_usd is not None
            )
            assert it.saving_usd <= spent
