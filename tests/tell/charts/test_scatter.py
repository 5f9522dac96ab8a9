from advisor.schema.record import Estimate
from advisor.tell.charts.compared import Limit
from advisor.tell.charts.drawing import series_of
from advisor.tell.charts.scatter import Mark, Titles, scatter, shown_by

ONE = series_of({"as today": ("#5f6b76", "circle")})
TARGET = Limit(0.05, "target 50 ms")


def _marks(*found: tuple[float, float, bool]) -> list[Mark]:
    return [
        Mark(cost, Estimate(value=time_s, low=time_s, high=time_s, basis="simulated", source="a test"), "as today", (), is_on)
        for cost, time_s, is_on in found
    ]


def _layer(marks: list[Mark], mark: str) -> list[dict]:
    layers = scatter(marks, ONE, Titles("cost", "time"), None)["layer"]
    return next(layer["data"]["values"] for layer in layers if layer["mark"]["type"] == mark)


def test_the_stairs_never_climb_and_leave_out_what_is_not_on_the_frontier() -> None:
    stairs = _layer(
        _marks((1.0, 0.05, True), (2.0, 0.08, True), (3.0, 0.02, True), (4.0, 0.001, False), (5.0, 0.01, True)), "line"
    )

    assert [(1.0, 0.05), (3.0, 0.02), (5.0, 0.01)] == [(it["x"], it["y"]) for it in stairs]


def test_marks_on_each_other_share_their_numbers() -> None:
    said = _layer(_marks((1.0, 0.05, True), (1.001, 0.0501, True), (5.0, 0.01, True)), "text")

    assert ["1, 2", "3"] == [it["text"] for it in said]


def test_words_stand_on_the_side_that_has_room() -> None:
    said = _layer(_marks((1.0, 0.05, True), (5.0, 0.01, True)), "text")

    assert ["left", "right"] == [it["side"] for it in said]


def test_stairs_of_one_step_are_not_spoken_of() -> None:
    one, two = (
        shown_by(_marks(*found), "configuration", "latency", "device", TARGET)
        for found in ([(1.0, 0.05, True)], [(1.0, 0.05, True), (5.0, 0.01, True)])
    )

    assert "1 configuration with the 90 % interval of the latency; color: device; target 50 ms." == one
    assert "dotted" in two


def test_words_hide_no_other_mark_where_there_is_a_place_for_them() -> None:
    first, *others = _marks((0.34, 0.0416, True), (0.68, 0.0375, True), (2.72, 0.15, False))

    said, beside, far = _layer([first._replace(roles=("recommended",)), *others], "text")

    # On the right of the first lies the second, on its left the axis.
    assert ("1 recommended", "left", True) == (said["text"], said["side"], said["down"] != 0)
    assert [("left", 0), ("right", 0)] == [(it["side"], it["down"]) for it in (beside, far)]
