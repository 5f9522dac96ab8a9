"""Keys by content: order changes nothing, any other change changes the key."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.store.keys import canonical, digest_of, key_sha256
from tests.stores import key

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=12
)


def shuffled(tree, random):
    if isinstance(tree, dict):
        names = list(tree)
        random.shuffle(names)
        return {name: shuffled(tree[name], random) for name in names}
    return [shuffled(entry, random) for entry in tree] if isinstance(tree, list) else tree


@given(trees, st.randoms(use_true_random=False))
def test_the_same_inputs_in_another_order_give_the_same_key(tree, random):
    assert digest_of(tree) == digest_of(shuffled(tree, random))


@given(st.sets(st.text(max_size=4), max_size=5), st.randoms(use_true_random=False))
def test_members_of_a_set_have_no_order(members, random):
    again = list(members)
    random.shuffle(again)

    assert digest_of(members) == digest_of(set(again)) == digest_of(frozenset(again))


def same(one, other):
    """Whether two trees say the same; 60 and 60.0 do, true and 1 do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


@given(trees, trees)
def test_other_inputs_give_another_key(one, other):
    assume(not same(one, other))

    assert digest_of(one) != digest_of(other)


@given(st.integers(-(2**40), 2**40))
def test_a_number_is_the_same_however_it_was_written(number):
    assert digest_of({"budget_s": number}) == digest_of({"budget_s": float(number)})


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "variant"},
        {"model_sha256": "b" * 64},
        {"machine": "c6i.xlarge"},
        {"machine": None},
        {"asked_sha256": "c" * 64},
        {"versions": {"advisor": "1", "onnxruntime": "3"}},
        {"versions": {"advisor": "1"}},
    ],
)
def test_every_part_of_a_key_counts(changed):
    assert key_sha256(key()) != key_sha256(key(**changed))


def test_a_key_is_the_same_in_every_process_and_version():
    # A change here makes every store of every user forget what it holds.
    assert "d79a0cdee9d867403f7123dee6d1b95e17536aca2d41ac1213d75c625bc7c94a" == key_sha256(key())
    assert canonical(key()) == canonical(msgspec.json.decode(canonical(key())))
