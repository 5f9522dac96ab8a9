"""What a specification draws, read back from it."""

from collections.abc import Iterator
from typing import Any

from advisor.tell.charts.drawing import Chart


def data_of(chart: Chart) -> Iterator[dict[str, Any]]:
    """Yield every datum of every layer."""
    for layer in chart.spec["layer"]:
        yield from layer["data"]["values"]


def marks_of(chart: Chart) -> list[dict[str, Any]]:
    """Return the marks that stand for figures, each once."""
    return list({repr(it): it for it in data_of(chart) if "row" in it}.values())


def texts_of(chart: Chart) -> list[str]:
    """Return the words in the chart, each once."""
    return list(dict.fromkeys(it["text"] for it in data_of(chart) if it.get("text")))


def domains_of(chart: Chart) -> dict[str, list[Any]]:
    """Return the domain of each channel that has one."""
    return {
        channel: encoding["scale"]["domain"]
        for layer in chart.spec["layer"]
        for channel, encoding in layer["encoding"].items()
        if "domain" in encoding.get("scale", {})
    }


def by_id(charts: tuple[Chart, ...]) -> dict[str, Chart]:
    """Return the charts by their names, of which no two are the same."""
    found = {chart.id: chart for chart in charts}
    assert len(found) == len(charts)
    return found
