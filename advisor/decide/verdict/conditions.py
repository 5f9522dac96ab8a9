"""What a condition means: yes, no, or unknown where the facts leave it open (Kleene's logic of three values).

`no and unknown` is no, `yes or unknown` is yes: what is still to be learned could not change it. Any other mixture with an unknown is
unknown, and so is a quantity that is no finite number: a division by zero, or a product out of range.
"""

import operator
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, NamedTuple, TypeAlias

from advisor.schema.record import Record

Facts = Mapping[str, float | bool | None]  # None, as well as absence, is unknown
Value = float | bool | None
Question = Callable[[Facts], Value]
Sign = Literal["+", "-", "*", "/"]

COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_COMPUTED: dict[Sign, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Constant(Record, frozen=True, kw_only=True):
    """A number, `true` or `false`."""

    value: float | bool


class Fact(Record, frozen=True, kw_only=True):
    """The name of a fact."""

    name: str


class Negative(Record, frozen=True, kw_only=True):
    """A number with a minus before it."""

    operand: "Node"


class Chain(Record, frozen=True, kw_only=True):
    """A sum or a product, worked out from left to right: flat, so that a long one is not deep."""

    first: "Node"
    rest: tuple[tuple[Sign, "Node"], ...]


class Comparison(Record, frozen=True, kw_only=True):
    """Two numbers, or two answers, compared: one of COMPARED."""

    sign: str
    left: "Node"
    right: "Node"


class Not(Record, frozen=True, kw_only=True):
    """The opposite of an answer."""

    operand: "Node"


class Joined(Record, frozen=True, kw_only=True):
    """Answers of which all, or any, have to be yes."""

    word: Literal["and", "or"]
    parts: tuple["Node", ...]


Node: TypeAlias = Constant | Fact | Negative | Chain | Comparison | Not | Joined


class Condition(NamedTuple):
    """A condition that was read, ready to be asked many times."""

    tree: Node
    facts: tuple[str, ...]  # those that it asks for, in alphabetical order
    ask: Question  # True, False, or None for unknown


def operands(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below a node."""
    match node:
        case Negative(operand=operand) | Not(operand=operand):
            return (operand,)
        case Chain(first=first, rest=rest):
            return (first, *(part for _, part in rest))
        case Comparison(left=left, right=right):
            return left, right
        case Joined(parts=parts):
            return parts
    return ()


def facts_in(node: Node) -> frozenset[str]:
    """Return the facts that are named anywhere in a node."""
    if isinstance(node, Fact):
        return frozenset((node.name,))
    return frozenset().union(*(facts_in(part) for part in operands(node)))


def open_facts(node: Node, facts: Facts) -> frozenset[str]:
    """Return the facts that leave a node unknown, for one that is: what nobody gave, or what no number comes of.

    A part that is known does not matter, nor do the facts in it: were it the one that decides, the node would be known.
    """
    left_open = [part for part in operands(node) if question(part)(facts) is None]
    if not left_open:
        return facts_in(node)
    return frozenset().union(*(open_facts(part, facts) for part in left_open))


def question(node: Node) -> Question:
    """Return the node as a function of the facts: closures, which are asked several times as fast as the tree."""
    match node:
        case Constant(value=value):
            return lambda facts: value
        case Fact(name=name):
            return lambda facts: _finite(facts.get(name))
        case Negative(operand=operand):
            return _negative(question(operand))
        case Chain(first=first, rest=rest):
            return _chained(question(first), [(sign == "/", _COMPUTED[sign], question(part)) for sign, part in rest])
        case Comparison(sign=sign, left=left, right=right):
            return _compared(COMPARED[sign], question(left), question(right))
        case Not(operand=operand):
            return _opposite(question(operand))
        case Joined(word=word, parts=parts):
            return _joined([question(part) for part in parts], decides=word == "or")


def _finite(value: Value) -> Value:
    return value if value is not None and isfinite(value) else None


def _negative(inner: Question) -> Question:
    def ask(facts: Facts) -> Value:
        value = inner(facts)
        return None if value is None else -value

    return ask


def _opposite(inner: Question) -> Question:
    def ask(facts: Facts) -> Value:
        answer = inner(facts)
        return None if answer is None else not answer

    return ask


def _compared(compare: Callable[[float, float], bool], left: Question, right: Question) -> Question:
    def ask(facts: Facts) -> Value:
        one, other = left(facts), right(facts)
        return None if one is None or other is None else compare(one, other)

    return ask


def _chained(first: Question, rest: list[tuple[bool, Callable[[float, float], float], Question]]) -> Question:
    def ask(facts: Facts) -> Value:
        total = first(facts)
        for divides, compute, part in rest:
            other = part(facts)
            if total is None or other is None or (divides and other == 0):
                return None
            total = compute(float(total), other)  # of whole numbers alone Python makes one that is too large to be a float
        return _finite(total)

    return ask


def _joined(parts: list[Question], *, decides: bool) -> Question:
    """Return the question of `and`, which a single no decides, or of `or`, which a single yes does."""

    def ask(facts: Facts) -> Value:
        answer: bool | None = not decides
        for part in parts:
            value = part(facts)
            if value is None:
                answer = None
            elif bool(value) is decides:
                return decides
        return answer

    return ask
