import re

from advisor.tell.charts.palette import COLORS, PALETTE, SHAPES, color_of, replacements, shape_of


def test_every_color_of_a_drawing_can_be_told_from_all_others() -> None:
    # Styles find a color by its value.
    lights = [color.light for color in PALETTE.values()]

    assert sorted(set(lights)) == sorted(lights)


def test_every_color_is_replaced_where_marks_are_filled_and_where_they_are_outlined() -> None:
    rules = re.findall(r'\[(fill|stroke)="(#\w{6})"\] \{ \1: var\(--(\w+)\); \}', replacements())

    assert {(channel, color.light, name) for name, color in PALETTE.items() for channel in ("fill", "stroke")} == set(rules)


def test_a_ninth_variant_starts_over() -> None:
    assert color_of(0) == color_of(COLORS) and len({color_of(number) for number in range(COLORS)}) == COLORS
    assert shape_of(len(SHAPES)) == shape_of(0)
