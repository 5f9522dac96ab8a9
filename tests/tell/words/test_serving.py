"""How to serve what is advised: code that means what was measured, and commands for the servers that take it alone."""

import ast

import pytest
from msgspec.structs import replace

from advisor.schema.advice import RunsOn
from advisor.schema.catalog import CPU
from advisor.tell import report
from advisor.tell.words.serving import serving_words
from tests.tell.advice_examples import BUILDERS, change
from tests.tell.documents import READ_ALONE

EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}
UNSAID = [name for name, advice in EXAMPLES.items() if advice.recommended is None and advice.likely is None]


def on(provider, **options):
    made = change()
    return replace(made, variants=tuple(replace(row, runs_on=RunsOn(provider=provider, **options)) for row in made.variants))


def words_of(advice):
    words = serving_words(advice)
    assert words is not None
    return words


def test_the_session_to_paste_has_the_threads_and_the_cores_that_are_advised():
    made = change()
    alone = replace(made, recommended=replace(made.recommended, candidate=replace(made.recommended.candidate, instances=1)))
    words, of_one = words_of(made).snippet, words_of(alone).snippet

    assert "options.intra_op_num_threads = 1" in words and "spinning" in words
    assert "sched_setaffinity" in words and "sched_setaffinity" not in of_one
    assert ast.parse(words) and ast.parse(of_one)


def test_another_runtime_has_a_session_of_its_own():
    words = words_of(on("openvino", provider_options={"INFERENCE_PRECISION_HINT": "f32"}))

    assert "compile_model" in words.snippet and "onnxruntime" not in words.snippet and ast.parse(words.snippet)
    assert "--to ort" not in words.commands and "--to triton" not in words.commands and "--to bentoml" in words.commands


def test_options_that_triton_cannot_be_told_are_no_command_for_it():
    words = words_of(on(CPU, session_options={"session.set_denormal_as_zero": "1"}))

    assert "set_denormal_as_zero" in words.snippet
    assert "--to ort" in words.commands and "triton" not in words.commands and "kserve" not in words.commands


@pytest.mark.parametrize("name", UNSAID)
def test_nothing_is_said_where_there_is_nothing_to_serve(name):
    assert serving_words(EXAMPLES[name]) is None
    assert "How to serve it" not in report.render(EXAMPLES[name], "md")


def test_what_is_only_likely_is_exported_by_name():
    likely = next(advice for advice in EXAMPLES.values() if advice.recommended is None and advice.likely is not None)

    assert all(line.endswith(" --most-likely") for line in words_of(likely).commands.splitlines())


@pytest.mark.parametrize("format_", ["html", "md"])
def test_the_report_shows_both(format_):
    text = report.render(change(), format_, READ_ALONE)

    assert "How to serve it" in text and "advisor export advice.json --to ort -o ort" in text
    assert "onnxruntime.SessionOptions()" in text
