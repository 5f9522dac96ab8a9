"""Values of a configuration are checked where they are read."""

from pathlib import Path

import pytest

from advisor.errors import InputError
from advisor.measure.decoder.config_values import Values

PATH = Path("config.json")


def test_of_several_names_the_one_in_use_is_found():
    values = Values(PATH, {"n_layer": None, "layers": 3, "depth": 3})

    assert "layers" == values.key_of("n_layer", "layers", "depth")
    assert "n_layer" == values.key_of("n_layer", "blocks")


def test_names_of_one_thing_that_disagree_are_refused():
    with pytest.raises(InputError, match=r"^config\.json: depth: 4: layers says 3$"):
        Values(PATH, {"layers": 3, "depth": 4}).key_of("layers", "depth")


def test_null_is_a_value_where_there_are_defaults():
    values = Values(PATH, {"window": None}).with_defaults({"window": 5, "heads": 2})

    assert (None, 2) == (values.given("window"), values.given("heads"))


def test_parts_are_named_by_their_place():
    (part,) = Values(PATH, {"groups": {"a\nb": {"bits": 0}}}).parts("groups")

    with pytest.raises(InputError, match=r"^config\.json: groups\['a\\nb'\]\.bits: 0: outside of 1 to 8$"):
        part.count("bits", 8)


@pytest.mark.parametrize("groups", [3, "abc", [3], {"a": []}])
def test_what_is_no_list_of_parts_is_refused(groups):
    with pytest.raises(InputError, match=r"^config\.json: groups: "):
        Values(PATH, {"groups": groups}).parts("groups")


@pytest.mark.parametrize("kinds", [None, "ab", [], ["a"], ["a", "c"], ["a", ["b"]], ["a", "b", "a"]])
def test_a_list_says_of_each_layer_one_of_a_few_things(kinds):
    values = Values(PATH, {"kinds": kinds})

    assert ("a", "b") == Values(PATH, {"kinds": ["a", "b"]}).each_layer("kinds", 2, ("a", "b"))
    with pytest.raises(InputError, match="not a list of a and b for 2 layers"):
        values.each_layer("kinds", 2, ("a", "b"))
