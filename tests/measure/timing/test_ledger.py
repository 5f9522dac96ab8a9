"""The ledger: what stages ask for adds up to the budget, and what a slow one overspends is not overspent again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.measure.timing.ledger import (
    CALLS_TO_LOOK,
    LAST_START,
    LEAST_BUDGET_FOR_TRIAL_S,
    LONGEST_TRIED_CALL_S,
    PROMISED,
    TIMING_SHARE,
    Ledger,
)

BUDGETS = st.floats(1.0, 1e5)
SHARES = st.floats(0.0, 5.0)


class Clock:
    """A clock that a test moves on."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def passes(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


@given(budget_s=BUDGETS, shares=st.lists(SHARES, max_size=8), call_s=st.floats(1e-5, 5.0))
def test_stages_that_ask_before_they_begin_keep_the_budget_and_leave_timing_half(budget_s, shares, call_s):
    clock = Clock()
    ledger = Ledger(budget_s, clock=clock)
    ledger.know_call(call_s)
    for share in shares:
        if share * budget_s <= ledger.preparing_left_s:
            clock.passes(share * budget_s)
    ledger.begin_timing(0.0)
    timing_s = ledger.timing_left_s
    clock.passes(max(timing_s, 0.0) + ledger.trial_s)

    assert timing_s >= TIMING_SHARE * ledger.spent_s - 1e-6 * budget_s
    assert ledger.spent_s == pytest.approx(budget_s) == pytest.approx(ledger.expected_s)


@given(budget_s=BUDGETS, overspent=st.floats(0.0, 1.2))
def test_timing_has_as_long_as_all_else_took_until_nothing_more_may_begin(budget_s, overspent):
    clock = Clock()
    ledger = Ledger(budget_s, clock=clock)
    clock.passes(overspent * budget_s)
    ledger.begin_timing(0.0)
    others_s = ledger.spent_s + ledger.trial_s

    assert ledger.timing_left_s == pytest.approx(min(max(budget_s - others_s, others_s), LAST_START * budget_s - others_s))
    assert ledger.spent_s + max(ledger.timing_left_s, 0.0) + ledger.trial_s <= PROMISED * budget_s


@given(budget_s=BUDGETS)
def test_what_is_worth_a_longer_run_leaves_timing_half_of_that(budget_s):
    clock = Clock()
    ledger = Ledger(budget_s, clock=clock)
    clock.passes(ledger.stretched_left_s)
    ledger.begin_timing(0.0)

    assert ledger.timing_left_s == pytest.approx(ledger.spent_s + ledger.trial_s)
    assert budget_s < ledger.expected_s < ledger.promised_s


@given(budget_s=BUDGETS, named=SHARES)
def test_what_the_user_named_has_its_time_and_timing_half_of_the_whole_all_the_same(budget_s, named):
    clock = Clock()
    ledger = Ledger(budget_s, clock=clock)
    ledger.require(named * budget_s)

    assert ledger.preparing_left_s >= named * budget_s * (1 - 1e-9)
    assert ledger.planned_s >= budget_s
    assert (ledger.planned_s > budget_s) == ("more than" in ledger.promise)


@given(budget_s=BUDGETS, spent=st.floats(0.0, 2.0), asked=SHARES)
def test_the_budget_that_is_said_to_suffice_leaves_exactly_the_time_that_was_asked_for(budget_s, spent, asked):
    clock = Clock()
    ledger = Ledger(budget_s, clock=clock)
    clock.passes(spent * budget_s)
    enough_s = ledger.sufficient_s(asked * budget_s)

    other = Ledger(enough_s, clock=clock)
    if not ledger.trial_s:
        other.know_call(2 * LONGEST_TRIED_CALL_S)
    clock.passes(spent * budget_s)

    assert other.preparing_left_s >= asked * budget_s - 1e-6 * budget_s


def test_loading_is_not_counted_even_inside_of_other_loading(clock):
    ledger = Ledger(60.0, clock=clock)
    clock.passes(1.0)
    with ledger.loading():
        clock.passes(10.0)
        with ledger.loading():
            clock.passes(100.0)
    clock.passes(2.0)

    assert 3.0 == ledger.spent_s


def test_loading_that_fails_is_not_counted_either(clock):
    ledger = Ledger(60.0, clock=clock)
    with pytest.raises(KeyError), ledger.loading():
        clock.passes(10.0)
        raise KeyError

    assert 0.0 == ledger.spent_s


@pytest.mark.parametrize(("looking_s", "call_s", "counted_s"), [(30.0, 0.001, 0.007), (3.0, 1.0, 3.0), (20.0, 2.0, 14.0)])
def test_of_looking_at_the_model_only_its_calls_are_counted(clock, looking_s, call_s, counted_s):
    ledger = Ledger(60.0, clock=clock)
    with ledger.looking():
        clock.passes(looking_s)
    ledger.know_call(call_s)

    assert 7.0 == CALLS_TO_LOOK
    assert counted_s == pytest.approx(ledger.spent_s)


@pytest.mark.parametrize(
    ("budget_s", "call_s", "is_tried"),
    [
        (LEAST_BUDGET_FOR_TRIAL_S, LONGEST_TRIED_CALL_S / 2, True),
        (LEAST_BUDGET_FOR_TRIAL_S, LONGEST_TRIED_CALL_S * 2, False),
        (LEAST_BUDGET_FOR_TRIAL_S / 2, LONGEST_TRIED_CALL_S / 2, False),
    ],
)
def test_time_for_a_trial_is_kept_where_there_will_be_one(clock, budget_s, call_s, is_tried):
    ledger = Ledger(budget_s, clock=clock)
    ledger.know_call(call_s)

    assert is_tried == (ledger.trial_s > 0)


def test_what_timing_leaves_over_is_for_serving_the_answer(clock):
    ledger = Ledger(20.0, clock=clock)
    ledger.know_call(0.01)
    ledger.begin_timing(0.0)
    timing_s, aside_s = ledger.timing_left_s, ledger.trial_s

    assert timing_s + aside_s == pytest.approx(ledger.serving_left_s)
    ledger.tried(aside_s + 2.0)
    assert timing_s - 2.0 == pytest.approx(ledger.serving_left_s)
    assert timing_s - 2.0 == pytest.approx(ledger.timing_left_s)


def test_a_run_that_goes_on_has_what_the_one_before_left(clock):
    ledger = Ledger(20.0, clock=clock)
    ledger.know_call(1.0)
    ledger.count(16.0)  # 6 s of them timing
    ledger.begin_timing(6.0)

    assert 4.0 == pytest.approx(ledger.timing_left_s)


def test_the_promise_names_what_is_expected_and_the_most(clock):
    assert "about 12 s in all, at most 18 s, besides loading" == Ledger(12.0, clock=clock).promise
    ledger = Ledger(12.0, clock=clock)
    ledger.require(30.0)

    assert re.fullmatch(
        r"about 64.8 s in all, more than 12 s for what was named takes longer, at most 97.2 s, .*", ledger.promise
    )
