"""The one doorway to rule-engine, which works out the tables of its parser at every import unless it finds them made.

Its parser generator, PLY, looks for tables in a module, and takes them only if their signature is that of the grammar at hand.
Ours come from a data file; for any other grammar than theirs PLY makes its own, as it would without us, in half a second.

    python -m advisor.decide.verdict.rule_parser advisor/catalog/rule_grammar.json      make the data file anew
"""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from advisor.errors import InputError
from advisor.schema.record import Record

# Where rule-engine's PLY looks: the package of its Parser, and PLY's own name for a module of tables.
TABLES_MODULE = "rule_engine.parser.parsetab"

# PLY's code for what to do: a state to go to, a production to reduce (negative), 0 to accept, None to refuse.
Code = int | None
Table = dict[int, dict[str, Code]]  # state -> symbol -> code
Move = tuple[Code, str]  # the symbols with spaces between


class Grammar(Record, frozen=True, kw_only=True):
    """PLY's tables, small enough to ship: states share most of what they do, so each is a list of places in `moves`."""

    ply_version: str
    method: str
    signature: str  # the precedences, the tokens and the rules of the grammar
    moves: tuple[Move, ...]
    actions: tuple[tuple[int, ...], ...]
    gotos: tuple[tuple[int, ...], ...]
    productions: dict[str, tuple[str, ...]]  # function of the parser, "" for none -> what it reduces


def import_rule_engine() -> Any:
    """Return the module rule_engine, imported with our tables unless it was imported before."""
    if "rule_engine" not in sys.modules:
        sys.modules[TABLES_MODULE] = tables(shipped_grammar())
    import rule_engine

    return rule_engine


def shipped_grammar() -> Grammar:
    """Return the grammar in the data file."""
    content = resources.files("advisor.catalog").joinpath("rule_grammar.json").read_bytes()
    return msgspec.json.decode(content, type=Grammar)


def tables(grammar: Grammar) -> ModuleType:
    """Return the module that PLY would have written."""
    module = ModuleType(TABLES_MODULE)
    vars(module).update(
        _tabversion=grammar.ply_version,
        _lr_method=grammar.method,
        _lr_signature=_as_compiled(grammar.signature),
        _lr_action=_unpacked(grammar.actions, grammar.moves),
        _lr_goto=_unpacked(grammar.gotos, grammar.moves),
        _lr_productions=[
            (text, *_name_and_length(text), function, "", 0) for function, texts in grammar.productions.items() for text in texts
        ],
    )
    return module


def make_grammar() -> Grammar:
    """Return the grammar of the installed rule-engine, its tables worked out from nothing.

    Raises InputError with a Python whose signature others could not use.
    """
    import rule_engine.parser
    from rule_engine._vendor.ply import yacc

    if sys.version_info >= (3, 13):
        raise InputError("this Python takes the indentation out of the grammar", hint="make the file with Python 3.11 or 3.12")
    sys.modules.pop(TABLES_MODULE, None)
    parser = rule_engine.parser.Parser()
    moves: dict[Move, int] = {}
    productions: dict[str, tuple[str, ...]] = {}
    for production in parser._parser.productions:
        function = production.func or ""
        productions[function] = (*productions.get(function, ()), str(production))
    return Grammar(
        ply_version=yacc.__tabversion__,
        method="LALR",
        signature=signature_of(parser),
        actions=_packed(parser._parser.action, moves),
        gotos=_packed(parser._parser.goto, moves),
        moves=tuple(moves),
        productions=productions,
    )


def signature_of(parser: object) -> str:
    """Return what PLY compares with the signature of the tables."""
    from rule_engine._vendor.ply import yacc

    reflection = yacc.ParserReflect({name: getattr(parser, name) for name in dir(parser)})
    reflection.get_all()
    return str(reflection.signature())


def _as_compiled(signature: str) -> str:
    # The rules are docstrings, and since Python 3.13 the compiler takes the indentation out of these.
    if sys.version_info < (3, 13):
        return signature
    head, newline, rules = signature.partition("\n")
    return head + newline + textwrap.dedent(rules.expandtabs())


def _packed(table: Table, moves: dict[Move, int]) -> tuple[tuple[int, ...], ...]:
    """Return for each state the places of its moves in `moves`, where those that are new are added."""
    return tuple(tuple(moves.setdefault(move, len(moves)) for move in _moves(table[state])) for state in range(len(table)))


def _moves(row: Mapping[str, Code]) -> Iterator[Move]:
    for code in dict.fromkeys(row.values()):
        yield code, " ".join(symbol for symbol in sorted(row) if row[symbol] == code)


def _unpacked(rows: tuple[tuple[int, ...], ...], moves: tuple[Move, ...]) -> Table:
    split = [dict.fromkeys(symbols.split(), code) for code, symbols in moves]
    return {state: {symbol: code for place in row for symbol, code in split[place].items()} for state, row in enumerate(rows)}


def _name_and_length(production: str) -> tuple[str, int]:
    name, _, symbols = production.partition(" -> ")
    return name, len(symbols.replace("<empty>", "").split())


def main() -> None:
    """Write the grammar of the installed rule-engine to the file that is named."""
    from advisor.files.records import write_atomically

    if len(sys.argv) != 2:
        sys.exit("usage: python -m advisor.decide.verdict.rule_parser FILE")
    write_atomically(Path(sys.argv[1]), msgspec.json.encode(make_grammar()) + b"\n")


if __name__ == "__main__":
    main()
