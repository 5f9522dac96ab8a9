import html
import os
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import combinations, pairwise
from pathlib import Path
from typing import get_args, get_type_hints

import jinja2
import msgspec
import pytest
from msgspec.structs import replace

from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.language import LanguageAdvice
from advisor.schema.lifetime import Classification
from advisor.schema.overview import Overview
from advisor.schema.record import Basis, Estimate, Record
from advisor.tell import report
from advisor.tell.charts.page import chart_scripts
from advisor.tell.comparison.overview import overview_words
from advisor.tell.formats import formats
from advisor.tell.generation.tables import (
    decoder_rows,
    generation_origin_rows,
    generation_rows,
    generation_setting_rows,
    kv_rows,
    load_rows,
    replay_facts,
    replay_rows,
    speculation_rows,
)
from advisor.tell.generation.words import generation_words
from advisor.tell.language.naming import subject
from advisor.tell.language.tables import (
    accepting_rows,
    api_rows,
    architecture_rows,
    deployment_rows,
    device_rows,
    draft_rows,
    language_evidence_rows,
    language_rows,
    language_setting_rows,
)
from advisor.tell.language.words import language_words
from advisor.tell.options import options
from advisor.tell.words.advice import FOR_QUALITY, advice_words
from advisor.tell.words.evidence import evidence_rows, input_rows, model_rows
from advisor.tell.words.figures import Sentence, as_text
from advisor.tell.words.job import job_words
from advisor.tell.words.life import classification_words, life_of_advice, life_words, share_rows
from advisor.tell.words.portfolio import portfolio_words
from advisor.tell.words.tables import curve_rows, fleet_rows, load_test_rows, origin_rows, prediction_rows, setting_rows
from tests.tell.advice_examples import BUILDERS
from tests.tell.documents import DOCUMENTS, READ_ALONE, UNDRAWN
from tests.tell.generation_examples import BUILDERS as GENERATING
from tests.tell.language_examples import BUILDERS as ELSEWHERE

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
REBASELINE = "REBASELINE=1 python -m pytest tests/tell/test_report.py -k golden"
EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}
TEMPLATES = sorted(
    f"{folder.name}/{entry.name}"
    for folder in files("advisor.templates").iterdir()
    if folder.is_dir()
    for entry in folder.iterdir()
)
TEMPLATES = [name for name in TEMPLATES if name.endswith(".j2")]
# Elements that HTML closes by itself.
VOID = {"br", "meta"}
ADDRESSED = {"action", "data", "href", "poster", "src", "srcset", "xlink:href"}
# A luminance ratio of 4.5 is WCAG's AA for text of normal size.
LEAST_CONTRAST = 4.5
SENTENCE = 5  # words; what is shorter is a heading


@pytest.fixture(params=EXAMPLES)
def advice(request: pytest.FixtureRequest) -> Advice:
    return EXAMPLES[request.param]


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest) -> Record:
    return DOCUMENTS[request.param]


# What was rendered for one test is there for the next. The document stays with it, so that no other one gets its identity.
RENDERED: dict[tuple[int, str], tuple[Record, str]] = {}


def render(document: Record, format_: str) -> str:
    key = id(document), format_
    if key not in RENDERED:
        RENDERED[key] = document, report.render(document, format_, READ_ALONE)
    return RENDERED[key][1]


