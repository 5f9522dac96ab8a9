"""Students that a profile is asked for: proposed, named or trained; what is none is refused in two lines before anything is timed."""

import json

import pytest

from advisor.errors import AdvisorError, InputError, ModelError
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.quality import learned
from advisor.schema.options import ProfileOptions
from advisor.steps.distillation.students import Students, students_of
from advisor.steps.examples import GivenModel
from advisor.steps.recommend import recommend
from tests import models
from tests.measure.distillation.test_graph_students import transformer
from tests.processes import SHARED
from tests.profiles import NOW

WORKLOAD = """
name: a test
traffic: {requests_per_s: 50}
slo: {latency_s: 1 s}
hardware: {price_usd_per_hour: {local: 0.17}}
"""


def asked(path, *students, is_planned=False, taken=("fp32",)):
    model = GivenModel(path, inspect_onnx(path, name=path.name))
    options = ProfileOptions(students=students)
    return students_of(SHARED, model, path, path.parent / "p.variants", options, taken=taken, is_planned=is_planned)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return transformer(tmp_path_factory.mktemp("whole") / "model.onnx", range(4))


def ids(found):
    return [made.id for made in found.files]


def test_all_that_is_proposed_is_made_and_nothing_twice(whole):
    assert ["layers-3", "layers-2", "layers-1"] == ids(asked(whole, "layers-3", "auto", "layers-2"))


def test_nothing_is_made_where_nothing_is_asked_for_and_a_planned_life_gets_a_note(whole):
    assert Students() == asked(whole)
    (note,) = asked(whole, is_planned=True).notes
    assert "--student auto (layers-2, layers-1)" in note


def test_of_what_can_have_no_student_auto_says_why_and_goes_on(tmp_path):
    path = models.save(models.lstm(), tmp_path / "model.onnx")

    found = asked(path, "auto")

    assert [] == ids(found) and found.exclusions[0].reason.startswith("no student of this graph")
    assert () == asked(path, is_planned=True).notes


def test_a_file_that_was_made_before_is_made_again_only_where_it_was_damaged(whole):
    path = asked(whole, "layers-2").files[0].path
    before = path.stat().st_mtime_ns

    assert before == asked(whole, "layers-2").files[0].path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    asked(whole, "layers-2")
    assert content == path.read_bytes()


def test_a_student_that_was_trained_is_taken_under_the_name_of_its_file(whole, tmp_path):
    path = transformer(tmp_path / "layers-1.onnx", [7])

    (made,) = asked(whole, str(path), taken=("fp32", "layers-1")).files

    assert "layers-1-2" == made.id and made.student.is_trained
    assert made.student.parameters < made.student.teacher_parameters


def test_what_distilling_wrote_down_of_a_student_is_known_of_it(whole, tmp_path):
    transformer(tmp_path / "student" / "model.onnx", [0, 3])
    (tmp_path / "student" / "student.json").write_text(json.dumps(DISTILLED))

    (made,) = asked(whole, str(tmp_path / "student")).files

    assert ("student", "layers-2", 2, True) == (made.id, made.student.id, made.student.blocks, made.student.is_trained)


def test_what_students_learned_from_is_read_beside_them_and_missed_where_it_is_not(whole, tmp_path):
    for name, kind in (("texts", "blocks"), ("rows", "mlp"), ("unknown", "blocks")):
        transformer(tmp_path / name / "model.onnx", [0, 3])
        label = DISTILLED | {"student": DISTILLED["student"] | {"kind": kind}}
        (tmp_path / name / "student.json").write_text(json.dumps(label))
        if name != "unknown":
            (tmp_path / name / learned.FILE).write_bytes(learned.packed([name.encode() * 4]))

    found = asked(whole, *(str(tmp_path / name) for name in ("texts", "rows", "unknown"))).learned

    assert (b"textstex", b"rowsrows", ("unknown",)) == found


