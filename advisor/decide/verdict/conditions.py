"""Conditions in the part of rule-engine's language that Python shares, read without rule-engine, whose import takes longer than a verdict.

Comparisons of facts and numbers, joined by and, or and not: these mean the same in both. Whatever else a condition holds is left to
rule-engine, and so is every fault in one.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cache

Facts = Mapping[str, float | bool | None]
Question = Callable[[Facts], float | bool]

_COMPARED = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_REFUSED = ("True", "False", "true", "false", "null", "None", "inf", "nan")


class _NotShared(Exception):
    """The condition holds what only rule-engine can read."""


@cache
def shared(when: str) -> tuple[Question, tuple[str, ...]] | None:
    """Return the condition as a function of the facts, and the facts it asks for; None where it is rule-engine's to read."""
    asked: set[str] = set()
    try:
        question = _truth(ast.parse(when, mode="eval").body, asked)
    except (SyntaxError, ValueError, RecursionError, _NotShared):
        return None
    return question, tuple(sorted(asked))


def _truth(node: ast.expr, asked: set[str]) -> Question:
    """Return what is a yes or a no."""
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            parts = [_truth(value, asked) for value in values]
            return lambda facts: all(part(facts) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=values):
            parts = [_truth(value, asked) for value in values]
            return lambda facts: any(part(facts) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truth(operand, asked)
            return lambda facts: not inner(facts)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
            compare, one, other = _COMPARED[type(op)], _number(left, asked), _number(right, asked)
            return lambda facts: compare(one(facts), other(facts))
        case ast.Name(id=name) if name not in _REFUSED:
            asked.add(name)
            return lambda facts: bool(facts[name])
    raise _NotShared


def _number(node: ast.expr, asked: set[str]) -> Question:
    """Return what is a number: a fact, a literal, or a fact times a literal."""
    match node:
        case ast.Constant(value=bool()):
            raise _NotShared
        case ast.Constant(value=int() | float() as value):
            return lambda facts: value
        case ast.Name(id=name) if name not in _REFUSED:
            asked.add(name)
            return lambda facts: _known(facts[name])
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, other = _number(left, asked), _number(right, asked)
            return lambda facts: one(facts) * other(facts)
    raise _NotShared


def _known(value: float | bool | None) -> float:
    # A yes where a number belongs is rule-engine's to refuse; what is unknown is never asked for.
    if value is None or isinstance(value, bool):
        raise TypeError("not a number")
    return value
