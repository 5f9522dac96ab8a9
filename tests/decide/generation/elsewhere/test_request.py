"""What engines compute for each request: agents call them several times, reasoning writes more than is shown."""

import pytest

from advisor.decide.generation.elsewhere.request import cached_by_vendor, calls_of
from advisor.schema.workload import Lifecycle, LifeRequest, Traffic
from tests.elsewhere_models import chat, lengths


def living(**request):
    return Lifecycle(request=LifeRequest(**request))


def test_a_workload_without_multipliers_is_one_call_a_request():
    asked = chat()

    found = calls_of(asked)

    assert (asked, 1.0, ()) == (found.workload, found.per_request, found.notes)


def test_an_agent_makes_more_calls_and_reasoning_longer_answers():
    asked = chat(2.0, lifecycle=living(agent_multiplier=5.0, reasoning_multiplier=3.0))

    found = calls_of(asked)

    assert 5.0 == found.per_request
    assert 10.0 == found.workload.traffic.requests_per_s
    assert 3 * asked.tokens.output.p50 == found.workload.tokens.output.p50
    assert 3 * asked.tokens.output.p95 == found.workload.tokens.output.p95
    assert asked.tokens.input == found.workload.tokens.input
    assert 2 == len(found.notes)


def test_what_was_recorded_is_taken_as_it_is():
    asked = chat(tokens=None, traffic=Traffic(trace="t.csv"), lifecycle=living(agent_multiplier=5.0, reasoning_multiplier=3.0))

    found = calls_of(asked)

    assert (asked, 1.0) == (found.workload, found.per_request)
    assert all("as it is" in note for note in found.notes)


@pytest.mark.parametrize(("lifecycle", "expected"), [(None, 60.0), (living(cached_tokens=100.0), 100.0), (living(), 60.0)])
def test_a_vendor_caches_what_the_workload_says_or_what_prompts_begin_with(lifecycle, expected):
    assert expected == cached_by_vendor(chat(brings=lengths(shared_prefix=60), lifecycle=lifecycle))