class Page(HTMLParser):
    """A page as its elements (tag, attributes) and its text; `faults` says where a tag does not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def attributes(self, *names: str) -> list[str]:
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in names]


@cache
def page_of(text: str) -> Page:
    return Page(text)


def test_every_opened_element_is_closed(document: Record) -> None:
    page = page_of(render(document, "html"))

    assert [] == page.faults


def beside(document: Record) -> set[str]:
    """Return the files that a page may lead to: the reports of what an overview is of."""
    rows = document.rows if isinstance(document, Overview) else ()
    return {path for row in rows for path in (row.advice_path, row.report_path) if path is not None}


def test_the_page_needs_nothing_but_itself(document: Record) -> None:
    text = render(document, "html")
    page = page_of(text)

    assert [] == [
        address for address in page.attributes(*ADDRESSED) if not address.startswith("#") and address not in beside(document)
    ]
    assert {"link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.elements)
    assert {"application/json"} >= {attributes.get("type") for tag, attributes in page.elements if tag == "script"}
    assert None is re.search(r"url\(|@import", text[: text.index("</style>")])


def test_every_reference_within_the_page_leads_somewhere(document: Record) -> None:
    page = page_of(render(document, "html"))
    identities = page.attributes("id")
    named = {name for value in page.attributes("aria-labelledby") for name in value.split()}
    used = {value.removeprefix("#") for value in page.attributes("href")} - beside(document)

    assert sorted(set(identities)) == sorted(identities)
    assert set() == (named | used) - set(identities)


def test_regions_have_names_of_their_own(document: Record) -> None:
    named = [
        attributes["aria-label"]
        for tag, attributes in page_of(render(document, "html")).elements
        if attributes.get("role") == "region" or tag == "nav"
    ]

    assert sorted(set(named)) == sorted(named)


def test_what_scrolls_is_reached_by_the_keyboard(document: Record) -> None:
    scrolling = [
        at for _, at in page_of(render(document, "html")).elements if {"scroll", "paste"} & set(at.get("class", "").split())
    ]

    assert [] == [at for at in scrolling if at.get("tabindex") != "0" or not at.get("aria-label")]


# The parts of a report in their order: for who signs, from opportunities to sources, and behind the appendix for who builds it.
ORDER = (
    *(
        "decision",
        "accepting",
        "student",
        "apis",
        "opportunities",
        "break-even",
        "frontier",
        "ways",
        "next",
        "ties",
        "unproven",
        "places",
    ),
    *("fleet", "students", "cost", "prediction", "load", "served", "certainty", "verdict", "expiry", "not-chosen", "evidence"),
    *("appendix", "run", "serving", "variants", "speed-ties", "speculation", "cache", "model", "inputs", "silent", "excluded"),
)
OF_JOBS_AND_PLANS = {"figures", "others", "choices", "workloads", "open", "failed", "since"}


def test_the_parts_of_a_report_stand_in_one_order_the_decision_first(document: Record) -> None:
    page = page_of(render(document, "html"))
    found = [at["id"] for tag, at in page.elements if "id" in at and (tag == "h2" or at["id"] == "decision")]
    known = [part for part in found if part not in OF_JOBS_AND_PLANS]
    if isinstance(document, OfflineAdvice):  # of a job, the search is all there is to say of sources, and stands in the appendix
        known.remove("evidence")

    assert "decision" == found[0]
    assert [part for part in ORDER if part in known] == known
    assert ("appendix" in found) == ("#appendix" in page.attributes("href"))


def test_silent_rules_and_exclusions_are_folded_into_the_appendix() -> None:
    advice = EXAMPLES["change"]
    silent = next(it for it in advice.verdict.findings if it.outcome == "silent")
    for format_ in ("html", "md"):
        lead, appendix = (_read(_plain(part)) for part in render(advice, format_).split("Appendix for engineers"))

        assert advice.exclusions and silent.title
        for said in (silent.why, advice.exclusions[0].reason):
            assert said not in lead and said in appendix
            assert re.search(rf"<details>(?:(?!</details>).)*{re.escape(said[:20])}", appendix, re.DOTALL)


def test_headings_come_in_order(document: Record) -> None:
    levels = [int(tag[1]) for tag, _ in page_of(render(document, "html")).elements if re.fullmatch(r"h\d", tag)]

    assert 1 == levels[0] and 1 == levels.count(1)
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_header_cell_has_a_scope_and_every_drawing_a_name_or_none_on_purpose(document: Record) -> None:
    elements = page_of(render(document, "html")).elements

    assert all("scope" in attributes for tag, attributes in elements if tag == "th")
    assert all("aria-labelledby" in attributes or "aria-hidden" in attributes for tag, attributes in elements if tag == "svg")


def test_every_estimate_on_the_page_has_its_interval_and_basis(advice: Advice) -> None:
    text = render(advice, "html")
    estimate = re.compile(
        r'<span class="estimate"><b>[^<]+</b> (?:<span class="interval(?: in-words)?">\([^<]+\)</span> )?'
        r'<span class="basis (measured|interpolated|simulated|projected|list-price|assumed)" title="[^"]+">\1</span></span>'
    )

    assert 8 < text.count('class="estimate"') == len(estimate.findall(text))
    # Without an interval beside it stands only what is an interval itself.
    assert all(" to " in figure for figure in re.findall(r'class="estimate"><b>([^<]+)</b> <span class="basis', text))


def test_near_saturation_a_high_quantile_is_reported_as_an_interval_alone() -> None:
    text = render(EXAMPLES["served"], "md")

    assert "| p99 latency | 87 ms (80.9–94.3, measured) | 61 ms to 160 ms (simulated) |" in text
    assert "| p50 latency | 31 ms (28.8–33.6, measured) | 30.1 ms (27.4–33.3, simulated) |" in text


def test_what_is_long_is_folded() -> None:
    short, long = (render(EXAMPLES[name], "html").count("<details") for name in ("change", "crowded"))

    assert short + 2 == long


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_opens_a_figure_prints_its_interval_and_basis_too(name: str) -> None:
    source = files("advisor.templates").joinpath(name).read_text(encoding="utf-8")

    opened = {at: set(re.findall(rf"(\w+(?:\.\w+)*)\.{at}\b", source)) for at in ("value", "low", "high", "basis")}
    shown = set(re.findall(r"(\w+)\.shown\b", source))

    assert opened["value"] == opened["low"] == opened["high"]
    assert opened["value"] | shown == opened["basis"]
    assert shown == set(re.findall(r"(\w+)\.interval\b", source))


def test_what_is_unknown_is_said_in_words(document: Record) -> None:
    texts = [render(document, format_) for format_ in formats(report.KINDS[type(document).__name__])]

    assert [] == re.findall(r"\b(?:None|nan|NaN|inf|Infinity|Undefined)\b", "\n".join(texts))


def test_markup_in_a_name_is_text_on_the_page() -> None:
    text = render(EXAMPLES["minimal"], "html")

    assert 0 == text.count("<script>") == text.count("<i>c")
    assert EXAMPLES["minimal"].model.name in "".join(page_of(text).texts)


def test_markup_in_a_name_is_text_in_markdown() -> None:
    text = render(EXAMPLES["minimal"], "md")

    assert [] == re.findall(r"(?<!\\)<(?!/?(?:details|summary)>|!-- serving-advisor [\d.]+ -->)", text)


def _sentences(words: Record) -> Iterator[str]:
    """Yield each sentence as Markdown shows it; a tuple is one sentence of several parts, or several of them, as its type says."""
    for name, hint in get_type_hints(type(words)).items():
        said = getattr(words, name)
        if isinstance(said, str) or hint in (Sentence, Sentence | None):
            yield as_text(said or "")
        elif hint in (tuple[str, ...], tuple[Sentence, ...]):
            yield from (as_text(it) for it in said)


def _as_markdown(page: str) -> str:
    """Return the text of a page with its figures as Markdown shows them."""
    cells = page_of(re.sub(r"</(?:dd|dt|td|th)>", r" \g<0>", page)).texts
    bases = "|".join(get_args(Basis))
    text = re.sub(rf" \(([^()]+)\) ({bases})(?!\w)", r" (\1, \2)", " ".join("".join(cells).split()))
    return re.sub(rf"( to [^ ]+ [^ ]+) ({bases})(?!\w)", r"\1 (\2)", text)


def _read(markdown: str) -> str:
    """Return Markdown as its reader sees it, what is escaped in it."""
    return html.unescape(re.sub(r"\\(.)", r"\1", markdown))


def _plain(text: str) -> str:
    """Return a report with the usual space where a number and its unit stay on one line."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _words_of(document: Record) -> tuple[Record, ...]:
    if isinstance(document, Advice):
        return advice_words(document), life_of_advice(document)
    if isinstance(document, GenerationAdvice):
        return (generation_words(document),)
    if isinstance(document, LanguageAdvice):
        return (language_words(document),)
    if isinstance(document, OfflineAdvice):
        return (job_words(document),)
    if isinstance(document, Classification):
        life = life_words(document.verdict, document.outlook, document.horizon_months)
        return classification_words(document), life
    return (overview_words(document) if isinstance(document, Overview) else portfolio_words(document),)


