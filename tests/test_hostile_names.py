"""A model whose file, inputs, functions, workload and examples are called whatever harms: measured, advised on, told, compared."""

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from advisor.files.records import read_json, to_yaml
from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.steps.pipeline.comparing import compared
from advisor.steps.recommend import recommend
from advisor.tell.charts.page import chart_scripts
from advisor.tell.comparison.rendering import render as render_comparison
from advisor.tell.formats import formats
from advisor.tell.report import render
from advisor.tell.table import table
from tests.models import WIDTH, in_function, mlp, save
from tests.profiles import NOW

HOSTILE = "<script>alert(1)</script>{{7*7}}\x1b[31m\u202e\n| x ![](http://x.y/z) =1+1"
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
ITEMS = 60


class Page(HTMLParser):
    """The attributes of a page, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: set[str] = set()
        self.tags: set[str] = set()
        self.scripts: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        if self._tag == "script":
            self.scripts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the advice on such a model."""
    made = tmp_path_factory.mktemp("hostile")
    model = in_function(mlp())
    node, x, logits = model.graph.node[0], model.graph.input[0], model.graph.output[0]
    model.functions[0].name = node.op_type = node.name = HOSTILE
    node.input[0] = x.name = HOSTILE
    node.output[0] = logits.name = f"{HOSTILE} out"
    x.type.tensor_type.shape.dim[0].dim_param = logits.type.tensor_type.shape.dim[0].dim_param = HOSTILE
    path = save(model, made / f"{HOSTILE.replace('/', '|')}.onnx")
    random = np.random.default_rng(0)
    np.savez(
        made / "eval.npz",
        slice=np.array([f"{HOSTILE} {number % 2}" for number in range(ITEMS)]),
        **{HOSTILE: random.standard_normal((ITEMS, WIDTH)).astype(np.float32)},
    )
    asked = {
        "name": HOSTILE,
        "traffic": {"requests_per_s": 50},
        "slo": {"latency_s": 1},
        "hardware": {"price_usd_per_hour": {"local": 0.17}},
        "quality": {"metric": "cosine", "max_drop": 0.5, "data": "eval.npz"},
    }
    (made / "w.yaml").write_bytes(to_yaml(asked))
    options = ProfileOptions(workload=made / "w.yaml", budget_s=1.0, max_batch_size=2)
    recommend(path, made / "advice", options, is_verified=False, now=NOW, report=lambda *_, line=None: None)
    return made / "advice"


def unseen(text: str) -> set[str]:
    own = chart_scripts()  # Vega has tabs
    return {character for character in set(text.replace(own, "")) - {"\n"} if unicodedata.category(character) in UNSEEN}


def test_names_are_told_and_do_nothing_in_any_report(folder: Path) -> None:
    advice = read_json(folder / "advice.json", Advice, made_by="advisor advise")
    shown = {format_: render(advice, format_) for format_ in formats("advice")}
    shown |= {"report.html": (folder / "report.html").read_text(), "report.md": (folder / "report.md").read_text()}

    assert HOSTILE == advice.workload.name and HOSTILE == advice.model.inputs[0].name
    assert {name: set() for name in shown} == {name: unseen(text) for name, text in shown.items()}
    for text in (shown["html"], shown["report.html"]):
        page = Page(text)
        assert {"img", "iframe", "object", "link"}.isdisjoint(page.tags)
        assert [] == [name for name in page.attributes if name.startswith("on")]
        assert [] == [script for script in page.scripts if script.startswith("alert")]
        assert "49" not in re.findall(r"script(?:&gt;|>|\\u003e)(\S\S)", text)
    for text in (shown["md"], shown["report.md"]):
        assert "<script" not in text and "![](" not in text


def test_names_are_told_and_do_nothing_in_a_comment_a_test_report_and_a_table(folder: Path) -> None:
    comparison = compared(folder / "advice.json", folder / "advice.json", None, now=NOW)
    shown = {format_: render_comparison(comparison, format_) for format_ in ("md", "junit", "text", "json")}
    rows = table(read_json(folder / "advice.json", Advice, made_by="advisor advise"))

    assert {name: set() for name in shown} == {name: unseen(text) for name, text in shown.items()}
    assert "<script" not in shown["md"] + shown["junit"] and "![](" not in shown["md"]
    assert len(shown["md"].splitlines()) <= 20
    assert set() == unseen(rows)
    assert [] == [cell for line in rows.splitlines() for cell in line.split(",") if cell.startswith(("=", "@"))]
