"""A report has one value for one thing: figures that stand in several places agree, counts equal rows, and sums are those of their parts.

Ten profiles and more of services, language models and batch jobs, each advised on; every scenario that comes with advisor, classified;
and all documents of the tests.
"""

import re
from functools import cache
from html.parser import HTMLParser

import pytest

from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.record import Record
from advisor.steps.classify import plan_portfolio
from advisor.tell.report import render
from advisor.units import HOURS_PER_MONTH, usd
from tests.advised import NOW, PORTFOLIO, SEEDS, chats, others, priced
from tests.tell.documents import DOCUMENTS, READ_ALONE

MONEY = re.compile(r"\$[\d,.]+[kMB]?")


class Tables(HTMLParser):
    """The tables and lists of a page by the name of their region, its headings, and what each fold and each section lists."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.headings: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self.folds: list[tuple[str, int]] = []  # what a summary says, and how many entries its fold has
        self.listed: dict[str, list[str]] = {}  # entries of lists by the section's heading
        self._fold: str | None = None
        self._in_summary = False
        self._region, self._cell, self._term = "", False, ""
        self._id: str | None = None
        self._section = ""
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("role") == "region" or given.get("aria-label") == "Decision":
            self._region = given.get("aria-label") or ""
        if tag == "details":
            self.folds.append(("", 0))
            self._fold = ""
        self._in_summary = self._in_summary or tag == "summary"
        if self._fold is not None and (tag in ("li", "dt") or (tag == "th" and given.get("scope") == "row")):
            summary, entries = self.folds[-1]
            self.folds[-1] = (summary, entries + 1)
        if tag == "li" and self._section:
            self.listed[self._section].append("")
        if tag == "tr":
            self.rows.setdefault(self._region, []).append([])
        self._cell = self._cell or tag in ("td", "th")
        if tag in ("td", "th"):
            self.rows[self._region][-1].append("")
        if tag == "h2":
            self._id = self._section = given.get("id") or ""
            self.headings.setdefault(self._id, "")
            self.listed.setdefault(self._id, [])
        if tag in ("dt", "dd", "h1"):
            self._tag = tag
            self._term = "" if tag == "dt" else self._term

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self._fold = None
        if tag == "summary":
            self._in_summary = False
        if tag in ("td", "th"):
            self._cell = False
        if tag == "h2":
            self._id = None
        if tag in ("dt", "dd", "h1"):
            self._tag = ""

    def handle_data(self, data: str) -> None:
        data = data.replace("\N{NO-BREAK SPACE}", " ")
        if self._in_summary:
            summary, entries = self.folds[-1]
            self.folds[-1] = (summary + data, entries)
        if self._section and self.listed[self._section] and self._id is None:
            self.listed[self._section][-1] += data
        if self._cell:
            self.rows[self._region][-1][-1] += data
        if self._id is not None:
            self.headings[self._id] += data
        if self._tag == "dt":
            self._term += data
        if self._tag == "dd" and self._region == "Decision":
            self.lines[self._term] = self.lines.get(self._term, "") + data


@cache
def told(seed: int) -> Tables:
    return Tables(render(priced(seed), "html", READ_ALONE))


@pytest.fixture(scope="module", params=SEEDS)
def case(request: pytest.FixtureRequest) -> tuple[Advice, Tables]:
    return priced(request.param), told(request.param)


def test_counts_in_headings_are_those_of_the_rows_below(case: tuple[Advice, Tables]) -> None:
    _, page = case
    variants = [row for row in page.rows["Variants"] if len(row) == 6][1:]
    because = [row[0] for row in page.rows["Variants"] if len(row) == 1]
    admitted = {variants[at][0] for at, text in enumerate(because) if text.startswith("Admitted")}

    found = re.match(r"(\d+) of (\d+) variants? may be served", page.headings["variants"])

    assert found is not None and len({row[0] for row in variants}) >= int(found[2]) and int(found[1]) <= len(admitted)
    words = re.match(r"(\d+) configurations? on the Pareto frontier.*?(?:, beside (\d+) others?)?$", page.headings["frontier"])
    if words is not None:
        listed = [row for row in page.rows["Alternatives"] if row[0][:1].isdigit()]
        assert len(listed) == int(words[1]) + int(words[2] or 0)


def test_a_configuration_has_the_same_figures_wherever_it_stands(case: tuple[Advice, Tables]) -> None:
    advice, page = case
    header, *rows = page.rows["Predictions"]
    if advice.recommended is None or "Recommended" not in header:
        return
    column = header.index("Recommended")
    of = {row[0]: row[column] for row in rows}
    listed = next(row for row in page.rows["Alternatives"] if "recommended" in row[0])

    quantile = f"{page.rows['Alternatives'][0][1]}"
    assert of["Cost per hour"] == listed[2]
    assert of["Cost per million requests"] == listed[3]
    assert of["Quality drop"] == listed[4]
    assert of["Keeps the target"] == listed[5]
    assert re.sub(r"\W", "", of[quantile]) in re.sub(r"\W", "", listed[1]) or advice.recommended.utilization_fraction.value > 0.75


def test_the_box_says_of_money_what_the_tables_say(case: tuple[Advice, Tables]) -> None:
    advice, page = case
    said = MONEY.findall(page.lines["Cost a month"])

    if advice.recommended is not None:
        assert usd(advice.recommended.cost_usd_per_hour.value * HOURS_PER_MONTH) in said
    if advice.saving is not None:
        assert usd(advice.saving.usd_per_hour.value * HOURS_PER_MONTH) in said


def test_nothing_saves_more_than_is_spent(case: tuple[Advice, Tables]) -> None:
    advice, _ = case
    if advice.saving is not None:
        assert advice.recommended is not None
        spent, after = advice.baseline.cost_usd_per_hour.value, advice.recommended.cost_usd_per_hour.value
        assert advice.saving.usd_per_hour.value == pytest.approx(spent - after)
        assert advice.saving.usd_per_hour.value <= spent
    serving = next((line.usd for line in advice.verdict.lines if line.what == "serving"), None)
    if advice.outlook is not None and serving is not None:
        months = advice.workload.lifecycle.horizon_months if advice.workload.lifecycle else 12.0
        a_year = serving.high * 12 / months
        assert all(entry.saving_usd_per_year.value <= a_year * (1 + 1e-9) for entry in advice.outlook.opportunities)


# --- every kind of report --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=range(3))
def chat(request: pytest.FixtureRequest) -> tuple[GenerationAdvice, Tables]:
    advice = chats()[request.param]
    return advice, Tables(render(advice, "html", READ_ALONE))


def test_a_generative_configuration_has_the_same_figures_wherever_it_stands(chat: tuple[GenerationAdvice, Tables]) -> None:
    advice, page = chat
    header, *rows = page.rows["Predictions"]
    if advice.recommended is None or "Recommended" not in header:
        return
    of = {row[0]: row[header.index("Recommended")] for row in rows}
    names, *listed = page.rows["Alternatives"]
    ours = dict(zip(names, next(row for row in listed if "recommended" in row[0]), strict=True))

    at = {name: of[name] for name in names if name in of}
    assert {"Cost per hour"} < set(at)
    assert {name: ours[name] for name in at} == at
    assert of["Cost per million input tokens"] == ours["Per million in"]
    assert of["Cost per million output tokens"] == ours["Per million out"]
    assert usd(advice.recommended.cost_usd_per_hour.value * HOURS_PER_MONTH) in MONEY.findall(page.lines["Cost a month"])
    if advice.saving is not None:
        assert advice.saving.usd_per_hour.value <= advice.baseline.cost_usd_per_hour.value


@pytest.fixture(scope="module")
def everything() -> dict[str, tuple[Record, Tables]]:
    documents = {**DOCUMENTS, **others(), **{f"chat {number}": advice for number, advice in enumerate(chats())}}
    services = {f"service {seed}": (priced(seed), told(seed)) for seed in SEEDS}
    return services | {name: (document, Tables(render(document, "html", READ_ALONE))) for name, document in documents.items()}


def test_a_fold_has_as_many_entries_as_its_summary_says(everything: dict[str, tuple[Record, Tables]]) -> None:
    counted = [
        (name, summary, int(number[0].replace(",", "")), entries)
        for name, (_, page) in everything.items()
        for summary, entries in page.folds
        if (number := re.match(r"[\d,]+", summary))
    ]

    assert 40 < len(counted)
    assert [] == [case for case in counted if case[2] != case[3]]


def test_a_table_of_what_is_compared_has_as_many_rows_as_its_heading_says(everything: dict[str, tuple[Record, Tables]]) -> None:
    told = {
        name: (int(found[1].replace(",", "")), len(page.rows["Alternatives"]) - 1)
        for name, (_, page) in everything.items()
        if (found := re.match(r"([\d,]+) (?:configuration|deployment)s compared", page.headings.get("ways", "")))
    }

    assert 5 < len(told)
    assert {} == {name: both for name, both in told.items() if both[0] != both[1]}


def test_as_many_reasons_are_given_as_configurations_lost_and_each_of_them_is_in_the_table(
    everything: dict[str, tuple[Record, Tables]],
) -> None:
    explained = 0
    for document, page in everything.values():
        found = re.match(r"Why ([\d,]+) other", page.headings.get("not-chosen", ""))
        if found is not None:
            explained += 1
            rows = [row for region in ("Alternatives", "More alternatives") for row in page.rows.get(region, [[]])[1:]]
            assert int(found[1].replace(",", "")) == len(page.listed["not-chosen"]) == len(rows) - 1, document.headline
    assert 10 < explained


def test_the_lines_of_a_lifetime_cost_add_up_to_it_and_the_shares_to_the_whole(
    everything: dict[str, tuple[Record, Tables]],
) -> None:
    of_life = [it for name, (it, _) in everything.items() if isinstance(it, Classification | Advice) and name not in DOCUMENTS]
    known = [it.verdict for it in of_life if it.verdict.total_usd is not None and it.verdict.lines]

    assert 10 < len(known)
    for verdict in known:
        assert verdict.total_usd is not None
        parts = [line.usd.value for line in verdict.lines if line.usd is not None]
        assert sum(parts) == pytest.approx(verdict.total_usd.value)
        assert sum(share.value for share in verdict.shares.values()) == pytest.approx(1.0)


def test_a_classification_says_one_lifetime_cost(everything: dict[str, tuple[Record, Tables]]) -> None:
    for it, page in everything.values():
        if isinstance(it, Classification) and it.verdict.total_usd is not None:
            assert MONEY.findall(page.lines["Lifetime cost"])[0] == MONEY.findall(page.headings["verdict"])[0]


def test_a_job_costs_the_same_in_the_box_and_in_its_figures(everything: dict[str, tuple[Record, Tables]]) -> None:
    jobs_told = [(it, page) for it, page in everything.values() if isinstance(it, OfflineAdvice) and it.recommended is not None]

    assert 3 < len(jobs_told)
    for it, page in jobs_told:
        assert it.recommended is not None
        assert [usd(it.recommended.cost_usd.value)] == MONEY.findall(page.lines["Cost of the job"])[:1]


def test_what_a_plan_spends_and_saves_is_the_sum_of_its_workloads() -> None:
    planned = plan_portfolio(PORTFOLIO, now=NOW)

    assert planned.spent_usd == pytest.approx(sum(choice.once_usd for choice in planned.choices))
    assert planned.saving_usd == pytest.approx(sum(choice.saving_usd for choice in planned.choices))
    assert planned.net_usd == pytest.approx(planned.saving_usd - planned.spent_usd)
    assert planned.spent_usd <= planned.budget_usd


def test_no_figure_has_more_digits_than_anybody_reads(everything: dict[str, tuple[Record, Tables]]) -> None:
    told = {
        name: " ".join(cell for rows in page.rows.values() for row in rows for cell in row)
        for name, (_, page) in everything.items()
    }

    assert {} == {name: found for name, text in told.items() if (found := re.findall(r"[\d.,]*0\.0{6,}\d*(?: pp| %)", text))}