def test_the_same_sentences_stand_in_every_format(document: Record) -> None:
    page = _as_markdown(render(document, "html"))
    markdown = _read(render(document, "md"))
    said = {" ".join(sentence.split()) for words in _words_of(document) for sentence in _sentences(words)} - {""}

    in_page, in_markdown = ({sentence for sentence in said if sentence in text} for text in (page, markdown))

    assert in_page == in_markdown
    # The life of a model is told in full by a classification, and by advice without its first paragraph.
    assert len(said) - 4 <= len(in_page)


def test_every_cell_of_a_table_stands_in_every_format(advice: Advice) -> None:
    page = _as_markdown(render(advice, "html"))
    markdown = _read(render(advice, "md"))
    tables = (
        *(setting_rows(advice), origin_rows(advice), prediction_rows(advice), evidence_rows(advice), fleet_rows(advice)),
        *(model_rows(advice.model), input_rows(advice.model), curve_rows(advice), share_rows(advice.verdict)),
        *(load_test_rows(test) for test in advice.load_tests),
    )
    told = {text for rows in tables for row in rows for text in (row.label, row.goal, *(as_text(cell) for cell in row.cells))}

    assert set() == {text for text in told if not (" ".join(text.split()) in page and " ".join(text.split()) in markdown)}


@pytest.mark.parametrize("builder", GENERATING)
def test_every_cell_of_advice_on_a_generative_model_stands_in_every_format(builder) -> None:
    advice = builder()
    page = _as_markdown(render(advice, "html"))
    markdown = _read(render(advice, "md"))
    tables = (
        *(generation_setting_rows(advice), generation_origin_rows(advice), generation_rows(advice), load_rows(advice)),
        *(kv_rows(advice), speculation_rows(advice) if advice.speculation else (), decoder_rows(advice), evidence_rows(advice)),
        *(rows(replay) for replay in advice.replays for rows in (replay_rows, replay_facts)),
    )
    told = {text for rows in tables for row in rows for text in (row.label, row.goal, *(as_text(cell) for cell in row.cells))}

    assert set() == {text for text in told if not (" ".join(text.split()) in page and " ".join(text.split()) in markdown)}


