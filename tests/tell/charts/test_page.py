import base64
import hashlib
import html
import json
import re

import pytest
import vl_convert

from advisor.tell import report
from advisor.tell.charts.documents import charts_of
from advisor.tell.charts.page import chart_data, chart_scripts
from advisor.tell.charts.still import VEGA_LITE
from tests.inert.test_record import with_texts
from tests.tell.advice_examples import change, served
from tests.tell.charts.test_documents import KINDS
from tests.tell.documents import DOCUMENTS, READ_ALONE, UNDRAWN

MOST_BYTES = 3_000_000
HOSTILE = ("<script>alert(1)</script>", "{{7*7}}", "</script><!--", "\u202eleft\u2066", "datum.x + alert(1)", "&lt;b&gt;\u2028")
SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def test_a_page_with_every_chart_stays_small() -> None:
    page = report.render(served(), "html")

    assert {"prediction", "load", "load tests", "alternatives", "calls", "life cost", "life flips"} == {
        it.place for it in charts_of(served())
    }
    assert len(page.encode()) < MOST_BYTES / 2


@pytest.mark.parametrize("name", DOCUMENTS)
def test_scripts_are_in_a_page_that_has_charts_and_in_no_other(name: str) -> None:
    kinds = [kind for kind, _ in SCRIPT.findall(report.render(DOCUMENTS[name], "html", UNDRAWN))]
    charts = charts_of(DOCUMENTS[name])

    assert [' type="application/json"'] * len(charts) + ["", ""] * bool(charts) == kinds
    assert "<script" not in report.render(DOCUMENTS[name], "html", READ_ALONE)


def test_the_page_lets_its_own_scripts_run_and_reaches_nothing() -> None:
    page = report.render(change(), "html", UNDRAWN)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    digests = [
        base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for kind, source in SCRIPT.findall(page) if not kind
    ]

    assert " ".join(["script-src", *(f"'sha256-{digest}'" for digest in digests)]) in policy.split("; ")
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy


def test_no_address_in_what_we_write_into_a_page_is_ever_asked_for() -> None:
    page = report.render(change(), "html", UNDRAWN).replace(chart_scripts(), "")

    # The name of the specification's schema, which nobody opens.
    assert {"https://vega.github.io/schema/vega-lite/v6.json"} >= set(re.findall(r'https?://[^"\s<]+', page))


def test_the_page_carries_the_releases_that_draw_the_pictures() -> None:
    releases = re.search(r"Vega (\S+), Vega-Lite (\S+) and vega-embed (\S+), as bundled by vl-convert (\S+) ", chart_scripts())

    installed = (vl_convert.get_vega_version(), VEGA_LITE, vl_convert.get_vega_embed_version(), vl_convert.__version__)
    assert installed == releases.groups(), "run: python benchmarks/pack_vega.py"


def test_nothing_in_the_scripts_ends_them() -> None:
    assert 2 == chart_scripts().lower().count("</script") == chart_scripts().count("<script>")
    assert "<!--" not in chart_scripts()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["served", "chat", "chat_elsewhere"])
def test_a_name_is_data_and_neither_markup_nor_an_expression(name: str, text: str) -> None:
    plain, forged = (report.render(it, "html", UNDRAWN) for it in (DOCUMENTS[name], with_texts(DOCUMENTS[name], text)))

    found = [(kind, source) for kind, source in SCRIPT.findall(forged)]
    assert [kind for kind, _ in SCRIPT.findall(plain)] == [kind for kind, _ in found]
    for (kind, before), (_, source) in zip(SCRIPT.findall(plain), found, strict=True):
        if kind:
            assert _bare(json.loads(before)) == _bare(json.loads(source))
        else:
            assert before == source


def _bare(spec: dict) -> list:
    """Return a specification without its data and the domains of its names: what a viewer acts on."""
    layers = []
    for layer in spec["layer"]:
        encoding = {
            channel: {key: it for key, it in encoded.items() if key != "scale"} if encoded.get("type") == "nominal" else encoded
            for channel, encoded in layer["encoding"].items()
        }
        layers.append((layer["mark"], encoding))
    return [layers, {key: it for key, it in spec.items() if key not in ("layer", "height")}]


def test_what_scripts_are_given_is_the_specification() -> None:
    chart = KINDS["frontier"]

    assert json.loads(json.dumps(chart.spec)) == json.loads(chart_data(chart))
    assert not set("<>&\u2028\u2029") & set(chart_data(chart))
