from msgspec.structs import replace

from advisor.tell.options import options
from tests.tell.advice_examples import change

CHANGE = change()


def test_an_option_that_plays_two_parts_is_listed_once() -> None:
    listed = options(replace(CHANGE, recommended=CHANGE.baseline))

    assert ("today", "recommended") in {option.roles for option in listed}
    assert len({option.prediction.candidate for option in listed}) == len(listed)


def test_options_are_numbered_from_the_cheapest() -> None:
    listed = options(CHANGE)

    assert [1, 2, 3, 4, 5] == [option.number for option in listed]
    costs = [option.prediction.cost_usd_per_hour.value for option in listed]
    assert sorted(costs) == costs
