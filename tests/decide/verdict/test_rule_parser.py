"""The tables of the rule parser: what rule-engine would work out itself, taken for its own grammar and for no other."""

import subprocess
import sys
from importlib import resources

import pytest
from msgspec.structs import replace

from advisor.decide.verdict import rule_parser
from advisor.files.rulebook import read_rules

rule_engine = rule_parser.import_rule_engine()

SHIPPED = rule_parser.shipped_grammar()
RULES = read_rules(resources.files("advisor.rules"))
FACTS = {"a": 1.0, "b": 2.5, "name": "resnet", "yes": True, "none": None, "many": [1.0, 2.0, 3.0], "nested": {"a": 4.0}}
FACTS |= {fact: value for rule in RULES for fact, value in rule.examples.fires.items()}
# Between them they reduce every production of the grammar.
SOUND = [
    *(rule.when for rule in RULES),
    "a + b * 2 ** 3 ** 0.5 - -a / b // 2 % 3 == 0",
    "a < b and not yes or b >= 2.5 and a != b or a <= b and a > b",
    "a == 1  # a comment",
    "yes ? a : not yes ? b : 3",
    "none ?? a",
    "1 & 3 | 4 ^ 2 << 1 >> 1",
    "name =~ 'res.*' and name !~ 'x' and name =~~ 's' and name !~~ 'y'",
    "a in many and 9 not in many",
    "[m * 2 for m in many if m > 1] == [4, 6] and [m for m in many] == [1, 2, 3,] and [] != many",
    "{1, 2} == {2, 1,}",
    "{'x': a, 'y': b}['y'] == {'y': b,}['y'] and {} != nested",
    "nested.a + (nested&.a)",
    "many[0] + many[1:][0] + many[:2][1] + many[0:2][0] + many[:][0]",
    "$sum(many) + $split('a b').length > 7 and $random() < 1",
    "d'2026-11-22' > d'2026-01-01' and t'PT1H' > t'PT1M'",
    "b'x'",
    "inf > 1 and nan != nan and null == none and true != false",
]
UNSOUND = ["a <", "(a", "a b", "a == b == yes", "", "a $ b", "a in", "[a for"]


def parser_with(grammar):
    """Return a parser made while the tables of a grammar, or for None no tables, are where rule-engine looks for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, rule_parser.TABLES_MODULE, raising=False)
        if grammar is not None:
            patch.setitem(sys.modules, rule_parser.TABLES_MODULE, rule_parser.tables(grammar))
        return rule_engine.parser.Parser()


def origin(parser):
    """Return whether the tables were "found" or "made"; PLY keeps what it reads in a class of its own."""
    return "found" if type(parser._parser.productions[0]).__name__ == "MiniProduction" else "made"


def said(parser, condition):
    """Return the value of a condition, or the error."""
    try:
        return parser.parse(condition, rule_engine.Context()).evaluate(FACTS)
    except rule_engine.EngineError as error:
        return type(error), error.message


def run(*arguments):
    """Return what Python, in a process of its own, says on both channels."""
    command = (sys.executable, "-P", *arguments)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


@pytest.fixture(scope="module")
def found():
    return parser_with(SHIPPED)


@pytest.fixture(scope="module")
def made():
    return parser_with(None)


def test_the_shipped_tables_are_those_of_the_installed_rule_engine(made):
    expected = rule_parser.signature_of(made)

    assert expected == rule_parser.tables(SHIPPED)._lr_signature, "every command takes half a second longer: run `make grammar`"


def test_the_shipped_tables_are_what_rule_engine_would_make(made, found):
    expected = [(str(rule), rule.name, rule.len, rule.func or "") for rule in made._parser.productions]

    assert expected == [(rule.str, rule.name, rule.len, rule.func) for rule in found._parser.productions]
    assert made._parser.action == found._parser.action
    assert made._parser.goto == found._parser.goto


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the file is made with Python 3.11 or 3.12")
def test_the_data_file_is_what_its_command_writes(tmp_path):
    run("-m", "advisor.decide.verdict.rule_parser", str(tmp_path / "grammar.json"))

    expected = resources.files("advisor.catalog").joinpath("rule_grammar.json").read_bytes()

    assert expected == (tmp_path / "grammar.json").read_bytes(), "run `make grammar`"


@pytest.mark.parametrize("condition", SOUND + UNSOUND)
def test_a_condition_means_the_same_with_the_tables_and_without(made, found, condition):
    expected = said(made, condition)

    assert expected == said(found, condition)


def test_tables_of_another_grammar_are_passed_over_without_a_word(capfd):
    parser = parser_with(replace(SHIPPED, signature=SHIPPED.signature + " "))

    assert origin(parser) == "made"
    assert said(parser, "a < b")
    assert capfd.readouterr() == ("", "")


def test_a_first_import_finds_the_tables():
    code = """
from advisor.decide.verdict.rule_parser import import_rule_engine
print(type(import_rule_engine().Rule.parser._parser.productions[0]).__name__)
"""
    assert run("-c", code) == "MiniProduction\n"


def test_a_rule_engine_that_others_imported_is_left_as_it_is():
    code = """
import sys, rule_engine
from advisor.decide.verdict.rule_parser import TABLES_MODULE, import_rule_engine
print(import_rule_engine() is rule_engine, TABLES_MODULE in sys.modules)
"""
    assert run("-c", code) == "True False\n"
