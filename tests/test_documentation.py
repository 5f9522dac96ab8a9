"""README.md and docs/: every command in them is run or at least understood, every file in them is read, every link leads somewhere."""

import importlib.util
import json
import re
import shutil
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import get_type_hints

import click
import jsonschema
import pytest
import yaml
from click.shell_completion import get_completion_class
from msgspec.structs import replace

import advisor
from advisor import templates
from advisor.cli import cli
from advisor.files.catalog import read_hardware
from advisor.files.records import read_yaml, write_record
from advisor.files.trace import read_trace
from advisor.schema import advice, generation, language, lifetime
from advisor.schema import profile as measured_records
from advisor.schema.catalog import Scheme
from advisor.schema.record import Record
from advisor.steps.pipeline.schemas import schema_of
from advisor.tell import formats, report
from tests import models
from tests.damage import ended
from tests.documentation import PAGES, REFERENCE, ROOT, blocks, commands, sentences, spans, the_block
from tests.profiles import fixed_cost_law, profile, with_site
from tests.steps.deploy.test_export import advice_on
from tests.steps.language.test_advise import CONFIGS
from tests.tell.advice_examples import change

# These measure, train or serve: minutes, or another package. What is exported is so by tests/steps/deploy/test_export.py, where it starts
# as well; a language model elsewhere, which takes seconds, is advised on in tests/steps/language, sweeps run in
# tests/steps/sweep, many workloads and the store in tests/commands. What reads an address is understood alone. All else is run.
ONLY_READ = ("profile", "recommend", "verify", "distill", "export", "sweep", "advise-many", "store")
# What is advised, or held against a policy, may come out in any way.
ANY_OUTCOME = ("advise", "check", "classify", "compare", "gate")
OUTCOMES = (0, 1, 3, 6, 7, 8)
OWN_FORMAT = "brief"  # of the recipe, which makes it: click knows those that are installed
OF_THE_SHELL = ("cd", "curl", "git")
OF_CLUSTERS = ("kubectl", "ray")
EXPORTED = ("session.py", "serve.py")
LANGUAGES = {"csv", "jinja", "python", "sh", "text", "yaml"}
WORKLOAD = """
name: a test
traffic: {requests_per_s: 100}
slo: {latency_s: 500 ms}
hardware: {price_usd_per_hour: {local: 0.17}}
"""
PORTFOLIO = """
name: a test
budget_usd: 1000
workloads: [{workload: examples/scenarios/customer-chatbot.yaml}]
"""
ACCESS_LOG = '1.2.3.4 - - [22/Nov/2026:08:00:{:02} +0000] "POST /v1/embed HTTP/1.1" 200 9 "-" "-"\n'
ALL = [*{command.words: command for command in commands()}.values()]
OURS = [command for command in ALL if command.words[0] == "advisor"]


# --- commands ------------------------------------------------------------------------------------------------------------------


