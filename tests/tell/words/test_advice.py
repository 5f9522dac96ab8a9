from advisor.tell.report import render
from advisor.tell.words.advice import advice_words
from tests.tell.advice_examples import fleet


def test_the_pools_of_a_fleet_say_the_hardware_that_they_run_on() -> None:
    pools = advice_words(fleet()).pools

    assert ["c7i.xlarge", "g6.xlarge"] == [pool.partition(" on ")[2].partition(",")[0] for pool in pools]
    assert all(pool in render(fleet(), "md") for pool in pools)