@pytest.mark.parametrize("builder", GENERATING)
def test_every_estimate_of_advice_on_a_generative_model_has_its_interval_and_basis(builder) -> None:
    text = render(builder(), "html")
    estimate = re.compile(
        r'<span class="estimate"><b>[^<]+</b> <span class="interval(?: in-words)?">\([^<]+\)</span> '
        r'<span class="basis (\w[\w-]+)" title="[^"]+">\1</span>'
    )

    assert 8 < text.count('class="estimate"') == len(estimate.findall(text))


@pytest.mark.parametrize("builder", ELSEWHERE)
def test_every_cell_of_advice_on_a_language_model_elsewhere_stands_in_every_format(builder) -> None:
    advice = builder()
    page = _as_markdown(render(advice, "html"))
    markdown = _read(render(advice, "md"))
    tables = (
        *(language_setting_rows(advice), language_rows(advice), api_rows(advice), accepting_rows(advice), draft_rows(advice)),
        *(
            load_rows(advice),
            kv_rows(advice),
            architecture_rows(advice.model),
            language_evidence_rows(advice),
            device_rows(advice),
        ),
    )
    told = {text for rows in tables for row in rows for text in (row.label, row.goal, *(as_text(cell) for cell in row.cells))}
    told |= {as_text(cell) for row in deployment_rows(advice) for cell in (row.deployment, *row.times, row.cost, row.keeps)}

    assert set() == {text for text in told if not (" ".join(text.split()) in page and " ".join(text.split()) in markdown)}


@pytest.mark.parametrize("builder", [builder for builder in ELSEWHERE if subject(builder()) is not None])
def test_every_estimate_of_advice_on_a_language_model_elsewhere_has_its_interval_and_basis(builder) -> None:
    text = render(builder(), "html")
    estimate = re.compile(
        r'<span class="estimate"><b>[^<]+</b> <span class="interval(?: in-words)?">\([^<]+\)</span> '
        r'<span class="basis (\w[\w-]+)" title="[^"]+">\1</span>'
    )

    assert 8 < text.count('class="estimate"') == len(estimate.findall(text))


def _phrases(name: str) -> set[str]:
    """Return the runs of words that a template holds itself, without what it prints of what it is given."""
    source = files("advisor.templates").joinpath(name).read_text(encoding="utf-8")
    literals = [
        *(node.data for node in jinja2.Environment().parse(source).find_all(jinja2.nodes.TemplateData)),
        *(str(node.value) for node in jinja2.Environment().parse(source).find_all(jinja2.nodes.Const)),
    ]
    runs = [run.split() for text in literals for run in re.split(r"<[^>]*>|\||\n\n", text)]
    return {" ".join(run[at : at + SENTENCE]) for run in runs for at in range(len(run) - SENTENCE + 1)}


def test_no_sentence_stands_in_the_templates_of_two_formats() -> None:
    by_format: dict[str, set[str]] = {}
    for name in TEMPLATES:
        by_format.setdefault(name.partition("/")[0], set()).update(_phrases(name))

    shared = [one & other for one, other in combinations(by_format.values(), 2)]

    assert [set()] * len(shared) == shared


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(document: Record) -> None:
    for table in _tables(render(document, "md")):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table}

        assert 1 == len(widths), table


def _tables(text: str) -> Iterator[list[str]]:
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        if rows:
            assert re.fullmatch(r"\|(-+:?\|)+", rows[1])
            yield rows


@pytest.mark.parametrize("format_", ["html", "md"])
def test_goodput_and_sizes_of_batches_are_reported(format_: str) -> None:
    text = _plain(render(EXAMPLES["change"], format_))

    assert "Goodput: requests within 50 ms" in text and "99.62 %" in text
    assert "62 % of 1 request, 20 % of 2, 14 % of 3 to 4, 4 % of 5 to 8; 1.7 on average" in text