def recorded():
    """The table of requests of the recipe, going on for as long as advisor asks for."""
    return the_block("docs/recipes.md", "arrival_s") + "".join(f"{index},{index}\n" for index in range(1, 100))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with every file that a command of the documentation reads."""
    place = tmp_path_factory.mktemp("given")
    (place / "examples").symlink_to(ROOT / "examples")
    mlp = models.save(models.mlp(), place / "mlp.onnx")
    shutil.copy(ROOT / "examples" / "data" / "fashion_dscnn.onnx", place / "model.onnx")
    shutil.copy(CONFIGS / "qwen3-0.6b.json", place / "config.json")
    shutil.copy(ROOT / "examples" / "ci" / "policy.yaml", place / "policy.yaml")
    (place / "workload.yaml").write_text(WORKLOAD)
    measured = profile(fixed_cost_law(0.002, 0.004), batch_sizes=(1, 4))
    there = with_site(measured, hardware=replace(measured.sites[0].hardware, id="there"))
    for name, written in {"profile": measured, "here": measured, "there": there, "both": measured}.items():
        write_record(place / f"{name}.json", written)
    for folder in ("advice", "main", "measured", "old", "new"):
        (place / folder).mkdir()
        shutil.copy(mlp, place / folder)
    for name in ("advice", "advice/advice", "main/advice", "measured/advice", "old/advice", "new/advice"):
        write_record(place / f"{name}.json", advice_on(mlp))
    (place / "my-rules").mkdir()
    (place / "my-rules" / "labels-are-dear.yaml").write_text(the_block("docs/rules.md", "id:"))
    (place / "requests.csv").write_text(recorded())
    for name in ("prices.csv", "mine.csv"):
        (place / name).write_text(the_block("docs/recipes.md", "provider"))
    (place / "FOLDER").symlink_to("my-rules")
    (place / "portfolio.yaml").write_text(PORTFOLIO)
    (place / "access.log").write_text("".join(map(ACCESS_LOG.format, range(60))))
    request = {"start_times": [0.0, 0.5, 1.0], "input_lens": [9, 9, 9], "output_lens": [3, 3, 3], "ttfts": [0.1] * 3}
    (place / "result.json").write_text(json.dumps(request))
    return place


def understood(words):
    """Parse a command as click does, down to the command itself; returns its name and its parameters."""
    command, context, rest = cli, click.Context(cli, info_name="advisor"), list(words[1:])
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        context = click.Context(command, info_name=name, parent=context)
    return name, command.make_context(name, rest, parent=context.parent).params


def without_shell(words):
    """The words of the command itself: what it prints may go to a file, and a format of one's own be installed."""
    here = words[: words.index(">")] if ">" in words else words
    return tuple("md" if word == OWN_FORMAT else word for word in here)


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.where)
def test_every_command_of_the_documentation_does_what_it_is_there_for(command, given, tmp_path):
    words = without_shell(command.words)
    name, asked = understood(words)
    missing = [value for value in asked.values() if str(value).startswith("examples/") and not (ROOT / str(value)).exists()]
    assert missing == []
    if words[1] in ONLY_READ or (name == "advise" and "config.json" in words) or any(word.startswith("http:") for word in words):
        return
    place = tmp_path / "place"
    shutil.copytree(given, place, symlinks=True)
    for written in {asked.get("output"), Path("workload.yaml") if name == "init" else None} - {None, Path("-")}:
        (place / written).unlink(missing_ok=True)

    status, out, err = ended(*words[1:], cwd=place)

    assert status in (OUTCOMES if name in ANY_OUTCOME else (0,)), err
    assert out or asked.get("output")


def extras():
    with (ROOT / "pyproject.toml").open("rb") as file:
        return set(tomllib.load(file)["project"]["optional-dependencies"])


def is_installable(what):
    name, _, named = what.partition("[")
    return name == "." and set(named.rstrip("]").split(",")) - {""} <= extras()


@pytest.mark.parametrize("command", [entry for entry in ALL if entry not in OURS], ids=lambda command: command.where)
def test_what_is_run_beside_advisor_is_there(command):
    program, *rest = command.words
    shell = re.search(r"_ADVISOR_COMPLETE=(\w+)_source advisor", command.text)
    if shell is not None:
        assert "_ADVISOR_COMPLETE" in get_completion_class(shell[1])(cli, {}, "advisor", "_ADVISOR_COMPLETE").source()
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest and set(rest) <= set(targets)
    elif program == "pip":
        assert ["install", "-r", "requirements.txt"] == rest or (rest[0] == "install" and all(map(is_installable, rest[1:])))
    elif program in ("python", ".venv/bin/python"):
        assert rest[0] in EXPORTED or (ROOT / rest[0]).is_file()
    else:
        assert program in (*OF_THE_SHELL, *OF_CLUSTERS), f"{command.where}: nobody knows how to try {command.text!r}"


def options_of(command):
    return {name for entry in command.params for name in (*entry.opts, *entry.secondary_opts)} | {"-h", "--help"}


def every_option(group=cli):
    inner = (every_option(entry) if isinstance(entry, click.Group) else options_of(entry) for entry in group.commands.values())
    return set().union(options_of(group), *inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_inside_sentences_are_there(page):
    theirs = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))
    for span in spans(page):
        words = span.split()
        if words[0] == "advisor" and len(words) > 1 and words[1] != "COMMAND":
            command, rest = cli, words[1:]
            while isinstance(command, click.Group) and rest:
                command, rest = command.commands[rest[0]], rest[1:]
            given_options = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
            assert given_options <= options_of(command), span
        elif words[0].startswith("--"):
            assert words[0] in every_option() or f'"{words[0]}"' in theirs, span


