"""The language of conditions, from text to tree. Whatever is not in it, or mixes numbers with answers, is refused with its place.

The grammar; all operators but `not` and the minus sign are read from left to right:

    condition  = all { "or" all }
    all        = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
    sum        = product { ( "+" | "-" ) product }
    product    = signed { ( "*" | "/" ) signed }
    signed     = "-" signed | operand
    operand    = NUMBER | "true" | "false" | FACT | "(" condition ")"
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Literal, NamedTuple

from advisor.decide.verdict.conditions import (
    COMPARED,
    Chain,
    Comparison,
    Condition,
    Constant,
    Fact,
    Joined,
    Negative,
    Node,
    Not,
    Sign,
    Value,
    facts_in,
    question,
)
from advisor.errors import InputError

Kind = Literal["number", "yes or no"]

KEYWORDS = ("and", "or", "not", "true", "false")
# Nobody writes such a thing by hand, and Python ends where it calls itself too often.
MAX_DEPTH = 20
SNIPPET = 24  # characters quoted of a condition, to find the place in a file that folds its lines
WAY_OUT = "compare facts and numbers, and join comparisons by and, or, not: inference_share >= 0.70 and replicas == 1"
NUMBERS = "write a plain number in the unit of the fact: 0.05, 10_000 or 1e6"
TO_AN_ANSWER = "compare it with a number, such as: replicas > 1"
TO_A_NUMBER = "ask for it as it is, such as: slo_is_met, or: not slo_is_met"
TO_ITS_LIKE = "compare numbers with numbers, and ask for a yes or no as it is, such as: slo_is_met"

# Whatever stands in a text is in some token. What people bring along from other languages is one token, so that it can be answered as one.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>\.?[0-9](?:[eE][+-](?=[0-9])|[\w.])*)
      | (?P<name>[^\W\d]\w*)
      | (?P<stray>===|!==|&&|\|\||<>|=<|=>|\*\*|//)
      | (?P<sign><=|>=|==|!=|[-<>+*/()])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_AFTER_A_VALUE = {*COMPARED, "+", "-", "*", "/", "and", "or", ")", ""}
_INSTEAD = {
    **dict.fromkeys(("=", "===", "is"), "write =="),
    **dict.fromkeys(("!==", "<>", "≠"), "write !="),
    **dict.fromkeys(("=<", "≤"), "write <="),
    **dict.fromkeys(("=>", "≥"), "write >="),
    **dict.fromkeys(("&&", "&"), "write and"),
    **dict.fromkeys(("||", "|"), "write or"),
    **dict.fromkeys(("!", "¬"), "write not"),
    **dict.fromkeys(("−", "–", "—"), "write -"),
    **dict.fromkeys(("×", "·"), "write *"),
    "÷": "write /",
    "%": "write 30 % as 0.30",
    **{word.upper(): f"write {word}" for word in KEYWORDS},
    **{word.capitalize(): f"write {word}" for word in KEYWORDS},
    **dict.fromkeys(("yes", "Yes", "YES"), "write true"),
    **dict.fromkeys(("no", "No", "NO"), "write false"),
    **dict.fromkeys(("None", "null"), "leave it out: a rule is unknown by itself where a fact that matters is"),
}


class _Token(NamedTuple):
    what: str  # the name of its group in _TOKEN, or "end"
    text: str
    at: int


def read(text: str, kinds: Mapping[str, Kind]) -> Condition:
    """Return the condition; `kinds` are the facts that there are.

    Raises InputError, with the column, for a text that is not in the language, asks for anything but these facts or for none of them,
    has a number where a yes or no belongs or the other way round, or cannot be worked out.
    """
    return _Reader(text, kinds).whole()


def unknown_fact(name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is no fact, with the nearest name that is one."""
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the known facts are: {', '.join(known)}"
    return InputError(f"{_shown(name)} is not a known fact", hint=hint)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup is not None and match.lastgroup != "space":
            yield _Token(match.lastgroup, match.group(), match.start())
    yield _Token("end", "", len(text))


