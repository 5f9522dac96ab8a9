"""What a condition means: Kleene's three values, and no known answer that a fact still to be learned could turn."""

import math
import operator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.verdict.conditions import (
    COMPARED,
    Chain,
    Comparison,
    Constant,
    Fact,
    Joined,
    Negative,
    Not,
    facts_in,
    open_facts,
    question,
)

NUMBERS = ("a", "b", "c")
ANSWERS = ("p", "q")
figures = st.sampled_from([-2.0, 0.0, 0.3, 1.0, 7.0, 1e200])
settings = st.fixed_dictionaries({n: st.none() | figures for n in NUMBERS} | {n: st.none() | st.booleans() for n in ANSWERS})

quantities = st.recursive(
    st.builds(Constant, value=figures) | st.builds(Fact, name=st.sampled_from(NUMBERS)),
    lambda inner: (
        st.builds(Negative, operand=inner)
        | st.builds(
            Chain, first=inner, rest=st.lists(st.tuples(st.sampled_from("+-*/"), inner), min_size=1, max_size=3).map(tuple)
        )
    ),
    max_leaves=4,
)
answers = st.recursive(
    st.builds(Comparison, sign=st.sampled_from(sorted(COMPARED)), left=quantities, right=quantities)
    | st.builds(Fact, name=st.sampled_from(ANSWERS))
    | st.builds(Constant, value=st.booleans()),
    lambda inner: (
        st.builds(Not, operand=inner)
        | st.builds(Joined, word=st.sampled_from(["and", "or"]), parts=st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Comparison, sign=st.sampled_from(["==", "!="]), left=inner, right=inner)
    ),
    max_leaves=6,
)

NO, UNKNOWN, YES = 0.0, 0.5, 1.0
COMPUTED = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def twin(node, facts):
    """Return the value of a node, as the textbook has it: `and` is the least of no < unknown < yes, `or` the greatest, `not` the mirror."""
    match node:
        case Constant(value=value):
            return value
        case Fact(name=name):
            return facts.get(name)
        case Negative(operand=operand):
            value = twin(operand, facts)
            return None if value is None else 0 - value
        case Chain(first=first, rest=rest):
            total = twin(first, facts)
            for sign, part in rest:
                total = computed(sign, total, twin(part, facts))
            return total if total is not None and math.isfinite(total) else None
        case Comparison(sign=sign, left=left, right=right):
            one, other = twin(left, facts), twin(right, facts)
            return None if None in (one, other) else bool(COMPARED[sign](one, other))
        case Not(operand=operand):
            return answer(1 - degree(twin(operand, facts)))
        case Joined(word=word, parts=parts):
            degrees = [degree(twin(part, facts)) for part in parts]
            return answer(min(degrees) if word == "and" else max(degrees))


def computed(sign, one, other):
    if one is None or other is None or (sign, other) == ("/", 0):
        return None
    return COMPUTED[sign](one, other)


def degree(value):
    return UNKNOWN if value is None else YES if value else NO


def answer(value):
    return {NO: False, UNKNOWN: None, YES: True}[value]


@given(answers, settings)
def test_a_condition_means_what_its_readable_twin_says(tree, facts):
    expected = twin(tree, facts)

    assert expected is question(tree)(facts)


@given(quantities, settings)
def test_a_quantity_is_what_its_readable_twin_says(tree, facts):
    expected = twin(tree, facts)

    assert expected == question(tree)(facts)


@given(answers, settings, settings)
def test_learning_a_fact_never_turns_what_was_known(tree, facts, learned):
    known = question(tree)(facts)
    later = {name: learned[name] if value is None else value for name, value in facts.items()}

    assert known is None or known is question(tree)(later)


@given(answers, settings)
def test_an_absent_fact_is_as_unknown_as_one_that_is_none(tree, facts):
    expected = question(tree)(facts)

    assert expected is question(tree)({name: value for name, value in facts.items() if value is not None})


@given(answers, settings, settings)
def test_only_the_open_facts_can_settle_what_is_unknown(tree, facts, learned):
    if question(tree)(facts) is not None:
        return
    open_ = open_facts(tree, facts)
    later = {name: learned[name] if value is None and name not in open_ else value for name, value in facts.items()}

    assert open_ and open_ <= facts_in(tree)
    assert question(tree)(later) is None


@pytest.mark.parametrize(("one", "other"), product([False, None, True], repeat=2))
def test_and_and_or_are_those_of_kleene(one, other):
    both, either = (Joined(word=word, parts=(Fact(name="p"), Fact(name="q"))) for word in ("and", "or"))
    facts = {"p": one, "q": other}

    assert (False if False in (one, other) else None if None in (one, other) else True) is question(both)(facts)
    assert (True if True in (one, other) else None if None in (one, other) else False) is question(either)(facts)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"a": 1.0, "b": 2.0}, False),
        ({"a": 1.0, "b": 0.0}, None),
        ({"a": 0.0, "b": 0.0}, None),
        ({"a": 1e308, "b": 1e-308}, None),
        ({"a": math.nan, "b": 1.0}, None),
        ({"a": math.inf, "b": 1.0}, None),
        ({"a": 10**300, "b": 1}, True),
    ],
)
def test_a_quantity_that_is_no_finite_number_is_unknown(facts, expected):
    ratio = Chain(first=Fact(name="a"), rest=(("/", Fact(name="b")),))

    assert expected is question(Comparison(sign=">", left=ratio, right=Constant(value=1.0)))(facts)


def test_whole_numbers_too_large_together_are_unknown_like_any_others():
    power = Chain(first=Fact(name="a"), rest=(("*", Fact(name="a")),) * 5)

    assert question(power)({"a": 10**100}) is None
