"""What is known of the classes of models."""

from advisor.measure.architecture.families import CLASS_OF_TEXT, FAMILIES


def test_every_type_of_a_text_part_stands_for_a_class_that_is_known():
    assert set() == set(CLASS_OF_TEXT.values()) - set(FAMILIES)


def test_a_class_with_some_layers_that_look_back_less_says_which():
    """By a list in the file, or by a number that files leave out."""
    listed = {name for name, family in FAMILIES.items() if family.windows == "listed" and family.full_each is None}

    assert {"MiMoV2FlashForCausalLM", "Step3p7FlashForCausalLM"} == listed
