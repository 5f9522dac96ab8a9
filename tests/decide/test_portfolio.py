"""The portfolio: the best of all plans within the budget, found without trying them all, and levers that are not counted twice."""

import math
from itertools import combinations, pairwise, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide import combining
from advisor.decide.combining import fit_together
from advisor.decide.integer_program import Limit
from advisor.decide.lifetime.fleet import serving_by_month
from advisor.decide.lifetime.levers import evaluated
from advisor.decide.multiple_choice import choose
from advisor.decide.portfolio import Member, _bundle, _priced, offers_of, plan
from advisor.errors import InputError
from advisor.schema.portfolio import Portfolio, PortfolioEntry
from advisor.schema.workload import LifeServing, LifeSituation
from tests.decide.lifetime.test_payback import API, EVERYTHING, WITH_ALL
from tests.lives import MARKET, life

NOW = "2026-11-22T08:00:00+00:00"


def member(name, requests_per_s, *, must=(), never=(), planned=EVERYTHING):
    entry = PortfolioEntry(workload=name, must=must, never=never)
    return Member(entry, name, life(planned, requests_per_s, WITH_ALL), planned, WITH_ALL)


def planned_for(members, budget_usd, engineer_days=None):
    entries = tuple(entry.entry for entry in members)
    portfolio = Portfolio(name="a test", budget_usd=budget_usd, workloads=entries, engineer_days=engineer_days)
    return plan(portfolio, [offers_of(member) for member in members], created=NOW)


small = st.floats(0, 10).map(lambda value: round(value, 2))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.floats(-5, 10), small, small), min_size=1, max_size=4), min_size=1, max_size=4),
    st.floats(0, 25),
)
def test_the_solver_finds_what_trying_everything_finds(groups, budget):
    items = [(at, *item) for at, group in enumerate(groups) for item in group]
    one_of = [[index for index, item in enumerate(items) if item[0] == at] for at in range(len(groups))]
    best = max(
        (
            math.fsum(items[index][1] for index in picked)
            for picked in product(*one_of)
            if math.fsum(items[index][2] for index in picked) <= budget and math.fsum(items[index][3] for index in picked) <= 20
        ),
        default=None,
    )

    answer = choose(
        [item[1] for item in items], [Limit([item[2] for item in items], budget), Limit([item[3] for item in items], 20)], one_of
    )

    if best is None:
        assert answer is None
    else:
        assert answer is not None and best == pytest.approx(answer.gain, abs=1e-6)
        assert answer.bound == pytest.approx(answer.gain, abs=1e-6)


@pytest.mark.parametrize("budget_usd", [0, 3_000, 12_000, 40_000])
def test_no_set_of_levers_within_the_budget_is_left_more_of(budget_usd):
    members = [member("busy", 500.0), member("idle", 0.01)]
    every = []
    for entry in members:
        moves, _ = evaluated(entry.life, entry.lifecycle, entry.market)
        sets = [picked for size in range(len(moves) + 1) for picked in combinations(moves, size)]
        every.append(
            [
                _bundle(entry, tuple(_priced(entry, move) for move in picked))
                for picked in sets
                if fit_together({move.lever.id for move in picked})
            ]
        )
    best = max(
        math.fsum(bundle.saving_usd - bundle.once_usd for bundle in picked)
        for picked in product(*every)
        if math.fsum(bundle.once_usd for bundle in picked) <= budget_usd
    )

    found = planned_for(members, budget_usd)

    assert best == pytest.approx(found.net_usd)
    assert found.spent_usd <= budget_usd and found.gap_usd == 0


def test_more_budget_never_saves_less():
    members = [member("one", 500.0), member("two", 50.0)]

    nets = [planned_for(members, budget_usd).net_usd for budget_usd in (0, 2_000, 8_000, 30_000, 100_000)]

    assert sorted(nets) == nets and nets[0] == 0


def test_levers_that_exclude_each_other_are_not_pulled_together():
    found = planned_for([member("one", 5000.0)], 1e7)

    titles = set(found.choices[0].levers)
    assert not {"Distil into a smaller model", "Fine-tune a smaller model instead of prompting a larger one"} <= titles
    assert not {"Reserve the always-on devices for a year", "Run on spare capacity"} <= titles