@pytest.mark.parametrize("format_", ["html", "md"])
@pytest.mark.parametrize(
    "said",
    [
        "below 41,000 requests a day",
        "$200 a label: mixed",
        "not counted: give lifecycle.data.validation",
        "above 34,600 requests a day",
        "not within the horizon",
        "saves about $5,900 a year",
        "paid back by 2027-03-11",
        "likely, not surely|yes",
        "give lifecycle.options.spot",
        "the prices are older than 90 days",
        "2027-02-20",
        "no date is known",
    ],
)
def test_what_to_do_about_the_cost_and_until_when_is_reported(format_: str, said: str) -> None:
    assert re.search(said.replace("$", r"\$"), _plain(render(EXAMPLES["change"], format_)))


@pytest.mark.parametrize("format_", ["html", "md"])
def test_the_busiest_part_is_reported_of_a_day_that_has_parts(format_: str) -> None:
    change, row = EXAMPLES["change"], "p99 in the busiest part"
    traffic = replace(change.workload.traffic, diurnal=(1.0, 2.0))
    at_peak = replace(change.recommended, latency_busiest_s=change.recommended.latency_p99_s)
    diurnal = replace(change, workload=replace(change.workload, traffic=traffic), recommended=at_peak)

    assert row in render(diurnal, format_) and row not in render(change, format_)


@pytest.mark.parametrize("advice", EXAMPLES.values(), ids=EXAMPLES)
def test_each_variant_is_among_the_alternatives_or_it_is_said_why_not(advice: Advice) -> None:
    lines = advice_words(advice).without_row
    named = [name.split(" (as ")[0] for line in lines for name in line.rsplit(": ", 1)[1].rstrip(".").split(", ")]
    listed = {option.prediction.candidate.variant for option in options(advice)}
    served = {it.id for it in advice.variants if it.student is None or it.student.is_trained}
    assert len(named) == len(set(named))
    assert not listed & set(named)
    assert served <= listed | set(named)


@pytest.mark.parametrize("format_", ["html", "md"])
def test_a_row_that_only_the_interval_of_its_loss_keeps_on_the_frontier_is_named(format_: str) -> None:
    change = EXAMPLES["change"]
    drop = Estimate(value=0.01, low=0.0, high=0.02, basis="measured", source="a test")
    quick = replace(change.recommended, quality_drop=drop)
    slow = replace(
        quick,
        candidate=replace(quick.candidate, variant="slow-one"),
        latency_slo_s=replace(quick.latency_slo_s, value=1.01 * quick.latency_slo_s.value),
    )

    assert f"{FOR_QUALITY}: slow-one." in render(replace(change, recommended=quick, frontier=(quick, slow)), format_)
    assert FOR_QUALITY not in render(replace(change, recommended=quick, frontier=(quick,)), format_)


def test_json_is_the_advice_itself(advice: Advice) -> None:
    text = render(advice, "json")

    assert advice == msgspec.json.decode(text, type=Advice)
    assert text.startswith('{\n  "kind": "online",\n  "schema_version"') and text.endswith("}\n")


def test_a_report_ends_in_one_newline(document: Record) -> None:
    texts = [render(document, format_) for format_ in formats(report.KINDS[type(document).__name__])]

    assert [text.rstrip("\n") + "\n" for text in texts] == texts


@pytest.mark.parametrize("format_", ["html", "md"])
@pytest.mark.parametrize(
    "saved", [("advice", "report", Advice), ("generation", "generation", GenerationAdvice)], ids=lambda it: it[0]
)
def test_the_report_of_saved_advice_is_the_golden_one(format_: str, saved: tuple[str, str, type]) -> None:
    source, name, kind = saved
    advice = msgspec.json.decode((GOLDEN / f"{source}.json").read_bytes(), type=kind)
    golden = GOLDEN / f"{name}.{format_}"
    text = report.render(advice, format_, UNDRAWN).replace(chart_scripts(), "")
    if os.environ.get("REBASELINE"):
        golden.write_text(text, encoding="utf-8")

    assert golden.read_text(encoding="utf-8") == text, f"if the new report is right, run: {REBASELINE}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background(theme: str) -> None:
    style = render(EXAMPLES["change"], "html").split("</style>", 1)[0]
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#\w+);", light if theme == "light" else dark))
    texts = [name for name in colors if name not in {"paper", "wash", "line"}]

    faint = {
        (name, ground)
        for name in texts
        for ground in ("paper", "wash")
        if _contrast(colors[name], colors[ground]) < LEAST_CONTRAST
    }

    assert set() == faint


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