# --- files ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.where)
def test_every_block_is_in_a_language_that_is_looked_at(block):
    assert block.language in LANGUAGES
    if block.language == "python":
        compile(block.text, block.where, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_command_stands_outside_of_a_block_that_is_looked_at(page):
    assert re.findall(r"^(?: {4}|\t)(?:advisor|make|pip|python) .*", sentences(page), re.MULTILINE) == []


def kinds_of(text, folder):
    """The kinds of files that a text may be."""
    tree = yaml.safe_load(text)
    valid = [
        kind
        for kind in ("workload", "portfolio", "policy", "rule", "hardware", "sweep")
        if jsonschema.Draft202012Validator(schema_of(kind)).is_valid(tree)
    ]
    if "method" in tree:
        (folder / "scheme.yaml").write_text(text)
        valid += ["scheme"] if read_yaml(folder / "scheme.yaml", Scheme).id == tree["id"] else []
    return valid


@pytest.mark.parametrize("block", [entry for entry in blocks() if entry.language == "yaml"], ids=lambda block: block.where)
def test_every_file_in_the_documentation_is_one_that_advisor_reads(block, tmp_path):
    assert kinds_of(block.text, tmp_path)


# --- recipes -------------------------------------------------------------------------------------------------------------------


def test_the_device_of_the_recipe_is_one_and_a_number_without_its_source_is_refused(tmp_path):
    (tmp_path / "my_gpu.yaml").write_text(the_block("docs/recipes.md", "id: my_gpu"))

    device = read_hardware(tmp_path)["my_gpu"]

    assert (24e9, 120e12) == (device.memory_bytes, device.peak_flop_per_s["fp16"])


def test_the_format_of_the_recipe_prints_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(templates, "__path__", [*templates.__path__, str(tmp_path)])
    (tmp_path / OWN_FORMAT).mkdir()
    (tmp_path / OWN_FORMAT / "advice.txt.j2").write_text(the_block("docs/recipes.md", "{{ document.headline }}"))
    formats._folders.cache_clear()
    try:
        text = report.render(change(), OWN_FORMAT)
    finally:
        formats._folders.cache_clear()

    assert text.startswith(change().headline) and len(text.splitlines()) == 1 + len(change().frontier)


def test_the_trace_of_the_recipe_is_read_by_its_workload(tmp_path):
    (tmp_path / "requests.csv").write_text(recorded())
    [text] = [block.text for block in blocks(ROOT / "docs" / "recipes.md") if "trace: requests.csv" in block.text]
    columns = yaml.safe_load(text)["traffic"]["columns"]

    trace = read_trace(tmp_path / "requests.csv")

    assert {"arrival": "arrival_s", "sequence_length": "sequence_length"} == columns
    assert ([0.0, 0.31, 0.47], [12, 80, 33]) == (trace.arrival_s[:3].tolist(), trace.sequence_length[:3].tolist())


def test_every_figure_with_an_interval_stands_in_the_page_on_numbers():
    """Records hold what a report shows: a field that is new has to be explained there."""
    named = set(spans(ROOT / "docs" / "numbers.md"))
    records = (
        entry
        for module in (advice, generation, language, lifetime, measured_records)
        for entry in vars(module).values()
        if isinstance(entry, type) and issubclass(entry, Record) and entry.__module__ == module.__name__
    )
    figures = {name for record in records for name, kind in get_type_hints(record).items() if "Estimate" in str(kind)}

    assert len(figures) > 70
    assert figures - named == set()


def test_what_the_page_on_python_names_is_there():
    named = re.findall(r"`?advisor\.(\w+)\(", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"))

    assert {"recommend", "profile", "advise", "verify", "classify"} <= set(named)
    assert all(callable(getattr(advisor, name)) for name in named)


# --- the reference, the links, the pages --------------------------------------------------------------------------------------


def test_the_reference_of_the_command_line_is_that_of_the_commands():
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "docs" / "cli_reference.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    written = REFERENCE.read_text(encoding="utf-8").partition("]]] -->\n")[2].partition("\n<!-- [[[end]]]")[0]

    assert written == made.reference(), "run: .venv/bin/cog -I docs -r docs/cli.md"


def anchors(path):
    """The anchors of a page, as code hosts and MkDocs make them of its headings."""
    headings = re.findall(r"^#+ (.+)$", sentences(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_to_a_heading_of_it(page):
    for target in re.findall(r"\]\((?!https://)([^)\s]+)\)", sentences(page)):
        path, _, anchor = target.partition("#")
        to = page.parent / path if path else page
        assert to.is_file(), target
        assert not anchor or anchor in anchors(to), target
        # The built documentation holds nothing that lies outside of docs/.
        assert not page.is_relative_to(ROOT / "docs") or to.resolve().is_relative_to(ROOT / "docs"), target


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_pages_are_built_without_a_warning_and_ask_no_network(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))

    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert {path.stem for path in PAGES if path.is_relative_to(ROOT / "docs")} <= {path.stem for path in pages}
    loaded = r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+rel="(?:stylesheet|preconnect|preload)"[^>]+href="(?:https?:)?//'
    assert [path.name for path in pages if re.search(loaded, path.read_text(encoding="utf-8"))] == []
