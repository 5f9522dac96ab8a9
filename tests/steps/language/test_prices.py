"""Which APIs the same traffic is priced at."""

import pytest
from msgspec.structs import replace

from advisor.files.catalog import read_token_prices
from advisor.schema.workload import Lifecycle, LifeOptions, LifeServing
from advisor.steps.language.prices import token_prices_beside
from tests.profiles import NOW
from tests.tell.language_examples import dense, experts, workload


def models(found):
    return [price.model for price in found[0]]


def test_what_the_workload_names_comes_first():
    life = Lifecycle(options=LifeOptions(alternative_api="gpt-4.1"), serving=LifeServing(api_model="gpt-4.1-mini"))

    assert ["gpt-4.1-mini", "gpt-4.1"] == models(token_prices_beside(dense(), replace(workload(), lifecycle=life), now=NOW))[:2]


def test_models_of_the_same_family_are_priced_too():
    asked = replace(workload(), lifecycle=None)

    assert all(name.startswith("deepseek") for name in models(token_prices_beside(experts(), asked, now=NOW))[:2])
    assert not any(name.startswith("llama") for name in models(token_prices_beside(dense(), asked, now=NOW)))


@pytest.mark.parametrize("model", [dense(), experts()])
def test_without_a_name_there_is_always_something_to_compare_with(model):
    found, notes = token_prices_beside(model, replace(workload(), lifecycle=None), now=NOW)

    assert len(found) >= 2 and len({(price.provider, price.model) for price in found}) == len(found) and notes


def test_what_is_no_longer_sold_or_has_no_price_for_answers_is_left_out():
    asked = replace(workload(), lifecycle=None, tokens=None)
    retired = {price.model for price in read_token_prices() if price.deprecated is not None and price.deprecated <= NOW[:10]}

    found, _ = token_prices_beside(dense(), asked, now=NOW)

    assert retired and not retired & {price.model for price in found}
    assert all(price.usd_per_million_output_tokens is not None for price in found)
