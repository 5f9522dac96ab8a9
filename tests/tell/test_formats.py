import subprocess
import sys
from pathlib import Path

import pytest

from advisor import templates
from advisor.errors import InputError
from advisor.tell import formats, report
from tests.tell.advice_examples import change
from tests.tell.documents import classification

FRONTIER = """\
{% for it in document.frontier %}
{{ it.candidate.variant }},{{ it.candidate.replicas }},{{ it.cost_usd_per_hour.value }}
{% endfor %}
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A format made by a file and nothing else: a folder for it beside those that come with advisor."""
    monkeypatch.setattr(templates, "__path__", [*templates.__path__, str(tmp_path)])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "advice.own.j2").write_text(FRONTIER)
    formats._folders.cache_clear()
    yield tmp_path / "own"
    formats._folders.cache_clear()


@pytest.mark.parametrize("kind", formats.KINDS)
def test_every_kind_of_document_has_every_format(kind: str) -> None:
    assert {"html", "md", "text", "json"} <= set(formats.formats(kind))


def test_a_folder_with_a_template_is_a_format(own_folder: Path) -> None:
    text = report.render(change(), "own")

    assert "own" in formats.formats("advice", "offline")
    assert ["int8-dynamic,1,0.34", "int8-dynamic,2,0.68", "int8-dynamic,3,1.02"] == text.splitlines()


def test_plain_text_is_not_escaped(own_folder: Path) -> None:
    (own_folder / "classification.own.j2").write_text("{{ document.workload }} <&>\n")

    assert "support | search <&>\n" == report.render(classification(), "own")


def test_a_report_is_written_in_every_format_that_has_a_template(own_folder: Path) -> None:
    assert {"own", "html", "md"} <= set(report.reports(change(), "pictures").texts)
    assert "own" not in report.reports(classification(), "pictures").texts


def test_a_kind_that_a_format_lacks_is_not_offered_and_its_error_says_what_is(own_folder: Path) -> None:
    assert "own" not in formats.formats("classification")
    with pytest.raises(InputError) as raised:
        report.render(classification(), "own")

    offered = ", ".join(formats.formats("classification"))
    assert ("there is no own of a classification", f"choose one of: {offered}") == (raised.value.fault, raised.value.hint)


def test_parts_of_templates_are_no_documents(own_folder: Path) -> None:
    (own_folder / "_rows.own.j2").write_text("")

    assert {"advice"} == set(formats._folders()["own"])


def test_no_folder_has_the_name_of_a_format_that_is_built_in() -> None:
    assert set() == set(formats._folders()) & set(formats.BUILT_IN)


def test_finding_the_formats_does_not_load_the_template_engine() -> None:
    code = "import sys; from advisor.tell.formats import formats; print(len(formats('advice')), 'jinja2' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert f"{len(formats.formats('advice'))} False" == ran.stdout.strip()