class _Reader:
    """Reads one text from left to right, one token ahead; each method returns the node of the rule of the grammar that it is named for."""

    def __init__(self, text: str, kinds: Mapping[str, Kind]) -> None:
        self._text = text
        self._kinds = kinds
        self._left = _tokens(text)
        self._next = next(self._left)
        self._end = 0  # of what was taken
        self._depth = 0

    def whole(self) -> Condition:
        """Return the condition that the whole text is."""
        at = self._next.at
        tree = self._condition()
        if self._next.what != "end":
            raise self._out_of_place()
        self._check(tree, "yes or no", at)
        facts = tuple(sorted(facts_in(tree)))
        if not facts:
            raise self._fault(at, "the condition asks for no fact", WAY_OUT)
        return Condition(tree=tree, facts=facts, ask=question(tree))

    def _condition(self) -> Node:
        return self._joined("or", self._all)

    def _all(self) -> Node:
        return self._joined("and", self._negation)

    def _joined(self, word: Literal["and", "or"], part: Callable[[], Node]) -> Node:
        at = self._next.at
        first = part()
        if self._next.text != word:
            return first
        self._check(first, "yes or no", at)
        parts = [first]
        while self._takes(word):
            parts.append(self._of_kind("yes or no", part))
        return Joined(word=word, parts=tuple(parts))

    def _negation(self) -> Node:
        if self._takes("not"):
            return Not(operand=self._deeper(lambda: self._of_kind("yes or no", self._negation)))
        return self._comparison()

    def _comparison(self) -> Node:
        at = self._next.at
        left = self._sum()
        if self._next.text not in COMPARED:
            return left
        if self._next.text not in ("==", "!="):
            self._check(left, "number", at)
        sign, between = self._take().text, self._next.at
        right = self._sum()
        if self._kind(right) != self._kind(left):
            fault = f"a {self._kind(left)} is compared with {self._taken_since(between)}, which is a {self._kind(right)}"
            raise self._fault(between, fault, TO_ITS_LIKE)
        if self._next.text in COMPARED:
            raise self._fault(self._next.at, "a comparison of a comparison", "join two by and: replicas > 1 and replicas < 9")
        return Comparison(sign=sign, left=left, right=right)

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._signed)

    def _chain(self, signs: tuple[Sign, Sign], part: Callable[[], Node]) -> Node:
        at = self._next.at
        first = part()
        if self._next.text not in signs:
            return first
        self._check(first, "number", at)
        rest: list[tuple[Sign, Node]] = []
        while sign := next((sign for sign in signs if self._takes(sign)), None):
            begins = self._next.at
            rest.append((sign, self._of_kind("number", part)))
            if sign == "/" and self._comes_to(rest[-1][1]) == 0:
                raise self._fault(begins, "a division by zero", "divide by a fact, or by a number that is not zero")
        chain = Chain(first=first, rest=tuple(rest))
        if not facts_in(chain) and self._comes_to(chain) is None:
            raise self._fault(at, f"no number comes of {self._taken_since(at)}", "write the number itself")
        return chain

    def _signed(self) -> Node:
        if self._takes("-"):
            return Negative(operand=self._deeper(lambda: self._of_kind("number", self._signed)))
        return self._operand()

    def _operand(self) -> Node:
        if self._takes("("):
            inner = self._deeper(self._condition)
            if not self._takes(")"):
                raise self._out_of_place()
            return inner
        token = self._next
        if token.what == "number" and token.text.isascii():
            return Constant(value=self._number(self._take()))
        if token.text in ("true", "false"):
            return Constant(value=self._take().text == "true")
        if token.what != "name" or token.text in KEYWORDS or not token.text.isascii():
            raise self._out_of_place()
        if token.text not in self._kinds:
            error = unknown_fact(token.text, self._kinds)
            raise self._fault(token.at, error.fault, _INSTEAD.get(token.text, error.hint))
        return Fact(name=self._take().text)

    def _number(self, token: _Token) -> float:
        try:
            value = float(token.text)  # as Python reads it: 1_000, .5, 1e-6
        except ValueError as error:
            raise self._fault(token.at, f"{_shown(token.text)} is not a number", NUMBERS) from error
        if not isfinite(value):
            raise self._fault(token.at, f"{_shown(token.text)} is too large a number", NUMBERS)
        return value

    def _kind(self, node: Node) -> Kind:
        match node:
            case Fact(name=name):
                return self._kinds[name]
            case Constant(value=value):
                return "yes or no" if isinstance(value, bool) else "number"
            case Negative() | Chain():
                return "number"
        return "yes or no"

    def _of_kind(self, kind: Kind, part: Callable[[], Node]) -> Node:
        at = self._next.at
        node = part()
        self._check(node, kind, at)
        return node

    def _check(self, node: Node, kind: Kind, at: int) -> None:
        if self._kind(node) == kind:
            return
        # In `not replicas = 1` what is wrong is not the kind of `replicas`.
        if self._next.text not in _AFTER_A_VALUE:
            raise self._out_of_place()
        fault = f"{self._taken_since(at)} is a {self._kind(node)}, where a {kind} belongs"
        raise self._fault(at, fault, TO_A_NUMBER if kind == "number" else TO_AN_ANSWER)

    def _comes_to(self, node: Node) -> Value:
        """Return the value of a node that asks for no fact; None for one that does."""
        return question(node)({})

    def _deeper(self, part: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(self._next.at, f"nested more than {MAX_DEPTH} deep", "leave out parentheses, or write two rules")
        node = part()
        self._depth -= 1
        return node

    def _takes(self, text: str) -> bool:
        """Take the next token if it is this one, and return whether it was."""
        is_it = self._next.text == text
        if is_it:
            self._take()
        return is_it

    def _take(self) -> _Token:
        token = self._next
        self._end = token.at + len(token.text)
        self._next = next(self._left)
        return token

    def _taken_since(self, at: int) -> str:
        return _shown(self._text[at : self._end])

    def _out_of_place(self) -> InputError:
        token = self._next
        if token.what == "end":
            return self._fault(token.at, "something is missing", WAY_OUT)
        foreign = next((place for place, character in enumerate(token.text) if not character.isascii()), None)
        if foreign is not None:
            return self._foreign(token.at + foreign)
        is_unit = token.what == "name" and token.text not in KEYWORDS and self._text[: token.at].rstrip()[-1:].isdigit()
        return self._fault(token.at, f"{_shown(token.text)} cannot stand here", NUMBERS if is_unit else _hint(token.text))

    def _foreign(self, at: int) -> InputError:
        import unicodedata  # for faults alone

        character = self._text[at]
        fault = f"{character!r} ({unicodedata.name(character, 'of no name')}) is not ASCII"
        return self._fault(at, fault, _INSTEAD.get(character, "type it anew: conditions are written in ASCII"))

    def _fault(self, at: int, fault: str, hint: str) -> InputError:
        line, column = self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)
        place = f"column {column}" if "\n" not in self._text.strip() else f"line {line}, column {column}"
        what = f"at {_shown(self._text[at:])}" if self._text[at:].strip() else "at the end"
        return InputError(f"{place}, {what}: {fault}", hint=hint)


def _hint(text: str) -> str:
    return _INSTEAD.get(text, WAY_OUT)


def _shown(text: str) -> str:
    """Return a piece of a condition, cut where it is long, with what a terminal would not show written out."""
    return repr(text if len(text) <= SNIPPET else text[: SNIPPET - 1] + "…")
