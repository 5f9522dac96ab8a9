import multiprocessing
import os
import re
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from advisor.tell import report
from advisor.tell.charts import still
from advisor.tell.charts.documents import charts_of
from advisor.tell.charts.drawing import Chart
from advisor.tell.pages import NO_PICTURE, Look
from tests.tell.advice_examples import change, served
from tests.tell.charts.test_documents import KINDS
from tests.tell.documents import READ_ALONE, UNDRAWN

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a machine on which the package does not load; nothing that was drawn before is remembered."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    still._drawn.cache_clear()
    yield
    still._drawn.cache_clear()


def _picture(chart: Chart) -> str:
    drawn = still.still(chart)
    assert drawn is not None
    return still.picture(chart, drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_a_file_of_its_own_with_a_name_and_both_looks(kind: str) -> None:
    chart = KINDS[kind]
    picture = _picture(chart)
    root = ElementTree.fromstring(picture)

    assert f"{SVG}svg" == root.tag and float(root.attrib["width"]) <= chart.width
    assert f"{chart.title}. {chart.says}" == root.attrib["aria-label"] and chart.title == root.findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in picture and still.MARK in picture
    assert {f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}.isdisjoint(it.tag for it in root.iter())
    assert set() == set(re.findall(r"https?://[^\"\s<]+", picture)) - {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_every_mark_of_a_chart_is_in_its_picture() -> None:
    chart = next(chart for chart in charts_of(change()) if chart.id == "latency")

    drawn = ElementTree.fromstring(still.still(chart) or "")
    marks = next(it for it in drawn.iter(f"{SVG}g") if "mark-symbol role-mark" in it.get("class", ""))

    assert {"#5f6b76": 3, "#b34a08": 3} == Counter(it.attrib["fill"] for it in marks)


def test_the_same_chart_is_the_same_picture() -> None:
    chart = KINDS["cost"]
    once = still.still(chart)
    still._drawn.cache_clear()

    assert once == still.still(chart)


def test_a_process_that_is_split_off_draws_nothing_instead_of_waiting_forever() -> None:
    chart = KINDS["cost"]
    still.still(chart)
    still._drawn.cache_clear()
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(3 if still.still(chart) is None else 4))
    child.start()
    child.join(30)
    is_hung = child.is_alive()
    child.kill()

    assert (False, 3) == (is_hung, child.exitcode)
    assert still.still(chart) is not None


def test_no_two_pictures_of_a_page_share_a_name() -> None:
    names = re.findall(r' id="([^"]+)"', report.render(served(), "html", Look(is_live=False)))

    assert sorted(set(names)) == sorted(names)


@pytest.mark.usefixtures("absent")
def test_without_the_package_the_page_says_so_and_has_the_tables() -> None:
    page = report.render(change(), "html", Look(is_live=False))

    assert len(charts_of(change())) == page.count(NO_PICTURE) == page.count('<figure class="drawn"')
    assert page == report.render(change(), "html", READ_ALONE)


@pytest.mark.usefixtures("absent")
def test_without_the_package_markdown_names_no_picture() -> None:
    made = report.reports(change(), "pictures")

    assert {} == made.pictures and "![" not in made.texts["md"]


def test_markdown_names_the_pictures_that_lie_beside_it() -> None:
    look = Look(folder="pictures", pictures=frozenset({"latency.svg", "frontier.svg"}))

    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", report.render(change(), "md", look))

    assert ["pictures/frontier.svg", "pictures/latency.svg"] == named
    assert "![" not in report.render(change(), "md", UNDRAWN)


def test_a_name_in_a_picture_is_text() -> None:
    hostile = "</text></svg><script>alert(1)</script>{{7*7}}&\u202e"
    chart = KINDS["calls"]
    spec = {**chart.spec, "layer": [_renamed(layer, hostile) for layer in chart.spec["layer"]]}

    root = ElementTree.fromstring(_picture(replace(chart, spec=spec, title=hostile)))

    assert not [it for it in root.iter() if it.tag.endswith("script")]
    assert any(text.startswith("</text></svg>") for text in root.itertext())


def _renamed(layer: dict, name: str) -> dict:
    values = [it | {"series": name} if "series" in it else it for it in layer["data"]["values"]]
    encoding = {
        channel: it | {"scale": it["scale"] | {"domain": [name]}} if it.get("field") == "series" else it
        for channel, it in layer["encoding"].items()
    }
    return {**layer, "data": {"values": values}, "encoding": encoding}
