"""The language of conditions: what is in it is read as printed, and nothing else is, whatever a user writes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from advisor.decide.verdict.condition_parser import MAX_DEPTH, SNIPPET, read
from advisor.decide.verdict.conditions import COMPARED, Chain, Comparison, Constant, Fact, Joined, Negative, Not, facts_in
from advisor.errors import InputError

KINDS = {"replicas": "number", "load": "number", "slo_is_met": "yes or no", "is_regulated": "yes or no"}
BINDING = {"or": 0, "and": 1, "not": 2, "compare": 3, "sum": 4, "product": 5, "minus": 6, "operand": 7}

digits = st.from_regex("[0-9]{1,3}(_[0-9]{1,3}){0,2}", fullmatch=True)
literals = st.builds(
    "".join, st.tuples(digits, st.sampled_from(["", ".", ".5", ".0_1"]), st.sampled_from(["", "e3", "E-2", "e+1"]))
)
quantities = st.recursive(
    st.builds(Constant, value=st.floats(0, 1e9)) | st.builds(Fact, name=st.sampled_from(["replicas", "load"])),
    lambda inner: (
        st.builds(Negative, operand=inner)
        | st.sampled_from(["+-", "*/"]).flatmap(
            lambda signs: st.builds(
                Chain,
                first=inner.filter(lambda node: signs_of(node) != signs),
                # Divided by a fact, since a constant may be zero.
                rest=st.lists(st.tuples(st.sampled_from(signs), st.just(Fact(name="load"))), min_size=1, max_size=3).map(tuple),
            )
        )
    ),
    max_leaves=4,
)
answers = st.recursive(
    st.builds(Fact, name=st.sampled_from(["slo_is_met", "is_regulated"]))
    | st.builds(Comparison, sign=st.sampled_from(sorted(COMPARED)), left=quantities, right=quantities)
    | st.builds(Constant, value=st.booleans()),
    lambda inner: (
        st.builds(Not, operand=inner)
        | st.sampled_from(["and", "or"]).flatmap(
            lambda word: st.builds(Joined, word=st.just(word), parts=st.lists(inner, min_size=2, max_size=3).map(tuple))
        )
        | st.builds(Comparison, sign=st.sampled_from(["==", "!="]), left=inner, right=inner)
    ),
    max_leaves=6,
).filter(facts_in)


def signs_of(node):
    return None if not isinstance(node, Chain) else "+-" if node.rest[0][0] in "+-" else "*/"


def printed(node, room, space=" "):
    """Return a node as text, in parentheses where it would not otherwise be an operand of what binds as `room` does."""
    match node:
        case Constant(value=bool() as value):
            binding, text = "operand", str(value).lower()
        case Constant(value=value):
            binding, text = "operand", repr(value)
        case Fact(name=name):
            binding, text = "operand", name
        case Negative(operand=operand):
            binding, text = "minus", f"-{printed(operand, 'minus', space)}"
        case Chain(first=first, rest=rest):
            binding = "sum" if signs_of(node) == "+-" else "product"
            above = "product" if binding == "sum" else "minus"
            parts = (f"{sign}{space}{printed(part, above, space)}" for sign, part in rest)
            text = space.join((printed(first, binding, space), *parts))
        case Comparison(sign=sign, left=left, right=right):
            binding, text = "compare", f"{printed(left, 'sum', space)}{space}{sign}{space}{printed(right, 'sum', space)}"
        case Not(operand=operand):
            binding, text = "not", f"not {printed(operand, 'not', space)}"
        case Joined(word=word, parts=parts):
            above = "not" if word == "and" else "and"
            binding, text = word, f" {word} ".join(printed(part, above, space) for part in parts)
    return text if BINDING[binding] >= BINDING[room] else f"({text})"


@given(answers, st.sampled_from(["", " ", "\n  "]))
def test_a_printed_tree_is_read_as_that_tree(tree, space):
    text = printed(tree, "or", space)

    assert tree == read(text, KINDS).tree


@given(literals)
def test_a_number_means_what_it_means_to_python(text):
    expected = Constant(value=float(text))

    assert expected == read(f"load > {text}", KINDS).tree.right


pieces = st.sampled_from(
    [
        *KINDS,
        *COMPARED,
        *"()+-*/=!&|.,:;%'\"[]{}\\#@$~^`\n\t\0",
        "and",
        "or",
        "not",
        "true",
        "false",
        "lambda x:",
        "1e999",
        "0x1",
        "×",
        "é",
    ]
)


@settings(deadline=None)
@given(st.text() | st.lists(pieces | st.text(max_size=3), max_size=12).map(" ".join) | st.lists(pieces, max_size=12).map("".join))
@example("\ud800")
@example("9" * 5_000 + " > load")
@example("slo_is_met " + "and slo_is_met " * 2_000)
@example("1 > load" + " + load" * 2_000)
@example("(" * 2_000)
@example("not " * 2_000)
@example("-" * 2_000)
def test_any_text_is_read_or_refused_in_one_line_with_a_way_out(text):
    try:
        condition = read(text, KINDS)
    except InputError as error:
        assert "column " in error.fault and error.fault.isprintable()
        assert error.hint.isprintable() and len(error.fault) < 20 * SNIPPET
    else:
        assert set(condition.facts) == facts_in(condition.tree) <= KINDS.keys()
        condition.ask({})


def test_the_facts_that_a_condition_asks_for_come_in_alphabetical_order():
    assert ("load", "replicas", "slo_is_met") == read("slo_is_met and (replicas > 1 or load < replicas)", KINDS).facts


@pytest.mark.parametrize("depth", [1, MAX_DEPTH])
@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("not ", ""), ("not (", ")")])
def test_parentheses_may_be_as_deep_as_anybody_writes_them(depth, before, after):
    times = depth // 2 + depth % 2 if before == "not (" else depth

    assert ("slo_is_met",) == read(before * times + "slo_is_met" + after * times, KINDS).facts


@pytest.mark.parametrize(
    ("text", "place", "fault", "hint"),
    [
        ("load = 1", "column 6, at '= 1'", "'=' cannot stand here", "write =="),
        ("not load = 1", "column 10, at '= 1'", "'=' cannot stand here", "write =="),
        ("slo_is_met and load is 1", "column 21, at 'is 1'", "'is' cannot stand here", "write =="),
        ("slo_is_met or load ms > 1", "column 20, at 'ms > 1'", "'ms' cannot stand here", "compare facts and numbers"),
        ("load > 1 && slo_is_met", "column 10, at '&& slo_is_met'", "'&&' cannot stand here", "write and"),
        ("load > 1 || slo_is_met", "column 10", "'||' cannot stand here", "write or"),
        ("!slo_is_met", "column 1", "'!' cannot stand here", "write not"),
        ("slo_is_met AND load > 1", "column 12", "'AND' cannot stand here", "write and"),
        ("load <> 1", "column 6", "'<>' cannot stand here", "write !="),
        ("load is None", "column 6", "'is' cannot stand here", "write =="),
        ("load == None", "column 9", "'None' is not a known fact", "unknown by itself"),
        ("slo_is_met == True", "column 15", "'True' is not a known fact", "write true"),
        ("slo_is_met == yes", "column 15", "'yes' is not a known fact", "write true"),
        ("load ≥ 1", "column 6", "'≥' (GREATER-THAN OR EQUAL TO) is not ASCII", "write >="),
        ("lоad > 1", "column 2", "(CYRILLIC SMALL LETTER O) is not ASCII", "type it anew"),  # noqa: RUF001
        ("load\u00a0> 1", "column 5", "'\\xa0' (NO-BREAK SPACE) is not ASCII", "type it anew"),
        ("load > ٣", "column 8", "(ARABIC-INDIC DIGIT THREE) is not ASCII", "type it anew"),
        ("lambda x: 1", "column 1", "'lambda' is not a known fact", "did you mean 'load'"),
        ("load.real > 1", "column 5, at '.real > 1'", "'.' cannot stand here", "compare facts and numbers"),
        ("abs(load) > 1", "column 1", "'abs' is not a known fact", "the known facts are"),
        ("load(1) > 1", "column 5", "'(' cannot stand here", "compare facts and numbers"),
        ("load[0] > 1", "column 5", "'[' cannot stand here", "compare facts and numbers"),
        ("load == 'high'", "column 9", '"\'" cannot stand here', "compare facts and numbers"),
        ("load ** 2 > 1", "column 6", "'**' cannot stand here", "compare facts and numbers"),
        ("load if slo_is_met else 1", "column 6", "'if' cannot stand here", "compare facts and numbers"),
        ("load := 1", "column 6", "':' cannot stand here", "compare facts and numbers"),
        ("$today > d'2026-01-01'", "column 1", "'$' cannot stand here", "compare facts and numbers"),
        ("load > 30 %", "column 11", "'%' cannot stand here", "write 30 % as 0.30"),
        ("load > 50 ms", "column 11", "'ms' cannot stand here", "in the unit of the fact"),
        ("load > 10k", "column 8", "'10k' is not a number", "10_000"),
        ("load > 0x10", "column 8", "'0x10' is not a number", "10_000"),
        ("load > 1__0", "column 8", "'1__0' is not a number", "10_000"),
        ("load > 1e999", "column 8", "'1e999' is too large a number", "1e6"),
        ("load > inf", "column 8", "'inf' is not a known fact", "the known facts are"),
        ("load > nan", "column 8", "'nan' is not a known fact", "the known facts are"),
        ("load > 1e308 * 10", "column 8", "no number comes of '1e308 * 10'", "write the number itself"),
        ("load / 0 > 1", "column 8", "a division by zero", "divide by a fact"),
        ("load / (2 - 2) > 1", "column 8", "a division by zero", "divide by a fact"),
        ("", "column 1, at the end", "something is missing", "compare facts and numbers"),
        (" \n ", "column 2, at the end", "something is missing", "compare facts and numbers"),
        ("load >", "column 7, at the end", "something is missing", "compare facts and numbers"),
        ("(load > 1", "column 10, at the end", "something is missing", "compare facts and numbers"),
        ("load > 1)", "column 9, at ')'", "')' cannot stand here", "compare facts and numbers"),
        ("slo_is_met and\n  lod > 1", "line 2, column 3, at 'lod > 1'", "'lod' is not a known fact", "did you mean 'load'"),
        ("zzz > 1 && load = 'x'", "column 1, ", "'zzz' is not a known fact", "the known facts are"),  # the first of several
        ("1 == 1", "column 1", "the condition asks for no fact", "compare facts and numbers"),
        ("true", "column 1", "the condition asks for no fact", "compare facts and numbers"),
        ("load", "column 1", "'load' is a number, where a yes or no belongs", "compare it with a number"),
        ("load + 1", "column 1", "'load + 1' is a number, where a yes or no belongs", "compare it with a number"),
        ("slo_is_met and load", "column 16", "'load' is a number, where a yes or no belongs", "compare it with a number"),
        ("load or slo_is_met", "column 1", "'load' is a number, where a yes or no belongs", "compare it with a number"),
        ("not load", "column 5", "'load' is a number, where a yes or no belongs", "compare it with a number"),
        ("slo_is_met > 3", "column 1", "'slo_is_met' is a yes or no, where a number belongs", "ask for it as it is"),
        ("load + slo_is_met > 3", "column 8", "'slo_is_met' is a yes or no, where a number belongs", "ask for it as it is"),
        ("slo_is_met * 2 > 3", "column 1", "'slo_is_met' is a yes or no, where a number belongs", "ask for it as it is"),
        ("-slo_is_met > 3", "column 2", "'slo_is_met' is a yes or no, where a number belongs", "ask for it as it is"),
        (
            "load == (load > 1)",
            "column 9",
            "a number is compared with '(load > 1)', which is a yes or no",
            "numbers with numbers",
        ),
        ("slo_is_met == 1", "column 15", "a yes or no is compared with '1', which is a number", "numbers with numbers"),
        ("0.3 < load < 0.7", "column 12", "a comparison of a comparison", "join two by and"),
        ("(" * (MAX_DEPTH + 1) + "slo_is_met", f"column {MAX_DEPTH + 2}", f"nested more than {MAX_DEPTH} deep", "two rules"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_its_place_and_the_way_out(text, place, fault, hint):
    with pytest.raises(InputError) as refusal:
        read(text, KINDS)

    assert refusal.value.fault.startswith(place)
    assert fault in refusal.value.fault
    assert hint in refusal.value.hint
