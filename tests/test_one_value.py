"""A report has one value for one thing: figures that stand in several places agree, and counts equal rows."""

import re
from html.parser import HTMLParser
from random import Random

import pytest
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.schema.advice import Advice
from advisor.steps.advise import rules_with
from advisor.tell.report import render
from advisor.units import HOURS_PER_MONTH, usd
from tests.decide.advice.test_advise import a_question
from tests.lives import MARKET
from tests.profiles import request
from tests.tell.documents import READ_ALONE

NOW = "2026-11-22T07:43:23Z"
SEEDS = range(2000, 2012)
MONEY = re.compile(r"\$[\d,.]+[kMB]?")


def priced(seed: int) -> Advice:
    """Advice on a random profile and workload, at a random price."""
    random = Random(seed)
    measured, asked = a_question(random)
    price = 10 ** random.uniform(-3, 2)
    asked = replace(asked, hardware=replace(asked.hardware, price_usd_per_hour={"local": price}))
    return advise(measured, request(asked, measured, market=MARKET, rules=rules_with(None, now=NOW)), None)


class Tables(HTMLParser):
    """The tables and lists of a page by the name of their region, and its headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.headings: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self._region, self._cell, self._term = "", False, ""
        self._id: str | None = None
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("role") == "region" or given.get("aria-label") == "Decision":
            self._region = given.get("aria-label") or ""
        if tag == "tr":
            self.rows.setdefault(self._region, []).append([])
        self._cell = self._cell or tag in ("td", "th")
        if tag in ("td", "th"):
            self.rows[self._region][-1].append("")
        if tag == "h2":
            self._id = given.get("id")
            self.headings.setdefault(self._id or "", "")
        if tag in ("dt", "dd", "h1"):
            self._tag = tag
            self._term = "" if tag == "dt" else self._term

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False
        if tag == "h2":
            self._id = None
        if tag in ("dt", "dd", "h1"):
            self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[self._region][-1][-1] += data
        if self._id is not None:
            self.headings[self._id] += data
        if self._tag == "dt":
            self._term += data
        if self._tag == "dd" and self._region == "Decision":
            self.lines[self._term] = self.lines.get(self._term, "") + data


@pytest.fixture(scope="module", params=SEEDS)
def case(request: pytest.FixtureRequest) -> tuple[Advice, Tables]:
    advice = priced(request.param)
    return advice, Tables(render(advice, "html", READ_ALONE))


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