ESTIMATE = {"value": 0.9, "low": 0.8, "high": 0.95, "basis": "measured", "source": "a test"}
DISTILLED = {
    "schema_version": 3,
    "recipe": "0" * 64,
    "created": NOW,
    "advisor_version": "0",
    "teacher_sha256": "0" * 64,
    "student": {
        "id": "layers-2",
        "kind": "blocks",
        "blocks": 2,
        "teacher_blocks": 4,
        "parameters": 500,
        "teacher_parameters": 900,
        "is_trained": True,
    },
    "files": {},
    "data_sha256": "0" * 64,
    "items": 100,
    "held_out_items": 10,
    "steps": 5,
    "budget_s": None,
    "seed": 0,
    "versions": {},
    "outcome": {
        "learned": "embeddings",
        "steps": 5,
        "planned_steps": 5,
        "seconds": 1.0,
        "metric": "cosine",
        "agreement": ESTIMATE,
    },
}


def damaged_label(folder):
    transformer(folder / "student" / "model.onnx", [0])
    (folder / "student" / "student.json").write_text("{")
    return folder / "student"


def cut_short(folder):
    path = transformer(folder / "student.onnx", [0])
    path.write_bytes(path.read_bytes()[:-50])
    return path


def another_model(folder):
    return models.save(models.mlp(), folder / "student.onnx")


def empty(folder):
    (folder / "student").mkdir()
    return folder / "student"


def half_a_checkpoint(folder):
    (folder / "student").mkdir()
    (folder / "student" / "model.safetensors").write_bytes(b"nothing")
    return folder / "student"


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda _: "layers-4", "has 4 layers, and a student has fewer"),
        (lambda _: "layer-3", "names no student, and there is no such file or folder"),
        (lambda _: "width-4", "a graph alone does not say how to make it narrower"),
        (lambda _: "trees-3", "is no ensemble of trees"),
        (lambda _: "static", "vectors of words are made from texts"),
        (damaged_label, "student.json"),
        (cut_short, "student.onnx"),
        (another_model, "--student: .*its inputs are"),
        (empty, "an empty folder"),
        (half_a_checkpoint, "config.json"),
    ],
)
def test_what_is_no_student_is_refused_in_two_lines(whole, give, said, tmp_path):
    with pytest.raises((InputError, ModelError), match=said) as caught:
        asked(whole, str(give(tmp_path)))

    assert "\n" not in caught.value.fault + caught.value.hint
    assert isinstance(caught.value, AdvisorError)


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    """A folder in which a small forest was recommended on with its students, and the advice."""
    folder = tmp_path_factory.mktemp("forest")
    models.save(models.forest(zipmap=False), folder / "forest.onnx")
    (folder / "workload.yaml").write_text(WORKLOAD)
    options = ProfileOptions(
        workload=folder / "workload.yaml", budget_s=1.0, max_batch_size=4, students=("auto", "linear", "mlp")
    )
    return folder, recommend(
        folder / "forest.onnx", folder / "advice", options, is_verified=False, now=NOW, report=lambda *_, line=None: None
    )


def test_students_that_nobody_has_trained_are_reported_and_never_advised(forest):
    folder, advice = forest

    rows = {row.id: row for row in advice.variants if row.student is not None}
    assert {"trees-2", "trees-1", "linear", "mlp"} <= set(rows)
    assert not any(row.admitted for row in rows.values())
    assert all(row.speedup is not None and row.quality is None for row in rows.values() if "+" not in row.id)
    shown = advice.recommended or advice.likely or advice.baseline
    assert shown.candidate.variant not in rows
    assert {it.served.candidate.variant for it in advice.students if it.served is not None} <= set(rows)
    text = (folder / "advice" / "report.md").read_text()
    assert "not trained" in text and "after training, if it holds" in text
    assert "trees-2: 2 of 4 trees of forest.onnx, not trained" in text


def test_the_report_in_html_says_what_the_one_in_markdown_says(forest):
    folder, _ = forest

    text = (folder / "advice" / "report.html").read_text()

    assert "after training, if it holds" in text and "not trained" in text