def test_what_must_be_done_is_done_and_what_must_not_is_not():
    found = planned_for([member("one", 500.0, must=("distil",), never=("reserve",))], 1e6)

    assert "Distil into a smaller model" in found.choices[0].levers
    assert "Reserve the always-on devices for a year" not in found.choices[0].levers
    assert found.share_for_training > 0 and found.share_for_inference + found.share_for_training == pytest.approx(1)


def test_days_of_engineers_are_a_limit_of_their_own():
    found = planned_for([member("one", 500.0)], 1e6, engineer_days=1.0)

    assert sum(choice.engineer_days for choice in found.choices) <= 1.0


@pytest.mark.parametrize(
    ("must", "never", "budget_usd", "said"),
    [
        (("distil",), (), 100.0, "budget_usd: what must be done costs"),
        (("distill",), (), 1e6, "'distill' is no lever"),
        (("speculate",), (), 1e6, "'speculate' cannot be evaluated"),
        (("distil",), ("distil",), 1e6, "what must be done cannot be done together"),
        (("distil", "fine-tune-small"), (), 1e6, "what must be done cannot be done together"),
    ],
)
def test_what_cannot_be_done_is_refused(must, never, budget_usd, said):
    with pytest.raises(InputError, match=said):
        planned_for([member("one", 500.0, must=must, never=never)], budget_usd)


def test_where_nothing_saves_nothing_is_spent():
    idle = msgspec.structs.replace(EVERYTHING, horizon_months=0.1, fine_tunings_per_year=0.0, data=None, labels_usd=0.0)

    found = planned_for([member("one", 1e-4, planned=idle, never=("to-api",))], 1e6)

    assert (0, None, ()) == (found.spent_usd, found.share_for_inference, found.choices[0].levers)


PRICES_LAST = {"reserve", "spot"}


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(9)), st.floats(-2, 4))
def test_the_order_in_which_levers_are_named_changes_no_saving(order, logarithm):
    there = life(EVERYTHING, 10**logarithm, WITH_ALL)
    moves, _ = evaluated(there, EVERYTHING, WITH_ALL)
    shuffled = [moves[at] for at in order if at < len(moves)]
    together = [
        move for at, move in enumerate(shuffled) if combining.fit_together({entry.lever.id for entry in shuffled[: at + 1]})
    ]

    assert combining.saved_usd(together, there.values) == combining.saved_usd(together[::-1], there.values)
    ids = [move.lever.id for move in combining.in_order(together)]
    assert not any(earlier in PRICES_LAST and later not in PRICES_LAST for earlier, later in pairwise(ids))


@settings(deadline=None, max_examples=40)
@given(st.floats(-2, 4))
def test_a_reserved_price_is_that_of_the_devices_that_were_chosen(logarithm):
    there = life(EVERYTHING, 10**logarithm, WITH_ALL)
    moves = {move.lever.id: move for move in evaluated(there, EVERYTHING, WITH_ALL)[0]}
    moved = moves["other-device"].changed(there.values)

    chosen_first = math.fsum(serving_by_month(there.values)) - math.fsum(serving_by_month(moves["reserve"].changed(moved)))

    both = combining.saved_usd((moves["reserve"], moves["other-device"]), there.values)
    assert chosen_first == pytest.approx(both)


def test_every_lever_has_its_place_in_the_order():
    ours = {lever.id for lever in MARKET.model.levers}
    measured = {"configure", "switch-variant", "speculate"}  # of a model file, or never a saving

    assert ours - measured == set(combining.ORDER)


def test_a_workload_that_may_not_be_served_as_planned_is_told_so():
    api = msgspec.structs.replace(EVERYTHING, serving=LifeServing(api_model="api"), situation=LifeSituation(data_must_stay=True))
    market = msgspec.structs.replace(MARKET, api=API)
    entry = Member(PortfolioEntry(workload="one"), "one", life(api, 1.0, market), api, market)

    found = plan(Portfolio(name="a test", budget_usd=1e4, workloads=(entry.entry,)), [offers_of(entry)], created=NOW)

    assert found.choices[0].because.startswith("Not allowed as planned: requests may not leave the company")
